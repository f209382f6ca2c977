/* template_real.h - a partial derivative on rank-0 operands; included by reals.h once a type.
   Owns: the templates' evaluation on cells.
   Must not know: sweeps.
   Next: template.h, which includes it. */
FA_FN FA_REAL FA_R(fa_partial_run)(const fa_template *t, fa_cell a, fa_cell b, fa_cell c, fa_cell y) {
    fa_cell slot[FA_MAX_TSLOTS];
    int first = FA_TSLOT_CONST + t->nconst;
    slot[0] = a; slot[1] = b; slot[2] = c; slot[3] = y;
    for (int s = 0; s < t->nconst; s++) slot[FA_TSLOT_CONST + s] = t->consts[s];
    for (int i = 0; i < t->n; i++) {
        const fa_tinstr *ins = &t->instr[i];
        int arity = fa_tarity(ins);
        fa_cell u = slot[ins->in[0]], v = arity > 1 ? slot[ins->in[1]] : u, w = arity > 2 ? slot[ins->in[2]] : u;
        slot[first + i] = ins->op == FA_CAST ? fa_cast_cell(ins->din, ins->dout, u)
                                             : fa_scalar_cells(ins->op, ins->din, u, v, w);
    }
    return slot[t->out].FA_CELL;
}

/* The partial on rank-0 operands.  The caller has asked whether it is FA_ZERO. */
FA_INLINE FA_REAL FA_R(fa_partial_scalar)(const fa_template *t, fa_cell a, fa_cell b, fa_cell c, fa_cell y) {
    switch (t->out) {
    case 0: return a.FA_CELL;
    case 1: return b.FA_CELL;
    case FA_TSLOT_Y: return y.FA_CELL;
    default:
        if (t->out >= FA_TSLOT_CONST && t->out < FA_TSLOT_CONST + t->nconst)
            return t->consts[t->out - FA_TSLOT_CONST].FA_CELL;
        return FA_R(fa_partial_run)(t, a, b, c, y);
    }
}
