"""What each primitive asks of its operands, its attribute and its result, so that its kernel stays within memory.

Owns: one rule a structural primitive, one for all elementwise ones, and the checks of attributes: every position of a
map lies within both sides, and what the map claims (covers, injective) is so.
Must not know: where instructions stand (verify.py).  The kernels that rely on this: _kernels/structural.h, move.h.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastad import _tape as T

F64, I64, BOOL, F32 = range(4)
MAX_SIZE = 1 << 40                           # elements of an array: beyond any memory
MAX_LISTED = 1 << 28                         # positions that are enumerated to judge a claim
MAX_EMPTY = 1 << 31                          # turns of a loop that moves nothing


class Fault(Exception):
    """What is wrong, for verify.check to put into its message."""


def need(holds: Any, text: str) -> None:
    if not holds:
        raise Fault(text)


class Aval(NamedTuple):
    """Abstract value: dtype code, shape, number of elements."""

    dtype: int
    shape: tuple[int, ...]
    size: int


# ---- elementwise -----------------------------------------------------------------------------------------------------

def elementwise(row: Any, y: Aval, xs: Sequence[Aval]) -> None:
    """Operands of one dtype that has a loop, each of rank 0 or as large as the result."""
    need(len(xs) == row.arity, f"{len(xs)} operands instead of {row.arity}")
    if row.rule == "select":
        need(xs[0].dtype == BOOL, "the condition is not boolean")
    dtype = xs[-1].dtype
    need(all(x.dtype == dtype for x in xs[row.rule == "select":]), "operands of different dtypes")
    has_loop = "fibf"[dtype] in row.dtypes and (dtype != F32 or T.row_takes(row.name, F32))
    need(has_loop, f"no loop for {T.DTYPE_NAMES[dtype]}")
    need(y.dtype == (BOOL if row.result == "bool" else dtype), "dtype of the result")
    for x in xs:
        need(not x.shape or (y.shape and x.size == y.size), f"operand of shape {x.shape} for result {y.shape}")


# ---- structural ------------------------------------------------------------------------------------------------------

def kind(attr: Any, *expected: str) -> Any:
    """The fields of an attribute that must be of this kind, or of one of these."""
    need(attr is not None and attr.kind in expected, f"attribute is not of kind {' or '.join(expected)}")
    return attr.fields()


def alike(y: Aval, x: Aval) -> None:
    need(y.dtype == x.dtype and y.size == x.size, f"{x} does not become {y}")


def counted(xs: Sequence[Aval], n: int) -> Sequence[Aval]:
    need(len(xs) == n, f"{len(xs)} operands instead of {n}")
    return xs


def element(y: Aval, xs: Sequence[Aval], attr: Any) -> None:
    need(y.dtype == xs[0].dtype and not y.shape, "an element is a scalar of the same dtype")


def same_data(y: Aval, xs: Sequence[Aval], attr: Any) -> None:
    alike(y, xs[0])


def cast(y: Aval, xs: Sequence[Aval], attr: Any) -> None:
    need(y.size == xs[0].size, "size changes")


def fits(fill: Any, fill_dtype: int, dtype: int) -> None:
    zero = fill == 0 and math.copysign(1.0, fill) > 0
    need(zero or fill_dtype == dtype, "the fill has another dtype than the array")


def move(y: Aval, xs: Sequence[Aval], attr: Any) -> None:
    nsrc, ndst, *_, fill, fill_dtype = kind(attr, "map")
    need(y.dtype == xs[0].dtype and nsrc == xs[0].size and ndst == y.size, "the map has other sizes")
    fits(fill, fill_dtype, y.dtype)


def erase(y: Aval, xs: Sequence[Aval], attr: Any) -> None:
    kind(attr, "map")
    alike(y, xs[0])
    need(attr.sizes[1] == y.size, "the map has other sizes")


def write(y: Aval, xs: Sequence[Aval], attr: Any) -> None:
    old, value = counted(xs, 2)
    kind(attr, "map")
    alike(y, old)
    need(attr.sizes == (value.size, y.size) and value.dtype == y.dtype, "the map has other sizes or dtypes")


def assemble(y: Aval, xs: Sequence[Aval], attr: Any) -> None:
    maps, _, _, fill, fill_dtype = kind(attr, "assemble")
    counted(xs, len(maps))
    for x, m in zip(xs, maps, strict=True):
        need(m.sizes == (x.size, y.size) and x.dtype == y.dtype, "a map has other sizes or dtypes")
    fits(fill, fill_dtype, y.dtype)


def stack(y: Aval, xs: Sequence[Aval], attr: Any) -> None:
    n, positions, has_base, _ = kind(attr, "stack")
    counted(xs, n + has_base)
    if has_base:
        alike(y, xs[0])
    need(all(not x.shape and x.dtype == y.dtype for x in xs[has_base:]), "what is stacked are scalars of one dtype")
    if positions is None:
        need(n <= y.size, "more scalars than elements")
    else:
        need(len(positions) == n and within(positions, y.size), "positions outside of the array")


def take(y: Aval, xs: Sequence[Aval], attr: Any) -> None:
    x, index = xs
    need(index.dtype == I64 and y.dtype == x.dtype and y.size == index.size, "index or result do not fit")


def addat(y: Aval, xs: Sequence[Aval], attr: Any) -> None:
    indexed(y, *xs)


def put(y: Aval, xs: Sequence[Aval], attr: Any) -> None:
    old, index, value = counted(xs, 3)
    alike(y, old)
    indexed(y, index, value)


def indexed(y: Aval, index: Aval, value: Aval) -> None:
    need(index.dtype == I64 and value.dtype == y.dtype, "dtypes of index or value")
    need(not value.shape or value.size == index.size, "as many values as indices")


def wrap(y: Aval, xs: Sequence[Aval], attr: Any) -> None:
    need(kind(attr, "number")[0] >= 0 and xs[0].dtype == I64, "length or index")
    alike(y, xs[0])


def lastwriter(y: Aval, xs: Sequence[Aval], attr: Any) -> None:
    need(0 <= kind(attr, "number")[0] <= MAX_SIZE, "length")
    need(xs[0].dtype == I64 and y.dtype == BOOL and y.size == xs[0].size, "dtypes or sizes")


def flatnonzero(y: Aval, xs: Sequence[Aval], attr: Any) -> None:
    need(y.dtype == I64, "positions are int64")


def reduction(result: str, empty: bool) -> Callable[[Aval, Sequence[Aval], Any], None]:
    """A reduction along an axis; `empty`: it has a value when there is nothing to reduce."""
    def rule(y: Aval, xs: Sequence[Aval], attr: Any) -> None:
        outer, n, inner, _ = kind(attr, "axis")
        x = xs[0]
        want = {"same": x.dtype, "sum": I64 if x.dtype == BOOL else x.dtype, "bool": BOOL, "index": I64}[result]
        need(outer * n * inner == x.size and outer * inner == y.size, "the axis does not fit")
        need(y.dtype == want, f"the result is {T.DTYPE_NAMES[want]}")
        need(empty or n or not y.size, "nothing to reduce")
    return rule


def along(result: str) -> Callable[[Aval, Sequence[Aval], Any], None]:
    """An operation along an axis that keeps the shape."""
    def rule(y: Aval, xs: Sequence[Aval], attr: Any) -> None:
        outer, n, inner, _ = kind(attr, "axis")
        want = I64 if result == "index" or xs[0].dtype == BOOL else xs[0].dtype
        need(outer * n * inner == xs[0].size == y.size and y.dtype == want, "the axis or the dtype does not fit")
    return rule


def searchsorted(y: Aval, xs: Sequence[Aval], attr: Any) -> None:
    a, v = counted(xs, 2)
    need(kind(attr, "number")[0] in (0, 1), "side")
    need(a.dtype == v.dtype and y.dtype == I64 and y.size == v.size, "dtypes or sizes")


def matmul(y: Aval, xs: Sequence[Aval], attr: Any) -> None:
    a, b = counted(xs, 2)
    batch, m, k, n, abatch, bbatch, _, _ = kind(attr, "matmul", "adjoint matmul")
    need(min(batch, m, k, n, abatch, bbatch) >= 0 and batch * m * n == y.size, "sizes of the product")
    need(max(m, k, n, batch) < MAX_EMPTY, "a matrix that BLAS cannot address")
    if batch:
        need((batch - 1) * abatch + m * k <= a.size and (batch - 1) * bbatch + k * n <= b.size, "sizes of operands")
    need(y.dtype == a.dtype == b.dtype, "operands of different dtypes")


def spmm(y: Aval, xs: Sequence[Aval], attr: Any) -> None:
    data, x = counted(xs, 2)
    nrow, ncol, ncols, _, indices, transpose = kind(attr, "csr")
    rows, cols = (ncol, nrow) if transpose else (nrow, ncol)
    need(y.dtype == x.dtype == data.dtype in T.REAL, "sparse products are of real numbers")
    need(data.size == len(indices) and x.size == cols * ncols and y.size == rows * ncols, "sizes of the product")


def lapack(y: Aval, xs: Sequence[Aval], attr: Any) -> None:
    name, batch, m, n, k, form, shared = kind(attr, "lapack")
    kinds = T.LAPACK[name][0]
    need(min(batch, m, n, k, form, shared) >= 0 and max(m, n, k) < 2**30, "sizes of matrices")
    need(len(xs) == len(kinds) and shared < 2 ** len(kinds), "operands of a routine")
    if name in T.LAPACK_BANDED:
        band(name, m, form)
    else:
        need(form < T.LAPACK_FORMS["symmetric"], "flags of a routine")
    need(y.size == math.prod(attr.result()) and y.dtype == (I64 if name in T.LAPACK_INTEGERS else F64),
         "the result of a routine")
    for x, letters, shape in zip(xs, kinds, attr.shapes(), strict=True):
        need(x.size == math.prod(shape), "sizes of the operands of a routine")
        need(x.dtype == (I64 if letters in T.LAPACK_FACTORS else F64), "dtypes of the operands of a routine")


def band(name: str, m: int, form: int) -> None:
    """The diagonals that a routine of band matrices reads are there."""
    half, lower = bool(form & T.LAPACK_FORMS["symmetric"]), form // T.LAPACK_BAND
    need(lower < m < 2**29 and form < 2**31 and (not half or lower in (0, m - 1)), "diagonals of a band")
    need(half == (name in ("tripos", "bandchol", "bandpos")) or name in ("trifails", "bandmul", "bandouter"),
         "half a band")
    need(name[:3] != "tri" or (m == 2 if half else m == 3 and lower == 1), "a tridiagonal matrix")


def guard(y: Aval, xs: Sequence[Aval], attr: Any) -> None:
    need(not xs[0].shape and not y.shape and y.dtype == xs[0].dtype, "only scalars are guarded")


RULES: dict[str, Callable[[Aval, Sequence[Aval], Any], None]] = {
    "element": element, "reshape": same_data, "stop": same_data, "cast": cast, "move": move, "erase": erase,
    "write": write, "assemble": assemble, "stack": stack, "take": take, "addat": addat, "put": put, "wrap": wrap,
    "lastwriter": lastwriter, "flatnonzero": flatnonzero, "sum": reduction("sum", True),
    "maxr": reduction("same", False), "minr": reduction("same", False), "any": reduction("bool", True),
    "all": reduction("bool", True), "argmax": reduction("index", False), "argmin": reduction("index", False),
    "cumsum": along("same"), "argsort": along("index"), "searchsorted": searchsorted, "matmul": matmul, "spmm": spmm,
    "lapack": lapack,
    "guard": guard,
}


# ---- attributes ------------------------------------------------------------------------------------------------------

def call(y: Aval, xs: Sequence[Aval], attr: Any, calls: bool) -> None:
    """A library routine or a loop has the sizes that it says; foreign code may only be there if no file holds it."""
    known = attr is not None and attr.kind in ("library", "scan")
    need(calls or known, "foreign code cannot come from a file")
    need(attr is not None and (known or attr.kind == "call"), "attribute is not of kind call")
    if known:
        operands, result = attr.fields()[1:] if attr.kind == "library" else (attr.avals, attr.aval())
        avals = [T.aval_of(a) for a in (*operands, result)]
        sizes = [math.prod(shape) for _, shape in avals]
        need([x.size for x in (*xs, y)] == sizes, "operands of other sizes than the routine takes")
        need([x.dtype for x in (*xs, y)] == [dtype for dtype, _ in avals], "operands of other dtypes than it takes")


def check_attr(attr: Any, calls: bool = False) -> None:
    """What can be said of an attribute without its instruction."""
    if attr is None:
        return
    checks = {"map": check_map, "assemble": check_assemble, "csr": check_csr, "axis": check_axis}
    known = attr.kind in ("library", "scan") or attr.kind in T.ATTR_KINDS
    need(known or calls, f"unknown kind of attribute {attr.kind!r}")
    if attr.kind in checks:
        checks[attr.kind](attr)


def check_axis(attr: Any) -> None:
    outer, n, inner, _ = attr.fields()
    need(min(outer, n, inner) >= 0 and max(outer, 1) * max(n, 1) * max(inner, 1) <= MAX_SIZE, "axis out of range")
    need(outer * n * inner or max(outer, n, inner) < MAX_EMPTY, "axis of nothing")


def check_csr(attr: Any) -> None:
    nrow, ncol, ncols, indptr, indices, _ = attr.fields()
    need(all(0 <= v <= MAX_SIZE for v in (nrow, ncol, ncols)), "sizes of a sparse matrix")
    need(indptr.ndim == indices.ndim == 1 and len(indptr) == nrow + 1, "row pointers of a sparse matrix")
    need(indptr[0] == 0 and indptr[-1] == len(indices) and not np.any(np.diff(indptr) < 0), "row pointers")
    need(within(indices, ncol), "column of a sparse matrix out of range")


def check_assemble(attr: Any) -> None:
    maps, _, covers, _, fill_dtype = attr.fields()
    need(fill_dtype in range(len(T.DTYPES)), "dtype of the fill")
    for m in maps:
        check_map(m)
    if covers:
        need(maps, "nothing covers the result")
        ndst = maps[0].sizes[1]
        need(all(m.sizes[1] == ndst for m in maps), "maps into arrays of different sizes")
        need(marked([side for m in maps for side in sides(m)[1]], ndst)[0], "the maps do not cover the result")


def check_map(attr: Any) -> None:
    """Every position within both sides; covers and injective as claimed."""
    nsrc, ndst, pieces, src, dst, covers, src_injective, dst_injective, _, fill_dtype = attr.fields()
    need(0 <= nsrc <= MAX_SIZE and 0 <= ndst <= MAX_SIZE and fill_dtype in range(len(T.DTYPES)), "sizes of a map")
    if pieces is None:
        need(src is not None or dst is not None, "a table without sides")
        n = len(src if src is not None else dst)
        for side, limit in ((src, nsrc), (dst, ndst)):
            need((side is None and n <= limit) or (side is not None and len(side) == n and within(side, limit)),
                 "position of a map out of range")
    for shape, soff, sstr, doff, dstr in pieces or ():
        need(len(shape) == len(sstr) == len(dstr) <= 64 and all(extent >= 0 for extent in shape), "piece of a map")
        need(math.prod(shape) <= 1024 * (nsrc + ndst + 1), "a piece that repeats itself too often")
        need(affine_within(shape, soff, sstr, nsrc) and affine_within(shape, doff, dstr, ndst),
             "position of a map out of range")
    from_, to = sides(attr)
    if src_injective:
        need(injective(from_, nsrc), "a map uses a source element twice, against what it claims")
    if dst_injective:
        need(injective(to, ndst), "a map reaches an element twice, against what it claims")
    if covers:
        all_of_it = dst_injective and sum(math.prod(np.shape(s) if p is None else p[0]) for s, p in to) == ndst
        need(all_of_it or marked(to, ndst)[0], "a map does not cover its destination, against what it claims")


def within(positions: np.ndarray, n: int) -> bool:
    return not len(positions) or (int(positions.min()) >= 0 and int(positions.max()) < n)


def affine_within(shape: tuple[int, ...], offset: int, strides: tuple[int, ...], n: int) -> bool:
    """Do all positions offset + j . strides lie in 0 ... n - 1?  In whole numbers of any length: nothing overflows."""
    if 0 in shape:
        return True
    reach = [stride * (extent - 1) for stride, extent in zip(strides, shape, strict=True)]
    return offset + sum(r for r in reach if r < 0) >= 0 and offset + sum(r for r in reach if r > 0) < n


# A side of a map is a list of (positions, None) and (None, (shape, offset, strides)).
Side = list[tuple[Any, Any]]


def sides(m: Any) -> tuple[Side, Side]:
    """Source and destination positions of a map whose bounds have been checked."""
    _, _, pieces, src, dst, *_ = m.fields()
    if pieces is not None:
        return ([(None, (p[0], p[1], p[2])) for p in pieces if 0 not in p[0]],
                [(None, (p[0], p[3], p[4])) for p in pieces if 0 not in p[0]])
    n = len(src if src is not None else dst)
    every = [(None, ((n,), 0, (1,)))] if n else []
    return ([(src, None)] if src is not None else every, [(dst, None)] if dst is not None else every)


def injective(side: Side, n: int) -> bool:
    if not side or (len(side) == 1 and side[0][1] is not None and T.distinct(side[0][1][0], side[0][1][2])):
        return True
    return marked(side, n)[1]


def marked(side: Side, n: int) -> tuple[bool, bool]:
    """(are all of 0 ... n - 1 named?, is none named twice?), by marking them."""
    total = sum(len(table) if table is not None else math.prod(piece[0]) for table, piece in side)
    need(max(n, total) <= MAX_LISTED, "a map that is too large to be checked")
    mark = np.zeros(n, dtype=bool)
    for table, piece in side:
        if table is not None:
            mark[table] = True
        else:
            shape, offset, strides = piece
            np.lib.stride_tricks.as_strided(mark[offset:], shape, strides)[...] = True
    count = int(np.count_nonzero(mark))
    return count == n, count == total
