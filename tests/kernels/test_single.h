/* test_single.h - float32 where no derivative check comes by: order, positions, casts, cells.
   Owns: the tests.  Must not know: how kernels are written.
   Next: single.h (programs with derivatives once more in float32). */
#ifndef TEST_SINGLE_H
#define TEST_SINGLE_H
#include "single.h"

/* what has no derivative: order, positions and casts of float32 are those of the same numbers in float64 */
static void test_single_order(void) {
    enum { N = 40 };
    static double x[N];
    static float s[N];
    prog *p = new_prog();
    fa_axis axis = {2, N / 4, 2, 0};
    int64_t right = 1;
    for (int k = 0; k < N; k++) s[k] = (float)(x[k] = k % 9 == 4 ? NAN : (double)below(7) - 3.5 * (k % 2));
    uint32_t d = constant(p, FA_F64, N, x), f = constant(p, FA_F32, N, s), y[2][7];
    for (int k = 0; k < 2; k++) {
        uint32_t from = k ? f : d, ids[2] = {from, from};
        int dtype = k ? FA_F32 : FA_F64;
        y[k][0] = push(p, FA_ARGSORT, FA_I64, N, from, attr(p, &axis));
        y[k][1] = push(p, FA_ARGMAX, FA_I64, 4, from, attr(p, &axis));
        y[k][2] = push(p, FA_ARGMIN, FA_I64, 4, from, attr(p, &axis));
        y[k][3] = push(p, FA_FLATNONZERO, FA_I64, 20, from, 0);
        y[k][4] = push(p, FA_CAST, FA_I64, N, from, 0);
        y[k][5] = nary(p, FA_SEARCHSORTED, FA_I64, N, 2, ids, &right);
        uint32_t widest = push(p, FA_MAXR, dtype, 4, from, attr(p, &axis));
        y[k][6] = push(p, FA_CAST, FA_I64, 4, push(p, FA_CAST, FA_F64, 4, widest, 0), 0);
    }
    place(p, p->v);
    EXPECT(run(p) == FA_OK, "order of float32");
    for (int k = 0; k < 7; k++)
        EXPECT(!memcmp(p->v[y[0][k]].p, p->v[y[1][k]].p, (size_t)fa_nbytes(aval_at(p, y[0][k]))), "case %d", k);
    free_prog(p);
}

/* scalars fill half a cell, and equal numbers are equal cells */
static void test_single_cells(void) {
    for (int k = -3; k < 4; k++) {
        fa_cell a = fa_cell_f32((float)k / 4), b = fa_cast_cell(FA_F64, FA_F32, fa_cell_f64(k / 4.0));
        EXPECT(a.i == b.i && a.i >> 32 == 0, "cell of %d / 4", k);
        EXPECT(fa_cast_cell(FA_F32, FA_I64, a).i == k / 4 && fa_cast_cell(FA_F32, FA_BOOL, a).i == (k != 0), "casts");
        fa_cell c = fa_scalar_cells(FA_ADD, FA_F32, a, a, a);
        EXPECT(c.s == (float)k / 2 && c.i >> 32 == 0, "sum");
        EXPECT(fa_scalar_cells(OP_EXP, FA_F32, a, a, a).i >> 32 == 0, "NumPy's loop");
    }
}
#endif
