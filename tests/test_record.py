"""ad.record and the verbs of a Tape: replay, the classical sweeps, derivative tapes, compile.

Owns: the tape as an object in the user's hands.  Must not know: caches.  Next: test_verbs.py, fastad/recording.py.
"""
import threading

import numpy as np
import pytest

import fastad as ad


def f(x):
    y = np.zeros(2)
    y[0] = x[0] ** 2 + x[1]
    y[1] = np.sin(x[1]) if x[0] > 0 else x[1]
    return y.sum()


def gradient(x):
    return np.array([2 * x[0], 1 + np.cos(x[1])])


X, V = np.array([2.0, 3.0]), np.array([0.5, -1.0])


@pytest.mark.parametrize("compiled", [False, True])
def test_replay_and_divergence(compiled):
    tape = ad.record(f, X)
    if compiled:
        assert tape.compile() is tape
    assert tape(X) == f(X) and tape([1.0, 2.0] @ np.eye(2)) == f(np.array([1.0, 2.0]))
    assert np.allclose(tape.gradient(X), gradient(X), rtol=1e-15)
    with pytest.raises(ad.TapeDivergence, match=r"bool.*test_record.py:\d+") as error:
        tape(-X)
    assert error.value.kind == "bool()" and error.value.location.rpartition(":")[0].endswith("test_record.py")
    assert tape(X) == f(X)


def test_the_classical_sweeps():
    tape = ad.record(f, X)
    assert tape.forward(X) == f(X)
    assert np.allclose(tape.reverse(), gradient(X)) and np.allclose(tape.reverse(2.0), 2 * gradient(X))
    assert np.isclose(tape.tangent(V), gradient(X) @ V)
    assert np.allclose(tape.reverse(1.0), gradient(X))       # the tangent sweep has not moved the point


def test_only_forward_sets_the_point():
    tape = ad.record(f, X)
    with pytest.raises(ad.AdError, match="forward"):
        tape.reverse()
    tape.forward(X)
    for elsewhere in (tape, tape.gradient):
        elsewhere(np.array([1.0, 1.0]))
        assert np.allclose(tape.reverse(), gradient(X))


def test_points_belong_to_threads():
    tape = ad.record(f, X)
    tape.forward(X)
    found = []

    def work():
        try:
            tape.reverse()
        except ad.AdError as error:
            found.append(error)
        tape.forward(2 * X)
        found.append(tape.reverse())
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert "forward" in str(found[0]) and np.allclose(found[1], gradient(2 * X))
    assert np.allclose(tape.reverse(), gradient(X))


def test_arguments_of_the_wrong_kind_are_refused_before_the_sweep():
    tape = ad.record(f, X)
    for bad, text in ((np.ones(3), r"\(3,\).*\(2,\)"), (np.ones((2, 1)), r"\(2, 1\)"), (np.array(["a", "b"]), "dtype"),
                      (np.array([1j, 2]), "dtype complex128")):
        with pytest.raises(ad.ShapeError, match=text):
            tape(bad)
    with pytest.raises(ad.ShapeError):
        tape(X, X)
    with pytest.raises(ad.ShapeError):
        tape()


def test_trees_statics_and_keywords():
    def g(state, kind, *, scale):
        y = state["u"] * scale + state["v"][0]
        return {"y": y, "kind": kind, "n": 3}

    state = {"u": np.array([1.0, 2.0]), "v": (3.0,)}
    tape = ad.record(g, state, "a", scale=2.0)
    got = tape({"u": np.array([5.0, 6.0]), "v": (1.0,)}, "a", scale=3.0)
    assert np.array_equal(got["y"], [16.0, 19.0]) and got["kind"] == "a" and got["n"] == 3
    with pytest.raises(ad.ShapeError, match="static"):
        tape(state, "b", scale=2.0)
    with pytest.raises(ad.ShapeError, match="structure"):
        tape([1.0], "a", scale=2.0)
    y = tape.forward(state, "a", scale=2.0)
    bars, kwargs = tape.reverse({"y": np.array([1.0, 10.0]), "kind": None, "n": None} | {"kind": "a", "n": 3})
    assert np.array_equal(y["y"], [5.0, 7.0])
    assert np.array_equal(bars[0]["u"], [2.0, 20.0]) and bars[0]["v"][0] == 11.0 and bars[1] is None
    assert kwargs["scale"] == 1.0 * 1 + 10.0 * 2
    dot = tape.tangent({"u": np.array([1.0, 0.0]), "v": (0.5,)}, None)
    assert np.array_equal(dot["y"], [2.5, 0.5])


def test_inputs_that_are_no_floats():
    tape = ad.record(lambda x, i, m: np.where(m, x[i], 0.0).sum(), np.arange(4.0), np.array([1, 1]),
                     np.array([True, True]))
    args = np.arange(4.0), np.array([3, 0]), np.array([True, False])
    assert tape(*args) == 3.0
    assert tape.forward(*args) == 3.0
    x_bar, i_bar, m_bar = tape.reverse()
    assert np.array_equal(x_bar, [0, 0, 0, 1]) and i_bar is None and m_bar is None
    assert tape.tangent(np.ones(4), None, None) == 1.0


def test_argnums_say_what_is_differentiated():
    tape = ad.record(lambda x, n: x ** int(n), 3.0, 2.0, argnums=0)
    assert tape.gradient(3.0, 2.0) == (6.0, None)
    with pytest.raises(ad.TapeDivergence, match="int"):
        tape(3.0, 3.0)
    with pytest.raises(ad.TracerError):
        ad.record(lambda x, n: x ** int(n) + float(n), 3.0, 2.0)


def test_derivative_tapes_are_tapes():
    tape = ad.record(f, X)
    y, bar = tape.vjp_tape()(X, 2.0)
    assert y == f(X) and np.allclose(bar, 2 * gradient(X))
    y, y_dot = tape.jvp_tape()(X, V)
    assert y == f(X) and np.isclose(y_dot, gradient(X) @ V)
    second = tape.vjp_tape().jvp_tape()                     # the Hessian is diag(2, -sin x1)
    out = second(X, 1.0, V, 0.0)
    assert np.allclose(out[-1], [2 * V[0], -np.sin(X[1]) * V[1]])
    batch = tape.batch(3)
    points = np.array([[1.0, 2.0], [2.0, 3.0], [3.0, 4.0]])
    assert np.array_equal(batch(points), [f(p) for p in points])
    with pytest.raises(ad.TapeDivergence):
        tape.jvp_tape()(-X, V)


def test_captured_arrays_are_read_at_each_replay():
    W = np.array([1.0, 2.0])
    tape = ad.record(lambda x: (W * x).sum(), X)
    W[:] = [10.0, 20.0]
    assert tape(X) == 80.0 and np.array_equal(tape.gradient(X), W)


def test_results_are_the_callers_own():
    tape = ad.record(lambda x: (x, 2 * x, np.zeros(2)), X)
    for result in tape(X):
        result[:] = np.nan
    a, b, c = tape(X)
    assert np.array_equal(a, X) and np.array_equal(b, 2 * X) and np.array_equal(c, [0, 0])


@pytest.mark.parametrize(("g", "text"), [(lambda x: None, "returned None"), (lambda x: 1.0, "plain value"),
                                         (lambda x: "s", "returned str"), (lambda x: {"a": 1}, "nothing depends")])
def test_nothing_traced(g, text):
    with pytest.raises(ad.DerivativeError, match=text):
        ad.record(g, X)


def test_a_tape_says_whose_it_is():
    tape = ad.record(f, X)
    assert "f" in repr(tape) and tape.signature.name == "f" and "test_record.py" in tape.signature.location
