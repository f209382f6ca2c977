"""Find the bed under an ice cap from its surface: `python examples/shallow_ice.py [--output figure.png]`.

Ice flows by the shallow-ice approximation with Glen's law (n = 3), here on a grid by the explicit scheme of M. A. W.
Mahaffy (1976, Journal of Geophysical Research 81, 1059-1066), written as NumPy slices. Its errors fall as they should
against the exact solution of P. Halfar (1983, J. Geophys. Res. 88, 6043-6051), from which the rate factor is recovered,
too. Then the bed: the surface is known at the beginning, and at the end of some decades together with the velocity of
the ice; L-BFGS-B finds the height of the bed below each point, with the exact gradient through all time steps. The data
are synthetic, so that the true bed stands beside it. Read in this order: flow, halfar, Glacier, main.
tests/test_examples_simulators.py holds gradients against differences.
"""

import argparse
import os
import sys
import time

import numpy as np

import fastad as ad
from fastad import optimize

QUICK = os.environ.get("FASTAD_EXAMPLE_QUICK") == "1"

RATE_FACTOR = 1e-16                                                        # 1 / (Pa3 a), temperate ice
WEIGHT = 910.0 * 9.81                                                      # density times gravity, Pa/m


# ---- the forward model ----

def fluxes(H, s, dx, softness):
    """Ice through the faces between cells (m2/a), along both axes, of all but the outermost rows and columns.

    softness is 2 A (rho g)**3 / 5, in 1 / (m3 a).
    """
    east = (s[1:, 1:-1] - s[:-1, 1:-1]) / dx
    beside = (s[:-1, 2:] + s[1:, 2:] - s[:-1, :-2] - s[1:, :-2]) / (4.0 * dx)
    qx = -softness * (0.5 * (H[1:, 1:-1] + H[:-1, 1:-1])) ** 5 * (east**2 + beside**2) * east
    north = (s[1:-1, 1:] - s[1:-1, :-1]) / dx
    across = (s[2:, :-1] + s[2:, 1:] - s[:-2, :-1] - s[:-2, 1:]) / (4.0 * dx)
    qy = -softness * (0.5 * (H[1:-1, 1:] + H[1:-1, :-1])) ** 5 * (north**2 + across**2) * north
    return qx, qy


def flow(H, bed, dx, dt, steps, rate_factor=RATE_FACTOR, balance=None):
    """Thickness (m) after so many steps of dt (a); balance(surface) is what falls and melts (m/a)."""
    softness = 2.0 * rate_factor * WEIGHT**3 / 5.0
    for _ in range(steps):
        s = bed + H
        qx, qy = fluxes(H, s, dx, softness)
        change = -(np.diff(qx, axis=0) + np.diff(qy, axis=1)) / dx
        if balance is not None:
            change = change + balance(s[1:-1, 1:-1])
        after = np.zeros_like(H)
        after[1:-1, 1:-1] = np.maximum(H[1:-1, 1:-1] + dt * change, 0.0)
        H = after
    return H


def speed(H, bed, dx, rate_factor=RATE_FACTOR):
    """Velocity (m/a) of the surface inside of the grid, both components: shape (2, rows - 2, columns - 2)."""
    s = bed + H
    slope = np.stack([s[2:, 1:-1] - s[:-2, 1:-1], s[1:-1, 2:] - s[1:-1, :-2]]) / (2.0 * dx)
    return -0.5 * rate_factor * WEIGHT**3 * H[1:-1, 1:-1] ** 4 * np.sum(slope**2, axis=0) * slope


# ---- Halfar's solution: the check, and the rate factor ----

def halfar(r, t, height, radius, rate_factor=RATE_FACTOR):
    """Thickness (m) at distance r (m) after t (a) of a dome on a flat bed, and the age that it has at first."""
    age = (7.0 / 4.0) ** 3 * radius**4 / (18.0 * 2.0 * rate_factor * WEIGHT**3 / 5.0 * height**7)
    past = age / (age + t)
    return height * past ** (1 / 9) * np.maximum(0.0, 1.0 - (past ** (1 / 18) * r / radius) ** (4 / 3)) ** (3 / 7), age


DOME = {"height": 500.0, "radius": 15e3}


def dome(cells, years):
    """Distances (m) on a grid of 40 km, spacing, a stable time step (a), and the number of those."""
    x = np.linspace(-20e3, 20e3, cells + 1)
    dx = x[1] - x[0]
    steps = int(np.ceil(years / (2e-7 * dx**2)))
    return np.hypot(*np.meshgrid(x, x)), dx, years / steps, steps


def convergence(years=100.0):
    """Errors (m) of the forward model against Halfar's dome on finer and finer grids: mean, and in the centre."""
    print(f"Forward model: Halfar's dome of {DOME['height']:.0f} m spreads for {years:.0f} years\n"
          "     cells   spacing (m)   steps   mean error (m)   error in the centre (m)")
    errors = []
    for cells in (20, 40) if QUICK else (20, 40, 80):
        r, dx, dt, steps = dome(cells, years)
        got, exact = flow(halfar(r, 0.0, **DOME)[0], 0.0, dx, dt, steps), halfar(r, years, **DOME)[0]
        centre = cells // 2
        errors.append((np.mean(np.abs(got - exact)[exact > 0]), abs(got - exact)[centre, centre]))
        print(f"     {cells:5d} {dx:13.0f} {steps:7d} {errors[-1][0]:16.3f} {errors[-1][1]:25.4f}", flush=True)
    return np.array(errors)


def recover_rate_factor(rng, noise=5.0, years=100.0):
    """The rate factor, as a multiple of the usual one, from the dome's thickness with noise (m): a curve fit."""
    r, dx, dt, steps = dome(20 if QUICK else 40, years)
    start, exact = halfar(r, 0.0, **DOME)[0], halfar(r, years, **DOME)[0]
    seen = r < 0.5 * DOME["radius"]                     # far from the margin, where the grid errs by tens of metres

    def thickness(_, factor):
        return flow(start, 0.0, dx, dt, steps, factor * RATE_FACTOR)[seen]

    fit = optimize.curve_fit(thickness, r[seen], exact[seen] + rng.normal(0.0, noise, exact[seen].shape), p0=[0.5])
    print(f"     the rate factor from {exact[seen].size} thicknesses with {noise:g} m of noise: {fit.x[0]:.3f} +- "
          f"{fit.stderr[0]:.3f} of the true one, from 0.5")
    return fit.x[0], fit.stderr[0]


# ---- the bed ----

def balance(s):
    """What falls less what melts (m/a) where the surface is s (m) high: the line between is at 380 m."""
    return np.minimum(0.006 * (s - 380.0), 0.6)


class Glacier:
    """An ice cap whose surface is known now, and after `years` together with its velocity.

    cells : along each side of 45 km; noise : (m, m/a) of the surface and of the velocities.
    """

    def __init__(self, cells, years, rng, noise=(1.0, 2.0)):
        x = np.linspace(0.0, 45e3, cells)
        self.x, self.dx, self.noise = x, x[1] - x[0], noise
        self.dt = 1.2e-7 * self.dx**2
        self.steps = int(np.ceil(years / self.dt))
        self.bed = self.true_bed()
        old = flow(np.zeros((cells, cells)), self.bed, self.dx, self.dt, int(2500.0 / self.dt), balance=balance)
        self.surface = self.bed + old                                       # of the beginning, where no error is added
        self.ice = old > 6.0
        later, velocity = self.seen_later(self.bed)
        self.later = later + rng.normal(0.0, noise[0], later.shape)
        self.velocity = velocity + rng.normal(0.0, noise[1], velocity.shape)

    def true_bed(self):
        """Two hills with a trough between them, on a plain (m)."""
        x, y = self.x[:, None] / 1e3, self.x / 1e3
        hills = 420.0 * np.exp(-((x - 19) ** 2 + (y - 22) ** 2) / 80) + 250.0 * np.exp(-((x - 30) ** 2
                                                                                        + (y - 26) ** 2) / 30)
        return 80.0 + hills - 130.0 * np.exp(-((x - 0.5 * y - 13) ** 2) / 10 - (y - 24) ** 2 / 150)

    def seen_later(self, bed):
        """Surface (m) and velocity (m/a) at the end, for a bed (m): the ice climate does not change."""
        H = flow(np.maximum(self.surface - bed, 0.0), bed, self.dx, self.dt, self.steps, balance=warmer)
        return bed + H, speed(H, bed, self.dx)

    def bed_below(self, m):
        """The bed (m) where the ice is exp(m) times 200 m thick; bare rock is seen, so that the bed is known there."""
        return np.where(self.ice, self.surface - 200.0 * np.exp(m), self.surface)

    def misfit(self, m, roughness=50.0):
        """Half the squared residuals in units of noise, and half the squared steps of the bed in units of `roughness`
        (m from cell to cell)."""
        bed = self.bed_below(m)
        later, velocity = self.seen_later(bed)
        fit = np.sum(((later - self.later)[self.ice] / self.noise[0]) ** 2)
        fit = fit + np.sum(((velocity - self.velocity) / self.noise[1]) ** 2)
        smooth = np.sum(np.diff(bed, axis=0) ** 2) + np.sum(np.diff(bed, axis=1) ** 2)
        return 0.5 * fit + 0.5 * smooth / roughness**2


def warmer(s):
    """The years between the two surveys: the line has risen by 60 m."""
    return balance(s - 60.0)


def rms(r):
    return float(np.sqrt(np.mean(np.asarray(r) ** 2)))


# ---- what is printed and drawn ----

def report(glacier, found):
    """Errors of the bed below the ice, and the volume; returns the errors at the start and at the end."""
    start, ice = glacier.bed_below(0.0), glacier.ice
    velocity = glacier.seen_later(found)[1]
    print("\n                                        start     found      true")
    errors = [rms((bed - glacier.bed)[ice]) for bed in (start, found)]
    print(f"     rms error of the bed (m)      {errors[0]:10.1f}{errors[1]:10.1f}")
    volumes = [np.sum((glacier.surface - bed)[ice]) * glacier.dx**2 / 1e9 for bed in (start, found, glacier.bed)]
    print("     volume of the ice (km3)       " + "".join(f"{v:10.1f}" for v in volumes))
    depths = [np.max((glacier.surface - bed)[ice]) for bed in (start, found, glacier.bed)]
    print("     thickest ice (m)              " + "".join(f"{v:10.1f}" for v in depths))
    print(f"     rms of the velocities that are not explained {rms(velocity - glacier.velocity):.2f} m/a, their noise "
          f"{glacier.noise[1]:g}")
    return errors, volumes


def derivatives(glacier, gradient, m):
    """Error of the exact gradient along a direction against central differences, and what it costs."""
    v = np.random.default_rng(3).normal(size=m.shape)
    h = 1e-5
    judge = (glacier.misfit(m + h * v) - glacier.misfit(m - h * v)) / (2 * h)
    error = abs(np.sum(gradient(m)[1] * v) / judge - 1.0)
    value, exact = (min(timed(lambda f=f: f(m)) for _ in range(3 if QUICK else 12)) for f in (glacier.misfit, gradient))
    print(f"\n     misfit of {glacier.steps} steps {1e3 * value:.0f} ms, with its exact gradient {1e3 * exact:.0f} ms; "
          f"by differences it would take {value * (1 + glacier.ice.sum()):.0f} s\n"
          f"     along a direction it differs from central differences by {error:.0e}")
    return error


def timed(f):
    begin = time.perf_counter()
    f()
    return time.perf_counter() - begin


def draw(path, glacier, found, progress):
    """Bed true and found, their difference, a section, the velocities, the course of the misfit."""
    try:
        import matplotlib
    except ImportError:
        print("\nNo picture: matplotlib is not installed (pip install 'fastad[plot]').")
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplot_mosaic([["true", "found", "error"], ["section", "speed", "run"]],
                                        figsize=(12.0, 7.0), layout="constrained")
    km = glacier.x / 1e3
    for name, field, colours, low, high in (("true", glacier.bed, "terrain", 0, 500),
                                            ("found", found, "terrain", 0, 500),
                                            ("error", found - glacier.bed, "RdBu_r", -60, 60)):
        image = panels[name].pcolormesh(km, km, field.T, cmap=colours, vmin=low, vmax=high)
        panels[name].contour(km, km, glacier.ice.T, levels=[0.5], colors="black", linewidths=0.8)
        panels[name].set(title={"true": "bed (m), true", "found": "found", "error": "found - true"}[name], aspect=1)
        figure.colorbar(image, ax=panels[name])
    row = km.size // 2
    panels["section"].plot(km, glacier.surface[:, row], color="tab:blue", label="surface")
    panels["section"].plot(km, glacier.bed_below(0.0)[:, row], color="gray", ls=":", label="start")
    panels["section"].plot(km, found[:, row], color="tab:red", label="found")
    panels["section"].plot(km, glacier.bed[:, row], color="black", lw=0.9, label="true")
    panels["section"].set(xlabel="distance (km)", ylabel="height (m)")
    panels["section"].legend(frameon=False)
    image = panels["speed"].pcolormesh(km[1:-1], km[1:-1], np.hypot(*glacier.velocity).T, cmap="viridis")
    figure.colorbar(image, ax=panels["speed"])
    panels["speed"].set(title="speed of the surface (m/a)", aspect=1)
    ad.plot.convergence(progress, gradient=False, xlabel="iteration", ylabel="misfit", ax=panels["run"])
    figure.savefig(path, dpi=90, metadata={"Software": None})
    plt.close(figure)
    print(f"\nPicture: {path}")


def main(arguments=None):
    parser = argparse.ArgumentParser(description="The bed under an ice cap from its surface.")
    parser.add_argument("--output", help="where a picture goes (none without it)")
    output = parser.parse_args(arguments).output
    begin, rng = time.perf_counter(), np.random.default_rng(11)

    errors = convergence()
    factor, std = recover_rate_factor(rng)
    glacier = Glacier(*(21, 20.0) if QUICK else (31, 40.0), rng)
    print(f"\n{glacier.ice.sum()} heights of the bed below ice of {glacier.bed.size} cells, from the surface after "
          f"{glacier.steps * glacier.dt:.0f} years and its velocity")
    gradient, progress = ad.value_and_grad(glacier.misfit), optimize.Progress(display="none" if QUICK else "auto")
    fit = optimize.minimize(glacier.misfit, np.zeros(glacier.bed.shape), method="L-BFGS-B", callback=progress,
                            bounds=[(-3.5, 1.5)] * glacier.bed.size,        # ice of 6 to 900 m; without any, none flows
                            options={"maxiter": 250 if QUICK else 500})
    found = glacier.bed_below(fit.x)
    print(f"     {fit.nit} iterations, {fit.nfev} misfits with gradients, misfit {progress.history.misfit[0]:.3g} "
          f"-> {fit.fun:.4g}, of {glacier.ice.sum() + glacier.velocity.size} data")
    (before, after), volumes = report(glacier, found)
    derivative_error = derivatives(glacier, gradient, np.full(glacier.bed.shape, 0.1))
    if output:
        draw(output, glacier, found, progress)

    failed = [name for name, ok in {
        "errors that fall with the spacing": np.all(errors[1:] < 0.7 * errors[:-1]),
        "the rate factor (to 3 standard errors and 2 %)": abs(factor - 1.0) < 3.0 * std + 0.02,
        "the bed (a quarter of the error at the start)": after < 0.25 * before,
        "the volume (2 %)": abs(volumes[1] / volumes[2] - 1.0) < 0.02,
        "the exact gradient (1e-6)": derivative_error < 1e-6,
    }.items() if not ok]
    print(f"\nTruth {'NOT recovered: ' + ', '.join(failed) if failed else 'recovered'}"
          f" ({time.perf_counter() - begin:.1f} s).")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
