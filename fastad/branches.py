"""branches.py - branches of the user's: `cond`.

Owns: that both sides run where a tape holds them, each as if it were alone.
Must not know: loops (loops.py).
Next: _writing.pxi (what a side may write), loops.py.
"""
from __future__ import annotations

import dis
import functools
from collections.abc import Callable
from types import CodeType
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad import complex_values, trees
from fastad.errors import ShapeError, TracerError
from fastad.operands import live
from fastad.recording import doubt, functions, name_of, underlying
from fastad.state import Watch

__all__ = ["cond"]

Tree = Any
WRITING = frozenset({"STORE_SUBSCR", "STORE_SLICE", "DELETE_SUBSCR", "STORE_ATTR", "STORE_GLOBAL"})      # (of dis)
IN_PLACE = frozenset({"+=", "-=", "*=", "/=", "//=", "%=", "**=", "@=", "&=", "|=", "^=", "<<=", ">>="})
CHANGING = frozenset({"append", "extend", "pop", "update", "fill", "sort", "at", "copyto", "put", "place", "putmask"})


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
    side has its own.  So may the result, which is a new array, also where a side returns one from around it.  Arrays of
    the function around it are not written by a side: that is an error.
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
    functions("cond (np.where chooses among values)", true_fun=true_fun, false_fun=false_fun)
    if np.ndim(pred) != 0:
        raise ShapeError(f"{T.here()}: cond: pred has shape {np.shape(pred)}; one bool is meant (np.where chooses "
                         "element by element)")
    if not T.is_traced(pred):
        return trees.map_leaves(own, (true_fun if pred else false_fun)(*trees.map_leaves(own, operands)))
    (yes, tree), (no, other) = (trees.flatten(side(f, operands)) for f in (true_fun, false_fun))
    if tree != other or [np.shape(a) for a in yes] != [np.shape(b) for b in no]:
        raise ShapeError(f"{T.here()}: cond: {name_of(true_fun)} gives {trees.describe(tree)} of shapes "
                         f"{[np.shape(a) for a in yes]}, {name_of(false_fun)} {trees.describe(other)} of shapes "
                         f"{[np.shape(b) for b in no]}; both sides are run and recorded, and must agree")
    return trees.unflatten(tree, [np.where(pred, a, b)[()] for a, b in zip(yes, no, strict=True)])


def side(f: Callable[..., Tree], operands: tuple[Any, ...]) -> Tree:
    """f(*operands), which changes nothing that the other side, or who calls, can see."""
    tape = T.current_tape()
    watch = Watch(f) if may_write(code_of(f)) else None
    before = T.seal(tape)
    try:
        result = f(*trees.map_leaves(own, operands))
    finally:
        T.unseal(tape, before)
    changed = watch.changed() if watch is not None else None
    if watch is not None and changed:
        written = watch.written()
        if written:
            raise TracerError(f"{T.here()}: cond: {name_of(f)} changes {written}, an array from around it, in place, "
                              "but both sides are run and recorded. Return what is new as a result of the side")
        doubt(f"{name_of(f)}, a side of the cond at {T.here()}, runs while it is recorded, whatever holds, and changes "
              f"{changed}. Return what is new as a result of the side")
    return result


def code_of(f: Callable[..., Tree]) -> CodeType | None:
    return getattr(underlying(f), "__code__", None)


@functools.lru_cache(1024)
def may_write(code: CodeType | None) -> bool:
    """Has code statements that can change what is from around it?  (Of functions without code nothing is known.)

    A watch looks at all that a side can read: 2 ms for an array of 16 MB, too much for each cond of a loop.
    """
    return code is None or any(op.opname in WRITING or op.argval in CHANGING or op.argrepr in IN_PLACE
                               or (op.opname == "STORE_DEREF" and op.argval in code.co_freevars)
                               or (isinstance(op.argval, tuple) and "out" in op.argval)
                               for op in dis.get_instructions(code))


def own(x: Any) -> Any:
    """An array that nobody else has; in a recording one from outside of it is read again at every replay."""
    if isinstance(x, np.ndarray) and x.ndim > 0:
        if T.is_wrapped(x) or T.current_tape() is None:
            return x.copy()
        if x.dtype.kind == "c":
            return complex_values.make(*complex_values.outside(x))
        if x.dtype.kind in "fiub":
            return live(x).copy()
    return x
