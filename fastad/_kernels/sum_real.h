/* sum_real.h - sums of real numbers, and adding one array to another; included by reals.h once a type.
   Owns: the order of summation.
   Must not know: axes, maps.
   Next: move.h, which includes it. */
FA_FN FA_REAL FA_R(fa_sum_block)(const FA_REAL *x, int64_t s, int64_t n) {
    if (n < 8) {
        FA_REAL r = n ? x[0] : 0;
        for (int64_t j = 1; j < n; j++) r += x[j * s];
        return r;
    }
    if (n <= FA_PAIRWISE) {
        FA_REAL r[8];
        int64_t j = 8;
        if (s == 1) {
            for (int l = 0; l < 8; l++) r[l] = x[l];
            for (; j + 8 <= n; j += 8) for (int l = 0; l < 8; l++) r[l] += x[j + l];
        } else {
            for (int l = 0; l < 8; l++) r[l] = x[l * s];
            for (; j + 8 <= n; j += 8) for (int l = 0; l < 8; l++) r[l] += x[(j + l) * s];
        }
        FA_REAL y = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
        for (; j < n; j++) y += x[j * s];
        return y;
    }
    int64_t half = n / 2 / 8 * 8;
    return FA_R(fa_sum_block)(x, s, half) + FA_R(fa_sum_block)(x + half * s, s, n - half);
}

/* level[k]: the sum of 2**k blocks, where bit k of `blocks` is set */
typedef struct { uint64_t blocks; FA_REAL level[55]; } FA_R(fa_sumtree);

FA_INLINE void FA_R(fa_sumtree_begin)(FA_R(fa_sumtree) *t) { t->blocks = 0; }

FA_INLINE void FA_R(fa_sumtree_add)(FA_R(fa_sumtree) *t, FA_REAL x) {
    int k = 0;
    for (; t->blocks >> k & 1; k++) x = t->level[k] + x;
    t->level[k] = x;
    t->blocks++;
}

/* The sums of the next 2**level blocks, or of fewer where they are the last. */
FA_INLINE void FA_R(fa_sumtree_join)(FA_R(fa_sumtree) *t, const FA_R(fa_sumtree) *next, int level) {
    for (int k = 0; k < level; k++) if (next->blocks >> k & 1) t->level[k] = next->level[k];
    if (next->blocks >> level) {
        FA_REAL x = next->level[level];
        int k = level;
        for (; t->blocks >> k & 1; k++) x = t->level[k] + x;
        t->level[k] = x;
    }
    t->blocks += next->blocks;
}

FA_INLINE FA_REAL FA_R(fa_sumtree_end)(const FA_R(fa_sumtree) *t) {
    FA_REAL y = 0;
    int first = 1;
    for (int k = 0; t->blocks >> k; k++)
        if (t->blocks >> k & 1) {
            y = first ? t->level[k] : t->level[k] + y;
            first = 0;
        }
    return y;
}

FA_FN FA_REAL FA_R(fa_sum)(const FA_REAL *x, int64_t s, int64_t n) {
    FA_R(fa_sumtree) t;
    if (n <= FA_BLOCK) return FA_R(fa_sum_block)(x, s, n);
    FA_R(fa_sumtree_begin)(&t);
    for (int64_t j = 0; j < n; j += FA_BLOCK) {
        int64_t m = n - j < FA_BLOCK ? n - j : FA_BLOCK;
        FA_R(fa_sumtree_add)(&t, FA_R(fa_sum_block)(x + j * s, s, m));
    }
    return FA_R(fa_sumtree_end)(&t);
}

FA_INLINE void FA_R(fa_add)(FA_R(fa_any) *restrict d, int64_t ds, const FA_R(fa_any) *restrict s, int64_t ss,
                            int64_t n) {
    if (ds == 1 && ss == 1) for (int64_t j = 0; j < n; j++) d[j] += s[j];
    else if (ds == 0) *d += FA_R(fa_sum)((const FA_REAL *)s, ss, n);
    else if (ss == 0) for (int64_t j = 0; j < n; j++) d[j * ds] += *s;
    else for (int64_t j = 0; j < n; j++) d[j * ds] += s[j * ss];
}
