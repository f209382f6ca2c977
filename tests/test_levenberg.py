"""The compiled half of curve_fit: factors, columns by tangents, the method of Levenberg and Marquardt.

Owns: what _fit.pyx promises, against NumPy, ad.jacobian and MINPACK.  Must not know: statistics (test_curve_fit.py).
Next: test_nist.py (the answers), test_mgh.py (the problems).
"""
import threading
import warnings

import numpy as np
import pytest
import scipy.optimize

import fastad as ad
from fastad import _fit, optimize
from fastad._fit import Levenberg, ScaledQR
from tests import nist
from tests.test_mgh import CASES, away_from_equal_columns

T = np.linspace(0.0, 4.0, 30)


def decay(t, a, k, c):
    return a * np.exp(-k * t) + c


DATA = decay(T, 2.5, 1.3, 0.5) + 0.05 * np.cos(7.0 * T)


# ---- factors ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("m, n", [(1, 1), (3, 5), (5, 5), (30, 3), (681, 5), (683, 5), (5000, 5), (700, 40)])
def test_factors_are_those_of_the_scaled_jacobian(m, n):
    """In blocks, too: 5 columns are factored 682 rows at a time."""
    rng = np.random.default_rng(m + n)
    j, r = rng.normal(size=(m, n)) * np.logspace(-9, 9, n), rng.normal(size=m)
    for matrix in (j, np.asfortranarray(j), np.repeat(j, 2, axis=1)[:, ::2]):
        q = ScaledQR(matrix, r)
        k, length = min(m, n), np.linalg.norm(j, axis=0)
        np.testing.assert_allclose(q.length, length, rtol=1e-14)
        assert q.triangle.shape == (k, n) and q.projected.shape == (k,) and q.finite
        np.testing.assert_array_equal(q.triangle, np.triu(q.triangle))
        scaled = j / length
        np.testing.assert_allclose(q.triangle.T @ q.triangle, scaled.T @ scaled, atol=1e-13)
        np.testing.assert_allclose(q.triangle.T @ q.projected, scaled.T @ r, atol=1e-11)
        assert q.regular() == (m >= n)
        if q.regular():
            np.testing.assert_allclose(q.inverse() @ q.triangle, np.eye(n), atol=1e-10)


def test_factors_of_columns_that_overflow_vanish_or_repeat():
    rng = np.random.default_rng(0)
    j, r = rng.normal(size=(2000, 4)), rng.normal(size=2000)
    j[:, 3] = 0.0
    scale = np.array([1e300, 1e-300, 1.0, 1.0])
    q = ScaledQR(j * scale, r)
    np.testing.assert_allclose(q.length[:3], np.linalg.norm(j[:, :3], axis=0) * scale[:3], rtol=1e-12)
    assert q.length[3] == 1.0 and q.finite and not q.regular()
    j[:, 3] = j[:, 0] + j[:, 1]
    assert not ScaledQR(j, r).regular()
    for bad in (np.nan, np.inf, -np.inf):
        broken = j.copy()
        broken[1500, 1] = bad
        q = ScaledQR(broken, r)
        assert not q.finite and not q.regular() and not q.orthogonal(1.0, 1.0) and not np.isfinite(q.length[1])
        assert not ScaledQR(j, np.where(np.arange(2000) == 9, bad, r)).finite
    with pytest.raises(ValueError, match="Jacobian of shape"):
        ScaledQR(j, r[1:])


def test_small_services():
    x = np.arange(7.0)
    assert _fit.inner(x, x[::-1]) == x @ x[::-1]
    assert _fit.agree(x, x + 1e-13, 1e-12) and not _fit.agree(x, x + 1e-10, 1e-12)
    assert not _fit.agree(x, x[:6], 1e-12) and not _fit.agree(x, x.astype(int), 1e-12)
    assert not _fit.agree(np.full(2, np.nan), np.full(2, np.nan), 1e-12)
    with pytest.raises(ValueError, match="inner"):
        _fit.inner(x, x[:6])


# ---- columns ---------------------------------------------------------------------------------------------------------

def written(a, b, c, d):
    """Places written one after the other, over each other, and by parameters that do not reach them."""
    y = np.zeros(6)
    y[0] = a * b
    y[1:4] = np.sin(b * T[:3])
    y[2] += c
    z = y.copy()
    z[::2] *= a
    y[4:] = z[:2] - c**2
    return np.where(y > 0.5, y, a * z)


def branching(a, b, c, d):
    s = [a, b, c]
    for k in range(4):
        s[k % 3] = s[k % 3] * s[(k + 1) % 3] if k < 2 else s[k % 3] + a
    return np.concatenate([np.cumsum(np.array(s)), np.array([[b, c], [c, a]]) @ np.array([a, c]), np.sort(T[:4] * b)])


def number(a, b, c, d):
    return a * np.exp(b) - c


def unaffected(a, b, c, d):
    return np.array([[a, 2.0 * b], [1.0 + 0.0 * a, c]])


@pytest.mark.parametrize("f", [written, branching, number, unaffected])
def test_columns_are_the_jacobian(f):
    """Each sweep follows only what depends on its parameter; what the one before has left in memory is not seen."""
    rng = np.random.default_rng(1)
    tape = ad.record(f, *rng.normal(size=4).tolist())
    for _ in range(3):
        p = np.abs(rng.normal(size=4)) + 0.1
        tape = ad.record(f, *p.tolist())
        tape.sweep(p.tolist())
        want = np.array([ad.jvp(f, tuple(p.tolist()), tuple(map(float, e)))[1] for e in np.eye(4)])
        for _ in range(2):
            np.testing.assert_allclose(_fit.columns(tape), want, rtol=1e-14, atol=1e-300)
        np.testing.assert_allclose(tape.sweep_tangent([1.0] * 4)[0], want.sum(axis=0), rtol=1e-12, atol=1e-14)
    assert not np.any(_fit.columns(tape)[3])


# ---- the method ------------------------------------------------------------------------------------------------------

class Residuals:
    """A problem of functions of the vector, as Levenberg takes it; counts."""

    def __init__(self, f):
        self.f, self.derivative, self.nfev, self.njev, self.size = f, ad.jacobian(f), 0, 0, 0.0

    def residuals(self, x):
        self.nfev += 1
        return self.f(x)

    def jacobian(self, x):
        self.njev += 1
        return self.derivative(x)


def walked(f, x0, most=4000, tolerance=1.5e-8):
    problem, x0 = Residuals(f), np.array(x0, dtype=float)
    walk = Levenberg(problem, x0, problem.residuals(x0), None, 1.0)
    return walk.solve(most, tolerance), walk.place, problem


@pytest.mark.parametrize("f, x0, minima", CASES)
def test_more_garbow_hillstrom(f, x0, minima):
    """A minimum no worse than MINPACK's with the same first step; bent steps have two evaluations."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        x0 = away_from_equal_columns(f, x0)
        status, place, problem = walked(f, x0)
        info = scipy.optimize.leastsq(f, x0, Dfun=ad.jacobian(f), full_output=True, factor=1.0, maxfev=4000)[2]
    assert status in (_fit.FLAT, _fit.STUCK, _fit.ORTHOGONAL)
    np.testing.assert_allclose(place.residuals, f(place.x), rtol=1e-9, atol=1e-12)
    assert place.square <= 1.0001 * np.sum(info["fvec"]**2) + 1e-12
    assert problem.njev <= 1.2 * info["njev"] + 10 and problem.nfev <= 2.2 * info["nfev"] + 10


def test_a_curved_valley_takes_a_fraction_of_minpacks_steps():
    """Bennett5 of NIST's StRD: steps that are bent follow it."""
    case = nist.SETS["Bennett5"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        fit = optimize.curve_fit(case.f, case.x, case.y, case.starts[0])
        theirs = optimize.curve_fit(case.f, case.x, case.y, case.starts[0], factor=1.0, maxfev=2000)
    assert fit.nfev < 200 < 700 < theirs.nfev


def test_status():
    def valley(x):
        return np.array([10 * (x[1] - x[0]**2), 1 - x[0]])
    assert walked(valley, [-1.2, 1.0])[0] == _fit.ORTHOGONAL
    status, place, problem = walked(valley, [-1.2, 1.0], most=5)
    assert status == _fit.EXHAUSTED and problem.nfev == 6 and place.square < 24.2
    with np.errstate(all="ignore"):
        assert walked(lambda x: np.sqrt(x - 1.0) - 1.0, [1.0, 2.0])[0] == _fit.BROKEN
    assert walked(lambda x: np.abs(x) + 1.0, [0.3, -0.2])[0] in (_fit.FLAT, _fit.STUCK)
    status, place, _ = walked(lambda x: np.array([x[0] + x[1] - 2.0, 1.0, 0.5 * (x[0] + x[1]) - 1.0]), [3.0, 0.0])
    assert place.x.sum() == pytest.approx(2.0) and place.square == pytest.approx(1.0)        # rank deficient


def test_a_start_without_finite_derivatives_is_an_error():
    with np.errstate(all="ignore"), pytest.raises(RuntimeError, match="at the start are not finite; ad.debug_nonf"):
        optimize.curve_fit(lambda x, a, b: a + np.sqrt(x - b), T, 2 + np.sqrt(T), [1.0, 0.0])


def test_options_of_leastsq_run_minpack():
    """With the exact Jacobian it takes SciPy's own steps."""
    def jac(t, a, k, c):
        return np.array([np.exp(-k * t), -a * t * np.exp(-k * t), np.ones(t.size)]).T
    for options in ({"ftol": 1e-10}, {"factor": 3.0, "xtol": 1e-6}, {"diag": (1.0, 2.0, 3.0), "gtol": 1e-6}):
        ours = optimize.curve_fit(decay, T, DATA, full_output=True, **options)
        theirs = scipy.optimize.curve_fit(decay, T, DATA, jac=jac, full_output=True, **options)
        assert ours[4] == theirs[4] and ours[3].split() == theirs[3].split()
        np.testing.assert_allclose(ours.x, theirs[0], rtol=1e-10)


def test_factors_in_infodict_are_those_of_the_jacobian():
    fit = optimize.curve_fit(decay, T, DATA, full_output=True)
    info = fit[2]
    triangle = np.triu(info["fjac"].T[:3])
    np.testing.assert_allclose(triangle.T @ triangle, fit.jac.T @ fit.jac, rtol=1e-12)
    np.testing.assert_allclose(triangle.T @ info["qtf"], fit.jac.T @ fit.fun, atol=1e-12)
    assert info["ipvt"].tolist() == [1, 2, 3] and fit.status == 4


# ---- over a tape -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("shape", [(30,), (5, 6), (2, 3, 5)])
@pytest.mark.parametrize("sigma", [None, 0.1, "each"])
def test_the_compiled_way_and_the_other_one_agree(shape, sigma):
    sigma = 0.1 + 0.01 * T if sigma == "each" else sigma
    y = DATA.reshape(shape)
    fit = optimize.curve_fit(lambda t, a, k, c: decay(t, a, k, c).reshape(shape), T, y, sigma=sigma)
    other = optimize.curve_fit(lambda t, a, k, c: list(decay(t, a, k, c)), T, DATA, sigma=sigma)      # numbers
    np.testing.assert_allclose(fit.x, other.x, rtol=1e-9)
    np.testing.assert_allclose(fit.fun, other.fun, atol=1e-11)
    np.testing.assert_allclose(fit.jac, other.jac, rtol=1e-8, atol=1e-11)
    assert fit.nfev <= other.nfev + 3 and fit.jac.shape == (30, 3)


def test_another_fit_of_the_model_may_move_its_tape_meanwhile():
    """NumPy's handler of floating-point errors is the user's code, and runs between sweeps."""
    inner = []

    def handler(kind, flag):
        if not inner:
            inner.append(optimize.curve_fit(model, T, model(T, 1.0, 2.0), [1.0, 1.0]).x)

    def model(t, a, k):
        return a * np.exp(-k * t)
    y = model(T, 3.0, 0.7)
    before = np.seterrcall(handler)
    try:
        with np.errstate(all="call"):
            fit = optimize.curve_fit(model, T, y, [10.0, 100.0])
    finally:
        np.seterrcall(before)
    assert inner and np.allclose(inner[0], [1.0, 2.0])
    np.testing.assert_allclose(fit.x, [3.0, 0.7], rtol=1e-9)


def test_fits_in_threads():
    found = {}

    def fits(k):
        for j in range(20):
            found[k, j] = optimize.curve_fit(decay, T, decay(T, 1.0 + k, 1.0 + 0.1 * j, 0.5)).x
    threads = [threading.Thread(target=fits, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for (k, j), x in found.items():
        np.testing.assert_allclose(x, [1.0 + k, 1.0 + 0.1 * j, 0.5], rtol=1e-9)
    assert len(found) == 80


def test_a_branch_that_changes_the_kind_of_the_result():
    """Where the model becomes a list of numbers the fit goes on by the other way."""
    def model(t, a, k):
        y = a * np.exp(-k * t)
        return list(y) if k > 1.0 else y
    fit = optimize.curve_fit(model, T, 2.0 * np.exp(-1.5 * T), [1.0, 0.5])
    np.testing.assert_allclose(fit.x, [2.0, 1.5], rtol=1e-9)
    assert fit.recordings == 2


def test_shapes_that_change_or_do_not_fit_are_errors():
    with pytest.raises(ad.ShapeError, match=r"Jacobian has shape \(29, 3\); 30 data and 3 parameters want \(30, 3\)"):
        optimize.curve_fit(decay, T, DATA, jac=lambda t, a, k, c: np.ones((29, 3)))
    sizes = iter([30, 30, 29, 29, 29])
    with pytest.raises(ad.ShapeError, match=r"shape \(29,\)"):
        optimize.curve_fit(lambda t, a, k, c: decay(T, a, k, c)[:next(sizes)], T, DATA,
                           jac=lambda t, a, k, c: np.array([np.ones(30), t, t**2]).T)

    def one_or_many(t, a, k):                # one datum is fitted to all that the model returns, as SciPy does
        return np.array([a * k]) if a > 2.0 else a * np.exp(-k * t)
    with pytest.raises(ad.ShapeError, match="returned 1 values, and 30 at its start"):
        optimize.curve_fit(one_or_many, T, [3.0], [1.0, 1.0])


def test_all_of_infodict_with_schemes():
    fit = optimize.curve_fit(decay, T, DATA, jac="2-point", method="lm", full_output=True)
    assert fit[2]["nfev"] == fit.nfev and fit[4] == fit.status
