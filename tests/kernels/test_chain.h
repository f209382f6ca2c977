/* test_chain.h - random loops of cheap instructions, as chains, against one element at a time; as code against steps.
   Owns: the tests of chain.h, chain_plan.h, chain_steps.h, chain_code.h and read.h.
   Must not know: how a program finds its loops.
   Every array ends where its pages end and no others follow, so that a tile that reaches too far is a fault, in code of
   the processor, too, of which sanitizers know nothing.
   Next: test_fused.h (whole loops), naive.h (random maps), test_kernels.c. */
#ifndef TEST_CHAIN_H
#define TEST_CHAIN_H
#include <sys/mman.h>
#include <unistd.h>
#include "chain_code.h"
#include "naive.h"

enum { LINKS = 24, MOST_VALUES = 48, MARGIN = 3 };
enum { OP_MASKS_AND = FA_OWN_END + 16, OP_MASKS_OR, OP_MASKS_XOR, OP_MASK_NOT, OP_SIGN,
       OP_TWICE, OP_FOUR_TIMES, OP_MINUS_TWICE, OP_MINUS_FOUR_TIMES };

/* An instruction that may be drawn; in: r a real number, m a mask. */
typedef struct { uint16_t op; uint8_t step; const char *in; char out; } chain_link;
static const chain_link links[] = {
    {FA_ADD, FA_CHAIN_ADD, "rr", 'r'}, {FA_SUBTRACT, FA_CHAIN_SUBTRACT, "rr", 'r'},
    {FA_MULTIPLY, FA_CHAIN_MULTIPLY, "rr", 'r'}, {FA_DIVIDE, FA_CHAIN_DIVIDE, "rr", 'r'},
    {FA_STRONGZERO, FA_CHAIN_STRONGZERO, "rr", 'r'}, {FA_ZEROPRODUCT, FA_CHAIN_ZEROPRODUCT, "rr", 'r'},
    {FA_MAXIMUM, FA_CHAIN_MAXIMUM, "rr", 'r'}, {FA_MINIMUM, FA_CHAIN_MINIMUM, "rr", 'r'},
    {FA_EQUAL, FA_CHAIN_EQUAL, "rr", 'm'}, {FA_NOT_EQUAL, FA_CHAIN_NOT_EQUAL, "rr", 'm'},
    {FA_LESS, FA_CHAIN_LESS, "rr", 'm'}, {FA_LESS_EQUAL, FA_CHAIN_LESS_EQUAL, "rr", 'm'},
    {FA_GREATER, FA_CHAIN_GREATER, "rr", 'm'}, {FA_GREATER_EQUAL, FA_CHAIN_GREATER_EQUAL, "rr", 'm'},
    {FA_WHERE, FA_CHAIN_WHERE_MASK, "mrr", 'r'}, {FA_WHERE, FA_CHAIN_WHERE_MASK, "mrr", 'r'},
    {FA_WHERE, FA_CHAIN_WHERE_MASK, "mrr", 'r'}, {FA_CAST, FA_CHAIN_NUMBER, "m", 'r'},
    {OP_MASKS_AND, FA_CHAIN_AND, "mm", 'm'}, {OP_MASKS_OR, FA_CHAIN_OR, "mm", 'm'},
    {OP_MASKS_XOR, FA_CHAIN_XOR, "mm", 'm'}, {OP_MASK_NOT, FA_CHAIN_NOT, "m", 'm'},
    {FA_NEGATIVE, FA_CHAIN_NEGATIVE, "r", 'r'}, {FA_SQUARE, FA_CHAIN_SQUARE, "r", 'r'},
    {FA_RECIPROCAL, FA_CHAIN_RECIPROCAL, "r", 'r'}, {FA_ABSOLUTE, FA_CHAIN_ABSOLUTE, "r", 'r'},
    {FA_SQRT, FA_CHAIN_SQRT, "r", 'r'}, {OP_SIGN, FA_CHAIN_SIGN, "r", 'r'},
    {OP_TWICE, FA_CHAIN_TWICE, "r", 'r'}, {OP_FOUR_TIMES, FA_CHAIN_FOUR_TIMES, "r", 'r'},
    {OP_MINUS_TWICE, FA_CHAIN_MINUS_TWICE, "r", 'r'}, {OP_MINUS_FOUR_TIMES, FA_CHAIN_MINUS_FOUR_TIMES, "r", 'r'},
    {FA_SUBTRACT, FA_CHAIN_END, "rr", 'r'}, {FA_WHERE, FA_CHAIN_END, "mrr", 'r'}};         /* the last are no links */

BINARY_LOOP(l_masks_and, uint8_t, uint8_t, a && b) BINARY_LOOP(l_masks_or, uint8_t, uint8_t, a || b)
BINARY_LOOP(l_masks_xor, uint8_t, uint8_t, !a != !b) UNARY_LOOP(l_mask_not, uint8_t, uint8_t, !a)

static void chain_prims(void) {
    static const fa_loopfn loop[] = {l_masks_and, l_masks_or, l_masks_xor, l_mask_not};
    for (int k = 0; k < 4; k++) fa_prims[OP_MASKS_AND + k] = (fa_prim){.arity = k < 3 ? 2 : 1, .loop[FA_BOOL] = {loop[k], 0}};
}

static fa_cell linked(uint16_t op, int dtype, fa_cell a, fa_cell b, fa_cell c) {
    static const double factor[] = {2, 4, -2, -4};
    double x = dtype == FA_F64 ? a.f : (double)a.s, sign = x > 0 ? 1 : x < 0 ? -1 : x == 0 ? 0 : x;
    switch (op) {
    case OP_MASKS_AND: return (fa_cell){.i = a.i && b.i};
    case OP_MASKS_OR: return (fa_cell){.i = a.i || b.i};
    case OP_MASKS_XOR: return (fa_cell){.i = !a.i != !b.i};
    case OP_MASK_NOT: return (fa_cell){.i = !a.i};
    case OP_SIGN: return dtype == FA_F64 ? fa_cell_f64(sign) : fa_cell_f32((float)sign);
    case OP_TWICE: case OP_FOUR_TIMES: case OP_MINUS_TWICE: case OP_MINUS_FOUR_TIMES:
        b = dtype == FA_F64 ? fa_cell_f64(factor[op - OP_TWICE]) : fa_cell_f32((float)factor[op - OP_TWICE]);
        return fa_scalar_cells(FA_MULTIPLY, dtype, a, b, c);
    case FA_CAST: return fa_cast_cell(FA_BOOL, dtype, (fa_cell){.i = a.i != 0});
    default: return fa_scalar_cells(op, dtype, a, b, c);
    }
}

typedef struct {
    int dtype, nslots, ninputs, ninstr, ncells;
    int64_t rows, row, n, wide;              /* wide: elements of a row of the arrays around */
    fa_fused f;
    fa_slot slots[FA_FUSED_SLOTS];
    fa_finstr instr[LINKS + 2];
    fa_chainstep steps[FA_MOST_STEPS];
    uint16_t spread[FA_FUSED_SLOTS];
    fa_rows layout;
    fa_gaps gaps;
    fa_cell v[MOST_VALUES];
    fa_aval avals[4];
    uint32_t cell_aval[MOST_VALUES], sum;
    fa_cell *value[FA_FUSED_SLOTS];          /* of a slot: every element, as computed one by one */
    struct { char *begin, *p; size_t bytes, n; } memory[MOST_VALUES];
    int nmemory;
    fa_chaincode code[LINKS + 2];
} chain_case;

static int coded_chains, whole_chains;       /* how many have run as code; in one piece */

/* n bytes, with a page behind them that nobody may touch */
static char *chain_memory(chain_case *c, int64_t n) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = ((size_t)n + page - 1) / page * page + page;
    char *begin = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (begin == MAP_FAILED || mprotect(begin + bytes - page, page, PROT_NONE)) abort();
    c->memory[c->nmemory].begin = begin;
    c->memory[c->nmemory].bytes = bytes;
    c->memory[c->nmemory].n = (size_t)n;
    return c->memory[c->nmemory++].p = begin + bytes - page - n;
}

static fa_cell element_of(int dtype, const char *x, int64_t k) {
    fa_cell y = {.i = 0};
    memcpy(&y, x + k * fa_itemsize[dtype], (size_t)fa_itemsize[dtype]);
    return y;
}

/* quiet NaN of several kinds, which tell where they come from */
static void put_nan(const chain_case *c, char *x, int64_t k, int64_t kind) {
    uint64_t wide = 0x7FF8000000000000u + (uint64_t)kind % 9 + ((uint64_t)kind % 2 << 63);
    uint32_t narrow = 0x7FC00000u + (uint32_t)kind % 9 + ((uint32_t)kind % 2 << 31);
    if (c->dtype == FA_F64) memcpy(x + 8 * k, &wide, 8);
    else memcpy(x + 4 * k, &narrow, 4);
}

static char *new_numbers(chain_case *c, int64_t n) {
    static const double special[] = {0, -0.0, INFINITY, -INFINITY, NAN, 1e-310, -3e-42, 1, -1};
    char *x = chain_memory(c, n * fa_itemsize[c->dtype]);
    for (int64_t k = 0; k < n; k++) {
        double number = below(9) == 0 ? special[below(sizeof special / sizeof *special)] : (below(4001) - 2000) / 512.0;
        if (c->dtype == FA_F64) ((double *)x)[k] = number;
        else ((float *)x)[k] = (float)number;
        if (number != number) put_nan(c, x, k, below(18));
    }
    return x;
}

static char *new_bytes(chain_case *c, int64_t n) {
    char *x = chain_memory(c, n);
    for (int64_t k = 0; k < n; k++) x[k] = (char)(below(2) ? 1 + (below(9) == 0) : 0);      /* what is not 0 is true */
    return x;
}

static int new_chain_slot(chain_case *c, int kind, int dtype, char *memory, int64_t at) {
    fa_slot *s = &c->slots[c->nslots];
    *s = (fa_slot){.kind = (uint8_t)kind, .dtype = (uint8_t)dtype, .cell = (uint32_t)c->ncells, .at = at,
                   .far = dtype != FA_BOOL && (kind == FA_SLOT_ARRAY || kind == FA_SLOT_ROWS) && below(2)};
    if (kind != FA_SLOT_BUFFER) {
        c->cell_aval[c->ncells] = (uint32_t)((kind != FA_SLOT_SCALAR) + 2 * (dtype == FA_BOOL));
        c->v[c->ncells++].p = memory;
    }
    c->value[c->nslots] = calloc((size_t)c->n + 1, sizeof(fa_cell));
    return c->nslots++;
}

/* an array, a slice of rows, two numbers, an array of masks, a mask */
static void chain_inputs(chain_case *c) {
    char *x = new_numbers(c, c->n), *around = new_numbers(c, c->rows * c->wide), *masks = new_bytes(c, c->n);
    int s = new_chain_slot(c, FA_SLOT_ARRAY, c->dtype, x, 0), r;
    for (int64_t k = 0; k < c->n; k++) c->value[s][k] = element_of(c->dtype, x, k);
    r = new_chain_slot(c, FA_SLOT_ROWS, c->dtype, around, 1);
    for (int64_t k = 0; k < c->n; k++)
        c->value[r][k] = element_of(c->dtype, around, 1 + k / c->row * c->wide + k % c->row);
    for (int l = 0; l < 2; l++) {
        s = new_chain_slot(c, FA_SLOT_SCALAR, c->dtype, NULL, 0);
        c->v[c->ncells - 1] = element_of(c->dtype, new_numbers(c, 1), 0);
        for (int64_t k = 0; k < c->n; k++) c->value[s][k] = c->v[c->ncells - 1];
    }
    s = new_chain_slot(c, FA_SLOT_ARRAY, FA_BOOL, masks, 0);
    for (int64_t k = 0; k < c->n; k++) c->value[s][k].i = masks[k];
    s = new_chain_slot(c, FA_SLOT_SCALAR, FA_BOOL, NULL, 0);
    c->v[c->ncells - 1].i = below(2);
    for (int64_t k = 0; k < c->n; k++) c->value[s][k] = c->v[c->ncells - 1];
}

/* A value of this kind for instruction i, one of the last ones if there is one; `made`: the values' kinds. */
static int chain_operand(const chain_case *c, int i, int inputs, char kind, const char *made, int alone) {
    for (;;) {
        int x = below(3) && i ? inputs + (int)(i - 1 - below(i < 4 ? i : 4)) : (int)below(inputs);
        if (alone && x == 1) continue;                             /* by rows read chains alone */
        if (kind == (x >= inputs ? made[x - inputs] : c->slots[x].dtype == FA_BOOL ? 'm' : 'r')) return x;
    }
}

/* Random instructions; a buffer is given to another value of its kind when nobody reads it any more. */
static void chain_program(chain_case *c) {
    int operands[LINKS][3], last[FA_FUSED_SLOTS] = {0}, free_buffers[2][LINKS], nfree[2] = {0}, inputs = c->nslots;
    char made[LINKS];
    const chain_link *what[LINKS];
    c->ninstr = 1 + (int)below(LINKS);
    for (int i = 0; i < c->ninstr; i++) {
        do what[i] = &links[below(sizeof links / sizeof *links)]; while (i == c->ninstr - 1 && what[i]->out == 'm');
        int arity = (int)strlen(what[i]->in);
        for (int k = 0; k < arity; k++) {
            operands[i][k] = chain_operand(c, i, inputs, what[i]->in[k], made, what[i]->step == FA_CHAIN_END);
            last[operands[i][k]] = i;
        }
        made[i] = what[i]->out;
        c->instr[i] = (fa_finstr){what[i]->op, FA_FUSED_ELEMENTWISE, (uint8_t)arity,
                                  what[i]->in[arity - 1] == 'm' ? FA_BOOL : (uint8_t)c->dtype,
                                  made[i] == 'm' ? FA_BOOL : (uint8_t)c->dtype, {0}, 0, what[i]->step};
    }
    last[inputs + c->ninstr - 1] = c->ninstr;                      /* summed or stored at the end */
    for (int i = 0; i < c->ninstr; i++) {
        int mask = made[i] == 'm', dtype = c->instr[i].dout;
        int s = below(4) == 0                                      /* does it leave the loop? */
            ? new_chain_slot(c, FA_SLOT_ARRAY, dtype, chain_memory(c, c->n * fa_itemsize[dtype]), 0)
            : new_chain_slot(c, FA_SLOT_BUFFER, dtype, NULL,
                             nfree[mask] ? free_buffers[mask][--nfree[mask]] : (int64_t)c->f.nbuffers++);
        c->instr[i].out = (uint16_t)s;
        for (int k = 0; k < c->instr[i].arity; k++) c->instr[i].in[k] = (uint16_t)operands[i][k];
        for (int64_t k = 0; k < c->n; k++) {
            fa_cell x[3] = {{.i = 0}};
            for (int l = 0; l < c->instr[i].arity; l++) x[l] = c->value[operands[i][l]][k];
            c->value[s][k] = linked(c->instr[i].op, c->dtype, x[0], x[1], x[2]);
        }
        for (int k = 0; k < c->instr[i].arity; k++) {
            const fa_slot *x = &c->slots[operands[i][k]];
            int twice = (k && operands[i][0] == operands[i][k]) || (k == 2 && operands[i][1] == operands[i][2]);
            if (last[operands[i][k]] == i && x->kind == FA_SLOT_BUFFER && !twice)
                free_buffers[x->dtype == FA_BOOL][nfree[x->dtype == FA_BOOL]++] = (int)x->at;
        }
        if (c->slots[s].kind == FA_SLOT_BUFFER && last[s] == 0) free_buffers[mask][nfree[mask]++] = (int)c->slots[s].at;
    }
}

/* The last value also goes into rows of a larger array, or is summed. */
static void chain_end(chain_case *c, int stores) {
    uint16_t last = c->instr[c->ninstr - 1].out;
    fa_finstr *end = &c->instr[c->ninstr++];
    *end = (fa_finstr){0, stores ? FA_FUSED_STORE : FA_FUSED_SUM, 1, (uint8_t)c->dtype, (uint8_t)c->dtype, {last}, 0, 0};
    if (!stores) {
        c->sum = (uint32_t)c->ncells;
        c->cell_aval[c->ncells++] = 0;
        c->f.nsums = 1;
        return;
    }
    char *y = chain_memory(c, c->rows * c->wide * fa_itemsize[c->dtype]);
    end->out = (uint16_t)new_chain_slot(c, FA_SLOT_ROWS, c->dtype, y, 1);
    c->gaps = (fa_gaps){.cell = c->slots[end->out].cell, .dtype = c->dtype, .size = c->rows * c->wide,
                        .reader = {.nd = 2, .doff = 1}};
    if (below(2)) {                                          /* on top of another array */
        c->gaps.base = (uint32_t)c->ncells;
        c->v[c->ncells++].p = new_numbers(c, c->gaps.size);
    }
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
        if (c->slots[s].kind == FA_SLOT_ARRAY && c->slots[s].dtype == FA_BOOL)
            for (int64_t k = 0; k < c->n; k++) {
                int got = ((const uint8_t *)c->v[c->slots[s].cell].p)[k], want = (int)c->value[s][k].i;
                EXPECT(got == want, "chains, set %d: mask [%d] is %d, not %d", fa_chain_level, (int)k, got, want);
            }
        else if (c->slots[s].kind == FA_SLOT_ARRAY)
            for (int64_t k = 0; k < c->n; k++)
                same_numbers(c, element_of(c->dtype, c->v[c->slots[s].cell].p, k), c->value[s][k], "array", k);
    if (c->f.ngaps)
        for (int64_t k = 0; k < c->rows * c->wide; k++) {
            int64_t row = (k + c->wide - 1) / c->wide - 1, col = k - 1 - row * c->wide;
            int inside = k > 0 && row >= 0 && row < c->rows && col < c->row;
            fa_cell want = {.i = 0};
            if (c->gaps.base) want = element_of(c->dtype, c->v[c->gaps.base].p, k);
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

/* The same by code of the processor, to the last bit: which of two NaN, which zero; the same flags. */
static void check_chain_code(chain_case *c, const fa_code *code, int threads, int flags) {
    const fa_fused *f = &c->f;
    fa_cell sum = c->v[c->sum];
    fa_env env = {.flags = 0};
    size_t bytes = 0;
    char *saved[MOST_VALUES], *made;
    c->f.code = c->code;
    made = fa_chains_make(&f, 1, fa_chain_level, &bytes);
    EXPECT((made != NULL) == (FA_MAKES_CODE && fa_chain_level > 2 && f->nchains > 0),
           "code for %d chains of set %d: %d bytes", (int)f->nchains, fa_chain_level, (int)bytes);
    if (!made) return;
    for (uint32_t k = 0; k < f->nchains; k++) {
        EXPECT(c->code[k].run != NULL, "a chain without code");
        coded_chains++;
        whole_chains += c->code[k].whole && f->n == 1;
    }
    for (int k = 0; k < c->nmemory; k++) {
        saved[k] = malloc(c->memory[k].n + 1);
        memcpy(saved[k], c->memory[k].p, c->memory[k].n);
    }
    for (int s = 0; s < c->nslots; s++)      /* results are overwritten first */
        for (int k = 0; k < c->nmemory; k++)
            if (s >= c->ninputs && c->slots[s].kind != FA_SLOT_BUFFER
                && c->memory[k].p == (char *)c->v[c->slots[s].cell].p)
                memset(c->memory[k].p, 0x55, c->memory[k].n);
    memset(c->v[0].p, 0x7F, c->f.nbuffers * FA_BUFFER_BYTES);
    fa_pool_set_threads(threads);
    fa_fpclear();
    fa_run_fused(code, c->v, f, &env);
    fa_pool_set_threads(1);
    for (int k = 0; k < c->nmemory; k++) {
        size_t l = 0;
        while (l < c->memory[k].n && c->memory[k].p[l] == saved[k][l]) l++;
        EXPECT(l == c->memory[k].n, "code of set %d, type %d, %d rows of %d: byte %d of %d differs", fa_chain_level,
               c->dtype, (int)c->rows, (int)c->row, (int)l, (int)c->memory[k].n);
        free(saved[k]);
    }
    EXPECT(!f->nsums || sum.i == c->v[c->sum].i, "code of set %d: another sum", fa_chain_level);
    EXPECT(env.flags == flags, "code of set %d raises %d, not %d", fa_chain_level, env.flags, flags);
    fa_code_free(made, bytes);
}

static void test_chain(int64_t rows, int64_t row, int dtype, int threads) {
    chain_case *c = calloc(1, sizeof *c);
    fa_env env = {.flags = 0};
    int last;
    *c = (chain_case){.dtype = dtype, .rows = rows, .row = row, .n = rows * row, .wide = row + MARGIN, .ncells = 1};
    c->layout = (fa_rows){1, {rows}, {c->wide}};
    c->avals[0] = (fa_aval){.dtype = (uint8_t)dtype};
    c->avals[1] = (fa_aval){.dtype = (uint8_t)dtype, .nd = 1, .size = c->n};
    c->avals[2] = (fa_aval){.dtype = FA_BOOL};
    c->avals[3] = (fa_aval){.dtype = FA_BOOL, .nd = 1, .size = c->n};
    c->f = (fa_fused){.size = c->n, .instr = c->instr, .slots = c->slots, .steps = c->steps, .spread = c->spread,
                      .sums = &c->sum, .rows = &c->layout, .nrows = 1, .gaps = &c->gaps, .row = row, .block = FA_BLOCK,
                      .shared = 1};
    chain_inputs(c);
    c->ninputs = c->nslots;
    chain_program(c);
    last = c->instr[c->ninstr - 1].out;
    chain_end(c, below(2) == 0);
    c->f.n = (uint32_t)c->ninstr;
    c->f.nprimal = below(2) ? c->f.n : 0;
    c->f.nslots = (uint32_t)c->nslots;
    c->ninstr = last;                        /* (the slot that was summed or stored) */
    EXPECT(fa_chain_plan(&c->f, c->instr, c->slots, c->steps, c->spread) == 0, "a slot by rows outside chains");
    if (!c->f.nsums && row <= FA_BLOCK) c->f.block = FA_BLOCK / row * row;
    c->f.scratch = 0;
    c->v[0].p = malloc(c->f.nbuffers * FA_BUFFER_BYTES + c->f.nspread * FA_TILE_BYTES + 1);
    fa_code code = {.avals = c->avals, .cell_aval = c->cell_aval};
    fa_pool_set_threads(threads);
    fa_fpclear();
    fa_run_fused(&code, c->v, &c->f, &env);
    fa_pool_set_threads(1);
    check_chain(c);
    check_chain_code(c, &code, threads, env.flags);
    for (int s = 0; s < c->nslots; s++) free(c->value[s]);
    for (int k = 0; k < c->nmemory; k++) munmap(c->memory[k].begin, c->memory[k].bytes);
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

/* Quiet NaN raises no flag in what chooses and compares. */
static void test_quiet(int dtype) {
    static const int quiet[] = {FA_CHAIN_MAXIMUM, FA_CHAIN_MAXIMUM + 1, FA_CHAIN_MINIMUM, FA_CHAIN_EQUAL,
                                FA_CHAIN_NOT_EQUAL, FA_CHAIN_LESS, FA_CHAIN_LESS_EQUAL, FA_CHAIN_GREATER,
                                FA_CHAIN_GREATER_EQUAL, FA_CHAIN_SIGN, FA_CHAIN_ABSOLUTE, FA_CHAIN_STRONGZERO};
    const fa_chainset *set = fa_chain_set(dtype);
    char tile[3][FA_TILE_BYTES] __attribute__((aligned(64)));
    fa_cell nan = dtype == FA_F64 ? fa_cell_f64(NAN) : fa_cell_f32(NAN), zero = {.i = 0};
    fa_fill_block(FA_TILE_BYTES / fa_itemsize[dtype], fa_itemsize[dtype], (char *)&nan, tile[0]);
    fa_fill_block(FA_TILE_BYTES / fa_itemsize[dtype], fa_itemsize[dtype], (char *)&zero, tile[1]);
    for (size_t k = 0; k < sizeof quiet / sizeof *quiet; k++)
        for (int first = 0; first < 2; first++) {
            fa_chainat steps[] = {{set->fn[FA_CHAIN_LOAD], tile[first], FA_CHAIN_FIXED},
                                  {set->fn[quiet[k]], tile[!first], FA_CHAIN_FIXED},
                                  {set->fn[FA_CHAIN_STORE], tile[2], FA_CHAIN_FIXED},
                                  {set->fn[FA_CHAIN_END], 0, FA_CHAIN_FIXED}};
            fa_chaintile t = {{0}, 0, 0};
            fa_fpclear();
            set->by8(steps, &t, 8 * set->lanes);
            EXPECT(fa_fpflags() == 0, "step %d of set %d raises %d for NaN", quiet[k], fa_chain_level, fa_fpflags());
        }
}

/* A tile of one number, and of another by step `code`, as if subnormal numbers were about or not; returns the flags. */
static int one_step(const fa_chainset *set, int code, int tiny, int width, fa_cell x, fa_cell y, char *result) {
    char tile[2][FA_TILE_BYTES] __attribute__((aligned(64)));
    fa_chainat steps[] = {{set->fn[FA_CHAIN_LOAD], tile[0], FA_CHAIN_FIXED},
                          {fa_chain_fns(set, code, tiny), tile[1], FA_CHAIN_FIXED},
                          {set->fn[FA_CHAIN_STORE], result, FA_CHAIN_FIXED},
                          {set->fn[FA_CHAIN_END], 0, FA_CHAIN_FIXED}};
    fa_chaintile t = {{0}, 0, 0};
    fa_fill_block(FA_TILE_BYTES / 4, 4, (char *)&x, tile[0]);
    fa_fill_block(FA_TILE_BYTES / 4, 4, (char *)&y, tile[1]);
    fa_fpclear();
    (width == 8 ? set->by8 : width == 4 ? set->by4 : set->by2)(steps, &t, width * set->lanes);
    return fa_fpflags();
}

/* 32 bits at random, with every exponent as probable as others, or what is small, or special; NaN is quiet */
static fa_cell any_f32(void) {
    static const uint32_t special[] = {0, 0x80000000u, 0x7f800000u, 0x7fc00001u, 0xffc00002u, 1,
                                       0x007fffffu, 0x00800000u, 0x3f800000u, 0x7f7fffffu};
    uint32_t bits = (uint32_t)below(1 << 16) << 16 | (uint32_t)below(1 << 16);
    if (below(4) == 0) bits &= 0x807fffffu;
    if (below(4) == 0) bits &= 0xffff0000u;
    if (below(6) == 0) bits = special[below(sizeof special / sizeof *special)];
    if ((bits & 0x7fffffffu) > 0x7f800000u) bits |= 0x00400000u;
    return (fa_cell){.i = bits};
}

/* The steps for subnormal numbers give the bits and the flags of the others, and the processor says when they are due. */
static void test_tiny(void) {
    const fa_chainset *set = fa_chain_set(FA_F32);
    char want[FA_TILE_BYTES] __attribute__((aligned(64))), got[FA_TILE_BYTES] __attribute__((aligned(64)));
    fa_cell half = fa_cell_f32(0.5f), subnormal = fa_cell_f32(1e-40f), small = fa_cell_f32(1e-30f);
    for (int code = 0; code < FA_CHAIN_CODES; code++)
        for (int round = 0; set->tiny[code].by8 && round < 1500; round++) {
            int width = 2 << round % 3;
            size_t bytes = (size_t)(width * set->lanes) * 4;
            fa_cell x = any_f32(), y = any_f32();
            int flags = one_step(set, code, 0, width, x, y, want), tiny = one_step(set, code, 1, width, x, y, got);
            EXPECT(!memcmp(got, want, bytes), "tiny step %d of set %d: %08x, %08x", code, fa_chain_level, (int)x.i,
                   (int)y.i);
            EXPECT(tiny == flags, "tiny step %d of set %d: %08x, %08x raise %d, not %d", code, fa_chain_level, (int)x.i,
                   (int)y.i, tiny, flags);
        }
    for (int tiny = 0; tiny < 2 && fa_chain_level > 2; tiny++) {
        one_step(set, FA_CHAIN_MULTIPLY, tiny, 8, half, half, got);
        EXPECT(!fa_fptiny(), "set %d: 0.5 * 0.5 counts as subnormal", fa_chain_level);
        one_step(set, FA_CHAIN_MULTIPLY, tiny, 8, subnormal, half, got);
        EXPECT(fa_fptiny(), "set %d: 1e-40 does not count as subnormal", fa_chain_level);
        one_step(set, FA_CHAIN_MULTIPLY, tiny, 8, small, small, got);
        EXPECT(fa_fptiny(), "set %d: 1e-60 does not count as subnormal", fa_chain_level);
    }
    EXPECT(fa_chain_level == 2 || set->tiny[FA_CHAIN_MULTIPLY].by8, "set %d has no tiny steps", fa_chain_level);
}

/* What fills up a short tile raises no flag: there are zeros where the copies will be. */
static __attribute__((noinline)) void zero_stack(void) {
    volatile char zeros[FA_CHAIN_TILES * FA_TILE_BYTES + 8192];
    for (size_t k = 0; k < sizeof zeros; k++) zeros[k] = 0;
}
static void test_rest(int dtype) {
    fa_cell one = dtype == FA_F64 ? fa_cell_f64(1) : fa_cell_f32(1);
    char x[3 * 8], y[3 * 8];
    fa_span in = {x, fa_itemsize[dtype]};
    fa_fill_block(3, fa_itemsize[dtype], (char *)&one, x);
    zero_stack();
    fa_fpclear();
    fa_arithmetic_block(FA_CHAIN_RECIPROCAL, dtype, 3, &in, y);
    EXPECT(fa_fpflags() == 0, "three reciprocals of set %d raise %d", fa_chain_level, fa_fpflags());
}

static void test_chains(void) {
    static const int64_t rows[] = {1, 1, 1, 3, 5, 40, 7, 1, 300}, row[] = {1, 7, 64, 70, 198, 200, 513, 3000, 130};
    chain_prims();
    for (int level = 2; level <= fa_cpu_level(); level++) {
        fa_chain_level = level;
        test_quiet(FA_F64);
        test_quiet(FA_F32);
        test_tiny();
        test_rest(FA_F64);
        test_rest(FA_F32);
        for (int round = 0; round < 12; round++)
            for (size_t k = 0; k < sizeof rows / sizeof *rows; k++)
                test_chain(rows[k], row[k], round % 3 ? FA_F64 : FA_F32, round % 4 ? 1 : 3);
    }
    EXPECT(!FA_MAKES_CODE || fa_cpu_level() < 3 || (coded_chains > 100 && whole_chains > 5),
           "%d chains ran as code, %d whole", coded_chains, whole_chains);
    for (int round = 0; round < 600; round++) test_runs(round % 2);
}
#endif
