/* x86.h - instructions of x86-64 with AVX as bytes: the few that packed scalar code needs.
   Owns: the encoding; a buffer that grows.
   Must not know: what the code computes (machine_code.h).
   Sources: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, section 2.3 (VEX).
   Vector registers are numbers 0 to 15.  Cells are addressed from RBX, which points at cell FA_X86_BIAS, so that twice
   as many are reached by one byte. */
#ifndef FASTAD_X86_H
#define FASTAD_X86_H
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "scalar.h"

enum { FA_X86_BIAS = 16, FA_X86_ROOM = 256 };            /* ROOM: bytes that no single instruction here exceeds */

typedef struct { uint8_t *bytes; size_t n, room; int failed; } fa_bytes;

/* Room for what is written next; without memory, `failed`, and what follows overwrites itself. */
FA_FN void fa_bytes_reserve(fa_bytes *c) {
    if (c->n + FA_X86_ROOM <= c->room) return;
    size_t room = c->room ? 2 * c->room : 4096;
    uint8_t *bytes = realloc(c->bytes, room);
    if (bytes) {
        c->bytes = bytes;
        c->room = room;
    } else {
        c->failed = 1;
        c->n = 0;
    }
}

FA_INLINE void fa_byte(fa_bytes *c, unsigned b) { c->bytes[c->n++] = (uint8_t)b; }
FA_INLINE void fa_u32_bytes(fa_bytes *c, uint32_t v) {
    memcpy(c->bytes + c->n, &v, 4);
    c->n += 4;
}
FA_INLINE void fa_u64_bytes(fa_bytes *c, uint64_t v) {
    memcpy(c->bytes + c->n, &v, 8);
    c->n += 8;
}
FA_INLINE void fa_text_bytes(fa_bytes *c, const char *text, size_t n) {
    memcpy(c->bytes + c->n, text, n);
    c->n += n;
}
#define FA_CODE(c, TEXT) fa_text_bytes(c, TEXT, sizeof(TEXT) - 1)

/* pp: 0 none, 1 66, 2 F3, 3 F2.  map: 1 0F, 2 0F38, 3 0F3A.  reg, rm: registers of ModRM; v: the one of VEX. */
typedef struct { uint8_t pp, map, w, opcode; } fa_op;
static const fa_op FA_LOAD = {3, 1, 0, 0x10}, FA_STORE = {3, 1, 0, 0x11}, FA_ADDSD = {3, 1, 0, 0x58},
    FA_MULSD = {3, 1, 0, 0x59}, FA_SUBSD = {3, 1, 0, 0x5C}, FA_DIVSD = {3, 1, 0, 0x5E}, FA_SQRTSD = {3, 1, 0, 0x51},
    FA_CMPSD = {3, 1, 0, 0xC2}, FA_ANDPD = {1, 1, 0, 0x54}, FA_ORPD = {1, 1, 0, 0x56}, FA_XORPD = {1, 1, 0, 0x57},
    FA_BLENDVPD = {1, 3, 0, 0x4B}, FA_SHIFTQ = {1, 1, 0, 0x73}, FA_EQUALQ = {1, 2, 0, 0x29}, FA_TO_RAX = {1, 1, 1, 0x7E};

FA_INLINE void fa_x86_vex(fa_bytes *c, fa_op op, unsigned reg, unsigned v, unsigned rm) {
    unsigned r = reg < 8 ? 0x80 : 0, vvvv = (~v & 15) << 3;
    if (op.map == 1 && rm < 8 && !op.w) {
        fa_byte(c, 0xC5);
        fa_byte(c, r | vvvv | op.pp);
    } else {
        fa_byte(c, 0xC4);
        fa_byte(c, r | 0x40 | (rm < 8 ? 0x20 : 0) | op.map);
        fa_byte(c, (unsigned)op.w << 7 | vvvv | op.pp);
    }
    fa_byte(c, op.opcode);
}

/* reg <- v op rm, all registers */
FA_INLINE void fa_x86_rrr(fa_bytes *c, fa_op op, unsigned reg, unsigned v, unsigned rm) {
    fa_x86_vex(c, op, reg, v, rm);
    fa_byte(c, 0xC0 | (reg & 7) << 3 | (rm & 7));
}

/* the same with a cell */
FA_INLINE void fa_x86_rrm(fa_bytes *c, fa_op op, unsigned reg, unsigned v, uint32_t cell) {
    int64_t at = 8 * ((int64_t)cell - FA_X86_BIAS);
    fa_x86_vex(c, op, reg, v, 3);
    if (at >= -128 && at < 128) {
        fa_byte(c, 0x43 | (reg & 7) << 3);
        fa_byte(c, (unsigned)at & 255);
    } else {
        fa_byte(c, 0x83 | (reg & 7) << 3);
        fa_u32_bytes(c, (uint32_t)at);
    }
}

/* the same with a number that stands at `place` of the code */
FA_INLINE void fa_x86_rrp(fa_bytes *c, fa_op op, unsigned reg, unsigned v, size_t place) {
    fa_x86_vex(c, op, reg, v, 5);
    fa_byte(c, 0x05 | (reg & 7) << 3);
    fa_u32_bytes(c, (uint32_t)((int64_t)place - (int64_t)(c->n + 4)));
}

/* reg <- the number at `index` of the array whose address is in a cell */
FA_INLINE void fa_x86_element(fa_bytes *c, unsigned reg, uint32_t cell, uint32_t index) {
    FA_CODE(c, "\x48\x8B\x83");                          /* mov rax, [rbx + ...] */
    fa_u32_bytes(c, (uint32_t)(8 * ((int64_t)cell - FA_X86_BIAS)));
    fa_x86_vex(c, FA_LOAD, reg, 0, 0);
    fa_byte(c, 0x80 | (reg & 7) << 3);
    fa_u32_bytes(c, 8 * index);
}

/* A jump to be aimed later: returns where its distance stands. */
FA_INLINE size_t fa_x86_jump_if_zero(fa_bytes *c, unsigned reg) {       /* is reg 0.0 or -0.0? */
    fa_x86_rrr(c, FA_TO_RAX, reg, 0, 0);
    FA_CODE(c, "\x48\x01\xC0\x0F\x84\0\0\0\0");          /* add rax, rax; jz */
    return c->n - 4;
}
FA_INLINE void fa_x86_aim(fa_bytes *c, size_t jump, size_t target) {
    int32_t distance = (int32_t)((int64_t)target - (int64_t)(jump + 4));
    memcpy(c->bytes + jump, &distance, 4);
}
FA_INLINE void fa_x86_jump(fa_bytes *c, size_t target) {
    fa_byte(c, 0xE9);
    fa_u32_bytes(c, 0);
    fa_x86_aim(c, c->n - 4, target);
}

/* f(v, env, op, to, a, b), v and env being kept in RBX and R12 */
FA_INLINE void fa_x86_call(fa_bytes *c, uintptr_t f, const uint32_t *given) {
    FA_CODE(c, "\x48\x8D\xBB");                          /* lea rdi, [rbx - ...] */
    fa_u32_bytes(c, (uint32_t)(-8 * FA_X86_BIAS));
    FA_CODE(c, "\x4C\x89\xE6\xBA");                      /* mov rsi, r12; mov edx */
    fa_u32_bytes(c, given[0]);
    fa_byte(c, 0xB9);                                    /* mov ecx */
    fa_u32_bytes(c, given[1]);
    FA_CODE(c, "\x41\xB8");                              /* mov r8d */
    fa_u32_bytes(c, given[2]);
    FA_CODE(c, "\x41\xB9");                              /* mov r9d */
    fa_u32_bytes(c, given[3]);
    FA_CODE(c, "\x48\xB8");                              /* mov rax */
    fa_u64_bytes(c, f);
    FA_CODE(c, "\xFF\xD0");                              /* call rax */
}

/* endbr64; push rbx, r12, r13; r12 = env; rbx = v + bias */
FA_INLINE void fa_x86_enter(fa_bytes *c) {
    FA_CODE(c, "\xF3\x0F\x1E\xFA\x53\x41\x54\x41\x55\x49\x89\xF4\x48\x8D\x9F");
    fa_u32_bytes(c, 8 * FA_X86_BIAS);
}
FA_INLINE void fa_x86_leave(fa_bytes *c) { FA_CODE(c, "\x41\x5D\x41\x5C\x5B\xC3"); }
#endif
