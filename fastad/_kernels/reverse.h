/* reverse.h - the reverse sweep: adjoints of all active values from those of the outputs.
   Owns: the sweep, calls of foreign code.
   Must not know: who seeded it, tangents.
   Elementwise rules come from the table's templates, every product is a strong-zero multiply; structural opcodes
   accumulate through their transposed map.  Next: reverse_real.h (the rules), sweep.h. */
#ifndef FASTAD_REVERSE_H
#define FASTAD_REVERSE_H
#include "scratch.h"
#include "tangent.h"

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

#define FA_BODY "reverse_real.h"
#include "reals.h"

/* ---- the sweep ------------------------------------------------------------------------------------------------ */
/* Adjoints of the active values, at the values v of a forward sweep.  For tapes (result i in cell i; c->dst is NULL).
   adj: cells laid out like v, zero except for the seeds; active cells of rank > 0 point to memory of the right size.
   Where v shares memory (RESHAPE; the old and the new value of WRITE, ERASE, PUT, STACK), adj may share it likewise:
   pointers are compared.  WRITE, ERASE, PUT and STACK zero the overwritten part of adj[y], which is spent by then.
   Only real values are active.  The exception flags are left alone: masked partials may raise them. */
FA_FN int fa_reverse(const fa_code *c, const fa_cell *v, fa_cell *adj, const uint8_t *active, fa_env *env) {
    for (uint32_t i = c->n; i-- > 0;) {
        uint16_t op = c->op[i];
        int code;
        if (!active[i] || op <= FA_CAPTURE || op == FA_GUARD) continue;
        if (FA_LIKELY(fa_is_f64(c->aval[i]))) {
            double w = adj[i].f;
            if (w == 0) continue;
            if (FA_LIKELY(op >= FA_ELEMENTWISE)) {
                fa_reverse_scalar_f64(c, v, adj, active, i, op, w);
                continue;
            }
            if (op == FA_ELEMENT) {
                uint32_t x = c->arg[2 * (size_t)i];
                if (active[x]) ((double *)fa_data_of(c, adj, x))[c->arg[2 * (size_t)i + 1]] += w;
                continue;
            }
        }
        code = c->avals[c->aval[i]].dtype == FA_F64 ? fa_reverse_step_f64(c, v, adj, active, i, env)
                                                    : fa_reverse_step_f32(c, v, adj, active, i, env);
        if (FA_LIKELY(code == FA_OK)) code = fa_after_step(c, i);
        if (FA_UNLIKELY(code != FA_OK)) {
            env->where = i;
            return code;
        }
    }
    return FA_OK;
}
#endif
