"""_moves.pxi - moves, writes and assemblies in fewer passes over memory (included in _passes.pyx).

Owns: writes onto arrays of one number, elements that are taken out and put back, slices of assemblies.
All but the second (which is algebra on finite numbers) keep every bit, and hold for primal instructions, too.
Must not know: derivative rules, loops.
Next: _passes.pyx, _fusion.pxi (which reads assemblies block by block).
"""


cdef uint32_t filled_write(Simplify p, uint32_t i) except? 0:
    """A write onto an array of one number as a move with that fill; 0 where it is none."""
    cdef Tape s = p.source
    cdef Tape t = p.target
    cdef uint32_t m = 0
    cdef uint32_t *x = p.mapped(i, &m)
    cdef uint32_t v = x[1], number = p.uniform(x[0])
    cdef int dtype = AVALS[s.aval[i]].dtype
    cdef fa_cell cell
    if number == 0 or AVALS[s.aval[i]].nd == 0 or AVALS[t.aval[v]].nd == 0 or not p.number(number, &cell):
        return 0
    attr = s.attr_list[s.arg[2 * <size_t>i + 1]]
    if attr.pieces is None:
        return 0
    fill = real_of(cell, dtype) if is_real(dtype) else cell.i
    if not math.isfinite(fill) or (fill == 0 and math.copysign(1.0, fill) < 0):     # attributes compare as numbers do
        return 0
    key = (attr, fill, dtype)
    if key not in p.filled:
        p.filled[key] = T.Map(*attr.fields()[:8], fill, dtype)
    return p.push(FA_MOVE, s.aval[i], v, t.attr_id(<Attr>p.filled[key]))


cdef uint32_t put_back(Simplify p, uint32_t i) except? 0:
    """w where elements of w are erased, and added where they were; else 0.  (The adjoint of `u[i] += s`.)"""
    cdef Tape t = p.target
    cdef Tape s = p.source
    cdef const fa_stack *st = <const fa_stack *>s.attrs[s.arg[2 * <size_t>i + 1]]
    cdef uint32_t k, w, m = 0
    cdef uint32_t *x
    if not st.has_base or not st.accumulate or st.n > 8 or st.pos == NULL:
        return 0
    x = p.mapped(i, &m)
    if t.op[x[0]] != FA_ERASE:
        return 0
    w = t.arg[2 * <size_t>x[0]]
    positions = set()
    for k in range(1, m):
        if t.op[x[k]] != FA_ELEMENT or t.arg[2 * <size_t>x[k]] != w or t.arg[2 * <size_t>x[k] + 1] != st.pos[k - 1]:
            return 0
        positions.add(st.pos[k - 1])
    erased = (<Attr>t.attr_list[t.arg[2 * <size_t>x[0] + 1]])
    if len(positions) != st.n or erased.sizes[0] > 8 and not few(erased, 8):
        return 0
    return p.fits(w, i) if set(erased.indices()[1].tolist()) == positions else 0


cdef object few(m, most):
    """Does a map name at most so many positions?"""
    if m.pieces is None:
        return len(m.dst if m.dst is not None else m.src) <= most
    return sum([math.prod(piece[0]) for piece in m.pieces]) <= most


# ---- slices of assemblies -------------------------------------------------------------------------------------------
def compose(Tape tape):
    """Assemble only what is read, where that is one slice: no array is written that another one is cut out of."""
    return (<Compose>Compose(tape)).run() if has(tape, FA_ASSEMBLE) else tape


cdef class Compose(Pass):
    cdef uint32_t *reader                # of each assembly; 0: none or several
    cdef dict composed                   # (the slice, the assembly) -> an assembly and its parts, or None

    def __cinit__(self, Tape source, Tape target=None, *rest):
        cdef const uint32_t *ids = NULL
        cdef uint32_t i, k, m
        cdef uint32_t *uses = <uint32_t *>calloc(source.n, sizeof(uint32_t))
        self.composed = {}
        self.reader = <uint32_t *>calloc(source.n, sizeof(uint32_t))
        if self.reader == NULL or uses == NULL:
            free(uses)
            raise MemoryError(f"fastad: no memory to simplify a tape of {source.n} instructions")
        for at in source.outputs:
            uses[<uint32_t>at] += 1
        for i in range(1, source.n):
            m = source.operands(i, &ids)
            for k in range(m):
                uses[ids[k]] += 1
                self.reader[ids[k]] = i
        for i in range(1, source.n):
            if uses[i] != 1 or source.op[i] != FA_ASSEMBLE:
                self.reader[i] = 0
        free(uses)

    def __dealloc__(self):
        free(self.reader)

    cdef object read_of(self, uint32_t x, uint32_t i):
        """What instruction i reads of assembly x, which nobody else reads."""
        cdef Tape s = self.source
        if i == 0 or s.op[i] != FA_MOVE:
            return None
        key = (s.attr_list[s.arg[2 * <size_t>i + 1]], s.attr_list[s.arg[2 * <size_t>x + 1]])
        if key not in self.composed:
            self.composed[key] = slice_of(key[0], key[1])
        return self.composed[key]

    cdef int step(self, uint32_t i) except -1:
        cdef Tape s = self.source
        cdef uint32_t x, m = 0
        cdef uint32_t *ids
        if s.op[i] == FA_ASSEMBLE and self.reader[i] and self.read_of(i, self.reader[i]) is not None:
            return 0
        if s.op[i] == FA_MOVE:
            x = s.arg[2 * <size_t>i]
            found = self.read_of(x, i) if self.reader[x] == i else None
            if found is not None:
                attr, kept = found
                ids = self.mapped(x, &m)
                self.map[i] = self.target.emit("assemble", [ids[<int>k] for k in kept], s.aval[i], attr)
                return 0
        self.copy(i)
        return 0


cdef object slice_of(move, assembly):
    """(the assembly of what `move` reads of `assembly`, numbers of its parts); None: no boxes of one grid."""
    maps, accumulate, _, fill, fill_dtype = assembly.fields()
    if move.pieces is None or len(move.pieces) != 1 or not move.fields()[5]:
        return None
    parts, kept = [], []
    for k, m in enumerate(maps):
        if m.pieces is None:
            return None
        pieces = [cut(piece, move.pieces[0]) for piece in m.pieces]
        if None in pieces:
            return None
        pieces = tuple([piece for piece in pieces if piece != ()])
        if pieces:
            covers = len(pieces) == 1 and math.prod(pieces[0][0]) == move.sizes[1]
            parts.append(T.Map(m.sizes[0], move.sizes[1], pieces, None, None, covers, *m.fields()[6:8]))
            kept.append(k)
    return (T.Assemble(parts, accumulate, False, fill, fill_dtype), kept) if parts else None


cdef object cut(piece, window):
    """The part of a piece whose destination a slice reads, with its place in the slice; () if there is none.

    None where the two have not the same rows.  Both are boxes of one grid: its strides are those of the slice.
    """
    strides = [stride for extent, stride in zip(window[0], window[2], strict=True) if extent > 1]
    if not strides or min(strides) < 1 or not divides(strides):
        return None
    seen, mine = box(window[0], window[1], window[2], strides), box(piece[0], piece[3], piece[4], strides)
    if seen is None or mine is None:
        return None
    shape, soff, sstr, doff, dstr = [], piece[1], [], window[3], []
    for stride, (a, n, dim), (b, m, other) in zip(strides, seen, mine, strict=True):
        low, high = max(a, b), min(a + n, b + m)
        if low >= high:
            return ()
        shape.append(high - low)
        dstr.append(window[4][dim])
        sstr.append(piece[2][other] if other is not None else 0)
        doff += (low - a) * dstr[-1]
        soff += (low - b) * sstr[-1]
    return tuple(shape), soff, tuple(sstr), doff, tuple(dstr)


cdef bint divides(strides) except -1:
    """Is each stride a multiple of the next, and larger?"""
    for a, b in zip(strides, strides[1:], strict=False):
        if a <= b or a % b:
            return False
    return True


cdef object box(shape, offset, steps, strides):
    """[(first, extent, dimension of `shape` or None)] for each stride of a grid; None where it is no box of it."""
    where = {}
    for dim, (extent, step) in enumerate(zip(shape, steps, strict=True)):
        if extent > 1:
            if step not in strides or step in where:
                return None
            where[step] = dim
    out = []
    for k, stride in enumerate(strides):
        first, offset = divmod(offset, stride)
        dim = where.get(stride)
        extent = 1 if dim is None else shape[dim]
        if k and (first + extent) * stride > strides[k - 1]:
            return None                  # it goes around a row's end
        out.append((first, extent, dim))
    return out if offset == 0 else None
