/* elementwise.h - elementwise primitives on whole arrays, block by block.
   Owns: which loop runs on which operands; WHERE, STRONGZERO, ZEROPRODUCT and CAST, which NumPy has no inner loop for.
   Must not know: where operands come from, derivatives.
   Every operand is as large as the result or of rank 0; this is a span: a pointer and a step of one item or 0.
   Next: template.h (partials on blocks), move.h (everything that is not elementwise). */
#ifndef FASTAD_ELEMENTWISE_H
#define FASTAD_ELEMENTWISE_H
#include "scalar.h"

typedef struct { const char *p; intptr_t step; } fa_span;

FA_INLINE fa_span fa_span_of(const fa_aval *av, const char *p) {
    return (fa_span){p, av->nd ? fa_itemsize[av->dtype] : 0};
}
FA_INLINE fa_span fa_span_at(fa_span s, int64_t j) { return (fa_span){s.p + j * s.step, s.step}; }

/* ---- own block kernels -------------------------------------------------------------------------------------- */
/* Two products at a time, by masks on both factors.  The compiler makes a branch of a select: it may not multiply 0 by
   infinity where the program does not, since that raises a flag.  Masked factors are +0, and raise none. */
typedef double fa_pair __attribute__((vector_size(16), aligned(8), may_alias));
typedef int64_t fa_pair_mask __attribute__((vector_size(16)));

FA_INLINE fa_pair fa_masked_product(fa_pair w, fa_pair p, fa_pair_mask mask) {
    return (fa_pair)((fa_pair_mask)w & mask) * (fa_pair)((fa_pair_mask)p & mask);
}
FA_INLINE fa_pair fa_strongzero_pair(fa_pair w, fa_pair p) { return fa_masked_product(w, p, w != 0.0); }
FA_INLINE fa_pair fa_zeroproduct_pair(fa_pair w, fa_pair p) { return fa_masked_product(w, p, (w != 0.0) & (p != 0.0)); }

/* Steps of 0 or 1 element are turned into compile-time constants: no loop asks for them. */
#define FA_PAIR_AT(A) (*(const fa_pair *)(A))
#define FA_PRODUCT_LOOP(PRODUCT, INTO, A, B, ONE_A, ONE_B) do { \
        int64_t j = 0; \
        for (; j + 2 <= n; j += 2) *(fa_pair *)(y + j) INTO PRODUCT##_pair(A, B); \
        for (; j < n; j++) y[j] INTO PRODUCT(ONE_A, ONE_B); \
    } while (0)
#define FA_PRODUCT_BLOCK(PRODUCT, INTO) do { \
        const fa_f64 *a = (const fa_f64 *)w.p, *b = (const fa_f64 *)p.p; \
        if (n <= 0) break; \
        fa_pair as = {*a, *a}, bs = {*b, *b}; \
        if (w.step && p.step) FA_PRODUCT_LOOP(PRODUCT, INTO, FA_PAIR_AT(a + j), FA_PAIR_AT(b + j), a[j], b[j]); \
        else if (w.step) FA_PRODUCT_LOOP(PRODUCT, INTO, FA_PAIR_AT(a + j), bs, a[j], *b); \
        else if (p.step) FA_PRODUCT_LOOP(PRODUCT, INTO, as, FA_PAIR_AT(b + j), *a, b[j]); \
        else FA_PRODUCT_LOOP(PRODUCT, INTO, as, bs, *a, *b); \
    } while (0)
FA_FN void fa_strongzero_block(int64_t n, fa_span w, fa_span p, double *restrict y) {
    FA_PRODUCT_BLOCK(fa_strongzero, =);
}
FA_FN void fa_zeroproduct_block(int64_t n, fa_span w, fa_span p, double *restrict y) {
    FA_PRODUCT_BLOCK(fa_zeroproduct, =);
}

FA_FN void fa_where_block(int64_t n, int itemsize, fa_span c, fa_span a, fa_span b, char *y) {
    const uint8_t *mask = (const uint8_t *)c.p;
    int64_t cs = c.step != 0, as = a.step != 0, bs = b.step != 0;
    if (itemsize == 1) {
        for (int64_t j = 0; j < n; j++) y[j] = mask[j * cs] ? a.p[j * as] : b.p[j * bs];
    } else {
        const fa_i64 *u = (const fa_i64 *)a.p, *v = (const fa_i64 *)b.p;
        fa_i64 *out = (fa_i64 *)y;
        if (cs && as && bs) for (int64_t j = 0; j < n; j++) out[j] = mask[j] ? u[j] : v[j];
        else for (int64_t j = 0; j < n; j++) out[j] = mask[j * cs] ? u[j * as] : v[j * bs];
    }
}

FA_FN void fa_cast_block(int64_t n, int din, int dout, fa_span x, char *y) {
    const fa_f64 *f = (const fa_f64 *)x.p;
    const fa_i64 *i = (const fa_i64 *)x.p;
    const uint8_t *b = (const uint8_t *)x.p;
    int64_t s = x.step != 0;
    if (n == 0) return;
    if (din == dout && s) {
        memcpy(y, x.p, (size_t)(n * fa_itemsize[din]));
        return;
    }
    switch (3 * din + dout) {
    case 3 * FA_F64 + FA_F64: for (int64_t j = 0; j < n; j++) ((fa_f64 *)y)[j] = f[j * s]; break;
    case 3 * FA_F64 + FA_I64: for (int64_t j = 0; j < n; j++) ((fa_i64 *)y)[j] = fa_f64_to_i64(f[j * s]); break;
    case 3 * FA_F64 + FA_BOOL: for (int64_t j = 0; j < n; j++) y[j] = f[j * s] != 0; break;
    case 3 * FA_I64 + FA_F64: for (int64_t j = 0; j < n; j++) ((fa_f64 *)y)[j] = (double)i[j * s]; break;
    case 3 * FA_I64 + FA_I64: for (int64_t j = 0; j < n; j++) ((fa_i64 *)y)[j] = i[j * s]; break;
    case 3 * FA_I64 + FA_BOOL: for (int64_t j = 0; j < n; j++) y[j] = i[j * s] != 0; break;
    case 3 * FA_BOOL + FA_F64: for (int64_t j = 0; j < n; j++) ((fa_f64 *)y)[j] = b[j * s]; break;
    case 3 * FA_BOOL + FA_I64: for (int64_t j = 0; j < n; j++) ((fa_i64 *)y)[j] = b[j * s]; break;
    default: for (int64_t j = 0; j < n; j++) y[j] = (char)b[j * s]; break;
    }
}

/* ---- NumPy's loops ------------------------------------------------------------------------------------------ */
FA_FN void fa_fill_block(int64_t n, int itemsize, const char *x, char *y) {
    if (itemsize == 1) memset(y, *x, (size_t)n);
    else for (int64_t j = 0, v = *(const fa_i64 *)x; j < n; j++) ((fa_i64 *)y)[j] = v;
}

/* Our promise is "as NumPy's loop on contiguous operands".  Exactly rounded operations cannot tell a step of 0 from
   contiguous data, but transcendental loops may branch on the steps: for those a scalar operand is spread out once. */
FA_FN void fa_loop_spread(const fa_prim *prim, int din, int dout, int64_t n, const fa_span *in, char *y) {
    char spread[3][FA_BLOCK * 8] __attribute__((aligned(64)));
    const fa_loop *loop = &prim->loop[din];
    int arity = prim->arity, size = fa_itemsize[din];
    for (int k = 0; k < arity; k++)
        if (!in[k].step) fa_fill_block(n < FA_BLOCK ? n : FA_BLOCK, size, in[k].p, spread[k]);
    for (int64_t j = 0; j < n; j += FA_BLOCK) {
        intptr_t m = n - j < FA_BLOCK ? n - j : FA_BLOCK, steps[4] = {size, size, size, size};
        char *args[4];
        for (int k = 0; k < arity; k++) args[k] = in[k].step ? (char *)fa_span_at(in[k], j).p : spread[k];
        args[arity] = y + j * fa_itemsize[dout];
        steps[arity] = fa_itemsize[dout];
        loop->fn(args, &m, steps, loop->data);
    }
}

/* One elementwise primitive (or CAST) on n elements; y is contiguous.  din as in fa_scalar. */
FA_FN void fa_elementwise_block(uint16_t op, int din, int dout, int64_t n, const fa_span *in, char *y) {
    const fa_prim *prim = &fa_prims[op];
    int scalar_operand = 0;
    if (n == 0) return;
    if (op == FA_STRONGZERO) { fa_strongzero_block(n, in[0], in[1], (double *)y); return; }
    if (op == FA_ZEROPRODUCT) { fa_zeroproduct_block(n, in[0], in[1], (double *)y); return; }
    if (op == FA_WHERE) { fa_where_block(n, fa_itemsize[dout], in[0], in[1], in[2], y); return; }
    if (op == FA_CAST) { fa_cast_block(n, din, dout, in[0], y); return; }
    for (int k = 0; k < prim->arity; k++) scalar_operand |= !in[k].step;
    if (scalar_operand && op >= FA_OWN_END && din == FA_F64 && n > 1) {
        fa_loop_spread(prim, din, dout, n, in, y);
        return;
    }
    intptr_t m = n, steps[4];
    char *args[4];
    for (int k = 0; k < prim->arity; k++) {
        args[k] = (char *)in[k].p;
        steps[k] = n > 1 ? in[k].step : fa_itemsize[din];
    }
    args[prim->arity] = y;
    steps[prim->arity] = fa_itemsize[dout];
    prim->loop[din].fn(args, &m, steps, prim->loop[din].data);
}

/* The whole result.  A rank-0 result gets its full cell.  The dtype that chooses the loop is the first operand's,
   for WHERE the second's.  Collects in env the exceptions raised so far (the loop may clear them), and that a loop may
   have set a Python error: SciPy's do, and NumPy's integer powers. */
FA_FN void fa_elementwise(uint16_t op, int nin, const fa_aval *const *in_av, char *const *in, const fa_aval *out_av,
                          char *out, fa_env *env) {
    int din = in_av[op == FA_WHERE]->dtype;
    env->flags |= fa_fpflags();
    env->has_foreign |= fa_prims[op].foreign >> din & 1;
    if (out_av->nd == 0) {
        fa_cell x[3] = {{.i = 0}, {.i = 0}, {.i = 0}}, y;
        for (int k = 0; k < nin; k++) memcpy(&x[k], in[k], (size_t)fa_itemsize[in_av[k]->dtype]);
        y = fa_scalar(op, din, x);
        memcpy(out, &y, sizeof y);
        return;
    }
    fa_span spans[3];
    for (int k = 0; k < nin; k++) spans[k] = fa_span_of(in_av[k], in[k]);
    fa_elementwise_block(op, din, out_av->dtype, out_av->size, spans, out);
}
#endif
