"""ad.batch against a loop over points, with every other verb; axes; dtypes; what f depends on.

Owns: the proof of batching.py and lanes.py where all lanes decide alike.
Must not know: rules of single instructions (test_batch_rules.py).
Next: test_batch_decisions.py (lanes that do not), test_batch_chunks.py (bits, threads, memory).
"""
import pickle
from functools import partial

import numpy as np
import pytest
from batch_cases import FUNCTIONS, REAL, X, agree, elementwise, looped, number, rng, stacked, walk

import fastad as ad
from fastad import trees
from fastad.errors import ShapeError, StaleTapeError, UnsupportedError


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_are_those_of_a_loop(name):
    f = FUNCTIONS[name]
    b = ad.batch(f)
    wanted = stacked([trees_of_arrays(f(x)) for x in X])
    agree(b(X), wanted)
    agree(b(X), wanted)
    assert b.stats().alone == 0


def trees_of_arrays(result):
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
    with pytest.raises(StaleTapeError, match="random numbers|two runs"):
        ad.batch(f)(X)                               # a second lane is a second call
    b = ad.batch(f)
    b(X[:1])
    with pytest.raises(StaleTapeError, match="random numbers|two runs"):
        b(X[1:2])
    ad.batch(f, audit=False)(X)
    good = ad.batch(lambda x: looped(x) + 1)
    for _ in range(9):
        good(X)
    assert good.stats().audits == 4


@pytest.mark.parametrize("f", [
    lambda x: bool(x[0] > 0),
    lambda x: int(3 * x[0]),
    lambda x: (True, np.arange(2)) if x[0] > 0 else (False, np.arange(2, 4)),
    lambda x: 2j if x[0] > 0 else 1j,
    lambda x: 2 * x if x[0] > 0 else np.zeros(len(x), dtype=int),
])
def test_constants_of_branches_have_the_dtype_that_f_gives(f):
    points = np.random.default_rng(3).normal(size=(7, 3))
    want = [trees.flatten(f(x))[0] for x in points]
    for got in (ad.batch(f)(points), ad.record(lambda p: (ad.batch(f)(p), p.sum()), points)(points)[0]):
        for k, leaf in enumerate(trees.flatten(got)[0]):
            expected = np.array([leaves[k] for leaves in want])
            assert leaf.dtype == expected.dtype
            assert np.array_equal(leaf, expected)


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


def test_results_in_arrays_that_are_there():
    out = np.empty(X.shape)
    g = ad.batch(ad.grad(looped))
    assert g(X, out=out) is out
    agree(out, g(X))
    with pytest.raises(ShapeError, match="out="):
        g(X, out=np.empty(4))


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


