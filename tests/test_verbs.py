"""The verbs: what DESIGN promises of grad, value_and_grad, jvp, vjp, jacobian, hessian, hvp, and their errors.

Owns: results, structures, argnums, aux, static arguments, bad input.  Must not know: caches (test_cache.py).
Next: test_nesting.py, test_record.py.
"""
from collections import namedtuple

import numpy as np
import pytest

import fastad as ad


def rosenbrock(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def rosenbrock_gradient(x):
    g = np.zeros_like(x)
    g[:-1] = -400 * x[:-1] * (x[1:] - x[:-1] ** 2) - 2 * (1 - x[:-1])
    g[1:] += 200 * (x[1:] - x[:-1] ** 2)
    return g


def rosenbrock_hessian(x):
    n = len(x)
    H = np.zeros((n, n))
    k = np.arange(n - 1)
    H[k, k] = 1200 * x[:-1] ** 2 - 400 * x[1:] + 2
    H[k + 1, k + 1] += 200
    H[k, k + 1] = H[k + 1, k] = -400 * x[:-1]
    return H


def branching(x):
    y = np.zeros(2)
    y[0] = x[0] ** 2 + x[1]
    y[1] = np.sin(x[1]) if x[0] > 0 else x[1]
    return y.sum()


def test_the_lecture_example():
    g = ad.grad(lambda x1, x2: x1**2 + x2, argnums=(0, 1))
    assert g(2.0, 3.0) == (4.0, 1.0)


def test_the_first_example_of_the_design():
    g = ad.grad(branching)
    assert g([2.0, 3.0]) == pytest.approx([4.0, 1 + np.cos(3.0)], rel=1e-15)
    assert np.allclose(g(np.array([-2.0, 3.0])), [-4.0, 2.0], rtol=1e-15)


def test_grad_hessian_and_products(rng):
    x, v = rng.normal(size=7), rng.normal(size=7)
    G, H = rosenbrock_gradient(x), rosenbrock_hessian(x)
    assert np.allclose(ad.grad(rosenbrock)(x), G, rtol=1e-13)
    value, gradient = ad.value_and_grad(rosenbrock)(x)
    assert value == rosenbrock(x) and isinstance(value, float) and np.allclose(gradient, G, rtol=1e-13)
    assert np.allclose(ad.hessian(rosenbrock)(x), H, rtol=1e-12, atol=1e-11)
    assert np.allclose(ad.hvp(rosenbrock)(x, v), H @ v, rtol=1e-12, atol=1e-11)
    y, y_dot = ad.jvp(rosenbrock, (x,), (v,))
    assert y == rosenbrock(x) and np.isclose(y_dot, G @ v, rtol=1e-12)
    y, pullback = ad.vjp(rosenbrock, x)
    assert y == rosenbrock(x) and np.allclose(pullback(2.0)[0], 2 * G, rtol=1e-13)


@pytest.mark.parametrize("mode", ["auto", "forward", "reverse"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_jacobian_shapes_and_modes(mode, shape, rng):
    A = rng.normal(size=(2, 2, *shape))
    f = (lambda x: np.sin(A * x).sum(axis=-1)) if shape else (lambda x: np.sin(A * x))
    x = rng.normal(size=shape)[()]
    J = ad.jacobian(f, mode=mode)(x)
    steps = [np.zeros(shape) for _ in range(np.size(x))]
    for j, e in enumerate(steps):
        e.flat[j] = 1e-6
    columns = [(f(x + e) - f(x - e)) / 2e-6 for e in steps]
    y = f(x)
    assert np.shape(J) == y.shape + shape
    assert np.allclose(J, np.stack(columns, -1).reshape(y.shape + shape), atol=1e-8)


def test_jacobian_takes_the_fewer_sweeps(monkeypatch):
    counts = {"tangent": 0, "reverse": 0}
    from fastad import verbs

    class Counting:
        def __init__(self, tape):
            self.tape = tape

        def __getattr__(self, name):
            return getattr(self.tape, name)

        def sweep_tangent(self, v):
            counts["tangent"] += 1
            return self.tape.sweep_tangent(v)

        def sweep_reverse(self, w):
            counts["reverse"] += 1
            return self.tape.sweep_reverse(w)

    original = verbs.Jacobian.replay

    def replay(self, entry, values, extra):
        class Entry:
            tape, swept, program = entry.tape, Counting(entry.swept), None
        return original(self, Entry, values, extra)
    monkeypatch.setattr(verbs.Jacobian, "replay", replay)
    W = np.arange(10.0).reshape(2, 5)
    assert np.array_equal(ad.jacobian(lambda x: W @ x)(np.ones(5)), W)
    assert counts == {"tangent": 0, "reverse": 2}
    assert np.array_equal(ad.jacobian(lambda x: W.T @ x)(np.ones(2)), W.T)
    assert counts == {"tangent": 2, "reverse": 2}


@pytest.mark.parametrize("n", [1, 3, 70])
def test_compiled_matrices_are_those_of_the_sweeps(n, rng, compiling_is_free):
    """After some calls many unit vectors are swept at once: the same bits, and no more recordings."""
    A = rng.normal(size=(2, n))

    def f(p, q):
        return {"y": np.sin(A @ p["a"]) * q, "z": p["b"] ** 3 * q}, {"max": p["a"].max(), "name": "f"}

    def total(p, q):
        out, _ = f(p, q)
        return (out["y"] ** 2).sum() * out["z"]

    args = [({"a": rng.normal(size=n), "b": 1.5 + k}, 2.0 + k) for k in range(3)]
    v = {"a": rng.normal(size=n), "b": 0.5}
    for make, call in ((lambda: ad.jacobian(f, (0, 1), "forward", has_aux=True), lambda g, p, q: g(p, q)),
                       (lambda: ad.jacobian(f, 0, "reverse", has_aux=True), lambda g, p, q: g(p, q)),
                       (lambda: ad.hessian(total, (0, 1)), lambda g, p, q: g(p, q)),
                       (lambda: ad.hvp(total), lambda g, p, q: g(p, v, q))):
        g = make()
        g.clear()
        interpreted = [call(g, *a) for a in args]
        assert g.hot.program is None
        for _ in range(7):
            call(g, *args[0])
        assert g.hot.program is not None and g.stats().recordings == 1
        for a, want in zip(args, interpreted, strict=True):
            got = call(g, *a)
            assert ad.trees.flatten(got)[1] == ad.trees.flatten(want)[1]
            for x, y in zip(ad.trees.flatten(got)[0], ad.trees.flatten(want)[0], strict=True):
                assert np.shape(x) == np.shape(y)
                assert x == y if isinstance(x, str) else np.allclose(x, y, rtol=1e-13, atol=1e-13)


def test_matrices_of_nothing():
    assert ad.jacobian(lambda x: 2 * x)(np.zeros(0)).shape == (0, 0)
    assert ad.jacobian(lambda x: x.sum() * np.ones(2))(np.zeros(0)).shape == (2, 0)
    assert ad.hessian(lambda x: x.sum())(np.zeros(0)).shape == (0, 0)
    assert ad.grad(lambda x: x.sum())(np.zeros((0, 3))).shape == (0, 3)


def test_trees_of_arguments_and_results():
    Model = namedtuple("Model", "w b")

    def f(model, data):
        y = model.w @ data["x"] + model.b[0]
        return {"y": y, "norm": (y**2).sum()}

    model, data = Model(np.arange(6.0).reshape(2, 3), [0.5]), {"x": np.array([1.0, -1.0, 2.0])}
    g = ad.grad(lambda m, d: f(m, d)["norm"])(model, data)
    y = f(model, data)["y"]
    assert type(g) is Model and np.allclose(g.w, 2 * np.outer(y, data["x"])) and np.isclose(g.b[0], 2 * y.sum())
    J = ad.jacobian(f, argnums=(0, 1))(model, data)
    assert J["y"][0].w.shape == (2, 2, 3) and J["norm"][0].b[0].shape == () and J["y"][1]["x"].shape == (2, 3)
    assert np.allclose(J["y"][1]["x"], model.w) and np.allclose(J["norm"][0].w, g.w)
    H = ad.hessian(lambda m: f(m, data)["norm"])(model)
    assert H.w.w.shape == (2, 3, 2, 3) and H.b[0].w.shape == (2, 3) and np.isclose(H.b[0].b[0], 4.0)
    (y2, norm), pullback = ad.vjp(lambda m: tuple(f(m, data).values()), model)
    (bar,) = pullback((np.zeros(2), 1.0))
    assert np.array_equal(y2, y) and np.allclose(bar.w, g.w)


def test_argnums_and_inactive_arguments():
    def f(a, n, b, scale=2.0):
        total = 0.0
        for _ in range(int(n)):          # n is an input that is not differentiated: Python may look at it
            total = total + a * b.sum() * scale
        return total

    b = np.array([1.0, 2.0])
    assert ad.grad(f)(3.0, 2.0, b) == 2 * 3 * 2
    ga, gb = ad.grad(f, argnums=(0, 2))(3.0, 2.0, b)
    assert ga == 12.0 and np.array_equal(gb, [12.0, 12.0])
    gb, ga = ad.grad(f, argnums=(2, 0))(3.0, 2.0, b, scale=1.0)
    assert ga == 6.0 and np.array_equal(gb, [6.0, 6.0])
    assert ad.grad(f, argnums=-1)(3.0, 2, b).shape == (2,)
    with pytest.raises(ad.DerivativeError, match="argnums 5 of 3"):
        ad.grad(f, argnums=5)(3.0, 2, b)


def test_ints_become_floats_where_they_are_differentiated():
    assert ad.grad(lambda x: x**3)(2) == 12.0
    assert np.array_equal(ad.grad(lambda x: (x**3).sum())(np.array([1, 2])), [3.0, 12.0])
    g = ad.grad(lambda x: (x**3).sum())(np.array([1, 2], dtype=np.float32))
    assert g.dtype == np.float32 and np.array_equal(g, [3.0, 12.0])


def test_static_arguments_select_code():
    def f(x, kind, power, *, shift=None, names=()):
        y = np.sin(x) if kind == "sin" else x**power
        return y.sum() + (0.0 if shift is None else shift * x.sum()) + len(names)

    g = ad.grad(f)
    x = np.array([1.0, 2.0])
    assert np.allclose(g(x, "sin", 2), np.cos(x))
    assert np.allclose(g(x, "power", 2), 2 * x)
    assert np.allclose(g(x, "power", 3), 3 * x**2)
    assert np.allclose(g(x, "power", True), 1.0)
    assert np.allclose(g(x, "power", 3, shift=0.5, names=["a", {1}]), 3 * x**2 + 0.5)
    assert g.stats().recordings == 5


def test_has_aux():
    def f(x):
        y = x**2
        return y.sum(), {"squares": y, "label": "run", "count": 3}

    x = np.array([1.0, 2.0])
    g, aux = ad.grad(f, has_aux=True)(x)
    assert np.array_equal(g, 2 * x) and aux["label"] == "run" and aux["count"] == 3
    h = ad.value_and_grad(f, has_aux=True)
    for scale in (1.0, 2.0, 3.0):
        (value, aux), g = h(scale * x)
        assert value == 5 * scale**2 and np.array_equal(aux["squares"], (scale * x) ** 2)
    J, aux = ad.jacobian(lambda x: (x**3, x.sum()), has_aux=True)(x)
    assert np.allclose(J, np.diag(3 * x**2)) and aux == 3.0
    y, pullback, aux = ad.vjp(f, x, has_aux=True)
    assert y == 5.0 and aux["label"] == "run" and np.array_equal(pullback(1.0)[0], 2 * x)
    with pytest.raises(ad.DerivativeError, match="pair"):
        ad.grad(lambda x: x.sum(), has_aux=True)(x)


def test_jvp_moves_what_has_a_tangent():
    def f(a, b):
        return (a * b, a + 1, "text")
    (y, _, text), (y_dot, a_dot, none) = ad.jvp(f, (2.0, 3.0), (1.0, None))
    assert (y, text, y_dot, a_dot, none) == (6.0, "text", 3.0, 1.0, None)
    (_, a, _), (y_dot, a_dot, _) = ad.jvp(f, (2.0, 3.0), (None, 1))
    assert (y_dot, a_dot) == (2.0, 0.0) and a == 3.0


def test_pullbacks_keep_their_point(rng):
    A = rng.normal(size=(3, 3))
    def f(x):
        return np.sin(A @ x)
    xs = [rng.normal(size=3) for _ in range(3)]
    B = A.copy()
    pullbacks = [ad.vjp(f, x)[1] for x in xs]
    wanted = [[np.cos(B @ x) * w @ B for w in np.eye(3)] for x in xs]
    for x in xs:
        x[:] = 0.0                       # neither the argument
    A[:] = 0.0                           # nor captured state may reach a pullback that exists
    for k in (2, 0, 1, 0):
        for w, want in zip(np.eye(3), wanted[k], strict=True):
            assert np.allclose(pullbacks[k](w)[0], want, rtol=1e-13)
            assert np.allclose(pullbacks[k](list(w))[0], want, rtol=1e-13)


def test_methods_partials_and_objects(rng):
    import functools

    class Misfit:
        def __init__(self, d):
            self.d = d

        def value(self, x, scale=1.0):
            return scale * ((x - self.d) ** 2).sum()

        __call__ = value

        @staticmethod
        def norm(x):
            return (x**2).sum()

    d, x = rng.normal(size=3), rng.normal(size=3)
    m = Misfit(d)
    for f, scale in ((m.value, 1), (m, 1), (functools.partial(m.value, scale=3.0), 3), (Misfit.norm, None)):
        want = 2 * x if scale is None else 2 * scale * (x - d)
        assert np.allclose(ad.grad(f)(x), want, rtol=1e-13)


# ---- bad input -------------------------------------------------------------------------------------------------------

def returns_nothing(x):
    x.sum()


BAD = [
    (returns_nothing, "returned None"),
    (lambda x: "text", "returned str 'text'"),
    (lambda x: 3.0, "plain value"),
    (lambda x: [1.0, 2.0], "nothing depends on its arguments"),
    (lambda x: x, "array of shape.*jacobian"),
    (lambda x: (x.sum(), x), "container.*jacobian"),
    (lambda x: np.argmax(x), "dtype int64"),
    (lambda x: x.sum() > 0, "dtype bool"),
]


@pytest.mark.parametrize(("f", "text"), BAD, ids=[text[:12] for _, text in BAD])
def test_grad_says_what_was_returned(f, text):
    with pytest.raises(ad.DerivativeError, match=f"(?s){text}") as error:
        ad.grad(f)(np.array([1.0, 2.0]))
    assert f.__name__ in str(error.value)


def test_arguments_without_derivative():
    for x in ("text", True, np.array([True]), object()):
        with pytest.raises(ad.DerivativeError, match="argument 0"):
            ad.grad(lambda x: x)(x)
    with pytest.raises(ad.DerivativeError, match="complex"):
        ad.grad(lambda x: x)(1j)
    with pytest.raises(ad.UnsupportedError, match="MaskedArray"):
        ad.grad(lambda x: x.sum())(np.ma.masked_array([1.0, 2.0], [False, True]))


def test_jacobian_says_what_has_no_derivative():
    with pytest.raises(ad.DerivativeError, match="result 1 has dtype int64"):
        ad.jacobian(lambda x: (x, np.argsort(x)))(np.ones(2))
    with pytest.raises(ad.UnsupportedError, match="later"):
        ad.jacobian(lambda x: x, sparse=True)
    with pytest.raises(ValueError, match="mode"):
        ad.jacobian(lambda x: x, mode="sideways")
    with pytest.raises(TypeError, match="not callable"):
        ad.grad(3.0)


def test_wrong_directions():
    f, x = lambda x: x**2, np.ones(3)
    with pytest.raises(ad.ShapeError, match="tangent 0"):
        ad.jvp(f, (x,), (np.ones(2),))
    with pytest.raises(ad.ShapeError, match="1 primals and 2"):
        ad.jvp(f, (x,), (x, x))
    with pytest.raises(ad.ShapeError, match="adjoint 0 has shape"):
        ad.vjp(f, x)[1](np.ones(2))
    with pytest.raises(ad.ShapeError, match="structure"):
        ad.vjp(f, x)[1]({"w": x})


@pytest.mark.parametrize("error", [KeyboardInterrupt, RecursionError, ZeroDivisionError, StopIteration])
def test_what_f_raises_comes_through_and_leaves_nothing_open(error):
    from fastad import _tape as T
    zeros = np.zeros

    def f(x):
        np.zeros(2)[0] = x[0]
        if error is RecursionError:
            return f(x)
        raise error("from the user")

    for verb in (ad.grad, ad.jacobian, ad.hessian):
        with pytest.raises(error):
            verb(f)(np.ones(2))
    with pytest.raises(error):
        ad.grad(lambda x: ad.grad(f)(x).sum())(np.ones(2))
    assert T.current_tape() is None and not T.recordings()
    assert np.zeros is zeros and type(np.zeros(2)) is np.ndarray
    assert ad.grad(lambda x: x[0] ** 2)(np.array([3.0]))[0] == 6.0


def test_recursion_inside_f():
    def power(x, n):
        return 1.0 if n == 0 else x * power(x, n - 1)
    assert np.isclose(ad.grad(lambda x: power(x, 50))(1.01), 50 * 1.01**49, rtol=1e-13)


def test_values_that_escape_are_told_apart():
    kept = []

    def f(x):
        kept.append(x)
        return x[0] ** 2

    ad.grad(f)(np.ones(2))
    with pytest.raises(ad.EscapedTracerError, match="after its recording had ended") as error:
        kept[0] + 1
    assert "test_verbs.py" in str(error.value)


# ---- trees of tangents and adjoints ----------------------------------------------------------------------------------

def test_none_stands_for_the_parts_that_do_not_move():
    def f(t):
        return t["a"] ** 2 * t["n"] * t["b"].sum() if t["kind"] == "product" else t["a"]
    t = {"a": 3.0, "b": np.array([1.0, 2.0]), "n": 2, "kind": "product"}
    y, y_dot = ad.jvp(f, (t,), ({"a": 1.0, "b": None, "n": None, "kind": None},))
    assert y == 54.0 and y_dot == 36.0
    assert ad.jvp(f, (t,), ({"kind": None, "b": np.ones(2), "n": None, "a": None},))[1] == 36.0    # in another order
    with pytest.raises(ad.ShapeError, match="structure"):
        ad.jvp(f, (t,), ({"a": 1.0},))
    x = {"a": 3.0, "b": np.ones(2)}
    product = ad.hvp(lambda x: x["a"] ** 2 * x["b"].sum())(x, {"b": None, "a": 1.0})
    assert list(product) == ["a", "b"] and product["a"] == 4.0 and np.array_equal(product["b"], [6.0, 6.0])
    tape = ad.record(lambda x: (x[0] * x[1], x[1] ** 2), [2.0, 3.0])
    tape.forward([2.0, 3.0])
    assert tape.tangent([None, 1.0]) == (2.0, 6.0) and tape.reverse((None, 1.0)) == [0.0, 6.0]
    _, pullback = ad.vjp(lambda x: {"u": 2 * x, "v": x.sum()}, np.ones(2))
    assert np.array_equal(pullback({"v": 1.0, "u": None})[0], [1.0, 1.0])


@pytest.mark.parametrize("wrong", ["text", 1j, np.ones(2) * 1j, object()])
def test_tangents_and_adjoints_that_are_no_real_numbers_are_named(wrong):
    x = np.ones(2) if np.ndim(wrong) else 1.0
    with pytest.raises(ad.ShapeError, match="tangent 0.*real numbers"):
        ad.jvp(lambda x: 2 * x, (x,), (wrong,))
    with pytest.raises(ad.ShapeError, match="adjoint 0.*real numbers"):
        ad.vjp(lambda x: 2 * x, x)[1](wrong)


def test_subclasses_of_float_are_numbers():
    class Metres(float):
        pass
    g = ad.grad(lambda x, y: x**2 * y)
    assert g(Metres(3.0), Metres(2.0)) == 12.0 and g(Metres(2.0), 5.0) == 20.0
    assert type(g(Metres(3.0), 1.0)) is np.float64


def test_matrices_that_do_not_fit_are_refused_before_the_first_sweep():
    n = 400_000                          # squared: 2.5 TB
    for make, instead in ((lambda: ad.jacobian(lambda x: 2 * x), "ad.jvp or ad.vjp"),
                          (lambda: ad.hessian(lambda x: (x**2).sum()), "ad.hvp"),
                          (lambda: ad.grad(lambda x: ad.jacobian(lambda z: z**2)(x).sum()), "ad.jvp or ad.vjp")):
        with pytest.raises(MemoryError, match=f"400000 x 400000 numbers take .* GB.*{instead}"):
            make()(np.ones(n))
    assert ad.jacobian(lambda x: x.sum())(np.ones(n)).shape == (n,)
