"""Two pumping tests, fitted with the Theis solution: `python examples/pumping_test.py [--output figure.png]`.

Transmissivity and storage of a confined aquifer from the drawdown in observation wells, by least squares in
log parameters, with standard errors from the exact Jacobian. The model calls scipy.special.exp1 as any SciPy
user would; it knows nothing of fastad. Both answers are compared with published or independent ones.
resistivity_sounding.py is the longer example; tests/test_examples_science.py proves the model.
"""

import argparse
import os
import sys
import time

import numpy as np
from scipy.special import exp1

import fastad as ad
from fastad import optimize

QUICK = os.environ.get("FASTAD_EXAMPLE_QUICK") == "1"

# Oude Korendijk, the Netherlands: G. P. Kruseman & N. A. de Ridder, Analysis and evaluation of pumping test
# data, 2nd ed., ILRI publication 47. Q = 788 m3/d, aquifer 7 m thick. Time in days, drawdown in m.
KORENDIJK_30_M = np.array([
    (6.94444444e-05, 0.04), (0.000173611111, 0.08), (0.000347222222, 0.13), (0.000486111111, 0.18),
    (0.000694444444, 0.23), (0.000972222222, 0.28), (0.00131944444, 0.33), (0.00161805556, 0.36),
    (0.00194444444, 0.39), (0.00233333333, 0.42), (0.00277777778, 0.45), (0.00371527778, 0.5),
    (0.00472222222, 0.54), (0.00576388889, 0.57), (0.00604166667, 0.58), (0.00694444444, 0.6),
    (0.00909722222, 0.64), (0.0125, 0.68), (0.01875, 0.742), (0.0229166667, 0.753),
    (0.0284722222, 0.779), (0.0333333333, 0.793), (0.0409722222, 0.819), (0.0555555556, 0.855),
    (0.0659722222, 0.873), (0.0965277778, 0.915), (0.125694444, 0.935), (0.170138889, 0.966),
    (0.208333333, 0.99), (0.25, 1.007), (0.333333333, 1.05), (0.416666667, 1.053),
    (0.505555556, 1.072), (0.576388889, 1.088)])
KORENDIJK_90_M = np.array([
    (0.00104166667, 0.015), (0.00138888889, 0.021), (0.0015, 0.023), (0.00184722222, 0.044),
    (0.00208333333, 0.054), (0.00243055556, 0.075), (0.00277777778, 0.09), (0.00300694444, 0.104),
    (0.00381944444, 0.133), (0.00416666667, 0.153), (0.00520833333, 0.178), (0.00625, 0.206),
    (0.00902777778, 0.25), (0.0104166667, 0.275), (0.0125, 0.305), (0.0173611111, 0.348),
    (0.0208333333, 0.364), (0.0277777778, 0.404), (0.0368055556, 0.429), (0.0416666667, 0.444),
    (0.0520833333, 0.467), (0.0625, 0.494), (0.0729166667, 0.507), (0.0833333333, 0.528),
    (0.104166667, 0.55), (0.125, 0.569), (0.172222222, 0.593), (0.209027778, 0.614),
    (0.252083333, 0.636), (0.293055556, 0.657), (0.376388889, 0.679), (0.418055556, 0.688),
    (0.472222222, 0.701), (0.545138889, 0.718), (0.586805556, 0.716)])
# C. W. Fetter, Applied hydrogeology, 4th ed. (2001), table 5.1. Q = 1.3888e-2 m3/s, r = 250 m. Seconds and m.
FETTER = np.array([
    (180, 0.09144), (300, 0.21336), (480, 0.39624), (720, 0.64008), (1200, 0.97536), (1440, 1.09728),
    (1800, 1.24968), (2280, 1.43256), (2820, 1.55448), (3000, 1.61544), (3600, 1.73736), (4200, 1.85928),
    (4800, 1.92024), (5400, 2.04216), (6000, 2.1336), (7800, 2.286), (9600, 2.52984), (12000, 2.5908),
    (15600, 2.80416), (19200, 2.95656), (22800, 3.10896), (30000, 3.32232)])


class PumpingTest:
    """Drawdowns in wells around one pumped well; p holds log transmissivity and log storativity."""

    def __init__(self, name, unit, discharge, wells, thickness=1.0):
        self.name, self.unit, self.discharge, self.wells, self.thickness = name, unit, discharge, wells, thickness
        self.radius = np.concatenate([np.full(len(data), r) for r, data in wells])
        self.time = np.concatenate([data[:, 0] for _, data in wells])
        self.observed = np.concatenate([data[:, 1] for _, data in wells])

    def drawdown(self, p):
        """Theis (1935): s = Q / (4 pi T) E1(r**2 S / (4 T t))."""
        T, S = np.exp(p[0]), np.exp(p[1])
        return self.discharge / (4 * np.pi * T) * exp1(self.radius**2 * S / (4 * T * self.time))

    def residuals(self, p):
        return self.drawdown(p) - self.observed


def fit(test, names, reference, start):
    """Fit one test, print it beside its reference, and return the parameters and whether they agree."""
    print(f"\n{test.name}: {test.observed.size} drawdowns in {len(test.wells)} "
          f"{'wells' if len(test.wells) > 1 else 'well'}")
    result = optimize.least_squares(test.residuals, np.log(start), xtol=1e-12, ftol=1e-12)
    jacobian = ad.jacobian(test.residuals)
    J, r = jacobian(result.x), test.residuals(result.x)
    cov = np.linalg.inv(J.T @ J) * (r @ r) / (r.size - 2)
    se = np.sqrt(np.diag(cov))
    fitted = np.exp(result.x) / test.thickness                    # k and Ss where the thickness is given
    print(f"    start {start[0] / test.thickness:.3g}, {start[1] / test.thickness:.3g}; "
          f"{result.nfev} models, {result.njev} Jacobians")
    for name, value, e, expected in zip(names, fitted, se, reference, strict=True):
        print(f"    {name:<12} {value:12.6g} +- {100 * e:4.2f} %    reference {expected:g}")
    print(f"    RMSE {np.sqrt(np.mean(r**2)):.5f} m, correlation of the two {cov[0, 1] / (se[0] * se[1]):+.3f}")
    if len(test.wells) > 1:
        means = (f"{np.mean(r[test.radius == radius]):+.3f} m at {radius:g} m" for radius, _ in test.wells)
        print(f"    mean residual {', '.join(means)}: the wells differ by more than scatter,\n"
              "    so standard errors that assume independent errors are too small")
    error = accuracy(test, jacobian, result.x)
    return result.x, error < 1e-11 and bool(np.all(np.abs(fitted / np.array(reference) - 1.0) < 2e-4))


def accuracy(test, jacobian, p):
    """The error of the exact Jacobian, judged by its closed form (d E1(u)/du = -exp(-u)/u), and forward differences."""
    T, S = np.exp(p)
    tail = test.discharge / (4 * np.pi * T) * np.exp(-(test.radius**2) * S / (4 * T * test.time))
    closed = np.stack([tail - test.drawdown(p), -tail], axis=1)
    forward = np.stack([(test.residuals(p + d) - test.residuals(p)) / 1.5e-8 for d in 1.5e-8 * np.eye(2)], axis=1)
    for shift in np.random.default_rng(0).normal(size=(10 if QUICK else 98, 2)):
        jacobian(p + 0.1 * shift)                                 # elsewhere the tape is replayed, not recorded
    exact, stats = jacobian(p), jacobian.stats()
    scale = np.max(np.abs(closed))
    print(f"    Jacobian error {np.max(np.abs(exact - closed)) / scale:.1e} (forward differences "
          f"{np.max(np.abs(forward - closed)) / scale:.1e});\n    {stats.recordings} recording in "
          f"{stats.recordings + stats.replays} calls; {stats.audits} audits found nothing")
    return float(np.max(np.abs(exact - closed)) / scale)


def draw(path, tests, fits):
    """Drawdown against t / r**2: wells of one aquifer fall on one curve."""
    try:
        import matplotlib
    except ImportError:
        print("\nNo picture: matplotlib is not installed (pip install 'fastad[plot]').")
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, all_axes = plt.subplots(1, len(tests), figsize=(9.6, 3.8), layout="constrained")
    for axes, test, p in zip(all_axes, tests, fits, strict=True):
        for radius, data in test.wells:
            axes.plot(data[:, 0] / radius**2, data[:, 1], ".", label=f"r = {radius:g} m")
        order = np.argsort(test.time / test.radius**2)
        axes.plot((test.time / test.radius**2)[order], test.drawdown(p)[order], "k", lw=1, label="Theis")
        axes.set(xscale="log", xlabel=f"t / r² ({test.unit}/m²)", ylabel="drawdown (m)", title=test.name)
        axes.legend(frameon=False)
    figure.savefig(path, dpi=90)
    plt.close(figure)
    print(f"\nPicture: {path}")


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Fit two pumping tests with the Theis solution.")
    parser.add_argument("--output", help="where a picture goes (none without it)")
    output = parser.parse_args(arguments).output
    begin = time.perf_counter()

    korendijk = PumpingTest("Oude Korendijk", "d", 788.0, [(30.0, KORENDIJK_30_M), (90.0, KORENDIJK_90_M)], 7.0)
    fetter = PumpingTest("Fetter, table 5.1", "s", 1.3888e-2, [(250.0, FETTER)])
    # References: TTim (RMSE 0.05006 m; AQTESOLV: 66.086, 2.541e-5), and an independent fit of Fetter's table
    # (the book's graphical answer is 1.4e-3, 2.1e-5).
    p1, ok1 = fit(korendijk, ("k (m/d)", "Ss (1/m)"), (66.0893, 2.5409e-5), np.array([70.0, 7e-3]))
    p2, ok2 = fit(fetter, ("T (m2/s)", "S"), (1.42512e-3, 2.11549e-5), np.array([1e-2, 1e-3]))
    rmse = float(np.sqrt(np.mean(korendijk.residuals(p1) ** 2)))
    if output:
        draw(output, (korendijk, fetter), (p1, p2))

    good = ok1 and ok2 and abs(rmse - 0.05006) < 1e-5
    print(f"\nReference {'reproduced' if good else 'NOT reproduced'} (to 2e-4; {time.perf_counter() - begin:.1f} s).")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
