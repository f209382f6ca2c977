"""objects.py - arrays of dtype object that hold traced values.

Owns: what `np.array([...], dtype=object)` gives (an array of numbers if it holds nothing else, for that computes and
differentiates as the objects would; else objects), and how an array of objects that the user filled becomes one of
numbers where a NumPy function or a dtype asks for it.  NumPy computes with arrays of objects, element by element.
Must not know: who calls (interception.py).
"""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad._state import wrapped_within
from fastad.operands import FLOAT, asarray, cast_to, is_array

np_empty = np.empty
NUMBERS = (T.Scalar, float, int, np.float64, np.int64)


def _listed(x: Any) -> Any:
    """Arrays, lists and tuples as nested lists of their elements."""
    if is_array(x):
        return [_listed(row) for row in x] if x.ndim else x[()]
    return [_listed(y) for y in x] if isinstance(x, (list, tuple)) else x


def _shape(nest: Any) -> tuple[int, ...]:
    """The shape that NumPy gives an array of objects: as deep as the lists are of equal lengths."""
    if not isinstance(nest, list):
        return ()
    inner = [_shape(x) for x in nest]
    common = inner[0] if inner else ()
    for shape in inner:
        same = [m == n for m, n in zip(shape, common, strict=False)]
        common = common[:same.index(False) if False in same else len(same)]
    return (len(nest), *common)


def _at(x: Any, index: tuple[int, ...]) -> Any:
    for i in index:
        x = x[i]
    return x


def boxed(x: Any) -> Any:
    """np.array(x, dtype=object) of something with traced values in it."""
    nest = _listed(x)
    shape = _shape(nest)
    leaves = [_at(x, index) for index in np.ndindex(*shape)]       # rows of unequal lengths stay what they are
    if all(type(v) in NUMBERS for v in leaves):
        return cast_to(asarray(nest), FLOAT)
    out = np_empty(shape, object)
    for index, value in zip(np.ndindex(*shape), leaves, strict=True):
        out[index] = value
    return out


def unboxed(x: Any) -> Any:
    """An array of objects that are numbers, some of them traced, as an array of numbers; what stands for a matrix of
    NumPy's as its array; everything else as it is."""
    if hasattr(type(x), "traced_array"):
        return x.traced_array
    if type(x) is not np.ndarray or x.dtype != object or math.prod(x.shape) == 0:
        return x
    nest = x.tolist()
    return asarray(nest) if wrapped_within(nest if isinstance(nest, list) else [nest]) == 2 else x
