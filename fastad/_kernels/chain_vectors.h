/* chain_vectors.h - one operation of a chain on one vector, as instructions of AVX2 or AVX-512.
   Owns: which instructions compute what a step computes, to the same bits and flags (chain_steps.h, chain_masks.h).
   Must not know: which value is in which register (chain_code.h).
   The first operand is that of the step: of two NaN it is the one that goes on.  A masked vector, the last one of a
   range, reads, computes and stores the elements of k1 alone; what lies beyond raises no flag and is not touched.
   Masks are vectors here as in the steps: all bits of an element, or none.
   Next: x86_vector.h, chain_code.h. */
#ifndef FASTAD_CHAIN_VECTORS_H
#define FASTAD_CHAIN_VECTORS_H
#include "chain_form.h"
#include "x86_vector.h"

enum { FA_NUMBER_SIGN, FA_NUMBER_ONE, FA_NUMBER_MINUS_ONE, FA_NUMBER_ZERO, FA_NUMBER_BITS, FA_NUMBERS };
enum { FA_TAIL = 1, FA_K2 = 2, FA_K3 = 3 };                  /* registers of AVX-512's masks */
enum { FA_IS_EQUAL = 0x00, FA_IS_UNORDERED = 0x03, FA_IS_NOT_EQUAL = 0x04, FA_IS_LESS = 0x11, FA_IS_LESS_EQUAL = 0x12,
       FA_IS_GREATER_EQUAL = 0x1D, FA_IS_GREATER = 0x1E };   /* quiet, all of them */

typedef struct {
    fa_bytes code;
    int wide, single, masked;                /* AVX-512, float32, the last vector */
    unsigned spare[2];                       /* registers that each operation may use */
    uint8_t number[FA_NUMBERS];              /* registers of constants */
} fa_vectors;

/* y <- a op m under a mask; m may be in memory */
FA_FN void fa_vector(fa_vectors *c, fa_op op, unsigned y, unsigned a, fa_rm m, unsigned mask, int zero) {
    fa_bytes_reserve(&c->code);
    m.unit = m.unit ? m.unit : 6;
    if (c->wide) fa_x86_evex(&c->code, op, y, a, m, mask, zero);
    else fa_x86_vex_rm(&c->code, op, y, a, m, 1);
}

/* map 0F, for numbers of the chain's type */
FA_INLINE fa_op fa_of_type(const fa_vectors *c, unsigned opcode) {
    return (fa_op){(uint8_t)!c->single, 1, (uint8_t)!c->single, (uint8_t)opcode};
}
/* of integers as wide as they are */
FA_INLINE fa_op fa_of_width(const fa_vectors *c, unsigned pp, unsigned map, unsigned opcode) {
    return (fa_op){(uint8_t)pp, (uint8_t)map, (uint8_t)(c->wide && !c->single), (uint8_t)opcode};
}

FA_INLINE void fa_vector_arithmetic(fa_vectors *c, unsigned opcode, unsigned y, unsigned a, fa_rm b) {
    fa_vector(c, fa_of_type(c, opcode), y, a, b, c->masked ? FA_TAIL : 0, c->masked);
}
enum { FA_SQRT_OP = 0x51, FA_AND_OP = 0x54, FA_ANDNOT_OP, FA_OR_OP, FA_XOR_OP, FA_ADD_OP, FA_MULTIPLY_OP,
       FA_SUBTRACT_OP = 0x5C, FA_DIVIDE_OP = 0x5E, FA_MOVE_OP = 0x10, FA_MOVE_TO_OP = 0x11 };

/* of bits; among: of AVX-512, elements outside it become 0 (0: all) */
FA_INLINE void fa_bitwise(fa_vectors *c, unsigned opcode, unsigned y, unsigned a, fa_rm b, unsigned among) {
    if (c->masked && b.is_memory) among = FA_TAIL;
    fa_vector(c, fa_of_type(c, opcode), y, a, b, among, among != 0);
}
FA_INLINE void fa_bits(fa_vectors *c, unsigned opcode, unsigned y, unsigned a, unsigned b) {
    fa_bitwise(c, opcode, y, a, fa_in_reg(b), 0);
}

FA_INLINE void fa_move_vector(fa_vectors *c, unsigned y, unsigned x) {
    if (y != x) fa_vector(c, fa_of_type(c, 0x28), y, 0, fa_in_reg(x), 0, 0);
}

/* k of AVX-512, or vector k, <- a compared with b */
FA_INLINE void fa_comparison(fa_vectors *c, unsigned k, unsigned a, fa_rm b, unsigned predicate, unsigned among) {
    fa_vector(c, fa_of_type(c, 0xC2), k, a, b, c->masked && !among ? FA_TAIL : among, 0);
    fa_byte(&c->code, predicate);
}

FA_INLINE void fa_load_vector(fa_vectors *c, unsigned y, fa_rm m) {
    fa_vector_arithmetic(c, FA_MOVE_OP, y, 0, m);
}
FA_INLINE void fa_store_vector(fa_vectors *c, unsigned x, fa_rm m) {
    fa_vector(c, fa_of_type(c, FA_MOVE_TO_OP), x, 0, m, c->masked ? FA_TAIL : 0, 0);
}

/* A mask from bytes, any but 0 being true. */
FA_FN void fa_load_bytes(fa_vectors *c, unsigned y, fa_rm m) {
    m.unit = c->single ? 4 : 3;
    fa_vector(c, (fa_op){1, 2, 0, (uint8_t)(c->single ? 0x31 : 0x32)}, y, 0, m, c->masked ? FA_TAIL : 0, c->masked);
    if (!c->wide) {                          /* bytes are no negative numbers */
        fa_vector(c, (fa_op){1, (uint8_t)(c->single ? 1 : 2), 0, (uint8_t)(c->single ? 0x66 : 0x37)}, y, y,
                  fa_in_reg(c->number[FA_NUMBER_ZERO]), 0, 0);
        return;
    }
    fa_vector(c, fa_of_width(c, 1, 2, 0x27), FA_K2, y, fa_in_reg(y), 0, 0);
    fa_vector(c, fa_of_width(c, 2, 2, 0x38), y, 0, fa_in_reg(FA_K2), 0, 0);
}

/* Four bits of a mask from RCX, as bytes to m. */
FA_INLINE void fa_store_four(fa_vectors *c, fa_rm m) {
    fa_bytes_reserve(&c->code);
    FA_CODE(&c->code, "\x83\xE1\x0F\x69\xC9\x81\x40\x20\0\x81\xE1\x01\x01\x01\x01");  /* and 15; imul 0x204081; and */
    if (m.reg & 8) fa_byte(&c->code, 0x41);
    fa_byte(&c->code, 0x89);
    fa_x86_rm(&c->code, FA_RCX, m);
}
FA_FN void fa_store_bytes(fa_vectors *c, unsigned x, fa_rm m) {
    if (c->wide) {
        fa_vector(c, fa_of_width(c, 1, 1, c->single ? 0x72 : 0x73), 2, c->spare[0], fa_in_reg(x), 0, 0);
        fa_byte(&c->code, c->single ? 31 : 63);                      /* the highest bit becomes the lowest */
        m.unit = c->single ? 4 : 3;
        fa_vector(c, (fa_op){2, 2, 0, (uint8_t)(c->single ? 0x31 : 0x32)}, c->spare[0], 0, m,
                  c->masked ? FA_TAIL : 0, 0);
        return;
    }
    for (int four = 0; four <= c->single; four++, m.disp += 4) {
        fa_vector(c, fa_of_type(c, 0x50), FA_RCX, 0, fa_in_reg(x), 0, 0);
        if (four) FA_CODE(&c->code, "\xC1\xE9\x04");                 /* shr ecx, 4 */
        m.unit = 0;
        fa_store_four(c, m);
    }
}

/* ---- operations ------------------------------------------------------------------------------------------------ */
/* The operand which may stay in memory; -1: none. */
FA_INLINE int fa_memory_operand(const fa_vectors *c, int code) {
    if (code >= FA_CHAIN_ADD && code <= FA_CHAIN_STRONGZERO) return 1;
    if (code >= FA_CHAIN_EQUAL && code <= FA_CHAIN_GREATER_EQUAL) return 1;
    if (code == FA_CHAIN_WHERE_MASK) return c->wide ? 2 : 1;
    return code == FA_CHAIN_RECIPROCAL || code == FA_CHAIN_SQRT ? 0 : -1;
}

/* The constants that an operation needs, as bits. */
FA_INLINE unsigned fa_numbers_of(const fa_vectors *c, int code) {
    switch (code) {
    case FA_CHAIN_STRONGZERO: case FA_CHAIN_ZEROPRODUCT: return 1u << FA_NUMBER_ZERO;
    case FA_CHAIN_NEGATIVE: case FA_CHAIN_ABSOLUTE: case FA_CHAIN_MINUS_TWICE: case FA_CHAIN_MINUS_FOUR_TIMES:
        return 1u << FA_NUMBER_SIGN;
    case FA_CHAIN_RECIPROCAL: case FA_CHAIN_NUMBER: return 1u << FA_NUMBER_ONE;
    case FA_CHAIN_SIGN: return 1u << FA_NUMBER_ZERO | 1u << FA_NUMBER_ONE | 1u << FA_NUMBER_MINUS_ONE;
    case FA_CHAIN_NOT: return 1u << FA_NUMBER_BITS;
    case FA_CHAIN_MASK_LOAD: return c->wide ? 0 : 1u << FA_NUMBER_ZERO;
    default: return 0;
    }
}

/* a * b where a, and of ZEROPRODUCT b, is not 0; else 0 */
FA_FN void fa_masked_product(fa_vectors *c, int both, unsigned y, unsigned a, fa_rm b) {
    unsigned mask = c->spare[0], other = c->spare[1];
    fa_rm zero = fa_in_reg(c->number[FA_NUMBER_ZERO]);
    if (c->wide) {
        fa_comparison(c, FA_K2, a, zero, FA_IS_NOT_EQUAL, 0);
        if (both) fa_comparison(c, FA_K2, b.reg, zero, FA_IS_NOT_EQUAL, FA_K2);
        fa_vector(c, fa_of_type(c, FA_MULTIPLY_OP), y, a, b, FA_K2, 1);
        return;
    }
    fa_comparison(c, mask, a, zero, FA_IS_NOT_EQUAL, 0);
    if (both) {
        fa_comparison(c, other, b.reg, zero, FA_IS_NOT_EQUAL, 0);
        fa_bits(c, FA_AND_OP, mask, mask, other);
    }
    fa_bits(c, FA_AND_OP, other, mask, a);
    fa_bitwise(c, FA_AND_OP, mask, mask, b, 0);
    fa_vector_arithmetic(c, FA_MULTIPLY_OP, y, other, fa_in_reg(mask));
}

/* a where it is NaN or more (less) than b, else b */
FA_FN void fa_extreme(fa_vectors *c, unsigned predicate, unsigned y, unsigned a, unsigned b) {
    unsigned mask = c->spare[0], other = c->spare[1];
    if (c->wide) {
        fa_comparison(c, FA_K2, a, fa_in_reg(a), FA_IS_UNORDERED, 0);
        fa_comparison(c, FA_K3, a, fa_in_reg(b), predicate, 0);
        fa_bytes_reserve(&c->code);
        FA_CODE(&c->code, "\xC5\xEC\x45\xD3");                       /* korw k2, k2, k3 */
        fa_vector(c, fa_of_width(c, 1, 2, 0x65), y, b, fa_in_reg(a), FA_K2, 0);
        return;
    }
    fa_comparison(c, mask, a, fa_in_reg(b), predicate, 0);
    fa_comparison(c, other, a, fa_in_reg(a), FA_IS_UNORDERED, 0);
    fa_bits(c, FA_OR_OP, mask, mask, other);
    fa_vector(c, (fa_op){1, 3, 0, (uint8_t)(c->single ? 0x4A : 0x4B)}, y, b, fa_in_reg(a), 0, 0);
    fa_byte(&c->code, mask << 4);
}

FA_FN void fa_choice(fa_vectors *c, unsigned y, unsigned mask, fa_rm yes, fa_rm no) {
    if (!c->wide) {
        fa_vector(c, (fa_op){1, 3, 0, (uint8_t)(c->single ? 0x4A : 0x4B)}, y, no.reg, yes, 0, 0);
        fa_byte(&c->code, mask << 4);
        return;
    }
    unsigned among = c->masked && no.is_memory ? FA_TAIL : 0, table = 0xCA;      /* of (y, second, third) */
    fa_op three = fa_of_width(c, 1, 3, 0x25);
    if (y == yes.reg && y != mask) {
        fa_vector(c, three, y, mask, no, among, 0);
        table = 0xE2;
    } else if (!no.is_memory && y == no.reg && y != mask) {
        fa_vector(c, three, y, mask, yes, among, 0);
        table = 0xB8;
    } else {
        fa_move_vector(c, y, mask);
        fa_vector(c, three, y, yes.reg, no, among, 0);
    }
    fa_byte(&c->code, table);
}

FA_FN void fa_vector_sign(fa_vectors *c, unsigned y, unsigned x) {
    unsigned some = c->spare[0], other = c->spare[1];
    unsigned one = c->number[FA_NUMBER_ONE], less = c->number[FA_NUMBER_MINUS_ONE];
    fa_rm zero = fa_in_reg(c->number[FA_NUMBER_ZERO]);
    static const uint8_t is[3] = {FA_IS_GREATER, FA_IS_LESS, FA_IS_UNORDERED};
    for (int k = 0; k < 3; k++) {
        unsigned to = k ? other : some, from = k == 0 ? one : k == 1 ? less : x;
        fa_comparison(c, c->wide ? FA_K2 : to, x, k == 2 ? fa_in_reg(x) : zero, is[k], 0);
        if (c->wide) fa_bitwise(c, FA_OR_OP, to, from, fa_in_reg(from), FA_K2);
        else fa_bits(c, FA_AND_OP, to, to, from);
        if (k) fa_bits(c, FA_OR_OP, k == 2 ? y : some, some, other);
    }
}

FA_FN void fa_compare(fa_vectors *c, int code, unsigned y, unsigned a, fa_rm b) {
    static const uint8_t is[6] = {FA_IS_EQUAL, FA_IS_NOT_EQUAL, FA_IS_LESS, FA_IS_LESS_EQUAL, FA_IS_GREATER,
                                  FA_IS_GREATER_EQUAL};
    fa_comparison(c, c->wide ? FA_K2 : y, a, b, is[code - FA_CHAIN_EQUAL], 0);
    if (c->wide) fa_vector(c, fa_of_width(c, 2, 2, 0x38), y, 0, fa_in_reg(FA_K2), 0, 0);
}

/* y <- the operation on r; y may be one of them, so it is written last. */
FA_FN void fa_write_vector(fa_vectors *c, int code, unsigned y, const fa_rm *r) {
    unsigned a = r[0].reg, b = r[1].reg, spare = c->spare[0];
    fa_rm own = fa_in_reg(a);
    switch (code) {
    case FA_CHAIN_ADD: fa_vector_arithmetic(c, FA_ADD_OP, y, a, r[1]); break;
    case FA_CHAIN_SUBTRACT: fa_vector_arithmetic(c, FA_SUBTRACT_OP, y, a, r[1]); break;
    case FA_CHAIN_MULTIPLY: fa_vector_arithmetic(c, FA_MULTIPLY_OP, y, a, r[1]); break;
    case FA_CHAIN_DIVIDE: fa_vector_arithmetic(c, FA_DIVIDE_OP, y, a, r[1]); break;
    case FA_CHAIN_STRONGZERO: fa_masked_product(c, 0, y, a, r[1]); break;
    case FA_CHAIN_ZEROPRODUCT: fa_masked_product(c, 1, y, a, r[1]); break;
    case FA_CHAIN_MAXIMUM: fa_extreme(c, FA_IS_GREATER, y, a, b); break;
    case FA_CHAIN_MINIMUM: fa_extreme(c, FA_IS_LESS, y, a, b); break;
    case FA_CHAIN_WHERE_MASK: fa_choice(c, y, a, r[1], r[2]); break;
    case FA_CHAIN_AND: fa_bits(c, FA_AND_OP, y, a, b); break;
    case FA_CHAIN_OR: fa_bits(c, FA_OR_OP, y, a, b); break;
    case FA_CHAIN_XOR: fa_bits(c, FA_XOR_OP, y, a, b); break;
    case FA_CHAIN_NEGATIVE: fa_bits(c, FA_XOR_OP, y, c->number[FA_NUMBER_SIGN], a); break;
    case FA_CHAIN_ABSOLUTE: fa_bits(c, FA_ANDNOT_OP, y, c->number[FA_NUMBER_SIGN], a); break;
    case FA_CHAIN_SQUARE: fa_vector_arithmetic(c, FA_MULTIPLY_OP, y, a, own); break;
    case FA_CHAIN_RECIPROCAL: fa_vector_arithmetic(c, FA_DIVIDE_OP, y, c->number[FA_NUMBER_ONE], r[0]); break;
    case FA_CHAIN_SQRT: fa_vector_arithmetic(c, FA_SQRT_OP, y, 0, r[0]); break;
    case FA_CHAIN_SIGN: fa_vector_sign(c, y, a); break;
    case FA_CHAIN_NOT: fa_bits(c, FA_XOR_OP, y, c->number[FA_NUMBER_BITS], a); break;
    case FA_CHAIN_NUMBER: fa_bits(c, FA_AND_OP, y, c->number[FA_NUMBER_ONE], a); break;
    case FA_CHAIN_TWICE: fa_vector_arithmetic(c, FA_ADD_OP, y, a, own); break;
    case FA_CHAIN_FOUR_TIMES:
        fa_vector_arithmetic(c, FA_ADD_OP, spare, a, own);
        fa_vector_arithmetic(c, FA_ADD_OP, y, spare, fa_in_reg(spare));
        break;
    case FA_CHAIN_MINUS_TWICE: case FA_CHAIN_MINUS_FOUR_TIMES:
        fa_vector_arithmetic(c, FA_SUBTRACT_OP, spare, c->number[FA_NUMBER_SIGN], own);     /* (-0 - x) - x */
        fa_vector_arithmetic(c, FA_SUBTRACT_OP, code == FA_CHAIN_MINUS_TWICE ? y : spare, spare, own);
        if (code == FA_CHAIN_MINUS_FOUR_TIMES) fa_vector_arithmetic(c, FA_ADD_OP, y, spare, fa_in_reg(spare));
        break;
    default: fa_compare(c, code, y, a, r[1]);
    }
}
#endif
