"""Problems 1 to 20 of More, Garbow & Hillstrom: gradients at the start, minima by least squares and minimize.

Owns: the residuals in plain NumPy, written as a user would: slices, loops, fills, a branch.  A problem may have several
known minima, as the solvers' paths differ.
Must not know: solvers.  Next: data/more_garbow_hillstrom.json (numbers and source), test_nist.py.
"""
import json
from pathlib import Path

import numpy as np
import pytest

import fastad as ad
from fastad import optimize

PROBLEMS = json.loads((Path(__file__).parent / "data" / "more_garbow_hillstrom.json").read_text())["problems"]
DATA = {p["number"]: {k: np.array(v) for k, v in p["data"].items()} for p in PROBLEMS}


def rosenbrock(x):
    return np.array([10 * (x[1] - x[0]**2), 1 - x[0]])


def freudenstein_roth(x):
    return np.array([-13 + x[0] + ((5 - x[1]) * x[1] - 2) * x[1], -29 + x[0] + ((x[1] + 1) * x[1] - 14) * x[1]])


def powell_badly_scaled(x):
    return np.array([1e4 * x[0] * x[1] - 1, np.exp(-x[0]) + np.exp(-x[1]) - 1.0001])


def brown_badly_scaled(x):
    a, b = x
    return np.array([a - 1e6, b - 2e-6, a * b - 2])


def beale(x):
    return np.array([1.5, 2.25, 2.625]) - x[0] * (1 - x[1]**np.arange(1, 4))


def jennrich_sampson(x):
    i = np.arange(1.0, 11.0)
    return 2 + 2 * i - np.exp(np.outer(i, x)).sum(axis=1)


def helical_valley(x):
    if x[0] == 0:
        theta = np.copysign(0.25, x[1])
    else:
        theta = np.arctan(x[1] / x[0]) / (2 * np.pi) + (0.5 if x[0] < 0 else 0.0)
    return np.array([10 * (x[2] - 10 * theta), 10 * (np.sqrt(x[0]**2 + x[1]**2) - 1), x[2]])


def bard(x):
    u = np.arange(1.0, 16.0)
    v = 16 - u
    return DATA[8]["y"] - (x[0] + u / (v * x[1] + np.minimum(u, v) * x[2]))


def gaussian(x):
    t = (8 - np.arange(1, 16)) / 2
    return x[0] * np.exp(-x[1] * (t - x[2])**2 / 2) - DATA[9]["y"]


def meyer(x):
    r = np.zeros(16)
    for i in range(16):
        r[i] = x[0] * np.exp(x[1] / (50 + 5 * i + x[2])) - DATA[10]["y"][i]
    return r


def gulf(x):
    t = np.arange(1, 100) / 100
    y = 25 + (-50 * np.log(t))**(2 / 3)
    return np.exp(-np.abs(y - x[1])**x[2] / x[0]) - t


def box(x):
    t = np.arange(1, 11) / 10
    return np.exp(-t * x[0]) - np.exp(-t * x[1]) - x[2] * (np.exp(-t) - np.exp(-10 * t))


def powell_singular(x):
    r = np.empty(4)
    r[0], r[1] = x[0] + 10 * x[1], np.sqrt(5) * (x[2] - x[3])
    r[2:] = (x[1] - 2 * x[2])**2, np.sqrt(10) * (x[0] - x[3])**2
    return r


def wood(x):
    return np.array([10 * (x[1] - x[0]**2), 1 - x[0], np.sqrt(90) * (x[3] - x[2]**2), 1 - x[2],
                     np.sqrt(10) * (x[1] + x[3] - 2), (x[1] - x[3]) / np.sqrt(10)])


def kowalik_osborne(x):
    y, u = DATA[15]["y"], DATA[15]["u"]
    return y - x[0] * (u**2 + u * x[1]) / (u**2 + u * x[2] + x[3])


def brown_dennis(x):
    t = np.arange(1, 21) / 5
    return (x[0] + t * x[1] - np.exp(t))**2 + (x[2] + x[3] * np.sin(t) - np.cos(t))**2


def osborne_1(x):
    t = 10 * np.arange(33)
    return DATA[17]["y"] - (x[0] + x[1] * np.exp(-t * x[3]) + x[2] * np.exp(-t * x[4]))


def biggs(x):
    t = np.arange(1, 14) / 10
    y = np.exp(-t) - 5 * np.exp(-10 * t) + 3 * np.exp(-4 * t)
    return x[2] * np.exp(-t * x[0]) - x[3] * np.exp(-t * x[1]) + x[5] * np.exp(-t * x[4]) - y


def osborne_2(x):
    t = np.arange(65) / 10
    model = x[0] * np.exp(-t * x[4])
    for height, width, centre in zip(x[1:4], x[5:8], x[8:], strict=True):
        model += height * np.exp(-(t - centre)**2 * width)
    return DATA[19]["y"] - model


def watson(x):
    n, t = len(x), np.arange(1, 30) / 29
    powers = t[:, None]**np.arange(n)
    slope = powers[:, :n - 1] @ (np.arange(1, n) * x[1:])
    return np.concatenate([slope - (powers @ x)**2 - 1, [x[0], x[1] - x[0]**2 - 1]])


RESIDUALS = [rosenbrock, freudenstein_roth, powell_badly_scaled, brown_badly_scaled, beale, jennrich_sampson,
             helical_valley, bard, gaussian, meyer, gulf, box, powell_singular, wood, kowalik_osborne, brown_dennis,
             osborne_1, biggs, osborne_2, watson]


def cases():
    """One a problem, and two more sizes of Watson's function, whose starts are zeros."""
    for f, p in zip(RESIDUALS, PROBLEMS, strict=True):
        minima = [m for m in p["minima"] if p["number"] != 20 or m["where"] == "n=6"]
        yield pytest.param(f, np.array(p["x0"]), minima, id=f"{p['number']}-{f.__name__}")
    for n, minimum in zip((9, 12), PROBLEMS[-1]["minima"][1:], strict=True):
        yield pytest.param(watson, np.zeros(n), [minimum], id=f"20-watson-{n}")


CASES = list(cases())


def away_from_equal_columns(f, x0):
    """A hair beside Biggs' start, where two columns of J are equal.

    There SciPy 1.17.1's MINPACK reads memory that it has not written, and stops at once if that holds large numbers:
    with MALLOC_PERTURB_=77 in the environment it always does, without fastad, too.
    """
    return x0 * (1 + 1e-8 * np.arange(6)) if f is biggs else x0


def objective(f):
    return lambda x: np.sum(f(x)**2)


def nearest(value, minima, scale):
    """Is the value that of a known minimum?  To the digits in the table, and to 1e-12 of the start's."""
    return any(abs(value - m["f"]) <= 2e-6 * abs(m["f"]) + 1e-12 * min(1.0, scale) for m in minima)


@pytest.mark.parametrize("f, problem", list(zip(RESIDUALS, PROBLEMS, strict=True)), ids=[f.__name__ for f in RESIDUALS])
def test_gradients_at_the_start(f, problem):
    x0 = np.array(problem["x0"])
    value, gradient = ad.value_and_grad(objective(f))(x0)
    assert value == pytest.approx(problem["f_at_x0"], rel=1e-12)
    want = np.array(problem["gradient_at_x0"])
    np.testing.assert_allclose(gradient, want, rtol=1e-9, atol=1e-12 * np.max(np.abs(want)))
    residuals, jacobian = f(x0), ad.jacobian(f)(x0)
    np.testing.assert_allclose(2 * jacobian.T @ residuals, want, rtol=1e-9, atol=1e-12 * np.max(np.abs(want)))


@pytest.mark.parametrize("problem", PROBLEMS, ids=[p["name"] for p in PROBLEMS])
def test_known_minima_are_minima(problem):
    """Where the minimum's place is known, the residuals there are what the table says."""
    f = RESIDUALS[problem["number"] - 1]
    for minimum in [m for m in problem["minima"] if "x" in m]:
        assert np.sum(f(np.array(minimum["x"], dtype=float))**2) == pytest.approx(minimum["f"], rel=1e-5, abs=1e-14)


@pytest.mark.parametrize("method", ["trf", "lm"])
@pytest.mark.parametrize("f, x0, minima", CASES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")      # trial steps overflow, and are refused
def test_least_squares_reaches_a_known_minimum(f, x0, minima, method):
    if method == "lm" and len(f(x0)) < len(x0):
        pytest.skip("lm takes no fewer residuals than unknowns")
    x0 = away_from_equal_columns(f, x0)
    found = optimize.least_squares(f, x0, method=method, x_scale="jac", xtol=1e-15, ftol=1e-15, gtol=1e-15,
                                   max_nfev=3000)
    assert nearest(2 * found.cost, minima, np.sum(f(x0)**2)), (2 * found.cost, minima)


@pytest.mark.parametrize("f, x0, minima", CASES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_minimize_reaches_a_known_minimum(f, x0, minima):
    """As a plain objective, by a trust region with exact Hessians."""
    found = optimize.minimize(objective(f), x0, method="trust-exact", options={"gtol": 1e-9, "maxiter": 3000})
    assert nearest(found.fun, minima, np.sum(f(x0)**2)), (found.fun, minima)
