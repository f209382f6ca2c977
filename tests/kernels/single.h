/* single.h - a program once more in float32, against itself in float64.
   Owns: the float32 loops and templates of the test's primitives, the twin of a program, the comparison.
   Must not know: any opcode's meaning but whose attribute has a fill.
   Next: builder.h, whose derivative check calls `check_single`. */
#ifndef SINGLE_H
#define SINGLE_H
#include "builder.h"

/* NumPy's float32 loop of a primitive: the float64 one, rounded */
static void l_single(char **p, const intptr_t *n, const intptr_t *s, void *data) {
    const fa_prim *prim = data;
    intptr_t one = 1, steps[4] = {8, 8, 8, 8};
    for (intptr_t j = 0; j < *n; j++) {
        double x[4] = {0, 0, 0, 0};
        char *args[4] = {(char *)&x[0], (char *)&x[1], (char *)&x[2], (char *)&x[3]};
        for (int k = 0; k < prim->arity; k++) x[k] = *(float *)(p[k] + j * s[k]);
        prim->loop[FA_F64].fn(args, &one, steps, prim->loop[FA_F64].data);
        if (prim >= &fa_prims[FA_EQUAL] && prim <= &fa_prims[FA_GREATER_EQUAL])
            *(uint8_t *)(p[prim->arity] + j * s[prim->arity]) = *(uint8_t *)args[prim->arity];
        else *(float *)(p[prim->arity] + j * s[prim->arity]) = (float)x[prim->arity];
    }
}

static fa_template single_template(const fa_template *t) {
    fa_tinstr *instr = calloc((size_t)t->n + 1, sizeof *instr);
    fa_cell *consts = calloc((size_t)t->nconst + 1, sizeof *consts);
    for (int i = 0; i < t->n; i++) {
        instr[i] = t->instr[i];
        if (instr[i].din == FA_F64) instr[i].din = FA_F32;
        if (instr[i].dout == FA_F64) instr[i].dout = FA_F32;
    }
    for (int k = 0; k < t->nconst; k++) consts[k] = fa_cell_f32((float)t->consts[k].f);
    return (fa_template){t->n, t->nconst, t->out, instr, consts};
}
static void make_single_prims(void) {
    for (int op = FA_ELEMENTWISE; op <= OP_AND; op++)
        if (fa_prims[op].loop[FA_F64].fn) fa_prims[op].loop[FA_F32] = (fa_loop){l_single, &fa_prims[op]};
    for (int op = FA_ELEMENTWISE; op <= OP_AND; op++)
        for (int k = 0; k < 3; k++) {
            fa_prims[op].partial_f32[k] = single_template(&fa_prims[op].partial[k]);
            EXPECT(fa_check_template(&fa_prims[op].partial_f32[k]) == 0, "float32 template of %d, %d", op, k);
        }
}

static int is_f64(prog *p, uint32_t i) { return aval_at(p, i)->dtype == FA_F64; }

/* attributes with a fill, which is a cell of the result's dtype */
static void *single_attr(prog *q, int op, void *attr) {
    if (op == FA_MOVE) {
        fa_map *m = own(q, malloc(sizeof *m));
        *m = *(const fa_map *)attr;
        m->fill = fa_cell_f32((float)m->fill.f);
        return m;
    }
    if (op == FA_ASSEMBLE) {
        fa_assemble *a = own(q, malloc(sizeof *a));
        *a = *(const fa_assemble *)attr;
        a->fill = fa_cell_f32((float)a->fill.f);
        return a;
    }
    return attr;
}

/* The same instructions on float32; NULL where foreign code would have to know. */
static prog *single_twin(prog *p) {
    prog *q = calloc(1, sizeof *q);
    *q = *p;
    q->nmemory = 0;
    q->env.sgemm = 0;
    for (uint32_t k = FA_NAVAL_SCALAR; k < q->navals; k++) {
        if (q->avals[k].dtype == FA_F64) q->avals[k].dtype = FA_F32;
        q->avals[k].shape = &q->avals[k].size;
    }
    for (uint32_t i = 1; i < q->n; i++) {
        int op = q->op[i];
        if (op == FA_CALL) { free(q); return 0; }
        if (q->aval[i] == FA_AVAL_F64) q->aval[i] = FA_AVAL_F32;
        if (is_f64(p, i) && (op == FA_MOVE || op == FA_ASSEMBLE)) {
            uint32_t at = q->arg[2 * i + 1];
            q->arg[2 * i + 1] = q->nattrs;
            q->attrs[q->nattrs++] = single_attr(q, op, p->attrs[at]);
        }
        q->v[i].i = q->t[i].i = q->adj[i].i = 0;
        if (op != FA_CONST) continue;
        if (aval_at(q, i)->nd) q->v[i].p = bytes_for(q, i);
        if (!is_f64(p, i)) memcpy(data_at(q, q->v, i), data_at(p, p->v, i), (size_t)fa_nbytes(aval_at(q, i)));
        else
            for (int64_t k = 0; k < aval_at(q, i)->size; k++)
                ((float *)data_at(q, q->v, i))[k] = (float)f64_at(p, p->v, i)[k];
    }
    return q;
}

static void load_single(prog *q, fa_cell *file, uint32_t i, const double *from) {
    for (int64_t k = 0; k < aval_at(q, i)->size; k++) ((float *)data_at(q, file, i))[k] = (float)from[k];
}
static void same_in_single(prog *p, prog *q, fa_cell *f64, fa_cell *f32, uint32_t i, const char *label,
                           const char *what) {
    int64_t n = aval_at(p, i)->size;
    double largest = 1;
    for (int64_t k = 0; k < n; k++) largest = fmax(largest, fabs(f64_at(p, f64, i)[k]));
    for (int64_t k = 0; k < n; k++) {
        double want = f64_at(p, f64, i)[k], got = ((float *)data_at(q, f32, i))[k];
        EXPECT(fabs(got - want) <= 2e-5 * largest, "%s: float32 %s[%d] is %.9g, float64 %.9g", label, what, (int)k,
               got, want);
    }
}

/* Forward, tangent and reverse in float32 at the point at which p has just been swept. */
static void check_single(prog *p, const char *label, double *const *x, double *const *dx, const double *w) {
    prog *q = single_twin(p);
    uint32_t out = p->n - 1;
    if (!q) return;
    fa_code c = code_of(q);
    place(q, q->v);
    place(q, q->t);
    place(q, q->adj);
    for (uint32_t i = 1; i < q->n; i++)
        if (q->op[i] == FA_INPUT) {
            load_single(q, q->v, i, x[i]);
            load_single(q, q->t, i, dx[i]);
        }
    EXPECT(fa_forward(&c, q->v, &q->env) == FA_OK, "%s: float32 forward", label);
    if (!p->share[out]) same_in_single(p, q, p->v, q->v, out, label, "value");
    EXPECT(fa_tangent(&c, q->v, q->t, q->active, &q->env) == FA_OK, "%s: float32 tangent", label);
    same_in_single(p, q, p->t, q->t, out, label, "tangent");
    for (uint32_t i = 1; i < q->n; i++)
        if (q->active[i]) memset(data_at(q, q->adj, i), 0, (size_t)fa_nbytes(aval_at(q, i)));
    load_single(q, q->adj, out, w);
    EXPECT(fa_reverse(&c, q->v, q->adj, q->active, &q->env) == FA_OK, "%s: float32 reverse", label);
    for (uint32_t i = 1; i < q->n; i++)
        if (q->op[i] == FA_INPUT) same_in_single(p, q, p->adj, q->adj, i, label, "adjoint");
    free_prog(q);
}
#endif
