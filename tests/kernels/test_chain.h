/* test_chain.h - random loops of cheap instructions, as chains, against one element at a time; runs of reads.
   Owns: the tests of chain.h, chain_plan.h, chain_steps.h and read.h.  Must not know: how a program finds its loops.
   Every array has exactly its size, so that the sanitizers see a tile that reaches too far.
   Next: test_fused.h (whole loops), naive.h (random maps), test_kernels.c. */
#ifndef TEST_CHAIN_H
#define TEST_CHAIN_H
#include "naive.h"

enum { LINKS = 24, MOST_VALUES = 40, MARGIN = 3 };
static const uint16_t links[] = {FA_ADD, FA_SUBTRACT, FA_MULTIPLY, FA_DIVIDE, FA_STRONGZERO, FA_ZEROPRODUCT,
                                 FA_NEGATIVE, FA_SQUARE, FA_RECIPROCAL, FA_ABSOLUTE, FA_MAXIMUM};   /* the last is no link */

typedef struct {
    int dtype, nslots, ninstr, ncells;
    int64_t rows, row, n, wide;              /* wide: elements of a row of the arrays around */
    fa_fused f;
    fa_slot slots[FA_FUSED_SLOTS];
    fa_finstr instr[LINKS + 2];
    fa_chainstep steps[FA_MOST_STEPS];
    uint16_t spread[FA_FUSED_SLOTS];
    fa_rows layout;
    fa_gaps gaps;
    fa_cell v[MOST_VALUES];
    fa_aval avals[3];
    uint32_t cell_aval[MOST_VALUES], sum;
    fa_cell *value[FA_FUSED_SLOTS];          /* of a slot: every element, as computed one by one */
} chain_case;

static fa_cell element_of(int dtype, const char *x, int64_t k) {
    fa_cell y = {.i = 0};
    memcpy(&y, x + k * fa_itemsize[dtype], (size_t)fa_itemsize[dtype]);
    return y;
}

static char *new_numbers(chain_case *c, int64_t n) {
    char *x = malloc((size_t)(n * fa_itemsize[c->dtype]) + (n == 0));
    for (int64_t k = 0; k < n; k++) {
        double number = below(9) == 0 ? 0 : (below(4001) - 2000) / 512.0;
        if (c->dtype == FA_F64) ((double *)x)[k] = number;
        else ((float *)x)[k] = (float)number;
    }
    return x;
}

static int new_chain_slot(chain_case *c, int kind, char *memory, int64_t at) {
    fa_slot *s = &c->slots[c->nslots];
    *s = (fa_slot){.kind = (uint8_t)kind, .dtype = (uint8_t)c->dtype, .cell = (uint32_t)c->ncells, .at = at};
    if (kind != FA_SLOT_BUFFER) {
        c->cell_aval[c->ncells] = kind != FA_SLOT_SCALAR;
        c->v[c->ncells++].p = memory;
    }
    c->value[c->nslots] = calloc((size_t)c->n + 1, sizeof(fa_cell));
    return c->nslots++;
}

/* an array, a slice of rows, two numbers */
static void chain_inputs(chain_case *c) {
    char *x = new_numbers(c, c->n), *around = new_numbers(c, c->rows * c->wide), *number;
    int s = new_chain_slot(c, FA_SLOT_ARRAY, x, 0), r;
    for (int64_t k = 0; k < c->n; k++) c->value[s][k] = element_of(c->dtype, x, k);
    r = new_chain_slot(c, FA_SLOT_ROWS, around, 1);
    for (int64_t k = 0; k < c->n; k++)
        c->value[r][k] = element_of(c->dtype, around, 1 + k / c->row * c->wide + k % c->row);
    for (int l = 0; l < 2; l++) {
        s = new_chain_slot(c, FA_SLOT_SCALAR, NULL, 0);
        number = new_numbers(c, 1);
        c->v[c->ncells - 1] = element_of(c->dtype, number, 0);
        free(number);
        for (int64_t k = 0; k < c->n; k++) c->value[s][k] = c->v[c->ncells - 1];
    }
}

/* Random instructions; a buffer is given to another value when nobody reads it any more. */
static void chain_program(chain_case *c) {
    int made[LINKS], operands[LINKS][2], last[FA_FUSED_SLOTS] = {0}, free_buffers[LINKS], nfree = 0, inputs = c->nslots;
    c->ninstr = 1 + (int)below(LINKS);
    for (int i = 0; i < c->ninstr; i++) {
        uint16_t op = links[below(sizeof links / sizeof *links)];
        int arity = fa_prims[op].arity;
        for (int k = 0; k < arity; k++) {
            do operands[i][k] = below(3) && i ? inputs + (int)(i - 1 - below(i < 4 ? i : 4)) : (int)below(inputs);
            while (op == FA_MAXIMUM && operands[i][k] == 1);      /* by rows read chains alone */
            last[operands[i][k]] = i;
        }
        c->instr[i] = (fa_finstr){op, FA_FUSED_ELEMENTWISE, (uint8_t)arity, (uint8_t)c->dtype, (uint8_t)c->dtype,
                                  {0}, 0};
        made[i] = below(4) == 0;                                   /* does it leave the loop? */
    }
    last[inputs + c->ninstr - 1] = c->ninstr;                      /* summed or stored at the end */
    for (int i = 0; i < c->ninstr; i++) {
        int s = made[i] ? new_chain_slot(c, FA_SLOT_ARRAY, malloc((size_t)(c->n * fa_itemsize[c->dtype])), 0)
            : new_chain_slot(c, FA_SLOT_BUFFER, NULL, nfree ? free_buffers[--nfree] : (int64_t)c->f.nbuffers++);
        c->instr[i].out = (uint16_t)s;
        for (int k = 0; k < c->instr[i].arity; k++) c->instr[i].in[k] = (uint16_t)operands[i][k];
        for (int64_t k = 0; k < c->n; k++) {
            const fa_cell a = c->value[operands[i][0]][k];
            c->value[s][k] = fa_scalar_cells(c->instr[i].op, c->dtype, a,
                                             c->instr[i].arity > 1 ? c->value[operands[i][1]][k] : a, a);
        }
        for (int k = 0; k < c->instr[i].arity; k++)
            if (last[operands[i][k]] == i && c->slots[operands[i][k]].kind == FA_SLOT_BUFFER
                && !(k && operands[i][0] == operands[i][1])) free_buffers[nfree++] = (int)c->slots[operands[i][k]].at;
        if (!made[i] && last[s] == 0) free_buffers[nfree++] = (int)c->slots[s].at;
    }
}

/* The last value also goes into rows of a larger array, or is summed. */
static void chain_end(chain_case *c, int stores) {
    uint16_t last = c->instr[c->ninstr - 1].out;
    fa_finstr *end = &c->instr[c->ninstr++];
    *end = (fa_finstr){0, stores ? FA_FUSED_STORE : FA_FUSED_SUM, 1, (uint8_t)c->dtype, (uint8_t)c->dtype, {last}, 0};
    if (!stores) {
        c->sum = (uint32_t)c->ncells;
        c->cell_aval[c->ncells++] = 0;
        c->f.nsums = 1;
        return;
    }
    char *y = malloc((size_t)(c->rows * c->wide * fa_itemsize[c->dtype]));
    end->out = (uint16_t)new_chain_slot(c, FA_SLOT_ROWS, y, 1);
    c->gaps = (fa_gaps){c->slots[end->out].cell, c->dtype, c->rows * c->wide, {.i = 0}, {.nd = 2, .doff = 1}};
    c->gaps.reader.dim[0] = (fa_rdim){c->rows, c->wide, c->row, (c->rows - 1) * c->wide + c->row};
    c->gaps.reader.dim[1] = (fa_rdim){c->row, 1, 1, c->row};
    c->f.ngaps = 1;
}

static void same_numbers(chain_case *c, fa_cell got, fa_cell want, const char *what, int64_t k) {
    double a = c->dtype == FA_F64 ? got.f : (double)got.s, b = c->dtype == FA_F64 ? want.f : (double)want.s;
    EXPECT(same_f64(a, b), "chains, set %d, %d rows of %d: %s [%d] is %.17g, not %.17g", fa_chain_level, (int)c->rows,
           (int)c->row, what, (int)k, a, b);
}

static void check_chain(chain_case *c) {
    for (int s = 0; s < c->nslots; s++)
        if (c->slots[s].kind == FA_SLOT_ARRAY)
            for (int64_t k = 0; k < c->n; k++)
                same_numbers(c, element_of(c->dtype, c->v[c->slots[s].cell].p, k), c->value[s][k], "array", k);
    if (c->f.ngaps)
        for (int64_t k = 0; k < c->rows * c->wide; k++) {
            int64_t row = (k + c->wide - 1) / c->wide - 1, col = k - 1 - row * c->wide;
            int inside = k > 0 && row >= 0 && row < c->rows && col < c->row;
            fa_cell want = {.i = 0};
            if (inside) want = c->value[c->ninstr][row * c->row + col];
            same_numbers(c, element_of(c->dtype, c->v[c->gaps.cell].p, k), want, "rows", k);
        }
    if (c->f.nsums) {
        char *x = malloc((size_t)(c->n * fa_itemsize[c->dtype]));
        for (int64_t k = 0; k < c->n; k++)
            memcpy(x + k * fa_itemsize[c->dtype], &c->value[c->ninstr][k], (size_t)fa_itemsize[c->dtype]);
        fa_cell want = c->dtype == FA_F64 ? fa_cell_f64(fa_sum_f64((double *)x, 1, c->n))
            : fa_cell_f32(fa_sum_f32((float *)x, 1, c->n));
        same_numbers(c, c->v[c->sum], want, "sum", 0);
        free(x);
    }
}

static void test_chain(int64_t rows, int64_t row, int dtype, int threads) {
    chain_case *c = calloc(1, sizeof *c);
    fa_env env = {.flags = 0};
    int last;
    *c = (chain_case){.dtype = dtype, .rows = rows, .row = row, .n = rows * row, .wide = row + MARGIN, .ncells = 1};
    c->layout = (fa_rows){1, {rows}, {c->wide}};
    c->avals[0] = (fa_aval){.dtype = (uint8_t)dtype};
    c->avals[1] = (fa_aval){.dtype = (uint8_t)dtype, .nd = 1, .size = c->n};
    c->f = (fa_fused){.size = c->n, .instr = c->instr, .slots = c->slots, .steps = c->steps, .spread = c->spread,
                      .sums = &c->sum, .rows = &c->layout, .nrows = 1, .gaps = &c->gaps, .row = row, .block = FA_BLOCK,
                      .shared = 1};
    chain_inputs(c);
    chain_program(c);
    last = c->instr[c->ninstr - 1].out;
    chain_end(c, below(2) == 0);
    c->f.n = c->f.nprimal = (uint32_t)c->ninstr;
    c->f.nslots = (uint32_t)c->nslots;
    c->ninstr = last;                        /* (the slot that was summed or stored) */
    EXPECT(fa_chain_plan(&c->f, c->instr, c->slots, c->steps, c->spread) == 0, "a slot by rows outside chains");
    if (!c->f.nsums && row <= FA_BLOCK) c->f.block = FA_BLOCK / row * row;
    c->f.scratch = 0;
    c->v[0].p = malloc(c->f.nbuffers * FA_BUFFER_BYTES + c->f.nspread * FA_TILE_BYTES + 1);
    fa_code code = {.avals = c->avals, .cell_aval = c->cell_aval};
    fa_pool_set_threads(threads);
    fa_run_fused(&code, c->v, &c->f, &env);
    fa_pool_set_threads(1);
    check_chain(c);
    for (int s = 0; s < c->nslots; s++) {
        if (c->slots[s].kind == FA_SLOT_ARRAY || c->slots[s].kind == FA_SLOT_ROWS) free(c->v[c->slots[s].cell].p);
        free(c->value[s]);
    }
    free(c->v[0].p);
    free(c);
}

/* any range of a read by runs is what its pieces move or add there, one after the other */
static void test_runs(int adds) {
    prog *p = new_prog();
    fa_map *m = random_pieces(p, 1, 0);
    fa_part parts[FA_READ_PARTS];
    fa_fread read = {.adds = (uint8_t)adds, .fills = 1, .runs = 1, .fill = {.f = 0.5}, .parts = parts};
    fa_aval av = {.dtype = FA_F64, .nd = 1, .size = m->nsrc};
    uint32_t cell_aval = 0;
    double *x = own(p, malloc((size_t)m->nsrc * 8 + 8)), *whole = own(p, malloc((size_t)m->ndst * 8 + 8));
    fa_cell v = {.p = x};
    random_fill(x, m->nsrc);
    for (int64_t k = 0; k < m->ndst; k++) whole[k] = 0.5;
    for (int q = 0; q < m->npieces && read.n < FA_READ_PARTS; q++) {
        fa_part *part = &parts[read.n];
        *part = (fa_part){.cell = 0, .what = adds ? FA_DO_ADDF : FA_DO_COPY8};
        if (fa_reader_of(&m->pieces[q], &part->reader) < 0 || !fa_reader_has_runs(&part->reader)) continue;
        read.n++;
        fa_run_piece(part->what, &m->pieces[q], 0, (char *)whole, (const char *)x);
    }
    for (int round = 0; round < 4 && m->ndst; round++) {
        int64_t lo = below(m->ndst), n = 1 + below(m->ndst - lo);
        double *y = malloc((size_t)n * 8);
        fa_read_block(&read, FA_F64, &v, &av, &cell_aval, lo, n, (char *)y);
        for (int64_t k = 0; k < n; k++)
            EXPECT(same_f64(y[k], whole[lo + k]), "runs in [%d, +%d): %d", (int)lo, (int)n, (int)k);
        free(y);
    }
    free_prog(p);
}

static void test_chains(void) {
    static const int64_t rows[] = {1, 1, 1, 3, 5, 40, 7, 1, 300}, row[] = {1, 7, 64, 70, 198, 200, 513, 3000, 130};
    for (int level = 2; level <= fa_cpu_level(); level++) {
        fa_chain_level = level;
        for (int round = 0; round < 12; round++)
            for (size_t k = 0; k < sizeof rows / sizeof *rows; k++)
                test_chain(rows[k], row[k], round % 3 ? FA_F64 : FA_F32, round % 4 ? 1 : 3);
    }
    for (int round = 0; round < 600; round++) test_runs(round % 2);
}
#endif
