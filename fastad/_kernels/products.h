/* products.h - matrix products: dense (BLAS from outside, small ones here) and sparse constant structure times dense.
   Owns: the products of integers and bools; those of real numbers are in product_real.h.
   Must not know: opcodes, which product is an adjoint.
   Next: structural.h, tangent.h and reverse.h call these. */
#ifndef FASTAD_PRODUCTS_H
#define FASTAD_PRODUCTS_H
#include "move.h"

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
