/* machine_loop.h - the dispatch loop of packed scalar code; included by machine.h once a width of words.
   Owns: the jump from one packed instruction to the next, and what each computes.
   Must not know: which instructions were put together (_machine.pxi).
   FA_MACHINE: the function's name.  FA_WORD: the type of a word.
   Long instructions fetch words some hundred instructions ahead: whoever computes between two sweeps (an optimiser, a
   model) takes the second-level cache, and 700 KB of words came back 25 us late. */
static __attribute__((noinline, unused)) void FA_MACHINE(const FA_WORD *pc, fa_cell *v, fa_env *env) {
#define FA_PAIR_LABELS(INNER, NAME) \
        [FA_M_PAIR(INNER, 0)] = &&NAME##_add, [FA_M_PAIR(INNER, 1)] = &&NAME##_radd, \
        [FA_M_PAIR(INNER, 2)] = &&NAME##_sub, [FA_M_PAIR(INNER, 3)] = &&NAME##_rsub, \
        [FA_M_PAIR(INNER, 4)] = &&NAME##_mul, [FA_M_PAIR(INNER, 5)] = &&NAME##_rmul, \
        [FA_M_PAIR(INNER, 6)] = &&NAME##_sz, [FA_M_PAIR(INNER, 7)] = &&NAME##_rsz
    static const void *const label[FA_M_CODES] = {
        [FA_M_END] = &&end,
        [FA_M_ADD] = &&add, [FA_M_SUBTRACT] = &&subtract, [FA_M_MULTIPLY] = &&multiply, [FA_M_DIVIDE] = &&divide,
        [FA_M_NEGATIVE] = &&negative, [FA_M_SQUARE] = &&square, [FA_M_SQRT] = &&root,
        [FA_M_RECIPROCAL] = &&reciprocal, [FA_M_ABSOLUTE] = &&absolute, [FA_M_MAXIMUM] = &&maximum,
        [FA_M_MINIMUM] = &&minimum, [FA_M_STRONGZERO] = &&strongzero, [FA_M_ZEROPRODUCT] = &&zeroproduct,
        [FA_M_WHERE] = &&where, [FA_M_COMPARE] = &&compare, [FA_M_LOOP] = &&loop,
        [FA_M_ELEMENT] = &&element,
        FA_PAIR_LABELS(0, a), FA_PAIR_LABELS(1, s), FA_PAIR_LABELS(2, m), FA_PAIR_LABELS(3, z),
        [FA_M_TWO(0, 0)] = &&mm_add, [FA_M_TWO(0, 1)] = &&mm_sub, [FA_M_TWO(1, 0)] = &&mz_add,
        [FA_M_TWO(1, 1)] = &&mz_sub, [FA_M_TWO(2, 0)] = &&zm_add, [FA_M_TWO(2, 1)] = &&zm_sub,
        [FA_M_TWO(3, 0)] = &&zz_add, [FA_M_TWO(3, 1)] = &&zz_sub,
    };
#undef FA_PAIR_LABELS
#define FA_V(K) v[pc[K]].f
#define FA_PUT(WORDS, VALUE) do { \
        double result = (VALUE); \
        v[pc[1]].f = result; \
        FA_GO_ON(WORDS); \
    } while (0)
#define FA_GO_ON(WORDS) do { \
        pc += (WORDS); \
        if ((WORDS) > 4) __builtin_prefetch((const char *)pc + 1024, 0, 3); \
        FA_NOT_SHARED(); \
        goto *label[*pc]; \
    } while (0)
    goto *label[*pc];
end: return;
add: FA_PUT(4, FA_V(2) + FA_V(3));
subtract: FA_PUT(4, FA_V(2) - FA_V(3));
multiply: FA_PUT(4, FA_V(2) * FA_V(3));
divide: FA_PUT(4, FA_V(2) / FA_V(3));
maximum: FA_PUT(4, fa_max_f64(FA_V(2), FA_V(3)));
minimum: FA_PUT(4, fa_min_f64(FA_V(2), FA_V(3)));
strongzero: FA_PUT(4, fa_product_or_zero(FA_V(2), FA_V(3)));
zeroproduct: FA_PUT(4, fa_zeroproduct_f64(FA_V(2), FA_V(3)));
negative: FA_PUT(3, -FA_V(2));
square: FA_PUT(3, FA_V(2) * FA_V(2));
root: FA_PUT(3, sqrt(FA_V(2)));
reciprocal: FA_PUT(3, 1.0 / FA_V(2));
absolute: FA_PUT(3, fabs(FA_V(2)));
where:
    v[pc[1]] = v[pc[2]].i ? v[pc[3]] : v[pc[4]];
    FA_GO_ON(5);
compare:                                     /* operation, result, operands */
    v[pc[2]].i = fa_compare_f64((uint16_t)pc[1], FA_V(3), FA_V(4));
    FA_GO_ON(5);
loop:                                        /* of NumPy's, on one number: operation, result, operands */
    env->flags |= fa_fpflags();
    env->has_foreign |= fa_prims[pc[1]].foreign & 1;
    v[pc[2]] = fa_loop_once((uint16_t)pc[1], FA_F64, v[pc[3]], v[pc[4]], v[pc[3]]);
    FA_GO_ON(5);
element:                                     /* of an array: its index in two halves */
    v[pc[1]].f = ((const double *)v[pc[2]].p)[pc[3] | (size_t)pc[4] << 16];
    FA_GO_ON(5);
#define FA_PAIRS(NAME, INNER) \
NAME##_add: FA_PUT(5, (INNER) + FA_V(4)); \
NAME##_radd: FA_PUT(5, FA_V(4) + (INNER)); \
NAME##_sub: FA_PUT(5, (INNER) - FA_V(4)); \
NAME##_rsub: FA_PUT(5, FA_V(4) - (INNER)); \
NAME##_mul: FA_PUT(5, (INNER) * FA_V(4)); \
NAME##_rmul: FA_PUT(5, FA_V(4) * (INNER)); \
NAME##_sz: FA_PUT(5, fa_product_or_zero(INNER, FA_V(4))); \
NAME##_rsz: FA_PUT(5, fa_product_or_zero(FA_V(4), INNER))
    FA_PAIRS(a, FA_V(2) + FA_V(3));
    FA_PAIRS(s, FA_V(2) - FA_V(3));
    FA_PAIRS(m, FA_V(2) * FA_V(3));
    FA_PAIRS(z, fa_product_or_zero(FA_V(2), FA_V(3)));
#define FA_TWO(NAME, ONE, OTHER) \
NAME##_add: FA_PUT(6, (ONE) + (OTHER)); \
NAME##_sub: FA_PUT(6, (ONE) - (OTHER))
    FA_TWO(mm, FA_V(2) * FA_V(3), FA_V(4) * FA_V(5));
    FA_TWO(mz, FA_V(2) * FA_V(3), fa_product_or_zero(FA_V(4), FA_V(5)));
    FA_TWO(zm, fa_product_or_zero(FA_V(2), FA_V(3)), FA_V(4) * FA_V(5));
    FA_TWO(zz, fa_product_or_zero(FA_V(2), FA_V(3)), fa_product_or_zero(FA_V(4), FA_V(5)));
#undef FA_V
#undef FA_PUT
#undef FA_GO_ON
#undef FA_PAIRS
#undef FA_TWO
}
