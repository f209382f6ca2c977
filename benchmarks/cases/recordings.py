"""Models that sort, interpolate, search and mask: how often they are recorded again while the parameters wander.

Stresses the promise that orders, bins and masks are values computed anew in each replay, never guards: at every random
step the permutation, the bins and the masks change, and the tape must serve all of them.  No time is taken.
"""
import numpy as np

import fastad as ad
from benchmarks.programs import central_differences

KNOTS = np.linspace(-4.0, 4.0, 41)
TABLE = np.sin(KNOTS) + 0.1 * KNOTS**2
WEIGHTS = np.linspace(0.5, 2.0, 60)


def interpolated(x):
    return np.sum(np.interp(x, KNOTS, TABLE) ** 2)


def interpolated_gradient(x):
    slope = np.diff(TABLE) / np.diff(KNOTS)
    return 2.0 * np.interp(x, KNOTS, TABLE) * slope[np.searchsorted(KNOTS, x) - 1]


def sorted_sum(x):
    return np.dot(WEIGHTS, np.sort(x) ** 2)


def sorted_sum_gradient(x):
    return 2.0 * x * WEIGHTS[np.argsort(np.argsort(x))]


def masked_write(x):
    y = x**3
    y[x < 0.0] = 0.0
    return np.sum(y * WEIGHTS)


def masked_write_gradient(x):
    return np.where(x < 0.0, 0.0, 3.0 * x**2) * WEIGHTS


def selected(x):
    return np.sum(np.where(x > 0.3, np.exp(x), x**2) * WEIGHTS)


def selected_gradient(x):
    return np.where(x > 0.3, np.exp(x), 2.0 * x) * WEIGHTS


def layered(x):
    """Everything at once, as a layered-earth model would: a table of velocities, arrival order, muted late arrivals."""
    speed = 2.0 + np.interp(x, KNOTS, TABLE) ** 2
    arrival = np.cumsum(1.0 / speed)
    late = arrival > np.median(arrival)
    arrival[late] = 0.0
    return np.sum(np.sort(arrival * np.abs(x)) * WEIGHTS) + np.max(speed)


MODELS = {"np.interp": (interpolated, interpolated_gradient), "np.sort": (sorted_sum, sorted_sum_gradient),
          "y[mask] = c": (masked_write, masked_write_gradient), "np.where": (selected, selected_gradient),
          "all together": (layered, lambda x: central_differences(layered, x))}


def run(bench):
    """A hundred random points for each model; every gradient is compared, then the recordings are counted."""
    steps = bench.size(100, 5)
    for what, (f, reference) in MODELS.items():
        with bench.part(what):
            recordings(bench, what, f, reference, steps)


def recordings(bench, what, f, reference, steps):
    rng = np.random.default_rng(1)
    g = ad.grad(f)
    for _ in range(steps):
        x = rng.normal(size=WEIGHTS.size)
        # Differences of a model with kinks may step over one; formulas may not.
        bench.verify(f"{what} at a random point", g(x), reference(x), rtol=1e-5 if f is layered else 1e-11)
    bench.row(f"{what}: recordings in {steps} random steps", g.stats().recordings, "", level=1)
