"""`scan` and `while_loop` mean the same on plain numbers and in a recording, and say where they cannot.

What a step changes in place is its own, chance and counters in it are refused, errors name a place and a way out.
"""
import gc
import tracemalloc

import numpy as np
import pytest

import fastad as ad

X = np.array([1.0, 2.0, 3.0])


def in_place(s, t):
    s[0] += 1.0
    s *= 1.5
    return s, s


def of_stacked(x):
    s, ys = ad.scan(in_place, x * 1.0, np.arange(3))
    return np.sum(s * x) + np.sum(ys * np.arange(1.0, 4.0)[:, None])


def of_the_callers_array(x):
    mine = x.copy()
    s, _ = ad.scan(in_place, mine, np.arange(3))
    return np.sum(s * x) + 10 * np.sum(mine)


def of_slices(x):
    def step(s, t):
        t *= 2.0
        return s + t, None
    rows = np.ones((2, 3)) * x
    return np.sum(ad.scan(step, x, rows)[0]) + np.sum(rows)


TABLE = np.ones(3)


def of_a_captured_array(x):
    def step(s, t):
        s += x
        return TABLE, s * 1.0
    ys = ad.scan(step, x.copy(), length=3)[1]
    return np.sum(ys * ys)


def of_two_leaves(x):
    def step(s, t):
        a, b = s
        a += 1.0
        return (a, a), np.sum(b)
    s, ys = ad.scan(step, (x.copy(), x.copy()), length=3)
    return np.sum(s[0] * s[1]) + np.sum(ys)


def of_a_while_loop(x):
    def body(s):
        s *= 0.5
        return s
    mine = x.copy()
    return np.sum(ad.while_loop(lambda s: s[0] > 0.1, body, mine) ** 2) + np.sum(mine)


@pytest.mark.parametrize("f", [of_stacked, of_the_callers_array, of_slices, of_a_captured_array, of_two_leaves,
                               of_a_while_loop])
def test_what_a_step_changes_in_place_is_its_own(f):
    want = ad.record(f, X)(X)
    np.testing.assert_allclose(f(X), want, rtol=1e-14)
    assert (X == [1.0, 2.0, 3.0]).all() and (TABLE == 1.0).all()
    assert ad.check_derivatives(f, X)
    g = ad.grad(f)                                       # audits compare with plain f
    for _ in range(4):
        g(X)


def test_a_plain_loop_does_not_hold_the_fields_of_which_it_keeps_a_row():
    def f(u):
        return ad.scan(lambda u, _: (u + 1.0, u[3]), u, length=100)[1]
    u = np.zeros((100, 1000))
    gc.collect()
    tracemalloc.start()
    try:
        f(u)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 12 * u.nbytes                          # (of 100 fields)


def from_a_generator(x):
    rng = np.random.default_rng(0)
    return ad.scan(lambda s, _: (s * x + rng.normal(), None), x, length=3)[0]


def from_the_module(x):
    return ad.scan(lambda s, _: (s * x + np.random.normal(), None), x, length=3)[0]


def by_a_counter(x):
    calls = 0

    def step(s, _):
        nonlocal calls
        calls += 1
        return s * x * calls, None
    return ad.scan(step, x, length=3)[0]


@pytest.mark.parametrize("f", [from_a_generator, from_the_module, by_a_counter])
def test_chance_and_counters_in_a_step_are_refused_in_the_first_call(f):
    with pytest.raises(ad.UnsupportedError, match=r"test_scan_meaning.py:\d+: scan of .*step.*give them as xs"):
        ad.grad(f)(1.5)
    with pytest.raises(ad.UnsupportedError, match=r"random numbers|`calls`"):
        ad.record(f, 1.5)


def test_a_step_may_look_at_generators_count_and_remember():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=4)
    seen, memo = [], {}

    def f(x):
        def step(s, z):
            seen.append(1)
            if "gain" not in memo:
                memo["gain"] = 0.5
            assert isinstance(rng, np.random.Generator)
            return s * x * memo["gain"] + z, None
        return ad.scan(step, x, noise)[0]
    assert ad.check_derivatives(f, 1.5)

    def g(x):
        kept = {}

        def step(s, _):
            if "gain" not in kept:
                kept["gain"] = np.exp(x)
            return s * kept["gain"], None
        return ad.scan(step, 1.0, length=3)[0]
    assert ad.grad(g)(0.1) == pytest.approx(3 * np.exp(0.3))


def message(kind, f, *args):
    with pytest.raises(kind) as error:
        f(*args)
    return str(error.value)


@pytest.mark.parametrize("recorded", [False, True])
def test_errors_name_place_leaf_and_remedy(recorded):
    def of(kind, step, state, xs=None, length=None):
        def f(x):
            return ad.scan(step, state(x), xs, length)[0]["u"]
        text = message(kind, ad.grad(f) if recorded else f, 1.5)
        assert "test_scan_meaning.py:" in text and "scan of test_errors_name" in text
        return text

    def state(x):
        return {"u": x, "n": [0, np.zeros(3)]}
    assert "state['n'][1] has shape (3,) before" in (text := of(
        ad.ShapeError, lambda s, _: ({"u": s["u"], "n": [0, s["n"][1][1:]]}, None), state, None, 2))
    assert "final size" in text
    assert "state['n'][1] has dtype float64 before the step and int64" in of(
        ad.ShapeError, lambda s, _: ({"u": s["u"], "n": [0, np.zeros(3, int)]}, None), state, None, 2)
    assert "keep its own" in of(ad.ShapeError, lambda s, _: ({"u": s["u"]}, None), state, None, 2)
    assert "xs['a']: 3, xs['b'][0]: 4" in of(
        ad.ShapeError, lambda s, _: (s, None), state, {"a": np.zeros(3), "b": (np.zeros((4, 2)),)})
    assert "np.array" in of(ad.ShapeError, lambda s, _: (s, None), state, [1.0, 2.0])
    assert "np.arange" in of(ad.UnsupportedError, lambda s, _: (s, None), state, range(3))
    assert "length=2.0" in of(TypeError, lambda s, _: (s, None), state, None, 2.0)


def test_y_keeps_its_form():
    grown = []

    def run(y):
        grown.clear()
        return message(ad.ShapeError, lambda: ad.scan(lambda s, _: (s, grown.append(0) or y(len(grown))), 1.0, None, 3))
    assert "y[0] has shape (2,) and dtype float64 in step 1, (1,) and float64" in run(lambda n: (np.ones(n),))
    assert "y has structure" in run(lambda n: None if n > 2 else 1.0)
    assert "dtype int64 in step 1" in run(lambda n: 1 if n > 1 else 1.0)


def test_the_condition_of_a_while_loop_is_one_bool():
    def f(x):
        return np.sum(ad.while_loop(lambda s: s < 5.0, lambda s: s + x, x))
    for run in (f, ad.grad(f)):
        assert "while_loop of test_the_condition" in (text := message(ad.ShapeError, run, X)) and "np.any" in text

    def g(x):
        return np.sum(ad.while_loop(lambda s: s[0] < 5.0, lambda s: np.concatenate([s, s]), x))
    assert "while_loop of test_the_condition" in message(ad.ShapeError, ad.grad(g), X)


def test_what_a_step_puts_aside_names_the_step():
    def f(x):
        kept = []

        def step(s, _):
            kept.append(s * x)
            return s * x, None
        return ad.scan(step, x, length=3)[0] + kept[-1]
    text = message(ad.EscapedTracerError, ad.grad(f), 1.5)
    assert "f.<locals>.step at" in text and "test_scan_meaning.py" in text.split("born")[1]


@pytest.mark.parametrize("recorded", [False, True])
def test_what_is_no_function_is_named(recorded):
    def run(kind, f):
        return message(kind, ad.grad(lambda x: np.sum(f(x))) if recorded else f, X)
    text = run(TypeError, lambda x: ad.cond(x[0] > 0.0, x, 2.0 * x))
    assert "true_fun is a" in text and "np.where" in text and "test_scan_meaning.py:" in text
    assert "cond" in run(TypeError, lambda x: ad.cond(x[0] > 0.0, np.sin, 2.0))
    assert "scan: step is a int" in run(TypeError, lambda x: ad.scan(3, x, length=2)[0])
    assert "while_loop: cond is a bool" in run(TypeError, lambda x: ad.while_loop(True, np.sin, x))
    assert "while_loop: body is a float" in run(TypeError, lambda x: ad.while_loop(lambda s: s[0] < 1.0, 0.5, x))
    if recorded:
        assert "must agree" in run(ad.ShapeError, lambda x: ad.cond(x[0] > 0.0, lambda: x, lambda: x[:1]))
