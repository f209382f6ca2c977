/* trigonometry_loops.h - the loops of sin and cos; included once for each instruction set, so without a guard.
   The loops have the signature of NumPy's inner loops; operand and result may be the same memory.
   Next: trigonometry.h, levels.h. */
static __attribute__((noinline, unused)) int FA_L(fa_sincos_chunk)(int64_t n, const double *x, double *s, double *c) {
    int64_t large = 0;
    for (int64_t j = 0; j < n; j++) {
        large |= fa_trig_is_large(x[j]);
        fa_sincos_lane(x[j], &s[j], &c[j]);
    }
    return large != 0;
}

static inline __attribute__((always_inline)) void FA_L(fa_trig)(char **args, const intptr_t *size,
                                                                const intptr_t *steps, int cosine) {
    double x[FA_TRIG_CHUNK], s[FA_TRIG_CHUNK], c[FA_TRIG_CHUNK];
    if (*size == 1) {                                /* a number: the same lane, without its neighbours */
        memcpy(x, args[0], 8);
        if (!fa_trig_is_large(x[0])) fa_sincos_lane(x[0], s, c);
        else *(cosine ? c : s) = cosine ? cos(x[0]) : sin(x[0]);
        memcpy(args[1], cosine ? c : s, 8);
        return;
    }
    for (intptr_t begin = 0; begin < *size; begin += FA_TRIG_CHUNK) {
        intptr_t n = *size - begin < FA_TRIG_CHUNK ? *size - begin : FA_TRIG_CHUNK;
        const char *in = args[0] + begin * steps[0];
        char *out = args[1] + begin * steps[1];
        double *y = cosine ? c : s;
        if (steps[0] == 8) memcpy(x, in, (size_t)n * 8);
        else for (intptr_t j = 0; j < n; j++) memcpy(&x[j], in + j * steps[0], 8);
        if (FA_L(fa_sincos_chunk)(n, x, s, c))
            for (intptr_t j = 0; j < n; j++)
                if (fa_trig_is_large(x[j])) y[j] = cosine ? cos(x[j]) : sin(x[j]);
        if (steps[1] == 8) memcpy(out, y, (size_t)n * 8);
        else for (intptr_t j = 0; j < n; j++) memcpy(out + j * steps[1], &y[j], 8);
    }
}

static void FA_L(fa_sin)(char **args, const intptr_t *n, const intptr_t *steps, void *data) {
    (void)data;
    FA_L(fa_trig)(args, n, steps, 0);
}

static void FA_L(fa_cos)(char **args, const intptr_t *n, const intptr_t *steps, void *data) {
    (void)data;
    FA_L(fa_trig)(args, n, steps, 1);
}
