/* fourier_tiles.h - what moves between memory and columns; included once for each instruction set, so without a guard.
   Owns: real and imaginary parts apart and together, squares of 8 by 8 numbers turned.
   Must not know: transforms.
   Next: fourier_columns.h (FA_FT, FA_FT_WIDTH and rows). */

/* ---- 8 complex numbers, apart and together --------------------------------------------------------------------- */
#if defined(__clang__)
#define FA_MIX(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
typedef int64_t FA_FT(fa_mask) __attribute__((vector_size(FA_FT_WIDTH * 8)));
#define FA_MIX(a, b, ...) __builtin_shuffle(a, b, (FA_FT(fa_mask)){__VA_ARGS__})
#endif
#if FA_FT_WIDTH == 8
#define FA_EVEN 0, 2, 4, 6, 8, 10, 12, 14
#define FA_ODD 1, 3, 5, 7, 9, 11, 13, 15
#define FA_LOW 0, 8, 1, 9, 2, 10, 3, 11
#define FA_HIGH 4, 12, 5, 13, 6, 14, 7, 15
#define FA_BACK 7, 6, 5, 4, 3, 2, 1, 0
#elif FA_FT_WIDTH == 4
#define FA_EVEN 0, 2, 4, 6
#define FA_ODD 1, 3, 5, 7
#define FA_LOW 0, 4, 1, 5
#define FA_HIGH 2, 6, 3, 7
#define FA_BACK 3, 2, 1, 0
#else
#define FA_EVEN 0, 2
#define FA_ODD 1, 3
#define FA_LOW 0, 2
#define FA_HIGH 1, 3
#define FA_BACK 1, 0
#endif

FA_FT_INLINE void FA_FT(fa_apart)(const double *z, double *re, double *im) {
    for (int c = 0; c < FA_FT_LANES; c += FA_FT_WIDTH) {
        FA_V a = FA_LOAD(z + 2 * c), b = FA_LOAD(z + 2 * c + FA_FT_WIDTH);
        FA_STORE(re + c, FA_MIX(a, b, FA_EVEN));
        FA_STORE(im + c, FA_MIX(a, b, FA_ODD));
    }
}

/* (re + i im) f */
FA_FT_INLINE void FA_FT(fa_together)(const double *re, const double *im, double f, double *z) {
    for (int c = 0; c < FA_FT_LANES; c += FA_FT_WIDTH) {
        FA_V a = f * FA_LOAD(re + c), b = f * FA_LOAD(im + c);
        FA_STORE(z + 2 * c, FA_MIX(a, b, FA_LOW));
        FA_STORE(z + 2 * c + FA_FT_WIDTH, FA_MIX(a, b, FA_HIGH));
    }
}

/* 8 numbers backwards, times f */
FA_FT_INLINE void FA_FT(fa_backwards)(const double *x, double f, double *y) {
    for (int c = 0; c < FA_FT_LANES; c += FA_FT_WIDTH) {
        FA_V a = f * FA_LOAD(x + c);
        FA_STORE(y + FA_FT_LANES - FA_FT_WIDTH - c, FA_MIX(a, a, FA_BACK));
    }
}

/* WIDTH vectors, rows for columns */
FA_FT_INLINE void FA_FT(fa_turn_square)(FA_V *v) {
#define FA_STAGE(h, LO, HI) \
    for (int i = 0; i < FA_FT_WIDTH; i++) \
        if (!(i & h)) { \
            FA_V lo = FA_MIX(v[i], v[i + h], LO), hi = FA_MIX(v[i], v[i + h], HI); \
            v[i] = lo; \
            v[i + h] = hi; \
        }
#define FA_LIST(...) __VA_ARGS__
#if FA_FT_WIDTH == 8
    FA_STAGE(1, FA_LIST(0, 8, 2, 10, 4, 12, 6, 14), FA_LIST(1, 9, 3, 11, 5, 13, 7, 15))
    FA_STAGE(2, FA_LIST(0, 1, 8, 9, 4, 5, 12, 13), FA_LIST(2, 3, 10, 11, 6, 7, 14, 15))
    FA_STAGE(4, FA_LIST(0, 1, 2, 3, 8, 9, 10, 11), FA_LIST(4, 5, 6, 7, 12, 13, 14, 15))
#elif FA_FT_WIDTH == 4
    FA_STAGE(1, FA_LIST(0, 4, 2, 6), FA_LIST(1, 5, 3, 7))
    FA_STAGE(2, FA_LIST(0, 1, 4, 5), FA_LIST(2, 3, 6, 7))
#else
    FA_STAGE(1, FA_LIST(0, 2), FA_LIST(1, 3))
#endif
#undef FA_STAGE
#undef FA_LIST
}

/* 8 by 8 numbers, rows for columns; rows stand at multiples of the steps */
FA_FT_INLINE void FA_FT(fa_turn_part)(const double *from, int64_t from_step, double *to, int64_t to_step) {
    for (int i = 0; i < FA_FT_LANES; i += FA_FT_WIDTH)
        for (int j = 0; j < FA_FT_LANES; j += FA_FT_WIDTH) {
            FA_V v[FA_FT_WIDTH];
            for (int k = 0; k < FA_FT_WIDTH; k++) v[k] = FA_LOAD(from + (i + k) * from_step + j);
            FA_FT(fa_turn_square)(v);
            for (int k = 0; k < FA_FT_WIDTH; k++) FA_STORE(to + (j + k) * to_step + i, v[k]);
        }
}

/* 8 rows of 8 complex numbers */
FA_FT_INLINE void FA_FT(fa_turn_tile)(const double *tile, double *to) {
    FA_FT(fa_turn_part)(tile, FA_FT_ROW, to, FA_FT_ROW);
    FA_FT(fa_turn_part)(tile + FA_FT_LANES, FA_FT_ROW, to + FA_FT_LANES, FA_FT_ROW);
}

/* ---- two real columns as one complex one ------------------------------------------------------------------------- */
/* z = a + i b transforms to u at k and to v at n - k: 2 f times the transforms of a and of b at k. */
FA_FT_INLINE void FA_FT(fa_separate)(const double *u, const double *v, double f, double *a, double *b) {
    for (int c = 0; c < FA_FT_LANES; c += FA_FT_WIDTH) {
        FA_V ur = FA_LOAD(u + c), ui = FA_LOAD(u + 8 + c), vr = FA_LOAD(v + c), vi = FA_LOAD(v + 8 + c);
        FA_STORE(a + c, f * (ur + vr));
        FA_STORE(a + 8 + c, f * (ui - vi));
        FA_STORE(b + c, f * (ui + vi));
        FA_STORE(b + 8 + c, f * (vr - ur));
    }
}

/* The inverse, with real and imaginary parts exchanged throughout: f (b + i a) at k to u, its mirror image to v.
   is_end: k is its own mirror image, and a and b are real there. */
FA_FT_INLINE void FA_FT(fa_unite)(const double *a, const double *b, double f, int is_end, double *u, double *v) {
    for (int c = 0; c < FA_FT_LANES; c += FA_FT_WIDTH) {
        FA_V ai = FA_LOAD(a + c), ar = FA_LOAD(a + 8 + c), bi = FA_LOAD(b + c), br = FA_LOAD(b + 8 + c);
        FA_STORE(u + c, f * (is_end ? ar : bi + ar));
        FA_STORE(u + 8 + c, f * (is_end ? br : br - ai));
        if (is_end) continue;
        FA_STORE(v + c, f * (ar - bi));
        FA_STORE(v + 8 + c, f * (br + ai));
    }
}

/* ---- up to 8 transforms in memory: number k of transform l at k * along + l * across ----------------------------- */
/* Points of complex numbers to `count` <= 8 rows, with parts re and im; lanes that are not there are zero. */
FA_FT_INLINE void FA_FT(fa_get_complex)(const double *z, int64_t along, int64_t across, int lanes, int64_t count,
                                        double *rows, int re, int im) {
    if (lanes == 8 && across == 1)
        for (int64_t k = 0; k < count; k++, rows += FA_FT_ROW) FA_FT(fa_apart)(z + 2 * k * along, rows + re, rows + im);
    else if (lanes == 8 && along == 1 && count == 8) {
        double tile[8 * FA_FT_ROW] __attribute__((aligned(64))), *row = tile;
        for (int l = 0; l < 8; l++, row += FA_FT_ROW) FA_FT(fa_apart)(z + 2 * l * across, row + re, row + im);
        FA_FT(fa_turn_tile)(tile, rows);
    } else
        for (int64_t k = 0; k < count; k++)
            for (int l = 0; l < 8; l++) {
                rows[k * FA_FT_ROW + re + l] = l < lanes ? z[2 * (k * along + l * across)] : 0.0;
                rows[k * FA_FT_ROW + im + l] = l < lanes ? z[2 * (k * along + l * across) + 1] : 0.0;
            }
}

FA_FT_INLINE void FA_FT(fa_put_complex)(double *z, int64_t along, int64_t across, int lanes, int64_t count,
                                        const double *rows, int re, int im, double f) {
    if (lanes == 8 && across == 1)
        for (int64_t k = 0; k < count; k++)
            FA_FT(fa_together)(rows + k * FA_FT_ROW + re, rows + k * FA_FT_ROW + im, f, z + 2 * k * along);
    else if (lanes == 8 && along == 1 && count == 8) {
        double tile[8 * FA_FT_ROW] __attribute__((aligned(64)));
        FA_FT(fa_turn_tile)(rows, tile);
        for (int l = 0; l < 8; l++)
            FA_FT(fa_together)(tile + l * FA_FT_ROW + re, tile + l * FA_FT_ROW + im, f, z + 2 * l * across);
    } else
        for (int64_t k = 0; k < count; k++)
            for (int l = 0; l < lanes; l++) {
                z[2 * (k * along + l * across)] = f * rows[k * FA_FT_ROW + re + l];
                z[2 * (k * along + l * across) + 1] = f * rows[k * FA_FT_ROW + im + l];
            }
}

/* The same of reals: one part of the rows. */
FA_FT_INLINE void FA_FT(fa_get_real)(const double *x, int64_t along, int64_t across, int lanes, int64_t count,
                                     double *rows) {
    if (lanes == 8 && across == 1)
        for (int64_t k = 0; k < count; k++) memcpy(rows + k * FA_FT_ROW, x + k * along, 64);
    else if (lanes == 8 && along == 1 && count == 8) FA_FT(fa_turn_part)(x, across, rows, FA_FT_ROW);
    else
        for (int64_t k = 0; k < count; k++)
            for (int l = 0; l < 8; l++) rows[k * FA_FT_ROW + l] = l < lanes ? x[k * along + l * across] : 0.0;
}

FA_FT_INLINE void FA_FT(fa_put_real)(double *x, int64_t along, int64_t across, int lanes, int64_t count,
                                     const double *rows) {
    if (lanes == 8 && across == 1)
        for (int64_t k = 0; k < count; k++) memcpy(x + k * along, rows + k * FA_FT_ROW, 64);
    else if (lanes == 8 && along == 1 && count == 8) FA_FT(fa_turn_part)(rows, FA_FT_ROW, x, across);
    else
        for (int64_t k = 0; k < count; k++)
            for (int l = 0; l < lanes; l++) x[k * along + l * across] = rows[k * FA_FT_ROW + l];
}
#undef FA_MIX
#undef FA_EVEN
#undef FA_ODD
#undef FA_LOW
#undef FA_HIGH
#undef FA_BACK
