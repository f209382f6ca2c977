"""methods.py - the methods and attributes of traced arrays and numbers that are not in the heart.

Owns: which method of ndarray is recorded, which is refused and why, and in-place methods (fill, sort, resize ...).
Must not know: what the functions behind the methods do (the rooms that register in METHODS).
"""
from __future__ import annotations

import builtins
from functools import partial
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad.checking import checked, usual
from fastad.operands import (
    DATA,
    METHODS,
    Array,
    asarray,
    bare,
    refusal,
    rewrapped,
    traced,
    view_of,
)

# Attributes whose absence NumPy and others take as "not an ndarray"; everything else that we lack is refused loudly.
ABSENT = {"__array_interface__", "__array_struct__", "__buffer__", "__dlpack__",
          "__dlpack_device__", "__array_finalize__", "__array_wrap__", "__array_namespace__", "device", "to_device",
          "itemset", "ptp"}              # removed from NumPy 2, which keeps the names for a while to say so
FOREIGN = dict.fromkeys(("ctypes", "data"), "compiled code cannot read the memory of traced arrays; wrap it with "
                        "ad.primitive and its derivative, or hand it ad.peek(x) if a constant is meant")
OF_NUMBERS = {
    "as_integer_ratio": "fractions are not traced; for the functions of `statistics` write np.mean, np.var, np.std",
    "hex": "text is not traced; use ad.peek(x)",
}
REFUSED = {
    "tobytes": "bytes are not traced; use ad.peek(x) for the present value",
    "tostring": "bytes are not traced; use ad.peek(x) for the present value",       # of NumPy before 2.3
    "tofile": "a file would hold the present value only; use ad.peek(x)",
    "dump": "a traced array cannot be pickled; use ad.peek(x)",
    "dumps": "a traced array cannot be pickled; use ad.peek(x)",
    "byteswap": "the memory of traced arrays cannot be read in another byte order",
    "getfield": "fields of structured arrays are not recorded",
    "setfield": "fields of structured arrays are not recorded",
    "newbyteorder": "other byte orders are not recorded",
    "resize": "an array cannot change its size in place; use x = np.resize(x, shape)",
}


def method(x: Any, name: str) -> Any:
    """What `x.name` is for a name that the heart does not know."""
    implementation = METHODS.get(name)
    if implementation is not None and (type(x) is Array or hasattr(np.generic, name) or name == "is_integer"):
        return partial(call, x, name, implementation)
    if name in FOREIGN:
        raise AttributeError(f"{T.here()}: ndarray.{name}: {FOREIGN[name]}")
    if type(x) is not Array and name in OF_NUMBERS and T.is_traced(x):
        raise refusal(f"float.{name}", OF_NUMBERS[name])
    if name[:2] == "__" or name in ABSENT or not hasattr(np.ndarray, name):
        kind = "numpy.ndarray" if type(x) is Array else f"numpy.{x.dtype}"
        raise AttributeError(f"'{kind}' object has no attribute '{name}'")
    if not T.is_traced(x):
        return partial(call, x, name, None)
    why = REFUSED.get(name)
    if why is None:
        raise AttributeError(f"{T.here()}: the attribute '{name}' of arrays is not recorded")
    raise refusal(f"ndarray.{name}", why)


def call(x: Any, name: str, implementation: Any, *args: Any, **kwargs: Any) -> Any:
    """Call a method: ours where something is traced, NumPy's on the concrete array otherwise."""
    if T.tape_of(x, *args) is not None or traced(args) or (kwargs and traced(tuple(kwargs.values()))):
        data = DATA.get(implementation, 0)
        if not data or usual((x, *args), kwargs, data):
            return implementation(x, *args, **kwargs)
        numpys = getattr(np.ndarray if type(x) is Array else np.generic, name)
        return checked(numpys, implementation, (x, *args), kwargs, f"ndarray.{name}")
    seen: list[Any] = []
    c = bare(x, seen)
    out = getattr(c, name)(*bare(args, seen), **{k: bare(v, seen) for k, v in kwargs.items()})
    return rewrapped(out, seen)


def as_method(implementation: Any) -> Any:
    """Register under its own name."""
    METHODS[implementation.__name__] = implementation
    return implementation


@as_method
def view(a: Any, dtype: Any = None, type: Any = None) -> Any:
    """x.view(): of itself, or of pairs of floats as complex numbers."""
    if dtype is None or isinstance(dtype, builtins.type) and issubclass(dtype, np.ndarray):
        dtype, type = None, type or dtype
    if type not in (None, np.ndarray):
        raise refusal("ndarray.view", f"{type.__name__} is not recorded; use x.view() or x[...]")
    if dtype is None or np.dtype(dtype) == a.dtype:
        return a[...]
    if builtins.type(a) is not Array or np.empty(0, dtype).real.dtype != a.dtype:
        raise refusal("ndarray.view", "the memory of traced arrays cannot be read in another dtype; use astype, or "
                      "x.view() for a view")
    return view_of(a, T.concrete(a).view(dtype))


@as_method
def fill(a: Any, value: Any) -> None:
    """Write one number everywhere."""
    if np.ndim(value):
        value = asarray(value).reshape(())
    a[...] = value


@as_method
def item(a: Any, *args: Any) -> Any:
    """One element, as a traced number of Python's."""
    if not args:
        if a.size != 1:
            raise ValueError("can only convert an array of size 1 to a Python scalar")
        return T.python_number(a[(0,) * a.ndim])
    if len(args) == 1 and not isinstance(args[0], tuple):
        return T.python_number(a[np.unravel_index(range(a.size)[args[0]], a.shape)] if type(a) is Array else a)
    return T.python_number(a[args[0] if len(args) == 1 else args])


@as_method
def is_integer(a: Any) -> Any:
    """Has a number no fraction?"""
    if type(a) is Array:
        raise AttributeError("'numpy.ndarray' object has no attribute 'is_integer'")
    return np.equal(a, np.floor(a)) & np.isfinite(a)


@as_method
def tolist(a: Any) -> Any:
    """Nested lists of traced numbers of Python's."""
    if a.ndim == 0:
        return T.python_number(a[()])
    return [tolist(row) if isinstance(row, np.ndarray) else T.python_number(row) for row in a]


@as_method
def conj(a: Any) -> Any:
    """Real arrays are their own conjugates."""
    return a


@as_method
def conjugate(a: Any) -> Any:
    """Real arrays are their own conjugates."""
    return a


@as_method
def choose(a: Any, choices: Any, out: Any = None, mode: Any = "raise") -> Any:
    """a.choose(choices)."""
    return np.choose(a, choices, out, mode)


@as_method
def setflags(a: Any, write: Any = None, align: Any = None, uic: Any = None) -> None:
    """x.setflags(write=False)."""
    T.concrete(a).setflags(**{k: v for k, v in (("write", write), ("align", align)) if v is not None})


@as_method
def round(a: Any, decimals: Any = 0, out: Any = None) -> Any:
    """x.round(n)."""
    return np.round(a, decimals, out)
