/* reader.h - a piece of a map made ready for reading any range of its destination: slices, broadcasts, flips, joins.
   Owns: that form of a piece.
   Must not know: kernels; whoever plans a loop includes this alone.
   Next: read.h, which reads blocks by it; move.h (whole maps). */
#ifndef FASTAD_READER_H
#define FASTAD_READER_H
#include "layout.h"

/* Dimensions with positive destination strides, largest first; reach[k]: what the dimensions from k on span there.
   Returns the number of dimensions, -1 for an empty piece, -2 where the dimensions interleave in the destination (no
   slice of an array in C order does): such a piece is no matter for a loop. */
static inline int fa_reader_of(const fa_piece *piece, fa_reader *r) {
    int nd = 0;
    r->doff = piece->doff;
    r->soff = piece->soff;
    for (int k = 0; k < piece->nd; k++) {
        fa_rdim m = {piece->shape[k], piece->dstr[k], piece->sstr[k], 1};
        int at = nd;
        if (m.n == 0) return -1;
        if (m.n == 1) continue;
        if (m.d < 0) {
            r->doff += (m.n - 1) * m.d;
            r->soff += (m.n - 1) * m.s;
            m.d = -m.d;
            m.s = -m.s;
        }
        if (m.d == 0 || nd == FA_READER_DIMS) return -2;
        for (; at > 0 && r->dim[at - 1].d < m.d; at--) r->dim[at] = r->dim[at - 1];
        r->dim[at] = m;
        nd++;
    }
    int merged = 0;
    for (int k = 0; k < nd; k++) {
        fa_rdim *outer = merged ? &r->dim[merged - 1] : 0, m = r->dim[k];
        if (outer && outer->d == m.d * m.n && outer->s == m.s * m.n) *outer = (fa_rdim){outer->n * m.n, m.d, m.s, 1};
        else r->dim[merged++] = m;
    }
    int64_t reach = 1;
    for (int k = merged - 1; k >= 0; k--) {
        if (r->dim[k].d < reach) return -2;
        reach += (r->dim[k].n - 1) * r->dim[k].d;
        r->dim[k].reach = reach;
    }
    r->nd = merged;
    r->reach = reach;
    return merged;
}

/* Is the whole piece a run of neighbours on both sides? */
static inline int fa_reader_contiguous(const fa_reader *r) {
    return r->nd == 0 || (r->nd == 1 && r->dim[0].d == 1 && r->dim[0].s == 1);
}

/* Are neighbours of a row neighbours on both sides? */
static inline int fa_reader_has_runs(const fa_reader *r) {
    return r->nd == 0 || (r->dim[r->nd - 1].d == 1 && r->dim[r->nd - 1].s == 1);
}

#endif
