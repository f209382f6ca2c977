/* arctangent.h - arctan2 of float64, as a lane.
   Owns: the reduction of the argument, the polynomial.
   Must not know: NumPy, tapes, loops.
   With d >= n the larger and the smaller of |y| and |x|: arctan(n / d), or where that is beyond tan(pi/8)
   pi/4 + arctan((n - d) / (n + d)); the quotient has two parts, the rest is a multiple of pi/4 and signs.  Polynomial
   in q*q: minimax, relative error 2**-59.
   Next: lane.h, mathematics_loops.h (the loops). */
#ifndef FASTAD_ARCTANGENT_H
#define FASTAD_ARCTANGENT_H
#include "lane.h"

#define FA_ATAN2_MOST 0x5c10000000000000             /* 2**450: in between no quotient leaves the normal range */
#define FA_ATAN2_LEAST 0x23d0000000000000            /* 2**-450 */

/* arctan((q + rest)), |q| <= tan(pi/8), beyond q */
FA_LANE double fa_arctan_beyond(double q, double rest) {
    double z = q * q, zz = z * z, z4 = zz * zz, a = fa_fma(z, 0x1.99999999955f9p-3, -0x1.555555555553cp-2);
    double b = fa_fma(z, 0x1.c71c70dfb180ep-4, -0x1.249249229d9f9p-3);
    double c = fa_fma(z, 0x1.3b110b71dc4fbp-4, -0x1.745cf81e8f5a7p-4);
    double d = fa_fma(z, 0x1.df05e0feceb42p-5, -0x1.10eb17b1d40e3p-4);
    double e = fa_fma(zz, -0x1.246aa1d633a89p-6, fa_fma(z, 0x1.3763bc78a38cdp-5, -0x1.9ca714f5771d5p-5));
    double p = fa_fma(z4, fa_fma(z4, e, fa_fma(zz, d, c)), fa_fma(zz, b, a));
    return fa_fma(q * z, p, fa_fma(-rest, z, rest));
}

/* Where both are 0 or between LEAST and MOST, and not both 0. */
FA_LANE int64_t fa_arctan2_part_is_special(double x) {
    return fa_beyond(x, FA_ATAN2_MOST) | (fa_below(x, FA_ATAN2_LEAST) & ~fa_equal(fa_magnitude(x), 0));
}
FA_LANE int64_t fa_arctan2_is_special(double y, double x) {
    return fa_arctan2_part_is_special(y) | fa_arctan2_part_is_special(x)
        | fa_equal(fa_magnitude(y) | fa_magnitude(x), 0);
}
FA_LANE double fa_arctan2_lane(double y, double x, int64_t *special) {
    int64_t not_now = fa_arctan2_is_special(y, x), steep, far, back = fa_sign(x) & ~not_now, turn;
    double a = fa_select(not_now, 0.0, fa_absolute(y)), b = fa_select(not_now, 1.0, fa_absolute(x)), n, d, sum, less;
    double sum_low, less_low, k, q, r, rest, high, low, t;
    *special = not_now;
    steep = fa_less(fa_bits_of(b), fa_bits_of(a));
    n = fa_select(steep, b, a);
    d = fa_select(steep, a, b);
    far = fa_beyond(n, fa_bits_of(d * 0x1.a827999fcef32p-2));
    sum = d + n;
    sum_low = fa_select(far, n - (sum - d), 0.0);
    less = n - d;
    less_low = fa_select(far, n - (less + d), 0.0);
    n = fa_select(far, less, n);
    d = fa_select(far, sum, d);
    r = 1.0 / d;
    q = n * r;                                       /* q + rest: the quotient */
    rest = (fa_fma(-q, d, n) + fa_fma(-q, sum_low, less_low)) * r;
    rest = fa_arctan_beyond(q, rest);
    k = fa_select(far, 1.0, 0.0);                    /* of pi/4 */
    k = fa_select(steep, 2.0 - k, k);
    k = fa_select(back, 4.0 - k, k);
    high = k * 0x1.921fb54442d18p-1;
    low = fa_fma(k, 0x1.1a62633145c07p-55, fa_fma(k, 0x1.921fb54442d18p-1, -high));
    turn = (steep ^ back) & INT64_MIN;
    q = fa_of_bits(fa_bits_of(q) ^ turn);
    rest = fa_of_bits(fa_bits_of(rest) ^ turn);
    t = high + q;
    return fa_with_sign_of(t + (((q - (t - high)) + low) + rest), y);
}
#endif
