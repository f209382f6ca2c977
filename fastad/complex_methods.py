"""complex_methods.py - the methods of complex arrays, and ufuncs on them with keywords and their methods.

Owns: what `__array_ufunc__` does where an operand is complex, and which method of ndarray is recorded.
Must not know: formulas (complex_rows.py), functions (complex_functions.py, where most methods end).
"""
from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad import complex_rows
from fastad.complex_conversion import complex_cast
from fastad.complex_functions import COMPLEX, as_complex, deliver, in_dtype, matmul
from fastad.complex_values import DOORS, ComplexNumber, as_floats, both, from_pairs, joined, weak
from fastad.movers import relayout
from fastad.operands import FLOAT, Flat, asarray, cast_to, existing, is_array, refusal, run_plain

# ---- ufuncs with keywords, and their methods -------------------------------------------------------------------------


UFUNCS: dict[Any, Any] = {np.matmul: matmul, np.vecdot: COMPLEX[np.vecdot]}
for _name, _g in (("matvec", lambda a, v: matmul(a, v[..., None])[..., 0]),
                  ("vecmat", lambda v, a: matmul(np.conj(v)[..., None, :], a)[..., 0, :])):
    for _f in existing(_name):
        UFUNCS[_f] = _g
REDUCE: dict[Any, Any] = {np.add: np.sum, np.multiply: np.prod, np.logical_and: np.all, np.logical_or: np.any}
ACCUMULATE: dict[Any, Any] = {np.add: np.cumsum, np.multiply: np.cumprod}


def ufunc(func: Any, method: str, inputs: Any, kwargs: Any) -> Any:
    """`__array_ufunc__` where an operand is complex."""
    if method != "at":                   # whose second operand is an index
        inputs = tuple([asarray(x) if isinstance(x, (list, tuple)) else x for x in inputs])
    if T.tape_of(*inputs, *kwargs.values()) is None and not any(
            isinstance(x, (tuple, list)) and T.tape_of(*x) is not None for x in kwargs.values()):
        return run_plain(getattr(func, method), inputs, kwargs)
    name = func.__name__
    if method == "__call__":
        return _called(func, inputs, **kwargs)
    if method == "reduce" and func in REDUCE:
        axis = inputs[1] if len(inputs) > 1 else kwargs.pop("axis", 0)
        return REDUCE[func](inputs[0], axis=axis, **kwargs)
    if method == "accumulate" and func in ACCUMULATE:
        axis = inputs[1] if len(inputs) > 1 else kwargs.pop("axis", 0)
        return ACCUMULATE[func](inputs[0], axis=axis, **kwargs)
    if method == "outer":
        a, b = asarray(inputs[0]), asarray(inputs[1])
        return _called(func, (a.reshape(a.shape + (1,) * b.ndim), b), **kwargs)
    if method == "at" and func in (np.add, np.subtract) and isinstance(inputs[0], T.Complex):
        re, im = both(inputs[2])
        func.at(inputs[0].re, inputs[1], re)
        func.at(inputs[0].im, inputs[1], im)
        return None
    raise refusal(f"{name}.{method}", "not recorded for complex arrays; write a loop, or use its parts")


def _called(func: Any, inputs: Any, out: Any = None, where: Any = True, dtype: Any = None, casting: Any = "same_kind",
            order: Any = "K", subok: bool = True, **kwargs: Any) -> Any:
    name = func.__name__
    if kwargs:
        raise refusal(name, f"{', '.join(kwargs)}= are not recorded; move the axes first")
    if dtype is not None:
        inputs = [in_dtype(x, dtype, name) for x in inputs]
    special = UFUNCS.get(func)
    if special is not None:
        y = special(*inputs)
    elif T.complex_among(*inputs):
        y = complex_rows.call(func, inputs, operator=False)
    else:
        y = func(*inputs)
    if where is not True:
        if out is None:
            raise refusal(name, "where= without out= leaves elements uninitialised; use np.where(mask, f(z), other)")
        y = np.where(where, y, out[0] if isinstance(out, tuple) else out)
    return deliver(out, y, f"ufunc '{name}'")


DOORS.update(ufunc=ufunc, matmul=matmul)


# ---- methods ---------------------------------------------------------------------------------------------------------

def copy(z: Any, order: Any = "C") -> Any:
    """z.copy(): pairs, in the order of z."""
    if isinstance(z, ComplexNumber) or not is_array(z):
        return z
    like = z.concrete().copy(order)
    if not T.is_traced(z):
        return T.wrap(like)
    pairs = joined(z.re, z.im, z.shape) if z.pairs is None else z.pairs.copy("C")
    return from_pairs(relayout(pairs, as_floats(like)))


COMPLEX[np.copy] = lambda a, order="K", subok=False: copy(as_complex(a), order)


def view(z: Any, dtype: Any = None) -> Any:
    """z.view(): of itself, or of the memory as its real dtype."""
    if dtype is None or dtype is np.ndarray or np.dtype(dtype) == z.dtype:
        return z[...]
    if np.dtype(dtype) != z.re.dtype:
        raise refusal("ndarray.view", f"complex memory read as {np.dtype(dtype)} is not recorded")
    if z.pairs is None:                  # its parts have memory of their own, and others may have views of it
        raise refusal("ndarray.view", "the real and imaginary parts of a computed array do not lie side by side here; "
                      "write np.array(z).view(float), or np.stack((z.real, z.imag), -1)")
    c = z.concrete().view(z.re.dtype)
    return T.view(z.pairs, c)


def astype(z: Any, dtype: Any, order: Any = "K", casting: Any = "unsafe", subok: bool = True, copy: bool = True) -> Any:
    """z.astype(dtype)."""
    dtype = np.dtype(dtype)
    if dtype == z.dtype and not copy:
        return z
    return complex_cast(z, dtype)


def tolist(z: Any) -> Any:
    """Nested lists of complex numbers."""
    if z.ndim == 0:
        return of_python(z[()])
    return [tolist(z[k]) for k in range(len(z))]


def of_python(z: Any) -> Any:
    """A number as one of Python's: in double precision, and weak where it meets others."""
    def part(x: Any) -> Any:
        if not T.is_wrapped(x):
            return float(x)
        return T.weakened(x * 1.0 if x.dtype == np.float64 else cast_to(x, FLOAT))
    return z if not isinstance(z, ComplexNumber) or weak(z) else ComplexNumber(part(z.re), part(z.im))


def item(z: Any, *args: Any) -> Any:
    """One element."""
    if not z.ndim:
        return of_python(z[()])
    if not args:
        if z.size != 1:
            raise ValueError("can only convert an array of size 1 to a Python scalar")
        return of_python(z[(0,) * z.ndim])
    key = args[0] if len(args) == 1 else args
    return of_python(z[np.unravel_index(range(z.size)[key], z.shape)] if isinstance(key, int) else z[key])


def fill(z: Any, value: Any) -> None:
    """One number everywhere."""
    z[...] = value


def flatten(z: Any, order: Any = "C") -> Any:
    """A copy in one dimension."""
    return copy(np.ravel(z, order))


def reshape(z: Any, *shape: Any, order: Any = "C", copy: Any = None) -> Any:
    """z.reshape(2, 3), z.reshape((2, 3))."""
    return np.reshape(z, shape[0] if len(shape) == 1 else shape, order)


def transpose(z: Any, *axes: Any) -> Any:
    """z.transpose(1, 0), z.transpose((1, 0))."""
    return np.transpose(z, None if not axes else axes[0] if len(axes) == 1 else axes)


METHODS: dict[str, Any] = {"copy": copy, "view": view, "astype": astype, "tolist": tolist, "item": item, "fill": fill,
                           "flatten": flatten, "reshape": reshape, "transpose": transpose,
                           "setflags": lambda z, write=None, **kwargs: [x.setflags(write=write) for x in (z.re, z.im)]
                           and None}
_OF_FUNCTIONS = ("sum", "mean", "prod", "cumsum", "cumprod", "var", "std", "dot", "ravel", "squeeze", "swapaxes",
                 "trace", "diagonal", "repeat", "take", "round", "nonzero", "any", "all", "max", "min", "sort",
                 "argsort", "argmax", "argmin", "clip", "put", "ptp", "searchsorted", "partition")


def method(z: Any, name: str) -> Any:
    """What `z.name` is."""
    found = METHODS.get(name)
    if found is not None:
        return partial(found, z)
    if name in _OF_FUNCTIONS:
        return partial(getattr(np, name), z)
    if name == "compress":
        return lambda condition, *args, **kwargs: np.compress(condition, z, *args, **kwargs)
    if name[:2] == "__" or not hasattr(np.ndarray, name) or name in ("device", "to_device"):
        raise AttributeError(f"'numpy.{'ndarray' if is_array(z) else z.dtype}' object has no attribute '{name}'")
    raise refusal(f"ndarray.{name}", "not recorded for complex arrays")


DOORS.update(method=method, flat=Flat)
