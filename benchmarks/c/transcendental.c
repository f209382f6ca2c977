/* sum(exp(-x^2) sin 3x + log1p(x^2) tanh x): one pass, the C library's vector functions (libmvec).
 *
 * The library declares them for -ffast-math alone; told here that they exist, gcc uses them without its other licences.
 */
#include "parallel.h"

#pragma omp declare simd notinbranch
__attribute__((const)) double exp(double);
#pragma omp declare simd notinbranch
__attribute__((const)) double sin(double);
#pragma omp declare simd notinbranch
__attribute__((const)) double cos(double);
#pragma omp declare simd notinbranch
__attribute__((const)) double log1p(double);
#pragma omp declare simd notinbranch
__attribute__((const)) double tanh(double);

typedef struct { long n; const double *x; double *g, sum[MOST_THREADS]; } problem;

static void value_part(void *context, int part, int parts)
{
    problem *p = context;
    const double *restrict x = p->x;
    double sum = 0.0;
    long end = part_start(p->n, part + 1, parts);
#pragma omp simd reduction(+:sum)
    for (long i = part_start(p->n, part, parts); i < end; i++) {
        double s = x[i] * x[i];
        sum += exp(-s) * sin(3.0 * x[i]) + log1p(s) * tanh(x[i]);
    }
    p->sum[part] = sum;
}

double transcendental_value(long n, const double *x, long threads)
{
    problem p = {n, x, 0, {0}};
    double sum = 0.0;
    in_parts(value_part, &p, threads);
    for (int k = 0; k < threads; k++) sum += p.sum[k];
    return sum;
}

static void gradient_part(void *context, int part, int parts)
{
    problem *p = context;
    const double *restrict x = p->x;
    double *restrict g = p->g;
    long end = part_start(p->n, part + 1, parts);
#pragma omp simd
    for (long i = part_start(p->n, part, parts); i < end; i++) {
        double s = x[i] * x[i], t = tanh(x[i]), a = 3.0 * x[i];
        g[i] = exp(-s) * (3.0 * cos(a) - 2.0 * x[i] * sin(a)) + 2.0 * x[i] / (1.0 + s) * t + log1p(s) * (1.0 - t * t);
    }
}

void transcendental_gradient(long n, const double *x, double *g, long threads)
{
    problem p = {n, x, g, {0}};
    in_parts(gradient_part, &p, threads);
}
