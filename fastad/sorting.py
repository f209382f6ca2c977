"""sorting.py - functions that compare elements with each other: sort, argmax, median, searchsorted, interp.

Owns: positions that are computed anew at each replay (traced integers), so that another order of the data is no
reason to record again; what is built on them.
Must not know: gathers and scatters with such positions (selection.py).
"""
from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad.movers import relayout
from fastad.operands import (
    FLOAT,
    INT,
    METHODS,
    NOVALUE,
    as_traced,
    asarray,
    axis_number,
    cast_to,
    code_of,
    deliver,
    joint_array,
    live,
    records,
    refusal,
    shape_of,
)
from fastad.reductions import along, count_of, fold, refuse_order
from fastad.selection import take_flat

# ---- sort -----------------------------------------------------------------------------------------------------------

@records(np.argsort, method="argsort")
def argsort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None,
            descending: Any = NOVALUE) -> Any:
    """The permutation that sorts along an axis; always stable, NaN last."""
    refuse_order("argsort", order)
    refuse_descending(descending)
    axis = axis if axis is None else operator.index(axis)
    if kind is not None:
        np.argsort([0.0], kind=kind)     # NumPy's own error for a kind that it does not know
    x, attr = along(asarray(a), axis)
    if not T.is_traced(x):
        return T.wrap(np.argsort(T.concrete(x), -1 if axis is None else axis, kind="stable"))
    y = T.structural("argsort", (x,), attr, x.shape, INT)
    return y if T.concrete(x).flags.c_contiguous else relayout(y, np.argsort(T.concrete(x), axis=axis))


def refuse_descending(descending: Any) -> None:
    """The other direction, which NumPy knows from 2.5 on."""
    if descending is not NOVALUE and descending:
        raise refusal("sort", "descending= is not recorded; sort -x, or turn the result round")


@records(np.sort, data=1)
def sort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None,
         descending: Any = NOVALUE) -> Any:
    """A sorted copy."""
    refuse_descending(descending)
    x = asarray(a)
    k = argsort(x, axis, kind, order)
    if axis is None or x.ndim == 1:
        return take_flat(x, k)
    y = take_flat(x, flat_along(x.shape, k, axis_number(axis, x.ndim)))
    return y if T.concrete(x).flags.c_contiguous else relayout(y, np.sort(T.concrete(x), axis=axis))


def flat_along(shape: Any, k: Any, axis: int) -> Any:
    """Flat positions in an array of that shape of the indices k along one axis."""
    inner = math.prod(shape[axis + 1:])
    rest = np.arange(math.prod(shape[:axis]) * inner).reshape(shape[:axis] + (1,) + shape[axis + 1:])
    base = rest // inner * (inner * shape[axis]) + rest % inner
    k = k * inner if inner != 1 else k
    return k + T.wrap(base) if base.size > 1 else k


def sort_method(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None,
                descending: Any = NOVALUE) -> None:
    """x.sort(): in place."""
    refuse_descending(descending)
    a[...] = sort(a, axis, kind, order)


METHODS["sort"] = sort_method


def extreme_position(op: str, a: Any, axis: Any, out: Any, keepdims: Any) -> Any:
    """argmax or argmin: the first one; a NaN counts as the extremum."""
    x = asarray(a)
    axis = axis if axis is None else operator.index(axis)
    if count_of(x, axis) == 0:
        return getattr(np, op)(T.concrete(x), axis=axis)         # NumPy's own error
    return deliver(out, fold(op, x, axis, keepdims, INT), op)


@records(np.argmax, method="argmax", data=1)
def argmax(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = NOVALUE) -> Any:
    """Position of the maximum."""
    return extreme_position("argmax", a, axis, out, keepdims)


@records(np.argmin, method="argmin", data=1)
def argmin(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = NOVALUE) -> Any:
    """Position of the minimum."""
    return extreme_position("argmin", a, axis, out, keepdims)


# ---- tables ---------------------------------------------------------------------------------------------------------

@records(np.searchsorted, data=3)
def searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Any:
    """Where v belongs in the sorted a."""
    if sorter is not None:
        if code_of(sorter) != INT:
            raise TypeError("sorter must only contain integers")
        return searchsorted(np.take(live(asarray(a)), sorter), v, side)
    if side not in ("left", "right"):
        raise ValueError(f"search side must be 'left' or 'right' (got '{side}')")
    a, v = asarray(a), asarray(v) if isinstance(v, (list, tuple)) else v
    if a.ndim != 1:
        raise ValueError("object of too small depth for desired array")
    code = joint_array(a, v)
    attr = T.Number(1 if side == "right" else 0)
    return T.structural("searchsorted", (a, v), attr, shape_of(v), INT, (code, code))


METHODS["searchsorted"] = searchsorted


@records(np.digitize, data=3)
def digitize(x: Any, bins: Any, right: bool = False) -> Any:
    """The bin of each element."""
    bins = asarray(bins)
    side = "left" if right else "right"
    steps = np.diff(T.concrete(bins))
    if (steps < 0).any() and (steps > 0).any():
        raise ValueError("bins must be monotonically increasing or decreasing")
    if bins.size > 1 and bool(bins[0] > bins[-1]):
        return bins.size - searchsorted(bins[::-1], x, side)
    return searchsorted(bins, x, side)


@records(np.interp, data=3)
def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    """Linear interpolation in a table, by NumPy's formula; x, xp and fp may be traced.

    At a knot the derivative is that of the interval on its right, at the last knot that on its left.
    """
    like = [v for v in (x, xp, fp, left, right, period) if T.is_traced(v)] or [x, xp, fp]
    x, xp, fp = asarray(x), asarray(xp), asarray(fp)
    if xp.ndim != 1 or fp.ndim != 1:
        raise ValueError("Data points must be 1-D sequences")
    if period is not None:
        x, xp, fp = periodic(x, xp, fp, period)
        left = right = None
    if xp.shape != fp.shape or xp.size == 0:
        return np.interp(np.zeros(()), np.empty(xp.shape), np.empty(fp.shape))       # NumPy's own error
    x, xp, fp = (cast_to(as_traced(v, like), FLOAT) for v in (x, xp, fp))
    if x.ndim > 1 and not T.concrete(x).flags.c_contiguous:
        x = x.copy()                     # NumPy's result is in C order whatever x is
    n = xp.size
    first, last = xp[0], xp[n - 1]
    left, right = fp[0] if left is None else left, fp[n - 1] if right is None else right
    if n == 1:
        y = fp[0] + 0.0 * x              # NaN in x stays NaN
    else:
        y = between(x, xp, fp, n)
    y = T.elementwise("where", x < first, left, y)
    return T.elementwise("where", x > last, right, y)


def between(x: Any, xp: Any, fp: Any, n: int) -> Any:
    """The line through the two knots around x; x beyond the knots is somebody else's."""
    knot = np.maximum(searchsorted(xp, x, "right") - 1, 0)
    j = np.minimum(knot, n - 2)          # the interval; at the last knot the one on its left, seen from that knot
    x0, f0 = take_flat(xp, knot), take_flat(fp, knot)
    if n <= x.size:                      # the slopes of the table are fewer than those of all x
        slope = take_flat(slopes(xp[:-1], xp[1:], fp[:-1], fp[1:]), j)
    else:
        slope = slopes(take_flat(xp, j), take_flat(xp, j + 1), take_flat(fp, j), take_flat(fp, j + 1))
    y = slope * (x - x0) + f0
    if not np.isfinite(T.concrete(fp)).all():    # infinite knots: NumPy tries the other end, then equality
        x1, f1 = take_flat(xp, j + 1), take_flat(fp, j + 1)
        other = slope * (x - x1) + f1
        other = T.elementwise("where", np.isnan(other) & (f0 == f1), f0, other)
        y = T.elementwise("where", np.isnan(y), other, y)
        y = T.elementwise("where", x == x0, f0, y)
        y = T.elementwise("where", x == x1, f1, y)
    return y


def slopes(x0: Any, x1: Any, f0: Any, f1: Any) -> Any:
    """Slopes between knots; knots at the same place have none."""
    h = x1 - x0
    return (f1 - f0) / T.elementwise("where", h == 0, 1.0, h)


def periodic(x: Any, xp: Any, fp: Any, period: Any) -> Any:
    """One period of the table, sorted, with a neighbour at each end."""
    period = abs(period)
    x, xp = np.remainder(x, period), np.remainder(xp, period)
    order = np.argsort(xp)
    xp, fp = np.take(xp, order), np.take(fp, order)
    return (x, np.concatenate([xp[-1:] - period, xp, xp[:1] + period]), np.concatenate([fp[-1:], fp, fp[:1]]))
