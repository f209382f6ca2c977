"""Fit an ordinary differential equation to hares and lynxes: `python examples/ode_fit.py [--output figure.png]`.

The pelts that the Hudson's Bay Company bought from 1900 to 1920 rise and fall as Lotka and Volterra say. Six
parameters, rates and the animals at the beginning, are fitted with standard errors by SciPy's curve_fit with an exact
Jacobian through Runge-Kutta steps in `ad.scan`: the tape holds one step, however long the time. A published Bayesian
fit of the same model stands beside ours. Read in this order: rates, populations, fit, main.
tests/test_examples_simulators.py holds the populations against scipy.integrate; neural_ode.py learns an equation that
it does not know.
"""

import argparse
import os
import sys
import timeit
from functools import partial

import numpy as np
from scipy.integrate import solve_ivp

import fastad as ad
from fastad import optimize

QUICK = os.environ.get("FASTAD_EXAMPLE_QUICK") == "1"

# Thousands of pelts: C. G. Hewitt (1921), The conservation of the wild life of Canada, as tabled in B. Carpenter
# (2018), Predator-prey population dynamics: the Lotka-Volterra model in Stan (a case study of mc-stan.org).
YEAR = np.arange(1900, 1921)
HARES = np.array([30.0, 47.2, 70.2, 77.4, 36.3, 20.6, 18.1, 21.4, 22.0, 25.4, 27.1, 40.3, 57.0, 76.6, 52.3, 19.5, 11.2,
                  7.6, 14.6, 16.2, 24.7])
LYNXES = np.array([4.0, 6.1, 9.8, 35.2, 59.4, 41.7, 19.0, 13.0, 8.3, 9.1, 7.4, 8.0, 12.3, 19.5, 45.7, 51.1, 29.7, 15.8,
                   9.7, 10.1, 8.6])

# Name, unit, and the mean of Carpenter's posterior, whose priors are weak: his model is ours, with errors of the
# logarithms that are normal (0.25 for both).
PARAMETERS = [
    ("growth", "1/year", 0.55), ("hunt", "1/(year lynx)", 0.028), ("death", "1/year", 0.80),
    ("feed", "1/(year hare)", 0.024), ("hares", "thousands", 33.97), ("lynxes", "thousands", 5.95)]
NAMES = [name for name, *_ in PARAMETERS]
PUBLISHED = np.array([value for *_, value in PARAMETERS])
SPREAD = 0.25
STEPS = 20                                                                 # Runge-Kutta steps a year


# ---- the model ----

def rates(y, growth, hunt, death, feed):
    """How hares and lynxes change (thousands a year)."""
    hares, lynxes = y[0], y[1]
    return np.stack([(growth - hunt * lynxes) * hares, (feed * hares - death) * lynxes])


def populations(time, growth, hunt, death, feed, hares, lynxes, steps=STEPS):
    """Thousands of hares and of lynxes at each of `time` (whole years since the beginning), shape (2, years + 1)."""
    h = 1.0 / steps

    def step(y, _):
        k1 = rates(y, growth, hunt, death, feed)
        k2 = rates(y + 0.5 * h * k1, growth, hunt, death, feed)
        k3 = rates(y + 0.5 * h * k2, growth, hunt, death, feed)
        k4 = rates(y + h * k3, growth, hunt, death, feed)
        y = y + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
        return y, y

    start = np.stack([hares, lynxes])
    path = ad.scan(step, start, length=steps * round(max(time)))[1]
    return np.concatenate([start[None], path[steps - 1::steps]]).T


def logarithms(time, *parameters):
    """What is fitted: errors of the counts are a part of them."""
    return np.log(populations(time, *parameters)).ravel()


def fit():
    """The fit, of parameters in their logarithms, since all are positive: `x` and `stderr` are of those."""
    def model(time, growth, hunt, death, feed, hares, lynxes):
        return logarithms(time, np.exp(growth), np.exp(hunt), np.exp(death), np.exp(feed), np.exp(hares),
                          np.exp(lynxes))

    data = np.log(np.concatenate([HARES, LYNXES]))
    begin = np.log([0.7, 0.03, 0.7, 0.03, HARES[0], LYNXES[0]])
    return optimize.curve_fit(model, YEAR - YEAR[0], data, p0=begin)


# ---- what is printed and drawn ----

def report(found):
    """Parameters beside the published ones; returns the differences in units of the standard error."""
    print("\n                      here           published")
    for (name, unit, theirs), x, error in zip(PARAMETERS, found.x, found.stderr, strict=True):
        value = np.exp(x)
        print(f"    {name:<10} {value:10.4f} +- {value * error:<8.2g} {theirs:7g}    {unit}")
    print(f"    errors of the logarithms {np.sqrt(found.reduced_chi2):.3f}, published {SPREAD}")
    tied = np.abs(found.correlation - np.eye(len(NAMES)))
    i, j = np.unravel_index(np.argmax(tied), tied.shape)
    print(f"    most correlated: {NAMES[i]} and {NAMES[j]}, {found.correlation[i, j]:.2f}")
    period = 2 * np.pi / np.sqrt(np.exp(found.x[0] + found.x[2]))
    print(f"    small oscillations would take {period:.1f} years")
    return np.abs(found.x - np.log(PUBLISHED)) / found.stderr


def integration_error(p):
    """The largest error of the Runge-Kutta steps in any logarithm, against SciPy's adaptive DOP853."""
    exact = solve_ivp(lambda t, y: rates(y, *p[:4]), (0, YEAR.size - 1), p[4:], "DOP853", np.arange(YEAR.size),
                      rtol=1e-12, atol=1e-12).y
    return float(np.max(np.abs(logarithms(YEAR - YEAR[0], *p) - np.log(exact).ravel())))


def cost_of_length(p):
    """Size of the tape and time of the gradient for longer and longer times."""
    print("\n     years   steps   instructions   value (ms)   gradient (ms)")
    for years in (20, 200) if QUICK else (20, 200, 1000):
        def end(p, years=years):
            return np.sum(populations(np.array([years]), *p)[:, -1])
        gradient = ad.grad(end)
        for _ in range(8):
            gradient(p)
        size = ad.record(end, p).stats().instructions
        value, exact = (1e3 * min(timeit.repeat(partial(f, p), number=1, repeat=3)) for f in (end, gradient))
        print(f"    {years:6d} {STEPS * years:7d} {size:14d} {value:12.1f} {exact:13.2f}")


def derivative_error(p):
    """Of the exact Jacobian against central differences of fourth order, as a part of its largest entry."""
    def model(x):
        return logarithms(YEAR - YEAR[0], *np.exp(x))

    x, h = np.log(p), 1e-3
    judge = np.stack([8 * (model(x + e) - model(x - e)) - model(x + 2 * e) + model(x - 2 * e)
                      for e in h * np.eye(x.size)], axis=1) / (12 * h)
    return float(np.max(np.abs(ad.jacobian(model)(x) - judge)) / np.max(np.abs(judge)))


def draw(path, found):
    """Both populations with the data and two standard deviations of the curve, and the one against the other."""
    try:
        import matplotlib
    except ImportError:
        print("\nNo picture: matplotlib is not installed (pip install 'fastad[plot]').")
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10.4, 4.0), layout="constrained", width_ratios=(2.0, 1.0))
    time = YEAR - YEAR[0]

    def model(x):
        return logarithms(time, *np.exp(x))

    J = ad.jacobian(model)(found.x)
    y = model(found.x).reshape(2, -1)
    std = np.sqrt(np.einsum("ij,jk,ik->i", J, found.covariance, J)).reshape(2, -1)
    for name, data, curve, error, colour in (("hares", HARES, y[0], std[0], "tab:blue"),
                                             ("lynxes", LYNXES, y[1], std[1], "tab:red")):
        left.plot(YEAR, data, "o", color=colour, ms=4)
        left.plot(YEAR, np.exp(curve), color=colour, label=name)
        left.fill_between(YEAR, np.exp(curve - 2 * error), np.exp(curve + 2 * error), color=colour, alpha=0.2, lw=0)
    left.set(xlabel="year", ylabel="thousands of pelts", xticks=YEAR[::5])
    left.legend(frameon=False)
    growth, hunt, death, feed, hares, lynxes = np.exp(found.x)
    orbit = populations(np.array([20 * STEPS]), growth / STEPS, hunt / STEPS, death / STEPS, feed / STEPS, hares,
                        lynxes, steps=1)                     # each step as a unit of time
    right.plot(*orbit, color="black", lw=0.8)
    right.plot(HARES, LYNXES, "o", color="gray", ms=4)
    right.set(xlabel="hares (thousands)", ylabel="lynxes (thousands)")
    figure.savefig(path, dpi=90, metadata={"Software": None})
    plt.close(figure)
    print(f"\nPicture: {path}")


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Hares and lynxes by the equations of Lotka and Volterra.")
    parser.add_argument("--output", help="where a picture goes (none without it)")
    output = parser.parse_args(arguments).output

    found = fit()
    print(f"{len(NAMES)} parameters from {found.fun.size} counts: {found.nfev} models, {found.njev} Jacobians, "
          f"{found.recordings} recording")
    away = report(found)
    integration, derivative = integration_error(np.exp(found.x)), derivative_error(np.exp(found.x))
    print(f"    Runge-Kutta steps against DOP853: {integration:.0e}; the Jacobian against differences: "
          f"{derivative:.0e}")
    cost_of_length(np.exp(found.x))
    if output:
        draw(output, found)

    failed = [name for name, ok in {
        "convergence": found.success,
        "the published parameters (one standard error)": np.all(away < 1.0),
        "the published spread (0.25, to 0.03)": abs(np.sqrt(found.reduced_chi2) - SPREAD) < 0.03,
        "the integration (1e-4)": integration < 1e-4,
        "the exact Jacobian (1e-8)": derivative < 1e-8,
    }.items() if not ok]
    print(f"\nReference {'NOT reproduced: ' + ', '.join(failed) if failed else 'reproduced'}.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
