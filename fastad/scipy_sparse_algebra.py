"""scipy_sparse_algebra.py - sums and products of sparse matrices, as formulas of their entries.

Owns: which entries meet, in operations on two matrices of which one at least has traced entries, and on a matrix and
arrays.  A matrix is what has a shape, a format and (rows, columns, entries); results are such triples.
Must not know: the classes of matrices (scipy_sparse.py).  Next: scipy_sparse_places.py (order, and what is added up).
"""
from __future__ import annotations

from typing import Any

import numpy as np

from fastad import _tape as T
from fastad.complex_values import combined, parts, recordable_complex
from fastad.operands import asarray, live, refusal, shape_of
from fastad.scipy_sparse_places import places

Triple = tuple[Any, Any, Any]


class AsMatrix:
    """What SciPy gives as an np.matrix, whose operators mean other things than those of arrays: the sums of the rows
    of a csr_matrix.  Nothing but a conversion to an array is recorded of it."""

    __array_ufunc__ = None

    def __init__(self, x: Any) -> None:
        self.traced_array = x
        self.shape = shape_of(x)

    traced_array = None

    @property
    def A(self) -> Any:
        return self.traced_array

    @property
    def A1(self) -> Any:
        return np.reshape(self.traced_array, (-1,))

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return func(*[x.traced_array if isinstance(x, AsMatrix) else x for x in args], **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise refusal("scipy.sparse", f"an np.matrix (with .{name}) is not recorded: write np.asarray(A.sum(axis=1)), "
                      "or use csr_array, csc_array ..., whose sums are arrays")


def entries_of(x: Any) -> Triple:
    """(rows, columns, entries) of a sparse matrix, recorded or of constants; the latter are read at each replay."""
    if hasattr(x, "rows_of_entries"):
        return x.rows_of_entries, x.columns_of_entries, x.entries
    traced = has_traced_data(x)
    with T.Undisturbed():
        plain = type(x)((np.arange(len(x.data)), *indices_of(x)), shape=x.shape) if traced else x
        coo = plain.tocoo(copy=False)
        rows, columns = (np.asarray(at, dtype=np.int64) for at in (coo.row, coo.col))
    if traced:
        return rows, columns, x.data[coo.data]
    if coo.data.dtype.kind == "c":
        return rows, columns, combined(*[live(part) for part in parts(coo.data)])
    return rows, columns, live(coo.data)


def has_traced_data(x: Any) -> bool:
    """Is x a matrix of SciPy's whose data has been exchanged for a traced vector?  (A.data = values)"""
    if hasattr(x, "rows_of_entries") or getattr(x, "format", None) not in ("csr", "csc", "coo"):
        return False                         # one of ours, of which some formats have no .data, or no matrix
    return T.is_traced(x.data)


def indices_of(x: Any) -> tuple[Any, ...]:
    """What stands beside the data where such a matrix is made."""
    return ((x.row, x.col),) if x.format == "coo" else (x.indices, x.indptr)


def summed(a: Any) -> Triple:
    """(rows, columns, entries) with each place once, in the order of CSR."""
    rows, columns, entries = entries_of(a)
    found = places(a.shape, rows, columns, False)
    return found.rows, found.columns, found.brought(entries)


def zeros(shape: Any, dtype: Any) -> Any:
    """An array of zeros to be filled with traced numbers."""
    x = np.zeros(shape, dtype)
    return recordable_complex(x) if x.dtype.kind == "c" else T.wrap(x)


def times_vectors(a: Any, x: Any, transposed: bool = False) -> Any:
    """A x, or A^T x, for one vector or for columns."""
    x = asarray(x)
    m, n = a.shape[::-1] if transposed else a.shape
    shape = shape_of(x)
    if len(shape) not in (1, 2) or shape[0] != n:
        raise ValueError(f"matmul: a sparse matrix of shape {(m, n)} times an array of shape {shape}")
    rows, columns, entries = entries_of(a)
    found = places(a.shape, rows, columns, a.format == "csc")
    where = found.pattern
    attr = T.Csr(*where.shape, 1 if len(shape) == 1 else shape[1], where.indptr, where.columns,
                 transposed != (a.format == "csc"))

    def real(entries: Any, x: Any) -> Any:
        if entries is None or x is None:
            return None
        entries, x = live(entries), live(x)
        code = max(T.promote(entries, x), 0)
        return T.structural("spmm", (entries, x), attr, (m, *shape[1:]), code, (code, code))
    (re, im), (x_re, x_im) = parts(found.brought(entries)), parts(x)
    if im is None and x_im is None:
        return real(re, x_re)
    y_re, less, y_im, more = real(re, x_re), real(im, x_im), real(im, x_re), real(re, x_im)
    return combined(y_re if less is None else y_re - less, more if y_im is None else y_im if more is None else
                    y_im + more)


def of_product(a: Any, b: Any) -> Triple:
    """A B of two sparse matrices: an entry of the one for each entry of the other that it meets."""
    if a.shape[1] != b.shape[0]:
        raise ValueError(f"matmul: dimension mismatch: {a.shape} @ {b.shape}")
    (rows, inner, x), (b_rows, b_columns, y) = entries_of(a), entries_of(b)
    with T.Undisturbed():
        order = np.argsort(b_rows, kind="stable")
        starts = np.concatenate(([0], np.cumsum(np.bincount(b_rows, minlength=b.shape[0]))))
        many = np.diff(starts)[inner]
        left = np.repeat(np.arange(len(inner)), many)
        ends = np.cumsum(many)
        right = order[np.arange(len(left)) - np.repeat(ends - many, many) + np.repeat(starts[inner], many)]
    return rows[left], b_columns[right], x[left] * y[right]


def of_sum(a: Any, b: Any, sign: int) -> Triple:
    """A + B, A - B."""
    if a.shape != b.shape:
        raise ValueError(f"inconsistent shapes: {a.shape} and {b.shape}")
    (rows, columns, x), (b_rows, b_columns, y) = entries_of(a), entries_of(b)
    return (np.concatenate((rows, b_rows)), np.concatenate((columns, b_columns)),
            np.concatenate((x, y if sign > 0 else -y)))


def of_both(a: Any, b: Any) -> Triple:
    """The product of two sparse matrices, element by element: entries that both have."""
    (rows, columns, x), (b_rows, b_columns, y) = summed(a), summed(b)
    with T.Undisturbed():
        keys, others = rows * a.shape[1] + columns, b_rows * a.shape[1] + b_columns
        _, left, right = np.intersect1d(keys, others, assume_unique=True, return_indices=True)
    return rows[left], columns[left], x[left] * y[right]


def of_kron(a: Any, b: Any) -> Triple:
    """Kronecker's product: an entry for each pair."""
    (rows, columns, x), (b_rows, b_columns, y) = summed(a), summed(b)
    with T.Undisturbed():
        left, right = np.repeat(np.arange(len(rows)), len(b_rows)), np.tile(np.arange(len(b_rows)), len(rows))
    m, n = b.shape
    return rows[left] * m + b_rows[right], columns[left] * n + b_columns[right], x[left] * y[right]


def at_entries(a: Any, x: Any) -> Any:
    """Of an array that is broadcast to the shape of the matrix, what stands at its entries."""
    x = asarray(x)
    shape = shape_of(x)
    if np.broadcast_shapes(shape, a.shape) != a.shape:
        raise refusal("scipy.sparse", f"a matrix of shape {a.shape} does not grow to fit an array of shape {shape}")
    if not shape:
        return x
    rows, columns, _ = entries_of(a)
    if len(shape) == 1:
        return x[columns if shape[0] > 1 else np.zeros_like(columns)]
    return x[rows if shape[0] > 1 else np.zeros_like(rows), columns if shape[1] > 1 else np.zeros_like(columns)]
