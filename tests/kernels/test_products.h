/* test_products.h - products with vectors, in every instruction set, against one element at a time: the same bits.
   Owns: the tests of product_rows.h.  Must not know: which products of matrices come down to these (test_matmul).
   Every array has exactly its size, so that the sanitizers see a vector that reaches too far.
   Next: test_kernels.c. */
#ifndef TEST_PRODUCTS_H
#define TEST_PRODUCTS_H
#include "naive.h"

#define PRODUCT_TESTS(REAL, S) \
static REAL *new_rows_##S(int64_t n) { \
    REAL *x = malloc((size_t)n * sizeof(REAL) + (n == 0)); \
    for (int64_t k = 0; k < n; k++) \
        x[k] = below(9) ? (REAL)((below(4001) - 2000) / 512.0 + 1e-7 * (double)below(99)) : (REAL)-0.0; \
    return x; \
} \
static REAL plain_dot_##S(const REAL *a, const REAL *x, int64_t n) { \
    REAL r[8] = {0}, y; \
    int64_t half = n / 2 / 8 * 8, whole = n / 8 * 8; \
    if (n > 512) return plain_dot_##S(a, x, half) + plain_dot_##S(a + half, x + half, n - half); \
    for (int64_t j = 0; j < whole; j++) r[j % 8] += a[j] * x[j]; \
    y = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7])); \
    for (int64_t j = whole; j < n; j++) y += a[j] * x[j]; \
    return y; \
} \
static void same_rows_##S(const REAL *got, const REAL *want, int64_t n, const char *what) { \
    for (int64_t k = 0; k < n; k++) \
        EXPECT(!memcmp(&got[k], &want[k], sizeof(REAL)), "%s of set %d: [%d] is %.17g, not %.17g", what, \
               fa_chain_level, (int)k, (double)got[k], (double)want[k]); \
} \
static void test_rows_##S(int64_t m, int64_t n) { \
    const fa_rowset_##S *set = fa_rows_by_##S(); \
    int64_t step = 1 + below(3); \
    REAL *a = new_rows_##S(m * n), *x = new_rows_##S(n), *s = new_rows_##S(m ? (m - 1) * step + 1 : 0); \
    REAL *y = new_rows_##S(m), *z = new_rows_##S(n), *w = new_rows_##S(m * n); \
    REAL *yy = malloc((size_t)m * sizeof(REAL) + 1), *zz = malloc((size_t)n * sizeof(REAL) + 1); \
    REAL *ww = malloc((size_t)(m * n) * sizeof(REAL) + 1); \
    for (int64_t i = 0; i < m; i++) yy[i] = y[i] + plain_dot_##S(a + i * n, x, n); \
    set->add_dots(a, m, n, x, y); \
    same_rows_##S(y, yy, m, "dots"); \
    memcpy(zz, z, (size_t)n * sizeof(REAL)); \
    for (int64_t i = 0; i < m; i++) for (int64_t j = 0; j < n; j++) zz[j] += s[i * step] * a[i * n + j]; \
    set->add_rows(a, m, n, s, step, z); \
    same_rows_##S(z, zz, n, "sum of rows"); \
    for (int adds = 1; adds >= 0; adds--) { \
        for (int64_t k = 0; k < m * n; k++) ww[k] = (adds ? w[k] : 0) + y[k / n] * x[k % n]; \
        set->outer(y, m, x, n, adds, w); \
        same_rows_##S(w, ww, m * n, "outer product"); \
    } \
    free(a); free(x); free(s); free(y); free(z); free(w); free(yy); free(zz); free(ww); \
}
PRODUCT_TESTS(double, f64)
PRODUCT_TESTS(float, f32)

static void test_products(void) {
    static const int64_t length[] = {0, 1, 3, 7, 8, 9, 16, 31, 64, 130, 511, 512, 513, 1100, 2500};
    for (int level = 2; level <= fa_cpu_level(); level++) {
        fa_chain_level = level;
        for (size_t k = 0; k < sizeof length / sizeof *length; k++)
            for (int64_t m = 0; m < 10; m++) {
                test_rows_f64(m, length[k]);
                test_rows_f32(m, length[k]);
            }
    }
}
#endif
