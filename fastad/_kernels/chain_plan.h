/* chain_plan.h - puts runs of cheap instructions of a loop together as chains, and writes their steps.
   Owns: which instructions may be in a chain, which results stay in registers, which operands are spread out.
   Must not know: how steps are executed; whoever plans a loop includes this alone.
   A step has one operand in memory and leaves its result in registers.  A result that the next instruction alone reads
   is never stored.
   A chain may be repeated on elements that it has computed before unless it writes over another value that it reads
   there.  In derivative code it may even then, if what it computes from the wrong value is not stored: it matters to
   nobody that this raises a flag.
   Next: chain.h, which runs chains; layout.h (fa_fused). */
#ifndef FASTAD_CHAIN_PLAN_H
#define FASTAD_CHAIN_PLAN_H
#include <string.h>
#include "layout.h"

/* The step of an opcode with a kernel of its own; FA_CHAIN_END: it is none of a chain. */
static inline int fa_chain_code(uint16_t op) {
    switch (op) {
    case FA_ADD: return FA_CHAIN_ADD;
    case FA_SUBTRACT: return FA_CHAIN_SUBTRACT;
    case FA_MULTIPLY: return FA_CHAIN_MULTIPLY;
    case FA_DIVIDE: return FA_CHAIN_DIVIDE;
    case FA_STRONGZERO: return FA_CHAIN_STRONGZERO;
    case FA_ZEROPRODUCT: return FA_CHAIN_ZEROPRODUCT;
    case FA_MAXIMUM: return FA_CHAIN_MAXIMUM;
    case FA_MINIMUM: return FA_CHAIN_MINIMUM;
    case FA_NEGATIVE: return FA_CHAIN_NEGATIVE;
    case FA_SQUARE: return FA_CHAIN_SQUARE;
    case FA_RECIPROCAL: return FA_CHAIN_RECIPROCAL;
    case FA_ABSOLUTE: return FA_CHAIN_ABSOLUTE;
    case FA_SQRT: return FA_CHAIN_SQRT;
    case FA_WHERE: return FA_CHAIN_WHERE_MASK;
    case FA_CAST: return FA_CHAIN_NUMBER;
    default: return op >= FA_EQUAL && op <= FA_GREATER_EQUAL ? FA_CHAIN_EQUAL + op - FA_EQUAL : FA_CHAIN_END;
    }
}

static inline int fa_chain_real(int dtype) { return dtype == FA_F64 || dtype == FA_F32; }

/* `step` where it exists for these operands (of WHERE: those that are chosen from) and this result, else FA_CHAIN_END. */
static inline int fa_chain_step_for(int step, int din, int dout) {
    switch (step) {
    case FA_CHAIN_AND: case FA_CHAIN_OR: case FA_CHAIN_XOR: case FA_CHAIN_NOT:
        return din == FA_BOOL && dout == FA_BOOL ? step : FA_CHAIN_END;
    case FA_CHAIN_NUMBER: return din == FA_BOOL && fa_chain_real(dout) ? step : FA_CHAIN_END;
    default: return fa_chain_real(din) ? step : FA_CHAIN_END;
    }
}

/* The type of the real numbers that an instruction computes with; -1: with masks alone. */
static inline int fa_chain_type(const fa_finstr *ins) {
    return fa_chain_real(ins->din) ? ins->din : fa_chain_real(ins->dout) ? ins->dout : -1;
}

static inline int fa_chain_takes(const fa_finstr *ins) {
    return ins->kind == FA_FUSED_STORE || (ins->kind == FA_FUSED_ELEMENTWISE && ins->step != FA_CHAIN_END);
}

/* How many operands of `ins` are what the instruction before it has left in the registers. */
static inline int fa_chain_served(const fa_finstr *ins, uint16_t slot) {
    if (ins->arity == 1) return ins->in[0] == slot;
    if (ins->arity == 3) return ins->in[0] == slot || ins->in[1] == slot || ins->in[2] == slot;
    if (ins->in[0] == ins->in[1]) return ins->in[0] == slot ? 1 + (ins->op == FA_MULTIPLY) : 0;
    return ins->in[0] == slot || ins->in[1] == slot;
}

static inline int fa_chain_has_operand(int code) { return code != FA_CHAIN_END && code < FA_CHAIN_NEGATIVE; }
/* Is the operand in memory a mask? */
static inline int fa_chain_has_mask(int code) { return code >= FA_CHAIN_MASK_STORE && code <= FA_CHAIN_WHERE_NO; }

/* What computes the same from exchanged operands. */
static inline int fa_chain_exchanged(int code) {
    switch (code) {
    case FA_CHAIN_LESS: return FA_CHAIN_GREATER;
    case FA_CHAIN_LESS_EQUAL: return FA_CHAIN_GREATER_EQUAL;
    case FA_CHAIN_GREATER: return FA_CHAIN_LESS;
    case FA_CHAIN_GREATER_EQUAL: return FA_CHAIN_LESS_EQUAL;
    default: return code < FA_CHAIN_EQUAL ? code + 1 : code;
    }
}

/* How many operands of instructions that are no chain `ins` has in slots. */
static inline int fa_slots_read(const fa_finstr *ins) {
    return ins->kind == FA_FUSED_ELEMENTWISE ? ins->arity : ins->kind == FA_FUSED_SUM || ins->kind == FA_FUSED_STORE
        || ins->kind == FA_FUSED_AXIS || ins->kind == FA_FUSED_TWINS;
}

typedef struct {
    fa_fused *f;
    fa_slot *slots;
    fa_chainstep *steps;
    uint16_t *spread;
    uint16_t uses[FA_FUSED_SLOTS];
    uint8_t tile[FA_FUSED_SLOTS];            /* of a slot in the present chain; 255: none yet */
    uint8_t fetched[FA_FUSED_SLOTS];
    int ntiles, nfetched;
} fa_chaining;

static inline void fa_chain_step(fa_chaining *c, int code, uint16_t slot) {
    int writes = code == FA_CHAIN_STORE || code == FA_CHAIN_MASK_STORE;
    fa_chainstep *s = &c->steps[c->f->nsteps++];
    *s = (fa_chainstep){(uint8_t)code, 0, 0, slot};
    if (!fa_chain_has_operand(code)) return;
    if (c->slots[slot].far && code != FA_CHAIN_OPERAND && !c->fetched[slot] && c->nfetched < FA_MOST_FAR) {
        c->fetched[slot] = 1;
        c->nfetched++;
        *s = (fa_chainstep){writes ? FA_CHAIN_FETCH_OWN : FA_CHAIN_FETCH, 0, 0, slot};
        s = &c->steps[c->f->nsteps++];
        *s = (fa_chainstep){(uint8_t)code, 0, 0, slot};
    }
    if (c->slots[slot].kind == FA_SLOT_SCALAR) {
        for (uint32_t k = 0; k < c->f->nspread; k++) if (c->spread[k] == slot) return;
        c->slots[slot].at = c->f->nspread;
        c->spread[c->f->nspread++] = slot;
        return;
    }
    if (c->tile[slot] == 255) {
        c->tile[slot] = (uint8_t)c->ntiles++;
        s->fresh = !writes;
    }
    s->tile = c->tile[slot];
}

static inline void fa_chain_load(fa_chaining *c, uint16_t slot, int before) {
    if (slot != before) fa_chain_step(c, c->slots[slot].dtype == FA_BOOL ? FA_CHAIN_MASK_LOAD : FA_CHAIN_LOAD, slot);
}

static inline void fa_chain_write_where(fa_chaining *c, const fa_finstr *ins, int before) {
    uint16_t mask = ins->in[0], yes = ins->in[1], no = ins->in[2];
    if (mask == before) {
        fa_chain_step(c, FA_CHAIN_WHERE_MASK, yes);
    } else if (no == before && yes != before) {
        fa_chain_step(c, FA_CHAIN_WHERE_NO, mask);
        no = yes;
    } else {
        fa_chain_load(c, yes, before);
        fa_chain_step(c, FA_CHAIN_WHERE_YES, mask);
    }
    fa_chain_step(c, FA_CHAIN_OPERAND, no);
}

/* The steps of one instruction after another that has left slot `before` (-1: none) in the registers. */
static inline void fa_chain_write(fa_chaining *c, const fa_finstr *ins, int before) {
    int code = ins->step;
    uint16_t a = ins->in[0], b = ins->in[1];
    if (ins->kind == FA_FUSED_STORE) {
        fa_chain_load(c, a, before);
        return;
    }
    if (code == FA_CHAIN_WHERE_MASK) {
        fa_chain_write_where(c, ins, before);
        return;
    }
    if (ins->arity == 2 && a == b && code == FA_CHAIN_MULTIPLY) code = FA_CHAIN_SQUARE;
    if (code >= FA_CHAIN_NEGATIVE) {
        fa_chain_load(c, a, before);
        fa_chain_step(c, code, 0);
    } else if (b == before && a != b) {
        fa_chain_step(c, fa_chain_exchanged(code), a);
    } else {
        fa_chain_load(c, a, before);
        fa_chain_step(c, code, b);
    }
}

/* Does one of the steps from `first` on write over another value which the chain reads?  Not over a buffer, where there
   is room for another one. */
static inline int fa_chain_writes_over(fa_chaining *c, uint32_t first) {
    for (uint32_t k = first; k < c->f->nsteps; k++) {
        fa_slot *y = &c->slots[c->steps[k].slot];
        int code = c->steps[k].code;
        if (code != FA_CHAIN_STORE && code != FA_CHAIN_MASK_STORE) continue;
        if (y->kind == FA_SLOT_ARRAY) {
            for (uint32_t l = first; l < c->f->nsteps; l++) {
                const fa_slot *x = &c->slots[c->steps[l].slot];
                if (c->steps[l].fresh && x->kind == FA_SLOT_ARRAY && x->cell == y->cell) return 1;
            }
            continue;
        }
        if (y->kind != FA_SLOT_BUFFER) continue;
        for (uint32_t l = first; l < c->f->nsteps; l++) {
            const fa_slot *x = &c->slots[c->steps[l].slot];
            if (!c->steps[l].fresh || x->kind != FA_SLOT_BUFFER || x->at != y->at) continue;
            if (c->f->nbuffers >= FA_FEW_BUFFERS) return 1;
            y->at = c->f->nbuffers++;
            break;
        }
    }
    return 0;
}

static inline uint8_t fa_chain_flags(fa_chaining *c, uint32_t first, int is_primal) {
    uint8_t flags = !fa_chain_writes_over(c, first) ? FA_CHAIN_MAY_OVERLAP : is_primal ? 0 : FA_CHAIN_MAY_READ;
    for (uint32_t k = first; k < c->f->nsteps; k++)
        if (fa_chain_has_operand(c->steps[k].code) && c->slots[c->steps[k].slot].kind == FA_SLOT_ROWS)
            flags |= FA_CHAIN_BY_ROWS;
    return flags;
}

/* The instructions [i, end) as one, on real numbers of `type`; returns what stands in its place. */
static inline fa_finstr fa_chain_of(fa_chaining *c, const fa_finstr *instr, uint32_t i, uint32_t end, int type,
                                    int is_primal) {
    fa_finstr chain = {.kind = FA_FUSED_CHAIN, .din = (uint8_t)type, .dout = (uint8_t)type};
    uint32_t first = c->f->nsteps;
    int before = -1;
    memset(c->tile, 255, sizeof c->tile);
    c->ntiles = 0;
    for (uint32_t k = i; k < end; k++) {
        uint16_t out = instr[k].out;
        int served = k + 1 < end ? fa_chain_served(&instr[k + 1], out) : 0;
        fa_chain_write(c, &instr[k], before);
        before = instr[k].kind == FA_FUSED_STORE ? instr[k].in[0] : out;
        if (c->slots[out].kind != FA_SLOT_BUFFER || c->uses[out] > served)
            fa_chain_step(c, c->slots[out].dtype == FA_BOOL ? FA_CHAIN_MASK_STORE : FA_CHAIN_STORE, out);
    }
    fa_chain_step(c, FA_CHAIN_END, 0);
    chain.arity = fa_chain_flags(c, first, is_primal);
    chain.in[0] = (uint16_t)first;
    chain.in[1] = (uint16_t)(c->f->nsteps - first);
    chain.in[2] = (uint16_t)c->f->nchains++;
    return chain;
}

/* The end of a chain that begins with instruction i, and the type of its numbers; i where there is none.  Masks alone
   are no chain: as bytes they are eight times as many at once. */
static inline uint32_t fa_chain_end(const fa_fused *f, const fa_finstr *instr, uint32_t i, uint32_t primal, int *type) {
    uint32_t end = i;
    *type = -1;
    for (; end < f->n && (end == i || end != primal) && end - i < FA_CHAIN_TILES / 4; end++) {
        int next = fa_chain_type(&instr[end]);
        if (!fa_chain_takes(&instr[end]) || (next >= 0 && *type >= 0 && next != *type)) break;
        if (next >= 0) *type = next;
    }
    return *type >= 0 ? end : i;
}

/* Rewrites the n instructions of a loop in place; returns 0, or -1 where what is no chain reads a slot by rows.
   `steps` has room for FA_MOST_STEPS, `spread` for FA_FUSED_SLOTS; slots of scalars that are spread out get their
   number. */
static inline int fa_chain_plan(fa_fused *f, fa_finstr *instr, fa_slot *slots, fa_chainstep *steps, uint16_t *spread) {
    fa_chaining c = {.f = f, .slots = slots, .steps = steps, .spread = spread};
    uint32_t n = 0, primal = f->nprimal;
    int type;
    for (uint32_t i = 0; i < f->n; i++) {
        for (int k = 0; k < fa_slots_read(&instr[i]); k++) c.uses[instr[i].in[k]]++;
        if (instr[i].kind != FA_FUSED_WEAVE) continue;
        for (uint32_t k = 0; k < f->weaves[instr[i].in[0]].n; k++) c.uses[f->weaves[instr[i].in[0]].slot[k]]++;
    }
    for (uint32_t i = 0, end; i < f->n; i = end) {
        if (i == primal) f->nprimal = n;
        end = fa_chain_end(f, instr, i, primal, &type);
        if (end == i) {
            for (int k = 0; k < fa_slots_read(&instr[i]); k++)
                if (slots[instr[i].in[k]].kind == FA_SLOT_ROWS) return -1;
            instr[n++] = instr[i];
            end++;
            continue;
        }
        instr[n] = fa_chain_of(&c, instr, i, end, type, i < primal);
        n++;
    }
    if (primal >= f->n) f->nprimal = n;
    f->n = n;
    return 0;
}
#endif
