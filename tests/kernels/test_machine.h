/* test_machine.h - packed scalar code: each code in both widths, against what the instructions it stands for give.
   Next: machine.h, builder.h. */
#ifndef TEST_MACHINE_H
#define TEST_MACHINE_H
#include "builder.h"

/* the words of a run, in both widths, over 8 cells; the result is cell 0 */
static double run_words(const uint32_t *words, int n, const fa_cell *cells, int wide) {
    uint16_t narrow[32];
    fa_cell v[8];
    fa_env env;
    fa_run run = {words, 1};
    memset(&env, 0, sizeof env);
    memcpy(v, cells, sizeof v);
    for (int k = 0; k < n; k++) narrow[k] = (uint16_t)words[k];
    if (!wide) run = (fa_run){narrow, 0};
    fa_run_packed(&run, v, &env);
    return v[0].f;
}

#define PACKED(N, WANT) do { \
        for (int wide = 0; wide < 2; wide++) { \
            double got = run_words(words, N, v, wide), want = (WANT); \
            EXPECT(!memcmp(&got, &want, 8) || (got != got && want != want), "code %u: %.17g, not %.17g", words[0], \
                   got, want); \
        } \
    } while (0)

static const uint16_t packed_inner[4] = {FA_ADD, FA_SUBTRACT, FA_MULTIPLY, FA_STRONGZERO};

static void test_pairs(const fa_cell *v) {
    for (uint32_t inner = 0; inner < 4; inner++)
        for (uint32_t outer = 0; outer < 8; outer++) {
            uint32_t words[] = {FA_M_PAIR(inner, outer), 0, 1, 2, 3, FA_M_END};
            double t = fa_scalar_f64(packed_inner[inner], v[1].f, v[2].f), c = v[3].f;
            PACKED(6, outer % 2 ? fa_scalar_f64(packed_inner[outer / 2], c, t)
                                : fa_scalar_f64(packed_inner[outer / 2], t, c));
        }
    for (uint32_t inners = 0; inners < 4; inners++)
        for (uint32_t outer = 0; outer < 2; outer++) {
            uint32_t words[] = {FA_M_TWO(inners, outer), 0, 1, 2, 3, 4, FA_M_END};
            double one = fa_scalar_f64(packed_inner[2 + inners / 2], v[1].f, v[2].f);
            double other = fa_scalar_f64(packed_inner[2 + inners % 2], v[3].f, v[4].f);
            PACKED(7, fa_scalar_f64(packed_inner[outer], one, other));
        }
}

static void test_single_codes(const fa_cell *v) {
    for (uint16_t op = FA_ADD; op <= FA_MINIMUM; op++) {
        int unary = op >= FA_NEGATIVE && op <= FA_ABSOLUTE;
        uint32_t words[] = {(uint32_t)(FA_M_ADD + op - FA_ADD), 0, 1, unary ? FA_M_END : 2, FA_M_END};
        PACKED(5, fa_scalar_f64(op, v[1].f, v[2].f));
    }
    for (uint32_t which = 0; which < 2; which++) {
        uint32_t words[] = {FA_M_STRONGZERO + which, 0, 1, 2, FA_M_END};
        PACKED(5, fa_scalar_f64(which ? FA_ZEROPRODUCT : FA_STRONGZERO, v[1].f, v[2].f));
    }
    for (uint16_t op = FA_EQUAL; op <= FA_GREATER_EQUAL; op++) {
        uint32_t words[] = {FA_M_COMPARE, op, 5, 1, 2, FA_M_WHERE, 0, 5, 3, 4, FA_M_END};
        PACKED(11, fa_compare_f64(op, v[1].f, v[2].f) ? v[3].f : v[4].f);
    }
}

static void test_machine(void) {
    static const double special[] = {0.0, -0.0, INFINITY, -INFINITY, NAN, 5e-324, 1.7e308, -1.0};
    double array[3] = {1.5, -2.5, 3.5};
    for (int64_t k = 0; k < 200; k++) {
        fa_cell v[8];
        random_fill(&v[0].f, 8);
        for (int j = 1; j < 5; j++)
            if (rand() % 3 == 0) v[j].f = special[rand() % 8];
        test_pairs(v);
        test_single_codes(v);
        v[6].p = array;
        uint32_t words[] = {FA_M_ELEMENT, 0, 6, (uint32_t)(k % 3), 0, FA_M_END};
        PACKED(6, array[k % 3]);
    }
}
#endif
