/* reduce_real.h - sums of real numbers along an axis; included by reals.h once a type.
   Owns: their order.
   Must not know: opcodes.
   Next: reduce.h, which includes it. */
typedef FA_REAL FA_R(fa_some) __attribute__((vector_size(16), aligned(sizeof(FA_REAL)), may_alias));
FA_INLINE FA_R(fa_some) FA_R(fa_some_sum)(FA_R(fa_some) a, FA_R(fa_some) b) {
#if defined(__x86_64__)
    if (sizeof(FA_REAL) == 8) __asm__("addpd %1, %0" : "+x"(a) : "x"(b));
    else __asm__("addps %1, %0" : "+x"(a) : "x"(b));
    return a;
#else
    return a + b;
#endif
}

/* y += x as far as there are whole tiles; returns how far. */
FA_FN int64_t FA_R(fa_add_tiles)(FA_REAL *y, const FA_REAL *x, int64_t m) {
    const fa_chainset *set = fa_chain_set(FA_DTYPE);
    const fa_chainat steps[] = {{set->fn[FA_CHAIN_LOAD], (char *)y, FA_CHAIN_ARRAY},
                                {set->fn[FA_CHAIN_ADD], (char *)x, FA_CHAIN_ARRAY},
                                {set->fn[FA_CHAIN_STORE], (char *)y, FA_CHAIN_ARRAY},
                                {set->fn[FA_CHAIN_END], 0, FA_CHAIN_FIXED}};
    fa_chaintile t = {{0}, 0, 0};
    return set->by8(steps, &t, m);
}

/* y += x; of two NaN it is y's, wherever rows are added. */
FA_INLINE void FA_R(fa_add_row)(FA_REAL *y, const FA_REAL *x, int64_t m) {
    int64_t j = m < FA_TILE_BYTES / (int64_t)sizeof(FA_REAL) ? 0 : FA_R(fa_add_tiles)(y, x, m);
    for (; j + 4 * FA_LANES <= m; j += 4 * FA_LANES) {
        FA_R(fa_some) *u = (FA_R(fa_some) *)(y + j), r0, r1, r2, r3;
        const FA_R(fa_some) *v = (const FA_R(fa_some) *)(x + j);
        r0 = FA_R(fa_some_sum)(u[0], v[0]), r1 = FA_R(fa_some_sum)(u[1], v[1]);
        r2 = FA_R(fa_some_sum)(u[2], v[2]), r3 = FA_R(fa_some_sum)(u[3], v[3]);
        u[0] = r0, u[1] = r1, u[2] = r2, u[3] = r3;
    }
    for (; j + FA_LANES <= m; j += FA_LANES)
        *(FA_R(fa_some) *)(y + j) = FA_R(fa_some_sum)(*(FA_R(fa_some) *)(y + j), *(const FA_R(fa_some) *)(x + j));
    for (; j < m; j++) y[j] = FA_R(fa_ordered_sum)(y[j], x[j]);
}

/* Rows of m <= FA_PAIRWISE columns, pairwise over the rows: vectorises over the columns. */
FA_FN void FA_R(fa_sum_rows)(const FA_REAL *x, int64_t stride, int64_t n, int64_t m, FA_REAL *y) {
    if (n <= 8) {
        if (n == 0) memset(y, 0, (size_t)m * sizeof *y);
        else memcpy(y, x, (size_t)m * sizeof *y);
        for (int64_t i = 1; i < n; i++)
            FA_R(fa_add_row)(y, x + i * stride, m);
        return;
    }
    FA_REAL right[FA_PAIRWISE];
    FA_R(fa_sum_rows)(x, stride, n / 2, m, y);
    FA_R(fa_sum_rows)(x + n / 2 * stride, stride, n - n / 2, m, right);
    FA_R(fa_add_row)(y, right, m);
}

FA_FN void FA_R(fa_sum_axis)(const fa_axis *ax, const FA_REAL *x, FA_REAL *y) {
    for (int64_t o = 0; o < ax->outer; o++, x += ax->n * ax->inner, y += ax->inner) {
        if (ax->inner == 1) *y = FA_R(fa_sum)(x, 1, ax->n);
        else for (int64_t j = 0; j < ax->inner; j += FA_PAIRWISE)
            FA_R(fa_sum_rows)(x + j, ax->inner, ax->n, ax->inner - j < FA_PAIRWISE ? ax->inner - j : FA_PAIRWISE,
                              y + j);
    }
}
