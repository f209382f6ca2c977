/* Acoustic waves on a grid, second order; the misfit and its gradient with respect to the squared Courant numbers.
 *
 * Every wavefield is stored; the adjoint recomputes the Laplacian from it.  Rows are divided among threads, which meet
 * once in a step.  The edges are held at zero, so that the Laplacian needs no cases.
 */
#include "parallel.h"
#include <string.h>

typedef struct {
    long n, steps, source, receivers;           /* grid n x n; row and column of the source; row of the receivers */
    const double *c2, *wavelet, *data;
    double *g, *fields, *adjoint[3], misfit[MOST_THREADS];
    barrier meet;
} problem;

static inline double laplacian(const double *u, long n, long i)
{
    return u[i + n] + u[i - n] + u[i + 1] + u[i - 1] - 4.0 * u[i];
}

/* fields[k + 2] is the wave after step k; the first two are zero. */
static void forward(problem *p, int part, int parts)
{
    long n = p->n, cells = n * n, start = 1 + part_start(n - 2, part, parts), end = 1 + part_start(n - 2, part + 1, parts);
    double misfit = 0.0;
    for (long k = 0; k < p->steps; k++) {
        const double *restrict old = p->fields + k * cells, *restrict now = old + cells, *restrict c2 = p->c2;
        double *restrict new = p->fields + (k + 2) * cells;
        for (long row = start; row < end; row++)
            for (long i = row * n + 1; i < row * n + n - 1; i++)
                new[i] = 2.0 * now[i] - old[i] + c2[i] * laplacian(now, n, i);
        if (start <= p->source && p->source < end) new[p->source * n + p->source] += p->wavelet[k];
        if (start <= p->receivers && p->receivers < end)
            for (long j = 0; j < n; j++) {
                double r = new[p->receivers * n + j] - p->data[k * n + j];
                misfit += 0.5 * r * r;
            }
        wait_for_all(&p->meet, parts);
    }
    p->misfit[part] = misfit;
}

/* Scaled adjoints a = c2 * lambda are not kept: the Laplacian of c2 * lambda takes five products instead. */
static void reverse(problem *p, int part, int parts)
{
    long n = p->n, cells = n * n, start = 1 + part_start(n - 2, part, parts), end = 1 + part_start(n - 2, part + 1, parts);
    for (long k = p->steps - 1; k >= 0; k--) {
        const double *restrict now = p->fields + (k + 1) * cells, *restrict c2 = p->c2;
        const double *restrict above = p->adjoint[(k + 1) % 3], *restrict beyond = p->adjoint[(k + 2) % 3];
        double *restrict here = p->adjoint[k % 3], *restrict g = p->g;
        for (long row = start; row < end; row++)
            for (long i = row * n + 1; i < row * n + n - 1; i++)
                here[i] = 2.0 * above[i] - beyond[i] + c2[i + n] * above[i + n] + c2[i - n] * above[i - n]
                    + c2[i + 1] * above[i + 1] + c2[i - 1] * above[i - 1] - 4.0 * c2[i] * above[i];
        if (start <= p->receivers && p->receivers < end) {
            long first = p->receivers * n;
            for (long j = 1; j < n - 1; j++) here[first + j] += now[cells + first + j] - p->data[k * n + j];
        }
        for (long row = start; row < end; row++)
            for (long i = row * n + 1; i < row * n + n - 1; i++)
                g[i] += here[i] * laplacian(now, n, i);
        wait_for_all(&p->meet, parts);
    }
}

static void value_part(void *context, int part, int parts) { forward(context, part, parts); }

static void gradient_part(void *context, int part, int parts)
{
    forward(context, part, parts);
    wait_for_all(&((problem *)context)->meet, parts);
    reverse(context, part, parts);
}

/* fields: (steps + 2) n^2 zeros, whose edges stay zero; adjoint: 3 n^2 numbers of work space. */
double wave_inversion_value(long cells, const double *c2, double *g, long n, long steps, long source, long receivers,
                            const double *wavelet, const double *data, double *fields, double *adjoint, long threads)
{
    (void)cells; (void)g; (void)adjoint;
    problem p = {n, steps, source, receivers, c2, wavelet, data, 0, fields, {0}, {0}, {0, 0}};
    in_parts(value_part, &p, threads);
    double sum = 0.0;
    for (int k = 0; k < threads; k++) sum += p.misfit[k];
    return sum;
}

void wave_inversion_gradient(long cells, const double *c2, double *g, long n, long steps, long source, long receivers,
                             const double *wavelet, const double *data, double *fields, double *adjoint, long threads)
{
    memset(g, 0, cells * sizeof *g);
    memset(adjoint, 0, 3 * cells * sizeof *adjoint);
    problem p = {n, steps, source, receivers, c2, wavelet, data, g, fields,
                 {adjoint, adjoint + cells, adjoint + 2 * cells}, {0}, {0, 0}};
    in_parts(gradient_part, &p, threads);
}
