/* bench.h - nanoseconds an instruction of the scalar sweeps, on a synthetic Lotka-Volterra RK4 tape.
   Owns: the tape and the stop watch.  Must not know: tests.
   Next: test_kernels.c, which runs it as `test_kernels bench`. */
#ifndef BENCH_H
#define BENCH_H
#include <time.h>
#include "builder.h"

typedef struct { uint32_t n, cap; uint16_t *op; uint32_t *aval, *arg; } scalar_tape;

static uint32_t emit(scalar_tape *t, int op, uint32_t a, uint32_t b) {
    uint32_t i = t->n++;
    if (i >= t->cap) {
        t->cap = t->cap ? 2 * t->cap : 1024;
        t->op = realloc(t->op, t->cap * sizeof *t->op);
        t->aval = realloc(t->aval, t->cap * sizeof *t->aval);
        t->arg = realloc(t->arg, t->cap * 2 * sizeof *t->arg);
    }
    t->op[i] = (uint16_t)op;
    t->aval[i] = FA_AVAL_F64;
    t->arg[2 * i] = a;
    t->arg[2 * i + 1] = b;
    return i;
}
enum { X = 1, Y, ALPHA, BETA, GAMMA, DELTA, H, H2, H6, TWO, NLEAF };

/* x' = alpha x - beta x y, y' = delta x y - gamma y */
static void slope(scalar_tape *t, uint32_t x, uint32_t y, uint32_t *dx, uint32_t *dy) {
    uint32_t xy = emit(t, FA_MULTIPLY, x, y);
    *dx = emit(t, FA_SUBTRACT, emit(t, FA_MULTIPLY, ALPHA, x), emit(t, FA_MULTIPLY, BETA, xy));
    *dy = emit(t, FA_SUBTRACT, emit(t, FA_MULTIPLY, DELTA, xy), emit(t, FA_MULTIPLY, GAMMA, y));
}
static uint32_t axpy(scalar_tape *t, uint32_t y, uint32_t a, uint32_t x) {
    return emit(t, FA_ADD, y, emit(t, FA_MULTIPLY, a, x));
}
static void rk4_step(scalar_tape *t, uint32_t *x, uint32_t *y) {
    uint32_t kx[4], ky[4], sx, sy;
    slope(t, *x, *y, &kx[0], &ky[0]);
    for (int s = 1; s < 4; s++)
        slope(t, axpy(t, *x, s < 3 ? H2 : H, kx[s - 1]), axpy(t, *y, s < 3 ? H2 : H, ky[s - 1]), &kx[s], &ky[s]);
    sx = emit(t, FA_ADD, emit(t, FA_ADD, kx[0], kx[3]), emit(t, FA_MULTIPLY, TWO, emit(t, FA_ADD, kx[1], kx[2])));
    sy = emit(t, FA_ADD, emit(t, FA_ADD, ky[0], ky[3]), emit(t, FA_MULTIPLY, TWO, emit(t, FA_ADD, ky[1], ky[2])));
    *x = axpy(t, *x, H6, sx);
    *y = axpy(t, *y, H6, sy);
}
static double now(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
}
static void bench(int steps) {
    static const double leaf[NLEAF] = {0, 10, 5, 1.1, 0.4, 0.4, 0.1, 0.01, 0.005, 0.01 / 6, 2};
    static const fa_aval f64 = {FA_F64, 0, 0, 1, 0};
    scalar_tape t = {0, 0, 0, 0, 0};
    uint32_t x = X, y = Y;
    double best[3] = {1, 1, 1}, start;
    fa_env env = {0};
    emit(&t, FA_NOP, 0, 0);
    for (int k = 1; k < NLEAF; k++) emit(&t, k <= DELTA ? FA_INPUT : FA_CONST, 0, 0);
    for (int s = 0; s < steps; s++) rk4_step(&t, &x, &y);
    fa_code c = {t.n, t.op, t.aval, t.arg, 0, 0, t.aval, &f64, 0, 0, 0, 0, 0};
    fa_cell *v = calloc(t.n, sizeof *v), *adj = calloc(t.n, sizeof *adj), *dot = calloc(t.n, sizeof *dot);
    uint8_t *active = calloc(t.n, 1);
    for (uint32_t i = 1; i < t.n; i++) active[i] = i <= DELTA || i >= NLEAF;
    for (int k = 1; k < NLEAF; k++) v[k].f = leaf[k];
    for (int repeat = 0; repeat < 30; repeat++) {
        start = now();
        fa_forward(&c, v, &env);
        best[0] = fmin(best[0], now() - start);
        memset(adj, 0, t.n * sizeof *adj);
        adj[x].f = 1;
        start = now();
        fa_reverse(&c, v, adj, active, &env);
        best[1] = fmin(best[1], now() - start);
        dot[ALPHA].f = 1;
        start = now();
        fa_tangent(&c, v, dot, active, &env);
        best[2] = fmin(best[2], now() - start);
    }
    printf("%u instructions: forward %.2f, reverse %.2f, tangent %.2f ns an instruction; d x / d alpha %.12g (reverse) "
           "%.12g (tangent)\n", t.n, best[0] / t.n * 1e9, best[1] / t.n * 1e9, best[2] / t.n * 1e9,
           adj[ALPHA].f, dot[x].f);
    free(v); free(adj); free(dot); free(active); free(t.op); free(t.aval); free(t.arg);
}
#endif
