/* test_kernels.c - every kernel and every rule of the sweeps, against loops that are too simple to be wrong.
   Owns: the tests.  `test_kernels` runs them and returns the number of failures; `test_kernels bench` times the scalar
   sweeps.  Must not know: how kernels are written.
   Next: builder.h (programs and the derivative check), naive.h (maps), single.h (the same in float32),
   test_burst.h, test_chain.h, test_elementwise.h, test_fourier.h, test_fused.h, test_machine.h, test_products.h,
   test_single.h, test_spool.h. */
#include "arena.h"
#include "bench.h"
#include "naive.h"
#include "test_elementwise.h"
#include "test_fourier.h"
#include "test_fused.h"
#include "test_burst.h"
#include "test_machine.h"
#include "test_chain.h"
#include "test_products.h"
#include "test_single.h"
#include "test_spool.h"

static const int64_t repeats = 60;

/* a program of one instruction, run on memory without zeros; returns the code of the sweep */
static int run_once(prog *p) {
    place(p, p->v);
    for (uint32_t i = 1; i < p->n; i++)
        if (p->op[i] == FA_INPUT) random_fill(f64_at(p, p->v, i), aval_at(p, i)->size);
    return run(p);
}
#define RUN(p) EXPECT(run_once(p) == FA_OK, "sweep failed at %u", p->env.where)
#define SAME(p, i, k, want) \
    EXPECT(f64_at(p, p->v, i)[k] == (want), "[%d]: %.17g, not %.17g", (int)(k), f64_at(p, p->v, i)[k], (double)(want))
#define CLOSE(got, want) EXPECT(fabs((got) - (want)) <= 1e-13 * (1 + fabs(want)), "%.17g, not %.17g", got, want)

static void test_move(void) {
    for (int injective = 0; injective < 2; injective++) {
        prog *p = new_prog();
        fa_map *m = random_map(p, injective);
        m->fill.f = 7.5;
        uint32_t x = input(p, m->nsrc), y = push(p, FA_MOVE, FA_F64, m->ndst, x, attr(p, m));
        pairs *q = pairs_of(p, m);
        double *want = own(p, malloc((size_t)m->ndst * 8 + 8));
        RUN(p);
        for (int64_t k = 0; k < m->ndst; k++) want[k] = 7.5;
        for (int64_t k = 0; k < q->n; k++)
            want[q->dst[k]] = f64_at(p, p->v, x)[q->src[k]] + (injective ? 0 : want[q->dst[k]]);
        for (int64_t k = 0; k < m->ndst; k++) CLOSE(f64_at(p, p->v, y)[k], want[k]);
        check_derivatives(p, "move", 1e-7);
        free_prog(p);
    }
}

/* bytes and int64 move by the same maps */
static void test_move_other_dtypes(void) {
    prog *p = new_prog();
    fa_map *m = random_map(p, 1);
    pairs *q = pairs_of(p, m);
    uint8_t *b = own(p, malloc((size_t)m->nsrc + 1));
    int64_t *i = own(p, malloc((size_t)m->nsrc * 8 + 8));
    for (int64_t k = 0; k < m->nsrc; k++) { b[k] = (uint8_t)below(2); i[k] = below(100); }
    uint32_t ub = constant(p, FA_BOOL, m->nsrc, b), ui = constant(p, FA_I64, m->nsrc, i);
    uint32_t yb = push(p, FA_MOVE, FA_BOOL, m->ndst, ub, attr(p, m));
    uint32_t yi = push(p, FA_MOVE, FA_I64, m->ndst, ui, attr(p, m));
    uint32_t eb = push(p, FA_ERASE, FA_BOOL, m->ndst, yb, attr(p, m));
    RUN(p);
    for (int64_t k = 0; k < q->n; k++) {
        EXPECT(((uint8_t *)p->v[yb].p)[q->dst[k]] == b[q->src[k]], "bool");
        EXPECT(((int64_t *)p->v[yi].p)[q->dst[k]] == i[q->src[k]], "int64");
        EXPECT(((uint8_t *)p->v[eb].p)[q->dst[k]] == 0, "erase of bool");
    }
    free_prog(p);
}

/* old -> square -> WRITE, ERASE or PUT; with shared memory and without */
static void test_write(void) {
    for (int shared = 0; shared < 2; shared++)
        for (int op = 0; op < 2; op++) {
            prog *p = new_prog();
            fa_map *m = random_map(p, 1);
            pairs *q = pairs_of(p, m);
            uint32_t old = input(p, m->ndst), x = input(p, m->nsrc), y;
            uint32_t before = push(p, FA_ADD, FA_F64, m->ndst, old, old);
            if (op == 0) y = nary(p, FA_WRITE, FA_F64, m->ndst, 2, (uint32_t[]){before, x}, m);
            else y = push(p, FA_ERASE, FA_F64, m->ndst, before, attr(p, m));
            if (shared) p->share[y] = before;
            double *want = own(p, malloc((size_t)m->ndst * 8 + 8));
            RUN(p);
            for (int64_t k = 0; k < m->ndst; k++) want[k] = 2 * f64_at(p, p->v, old)[k];
            for (int64_t k = 0; k < q->n; k++) want[q->dst[k]] = op ? 0 : f64_at(p, p->v, x)[q->src[k]];
            for (int64_t k = 0; k < m->ndst; k++) SAME(p, y, k, want[k]);
            push(p, FA_SQUARE, FA_F64, m->ndst, y, 0);
            check_derivatives(p, shared ? "write in place" : "write", 1e-7);
            free_prog(p);
        }
}

/* one operand of a WRITE is a constant: its tangent counts as zero */
static void test_write_inactive(void) {
    for (int which = 0; which < 2; which++) {
        prog *p = new_prog();
        fa_map *m = random_map(p, 1);
        double *data = own(p, calloc((size_t)(m->ndst + m->nsrc) + 1, 8));
        uint32_t old = which ? constant(p, FA_F64, m->ndst, data) : input(p, m->ndst);
        uint32_t x = which ? input(p, m->nsrc) : constant(p, FA_F64, m->nsrc, data);
        nary(p, FA_WRITE, FA_F64, m->ndst, 2, (uint32_t[]){old, x}, m);
        check_derivatives(p, "write of a constant", 1e-7);
        free_prog(p);
    }
}

static void test_assemble(void) {
    for (int accumulate = 0; accumulate < 2; accumulate++) {
        prog *p = new_prog();
        fa_assemble as = {3, 0, (uint8_t)accumulate, 0, {.f = -2}};
        fa_map *maps[3];
        uint32_t ids[3], y;
        int64_t size = 0;
        for (int k = 0; k < 3; k++) {        /* parts one behind the other, or on top of each other */
            maps[k] = random_table(p, 1);
            int64_t *dst = own(p, malloc(8 * 32));
            for (int64_t j = 0; j < maps[k]->ntable; j++)
                dst[j] = (maps[k]->dst ? maps[k]->dst[j] : j) + (accumulate ? 0 : size);
            maps[k]->dst = dst;
            size = accumulate ? (size > maps[k]->ndst ? size : maps[k]->ndst) : size + maps[k]->ndst;
            ids[k] = input(p, maps[k]->nsrc);
        }
        as.maps = (const fa_map *const *)maps;
        y = nary(p, FA_ASSEMBLE, FA_F64, size, 3, ids, &as);
        double *want = own(p, malloc((size_t)size * 8 + 8));
        RUN(p);
        for (int64_t k = 0; k < size; k++) want[k] = -2;
        for (int k = 0; k < 3; k++) {
            pairs *q = pairs_of(p, maps[k]);
            for (int64_t j = 0; j < q->n; j++)
                want[q->dst[j]] = f64_at(p, p->v, ids[k])[q->src[j]] + (accumulate ? want[q->dst[j]] : 0);
        }
        for (int64_t k = 0; k < size; k++) SAME(p, y, k, want[k]);
        check_derivatives(p, "assemble", 1e-7);
        free_prog(p);
    }
}

static void test_stack(void) {
    prog *p = new_prog();
    int64_t n = below(20), size = 20, pos[20];
    fa_stack st = {n, below(2) ? pos : 0, (uint8_t)below(2), (uint8_t)below(2)};
    uint32_t ids[21] = {0}, y, m = 0;
    double want[20] = {0};
    for (int64_t k = 0; k < n; k++) pos[k] = below(size);            /* repeats: the last one wins */
    if (st.has_base) ids[m++] = input(p, size);
    for (int64_t k = 0; k < n; k++) ids[m++] = below(4) ? input(p, -1) : constant(p, FA_F64, -1, &(double){0.75});
    y = nary(p, FA_STACK, FA_F64, size, m, ids, &st);
    if (st.has_base && below(2)) {
        ids[0] = push(p, FA_NEGATIVE, FA_F64, size, ids[0], 0);      /* y = stack on top of -y, in its memory */
        p->share[y = nary(p, FA_STACK, FA_F64, size, m, ids, &st)] = ids[0];
    }
    RUN(p);
    for (int64_t k = 0; k < size && st.has_base; k++)
        want[k] = f64_at(p, p->v, 1)[k] * (ids[0] == 1 ? 1 : -1);
    for (int64_t k = 0; k < n; k++) {
        double s = p->v[ids[k + st.has_base]].f, *to = &want[st.pos ? pos[k] : k];
        *to = st.accumulate ? *to + s : s;
    }
    for (int64_t k = 0; k < size; k++) SAME(p, y, k, want[k]);
    check_derivatives(p, "stack", 1e-7);
    free_prog(p);
}

static void test_indexing(void) {
    for (int op = 0; op < 3; op++) {
        prog *p = new_prog();
        int64_t n = 1 + below(10), m = below(20), raw[20], idx[20];
        for (int64_t k = 0; k < m; k++) raw[k] = below(2 * n) - n;
        int scalar = op > 0 && below(3) == 0;
        uint32_t r = constant(p, FA_I64, m, raw), w = push(p, FA_WRAP, FA_I64, m, r, attr(p, &n));
        uint32_t last = push(p, FA_LASTWRITER, FA_BOOL, m, w, attr(p, &n));
        uint32_t x = input(p, n), s = input(p, scalar ? -1 : m), y, base = push(p, FA_NEGATIVE, FA_F64, n, x, 0);
        double want[20];
        y = op == 0 ? push(p, FA_TAKE, FA_F64, m, x, w) : op == 1 ? push(p, FA_ADDAT, FA_F64, n, w, s)
            : nary(p, FA_PUT, FA_F64, n, 3, (uint32_t[]){base, w, s}, 0);
        if (op == 2 && below(2)) p->share[y] = base;
        RUN(p);
        const double *xv = f64_at(p, p->v, x), *sv = f64_at(p, p->v, s);
        for (int64_t k = 0; k < n; k++) want[k] = op == 2 ? -xv[k] : 0;
        for (int64_t k = 0; k < m; k++) {
            int repeated = 0;
            idx[k] = (raw[k] + n) % n;
            EXPECT(((int64_t *)p->v[w].p)[k] == idx[k], "wrap");
            if (op == 1) want[idx[k]] += sv[scalar ? 0 : k];
            if (op == 2) want[idx[k]] = sv[scalar ? 0 : k];
            for (int64_t l = k + 1; l < m; l++) repeated |= (raw[l] + n) % n == idx[k];
            EXPECT(((uint8_t *)p->v[last].p)[k] == !repeated, "lastwriter");
        }
        for (int64_t k = 0; k < (op ? n : m); k++) SAME(p, y, k, op ? want[k] : xv[idx[k]]);
        check_derivatives(p, op == 0 ? "take" : op == 1 ? "addat" : "put", 1e-7);
        free_prog(p);
    }
}

static void test_index_errors(void) {
    for (int op = 0; op < 4; op++) {
        prog *p = new_prog();
        int64_t n = 5, bad[2] = {0, op == 3 ? -6 : 5};
        uint32_t i = constant(p, FA_I64, 2, bad), x = input(p, n), s = input(p, 2), y;
        y = op == 0 ? push(p, FA_TAKE, FA_F64, 2, x, i) : op == 1 ? push(p, FA_ADDAT, FA_F64, n, i, s)
            : op == 2 ? nary(p, FA_PUT, FA_F64, n, 3, (uint32_t[]){x, i, s}, 0)
            : push(p, FA_WRAP, FA_I64, 2, i, attr(p, &n));
        EXPECT(run_once(p) == FA_EINDEX && p->env.where == y, "index out of range passed opcode %d", p->op[y]);
        free_prog(p);
    }
}

static void test_reductions(void) {
    static const int ops[] = {FA_SUM, FA_MAXR, FA_MINR, FA_CUMSUM};
    for (int t = 0; t < 4; t++) {
        prog *p = new_prog();
        fa_axis *ax = random_axis(p, t == 1 || t == 2);
        int64_t all = ax->outer * ax->n * ax->inner, rest = ax->outer * ax->inner;
        uint32_t x = input(p, all), y = push(p, ops[t], FA_F64, t == 3 ? all : rest == 1 ? -1 : rest, x, attr(p, ax));
        RUN(p);
        const double *xv = f64_at(p, p->v, x), *yv = f64_at(p, p->v, y);
        for (int64_t o = 0; o < ax->outer; o++)
            for (int64_t j = 0; j < ax->inner; j++) {
                double sum = 0, best = 0;
                for (int64_t i = 0; i < ax->n; i++) {
                    int64_t at = (o * ax->n + (t == 3 && ax->reverse ? ax->n - 1 - i : i)) * ax->inner + j;
                    sum += xv[at];
                    if (i == 0 || (t == 1 ? xv[at] > best : xv[at] < best)) best = xv[at];
                    if (t == 3) CLOSE(yv[at], sum);
                }
                if (t == 0) CLOSE(yv[o * ax->inner + j], sum);
                if (t == 1 || t == 2) EXPECT(yv[o * ax->inner + j] == best, "extremum");
            }
        /* differences of extrema go wrong at near ties: test_ties has the exact values */
        check_derivatives(p, t == 0 ? "sum" : t == 3 ? "cumsum" : "extremum", t == 1 || t == 2 ? 0 : 1e-6);
        free_prog(p);
    }
}

/* two columns with a tie and with a NaN: ties share evenly, and NaN is the extremum */
static void test_ties(void) {
    static const double x[8] = {1, 1, 3, 5, 3, NAN, 2, 2}, xdot[8] = {10, 20, 2, 40, 4, 80, 60, 70};
    static const double share[8] = {0, 0, 0.5, 0, 0.5, 1, 0, 0};
    for (int sign = -1; sign <= 1; sign += 2) {
        prog *p = new_prog();
        fa_axis ax = {1, 4, 2, 0};
        uint32_t i = input(p, 8), y = push(p, sign > 0 ? FA_MAXR : FA_MINR, FA_F64, 2, i, attr(p, &ax));
        fa_code c = code_of(p);
        place(p, p->v); place(p, p->t); place(p, p->adj);
        p->active[i] = p->active[y] = 1;
        for (int k = 0; k < 8; k++) {
            f64_at(p, p->v, i)[k] = sign * x[k];
            f64_at(p, p->t, i)[k] = xdot[k];
            f64_at(p, p->adj, i)[k] = 0;
        }
        f64_at(p, p->adj, y)[0] = f64_at(p, p->adj, y)[1] = 1;
        EXPECT(run(p) == FA_OK && f64_at(p, p->v, y)[0] == 3 * sign && isnan(f64_at(p, p->v, y)[1]), "extrema");
        fa_tangent(&c, p->v, p->t, p->active, &p->env);
        fa_reverse(&c, p->v, p->adj, p->active, &p->env);
        EXPECT(f64_at(p, p->t, y)[0] == 3 && f64_at(p, p->t, y)[1] == 80, "tangents of ties");
        for (int k = 0; k < 8; k++) EXPECT(f64_at(p, p->adj, i)[k] == share[k], "adjoints of ties");
        free_prog(p);
    }
}

/* few distinct values and NaN, in all dtypes: ties, first positions, stability, NaN last */
static void test_order(void) {
    for (int dtype = 0; dtype < 3; dtype++) {
        prog *p = new_prog();
        fa_axis *ax = random_axis(p, 1);
        int64_t all = ax->outer * ax->n * ax->inner, rest = ax->outer * ax->inner;
        double *v = own(p, malloc((size_t)all * 8 + 8));
        char *raw = own(p, malloc((size_t)all * 8 + 8));
        for (int64_t k = 0; k < all; k++) {
            v[k] = dtype == FA_BOOL ? (double)below(2) : (double)(below(7) - 3);
            if (dtype == FA_F64 && below(15) == 0) v[k] = below(2) ? NAN : -NAN;
            if (dtype == FA_F64 && below(9) == 0) v[k] = -0.0;
            if (dtype == FA_F64) ((double *)raw)[k] = v[k];
            else if (dtype == FA_I64) ((int64_t *)raw)[k] = (int64_t)v[k];
            else raw[k] = (char)v[k];
        }
        uint32_t x = constant(p, dtype, all, raw), a = attr(p, ax);
        uint32_t hi = push(p, FA_ARGMAX, FA_I64, rest, x, a), lo = push(p, FA_ARGMIN, FA_I64, rest, x, a);
        uint32_t any = push(p, FA_ANY, FA_BOOL, rest, x, a), every = push(p, FA_ALL, FA_BOOL, rest, x, a);
        uint32_t sort = push(p, FA_ARGSORT, FA_I64, all, x, a), max = push(p, FA_MAXR, dtype, rest, x, a);
        uint32_t sum = push(p, FA_SUM, dtype == FA_F64 ? FA_F64 : FA_I64, rest, x, a);
        uint32_t cum = push(p, FA_CUMSUM, dtype == FA_F64 ? FA_F64 : FA_I64, all, x, a);
        RUN(p);
        for (int64_t r = 0; r < rest; r++) {
            const double *c = v + r / ax->inner * ax->n * ax->inner + r % ax->inner;
            const int64_t *s = (int64_t *)p->v[sort].p + (c - v);
            int64_t first_max = 0, first_min = 0, total = 0;
            int some = 0, whole = 1;
            for (int64_t i = 0; i < ax->n; i++) {
                double u = c[i * ax->inner], m = c[first_max * ax->inner], l = c[first_min * ax->inner];
                if (m == m && (u > m || u != u)) first_max = i;
                if (l == l && (u < l || u != u)) first_min = i;
                some |= u != 0;
                whole &= u != 0;
                total += u == u ? (int64_t)u : 0;
                if (i == 0) continue;
                double f = c[s[(i - 1) * ax->inner] * ax->inner], g = c[s[i * ax->inner] * ax->inner];
                EXPECT(f < g || (g != g && f == f) || ((f == g || (f != f && g != g))
                       && s[(i - 1) * ax->inner] < s[i * ax->inner]), "argsort: %g before %g", f, g);
            }
            EXPECT(((int64_t *)p->v[hi].p)[r] == first_max, "argmax");
            EXPECT(((int64_t *)p->v[lo].p)[r] == first_min, "argmin");
            EXPECT(((uint8_t *)p->v[any].p)[r] == some && ((uint8_t *)p->v[every].p)[r] == whole, "any, all");
            fa_cell top = fa_load_cell(dtype, (char *)p->v[max].p + r * fa_itemsize[dtype]);
            double best = dtype == FA_F64 ? top.f : (double)top.i, want = c[first_max * ax->inner];
            EXPECT(best == want || (best != best && want != want), "max %g, not %g", best, want);
            if (dtype == FA_F64) continue;
            EXPECT(((int64_t *)p->v[sum].p)[r] == total, "integer sum");
            EXPECT(((int64_t *)p->v[cum].p)[(c - v) + (ax->reverse ? 0 : ax->n - 1) * ax->inner] == total, "cumsum");
        }
        free_prog(p);
    }
}

static void test_search(void) {
    prog *p = new_prog();
    int64_t n = below(2) ? below(30) : 30 + below(31), side[2] = {0, 1}, at = 0, in_order = below(3);
    double a[60], v[40];
    for (int64_t k = 0; k < n; k++) a[k] = (double)(k / 3) - 2;
    if (n > 3) a[n - 1] = a[n - 2] = NAN;
    for (int64_t k = 0; k < 40; k++)
        v[k] = k % 13 == 0 ? NAN : in_order && k > 15 ? (double)k / 4 - 4 : (double)below(50) / 2 - 4;
    uint32_t ids[2] = {constant(p, FA_F64, n, a), constant(p, FA_F64, 40, v)};
    uint32_t left = nary(p, FA_SEARCHSORTED, FA_I64, 40, 2, ids, &side[0]);
    uint32_t right = nary(p, FA_SEARCHSORTED, FA_I64, 40, 2, ids, &side[1]);
    uint32_t nz = push(p, FA_FLATNONZERO, FA_I64, 45, ids[1], 0);
    RUN(p);
    for (int64_t k = 0; k < 40; k++) {
        int64_t l = 0, r = 0;
        while (l < n && (a[l] < v[k] || (v[k] != v[k] && a[l] == a[l]))) l++;
        while (r < n && !(v[k] < a[r] || (a[r] != a[r] && v[k] == v[k]))) r++;
        EXPECT(((int64_t *)p->v[left].p)[k] == l && ((int64_t *)p->v[right].p)[k] == r, "searchsorted %g", v[k]);
        if (v[k] != 0) EXPECT(((int64_t *)p->v[nz].p)[at++] == k, "flatnonzero");
    }
    while (at < 45) EXPECT(((int64_t *)p->v[nz].p)[at++] == 0, "flatnonzero: the rest");
    free_prog(p);
}

static void test_matmul(void) {
    static const int64_t sizes[] = {0, 1, 2, 3, 5, 8};
    prog *p = new_prog();
    fa_matmul mm = {1 + below(3), sizes[below(6)], sizes[below(6)], sizes[below(6)], 0, 0, 0, 0, (uint8_t)below(2)};
    int ra = (int)below(2), rb = (int)below(2);
    mm.abatch = ra ? 0 : mm.m * mm.k;
    mm.bbatch = rb ? 0 : mm.k * mm.n;
    mm.ta = (uint8_t)below(2);
    mm.tb = (uint8_t)below(2);
    int64_t na = (ra ? 1 : mm.batch) * mm.m * mm.k, nb = (rb ? 1 : mm.batch) * mm.k * mm.n, ny = mm.batch * mm.m * mm.n;
    uint32_t a = input(p, na), b = input(p, nb);
    uint32_t y = nary(p, FA_MATMUL, FA_F64, ny == 1 ? -1 : ny, 2, (uint32_t[]){a, b}, &mm);
    if (below(2)) p->env.dgemm = 0;
    RUN(p);
    const double *av = f64_at(p, p->v, a), *bv = f64_at(p, p->v, b), *yv = f64_at(p, p->v, y);
    for (int64_t t = 0; t < mm.batch; t++, av += mm.abatch, bv += mm.bbatch, yv += mm.m * mm.n)
        for (int64_t i = 0; i < mm.m; i++)
            for (int64_t j = 0; j < mm.n; j++) {
                double s = 0;
                for (int64_t l = 0; l < mm.k; l++)
                    s += av[mm.ta ? l * mm.m + i : i * mm.k + l] * bv[mm.tb ? j * mm.k + l : l * mm.n + j];
                CLOSE(yv[i * mm.n + j], s);
            }
    check_derivatives(p, "matmul", 1e-6);
    free_prog(p);
}

static void test_matmul_integers(void) {
    prog *p = new_prog();
    fa_matmul mm = {1, 2, 3, 2, 6, 6, 0, 1, 0};
    int64_t a[6] = {1, 2, 3, 4, 5, 6}, b[6] = {1, 0, 2, 7, 1, 1}, want[4] = {7, 12, 16, 39};
    uint8_t c[6] = {1, 0, 0, 0, 0, 0}, d[6] = {0, 1, 1, 1, 0, 0};
    uint32_t ints[2] = {constant(p, FA_I64, 6, a), constant(p, FA_I64, 6, b)};
    uint32_t bools[2] = {constant(p, FA_BOOL, 6, c), constant(p, FA_BOOL, 6, d)};
    uint32_t y = nary(p, FA_MATMUL, FA_I64, 4, 2, ints, &mm), z = nary(p, FA_MATMUL, FA_BOOL, 4, 2, bools, &mm);
    RUN(p);
    for (int k = 0; k < 4; k++) {
        EXPECT(((int64_t *)p->v[y].p)[k] == want[k], "integer matmul");
        EXPECT(((uint8_t *)p->v[z].p)[k] == (k == 1), "bool matmul");
    }
    free_prog(p);
}

static void test_spmm(void) {
    prog *p = new_prog();
    int64_t indptr[6] = {0}, indices[64], nnz = 0;
    fa_csr csr = {1 + below(5), 1 + below(5), 0, below(2) ? 1 : below(4), indptr, indices, (uint8_t)below(2)};
    for (int64_t r = 0; r < csr.nrow; r++) {
        for (int64_t c = 0; c < csr.ncol; c++) if (below(2)) indices[nnz++] = c;
        indptr[r + 1] = nnz;
    }
    csr.nnz = nnz;
    int64_t m = csr.ncols, nx = (csr.transpose ? csr.nrow : csr.ncol) * m;
    int64_t ny = (csr.transpose ? csr.ncol : csr.nrow) * m;
    uint32_t d = input(p, nnz), x = input(p, nx), y = nary(p, FA_SPMM, FA_F64, ny, 2, (uint32_t[]){d, x}, &csr);
    double *want = own(p, calloc((size_t)ny + 1, 8));
    RUN(p);
    for (int64_t r = 0; r < csr.nrow; r++)
        for (int64_t e = indptr[r]; e < indptr[r + 1]; e++)
            for (int64_t j = 0; j < m; j++)
                want[(csr.transpose ? indices[e] : r) * m + j] += f64_at(p, p->v, d)[e]
                    * f64_at(p, p->v, x)[(csr.transpose ? r : indices[e]) * m + j];
    for (int64_t k = 0; k < ny; k++) CLOSE(f64_at(p, p->v, y)[k], want[k]);
    check_derivatives(p, "spmm", 1e-6);
    free_prog(p);
}

/* foreign code: y = a * s, with its own rules; -1 when told so */
static int call_fn(void *self, int n, const char *const *in, char *out) {
    if (*(int *)self) return -1;
    EXPECT(n == 2, "operands of a call");
    for (int k = 0; k < 4; k++) ((double *)out)[k] = ((const double *)in[0])[k] * *(const double *)in[1];
    return 0;
}
static int call_jvp(void *self, int n, const char *const *in, const char *out, const char *const *tin, char *tout) {
    (void)self; (void)n; (void)out;
    for (int k = 0; k < 4; k++)
        ((double *)tout)[k] = (tin[0] ? ((const double *)tin[0])[k] * *(const double *)in[1] : 0)
            + (tin[1] ? ((const double *)in[0])[k] * *(const double *)tin[1] : 0);
    return 0;
}
static int call_vjp(void *self, int n, const char *const *in, const char *out, const char *w, char *const *adj) {
    (void)self; (void)n; (void)out;
    for (int k = 0; k < 4; k++) {
        if (adj[0]) ((double *)adj[0])[k] += ((const double *)w)[k] * *(const double *)in[1];
        if (adj[1]) *(double *)adj[1] += ((const double *)w)[k] * ((const double *)in[0])[k];
    }
    return 0;
}
static void test_call(void) {
    for (int constant_scalar = 0; constant_scalar < 2; constant_scalar++) {
        prog *p = new_prog();
        int fail = 0;
        double two = 2;
        fa_call call = {call_fn, &fail, call_jvp, call_vjp};
        uint32_t a = input(p, 4), s = constant_scalar ? constant(p, FA_F64, -1, &two) : input(p, -1);
        uint32_t y = nary(p, FA_CALL, FA_F64, 4, 2, (uint32_t[]){a, s}, &call);
        check_derivatives(p, "call", 1e-6);
        EXPECT(p->env.has_foreign, "has_foreign");
        fail = 1;
        EXPECT(run(p) == FA_EFOREIGN && p->env.where == y, "a failing call");
        free_prog(p);
    }
}

/* f(x) = (reshape(x0) + x.flat[3])^2 * stop(x): rank 0 and arrays meet */
static void test_shape_changes(void) {
    prog *p = new_prog();
    uint32_t x = input(p, 5), s = input(p, -1);
    uint32_t one = push(p, FA_RESHAPE, FA_F64, 1, s, 0), back = push(p, FA_RESHAPE, FA_F64, -1, one, 0);
    uint32_t e = push(p, FA_ELEMENT, FA_F64, -1, x, 3), e0 = push(p, FA_ELEMENT, FA_F64, -1, s, 0);
    uint32_t copy = push(p, FA_RESHAPE, FA_F64, 5, x, 0), sum = push(p, FA_ADD, FA_F64, -1, back, e);
    uint32_t cast = push(p, FA_CAST, FA_F64, 5, copy, 0), sum2 = push(p, FA_MULTIPLY, FA_F64, -1, sum, e0);
    uint32_t y = push(p, FA_MULTIPLY, FA_F64, 5, cast, sum2);
    p->share[copy] = x;
    check_derivatives(p, "shapes", 1e-6);
    double sv = p->v[s].f, *xv = f64_at(p, p->v, x);
    for (int64_t k = 0; k < 5; k++) CLOSE(f64_at(p, p->v, y)[k], xv[k] * ((sv + xv[3]) * sv));
    uint32_t stop = push(p, FA_STOP, FA_F64, -1, s, 0);
    uint32_t z = push(p, FA_MULTIPLY, FA_F64, -1, stop, s);
    check_derivatives(p, "stop", 0);
    EXPECT(p->t[z].f == p->v[s].f * p->t[s].f, "a tangent went through stop");
    free_prog(p);
}

static void test_guards(void) {
    prog *p = new_prog();
    uint32_t x = input(p, -1), y = input(p, -1), less = push(p, FA_LESS, FA_BOOL, -1, x, y);
    uint32_t g = push(p, FA_GUARD, FA_BOOL, -1, less, 1);
    uint32_t h = push(p, FA_GUARD, FA_F64, -1, x, 2);
    p->guards[1].expected = 1;
    memcpy(&p->guards[2].expected, &(double){1.5}, 8);
    place(p, p->v);
    p->v[x].f = 1.5; p->v[y].f = 2;
    EXPECT(run(p) == FA_OK, "guards that hold");
    p->v[y].f = 1;
    EXPECT(run(p) == FA_EGUARD && p->env.where == g, "a bool guard that fails");
    p->v[x].f = 0.5;
    EXPECT(run(p) == FA_EGUARD && p->env.where == h, "a float guard that fails");
    free_prog(p);
}

/* the same code with results in other cells: cell n - i for value i */
static void test_other_cells(void) {
    prog *p = new_prog();
    uint32_t dst[MAXI], cell_aval[MAXI], x = input(p, -1), y = input(p, 3);
    uint32_t m = push(p, FA_MULTIPLY, FA_F64, 3, x, y), e = push(p, FA_ELEMENT, FA_F64, -1, m, 2);
    uint32_t z = push(p, FA_SUBTRACT, FA_F64, -1, e, x);
    RUN(p);
    double want = p->v[z].f, keep_x = p->v[x].f;
    fa_cell v[MAXI];
    fa_code c = code_of(p);
    c.begin = e;                             /* a sweep in two parts: m is not computed anew */
    f64_at(p, p->v, y)[2] += 1;
    p->v[z].f = 0;
    EXPECT(fa_forward(&c, p->v, &p->env) == FA_OK && p->v[z].f == want, "the second part of a sweep");
    f64_at(p, p->v, y)[2] -= 1;
    c.begin = 0;
    EXPECT(run(p) == FA_OK, "the whole again");
    want = p->v[z].f;
    for (uint32_t i = 0; i < p->n; i++) {
        v[dst[i] = p->n - 1 - i] = p->v[i];
        cell_aval[dst[i]] = p->aval[i];
        for (uint32_t k = 2 * i; k < 2 * i + 2; k++)         /* all but ELEMENT's index are cells */
            if (i > y && k != 2 * e + 1) p->arg[k] = p->n - 1 - p->arg[k];
    }
    v[dst[z]].f = v[dst[e]].f = 0;
    c.dst = dst;
    c.cell_aval = cell_aval;
    EXPECT(fa_forward(&c, v, &p->env) == FA_OK && v[dst[z]].f == want && v[dst[x]].f == keep_x, "cells by table");
    free_prog(p);
}

/* a later loop clears the flags; the sweep has read them before */
static void test_flags(void) {
    for (int arrays = 0; arrays < 2; arrays++) {
        prog *p = new_prog();
        int64_t size = arrays ? 3 : -1;
        double zero = 0, many[3] = {0, 0, 0};
        uint32_t x = input(p, size), y = constant(p, FA_F64, size, arrays ? many : &zero);
        uint32_t q = push(p, FA_DIVIDE, FA_F64, size, x, y);
        push(p, OP_EXP, FA_F64, size, q, 0);
        RUN(p);
        EXPECT(p->env.flags & FE_DIVBYZERO, "the division by zero was lost");
        EXPECT(!(p->env.flags & FE_INVALID), "invalid out of nothing");
        free_prog(p);
    }
}

static void test_sum_accuracy(void) {
    int64_t n = 1000000;
    double *x = malloc((size_t)n * 8);
    for (int64_t k = 0; k < n; k++) x[k] = 0.1;
    for (int64_t inner = 1; inner <= 10; inner *= 10) {
        fa_axis ax = {1, n / inner, inner, 0};
        double y[10];
        fa_sum_axis_f64(&ax, x, y);
        EXPECT(fabs(y[0] / (0.1 * (double)(n / inner)) - 1) < 1e-14, "sum of tenths: %.17g", y[0]);
    }
    free(x);
}

/* zeroed, aligned, writable to its last byte and given back, on both sides of every threshold */
static void test_arena(void) {
    static const size_t sizes[] = {0, 1, 64, 4097, FA_ARENA_LARGE - 1, FA_ARENA_LARGE, FA_ARENA_LARGE + 1,
                                   FA_ARENA_HUGE - 1, FA_ARENA_HUGE, 3 * (size_t)FA_HUGE_PAGE + 7};
    for (int round = 0; round < 2; round++)
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
            size_t n = sizes[k], dirty = 0;
            unsigned char *p = fa_arena_new(n);
            EXPECT(p && (uintptr_t)p % FA_ARENA_ALIGN == 0, "arena of %zu at %p", n, (void *)p);
            for (size_t j = 0; j < n; j++) dirty += p[j] != 0;
            EXPECT(!dirty, "arena of %zu: %zu bytes are not 0", n, dirty);
            memset(p, 0xff, n);
            fa_arena_free(p, n);
        }
    fa_arena_free(NULL, 0);
}

int main(int argc, char **argv) {
    make_prims();
    make_single_prims();
    if (argc > 1 && !strcmp(argv[1], "bench")) {
        bench(1000);
        return failures != 0;
    }
    if (argc > 1 && !strcmp(argv[1], "threads")) {
        test_fused();
        test_fourier(300, 37);
        test_chains();
        test_spool();
        printf("%d checks, %d failures\n", checks, failures);
        return failures != 0;
    }
    for (int64_t k = 0; k < repeats; k++) {
        test_move(); test_move_other_dtypes(); test_write(); test_write_inactive(); test_assemble(); test_stack();
        test_indexing(); test_reductions(); test_order(); test_search(); test_matmul(); test_spmm();
    }
    test_ties(); test_index_errors(); test_matmul_integers(); test_call(); test_shape_changes(); test_guards();
    test_other_cells(); test_flags(); test_sum_accuracy(); test_arena();
    test_single_order(); test_single_cells();
    test_elementwise();
    test_fused();
    test_burst();
    test_machine();
    test_fourier(130, 1);
    test_chains();
    test_products();
    test_spool();
    test_rows();
    printf("%d checks, %d failures\n", checks, failures);
    return failures != 0;
}
