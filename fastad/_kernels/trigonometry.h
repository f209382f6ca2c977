/* trigonometry.h - sin and cos of float64, in loops that the compiler turns into vectors.
   Owns: the reduction of the argument, the polynomials.
   Must not know: NumPy, tapes.
   Below LARGE the argument loses its multiple of pi/2 in four parts of pi/2 (33, 33, 33 and 53 bits: the products with a
   whole number below 2^20 are exact), and keeps what is left in two doubles (W. J. Cody and W. Waite 1980).  Polynomials:
   minimax on [0, (1.01 pi/4)^2], relative errors 2^-57 and 2^-60.  Largest error seen against mpmath: 0.80 ulp
   (tests/test_trigonometry.py bounds it by 1).  Larger arguments, infinities and NaN go to the C library, as NumPy's do
   (8 ulp in the worst case known, where its own reduction ends).
   No fused multiply-add anywhere: the bits are the same for every instruction set.
   Next: trigonometry_loops.h (the loops), levels.h (once for each instruction set). */
#ifndef FASTAD_TRIGONOMETRY_H
#define FASTAD_TRIGONOMETRY_H
#include <math.h>
#include <stdint.h>
#include <string.h>

/* Compared as whole numbers: a comparison of NaN would raise a flag. */
#define FA_TRIG_LARGE 0x4120000000000000             /* 2**19 */
#define FA_TRIG_TINY 0x3e40000000000000              /* 2**-27: sin x = x, cos x = 1 */
enum { FA_TRIG_CHUNK = 256 };

static inline __attribute__((always_inline)) int64_t fa_bits_of(double x) { int64_t i; memcpy(&i, &x, 8); return i; }
static inline __attribute__((always_inline)) double fa_of_bits(int64_t i) { double x; memcpy(&x, &i, 8); return x; }
static inline __attribute__((always_inline)) double fa_select(int64_t mask, double a, double b) {
    return fa_of_bits((fa_bits_of(a) & mask) | (fa_bits_of(b) & ~mask));
}

static inline __attribute__((always_inline)) int64_t fa_trig_is_large(double x) {
    return -(int64_t)((fa_bits_of(x) & INT64_MAX) >= FA_TRIG_LARGE);
}

/* Without branches, so that it can be a lane of a vector.  Where |x| is not below LARGE the results mean nothing, and raise
   no flags. */
static inline __attribute__((always_inline)) void fa_sincos_lane(double x, double *sine, double *cosine) {
    const double magic = 0x1.8p52;
    int64_t tiny = -(int64_t)((fa_bits_of(x) & INT64_MAX) < FA_TRIG_TINY), quadrant;
    double z = fa_select(tiny | fa_trig_is_large(x), 0.0, x), k = z * 0x1.45f306dc9c883p-1 + magic, n = k - magic;
    double a, b, c, d, e, f, hi, lo, s, r, t, u, zz;
    quadrant = fa_bits_of(k);
    a = z - n * 0x1.921fb54400000p+0;                /* exact */
    b = n * 0x1.0b4611a600000p-34;
    c = a - b;                                       /* c + e = a - b */
    d = c - a;
    e = (a - (c - d)) - (b + d);
    b = n * 0x1.3198a2e000000p-69;
    a = c - b;                                       /* a + f = c - b */
    d = a - c;
    f = (c - (a - d)) - (b + d);
    e = (e + f) - n * 0x1.b839a252049c1p-104;
    hi = a + e;
    lo = (a - hi) + e;
    zz = hi * hi;
    /* sin(hi + lo) */
    r = 0x1.111111110f5f3p-7 + zz * (-0x1.a01a019bbd907p-13 + zz * (0x1.71de352c739c0p-19
        + zz * (-0x1.ae5e29a568883p-26 + zz * 0x1.5d810315fef5ep-33)));
    t = zz * hi;
    s = hi - ((zz * (0.5 * lo - t * r) - lo) - t * -0x1.5555555555547p-3);
    /* cos(hi + lo) */
    r = zz * (0x1.555555555554ap-5 + zz * (-0x1.6c16c16c14ec2p-10 + zz * (0x1.a01a019c6abbdp-16
        + zz * (-0x1.27e4f7d4e9728p-22 + zz * (0x1.1ee9c6cd2fc6ep-29 + zz * -0x1.8f9ae53ec5069p-37)))));
    u = 0.5 * zz;
    t = 1.0 - u;
    c = t + (((1.0 - t) - u) + (zz * r - hi * lo));
    /* the quadrant: odd ones change places, two of four the sign */
    d = fa_select(-(quadrant & 1), c, s);
    f = fa_select(-(quadrant & 1), s, c);
    d = fa_of_bits(fa_bits_of(d) ^ (int64_t)((uint64_t)(quadrant & 2) << 62));
    f = fa_of_bits(fa_bits_of(f) ^ (int64_t)((uint64_t)((quadrant + 1) & 2) << 62));
    *sine = fa_select(tiny, x, d);
    *cosine = f;
}

typedef void (*fa_trig_loop)(char **args, const intptr_t *n, const intptr_t *steps, void *data);

#define FA_LEVEL_BODY "trigonometry_loops.h"
#include "levels.h"

/* The loop of a row of the table; NULL if there is none. */
static inline void *fa_own_loop(const char *row, int level) {
    static const fa_trig_loop sine[] = FA_LEVEL_SETS(fa_sin), cosine[] = FA_LEVEL_SETS(fa_cos);
    int set = level - 2 < FA_LEVELS ? level - 2 : FA_LEVELS - 1;
    return (void *)(!strcmp(row, "sin") ? sine[set] : !strcmp(row, "cos") ? cosine[set] : NULL);
}
#endif
