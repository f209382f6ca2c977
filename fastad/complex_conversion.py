"""complex_conversion.py - complex values in another dtype, and made of lists.

Owns: astype and asarray where a value or the dtype is complex, numbers of Python's as NumPy's and back, nested lists,
complex values written into real arrays.
Must not know: arithmetic (complex_rows.py), NumPy's functions (complex_functions.py).
"""
from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad.complex_values import (
    DISCARDS,
    DOORS,
    ComplexNumber,
    base_of,
    both,
    fresh,
    lifted,
    make,
    number,
    pairs_view,
    parts,
    plain_key,
    weak,
)
from fastad.operands import FLOAT, RECORDED, Complex, Scalar, asarray, cast_to, is_array

# ---- dtypes ----------------------------------------------------------------------------------------------------------

def complex_cast(x: Any, dtype: Any) -> Any:
    """x.astype(dtype) where x or the dtype is complex."""
    if dtype.kind == "c":
        code = base_of(dtype)
        re, im = both(x)
        if not is_array(re):             # (by the parts, as a number of Python's has to become one of NumPy's)
            return make(strong(re, code), strong(im, code), code)
        re, im = (fresh(x) if x.dtype == T.DTYPES[code] else x.astype(T.DTYPES[code]) for x in (re, im))
        return make(re, im, code)
    if dtype.kind == "b":
        return DOORS["call"](np.not_equal, (x, 0))
    warnings.warn(DISCARDS, np.exceptions.ComplexWarning, stacklevel=3)
    re = fresh(x.re)
    return re if re.dtype == dtype else T.astype(re, dtype)


def strong(x: Any, code: int) -> Any:
    """A part of a number as a number of NumPy's of this dtype."""
    if type(x) is Scalar and T.is_weak(x) and code == FLOAT:
        return x * np.float64(1.0)
    return number(x, code)


def recast(y: Any, code: int) -> Any:
    """A result whose real and imaginary parts have the dtype of the code; of booleans and integers nothing changes."""
    if isinstance(y, Complex):
        return y if weak(y) or base_of(y.dtype) == code else make(cast_to(y.re, code), cast_to(y.im, code), code)
    return cast_to(y, code) if y.dtype.kind == "f" and y.dtype != T.DTYPES[code] else y


def weakened(y: Any) -> Any:
    """A result that nobody else has, as a number of Python's."""
    if type(y) is not ComplexNumber:
        return T.weakened(y)
    y.re, y.im = (T.weakened(x) if T.is_wrapped(x) else float(x) for x in (y.re, y.im))
    return y


def strengthened(y: Any) -> Any:
    """A number of Python's as one of NumPy's."""
    if type(y) is ComplexNumber:
        return ComplexNumber(strong(y.re, FLOAT), strong(y.im, FLOAT))
    return strong(y, FLOAT) if T.is_weak(y) else y


# ---- arrays ----------------------------------------------------------------------------------------------------------

def complex_asarray(x: Any, dtype: Any = None, order: Any = None, copy: Any = None) -> Any:
    """np.asarray of a complex value."""
    z = lifted(x) if isinstance(x, ComplexNumber) or type(x) is ComplexNumber else x
    if dtype is not None and np.dtype(dtype) != z.dtype:
        z = complex_cast(z, np.dtype(dtype))
        copy = None
    if copy or (order not in (None, "K", "A") and not z.flags[f"{order}_CONTIGUOUS"]):
        z = z.copy(order or "K")
    return z


def nested(rows: Any) -> Any:
    """The array of a nested list in which there are complex values."""
    def split(x: Any) -> tuple[Any, Any]:
        if isinstance(x, (list, tuple)):
            found = [split(y) for y in x]
            return [a for a, _ in found], [b for _, b in found]
        re, im = both(x)
        return re, im
    plain = np.array(_concrete(rows))
    if T.tape_of(*_flat(rows)) is None:
        return T.wrap(plain)
    re, im = map(asarray, split(rows))
    return make(re, im, base_of(plain.dtype))


def _flat(rows: Any) -> list[Any]:
    return [y for x in rows for y in (_flat(x) if isinstance(x, (list, tuple)) else [x])]


def _concrete(rows: Any) -> Any:
    return [_concrete(x) if isinstance(x, (list, tuple)) else T.concrete(x) for x in rows]


def put_complex(a: Any, key: Any, value: Any) -> None:
    """a[key] = value for a real array: NumPy's warning, or its error, and the real part."""
    c = np.array(T.concrete(a))
    known = plain_key(key)
    if known is None:
        warnings.warn(DISCARDS, np.exceptions.ComplexWarning, stacklevel=2)
    else:
        c[known] = T.concrete(value)
    a[key] = parts(value)[0]


def shared(z: Any, out: Any) -> Any:
    """The view of a complex array whose concrete one, complex or float64, is `out`."""
    return pairs_view(z.pairs, out) if out.dtype.kind == "c" else T.view(z.pairs, out)


RECORDED["complex view"] = shared
RECORDED["pairs view"] = pairs_view
RECORDED["complex cast"] = complex_cast
RECORDED["complex nested"] = nested
RECORDED["complex asarray"] = complex_asarray
