/* fourier.h - Fourier transforms of long arrays of float64: plans, roots of unity, the two stages and who runs them.
   Owns: which lengths have a plan (products of 2, 3, 5, 7 and 11), the roots, the memory between the stages, the choice
   of the instruction set.
   Must not know: NumPy, tapes, norms (fourier.py).
   A transform of n = n1 * n2 points is two stages of short ones over columns (the four-step scheme: D. H. Bailey 1990):
   with j = j1 n2 + j2 and k = k1 + n1 k2,
       X[k] = sum_j2 w(n2)^(j2 k2)  w(n)^(j2 k1)  sum_j1 w(n1)^(j1 k1) x[j],      w(n) = exp(-2 pi i / n).
   Stage one transforms columns j2, multiplies by the roots w(n)^(j2 k1) and turns 8 x 8 tiles, so that stage two finds
   its columns k1 in rows; each block of 8 columns stays in the cache.  Of real data stage one takes two columns for one
   complex one and keeps k1 <= n1/2 only; the other half of the spectrum is its mirror image, for even and odd n alike.
   The inverse of half a spectrum is the same backwards.  Inverse transforms are forward ones with real and imaginary
   parts exchanged.  Rows that are zero (padding) and results that are cut off save the passes that they do not need.
   Blocks are the chunks of the pool: the bits do not depend on the number of threads, nor, without fused multiply-add,
   on the instruction set.  Many short transforms at once need no stages: fa_fourier_many.
   Next: fourier_columns.h (the short transforms), fourier_tiles.h, fourier_stages.h (the two stages), fourier_many.h;
   all of them once for each set. */
#ifndef FASTAD_FOURIER_H
#define FASTAD_FOURIER_H
#include <math.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "pool.h"
#include "scalar.h"
#include "scratch.h"

/* A row of 8 columns: 8 real parts, 8 imaginary parts. */
enum { FA_FT_LANES = 8, FA_FT_ROW = 16, FA_FT_PASSES = 40 };
#define FA_FT_INLINE static inline __attribute__((always_inline))

typedef struct {                                     /* a short transform of n rows, by passes of some radices */
    int64_t n;
    int npass, radix[FA_FT_PASSES];
    double *root[FA_FT_PASSES];                      /* of pass k, at p: w(L)^(p q) for 0 < q < radix, L points left */
} fa_fourier_length;

typedef struct {
    int64_t n, n1, n2;
    int is_real;
    int64_t rows, row_blocks, column_blocks;         /* k1 that are kept; blocks of 8 of them, of j2 (of reals: even) */
    fa_fourier_length one, two;
    double *fine;                                    /* w(n)^(k1 l), l < 8: a row for each k1 */
    double *coarse;                                  /* w(n)^(8 b k1) for each block b of columns and k1 */
    int64_t bytes;
} fa_fourier_plan;

enum { FA_FT_COMPLEX, FA_FT_TO_HALF, FA_FT_TO_REAL };

typedef struct {
    const fa_fourier_plan *plan;
    const double *x;
    double *y, *between;
    int64_t nx, ny;                                  /* of x, of y: the rest is zero, is not wanted */
    int inverse;                                     /* of complex numbers */
    double scale, twice;                             /* the second one for coefficients that stand for two */
    atomic_int flags, failed;
} fa_fourier_job;

/* Of many transforms of one length: operands are outer x nx x inner numbers, results outer x ny x inner. */
typedef struct {
    const fa_fourier_length *length;
    const double *x;
    double *y;
    int64_t outer, inner, nx, ny, width;             /* width: transforms of a block */
    int kind, inverse;
    double scale, twice;                             /* the second one for coefficients that stand for two */
    atomic_int flags, failed;
} fa_fourier_many_job;

/* ---- roots of unity ------------------------------------------------------------------------------------------- */
/* exp(-2 pi i k / n): an angle below pi/4 in two doubles, one rounding at the end. */
static inline void fa_fourier_root(int64_t k, int64_t n, double factor, double *root) {
    int64_t octant = k % n * 8 / n, a = k % n * 8 - octant * n;
    if (octant & 1) a = n - a;
    double q = (double)a / (double)n, rest = fma(-q, (double)n, (double)a) / (double)n;
    double hi = q * 0x1.921fb54442d18p-1, lo = fma(q, 0x1.921fb54442d18p-1, -hi) + q * 0x1.1a62633145c07p-55;
    lo += rest * 0x1.921fb54442d18p-1;
    double s0 = sin(hi), c0 = cos(hi), s = s0 + lo * c0, c = c0 - lo * s0, re, im;
    switch ((octant + 1) / 2 & 3) {                  /* a multiple of pi/2, plus (even octants) or minus a */
    case 0: re = c; im = octant & 1 ? -s : s; break;
    case 1: re = octant & 1 ? s : -s; im = c; break;
    case 2: re = -c; im = octant & 1 ? s : -s; break;
    default: re = octant & 1 ? -s : s; im = -c; break;
    }
    root[0] = re * factor;
    root[1] = -im * factor;
}

/* ---- plans ---------------------------------------------------------------------------------------------------- */
static inline int fa_fourier_smooth(int64_t n) {
    static const int primes[] = {2, 3, 5, 7, 11};
    if (n < 1) return 0;
    for (int k = 0; k < 5; k++) while (n % primes[k] == 0) n /= primes[k];
    return n == 1;
}

static inline int fa_fourier_radices(int64_t n, int *radix) {
    static const int order[] = {11, 7, 5, 9, 3};
    int npass = 0;
    for (int k = 0; k < 5; k++) for (; n % order[k] == 0; n /= order[k]) radix[npass++] = order[k];
    while (n > 1) {
        int r = n == 2 ? 2 : n == 4 || n == 16 ? 4 : 8;
        radix[npass++] = r;
        n /= r;
    }
    return npass;
}

static inline int fa_fourier_plan_length(fa_fourier_length *f, int64_t n) {
    int64_t left = n;
    f->n = n;
    f->npass = fa_fourier_radices(n, f->radix);
    for (int k = 0; k < f->npass; left /= f->radix[k++]) {
        int r = f->radix[k];
        double *w = f->root[k] = malloc((size_t)(left / r * (r - 1)) * 16);
        if (!w) return 0;
        for (int64_t p = 0; p < left / r; p++)
            for (int q = 1; q < r; q++, w += 2) fa_fourier_root(p * q, left, 1.0, w);
    }
    return 1;
}

/* Passes over blocks of 8 columns, of which the last one may be nearly empty. */
static inline double fa_fourier_cost(int64_t n, int64_t n1, int is_real) {
    int radix[FA_FT_PASSES];
    int64_t n2 = n / n1, rows = is_real ? n1 / 2 + 1 : n1, wide = is_real ? 16 : 8;
    double one = (double)n1 * (fa_fourier_radices(n1, radix) + 3);
    double two = (double)n2 * (fa_fourier_radices(n2, radix) + 2);
    if (n1 > 4096) one *= 1.5;                       /* out of the second-level cache */
    if (n2 > 4096) two *= 1.5;
    return one * (double)((n2 + wide - 1) / wide) + two * (double)((rows + 7) / 8);
}

static inline void fa_fourier_plan_free(fa_fourier_plan *p) {
    if (!p) return;
    for (int k = 0; k < FA_FT_PASSES; k++) {
        free(p->one.root[k]);
        free(p->two.root[k]);
    }
    free(p->fine);
    free(p->coarse);
    free(p);
}

/* Of one short transform alone, for fa_fourier_many.  NULL: no memory.  n: smooth. */
static inline fa_fourier_plan *fa_fourier_plan_short(int64_t n) {
    fa_fourier_plan *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    p->n = p->n1 = n;
    p->n2 = 1;
    p->bytes = n * 32;
    if (fa_fourier_plan_length(&p->one, n)) return p;
    fa_fourier_plan_free(p);
    return NULL;
}

/* NULL: no memory.  n: smooth. */
static inline fa_fourier_plan *fa_fourier_plan_new(int64_t n, int is_real) {
    fa_fourier_plan *p = calloc(1, sizeof *p);
    double best = INFINITY;
    if (!p) return NULL;
    for (int64_t d = 1; d * d <= n; d++) {
        if (n % d) continue;
        for (int k = 0; k < 2; k++) {
            int64_t n1 = k ? n / d : d;
            double cost = fa_fourier_cost(n, n1, is_real);
            if (cost < best) { best = cost; p->n1 = n1; }
        }
    }
    p->n = n;
    p->n2 = n / p->n1;
    p->is_real = is_real;
    p->rows = is_real ? p->n1 / 2 + 1 : p->n1;
    p->row_blocks = (p->rows + 7) / 8;
    p->column_blocks = is_real ? (p->n2 + 15) / 16 * 2 : (p->n2 + 7) / 8;
    p->fine = malloc((size_t)p->rows * FA_FT_ROW * 8);
    p->coarse = malloc((size_t)(p->column_blocks * p->rows) * 16);
    if (!p->fine || !p->coarse || !fa_fourier_plan_length(&p->one, p->n1) || !fa_fourier_plan_length(&p->two, p->n2)) {
        fa_fourier_plan_free(p);
        return NULL;
    }
    for (int64_t k = 0; k < p->rows; k++)
        for (int l = 0; l < FA_FT_LANES; l++) {
            double w[2];
            fa_fourier_root(k * l, n, 1.0, w);
            p->fine[k * FA_FT_ROW + l] = w[0];
            p->fine[k * FA_FT_ROW + 8 + l] = w[1];
        }
    for (int64_t b = 0; b < p->column_blocks; b++)
        for (int64_t k = 0; k < p->rows; k++) fa_fourier_root(8 * b * k, n, 1.0, &p->coarse[(b * p->rows + k) * 2]);
    p->bytes = (p->rows * FA_FT_ROW + p->column_blocks * p->rows * 2 + 2 * (p->n1 + p->n2)) * 8;
    return p;
}

static inline int64_t fa_fourier_between_bytes(const fa_fourier_plan *p) {
    return p->row_blocks * 8 * p->column_blocks * 8 * FA_FT_ROW;
}

/* Rows of a tile that are there, of those that are left. */
static inline int64_t fa_fourier_eight(int64_t left) { return left < 8 ? left : 8; }

/* Two pieces, between which the passes go to and fro. */
static inline double *fa_fourier_scratch(atomic_int *failed, int64_t n) {
    double *a = fa_workspace_of(FA_SCRATCH_COLUMNS, (size_t)n * FA_FT_ROW * 2 * 8);
    if (!a) atomic_store(failed, 1);
    return a;
}

/* The exceptions of a worker are those of the caller; his own stay where they are. */
static inline void fa_fourier_end(atomic_int *flags, int is_worker) {
    int raised = is_worker ? fa_fpflags() : 0;
    if (raised) atomic_fetch_or(flags, raised);
}

#define FA_FT_WIDTH 2
#define FA_FT(NAME) NAME##_v2
#include "fourier_columns.h"
#include "fourier_tiles.h"
#include "fourier_stages.h"
#include "fourier_many.h"
#undef FA_FT_WIDTH
#undef FA_FT
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC target("avx2")
#define FA_FT_WIDTH 4
#define FA_FT(NAME) NAME##_v3
#include "fourier_columns.h"
#include "fourier_tiles.h"
#include "fourier_stages.h"
#include "fourier_many.h"
#undef FA_FT_WIDTH
#undef FA_FT
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx512vl,prefer-vector-width=512")
#define FA_FT_WIDTH 8
#define FA_FT(NAME) NAME##_v4
#include "fourier_columns.h"
#include "fourier_tiles.h"
#include "fourier_stages.h"
#include "fourier_many.h"
#undef FA_FT_WIDTH
#undef FA_FT
#pragma GCC pop_options
#define FA_FT_SETS(NAME) {NAME##_v2, NAME##_v3, NAME##_v4}
#else
#define FA_FT_SETS(NAME) {NAME##_v2, NAME##_v2, NAME##_v2}
#endif

enum { FA_FT_OK, FA_FT_NO_MEMORY };
enum { FA_FT_SHARED = 1 << 15, FA_FT_KEPT = 1 << 27 };   /* points from which threads gain; bytes that are kept */

static inline void fa_fourier_blocks(fa_task task, void *job, int64_t blocks, int64_t points) {
    if (points >= FA_FT_SHARED) fa_pool_run(task, job, blocks);
    else
        for (int64_t b = 0; b < blocks; b++) task(job, b, 0);
}

/* One transform.  level: 2, 3 or 4, the instruction set (fa_cpu_level). */
static inline int fa_fourier_run(const fa_fourier_plan *p, int kind, int inverse, const double *x, int64_t nx,
                                 double *y, int64_t ny, double scale, double twice, int level) {
    static const fa_task columns[] = FA_FT_SETS(fa_fourier_columns_first), rows[] = FA_FT_SETS(fa_fourier_rows_second);
    static const fa_task half[] = FA_FT_SETS(fa_fourier_half_first), real[] = FA_FT_SETS(fa_fourier_real_second);
    int64_t by_columns = p->is_real ? p->column_blocks / 2 : p->column_blocks;
    double *between = fa_workspace_of(FA_SCRATCH_BETWEEN, (size_t)fa_fourier_between_bytes(p));
    fa_fourier_job job = {p, x, y, between, nx, ny, inverse, scale, twice, 0, 0};
    if (!between) return FA_FT_NO_MEMORY;
    if (kind == FA_FT_TO_HALF) job.scale = 0.5 * scale;                      /* (stage one gives twice) */
    if (kind == FA_FT_TO_REAL) {
        fa_fourier_blocks(half[level - 2], &job, p->row_blocks, p->n);
        fa_fourier_blocks(real[level - 2], &job, by_columns, p->n);
    } else {
        fa_fourier_blocks(columns[level - 2], &job, by_columns, p->n);
        fa_fourier_blocks(rows[level - 2], &job, p->row_blocks, p->n);
    }
    fa_workspace_trim(FA_SCRATCH_BETWEEN, FA_FT_KEPT);
    if (job.flags) fa_fprestore(fa_fpflags() | job.flags);
    return job.failed ? FA_FT_NO_MEMORY : FA_FT_OK;
}

typedef struct {
    const fa_fourier_job *one;                       /* of the first row */
    int64_t step_x, step_y;
    int kind, level;
    atomic_int flags, failed;
} fa_fourier_rows_job;

static inline void fa_fourier_row(void *data, int64_t row, int is_worker) {
    fa_fourier_rows_job *job = data;
    const fa_fourier_job *t = job->one;
    int status = fa_fourier_run(t->plan, job->kind, t->inverse, t->x + row * job->step_x, t->nx,
                                t->y + row * job->step_y, t->ny, t->scale, t->twice, job->level);
    if (status != FA_FT_OK) atomic_store(&job->failed, 1);
    fa_fourier_end(&job->flags, is_worker);
}

/* Rows, step_x and step_y doubles from each other: long ones are shared by the threads, short ones dealt out. */
static inline int fa_fourier_rows(const fa_fourier_plan *p, int kind, int inverse, const double *x, int64_t nx,
                                  int64_t step_x, double *y, int64_t ny, int64_t step_y, int64_t rows, double scale,
                                  double twice, int level) {
    const fa_fourier_job one = {p, x, y, NULL, nx, ny, inverse, scale, twice, 0, 0};
    fa_fourier_rows_job job = {&one, step_x, step_y, kind, level, 0, 0};
    fa_fourier_blocks(fa_fourier_row, &job, rows, p->n < FA_FT_SHARED ? p->n * rows : 0);
    if (job.flags) fa_fprestore(fa_fpflags() | job.flags);
    return job.failed ? FA_FT_NO_MEMORY : FA_FT_OK;
}

/* Many short ones; of the plan only its length matters. */
static inline int fa_fourier_many(const fa_fourier_plan *p, int kind, int inverse, const double *x, int64_t nx,
                                  double *y, int64_t ny, int64_t outer, int64_t inner, double scale, double twice,
                                  int level) {
    static const fa_task block[] = FA_FT_SETS(fa_fourier_many_block);
    int64_t width = kind == FA_FT_COMPLEX ? 8 : 16;
    int64_t blocks = inner == 1 ? (outer + width - 1) / width : outer * ((inner + width - 1) / width);
    fa_fourier_many_job job = {&p->one, x, y, outer, inner, nx, ny, width, kind, inverse, scale, twice, 0, 0};
    fa_fourier_blocks(block[level - 2], &job, blocks, p->n * outer * inner);
    if (job.flags) fa_fprestore(fa_fpflags() | job.flags);
    return job.failed ? FA_FT_NO_MEMORY : FA_FT_OK;
}
#endif
