/* lane.h - what the lanes of our vector mathematics are made of.
   Owns: bits of a double, choices without a branch, powers of two.
   Must not know: any function, instruction sets.
   A lane is a function of one element without branches, calls or comparisons of doubles (which raise a flag for NaN),
   so that a compiler can run several side by side.  Where a product and a sum are rounded once, that is written
   (fa_fma), and never the compiler's choice: the bits are the same for every instruction set that has it.
   Masks are 0 or -1, made by shifts: of a comparison gcc makes an AVX-512 mask and then, by vpternlog, ones in a
   register for which it waits until the element before has done with it.
   Next: exponential.h, logarithm.h, trigonometry.h (lanes), mathematics.h (who makes loops of them). */
#ifndef FASTAD_LANE_H
#define FASTAD_LANE_H
#include <math.h>
#include <stdint.h>
#include <string.h>

#define FA_LANE static inline __attribute__((always_inline))
#define FA_INFINITE 0x7ff0000000000000

FA_LANE double fa_fma(double x, double y, double z) { return __builtin_fma(x, y, z); }
FA_LANE int64_t fa_bits_of(double x) { int64_t i; memcpy(&i, &x, 8); return i; }
FA_LANE double fa_of_bits(int64_t i) { double x; memcpy(&x, &i, 8); return x; }
FA_LANE int64_t fa_magnitude(double x) { return fa_bits_of(x) & INT64_MAX; }     /* ordered as |x|, NaN the largest */
FA_LANE int64_t fa_less(int64_t a, int64_t b) { return (a - b) >> 63; }         /* of numbers that are not negative */
FA_LANE int64_t fa_equal(int64_t a, int64_t b) { return ((a ^ b) - 1) >> 63; }
FA_LANE int64_t fa_below(double x, int64_t bits) { return fa_less(fa_magnitude(x), bits); }
FA_LANE int64_t fa_beyond(double x, int64_t bits) { return fa_less(bits, fa_magnitude(x)); }
FA_LANE int64_t fa_is_nan(double x) { return fa_beyond(x, FA_INFINITE); }
FA_LANE int64_t fa_sign(double x) { return fa_bits_of(x) >> 63; }
FA_LANE double fa_select(int64_t mask, double a, double b) {
    return fa_of_bits((fa_bits_of(a) & mask) | (fa_bits_of(b) & ~mask));
}
FA_LANE double fa_absolute(double x) { return fa_of_bits(fa_magnitude(x)); }
FA_LANE double fa_with_sign_of(double x, double y) {                             /* x >= 0 */
    return fa_of_bits(fa_magnitude(x) | (fa_bits_of(y) & INT64_MIN));
}

/* x + MAGIC is a whole number above 1.5 * 2**52 (|x| < 2**51): its low bits are those of x, rounded. */
#define FA_MAGIC 0x1.8p52
FA_LANE double fa_power_of_two(double magic, int less) {                         /* 2**(n - less) of n + MAGIC */
    return fa_of_bits((int64_t)(((uint64_t)fa_bits_of(magic) + 1023 - (uint64_t)less) << 52));
}
#endif
