"""numpy_api.py - NumPy's protocols: every function is recorded, constant-valued, or refused with a reason.

Owns: dispatch (`ufunc`, `function`, `method` are called by the heart) and the declared sets.
Must not know: what the functions do; that is in the rooms beside it: operands, movers, rearranging, reductions,
selection, sorting, products, ufuncs, methods.
Next: interception.py (np.zeros, np.array ... of unmodified code).
"""
from __future__ import annotations

import sys
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad import composites, counting, einsum, factorizations, least_squares, norms, pythonic, sorting
from fastad.methods import method
from fastad.operands import (
    RECORDED,
    Flat,
    asarray,
    cast_to,
    existing,
    refusal,
    run_plain,
    scalar_value,
    traced,
    zeros_of,
)
from fastad.products import matmul
from fastad.rearranging import array, full, reshape
from fastad.selection import nonzero, put_flat, take_flat, where, wrap_index
from fastad.ufuncs import ufunc

# imported for what they register
ROOMS = (composites, counting, einsum, factorizations, least_squares, norms, pythonic, sorting)
__all__ = ["Flat", "array", "asarray", "cast_to", "full", "function", "matmul", "method", "nonzero", "put_flat",
           "reshape", "scalar_value", "take_flat", "ufunc", "where", "wrap_index", "zeros_of"]

# Their results depend on shapes and dtypes alone, or are text for people.
CONSTANT = {
    np.shape, np.ndim, np.size, np.result_type, np.can_cast, np.common_type, np.isrealobj, np.iscomplexobj,
    np.shares_memory, np.may_share_memory, np.zeros_like, np.ones_like, np.empty_like, np.array_repr, np.array_str,
    np.array2string, np.tril_indices_from, np.triu_indices_from, np.diag_indices_from, np.isreal, np.iscomplex,
    np.einsum_path, np.min_scalar_type,
}


# Why a function is refused; whole modules by their name.
EIGENVALUES = ("eigenvalues of a general matrix are complex numbers, which are not recorded yet; of a symmetric matrix "
               "take np.linalg.eigvalsh")
REFUSED: dict[Any, str] = {
    "numpy.fft": "Fourier transforms come with a later release; wrap it with ad.primitive meanwhile",
    **dict.fromkeys((np.linalg.eig, np.linalg.eigvals), EIGENVALUES),
    np.roots: "the roots of a polynomial are complex numbers, which are not recorded yet; follow one by Newton steps",
    **dict.fromkeys((np.partition, np.argpartition), "the order inside the parts is NumPy's own; use np.sort"),
    **dict.fromkeys((np.sort_complex,), "complex numbers are not recorded yet; use np.sort"),
    **dict.fromkeys((np.unique_all, np.unique_counts, np.unique_inverse, np.unique_values, np.union1d,
                     np.intersect1d, np.setdiff1d, np.setxor1d, np.trim_zeros, *existing("in1d")),
                    "the result's length depends on values; use np.unique, np.isin and masks, or ad.peek(x) for a "
                    "constant"),
    **dict.fromkeys((np.histogram2d, np.histogramdd, np.histogram_bin_edges),
                    "counts have no derivative; use ad.peek(x), or np.bincount(np.digitize(x, edges), weights)"),
    **dict.fromkeys((np.nanmedian, np.nanpercentile, np.nanquantile), "the number of NaN would decide the formula; "
                    "take np.median of x[~np.isnan(x)]"),
    **dict.fromkeys((np.save, np.savetxt, np.savez, np.savez_compressed), "files hold numbers; save ad.peek(x)"),
    **dict.fromkeys((np.angle,), "complex numbers are not recorded yet; use np.arctan2"),
    **dict.fromkeys((np.packbits, np.unpackbits), "bits are not traced"),
    np.emath.sqrt.__module__: "its functions may give complex numbers, which are not recorded yet; use np.sqrt ...",
    **dict.fromkeys((np.polymul,), "use np.convolve of the coefficients"),
}

# What never comes here: functions that NumPy dispatches for their `like=` alone, and those of files, dates and text.
UNDISPATCHED = {
    np.arange, np.array, np.asanyarray, np.asarray, np.empty, np.eye, np.frombuffer, np.fromfile, np.fromfunction,
    np.fromiter, np.fromstring, np.full, np.genfromtxt, np.identity, np.loadtxt, np.ones, np.require, np.tri, np.zeros,
    np.busday_count, np.busday_offset, np.datetime_as_string, np.is_busday,
}
FOREIGN = ("numpy.strings", "numpy.char", "numpy.rec")


def function(func: Any, types: Any, args: Any, kwargs: Any) -> Any:
    """What `__array_function__` of the traced scalar and array does."""
    if func in CONSTANT:
        out = run_plain(func, args, kwargs)
        return T.recordable(out) if type(out) is np.ndarray and traced(args) else out
    if not traced(args) and not (kwargs and traced(tuple(kwargs.values()))):
        return run_plain(func, args, kwargs)
    implementation = RECORDED.get(func)
    if implementation is not None:
        return implementation(*args, **kwargs)
    if (getattr(func, "__module__", "") or "").startswith("numpy.polynomial."):
        return func._implementation(*args, **kwargs)             # Python code, recorded like the user's
    why = REFUSED.get(func) or REFUSED.get((getattr(func, "__module__", "") or "").rpartition("._")[0]) \
        or REFUSED.get(getattr(func, "__module__", ""))
    raise refusal(name_of(func), why or "this NumPy function is not recorded. Write it out with recorded functions, "
                  "wrap it with ad.primitive, or pass ad.peek(x) if a constant is meant")


def name_of(func: Any) -> str:
    """NumPy's name of a function."""
    module = getattr(func, "__module__", "") or ""
    return f"{module.replace('numpy', 'np', 1)}.{func.__name__}"


T.register_numpy_api(sys.modules[__name__])
