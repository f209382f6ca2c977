/* products.h - matrix products: dense (BLAS from outside, small ones here) and sparse constant structure times dense.
   Owns: the choice between BLAS and our loops, which depends on the sizes alone; the CSR loops and their adjoints.
   Must not know: opcodes, which product is an adjoint.
   Next: structural.h, tangent.h and reverse.h call these. */
#ifndef FASTAD_PRODUCTS_H
#define FASTAD_PRODUCTS_H
#include "move.h"

typedef void (*fa_dgemm)(int ta, int tb, int64_t m, int64_t n, int64_t k, const double *a, const double *b, double *c,
                         double beta);

enum { FA_SMALL_GEMM = 64 };                 /* m * n * k up to here: a call of BLAS costs more than the product */

/* Pairwise like fa_sum_f64, so that a long dot product is as accurate as a long sum. */
FA_FN double fa_dot(const double *a, int64_t as, const double *b, int64_t bs, int64_t n) {
    if (n <= 512) {
        double r[8] = {0, 0, 0, 0, 0, 0, 0, 0};
        int64_t j = 0;
        if (as == 1 && bs == 1)
            for (; j + 8 <= n; j += 8) for (int l = 0; l < 8; l++) r[l] += a[j + l] * b[j + l];
        else
            for (; j + 8 <= n; j += 8) for (int l = 0; l < 8; l++) r[l] += a[(j + l) * as] * b[(j + l) * bs];
        double y = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
        for (; j < n; j++) y += a[j * as] * b[j * bs];
        return y;
    }
    int64_t half = n / 2 / 8 * 8;
    return fa_dot(a, as, b, bs, half) + fa_dot(a + half * as, as, b + half * bs, bs, n - half);
}

/* c = op(a) op(b) + beta c, beta 0 or 1, without BLAS.  Strides: rs along rows, cs along columns. */
FA_FN void fa_gemm_loops(int ta, int tb, int64_t m, int64_t n, int64_t k, const double *a, const double *b, double *c,
                         double beta) {
    int64_t ars = ta ? 1 : k, acs = ta ? m : 1, brs = tb ? 1 : n, bcs = tb ? k : 1;
    if (beta == 0) memset(c, 0, (size_t)(m * n) * 8);
    if ((acs == 1 || m == 1) && (brs == 1 || n == 1)) {          /* both contiguous along k: dot products */
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++) c[i * n + j] += fa_dot(a + i * ars, acs, b + j * bcs, brs, k);
    } else if (n == 1) {                                         /* a is stored (k, m): add up its rows */
        for (int64_t l = 0; l < k; l++)
            for (int64_t i = 0; i < m; i++) c[i] += a[i * ars + l * acs] * b[l * brs];
    } else {
        for (int64_t i = 0; i < m; i++)
            for (int64_t l = 0; l < k; l++) {
                double s = a[i * ars + l * acs];
                if (bcs == 1) for (int64_t j = 0; j < n; j++) c[i * n + j] += s * b[l * brs + j];
                else for (int64_t j = 0; j < n; j++) c[i * n + j] += s * b[l * brs + j * bcs];
            }
    }
}

FA_FN void fa_gemm(fa_dgemm dgemm, int ta, int tb, int64_t m, int64_t n, int64_t k, const double *a, const double *b,
                   double *c, double beta) {
    if (m == 0 || n == 0) return;
    /* a vector in the product: memory-bound, our loops are as fast, and BLAS would add its call */
    if (!dgemm || k == 0 || m == 1 || n == 1 || k == 1 || (m <= FA_SMALL_GEMM && n <= FA_SMALL_GEMM
        && k <= FA_SMALL_GEMM && m * n * k <= FA_SMALL_GEMM))
        fa_gemm_loops(ta, tb, m, n, k, a, b, c, beta);
    else dgemm(ta, tb, m, n, k, a, b, c, beta);
}

/* the batch of products of an instruction; beta 1 adds to y */
FA_FN void fa_matmul_f64(const fa_matmul *p, fa_dgemm dgemm, const double *a, const double *b, double *y, double beta) {
    for (int64_t i = 0; i < p->batch; i++)
        fa_gemm(dgemm, p->ta, p->tb, p->m, p->n, p->k, a + i * p->abatch, b + i * p->bbatch, y + i * p->m * p->n, beta);
}

/* abar += the adjoint of a; a batch stride of 0 adds up */
FA_FN void fa_matmul_adjoint_a(const fa_matmul *p, fa_dgemm dgemm, const double *b, const double *ybar, double *abar) {
    for (int64_t i = 0; i < p->batch; i++, ybar += p->m * p->n) {
        const double *bi = b + i * p->bbatch;
        double *ai = abar + i * p->abatch;
        if (p->ta) fa_gemm(dgemm, p->tb, 1, p->k, p->m, p->n, bi, ybar, ai, 1.0);
        else fa_gemm(dgemm, 0, !p->tb, p->m, p->k, p->n, ybar, bi, ai, 1.0);
    }
}

FA_FN void fa_matmul_adjoint_b(const fa_matmul *p, fa_dgemm dgemm, const double *a, const double *ybar, double *bbar) {
    for (int64_t i = 0; i < p->batch; i++, ybar += p->m * p->n) {
        const double *ai = a + i * p->abatch;
        double *bi = bbar + i * p->bbatch;
        if (p->tb) fa_gemm(dgemm, 1, p->ta, p->n, p->k, p->m, ybar, ai, bi, 1.0);
        else fa_gemm(dgemm, !p->ta, 0, p->k, p->n, p->m, ai, ybar, bi, 1.0);
    }
}

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

/* ---- sparse ------------------------------------------------------------------------------------------------- */
/* y += A x, or y += A^T x if transpose */
FA_FN void fa_spmm_add(const fa_csr *A, int transpose, const double *data, const double *x, double *y) {
    int64_t m = A->ncols;
    for (int64_t r = 0; r < A->nrow; r++)
        if (m == 1 && !transpose) {
            double sum = 0;
            for (int64_t e = A->indptr[r]; e < A->indptr[r + 1]; e++) sum += data[e] * x[A->indices[e]];
            y[r] += sum;
        } else {
            for (int64_t e = A->indptr[r]; e < A->indptr[r + 1]; e++) {
                int64_t c = A->indices[e];
                const double *xs = x + (transpose ? r : c) * m;
                double *ys = y + (transpose ? c : r) * m, s = data[e];
                for (int64_t j = 0; j < m; j++) ys[j] += s * xs[j];
            }
        }
}

FA_INLINE void fa_spmm(const fa_csr *A, const double *data, const double *x, double *y) {
    memset(y, 0, (size_t)((A->transpose ? A->ncol : A->nrow) * A->ncols) * 8);
    fa_spmm_add(A, A->transpose, data, x, y);
}

FA_INLINE void fa_spmm_adjoint_x(const fa_csr *A, const double *data, const double *ybar, double *xbar) {
    fa_spmm_add(A, !A->transpose, data, ybar, xbar);
}

FA_FN void fa_spmm_adjoint_data(const fa_csr *A, const double *x, const double *ybar, double *databar) {
    int64_t m = A->ncols;
    for (int64_t r = 0; r < A->nrow; r++)
        for (int64_t e = A->indptr[r]; e < A->indptr[r + 1]; e++) {
            int64_t c = A->indices[e];
            databar[e] += fa_dot(x + (A->transpose ? r : c) * m, 1, ybar + (A->transpose ? c : r) * m, 1, m);
        }
}
#endif
