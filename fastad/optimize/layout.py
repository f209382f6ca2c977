"""Layout: between the vector that an optimiser moves and the arrays, trees and fixed numbers that f takes.

Owns: which x0 is one array and which a tree, the raveled vector and back, variables that stay fixed, dtypes.
Must not know: SciPy, derivatives.  Next: bounds.py (which variables are fixed), point.py (who asks).
"""
from __future__ import annotations

from typing import Any

import numpy as np

from fastad import trees

__all__ = ["Layout"]


class Layout:
    """How the vector of unknowns becomes what f takes, and gradients by it become vectors again.

    Parameters
    ----------
    x0 : array_like or tree
        A number, an array of any shape, lists or tuples of nothing but numbers: one array, as for SciPy.  Dicts, named
        tuples, lists and tuples that hold arrays: a tree.

    Attributes
    ----------
    start : ndarray
        All numbers of x0 in the order of its leaves, float64.
    free : ndarray of bool or None
        Which of them move; None: all.
    size : int
        How many move: the length of the vector.
    plain : bool
        f takes the vector itself.
    """

    def __init__(self, x0: Any, name: str = "x0"):
        x0 = np.atleast_1d(np.asarray(x0)) if is_array_like(x0) else x0
        leaves, self.tree = trees.flatten(x0)
        arrays = [real(leaf, f"{name}{path}") for leaf, path in zip(leaves, trees.paths(self.tree), strict=True)]
        self.shapes = [a.shape for a in arrays]
        self.kinds = [type(leaf) if np.ndim(leaf) == 0 and not isinstance(leaf, np.ndarray) else np.ndarray
                      for leaf in leaves]
        self.dtypes = [a.dtype if a.dtype.kind == "f" and a.dtype.itemsize < 8 else np.dtype(np.float64)
                       for a in arrays]
        self.start = np.concatenate([np.ravel(a).astype(np.float64) for a in arrays]) if arrays else np.zeros(0)
        self.ends = np.cumsum([a.size for a in arrays]).tolist()
        self.free: np.ndarray | None = None
        self.size = self.total = self.start.size
        self.shape: tuple[int, ...] = (self.size,)
        self.flat = self.tree == trees.LEAF and len(self.shapes[0]) == 1
        self.plain = self.flat
        if not self.total:
            raise ValueError(f"{name} is empty: there is nothing to move")
        bad = np.flatnonzero(~np.isfinite(self.start))
        if bad.size:
            raise ValueError(f"{name}{self.label(bad[0])} is {self.start[bad[0]]}"
                             + (f", and {bad.size - 1} more are not finite" if bad.size > 1 else "")
                             + ": start from finite numbers")

    def fix(self, fixed: np.ndarray, values: np.ndarray) -> None:
        """Keep some variables at these values; the vector is of the others."""
        if fixed.any():
            self.free, self.plain = ~fixed, False
            self.base = np.where(fixed, values, self.start)
            self.size = int(self.free.sum())
            self.shape = (self.size,)

    def label(self, k: int) -> str:
        """``[3]`` or ``['a'][0, 1]``: how the user writes number k of all."""
        leaf = int(np.searchsorted(self.ends, k, side="right"))
        shape = self.shapes[leaf]
        k = int(k) - (self.ends[leaf - 1] if leaf else 0)
        path = trees.paths(self.tree)[leaf]
        return path + (f"[{', '.join(map(str, map(int, np.unravel_index(k, shape))))}]" if shape else "")

    # -- between the vector and all numbers

    def shrink(self, full: np.ndarray) -> np.ndarray:
        """Of all numbers (along the last axis) those that move."""
        return full if self.free is None else np.ascontiguousarray(full[..., self.free])

    def columns(self, matrix: Any) -> Any:
        """Of a matrix with a column for each number (dense or sparse) the columns of those that move."""
        if self.free is None or matrix is None:
            return matrix
        free = np.flatnonzero(self.free)
        return matrix.tocsc()[:, free] if hasattr(matrix, "tocsc") else np.atleast_2d(matrix)[:, free]

    def block(self, matrix: Any) -> Any:
        """Of a square matrix (dense or sparse) the rows and columns of those that move."""
        if self.free is None:
            return matrix
        free = np.flatnonzero(self.free)
        return matrix.tocsr()[free][:, free] if hasattr(matrix, "tocsr") else np.asarray(matrix)[np.ix_(free, free)]

    def expand(self, z: np.ndarray, base: Any = None) -> np.ndarray:
        """All numbers (along the last axis); what does not move is `base`: the fixed values if there is none."""
        if self.free is None:
            return z
        full = np.empty((*z.shape[:-1], self.total))
        full[...] = self.base if base is None else base
        full[..., self.free] = z
        return full

    # -- between numbers and what f takes

    def leaves(self, full: np.ndarray) -> list[Any]:
        starts = [0, *self.ends[:-1]]
        return [full[a:b].reshape(shape) if shape else float(full[a])
                for a, b, shape in zip(starts, self.ends, self.shapes, strict=True)]

    def spread(self, z: np.ndarray) -> Any:
        """What f takes for a vector."""
        if self.plain:
            return z
        return trees.unflatten(self.tree, self.leaves(self.expand(z)))

    def leaves_of(self, tree: Any) -> list[Any]:
        return [tree] if self.tree == trees.LEAF else trees.flatten(tree)[0]

    def directions(self, v: np.ndarray) -> list[Any]:
        """A direction of the vector by leaves; what is fixed does not move."""
        return [v] if self.plain else self.leaves(self.expand(v, 0.0))

    def gathered(self, leaves: list[Any]) -> np.ndarray:
        """A gradient by leaves as the gradient of the vector, a fresh array."""
        return self.shrink(self.joined(leaves))

    def joined(self, leaves: list[Any]) -> np.ndarray:
        """All numbers of leaves, a fresh array."""
        whole = np.concatenate([np.ravel(x) for x in leaves]) if len(leaves) > 1 else np.ravel(leaves[0])
        return np.array(whole, dtype=np.float64)

    def vector(self, tree: Any, what: str) -> np.ndarray:
        """Numbers that the user gives for x (a gradient, a direction), as a tree like x0 or raveled: all, as a vector.
        """
        leaves, structure = trees.flatten(tree)
        if structure != self.tree and not is_array_like(tree):
            raise ValueError(f"{what} has the structure {trees.describe(structure)}, x0 {trees.describe(self.tree)}")
        parts = [np.asarray(tree)] if structure != self.tree else list(map(np.asarray, leaves))
        whole = np.concatenate([np.ravel(p) for p in parts])
        if whole.size != self.total:
            raise ValueError(f"{what} has {whole.size} numbers, x0 {self.total}")
        return whole.astype(np.float64)

    # -- results

    def restored(self, z: np.ndarray, low: Any = -np.inf, high: Any = np.inf) -> Any:
        """The point in the structure, shapes and dtypes of x0; rounding to float32 does not leave the bounds."""
        full = self.expand(np.asarray(z, dtype=np.float64))
        if all(dtype == np.float64 for dtype in self.dtypes):
            return self.in_tree(full)
        low, high = np.broadcast_to(low, full.shape), np.broadcast_to(high, full.shape)
        leaves, start = [], 0
        for end, shape, dtype, kind in zip(self.ends, self.shapes, self.dtypes, self.kinds, strict=True):
            part = inside(full[start:end].astype(dtype), low[start:end], high[start:end])
            leaves.append(finished(part.reshape(shape), kind))
            start = end
        return trees.unflatten(self.tree, leaves)

    def in_tree(self, full: np.ndarray) -> Any:
        """All numbers in the structure and shapes of x0, float64."""
        if self.flat:
            return full
        starts = [0, *self.ends[:-1]]
        return trees.unflatten(self.tree, [finished(full[a:b].reshape(shape).copy(), kind) for a, b, shape, kind
                                           in zip(starts, self.ends, self.shapes, self.kinds, strict=True)])


def finished(x: np.ndarray, kind: type) -> Any:
    """A number for a number, an array for an array."""
    if kind is np.ndarray:
        return x
    return x[()] if issubclass(kind, np.generic) else float(x)


def inside(x: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """x moved by its last bit where rounding took it out of bounds."""
    up, down = x.dtype.type(np.inf), x.dtype.type(-np.inf)
    x = np.where(x.astype(np.float64) < low, np.nextafter(x, up), x)
    return np.where(x.astype(np.float64) > high, np.nextafter(x, down), x)


def is_array_like(x: Any) -> bool:
    """Is x one array for SciPy: no container, or lists and tuples of nothing but numbers, all rows equally long?"""
    if not isinstance(x, (dict, list, tuple)):
        return x is not None
    if not numbers_only(x):
        return False
    try:
        np.asarray(x)
    except ValueError:                       # ragged
        return False
    return True


def numbers_only(x: Any) -> bool:
    if isinstance(x, dict) or trees.is_namedtuple(x):
        return False
    if isinstance(x, (list, tuple)):
        return all(map(numbers_only, x))
    return x is not None and np.ndim(x) == 0


def real(x: Any, name: str) -> np.ndarray:
    a = np.asarray(x)
    if a.dtype.kind not in "fiub":
        raise TypeError(f"{name} has dtype {a.dtype}; optimisation needs real numbers")
    return a
