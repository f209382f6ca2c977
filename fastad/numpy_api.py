"""numpy_api.py - NumPy's protocols: every function is recorded, constant-valued, or refused with a reason.

Owns: dispatch (`ufunc`, `function`, `method` are called by the heart) and the declared sets.
Must not know: what the functions do; that is in the rooms beside it: operands, movers, rearranging, reductions,
selection, sorting, products, ufuncs, methods.
Next: interception.py (np.zeros, np.array ... of unmodified code).
"""
from __future__ import annotations

from typing import Any

import numpy as np

from fastad import _tape as T
from fastad.methods import method
from fastad.operands import RECORDED, Flat, asarray, cast_to, refusal, run_plain, scalar_value, traced, zeros_of
from fastad.products import matmul
from fastad.rearranging import array, full, reshape
from fastad.selection import nonzero, put_flat, take_flat, where, wrap_index
from fastad.ufuncs import ufunc

__all__ = ["Flat", "array", "asarray", "cast_to", "full", "function", "matmul", "method", "nonzero", "put_flat",
           "reshape", "scalar_value", "take_flat", "ufunc", "where", "wrap_index", "zeros_of"]

# Their results depend on shapes and dtypes alone, or are text for people.
CONSTANT = {
    np.shape, np.ndim, np.size, np.result_type, np.can_cast, np.common_type, np.isrealobj, np.iscomplexobj,
    np.shares_memory, np.may_share_memory, np.zeros_like, np.ones_like, np.empty_like, np.array_repr, np.array_str,
    np.array2string, np.tril_indices_from, np.triu_indices_from, np.diag_indices_from, np.isreal, np.iscomplex,
    np.einsum_path,
}


def function(func: Any, types: Any, args: Any, kwargs: Any) -> Any:
    """What `__array_function__` of the traced scalar and array does."""
    if func in CONSTANT:
        return run_plain(func, args, kwargs)
    if not traced(args) and not (kwargs and traced(tuple(kwargs.values()))):
        return run_plain(func, args, kwargs)
    implementation = RECORDED.get(func)
    if implementation is not None:
        return implementation(*args, **kwargs)
    raise refusal(name_of(func), "this NumPy function is not recorded")


def name_of(func: Any) -> str:
    """NumPy's name of a function."""
    module = getattr(func, "__module__", "") or ""
    return f"{module.replace('numpy', 'np', 1)}.{func.__name__}"
