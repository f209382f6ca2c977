/* axis_real.h - the sums of axis.h on one type of real numbers; included by reals.h.
   Owns: the addition of blocks.  Must not know: loops.
   Next: axis.h, which includes it; reduce_real.h (the same on whole arrays). */
/* m columns of a row of a leaf; y: the result's. */
FA_INLINE void FA_R(fa_axis_row)(fa_leaf leaf, int64_t row, int64_t m, const FA_REAL *x, FA_REAL *y, char *waiting) {
    FA_REAL *sum = leaf.level ? (FA_REAL *)(waiting + (leaf.level - 1) * FA_BUFFER_BYTES) : y;
    if (row == leaf.lo) memcpy(sum, x, (size_t)m * sizeof *x);
    else FA_R(fa_add_row)(sum, x, m);
    if (row < leaf.lo + leaf.n - 1) return;
    for (int level = leaf.level; level > leaf.level - leaf.ends; level--) {
        FA_REAL *left = level > 1 ? (FA_REAL *)(waiting + (level - 2) * FA_BUFFER_BYTES) : y;
        FA_R(fa_add_row)(left, sum, m);
        sum = left;
    }
}

FA_FN void FA_R(fa_axis_add)(const fa_axis *a, int64_t j, int64_t m, const FA_REAL *x, FA_REAL *y, char *waiting,
                             FA_R(fa_sumtree) *tree) {
    int64_t group = a->n * a->inner;
    if (group <= FA_BLOCK) {
        fa_axis part = {m / group, a->n, a->inner, 0};
        FA_R(fa_sum_axis)(&part, x, y + j / group * a->inner);
    } else if (a->inner == 1) {
        if (j % a->n == 0) FA_R(fa_sumtree_begin)(tree);
        FA_R(fa_sumtree_add)(tree, FA_R(fa_sum_block)(x, 1, m));
        if ((j + m) % a->n == 0) y[j / a->n] = FA_R(fa_sumtree_end)(tree);
    } else {
        int64_t row = j / a->inner, c = j % a->inner, width = m < a->inner - c ? m : a->inner - c;
        fa_leaf leaf = fa_leaf_of(a->n, row % a->n);
        y += row / a->n * a->inner + c;
        row %= a->n;
        for (int64_t k = 0; k < m; k += width, row++) {
            if (row == leaf.lo + leaf.n) leaf = fa_leaf_of(a->n, row);
            FA_R(fa_axis_row)(leaf, row, width, x + k, y, waiting);
        }
    }
}
