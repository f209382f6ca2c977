/* forward.h - the forward sweep: values from inputs.
   Owns: any single instruction with its operands fetched, guards, the collection of exception flags.
   Must not know: derivatives, who owns the memory of the results.
   Next: forward_loop.h (the hot loop), tangent.h, reverse.h. */
#ifndef FASTAD_FORWARD_H
#define FASTAD_FORWARD_H
#include "fused.h"
#include "machine.h"
#include "operands.h"
#include "poll.h"

enum { FA_FEW = 16 };                        /* operands whose pointers fit on the stack */

/* Any instruction with its operands as pointers. */
FA_FN int fa_step_pointers(const fa_code *c, fa_cell *v, uint32_t i, fa_cell *dst, const fa_operands *o, fa_env *env) {
    const fa_aval *few_av[FA_FEW], **in_av = few_av, *out_av = &c->avals[c->aval[i]];
    char *few[FA_FEW], **in = few, *out;
    fa_cell cell = {.i = 0};
    uint16_t op = c->op[i];
    int code = FA_OK;
    if (o->n > FA_FEW) {
        in = malloc(o->n * (sizeof *in + sizeof *in_av));
        if (!in) return FA_ENOMEM;
        in_av = (const fa_aval **)(in + o->n);
    }
    for (uint32_t k = 0; k < o->n; k++) {
        in_av[k] = fa_aval_of(c, o->id[k]);
        in[k] = fa_data(&v[o->id[k]], in_av[k]);
    }
    out = out_av->nd ? (char *)dst->p : (char *)&cell;
    if (op >= FA_ELEMENTWISE) fa_elementwise(op, (int)o->n, in_av, in, out_av, out, env);
    else code = fa_kernel(op, o->attr, (int)o->n, in_av, in, out_av, out, env);
    if (!out_av->nd) *dst = cell;
    if (in != few) free(in);
    return code;
}

/* Same data under another shape: a shared pointer, or one element where a side has rank 0. */
FA_FN void fa_step_reshape(const fa_code *c, fa_cell *v, uint32_t i, fa_cell *dst) {
    uint32_t x = c->arg[2 * (size_t)i];
    const fa_aval *in_av = fa_aval_of(c, x), *out_av = &c->avals[c->aval[i]];
    if (in_av->nd && out_av->nd) dst->p = v[x].p;
    else if (out_av->nd) memcpy(dst->p, &v[x], (size_t)fa_itemsize[out_av->dtype]);
    else *dst = fa_load_cell(out_av->dtype, fa_data(&v[x], in_av));
}

/* scalars straight from their cells: there may be ten thousands */
FA_FN void fa_step_stack(const fa_code *c, fa_cell *v, uint32_t i, fa_cell *dst, const fa_operands *o) {
    const fa_stack *st = o->attr;
    const fa_aval *av = &c->avals[c->aval[i]];
    fa_cell cell = {.i = 0};
    char *out = av->nd ? (char *)dst->p : (char *)&cell;
    const uint32_t *id = o->id + st->has_base;
    fa_stack_begin(st, av, st->has_base ? fa_data_of(c, v, o->id[0]) : 0, out);
    for (int64_t k = 0; k < st->n; k++) fa_stack_put(st, k, av->dtype, v[id[k]], out);
    if (!av->nd) *dst = cell;
}

/* operands straight from their cells, too: nothing to allocate for a hundred slices */
FA_FN void fa_step_assemble(const fa_code *c, fa_cell *v, uint32_t i, fa_cell *dst, const fa_operands *o) {
    const fa_assemble *as = o->attr;
    const fa_aval *av = &c->avals[c->aval[i]];
    fa_cell cell = {.i = 0};
    char *out = av->nd ? (char *)dst->p : (char *)&cell;
    if (fa_assemble_needs_fill(as)) fa_fill(av->dtype, as->fill, av->size, out);
    for (uint32_t k = 0; k < o->n; k++) fa_assemble_part(as, (int)k, av->dtype, fa_data_of(c, v, o->id[k]), out);
    if (!av->nd) *dst = cell;
}

FA_INLINE int fa_guard_holds(const fa_code *c, const fa_cell *v, uint32_t x, uint32_t guard) {
    return v[x].i == c->guards[guard].expected;
}

static __attribute__((noinline, unused))
int fa_step(const fa_code *c, fa_cell *v, uint32_t i, fa_cell *dst, fa_env *env) {
    uint16_t op = c->op[i];
    fa_operands o;
    switch (op) {
    case FA_NOP: case FA_INPUT: case FA_CONST: case FA_CAPTURE: return FA_OK;
    case FA_RESHAPE: case FA_STOP: fa_step_reshape(c, v, i, dst); return FA_OK;
    case FA_GUARD:
        return fa_guard_holds(c, v, c->arg[2 * (size_t)i], c->arg[2 * (size_t)i + 1]) ? FA_OK : FA_EGUARD;
    case FA_FUSED: return fa_run_fused(c, v, c->fused[c->arg[2 * (size_t)i]], env);
    case FA_RUN: fa_run_packed(&c->runs[c->arg[2 * (size_t)i]], v, env); return FA_OK;
    default: break;
    }
    o = fa_operands_of(c, i);
    if (op == FA_STACK) {
        fa_step_stack(c, v, i, dst, &o);
        return FA_OK;
    }
    if (op == FA_ASSEMBLE) {
        fa_step_assemble(c, v, i, dst, &o);
        return FA_OK;
    }
    return fa_step_pointers(c, v, i, dst, &o, env);
}

/* float64 scalars whose opcode has no kernel of its own; 0 where it is not of that kind */
FA_INLINE int fa_step_scalar_loop(const fa_code *c, fa_cell *v, uint32_t i, fa_cell *dst, fa_env *env) {
    uint16_t op = c->op[i];
    uint32_t a = c->arg[2 * (size_t)i], b = c->arg[2 * (size_t)i + 1];
    if (op < FA_OWN_END || fa_prims[op].arity > 2 || !fa_is_f64(c->cell_aval[a])) return 0;
    env->flags |= fa_fpflags();
    env->has_foreign |= fa_prims[op].foreign & 1;
    *dst = fa_loop_once(op, FA_F64, v[a], v[fa_prims[op].arity == 2 ? b : a], v[a]);
    return 1;
}

/* ELEMENT's operand may have rank 0 too */
FA_INLINE double fa_element_f64(const fa_code *c, const fa_cell *v, uint32_t x, uint32_t at) {
    return c->cell_aval[x] < FA_NAVAL_SCALAR ? v[x].f : ((const double *)v[x].p)[at];
}

#define FA_LOOP fa_forward_own_cells
#define FA_DST(i) (i)
#include "forward_loop.h"
#undef FA_LOOP
#undef FA_DST
#define FA_LOOP fa_forward_other_cells
#define FA_DST(i) c->dst[i]
#include "forward_loop.h"
#undef FA_LOOP
#undef FA_DST

/* Runs the code.  The caller has set the cells of INPUT, CONST and CAPTURE and, in each cell of a result of rank > 0
   other than RESHAPE and STOP between such, the pointer to its memory.  Every float64 result of an opcode with a
   kernel of its own has float64 operands: the recorder casts.  env->flags: the exceptions of the whole sweep.
   Returns FA_OK, or with env->where: FA_EGUARD, FA_EINDEX, FA_EFOREIGN, FA_ENOMEM, FA_EOPCODE. */
FA_FN int fa_forward(const fa_code *c, fa_cell *v, fa_env *env) {
    int code;
    env->flags = 0;
    env->where = 0;
    fa_fpclear();
    code = c->dst ? fa_forward_other_cells(c, v, env) : fa_forward_own_cells(c, v, env);
    env->flags |= fa_fpflags();
    return code;
}
#endif
