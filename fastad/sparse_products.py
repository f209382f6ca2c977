"""sparse_products.py - a constant scipy.sparse matrix times a traced array.

Owns: what the operators of SciPy's sparse classes do with a traced operand.  They convert it to an ndarray (it says
that it is one), so they never ask it to take over: while something is recorded, interception.py puts the methods made
here in the place of theirs.  The entries of a float64 CSR or CSC matrix are bound by reference, read at each replay.
Must not import SciPy: where a sparse matrix is met, it has been imported already.
Next: interception.py (when), _kernels/layout.h (FA_SPMM), scipy_sparse.py (matrices with traced entries).
"""
import functools
import importlib
import sys
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad.complex_values import combined

Scalar, Array = T.Scalar, T.Array
# Where SciPy's operators come together: two ordinary methods, which are replaced in 0.2 us, while each of the
# operators themselves takes 6 us, because Python then updates the slots of all subclasses.
_DISPATCH = ("_matmul_dispatch", "_rmatmul_dispatch")
_OPERATORS = ("__matmul__", "__rmatmul__", "dot", "__mul__", "__rmul__")         # for a SciPy without those
_FROM_THE_RIGHT = ("_rmatmul_dispatch", "__rmatmul__", "__rmul__")
_ENTRYWISE = ("multiply", "_divide")
_SUMS = ("_add_sparse", "_sub_sparse")
# What makes a matrix with traced entries, of one of constants or of two; scipy_sparse.py puts it here when it is there.
recording: dict[str, Any] = {}
_patterns: OrderedDict[tuple[Any, ...], tuple[Any, ...]] = OrderedDict()         # the last ones used
_PATTERNS = 32


def _pattern(a: Any, columns: int, transposed: bool) -> tuple[Any, Any]:
    """(data, attribute) of a CSR or CSC matrix that is applied to `columns` columns.  A CSC matrix is a CSR^T."""
    if a.format == "csc":
        (ncol, nrow), transposed = a.shape, not transposed
    else:
        nrow, ncol = a.shape
    key = (id(a.data), id(a.indptr), id(a.indices), nrow, ncol, columns, transposed)
    found = _patterns.get(key)
    if found is not None:
        attr, data, indptr, indices, _ = found
        if np.array_equal(attr.indptr, indptr) and np.array_equal(attr.indices, indices[:len(attr.indices)]) \
                and len(attr.indices) == indptr[-1]:
            _patterns.move_to_end(key)
            return data, attr
    count = int(a.indptr[-1])
    data = a.data if len(a.data) == count else a.data[:count]
    attr = T.Csr(nrow, ncol, columns, a.indptr, a.indices[:count], transposed)
    _patterns[key] = (attr, data, a.indptr, a.indices, a.data)       # the arrays stay alive: their ids are their own
    if len(_patterns) > _PATTERNS:
        _patterns.popitem(last=False)
    return data, attr


def _as_compressed(a: Any) -> Any:
    """A matrix with real entries in CSR or CSC form; the same object if it is one of float64 or float32."""
    if a.format not in ("csr", "csc"):
        a = a.tocsr()
    return a if a.dtype in (np.float64, np.float32) else a.astype(np.float64)


def product(a: Any, x: Any, transposed: bool = False) -> Any:
    """A @ x, or A.T @ x, for a traced array x of one or two dimensions."""
    if a.dtype.kind == "c":
        return traced_entries()["product"](a, x, transposed)
    if isinstance(x, T.Complex):
        return combined(product(a, x.re, transposed), product(a, x.im, transposed))
    if a.ndim == 1:
        y = product(a.reshape((1, -1)), x)
        return y[0]
    m, n = a.shape[::-1] if transposed else a.shape
    if x.ndim not in (1, 2) or x.shape[0] != n:
        raise ValueError(f"matmul: a sparse matrix of shape {(m, n)} times an array of shape {x.shape}")
    whole = a.dtype.kind in "iub" and x.dtype.kind in "ib"
    columns = 1 if x.ndim == 1 else x.shape[1]
    data, attr = _pattern(_as_compressed(a), columns, transposed)
    code = T.promote(data, x)
    y = T.structural("spmm", (data, x), attr, (m, *x.shape[1:]), code, (code, code))
    return T.astype(y, np.int64) if whole else y


def traced_entries() -> dict[str, Any]:
    """What scipy_sparse.py does with operands that would make a matrix with traced entries."""
    if not recording:                    # scipy.sparse was imported while something is recorded
        importlib.import_module("fastad.scipy_sparse")
    return recording


def _meaning(a: Any, name: str, x: Any, original: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    if not T.is_traced(x):               # memory made by an intercepted np.zeros: SciPy computes
        return T.wrap(original(a, T.concrete(x), *args, **kwargs))
    elementwise = name in _ENTRYWISE or (name in ("__mul__", "__rmul__")
                                         and not isinstance(a, sys.modules["scipy.sparse"].spmatrix))
    if np.ndim(T.concrete(x)) == 0 or elementwise:
        return traced_entries()["by"](a, x, name == "_divide", *args, **kwargs)
    if name in _FROM_THE_RIGHT:
        return product(a, x.T, True).T if x.ndim == 2 else product(a, x, True)
    return product(a, x)


def _knowing(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def either(self: Any, other: Any, *args: Any, **kwargs: Any) -> Any:
        if type(other) is Scalar or type(other) is Array or isinstance(other, T.Complex):
            return _meaning(self, name, other, original, args, kwargs)
        if recording and (isinstance(other, recording["class"]) or type(getattr(self, "data", None)) is Array
                          or type(getattr(other, "data", None)) is Array):
            return recording["meet"](self, name, other, *args, **kwargs)
        return original(self, other, *args, **kwargs)
    return either


def replacements() -> dict[tuple[type, str], tuple[Any, Any]]:
    """Map (class, method name) of SciPy's sparse classes to (theirs, ours); empty until scipy.sparse is imported."""
    sparse: Any = sys.modules.get("scipy.sparse")
    if not hasattr(sparse, "lil_matrix"):            # not imported, or just being imported
        return {}
    found: dict[tuple[type, str], tuple[Any, Any]] = {}
    dispatching = all(hasattr(sparse.csr_array, name) for name in _DISPATCH)
    for name in ("csr", "csc", "coo", "bsr", "dia", "dok", "lil"):
        for cls in (getattr(sparse, name + "_array"), getattr(sparse, name + "_matrix")):
            for base in cls.__mro__:
                for method in (_DISPATCH if dispatching else _OPERATORS) + _ENTRYWISE + _SUMS:
                    if method in vars(base) and (base, method) not in found:
                        original = vars(base)[method]
                        found[base, method] = (original, _knowing(method, original))
    return found
