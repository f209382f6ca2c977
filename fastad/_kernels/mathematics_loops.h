/* mathematics_loops.h - loops over the lanes of our vector mathematics; included once for each instruction set, so
   without a guard.
   Owns: chunks, elements that no lane can do.
   Must not know: how a lane does it.
   The loops have the signature of NumPy's inner loops; operand and result may be the same memory.  A chunk is computed
   without branches; what its lane cannot do is done again, one by one, by the C library, which raises what it raises.
   Next: mathematics.h. */
#if FA_LEVEL_FMA
#define FA_MATH_UNARY(NAME, LANE, IS_SPECIAL, REST) \
static __attribute__((noinline)) int FA_L(NAME##_chunk)(intptr_t n, const double *x, double *y) { \
    int64_t special = 0; \
    for (intptr_t j = 0; j < (n + FA_MATH_LANES - 1) / FA_MATH_LANES * FA_MATH_LANES; j++) { \
        special |= IS_SPECIAL(x[j]); \
        y[j] = LANE(x[j]); \
    } \
    return special != 0; \
} \
static void FA_L(NAME)(char **args, const intptr_t *size, const intptr_t *steps, void *data) { \
    double room[FA_MATH_CHUNK], y[FA_MATH_CHUNK]; \
    (void)data; \
    if (*size == 1) {                                /* a number: the same lane, without its neighbours */ \
        memcpy(room, args[0], 8); \
        y[0] = IS_SPECIAL(room[0]) ? REST(room[0]) : LANE(room[0]); \
        memcpy(args[1], y, 8); \
        return; \
    } \
    for (intptr_t begin = 0; begin < *size; begin += FA_MATH_CHUNK) { \
        intptr_t n = *size - begin < FA_MATH_CHUNK ? *size - begin : FA_MATH_CHUNK; \
        const double *x = fa_math_get(n, args[0] + begin * steps[0], steps[0], room); \
        if (FA_L(NAME##_chunk)(n, x, y)) \
            for (intptr_t j = 0; j < n; j++) if (IS_SPECIAL(x[j])) y[j] = REST(x[j]); \
        fa_math_put(n, y, args[1] + begin * steps[1], steps[1]); \
    } \
}
FA_MATH_UNARY(fa_sin, fa_sin_lane, fa_trig_is_large, sin)
FA_MATH_UNARY(fa_cos, fa_cos_lane, fa_trig_is_large, cos)
FA_MATH_UNARY(fa_exp, fa_exp_lane, fa_exp_is_large, exp)
FA_MATH_UNARY(fa_expm1, fa_expm1_lane, fa_expm1_is_large, expm1)
FA_MATH_UNARY(fa_tanh, fa_tanh_lane, fa_never, tanh)
FA_MATH_UNARY(fa_log, fa_log_lane, fa_log_is_special, log)
FA_MATH_UNARY(fa_log1p, fa_log1p_lane, fa_log1p_is_special, log1p)
#undef FA_MATH_UNARY

#define FA_MATH_BINARY(NAME, LANE, REST) \
static __attribute__((noinline)) int FA_L(NAME##_chunk)(intptr_t n, const double *a, const double *b, double *y, \
                                                        int64_t *special) { \
    int64_t any = 0; \
    for (intptr_t j = 0; j < (n + FA_MATH_LANES - 1) / FA_MATH_LANES * FA_MATH_LANES; j++) { \
        y[j] = LANE(a[j], b[j], &special[j]); \
        any |= special[j]; \
    } \
    return any != 0; \
} \
static void FA_L(NAME)(char **args, const intptr_t *size, const intptr_t *steps, void *data) { \
    double room[2][FA_MATH_CHUNK], y[FA_MATH_CHUNK]; \
    int64_t special[FA_MATH_CHUNK]; \
    (void)data; \
    if (*size == 1) { \
        memcpy(room[0], args[0], 8); \
        memcpy(room[1], args[1], 8); \
        y[0] = LANE(room[0][0], room[1][0], special); \
        if (special[0]) y[0] = REST(room[0][0], room[1][0]); \
        memcpy(args[2], y, 8); \
        return; \
    } \
    for (intptr_t begin = 0; begin < *size; begin += FA_MATH_CHUNK) { \
        intptr_t n = *size - begin < FA_MATH_CHUNK ? *size - begin : FA_MATH_CHUNK; \
        const double *a = fa_math_get(n, args[0] + begin * steps[0], steps[0], room[0]); \
        const double *b = fa_math_get(n, args[1] + begin * steps[1], steps[1], room[1]); \
        if (FA_L(NAME##_chunk)(n, a, b, y, special)) \
            for (intptr_t j = 0; j < n; j++) if (special[j]) y[j] = REST(a[j], b[j]); \
        fa_math_put(n, y, args[2] + begin * steps[2], steps[2]); \
    } \
}
FA_MATH_BINARY(fa_power, fa_power_lane, pow)
FA_MATH_BINARY(fa_arctan2, fa_arctan2_lane, atan2)
#undef FA_MATH_BINARY

/* Both at once: args are x, its sines, its cosines; in rows of neighbours. */
static __attribute__((noinline)) int FA_L(fa_sincos_chunk)(intptr_t n, const double *x, double *s, double *c) {
    int64_t special = 0;
    for (intptr_t j = 0; j < (n + FA_MATH_LANES - 1) / FA_MATH_LANES * FA_MATH_LANES; j++) {
        special |= fa_trig_is_large(x[j]);
        fa_sincos_lane(x[j], &s[j], &c[j]);
    }
    return special != 0;
}
static void FA_L(fa_sincos)(char **args, const intptr_t *size, const intptr_t *steps, void *data) {
    double room[FA_MATH_CHUNK], s[FA_MATH_CHUNK], c[FA_MATH_CHUNK];
    (void)data;
    for (intptr_t begin = 0; begin < *size; begin += FA_MATH_CHUNK) {
        intptr_t n = *size - begin < FA_MATH_CHUNK ? *size - begin : FA_MATH_CHUNK;
        const double *x = fa_math_get(n, args[0] + begin * steps[0], steps[0], room);
        if (FA_L(fa_sincos_chunk)(n, x, s, c))
            for (intptr_t j = 0; j < n; j++) if (fa_trig_is_large(x[j])) s[j] = sin(x[j]), c[j] = cos(x[j]);
        fa_math_put(n, s, args[1] + begin * steps[1], steps[1]);
        fa_math_put(n, c, args[2] + begin * steps[2], steps[2]);
    }
}

static const fa_mathset FA_L(fa_math_set) = {
    {[FA_MATH_SIN] = FA_L(fa_sin), [FA_MATH_COS] = FA_L(fa_cos), [FA_MATH_EXP] = FA_L(fa_exp),
     [FA_MATH_EXPM1] = FA_L(fa_expm1), [FA_MATH_TANH] = FA_L(fa_tanh), [FA_MATH_LOG] = FA_L(fa_log),
     [FA_MATH_LOG1P] = FA_L(fa_log1p), [FA_MATH_POWER] = FA_L(fa_power), [FA_MATH_ARCTAN2] = FA_L(fa_arctan2)},
    FA_L(fa_sincos)};
#else
static const fa_mathset FA_L(fa_math_set) = {{0}, 0};
#endif
