/* test_fused.h - blocks that are read through maps, and loops that run block by block.
   Owns: the tests of fused.h and reader.h.  Must not know: how a program finds its loops.
   Next: test_chain.h (cheap instructions), naive.h (random maps), test_kernels.c. */
#ifndef TEST_FUSED_H
#define TEST_FUSED_H
#include "naive.h"
#include <sys/wait.h>
#include <unistd.h>

/* any range of a piece is what the whole piece moves there; y has exactly the range's memory */
static void test_reader(void) {
    prog *p = new_prog();
    fa_map *m = random_pieces(p, 1, below(2) == 0);
    double *x = own(p, malloc((size_t)m->nsrc * 8 + 8)), *whole = own(p, malloc((size_t)m->ndst * 8 + 8));
    random_fill(x, m->nsrc);
    for (int q = 0; q < m->npieces; q++) {
        fa_reader r;
        int nd = fa_reader_of(&m->pieces[q], &r);
        if (nd < 0) continue;
        for (int64_t k = 0; k < m->ndst; k++) whole[k] = 7;
        fa_run_piece(FA_DO_COPY8, &m->pieces[q], 0, (char *)whole, (const char *)x);
        for (int round = 0; round < 4; round++) {
            int64_t lo = below(m->ndst), n = 1 + below(m->ndst - lo);
            double *y = malloc((size_t)n * 8);
            for (int64_t k = 0; k < n; k++) y[k] = 7;
            fa_read_piece(FA_DO_COPY8, &r, (const char *)x, lo, n, (char *)y);
            for (int64_t k = 0; k < n; k++) EXPECT(y[k] == whole[lo + k], "range [%d, +%d): %d", (int)lo, (int)n, (int)k);
            free(y);
        }
        if (fa_reader_contiguous(&r) && r.doff == 0 && r.reach == m->ndst)
            for (int64_t k = 0; k < m->ndst; k++) EXPECT(whole[k] == x[r.soff + k], "contiguous: %d", (int)k);
    }
    free_prog(p);
}

/* y = (x[1:] - x[:-1]) * s, its square, and the sum of that, against one pass over the arrays */
static void test_loop(int64_t n, int threads) {
    double *x = malloc((size_t)(n + 1) * 8), *y = malloc((size_t)n * 8), *square = calloc((size_t)n + 1, 8);
    char *scratch = malloc(2 * FA_BUFFER_BYTES);
    fa_aval avals[3] = {{.dtype = FA_F64}, {.dtype = FA_F64, .nd = 1, .size = n}, {.dtype = FA_F64, .nd = 1, .size = n + 1}};
    uint32_t cell_aval[6] = {0, 2, 0, 1, 0, 1};
    fa_cell v[6] = {{.i = 0}, {.p = x}, {.f = 0.75}, {.p = y}, {.f = 0}, {.p = scratch}};
    int64_t shape = n, one = 1;
    fa_piece piece = {1, 1, 0, &shape, &one, &one};
    fa_part part = {.cell = 1, .what = FA_DO_COPY8};
    fa_fread read = {.n = 1, .parts = &part};
    fa_slot slots[] = {{FA_SLOT_BUFFER, FA_F64, 0, 0, 0}, {FA_SLOT_ARRAY, FA_F64, 0, 1, 0},
                       {FA_SLOT_BUFFER, FA_F64, 0, 0, 1}, {FA_SLOT_SCALAR, FA_F64, 0, 2, 0},
                       {FA_SLOT_ARRAY, FA_F64, 0, 3, 0}};
    fa_finstr instr[] = {{0, FA_FUSED_READ, 0, FA_F64, FA_F64, {0}, 0, 0},
                         {FA_SUBTRACT, FA_FUSED_ELEMENTWISE, 2, FA_F64, FA_F64, {0, 1}, 2, FA_CHAIN_SUBTRACT},
                         {FA_MULTIPLY, FA_FUSED_ELEMENTWISE, 2, FA_F64, FA_F64, {2, 3}, 4, FA_CHAIN_MULTIPLY},
                         {FA_SQUARE, FA_FUSED_ELEMENTWISE, 1, FA_F64, FA_F64, {4}, 0, FA_CHAIN_SQUARE},
                         {0, FA_FUSED_SUM, 0, FA_F64, FA_F64, {0}, 0, 0}};
    uint32_t sum = 2;                        /* the cell of the scalar that dies here */
    fa_fused loop = {.size = n, .n = 5, .nprimal = 5, .nslots = 5, .nsums = 1, .scratch = 5, .shared = 1,
                     .instr = instr, .slots = slots, .reads = &read, .sums = &sum, .block = FA_BLOCK};
    fa_code c = {.avals = avals, .cell_aval = cell_aval};
    fa_env env = {.flags = 0};
    fa_reader_of(&piece, &part.reader);
    random_fill(x, n + 1);
    fa_pool_set_threads(threads);
    fa_run_fused(&c, v, &loop, &env);
    fa_pool_set_threads(1);
    for (int64_t k = 0; k < n; k++) {
        double want = (x[k + 1] - x[k]) * 0.75;
        EXPECT(y[k] == want, "loop over %d: [%d] %.17g, not %.17g", (int)n, (int)k, y[k], want);
        square[k] = want * want;
    }
    EXPECT(v[2].f == fa_sum_f64(square, 1, n), "sum of a loop over %d: %.17g", (int)n, v[2].f);
    free(x); free(y); free(square); free(scratch);
}

/* Every chunk once, whoever takes it: with two callers at once, as two Python threads are, and after a fork. */
enum { CHUNKS = 200 };
static void count_chunk(void *job, int64_t chunk, int is_worker) {
    (void)is_worker;
    ((int *)job)[chunk]++;
    for (volatile int k = 0; k < 300; k++) {}
}

static void *call_pool(void *wrong) {
    for (int round = 0; round < 200; round++) {
        int count[CHUNKS] = {0};
        fa_pool_run(count_chunk, count, CHUNKS);
        for (int k = 0; k < CHUNKS; k++) *(int *)wrong += count[k] != 1;
    }
    return NULL;
}

static void test_pool(void) {
    pthread_t other;
    int wrong[2] = {0}, status = -1;
    fa_pool_set_threads(3);
    pthread_create(&other, NULL, call_pool, &wrong[0]);
    call_pool(&wrong[1]);
    pthread_join(other, NULL);
    EXPECT(wrong[0] + wrong[1] == 0, "%d chunks were not done once", wrong[0] + wrong[1]);
    pid_t child = fork();
    if (child == 0) {
        int bad = 0;
        call_pool(&bad);
        _exit(bad != 0);
    }
    waitpid(child, &status, 0);
    EXPECT(status == 0, "the pool of a forked child: status %d", status);
    fa_pool_set_threads(1);
}

static void test_fused(void) {
    static const int64_t sizes[] = {1, 2, 511, 512, 513, 1024, 1537, 5000, 65536, 65537, 300000, 524288 + 4096};
    for (int round = 0; round < 200; round++) test_reader();
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
        for (int threads = 1; threads < 8; threads += 3) test_loop(sizes[k], threads);
    test_pool();
}
#endif
