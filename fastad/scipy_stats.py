"""scipy_stats.py - densities and distribution functions of scipy.stats.

Owns: what `logpdf`, `pdf`, `cdf`, `ppf` ... do around a family's own formula (location, scale, support, parameters that
are not valid), with selections in place of SciPy's extracting and placing, and the formulas that SciPy has as compiled
code only.  A family's formula itself is SciPy's Python code (`_logpdf`, `_cdf` ...), which runs on traced arrays.
Must not know: derivatives.  Next: scipy_doors.py, pythonic.py (how code of a library is made to run),
tests/test_scipy_stats.py (which families are tested: docs/scipy.md).
"""
from __future__ import annotations

import inspect
import sys
import types
from contextlib import nullcontext
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad import pythonic
from fastad._state import wrapped_within
from fastad.errors import AdError
from fastad.operands import refusal
from fastad.scipy_doors import floats, records
from fastad.scipy_names import constant
from fastad.special_partials import S

NAN, INF = np.nan, np.inf


# ---- a family's own code ---------------------------------------------------------------------------------------------
def _sample(condition: Any, x: Any) -> float:
    """The value of x at some place where the condition holds now; NaN if there is none."""
    condition, x = np.broadcast_arrays(T.concrete(condition), T.concrete(x))
    return float(x[condition][0]) if condition.any() else NAN


def _safe(condition: Any, xs: Any) -> Any:
    """The arguments, with numbers from the formula's domain in place of what a selection will not take.

    Where the condition holds nowhere now there is no such number: then the tape does not warn of what is not taken.
    """
    samples = [_sample(condition, x) for x in xs]
    if any(map(np.isnan, samples)):
        for tape in T.recordings():
            tape.ignored |= {"divide", "over", "under", "invalid"}
        return xs
    return [np.where(condition, x, sample) for x, sample in zip(xs, samples, strict=True)]


def apply_where(cond: Any, args: Any, f1: Any, f2: Any = None, /, *, fill_value: Any = None,
                kwargs: Any = None, xp: Any = None) -> Any:
    """SciPy's helper of this name: f1 of the arguments where the condition holds, else f2 or a number."""
    args = args if isinstance(args, tuple) else (args,)
    with np.errstate(all="ignore"):
        y = f1(*_safe(cond, args))
        other = fill_value if f2 is None else f2(*_safe(np.logical_not(cond), args))
    return np.where(cond, y, other)


def lazyselect(condlist: Any, choicelist: Any, arrays: Any, default: Any = 0) -> Any:
    """SciPy's helper: the choice of the first condition that holds."""
    y = default
    with np.errstate(all="ignore"):
        for condition, choice in list(zip(condlist, choicelist, strict=True))[::-1]:
            y = np.where(condition, choice(*_safe(condition, arrays)), y)
    return y


def log_diff(log_p: Any, log_q: Any) -> Any:
    """log(p - q)."""
    return log_p + np.log(-np.expm1(log_q - log_p))


def log_gauss_mass(a: Any, b: Any) -> Any:
    """Logarithm of the normal distribution's mass between a and b, in the tail where it does not cancel."""
    left, right = b <= 0, a > 0
    return lazyselect(
        (left, right, np.logical_not(left | right)),
        (lambda a, b: log_diff(S.log_ndtr(b), S.log_ndtr(a)), lambda a, b: log_diff(S.log_ndtr(-a), S.log_ndtr(-b)),
         lambda a, b: np.log1p(-S.ndtr(a) - S.ndtr(-b))), (a, b), NAN)


class _Extra:
    """What the families use of SciPy's helpers for arrays of any library."""

    apply_where = staticmethod(apply_where)


class _Boost:
    """The formulas that SciPy takes from Boost, by the functions of scipy.special that are rows."""

    @staticmethod
    def _beta_pdf(x: Any, a: Any, b: Any) -> Any:
        return np.exp(S.xlog1py(b - 1.0, -x) + S.xlogy(a - 1.0, x) - S.betaln(a, b))

    @staticmethod
    def _beta_ppf(q: Any, a: Any, b: Any) -> Any:
        return S.betaincinv(a, b, q)

    @staticmethod
    def _cauchy_ppf(q: Any, loc: Any, scale: Any) -> Any:
        return np.where(q < 0.5, -1.0, 1.0) / np.tan(np.pi * np.minimum(q, 1 - q)) * scale + loc

    @staticmethod
    def _cauchy_isf(q: Any, loc: Any, scale: Any) -> Any:
        return np.where(q < 0.5, 1.0, -1.0) / np.tan(np.pi * np.minimum(q, 1 - q)) * scale + loc

    @staticmethod
    def _binom_pmf(k: Any, n: Any, p: Any) -> Any:
        return np.exp(S.gammaln(n + 1.0) - S.gammaln(k + 1.0) - S.gammaln(n - k + 1.0)
                      + S.xlogy(k, p) + S.xlog1py(n - k, -p))

    @staticmethod
    def _binom_cdf(k: Any, n: Any, p: Any) -> Any:
        return S.betaincc(k + 1.0, n - k, p)

    @staticmethod
    def _binom_sf(k: Any, n: Any, p: Any) -> Any:
        return S.betainc(k + 1.0, n - k, p)

    @staticmethod
    def _nbinom_pmf(k: Any, n: Any, p: Any) -> Any:
        return np.exp(S.gammaln(n + k) - S.gammaln(k + 1.0) - S.gammaln(n) + S.xlogy(n, p) + S.xlog1py(k, -p))

    @staticmethod
    def _nbinom_cdf(k: Any, n: Any, p: Any) -> Any:
        return S.betainc(n, k + 1.0, p)

    @staticmethod
    def _nbinom_sf(k: Any, n: Any, p: Any) -> Any:
        return S.betaincc(n, k + 1.0, p)

    @staticmethod
    def _log1mexp(x: Any) -> Any:
        return np.where(x > -np.log(2), np.log(-np.expm1(x)), np.log1p(-np.exp(x)))

    def __getattr__(self, name: str) -> Any:
        def refused(*args: Any) -> Any:
            if wrapped_within(list(args)) < 2:
                return getattr(sys.modules["scipy.special._ufuncs"], name)(*map(T.concrete, args))
            raise refusal("scipy.stats", f"this method is compiled code ({name.strip('_')}) and has no derivative "
                          "rule; write the formula, or wrap it with ad.primitive")
        return refused


HELPERS = {"xpx": _Extra(), "scu": _Boost(), "_lazyselect": lazyselect, "_log_diff": log_diff,
           "_log_gauss_mass": log_gauss_mass}


def _world(function: types.FunctionType) -> dict[str, Any]:
    """The globals of a module of scipy.stats with what traced arrays need in it."""
    new = pythonic.world(function.__globals__)
    if new.get("xpx") is not HELPERS["xpx"]:
        new.update({name: ours for name, ours in HELPERS.items() if name in new})
        generic = sys.modules["scipy.stats._distn_infrastructure"].rv_generic
        new.update({name: Family(value) for name, value in new.items() if isinstance(value, generic)})
    return new


_rehoused: dict[Any, Any] = {}


class Family:
    """A distribution of SciPy's, whose methods run in the world of traced arrays and call each other there."""

    def __init__(self, dist: Any) -> None:
        self._dist = dist

    def __getattr__(self, name: str) -> Any:
        theirs = type(self._dist).__module__.startswith("scipy.")        # not a distribution of the user's
        own = OURS.get((self._dist.name, name)) if theirs else None
        if own is not None:
            return types.MethodType(own, self)
        found = inspect.getattr_static(type(self._dist), name, None)
        if not isinstance(found, types.FunctionType):
            return getattr(self._dist, name)
        if not found.__module__.startswith("scipy."):
            return types.MethodType(found, self)         # the user's code, which is recorded as it is
        if found.__module__ == "scipy.stats._distn_infrastructure" and ("", name) in OURS:
            return types.MethodType(OURS["", name], self)
        if found not in _rehoused:
            _rehoused[found] = pythonic.rehoused(found, _world(found))
        return types.MethodType(_rehoused[found], self)


OURS: dict[tuple[str, str], Any] = {}            # (family, method) -> a formula, where SciPy's code does not pass


def formula(*families: str) -> Any:
    """Register a method of families."""
    def register(function: Any) -> Any:
        for family in families:
            OURS[family, function.__name__] = function
        return function
    return register


@formula("genextreme")
def _get_support(self: Any, c: Any) -> Any:
    above, below = c > 0, c < 0
    return (np.where(below, 1.0 / np.where(below, c, 1.0), -INF), np.where(above, 1.0 / np.where(above, c, 1.0), INF))


def _near_one(y: Any, other: Any) -> Any:
    """The logarithm y of a probability; near 0 by the logarithm of the opposite one, where y cancels."""
    near = y > -0.1
    return np.where(near, np.log1p(-np.exp(np.where(near, other, -1.0))), y)


@formula("truncnorm")
def _logcdf(self: Any, x: Any, a: Any, b: Any) -> Any:
    whole = log_gauss_mass(a, b)
    return _near_one(log_gauss_mass(a, x) - whole, log_gauss_mass(x, b) - whole)


@formula("truncnorm")
def _logsf(self: Any, x: Any, a: Any, b: Any) -> Any:
    whole = log_gauss_mass(a, b)
    return _near_one(log_gauss_mass(x, b) - whole, log_gauss_mass(a, x) - whole)


def _without(name: str) -> None:
    def refused(self: Any, *args: Any) -> Any:
        raise refusal(f"scipy.stats.{self._dist.name}", f"SciPy has no formula for its {name.strip('_')}: it "
                      "integrates or searches numerically. Write it with scipy.special functions, or wrap it with "
                      "ad.primitive")
    refused.__name__ = name
    formula("")(refused)


for _name in ("_pdf", "_pmf", "_cdf", "_ppf"):
    _without(_name)


@formula("")
def _logcdf(self: Any, x: Any, *args: Any) -> Any:
    y = self._cdf(x, *args)
    small = y < 0.5
    return np.where(small, np.log(np.where(small, y, 0.5)), np.log1p(-np.where(small, 0.5, self._sf(x, *args))))


@formula("")
def _logsf(self: Any, x: Any, *args: Any) -> Any:
    y = self._sf(x, *args)
    small = y < 0.5
    return np.where(small, np.log(np.where(small, y, 0.5)), np.log1p(-np.where(small, 0.5, self._cdf(x, *args))))


@formula("t")
def _ppf(self: Any, q: Any, df: Any) -> Any:
    """DLMF 8.17.1: the tail's probability is an incomplete beta function of df/(df + x**2)."""
    upper = q > 0.5
    u = S.betaincinv(0.5 * df, 0.5, 2 * np.where(upper, 1 - q, q))
    size = np.sqrt(df * (1 - u) / u)
    return np.where(upper, size, -size)


@formula("t")
def _isf(self: Any, q: Any, df: Any) -> Any:
    return -self._ppf(q, df)


@formula("f")
def _cdf(self: Any, x: Any, dfn: Any, dfd: Any) -> Any:
    return S.betainc(0.5 * dfn, 0.5 * dfd, dfn * x / (dfn * x + dfd))


@formula("f")
def _sf(self: Any, x: Any, dfn: Any, dfd: Any) -> Any:
    return S.betainc(0.5 * dfd, 0.5 * dfn, dfd / (dfn * x + dfd))


@formula("f")
def _ppf(self: Any, q: Any, dfn: Any, dfd: Any) -> Any:
    u = S.betaincinv(0.5 * dfn, 0.5 * dfd, q)
    return dfd * u / (dfn * (1 - u))


@formula("chi2")
def _isf(self: Any, q: Any, df: Any) -> Any:
    return 2 * S.gammainccinv(0.5 * df, q)


# ---- what is around the formula --------------------------------------------------------------------------------------
def _number(x: Any) -> Any:
    """A float, or an array of floats."""
    if T.is_traced(x) and x.dtype.kind == "f":
        return x
    return floats(x) if np.ndim(x) else np.float64(T.concrete(x)) if not T.is_traced(x) else x * 1.0


def _all(*conditions: Any) -> Any:
    """Conditions together; Python's True where all of them hold whatever the traced values."""
    out: Any = True
    for c in conditions:
        if not T.is_traced(c) and np.all(T.concrete(c)):
            continue
        out = c if out is True else out & c
    return out


def _select(condition: Any, y: Any, other: Any) -> Any:
    return y if condition is True else np.where(condition, y, other)


def _inside(family: Any, z: Any, shapes: Any, closed: bool) -> tuple[Any, Any, Any]:
    """(is z in the support?, its ends)."""
    a, b = map(constant, family._get_support(*shapes))
    above: Any = True if _is(a, -INF) else (z >= a if closed else z > a)
    below: Any = True if _is(b, INF) else (z <= b if closed else z < b)
    return _all(above, below), a, b


def _is(x: Any, value: float) -> bool:
    return not T.is_traced(x) and bool(np.all(T.concrete(x) == value))


def _valid(family: Any, shapes: Any, *more: Any) -> Any:
    return _all(np.logical_and(True, family._argcheck(*shapes)) if shapes else True, *more)


def _applied(method: Any, condition: Any, xs: Any) -> Any:
    """The formula where the condition holds, and somewhere else in its domain where it does not."""
    if condition is not True:
        xs = _safe(condition, xs)
    with np.errstate(all="ignore") if condition is not True else nullcontext():
        try:
            return method(*xs)
        except (TypeError, IndexError, AttributeError, ValueError) as error:     # code that fills arrays, not numbers
            shape = np.broadcast_shapes(*map(np.shape, xs))
            if isinstance(error, AdError) or (shape and all(np.shape(x) == shape for x in xs)):
                raise
            full = [np.broadcast_to(x, shape or (1,)) * 1.0 for x in xs]
            return np.reshape(method(*full), shape)[()]


def _method(kind: str, name: str, rule: Any) -> None:
    """Register rule(family, x, shapes, loc, scale) for a method of continuous or discrete distributions."""
    def record(dist: Any, x: Any, *args: Any, **kwds: Any) -> Any:
        shapes, loc, scale = dist._parse_args(*args, **kwds)
        given = _number(x), tuple(map(_number, shapes)), _number(loc), _number(scale)
        try:
            y = rule(Family(dist), *given)
        except (TypeError, IndexError, AttributeError, ValueError) as error:
            if isinstance(error, AdError):
                raise
            raise refusal(f"scipy.stats.{dist.name}.{name}", f"SciPy's code for it cannot run on traced arrays "
                          f"({type(error).__name__}: {error}); write the formula") from error
        return y[()] if isinstance(y, np.ndarray) and np.ndim(y) == 0 else y
    records("scipy.stats", f"rv_{kind}.{name}")(record)


def _continuous(name: str, outside: float, scaled: str) -> None:
    """logpdf or pdf: the formula in the support, `outside` elsewhere, NaN for parameters that are not valid."""
    def density(family: Any, x: Any, shapes: Any, loc: Any, scale: Any) -> Any:
        positive = _all(scale > 0)
        scale = scale if positive is True else np.where(positive, scale, 1.0)
        z = (x - loc) / scale
        valid = _valid(family, shapes)
        inside, _, _ = _inside(family, z, shapes, True)
        y = _applied(getattr(family, "_" + name), _all(valid, inside), (z, *shapes))
        y = y / scale if scaled == "divide" else y if _is(scale, 1.0) else y - np.log(scale)
        y = _select(inside, y, np.where(np.isnan(z), NAN, outside) if inside is not True else outside)
        return _select(_all(valid, positive), y, NAN)
    _method("continuous", name, density)


_continuous("pdf", 0.0, "divide")
_continuous("logpdf", -INF, "log")


def _cumulative(name: str, below: float, above: float) -> None:
    """cdf and its kin: the formula inside, limits outside."""
    def cumulative(family: Any, x: Any, shapes: Any, loc: Any, scale: Any) -> Any:
        positive = _all(scale > 0)
        z = (x - loc) / (scale if positive is True else np.where(positive, scale, 1.0))
        valid = _valid(family, shapes)
        inside, a, _ = _inside(family, z, shapes, False)
        y = _applied(getattr(family, "_" + name), _all(valid, inside), (z, *shapes))
        if inside is not True:
            y = np.where(inside, y, np.where(np.isnan(z), NAN, np.where(z <= a, below, above)))
        return _select(_all(valid, positive), y, NAN)
    _method("continuous", name, cumulative)


_cumulative("cdf", 0.0, 1.0)
_cumulative("sf", 1.0, 0.0)
_cumulative("logcdf", -INF, 0.0)
_cumulative("logsf", 0.0, -INF)


def _quantile(name: str, first: int) -> None:
    """ppf and isf: the formula for 0 < q < 1, the ends of the support at 0 and 1."""
    def quantile(family: Any, q: Any, shapes: Any, loc: Any, scale: Any) -> Any:
        valid = _valid(family, shapes, scale > 0)
        inside = _all((q > 0) & (q < 1))
        y = _applied(getattr(family, "_" + name), _all(valid, inside), (q, *shapes)) * scale + loc
        if inside is not True:
            ends = [end * scale + loc for end in family._get_support(*shapes)]
            at_0, at_1 = ends if first == 0 else ends[::-1]
            y = np.where(inside, y, np.where(q == 0, at_0, np.where(q == 1, at_1, NAN)))
        return _select(valid, y, NAN)
    _method("continuous", name, quantile)


_quantile("ppf", 0)
_quantile("isf", 1)


def _discrete(name: str, below: float, above: float, closed: bool) -> None:
    """The methods of discrete families, whose k is a constant nearly always."""
    def discrete(family: Any, k: Any, shapes: Any, loc: Any, scale: Any) -> Any:
        k = k - loc
        valid = _valid(family, shapes)
        a, b = family._get_support(*shapes)
        inside = _all(k >= a, k <= b if closed else k < b, *([family._nonzero(k, *shapes)] if closed else []))
        y = _applied(getattr(family, "_" + name), _all(valid, inside), (k, *shapes))
        if inside is not True:
            y = np.where(inside, y, np.where(np.isnan(k), NAN, np.where(k < a, below, above)))
        return _select(valid, y, NAN)
    _method("discrete", name, discrete)


_discrete("pmf", 0.0, 0.0, True)
_discrete("logpmf", -INF, -INF, True)
_discrete("cdf", 0.0, 1.0, False)
_discrete("sf", 1.0, 0.0, False)
_discrete("logcdf", -INF, 0.0, False)
_discrete("logsf", 0.0, -INF, False)


@records("scipy.stats._distn_infrastructure", "rv_frozen.__init__")
def frozen(self: Any, dist: Any, *args: Any, **kwds: Any) -> None:
    """A distribution with its parameters, some of them traced: its methods hand them to those above."""
    self.args, self.kwds = args, kwds
    self.dist = dist.__class__(**dist._updated_ctor_param())
    shapes, _, _ = dist._parse_args(*args, **kwds)
    self.a, self.b = Family(dist)._get_support(*map(_number, shapes))
