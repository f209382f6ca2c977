"""special_partials.py - partial derivatives of SciPy's special functions that need more than a line.

Owns: formulas in which nothing cancels on the whole domain: series, reflections, asymptotics; the size of terms where
they cancel nevertheless.  The docstring of a partial is what the manual prints.
Must not know: which row they belong to, the tape; SciPy itself before one of its functions is used (`S` imports it).
Next: primitives_special.py (the rows), tests/test_special_rows.py (each against mpmath).
"""
from __future__ import annotations

import importlib
import math
from typing import Any

import numpy as np

__all__ = ["S"]


class _Special:
    """scipy.special, imported when one of its functions is asked for."""

    def __getattr__(self, name: str) -> Any:
        module = importlib.import_module("scipy.special._ufuncs" if name[0] == "_" else "scipy.special")
        function = getattr(module, name)
        if name.startswith("_spherical"):        # its order has an integer type
            return lambda n, x: function(n.astype(np.int64) if type(n) in (np.float64, np.ndarray) else n, x)
        return function


S = _Special()
_INF, _NAN = math.inf, math.nan
ROOT_PI, ROOT_2PI, ROOT_HALF = math.sqrt(math.pi), math.sqrt(2*math.pi), math.sqrt(0.5)
TWO_BY_ROOT_PI, ONE_BY_ROOT_2PI = 2/math.sqrt(math.pi), 1/math.sqrt(2*math.pi)
LN2, LN10, PI, HALF_PI = math.log(2), math.log(10), math.pi, math.pi/2
BRANCH_POINT = -math.exp(-1)

# ---- series, where a formula would cancel ---------------------------------------------------------------------------
def _horner(c: Any, x: Any) -> Any:
    y = c[-1]*x + c[-2]
    for ck in c[-3::-1]:
        y = y*x + ck
    return y


def _odd_factorials(n: int) -> list[float]:
    """(2k + 1)!! / 2**k: DLMF 7.12.1 term by term."""
    c = [1.0]
    for k in range(1, n):
        c.append(c[-1]*(2*k + 1)/2)
    return c


_FAR = _odd_factorials(17)                                       # of dawsn' from x = 9 on
_FAR_SIGNED = [(-1)**k*c for k, c in enumerate(_FAR)]            # of erfcx'
_RATIOS = [math.prod((2*j - 1)/(2*j) for j in range(1, k + 1))**2 for k in range(18)]
_ELLIPK = [HALF_PI*(k + 1)*_RATIOS[k + 1] for k in range(17)]    # of dK/dm, DLMF 19.5.1
_ELLIPE = [-HALF_PI*(k + 1)*_RATIOS[k + 1]/(2*k + 1) for k in range(17)]         # of dE/dm, DLMF 19.5.2
_LOG1P = [(-1)**(k + 1)/(k + 1) for k in range(17)]              # of -log1p(e)/e
_INV_BOXCOX = [(-1)**(k + 1)*(k + 1)/(k + 2) for k in range(17)]  # of (u/(1 + u) - log1p(u))/u**2


def _bessel_large(nu: int, n: int) -> list[float]:
    """Coefficients of x**-k in sqrt(2*pi*x)*exp(-x)*I_nu(x): DLMF 10.40.1."""
    c = [1.0]
    for k in range(1, n):
        c.append(-c[-1]*(4*nu**2 - (2*k - 1)**2)/(8*k))
    return c


# of sqrt(2*pi*x)*(I1 - I0)*exp(-x)*x, and the same for K with alternating signs
_I_FAR = [b - a for a, b in zip(_bessel_large(0, 15)[1:], _bessel_large(1, 15)[1:], strict=True)]
_K_FAR = [(-1)**k*c for k, c in enumerate(_I_FAR)]


def _erfcx(x: Any, y: Any) -> Any:
    """2*x*y - 2/sqrt(pi); from x = 9 on its asymptotic series"""
    far = x > 9
    t = 1/np.square(np.where(far, x, 9.0))
    return np.where(far, -t/ROOT_PI*_horner(_FAR_SIGNED, t), 2*np.where(far, 0.0, x)*y - TWO_BY_ROOT_PI)


def _dawsn(x: Any, y: Any) -> Any:
    """1 - 2*x*y; from |x| = 9 on its asymptotic series"""
    far = np.abs(x) > 9
    t = 1/np.square(np.where(far, x, 9.0))
    return np.where(far, -0.5*t*_horner(_FAR, t), 1 - 2*x*y)


def _rgamma(x: Any, y: Any) -> Any:
    """-y*psi(x); for x < 1/2 by reflection: gamma(1 - x)*(cos(pi*x) - psi(1 - x)*sin(pi*x)/pi)"""
    low = x < 0.5
    n = np.rint(x)
    r = PI*(x - n)
    z = np.where(low, 1 - x, 1.0)
    sign = 1 - 2*np.abs(np.fmod(n, 2))
    return np.where(low, S.gamma(z)*sign*(np.cos(r) - S.psi(z)*np.sin(r)/PI), -y*S.psi(np.where(low, 1.0, x)))


def _poch(a: Any, b: Any, y: Any) -> Any:
    """y*(psi(a + b) - psi(a)), y*psi(a + b)"""
    p = S.psi(a + b)
    return y*(p - S.psi(a)), y*p


def _binom(a: Any, b: Any, y: Any) -> Any:
    """y*(psi(a + 1) - psi(a - b + 1)), y*(psi(a - b + 1) - psi(b + 1))"""
    p = S.psi(a - b + 1)
    return y*(S.psi(a + 1) - p), y*(p - S.psi(b + 1))


def _beta(a: Any, b: Any, y: Any) -> Any:
    """y*(psi(a) - psi(a + b)), y*(psi(b) - psi(a + b))"""
    p = S.psi(a + b)
    return y*(S.psi(a) - p), y*(S.psi(b) - p)


def _betaln(a: Any, b: Any, y: Any) -> Any:
    """psi(a) - psi(a + b), psi(b) - psi(a + b)"""
    p = S.psi(a + b)
    return S.psi(a) - p, S.psi(b) - p


def _of_psi(factors: Any) -> Any:
    """The size of the terms in differences of psi."""
    def scale(a: Any, b: Any, y: Any) -> Any:
        z, factor = factors(a, b, y)
        return (np.abs(factor*S.psi(z)),)*2
    return scale


def _unit(x: Any, y: Any) -> Any:
    """The size of what is a difference of terms of order 1."""
    return 1.0


def _wave(x: Any, y: Any) -> Any:
    """The amplitude of Bessel functions, between the zeros of which the relative error has no meaning."""
    return 1/np.sqrt(1 + np.abs(x))


def _neighbours(name: str) -> Any:
    """The size of the terms in the recurrence of a Bessel function."""
    def scale(a: Any, b: Any, y: Any) -> Any:
        f = getattr(S, name)
        return 0.0, np.abs(f(a - 1, b)) + np.abs(f(a + 1, b))
    return scale


_STIRLING = [1/12, -1/360, 1/1260, -1/1680, 1/1188]             # DLMF 5.11.1


def _gamma_density(a: Any, x: Any) -> Any:
    """x**(a - 1)*exp(-x)/gamma(a); for a > 20 about its maximum, where the logarithms would cancel (DLMF 5.11.1)."""
    large = (a > 20) & (x > 0)
    b, z = np.where(large, a, 20.0), np.where(large, x, 20.0)
    u = (z - b)/b
    peak = np.exp(b*(np.log1p(u) - u) - _horner(_STIRLING, 1/(b*b))/b)*np.sqrt(b/(2*PI))/z
    c, t = np.where(large, 1.0, a), np.where(large, 1.0, x)
    return np.where(large, peak, np.exp(S.xlogy(c - 1, t) - t - S.gammaln(c)))


def _beta_density(a: Any, b: Any, x: Any) -> Any:
    return np.exp(S.xlogy(a - 1, x) + S.xlog1py(b - 1, -x) - S.betaln(a, b))


def _expn(n: Any, x: Any, y: Any) -> Any:
    """-expn(n - 1, x); for n = 0: -y*(1 + 1/x)"""
    none = n < 1
    return _NAN, np.where(none, -y*(1 + 1/np.where(none, x, 1.0)), -S.expn(np.where(none, 0.0, n - 1), x))


def _i0e(x: Any, y: Any) -> Any:
    """i1e(x) - sign(x)*y; from |x| = 50 on its asymptotic series"""
    size = np.abs(x)
    far = size > 50
    return np.where(far, np.sign(x)*_i_far(np.where(far, size, 50.0)), S.i1e(x) - np.sign(x)*y)


def _i1e(x: Any, y: Any) -> Any:
    """i0e(x) - y/x - sign(x)*y; from |x| = 50 on its series, for |x| < 1: (i0e(x) + ive(2, x))/2 - sign(x)*y"""
    size = np.abs(x)
    far, near = size > 50, size < 1
    return np.where(far, -_i_far(np.where(far, size, 50.0)) - y/np.where(near, 1.0, x),
                    np.where(near, 0.5*(S.i0e(x) + S.ive(2.0, x)), S.i0e(x) - y/np.where(near, 1.0, x)) - np.sign(x)*y)


def _i_far(x: Any) -> Any:
    return _horner(_I_FAR, 1/x)/(x*np.sqrt(2*PI*x))


def _k_far(x: Any) -> Any:
    return _horner(_K_FAR, 1/x)*np.sqrt(HALF_PI/x)/x


def _k0e(x: Any, y: Any) -> Any:
    """y - k1e(x); from x = 50 on its asymptotic series"""
    far = x > 50
    return np.where(far, _k_far(np.where(far, x, 50.0)), y - S.k1e(x))


def _k1e(x: Any, y: Any) -> Any:
    """y - k0e(x) - y/x; from x = 50 on its asymptotic series"""
    far = x > 50
    return np.where(far, -_k_far(np.where(far, x, 50.0)), y - S.k0e(x)) - y/x


def _log_ratio(a: Any, b: Any) -> Any:
    close = np.abs(a - b) < 0.5*b
    return np.where(close, np.log1p((a - b)/np.where(close, b, 1.0)), np.log(a/np.where(close, a, b)))


def _rel_entr(a: Any, b: Any, y: Any) -> Any:
    """log(a/b) + 1, -a/b"""
    none = (a == 0) & (b == 0)
    c, d = np.where(none, 1.0, a), np.where(none, 1.0, b)
    return np.where(none, 0.0, _log_ratio(c, d) + 1), np.where(none, 0.0, -c/d)


def _kl_div(a: Any, b: Any, y: Any) -> Any:
    """log(a/b), (b - a)/b"""
    none = (a == 0) & (b == 0)
    c, d = np.where(none, 1.0, a), np.where(none, 1.0, b)
    close = np.abs(c - d) < 0.5*d
    return np.where(none, 0.0, _log_ratio(c, d)), np.where(none, 1.0, np.where(close, (d - c)/d, 1 - c/d))


def _huber(a: Any, b: Any, y: Any) -> Any:
    """max(abs(b) - a, 0), b clipped to -a ... a"""
    size = np.abs(b)
    inside = size <= a
    return np.where(inside, 0.0, size - a), np.where(inside, b, a*np.sign(b))


def _pseudo_huber(a: Any, b: Any, y: Any) -> Any:
    """abs(b)*h*t**3 with h = abs(b)/hypot(a, b), t = abs(b)/(hypot(a, b) + a); b*a/hypot(a, b)"""
    # 2*a*(s - 1) - (b/a)**2*a/s with s = hypot(a, b)/a, multiplied out: neither cancels nor divides by a
    h = np.hypot(a, b)
    none = h == 0
    h = np.where(none, 1.0, h)
    t = b/(h + a)
    steep = np.abs(b) > np.abs(a)        # there a/h - b*(a*b)/h**3, the second derivative, would cancel
    slope = np.where(steep, a*np.sign(b)/np.hypot(1.0, a/np.where(steep, b, 1.0)), b*(a/h))
    return b*(b/h)*t*t, np.where(none, 0.0, slope)


def _owens_t(a: Any, b: Any, y: Any) -> Any:
    """-exp(-a**2/2)*erf(a*b/sqrt(2))/sqrt(8*pi), exp(-a**2*(1 + b**2)/2)/(2*pi*(1 + b**2))"""
    q = 1 + b*b
    return (-0.5*ONE_BY_ROOT_2PI*np.exp(-0.5*a*a)*S.erf(a*b*ROOT_HALF),
            np.exp(-0.5*a*a*q)/(2*PI*q))


def _ellipk(x: Any, y: Any) -> Any:
    """(ellipe(x)/(1 - x) - y)/(2*x); for |x| < 0.1 its power series"""
    near, end = np.abs(x) < 0.1, x == 1
    m = np.where(near | end, 0.5, x)
    y = np.where(near, _horner(_ELLIPK, np.where(near, x, 0.0)), (S.ellipe(m)/(1 - m) - S.ellipk(m))/(2*m))
    return np.where(end, _INF, y)


def _ellipe(x: Any, y: Any) -> Any:
    """(y - ellipk(x))/(2*x); for |x| < 0.1 its power series"""
    near = np.abs(x) < 0.1
    m = np.where(near, 0.5, x)
    return np.where(near, _horner(_ELLIPE, np.where(near, x, 0.0)), (S.ellipe(m) - S.ellipk(m))/(2*m))


def _ellipkm1(x: Any, y: Any) -> Any:
    """-(ellipe(1 - x)/x - y)/(2*(1 - x)); for |1 - x| < 0.1 its power series"""
    near, end = np.abs(1 - x) < 0.1, x == 0
    p = np.where(near | end, 0.5, x)
    y = np.where(near, _horner(_ELLIPK, np.where(near, 1 - x, 0.0)),
                 (S.ellipe(1 - p)/p - S.ellipkm1(p))/(2*(1 - p)))
    return np.where(end, -_INF, -y)


def _turns(a: Any) -> Any:
    """The number of half turns in an amplitude, and the sine and cosine of what is left."""
    n = np.rint(a/PI)
    sign = 1 - 2*np.abs(np.fmod(n, 2))
    return n, sign*np.sin(a), np.cos(a)


def _ellipkinc(a: Any, b: Any, y: Any) -> Any:
    """1/sqrt(1 - b*sin(a)**2), sin(a)**3/6*elliprd(cos(a)**2, 1, 1 - b*sin(a)**2) and 2*K'(b) a half turn"""
    n, s, c = _turns(a)
    d = 1 - b*s*s
    turn = np.where(n == 0, 0.0, b)
    return 1/np.sqrt(d), s*s*s/6*S.elliprd(c*c, 1.0, d) + 2*n*_ellipk(turn, S.ellipk(turn))


def _ellipeinc(a: Any, b: Any, y: Any) -> Any:
    """sqrt(1 - b*sin(a)**2), -sin(a)**3/6*elliprd(cos(a)**2, 1 - b*sin(a)**2, 1) and 2*E'(b) a half turn"""
    n, s, c = _turns(a)
    d = 1 - b*s*s
    turn = np.where(n == 0, 0.0, b)
    return np.sqrt(d), -s*s*s/6*S.elliprd(c*c, d, 1.0) + 2*n*_ellipe(turn, S.ellipe(turn))


def _elliprf(a: Any, b: Any, x: Any, y: Any) -> Any:
    """-elliprd(b, x, a)/6, -elliprd(a, x, b)/6, -elliprd(a, b, x)/6"""
    return -S.elliprd(b, x, a)/6, -S.elliprd(a, x, b)/6, -S.elliprd(a, b, x)/6


def _elliprd(a: Any, b: Any, x: Any, y: Any) -> Any:
    """(y - elliprd(b, x, a))/(2*(x - a)), (y - elliprd(a, x, b))/(2*(x - b)), the rest of -3*y/2 by homogeneity"""
    p = (y - S.elliprd(b, x, a))/(2*(x - a))
    q = (y - S.elliprd(a, x, b))/(2*(x - b))
    return p, q, -(1.5*y + a*p + b*q)/x


def _spence(x: Any, y: Any) -> Any:
    """log(x)/(1 - x); for |1 - x| < 0.1 its power series"""
    e = x - 1
    near = np.abs(e) < 0.1
    return np.where(near, _horner(_LOG1P, np.where(near, e, 0.0)), -np.log(x)/np.where(near, 1.0, e))


def _boxcox(a: Any, b: Any, y: Any) -> Any:
    """a**(b - 1), log(a)**2*hyp1f1(2, 3, b*log(a))/2"""
    none = a == 0
    log = np.log(np.where(none, 1.0, a))
    return np.power(a, b - 1), np.where(none, np.where(b > 0, 1/(b*b), -_INF),
                                        0.5*log*log*S.hyp1f1(2.0, 3.0, b*log))


def _boxcox1p(a: Any, b: Any, y: Any) -> Any:
    """(1 + a)**(b - 1), log1p(a)**2*hyp1f1(2, 3, b*log1p(a))/2"""
    none = a == -1
    log = np.log1p(np.where(none, 0.0, a))
    return np.exp(S.xlog1py(b - 1, a)), np.where(none, np.where(b > 0, 1/(b*b), -_INF),
                                            0.5*log*log*S.hyp1f1(2.0, 3.0, b*log))


def _by_exponent(a: Any, b: Any) -> Any:
    """(u/(1 + u) - log1p(u))/u**2 for u = a*b."""
    u = a*b
    near = np.abs(u) < 0.1
    v = np.where(near, 1.0, u)
    return np.where(near, _horner(_INV_BOXCOX, np.where(near, u, 0.0)), (v/(1 + v) - np.log1p(v))/(v*v))


def _inv_boxcox(a: Any, b: Any, y: Any) -> Any:
    """y/(1 + a*b), y*(a/(b*(1 + a*b)) - log1p(a*b)/b**2)"""
    return y/(1 + a*b), y*a*a*_by_exponent(a, b)


def _inv_boxcox1p(a: Any, b: Any, y: Any) -> Any:
    """(1 + y)/(1 + a*b), (1 + y)*(a/(b*(1 + a*b)) - log1p(a*b)/b**2)"""
    return (1 + y)/(1 + a*b), (1 + y)*a*a*_by_exponent(a, b)


def _powm1(a: Any, b: Any, y: Any) -> Any:
    """b*a**(b - 1), a**b*log(a)"""
    none = a == 0
    return (b*np.power(np.where(none & (b == 0), 1.0, a), b - 1),
            np.where(none, 0.0, np.power(np.where(none, 1.0, a), b))*np.log(np.where(none, 1.0, a)))


def _struve_term(v: Any, x: Any) -> Any:
    return np.exp(S.xlogy(v, 0.5*x))/ROOT_PI*S.rgamma(v + 1.5)


def _spherical(n: Any) -> Any:
    return np.where(n < 1, 0.0, n - 1)


def _reflected(f: Any, n: Any, x: Any) -> Any:
    """f(n, x) = (-1)**n*f(n, -x), for loops that know x >= 0 only.  (abs would have no derivative at 0.)"""
    low = x < 0
    return np.where(low, 1 - 2*np.fmod(n, 2), 1.0)*f(n, np.where(low, -x, x))


def _spherical_jn(n: Any, x: Any, y: Any) -> Any:
    """-, (n*j(n - 1) - (n + 1)*j(n + 1))/(2*n + 1)"""
    j = S._spherical_jn
    return _NAN, (n*_reflected(j, _spherical(n), x) - (n + 1)*_reflected(j, n + 1, x))/(2*n + 1)


def _spherical_yn(n: Any, x: Any, y: Any) -> Any:
    """-, (n*y(n - 1) - (n + 1)*y(n + 1))/(2*n + 1)"""
    return _NAN, (n*S._spherical_yn(_spherical(n), x) - (n + 1)*S._spherical_yn(n + 1, x))/(2*n + 1)


def _spherical_in(n: Any, x: Any, y: Any) -> Any:
    """-, (n*i(n - 1) + (n + 1)*i(n + 1))/(2*n + 1)"""
    i = S._spherical_in
    return _NAN, (n*_reflected(i, _spherical(n), x) + (n + 1)*_reflected(i, n + 1, x))/(2*n + 1)


def _spherical_kn(n: Any, x: Any, y: Any) -> Any:
    """-, -(n*k(n - 1) + (n + 1)*k(n + 1))/(2*n + 1)"""
    return _NAN, -(n*S._spherical_kn(_spherical(n), x) + (n + 1)*S._spherical_kn(n + 1, x))/(2*n + 1)


def _lower_branch(x: Any, y: Any) -> Any:
    """exp(-y)/(1 + y)"""
    return np.where((x < BRANCH_POINT) | (x > 0), _NAN, np.exp(-y)/(1 + y))


def _stdtr(a: Any, b: Any, y: Any) -> Any:
    """-, exp(-(a + 1)/2*log1p(b*b/a) - betaln(a/2, 1/2))/sqrt(a)"""
    return _NAN, np.exp(-0.5*(a + 1)*np.log1p(b*b/a) - S.betaln(0.5*a, 0.5))/np.sqrt(a)
