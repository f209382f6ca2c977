"""counting.py - functions that count, or look for equal elements: unique, histogram, isin, lexsort.

Owns: what they return as traced values.  Where the length of a result depends on values, that length is guarded.
Must not know: how elements are sorted and found (sorting.py) or masked (selection.py).
"""
from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad.movers import relayout, settled
from fastad.operands import (
    BOOL,
    FLOAT,
    INT,
    REAL,
    SINGLE,
    asarray,
    cast_to,
    code_of,
    joint,
    live,
    records,
    refusal,
    run_plain,
    shape_of,
)
from fastad.selection import nonzero
from fastad.sorting import argsort, searchsorted, sort


@records(np.unique, data=1)
def unique(ar: Any, return_index: bool = False, return_inverse: bool = False, return_counts: bool = False,
           axis: Any = None, *, equal_nan: bool = True, sorted: bool = True) -> Any:
    """The different elements in ascending order; their number is guarded."""
    if axis is not None and (axis or np.ndim(ar) != 1):
        return unique_rows(ar, return_index, return_inverse, return_counts, axis)
    flat = asarray(ar).reshape(-1)
    order: Any = argsort(flat, kind="stable") if return_index or return_inverse else None
    x = sort(flat) if order is None else flat[order]
    new = np.not_equal(x[1:], x[:-1])
    if equal_nan and code_of(x) in REAL:
        new = new & ~(np.isnan(x[1:]) & np.isnan(x[:-1]))
    new = np.concatenate([np.ones(min(x.size, 1), bool), new])
    (first,) = nonzero(new)
    out = [x[first]]
    if return_index:
        out.append(order[first])
    if return_inverse:
        inverse = T.recordable(np.empty(x.size, np.int64))
        inverse[order] = np.cumsum(new) - 1
        out.append(inverse.reshape(shape_of(ar)))
    if return_counts:
        out.append(np.diff(np.concatenate([first, [x.size]])))
    return tuple(out) if len(out) > 1 else out[0]


def unique_rows(ar: Any, return_index: bool, return_inverse: bool, return_counts: bool, axis: int) -> Any:
    """The different slices along an axis, in lexicographic order; their number is guarded."""
    ar = asarray(ar)
    whole = np.moveaxis(ar, axis, 0)
    n = whole.shape[0]
    x = whole.reshape(n, math.prod(whole.shape[1:]))
    if not x.size:
        raise refusal("np.unique", "axis= of an empty array is not recorded")
    order = np.lexsort(x.T[::-1])
    x = x[order]
    new = np.concatenate([np.ones(1, bool), np.any(np.not_equal(x[1:], x[:-1]), axis=1)])
    (first,) = nonzero(new)
    out = [np.moveaxis(x[first].reshape(-1, *whole.shape[1:]), 0, axis)]
    if return_index:
        out.append(order[first])
    if return_inverse:
        inverse = T.recordable(np.empty(n, np.int64))
        inverse[order] = np.cumsum(new) - 1
        like = np.unique(T.concrete(ar), return_inverse=True, axis=axis)[1]      # its shape depends on the version
        out.append(inverse.reshape(like.shape))
    if return_counts:
        out.append(np.diff(np.concatenate([first, [n]])))
    return tuple(out) if len(out) > 1 else out[0]


@records(np.isin, data=2)
def isin(element: Any, test_elements: Any, assume_unique: bool = False, invert: bool = False, *,
         kind: Any = None) -> Any:
    """Which elements occur among others: traced booleans."""
    a, b = live(asarray(element)), live(asarray(test_elements)).reshape(-1)
    found = np.any(np.equal(np.expand_dims(a, -1), b), axis=-1)
    return relayout(asarray(~found if invert else found), np.empty(shape_of(found)))


@records(np.lexsort, data=1)
def lexsort(keys: Any, axis: int = -1) -> Any:
    """The permutation that sorts by several keys, the last one first."""
    keys = [live(asarray(k)) for k in keys]
    if not keys or len({k.shape for k in keys}) > 1:
        np.lexsort([np.empty(k.shape) for k in keys])            # NumPy's own error
    axis = operator.index(axis)
    if not keys[0].ndim:
        return run_plain(np.lexsort, (keys, axis), {})
    order = argsort(keys[0], axis)
    for key in keys[1:]:
        if order.ndim < 2:
            order = order[argsort(key[order])]
        else:
            order = np.take_along_axis(order, argsort(np.take_along_axis(key, order, axis), axis), axis)
    return order


# ---- histogram ------------------------------------------------------------------------------------------------------

@records(np.histogram, data=2)
def histogram(a: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None) -> Any:
    """How many elements, or with what sum of weights, lie between edges; a derivative passes through weights only."""
    a = live(asarray(a)).reshape(-1)
    bins = bins if shape_of(bins) or isinstance(bins, (list, tuple)) else settled(bins)
    if isinstance(bins, str):
        bins = len(np.histogram_bin_edges(a, bins, range, weights)) - 1
    if weights is not None:
        weights = live(asarray(weights))
        if shape_of(weights) != shape_of(asarray(a)) and weights.size != a.size:
            raise ValueError("weights should have the same shape as a.")
        weights = weights.reshape(-1)
    edges = even_edges(a, bins, range) if not shape_of(bins) and not isinstance(bins, (list, tuple)) else asarray(bins)
    if edges.ndim != 1 or bool(np.any(edges[1:] < edges[:-1])):
        raise ValueError("`bins` must increase monotonically, when an array" if edges.ndim == 1 else
                         "`bins` must be 1d")
    n = edges.size - 1
    values, ends = cast_to(a, FLOAT), cast_to(edges, FLOAT)
    bin_of = np.minimum(searchsorted(ends, values, "right") - 1, n - 1)      # the last bin has both its ends
    inside = np.greater_equal(values, ends[0]) & np.less_equal(values, ends[n])
    ones = T.wrap(np.ones(a.shape, np.int64)) if weights is None else weights
    ones = cast_to(ones, INT) if code_of(ones) == BOOL else ones
    counted = T.elementwise("where", inside, ones, 0)
    code = code_of(counted)
    counts = T.structural("addat", (np.maximum(bin_of, 0), counted), None, (n,), code, (INT, code))
    if density:
        counts = counts / np.diff(ends) / np.sum(counts)
    return counts, edges


def even_edges(a: Any, bins: Any, limits: Any) -> Any:
    """Edges at equal distances between two limits, by default the smallest and the largest element."""
    np.histogram([], bins, None if limits is None else tuple(map(T.concrete, limits)))      # NumPy's own errors
    low, high = (np.min(a), np.max(a)) if limits is None and a.size else (0.0, 1.0) if limits is None else limits
    code = SINGLE if joint(low, high, a) == SINGLE else FLOAT
    low, high = cast_to(low, code), cast_to(high, code)
    half = cast_to(np.where(np.equal(low, high), 0.5, 0.0), code)
    return np.linspace(low - half, high + half, int(bins) + 1)
