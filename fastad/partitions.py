"""partitions.py - np.partition and np.argpartition: NumPy's own algorithm runs at each replay.

Which order the elements have inside the parts is nobody's rule but that of NumPy's code on this processor; so that a
tape gives what NumPy gives, the permutation is asked of NumPy anew at every point.
Owns: that instruction, which runs Python and has no derivative: the elements are gathered at its result.
Must not know: gathers (selection.py).
"""
from __future__ import annotations

import operator
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad.operands import INT, METHODS, asarray, code_of, records, refusal
from fastad.reductions import refuse_order


class Order:
    """The rule of an instruction that gives a permutation along an axis, as float64."""

    def __init__(self, name: str, permutation: Any) -> None:
        self.name, self.permutation = name, permutation

    def value(self, xs: Any) -> Any:
        """The permutation at these values."""
        return np.asarray(self.permutation(xs[0]), dtype=np.float64)

    def tangent(self, tangents: Any, y: Any, xs: Any) -> Any:
        """It moves nowhere."""
        return np.zeros(np.shape(y))

    def adjoint(self, active: Any, w: Any, y: Any, xs: Any) -> Any:
        """It depends on nothing smoothly."""
        return [np.zeros(np.shape(x)) for x in xs]

    def emit_tangent(self, b: Any, site: Any) -> int:
        """The same in a derivative tape."""
        return 0

    def emit_adjoint(self, r: Any, site: Any) -> None:
        """The same in a derivative tape."""


def ordered(name: str, x: Any, permutation: Any) -> Any:
    """Traced positions along an axis."""
    if not T.is_traced(x):
        return T.wrap(permutation(T.concrete(x)))
    code = code_of(x)
    attr = T.Call(Order(name, permutation), [T.aval(code, x.shape)], T.aval(0, x.shape))
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

    def permutation(v: Any) -> Any:
        done = np.partition(v, kth, axis, kind)
        places = np.empty(v.shape, np.int64)
        np.put_along_axis(places, np.argsort(done, axis, kind="stable"), np.argsort(v, axis, kind="stable"), axis)
        return places
    return np.take_along_axis(x, ordered("partition", x, permutation), axis)


@records(np.argpartition, method="argpartition", data=2)
def argpartition(a: Any, kth: Any, axis: Any = -1, kind: Any = "introselect", order: Any = None) -> Any:
    """The permutation of a partition, as NumPy's argpartition gives it."""
    x, kth, axis = prepared("np.argpartition", a, kth, axis, order)
    x = x if x.ndim else x.reshape(1)
    return ordered("argpartition", x, lambda v: np.argpartition(v, kth, axis, kind))


def partition_method(a: Any, kth: Any, axis: Any = -1, kind: Any = "introselect", order: Any = None) -> None:
    """x.partition(kth): in place."""
    T.concrete(a).copy().partition(T.concrete(kth), axis, kind)                  # NumPy's own errors
    a[...] = partition(a, kth, axis, kind, order)


METHODS["partition"] = partition_method
