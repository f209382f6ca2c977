/* move.h - moving elements: copies, adds and fills along the affine pieces or the table of an fa_map.
   Owns: normalising a piece (dropping, flipping, ordering and merging dimensions) and the strided inner loops.
   Must not know: opcodes, tapes.
   Both directions of a map use the same code: the adjoint of a copy from src to dst is an add from dst to src.
   Next: structural.h, which turns opcodes into these calls. */
#ifndef FASTAD_MOVE_H
#define FASTAD_MOVE_H
#include "scalar.h"

/* ---- sums --------------------------------------------------------------------------------------------------- */
/* Up to a block: eight partial sums, then halves.  Beyond: sums of blocks, added like the digits of a binary counter.
   The error grows with log n, the order depends on n alone, and a loop that meets one block after the other can follow
   it (fused.h). */
enum { FA_PAIRWISE = 128 };
#define FA_BODY "sum_real.h"
#include "reals.h"

/* ---- inner loops: n elements, strides in elements -------------------------------------------------------------- */
#define FA_COPY(NAME, T) \
FA_INLINE void NAME(T *restrict d, int64_t ds, const T *restrict s, int64_t ss, int64_t n) { \
    if (ds == 1 && ss == 1) { \
        if (n < 16) for (int64_t j = 0; j < n; j++) d[j] = s[j]; \
        else memcpy(d, s, (size_t)n * sizeof *d); \
    } else if (ds == 1 && ss == 0) { \
        T v = *s; \
        for (int64_t j = 0; j < n; j++) d[j] = v; \
    } else if (ds == 1) { \
        for (int64_t j = 0; j < n; j++) d[j] = s[j * ss]; \
    } else { \
        for (int64_t j = 0; j < n; j++) d[j * ds] = s[j * ss]; \
    } \
}
FA_COPY(fa_copy8, fa_i64)
FA_COPY(fa_copy4, fa_u32)

FA_INLINE void fa_copy1(uint8_t *restrict d, int64_t ds, const uint8_t *restrict s, int64_t ss, int64_t n) {
    if (ds == 1 && ss == 1) memcpy(d, s, (size_t)n);
    else if (ds == 1 && ss == 0) memset(d, *s, (size_t)n);
    else for (int64_t j = 0; j < n; j++) d[j * ds] = s[j * ss];
}

/* Integers wrap around, as NumPy's do. */
FA_INLINE void fa_add_i64(fa_i64 *d, int64_t ds, const fa_i64 *s, int64_t ss, int64_t n) {
    for (int64_t j = 0; j < n; j++) d[j * ds] = (int64_t)((uint64_t)d[j * ds] + (uint64_t)s[j * ss]);
}

FA_INLINE void fa_or1(uint8_t *d, int64_t ds, const uint8_t *s, int64_t ss, int64_t n) {
    for (int64_t j = 0; j < n; j++) d[j * ds] |= s[j * ss];
}

/* ---- two-dimensional plates --------------------------------------------------------------------------------- */
typedef struct { int64_t n0, n1, d0, d1, s0, s1; } fa_plate;

/* A transposing copy touches one cache line an element on one side; tiles keep those lines until they are used up. */
enum { FA_TILE = 16 };
#define FA_TRANSPOSE(NAME, T) \
FA_FN void NAME(T *restrict d, const T *restrict s, const fa_plate *p) { \
    for (int64_t i0 = 0; i0 < p->n0; i0 += FA_TILE) \
        for (int64_t j0 = 0; j0 < p->n1; j0 += FA_TILE) { \
            int64_t i1 = i0 + FA_TILE < p->n0 ? i0 + FA_TILE : p->n0; \
            int64_t j1 = j0 + FA_TILE < p->n1 ? j0 + FA_TILE : p->n1; \
            for (int64_t i = i0; i < i1; i++) \
                for (int64_t j = j0; j < j1; j++) d[i * p->d0 + j * p->d1] = s[i * p->s0 + j * p->s1]; \
        } \
}
FA_TRANSPOSE(fa_transpose8, fa_i64)
FA_TRANSPOSE(fa_transpose4, fa_u32)

#define FA_PLATE_ROWS(INNER, T) \
    for (int64_t i = 0; i < p->n0; i++) \
        INNER((T *)d + i * p->d0, p->d1, (const T *)s + i * p->s0, p->s1, p->n1)
FA_FN void fa_run_plate(int what, char *d, const char *s, const fa_plate *p) {
    int transposes = p->n0 >= FA_TILE && p->n1 >= FA_TILE && p->s0 == 1 && p->s1 != 0;
    switch (what) {
    case FA_DO_COPY8:
        if (transposes) fa_transpose8((fa_i64 *)d, (const fa_i64 *)s, p);
        else FA_PLATE_ROWS(fa_copy8, fa_i64);
        break;
    case FA_DO_COPY4:
        if (transposes) fa_transpose4((fa_u32 *)d, (const fa_u32 *)s, p);
        else FA_PLATE_ROWS(fa_copy4, fa_u32);
        break;
    case FA_DO_COPY1: FA_PLATE_ROWS(fa_copy1, uint8_t); break;
    case FA_DO_ADDF: FA_PLATE_ROWS(fa_add_f64, fa_f64); break;
    case FA_DO_ADDS: FA_PLATE_ROWS(fa_add_f32, fa_f32); break;
    case FA_DO_ADDI: FA_PLATE_ROWS(fa_add_i64, fa_i64); break;
    default: FA_PLATE_ROWS(fa_or1, uint8_t); break;
    }
}

/* ---- pieces ------------------------------------------------------------------------------------------------- */
typedef struct { int64_t n, d, s; } fa_dim;

FA_INLINE int64_t fa_reach(const fa_dim *m) { return (m->d < 0 ? -m->d : m->d) + (m->s < 0 ? -m->s : m->s); }

/* Normalises: destination strides made positive, dimensions ordered by their strides (largest first), neighbours that
   continue each other merged.  Returns the number of dimensions, -1 for an empty piece. */
FA_FN int fa_normalise(const fa_piece *piece, int swap, fa_dim *dims, int64_t *doff, int64_t *soff) {
    const int64_t *dstr = swap ? piece->sstr : piece->dstr, *sstr = swap ? piece->dstr : piece->sstr;
    int nd = 0, merged = 0;
    *doff = swap ? piece->soff : piece->doff;
    *soff = swap ? piece->doff : piece->soff;
    for (int k = 0; k < piece->nd; k++) {
        fa_dim m = {piece->shape[k], dstr[k], sstr[k]};
        int at = nd;
        if (m.n == 0) return -1;
        if (m.n == 1) continue;
        if (m.d < 0) {
            *doff += (m.n - 1) * m.d;
            *soff += (m.n - 1) * m.s;
            m.d = -m.d;
            m.s = -m.s;
        }
        for (; at > 0 && fa_reach(&dims[at - 1]) < fa_reach(&m); at--) dims[at] = dims[at - 1];
        dims[at] = m;
        nd++;
    }
    for (int k = 0; k < nd; k++) {
        fa_dim *outer = merged ? &dims[merged - 1] : 0;
        if (outer && outer->d == dims[k].d * dims[k].n && outer->s == dims[k].s * dims[k].n)
            *outer = (fa_dim){outer->n * dims[k].n, dims[k].d, dims[k].s};
        else dims[merged++] = dims[k];
    }
    return merged;
}

/* Runs one piece; swap exchanges the roles of its two sides. */
FA_FN void fa_run_piece(int what, const fa_piece *piece, int swap, char *dst, const char *src) {
    fa_dim dims[FA_MAXD];
    int64_t doff, soff, index[FA_MAXD], size = fa_do_size[what];
    int nd = fa_normalise(piece, swap, dims, &doff, &soff);
    fa_plate plate = {1, 1, 0, 1, 0, 1};
    if (nd < 0) return;
    if (nd >= 1) plate.n1 = dims[nd - 1].n, plate.d1 = dims[nd - 1].d, plate.s1 = dims[nd - 1].s;
    if (nd >= 2) plate.n0 = dims[nd - 2].n, plate.d0 = dims[nd - 2].d, plate.s0 = dims[nd - 2].s;
    for (int k = 0; k < nd - 2; k++) index[k] = 0;
    for (;;) {
        int k = nd - 3;
        fa_run_plate(what, dst + doff * size, src + soff * size, &plate);
        for (; k >= 0; k--) {
            doff += dims[k].d;
            soff += dims[k].s;
            if (++index[k] < dims[k].n) break;
            doff -= dims[k].n * dims[k].d;
            soff -= dims[k].n * dims[k].s;
            index[k] = 0;
        }
        if (k < 0) return;
    }
}

/* ---- tables ------------------------------------------------------------------------------------------------- */
#define FA_TABLE_LOOP(STATEMENT) \
    for (int64_t k = 0; k < n; k++) { \
        int64_t i = di ? di[k] : k, j = si ? si[k] : k; \
        STATEMENT; \
    }
FA_FN void fa_run_table(int what, int64_t n, const int64_t *di, const int64_t *si, char *dst, const char *src) {
    fa_i64 *d8 = (fa_i64 *)dst;
    const fa_i64 *s8 = (const fa_i64 *)src;
    switch (what) {
    case FA_DO_COPY8: FA_TABLE_LOOP(d8[i] = s8[j]) break;
    case FA_DO_COPY1: FA_TABLE_LOOP(dst[i] = src[j]) break;
    case FA_DO_COPY4: FA_TABLE_LOOP(((fa_u32 *)dst)[i] = ((const fa_u32 *)src)[j]) break;
    case FA_DO_ADDF: FA_TABLE_LOOP(((fa_f64 *)dst)[i] += ((const fa_f64 *)src)[j]) break;
    case FA_DO_ADDS: FA_TABLE_LOOP(((fa_f32 *)dst)[i] += ((const fa_f32 *)src)[j]) break;
    case FA_DO_ADDI: FA_TABLE_LOOP(d8[i] = (int64_t)((uint64_t)d8[i] + (uint64_t)s8[j])) break;
    default: FA_TABLE_LOOP(dst[i] |= src[j]) break;
    }
}

/* ---- maps --------------------------------------------------------------------------------------------------- */
FA_FN void fa_run_map(int what, const fa_map *map, int swap, char *dst, const char *src) {
    if (map->ntable >= 0)
        fa_run_table(what, map->ntable, swap ? map->src : map->dst, swap ? map->dst : map->src, dst, src);
    else
        for (int k = 0; k < map->npieces; k++) fa_run_piece(what, &map->pieces[k], swap, dst, src);
}

/* dst[map.dst] = src[map.src] */
FA_INLINE void fa_map_copy(const fa_map *map, int dtype, char *dst, const char *src) {
    fa_run_map(fa_do_copy[dtype], map, 0, dst, src);
}

/* dst[map.dst] += src[map.src]; of bools: or */
FA_INLINE void fa_map_add(const fa_map *map, int dtype, char *dst, const char *src) {
    fa_run_map(fa_do_add[dtype], map, 0, dst, src);
}

/* the adjoint of both: src[map.src] += dst[map.dst] */
FA_INLINE void fa_map_add_transposed(const fa_map *map, int dtype, char *adj_src, const char *adj_dst) {
    fa_run_map(fa_do_add[dtype], map, 1, adj_src, adj_dst);
}

/* dst[map.dst] = 0: a copy from a source that is one zero everywhere */
FA_FN void fa_map_zero(const fa_map *map, int dtype, char *dst) {
    static const int64_t none[FA_MAXD];
    fa_cell zero = {.i = 0};
    int what = fa_do_copy[dtype];
    if (map->ntable >= 0) {
        for (int64_t k = 0; k < map->ntable; k++) {
            int64_t i = map->dst ? map->dst[k] : k;
            if (what == FA_DO_COPY1) dst[i] = 0;
            else if (what == FA_DO_COPY4) ((fa_u32 *)dst)[i] = 0;
            else ((fa_i64 *)dst)[i] = 0;
        }
        return;
    }
    for (int k = 0; k < map->npieces; k++) {
        fa_piece piece = map->pieces[k];
        piece.soff = 0;
        piece.sstr = none;
        fa_run_piece(what, &piece, 0, dst, (const char *)&zero);
    }
}

/* n elements of one value; fill is in the dtype of dst */
FA_FN void fa_fill(int dtype, fa_cell fill, int64_t n, char *dst) {
    if (n == 0) return;
    if (fill.i == 0 || fa_itemsize[dtype] == 1) memset(dst, (int)(fill.i & 0xff), (size_t)(n * fa_itemsize[dtype]));
    else if (fa_itemsize[dtype] == 4) for (int64_t j = 0; j < n; j++) ((fa_u32 *)dst)[j] = (uint32_t)fill.i;
    else for (int64_t j = 0; j < n; j++) ((fa_i64 *)dst)[j] = fill.i;
}
#endif
