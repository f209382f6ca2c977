/* chain.h - runs of cheap instructions of a loop, up to eight vectors at a time: what one leaves in registers the next takes.
   Owns: chains at run time: where the operands of steps are, tiles, what is left at the end of a block.
   Must not know: which instructions are chained (chain_plan.h), NumPy.
   What is left behind the last full tile is computed by narrower ones, the last of which overlaps what is done already,
   where the chain may be repeated.  Else, and where there is no full tile, it is computed on copies of its operands,
   filled up with their last element: no flag is raised that the elements themselves do not raise.
   Where a chain has become code of the processor, that does what tiles of steps do; the choice is fa_chain_code_of's.
   Next: chain_steps.h (the steps), levels.h (once for each instruction set), chain_code.h (chains as code), fused.h
   (who runs chains). */
#ifndef FASTAD_CHAIN_H
#define FASTAD_CHAIN_H
#include "chain_plan.h"
#include "scalar.h"

/* what a step's pointer moves with; from ROWS on: by layout */
enum { FA_CHAIN_FIXED, FA_CHAIN_BLOCK, FA_CHAIN_ARRAY, FA_CHAIN_ROWS,
       FA_CHAIN_BASES = FA_CHAIN_ROWS + FA_MOST_LAYOUTS };

typedef void (*fa_chainfn)(void);
typedef struct { fa_chainfn by8, by4, by2; } fa_chainfns;   /* the step on so many vectors at a time */
typedef struct { fa_chainfns fn; char *p; int64_t base; } fa_chainat;
/* In bytes: where the first tile is, for each base, and how far the present one is from there.  (What does not move is
   `moved` behind the rest: two numbers are counted, not one for each base.)  skip: so many elements of a tile of two
   vectors are not stored. */
typedef struct { int64_t offset[FA_CHAIN_BASES], moved, skip; } fa_chaintile;

FA_INLINE char *fa_chain_operand(const fa_chainat *s, const fa_chaintile *t) {
    return s->p + t->offset[s->base] + t->moved;
}
/* the same of a mask, which has a byte for each number of `item` bytes */
FA_INLINE char *fa_chain_mask(const fa_chainat *s, const fa_chaintile *t, int64_t item) {
    return s->p + (uint64_t)(t->offset[s->base] + t->moved) / (uint64_t)item;
}
FA_INLINE void fa_chain_move(fa_chaintile *t, int64_t bytes) {
    t->offset[FA_CHAIN_FIXED] -= bytes;
    t->moved += bytes;
}
typedef int64_t (*fa_chaintiles)(const fa_chainat *steps, fa_chaintile *t, int64_t n);
typedef struct {
    fa_chaintiles by8, by4, by2;
    int64_t lanes;                           /* elements of a vector */
    fa_chainfns fn[FA_CHAIN_CODES];
    fa_chainfns tiny[FA_CHAIN_CODES];        /* the same where subnormal numbers are about; NULL: as else */
} fa_chainset;

FA_INLINE fa_chainfns fa_chain_fns(const fa_chainset *set, int code, int tiny) {
    return tiny && set->tiny[code].by8 ? set->tiny[code] : set->fn[code];
}

/* ahead: so many bytes before it is used something is brought into the cache, some hundred nanoseconds */
enum { FA_CHAIN_AHEAD = 4096, FA_LINE_BYTES = 64 };
FA_INLINE void fa_fetch_own(const char *p) {
#if defined(__x86_64__)
    __asm__ volatile("prefetchw %0" : : "m"(*p));     /* (a processor that does not know it does nothing) */
#else
    __builtin_prefetch(p, 1);
#endif
}

#define FA_LEVEL_BODY "chain_reals.h"
#include "levels.h"

static int fa_chain_level __attribute__((unused)) = 2;      /* set at import: fa_cpu_level() */
static int fa_chain_evades __attribute__((unused)) = 1;     /* subnormal numbers; set at import: subnormals.h */

FA_INLINE const fa_chainset *fa_chain_set(int dtype) {
    static const fa_chainset *const set[2][FA_LEVELS] =
        {FA_LEVEL_REFERENCES(fa_chain_set_f64), FA_LEVEL_REFERENCES(fa_chain_set_f32)};
    return set[dtype != FA_F64][fa_chain_level - 2];
}

/* n elements, and the last of them again and again until there are `tile`. */
FA_INLINE void fa_chain_copy(char *y, const char *x, int64_t n, int64_t tile, int64_t item) {
    if (item == 8) {
        for (int64_t l = 0; l < n; l++) ((fa_i64 *)y)[l] = ((const fa_i64 *)x)[l];
        for (int64_t l = n, last = ((const fa_i64 *)x)[n - 1]; l < tile; l++) ((fa_i64 *)y)[l] = last;
    } else if (item == 1) {
        memcpy(y, x, (size_t)n);
        memset(y + n, x[n - 1], (size_t)(tile - n));
    } else {
        for (int64_t l = 0; l < n; l++) ((fa_u32 *)y)[l] = ((const fa_u32 *)x)[l];
        for (int64_t l = n; l < tile; l++) ((fa_u32 *)y)[l] = ((const fa_u32 *)x)[n - 1];
    }
}

/* The last `rest` of n elements in a row, from the present tile on, as far as there are tiles; returns how many are
   left, fewer than the narrowest has: none where a tile may overlap what is done already, unless that is all there is.
   may_overlap: of FA_CHAIN_MAY_OVERLAP (what is done is stored again) and FA_CHAIN_MAY_READ (it is read, perhaps after
   it was written over, and not stored). */
FA_FN int64_t fa_chain_ends(const fa_chainset *set, int64_t item, const fa_chainat *steps, fa_chaintile *t, int64_t n,
                            int64_t rest, int may_overlap) {
    int64_t l = set->lanes, tile;
    int again = may_overlap & FA_CHAIN_MAY_OVERLAP;
    while (rest) {
        fa_chaintiles tiles = rest > 6 * l && n >= 8 * l && again ? (tile = 8 * l, set->by8)
            : rest >= 4 * l || (rest > 2 * l && n >= 4 * l && again) ? (tile = 4 * l, set->by4)
            : (tile = 2 * l, set->by2);
        if (rest < tile) {
            if (!(may_overlap & (FA_CHAIN_MAY_OVERLAP | FA_CHAIN_MAY_READ)) || n < tile) return rest;
            fa_chain_move(t, (rest - tile) * item);
            t->skip = again ? 0 : tile - rest;
            rest = tile;
        }
        rest -= tiles(steps, t, tile);
    }
    t->skip = 0;
    return 0;
}

/* n elements in a row, as far as there are tiles; returns how many are left. */
FA_INLINE int64_t fa_chain_tiled(const fa_chainset *set, int64_t item, const fa_chainat *steps, fa_chaintile *t,
                                 int64_t n, int may_overlap) {
    return fa_chain_ends(set, item, steps, t, n, n - set->by8(steps, t, n), may_overlap);
}

/* The chain's last elements, from the present tile on: fewer than the narrowest has. */
FA_FN void fa_chain_rest(const fa_chainset *set, int64_t item, const fa_chainstep *plan, const fa_chainat *steps,
                         uint32_t n, const fa_chaintile *t, int64_t rest) {
    char copies[FA_CHAIN_TILES * FA_TILE_BYTES] __attribute__((aligned(64)));
    fa_chainat there[FA_MOST_STEPS];
    fa_chaintile none = {{0}, 0, 0};
    int64_t tile = 2 * set->lanes;
    there[n - 1] = steps[n - 1];             /* the end */
    for (uint32_t k = 0; k + 1 < n; k++) {
        char *copy = copies + plan[k].tile * FA_TILE_BYTES;
        there[k] = steps[k];
        if (steps[k].base == FA_CHAIN_FIXED) continue;
        there[k].p = copy;
        there[k].base = FA_CHAIN_FIXED;
        if (!plan[k].fresh) continue;
        if (fa_chain_has_mask(plan[k].code)) fa_chain_copy(copy, fa_chain_mask(&steps[k], t, item), rest, tile, 1);
        else fa_chain_copy(copy, fa_chain_operand(&steps[k], t), rest, tile, item);
    }
    set->by2(there, &none, tile);
    for (uint32_t k = 0; k < n; k++)
        if (plan[k].code == FA_CHAIN_STORE)
            fa_chain_copy(fa_chain_operand(&steps[k], t), there[k].p, rest, rest, item);
        else if (plan[k].code == FA_CHAIN_MASK_STORE)
            fa_chain_copy(fa_chain_mask(&steps[k], t, item), there[k].p, rest, rest, 1);
}

/* The code of a chain; NULL: its steps are run.  tiny: subnormal numbers are about, for which some have steps of their
   own. */
FA_INLINE const fa_chaincode *fa_chain_code_of(const fa_fused *f, const fa_finstr *ins, int tiny) {
    const fa_chaincode *code = f->code && (!tiny || ins->din == FA_F64) ? &f->code[ins->in[2]] : NULL;
    return code && __atomic_load_n(&code->run, __ATOMIC_ACQUIRE) ? code : NULL;
}

/* n elements in a row. */
FA_INLINE void fa_chain_range(const fa_chainset *set, const fa_finstr *ins, const fa_chainstep *plan, fa_chaintiles run,
                              const fa_chainat *steps, fa_chaintile *t, int64_t n) {
    int64_t item = fa_itemsize[ins->din], done = run(steps, t, n);
    if (done == n) return;
    if (run != set->by8) {                   /* (that has moved the tile) */
        int again = ins->arity & FA_CHAIN_MAY_OVERLAP && n >= set->lanes;
        fa_chain_move(t, (again ? n - set->lanes : done) * item);
        if (again && run(steps, t, set->lanes)) return;
    }
    done = n - fa_chain_ends(set, item, steps, t, n, n - done, ins->arity);
    if (done < n) fa_chain_rest(set, item, plan, steps, ins->in[1], t, n - done);
}

/* Where element c of row number `row` lies, from the first element on. */
FA_INLINE int64_t fa_row_at(const fa_rows *rows, int64_t row, int64_t c) {
    for (int d = rows->nd - 1; d > 0; d--) {
        c += row % rows->n[d] * rows->s[d];
        row /= rows->n[d];
    }
    return c + row * rows->s[0];
}

/* One block, from element j of the arrays on.  still: every row finds the same in the block buffers. */
FA_FN void fa_chain_block(const fa_fused *f, const fa_finstr *ins, const fa_chainat *steps, int tiny, int64_t j,
                          int64_t m, int still) {
    const fa_chainset *set = fa_chain_set(ins->din);
    const fa_chainstep *plan = f->steps + ins->in[0];
    const fa_chaincode *code = fa_chain_code_of(f, ins, tiny);
    fa_chaintiles run = code ? (fa_chaintiles)(uintptr_t)code->run : set->by8;
    int64_t item = fa_itemsize[ins->din], n = m, row = 0, c = 0;
    steps += ins->in[0];
    if (ins->arity & FA_CHAIN_BY_ROWS) {
        row = j / f->row;
        c = j - row * f->row;
    }
    for (int64_t k = 0; k < m; k += n, row++, c = 0) {
        fa_chaintile t = {{0, still ? 0 : k * item, (j + k) * item}, 0, 0};
        if (ins->arity & FA_CHAIN_BY_ROWS) {
            n = f->row - c < m - k ? f->row - c : m - k;
            for (uint32_t l = 0; l < f->nrows; l++)
                t.offset[FA_CHAIN_ROWS + l] = fa_row_at(&f->rows[l], row, c) * item;
        }
        fa_chain_range(set, ins, plan, run, steps, &t, n);
    }
}
#endif
