"""math_names.py - what the functions of Python's `math` mean on traced numbers.

Owns: for each name of `math`, the function that takes its place while something is recorded (`replacements()`).
A call without a traced argument goes to the original unchanged; a traced one is recorded by the table's row, and raises
Python's own ValueError or OverflowError where the original would.
Must not know: who installs the names and when (interception.py).
Next: primitives.py (the rows and their `math` twins).
"""
import functools
import math
import sys
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad import primitives
from fastad.errors import TracerError, UnsupportedError

Scalar, Array = T.Scalar, T.Array
_FLOAT = T.DTYPES[0]
_INT = T.DTYPES[1]

# Functions of `math` that no row covers.  Those which take integers (gcd, comb, factorial ...) need no entry: Python
# asks the traced integer for its value, which is a guard.
_REFUSED = {
    "frexp": "use np.log2 and np.floor",
    "nextafter": "it has no derivative; apply it to ad.peek(x)",
    "ulp": "it has no derivative; apply it to ad.peek(x)",
    "fma": "write a*b + c (two roundings)",
}


# Functions of `math` that raise for some finite numbers.
_PARTIAL = frozenset({"sqrt", "log", "log2", "log10", "log1p", "acos", "asin", "acosh", "atanh", "exp", "expm1", "exp2",
                      "cosh", "sinh", "pow", "fmod"})
_QUIET = ("fastad.", "numpy.")           # their code catches no errors of math
_RUNS_F = ("fastad.recording", "fastad.audit")       # beyond these frames (which hold a `with`) is who called a verb


def _wrapped(x: Any) -> bool:
    return type(x) is Scalar or type(x) is Array


def _number(x: Any) -> Any:
    """An argument of a `math` function as a traced or plain float; NumPy's own error for an array."""
    if type(x) is Array:
        if not T.is_traced(x):
            return float(T.concrete(x))
        if x.ndim:
            float(T.concrete(x))         # raises, or warns, as NumPy does
            x = x.reshape(())
        x = x[()]
    if type(x) is Scalar:
        return x if x.dtype == _FLOAT else T.astype(x, _FLOAT)
    return float(x)


def may_be_caught() -> bool:
    """Is there a `try` or `with` in a function of the user's that is running?"""
    frame: Any = sys._getframe(2)
    while frame is not None:
        code = frame.f_code
        if code.co_exceptiontable:
            home = frame.f_globals.get("__name__") or ""
            if not home.startswith(_QUIET):
                return True
            if home in _RUNS_F:
                return False
        frame = frame.f_back
    return False


def _select(c: Any, a: Any, b: Any) -> Any:
    return T.elementwise("where", c, a, b)


def _plain(x: Any) -> Any:
    return T.concrete(x).item() if _wrapped(x) else x


def _checked(original: Callable[..., Any], args: tuple[Any, ...], result: Any) -> Any:
    """`result`, unless Python's function raises where NumPy's gives NaN or infinity.

    Whoever catches that error has decided on values: it is raised again only as long as there is no finite result, and
    where it might have been caught there must be none later.
    """
    if math_isfinite(T.concrete(result)):
        if original.__name__ in _PARTIAL and may_be_caught():
            bool(np.isfinite(result))
    else:
        try:
            original(*map(_plain, args))
        except (ValueError, OverflowError):
            bool(np.isfinite(result))
            for tape in T.recordings():  # who catches the error asks for no warning of it at each replay
                tape.ignored |= {"invalid", "divide", "over"}
            raise
    return result


math_isfinite = math.isfinite
math_isinf = math.isinf


def _twin(original: Callable[..., Any], row: str) -> Callable[..., Any]:
    arity = primitives.BY_NAME[row].arity

    def recorded(*args: Any) -> Any:
        if len(args) != arity:
            return original(*map(_plain, args))      # TypeError
        numbers = tuple(map(_number, args))
        if not any(map(T.is_traced, numbers)):
            return original(*numbers)
        return _checked(original, numbers, T.weakened(T.elementwise(T.ensure_row(row), *numbers)))
    return recorded


def _unary(original: Callable[..., Any], row: str) -> Callable[..., Any]:
    """The same for one argument and a row that takes only floats, with a short way for a traced number."""
    code, general = T.OPCODES[row], _twin(original, row)
    elementwise, concrete, weakened = T.elementwise, T.concrete, T.weakened
    total = original.__name__ not in _PARTIAL

    @functools.wraps(original)
    def either(*args: Any) -> Any:
        if len(args) == 1:
            x, = args
            if type(x) is Scalar:
                y = weakened(elementwise(code, x if x.dtype is _FLOAT else _number(x)))
                return y if total and math_isfinite(concrete(y)) else _checked(original, args, y)
            if type(x) is not Array:
                return original(x)
        return general(*args)
    return either


def _hypot(original: Callable[..., Any]) -> Callable[..., Any]:
    def recorded(*args: Any) -> Any:
        total = abs(_number(args[0]))
        for x in args[1:]:
            total = T.elementwise("hypot", total, _number(x)) if T.is_traced(total) or _wrapped(x) \
                else original(total, x)
        return total
    return recorded


def _log(original: Callable[..., Any]) -> Callable[..., Any]:
    one = _twin(original, "log")

    def recorded(x: Any, *base: Any) -> Any:
        if len(base) > 1:
            original(1.0, 1.0, *base)    # TypeError
        if not base:
            return one(x)
        divisor = one(base[0])
        if not T.concrete(divisor):
            raise ZeroDivisionError("float division by zero")
        return one(x) / divisor
    return recorded


def _rounding(original: Callable[..., Any], row: str) -> Callable[..., Any]:
    """floor, ceil, trunc: to a traced integer."""
    def recorded(x: Any) -> Any:
        if type(x) is Scalar and x.dtype.kind != "f":
            return T.astype(x, _INT)
        x = _number(x)
        try:
            whole = original(_plain(x))
        except (ValueError, OverflowError):          # NaN and infinity
            bool(np.isfinite(x))
            raise
        if not T.is_traced(x):
            return whole
        if not -2**63 <= whole < 2**63:
            raise UnsupportedError(f"{T.here()}: math.{row} gives {whole}, which does not fit the recorded int64")
        return T.astype(T.elementwise(row, x), _INT)
    return recorded


def _isclose(original: Callable[..., Any]) -> Callable[..., Any]:
    def recorded(a: Any, b: Any, *, rel_tol: Any = 1e-9, abs_tol: Any = 0.0) -> Any:
        a, b = _number(a), _number(b)
        original(0.0, 0.0, rel_tol=_plain(rel_tol), abs_tol=_plain(abs_tol))        # ValueError for negative ones
        tolerance = np.maximum(rel_tol * np.maximum(abs(a), abs(b)), abs_tol)
        return (a == b) | (np.isfinite(a) & np.isfinite(b) & (abs(a - b) <= tolerance))
    return recorded


def _sum_exactly(xs: list[Any]) -> Any:
    """A sum with the rounding errors carried along (two-sum), for those who asked for an exact one."""
    total: Any = 0.0
    lost: Any = 0.0
    for x in map(_number, xs):
        s = total + x
        if math_isfinite(T.concrete(s)):
            back = s - total
            lost = lost + ((total - (s - back)) + (x - back))
        total = s
    return total + lost


def _fsum(original: Callable[..., Any]) -> Callable[..., Any]:
    def recorded(seq: Iterable[Any]) -> Any:
        xs = list(seq)
        return _sum_exactly(xs) if any(map(_wrapped, xs)) else original(xs)
    return recorded


def _prod(original: Callable[..., Any]) -> Callable[..., Any]:
    def recorded(iterable: Iterable[Any], *, start: Any = 1) -> Any:
        xs = list(iterable)
        if not any(map(_wrapped, xs)) and not _wrapped(start):
            return original(xs, start=start)
        return functools.reduce(lambda a, b: a * b, xs, start)
    return recorded


def _dist(original: Callable[..., Any]) -> Callable[..., Any]:
    hypot = _hypot(math.hypot)

    def recorded(p: Iterable[Any], q: Iterable[Any]) -> Any:
        ps, qs = list(p), list(q)
        if len(ps) != len(qs):
            raise ValueError("both points must have the same number of dimensions")
        if not any(map(_wrapped, ps + qs)):
            return original(ps, qs)
        return hypot(*[_number(a) - _number(b) for a, b in zip(ps, qs, strict=True)])
    return recorded


def _sumprod(original: Callable[..., Any]) -> Callable[..., Any]:
    def recorded(p: Iterable[Any], q: Iterable[Any]) -> Any:
        ps, qs = list(p), list(q)
        if not any(map(_wrapped, ps + qs)):
            return original(ps, qs)
        if len(ps) != len(qs):
            raise ValueError("Inputs are not the same length")
        return _sum_exactly([a * b for a, b in zip(ps, qs, strict=True)])
    return recorded


def _modf(original: Callable[..., Any]) -> Callable[..., Any]:
    def recorded(x: Any) -> Any:
        x = _number(x)
        if not T.is_traced(x):
            return original(x)
        whole = np.trunc(x)
        part = _select(np.isinf(x), 0.0, x - whole)
        return np.copysign(part, x), whole
    return recorded


def _ldexp(original: Callable[..., Any]) -> Callable[..., Any]:
    def recorded(x: Any, i: Any) -> Any:
        exponent = i.__index__()
        half = exponent // 2             # in two steps: 2**i itself may overflow where the product does not
        return _checked(original, (x, exponent), (_number(x) * 2.0**half) * 2.0**(exponent - half))
    return recorded


def _remainder(original: Callable[..., Any]) -> Callable[..., Any]:
    def recorded(x: Any, y: Any) -> Any:
        x, y = _number(x), _number(y)
        try:
            original(_plain(x), _plain(y))
        except ValueError:
            bool(np.isfinite(x) & (y != 0))
            raise
        if math_isinf(_plain(y)):
            return x
        size = abs(y)
        rest = np.fmod(x, 2*size)        # exact: keeps whether the quotient is even, which decides ties
        times = _select(abs(rest) > 0.5*size, 1.0, 0.0) + _select(abs(rest) >= 1.5*size, 1.0, 0.0)
        return rest - np.copysign(times, rest)*size
    return recorded


def _refused(original: Callable[..., Any], name: str) -> Callable[..., Any]:
    def refused(*args: Any) -> Any:
        try:
            return original(*args)       # traced values on which no derivative depends leave with a guard
        except TracerError:
            raise UnsupportedError(f"{T.here()}: math.{name} of a traced number is not recorded; "
                                   f"{_REFUSED[name]}") from None
    return refused


def _dispatching(original: Callable[..., Any], recorded: Callable[..., Any], deep: bool) -> Callable[..., Any]:
    """`original`, except where an argument is traced.  `deep`: the arguments are iterables, so let `recorded` look."""
    if deep:
        @functools.wraps(original)
        def either(*args: Any, **kwargs: Any) -> Any:
            return recorded(*args, **kwargs) if T.current_tape() is not None else original(*args, **kwargs)
    else:
        @functools.wraps(original)
        def either(*args: Any, **kwargs: Any) -> Any:
            for x in args:
                if type(x) is Scalar or type(x) is Array:
                    return T.weakened(recorded(*args, **kwargs))
            return original(*args, **kwargs)
    return either


def replacements() -> dict[str, Callable[..., Any]]:
    """Map each name of `math` that must know traced numbers to the function that does."""
    recorded = {f.__name__: _twin(f, row.name) for f, row in primitives.math_twins().items()}
    recorded |= {"hypot": _hypot(math.hypot), "log": _log(math.log), "isclose": _isclose(math.isclose),
                 "modf": _modf(math.modf), "ldexp": _ldexp(math.ldexp), "remainder": _remainder(math.remainder)}
    recorded |= {name: _rounding(getattr(math, name), name) for name in ("floor", "ceil", "trunc")}
    recorded |= {name: _refused(getattr(math, name), name) for name in _REFUSED
                 if hasattr(math, name) and name not in recorded}
    deep = {"fsum": _fsum(math.fsum), "prod": _prod(math.prod), "dist": _dist(math.dist)}
    if hasattr(math, "sumprod"):         # Python 3.12
        deep["sumprod"] = _sumprod(math.sumprod)
    names = {name: _dispatching(getattr(math, name), function, name in deep)
             for name, function in (recorded | deep).items()}
    return names | {f.__name__: _unary(f, row.name) for f, row in primitives.math_twins().items()
                    if row.arity == 1 and row.dtypes == "f" and row.result == "same" and f.__name__ != "log"
                    and not isinstance(row.ufunc, str)}          # SciPy's are imported at the first call
