/* fourier_stages.h - the two stages of a long Fourier transform; included once for each instruction set, so without a
   guard.
   Owns: how blocks of 8 columns (of reals 16) come from the operand, pass between the stages and go to the result.
   Must not know: who runs which block (pool.h).
   Next: fourier_columns.h (FA_FT and the short transforms), fourier_tiles.h (8 by 8 numbers). */

/* row times w(n)^(k1 (8 b + l)) times f */
FA_FT_INLINE void FA_FT(fa_twist)(const double *fine, const double *coarse, double f, double *row) {
    double cr = coarse[0] * f, ci = coarse[1] * f;
    for (int c = 0; c < FA_FT_LANES; c += FA_FT_WIDTH) {
        FA_V ar = FA_LOAD(fine + c), ai = FA_LOAD(fine + 8 + c), xr = FA_LOAD(row + c), xi = FA_LOAD(row + 8 + c);
        FA_V wr = ar * cr - ai * ci, wi = ar * ci + ai * cr;
        FA_STORE(row + c, xr * wr - xi * wi);
        FA_STORE(row + 8 + c, xr * wi + xi * wr);
    }
}

/* ---- stage one, forward: columns j2 ------------------------------------------------------------------------------ */
/* Rows k1 of the columns of block b, turned, to the rows j2 of stage two. */
FA_FT_INLINE void FA_FT(fa_pass_on)(const fa_fourier_job *job, int64_t b, int64_t k, double *tile) {
    const fa_fourier_plan *p = job->plan;
    const double *fine = p->fine + k * FA_FT_ROW, *coarse = p->coarse + (b * p->rows + k) * 2;
    for (int64_t i = 0; i < fa_fourier_eight(p->rows - k); i++)
        FA_FT(fa_twist)(fine + i * FA_FT_ROW, coarse + i * 2, 1.0, tile + i * FA_FT_ROW);
    FA_FT(fa_turn_tile)(tile, job->between + ((k / 8) * p->column_blocks + b) * 8 * FA_FT_ROW);
}

/* 16 columns of reals: 8 are real parts, 8 imaginary parts. */
static void FA_FT(fa_real_columns)(fa_fourier_job *job, int64_t b, double *a) {
    const fa_fourier_plan *p = job->plan;
    int64_t j2 = 16 * b, full = job->nx / p->n2, rows = full + (job->nx % p->n2 > j2), n1 = p->n1, step = FA_FT_ROW;
    int64_t width = p->n2 - j2 < 16 ? p->n2 - j2 : 16;
    double *piece = a + n1 * FA_FT_ROW;
    const double *x = a, *z;
    if (full == n1 && width == 16) { x = job->x + j2; step = p->n2; }        /* they are rows already */
    else
        for (int64_t j1 = 0; j1 < rows; j1++) {
            int64_t left = job->nx - j1 * p->n2 - j2, w = left < width ? left : width;
            memset(a + j1 * FA_FT_ROW + w, 0, (size_t)(16 - w) * 8);
            memcpy(a + j1 * FA_FT_ROW, job->x + j1 * p->n2 + j2, (size_t)w * 8);
        }
    if (rows == 0) memset(a, 0, FA_FT_ROW * 8);
    z = FA_FT(fa_short)(&p->one, x, step, a, piece, rows ? rows : 1, n1);
    for (int64_t k = 0; k < p->rows; k += 8) {
        double tile[2][8 * FA_FT_ROW] __attribute__((aligned(64)));
        for (int64_t i = 0; i < 8; i++) {
            double *first = tile[0] + i * FA_FT_ROW, *second = tile[1] + i * FA_FT_ROW;
            if (k + i >= p->rows) {
                memset(first, 0, FA_FT_ROW * 8);
                memset(second, 0, FA_FT_ROW * 8);
                continue;
            }
            FA_FT(fa_separate)(z + (k + i) * FA_FT_ROW, z + (k + i ? n1 - k - i : 0) * FA_FT_ROW, 1.0, first, second);
        }
        FA_FT(fa_pass_on)(job, 2 * b, k, tile[0]);
        FA_FT(fa_pass_on)(job, 2 * b + 1, k, tile[1]);
    }
}

static void FA_FT(fa_complex_columns)(fa_fourier_job *job, int64_t b, double *a) {
    const fa_fourier_plan *p = job->plan;
    int64_t j2 = 8 * b, rows = job->nx / p->n2 + (job->nx % p->n2 > j2), n1 = p->n1;
    int64_t width = p->n2 - j2 < 8 ? p->n2 - j2 : 8;
    int re = job->inverse ? 8 : 0, im = 8 - re;
    const double *z;
    for (int64_t j1 = 0; j1 < rows; j1++) {
        int64_t at = j1 * p->n2 + j2, left = job->nx - at, w = left < width ? left : width;
        double *row = a + j1 * FA_FT_ROW;
        if (w == 8) FA_FT(fa_apart)(job->x + 2 * at, row + re, row + im);
        else
            for (int64_t l = 0; l < 8; l++) {
                row[re + l] = l < w ? job->x[2 * (at + l)] : 0.0;
                row[im + l] = l < w ? job->x[2 * (at + l) + 1] : 0.0;
            }
    }
    if (rows == 0) memset(a, 0, FA_FT_ROW * 8);
    z = FA_FT(fa_short)(&p->one, a, FA_FT_ROW, a, a + n1 * FA_FT_ROW, rows ? rows : 1, n1);
    for (int64_t k = 0; k < n1; k += 8) {
        double tile[8 * FA_FT_ROW] __attribute__((aligned(64)));
        int64_t given = n1 - k < 8 ? n1 - k : 8;
        memcpy(tile, z + k * FA_FT_ROW, (size_t)given * FA_FT_ROW * 8);
        memset(tile + given * FA_FT_ROW, 0, (size_t)(8 - given) * FA_FT_ROW * 8);
        FA_FT(fa_pass_on)(job, b, k, tile);
    }
}

static void FA_FT(fa_fourier_columns_first)(void *data, int64_t b, int is_worker) {
    fa_fourier_job *job = data;
    double *a = fa_fourier_scratch(&job->failed, job->plan->n1);
    if (!a) return;
    if (job->plan->is_real) FA_FT(fa_real_columns)(job, b, a);
    else FA_FT(fa_complex_columns)(job, b, a);
    fa_fourier_end(&job->flags, is_worker);
}

/* ---- stage two, forward: columns k1, to coefficients k1 + n1 k2 -------------------------------------------------- */
/* One coefficient of half a spectrum; those of the other half are its conjugates. */
static inline void FA_FT(fa_put_one)(const fa_fourier_job *job, int64_t k, double re, double im) {
    int64_t n = job->plan->n, mirror = k > n / 2, at = mirror ? n - k : k;
    int is_end = at == 0 || 2 * at == n;
    double f = job->scale * (is_end ? 1.0 : job->twice);
    if (at >= job->ny) return;
    job->y[2 * at] = f * re;
    job->y[2 * at + 1] = is_end ? 0.0 : mirror ? -f * im : f * im;
}

FA_FT_INLINE void FA_FT(fa_put_half)(const fa_fourier_job *job, const double *z, int64_t k, int lanes) {
    int64_t n = job->plan->n, half = (n - 1) / 2;    /* 0 < k <= half: coefficients that stand for two */
    double f = job->scale * job->twice;
    if (lanes == 8 && k > 0 && k + 7 <= half && k + 7 < job->ny) FA_FT(fa_together)(z, z + 8, f, job->y + 2 * k);
    else if (lanes == 8 && k > n / 2 && n - k < job->ny) {
        double row[FA_FT_ROW] __attribute__((aligned(64)));
        FA_FT(fa_backwards)(z, 1.0, row);
        FA_FT(fa_backwards)(z + 8, -1.0, row + 8);
        FA_FT(fa_together)(row, row + 8, f, job->y + 2 * (n - k - 7));
    } else
        for (int l = 0; l < lanes; l++) FA_FT(fa_put_one)(job, k + l, z[l], z[8 + l]);
}

static void FA_FT(fa_fourier_rows_second)(void *data, int64_t b, int is_worker) {
    fa_fourier_job *job = data;
    const fa_fourier_plan *p = job->plan;
    int lanes = p->rows - 8 * b < 8 ? (int)(p->rows - 8 * b) : 8, re = job->inverse ? 8 : 0, im = 8 - re;
    const double *x = job->between + b * p->column_blocks * 8 * FA_FT_ROW, *z;
    double *a = fa_fourier_scratch(&job->failed, p->n2);
    if (!a) return;
    z = FA_FT(fa_short)(&p->two, x, FA_FT_ROW, a, a + p->n2 * FA_FT_ROW, p->n2, p->n2);
    for (int64_t k2 = 0; k2 < p->n2; k2++, z += FA_FT_ROW) {
        int64_t k = 8 * b + p->n1 * k2;
        if (p->is_real) FA_FT(fa_put_half)(job, z, k, lanes);
        else if (lanes == 8 && k + 7 < job->ny) FA_FT(fa_together)(z + re, z + im, job->scale, job->y + 2 * k);
        else
            for (int l = 0; l < lanes && k + l < job->ny; l++) {
                job->y[2 * (k + l)] = job->scale * z[re + l];
                job->y[2 * (k + l) + 1] = job->scale * z[im + l];
            }
    }
    fa_fourier_end(&job->flags, is_worker);
}

/* ---- half a spectrum to reals: columns k1 first, then columns j2 ------------------------------------------------- */
/* All with real and imaginary parts exchanged. */
static inline void FA_FT(fa_get_one)(const fa_fourier_job *job, int64_t k, double *row) {
    int64_t n = job->plan->n, mirror = k > n / 2, at = mirror ? n - k : k;
    int is_end = at == 0 || 2 * at == n;
    double f = is_end ? 1.0 : job->twice, im = at < job->nx && !is_end ? f * job->x[2 * at + 1] : 0.0;
    row[0] = mirror ? -im : im;
    row[8] = at < job->nx ? f * job->x[2 * at] : 0.0;
}

FA_FT_INLINE void FA_FT(fa_get_half)(const fa_fourier_job *job, int64_t k, int lanes, double *z) {
    int64_t n = job->plan->n, half = (n - 1) / 2;
    if (lanes == 8 && k > 0 && k + 7 <= half && k + 7 < job->nx) {
        FA_FT(fa_apart)(job->x + 2 * k, z + 8, z);
        for (int c = 0; c < FA_FT_ROW; c += FA_FT_WIDTH) FA_STORE(z + c, job->twice * FA_LOAD(z + c));
    } else if (lanes == 8 && k > n / 2 && n - k < job->nx) {
        double row[FA_FT_ROW] __attribute__((aligned(64)));
        FA_FT(fa_apart)(job->x + 2 * (n - k - 7), row, row + 8);
        FA_FT(fa_backwards)(row, job->twice, z + 8);
        FA_FT(fa_backwards)(row + 8, -job->twice, z);
    } else {
        for (int l = 0; l < lanes; l++) FA_FT(fa_get_one)(job, k + l, z + l);
        for (int l = lanes; l < 8; l++) z[l] = z[8 + l] = 0.0;
    }
}

static void FA_FT(fa_fourier_half_first)(void *data, int64_t b, int is_worker) {
    fa_fourier_job *job = data;
    const fa_fourier_plan *p = job->plan;
    int lanes = p->rows - 8 * b < 8 ? (int)(p->rows - 8 * b) : 8;
    double *a = fa_fourier_scratch(&job->failed, p->n2);
    const double *z;
    if (!a) return;
    for (int64_t k2 = 0; k2 < p->n2; k2++) FA_FT(fa_get_half)(job, 8 * b + p->n1 * k2, lanes, a + k2 * FA_FT_ROW);
    z = FA_FT(fa_short)(&p->two, a, FA_FT_ROW, a, a + p->n2 * FA_FT_ROW, p->n2, p->n2);
    for (int64_t j = 0; j < p->n2; j += 8) {
        double tile[8 * FA_FT_ROW] __attribute__((aligned(64)));
        double *to = job->between + ((j / 8) * p->row_blocks + b) * 8 * FA_FT_ROW;
        int64_t given = p->n2 - j < 8 ? p->n2 - j : 8;
        if (given == 8) FA_FT(fa_turn_tile)(z + j * FA_FT_ROW, to);
        else {
            memcpy(tile, z + j * FA_FT_ROW, (size_t)given * FA_FT_ROW * 8);
            memset(tile + given * FA_FT_ROW, 0, (size_t)(8 - given) * FA_FT_ROW * 8);
            FA_FT(fa_turn_tile)(tile, to);
        }
    }
    fa_fourier_end(&job->flags, is_worker);
}

static void FA_FT(fa_fourier_real_second)(void *data, int64_t b, int is_worker) {
    fa_fourier_job *job = data;
    const fa_fourier_plan *p = job->plan;
    int64_t j2 = 16 * b, n1 = p->n1, width = p->n2 - j2 < 16 ? p->n2 - j2 : 16, m = job->ny < p->n ? job->ny : p->n;
    int64_t wanted = m / p->n2 + (m % p->n2 > j2);
    double *a = wanted ? fa_fourier_scratch(&job->failed, n1) : NULL, zeros[8 * FA_FT_ROW] = {0};
    const double *z;
    if (!a) return;
    for (int64_t k = 0; k < p->rows; k++) {
        const double *first = job->between + 2 * b * p->row_blocks * 8 * FA_FT_ROW + k * FA_FT_ROW;
        const double *second = 2 * b + 1 < (p->n2 + 7) / 8 ? first + p->row_blocks * 8 * FA_FT_ROW : zeros;
        double s[FA_FT_ROW] __attribute__((aligned(64))), t[FA_FT_ROW] __attribute__((aligned(64)));
        memcpy(s, first, sizeof s);
        memcpy(t, second, sizeof t);
        FA_FT(fa_twist)(p->fine + k * FA_FT_ROW, p->coarse + (2 * b * p->rows + k) * 2, job->scale, s);
        FA_FT(fa_twist)(p->fine + k * FA_FT_ROW, p->coarse + ((2 * b + 1) * p->rows + k) * 2, job->scale, t);
        FA_FT(fa_unite)(s, t, 1.0, k == 0 || 2 * k == n1, a + k * FA_FT_ROW, a + (n1 - k) * FA_FT_ROW);
    }
    z = FA_FT(fa_short)(&p->one, a, FA_FT_ROW, a, a + n1 * FA_FT_ROW, n1, wanted);
    for (int64_t j1 = 0; j1 < wanted; j1++) {
        int64_t left = m - j1 * p->n2 - j2, w = left < width ? left : width;
        memcpy(job->y + j1 * p->n2 + j2, z + j1 * FA_FT_ROW, (size_t)w * 8);
    }
    fa_fourier_end(&job->flags, is_worker);
}
