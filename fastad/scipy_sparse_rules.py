"""scipy_sparse_rules.py - systems of equations with sparse matrices, and what their derivatives are made of.

Owns: three library routines over the entries of a sparse matrix: the solution of A x = b by SuperLU, the product A x,
and the entries of an outer product.  The derivatives of each are made of the other two and itself, so that those of any
order exist, and no full matrix arises.  The factors of a matrix are kept while they are used.
Must not know: which class of SciPy a matrix has (scipy_sparse.py), which function asked (scipy_sparse_solvers.py).
Convention: <u, v> = Re(sum(conj(u) v)), so that the transpose of A is its conjugate transpose, "H".
Source: M. Giles, Collected matrix derivative results for forward and reverse mode AD (2008), 2.3.1.
"""
from __future__ import annotations

import threading
import warnings
from abc import ABC, abstractmethod
from collections import OrderedDict
from typing import Any

import numpy as np

from fastad import _tape as T

KEPT, MOST_BYTES = 32, 256 << 20         # patterns, factors, and bytes of factors that are kept
_patterns: OrderedDict[Any, Pattern] = OrderedDict()
_factors: OrderedDict[Any, Any] = OrderedDict()
_lock = threading.RLock()
np_empty, np_bincount, np_array = np.empty, np.bincount, np.array


class Pattern:
    """Where the entries of a square or rectangular matrix are: sorted by rows, each place once.

    Two patterns with the same places are the same object (as long as it is among the last ones used).
    """

    def __init__(self, shape: tuple[int, int], indptr: Any, indices: Any) -> None:
        self.shape = shape
        self.indptr, self.columns = indptr, indices
        self.rows = np.repeat(np.arange(shape[0]), np.diff(indptr))
        self.by_columns = np.argsort(indices, kind="stable")       # entries in the order of CSC
        self.starts = np.concatenate(([0], np.cumsum(np_bincount(indices, minlength=shape[1]))))

    # -- matrices

    def csr(self, entries: Any) -> Any:
        from scipy.sparse import csr_array
        return csr_array((entries, self.columns, self.indptr), shape=self.shape)

    def csc(self, entries: Any) -> Any:
        from scipy.sparse import csc_array
        return csc_array((entries[self.by_columns], self.rows[self.by_columns], self.starts), shape=self.shape)

    def factor(self, entries: Any, options: tuple[tuple[str, Any], ...]) -> Any:
        """SuperLU's factors of the matrix with these entries; RuntimeError if it is singular."""
        from scipy.sparse.linalg import splu
        key = (self, entries.tobytes(), options)
        with _lock:
            found = _factors.get(key)
            if found is not None:
                _factors.move_to_end(key)
                return found
        found = splu(self.csc(entries), **dict(options))
        with _lock:
            _factors[key] = found
            while len(_factors) > KEPT or (len(_factors) > 1 and sum(map(bytes_of, _factors.values())) > MOST_BYTES):
                _factors.popitem(last=False)
        return found


def bytes_of(factors: Any) -> int:
    """Memory of SuperLU's factors, about: a number and a row for each element, twice in the making."""
    return 24 * int(factors.nnz)


def pattern(shape: tuple[int, int], indptr: Any, indices: Any) -> Pattern:
    """The pattern of a matrix in canonical CSR form."""
    key = (shape, indptr.tobytes(), indices.tobytes())
    with _lock:
        found = _patterns.get(key)
        if found is None:
            found = _patterns[key] = Pattern(shape, indptr, indices)
            if len(_patterns) > KEPT:
                _patterns.popitem(last=False)
        else:
            _patterns.move_to_end(key)
        return found


class Routine(ABC):
    """What Library asks of a rule, for a routine of two operands with a result.

    Operands are float64: entries (nnz,), vectors (n, columns); of complex numbers (`pairs`) with a last axis of 2, and
    for a batch with a first axis of `lanes`.
    """

    kind = ""

    def __init__(self, where: Pattern, columns: int, pairs: bool, flip: bool = False, lanes: int = 0,
                 options: tuple[tuple[str, Any], ...] = ()) -> None:
        self.where, self.columns, self.pairs, self.flip, self.lanes = where, columns, pairs, flip, lanes
        self.options = options
        self.key = (self.kind, where, columns, pairs, flip, lanes, options)
        self.name = self.kind

    # -- shapes

    def entries_shape(self) -> tuple[int, ...]:
        return self.shaped((len(self.where.columns),))

    def vectors_shape(self, of_rows: bool) -> tuple[int, ...]:
        return self.shaped((self.where.shape[0 if of_rows else 1], self.columns))

    def shaped(self, core: tuple[int, ...]) -> tuple[int, ...]:
        return (self.lanes,) * bool(self.lanes) + core + (2,) * self.pairs

    @abstractmethod
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of the operands and of the result."""

    # -- in sweeps

    @abstractmethod
    def one(self, first: Any, second: Any) -> Any:
        """The result of one lane, of real or complex arrays."""

    @abstractmethod
    def tangent(self, first: Any, second: Any, d_first: Any, d_second: Any) -> Any:
        """The tangent of that result; None: an operand has none."""

    @abstractmethod
    def bar(self, k: int, w: Any, first: Any, second: Any) -> Any:
        """The adjoint of operand k from that of the result."""

    def numbers(self, x: Any) -> Any:
        """Memory as real or complex numbers, one lane after the other."""
        x = np.ascontiguousarray(x)
        if self.pairs:
            x = x.view(np.complex128)[..., 0]
        return x if self.lanes else x[None]

    def each(self, out: Any, lane: Any) -> None:
        """out = lane(k) for each lane."""
        result = self.numbers(out)
        for k in range(max(self.lanes, 1)):
            result[k] = lane(k)

    def run(self, xs: Any, out: Any) -> None:
        first, second = map(self.numbers, xs)
        self.each(out, lambda k: self.one(first[k], second[k]))

    def run_tangent(self, tangents: Any, xs: Any, out: Any) -> None:
        first, second = map(self.numbers, xs)
        moved = [None if v is None else self.numbers(v) for v in tangents]
        self.each(out, lambda k: self.tangent(first[k], second[k], *[None if v is None else v[k] for v in moved]))

    def adjoint(self, k: int, w: Any, xs: Any) -> Any:
        first, second, w = self.numbers(xs[0]), self.numbers(xs[1]), self.numbers(w)
        out = np_empty(xs[k].shape)
        self.each(out, lambda i: self.bar(k, w[i], first[i], second[i]))
        return out

    # -- in recordings and derivative tapes

    def other(self, kind: type[Routine], flip: bool = False) -> Routine:
        return kind(self.where, self.columns, self.pairs, flip, self.lanes, self.options)

    def attribute(self) -> tuple[Any, int]:
        avals = [T.aval(0, shape) for shape in self.shapes()]
        return T.Library(self, avals[:2], avals[2]), avals[2]

    def record(self, first: Any, second: Any) -> Any:
        """The result for arrays of which one at least is traced."""
        return T.structural("call", (first, second), self.attribute()[0], self.shapes()[2], 0, (0, 0))

    def emit(self, b: Any, first: int, second: int) -> int:
        attr, aval = self.attribute()
        return b.emit("call", (first, second), aval, attr)

    def emit_batch(self, b: Any, s: Any) -> int:
        return type(self)(self.where, self.columns, self.pairs, self.flip, s.k, self.options).emit(
            b, b.lanes(s, 0), b.lanes(s, 1)) if not self.lanes else self.deeper(b, s)

    def deeper(self, b: Any, s: Any) -> int:
        """A batch of a batch: one with lanes for each pair."""
        rule = type(self)(self.where, self.columns, self.pairs, self.flip, s.k * self.lanes, self.options)
        dtype, shape = T.aval_of(s.aval)
        operands = [b.fit(b.lanes(s, j), T.aval(0, rule.shapes()[j])) for j in (0, 1)]
        return b.fit(rule.emit(b, *operands), T.aval(dtype, (s.k, *shape)))


def total(b: Any, *values: int) -> int:
    """The sum of what is not 0."""
    y = 0
    for v in values:
        y = b.plus_(y, v)
    return y


class Product(Routine):
    """(entries, x) -> A x; flip: A^H x."""

    kind = "sparse_product"

    def shapes(self) -> tuple[tuple[int, ...], ...]:
        return self.entries_shape(), self.vectors_shape(self.flip), self.vectors_shape(not self.flip)

    def one(self, first: Any, second: Any) -> Any:
        return self.where.csr(first).T.conj() @ second if self.flip else self.where.csr(first) @ second

    def tangent(self, first: Any, second: Any, d_first: Any, d_second: Any) -> Any:
        y = 0.0 if d_first is None else self.one(d_first, second)
        return y if d_second is None else y + self.one(first, d_second)

    def bar(self, k: int, w: Any, first: Any, second: Any) -> Any:
        if k == 1:
            return self.other(Product, not self.flip).one(first, w)
        return self.other(Outer).one(*((second, w) if self.flip else (w, second)))

    def emit_tangent(self, b: Any, s: Any) -> int:
        return total(b, self.emit(b, s.dx[0], s.x[1]) if s.dx[0] else 0,
                     self.emit(b, s.x[0], s.dx[1]) if s.dx[1] else 0)

    def emit_adjoint(self, r: Any, s: Any) -> None:
        if s.active[0]:
            r.give(0, self.other(Outer).emit(r.b, *((s.x[1], s.w) if self.flip else (s.w, s.x[1]))))
        if s.active[1]:
            r.give(1, self.other(Product, not self.flip).emit(r.b, s.x[0], s.w))


class Outer(Routine):
    """(u, v) -> the entries of u v^H."""

    kind = "sparse_outer"

    def shapes(self) -> tuple[tuple[int, ...], ...]:
        return self.vectors_shape(True), self.vectors_shape(False), self.entries_shape()

    def one(self, first: Any, second: Any) -> Any:
        u, v = first[self.where.rows], second[self.where.columns]
        return np.einsum("ek,ek->e", u, v.conj())

    def tangent(self, first: Any, second: Any, d_first: Any, d_second: Any) -> Any:
        y = 0.0 if d_first is None else self.one(d_first, second)
        return y if d_second is None else y + self.one(first, d_second)

    def bar(self, k: int, w: Any, first: Any, second: Any) -> Any:
        return self.other(Product, k == 1).one(w, first if k else second)

    def emit_tangent(self, b: Any, s: Any) -> int:
        return total(b, self.emit(b, s.dx[0], s.x[1]) if s.dx[0] else 0,
                     self.emit(b, s.x[0], s.dx[1]) if s.dx[1] else 0)

    def emit_adjoint(self, r: Any, s: Any) -> None:
        for k in (0, 1):
            if s.active[k]:
                r.give(k, self.other(Product, k == 1).emit(r.b, s.w, s.x[1 - k]))


class Solution(Routine):
    """(entries, b) -> A^-1 b; flip: A^-H b.  A singular matrix gives nan and SciPy's warning, as spsolve does."""

    kind = "sparse_solution"

    def shapes(self) -> tuple[tuple[int, ...], ...]:
        return self.entries_shape(), self.vectors_shape(True), self.vectors_shape(True)

    def one(self, first: Any, second: Any) -> Any:
        try:
            factors = self.where.factor(first, self.options)
        except RuntimeError as error:
            if "singular" not in str(error):
                raise
            from scipy.sparse.linalg import MatrixRankWarning
            warnings.warn("Matrix is exactly singular", MatrixRankWarning, stacklevel=2)
            return np.full_like(second, np.nan)
        return factors.solve(np_array(second, order="F"), trans="H" if self.flip else "N")

    def tangent(self, first: Any, second: Any, d_first: Any, d_second: Any) -> Any:
        rhs = 0.0 if d_second is None else d_second
        if d_first is not None:
            rhs = rhs - self.other(Product, self.flip).one(d_first, self.one(first, second))
        return self.one(first, rhs)

    def bar(self, k: int, w: Any, first: Any, second: Any) -> Any:
        s = self.other(Solution, not self.flip).one(first, w)
        if k == 1:
            return s
        x = self.one(first, second)
        return -self.other(Outer).one(*((x, s) if self.flip else (s, x)))

    def emit_tangent(self, b: Any, s: Any) -> int:
        rhs = s.dx[1]
        if s.dx[0]:
            less = b.elementwise_("negative", self.other(Product, self.flip).emit(b, s.dx[0], s.y))
            rhs = b.plus_(rhs, less) if rhs else less
        return self.emit(b, s.x[0], rhs)

    def emit_adjoint(self, r: Any, s: Any) -> None:
        bar = self.other(Solution, not self.flip).emit(r.b, s.x[0], s.w)
        if s.active[0]:
            entries = self.other(Outer).emit(r.b, *((s.y, bar) if self.flip else (bar, s.y)))
            r.give(0, r.b.elementwise_("negative", entries))
        if s.active[1]:
            r.give(1, bar)
