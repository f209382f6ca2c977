"""branches.py - branches of the user's: `cond`.

Owns: that both sides run where a tape holds them, each as if it were alone.
Must not know: loops (loops.py).
Next: _writing.pxi (what a side may write), loops.py.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad import trees
from fastad.errors import ShapeError
from fastad.recording import name_of

__all__ = ["cond"]

Tree = Any


def cond(pred: Any, true_fun: Callable[..., Tree], false_fun: Callable[..., Tree], *operands: Any) -> Tree:
    """``true_fun(*operands) if pred else false_fun(*operands)``, without a decision that a tape would have to hold.

    Parameters
    ----------
    pred : bool
        One bool, traced or plain.
    true_fun, false_fun : callable
        Return trees of one structure, with the same shapes.
    *operands
        Handed to both.

    Returns
    -------
    tree

    Raises
    ------
    ShapeError
        pred is no single bool; the results differ in structure or shape.
    TracerError
        A side writes into an array that is from around it.

    Notes
    -----
    Where pred is traced, both sides are computed and `np.where` selects, values as well as derivatives: what the other
    side does (a division by zero) does not reach the result.  Operands that are arrays may be changed in place: each
    side has its own.  Arrays of the function around it are not written by a side: that is an error.
    A plain `if` computes one side only; then the tape is recorded again where pred changes, and inside of a `scan` it
    may not change from step to step.

    Examples
    --------
    >>> import numpy as np
    >>> import fastad as ad
    >>> f = lambda x: ad.cond(x > 0.0, lambda x: x * x, lambda x: -x, x)
    >>> ad.grad(f)(3.0), ad.grad(f)(-3.0)
    (np.float64(6.0), np.float64(-1.0))
    """
    if np.ndim(pred) != 0:
        raise ShapeError(f"{T.here()}: cond: pred has shape {np.shape(pred)}; one bool is meant (np.where chooses "
                         "element by element)")
    if not T.is_traced(pred):
        return (true_fun if pred else false_fun)(*trees.map_leaves(own, operands))
    (yes, tree), (no, other) = (trees.flatten(side(f, operands)) for f in (true_fun, false_fun))
    if tree != other or [np.shape(a) for a in yes] != [np.shape(b) for b in no]:
        raise ShapeError(f"{T.here()}: cond: {name_of(true_fun)} gives {trees.describe(tree)} of shapes "
                         f"{[np.shape(a) for a in yes]}, {name_of(false_fun)} {trees.describe(other)} of shapes "
                         f"{[np.shape(b) for b in no]}")
    return trees.unflatten(tree, [np.where(pred, a, b)[()] for a, b in zip(yes, no, strict=True)])


def side(f: Callable[..., Tree], operands: tuple[Any, ...]) -> Tree:
    """f(*operands), which changes nothing that the other side, or who calls, can see."""
    tape = T.current_tape()
    before = T.seal(tape)
    try:
        return f(*trees.map_leaves(own, operands))
    finally:
        T.unseal(tape, before)


def own(x: Any) -> Any:
    """An array that nobody else has; one from outside of the recording stays what it is, and is read again."""
    mine = isinstance(x, np.ndarray) and x.ndim > 0 and (T.is_wrapped(x) or T.current_tape() is None)
    return x.copy() if mine else x
