/* reverse.h - the reverse sweep: adjoints of all active values from those of the outputs.
   Owns: the adjoint rule of every opcode.
   Must not know: who seeded it, tangents.
   Elementwise rules come from the table's templates, every product is a strong-zero multiply; structural opcodes
   accumulate through their transposed map.  Next: sweep.h. */
#ifndef FASTAD_REVERSE_H
#define FASTAD_REVERSE_H
#include "tangent.h"

/* ---- elementwise, scalars ------------------------------------------------------------------------------------- */
FA_FN void fa_reverse_select(const fa_cell *v, fa_cell *adj, const uint8_t *active, uint16_t op, const uint32_t *id,
                             double w) {
    if (op == FA_WHERE) {
        uint32_t chosen = v[id[0]].i ? id[1] : id[2];
        if (active[chosen]) adj[chosen].f += w;
    } else {                                             /* a product; w is not 0 */
        double p = v[id[1]].f;
        if (active[id[0]]) adj[id[0]].f += op == FA_STRONGZERO || p != 0 ? w * p : 0.0;
        if (active[id[1]]) adj[id[1]].f += fa_strongzero(v[id[0]].f, w);
    }
}

/* One scalar instruction whose adjoint w is not 0. */
FA_INLINE void fa_reverse_scalar(const fa_code *c, const fa_cell *v, fa_cell *adj, const uint8_t *active, uint32_t i,
                                 uint16_t op, double w) {
    const fa_prim *prim = &fa_prims[op];
    const uint32_t *id = c->arg + 2 * (size_t)i;
    if (FA_UNLIKELY(op == FA_WHERE || fa_is_product(op))) {
        fa_reverse_select(v, adj, active, op, op == FA_WHERE ? c->pool + id[0] + 1 : id, w);
    } else if (prim->arity == 2) {
        fa_cell a = v[id[0]], b = v[id[1]], y = v[i];
        const fa_template *p = prim->partial;
        if (active[id[0]] && p[0].out != FA_ZERO) adj[id[0]].f += w * fa_partial_scalar(&p[0], a, b, a, y);
        if (active[id[1]] && p[1].out != FA_ZERO) adj[id[1]].f += w * fa_partial_scalar(&p[1], a, b, a, y);
    } else if (prim->arity == 1) {
        const fa_template *p = prim->partial;
        if (active[id[0]] && p->out != FA_ZERO)
            adj[id[0]].f += w * fa_partial_scalar(p, v[id[0]], v[id[0]], v[id[0]], v[i]);
    } else {
        fa_operands o = fa_operands_of(c, i);
        fa_quad q = fa_quad_of(v, o.n, o.id, i);
        for (uint32_t k = 0; k < o.n; k++)
            if (active[o.id[k]] && prim->partial[k].out != FA_ZERO)
                adj[o.id[k]].f += w * fa_partial_at(&prim->partial[k], &q);
    }
}

/* ---- elementwise, arrays -------------------------------------------------------------------------------------- */
/* Adds a block's products to an operand: element by element, or all into the sum of a rank-0 operand. */
FA_FN void fa_reverse_block(int64_t n, fa_span w, fa_span p, char *adj, int64_t j, int rank0, double *sum) {
    if (rank0) {
        double product[FA_BLOCK];
        fa_strongzero_block(n, w, p, product);
        *sum += fa_sum_f64(product, 1, n);
    } else fa_strongzero_add(n, w, p, (double *)adj + j);
}

/* the adjoint where the operand was chosen, 0 elsewhere */
FA_FN void fa_reverse_where(int64_t n, fa_span mask, fa_span w, int which, double *selected) {
    static const double zero = 0;
    fa_span none = {(const char *)&zero, 0};
    fa_where_block(n, 8, mask, which == 1 ? w : none, which == 1 ? none : w, (char *)selected);
}

FA_FN void fa_reverse_array(const fa_code *c, const fa_cell *v, fa_cell *adj, const uint8_t *active,
                            const fa_operands *o, uint32_t i) {
    static const double one = 1;
    const fa_span unit = {(const char *)&one, 0};
    uint16_t op = c->op[i];
    int64_t size = c->avals[c->aval[i]].size;
    fa_blockwise b;
    fa_scratch scratch;
    double sum[3] = {0, 0, 0}, *buffer = (double *)scratch.buf[0];
    fa_blockwise_begin(&b, c, v, o, i);
    for (int64_t j = 0; j < size; j += FA_BLOCK) {
        int64_t n = size - j < FA_BLOCK ? size - j : FA_BLOCK;
        for (uint32_t k = 0; k < o->n; k++) {
            const fa_template *t = &fa_prims[op].partial[k];
            fa_span w = {(char *)adj[i].p + j * 8, 8}, p = unit;
            uint32_t x = o->id[k];
            if (!active[x] || (op == FA_WHERE && k == 0)) continue;
            if (op == FA_WHERE) {
                fa_reverse_where(n, fa_span_at(b.value[0], j), w, (int)k, buffer);
                w.p = (char *)buffer;
            } else if (fa_is_product(op) && (k == 1 || op == FA_ZEROPRODUCT)) {
                fa_zeroproduct_block(n, w, fa_span_at(b.value[1 - k], j), buffer);
                w.p = (char *)buffer;
            } else if (op == FA_STRONGZERO) p = fa_span_at(b.value[1], j);
            else if (t->out == FA_ZERO) continue;
            else p = fa_blockwise_partial(&b, t, k, j, n, &scratch);
            fa_reverse_block(n, w, p, fa_data_of(c, adj, x), j, fa_aval_of(c, x)->nd == 0, &sum[k]);
        }
    }
    for (uint32_t k = 0; k < o->n; k++)
        if (active[o->id[k]] && fa_aval_of(c, o->id[k])->nd == 0) adj[o->id[k]].f += sum[k];
}

/* ---- structural: along an axis -------------------------------------------------------------------------------- */
FA_INLINE void fa_add_array(int64_t n, const double *x, double *y) {
    if (x != y) for (int64_t j = 0; j < n; j++) y[j] += x[j];
}

FA_FN void fa_reverse_sum(const fa_axis *ax, const double *w, double *xbar) {
    for (int64_t o = 0; o < ax->outer; o++, w += ax->inner)
        for (int64_t i = 0; i < ax->n; i++, xbar += ax->inner)
            if (ax->inner == 1) *xbar += *w;
            else fa_add_array(ax->inner, w, xbar);
}

FA_FN void fa_reverse_extremum(const fa_axis *ax, const double *x, const double *y, const double *w, double *xbar) {
    for (int64_t o = 0; o < ax->outer; o++)
        for (int64_t j = 0; j < ax->inner; j++, y++, w++) {
            int64_t at = o * ax->n * ax->inner + j, ties = 0;
            if (*w == 0) continue;
            for (int64_t i = 0; i < ax->n; i++) ties += fa_ties(x[at + i * ax->inner], *y);
            double share = ties > 1 ? *w / (double)ties : *w;
            for (int64_t i = 0; i < ax->n; i++)
                if (fa_ties(x[at + i * ax->inner], *y)) xbar[at + i * ax->inner] += share;
        }
}

/* xbar += the cumulative sum of w in the other direction, columns in chunks that stay in registers or L1 */
FA_FN void fa_reverse_cumsum(const fa_axis *ax, const double *w, double *xbar) {
    enum { CHUNK = 64 };
    int64_t n = ax->n, inner = ax->inner;
    for (int64_t o = 0; o < ax->outer; o++, w += n * inner, xbar += n * inner)
        for (int64_t j0 = 0; j0 < inner; j0 += CHUNK) {
            double run[CHUNK] = {0};
            int64_t m = inner - j0 < CHUNK ? inner - j0 : CHUNK;
            for (int64_t k = 0; k < n; k++) {
                int64_t at = (ax->reverse ? k : n - 1 - k) * inner + j0;
                for (int64_t j = 0; j < m; j++) {
                    run[j] += w[at + j];
                    xbar[at + j] += run[j];
                }
            }
        }
}

/* ---- structural: writes and stacks ---------------------------------------------------------------------------- */
/* y = old with something written: what was written takes its part of y's adjoint, which becomes 0 there, the rest goes
   to old.  Where old shares y's memory the rest is where it belongs. */
FA_FN void fa_reverse_old(const fa_code *c, fa_cell *adj, const uint8_t *active, uint32_t old, int64_t size,
                          const char *w) {
    if (active[old]) fa_add_array(size, (const double *)w, (double *)fa_data_of(c, adj, old));
}

FA_FN void fa_reverse_write(const fa_code *c, fa_cell *adj, const uint8_t *active, const fa_operands *o, uint16_t op,
                            int64_t size, char *w) {
    if (op == FA_WRITE && active[o->id[1]]) fa_map_add_transposed(o->attr, fa_data_of(c, adj, o->id[1]), w);
    if (!active[o->id[0]]) return;
    fa_map_zero(o->attr, FA_F64, w);
    fa_reverse_old(c, adj, active, o->id[0], size, w);
}

/* From the last writer back: it takes the adjoint and leaves 0 for those before it. */
FA_FN void fa_reverse_put(const fa_code *c, const fa_cell *v, fa_cell *adj, const uint8_t *active, const fa_operands *o,
                          int64_t size, double *w) {
    uint32_t x = o->id[2];
    int64_t step = fa_aval_of(c, x)->nd != 0;
    const int64_t *idx = (const int64_t *)fa_data_of(c, v, o->id[1]);
    double *xbar = active[x] ? (double *)fa_data_of(c, adj, x) : 0;
    for (int64_t k = fa_aval_of(c, o->id[1])->size - 1; k >= 0; k--) {
        if (xbar) xbar[k * step] += w[idx[k]];
        w[idx[k]] = 0;
    }
    fa_reverse_old(c, adj, active, o->id[0], size, (char *)w);
}

FA_FN void fa_reverse_stack(const fa_code *c, fa_cell *adj, const uint8_t *active, const fa_operands *o, int64_t size,
                            double *w) {
    const fa_stack *st = o->attr;
    const uint32_t *id = o->id + st->has_base;
    int overwrites = !st->accumulate && (st->has_base || st->pos);
    for (int64_t k = st->n - 1; k >= 0; k--) {
        int64_t at = fa_stack_pos(st, k);
        if (active[id[k]]) adj[id[k]].f += w[at];
        if (overwrites) w[at] = 0;
    }
    if (st->has_base) fa_reverse_old(c, adj, active, o->id[0], size, (char *)w);
}

/* ---- structural: the rest ------------------------------------------------------------------------------------- */
FA_FN void fa_reverse_take(int64_t m, const int64_t *idx, const double *w, double *xbar) {
    for (int64_t k = 0; k < m; k++) xbar[idx[k]] += w[k];
}

FA_FN void fa_reverse_addat(int64_t m, const int64_t *idx, const double *w, int64_t step, double *xbar) {
    for (int64_t k = 0; k < m; k++) xbar[k * step] += w[idx[k]];
}

FA_FN void fa_reverse_product(const fa_code *c, const fa_cell *v, fa_cell *adj, const uint8_t *active,
                              const fa_operands *o, uint16_t op, const double *w, fa_env *env) {
    const double *a = (const double *)fa_data_of(c, v, o->id[0]), *b = (const double *)fa_data_of(c, v, o->id[1]);
    double *abar = active[o->id[0]] ? (double *)fa_data_of(c, adj, o->id[0]) : 0;
    double *bbar = active[o->id[1]] ? (double *)fa_data_of(c, adj, o->id[1]) : 0;
    if (op == FA_MATMUL) {
        if (abar) fa_matmul_adjoint_a(o->attr, env->dgemm, b, w, abar);
        if (bbar) fa_matmul_adjoint_b(o->attr, env->dgemm, a, w, bbar);
    } else {
        if (abar) fa_spmm_adjoint_data(o->attr, b, w, abar);
        if (bbar) fa_spmm_adjoint_x(o->attr, a, w, bbar);
    }
}

FA_FN int fa_reverse_call(const fa_code *c, const fa_cell *v, fa_cell *adj, const uint8_t *active,
                          const fa_operands *o, uint32_t i, const char *w, fa_env *env) {
    const fa_call *call = o->attr;
    char **bars, **in = fa_call_pointers(c, v, adj, active, o, &bars);
    int code;
    if (!in) return FA_ENOMEM;
    env->has_foreign = 1;
    code = call->vjp(call->self, (int)o->n, (const char *const *)in, fa_data_of(c, v, i), w, bars);
    free(in);
    return code == 0 ? FA_OK : code > 0 ? FA_ELINALG : FA_EFOREIGN;
}

/* opcodes with one operand that counts: xbar is its adjoint */
FA_FN int fa_reverse_unary(const fa_code *c, const fa_cell *v, uint32_t i, const fa_operands *o, int64_t size,
                           const double *w, double *xbar) {
    switch (c->op[i]) {
    case FA_ELEMENT: xbar[(int64_t)(uintptr_t)o->attr] += *w; return FA_OK;
    case FA_RESHAPE: case FA_CAST: fa_add_array(size, w, xbar); return FA_OK;
    case FA_MOVE: fa_map_add_transposed(o->attr, (char *)xbar, (const char *)w); return FA_OK;
    case FA_SUM: fa_reverse_sum(o->attr, w, xbar); return FA_OK;
    case FA_CUMSUM: fa_reverse_cumsum(o->attr, w, xbar); return FA_OK;
    case FA_MAXR: case FA_MINR:
        fa_reverse_extremum(o->attr, (const double *)fa_data_of(c, v, o->id[0]), (const double *)fa_data_of(c, v, i),
                            w, xbar);
        return FA_OK;
    case FA_TAKE:
        fa_reverse_take(size, (const int64_t *)fa_data_of(c, v, o->id[1]), w, xbar);
        return FA_OK;
    default: return FA_EOPCODE;
    }
}

FA_FN int fa_reverse_structural(const fa_code *c, const fa_cell *v, fa_cell *adj, const uint8_t *active, uint32_t i,
                                fa_env *env) {
    const fa_aval *av = &c->avals[c->aval[i]];
    fa_operands o = fa_operands_of(c, i);
    char *w = fa_data(&adj[i], av);
    uint16_t op = c->op[i];
    switch (op) {
    case FA_STOP: return FA_OK;
    case FA_ERASE: case FA_WRITE: fa_reverse_write(c, adj, active, &o, op, av->size, w); return FA_OK;
    case FA_PUT: fa_reverse_put(c, v, adj, active, &o, av->size, (double *)w); return FA_OK;
    case FA_STACK: fa_reverse_stack(c, adj, active, &o, av->size, (double *)w); return FA_OK;
    case FA_ASSEMBLE:
        for (uint32_t k = 0; k < o.n; k++)
            if (active[o.id[k]])
                fa_map_add_transposed(((const fa_assemble *)o.attr)->maps[k], fa_data_of(c, adj, o.id[k]), w);
        return FA_OK;
    case FA_ADDAT:
        if (active[o.id[1]])
            fa_reverse_addat(fa_aval_of(c, o.id[0])->size, (const int64_t *)fa_data_of(c, v, o.id[0]),
                             (const double *)w, fa_aval_of(c, o.id[1])->nd != 0, (double *)fa_data_of(c, adj, o.id[1]));
        return FA_OK;
    case FA_MATMUL: case FA_SPMM: fa_reverse_product(c, v, adj, active, &o, op, (const double *)w, env); return FA_OK;
    case FA_CALL: case FA_LAPACK: return fa_reverse_call(c, v, adj, active, &o, i, w, env);
    default:
        if (!active[o.id[0]]) return FA_OK;
        return fa_reverse_unary(c, v, i, &o, av->size, (const double *)w, (double *)fa_data_of(c, adj, o.id[0]));
    }
}

/* ---- the sweep ------------------------------------------------------------------------------------------------ */
static __attribute__((noinline, unused))
int fa_reverse_step(const fa_code *c, const fa_cell *v, fa_cell *adj, const uint8_t *active, uint32_t i, fa_env *env) {
    if (c->op[i] < FA_ELEMENTWISE) return fa_reverse_structural(c, v, adj, active, i, env);
    fa_operands o = fa_operands_of(c, i);
    fa_reverse_array(c, v, adj, active, &o, i);
    return FA_OK;
}

/* Adjoints of the active values, at the values v of a forward sweep.  For tapes (result i in cell i; c->dst is NULL).
   adj: cells laid out like v, zero except for the seeds; active cells of rank > 0 point to memory of the right size.
   Where v shares memory (RESHAPE; the old and the new value of WRITE, ERASE, PUT, STACK), adj may share it likewise:
   pointers are compared.  WRITE, ERASE, PUT and STACK zero the overwritten part of adj[y], which is spent by then.
   Only float64 values are active.  The exception flags are left alone: masked partials may raise them. */
FA_FN int fa_reverse(const fa_code *c, const fa_cell *v, fa_cell *adj, const uint8_t *active, fa_env *env) {
    for (uint32_t i = c->n; i-- > 0;) {
        uint16_t op = c->op[i];
        int code;
        if (!active[i] || op <= FA_CAPTURE || op == FA_GUARD) continue;
        if (FA_LIKELY(fa_is_f64(c->aval[i]))) {
            double w = adj[i].f;
            if (w == 0) continue;
            if (FA_LIKELY(op >= FA_ELEMENTWISE)) {
                fa_reverse_scalar(c, v, adj, active, i, op, w);
                continue;
            }
            if (op == FA_ELEMENT) {
                uint32_t x = c->arg[2 * (size_t)i];
                if (active[x]) ((double *)fa_data_of(c, adj, x))[c->arg[2 * (size_t)i + 1]] += w;
                continue;
            }
        }
        code = fa_reverse_step(c, v, adj, active, i, env);
        if (FA_UNLIKELY(code != FA_OK)) {
            env->where = i;
            return code;
        }
    }
    return FA_OK;
}
#endif
