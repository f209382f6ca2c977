"""_reverse_mode.pxi - the adjoint of a tape is a tape (included in _transform.pyx).

Owns: the order of the reverse part, the collection of adjoints.  A contribution to a whole value is added at once;
contributions to parts of an array (elements, slices, gathered positions) wait until a whole one or the value's turn
comes and then make one array together: n reads of an array of n elements cost O(n), not O(n*n).
Where a whole adjoint is there already, a small part is added to it in place: gather, add, write.
Whole ones and slices are added in the order in which they come, one by one: it is the same sum, bit by bit, wherever
a program is cut in segments (_segments.pyx), whose adjoints begin with what came before.
Next: structural_rules.py.
"""

def vjp(Tape tape, outputs=None, rooms=None, seed=None):
    """Adjoint of a tape, as a tape.

    Inputs: those of `tape`, then one seed for each real output (none if `seed` is given).
    Outputs: those of `tape`, then the adjoints of its active real inputs.

    Parameters
    ----------
    tape : Tape
    outputs : sequence of int, optional
        Positions of the outputs that get a seed; by default all.  The seeds of the others are zero: nothing is
        computed for them.
    rooms : Rooms, optional
        How much each time loop may keep for its adjoint (scan_checkpoints.py); by default everything.
    seed : float, optional
        A constant that is the seed of each of them, and of each element of an array.
    """
    cdef Builder b
    cdef uint32_t i, w, aval
    chosen = range(len(tape.outputs)) if outputs is None else outputs
    ensure_templates()
    b = Builder(tape)
    reserve(b.target, 4 * <size_t>tape.n)
    b.adjoint_follows = True
    b.rooms = rooms
    tape.is_active(tape.n - 1)
    b.copy_inputs()
    seeds = []
    for k in chosen:
        i = tape.outputs[k]
        aval = strong(tape.aval[i])
        if is_real(AVALS[aval].dtype):
            seeds.append((i, b.target.emit_input(aval) if seed is None else constant_input(b.target, aval, seed)))
    b.copy_all()
    for at, given in seeds:
        if tape.act[<uint32_t>at]:
            give_whole(b, at, given)
    for i in range(tape.n - 1, 0, -1):
        if tape.act[i] and tape.op[i] > FA_CAPTURE:
            w = collected(b, i)
            if w:
                adjoint(b, i, w)
    b.copy_outputs()
    for at in tape.inputs:
        i = at
        if tape.act[i]:
            w = collected(b, i)
            b.target.outputs.append(w if w else b.zeros(tape.aval[i]))
    return b.target.finish()


cdef int adjoint(Builder b, uint32_t i, uint32_t w) except -1:
    cdef Tape s = b.source
    cdef Site site
    cdef int op = s.op[i]
    cdef uint32_t x = s.arg[2 * <size_t>i]
    if op >= FA_ELEMENTWISE:
        return adjoint_elementwise(b, i, w)
    if op == FA_ELEMENT:
        if AVALS[s.aval[x]].nd == 0:
            return give_whole(b, x, w)
        return parts_of(b, x).add_element(w, s.arg[2 * <size_t>i + 1])
    site = b.site(i)
    site.w = w
    structural_rules.adjoint(Reverse(b, i), site)
    return 0


cdef int adjoint_elementwise(Builder b, uint32_t i, uint32_t w) except -1:
    cdef Tape s = b.source
    cdef int op = s.op[i], dtype = AVALS[s.aval[i]].dtype
    cdef const uint32_t *ids = NULL
    cdef uint32_t[4] x
    cdef uint32_t[3] chosen
    cdef uint32_t k, p, m = operands_of(s, i, &ids)
    b.slots(i, x)
    for k in range(m):
        if not s.act[ids[k]]:
            continue
        if op == FA_WHERE:
            chosen[0] = x[0]
            chosen[k] = w
            chosen[3 - k] = b.target.const_real(dtype, 0.0)
            give_whole(b, ids[k], b.elementwise(FA_WHERE, dtype, 3, chosen))
        elif op == FA_ZEROPRODUCT or (op == FA_STRONGZERO and k == 1):
            # a zero factor silences an adjoint that is not finite, a zero adjoint such a factor
            give_whole(b, ids[k], b.elementwise2(FA_ZEROPRODUCT, x[1 - k], w))
        elif op == FA_STRONGZERO:
            give_whole(b, ids[k], b.product(w, x[1]))
        elif PRIMS[op].partial[k].out != FA_ZERO:
            p = b.stamp(partial_of(op, dtype, k), x, dtype)
            if AVALS[s.aval[ids[k]]].nd == 0 and AVALS[b.target.aval[p]].nd == 0:
                give_whole(b, ids[k], b.product(b.fitted(w, dtype), p))     # sum first: one product, not n
            else:
                give_whole(b, ids[k], b.product(w, p))
    return 0


# ---- contributions --------------------------------------------------------------------------------------------------
cdef class Parts:
    """Contributions to parts of one array: elements (C vectors: there may be a million), slices, gathered positions."""
    cdef uint32_t *ids
    cdef int64_t *at
    cdef size_t n, cap
    cdef list moves                      # (value, map from it to the array)
    cdef list takes                      # (positions, values)

    def __cinit__(self):
        self.moves = []
        self.takes = []

    def __dealloc__(self):
        free(self.ids)
        free(self.at)

    cdef int add_element(self, uint32_t w, int64_t at) except -1:
        if self.n == self.cap:
            self.cap = max(8, 2 * self.cap)
            self.ids = <uint32_t *>realloc(self.ids, self.cap * sizeof(uint32_t))
            self.at = <int64_t *>realloc(self.at, self.cap * sizeof(int64_t))
            if self.ids == NULL or self.at == NULL:
                raise MemoryError("fastad: no memory for adjoints of elements")
        self.ids[self.n] = w
        self.at[self.n] = at
        self.n += 1
        return 0


cdef Parts parts_of(Builder b, uint32_t x):
    cdef Parts found
    x = without_shape(b.source, x)
    if b.need[x]:
        return <Parts>b.parts[x]
    b.need[x] = True
    b.parts[x] = found = Parts()
    return found


cdef int give_whole(Builder b, uint32_t x, uint32_t w) except -1:
    cdef uint32_t y = without_shape(b.source, x)
    w = b.fitted(w, b.source.aval[x])
    if y != x:
        w = b.fitted(w, b.source.aval[y])                    # as many elements
    if b.need[y]:
        collected(b, y)
    b.d[y] = b.plus(b.d[y], w)
    return 0


cdef uint32_t collected(Builder b, uint32_t x) except? 0:
    """The adjoint of x from all its contributions; 0 if there are none."""
    cdef uint32_t w = b.d[x], aval = strong(b.source.aval[x])
    cdef Parts p
    if not b.need[x]:
        return w
    b.need[x] = False
    p = b.parts.pop(x)
    if p.takes:
        w = with_takes(b, w, aval, p.takes)
    if p.moves:
        w = with_moves(b, w, aval, p.moves)
    if p.n:
        w = with_elements(b, w, aval, p)
    b.d[x] = w
    return w


cdef uint32_t with_elements(Builder b, uint32_t w, uint32_t aval, Parts p) except 0:
    cdef object at = np.empty(p.n, dtype=np.int64)
    cdef int64_t[::1] to = at
    cdef int64_t size = AVALS[aval].size
    cdef size_t k
    ids = [p.ids[k] for k in range(p.n)]
    for k in range(p.n):
        to[k] = p.at[k]
    if w:
        return b.emit("stack", [w] + ids, aval, T.Stack(len(ids), at, has_base=True, accumulate=True))
    order = np.argsort(at, kind="stable")
    at = at[order]
    ids = [ids[k] for k in order.tolist()]
    repeats = bool(len(at) > 1 and (at[1:] == at[:-1]).any())
    whole = not repeats and len(at) == size
    return b.emit("stack", ids, aval, T.Stack(len(ids), None if whole else at, accumulate=repeats))


cdef uint32_t with_moves(Builder b, uint32_t w, uint32_t aval, list moves) except 0:
    cdef int64_t total = sum([pairs(<Attr>m) for _, m in moves])
    cdef int64_t size = AVALS[aval].size
    if not w and len(moves) == 1:
        return b.emit("move", (moves[0][0],), aval, moves[0][1])
    if w and 4 * total <= size and all([(<fa_map *>(<Attr>m).ptr).dst_injective for _, m in moves]):
        for source, m in moves:
            w = add_in_place(b, w, aval, source, m)
        return w
    sources = [source for source, _ in moves]
    maps = [m for _, m in moves]
    if w:
        sources.insert(0, w)
        maps.insert(0, structural_rules.identity_map(size))
    return b.emit("assemble", sources, aval, T.Assemble(maps, accumulate=True))


cdef uint32_t add_in_place(Builder b, uint32_t w, uint32_t aval, uint32_t source, m) except 0:
    """w with a small part added: the cost is that of the part when w's memory can be reused."""
    packed, unpacked = structural_rules.split_map(m)
    cdef uint32_t part
    if packed is not None:
        source = b.emit("move", (source,), aval_id(AVALS[aval].dtype, (packed.sizes[1],)), packed)
    part = b.emit("move", (w,), b.target.aval[source], unpacked.T)
    part = b.elementwise2(FA_ADD, part, source)
    return b.emit("write", (w, part), aval, unpacked)


cdef uint32_t with_takes(Builder b, uint32_t w, uint32_t aval, list takes) except 0:
    cdef uint32_t index, value, part
    if w and all([b.size(index) == 1 for index, _ in takes]):
        for index, value in takes:
            part = b.target.push(T.OPCODES["take"], b.target.aval[value], w, index)
            part = b.elementwise2(FA_ADD, part, value)
            w = b.emit("put", (w, index, part), aval)
        return w
    if len(takes) == 1:
        index, value = takes[0]
    else:
        index = structural_rules.concatenated(b, [i for i, _ in takes])
        value = structural_rules.concatenated(b, [b.fit(v, T.aval(AVALS[aval].dtype, b.shape(i))) for i, v in takes])
    part = b.emit("addat", (index, value), aval)
    return b.plus(w, part)


cdef bint is_whole(m, int64_t n) except -1:
    """Does a map give something to each element: one number, or many, as the adjoint of a broadcast does?"""
    cdef const fa_map *p = <const fa_map *>(<Attr>m).ptr
    return p.npieces == 1 and p.ntable < 0 and (n == p.ndst if p.dst_injective else n >= 2 * p.ndst)


cdef class Reverse:
    """What an adjoint rule writes with: the builder `b`, and where its contributions go."""
    cdef readonly Builder b
    cdef uint32_t i

    def __cinit__(self, Builder b, uint32_t i):
        self.b = b
        self.i = i

    cdef uint32_t operand(self, int k) except 0:
        cdef const uint32_t *ids = NULL
        self.b.source.operands(self.i, &ids)
        return ids[k]

    def give(self, int k, uint32_t w):
        """Add w to the adjoint of operand k."""
        give_whole(self.b, self.operand(k), w)

    def give_moved(self, int k, uint32_t source, m, bint now=False):
        """Add what map `m` takes from `source` to operand k; `now`: source is about to be overwritten."""
        cdef uint32_t x = self.operand(k)
        cdef int64_t n = pairs(<Attr>m)
        cdef uint32_t aval = strong(self.b.source.aval[x])
        if AVALS[aval].nd == 0 or (now and 2 * n >= AVALS[aval].size) or is_whole(m, n):
            give_whole(self.b, x, self.b.emit("move", (source,), aval, m))
        elif not now:
            parts_of(self.b, x).moves.append((source, m))
        else:
            packed, unpacked = structural_rules.split_map(m)
            if packed is None:
                packed = structural_rules.identity_map(n)
            source = self.b.emit("move", (source,), aval_id(AVALS[aval].dtype, (n,)), packed)
            parts_of(self.b, x).moves.append((source, unpacked))

    def give_taken(self, int k, uint32_t index, uint32_t w):
        """Add w to operand k at flat positions `index`."""
        parts_of(self.b, self.operand(k)).takes.append((index, w))
