"""scipy_sparse_cells.py - sparse matrices that are filled element by element: A = lil_matrix((n, n)); A[i, j] = x.

Owns: `Cells`, the part of a recorded matrix that keeps such numbers, and makes a vector of them when one is asked for:
a write costs what it costs in Python, and n writes are one instruction.
Must not know: everything else about matrices (scipy_sparse.py).
"""
from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np

from fastad.operands import asarray, live

FILLED = ("rows_of_entries", "columns_of_entries", "entries")    # absent while the numbers are ahead of the vector


class Cells:
    """Of a recorded matrix in the formats lil and dok."""

    __slots__ = ()

    format: str
    shape: tuple[int, int]
    _own: type

    @abstractmethod
    def refill(self, rows: Any, columns: Any, entries: Any) -> None:
        """Set what the matrix consists of."""

    def cell(self, key: Any) -> Any:
        """(row, column) of one element of such a matrix; None for other keys and matrices."""
        if self.format not in ("lil", "dok") or not isinstance(key, tuple) or len(key) != 2 or not all(
                isinstance(k, (int, np.integer)) and not isinstance(k, (bool, np.bool_)) for k in key):
            return None
        for k, n in zip(key, self.shape, strict=True):
            if not -n <= k < n:
                raise IndexError(f"index ({k}) out of range")
        return tuple([int(k) % n for k, n in zip(key, self.shape, strict=True)])

    def cells_now(self) -> Any:
        if "cells" not in vars(self):
            places = zip(self.rows_of_entries.tolist(), self.columns_of_entries.tolist(), strict=True)
            vars(self)["cells"] = {place: self.entries[k] for k, place in enumerate(places)}
        return vars(self)["cells"]

    def __getattr__(self, name: str) -> Any:
        if name not in FILLED or "cells" not in vars(self):
            raise AttributeError(f"{self._own.__name__} object has no attribute {name!r}")
        cells = vars(self)["cells"]
        at = np.array(list(cells), dtype=np.int64).reshape(-1, 2)
        self.refill(at[:, 0], at[:, 1], live(asarray(list(cells.values()) or np.zeros(0))))
        return vars(self)[name]

    def put_cell(self, place: tuple[int, int], x: Any) -> None:
        """A[place] = x."""
        self.cells_now()[place] = x
        for name in FILLED:
            vars(self).pop(name, None)


def _is_filled(self: Any, key: Any) -> bool:
    """Has A a number at this place?  ((i, j) in A)"""
    return key in self.cells_now()


# What SciPy asks the dictionary of a dok matrix for.
OF_A_DICT = {"__len__": lambda self: self.nnz, "__contains__": _is_filled}
