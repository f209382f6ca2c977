"""scipy_sparse_places.py - where the entries of sparse matrices are, and how a vector of them gets there.

Owns: the order of CSR and CSC; that entries of one place are added up; that the same places are worked out once.
Must not know: SciPy's classes of matrices (scipy_sparse.py).
"""
from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
import scipy.sparse as sp

from fastad import _tape as T
from fastad import sparse_products
from fastad.operands import asarray
from fastad.scipy_sparse_rules import Pattern, pattern

KEPT = 64
_places: OrderedDict[Any, Places] = OrderedDict()


class Places:
    """The places of entries in the order of a format, and how a vector of entries gets there.

    Attributes
    ----------
    rows, columns : ndarray of int64
    pattern : Pattern
        Of the matrix in CSR form, or of the transposed matrix for CSC.
    """

    def __init__(self, shape: tuple[int, int], rows: Any, columns: Any, by_columns: bool) -> None:
        major, minor = (columns, rows) if by_columns else (rows, columns)
        sizes = shape[::-1] if by_columns else shape
        keys = major * np.int64(sizes[1]) + minor
        found, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
        major, minor = np.divmod(found, max(sizes[1], 1))
        self.rows, self.columns = (minor, major) if by_columns else (major, minor)
        self.gather: Any = None if len(found) == len(keys) and np.array_equal(first, np.arange(len(keys))) else first
        self.sums: Any = None
        if len(found) < len(keys):
            ones, order = np.ones(len(keys)), np.argsort(inverse, kind="stable")
            starts = np.concatenate(([0], np.cumsum(np.bincount(inverse, minlength=len(found)))))
            self.sums = sp.csr_array((ones, order, starts), shape=(len(found), len(keys)))
        indptr = np.concatenate(([0], np.cumsum(np.bincount(major, minlength=sizes[0]))))
        self.pattern: Pattern = pattern(sizes, indptr, minor)

    def brought(self, entries: Any) -> Any:
        """Entries in this order; those of one place added up."""
        if self.sums is not None:
            return sparse_products.product(self.sums, entries)
        return entries if self.gather is None else entries[self.gather]


def places(shape: tuple[int, int], rows: Any, columns: Any, by_columns: bool) -> Places:
    """Places in CSR order, or in that of CSC; those of the last matrices are kept."""
    key = (shape, rows.tobytes(), columns.tobytes(), by_columns)
    found = _places.get(key)
    if found is None:
        with T.Undisturbed():
            found = _places[key] = Places(shape, rows, columns, by_columns)
        if len(_places) > KEPT:
            _places.popitem(last=False)
    return found


def whole_numbers(x: Any) -> Any:
    """Indices as an array of int64 that is nobody else's; traced ones are guarded: others are another matrix."""
    x = asarray(x)
    return np.array(x.__array__() if T.is_traced(x) else T.concrete(x), dtype=np.int64).reshape(-1)
