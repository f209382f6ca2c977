"""The special functions a second time, in mpmath, and the points at which their rows are judged.

Owns: `CASES`: name of a row -> (the function in mpmath, a list of numbers for each operand: all combinations).
Must not know: the rows, the tape.
Next: test_special_rows.py.
"""
import functools

import mpmath as mp
import numpy as np

mpf = mp.mpf
REAL = [-1e3, -30.0, -7.5, -3.0, -1.0, -0.3, -1e-3, 1e-8, 0.02, 0.5, 1.5, 4.0, 6.9, 7.1, 12.0, 25.0, 300.0]
MODEST = [x for x in REAL if abs(x) < 28]
POSITIVE = [1e-8, 1e-3, 0.05, 0.3, 1.0, 1.4616, 2.5, 7.0, 20.0, 49.0, 51.0, 150.0]
SHAPES = [0.3, 1.0, 2.5, 30.0, 1000.0]
ARGUMENTS = [1e-8, 0.05, 1.0, 7.0, 49.0, 150.0, 970.0, 1300.0]
UNIT = [1e-12, 1e-3, 0.2, 0.5, 0.77, 0.999]
ORDERS = [0.0, 1.0, 2.0, 5.0]
REAL_ORDERS = [-1.5, 0.0, 0.3, 1.0, 2.5, 7.0]


def ndtr(x):
    return mp.erfc(-x/mp.sqrt(2))/2


@functools.cache
def nodes():
    """Gauss-Legendre nodes and weights on [0, 1] at 60 digits."""
    found, n = [], 40
    with mp.workdps(60):
        for start in np.polynomial.legendre.leggauss(n)[0]:
            x = mp.mpf(float(start))
            for _ in range(3):
                p, below = mp.legendre(n, x), mp.legendre(n - 1, x)
                x -= p*(1 - x*x)/(n*(below - x*p))
            found.append(((1 + x)/2, (1 - x*x)/(n*mp.legendre(n - 1, x))**2))
    return found


def owens_t(h, a):
    return a*sum(w*mp.exp(-h*h*(1 + (a*t)**2)/2)/(1 + (a*t)**2) for t, w in nodes())/(2*mp.pi)


def besselk(v, x):
    """DLMF 10.32.9 by the trapezoidal rule, which converges like exp(-pi**2/step); mpmath's own takes seconds."""
    step, total = min(mpf(3)/40, mpf(1)/4/mp.sqrt(x)), mp.exp(-x)/2
    for k in range(1, int(mp.acosh(1 + 150/x)/step) + 2):
        total += mp.exp(-x*mp.cosh(k*step))*mp.cosh(v*k*step)
    return step*total


def dawsn(x):
    return mp.sqrt(mp.pi)/2*mp.exp(-x*x)*mp.erfi(x)


def scaled(f, sign):
    return lambda v, x: f(v, x)*mp.exp(sign*abs(x))


def spherical(f):
    return lambda n, x: mp.sqrt(mp.pi/(2*x))*f(n + mpf(1)/2, x)


def kl_div(a, b):
    return a*mp.log(a/b) - a + b


def huber(d, r):
    return r*r/2 if abs(r) <= d else d*(abs(r) - d/2)


def gammaincc(a, x):
    return mp.gammainc(a, x)/mp.gamma(a)


def betainc(a, b, x):
    return mp.betainc(a, b, 0, x, regularized=True)


CASES = {
    "erf": (mp.erf, [MODEST]), "erfc": (mp.erfc, [MODEST]),
    "erfcx": (lambda x: mp.exp(x*x)*mp.erfc(x), [[*MODEST[1:], 40.0, 1e3, 1e6]]),
    "erfi": (mp.erfi, [MODEST]), "dawsn": (dawsn, [[*MODEST, 40.0, -300.0]]),
    "ndtr": (ndtr, [MODEST]), "log_ndtr": (lambda x: mp.log(ndtr(x)), [[*MODEST, -200.0, 35.0]]),
    "owens_t": (owens_t, [[-3.0, 0.0, 0.5], [-2.0, 0.0, 0.3, 1.0]]),
    "gamma": (mp.gamma, [[*POSITIVE, -0.5, -1.25, -7.7, 170.0]]),
    "gammaln": (lambda x: mp.log(abs(mp.gamma(x))), [[*POSITIVE, -0.5, -7.7, 1e5, 1e12]]),
    "loggamma": (mp.loggamma, [[*POSITIVE, 1e5, 1e12]]),
    "rgamma": (mp.rgamma, [[*POSITIVE, 0.0, -0.5, -1.0, -1.25, -2.0, -7.7, -12.0]]),
    "psi": (mp.digamma, [[*POSITIVE, -0.5, -7.7, 1e5, 1e12]]),
    "_zeta": (lambda s, q: mp.zeta(s, q), [[1.1, 2.0, 3.5, 12.0], [1e-3, 0.3, 1.0, 7.0, 300.0]]),
    "poch": (mp.rf, [[0.3, 1.0, 4.5, 20.0], [-0.2, 0.5, 2.0, 5.5]]),
    "binom": (mp.binomial, [[0.3, 2.5, 5.5, 40.5], [-0.2, 0.5, 2.0, 3.7]]),
    "beta": (mp.beta, [[1e-3, 0.3, 1.0, 4.5, 20.0], [1e-3, 0.5, 2.0, 5.5]]),
    "betaln": (lambda a, b: mp.log(mp.beta(a, b)), [[1e-3, 0.3, 1.0, 4.5, 1e3], [1e-3, 0.5, 2.0, 5.5]]),
    "gammainc": (lambda a, x: mp.gammainc(a, 0, x)/mp.gamma(a), [SHAPES, ARGUMENTS]),
    "gammaincc": (gammaincc, [SHAPES, ARGUMENTS]),
    "betainc": (betainc, [[0.5, 2.0, 20.0], [0.7, 3.0, 9.0], UNIT]),
    "betaincc": (lambda a, b, x: 1 - betainc(a, b, x), [[0.5, 2.0, 20.0], [0.7, 3.0, 9.0], UNIT]),
    "chdtr": (lambda v, x: mp.gammainc(v/2, 0, x/2)/mp.gamma(v/2), [SHAPES, POSITIVE]),
    "chdtrc": (lambda v, x: gammaincc(v/2, x/2), [[0.3, 30.0], POSITIVE[::3]]),
    "pdtr": (lambda k, m: gammaincc(k + 1, m), [ORDERS, POSITIVE]),
    "pdtrc": (lambda k, m: 1 - gammaincc(k + 1, m), [ORDERS, POSITIVE]),
    "gdtr": (lambda a, b, x: mp.gammainc(b, 0, a*x)/mp.gamma(b), [[0.3, 2.0], [0.7, 4.0], [0.1, 1.0, 5.0]]),
    "gdtrc": (lambda a, b, x: gammaincc(b, a*x), [[0.3, 2.0], [0.7], [0.1, 5.0]]),
    "stdtr": (lambda v, t: mp.mpf(1)/2 + t*mp.gamma((v + 1)/2)/(mp.sqrt(mp.pi*v)*mp.gamma(v/2))
              * mp.hyp2f1(mpf(1)/2, (v + 1)/2, mpf(3)/2, -t*t/v), [[1.0, 2.5, 30.0], [-40.0, 0.0, 0.3]]),
    "expit": (lambda x: 1/(1 + mp.exp(-x)), [REAL]),
    "logit": (lambda x: mp.log(x/(1 - x)), [UNIT]),
    "log_expit": (lambda x: -mp.log1p(mp.exp(-x)), [REAL]),
    "xlogy": (lambda a, b: a*mp.log(b), [[-3.0, 0.0, 0.5], POSITIVE]),
    "xlog1py": (lambda a, b: a*mp.log1p(b), [[-3.0, 0.0, 0.5], [-0.999, -0.3, 1e-10, 2.0]]),
    "entr": (lambda x: -x*mp.log(x), [POSITIVE]),
    "rel_entr": (lambda a, b: a*mp.log(a/b), [POSITIVE, [1e-5, 0.3, 1.0, 1.000001, 9.0]]),
    "kl_div": (kl_div, [POSITIVE, [1e-5, 0.3, 1.0, 1.000001, 9.0]]),
    "huber": (huber, [[0.5, 2.0], [-3.0, -1.0, 0.3, 7.0]]),
    "pseudo_huber": (lambda d, r: d*d*(mp.sqrt(1 + (r/d)**2) - 1), [[1e-3, 0.5, 20.0], [-3.0, 1e-4, 0.3, 1e3]]),
    "exp1": (mp.e1, [[*POSITIVE, 600.0]]), "expi": (mp.ei, [[*POSITIVE, -0.3, -5.0, -30.0]]),
    "expn": (lambda n, x: mp.expint(int(n), x), [ORDERS, [1e-3, 0.3, 1.0, 7.0, 60.0]]),
    "exprel": (lambda x: mp.expm1(x)/x, [REAL]),
    "sici_si": (mp.si, [REAL]), "sici_ci": (mp.ci, [POSITIVE]),
    "shichi_shi": (mp.shi, [MODEST]), "shichi_chi": (mp.chi, [POSITIVE]),
    "fresnel_s": (mp.fresnels, [MODEST]), "fresnel_c": (mp.fresnelc, [MODEST]),
    "spence": (lambda x: mp.polylog(2, 1 - x), [[1e-3, 0.3, 0.899, 0.95, 1.0, 1.001, 1.3, 1.99]]),
    "j0": (lambda x: mp.besselj(0, x), [REAL]), "j1": (lambda x: mp.besselj(1, x), [REAL]),
    "y0": (lambda x: mp.bessely(0, x), [POSITIVE[2::3]]), "y1": (lambda x: mp.bessely(1, x), [[0.3, 7.0]]),
    "jv": (mp.besselj, [REAL_ORDERS, POSITIVE[2:]]), "jve": (mp.besselj, [REAL_ORDERS, POSITIVE[2:]]),
    "yv": (mp.bessely, [REAL_ORDERS[::2], POSITIVE[2::2]]), "yve": (mp.bessely, [[0.3, 2.5], POSITIVE[2::2]]),
    "yn": (lambda n, x: mp.bessely(int(n), x), [[1.0, 2.0], [0.3, 7.0]]),
    "i0": (lambda x: mp.besseli(0, x), [REAL[1:]]), "i1": (lambda x: mp.besseli(1, x), [REAL[1:]]),
    "k0": (lambda x: besselk(0, x), [POSITIVE]), "k1": (lambda x: besselk(1, x), [POSITIVE]),
    "iv": (mp.besseli, [REAL_ORDERS, POSITIVE[2:]]), "kv": (besselk, [REAL_ORDERS, POSITIVE[2::2]]),
    "kn": (besselk, [ORDERS, POSITIVE[2::3]]),
    "i0e": (lambda x: mp.besseli(0, x)*mp.exp(-abs(x)), [[*REAL[1:], 49.0, 51.0, 1e5]]),
    "i1e": (lambda x: mp.besseli(1, x)*mp.exp(-abs(x)), [[*REAL[1:], 49.0, 51.0, 1e5]]),
    "k0e": (lambda x: besselk(0, x)*mp.exp(x), [[*POSITIVE, 1e5]]),
    "k1e": (lambda x: besselk(1, x)*mp.exp(x), [[*POSITIVE, 1e5]]),
    "ive": (scaled(mp.besseli, -1), [REAL_ORDERS, POSITIVE[2:]]),
    "kve": (scaled(besselk, 1), [REAL_ORDERS[::2], POSITIVE[2::3]]),
    "_spherical_jn": (spherical(mp.besselj), [ORDERS, POSITIVE[2:]]),
    "_spherical_yn": (spherical(mp.bessely), [ORDERS, POSITIVE[2:]]),
    "_spherical_in": (spherical(mp.besseli), [ORDERS, POSITIVE[2:]]),
    "_spherical_kn": (lambda n, x: mp.sqrt(mp.pi/(2*x))*besselk(n + mpf(1)/2, x), [ORDERS, POSITIVE[2::3]]),
    "struve": (mp.struveh, [[0.0, 0.5, 1.0, 2.3], [0.05, 0.3, 1.0, 4.0, 15.0]]),
    "modstruve": (mp.struvel, [[0.0, 0.5, 1.0, 2.3], [0.05, 0.3, 1.0, 4.0, 15.0]]),
    "airy_ai": (mp.airyai, [MODEST]), "airy_aip": (lambda x: mp.airyai(x, derivative=1), [MODEST]),
    "airy_bi": (mp.airybi, [MODEST]), "airy_bip": (lambda x: mp.airybi(x, derivative=1), [MODEST]),
    "hyp0f1": (mp.hyp0f1, [[0.5, 3.0], [-4.0, -0.3, 1e-3, 2.0, 9.0]]),
    "hyp1f1": (mp.hyp1f1, [[0.5, 2.0], [1.5, 4.0], [-20.0, -3.0, 0.01, 2.0, 9.0]]),
    "hyperu": (mp.hyperu, [[0.5, 2.0], [1.5, 0.3], [0.1, 1.0, 6.0]]),
    "ellipk": (mp.ellipk, [[-1e3, -3.0, -0.11, -0.09, 0.0, 1e-9, 0.05, 0.11, 0.5, 0.9, 0.999]]),
    "ellipe": (mp.ellipe, [[-1e3, -3.0, -0.11, -0.09, 0.0, 1e-9, 0.05, 0.11, 0.5, 0.9, 0.999]]),
    "ellipkm1": (lambda p: mp.ellipk(1 - p), [[1e-12, 1e-3, 0.3, 0.89, 0.91, 1.0, 1.05, 1.2, 5.0]]),
    "ellipkinc": (lambda f, m: mp.ellipf(f, m), [[-2.0, 0.3, 4.0, 20.0], [-3.0, 0.3]]),
    "ellipeinc": (lambda f, m: mp.ellipe(f, m), [[-2.0, 0.3, 4.0], [-3.0, 0.3]]),
    "elliprf": (mp.elliprf, [[0.2, 2.0], [0.5], [0.7, 5.0]]),
    "elliprd": (mp.elliprd, [[0.2, 2.0], [0.5], [0.7]]),
    "ellipj_sn": (lambda u, m: mp.ellipfun("sn", u, m=m), [[-1.0, 0.3, 2.0], [0.0, 0.3, 0.9]]),
    "ellipj_cn": (lambda u, m: mp.ellipfun("cn", u, m=m), [[-1.0, 0.3, 2.0], [0.0, 0.3, 0.9]]),
    "ellipj_dn": (lambda u, m: mp.ellipfun("dn", u, m=m), [[-1.0, 0.3, 2.0], [0.0, 0.3, 0.9]]),
    "ellipj_ph": (lambda u, m: mp.asin(mp.ellipfun("sn", u, m=m)), [[-1.0, 0.3, 1.2], [0.0, 0.3, 0.9]]),
    "cosm1": (lambda x: mp.cos(x) - 1, [REAL]), "exp10": (lambda x: mpf(10)**x, [MODEST]),
    "special_exp2": (lambda x: mpf(2)**x, [MODEST]), "special_expm1": (mp.expm1, [MODEST]),
    "special_log1p": (mp.log1p, [[-0.999, -0.3, 1e-9, 0.3, 1e5]]),
    "special_cbrt": (mp.cbrt, [POSITIVE]),
    "sindg": (lambda x: mp.sin(mp.radians(x)), [[-400.0, 12.0, 90.0, 180.0, 301.0]]),
    "cosdg": (lambda x: mp.cos(mp.radians(x)), [[-400.0, 12.0, 90.0, 180.0, 301.0]]),
    "tandg": (lambda x: mp.tan(mp.radians(x)), [[-400.0, 12.0, 80.0, 180.0, 301.0]]),
    "powm1": (lambda a, b: a**b - 1, [[1e-3, 0.5, 1.0, 9.0], [-2.0, 0.0, 1e-9, 1.5]]),
    "boxcox": (lambda a, b: (a**b - 1)/b if b else mp.log(a), [[1e-3, 0.5, 1.0, 9.0], [-2.0, 1e-9, 0.3, 1.5, 20.0]]),
    "boxcox1p": (lambda a, b: ((1 + a)**b - 1)/b, [[-0.99, 1e-9, 0.5, 9.0], [-2.0, 1e-9, 0.3, 1.5, 20.0]]),
    "inv_boxcox": (lambda a, b: (1 + a*b)**(1/b), [[1e-3, 0.4, 3.0], [-0.2, 1e-9, 0.3, 2.0]]),
    "inv_boxcox1p": (lambda a, b: (1 + a*b)**(1/b) - 1, [[1e-3, 0.4, 3.0], [-0.2, 1e-9, 0.3, 2.0]]),
    "wrightomega": (lambda x: mp.lambertw(mp.exp(x)).real, [[-30.0, -3.0, 0.0, 1.0, 40.0]]),
    "lambertw": (lambda x: mp.lambertw(x).real, [[-0.36, -0.3, -1e-9, 1e-9, 0.5, 9.0, 1e8]]),
    "lambertw_lower": (lambda x: mp.lambertw(x, -1).real, [[-0.36, -0.3, -0.1, -1e-9]]),
}
# inverses: the row, the function that it inverts
INVERSES = {"erfinv": ("erf", 1), "erfcinv": ("erfc", 1), "ndtri": ("ndtr", 1), "ndtri_exp": ("log_ndtr", 1),
            "gammaincinv": ("gammainc", 2), "gammainccinv": ("gammaincc", 2), "betaincinv": ("betainc", 3),
            "betainccinv": ("betaincc", 3)}
