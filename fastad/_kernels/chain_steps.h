/* chain_steps.h - the steps of chains on eight vectors of one type; included by reals.h for each instruction set.
   Owns: their arithmetic, bit for bit that of single instructions.
   Must not know: what a chain is made of, where its operands lie.
   A step takes what the one before it left in eight registers, and ends with a jump to the next one.
   Where both operands are NaN the result is the first one, wherever in a block it is; a compiler may exchange the
   operands of a sum or a product, so that on x86 these are written as instructions.
   Next: chain_masks.h (comparisons, choices, masks), chain.h, which includes it. */
#define FA_C(NAME) FA_L(FA_R(NAME))
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

#define FA_CHAIN_JUMP(STEPS) ((FA_C(fa_chainfn))s[STEPS].fn)(s + STEPS, t, a, b, c, d, e, f, g, h)
#define FA_CHAIN_NEXT FA_CHAIN_JUMP(1)
#define FA_CHAIN_REALS(M, S) const FA_C(fa_vat) *M = (const FA_C(fa_vat) *)fa_chain_operand(S, t)
#define FA_CHAIN_BYTES(M, S) const uint8_t *M = (const uint8_t *)fa_chain_mask(S, t, sizeof(FA_REAL))
#define FA_CHAIN_WITH(NAME) \
static void FA_C(fa_chain_##NAME)(FA_CHAIN_ARGS) { \
    FA_CHAIN_REALS(m, s); \
    a = FA_C(fa_##NAME##_v)(a, m[0]); b = FA_C(fa_##NAME##_v)(b, m[1]); \
    c = FA_C(fa_##NAME##_v)(c, m[2]); d = FA_C(fa_##NAME##_v)(d, m[3]); \
    e = FA_C(fa_##NAME##_v)(e, m[4]); f = FA_C(fa_##NAME##_v)(f, m[5]); \
    g = FA_C(fa_##NAME##_v)(g, m[6]); h = FA_C(fa_##NAME##_v)(h, m[7]); \
    FA_CHAIN_NEXT; \
}
#define FA_CHAIN_OF(NAME) \
static void FA_C(fa_chain_##NAME)(FA_CHAIN_ARGS) { \
    a = FA_C(fa_##NAME##_v)(a); b = FA_C(fa_##NAME##_v)(b); \
    c = FA_C(fa_##NAME##_v)(c); d = FA_C(fa_##NAME##_v)(d); \
    e = FA_C(fa_##NAME##_v)(e); f = FA_C(fa_##NAME##_v)(f); \
    g = FA_C(fa_##NAME##_v)(g); h = FA_C(fa_##NAME##_v)(h); \
    FA_CHAIN_NEXT; \
}
/* a mask in memory */
#define FA_CHAIN_MASKED(NAME) \
static void FA_C(fa_chain_##NAME)(FA_CHAIN_ARGS) { \
    FA_CHAIN_BYTES(m, s); \
    a = FA_C(fa_##NAME##_v)(a, FA_C(fa_mask_at)(m, 0)); b = FA_C(fa_##NAME##_v)(b, FA_C(fa_mask_at)(m, 1)); \
    c = FA_C(fa_##NAME##_v)(c, FA_C(fa_mask_at)(m, 2)); d = FA_C(fa_##NAME##_v)(d, FA_C(fa_mask_at)(m, 3)); \
    e = FA_C(fa_##NAME##_v)(e, FA_C(fa_mask_at)(m, 4)); f = FA_C(fa_##NAME##_v)(f, FA_C(fa_mask_at)(m, 5)); \
    g = FA_C(fa_##NAME##_v)(g, FA_C(fa_mask_at)(m, 6)); h = FA_C(fa_##NAME##_v)(h, FA_C(fa_mask_at)(m, 7)); \
    FA_CHAIN_NEXT; \
}
/* MASK, YES, NO: expressions of register r and number k */
#define FA_CHAIN_CHOOSE(r, k, MASK, YES, NO) r = FA_C(fa_where_v)(MASK(r, k), YES(r, k), NO(r, k))
#define FA_CHAIN_WHERE(MASK, YES, NO) do { \
        FA_CHAIN_CHOOSE(a, 0, MASK, YES, NO); FA_CHAIN_CHOOSE(b, 1, MASK, YES, NO); \
        FA_CHAIN_CHOOSE(c, 2, MASK, YES, NO); FA_CHAIN_CHOOSE(d, 3, MASK, YES, NO); \
        FA_CHAIN_CHOOSE(e, 4, MASK, YES, NO); FA_CHAIN_CHOOSE(f, 5, MASK, YES, NO); \
        FA_CHAIN_CHOOSE(g, 6, MASK, YES, NO); FA_CHAIN_CHOOSE(h, 7, MASK, YES, NO); \
    } while (0)
#define FA_CHAIN_HERE(r, k) r
#define FA_CHAIN_BYTE(r, k) FA_C(fa_mask_at)(m, k)
#define FA_CHAIN_FIRST(r, k) u[k]
#define FA_CHAIN_OTHER(r, k) v[k]
FA_CHAIN_WITH(load)
FA_CHAIN_WITH(add)
FA_CHAIN_WITH(radd)
FA_CHAIN_WITH(subtract)
FA_CHAIN_WITH(rsubtract)
FA_CHAIN_WITH(multiply)
FA_CHAIN_WITH(rmultiply)
FA_CHAIN_WITH(divide)
FA_CHAIN_WITH(rdivide)
FA_CHAIN_WITH(strongzero)
FA_CHAIN_WITH(rstrongzero)
FA_CHAIN_WITH(zeroproduct)
FA_CHAIN_WITH(rzeroproduct)
FA_CHAIN_WITH(maximum)
FA_CHAIN_WITH(rmaximum)
FA_CHAIN_WITH(minimum)
FA_CHAIN_WITH(rminimum)
FA_CHAIN_WITH(equal)
FA_CHAIN_WITH(not_equal)
FA_CHAIN_WITH(less)
FA_CHAIN_WITH(less_equal)
FA_CHAIN_WITH(greater)
FA_CHAIN_WITH(greater_equal)
FA_CHAIN_MASKED(load_mask)
FA_CHAIN_MASKED(and)
FA_CHAIN_MASKED(or)
FA_CHAIN_MASKED(xor)
FA_CHAIN_OF(negative)
FA_CHAIN_OF(square)
FA_CHAIN_OF(reciprocal)
FA_CHAIN_OF(absolute)
FA_CHAIN_OF(sqrt)
FA_CHAIN_OF(sign)
FA_CHAIN_OF(not)
FA_CHAIN_OF(number)

static void FA_C(fa_chain_where_mask)(FA_CHAIN_ARGS) {
    FA_CHAIN_REALS(u, s);
    FA_CHAIN_REALS(v, s + 1);
    FA_CHAIN_WHERE(FA_CHAIN_HERE, FA_CHAIN_FIRST, FA_CHAIN_OTHER);
    FA_CHAIN_JUMP(2);
}

static void FA_C(fa_chain_where_yes)(FA_CHAIN_ARGS) {
    FA_CHAIN_BYTES(m, s);
    FA_CHAIN_REALS(v, s + 1);
    FA_CHAIN_WHERE(FA_CHAIN_BYTE, FA_CHAIN_HERE, FA_CHAIN_OTHER);
    FA_CHAIN_JUMP(2);
}

static void FA_C(fa_chain_where_no)(FA_CHAIN_ARGS) {
    FA_CHAIN_BYTES(m, s);
    FA_CHAIN_REALS(v, s + 1);
    FA_CHAIN_WHERE(FA_CHAIN_BYTE, FA_CHAIN_OTHER, FA_CHAIN_HERE);
    FA_CHAIN_JUMP(2);
}

static void FA_C(fa_chain_store_mask)(FA_CHAIN_ARGS) {
    uint8_t *m = (uint8_t *)fa_chain_mask(s, t, sizeof(FA_REAL));
    FA_C(fa_mask_to)(m, 0, a); FA_C(fa_mask_to)(m, 1, b); FA_C(fa_mask_to)(m, 2, c); FA_C(fa_mask_to)(m, 3, d);
    FA_C(fa_mask_to)(m, 4, e); FA_C(fa_mask_to)(m, 5, f); FA_C(fa_mask_to)(m, 6, g); FA_C(fa_mask_to)(m, 7, h);
    FA_CHAIN_NEXT;
}

static void FA_C(fa_chain_store)(FA_CHAIN_ARGS) {
    FA_C(fa_vat) *m = (FA_C(fa_vat) *)fa_chain_operand(s, t);
    m[0] = a; m[1] = b; m[2] = c; m[3] = d; m[4] = e; m[5] = f; m[6] = g; m[7] = h;
    FA_CHAIN_NEXT;
}

static void FA_C(fa_chain_end)(FA_CHAIN_ARGS) {
    (void)s; (void)t; (void)a; (void)b; (void)c; (void)d; (void)e; (void)f; (void)g; (void)h;
}

/* As many tiles of eight vectors as lie in n elements; returns how many elements that are. */
static int64_t FA_C(fa_chain_tiles)(const fa_chainat *s, fa_chaintile *t, int64_t n) {
    const int64_t tile = 8 * FA_LEVEL_BYTES / (int64_t)sizeof(FA_REAL);
    const V z = {0};                         /* (the first step is a load) */
    int64_t k = 0;
    for (; k + tile <= n; k += tile) {
        ((FA_C(fa_chainfn))s->fn)(s, t, z, z, z, z, z, z, z, z);
        fa_chain_move(t, 8 * FA_LEVEL_BYTES);
    }
#if defined(__x86_64__) && FA_LEVEL_BYTES > 16
    __builtin_ia32_vzeroupper();             /* else whatever SSE code comes next waits for the upper halves */
#endif
    return k;
}

#define FA_CHAIN_IS(CODE, NAME) [FA_CHAIN_##CODE] = (fa_chainfn)FA_C(fa_chain_##NAME)
#define FA_CHAIN_ARE(CODE, NAME) \
    FA_CHAIN_IS(CODE, NAME), [FA_CHAIN_##CODE + 1] = (fa_chainfn)FA_C(fa_chain_r##NAME)
static const fa_chainset FA_C(fa_chain_set) = {FA_C(fa_chain_tiles), 8 * FA_LEVEL_BYTES / sizeof(FA_REAL), {
    FA_CHAIN_IS(END, end), FA_CHAIN_IS(STORE, store), FA_CHAIN_IS(LOAD, load),
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
}};
#undef V
#undef VBITS
#undef FA_C
#undef FA_CHAIN_ARGS
#undef FA_CHAIN_JUMP
#undef FA_CHAIN_NEXT
#undef FA_CHAIN_REALS
#undef FA_CHAIN_BYTES
#undef FA_CHAIN_WITH
#undef FA_CHAIN_OF
#undef FA_CHAIN_MASKED
#undef FA_CHAIN_CHOOSE
#undef FA_CHAIN_WHERE
#undef FA_CHAIN_HERE
#undef FA_CHAIN_BYTE
#undef FA_CHAIN_FIRST
#undef FA_CHAIN_OTHER
#undef FA_CHAIN_IS
#undef FA_CHAIN_ARE
#undef FA_ORDERED
#undef FA_SUM_OF
#undef FA_PRODUCT_OF
