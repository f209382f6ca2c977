/* chain_code.h - chains as code of the processor: one loop over elements, with its values in registers.
   Owns: which value is in which register, the loop around, the codes of all chains of a program.
   Must not know: who runs it and when it pays (_code.pxi), how an operation is written (chain_vectors.h).
   The code of a chain has the signature of its steps' tiles and leaves in memory what they leave there, except in
   buffers that nobody else reads: their values stay in registers, as far as there are enough.  The one that is wanted
   last is given up first; it is read again from where it came from, or goes to its buffer.
   A few vectors are computed at a time, then single ones.  With AVX-512 the last one is masked, so that the code takes
   any number of elements; with AVX2 the rest is left.
   Next: chain_form.h, chain_vectors.h, code_memory.h. */
#ifndef FASTAD_CHAIN_CODE_H
#define FASTAD_CHAIN_CODE_H
#include "code_memory.h"
#include "chain_form.h"

#if FA_MAKES_CODE
#include "chain_vectors.h"

#ifndef FA_ACROSS                            /* vectors at a time, where registers suffice (tests: others) */
#define FA_ACROSS 2
#endif
#ifndef FA_MOST_REGISTERS                    /* of AVX-512 (tests: so few that values have to make room) */
#define FA_MOST_REGISTERS 32
#endif
enum { FA_NONE = 255 };
static const uint8_t fa_pointer_registers[] = {FA_R8, FA_R9, FA_R10, FA_RSI, FA_RDI, FA_RBX, FA_RBP, FA_R12, FA_R13,
                                               FA_R14, FA_R15};
enum { FA_POINTERS = sizeof fa_pointer_registers, FA_FIRST_SAVED = 5 };

typedef struct {
    fa_vectors out;
    fa_chainform form;
    fa_values v;
    int impossible, buffered;                /* buffered: it reads or writes block buffers */
    unsigned registers, lanes, free;         /* free: those from there on are spares, constants, scalars */
    unsigned across, ngroups;                /* a value has a group of `across` registers */
    uint16_t holds[32];
    uint8_t group[FA_MOST_VALUES], scalar[FA_FUSED_SLOTS];           /* of a value; of a scalar that has a register */
    uint16_t first[FA_MOST_STREAMS];                                 /* step of each stream */
    uint8_t base[FA_MOST_STREAMS], bytes[FA_MOST_STREAMS];
} fa_chaincoder;

/* ---- operands in memory ---------------------------------------------------------------------------------------- */
FA_INLINE unsigned fa_stream_register(const fa_chaincoder *c, unsigned stream) {
    return c->form.nstreams <= FA_POINTERS || stream < FA_POINTERS ? fa_pointer_registers[stream] : FA_NONE;
}

/* Vector u of an operand; where registers were too few the stack has the pointer. */
FA_FN fa_rm fa_operand_at(fa_chaincoder *c, unsigned number, unsigned u) {
    const fa_valueplace *p = &c->v.operand[number];
    unsigned reg = fa_stream_register(c, p->stream), item = c->out.single ? 4 : 8;
    fa_rm m = fa_memory(reg, p->disp);
    c->buffered |= p->base == FA_CHAIN_BLOCK;
    if (reg == FA_NONE) {
        fa_bytes_reserve(&c->out.code);
        fa_x86_general(&c->out.code, 0x8B, FA_R11, fa_memory(FA_RSP, (int32_t)(8 * (p->stream - FA_POINTERS))));
        m.reg = FA_R11;
    }
    if (p->base == FA_CHAIN_FIXED) return m;
    m.moves = 1;
    m.scale = p->bytes ? 0 : c->out.single ? 2 : 3;
    m.disp += (int32_t)(u * c->lanes * (p->bytes ? 1 : item));
    return m;
}

FA_FN void fa_load_operand(fa_chaincoder *c, unsigned number, unsigned u, unsigned reg) {
    fa_rm m = fa_operand_at(c, number, u);
    if (c->v.operand[number].bytes) fa_load_bytes(&c->out, reg, m);
    else fa_load_vector(&c->out, reg, m);
}

FA_FN void fa_store_operand(fa_chaincoder *c, unsigned number, unsigned group) {
    for (unsigned u = 0; u < c->across; u++) {
        fa_rm m = fa_operand_at(c, number, u);
        if (c->v.operand[number].bytes) fa_store_bytes(&c->out, group * c->across + u, m);
        else fa_store_vector(&c->out, group * c->across + u, m);
    }
    c->v.operand[number].saved = 1;
}

FA_FN void fa_fetch_operand(fa_chaincoder *c, const fa_valueop *o) {
    unsigned item = c->v.operand[o->number].bytes ? 1 : c->out.single ? 4 : 8;
    for (unsigned k = 0; k < c->across * c->lanes * item; k += FA_LINE_BYTES) {
        fa_rm m = fa_operand_at(c, o->number, 0);
        m.disp += FA_CHAIN_AHEAD + (int32_t)k;
        fa_bytes_reserve(&c->out.code);
        fa_x86_prefetch(&c->out.code, o->code == FA_CHAIN_FETCH_OWN, m);
    }
}

/* ---- registers ------------------------------------------------------------------------------------------------- */
/* The operand by which value x is used next. */
FA_INLINE uint16_t fa_read_from(const fa_chaincoder *c, uint16_t x) {
    const fa_valueop *o = &c->v.op[c->v.use[x]];
    for (int k = 0; k < o->n; k++) if (o->x[k] == x) return o->from[k];
    return FA_NOWHERE;
}

FA_INLINE void fa_drop(fa_chaincoder *c, uint16_t x) {
    if (c->group[x] == FA_NONE) return;
    c->holds[c->group[x]] = FA_NO_VALUE;
    c->group[x] = FA_NONE;
}

/* A group for value x, none of those in the bits of `pinned`. */
FA_FN unsigned fa_take_group(fa_chaincoder *c, uint16_t x, uint32_t pinned) {
    unsigned best = FA_NONE, latest = 0;
    for (unsigned g = 0; g < c->ngroups; g++) {
        if (pinned >> g & 1) continue;
        unsigned use = c->holds[g] == FA_NO_VALUE ? FA_NO_VALUE + 1u : c->v.use[c->holds[g]];
        if (best != FA_NONE && use <= latest) continue;
        best = g;
        latest = use;
    }
    if (best == FA_NONE) {
        c->impossible = 1;
        return 0;
    }
    uint16_t old = c->holds[best];
    if (old != FA_NO_VALUE) {
        if (c->v.use[old] != FA_NO_VALUE) {
            uint16_t home = fa_read_from(c, old);
            if (home == FA_NOWHERE) c->impossible = 1;
            else if (!c->v.operand[home].saved) fa_store_operand(c, home, best);
        }
        fa_drop(c, old);
    }
    c->holds[best] = x;
    c->group[x] = (uint8_t)best;
    return best;
}

FA_FN unsigned fa_in_group(fa_chaincoder *c, uint16_t x, uint16_t from, uint32_t pinned) {
    if (c->group[x] != FA_NONE) return c->group[x];
    unsigned g = fa_take_group(c, x, pinned);
    if (from == FA_NOWHERE || !c->v.operand[from].saved) {
        c->impossible = 1;
        return g;
    }
    for (unsigned u = 0; u < c->across; u++) fa_load_operand(c, from, u, g * c->across + u);
    return g;
}

FA_INLINE int fa_is_scalar(const fa_chaincoder *c, uint16_t x, uint16_t from) {
    return from != FA_NOWHERE && c->v.source[x] == from && c->v.operand[from].base == FA_CHAIN_FIXED;
}

/* Is operand k read from memory by the operation itself?  Not what is of further use and may have a register. */
FA_FN int fa_stays_in_memory(const fa_chaincoder *c, const fa_valueop *o, int k) {
    uint16_t x = o->x[k], from = o->from[k];
    if (c->group[x] != FA_NONE || from == FA_NOWHERE || c->v.operand[from].bytes || !c->v.operand[from].saved) return 0;
    for (int l = 0; l < o->n; l++) if (l != k && o->x[l] == x) return 0;
    return o->next[k] == FA_NO_VALUE || fa_is_scalar(c, x, from);
}

/* ---- operations ------------------------------------------------------------------------------------------------ */
typedef struct { uint8_t in, group, scalar; } fa_found;      /* in: 0 a group, 1 a scalar's register, 2 memory */

FA_FN void fa_operation_operands(fa_chaincoder *c, const fa_valueop *o, fa_found *found, uint32_t *pinned) {
    int m = fa_memory_operand(&c->out, o->code);
    for (int k = 0; k < o->n; k++)           /* first what has a register */
        if (c->group[o->x[k]] != FA_NONE) *pinned |= 1u << c->group[o->x[k]];
    for (int k = 0; k < o->n; k++) {
        found[k] = (fa_found){0, 0, 0};
        if (fa_is_scalar(c, o->x[k], o->from[k]) && c->scalar[o->from[k]] != FA_NONE)
            found[k] = (fa_found){1, 0, c->scalar[o->from[k]]};
        else if (k == m && fa_stays_in_memory(c, o, k)) found[k].in = 2;
        else {
            found[k].group = (uint8_t)fa_in_group(c, o->x[k], o->from[k], *pinned);
            *pinned |= 1u << found[k].group;
        }
    }
}

FA_FN void fa_write_valueop(fa_chaincoder *c, const fa_valueop *o) {
    fa_found found[3];
    uint32_t pinned = 0;
    unsigned to = 0;
    if (o->code == FA_CHAIN_FETCH || o->code == FA_CHAIN_FETCH_OWN) {
        fa_fetch_operand(c, o);
        return;
    }
    if (o->code == FA_CHAIN_STORE || o->code == FA_CHAIN_MASK_STORE) {
        fa_store_operand(c, o->number, fa_in_group(c, o->x[0], o->from[0], 0));
    } else {
        fa_operation_operands(c, o, found, &pinned);
    }
    for (int k = 0; k < o->n; k++) c->v.use[o->x[k]] = o->next[k];
    for (int k = 0; k < o->n; k++) {         /* what is of no further use may give its registers to the result */
        if (c->v.use[o->x[k]] != FA_NO_VALUE || c->group[o->x[k]] == FA_NONE) continue;
        pinned &= ~(1u << c->group[o->x[k]]);
        fa_drop(c, o->x[k]);
    }
    if (o->out == FA_NO_VALUE) return;
    to = fa_take_group(c, o->out, pinned);
    for (unsigned u = 0; u < c->across && !c->impossible; u++) {
        fa_rm r[3] = {fa_in_reg(0), fa_in_reg(0), fa_in_reg(0)};
        for (int k = 0; k < o->n; k++)
            r[k] = found[k].in == 2 ? fa_operand_at(c, o->from[k], u)
                : fa_in_reg(found[k].in ? found[k].scalar : found[k].group * c->across + u);
        fa_write_vector(&c->out, o->code, to * c->across + u, r);
    }
    if (c->v.use[o->out] == FA_NO_VALUE) fa_drop(c, o->out);
}

/* `across` vectors of all operations. */
FA_FN void fa_write_body(fa_chaincoder *c, unsigned across, int masked) {
    c->across = across;
    c->out.masked = masked;
    c->ngroups = c->free / across;
    memset(c->holds, 0xFF, sizeof c->holds);                         /* FA_NO_VALUE */
    memset(c->group, FA_NONE, c->v.nvalues);
    for (uint32_t k = 0; k < c->v.noperands; k++)
        c->v.operand[k].saved = c->v.operand[k].value != FA_NO_VALUE && c->v.source[c->v.operand[k].value] == k;
    fa_values_uses(&c->v);
    for (uint32_t i = 0; i < c->v.nops && !c->impossible; i++) fa_write_valueop(c, &c->v.op[i]);
    c->out.masked = 0;
}

/* How many values are alive at a time, scalars and what operations read from memory left out. */
FA_FN unsigned fa_alive(const fa_chaincoder *c) {
    static const uint16_t never = 0xFFFF;
    uint16_t begin[FA_MOST_VALUES], end[FA_MOST_VALUES];
    int16_t change[FA_MOST_STEPS + 1] = {0};
    unsigned most = 0;
    int alive = 0;
    for (uint32_t x = 0; x < c->v.nvalues; x++) begin[x] = never;
    for (uint32_t i = 0; i < c->v.nops; i++) {
        const fa_valueop *o = &c->v.op[i];
        for (int k = 0; k < o->n; k++) {
            if (fa_is_scalar(c, o->x[k], o->from[k])) continue;
            if (begin[o->x[k]] == never) begin[o->x[k]] = (uint16_t)i;
            end[o->x[k]] = (uint16_t)i;
        }
        if (o->out != FA_NO_VALUE) begin[o->out] = end[o->out] = (uint16_t)i;
    }
    for (uint32_t x = 0; x < c->v.nvalues; x++) {
        if (begin[x] == never) continue;
        change[begin[x]]++;
        change[end[x] + 1]--;
    }
    for (uint32_t i = 0; i < c->v.nops; i++) {
        alive += change[i];
        if (alive > (int)most) most = (unsigned)alive;
    }
    return most + 1;
}

/* ---- around the loop ------------------------------------------------------------------------------------------- */
/* RAX or a register <- where a stream is */
FA_FN void fa_write_pointer(fa_chaincoder *c, unsigned stream, unsigned reg) {
    fa_bytes *b = &c->out.code;
    int32_t at = (int32_t)(c->first[stream] * sizeof(fa_chainat) + offsetof(fa_chainat, p));
    int32_t offset = (int32_t)(offsetof(fa_chaintile, offset) + 8u * c->base[stream]);
    fa_bytes_reserve(b);
    if (c->base[stream] == FA_CHAIN_FIXED) {
        fa_x86_general(b, 0x8B, reg, fa_memory(FA_RDI, at));
    } else if (c->bytes[stream]) {
        fa_x86_general(b, 0x8B, FA_R11, fa_memory(FA_RSI, offset));
        fa_x86_general(b, 0x03, FA_R11, fa_in_reg(FA_RCX));
        FA_CODE(b, "\x49\xC1\xEB");                                  /* shr r11 */
        fa_byte(b, c->out.single ? 2 : 3);
        fa_x86_general(b, 0x03, FA_R11, fa_memory(FA_RDI, at));
        fa_x86_general(b, 0x8B, reg, fa_in_reg(FA_R11));
    } else {
        fa_x86_general(b, 0x8B, reg, fa_memory(FA_RDI, at));
        fa_x86_general(b, 0x03, reg, fa_memory(FA_RSI, offset));
        fa_x86_general(b, 0x03, reg, fa_in_reg(FA_RCX));
    }
}

FA_INLINE unsigned fa_saved_registers(const fa_chaincoder *c) {
    unsigned n = c->form.nstreams < FA_POINTERS ? c->form.nstreams : FA_POINTERS;
    return n > FA_FIRST_SAVED ? n - FA_FIRST_SAVED : 0;
}
FA_INLINE unsigned fa_pointers_on_stack(const fa_chaincoder *c) {
    return c->form.nstreams > FA_POINTERS ? c->form.nstreams - FA_POINTERS : 0;
}

/* RDI, the steps, and RSI, the tile, become pointers in the end. */
FA_FN void fa_write_pointers(fa_chaincoder *c) {
    fa_bytes *b = &c->out.code;
    unsigned n = c->form.nstreams, tile = FA_NONE, steps = FA_NONE;
    fa_x86_general(b, 0x8B, FA_RCX, fa_memory(FA_RSI, offsetof(fa_chaintile, moved)));
    for (unsigned s = 0; s < n; s++) {
        unsigned reg = fa_stream_register(c, s);
        if (reg == FA_RSI) tile = s;
        else if (reg == FA_RDI) steps = s;
        else if (reg != FA_NONE) fa_write_pointer(c, s, reg);
        else {
            fa_write_pointer(c, s, FA_RAX);
            fa_x86_general(b, 0x89, FA_RAX, fa_memory(FA_RSP, (int32_t)(8 * (s - FA_POINTERS))));
        }
    }
    if (tile != FA_NONE) fa_write_pointer(c, tile, FA_RAX);
    if (steps != FA_NONE) fa_write_pointer(c, steps, FA_RDI);
    fa_bytes_reserve(b);
    if (tile != FA_NONE) fa_x86_general(b, 0x8B, FA_RSI, fa_in_reg(FA_RAX));
}

FA_FN void fa_write_enter(fa_chaincoder *c) {
    fa_bytes *b = &c->out.code;
    fa_bytes_reserve(b);
    FA_CODE(b, "\xF3\x0F\x1E\xFA");                                  /* endbr64 */
    for (unsigned k = 0; k < fa_saved_registers(c); k++) fa_x86_push(b, fa_pointer_registers[FA_FIRST_SAVED + k], 0);
    if (fa_pointers_on_stack(c)) fa_x86_number(b, 5, FA_RSP, 8 * fa_pointers_on_stack(c));
    fa_write_pointers(c);
}

FA_FN void fa_write_leave(fa_chaincoder *c) {
    fa_bytes *b = &c->out.code;
    fa_bytes_reserve(b);
    if (c->out.wide) fa_x86_general(b, 0x8B, FA_RAX, fa_in_reg(FA_RDX));     /* all are done */
    FA_CODE(b, "\xC5\xF8\x77");                                      /* vzeroupper */
    if (fa_pointers_on_stack(c)) fa_x86_number(b, 0, FA_RSP, 8 * fa_pointers_on_stack(c));
    for (unsigned k = fa_saved_registers(c); k-- > 0;) fa_x86_push(b, fa_pointer_registers[FA_FIRST_SAVED + k], 1);
    fa_byte(b, 0xC3);
}

/* A constant from the pool at the beginning: the first three of each type. */
FA_FN void fa_write_number(fa_chaincoder *c, int number, unsigned reg) {
    fa_vectors *o = &c->out;
    fa_bytes *b = &o->code;
    size_t at = o->single ? 24 + 4 * (size_t)number : 8 * (size_t)number;
    if (number == FA_NUMBER_ZERO) {
        fa_bits(o, FA_XOR_OP, reg, reg, reg);
    } else if (number == FA_NUMBER_BITS) {
        if (!o->wide) fa_vector(o, (fa_op){1, 1, 0, 0x76}, reg, reg, fa_in_reg(reg), 0, 0);
        else {
            fa_vector(o, (fa_op){1, 3, 0, 0x25}, reg, reg, fa_in_reg(reg), 0, 0);
            fa_byte(b, 0xFF);
        }
    } else {                                 /* broadcast, relative to the next instruction */
        fa_op broadcast = {1, 2, (uint8_t)(o->wide && !o->single), (uint8_t)(o->single ? 0x18 : 0x19)};
        fa_vector(o, broadcast, reg, 0, (fa_rm){1, FA_RBP, 0, 0, 0, 1 << 30}, 0, 0);
        b->bytes[b->n - 5] = (uint8_t)(5 | (reg & 7) << 3);
        b->n -= 4;
        fa_u32_bytes(b, (uint32_t)((int64_t)at - (int64_t)(b->n + 4)));
    }
}

/* Registers from the last one down: spares, constants, scalars as far as values leave room for them. */
FA_FN void fa_place_numbers(fa_chaincoder *c) {
    unsigned wanted = 0, alive = fa_alive(c), next = c->registers;
    for (int k = 0; k < 2; k++) c->out.spare[k] = --next;
    for (uint32_t i = 0; i < c->v.nops; i++) wanted |= fa_numbers_of(&c->out, c->v.op[i].code);
    for (uint32_t k = 0; k < c->v.noperands; k++)
        if (c->v.operand[k].bytes) wanted |= fa_numbers_of(&c->out, FA_CHAIN_MASK_LOAD);
    for (int k = 0; k < FA_NUMBERS; k++) {
        if (!(wanted >> k & 1)) continue;
        c->out.number[k] = (uint8_t)--next;
        fa_write_number(c, k, next);
    }
    c->across = FA_ACROSS;
    while (c->across > 1 && alive * c->across > next) c->across--;
    memset(c->scalar, FA_NONE, sizeof c->scalar);
    for (uint32_t k = 0; k < c->v.noperands && next > alive * c->across && next > 4; k++) {
        const fa_valueplace *p = &c->v.operand[k];
        if (p->base != FA_CHAIN_FIXED || p->value == FA_NO_VALUE || c->v.source[p->value] != k) continue;
        c->scalar[k] = (uint8_t)--next;
        fa_load_operand(c, k, 0, next);
    }
    c->free = next;
}

/* Long instructions that do nothing, up to the next place where a loop may begin. */
FA_FN void fa_write_gap(fa_bytes *b, size_t unit) {
    fa_bytes_reserve(b);
    for (size_t n = -b->n & (unit - 1); n;) {
        if (n >= 9) {
            FA_CODE(b, "\x66\x0F\x1F\x84\0\0\0\0\0");
            n -= 9;
        } else {
            fa_byte(b, 0x90);
            n--;
        }
    }
}

/* As many times `across` vectors as there are in the elements from RAX to RDX. */
FA_FN void fa_write_full(fa_chaincoder *c, unsigned across) {
    fa_bytes *b = &c->out.code;
    uint32_t tile = across * c->lanes;
    size_t over, loop;
    fa_bytes_reserve(b);
    fa_x86_number(b, 5, FA_RDX, tile);
    fa_x86_general(b, 0x3B, FA_RAX, fa_in_reg(FA_RDX));
    over = fa_x86_jump_if(b, 15);
    fa_write_gap(b, 32);
    loop = b->n;
    fa_write_body(c, across, 0);
    fa_bytes_reserve(b);
    fa_x86_number(b, 0, FA_RAX, tile);
    fa_x86_general(b, 0x3B, FA_RAX, fa_in_reg(FA_RDX));
    fa_x86_aim(b, fa_x86_jump_if(b, 14), loop);
    fa_x86_aim(b, over, b->n);
    fa_x86_number(b, 0, FA_RDX, tile);
}

/* What is left, vector by vector, the last one masked. */
FA_FN void fa_write_masked(fa_chaincoder *c) {
    fa_bytes *b = &c->out.code;
    size_t over, few, loop = b->n;
    fa_bytes_reserve(b);
    fa_x86_general(b, 0x8B, FA_RCX, fa_in_reg(FA_RDX));
    fa_x86_general(b, 0x2B, FA_RCX, fa_in_reg(FA_RAX));
    over = fa_x86_jump_if(b, 14);
    fa_x86_number(b, 7, FA_RCX, c->lanes);
    few = fa_x86_jump_if(b, 14);
    fa_byte(b, 0xB9);                                                /* mov ecx */
    fa_u32_bytes(b, c->lanes);
    fa_x86_aim(b, few, b->n);
    FA_CODE(b, "\x41\xBB\x01\0\0\0\x41\xD3\xE3\x41\x83\xEB\x01");    /* mov r11d, 1; shl r11d, cl; sub r11d, 1 */
    FA_CODE(b, "\xC4\xC1\x78\x92\xCB");                              /* kmovw k1, r11d */
    fa_write_body(c, 1, 1);
    fa_bytes_reserve(b);
    fa_x86_general(b, 0x03, FA_RAX, fa_in_reg(FA_RCX));
    fa_x86_jump(b, loop);
    fa_x86_aim(b, over, b->n);
}

/* The code of c->form at the end of what there is; returns where it begins, 1 more if it is `buffered`; 0 where there
   can be none. */
FA_FN size_t fa_write_chain(fa_chaincoder *c) {
    fa_bytes *b = &c->out.code;
    size_t before = b->n, entry;
    unsigned across;
    c->out.single = c->form.dtype != FA_F64;
    c->out.masked = 0;
    c->lanes = (c->out.wide ? 64u : 32u) / (c->out.single ? 4 : 8);
    c->impossible = c->buffered = 0;
    for (uint32_t k = c->form.n; k-- > 0;)
        if (fa_chain_has_operand(c->form.step[k].code)) {
            const fa_formstep *s = &c->form.step[k];
            c->first[s->stream] = (uint16_t)k;
            c->base[s->stream] = s->base;
            c->bytes[s->stream] = s->bytes && s->base != FA_CHAIN_FIXED;
        }
    fa_values_of(&c->form, &c->v);
    fa_write_gap(b, 64);
    entry = b->n;
    fa_write_enter(c);
    fa_place_numbers(c);
    across = c->across;
    fa_bytes_reserve(b);
    FA_CODE(b, "\x31\xC0");                                          /* xor eax, eax */
    fa_write_full(c, across);
    if (c->out.wide) fa_write_masked(c);
    else if (across > 1) fa_write_full(c, 1);
    fa_write_leave(c);
    if (!c->impossible && !b->failed) return entry + (size_t)c->buffered;
    if (!b->failed) b->n = before;
    return 0;
}

/* ---- all chains of a program ----------------------------------------------------------------------------------- */
typedef struct { uint64_t hash; size_t entry, form, bytes; } fa_madechain;   /* form: where it is among the forms */

typedef struct {
    fa_chaincoder c;
    char *forms;
    size_t nforms, room;
    fa_madechain *made;                      /* by hash; entry 1: there can be no code */
    uint32_t nmade, slots;
} fa_chainmaker;

FA_INLINE uint64_t fa_form_hash(const void *data, size_t n) {
    uint64_t h = n, word;
    for (size_t k = 0; k + 4 <= n; k += 4) {
        word = 0;
        memcpy(&word, (const char *)data + k, 4);
        h = (h ^ word) * 0x9E3779B97F4A7C15u;
        h ^= h >> 29;
    }
    return h;
}

FA_FN int fa_maker_grow(fa_chainmaker *m) {
    uint32_t slots = m->slots ? 2 * m->slots : 64;
    fa_madechain *made = calloc(slots, sizeof *made);
    if (!made) return 0;
    for (uint32_t k = 0; k < m->slots; k++) {
        uint32_t at = (uint32_t)m->made[k].hash & (slots - 1);
        if (!m->made[k].entry) continue;
        while (made[at].entry) at = (at + 1) & (slots - 1);
        made[at] = m->made[k];
    }
    free(m->made);
    m->made = made;
    m->slots = slots;
    return 1;
}

/* Where the code of c.form begins, which is written where it is not there yet; 0: there is none. */
FA_FN size_t fa_chain_entry(fa_chainmaker *m) {
    fa_chainform *form = &m->c.form;
    size_t n = offsetof(fa_chainform, step) + form->n * sizeof *form->step;
    uint64_t hash = fa_form_hash(form, n);
    uint32_t at;
    if (2 * (m->nmade + 1) > m->slots && !fa_maker_grow(m)) return 0;
    for (at = (uint32_t)hash & (m->slots - 1); m->made[at].entry; at = (at + 1) & (m->slots - 1))
        if (m->made[at].hash == hash && m->made[at].bytes == n && memcmp(m->forms + m->made[at].form, form, n) == 0)
            return m->made[at].entry > 1 ? m->made[at].entry : 0;
    if (m->nforms + n > m->room) {
        char *forms = realloc(m->forms, 2 * (m->nforms + n));
        if (!forms) return 0;
        m->forms = forms;
        m->room = 2 * (m->nforms + n);
    }
    memcpy(m->forms + m->nforms, form, n);
    size_t entry = fa_write_chain(&m->c);
    m->made[at] = (fa_madechain){hash, entry ? entry : 1, m->nforms, n};
    m->nforms += n;
    m->nmade++;
    return entry;
}

/* The constants that the code reads. */
FA_FN void fa_maker_begin(fa_chainmaker *m, int level) {
    static const double numbers[3] = {-0.0, 1, -1};
    static const float singles[3] = {-0.0f, 1, -1};
    fa_bytes *b = &m->c.out.code;
    m->c.out.wide = level >= 4;
    m->c.registers = level >= 4 || FA_MOST_REGISTERS < 16 ? FA_MOST_REGISTERS : 16;
    fa_bytes_reserve(b);
    if (b->failed) return;
    fa_text_bytes(b, (const char *)numbers, sizeof numbers);
    fa_text_bytes(b, (const char *)singles, sizeof singles);
}

/* Code for the chains of one loop; entry: where that of each begins. */
FA_FN size_t *fa_maker_loop(fa_chainmaker *m, const fa_fused *f, size_t *entry) {
    uint16_t reads[FA_FUSED_SLOTS];
    if (f->nchains) fa_form_reads(f, reads);
    for (uint32_t i = 0; f->nchains && i < f->n; i++) {
        if (f->instr[i].kind != FA_FUSED_CHAIN) continue;
        int good = !m->c.out.code.failed && fa_chain_form(f, &f->instr[i], reads, &m->c.form);
        *entry++ = good ? fa_chain_entry(m) : 0;
    }
    return entry;
}

/* Let a loop run it; other threads may be running the steps. */
FA_FN const size_t *fa_chain_publish(const fa_fused *f, char *memory, const size_t *entry, int wide) {
    for (uint32_t i = 0; f->nchains && i < f->n; i++) {
        const fa_finstr *ins = &f->instr[i];
        if (ins->kind != FA_FUSED_CHAIN) continue;
        size_t at = *entry++, buffered = at & 1;
        if (!at) continue;                   /* else the end may be left to the steps: */
        f->code[ins->in[2]].whole = !buffered && (wide || ins->arity & FA_CHAIN_MAY_OVERLAP);
        __atomic_store_n(&f->code[ins->in[2]].run, memory + at - buffered, __ATOMIC_RELEASE);
    }
    return entry;
}

/* Code for the chains of n loops, where that can be; returns the memory that they share, of *bytes, for fa_code_free;
   NULL where there is none.  level: of fa_cpu_level. */
FA_FN char *fa_chains_make(const fa_fused *const *fused, uint32_t n, int level, size_t *bytes) {
    fa_chainmaker *m = level >= 3 ? calloc(1, sizeof *m) : NULL;
    size_t total = 0, *entries, *entry;
    const size_t *made;
    char *memory = NULL;
    for (uint32_t l = 0; l < n; l++) total += fused[l]->nchains;
    made = entry = entries = malloc((total + 1) * sizeof *entries);
    if (m && entries && total) {
        fa_maker_begin(m, level);
        for (uint32_t l = 0; l < n; l++) entry = fa_maker_loop(m, fused[l], entry);
        *bytes = m->c.out.code.n;
        if (!m->c.out.code.failed && m->nmade) memory = fa_runnable(m->c.out.code.bytes, *bytes);
        for (uint32_t l = 0; memory && l < n; l++) made = fa_chain_publish(fused[l], memory, made, level >= 4);
        free(m->c.out.code.bytes);
        free(m->forms);
        free(m->made);
    }
    free(m);
    free(entries);
    return memory;
}
#else
FA_FN char *fa_chains_make(const fa_fused *const *fused, uint32_t n, int level, size_t *bytes) {
    (void)fused, (void)n, (void)level, (void)bytes;
    return NULL;
}
#endif
#endif
