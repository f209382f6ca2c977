"""selection.py - functions that choose elements by values: where, take, put, nonzero, clip.

Owns: gathers and scatters with traced positions (the heart's indexing calls them), masks and the guarded counts.
Must not know: sorting and bisection (sorting.py), keys of `x[...]` (_indexing.pxi).
"""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad.movers import assemble, move, relayout, settled
from fastad.operands import (
    BOOL,
    FLOAT,
    INT,
    METHODS,
    REAL,
    Array,
    asarray,
    axis_number,
    cast_to,
    code_of,
    deliver,
    joint,
    live,
    records,
    refusal,
    run_plain,
    shape_of,
    traced,
)

# ---- what the heart's indexing calls --------------------------------------------------------------------------------

def wrap_index(k: Any, n: int) -> Any:
    """Integers as positions: n is added to negative ones, others out of range are an IndexError."""
    if not T.is_traced(k):
        c = np.asarray(T.concrete(k))
        if c.size and not (-n <= c.min() and c.max() < n):
            raise IndexError(f"index out of bounds for axis with size {n}")
        return np.where(c < 0, c + n, c)
    try:
        return T.structural("wrap", (k,), T.Number(n), shape_of(k), INT, (INT,))
    except IndexError:                   # whoever catches it has decided on values
        bool(np.any((k < -n) | (k >= n)))
        raise


def take_flat(a: Any, positions: Any) -> Any:
    """a.flat[positions] for positions >= 0."""
    if not T.is_traced(positions) and not T.is_traced(a):        # a mask that holds nowhere: its count is guarded
        return T.wrap(np.ravel(T.concrete(a))[T.concrete(positions)])
    return T.structural("take", (a, positions), None, shape_of(positions), code_of(a), (None, INT))


def put_flat(a: Any, positions: Any, value: Any) -> Any:
    """A new array: a with value at positions >= 0; of duplicates the last one wins."""
    code, shape = code_of(a), shape_of(positions)
    if math.prod(shape) == 0:
        return a
    value = value if not isinstance(value, (list, tuple)) else asarray(value)
    own = shape_of(value)
    if math.prod(own) == 1:
        value = value.reshape(()) if own else value
    elif own != shape:
        value = np.broadcast_to(value, shape)
    return T.structural("put", (a, positions, value), None, shape_of(a), code, (None, INT, code))


@records(np.nonzero, method="nonzero", data=1)
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


@records(np.flatnonzero, data=1)
def flatnonzero(a: Any) -> Any:
    """Flat positions of the nonzero elements; their number is guarded."""
    if a.size == 0:
        return T.wrap(np.zeros(0, np.int64))
    number = T.guard(np.sum(np.not_equal(a, 0)), "the number of nonzero elements")
    if number == 0:
        return T.wrap(np.zeros(0, np.int64))
    return T.structural("flatnonzero", (a if a.ndim else asarray(a),), None, (int(number),), INT)


@records(np.argwhere, data=1)
def argwhere(a: Any) -> Any:
    """Positions of the nonzero elements, one row each."""
    if not shape_of(a):
        return argwhere(np.atleast_1d(a))[:, :0]
    return np.stack(nonzero(a)).T


@records(np.where, data=3)
def where(condition: Any, x: Any = None, y: Any = None, /) -> Any:
    """x where the condition holds, else y; with one argument the positions where it holds."""
    if x is None and y is None:
        if not shape_of(condition):
            np.where(T.concrete(condition))                      # NumPy's own error, from 2.1 on
            condition = np.atleast_1d(condition)
        return nonzero(condition)
    z = T.elementwise("where", condition, x, y)
    if z is NotImplemented:
        raise refusal("where", "an operand is neither a number nor an array of numbers")
    return z


@records(np.clip, method="clip", data=3)
def clip(a: Any, a_min: Any = None, a_max: Any = None, out: Any = None, *, min: Any = None, max: Any = None,
         **kwargs: Any) -> Any:
    """The nearest number in an interval."""
    low, high = (a_min if min is None else min), (a_max if max is None else max)
    y = a
    if low is not None:
        y = np.maximum(y, low)
    if high is not None:
        y = np.minimum(y, high)
    return deliver(out, np.copy(y) if y is a else y, "clip")


# ---- take and put ---------------------------------------------------------------------------------------------------

@records(np.take, method="take", data=2)
def take(a: Any, indices: Any, axis: Any = None, out: Any = None, mode: Any = "raise") -> Any:
    """Elements at positions along an axis (None: of the flattened array)."""
    if not T.is_traced(indices) and not (isinstance(indices, (list, tuple)) and traced(indices)):
        k = T.concrete(T.pinned(indices) if T.is_traced(a) else indices)
        key = (np.take, k, axis, mode) if type(k) is int else None
        return deliver(out, move(a, lambda c: np.take(c, k, axis=axis, mode=mode), key), "take")
    a = asarray(a)
    if axis is None:
        a, axis = a.reshape(-1), 0
    shape = a.shape
    axis = axis_number(axis, len(shape))
    k = in_range(asarray(indices) if isinstance(indices, (list, tuple)) else indices, shape[axis], mode)
    inner, idx = math.prod(shape[axis + 1:]), shape_of(k)
    if len(shape) > 1:
        nd_in, nd_out = len(shape) - axis - 1, axis
        rest = np.arange(math.prod(shape[:axis]) * inner)
        base = (rest // inner * (inner * shape[axis]) + rest % inner).reshape(
            shape[:axis] + (1,) * len(idx) + shape[axis + 1:])
        k = np.reshape(k, (1,) * nd_out + idx + (1,) * nd_in) * inner + base
    return deliver(out, take_flat(a, k), "take")


def in_range(k: Any, n: int, mode: Any) -> Any:
    """Traced integers as positions, by the rule of a mode."""
    if code_of(k) != INT:
        raise IndexError("arrays used as indices must be of integer (or boolean) type")
    if mode == "wrap":
        return np.remainder(k, n)
    if mode == "clip":
        return np.minimum(np.maximum(k, 0), n - 1)
    return wrap_index(k, n)


def positions_along(shape: Any, k: Any, axis: int) -> Any:
    """Flat positions in an array of that shape of indices k along an axis; the other axes broadcast."""
    step = math.prod(shape[axis + 1:])
    base = np.arange(math.prod(shape)).reshape(shape)[(slice(None),) * axis + (slice(0, 1),)]
    k = wrap_index(k, shape[axis])
    return (k * step if step != 1 else k) + base


def along_arguments(a: Any, indices: Any, axis: Any) -> Any:
    """(array, indices, axis >= 0) of take_along_axis and put_along_axis."""
    a, k = asarray(a), asarray(indices)
    if code_of(k) != INT:
        raise IndexError("`indices` must be an integer array")
    if axis is None:
        if k.ndim != 1:
            raise ValueError("when axis=None, `indices` must have a single dimension.")
        return a.reshape(-1), k, 0
    if k.ndim != a.ndim:
        raise ValueError("`indices` and `arr` must have the same number of dimensions")
    return a, k, axis_number(axis, a.ndim)


@records(np.take_along_axis, data=2)
def take_along_axis(arr: Any, indices: Any, axis: Any = -1) -> Any:
    """Elements at positions along an axis, other positions for each line."""
    if not T.is_traced(indices):
        k = T.concrete(T.pinned(indices))
        return move(arr, lambda c: np.take_along_axis(c, k, axis))
    a, k, axis = along_arguments(arr, indices, axis)
    return take_flat(a, positions_along(a.shape, k, axis))


@records(np.put_along_axis)
def put_along_axis(arr: Any, indices: Any, values: Any, axis: Any) -> None:
    """Write at positions along an axis, other positions for each line."""
    target = owned(arr, "put_along_axis")
    a, k, axis = along_arguments(arr, indices, axis)
    positions = positions_along(a.shape, k, axis)
    values = np.broadcast_to(asarray(values), shape_of(positions))
    write_flat(target, positions, values)


@records("put", np.put, method="put")
def put(a: Any, ind: Any, v: Any, mode: Any = "raise") -> None:
    """Write at flat positions; values are repeated as needed."""
    target = owned(a, "put")
    k = asarray(T.pinned(ind)).reshape(-1)
    k = in_range(k, target.size, mode) if T.is_traced(k) else \
        np.ravel_multi_index((T.concrete(k) if mode != "raise" else wrap_index(k, target.size),), (target.size,), mode)
    if k.size:
        write_flat(target, k, np.resize(asarray(v), k.shape))


def owned(a: Any, what: str) -> Any:
    """The array that a function writes into: one of ours."""
    if type(a) is not Array:
        raise refusal(what, "a traced value would be written into an array that was made outside the recorded "
                      "function; make it inside with np.zeros, called as np.zeros")
    return a


def write_flat(a: Any, positions: Any, values: Any) -> None:
    """a.flat[positions] = values for positions >= 0."""
    if T.is_traced(positions):
        a[...] = put_flat(a, positions, values)
    else:
        a[np.unravel_index(T.concrete(positions), a.shape)] = values


@records(np.compress, data=2)
def compress(condition: Any, a: Any, axis: Any = None, out: Any = None) -> Any:
    """Slices where the condition holds; their number is guarded."""
    condition = asarray(condition)
    if condition.ndim != 1:
        raise ValueError("condition must be a 1-d array")
    k = nonzero(condition)[0]
    return take(a, k, axis, out)


def compress_method(a: Any, condition: Any, axis: Any = None, out: Any = None) -> Any:
    """x.compress(condition)."""
    return np.compress(condition, a, axis, out)


METHODS["compress"] = compress_method


@records(np.extract, data=2)
def extract(condition: Any, arr: Any) -> Any:
    """Elements where the condition holds; their number is guarded."""
    return take(asarray(arr).reshape(-1), nonzero(asarray(condition).reshape(-1))[0])


@records(np.putmask)
def putmask(a: Any, mask: Any, values: Any) -> None:
    """a = values where the mask holds; values are repeated by position."""
    target = owned(a, "putmask")
    values = asarray(values)
    values = values if values.shape == target.shape else np.resize(values, target.shape)
    target[...] = T.elementwise("where", mask, cast_to(values, code_of(target)), target)


@records(np.place)
def place(arr: Any, mask: Any, vals: Any) -> None:
    """The first values go where the mask holds; the number of places is guarded."""
    target = owned(arr, "place")
    if np.size(mask) != target.size:
        raise ValueError("place: mask and data must be the same size")
    k = nonzero(asarray(mask).reshape(-1))[0]
    if np.size(k):
        write_flat(target, k, np.resize(asarray(vals), np.shape(k)))


@records(np.copyto)
def copyto(dst: Any, src: Any, casting: Any = "same_kind", where: Any = True) -> None:
    """dst[...] = src, or only where a mask holds."""
    if src is dst:
        return                           # NumPy's shortcut, which lets even a read-only array pass
    target = owned(dst, "copyto")
    if not np.can_cast(T.DTYPES[code_of(src)], target.dtype, casting):
        raise TypeError(f"Cannot cast array data from {T.DTYPES[code_of(src)]!r} to {target.dtype!r} according to the "
                        f"rule {casting!r}")
    if where is True:
        target[...] = src
    elif code_of(where) != BOOL:
        raise TypeError(f"Cannot cast array data from {T.DTYPES[code_of(where)]!r} to dtype('bool') according to the "
                        "rule 'safe'")
    else:
        target[...] = T.elementwise("where", where, cast_to(src, code_of(target)), target)


@records(np.choose, data=2)
def choose(a: Any, choices: Any, out: Any = None, mode: Any = "raise") -> Any:
    """Elements of several arrays by numbers."""
    choices = list(choices)
    if traced((a,)):
        return deliver(out, chosen(asarray(a), choices, mode), "choose")
    k = T.concrete(T.pinned(a))
    if not np.ndim(k) and not any(map(shape_of, choices)):
        return deliver(out, choices[np.choose(k, np.arange(len(choices)), mode=mode)], "choose")
    return deliver(out, assemble(lambda v: np.choose(k, v, mode=mode), choices), "choose")


def chosen(k: Any, choices: list[Any], mode: str) -> Any:
    """Elements of several arrays by traced numbers; one that is out of range is an error, as the first time."""
    if mode == "raise" and not bool(np.all((k >= 0) & (k < len(choices)))):
        raise ValueError("invalid entry in choice array")
    code = joint(*choices)
    choices = [cast_to(asarray(c), code) for c in choices]
    k, *choices = np.broadcast_arrays(in_range(cast_to(k, INT), len(choices), mode), *choices)
    return take_along_axis(np.stack(choices), k[None], 0)[0]


@records(np.select, data=3)
def select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    """The choice of the first condition that holds."""
    if len(condlist) != len(choicelist) or not len(condlist):
        raise ValueError("list of cases must be same length as list of conditions")
    code = joint(*choicelist, default)
    y = cast_to(default, code)
    for condition, value in zip(reversed(condlist), reversed(choicelist), strict=True):
        if code_of(condition) != BOOL:
            raise TypeError("invalid entry in condlist: should be boolean ndarray")
        y = T.elementwise("where", condition, value, y)
    return relayout(y, np.empty(shape_of(y)))


@records(np.bincount, data=3)
def bincount(x: Any, /, weights: Any = None, minlength: int = 0) -> Any:
    """How often, or with what sum of weights, each integer occurs; the largest integer is guarded."""
    k = asarray(x)
    if code_of(k) in REAL and k.size:
        raise TypeError(f"Cannot cast array data from {k.dtype!r} to dtype('int64') according to the rule 'safe'; "
                        "np.bincount counts integers: x.astype(int)")
    if k.ndim != 1 or (weights is not None and shape_of(weights) != k.shape):
        raise ValueError("The weights and list don't have the same length." if k.ndim == 1 else
                         "object too deep for desired array")
    minlength = settled(minlength)
    if not traced((k, weights)):         # (minlength was)
        if weights is None:
            return run_plain(np.bincount, (T.pinned(x), None, minlength), {})
        weights = live(asarray(weights))
    top = np.maximum(np.max(k) if k.size else -1, minlength - 1)
    n = int(T.guard(top, "the length of np.bincount") if T.is_traced(top) else top) + 1
    if weights is None:
        weights = np.ones(k.shape, np.int64)
    else:
        weights = cast_to(asarray(weights), FLOAT)
    if k.size and T.is_traced(k) and bool(np.min(k) < 0):
        raise ValueError("'list' argument must have no negative elements")
    return T.structural("addat", (k, weights), None, (n,), code_of(weights), (INT, code_of(weights)))


@records(np.unravel_index, data=3)
def unravel_index(indices: Any, shape: Any, order: Any = "C") -> Any:
    """Traced flat positions as positions along the axes."""
    shape = (shape,) if np.ndim(shape) == 0 else tuple(shape)
    k = wrap_index(indices, math.prod(shape))
    steps = [math.prod(shape[d + 1:] if order == "C" else shape[:d]) for d in range(len(shape))]
    return tuple([(k // step if step > 1 else k) % n for step, n in zip(steps, shape, strict=True)])


@records(np.ravel_multi_index, data=4)
def ravel_multi_index(multi_index: Any, dims: Any, mode: Any = "raise", order: Any = "C") -> Any:
    """Traced positions along the axes as flat ones."""
    modes = (mode,) * len(dims) if isinstance(mode, str) else mode
    y = 0
    for d, (k, n, how) in enumerate(zip(multi_index, dims, modes, strict=True)):
        if how == "raise" and not bool(np.all((k >= 0) & (k < n))):
            raise ValueError("invalid entry in coordinates array")
        if code_of(k) != INT:
            np.ravel_multi_index((asarray(np.empty(shape_of(k))),), (n,), how)   # NumPy's own error
        k = in_range(k, n, how)
        y = y + k * math.prod(dims[d + 1:] if order == "C" else dims[:d])
    return y
