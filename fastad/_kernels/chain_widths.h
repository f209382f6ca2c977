/* chain_widths.h - the steps of chains on so many vectors at a time; included by chain_steps.h for each width.
   Owns: the passage from step to step, tiles of FA_WIDTH vectors.
   Must not know: arithmetic, what a chain is made of.
   A step takes what the one before it left in the first FA_WIDTH of eight registers, and ends with a jump to the next
   one.  Wide tiles are for what is long: a step costs much the same whatever it does.  Narrow ones are for the ends.
   Next: chain.h. */
#if FA_WIDTH == 8
#define FA_EACH(DO, X) DO(a, 0, X) DO(b, 1, X) DO(c, 2, X) DO(d, 3, X) DO(e, 4, X) DO(f, 5, X) DO(g, 6, X) DO(h, 7, X)
#elif FA_WIDTH == 4
#define FA_EACH(DO, X) DO(a, 0, X) DO(b, 1, X) DO(c, 2, X) DO(d, 3, X)
#else
#define FA_EACH(DO, X) DO(a, 0, X) DO(b, 1, X)
#endif
#define FA_TILE_OF_BYTES (FA_WIDTH * FA_LEVEL_BYTES)
#define FA_CHAIN_JUMP(STEPS) \
    ((FA_C(fa_chainfn))s[STEPS].fn.FA_BY)(s + STEPS, t, a, b, c, d, e, f, g, h)
#define FA_CHAIN_NEXT FA_CHAIN_JUMP(1)
#define FA_CHAIN_REALS(M, S) const FA_C(fa_vat) *M = (const FA_C(fa_vat) *)fa_chain_operand(S, t)
#define FA_CHAIN_BYTES(M, S) const uint8_t *M = (const uint8_t *)fa_chain_mask(S, t, sizeof(FA_REAL))
/* r: a register, k: its number */
#define FA_DO_WITH(r, k, NAME) r = FA_C(fa_##NAME##_v)(r, m[k]);
#define FA_DO_OF(r, k, NAME) r = FA_C(fa_##NAME##_v)(r);
#define FA_DO_MASKED(r, k, NAME) r = FA_C(fa_##NAME##_v)(r, FA_C(fa_mask_at)(m, k));
#define FA_CHAIN_WITH(NAME) \
static void FA_W(fa_chain_##NAME)(FA_CHAIN_ARGS) { \
    FA_CHAIN_REALS(m, s); \
    FA_EACH(FA_DO_WITH, NAME) \
    FA_CHAIN_NEXT; \
}
#define FA_CHAIN_OF(NAME) \
static void FA_W(fa_chain_##NAME)(FA_CHAIN_ARGS) { \
    FA_EACH(FA_DO_OF, NAME) \
    FA_CHAIN_NEXT; \
}
/* a mask in memory */
#define FA_CHAIN_MASKED(NAME) \
static void FA_W(fa_chain_##NAME)(FA_CHAIN_ARGS) { \
    FA_CHAIN_BYTES(m, s); \
    FA_EACH(FA_DO_MASKED, NAME) \
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
FA_CHAIN_OF(twice)
FA_CHAIN_OF(four_times)
FA_CHAIN_OF(minus_twice)
FA_CHAIN_OF(minus_four_times)
#if FA_CHAIN_HAS_TINY
FA_CHAIN_WITH(multiply_tiny)
FA_CHAIN_WITH(rmultiply_tiny)
FA_CHAIN_WITH(divide_tiny)
FA_CHAIN_WITH(rdivide_tiny)
FA_CHAIN_WITH(strongzero_tiny)
FA_CHAIN_WITH(rstrongzero_tiny)
FA_CHAIN_WITH(zeroproduct_tiny)
FA_CHAIN_WITH(rzeroproduct_tiny)
FA_CHAIN_OF(square_tiny)
FA_CHAIN_OF(reciprocal_tiny)
#endif

#define FA_DO_WHERE_MASK(r, k, X) r = FA_C(fa_where_v)(r, u[k], v[k]);
#define FA_DO_WHERE_YES(r, k, X) r = FA_C(fa_where_v)(FA_C(fa_mask_at)(m, k), r, v[k]);
#define FA_DO_WHERE_NO(r, k, X) r = FA_C(fa_where_v)(FA_C(fa_mask_at)(m, k), v[k], r);
#define FA_DO_MASK_TO(r, k, X) FA_C(fa_mask_to)(m, k, r);
#define FA_DO_STORE(r, k, X) m[k] = r;

static void FA_W(fa_chain_where_mask)(FA_CHAIN_ARGS) {
    FA_CHAIN_REALS(u, s);
    FA_CHAIN_REALS(v, s + 1);
    FA_EACH(FA_DO_WHERE_MASK, )
    FA_CHAIN_JUMP(2);
}

static void FA_W(fa_chain_where_yes)(FA_CHAIN_ARGS) {
    FA_CHAIN_BYTES(m, s);
    FA_CHAIN_REALS(v, s + 1);
    FA_EACH(FA_DO_WHERE_YES, )
    FA_CHAIN_JUMP(2);
}

static void FA_W(fa_chain_where_no)(FA_CHAIN_ARGS) {
    FA_CHAIN_BYTES(m, s);
    FA_CHAIN_REALS(v, s + 1);
    FA_EACH(FA_DO_WHERE_NO, )
    FA_CHAIN_JUMP(2);
}

static void FA_W(fa_chain_store_mask)(FA_CHAIN_ARGS) {
    uint8_t *to = (uint8_t *)fa_chain_mask(s, t, sizeof(FA_REAL));
    uint8_t part[FA_TILE_OF_BYTES / sizeof(FA_REAL)], *m = FA_WIDTH == 2 && t->skip ? part : to;
    FA_EACH(FA_DO_MASK_TO, )
    if (FA_WIDTH == 2 && t->skip) memcpy(to + t->skip, part + t->skip, sizeof part - (size_t)t->skip);
    FA_CHAIN_NEXT;
}

static void FA_W(fa_chain_store)(FA_CHAIN_ARGS) {
    char *to = fa_chain_operand(s, t);
    V part[FA_WIDTH];
    FA_C(fa_vat) *m = FA_WIDTH == 2 && t->skip ? (FA_C(fa_vat) *)part : (FA_C(fa_vat) *)to;
    FA_EACH(FA_DO_STORE, )
    if (FA_WIDTH == 2 && t->skip) {
        size_t skip = (size_t)t->skip * sizeof(FA_REAL);
        memcpy(to + skip, (char *)part + skip, sizeof part - skip);
    }
    FA_CHAIN_NEXT;
}

static void FA_W(fa_chain_fetch)(FA_CHAIN_ARGS) {
    const char *m = fa_chain_operand(s, t) + FA_CHAIN_AHEAD;
    for (int k = 0; k < FA_TILE_OF_BYTES; k += FA_LINE_BYTES) __builtin_prefetch(m + k);
    FA_CHAIN_NEXT;
}

static void FA_W(fa_chain_fetch_own)(FA_CHAIN_ARGS) {
    const char *m = fa_chain_operand(s, t) + FA_CHAIN_AHEAD;
    for (int k = 0; k < FA_TILE_OF_BYTES; k += FA_LINE_BYTES) fa_fetch_own(m + k);
    FA_CHAIN_NEXT;
}

static void FA_W(fa_chain_end)(FA_CHAIN_ARGS) {
    (void)s; (void)t; (void)a; (void)b; (void)c; (void)d; (void)e; (void)f; (void)g; (void)h;
}

/* As many tiles as lie in n elements; returns how many elements that are. */
static int64_t FA_W(fa_chain_tiles)(const fa_chainat *s, fa_chaintile *t, int64_t n) {
    const int64_t tile = FA_TILE_OF_BYTES / (int64_t)sizeof(FA_REAL);
    const V z = {0};                         /* (the first step is a load) */
    int64_t k = 0;
    for (; k + tile <= n; k += tile) {
        ((FA_C(fa_chainfn))s->fn.FA_BY)(s, t, z, z, z, z, z, z, z, z);
        fa_chain_move(t, FA_TILE_OF_BYTES);
    }
#if defined(__x86_64__) && FA_LEVEL_BYTES > 16
    __builtin_ia32_vzeroupper();             /* else whatever SSE code comes next waits for the upper halves */
#endif
    return k;
}
#undef FA_EACH
#undef FA_TILE_OF_BYTES
#undef FA_CHAIN_JUMP
#undef FA_CHAIN_NEXT
#undef FA_CHAIN_REALS
#undef FA_CHAIN_BYTES
#undef FA_DO_WITH
#undef FA_DO_OF
#undef FA_DO_MASKED
#undef FA_CHAIN_WITH
#undef FA_CHAIN_OF
#undef FA_CHAIN_MASKED
#undef FA_DO_WHERE_MASK
#undef FA_DO_WHERE_YES
#undef FA_DO_WHERE_NO
#undef FA_DO_MASK_TO
#undef FA_DO_STORE
#undef FA_W
#undef FA_WIDTH
#undef FA_BY
