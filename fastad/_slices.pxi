"""_slices.pxi - what a slice alone reads is computed only there (included in _passes.pyx).

Owns: slices of assemblies, of moves and of derivative code's elementwise results, as what is made of slices.
No array is written that another one is cut out of: an adjoint wave that is read inside the edges has none.  Every bit
that is read is what it was; primal elementwise instructions stay whole, since they may raise a flag that the user is
to see.
Must not know: derivative rules, loops.
Next: _moves.pxi, _passes.pyx, _fusion.pxi.
"""


def compose(Tape tape):
    """Compute only what is read, where that is one slice."""
    return (<Compose>Compose(tape)).run() if has(tape, FA_MOVE) and (tape.boundary or has(tape, FA_ASSEMBLE)) else tape


cdef class Compose(Pass):
    cdef uint32_t *window                # of each value: the slice through which alone it is read; 0: there is none
    cdef dict composed                   # (slice, move or assembly) -> an attribute for both, numbers of parts; or None
    cdef dict slices                     # (value of the target, attribute) -> its slice

    def __cinit__(self, Tape source, Tape target=None, *rest):
        cdef const uint32_t *ids = NULL
        cdef uint32_t i, k, m
        cdef uint32_t *reader = <uint32_t *>calloc(source.n, sizeof(uint32_t))
        cdef uint8_t *uses = <uint8_t *>calloc(source.n, 1)
        self.composed = {}
        self.slices = {}
        self.window = <uint32_t *>calloc(source.n, sizeof(uint32_t))
        if self.window == NULL or reader == NULL or uses == NULL:
            free(reader)
            free(uses)
            raise MemoryError(f"fastad: no memory to simplify a tape of {source.n} instructions")
        try:
            for at in source.outputs:
                uses[<uint32_t>at] = 2
            for i in range(1, source.n):
                m = source.operands(i, &ids)
                for k in range(m):
                    uses[ids[k]] += uses[ids[k]] < 2
                    reader[ids[k]] = i
            for i in range(source.n - 1, 0, -1):
                if uses[i] == 1 and AVALS[source.aval[i]].nd:
                    self.window[i] = self.window_of(i, reader[i])
        finally:
            free(reader)
            free(uses)

    def __dealloc__(self):
        free(self.window)

    cdef uint32_t window_of(self, uint32_t x, uint32_t reader) except? 0xffffffff:
        """The slice through which instruction `reader`, the only one that reads x, looks at it; 0: it sees all."""
        cdef Tape s = self.source
        cdef uint32_t w = 0
        if s.op[reader] == FA_MOVE:
            w = reader if is_slice(<const fa_map *>s.attrs[s.arg[2 * <size_t>reader + 1]]) else 0
        elif s.op[reader] == FA_RESHAPE or (self.is_derivative(reader) and is_elementwise(s, reader)) \
                or (s.op[reader] == FA_ASSEMBLE and self.is_whole_part(x, reader)):
            w = self.window[reader]
        if w == 0:
            return 0
        if s.op[x] == FA_ASSEMBLE or s.op[x] == FA_MOVE:
            return w if self.read_of(x, w) is not None else 0
        return w if s.op[x] == FA_RESHAPE or (self.is_derivative(x) and is_elementwise(s, x)) else 0

    cdef bint is_whole_part(self, uint32_t x, uint32_t i) except -1:
        """Does everything of x go to its own place in assembly i?"""
        cdef const uint32_t *ids = NULL
        cdef uint32_t k, m = self.source.operands(i, &ids)
        maps = self.source.attr_list[self.source.arg[2 * <size_t>i + 1]].maps
        for k in range(m):
            if ids[k] == x:
                return is_identity(<Attr>maps[k])
        return False

    cdef bint is_derivative(self, uint32_t i) noexcept:
        return 0 < self.source.boundary <= i

    cdef object read_of(self, uint32_t x, uint32_t w):
        """What slice w reads of move or assembly x: (an attribute, the operands that it still has); or None."""
        cdef Tape s = self.source
        key = (s.attr_list[s.arg[2 * <size_t>w + 1]], s.attr_list[s.arg[2 * <size_t>x + 1]])
        if key not in self.composed:
            self.composed[key] = (slice_of_move if s.op[x] == FA_MOVE else slice_of)(key[0], key[1])
        return self.composed[key]

    cdef int step(self, uint32_t i) except -1:
        cdef Tape s = self.source
        if self.window[i]:
            self.map[i] = self.narrowed(i, self.window[i])
        elif s.op[i] == FA_MOVE and self.window[s.arg[2 * <size_t>i]] == i:
            self.map[i] = self.map[s.arg[2 * <size_t>i]]
        else:
            self.copy(i)
        return 0

    cdef uint32_t narrowed(self, uint32_t i, uint32_t w) except 0:
        """What slice w reads of instruction i."""
        cdef Tape s = self.source
        cdef const uint32_t *ids = NULL
        cdef uint32_t k, m = s.operands(i, &ids), aval = self.aval_in(i, w)
        cdef int op = s.op[i]
        cdef uint32_t[3] x
        if op == FA_MOVE:
            k = self.map[ids[0]]
            if self.window[ids[0]] == i:                 # only what i reads is computed of it
                attr = s.attr_list[s.arg[2 * <size_t>w + 1]]
            else:
                attr = self.read_of(i, w)[0]
            if not is_identity(<Attr>attr):
                return append(self.target, FA_MOVE, aval, k, self.target.attr_id(<Attr>attr))
            return k if self.target.aval[k] == aval else append(self.target, FA_RESHAPE, aval, k,
                                                                self.target.attr_id(None))
        if op == FA_ASSEMBLE:
            attr, kept = self.read_of(i, w)
            there = tuple([self.window[ids[<int>k]] == w for k in kept])
            if True in there:
                attr = self.with_slices(attr, there)
            return self.target.emit("assemble", [self.map[ids[<int>k]] for k in kept], aval, attr)
        for k in range(m):
            x[k] = self.slice(ids[k], w)
        if op == FA_RESHAPE:
            return x[0]
        if FORMS[op] == FA_FORM_NARY:
            return self.target.push_nary(op, aval, x, m, 0)
        if op == FA_CAST:
            x[1] = self.attr(s.arg[2 * <size_t>i + 1])
        elif m == 1:
            x[1] = 0
        return append(self.target, op, aval, x[0], x[1])

    cdef object with_slices(self, assembly, there):
        """An assembly of which some parts are slices already, as large as itself."""
        key = assembly, there
        if key not in self.composed:
            size = assembly.maps[0].sizes[1]
            whole = T.Map.view(size, (size,), 0, (1,))
            self.composed[key] = T.Assemble([whole if is_there else m
                                             for m, is_there in zip(assembly.maps, there, strict=True)],
                                            *assembly.fields()[1:])
        return self.composed[key]

    cdef uint32_t aval_in(self, uint32_t x, uint32_t w) except 0:
        """Dtype of x, shape of slice w."""
        return aval_id(AVALS[self.source.aval[x]].dtype, aval_shape(self.source.aval[w]))

    cdef uint32_t slice(self, uint32_t x, uint32_t w) except 0:
        """What slice w reads of operand x of an instruction that is computed only there."""
        cdef Tape s = self.source
        if AVALS[s.aval[x]].nd == 0 or self.window[x] == w:
            return self.map[x]
        key = self.map[x], s.arg[2 * <size_t>w + 1], s.aval[w]
        if key not in self.slices:
            self.slices[key] = append(self.target, FA_MOVE, self.aval_in(x, w), self.map[x], self.attr(key[1]))
        return self.slices[key]


cdef bint is_elementwise(Tape t, uint32_t i) noexcept:
    return t.op[i] >= FA_ELEMENTWISE or t.op[i] == FA_CAST


cdef bint is_slice(const fa_map *m) noexcept:
    """Does a map read a box of an array, none of its elements twice, in their order?"""
    cdef const fa_piece *p = m.pieces
    cdef int64_t above = m.nsrc + 1
    cdef int d
    if not m.covers or not m.src_injective or m.npieces != 1 or m.ntable >= 0:
        return False
    for d in range(p.nd):
        if p.shape[d] > 1:
            if p.sstr[d] < 1 or p.sstr[d] >= above:
                return False
            above = p.sstr[d]
    return True


cdef uint32_t slice_of_slice(Simplify p, uint32_t i) except? 0:
    """A slice of a slice as one of what that was cut out of; 0 if it is none."""
    cdef Tape s = p.source
    cdef Tape t = p.target
    cdef uint32_t x = without_shape(t, p.map[s.arg[2 * <size_t>i]])
    attr = <Attr>s.attr_list[s.arg[2 * <size_t>i + 1]]
    if t.op[x] != FA_MOVE or not is_slice(<const fa_map *>t.attrs[t.arg[2 * <size_t>x + 1]]) \
            or not is_slice(<const fa_map *>(<Attr>attr).ptr):
        return 0
    key = (attr, t.attr_list[t.arg[2 * <size_t>x + 1]], "slice")
    if key not in p.made:
        p.made[key] = slice_of_move(key[0], key[1])
    found = p.made[key]
    return 0 if found is None else p.push(FA_MOVE, s.aval[i], t.arg[2 * <size_t>x], t.attr_id(<Attr>found[0]))


cdef object slice_of_move(window, move):
    """(the move that reads what `window` reads of `move`, [0]); None: no boxes of one grid, or nothing is left."""
    if move.pieces is None:
        return None
    pieces = pieces_in(move.pieces, window.pieces[0])
    if not pieces:
        return None
    return T.Map(move.sizes[0], window.sizes[1], pieces, None, None, covered(pieces, window.sizes[1]),
                 *move.fields()[6:]), [0]


cdef object slice_of(window, assembly):
    """(the assembly of what `window` reads of `assembly`, numbers of its parts); None: no boxes of one grid."""
    maps, accumulate, _, fill, fill_dtype = assembly.fields()
    parts, kept = [], []
    for k, m in enumerate(maps):
        pieces = None if m.pieces is None else pieces_in(m.pieces, window.pieces[0])
        if pieces is None:
            return None
        if pieces:
            parts.append(T.Map(m.sizes[0], window.sizes[1], pieces, None, None, covered(pieces, window.sizes[1]),
                               *m.fields()[6:8]))
            kept.append(k)
    return (T.Assemble(parts, accumulate, False, fill, fill_dtype), kept) if parts else None


cdef object pieces_in(pieces, window):
    """What a slice reads of pieces; None: no boxes of one grid."""
    found = [cut(piece, window) for piece in pieces]
    return None if None in found else tuple([piece for piece in found if piece != ()])


cdef bint covered(pieces, int64_t size) except -1:
    return len(pieces) == 1 and math.prod(pieces[0][0]) == size


cdef object cut(piece, window):
    """The part of a piece whose destination a slice reads, with its place in the slice; () if there is none.

    None where the two have not the same rows.  Both are boxes of one grid: its strides are those of the slice.
    """
    run = within_run(piece, window)
    if run is not None:
        return run
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


cdef object within_run(piece, window):
    """The slice of a piece that moves neighbours together, all in their order, if it lies inside; else None."""
    shape, soff, sstr, doff, dstr = piece
    n = 1
    for extent, a, b in zip(reversed(shape), reversed(sstr), reversed(dstr), strict=True):
        if extent > 1 and (a != n or b != n):
            return None
        n *= extent
    last = window[1] + sum([(extent - 1) * stride for extent, stride in zip(window[0], window[2], strict=True)])
    if window[1] < doff or last >= doff + n:
        return None
    return window[0], window[1] - doff + soff, window[2], window[3], window[4]


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
