"""curve_fit and its statistics: against SciPy's, against mpmath, against closed forms, and all that can be wrong.

Owns: the contract of curve_fit and of `statistics`; rows of SciPy's traps that are about them.
Must not know: how a fit is made.  Next: test_nist.py (certified answers), fastad/optimize/curve_fitting.py.
"""
import copy
import pickle
import warnings

import mpmath
import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from scipy.optimize import Bounds, OptimizeWarning
from scipy.sparse import csr_array

import fastad as ad
from fastad import optimize
from fastad.errors import EscapedTracerError, ShapeError, StaleTapeError, TracerError, UnsupportedError
from fastad.optimize import curve_fit, fit_data, statistics

T = np.linspace(0.0, 4.0, 30)
NOISE = np.random.default_rng(5).normal(size=30)
DATA = 2.5 * np.exp(-1.3 * T) + 0.5 + 0.05 * NOISE


def decay(t, a, k, c):
    return a * np.exp(-k * t) + c


def line(x, a, b):
    return a + b * x


def near(ours, theirs, rtol=1e-5):
    np.testing.assert_allclose(ours[0], theirs[0], rtol=rtol)
    np.testing.assert_allclose(ours[1], theirs[1], rtol=10 * rtol)


# ---- as SciPy's ------------------------------------------------------------------------------------------------------

CORRELATED = 0.003 * (np.eye(30) + 0.5 * np.eye(30, k=1) + 0.5 * np.eye(30, k=-1))


@pytest.mark.parametrize("options", [
    {}, {"p0": [1, 1, 1]}, {"p0": (2.0, 1.0, 0.0)}, {"p0": np.array([1, 1, 0])}, {"method": "trf"},
    {"method": "dogbox"}, {"bounds": (0, 5)}, {"bounds": ([0, 0, 0], [5, 5, np.inf])},
    {"bounds": Bounds([0, 0, 0], [5, 5, 5])},
    {"sigma": 0.05}, {"sigma": [0.05]}, {"sigma": 0.05 + 0.01 * T}, {"sigma": 0.05 + 0.01 * T, "absolute_sigma": True},
    {"sigma": CORRELATED}, {"sigma": CORRELATED, "absolute_sigma": True}, {"sigma": 0.05, "absolute_sigma": True},
    {"sigma": CORRELATED, "bounds": (0, 5)}, {"method": "trf", "loss": "soft_l1", "f_scale": 0.05},
    {"jac": "3-point", "method": "trf"},
    {"jac": "2-point", "method": "trf"}, {"maxfev": 500}, {"method": "trf", "max_nfev": 500, "x_scale": [1, 2, 1]},
    {"ftol": 1e-12, "xtol": 1e-12}, {"check_finite": False}, {"nan_policy": "raise"},
], ids=str)
def test_agrees_with_scipy(options):
    tight = {"ftol": 1e-14, "xtol": 1e-14}
    if options.get("method", "lm") == "lm" and "bounds" not in options:
        tight = {"ftol": 1e-13, "xtol": 1e-13}
    near(curve_fit(decay, T, DATA, **options),
         scipy.optimize.curve_fit(decay, T, DATA, **{**tight, **options}))


def test_unpacks_as_scipys_tuple():
    fit = curve_fit(decay, T, DATA)
    popt, pcov = fit
    assert isinstance(fit, tuple) and len(fit) == 2 and fit[0] is popt and fit.x is popt and fit.covariance is pcov
    full = curve_fit(decay, T, DATA, full_output=True)
    popt, pcov, info, message, status = full
    assert isinstance(message, str) and status in (1, 2, 3, 4) and info["nfev"] == full.nfev
    np.testing.assert_allclose(info["fvec"], decay(T, *popt) - DATA, atol=1e-14)
    assert set(scipy.optimize.curve_fit(decay, T, DATA, full_output=True)[2]) <= set(info)
    other = curve_fit(decay, T, DATA, full_output=True, method="trf")
    assert len(other) == 5 and {"nfev", "fvec"} <= set(other[2])


@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_results_are_copied_and_pickled(clone):
    fit = curve_fit(decay, T, DATA)
    again = clone(fit)
    assert type(again) is type(fit) and again.report() == fit.report() and len(again) == 2


class Counted:
    """A model that counts its runs."""

    def __init__(self, f):
        self.f, self.runs = f, 0

    def __call__(self, *args):
        self.runs += 1
        return self.f(*args)


def test_the_model_is_recorded_once_and_audited_once():
    model = Counted(decay)
    fit = curve_fit(model, T, DATA, [1.0, 1.0, 1.0])
    assert (fit.recordings, model.runs) == (1, 2)
    assert curve_fit(model, T, DATA + 0.1, [1.0, 1.0, 1.0]).recordings == 0      # f and xdata are what they were
    assert fit.nfev > 3 and fit.njev > 3


def test_other_data_arrays_and_changed_state_are_not_mistaken():
    """A tape is shared by fits of one f only as long as everything that it captured is the same."""
    scale = np.ones(30)
    x = T.copy()

    def model(t, a, k):
        return scale * a * np.exp(-k * t)
    assert np.allclose(curve_fit(model, x, model(x, 2.0, 0.5)).x, [2.0, 0.5])
    x *= 2.0
    assert np.allclose(curve_fit(model, x, model(x, 2.0, 0.5)).x, [2.0, 0.5])
    scale = 3.0 * scale
    assert np.allclose(curve_fit(model, x, model(x, 2.0, 0.5)).x, [2.0, 0.5])
    scale[:] = 5.0
    assert np.allclose(curve_fit(model, x, model(x, 2.0, 0.5)).x, [2.0, 0.5])
    for y in (T + 1.0, T - 0.5):
        assert np.allclose(curve_fit(model, y, model(y, 2.0, 0.5)).x, [2.0, 0.5])


def test_a_fit_inside_another_one_of_the_same_model():
    """The inner one moves the point of the tape that both share."""
    inner = []

    def callback(intermediate_result):
        inner.append(curve_fit(decay, T, DATA + 1.0).x)
    fit = curve_fit(decay, T, DATA, method="trf", callback=callback) if takes_callback() else None
    if fit is None:
        pytest.skip("least_squares takes a callback from SciPy 1.16 on")
    assert len(inner) > 3
    np.testing.assert_allclose(fit.x, curve_fit(decay, T, DATA).x, rtol=1e-9)


def takes_callback():
    import inspect
    return "callback" in inspect.signature(scipy.optimize.least_squares).parameters


def test_branches_of_the_model_are_followed():
    def ramp(t, a, t0):
        return np.array([a * (x - t0) if x > t0 else 0.0 * a for x in t])
    fit = curve_fit(ramp, T, ramp(T, 2.0, 1.7), [1.0, 0.6])
    np.testing.assert_allclose(fit.x, [2.0, 1.7], rtol=1e-9)
    assert fit.recordings > 1


def test_what_is_computed_from_xdata_alone_may_use_any_library():
    def spline(t, a, b):
        from scipy.interpolate import CubicSpline
        return a * CubicSpline([0.0, 1.0, 2.5, 4.0], [0.0, 1.0, 0.3, 0.7])(t) + b
    np.testing.assert_allclose(curve_fit(spline, T, spline(T, 2.0, 0.3)).x, [2.0, 0.3])


@pytest.mark.parametrize("xdata", [list(T), tuple(T), T.astype(np.float32), {"t": T}, None])
def test_xdata_of_any_kind(xdata):
    def model(x, a, k, c):
        return decay(T if x is None else x["t"] if isinstance(x, dict) else x, a, k, c)
    fit = curve_fit(model, xdata, DATA)
    np.testing.assert_allclose(fit.x, curve_fit(decay, T, DATA).x, rtol=1e-5)


def test_shapes_of_models_and_data():
    """A number fits all data, one datum all of the model, grids are raveled, lists of numbers are arrays."""
    assert curve_fit(lambda x, c: c, T, DATA).x[0] == pytest.approx(DATA.mean())
    assert curve_fit(lambda x, c: c * x, T, 0.0, [1.0]).x[0] == pytest.approx(0.0, abs=1e-12)
    grid, scale = DATA.reshape(5, 6), np.linspace(1.0, 2.0, 30).reshape(5, 6)
    flat = curve_fit(decay, T, DATA, sigma=scale.ravel())
    for sigma in (scale, scale.ravel()):
        fit = curve_fit(lambda x, a, k, c: decay(x, a, k, c), T.reshape(5, 6), grid, sigma=sigma)
        near(fit, flat, 1e-9)
        assert fit.best_fit.shape == (5, 6)
    fit = curve_fit(lambda x, a, b: [a + b * e for e in x], T, DATA)
    near(fit, curve_fit(line, T, DATA), 1e-9)


def test_start_without_p0_is_scipys():
    seen = []

    def model(x, *p):
        seen.append([float(v) for v in p])
        return p[0] + p[1] * x + p[2] * x**2 + p[3] * x**3
    bounds = ([-np.inf, 0.0, -np.inf, 2.0], [np.inf, np.inf, 5.0, 4.0])
    scipy.optimize.curve_fit(lambda x, a, b, c, d: model(x, a, b, c, d), T, DATA, bounds=bounds)
    want = seen[0]
    assert want == [1.0, 1.0, 4.0, 3.0]
    assert fit_data.start(None, *map(np.array, bounds), list("abcd")).tolist() == want


def test_names_are_those_of_the_signature():
    class Model:
        def values(self, x, amplitude, rate=1.0):
            return amplitude * np.exp(-rate * x)
    assert curve_fit(Model().values, T, DATA).names == ["amplitude", "rate"]
    assert curve_fit(lambda x, a, *rest: a + rest[0] * x + rest[1] * x**2, T, DATA,
                     [1, 1, 1]).names == ["a", "rest[0]", "rest[1]"]
    assert curve_fit(max_of_both, T, T * 3, [1.0]).names == ["p[0]"]


def max_of_both(*args):
    """No parameter has a name."""
    return args[0] * args[1]


def test_user_jacobians_dense_and_sparse():
    """SciPy's curve_fit refuses a sparse one; here it is made dense.  Nothing is recorded."""
    def jacobian(t, a, k, c):
        e = np.exp(-k * t)
        return np.array([e, -a * t * e, np.ones_like(t)]).T
    want = curve_fit(decay, T, DATA, sigma=1.0 + T)
    for jac in (jacobian, lambda *p: csr_array(jacobian(*p))):
        for method in ("lm", "trf"):
            fit = curve_fit(decay, T, DATA, sigma=1.0 + T, jac=jac, method=method)
            near(fit, want, 1e-8)
            assert fit.recordings == 0
    fit = curve_fit(decay, T, DATA, sigma=1.0 + T, jac=lambda *p: jacobian(*p).T, col_deriv=True)
    near(fit, want, 1e-8)
    calls = []
    curve_fit(decay, T, DATA, jac=lambda t, *p: calls.append(p) or jacobian(t, *p))
    assert all(a != b for a, b in zip(calls, calls[1:], strict=False))      # scipy#13670: never twice at one point
    with pytest.raises(ShapeError, match="one column for each of the 3"):
        curve_fit(decay, T, DATA, jac=lambda *p: jacobian(*p)[:, :2])


@pytest.mark.parametrize("scheme", ["2-point", "3-point", "cs"])
@pytest.mark.parametrize("method", ["lm", "trf"])
def test_difference_schemes(scheme, method):
    """For a model that cannot be recorded; plain f is all that runs."""
    fit = curve_fit(decay, T, DATA, jac=scheme, method=method, xtol=1e-12, ftol=1e-12)
    near(fit, curve_fit(decay, T, DATA), 1e-5)
    assert fit.recordings == 0


def test_nan_policy_omit_drops_observations_and_their_sigma():
    x, y, sigma = T.copy(), DATA.copy(), 1.0 + T
    x[3] = y[7] = np.nan
    kept = np.isfinite(x) & np.isfinite(y)
    want = curve_fit(decay, T[kept], DATA[kept], sigma=sigma[kept])
    near(curve_fit(decay, x, y, sigma=sigma, nan_policy="omit"), want, 1e-9)
    near(curve_fit(decay, x, y, sigma=np.diag(sigma**2), nan_policy="omit"), want, 1e-8)


# ---- independent answers ---------------------------------------------------------------------------------------------

def exact(x, y, columns, digits=60):
    """Linear least squares with mpmath: parameters, covariance."""
    with mpmath.workdps(digits):
        matrix = mpmath.matrix([[mpmath.mpf(float(v)) for v in row] for row in np.array(columns).T])
        data = mpmath.matrix([mpmath.mpf(float(v)) for v in y])
        inverse = (matrix.T * matrix)**-1
        p = inverse * (matrix.T * data)
        r = matrix * p - data
        s2 = (r.T * r)[0] / (len(y) - len(columns))
        return np.array([float(v) for v in p]), np.array((inverse * s2).tolist(), dtype=float)


@pytest.mark.parametrize("scales", [(1.0, 1.0, 1.0), (1e9, 1.0, 1e-9), (1e-150, 1.0, 1e150), (1e-9, 1e12, 1e-3)])
def test_covariance_does_not_depend_on_units(scales):
    """scipy#12715: parameters of 1e-9 beside such of 1e9; SciPy's pseudo-inverse drops one and says zero."""
    s = np.array(scales)

    def model(t, a, b, c):
        return a / s[0] + b / s[1] * t + c / s[2] * t**2
    fit = curve_fit(model, T, DATA, p0=s)
    p, covariance = exact(T, DATA, [np.ones(30), T, T**2])
    np.testing.assert_allclose(fit.x, p * s, rtol=1e-10)
    np.testing.assert_allclose(fit.covariance, covariance * np.outer(s, s), rtol=1e-10)
    np.testing.assert_allclose(fit.condition, curve_fit(model, T, DATA, p0=s, method="trf").condition, rtol=1e-6)


def test_scipys_trap_is_still_there():
    """The row that the test above is for: where this fails, SciPy was mended, and the row may go."""
    s = np.array([1e9, 1.0, 1e-9])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, pcov = scipy.optimize.curve_fit(lambda t, a, b, c: a / s[0] + b / s[1] * t + c / s[2] * t**2, T, DATA, p0=s,
                                           method="trf")
    _, covariance = exact(T, DATA, [np.ones(30), T, T**2])
    assert not np.allclose(np.diag(pcov), np.diag(covariance) * s**2, rtol=1e-3, atol=0.0)


@pytest.mark.parametrize("a, b", [(1.0, 0.0), (0.0, 1.0), (0.0, 0.0), (1.0, 1.0)])
@pytest.mark.parametrize("noise", [0.01, 0.001])
def test_zeros_in_the_solution(a, b, noise):
    """scipy#21995: with "lm", parameters that come out as zero spoil SciPy's covariance."""
    x = np.linspace(-1.0, 1.0, 20)
    y = a + b * x**2 + noise * x**3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit = curve_fit(lambda x, a, b: a + b * x**2, x, y)
    p, covariance = exact(x, y, [np.ones(20), x**2])
    np.testing.assert_allclose(fit.x, p, atol=1e-13)
    np.testing.assert_allclose(fit.covariance, covariance, rtol=1e-9)


def test_line_by_hand():
    """The textbook's formulae for a straight line: Draper & Smith, Applied Regression Analysis, chapter 1."""
    fit = curve_fit(line, T, DATA)
    n, mean = 30, T.mean()
    sxx = np.sum((T - mean)**2)
    slope = np.sum((T - mean) * DATA) / sxx
    rest = DATA - (DATA.mean() + slope * (T - mean))
    s2 = rest @ rest / (n - 2)
    np.testing.assert_allclose(fit.x, [DATA.mean() - slope * mean, slope], rtol=1e-12)
    np.testing.assert_allclose(fit.stderr, np.sqrt([s2 * (1 / n + mean**2 / sxx), s2 / sxx]), rtol=1e-12)
    np.testing.assert_allclose(fit.correlation, [[1.0, -mean / np.sqrt(mean**2 + sxx / n)]] * 1
                               + [[-mean / np.sqrt(mean**2 + sxx / n), 1.0]], rtol=1e-12)
    assert (fit.observations, fit.dof) == (30, 28)
    assert fit.chi2 == pytest.approx(rest @ rest) and fit.reduced_chi2 == pytest.approx(s2)
    assert fit.residual_std == pytest.approx(np.sqrt(s2))
    assert fit.r_squared == pytest.approx(np.corrcoef(T, DATA)[0, 1]**2)
    assert fit.aic == pytest.approx(n * np.log(rest @ rest / n) + 4)
    assert fit.bic == pytest.approx(n * np.log(rest @ rest / n) + 2 * np.log(n))
    t = scipy.stats.t.ppf(0.95, 28)
    np.testing.assert_allclose(fit.confidence_interval(0.9).T, fit.x + t * np.array([-1, 1])[:, None] * fit.stderr)
    known = curve_fit(line, T, DATA, sigma=0.3, absolute_sigma=True)
    np.testing.assert_allclose(known.stderr, 0.3 * np.sqrt([1 / n + mean**2 / sxx, 1 / sxx]), rtol=1e-12)
    np.testing.assert_allclose(known.confidence_interval(0.9)[:, 1] - known.x, 1.6448536269514722 * known.stderr)
    assert known.aic == pytest.approx(rest @ rest / 0.09 + 4)


def test_r_squared_with_weights_and_covariance():
    """About the weighted mean: a constant explains nothing, whatever the weights."""
    for sigma in (None, 1.0 + T, CORRELATED):
        assert curve_fit(lambda x, c: c, T, DATA, sigma=sigma).r_squared == pytest.approx(0.0, abs=1e-12)
    assert curve_fit(decay, T, decay(T, 2.0, 1.0, 0.5), sigma=CORRELATED).r_squared == pytest.approx(1.0)


def test_solutions_are_exact_to_the_last_digits():
    """The projection of the residuals on the Jacobian vanishes; a large residual needs second derivatives for that."""
    large = DATA + 0.8 * np.cos(3 * T)
    for method in ("lm", "trf"):
        fit = curve_fit(decay, T, large, method=method)
        cosine = np.linalg.norm(np.linalg.qr(fit.jac)[0].T @ fit.fun) / np.linalg.norm(fit.fun)
        assert cosine < 1e-9
    loose = curve_fit(decay, T, large, ftol=1e-2, xtol=1e-2)           # who asks for less gets less
    assert np.linalg.norm(loose.x - fit.x) > 1e-7


def test_coverage_of_the_intervals():
    """Of 95 % intervals 95 % hold the truth: 300 sets of noise, seeded; the binomial standard error is 1.3 %."""
    rng = np.random.default_rng(3)
    truth = np.array([2.5, 1.3, 0.5])
    clean, t, held = decay(T[::3], *truth), T[::3], []
    for _ in range(300):
        low, high = curve_fit(decay, t, clean + 0.05 * rng.normal(size=10), p0=truth).confidence_interval().T
        held.append((low < truth) & (truth < high))
    assert np.all(np.abs(np.mean(held, axis=0) - 0.95) < 0.04), np.mean(held, axis=0)


# ---- statistics of least_squares -------------------------------------------------------------------------------------

def test_statistics_of_a_least_squares_result():
    def residuals(p):
        return decay(T, *p) - DATA
    want = curve_fit(decay, T, DATA)
    for solve in (optimize.least_squares, scipy.optimize.least_squares):
        found = statistics(solve(residuals, [1.0, 1.0, 1.0], xtol=1e-14, ftol=1e-14), names=["a", "k", "c"])
        np.testing.assert_allclose(found.covariance, want.covariance, rtol=1e-5)
        assert found.dof == 27 and found.names == ["a", "k", "c"] and not found.robust
    found = statistics(optimize.least_squares(residuals, [1.0, 1.0, 1.0]))
    assert found.names == ["x[0]", "x[1]", "x[2]"] and "x[1]" in found.report()
    sparse = scipy.optimize.least_squares(residuals, [1.0, 1.0, 1.0], jac=lambda p: csr_array(want.jac))
    np.testing.assert_allclose(statistics(sparse).covariance, want.covariance, rtol=1e-2)


def test_statistics_of_a_robust_loss():
    """SciPy's modified Jacobian and the cost of the loss, as scipy.optimize.curve_fit does it."""
    data = DATA.copy()
    data[4] += 3.0
    options = {"method": "trf", "loss": "soft_l1", "f_scale": 0.05}
    ours = curve_fit(decay, T, data, **options)
    near(ours, scipy.optimize.curve_fit(decay, T, data, jac="3-point", **options), 1e-4)
    assert ours.robust and "robust loss" in ours.report() and np.isnan(ours.aic) and np.isnan(ours.r_squared)
    by_hand = statistics(optimize.least_squares(lambda p: decay(T, *p) - data, [1.0, 1.0, 1.0], loss="soft_l1",
                                                f_scale=0.05))
    assert by_hand.robust
    np.testing.assert_allclose(by_hand.covariance, ours.covariance, rtol=1e-3)


def test_statistics_refuse_what_has_no_jacobian():
    with pytest.raises(TypeError, match="least_squares"):
        statistics(optimize.minimize(lambda x: np.sum(x**2), np.ones(2)))
    with pytest.raises(ValueError, match="2 names for 3 parameters"):
        statistics(optimize.least_squares(lambda p: decay(T, *p) - DATA, np.ones(3)), names=["a", "b"])
    with pytest.raises(ValueError, match="level 95"):
        curve_fit(decay, T, DATA).confidence_interval(95)


# ---- what the data do not determine ----------------------------------------------------------------------------------

def test_a_combination_that_is_not_determined_is_named():
    with pytest.warns(OptimizeWarning, match=r"could not be estimated.*moving a, b by \(1, -0.5\) together") as seen:
        fit = curve_fit(lambda x, a, b, c: (a + 2 * b) * x + c, T, DATA)
    assert seen[0].filename == __file__
    assert np.all(np.isinf(fit.covariance)) and np.all(np.isinf(fit.stderr)) and np.isinf(fit.condition)
    assert fit.undetermined == ["a, b by (1, -0.5)"] and "WARNING" in fit.report() and "inf" in fit.report()
    assert fit.x[0] + 2 * fit.x[1] == pytest.approx(np.polyfit(T, DATA, 1)[0])


def test_a_parameter_without_influence_is_named():
    with pytest.warns(OptimizeWarning, match="moving c alone"):
        fit = curve_fit(lambda x, a, b, c: a + b * x + 0 * c, T, DATA)
    assert fit.undetermined == ["c"] and np.isnan(fit.correlation[0, 1])
    with pytest.warns(OptimizeWarning, match="; or moving"):
        fit = curve_fit(lambda x, a, b, c, d, k: a + (b + c) * x + d * x**2 + 0 * k, T, DATA)
    assert len(fit.undetermined) == 2


def test_ill_conditioning_names_the_parameters():
    with pytest.warns(OptimizeWarning, match=r"hardly determine.*moving a, b by \(1, -1\)"):
        fit = curve_fit(lambda x, a, b, c: a * x + b * x * (1 + 1e-9 * x) + c, T, DATA)
    assert 1e8 < fit.condition < 1e13 and np.all(np.isfinite(fit.stderr))


def test_derivatives_that_are_not_finite_at_the_solution():
    """sqrt(x - b) where b is a datum: its derivative there is infinite, and nothing is said of the errors."""
    x = np.linspace(0.0, 4.0, 20)
    with pytest.warns(OptimizeWarning, match="derivatives of the residuals by b are not finite.*debug_nonfinite"):
        with np.errstate(all="ignore"):
            fit = curve_fit(lambda x, a, b: a + np.sqrt(x - b), x, 1 + np.sqrt(x), [1.0, 0.0], method="lm")
    assert np.all(np.isinf(fit.covariance)) and "WARNING" in fit.report()


def test_no_degree_of_freedom():
    with pytest.warns(OptimizeWarning, match="2 observations of 2 parameters leave no degree of freedom"):
        fit = curve_fit(line, [0.0, 1.0], [1.0, 3.0])
    assert np.all(np.isinf(fit.covariance)) and np.allclose(fit.x, [1.0, 2.0])
    known = curve_fit(line, [0.0, 1.0], [1.0, 3.0], sigma=0.1, absolute_sigma=True)
    np.testing.assert_allclose(known.covariance, [[0.01, -0.01], [-0.01, 0.02]], atol=1e-15)
    with pytest.raises(TypeError, match="func parameters=3 must not exceed the number of data points=2"):
        curve_fit(decay, [0.0, 1.0], [1.0, 3.0])
    with pytest.warns(OptimizeWarning, match="could not be estimated"):
        assert np.all(np.isinf(curve_fit(decay, [0.0, 1.0], [1.0, 3.0], method="trf").covariance))


def test_parameters_at_bounds_are_marked():
    fit = curve_fit(decay, T, DATA, bounds=([0, 0, 0.6], [10, 10, 10]))
    assert fit.active.tolist() == [0, 0, -1] and fit.x[2] == pytest.approx(0.6)
    assert "(at lower bound)" in fit.report() and "c is at its lower bound" in fit.report()
    fit = curve_fit(decay, T, DATA, bounds=([0, 0, 0], [2.0, 10, 10]))
    assert "(at upper bound)" in fit.report()


# ---- the report ------------------------------------------------------------------------------------------------------

def test_report_has_what_a_reader_looks_for():
    fit = curve_fit(decay, T, DATA, sigma=0.05)
    text = fit.report()
    for word in ("decay (", "test_curve_fit.py", "by lm", f"{fit.nfev} evaluations", "recording", "95 % interval",
                 f"{fit.x[1]:.8g}", f"{fit.stderr[1]:.3g}", "30 observations, 3 parameters, 27 degrees of freedom",
                 f"chi2 {fit.chi2:.8g}", "R2 0.99", "AIC", "BIC", "condition number", "k, c"):
        assert word in text, word
    assert max(map(len, text.splitlines())) <= 120 and str(fit) == text and "WARNING" not in text
    assert "correlations" not in fit.report(min_correlation=0.999) and "99 % interval" in fit.report(level=0.99)
    assert repr(fit).startswith("<curve_fit: a=2.48")


# ---- bad input -------------------------------------------------------------------------------------------------------

ASYMMETRIC = CORRELATED.copy()
ASYMMETRIC[0, 5] = 0.001
BAD_Y = np.where(np.arange(30) == 8, np.nan, DATA)


@pytest.mark.parametrize("options, error, message", [
    ({"sigma": np.where(T > 3.9, 0.0, 1.0)}, ValueError, r"positive and finite, and sigma\[29\] is 0 \(1 such"),
    ({"sigma": -np.ones(30)}, ValueError, r"sigma\[0\] is -1 \(30 such"),
    ({"sigma": np.where(T > 2, np.nan, 1.0)}, ValueError, r"is nan"),
    ({"sigma": np.where(T > 2, np.inf, 1.0)}, ValueError, r"is inf"),
    ({"sigma": 0.0}, ValueError, r"positive and finite"),
    ({"sigma": np.ones(29)}, ValueError, r"`sigma` has incorrect shape: \(29,\) for 30 observations"),
    ({"sigma": np.ones((30, 2))}, ValueError, "incorrect shape"),
    ({"sigma": -CORRELATED}, ValueError, "`sigma` must be positive definite"),
    ({"sigma": ASYMMETRIC}, ValueError, "symmetric"),
    ({"sigma": CORRELATED * np.nan}, ValueError, "not finite"),
    ({"sigma": 1j * np.ones(30)}, TypeError, "sigma is complex"),
    ({"p0": [1.0, np.nan, 1.0]}, ValueError, "start of k is nan"),
    ({"p0": [1.0, 9.0, 1.0], "bounds": (0, 5)}, ValueError, "Initial guess is outside .* k starts at 9, .* 0 .. 5"),
    ({"bounds": (5, 0)}, ValueError, "lower bound 5 of a is not below the upper one 0"),
    ({"bounds": ([0, 0], [5, 5])}, ValueError, r"one number for each of the 3 parameters \(a, k, c\)"),
    ({"bounds": 5}, ValueError, "pair"),
    ({"bounds": (0, 5), "method": "lm"}, ValueError, "only works for unconstrained"),
    ({"method": "newton"}, ValueError, "none of 'lm', 'trf', 'dogbox'"),
    ({"jac": "exact"}, ValueError, "neither callable nor one of 2-point"),
    ({"args": (1,)}, ValueError, "'args' is not a supported"),
    ({"nan_policy": "propagate"}, ValueError, "nan_policy"),
    ({"maxfev": 3}, RuntimeError, r"Optimal parameters not found: .*\(chi2 .* at a="),
    ({"p0": [1.0, 1e9, -np.inf]}, ValueError, "start of c is -inf"),
    ({"bogus": 1}, TypeError, "bogus"),
], ids=str)
def test_bad_input_is_named(options, error, message):
    with pytest.raises(error, match=message), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        curve_fit(decay, T, DATA, **options)


def test_bad_data_is_named():
    with pytest.raises(ValueError, match=r"ydata must not contain infs or NaNs: 1 do not pass, the first at \[8\]"):
        curve_fit(decay, T, BAD_Y)
    with pytest.raises(ValueError, match="xdata must not contain infs or NaNs"):
        curve_fit(decay, np.where(T > 3, np.inf, T), DATA)
    with pytest.raises(ValueError, match="contains nan"):
        curve_fit(decay, T, BAD_Y, nan_policy="raise")
    with pytest.raises(ValueError, match="1 of 30 residuals are not finite at the start a=1, k=1, c=1"):
        curve_fit(decay, T, BAD_Y, check_finite=False)
    with pytest.raises(ValueError, match="must not be empty"):
        curve_fit(decay, [], [])
    with pytest.raises(TypeError, match="ydata is complex"):
        curve_fit(decay, T, DATA + 1j)
    with pytest.raises(ShapeError, match=r"decay.* returns shape \(30,\), and ydata has shape \(29,\)"):
        curve_fit(decay, T, DATA[1:])
    with pytest.raises(ShapeError, match=r"returns shape \(30, 1\)"):      # NumPy would fit 900 residuals
        curve_fit(lambda x, a, b: (a + b * x)[:, None], T, DATA)
    with pytest.raises(ValueError, match="pass p0"):
        curve_fit(lambda x, *p: p[0] * x, T, DATA)


def test_a_start_outside_the_domain_is_an_error_and_a_step_outside_is_not():
    def model(x, a, b):
        return a * np.log(x - b)
    x = np.linspace(1.0, 5.0, 30)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        with pytest.raises(ValueError, match="not finite at the start a=1, b=2.*debug_nonfinite"):
            curve_fit(model, x, model(x, 2.0, 0.9), [1.0, 2.0])
        for method in ("lm", "trf"):
            fit = curve_fit(model, x, model(x, 2.0, 0.9), [5.0, -30.0], method=method)
            np.testing.assert_allclose(fit.x, [2.0, 0.9], rtol=1e-7)


def test_a_model_that_is_no_function_is_found_out():
    """Nothing that the search for state sees: only the audit at the solution does."""
    state = iter(np.linspace(1.0, 2.0, 100))

    def model(x, a, b):
        return a + b * x * next(state)
    with pytest.raises(StaleTapeError):
        curve_fit(model, T, DATA)


def test_kinks_at_the_solution():
    """|x - b| where b meets a datum: derivative 0 there, and the fit stays where it is least."""
    x = np.linspace(-1.0, 1.0, 21)
    fit = curve_fit(lambda x, a, b: a * np.abs(x - b), x, 2.0 * np.abs(x), [1.0, 0.13])
    np.testing.assert_allclose(fit.x, [2.0, 0.0], atol=1e-7)


def test_a_fit_is_no_part_of_a_recording():
    """It would look like a constant to the derivative, and be one that is wrong."""
    def outer(z):
        return np.sum(z * curve_fit(decay, T, DATA)[0])
    with pytest.raises(UnsupportedError, match="while a function is recorded.*Fit before"):
        ad.grad(outer)(np.ones(3))
    v = ad.variable(2.0)
    with pytest.raises(EscapedTracerError, match="two unrelated recordings"):
        curve_fit(lambda x, a: v * a * x, T, DATA)
    assert curve_fit(lambda x, a: ad.peek(v) * a * x, T, 3 * T).x[0] == pytest.approx(1.5)
    for options in ({"p0": [v, v, v]}, {"sigma": v}):
        with pytest.raises((TypeError, TracerError)):
            curve_fit(decay, T, DATA, **options)
