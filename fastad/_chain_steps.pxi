"""_chain_steps.pxi - what a loop can do with an instruction: which step of a chain it is, whether it stores rows
or weaves (included in _program.pyx).

Owns: the numbers of steps by opcode.  Must not know: loops.
Next: _fusion.pxi, _kernels/chain_steps.h.
"""

cdef uint8_t[512] CHAIN_STEP                                 # of an opcode, where the types of its operands allow it


def _number_steps():
    cdef int code
    steps = {"sign": FA_CHAIN_SIGN, "fabs": FA_CHAIN_ABSOLUTE, "logical_and": FA_CHAIN_AND, "bitwise_and": FA_CHAIN_AND,
             "logical_or": FA_CHAIN_OR, "bitwise_or": FA_CHAIN_OR, "logical_xor": FA_CHAIN_XOR,
             "bitwise_xor": FA_CHAIN_XOR, "logical_not": FA_CHAIN_NOT, "invert": FA_CHAIN_NOT}
    for code in range(512):
        CHAIN_STEP[code] = fa_chain_code(code)
    for name, step in steps.items():
        CHAIN_STEP[<int>T.OPCODES[name]] = step


_number_steps()


cdef int chain_step(Tape t, uint32_t i) except -1:
    """The step of instruction i in a chain; FA_CHAIN_END: it is none."""
    cdef const uint32_t *ids = NULL
    if CHAIN_STEP[t.op[i]] == FA_CHAIN_END:
        return FA_CHAIN_END
    t.operands(i, &ids)
    return fa_chain_step_for(CHAIN_STEP[t.op[i]], AVALS[t.aval[ids[1 if t.op[i] == FA_WHERE else 0]]].dtype,
                             AVALS[t.aval[i]].dtype)


cdef uint32_t moved_by(Tape t, uint32_t i) noexcept:
    """What a move puts into an array of one number, or a write on top of another array."""
    cdef const uint32_t *ids = NULL
    t.operands(i, &ids)
    return ids[t.op[i] == FA_WRITE]


cdef uint32_t below(Tape t, uint32_t i) noexcept:
    """The array below a write; 0: a move has none."""
    cdef const uint32_t *ids = NULL
    t.operands(i, &ids)
    return ids[0] if t.op[i] == FA_WRITE else 0


cdef bint stores_rows(Tape t, uint32_t i, fa_reader *r) except -1:
    """Does move or write i put an array, in its order, into rows of a larger one (`u[1:-1, 1:-1] = v`)?  r: where they
    lie."""
    cdef const fa_map *m = <const fa_map *>t.attrs[t.arg[2 * <size_t>i + 1]]
    cdef const fa_aval *x = &AVALS[t.aval[moved_by(t, i)]]
    cdef int64_t expected = 1
    cdef int k
    if m.covers or m.npieces != 1 or x.nd == 0 or not is_real(x.dtype) or fa_reader_of(&m.pieces[0], r) < 1:
        return False
    for k in range(r.nd - 1, -1, -1):
        if r.dim[k].s != expected:
            return False
        expected *= r.dim[k].n
    return expected == x.size and r.soff == 0 and r.dim[r.nd - 1].d == 1 \
        and r.dim[r.nd - 1].n * fa_itemsize[x.dtype] >= FA_TILE_BYTES


cdef bint weaves(Tape t, uint32_t i, fa_weave *w) except -1:
    """Does assembly i add up arrays of one size, shifted by a few elements, in a longer one?  w: how."""
    cdef const fa_assemble *a = <const fa_assemble *>t.attrs[t.arg[2 * <size_t>i + 1]]
    cdef const uint32_t *ids = NULL
    cdef const fa_aval *x
    cdef fa_reader r
    cdef int k
    t.operands(i, &ids)
    x = &AVALS[t.aval[ids[0]]]
    w.size = AVALS[t.aval[i]].size
    w.dtype = x.dtype
    if not a.accumulate or a.fill.i or not is_real(x.dtype) or a.n < 2 or a.n > FA_WEAVE_PARTS or w.size == x.size:
        return False
    for k in range(a.n):
        if AVALS[t.aval[ids[k]]].nd == 0 or AVALS[t.aval[ids[k]]].size != x.size or a.maps[k].npieces != 1 \
                or a.maps[k].ntable >= 0 or fa_reader_of(&a.maps[k].pieces[0], &r) < 0 \
                or not fa_reader_contiguous(&r) or r.soff or r.reach != x.size:
            return False
        w.shift[k] = r.doff
        w.first = r.doff if k == 0 else min(w.first, r.doff)
        w.reach = r.doff if k == 0 else max(w.reach, r.doff)
    w.n = a.n
    w.reach -= w.first
    for k in range(a.n):
        w.shift[k] -= w.first
    return w.reach <= FA_WEAVE_REACH
