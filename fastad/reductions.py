"""reductions.py - sums, products, extrema, any and all, means and variances, along axes; cumulative ones.

Owns: how axes become (outer, n, inner), and the arguments that all reductions share (dtype, out, keepdims, initial,
where).  Composite reductions are written over the primitives sum, maxr, minr, any, all, cumsum.
Must not know: ufuncs' `reduce` (ufuncs.py maps it to these), sorting (sorting.py).
"""
from __future__ import annotations

import functools
import math
import operator
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad.movers import relayout
from fastad.operands import (
    BOOL,
    CODES,
    INT,
    NOVALUE,
    REAL,
    asarray,
    cast_to,
    code_of,
    deliver,
    inexact,
    records,
    refusal,
    requested,
    run_plain,
    shape_of,
)

FULL = T.Axis(1, 1, 1)
# What NumPy calls the primitives.
PLAIN: dict[str, Any] = {"sum": np.sum, "maxr": np.max, "minr": np.min, "any": np.any, "all": np.all,
                         "argmax": np.argmax, "argmin": np.argmin}


# ---- axes -----------------------------------------------------------------------------------------------------------

def keeps(keepdims: Any) -> Any:
    """Does a reduction keep its axes, with length 1?"""
    return keepdims is not NOVALUE and bool(keepdims)


@functools.lru_cache(4096)
def plan(shape: Any, axis: Any, keepdims: bool) -> Any:
    """(attribute, shape of the result, transposition or None, number of elements reduced to one)."""
    nd = len(shape)
    axis = None if not nd and axis in (0, -1) else axis          # as NumPy
    axes = tuple(range(nd)) if axis is None else tuple(sorted(np.lib.array_utils.normalize_axis_tuple(axis, nd)))
    kept = tuple(k for k in range(nd) if k not in axes)
    result = tuple(1 if k in axes else n for k, n in enumerate(shape)) if keepdims else tuple(shape[k] for k in kept)
    count = math.prod(shape[k] for k in axes)
    if not axes:
        return T.Axis(math.prod(shape), 1, 1), result, None, 1
    if axes[-1] - axes[0] + 1 == len(axes):
        outer, inner = math.prod(shape[:axes[0]]), math.prod(shape[axes[-1] + 1:])
        return T.Axis(outer, count, inner), result, None, count
    return T.Axis(math.prod(shape[k] for k in kept), count, 1), result, kept + axes, count


def as_axis(axis: Any) -> Any:
    """An axis argument that can be a key."""
    if axis is None or type(axis) is int:
        return axis
    return tuple(operator.index(k) for k in axis) if isinstance(axis, tuple) else operator.index(axis)


def fold(op: str, x: Any, axis: Any, keepdims: Any, code: int) -> Any:
    """Reduce a traced array along axes by one structural primitive."""
    if type(x) is T.Scalar:
        x = asarray(x)
    c = T.concrete(x)
    keepdims = keeps(keepdims)
    if not T.is_traced(x):
        return run_plain(PLAIN[op], (x, as_axis(axis)), {"keepdims": keepdims})
    attr, shape, order, count = plan(c.shape, as_axis(axis), keepdims)
    if order is not None:
        x = T.view(x, c.transpose(order))
    elif count == c.size and c.ndim > 1 and op[:3] != "arg" and c.flags.f_contiguous and not c.flags.c_contiguous:
        x = T.view(x, c.T)               # all elements, in memory order
    y = T.structural(op, (x,), attr, shape, code)
    if len(shape) > 1 and not c.flags.c_contiguous:
        like = PLAIN[op] if op[:3] == "arg" else np.add.reduce
        y = relayout(y, like(c, axis=as_axis(axis), keepdims=keepdims))
    return y


def count_of(x: Any, axis: Any) -> int:
    """Number of elements that a reduction takes together."""
    shape = shape_of(x)
    if not shape:
        return 1
    return int(plan(shape, as_axis(axis), False)[3])


def prepared(x: Any, dtype: Any, what: str) -> Any:
    """The operand as an array, in the dtype that was asked for."""
    if isinstance(x, (list, tuple)) or not hasattr(x, "dtype"):
        x = asarray(x)
    return x if dtype is None else cast_to(x, requested(dtype, what))


def chosen(x: Any, where: Any, other: Any) -> Any:
    """x where the mask holds, else the neutral element."""
    if where is NOVALUE or where is True:
        return x
    return T.elementwise("where", where, x, other)


# ---- sum and product ------------------------------------------------------------------------------------------------

@records(np.sum, method="sum", data=1)
def total(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = NOVALUE,
          initial: Any = NOVALUE, where: Any = NOVALUE) -> Any:
    """Sum; bools and ints add up to int64."""
    x = prepared(a, dtype, "sum")
    x = chosen(x, where, 0)
    y = plain_or(fold_sum, x, axis, keepdims)
    if initial is not NOVALUE:
        y = y + initial
    if dtype is not None:
        y = cast_to(y, requested(dtype, "sum"))
    return y if out is None else deliver(out, y, "sum")


def summed(code: int) -> int:
    """Dtype code of a sum: bools and ints add up to int64."""
    return code if code in REAL else INT


def fold_sum(x: Any, axis: Any, keepdims: Any) -> Any:
    """Sum along axes."""
    return fold("sum", x, axis, keepdims, summed(code_of(x)))


def plain_or(fold_with: Any, x: Any, axis: Any, keepdims: Any) -> Any:
    """`fold_with` on a traced operand; NumPy's own reduction on a plain one (something else was traced)."""
    if T.is_traced(x):
        return fold_with(x, axis, keepdims)
    func: Any = np.sum if fold_with is fold_sum else np.prod
    return func(T.concrete(x), axis=axis, keepdims=keeps(keepdims))


def fold_product(x: Any, axis: Any, keepdims: Any) -> Any:
    """Product as a tree of products of halves: its derivatives are products of the others, zeros or not."""
    if type(x) is T.Scalar:
        return x if x.dtype != T.DTYPES[BOOL] else cast_to(x, INT)
    if x.dtype == T.DTYPES[BOOL]:
        x = cast_to(x, INT)
    attr, shape, order, n = plan(x.shape, as_axis(axis), keeps(keepdims))
    _, outer, _, inner, _ = attr.key
    rest = x.transpose(order) if order is not None else x
    rest = rest.reshape((outer, n, inner))
    if n == 0:
        return T.wrap(np.ones(shape, x.dtype)) if shape else x.dtype.type(1)
    if n == 1:
        rest = rest.copy()               # a product is never a view of its operand
    last = None
    while n > 1:
        if n % 2:
            odd = rest[:, n - 1:]
            last = odd if last is None else last * odd
        n //= 2
        rest = rest[:, :n] * rest[:, n:2 * n]
    y = rest if last is None else rest * last
    return y.reshape(shape) if shape else y.reshape(-1)[0]


@records(np.prod, method="prod", data=1)
def product(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = NOVALUE,
            initial: Any = NOVALUE, where: Any = NOVALUE) -> Any:
    """Product."""
    x = chosen(prepared(a, dtype, "prod"), where, 1)
    y, c = plain_or(fold_product, x, axis, keepdims), np.asarray(T.concrete(x))
    if not c.flags.c_contiguous:
        y = relayout(y, np.multiply.reduce(c, axis=axis, keepdims=keeps(keepdims)))
    if initial is not NOVALUE:
        y = y * initial
    return deliver(out, y, "prod")


# ---- mean and variance ----------------------------------------------------------------------------------------------

@records(np.mean, method="mean", data=1)
def mean(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = NOVALUE, *,
         where: Any = NOVALUE) -> Any:
    """Sum over number."""
    x = inexact(prepared(a, dtype, "mean"))
    y = over(total(x, axis, keepdims=keepdims, where=where), how_many(x, axis, keepdims, where))
    return y if out is None else deliver(out, y, "mean")


def over(y: Any, n: Any) -> Any:
    """A sum over a number of elements, in the dtype of the sum."""
    return y / (n if type(n) is int else cast_to(n, code_of(y)))


def how_many(x: Any, axis: Any, keepdims: Any, where: Any) -> Any:
    """Number of elements that a reduction takes together: of those where the mask holds."""
    if where is NOVALUE or where is True:
        return count_of(x, axis)
    mask = np.broadcast_to(where, shape_of(x))
    return np.sum(mask, axis=axis, keepdims=keeps(keepdims))


@records(np.var, method="var", data=1)
def variance(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = NOVALUE, *,
             where: Any = NOVALUE, mean: Any = NOVALUE, correction: Any = NOVALUE) -> Any:
    """Mean square of the deviations from the mean."""
    x = inexact(prepared(a, dtype, "var"))
    ddof = ddof if correction is NOVALUE else correction
    if mean is NOVALUE:
        mean = over(total(x, axis, keepdims=True, where=where), how_many(x, axis, True, where))
    n = how_many(x, axis, keepdims, where)
    spread = total(np.square(x - mean), axis, keepdims=keepdims, where=where)
    y = over(spread, np.maximum(n - ddof, 0) if ddof else n)
    return deliver(out, y, "var")


def root(s: Any) -> Any:
    """Square root of a sum of squares: its derivative is 0 where it is 0, not NaN."""
    zero = s == 0
    return T.elementwise("where", zero, 0.0, np.sqrt(T.elementwise("where", zero, 1.0, s)))


@records(np.std, method="std", data=1)
def deviation(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = NOVALUE, *,
              where: Any = NOVALUE, mean: Any = NOVALUE, correction: Any = NOVALUE) -> Any:
    """Square root of the variance."""
    y = root(variance(a, axis, dtype, None, ddof, keepdims, where=where, mean=mean, correction=correction))
    return deliver(out, y, "std")


# ---- extrema --------------------------------------------------------------------------------------------------------

def extremum(name: str, op: str, ufunc: Any, x: Any, axis: Any, out: Any, keepdims: Any, initial: Any,
             where: Any) -> Any:
    """max or min; ties share the derivative evenly."""
    x = prepared(x, None, name)
    if where is not NOVALUE and where is not True:
        if initial is NOVALUE:
            raise ValueError(f"reduction operation '{name}imum' does not have an identity, so to use a where mask "
                             "one has to specify 'initial'")
        x = T.elementwise("where", where, x, initial)
    if count_of(x, axis) == 0:
        start = {} if initial is NOVALUE else {"initial": T.concrete(initial)}   # without: NumPy's own error
        y = ufunc.reduce(T.concrete(x), axis=axis, keepdims=keeps(keepdims), **start)
        y = y if initial is NOVALUE else np.broadcast_to(initial, np.shape(y))
    elif not T.is_traced(x):
        y = ufunc.reduce(T.concrete(x), axis=axis, keepdims=keeps(keepdims))
    elif type(x) is T.Scalar:
        y = x
    else:
        y = fold(op, x, axis, keepdims, CODES[x.dtype])
    if initial is not NOVALUE:
        y = T.elementwise(name + "imum", y, initial)
    return deliver(out, y, name)


@records(np.max, np.amax, method="max", data=1)
def largest(a: Any, axis: Any = None, out: Any = None, keepdims: Any = NOVALUE, initial: Any = NOVALUE,
            where: Any = NOVALUE) -> Any:
    """Maximum."""
    return extremum("max", "maxr", np.maximum, a, axis, out, keepdims, initial, where)


@records(np.min, np.amin, method="min", data=1)
def smallest(a: Any, axis: Any = None, out: Any = None, keepdims: Any = NOVALUE, initial: Any = NOVALUE,
             where: Any = NOVALUE) -> Any:
    """Minimum."""
    return extremum("min", "minr", np.minimum, a, axis, out, keepdims, initial, where)


@records(np.ptp, data=1)
def spread(a: Any, axis: Any = None, out: Any = None, keepdims: Any = NOVALUE) -> Any:
    """Maximum minus minimum."""
    return deliver(out, largest(a, axis, keepdims=keepdims) - smallest(a, axis, keepdims=keepdims), "ptp")


# ---- any and all ----------------------------------------------------------------------------------------------------

def truth(op: str, x: Any, axis: Any, out: Any, keepdims: Any, where: Any) -> Any:
    """any or all: a traced boolean."""
    x = chosen(prepared(x, None, op), where, op == "all")
    return deliver(out, fold(op, x, axis, keepdims, BOOL), op)


@records(np.any, method="any", data=1)
def some(a: Any, axis: Any = None, out: Any = None, keepdims: Any = NOVALUE, *, where: Any = NOVALUE) -> Any:
    """Is any element nonzero?"""
    return truth("any", a, axis, out, keepdims, where)


@records(np.all, method="all", data=1)
def every(a: Any, axis: Any = None, out: Any = None, keepdims: Any = NOVALUE, *, where: Any = NOVALUE) -> Any:
    """Are all elements nonzero?"""
    return truth("all", a, axis, out, keepdims, where)


@records(np.count_nonzero, data=1)
def count(a: Any, axis: Any = None, *, keepdims: Any = False) -> Any:
    """How many elements are nonzero."""
    return total(T.elementwise("not_equal", a, 0), axis, keepdims=keepdims)


# ---- cumulative -----------------------------------------------------------------------------------------------------

def along(x: Any, axis: Any) -> Any:
    """(array, attribute) for a primitive that works along one axis; None: along the flattened array."""
    if type(x) is T.Scalar or axis is None or (not x.ndim and axis in (0, -1)):
        x = x.reshape(-1) if type(x) is T.Array else asarray(x).reshape(-1)
        axis = 0 if axis is None else axis
    return x, plan(x.shape, as_axis(axis), False)[0]


@records(np.cumsum, method="cumsum", data=1)
def running_sum(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    """Cumulative sum."""
    x, attr = along(prepared(a, dtype, "cumsum"), axis)
    if not T.is_traced(x):
        return deliver(out, run_plain(np.cumsum, (x, axis), {}), "cumsum")
    y = T.structural("cumsum", (x,), attr, x.shape, summed(code_of(x)))
    return deliver(out, relayout(y, T.concrete(x)), "cumsum")


def scan_halving(combine: Any, x: Any, axis: Any) -> Any:
    """Running combination along an axis in log2(n) steps, each with the array shifted by twice as much."""
    axis = np.lib.array_utils.normalize_axis_index(operator.index(axis), x.ndim)
    first, n, shift = x, x.shape[axis], 1
    lead = (slice(None),) * axis
    while shift < n:
        head = x[(*lead, slice(0, shift))]
        x = np.concatenate([head, combine(x[(*lead, slice(shift, None))], x[(*lead, slice(0, n - shift))])], axis=axis)
        shift *= 2
    c = T.concrete(first)
    return x if x is first or c.flags.c_contiguous else relayout(x, combine.accumulate(c, axis))


@records(np.cumprod, method="cumprod", data=1)
def running_product(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    """Cumulative product, by doubling shifts: exact derivatives, zeros or not."""
    x = prepared(a, dtype, "cumprod")
    x = cast_to(x, INT) if code_of(x) == BOOL else x
    x, axis = (x, axis) if axis is not None else (asarray(x).reshape(-1), 0)
    y = scan_halving(np.multiply, x, axis)
    return deliver(out, y if y is not x else x.copy(), "cumprod")


def refuse_order(what: str, order: Any) -> None:
    """Loudly refuse an `order` argument that has no meaning for traced values."""
    if order is not None:
        raise refusal(what, "order= names the fields of structured arrays, which are not recorded")
