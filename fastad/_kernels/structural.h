/* structural.h - what one instruction that is not elementwise does to data.
   Owns: the value semantics of every structural opcode of layout.h except leaves and GUARD.
   Must not know: the order of instructions, cells, derivatives.
   A pointer to a rank-0 operand or result is the pointer to its cell.
   Next: forward.h, which calls fa_kernel for whatever is not a scalar; tangent.h, which applies the linear ones
   to tangents. */
#ifndef FASTAD_STRUCTURAL_H
#define FASTAD_STRUCTURAL_H
#include "elementwise.h"
#include "products.h"
#include "reduce.h"

FA_INLINE int64_t fa_nbytes(const fa_aval *av) { return av->size * fa_itemsize[av->dtype]; }

/* in place (the result's memory is the old value's): nothing to copy */
FA_INLINE void fa_begin_with(const fa_aval *av, const char *old, char *out) {
    if (out != old && av->size) memcpy(out, old, (size_t)fa_nbytes(av));
}

/* ---- maps --------------------------------------------------------------------------------------------------- */
/* The fill is an argument since a tangent's fill is zero. */
FA_FN void fa_do_move(const fa_map *map, int dtype, fa_cell fill, int64_t size, const char *x, char *out) {
    if (!map->covers || !map->dst_injective) fa_fill(dtype, fill, size, out);
    if (map->dst_injective) fa_map_copy(map, dtype, out, x);
    else fa_map_add(map, dtype, out, x);
}

/* one operand of ASSEMBLE; the caller has filled the result */
FA_INLINE void fa_assemble_part(const fa_assemble *as, int k, int dtype, const char *x, char *out) {
    if (as->accumulate || !as->maps[k]->dst_injective) fa_map_add(as->maps[k], dtype, out, x);
    else fa_map_copy(as->maps[k], dtype, out, x);
}

FA_FN int fa_assemble_needs_fill(const fa_assemble *as) {
    if (as->accumulate || !as->covers) return 1;
    for (int k = 0; k < as->n; k++) if (!as->maps[k]->dst_injective) return 1;
    return 0;
}

/* ---- stack -------------------------------------------------------------------------------------------------- */
FA_INLINE int64_t fa_stack_pos(const fa_stack *st, int64_t k) { return st->pos ? st->pos[k] : k; }

/* scalar number k into its place */
FA_INLINE void fa_stack_put(const fa_stack *st, int64_t k, int dtype, fa_cell s, char *out) {
    int64_t at = fa_stack_pos(st, k);
    if (dtype == FA_F64) {
        fa_f64 *y = (fa_f64 *)out + at;
        *y = st->accumulate ? *y + s.f : s.f;
    } else if (dtype == FA_F32) {
        fa_f32 *y = (fa_f32 *)out + at;
        *y = st->accumulate ? *y + s.s : s.s;
    } else if (dtype == FA_I64) {
        fa_i64 *y = (fa_i64 *)out + at;
        *y = st->accumulate ? (int64_t)((uint64_t)*y + (uint64_t)s.i) : s.i;
    } else out[at] = (char)(st->accumulate ? out[at] | s.i : s.i);
}

FA_FN void fa_stack_begin(const fa_stack *st, const fa_aval *av, const char *base, char *out) {
    if (st->has_base) fa_begin_with(av, base, out);
    else if (st->accumulate || st->pos || st->n < av->size) fa_fill(av->dtype, (fa_cell){.i = 0}, av->size, out);
}

/* ---- indexing by values ------------------------------------------------------------------------------------- */
#define FA_TAKE_LOOP(T) \
    do { \
        for (int64_t k = 0; k < m; k++) { \
            if ((uint64_t)idx[k] >= (uint64_t)n) return FA_EINDEX; \
            ((T *)out)[k] = ((const T *)x)[idx[k]]; \
        } \
    } while (0)
FA_FN int fa_take(int dtype, int64_t n, const char *x, int64_t m, const int64_t *idx, char *out) {
    if (fa_itemsize[dtype] == 1) FA_TAKE_LOOP(char);
    else if (fa_itemsize[dtype] == 4) FA_TAKE_LOOP(fa_u32);
    else FA_TAKE_LOOP(fa_i64);
    return FA_OK;
}
#undef FA_TAKE_LOOP

/* out.flat[idx] = v, in order; v is as large as idx or one element (vstep 0) */
FA_FN int fa_put(int dtype, int64_t n, int64_t m, const int64_t *idx, const char *v, int64_t vstep, char *out) {
    for (int64_t k = 0; k < m; k++) {
        if ((uint64_t)idx[k] >= (uint64_t)n) return FA_EINDEX;
        if (fa_itemsize[dtype] == 1) out[idx[k]] = v[k * vstep];
        else if (fa_itemsize[dtype] == 4) ((fa_u32 *)out)[idx[k]] = ((const fa_u32 *)v)[k * vstep];
        else ((fa_i64 *)out)[idx[k]] = ((const fa_i64 *)v)[k * vstep];
    }
    return FA_OK;
}

/* out.flat[idx] += v; of bools: or */
FA_FN int fa_addat(int dtype, int64_t n, int64_t m, const int64_t *idx, const char *v, int64_t vstep, char *out) {
    for (int64_t k = 0; k < m; k++) {
        int64_t at = idx[k], from = k * vstep;
        if ((uint64_t)at >= (uint64_t)n) return FA_EINDEX;
        if (dtype == FA_F64) ((fa_f64 *)out)[at] += ((const fa_f64 *)v)[from];
        else if (dtype == FA_F32) ((fa_f32 *)out)[at] += ((const fa_f32 *)v)[from];
        else if (dtype == FA_BOOL) out[at] |= v[from];
        else ((fa_i64 *)out)[at] = (int64_t)((uint64_t)((fa_i64 *)out)[at] + (uint64_t)((const fa_i64 *)v)[from]);
    }
    return FA_OK;
}

FA_FN int fa_wrap(int64_t n, int64_t m, const int64_t *idx, int64_t *out) {
    for (int64_t k = 0; k < m; k++) {
        int64_t i = idx[k];
        if (i < -n || i >= n) return FA_EINDEX;
        out[k] = i < 0 ? i + n : i;
    }
    return FA_OK;
}

FA_FN void fa_cumsum_axis(const fa_axis *ax, int dtype, const char *x, char *out) {
    if (dtype == FA_F64) fa_cumsum_f64(ax, (const double *)x, (double *)out);
    else if (dtype == FA_F32) fa_cumsum_f32(ax, (const float *)x, (float *)out);
    else if (dtype == FA_I64) fa_cumsum_i64(ax, (const int64_t *)x, (int64_t *)out);
    else fa_cumsum_bool(ax, (const uint8_t *)x, (int64_t *)out);
}

FA_FN int fa_call_foreign(const fa_call *call, int nin, char *const *in, char *out, fa_env *env) {
    env->has_foreign = 1;
    return call->fn(call->self, nin, (const char *const *)in, out) ? FA_EFOREIGN : FA_OK;
}

/* LAPACK raises floating-point exceptions on its way that say nothing about the result. */
FA_FN int fa_run_lapack(const fa_lapack *p, int nin, char *const *in, char *out) {
    const double *x[FA_LAPACK_OPERANDS] = {0, 0, 0};
    int status = 0, flags = fa_fpflags();
    for (int64_t b = 0; b < p->batch && !status; b++) {
        for (int j = 0; j < nin; j++) x[j] = (const double *)in[j] + (p->shared >> j & 1 ? 0 : b * p->size[j]);
        status = p->one(p, x, (double *)out + b * p->out);
    }
    fa_fprestore(flags);
    return status == 0 ? FA_OK : status == 1 ? FA_ELINALG : FA_ENOMEM;
}

/* ---- every structural opcode ---------------------------------------------------------------------------------- */
/* Operands in the order of layout.h.  ELEMENT's attr is its flat index as (const void *)(uintptr_t)index, since it has
   no entry in the table of attributes.  A rank-0 result of dtype bool writes one byte only: hand in a zeroed cell.
   WRITE and PUT work in place when out is in[0]; so do ERASE, RESHAPE, STOP and STACK with a base.
   WRITE stores: its destination must be injective.
   Returns FA_OK, FA_EINDEX, FA_EFOREIGN, FA_ELINALG, FA_ENOMEM or FA_EOPCODE. */
FA_FN int fa_kernel(uint16_t op, const void *attr, int nin, const fa_aval *const *in_av, char *const *in,
                    const fa_aval *out_av, char *out, fa_env *env) {
    const int dtype = out_av->dtype, xtype = nin ? in_av[0]->dtype : dtype;
    const fa_cell zero = {.i = 0};
    switch (op) {
    case FA_ELEMENT:
        memcpy(out, in[0] + (int64_t)(uintptr_t)attr * fa_itemsize[dtype], (size_t)fa_itemsize[dtype]);
        return FA_OK;
    case FA_RESHAPE: case FA_STOP: fa_begin_with(out_av, in[0], out); return FA_OK;
    case FA_CAST: fa_cast_block(out_av->size, xtype, dtype, (fa_span){in[0], fa_itemsize[xtype]}, out); return FA_OK;
    case FA_MOVE: {
        const fa_map *map = attr;
        fa_do_move(map, dtype, map->fill, out_av->size, in[0], out);
        return FA_OK;
    }
    case FA_ERASE:
        fa_begin_with(out_av, in[0], out);
        fa_map_zero(attr, dtype, out);
        return FA_OK;
    case FA_WRITE:
        fa_begin_with(out_av, in[0], out);
        fa_map_copy(attr, dtype, out, in[1]);
        return FA_OK;
    case FA_ASSEMBLE: {
        const fa_assemble *as = attr;
        if (fa_assemble_needs_fill(as)) fa_fill(dtype, as->fill, out_av->size, out);
        for (int k = 0; k < nin; k++) fa_assemble_part(as, k, dtype, in[k], out);
        return FA_OK;
    }
    case FA_STACK: {
        const fa_stack *st = attr;
        fa_stack_begin(st, out_av, in[0], out);
        for (int64_t k = 0; k < st->n; k++) {
            fa_cell s = zero;
            memcpy(&s, in[k + st->has_base], (size_t)fa_itemsize[dtype]);
            fa_stack_put(st, k, dtype, s, out);
        }
        return FA_OK;
    }
    case FA_TAKE: return fa_take(dtype, in_av[0]->size, in[0], in_av[1]->size, (const int64_t *)in[1], out);
    case FA_ADDAT:
        fa_fill(dtype, zero, out_av->size, out);
        return fa_addat(dtype, out_av->size, in_av[0]->size, (const int64_t *)in[0], in[1], in_av[1]->nd != 0, out);
    case FA_PUT:
        fa_begin_with(out_av, in[0], out);
        return fa_put(dtype, out_av->size, in_av[1]->size, (const int64_t *)in[1], in[2], in_av[2]->nd != 0, out);
    case FA_WRAP: return fa_wrap(*(const int64_t *)attr, out_av->size, (const int64_t *)in[0], (int64_t *)out);
    case FA_LASTWRITER:
        return fa_lastwriter(*(const int64_t *)attr, in_av[0]->size, (const int64_t *)in[0], (uint8_t *)out);
    case FA_FLATNONZERO: fa_flatnonzero(xtype, in_av[0]->size, in[0], out_av->size, (int64_t *)out); return FA_OK;
    case FA_SUM:
        if (xtype == FA_F64) fa_sum_axis_f64(attr, (const double *)in[0], (double *)out);
        else if (xtype == FA_F32) fa_sum_axis_f32(attr, (const float *)in[0], (float *)out);
        else fa_sum_axis_int(attr, xtype, in[0], (int64_t *)out);
        return FA_OK;
    case FA_MAXR: case FA_MINR: fa_extremum_axis(attr, xtype, op == FA_MAXR, in[0], out); return FA_OK;
    case FA_ANY: case FA_ALL: fa_any_all_axis(attr, xtype, op == FA_ALL, in[0], (uint8_t *)out); return FA_OK;
    case FA_ARGMAX: case FA_ARGMIN:
        fa_argextremum_axis(attr, xtype, op == FA_ARGMAX, in[0], (int64_t *)out);
        return FA_OK;
    case FA_CUMSUM: fa_cumsum_axis(attr, xtype, in[0], out); return FA_OK;
    case FA_ARGSORT: return fa_argsort_axis(attr, xtype, in[0], (int64_t *)out);
    case FA_SEARCHSORTED:
        fa_searchsorted(xtype, *(const int64_t *)attr != 0, in_av[0]->size, in[0], in_av[1]->size, in[1],
                        (int64_t *)out);
        return FA_OK;
    case FA_MATMUL:
        if (dtype == FA_F64)
            fa_matmul_f64(attr, env->dgemm, (const double *)in[0], (const double *)in[1], (double *)out, 0);
        else if (dtype == FA_F32)
            fa_matmul_f32(attr, env->sgemm, (const float *)in[0], (const float *)in[1], (float *)out, 0);
        else fa_matmul_int(attr, dtype, in[0], in[1], out);
        return FA_OK;
    case FA_SPMM:
        if (dtype == FA_F64) fa_spmm_f64(attr, (const double *)in[0], (const double *)in[1], (double *)out);
        else fa_spmm_f32(attr, (const float *)in[0], (const float *)in[1], (float *)out);
        return FA_OK;
    case FA_CALL: return fa_call_foreign(attr, nin, in, out, env);
    case FA_LAPACK: return fa_run_lapack(attr, nin, in, out);
    default: return FA_EOPCODE;
    }
}
#endif
