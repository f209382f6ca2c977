/* products.h - matrix products: dense (BLAS from outside, small ones here) and sparse constant structure times dense.
   Owns: the products of integers and bools; those of real numbers are in product_real.h.
   Must not know: opcodes, which product is an adjoint.
   Next: structural.h, tangent.h and reverse.h call these. */
#ifndef FASTAD_PRODUCTS_H
#define FASTAD_PRODUCTS_H
#include "chain.h"
#include "move.h"

/* products with vectors: see product_rows.h */
#define FA_ROWSET(REAL) struct { \
    REAL (*dot)(const REAL *a, const REAL *x, int64_t n); \
    void (*add_dots)(const REAL *a, int64_t m, int64_t n, const REAL *x, REAL *y); \
    void (*add_rows)(const REAL *a, int64_t m, int64_t n, const REAL *s, int64_t step, REAL *y); \
    void (*outer)(const REAL *a, int64_t m, const REAL *x, int64_t n, int adds, REAL *y); \
}
typedef FA_ROWSET(double) fa_rowset_f64;
typedef FA_ROWSET(float) fa_rowset_f32;
#undef FA_ROWSET
#define FA_LEVEL_BODY "product_rows_reals.h"
#include "levels.h"
FA_INLINE const fa_rowset_f64 *fa_rows_by_f64(void) {
    static const fa_rowset_f64 *const set[FA_LEVELS] = FA_LEVEL_REFERENCES(fa_rowset_f64);
    return set[fa_chain_level - 2];
}
FA_INLINE const fa_rowset_f32 *fa_rows_by_f32(void) {
    static const fa_rowset_f32 *const set[FA_LEVELS] = FA_LEVEL_REFERENCES(fa_rowset_f32);
    return set[fa_chain_level - 2];
}

#define FA_BODY "product_real.h"
#include "reals.h"

/* int64 wraps around; of bools the sum is "or", the product "and" */
FA_FN void fa_matmul_int(const fa_matmul *p, int dtype, const char *a, const char *b, char *y) {
    for (int64_t t = 0; t < p->batch; t++)
        for (int64_t i = 0; i < p->m; i++)
            for (int64_t j = 0; j < p->n; j++) {
                uint64_t sum = 0;
                for (int64_t l = 0; l < p->k; l++) {
                    int64_t u = t * p->abatch + (p->ta ? l * p->m + i : i * p->k + l);
                    int64_t v = t * p->bbatch + (p->tb ? j * p->k + l : l * p->n + j);
                    if (dtype == FA_I64) sum += (uint64_t)((const int64_t *)a)[u] * (uint64_t)((const int64_t *)b)[v];
                    else sum |= a[u] && b[v];
                }
                int64_t at = (t * p->m + i) * p->n + j;
                if (dtype == FA_I64) ((int64_t *)y)[at] = (int64_t)sum;
                else y[at] = (char)sum;
            }
}
#endif
