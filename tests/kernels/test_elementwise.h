/* test_elementwise.h - elementwise primitives: scalars, arrays, partial derivatives, their rules in all sweeps.
   Owns: the comparison of every path with the plain loops of builder.h.
   Must not know: structural opcodes.  Next: test_kernels.c. */
#ifndef TEST_ELEMENTWISE_H
#define TEST_ELEMENTWISE_H
#include "builder.h"

static const double special[] = {0.0, -0.0, 1, -1, 2.5, -1e300, 1e300, 5e-324, INFINITY, -INFINITY, NAN};
enum { NSPECIAL = sizeof special / sizeof *special };

static int same_f64(double a, double b) { return (a != a && b != b) || !memcmp(&a, &b, 8); }

/* own scalar arithmetic against the loops, on all pairs of special values */
static void test_scalars(void) {
    for (int op = FA_ADD; op < FA_WHERE; op++)
        for (int i = 0; i < NSPECIAL; i++)
            for (int j = 0; j < NSPECIAL; j++) {
                fa_cell in[3] = {{.f = special[i]}, {.f = special[j]}, {.i = 0}};
                fa_cell want = fa_loop_once((uint16_t)op, FA_F64, in[0], in[1], in[2]);
                fa_cell got = fa_scalar((uint16_t)op, FA_F64, in);
                if (op >= FA_EQUAL) EXPECT(got.i == want.i, "%d(%g, %g) = %d", op, in[0].f, in[1].f, (int)got.i);
                else EXPECT(same_f64(got.f, want.f), "%d(%g, %g) = %g", op, in[0].f, in[1].f, got.f);
            }
    EXPECT(fa_scalar_f64(FA_STRONGZERO, 0, INFINITY) == 0, "strong zero of inf");
    EXPECT(fa_scalar_f64(FA_STRONGZERO, -0.0, NAN) == 0, "strong zero of NaN");
    EXPECT(fa_scalar_f64(FA_ZEROPRODUCT, INFINITY, -0.0) == 0 && fa_scalar_f64(FA_ZEROPRODUCT, 0, NAN) == 0
           && fa_scalar_f64(FA_ZEROPRODUCT, 2, 3) == 6, "zero of either factor");
    EXPECT(fa_scalar_f64(FA_STRONGZERO, 2, 3) == 6 && isnan(fa_scalar_f64(FA_STRONGZERO, NAN, 0)), "strong zero");
}

static int arity_of(int op) { return op == FA_WHERE ? 3 : fa_prims[op].arity; }

/* arrays element by element against scalars, each operand whole or of rank 0 */
static void test_array_values(int op, int64_t size, int rank0) {
    prog *p = new_prog();
    int n = arity_of(op), compare = op >= FA_EQUAL && op <= FA_GREATER_EQUAL;
    uint32_t ids[3] = {0, 0, 0}, y;
    for (int k = 0; k < n; k++) {
        int dtype = op == OP_AND || (op == FA_WHERE && k == 0) ? FA_BOOL : FA_F64;
        int64_t m = rank0 >> k & 1 ? -1 : size;
        char *data = own(p, calloc((size_t)size + 1, 8));
        for (int64_t j = 0; j < (m < 0 ? 1 : m); j++)
            if (dtype == FA_BOOL) data[j] = (char)below(2);
            else ((double *)data)[j] = below(3) ? normal() : special[below(NSPECIAL)];
        ids[k] = constant(p, dtype, m, data);
    }
    y = n == 3 ? nary(p, op, FA_F64, size, 3, ids, 0)
        : push(p, op, compare || op == OP_AND ? FA_BOOL : FA_F64, size, ids[0], ids[1]);
    place(p, p->v);
    EXPECT(run(p) == FA_OK, "opcode %d", op);
    for (int64_t j = 0; j < size; j++) {
        fa_cell in[3], want;
        for (int k = 0; k < n; k++) {
            int dtype = aval_at(p, ids[k])->dtype;
            in[k] = fa_load_cell(dtype, data_at(p, p->v, ids[k]) + (rank0 >> k & 1 ? 0 : j * fa_itemsize[dtype]));
        }
        want = fa_scalar((uint16_t)op, op == OP_AND ? FA_BOOL : FA_F64, in);
        if (aval_at(p, y)->dtype == FA_BOOL) EXPECT(((uint8_t *)p->v[y].p)[j] == want.i, "opcode %d", op);
        else EXPECT(same_f64(f64_at(p, p->v, y)[j], want.f), "opcode %d: not %g", op, want.f);
    }
    free_prog(p);
}

/* the partial of a block against the partial of its elements; once more for the first instruction's result alone */
static void test_partials(int op) {
    static fa_scratch scratch;
    for (int k = 0; k < 2 * fa_prims[op].arity; k++) {
        fa_template first = fa_prims[op].partial[k / 2], *t = &first;
        double x[4][FA_BLOCK];
        fa_tplan plan;
        fa_span in[4];
        if (t->out == FA_ZERO) continue;
        if (k % 2 && t->n && t->instr[0].dout == FA_F64) first.out = FA_TSLOT_CONST + t->nconst;
        for (int s = 0; s < 4; s++) {
            for (int j = 0; j < FA_BLOCK; j++) x[s][j] = below(4) ? normal() : below(2) ? x[0][j] : 0;
            in[s] = (fa_span){(char *)x[s], s == 3 || below(2) ? 8 : 0};
        }
        EXPECT(fa_plan_template(t, &plan) == 0, "plan");
        fa_span got = fa_partial_block(t, &plan, in, FA_BLOCK, &scratch);
        for (int j = 0; j < FA_BLOCK; j++) {
            fa_cell c[4];
            for (int s = 0; s < 4; s++) c[s] = fa_load_cell(FA_F64, fa_span_at(in[s], j).p);
            double want = fa_partial_scalar_f64(t, c[0], c[1], c[2], c[3]);
            EXPECT(same_f64(*(const double *)fa_span_at(got, j).p, want), "partial %d of %d", k / 2, op);
        }
    }
}

/* op of inputs, some twice, and exp-free arithmetic around it: rank 0 and blocks with a remainder */
static void test_rules(int op, int64_t size, int rank0) {
    prog *p = new_prog();
    int n = arity_of(op), first = op == FA_WHERE;
    uint32_t ids[3] = {0, 0, 0}, y;
    for (int k = first; k < n; k++) ids[k] = input(p, rank0 >> k & 1 ? -1 : size);
    if (op == OP_ARCTAN2 && !rank0 && below(2)) ids[1] = ids[0];
    if (op == FA_SQRT) ids[0] = push(p, FA_SQUARE, FA_F64, size, ids[0], 0);
    if (first) {
        double zero = 0;
        uint32_t z = constant(p, FA_F64, -1, &zero), from = ids[rank0 & 2 ? 2 : 1];
        ids[0] = push(p, FA_GREATER, FA_BOOL, rank0 == 7 || rank0 & 1 ? -1 : size, rank0 & 1 ? z : from, z);
    }
    y = n == 3 ? nary(p, op, FA_F64, size, 3, ids, 0) : push(p, op, FA_F64, size, ids[0], n == 2 ? ids[1] : 0);
    push(p, FA_SQUARE, FA_F64, size, y, 0);
    char label[40];
    sprintf(label, "opcode %d, size %d, rank0 %d", op, (int)size, rank0);
    check_derivatives(p, label, 1e-5);
    free_prog(p);
}

/* a partial of inf or NaN does no harm where the tangent or adjoint is zero */
static void test_strong_zero(void) {
    for (int64_t size = -1; size < 3; size += 3) {
        prog *p = new_prog();
        double zero[2] = {0, 0};
        uint32_t x = input(p, size), z = constant(p, FA_F64, size, zero);
        uint32_t bad = push(p, FA_SQRT, FA_F64, size, x, 0), mask = push(p, FA_GREATER, FA_BOOL, size, x, z);
        uint32_t y = nary(p, FA_WHERE, FA_F64, size, 3, (uint32_t[]){mask, bad, z}, 0);
        fa_code c = code_of(p);
        place(p, p->v); place(p, p->t); place(p, p->adj);
        memset(data_at(p, p->v, x), 0, size < 0 ? 8 : 16);
        for (uint32_t i = 1; i < p->n; i++)
            if ((p->active[i] = i == x || i == bad || i == y)) memset(data_at(p, p->adj, i), 0, size < 0 ? 8 : 16);
        run(p);
        for (int64_t k = 0; k < (size < 0 ? 1 : 2); k++) f64_at(p, p->adj, y)[k] = f64_at(p, p->t, x)[k] = 1;
        fa_reverse(&c, p->v, p->adj, p->active, &p->env);
        fa_tangent(&c, p->v, p->t, p->active, &p->env);
        EXPECT(f64_at(p, p->adj, x)[0] == 0 && f64_at(p, p->t, y)[0] == 0, "an untaken square root of 0 poisons");
        EXPECT(isinf(f64_at(p, p->t, bad)[0]), "the square root's own tangent");
        free_prog(p);
    }
}

static void test_casts(void) {
    static const double x[6] = {0, -2.9, NAN, 1e30, 3.999, -0.0};
    static const int64_t want[6] = {0, -2, INT64_MIN, INT64_MIN, 3, 0};
    prog *p = new_prog();
    uint32_t f = constant(p, FA_F64, 6, x);
    uint32_t i = push(p, FA_CAST, FA_I64, 6, f, 0), b = push(p, FA_CAST, FA_BOOL, 6, f, 0);
    uint32_t bi = push(p, FA_CAST, FA_I64, 6, b, 0), bf = push(p, FA_CAST, FA_F64, 6, b, 0);
    uint32_t ib = push(p, FA_CAST, FA_BOOL, 6, i, 0), fi = push(p, FA_CAST, FA_F64, 6, i, 0);
    uint32_t s = constant(p, FA_F64, -1, &x[2]), sb = push(p, FA_CAST, FA_BOOL, -1, s, 0);
    uint32_t sf = push(p, FA_CAST, FA_F64, -1, sb, 0), sum = push(p, FA_ADD, FA_I64, 6, i, bi);
    place(p, p->v);
    EXPECT(run(p) == FA_OK, "casts");
    for (int k = 0; k < 6; k++) {
        int truth = x[k] != 0;
        EXPECT(((int64_t *)p->v[i].p)[k] == want[k] && ((uint8_t *)p->v[b].p)[k] == truth, "from float64 %g", x[k]);
        EXPECT(((int64_t *)p->v[bi].p)[k] == truth && f64_at(p, p->v, bf)[k] == truth, "from bool");
        EXPECT(((uint8_t *)p->v[ib].p)[k] == (want[k] != 0) && f64_at(p, p->v, fi)[k] == (double)want[k], "from int64");
        EXPECT(((int64_t *)p->v[sum].p)[k] == want[k] + truth, "int64 add");
    }
    EXPECT(p->v[sb].i == 1 && p->v[sf].f == 1, "scalars: bool(nan)");
    free_prog(p);
}

/* 0 times infinity or NaN is 0 and raises nothing, in loops as for single numbers, alone and added */
static void test_quiet_zeros(void) {
    double w[7] = {0, -0.0, 0, -0.0, 0, 0, 0}, p[7] = {INFINITY, -INFINITY, NAN, 1, -1, INFINITY, 2}, y[7], zero = 0;
    fa_span ws = {(char *)w, 8}, ps = {(char *)p, 8}, one = {(char *)&zero, 0}, infinite = {(char *)p, 0};
    fa_span lhs[] = {ws, ws, one}, rhs[] = {ps, infinite, ps};
    for (int k = 0; k < 3; k++)
        for (int add = 0; add < 2; add++) {
            for (int j = 0; j < 7; j++) y[j] = 0;
            feclearexcept(FE_ALL_EXCEPT);
            if (add) { fa_strongzero_add_f64(7, lhs[k], rhs[k], y); fa_zeroproduct_add_f64(7, lhs[k], rhs[k], y); }
            else fa_strongzero_block_f64(7, lhs[k], rhs[k], y);
            EXPECT(!fetestexcept(FE_INVALID), "a strong zero raised a flag: case %d, %d", k, add);
            for (int j = 0; j < 7; j++) EXPECT(same_f64(y[j], 0.0), "zero times %g is %g", p[j], y[j]);
        }
    for (int n = 0; n < 8; n++) {
        for (int j = 0; j < 7; j++) { w[j] = j - 3; y[j] = 77; }
        fa_strongzero_block_f64(n, ws, (fa_span){(char *)w, 8}, y);
        for (int j = 0; j < 7; j++) EXPECT(y[j] == (j < n ? w[j] * w[j] : 77), "block of %d, element %d", n, j);
    }
    float ws32[7] = {0, -0.0f, 0, -0.0f, 0, 2, 0}, ps32[7] = {INFINITY, -INFINITY, NAN, 1, -1, 3, 2}, y32[7];
    fa_span w32 = {(char *)ws32, 4}, p32 = {(char *)ps32, 4};
    for (int n = 0; n < 8; n++) {
        for (int j = 0; j < 7; j++) y32[j] = 77;
        feclearexcept(FE_ALL_EXCEPT);
        fa_strongzero_block_f32(n, w32, p32, y32);
        fa_zeroproduct_add_f32(n, w32, p32, y32);
        EXPECT(!fetestexcept(FE_INVALID), "a float32 strong zero raised a flag");
        for (int j = 0; j < 7; j++)
            EXPECT(y32[j] == (j >= n ? 77 : j == 5 ? 12 : 0), "float32 block of %d, element %d", n, j);
    }
}

/* Arithmetic on operands that lie in rows, the outer axes anyhow, against the same on contiguous copies: the bits. */
static void test_arithmetic_rows(int op, int dtype, int64_t row, int rank0) {
    int64_t shape[] = {3, 4, row}, size = 12 * row, item = fa_itemsize[dtype], step[2][3];
    fa_aval out = {.dtype = (uint8_t)dtype, .nd = 3, .size = size, .shape = shape}, number = {.dtype = (uint8_t)dtype};
    const fa_aval *av[2];
    const int64_t *strides[2];
    char *memory[2], *in[2], *flat[2], *y = malloc((size_t)(size * item)), *want = malloc((size_t)(size * item));
    fa_env env = {0};
    for (int k = 0; k < 2; k++) {
        int64_t down = row + 1 + below(3), n = 12 * down;
        memory[k] = malloc((size_t)(n * item));              /* exactly as large: the sanitizer sees what is beyond */
        for (int64_t j = 0; j < n; j++) {
            double v = below(4) ? normal() : special[below(NSPECIAL)];
            if (dtype == FA_F64) ((double *)memory[k])[j] = v;
            else ((float *)memory[k])[j] = (float)v;
        }
        /* rows in order; the first axis, or the second, backwards; one row again and again */
        int64_t way = below(4), first = way == 3 ? 0 : 4 * down, second = down, at = down - row;
        if (way == 1) { at += 2 * first; first = -first; }
        if (way == 2) { at += 3 * second; second = -second; }
        step[k][0] = first * item;
        step[k][1] = second * item;
        step[k][2] = item;
        in[k] = memory[k] + at * item;
        av[k] = rank0 >> k & 1 ? &number : &out;
        strides[k] = rank0 >> k & 1 ? NULL : step[k];
        flat[k] = malloc((size_t)(size * item));
        for (int64_t j = 0; j < size; j++)
            memcpy(flat[k] + j * item, in[k] + (rank0 >> k & 1 ? 0 : j / (4 * row) * step[k][0] + j / row % 4 * step[k][1]
                                                                     + j % row * item), (size_t)item);
    }
    fa_arithmetic_rows((uint16_t)op, &out, in, strides, y);
    fa_elementwise((uint16_t)op, fa_prims[op].arity, av, flat, &out, want, &env);
    EXPECT(!memcmp(y, want, (size_t)(size * item)), "opcode %d in rows of %d", op, (int)row);
    for (int k = 0; k < 2; k++) { free(memory[k]); free(flat[k]); }
    free(y);
    free(want);
}

static void test_rows(void) {
    for (int op = FA_ADD; op < FA_WHERE; op++)
        for (int dtype = FA_F64; dtype < FA_NDTYPE; dtype++)
            for (int64_t row = 30; row < 140 && fa_is_arithmetic((uint16_t)op, dtype, dtype); row += 1 + below(20))
                for (int rank0 = 0; rank0 < (fa_prims[op].arity == 2 ? 3 : 1); rank0++)
                    test_arithmetic_rows(op, dtype, row, rank0);
}

static void test_elementwise(void) {
    static const int64_t sizes[] = {0, 1, 7, 513, 1100};
    test_scalars();
    test_casts();
    test_strong_zero();
    test_quiet_zeros();
    for (int op = FA_ADD; op <= OP_AND; op++) {
        for (int s = 0; s < 5; s++)
            for (int rank0 = 0; rank0 < (1 << arity_of(op)); rank0++)
                test_array_values(op, sizes[s], rank0);
        for (int repeat = 0; repeat < 8; repeat++) test_partials(op);
        if (op == OP_AND || (op >= FA_EQUAL && op <= FA_GREATER_EQUAL)) continue;
        for (int s = 0; s < 4; s++)
            for (int rank0 = 0; rank0 < (1 << arity_of(op)) - 1; rank0++)
                if (op != FA_WHERE || rank0 != 6) test_rules(op, sizes[s], rank0);
        test_rules(op, -1, 7);
    }
}
#endif
