/* fourier_many.h - many short Fourier transforms at once, along any axis; included once for each instruction set, so
   without a guard.
   Owns: how 8 of them (of reals 16, two of which make a complex one) come from the operand and go to the result.
   Must not know: who runs which block (pool.h).
   Next: fourier.h (fa_fourier_many), fourier_columns.h (the transforms), fourier_tiles.h (8 by 8 numbers). */

/* One block: where its transforms begin, how far points and transforms are from each other (in numbers), how many of
   the first and of the second 8 there are, and how many points count. */
typedef struct {
    const double *x;
    double *y;
    int64_t n, along, across_x, across_y, known, wanted;
    int first, second;
} FA_FT(fa_block);

FA_FT_INLINE FA_FT(fa_block) FA_FT(fa_block_of)(const fa_fourier_many_job *job, int64_t b) {
    int64_t n = job->length->n, half = n / 2 + 1, inner = job->inner, width = job->width, nx = job->nx, ny = job->ny;
    int64_t blocks = (inner + width - 1) / width, most_x = job->kind == FA_FT_TO_REAL ? half : n;
    int64_t most_y = job->kind == FA_FT_TO_HALF ? half : n, by_rows = inner == 1;
    int64_t begin_x = by_rows ? b * width * nx : b / blocks * nx * inner + b % blocks * width;
    int64_t begin_y = by_rows ? b * width * ny : b / blocks * ny * inner + b % blocks * width;
    int64_t left = by_rows ? job->outer - b * width : inner - b % blocks * width, lanes = left < width ? left : width;
    return (FA_FT(fa_block)){
        .x = job->x + begin_x * (job->kind == FA_FT_TO_HALF ? 1 : 2),
        .y = job->y + begin_y * (job->kind == FA_FT_TO_REAL ? 1 : 2),
        .n = n, .along = inner, .across_x = by_rows ? nx : 1, .across_y = by_rows ? ny : 1,
        .known = nx < most_x ? nx : most_x, .wanted = ny < most_y ? ny : most_y,
        .first = (int)(lanes < 8 ? lanes : 8), .second = (int)(lanes < 8 ? 0 : lanes - 8)};
}

static void FA_FT(fa_many_complex)(fa_fourier_many_job *job, int64_t b, double *a) {
    FA_FT(fa_block) t = FA_FT(fa_block_of)(job, b);
    int re = job->inverse ? 8 : 0, im = 8 - re;
    const double *z;
    for (int64_t k = 0; k < t.known; k += 8)
        FA_FT(fa_get_complex)(t.x + 2 * k * t.along, t.along, t.across_x, t.first, fa_fourier_eight(t.known - k),
                              a + k * FA_FT_ROW, re, im);
    z = FA_FT(fa_short)(job->length, a, FA_FT_ROW, a, a + t.n * FA_FT_ROW, t.known, t.wanted);
    for (int64_t k = 0; k < t.wanted; k += 8)
        FA_FT(fa_put_complex)(t.y + 2 * k * t.along, t.along, t.across_y, t.first, fa_fourier_eight(t.wanted - k),
                              z + k * FA_FT_ROW, re, im, job->scale);
}

static void FA_FT(fa_many_to_half)(fa_fourier_many_job *job, int64_t b, double *a) {
    FA_FT(fa_block) t = FA_FT(fa_block_of)(job, b);
    const double *z;
    for (int64_t k = 0; k < t.known; k += 8) {
        const double *x = t.x + k * t.along;
        int64_t count = fa_fourier_eight(t.known - k);
        FA_FT(fa_get_real)(x, t.along, t.across_x, t.first, count, a + k * FA_FT_ROW);
        FA_FT(fa_get_real)(x + 8 * t.across_x, t.along, t.across_x, t.second, count, a + k * FA_FT_ROW + 8);
    }
    z = FA_FT(fa_short)(job->length, a, FA_FT_ROW, a, a + t.n * FA_FT_ROW, t.known, t.n);
    for (int64_t k = 0; k < t.wanted; k += 8) {
        double tile[2][8 * FA_FT_ROW] __attribute__((aligned(64))), *y = t.y + 2 * k * t.along;
        int64_t count = fa_fourier_eight(t.wanted - k);
        for (int64_t i = 0, at = k; i < count; i++, at++) {
            int is_end = at == 0 || 2 * at == t.n;
            FA_FT(fa_separate)(z + at * FA_FT_ROW, z + (is_end ? at : t.n - at) * FA_FT_ROW,
                               is_end ? 0.5 : 0.5 * job->twice, tile[0] + i * FA_FT_ROW, tile[1] + i * FA_FT_ROW);
        }
        FA_FT(fa_put_complex)(y, t.along, t.across_y, t.first, count, tile[0], 0, 8, job->scale);
        FA_FT(fa_put_complex)(y + 16 * t.across_y, t.along, t.across_y, t.second, count, tile[1], 0, 8, job->scale);
    }
}

static void FA_FT(fa_many_to_real)(fa_fourier_many_job *job, int64_t b, double *a) {
    FA_FT(fa_block) t = FA_FT(fa_block_of)(job, b);
    const double *z;
    memset(a + t.known * FA_FT_ROW, 0, (size_t)(t.n - t.known) * FA_FT_ROW * 8);
    for (int64_t k = 0; k < t.known; k += 8) {
        double tile[2][8 * FA_FT_ROW] __attribute__((aligned(64)));
        const double *x = t.x + 2 * k * t.along;
        int64_t count = fa_fourier_eight(t.known - k);
        FA_FT(fa_get_complex)(x, t.along, t.across_x, t.first, count, tile[0], 8, 0);
        FA_FT(fa_get_complex)(x + 16 * t.across_x, t.along, t.across_x, t.second, count, tile[1], 8, 0);
        for (int64_t i = 0, at = k; i < count; i++, at++) {
            int is_end = at == 0 || 2 * at == t.n;
            FA_FT(fa_unite)(tile[0] + i * FA_FT_ROW, tile[1] + i * FA_FT_ROW, job->scale * (is_end ? 1.0 : job->twice),
                            is_end, a + at * FA_FT_ROW, a + (t.n - at) * FA_FT_ROW);
        }
    }
    z = FA_FT(fa_short)(job->length, a, FA_FT_ROW, a, a + t.n * FA_FT_ROW, t.n, t.wanted);
    for (int64_t k = 0; k < t.wanted; k += 8) {
        double *y = t.y + k * t.along;
        int64_t count = fa_fourier_eight(t.wanted - k);
        FA_FT(fa_put_real)(y, t.along, t.across_y, t.first, count, z + k * FA_FT_ROW);
        FA_FT(fa_put_real)(y + 8 * t.across_y, t.along, t.across_y, t.second, count, z + k * FA_FT_ROW + 8);
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
