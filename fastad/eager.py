"""eager.py - define-by-run: `variable`, and the reverse sweep behind `y.backward()`.

Owns: the pass: from the first use of a variable to the backward that ends it, one tape a thread.  A finished pass drops
its tape, so a training loop keeps nothing.  The variables live on, and join the next pass at their next use.
Must not know: how values are bound to tapes (_leaves.pxi).  Next: function.py (functions instead of passes).
"""
import threading

import numpy as np

from fastad import _tape as T
from fastad.errors import AdError, DerivativeError, EscapedTracerError, ShapeError, UnsupportedError

__all__ = ["variable"]

_thread = threading.local()


class Pass:
    """The tape of a pass, and the variables in it: their records, and their values when they joined."""

    __slots__ = ("tape", "leaves", "variables", "values")

    def __init__(self):
        self.tape = T.open_eager()
        self.tape.set_origin(T.here())
        self.leaves, self.variables, self.values = [], [], []

    def join(self, leaf, x):
        self.values.append(T.attach_leaf(self.tape, x))
        self.leaves.append(leaf)
        self.variables.append(x)

    def close(self):
        T.close_eager(self.tape)
        for x in self.variables:
            if T.home_of(x) is self.tape:
                T.detach_leaf(x)


class Leaf:
    """What a variable remembers: its gradient."""

    __slots__ = ("grad",)

    def __init__(self):
        self.grad = None

    def attach(self, x):
        """Called by the heart when x is used and its tape is closed: x joins this thread's pass."""
        if T.home_of(x).recording:
            raise EscapedTracerError(f"{T.here()}: a variable is used in one thread while another one still records "
                                     "with it; end that pass with backward(), or give each thread its own variable")
        current = getattr(_thread, "current", None)
        if current is None:
            current = _thread.current = Pass()
        current.join(self, x)
        return current.tape


def variable(value):
    """A variable of define-by-run: what is computed from it is recorded, until `backward`.

    Parameters
    ----------
    value : float or array
        Converted to float64.

    Returns
    -------
    traced number or array
        Use it with operators and NumPy functions.  `y.backward()` adds dy/dx to `x.grad` and ends the pass: results of
        that pass cannot be used any more, unless ``retain_graph=True``.  `x.grad = None` zeroes the gradient,
        `x.assign(value)` gives the variable another value, `ad.peek(x)` is its present value.

    Raises
    ------
    UnsupportedError
        The value is no real number or array.

    Examples
    --------
    >>> import fastad as ad
    >>> x1, x2 = ad.variable(2.0), ad.variable(3.0)
    >>> y = x1**2 + x2
    >>> y.backward()
    >>> x1.grad, x2.grad
    (np.float64(4.0), np.float64(1.0))
    """
    value = np.asarray(T.concrete(value))
    if value.dtype.kind not in "fiu":
        raise UnsupportedError(f"variable: got dtype {value.dtype}; real numbers have derivatives")
    return T.make_leaf(value.astype(np.float64), Leaf())


def backward(y, seed=None, retain_graph=False):
    """Reverse sweep from y: adds to `.grad` of every variable on which y depends.

    Parameters
    ----------
    y : traced number or array
        The result of a pass.
    seed : number or array, optional
        The adjoint of y; 1 for a number, and needed for an array.
    retain_graph : bool, optional
        Keep the pass open: more may be computed from its results, and `backward` called again.
    """
    current = getattr(_thread, "current", None)
    if T.leaf_of(y) is not None and (current is None or T.home_of(y) is not current.tape):
        T.value_id(y)                    # a variable by itself is its own result
        current = _thread.current
    if current is None or T.home_of(y) is not current.tape:
        raise AdError("backward: this value belongs to no open pass of this thread. Its pass ended with an earlier "
                      "backward() (use retain_graph=True there), or it was computed inside a recorded function (use "
                      "ad.grad or ad.vjp).")
    shape, i = y.shape, T.value_id(y)
    if y.dtype != np.float64:
        raise DerivativeError(f"backward: a value of dtype {y.dtype} has no derivative")
    if seed is None and shape != ():
        raise DerivativeError(f"backward: the value has shape {shape}; give its adjoint, or call backward on a number "
                              "such as its sum")
    seed = np.asarray(1.0 if seed is None else seed)
    if seed.dtype.kind not in "fiub" or seed.shape not in ((), shape):
        raise ShapeError(f"backward: the seed has shape {seed.shape} and dtype {seed.dtype}; the value is float64 of "
                         f"shape {shape}")
    seed = seed.astype(np.float64)[()]
    for leaf, bar in zip(current.leaves, adjoints(current, i, seed, retain_graph), strict=True):
        leaf.grad = bar if leaf.grad is None else leaf.grad + bar


def adjoints(current, i, seed, retain_graph):
    """Adjoints of the variables of a pass, which ends unless it is retained."""
    try:
        return T.sweep_open(current.tape, current.values, i, seed)
    finally:
        if not retain_graph:
            _thread.current = None
            current.close()


T.register(backward=backward, assign=T.assign_leaf)
