"""rows.py - what a row of THE table is: `Row`, `Domain`, and the functions that add one (`unary`, `binary`, `ternary`).

Owns: the columns of the table, the domains.
Must not know: any single row, the tape.
Next: primitives.py (NumPy's functions), primitives_special.py (SciPy's).
"""
from __future__ import annotations

import math as _math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

# ---- domains: a closed list -----------------------------------------------------------------------------------------

@dataclass(frozen=True, slots=True)
class Domain:
    """Where a primitive has a value.

    Attributes
    ----------
    name : str
    text : str
        The condition on the operands (`x`, or `a` and `b`), for error messages and the manual.
    contains : callable
        The condition itself: operands -> bool or array of bool.
    intervals : tuple
        For each operand the intervals `(lo, hi)` from which tests draw; inside the domain, off its border.
    """

    name: str
    text: str
    contains: Callable[..., Any]
    intervals: tuple[tuple[tuple[float, float], ...], ...]


_R = ((-20.0, -2.0), (-2.0, 2.0), (2.0, 20.0))
_NONZERO = ((-20.0, -1.0), (-1.0, -0.05), (0.05, 1.0), (1.0, 20.0))
_POSITIVE = ((0.001, 0.1), (0.1, 2.0), (2.0, 50.0))
_UNIT = ((-0.999, -0.9), (-0.9, 0.9), (0.9, 0.999))
_MODERATE = ((-4.0, 4.0),)
_finite = np.isfinite


def _whole(x: Any) -> Any:
    return x == np.floor(x)


REAL = Domain("REAL", "any finite x", _finite, (_R,))
NONZERO = Domain("NONZERO", "x != 0", lambda x: x != 0, (_NONZERO,))
POSITIVE = Domain("POSITIVE", "x > 0", lambda x: x > 0, (_POSITIVE,))
NONNEGATIVE = Domain("NONNEGATIVE", "x >= 0", lambda x: x >= 0, (_POSITIVE,))
UNIT = Domain("UNIT", "-1 <= x <= 1", lambda x: (x >= -1) & (x <= 1), (_UNIT,))
UNIT_OPEN = Domain("UNIT_OPEN", "-1 < x < 1", lambda x: (x > -1) & (x < 1), (_UNIT,))
GE_ONE = Domain("GE_ONE", "x >= 1", lambda x: x >= 1, (((1.0005, 1.1), (1.1, 3.0), (3.0, 50.0)),))
GT_MINUS_ONE = Domain("GT_MINUS_ONE", "x > -1", lambda x: x > -1, (((-0.999, -0.9), (-0.9, 1.0), (1.0, 50.0)),))
INTEGER = Domain("INTEGER", "x integer or boolean", _whole, (((-100.0, 100.0),),))
REAL_AB = Domain("REAL_AB", "any finite a and b", lambda a, b: _finite(a) & _finite(b), (_R, _R))
NONZERO_B = Domain("NONZERO_B", "b != 0", lambda a, b: b != 0, (_R, _NONZERO))
POWER = Domain("POWER", "a > 0, or a == 0 with b >= 0, or a < 0 with a whole b",
               lambda a, b: (a > 0) | ((a == 0) & (b >= 0)) | ((a < 0) & _whole(b)), (_POSITIVE, _MODERATE))
INTEGER_AB = Domain("INTEGER_AB", "a and b integer or boolean", lambda a, b: _whole(a) & _whole(b),
                    (((-100.0, 100.0),), ((-100.0, 100.0),)))
SHIFT = Domain("SHIFT", "a and b integer, 0 <= b <= 63", lambda a, b: (b >= 0) & (b <= 63),
               (((-100.0, 100.0),), ((0.0, 63.0),)))
BRANCH = Domain("BRANCH", "c boolean, any a and b", lambda c, a, b: (c == 0) | (c == 1), (((0.0, 1.0),), _R, _R))


# ---- rows -----------------------------------------------------------------------------------------------------------

@dataclass(frozen=True, slots=True)
class Row:
    """One elementwise primitive.

    Attributes
    ----------
    name : str
        NumPy's or SciPy's name (with a suffix where several rows share it); tape files hold it.
    ufunc : numpy.ufunc, callable or str
        The ufunc; a plain function where NumPy has none (`where`, `strongzero`, `zeroproduct`); "module:attribute"
        where the module is imported only when it is needed.  `resolve(row)` gives the object.
    arity : int
        Number of operands, 1 to 3.
    domain : Domain
    partials : callable or None
        `partials(*operands, y)` is the partial derivative (arity 1), or the tuple of them, in NumPy code over rows
        of this table and Python numbers.  A literal zero means that it is identically zero.  None: the result is
        boolean or integer, or `rule` says what happens.
    differentiable : bool
        Some partial is not identically zero.
    dtypes : str
        Kinds of operands that have a loop: "f" float64, "i" int64, "b" bool.  All operands have the same kind
        (`where`: the last two).  Other kinds are cast as NumPy casts them.
    result : str
        "same" as the operands, or "bool".
    math : str
        The twin in `math`; "" if there is none.
    own : bool
        The kernel is ours and there is no NumPy loop that it has to equal.
    rule : str
        "" (partials), "select" (`where`: tangents and adjoints are selected) or "bilinear" (`strongzero` and
        `zeroproduct`: linear in both operands; a product with a tangent or adjoint of the second is a `zeroproduct`).
    foreign : str
        Kinds for which the loop may take the GIL and set a Python error.
    also : tuple of numpy.ufunc
        Other ufuncs with the same meaning.
    kinks : str
        The convention where the derivative does not exist.
    kink_points : tuple
        Pairs (operands, partials) at which tests hold the convention to its word.
    source : str
        Where the derivative is to be found if it is not textbook.
    abserr : float
        Absolute error of the partial where its formula, chosen for speed, loses relative accuracy.
    relerr : float
        Relative error of the partials over the whole domain, beyond what the result's own error explains.
    scale : callable or None
        Where terms of the partials cancel: `scale(*operands, y)` is their size (a tuple for several operands), and
        `relerr` is relative to it.
    refused : tuple
        Pairs (operand, why): there is no derivative by this operand, and it must not depend on what is differentiated.
        Its partial is NaN.
    signature : str
        The ufunc's loop where it is not float64 to one float64: adapted.h has the letters.
    output : int
        Which of its results this row is.
    constants : tuple
        Pairs (operand of the loop, value): operands that are the same in every call.
    ulp : float
        0: float64 numbers go through NumPy's loop, and have its bits.  Else the loop is ours (_kernels/mathematics.h)
        wherever it is the faster one, and at most so many units in the last place from the exact value.
    """

    name: str
    ufunc: Any
    arity: int
    domain: Domain
    partials: Callable[..., Any] | None
    differentiable: bool
    dtypes: str
    result: str
    math: str
    own: bool
    rule: str
    foreign: str
    also: tuple[np.ufunc, ...]
    kinks: str
    kink_points: tuple[tuple[tuple[float, ...], tuple[float, ...]], ...]
    source: str
    abserr: float
    relerr: float = 1e-13
    scale: Callable[..., Any] | None = None
    refused: tuple[tuple[int, str], ...] = ()
    signature: str = ""
    output: int = 0
    constants: tuple[tuple[int, float], ...] = ()
    ulp: float = 0.0


NUMPY_ROWS: list[Row] = []
SPECIAL_ROWS: list[Row] = []             # those of scipy.special
ZERO_PARTIALS: dict[int, Callable[..., Any]] = {1: lambda x, y: 0.0, 2: lambda a, b, y: (0.0, 0.0)}
ZERO = "zero"          # piecewise constant: every partial is 0, at the jumps too
NONE = None            # boolean or integer result: nothing to differentiate


def _row(arity: int, name: str, ufunc: Any, domain: Domain, partials: Any, *, dtypes: str = "f",
         result: str = "same", math: str | None = None, own: bool = False, rule: str = "", foreign: str = "",
         also: tuple[np.ufunc, ...] = (), kinks: str = "", at: dict[Any, Any] | None = None, source: str = "",
         abserr: float = 0.0, relerr: float = 1e-13, scale: Callable[..., Any] | None = None,
         refused: dict[int, str] | None = None, signature: str = "", output: int = 0,
         constants: dict[int, float] | None = None, ulp: float = 0.0) -> None:
    def tupled(v: Any) -> tuple[float, ...]:
        return v if isinstance(v, tuple) else (v,)

    if partials is ZERO:
        kinks = kinks or "0 at the jumps too"
    rows = SPECIAL_ROWS if isinstance(ufunc, str) else NUMPY_ROWS
    rows.append(Row(
        name=name, ufunc=ufunc, arity=arity, domain=domain,
        partials=ZERO_PARTIALS[arity] if partials is ZERO else partials,
        differentiable=bool(rule) or (partials is not ZERO and partials is not NONE),
        dtypes=dtypes, result=result, math=(name if hasattr(_math, name) else "") if math is None else math,
        own=own, rule=rule, foreign=foreign, also=also, kinks=kinks,
        kink_points=tuple((tupled(x), tupled(d)) for x, d in (at or {}).items()), source=source,
        abserr=abserr, relerr=relerr, scale=scale, refused=tuple((refused or {}).items()), signature=signature,
        output=output, constants=tuple((constants or {}).items()), ulp=ulp))


def unary(name: str, ufunc: Any, domain: Domain, partials: Any, **columns: Any) -> None:
    """Add a row y = f(x)."""
    _row(1, name, ufunc, domain, partials, **columns)


def binary(name: str, ufunc: Any, domain: Domain, partials: Any, **columns: Any) -> None:
    """Add a row y = f(a, b)."""
    _row(2, name, ufunc, domain, partials, **columns)


def ternary(name: str, ufunc: Any, domain: Domain, partials: Any, **columns: Any) -> None:
    """Add a row y = f(c, a, b)."""
    _row(3, name, ufunc, domain, partials, **columns)
