"""Programs that NumPy refuses are refused, with NumPy's kind of error; and the functions that count and compare.

Owns: errors of shapes, axes, masks, keywords and dtypes inside a recorded function, where a recording that went on
would give numbers that NumPy never gives.  Next: test_numpy_api_rules.py (refusals of our own).
"""
import math
import operator
import statistics

import numpy as np
import pytest
from numpy_cases import judge

import fastad as ad
from fastad import _tape as T

X = np.array([0.9, -0.4, 1.7, 0.35, -1.2, 2.1])
X2 = np.array([0.5, 0.8, -1.1, 0.3, 1.3, -0.2])
C = np.array([0.3, -0.7, 1.1, 0.4, 0.9, -1.3])


def writes(function):
    """A program that changes a copy of its argument."""
    def program(x):
        y = x * 1
        function(x, y)
        return y
    return program


def matrix(x):
    return x.reshape(2, 3)


def frozen(x, y):
    y.flags.writeable = False
    y[0] = x[1]


WRONG = {
    "mask too short": lambda x: x[x[:3] > 0],
    "mask too long": lambda x: x[np.append(x, 1.0) > 0],
    "mask of higher rank": lambda x: x[x[:, None] > 0],
    "mask on an axis": lambda x: matrix(x)[:, x > 0],
    "mask in a write": writes(lambda x, y: operator.setitem(y, x[:3] > 0, 0.0)),
    "mask in a write with values": writes(lambda x, y: operator.setitem(y, x[:3] > 0, x[:2])),
    "too many indices": lambda x: x[np.argsort(x), np.argsort(x)],
    "indices that do not broadcast": lambda x: matrix(x)[np.argsort(x[:2]), np.argsort(x[:3]) % 2],
    "einsum ellipsis": lambda x: np.einsum("...i->i", matrix(x)),
    "argmax axes": lambda x: np.argmax(matrix(x), axis=(0, 1)),
    "bins up and down": lambda x: np.digitize(x, [0.0, 2.0, 1.0]),
    "compress": lambda x: np.compress(matrix(x) > 0, matrix(x)),
    "pad keyword": lambda x: np.pad(x, 1, mode="edge", constant_values=2),
    "meshgrid": lambda x: np.meshgrid(x, x, indexing="foo"),
    "order": lambda x: np.asarray(x, order="Q"),
    "round": lambda x: round(x[0], 1.5),
    "around": lambda x: np.around(x, 1.5),
    "pow modulo": lambda x: pow(x[0], 2, 3),
    "divmod": lambda x: divmod(x[0], "a"),
    "reduceat": lambda x: np.add.reduceat(x, [-1]),
    "sort kind": lambda x: np.sort(x, kind="foo"),
    "fromiter": lambda x: np.fromiter([x, x], float),
    "matmul in place": writes(lambda x, y: operator.imatmul(y, y)),
    "copyto where": writes(lambda x, y: np.copyto(y, x, where=x)),
    "place": writes(lambda x, y: np.place(y, x[:3] > 0, 1.0)),
    "read-only element": writes(frozen),
    "diff axis": lambda x: np.diff(x, axis=1),
    "diff of a number": lambda x: np.diff(x[0]),
    "take axis": lambda x: np.take(x, np.argsort(x), axis=1),
    "choose": lambda x: np.choose(np.argsort(x), [x, x]),
    "histogram": lambda x: np.histogram(x, bins=[1, 0]),
    "geomspace": lambda x: np.geomspace(0.0 * x[0], 1.0, 3),
    "lexsort": lambda x: np.lexsort([x, x[:2]]),
    "subtract.reduce": lambda x: np.subtract.reduce(matrix(x), axis=(0, 1)),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_numpy_refuses_is_refused(name):
    f = WRONG[name]
    with pytest.raises(Exception) as plain:
        f(X.copy())
    with pytest.raises(plain.type) as ours:
        ad.record(f, X.copy())
    assert str(ours.value)


COUNTING = {
    "unique": lambda x: np.unique(np.round(x)),
    "unique of all": lambda x: np.unique(
        matrix(np.floor(x)), return_index=True, return_inverse=True, return_counts=True),
    "unique NaN": lambda x: np.unique(np.where(x > -5, np.nan, x), equal_nan=False),
    "unique list": lambda x: np.unique([x[0], 1.0, x[0]]),
    "isin": lambda x: np.isin(np.argsort(x), [0, 2]) * x + np.isin(x, [x[0]], invert=True),
    "lexsort": lambda x: x[np.lexsort((x, np.floor(C)))],
    "histogram": lambda x: np.histogram(x, bins=3),
    "histogram weights": lambda x: np.histogram(C, [-2, 0, 1, 3], weights=x**2, density=True),
    "histogram range": lambda x: np.histogram(matrix(x), 4, (-1, 1))[0],
    "choose": lambda x: np.choose((x > 0).astype(int), [x, 2 * x]) + (x > 0).astype(int).choose([x, 0.5]),
    "choose modes": lambda x: np.choose(np.argsort(x) - 3, [x, C], mode="wrap") * np.choose(
        np.argsort(x), [x, C, 1.0], mode="clip"),
    "geomspace": lambda x: np.geomspace(abs(x[:2]), 5.0, 3) + np.geomspace(abs(x[0]), 9.0, 3, endpoint=False)[:, None],
    "logaddexp": lambda x: (np.logaddexp.reduce(matrix(x), axis=1), np.logaddexp.reduce(x, initial=0.3)),
    "logaddexp.accumulate": lambda x: np.logaddexp.accumulate(matrix(x), axis=1),
    "divide.reduce": lambda x: np.divide.reduce(matrix(abs(x) + 1), axis=0, keepdims=True),
    "multiply.at": writes(lambda x, y: np.multiply.at(y, [0, 0, 1], x[:3])),
    "maximum.at": writes(lambda x, y: np.maximum.at(y, [3, 3, 2], [x[1], 0.5, x[0]])),
    "negative.at": writes(lambda x, y: np.negative.at(y, [4, 4, 5])),
    "power.at of pairs": writes(lambda x, y: np.power.at(y.reshape(2, 3), ([0, 0, 1], [1, 1, 2]), 2)),
    "polyval": lambda x: np.polynomial.polynomial.polyval(x[0], x) + np.polynomial.chebyshev.chebval(C, x),
    "polyval2d": lambda x: np.polynomial.polynomial.polyval2d(x[0], x[1], matrix(x)),
    "Polynomial": lambda x: (np.polynomial.Polynomial(x) ** 2 - 1).deriv()(C),
    "Legendre": lambda x: np.polynomial.Legendre([1.0, x[0]], domain=[0, 4])(x),
    "lists": lambda x: np.nanmax([x[0], 1.0]) + np.tril([[x[0], 1.0], [x[1], x[2]]]).sum() + np.zeros_like([x[0]]),
    "None is NaN": writes(lambda x, y: operator.setitem(y, 0, None)),
    "is_integer": lambda x: x * (x[0] * 0 + 2).is_integer(),
    "nothing into flat": writes(lambda x, y: setattr(y, "flat", x[:0])),
    "integers by a mask": writes(lambda x, y: operator.setitem(y, y < -1, np.arange((y < -1).sum()))),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", COUNTING)
def test_value_at_two_points(name):
    f = COUNTING[name]
    for point in (X, X2):
        tape, want = ad.record(f, point), f(point.copy())
        got = tape(point)
        for a, b in zip(*[y if isinstance(y, tuple) else [y] for y in (got, want)], strict=True):
            assert np.shape(a) == np.shape(b) and np.asarray(a).dtype == np.asarray(b).dtype
            np.testing.assert_allclose(a, b, rtol=1e-14, atol=1e-15)


DERIVATIVES = ["histogram weights", "choose", "choose modes", "geomspace", "logaddexp", "divide.reduce", "multiply.at",
               "maximum.at", "power.at of pairs", "polyval", "Polynomial", "Legendre", "unique list"]


@pytest.mark.parametrize("name", DERIVATIVES)
def test_derivatives(name):
    f = COUNTING[name]

    def total(x):
        out = f(x)
        parts = out if isinstance(out, tuple) else (out,)
        return sum([np.sum(np.sin(np.asarray(p) * 1.0)) for p in parts])

    report = ad.check_derivatives(total, X)
    assert report, report


def test_counting_guards_counts_only():
    judge(lambda x: np.unique(x)[::-1] * 2.0, [X], [X2])
    assert ad.record(COUNTING["histogram"], X).stats().guards == 1       # (edges in the right order)
    assert ad.record(COUNTING["isin"], X).stats().guards == 0


def test_functions_of_math_themselves():
    assert ad.grad(math.sin)(1.0) == pytest.approx(math.cos(1.0), rel=1e-15)
    assert ad.grad(math.pow, argnums=(0, 1))(2.0, 3.0) == pytest.approx((12.0, 8 * math.log(2)))


def into_a_copy(x):
    y = C.copy()
    y[0] = x[0]
    return y


@pytest.mark.parametrize(("f", "text"), [
    (into_a_copy, r"for `a.copy\(\)` write `np.array"), (lambda x: statistics.mean(x), "np.mean"),
    (lambda x: x[0].hex(), "ad.peek"),
    (lambda x: x.ctypes.data_as(None), "ad.primitive"), (lambda x: x.data[0], "ad.primitive"),
])
def test_errors_name_the_line_and_the_remedy(f, text):
    with pytest.raises((ad.AdError, AttributeError), match=text) as caught:
        ad.record(f, X)
    assert "test_numpy_parity.py:" in str(caught.value)


LAYOUTS = {
    "slices": lambda a: a[1:, 1:] + a[:-1, :-1],
    "every other": lambda a: a[::2, ::2] * a[1::2, 1::2],
    "transposed slices": lambda a: a.T[1:] * a.T[:-1],
    "one of each": lambda a: a[1:, 1:] + a.T[1:, 1:],
    "reversed": lambda a: a[::-1, 1:] * 2.0,
    "a column": lambda a: a[:, 1:2] + a[:, 2:3],
    "a column and all": lambda a: a[:, 1:2] + a[:, 1:],
    "a new axis": lambda a: a[1:, None, 1:] * a[None, 1:, 1:],
    "broadcast": lambda a: np.broadcast_to(a[1], (3, 6)) + a[:3],
    "Fortran and a slice": lambda a: np.asfortranarray(a)[:, 1:] - a[:, 1:],
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_results_of_views_have_the_strides_of_numpy(name):
    """They decide whether a later reshape is a view."""
    a, seen = np.arange(36.0).reshape(6, 6), []

    def f(x):
        a = x.reshape(6, 6)
        b = LAYOUTS[name](a)
        seen.append(T.concrete(b))
        return np.sum(b)
    ad.record(f, a.ravel())
    f(a.ravel())
    assert seen[0].strides == seen[1].strides
    np.testing.assert_array_equal(*seen)
