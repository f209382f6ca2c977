/* trigonometry.h - sin and cos of float64, as lanes.
   Owns: the reduction of the argument, the polynomials.
   Must not know: NumPy, tapes, loops.
   Below LARGE the argument loses its multiple of pi/2 in three parts of pi/2, of which the first leaves no error, and
   keeps what is left in two doubles (W. J. Cody and W. Waite 1980).  Polynomials: minimax on [0, (1.01 pi/4)^2],
   relative errors 2^-57 and 2^-60.  Larger arguments, infinities and NaN go to the C library, as NumPy's do (8 ulp in
   the worst case known, where its own reduction ends).
   Next: lane.h, mathematics_loops.h (the loops). */
#ifndef FASTAD_TRIGONOMETRY_H
#define FASTAD_TRIGONOMETRY_H
#include "lane.h"

#define FA_TRIG_LARGE 0x4120000000000000             /* 2**19 */
#define FA_TRIG_TINY 0x3e40000000000000              /* 2**-27: sin x = x, cos x = 1 */
FA_LANE int64_t fa_trig_is_large(double x) { return ~fa_below(x, FA_TRIG_LARGE); }

/* Where |x| is not below LARGE the results mean nothing, and raise no flags. */
FA_LANE void fa_sincos_lane(double x, double *sine, double *cosine) {
    int64_t tiny = fa_below(x, FA_TRIG_TINY), quadrant;
    double z = fa_select(tiny | fa_trig_is_large(x), 0.0, x), k = fa_fma(z, 0x1.45f306dc9c883p-1, FA_MAGIC);
    double n = k - FA_MAGIC;
    double a, b, c, d, e, f, hi, lo, s, r, t, u, zz;
    quadrant = fa_bits_of(k);
    a = fa_fma(-n, 0x1.921fb54442d18p+0, z);         /* exact */
    b = n * 0x1.1a62633145c07p-54;
    c = a - b;                                       /* c + e = a - b */
    d = c - a;
    e = (a - (c - d)) - (b + d) - fa_fma(n, 0x1.1a62633145c07p-54, -b);
    e = fa_fma(n, 0x1.f1976b7ed8fbcp-110, e);
    hi = c + e;
    lo = (c - hi) + e;
    zz = hi * hi;
    /* sin(hi + lo) */
    r = fa_fma(zz, fa_fma(zz, fa_fma(zz, fa_fma(zz, 0x1.5d810315fef5ep-33, -0x1.ae5e29a568883p-26),
        0x1.71de352c739c0p-19), -0x1.a01a019bbd907p-13), 0x1.111111110f5f3p-7);
    t = zz * hi;
    s = hi - fa_fma(t, 0x1.5555555555547p-3, fa_fma(zz, fa_fma(0.5, lo, -t * r), -lo));
    /* cos(hi + lo) */
    r = fa_fma(zz, fa_fma(zz, fa_fma(zz, fa_fma(zz, fa_fma(zz, -0x1.8f9ae53ec5069p-37, 0x1.1ee9c6cd2fc6ep-29),
        -0x1.27e4f7d4e9728p-22), 0x1.a01a019c6abbdp-16), -0x1.6c16c16c14ec2p-10), 0x1.555555555554ap-5);
    u = 0.5 * zz;
    t = 1.0 - u;
    c = t + (((1.0 - t) - u) + fa_fma(zz * zz, r, -hi * lo));
    /* the quadrant: odd ones change places, two of four the sign */
    d = fa_select(-(quadrant & 1), c, s);
    f = fa_select(-(quadrant & 1), s, c);
    d = fa_of_bits(fa_bits_of(d) ^ (int64_t)((uint64_t)(quadrant & 2) << 62));
    f = fa_of_bits(fa_bits_of(f) ^ (int64_t)((uint64_t)((quadrant + 1) & 2) << 62));
    *sine = fa_select(tiny, x, d);
    *cosine = f;
}

FA_LANE double fa_sin_lane(double x) { double s, c; fa_sincos_lane(x, &s, &c); return s; }
FA_LANE double fa_cos_lane(double x) { double s, c; fa_sincos_lane(x, &s, &c); return c; }
#endif
