"""Structural primitives under the transformations: for each one its tangent, its adjoint and its batch rule.

Owns: these rules, as functions that write instructions.  Shapes and kernels are in _kernels/layout.h; elementwise
primitives need no rules here, their derivatives are the rows of primitives.py.
Must not know: which tape is transformed, how adjoints are collected.
Next: _transform.pyx (who calls: Builder, Reverse and Site are there), tests/test_transform.py.

A rule sees a site `s` (operands s.x, result s.y, attribute s.attr) and writes through `b`:
tangent(b, s) -> value, 0 where it is zero (s.dx: tangents of the operands);
adjoint(r, s): r.give(k, value) adds to the adjoint of operand k (s.w: adjoint of the result, s.active: who wants one);
batch(b, s) -> value with a leading axis of length s.k (s.batched: which operands have it already).
"""
from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastad import _tape as T
from fastad import linear_rules
from fastad.errors import InternalError, UnsupportedError

__all__ = ["RULES", "Rule", "adjoint", "batch", "tangent"]

I64, BOOL = 1, 2


class Rule(NamedTuple):
    """What the transformations do with one structural primitive; None: it has no derivative."""

    tangent: Callable[[Any, Any], int] | None
    adjoint: Callable[[Any, Any], None] | None
    batch: Callable[[Any, Any], int]


def tangent(b: Any, s: Any) -> int:
    """Write the tangent of one instruction."""
    rule = RULES[s.name].tangent
    if rule is None:
        raise InternalError(f"{s.name} is active but has no tangent")
    return rule(b, s)


def adjoint(r: Any, s: Any) -> None:
    """Write the adjoints of the operands of one instruction."""
    rule = RULES[s.name].adjoint
    if rule is None:
        raise InternalError(f"{s.name} is active but has no adjoint")
    rule(r, s)


def batch(b: Any, s: Any) -> int:
    """Write one instruction for many lanes."""
    return RULES[s.name].batch(b, s)


# ---- maps -----------------------------------------------------------------------------------------------------------

def c_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides of C order, in elements."""
    return tuple(math.prod(shape[d + 1:]) for d in range(len(shape)))


def flags(m: Any) -> tuple[bool, bool, bool]:
    """(covers, src_injective, dst_injective) of a map."""
    return m.fields()[5:8]


def identity_map(n: int) -> Any:
    """Every element to its own place."""
    return T.Map.view(n, (n,), 0, (1,))


def split_map(m: Any) -> tuple[Any, Any]:
    """Take a map apart: source -> packed (None where the source is packed already), packed -> destination.

    Packed is a vector that holds what the map moves and nothing else.
    """
    covers, src_once, dst_once = flags(m)
    nsrc, ndst = m.sizes
    if m.pieces is None:
        n = len(m.src if m.src is not None else m.dst)
        packed = None if m.src is None and n == nsrc else T.Map.table(nsrc, n, m.indices()[0])
        return packed, T.Map(n, ndst, None, None, m.indices()[1], covers, True, dst_once)
    read, written, n, same = [], [], 0, True
    for shape, soff, sstr, doff, dstr in m.pieces:
        own = c_strides(shape)
        read.append((shape, soff, sstr, n, own))
        written.append((shape, n, own, doff, dstr))
        same = same and soff == n and all(a == o for a, o, e in zip(sstr, own, shape, strict=True) if e > 1)
        n += math.prod(shape)
    packed = None if same and n == nsrc else T.Map(nsrc, n, tuple(read), None, None, True, src_once, True)
    return packed, T.Map(n, ndst, tuple(written), None, None, covers, True, dst_once)


@functools.lru_cache(1024)               # (a time loop reduces arrays of the same few shapes at each step)
def repeat_axis(axis: Any) -> Any:
    """The map that repeats a reduced array along the axis over which it was reduced."""
    outer, n, inner, _ = axis.fields()
    return T.Map.view(outer * inner, (outer, n, inner), 0, (inner, 0, 1))


def with_lanes(m: Any, k: int, src_lanes: bool = True) -> Any:
    """The map with a leading axis of length k; `src_lanes` False: every lane reads the same source."""
    covers, src_once, dst_once = flags(m)
    nsrc, ndst = m.sizes
    step = nsrc if src_lanes else 0
    args = (nsrc * k if src_lanes else nsrc, ndst * k)
    rest = (covers, src_once and (src_lanes or k == 1), dst_once, m.fill, m.fill_dtype)
    if m.pieces is not None:
        pieces = tuple([((k, *shape), soff, (step, *sstr), doff, (ndst, *dstr))
                        for shape, soff, sstr, doff, dstr in m.pieces])
        return T.Map(*args, pieces, None, None, *rest)
    src, dst = m.indices()
    lane = np.arange(k)[:, None]
    return T.Map(*args, None, (lane * step + src).ravel(), (lane * ndst + dst).ravel(), *rest)


def concatenated(b: Any, values: list[int]) -> int:
    """All elements of several values in one vector."""
    total, pieces = 0, []
    for v in values:
        pieces.append((b.size(v), total))
        total += b.size(v)
    maps = [T.Map(n, total, (((n,), 0, (1,), at, (1,)),), None, None, n == total, True, True) for n, at in pieces]
    return b.emit("assemble", values, T.aval(b.dtype(values[0]), (total,)), T.Assemble(maps, covers=True))


# ---- linear in one operand ------------------------------------------------------------------------------------------

def same_on_tangent(b: Any, s: Any) -> int:
    """The tangent of what is linear in its only operand: the same instruction."""
    return b.emit(s.name, s.dx, b.aval_of(s.y), s.attr)


def identity_tangent(b: Any, s: Any) -> int:
    return s.dx[0]


def identity_adjoint(r: Any, s: Any) -> None:
    r.give(0, s.w)


def element_tangent(b: Any, s: Any) -> int:
    return b.emit("element", (s.dx[0], s.attr), b.dtype(s.dx[0]))


def element_adjoint(r: Any, s: Any) -> None:
    size = r.b.size(s.x[0])
    r.give_moved(0, s.w, T.Map(1, size, (((), 0, (), s.attr, ()),), None, None, size == 1, True, True))


def move_tangent(b: Any, s: Any) -> int:
    return b.emit("move", s.dx, b.aval_of(s.y), s.attr.without_fill())


def move_adjoint(r: Any, s: Any) -> None:
    r.give_moved(0, s.w, s.attr.T)


def erase_adjoint(r: Any, s: Any) -> None:
    r.give(0, r.b.emit("erase", (s.w,), r.b.aval_of(s.w), s.attr))


def sum_adjoint(r: Any, s: Any) -> None:
    r.give(0, r.b.emit("move", (s.w,), r.b.aval_of(s.x[0]), repeat_axis(s.attr)))


def cumsum_adjoint(r: Any, s: Any) -> None:
    outer, n, inner, backwards = s.attr.fields()
    r.give(0, r.b.emit("cumsum", (s.w,), r.b.aval_of(s.w), T.Axis(outer, n, inner, not backwards)))


def take_tangent(b: Any, s: Any) -> int:
    return b.emit("take", (s.dx[0], s.x[1]), b.aval_of(s.y))


def take_adjoint(r: Any, s: Any) -> None:
    r.give_taken(0, s.x[1], s.w)


def addat_tangent(b: Any, s: Any) -> int:
    return b.emit("addat", (s.x[0], s.dx[1]), b.aval_of(s.y))


def addat_adjoint(r: Any, s: Any) -> None:
    r.give(1, r.b.emit("take", (s.w, s.x[0]), T.aval(r.b.dtype(s.w), r.b.shape(s.x[0]))))


# ---- linear in several operands -------------------------------------------------------------------------------------

def write_tangent(b: Any, s: Any) -> int:
    old, v = s.dx
    aval = b.aval_of(s.y)
    if not v:
        return b.emit("erase", (old,), aval, s.attr)
    if not old:
        return b.emit("move", (v,), aval, s.attr.without_fill())
    return b.emit("write", (old, v), aval, s.attr)


def write_adjoint(r: Any, s: Any) -> None:
    """The part is read before it is erased: so the adjoint's memory is handed on from write to write."""
    if s.active[1]:
        r.give_moved(1, s.w, s.attr.T, True)
    if s.active[0]:
        erase_adjoint(r, s)


def assemble_tangent(b: Any, s: Any) -> int:
    maps, accumulate, covers, _, _ = s.attr.fields()
    there = [(dx, m) for dx, m in zip(s.dx, maps, strict=True) if dx]
    attr = T.Assemble([m.without_fill() for _, m in there], accumulate, covers and len(there) == len(maps))
    return b.emit("assemble", [dx for dx, _ in there], b.aval_of(s.y), attr)


def assemble_adjoint(r: Any, s: Any) -> None:
    for k, m in enumerate(s.attr.maps):
        if s.active[k]:
            r.give_moved(k, s.w, m.T)


def stack_positions(attr: Any) -> np.ndarray:
    """Where each scalar of a stack goes."""
    return np.arange(attr.fields()[0]) if attr.positions is None else attr.positions


def stack_tangent(b: Any, s: Any) -> int:
    at, first = stack_positions(s.attr), int(s.attr.has_base)
    base, scalars = s.dx[:first], s.dx[first:]
    if s.attr.accumulate:
        keep = [k for k, dx in enumerate(scalars) if dx]
        at, scalars = at[keep], [scalars[k] for k in keep]
    else:
        zero = b.const(0.0, b.dtype(s.y))
        scalars = [dx or zero for dx in scalars]
    has_base = bool(first and base[0])
    whole = s.attr.positions is None and not s.attr.accumulate
    attr = T.Stack(len(at), None if whole else at, has_base, s.attr.accumulate)
    return b.emit("stack", [*(base if has_base else ()), *scalars], b.aval_of(s.y), attr)


def stack_adjoint(r: Any, s: Any) -> None:
    few = s.attr.fields()[0] <= 64
    last, erase = (_few_stacked if few else _stacked)(s.attr, r.b.size(s.w))
    first = int(s.attr.has_base)
    for k, at in last:
        if s.active[first + k]:
            r.give(first + k, r.b.emit("element", (s.w, at), r.b.dtype(s.w)))
    if first and s.active[0]:
        r.give(0, s.w if erase is None else r.b.emit("erase", (s.w,), r.b.aval_of(s.w), erase))


def _stacked(attr: Any, size: int) -> tuple[list[tuple[int, int]], Any]:
    """(the scalars that stay, each with its position; the map that erases them from an array, None: they are added)."""
    at = stack_positions(attr)
    if attr.accumulate:
        return list(enumerate(at.tolist())), None
    last = sorted((k, p) for p, k in {p: k for k, p in enumerate(at.tolist())}.items())
    return last, T.Map.table(len(last), size, None, np.unique(at)) if attr.has_base else None


_few_stacked = functools.lru_cache(256)(_stacked)


def put_tangent(b: Any, s: Any) -> int:
    aval = b.aval_of(s.y)
    return b.emit("put", (s.dx[0] or b.zeros(aval), s.x[1], s.dx[2] or b.const(0.0, b.dtype(s.y))), aval)


def put_adjoint(r: Any, s: Any) -> None:
    """Where an index comes twice the last value stays, so only the last writer gets an adjoint."""
    b, index = r.b, s.x[1]
    if s.active[2]:
        aval = T.aval(b.dtype(s.w), b.shape(index))
        last = b.emit("lastwriter", (index,), T.aval(BOOL, b.shape(index)), T.Number(b.size(s.w)))
        r.give(2, b.elementwise_("where", last, b.emit("take", (s.w, index), aval), b.const(0.0, b.dtype(s.w))))
    if s.active[0]:
        r.give(0, b.emit("put", (s.w, index, b.const(0.0, b.dtype(s.w))), b.aval_of(s.w)))


# ---- extrema: ties share evenly -------------------------------------------------------------------------------------

def ties(b: Any, s: Any) -> tuple[int, int]:
    """(mask of the elements that reach the extremum, how many do).  Beside a NaN extremum the NaNs reach it."""
    x = s.x[0]
    extremum = b.emit("move", (s.y,), b.aval_of(x), repeat_axis(s.attr))
    mask = b.elementwise_("logical_or", b.elementwise_("equal", x, extremum), b.elementwise_("isnan", x))
    ones = b.emit("cast", (mask,), T.aval(b.dtype(x), b.shape(x)))
    return mask, b.emit("sum", (ones,), b.aval_of(s.y), s.attr)


def extremum_tangent(b: Any, s: Any) -> int:
    mask, count = ties(b, s)
    chosen = b.elementwise_("where", mask, s.dx[0], b.const(0.0, b.dtype(s.y)))
    return b.elementwise_("divide", b.emit("sum", (chosen,), b.aval_of(s.y), s.attr), count)


def extremum_adjoint(r: Any, s: Any) -> None:
    b = r.b
    mask, count = ties(b, s)
    share = b.emit("move", (b.elementwise_("divide", s.w, count),), b.aval_of(s.x[0]), repeat_axis(s.attr))
    r.give(0, b.elementwise_("where", mask, share, b.const(0.0, b.dtype(s.w))))


# ---- products -------------------------------------------------------------------------------------------------------

def product_tangent(b: Any, s: Any) -> int:
    """Bilinear: one term for each operand that has a tangent."""
    aval, terms = b.aval_of(s.y), 0
    for pair in ((s.dx[0], s.x[1]), (s.x[0], s.dx[1])):
        if all(pair):
            terms = b.plus_(terms, b.emit(s.name, pair, aval, s.attr))
    return terms


def summed_batch(b: Any, y: int, aval: int, batches: int, size: int, shared: bool) -> int:
    """A batch of products; summed where the operand was shared by all of them."""
    if not shared or batches == 1:
        return b.fit(y, aval)
    return b.emit("sum", (y,), aval, T.Axis(1, batches, size))


def matmul_adjoint(r: Any, s: Any) -> None:
    b, (a, c), w = r.b, s.x, s.w
    batches, m, k, n, astep, bstep, ta, tb = s.attr.fields()
    if s.active[0]:
        attr = (T.AdjointMatmul(batches, k, n, m, bstep, m * n, tb, True) if ta
                else T.AdjointMatmul(batches, m, n, k, m * n, bstep, False, not tb))
        y = b.emit("matmul", (c, w) if ta else (w, c), T.aval(b.dtype(w), (batches, m * k)), attr)
        r.give(0, summed_batch(b, y, b.aval_of(a), batches, m * k, astep == 0))
    if s.active[1]:
        attr = (T.AdjointMatmul(batches, n, m, k, m * n, astep, True, ta) if tb
                else T.AdjointMatmul(batches, k, m, n, astep, m * n, not ta, False))
        y = b.emit("matmul", (w, a) if tb else (a, w), T.aval(b.dtype(w), (batches, k * n)), attr)
        r.give(1, summed_batch(b, y, b.aval_of(c), batches, k * n, bstep == 0))


def csr(attr: Any, ncols: int | None = None, transpose: bool | None = None) -> Any:
    """The same pattern, applied to other columns or transposed."""
    nrow, ncol, cols, indptr, indices, flipped = attr.fields()
    return T.Csr(nrow, ncol, cols if ncols is None else ncols, indptr, indices,
                 flipped if transpose is None else transpose)


def spmm_adjoint(r: Any, s: Any) -> None:
    b, (data, x), w = r.b, s.x, s.w
    nrow, _, ncols, indptr, indices, transpose = s.attr.fields()
    if s.active[1]:
        r.give(1, b.emit("spmm", (data, w), b.aval_of(x), csr(s.attr, transpose=not transpose)))
    if s.active[0]:
        nnz = len(indices)
        row, column = np.repeat(np.arange(nrow), np.diff(indptr)), np.arange(ncols)
        of_w, of_x = (indices, row) if transpose else (row, indices)
        aval = T.aval(b.dtype(s.w), (nnz, ncols))
        at_w = b.emit("move", (w,), aval, T.Map.table(b.size(w), nnz * ncols, of_w[:, None] * ncols + column))
        at_x = b.emit("move", (x,), aval, T.Map.table(b.size(x), nnz * ncols, of_x[:, None] * ncols + column))
        products = b.elementwise_("multiply", at_w, at_x)
        r.give(0, b.emit("sum", (products,), b.aval_of(data), T.Axis(nnz, ncols, 1)))


# ---- foreign calls: the attribute has the rules ---------------------------------------------------------------------

def hook(s: Any, name: str, what: str) -> Any:
    found = getattr(s.attr, name, None)
    if found is None:
        raise UnsupportedError(f"{s.attr!r} has no {what} that can be written to a tape; give ad.primitive a rule")
    return found


def call_tangent(b: Any, s: Any) -> int:
    return hook(s, "emit_tangent", "tangent (jvp)")(b, s)


def call_adjoint(r: Any, s: Any) -> None:
    hook(s, "emit_adjoint", "adjoint (vjp)")(r, s)


def call_batch(b: Any, s: Any) -> int:
    found = getattr(s.attr, "emit_batch", None) or getattr(getattr(s.attr, "rule", None), "emit_batch", None)
    return lane_by_lane(b, s) if found is None else found(b, s)


# ---- batch ----------------------------------------------------------------------------------------------------------

def lanes_aval(b: Any, s: Any) -> int:
    dtype, shape = T.aval_of(s.aval)
    return T.aval(dtype, (s.k, *shape))


def same_on_lanes(b: Any, s: Any) -> int:
    """What treats every element alike, wherever it stands."""
    return b.emit(s.name, s.x, lanes_aval(b, s), s.attr)


def element_batch(b: Any, s: Any) -> int:
    n = b.size(s.x[0]) // s.k
    return b.emit("move", s.x, lanes_aval(b, s), T.Map.view(n * s.k, (s.k,), s.attr, (n,)))


def map_batch(b: Any, s: Any) -> int:
    return b.emit(s.name, s.x, lanes_aval(b, s), with_lanes(s.attr, s.k))


def write_batch(b: Any, s: Any) -> int:
    return b.emit("write", (b.lanes(s, 0), s.x[1]), lanes_aval(b, s), with_lanes(s.attr, s.k, s.batched[1]))


def assemble_batch(b: Any, s: Any) -> int:
    maps, accumulate, covers, fill, fill_dtype = s.attr.fields()
    wide = [with_lanes(m, s.k, own) for m, own in zip(maps, s.batched, strict=True)]
    return b.emit("assemble", s.x, lanes_aval(b, s), T.Assemble(wide, accumulate, covers, fill, fill_dtype))


def stack_batch(b: Any, s: Any) -> int:
    """Scalars have become vectors: packed side by side, then moved (or added) to their places."""
    at, first, k = stack_positions(s.attr), int(s.attr.has_base), s.k
    dtype, shape = T.aval_of(s.aval)
    size, aval = math.prod(shape), lanes_aval(b, s)
    keep = list(range(len(at)))
    if not s.attr.accumulate:            # one writer a place: the last one
        keep = sorted({p: j for j, p in enumerate(at.tolist())}.values())
    n, at = len(keep), at[keep]
    scalars = [(s.x[first + j], 1 if s.batched[first + j] else 0) for j in keep]
    maps = [T.Map(k if step else 1, k * n, (((k,), 0, (step,), j, (n,)),), None, None, n == 1, bool(step), True)
            for j, (_, step) in enumerate(scalars)]
    packed = b.emit("assemble", [x for x, _ in scalars], T.aval(dtype, (k, n)), T.Assemble(maps, covers=True))
    places = with_lanes(T.Map.table(n, size, None, at), k)
    if not first:
        return b.emit("move", (packed,), aval, places)
    base = b.lanes(s, 0)
    if not s.attr.accumulate:
        return b.emit("write", (base, packed), aval, places)
    return b.emit("assemble", (base, packed), aval, T.Assemble((identity_map(size * k), places), accumulate=True))


def lane_starts(b: Any, s: Any, shape: tuple[int, ...], n: int) -> int:
    """int64 array (k, *shape): lane times n."""
    starts = b.const(np.arange(s.k, dtype=np.int64) * n, I64)
    strides = (1,) + (0,) * len(shape)
    return b.emit("move", (starts,), T.aval(I64, (s.k, *shape)), T.Map.view(s.k, (s.k, *shape), 0, strides))


def lane_index(b: Any, s: Any, j: int, n: int) -> int:
    """Operand j, flat indices into n elements, as flat indices into k lanes of n elements."""
    index = b.lanes(s, j)
    return b.elementwise_("add", index, lane_starts(b, s, b.shape(index)[1:], n))


def take_batch(b: Any, s: Any) -> int:
    if not s.batched[0]:
        return same_on_lanes(b, s)
    n = b.size(s.x[0]) // s.k
    return b.emit("take", (s.x[0], lane_index(b, s, 1, n)), lanes_aval(b, s))


def addat_batch(b: Any, s: Any) -> int:
    n = math.prod(T.aval_of(s.aval)[1])
    return b.emit("addat", (lane_index(b, s, 0, n), b.beside(s, 1, 0)), lanes_aval(b, s))


def put_batch(b: Any, s: Any) -> int:
    n = math.prod(T.aval_of(s.aval)[1])
    return b.emit("put", (b.lanes(s, 0), lane_index(b, s, 1, n), b.beside(s, 2, 1)), lanes_aval(b, s))


def lastwriter_batch(b: Any, s: Any) -> int:
    n, = s.attr.fields()
    return b.emit("lastwriter", (lane_index(b, s, 0, n),), lanes_aval(b, s), T.Number(n * s.k))


def flatnonzero_batch(b: Any, s: Any) -> int:
    """The recorded count is guarded in every lane, so the positions of all lanes stand lane after lane."""
    aval, shape = lanes_aval(b, s), T.aval_of(s.aval)[1]
    everywhere = b.emit("flatnonzero", s.x, aval)
    return b.elementwise_("subtract", everywhere, lane_starts(b, s, shape, b.size(s.x[0]) // s.k))


def axis_batch(b: Any, s: Any) -> int:
    outer, n, inner, backwards = s.attr.fields()
    return b.emit(s.name, s.x, lanes_aval(b, s), T.Axis(outer * s.k, n, inner, backwards))


def searchsorted_batch(b: Any, s: Any) -> int:
    return lane_by_lane(b, s) if s.batched[0] else same_on_lanes(b, s)


def matmul_batch(b: Any, s: Any) -> int:
    """One product where a shared matrix meets vectors of all lanes, else a longer batch."""
    batches, m, k, n, astep, bstep, ta, tb = s.attr.fields()
    product, aval = type(s.attr), lanes_aval(b, s)
    if batches == 1 and n == 1 and not s.batched[0]:
        return b.emit("matmul", (s.x[1], s.x[0]), aval, product(1, s.k, k, m, 0, 0, False, not ta))
    if batches == 1 and not s.batched[1] and not (ta and m > 1):
        return b.emit("matmul", s.x, aval, product(1, s.k * m, k, n, 0, 0, False, tb))
    x, steps = list(s.x), [astep, bstep]
    for j, size in enumerate((m * k, k * n)):
        if batches == 1:
            steps[j] = size if s.batched[j] else 0
        elif s.batched[j] and steps[j] == 0:         # shared within each lane
            every = T.Map.view(s.k * size, (s.k, batches, size), 0, (size, 0, 1))
            x[j] = b.emit("move", (x[j],), T.aval(b.dtype(x[j]), (s.k, batches, size)), every)
            steps[j] = size
        elif not s.batched[j] and steps[j] != 0:
            x[j] = b.lanes(s, j)
    return b.emit("matmul", x, aval, product(batches * s.k, m, k, n, steps[0], steps[1], ta, tb))


def spmm_batch(b: Any, s: Any) -> int:
    """Lanes of x become columns of one product."""
    if s.batched[0]:
        return lane_by_lane(b, s)
    nrow, ncol, ncols, _, _, transpose = s.attr.fields()
    rows, out = (nrow, ncol) if transpose else (ncol, nrow)
    x = b.emit("move", (s.x[1],), T.aval(b.dtype(s.x[1]), (rows, s.k, ncols)),
               T.Map.view(s.k * rows * ncols, (rows, s.k, ncols), 0, (ncols, rows * ncols, 1)))
    y = b.emit("spmm", (s.x[0], x), T.aval(b.dtype(x), (out, s.k, ncols)), csr(s.attr, s.k * ncols))
    back = T.Map.view(s.k * out * ncols, (s.k, out, ncols), 0, (ncols, s.k * ncols, 1))
    return b.emit("move", (y,), lanes_aval(b, s), back)


def lane_by_lane(b: Any, s: Any) -> int:
    """Repeat the instruction for each lane: for what has no wider form."""
    b.looped.add(getattr(s.attr, "name", s.name) if s.name == "call" else s.name)
    results = [b.emit(s.name, [b.one_lane(s, j, lane) for j in range(len(s.x))], s.aval, s.attr)
               for lane in range(s.k)]
    return b.fit(concatenated(b, results), lanes_aval(b, s))


RULES: dict[str, Rule] = {
    "element": Rule(element_tangent, element_adjoint, element_batch),     # _transform.pyx does the first two itself
    "reshape": Rule(same_on_tangent, identity_adjoint, same_on_lanes),
    "stop": Rule(None, None, same_on_lanes),
    "cast": Rule(identity_tangent, identity_adjoint, same_on_lanes),      # active only from float64 to float64
    "move": Rule(move_tangent, move_adjoint, map_batch),
    "erase": Rule(same_on_tangent, erase_adjoint, map_batch),
    "write": Rule(write_tangent, write_adjoint, write_batch),
    "assemble": Rule(assemble_tangent, assemble_adjoint, assemble_batch),
    "stack": Rule(stack_tangent, stack_adjoint, stack_batch),
    "take": Rule(take_tangent, take_adjoint, take_batch),
    "addat": Rule(addat_tangent, addat_adjoint, addat_batch),
    "put": Rule(put_tangent, put_adjoint, put_batch),
    "wrap": Rule(None, None, same_on_lanes),
    "lastwriter": Rule(None, None, lastwriter_batch),
    "flatnonzero": Rule(None, None, flatnonzero_batch),
    "sum": Rule(same_on_tangent, sum_adjoint, axis_batch),
    "maxr": Rule(extremum_tangent, extremum_adjoint, axis_batch),
    "minr": Rule(extremum_tangent, extremum_adjoint, axis_batch),
    "any": Rule(None, None, axis_batch),
    "all": Rule(None, None, axis_batch),
    "argmax": Rule(None, None, axis_batch),
    "argmin": Rule(None, None, axis_batch),
    "cumsum": Rule(same_on_tangent, cumsum_adjoint, axis_batch),
    "argsort": Rule(None, None, axis_batch),
    "searchsorted": Rule(None, None, searchsorted_batch),
    "matmul": Rule(product_tangent, matmul_adjoint, matmul_batch),
    "spmm": Rule(product_tangent, spmm_adjoint, spmm_batch),
    "call": Rule(call_tangent, call_adjoint, call_batch),
    "lapack": Rule(linear_rules.tangent, linear_rules.adjoint, linear_rules.batch),
}
