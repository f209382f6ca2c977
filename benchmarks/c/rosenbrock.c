/* Rosenbrock's function: value and gradient in one pass over memory each. */
#include "parallel.h"

typedef struct { long n; const double *x; double *g, sum[MOST_THREADS]; } problem;

static void value_part(void *context, int part, int parts)
{
    problem *p = context;
    const double *x = p->x;
    long start = part_start(p->n - 1, part, parts), end = part_start(p->n - 1, part + 1, parts);
    double sum = 0.0;
#pragma omp simd reduction(+:sum)
    for (long i = start; i < end; i++) {
        double t = x[i + 1] - x[i] * x[i], u = 1.0 - x[i];
        sum += 100.0 * t * t + u * u;
    }
    p->sum[part] = sum;
}

double rosenbrock_value(long n, const double *x, long threads)
{
    problem p = {n, x, 0, {0}};
    double sum = 0.0;
    in_parts(value_part, &p, threads);
    for (int k = 0; k < threads; k++) sum += p.sum[k];
    return sum;
}

/* g[i] gathers from both terms that x[i] is in, so that parts are independent. */
static void gradient_part(void *context, int part, int parts)
{
    problem *p = context;
    const double *restrict x = p->x;
    double *restrict g = p->g;
    long n = p->n, start = part_start(n, part, parts), end = part_start(n, part + 1, parts);
    if (start == 0) { g[0] = -400.0 * (x[1] - x[0] * x[0]) * x[0] - 2.0 * (1.0 - x[0]); start = 1; }
    if (end == n) { end = n - 1; g[end] = 200.0 * (x[end] - x[end - 1] * x[end - 1]); }
    for (long i = start; i < end; i++)
        g[i] = 200.0 * (x[i] - x[i - 1] * x[i - 1]) - 400.0 * (x[i + 1] - x[i] * x[i]) * x[i] - 2.0 * (1.0 - x[i]);
}

void rosenbrock_gradient(long n, const double *x, double *g, long threads)
{
    problem p = {n, x, g, {0}};
    in_parts(gradient_part, &p, threads);
}
