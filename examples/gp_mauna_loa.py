"""Learn how CO2 varies over Mauna Loa: `python examples/gp_mauna_loa.py [--output figure.png]`.

Gaussian-process regression of the monthly means of 1958 to 2001; the eleven hyper-parameters of the kernel of Rasmussen
& Williams (2006, section 5.4.3) maximise the marginal likelihood, with exact gradients through scipy.linalg's Cholesky
factor. Their published values stand beside ours, and each month beside what the other months say about it. Read in this
order: kernel, objective, predict, main. tests/test_examples_inversions.py holds the likelihood against
scipy.stats and the gradient against the formula with traces; gravity_basin.py inverts with least squares.
"""

import argparse
import os
import pathlib
import sys
import time
import timeit
from functools import partial

import numpy as np
from scipy.linalg import cho_factor, cho_solve

import fastad as ad
from fastad import optimize

QUICK = os.environ.get("FASTAD_EXAMPLE_QUICK") == "1"

# Monthly means (decimal year, ppm) of the weekly record of C. D. Keeling & T. P. Whorf, Scripps, in the public domain,
# as it comes with statsmodels; months without a measurement are missing.
TIME, CO2 = np.loadtxt(pathlib.Path(__file__).parent / "data" / "mauna_loa_co2_monthly.csv", delimiter=",").T
MEAN = CO2.mean()
Y = CO2 - MEAN

# name, unit, where the search begins, and what Rasmussen & Williams found (their months are others, to 2003)
PARAMETERS = [
    ("trend, size", "ppm", 50.0, 66.0), ("trend, length", "years", 50.0, 67.0), ("season, size", "ppm", 2.0, 2.4),
    ("season, decay", "years", 100.0, 90.0), ("season, smoothness", "", 1.0, 1.3),
    ("medium term, size", "ppm", 0.5, 0.66), ("medium term, length", "years", 1.0, 1.2),
    ("medium term, shape", "", 1.0, 0.78),
    ("noise that lasts, size", "ppm", 0.2, 0.18), ("noise that lasts, length", "years", 0.1, 1.6 / 12),
    ("noise", "ppm", 0.2, 0.19)]
BEGIN, PUBLISHED = (np.log([row[k] for row in PARAMETERS]) for k in (2, 3))


# ---- the model ----

def kernel(p, t, s):
    """Covariance of the concentrations (ppm^2) at times t and s (years) without the noise; p: logarithms."""
    q = np.exp(p)
    r = t[:, None] - s
    return (q[0]**2 * np.exp(-(r / q[1])**2 / 2)
            + q[2]**2 * np.exp(-(r / q[3])**2 / 2 - 2 * (np.sin(np.pi * r) / q[4])**2)
            + q[5]**2 * (1 + (r / q[6])**2 / (2 * q[7]))**-q[7]
            + q[8]**2 * np.exp(-(r / q[9])**2 / 2))


def factor(p):
    """Cholesky factor of the covariance of the data."""
    return cho_factor(kernel(p, TIME, TIME) + np.exp(2 * p[10]) * np.eye(TIME.size), lower=True)


def objective(p):
    """Minus the logarithm of the marginal likelihood."""
    c = factor(p)
    return 0.5 * Y @ cho_solve(c, Y) + np.log(np.diag(c[0])).sum() + 0.5 * TIME.size * np.log(2 * np.pi)


def predict(p, t):
    """Mean and standard deviation of a measurement (ppm) at times t."""
    c, across = factor(p), kernel(p, t, TIME)
    variance = np.diag(kernel(p, t, t)) - np.sum(across * cho_solve(c, across.T).T, axis=1) + np.exp(2 * p[10])
    return MEAN + across @ cho_solve(c, Y), np.sqrt(variance)


# ---- what is printed and drawn ----

def report(p, std):
    """The hyper-parameters beside the published ones."""
    print("\n                                    here          published")
    for (name, unit, _, theirs), value, error in zip(PARAMETERS, np.exp(p), std, strict=True):
        width = f"x/ {np.exp(error):.2f}" if error < 1.5 else "(open)"
        print(f"    {name:<26} {value:8.3g} {width:<8} {theirs:8.3g} {unit}")
    print(f"    log likelihood of these months {-objective(p):.2f} here, {-objective(PUBLISHED):.2f} with the "
          "published values")


def coverage(p):
    """The share of months within two standard deviations of what all others say (Rasmussen & Williams, eq. 5.12)."""
    inverse = cho_solve(factor(p), np.eye(TIME.size))
    errors, std = inverse @ Y / np.diag(inverse), 1 / np.sqrt(np.diag(inverse))
    inside = float(np.mean(np.abs(errors) < 2 * std))
    print(f"    each month from all others: rms error {np.sqrt(np.mean(errors**2)):.2f} ppm, {100 * inside:.1f} % "
          "within two standard deviations")
    return inside


def by_traces(p):
    """The gradient by the textbook: tr((K^-1 - a a.T) dK/dp)/2, each dK/dp by a complex step."""
    K = kernel(p, TIME, TIME) + np.exp(2 * p[10]) * np.eye(TIME.size)
    a, inverse, h = np.linalg.solve(K, Y), np.linalg.inv(K), 1e-30
    parts = [np.imag(kernel(p + h * step, TIME, TIME)) / h for step in 1j * np.eye(p.size)]
    parts[10] = 2 * np.exp(2 * p[10]) * np.eye(TIME.size)
    return np.array([0.5 * np.sum((inverse - np.outer(a, a)) * part) for part in parts])


def compare(p):
    """Error and time of the exact gradient; recordings in 100 calls."""
    gradient, rng = ad.value_and_grad(objective), np.random.default_rng(0)
    for _ in range(10 if QUICK else 100):
        gradient(p + rng.normal(0, 0.05, p.size))
    want, stats = by_traces(p), gradient.stats()
    error = float(np.max(np.abs(gradient(p)[1] - want)) / np.max(np.abs(want)))
    exact, value = (1e3 * min(timeit.repeat(partial(f, p), number=1, repeat=5)) for f in (gradient, objective))
    calls = stats.recordings + stats.replays
    print(f"\n    value {value:.1f} ms, with its exact gradient {exact:.1f} ms, by differences {12 * value:.1f} ms; "
          f"against the formula {error:.0e}\n    recordings in {calls} calls: {stats.recordings}; {stats.audits} "
          "audits found nothing")
    return error


def draw(path, p, progress):
    """The record and its prediction, what is left of it, and how the search went."""
    try:
        import matplotlib
    except ImportError:
        print("\nNo picture: matplotlib is not installed (pip install 'fastad[plot]').")
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplot_mosaic([["record", "record"], ["last", "run"]], figsize=(9.6, 6.0),
                                        layout="constrained")
    t = np.arange(1958.2, 2006.0, 1 / 12)
    mean, std = predict(p, t)
    for name, low in (("record", 1958.0), ("last", 1994.0)):
        ax, seen, shown = panels[name], low < TIME, low < t
        ax.fill_between(t[shown], (mean - 2 * std)[shown], (mean + 2 * std)[shown], color="tab:blue", alpha=0.25, lw=0,
                        label="two standard deviations")
        ax.plot(t[shown], mean[shown], color="tab:blue", lw=0.8)
        ax.plot(TIME[seen], CO2[seen], ".", color="black", ms=2.5, label="measured")
        ax.set(xlabel="year", ylabel="CO2 (ppm)")
    panels["record"].legend(loc="upper left", frameon=False)
    ad.plot.convergence(progress, xlabel="iteration", ylabel="minus log likelihood", ax=panels["run"])
    figure.savefig(path, dpi=90, metadata={"Software": None})
    plt.close(figure)
    print(f"\nPicture: {path}")


def main(arguments=None):
    parser = argparse.ArgumentParser(description="CO2 over Mauna Loa as a Gaussian process.")
    parser.add_argument("--output", help="where a picture goes (none without it)")
    output = parser.parse_args(arguments).output
    begin = time.perf_counter()

    print(f"{TIME.size} monthly means of 1958 to 2001, {len(PARAMETERS)} hyper-parameters")
    progress = optimize.Progress(display="none" if QUICK else "auto")
    fit = optimize.minimize(objective, BEGIN, method="BFGS", options={"gtol": 1e-3}, callback=progress)
    p = fit.x
    print(f"    {fit.message.rstrip('.')}: {fit.nit} iterations, {fit.nfev} likelihoods with gradients")
    H = ad.hessian(objective)(p)
    report(p, np.sqrt(np.maximum(np.diag(np.linalg.inv(H)), 0.0)))
    inside = coverage(p)
    error = compare(PUBLISHED)
    if output:
        draw(output, p, progress)

    failed = [name for name, ok in {
        "a maximum": fit.success and np.linalg.eigvalsh(H).min() > 0,
        "the likelihood of the published values, or more": objective(p) <= objective(PUBLISHED),
        "the published sizes (within a factor of two)": np.max(np.abs((p - PUBLISHED)[[0, 1, 2, 4, 5, 6, 8, 9, 10]])
                                                               ) < np.log(2.0),
        "the prediction of each month (95 % in two deviations, to 2)": abs(
            inside - 0.954) < 0.02,
        "the exact gradient (1e-7)": error < 1e-7,
    }.items() if not ok]
    print(f"\nReference {'NOT reproduced: ' + ', '.join(failed) if failed else 'reproduced'}"
          f" ({time.perf_counter() - begin:.1f} s).")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
