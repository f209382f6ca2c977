"""Invert a real resistivity sounding: `make demo`, or `python examples/resistivity_sounding.py`.

The Schlumberger sounding of Constable, Parker & Constable (1987) is inverted twice: for three layers by
least squares, and for the smoothest 40-layer model that fits to rms 1.0 (Occam's inversion). The forward
model is plain NumPy and knows nothing of fastad; `main` hands it to fastad, which supplies exact Jacobians.
Read in this order: digital_filter, Sounding, SmoothInversion, main. tests/test_examples_science.py proves
the forward model against closed forms and adaptive quadrature; pumping_test.py is the shorter example.
"""

import argparse
import os
import sys
import time

import numpy as np
from scipy.integrate import quad
from scipy.special import erfc, hankel1, loggamma

import fastad as ad
from fastad import optimize

QUICK = os.environ.get("FASTAD_EXAMPLE_QUICK") == "1"
LN10 = np.log(10.0)

# S. C. Constable, R. L. Parker & C. G. Constable (1987), Occam's inversion: a practical algorithm for
# generating smooth models from electromagnetic sounding data, Geophysics 52, 289-300, table 4.
SPACING = np.array([3, 5, 7, 10, 14, 20, 28, 40, 55, 80, 100, 150, 200, 300, 400, 500,
                    1000, 1500, 2000, 3000, 4000, 6000, 8000, 10000.0])                        # AB/2, m
LOG10_RHO_A = np.array([1.528, 1.093, 0.944, 0.919, 0.903, 0.869, 0.826, 0.819, 0.838, 0.857, 0.851, 0.934,
                        0.959, 0.944, 0.982, 1.049, 1.356, 1.502, 1.622, 1.761, 1.902, 2.089, 2.192, 2.174])
STD = np.array([0.043] * 23 + [0.086])                                                 # of log10 rho_a

# The best three layers of an independent program (resistivities in ohm m, then thicknesses in m). Its search
# ended a little early: the exact minimum lies 0.05 % away, with an rms 1.4e-6 lower.
REFERENCE = np.array([99.06, 7.375, 834.75, 1.181, 332.83])
REFERENCE_RMS = 0.664


def digital_filter(spacing, per_decade=20, smooth=4.0):
    """Wave numbers, and weights W such that rho_a(spacing) = W @ T(wave numbers).

    With x = ln l, rho_a(s) = s**2 int T(l) J1(l s) l dl is a convolution of T with K(u) = exp(2 u) J1(exp(u)),
    whose Fourier transform is known: 2**(1+iw) Gamma((3+iw)/2) / Gamma((1-iw)/2). T(exp(x)) is analytic for
    |Im x| < pi/2 whatever the layers, so its spectrum dies like exp(-pi w/2): samples at 20 per decade
    determine it to 1e-15. A weight is K applied to the interpolating pulse of one sample; rounding off the
    edge of the pulse's spectrum (erfc) keeps the filter short, and where the edge lies T has no power left.
    """
    step = LN10 / per_decade
    edge = np.pi / step                                                        # the Nyquist frequency
    first = -9.0 - np.log(spacing.max())                             # K falls off like exp(3 u) on the left
    last = np.log(edge) + 10.0 / smooth - np.log(spacing.min())      # and the pulse like a Gaussian on the right
    x = np.arange(first, last + step, step)
    w = np.linspace(0.0, edge + 6.5 * smooth, 801)
    spectrum = np.exp((1 + 1j * w) * np.log(2.0) + loggamma((3 + 1j * w) / 2) - loggamma((1 - 1j * w) / 2))
    spectrum = spectrum * 0.5 * erfc((w - edge) / smooth)
    spectrum[0] *= 0.5                                   # the trapezoidal rule, exact for such smooth ends
    weights = np.array([(np.exp(-1j * np.outer(x + np.log(s), w)) @ spectrum).real for s in spacing])
    return np.exp(x), weights * (w[1] * step / np.pi)


def resistivity_transform(wave, rho, thickness):
    """T(l) at the surface, from the half-space upwards."""
    T = rho[-1] * np.ones(wave.size)
    for i in range(len(thickness) - 1, -1, -1):
        t = np.tanh(wave * thickness[i])
        T = (T + rho[i] * t) / (1.0 + T * t / rho[i])
    return T


class Sounding:
    """A Schlumberger sounding over n layers; p holds n log resistivities, then n - 1 log thicknesses."""

    def __init__(self, spacing, data, std):
        self.spacing, self.data, self.std = spacing, data, std
        self.wave, self.weights = digital_filter(spacing)

    def log10_rho_a(self, p):
        n = (p.size + 1) // 2
        return np.log10(self.weights @ resistivity_transform(self.wave, np.exp(p[:n]), np.exp(p[n:])))

    def residuals(self, p):
        return (self.log10_rho_a(p) - self.data) / self.std


class SmoothInversion:
    """Many layers of fixed thickness; m holds their log resistivities, lam weighs the roughness."""

    def __init__(self, sounding, thickness, lam):
        self.sounding, self.lam = sounding, lam
        self.thickness, self.log_thickness = thickness, np.log(thickness)

    def misfit(self, m):
        return self.sounding.residuals(np.concatenate([m, self.log_thickness]))

    def residuals(self, m):
        n = self.sounding.data.size
        r = np.zeros(n + m.size - 1)
        r[:n] = self.misfit(m)
        r[n:] = np.sqrt(self.lam) * (m[1:] - m[:-1]) / LN10
        return r

    def objective(self, m):
        return 0.5 * np.sum(self.residuals(m) ** 2)


def rms(r):
    return float(np.sqrt(np.mean(r**2)))


def gauss_newton_step(inversion, jacobian, m):
    """One step, halved until the objective falls. The Jacobian sees the present inversion.lam by itself."""
    step = np.linalg.lstsq(jacobian(m), -inversion.residuals(m), rcond=None)[0]
    before = inversion.objective(m)
    for halving in range(10):
        trial = m + step * 0.5**halving
        if inversion.objective(trial) < before:
            return trial
    return m                                                      # converged: no shorter step is better


def occam(inversion, jacobian, m, target=1.0, cooling=0.4):
    """The smoothest model at the target rms: cool lam until the data fit better, then secants in log lam."""
    print("    it       lam    misfit      rms   roughness")
    previous, crossed = None, False
    for iteration in range(1, 31):
        for _ in range(3):
            m = gauss_newton_step(inversion, jacobian, m)
        r = inversion.misfit(m)
        print(f"    {iteration:2d} {inversion.lam:9.3f} {np.sum(r**2):9.2f} {rms(r):8.4f} "
              f"{np.sum(np.diff(m / LN10) ** 2):11.4f}", flush=True)
        if abs(rms(r) - target) < 1e-5:
            break
        here = np.log(inversion.lam), np.log(rms(r) / target)
        crossed = crossed or here[1] < 0.0
        if crossed and previous is not None:
            slope = (here[0] - previous[0]) / (here[1] - previous[1])
            inversion.lam = float(np.exp(here[0] - here[1] * slope))
        else:
            inversion.lam *= cooling
        previous = here
    return m


def adaptive_rho_a(s, rho, thickness):
    """rho_a by adaptive quadrature, for checking the filter: J1 is the real part of H1(1), and on the
    ray arg l = pi/4 the oscillation of H1(1) has become a decay. The variable is v = ln |l|."""
    ray = np.exp(0.25j * np.pi)

    def integrand(v):
        wave = np.exp(v) * ray
        return float((resistivity_transform(np.array([wave]), rho, thickness)[0] * hankel1(1, wave * s) * wave**2).real)

    ends = np.log([1e-13 / s, 1.0 / s, 60.0 / s])
    return s**2 * sum(quad(integrand, a, b, epsabs=0.0, epsrel=1e-11, limit=500)[0]
                      for a, b in zip(ends[:-1], ends[1:], strict=True))


def check_filter(sounding):
    """The largest relative error of the filter over models with contrasts up to 10,000."""
    models = {"reference": (REFERENCE[:3], REFERENCE[3:]), "1 : 10000": ([1.0, 1e4], [10.0]),
              "10000 : 1": ([1e4, 1.0], [10.0]), "10 : 10000 : 1": ([10.0, 1e4, 1.0], [5.0, 50.0]),
              "five layers": ([100.0, 1.0, 1e4, 5.0, 500.0], [0.5, 1.0, 100.0, 1000.0])}
    every = 6 if QUICK else 1
    worst = 0.0
    for rho, thickness in models.values():
        filtered = sounding.weights @ resistivity_transform(sounding.wave, np.array(rho), np.array(thickness))
        exact = np.array([adaptive_rho_a(s, np.array(rho), np.array(thickness)) for s in sounding.spacing[::every]])
        worst = max(worst, float(np.max(np.abs(filtered[::every] / exact - 1.0))))
    print(f"Hankel transform: a filter of {sounding.wave.size} wave numbers against adaptive quadrature, "
          f"{len(models)} models,\n    contrasts up to 10000: largest relative error {worst:.1e}")
    return worst


def fit_three_layers(sounding):
    """Least squares from poor starts (a half-space cut anywhere); the best one is returned."""
    starts = [([10, 10, 10], [5, 50]), ([100, 100, 100], [10, 100]), ([30, 30, 30], [2, 500]), ([1, 10, 100], [50, 50])]
    bounds = np.full(5, np.log(0.1)), np.log([1e5, 1e5, 1e5, 5e3, 5e3])
    fits = []
    print("\n(a) Three layers, least squares from poor starts")
    for rho, thickness in starts[: 2 if QUICK else None]:
        fit = optimize.least_squares(sounding.residuals, np.log(np.array(rho + thickness, float)), bounds=bounds)
        print(f"    start {rho} ohm m, {thickness} m: rms {rms(sounding.residuals(fit.x)):.4f} "
              f"after {fit.nfev} models, {fit.njev} Jacobians", flush=True)
        fits.append(fit)
    return min(fits, key=lambda fit: fit.cost).x


def report_layers(sounding, p):
    """The layered result beside the reference, with standard errors from the exact Jacobian."""
    J = ad.jacobian(sounding.residuals)(p)
    cov = np.linalg.inv(J.T @ J)                                  # residuals are in units of one std
    se = np.sqrt(np.diag(cov))
    print("                        fitted   reference    std error")
    for name, value, reference, e in zip(["rho 1", "rho 2", "rho 3", "thickness 1", "thickness 2"],
                                         np.exp(p), REFERENCE, se, strict=True):
        print(f"    {name:<12} {value:12.4f} {reference:11.3f}     x/: {np.exp(e):.3f}")
    print(f"    {'rms':<12} {rms(sounding.residuals(p)):12.4f} {REFERENCE_RMS:11.3f}")
    print(f"    rho 1 and thickness 1 correlate at {cov[0, 3] / (se[0] * se[3]):+.2f} "
          "(one spacing alone sees the top layer),\n"
          f"    rho 2 and thickness 2 at {cov[1, 4] / (se[1] * se[4]):+.2f}; conductance of the second layer "
          f"{np.exp(p[4] - p[1]):.1f} S  x/: {np.exp(np.sqrt(cov[1, 1] + cov[4, 4] - 2 * cov[1, 4])):.3f}")
    return se


def report_smooth(inversion, jacobian, m):
    """Posterior standard deviation of log rho: the roughness penalty read as a prior, the model linearised."""
    J = jacobian(m)
    cov = np.linalg.inv(J.T @ J)
    data_rows = J[: inversion.sounding.data.size]
    std = np.sqrt(np.diag(cov))
    resolved = np.trace(cov @ data_rows.T @ data_rows)
    print(f"\n(c) Uncertainty of the smooth model: the data resolve {resolved:.1f} of {m.size} parameters")
    top = np.concatenate([[0.0], np.cumsum(inversion.thickness)])
    for i in range(0, m.size, 6):
        print(f"    below {top[i]:7.1f} m: {np.exp(m[i]):7.1f} ohm m  x/: {np.exp(std[i]):.2f}")
    return std


def seconds(f, x):
    """The best of several calls, after one that may record."""
    f(x)
    times = []
    for _ in range(3 if QUICK else 15):
        start = time.perf_counter()
        f(x)
        times.append(time.perf_counter() - start)
    return min(times)


def differences(f, x, step, central):
    """Jacobian of f by finite differences with a given absolute step."""
    shifts = step * np.eye(x.size)
    if central:
        return np.array([(f(x + d) - f(x - d)) / (2 * step) for d in shifts]).T
    base = f(x)
    return np.array([(f(x + d) - base) / step for d in shifts]).T


def compare_with_differences(inversion, m):
    """Time and accuracy of exact derivatives against finite differences; the judge is the complex step."""
    judge = np.array([inversion.misfit(m + d).imag for d in 1e-30j * np.eye(m.size)]).T / 1e-30
    jacobian, gradient = ad.jacobian(inversion.misfit), ad.value_and_grad(inversion.objective)
    exact_error = float(np.max(np.abs(jacobian(m) - judge)) / np.max(np.abs(judge)))
    print(f"\n(d) Derivatives of the {m.size}-layer model; one forward model takes "
          f"{1e3 * seconds(inversion.misfit, m):.3f} ms\n    {judge.shape[0]} x {judge.shape[1]} Jacobian"
          "               time       error (judged by the complex step)")
    print(f"    exact (fastad)     {1e3 * seconds(jacobian, m):10.3f} ms    {exact_error:.1e}")
    for name, step, central in (("forward differences", 1.5e-8, False), ("central differences", 6e-6, True)):
        error = np.max(np.abs(differences(inversion.misfit, m, step, central) - judge)) / np.max(np.abs(judge))
        elapsed = seconds(lambda x, s=step, c=central: differences(inversion.misfit, x, s, c), m)
        print(f"    {name}{1e3 * elapsed:10.3f} ms    {error:.1e}")
    elapsed = seconds(lambda x: differences(inversion.objective, x, 1.5e-8, False), m)
    print(f"    value and gradient of the objective: {1e3 * seconds(gradient, m):.3f} ms,"
          f" by forward differences {1e3 * elapsed:.3f} ms")
    for shift in np.random.default_rng(0).normal(size=(100, m.size)):
        gradient(m + shift)
    stats = gradient.stats()
    print(f"    {stats.recordings} recording of the gradient in {stats.recordings + stats.replays} calls (100 at other "
          f"models); {stats.audits} audits found nothing")
    return exact_error


def draw(path, sounding, layered, smooth, inversion):
    """One picture: the sounding curve with both fits, and both models against depth."""
    try:
        import matplotlib
    except ImportError:
        print("\nNo picture: matplotlib is not installed (pip install 'fastad[plot]').")
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 4.4), layout="constrained")
    models = {"3 layers": (layered[0], layered[1][:3]),
              f"{smooth[0].size} layers, smooth": (np.concatenate([smooth[0], inversion.log_thickness]), smooth[1])}
    rho_a, spacing = 10**sounding.data, np.geomspace(3.0, 1e4, 60)
    curve = Sounding(spacing, None, None)
    fits = {f"{name}: rms {rms(sounding.residuals(p)):.2f}": (spacing, 10 ** curve.log10_rho_a(p))
            for name, (p, _) in models.items()}
    ad.plot.data_fit(sounding.spacing, rho_a, fits,
                     np.stack([rho_a * (1 - 10**-sounding.std), rho_a * (10**sounding.std - 1)]), xscale="log",
                     yscale="log", data_label="Constable et al. (1987)", xlabel="electrode spacing AB/2 (m)",
                     ylabel="apparent resistivity (ohm m)", ax=left)
    for name, (p, std) in models.items():
        n = std.size
        edges = np.concatenate([[0.3], np.cumsum(np.exp(p[n:])), [8000.0]])
        rho, factor = np.exp(p[:n]), np.exp(2 * std)
        ad.plot.model(edges, rho, np.stack([rho - rho / factor, rho * factor - rho]), depth=True, label=name,
                      sigma_label="two standard deviations", xscale="log", yscale="log", xlabel="resistivity (ohm m)",
                      ylabel="depth (m)", ax=right)
    thickness, std = np.exp(layered[0][3:]), layered[1][3:]
    right.errorbar(np.exp(0.5 * (layered[0][:2] + layered[0][1:3])), np.cumsum(thickness), fmt="none", ecolor="k",
                   yerr=thickness * np.stack([1.0 - np.exp(-2 * std), np.exp(2 * std) - 1.0]), capsize=3, elinewidth=1)
    figure.savefig(path, dpi=90, metadata={"Software": None})      # the same bytes from any version
    plt.close(figure)
    print(f"\nPicture: {path}")


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Invert the Schlumberger sounding of Constable et al. (1987).")
    parser.add_argument("--output", default="resistivity_sounding.png", help="where the picture goes")
    output = parser.parse_args(arguments).output
    start = time.perf_counter()

    sounding = Sounding(SPACING, LOG10_RHO_A, STD)
    filter_error = check_filter(sounding)
    layers = fit_three_layers(sounding)
    errors = report_layers(sounding, layers)

    depths = np.geomspace(0.5, 5000.0, 39)
    inversion = SmoothInversion(sounding, np.diff(depths, prepend=0.0), lam=1e4)
    jacobian = ad.jacobian(inversion.residuals)
    print("\n(b) Forty layers, the smoothest model at rms 1.0 (Occam), from a half-space of 20 ohm m")
    smooth = occam(inversion, jacobian, np.full(40, np.log(20.0)))
    stats = jacobian.stats()
    print(f"    recordings of the Jacobian: {stats.recordings} in {stats.recordings + stats.replays} calls"
          " (each new lam is noticed; nobody told it)")
    band = report_smooth(inversion, jacobian, smooth)
    derivative_error = compare_with_differences(inversion, smooth)
    draw(output, sounding, (layers, errors), (smooth, band), inversion)

    failed = [name for name, ok in {
        "the filter (1e-6)": filter_error < 1e-6,
        "the exact Jacobian (1e-9)": derivative_error < 1e-9,
        "the three layers (0.2 %)": np.max(np.abs(np.exp(layers) / REFERENCE - 1)) < 2e-3,
        "their rms 0.664": abs(rms(sounding.residuals(layers)) - REFERENCE_RMS) < 1e-3,
        "the smooth model at rms 1.000": abs(rms(inversion.misfit(smooth)) - 1.0) < 1e-3,
    }.items() if not ok]
    print(f"\nReference {'NOT reproduced: ' + ', '.join(failed) if failed else 'reproduced'}"
          f" ({time.perf_counter() - start:.1f} s).")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
