/* elementwise.h - elementwise primitives on whole arrays, block by block.
   Owns: which loop runs on which operands; WHERE and CAST, which NumPy has no inner loop for.
   Must not know: where operands come from, derivatives.
   Every operand is as large as the result or of rank 0; this is a span: a pointer and a step of one item or 0.
   Arithmetic on real numbers runs by the steps of chains, alone and in loops: the bits are the same, NaN included.
   Next: chain.h (steps), template.h (partials on blocks), move.h (everything that is not elementwise). */
#ifndef FASTAD_ELEMENTWISE_H
#define FASTAD_ELEMENTWISE_H
#include "chain.h"
#include "chain_plan.h"

typedef struct { const char *p; intptr_t step; } fa_span;
enum { FA_MOST_AXES = 64 };              /* NumPy's limit */

FA_INLINE fa_span fa_span_of(const fa_aval *av, const char *p) {
    return (fa_span){p, av->nd ? fa_itemsize[av->dtype] : 0};
}
FA_INLINE fa_span fa_span_at(fa_span s, int64_t j) { return (fa_span){s.p + j * s.step, s.step}; }

/* ---- own block kernels -------------------------------------------------------------------------------------- */
/* Several products at a time, by masks on both factors.  The compiler makes a branch of a select: it may not multiply 0
   by infinity where the program does not, since that raises a flag.  Masked factors are +0, and raise none.
   Steps of 0 or 1 element are turned into compile-time constants: no loop asks for them. */
#define FA_PACK_AT(A) (*(const FA_R(fa_pack) *)(A))
#define FA_PRODUCT_LOOP(ONE, PACK, INTO, A, B, ONE_A, ONE_B) do { \
        int64_t j = 0; \
        for (; j + FA_LANES <= n; j += FA_LANES) *(FA_R(fa_pack) *)(y + j) INTO PACK(A, B); \
        for (; j < n; j++) y[j] INTO ONE(ONE_A, ONE_B); \
    } while (0)
#define FA_PRODUCT_BLOCK(ONE, PACK, INTO) do { \
        const FA_R(fa_any) *a = (const FA_R(fa_any) *)w.p, *b = (const FA_R(fa_any) *)p.p; \
        if (n <= 0) break; \
        FA_R(fa_pack) as = FA_R(fa_pack_of)(*a), bs = FA_R(fa_pack_of)(*b); \
        if (w.step && p.step) FA_PRODUCT_LOOP(ONE, PACK, INTO, FA_PACK_AT(a + j), FA_PACK_AT(b + j), a[j], b[j]); \
        else if (w.step) FA_PRODUCT_LOOP(ONE, PACK, INTO, FA_PACK_AT(a + j), bs, a[j], *b); \
        else if (p.step) FA_PRODUCT_LOOP(ONE, PACK, INTO, as, FA_PACK_AT(b + j), *a, b[j]); \
        else FA_PRODUCT_LOOP(ONE, PACK, INTO, as, bs, *a, *b); \
    } while (0)
#define FA_BODY "pack_real.h"
#include "reals.h"
#undef FA_PACK_AT
#undef FA_PRODUCT_LOOP
#undef FA_PRODUCT_BLOCK

#define FA_WHERE_LOOP(T) do { \
        const T *u = (const T *)a.p, *v = (const T *)b.p; \
        T *out = (T *)y; \
        if (cs && as && bs) for (int64_t j = 0; j < n; j++) out[j] = mask[j] ? u[j] : v[j]; \
        else for (int64_t j = 0; j < n; j++) out[j] = mask[j * cs] ? u[j * as] : v[j * bs]; \
    } while (0)
FA_FN void fa_where_block(int64_t n, int itemsize, fa_span c, fa_span a, fa_span b, char *y) {
    const uint8_t *mask = (const uint8_t *)c.p;
    int64_t cs = c.step != 0, as = a.step != 0, bs = b.step != 0;
    if (itemsize == 1) FA_WHERE_LOOP(char);
    else if (itemsize == 4) FA_WHERE_LOOP(fa_u32);
    else FA_WHERE_LOOP(fa_i64);
}
#undef FA_WHERE_LOOP

/* VALUE makes an element of the result of v, one of the operand. */
#define FA_CAST_LOOP(FROM, INTO, VALUE) do { \
        const FROM *from = (const FROM *)x.p; \
        INTO *into = (INTO *)y; \
        for (int64_t j = 0; j < n; j++) { FROM v = from[j * s]; into[j] = (INTO)(VALUE); } \
    } while (0)
FA_FN void fa_cast_block(int64_t n, int din, int dout, fa_span x, char *y) {
    int64_t s = x.step != 0;
    if (n == 0) return;
    if (din == dout && s) {
        memcpy(y, x.p, (size_t)(n * fa_itemsize[din]));
        return;
    }
    switch (FA_NDTYPE * din + dout) {
    case FA_NDTYPE * FA_F64 + FA_F64: FA_CAST_LOOP(fa_f64, fa_f64, v); break;
    case FA_NDTYPE * FA_F64 + FA_F32: FA_CAST_LOOP(fa_f64, fa_f32, v); break;
    case FA_NDTYPE * FA_F64 + FA_I64: FA_CAST_LOOP(fa_f64, fa_i64, fa_f64_to_i64(v)); break;
    case FA_NDTYPE * FA_F64 + FA_BOOL: FA_CAST_LOOP(fa_f64, uint8_t, v != 0); break;
    case FA_NDTYPE * FA_F32 + FA_F64: FA_CAST_LOOP(fa_f32, fa_f64, v); break;
    case FA_NDTYPE * FA_F32 + FA_F32: FA_CAST_LOOP(fa_f32, fa_f32, v); break;
    case FA_NDTYPE * FA_F32 + FA_I64: FA_CAST_LOOP(fa_f32, fa_i64, fa_f64_to_i64((double)v)); break;
    case FA_NDTYPE * FA_F32 + FA_BOOL: FA_CAST_LOOP(fa_f32, uint8_t, v != 0); break;
    case FA_NDTYPE * FA_I64 + FA_F64: FA_CAST_LOOP(fa_i64, fa_f64, v); break;
    case FA_NDTYPE * FA_I64 + FA_F32: FA_CAST_LOOP(fa_i64, fa_f32, v); break;
    case FA_NDTYPE * FA_I64 + FA_I64: FA_CAST_LOOP(fa_i64, fa_i64, v); break;
    case FA_NDTYPE * FA_I64 + FA_BOOL: FA_CAST_LOOP(fa_i64, uint8_t, v != 0); break;
    case FA_NDTYPE * FA_BOOL + FA_F64: FA_CAST_LOOP(uint8_t, fa_f64, v); break;
    case FA_NDTYPE * FA_BOOL + FA_F32: FA_CAST_LOOP(uint8_t, fa_f32, v); break;
    case FA_NDTYPE * FA_BOOL + FA_I64: FA_CAST_LOOP(uint8_t, fa_i64, v); break;
    default: FA_CAST_LOOP(uint8_t, uint8_t, v); break;
    }
}
#undef FA_CAST_LOOP

/* ---- NumPy's loops ------------------------------------------------------------------------------------------ */
FA_FN void fa_fill_block(int64_t n, int itemsize, const char *x, char *y) {
    if (itemsize == 1) memset(y, *x, (size_t)n);
    else if (itemsize == 4) for (int64_t j = 0; j < n; j++) ((fa_u32 *)y)[j] = *(const fa_u32 *)x;
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

/* One step of a chain as an instruction of its own: operands of rank 0 are spread out over a tile. */
typedef struct {
    char spread[2][FA_TILE_BYTES] __attribute__((aligned(64)));
    fa_chainstep plan[4];
    fa_chainat steps[4];
    const fa_chainset *set;
    int item, arity;
} fa_lonestep;

FA_FN void fa_arithmetic_begin(fa_lonestep *a, int code, int dtype, const fa_span *in, char *y) {
    int binary = code < FA_CHAIN_NEGATIVE;
    const fa_chainstep plan[] = {{FA_CHAIN_LOAD, 0, 1, 0}, {(uint8_t)code, 1, (uint8_t)binary, 0},
                                 {FA_CHAIN_STORE, 2, 0, 0}, {FA_CHAIN_END, 3, 0, 0}};
    const fa_chainat steps[] = {{.base = FA_CHAIN_FIXED}, {.base = FA_CHAIN_FIXED}, {.p = y, .base = FA_CHAIN_ARRAY},
                                {.base = FA_CHAIN_FIXED}};
    memcpy(a->plan, plan, sizeof plan);
    memcpy(a->steps, steps, sizeof steps);
    a->set = fa_chain_set(dtype);
    a->item = fa_itemsize[dtype];
    a->arity = binary + 1;
    for (int k = 0; k < a->arity; k++) {
        if (in[k].step) {
            a->steps[k].p = (char *)in[k].p;
            a->steps[k].base = FA_CHAIN_ARRAY;
        } else {
            fa_fill_block(FA_TILE_BYTES / a->item, a->item, in[k].p, a->spread[k]);
            a->steps[k].p = a->spread[k];
        }
    }
    for (int k = 0; k < 4; k++) a->steps[k].fn = a->set->fn[a->plan[k].code];
}

/* may_overlap: as in fa_chain_tiled */
FA_FN void fa_arithmetic_run(const fa_lonestep *a, int64_t n, int may_overlap) {
    fa_chaintile t = {{0}, 0, 0};
    int64_t rest = fa_chain_tiled(a->set, a->item, a->steps, &t, n, may_overlap);
    if (rest) fa_chain_rest(a->set, a->item, a->plan, a->steps, 4, &t, rest);
}

FA_FN void fa_arithmetic_block(int code, int dtype, int64_t n, const fa_span *in, char *y) {
    fa_lonestep a;
    fa_arithmetic_begin(&a, code, dtype, in, y);
    fa_arithmetic_run(&a, n, 0);
}

/* Does fa_arithmetic_rows know a primitive?  din and dout as in fa_scalar. */
FA_FN int fa_is_arithmetic(uint16_t op, int din, int dout) {
    return op != FA_WHERE && op != FA_CAST && fa_is_real(din) && din == dout && fa_chain_code(op) != FA_CHAIN_END;
}

/* The same on operands that lie in memory row by row, as slices do: strides[k], in bytes, are those of operand k, whose
   last axis is one row; NULL: it has rank 0.  The result is contiguous and overlaps none of them. */
FA_FN void fa_arithmetic_rows(uint16_t op, const fa_aval *out, char *const *in, const int64_t *const *strides,
                              char *y) {
    fa_lonestep a;
    int last = out->nd - 1, item = fa_itemsize[out->dtype];
    int64_t at[FA_MOST_AXES] = {0}, n = out->shape[last];
    fa_span spans[2];
    for (int k = 0; k < 2; k++) spans[k] = (fa_span){in[k], strides[k] ? item : 0};
    fa_arithmetic_begin(&a, fa_chain_code(op), out->dtype, spans, y);
    for (int64_t done = 0; done < out->size; done += n) {
        fa_arithmetic_run(&a, n, FA_CHAIN_MAY_OVERLAP);
        a.steps[2].p += n * item;
        for (int d = last - 1; d >= 0; d--) {
            int again = ++at[d] == out->shape[d];
            for (int k = 0; k < a.arity; k++)
                if (strides[k]) a.steps[k].p += strides[k][d] * (again ? 1 - at[d] : 1);
            if (!again) break;
            at[d] = 0;
        }
    }
}

/* One elementwise primitive (or CAST) on n elements; y is contiguous.  din as in fa_scalar. */
FA_FN void fa_elementwise_block(uint16_t op, int din, int dout, int64_t n, const fa_span *in, char *y) {
    const fa_prim *prim = &fa_prims[op];
    int scalar_operand = 0;
    if (n == 0) return;
    if (op == FA_WHERE) { fa_where_block(n, fa_itemsize[dout], in[0], in[1], in[2], y); return; }
    if (op == FA_CAST) { fa_cast_block(n, din, dout, in[0], y); return; }
    if (fa_is_arithmetic(op, din, dout)) {
        fa_arithmetic_block(fa_chain_code(op), din, n, in, y);
        return;
    }
    for (int k = 0; k < prim->arity; k++) scalar_operand |= !in[k].step;
    if (scalar_operand && op >= FA_OWN_END && fa_is_real(din) && n > 1) {
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
