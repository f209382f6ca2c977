/* adapted.h - loops of other signatures as loops of float64 operands and one float64 result.
   Owns: the choice of one of several results (sici, airy ...), whole operands as C longs (spherical_jn), complex loops
   on real operands (lambertw), constant operands.
   Must not know: whose loop it is.
   Every signature is a row of characters, one an operand or result of the inner loop:
     d  a float64 operand; l  a float64 operand that is a whole number, as a long;
     z  a float64 operand as a complex number, or the real part of a complex result;
     L, D  a constant of type l or d.
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

/* Operand k of the inner loop for n elements, from memory with a step, or a constant; is it one of the outer loop's? */
static inline int fa_adapt_operand(const fa_adapted *a, int k, const char *from, intptr_t step, int64_t n, char *into) {
    int constant = a->kind[k] == 'L' || a->kind[k] == 'D';
    double x = a->constant[k];
    for (int64_t j = 0; j < n; j++) {
        if (!constant) memcpy(&x, from + j * step, sizeof x);
        if (a->kind[k] == 'l' || a->kind[k] == 'L') {
            long whole = x >= -0x1p62 && x <= 0x1p62 ? (long)x : 0;
            memcpy(into + j * (int64_t)sizeof whole, &whole, sizeof whole);
        } else if (a->kind[k] == 'd' || a->kind[k] == 'D') {
            memcpy(into + j * (int64_t)sizeof x, &x, sizeof x);
        } else {
            double z[2] = {x, 0};
            memcpy(into + j * (int64_t)sizeof z, z, sizeof z);
        }
    }
    return !constant;
}

/* an fa_loopfn */
static inline void fa_adapted_loop(char **args, const intptr_t *n, const intptr_t *steps, void *data) {
    const fa_adapted *a = data;
    double room[FA_ADAPTED_MAX][2 * FA_ADAPTED_CHUNK];
    for (int64_t j = 0; j < *n; j += FA_ADAPTED_CHUNK) {
        intptr_t m = *n - j < FA_ADAPTED_CHUNK ? *n - j : FA_ADAPTED_CHUNK, inner_steps[FA_ADAPTED_MAX];
        char *inner[FA_ADAPTED_MAX];
        int outer = 0, result = a->nin + a->which, width = a->kind[result] == 'd' ? 1 : 2;
        for (int k = 0; k < a->nin + a->nout; k++) {
            inner[k] = (char *)room[k];
            inner_steps[k] = fa_adapted_size(a->kind[k]);
        }
        for (int k = 0; k < a->nin; k++)
            outer += fa_adapt_operand(a, k, args[outer] + j * steps[outer], steps[outer], m, inner[k]);
        a->inner.fn(inner, &m, inner_steps, a->inner.data);
        for (int64_t i = 0; i < m; i++)
            memcpy(args[outer] + (j + i) * steps[outer], &room[result][width * i], sizeof(double));
    }
}
#endif
