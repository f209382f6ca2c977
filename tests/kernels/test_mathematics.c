/* test_mathematics.c - our elementary functions alone: against the C library in long double, at every instruction set.
   Owns: operands of all magnitudes, sizes about a chunk and a vector, steps, results in place of operands.
   Must not know: how a lane does it.  Prints the number of checks and of failures.
   Next: fastad/_kernels/mathematics.h, ../test_mathematics.py (who compiles this, and judges against mpmath). */
#include <stdio.h>
#include <stdlib.h>
#include "mathematics.h"

static int checks, failures;
static uint64_t state = 88172645463325252u;

static uint64_t bits(void) { state ^= state << 13; state ^= state >> 7; state ^= state << 17; return state; }

static double number(int k) {                        /* any bits, any magnitude, or moderate */
    double unit = (double)(bits() >> 11) * 0x1p-53;
    if (k % 8 == 0) return fa_of_bits((int64_t)bits());
    if (k % 8 < 3) return ldexp(2 * unit - 1, (int)(bits() % 80) - 60);
    return (k % 2 ? 3 : 700) * (2 * unit - 1);
}

static long double truth(int row, double x, double y) {
    switch (row) {
    case FA_MATH_SIN: return sinl(x);
    case FA_MATH_COS: return cosl(x);
    case FA_MATH_EXP: return expl(x);
    case FA_MATH_EXPM1: return expm1l(x);
    case FA_MATH_TANH: return tanhl(x);
    case FA_MATH_LOG: return logl(x);
    case FA_MATH_LOG1P: return log1pl(x);
    case FA_MATH_POWER: return powl(x, y);
    default: return atan2l(x, y);
    }
}

/* Is y within 1.02 ulp (the C library may err, too) of the number that x and b have? */
static int is_close(int row, double y, double x, double b) {
    if (row <= FA_MATH_COS && fabs(x) >= 0x1p19) return isnan(x) || isinf(x) ? isnan(y) : fabs(y) <= 1;
    long double want = truth(row, x, b);
    double near = (double)want, ulp;
    if (isnan(want) || isinf(near)) return isnan(want) ? isnan(y) : y == near;
    ulp = fabs(near) < 0x1p-1022 ? 0x1p-1074 : ldexp(0x1p-52, ilogb(near));
    return fabsl(y - want) <= 1.02L * ulp && (y != 0 || near != 0 || signbit(y) == signbit(near));
}

static void expect(int right, int row, int level, double x, double b, double y) {
    checks++;
    if (right) return;
    if (failures++ < 10) printf("%s, v%d: %.17g, %.17g: %.17g\n", fa_math_rows[row], level, x, b, y);
}

enum { MOST = 2 * FA_MATH_CHUNK + 13 };

/* A loop on n elements with these steps (in elements) against its own results one by one. */
static void check(int row, int level, int64_t n, int step, int in_place) {
    int binary = row >= FA_MATH_POWER;
    double *x = malloc((size_t)(n * step) * 8), *b = malloc((size_t)n * 8), *y = malloc((size_t)(n * step) * 8);
    double *kept = malloc((size_t)(n * step) * 8), *out = in_place ? x : y, one;
    intptr_t steps[3] = {8 * step, binary ? 8 : 8 * step, 8 * step}, single = 1;
    char *args[3] = {(char *)x, binary ? (char *)b : (char *)out, (char *)out};
    fa_mathloop loop = fa_math_set_of(level)->loop[row];
    for (int64_t k = 0; k < n * step; k++) kept[k] = x[k] = number((int)k + row);
    for (int64_t k = 0; k < n; k++) b[k] = number((int)k + 5);
    loop(args, &n, steps, NULL);
    for (int64_t k = 0; k < n; k++) {
        double *at = &kept[k * step], got = out[k * step];
        char *alone[3] = {(char *)at, binary ? (char *)&b[k] : (char *)&one, (char *)&one};
        loop(alone, &single, steps, NULL);
        expect(fa_bits_of(one) == fa_bits_of(got) && is_close(row, got, *at, b[k]), row, level, *at, b[k], got);
    }
    free(x);
    free(b);
    free(y);
    free(kept);
}

static void check_both(int level, int64_t n) {
    double *x = malloc((size_t)n * 8), *s = malloc((size_t)n * 8), *c = malloc((size_t)n * 8);
    intptr_t steps[3] = {8, 8, 8}, single = 1;
    char *args[3] = {(char *)x, (char *)s, (char *)c}, *in_place[3] = {(char *)x, (char *)x, (char *)c};
    for (int64_t k = 0; k < n; k++) x[k] = number((int)k);
    fa_math_set_of(level)->sincos(args, &n, steps, NULL);
    for (int64_t k = 0; k < n; k++)
        for (int row = FA_MATH_SIN; row <= FA_MATH_COS; row++) {
            double one, got = row == FA_MATH_SIN ? s[k] : c[k];
            char *alone[2] = {(char *)&x[k], (char *)&one};
            fa_math_set_of(level)->loop[row](alone, &single, steps, NULL);
            expect(fa_bits_of(one) == fa_bits_of(got), row, level, x[k], 0, got);
        }
    fa_math_set_of(level)->sincos(in_place, &n, steps, NULL);
    for (int64_t k = 0; k < n; k++) expect(fa_bits_of(x[k]) == fa_bits_of(s[k]), FA_MATH_SIN, level, s[k], 0, x[k]);
    free(x);
    free(s);
    free(c);
}

int main(void) {
    static const int64_t sizes[] = {1, 2, 7, 8, 9, 63, FA_MATH_CHUNK, FA_MATH_CHUNK + 1, MOST};
    for (int level = 2; level <= fa_cpu_level(); level++) {
        if (!fa_math_set_of(level)->sincos) continue;
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
            for (int row = 0; row < FA_MATH_COUNT; row++)
                for (int form = 0; form < 4; form++) check(row, level, sizes[k], 1 + form % 2, form / 2);
            check_both(level, sizes[k]);
        }
    }
    printf("%d checks, %d failures\n", checks, failures);
    return failures != 0;
}
