/* naive.h - random maps, and what they mean, written as slowly and obviously as possible.
   Owns: the pairs (source, destination) of a map; quick ways to make attributes.
   Must not know: how kernels walk a map.
   Next: test_kernels.c. */
#ifndef NAIVE_H
#define NAIVE_H
#include "builder.h"

typedef struct { int64_t n, src[8192], dst[8192]; } pairs;

static pairs *pairs_of(prog *p, const fa_map *m) {
    pairs *r = own(p, malloc(sizeof *r));
    r->n = 0;
    if (m->ntable >= 0) {
        for (int64_t k = 0; k < m->ntable; k++) {
            r->src[r->n] = m->src ? m->src[k] : k;
            r->dst[r->n++] = m->dst ? m->dst[k] : k;
        }
        return r;
    }
    for (int q = 0; q < m->npieces; q++) {
        const fa_piece *e = &m->pieces[q];
        int64_t total = 1;
        for (int d = 0; d < e->nd; d++) total *= e->shape[d];
        for (int64_t flat = 0; flat < total; flat++) {
            int64_t rest = flat, s = e->soff, t = e->doff;
            for (int d = e->nd - 1; d >= 0; d--) {
                int64_t j = rest % e->shape[d];
                rest /= e->shape[d];
                s += j * e->sstr[d];
                t += j * e->dstr[d];
            }
            r->src[r->n] = s;
            r->dst[r->n++] = t;
        }
    }
    return r;
}

static void swap64(int64_t *a, int64_t *b) { int64_t t = *a; *a = *b; *b = t; }

/* A random table with distinct destinations; sides may be left to "0, 1, 2, ...". */
static fa_map *random_table(prog *p, int injective) {
    fa_map *m = own(p, calloc(1, sizeof *m));
    int64_t n = below(20), *src = own(p, malloc(8 * 32)), *dst = own(p, malloc(8 * 32));
    m->nsrc = 1 + below(20);
    m->ndst = n + below(5) + 1;
    for (int64_t k = 0; k < m->ndst; k++) dst[k] = k;
    for (int64_t k = m->ndst - 1; k > 0; k--) swap64(&dst[k], &dst[below(k + 1)]);
    for (int64_t k = 0; k < n; k++) {
        src[k] = below(m->nsrc);
        if (!injective) dst[k] = below(m->ndst);
    }
    m->ntable = n;
    m->src = src;
    m->dst = dst;
    m->dst_injective = (uint8_t)injective;
    if (injective && below(3) == 0) m->dst = 0;
    if (below(3) == 0) {
        m->src = 0;
        if (m->nsrc < n) m->nsrc = n;
    }
    return m;
}

/* Pieces with axes in any order, steps, reversals and repeats; with distinct destinations or not. */
static fa_map *random_pieces(prog *p, int injective, int large) {
    fa_map *m = own(p, calloc(1, sizeof *m));
    fa_piece *e = own(p, calloc(2, sizeof *e));
    m->npieces = (int32_t)(1 + below(2));
    m->pieces = e;
    m->ntable = -1;
    m->dst_injective = (uint8_t)injective;
    for (int q = 0; q < m->npieces; q++, e++) {
        int64_t *shape = own(p, malloc(3 * 8 * 8)), *s = shape + 8, *d = shape + 16;
        int64_t reach = 1 + below(2), order[5], soff = below(3);
        e->nd = (int32_t)below(large ? 3 : 5);
        e->shape = shape; e->sstr = s; e->dstr = d;
        e->doff = m->ndst;
        for (int k = 0; k < e->nd; k++) {
            shape[k] = below(12) == 0 ? 0 : 1 + below(large ? 50 : 5);
            order[k] = k;
        }
        for (int k = e->nd - 1; k > 0; k--) swap64(&order[k], &order[below(k + 1)]);
        for (int k = 0; k < e->nd; k++) {                /* destination: nested without overlap */
            int64_t a = order[k], n = shape[a] ? shape[a] : 1;
            d[a] = reach;
            reach *= n;
            if (below(3) == 0) reach += below(3);
            if (below(3) == 0) {
                e->doff += (n - 1) * d[a];
                d[a] = -d[a];
            }
            if (!injective && below(2)) d[a] = 0;
        }
        m->ndst += reach + 3;
        for (int k = e->nd - 1, step = 1; k >= 0; k--) { /* source: C order, or repeats, reversals, gaps */
            int64_t n = shape[k] ? shape[k] : 1;
            s[k] = below(4) == 0 ? 0 : below(3) == 0 ? step + below(3) : step;
            step = (int)(step * n);
            if (below(4) == 0) swap64(&s[k], &s[below(e->nd - k) + k]);
        }
        int64_t low = 0, high = 0;
        for (int k = 0; k < e->nd; k++) {
            int64_t n = shape[k] ? shape[k] : 1;
            if (below(3) == 0) s[k] = -s[k];
            *(s[k] < 0 ? &low : &high) += (n - 1) * s[k];
        }
        e->soff = soff - low;
        if (m->nsrc < e->soff + high + 1) m->nsrc = e->soff + high + 1;
        if (!injective) m->ndst += 1;
    }
    return m;
}

static fa_map *random_map(prog *p, int injective) {
    int kind = (int)below(4);
    return kind == 0 ? random_table(p, injective) : random_pieces(p, injective, kind == 1);
}

static fa_axis *random_axis(prog *p, int64_t least) {
    static const int64_t lengths[] = {0, 1, 2, 3, 7, 8, 9, 17, 40, 130, 300};
    fa_axis *ax = own(p, calloc(1, sizeof *ax));
    do ax->n = lengths[below(11)]; while (ax->n < least);
    ax->outer = below(8) == 0 ? 0 : 1 + below(3);
    ax->inner = below(8) == 0 ? 0 : below(2) ? 1 : 1 + below(5);
    if (below(10) == 0) ax->inner = 150;
    ax->reverse = (uint8_t)below(2);
    return ax;
}
#endif
