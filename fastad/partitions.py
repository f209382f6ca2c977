"""partitions.py - np.partition and np.argpartition: NumPy's own algorithm runs at each replay.

Which order the elements have inside the parts is nobody's rule but that of NumPy's code on this processor; so that a
tape gives what NumPy gives, the permutation is asked of NumPy anew at every point.
Owns: that instruction, which calls NumPy and has no derivative: the elements are gathered at its result.
Must not know: gathers (selection.py).
"""
from __future__ import annotations

import operator
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad.operands import INT, METHODS, asarray, code_of, records, refusal
from fastad.reductions import refuse_order
from fastad.structural_rules import lane_by_lane


class Order:
    """The rule of an instruction that gives a permutation along an axis, as float64.

    Parameters
    ----------
    shape, code
        Shape and dtype code of the array.
    name : {"partition", "argpartition"}
        Of NumPy's function.
    kth : tuple of int
    axis : int
    kind : str
        NumPy's algorithm.
    """

    def __init__(self, shape: tuple[int, ...], code: int, name: str, kth: tuple[int, ...], axis: int,
                 kind: Any) -> None:
        self.key = ("partition", shape, code, name, kth, axis, kind)
        self.name, self.kth, self.axis, self.kind = name, list(kth), axis, kind

    def run(self, xs: Any, out: Any) -> None:
        """The permutation at these values."""
        v = xs[0]
        if self.name == "argpartition":
            out[...] = np.argpartition(v, self.kth, self.axis, self.kind)
            return
        done = np.partition(v, self.kth, self.axis, self.kind)
        places = np.argsort(v, self.axis, kind="stable")
        np.put_along_axis(out, np.argsort(done, self.axis, kind="stable"), places.astype(np.float64), self.axis)

    def run_tangent(self, tangents: Any, xs: Any, out: Any) -> None:
        """It moves nowhere."""
        out[...] = 0.0

    def adjoint(self, k: int, w: Any, xs: Any) -> Any:
        """It depends on nothing smoothly."""
        return np.zeros(xs[k].shape)

    def emit_tangent(self, b: Any, site: Any) -> int:
        """The same in a derivative tape."""
        return 0

    def emit_adjoint(self, r: Any, site: Any) -> None:
        """The same in a derivative tape."""

    emit_batch = staticmethod(lane_by_lane)


def ordered(name: str, x: Any, kth: Any, axis: int, kind: str) -> Any:
    """Positions along an axis, traced if x is."""
    order = getattr(np, name)(T.concrete(x), kth, axis, kind)            # NumPy's own errors
    rule = Order(x.shape, code_of(x), name, tuple(np.ravel(kth).tolist()), axis, str(kind))
    if not T.is_traced(x):
        order = np.empty(order.shape)
        rule.run((T.concrete(x),), order)
        return T.wrap(order.astype(np.int64))
    attr = T.Library(rule, [T.aval(code_of(x), x.shape)], T.aval(0, x.shape))
    return T.astype(T.structural("call", (x,), attr, x.shape, 0), T.DTYPES[INT])


def prepared(what: str, a: Any, kth: Any, axis: Any, order: Any) -> Any:
    """(array, constant positions, axis) of a partition."""
    refuse_order(what, order)
    if T.is_traced(kth):
        raise refusal(what, "kth must be a constant: give a number, or sort")
    x = asarray(a)
    if axis is None:
        x, axis = x.reshape(-1), -1
    return x, T.concrete(kth), operator.index(axis)


@records(np.partition, data=2)
def partition(a: Any, kth: Any, axis: Any = -1, kind: Any = "introselect", order: Any = None) -> Any:
    """A copy in which the element at kth is where sorting would bring it, smaller ones before it."""
    x, kth, axis = prepared("np.partition", a, kth, axis, order)
    return np.take_along_axis(x, ordered("partition", x, kth, axis, kind), axis)


@records(np.argpartition, method="argpartition", data=2)
def argpartition(a: Any, kth: Any, axis: Any = -1, kind: Any = "introselect", order: Any = None) -> Any:
    """The permutation of a partition, as NumPy's argpartition gives it."""
    x, kth, axis = prepared("np.argpartition", a, kth, axis, order)
    x = x if x.ndim else x.reshape(1)
    return ordered("argpartition", x, kth, axis, kind)


def partition_method(a: Any, kth: Any, axis: Any = -1, kind: Any = "introselect", order: Any = None) -> None:
    """x.partition(kth): in place."""
    T.concrete(a).copy().partition(T.concrete(kth), axis, kind)                  # NumPy's own errors
    a[...] = partition(a, kth, axis, kind, order)


METHODS["partition"] = partition_method
