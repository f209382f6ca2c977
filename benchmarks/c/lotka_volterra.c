/* Predators and prey by the classical Runge-Kutta scheme; the adjoint by hand, from the stored states.
 *
 * One thread: each step waits for the last.
 */
#include <stdlib.h>

typedef struct { double a, b, c, d; } rates;

static double prey(rates r, double x, double y) { return (r.a - r.b * y) * x; }
static double predators(rates r, double x, double y) { return (r.d * x - r.c) * y; }

/* The stages of one step from (x, y): u[s], v[s] is where the rates k[s], l[s] are taken. */
typedef struct { double u[4], v[4], k[4], l[4]; } stages;

static stages one_step(rates r, double h, double x, double y)
{
    const double reach[4] = {0.0, 0.5 * h, 0.5 * h, h};
    stages s;
    for (int i = 0; i < 4; i++) {
        s.u[i] = i ? x + reach[i] * s.k[i - 1] : x;
        s.v[i] = i ? y + reach[i] * s.l[i - 1] : y;
        s.k[i] = prey(r, s.u[i], s.v[i]);
        s.l[i] = predators(r, s.u[i], s.v[i]);
    }
    return s;
}

static double next(double h, double x, const double *k)
{
    return x + h / 6.0 * (k[0] + 2.0 * k[1] + 2.0 * k[2] + k[3]);
}

/* p = a, b, c, d and the start; g = the gradient of x^2 + y after `steps`.  Returns that value. */
static double both(const double *p, double *g, long steps, double h, double *store)
{
    rates r = {p[0], p[1], p[2], p[3]};
    const double reach[4] = {0.0, 0.5 * h, 0.5 * h, h}, weight[4] = {h / 6.0, h / 3.0, h / 3.0, h / 6.0};
    double x = p[4], y = p[5];
    for (long n = 0; n < steps; n++) {
        if (store) { store[2 * n] = x; store[2 * n + 1] = y; }
        stages s = one_step(r, h, x, y);
        x = next(h, x, s.k);
        y = next(h, y, s.l);
    }
    double value = x * x + y;
    if (!g) return value;
    double xbar = 2.0 * x, ybar = 1.0, abar = 0.0, bbar = 0.0, cbar = 0.0, dbar = 0.0;
    for (long n = steps - 1; n >= 0; n--) {
        stages s = one_step(r, h, store[2 * n], store[2 * n + 1]);
        double ubar = 0.0, vbar = 0.0, xsum = xbar, ysum = ybar;
        for (int i = 3; i >= 0; i--) {
            double above = i < 3 ? reach[i + 1] : 0.0, u = s.u[i], v = s.v[i];
            double kbar = weight[i] * xbar + above * ubar, lbar = weight[i] * ybar + above * vbar;
            abar += kbar * u;
            bbar -= kbar * u * v;
            cbar -= lbar * v;
            dbar += lbar * u * v;
            ubar = kbar * (r.a - r.b * v) + lbar * r.d * v;
            vbar = lbar * (r.d * u - r.c) - kbar * r.b * u;
            xsum += ubar;
            ysum += vbar;
        }
        xbar = xsum;
        ybar = ysum;
    }
    double found[6] = {abar, bbar, cbar, dbar, xbar, ybar};
    for (int i = 0; i < 6; i++) g[i] = found[i];
    return value;
}

double lotka_volterra_value(long n, const double *p, long steps, double h, long threads)
{
    (void)n; (void)threads;
    return both(p, 0, steps, h, 0);
}

void lotka_volterra_gradient(long n, const double *p, double *g, long steps, double h, long threads)
{
    (void)n; (void)threads;
    double *store = malloc(2 * steps * sizeof *store);
    if (!store) abort();
    both(p, g, steps, h, store);
    free(store);
}
