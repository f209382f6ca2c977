/* mathematics.h - our loops of the elementary functions, in place of NumPy's.
   Owns: which rows of the table have one, at which instruction set.
   Must not know: how a function is computed, tapes.
   Every set that has a fused multiply-add has all of them, with the same bits.  NumPy's loops stay where there is none
   (x86-64-v2), and some of them where they have AVX-512 and are faster.  So processor and NumPy decide, once and for
   all that is recorded and replayed with them.
   Next: mathematics_loops.h (the loops), trigonometry.h, exponential.h, logarithm.h, power.h,
   arctangent.h (the lanes),
   `python -m benchmarks ulp` (errors and speed of each). */
#ifndef FASTAD_MATHEMATICS_H
#define FASTAD_MATHEMATICS_H
#include "arctangent.h"
#include "power.h"
#include "trigonometry.h"

enum { FA_MATH_CHUNK = 256, FA_MATH_LANES = 8 };     /* elements that stay in L1; lanes of the widest vector */
enum { FA_MATH_SIN, FA_MATH_COS, FA_MATH_EXP, FA_MATH_EXPM1, FA_MATH_TANH, FA_MATH_LOG, FA_MATH_LOG1P,
       FA_MATH_POWER, FA_MATH_ARCTAN2, FA_MATH_COUNT };
static const char *const fa_math_rows[FA_MATH_COUNT] __attribute__((unused)) =
    {"sin", "cos", "exp", "expm1", "tanh", "log", "log1p", "power", "arctan2"};

typedef void (*fa_mathloop)(char **args, const intptr_t *n, const intptr_t *steps, void *data);
typedef struct { fa_mathloop loop[FA_MATH_COUNT], sincos; } fa_mathset;

/* n elements in a row, filled up to whole vectors with the last of them; `x` is room for that. */
static inline const double *fa_math_get(intptr_t n, const char *in, intptr_t step, double *x) {
    if (step == 8 && n % FA_MATH_LANES == 0) return (const double *)in;
    for (intptr_t j = 0; j < n; j++) memcpy(&x[j], in + j * step, 8);
    for (intptr_t j = n; j % FA_MATH_LANES; j++) x[j] = x[n - 1];
    return x;
}

static inline void fa_math_put(intptr_t n, const double *y, char *out, intptr_t step) {
    if (step == 8) memcpy(out, y, (size_t)n * 8);
    else for (intptr_t j = 0; j < n; j++) memcpy(out + j * step, &y[j], 8);
}

#define FA_LEVEL_BODY "mathematics_loops.h"
#include "levels.h"

static inline const fa_mathset *fa_math_set_of(int level) {
    static const fa_mathset *const sets[] = FA_LEVEL_REFERENCES(fa_math_set);
    return sets[level - 2 < FA_LEVELS ? level - 2 : FA_LEVELS - 1];
}

/* Is our loop the better one where both have AVX-512?  Measured on Sapphire Rapids: for exp, expm1, log and arctan2 the
   two take about the same time in arrays, but ours takes a half of it or less for a number; in arrays of the others
   NumPy's takes 0.6 to 0.7 of ours. */
static inline int fa_math_is_best(int k) {
    return k != FA_MATH_TANH && k != FA_MATH_LOG1P && k != FA_MATH_POWER;
}

/* The number of a row of the table, -1: we have no loop for it. */
static inline int fa_math_row(const char *row) {
    for (int k = 0; k < FA_MATH_COUNT; k++) if (!strcmp(row, fa_math_rows[k])) return k;
    return -1;
}
#endif
