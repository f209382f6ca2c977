/* chain_steps.h - what the steps of chains compute with vectors of one type; included by reals.h for each instruction set.
   Owns: their arithmetic, bit for bit that of single instructions.
   Must not know: what a chain is made of, where its operands lie.
   Where both operands are NaN the result is the first one, wherever in a block it is; a compiler may exchange the
   operands of a sum or a product, so that on x86 these are written as instructions.
   Next: chain_masks.h (comparisons, choices, masks), chain_widths.h (the steps), chain.h, which includes it. */
#define FA_C(NAME) FA_L(FA_R(NAME))
#define FA_CHAIN_HAS_TINY (FA_LANES == 4 && FA_LEVEL_BYTES > 16)       /* float32, with AVX */
typedef FA_REAL FA_C(fa_v) __attribute__((vector_size(FA_LEVEL_BYTES)));
typedef FA_REAL FA_C(fa_vat) __attribute__((vector_size(FA_LEVEL_BYTES), aligned(sizeof(FA_REAL)), may_alias));
typedef FA_R(fa_bits) FA_C(fa_vbits) __attribute__((vector_size(FA_LEVEL_BYTES)));
#define V FA_C(fa_v)
#define VBITS FA_C(fa_vbits)
#define FA_CHAIN_ARGS const fa_chainat *s, const fa_chaintile *t, V a, V b, V c, V d, V e, V f, V g, V h
typedef void (*FA_C(fa_chainfn))(FA_CHAIN_ARGS);

#if defined(__x86_64__)
#if FA_LEVEL_BYTES == 16
#define FA_ORDERED(OP, X, Y) do { \
        r = X; \
        if (sizeof(FA_REAL) == 8) __asm__(OP "pd %1, %0" : "+x"(r) : "x"(Y)); \
        else __asm__(OP "ps %1, %0" : "+x"(r) : "x"(Y)); \
    } while (0)
#else
#define FA_ORDERED(OP, X, Y) do { \
        if (sizeof(FA_REAL) == 8) __asm__("v" OP "pd %2, %1, %0" : "=v"(r) : "v"(X), "v"(Y)); \
        else __asm__("v" OP "ps %2, %1, %0" : "=v"(r) : "v"(X), "v"(Y)); \
    } while (0)
#endif
#define FA_SUM_OF(X, Y) FA_ORDERED("add", X, Y)
#define FA_PRODUCT_OF(X, Y) FA_ORDERED("mul", X, Y)
#else
#define FA_SUM_OF(X, Y) r = (X) + (Y)
#define FA_PRODUCT_OF(X, Y) r = (X) * (Y)
#endif

FA_INLINE V FA_C(fa_add_v)(V x, V y) { V r; FA_SUM_OF(x, y); return r; }
FA_INLINE V FA_C(fa_radd_v)(V x, V y) { V r; FA_SUM_OF(y, x); return r; }
FA_INLINE V FA_C(fa_subtract_v)(V x, V y) { return x - y; }
FA_INLINE V FA_C(fa_rsubtract_v)(V x, V y) { return y - x; }
FA_INLINE V FA_C(fa_multiply_v)(V x, V y) { V r; FA_PRODUCT_OF(x, y); return r; }
FA_INLINE V FA_C(fa_rmultiply_v)(V x, V y) { V r; FA_PRODUCT_OF(y, x); return r; }
FA_INLINE V FA_C(fa_divide_v)(V x, V y) { return x / y; }
FA_INLINE V FA_C(fa_rdivide_v)(V x, V y) { return y / x; }
FA_INLINE V FA_C(fa_negative_v)(V x) { return -x; }
FA_INLINE V FA_C(fa_square_v)(V x) { return x * x; }
FA_INLINE V FA_C(fa_reciprocal_v)(V x) { return 1 / x; }
FA_INLINE V FA_C(fa_absolute_v)(V x) {
    const VBITS sign = (VBITS)-(V){0};               /* -0.0: the sign alone */
    return (V)((VBITS)x & ~sign);
}

/* Masked factors are +0, and raise no flag. */
#if FA_LEVEL_BYTES == 64
#define FA_NONZERO(MASK, X, AMONG) do { \
        if (sizeof(FA_REAL) == 8) \
            __asm__("vcmppd $4, %2, %1, %0" AMONG : "=Yk"(MASK) : "v"(X), "v"(zero), "Yk"(among)); \
        else __asm__("vcmpps $4, %2, %1, %0" AMONG : "=Yk"(MASK) : "v"(X), "v"(zero), "Yk"(among)); \
    } while (0)
FA_INLINE V FA_C(fa_masked_v)(V x, V y, unsigned short mask) {
    V r;
    if (sizeof(FA_REAL) == 8) __asm__("vmulpd %2, %1, %0%{%3%}%{z%}" : "=v"(r) : "v"(x), "v"(y), "Yk"(mask));
    else __asm__("vmulps %2, %1, %0%{%3%}%{z%}" : "=v"(r) : "v"(x), "v"(y), "Yk"(mask));
    return r;
}
FA_INLINE V FA_C(fa_strongzero_v)(V x, V y) {
    const V zero = {0};
    unsigned short mask, among = 0;
    FA_NONZERO(mask, x, "");
    return FA_C(fa_masked_v)(x, y, mask);
}
FA_INLINE V FA_C(fa_zeroproduct_v)(V x, V y) {
    const V zero = {0};
    unsigned short mask, both, among = 0;
    FA_NONZERO(mask, x, "");
    among = mask;
    FA_NONZERO(both, y, "%{%3%}");
    return FA_C(fa_masked_v)(x, y, both);
}
#undef FA_NONZERO
#else
FA_INLINE V FA_C(fa_masked_v)(V x, V y, VBITS mask) {
    V r;
    x = (V)((VBITS)x & mask);
    y = (V)((VBITS)y & mask);
    FA_PRODUCT_OF(x, y);
    return r;
}
FA_INLINE V FA_C(fa_strongzero_v)(V x, V y) { return FA_C(fa_masked_v)(x, y, x != 0); }
FA_INLINE V FA_C(fa_zeroproduct_v)(V x, V y) { return FA_C(fa_masked_v)(x, y, (x != 0) & (y != 0)); }
#endif
FA_INLINE V FA_C(fa_rstrongzero_v)(V x, V y) { return FA_C(fa_strongzero_v)(y, x); }
FA_INLINE V FA_C(fa_rzeroproduct_v)(V x, V y) { return FA_C(fa_zeroproduct_v)(y, x); }
FA_INLINE V FA_C(fa_load_v)(V x, V y) { (void)x; return y; }
#include "chain_masks.h"

/* Products and quotients of float32 by way of float64, where subnormal numbers are about: an instruction of float32 that
   meets or makes one takes a hundred times as long as others, conversions and products of float64 do not.  The bits are
   the same, and the flags: float64 has the product of two numbers exactly, and more than twice as many digits of a
   quotient as are kept (Figueroa, When is double rounding innocuous?, SIGNUM Newsletter 30(3), 1995; below the usual
   range fewer still are kept). */
#if FA_CHAIN_HAS_TINY
typedef float FA_C(fa_vhalf) __attribute__((vector_size(FA_LEVEL_BYTES / 2)));
typedef double FA_C(fa_vdouble) __attribute__((vector_size(FA_LEVEL_BYTES)));
typedef union { V whole; FA_C(fa_vhalf) half[2]; } FA_C(fa_halves);
#define FA_BY_DOUBLES(ASSIGN) do { \
        FA_C(fa_halves) x_ = {x}, y_ = {y}; \
        for (int k_ = 0; k_ < 2; k_++) { \
            FA_C(fa_vdouble) p_, a_ = __builtin_convertvector(x_.half[k_], FA_C(fa_vdouble)); \
            const FA_C(fa_vdouble) b_ = __builtin_convertvector(y_.half[k_], FA_C(fa_vdouble)); \
            ASSIGN; \
            x_.half[k_] = __builtin_convertvector(p_, FA_C(fa_vhalf)); \
        } \
        x = x_.whole; \
    } while (0)
FA_INLINE V FA_C(fa_multiply_tiny_v)(V x, V y) {
    FA_BY_DOUBLES(__asm__("vmulpd %2, %1, %0" : "=v"(p_) : "v"(a_), "v"(b_)));
    return x;
}
FA_INLINE V FA_C(fa_rmultiply_tiny_v)(V x, V y) { return FA_C(fa_multiply_tiny_v)(y, x); }
FA_INLINE V FA_C(fa_square_tiny_v)(V x) { return FA_C(fa_multiply_tiny_v)(x, x); }
FA_INLINE V FA_C(fa_divide_tiny_v)(V x, V y) { FA_BY_DOUBLES(p_ = a_ / b_); return x; }
FA_INLINE V FA_C(fa_rdivide_tiny_v)(V x, V y) { return FA_C(fa_divide_tiny_v)(y, x); }
FA_INLINE V FA_C(fa_reciprocal_tiny_v)(V x) { return FA_C(fa_divide_tiny_v)((V){0} + 1, x); }
FA_INLINE V FA_C(fa_tiny_where)(V x, V y, VBITS mask) {
    return FA_C(fa_multiply_tiny_v)((V)((VBITS)x & mask), (V)((VBITS)y & mask));
}
FA_INLINE V FA_C(fa_strongzero_tiny_v)(V x, V y) { return FA_C(fa_tiny_where)(x, y, x != 0); }
FA_INLINE V FA_C(fa_rstrongzero_tiny_v)(V x, V y) { return FA_C(fa_tiny_where)(y, x, y != 0); }
FA_INLINE V FA_C(fa_zeroproduct_tiny_v)(V x, V y) { return FA_C(fa_tiny_where)(x, y, (x != 0) & (y != 0)); }
FA_INLINE V FA_C(fa_rzeroproduct_tiny_v)(V x, V y) { return FA_C(fa_tiny_where)(y, x, (x != 0) & (y != 0)); }
#undef FA_BY_DOUBLES
#endif

/* Twice and four times x by sums, which are exact where the products are: a product of a subnormal number takes a
   hundred times as long as others, a sum does not.  -0 - x is -x but for the sign of NaN, which products leave alone. */
FA_INLINE V FA_C(fa_twice_v)(V x) { return x + x; }
FA_INLINE V FA_C(fa_four_times_v)(V x) { x = x + x; return x + x; }
FA_INLINE V FA_C(fa_minus_twice_v)(V x) {
#if defined(__x86_64__)
    const V zero = -(V){0};
    V r;
    FA_ORDERED("sub", zero, x);              /* (a compiler would take -x) */
    return r - x;
#else
    return -2 * x;
#endif
}
FA_INLINE V FA_C(fa_minus_four_times_v)(V x) { return FA_C(fa_twice_v)(FA_C(fa_minus_twice_v)(x)); }

#define FA_WIDTH 8
#define FA_BY by8
#define FA_W(NAME) FA_LEVEL_JOIN(FA_C(NAME), by8)
#include "chain_widths.h"
#define FA_WIDTH 4
#define FA_BY by4
#define FA_W(NAME) FA_LEVEL_JOIN(FA_C(NAME), by4)
#include "chain_widths.h"
#define FA_WIDTH 2
#define FA_BY by2
#define FA_W(NAME) FA_LEVEL_JOIN(FA_C(NAME), by2)
#include "chain_widths.h"

#define FA_CHAIN_IS(CODE, NAME) [FA_CHAIN_##CODE] = {(fa_chainfn)FA_LEVEL_JOIN(FA_C(fa_chain_##NAME), by8), \
    (fa_chainfn)FA_LEVEL_JOIN(FA_C(fa_chain_##NAME), by4), (fa_chainfn)FA_LEVEL_JOIN(FA_C(fa_chain_##NAME), by2)}
#define FA_CHAIN_ARE(CODE, NAME) FA_CHAIN_IS(CODE, NAME), FA_CHAIN_IS(CODE + 1, r##NAME)
static const fa_chainset FA_C(fa_chain_set) = {
    FA_LEVEL_JOIN(FA_C(fa_chain_tiles), by8), FA_LEVEL_JOIN(FA_C(fa_chain_tiles), by4),
    FA_LEVEL_JOIN(FA_C(fa_chain_tiles), by2), FA_LEVEL_BYTES / sizeof(FA_REAL), {
    FA_CHAIN_IS(END, end), FA_CHAIN_IS(STORE, store), FA_CHAIN_IS(LOAD, load),
    FA_CHAIN_IS(FETCH, fetch), FA_CHAIN_IS(FETCH_OWN, fetch_own),
    FA_CHAIN_ARE(ADD, add), FA_CHAIN_ARE(SUBTRACT, subtract), FA_CHAIN_ARE(MULTIPLY, multiply),
    FA_CHAIN_ARE(DIVIDE, divide), FA_CHAIN_ARE(STRONGZERO, strongzero), FA_CHAIN_ARE(ZEROPRODUCT, zeroproduct),
    FA_CHAIN_ARE(MAXIMUM, maximum), FA_CHAIN_ARE(MINIMUM, minimum),
    FA_CHAIN_IS(EQUAL, equal), FA_CHAIN_IS(NOT_EQUAL, not_equal), FA_CHAIN_IS(LESS, less),
    FA_CHAIN_IS(LESS_EQUAL, less_equal), FA_CHAIN_IS(GREATER, greater), FA_CHAIN_IS(GREATER_EQUAL, greater_equal),
    FA_CHAIN_IS(WHERE_MASK, where_mask), FA_CHAIN_IS(OPERAND, end),      /* (nothing jumps to an OPERAND) */
    FA_CHAIN_IS(MASK_STORE, store_mask), FA_CHAIN_IS(MASK_LOAD, load_mask),
    FA_CHAIN_IS(AND, and), FA_CHAIN_IS(OR, or), FA_CHAIN_IS(XOR, xor),
    FA_CHAIN_IS(WHERE_YES, where_yes), FA_CHAIN_IS(WHERE_NO, where_no),
    FA_CHAIN_IS(NEGATIVE, negative), FA_CHAIN_IS(SQUARE, square), FA_CHAIN_IS(RECIPROCAL, reciprocal),
    FA_CHAIN_IS(ABSOLUTE, absolute), FA_CHAIN_IS(SQRT, sqrt), FA_CHAIN_IS(SIGN, sign),
    FA_CHAIN_IS(NOT, not), FA_CHAIN_IS(NUMBER, number),
    FA_CHAIN_IS(TWICE, twice), FA_CHAIN_IS(FOUR_TIMES, four_times),
    FA_CHAIN_IS(MINUS_TWICE, minus_twice), FA_CHAIN_IS(MINUS_FOUR_TIMES, minus_four_times),
}, {
#if FA_CHAIN_HAS_TINY
    FA_CHAIN_IS(MULTIPLY, multiply_tiny), FA_CHAIN_IS(MULTIPLY + 1, rmultiply_tiny),
    FA_CHAIN_IS(DIVIDE, divide_tiny), FA_CHAIN_IS(DIVIDE + 1, rdivide_tiny),
    FA_CHAIN_IS(STRONGZERO, strongzero_tiny), FA_CHAIN_IS(STRONGZERO + 1, rstrongzero_tiny),
    FA_CHAIN_IS(ZEROPRODUCT, zeroproduct_tiny), FA_CHAIN_IS(ZEROPRODUCT + 1, rzeroproduct_tiny),
    FA_CHAIN_IS(SQUARE, square_tiny), FA_CHAIN_IS(RECIPROCAL, reciprocal_tiny),
#endif
}};
#undef V
#undef VBITS
#undef FA_C
#undef FA_CHAIN_ARGS
#undef FA_CHAIN_HAS_TINY
#undef FA_CHAIN_IS
#undef FA_CHAIN_ARE
#undef FA_ORDERED
#undef FA_SUM_OF
#undef FA_PRODUCT_OF
