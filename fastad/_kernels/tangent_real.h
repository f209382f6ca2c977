/* tangent_real.h - the tangent rule of every opcode; included by reals.h once a type.
   Owns: the rules.  A tangent has the dtype of its value, and so have those of the operands, but for CAST and CALL.
   Must not know: who seeded the sweep, adjoints.
   Next: tangent.h, which includes it. */

/* ---- elementwise, scalars ------------------------------------------------------------------------------------- */
FA_INLINE FA_REAL FA_R(fa_partial_at)(const fa_template *t, const fa_quad *q) {
    return FA_R(fa_partial_scalar)(t, q->x[0], q->x[1], q->x[2], q->x[3]);
}

FA_FN FA_REAL FA_R(fa_tangent_scalar)(const fa_code *c, const fa_cell *v, const fa_cell *t, const uint8_t *active,
                                      uint32_t i) {
    uint16_t op = c->op[i];
    fa_operands o = fa_operands_of(c, i);
    FA_REAL dot = 0;
    if (op == FA_WHERE) {
        uint32_t chosen = v[o.id[0]].i ? o.id[1] : o.id[2];
        return active[chosen] ? t[chosen].FA_CELL : 0;
    }
    if (fa_is_product(op)) {
        FA_REAL u = v[o.id[1]].FA_CELL, w = active[o.id[0]] ? t[o.id[0]].FA_CELL : 0;
        if (active[o.id[0]]) dot += op == FA_STRONGZERO ? FA_R(fa_strongzero)(w, u) : FA_R(fa_zeroproduct)(w, u);
        if (active[o.id[1]]) dot += FA_R(fa_zeroproduct)(v[o.id[0]].FA_CELL, t[o.id[1]].FA_CELL);
        return dot;
    }
    fa_quad q = fa_quad_of(v, o.n, o.id, i);
    for (uint32_t k = 0; k < o.n; k++) {
        const fa_template *p = &fa_prims[op].FA_PARTIAL[k];
        uint32_t x = o.id[k];
        if (active[x] && p->out != FA_ZERO && t[x].FA_CELL != 0) dot += t[x].FA_CELL * FA_R(fa_partial_at)(p, &q);
    }
    return dot;
}

/* ---- elementwise, arrays -------------------------------------------------------------------------------------- */
FA_FN void FA_R(fa_tangent_where)(const fa_code *c, const fa_cell *v, const fa_cell *t, const uint8_t *active,
                                  const fa_operands *o, int64_t n, FA_REAL *y) {
    static const FA_REAL zero = 0;
    fa_span side[2];
    for (int k = 0; k < 2; k++)
        side[k] = active[o->id[k + 1]] ? fa_span_in(c, t, o->id[k + 1]) : (fa_span){(const char *)&zero, 0};
    fa_where_block(n, sizeof(FA_REAL), fa_span_in(c, v, o->id[0]), side[0], side[1], (char *)y);
}

FA_FN void FA_R(fa_blockwise_begin)(fa_blockwise *w, const fa_code *c, const fa_cell *v, const fa_operands *o,
                                    uint32_t i) {
    w->arity = o->n;
    for (uint32_t k = 0; k < 3; k++) w->value[k] = fa_span_in(c, v, o->id[k < o->n ? k : 0]);
    w->value[FA_TSLOT_Y] = fa_span_in(c, v, i);
    for (uint32_t k = 0; k < o->n; k++) fa_plan_template(&fa_prims[c->op[i]].FA_PARTIAL[k], &w->plan[k]);
}

FA_INLINE fa_span FA_R(fa_blockwise_partial)(const fa_blockwise *w, const fa_template *t, uint32_t k, int64_t j,
                                             int64_t n,
                                       fa_scratch *scratch) {
    fa_span at[4];
    for (int s = 0; s < 4; s++) at[s] = fa_span_at(w->value[s], j);
    return fa_partial_block(t, &w->plan[k], at, n, scratch);
}

FA_FN void FA_R(fa_tangent_array)(const fa_code *c, const fa_cell *v, const fa_cell *t, const uint8_t *active,
                                  const fa_operands *o, uint32_t i, FA_REAL *y) {
    uint16_t op = c->op[i];
    int64_t size = c->avals[c->aval[i]].size;
    fa_blockwise w;
    fa_scratch scratch;
    if (op == FA_WHERE) {
        FA_R(fa_tangent_where)(c, v, t, active, o, size, y);
        return;
    }
    memset(y, 0, (size_t)size * sizeof(FA_REAL));
    if (fa_is_product(op)) {
        uint32_t a = o->id[0], b = o->id[1];
        if (active[a] && op == FA_STRONGZERO)
            FA_R(fa_strongzero_add)(size, fa_span_in(c, t, a), fa_span_in(c, v, b), y);
        else if (active[a]) FA_R(fa_zeroproduct_add)(size, fa_span_in(c, t, a), fa_span_in(c, v, b), y);
        if (active[b]) FA_R(fa_zeroproduct_add)(size, fa_span_in(c, v, a), fa_span_in(c, t, b), y);
        return;
    }
    FA_R(fa_blockwise_begin)(&w, c, v, o, i);
    for (int64_t j = 0; j < size; j += FA_BLOCK) {
        int64_t n = size - j < FA_BLOCK ? size - j : FA_BLOCK;
        for (uint32_t k = 0; k < o->n; k++) {
            const fa_template *p = &fa_prims[op].FA_PARTIAL[k];
            if (!active[o->id[k]] || p->out == FA_ZERO) continue;
            fa_span dot = fa_span_at(fa_span_in(c, t, o->id[k]), j);
            FA_R(fa_strongzero_add)(n, dot, FA_R(fa_blockwise_partial)(&w, p, k, j, n, &scratch), y + j);
        }
    }
}

/* ---- structural ----------------------------------------------------------------------------------------------- */
/* x's elements that reach the extremum y share evenly; a NaN extremum is shared by the NaNs. */
FA_INLINE int FA_R(fa_ties)(FA_REAL x, FA_REAL y) { return x == y || (x != x && y != y); }

FA_FN void FA_R(fa_tangent_extremum)(const fa_axis *ax, const FA_REAL *x, const FA_REAL *y, const FA_REAL *xdot,
                                     FA_REAL *ydot) {
    for (int64_t o = 0; o < ax->outer; o++)
        for (int64_t j = 0; j < ax->inner; j++, y++, ydot++) {
            int64_t at = o * ax->n * ax->inner + j, ties = 0;
            FA_REAL sum = 0;
            for (int64_t i = 0; i < ax->n; i++, at += ax->inner)
                if (FA_R(fa_ties)(x[at], *y)) {
                    ties++;
                    sum += xdot[at];
                }
            *ydot = ties > 1 ? sum / (FA_REAL)ties : sum;
        }
}

FA_FN void FA_R(fa_tangent_stack)(const fa_code *c, const fa_cell *t, const uint8_t *active, const fa_operands *o,
                                  const fa_aval *av, char *y) {
    const fa_stack *st = o->attr;
    const uint32_t *id = o->id + st->has_base;
    if (st->has_base && active[o->id[0]]) fa_begin_with(av, fa_data_of(c, t, o->id[0]), y);
    else memset(y, 0, (size_t)av->size * sizeof(FA_REAL));
    for (int64_t k = 0; k < st->n; k++)
        fa_stack_put(st, k, FA_DTYPE, active[id[k]] ? t[id[k]] : (fa_cell){.i = 0}, y);
}

FA_FN void FA_R(fa_tangent_assemble)(const fa_code *c, const fa_cell *t, const uint8_t *active, const fa_operands *o,
                                     const fa_aval *av, char *y) {
    const fa_assemble *as = o->attr;
    memset(y, 0, (size_t)av->size * sizeof(FA_REAL));
    for (uint32_t k = 0; k < o->n; k++)
        if (active[o->id[k]]) fa_assemble_part(as, (int)k, FA_DTYPE, fa_data_of(c, t, o->id[k]), y);
}

/* y = old with something written into it; both may be inactive, that is zero */
FA_FN int FA_R(fa_tangent_write)(const fa_code *c, const fa_cell *v, const fa_cell *t, const uint8_t *active,
                                 const fa_operands *o, uint16_t op, const fa_aval *av, char *y) {
    static const FA_REAL zero = 0;
    uint32_t old = o->id[0], x = o->id[o->n - 1];
    if (active[old]) fa_begin_with(av, fa_data_of(c, t, old), y);
    else memset(y, 0, (size_t)av->size * sizeof(FA_REAL));
    if (op == FA_PUT) {
        fa_span put = active[x] ? fa_span_in(c, t, x) : (fa_span){(const char *)&zero, 0};
        return fa_put(FA_DTYPE, av->size, fa_aval_of(c, o->id[1])->size, (const int64_t *)fa_data_of(c, v, o->id[1]),
                      put.p, put.step != 0, y);
    }
    if (op == FA_WRITE && active[x]) fa_map_copy(o->attr, FA_DTYPE, y, fa_data_of(c, t, x));
    else fa_map_zero(o->attr, FA_DTYPE, y);
    return FA_OK;
}

FA_FN void FA_R(fa_tangent_product)(const fa_code *c, const fa_cell *v, const fa_cell *t, const uint8_t *active,
                                    const fa_operands *o, uint16_t op, const fa_aval *av, FA_REAL *y, fa_env *env) {
    memset(y, 0, (size_t)av->size * sizeof(FA_REAL));
    for (int k = 0; k < 2; k++) {
        if (!active[o->id[k]]) continue;
        const FA_REAL *a = (const FA_REAL *)fa_data_of(c, k == 0 ? t : v, o->id[0]);
        const FA_REAL *b = (const FA_REAL *)fa_data_of(c, k == 1 ? t : v, o->id[1]);
        if (op == FA_MATMUL) FA_R(fa_matmul)(o->attr, env->FA_GEMM, a, b, y, 1);
        else FA_R(fa_spmm_add)(o->attr, ((const fa_csr *)o->attr)->transpose, a, b, y);
    }
}

FA_FN int FA_R(fa_tangent_structural)(const fa_code *c, const fa_cell *v, const fa_cell *t, const uint8_t *active,
                                      const fa_operands *o, uint32_t i, char *y, fa_env *env) {
    const fa_aval *av = &c->avals[c->aval[i]], *in_av = fa_aval_of(c, o->id[0]);
    const char *x = fa_data_of(c, t, o->id[0]);
    uint16_t op = c->op[i];
    int any = 0;
    for (uint32_t k = 0; k < o->n; k++) any |= active[o->id[k]];
    if (!any || op == FA_STOP) {
        memset(y, 0, (size_t)av->size * sizeof(FA_REAL));
        return FA_OK;
    }
    switch (op) {
    case FA_RESHAPE: fa_begin_with(av, x, y); return FA_OK;
    case FA_CAST:
        fa_cast_block(av->size, in_av->dtype, FA_DTYPE, (fa_span){x, fa_itemsize[in_av->dtype]}, y);
        return FA_OK;
    case FA_MOVE: fa_do_move(o->attr, FA_DTYPE, (fa_cell){.i = 0}, av->size, x, y); return FA_OK;
    case FA_WRITE: case FA_ERASE: case FA_PUT: return FA_R(fa_tangent_write)(c, v, t, active, o, op, av, y);
    case FA_ASSEMBLE: FA_R(fa_tangent_assemble)(c, t, active, o, av, y); return FA_OK;
    case FA_STACK: FA_R(fa_tangent_stack)(c, t, active, o, av, y); return FA_OK;
    case FA_MATMUL: case FA_SPMM: FA_R(fa_tangent_product)(c, v, t, active, o, op, av, (FA_REAL *)y, env); return FA_OK;
    case FA_CALL: case FA_LAPACK: return fa_tangent_call(c, v, t, active, o, i, y, env);
    case FA_MAXR: case FA_MINR:
        FA_R(fa_tangent_extremum)(o->attr, (const FA_REAL *)fa_data_of(c, v, o->id[0]),
                                  (const FA_REAL *)fa_data_of(c, v, i),
                            (const FA_REAL *)x, (FA_REAL *)y);
        return FA_OK;
    case FA_TAKE:
        return fa_take(FA_DTYPE, in_av->size, x, fa_aval_of(c, o->id[1])->size,
                       (const int64_t *)fa_data_of(c, v, o->id[1]), y);
    case FA_ADDAT:
        memset(y, 0, (size_t)av->size * sizeof(FA_REAL));
        return fa_addat(FA_DTYPE, av->size, in_av->size, (const int64_t *)fa_data_of(c, v, o->id[0]),
                        fa_data_of(c, t, o->id[1]), fa_aval_of(c, o->id[1])->nd != 0, y);
    case FA_ELEMENT: case FA_SUM: case FA_CUMSUM: {      /* linear in one operand: their own kernel */
        char *in[1] = {(char *)x};
        return fa_kernel(op, o->attr, 1, &in_av, in, av, y, env);
    }
    default: return FA_EOPCODE;
    }
}

FA_FN int FA_R(fa_tangent_step)(const fa_code *c, const fa_cell *v, fa_cell *t, const uint8_t *active, uint32_t i,
                                fa_env *env) {
    const fa_aval *av = &c->avals[c->aval[i]];
    fa_operands o = fa_operands_of(c, i);
    uint16_t op = c->op[i];
    if (op == FA_RESHAPE && av->nd && active[o.id[0]] && fa_aval_of(c, o.id[0])->nd) {
        t[i].p = t[o.id[0]].p;
        return FA_OK;
    }
    if (op >= FA_ELEMENTWISE && !av->nd) {
        t[i] = FA_R(fa_cell)(FA_R(fa_tangent_scalar)(c, v, t, active, i));
        return FA_OK;
    }
    if (op >= FA_ELEMENTWISE) {
        FA_R(fa_tangent_array)(c, v, t, active, &o, i, (FA_REAL *)fa_data(&t[i], av));
        return FA_OK;
    }
    return FA_R(fa_tangent_structural)(c, v, t, active, &o, i, fa_data(&t[i], av), env);
}
