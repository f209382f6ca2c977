/* exponential.h - exp, expm1 and tanh of float64, as lanes.
   Owns: the reduction of the argument, the polynomial.
   Must not know: NumPy, tapes, loops.
   x = n ln 2 + r with |r| <= 0.347, by two parts of ln 2, of which the first leaves no error (W. J. Cody and W. Waite
   1980).  exp x - 1 = (2**n - 1) + 2**n (r + r*r p(r)), where no more than the last sum is rounded.
   p: minimax, r + r*r p(r) has a relative error of 2**-61.  tanh |x| = -m / (2 + m) with m = exp(-2|x|) - 1: a
   quotient, and what it leaves over.
   Next: lane.h, mathematics_loops.h (the loops). */
#ifndef FASTAD_EXPONENTIAL_H
#define FASTAD_EXPONENTIAL_H
#include "lane.h"

#define FA_EXP_LARGE 0x4086200000000000              /* 708: below it neither 2**n nor exp leaves the normal range */
#define FA_EXP_TINY 0x3c80000000000000               /* 2**-55: expm1 x = tanh x = x */
#define FA_EXPM1_MOST 0x40862e42fefa39ef             /* 709.78...: beyond it the result is infinite */
#define FA_EXPM1_LEAST 0x4044000000000000            /* 40: below -40 it is -1 */
#define FA_TANH_MOST 0x4034000000000000              /* 20: beyond it tanh is 1 */

/* x + low = n ln 2 + r + rest, n = k - FA_MAGIC; low is small beside x */
FA_LANE void fa_exp_reduced(double x, double low, double *k, double *r, double *rest) {
    double m = fa_fma(x, 0x1.71547652b82fep+0, FA_MAGIC), n = m - FA_MAGIC;
    double hi = fa_fma(-n, 0x1.62e42fefa39efp-1, x), lo = fa_fma(-n, 0x1.abc9e3b39803fp-56, low);
    *k = m;
    *r = hi + lo;
    *rest = (hi - *r) + lo;
}

/* (exp r - 1 - r - z / 2) / (r z), z = r*r */
FA_LANE double fa_exp_cubic(double r, double z) {
    double zz = z * z, a = fa_fma(r, 0x1.555555555555ap-5, 0x1.5555555555559p-3);
    double b = fa_fma(r, 0x1.6c16c16c143c9p-10, 0x1.111111110f647p-7);
    double c = fa_fma(r, 0x1.a01a01b0e2098p-16, 0x1.a01a01b0139e5p-13);
    double d = fa_fma(r, 0x1.27e4c5436b1fcp-22, 0x1.71ddf7d26e297p-19);
    double e = fa_fma(r, 0x1.1f95f56c99af8p-29, 0x1.af5fb39dd1b1fp-26);
    return fa_fma(zz, fa_fma(zz, e, fa_fma(z, d, c)), fa_fma(z, b, a));
}

/* exp(x + low) where x is not large. */
FA_LANE int64_t fa_exp_is_large(double x) { return fa_beyond(x, FA_EXP_LARGE); }
FA_LANE double fa_exp_of(double x, double low) {
    double k, r, rest, z, t, y;
    fa_exp_reduced(x, low, &k, &r, &rest);
    z = r * r;
    t = 1.0 + r;
    y = t + fa_fma(z, fa_fma(r, fa_exp_cubic(r, z), 0.5), (r - (t - 1.0)) + rest);
    return fa_of_bits(fa_bits_of(y) + (int64_t)((uint64_t)fa_bits_of(k) << 52));
}

/* A lane means nothing where its argument is said to be large or special; it raises no flag there. */
FA_LANE double fa_exp_lane(double x) { return fa_exp_of(fa_select(fa_exp_is_large(x), 0.0, x), 0.0); }

/* exp x - 1 as *high + *low; of half of it, where `halves`, so that 2**n may be 2**1024. */
FA_LANE void fa_expm1_parts(double x, int halves, double *high, double *low) {
    double k, r, rest, z, half, square, power, one = halves ? 0.5 : 1.0, c, lost;
    fa_exp_reduced(x, 0.0, &k, &r, &rest);
    z = r * r;
    half = 0.5 * r;
    square = fa_fma(half, r, r);                     /* r + r*r/2 */
    rest = fa_fma(r * z, fa_exp_cubic(r, z), fa_fma(half, r, r - square) + rest);
    power = fa_power_of_two(k, halves);
    c = power - one;
    lost = halves ? (power - c) - one : power - (c + one);       /* of a large power; of a small one */
    *high = fa_fma(power, square, c);
    *low = fa_fma(power, rest, fa_fma(power, square, c - *high) + lost);
}

/* Where |x| is not beyond MOST. */
FA_LANE int64_t fa_expm1_is_large(double x) { return fa_beyond(x, FA_EXPM1_MOST); }
FA_LANE double fa_expm1_lane(double x) {
    int64_t tiny = fa_below(x, FA_EXP_TINY), least = fa_beyond(x, FA_EXPM1_LEAST) & fa_sign(x);
    double high, low, z = fa_select(least, -40.0, fa_select(tiny | fa_expm1_is_large(x), 0.0, x));
    fa_expm1_parts(z, 1, &high, &low);
    return fa_select(tiny, x, 2.0 * (high + low));
}

FA_LANE int64_t fa_never(double x) { (void)x; return 0; }
FA_LANE double fa_tanh_lane(double x) {
    int64_t nan = fa_is_nan(x), tiny = fa_below(x, FA_EXP_TINY), most = fa_beyond(x, FA_TANH_MOST);
    double z = fa_select(most, -40.0, -2.0 * fa_absolute(fa_select(tiny | nan, 0.0, x)));
    double high, low, m, d, e, r, q, rest;
    fa_expm1_parts(z, 0, &high, &low);
    m = high + low;                                  /* m + low = exp z - 1, d + e = 2 + that */
    low = (high - m) + low;
    d = 2.0 + m;
    e = ((2.0 - d) + m) + low;
    r = 1.0 / d;
    q = m * r;
    rest = fa_fma(-q, d, m) + fa_fma(-q, e, low);
    return fa_select(tiny | nan, x, fa_with_sign_of(fa_fma(rest, r, q), x));
}
#endif
