/* read.h - blocks of operands that a loop reads through maps: slices, joins, sums of shifted arrays.
   Owns: any range of the result of a move or an assembly, computed from the pieces' readers.
   Must not know: loops, threads, who owns the memory.
   Pieces whose neighbours are neighbours on both sides are met run by run: between two ends of runs the same pieces
   take part, so that a sum of shifted arrays (the adjoint of a stencil) is written once, without a pass for each of them.
   Next: reader.h (a piece made ready), chain.h (the sums), fused.h, which includes this. */
#ifndef FASTAD_READ_H
#define FASTAD_READ_H
#include "chain.h"
#include "elementwise.h"
#include "move.h"
#include "reader.h"

/* ---- piece after piece --------------------------------------------------------------------------------------- */
/* Elements of the dimensions from k on whose destination, counted from d, lies in [0, m); y begins at destination 0. */
FA_FN void fa_read_dims(int what, const fa_reader *r, int k, int64_t d, const char *x, int64_t m, char *y) {
    const fa_rdim *dim = &r->dim[k];
    int64_t size = fa_do_size[what], below = k + 1 < r->nd ? dim[1].reach : 1, first, last;
    if (d >= m || d + dim->reach <= 0) return;
    first = d + below > 0 ? 0 : (-(d + below) + dim->d) / dim->d;       /* the first that reaches beyond -1 */
    last = (m - 1 - d) / dim->d;
    if (last >= dim->n) last = dim->n - 1;
    if (k + 1 < r->nd) {
        for (int64_t i = first; i <= last; i++) fa_read_dims(what, r, k + 1, d + i * dim->d, x + i * dim->s * size, m, y);
    } else if (first <= last) {
        fa_plate p = {1, last - first + 1, 0, dim->d, 0, dim->s};
        fa_run_plate(what, y + (d + first * dim->d) * size, x + first * dim->s * size, &p);
    }
}

/* The elements of a piece whose destination lies in [lo, lo + m), into the block y. */
FA_FN void fa_read_piece(int what, const fa_reader *r, const char *x, int64_t lo, int64_t m, char *y) {
    int64_t size = fa_do_size[what], d = r->doff - lo;
    if (r->nd) {
        fa_read_dims(what, r, 0, d, x + r->soff * size, m, y);
    } else if (d >= 0 && d < m) {
        fa_plate p = {1, 1, 0, 1, 0, 1};
        fa_run_plate(what, y + d * size, x + r->soff * size, &p);
    }
}

/* ---- run after run ------------------------------------------------------------------------------------------- */
typedef struct { int64_t lo, hi, src; } fa_stretch;   /* destinations [lo, hi), of which the first is read from src */

/* The first run that ends beyond `at`, without what lies before; past all of them it is empty, far away. */
FA_FN fa_stretch fa_stretch_beyond(const fa_reader *r, int64_t at) {
    int64_t d = r->doff, s = r->soff, n = r->nd ? r->dim[r->nd - 1].n : 1;
    fa_stretch run = {INT64_MAX, INT64_MAX, 0};
    for (int k = 0; k < r->nd - 1; k++) {
        const fa_rdim *dim = &r->dim[k];
        int64_t beyond = at - d - dim[1].reach, i = beyond < 0 ? 0 : beyond / dim->d + 1;
        if (i >= dim->n) return run;
        d += i * dim->d;
        s += i * dim->s;
    }
    if (d + n <= at) return run;
    run = (fa_stretch){d, d + n, s};
    if (d < at) run.lo = at, run.src += at - d;
    return run;
}

/* y[k] = fill + x[0][k] + x[1][k] + ..., in this order. */
#define FA_SHORT_SUM(T, MEMBER) \
    for (int64_t k = 0; k < m; k++) { \
        T sum = fill->MEMBER; \
        for (int l = 0; l < n; l++) sum += ((const T *)x[l])[k]; \
        ((T *)y)[k] = sum; \
    }
FA_FN void fa_sum_runs(int dtype, const char *const *x, int n, const fa_cell *fill, int64_t m, char *y) {
    char filled[FA_TILE_BYTES] __attribute__((aligned(64)));
    const fa_chainset *set = fa_chain_set(dtype);
    int64_t item = fa_itemsize[dtype];
    if (m < 2 * set->lanes) {
        if (dtype == FA_F64) FA_SHORT_SUM(fa_f64, f)
        else FA_SHORT_SUM(fa_f32, s)
        return;
    }
    fa_chainat steps[FA_READ_PARTS + 3];
    fa_chaintile t = {{0}, 0, 0};
    fa_fill_block(8 * set->lanes, (int)item, (const char *)fill, filled);
    steps[0] = (fa_chainat){set->fn[FA_CHAIN_LOAD], filled, FA_CHAIN_FIXED};
    for (int l = 0; l < n; l++) steps[l + 1] = (fa_chainat){set->fn[FA_CHAIN_ADD], (char *)x[l], FA_CHAIN_ARRAY};
    steps[n + 1] = (fa_chainat){set->fn[FA_CHAIN_STORE], y, FA_CHAIN_ARRAY};
    steps[n + 2] = (fa_chainat){set->fn[FA_CHAIN_END], 0, FA_CHAIN_FIXED};
    fa_chain_tiled(set, item, steps, &t, m, FA_CHAIN_MAY_OVERLAP);
}
#undef FA_SHORT_SUM

/* All parts of `read` in [lo, lo + m), into the block y. */
FA_FN void fa_read_runs(const fa_fread *read, int dtype, const fa_cell *v, const fa_aval *avals, const uint32_t *cell_aval,
                        int64_t lo, int64_t m, char *y) {
    fa_stretch run[FA_READ_PARTS];
    const char *x[FA_READ_PARTS], *from[FA_READ_PARTS];
    int64_t item = fa_itemsize[dtype], end = lo + m;
    for (uint32_t k = 0; k < read->n; k++) {
        run[k] = fa_stretch_beyond(&read->parts[k].reader, lo);
        x[k] = fa_data(&v[read->parts[k].cell], &avals[cell_aval[read->parts[k].cell]]);
    }
    for (int64_t at = lo, stop; at < end; at = stop) {
        char *out = y + (at - lo) * item;
        int n = 0;
        stop = end;
        for (uint32_t k = 0; k < read->n; k++) {
            if (run[k].hi <= at) run[k] = fa_stretch_beyond(&read->parts[k].reader, at);
            if (run[k].lo <= at) {
                from[n++] = x[k] + (run[k].src + (at - run[k].lo)) * item;
                if (run[k].hi < stop) stop = run[k].hi;
            } else if (run[k].lo < stop) stop = run[k].lo;
        }
        if (n == 0) fa_fill(dtype, read->fill, stop - at, out);
        else if (read->adds) fa_sum_runs(dtype, from, n, &read->fill, stop - at, out);
        else memcpy(out, from[n - 1], (size_t)((stop - at) * item));
    }
}

/* One block of an operand that is read through maps, or of several put together. */
FA_FN void fa_read_block(const fa_fread *read, int dtype, const fa_cell *v, const fa_aval *avals,
                         const uint32_t *cell_aval, int64_t j, int64_t m, char *y) {
    if (read->runs) {
        fa_read_runs(read, dtype, v, avals, cell_aval, j, m, y);
        return;
    }
    if (read->fills) fa_fill(dtype, read->fill, m, y);
    for (uint32_t k = 0; k < read->n; k++) {
        const fa_part *part = &read->parts[k];
        fa_read_piece(part->what, &part->reader, fa_data(&v[part->cell], &avals[cell_aval[part->cell]]), j, m, y);
    }
}
#endif
