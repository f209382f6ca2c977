/* ADBench's Gaussian mixture: the gradient of its log posterior (models.py has it in NumPy).
 *
 * Components are divided among threads.  Triangles are used as such, which halves the work of matrix products; what
 * was whitened is kept for the reverse part.  Four columns or samples at a time, so that a result is loaded and stored
 * once for four products.
 */
#include "parallel.h"
#include <math.h>
#include <string.h>

typedef struct {
    long n, d, k, m;
    double gamma;
    const double *alpha, *mu, *factors, *x;     /* factors: d log diagonals, then what is below, column by column */
    double *g, *logits, *white, *deviation;     /* logits n k, then weights; white and deviation k n d */
    barrier meet;
} problem;

/* Column j of the lower triangle in row j of t, so that loops over rows are contiguous. */
static void triangle(const problem *p, long c, double *t)
{
    long d = p->d;
    const double *q = p->factors + c * (d * (d + 1) / 2), *below = q + d;
    memset(t, 0, d * d * sizeof *t);
    for (long j = 0; j < d; j++) {
        t[j * d + j] = exp(q[j]);
        for (long r = j + 1; r < d; r++) t[j * d + r] = *below++;
    }
}

static void whiten(const problem *p, long c, const double *t)
{
    long n = p->n, d = p->d, whole = d - d % 4;
    double sum = p->alpha[c];
    for (long j = 0; j < d; j++) sum += p->factors[c * (d * (d + 1) / 2) + j];
    for (long i = 0; i < n; i++) {
        double *restrict v = p->deviation + (c * n + i) * d, *restrict w = p->white + (c * n + i) * d, square = 0.0;
        for (long j = 0; j < d; j++) { v[j] = p->x[i * d + j] - p->mu[c * d + j]; w[j] = 0.0; }
        for (long j = 0; j < whole; j += 4) {
            const double *restrict a = t + j * d, v0 = v[j], v1 = v[j + 1], v2 = v[j + 2], v3 = v[j + 3];
            for (long r = j; r < d; r++) w[r] += a[r] * v0 + a[d + r] * v1 + a[2 * d + r] * v2 + a[3 * d + r] * v3;
        }
        for (long j = whole; j < d; j++)
            for (long r = j; r < d; r++) w[r] += t[j * d + r] * v[j];
#pragma omp simd reduction(+:square)
        for (long r = 0; r < d; r++) square += w[r] * w[r];
        p->logits[i * p->k + c] = sum - 0.5 * square;
    }
}

/* Logits become responsibilities. */
static void soften(const problem *p, long start, long end)
{
    for (long i = start; i < end; i++) {
        double *l = p->logits + i * p->k, top = l[0], sum = 0.0;
        for (long c = 1; c < p->k; c++) top = l[c] > top ? l[c] : top;
        for (long c = 0; c < p->k; c++) sum += l[c] = exp(l[c] - top);
        for (long c = 0; c < p->k; c++) l[c] /= sum;
    }
}

/* t: the triangle; outer: d d numbers, column by column as t; pulled: d numbers. */
static void derive(const problem *p, long c, const double *t, double *outer, double *pulled)
{
    long n = p->n, d = p->d, k = p->k, whole = n - n % 4;
    double total = 0.0, top = p->alpha[0], sum = 0.0;
    memset(outer, 0, d * d * sizeof *outer);
    memset(pulled, 0, d * sizeof *pulled);
    for (long i = 0; i < n; i++) {
        double *restrict w = p->white + (c * n + i) * d, weight = p->logits[i * k + c];
        total += weight;
        for (long r = 0; r < d; r++) { w[r] *= weight; pulled[r] += w[r]; }
    }
    for (long i = 0; i < n; i += i < whole ? 4 : 1) {
        const double *restrict w = p->white + (c * n + i) * d, *restrict v = p->deviation + (c * n + i) * d;
        for (long j = 0; j < d; j++) {
            double *restrict o = outer + j * d;
            if (i < whole)
                for (long r = j; r < d; r++)
                    o[r] -= w[r] * v[j] + w[d + r] * v[d + j] + w[2 * d + r] * v[2 * d + j] + w[3 * d + r] * v[3 * d + j];
            else
                for (long r = j; r < d; r++) o[r] -= w[r] * v[j];
        }
    }
    for (long j = 1; j < k; j++) top = p->alpha[j] > top ? p->alpha[j] : top;
    for (long j = 0; j < k; j++) sum += exp(p->alpha[j] - top);
    p->g[c] = total - n * exp(p->alpha[c] - top) / sum;
    double *by_mu = p->g + k + c * d, *by_factor = p->g + k + k * d + c * (d * (d + 1) / 2), *below = by_factor + d;
    double prior = p->gamma * p->gamma;
    for (long j = 0; j < d; j++) {
        const double *a = t + j * d, *o = outer + j * d;
        by_mu[j] = 0.0;
        for (long r = j; r < d; r++) by_mu[j] += a[r] * pulled[r];
        by_factor[j] = o[j] * a[j] + total + prior * a[j] * a[j] - p->m;
        for (long r = j + 1; r < d; r++) *below++ = o[r] + prior * a[r];
    }
}

static void gradient_part(void *context, int part, int parts)
{
    problem *p = context;
    long d = p->d, start = part_start(p->k, part, parts), end = part_start(p->k, part + 1, parts);
    double *t = malloc((2 * d * d + d) * sizeof *t);
    if (!t) abort();
    for (long c = start; c < end; c++) {
        triangle(p, c, t);
        whiten(p, c, t);
    }
    wait_for_all(&p->meet, parts);
    soften(p, part_start(p->n, part, parts), part_start(p->n, part + 1, parts));
    wait_for_all(&p->meet, parts);
    for (long c = start; c < end; c++) {
        triangle(p, c, t);
        derive(p, c, t, t + d * d, t + 2 * d * d);
    }
    free(t);
}

/* work: n k (1 + 2 d) numbers. */
void gaussian_mixture_gradient(long size, const double *parameters, double *g, const double *x, long n, long d, long k,
                               double gamma, long m, double *work, long threads)
{
    (void)size;
    problem p = {n, d, k, m, gamma, parameters, parameters + k, parameters + k + k * d, x,
                 g, work, work + n * k, work + n * k + n * k * d, {0, 0}};
    in_parts(gradient_part, &p, threads);
}
