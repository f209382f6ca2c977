/* chain_form.h - what a chain is apart from where its operands lie: chains of one form have one code.
   Owns: the form of a chain, its streams; the values and operations of a form.
   Must not know: registers, instructions (chain_code.h).
   A stream is what several operands are addressed by: an array, or a slice of it by rows, the block buffers, the
   scalars that are spread out; its pointer is that of its first step.  An operand is a place in a stream, `disp` bytes
   from there.
   Next: chain_code.h. */
#ifndef FASTAD_CHAIN_FORM_H
#define FASTAD_CHAIN_FORM_H
#include <string.h>
#include "chain.h"

/* bytes: the operand is a mask in memory.  kept: others read the buffer, too.  number: of the operand in the chain. */
typedef struct { uint8_t code, stream, base, bytes, kept, zero[1]; uint16_t number; int32_t disp; } fa_formstep;
typedef struct { uint32_t n, nstreams, noperands; uint8_t dtype; fa_formstep step[FA_MOST_STEPS]; } fa_chainform;

enum { FA_MOST_STREAMS = 64, FA_FARTHEST_OPERAND = 1 << 30 };

/* How often buffers are read in the whole loop, by instructions that are no chain (`others`) and by the steps. */
FA_FN void fa_form_reads(const fa_fused *f, uint16_t *others) {
    memset(others, 0, FA_FUSED_SLOTS * sizeof *others);
    for (uint32_t i = 0; i < f->n; i++) {
        const fa_finstr *ins = &f->instr[i];
        int n = ins->kind == FA_FUSED_TWINS ? 1 : fa_slots_read(ins);
        for (int k = 0; k < n; k++) others[ins->in[k]]++;
        if (ins->kind != FA_FUSED_WEAVE) continue;
        for (uint32_t k = 0; k < f->weaves[ins->in[0]].n; k++) others[f->weaves[ins->in[0]].slot[k]]++;
    }
    for (uint32_t k = 0; k < f->nsteps; k++) {
        int code = f->steps[k].code;
        if (fa_chain_has_operand(code) && code != FA_CHAIN_STORE && code != FA_CHAIN_MASK_STORE
            && code != FA_CHAIN_FETCH && code != FA_CHAIN_FETCH_OWN) others[f->steps[k].slot]++;
    }
}

FA_INLINE uint8_t fa_form_base(const fa_slot *s) {
    return s->kind == FA_SLOT_SCALAR ? FA_CHAIN_FIXED : s->kind == FA_SLOT_BUFFER ? FA_CHAIN_BLOCK
        : s->kind == FA_SLOT_ARRAY ? FA_CHAIN_ARRAY : (uint8_t)(FA_CHAIN_ROWS + s->layout);
}

/* Bytes from slot s to slot t of one stream. */
FA_INLINE int64_t fa_form_distance(const fa_slot *s, const fa_slot *t) {
    int64_t n = t->at - s->at;
    return n * (s->kind == FA_SLOT_SCALAR ? FA_TILE_BYTES : s->kind == FA_SLOT_BUFFER ? FA_BUFFER_BYTES
        : fa_itemsize[s->dtype]);
}

typedef struct {
    const fa_slot *slots;
    fa_chainform *form;
    uint16_t first[FA_MOST_STREAMS];         /* the slot of each stream */
    uint16_t number[FA_FUSED_SLOTS], seen[FA_FUSED_SLOTS];
} fa_forming;

/* The stream of a slot; -1: there are too many. */
FA_FN int fa_form_stream(fa_forming *c, const fa_slot *s, uint16_t slot, int64_t *distance) {
    fa_chainform *form = c->form;
    for (uint32_t k = 0; k < form->nstreams; k++) {
        const fa_slot *t = &c->slots[c->first[k]];
        if (t->kind != s->kind) continue;
        if (s->kind != FA_SLOT_SCALAR && (t->dtype == FA_BOOL) != (s->dtype == FA_BOOL)) continue;
        if ((s->kind == FA_SLOT_ARRAY || s->kind == FA_SLOT_ROWS) && t->cell != s->cell) continue;
        if (s->kind == FA_SLOT_ROWS && t->layout != s->layout) continue;
        *distance = fa_form_distance(t, s);
        if (*distance < FA_FARTHEST_OPERAND && *distance > -FA_FARTHEST_OPERAND) return (int)k;
    }
    if (form->nstreams == FA_MOST_STREAMS) return -1;
    *distance = 0;
    c->first[form->nstreams] = slot;
    return (int)form->nstreams++;
}

/* The form of chain `ins`; 0 where it can have none.  others: of fa_form_reads. */
FA_FN int fa_chain_form(const fa_fused *f, const fa_finstr *ins, const uint16_t *others, fa_chainform *form) {
    fa_forming c = {.slots = f->slots, .form = form};
    const fa_chainstep *plan = f->steps + ins->in[0];
    uint16_t here[FA_FUSED_SLOTS];
    form->n = ins->in[1];
    form->nstreams = form->noperands = 0;
    form->dtype = ins->din;
    memset(form->step, 0, form->n * sizeof *form->step);
    memset(c.seen, 0, sizeof c.seen);
    memset(here, 0, sizeof here);
    for (uint32_t k = 0; k < form->n; k++) {
        int code = plan[k].code;
        if (fa_chain_has_operand(code) && code != FA_CHAIN_STORE && code != FA_CHAIN_MASK_STORE
            && code != FA_CHAIN_FETCH && code != FA_CHAIN_FETCH_OWN) here[plan[k].slot]++;
    }
    for (uint32_t k = 0; k < form->n; k++) {
        fa_formstep *to = &form->step[k];
        uint16_t slot = plan[k].slot;
        const fa_slot *s = &f->slots[slot];
        int64_t distance;
        int stream;
        to->code = plan[k].code;
        if (!fa_chain_has_operand(to->code)) continue;
        stream = fa_form_stream(&c, s, slot, &distance);
        if (stream < 0) return 0;
        if (!c.seen[slot]) {
            c.seen[slot] = 1;
            c.number[slot] = (uint16_t)form->noperands++;
        }
        to->stream = (uint8_t)stream;
        to->base = fa_form_base(s);
        to->bytes = s->dtype == FA_BOOL;
        to->kept = s->kind != FA_SLOT_BUFFER || others[slot] != here[slot];
        to->number = c.number[slot];
        to->disp = (int32_t)distance;
    }
    return 1;
}

/* ---- values ---------------------------------------------------------------------------------------------------- */
/* Operations have the codes of steps, those with exchanged operands and the three of WHERE being one.  x: values; from:
   the operand in memory by which each is known, or NOWHERE (what the operation before has computed).
   number: of STORE and FETCH.  next: the operation that uses each value next. */
enum { FA_NO_VALUE = 0xFFFF, FA_NOWHERE = 0xFFFF, FA_MOST_VALUES = 2 * FA_MOST_STEPS };
typedef struct { uint8_t code, n; uint16_t number, out, x[3], from[3], next[3]; } fa_valueop;
typedef struct { uint8_t stream, base, bytes, saved; uint16_t value; int32_t disp; } fa_valueplace;

typedef struct {
    uint32_t nops, nvalues, noperands;
    fa_valueop op[FA_MOST_STEPS];
    fa_valueplace operand[FA_FUSED_SLOTS];
    uint16_t use[FA_MOST_VALUES], source[FA_MOST_VALUES];     /* of a value: its next use; where it is read from */
    uint16_t present, known;                 /* what the last step has left, and the operand that it is known by */
} fa_values;

FA_INLINE uint16_t fa_value_new(fa_values *v, uint16_t source) {
    v->source[v->nvalues] = source;
    return (uint16_t)v->nvalues++;
}

/* The value of an operand in memory. */
FA_INLINE uint16_t fa_value_of(fa_values *v, const fa_formstep *s) {
    fa_valueplace *p = &v->operand[s->number];
    if (p->value == FA_NO_VALUE) p->value = fa_value_new(v, s->number);
    return p->value;
}

FA_INLINE fa_valueop *fa_value_op(fa_values *v, int code, int n) {
    fa_valueop *o = &v->op[v->nops++];
    *o = (fa_valueop){.code = (uint8_t)code, .n = (uint8_t)n, .out = FA_NO_VALUE};
    return o;
}
FA_INLINE void fa_value_put(fa_valueop *o, int k, uint16_t x, uint16_t from) {
    o->x[k] = x;
    o->from[k] = from;
}

/* The present value goes to memory; where nobody else reads it there it stays in its register. */
FA_FN void fa_value_store(fa_values *v, const fa_formstep *s) {
    fa_valueplace *p = &v->operand[s->number];
    if (s->kept || v->known != FA_NOWHERE) {
        fa_valueop *o = fa_value_op(v, s->code, 1);
        fa_value_put(o, 0, v->present, v->known);
        o->number = s->number;
    }
    p->value = v->present;
    if (v->known == FA_NOWHERE) v->known = s->number;
}

/* The operation of one step, or of WHERE, which has two. */
FA_FN void fa_value_step(fa_values *v, const fa_formstep *s) {
    int code = s->code, where = code == FA_CHAIN_WHERE_MASK || code == FA_CHAIN_WHERE_YES || code == FA_CHAIN_WHERE_NO;
    fa_valueop *o;
    if (code == FA_CHAIN_LOAD || code == FA_CHAIN_MASK_LOAD) {
        v->present = fa_value_of(v, s);
        v->known = s->number;
        return;
    }
    if (code == FA_CHAIN_STORE || code == FA_CHAIN_MASK_STORE) {
        fa_value_store(v, s);
        return;
    }
    if (code == FA_CHAIN_FETCH || code == FA_CHAIN_FETCH_OWN) {
        fa_value_op(v, code, 0)->number = s->number;
        return;
    }
    if (where) {
        static const uint8_t places[3][3] = {{0, 1, 2}, {1, 0, 2}, {2, 0, 1}};   /* of the present value, s and s + 1 */
        const uint8_t *at = places[code == FA_CHAIN_WHERE_MASK ? 0 : code == FA_CHAIN_WHERE_YES ? 1 : 2];
        o = fa_value_op(v, FA_CHAIN_WHERE_MASK, 3);
        fa_value_put(o, at[0], v->present, v->known);
        fa_value_put(o, at[1], fa_value_of(v, s), s->number);
        fa_value_put(o, at[2], fa_value_of(v, s + 1), s[1].number);
    } else if (!fa_chain_has_operand(code)) {
        o = fa_value_op(v, code, 1);
        fa_value_put(o, 0, v->present, v->known);
    } else {
        int exchanged = code < FA_CHAIN_EQUAL && (code - FA_CHAIN_ADD) % 2;
        o = fa_value_op(v, code - exchanged, 2);
        fa_value_put(o, exchanged, v->present, v->known);
        fa_value_put(o, !exchanged, fa_value_of(v, s), s->number);
    }
    o->out = v->present = fa_value_new(v, FA_NOWHERE);
    v->known = FA_NOWHERE;
}

/* Operations and values of a form. */
FA_FN void fa_values_of(const fa_chainform *form, fa_values *v) {
    v->nops = v->nvalues = 0;
    v->noperands = form->noperands;
    v->present = FA_NO_VALUE;
    v->known = FA_NOWHERE;
    for (uint32_t k = 0; k < form->n; k++) {
        const fa_formstep *s = &form->step[k];
        if (fa_chain_has_operand(s->code))
            v->operand[s->number] = (fa_valueplace){s->stream, s->base, s->bytes, 0, FA_NO_VALUE, s->disp};
    }
    for (uint32_t k = 0; k < form->n; k++) {
        const fa_formstep *s = &form->step[k];
        if (s->code != FA_CHAIN_END && s->code != FA_CHAIN_OPERAND) fa_value_step(v, s);
    }
}

/* Where values are used next, as at the beginning. */
FA_FN void fa_values_uses(fa_values *v) {
    memset(v->use, 0xFF, v->nvalues * sizeof *v->use);   /* FA_NO_VALUE: nowhere */
    for (uint32_t i = v->nops; i-- > 0;) {
        fa_valueop *o = &v->op[i];
        for (int k = 0; k < o->n; k++) o->next[k] = v->use[o->x[k]];
        for (int k = 0; k < o->n; k++) v->use[o->x[k]] = (uint16_t)i;
    }
}
#endif
