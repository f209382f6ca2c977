"""complex_rows.py - NumPy's ufuncs on complex operands, as formulas of the real and imaginary parts.

Owns: one formula a ufunc.  Branch cuts and the sides of them are NumPy's (C99, annex G), which is why zeros are added
and multiplied as NumPy does it: the sign of a zero says on which side of a cut a number lies.  Division is Smith's.
The dtype of a result is NumPy's (NEP 50).  Of complex64 arithmetic is done in float32, and the longer formulas in
float64, of which the result is rounded: their differences would lose digits that NumPy has.
Where parts overflow or are infinite, results may be nan where NumPy gives an infinity.
Must not know: arrays, views (complex_values.py), ufuncs with keywords (complex_functions.py).
Sources: Kahan, Branch Cuts for Complex Elementary Functions (1987); Smith, Algorithm 116, CACM 5 (1962).
"""
from __future__ import annotations

import numbers
from collections.abc import Callable
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad.complex_conversion import recast, strengthened, weakened
from fastad.complex_products import LONG, product
from fastad.complex_values import (
    COMPLEX64,
    DOORS,
    ComplexArray,
    ComplexNumber,
    fresh,
    from_pairs,
    make,
    pairs_of,
    parts,
    weak,
)
from fastad.movers import relayout
from fastad.operands import FLOAT, SINGLE, Complex, cast_to, is_array, live, refusal, run_plain, shape_of

Pair = tuple[Any, Any]
PLAIN = (complex, float, int, np.float64, np.complex128)
ROWS: dict[Any, Callable[..., Any]] = {}
# Computed in float32 for complex64: products and sums without cancellation, which keep the digits that NumPy has.
IN_SINGLE = {np.add, np.subtract, np.multiply, np.true_divide, np.negative, np.positive, np.conjugate, np.square,
             np.rint, np.absolute, np.sign, np.reciprocal, np.sqrt, np.exp, np.sin, np.cos, np.sinh, np.cosh, "where"}
LN2, LN10 = float(np.log(2.0)), float(np.log(10.0))
ORDERING = ("NumPy orders complex numbers by the real part first, which has no useful derivative; order by abs(z), "
            "z.real or z.imag")
REFUSED: dict[Any, str] = dict.fromkeys((np.maximum, np.minimum, np.fmax, np.fmin, np.less, np.less_equal, np.greater,
                                         np.greater_equal), ORDERING)


def call(ufunc: Any, inputs: Any, operator: bool = True) -> Any:
    """A ufunc on operands of which one at least is complex; `operator`: of Python, whose numbers stay Python's."""
    if T.tape_of(*inputs) is None:
        return run_plain(ufunc, inputs, {})
    row = ROWS.get(ufunc)
    if row is None:
        why = REFUSED.get(ufunc)
        name = getattr(ufunc, "__name__", str(ufunc))
        if why is None:                  # NumPy's own error for what complex numbers do not have
            ufunc(*[np.ones(()) if not T.complex_among(x) else np.ones((), complex) for x in inputs])
            why = "there is no rule for complex operands; write it with z.real and z.imag"
        raise refusal(name, why)
    if ufunc is np.multiply:
        a, b = map(pairs_of, inputs)
        if a is not None and b is not None and a.shape == b.shape and a.dtype == b.dtype and a.size >= 2 * LONG:
            return from_pairs(product(a, b, a.shape[:-1]))
    if in_double(inputs):                # the usual case, in which nothing has to be converted
        y = row(*map(living, inputs))
        return laid_out(y, inputs) if isinstance(y, ComplexArray) and y.ndim > 1 else y
    of_type = inputs[1:] if ufunc == "where" else inputs
    single = ufunc is not np.float_power and np.result_type(*map(typed, of_type)) == COMPLEX64
    work = SINGLE if single and ufunc in IN_SINGLE else FLOAT
    y = row(*[tuple([worked(part, work) for part in living(x)]) for x in inputs])
    y = recast(y, SINGLE if single else FLOAT)
    if of_python(inputs):
        return weakened(y) if operator else strengthened(y)
    if operator and weak(inputs[0]) and len(inputs) == 2 and not is_array(inputs[1]) and typed(inputs[1]) == np.float64:
        return weakened(y)               # np.float64 is a float, which Python's complex numbers take as their own
    return laid_out(y, inputs) if isinstance(y, ComplexArray) and y.ndim > 1 else y


def in_double(inputs: Any) -> bool:
    """Is each operand an array or number of double precision or a number of Python's, and one of them an array?"""
    arrays = 0
    for x in inputs:
        kind = type(x)
        if kind is ComplexArray:
            if T.promote(x.re, x.im) != FLOAT:
                return False
        elif kind is np.ndarray or kind is T.Array:
            if x.dtype != np.float64 and x.dtype != np.complex128:
                return False
        elif kind in PLAIN or (kind is T.Scalar and T.kind_of(x) == FLOAT):
            continue
        elif kind is ComplexNumber and T.promote(x.re, x.im) == FLOAT:
            continue
        else:
            return False
        arrays += 1
    return arrays > 0


def laid_out(y: ComplexArray, inputs: Any) -> ComplexArray:
    """A result with both parts in the memory order that NumPy gives it: it decides which later reshapes are views."""
    arrays: list[Any] = [np.empty(()) if not is_array(x) else memory_of(x) for x in inputs]
    if all(a.flags.c_contiguous for a in arrays):
        if all(T.concrete(part).flags.c_contiguous for part in (y.re, y.im)):
            return y
        like = np.empty(y.shape)
    else:
        n = len(arrays)
        flags: list[Any] = [["readonly"]] * n + [["writeonly", "allocate"]]
        operands: Any = [*arrays, None]
        like = np.nditer(operands, op_flags=flags,
                         flags=["zerosize_ok"]).operands[n]
    return ComplexArray(relayout(y.re, like), relayout(y.im, like))


def memory_of(x: Any) -> Any:
    """An array of the shape and with the order in memory of an operand."""
    if not isinstance(x, T.Complex):
        return T.concrete(x)
    if x.pairs is None:
        return T.concrete(x.re)
    return np.empty_like(T.concrete(x), dtype=np.float64)


def living(x: Any) -> Pair:
    """Parts of an operand, of which those of the user's arrays are read again at every replay."""
    re, im = parts(x)
    return live(re), live(im)


def typed(x: Any) -> Any:
    """What an operand is to np.result_type: a dtype, or a number of Python's, which is weak."""
    if isinstance(x, Complex):
        return 1j if weak(x) else x.dtype
    if T.is_weak(x):
        return 1.0 if T.kind_of(x) == FLOAT else 1
    return x if type(x) is complex or type(x) is bool else (x if hasattr(x, "dtype") else np.asarray(x)).dtype


def of_python(inputs: Any) -> bool:
    return all(weak(x) or T.is_weak(x) for x in inputs)


def worked(x: Any, code: int) -> Any:
    """A part in the dtype in which a formula computes.  Traced numbers of Python's follow what they meet."""
    if x is None or (T.is_weak(x) and T.is_wrapped(x)):
        return x
    if not is_array(x) and not T.is_wrapped(x):
        return np.float32(x) if code == SINGLE else x if T.is_weak(x) else np.float64(x)
    if code == SINGLE or x.dtype == np.float32:
        return cast_to(x, code)
    return x


DOORS["call"] = call


def pick(condition: Any, x: Any, y: Any) -> Any:
    """np.where, without the way through NumPy's dispatch, which takes five times as long."""
    return T.elementwise("where", condition, x, y) if T.is_wrapped(condition) else np.where(condition, x, y)


def one(*ufuncs: Any) -> Any:
    """A formula (a, b) -> (real, imaginary) of one complex operand."""
    def register(formula: Any) -> Any:
        for ufunc in ufuncs:
            ROWS[ufunc] = lambda x: make(*formula(*x))
        return formula
    return register


def two(*ufuncs: Any) -> Any:
    """A formula of two operands given as pairs; the imaginary part of a real one is None."""
    def register(formula: Any) -> Any:
        for ufunc in ufuncs:
            ROWS[ufunc] = lambda x, y: make(*formula(x, y))
        return formula
    return register


# ---- arithmetic ------------------------------------------------------------------------------------------------------

@two(np.add)
def add(x: Pair, y: Pair) -> Pair:
    """A real operand has the imaginary part +0."""
    (a, b), (c, d) = x, y
    return a + c, (d + 0.0 if b is None else b + 0.0 if d is None else b + d)


@two(np.subtract)
def subtract(x: Pair, y: Pair) -> Pair:
    """x - y."""
    (a, b), (c, d) = x, y
    return a - c, (0.0 - d if b is None else fresh(b) if d is None else b - d)


@two(np.multiply)
def multiply(x: Pair, y: Pair) -> Pair:
    """The four products, with those of the zero of a real operand, whose signs count."""
    (a, b), (c, d) = x, y
    if b is None and d is None:
        return a * c, 0.0
    if b is None:
        return a * c - 0.0 * d, a * d + 0.0 * c
    if d is None:
        return a * c - b * 0.0, a * 0.0 + b * c
    return a * c - b * d, a * d + b * c


@two(np.true_divide)
def divide(x: Pair, y: Pair) -> Pair:
    """Smith's algorithm, as NumPy's: no overflow where the quotient has none."""
    (a, b), (c, d) = x, y
    b = 0.0 if b is None else b
    if d is None:
        if type(c) in (float, int) and c != 0:
            r = 0.0 / c
            s = 1.0 / (c + 0.0 * r)
            return (a + b * r) * s, (b - a * r) * s
        zero = c == 0
        r = 0.0 / pick(zero, 1.0, c)
        s = 1.0 / pick(zero, abs(c), c + 0.0 * r)
        return pick(zero, a * s, (a + b * r) * s), pick(zero, b * s, (b - a * r) * s)
    real = abs(c) >= abs(d)
    zero = (c == 0) & (d == 0)
    large, small = pick(real, c, d), pick(real, d, c)
    r = small / pick(zero, 1.0, large)
    s = 1.0 / pick(zero, abs(large), large + small * r)
    return (pick(zero, a, pick(real, a + b * r, a * r + b)) * s,
            pick(zero, b, pick(real, b - a * r, b * r - a)) * s)


@one(np.reciprocal)
def reciprocal(a: Any, b: Any) -> Pair:
    """1 / z."""
    real = abs(b) <= abs(a)
    large, small = pick(real, a, b), pick(real, b, a)
    r = small / large
    s = 1.0 / (large + small * r)
    return pick(real, s, r * s), pick(real, -r * s, -s)


@one(np.negative)
def negative(a: Any, b: Any) -> Pair:
    """-z."""
    return -a, -b


@one(np.positive)
def positive(a: Any, b: Any) -> Pair:
    """+z."""
    return fresh(a), fresh(b)


@one(np.conjugate)
def conjugate(a: Any, b: Any) -> Pair:
    """The copy of z with the other sign of its imaginary part."""
    return fresh(a), -b


@one(np.square)
def square(a: Any, b: Any) -> Pair:
    """z * z."""
    return a * a - b * b, a * b + b * a


@one(np.sign)
def sign(a: Any, b: Any) -> Pair:
    """z / abs(z), and 0 for 0."""
    size = np.hypot(a, b)
    size = pick(size == 0, 1.0, size)
    return a / size, b / size


@one(np.rint)
def rint(a: Any, b: Any) -> Pair:
    """Both parts rounded."""
    return np.rint(a), np.rint(b)


# ---- powers ----------------------------------------------------------------------------------------------------------

def power_row(x: Pair, y: Pair) -> Any:
    """z**w: by products for constant whole exponents up to 100, else exp(w * log(z))."""
    (a, b), (c, d) = x, y
    constant = exponent(c, d)
    if constant == 0.5 and b is not None:
        return make(*sqrt(a, b))
    if constant is not None and constant == int(constant) and abs(constant) <= 100 and b is not None:
        return make(*whole_power((a, b), int(constant)))
    b = 0.0 if b is None else b
    d = 0.0 if d is None else d
    zero = np.equal(a, 0) & np.equal(b, 0)
    u, v = log(pick(zero, 1.0, a), b)
    re, im = exp(u * c - v * d, u * d + v * c)
    none, bad = np.equal(c, 0) & np.equal(d, 0), ~(np.greater(c, 0))
    at_zero = pick(none, 1.0, pick(bad, np.nan, 0.0))
    return make(pick(zero, at_zero, re), pick(zero, pick(none, 0.0, at_zero), im))


ROWS[np.power] = ROWS[np.float_power] = power_row


def exponent(c: Any, d: Any) -> float | None:
    """A constant real exponent as a number; None for any other."""
    if T.is_wrapped(c) or T.is_wrapped(d) or shape_of(c) != () or not isinstance(c, numbers.Real):
        return None
    return float(c) if (d is None or d == 0) and np.isfinite(float(c)) else None


def whole_power(z: Pair, n: int) -> Pair:
    """z**n by repeated squaring."""
    if n == 0:
        return 0.0 * z[0] + 1.0, 0.0 * z[1]
    result: Pair | None = None
    base, m = z, abs(n)
    while m:
        if m & 1:
            result = base if result is None else multiply(result, base)
        m >>= 1
        if m:
            base = square(*base)
    assert result is not None
    if n == 1:
        return fresh(z[0]), fresh(z[1])
    return result if n > 0 else divide((1.0, 0.0), result)


@one(np.sqrt)
def sqrt(a: Any, b: Any) -> Pair:
    """The root with real part >= 0; its imaginary part has the sign of b."""
    right = np.greater_equal(a, 0)
    t = np.sqrt(0.5 * (pick(right, a, -a) + np.hypot(a, b)))
    side = np.copysign(1.0, b)           # no derivative: b * side is abs(b) with that of its own side at 0
    u = b * side / (2.0 * pick(t == 0, 1.0, t))
    return pick(right, t, u), side * pick(right, u, t)


# ---- exponentials and logarithms -------------------------------------------------------------------------------------

@one(np.exp)
def exp(a: Any, b: Any) -> Pair:
    """exp(a) times (cos(b), sin(b))."""
    e = np.exp(a)
    return e * np.cos(b), e * np.sin(b)


@one(np.exp2)
def exp2(a: Any, b: Any) -> Pair:
    """2**z."""
    return exp(a * LN2, b * LN2)


@one(np.expm1)
def expm1(a: Any, b: Any) -> Pair:
    """exp(z) - 1, precise at 0."""
    half = np.sin(0.5 * b)
    return np.expm1(a) * np.cos(b) - 2.0 * half * half, np.exp(a) * np.sin(b)


@one(np.log)
def log(a: Any, b: Any) -> Pair:
    """(log(abs(z)), angle of z); near the unit circle by log1p of abs(z)**2 - 1."""
    size = np.hypot(a, b)
    real = np.abs(a) >= np.abs(b)
    p, q = pick(real, a, b), pick(real, b, a)
    near = (size > 0.7) & (size < 1.5)
    excess = pick(near, (p - 1.0) * (p + 1.0) + q * q, 0.0)
    return pick(near, 0.5 * np.log1p(excess), np.log(size)), np.arctan2(b, a)


@one(np.log2)
def log2(a: Any, b: Any) -> Pair:
    """log(z) / log(2)."""
    u, v = log(a, b)
    return u / LN2, v / LN2


@one(np.log10)
def log10(a: Any, b: Any) -> Pair:
    """log(z) / log(10)."""
    u, v = log(a, b)
    return u / LN10, v / LN10


@one(np.log1p)
def log1p(a: Any, b: Any) -> Pair:
    """log(1 + z), where abs(1 + z)**2 - 1 is a*(2 + a) + b*b."""
    size = np.hypot(a + 1.0, b)
    near = (size > 0.7) & (size < 1.5)
    excess = pick(near, a * (2.0 + a) + b * b, 0.0)
    return pick(near, 0.5 * np.log1p(excess), np.log(size)), np.arctan2(b, a + 1.0)


# ---- circular and hyperbolic functions -------------------------------------------------------------------------------

@one(np.sin)
def sin(a: Any, b: Any) -> Pair:
    """sin(z)."""
    return np.sin(a) * np.cosh(b), np.cos(a) * np.sinh(b)


@one(np.cos)
def cos(a: Any, b: Any) -> Pair:
    """cos(z)."""
    return np.cos(a) * np.cosh(b), -(np.sin(a) * np.sinh(b))


@one(np.sinh)
def sinh(a: Any, b: Any) -> Pair:
    """sinh(z)."""
    return np.sinh(a) * np.cos(b), np.cosh(a) * np.sin(b)


@one(np.cosh)
def cosh(a: Any, b: Any) -> Pair:
    """cosh(z)."""
    return np.cosh(a) * np.cos(b), np.sinh(a) * np.sin(b)


@one(np.tanh)
def tanh(a: Any, b: Any) -> Pair:
    """(tanh(a) + i tan(b)) / (1 + i tanh(a) tan(b)), the denominator made real; exp(-2 abs(a)) where cosh is large."""
    e = np.exp(-2.0 * pick(a >= 0, a, -a))
    sech = 2.0 * np.sqrt(e) / (1.0 + e)
    u, t = np.tanh(a), np.tan(b)
    ut = u * t
    return u * (1.0 + t * t) / (1.0 + ut * ut), t * sech * sech / (1.0 + ut * ut)


@one(np.tan)
def tan(a: Any, b: Any) -> Pair:
    """tan(z) = -i tanh(iz)."""
    u, v = tanh(-b, a)
    return v, -u


def roots(a: Any, b: Any) -> tuple[Pair, Pair]:
    """sqrt(1 - z) and sqrt(1 + z), on the sides of their cuts that belong to the sign of b."""
    return sqrt(1.0 - a, -b), sqrt(1.0 + a, fresh(b))


@one(np.arcsin)
def arcsin(a: Any, b: Any) -> Pair:
    """Kahan's formula."""
    (p, q), (r, s) = roots(a, b)
    return np.arctan2(a, p * r - q * s), np.arcsinh(p * s - q * r)


@one(np.arccos)
def arccos(a: Any, b: Any) -> Pair:
    """Kahan's formula."""
    (p, q), (r, s) = roots(a, b)
    return 2.0 * np.arctan2(p, r), np.arcsinh(q * r - p * s)


@one(np.arccosh)
def arccosh(a: Any, b: Any) -> Pair:
    """Kahan's formula."""
    (p, q), (r, s) = sqrt(a - 1.0, fresh(b)), sqrt(a + 1.0, fresh(b))
    return np.arcsinh(p * r + q * s), 2.0 * np.arctan2(q, r)


@one(np.arcsinh)
def arcsinh(a: Any, b: Any) -> Pair:
    """arcsinh(z) = i arcsin(-iz)."""
    u, v = arcsin(fresh(b), -a)
    return -v, u


@one(np.arctanh)
def arctanh(a: Any, b: Any) -> Pair:
    """The logarithm of (1 + z)/(1 - z), halved."""
    square = (1.0 - a) * (1.0 - a) + b * b
    excess = 4.0 * a / square
    return 0.25 * np.log1p(excess), 0.5 * np.arctan2(2.0 * b, (1.0 - a) * (1.0 + a) - b * b)


@one(np.arctan)
def arctan(a: Any, b: Any) -> Pair:
    """arctan(z) = i arctanh(-iz)."""
    u, v = arctanh(fresh(b), -a)
    return -v, u


# ---- real results ----------------------------------------------------------------------------------------------------

def _unequal(x: Pair, y: Pair) -> Any:
    (a, b), (c, d) = x, y
    return np.not_equal(a, c) | np.not_equal(0.0 if b is None else b, 0.0 if d is None else d)


def _equal(x: Pair, y: Pair) -> Any:
    (a, b), (c, d) = x, y
    return np.equal(a, c) & np.equal(0.0 if b is None else b, 0.0 if d is None else d)


def _truth(x: Pair) -> Any:
    return np.not_equal(x[0], 0) if x[1] is None else np.not_equal(x[0], 0) | np.not_equal(x[1], 0)


ROWS.update({
    np.absolute: lambda x: np.hypot(*x),
    np.equal: _equal,
    np.not_equal: _unequal,
    np.isfinite: lambda x: np.isfinite(x[0]) & np.isfinite(x[1]),
    np.isnan: lambda x: np.isnan(x[0]) | np.isnan(x[1]),
    np.isinf: lambda x: np.isinf(x[0]) | np.isinf(x[1]),
    np.logical_not: lambda x: ~_truth(x),
    np.logical_and: lambda x, y: _truth(x) & _truth(y),
    np.logical_or: lambda x, y: _truth(x) | _truth(y),
    np.logical_xor: lambda x, y: _truth(x) ^ _truth(y),
})
