"""norms.py - numpy.linalg.norm and its kin.

Owns: the convention norm'(0) = 0.
Must not know: matrix products (products.py).
"""
from __future__ import annotations

from typing import Any

import numpy as np

from fastad import _tape as T
from fastad.factorizations import svd
from fastad.operands import asarray, axis_number, inexact, records
from fastad.reductions import root


def root_of_squares(x: Any, axis: Any, keepdims: Any) -> Any:
    """2-norm along axes: the derivative is 0 where it is 0, not NaN."""
    return root(np.sum(np.square(x), axis=axis, keepdims=keepdims))


@records(np.linalg.norm, data=1)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: Any = False) -> Any:
    """Norm of vectors and of matrices."""
    x = inexact(asarray(x))
    if axis is None:
        if ord is None or (ord in ("fro", "f") and x.ndim == 2) or (ord == 2 and x.ndim == 1):
            return root_of_squares(x, None, keepdims)
        axis = tuple(range(x.ndim))
    axis = axis if isinstance(axis, tuple) else (axis,)
    if len(axis) == 1:
        axis_number(axis[0], x.ndim)     # (sums take axis 0 of a number, norms do not)
        return vector_norm(x, ord, axis[0], keepdims)
    if len(axis) == 2:
        return matrix_norm(x, ord, axis, keepdims)
    raise ValueError("Improper number of dimensions to norm.")


def vector_norm(x: Any, ord: Any, axis: Any, keepdims: Any) -> Any:
    """Norm of vectors along one axis."""
    if ord is None or ord == 2:
        return root_of_squares(x, axis, keepdims)
    if ord == np.inf:
        return np.max(np.abs(x), axis=axis, keepdims=keepdims)
    if ord == -np.inf:
        return np.min(np.abs(x), axis=axis, keepdims=keepdims)
    if ord == 0:
        return np.sum(x != 0, axis=axis, keepdims=keepdims).astype(x.dtype)
    if ord == 1:
        return np.sum(np.abs(x), axis=axis, keepdims=keepdims)
    if isinstance(ord, str):
        raise ValueError(f"Invalid norm order '{ord}' for vectors")
    s = np.sum(np.abs(x) ** ord, axis=axis, keepdims=keepdims)
    zero = s == 0
    return T.elementwise("where", zero, 0.0, T.elementwise("where", zero, 1.0, s) ** (1 / ord))


def matrix_norm(x: Any, ord: Any, axis: Any, keepdims: Any) -> Any:
    """Norm of matrices in two axes."""
    rows, columns = (axis_number(k, x.ndim) for k in axis)
    if ord is None or ord in ("fro", "f"):
        return root_of_squares(x, axis, keepdims)
    if ord in (1, -1, np.inf, -np.inf):
        first, second = (rows, columns) if abs(ord) == 1 else (columns, rows)
        sums = np.sum(np.abs(x), axis=first, keepdims=True)
        y = (np.max if ord > 0 else np.min)(sums, axis=second, keepdims=True)
        return y if keepdims else np.squeeze(y, axis=(rows, columns))[()]
    if rows == columns:
        raise ValueError("Duplicate axes given.")
    if ord not in (2, -2, "nuc"):
        raise ValueError("Invalid norm order for matrices.")
    s = svd(np.moveaxis(x, (rows, columns), (-2, -1)), compute_uv=False)
    y = np.sum(s, axis=-1) if ord == "nuc" else (np.max if ord > 0 else np.min)(s, axis=-1)
    if keepdims:
        y = np.reshape(y, tuple([1 if k in (rows, columns) else n for k, n in enumerate(x.shape)]))
    return y


@records(np.linalg.vector_norm, data=1)
def array_api_vector_norm(x: Any, /, *, axis: Any = None, keepdims: Any = False, ord: Any = 2) -> Any:
    """np.linalg.vector_norm: over several axes as over one."""
    x = inexact(asarray(x))
    axes = tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    if len(axes) == 1:
        return vector_norm(x, ord, axes[0], keepdims)
    if ord == 2:
        return root_of_squares(x, axes, keepdims)
    axes = np.lib.array_utils.normalize_axis_tuple(axes, x.ndim)
    rest = [k for k in range(x.ndim) if k not in axes]
    shape = tuple(1 if k in axes else n for k, n in enumerate(x.shape))
    y = vector_norm(x.transpose(rest + list(axes)).reshape(tuple(x.shape[k] for k in rest) + (-1,)), ord, -1, False)
    return np.reshape(y, shape) if keepdims else y


@records(np.linalg.matrix_norm, data=1)
def array_api_matrix_norm(x: Any, /, *, keepdims: Any = False, ord: Any = "fro") -> Any:
    """np.linalg.matrix_norm."""
    return matrix_norm(inexact(asarray(x)), ord, (-2, -1), keepdims)
