/* reverse_real.h - the adjoint rule of every opcode; included by reals.h once a type.
   Owns: the rules.  An adjoint has the dtype of its value, and so have those of the operands, but for CAST and CALL.
   Must not know: who seeded the sweep, tangents.
   Next: reverse.h, which includes it. */

/* ---- elementwise, scalars ------------------------------------------------------------------------------------- */
FA_FN void FA_R(fa_reverse_select)(const fa_cell *v, fa_cell *adj, const uint8_t *active, uint16_t op,
                                   const uint32_t *id,
                             FA_REAL w) {
    if (op == FA_WHERE) {
        uint32_t chosen = v[id[0]].i ? id[1] : id[2];
        if (active[chosen]) adj[chosen].FA_CELL += w;
    } else {                                             /* a product; w is not 0 */
        FA_REAL p = v[id[1]].FA_CELL;
        if (active[id[0]]) adj[id[0]].FA_CELL += op == FA_STRONGZERO || p != 0 ? w * p : 0;
        if (active[id[1]]) adj[id[1]].FA_CELL += FA_R(fa_strongzero)(v[id[0]].FA_CELL, w);
    }
}

/* One scalar instruction whose adjoint w is not 0. */
FA_INLINE void FA_R(fa_reverse_scalar)(const fa_code *c, const fa_cell *v, fa_cell *adj, const uint8_t *active,
                                       uint32_t i,
                                 uint16_t op, FA_REAL w) {
    const fa_prim *prim = &fa_prims[op];
    const uint32_t *id = c->arg + 2 * (size_t)i;
    if (FA_UNLIKELY(op == FA_WHERE || fa_is_product(op))) {
        FA_R(fa_reverse_select)(v, adj, active, op, op == FA_WHERE ? c->pool + id[0] + 1 : id, w);
    } else if (prim->arity == 2) {
        fa_cell a = v[id[0]], b = v[id[1]], y = v[i];
        const fa_template *p = prim->FA_PARTIAL;
        if (active[id[0]] && p[0].out != FA_ZERO) adj[id[0]].FA_CELL += w * FA_R(fa_partial_scalar)(&p[0], a, b, a, y);
        if (active[id[1]] && p[1].out != FA_ZERO) adj[id[1]].FA_CELL += w * FA_R(fa_partial_scalar)(&p[1], a, b, a, y);
    } else if (prim->arity == 1) {
        const fa_template *p = prim->FA_PARTIAL;
        if (active[id[0]] && p->out != FA_ZERO)
            adj[id[0]].FA_CELL += w * FA_R(fa_partial_scalar)(p, v[id[0]], v[id[0]], v[id[0]], v[i]);
    } else {
        fa_operands o = fa_operands_of(c, i);
        fa_quad q = fa_quad_of(v, o.n, o.id, i);
        for (uint32_t k = 0; k < o.n; k++)
            if (active[o.id[k]] && prim->FA_PARTIAL[k].out != FA_ZERO)
                adj[o.id[k]].FA_CELL += w * FA_R(fa_partial_at)(&prim->FA_PARTIAL[k], &q);
    }
}

/* ---- elementwise, arrays -------------------------------------------------------------------------------------- */
/* Adds a block's products to an operand: element by element, or all into the sum of a rank-0 operand. */
FA_FN void FA_R(fa_reverse_block)(int64_t n, fa_span w, fa_span p, char *adj, int64_t j, int rank0, double *sum) {
    if (rank0) {
        FA_REAL product[FA_BLOCK];
        FA_R(fa_strongzero_block)(n, w, p, product);
        *sum += FA_R(fa_sum)(product, 1, n);
    } else FA_R(fa_strongzero_add)(n, w, p, (FA_REAL *)adj + j);
}

/* the adjoint where the operand was chosen, 0 elsewhere */
FA_FN void FA_R(fa_reverse_where)(int64_t n, fa_span mask, fa_span w, int which, FA_REAL *selected) {
    static const FA_REAL zero = 0;
    fa_span none = {(const char *)&zero, 0};
    fa_where_block(n, sizeof(FA_REAL), mask, which == 1 ? w : none, which == 1 ? none : w, (char *)selected);
}

FA_FN void FA_R(fa_reverse_array)(const fa_code *c, const fa_cell *v, fa_cell *adj, const uint8_t *active,
                                  const fa_operands *o, uint32_t i) {
    static const FA_REAL one = 1;
    const fa_span unit = {(const char *)&one, 0};
    uint16_t op = c->op[i];
    int64_t size = c->avals[c->aval[i]].size;
    const fa_span whole = fa_span_in(c, adj, i);
    fa_blockwise b;
    fa_scratch scratch;
    double sum[3] = {0, 0, 0};
    FA_REAL *buffer = (FA_REAL *)scratch.buf[0];
    FA_R(fa_blockwise_begin)(&b, c, v, o, i);
    for (int64_t j = 0; j < size; j += FA_BLOCK) {
        int64_t n = size - j < FA_BLOCK ? size - j : FA_BLOCK;
        for (uint32_t k = 0; k < o->n; k++) {
            const fa_template *t = &fa_prims[op].FA_PARTIAL[k];
            fa_span w = fa_span_at(whole, j), p = unit;
            uint32_t x = o->id[k];
            if (!active[x] || (op == FA_WHERE && k == 0)) continue;
            if (op == FA_WHERE) {
                FA_R(fa_reverse_where)(n, fa_span_at(b.value[0], j), w, (int)k, buffer);
                w.p = (char *)buffer;
            } else if (fa_is_product(op) && (k == 1 || op == FA_ZEROPRODUCT)) {
                FA_R(fa_zeroproduct_block)(n, w, fa_span_at(b.value[1 - k], j), buffer);
                w.p = (char *)buffer;
            } else if (op == FA_STRONGZERO) p = fa_span_at(b.value[1], j);
            else if (t->out == FA_ZERO) continue;
            else p = FA_R(fa_blockwise_partial)(&b, t, k, j, n, &scratch);
            FA_R(fa_reverse_block)(n, w, p, fa_data_of(c, adj, x), j, fa_aval_of(c, x)->nd == 0, &sum[k]);
        }
    }
    for (uint32_t k = 0; k < o->n; k++)
        if (active[o->id[k]] && fa_aval_of(c, o->id[k])->nd == 0) adj[o->id[k]].FA_CELL += (FA_REAL)sum[k];
}

/* ---- structural: along an axis -------------------------------------------------------------------------------- */
FA_INLINE void FA_R(fa_add_array)(int64_t n, const FA_REAL *x, FA_REAL *y) {
    if (x != y) for (int64_t j = 0; j < n; j++) y[j] += x[j];
}

FA_FN void FA_R(fa_reverse_sum)(const fa_axis *ax, const FA_REAL *w, FA_REAL *xbar) {
    for (int64_t o = 0; o < ax->outer; o++, w += ax->inner)
        for (int64_t i = 0; i < ax->n; i++, xbar += ax->inner)
            if (ax->inner == 1) *xbar += *w;
            else FA_R(fa_add_array)(ax->inner, w, xbar);
}

FA_FN void FA_R(fa_reverse_extremum)(const fa_axis *ax, const FA_REAL *x, const FA_REAL *y, const FA_REAL *w,
                                     FA_REAL *xbar) {
    for (int64_t o = 0; o < ax->outer; o++)
        for (int64_t j = 0; j < ax->inner; j++, y++, w++) {
            int64_t at = o * ax->n * ax->inner + j, ties = 0;
            if (*w == 0) continue;
            for (int64_t i = 0; i < ax->n; i++) ties += FA_R(fa_ties)(x[at + i * ax->inner], *y);
            FA_REAL share = ties > 1 ? *w / (FA_REAL)ties : *w;
            for (int64_t i = 0; i < ax->n; i++)
                if (FA_R(fa_ties)(x[at + i * ax->inner], *y)) xbar[at + i * ax->inner] += share;
        }
}

/* xbar += the cumulative sum of w in the other direction, columns in chunks that stay in registers or L1 */
FA_FN void FA_R(fa_reverse_cumsum)(const fa_axis *ax, const FA_REAL *w, FA_REAL *xbar) {
    enum { CHUNK = 64 };
    int64_t n = ax->n, inner = ax->inner;
    for (int64_t o = 0; o < ax->outer; o++, w += n * inner, xbar += n * inner)
        for (int64_t j0 = 0; j0 < inner; j0 += CHUNK) {
            FA_REAL run[CHUNK] = {0};
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
FA_FN void FA_R(fa_reverse_old)(const fa_code *c, fa_cell *adj, const uint8_t *active, uint32_t old, int64_t size,
                                const char *w) {
    if (active[old]) FA_R(fa_add_array)(size, (const FA_REAL *)w, (FA_REAL *)fa_data_of(c, adj, old));
}

FA_FN void FA_R(fa_reverse_write)(const fa_code *c, fa_cell *adj, const uint8_t *active, const fa_operands *o,
                                  uint16_t op,
                            int64_t size, char *w) {
    if (op == FA_WRITE && active[o->id[1]]) fa_map_add_transposed(o->attr, FA_DTYPE, fa_data_of(c, adj, o->id[1]), w);
    if (!active[o->id[0]]) return;
    fa_map_zero(o->attr, FA_DTYPE, w);
    FA_R(fa_reverse_old)(c, adj, active, o->id[0], size, w);
}

/* From the last writer back: it takes the adjoint and leaves 0 for those before it. */
FA_FN void FA_R(fa_reverse_put)(const fa_code *c, const fa_cell *v, fa_cell *adj, const uint8_t *active,
                                const fa_operands *o,
                          int64_t size, FA_REAL *w) {
    uint32_t x = o->id[2];
    int64_t step = fa_aval_of(c, x)->nd != 0;
    const int64_t *idx = (const int64_t *)fa_data_of(c, v, o->id[1]);
    FA_REAL *xbar = active[x] ? (FA_REAL *)fa_data_of(c, adj, x) : 0;
    for (int64_t k = fa_aval_of(c, o->id[1])->size - 1; k >= 0; k--) {
        if (xbar) xbar[k * step] += w[idx[k]];
        w[idx[k]] = 0;
    }
    FA_R(fa_reverse_old)(c, adj, active, o->id[0], size, (char *)w);
}

/* From the first scalar on, as the adjoint tape adds them up; of those at one place the last one counts. */
FA_FN int FA_R(fa_reverse_stack)(const fa_code *c, fa_cell *adj, const uint8_t *active, const fa_operands *o,
                                 int64_t size, FA_REAL *w) {
    const fa_stack *st = o->attr;
    const uint32_t *id = o->id + st->has_base;
    int overwrites = !st->accumulate && (st->has_base || st->pos);
    FA_REAL *of = fa_workspace_of(FA_SCRATCH_ADJOINT, (size_t)st->n * sizeof *of);
    if (!of) return FA_ENOMEM;
    for (int64_t k = st->n - 1; k >= 0; k--) {
        int64_t at = fa_stack_pos(st, k);
        of[k] = w[at];
        if (overwrites) w[at] = 0;
    }
    for (int64_t k = 0; k < st->n; k++) if (active[id[k]]) adj[id[k]].FA_CELL += of[k];
    if (st->has_base) FA_R(fa_reverse_old)(c, adj, active, o->id[0], size, (char *)w);
    return FA_OK;
}

/* ---- structural: the rest ------------------------------------------------------------------------------------- */
/* What many results have of one element is added up first, as on the adjoint tape (Reverse.give_moved). */
FA_FN int FA_R(fa_reverse_move)(const fa_map *m, int nd, const FA_REAL *w, FA_REAL *xbar) {
    int64_t pairs = 1;
    int gives_all = nd == 0;
    FA_REAL *y = 0;
    if (m->npieces == 1 && m->ntable < 0) {
        for (int k = 0; k < m->pieces[0].nd; k++) pairs *= m->pieces[0].shape[k];
        gives_all |= pairs >= 2 * m->nsrc;
    }
    if (m->src_injective || !gives_all) {
        fa_map_add_transposed(m, FA_DTYPE, (char *)xbar, (const char *)w);
        return FA_OK;
    }
    y = fa_workspace_of(FA_SCRATCH_ADJOINT, (size_t)m->nsrc * sizeof *y);
    if (!y) return FA_ENOMEM;
    memset(y, 0, (size_t)m->nsrc * sizeof *y);
    fa_map_add_transposed(m, FA_DTYPE, (char *)y, (const char *)w);
    FA_R(fa_add_array)(m->nsrc, y, xbar);
    return FA_OK;
}

FA_FN int FA_R(fa_reverse_assemble)(const fa_code *c, fa_cell *adj, const uint8_t *active, const fa_operands *o,
                                    const FA_REAL *w) {
    const fa_assemble *as = o->attr;
    int status = FA_OK;
    for (uint32_t k = 0; k < o->n && status == FA_OK; k++)
        if (active[o->id[k]])
            status = FA_R(fa_reverse_move)(as->maps[k], fa_aval_of(c, o->id[k])->nd, w,
                                           (FA_REAL *)fa_data_of(c, adj, o->id[k]));
    return status;
}

FA_FN void FA_R(fa_reverse_take)(int64_t m, const int64_t *idx, const FA_REAL *w, FA_REAL *xbar) {
    for (int64_t k = 0; k < m; k++) xbar[idx[k]] += w[k];
}

FA_FN void FA_R(fa_reverse_addat)(int64_t m, const int64_t *idx, const FA_REAL *w, int64_t step, FA_REAL *xbar) {
    for (int64_t k = 0; k < m; k++) xbar[k * step] += w[idx[k]];
}

/* ---- products ------------------------------------------------------------------------------------------------- */
/* What the adjoint tape computes (structural_rules.py), and then one addition: the same bits.
   xbar += the batch q of products, or their sum where all of them read the operand. */
FA_FN int FA_R(fa_reverse_matmul)(fa_matmul q, int shared, FA_R(fa_blas) blas, const FA_REAL *a, const FA_REAL *b,
                                  FA_REAL *xbar) {
    int64_t size = q.m * q.n, total = q.batch * size;
    FA_REAL *y = fa_workspace_of(FA_SCRATCH_ADJOINT, (size_t)(total + size) * sizeof *y);
    if (!y) return FA_ENOMEM;
    FA_R(fa_matmul)(&q, blas, a, b, y, 0);
    if (shared && q.batch != 1) {
        fa_axis batch = {1, q.batch, size, 0};
        FA_R(fa_sum_axis)(&batch, y, y + total);
        y += total;
        total = size;
    }
    FA_R(fa_add_array)(total, y, xbar);
    return FA_OK;
}

FA_FN int FA_R(fa_reverse_matmul_a)(const fa_matmul *p, FA_R(fa_blas) blas, const FA_REAL *b, const FA_REAL *w,
                                    FA_REAL *abar) {
    int64_t step = p->m * p->n;
    fa_matmul q = {p->batch, p->m, p->n, p->k, step, p->bbatch, 0, !p->tb, 1};
    fa_matmul of_transposed = {p->batch, p->k, p->n, p->m, p->bbatch, step, p->tb, 1, 1};
    return p->ta ? FA_R(fa_reverse_matmul)(of_transposed, p->abatch == 0, blas, b, w, abar)
        : FA_R(fa_reverse_matmul)(q, p->abatch == 0, blas, w, b, abar);
}

FA_FN int FA_R(fa_reverse_matmul_b)(const fa_matmul *p, FA_R(fa_blas) blas, const FA_REAL *a, const FA_REAL *w,
                                    FA_REAL *bbar) {
    int64_t step = p->m * p->n;
    fa_matmul q = {p->batch, p->k, p->m, p->n, p->abatch, step, !p->ta, 0, 1};
    fa_matmul of_transposed = {p->batch, p->n, p->m, p->k, step, p->abatch, 1, p->ta, 1};
    return p->tb ? FA_R(fa_reverse_matmul)(of_transposed, p->bbatch == 0, blas, w, a, bbar)
        : FA_R(fa_reverse_matmul)(q, p->bbatch == 0, blas, a, w, bbar);
}

FA_FN int FA_R(fa_reverse_spmm_x)(const fa_csr *A, const FA_REAL *data, const FA_REAL *w, FA_REAL *xbar) {
    fa_csr across = *A;
    int64_t size = (A->transpose ? A->nrow : A->ncol) * A->ncols;
    FA_REAL *y = fa_workspace_of(FA_SCRATCH_ADJOINT, (size_t)size * sizeof *y);
    if (!y) return FA_ENOMEM;
    across.transpose = !A->transpose;
    FA_R(fa_spmm)(&across, data, w, y);
    FA_R(fa_add_array)(size, y, xbar);
    return FA_OK;
}

FA_FN int FA_R(fa_reverse_spmm_data)(const fa_csr *A, const FA_REAL *x, const FA_REAL *w, FA_REAL *databar) {
    int64_t m = A->ncols;
    FA_REAL *y = fa_workspace_of(FA_SCRATCH_ADJOINT, (size_t)m * sizeof *y);
    if (!y) return FA_ENOMEM;
    for (int64_t r = 0; r < A->nrow; r++)
        for (int64_t e = A->indptr[r]; e < A->indptr[r + 1]; e++) {
            int64_t col = A->indices[e];
            const FA_REAL *u = w + (A->transpose ? col : r) * m, *s = x + (A->transpose ? r : col) * m;
            for (int64_t j = 0; j < m; j++) y[j] = u[j] * s[j];
            databar[e] += FA_R(fa_sum)(y, 1, m);
        }
    return FA_OK;
}

FA_FN int FA_R(fa_reverse_product)(const fa_code *c, const fa_cell *v, fa_cell *adj, const uint8_t *active,
                                   const fa_operands *o, uint16_t op, const FA_REAL *w, fa_env *env) {
    const FA_REAL *a = (const FA_REAL *)fa_data_of(c, v, o->id[0]), *b = (const FA_REAL *)fa_data_of(c, v, o->id[1]);
    FA_REAL *abar = active[o->id[0]] ? (FA_REAL *)fa_data_of(c, adj, o->id[0]) : 0;
    FA_REAL *bbar = active[o->id[1]] ? (FA_REAL *)fa_data_of(c, adj, o->id[1]) : 0;
    int status = FA_OK;
    if (op == FA_MATMUL) {
        if (abar) status = FA_R(fa_reverse_matmul_a)(o->attr, env->FA_GEMM, b, w, abar);
        if (bbar && status == FA_OK) status = FA_R(fa_reverse_matmul_b)(o->attr, env->FA_GEMM, a, w, bbar);
        return status;
    }
    if (bbar) status = FA_R(fa_reverse_spmm_x)(o->attr, a, w, bbar);
    return abar && status == FA_OK ? FA_R(fa_reverse_spmm_data)(o->attr, b, w, abar) : status;
}

/* opcodes with one operand that counts: xbar is its adjoint */
FA_FN int FA_R(fa_reverse_unary)(const fa_code *c, const fa_cell *v, uint32_t i, const fa_operands *o, int64_t size,
                                 const FA_REAL *w, FA_REAL *xbar) {
    switch (c->op[i]) {
    case FA_ELEMENT: xbar[(int64_t)(uintptr_t)o->attr] += *w; return FA_OK;
    case FA_RESHAPE: FA_R(fa_add_array)(size, w, xbar); return FA_OK;
    case FA_MOVE: return FA_R(fa_reverse_move)(o->attr, fa_aval_of(c, o->id[0])->nd, w, xbar);
    case FA_SUM: FA_R(fa_reverse_sum)(o->attr, w, xbar); return FA_OK;
    case FA_CUMSUM: FA_R(fa_reverse_cumsum)(o->attr, w, xbar); return FA_OK;
    case FA_MAXR: case FA_MINR:
        FA_R(fa_reverse_extremum)(o->attr, (const FA_REAL *)fa_data_of(c, v, o->id[0]),
                                    (const FA_REAL *)fa_data_of(c, v, i),
                            w, xbar);
        return FA_OK;
    case FA_TAKE:
        FA_R(fa_reverse_take)(size, (const int64_t *)fa_data_of(c, v, o->id[1]), w, xbar);
        return FA_OK;
    default: return FA_EOPCODE;
    }
}

/* the operand may be of the other real type, and its adjoint with it */
FA_FN int FA_R(fa_reverse_cast)(const fa_aval *av, const FA_REAL *w, char *xbar) {
    if (av->dtype == FA_F64) for (int64_t j = 0; j < av->size; j++) ((double *)xbar)[j] += (double)w[j];
    else for (int64_t j = 0; j < av->size; j++) ((float *)xbar)[j] += (float)w[j];
    return FA_OK;
}

FA_FN int FA_R(fa_reverse_structural)(const fa_code *c, const fa_cell *v, fa_cell *adj, const uint8_t *active,
                                      uint32_t i,
                                fa_env *env) {
    const fa_aval *av = &c->avals[c->aval[i]];
    fa_operands o = fa_operands_of(c, i);
    char *w = fa_data(&adj[i], av), *xbar;
    uint16_t op = c->op[i];
    switch (op) {
    case FA_STOP: return FA_OK;
    case FA_ERASE: case FA_WRITE: FA_R(fa_reverse_write)(c, adj, active, &o, op, av->size, w); return FA_OK;
    case FA_PUT: FA_R(fa_reverse_put)(c, v, adj, active, &o, av->size, (FA_REAL *)w); return FA_OK;
    case FA_STACK: return FA_R(fa_reverse_stack)(c, adj, active, &o, av->size, (FA_REAL *)w);
    case FA_ASSEMBLE: return FA_R(fa_reverse_assemble)(c, adj, active, &o, (const FA_REAL *)w);
    case FA_ADDAT:
        if (active[o.id[1]])
            FA_R(fa_reverse_addat)(fa_aval_of(c, o.id[0])->size, (const int64_t *)fa_data_of(c, v, o.id[0]),
                             (const FA_REAL *)w, fa_aval_of(c, o.id[1])->nd != 0,
                                  (FA_REAL *)fa_data_of(c, adj, o.id[1]));
        return FA_OK;
    case FA_MATMUL: case FA_SPMM:
        return FA_R(fa_reverse_product)(c, v, adj, active, &o, op, (const FA_REAL *)w, env);
    case FA_CALL: case FA_LAPACK: return fa_reverse_call(c, v, adj, active, &o, i, w, env);
    default:
        if (!active[o.id[0]]) return FA_OK;
        xbar = fa_data_of(c, adj, o.id[0]);
        if (op == FA_CAST) return FA_R(fa_reverse_cast)(fa_aval_of(c, o.id[0]), (const FA_REAL *)w, xbar);
        return FA_R(fa_reverse_unary)(c, v, i, &o, av->size, (const FA_REAL *)w, (FA_REAL *)xbar);
    }
}

static __attribute__((noinline, unused))
int FA_R(fa_reverse_step)(const fa_code *c, const fa_cell *v, fa_cell *adj, const uint8_t *active, uint32_t i,
                          fa_env *env) {
    uint16_t op = c->op[i];
    if (op < FA_ELEMENTWISE) return FA_R(fa_reverse_structural)(c, v, adj, active, i, env);
    if (!c->avals[c->aval[i]].nd) {
        if (adj[i].FA_CELL != 0) FA_R(fa_reverse_scalar)(c, v, adj, active, i, op, adj[i].FA_CELL);
        return FA_OK;
    }
    fa_operands o = fa_operands_of(c, i);
    FA_R(fa_reverse_array)(c, v, adj, active, &o, i);
    return FA_OK;
}
