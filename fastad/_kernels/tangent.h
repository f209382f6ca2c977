/* tangent.h - the tangent sweep: tangents of all active values from those of the inputs.
   Owns: the tangent rule of every opcode.
   Must not know: who seeded it, adjoints.
   Elementwise rules come from the table's templates; linear opcodes apply their own kernel to tangents.
   Next: reverse.h, the transposed of all this. */
#ifndef FASTAD_TANGENT_H
#define FASTAD_TANGENT_H
#include "forward.h"

/* ---- elementwise, scalars ------------------------------------------------------------------------------------- */
/* the two that are linear in each operand, and have no templates: what they mask is not in a partial */
FA_INLINE int fa_is_product(uint16_t op) { return op == FA_STRONGZERO || op == FA_ZEROPRODUCT; }

/* the cells of the operands and of the result, as templates want them */
typedef struct { fa_cell x[4]; } fa_quad;

FA_INLINE fa_quad fa_quad_of(const fa_cell *v, uint32_t n, const uint32_t *id, uint32_t y) {
    fa_quad q;
    q.x[0] = v[id[0]];
    q.x[1] = n > 1 ? v[id[1]] : q.x[0];
    q.x[2] = n > 2 ? v[id[2]] : q.x[0];
    q.x[3] = v[y];
    return q;
}

FA_INLINE double fa_partial_at(const fa_template *t, const fa_quad *q) {
    return fa_partial_scalar(t, q->x[0], q->x[1], q->x[2], q->x[3]);
}

FA_FN double fa_tangent_scalar(const fa_code *c, const fa_cell *v, const fa_cell *t, const uint8_t *active,
                               uint32_t i) {
    uint16_t op = c->op[i];
    fa_operands o = fa_operands_of(c, i);
    double dot = 0;
    if (op == FA_WHERE) {
        uint32_t chosen = v[o.id[0]].i ? o.id[1] : o.id[2];
        return active[chosen] ? t[chosen].f : 0.0;
    }
    if (fa_is_product(op)) {
        double u = v[o.id[1]].f, w = active[o.id[0]] ? t[o.id[0]].f : 0.0;
        if (active[o.id[0]]) dot += op == FA_STRONGZERO ? fa_strongzero(w, u) : fa_zeroproduct(w, u);
        if (active[o.id[1]]) dot += fa_zeroproduct(v[o.id[0]].f, t[o.id[1]].f);
        return dot;
    }
    fa_quad q = fa_quad_of(v, o.n, o.id, i);
    for (uint32_t k = 0; k < o.n; k++) {
        const fa_template *p = &fa_prims[op].partial[k];
        uint32_t x = o.id[k];
        if (active[x] && p->out != FA_ZERO && t[x].f != 0) dot += t[x].f * fa_partial_at(p, &q);
    }
    return dot;
}

/* ---- elementwise, arrays -------------------------------------------------------------------------------------- */
/* y = or += the strong-zero product of two spans, the tangent or adjoint first */
FA_FN void fa_strongzero_add(int64_t n, fa_span w, fa_span p, double *restrict y) {
    FA_PRODUCT_BLOCK(fa_strongzero, +=);
}

FA_FN void fa_zeroproduct_add(int64_t n, fa_span w, fa_span p, double *restrict y) {
    FA_PRODUCT_BLOCK(fa_zeroproduct, +=);
}

FA_FN void fa_tangent_where(const fa_code *c, const fa_cell *v, const fa_cell *t, const uint8_t *active,
                            const fa_operands *o, int64_t n, double *y) {
    static const double zero = 0;
    fa_span side[2];
    for (int k = 0; k < 2; k++)
        side[k] = active[o->id[k + 1]] ? fa_span_in(c, t, o->id[k + 1]) : (fa_span){(const char *)&zero, 0};
    fa_where_block(n, 8, fa_span_in(c, v, o->id[0]), side[0], side[1], (char *)y);
}

/* Everything that one array instruction needs, set up once: spans of values, buffer plans of its partials. */
typedef struct {
    uint32_t arity;
    fa_span value[4];
    fa_tplan plan[3];
} fa_blockwise;

FA_FN void fa_blockwise_begin(fa_blockwise *w, const fa_code *c, const fa_cell *v, const fa_operands *o, uint32_t i) {
    w->arity = o->n;
    for (uint32_t k = 0; k < 3; k++) w->value[k] = fa_span_in(c, v, o->id[k < o->n ? k : 0]);
    w->value[FA_TSLOT_Y] = fa_span_in(c, v, i);
    for (uint32_t k = 0; k < o->n; k++) fa_plan_template(&fa_prims[c->op[i]].partial[k], &w->plan[k]);
}

FA_INLINE fa_span fa_blockwise_partial(const fa_blockwise *w, const fa_template *t, uint32_t k, int64_t j, int64_t n,
                                       fa_scratch *scratch) {
    fa_span at[4];
    for (int s = 0; s < 4; s++) at[s] = fa_span_at(w->value[s], j);
    return fa_partial_block(t, &w->plan[k], at, n, scratch);
}

FA_FN void fa_tangent_array(const fa_code *c, const fa_cell *v, const fa_cell *t, const uint8_t *active,
                            const fa_operands *o, uint32_t i, double *y) {
    uint16_t op = c->op[i];
    int64_t size = c->avals[c->aval[i]].size;
    fa_blockwise w;
    fa_scratch scratch;
    if (op == FA_WHERE) {
        fa_tangent_where(c, v, t, active, o, size, y);
        return;
    }
    memset(y, 0, (size_t)size * 8);
    if (fa_is_product(op)) {
        uint32_t a = o->id[0], b = o->id[1];
        if (active[a] && op == FA_STRONGZERO) fa_strongzero_add(size, fa_span_in(c, t, a), fa_span_in(c, v, b), y);
        else if (active[a]) fa_zeroproduct_add(size, fa_span_in(c, t, a), fa_span_in(c, v, b), y);
        if (active[b]) fa_zeroproduct_add(size, fa_span_in(c, v, a), fa_span_in(c, t, b), y);
        return;
    }
    fa_blockwise_begin(&w, c, v, o, i);
    for (int64_t j = 0; j < size; j += FA_BLOCK) {
        int64_t n = size - j < FA_BLOCK ? size - j : FA_BLOCK;
        for (uint32_t k = 0; k < o->n; k++) {
            const fa_template *p = &fa_prims[op].partial[k];
            if (!active[o->id[k]] || p->out == FA_ZERO) continue;
            fa_span dot = fa_span_at(fa_span_in(c, t, o->id[k]), j);
            fa_strongzero_add(n, dot, fa_blockwise_partial(&w, p, k, j, n, &scratch), y + j);
        }
    }
}

/* ---- structural ----------------------------------------------------------------------------------------------- */
/* x's elements that reach the extremum y share evenly; a NaN extremum is shared by the NaNs. */
FA_INLINE int fa_ties(double x, double y) { return x == y || (x != x && y != y); }

FA_FN void fa_tangent_extremum(const fa_axis *ax, const double *x, const double *y, const double *xdot, double *ydot) {
    for (int64_t o = 0; o < ax->outer; o++)
        for (int64_t j = 0; j < ax->inner; j++, y++, ydot++) {
            int64_t at = o * ax->n * ax->inner + j, ties = 0;
            double sum = 0;
            for (int64_t i = 0; i < ax->n; i++, at += ax->inner)
                if (fa_ties(x[at], *y)) {
                    ties++;
                    sum += xdot[at];
                }
            *ydot = ties > 1 ? sum / (double)ties : sum;
        }
}

FA_FN void fa_tangent_stack(const fa_code *c, const fa_cell *t, const uint8_t *active, const fa_operands *o,
                            const fa_aval *av, char *y) {
    const fa_stack *st = o->attr;
    const uint32_t *id = o->id + st->has_base;
    if (st->has_base && active[o->id[0]]) fa_begin_with(av, fa_data_of(c, t, o->id[0]), y);
    else memset(y, 0, (size_t)av->size * 8);
    for (int64_t k = 0; k < st->n; k++)
        fa_stack_put(st, k, FA_F64, active[id[k]] ? t[id[k]] : (fa_cell){.f = 0}, y);
}

FA_FN void fa_tangent_assemble(const fa_code *c, const fa_cell *t, const uint8_t *active, const fa_operands *o,
                               const fa_aval *av, char *y) {
    const fa_assemble *as = o->attr;
    memset(y, 0, (size_t)av->size * 8);
    for (uint32_t k = 0; k < o->n; k++)
        if (active[o->id[k]]) fa_assemble_part(as, (int)k, FA_F64, fa_data_of(c, t, o->id[k]), y);
}

/* y = old with something written into it; both may be inactive, that is zero */
FA_FN int fa_tangent_write(const fa_code *c, const fa_cell *v, const fa_cell *t, const uint8_t *active,
                           const fa_operands *o, uint16_t op, const fa_aval *av, char *y) {
    static const double zero = 0;
    uint32_t old = o->id[0], x = o->id[o->n - 1];
    if (active[old]) fa_begin_with(av, fa_data_of(c, t, old), y);
    else memset(y, 0, (size_t)av->size * 8);
    if (op == FA_PUT) {
        fa_span put = active[x] ? fa_span_in(c, t, x) : (fa_span){(const char *)&zero, 0};
        return fa_put(FA_F64, av->size, fa_aval_of(c, o->id[1])->size, (const int64_t *)fa_data_of(c, v, o->id[1]),
                      put.p, put.step != 0, y);
    }
    if (op == FA_WRITE && active[x]) fa_map_copy(o->attr, FA_F64, y, fa_data_of(c, t, x));
    else fa_map_zero(o->attr, FA_F64, y);
    return FA_OK;
}

FA_FN void fa_tangent_product(const fa_code *c, const fa_cell *v, const fa_cell *t, const uint8_t *active,
                              const fa_operands *o, uint16_t op, const fa_aval *av, double *y, fa_env *env) {
    memset(y, 0, (size_t)av->size * 8);
    for (int k = 0; k < 2; k++) {
        if (!active[o->id[k]]) continue;
        const double *a = (const double *)fa_data_of(c, k == 0 ? t : v, o->id[0]);
        const double *b = (const double *)fa_data_of(c, k == 1 ? t : v, o->id[1]);
        if (op == FA_MATMUL) fa_matmul_f64(o->attr, env->dgemm, a, b, y, 1.0);
        else fa_spmm_add(o->attr, ((const fa_csr *)o->attr)->transpose, a, b, y);
    }
}

/* Pointers to the operands' values and derivatives (NULL: inactive) for foreign code; to be freed by one free(in). */
FA_FN char **fa_call_pointers(const fa_code *c, const fa_cell *v, const fa_cell *file, const uint8_t *active,
                              const fa_operands *o, char ***derivative) {
    char **in = malloc((2 * (size_t)o->n + 1) * sizeof *in);
    if (!in) return 0;
    *derivative = in + o->n;
    for (uint32_t k = 0; k < o->n; k++) {
        in[k] = fa_data_of(c, v, o->id[k]);
        (*derivative)[k] = active[o->id[k]] ? fa_data_of(c, file, o->id[k]) : 0;
    }
    return in;
}

FA_FN int fa_tangent_call(const fa_code *c, const fa_cell *v, const fa_cell *t, const uint8_t *active,
                          const fa_operands *o, uint32_t i, char *y, fa_env *env) {
    const fa_call *call = o->attr;
    char **tin, **in = fa_call_pointers(c, v, t, active, o, &tin);
    int code;
    if (!in) return FA_ENOMEM;
    env->has_foreign = 1;
    code = call->jvp(call->self, (int)o->n, (const char *const *)in, fa_data_of(c, v, i), (const char *const *)tin, y);
    free(in);
    return code == 0 ? FA_OK : code > 0 ? FA_ELINALG : FA_EFOREIGN;
}

FA_FN int fa_tangent_structural(const fa_code *c, const fa_cell *v, const fa_cell *t, const uint8_t *active,
                                const fa_operands *o, uint32_t i, char *y, fa_env *env) {
    const fa_aval *av = &c->avals[c->aval[i]], *in_av = fa_aval_of(c, o->id[0]);
    const char *x = fa_data_of(c, t, o->id[0]);
    uint16_t op = c->op[i];
    int any = 0;
    for (uint32_t k = 0; k < o->n; k++) any |= active[o->id[k]];
    if (!any || op == FA_STOP) {
        memset(y, 0, (size_t)av->size * 8);
        return FA_OK;
    }
    switch (op) {
    case FA_RESHAPE: case FA_CAST: fa_begin_with(av, x, y); return FA_OK;
    case FA_MOVE: fa_do_move(o->attr, FA_F64, (fa_cell){.f = 0}, av->size, x, y); return FA_OK;
    case FA_WRITE: case FA_ERASE: case FA_PUT: return fa_tangent_write(c, v, t, active, o, op, av, y);
    case FA_ASSEMBLE: fa_tangent_assemble(c, t, active, o, av, y); return FA_OK;
    case FA_STACK: fa_tangent_stack(c, t, active, o, av, y); return FA_OK;
    case FA_MATMUL: case FA_SPMM: fa_tangent_product(c, v, t, active, o, op, av, (double *)y, env); return FA_OK;
    case FA_CALL: case FA_LAPACK: return fa_tangent_call(c, v, t, active, o, i, y, env);
    case FA_MAXR: case FA_MINR:
        fa_tangent_extremum(o->attr, (const double *)fa_data_of(c, v, o->id[0]), (const double *)fa_data_of(c, v, i),
                            (const double *)x, (double *)y);
        return FA_OK;
    case FA_TAKE:
        return fa_take(FA_F64, in_av->size, x, fa_aval_of(c, o->id[1])->size,
                       (const int64_t *)fa_data_of(c, v, o->id[1]), y);
    case FA_ADDAT:
        memset(y, 0, (size_t)av->size * 8);
        return fa_addat(FA_F64, av->size, in_av->size, (const int64_t *)fa_data_of(c, v, o->id[0]),
                        fa_data_of(c, t, o->id[1]), fa_aval_of(c, o->id[1])->nd != 0, y);
    case FA_ELEMENT: case FA_SUM: case FA_CUMSUM: {      /* linear in one operand: their own kernel */
        char *in[1] = {(char *)x};
        return fa_kernel(op, o->attr, 1, &in_av, in, av, y, env);
    }
    default: return FA_EOPCODE;
    }
}

/* ---- the sweep ------------------------------------------------------------------------------------------------ */
FA_FN int fa_tangent_step(const fa_code *c, const fa_cell *v, fa_cell *t, const uint8_t *active, uint32_t i,
                          fa_env *env) {
    const fa_aval *av = &c->avals[c->aval[i]];
    fa_operands o = fa_operands_of(c, i);
    uint16_t op = c->op[i];
    if (op == FA_RESHAPE && av->nd && active[o.id[0]] && fa_aval_of(c, o.id[0])->nd) {
        t[i].p = t[o.id[0]].p;
        return FA_OK;
    }
    if (op >= FA_ELEMENTWISE) {
        fa_tangent_array(c, v, t, active, &o, i, (double *)fa_data(&t[i], av));
        return FA_OK;
    }
    return fa_tangent_structural(c, v, t, active, &o, i, fa_data(&t[i], av), env);
}

/* Tangents of the active values, at the values v of a forward sweep.  For tapes (result i in cell i; c->dst is NULL).
   t: cells laid out like v; those of active leaves set; in each other active cell of rank > 0 the pointer to its memory
   (RESHAPE between such shares its operand's instead).  Where v shares memory between the old and the new value of
   WRITE, ERASE, PUT or STACK, t may, too.  Only float64 values are active.  The exception flags are left alone. */
FA_FN int fa_tangent(const fa_code *c, const fa_cell *v, fa_cell *t, const uint8_t *active, fa_env *env) {
    for (uint32_t i = 0; i < c->n; i++) {
        uint16_t op = c->op[i];
        uint32_t a = c->arg[2 * (size_t)i];
        int code;
        if (!active[i] || op <= FA_CAPTURE || op == FA_GUARD) continue;
        if (fa_is_f64(c->aval[i])) {
            if (op >= FA_ELEMENTWISE) {
                t[i].f = fa_tangent_scalar(c, v, t, active, i);
                continue;
            }
            if (op == FA_ELEMENT) {
                t[i].f = active[a] ? fa_element_f64(c, t, a, c->arg[2 * (size_t)i + 1]) : 0.0;
                continue;
            }
        }
        code = fa_tangent_step(c, v, t, active, i, env);
        if (FA_UNLIKELY(code != FA_OK)) {
            env->where = i;
            return code;
        }
    }
    return FA_OK;
}
#endif
