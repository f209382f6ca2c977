/* Squared residuals of -laplace(u) = exp(u) on n by n points: value, and gradient by rows.
 *
 * A row of the gradient needs the residuals of three rows; each is computed once, in a buffer of four rows that stays in
 * the first-level cache.  exp from the C library's vector functions (libmvec), as in transcendental.c.
 */
#include "parallel.h"
#include <math.h>
#include <string.h>

#pragma omp declare simd notinbranch
__attribute__((const)) double exp(double);

typedef struct { long n; const double *u; double *g, sum[MOST_THREADS]; } problem;

/* Row i of the residuals into r, and of their derivatives by the point itself into d (4 - h^2 exp(u)). */
static void residual_row(const problem *p, long i, double *restrict r, double *restrict d)
{
    long n = p->n;
    const double *restrict here = p->u + i * n, *restrict above = here - n, *restrict below = here + n;
    double h2 = 1.0 / ((double)(n - 1) * (double)(n - 1));
#pragma omp simd
    for (long j = 1; j < n - 1; j++) {
        double e = h2 * exp(here[j]);
        r[j] = 4.0 * here[j] - above[j] - below[j] - here[j - 1] - here[j + 1] - e;
        d[j] = 4.0 - e;
    }
    r[0] = r[n - 1] = d[0] = d[n - 1] = 0.0;
}

static void value_part(void *context, int part, int parts)
{
    problem *p = context;
    long n = p->n, end = 1 + part_start(n - 2, part + 1, parts);
    double *r = malloc(2 * n * sizeof *r), sum = 0.0;
    if (!r) abort();
    for (long i = 1 + part_start(n - 2, part, parts); i < end; i++) {
        residual_row(p, i, r, r + n);
#pragma omp simd reduction(+:sum)
        for (long j = 0; j < n; j++) sum += r[j] * r[j];
    }
    p->sum[part] = sum;
    free(r);
}

double bratu_value(long size, const double *u, long threads)
{
    problem p = {lround(sqrt((double)size)), u, 0, {0}};
    double sum = 0.0;
    in_parts(value_part, &p, threads);
    for (int k = 0; k < threads; k++) sum += p.sum[k];
    return sum;
}

static void gradient_part(void *context, int part, int parts)
{
    problem *p = context;
    long n = p->n, start = part_start(n, part, parts), end = part_start(n, part + 1, parts);
    double *buffer = calloc(8 * n, sizeof *buffer);
    if (!buffer) abort();
    for (long i = start - 1; i <= end; i++) {           /* residuals of row i; then the gradient of row i - 1 */
        double *r = buffer + (i & 3) * 2 * n;
        if (i >= 1 && i <= n - 2) residual_row(p, i, r, r + n);
        else memset(r, 0, 2 * n * sizeof *r);
        if (i <= start) continue;
        const double *restrict below = r, *restrict here = buffer + ((i - 1) & 3) * 2 * n;
        const double *restrict above = buffer + ((i - 2) & 3) * 2 * n, *restrict d = here + n;
        double *restrict g = p->g + (i - 1) * n;
        g[0] = -2.0 * here[1];
        g[n - 1] = -2.0 * here[n - 2];
#pragma omp simd
        for (long j = 1; j < n - 1; j++)
            g[j] = 2.0 * (d[j] * here[j] - above[j] - below[j] - here[j - 1] - here[j + 1]);
    }
    free(buffer);
}

void bratu_gradient(long size, const double *u, double *g, long threads)
{
    problem p = {lround(sqrt((double)size)), u, g, {0}};
    in_parts(gradient_part, &p, threads);
}
