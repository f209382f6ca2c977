"""composites.py - NumPy functions that are short formulas over recorded ones.

Owns: differences, convolution, tests of closeness, functions that ignore NaN, grids with traced ends, and the like.
Must not know: the tape.
Next: pythonic.py (functions whose own Python code in NumPy simply runs).
"""
from __future__ import annotations

import functools
import operator
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad.operands import (
    BOOL,
    FLOAT,
    INT,
    METHODS,
    NOVALUE,
    REAL,
    SINGLE,
    Array,
    asarray,
    axis_number,
    cast_to,
    code_of,
    deliver,
    inexact,
    joint,
    live,
    records,
    refusal,
    requested,
    shape_of,
)
from fastad.products import matmul
from fastad.reductions import (
    every,
    largest,
    mean,
    product,
    root,
    running_product,
    running_sum,
    smallest,
    total,
    variance,
)
from fastad.sorting import argmax, argmin

select = functools.partial(T.elementwise, "where")


# ---- elementwise ----------------------------------------------------------------------------------------------------

@records(np.real)
def real(val: Any) -> Any:
    """Real arrays are their own real part."""
    return val


@records(np.real_if_close, data=1)
def real_if_close(a: Any, tol: Any = 100) -> Any:
    """The same, as an array."""
    return asarray(a)


@records(np.imag)
def imag(val: Any) -> Any:
    """The imaginary part of a real array."""
    return np.zeros_like(T.concrete(asarray(val)))


@records(np.round, np.around, data=2)
def around(a: Any, decimals: Any = 0, out: Any = None) -> Any:
    """Round to decimals, half to even."""
    decimals = operator.index(decimals)
    if code_of(a) not in REAL:
        if decimals < 0 or code_of(a) == BOOL:
            raise refusal("round", "integers and booleans are rounded to whole numbers only")
        return deliver(out, a, "round")
    scale = 10.0 ** abs(decimals)
    if decimals == 0:
        y = np.rint(a)
    else:
        y = np.rint(a * scale) / scale if decimals > 0 else np.rint(a / scale) * scale
    return deliver(out, y, "round")


@records(np.fix, data=1)
def fix(x: Any, out: Any = None) -> Any:
    """Round towards zero."""
    return deliver(out, np.trunc(x), "fix")


@records(np.isposinf, data=1)
def isposinf(x: Any, out: Any = None) -> Any:
    """Is it +inf?"""
    return deliver(out, np.equal(x, np.inf), "isposinf")


@records(np.isneginf, data=1)
def isneginf(x: Any, out: Any = None) -> Any:
    """Is it -inf?"""
    return deliver(out, np.equal(x, -np.inf), "isneginf")


@records(np.nan_to_num, data=1)
def nan_to_num(x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    """Numbers in place of NaN and infinities."""
    if code_of(x) not in REAL:
        return np.copy(x) if copy else x
    limits = np.finfo(T.DTYPES[code_of(x)])
    y = select(np.isnan(x), nan, x)
    y = select(np.equal(x, np.inf), float(limits.max) if posinf is None else posinf, y)
    y = select(np.equal(x, -np.inf), float(limits.min) if neginf is None else neginf, y)
    if not copy and type(x) is Array:
        x[...] = y
        return x
    return y


@records(np.isclose, data=4)
def isclose(a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: bool = False) -> Any:
    """|a - b| <= atol + rtol |b|: traced booleans."""
    a, b = (live(asarray(v) if isinstance(v, (list, tuple)) else v) for v in (a, b))
    same = np.equal(a, b)
    fine = np.isfinite(b)
    gap = np.abs(np.subtract(inexact(a), inexact(b)))
    near = np.less_equal(select(same, 0.0, gap), atol + rtol * np.abs(inexact(b)))
    y = (near & fine) | same
    return y | (np.isnan(a) & np.isnan(b)) if equal_nan else y


@records(np.allclose, data=4)
def allclose(a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: bool = False) -> Any:
    """Are all elements close: a traced boolean, which an `if` guards."""
    return np.all(isclose(a, b, rtol, atol, equal_nan))


@records(np.array_equal, data=3)
def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> Any:
    """The same shape and elements: a traced boolean."""
    a1, a2 = asarray(a1), asarray(a2)
    if shape_of(a1) != shape_of(a2):
        return False
    same = np.equal(a1, a2)
    return np.all(same | (np.isnan(a1) & np.isnan(a2)) if equal_nan else same)


@records(np.array_equiv, data=2)
def array_equiv(a1: Any, a2: Any) -> Any:
    """The same elements after broadcasting: a traced boolean."""
    try:
        np.broadcast_shapes(shape_of(a1), shape_of(a2))
    except ValueError:
        return False
    return np.all(np.equal(a1, a2))


# ---- differences, diagonals, convolution ----------------------------------------------------------------------------

@records(np.diff, data=2)
def diff(a: Any, n: int = 1, axis: Any = -1, prepend: Any = NOVALUE, append: Any = NOVALUE) -> Any:
    """n-th differences along an axis."""
    if n < 0:
        raise ValueError(f"order must be non-negative but got {n!r}")
    if n == 0:
        return a
    x = live(asarray(a))
    if x.ndim == 0:
        raise ValueError("diff requires input that is at least one dimensional")
    axis = axis_number(axis, x.ndim)
    ends = []
    for end in (prepend, append):
        if end is not NOVALUE:
            end = asarray(end)
            end = np.broadcast_to(end, x.shape[:axis] + (1,) + x.shape[axis + 1:]) if end.ndim == 0 else end
        ends.append(end)
    parts = [v for v in (ends[0], x, ends[1]) if v is not NOVALUE]
    x = np.concatenate(parts, axis=axis) if len(parts) > 1 else x
    minus = np.not_equal if code_of(x) == BOOL else operator.sub
    lead = (slice(None),) * axis
    if n == 2:                           # the same differences, all by slices of x: one loop, with what is around it
        middle = x[(*lead, slice(1, -1))]
        return minus(minus(x[(*lead, slice(2, None))], middle), minus(middle, x[(*lead, slice(None, -2))]))
    for _ in range(n):
        x = minus(x[(*lead, slice(1, None))], x[(*lead, slice(None, -1))])
    return x


@records(np.linalg.trace, data=1)
def matrix_trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Any:
    """np.linalg.trace: of the last two axes."""
    return trace(x, offset, -2, -1, dtype)


@records(np.trace, method="trace", data=2)
def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: Any = None) -> Any:
    """Sum of a diagonal."""
    return total(np.diagonal(asarray(a), offset, axis1, axis2), -1, dtype, out)


def full_convolution(a: Any, v: Any) -> Any:
    """Convolution of 1-D arrays, all overlaps."""
    m = shape_of(v)[0]
    a = np.pad(a, m - 1)
    return matmul(np.lib.stride_tricks.sliding_window_view(a, m), v[::-1])


def cut(full: Any, n: int, m: int, mode: Any, early: int) -> Any:
    """The part of a full convolution that a mode returns."""
    mode = {0: "valid", 1: "same", 2: "full"}.get(mode, mode)
    if mode == "full":
        return full
    short, long = min(n, m), max(n, m)
    if mode == "same":
        start = (short - early) // 2
        return full[start:start + long]
    if mode == "valid":
        return full[short - 1:long]
    raise ValueError(f"mode must be one of 'valid', 'same', or 'full' (got {mode!r})")


@records(np.convolve, data=3)
def convolve(a: Any, v: Any, mode: Any = "full") -> Any:
    """Discrete convolution of 1-D arrays."""
    a, v = np.atleast_1d(live(asarray(a))), np.atleast_1d(live(asarray(v)))
    if not (a.size and v.size):
        raise ValueError("a cannot be empty" if not a.size else "v cannot be empty")
    long, short = (v, a) if v.size > a.size else (a, v)
    return cut(full_convolution(long, short), a.size, v.size, mode, 1)


@records(np.polymul, data=1)
def polymul(a1: Any, a2: Any) -> Any:
    """Product of polynomials, from the coefficients of the highest powers; leading zeros are dropped and guarded."""
    return convolve(coefficients(a1), coefficients(a2))


def coefficients(a: Any) -> Any:
    """A vector of coefficients without leading zeros."""
    a = np.atleast_1d(live(asarray(a)))
    if a.ndim > 1:
        raise ValueError("Polynomial must be 1d only.")
    a = np.trim_zeros(a, "f")
    return a if a.size else np.zeros(1)


@records(np.correlate, data=3)
def correlate(a: Any, v: Any, mode: Any = "valid") -> Any:
    """Cross-correlation of 1-D arrays."""
    a, v = live(asarray(a)), live(asarray(v))
    if a.ndim != 1 or v.ndim != 1 or not a.size or not v.size:
        np.correlate(np.empty(a.shape), np.empty(v.shape), mode)                 # NumPy's own error
    if v.size > a.size:
        return cut(full_convolution(v, a[::-1]), a.size, v.size, mode, 1)[::-1]
    return cut(full_convolution(a, v[::-1]), a.size, v.size, mode, 1)


# ---- NaN is ignored -------------------------------------------------------------------------------------------------

@records(np.nansum, data=1)
def nansum(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = NOVALUE, **kwargs: Any) -> Any:
    """Sum of what is a number."""
    return total(select(np.isnan(a), 0.0, a) if code_of(a) in REAL else a, axis, dtype, out, keepdims, **kwargs)


@records(np.nanprod, data=1)
def nanprod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = NOVALUE,
            **kwargs: Any) -> Any:
    """Product of what is a number."""
    return product(select(np.isnan(a), 1.0, a) if code_of(a) in REAL else a, axis, dtype, out, keepdims, **kwargs)


@records(np.nancumsum, data=1)
def nancumsum(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    """Cumulative sum with 0 for NaN."""
    return running_sum(select(np.isnan(a), 0.0, a), axis, dtype, out)


@records(np.nancumprod, data=1)
def nancumprod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    """Cumulative product with 1 for NaN."""
    return running_product(select(np.isnan(a), 1.0, a), axis, dtype, out)


@records(np.nanmax, data=1)
def nanmax(a: Any, axis: Any = None, out: Any = None, keepdims: Any = NOVALUE, **kwargs: Any) -> Any:
    """Maximum of what is a number; NaN where nothing is."""
    return _nan_extremum(largest, -np.inf, a, axis, out, keepdims, kwargs)


@records(np.nanmin, data=1)
def nanmin(a: Any, axis: Any = None, out: Any = None, keepdims: Any = NOVALUE, **kwargs: Any) -> Any:
    """Minimum of what is a number; NaN where nothing is."""
    return _nan_extremum(smallest, np.inf, a, axis, out, keepdims, kwargs)


def _nan_extremum(reduce: Any, neutral: float, a: Any, axis: Any, out: Any, keepdims: Any, kwargs: Any) -> Any:
    if code_of(a) not in REAL:
        return reduce(a, axis, out, keepdims, **kwargs)
    void = np.isnan(a)
    y = reduce(select(void, neutral, a), axis, None, keepdims, **kwargs)
    if kwargs.get("initial", NOVALUE) is not NOVALUE:
        return deliver(out, y, "nan extremum")
    nothing = every(void, axis, keepdims=keepdims)
    return deliver(out, select(nothing, np.nan, y), "nan extremum")


@records(np.nanargmax, data=1)
def nanargmax(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = NOVALUE) -> Any:
    """Position of the maximum of what is a number."""
    return argmax(numbers_or(-np.inf, a, axis), axis, out, keepdims=keepdims)


@records(np.nanargmin, data=1)
def nanargmin(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = NOVALUE) -> Any:
    """Position of the minimum of what is a number."""
    return argmin(numbers_or(np.inf, a, axis), axis, out, keepdims=keepdims)


def numbers_or(other: float, a: Any, axis: Any) -> Any:
    """a with another number for NaN; that there is a number in every line is guarded."""
    void = np.isnan(asarray(a))
    if bool(np.any(every(void, axis))):
        raise ValueError("All-NaN slice encountered")
    return select(void, other, a)


@records(np.nanmean, data=1)
def nanmean(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = NOVALUE,
            **kwargs: Any) -> Any:
    """Mean of what is a number; the count is traced."""
    if code_of(a) not in REAL or kwargs:
        return mean(a, axis, dtype, out, keepdims, **kwargs)
    n = total(~np.isnan(a), axis, keepdims=keepdims)
    return deliver(out, nansum(a, axis, keepdims=keepdims) / cast_to(n, code_of(a)), "nanmean")


@records(np.nanvar, data=1)
def nanvar(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = NOVALUE,
           **kwargs: Any) -> Any:
    """Variance of what is a number."""
    if code_of(a) not in REAL or kwargs:
        return variance(a, axis, dtype, out, ddof, keepdims, **kwargs)
    there = ~np.isnan(a)
    dev = select(there, a - nanmean(a, axis, keepdims=True), 0.0)
    n = total(there, axis, keepdims=keepdims) - ddof
    y = total(np.square(dev), axis, keepdims=keepdims) / cast_to(np.maximum(n, 1), code_of(a))
    y = select(np.greater(n, 0), y, np.nan)
    return deliver(out, y, "nanvar")


@records(np.nanstd, data=1)
def nanstd(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = NOVALUE,
           **kwargs: Any) -> Any:
    """Standard deviation of what is a number."""
    return deliver(out, root(nanvar(a, axis, dtype, None, ddof, keepdims, **kwargs)), "nanstd")


# ---- grids ----------------------------------------------------------------------------------------------------------

@records(np.linspace, data=3)
def linspace(start: Any, stop: Any, num: Any = 50, endpoint: bool = True, retstep: bool = False, dtype: Any = None,
             axis: int = 0, *, device: Any = None) -> Any:
    """Evenly spaced numbers between traced ends."""
    num = operator.index(num)
    if num < 0:
        raise ValueError(f"Number of samples, {num}, must be non-negative.")
    div = num - 1 if endpoint else num
    code = SINGLE if joint(start, stop) == SINGLE else FLOAT
    start, stop = (cast_to(live(asarray(v)), code) for v in (start, stop))
    delta = stop - start
    shape = shape_of(delta)
    steps = np.arange(num, dtype=T.DTYPES[code]).reshape((-1,) + (1,) * len(shape))
    step = delta / div if div > 0 else np.nan
    y = np.multiply(steps, step if div > 0 else delta) + start
    if endpoint and num > 1:
        y = np.concatenate([y[:-1], np.reshape(np.broadcast_to(stop, shape), (1, *shape))])
    if dtype is not None and requested(dtype, "linspace") == INT:
        y = np.floor(y)
    y = y if dtype is None else cast_to(y, requested(dtype, "linspace"))
    y = np.moveaxis(y, 0, axis) if axis != 0 else y
    return (y, step) if retstep else y


@records(np.logspace, data=3)
def logspace(start: Any, stop: Any, num: Any = 50, endpoint: bool = True, base: Any = 10.0, dtype: Any = None,
             axis: int = 0) -> Any:
    """Powers of the base with evenly spaced exponents."""
    y = np.power(base, linspace(start, stop, num, endpoint, axis=axis))
    return y if dtype is None else cast_to(y, requested(dtype, "logspace"))


@records(np.geomspace, data=3)
def geomspace(start: Any, stop: Any, num: Any = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0) -> Any:
    """Evenly spaced logarithms, between ends of the same sign."""
    start, stop = np.multiply(start, np.float64(1)), np.multiply(stop, np.float64(1))
    if bool(np.any(start == 0)) or bool(np.any(stop == 0)):
        raise ValueError("Geometric sequence cannot include zero")
    if not bool(np.all(np.sign(start) == np.sign(stop))):
        raise refusal("np.geomspace", "ends of different signs would give complex numbers")
    exponents = linspace(np.log10(np.abs(start)), np.log10(np.abs(stop)), num, endpoint, axis=axis)
    y = np.moveaxis(np.sign(start) * np.moveaxis(np.power(10.0, exponents), axis, 0), 0, axis)
    rows = np.moveaxis(y, axis, 0)       # a view
    if num > 0:
        rows[0] = start
    if num > 1 and endpoint:
        rows[-1] = stop
    return y if dtype is None else cast_to(y, requested(dtype, "geomspace"))


METHODS["conj"] = METHODS["conjugate"] = real
