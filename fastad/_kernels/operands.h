/* operands.h - where an instruction's operands, attribute and data are.
   Owns: the form of each opcode, the decoding of `arg` and `pool`.
   Must not know: what instructions compute.
   Next: forward.h, tangent.h, reverse.h. */
#ifndef FASTAD_OPERANDS_H
#define FASTAD_OPERANDS_H
#include "kernels.h"

enum { FA_HAS_ATTR = 8, FA_FORM_MASK = 7 };
static const uint8_t fa_forms[FA_STRUCTURAL_END] __attribute__((unused)) = {
    [FA_ELEMENT] = FA_FORM_UNARY, [FA_RESHAPE] = FA_FORM_UNARY, [FA_STOP] = FA_FORM_UNARY, [FA_CAST] = FA_FORM_UNARY,
    [FA_FLATNONZERO] = FA_FORM_UNARY, [FA_GUARD] = FA_FORM_UNARY,
    [FA_TAKE] = FA_FORM_BINARY, [FA_ADDAT] = FA_FORM_BINARY, [FA_PUT] = FA_FORM_NARY,
    [FA_MOVE] = FA_FORM_UNARY | FA_HAS_ATTR, [FA_ERASE] = FA_FORM_UNARY | FA_HAS_ATTR,
    [FA_WRAP] = FA_FORM_UNARY | FA_HAS_ATTR, [FA_LASTWRITER] = FA_FORM_UNARY | FA_HAS_ATTR,
    [FA_SUM] = FA_FORM_UNARY | FA_HAS_ATTR, [FA_MAXR] = FA_FORM_UNARY | FA_HAS_ATTR,
    [FA_MINR] = FA_FORM_UNARY | FA_HAS_ATTR, [FA_ANY] = FA_FORM_UNARY | FA_HAS_ATTR,
    [FA_ALL] = FA_FORM_UNARY | FA_HAS_ATTR, [FA_ARGMAX] = FA_FORM_UNARY | FA_HAS_ATTR,
    [FA_ARGMIN] = FA_FORM_UNARY | FA_HAS_ATTR, [FA_CUMSUM] = FA_FORM_UNARY | FA_HAS_ATTR,
    [FA_ARGSORT] = FA_FORM_UNARY | FA_HAS_ATTR,
    [FA_WRITE] = FA_FORM_NARY | FA_HAS_ATTR, [FA_ASSEMBLE] = FA_FORM_NARY | FA_HAS_ATTR,
    [FA_STACK] = FA_FORM_NARY | FA_HAS_ATTR, [FA_SEARCHSORTED] = FA_FORM_NARY | FA_HAS_ATTR,
    [FA_MATMUL] = FA_FORM_NARY | FA_HAS_ATTR, [FA_SPMM] = FA_FORM_NARY | FA_HAS_ATTR,
    [FA_CALL] = FA_FORM_NARY | FA_HAS_ATTR, [FA_LAPACK] = FA_FORM_NARY | FA_HAS_ATTR,
};

FA_INLINE int fa_form_of(uint16_t op) {
    if (op < FA_STRUCTURAL_END) return fa_forms[op] & FA_FORM_MASK;
    return op == FA_WHERE ? FA_FORM_NARY : fa_prims[op].arity;   /* FA_FORM_UNARY, _BINARY, _NARY are 1, 2, 3 */
}

typedef struct {
    uint32_t n;
    const uint32_t *id;                      /* cells */
    const void *attr;
} fa_operands;

FA_INLINE fa_operands fa_operands_of(const fa_code *c, uint32_t i) {
    uint16_t op = c->op[i];
    const uint32_t *arg = c->arg + 2 * (size_t)i;
    fa_operands o = {0, arg, 0};
    int form = fa_form_of(op);
    if (form == FA_FORM_NARY) {
        o.n = c->pool[arg[0]];
        o.id = c->pool + arg[0] + 1;
    } else o.n = (uint32_t)form;
    if (op == FA_ELEMENT) o.attr = (const void *)(uintptr_t)arg[1];
    else if (op < FA_STRUCTURAL_END && fa_forms[op] & FA_HAS_ATTR) o.attr = c->attrs[arg[1]];
    return o;
}

FA_INLINE const fa_aval *fa_aval_of(const fa_code *c, uint32_t cell) { return &c->avals[c->cell_aval[cell]]; }

/* data of a cell of `file`: the values, the tangents or the adjoints, which all have the layout of the values */
FA_INLINE char *fa_data_of(const fa_code *c, const fa_cell *file, uint32_t cell) {
    return fa_data(&file[cell], fa_aval_of(c, cell));
}
FA_INLINE fa_span fa_span_in(const fa_code *c, const fa_cell *file, uint32_t cell) {
    return fa_span_of(fa_aval_of(c, cell), fa_data_of(c, file, cell));
}

FA_INLINE int fa_is_f64(uint32_t aval) { return aval == FA_AVAL_F64 || aval == FA_AVAL_WEAK_F64; }

/* One element from or to a cell of rank 0. */
FA_INLINE fa_cell fa_load_cell(int dtype, const char *x) {
    fa_cell y = {.i = 0};
    memcpy(&y, x, (size_t)fa_itemsize[dtype]);
    return y;
}
#endif
