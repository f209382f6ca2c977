"""The bridge as a user meets it: trees, bounds, fixed variables, constraints, callbacks, root, bad input.

Owns: what goes in and comes out.  Next: test_optimize_traps.py (what SciPy does), test_optimize_domain.py,
test_optimize_fuzz.py.
"""
import collections

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse

import fastad as ad
from fastad import optimize
from fastad.errors import DerivativeError, NonFiniteError, ShapeError

Model = collections.namedtuple("Model", "mean spread")
T = np.linspace(0.0, 4.0, 20)


def rosenbrock(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


# ---- trees -----------------------------------------------------------------------------------------------------------

TREES = [
    {"w": np.zeros((2, 3)), "b": 0.5},
    (np.zeros(3), np.ones((2, 2))),
    [np.zeros(3), {"deep": [np.ones(2), 3]}],
    Model(1.0, np.ones(2)),
    {"w": np.zeros(2, dtype=np.float32), "b": np.float32(1.0), "n": np.array(2.0)},
    np.zeros((2, 3)),
    [[0.0, 1.0], [2.0, 3.0]],
    [1, 2, 3],
    (1.5, 2),
    7,
]


def numbers(tree):
    from fastad import trees
    return np.concatenate([np.ravel(leaf) for leaf in trees.flatten(tree)[0]])


def distance(tree):
    """Each number to its own target, with curvatures of its own."""
    from fastad import trees
    total, k = 0.0, 0
    for leaf in trees.flatten(tree)[0]:
        target = np.arange(k, k + np.size(leaf)).reshape(np.shape(leaf)) * 0.5 + 1.0
        total = total + np.sum((k + 1.0) * (leaf - target) ** 2)
        k += np.size(leaf)
    return total


@pytest.mark.parametrize("method", ["BFGS", "L-BFGS-B", "trust-exact", "Newton-CG", "Powell", "trust-constr"])
@pytest.mark.parametrize("x0", TREES, ids=repr)
def test_trees_go_in_and_come_out(x0, method):
    from fastad import trees
    options = {"xtol": 1e-12} if method == "trust-constr" else None
    result = optimize.minimize(distance, x0, method=method, options=options)
    array = isinstance(x0, (int, np.ndarray)) or (type(x0) in (list, tuple) and not isinstance(x0[0], np.ndarray))
    start = np.atleast_1d(np.asarray(x0)) if array else x0
    leaves, tree = trees.flatten(start)
    found, same = trees.flatten(result.x)
    assert same == tree and [np.shape(a) for a in found] == [np.shape(a) for a in leaves]
    for a, b in zip(found, leaves, strict=True):
        wanted = np.float32 if getattr(b, "dtype", None) == np.float32 else np.float64
        assert np.asarray(a).dtype == wanted
        assert isinstance(a, np.ndarray) == isinstance(b, np.ndarray)
    np.testing.assert_allclose(numbers(result.x), np.arange(numbers(start).size) * 0.5 + 1.0, atol=1e-4)
    if "raveled" in result:
        np.testing.assert_allclose(result.raveled, numbers(result.x), rtol=1e-6)
    if method in ("BFGS", "L-BFGS-B", "trust-exact"):
        assert trees.flatten(result.jac)[1] == tree


def test_an_objective_of_a_tree_for_scipy_itself():
    x0 = {"w": np.zeros((2, 2)), "b": 0.5}
    p = optimize.Objective(distance, like=x0)
    result = scipy.optimize.minimize(p.value_and_grad, p.x0, jac=True, method="L-BFGS-B")
    np.testing.assert_allclose(p.unravel(result.x)["w"], [[1.0, 1.5], [2.0, 2.5]], atol=1e-4)
    result = scipy.optimize.minimize(p.value, p.x0, jac=p.gradient, hess=p.hessian, method="trust-exact")
    np.testing.assert_allclose(result.x, [1.0, 1.5, 2.0, 2.5, 3.0], atol=1e-6)
    np.testing.assert_allclose(p.hvp(p.x0, np.ones(5)), p.hessian(p.x0) @ np.ones(5))
    with pytest.raises(ShapeError, match="vector of 5 unknowns"):
        p.value(np.zeros(4))
    again = optimize.minimize(p, p.x0, method="BFGS")
    np.testing.assert_allclose(again.x, result.x, atol=1e-5)


def test_a_gradient_of_the_users_sees_and_returns_the_tree():
    x0 = {"a": np.zeros(2), "b": 0.0}

    def f(m):
        return np.sum((m["a"] - 1.0) ** 2) + (m["b"] - 2.0) ** 2

    def tree(m):
        return {"a": 2.0 * (m["a"] - 1.0), "b": 2.0 * (m["b"] - 2.0)}

    def raveled(m):
        return np.array([*(2.0 * (m["a"] - 1.0)), 2.0 * (m["b"] - 2.0)])
    for jac in (tree, raveled):
        result = optimize.minimize(f, x0, jac=jac, bounds={"a": (None, 0.5)})
        np.testing.assert_allclose(result.x["a"], [0.5, 0.5])
        np.testing.assert_allclose(result.x["b"], 2.0)
    with pytest.raises(ValueError, match=r"structure"):
        optimize.minimize(f, x0, jac=lambda m: {"a": m["a"]})
    with pytest.raises(ValueError, match=r"jac\(x\) has 2 numbers, x0 3"):
        optimize.minimize(f, x0, jac=lambda m: m["a"])


def test_least_squares_of_a_tree():
    data = 3.0 * np.exp(-1.5 * T)
    x0 = {"amplitude": np.float32(1.0), "rates": np.array([1.0])}
    result = optimize.least_squares(lambda m: m["amplitude"] * np.exp(-m["rates"][0] * T) - data, x0)
    assert result.x["amplitude"].dtype == np.float32
    np.testing.assert_allclose(result.x["rates"], [1.5], rtol=1e-6)
    np.testing.assert_allclose(result.jac[:, 0], np.exp(-1.5 * T), atol=1e-6)
    np.testing.assert_allclose(result.jac.T @ result.fun, numbers(result.grad), atol=1e-12)
    bounded = optimize.least_squares(lambda m: m["amplitude"] * np.exp(-m["rates"][0] * T) - data, x0,
                                     bounds={"amplitude": (0.0, 2.0)})
    assert bounded.x["amplitude"] <= 2.0
    pair = optimize.least_squares(lambda m: m["amplitude"] * np.exp(-m["rates"][0] * T) - data, x0,
                                  bounds=({"amplitude": 0.0, "rates": np.zeros(1)}, np.inf))
    np.testing.assert_allclose(pair.x["rates"], [1.5], rtol=1e-6)


def test_rounding_to_float32_stays_within_bounds():
    low = 0.1                                # float32(0.1) is above 0.1, float32(0.3) too
    result = optimize.minimize(lambda x: np.sum(x**2), np.ones(2, np.float32), bounds=[(low, 3.0)] * 2)
    assert result.x.dtype == np.float32 and np.all(result.x.astype(float) >= low)
    result = optimize.minimize(lambda x: -np.sum(x), np.zeros(2, np.float32), bounds=[(0.0, 0.3)] * 2)
    assert np.all(result.x.astype(float) <= 0.3)


# ---- bounds and fixed variables --------------------------------------------------------------------------------------

@pytest.mark.parametrize("bounds, message", [
    ([(0, 1)] * 3, "4 pairs .* got 3"),
    ([(0, 1, 2)] * 4, r"entry of shape \(3,\)"),
    ([0, 1, 2, 3], r"entry of shape \(\)"),
    (scipy.optimize.Bounds([0.0] * 3, [1.0] * 3), r"shape \(3,\).*4 unknowns"),
    ([(0, 1), (1, 0), (0, 1), (0, 1)], r"x0\[1\] has its lower bound above"),
    ([(0, 1), (0, np.nan), (0, 1), (0, 1)], r"x0\[1\] is NaN"),
    ([(0, 1), (np.inf, np.inf), (0, 1), (0, 1)], r"x0\[1\] has no finite value"),
])
def test_bounds_that_do_not_fit(bounds, message):
    with pytest.raises(ValueError, match=message):
        optimize.minimize(rosenbrock, np.zeros(4), bounds=bounds)


@pytest.mark.parametrize("bounds, message", [
    (([0.0] * 3, 1.0), r"shape \(3,\).*4 unknowns"), ((1.0, 0.0), "above"), ([0, 1, 2], "a pair"),
    ((0.5, 1.0), r"x0\[0\] = 0.0 is outside of its bounds \(0.5, 1.0\)"),
])
def test_bounds_of_least_squares_that_do_not_fit(bounds, message):
    with pytest.raises(ValueError, match=message):
        optimize.least_squares(lambda x: x - 0.3, np.zeros(4), bounds=bounds)


def test_bounds_of_a_tree_that_do_not_fit():
    x0 = {"a": np.zeros(2), "b": 1.0}
    for bounds, message in (({"c": (0, 1)}, "keys"), ({"a": 3.0}, r"\['a'\].*no pair"),
                            ({"a": (np.zeros(3), None)}, "leaf 0"), ([(0, 1)], "3 pairs")):
        with pytest.raises(ValueError, match=message):
            optimize.minimize(lambda m: np.sum(m["a"] ** 2) + m["b"] ** 2, x0, bounds=bounds)


def test_a_start_outside_of_its_bounds_is_clipped_as_scipy_clips():
    for method in ("L-BFGS-B", "SLSQP", "TNC"):
        bounds = [(0, 1), (0, 2)]
        result = optimize.minimize(lambda x: np.sum((x - 3.0) ** 2), [5.0, -7.0], method=method, bounds=bounds)
        np.testing.assert_allclose(result.x, [1.0, 2.0], atol=1e-8)


def test_all_variables_fixed():
    bounds = [(1.0, 1.0), (2.0, 2.0)]
    result = optimize.minimize(rosenbrock, [0.0, 0.0], bounds=bounds)
    np.testing.assert_array_equal(result.x, [1.0, 2.0])
    assert result.success and result.fun == 100.0
    broken = optimize.minimize(rosenbrock, [0.0, 0.0], bounds=bounds, constraints={"type": "eq", "fun": lambda x: x[0]})
    assert not broken.success and "violated by 1" in broken.message
    result = optimize.least_squares(lambda x: x - 1.0, [0.0, 0.0], bounds=([1.0, 2.0], [1.0, 2.0]))
    np.testing.assert_array_equal(result.x, [1.0, 2.0])
    assert result.cost == 0.5 and result.jac.shape == (2, 2)


@pytest.mark.parametrize("loss", ["linear", "soft_l1", "huber", "cauchy", "arctan"])
@pytest.mark.parametrize("method", ["trf", "dogbox", "lm"])
def test_least_squares_with_fixed_variables(method, loss):
    """Jacobian and gradient of all variables, with the rows that SciPy scales; lm takes fixed variables, too."""
    def model(p):
        return p[0] * np.exp(-p[1] * T) + p[2] - (3.0 * np.exp(-1.5 * T) + 0.2 + 0.3 * np.sin(7.0 * T))
    low, high = [-np.inf, 1.4, -np.inf], [np.inf, 1.4, np.inf]
    if method == "lm" and loss != "linear":
        with pytest.raises(ValueError, match="lm.*linear"):
            optimize.least_squares(model, [1.0, 1.0, 0.0], method=method, loss=loss, bounds=(low, high))
        return
    ours = optimize.least_squares(model, [1.0, 1.0, 0.0], method=method, loss=loss, bounds=(low, high), f_scale=0.2)
    free = scipy.optimize.least_squares(lambda z: model(np.array([z[0], 1.4, z[1]])), [1.0, 0.0], method=method,
                                        loss=loss, f_scale=0.2, jac="2-point" if method == "lm" else "3-point")
    np.testing.assert_allclose(ours.x, [free.x[0], 1.4, free.x[1]], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours.cost, free.cost, rtol=1e-8)
    np.testing.assert_allclose(ours.jac[:, [0, 2]], free.jac, atol=1e-5)
    whole = scipy.optimize.least_squares(model, ours.x, loss=loss, f_scale=0.2, jac="3-point", max_nfev=1)
    np.testing.assert_allclose(ours.jac, whole.jac, atol=1e-6)
    np.testing.assert_allclose(ours.grad, whole.grad, atol=1e-6)
    assert ours.active_mask.tolist() == [0, -1, 0]


def test_fixed_variables_of_a_tree_with_constraints_and_a_hessian_operator():
    x0 = {"a": np.array([0.5, 0.5, 0.5]), "b": 0.5}

    def f(m):
        return np.sum((m["a"] - np.array([1.0, 2.0, 3.0])) ** 2) + (m["b"] - 4.0) ** 2
    bounds = {"a": (np.array([0.0, 1.0, 0.0]), np.array([9.0, 1.0, 9.0]))}
    linear = scipy.optimize.LinearConstraint(np.ones((1, 4)), -np.inf, 6.0)
    sparse = scipy.optimize.LinearConstraint(scipy.sparse.csr_array(np.ones((1, 4))), -np.inf, 6.0)
    curved = scipy.optimize.NonlinearConstraint(lambda m: np.sum(m["a"]) + m["b"], -np.inf, 6.0)
    dictionary = {"type": "ineq", "fun": lambda m, c: c - np.sum(m["a"]) - m["b"], "args": (6.0,)}
    for method in ("SLSQP", "trust-constr", "COBYLA"):
        for c in (linear, sparse, curved, dictionary):
            if method == "COBYLA" and c is sparse:
                continue
            result = optimize.minimize(f, x0, method=method, bounds=bounds, constraints=c)
            np.testing.assert_allclose(numbers(result.x), [0.0, 1.0, 2.0, 3.0], atol=2e-3)


def test_inverse_hessians_have_zeros_for_what_is_fixed():
    bounds = [(None, None), (1.0, 1.0), (None, 9.0)]
    result = optimize.minimize(lambda x: np.sum((x - 2.0) ** 2), np.zeros(3), method="L-BFGS-B", bounds=bounds)
    matrix = result.hess_inv.todense()
    assert matrix.shape == (3, 3) and not matrix[1].any() and not matrix[:, 1].any() and matrix[0, 0] > 0
    np.testing.assert_allclose(result.jac, [0.0, -2.0, 0.0], atol=1e-5)


def test_options_with_one_number_a_variable_lose_those_that_are_fixed():
    bounds = [(-5.0, 5.0), (1.0, 1.0), (-5.0, 5.0)]
    result = optimize.minimize(lambda x: np.sum((x - 2.0) ** 2), np.zeros(3), method="TNC", bounds=bounds,
                               options={"scale": np.array([1.0, 2.0, 3.0])})
    np.testing.assert_allclose(result.x, [2.0, 1.0, 2.0], atol=1e-5)
    result = optimize.minimize(lambda x: np.sum((x - 2.0) ** 2), np.zeros(3), method="Powell", bounds=bounds,
                               options={"direc": np.eye(3)})
    np.testing.assert_allclose(result.x, [2.0, 1.0, 2.0], atol=1e-4)
    with pytest.raises(ValueError, match="initial_simplex"):
        optimize.minimize(lambda x: np.sum(x**2), np.zeros(3), method="Nelder-Mead", bounds=bounds,
                          options={"initial_simplex": np.ones((4, 3))})


# ---- constraints -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("method", ["SLSQP", "trust-constr"])
@pytest.mark.parametrize("c", [{"type": "ineq", "fun": lambda x: 3.0},
                               scipy.optimize.NonlinearConstraint(lambda x: np.array([1.0, 2.0]), 0, 1)])
def test_a_constraint_that_returns_nothing_traced(c, method):
    with pytest.raises(DerivativeError, match=r"constraint 1 \(.*lambda.*does not depend on its arguments"):
        optimize.minimize(rosenbrock, np.ones(3), method=method,
                          constraints=[{"type": "eq", "fun": lambda x: x[0] - 1.0}, c])


def test_constraints_that_are_none():
    for wrong, error in ((7, TypeError), ([np.sum], TypeError), ({"type": "eq"}, ValueError)):
        with pytest.raises(error):
            optimize.minimize(rosenbrock, np.ones(3), constraints=wrong)


@pytest.mark.parametrize("method", ["SLSQP", "trust-constr"])
def test_derivatives_of_constraints_that_the_user_gives_are_used(method):
    calls = []

    def jac(x):
        calls.append(1)
        return 2.0 * x
    for c in ({"type": "ineq", "fun": lambda x: 2.0 - x @ x, "jac": lambda x: -jac(x)},
              scipy.optimize.NonlinearConstraint(lambda x: x @ x, -np.inf, 2.0, jac=jac,
                                                 hess=scipy.optimize.SR1() if method == "trust-constr" else
                                                 scipy.optimize.BFGS())):
        calls.clear()
        result = optimize.minimize(lambda x: np.sum((x - 3.0) ** 2), np.ones(2) * 0.1, method=method, constraints=c)
        np.testing.assert_allclose(result.x, [1.0, 1.0], atol=1e-3)
        assert calls


# ---- methods and derivatives given -----------------------------------------------------------------------------------

@pytest.mark.parametrize("given, method", [
    ({}, "BFGS"), ({"bounds": [(0, 3)] * 4}, "L-BFGS-B"), ({"constraints": {"type": "ineq", "fun": np.sum}}, "SLSQP"),
    ({"hess": scipy.optimize.rosen_hess}, "trust-exact"), ({"hessp": scipy.optimize.rosen_hess_prod}, "trust-krylov"),
    ({"hess": scipy.optimize.rosen_hess, "bounds": [(0, 3)] * 4}, "trust-constr"),
    ({"hess": scipy.optimize.BFGS()}, "trust-constr"), ({"hess": "2-point"}, "trust-constr"),
    ({"jac": "2-point"}, "BFGS"), ({"jac": False}, "BFGS"),
    ({"jac": "2-point", "hess": scipy.optimize.SR1()}, "trust-constr"),
])
def test_the_method_that_fits_what_is_given(given, method, monkeypatch):
    seen, true = [], scipy.optimize.minimize
    monkeypatch.setattr(scipy.optimize, "minimize", lambda *a: seen.append(a[3]) or true(*a))
    result = optimize.minimize(rosenbrock, np.full(4, 1.2), options={"maxiter": 2000}, **given)
    assert seen == [method] and result.fun < 1e-6


def test_a_sparse_hessian_of_the_users():
    result = optimize.minimize(lambda x: np.sum((x - 2.0) ** 4 + x**2), np.zeros(3), method="trust-constr",
                               hess=lambda x: scipy.sparse.csr_array(np.diag(12.0 * (x - 2.0) ** 2 + 2.0)))
    assert result.success
    fixed = optimize.minimize(lambda x: np.sum((x - 2.0) ** 4 + x**2), np.zeros(3), method="trust-constr",
                              bounds=[(1, 1), (-9, 9), (-9, 9)],
                              hess=lambda x: scipy.sparse.csr_array(np.diag(12.0 * (x - 2.0) ** 2 + 2.0)))
    np.testing.assert_allclose(fixed.x[1:], result.x[1:], atol=1e-5)


# ---- root ------------------------------------------------------------------------------------------------------------

def equations(x):
    return np.array([x[0] + x[1] - 3.0, x[0] * x[1] - 2.0])


@pytest.mark.parametrize("method", ["hybr", "lm", "broyden1", "broyden2", "anderson", "krylov", "df-sane"])
def test_root(method):
    result = optimize.root(equations, [2.5, 0.5], method=method)
    assert result.success
    np.testing.assert_allclose(result.x, [2.0, 1.0], atol=1e-4)
    tree = optimize.root(lambda m: equations([m["x"], m["y"]]), {"x": 2.5, "y": 0.5}, method=method)
    np.testing.assert_allclose([tree.x["x"], tree.x["y"]], [2.0, 1.0], atol=1e-4)
    assert isinstance(tree.x["x"], float)


def test_root_takes_exact_jacobians_and_those_of_the_user():
    r = optimize.Residuals(equations)
    result = optimize.root(r, [2.5, 0.5])
    assert result.njev >= 1 and r.sweeps.forward <= result.nfev + 2
    calls = []

    def jac(x):
        calls.append(1)
        return np.array([[1.0, 1.0], [x[1], x[0]]])
    np.testing.assert_allclose(optimize.root(equations, [2.5, 0.5], jac=jac).x, [2.0, 1.0])
    assert calls
    both = optimize.root(lambda x: (equations(x), jac(x)), [2.5, 0.5], jac=True)
    np.testing.assert_allclose(both.x, [2.0, 1.0])
    np.testing.assert_allclose(optimize.root(lambda x, c: equations(x) + c, [2.5, 0.5], args=(0.0,)).x, [2.0, 1.0])


@pytest.mark.parametrize("method", ["hybr", "lm", "broyden1", "df-sane"])
def test_callbacks_of_root(method):
    seen, pairs = [], []

    def callback(intermediate_result):
        seen.append(intermediate_result)
        if len(seen) == 2:
            raise StopIteration
    result = optimize.root(equations, [2.9, 0.5], method=method, callback=callback)
    assert len(seen) == 2 and not result.success and "StopIteration" in result.message
    optimize.root(equations, [2.9, 0.5], method=method, callback=lambda x, f: pairs.append((x, f)))
    np.testing.assert_array_equal(pairs[0][1], equations(pairs[0][0]))


@pytest.mark.parametrize("method", ["hybr", "lm"])
def test_root_comes_back_into_the_domain(method):
    result = optimize.root(lambda x: np.log(x) + 1.0, [6.0], method=method)
    assert result.success and result.stand_ins > 0
    np.testing.assert_allclose(result.x, [np.exp(-1.0)], rtol=1e-6)


# ---- bad input -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("x0", [[], np.zeros(0), {}, {"a": np.zeros(0)}, np.zeros((0, 3)), (), None])
def test_an_empty_start(x0):
    for call in (optimize.minimize, optimize.least_squares, optimize.root):
        with pytest.raises((ValueError, TypeError), match="x0 is empty|x0"):
            call(lambda x: 0.0, x0)


@pytest.mark.parametrize("x0", ["abc", [1j, 2.0], {"a": "text"}, np.array([object()]), {"a": np.array(["x"])}])
def test_a_start_of_no_numbers(x0):
    with pytest.raises(TypeError, match="x0.*has dtype"):
        optimize.minimize(lambda x: 0.0, x0)


def test_rank_deficient_jacobians():
    """The second and third column are equal: the fit is as good as it gets, whatever the split between them."""
    data = 2.0 + 3.0 * T
    for options in ({"method": "trf"}, {"method": "dogbox"}, {"method": "lm"}, {"tr_solver": "lsmr"}):
        result = optimize.least_squares(lambda p: p[0] + p[1] * T + p[2] * T - data, [1.0, 1.0, 1.0], **options)
        assert result.success and result.cost < 1e-20
        assert np.linalg.matrix_rank(result.jac) == 2
    zero = optimize.least_squares(lambda p: p[0] + 0.0 * p[1] + T - data, [1.0, 1.0])
    assert zero.success and zero.x[1] == 1.0


def test_restrictions_of_lm_are_clear_errors():
    with pytest.raises(ValueError, match="'lm' takes no bounds"):
        optimize.least_squares(lambda x: x - 1.0, [0.5, 0.5], method="lm", bounds=(0.0, 1.0))
    with pytest.raises(ValueError, match="lm"):
        optimize.least_squares(lambda x: x[:1], [0.5, 0.5], method="lm")
    with pytest.raises(ValueError):
        optimize.least_squares(lambda x: x, [0.5, 0.5], method="nonsense")


def test_errors_of_the_function_pass_through():
    class Own(Exception):
        pass

    def f(x):
        raise Own("mine")
    for call in (optimize.minimize, optimize.least_squares, optimize.root):
        with pytest.raises(Own, match="mine"):
            call(f, [1.0, 2.0])

    def callback(xk):
        raise Own("in the callback")
    for method in ("BFGS", "TNC", "COBYLA", "SLSQP", "trust-constr"):
        with pytest.raises(Own):
            optimize.minimize(lambda x: np.sum(x**2), [1.0, 2.0], method=method, callback=callback)


def test_callbacks_of_every_form():
    class Kept:
        def __init__(self):
            self.seen = []

        def __call__(self, intermediate_result):
            self.seen.append(intermediate_result.fun)

        def method(self, xk, state):
            self.seen.append((xk, state.fun))
    kept = Kept()
    optimize.minimize(rosenbrock, np.full(3, 1.2), callback=kept)
    optimize.minimize(rosenbrock, np.full(3, 1.2), callback=kept.method, method="trust-constr")
    assert isinstance(kept.seen[0], float) and isinstance(kept.seen[-1], tuple)
    points = []
    optimize.minimize(rosenbrock, np.full(3, 1.2), callback=points.append)       # tells nothing of its parameters
    assert points[0].shape == (3,)
    shown = []
    optimize.minimize(distance, {"a": np.zeros(2), "b": 1.0}, callback=lambda intermediate_result: shown.append(
        intermediate_result), bounds={"b": (2.0, 2.0)})
    assert shown[-1].x["b"] == 2.0 and shown[-1].x["a"].shape == (2,) and np.isnan(shown[-1].jac["b"])


def test_a_callback_costs_no_sweeps():
    for method in ("BFGS", "L-BFGS-B", "CG", "trust-krylov", "trust-exact", "Newton-CG", "TNC"):
        p, q = optimize.Objective(rosenbrock), optimize.Objective(rosenbrock)
        optimize.minimize(p, np.full(6, 1.2), method=method)
        optimize.minimize(q, np.full(6, 1.2), method=method, callback=lambda intermediate_result: None)
        assert repr(q.sweeps) == repr(p.sweeps), method
    r, s = optimize.Residuals(lambda x: x**3 - 1.0), optimize.Residuals(lambda x: x**3 - 1.0)
    optimize.least_squares(r, np.full(6, 1.2))
    optimize.least_squares(s, np.full(6, 1.2), callback=lambda intermediate_result: None)
    assert r.sweeps.forward == s.sweeps.forward


def test_numbers_of_evaluations_are_scipys_own():
    result = optimize.minimize(rosenbrock, np.full(6, 1.2), method="BFGS")
    theirs = scipy.optimize.minimize(rosenbrock, np.full(6, 1.2), method="BFGS", jac=scipy.optimize.rosen_der)
    assert (result.nfev, result.nit) == (theirs.nfev, theirs.nit)


def test_ad_names_the_errors():
    assert ad.NonFiniteError is NonFiniteError and issubclass(NonFiniteError, ValueError)


@pytest.mark.parametrize("method", ["BFGS", "trust-ncg", "L-BFGS-B", "SLSQP"])
def test_what_a_callback_changes_is_seen(method):
    """A target that moves while the method runs: the end is at the last one, with its own value."""
    target, kept = np.array([1.0, 2.0]), {"shift": 0.0}
    count = []

    def callback(xk):
        count.append(1)
        if len(count) == 2:
            target[:] = [-1.0, 0.5]
            kept["shift"] = 0.25

    def f(x, t):
        return np.sum((x - t) ** 4 + (x - t) ** 2) + kept["shift"]
    result = optimize.minimize(f, [5.0, -4.0], args=(target,), method=method, callback=callback)
    assert len(count) >= 2
    assert result.fun == f(result.x, target) and result.fun >= 0.25
    np.testing.assert_allclose(result.jac, ad.grad(f)(result.x, target), atol=1e-12)


def test_large_arguments_are_not_compared_at_each_question(monkeypatch):
    looks, true = [], optimize.Objective.same
    monkeypatch.setattr(optimize.Objective, "same", lambda self, args: looks.append(1) or true(self, args))
    data = np.ones(1000)
    result = optimize.minimize(lambda x, d: np.sum((x[0] * d - 3.0) ** 2) + (x[0] - x[1]) ** 4, [0.0, 1.0], (data,))
    assert result.nfev > 5 and len(looks) <= 2


@pytest.mark.parametrize("method", ["BFGS", "Nelder-Mead", "trust-exact"])
def test_objectives_with_keywords_and_trees_go_to_every_method(method):
    def f(m, power, shift=0.0):
        return np.sum(np.abs(m["a"] - shift) ** power)
    p = optimize.Objective(f, (2,), {"shift": 3.0}, like={"a": np.zeros(2)})
    np.testing.assert_allclose(optimize.minimize(p, p.x0, method=method).x, [3.0, 3.0], atol=1e-3)
    q = optimize.Objective(lambda x, shift=0.0: np.sum((x - shift) ** 2), kwargs={"shift": 3.0})
    np.testing.assert_allclose(optimize.minimize(q, np.zeros(2), method=method).x, [3.0, 3.0], atol=1e-3)
    fixed = optimize.minimize(q, np.zeros(2), bounds=[(1.0, 1.0), (None, None)])
    np.testing.assert_allclose(fixed.x, [1.0, 3.0], atol=1e-5)
    r = optimize.Residuals(lambda m, shift=0.0: m["a"] - shift, kwargs={"shift": 3.0}, like={"a": np.zeros(2)})
    for jac in (None, "2-point"):
        np.testing.assert_allclose(optimize.least_squares(r, np.zeros(2), jac=jac).x, [3.0, 3.0], atol=1e-6)


def test_sparsity_of_differences_and_fixed_variables():
    result = optimize.least_squares(lambda x: x - np.array([1.0, 2.0, 3.0]), np.zeros(3), jac="2-point",
                                    jac_sparsity=np.eye(3), bounds=([-9.0, 0.5, -9.0], [9.0, 0.5, 9.0]))
    np.testing.assert_allclose(result.x, [1.0, 0.5, 3.0], atol=1e-6)
    assert np.isnan(result.jac[:, 1]).all()          # nobody has asked for differences in what is fixed
