"""products.py - matrix products and what is made of them: matmul, dot, inner, outer, tensordot, vdot.

Owns: how operands of any rank become one call of the primitive matmul (batch, m, k, n).
Must not know: einsum (einsum.py), norms (norms.py).
"""
from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad.operands import (
    asarray,
    cast_to,
    deliver,
    joint,
    live,
    live_copy,
    records,
    refusal,
    requested,
    shape_of,
)

attribute = functools.lru_cache(4096)(T.Matmul)


def operand(x: Any) -> Any:
    """An array: traced, plain, or an ndarray of the user's, which is bound by reference."""
    return asarray(x) if isinstance(x, (list, tuple)) or not hasattr(x, "shape") else x


def matmul(a: Any, b: Any) -> Any:
    """a @ b for all ranks."""
    a, b = operand(a), operand(b)
    sa, sb = shape_of(a), shape_of(b)
    if not sa or not sb or sa[-1] != sb[-2 if len(sb) > 1 else 0]:
        return np.matmul(np.empty(sa), np.empty(sb))     # NumPy's own error
    if not T.is_traced(a) and not T.is_traced(b):
        return T.wrap(np.matmul(T.concrete(a), T.concrete(b)))
    code = joint(a, b)
    if len(sb) <= 2:                     # the batch of a is only more rows
        a, ta = stored(a) if len(sa) == 2 else (a, False)
        b, tb = stored(b) if len(sb) == 2 else (b, False)
        m, k, n = math.prod(sa[:-1]), sa[-1], sb[1] if len(sb) == 2 else 1
        attr = attribute(1, m, k, n, 0, 0, ta, tb)
        return T.structural("matmul", (a, b), attr, sa[:-1] + sb[1:], code, (code, code))
    return batched(a, b, sa, sb, code)


def stored(x: Any) -> Any:
    """(operand, is it stored transposed): a transposed view of ours is read as it lies in memory."""
    if type(x) is T.Array:
        c = T.concrete(x)
        if c.flags.f_contiguous and not c.flags.c_contiguous:
            return T.view(x, c.T), True
    return x, False


def batched(a: Any, b: Any, sa: Any, sb: Any, code: int) -> Any:
    """A batch of products; an operand that repeats in some but not all batch axes is repeated first."""
    ma, mb = (sa[-2:] if len(sa) > 1 else (1, sa[0])), sb[-2:]
    batch = np.broadcast_shapes(sa[:-2], sb[:-2])
    size = math.prod(batch)
    a, abatch = repeated(a, sa, batch, ma)
    b, bbatch = repeated(b, sb, batch, mb)
    attr = attribute(size, ma[0], ma[1], mb[1], abatch, bbatch)
    shape = batch + (ma[:1] if len(sa) > 1 else ()) + mb[1:]
    return T.structural("matmul", (a, b), attr, shape, code, (code, code))


def repeated(x: Any, shape: Any, batch: Any, matrix: Any) -> Any:
    """(operand, batch stride): 0 where it is one matrix for all, else a full stride."""
    own = shape[:-2]
    if math.prod(own) == 1:
        return x, 0
    if own != batch:
        x = np.broadcast_to(x, batch + matrix)
    return x, matrix[0] * matrix[1]


@records(np.matmul, np.linalg.matmul, data=2)
def matmul_function(x1: Any, x2: Any, /, out: Any = None, *, casting: Any = "same_kind", dtype: Any = None,
                    order: Any = "K", subok: bool = True) -> Any:
    """np.matmul with its keywords."""
    y = matmul(x1, x2)
    if dtype is not None:
        y = cast_to(y, requested(dtype, "matmul"))
    return deliver(out, y, "matmul", casting)


@records(np.dot, method="dot", data=2)
def dot(a: Any, b: Any, out: Any = None) -> Any:
    """np.dot: a product of numbers, a matrix product, or a sum over the last axis of a and the last but one of b."""
    a, b = operand(a), operand(b)
    na, nb = len(shape_of(a)), len(shape_of(b))
    if na == 0 or nb == 0:
        y = np.multiply(a, b)
    elif nb <= 2:
        y = matmul(a, b)
    else:
        y = tensordot(a, b, axes=([na - 1], [nb - 2]))
    return y if out is None else deliver(out, y, "dot")


@records(np.inner, data=2)
def inner(a: Any, b: Any, /) -> Any:
    """Sum over the last axes."""
    a, b = operand(a), operand(b)
    na, nb = len(shape_of(a)), len(shape_of(b))
    if na == 0 or nb == 0:
        return np.multiply(a, b)
    return tensordot(a, b, axes=([na - 1], [nb - 1]))


@records(np.vdot, data=2)
def vdot(a: Any, b: Any, /) -> Any:
    """Sum of the products of all elements."""
    return matmul(raveled(a), raveled(b))


def raveled(x: Any) -> Any:
    """All elements in a row."""
    x = operand(x)
    return np.ravel(x if T.is_traced(x) else live_copy(x, np.ravel(x)))


@records(np.linalg.outer)
def vector_outer(x1: Any, x2: Any, /) -> Any:
    """np.linalg.outer: of vectors only."""
    if len(shape_of(x1)) != 1 or len(shape_of(x2)) != 1:
        np.linalg.outer(np.empty(shape_of(x1)), np.empty(shape_of(x2)))          # NumPy's own error
    return outer(x1, x2)


@records(np.outer, data=2)
def outer(a: Any, b: Any, out: Any = None) -> Any:
    """Products of all pairs of elements."""
    y = np.multiply(raveled(a)[:, None], raveled(b)[None, :])
    return deliver(out, y, "outer")


@records(np.tensordot, np.linalg.tensordot, data=3)
def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    """Sum over pairs of axes: a transposition of each operand and one matrix product."""
    a, b = operand(a), operand(b)
    sa, sb = shape_of(a), shape_of(b)
    na, nb = len(sa), len(sb)
    if hasattr(axes, "__len__"):
        left, right = ([k] if np.ndim(k) == 0 else list(k) for k in axes)
    else:
        left, right = list(range(na - axes, na)), list(range(axes))
    left, right = [k + na if k < 0 else k for k in left], [k + nb if k < 0 else k for k in right]
    if len(left) != len(right) or any(sa[i] != sb[j] for i, j in zip(left, right, strict=True)):
        raise ValueError("shape-mismatch for sum")
    keep_a, keep_b = [k for k in range(na) if k not in left], [k for k in range(nb) if k not in right]
    k = math.prod(sa[i] for i in left)
    rows, columns = tuple(sa[i] for i in keep_a), tuple(sb[j] for j in keep_b)
    a = in_order(a, keep_a + left, (math.prod(rows), k))
    b = in_order(b, right + keep_b, (k, math.prod(columns)))
    y = matmul(a, b).reshape(rows + columns)
    return y if rows + columns else y[()]


def in_order(x: Any, axes: Any, shape: Any) -> Any:
    """x with its axes in another order, then in another shape."""
    if not T.is_traced(x):
        x = live_copy(x, x.transpose(axes).reshape(shape))
    return (x if axes == list(range(len(axes))) else x.transpose(axes)).reshape(shape)


@records(np.cross, data=2)
def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: Any = None) -> Any:
    """Vector product of 3-vectors along an axis."""
    axisa, axisb, axisc = (axisa, axisb, axisc) if axis is None else (axis, axis, axis)
    a, b = np.moveaxis(live(operand(a)), axisa, -1), np.moveaxis(live(operand(b)), axisb, -1)
    if {shape_of(a)[-1], shape_of(b)[-1]} in ({2}, {2, 3}):
        raise refusal("np.cross", "vectors of two components, which NumPy gives up, are not recorded; write "
                      "a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]")
    if shape_of(a)[-1] != 3 or shape_of(b)[-1] != 3:
        raise ValueError(f"Both input arrays must be arrays of 3-dimensional vectors, but they are "
                         f"{shape_of(a)[-1]} and {shape_of(b)[-1]} dimensional instead.")
    y = np.take(a, _NEXT, -1) * np.take(b, _LAST, -1) - np.take(a, _LAST, -1) * np.take(b, _NEXT, -1)
    return np.moveaxis(y, -1, axisc)


_NEXT, _LAST = [1, 2, 0], [2, 0, 1]
records(np.linalg.cross, data=2)(lambda x1, x2, /, *, axis=-1: cross(x1, x2, axis=axis))


@records(np.linalg.vecdot)
def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """np.linalg.vecdot: products of vectors along an axis."""
    a, b = (np.moveaxis(live(operand(x)), axis, -1) for x in (x1, x2))
    return np.sum(np.multiply(a, b), axis=-1)
