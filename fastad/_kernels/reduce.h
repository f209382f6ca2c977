/* reduce.h - along one axis: sums, extrema, any/all, cumulative sums, sorting permutations, bisection.
   Owns: the orders of summation (they depend on outer, n and inner alone), where NaN stands among numbers.
   Must not know: opcodes' operands, tapes, derivatives.
   Arrays are seen as (outer, n, inner) in C order; results of reductions as (outer, inner).
   Next: structural.h calls these. */
#ifndef FASTAD_REDUCE_H
#define FASTAD_REDUCE_H
#include <stdlib.h>
#include "chain.h"
#include "move.h"

/* ---- sum ---------------------------------------------------------------------------------------------------- */
#define FA_BODY "reduce_real.h"
#include "reals.h"

/* bool and int64 add up to int64 */
FA_FN void fa_sum_axis_int(const fa_axis *ax, int dtype, const char *x, int64_t *y) {
    const int64_t *xi = (const int64_t *)x;
    const uint8_t *xb = (const uint8_t *)x;
    for (int64_t o = 0; o < ax->outer; o++)
        for (int64_t j = 0; j < ax->inner; j++) {
            uint64_t sum = 0;
            int64_t at = o * ax->n * ax->inner + j;
            if (dtype == FA_I64) for (int64_t i = 0; i < ax->n; i++) sum += (uint64_t)xi[at + i * ax->inner];
            else for (int64_t i = 0; i < ax->n; i++) sum += xb[at + i * ax->inner] != 0;
            y[o * ax->inner + j] = (int64_t)sum;
        }
}

/* ---- extrema ------------------------------------------------------------------------------------------------ */
/* An extremum over an empty axis has no value: the recorder refuses it, as NumPy does.
   BEATS(x, m): x replaces m.  A NaN replaces every number and is replaced by nothing. */
#define FA_EXTREMUM(NAME, T, BEATS) \
FA_FN void NAME(const fa_axis *ax, const T *x, T *y) { \
    int64_t n = ax->n, inner = ax->inner; \
    for (int64_t o = 0; o < ax->outer && n > 0; o++, x += n * inner, y += inner) { \
        if (inner == 1 && n >= 16) { \
            T r[8]; \
            int64_t i = 8; \
            for (int l = 0; l < 8; l++) r[l] = x[l]; \
            for (; i + 8 <= n; i += 8) \
                for (int l = 0; l < 8; l++) r[l] = BEATS(x[i + l], r[l]) ? x[i + l] : r[l]; \
            for (int l = 1; l < 8; l++) r[0] = BEATS(r[l], r[0]) ? r[l] : r[0]; \
            for (; i < n; i++) r[0] = BEATS(x[i], r[0]) ? x[i] : r[0]; \
            *y = r[0]; \
        } else { \
            memcpy(y, x, (size_t)inner * sizeof(T)); \
            for (int64_t i = 1; i < n; i++) \
                for (int64_t j = 0; j < inner; j++) { \
                    T v = x[i * inner + j]; \
                    y[j] = BEATS(v, y[j]) ? v : y[j]; \
                } \
        } \
    } \
}
#define FA_ABOVE(x, m) ((x) > (m))
#define FA_BELOW(x, m) ((x) < (m))
/* m == m first: once a NaN, always that NaN */
#define FA_ABOVE_F(x, m) (((m) == (m)) & ((__builtin_isgreater((x), (m))) | ((x) != (x))))
#define FA_BELOW_F(x, m) (((m) == (m)) & ((__builtin_isless((x), (m))) | ((x) != (x))))
FA_EXTREMUM(fa_max_axis_f64, double, FA_ABOVE_F)
FA_EXTREMUM(fa_min_axis_f64, double, FA_BELOW_F)
FA_EXTREMUM(fa_max_axis_f32, float, FA_ABOVE_F)
FA_EXTREMUM(fa_min_axis_f32, float, FA_BELOW_F)
FA_EXTREMUM(fa_max_axis_i64, int64_t, FA_ABOVE)
FA_EXTREMUM(fa_min_axis_i64, int64_t, FA_BELOW)
FA_EXTREMUM(fa_max_axis_bool, uint8_t, FA_ABOVE)
FA_EXTREMUM(fa_min_axis_bool, uint8_t, FA_BELOW)

/* The first one; a NaN counts as the extremum. */
#define FA_ARGEXTREMUM(NAME, T, BEATS) \
FA_FN void NAME(const fa_axis *ax, const T *x, int64_t *y) { \
    for (int64_t o = 0; o < ax->outer; o++, x += ax->n * ax->inner) \
        for (int64_t j = 0; j < ax->inner; j++) { \
            int64_t best = 0; \
            for (int64_t i = 1; i < ax->n; i++) \
                if (BEATS(x[i * ax->inner + j], x[best * ax->inner + j])) best = i; \
            *y++ = best; \
        } \
}
FA_ARGEXTREMUM(fa_argmax_f64, double, FA_ABOVE_F)
FA_ARGEXTREMUM(fa_argmin_f64, double, FA_BELOW_F)
FA_ARGEXTREMUM(fa_argmax_f32, float, FA_ABOVE_F)
FA_ARGEXTREMUM(fa_argmin_f32, float, FA_BELOW_F)
FA_ARGEXTREMUM(fa_argmax_i64, int64_t, FA_ABOVE)
FA_ARGEXTREMUM(fa_argmin_i64, int64_t, FA_BELOW)
FA_ARGEXTREMUM(fa_argmax_bool, uint8_t, FA_ABOVE)
FA_ARGEXTREMUM(fa_argmin_bool, uint8_t, FA_BELOW)

FA_FN void fa_extremum_axis(const fa_axis *ax, int dtype, int largest, const char *x, char *y) {
    switch (2 * dtype + largest) {
    case 2 * FA_F64 + 1: fa_max_axis_f64(ax, (const double *)x, (double *)y); break;
    case 2 * FA_F64: fa_min_axis_f64(ax, (const double *)x, (double *)y); break;
    case 2 * FA_F32 + 1: fa_max_axis_f32(ax, (const float *)x, (float *)y); break;
    case 2 * FA_F32: fa_min_axis_f32(ax, (const float *)x, (float *)y); break;
    case 2 * FA_I64 + 1: fa_max_axis_i64(ax, (const int64_t *)x, (int64_t *)y); break;
    case 2 * FA_I64: fa_min_axis_i64(ax, (const int64_t *)x, (int64_t *)y); break;
    case 2 * FA_BOOL + 1: fa_max_axis_bool(ax, (const uint8_t *)x, (uint8_t *)y); break;
    default: fa_min_axis_bool(ax, (const uint8_t *)x, (uint8_t *)y); break;
    }
}

FA_FN void fa_argextremum_axis(const fa_axis *ax, int dtype, int largest, const char *x, int64_t *y) {
    switch (2 * dtype + largest) {
    case 2 * FA_F64 + 1: fa_argmax_f64(ax, (const double *)x, y); break;
    case 2 * FA_F64: fa_argmin_f64(ax, (const double *)x, y); break;
    case 2 * FA_F32 + 1: fa_argmax_f32(ax, (const float *)x, y); break;
    case 2 * FA_F32: fa_argmin_f32(ax, (const float *)x, y); break;
    case 2 * FA_I64 + 1: fa_argmax_i64(ax, (const int64_t *)x, y); break;
    case 2 * FA_I64: fa_argmin_i64(ax, (const int64_t *)x, y); break;
    case 2 * FA_BOOL + 1: fa_argmax_bool(ax, (const uint8_t *)x, y); break;
    default: fa_argmin_bool(ax, (const uint8_t *)x, y); break;
    }
}

FA_INLINE int fa_truth(int dtype, const char *x, int64_t j) {
    switch (dtype) {
    case FA_F64: return ((const double *)x)[j] != 0;
    case FA_F32: return ((const float *)x)[j] != 0;
    case FA_I64: return ((const int64_t *)x)[j] != 0;
    default: return x[j] != 0;
    }
}

FA_FN void fa_any_all_axis(const fa_axis *ax, int dtype, int all, const char *x, uint8_t *y) {
    for (int64_t o = 0; o < ax->outer; o++)
        for (int64_t j = 0; j < ax->inner; j++) {
            int64_t at = o * ax->n * ax->inner + j, i = 0;
            while (i < ax->n && fa_truth(dtype, x, at + i * ax->inner) == all) i++;
            y[o * ax->inner + j] = all ? i == ax->n : i < ax->n;
        }
}

/* ---- cumulative sum ----------------------------------------------------------------------------------------- */
/* From the end if ax->reverse: the adjoint of the other direction.  x == y is allowed. */
#define FA_CUMSUM_AXIS(NAME, T, TX, ADD) \
FA_FN void NAME(const fa_axis *ax, const TX *x, T *y) { \
    int64_t n = ax->n, inner = ax->inner, step = ax->reverse ? -inner : inner; \
    for (int64_t o = 0; o < ax->outer && n > 0; o++) { \
        int64_t at = o * n * inner + (ax->reverse ? (n - 1) * inner : 0); \
        for (int64_t j = 0; j < inner; j++) y[at + j] = x[at + j]; \
        for (int64_t i = 1; i < n; i++, at += step) \
            for (int64_t j = 0; j < inner; j++) y[at + step + j] = ADD(y[at + j], x[at + step + j]); \
    } \
}
#define FA_PLUS(a, b) ((a) + (b))
#define FA_PLUS_WRAP(a, b) ((int64_t)((uint64_t)(a) + (uint64_t)(b)))
FA_CUMSUM_AXIS(fa_cumsum_f64, double, double, FA_PLUS)
FA_CUMSUM_AXIS(fa_cumsum_f32, float, float, FA_PLUS)
FA_CUMSUM_AXIS(fa_cumsum_i64, int64_t, int64_t, FA_PLUS_WRAP)
FA_CUMSUM_AXIS(fa_cumsum_bool, int64_t, uint8_t, FA_PLUS_WRAP)

/* ---- order -------------------------------------------------------------------------------------------------- */
typedef struct { uint64_t key; int64_t at; } fa_sortitem;

/* an unsigned integer in the order of the values; every NaN last and equal to the others, -0 equal to +0 */
FA_INLINE uint64_t fa_sortkey(int dtype, const char *x, int64_t j) {
    const uint64_t top = (uint64_t)1 << 63;
    if (dtype == FA_BOOL) return x[j] != 0;
    if (dtype == FA_I64) return (uint64_t)((const int64_t *)x)[j] ^ top;
    double v = dtype == FA_F64 ? ((const double *)x)[j] : (double)((const float *)x)[j];
    uint64_t bits;
    if (v != v) return UINT64_MAX;
    v += 0.0;                                /* -0 becomes +0 */
    memcpy(&bits, &v, 8);
    return bits & top ? ~bits : bits | top;
}

/* Stable: runs of 8 by insertion, then merges that alternate between the two buffers.  Returns the sorted one. */
FA_FN fa_sortitem *fa_merge_sort(fa_sortitem *a, fa_sortitem *b, int64_t n) {
    for (int64_t r = 0; r < n; r += 8)
        for (int64_t i = r + 1; i < n && i < r + 8; i++) {
            fa_sortitem v = a[i];
            int64_t j = i;
            for (; j > r && a[j - 1].key > v.key; j--) a[j] = a[j - 1];
            a[j] = v;
        }
    for (int64_t run = 8; run < n; run *= 2) {
        for (int64_t r = 0; r < n; r += 2 * run) {
            int64_t i = r, mid = r + run < n ? r + run : n, j = mid, end = mid + run < n ? mid + run : n, k = r;
            while (i < mid && j < end) {
                int right = a[j].key < a[i].key;
                b[k++] = right ? a[j] : a[i];
                j += right;
                i += !right;
            }
            memcpy(b + k, a + i, (size_t)(mid - i) * sizeof *a);
            k += mid - i;
            memcpy(b + k, a + j, (size_t)(end - j) * sizeof *a);
        }
        fa_sortitem *t = a; a = b; b = t;
    }
    return a;
}

FA_FN int fa_argsort_axis(const fa_axis *ax, int dtype, const char *x, int64_t *y) {
    int64_t n = ax->n;
    if (n == 0 || ax->outer == 0 || ax->inner == 0) return FA_OK;
    fa_sortitem *items = malloc(2 * (size_t)n * sizeof *items);
    if (!items) return FA_ENOMEM;
    for (int64_t o = 0; o < ax->outer; o++)
        for (int64_t j = 0; j < ax->inner; j++) {
            int64_t at = o * n * ax->inner + j;
            for (int64_t i = 0; i < n; i++)
                items[i] = (fa_sortitem){fa_sortkey(dtype, x, at + i * ax->inner), i};
            fa_sortitem *sorted = fa_merge_sort(items, items + n, n);
            for (int64_t i = 0; i < n; i++) y[at + i * ax->inner] = sorted[i].at;
        }
    free(items);
    return FA_OK;
}

/* Where keys are looked up: in memory, or in a table of the keys there. */
typedef struct { int dtype, side; int64_t n; const char *a; const uint64_t *table; } fa_searched;

FA_INLINE int fa_is_before(const fa_searched *s, int64_t i, uint64_t key) {
    uint64_t at = s->table ? s->table[i] : fa_sortkey(s->dtype, s->a, i);
    return s->side ? at <= key : at < key;
}

/* What is looked up one after the other often lies side by side (samples along a ray): the last place is tried first, then
   its neighbours. */
FA_INLINE int64_t fa_search_near(const fa_searched *s, int64_t at, uint64_t key, int *jumps) {
    int64_t lo = at, len = 0;                                /* the answer is from lo to lo + len */
    if (at < s->n && fa_is_before(s, at, key)) {
        lo = at + 1;
        if (lo < s->n && fa_is_before(s, lo, key)) lo++, len = s->n - lo;
    } else if (at > 0 && !fa_is_before(s, at - 1, key)) {
        lo = at - 1;
        if (lo > 0 && !fa_is_before(s, lo - 1, key)) len = lo - 1, lo = 0;
    }
    *jumps += len > 0;
    while (len > 0) {
        int before = fa_is_before(s, lo + len / 2, key);
        lo = before ? lo + len / 2 + 1 : lo;
        len = before ? len - len / 2 - 1 : len / 2;
    }
    return lo;
}

/* What does not, eight at a time: none of their steps waits for another's, and nothing has to be guessed. */
FA_INLINE void fa_search_eight(const fa_searched *s, const uint64_t *key, int64_t *y) {
    int64_t len = s->n, at[8] = {0};
    if (len) {
        for (int64_t half = len / 2; len > 1; len -= half, half = len / 2)
            for (int l = 0; l < 8; l++) at[l] += fa_is_before(s, at[l] + half - 1, key[l]) ? half : 0;
        for (int l = 0; l < 8; l++) at[l] += fa_is_before(s, at[l], key[l]);
    }
    for (int l = 0; l < 8; l++) y[l] = at[l];
}

FA_INLINE void fa_search(const fa_searched *s, int64_t m, const char *v, int64_t *y) {
    int64_t at = 0, k = 0;
    uint64_t key[8];
    int near = 1, jumps = 0;
    for (; k + 8 <= m; k += 8, at = y[k - 1]) {
        jumps = 0;
        for (int l = 0; l < 8; l++) key[l] = fa_sortkey(s->dtype, v, k + l);
        if (!near) {
            fa_search_eight(s, key, y + k);
            for (int l = 1; l < 8; l++) jumps += y[k + l] > y[k + l - 1] + 1 || y[k + l] < y[k + l - 1] - 1;
        } else for (int l = 0; l < 8; l++) y[k + l] = at = fa_search_near(s, at, key[l], &jumps);
        near = jumps < 2;
    }
    for (; k < m; k++) y[k] = at = fa_search_near(s, at, fa_sortkey(s->dtype, v, k), &jumps);
}

/* The number of a's elements before v (side 0) or not behind v (side 1), in the order of fa_sortkey. */
enum { FA_SEARCH_TABLE = 1024 };             /* longer ones are slow through memory, not through keys */
FA_FN void fa_searchsorted(int dtype, int side, int64_t n, const char *a, int64_t m, const char *v, int64_t *y) {
    uint64_t table[FA_SEARCH_TABLE];
    if (n > FA_SEARCH_TABLE || n > m) {
        if (dtype == FA_F64) fa_search(&(fa_searched){FA_F64, side, n, a, NULL}, m, v, y);
        else fa_search(&(fa_searched){dtype, side, n, a, NULL}, m, v, y);
        return;
    }
    for (int64_t i = 0; i < n; i++) table[i] = fa_sortkey(dtype, a, i);
    if (side) fa_search(&(fa_searched){dtype, 1, n, a, table}, m, v, y);
    else fa_search(&(fa_searched){dtype, 0, n, a, table}, m, v, y);
}

/* ---- positions ---------------------------------------------------------------------------------------------- */
/* position k is the last that names its index: what an assignment with duplicate indices leaves */
FA_FN int fa_lastwriter(int64_t n, int64_t m, const int64_t *idx, uint8_t *y) {
    uint8_t *seen = calloc(n ? (size_t)n : 1, 1);
    int code = FA_OK;
    if (!seen) return FA_ENOMEM;
    for (int64_t k = m - 1; k >= 0; k--) {
        if ((uint64_t)idx[k] >= (uint64_t)n) { code = FA_EINDEX; break; }
        y[k] = !seen[idx[k]];
        seen[idx[k]] = 1;
    }
    free(seen);
    return code;
}

/* as many positions as y holds (the count is guarded elsewhere), the rest 0 */
FA_FN void fa_flatnonzero(int dtype, int64_t n, const char *x, int64_t m, int64_t *y) {
    int64_t k = 0;
    for (int64_t j = 0; j < n && k < m; j++)
        if (fa_truth(dtype, x, j)) y[k++] = j;
    while (k < m) y[k++] = 0;
}
#endif
