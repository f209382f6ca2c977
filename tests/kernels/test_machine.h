/* test_machine.h - packed scalar code: each code in both widths, as words and as code of the processor, against what
   the instructions it stands for give; long random code against the words that it was made from.
   Next: machine.h, machine_code.h, builder.h. */
#ifndef TEST_MACHINE_H
#define TEST_MACHINE_H
#include "builder.h"

static int codes_run;                        /* can this machine run code that was just made? */

/* the words of a run, in both widths, over 8 cells; the result is cell 0 */
static double run_words(const uint32_t *words, int n, const fa_cell *cells, int wide, int coded) {
    uint16_t narrow[32];
    fa_cell v[8];
    fa_env env;
    fa_run run = {.words = words, .nwords = (size_t)n, .wide = 1};
    memset(&env, 0, sizeof env);
    memcpy(v, cells, sizeof v);
    for (int k = 0; k < n; k++) narrow[k] = (uint16_t)words[k];
    if (!wide) run = (fa_run){.words = narrow, .nwords = (size_t)n};
    size_t bytes = 0;
    char *code = coded ? fa_code_make(&run, 1, 8, &bytes) : NULL;
    fa_run_packed(&run, v, &env);
    fa_code_free(code, bytes);
    return v[0].f;
}

#define PACKED(N, WANT) do { \
        for (int way = 0; way < (codes_run ? 4 : 2); way++) { \
            double got = run_words(words, N, v, way & 1, way >> 1), want = (WANT); \
            EXPECT(!memcmp(&got, &want, 8) || (got != got && want != want), "code %u, way %d: %.17g, not %.17g", \
                   words[0], way, got, want); \
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

enum { LONG_CELLS = 60, LONG_WORDS = 4000 };

/* Random words over LONG_CELLS cells: numbers from cell 2 on, cell 0 the address of an array, cell 1 a truth value. */
static int random_words(uint32_t *w, int calls) {
    int n = 0;
    while (n < LONG_WORDS - 8) {
        uint32_t x[5], code = (uint32_t)(rand() % FA_M_CODES);
        for (int k = 0; k < 5; k++) x[k] = 2 + (uint32_t)rand() % (LONG_CELLS - 2);
        if (code == FA_M_END || (code == FA_M_LOOP && !calls)) continue;
        w[n++] = code;
        if (code == FA_M_COMPARE || code == FA_M_LOOP) {
            w[n++] = code == FA_M_LOOP ? FA_OWN_END : FA_EQUAL + x[3] % 6;
            w[n++] = code == FA_M_LOOP ? x[0] : 1;
            w[n++] = x[1];
            w[n++] = x[2];
        } else if (code == FA_M_WHERE || code == FA_M_ELEMENT) {
            w[n++] = x[0];
            w[n++] = code == FA_M_WHERE;
            w[n++] = code == FA_M_WHERE ? x[1] : x[1] % 3;
            w[n++] = code == FA_M_WHERE ? x[2] : 0;
        } else {
            int more = code >= FA_M_TWOS ? 5 : code >= FA_M_PAIRS ? 4 : code >= FA_M_NEGATIVE && code <= FA_M_ABSOLUTE ? 2 : 3;
            for (int k = 0; k < more; k++) w[n++] = x[k];
        }
    }
    w[n++] = FA_M_END;
    return n;
}

/* All that is left in the cells, and the flags, must be the same. */
static void test_long_code(int calls) {
    static const double special[] = {0.0, -0.0, INFINITY, -INFINITY, NAN, 5e-324, 1.7e308, -1.0, 1.0};
    uint32_t words[LONG_WORDS];
    double array[3] = {1.5, -2.5, 3.5};
    fa_cell v[2][LONG_CELLS];
    fa_env env[2];
    size_t bytes = 0;
    char *code = NULL;
    fa_run run = {.words = words, .nwords = (size_t)random_words(words, calls), .wide = 1};
    random_fill(&v[0][0].f, LONG_CELLS);
    for (int j = 2; j < LONG_CELLS; j++)
        if (rand() % 4 == 0) v[0][j].f = special[rand() % 9];
    v[0][0].p = (char *)array;
    v[0][1].i = rand() % 2;
    memcpy(v[1], v[0], sizeof v[0]);
    memset(env, 0, sizeof env);
    for (int way = 0; way < 2; way++) {
        if (way && !(code = fa_code_make(&run, 1, LONG_CELLS, &bytes))) return;
        fa_fpclear();
        fa_run_packed(&run, v[way], &env[way]);
        env[way].flags |= fa_fpflags();
    }
    EXPECT(env[0].flags == env[1].flags, "flags %x as code, %x as words", env[1].flags, env[0].flags);
    for (int j = 0; j < LONG_CELLS; j++)
        EXPECT(!memcmp(&v[0][j], &v[1][j], 8) || (j > 1 && v[0][j].f != v[0][j].f && v[1][j].f != v[1][j].f),
               "cell %d: %.17g as code, %.17g as words", j, v[1][j].f, v[0][j].f);
    fa_code_free(code, bytes);
}

static void test_machine(void) {
    const uint32_t end[] = {FA_M_END};
    fa_run nothing = {.words = end, .nwords = 1, .wide = 1};
    size_t bytes = 0;
    char *code = fa_code_make(&nothing, 1, 1, &bytes);
    codes_run = code != NULL;
    fa_code_free(code, bytes);
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
        test_long_code(k % 2);
    }
}
#endif
