/* template.h - partial derivatives: runs the short programs that the table's rows were recorded into.
   Owns: the evaluation of a template on one element and on a block, its temporaries.
   Must not know: sweeps, which side (tangent or adjoint) the partial is multiplied with.
   A partial that is an operand, the result or a constant costs no call and no copy: it is returned as a span.
   Next: tangent.h and reverse.h, which use it. */
#ifndef FASTAD_TEMPLATE_H
#define FASTAD_TEMPLATE_H
#include "elementwise.h"

enum { FA_TBUFFERS = 16 };                   /* temporaries of a template that live at the same time */
typedef struct { char buf[FA_TBUFFERS][FA_BLOCK * 8] __attribute__((aligned(64))); } fa_scratch;

/* which buffer each instruction writes; made anew for each array instruction */
typedef struct { uint8_t buf[FA_MAX_TSLOTS]; } fa_tplan;

FA_INLINE int fa_tarity(const fa_tinstr *t) {
    return t->op == FA_WHERE ? 3 : t->op == FA_CAST ? 1 : fa_prims[t->op].arity;
}

/* Assigns buffers by last use; a result never shares a buffer with an operand (NumPy's loops want no overlap).
   Returns 0, or -1 where FA_TBUFFERS are too few. */
FA_FN int fa_plan_template(const fa_template *t, fa_tplan *plan) {
    int last[FA_MAX_TSLOTS], owner[FA_TBUFFERS], first = FA_TSLOT_CONST + t->nconst;
    if (t->out == FA_ZERO || t->out < first) return 0;
    if (t->n <= FA_TBUFFERS / 2) {           /* nearly all: nothing to share */
        for (int i = 0; i < t->n; i++) plan->buf[first + i] = (uint8_t)i;
        return 0;
    }
    for (int s = 0; s < first + t->n; s++) last[s] = -1;
    for (int b = 0; b < FA_TBUFFERS; b++) owner[b] = -1;
    for (int i = 0; i < t->n; i++)
        for (int k = 0; k < fa_tarity(&t->instr[i]); k++) last[t->instr[i].in[k]] = i;
    last[t->out] = t->n;
    for (int i = 0; i < t->n; i++) {
        int b = 0;
        while (b < FA_TBUFFERS && owner[b] >= 0 && last[owner[b]] >= i) b++;
        if (b == FA_TBUFFERS) return -1;
        owner[b] = first + i;
        plan->buf[first + i] = (uint8_t)b;
    }
    return 0;
}

/* For the import of the table: 0, or -1 for a template that fa_partial_block or fa_partial_scalar cannot run. */
FA_FN int fa_check_template(const fa_template *t) {
    fa_tplan plan;
    int first = FA_TSLOT_CONST + t->nconst;
    if (t->out == FA_ZERO) return 0;
    if (first + t->n > FA_MAX_TSLOTS || t->out >= first + t->n) return -1;
    for (int i = 0; i < t->n; i++) {
        const fa_tinstr *ins = &t->instr[i];
        if (ins->op != FA_CAST && (ins->op < FA_ELEMENTWISE || ins->op >= FA_MAX_OPCODES)) return -1;
        if (ins->din >= FA_NDTYPE || ins->dout >= FA_NDTYPE || fa_tarity(ins) > 3) return -1;
        if (ins->op != FA_CAST && ins->op != FA_WHERE && ins->op != FA_STRONGZERO && ins->op != FA_ZEROPRODUCT
            && !fa_prims[ins->op].loop[ins->din].fn) return -1;
        for (int k = 0; k < 3; k++)
            if (k < fa_tarity(ins) && ins->in[k] >= first + i) return -1;
    }
    return fa_plan_template(t, &plan);
}

/* The partial on n <= FA_BLOCK elements.  operands: the three operands and the result, at this block. */
FA_FN fa_span fa_partial_block(const fa_template *t, const fa_tplan *plan, const fa_span operands[4], int64_t n,
                               fa_scratch *scratch) {
    fa_span slot[FA_MAX_TSLOTS];
    int first = FA_TSLOT_CONST + t->nconst;
    if (t->out < FA_TSLOT_CONST) return operands[t->out];
    if (t->out < first) return (fa_span){(const char *)&t->consts[t->out - FA_TSLOT_CONST], 0};
    for (int s = 0; s < FA_TSLOT_CONST; s++) slot[s] = operands[s];
    for (int s = FA_TSLOT_CONST; s < first; s++) slot[s] = (fa_span){(const char *)&t->consts[s - FA_TSLOT_CONST], 0};
    for (int i = 0; i < t->n; i++) {
        const fa_tinstr *ins = &t->instr[i];
        fa_span in[3] = {{0, 0}, {0, 0}, {0, 0}};
        char *y = scratch->buf[plan->buf[first + i]];
        for (int k = 0; k < fa_tarity(ins); k++) in[k] = slot[ins->in[k]];
        fa_elementwise_block(ins->op, ins->din, ins->dout, n, in, y);
        slot[first + i] = (fa_span){y, fa_itemsize[ins->dout]};
    }
    return slot[t->out];
}

#define FA_BODY "template_real.h"
#include "reals.h"
#endif
