"""ad.batch against a loop over points, with every other verb; lanes that decide differently; errors; chunks; threads.

Owns: the proof of batching.py, lanes.py, lane_programs.py, lane_results.py.
Must not know: the rules of single instructions (test_batch_rules.py).
"""
import pickle
import warnings
from collections import namedtuple
from functools import partial

import numpy as np
import pytest
import scipy.linalg

import fastad as ad
from fastad import lane_programs, unit_vectors
from fastad.errors import BudgetError, ShapeError, StaleTapeError, UnsupportedError

rng = np.random.default_rng(7)
X = rng.normal(size=(13, 4))
A = rng.normal(size=(4, 4)) + 4 * np.eye(4)
Pair = namedtuple("Pair", "a b")


def stacked(results):
    """The results of a loop, with one more axis in front."""
    if isinstance(results[0], tuple) and hasattr(results[0], "_fields"):
        return type(results[0])(*[stacked(parts) for parts in zip(*results, strict=True)])
    if isinstance(results[0], (tuple, list)):
        return type(results[0])([stacked(list(parts)) for parts in zip(*results, strict=True)])
    if isinstance(results[0], dict):
        return {key: stacked([r[key] for r in results]) for key in results[0]}
    return np.stack(results)


def agree(got, wanted, tolerance=1e-12):
    assert type(got) is type(wanted)
    if isinstance(got, dict):
        assert list(got) == list(wanted)
        got, wanted = list(got.values()), list(wanted.values())
    if isinstance(got, (tuple, list)):
        assert len(got) == len(wanted)
        for a, b in zip(got, wanted, strict=True):
            agree(a, b, tolerance)
        return
    assert got.dtype == wanted.dtype and got.shape == wanted.shape
    np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=tolerance)


def elementwise(x):
    y = np.exp(x) * np.sin(x[::-1]) + np.where(x > 0, x, x**2)
    y[1] = x[0] / (1 + x[2]**2)
    return y[:3] - y[1:]


def looped(x):
    y = np.zeros(4)
    for i in range(1, 4):
        y[i] = y[i - 1] * x[i] + np.tanh(x[i - 1])
    return y.sum()


def walk(x):
    def step(state, xi):
        position, speed = state
        speed = 0.9 * speed + xi * np.array([1.0, position[0]])
        return (position + speed, speed), position[0] * speed[1]
    (position, _), seen = ad.scan(step, (np.zeros(2), np.ones(2) * x[0]), x)
    return np.sum(position**2) + np.sum(seen * np.arange(4.0))


def newton(x):
    return ad.while_loop(lambda y: abs(y * y - abs(x[0]) - 1) > 1e-12, lambda y: 0.5 * (y + (abs(x[0]) + 1) / y), 1.0)


FUNCTIONS = {
    "elementwise": elementwise, "loop": looped, "scan": walk, "while": newton,
    "cond": lambda x: ad.cond(x[0] > x[1], lambda x: x * x, lambda x: -x, x).sum(),
    "gather": lambda x: x[np.argsort(x)] * x[np.argmax(x)],
    "sort": lambda x: np.sort(x) * np.arange(4.0) + np.cumsum(x),
    "interpolation": lambda x: np.interp(x, np.linspace(-2, 2, 9), np.cos(np.linspace(-2, 2, 9)) * x[0]),
    "median": lambda x: np.median(x) * np.max(x),
    "mask": lambda x: np.sum(x[x > -9.0]**2),
    "solve": lambda x: np.linalg.solve(A + np.outer(x, x), x),
    "cholesky": lambda x: np.linalg.cholesky(np.outer(x, x) + np.eye(4)).sum(axis=0),
    "solve_triangular": lambda x: scipy.linalg.solve_triangular(np.tril(A), x, lower=True),
    "matmul": lambda x: (A @ x) @ (np.outer(x, x) @ A),
    "fft": lambda x: np.abs(np.fft.fft(x) * (1 + 2j))**2,
    "einsum": lambda x: np.einsum("i,ij,j->ij", x, A, x),
    "partition": lambda x: np.partition(x, 2) * x[0],
    "constant": lambda x: (x * 2, 3.0, np.arange(2)),
    "tree": lambda x: {"sum": x.sum(), "parts": [x[:2], Pair(x[2], x[3] > 0)]},
}
REAL = [name for name in FUNCTIONS if name not in ("constant", "tree")]


def number(name):
    return lambda x: np.sum(FUNCTIONS[name](x) * 1.5)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_are_those_of_a_loop(name):
    f = FUNCTIONS[name]
    b = ad.batch(f)
    wanted = stacked([trees_of_arrays(f(x)) for x in X])
    agree(b(X), wanted)
    agree(b(X), wanted)
    assert b.stats().alone == 0


def trees_of_arrays(result):
    from fastad import trees
    return trees.map_leaves(np.asarray, result)


def test_what_is_the_same_everywhere_stays_what_it_is():
    assert ad.batch(lambda x: (x, "yes", None))(X)[1:] == ("yes", None)
    with pytest.raises(UnsupportedError, match="'up' and str 'down'|'down' and str 'up'"):
        ad.batch(lambda x: (x, "up" if x[0] > 0 else "down"))(X)


@pytest.mark.parametrize("name", REAL)
def test_gradients_are_those_of_a_loop(name):
    g = ad.grad(number(name))
    wanted = np.stack([g(x) for x in X])
    agree(ad.batch(ad.grad(number(name)))(X), wanted, 1e-10)
    agree(ad.grad(lambda X: ad.batch(number(name))(X).sum())(X), wanted, 1e-10)


@pytest.mark.parametrize("name", ["elementwise", "loop", "scan", "solve", "gather", "fft"])
def test_other_verbs(name):
    f, v = number(name), rng.normal(size=X.shape)
    few, v = X[:5], v[:5]
    values, gradients = ad.batch(ad.value_and_grad(f))(few)
    agree((values, gradients), (np.stack([f(x) for x in few]), np.stack([ad.grad(f)(x) for x in few])), 1e-10)
    agree(ad.batch(ad.hessian(f))(few), np.stack([ad.hessian(f)(x) for x in few]), 1e-9)
    agree(ad.batch(ad.hvp(f))(few, v), np.stack([ad.hvp(f)(x, d) for x, d in zip(few, v, strict=True)]), 1e-9)
    for mode in ("forward", "reverse"):
        agree(ad.batch(ad.jacobian(FUNCTIONS[name], mode=mode))(few),
              np.stack([ad.jacobian(FUNCTIONS[name])(x) for x in few]), 1e-10)
    agree(ad.jvp(ad.batch(f), (few,), (v,))[1], np.sum(gradients * v, axis=1), 1e-10)
    y, pullback = ad.vjp(ad.batch(f), few)
    agree(pullback(np.ones(5))[0], gradients, 1e-10)
    agree(y, values)


def test_batches_of_batches_and_jacobians_of_batches():
    Y = rng.normal(size=(2, 3, 4))
    agree(ad.batch(ad.batch(elementwise))(Y), np.stack([[elementwise(y) for y in z] for z in Y]))
    agree(ad.batch(ad.batch(ad.grad(looped)))(Y), np.stack([[ad.grad(looped)(y) for y in z] for z in Y]))
    J = ad.jacobian(ad.batch(looped))(X[:3])
    for i in range(3):
        for j in range(3):
            agree(J[i, j], ad.grad(looped)(X[i]) if i == j else np.zeros(4))
    outer = ad.batch(lambda x: ad.batch(lambda y: np.sum(x * y**2))(Y[0]))          # the inner one closes over x
    agree(outer(X), np.stack([[np.sum(x * y**2) for y in Y[0]] for x in X]))


def test_has_aux():
    def f(x):
        return looped(x), {"norm": np.sum(x**2), "name": "f"}
    gradient, aux = ad.batch(ad.grad(f, has_aux=True))(X)
    agree(gradient, ad.batch(ad.grad(looped))(X))
    agree(aux["norm"], np.sum(X**2, axis=1))
    assert aux["name"] == "f"


# ---- axes ------------------------------------------------------------------------------------------------------------

def test_axes():
    def f(p, t, scale=1.0, power=2, options=None):
        return scale * np.sum(p["a"] * t**power) + p["b"]
    t = np.linspace(0, 1, 4)
    B = rng.normal(size=13)
    wanted = np.array([f({"a": a, "b": b}, t, 2.0, 3) for a, b in zip(X, B, strict=True)])
    agree(ad.batch(f, in_axes=(0, None, None, None))({"a": X, "b": B}, t, 2.0, 3), wanted)
    agree(ad.batch(f, (0, None))({"a": X, "b": B}, t, scale=2.0, power=3, options="x"), wanted)
    agree(ad.batch(f, ({"a": 1, "b": 0}, None))({"b": B, "a": X.T}, t, scale=2.0, power=3), wanted)
    agree(ad.batch(f, ({"a": -1, "b": 0}, None))({"a": X.T, "b": B}, t, scale=2.0, power=3), wanted)
    several = np.stack([t * s for s in range(13)])
    wanted = np.array([f({"a": X[0], "b": 1.0}, s) for s in several])
    agree(ad.batch(f, (None, 0))({"a": X[0], "b": 1.0}, several), wanted)
    agree(ad.batch(f, [{"a": None, "b": None}, 1])({"a": X[0], "b": 1.0}, several.T), wanted)
    scales = np.arange(13.0)
    agree(ad.batch(f, None)({"a": X[0], "b": 1.0}, t, scale=scales),
          np.array([f({"a": X[0], "b": 1.0}, t, s) for s in scales]))


def test_axes_of_results():
    f = ad.batch(lambda x: (np.outer(x, x), x.sum()), out_axes=(-1, 0))
    y, s = f(X)
    assert y.shape == (4, 4, 13) and s.shape == (13,)
    agree(y[:, :, 3], np.outer(X[3], X[3]))
    g = ad.grad(lambda X: np.sum(ad.batch(lambda x: np.outer(x, x), out_axes=1)(X)[:, 2] * np.eye(4)))(X)
    agree(g[2], 2 * X[2])
    with pytest.raises(ShapeError, match="does not fit the result"):
        ad.batch(lambda x: x, out_axes=(0, 0))(X)
    with pytest.raises(ShapeError, match="None for a result"):
        ad.batch(lambda x: x, out_axes=None)(X)
    with pytest.raises(ShapeError, match=r"out_axes=2 for a result of shape \(13, 4\)"):
        ad.batch(lambda x: x, out_axes=2)(X)


@pytest.mark.parametrize("axes, args, message", [
    (0, (X, X[:5]), "13 lanes, argument 1 has 5"),
    (0, (X, 2.0), "argument 1 is float 2.0, which has no axis 0"),
    (0, (X, 3), "argument 1 is int 3"),
    (0, (X, np.float64(2.0)), "argument 1 is"),
    (0, ([1.0, 2.0], X), r"argument 0 \(leaf 0\) is float 1.0"),
    ((1, 0), (X[:, 0], X), r"shape \(13,\), and no axis 1"),
    ((0,), (X, X), "for 2 positional arguments"),
    (None, (X, X), "no argument has lanes"),
    (0, (np.zeros((0, 4)), X), "0 lanes|13 lanes"),
    ((0, None), (np.zeros((0, 4)), X), "length 0"),
    (({"a": 0}, 0), (X, X), "does not fit the arguments"),
    ({"x": 0}, (X, X), "a tuple with one entry"),
    (0, (np.array(["a", "b"]), X[:2]), "dtype <U1"),
])
def test_arguments_that_do_not_fit(axes, args, message):
    with pytest.raises((ShapeError, UnsupportedError), match=message):
        ad.batch(lambda x, y: np.sum(x) * np.sum(y), axes)(*args)


def test_arrays_that_are_more_than_arrays_are_refused():
    for x in (np.ma.masked_array(X, X > 0), np.ma.masked_array(X[:, 0], X[:, 0] > 0)):
        with pytest.raises(UnsupportedError, match="argument 0 is a"):
            ad.batch(lambda x: x * 2)(x)


@pytest.mark.parametrize("axes", [1.5, "x", (0, "x"), True])
def test_axes_that_are_none(axes):
    with pytest.raises(TypeError, match="in_axes"):
        ad.batch(lambda x: x, axes)


def test_a_call_with_one_lane_only_is_refused():
    """Also after a call with lanes, when there is a tape for such arguments."""
    b = ad.batch(lambda x: x**2)
    b(X)
    with pytest.raises(ShapeError, match="no axis 0"):
        b(2.0)


# ---- dtypes ----------------------------------------------------------------------------------------------------------

def test_dtypes():
    single = X.astype(np.float32)
    got = ad.batch(ad.value_and_grad(lambda x: np.sum(x * x)))(single)
    assert got[0].dtype == got[1].dtype == np.float32
    agree(got[1], 2 * single, 1e-6)
    agree(ad.batch(lambda x, n: x * n)(X[:5, 0], np.arange(5)), X[:5, 0] * np.arange(5))
    agree(ad.batch(lambda x, n: x[n])(X[:5], np.array([0, 1, 3, 2, 0])), X[np.arange(5), [0, 1, 3, 2, 0]])
    agree(ad.batch(lambda x, m: np.sum(x[m]))(X[:2], np.array([[True, False, True, True], [True] * 4])),
          np.array([X[0, [0, 2, 3]].sum(), X[1].sum()]))
    agree(ad.batch(lambda n: n * 2)(np.arange(3)), np.arange(3) * 2)
    agree(ad.batch(lambda x: np.argmax(x))(X), np.argmax(X, axis=1))
    agree(ad.batch(ad.grad(lambda x: x**3))(np.arange(3)), 3.0 * np.arange(3)**2)
    agree(ad.batch(lambda x, n: x ** sum(1 for _ in range(n)))(X[:6, 0], np.array([0, 1, 2, 3, 2, 1])),
          X[:6, 0] ** np.array([0, 1, 2, 3, 2, 1]))


def test_complex():
    Z = X[:, :3] + 1j * X[:, 1:]
    agree(ad.batch(lambda z: (z * np.exp(1j * z), z[0]))(Z), (Z * np.exp(1j * Z), Z[:, 0]))
    agree(ad.batch(lambda z: z * z)(Z[:, 0]), Z[:, 0]**2)
    f = lambda z: np.sum(np.abs(z)**4).real  # noqa: E731
    agree(ad.batch(ad.grad(f))(Z), np.stack([ad.grad(f)(z) for z in Z]))
    agree(ad.batch(ad.grad(lambda z: abs(z)**2))(Z[:, 0]), np.stack([ad.grad(lambda z: abs(z)**2)(z) for z in Z[:, 0]]))
    agree(ad.batch(ad.jacobian(lambda x: np.exp(1j * x)))(X), np.stack([np.diag(1j * np.exp(1j * x)) for x in X]))
    agree(ad.grad(lambda Z: np.sum(ad.batch(f)(Z)))(Z), np.stack([ad.grad(f)(z) for z in Z]))
    branch = lambda x: x + 0j if x > 0 else -x  # noqa: E731  (complex in some lanes)
    agree(ad.batch(branch)(X[:, 0]), np.abs(X[:, 0]) + 0j)


def test_batches_inside_of_loops_sums_and_objectives():
    def total(x):
        return ad.scan(lambda s, v: (s + np.sum(ad.batch(lambda y: y * v * s)(x)), None), 1.0, x)[0]
    def unrolled(x):
        s = 1.0
        for v in x:
            s = s + np.sum(x * v * s)
        return s
    x = 0.1 * X[0]
    agree(ad.grad(total)(x), ad.grad(unrolled)(x))
    agree(ad.batch(ad.grad(total))(0.1 * X), np.stack([ad.grad(unrolled)(x) for x in 0.1 * X]))
    sources = ad.sum_over([X[:3], X[3:6]], lambda p, rows: np.sum(ad.batch(lambda r: np.sin(r @ p))(rows)))
    agree(ad.grad(sources)(x), np.cos(X[:6] @ x) @ X[:6])
    fit = ad.optimize.minimize(lambda p: np.sum(ad.batch(lambda r: (r @ p - r[0])**2)(X)), np.zeros(4))
    np.testing.assert_allclose(fit.x, [1, 0, 0, 0], atol=1e-6)
    Z = X + 1j
    f = lambda s: np.sum(abs(ad.batch(lambda z: z * s)(Z))**2)  # noqa: E731
    agree(ad.grad(f)(1.5), np.float64(3.0 * np.sum(abs(Z)**2)))


def test_a_tape_with_lanes_is_saved(tmp_path):
    tape = ad.record(ad.batch(walk), X)
    tape.save(tmp_path / "lanes.tape")
    agree(ad.Tape.load(tmp_path / "lanes.tape").gradient(X), tape.gradient(X), 1e-14)


# ---- lanes that decide differently -----------------------------------------------------------------------------------

def branching(x):
    if x[0] > 0:
        return np.sum(x**2)
    if x[1] > 0:
        return np.log(x[1]) * x[2]
    return 0.0


def test_lanes_are_grouped_by_their_decisions():
    b, many = ad.batch(branching), rng.normal(size=(1500, 4))
    wanted = np.array([branching(x) for x in many])
    for _ in range(3):
        agree(b(many), wanted)
        many, wanted = many[::-1], wanted[::-1]
    assert (b.stats().recordings, b.stats().alone, b.stats().tapes) == (3, 0, 3)
    text = ad.explain(b)
    assert "a decision went the other way: bool()" in text and "if x[0] > 0:" in text
    gradients = np.stack([ad.grad(branching)(x) for x in many])
    agree(ad.batch(ad.grad(branching))(many), gradients)
    agree(ad.grad(lambda X: np.sum(ad.batch(branching)(X)))(many), gradients)
    agree(ad.grad(lambda X: np.sum(ad.batch(ad.batch(branching))(X)))(many.reshape(3, 500, 4)),
          gradients.reshape(3, 500, 4))


def test_a_gradient_through_groups_is_recorded_again_when_a_lane_changes_its_group():
    g = ad.grad(lambda X: np.sum(ad.batch(branching)(X)))
    for _ in range(3):
        agree(g(X), np.stack([ad.grad(branching)(x) for x in X]))
        X2 = X * np.array([-1.0, 1.0, 1.0, 1.0])
        agree(g(X2), np.stack([ad.grad(branching)(x) for x in X2]))
    assert g.stats().recordings == 2


def test_lanes_that_all_decide_differently_are_computed_one_at_a_time():
    def f(x):
        y = x
        for _ in range(int(np.floor(x * 1000))):
            y = y * 1.01
        return y
    x = rng.permutation(60) / 1000 + 0.0005
    b = ad.batch(f)
    assert np.array_equal(b(x), [f(v) for v in x])
    assert 0 < b.stats().recordings <= 10 and b.stats().alone >= 50
    agree(ad.batch(ad.grad(f))(x), np.array([ad.grad(f)(v) for v in x]))


@pytest.mark.parametrize("value", [0.0, -0.0, np.nan, 1.5])
def test_a_number_that_python_has_looked_at_is_compared_bit_by_bit(value):
    """1 / 0.0 and 1 / -0.0 are equal to nobody else's."""
    def f(x):
        return x * np.copysign(2.0, float(x)) if float(x) == float(x) else x * 0 + 7.0
    lanes = np.array([value, 0.0, -0.0, np.nan, 1.5, value])
    with np.errstate(all="ignore"):
        assert np.array_equal(ad.batch(f)(lanes), [f(v) for v in lanes], equal_nan=True)


def test_a_tape_for_another_number_that_all_lanes_share_costs_little():
    """Its decision is the same in all lanes: that none is served is known without trying each."""
    def f(x, n):
        return x * np.arange(4.0)[int(n)] if n > 0.5 else -x
    b, many = ad.batch(f, (0, None)), rng.normal(size=3000)
    for n in (1.0, 2.0, 0.0, 1.0):
        agree(b(many, n), f(many, n))
    assert (b.stats().recordings, b.stats().alone) == (3, 0) and b.stats().guard_failures < 100


@pytest.mark.parametrize("value", [1.5, 0.0, np.inf])
def test_guards_in_single_precision(value):
    lanes = np.array([value, -0.0, 0.0, 1.5, np.nan, value], dtype=np.float32)
    f = lambda x: x * np.float32(np.copysign(2.0, float(x)))  # noqa: E731
    assert np.array_equal(ad.batch(f)(lanes), [f(v) for v in lanes], equal_nan=True)
    assert ad.batch(f)(lanes).dtype == np.float32


def test_what_foreign_code_is_given_is_guarded():
    table = {1.0: 10.0, 2.0: 20.0}
    f = lambda x: x * table[float(x)]  # noqa: E731
    agree(ad.batch(f)(np.array([1.0, 2.0, 1.0])), np.array([10.0, 40.0, 10.0]))


def test_an_error_of_one_lane_is_that_of_the_function_and_names_the_lane():
    def f(x):
        if x[0] > 2:
            raise ValueError("too large")
        return np.linalg.solve(np.array([[x[0], 1.0], [1.0, x[1]]]), x[:2]).sum()
    lanes = np.ones((30, 2)) * [1.5, 0.5]
    lanes[17] = [1.0, 1.0]
    for compute in (ad.batch(f), lambda X: ad.grad(lambda X: np.sum(ad.batch(f)(X)))(X)):
        with pytest.raises(np.linalg.LinAlgError) as singular:
            compute(lanes)
    lanes[17] = [3.0, 1.0]
    with pytest.raises(ValueError, match="too large") as error:
        ad.batch(f)(lanes)
    assert error.value.__notes__ == ["(in lane 17 of a batch)"]
    with pytest.raises(np.linalg.LinAlgError) as singular:
        ad.batch(f)(np.ones((30, 2)))
    assert "lane 0" in str(singular.value.__notes__)
    with pytest.raises(IndexError):
        ad.batch(lambda x, n: x[n])(lanes, np.array([0] * 29 + [5]))


def test_shapes_that_depend_on_the_lane():
    with pytest.raises(ShapeError, match="which make no array"):
        ad.batch(lambda x: x[x > 0])(X)
    assert ad.batch(lambda x: np.sum(x[x > 0]))(X).shape == (13,)
    with pytest.raises(ShapeError, match="different structure"):
        ad.batch(lambda x: (x[0], x[1]) if x[0] > 0 else x)(X)
    b = ad.batch(lambda x: x if x[0] > 0 else x[:2])         # tapes of other lanes say nothing of these
    assert b(np.abs(X)).shape == (13, 4) and b(-np.abs(X)).shape == (13, 2) and b(np.abs(X)).shape == (13, 4)


# ---- floating-point exceptions ---------------------------------------------------------------------------------------

def test_a_nan_stays_in_its_lane_and_warns_once():
    lanes = np.abs(rng.normal(size=(3000, 4))) + 0.1
    lanes[[7, 2500]] = -1.0
    f = lambda x: np.sum(np.log(x))  # noqa: E731
    b = ad.batch(f)
    for _ in range(2):
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            y = b(lanes)
        assert np.flatnonzero(np.isnan(y)).tolist() == [7, 2500]
        assert [w.category for w in seen] == [RuntimeWarning] and "invalid value" in str(seen[0].message)
        assert seen[0].filename == __file__
    with np.errstate(all="raise"), pytest.raises(FloatingPointError):
        b(lanes)
    with np.errstate(all="ignore"):
        g = ad.batch(ad.grad(f))(lanes)
    assert np.isfinite(np.delete(g, [7, 2500], axis=0)).all()


def test_derivative_code_is_silent():
    agree(ad.batch(ad.grad(lambda x: np.sum(np.sqrt(x) * 0 + x)))(np.zeros((3, 2))), np.ones((3, 2)))
    agree(ad.batch(ad.hessian(lambda x: np.sum(np.where(x > 0, np.sqrt(x), x))))(np.zeros((3, 2))), np.zeros((3, 2, 2)))


def test_the_branch_that_a_lane_does_not_take_is_silent():
    f = lambda x: np.log(x) if x > 0 else x * 1.0  # noqa: E731
    lanes = np.array([1.0, -1.0, 2.0, 0.0] * 200)
    agree(ad.batch(f)(lanes), np.array([f(x) for x in lanes]))


# ---- what f depends on -----------------------------------------------------------------------------------------------

weight = 2.0
data = np.ones(4)


def test_captured_state_is_not_stale():
    global weight
    f = lambda x: weight * np.sum(x * data)  # noqa: E731
    for b in (ad.batch(f), ad.batch(ad.grad(f))):
        weight, data[:] = 2.0, 1.0
        before = b(X)
        data[:] = 2.0
        agree(b(X), 2 * before)
        weight = 6.0
        agree(b(X), 6 * before)
        assert "global `weight`" in ad.explain(b)
    weight, data[:] = 2.0, 1.0


def test_audits():
    counts = [0]

    def f(x):
        counts[0] += 1
        return np.sum(x) * np.random.default_rng(counts[0]).normal()
    b = ad.batch(f)
    b(X)
    with pytest.raises(StaleTapeError, match="random numbers|two runs"):
        b(X)
    ad.batch(f, audit=False)(X)
    good = ad.batch(lambda x: looped(x) + 1)
    for _ in range(9):
        good(X)
    assert good.stats().audits == 3


def test_lambdas_made_anew_share_their_tapes():
    before = None
    for s in (1.0, 1.0, 1.0):
        b = ad.batch(lambda x, s=s: np.sum(x) * s)
        agree(b(X), X.sum(axis=1) * s)
        assert before is None or b.stats().recordings == 0
        before = b


def test_verbs_made_anew_share_their_tapes_if_they_are_alike():
    def loss(x):
        return np.sum(x**3)
    for n in range(3):
        b = ad.batch(ad.grad(lambda x: loss(x)))
        agree(b(X), 3 * X**2)
        assert b.stats().recordings == (n == 0)
    Y = rng.normal(size=(4, 4, 4))
    f = lambda x: x * np.arange(4.0)  # noqa: E731
    agree(ad.batch(ad.batch(f))(Y), Y * np.arange(4.0))
    agree(ad.batch(ad.batch(f, out_axes=1))(Y), np.swapaxes(Y * np.arange(4.0), 1, 2))
    agree(ad.batch(ad.batch(f, in_axes=1))(Y), np.swapaxes(Y, 1, 2) * np.arange(4.0))
    agree(ad.batch(ad.jacobian(f))(X), np.stack([np.diag(np.arange(4.0))] * 13))


def test_methods_partials_and_copies():
    class Model:
        scale = 3.0

        def f(self, x):
            return self.scale * x.sum()
    model = Model()
    b = ad.batch(model.f)
    agree(b(X), 3 * X.sum(axis=1))
    model.scale = 4.0
    agree(b(X), 4 * X.sum(axis=1))
    agree(ad.batch(partial(np.multiply, 2.0))(X), 2 * X)
    again = pickle.loads(pickle.dumps(ad.batch(looped, memory="1MB")))
    agree(again(X), np.array([looped(x) for x in X]))
    assert repr(again) == "<batch of looped>"


def test_stats():
    def known(a):
        return a**2
    square = ad.primitive(known, vjp=lambda w, y, a: (2 * w * a,))
    b = ad.batch(lambda x: np.sum(square(x)))
    b(X)
    s = b.stats()
    assert (s.lanes, s.alone, s.lanes_at_once, s.looped, s.recordings) == (13, 0, 13, ("test_stats.<locals>.known",), 1)
    assert "lanes_at_once=13" in repr(s) and s.bytes > 0
    b.clear()
    assert b.stats().tapes == 0


# ---- chunks, threads, memory, bits -----------------------------------------------------------------------------------

def of_one_lane(f, lanes):
    """What the tape of one lane gives."""
    tape = ad.record(f, lanes[0])
    return np.stack([tape(x) for x in lanes])


@pytest.mark.parametrize("name", ["elementwise", "loop", "scan", "gather", "sort", "interpolation", "median", "fft"])
def test_bits_are_those_of_a_tape_of_one_lane(name):
    lanes = rng.normal(size=(700, 4))
    assert ad.batch(FUNCTIONS[name])(lanes).tobytes() == of_one_lane(FUNCTIONS[name], lanes).tobytes()


@pytest.fixture
def threads():
    before = ad.get_num_threads()
    yield ad.set_num_threads
    ad.set_num_threads(before)


def test_bits_depend_neither_on_threads_nor_on_what_was_called_before(threads, monkeypatch):
    monkeypatch.setattr(lane_programs, "WORTH_A_THREAD", 0.0)
    lanes = rng.normal(size=(2600, 4))
    for f in (ad.grad(number("scan")), ad.grad(number("matmul")), branching):
        seen = set()
        for n in (1, 2, 7):
            threads(n)
            b = ad.batch(f)
            seen.add(b(lanes).tobytes())
            b(lanes[:100])
            seen.add(b(lanes).tobytes())
        assert len(seen) == 1


def test_chunks_are_few_programs_and_little_memory():
    lanes = rng.normal(size=(10_001, 4))
    b = ad.batch(ad.grad(lambda x: looped(x) * 1.0))
    y = b(lanes)
    for k in (0, 511, 512, 10_000):
        assert y[k].tobytes() == b(lanes[k:k + 1])[0].tobytes()
    (entry,) = b.cache.all()
    programs = {key[1]: p for key, p in entry.program.programs.items()}
    assert set(programs) == {512, 1} and programs[512].need < 2**20


def test_memory():
    f = ad.grad(lambda x: np.sum(np.sin(np.outer(x, x)) @ np.cos(np.outer(x, x))))
    lanes = rng.normal(size=(40, 30))
    free, bound = ad.batch(f), ad.batch(f, memory="300kB")
    agree(bound(lanes), free(lanes), 1e-11)
    (entry,) = bound.cache.all()
    (program,) = entry.program.programs.values()
    assert program.need <= 300_000 and bound.stats().lanes_at_once == program.lanes < free.stats().lanes_at_once
    with pytest.raises(BudgetError, match="one lane at a time takes") as error:
        ad.batch(f, memory=1000)(lanes)
    agree(ad.batch(f, memory=error.value.smallest)(lanes), free(lanes), 1e-11)
    with pytest.raises(UnsupportedError, match="outermost"):
        ad.grad(lambda X: np.sum(ad.batch(f, memory="1MB")(X)))(lanes)


def test_errors_and_nested_batches_in_threads(threads, monkeypatch):
    monkeypatch.setattr(lane_programs, "WORTH_A_THREAD", 0.0)
    threads(3)
    inner = ad.batch(lambda y: y * 2)
    twice = ad.primitive(lambda x: inner(x), vjp=lambda w, y, x: (2 * w,))
    lanes = rng.normal(size=(1500, 3))
    agree(ad.batch(ad.grad(lambda x: np.sum(twice(x))))(lanes), np.full((1500, 3), 2.0))

    def fails(x):
        if x[0] > 2.5:
            raise RuntimeError("no")
        return x
    bad = ad.primitive(fails, vjp=lambda w, y, x: (w,))
    with pytest.raises(RuntimeError, match="no"):
        ad.batch(lambda x: bad(x))(np.concatenate([lanes, np.full((1, 3), 3.0)]))


# ---- dense matrices of derivatives: lanes of unit vectors ------------------------------------------------------------

@pytest.mark.parametrize("verb", [ad.jacobian, ad.hessian, partial(ad.jacobian, mode="reverse")])
def test_dense_matrices_are_computed_in_chunks_within_a_memory_bound(verb, monkeypatch):
    W = rng.normal(size=(90, 90)) / 9
    x = rng.normal(size=90)

    def f(x):
        y = np.tanh(W @ np.tanh(W @ x)) * x
        return np.sum(y**2) if verb is ad.hessian else y
    compiled = []
    monkeypatch.setattr(unit_vectors.Lanes, "sweeps", counting(unit_vectors.Lanes.sweeps, compiled))
    free = verb(lambda x: f(x))
    for _ in range(6):
        whole = free(x)
    monkeypatch.setattr(unit_vectors, "MOST_BYTES", 40_000)
    bound = verb(lambda x: f(x))
    for _ in range(6):
        np.testing.assert_allclose(bound(x), whole, rtol=1e-10, atol=1e-12)
    assert compiled[0].lanes == 64                           # two chunks, the second of 26
    assert compiled[-1].lanes <= 16 and compiled[-1].program.working_bytes() <= 40_000


def counting(method, found):
    def sweeps(self, *args):
        found.append(self)
        return method(self, *args)
    return sweeps


def test_matrices_inside_a_batch_take_one_tape_for_all_unit_vectors():
    tape = ad.record(ad.hessian(lambda x: np.sum(np.sin(x) * x[0])), rng.normal(size=50))
    assert len(tape) < 120
