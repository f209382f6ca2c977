/* adapted.h - loops of other signatures as loops of float64 operands and one float64 result.
   Owns: the choice of one of several results (sici, airy ...), whole operands as C longs (spherical_jn), complex loops
   on real operands (lambertw, wofz), constant operands.
   Must not know: whose loop it is.
   Every signature is a row of characters, one an operand or result of the inner loop:
     d  a float64 operand; l  a float64 operand that is a whole number, as a long;
     z  a float64 operand as a complex number; w  two float64 operands, the real and the imaginary part;
     L, D  a constant of that type; result kinds: d, z (the real part), y (the imaginary part).
   Next: scalar.h (who calls a loop). */
#ifndef FASTAD_ADAPTED_H
#define FASTAD_ADAPTED_H
#include <string.h>
#include "layout.h"

enum { FA_ADAPTED_MAX = 8, FA_ADAPTED_CHUNK = 32 };

typedef struct {
    fa_loop inner;
    int nin, nout, which;                    /* operands and results of the inner loop, the result that is wanted */
    char kind[FA_ADAPTED_MAX];               /* of the operands, then of the results */
    double constant[FA_ADAPTED_MAX];
} fa_adapted;

static inline int fa_adapted_size(char kind) {
    return kind == 'd' || kind == 'D' ? (int)sizeof(double) : kind == 'l' || kind == 'L' ? (int)sizeof(long)
                                                                                       : 2 * (int)sizeof(double);
}

/* One operand of the inner loop for n elements; returns how many of the outer operands it used up. */
static inline int fa_adapt_operand(const fa_adapted *a, int k, char *const *args, const intptr_t *steps, int64_t n,
                                   char *into) {
    double x, y = 0;
    for (int64_t j = 0; j < n; j++) {
        if (a->kind[k] == 'L' || a->kind[k] == 'D') x = a->constant[k];
        else memcpy(&x, args[0] + j * steps[0], sizeof x);
        if (a->kind[k] == 'w') memcpy(&y, args[1] + j * steps[1], sizeof y);
        if (a->kind[k] == 'l' || a->kind[k] == 'L') {
            long whole = x >= -0x1p62 && x <= 0x1p62 ? (long)x : 0;
            memcpy(into + j * (int64_t)sizeof whole, &whole, sizeof whole);
        } else if (a->kind[k] == 'd' || a->kind[k] == 'D') {
            memcpy(into + j * (int64_t)sizeof x, &x, sizeof x);
        } else {
            memcpy(into + 2 * j * (int64_t)sizeof x, &x, sizeof x);
            memcpy(into + (2 * j + 1) * (int64_t)sizeof x, &y, sizeof y);
        }
    }
    return a->kind[k] == 'L' || a->kind[k] == 'D' ? 0 : a->kind[k] == 'w' ? 2 : 1;
}

/* an fa_loopfn */
static inline void fa_adapted_loop(char **args, const intptr_t *n, const intptr_t *steps, void *data) {
    const fa_adapted *a = data;
    double room[FA_ADAPTED_MAX][2 * FA_ADAPTED_CHUNK];
    for (int64_t j = 0; j < *n; j += FA_ADAPTED_CHUNK) {
        intptr_t m = *n - j < FA_ADAPTED_CHUNK ? *n - j : FA_ADAPTED_CHUNK, inner_steps[FA_ADAPTED_MAX];
        char *inner[FA_ADAPTED_MAX], *at[FA_ADAPTED_MAX];
        const intptr_t *step = steps;
        int outer = 0;
        for (int k = 0; k < a->nin + a->nout; k++) {
            inner[k] = (char *)room[k];
            inner_steps[k] = fa_adapted_size(a->kind[k]);
        }
        for (int k = 0; k < a->nin; k++) {
            at[0] = args[outer] + j * steps[outer];
            at[1] = a->kind[k] == 'w' ? args[outer + 1] + j * steps[outer + 1] : 0;
            outer += fa_adapt_operand(a, k, at, step + outer, m, inner[k]);
        }
        a->inner.fn(inner, &m, inner_steps, a->inner.data);
        int result = a->nin + a->which, width = a->kind[result] == 'd' ? 1 : 2;
        for (int64_t i = 0; i < m; i++)
            memcpy(args[outer] + (j + i) * steps[outer], &room[result][width * i + (a->kind[result] == 'y')],
                   sizeof(double));
    }
}
#endif
