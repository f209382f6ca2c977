"""_forward_mode.pxi - the tangent of a tape is a tape (included in _transform.pyx).

Owns: which instructions get a tangent, tangents of elementwise primitives: y' = sum over operands of
strongzero(x', partial), the partials stamped from the table's templates.
Next: structural_rules.py, _reverse_mode.pxi.
"""

def jvp(Tape tape):
    """Tangent of a tape, as a tape.

    Inputs: those of `tape`, then one tangent for each active real input.
    Outputs: those of `tape`, then the tangents of its real outputs (constant zeros where they do not depend on
    the inputs).
    """
    cdef Builder b
    cdef uint32_t i
    ensure_templates()
    b = Builder(tape)
    tape.is_active(tape.n - 1)
    b.copy_inputs()
    for k in range(len(tape.inputs)):
        i = tape.inputs[k]
        if tape.act[i]:
            b.d[i] = b.target.emit_input(strong(tape.aval[i]))
    b.copy_all()
    mark_needed(b)
    for i in range(1, tape.n):
        if b.need[i] and tape.op[i] > FA_CAPTURE:
            tangent(b, i)
    b.copy_outputs()
    for at in tape.outputs:
        i = at
        if is_real(AVALS[tape.aval[i]].dtype):
            b.target.outputs.append(b.d[i] if b.d[i] else b.zeros(tape.aval[i]))
    return b.target.finish()


cdef int mark_needed(Builder b) except -1:
    """Active values on which an output depends through active values."""
    cdef Tape s = b.source
    cdef const uint32_t *ids = NULL
    cdef uint32_t i, k, m
    for at in s.outputs:
        b.need[<uint32_t>at] = s.act[<uint32_t>at]
    for i in range(s.n - 1, 0, -1):
        if b.need[i]:
            m = s.operands(i, &ids)
            for k in range(m):
                b.need[ids[k]] = s.act[ids[k]]
    return 0


cdef int tangent(Builder b, uint32_t i) except -1:
    cdef Tape s = b.source
    cdef int op = s.op[i]
    cdef uint32_t y, x = s.arg[2 * <size_t>i]
    if op >= FA_ELEMENTWISE:
        y = tangent_elementwise(b, i)
    elif op == FA_ELEMENT:
        y = 0 if b.d[x] == 0 else b.target.push(op, strong(s.aval[i]), b.d[x], s.arg[2 * <size_t>i + 1])
    else:
        site = b.site(i)
        y = structural_rules.tangent(b, site) if any(site.dx) else 0
    b.d[i] = 0 if y == 0 else b.fitted(y, s.aval[i])
    return 0


cdef uint32_t tangent_elementwise(Builder b, uint32_t i) except? 0:
    cdef Tape s = b.source
    cdef int op = s.op[i], dtype = AVALS[s.aval[i]].dtype
    cdef const uint32_t *ids = NULL
    cdef uint32_t[4] x
    cdef uint32_t[3] chosen
    cdef uint32_t y = 0, k, m = s.operands(i, &ids)
    cdef const fa_template *p
    b.slots(i, x)
    if op == FA_WHERE:
        if b.d[ids[1]] == 0 and b.d[ids[2]] == 0:
            return 0
        chosen[0] = x[0]
        for k in range(1, 3):
            chosen[k] = b.d[ids[k]] if b.d[ids[k]] else b.target.const_real(dtype, 0.0)
        return b.elementwise(FA_WHERE, dtype, 3, chosen)
    if op == FA_STRONGZERO or op == FA_ZEROPRODUCT:
        if b.d[ids[0]]:
            y = b.product(b.d[ids[0]], x[1]) if op == FA_STRONGZERO else b.elementwise2(op, b.d[ids[0]], x[1])
        if b.d[ids[1]]:                  # a zero factor silences the tangent, a zero tangent the factor
            y = b.plus(y, b.elementwise2(FA_ZEROPRODUCT, x[0], b.d[ids[1]]))
        return y
    for k in range(m):
        p = partial_of(op, dtype, k)
        if b.d[ids[k]] and p.out != FA_ZERO:
            y = b.plus(y, b.product(b.d[ids[k]], b.stamp(p, x, dtype)))
    return y
