"""padding.py - np.pad in all its modes.

Owns: the borders that are computed (ramps, statistics, odd reflections, values, a function of the user's).
Must not know: how elements are moved (movers.py).
"""
from __future__ import annotations

from typing import Any

import numpy as np

from fastad import _tape as T
from fastad.checking import checked
from fastad.movers import move, settled
from fastad.operands import asarray, cast_to, code_of, live, records, refusal, shape_of

MOVED = ("edge", "reflect", "symmetric", "wrap")
STATISTICS: dict[str, Any] = {"maximum": np.max, "minimum": np.min, "mean": np.mean, "median": np.median}


@records(np.pad)
def pad(array: Any, pad_width: Any, mode: Any = "constant", **kwargs: Any) -> Any:
    """Padding by constants, by elements of the array, or by numbers made of them."""
    a, pad_width = live(asarray(array)), widths(pad_width)
    if callable(mode):
        return by_function(a, pad_width, mode, kwargs)
    if mode in MOVED and kwargs.get("reflect_type", "even") == "even":
        if kwargs:
            np.pad(np.zeros((1,) * a.ndim), 0, mode, **kwargs)                   # NumPy's own error for a keyword
        return move(a, lambda c: np.pad(c, pad_width, mode, **kwargs), (np.pad, hashable(pad_width), mode))
    if mode == "empty":                  # NumPy leaves the border as it finds it: here zeros
        np.pad(np.zeros((1,) * a.ndim), 0, mode, **kwargs)
        mode = "constant"
    values = kwargs.get("constant_values", 0)
    if mode == "constant" and not T.is_wrapped(values) and np.ndim(values) == 0 and values == 0:
        np.pad(np.zeros((1,) * a.ndim), 0, mode, **kwargs)
        return move(a, lambda c: np.pad(c, pad_width), (np.pad, hashable(pad_width), mode))
    return checked(np.pad, computed, (a, pad_width, mode), kwargs, "np.pad")


def widths(x: Any) -> Any:
    """A pad_width of plain numbers."""
    return {k: settled(v) for k, v in x.items()} if isinstance(x, dict) else settled(x)


def hashable(x: Any) -> Any:
    """A pad_width that can be a key."""
    if isinstance(x, dict):
        return "dict", tuple((k, hashable(v)) for k, v in x.items())
    return tuple(hashable(y) for y in x) if isinstance(x, (list, tuple)) else \
        hashable(x.tolist()) if isinstance(x, np.ndarray) else x


def computed(a: Any, pad_width: Any, mode: str, **kwargs: Any) -> Any:
    """The modes whose border is computed, one axis after the other."""
    widths = pairs_of_widths(pad_width, a.ndim)
    if mode == "constant" or mode == "linear_ramp":
        name = "constant_values" if mode == "constant" else "end_values"
        ends = pairs(kwargs.get(name, 0), a.ndim)
        for axis, (width, end) in enumerate(zip(widths, ends, strict=True)):
            border = constant if mode == "constant" else ramp
            a = joined(a, axis, *[border(a, axis, width[side], end[side], side) for side in (0, 1)])
    elif mode in STATISTICS:
        lengths = pairs(kwargs.get("stat_length"), a.ndim)
        for axis, (width, length) in enumerate(zip(widths, lengths, strict=True)):
            a = joined(a, axis, *[statistic(a, axis, width[side], length[side], side, mode) for side in (0, 1)])
    else:
        for axis, width in enumerate(widths):
            a = reflected(a, axis, width, mode == "symmetric")
    return a


def pairs_of_widths(pad_width: Any, nd: int) -> Any:
    """Numbers of elements before and behind, for each axis: read off what NumPy makes of them."""
    if not nd:
        np.pad(np.ones(()), pad_width)   # NumPy's own error
        return []
    index = np.pad(np.ones((1,) * nd, bool), pad_width)
    first = [int(k[0]) for k in np.nonzero(index)]
    return [(k, n - k - 1) for k, n in zip(first, index.shape, strict=True)]


def pairs(x: Any, nd: int) -> Any:
    """Two values for each axis, of a value, a pair, or a pair for each axis."""
    if x is None:
        return [(None, None)] * nd
    if isinstance(x, dict):
        raise refusal("np.pad", "a dict of values is not recorded; give pairs")
    x = np.broadcast_to(live(asarray(x)), (nd, 2))
    return [(x[k, 0], x[k, 1]) for k in range(nd)]


def joined(a: Any, axis: int, before: Any, behind: Any) -> Any:
    """The array between its borders."""
    parts = [p for p in (before, a, behind) if p is not None]
    return np.concatenate(parts, axis=axis) if len(parts) > 1 else np.copy(a, "C")


def line(a: Any, axis: int, k: Any) -> Any:
    """Slices along an axis."""
    return a[(slice(None),) * axis + (k,)]


def repeated(x: Any, a: Any, axis: int, n: int) -> Any:
    """x, of one element along the axis, n times."""
    return np.broadcast_to(cast_to(x, code_of(a)), (*a.shape[:axis], n, *a.shape[axis + 1:]))


def constant(a: Any, axis: int, n: int, value: Any, side: int) -> Any:
    """A border of one value."""
    return repeated(value, a, axis, n) if n else None


def ramp(a: Any, axis: int, n: int, end: Any, side: int) -> Any:
    """A border that goes from a value, at the very end, to the edge."""
    if not n:
        return None
    edge = line(a, axis, -1 if side else 0)
    y = np.linspace(end, edge, n, endpoint=False, axis=axis)
    return cast_to(np.flip(y, axis) if side else y, code_of(a))


def statistic(a: Any, axis: int, n: int, length: Any, side: int, mode: str) -> Any:
    """A border of the maximum, mean ... of the elements next to it."""
    if not n:
        return None
    size = a.shape[axis]
    k = size if length is None else min(int(T.concrete(length)), size)
    part = line(a, axis, slice(size - k, None) if side else slice(0, k))
    return repeated(STATISTICS[mode](part, axis=axis, keepdims=True), a, axis, n)


def reflected(a: Any, axis: int, width: Any, with_edge: bool) -> Any:
    """Odd reflections: 2 edge - mirrored element, again and again until the border is wide enough."""
    before, behind = width
    while before or behind:
        size = a.shape[axis]
        most = size if with_edge else size - 1
        if most < 1:
            return joined(a, axis, *[repeated(line(a, axis, slice(0, 1)), a, axis, n) if n else None
                                     for n in (before, behind)])
        left, right = min(before, most), min(behind, most)
        offset = 0 if with_edge else 1
        parts = []
        for n, edge, chosen in ((left, line(a, axis, slice(0, 1)), slice(offset, offset + left)),
                                (right, line(a, axis, slice(size - 1, None)),
                                 slice(size - offset - right, size - offset))):
            parts.append(2 * edge - np.flip(line(a, axis, chosen), axis) if n else None)
        a = joined(a, axis, *parts)
        before, behind = before - left, behind - right
    return a


def by_function(a: Any, pad_width: Any, function: Any, kwargs: Any) -> Any:
    """A function of the user's writes the border into each line along each axis."""
    padded = np.pad(a, pad_width)
    for axis, width in enumerate(pairs_of_widths(pad_width, a.ndim)):
        view = np.moveaxis(padded, axis, -1)
        for k in np.ndindex(shape_of(view)[:-1]):
            function(view[k], width, axis, kwargs)
    return padded
