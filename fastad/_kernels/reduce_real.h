/* reduce_real.h - sums of real numbers along an axis; included by reals.h once a type.
   Owns: their order.
   Must not know: opcodes.
   Next: reduce.h, which includes it. */
/* Rows of m <= FA_PAIRWISE columns, pairwise over the rows: vectorises over the columns. */
FA_FN void FA_R(fa_sum_rows)(const FA_REAL *x, int64_t stride, int64_t n, int64_t m, FA_REAL *y) {
    if (n <= 8) {
        if (n == 0) memset(y, 0, (size_t)m * sizeof *y);
        else memcpy(y, x, (size_t)m * sizeof *y);
        for (int64_t i = 1; i < n; i++)
            for (int64_t j = 0; j < m; j++) y[j] += x[i * stride + j];
        return;
    }
    FA_REAL right[FA_PAIRWISE];
    FA_R(fa_sum_rows)(x, stride, n / 2, m, y);
    FA_R(fa_sum_rows)(x + n / 2 * stride, stride, n - n / 2, m, right);
    for (int64_t j = 0; j < m; j++) y[j] += right[j];
}

FA_FN void FA_R(fa_sum_axis)(const fa_axis *ax, const FA_REAL *x, FA_REAL *y) {
    for (int64_t o = 0; o < ax->outer; o++, x += ax->n * ax->inner, y += ax->inner) {
        if (ax->inner == 1) *y = FA_R(fa_sum)(x, 1, ax->n);
        else for (int64_t j = 0; j < ax->inner; j += FA_PAIRWISE)
            FA_R(fa_sum_rows)(x + j, ax->inner, ax->n, ax->inner - j < FA_PAIRWISE ? ax->inner - j : FA_PAIRWISE,
                              y + j);
    }
}
