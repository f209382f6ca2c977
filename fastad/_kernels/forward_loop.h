/* forward_loop.h - the dispatch loop of the forward sweep; included twice by forward.h, so without a guard.
   Owns: the scalar fast paths and the jump from one instruction to the next.
   Must not know: what arrays do (fa_step does).
   FA_LOOP: the function's name.  FA_DST(i): the cell of result i (a tape: i; code with a table of cells: c->dst[i]).
   Each instruction jumps straight to the next one's label: with a jump of its own behind every opcode the processor
   learns which follows which.  Measured on RK4: 1.5 ns an instruction, a switch in a loop 5.4. */
static __attribute__((noinline, unused)) int FA_LOOP(const fa_code *c, fa_cell *v, fa_env *env) {
    static const void *const label[FA_OWN_END] = {
        [FA_RESHAPE ... FA_ELEMENTWISE - 1] = &&any, [FA_EQUAL ... FA_GREATER_EQUAL] = &&any,
        [FA_NOP] = &&skip, [FA_INPUT] = &&skip, [FA_CONST] = &&skip, [FA_CAPTURE] = &&skip,
        [FA_ADD] = &&add, [FA_SUBTRACT] = &&subtract, [FA_MULTIPLY] = &&multiply, [FA_DIVIDE] = &&divide,
        [FA_NEGATIVE] = &&negative, [FA_SQUARE] = &&square, [FA_SQRT] = &&root, [FA_RECIPROCAL] = &&reciprocal,
        [FA_ABSOLUTE] = &&absolute, [FA_MAXIMUM] = &&maximum, [FA_MINIMUM] = &&minimum,
        [FA_STRONGZERO] = &&strongzero, [FA_ZEROPRODUCT] = &&zeroproduct, [FA_WHERE] = &&where, [FA_ELEMENT] = &&element,
    };
    const uint16_t *const op = c->op;
    const uint32_t *const aval = c->aval, *const arg = c->arg, n = c->n;
    const size_t two = 2;
    uint32_t i = c->begin, a;
    int code;
#define FA_A v[arg[two * i]].f
#define FA_B v[arg[two * i + 1]].f
#define FA_GO do { \
        if (FA_UNLIKELY(!fa_is_f64(aval[i]))) goto other; \
        if (FA_UNLIKELY(op[i] >= FA_OWN_END)) goto loop; \
        FA_NOT_SHARED(); \
        goto *label[op[i]]; \
    } while (0)
#define FA_NEXT do { if (FA_UNLIKELY(++i >= n)) return FA_OK; FA_GO; } while (0)
#define FA_PUT_F64(VALUE) do { double result = (VALUE); v[FA_DST(i)].f = result; FA_NEXT; } while (0)
    if (i >= n) return FA_OK;
    FA_GO;
skip: FA_NEXT;
add: FA_PUT_F64(FA_A + FA_B);
subtract: FA_PUT_F64(FA_A - FA_B);
multiply: FA_PUT_F64(FA_A * FA_B);
divide: FA_PUT_F64(FA_A / FA_B);
negative: FA_PUT_F64(-FA_A);
square: FA_PUT_F64(FA_A * FA_A);
root: FA_PUT_F64(sqrt(FA_A));
reciprocal: FA_PUT_F64(1.0 / FA_A);
absolute: FA_PUT_F64(fabs(FA_A));
maximum: FA_PUT_F64(fa_max_f64(FA_A, FA_B));
minimum: FA_PUT_F64(fa_min_f64(FA_A, FA_B));
strongzero: FA_PUT_F64(fa_strongzero_f64(FA_A, FA_B));
zeroproduct: FA_PUT_F64(fa_zeroproduct_f64(FA_A, FA_B));
element: FA_PUT_F64(fa_element_f64(c, v, arg[two * i], arg[two * i + 1]));
where:
    a = arg[two * i];
    v[FA_DST(i)] = v[c->pool[a + 1]].i ? v[c->pool[a + 2]] : v[c->pool[a + 3]];
    FA_NEXT;
loop:                                        /* a float64 scalar through NumPy's loop */
    if (!fa_step_scalar_loop(c, v, i, &v[FA_DST(i)], env)) goto any;
    FA_NEXT;
other:                                       /* not a float64 scalar; a comparison of two stays on the fast path */
    if ((aval[i] != FA_AVAL_BOOL && aval[i] != FA_AVAL_WEAK_BOOL) || op[i] < FA_EQUAL || op[i] > FA_GREATER_EQUAL
        || !fa_is_f64(c->cell_aval[arg[two * i]])) goto any;
    v[FA_DST(i)].i = fa_compare_f64(op[i], FA_A, FA_B);
    FA_NEXT;
any:
    code = fa_step(c, v, i, &v[FA_DST(i)], env);
    if (FA_LIKELY(code == FA_OK)) code = fa_after_step(c, i);
    if (FA_UNLIKELY(code != FA_OK)) {
        env->where = i;
        return code;
    }
    FA_NEXT;
#undef FA_A
#undef FA_B
#undef FA_GO
#undef FA_NEXT
#undef FA_PUT_F64
}
