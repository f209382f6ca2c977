/* builder.h - builds small tapes in C and checks their derivatives.
   Owns: a test's own table of primitives (plain C loops and hand-written templates), random numbers, the program
   builder, the generic derivative check (finite differences, dot-product test, shared against separate memory).
   Must not know: any opcode's meaning (naive.h and test_kernels.c do).
   Next: test_kernels.c. */
#ifndef BUILDER_H
#define BUILDER_H
#include <stdio.h>
#include <stdlib.h>
#define FA_PART 200                          /* of machine_code.h: so that long code here has many parts */
#include "sweep.h"

static int failures, checks;
#define EXPECT(cond, ...) do { \
    checks++; \
    if (!(cond) && failures++ < 40) { printf("%s:%d: ", __func__, __LINE__); printf(__VA_ARGS__); printf("\n"); } \
} while (0)

/* ---- random numbers ----------------------------------------------------------------------------------------- */
static uint64_t random_state = 88172645463325252ull;
static uint64_t rnd(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}
static int64_t below(int64_t n) { return (int64_t)(rnd() % (uint64_t)n); }
static double uniform(void) { return (double)(rnd() >> 11) * 0x1p-53 * 3 + 0.25; }      /* away from 0: [0.25, 3.25) */
static double normal(void) { return (double)(rnd() >> 11) * 0x1p-52 - 1; }

/* ---- primitives: what NumPy would give ------------------------------------------------------------------------ */
fa_prim fa_prims[FA_MAX_OPCODES];
enum { OP_EXP = FA_OWN_END, OP_SIN, OP_COS, OP_ARCTAN2, OP_FMA, OP_CHAIN, OP_PLUS_FLOOR, OP_AND };

#define UNARY_LOOP(NAME, T, TY, EXPR) \
static void NAME(char **p, const intptr_t *n, const intptr_t *s, void *data) { \
    (void)data; \
    for (intptr_t j = 0; j < *n; j++) { T a = *(T *)(p[0] + j * s[0]); *(TY *)(p[1] + j * s[1]) = (TY)(EXPR); } \
}
#define BINARY_LOOP(NAME, T, TY, EXPR) \
static void NAME(char **p, const intptr_t *n, const intptr_t *s, void *data) { \
    (void)data; \
    for (intptr_t j = 0; j < *n; j++) { \
        T a = *(T *)(p[0] + j * s[0]), b = *(T *)(p[1] + j * s[1]); \
        *(TY *)(p[2] + j * s[2]) = (TY)(EXPR); \
    } \
}
BINARY_LOOP(l_add, double, double, a + b) BINARY_LOOP(l_sub, double, double, a - b)
BINARY_LOOP(l_mul, double, double, a * b) BINARY_LOOP(l_div, double, double, a / b)
BINARY_LOOP(l_addi, int64_t, int64_t, a + b) BINARY_LOOP(l_muli, int64_t, int64_t, a * b)
BINARY_LOOP(l_max, double, double, a != a ? a : a > b ? a : b)
BINARY_LOOP(l_min, double, double, a != a ? a : a < b ? a : b)
BINARY_LOOP(l_eq, double, uint8_t, a == b) BINARY_LOOP(l_ne, double, uint8_t, a != b)
BINARY_LOOP(l_lt, double, uint8_t, a < b) BINARY_LOOP(l_le, double, uint8_t, a <= b)
BINARY_LOOP(l_gt, double, uint8_t, a > b) BINARY_LOOP(l_ge, double, uint8_t, a >= b)
BINARY_LOOP(l_lti, int64_t, uint8_t, a < b) BINARY_LOOP(l_and, uint8_t, uint8_t, a & b)
BINARY_LOOP(l_atan2, double, double, atan2(a, b))
BINARY_LOOP(l_floor, double, double, a + floor(b))
UNARY_LOOP(l_neg, double, double, -a) UNARY_LOOP(l_square, double, double, a * a)
UNARY_LOOP(l_sqrt, double, double, sqrt(a)) UNARY_LOOP(l_recip, double, double, 1.0 / a)
UNARY_LOOP(l_abs, double, double, fabs(a)) UNARY_LOOP(l_sin, double, double, sin(a))
UNARY_LOOP(l_cos, double, double, cos(a))
/* clears the flags, as some of NumPy's loops do */
static void l_exp(char **p, const intptr_t *n, const intptr_t *s, void *data) {
    (void)data;
    for (intptr_t j = 0; j < *n; j++) *(double *)(p[1] + j * s[1]) = exp(*(double *)(p[0] + j * s[0]));
    feclearexcept(FE_ALL_EXCEPT);
}
static void l_fma(char **p, const intptr_t *n, const intptr_t *s, void *data) {
    (void)data;
    for (intptr_t j = 0; j < *n; j++)
        *(double *)(p[3] + j * s[3]) =
            *(double *)(p[0] + j * s[0]) * *(double *)(p[1] + j * s[1]) + *(double *)(p[2] + j * s[2]);
}

static const fa_cell ones[1] = {{.f = 1}}, minus_ones[1] = {{.f = -1}}, twos[1] = {{.f = 2}}, halves[1] = {{.f = 0.5}};
static const fa_cell signs[3] = {{.f = 0}, {.f = 1}, {.f = -1}}, ties[3] = {{.f = 0}, {.f = 1}, {.f = 0.5}};
#define F(OP, ...) {OP, FA_F64, FA_F64, {__VA_ARGS__}}
#define B(OP, ...) {OP, FA_F64, FA_BOOL, {__VA_ARGS__}}
static const fa_tinstr t_div_a[] = {F(FA_RECIPROCAL, 1)}, t_div_b[] = {F(FA_DIVIDE, 3, 1), F(FA_NEGATIVE, 4)};
static const fa_tinstr t_square[] = {F(FA_MULTIPLY, 4, 0)}, t_sqrt[] = {F(FA_DIVIDE, 4, 3)};
static const fa_tinstr t_recip[] = {F(FA_SQUARE, 3), F(FA_NEGATIVE, 4)};
static const fa_tinstr t_abs[] = {B(FA_GREATER, 0, 4), B(FA_LESS, 0, 4), F(FA_WHERE, 8, 6, 4), F(FA_WHERE, 7, 5, 9)};
static const fa_tinstr t_max_a[] = {B(FA_GREATER, 0, 1), B(FA_EQUAL, 0, 1), F(FA_WHERE, 8, 6, 4), F(FA_WHERE, 7, 5, 9)};
static const fa_tinstr t_max_b[] = {B(FA_LESS, 0, 1), B(FA_EQUAL, 0, 1), F(FA_WHERE, 8, 6, 4), F(FA_WHERE, 7, 5, 9)};
static const fa_tinstr t_cos[] = {F(OP_COS, 0)}, t_msin[] = {F(OP_SIN, 0), F(FA_NEGATIVE, 4)};
static const fa_tinstr t_atan_a[] = {F(FA_SQUARE, 0), F(FA_SQUARE, 1), F(FA_ADD, 4, 5), F(FA_DIVIDE, 1, 6)};
static const fa_tinstr t_atan_b[] = {F(FA_SQUARE, 0), F(FA_SQUARE, 1), F(FA_ADD, 4, 5), F(FA_DIVIDE, 0, 6),
                                     F(FA_NEGATIVE, 7)};
/* sin(x) again, but its partial takes a detour of 20 instructions, more than there are buffers, and one of the first
   temporaries is needed at the very end */
enum { NCHAIN = 20 };
static fa_tinstr t_chain[NCHAIN];
#define T(INSTR, CONSTS, NCONST, OUT) \
    (fa_template){sizeof(INSTR) / sizeof(fa_tinstr), NCONST, OUT, INSTR, CONSTS}
static const fa_template tone = {0, 1, 4, 0, ones}, tminus = {0, 1, 4, 0, minus_ones}, tzero = {0, 0, FA_ZERO, 0, 0};
static fa_template direct(int slot) { return (fa_template){0, 0, (uint16_t)slot, 0, 0}; }

static void prim(int op, int arity, fa_loopfn f, fa_template a, fa_template b) {
    fa_prims[op] = (fa_prim){.arity = (uint8_t)arity, .differentiable = 1, .loop = {{f, 0}}, .partial = {a, b, tzero}};
}
static void make_prims(void) {
    static const fa_loopfn compare[6] = {l_eq, l_ne, l_lt, l_le, l_gt, l_ge};
    prim(FA_ADD, 2, l_add, tone, tone);
    prim(FA_SUBTRACT, 2, l_sub, tone, tminus);
    prim(FA_MULTIPLY, 2, l_mul, direct(1), direct(0));
    prim(FA_DIVIDE, 2, l_div, T(t_div_a, 0, 0, 4), T(t_div_b, 0, 0, 5));
    prim(FA_NEGATIVE, 1, l_neg, tminus, tzero);
    prim(FA_SQUARE, 1, l_square, T(t_square, twos, 1, 5), tzero);
    prim(FA_SQRT, 1, l_sqrt, T(t_sqrt, halves, 1, 5), tzero);
    prim(FA_RECIPROCAL, 1, l_recip, T(t_recip, 0, 0, 5), tzero);
    prim(FA_ABSOLUTE, 1, l_abs, T(t_abs, signs, 3, 10), tzero);
    prim(FA_MAXIMUM, 2, l_max, T(t_max_a, ties, 3, 10), T(t_max_b, ties, 3, 10));
    prim(FA_MINIMUM, 2, l_min, T(t_max_b, ties, 3, 10), T(t_max_a, ties, 3, 10));
    for (int k = 0; k < 6; k++) prim(FA_EQUAL + k, 2, compare[k], tzero, tzero);
    prim(FA_WHERE, 3, 0, tzero, tzero);
    prim(FA_STRONGZERO, 2, 0, tzero, tzero);
    prim(FA_ZEROPRODUCT, 2, 0, tzero, tzero);
    prim(OP_EXP, 1, l_exp, direct(3), tzero);
    prim(OP_SIN, 1, l_sin, T(t_cos, 0, 0, 4), tzero);
    prim(OP_COS, 1, l_cos, T(t_msin, 0, 0, 5), tzero);
    prim(OP_ARCTAN2, 2, l_atan2, T(t_atan_a, 0, 0, 7), T(t_atan_b, 0, 0, 8));
    prim(OP_FMA, 3, l_fma, direct(1), direct(0));
    fa_prims[OP_FMA].partial[2] = tone;
    t_chain[0] = (fa_tinstr)F(OP_COS, 0);
    t_chain[1] = (fa_tinstr)F(FA_SQUARE, 0);
    t_chain[2] = (fa_tinstr)F(FA_ADD, 4, 0);
    for (int k = 3; k < NCHAIN - 2; k++)     /* - x and + x in turn */
        t_chain[k] = (fa_tinstr)F((uint16_t)(k % 2 ? FA_SUBTRACT : FA_ADD), (uint16_t)(3 + k), 0);
    t_chain[NCHAIN - 2] = (fa_tinstr)F(FA_SUBTRACT, 4 + NCHAIN - 3, 5);
    t_chain[NCHAIN - 1] = (fa_tinstr)F(FA_ADD, 4 + NCHAIN - 2, 5);
    prim(OP_CHAIN, 1, l_sin, T(t_chain, 0, 0, 4 + NCHAIN - 1), tzero);
    prim(OP_PLUS_FLOOR, 2, l_floor, tone, tzero);
    prim(OP_AND, 2, 0, tzero, tzero);
    fa_prims[OP_AND].loop[FA_BOOL].fn = l_and;
    fa_prims[FA_ADD].loop[FA_I64].fn = l_addi;
    fa_prims[FA_MULTIPLY].loop[FA_I64].fn = l_muli;
    fa_prims[FA_LESS].loop[FA_I64].fn = l_lti;
    for (int op = FA_ELEMENTWISE; op <= OP_AND; op++)
        for (int k = 0; k < 3; k++)
            if (fa_check_template(&fa_prims[op].partial[k])) { failures++; printf("template of %d, %d\n", op, k); }
}

static void naive_dgemm(int ta, int tb, int64_t m, int64_t n, int64_t k, const double *a, const double *b, double *c,
                        double beta) {
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double s = beta == 0 ? 0 : beta * c[i * n + j];
            for (int64_t l = 0; l < k; l++)
                s += (ta ? a[l * m + i] : a[i * k + l]) * (tb ? b[j * k + l] : b[l * n + j]);
            c[i * n + j] = s;
        }
}

/* ---- programs ------------------------------------------------------------------------------------------------- */
enum { MAXI = 64, MAXP = 4096 };
typedef struct {
    uint32_t n, npool, nattrs, navals, aval[MAXI], arg[2 * MAXI], pool[MAXP], share[MAXI];
    uint16_t op[MAXI];
    fa_aval avals[MAXI + FA_NAVAL_SCALAR];
    int64_t shapes[MAXI];                    /* arrays are flat: kernels see shapes only through attributes */
    void *attrs[MAXI];
    fa_guard guards[4];
    fa_cell v[MAXI], t[MAXI], adj[MAXI];
    uint8_t active[MAXI];
    void *memory[4 * MAXI];
    uint32_t nmemory;
    fa_env env;
} prog;

static void *own(prog *p, void *memory) { return p->memory[p->nmemory++] = memory; }

static prog *new_prog(void) {
    prog *p = calloc(1, sizeof *p);
    for (int k = 0; k < FA_NAVAL_SCALAR; k++) p->avals[k] = (fa_aval){(uint8_t)(k % FA_NDTYPE), k >= FA_NDTYPE, 0, 1, 0};
    p->navals = FA_NAVAL_SCALAR;
    p->n = 1;
    p->env.dgemm = naive_dgemm;
    return p;
}
static void free_prog(prog *p) {
    for (uint32_t k = 0; k < p->nmemory; k++) free(p->memory[k]);
    free(p);
}
/* size < 0: rank 0 */
static uint32_t push(prog *p, int op, int dtype, int64_t size, uint32_t a, uint32_t b) {
    uint32_t i = p->n++;
    p->op[i] = (uint16_t)op;
    p->aval[i] = (uint32_t)dtype;
    if (size >= 0) {
        p->shapes[i] = size;
        p->avals[p->navals] = (fa_aval){(uint8_t)dtype, 0, 1, size, &p->shapes[i]};
        p->aval[i] = p->navals++;
    }
    p->arg[2 * i] = a;
    p->arg[2 * i + 1] = b;
    return i;
}
static uint32_t attr(prog *p, const void *a) {
    p->attrs[p->nattrs] = (void *)a;
    return p->nattrs++;
}
static uint32_t nary(prog *p, int op, int dtype, int64_t size, uint32_t n, const uint32_t *ids, const void *a) {
    uint32_t start = p->npool;
    p->pool[p->npool++] = n;
    for (uint32_t k = 0; k < n; k++) p->pool[p->npool++] = ids[k];
    return push(p, op, dtype, size, start, a ? attr(p, a) : 0);
}
static uint32_t input(prog *p, int64_t size) { return push(p, FA_INPUT, FA_F64, size, 0, 0); }
static const fa_aval *aval_at(prog *p, uint32_t i) { return &p->avals[p->aval[i]]; }
static char *data_at(prog *p, fa_cell *file, uint32_t i) { return fa_data(&file[i], aval_at(p, i)); }
static double *f64_at(prog *p, fa_cell *file, uint32_t i) { return (double *)data_at(p, file, i); }

static void *bytes_for(prog *p, uint32_t i) {
    size_t n = (size_t)fa_nbytes(aval_at(p, i));
    void *m = own(p, malloc(n ? n : 1));
    memset(m, 0x5a, n);                      /* a sweep must not count on zeros */
    return m;
}
/* a constant with given data */
static uint32_t constant(prog *p, int dtype, int64_t size, const void *data) {
    uint32_t i = push(p, FA_CONST, dtype, size, 0, 0);
    if (size >= 0) p->v[i].p = bytes_for(p, i);
    memcpy(data_at(p, p->v, i), data, (size_t)fa_nbytes(aval_at(p, i)));
    return i;
}
static fa_code code_of(prog *p) {
    return (fa_code){p->n, p->op, p->aval, p->arg, 0, p->pool, p->aval, p->avals, p->attrs, p->guards, 0, 0, 0};
}
/* i lives in the memory of share[i] */
static void place(prog *p, fa_cell *file) {
    for (uint32_t i = 1; i < p->n; i++) {
        if (aval_at(p, i)->nd == 0 || p->op[i] == FA_CONST) continue;
        file[i].p = p->share[i] ? file[p->share[i]].p : bytes_for(p, i);
    }
}
static int run(prog *p) {
    fa_code c = code_of(p);
    return fa_forward(&c, p->v, &p->env);
}
static void random_fill(double *x, int64_t n) {
    for (int64_t k = 0; k < n; k++) x[k] = uniform() * (below(2) ? 1 : -1);
}

/* the same program in float32: single.h */
static void check_single(prog *p, const char *label, double *const *x, double *const *dx, const double *w);

/* ---- the derivative check --------------------------------------------------------------------------------------- */
static void load_inputs(prog *p, double *const *x, double *const *dx, double h) {
    for (uint32_t i = 1; i < p->n; i++)
        if (p->op[i] == FA_INPUT)
            for (int64_t k = 0; k < aval_at(p, i)->size; k++)
                f64_at(p, p->v, i)[k] = x[i][k] + (h != 0 ? h * dx[i][k] : 0);
}
static double dot(int64_t n, const double *a, const double *b) {
    double s = 0;
    for (int64_t k = 0; k < n; k++) s += a[k] * b[k];
    return s;
}
/* Finite differences along dx (skipped if the tolerance is 0), and <w, J dx> = <J^T w, dx>, for the last value. */
static void check_derivatives(prog *p, const char *label, double fd_tolerance) {
    uint32_t out = p->n - 1;
    int64_t m = aval_at(p, out)->size;
    double *x[MAXI], *dx[MAXI], *w = own(p, malloc((size_t)m * 8 + 8)), *yp = own(p, malloc((size_t)m * 8 + 8));
    double h = 1e-6, scale = 1e-300, left, right = 0;
    fa_code c = code_of(p);
    place(p, p->v);
    memset(p->t, 0x5a, sizeof p->t);         /* what is inactive may not be looked at */
    memset(p->adj, 0x5a, sizeof p->adj);
    place(p, p->t);
    place(p, p->adj);
    for (uint32_t i = 1; i < p->n; i++) {
        const fa_aval *av = aval_at(p, i);
        p->active[i] = av->dtype == FA_F64 && p->op[i] != FA_CONST && p->op[i] != FA_STOP;
        if (p->op[i] != FA_INPUT) continue;
        x[i] = own(p, malloc((size_t)av->size * 8 + 8));
        dx[i] = own(p, malloc((size_t)av->size * 8 + 8));
        random_fill(x[i], av->size);
        random_fill(dx[i], av->size);
    }
    if (fd_tolerance > 0) {
        load_inputs(p, x, dx, h);
        EXPECT(run(p) == FA_OK, "%s: forward", label);
        memcpy(yp, data_at(p, p->v, out), (size_t)m * 8);
        load_inputs(p, x, dx, -h);
        run(p);
        for (int64_t k = 0; k < m; k++) yp[k] = (yp[k] - f64_at(p, p->v, out)[k]) / (2 * h);
    }
    load_inputs(p, x, dx, 0);
    EXPECT(run(p) == FA_OK, "%s: forward", label);
    for (uint32_t i = 1; i < p->n; i++)
        if (p->op[i] == FA_INPUT) memcpy(data_at(p, p->t, i), dx[i], (size_t)aval_at(p, i)->size * 8);
    EXPECT(fa_tangent(&c, p->v, p->t, p->active, &p->env) == FA_OK, "%s: tangent", label);
    const double *yd = f64_at(p, p->t, out);
    for (int64_t k = 0; k < m && fd_tolerance > 0; k++)
        EXPECT(fabs(yd[k] - yp[k]) <= fd_tolerance * (1 + fabs(yd[k])), "%s[%d]: tangent %.12g, difference %.12g",
               label, (int)k, yd[k], yp[k]);
    random_fill(w, m);
    left = dot(m, w, yd);
    for (uint32_t i = 1; i < p->n; i++)
        if (p->active[i]) memset(data_at(p, p->adj, i), 0, (size_t)aval_at(p, i)->size * 8);
    memcpy(data_at(p, p->adj, out), w, (size_t)m * 8);
    for (int64_t k = 0; k < m; k++) scale += fabs(w[k] * yd[k]);
    EXPECT(fa_reverse(&c, p->v, p->adj, p->active, &p->env) == FA_OK, "%s: reverse", label);
    for (uint32_t i = 1; i < p->n; i++)
        if (p->op[i] == FA_INPUT) {
            double *xbar = f64_at(p, p->adj, i);
            right += dot(aval_at(p, i)->size, xbar, dx[i]);
            for (int64_t k = 0; k < aval_at(p, i)->size; k++) scale += fabs(xbar[k] * dx[i][k]);
        }
    EXPECT(fabs(left - right) <= 1e-13 * scale, "%s: <w, J v> = %.17g but <J^T w, v> = %.17g", label, left, right);
    check_single(p, label, x, dx, w);
}
#endif
