"""`out=`: results of tapes and verbs in the caller's arrays."""
import numpy as np
import pytest

import fastad as ad

X = np.array([0.3, -1.2, 2.0])
FRESH = ad.record(lambda x: np.sin(x) * x, X)


def rosenbrock(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


@pytest.fixture(params=["swept", "compiled"])
def tape(request):
    found = ad.record(lambda x: np.sin(x) * x, X)
    return found.compile() if request.param == "compiled" else found


def same(result, out, want):
    assert result is out
    np.testing.assert_array_equal(out, want)


def test_a_tape_writes_into_out(tape):
    y, g, v = np.full(3, np.nan), np.full(3, np.nan), np.array([1.0, -2.0, 0.5])
    same(tape(X, out=y), y, FRESH(X))
    same(tape.gradient(X, out=g), g, FRESH.gradient(X))
    same(tape.forward(X, out=y), y, FRESH.forward(X))
    same(tape.reverse(v, out=g), g, FRESH.reverse(v))
    same(tape.tangent(v, out=y), y, FRESH.tangent(v))


@pytest.mark.parametrize("view", [lambda a: a[::2], lambda a: a[2::-1], lambda a: a[:3]])
def test_out_may_be_a_view(tape, view):
    big = np.full(6, 7.0)
    out = view(big)[:3]
    same(tape.gradient(X, out=out), out, FRESH.gradient(X))
    assert np.count_nonzero(big == 7.0) == 3


def test_out_may_be_the_argument_itself(tape):
    x = X.copy()
    same(tape.gradient(x, out=x), x, FRESH.gradient(X))
    x = X.copy()
    same(tape(x, out=x), x, FRESH(X))


def test_out_may_overlap_the_argument(tape):
    memory = np.array([9.0, *X])
    out = memory[:3]
    same(tape.gradient(memory[1:], out=out), out, FRESH.gradient(X))


@pytest.mark.parametrize("out, what", [
    (np.empty(4), r"float64 array of shape \(4,\).*np.empty\(\(3,\), dtype=np.float64\)"),
    (np.empty((3, 1)), r"shape \(3, 1\)"),
    (np.empty(3, dtype=np.float32), "float32"),
    (np.frombuffer(bytes(24)), "read-only"),
    ((np.empty(3),), r"structure \(\*,\), the result \*"),
])
def test_out_that_does_not_fit(tape, out, what):
    for call in (tape, tape.gradient, tape.forward):
        with pytest.raises(ad.ShapeError, match=what):
            call(X, out=out)
    with pytest.raises(TypeError, match="give a writeable array"):
        tape(X, out=3.0)


def test_trees_and_numbers():
    def f(p, s):
        return {"a": p["u"] * s, "b": np.sum(p["u"]) * p["v"]}
    p = {"u": X, "v": 2.0}
    tape = ad.record(f, p, 3.0)
    want = tape(p, 3.0)
    out = {"a": np.empty(3), "b": np.empty(())}
    for _ in range(2):
        assert tape(p, 3.0, out=out) is out
        np.testing.assert_array_equal(out["a"], want["a"])
        assert out["b"] == want["b"]
        gradient = ({"u": np.empty(3), "v": np.empty(())}, np.empty(()))
        assert tape.gradient(p, 3.0, out=gradient) is gradient
        np.testing.assert_array_equal(gradient[0]["u"], tape.gradient(p, 3.0)[0]["u"])
        assert gradient[1] == tape.gradient(p, 3.0)[1]
        tape.compile()


def test_verbs_write_their_derivatives():
    g, want = np.empty(3), ad.grad(rosenbrock)(X)
    gradient, both = ad.grad(rosenbrock), ad.value_and_grad(rosenbrock)
    for _ in range(1200):                # by the tape first, by a program after that
        g[:] = np.nan
        same(gradient(X, out=g), g, want)
        value, found = both(X, out=g)
        same(found, g, want)
        assert value == rosenbrock(X)
    same(ad.hvp(rosenbrock)(X, X, out=g), g, ad.hvp(rosenbrock)(X, X))
    h = np.empty((3, 3))
    same(ad.hessian(rosenbrock)(X, out=h), h, ad.hessian(rosenbrock)(X))
    same(ad.jacobian(lambda x: np.sin(x) * x[0])(X, out=h), h, ad.jacobian(lambda x: np.sin(x) * x[0])(X))
    pair = np.empty(3), np.empty(3)
    two = ad.grad(lambda x, y: np.sum(x * y), argnums=(0, 1))(X, X + 1.0, out=pair)
    assert two is pair
    same(two[0], pair[0], X + 1.0)
    found, aux = ad.grad(lambda x: (np.sum(x * x), "aux"), has_aux=True)(X, out=g)
    same(found, g, 2.0 * X)
    assert aux == "aux"
    np.testing.assert_array_equal(gradient(X, out=None), want)


def test_out_of_the_function_itself():
    def f(x, out):
        return np.sum(x * out)
    np.testing.assert_array_equal(ad.grad(f)(X, out=2.0), [2.0, 2.0, 2.0])
    tape = ad.record(f, X, out=2.0)
    np.testing.assert_array_equal(tape.gradient(X, out=3.0)[0][0], [3.0, 3.0, 3.0])
    np.testing.assert_array_equal(ad.grad(lambda x, **more: np.sum(x * more["out"]))(X, out=X), X)


def test_a_traced_result_fits_into_no_plain_array():
    plain = np.empty(3)
    with pytest.raises(TypeError, match="out="):
        ad.grad(lambda x: np.sum(ad.grad(rosenbrock)(x, out=plain)))(X)

    def f(x):
        inner = np.empty(3)
        inner[:] = ad.grad(rosenbrock)(x)
        return np.sum(inner)
    np.testing.assert_allclose(ad.grad(f)(X), ad.hessian(rosenbrock)(X).sum(0), rtol=1e-12)


def test_results_of_a_tree_need_memory_of_their_own():
    """The last one would overwrite the others; rows and every other element are apart."""
    g = ad.grad(lambda a, b: np.sum(a * b * b), argnums=(0, 1))
    a, b = np.arange(3.0), np.arange(1.0, 4.0)
    row, buffer = np.empty(3), np.empty(5)
    for out in ((row, row), (buffer[:3], buffer[2:]), (buffer[::2], buffer[2::-1])):
        with pytest.raises(ValueError, match="share memory"):
            g(a, b, out=out)
    for place in (np.empty((2, 3)), np.empty((3, 2)).T):
        got = g(a, b, out=tuple(place))
        np.testing.assert_array_equal(got, g(a, b))
        np.testing.assert_array_equal(place, g(a, b))


def test_nothing_is_written_where_the_tape_does_not_fit():
    out = np.full(3, 7.0)
    tape = ad.record(lambda x: np.sum(x * x), X)
    with pytest.raises(ad.ShapeError):
        tape.gradient(np.ones(4), out=out)
    np.testing.assert_array_equal(out, [7.0, 7.0, 7.0])


def test_within_a_budget():
    def f(x):
        for _ in range(50):
            x = np.sin(x) * 1.1
        return np.sum(x)
    x, g = np.linspace(0.0, 1.0, 1000), np.empty(1000)
    same(ad.grad(f, memory="100kB")(x, out=g), g, ad.grad(f)(x))
    g[:] = np.nan
    same(ad.record(f, x, memory="100kB").gradient(x, out=g), g, ad.grad(f)(x))
