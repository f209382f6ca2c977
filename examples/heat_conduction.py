"""Find how well each layer of the soil conducts heat: `python examples/heat_conduction.py [--output figure.png]`.

Thermometers at eight depths follow how the temperature of five days and nights sinks into the ground; wanted is the
diffusivity of each of 50 layers. The forward model is implicit (Crank-Nicolson; SciPy's Cholesky factor, made once for
all time steps), the inversion SciPy's least squares with exact Jacobians and smoothness, whose weight falls until the
data are fitted to their noise. The data are synthetic, so that the error is known: it is printed beside what the
linearised theory says the noise must leave. Read in this order: temperatures, residuals, invert, main.
tests/test_examples_simulators.py holds the forward model against the damped wave in a uniform half-space.
"""

import argparse
import os
import sys
import time

import numpy as np
from scipy.linalg import cho_factor, cho_solve

import fastad as ad
from fastad import optimize

QUICK = os.environ.get("FASTAD_EXAMPLE_QUICK") == "1"

HOUR, DAY = 3600.0, 86400.0                                                # s
DEPTH, LAYERS = 1.0, 50                                                    # m
THICKNESS = DEPTH / LAYERS
MIDDLE = THICKNESS * (np.arange(LAYERS) + 0.5)                             # depth (m) of each layer's middle
STEP, DAYS = HOUR / 2, 4 if QUICK else 5
TIME = STEP * np.arange(1 + round(DAYS * DAY / STEP))                      # s
THERMOMETERS = np.array([1, 3, 6, 10, 15, 21, 28, 36])                     # in the middle of these layers
EVERY = 4                                                                  # steps between two readings
TYPICAL = 5e-7                                                             # m2/s, where the inversion begins


# ---- the forward model ----

def surface(t):
    """Temperature (K above the mean) at the surface: day and night, and the weather."""
    return 8.0 * np.sin(2 * np.pi * t / DAY) + 3.0 * np.sin(2 * np.pi * t / (3.7 * DAY)) * np.cos(t / DAY)


def temperatures(diffusivity, thickness, at_surface, step, beginning):
    """Temperatures of all layers after each step, shape (steps, layers); no heat leaves through the bottom.

    diffusivity : (layers,), m2/s; thickness : of each layer, m; at_surface : (steps + 1,), K; step : s.
    """
    n = diffusivity.size
    through = 2.0 / (1.0 / diffusivity[1:] + 1.0 / diffusivity[:-1]) / thickness**2     # half a layer after the other
    top = 2.0 * diffusivity[0] / thickness**2
    upper = np.arange(n - 1)
    L = np.zeros((n, n))
    L[upper, upper] += through
    L[upper + 1, upper + 1] += through
    L[upper, upper + 1] -= through
    L[upper + 1, upper] -= through
    L[0, 0] += top
    factor = cho_factor(np.eye(n) + 0.5 * step * L)
    T = beginning
    history = np.zeros((at_surface.size - 1, n))
    for t in range(at_surface.size - 1):
        right = T - 0.5 * step * (L @ T)
        right[0] += 0.5 * step * top * (at_surface[t] + at_surface[t + 1])
        T = cho_solve(factor, right)
        history[t] = T
    return history


def readings(m):
    """What the thermometers show (K), one row for each reading; m holds the logarithm of diffusivity over TYPICAL."""
    history = temperatures(TYPICAL * np.exp(m), THICKNESS, surface(TIME), STEP, np.zeros(LAYERS))
    return history[EVERY - 1::EVERY, THERMOMETERS]


# ---- the inversion ----

def residuals(m, observed, noise, lam):
    """What the data do not explain, in units of their noise, and sqrt(lam) times how the layers differ."""
    return np.concatenate([((readings(m) - observed) / noise).ravel(), np.sqrt(lam) * np.diff(m)])


def misfit(m, observed, noise):
    """Root mean square of the residuals in units of the noise: 1 is as good as the data are."""
    return float(np.sqrt(np.mean(((readings(m) - observed) / noise) ** 2)))


def invert(observed, noise, jacobian, progress=None):
    """Fits with a falling weight of smoothness, until the data are fitted to their noise (Morozov's discrepancy
    principle); `jacobian` is recorded once and serves every weight and every data set, which are arguments."""
    m = np.zeros(LAYERS)
    for lam in map(float, 10.0 ** np.arange(5.0, -4.0, -1.0 if QUICK else -0.5)):
        fit = optimize.least_squares(residuals, m, jacobian, args=(observed, noise, lam), xtol=1e-6, ftol=1e-6,
                                     callback=progress)
        m = fit.x
        if misfit(m, observed, noise) <= 1.0 + np.sqrt(0.5 / observed.size):
            break
    return m, lam


def allowed_error(m, noise, lam, jacobian, observed):
    """What the noise must leave of rms error in m, and the standard deviation of each layer: the model linearised at
    the truth m, noise carried through the fit, and what smoothness hides added (Aster et al., Parameter estimation)."""
    J = jacobian(m, observed, noise, lam)
    data, inverse = J[:observed.size], np.linalg.inv(J.T @ J)
    std = np.sqrt(np.diag(inverse @ data.T @ data @ inverse))
    hidden = m - inverse @ (data.T @ (data @ m))
    return float(np.sqrt(np.mean(std**2 + hidden**2))), std


def rms(r):
    return float(np.sqrt(np.mean(np.asarray(r) ** 2)))


# ---- the truth, what is printed and drawn ----

def truth():
    """Dry sand over a moist, loamy layer that conducts well, over clay."""
    moist = 0.9 / (1.0 + np.exp(-(MIDDLE - 0.22) / 0.03)) / (1.0 + np.exp((MIDDLE - 0.5) / 0.05))
    return np.log(3.5e-7 / TYPICAL) + moist + 0.3 * MIDDLE


def check_forward_model():
    """The largest error (K) in a uniform soil against the exact damped wave, which has turned many times before."""
    k, n, h = 5e-7, 200, 0.005
    damping = np.sqrt(2 * k / (2 * np.pi / DAY))                           # depth (m) at which the wave is 1/e
    z, t = h * (np.arange(n) + 0.5), STEP * np.arange(1 + round(3 * DAY / STEP))

    def wave(z, t):
        return 8.0 * np.exp(-z / damping) * np.sin(2 * np.pi * t / DAY - z / damping)

    got = temperatures(np.full(n, k), h, wave(0.0, t), STEP, wave(z, 0.0))
    error = float(np.max(np.abs(got - wave(z, t[1:, None]))))
    print(f"Forward model: a wave of 8 K into a uniform soil, three days, error {error:.1e} K")
    return error


def derivatives(jacobian, m, observed, noise, lam):
    """Error of the exact Jacobian against central differences, and what both cost."""
    judge, h = np.empty((observed.size + LAYERS - 1, LAYERS)), 1e-5
    begin = time.perf_counter()
    for j, e in enumerate(h * np.eye(LAYERS)):
        judge[:, j] = (residuals(m + e, observed, noise, lam) - residuals(m - e, observed, noise, lam)) / (2 * h)
    differences = time.perf_counter() - begin
    exact = min(timed(lambda: jacobian(m, observed, noise, lam)) for _ in range(3))
    error = float(np.max(np.abs(jacobian(m, observed, noise, lam) - judge)) / np.max(np.abs(judge)))
    stats = jacobian.stats()
    print(f"\n    Jacobian, {judge.shape[0]} x {judge.shape[1]}: {1e3 * exact:.0f} ms, by central differences "
          f"{1e3 * differences:.0f} ms; largest difference {error:.0e} of its largest entry\n"
          f"    recordings: {stats.recordings} in {stats.recordings + stats.replays} calls")
    return error


def timed(f):
    begin = time.perf_counter()
    f()
    return time.perf_counter() - begin


def draw(path, fits, m, observed, progress):
    """Temperatures, the data and their fit, diffusivity with two standard deviations, the course of the fits."""
    try:
        import matplotlib
    except ImportError:
        print("\nNo picture: matplotlib is not installed (pip install 'fastad[plot]').")
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplot_mosaic([["field", "soil"], ["data", "run"]], figsize=(10.4, 6.6),
                                        layout="constrained")
    history = temperatures(TYPICAL * np.exp(m), THICKNESS, surface(TIME), STEP, np.zeros(LAYERS))
    image = panels["field"].pcolormesh(TIME[1:] / DAY, MIDDLE, history.T, cmap="RdBu_r", vmin=-9, vmax=9)
    figure.colorbar(image, ax=panels["field"], label="temperature (K above the mean)")
    panels["field"].hlines(MIDDLE[THERMOMETERS], 0, DAYS, color="black", lw=0.5, ls=":")
    panels["field"].set(ylim=(DEPTH, 0.0), xlabel="time (days)", ylabel="depth (m)")
    panels["soil"].plot(TYPICAL * np.exp(m), MIDDLE, color="black", lw=1.0, label="true")
    for (noise, found, std), colour in zip(fits, ("tab:orange", "tab:green", "tab:blue"), strict=False):
        panels["soil"].plot(TYPICAL * np.exp(found), MIDDLE, color=colour, label=f"found, noise {noise:g} K")
        panels["soil"].fill_betweenx(MIDDLE, TYPICAL * np.exp(found - 2 * std), TYPICAL * np.exp(found + 2 * std),
                                     color=colour, alpha=0.2, lw=0)
    panels["soil"].set(ylim=(DEPTH, 0.0), xlabel="diffusivity (m²/s)", ylabel="depth (m)")
    panels["soil"].legend(frameon=False)
    found, t = readings(fits[0][1]), TIME[EVERY::EVERY] / DAY
    for k in (0, 3, 6):
        panels["data"].plot(t, observed[:, k], ".", ms=3, label=f"{MIDDLE[THERMOMETERS[k]]:.2f} m")
        panels["data"].plot(t, found[:, k], color="black", lw=0.7)
    panels["data"].set(xlabel="time (days)", ylabel="temperature (K)", title=f"noise {fits[0][0]:g} K")
    panels["data"].legend(frameon=False)
    ad.plot.convergence(progress, gradient=False, xlabel="iteration, all weights", ylabel="misfit and penalty",
                        ax=panels["run"])
    figure.savefig(path, dpi=90, metadata={"Software": None})
    plt.close(figure)
    print(f"\nPicture: {path}")


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Diffusivity of the soil from its temperatures.")
    parser.add_argument("--output", help="where a picture goes (none without it)")
    output = parser.parse_args(arguments).output
    begin = time.perf_counter()

    forward_error = check_forward_model()
    m, rng = truth(), np.random.default_rng(7)
    clean = readings(m)
    print(f"\n{LAYERS} layers from {clean.size} readings of {THERMOMETERS.size} thermometers\n"
          "     noise (K)   weight   misfit/noise   rms error of log diffusivity   the noise allows")
    jacobian, progress = ad.jacobian(residuals), optimize.Progress(display="none")
    fits, errors, allowed = [], [], []
    for noise in (0.1, 0.01) if QUICK else (0.1, 0.01, 0.001):
        observed = clean + rng.normal(0.0, noise, clean.shape)
        found, lam = invert(observed, noise, jacobian, progress)
        limit, std = allowed_error(m, noise, lam, jacobian, observed)
        fits.append((noise, found, std))
        errors.append(rms(found - m))
        allowed.append(limit)
        print(f"     {noise:9g} {lam:8.2g} {misfit(found, observed, noise):14.3f} {errors[-1]:24.4f} {limit:24.4f}",
              flush=True)
    print(f"     at the start {rms(m):45.4f}")
    at, step = (np.searchsorted(MIDDLE, d) for d in (0.02, 0.1))
    print("\n     depth (m)   true (m2/s)   found   +- (noise alone)")
    for j in range(at, 40, step):
        k = TYPICAL * np.exp(fits[-1][1][j])
        print(f"     {MIDDLE[j]:9.2f} {TYPICAL * np.exp(m[j]):13.2e} {k:9.2e} {k * fits[-1][2][j]:9.1e}")
    derivative_error = derivatives(jacobian, m, clean, 0.01, 1.0)
    if output:
        draw(output, fits, m, clean + rng.normal(0.0, fits[0][0], clean.shape), progress)

    failed = [name for name, ok in {
        "the damped wave (0.01 K)": forward_error < 0.01,
        "an error that falls with the noise": np.all(np.diff(errors) < 0),
        "the error that the noise allows (to a factor of two)": np.all(np.array(errors) < 2.0 * np.array(allowed)),
        "the exact Jacobian (1e-7)": derivative_error < 1e-7,
    }.items() if not ok]
    print(f"\nTruth {'NOT recovered: ' + ', '.join(failed) if failed else 'recovered'}"
          f" ({time.perf_counter() - begin:.1f} s).")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
