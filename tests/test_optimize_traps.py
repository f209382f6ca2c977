"""The traps of scipy.optimize, one named test a row of the table in the research notes (inverse_peers 2.9).

Owns: what SciPy does to those who provide derivatives, and that the bridge is safe from it, on every SciPy supported.
Elsewhere: curve_fit's rows (dense Jacobian, covariance by scaled QR) with the fits; resuming L-BFGS-B from its saved
state belongs to the inversions.
Next: test_optimize.py (methods and sweeps), test_optimize_bridge.py (the user's side), test_optimize_fuzz.py.
"""
import contextlib
import inspect
import io
import logging

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse
from scipy.sparse.linalg import LinearOperator, aslinearoperator

from fastad import optimize
from fastad.optimize.methods import METHODS

START = np.tile([1.3, 0.7, 0.8, 1.9, 1.2], 2)
KNOWN = [m for m in METHODS if m in {k.lower() for k in scipy.optimize._minimize.MINIMIZE_METHODS}]
GRADIENT = [m for m in KNOWN if METHODS[m]]
PRODUCTS = [m for m in KNOWN if "hessp" in METHODS[m]]
OPTIONS = {"tnc": {"maxfun": 3000}, "trust-constr": {"maxiter": 3000},
           "nelder-mead": {"maxfev": 20000, "adaptive": True}, "cobyla": {"maxiter": 20000}, "slsqp": {"ftol": 1e-12}}
C = np.array([1.0, 2.0, 0.5])
DOMAIN_STARTS = ([20.0, 0.01, 5.0], [1e-3, 1e-3, 1e-3], [50.0, 80.0, 30.0])


def rosenbrock(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def residuals(x):
    return np.concatenate([10.0 * (x[1:] - x[:-1] ** 2), 1.0 - x[:-1]])


def barrier(x):
    """Defined for x > 0; its minimum is at 1 / C."""
    return np.sum(C * x) - np.sum(np.log(x))


def roots(x):
    """Defined for x >= 0, with an infinite slope at 0; its minimum is at 1 / 1.21."""
    return np.sum((np.sqrt(x) - 1.0) ** 2 + 0.1 * x)


def few(method, n):
    """Options for at most n iterations."""
    return {"maxfun": 4 * n} if method == "tnc" else {"maxiter": n}


class Between:
    """Stands between the bridge and SciPy: keeps what SciPy is given and what the given functions return."""

    def __init__(self, monkeypatch, name="minimize"):
        self.true, self.arrays = getattr(scipy.optimize, name), []
        monkeypatch.setattr(scipy.optimize, name, self)

    def __call__(self, *args, **kwargs):
        self.args, self.kwargs = args, kwargs
        return self.true(*[self.watched(a) if k < 7 else a for k, a in enumerate(args)], **kwargs)

    def watched(self, f):
        if not callable(f):
            return f

        def inner(*args):
            result = f(*args)
            if isinstance(result, np.ndarray):
                self.arrays.append(result)
            return result
        return inner


# ---- rows ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("method", GRADIENT)
def test_value_and_gradient_are_asked_for_separately_and_swept_once(method):
    p = optimize.Objective(rosenbrock)
    result = optimize.minimize(p, START if method != "dogleg" else np.full(10, 1.2), method=method,
                               options=OPTIONS.get(method))
    assert p.sweeps.forward <= result.nfev + 1
    assert p.sweeps.reverse <= max(result.get("njev", 0), result.nfev) + 1
    assert p.stats().recordings == 1


@pytest.mark.parametrize("method", GRADIENT)
def test_arrays_that_a_method_keeps_are_never_written_again(method, monkeypatch):
    """BFGS, CG and trust-krylov keep gradients: with a buffer that is used again they end elsewhere."""
    between = Between(monkeypatch)
    optimize.minimize(rosenbrock, np.full(4, 1.2), method=method, options=few(method, 12))
    kept = [a.copy() for a in between.arrays]
    assert len(kept) > 5
    for i, a in enumerate(between.arrays):
        assert np.array_equal(a, kept[i]) and a.flags.owndata
        assert not any(np.shares_memory(a, b) for b in between.arrays[:i])


def test_a_reused_buffer_is_what_breaks_bfgs():
    """The trap itself: why the test above is there."""
    buffer = np.empty(10)

    def lent(x):
        buffer[:] = scipy.optimize.rosen_der(x)
        return buffer
    broken = scipy.optimize.minimize(scipy.optimize.rosen, START, jac=lent, method="BFGS")
    assert broken.fun > 1e-3 and optimize.minimize(rosenbrock, START, method="BFGS").fun < 1e-9


@pytest.mark.parametrize("loss", ["soft_l1", "cauchy", "arctan", "huber"])
@pytest.mark.parametrize("method", ["trf", "dogbox"])
def test_robust_losses_scale_residuals_and_jacobian_in_place(loss, method):
    r = optimize.Residuals(residuals)
    ours = optimize.least_squares(r, START, loss=loss, method=method)
    theirs = scipy.optimize.least_squares(residuals, START, loss=loss, method=method, jac="3-point")
    np.testing.assert_allclose(ours.x, theirs.x, atol=1e-5)
    np.testing.assert_array_equal(r.value(ours.x), residuals(ours.x))
    np.testing.assert_allclose(r.jacobian(ours.x), scipy.optimize.approx_fprime(ours.x, residuals), atol=1e-5)


def test_no_dense_matrix_is_the_default_for_many_unknowns():
    n = 2001
    result = optimize.minimize(lambda x: np.sum((x - 1.0) ** 2), np.zeros(n))
    assert result.success and isinstance(result.hess_inv, LinearOperator)        # BFGS: an array of 2001 x 2001
    from fastad.optimize.methods import chosen_method
    assert chosen_method(n, False, True, None, None, None) == "trust-constr"     # SLSQP is dense, too


@pytest.mark.parametrize("bounds", [[(None, None)] * 10, [(-np.inf, np.inf)] * 10, scipy.optimize.Bounds()])
def test_infinite_bounds_are_none(bounds, monkeypatch):
    between = Between(monkeypatch)
    optimize.minimize(rosenbrock, START, method="L-BFGS-B", bounds=bounds)
    assert between.args[7] is None


@pytest.mark.parametrize("method", KNOWN)
def test_nan_is_never_a_success(method):
    """The only minimum is where the function stops to exist: nothing to find, nothing to call found."""
    def f(x):
        return np.sum(np.where(x > 1.0, x, np.nan) ** 2)
    with contextlib.suppress(np.linalg.LinAlgError):     # dogleg wants a positive definite matrix
        result = optimize.minimize(f, [3.0, 2.0], method=method, options=few(method, 60))
        assert np.isfinite(result.fun) and np.all(result.x > 1.0)
        assert result.fun == f(result.x)


@pytest.mark.parametrize("method", ["l-bfgs-b", "bfgs", "tnc"])
def test_success_is_taken_back_where_the_end_is_outside(method, monkeypatch):
    """Whatever made the method stop there."""
    def outside(*args):
        args[0](args[1])
        return scipy.optimize.OptimizeResult(x=np.array([-1.0, 1.0, 1.0]), fun=args[0](np.array([-1.0, 1.0, 1.0])),
                                             success=True, status=0, message="converged")
    monkeypatch.setattr(scipy.optimize, "minimize", outside)
    result = optimize.minimize(barrier, [2.0, 3.0, 4.0], method=method)
    assert not result.success and result.status != 0 and result.stand_ins == 1
    np.testing.assert_array_equal(result.x, [2.0, 3.0, 4.0])
    assert result.fun == barrier(result.x)
    assert all(part in result.message for part in ("NOT A SUCCESS", "log(", "test_optimize_traps.py:"))


@pytest.mark.parametrize("start", DOMAIN_STARTS)
@pytest.mark.parametrize("method", KNOWN)
@pytest.mark.parametrize("f, best", [(barrier, 1.0 / C), (roots, np.full(3, 1.0 / 1.21))])
def test_the_stand_in_solves_what_infinity_does_not(method, f, best, start):
    result = optimize.minimize(f, start, method=method, options=OPTIONS.get(method))
    assert result.success, result.message
    np.testing.assert_allclose(result.x, best, rtol=5e-3)
    assert result.stand_ins >= 0 and np.isfinite(result.fun)


def test_infinity_makes_lbfgsb_stop_with_success_elsewhere():
    """The trap itself, for SciPy alone: one of the starts ends wrongly and calls it a success, or all fail."""
    def value(x):
        with np.errstate(all="ignore"):
            y = barrier(x)
            return (y, C - 1.0 / x) if np.isfinite(y) else (np.inf, np.zeros(3))
    theirs = [scipy.optimize.minimize(value, x0, jac=True, method="L-BFGS-B") for x0 in DOMAIN_STARTS]
    right = [t.success and np.allclose(t.x, 1.0 / C, rtol=5e-3) for t in theirs]
    assert not all(right)


def test_each_stand_in_is_counted_and_logged(caplog):
    with caplog.at_level(logging.INFO, "fastad.optimize"):
        result = optimize.minimize(barrier, [50.0, 80.0, 30.0], method="L-BFGS-B")
    assert result.stand_ins == len(caplog.records) > 0
    first = caplog.records[0].getMessage()
    assert "barrier" in first and "log(" in first and "test_optimize_traps.py:" in first


def test_a_function_may_say_infinity_itself():
    """``return np.inf`` is how many functions say that a point is outside; nothing in it is traced."""
    def f(x):
        if x[0] <= 0.0:
            return np.inf
        return x[0] - np.log(x[0]) + (x[1] - x[0]) ** 2
    for method in ("L-BFGS-B", "BFGS", "trust-ncg", "SLSQP"):
        result = optimize.minimize(f, [9.0, -3.0], method=method)
        assert result.success
        np.testing.assert_allclose(result.x, [1.0, 1.0], atol=1e-3)


@pytest.mark.parametrize("method", GRADIENT)
def test_second_derivatives_go_in_as_each_method_accepts_them(method, monkeypatch):
    """A LinearOperator as hess is refused by all but Newton-CG and trust-constr: products, or a dense matrix."""
    between = Between(monkeypatch)
    optimize.minimize(rosenbrock, np.full(4, 1.2), method=method, options=few(method, 5))
    hess, hessp = between.args[5:7]
    assert (hess is not None) == ("hess" in METHODS[method]) and (hessp is not None) == ("hessp" in METHODS[method])
    if hess is not None:
        matrix = hess(np.full(4, 1.1))
        np.testing.assert_allclose(matrix, scipy.optimize.rosen_hess(np.full(4, 1.1)), rtol=1e-12)
        assert type(matrix) is np.ndarray and matrix.flags.c_contiguous


@pytest.mark.parametrize("kind", ["operator", "sparse"])
@pytest.mark.parametrize("method", PRODUCTS + ["dogleg", "trust-exact"])
def test_a_hessian_of_the_users_may_be_an_operator_or_sparse_for_every_method(method, kind):
    """SciPy documents both for all, and raises TypeError or AttributeError in trust-ncg, -krylov, -exact and dogleg."""
    def hess(x):
        matrix = scipy.optimize.rosen_hess(x)
        return aslinearoperator(matrix) if kind == "operator" else scipy.sparse.csr_array(matrix)
    result = optimize.minimize(rosenbrock, np.full(5, 1.2), method=method, hess=hess)
    assert result.success
    np.testing.assert_allclose(result.x, np.ones(5), atol=1e-3)


@pytest.mark.parametrize("method", PRODUCTS)
def test_products_repeat_at_one_point_which_is_linearised_once(method, monkeypatch):
    points = []
    true = optimize.Objective.hvp
    monkeypatch.setattr(optimize.Objective, "hvp", lambda self, x, v: points.append(x.tobytes()) or true(self, x, v))
    p = optimize.Objective(rosenbrock)
    optimize.minimize(p, START, method=method, options=OPTIONS.get(method))
    assert len(points) > 2 * len(set(points)), "this method does not repeat: the test shows nothing"
    assert p.sweeps.linearised <= len(set(points)) and p.sweeps.tangent == len(points)


def test_a_rejected_step_does_not_cost_the_linearisation():
    p = optimize.Objective(rosenbrock)
    x, v = START, np.ones(10)
    for k in range(5):
        p.hvp(x, v)
        p.value(x + 1.0 + k)
        p.gradient(x + 1.0 + k)
    assert p.sweeps.linearised == 1
    np.testing.assert_allclose(p.gradient(x + 5.0), scipy.optimize.rosen_der(x + 5.0), rtol=1e-12)
    assert p.sweeps.forward == 5


@pytest.mark.parametrize("options", [{"method": "lm"}, {"x_scale": "jac"}, {"tr_solver": "lsmr"}, {"method": "dogbox"},
                                     {"method": "dogbox", "tr_solver": "lsmr"}])
def test_least_squares_gets_a_dense_jacobian_which_every_solver_takes(options, monkeypatch):
    """A LinearOperator is refused by lm and by x_scale="jac"; a sparse one forces lsmr."""
    between = Between(monkeypatch, "least_squares")
    result = optimize.least_squares(residuals, START, **options)
    np.testing.assert_allclose(result.x, np.ones(10), atol=1e-6)
    assert all(type(a) is np.ndarray and a.dtype == np.float64 for a in between.arrays)


def test_jac_sparsity_is_for_finite_differences_only():
    with pytest.raises(ValueError, match="jac_sparsity .* jac='2-point'"):
        optimize.least_squares(residuals, START, jac_sparsity=np.ones((18, 10)))
    result = optimize.least_squares(residuals, START, jac="2-point", jac_sparsity=np.ones((18, 10)))
    np.testing.assert_allclose(result.x, np.ones(10), atol=1e-5)


@pytest.mark.parametrize("x0", [START.astype(np.float32), START.reshape(2, 5), np.asfortranarray(START.reshape(2, 5)),
                                np.repeat(START, 2)[::2], {"a": START[:4].reshape(2, 2).T, "b": START[4:]}])
@pytest.mark.parametrize("method", ["L-BFGS-B", "BFGS", "trust-exact"])
def test_gradients_are_vectors_of_contiguous_float64_whatever_x0_is(x0, method, monkeypatch):
    def f(x):
        flat = np.concatenate([np.ravel(x["a"]), x["b"]]) if isinstance(x, dict) else np.ravel(x)
        return rosenbrock(flat)
    between = Between(monkeypatch)
    result = optimize.minimize(f, x0, method=method)
    assert result.fun < 1e-7
    for a in between.arrays:
        assert a.dtype == np.float64 and a.flags.c_contiguous and a.shape in ((10,), (10, 10))


@pytest.mark.parametrize("method", ["SLSQP", "trust-constr"])
def test_constraints_get_their_jacobian_and_weighted_hessian(method, monkeypatch):
    """SciPy alone: finite differences, and BFGS of n x n for each constraint."""
    seen = []

    def circle(x):
        return np.array([x @ x, x[0] * x[1] * x[2]])
    between = Between(monkeypatch)
    c = scipy.optimize.NonlinearConstraint(circle, [-np.inf, 0.1], [2.0, np.inf])
    result = optimize.minimize(lambda x: np.sum(np.exp(x)), [1.0, 0.5, 0.4], method=method, constraints=c,
                               callback=lambda x: seen.append(x))
    given = between.args[8][0]
    x, v, p = np.array([0.3, -0.7, 1.1]), np.array([2.0, -3.0]), np.array([1.0, 2.0, -0.5])
    np.testing.assert_allclose(given.jac(x), [2.0 * x, [x[1] * x[2], x[0] * x[2], x[0] * x[1]]], rtol=1e-14)
    if method == "trust-constr":
        curvature = given.hess(x, v)
        assert isinstance(curvature, LinearOperator)
        exact = 4.0 * np.eye(3) - 3.0 * np.array([[0, x[2], x[1]], [x[2], 0, x[0]], [x[1], x[0], 0]])
        np.testing.assert_allclose(curvature @ p, exact @ p, rtol=1e-14)
    assert circle(result.x)[1] >= 0.1 - 1e-6 and len(seen) >= 2
    theirs = scipy.optimize.minimize(lambda x: np.sum(np.exp(x)), [1.0, 0.5, 0.4], method="SLSQP", constraints=c)
    np.testing.assert_allclose(result.fun, theirs.fun, rtol=1e-4)


@pytest.mark.parametrize("method", KNOWN)
def test_callbacks_have_one_form(method):
    results, points = [], []
    start = np.full(4, 1.2)
    optimize.minimize(rosenbrock, start, method=method, options=few(method, 15),
                      callback=lambda intermediate_result: results.append(intermediate_result))
    optimize.minimize(rosenbrock, start, method=method, options=few(method, 15), callback=lambda xk: points.append(xk))
    assert len(results) == len(points) > 0
    for k, (r, x) in enumerate(zip(results, points, strict=True)):
        np.testing.assert_array_equal(r.x, x)
        assert r.nit == k + 1 and r.nfev > 0 and r.stand_ins == 0
        if method != "trust-constr" or k:
            np.testing.assert_allclose(r.fun, rosenbrock(x), rtol=1e-12)
        if METHODS[method] and "jac" in r:
            np.testing.assert_allclose(r.jac, scipy.optimize.rosen_der(x), rtol=1e-9, atol=1e-9)
            np.testing.assert_allclose(r.grad_norm, np.linalg.norm(scipy.optimize.rosen_der(x)), rtol=1e-9, atol=1e-9)
    if METHODS[method]:
        assert sum("grad_norm" in r for r in results) > 0.5 * len(results)


@pytest.mark.parametrize("method", KNOWN)
def test_stop_iteration_ends_every_method(method):
    seen = []

    def callback(intermediate_result):
        seen.append(intermediate_result)
        if len(seen) == 2:
            raise StopIteration
    result = optimize.minimize(rosenbrock, np.full(4, 1.2), method=method, callback=callback)
    assert len(seen) == 2 and not result.success and "StopIteration" in result.message
    np.testing.assert_array_equal(result.x, seen[-1].x)
    np.testing.assert_allclose(result.fun, rosenbrock(result.x))


@pytest.mark.parametrize("method", ["trf", "dogbox", "lm"])
def test_stop_iteration_ends_least_squares_also_lm(method):
    seen = []

    def callback(intermediate_result):
        seen.append(intermediate_result)
        if len(seen) == 3:
            raise StopIteration
    result = optimize.least_squares(residuals, START, method=method, callback=callback)
    assert len(seen) == 3 and result.status == -2 and not result.success
    np.testing.assert_array_equal(result.x, seen[-1].x)
    np.testing.assert_allclose(result.cost, 0.5 * np.sum(residuals(result.x) ** 2))
    assert [s.nit for s in seen] == [1, 2, 3] and seen[0].cost > seen[1].cost > seen[2].cost
    whole = []
    result = optimize.least_squares(residuals, START, method=method, callback=lambda x: whole.append(x))
    assert result.success and len(whole) > 3
    np.testing.assert_array_equal(whole[-1], result.x)


@pytest.mark.parametrize("method", [m for m in KNOWN if m in ("nelder-mead", "powell", "l-bfgs-b", "tnc", "slsqp",
                                                              "cobyla", "cobyqa", "trust-constr")])
def test_fixed_variables_are_gone_before_scipy_sees_them(method, monkeypatch):
    """SciPy 1.17 removes them for some methods only, and then runs a stray print(callback)."""
    between, seen = Between(monkeypatch), []
    bounds = [(-3.0, 3.0), (0.8, 0.8), (-3.0, 3.0), (0.9, 0.9)]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        result = optimize.minimize(lambda x: rosenbrock(x) + x[1] * x[3], np.full(4, 0.7), method=method, bounds=bounds,
                                   options=OPTIONS.get(method), callback=lambda intermediate_result: seen.append(
                                       intermediate_result.x))
    assert printed.getvalue() == "" and between.args[1].size == 2
    assert result.x[1] == 0.8 and result.x[3] == 0.9 and all(x.shape == (4,) and x[1] == 0.8 for x in seen)
    inner = scipy.optimize.minimize(lambda z: rosenbrock(np.array([z[0], 0.8, z[1], 0.9])) + 0.72, [0.7, 0.7])
    np.testing.assert_allclose(result.fun, inner.fun, rtol=1e-3)
    gradient = scipy.optimize.rosen_der(result.x) + [0.0, 0.9, 0.0, 0.8]
    got = result.get("grad") if method == "trust-constr" else result.get("jac")
    if METHODS[method]:
        np.testing.assert_allclose(got, gradient, atol=1e-9)


def test_value_and_gradient_of_lbfgsb_are_one_fused_run():
    """L-BFGS-B cannot have f without g (SciPy will not change that): the fused program is the unit."""
    p = optimize.Objective(rosenbrock)
    result = optimize.minimize(p, START, method="L-BFGS-B")
    assert p.sweeps.forward == p.sweeps.reverse == result.nfev
    assert p.points.primal.entry.calls >= result.nfev


def test_workers_serve_finite_differences_only():
    """They are handed over where SciPy has them (1.16); exact derivatives have no use for them."""
    called = []

    def workers(f, xs):
        called.append(1)
        return list(map(f, xs))
    if "workers" not in inspect.signature(scipy.optimize.least_squares).parameters:
        pytest.skip("least_squares takes workers from SciPy 1.16 on")
    assert optimize.least_squares(residuals, START, workers=workers).success and not called
    assert optimize.least_squares(residuals, START, jac="2-point", workers=workers).success and called

