/* test_fourier.h - Fourier transforms against sums in long double; the same bits for every instruction set and thread.
   Owns: the tests.  Must not know: how a transform is done.
   Next: fourier.h. */
#ifndef TEST_FOURIER_H
#define TEST_FOURIER_H
#include "builder.h"
#include "fourier.h"
#include "lane.h"

/* out[k] = scale sum_j x[j] exp(-+ 2 pi i j k / n), for pairs of numbers */
static void slow_transform(int64_t n, int inverse, const long double *x, long double *out) {
    long double *root = malloc((size_t)n * 2 * sizeof *root), angle = 8 * atanl(1) / (long double)n;
    for (int64_t k = 0; k < n; k++) {
        root[2 * k] = cosl(angle * (long double)k);
        root[2 * k + 1] = (inverse ? 1 : -1) * sinl(angle * (long double)k);
    }
    for (int64_t k = 0; k < n; k++) {
        long double re = 0, im = 0;
        for (int64_t j = 0; j < n; j++) {
            const long double *w = root + 2 * (j * k % n);
            re += x[2 * j] * w[0] - x[2 * j + 1] * w[1];
            im += x[2 * j] * w[1] + x[2 * j + 1] * w[0];
        }
        out[2 * k] = re;
        out[2 * k + 1] = im;
    }
    free(root);
}

/* The whole operand of a transform of n complex numbers: of a half the mirror image is added. */
static void whole_operand(int kind, int64_t n, const double *x, int64_t nx, double inner, long double *z) {
    memset(z, 0, (size_t)n * 2 * sizeof *z);
    int64_t used = kind == FA_FT_TO_REAL ? n / 2 + 1 : n;
    for (int64_t k = 0; k < nx && k < used; k++) {
        if (kind == FA_FT_TO_HALF) { z[2 * k] = x[k]; continue; }
        int is_end = kind == FA_FT_TO_REAL && (k == 0 || 2 * k == n);
        long double f = kind == FA_FT_TO_REAL && !is_end ? inner : 1;
        z[2 * k] = f * x[2 * k];
        z[2 * k + 1] = is_end ? 0 : f * x[2 * k + 1];
        if (kind != FA_FT_TO_REAL || is_end) continue;
        z[2 * (n - k)] = z[2 * k];
        z[2 * (n - k) + 1] = -z[2 * k + 1];
    }
}

static double wanted_result(int kind, int64_t n, const long double *z, int64_t k, double scale, double inner) {
    if (kind == FA_FT_TO_REAL) return (double)(scale * z[2 * k]);
    int is_end = k / 2 == 0 || k / 2 * 2 == n;
    return (double)(scale * (kind == FA_FT_TO_HALF && !is_end ? inner : 1) * z[k]);
}

/* A transform among others: many at once (outer x nx x inner numbers) or one, of nx numbers to ny. */
typedef struct {
    int64_t n, nx, ny, outer, inner;
    int kind, inverse, many, wide_x, wide_y;
    double twice, scale;
} transform;

static int do_transform(const transform *t, const fa_fourier_plan *plan, const double *x, double *y, int level) {
    if (t->many)
        return fa_fourier_many(plan, t->kind, t->inverse, x, t->nx, y, t->ny, t->outer, t->inner, t->scale, t->twice,
                               level);
    return fa_fourier_rows(plan, t->kind, t->inverse, x, t->nx, t->nx * t->wide_x, y, t->ny, t->ny * t->wide_y,
                           t->outer, t->scale, t->twice, level);
}

static void compare(const transform *t, const double *x, const double *y) {
    long double *z = malloc((size_t)t->n * 4 * sizeof *z);
    double *one = malloc((size_t)(t->nx * t->wide_x) * 8), norm = 0, error = 0;
    for (int64_t b = 0; b < t->outer * t->inner; b++) {
        const double *from = x + (b / t->inner * t->nx * t->inner + b % t->inner) * t->wide_x;
        const double *got = y + (b / t->inner * t->ny * t->inner + b % t->inner) * t->wide_y;
        for (int64_t k = 0; k < t->nx * t->wide_x; k++)
            one[k] = from[k / t->wide_x * t->inner * t->wide_x + k % t->wide_x];
        whole_operand(t->kind, t->n, one, t->nx, t->twice, z);
        for (int64_t k = 0; k < 2 * t->n; k++) norm += (double)(z[k] * z[k]);
        slow_transform(t->n, t->inverse || t->kind == FA_FT_TO_REAL, z, z + 2 * t->n);
        for (int64_t k = 0; k < t->ny * t->wide_y; k++) {
            double e = fabs(got[k / t->wide_y * t->inner * t->wide_y + k % t->wide_y]
                            - wanted_result(t->kind, t->n, z + 2 * t->n, k, t->scale, t->twice));
            if (!(e <= error)) error = e;
        }
    }
    EXPECT(error <= 4e-15 * sqrt(norm * 2 + 1), "kind %d, %d points, %d to %d, %d x %d: error %g of %g", t->kind,
           (int)t->n, (int)t->nx, (int)t->ny, (int)t->outer, (int)t->inner, error, sqrt(norm));
    free(z); free(one);
}

static void one_transform(transform t) {
    t.wide_x = t.kind == FA_FT_TO_HALF ? 1 : 2;
    t.wide_y = t.kind == FA_FT_TO_REAL ? 1 : 2;
    t.scale = below(2) ? 1.0 : 0.3;
    int64_t size_x = t.outer * t.inner * t.nx * t.wide_x, size_y = t.outer * t.inner * t.ny * t.wide_y;
    double *x = malloc((size_t)size_x * 8), *y = malloc((size_t)size_y * 8), *first = malloc((size_t)size_y * 8);
    fa_fourier_plan *plan = t.many ? fa_fourier_plan_short(t.n) : fa_fourier_plan_new(t.n, t.kind != FA_FT_COMPLEX);
    for (int64_t k = 0; k < size_x; k++) x[k] = normal();
    for (int level = fa_cpu_level(); level >= 2; level--)
        for (int threads = 1; threads <= 3; threads += 2) {
            fa_pool_set_threads(threads);
            for (int64_t k = 0; k < size_y; k++) y[k] = NAN;
            EXPECT(do_transform(&t, plan, x, y, level) == FA_FT_OK, "no memory");
            if (level == fa_cpu_level() && threads == 1) memcpy(first, y, (size_t)size_y * 8);
            EXPECT(!memcmp(first, y, (size_t)size_y * 8), "%d: other bits, level %d, %d threads", (int)t.n, level,
                   threads);
        }
    fa_pool_set_threads(1);
    compare(&t, x, first);
    fa_fourier_plan_free(plan);
    free(x); free(y); free(first);
}

/* A long one there and back, by one thread and by several. */
static void shared_transform(int64_t n) {
    while (!fa_fourier_smooth(n)) n++;
    fa_fourier_plan *plan = fa_fourier_plan_new(n, 1);
    double *x = malloc((size_t)n * 8), *back = malloc((size_t)n * 8), *half[2], worst = 0;
    for (int64_t k = 0; k < n; k++) x[k] = normal();
    for (int k = 0; k < 2; k++) {
        half[k] = malloc((size_t)(n / 2 + 1) * 16);
        fa_pool_set_threads(1 + 3 * k);
        fa_fourier_run(plan, FA_FT_TO_HALF, 0, x, n, half[k], n / 2 + 1, 1.0, 1.0, fa_cpu_level());
    }
    EXPECT(!memcmp(half[0], half[1], (size_t)(n / 2 + 1) * 16), "%d points: threads change bits", (int)n);
    fa_fourier_run(plan, FA_FT_TO_REAL, 0, half[1], n / 2 + 1, back, n, 1.0 / (double)n, 1.0, fa_cpu_level());
    fa_pool_set_threads(1);
    for (int64_t k = 0; k < n; k++) worst = fmax(worst, fabs(back[k] - x[k]));
    EXPECT(worst < 1e-14, "%d points there and back: %g", (int)n, worst);
    fa_fourier_plan_free(plan);
    free(x); free(back); free(half[0]); free(half[1]);
}

static void test_fourier(int64_t most, int64_t step) {
    int64_t more[] = {1024, 1001, 1155, 1331, 1458, 1536};
    for (int64_t k = 1; k < most + 6; k += k < most ? step : 1) {
        int64_t n = k < most ? k : more[k - most], half = n / 2 + 1;
        if (!fa_fourier_smooth(n)) continue;
        for (int kind = 0; kind < 3; kind++) {
            int64_t all_x = kind == FA_FT_TO_REAL ? half : n, all_y = kind == FA_FT_TO_HALF ? half : n;
            transform whole = {.n = n, .nx = all_x, .ny = all_y, .outer = 1 + (n < 40), .inner = 1, .kind = kind,
                               .inverse = kind == FA_FT_COMPLEX && k % 2, .twice = kind == FA_FT_TO_REAL ? 1 : 2};
            one_transform(whole);
            for (int part = 1; part <= 8; part *= 8) {
                transform t = whole;
                t.nx = 1 + below((all_x + part - 1) / part);
                t.ny = 1 + below((all_y + part - 1) / part);
                one_transform(t);
            }
            for (int part = 0; part < 4 && (n <= 36 || n == 96); part++) {
                transform t = whole;
                t.many = 1;
                t.outer = part % 2 ? 1 + below(40) : 1 + below(3);
                t.inner = part % 2 ? 1 : 1 + below(40);
                if (part >= 2) { t.nx = 1 + below(all_x + 3); t.ny = 1 + below(all_y); }     /* nx beyond what counts */
                one_transform(t);
            }
        }
    }
    one_transform((transform){.n = 1344, .nx = 1344, .ny = 673, .outer = 25, .inner = 1, .kind = FA_FT_TO_HALF,
                              .twice = 1});          /* many enough for the threads */
    shared_transform(FA_FT_SHARED + 1);
    EXPECT(!fa_fourier_smooth(0) && !fa_fourier_smooth(13) && !fa_fourier_smooth(34), "no plan for these");
    EXPECT(fa_fourier_smooth(1) && fa_fourier_smooth(9240), "a plan for these");
}
#endif
