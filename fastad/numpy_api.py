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
from fastad import (
    complex_functions,
    complex_matrices,
    complex_methods,
    complex_rows,
    composites,
    counting,
    einsum,
    factorizations,
    fourier,
    least_squares,
    norms,
    padding,
    partitions,
    pythonic,
    quantiles,
    sorting,
)
from fastad.checking import checked, usual
from fastad.complex_conversion import complex_cast, put_complex
from fastad.complex_values import DOORS, recordable_complex
from fastad.methods import method
from fastad.objects import boxed, unboxed
from fastad.operands import (
    DATA,
    RECORDED,
    Flat,
    asarray,
    cast_to,
    refusal,
    requested,
    run_plain,
    scalar_value,
    traced,
    zeros_of,
)
from fastad.products import matmul as real_matmul
from fastad.rearranging import array, astype, full, full_like, reshape, strided
from fastad.selection import nonzero, put_flat, take_flat, where, wrap_index
from fastad.ufuncs import ufunc as real_ufunc

# Imported for what they register.
ROOMS = (complex_matrices, composites, counting, einsum, factorizations, fourier, least_squares, norms, padding,
         partitions, pythonic, quantiles, sorting)
__all__ = ["array", "asarray", "astype", "boxed", "cast_to", "complex_cast", "complex_ufunc", "Flat", "full",
           "full_like", "function", "matmul", "method", "nonzero", "put_complex", "put_flat", "recordable_complex",
           "requested", "reshape", "scalar_value", "strided", "take_flat", "ufunc", "unboxed", "where", "wrap_index",
           "zeros_of"]

# Their results depend on shapes and dtypes alone, or are text for people.
CONSTANT = {
    np.shape, np.ndim, np.size, np.result_type, np.can_cast, np.common_type, np.isrealobj, np.iscomplexobj,
    np.shares_memory, np.may_share_memory, np.zeros_like, np.ones_like, np.empty_like, np.array_repr, np.array_str,
    np.array2string, np.tril_indices_from, np.triu_indices_from, np.diag_indices_from, np.isreal, np.iscomplex,
    np.einsum_path, np.min_scalar_type,
}
VALUED = {np.isreal, np.iscomplex}       # of complex arrays they depend on values

# Why a function is refused; whole modules by their name.
EIGENVALUES = ("eigenvalues of a general matrix are complex numbers, which are not recorded yet; of a symmetric matrix "
               "take np.linalg.eigvalsh")
REFUSED: dict[Any, str] = {
    **dict.fromkeys((np.linalg.eig, np.linalg.eigvals), EIGENVALUES),
    np.roots: "the roots of a polynomial are eigenvalues, which are not recorded; follow one by Newton steps",
    **dict.fromkeys((np.sort_complex,), "use np.sort"),
    **dict.fromkeys((np.save, np.savetxt, np.savez, np.savez_compressed), "files hold numbers; save ad.peek(x)"),
    **dict.fromkeys((np.busday_count, np.busday_offset, np.datetime_as_string, np.is_busday), "dates are not traced"),
    **dict.fromkeys((np.packbits, np.unpackbits), "bits are not traced"),
    np.emath.sqrt.__module__: "whether its functions give complex numbers depends on values; use np.sqrt(x + 0j) ...",
}

# What never comes here: functions that NumPy dispatches for their `like=` alone, and those of files, dates and text.
UNDISPATCHED = {
    np.arange, np.array, np.asanyarray, np.asarray, np.empty, np.eye, np.frombuffer, np.fromfile, np.fromfunction,
    np.fromiter, np.fromstring, np.full, np.genfromtxt, np.identity, np.loadtxt, np.ones, np.require, np.tri, np.zeros,
}
FOREIGN = ("numpy.strings", "numpy.char", "numpy.rec")


def function(func: Any, types: Any, args: Any, kwargs: Any) -> Any:
    """What `__array_function__` of the traced scalar and array does."""
    if func in CONSTANT and not (func in VALUED and T.complex_among(*args)):
        out = run_plain(func, args, kwargs)
        return T.recordable(out) if type(out) is np.ndarray and traced(args) else out
    if not traced(args) and not (kwargs and traced(tuple(kwargs.values()))):
        return run_plain(func, args, kwargs)
    if T.complex_among(*args) or (kwargs and T.complex_among(*kwargs.values())):
        return complex_function(func, args, kwargs)
    implementation = RECORDED.get(func)
    if implementation is not None:
        data = DATA.get(implementation, 0)
        if not data or usual(args, kwargs, data):
            return implementation(*args, **kwargs)
        return checked(func, implementation, args, kwargs, name_of(func))
    if (getattr(func, "__module__", "") or "").startswith("numpy.polynomial."):
        return func._implementation(*args, **kwargs)             # Python code, recorded like the user's
    raise refusal(name_of(func), reason(func) or "this NumPy function is not recorded. Write it out with recorded "
                  "functions, wrap it with ad.primitive, or pass ad.peek(x) if a constant is meant")


def reason(func: Any) -> str | None:
    """Why a function is refused, by its own name or its module's."""
    module = getattr(func, "__module__", "") or ""
    return REFUSED.get(func) or REFUSED.get(module.rpartition("._")[0]) or REFUSED.get(module)


def complex_function(func: Any, args: Any, kwargs: Any) -> Any:
    """The same where an argument is complex."""
    found = complex_functions.call(func, args, kwargs)
    if found is NotImplemented:
        raise refusal(name_of(func), "this NumPy function is not recorded for complex arguments; use its real and "
                      "imaginary parts, or wrap it with ad.primitive")
    return found


def ufunc(func: Any, method: Any, inputs: Any, kwargs: Any) -> Any:
    """What `__array_ufunc__` of the traced values does."""
    if T.complex_among(*inputs):
        return complex_methods.ufunc(func, method, inputs, kwargs)
    return real_ufunc(func, method, inputs, kwargs)


def complex_ufunc(func: Any, inputs: Any) -> Any:
    """A row of the table with complex operands."""
    return complex_rows.call(func, inputs)


def matmul(a: Any, b: Any) -> Any:
    """a @ b."""
    if T.complex_among(a, b):
        if T.tape_of(a, b) is None:
            return run_plain(np.matmul, (a, b), {})
        return complex_functions.matmul(a, b)
    return real_matmul(a, b)


DOORS["function"] = function


def name_of(func: Any) -> str:
    """NumPy's name of a function."""
    module = getattr(func, "__module__", "") or ""
    return f"{module.replace('numpy', 'np', 1)}.{func.__name__}"


T.register_numpy_api(sys.modules[__name__])
