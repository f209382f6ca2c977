"""SciPy's optimisers with exact derivatives: every method, what each is given, and how many sweeps it costs.

Owns: the bridge's first cut.  Next: fastad/optimize/drivers.py (the table of methods), test_examples_science.py (real
inversions).
"""
import threading

import numpy as np
import pytest
import scipy.optimize

from fastad import optimize
from fastad.errors import DerivativeError
from fastad.optimize.methods import METHODS

START = np.tile([1.3, 0.7, 0.8, 1.9, 1.2], 2)
KNOWN = {m.lower() for m in scipy.optimize._minimize.MINIMIZE_METHODS}       # cobyqa came with SciPy 1.14
DERIVATIVE_FREE = [m for m in METHODS if not METHODS[m] and m in KNOWN]
WITH_GRADIENT = [m for m in METHODS if METHODS[m]]
OPTIONS = {"tnc": {"maxfun": 2000},
           "trust-constr": {"maxiter": 2000}, "slsqp": {"ftol": 1e-12}}


def rosenbrock(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def residuals(x):
    return np.concatenate([10.0 * (x[1:] - x[:-1] ** 2), 1.0 - x[:-1]])


class Counted:
    """A function that counts its runs by plain NumPy and by the recorder."""

    def __init__(self, f):
        self.f, self.runs = f, 0

    def __call__(self, x, *args):
        self.runs += 1
        return self.f(x, *args)


# ---- methods ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("method", WITH_GRADIENT)
def test_every_method_with_derivatives_solves_rosenbrock(method):
    start = np.full(10, 1.2) if method == "dogleg" else START      # dogleg wants a positive definite Hessian
    result = optimize.minimize(rosenbrock, start, method=method, options=OPTIONS.get(method))
    assert isinstance(result, scipy.optimize.OptimizeResult)
    np.testing.assert_allclose(result.x, np.ones(10), atol=2e-4)
    assert result.fun < 1e-7
    if "jac" in result:
        assert np.linalg.norm(result.jac) < 0.1


@pytest.mark.parametrize("method", DERIVATIVE_FREE)
def test_methods_without_derivatives_get_the_plain_function(method):
    f = Counted(lambda x: np.sum((x - 1.0) ** 2 * np.array([1.0, 10.0])))
    result = optimize.minimize(f, [3.0, -2.0], method=method, tol=1e-6)
    np.testing.assert_allclose(result.x, np.ones(2), atol=1e-2)
    assert f.runs >= result.nfev


@pytest.mark.parametrize("method", [m for m in WITH_GRADIENT if m != "cg"])  # CG's path hangs on last bits
def test_methods_take_no_finite_differences_and_agree_with_exact_ones(method):
    """As many evaluations as with derivatives that were written by hand."""
    options = OPTIONS.get(method)
    ours = optimize.minimize(rosenbrock, START, method=method, options=options)
    wants = METHODS[method]
    theirs = scipy.optimize.minimize(
        scipy.optimize.rosen, START, method=method, options=options, jac=scipy.optimize.rosen_der,
        hess=scipy.optimize.rosen_hess if "hess" in wants else None,
        hessp=scipy.optimize.rosen_hess_prod if "hessp" in wants else None)
    assert abs(ours.nfev - theirs.nfev) <= max(3, 0.2 * theirs.nfev)


@pytest.mark.parametrize("method", ["trf", "dogbox", "lm"])
def test_least_squares(method):
    result = optimize.least_squares(residuals, START, method=method)
    np.testing.assert_allclose(result.x, np.ones(10), atol=1e-6)
    exact = scipy.optimize.approx_fprime(result.x, residuals)
    np.testing.assert_allclose(result.jac, exact, atol=1e-5)


@pytest.mark.parametrize("loss", ["soft_l1", "cauchy"])
def test_robust_losses_scale_what_they_are_given_in_place(loss):
    """SciPy overwrites residuals and Jacobian: ours are fresh, so the answer is that of plain SciPy."""
    ours = optimize.least_squares(residuals, START, loss=loss)
    theirs = scipy.optimize.least_squares(residuals, START, loss=loss, jac="3-point")
    np.testing.assert_allclose(ours.x, theirs.x, atol=1e-5)


def test_bounds_and_constraints():
    low = [(None, 0.5)] + [(-2.0, 2.0)] * 9
    for method in ("L-BFGS-B", "TNC", "SLSQP", "trust-constr"):
        options = OPTIONS.get(method.lower())
        result = optimize.minimize(rosenbrock, START * 0.3, method=method, bounds=low, options=options)
        assert result.x[0] <= 0.5 + 1e-6
    result = optimize.minimize(rosenbrock, START, constraints={"type": "eq", "fun": lambda x: np.sum(x) - 5.0})
    assert result.success and abs(result.x.sum() - 5.0) < 1e-8
    fitted = optimize.least_squares(residuals, START * 0.3, bounds=(-np.inf, 0.9))
    assert np.all(fitted.x <= 0.9)


# ---- what is given to whom -------------------------------------------------------------------------------------------

class Spy:
    """Stands in for scipy.optimize.minimize."""

    def __init__(self, monkeypatch):
        self.names = "fun x0 args method jac hess hessp bounds constraints tol callback options".split()
        monkeypatch.setattr(scipy.optimize, "minimize", self)

    def __call__(self, *given):
        self.given = dict(zip(self.names, given, strict=True))
        return scipy.optimize.OptimizeResult(x=self.given["x0"], success=True)


@pytest.mark.parametrize("method", METHODS)
def test_each_method_gets_what_it_wants_and_no_more(method, monkeypatch):
    spy = Spy(monkeypatch)
    optimize.minimize(rosenbrock, START, method=method)
    assert {name for name in ("jac", "hess", "hessp") if spy.given[name] is not None} == set(METHODS[method])


def test_derivatives_of_the_user_are_respected(monkeypatch):
    spy = Spy(monkeypatch)
    plain = Counted(rosenbrock)
    theirs = {name: Counted(f) for name, f in (("jac", scipy.optimize.rosen_der), ("hess", scipy.optimize.rosen_hess))}

    def runs(given, **options):
        """How often fun, jac and hess of the user ran for one question of each kind at two points."""
        for f in (plain, *theirs.values()):
            f.runs = 0
        optimize.minimize(plain, START, method=given, **options)
        before = plain.runs, *[f.runs for f in theirs.values()]
        for x in (START + 1.0, START + 2.0):
            for name in ("fun", "jac", "hess"):
                if callable(spy.given[name]):
                    spy.given[name](x)
        return tuple(np.subtract((plain.runs, *[f.runs for f in theirs.values()]), before))
    assert runs("trust-exact", **theirs) == (2, 2, 2)
    assert runs("trust-ncg", hess=theirs["hess"])[2] == 2 and spy.given["hessp"] is None
    assert runs("BFGS", jac=theirs["jac"]) == (2, 2, 0)
    assert runs("BFGS", jac="3-point") == (2, 0, 0) and spy.given["jac"] == "3-point"
    assert runs("Nelder-Mead") == (2, 0, 0) and spy.given["jac"] is None
    optimize.minimize(lambda x: (rosenbrock(x), 7.0 * x), START, jac=True, method="CG")
    np.testing.assert_array_equal(spy.given["jac"](START), 7.0 * START)
    assert spy.given["fun"](START) == rosenbrock(START) and spy.given["hessp"] is None


def test_bounds_that_never_bind_are_left_out(monkeypatch):
    spy = Spy(monkeypatch)
    for bounds in ([(None, None)] * 10, [(-np.inf, np.inf)] * 10, scipy.optimize.Bounds()):
        optimize.minimize(rosenbrock, START, bounds=bounds)
        assert spy.given["bounds"] is None and spy.given["method"] == "L-BFGS-B"
    optimize.minimize(rosenbrock, START, bounds=[(None, 3.0)] + [(None, None)] * 9)
    assert spy.given["bounds"] is not None


def test_default_methods(monkeypatch):
    spy = Spy(monkeypatch)
    for size, extra, method in ((10, {}, "BFGS"), (2001, {}, "L-BFGS-B"), (10, {"bounds": [(0, 1)] * 10}, "L-BFGS-B"),
                                (10, {"constraints": {"type": "eq", "fun": np.sum}}, "SLSQP"),
                                (10, {"constraints": [{"type": "eq", "fun": np.sum}]}, "SLSQP")):
        optimize.minimize(rosenbrock, np.ones(size), **extra)
        assert spy.given["method"] == method


@pytest.mark.parametrize("start", [[2, 3], (2, 3), np.float32([2, 3]), np.array([2, 3]), np.array([2.0, 9, 3, 9])[::2]])
def test_starts_of_every_kind(start):
    result = optimize.minimize(lambda x: (x[0] - 1.5) ** 2 + x[1] ** 2 * 2.0, start)
    np.testing.assert_allclose(result.x, [1.5, 0.0], atol=1e-5)
    assert result.x.dtype == (np.float32 if getattr(start, "dtype", None) == np.float32 else np.float64)
    assert optimize.minimize(lambda x: x[0] ** 2, 3).fun < 1e-10
    with pytest.raises(TypeError, match="complex"):
        optimize.minimize(lambda x: x[0] ** 2, 3 + 1j)


def test_further_arguments():
    def f(x, a, power, *, shift=0.0):
        return np.sum(np.abs(x - a - shift) ** power)
    a = np.array([1.0, -2.0])
    np.testing.assert_allclose(optimize.minimize(f, [0.0, 0.0], args=(a, 2)).x, a, atol=1e-5)
    result = optimize.least_squares(lambda x, a, *, shift: x - a - shift, [0.0, 0.0], args=(a,), kwargs={"shift": 1.0})
    np.testing.assert_allclose(result.x, a + 1.0)
    np.testing.assert_allclose(optimize.minimize(lambda x, s: (x[0] - s) ** 2, [0.0], args=3.0).x, [3.0], atol=1e-6)


def test_callbacks_and_stopping():
    seen = []

    def callback(intermediate_result):
        seen.append(intermediate_result.fun)
        if len(seen) == 3:
            raise StopIteration
    optimize.minimize(rosenbrock, START, method="L-BFGS-B", callback=callback)
    assert len(seen) == 3


# ---- sweeps ----------------------------------------------------------------------------------------------------------

def test_a_value_and_its_gradient_are_one_forward_and_one_reverse_sweep():
    p = optimize.Objective(rosenbrock)
    for k in range(1, 6):
        x = START + 0.01 * k
        value = p.value(x)
        g = p.gradient(x)
        assert (p.sweeps.forward, p.sweeps.reverse) == (k, k)
        assert p.value(x.copy()) == value and np.array_equal(p.gradient(list(x)), g)
        assert p.value_and_grad(x)[0] == value
        assert (p.sweeps.forward, p.sweeps.reverse) == (k, k)
        np.testing.assert_allclose(g, scipy.optimize.rosen_der(x), rtol=1e-12)
        assert value == rosenbrock(x)
    assert p.stats().recordings == 1


@pytest.mark.parametrize("method", ["CG", "BFGS", "L-BFGS-B", "TNC", "Newton-CG", "trust-krylov", "SLSQP"])
def test_sweeps_of_a_minimisation(method):
    p = optimize.Objective(rosenbrock)
    result = optimize.minimize(p, START, method=method)
    assert p.sweeps.forward <= result.nfev + 1
    assert p.sweeps.reverse <= max(result.njev if "njev" in result else 0, result.nfev) + 1
    assert p.stats().recordings == 1


def test_hessian_products_linearise_once_a_point():
    p = optimize.Objective(rosenbrock)
    for k in range(5):
        v = np.arange(10.0) + k
        np.testing.assert_allclose(p.hvp(START, v), scipy.optimize.rosen_hess_prod(START, v), rtol=1e-12)
    assert (p.sweeps.linearised, p.sweeps.tangent) == (1, 5)
    np.testing.assert_allclose(p.hessian(START), scipy.optimize.rosen_hess(START), rtol=1e-12, atol=1e-12)
    assert (p.sweeps.linearised, p.sweeps.tangent) == (1, 15)
    p.hessian(START)
    assert p.sweeps.tangent == 15
    p.hvp(START + 1.0, v)
    assert p.sweeps.linearised == 2


def test_questions_at_alternating_points():
    """Whatever is asked in whatever order, the answer belongs to its own point."""
    p = optimize.Objective(rosenbrock)
    rng = np.random.default_rng(0)
    points = [START, START + 0.5, -START]
    for _ in range(200):
        x, v = points[rng.integers(3)], rng.normal(size=10)
        question = rng.integers(5)
        if question == 0:
            assert p.value(x) == rosenbrock(x)
        elif question == 1:
            np.testing.assert_allclose(p.gradient(x), scipy.optimize.rosen_der(x), rtol=1e-11)
        elif question == 2:
            np.testing.assert_allclose(p.hvp(x, v), scipy.optimize.rosen_hess_prod(x, v), rtol=1e-10, atol=1e-9)
        elif question == 3:
            np.testing.assert_allclose(p.value_and_grad(x)[1], scipy.optimize.rosen_der(x), rtol=1e-11)
        else:
            np.testing.assert_allclose(p.hessian(x), scipy.optimize.rosen_hess(x), rtol=1e-11, atol=1e-9)


def test_two_objectives_of_one_function_do_not_disturb_each_other():
    p, q = optimize.Objective(rosenbrock), optimize.Objective(rosenbrock)
    assert p.value(START) == rosenbrock(START)
    assert q.value(-START) == rosenbrock(-START)
    np.testing.assert_allclose(p.gradient(START), scipy.optimize.rosen_der(START))


def test_residuals_share_the_sweep_of_their_jacobian():
    r = optimize.Residuals(residuals)
    np.testing.assert_array_equal(r.value(START), residuals(START))
    jacobian = r.jacobian(START)
    assert jacobian.shape == (18, 10) and r.sweeps.forward == 1 and r.sweeps.tangent == 10 and r.sweeps.reverse == 0
    np.testing.assert_allclose(jacobian, scipy.optimize.approx_fprime(START, residuals), atol=1e-5)
    few = optimize.Residuals(lambda x: np.array([x.sum(), x @ x]))
    assert few.jacobian(START).shape == (2, 10) and (few.sweeps.reverse, few.sweeps.tangent) == (2, 0)
    one = optimize.Residuals(lambda x: x @ x)
    assert one.value(START).shape == (1,) and one.jacobian(START).shape == (1, 10)


# ---- arrays are the caller's -----------------------------------------------------------------------------------------

def test_every_array_is_fresh_contiguous_float64():
    p, r = optimize.Objective(rosenbrock), optimize.Residuals(residuals)
    for get in (p.gradient, p.hessian, lambda x: p.hvp(x, np.ones(10)), lambda x: p.value_and_grad(x)[1], r.value,
                r.jacobian):
        first = get(START)
        kept = first.copy()
        assert first.dtype == np.float64 and first.flags.c_contiguous and first.flags.owndata
        first[...] = np.nan
        second = get(START)
        np.testing.assert_array_equal(second, kept)
        get(START + 1.0)
        np.testing.assert_array_equal(second, kept)


def test_the_start_is_not_written():
    start = START.copy()
    optimize.minimize(rosenbrock, start, method="L-BFGS-B")
    optimize.least_squares(residuals, start)
    np.testing.assert_array_equal(start, START)


# ---- state, branches, threads ----------------------------------------------------------------------------------------

class Cooled:
    def __init__(self):
        self.lam, self.weights = 1.0, np.ones(3)

    def __call__(self, x):
        return np.sum(self.weights * (x - 1.0) ** 2) + self.lam * np.sum(x**2)


def test_each_call_starts_afresh_and_sees_changes():
    f = Cooled()
    p = optimize.Objective(f)
    for lam in (1.0, 0.1, 0.01):
        f.lam = lam
        np.testing.assert_allclose(optimize.minimize(f, np.zeros(3)).x, np.full(3, 1.0 / (1.0 + lam)), atol=1e-5)
        assert p.value(np.ones(3)) == 3.0 * lam
        np.testing.assert_allclose(p.gradient(np.ones(3)), 2.0 * lam * np.ones(3))
    f.weights[:] = 0.0
    assert p.value(np.ones(3)) == 0.03
    np.testing.assert_allclose(p.gradient(np.ones(3)), np.full(3, 0.02))


def test_changes_within_a_call_are_seen():
    f, x = Cooled(), np.full(3, 0.5)

    def method(fun, x0, args, jac, hessp, **options):
        """A method of the user's own: SciPy hands it what fastad has filled in."""
        for f.lam in (1.0, 0.5, 0.0):
            assert fun(x) == f(x)
            np.testing.assert_allclose(jac(x), 2.0 * (x - 1.0) + 2.0 * f.lam * x)
            np.testing.assert_allclose(hessp(x, np.ones(3)), np.full(3, 2.0 + 2.0 * f.lam))
        return scipy.optimize.OptimizeResult(x=x)
    optimize.minimize(f, np.zeros(3), method=method)


def test_branches_are_recorded_again():
    def f(x):
        return x[0] ** 2 if x[0] > 1.0 else 0.5 * (x[0] + 0.5) ** 2 - 0.125
    p = optimize.Objective(f)
    for x in (2.0, 0.5, 3.0, -1.0):
        at = np.array([x])
        assert p.value(at) == f(at)
        np.testing.assert_allclose(p.gradient(at), [2 * x if x > 1 else x + 0.5])
    assert p.stats().recordings == 2
    np.testing.assert_allclose(optimize.minimize(f, [4.0], method="L-BFGS-B").x, [-0.5], atol=1e-4)


def test_threads_have_points_of_their_own():
    p = optimize.Objective(rosenbrock)
    p.value(START)
    wrong = []

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(50):
            x = rng.normal(size=10)
            if p.value(x) != rosenbrock(x) or not np.allclose(p.gradient(x), scipy.optimize.rosen_der(x)):
                wrong.append(x)
    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_function_that_is_no_objective_says_so():
    with pytest.raises(DerivativeError, match="must return one real number"):
        optimize.minimize(residuals, START)
    with pytest.raises(DerivativeError, match="returned None"):
        optimize.minimize(lambda x: None, START)
    with pytest.raises(ZeroDivisionError):
        optimize.minimize(lambda x: x[0] / 0 if x[0] is None else 1 / 0, START)
