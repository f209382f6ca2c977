/* power.h - x**y of float64, as a lane.
   Owns: the logarithm in two doubles.
   Must not know: NumPy, tapes, loops.
   x**y = exp(y log |x|), with the sign of x where y is odd.  log |x| = k ln 2 + 2 atanh s as in logarithm.h, where s,
   s**3 / 3 and their sums have two parts: a relative error of 2**-64 at most, which is 2**-55 in the largest exponent,
   whose low part goes into the reduction of exponential.h.  Polynomial: minimax, relative to log 2**-66.
   Next: lane.h, mathematics_loops.h (the loops). */
#ifndef FASTAD_POWER_H
#define FASTAD_POWER_H
#include "exponential.h"
#include "logarithm.h"

#define FA_POWER_TINY 0x39b0000000000000             /* 2**-100: x**y is 1 */
#define FA_POWER_WHOLE 0x4330000000000000            /* 2**52: beyond it every number is whole */

/* log x = *high + *low, for a normal x > 0 */
FA_LANE void fa_log_parts(double x, double *high, double *low) {
    double k, f, d, d_low, r, s, s_low, z, z_low, zz, a, b, c, w, w_low, p, p_low, t, t_low, u, u_low, h;
    fa_log_reduced(x, &k, &f);
    d = 2.0 + f;
    d_low = f - (d - 2.0);
    r = 1.0 / d;
    s = f * r;                                       /* s + s_low = f / (2 + f) */
    s_low = fa_fma(-s, d_low, fa_fma(-s, d, f)) * r;
    z = s * s;                                       /* z + z_low = s*s */
    z_low = fa_fma(2.0 * s, s_low, fa_fma(s, s, -z));
    zz = z * z;
    a = fa_fma(z, 0x1.24924924560bbp-3, 0x1.9999999999b3fp-3);
    b = fa_fma(z, 0x1.745ce8f5afe09p-4, 0x1.c71c723002a7dp-4);
    c = fa_fma(zz, 0x1.0e6a5e22448b9p-4, fa_fma(z, 0x1.0f7bc130ce4b4p-4, 0x1.3b1f185749c07p-4));
    a = fa_fma(zz, fa_fma(zz, c, b), a);
    w = z * a;                                       /* w + w_low = (z + z_low) a, p + p_low = 1/3 + that */
    w_low = fa_fma(z_low, a, fa_fma(z, a, -w));
    p = 0x1.5555555555555p-2 + w;
    p_low = ((0x1.5555555555555p-2 - p) + w) + (w_low + 0x1.5555555555555p-56);
    t = z * p;                                       /* (z + z_low) (p + p_low) */
    t_low = fa_fma(z, p_low, fa_fma(z_low, p, fa_fma(z, p, -t)));
    u = s * t;                                       /* (s + s_low) (t + t_low) */
    u_low = fa_fma(s, t_low, fa_fma(s_low, t, fa_fma(s, t, -u)));
    t = s + u;                                       /* t + t_low = atanh(s + s_low) */
    t_low = ((s - t) + u) + (s_low + u_low);
    h = k * 0x1.62e42fefa3800p-1;                    /* exact */
    d = fa_fma(2.0, t, h);
    d_low = fa_fma(2.0, t, h - d) + fa_fma(2.0, t_low, k * 0x1.ef35793c76730p-45);
    *high = d + d_low;
    *low = (d - *high) + d_low;
}

/* -1 where y is whole (in *odd: and odd); |y| < 2**52 */
FA_LANE int64_t fa_power_whole(double y, int64_t *odd) {
    double a = fa_absolute(y), m = a + 0x1p52;
    *odd = -(fa_bits_of(m) & 1);
    return fa_equal(fa_bits_of(m - 0x1p52), fa_bits_of(a));
}

/* Where x is normal, and negative only if y is whole, and the result is normal: elsewhere *special is -1. */
FA_LANE double fa_power_lane(double x, double y, int64_t *special) {
    int64_t odd, not_now = fa_log_is_special(fa_absolute(x)) | ~fa_below(y, FA_POWER_WHOLE);
    double high, low, p, p_low;
    y = fa_select(not_now, 0.0, y);
    not_now |= fa_sign(x) & ~fa_power_whole(y, &odd);
    y = fa_select(fa_below(y, FA_POWER_TINY), 0.0, y);
    fa_log_parts(fa_select(not_now, 1.0, fa_absolute(x)), &high, &low);
    p = y * high;
    p_low = fa_fma(y, low, fa_fma(y, high, -p));
    *special = not_now |= fa_exp_is_large(p);
    p = fa_exp_of(fa_select(not_now, 0.0, p), fa_select(not_now, 0.0, p_low));
    return fa_of_bits(fa_bits_of(p) | (fa_bits_of(x) & odd & INT64_MIN));
}
#endif
