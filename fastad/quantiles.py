"""quantiles.py - order statistics: median, quantile, percentile, and those that ignore NaN.

Owns: where between the sorted elements a quantile lies, by the nine methods of Hyndman and Fan ("Sample quantiles in
statistical packages", The American Statistician 50 (1996) 361-365) and NumPy's four older ones.  The elements are
sorted anew at each replay: another order, or another number of NaN, is no reason to record again.
Must not know: how elements are sorted (sorting.py).
"""
from __future__ import annotations

from typing import Any

import numpy as np

from fastad import _tape as T
from fastad.operands import REAL, SINGLE, asarray, code_of, deliver, inexact, live, records, refusal, shape_of
from fastad.reductions import plan
from fastad.sorting import argsort, sort

# Plotting positions (alpha, beta): the quantile lies at n q + alpha + q (1 - alpha - beta) - 1.
POSITIONS = {"linear": (1.0, 1.0), "interpolated_inverted_cdf": (0.0, 1.0), "hazen": (0.5, 0.5), "weibull": (0.0, 0.0),
             "median_unbiased": (1 / 3, 1 / 3), "normal_unbiased": (3 / 8, 3 / 8)}
STEPS = ("lower", "higher", "midpoint", "nearest", "inverted_cdf", "averaged_inverted_cdf", "closest_observation")
PICKING = ("lower", "higher", "nearest", "inverted_cdf", "closest_observation")


def along_last(a: Any, axis: Any) -> Any:
    """(a with `axis`, all for None, as a new last axis, shape with ones for keepdims)."""
    x = inexact(asarray(a))
    _, kept, _, n = plan(x.shape, axis, True)
    axes = range(x.ndim) if axis is None or not x.ndim else np.lib.array_utils.normalize_axis_tuple(axis, x.ndim)
    rest = [k for k in range(x.ndim) if k not in axes]
    return x.transpose(rest + sorted(axes)).reshape((*[x.shape[k] for k in rest], n)), kept


def with_nan(y: Any, last: Any) -> Any:
    """NaN where the last of the sorted elements is NaN."""
    return T.elementwise("where", np.isnan(last), last, y)


@records(np.median, data=1)
def median(a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: bool = False) -> Any:
    """The middle of the sorted elements, or the mean of the two in the middle."""
    x, kept = along_last(a, axis)
    s = sort(x)
    n = s.shape[-1]
    y = s[..., n // 2] if n % 2 else (s[..., n // 2 - 1] + s[..., n // 2]) / 2
    y = with_nan(y, s[..., n - 1])
    return deliver(out, y.reshape(kept) if keepdims else y, "median")


@records(np.quantile, data=2)
def quantile(a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False,
             method: str = "linear", keepdims: bool = False, *, weights: Any = None) -> Any:
    """The element, or a mean of two, below which a part q of the sorted elements lies."""
    return between("quantile", a, q, axis, out, method, keepdims, weights, False)


@records(np.percentile, data=2)
def percentile(a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False,
               method: str = "linear", keepdims: bool = False, *, weights: Any = None) -> Any:
    """The quantile at q / 100."""
    return between("percentile", a, hundredth(a, q), axis, out, method, keepdims, weights, False)


@records(np.nanquantile, data=1)
def nanquantile(a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False,
                method: str = "linear", keepdims: Any = False, *, weights: Any = None) -> Any:
    """The quantile of what is a number."""
    return between("nanquantile", a, q, axis, out, method, keepdims, weights, True)


@records(np.nanpercentile, data=1)
def nanpercentile(a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False,
                  method: str = "linear", keepdims: Any = False, *, weights: Any = None) -> Any:
    """The percentile of what is a number."""
    return between("nanpercentile", a, hundredth(a, q), axis, out, method, keepdims, weights, True)


@records(np.nanmedian, data=1)
def nanmedian(a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: Any = False) -> Any:
    """The median of what is a number."""
    return between("nanmedian", a, 0.5, axis, out, "linear", keepdims, None, True)


def between(what: str, a: Any, q: Any, axis: Any, out: Any, method: str, keepdims: Any, weights: Any,
            numbers: bool) -> Any:
    """A quantile by any method; `numbers`: NaN are not counted."""
    if method not in POSITIONS and method not in STEPS:
        raise ValueError(f"{method!r} is not a valid method")
    q = live(asarray(q)) if T.is_traced(q) else constant(a, T.concrete(q))
    if bool(np.any((q < 0) | (q > 1))):
        raise ValueError("Quantiles must be in the range [0, 1]")
    if T.is_traced(q) and method in STEPS:
        raise refusal(what, f"method={method!r} jumps where q moves; a traced q is recorded for the continuous methods")
    x, kept = along_last(a, axis)
    if weights is not None:
        s, low, part = weighted(x, along_weights(weights, a, axis), q, numbers), None, None
    else:
        s = sort(x)
        n = count_of_numbers(s) if numbers else s.shape[-1]
        low, part = place(method, n, q)
        if method in PICKING:            # 0 or 1: the element in its own type
            part = part.astype(x.dtype)
    y = s if low is None else interpolated(s, low, part, n, q)
    if not numbers:
        last = np.max(x, axis=-1)        # NaN if one is
        y = with_nan(y, last[(..., *(None,) * q.ndim)] if q.ndim else last)
    if q.ndim:                           # in front, in C order, as NumPy's
        y = np.moveaxis(y, range(y.ndim - q.ndim, y.ndim), range(q.ndim)).copy()
    return deliver(out, y.reshape(q.shape + kept) if keepdims is not np._NoValue and keepdims else y, what)


def narrow(a: Any, q: Any) -> bool:
    """Does NumPy compute in float32?  A Python number is weak."""
    return code_of(a) == SINGLE and (isinstance(q, (int, float)) and not isinstance(q, np.float64)
                                     or getattr(q, "dtype", None) == np.float32)


def constant(a: Any, q: Any) -> Any:
    return np.asarray(q, dtype=np.float32 if narrow(a, q) else float)


def hundredth(a: Any, q: Any) -> Any:
    """q / 100 in the type in which NumPy divides."""
    if T.is_traced(q):
        return np.true_divide(q, 100)
    q = T.concrete(q)
    return np.true_divide(q, np.float32(100)) if narrow(a, q) else np.true_divide(q, 100)


def count_of_numbers(s: Any) -> Any:
    """How many of the elements along the last axis are numbers: a traced integer for each line."""
    return np.sum(~np.isnan(s), axis=-1)


def place(method: str, n: Any, q: Any) -> Any:
    """(index of the element below, part of the way to the next) of the quantile q of n sorted elements."""
    if type(n) is not int:
        n = np.reshape(n, (*shape_of(n), *(1,) * q.ndim)) if q.ndim else n
    if method in POSITIONS:
        alpha, beta = POSITIONS[method]
        at = n * q + (alpha + q * (1 - alpha - beta)) - 1 if method != "linear" else (n - 1) * q
    elif method in ("lower", "higher", "midpoint", "nearest"):
        at = (n - 1) * q
    else:
        at = n * q - (1.5 if method == "closest_observation" else 1.0)
    low = np.floor(at)
    part = at - low
    if method == "lower":
        part = 0.0 * part
    elif method == "higher":
        part = np.ceil(part)
    elif method == "midpoint":
        part = 0.5 * np.ceil(part)
    elif method == "nearest":            # a tie goes to the even index
        part = np.rint(at) - low
    elif method == "inverted_cdf":
        part = np.ceil(part)
    elif method == "averaged_inverted_cdf":
        part = np.where(part == 0, 0.5, 1.0)
    elif method == "closest_observation":
        part = np.where((part == 0) & (low % 2 == 1), 0.0, 1.0)
    return low, part


def interpolated(s: Any, low: Any, part: Any, n: Any, q: Any) -> Any:
    """The line between the elements at low and low + 1; beyond the ends the ends."""
    if type(n) is not int:
        n = np.reshape(n, (*shape_of(n), *(1,) * q.ndim)) if q.ndim else n
    part = np.where((low < 0) | (low >= n - 1), 0.0, part)
    if q.dtype == np.float32:            # (a traced count has made it float64)
        part = part.astype(np.float32)
    below = np.clip(low, 0, np.maximum(n - 1, 0)).astype(int)
    high = np.minimum(below + 1, np.maximum(n - 1, 0))
    below, above = along(s, below, q), along(s, high, q)
    y = np.where(part < 0.5, below + (above - below) * part, above - (above - below) * (1 - part))
    return T.elementwise("where", np.equal(below, above), below, y)    # (infinities)


def along(s: Any, k: Any, q: Any) -> Any:
    """Elements along the last axis at indices that are the same for all lines (of the shape of q), or one's own."""
    if shape_of(k) == shape_of(q):
        return np.take(s, k, axis=-1)
    lines = s.reshape(s.shape[:-1] + (1,) * max(q.ndim - 1, 0) + s.shape[-1:]) if q.ndim > 1 else s
    if q.ndim > 1:
        lines = np.broadcast_to(lines, (*s.shape[:-1], *q.shape[:-1], s.shape[-1]))
    return np.take_along_axis(lines, k, axis=-1) if q.ndim else np.take_along_axis(lines, k[..., None], -1)[..., 0]


# ---- weights --------------------------------------------------------------------------------------------------------

def along_weights(weights: Any, a: Any, axis: Any) -> Any:
    """Weights in the order in which `along_last` lays out the elements."""
    w = live(asarray(weights))
    shape = shape_of(asarray(a))
    if shape_of(w) != shape:             # one weight for each position along the axis
        axis = np.lib.array_utils.normalize_axis_tuple(axis, len(shape))
        w = np.expand_dims(w, tuple(k for k in range(len(shape)) if k not in axis)) if len(axis) == 1 else w
        w = np.broadcast_to(w, shape)
    return along_last(w, axis)[0]


def weighted(x: Any, w: Any, q: Any, numbers: bool) -> Any:
    """The first element at which the sum of the weights reaches the part q of all (method "inverted_cdf")."""
    if T.is_traced(q):
        raise refusal("quantile", "weights= are recorded for constant q")
    if code_of(x) in REAL and numbers:
        w = np.where(np.isnan(x), 0.0, w)
    order = argsort(x)
    s, w = np.take_along_axis(x, order, -1), np.take_along_axis(w, order, -1)
    part = np.cumsum(w, axis=-1)
    part = part / part[..., -1:]
    part = np.where(part == 0, -1.0, part)           # an element without weight is never the result
    k = np.sum(part.reshape(part.shape[:-1] + (1,) * q.ndim + part.shape[-1:]) < q[..., None], axis=-1)
    return along(s, np.minimum(k, s.shape[-1] - 1), np.empty(q.shape + (0,)) if not s.ndim else q)
