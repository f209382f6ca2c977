/* fourier_many.h - many short Fourier transforms at once, along any axis; included once for each instruction set, so without
   a guard.
   Owns: how 8 of them (of reals 16, two of which make a complex one) come from the operand and go to the result.
   Must not know: who runs which block (pool.h).
   Next: fourier.h (fa_fourier_many), fourier_columns.h (the transforms), fourier_tiles.h (8 by 8 numbers). */

/* Where block b of `width` transforms begins, in numbers, and how many of them there are; n: points of one. */
FA_FT_INLINE int64_t FA_FT(fa_many_begin)(const fa_fourier_many_job *job, int64_t b, int64_t n) {
    int64_t inner = job->inner, width = job->width, blocks = (inner + width - 1) / width;
    return inner == 1 ? b * width * n : b / blocks * n * inner + b % blocks * width;
}

FA_FT_INLINE int FA_FT(fa_many_lanes)(const fa_fourier_many_job *job, int64_t b) {
    int64_t inner = job->inner, width = job->width, blocks = (inner + width - 1) / width;
    int64_t left = inner == 1 ? job->outer - b * width : inner - b % blocks * width;
    return (int)(left < width ? left : width);
}

static void FA_FT(fa_many_complex)(fa_fourier_many_job *job, int64_t b, double *a) {
    int64_t n = job->length->n, inner = job->inner, nx = job->nx, ny = job->ny;
    int64_t across_x = inner == 1 ? nx : 1, across_y = inner == 1 ? ny : 1, known = nx < n ? nx : n, wanted = ny < n ? ny : n;
    const double *x = job->x + 2 * FA_FT(fa_many_begin)(job, b, nx), *z;
    double *y = job->y + 2 * FA_FT(fa_many_begin)(job, b, ny);
    int lanes = FA_FT(fa_many_lanes)(job, b), re = job->inverse ? 8 : 0, im = 8 - re;
    for (int64_t k = 0; k < known; k += 8)
        FA_FT(fa_get_complex)(x + 2 * k * inner, inner, across_x, lanes, known - k < 8 ? known - k : 8, a + k * FA_FT_ROW, re, im);
    z = FA_FT(fa_short)(job->length, a, FA_FT_ROW, a, a + n * FA_FT_ROW, known, wanted);
    for (int64_t k = 0; k < wanted; k += 8)
        FA_FT(fa_put_complex)(y + 2 * k * inner, inner, across_y, lanes, wanted - k < 8 ? wanted - k : 8, z + k * FA_FT_ROW, re, im,
                              job->scale);
}

static void FA_FT(fa_many_to_half)(fa_fourier_many_job *job, int64_t b, double *a) {
    int64_t n = job->length->n, inner = job->inner, nx = job->nx, ny = job->ny, half = n / 2 + 1;
    int64_t across_x = inner == 1 ? nx : 1, across_y = inner == 1 ? ny : 1, known = nx < n ? nx : n, wanted = ny < half ? ny : half;
    const double *x = job->x + FA_FT(fa_many_begin)(job, b, nx), *z;
    double *y = job->y + 2 * FA_FT(fa_many_begin)(job, b, ny);
    int lanes = FA_FT(fa_many_lanes)(job, b), first = lanes < 8 ? lanes : 8, second = lanes - first;
    for (int64_t k = 0; k < known; k += 8) {
        int64_t count = known - k < 8 ? known - k : 8;
        FA_FT(fa_get_real)(x + k * inner, inner, across_x, first, count, a + k * FA_FT_ROW);
        FA_FT(fa_get_real)(x + k * inner + 8 * across_x, inner, across_x, second, count, a + k * FA_FT_ROW + 8);
    }
    z = FA_FT(fa_short)(job->length, a, FA_FT_ROW, a, a + n * FA_FT_ROW, known, n);
    for (int64_t k = 0; k < wanted; k += 8) {
        double tile[2][8 * FA_FT_ROW] __attribute__((aligned(64)));
        int64_t count = wanted - k < 8 ? wanted - k : 8;
        for (int64_t i = 0; i < count; i++) {
            int is_end = k + i == 0 || 2 * (k + i) == n;
            double f = is_end ? 0.5 : 0.5 * job->twice;
            FA_FT(fa_separate)(z + (k + i) * FA_FT_ROW, z + (is_end ? k + i : n - k - i) * FA_FT_ROW, f, tile[0] + i * FA_FT_ROW,
                               tile[1] + i * FA_FT_ROW);
        }
        FA_FT(fa_put_complex)(y + 2 * k * inner, inner, across_y, first, count, tile[0], 0, 8, job->scale);
        FA_FT(fa_put_complex)(y + 2 * (k * inner + 8 * across_y), inner, across_y, second, count, tile[1], 0, 8, job->scale);
    }
}

static void FA_FT(fa_many_to_real)(fa_fourier_many_job *job, int64_t b, double *a) {
    int64_t n = job->length->n, inner = job->inner, nx = job->nx, ny = job->ny, half = n / 2 + 1;
    int64_t across_x = inner == 1 ? nx : 1, across_y = inner == 1 ? ny : 1, known = nx < half ? nx : half, wanted = ny < n ? ny : n;
    const double *x = job->x + 2 * FA_FT(fa_many_begin)(job, b, nx), *z;
    double *y = job->y + FA_FT(fa_many_begin)(job, b, ny);
    int lanes = FA_FT(fa_many_lanes)(job, b), first = lanes < 8 ? lanes : 8, second = lanes - first;
    memset(a + known * FA_FT_ROW, 0, (size_t)(n - known) * FA_FT_ROW * 8);
    for (int64_t k = 0; k < known; k += 8) {
        double tile[2][8 * FA_FT_ROW] __attribute__((aligned(64)));
        int64_t count = known - k < 8 ? known - k : 8;
        FA_FT(fa_get_complex)(x + 2 * k * inner, inner, across_x, first, count, tile[0], 8, 0);
        FA_FT(fa_get_complex)(x + 2 * (k * inner + 8 * across_x), inner, across_x, second, count, tile[1], 8, 0);
        for (int64_t i = 0; i < count; i++) {
            int is_end = k + i == 0 || 2 * (k + i) == n;
            FA_FT(fa_unite)(tile[0] + i * FA_FT_ROW, tile[1] + i * FA_FT_ROW, job->scale * (is_end ? 1.0 : job->twice), is_end,
                            a + (k + i) * FA_FT_ROW, a + (n - k - i) * FA_FT_ROW);
        }
    }
    z = FA_FT(fa_short)(job->length, a, FA_FT_ROW, a, a + n * FA_FT_ROW, n, wanted);
    for (int64_t k = 0; k < wanted; k += 8) {
        int64_t count = wanted - k < 8 ? wanted - k : 8;
        FA_FT(fa_put_real)(y + k * inner, inner, across_y, first, count, z + k * FA_FT_ROW);
        FA_FT(fa_put_real)(y + k * inner + 8 * across_y, inner, across_y, second, count, z + k * FA_FT_ROW + 8);
    }
}

static void FA_FT(fa_fourier_many_block)(void *data, int64_t b, int is_worker) {
    fa_fourier_many_job *job = data;
    double *a = fa_fourier_scratch(&job->failed, job->length->n);
    if (!a) return;
    if (job->kind == FA_FT_COMPLEX) FA_FT(fa_many_complex)(job, b, a);
    else if (job->kind == FA_FT_TO_HALF) FA_FT(fa_many_to_half)(job, b, a);
    else FA_FT(fa_many_to_real)(job, b, a);
    fa_fourier_end(&job->flags, is_worker);
}
#undef FA_V
#undef FA_LOAD
#undef FA_STORE
