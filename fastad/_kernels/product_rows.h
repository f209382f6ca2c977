/* product_rows.h - products of a matrix's rows with a vector; included by reals.h once a type, for each instruction set.
   Owns: dot products of rows, sums of multiples of rows, the outer product: what is left of a product of matrices where
   one of the operands is a vector.
   Must not know: matrices that are read across their rows, BLAS.
   Every element is added up in one order whatever the set, so that the bits are the same: eight sums a dot product, put
   together at its end; of multiples of rows one after the other.
   Next: product_real.h, which cuts products into these. */
#define FA_C(NAME) FA_L(FA_R(NAME))
typedef FA_REAL FA_C(fa_eight) __attribute__((vector_size(8 * sizeof(FA_REAL))));
typedef FA_REAL FA_C(fa_eight_at) __attribute__((vector_size(8 * sizeof(FA_REAL)), aligned(sizeof(FA_REAL)), may_alias));
#define EIGHT FA_C(fa_eight)
#define EIGHT_AT(P) (*(const FA_C(fa_eight_at) *)(P))

/* Of `rows` rows of a, with x: independent of each other, so that none waits for its own last sum. */
FA_INLINE void FA_C(fa_few_dots)(int rows, const FA_REAL *a, int64_t stride, const FA_REAL *x, int64_t n, FA_REAL *y) {
    EIGHT r[4] = {{0}, {0}, {0}, {0}};
    int64_t j = 0;
    for (; j + 8 <= n; j += 8) {
        EIGHT v = EIGHT_AT(x + j);
        for (int i = 0; i < rows; i++) r[i] += EIGHT_AT(a + i * stride + j) * v;
    }
    for (int i = 0; i < rows; i++)
        y[i] = ((r[i][0] + r[i][1]) + (r[i][2] + r[i][3])) + ((r[i][4] + r[i][5]) + (r[i][6] + r[i][7]));
    for (; j < n; j++) for (int i = 0; i < rows; i++) y[i] += a[i * stride + j] * x[j];
}

/* Pairwise like fa_sum, so that a long dot product is as accurate as a long sum. */
FA_FN void FA_C(fa_four_dots)(const FA_REAL *a, int64_t stride, const FA_REAL *x, int64_t n, FA_REAL *y) {
    FA_REAL z[4];
    if (n <= 512) {
        FA_C(fa_few_dots)(4, a, stride, x, n, y);
        return;
    }
    int64_t half = n / 2 / 8 * 8;
    FA_C(fa_four_dots)(a, stride, x, half, y);
    FA_C(fa_four_dots)(a + half, stride, x + half, n - half, z);
    for (int i = 0; i < 4; i++) y[i] += z[i];
}

FA_FN FA_REAL FA_C(fa_dot)(const FA_REAL *a, const FA_REAL *x, int64_t n) {
    FA_REAL y;
    if (n <= 512) {
        FA_C(fa_few_dots)(1, a, 0, x, n, &y);
        return y;
    }
    int64_t half = n / 2 / 8 * 8;
    return FA_C(fa_dot)(a, x, half) + FA_C(fa_dot)(a + half, x + half, n - half);
}

/* y[i] += the dot product of row i of a and x */
FA_FN void FA_C(fa_add_dots)(const FA_REAL *a, int64_t m, int64_t n, const FA_REAL *x, FA_REAL *y) {
    FA_REAL z[4];
    int64_t i = 0;
    for (; i + 4 <= m; i += 4) {
        FA_C(fa_four_dots)(a + i * n, n, x, n, z);
        for (int l = 0; l < 4; l++) y[i + l] += z[l];
    }
    for (; i < m; i++) y[i] += FA_C(fa_dot)(a + i * n, x, n);
}

/* y += s[0] times row 0 of a, then row 1, ...; `step` numbers from one s to the next */
FA_FN void FA_C(fa_add_rows)(const FA_REAL *a, int64_t m, int64_t n, const FA_REAL *s, int64_t step, FA_REAL *y) {
    int64_t i = 0;
    for (; i + 4 <= m; i += 4, a += 4 * n, s += 4 * step) {
        const FA_REAL s0 = s[0], s1 = s[step], s2 = s[2 * step], s3 = s[3 * step];
        int64_t j = 0;
        for (; j + 8 <= n; j += 8) {
            EIGHT v = EIGHT_AT(y + j);
            v += s0 * EIGHT_AT(a + j);
            v += s1 * EIGHT_AT(a + n + j);
            v += s2 * EIGHT_AT(a + 2 * n + j);
            v += s3 * EIGHT_AT(a + 3 * n + j);
            *(FA_C(fa_eight_at) *)(y + j) = v;
        }
        for (; j < n; j++) {
            FA_REAL v = y[j] + s0 * a[j];
            v += s1 * a[n + j];
            v += s2 * a[2 * n + j];
            y[j] = v + s3 * a[3 * n + j];
        }
    }
    for (; i < m; i++, a += n, s += step) for (int64_t j = 0; j < n; j++) y[j] += s[0] * a[j];
}

/* y = a x^T, or y += a x^T */
FA_FN void FA_C(fa_outer)(const FA_REAL *a, int64_t m, const FA_REAL *x, int64_t n, int adds, FA_REAL *y) {
    for (int64_t i = 0; i < m; i++, y += n) {
        const FA_REAL s = a[i];
        int64_t j = 0;
        for (; j + 8 <= n; j += 8) {
            EIGHT v = {0};
            if (adds) v = EIGHT_AT(y + j);
            *(FA_C(fa_eight_at) *)(y + j) = v + s * EIGHT_AT(x + j);
        }
        for (; j < n; j++) y[j] = s * x[j] + (adds ? y[j] : 0);
    }
}

static const FA_R(fa_rowset) FA_C(fa_rowset) = {FA_C(fa_dot), FA_C(fa_add_dots), FA_C(fa_add_rows), FA_C(fa_outer)};
#undef FA_C
#undef EIGHT
#undef EIGHT_AT
