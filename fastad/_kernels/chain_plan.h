/* chain_plan.h - puts runs of cheap instructions of a loop together as chains, and writes their steps.
   Owns: which instructions may be in a chain, which results stay in registers, which operands are spread out.
   Must not know: how steps are executed; whoever plans a loop includes this alone.
   A step has one operand in memory and leaves its result in registers.  A result that the next instruction alone reads
   is never stored.
   A chain may be repeated on elements that it has computed before unless it writes a buffer over another value that it
   reads there.
   Next: chain.h, which runs chains; layout.h (fa_fused). */
#ifndef FASTAD_CHAIN_PLAN_H
#define FASTAD_CHAIN_PLAN_H
#include <string.h>
#include "layout.h"

/* The step of an opcode; FA_CHAIN_END: it is none of a chain. */
static inline int fa_chain_code(uint16_t op) {
    switch (op) {
    case FA_ADD: return FA_CHAIN_ADD;
    case FA_SUBTRACT: return FA_CHAIN_SUBTRACT;
    case FA_MULTIPLY: return FA_CHAIN_MULTIPLY;
    case FA_DIVIDE: return FA_CHAIN_DIVIDE;
    case FA_STRONGZERO: return FA_CHAIN_STRONGZERO;
    case FA_ZEROPRODUCT: return FA_CHAIN_ZEROPRODUCT;
    case FA_NEGATIVE: return FA_CHAIN_NEGATIVE;
    case FA_SQUARE: return FA_CHAIN_SQUARE;
    case FA_RECIPROCAL: return FA_CHAIN_RECIPROCAL;
    case FA_ABSOLUTE: return FA_CHAIN_ABSOLUTE;
    default: return FA_CHAIN_END;
    }
}

static inline int fa_chain_takes(const fa_finstr *ins, const fa_slot *slots) {
    if (ins->kind == FA_FUSED_STORE) return 1;
    if (ins->kind != FA_FUSED_ELEMENTWISE || fa_chain_code(ins->op) == FA_CHAIN_END) return 0;
    if (ins->din != ins->dout || (ins->din != FA_F64 && ins->din != FA_F32)) return 0;
    for (int k = 0; k < ins->arity; k++) if (slots[ins->in[k]].dtype != ins->din) return 0;
    return 1;
}

/* How many operands of `ins` are what the instruction before it has left in the registers. */
static inline int fa_chain_served(const fa_finstr *ins, uint16_t slot) {
    if (ins->arity == 1) return ins->in[0] == slot;
    if (ins->in[0] == ins->in[1]) return ins->in[0] == slot ? 1 + (ins->op == FA_MULTIPLY) : 0;
    return ins->in[0] == slot || ins->in[1] == slot;
}

static inline int fa_chain_has_operand(int code) { return code != FA_CHAIN_END && code < FA_CHAIN_NEGATIVE; }

/* How many operands of instructions that are no chain `ins` has in slots. */
static inline int fa_slots_read(const fa_finstr *ins) {
    return ins->kind == FA_FUSED_ELEMENTWISE ? ins->arity
        : ins->kind == FA_FUSED_SUM || ins->kind == FA_FUSED_STORE || ins->kind == FA_FUSED_TWINS;
}

typedef struct {
    fa_fused *f;
    fa_slot *slots;
    fa_chainstep *steps;
    uint16_t *spread;
    uint16_t uses[FA_FUSED_SLOTS];
    uint8_t tile[FA_FUSED_SLOTS];            /* of a slot in the present chain; 255: none yet */
    int ntiles;
} fa_chaining;

static inline void fa_chain_step(fa_chaining *c, int code, uint16_t slot) {
    fa_chainstep *s = &c->steps[c->f->nsteps++];
    *s = (fa_chainstep){(uint8_t)code, 0, 0, slot};
    if (!fa_chain_has_operand(code)) return;
    if (c->slots[slot].kind == FA_SLOT_SCALAR) {
        for (uint32_t k = 0; k < c->f->nspread; k++) if (c->spread[k] == slot) return;
        c->slots[slot].at = c->f->nspread;
        c->spread[c->f->nspread++] = slot;
        return;
    }
    if (c->tile[slot] == 255) {
        c->tile[slot] = (uint8_t)c->ntiles++;
        s->fresh = code != FA_CHAIN_STORE;
    }
    s->tile = c->tile[slot];
}

/* The steps of one instruction after another that has left slot `before` (-1: none) in the registers. */
static inline void fa_chain_write(fa_chaining *c, const fa_finstr *ins, int before) {
    int code = fa_chain_code(ins->op);
    uint16_t a = ins->in[0], b = ins->in[1];
    if (ins->kind == FA_FUSED_STORE) {
        if (a != before) fa_chain_step(c, FA_CHAIN_LOAD, a);
        return;
    }
    if (ins->arity == 2 && a == b && ins->op == FA_MULTIPLY) code = FA_CHAIN_SQUARE;
    if (code >= FA_CHAIN_NEGATIVE) {
        if (a != before) fa_chain_step(c, FA_CHAIN_LOAD, a);
        fa_chain_step(c, code, 0);
    } else if (b == before && a != b) {
        fa_chain_step(c, code + 1, a);
    } else {
        if (a != before) fa_chain_step(c, FA_CHAIN_LOAD, a);
        fa_chain_step(c, code, b);
    }
}

/* Does one of the steps from `first` on write over a buffer that holds another value which the chain reads? */
static inline int fa_chain_writes_over(const fa_chaining *c, uint32_t first) {
    for (uint32_t k = first; k < c->f->nsteps; k++) {
        const fa_slot *y = &c->slots[c->steps[k].slot];
        if (c->steps[k].code != FA_CHAIN_STORE || y->kind != FA_SLOT_BUFFER) continue;
        for (uint32_t l = first; l < c->f->nsteps; l++) {
            const fa_slot *x = &c->slots[c->steps[l].slot];
            if (c->steps[l].fresh && x->kind == FA_SLOT_BUFFER && x->at == y->at) return 1;
        }
    }
    return 0;
}

static inline uint8_t fa_chain_flags(const fa_chaining *c, uint32_t first) {
    uint8_t flags = fa_chain_writes_over(c, first) ? 0 : FA_CHAIN_MAY_OVERLAP;
    for (uint32_t k = first; k < c->f->nsteps; k++)
        if (fa_chain_has_operand(c->steps[k].code) && c->slots[c->steps[k].slot].kind == FA_SLOT_ROWS)
            flags |= FA_CHAIN_BY_ROWS;
    return flags;
}

/* The instructions [i, end) as one; returns what stands in its place. */
static inline fa_finstr fa_chain_of(fa_chaining *c, const fa_finstr *instr, uint32_t i, uint32_t end) {
    fa_finstr chain = {.kind = FA_FUSED_CHAIN, .din = instr[i].din, .dout = instr[i].din};
    uint32_t first = c->f->nsteps;
    int before = -1;
    for (uint32_t k = i; k < end; k++) {
        uint16_t out = instr[k].out;
        int served = k + 1 < end ? fa_chain_served(&instr[k + 1], out) : 0;
        fa_chain_write(c, &instr[k], before);
        before = instr[k].kind == FA_FUSED_STORE ? instr[k].in[0] : out;
        if (c->slots[out].kind != FA_SLOT_BUFFER || c->uses[out] > served) fa_chain_step(c, FA_CHAIN_STORE, out);
    }
    fa_chain_step(c, FA_CHAIN_END, 0);
    chain.arity = fa_chain_flags(c, first);
    chain.in[0] = (uint16_t)first;
    chain.in[1] = (uint16_t)(c->f->nsteps - first);
    return chain;
}

/* Rewrites the n instructions of a loop in place; returns 0, or -1 where what is no chain reads a slot by rows.
   `steps` has room for FA_MOST_STEPS, `spread` for FA_FUSED_SLOTS; slots of scalars that are spread out get their
   number. */
static inline int fa_chain_plan(fa_fused *f, fa_finstr *instr, fa_slot *slots, fa_chainstep *steps, uint16_t *spread) {
    fa_chaining c = {f, slots, steps, spread, {0}, {0}, 0};
    uint32_t n = 0, primal = f->nprimal;
    for (uint32_t i = 0; i < f->n; i++) {
        for (int k = 0; k < fa_slots_read(&instr[i]); k++) c.uses[instr[i].in[k]]++;
    }
    for (uint32_t i = 0, end; i < f->n; i = end) {
        end = i + 1;
        if (i == primal) f->nprimal = n;
        if (!fa_chain_takes(&instr[i], slots)) {
            for (int k = 0; k < fa_slots_read(&instr[i]); k++)
                if (slots[instr[i].in[k]].kind == FA_SLOT_ROWS) return -1;
            instr[n++] = instr[i];
            continue;
        }
        while (end < f->n && end != primal && end - i < FA_CHAIN_TILES / 3 && instr[end].din == instr[i].din
               && fa_chain_takes(&instr[end], slots)) end++;
        memset(c.tile, 255, sizeof c.tile);
        c.ntiles = 0;
        instr[n] = fa_chain_of(&c, instr, i, end);
        n++;
    }
    if (primal >= f->n) f->nprimal = n;
    f->n = n;
    return 0;
}
#endif
