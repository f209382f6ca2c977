/* test_fused.h - blocks that are read through maps, and loops that run block by block.
   Owns: the tests of fused.h and reader.h.  Must not know: how a program finds its loops.
   Next: test_chain.h (cheap instructions), naive.h (random maps), test_kernels.c. */
#ifndef TEST_FUSED_H
#define TEST_FUSED_H
#include "naive.h"
#include "patches.h"
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
    fa_slot slots[] = {{FA_SLOT_BUFFER, FA_F64, 0, 0, 0, 0}, {FA_SLOT_ARRAY, FA_F64, 0, 1, 0, 0},
                       {FA_SLOT_BUFFER, FA_F64, 0, 0, 1, 0}, {FA_SLOT_SCALAR, FA_F64, 0, 2, 0, 0},
                       {FA_SLOT_ARRAY, FA_F64, 0, 3, 0, 0}};
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

/* the sums of x * s and of x along an axis, against the kernel on whole arrays; NaN goes the same way */
static void test_axis(int64_t outer, int64_t n, int64_t inner, int threads) {
    fa_axis axis = {outer, n, inner, 0};
    int64_t size = outer * n * inner, sums = outer * inner;
    double *x = malloc((size_t)size * 8), *scaled = malloc((size_t)size * 8), *want = malloc((size_t)sums * 8);
    double *y[2] = {malloc((size_t)sums * 8), malloc((size_t)sums * 8)};
    char *scratch = malloc(FA_BUFFER_BYTES * (1 + 2 * fa_axis_levels(&axis)) + FA_TILE_BYTES);
    fa_aval avals[3] = {{.dtype = FA_F64}, {.dtype = FA_F64, .nd = 1, .size = size}, {.dtype = FA_F64, .nd = 1, .size = sums}};
    uint32_t cell_aval[5] = {1, 0, 2, 2, 1};
    fa_cell v[5] = {{.p = x}, {.f = 0.75}, {.p = y[0]}, {.p = y[1]}, {.p = scratch}};
    fa_slot slots[] = {{FA_SLOT_ARRAY, FA_F64, 0, 0, 0, 0}, {FA_SLOT_SCALAR, FA_F64, 0, 1, 0, 0},
                       {FA_SLOT_BUFFER, FA_F64, 0, 0, 0, 0}, {FA_SLOT_ARRAY, FA_F64, 0, 2, 0, 0},
                       {FA_SLOT_ARRAY, FA_F64, 0, 3, 0, 0}};
    fa_finstr instr[] = {{FA_MULTIPLY, FA_FUSED_ELEMENTWISE, 2, FA_F64, FA_F64, {0, 1}, 2, FA_CHAIN_MULTIPLY},
                         {0, FA_FUSED_AXIS, 0, FA_F64, FA_F64, {2, 0}, 3, 0},
                         {0, FA_FUSED_AXIS, 0, FA_F64, FA_F64, {0, 1}, 4, 0}};
    fa_chainstep steps[FA_MOST_STEPS];
    uint16_t spread[FA_FUSED_SLOTS];
    fa_fused loop = {.size = size, .n = 3, .nprimal = 3, .nslots = 5, .scratch = 4, .shared = 1, .instr = instr,
                     .slots = slots, .steps = steps, .spread = spread, .nbuffers = 1, .block = fa_axis_block(&axis),
                     .axis = axis, .naxes = 2};
    fa_code c = {.avals = avals, .cell_aval = cell_aval};
    fa_env env = {.flags = 0};
    random_fill(x, size);
    for (int64_t k = 0; k < size; k += 1 + below(size)) x[k] = below(2) ? NAN : -NAN;
    EXPECT(fa_chain_plan(&loop, instr, slots, steps, spread) == 0, "the plan of sums along an axis");
    fa_pool_set_threads(threads);
    fa_run_fused(&c, v, &loop, &env);
    fa_pool_set_threads(1);
    fa_elementwise_block(FA_MULTIPLY, FA_F64, FA_F64, size, (fa_span[]){{(char *)x, 8}, {(char *)&v[1], 0}}, (char *)scaled);
    for (int k = 0; k < 2; k++) {
        fa_sum_axis_f64(&axis, k ? x : scaled, want);
        for (int64_t j = 0; j < sums; j++)
            EXPECT(memcmp(&y[k][j], &want[j], 8) == 0, "sum %d of (%d, %d, %d), %d threads: [%d] is %.17g, not %.17g", k,
                   (int)outer, (int)n, (int)inner, threads, (int)j, y[k][j], want[j]);
    }
    free(x); free(scaled); free(want); free(y[0]); free(y[1]); free(scratch);
}

/* three parts of a loop over n, shifted, in an array of `size`, against one sum of each element */
static void test_weave(int64_t n, int64_t first, int64_t end, const int64_t *shift, int threads) {
    fa_weave w = {.cell = 2, .n = 3, .dtype = FA_F64, .first = first, .slot = {0, 2, 3}};
    for (int p = 0; p < 3; p++) w.shift[p] = shift[p], w.reach = w.reach < shift[p] ? shift[p] : w.reach;
    w.size = first + n + w.reach + end;
    double *x = malloc((size_t)n * 8), *y = malloc((size_t)w.size * 8);
    char *scratch = malloc(2 * FA_BUFFER_BYTES + FA_TILE_BYTES);
    fa_aval avals[3] = {{.dtype = FA_F64}, {.dtype = FA_F64, .nd = 1, .size = n}, {.dtype = FA_F64, .nd = 1, .size = w.size}};
    uint32_t cell_aval[4] = {1, 0, 2, 1};
    fa_cell v[4] = {{.p = x}, {.f = 0.75}, {.p = y}, {.p = scratch}};
    fa_slot slots[] = {{FA_SLOT_ARRAY, FA_F64, 0, 0, 0, 0}, {FA_SLOT_SCALAR, FA_F64, 0, 1, 0, 0},
                       {FA_SLOT_BUFFER, FA_F64, 0, 0, 0, 0}, {FA_SLOT_BUFFER, FA_F64, 0, 0, 1, 0}};
    fa_finstr instr[] = {{FA_MULTIPLY, FA_FUSED_ELEMENTWISE, 2, FA_F64, FA_F64, {0, 1}, 2, FA_CHAIN_MULTIPLY},
                         {FA_SQUARE, FA_FUSED_ELEMENTWISE, 1, FA_F64, FA_F64, {2}, 3, FA_CHAIN_SQUARE},
                         {0, FA_FUSED_WEAVE, 0, FA_F64, FA_F64, {0}, 0, 0}};
    fa_chainstep steps[FA_MOST_STEPS];
    uint16_t spread[FA_FUSED_SLOTS];
    fa_fused loop = {.size = n, .n = 3, .nprimal = 3, .nslots = 4, .scratch = 3, .shared = 1, .instr = instr,
                     .slots = slots, .steps = steps, .spread = spread, .nbuffers = 2, .block = FA_BLOCK, .weaves = &w,
                     .nweaves = 1};
    fa_code c = {.avals = avals, .cell_aval = cell_aval};
    fa_env env = {.flags = 0};
    random_fill(x, n);
    for (int64_t k = 0; k < w.size; k++) y[k] = 7;
    EXPECT(fa_chain_plan(&loop, instr, slots, steps, spread) == 0, "the plan of a weave");
    fa_pool_set_threads(threads);
    fa_run_fused(&c, v, &loop, &env);
    fa_pool_set_threads(1);
    for (int64_t t = 0; t < w.size; t++) {
        double want = 0;
        for (int p = 0; p < 3; p++) {
            int64_t k = t - first - shift[p];
            if (k < 0 || k >= n) continue;
            want += p == 0 ? x[k] : p == 1 ? x[k] * 0.75 : x[k] * 0.75 * (x[k] * 0.75);
        }
        EXPECT(y[t] == want, "weave over %d, %d threads: [%d] is %.17g, not %.17g", (int)n, threads, (int)t, y[t], want);
    }
    free(x); free(y); free(scratch);
}

/* x + r, r being 0.5 but for some runs of s on top of it (a few, many, none, or over all), squared */
static void test_patches(int64_t n, int runs, int64_t length, int threads) {
    enum { MOST = FA_MOST_PATCHES + 2 };
    double *x = malloc((size_t)n * 8), *y = calloc((size_t)n, 8), *r = malloc((size_t)n * 8), s = 0.25;
    char *scratch = malloc(2 * FA_BUFFER_BYTES);
    fa_aval avals[2] = {{.dtype = FA_F64, .nd = 1, .size = n}, {.dtype = FA_F64}};
    uint32_t cell_aval[4] = {0, 0, 0, 1};
    fa_cell v[4] = {{.p = x}, {.p = y}, {.p = scratch}, {.f = s}};
    fa_part parts[MOST];
    fa_fread read = {.n = (uint32_t)runs, .fills = 1, .adds = 1, .fill = {.f = 0.5}, .parts = parts};
    fa_slot slots[] = {{FA_SLOT_BUFFER, FA_F64, 0, 0, 0, 0}, {FA_SLOT_ARRAY, FA_F64, 0, 0, 0, 0},
                       {FA_SLOT_BUFFER, FA_F64, 0, 0, 1, 0}, {FA_SLOT_ARRAY, FA_F64, 0, 1, 0, 0}};
    fa_finstr instr[] = {{0, FA_FUSED_READ, 0, FA_F64, FA_F64, {0}, 0, 0},
                         {FA_ADD, FA_FUSED_ELEMENTWISE, 2, FA_F64, FA_F64, {0, 1}, 2, FA_CHAIN_ADD},
                         {FA_MULTIPLY, FA_FUSED_ELEMENTWISE, 2, FA_F64, FA_F64, {2, 2}, 3, FA_CHAIN_MULTIPLY}};
    fa_chainstep steps[FA_MOST_STEPS];
    uint16_t spread[FA_FUSED_SLOTS];
    fa_fused loop = {.size = n, .n = 3, .nslots = 4, .scratch = 2, .shared = 1, .instr = instr, .slots = slots,
                     .reads = &read, .steps = steps, .spread = spread, .nbuffers = 2, .block = FA_BLOCK};
    fa_code c = {.avals = avals, .cell_aval = cell_aval};
    fa_env env = {.flags = 0};
    random_fill(x, n);
    for (int64_t k = 0; k < n; k++) r[k] = 0.5;
    for (int k = 0; k < runs; k++) {
        int64_t at = below(n - length + 1), zero = 0, one = 1;
        fa_piece piece = {1, 0, at, &length, &zero, &one};
        fa_reader_of(&piece, &parts[k].reader);
        parts[k].cell = 3;
        parts[k].what = FA_DO_ADDF;
        for (int64_t j = at; j < at + length; j++) r[j] += s;
    }
    EXPECT(fa_chain_plan(&loop, instr, slots, steps, spread) == 0, "the plan of a loop with patches");
    fa_patches_find(&loop);
    EXPECT(runs > 1 || loop.patched == (2 * runs * length <= n), "%d runs of %d among %d: patched is %d", runs,
           (int)length, (int)n, loop.patched);
    fa_pool_set_threads(threads);
    fa_run_fused(&c, v, &loop, &env);
    fa_pool_set_threads(1);
    for (int64_t k = 0; k < n; k++)
        EXPECT(y[k] == (x[k] + r[k]) * (x[k] + r[k]), "patches of %d: [%d] is %.17g", (int)n, (int)k, y[k]);
    free(x); free(y); free(r); free(scratch);
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
    static const int64_t axes[][3] = {{1, 2, 1}, {7, 9, 5}, {300, 8, 20}, {1, 512, 1}, {1, 513, 1}, {9, 600, 1},
                                      {200, 1025, 1}, {1, 20, 64}, {1, 8, 65}, {3, 77, 130}, {2, 100, 511}, {1, 33, 512},
                                      {1, 70, 1000}, {5, 9, 1300}, {1, 1000, 200}, {4, 300, 40}, {3, 5, 127}};
    for (size_t k = 0; k < sizeof axes / sizeof *axes; k++)
        for (int threads = 1; threads < 4; threads += 2) test_axis(axes[k][0], axes[k][1], axes[k][2], threads);
    static const int64_t lengths[] = {1, 2, 3, 15, 16, 17, 511, 512, 513, 527, 1024, 4095, 4097, 8200, 65537};
    static const int64_t shifts[][3] = {{0, 1, 2}, {16, 0, 3}, {1, 1, 0}, {0, 0, 0}, {5, 16, 0}};
    for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++)
        for (int s = 0; s < 5; s++)
            for (int threads = 1; threads < 4; threads += 2) test_weave(lengths[k], k % 3, s % 2 * 4, shifts[s], threads);
    for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++)
        for (int runs = 0; runs <= FA_MOST_PATCHES + 2; runs++)
            test_patches(lengths[k], runs, 1 + below(runs % 3 ? lengths[k] / 20 + 1 : lengths[k]), 1 + 2 * (runs % 2));
    test_pool();
}
#endif
