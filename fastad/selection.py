"""selection.py - functions that choose elements by values: where, take, put, nonzero, clip.

Owns: gathers and scatters with traced positions (the heart's indexing calls them), masks and the guarded counts.
Must not know: sorting and bisection (sorting.py), keys of `x[...]` (_indexing.pxi).
"""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad.operands import (
    BOOL, CODES, INT, as_traced, asarray, cast_to, code_of, deliver, is_array, records, refusal, shape_of,
)


# ---- what the heart's indexing calls --------------------------------------------------------------------------------

def wrap_index(k: Any, n: int) -> Any:
    """Integers as positions: n is added to negative ones, others out of range are an IndexError."""
    if not T.is_traced(k):
        c = np.asarray(T.concrete(k))
        if c.size and not (-n <= c.min() and c.max() < n):
            raise IndexError(f"index out of bounds for axis with size {n}")
        return np.where(c < 0, c + n, c)
    return T.structural("wrap", (k,), T.Number(n), shape_of(k), INT, (INT,))


def take_flat(a: Any, positions: Any) -> Any:
    """a.flat[positions] for positions >= 0."""
    return T.structural("take", (a, positions), None, shape_of(positions), code_of(a), (None, INT))


def put_flat(a: Any, positions: Any, value: Any) -> Any:
    """A new array: a with value at positions >= 0; of duplicates the last one wins."""
    code, shape = code_of(a), shape_of(positions)
    value = value if not isinstance(value, (list, tuple)) else asarray(value)
    own = shape_of(value)
    if math.prod(own) == 1:
        value = value.reshape(()) if own else value
    elif own != shape:
        value = np.broadcast_to(value, shape)
    return T.structural("put", (a, positions, value), None, shape_of(a), code, (None, INT, code))


@records(np.nonzero, method="nonzero")
def nonzero(a: Any) -> Any:
    """Positions of the nonzero elements, one array an axis; their number is guarded."""
    if not T.is_traced(a):
        return np.nonzero(T.concrete(a))
    shape = shape_of(a)
    if not shape:
        raise ValueError("Calling nonzero on 0d arrays is not allowed. Use np.atleast_1d(scalar).nonzero() instead.")
    flat = flatnonzero(a)
    if len(shape) == 1:
        return (flat,)
    out = []
    for d, n in enumerate(shape):
        step = math.prod(shape[d + 1:])
        k = flat // step if step > 1 else flat
        out.append(k % n if d else k)
    return tuple(out)


@records(np.flatnonzero)
def flatnonzero(a: Any) -> Any:
    """Flat positions of the nonzero elements; their number is guarded."""
    if a.size == 0:
        return T.wrap(np.zeros(0, np.int64))
    number = T.guard(np.sum(np.not_equal(a, 0)), "the number of nonzero elements")
    if number == 0:
        return T.wrap(np.zeros(0, np.int64))
    return T.structural("flatnonzero", (a if a.ndim else asarray(a),), None, (int(number),), INT)


@records(np.argwhere)
def argwhere(a: Any) -> Any:
    """Positions of the nonzero elements, one row each."""
    return np.stack(nonzero(a), axis=1)


@records(np.where)
def where(condition: Any, x: Any = None, y: Any = None, /) -> Any:
    """x where the condition holds, else y; with one argument the positions where it holds."""
    if x is None and y is None:
        return nonzero(np.atleast_1d(condition) if not shape_of(condition) else condition)
    z = T.elementwise("where", condition, x, y)
    if z is NotImplemented:
        raise refusal("where", "an operand is neither a number nor an array of numbers")
    return z


@records(np.clip, method="clip")
def clip(a: Any, a_min: Any = None, a_max: Any = None, out: Any = None, *, min: Any = None, max: Any = None,
         **kwargs: Any) -> Any:
    """The nearest number in an interval."""
    low, high = (a_min if min is None else min), (a_max if max is None else max)
    y = a
    if low is not None:
        y = np.maximum(y, low)
    if high is not None:
        y = np.minimum(y, high)
    return deliver(out, y.copy() if y is a else y, "clip")
