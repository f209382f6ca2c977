/* test_burst.h - a loop over numbers, two steps at once, in both directions: s = s a[t] + b, of which s before each step
   and s a[t] are kept side by side, and s a[t] also goes to a place of its own.
   Next: burst.h, test_machine.h. */
#ifndef TEST_BURST_H
#define TEST_BURST_H
#include "builder.h"
#include "burst.h"

enum { BURST_STEPS = 6 };

static void test_burst_one_way(int backwards, int coded) {
    /* cells by their place in memory: record (state, product) of two steps, the state after them, two slices, b */
    enum { RECORD = 1, AFTER = 5, SLICE = 6, B = 8, CELLS = 9 };
    const uint32_t first = backwards ? 1 : 0, second = 1 - first;
    const uint32_t s0 = RECORD + 2 * first, m0 = s0 + 1, s1 = RECORD + 2 * second, m1 = s1 + 1;
    const uint32_t words[] = {FA_M_MULTIPLY, m0, s0, SLICE + first, FA_M_ADD, s1, m0, B,
                              FA_M_MULTIPLY, m1, s1, SLICE + second, FA_M_ADD, AFTER, m1, B, FA_M_END, 0, 0, 0, 0, 0};
    const uint32_t next[] = {AFTER}, product[] = {RECORD + 1, RECORD + 3};
    fa_run run = {.words = words, .nwords = sizeof words / sizeof *words, .wide = 1};
    const fa_stream slices = {0, 0, SLICE, 1, 8, 8}, kept = {-1, 0, RECORD, 2, 16, 16};
    const fa_column column = {product, 8 * BURST_STEPS, 16};
    const fa_burst b = {&run, 2, 4, 1, 1, 1, 1, backwards, &s0, next, &slices, &kept, &column};
    double a[BURST_STEPS + 1], record[2 + 2 * BURST_STEPS], out[3 * BURST_STEPS], s = uniform();
    const char *x[] = {(const char *)a};
    fa_cell v[CELLS];
    size_t bytes = 0;
    char *code = NULL;
    fa_env env;
    memset(&env, 0, sizeof env);
    if (coded) code = fa_code_make(&run, 1, CELLS, &bytes);
    for (int t = 0; t <= BURST_STEPS; t++) a[t] = normal();
    v[B].f = normal();
    v[s0].f = s;
    EXPECT(fa_run_bursts(&b, v, backwards ? BURST_STEPS - 2 : 0, BURST_STEPS / 2, x, (char *)out, (char *)record, &env)
           == FA_OK, "a burst that ends");
    for (int step = 0; step < BURST_STEPS; step++) {
        int t = backwards ? BURST_STEPS - 1 - step : step;
        EXPECT(record[2 + 2 * t] == s, "state before step %d: %g, not %g", step, record[2 + 2 * t], s);
        EXPECT(record[3 + 2 * t] == s * a[1 + t] && out[BURST_STEPS + 2 * t] == s * a[1 + t], "product of step %d", step);
        s = s * a[1 + t] + v[B].f;
    }
    EXPECT(v[s0].f == s, "the last state: %g, not %g", v[s0].f, s);
    fa_code_free(code, bytes);
}

/* slices that do not lie side by side, and arrays, of which a step gets the address */
static void test_streams(void) {
    double memory[12];
    const char *x[] = {0, (const char *)memory};
    const fa_stream apart = {1, 0, 1, 2, 8, 32}, arrays = {1, 1, 5, 1, 16, 24};
    fa_cell v[8];
    random_fill(memory, 12);
    fa_stream_read(&apart, 2, 1, x, v);
    for (int k = 0; k < 4; k++)
        EXPECT(v[1 + k].f == memory[1 + 4 * (1 + k / 2) + k % 2], "number %d of slices that are apart", k);
    fa_stream_read(&arrays, 3, 0, x, v);
    for (int k = 0; k < 3; k++) EXPECT(v[5 + k].p == (void *)(memory + 2 + 3 * k), "address %d", k);
}

static void test_burst(void) {
    for (int k = 0; k < 20; k++) {
        test_burst_one_way(k % 2, 0);
        test_burst_one_way(k % 2, 1);
    }
    test_streams();
}
#endif
