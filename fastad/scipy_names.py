"""scipy_names.py - functions of scipy.special that need more than their row, and the doors to them and to scipy.linalg.

Owns: what records those that are Python code and convert their arguments to plain arrays (logsumexp, polygamma ...),
and how a call finds its way here: while something is recorded their code is exchanged for a door (`install`), so that a
function that was imported by name records as well.  SciPy's ufuncs come through `__array_ufunc__` and need nothing but
a row, or several where they have several results (`of_rows`), or which are complex (lambertw).
`python -m fastad.scipy_names` prints docs/special_functions.md: these functions, and the rows.
Must not know: derivatives (primitives_special.py), when something is recorded (interception.py calls `install`,
`restore`).
"""
from __future__ import annotations

import math
import sys
import types
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad import operands, scipy_linalg_names
from fastad._state import wrapped_within
from fastad.operands import asarray
from fastad.primitives import derivative_text
from fastad.rows import SPECIAL_ROWS
from fastad.special_partials import S

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


# ---- ufuncs of several rows ------------------------------------------------------------------------------------------
def of_rows(ufunc: Any, rows: Any, inputs: Any) -> Any:
    """A ufunc whose results are rows of their own, or whose order is a whole number, or which is complex."""
    name = ufunc.__name__
    if name == "_lambertw":
        return _lambertw(*inputs)
    for x, kind in zip(inputs, rows[0].signature, strict=False):
        if kind == "l" and np.any(T.concrete(x) != np.floor(T.concrete(x))):
            raise TypeError(f"{T.here()}: scipy.special.{name.lstrip('_')} takes a whole number here, not {x}")
    y = tuple([T.elementwise(T.ensure_row(row.name), *inputs) for row in rows])
    return y if ufunc.nout > 1 else y[0]


class RealBranch:
    """Lambert's W as SciPy gives it, a complex array of which only the real part is recorded."""

    def __init__(self, real: Any) -> None:
        self.real = real

    def refused(self, *args: Any, **kwargs: Any) -> Any:
        """What everything else does."""
        raise operands.refusal("scipy.special.lambertw", "the result is complex, and complex numbers are not recorded "
                               "yet; write lambertw(x).real, which is the real branch for x >= -1/e")

    __getattr__ = refused


for _name in ("array", "array_ufunc", "len", "getitem", "iter", "float", "complex", "bool", "neg",
              "abs", "eq", "ne", "lt", "le", "gt", "ge", *[r + op for op in ("add", "sub", "mul", "truediv", "pow")
                                                           for r in ("", "r")]):
    setattr(RealBranch, f"__{_name}__", RealBranch.refused)


def _lambertw(z: Any, k: Any = 0, tol: Any = 1e-8) -> Any:
    """The real branches of Lambert's W, by SciPy's own loop."""
    row = {0.0: "lambertw", -1.0: "lambertw_lower"}.get(_number(k))
    if row is None or _number(tol) != 1e-8:
        raise operands.refusal("scipy.special.lambertw", "the branches k = 0 and k = -1 are recorded, with the usual "
                               "tol")
    return RealBranch(T.elementwise(T.ensure_row(row), z))


def _number(x: Any) -> float:
    """The value of a constant; NaN if it is traced or more than one."""
    x = T.concrete(x) if T.is_wrapped(x) and not T.is_traced(x) else x
    return math.nan if T.is_traced(x) or np.size(x) != 1 else float(np.ravel(x)[0])


# ---- sums of exponentials --------------------------------------------------------------------------------------------
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
    shift = np.where(np.isfinite(top), top, 0.0)
    first = constant(a) == top
    terms = np.exp(a - shift)
    terms = terms if b is None else b * terms
    m, rest = total(np.where(first, terms, 0.0), axis), total(np.where(first, 0.0, terms), axis)
    alone = m == 0                       # the weights of the largest terms cancel, or a term is nan
    ratio = np.where(alone | (rest == 0), 0.0, rest / np.where(alone, 1.0, m))
    lead = np.where(alone, rest, m)
    sign = np.sign(ratio + 1) * np.sign(lead)
    ratio = np.where(ratio < -1, -ratio - 2, ratio)
    none = (lead == 0) | (ratio == -1)
    out = np.log1p(np.where(none, 0.0, ratio)) + np.log(np.where(none, 1.0, np.abs(lead))) + shift
    out = np.where(none, -np.inf, out)
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
    top = constant(np.max(x, axis=axis, keepdims=True))
    shifted = x - np.where(np.isfinite(top), top, 0.0)
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
    a = asarray(a)
    p: Any = np.asarray(d)[()]
    if np.ndim(p) or np.floor(p) != p:
        raise ValueError("d should be a positive integer (dimension)")
    if np.any(a <= 0.5 * (p - 1)):
        raise ValueError(f"condition a > 0.5 * (d-1) (d = {p}) not met")
    terms = [S.gammaln(a - (j - 1.0) / 2) for j in range(1, int(p) + 1)]
    return p * (p - 1) * 0.25 * np.log(np.pi) + np.sum(np.stack(terms), axis=0)


# ---- spherical Bessel functions --------------------------------------------------------------------------------------
def _reflected(kind: str, sign_of_even: int) -> Any:
    """The function of order n at any z, from its loop for z >= 0: DLMF 10.47(v)."""
    row = getattr(S, f"_spherical_{kind}")

    def function(n: Any, z: Any) -> Any:
        positive = z >= 0
        size = np.where(positive, z, -z)
        y = row(n, size)
        parity = np.where(n % 2 == 0, sign_of_even, -sign_of_even)
        # 10.47.11: what SciPy takes for k at negative z is the real part of a complex function
        return np.where(positive, y, parity * y - (np.pi * S._spherical_in(n, size) if kind == "kn" else 0.0))
    return function


def _spherical(kind: str, sign_of_even: int, below: int, above: int) -> Any:
    """`below`, `above`: the signs of the neighbours in the derivative, DLMF 10.51.1 and 10.51.4."""
    def function(n: Any, z: Any, derivative: bool = False) -> Any:
        if T.is_traced(n):
            raise operands.refusal(f"scipy.special.spherical_{kind}", "its order is a whole number and has no "
                                   "derivative; pass a constant, or ad.peek(n)")
        n = np.asarray(T.concrete(n) if T.is_wrapped(n) else n, np.dtype("long"))
        z, f = asarray(z), _reflected(kind, sign_of_even)
        if not derivative:
            return f(n, z)
        return (below * n * f(np.maximum(n - 1, 0), z) + above * (n + 1) * f(n + 1, z)) / (2 * n + 1)
    function.__name__ = f"spherical_{kind}"
    function.__doc__ = "Spherical Bessel function of whole order n, and with `derivative=True` its derivative."
    return function


records(_spherical("jn", 1, 1, -1))
records(_spherical("yn", -1, 1, -1))
records(_spherical("in", 1, 1, 1))
records(_spherical("kn", -1, -1, -1))


@operands.records(np.sinc)
def sinc(x: Any) -> Any:
    """sin(pi*x)/(pi*x), whose formula has no derivative at 0 and an inexact one near it: the spherical j0 of pi*x."""
    y = np.pi * asarray(x)
    return np.where(np.isinf(y), np.nan, S._spherical_jn(0, y))


# ---- the doors -------------------------------------------------------------------------------------------------------
MODULES = {"scipy.special": RECORDED, "scipy.linalg": scipy_linalg_names.RECORDED}
Name = tuple[str, str]                   # of a module and a function
_doors: dict[Name, tuple[types.FunctionType, types.CodeType, types.CodeType]] = {}    # function, its code, ours
_originals: dict[Name, types.FunctionType] = {}
_ready: set[str] = set()                 # modules whose doors are made


def called(module: str, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A call of a function of SciPy's while something is recorded, in any thread."""
    values = [*args, *kwargs.values()]
    if T.current_tape() is not None and (wrapped_within(values) == 2 or scipy_linalg_names.factored(values)):
        return MODULES[module][name](*args, **kwargs)
    return _originals[module, name](*args, **kwargs)


def _door(module: str, name: str, function: types.FunctionType) -> types.CodeType:
    """Code that takes the place of a function's own: it must have as many free variables."""
    free, inner = function.__code__.co_freevars, function.__name__
    body = (f"        from fastad.scipy_names import called\n"
            f"        return called({module!r}, {name!r}, args, kwargs)\n")
    text = f"def outer({', '.join(free)}):\n    def {inner}(*args, **kwargs):\n"
    text += (f"        {', '.join(free)}\n" if free else "") + body + f"    return {inner}\n"
    names: dict[str, Any] = {}
    exec(compile(text, __file__, "exec"), names)
    return names["outer"](*free).__code__


def install() -> None:
    """Exchange the code of the functions, where SciPy is there and has them as Python code."""
    for module, recorded in MODULES.items():
        found = sys.modules.get(module)
        if module in _ready or found is None or not hasattr(found, "__all__"):
            continue                     # not imported, or just being imported
        _ready.add(module)
        for name in recorded:
            function = getattr(found, name, None)
            if type(function) is types.FunctionType:
                own = types.FunctionType(function.__code__, function.__globals__, name, function.__defaults__,
                                         function.__closure__)
                own.__kwdefaults__ = function.__kwdefaults__
                _originals[module, name] = own
                _doors[module, name] = function, function.__code__, _door(module, name, function)
    for function, _, ours in _doors.values():
        function.__code__ = ours


def restore() -> None:
    """Give the functions their own code back."""
    for function, own, ours in _doors.values():
        if function.__code__ is ours:
            function.__code__ = own


# ---- the manual ------------------------------------------------------------------------------------------------------
_HEAD = """# Special functions

What is recorded of `scipy.special`, with the derivative that is used and where it comes from (DLMF: the
[NIST Digital Library of Mathematical Functions](https://dlmf.nist.gov)). This page is printed by
`python -m fastad.scipy_names`, from the rows that compute.

Operands are a, b, x in their order, y is the result, a dash means that there is no derivative by that operand: it must
not depend on what is differentiated, which is an error that says so. Values are SciPy's, bit for bit on contiguous
arrays. The error is that of the first derivative relative to it, or, where marked with a star, relative to the terms of
which it is a difference; it holds over the whole domain (of betainc and its kin as long as a + b < 1000: it grows).
`gamma_density(a, x)` is `exp(xlogy(a - 1, x) - x - gammaln(a))`, `beta_density(a, b, x)` is
`exp(xlogy(a - 1, x) + xlog1py(b - 1, -x) - betaln(a, b))`, `struve_term(v, x)` is `(x/2)**v*rgamma(v + 1.5)/sqrt(pi)`.

| function | domain | derivative | source | error | convention |
|---|---|---|---|---|---|
"""


def spelling(row: Any) -> str:
    """How the user writes a row: `sici(x)[1]`, `zeta`."""
    name = row.ufunc.partition(":")[2].lstrip("_")
    name = {"lambertw": "lambertw(x{}).real", "riemann_zeta": "zeta(x)", "zeta": "zeta(a, b)",
            "psi": "psi`, `digamma", "jv": "jv`, `jn"}.get(name, name)
    name = name.format(", -1" if row.constants and row.constants[0][1] == -1 else "")
    many = len(row.signature.partition("->")[2])
    return f"{name}[{row.output}]" if many > 1 else name


def manual() -> str:
    """The rows of scipy.special and the functions that are Python code, as Markdown."""
    lines = [_HEAD]
    for row in sorted(SPECIAL_ROWS, key=lambda row: row.ufunc.partition(":")[2].lstrip("_")):
        known = len(row.refused) < row.arity
        cells = (f"`{spelling(row)}`", row.domain.text, f"`{derivative_text(row)}`" if known else "-", row.source,
                 f"{row.relerr:.0e}".replace("e-0", "e-") + ("*" if row.scale else "") if known else "", row.kinks)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n")
    lines.append("\nMade of these, for any way of importing them:\n\n")
    lines += [f"* `{name}`: {(function.__doc__ or '').strip().splitlines()[0]}\n"
              for name, function in sorted(RECORDED.items())]
    return "".join(lines)


if __name__ == "__main__":
    print(manual(), end="")
