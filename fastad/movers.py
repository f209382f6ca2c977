"""movers.py - functions that only move elements: one implementation for all of them.

Owns: `move` (one array) and `assemble` (several): NumPy runs on the concrete arrays; what shares memory is a view;
anything else is run again on arrays of 1-based positions, from which the map of the copy is read (0 means "fill").
Maps are kept by function, arguments, shapes and layout.
Must not know: what any of these functions means.
Next: _attrs.pxi (Map, Assemble), numpy_movers.py (the list of the functions).
"""
from __future__ import annotations

import itertools
import math
import operator
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad.operands import CODES, RECORDED, asarray, dtype_code, is_array, lifted, records, zeros_of

MAX_PIECES = 12                          # more affine pieces than this: a table is faster
MAX_BYTES = 64 << 20                     # of kept tables
_cache: dict[Any, Any] = {}
_held = [0]


# ---- maps from positions --------------------------------------------------------------------------------------------

def map_of(nsrc: int, positions: Any, fill: Any = 0, code: int = 0) -> Any:
    """The map for an array of 1-based source positions; 0 where the fill goes."""
    flat = positions.ravel()
    if flat.size and int(flat.min()) == 0:
        dst = np.flatnonzero(flat)
        return pair_map(nsrc, positions.shape, flat[dst] - 1, dst, fill, code)
    return pair_map(nsrc, positions.shape, flat - 1, None, fill, code)


def pair_map(nsrc: int, shape: Any, src: Any, dst: Any, fill: Any, code: int) -> Any:
    """The map that brings element src[k] to dst[k] (ascending; None: 0, 1, 2, ...) of a result of that shape."""
    ndst = math.prod(shape)
    low, block = (0,) * len(shape), None
    if dst is None:
        block = src.reshape(shape)
    elif dst.size:
        coords = np.unravel_index(dst, shape)
        low = tuple(int(c.min()) for c in coords)
        box = tuple(int(c.max()) + 1 - k for c, k in zip(coords, low, strict=True))
        if math.prod(box) == dst.size:
            block = src.reshape(box)
    pieces = None if block is None else affine_pieces(block, low, shape)
    if pieces is None:
        return T.Map.table(nsrc, ndst, src, dst, fill, code)
    once = bool(T.no_duplicates(src, nsrc))
    return T.Map(nsrc, ndst, pieces, None, None, src.size == ndst, once, True, fill, code)


def affine_pieces(block: Any, low: Any, shape: Any) -> Any:
    """Cut an array of source positions into affine boxes; None if that takes too many.

    The cuts are guessed from the first line along each axis; every box is then checked whole.
    """
    cuts = []
    for d in range(block.ndim):
        cuts.append(_runs(block[(0,) * d + (slice(None),) + (0,) * (block.ndim - d - 1)]))
        if cuts[-1] is None:
            return None
    if math.prod(len(c) for c in cuts) > MAX_PIECES:
        return None
    steps = [math.prod(shape[d + 1:]) for d in range(len(shape))]
    pieces = []
    for box in itertools.product(*cuts):
        part = block[tuple(slice(a, b) for a, b in box)]
        first = int(part[(0,) * part.ndim])
        strides = tuple(int(part[tuple(int(k == d) for k in range(part.ndim))]) - first if n > 1 else 0
                        for d, n in enumerate(part.shape))
        if not np.array_equal(T.affine_positions(part.shape, first, strides), part.ravel()):
            return None
        at = sum((a + k) * s for (a, _), k, s in zip(box, low, steps, strict=True))
        pieces.append((part.shape, first, strides, at, tuple(steps)))
    return tuple(pieces)


def _runs(line: Any) -> Any:
    """Intervals on which a line of positions advances evenly; None if there are too many."""
    n = len(line)
    if n < 3:
        return [(0, n)]
    diff = np.diff(line)
    ends = np.append(np.flatnonzero(diff[1:] != diff[:-1]) + 1, n - 1)   # diff is constant up to each of these
    if len(ends) > 4 * MAX_PIECES:
        return None
    lengths: Any = np.diff(ends, prepend=0)
    common = diff[ends[int(lengths.argmax())] - 1]
    runs, start = [], 0
    for end in ends:
        if end < start:                  # the step that led here belongs to no run
            continue
        if end - start == 1 and diff[start] != common:
            runs.append((start, start + 1))
            start += 1
        elif end > start:
            runs.append((start, int(end) + 1))
            start = int(end) + 1
    if start < n:
        runs.append((start, n))
    return runs


# ---- one array ------------------------------------------------------------------------------------------------------

def simple(args: Any) -> bool:
    """May these arguments be part of a key?  (Traced numbers must not: their hash is a guard.)"""
    for a in args:
        kind = type(a)
        if kind is tuple:
            if not simple(a):
                return False
        elif not (a is None or kind is int or kind is str or kind is bool or kind is float):
            return False
    return True


def move(x: Any, run: Any, key: Any = None) -> Any:
    """Apply `run`, which only moves elements, to a traced array.

    Parameters
    ----------
    x : Array or Scalar
    run : callable
        From an ndarray to an ndarray, or to a list or tuple of them.
    key : hashable, optional
        What tells `run` from others, its arguments included.
    """
    if type(x) is not T.Array:
        x = asarray(x)
    c = T.concrete(x)
    if key is not None:
        key = (key, c.shape, c.strides, c.dtype.num)
        found = _cache.get(key)
        if found is not None:
            return T.structural("move", (x,), found[0], found[1], found[2])
    out = run(c)
    if is_array(out):
        if T.is_view_of(x, out):
            return T.view(x, out)
    elif type(out) in (list, tuple) and all(is_array(o) and T.is_view_of(x, o) for o in out):
        return type(out)([T.view(x, o) for o in out])
    index = with_gaps(T.positions_like(x) + 1, c)
    return moved(x, out, run(index), key)


def with_gaps(index: Any, c: Any) -> Any:
    """Positions in memory that is contiguous only if that of c is: order="A" looks at this."""
    if c.flags.forc or not index.flags.forc or not index.size:
        return index
    axes = sorted(range(index.ndim), key=lambda d: -index.strides[d])
    gaps = np.empty((*index.transpose(axes).shape, 2), dtype=index.dtype)[..., 0]
    gaps[...] = index.transpose(axes)
    return gaps.transpose(sorted(range(index.ndim), key=axes.__getitem__))


def moved(x: Any, out: Any, positions: Any, key: Any = None) -> Any:
    """The traced result whose concrete value is `out` and whose elements are those of x at 1-based positions."""
    if type(out) is list or type(out) is tuple:
        return type(out)([moved(x, o, p) for o, p in zip(out, positions, strict=True)])
    if not x.size and is_array(out):     # nothing but fills
        return T.wrap(out)
    if not is_array(out) or out.ndim == 0:
        one = x[np.unravel_index(int(positions) - 1, x.shape)]
        return lifted(one) if is_array(out) else one
    if out.size == 0:
        return zeros_of(out)
    if T.is_view_of(x, out):
        return T.view(x, out)
    code = CODES[x.dtype]
    m = map_of(x.size, positions, 0, code)
    if out.flags.c_contiguous:
        if key is not None:
            remember(key, (m, out.shape, code), table_bytes(m))
        return T.structural("move", (x,), m, out.shape, code)
    if m.fields()[5]:                    # covers: no fill
        return T.move_by_positions(x, out, positions - 1)
    return relayout(T.structural("move", (x,), m, out.shape, code), out)


def remember(key: Any, value: Any, nbytes: int) -> None:
    """Keep a map; forget all when there are many, or much."""
    if len(_cache) > 4000 or _held[0] + nbytes > MAX_BYTES:
        _cache.clear()
        _held[0] = 0
    if nbytes < MAX_BYTES:
        _cache[key] = value
        _held[0] += nbytes


def table_bytes(m: Any) -> int:
    """Memory of a map's tables."""
    return sum(2 * side.nbytes for side in (m.src, m.dst) if side is not None)   # the key holds them once more


def lying_like(c: Any) -> Any:
    """An array with the shape and strides of c, and no memory: for relayout, which looks at nothing else."""
    return np.lib.stride_tricks.as_strided(np.empty(1, c.dtype), c.shape, c.strides)


def relayout(x: Any, like: Any) -> Any:
    """x in the memory layout of an ndarray of the same shape: NumPy's layout decides which later reshapes are views."""
    if type(x) is not T.Array or like.ndim < 2 or not x.size:
        return x
    if T.concrete(x).flags.c_contiguous if like.flags.c_contiguous else T.concrete(x).strides == like.strides:
        return x
    out = np.empty_like(like, dtype=x.dtype)
    out[...] = T.concrete(x)
    return T.move_by_positions(x, out, np.arange(x.size).reshape(x.shape))


def mover(*functions: Any, method: str | None = None) -> Any:
    """Register NumPy functions of one array that only move its elements (the array is the first argument)."""
    for func in functions:
        RECORDED[func] = _mover(func)
    return None


def settled(x: Any) -> Any:
    """An argument that says where elements go, in plain numbers: traced ones are guarded, arrays of the user pinned."""
    if type(x) is list or type(x) is tuple:
        return type(x)(map(settled, x))
    if not is_array(x) and not T.is_wrapped(x):
        return x
    if not T.is_traced(x):
        return T.concrete(T.pinned(x))
    if x.dtype.kind in "ib" and np.ndim(x) == 0:
        return bool(x) if x.dtype.kind == "b" else operator.index(x)
    return np.asarray(x)                 # (guarded, or an error)


def _mover(func: Any) -> Any:
    def record(x: Any, *args: Any, **kwargs: Any) -> Any:
        if not simple(args):
            args = tuple(map(settled, args))
        if kwargs and not simple(kwargs.values()):
            kwargs = dict(zip(kwargs, map(settled, kwargs.values()), strict=True))
        if type(x) is T.Scalar and not is_array(func(T.concrete(x), *args, **kwargs)):
            return x                     # a number stays one
        items = tuple(kwargs.items()) if kwargs else ()
        key = (func, args, items) if simple(args) and simple(items) else None
        return move(x, lambda c: func(c, *args, **kwargs), key)
    record.__name__ = func.__name__
    return record


# ---- several arrays -------------------------------------------------------------------------------------------------

@records("assemble")
def assemble(run: Any, xs: list[Any], key: Any = None) -> Any:
    """Apply `run`, which only moves elements, to a list of operands of which one at least is traced.

    `run` gets a list of ndarrays and returns one; of what it gets, 1-based positions, a 0 in the result is a fill.
    """
    for k, x in enumerate(xs):
        if type(x) is list or type(x) is tuple:
            xs[k] = asarray(x)
    place = None if key is None else T.layouts(xs)
    if place is not None:
        key = (key, place)
        found = _cache.get(key)
        if found is not None:
            used, attr, shape, code, like = found
            if len(used) < len(xs):
                y = T.structural("assemble", [xs[k] for k in used], attr, shape, code, (code,) * len(used),
                                 T.tape_of(*xs))
            else:
                y = T.structural("assemble", xs, attr, shape, code, (code,) * len(used))
            return y if like is None else relayout(y, like)
    values = [np.asarray(T.concrete(x)) for x in xs]
    out = run(values)
    if out.size == 0:
        return zeros_of(out)
    index, start = [], 1
    for c in values:
        positions = np.empty_like(c, dtype=np.int64)
        positions[...] = np.arange(start, start + c.size).reshape(c.shape)
        index.append(positions)
        start += c.size
    used, attr = assembly(values, run(index), dtype_code(out.dtype))
    code = dtype_code(out.dtype)
    if place is not None:
        straight = out.ndim < 2 or out.flags.c_contiguous
        remember(key, (used, attr, out.shape, code, None if straight else lying_like(out)),
                 sum(map(table_bytes, attr.maps)))
    y = T.structural("assemble", [xs[k] for k in used], attr, out.shape, code, [code] * len(used), T.tape_of(*xs))
    return relayout(y, out)


def assembly(values: Any, positions: Any, code: int) -> Any:
    """(operands that are used, attribute) of an assembly from 1-based positions over all operands."""
    flat = positions.ravel()
    order = np.argsort(flat, kind="stable")
    starts = np.cumsum([1] + [c.size for c in values])
    ends = np.searchsorted(flat[order], starts)
    used, maps = [], []
    for k, c in enumerate(values):
        dst = np.sort(order[ends[k]:ends[k + 1]])
        if dst.size:
            used.append(k)
            maps.append(pair_map(c.size, positions.shape, flat[dst] - starts[k], dst, 0, code))
    return used, T.Assemble(maps, False, bool(ends[0] == 0), 0, code)
