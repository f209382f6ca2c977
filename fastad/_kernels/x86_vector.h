/* x86_vector.h - vector instructions of AVX2 and of AVX-512 as bytes: those that chains need.
   Owns: the encoding (VEX of 32 bytes, EVEX of 64), operands in memory, general registers.
   Must not know: what the code computes (chain_code.h).
   Sources: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, sections 2.1 to 2.3, 2.7 (EVEX).
   What moves is addressed by a base and RAX, which counts elements: numbers with their size as scale, bytes with 1. */
#ifndef FASTAD_X86_VECTOR_H
#define FASTAD_X86_VECTOR_H
#include "x86.h"

enum { FA_RAX, FA_RCX, FA_RDX, FA_RBX, FA_RSP, FA_RBP, FA_RSI, FA_RDI, FA_R8, FA_R9, FA_R10, FA_R11, FA_R12, FA_R13,
       FA_R14, FA_R15 };

/* A register, or memory at base + disp (+ RAX * 2**scale where it moves).  unit: log2 of the bytes by which EVEX counts
   a short displacement. */
typedef struct { uint8_t is_memory, reg, moves, scale, unit; int32_t disp; } fa_rm;

FA_INLINE fa_rm fa_in_reg(unsigned reg) { return (fa_rm){0, (uint8_t)reg, 0, 0, 0, 0}; }

FA_INLINE void fa_x86_rm(fa_bytes *c, unsigned reg, fa_rm m) {
    unsigned low = m.reg & 7, head = (reg & 7) << 3;
    int32_t units = m.disp >> m.unit;
    if (!m.is_memory) {
        fa_byte(c, 0xC0 | head | low);
        return;
    }
    int short_disp = (int32_t)((uint32_t)units << m.unit) == m.disp && units >= -128 && units < 128;
    unsigned mod = m.disp == 0 && low != 5 ? 0 : short_disp ? 0x40 : 0x80;
    if (m.moves || low == 4) {
        fa_byte(c, mod | head | 4);
        fa_byte(c, (unsigned)m.scale << 6 | (m.moves ? FA_RAX : 4) << 3 | low);
    } else {
        fa_byte(c, mod | head | low);
    }
    if (mod == 0x40) fa_byte(c, (unsigned)units & 255);
    if (mod == 0x80) fa_u32_bytes(c, (uint32_t)m.disp);
}

/* mask: k1 to k7, or 0 for all elements; zero: others become 0, else they stay. */
FA_INLINE void fa_x86_evex(fa_bytes *c, fa_op op, unsigned reg, unsigned v, fa_rm m, unsigned mask, int zero) {
    unsigned x = m.is_memory ? 0 : m.reg >> 4;
    fa_byte(c, 0x62);
    fa_byte(c, (reg & 8 ? 0 : 0x80) | (x ? 0 : 0x40) | (m.reg & 8 ? 0 : 0x20) | (reg & 16 ? 0 : 0x10) | op.map);
    fa_byte(c, (unsigned)op.w << 7 | (~v & 15) << 3 | 4 | op.pp);
    fa_byte(c, (zero ? 0x80 : 0) | 0x40 | (v & 16 ? 0 : 8) | mask);
    fa_byte(c, op.opcode);
    fa_x86_rm(c, reg, m);
}

/* wide: 32 bytes, else 16 */
FA_INLINE void fa_x86_vex_rm(fa_bytes *c, fa_op op, unsigned reg, unsigned v, fa_rm m, int wide) {
    m.unit = 0;
    fa_byte(c, 0xC4);
    fa_byte(c, (reg & 8 ? 0 : 0x80) | 0x40 | (m.reg & 8 ? 0 : 0x20) | op.map);
    fa_byte(c, (unsigned)op.w << 7 | (~v & 15) << 3 | (wide ? 4 : 0) | op.pp);
    fa_byte(c, op.opcode);
    fa_x86_rm(c, reg, m);
}

/* ---- general registers ----------------------------------------------------------------------------------------- */
FA_INLINE fa_rm fa_memory(unsigned base, int32_t disp) { return (fa_rm){1, (uint8_t)base, 0, 0, 0, disp}; }

/* An instruction of 64 bits on reg and m: 0x03 add, 0x89 store, 0x8B load, 0x2B subtract, 0x3B compare, 0x8D address */
FA_INLINE void fa_x86_general(fa_bytes *c, unsigned opcode, unsigned reg, fa_rm m) {
    fa_byte(c, 0x48 | (reg & 8 ? 4 : 0) | (m.reg & 8 ? 1 : 0));
    fa_byte(c, opcode);
    fa_x86_rm(c, reg, m);
}
/* The same with a number; what: 0 add, 5 subtract, 7 compare. */
FA_INLINE void fa_x86_number(fa_bytes *c, unsigned what, unsigned reg, uint32_t number) {
    fa_byte(c, 0x48 | (reg & 8 ? 1 : 0));
    fa_byte(c, 0x81);
    fa_byte(c, 0xC0 | what << 3 | (reg & 7));
    fa_u32_bytes(c, number);
}
FA_INLINE void fa_x86_push(fa_bytes *c, unsigned reg, int pop) {
    if (reg & 8) fa_byte(c, 0x41);
    fa_byte(c, (pop ? 0x58u : 0x50u) | (reg & 7));
}
/* own: it will be written */
FA_INLINE void fa_x86_prefetch(fa_bytes *c, int own, fa_rm m) {
    m.unit = 0;
    if (m.reg & 8) fa_byte(c, 0x41);
    fa_byte(c, 0x0F);
    fa_byte(c, own ? 0x0D : 0x18);
    fa_x86_rm(c, 1, m);
}
/* A jump where the last comparison says so (14: less or equal, 15: greater): where its distance stands. */
FA_INLINE size_t fa_x86_jump_if(fa_bytes *c, unsigned condition) {
    fa_byte(c, 0x0F);
    fa_byte(c, 0x80 | condition);
    fa_u32_bytes(c, 0);
    return c->n - 4;
}
#endif
