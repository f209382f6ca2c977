"""Bounds of all numbers of x0, in any form that SciPy or the user's tree gives them.

Owns: the forms, their checks, whether any bound binds, which variables are fixed.
Must not know: methods (methods.py), derivatives.  Next: layout.py (what becomes of fixed variables).
"""
from __future__ import annotations

from typing import Any

import numpy as np
import scipy.optimize

from fastad import trees
from fastad.optimize.layout import Layout

__all__ = ["Box"]


class Box:
    """Lower and upper bounds, one pair for each number of x0.

    Attributes
    ----------
    low, high : ndarray
    keep_feasible : bool or ndarray of bool
        Of scipy.optimize.Bounds.
    """

    def __init__(self, low: Any, high: Any, layout: Layout, keep_feasible: Any = False):
        try:
            self.low = np.array(np.broadcast_to(np.asarray(low, dtype=np.float64), layout.total))
            self.high = np.array(np.broadcast_to(np.asarray(high, dtype=np.float64), layout.total))
        except ValueError:
            raise ValueError(f"bounds: lower ones of shape {np.shape(low)} and upper ones of shape {np.shape(high)} "
                             f"for the {layout.total} unknowns of x0") from None
        self.keep_feasible = keep_feasible
        for wrong, what in ((np.isnan(self.low) | np.isnan(self.high), "is NaN"),
                            (self.low > self.high, "has its lower bound above its upper bound"),
                            ((self.low == np.inf) | (self.high == -np.inf), "has no finite value within")):
            if wrong.any():
                k = int(np.argmax(wrong))
                raise ValueError(f"bounds: ({self.low[k]}, {self.high[k]}) of x0{layout.label(k)} {what}")

    @property
    def fixed(self) -> np.ndarray:
        """Which variables have one value only."""
        return self.low == self.high

    def binds(self, layout: Layout) -> bool:
        """Is any bound of what moves finite?"""
        return bool(np.isfinite(layout.shrink(self.low)).any() or np.isfinite(layout.shrink(self.high)).any())

    def for_scipy(self, layout: Layout) -> Any:
        """Of what moves; None if none binds: L-BFGS-B looks at each in a Python loop."""
        if not self.binds(layout):
            return None
        keep = self.keep_feasible if np.ndim(self.keep_feasible) == 0 else \
            layout.shrink(np.broadcast_to(self.keep_feasible, layout.total))
        return scipy.optimize.Bounds(layout.shrink(self.low), layout.shrink(self.high), keep)


def box_of(bounds: Any, layout: Layout) -> Box | None:
    """The bounds that `minimize` takes: Bounds, one pair a number, or (for a dict x0) a dict of pairs."""
    if bounds is None:
        return None
    if isinstance(bounds, scipy.optimize.Bounds):
        return Box(bounds.lb, bounds.ub, layout, bounds.keep_feasible)
    if isinstance(bounds, dict):
        pairs = [pair for pair, shape in zip(by_leaf(bounds, layout.tree, "bounds"), layout.shapes, strict=True)]
        return Box(joined(pairs, 0, -np.inf, layout), joined(pairs, 1, np.inf, layout), layout)
    pairs = list(bounds)
    if len(pairs) != layout.total or any(np.ndim(pair) != 1 or len(pair) != 2 for pair in pairs):
        shape = [np.shape(pair) for pair in pairs if np.shape(pair) != (2,)]
        raise ValueError(f"bounds: {layout.total} pairs (low, high) are wanted, one for each unknown of x0; got "
                         + (f"an entry of shape {shape[0]}" if shape else f"{len(pairs)}"))
    return Box([-np.inf if low is None else low for low, _ in pairs],
               [np.inf if high is None else high for _, high in pairs], layout)


def box_of_two(bounds: Any, layout: Layout) -> Box | None:
    """The bounds that `least_squares` takes: Bounds or (low, high), each a number, an array or a tree like x0."""
    if bounds is None:
        return None
    if isinstance(bounds, scipy.optimize.Bounds):
        return Box(bounds.lb, bounds.ub, layout)
    if isinstance(bounds, dict):
        return box_of(bounds, layout)
    if not isinstance(bounds, (tuple, list)) or len(bounds) != 2:
        raise ValueError("bounds: a pair (low, high) is wanted, each a number or one number for each unknown")
    sides: list[Any] = []
    for side, free in zip(bounds, (-np.inf, np.inf), strict=True):
        if side is None:
            side = free
        sides.append(layout.vector(side, "bounds") if not isinstance(side, np.ndarray) and layout.tree != trees.LEAF
                     and trees.flatten(side)[1] == layout.tree else np.ravel(side) if np.ndim(side) else side)
    return Box(sides[0], sides[1], layout)


def by_leaf(bounds: Any, tree: Any, where: str) -> list[Any]:
    """One pair (or None) a leaf, from bounds in the structure of x0; what a dict does not name is free."""
    if bounds is None:
        return [None] * trees.count(tree)
    if tree == trees.LEAF:
        if not isinstance(bounds, (tuple, list)) or len(bounds) != 2:
            raise ValueError(f"{where}: {bounds!r} is no pair (low, high)")
        return [bounds]
    if tree[0] == "dict":
        if not isinstance(bounds, dict) or set(bounds) - set(tree[1]):
            raise ValueError(f"{where}: got {bounds!r}; x0 has the keys {list(tree[1])}")
        given = [bounds.get(key) for key in tree[1]]
        names = [f"{where}[{key!r}]" for key in tree[1]]
    else:
        given, children = list(bounds), trees.children(tree)
        names = [f"{where}[{k}]" for k in range(len(children))]
        if len(given) != len(children):
            raise ValueError(f"{where}: {len(given)} entries for {len(children)} of x0")
    return [pair for b, child, name in zip(given, trees.children(tree), names, strict=True)
            for pair in by_leaf(b, child, name)]


def joined(pairs: list[Any], side: int, free: float, layout: Layout) -> np.ndarray:
    parts = []
    for k, (pair, shape) in enumerate(zip(pairs, layout.shapes, strict=True)):
        value = free if pair is None or pair[side] is None else pair[side]
        try:
            parts.append(np.ravel(np.broadcast_to(np.asarray(value, dtype=np.float64), shape)))
        except ValueError:
            raise ValueError(f"bounds: leaf {k} of x0 has shape {shape}, its bound {np.shape(value)}") from None
    return np.concatenate(parts)
