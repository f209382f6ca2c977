"""cmath_names.py - the functions of cmath on traced numbers, real and complex.

Owns: what each name means there: NumPy's function of the number made complex.
Must not know: when the names are replaced (interception.py).
"""
from __future__ import annotations

import cmath
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad.complex_conversion import complex_cast, weakened
from fastad.complex_values import COMPLEX128

# name in cmath -> NumPy's function
_UNARY: dict[str, Any] = {
    **{name: getattr(np, name) for name in ("exp", "log10", "sqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh",
                                            "isfinite", "isnan", "isinf")},
    **{name: getattr(np, "arc" + name[1:]) for name in ("asin", "acos", "atan", "asinh", "acosh", "atanh")},
    "phase": np.angle,
}


def log(z: Any, base: Any = None) -> Any:
    """The natural logarithm, or that to a base."""
    return np.log(z) if base is None else np.log(z) / np.log(base + 0j)


def polar(z: Any) -> Any:
    """(abs(z), phase(z))."""
    return abs(z), np.angle(z)


def rect(r: Any, phi: Any) -> Any:
    """The number with this absolute value and angle."""
    return r.real * np.cos(phi) + 1j * (r.real * np.sin(phi))


def of_python(y: Any) -> Any:
    """A result as Python's own numbers, which are weak where they meet NumPy's."""
    return tuple(map(of_python, y)) if isinstance(y, tuple) else weakened(y)


def _knowing(original: Callable[..., Any], recorded: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def either(*args: Any, **kwargs: Any) -> Any:
        if not any(map(T.is_traced, args)):
            return original(*args, **kwargs)
        original(*[T.concrete(x) for x in args], **kwargs)       # Python's own errors
        return of_python(recorded(complex_cast(args[0] + 0j, COMPLEX128), *args[1:], **kwargs))
    return either


def replacements() -> dict[str, Callable[..., Any]]:
    """Map each name of cmath to the function that knows traced numbers."""
    functions = _UNARY | {"log": log, "polar": polar, "rect": rect}
    return {name: _knowing(getattr(cmath, name), function) for name, function in functions.items()}
