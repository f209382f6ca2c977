"""Errors that the recorded function catches itself: an except clause is a branch on values.

Owns: the errors of math, of indices and of np.errstate inside f, and what replays do where they would (not) arise.
Next: test_interception.py (leaks, which are errors of ours).
"""
import math

import numpy as np
import pytest

import fastad as ad

x3 = np.array([0.5, -1.5, 2.0])


CAUGHT = {
    "math domain": (lambda x: math.sqrt(x[0] - 1) * x[1], ValueError, [2.0, 3.0]),
    "math range": (lambda x: math.exp(9000 - 8999 * x[0]) * x[1], OverflowError, [1.0, 3.0]),
    "floor of infinity": (lambda x: math.floor(1 / np.maximum(x[0] - 1, 0.0)) * x[1], OverflowError, [1.5, 3.0]),
    "math.remainder": (lambda x: math.remainder(x[1], np.maximum(x[0] - 1, 0.0)), ValueError, [1.3, 3.0]),
    "index": (lambda x: x[0] * np.array([1.0, 2.0])[(3 * x[:1]).astype(int)].sum(), IndexError, [0.4, 3.0]),
    "element": (lambda x: x[0] * x[np.argmax(x) + np.floor(4 * x[0]).astype(int)], IndexError, [0.2, 3.0]),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", CAUGHT)
def test_an_error_that_is_caught_is_a_decision(name):
    """What was recorded in the except clause is not replayed where there is no error."""
    body, error, good = CAUGHT[name]

    def f(x):
        try:
            return body(x)
        except error:
            return 5 * x[0]

    bad, good = np.array([0.9, 0.5]), np.array(good)
    assert f(bad) == 4.5 and f(good) != 5 * good[0]
    tape, g = ad.record(f, bad), ad.value_and_grad(f)
    assert tape(bad) == 4.5 and g(bad)[0] == 4.5
    with pytest.raises(ad.TapeDivergence):
        tape(good)
    assert g(good)[0] == pytest.approx(f(good), rel=1e-14)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", ["math domain", "math range"])
def test_where_there_was_no_error_there_may_be_one_later(name):
    """What was recorded in the try clause is not replayed where math would raise, also through a helper."""
    body, error, good = CAUGHT[name]

    def f(x):
        try:
            return body(x)
        except error:
            return 5 * x[0]

    bad, good = np.array([0.9, 0.5]), np.array(good)
    tape, g = ad.record(f, good), ad.value_and_grad(f, audit=False)
    with pytest.raises(ad.TapeDivergence):
        tape(bad)
    assert g(good)[0] == pytest.approx(f(good), rel=1e-14)
    assert g(bad)[0] == 4.5
    assert ad.record(body, good).stats().guards == 0             # nobody would catch it: NaN, with NumPy's warning


@pytest.mark.parametrize("name", ["index", "element"])
def test_an_index_out_of_bounds_records_again(name):
    """A verb leaves it to f whether to raise or to catch."""
    body, error, good = CAUGHT[name]

    def f(x):
        try:
            return body(x)
        except error:
            return 5 * x[0]

    bad, good = np.array([0.9, 0.5]), np.array(good)
    g, strict = ad.value_and_grad(f), ad.grad(body)
    assert g(good)[0] == f(good) and g(bad)[0] == 4.5 and g(good)[0] == f(good)
    strict(good)
    with pytest.raises(IndexError, match="out of bounds"):
        strict(bad)
    with pytest.raises(IndexError, match="an index computed in the tape"):
        ad.record(body, good)(bad)


def test_errors_of_errstate_are_refused_inside_and_followed_outside():
    def f(x):
        with np.errstate(divide="raise"):
            return np.log(x).sum()

    with pytest.raises(ad.UnsupportedError, match="np.isfinite, or put the derivative's call under np.errstate"):
        ad.grad(f)(x3)
    with np.errstate(divide="raise"):
        np.testing.assert_allclose(ad.grad(f)(np.abs(x3)), 1 / np.abs(x3))
