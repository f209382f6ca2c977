/* chain_steps.h - the steps of chains on eight vectors of one type; included by reals.h for each instruction set.
   Owns: their arithmetic, bit for bit that of single instructions.
   Must not know: what a chain is made of, where its operands lie.
   A step takes what the one before it left in eight registers, and ends with a jump to the next one.
   Where both operands are NaN the result is the first one, wherever in a block it is; a compiler may exchange the
   operands of a sum or a product, so that on x86 these are written as instructions.
   Next: chain.h, which includes it. */
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

#define FA_CHAIN_NEXT ((FA_C(fa_chainfn))s[1].fn)(s + 1, t, a, b, c, d, e, f, g, h)
#define FA_CHAIN_WITH(NAME) \
static void FA_C(fa_chain_##NAME)(FA_CHAIN_ARGS) { \
    const FA_C(fa_vat) *m = (const FA_C(fa_vat) *)fa_chain_operand(s, t); \
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
FA_CHAIN_OF(negative)
FA_CHAIN_OF(square)
FA_CHAIN_OF(reciprocal)
FA_CHAIN_OF(absolute)

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

static const fa_chainset FA_C(fa_chain_set) = {FA_C(fa_chain_tiles), 8 * FA_LEVEL_BYTES / sizeof(FA_REAL), {
    [FA_CHAIN_END] = (fa_chainfn)FA_C(fa_chain_end), [FA_CHAIN_STORE] = (fa_chainfn)FA_C(fa_chain_store),
    [FA_CHAIN_LOAD] = (fa_chainfn)FA_C(fa_chain_load),
    [FA_CHAIN_ADD] = (fa_chainfn)FA_C(fa_chain_add), [FA_CHAIN_ADD + 1] = (fa_chainfn)FA_C(fa_chain_radd),
    [FA_CHAIN_SUBTRACT] = (fa_chainfn)FA_C(fa_chain_subtract),
    [FA_CHAIN_SUBTRACT + 1] = (fa_chainfn)FA_C(fa_chain_rsubtract),
    [FA_CHAIN_MULTIPLY] = (fa_chainfn)FA_C(fa_chain_multiply),
    [FA_CHAIN_MULTIPLY + 1] = (fa_chainfn)FA_C(fa_chain_rmultiply),
    [FA_CHAIN_DIVIDE] = (fa_chainfn)FA_C(fa_chain_divide), [FA_CHAIN_DIVIDE + 1] = (fa_chainfn)FA_C(fa_chain_rdivide),
    [FA_CHAIN_STRONGZERO] = (fa_chainfn)FA_C(fa_chain_strongzero),
    [FA_CHAIN_STRONGZERO + 1] = (fa_chainfn)FA_C(fa_chain_rstrongzero),
    [FA_CHAIN_ZEROPRODUCT] = (fa_chainfn)FA_C(fa_chain_zeroproduct),
    [FA_CHAIN_ZEROPRODUCT + 1] = (fa_chainfn)FA_C(fa_chain_rzeroproduct),
    [FA_CHAIN_NEGATIVE] = (fa_chainfn)FA_C(fa_chain_negative), [FA_CHAIN_SQUARE] = (fa_chainfn)FA_C(fa_chain_square),
    [FA_CHAIN_RECIPROCAL] = (fa_chainfn)FA_C(fa_chain_reciprocal),
    [FA_CHAIN_ABSOLUTE] = (fa_chainfn)FA_C(fa_chain_absolute),
}};
#undef V
#undef VBITS
#undef FA_C
#undef FA_CHAIN_ARGS
#undef FA_CHAIN_NEXT
#undef FA_CHAIN_WITH
#undef FA_CHAIN_OF
#undef FA_ORDERED
#undef FA_SUM_OF
#undef FA_PRODUCT_OF
