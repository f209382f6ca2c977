"""scipy_names.py - functions of scipy.special that are Python code and convert their arguments to plain arrays.

Owns: what records them (logsumexp, softmax, polygamma ...), and how a call finds its way here.  SciPy's ufuncs come
through `__array_ufunc__` and need nothing; these few would ask a traced array for its numbers.  While something is
recorded their code is exchanged for a door (`install`), so that a function that was imported by name records as well.
Must not know: rows (primitives_special.py), when something is recorded (interception.py calls `install`, `restore`).
"""
from __future__ import annotations

import sys
import types
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad import operands
from fastad._state import wrapped_within
from fastad.operands import asarray
from fastad.primitives_special import S

RECORDED: dict[str, Any] = {}            # name in scipy.special -> what records it


def records(function: Any) -> Any:
    """Register what records the function of scipy.special of the same name."""
    RECORDED[function.__name__] = function
    return function


def constant(x: Any) -> Any:
    """x as a value on which nothing depends differentiably."""
    if not T.is_traced(x):
        return x
    shape = np.shape(T.concrete(x))
    return T.structural("stop", (x,), None, shape, 0)


# ---- sums of exponentials --------------------------------------------------------------------------------------------
def largest(a: Any, axis: Any) -> Any:
    """The finite maximum, by which exponents are shifted: a constant, on which the result does not depend."""
    top = constant(np.max(a, axis=axis, keepdims=True))
    return np.where(np.isfinite(top), top, 0.0)


def total(x: Any, axis: Any) -> Any:
    """A sum that leaves axes of length 1."""
    return np.sum(x, axis=axis, keepdims=True)


@records
def logsumexp(a: Any, axis: Any = None, b: Any = None, keepdims: bool = False, return_sign: bool = False) -> Any:
    """log(sum(b*exp(a))), the largest terms apart from the rest, as SciPy does it."""
    a = asarray(a) * 1.0
    if b is not None:
        a, b = np.broadcast_arrays(a, asarray(b) * 1.0)
        a = np.where(b == 0, -np.inf, a)
    a = np.atleast_1d(a)
    axis = tuple(range(a.ndim)) if axis is None else axis
    if a.size == 0:
        out = total(a, axis) - np.inf
        return _reduced(out, np.sign(out), axis, keepdims, return_sign)
    top = constant(np.max(a, axis=axis, keepdims=True))
    first = constant(a) == top
    terms = np.exp(a - np.where(np.isfinite(top), top, 0.0))
    terms = terms if b is None else b * terms
    m = total(np.where(first, terms, 0.0), axis)
    rest = total(np.where(first, 0.0, terms), axis)
    ratio = np.where(rest == 0, 0.0, rest / np.where((rest == 0) | (m == 0), 1.0, m))
    sign = np.sign(ratio + 1) * np.sign(m)
    ratio = np.where(ratio < -1, -ratio - 2, ratio)
    none = (m == 0) | (ratio == -1)
    out = np.log1p(np.where(none, 0.0, ratio)) + np.log(np.where(none, 1.0, np.abs(m)))
    out = np.where(none, -np.inf, out + np.where(np.isfinite(top), top, 0.0))
    if not return_sign:
        out = np.where(sign < 0, np.nan, out)
    return _reduced(out, sign, axis, keepdims, return_sign)


def _reduced(out: Any, sign: Any, axis: Any, keepdims: bool, return_sign: bool) -> Any:
    if not keepdims:
        out, sign = np.squeeze(out, axis=axis), np.squeeze(sign, axis=axis)
    out, sign = (x[()] if x.ndim == 0 else x for x in (out, sign))
    return (out, sign) if return_sign else out


@records
def softmax(x: Any, axis: Any = None) -> Any:
    """exp(x)/sum(exp(x))."""
    x = asarray(x)
    terms = np.exp(x - constant(np.max(x, axis=axis, keepdims=True)))
    return terms / total(terms, axis)


@records
def log_softmax(x: Any, axis: Any = None) -> Any:
    """x - logsumexp(x)."""
    x = asarray(x)
    shifted = x - largest(x, axis)
    return shifted - np.log(total(np.exp(shifted), axis))


# ---- gamma functions -------------------------------------------------------------------------------------------------
@records
def polygamma(n: Any, x: Any) -> Any:
    """(-1)**(n + 1) * n! * zeta(n + 1, x), DLMF 5.15.1 and 25.11.12; psi for n = 0."""
    n, x = asarray(n), asarray(x)
    zero = n == 0
    order = np.where(zero, 1, n)
    higher = (-1.0)**(order + 1) * S.gamma(order + 1.0) * S._zeta(order + 1, x)
    return np.where(zero, S.psi(x), higher)


@records
def multigammaln(a: Any, d: Any) -> Any:
    """Logarithm of the multivariate gamma function."""
    a, d = asarray(a), np.asarray(d)[()]
    if not np.isscalar(d) or np.floor(d) != d:
        raise ValueError("d should be a positive integer (dimension)")
    if np.any(a <= 0.5 * (d - 1)):
        raise ValueError(f"condition a > 0.5 * (d-1) (d = {d}) not met")
    terms = [S.gammaln(a - (j - 1.0) / 2) for j in range(1, int(d) + 1)]
    return d * (d - 1) * 0.25 * np.log(np.pi) + np.sum(np.stack(terms), axis=0)


# ---- spherical Bessel functions --------------------------------------------------------------------------------------
def _spherical(kind: str, sign_of_even: int, fold: int) -> Any:
    """`fold`: the sign between the neighbours in the derivative, DLMF 10.51.1 and 10.51.4."""
    def function(n: Any, z: Any, derivative: bool = False) -> Any:
        if T.is_wrapped(n):
            n = T.concrete(n)
        n, z = np.asarray(n, np.dtype("long")), asarray(z)
        row = getattr(S, f"_spherical_{kind}")
        positive = z >= 0
        size = np.where(positive, z, -z)
        parity = np.where(n % 2 == 0, sign_of_even, -sign_of_even)
        if not derivative:
            y = row(n, size)
            return np.where(positive, y, parity * y)
        below = n * row(np.maximum(n - 1, 0), size)
        y = (below + fold * (n + 1) * row(n + 1, size)) / (2 * n + 1)
        y = -y if kind == "kn" else y
        return np.where(positive, y, -parity * y)
    function.__name__ = f"spherical_{kind}"
    return function


records(_spherical("jn", 1, -1))
records(_spherical("yn", -1, -1))
records(_spherical("in", 1, 1))


@records
def spherical_kn(n: Any, z: Any, derivative: bool = False) -> Any:
    """For z > 0; SciPy takes the real part of a complex function elsewhere, which is not recorded."""
    y = _spherical("kn", 1, 1)(n, z, derivative)
    return np.where(asarray(z) >= 0, y, np.nan)


@operands.records(np.sinc)
def sinc(x: Any) -> Any:
    """sin(pi*x)/(pi*x), whose formula has no derivative at 0 and an inexact one near it: the spherical j0 of pi*x."""
    y = np.pi * asarray(x)
    return np.where(np.isinf(y), np.nan, S._spherical_jn(0, y))


# ---- the doors -------------------------------------------------------------------------------------------------------
_doors: dict[str, tuple[types.FunctionType, types.CodeType, types.CodeType]] = {}     # name -> function, its code, ours
_originals: dict[str, types.FunctionType] = {}


def called(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A call of a function of scipy.special while something is recorded, in any thread."""
    if T.current_tape() is not None and wrapped_within([*args, *kwargs.values()]) == 2:
        return RECORDED[name](*args, **kwargs)
    return _originals[name](*args, **kwargs)


def _door(name: str, function: types.FunctionType) -> types.CodeType:
    """Code that takes the place of a function's own: it must have as many free variables."""
    free = function.__code__.co_freevars
    text = (f"def outer({', '.join(free)}):\n    def {function.__name__}(*args, **kwargs):\n        {', '.join(free)}\n"
            f"        from fastad.scipy_names import called\n        return called({name!r}, args, kwargs)\n"
            f"    return {function.__name__}\n") if free else (
            f"def {function.__name__}(*args, **kwargs):\n    from fastad.scipy_names import called\n"
            f"    return called({name!r}, args, kwargs)\n")
    names: dict[str, Any] = {}
    exec(compile(text, __file__, "exec"), names)  # noqa: S102 - the text is ours
    return (names["outer"](*free) if free else names[function.__name__]).__code__


def install() -> None:
    """Exchange the code of the functions, where SciPy is there and has them as Python code."""
    special = sys.modules.get("scipy.special")
    if special is None:
        return
    if not _doors:
        for name in RECORDED:
            function = getattr(special, name, None)
            if type(function) is types.FunctionType:
                own = types.FunctionType(function.__code__, function.__globals__, name, function.__defaults__,
                                         function.__closure__)
                own.__kwdefaults__ = function.__kwdefaults__
                _originals[name] = own
                _doors[name] = function, function.__code__, _door(name, function)
    for function, _, ours in _doors.values():
        function.__code__ = ours


def restore() -> None:
    """Give the functions their own code back."""
    for function, own, ours in _doors.values():
        if function.__code__ is ours:
            function.__code__ = own
