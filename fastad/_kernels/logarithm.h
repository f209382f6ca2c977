/* logarithm.h - log and log1p of float64, as lanes.
   Owns: the reduction of the argument, the polynomial.
   Must not know: NumPy, tapes, loops.
   x = 2**k (1 + f) with 1 + f between sqrt(1/2) and sqrt(2), s = f / (2 + f); then log(1 + f) = 2 atanh s
   = f - f*f/2 + s (f*f/2 + s*s p(s*s)), where f is exact and the rest small (K. C. Ng's arrangement in fdlibm, 1993).
   p: minimax, relative error 2**-58.  In log1p what 1 + x has lost is added to the first order.
   Next: lane.h, mathematics_loops.h (the loops). */
#ifndef FASTAD_LOGARITHM_H
#define FASTAD_LOGARITHM_H
#include "lane.h"

#define FA_LOG_LEAST 0x0010000000000000              /* the smallest normal number */
#define FA_LOG_ROOT 0x3fe6a09e667f3bcd               /* sqrt(1/2) */
#define FA_LOG1P_TINY 0x3c80000000000000             /* 2**-55: log1p x = x */

/* x = 2**k (1 + f), for a normal x > 0; returns k + 1100.  (A shift that keeps the sign is not in AVX2.) */
FA_LANE int64_t fa_log_reduced(double x, double *k, double *f) {
    uint64_t bits = (uint64_t)fa_bits_of(x) - FA_LOG_ROOT, of_k = (bits + ((uint64_t)1100 << 52)) >> 52;
    *k = fa_of_bits((int64_t)(of_k | 0x4330000000000000)) - (0x1p52 + 1100);
    *f = fa_of_bits((int64_t)((bits & 0x000fffffffffffff) + FA_LOG_ROOT)) - 1.0;
    return (int64_t)of_k;
}

/* log(2**k (1 + f)) + rest; r = 1 / (2 + f) */
FA_LANE double fa_log_sum(double k, double f, double r, double rest) {
    double s = f * r, half = 0.5 * f, z = s * s, zz = z * z, high = k * 0x1.62e42fefa3800p-1;
    double a = fa_fma(z, 0x1.999999997f8a4p-2, 0x1.5555555555593p-1);
    double b = fa_fma(z, 0x1.c71c51c64cf04p-3, 0x1.249249423e7ddp-2);
    double c = fa_fma(zz, 0x1.2f15c0ebec9cfp-3, fa_fma(z, 0x1.39a02e559f122p-3, 0x1.74664d7c99d1bp-3));
    double p = fa_fma(zz, fa_fma(zz, c, b), a), square = fa_fma(-half, f, f), y = high + square;     /* f - f*f/2 */
    rest = fa_fma(-half, f, f - square) + fa_fma(k, 0x1.ef35793c76730p-45, rest);
    return y + ((square - (y - high)) + fa_fma(s, fa_fma(z, p, half * f), rest));
}

/* Where x is normal and positive. */
FA_LANE int64_t fa_log_is_special(double x) {
    return fa_sign(x) | fa_below(x, FA_LOG_LEAST) | ~fa_below(x, FA_INFINITE);
}
FA_LANE double fa_log_lane(double x) {
    double k, f;
    fa_log_reduced(fa_select(fa_log_is_special(x), 1.0, x), &k, &f);
    return fa_log_sum(k, f, 1.0 / (2.0 + f), 0.0);
}

/* Where x is finite and above -1. */
FA_LANE int64_t fa_log1p_is_special(double x) {
    return ~fa_below(x, FA_INFINITE & ~(fa_sign(x) & 0x4000000000000000));           /* infinity, -1 */
}
FA_LANE double fa_log1p_lane(double x) {
    int64_t tiny = fa_below(x, FA_LOG1P_TINY), of_k, exact;
    double z = fa_select(fa_log1p_is_special(x) | tiny, 0.0, x), u = 1.0 + z, v = u - 1.0, k, f, r, lost;
    lost = (1.0 - (u - v)) + (z - v);                /* u + lost = 1 + x */
    of_k = fa_log_reduced(u, &k, &f);
    exact = fa_equal(of_k, 1100);
    f = fa_select(exact, z, f);
    lost = fa_select(exact, 0.0, lost) * fa_of_bits((int64_t)((uint64_t)(1100 + 1024 - of_k) << 52));
    r = 1.0 / (2.0 + f);                             /* 2 r*r: half of 1 / (1 + f), to 4 % */
    return fa_select(tiny, x, fa_log_sum(k, f, r, lost * (2.0 * r * r)));
}
#endif
