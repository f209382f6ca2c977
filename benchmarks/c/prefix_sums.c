/* Misfit of running sums of exp(x): a pass forwards and one backwards, which keeps nothing but the sums.
 *
 * The sums are chains, so they run on one thread; the exponentials are divided among all.
 */
#include "parallel.h"
#include <math.h>

#pragma omp declare simd notinbranch
__attribute__((const)) double exp(double);

typedef struct { long n; const double *x; double *e; } problem;

static void exp_part(void *context, int part, int parts)
{
    problem *p = context;
    const double *restrict x = p->x;
    double *restrict e = p->e;
    long end = part_start(p->n, part + 1, parts);
#pragma omp simd
    for (long i = part_start(p->n, part, parts); i < end; i++) e[i] = exp(x[i]);
}

/* g holds the exponentials first; work: n numbers. */
void prefix_sums_gradient(long n, const double *x, double *g, double *work, long threads)
{
    problem p = {n, x, g};
    double sum = 0.0, back = 0.0, scale = 1.0 / n;
    in_parts(exp_part, &p, threads);
    for (long i = 0; i < n; i++) { sum += g[i]; work[i] = sum; }
    for (long i = n - 1; i >= 0; i--) { back += 2.0 * (work[i] * scale - 0.5); g[i] *= back * scale; }
}
