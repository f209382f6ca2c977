"""What a sweep says about NaN and infinities: NumPy's warnings, at the user's line, under np.errstate."""
import warnings
from contextlib import nullcontext

import numpy as np
import pytest

import fastad as ad


def logs(x):
    return np.log(x).sum()


def test_warning_names_the_line_of_the_call():
    g = ad.grad(logs)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        g(np.array([0.0, 1.0]))
    assert [w.filename for w in seen] == [__file__]
    assert seen[0].category is RuntimeWarning
    assert "divide by zero" in str(seen[0].message)


def test_one_warning_a_kind_and_sweep():
    g = ad.grad(logs)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        value = g(np.array([-1.0, 0.0, 2.0, -3.0]))
    assert sorted(str(w.message).split(" encountered")[0] for w in seen) == ["divide by zero", "invalid value"]
    np.testing.assert_array_equal(value, [-1.0, np.inf, 0.5, -1 / 3])


def test_errstate_is_obeyed():
    g = ad.grad(logs)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("error")
        g(np.array([0.0, 1.0]))
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError, match="divide by zero"):
        g(np.array([0.0, 1.0]))


@pytest.mark.parametrize("kind, x", [("overflow", 1e308), ("invalid value", np.inf)])
@pytest.mark.parametrize("step", [0, 1, 5, 6])
def test_any_step_of_a_loop_warns(kind, x, step):
    """Loops report what their steps have raised by raising it again; not only the last step."""
    def f(x):
        return np.sum(ad.scan(lambda s, v: (0.5 * s + 1.0, 10.0 * v * v - v), 0.3, x)[1])
    point = np.ones(7)
    tape = ad.record(f, point)
    point[step] = x
    for _ in range(2):                   # both tiers
        with np.errstate(all="raise"), pytest.raises(FloatingPointError, match=kind):
            tape(point)
        tape.compile()


@pytest.mark.parametrize("inside", [True, False])
def test_what_a_loop_ignores_is_ignored_by_its_derivatives(inside):
    """np.errstate in the step or around the loop; without it one warning for each gradient, from its forward sweep."""
    def halved(s):
        return np.where(np.isinf(1.0 / (s - s)), 0.5 * s, s)

    def step(s, _):
        with np.errstate(divide="ignore") if inside else nullcontext():
            return halved(s), None

    def f(x):
        with nullcontext() if inside else np.errstate(divide="ignore"):
            return np.sum(ad.scan(step, x, length=3)[0])
    x, tape = np.ones(2), ad.record(f, np.ones(2))
    with np.errstate(all="raise"):
        for g in ad.grad(f), ad.grad(f, memory="1MB"), tape.gradient, lambda x: ad.jvp(f, (x,), (x,))[1] / 2.0:
            np.testing.assert_array_equal(g(x), [0.125, 0.125] if np.shape(g(x)) else 0.125)
        assert not ad.hessian(f)(x).any()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        ad.grad(lambda x: np.sum(ad.scan(lambda s, _: (halved(s), None), x, length=3)[0]))(x)
    assert len(seen) == 1


def test_optimize_is_there_without_an_import():
    assert ad.optimize.minimize is not None
    with pytest.raises(AttributeError, match="nonsense"):
        _ = ad.nonsense


def test_a_handler_may_use_the_function_that_raised_the_error():
    """NumPy's handler runs between a sweep and the reading of its values: it gets memory of its own."""
    seen = []

    def handler(kind, flag):
        if len(seen) < 3:
            seen.append(None)
            seen[-1] = [float(g(0.5)), float(tape(0.5))]

    def f(x):
        return np.exp(x) * x
    g, tape = ad.grad(f), ad.record(f, 1.0)
    before = np.seterrcall(handler)
    try:
        g(1.0)
        with np.errstate(over="call", invalid="ignore"):
            value, gradient = tape(800.0), g(800.0)
    finally:
        np.seterrcall(before)
    assert seen and all(pair == [pytest.approx(np.exp(0.5) * 1.5), pytest.approx(np.exp(0.5) * 0.5)] for pair in seen)
    assert value == np.inf and gradient == np.inf
