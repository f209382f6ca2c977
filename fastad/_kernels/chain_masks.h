/* chain_masks.h - comparisons, choices and masks on one vector; included by chain_steps.h for each instruction set.
   Owns: masks in registers (all bits of a number, or none), the way from and to bytes in memory.
   Must not know: steps.
   Nothing here raises a floating-point flag, as NumPy's comparisons do not; of x86's ordered comparisons that is a form
   of its own, and SSE has none: there NaN is put aside first.
   Next: chain_steps.h, which includes it. */
enum { FA_C(fa_lanes) = FA_LEVEL_BYTES / sizeof(FA_REAL) };
typedef uint8_t FA_C(fa_vbytes) __attribute__((vector_size(FA_LEVEL_BYTES / sizeof(FA_REAL))));
typedef uint8_t FA_C(fa_vbytesat)
    __attribute__((vector_size(FA_LEVEL_BYTES / sizeof(FA_REAL)), aligned(1), may_alias));

/* KIND: x86's number of the comparison; OP: C's */
#if FA_LEVEL_BYTES == 64
#define FA_COMPARED(KIND, OP, X, Y) do { \
        unsigned short k; \
        if (sizeof(FA_REAL) == 8) { \
            __asm__("vcmppd $" #KIND ", %2, %1, %0" : "=Yk"(k) : "v"(X), "v"(Y)); \
            __asm__("vpmovm2q %1, %0" : "=v"(r) : "Yk"(k)); \
        } else { \
            __asm__("vcmpps $" #KIND ", %2, %1, %0" : "=Yk"(k) : "v"(X), "v"(Y)); \
            __asm__("vpmovm2d %1, %0" : "=v"(r) : "Yk"(k)); \
        } \
    } while (0)
#elif FA_LEVEL_BYTES == 32
#define FA_COMPARED(KIND, OP, X, Y) do { \
        if (sizeof(FA_REAL) == 8) __asm__("vcmppd $" #KIND ", %2, %1, %0" : "=x"(r) : "x"(X), "x"(Y)); \
        else __asm__("vcmpps $" #KIND ", %2, %1, %0" : "=x"(r) : "x"(X), "x"(Y)); \
    } while (0)
#else
#define FA_COMPARED(KIND, OP, X, Y) do { \
        const VBITS numbers = (X == X) & (Y == Y); \
        r = (V)(((V)((VBITS)X & numbers) OP (V)((VBITS)Y & numbers)) & numbers); \
    } while (0)
#endif
FA_INLINE V FA_C(fa_equal_v)(V x, V y) { return (V)(x == y); }
FA_INLINE V FA_C(fa_not_equal_v)(V x, V y) { return (V)(x != y); }
FA_INLINE V FA_C(fa_less_v)(V x, V y) { V r; FA_COMPARED(0x11, <, x, y); return r; }
FA_INLINE V FA_C(fa_less_equal_v)(V x, V y) { V r; FA_COMPARED(0x12, <=, x, y); return r; }
FA_INLINE V FA_C(fa_greater_v)(V x, V y) { V r; FA_COMPARED(0x1e, >, x, y); return r; }
FA_INLINE V FA_C(fa_greater_equal_v)(V x, V y) { V r; FA_COMPARED(0x1d, >=, x, y); return r; }
#undef FA_COMPARED

FA_INLINE V FA_C(fa_and_v)(V x, V y) { return (V)((VBITS)x & (VBITS)y); }
FA_INLINE V FA_C(fa_or_v)(V x, V y) { return (V)((VBITS)x | (VBITS)y); }
FA_INLINE V FA_C(fa_xor_v)(V x, V y) { return (V)((VBITS)x ^ (VBITS)y); }
FA_INLINE V FA_C(fa_not_v)(V x) { return (V)~(VBITS)x; }
FA_INLINE V FA_C(fa_number_v)(V x) { return (V)((VBITS)x & (VBITS)((V){0} + 1)); }
FA_INLINE V FA_C(fa_where_v)(V mask, V yes, V no) {
    return (V)(((VBITS)mask & (VBITS)yes) | (~(VBITS)mask & (VBITS)no));
}

/* As NumPy: a NaN goes through, the first of two; of equals (zeros of both signs) the second. */
FA_INLINE V FA_C(fa_maximum_v)(V x, V y) {
    return FA_C(fa_where_v)(FA_C(fa_or_v)((V)(x != x), FA_C(fa_greater_v)(x, y)), x, y);
}
FA_INLINE V FA_C(fa_minimum_v)(V x, V y) {
    return FA_C(fa_where_v)(FA_C(fa_or_v)((V)(x != x), FA_C(fa_less_v)(x, y)), x, y);
}
FA_INLINE V FA_C(fa_rmaximum_v)(V x, V y) { return FA_C(fa_maximum_v)(y, x); }
FA_INLINE V FA_C(fa_rminimum_v)(V x, V y) { return FA_C(fa_minimum_v)(y, x); }

/* 1, -1, +0 for both zeros, NaN for itself */
FA_INLINE V FA_C(fa_sign_v)(V x) {
    const V zero = {0}, one = zero + 1;
    return FA_C(fa_or_v)(FA_C(fa_or_v)(FA_C(fa_and_v)(FA_C(fa_greater_v)(x, zero), one),
                                       FA_C(fa_and_v)(FA_C(fa_less_v)(x, zero), -one)),
                         FA_C(fa_and_v)((V)(x != x), x));
}

FA_INLINE V FA_C(fa_sqrt_v)(V x) {
#if !defined(__x86_64__)
    for (int l = 0; l < FA_C(fa_lanes); l++) x[l] = FA_R(fa_sqrt)(x[l]);
#elif FA_LEVEL_BYTES == 16
    if (sizeof(FA_REAL) == 8) __asm__("sqrtpd %0, %0" : "+x"(x));
    else __asm__("sqrtps %0, %0" : "+x"(x));
#else
    if (sizeof(FA_REAL) == 8) __asm__("vsqrtpd %0, %0" : "+v"(x));
    else __asm__("vsqrtps %0, %0" : "+v"(x));
#endif
    return x;
}

/* The mask of vector number k of a tile; any byte but 0 is true.  (Compilers spread bytes out one by one.) */
FA_INLINE V FA_C(fa_mask_at)(const uint8_t *m, int k) {
    VBITS wide;
    m += k * FA_C(fa_lanes);
#if FA_LEVEL_BYTES > 16
    const FA_C(fa_vbytesat) *at = (const FA_C(fa_vbytesat) *)m;
    if (sizeof(FA_REAL) == 8) __asm__("vpmovzxbq %1, %0" : "=v"(wide) : "m"(*at));
    else __asm__("vpmovzxbd %1, %0" : "=v"(wide) : "m"(*at));
#else
    for (int l = 0; l < FA_C(fa_lanes); l++) wide[l] = m[l];
#endif
    return (V)(wide != 0);
}
FA_INLINE V FA_C(fa_load_mask_v)(V x, V y) { (void)x; return y; }

FA_INLINE void FA_C(fa_mask_to)(uint8_t *m, int k, V mask) {
    m += k * FA_C(fa_lanes);
#if defined(__x86_64__) && FA_LEVEL_BYTES < 64
    const uint32_t spread = 0x204081, ones = 0x01010101;     /* bit l of four goes to byte l */
    uint32_t bits, four;
#if FA_LEVEL_BYTES == 16
    if (sizeof(FA_REAL) == 8) __asm__("movmskpd %1, %0" : "=r"(bits) : "x"(mask));
    else __asm__("movmskps %1, %0" : "=r"(bits) : "x"(mask));
#else
    if (sizeof(FA_REAL) == 8) __asm__("vmovmskpd %1, %0" : "=r"(bits) : "x"(mask));
    else __asm__("vmovmskps %1, %0" : "=r"(bits) : "x"(mask));
#endif
    four = (bits & 15) * spread & ones;
    memcpy(m, &four, FA_C(fa_lanes) < 4 ? 2 : 4);
    if (FA_C(fa_lanes) < 8) return;
    four = (bits >> 4) * spread & ones;
    memcpy(m + 4, &four, 4);
#else
    *(FA_C(fa_vbytesat) *)m = __builtin_convertvector((VBITS)mask & 1, FA_C(fa_vbytes));
#endif
}
