/* test_fourier.h - Fourier transforms against sums in long double; the same bits for every instruction set and thread.
   Owns: the tests.  Must not know: how a transform is done.
   Next: fourier.h. */
#ifndef TEST_FOURIER_H
#define TEST_FOURIER_H
#include "builder.h"
#include "fourier.h"
#include "trigonometry.h"

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
    for (int64_t k = 0; k < nx; k++) {
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

/* nx, ny: numbers of the operand and of the result that there are */
static void one_transform(int64_t n, int kind, int inverse, int64_t nx, int64_t ny, double inner) {
    int wide_x = kind == FA_FT_TO_HALF ? 1 : 2, wide_y = kind == FA_FT_TO_REAL ? 1 : 2;
    double *x = malloc((size_t)(nx * wide_x) * 8), *y = malloc((size_t)(ny * wide_y) * 8), scale = below(2) ? 1.0 : 0.3;
    double *first = malloc((size_t)(ny * wide_y) * 8), norm = 0, error = 0;
    long double *z = malloc((size_t)n * 4 * sizeof *z);
    fa_fourier_plan *plan = fa_fourier_plan_new(n, kind != FA_FT_COMPLEX);
    for (int64_t k = 0; k < nx * wide_x; k++) x[k] = normal();
    whole_operand(kind, n, x, nx, inner, z);
    for (int64_t k = 0; k < 2 * n; k++) norm += (double)(z[k] * z[k]);
    slow_transform(n, inverse || kind == FA_FT_TO_REAL, z, z + 2 * n);
    for (int level = fa_cpu_level(); level >= 2; level--)
        for (int threads = 1; threads <= 3; threads += 2) {
            fa_pool_set_threads(threads);
            for (int64_t k = 0; k < ny * wide_y; k++) y[k] = NAN;
            EXPECT(fa_fourier_run(plan, kind, inverse, x, nx, y, ny, scale, inner, level) == FA_FT_OK, "no memory");
            if (level == fa_cpu_level() && threads == 1) memcpy(first, y, (size_t)(ny * wide_y) * 8);
            EXPECT(!memcmp(first, y, (size_t)(ny * wide_y) * 8), "%d: other bits, level %d, threads %d", (int)n, level, threads);
        }
    fa_pool_set_threads(1);
    for (int64_t k = 0; k < ny * wide_y; k++) {
        double e = fabs(first[k] - wanted_result(kind, n, z + 2 * n, k, scale, inner));
        if (!(e <= error)) error = e;
    }
    EXPECT(error <= 2e-15 * sqrt(norm * 2 + 1) * 2, "kind %d, %d points, %d to %d: error %g of %g", kind, (int)n, (int)nx,
           (int)ny, error, sqrt(norm));
    fa_fourier_plan_free(plan);
    free(x); free(y); free(first); free(z);
}

static void test_fourier(int64_t most, int64_t step) {
    int64_t more[] = {1024, 1001, 1155, 1331, 1458, 1536};
    for (int64_t k = 1; k < most + 6; k += k < most ? step : 1) {
        int64_t n = k < most ? k : more[k - most], half = n / 2 + 1;
        if (!fa_fourier_smooth(n)) continue;
        for (int kind = 0; kind < 3; kind++) {
            int64_t all_x = kind == FA_FT_TO_REAL ? half : n, all_y = kind == FA_FT_TO_HALF ? half : n;
            one_transform(n, kind, kind == FA_FT_COMPLEX && k % 2, all_x, all_y, kind == FA_FT_TO_REAL ? 1 : 2);
            one_transform(n, kind, 0, 1 + below(all_x), 1 + below(all_y), 0.5);
            one_transform(n, kind, 0, 1 + below(all_x / 8 + 1), 1 + below(all_y / 8 + 1), 1);
        }
    }
    EXPECT(!fa_fourier_smooth(0) && !fa_fourier_smooth(13) && !fa_fourier_smooth(2 * 17) && fa_fourier_smooth(9240), "smooth");
}
#endif
