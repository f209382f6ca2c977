/* tangent.h - the tangent sweep: tangents of all active values from those of the inputs.
   Owns: the sweep, calls of foreign code.
   Must not know: who seeded it, adjoints.
   Elementwise rules come from the table's templates; linear opcodes apply their own kernel to tangents.
   Next: tangent_real.h (the rules), reverse.h, the transposed of all this. */
#ifndef FASTAD_TANGENT_H
#define FASTAD_TANGENT_H
#include "forward.h"

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

/* Everything that one array instruction needs, set up once: spans of values, buffer plans of its partials. */
typedef struct {
    uint32_t arity;
    fa_span value[4];
    fa_tplan plan[3];
} fa_blockwise;

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

#define FA_BODY "tangent_real.h"
#include "reals.h"

/* ---- the sweep ------------------------------------------------------------------------------------------------ */
/* Tangents of the active values, at the values v of a forward sweep.  For tapes (result i in cell i; c->dst is NULL).
   t: cells laid out like v; those of active leaves set; in each other active cell of rank > 0 the pointer to its memory
   (RESHAPE between such shares its operand's instead).  Where v shares memory between the old and the new value of
   WRITE, ERASE, PUT or STACK, t may, too.  Only real values are active.  The exception flags are left alone. */
FA_FN int fa_tangent(const fa_code *c, const fa_cell *v, fa_cell *t, const uint8_t *active, fa_env *env) {
    for (uint32_t i = 0; i < c->n; i++) {
        uint16_t op = c->op[i];
        uint32_t a = c->arg[2 * (size_t)i];
        int code;
        if (!active[i] || op <= FA_CAPTURE || op == FA_GUARD) continue;
        if (fa_is_f64(c->aval[i])) {
            if (op >= FA_ELEMENTWISE) {
                t[i].f = fa_tangent_scalar_f64(c, v, t, active, i);
                continue;
            }
            if (op == FA_ELEMENT) {
                t[i].f = active[a] ? fa_element_f64(c, t, a, c->arg[2 * (size_t)i + 1]) : 0.0;
                continue;
            }
        }
        code = c->avals[c->aval[i]].dtype == FA_F64 ? fa_tangent_step_f64(c, v, t, active, i, env)
                                                    : fa_tangent_step_f32(c, v, t, active, i, env);
        if (FA_LIKELY(code == FA_OK)) code = fa_after_step(c, i);
        if (FA_UNLIKELY(code != FA_OK)) {
            env->where = i;
            return code;
        }
    }
    return FA_OK;
}
#endif
