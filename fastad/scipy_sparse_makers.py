"""scipy_sparse_makers.py - how a sparse matrix with traced entries is made, and joined with others.

Owns: the constructors of SciPy's classes, diags, spdiags, kron, vstack, hstack, bmat, block_diag, tril, triu, find:
with SciPy's arguments.
Must not know: what a recorded matrix does (scipy_sparse.py).
"""
from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from fastad import _tape as T
from fastad._state import wrapped_within
from fastad.operands import asarray, refusal, shape_of
from fastad.scipy_doors import records
from fastad.scipy_sparse import (
    build,
    container,
    fill,
    first_recorded,
    is_recorded,
    moved,
    recorded_class,
)
from fastad.scipy_sparse_algebra import entries_of, has_traced_data, of_kron, summed
from fastad.scipy_sparse_places import whole_numbers

DENSE = ("of a full array with traced numbers the places of the entries are not known; collect rows, columns and "
         "values, and write scipy.sparse.coo_matrix((np.array(values), (rows, columns)), shape)")


def found_in(x: Any) -> bool:
    """Is there something traced in x: a number, an array, a sparse matrix?"""
    if isinstance(x, (list, tuple)):
        return any(map(found_in, x))
    if sp.issparse(x):
        return is_recorded(x) or has_traced_data(x)
    return bool(wrapped_within([x]) == 2)


def traced(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    return found_in([*args, *kwargs.values()])


def made_of_traced(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Does a constructor get traced entries?  (self, the first argument, has none yet; it is marked as one that traced
    numbers may be written into.)"""
    args[0].__dict__["made_in"] = this_recording()
    return found_in([*args[1:], *kwargs.values()])


def this_recording() -> Any:
    """What tells this recording from others, without keeping its tape alive."""
    return T.current_tape().derived.setdefault("recording", object())


def written_traced(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Are traced numbers written into a matrix of constants?"""
    return not is_recorded(args[0]) and found_in([*args[2:], *kwargs.values()])


# ---- constructors ----------------------------------------------------------------------------------------------------

# (One of two classes: CSR and CSC, arrays and matrices have a constructor in common.)
@records("scipy.sparse", "csr_matrix.__init__", "coo_matrix.__init__", "dia_matrix.__init__", "lil_matrix.__init__",
         "dok_matrix.__init__", applies=made_of_traced)
def matrix(self: Any, arg1: Any, shape: Any = None, dtype: Any = None, copy: bool = False, *,
           maxprint: Any = None) -> None:
    """Of (data, (row, col)), (data, indices, indptr), (data, offsets) or a sparse matrix, arrays too: by data."""
    form = self.format
    self.__class__ = recorded_class(type(self))
    places: Any
    shared = not copy and form == "coo"
    if sp.issparse(arg1):
        shape, places, shared = arg1.shape, entries_of(arg1), not copy and arg1.format in (form, "coo")[:1 + shared]
    elif not isinstance(arg1, tuple) or len(arg1) not in (2, 3):
        raise refusal(f"scipy.sparse.{type(self).__name__}", DENSE)
    elif form == "dia":
        shape, places = shape, of_diagonals(asarray(arg1[0]), whole_numbers(arg1[1]), shape)
    elif len(arg1) == 3:
        shape, places, shared = *compressed(form, *arg1, shape), not copy
    else:
        data, (rows, columns) = arg1
        places = whole_numbers(rows), whole_numbers(columns), asarray(data)
        shape = shape or tuple([int(at.max(initial=-1)) + 1 for at in places[:2]])
    rows, columns, entries = places
    if not len(rows) == len(columns) == shape_of(entries)[0]:
        raise ValueError("row, column, and data array must all be the same length")
    fill(self, shape, rows, columns, entries if dtype is None else entries.astype(dtype), shared)


@records("scipy.sparse", "csr_matrix.__setitem__", "lil_matrix.__setitem__", applies=written_traced)
def write(self: Any, key: Any, x: Any) -> None:
    """A matrix of constants that was made inside of the function becomes one with traced entries."""
    if vars(self).get("made_in") is not this_recording() or self.ndim != 2:
        raise refusal("scipy.sparse", "a traced number cannot be written into a matrix that was made outside of the "
                      "recorded function; make it inside, or a copy of it there: A = A0.copy()")
    shape, places = self.shape, entries_of(self)
    self.__class__ = recorded_class(type(self))
    fill(self, shape, *places)
    self[key] = x


def compressed(form: str, data: Any, indices: Any, indptr: Any, shape: Any) -> Any:
    """Shape and places of (data, indices, indptr)."""
    indices, indptr, data = whole_numbers(indices), whole_numbers(indptr), asarray(data)
    major = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    indices, data = indices[:len(major)], data[:len(major)]
    sizes = (len(indptr) - 1, int(indices.max(initial=-1)) + 1)
    if form == "csc":
        return shape or sizes[::-1], (indices, major, data)
    return shape or sizes, (major, indices, data)


def of_diagonals(data: Any, offsets: Any, shape: Any) -> Any:
    """Places of diagonals as rows of data, element (i, j) in column j, as dia_matrix has them."""
    m, n = shape
    data = data if len(shape_of(data)) == 2 else np.reshape(data, (1, -1))
    length = min(n, shape_of(data)[1])
    k, j = np.repeat(np.arange(len(offsets)), length), np.tile(np.arange(length), len(offsets))
    i = j - offsets[k]
    inside = (i >= 0) & (i < m)
    i, j, k = i[inside], j[inside], k[inside]
    return i, j, data[k, j]


@records("scipy.sparse", "diags", applies=traced)
def diags(diagonals: Any, offsets: Any = 0, shape: Any = None, format: Any = None, dtype: Any = None) -> Any:
    """By the diagonals."""
    return with_diagonals(sp.dia_matrix, diagonals, offsets, shape, format, dtype)


@records("scipy.sparse", "diags_array", applies=traced)
def diags_array(diagonals: Any, /, *, offsets: Any = 0, shape: Any = None, format: Any = None,
                dtype: Any = None) -> Any:
    """By the diagonals."""
    return with_diagonals(sp.dia_array, diagonals, offsets, shape, format, dtype)


def with_diagonals(cls: type, diagonals: Any, offsets: Any, shape: Any, form: Any, dtype: Any) -> Any:
    offsets = whole_numbers(offsets)
    if len(offsets) == 1 and (not isinstance(diagonals, (list, tuple)) or not diagonals
                              or not shape_of(diagonals[0])):
        diagonals = [asarray(diagonals)]
    else:
        diagonals = [np.reshape(asarray(d), (-1,)) if not shape_of(d) else asarray(d) for d in diagonals]
    diagonals = [d if len(shape_of(d)) == 1 else np.reshape(d, (-1,)) for d in diagonals]
    if len(diagonals) != len(offsets):
        raise ValueError("Different number of diagonals and offsets.")
    if shape is None:
        shape = (shape_of(diagonals[0])[0] + abs(int(offsets[0])),) * 2
    m, n = shape
    rows, columns, values = [], [], []
    for d, k in zip(diagonals, map(int, offsets), strict=True):
        length = min(m + min(k, 0), n - max(k, 0))
        size = shape_of(d)[0]
        if length < 0:
            raise ValueError(f"Offset {k} (index {len(rows)}) out of bounds")
        if size not in (1, length) and size < length:
            raise ValueError(f"Diagonal length (index {len(rows)}: {size} at offset {k}) does not agree with array "
                             f"size ({m}, {n}).")
        values.append(np.repeat(d, length) if size == 1 else d[:length])
        rows.append(np.arange(length) - min(k, 0))
        columns.append(np.arange(length) + max(k, 0))
    entries = np.concatenate(values)
    return build(cls, shape, np.concatenate(rows), np.concatenate(columns),
                 entries if dtype is None else entries.astype(dtype)).asformat(form)


@records("scipy.sparse", "spdiags", applies=traced)
def spdiags(data: Any, diags: Any, m: Any = None, n: Any = None, format: Any = None) -> Any:
    """By the diagonals."""
    shape = tuple(m) if m is not None and n is None else (m, n)
    return build(sp.dia_matrix, shape, *of_diagonals(asarray(data), whole_numbers(diags), shape)).asformat(format)


# ---- several matrices ------------------------------------------------------------------------------------------------

@records("scipy.sparse", "kron", applies=traced)
def kron(A: Any, B: Any, format: Any = None) -> Any:
    """By the entries of both."""
    if not (sp.issparse(A) and sp.issparse(B)):
        raise refusal("scipy.sparse.kron", "pass two sparse matrices")
    return build(container(first_recorded(A, B), "csr"), (A.shape[0] * B.shape[0], A.shape[1] * B.shape[1]),
                 *of_kron(A, B)).asformat(format)


def joined(name: str, blocks: Any, *args: Any, **kwargs: Any) -> Any:
    """A function of nested lists of matrices that only moves entries."""
    found: list[Any] = []

    def listed(x: Any) -> Any:
        if isinstance(x, (list, tuple)):
            return [listed(y) for y in x]
        if x is None:
            return None
        if not sp.issparse(x):
            raise refusal(f"scipy.sparse.{name}", "pass sparse matrices")
        found.append(x)
        return len(found) - 1

    def filled(x: Any, matrices: Any) -> Any:
        return [filled(y, matrices) for y in x] if isinstance(x, list) else None if x is None else matrices[x]
    nest = listed(list(blocks) if not isinstance(blocks, np.ndarray) else blocks.tolist())
    return moved(lambda *matrices: getattr(sp, name)(filled(nest, matrices), *args, **kwargs), *found)


def _joining(name: str) -> None:
    def record(blocks: Any, format: Any = None, dtype: Any = None) -> Any:
        """By the entries of each matrix."""
        y = joined(name, blocks, format=format)
        return y if dtype is None else y.astype(dtype)
    records("scipy.sparse", name, applies=traced)(record)


for _name in ("vstack", "hstack", "bmat", "block_array", "block_diag"):
    _joining(_name)


def _half(name: str) -> None:
    def record(A: Any, k: int = 0, format: Any = None) -> Any:
        """By the entries."""
        return moved(lambda p: getattr(sp, name)(p, k, format), A)
    records("scipy.sparse", name, applies=traced)(record)


_half("tril")
_half("triu")


@records("scipy.sparse", "find", applies=traced)
def find(A: Any) -> Any:
    """By the entries, those that are 0 here among them."""
    return summed(A)


