/* machine_code.h - packed scalar code as code of the processor.
   Owns: which number is in which register, the code of each packed instruction.
   Must not know: who runs it and when it pays (_machine.pxi), how instructions are encoded (x86.h).
   The code leaves in the cells what the words leave there: the last number of each cell is stored when it is computed,
   others only where registers run out, in their own cell, which nobody else has until then.  The register that is
   wanted last is given up first (Belady, IBM Systems Journal 5, 1966).  Where a system has no such processor, or does
   not let a process make code, the words are run as before, to the same bits.
   Next: x86.h, code_memory.h. */
#ifndef FASTAD_MACHINE_CODE_H
#define FASTAD_MACHINE_CODE_H
#include "operands.h"

/* A word of packed code, of either width. */
FA_INLINE uint32_t fa_word_at(const void *words, int wide, size_t k) {
    return wide ? ((const uint32_t *)words)[k] : ((const uint16_t *)words)[k];
}

#include "code_memory.h"
#if FA_MAKES_CODE
#include "x86.h"

#ifndef FA_PART                               /* operations that are looked at together (tests: few) */
#define FA_PART 8192
#endif
enum { FA_NOTHING = UINT32_MAX, FA_REGISTERS = 13, FA_NO_REGISTER = 255, FA_MASK = 13, FA_OTHER_MASK = 14,
       FA_SIGNS = 0, FA_MAGNITUDES = 16, FA_ONE = 32, FA_FARTHEST_INDEX = 1 << 28 };

/* One operation.  Values have numbers: what a cell holds at first has the cell's, the result of operation k ncells + k.
   cell: of the result (FA_NOTHING: it stays in a register).  next: the operation that uses each operand next. */
typedef struct {
    uint16_t code, n;
    uint32_t cell, given, x[3], next[3];
} fa_micro;

typedef struct { size_t jump, back; unsigned reg; } fa_cold;

typedef struct {
    fa_bytes code;
    fa_micro *micro;
    uint32_t n, room, ncells;
    uint32_t *last;                          /* of each cell: the value that it has now; in the end its last one */
    uint32_t *use;                           /* of each value: the operation that uses it next */
    uint8_t *reg, *saved;                    /* of each value: its register, is it in its cell? */
    uint32_t holds[FA_REGISTERS];
    fa_cold *cold;                           /* products that are zero because a factor is */
    size_t ncold;
} fa_coder;

/* ---- words into operations ------------------------------------------------------------------------------------- */
FA_INLINE uint32_t fa_operation(fa_coder *m, unsigned code, uint32_t cell, uint32_t given, unsigned n, uint32_t a,
                                uint32_t b, uint32_t c) {
    m->micro[m->n] = (fa_micro){(uint16_t)code, (uint16_t)n, cell, given, {a, b, c}, {0, 0, 0}};
    if (cell != FA_NOTHING) m->last[cell] = m->ncells + m->n;
    return m->ncells + m->n++;
}

static const uint16_t fa_inner_codes[4] = {FA_M_ADD, FA_M_SUBTRACT, FA_M_MULTIPLY, FA_M_STRONGZERO};

/* The packed instruction w, of which the operands' values are x; returns its words, 0 where it cannot be. */
FA_FN unsigned fa_decode(fa_coder *m, const uint32_t *w, const uint32_t *v) {
    unsigned code = w[0], inner, outer;
    uint32_t one, other;
    if (code >= FA_M_TWOS) {
        inner = (code - FA_M_TWOS) / 2;
        one = fa_operation(m, fa_inner_codes[2 + inner / 2], FA_NOTHING, 0, 2, v[2], v[3], 0);
        other = fa_operation(m, fa_inner_codes[2 + inner % 2], FA_NOTHING, 0, 2, v[4], v[5], 0);
        fa_operation(m, (code - FA_M_TWOS) % 2 ? FA_M_SUBTRACT : FA_M_ADD, w[1], 0, 2, one, other, 0);
        return 6;
    }
    if (code >= FA_M_PAIRS) {
        inner = (code - FA_M_PAIRS) / 8;
        outer = (code - FA_M_PAIRS) % 8;
        one = fa_operation(m, fa_inner_codes[inner], FA_NOTHING, 0, 2, v[2], v[3], 0);
        fa_operation(m, fa_inner_codes[outer / 2], w[1], 0, 2, outer % 2 ? v[4] : one, outer % 2 ? one : v[4], 0);
        return 5;
    }
    switch (code) {
    case FA_M_WHERE: fa_operation(m, code, w[1], 0, 3, v[2], v[3], v[4]); return 5;
    case FA_M_COMPARE:
    case FA_M_LOOP: fa_operation(m, code, w[2], w[1], 2, v[3], v[4], 0); return 5;
    case FA_M_ELEMENT:
        if ((w[3] | w[4] << 16) >= FA_FARTHEST_INDEX || v[2] >= m->ncells) return 0;
        fa_operation(m, code, w[1], w[3] | w[4] << 16, 1, v[2], 0, 0);
        return 5;
    case FA_M_NEGATIVE: case FA_M_SQUARE: case FA_M_SQRT: case FA_M_RECIPROCAL: case FA_M_ABSOLUTE:
        fa_operation(m, code, w[1], 0, 1, v[2], 0, 0);
        return 3;
    default: fa_operation(m, code, w[1], 0, 2, v[2], v[3], 0); return 4;
    }
}

static const uint8_t fa_word_counts[FA_M_LOOP - FA_M_END + 2] = {1, 4, 4, 4, 4, 3, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5};

/* Words from *at on, until there is no room for more or no more words; 0 where an instruction cannot be. */
FA_FN int fa_decode_some(fa_coder *m, const void *words, int wide, size_t *at) {
    while (m->n + 3 <= m->room && fa_word_at(words, wide, *at) != FA_M_END) {
        unsigned code = fa_word_at(words, wide, *at), k;
        unsigned n = code >= FA_M_TWOS ? 6 : code >= FA_M_PAIRS ? 5 : fa_word_counts[code];
        uint32_t w[6] = {0}, v[6] = {0};
        for (k = 0; k < n; k++) {
            w[k] = fa_word_at(words, wide, *at + k);
            v[k] = w[k] < m->ncells ? m->last[w[k]] : 0;             /* of no use where it is no cell */
        }
        if (!fa_decode(m, w, v)) return 0;
        *at += n;
    }
    return 1;
}

/* Where each operand is used next after an operation, and each value first. */
FA_FN void fa_find_uses(fa_coder *m) {
    for (uint32_t i = m->n; i-- > 0;) {
        fa_micro *o = &m->micro[i];
        for (unsigned k = 0; k < o->n; k++) o->next[k] = m->use[o->x[k]];
        for (unsigned k = 0; k < o->n; k++) m->use[o->x[k]] = i;
    }
}

/* ---- registers ------------------------------------------------------------------------------------------------- */
FA_INLINE uint32_t fa_home(const fa_coder *m, uint32_t x) { return x < m->ncells ? x : m->micro[x - m->ncells].cell; }

FA_INLINE void fa_save(fa_coder *m, uint32_t x) {
    if (m->saved[x]) return;
    fa_x86_rrm(&m->code, FA_STORE, m->reg[x], 0, fa_home(m, x));
    m->saved[x] = 1;
}

FA_INLINE void fa_forget(fa_coder *m, uint32_t x) {
    if (m->reg[x] == FA_NO_REGISTER) return;
    m->holds[m->reg[x]] = FA_NOTHING;
    m->reg[x] = FA_NO_REGISTER;
}

/* A register for value x, none of those in the bits of `pinned`. */
FA_FN unsigned fa_take_register(fa_coder *m, uint32_t x, unsigned pinned) {
    unsigned best = 0;
    uint32_t latest = 0;
    for (unsigned r = 0; r < FA_REGISTERS; r++) {
        if (pinned >> r & 1) continue;
        uint32_t use = m->holds[r] == FA_NOTHING ? FA_NOTHING : m->use[m->holds[r]];
        if (use >= latest) {
            best = r;
            latest = use;
            if (m->holds[r] == FA_NOTHING) break;
        }
    }
    if (m->holds[best] != FA_NOTHING) {
        if (latest != FA_NOTHING) fa_save(m, m->holds[best]);
        fa_forget(m, m->holds[best]);
    }
    m->holds[best] = x;
    m->reg[x] = (uint8_t)best;
    return best;
}

FA_FN unsigned fa_in_register(fa_coder *m, uint32_t x, unsigned pinned) {
    if (m->reg[x] == FA_NO_REGISTER) fa_x86_rrm(&m->code, FA_LOAD, fa_take_register(m, x, pinned), 0, fa_home(m, x));
    return m->reg[x];
}

/* Operand k has been read by operation o. */
FA_INLINE void fa_used(fa_coder *m, const fa_micro *o) {
    for (unsigned k = 0; k < o->n; k++) m->use[o->x[k]] = o->next[k];
    for (unsigned k = 0; k < o->n; k++)
        if (m->use[o->x[k]] == FA_NOTHING) fa_forget(m, o->x[k]);
}

/* ---- operations into code -------------------------------------------------------------------------------------- */
FA_FN void fa_code_loop(fa_cell *v, fa_env *env, uint32_t op, uint32_t to, uint32_t a, uint32_t b) {
    env->flags |= fa_fpflags();
    env->has_foreign |= fa_prims[op].foreign & 1;
    v[to] = fa_loop_once((uint16_t)op, FA_F64, v[a], v[b], v[a]);
}

/* A loop of NumPy's: it takes and leaves numbers in cells, and spoils the registers. */
FA_FN void fa_write_loop(fa_coder *m, const fa_micro *o, uint32_t y) {
    for (unsigned k = 0; k < 2; k++) fa_save(m, o->x[k]);
    for (unsigned r = 0; r < FA_REGISTERS; r++) {
        uint32_t x = m->holds[r];
        if (x == FA_NOTHING) continue;
        fa_save(m, x);
        fa_forget(m, x);
    }
    fa_x86_call(&m->code, (uintptr_t)fa_code_loop,
            (const uint32_t[]){o->given, o->cell, fa_home(m, o->x[0]), fa_home(m, o->x[1])});
    fa_used(m, o);
    m->saved[y] = 1;
}

/* Is operand k read from its cell, being of no further use? */
FA_INLINE int fa_from_cell(const fa_coder *m, const fa_micro *o) {
    return o->code >= FA_M_ADD && o->code <= FA_M_DIVIDE && m->reg[o->x[1]] == FA_NO_REGISTER
        && o->next[1] == FA_NOTHING && o->x[0] != o->x[1];
}

FA_INLINE void fa_zero_factor(fa_coder *m, unsigned factor, unsigned to) {
    m->cold[m->ncold++] = (fa_cold){fa_x86_jump_if_zero(&m->code, factor), 0, to};
}

static const fa_op *const fa_arithmetic[4] = {&FA_ADDSD, &FA_SUBSD, &FA_MULSD, &FA_DIVSD};
/* quiet: ==, !=, <, <=, >, >= */
static const uint8_t fa_predicates[6] = {0x00, 0x04, 0x11, 0x12, 0x1E, 0x1D};

FA_INLINE void fa_compare_into(fa_bytes *c, unsigned to, unsigned a, unsigned b, unsigned predicate) {
    fa_x86_rrr(c, FA_CMPSD, to, a, b);
    fa_byte(c, predicate);
}
FA_INLINE void fa_blend(fa_bytes *c, unsigned to, unsigned no, unsigned yes, unsigned mask) {
    fa_x86_rrr(c, FA_BLENDVPD, to, no, yes);
    fa_byte(c, mask << 4);
}

/* y <- the operation on registers r; y may be one of them, so it is written last. */
FA_FN void fa_write_registers(fa_coder *m, const fa_micro *o, unsigned y, const unsigned *r) {
    fa_bytes *c = &m->code;
    size_t first = m->ncold;
    switch (o->code) {
    case FA_M_NEGATIVE: fa_x86_rrp(c, FA_XORPD, y, r[0], FA_SIGNS); break;
    case FA_M_ABSOLUTE: fa_x86_rrp(c, FA_ANDPD, y, r[0], FA_MAGNITUDES); break;
    case FA_M_SQUARE: fa_x86_rrr(c, FA_MULSD, y, r[0], r[0]); break;
    case FA_M_SQRT: fa_x86_rrr(c, FA_SQRTSD, y, r[0], r[0]); break;
    case FA_M_RECIPROCAL:
        fa_x86_rrp(c, FA_LOAD, FA_MASK, 0, FA_ONE);
        fa_x86_rrr(c, FA_DIVSD, y, FA_MASK, r[0]);
        break;
    case FA_M_MAXIMUM: case FA_M_MINIMUM:
        fa_compare_into(c, FA_MASK, r[0], r[1], o->code == FA_M_MAXIMUM ? 0x1E : 0x11);
        fa_compare_into(c, FA_OTHER_MASK, r[0], r[0], 0x03);         /* NaN */
        fa_x86_rrr(c, FA_ORPD, FA_MASK, FA_MASK, FA_OTHER_MASK);
        fa_blend(c, y, r[1], r[0], FA_MASK);
        break;
    case FA_M_ZEROPRODUCT: case FA_M_STRONGZERO:
        fa_zero_factor(m, r[0], y);
        if (o->code == FA_M_ZEROPRODUCT) fa_zero_factor(m, r[1], y);
        fa_x86_rrr(c, FA_MULSD, y, r[0], r[1]);
        for (; first < m->ncold; first++) m->cold[first].back = c->n;
        break;
    case FA_M_WHERE:
        fa_x86_rrr(c, FA_XORPD, FA_MASK, FA_MASK, FA_MASK);
        fa_x86_rrr(c, FA_EQUALQ, FA_MASK, FA_MASK, r[0]);
        fa_blend(c, y, r[1], r[2], FA_MASK);
        break;
    case FA_M_COMPARE:
        fa_compare_into(c, FA_MASK, r[0], r[1], fa_predicates[o->given - FA_EQUAL]);
        fa_x86_rrr(c, FA_SHIFTQ, 2, y, FA_MASK);
        fa_byte(c, 63);
        break;
    default: fa_x86_rrr(c, *fa_arithmetic[o->code - FA_M_ADD], y, r[0], r[1]);
    }
}

FA_FN void fa_write_operation(fa_coder *m, uint32_t i) {
    const fa_micro *o = &m->micro[i];
    const uint32_t y = m->ncells + i;
    unsigned r[3] = {0, 0, 0}, pinned = 0, n = o->n, to;
    int from_cell = fa_from_cell(m, o);
    if (o->code == FA_M_LOOP) {
        fa_write_loop(m, o, y);
        return;
    }
    if (from_cell) n = 1;
    for (unsigned k = 0; k < n && o->code != FA_M_ELEMENT; k++) {
        r[k] = fa_in_register(m, o->x[k], pinned);
        pinned |= 1u << r[k];
    }
    fa_used(m, o);
    for (unsigned k = 0; k < n; k++)         /* what is of no further use may give its register to the result */
        if (m->use[o->x[k]] == FA_NOTHING) pinned &= ~(1u << r[k]);
    to = fa_take_register(m, y, pinned);
    if (o->code == FA_M_ELEMENT) fa_x86_element(&m->code, to, o->x[0], o->given);
    else if (from_cell) fa_x86_rrm(&m->code, *fa_arithmetic[o->code - FA_M_ADD], to, r[0], fa_home(m, o->x[1]));
    else fa_write_registers(m, o, to, r);
    if (o->cell != FA_NOTHING && m->last[o->cell] == y) fa_save(m, y);
    if (m->use[y] == FA_NOTHING) fa_forget(m, y);
}

/* Everything as it was before the operations: what they touched, since cells may be many and operations few. */
FA_FN void fa_start_anew(fa_coder *m) {
    for (uint32_t i = 0; i < m->n; i++) {
        const fa_micro *o = &m->micro[i];
        for (unsigned k = 0; k <= o->n; k++) {
            uint32_t x = k < o->n ? o->x[k] : m->ncells + i;
            m->use[x] = FA_NOTHING;
            m->reg[x] = FA_NO_REGISTER;
            m->saved[x] = x < m->ncells;
        }
        if (o->cell != FA_NOTHING) m->last[o->cell] = o->cell;
    }
    for (unsigned r = 0; r < FA_REGISTERS; r++) m->holds[r] = FA_NOTHING;
    m->n = 0;
}

/* A part of the words, after which all is in the cells: its size bounds the memory that is needed beside the code. */
FA_FN int fa_write_part(fa_coder *m, const fa_run *run, size_t *at) {
    int good = fa_decode_some(m, run->words, run->wide, at);
    if (good) fa_find_uses(m);
    for (uint32_t i = 0; good && i < m->n && !m->code.failed; i++) {
        fa_bytes_reserve(&m->code);
        fa_write_operation(m, i);
    }
    fa_start_anew(m);
    return good && !m->code.failed;
}

/* What stands apart: products with a zero. */
FA_FN void fa_write_cold(fa_coder *m) {
    fa_bytes *c = &m->code;
    for (size_t k = 0; k < m->ncold && !c->failed; k++) {
        fa_bytes_reserve(c);
        fa_x86_aim(c, m->cold[k].jump, c->n);
        fa_x86_rrr(c, FA_XORPD, m->cold[k].reg, m->cold[k].reg, m->cold[k].reg);
        fa_x86_jump(c, m->cold[k].back);
    }
    m->ncold = 0;
}

FA_FN int fa_write_run(fa_coder *m, const fa_run *run) {
    fa_bytes *c = &m->code;
    size_t at = 0, over;
    fa_bytes_reserve(c);
    if (c->failed) return 0;
    fa_x86_enter(c);
    while (fa_word_at(run->words, run->wide, at) != FA_M_END) {
        if (!fa_write_part(m, run, &at)) return 0;
        fa_bytes_reserve(c);
        if (fa_word_at(run->words, run->wide, at) == FA_M_END) break;
        fa_byte(c, 0xE9);                                /* over the cold code of this part */
        fa_u32_bytes(c, 0);
        over = c->n - 4;
        fa_write_cold(m);
        if (c->failed) return 0;
        fa_x86_aim(c, over, c->n);
    }
    fa_x86_leave(c);
    fa_write_cold(m);
    return !c->failed;
}

/* Numbers that the code reads; fa_write_run begins behind them. */
FA_FN void fa_write_numbers(fa_coder *m) {
    fa_bytes *c = &m->code;
    fa_bytes_reserve(c);
    if (c->failed) return;
    for (int k = 0; k < 2; k++) fa_u64_bytes(c, 1ull << 63);
    for (int k = 0; k < 2; k++) fa_u64_bytes(c, ~(1ull << 63));
    fa_u64_bytes(c, 0x3FF0000000000000ull);              /* 1.0 */
}

/* ---- memory ---------------------------------------------------------------------------------------------------- */
FA_FN int fa_coder_new(fa_coder *m, size_t nwords, uint32_t ncells) {
    memset(m, 0, sizeof *m);
    m->ncells = ncells;
    m->room = nwords / 2 < FA_PART ? (uint32_t)(nwords / 2 + 3) : FA_PART;     /* 6 words are 3 operations */
    size_t values = (size_t)ncells + m->room;
    m->micro = malloc(m->room * sizeof *m->micro);
    m->last = malloc((size_t)ncells * sizeof *m->last);
    m->use = malloc(values * sizeof *m->use);
    m->reg = malloc(values);
    m->saved = malloc(values);
    m->cold = malloc(2 * (size_t)m->room * sizeof *m->cold);
    if (!m->micro || !m->last || !m->use || !m->reg || !m->saved || !m->cold) return 0;
    for (uint32_t k = 0; k < ncells; k++) m->last[k] = k;
    for (unsigned r = 0; r < FA_REGISTERS; r++) m->holds[r] = FA_NOTHING;
    memset(m->use, 0xFF, values * sizeof *m->use);       /* FA_NOTHING */
    memset(m->reg, FA_NO_REGISTER, values);
    memset(m->saved, 0, values);
    memset(m->saved, 1, ncells);
    return 1;
}

FA_FN void fa_coder_free(fa_coder *m) {
    free(m->code.bytes);
    free(m->micro);
    free(m->last);
    free(m->use);
    free(m->reg);
    free(m->saved);
    free(m->cold);
}

/* Give the runs code of the processor for their words, where that can be; returns the memory that they share, of *bytes,
   for fa_code_free; NULL where there is none. */
FA_FN char *fa_code_make(fa_run *runs, uint32_t nruns, uint32_t ncells, size_t *bytes) {
    fa_coder m;
    char *memory = NULL;
    size_t most = 0, *entry = malloc((nruns + 1) * sizeof *entry);
    for (uint32_t k = 0; k < nruns; k++) most = runs[k].nwords > most ? runs[k].nwords : most;
    if (!fa_coder_new(&m, most, ncells) || !entry || !__builtin_cpu_supports("avx") || ncells >= FA_FARTHEST_INDEX) {
        fa_coder_free(&m);
        free(entry);
        return NULL;
    }
    fa_write_numbers(&m);
    for (uint32_t k = 0; k < nruns; k++) {
        entry[k] = m.code.n;
        if (!m.code.failed && fa_write_run(&m, &runs[k])) continue;
        m.code.n = entry[k];                             /* it stays words */
        m.ncold = 0;
        entry[k] = 0;
    }
    *bytes = m.code.n;
    if (!m.code.failed) memory = fa_runnable(m.code.bytes, m.code.n);
    for (uint32_t k = 0; memory && k < nruns; k++)       /* other threads may be running the words */
        if (entry[k]) __atomic_store_n(&runs[k].code, memory + entry[k], __ATOMIC_RELEASE);
    fa_coder_free(&m);
    free(entry);
    return memory;
}

FA_INLINE void fa_code_run(const fa_run *run, fa_cell *v, fa_env *env) {
    ((void (*)(fa_cell *, fa_env *))(uintptr_t)run->code)(v, env);
}
#else
FA_FN char *fa_code_make(fa_run *runs, uint32_t nruns, uint32_t ncells, size_t *bytes) {
    (void)runs, (void)nruns, (void)ncells, (void)bytes;
    return NULL;
}
FA_INLINE void fa_code_run(const fa_run *run, fa_cell *v, fa_env *env) { (void)run, (void)v, (void)env; }
#endif
#endif
