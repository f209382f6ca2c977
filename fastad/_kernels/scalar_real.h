/* scalar_real.h - the arithmetic of our own opcodes on two real numbers; included by reals.h once a type.
   Owns: their bits.
   Must not know: cells, arrays.
   Next: scalar.h, which includes it. */
/* The quiet comparisons raise no FE_INVALID for NaN, as NumPy's do not. */
FA_INLINE FA_REAL FA_R(fa_max)(FA_REAL a, FA_REAL b) { return a != a || __builtin_isgreater(a, b) ? a : b; }
FA_INLINE FA_REAL FA_R(fa_min)(FA_REAL a, FA_REAL b) { return a != a || __builtin_isless(a, b) ? a : b; }

/* a + b, and of two NaN the first: a compiler may exchange the operands. */
FA_INLINE FA_REAL FA_R(fa_ordered_sum)(FA_REAL a, FA_REAL b) {
#if defined(__x86_64__)
    if (sizeof(FA_REAL) == 8) __asm__("addsd %1, %0" : "+x"(a) : "x"(b));
    else __asm__("addss %1, %0" : "+x"(a) : "x"(b));
    return a;
#else
    return a + b;
#endif
}

/* 0 where w == 0, whatever p is; never a flag for 0 * inf.  Loops over arrays: pack_real.h. */
FA_INLINE FA_REAL FA_R(fa_strongzero)(FA_REAL w, FA_REAL p) {
    return w != 0 ? w * p : 0;
}

/* 0 where either factor is: how a strong-zero product depends on its second factor.  There w masks p, and a tangent or
   adjoint p that is zero stays zero. */
FA_INLINE FA_REAL FA_R(fa_zeroproduct)(FA_REAL w, FA_REAL p) {
    return (w != 0) & (p != 0) ? w * p : 0;
}

FA_INLINE int FA_R(fa_compare)(uint16_t op, FA_REAL a, FA_REAL b) {
    switch (op) {
    case FA_EQUAL: return a == b;
    case FA_NOT_EQUAL: return a != b;
    case FA_LESS: return __builtin_isless(a, b);
    case FA_LESS_EQUAL: return __builtin_islessequal(a, b);
    case FA_GREATER: return __builtin_isgreater(a, b);
    default: return __builtin_isgreaterequal(a, b);
    }
}

/* Real numbers in, a real number out: what the recorder computes for each operator */
static inline __attribute__((unused)) FA_REAL FA_R(fa_scalar)(uint16_t op, FA_REAL a, FA_REAL b) {
    switch (op) {
    case FA_ADD: return a + b;
    case FA_SUBTRACT: return a - b;
    case FA_MULTIPLY: return a * b;
    case FA_DIVIDE: return a / b;
    case FA_NEGATIVE: return -a;
    case FA_SQUARE: return a * a;
    case FA_SQRT: return FA_R(fa_sqrt)(a);
    case FA_RECIPROCAL: return 1 / a;
    case FA_ABSOLUTE: return FA_R(fa_abs)(a);
    case FA_MAXIMUM: return FA_R(fa_max)(a, b);
    case FA_MINIMUM: return FA_R(fa_min)(a, b);
    case FA_STRONGZERO: return FA_R(fa_strongzero)(a, b);
    case FA_ZEROPRODUCT: return FA_R(fa_zeroproduct)(a, b);
    default: return fa_loop_once(op, FA_DTYPE, FA_R(fa_cell)(a), FA_R(fa_cell)(b), (fa_cell){.i = 0}).FA_CELL;
    }
}
