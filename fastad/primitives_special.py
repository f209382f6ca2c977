"""primitives_special.py - the rows of scipy.special in THE table: one row per function, as in primitives.py.

Owns: what the system knows of SciPy's special functions: domain, partial derivatives with their source (DLMF: NIST
Digital Library of Mathematical Functions, dlmf.nist.gov), the error of each partial, what has no derivative.
Must not know: the tape; SciPy itself before one of its functions is used (`S` imports it then).
A formula is chosen so that nothing cancels on the whole domain; where terms cancel nevertheless, `scale` is their size.
Next: special_partials.py (what needs more than a line), rows.py (what a row can say), primitives.py (NumPy's functions,
look-ups), tests/test_special_rows.py.
"""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastad.rows import NONZERO, REAL, REAL_AB, UNIT_OPEN, Domain, binary, ternary, unary
from fastad.special_partials import (
    _INF,
    _NAN,
    BRANCH_POINT,
    HALF_PI,
    LN2,
    LN10,
    ONE_BY_ROOT_2PI,
    PI,
    ROOT_2PI,
    ROOT_HALF,
    ROOT_PI,
    TWO_BY_ROOT_PI,
    S,
    _beta,
    _beta_density,
    _betaln,
    _binom,
    _boxcox,
    _boxcox1p,
    _dawsn,
    _ellipe,
    _ellipeinc,
    _ellipk,
    _ellipkinc,
    _ellipkm1,
    _elliprd,
    _elliprf,
    _erfcx,
    _expn,
    _gamma_density,
    _huber,
    _i0e,
    _i1e,
    _inv_boxcox,
    _inv_boxcox1p,
    _k0e,
    _k1e,
    _kl_div,
    _lower_branch,
    _neighbours,
    _of_psi,
    _owens_t,
    _poch,
    _powm1,
    _pseudo_huber,
    _reflected,
    _rel_entr,
    _rgamma,
    _spence,
    _spherical_in,
    _spherical_jn,
    _spherical_kn,
    _spherical_yn,
    _stdtr,
    _struve_term,
    _unit,
    _wave,
)

__all__ = ["S"]

# ---- domains --------------------------------------------------------------------------------------------------------
_P = ((0.05, 1.0), (1.0, 5.0), (5.0, 30.0))
_X = ((-5.0, -1.0), (-1.0, 1.0), (1.0, 5.0))
_U = ((0.01, 0.5), (0.5, 0.99))
_N = ((1.0, 7.0),)      # its middle, at which the partials are recorded, is whole

POSITIVE_X = Domain("POSITIVE_X", "x > 0", lambda x: x > 0, (_P,))
NOT_A_POLE = Domain("NOT_A_POLE", "x other than 0, -1, -2 ...", lambda x: (x > 0) | (x != np.floor(x)), (_P,))
UNIT_INTERVAL = Domain("UNIT_INTERVAL", "0 < x < 1", lambda x: (x > 0) & (x < 1), (_U,))
BELOW_ONE = Domain("BELOW_ONE", "x < 1", lambda x: x < 1, (((-5.0, -0.1), (-0.1, 0.1), (0.1, 0.95)),))
BELOW_ZERO = Domain("BELOW_ZERO", "x < 0", lambda x: x < 0, (((-20.0, -1.0), (-1.0, -0.05)),))
ZERO_TWO = Domain("ZERO_TWO", "0 < x < 2", lambda x: (x > 0) & (x < 2), (((0.01, 1.0), (1.0, 1.99)),))
ABOVE_BRANCH = Domain("ABOVE_BRANCH", "x > -1/e", lambda x: x > BRANCH_POINT, (((-0.3, 0.0), (0.0, 5.0)),))
LOWER_BRANCH = Domain("LOWER_BRANCH", "-1/e < x < 0", lambda x: (x > BRANCH_POINT) & (x < 0), (((-0.36, -0.01),),))
ABOVE_MINUS_ONE = Domain("ABOVE_MINUS_ONE", "x > -1", lambda x: x > -1, (((-0.9, 1.0), (1.0, 9.0)),))
ORDER_X = Domain("ORDER_X", "whole n >= 0, x > 0", lambda n, x: (n >= 0) & (n == np.floor(n)) & (x > 0), (_N, _P))
ORDER_REAL_X = Domain("ORDER_REAL_X", "any v, x > 0; with a whole v, any x (J, I) or x != 0", lambda v, x: x > 0,
                      (_P, _P))
POSITIVE_AB = Domain("POSITIVE_AB", "a > 0, b > 0", lambda a, b: (a > 0) & (b > 0), (_P, _P))
SHAPE_X = Domain("SHAPE_X", "a > 0, x >= 0", lambda a, x: (a > 0) & (x >= 0), (_P, _P))
SHAPE_P = Domain("SHAPE_P", "a > 0, 0 < p < 1", lambda a, p: (a > 0) & (p > 0) & (p < 1), (_P, _U))
SHAPES_U = Domain("SHAPES_U", "a > 0, b > 0, 0 < x < 1", lambda a, b, x: (a > 0) & (b > 0) & (x > 0) & (x < 1),
                  (_P, _P, _U))
WEIGHT_X = Domain("WEIGHT_X", "any a, b > 0", lambda a, b: b > 0, (_X, _P))
WEIGHT_1P = Domain("WEIGHT_1P", "any a, b > -1", lambda a, b: b > -1, (_X, ((-0.9, 1.0), (1.0, 9.0))))
POWER_X = Domain("POWER_X", "a > 0, any b", lambda a, b: a > 0, (_P, _X))
POWER_1P = Domain("POWER_1P", "a > -1, any b", lambda a, b: a > -1, (((-0.9, 1.0), (1.0, 9.0)), _X))
INVERSE_POWER = Domain("INVERSE_POWER", "a*b > -1", lambda a, b: a*b > -1, (((0.1, 3.0),), ((-0.2, 2.0),)))
AMPLITUDE = Domain("AMPLITUDE", "any a, b*sin(a)**2 < 1", lambda a, b: b*np.sin(a)**2 < 1, (_X, ((-3.0, 0.9),)))
ARGUMENT = Domain("ARGUMENT", "any a, 0 <= b < 1", lambda a, b: (b >= 0) & (b < 1), (_X, ((0.05, 0.9),)))
HURWITZ = Domain("HURWITZ", "a > 1, b > 0", lambda a, b: (a > 1) & (b > 0), (((1.5, 5.0),), _P))
PARAMETERS_X = Domain("PARAMETERS_X", "any x; a, b where the function exists", lambda a, b, x: np.isfinite(x),
                      (_P, _P, ((-3.0, 3.0),)))
PARAMETER_X = Domain("PARAMETER_X", "b other than 0, -1, -2 ..., any x", lambda b, x: np.isfinite(x), (_P, _X))
POSITIVE_3 = Domain("POSITIVE_3", "a > 0, b > 0, x > 0", lambda a, b, x: (a > 0) & (b > 0) & (x > 0), (_P, _P, _P))


def _row(add: Any, name: str, domain: Domain, partials: Any, **columns: Any) -> None:
    ufunc = columns.pop("ufunc", f"scipy.special:{name}")
    add(name, ufunc, domain, partials, foreign="f", **columns)


def one(name: str, domain: Domain, partials: Any, **columns: Any) -> None:
    """Add a row y = f(x)."""
    _row(unary, name, domain, partials, **columns)


def two(name: str, domain: Domain, partials: Any, **columns: Any) -> None:
    """Add a row y = f(a, b)."""
    _row(binary, name, domain, partials, **columns)


def three(name: str, domain: Domain, partials: Any, **columns: Any) -> None:
    """Add a row y = f(a, b, x)."""
    _row(ternary, name, domain, partials, **columns)


# ---- the table ------------------------------------------------------------------------------------------------------
_ORDER = {0: "the derivative by the order is not recorded (it has no closed form)"}
_WHOLE = {0: "its order is a whole number"}
_SHAPE = {0: "the derivative by this parameter is not recorded (it has no closed form)"}
_SHAPES = dict.fromkeys((0, 1), _SHAPE[0])
_INT = {"signature": "ld->d", "refused": _WHOLE}

# error functions and the normal distribution
one("erf", REAL, lambda x, y: TWO_BY_ROOT_PI*np.exp(-x*x), source="DLMF 7.2.1")
one("erfc", REAL, lambda x, y: -TWO_BY_ROOT_PI*np.exp(-x*x), source="DLMF 7.2.2")
one("erfcx", REAL, _erfcx, source="DLMF 7.10.1, 7.12.1")
one("erfi", REAL, lambda x, y: TWO_BY_ROOT_PI*np.exp(x*x), source="DLMF 7.2.1")
one("dawsn", REAL, _dawsn, source="DLMF 7.2.5, 7.12.1", scale=lambda x, y: np.where(np.abs(x) < 2, 1.0, 0.0))
one("erfinv", UNIT_OPEN, lambda x, y: 0.5*ROOT_PI*np.exp(y*y), source="DLMF 7.17.1",
    kinks="inf at -1 and 1", at={1.0: _INF, -1.0: _INF})
one("erfcinv", ZERO_TWO, lambda x, y: -0.5*ROOT_PI*np.exp(y*y), source="DLMF 7.17.1",
    kinks="-inf at 0 and 2", at={0.0: -_INF, 2.0: -_INF})
one("ndtr", REAL, lambda x, y: ONE_BY_ROOT_2PI*np.exp(-0.5*x*x), source="DLMF 7.18(iv)")
one("ndtri", UNIT_INTERVAL, lambda x, y: ROOT_2PI*np.exp(0.5*y*y), source="inverse of ndtr",
    kinks="inf at 0 and 1", at={0.0: _INF, 1.0: _INF})
one("ndtri_exp", BELOW_ZERO, lambda x, y: ROOT_PI*ROOT_HALF*S.erfcx(-ROOT_HALF*y), source="inverse of log_ndtr")
one("log_ndtr", REAL, lambda x, y: 2*ROOT_HALF/ROOT_PI/S.erfcx(-ROOT_HALF*x), source="DLMF 7.2.3")
two("owens_t", REAL_AB, _owens_t, source="Owen (1956), Ann. Math. Stat. 27, 1075")

# the gamma function and its kin
one("gamma", NOT_A_POLE, lambda x, y: y*S.psi(x), source="DLMF 5.2.2")
one("gammaln", NOT_A_POLE, lambda x, y: S.psi(x), source="DLMF 5.2.2", math="lgamma")
one("loggamma", POSITIVE_X, lambda x, y: np.where(x < 0, _NAN, S.psi(x)), source="DLMF 5.2.2")
one("rgamma", REAL, _rgamma, source="DLMF 5.2.2, 5.5.3, 5.5.4", kinks="(-1)**n*n! at x = -n",
    at={0.0: 1.0, -1.0: -1.0, -2.0: 2.0, -3.0: -6.0})
one("psi", NOT_A_POLE, lambda x, y: S._zeta(2.0, x), source="DLMF 5.15.1")
two("_zeta", HURWITZ, lambda a, b, y: (_NAN, -a*S._zeta(a + 1, b)), source="DLMF 25.11.17",
    ufunc="scipy.special._ufuncs:_zeta", refused=_SHAPE)
one("_riemann_zeta", POSITIVE_X, lambda x, y: x*_NAN, source="no closed form",
    ufunc="scipy.special._ufuncs:_riemann_zeta",
    refused={0: "the derivative of Riemann's zeta is not recorded (it has no closed form)"})
two("poch", POSITIVE_AB, _poch, source="DLMF 5.2.5, 5.2.2", scale=_of_psi(lambda a, b, y: (a, y)))
two("binom", POSITIVE_AB, _binom, source="DLMF 1.2.6, 5.2.2", scale=_of_psi(lambda a, b, y: (a + 1, y)))
two("beta", POSITIVE_AB, _beta, source="DLMF 5.12.1, 5.2.2", scale=_of_psi(lambda a, b, y: (a, y)))
two("betaln", POSITIVE_AB, _betaln, source="DLMF 5.12.1, 5.2.2", scale=_of_psi(lambda a, b, y: (a, 1.0)))
two("gammainc", SHAPE_X, lambda a, b, y: (_NAN, _gamma_density(a, b)), source="DLMF 8.8.13", refused=_SHAPE)
two("gammaincc", SHAPE_X, lambda a, b, y: (_NAN, -_gamma_density(a, b)), source="DLMF 8.8.14", refused=_SHAPE)
two("gammaincinv", SHAPE_P, lambda a, b, y: (_NAN, 1/_gamma_density(a, y)), source="DLMF 8.8.13", refused=_SHAPE)
two("gammainccinv", SHAPE_P, lambda a, b, y: (_NAN, -1/_gamma_density(a, y)), source="DLMF 8.8.14", refused=_SHAPE)
three("betainc", SHAPES_U, lambda a, b, x, y: (_NAN, _NAN, _beta_density(a, b, x)), source="DLMF 8.17.1",
      refused=_SHAPES, relerr=1e-12)
three("betaincc", SHAPES_U, lambda a, b, x, y: (_NAN, _NAN, -_beta_density(a, b, x)), source="DLMF 8.17.1, 8.17.4",
      refused=_SHAPES, relerr=1e-12)
three("betaincinv", SHAPES_U, lambda a, b, x, y: (_NAN, _NAN, 1/_beta_density(a, b, y)), source="DLMF 8.17.1",
      refused=_SHAPES, relerr=1e-12)
three("betainccinv", SHAPES_U, lambda a, b, x, y: (_NAN, _NAN, -1/_beta_density(a, b, y)), source="DLMF 8.17.1",
      refused=_SHAPES, relerr=1e-12)

# distributions, by their argument
two("chdtr", SHAPE_X, lambda a, b, y: (_NAN, 0.5*_gamma_density(0.5*a, 0.5*b)), source="DLMF 8.8.13", refused=_SHAPE)
two("chdtrc", SHAPE_X, lambda a, b, y: (_NAN, -0.5*_gamma_density(0.5*a, 0.5*b)), source="DLMF 8.8.14", refused=_SHAPE)
two("pdtr", SHAPE_X, lambda a, b, y: (_NAN, -_gamma_density(np.floor(a) + 1, b)), source="DLMF 8.8.14", refused=_SHAPE)
two("pdtrc", SHAPE_X, lambda a, b, y: (_NAN, _gamma_density(np.floor(a) + 1, b)), source="DLMF 8.8.13", refused=_SHAPE)
three("gdtr", POSITIVE_3, lambda a, b, x, y: (x*_gamma_density(b, a*x), _NAN, a*_gamma_density(b, a*x)),
      source="DLMF 8.8.13", refused={1: _SHAPE[0]})
three("gdtrc", POSITIVE_3, lambda a, b, x, y: (-x*_gamma_density(b, a*x), _NAN, -a*_gamma_density(b, a*x)),
      source="DLMF 8.8.14", refused={1: _SHAPE[0]})
two("stdtr", POWER_X, _stdtr, source="DLMF 8.17.1", refused=_SHAPE)

# logistic, entropies, losses
one("expit", REAL, lambda x, y: y*S.expit(-x), source="y' = y*(1 - y)")
one("logit", UNIT_INTERVAL, lambda x, y: 1/(x*(1 - x)), source="inverse of expit",
    kinks="inf at 0 and 1", at={0.0: _INF, 1.0: _INF})
one("log_expit", REAL, lambda x, y: S.expit(-x), source="y = -log1p(exp(-x))")
two("xlogy", WEIGHT_X, lambda a, b, y: (np.log(b), a/np.where((a == 0) & (b == 0), 1.0, b)),
    source="y = a*log(b)", kinks="in b: 0 at (0, 0)", at={(0.0, 0.0): (-_INF, 0.0), (0.0, 2.0): (math.log(2.0), 0.0)})
two("xlog1py", WEIGHT_1P, lambda a, b, y: (np.log1p(b), a/np.where((a == 0) & (b == -1), 1.0, 1 + b)),
    source="y = a*log1p(b)", kinks="in b: 0 at (0, -1)", at={(0.0, -1.0): (-_INF, 0.0), (0.0, 0.0): (0.0, 0.0)})
one("entr", POSITIVE_X, lambda x, y: -np.log(x) - 1, source="y = -x*log(x)", scale=_unit,
    kinks="inf at 0", at={0.0: _INF})
two("rel_entr", POSITIVE_AB, _rel_entr, source="y = a*log(a/b)", scale=lambda a, b, y: (1.0, 0.0),
    kinks="0 at (0, 0); in a: -inf at a = 0",
    at={(0.0, 0.0): (0.0, 0.0), (0.0, 1.0): (-_INF, 0.0)})
two("kl_div", POSITIVE_AB, _kl_div, source="y = a*log(a/b) - a + b", kinks="0 and 1 at (0, 0); in a: -inf at a = 0",
    at={(0.0, 0.0): (0.0, 1.0), (0.0, 1.0): (-_INF, 1.0)})
two("huber", POWER_X, _huber, source="Huber (1964), Ann. Math. Stat. 35, 73")
two("pseudo_huber", POWER_X, _pseudo_huber, source="y = a**2*(sqrt(1 + (b/a)**2) - 1)", kinks="0 at (0, 0)",
    at={(0.0, 0.0): (0.0, 0.0), (0.0, -2.0): (2.0, 0.0)})

# exponential integrals
one("exp1", POSITIVE_X, lambda x, y: -np.exp(-x)/x, source="DLMF 6.2.1")
one("expi", NONZERO, lambda x, y: np.exp(x)/x, source="DLMF 6.2.5")
two("expn", ORDER_X, _expn, source="DLMF 8.19.13", refused=_WHOLE)
one("exprel", REAL, lambda x, y: 0.5*S.hyp1f1(2.0, 3.0, x), source="DLMF 13.6.2, 13.3.15")
one("sici_si", REAL, lambda x, y: S._spherical_jn(0, x), source="DLMF 6.2.9", ufunc="scipy.special:sici",
    signature="d->dd")
one("sici_ci", POSITIVE_X, lambda x, y: np.cos(x)/x, source="DLMF 6.2.11", ufunc="scipy.special:sici",
    signature="d->dd", output=1)
one("shichi_shi", REAL, lambda x, y: _reflected(S._spherical_in, 0.0, x), source="DLMF 6.2.15",
    ufunc="scipy.special:shichi", signature="d->dd")
one("shichi_chi", POSITIVE_X, lambda x, y: np.cosh(x)/x, source="DLMF 6.2.16", ufunc="scipy.special:shichi",
    signature="d->dd", output=1)
one("fresnel_s", REAL, lambda x, y: np.sin(HALF_PI*np.fmod(x*x, 4.0)), source="DLMF 7.2.8",
    ufunc="scipy.special:fresnel", signature="d->dd", scale=_unit)
one("fresnel_c", REAL, lambda x, y: np.cos(HALF_PI*np.fmod(x*x, 4.0)), source="DLMF 7.2.7",
    ufunc="scipy.special:fresnel", signature="d->dd", output=1, scale=_unit)
one("spence", POSITIVE_X, _spence, source="DLMF 25.12.1")

# Bessel functions
one("j0", REAL, lambda x, y: -S.j1(x), source="DLMF 10.6.3", scale=_wave)
one("j1", REAL, lambda x, y: 0.5*(S.j0(x) - S.jv(2.0, x)), source="DLMF 10.6.1", scale=_wave)
one("y0", POSITIVE_X, lambda x, y: -S.y1(x), source="DLMF 10.6.3", scale=_wave)
one("y1", POSITIVE_X, lambda x, y: 0.5*(S.y0(x) - S.yn(2, x)), source="DLMF 10.6.1", scale=_wave)
two("jv", ORDER_REAL_X, lambda a, b, y: (_NAN, 0.5*(S.jv(a - 1, b) - S.jv(a + 1, b))), source="DLMF 10.6.1",
    refused=_ORDER, scale=_neighbours("jv"))
two("jve", ORDER_REAL_X, lambda a, b, y: (_NAN, 0.5*(S.jve(a - 1, b) - S.jve(a + 1, b))), source="DLMF 10.6.1",
    refused=_ORDER, scale=_neighbours("jve"))
two("yv", ORDER_REAL_X, lambda a, b, y: (_NAN, 0.5*(S.yv(a - 1, b) - S.yv(a + 1, b))), source="DLMF 10.6.1",
    refused=_ORDER, scale=_neighbours("yv"))
two("yve", ORDER_REAL_X, lambda a, b, y: (_NAN, 0.5*(S.yve(a - 1, b) - S.yve(a + 1, b))), source="DLMF 10.6.1",
    refused=_ORDER, scale=_neighbours("yve"))
two("yn", ORDER_X, lambda a, b, y: (_NAN, 0.5*(S.yn(a - 1, b) - S.yn(a + 1, b))), source="DLMF 10.6.1",
    refused=_WHOLE, scale=_neighbours("yn"), relerr=1e-12)
one("i0", REAL, lambda x, y: S.i1(x), source="DLMF 10.29.3")
one("i1", REAL, lambda x, y: 0.5*(S.i0(x) + S.iv(2.0, x)), source="DLMF 10.29.1")
one("k0", POSITIVE_X, lambda x, y: -S.k1(x), source="DLMF 10.29.3")
one("k1", POSITIVE_X, lambda x, y: -0.5*(S.k0(x) + S.kn(2, x)), source="DLMF 10.29.1")
two("iv", ORDER_REAL_X, lambda a, b, y: (_NAN, 0.5*(S.iv(a - 1, b) + S.iv(a + 1, b))), source="DLMF 10.29.1",
    refused=_ORDER)
two("kv", ORDER_REAL_X, lambda a, b, y: (_NAN, -0.5*(S.kv(a - 1, b) + S.kv(a + 1, b))), source="DLMF 10.29.1",
    refused=_ORDER)
two("kn", ORDER_X, lambda a, b, y: (_NAN, -0.5*(S.kn(np.abs(a - 1), b) + S.kn(a + 1, b))), source="DLMF 10.29.1",
    refused=_WHOLE)
one("i0e", REAL, _i0e, source="DLMF 10.29.3, 10.40.1")
one("i1e", REAL, _i1e, source="DLMF 10.29.1, 10.29.2, 10.40.1")
one("k0e", POSITIVE_X, _k0e, source="DLMF 10.29.3, 10.40.2")
one("k1e", POSITIVE_X, _k1e, source="DLMF 10.29.2, 10.40.2")
two("ive", ORDER_REAL_X, lambda a, b, y: (_NAN, 0.5*(S.ive(a - 1, b) + S.ive(a + 1, b)) - np.sign(b)*y),
    source="DLMF 10.29.1", refused=_ORDER, scale=lambda a, b, y: (0.0, np.abs(y) + np.abs(S.ive(a - 1, b))))
two("kve", ORDER_REAL_X, lambda a, b, y: (_NAN, y - 0.5*(S.kve(a - 1, b) + S.kve(a + 1, b))),
    source="DLMF 10.29.1", refused=_ORDER, scale=lambda a, b, y: (0.0, y + S.kve(a + 1, b)))
two("_spherical_jn", ORDER_X, _spherical_jn, source="DLMF 10.51.1", ufunc="scipy.special._ufuncs:_spherical_jn", **_INT)
two("_spherical_yn", ORDER_X, _spherical_yn, source="DLMF 10.51.1", ufunc="scipy.special._ufuncs:_spherical_yn", **_INT)
two("_spherical_in", ORDER_X, _spherical_in, source="DLMF 10.51.4", ufunc="scipy.special._ufuncs:_spherical_in", **_INT)
two("_spherical_kn", ORDER_X, _spherical_kn, source="DLMF 10.51.4", ufunc="scipy.special._ufuncs:_spherical_kn", **_INT)
two("struve", ORDER_REAL_X, lambda a, b, y: (_NAN, 0.5*(S.struve(a - 1, b) - S.struve(a + 1, b) + _struve_term(a, b))),
    source="DLMF 11.4.23, 11.4.24", refused=_ORDER)
two("modstruve", ORDER_REAL_X,
    lambda a, b, y: (_NAN, 0.5*(S.modstruve(a - 1, b) + S.modstruve(a + 1, b) + _struve_term(a, b))),
    source="DLMF 11.4.25, 11.4.26", refused=_ORDER, relerr=1e-12)
one("airy_ai", REAL, lambda x, y: S.airy(x)[1], source="DLMF 9.2.1", ufunc="scipy.special:airy", signature="d->dddd")
one("airy_aip", REAL, lambda x, y: x*S.airy(x)[0], source="DLMF 9.2.1", ufunc="scipy.special:airy",
    signature="d->dddd", output=1)
one("airy_bi", REAL, lambda x, y: S.airy(x)[3], source="DLMF 9.2.1", ufunc="scipy.special:airy",
    signature="d->dddd", output=2)
one("airy_bip", REAL, lambda x, y: x*S.airy(x)[2], source="DLMF 9.2.1", ufunc="scipy.special:airy",
    signature="d->dddd", output=3)

# hypergeometric functions, by their argument
two("hyp0f1", PARAMETER_X, lambda a, b, y: (_NAN, S.hyp0f1(a + 1, b)/a), source="DLMF 16.3.1", refused=_SHAPE)
three("hyp1f1", PARAMETERS_X, lambda a, b, x, y: (_NAN, _NAN, a/b*S.hyp1f1(a + 1, b + 1, x)), source="DLMF 13.3.15",
      refused=_SHAPES)
three("hyperu", POSITIVE_3, lambda a, b, x, y: (_NAN, _NAN, -a*S.hyperu(a + 1, b + 1, x)), source="DLMF 13.3.22",
      refused=_SHAPES, relerr=1e-9)      # SciPy's own error

# elliptic integrals and functions
one("ellipk", BELOW_ONE, _ellipk, source="DLMF 19.4.1, 19.5.1", kinks="inf at 1", at={1.0: _INF})
one("ellipe", BELOW_ONE, _ellipe, source="DLMF 19.4.2, 19.5.2", kinks="-inf at 1", at={1.0: -_INF})
one("ellipkm1", POSITIVE_X, _ellipkm1, source="DLMF 19.4.1, 19.5.1", kinks="-inf at 0", at={0.0: -_INF})
two("ellipkinc", AMPLITUDE, _ellipkinc, source="DLMF 19.2.4, 19.18.1, 19.25.5")
two("ellipeinc", AMPLITUDE, _ellipeinc, source="DLMF 19.2.5, 19.18.1, 19.25.9")
three("elliprf", POSITIVE_3, _elliprf, source="DLMF 19.18.1")
three("elliprd", POSITIVE_3, _elliprd, source="DLMF 19.18.1, 19.18.8",
      kinks="nan in a and x where a == x, in b and x where b == x", at={(1.0, 1.0, 1.0): (_NAN, _NAN, _NAN)})
two("ellipj_sn", ARGUMENT, lambda a, b, y: (S.ellipj(a, b)[1]*S.ellipj(a, b)[2], _NAN), source="DLMF 22.13.1",
    ufunc="scipy.special:ellipj", signature="dd->dddd", refused={1: _SHAPE[0]})
two("ellipj_cn", ARGUMENT, lambda a, b, y: (-S.ellipj(a, b)[0]*S.ellipj(a, b)[2], _NAN), source="DLMF 22.13.2",
    ufunc="scipy.special:ellipj", signature="dd->dddd", output=1, refused={1: _SHAPE[0]})
two("ellipj_dn", ARGUMENT, lambda a, b, y: (-b*S.ellipj(a, b)[0]*S.ellipj(a, b)[1], _NAN), source="DLMF 22.13.3",
    ufunc="scipy.special:ellipj", signature="dd->dddd", output=2, refused={1: _SHAPE[0]})
two("ellipj_ph", ARGUMENT, lambda a, b, y: (S.ellipj(a, b)[2], _NAN), source="DLMF 22.16.3",
    ufunc="scipy.special:ellipj", signature="dd->dddd", output=3, refused={1: _SHAPE[0]})

# elementary functions that SciPy has beside NumPy's, transformations of data, Lambert's W
one("cosm1", REAL, lambda x, y: -np.sin(x), source="y = cos(x) - 1")
one("exp10", REAL, lambda x, y: LN10*y, source="y = 10**x")
one("special_exp2", REAL, lambda x, y: LN2*y, source="y = 2**x", ufunc="scipy.special:exp2")
one("special_expm1", REAL, lambda x, y: np.exp(x), source="y = exp(x) - 1", ufunc="scipy.special:expm1")
one("special_log1p", ABOVE_MINUS_ONE, lambda x, y: 1/(1 + x), source="y = log(1 + x)", ufunc="scipy.special:log1p")
one("special_cbrt", REAL, lambda x, y: 1/(3*y*y), source="y = x**(1/3)", ufunc="scipy.special:cbrt",
    kinks="inf at 0", at={0.0: _INF})
one("sindg", REAL, lambda x, y: PI/180*S.cosdg(x), source="y = sin(pi*x/180)")
one("cosdg", REAL, lambda x, y: -PI/180*S.sindg(x), source="y = cos(pi*x/180)")
one("tandg", REAL, lambda x, y: PI/180*(1 + y*y), source="y = tan(pi*x/180)")
two("powm1", POWER_X, _powm1, source="y = a**b - 1")
two("boxcox", POWER_X, _boxcox, source="Box & Cox (1964), J. R. Stat. Soc. B 26, 211; DLMF 13.6.2")
two("boxcox1p", POWER_1P, _boxcox1p, source="Box & Cox (1964), J. R. Stat. Soc. B 26, 211; DLMF 13.6.2")
two("inv_boxcox", INVERSE_POWER, _inv_boxcox, source="inverse of boxcox")
two("inv_boxcox1p", INVERSE_POWER, _inv_boxcox1p, source="inverse of boxcox1p")
one("wrightomega", REAL, lambda x, y: y/(1 + y), source="y + log(y) = x")
one("lambertw", ABOVE_BRANCH, lambda x, y: np.where(x < BRANCH_POINT, _NAN, np.exp(-y)/(1 + y)), source="DLMF 4.13.4",
    ufunc="scipy.special._ufuncs:_lambertw", signature="zLD->z", constants={1: 0.0, 2: 1e-8},
    kinks="nan where W is complex", at={-0.5: _NAN})
one("lambertw_lower", LOWER_BRANCH, _lower_branch, source="DLMF 4.13.4",
    ufunc="scipy.special._ufuncs:_lambertw", signature="zLD->z", constants={1: -1.0, 2: 1e-8},
    kinks="nan where W is complex", at={-0.5: _NAN, 0.5: _NAN})
