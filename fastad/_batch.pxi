"""_batch.pxi - one tape for many lanes (included in _transform.pyx).

Owns: which values have the leading axis, elementwise primitives and guards on lanes.
A value that is the same in all lanes has no leading axis; it is repeated only where an instruction needs it.
Next: structural_rules.py.
"""

cdef class Lanes(Builder):
    """A builder for k lanes; bat[i]: the source's value i has the leading axis."""
    cdef uint8_t *bat
    cdef readonly int64_t k
    cdef dict spread                     # (value, shape) -> the value, repeated
    cdef list held                       # for each guard that differs from lane to lane: where it holds
    cdef readonly set looped             # names of what runs lane after lane

    def __cinit__(self, Tape source, Tape target=None, *rest):
        self.bat = <uint8_t *>calloc(source.n, 1)
        self.spread = {}
        self.held, self.looped = [], set()
        if self.bat == NULL:
            raise MemoryError(f"fastad: no memory to batch a tape of {source.n} instructions")

    def __dealloc__(self):
        free(self.bat)

    cdef uint32_t aval(self, uint32_t i) except? 0xffffffff:
        """Abstract value of value i with the leading axis."""
        cdef uint32_t a = self.source.aval[i]
        return aval_id(AVALS[a].dtype, (self.k,) + aval_shape(a))

    cdef uint32_t repeat(self, uint32_t x, bint batched, tuple shape) except 0:
        """x as (k, *shape): repeated over the lanes, or (a scalar of each lane) over the shape."""
        key = (x, shape)
        found = self.spread.get(key)
        if found is None:
            if batched:
                strides = (1,) + (0,) * len(shape)
            else:
                strides = (0,) + structural_rules.c_strides(shape)
            size = AVALS[self.target.aval[x]].size
            aval = aval_id(AVALS[self.target.aval[x]].dtype, (self.k,) + shape)
            found = self.emit("move", (x,), aval, T.Map.view(size, (self.k,) + shape, 0, strides))
            self.spread[key] = found
        return found

    cdef Site site_of_lanes(self, uint32_t i):
        cdef Site s = self.site(i)
        cdef const uint32_t *ids = NULL
        cdef uint32_t j, m = self.source.operands(i, &ids)
        s.batched = tuple([self.bat[ids[j]] != 0 for j in range(m)])
        s.k = self.k
        return s

    # -- for rules
    def lanes(self, Site s, int j):
        """Operand j with the leading axis."""
        return s.x[j] if s.batched[j] else self.repeat(s.x[j], False, self.shape(s.x[j]))

    def beside(self, Site s, int j, int index):
        """Operand j, of rank 0 or as large as the operand `index`, as large as that with its leading axis."""
        cdef int64_t size = self.size(s.x[j]) // (self.k if s.batched[j] else 1)
        shape = self.shape(s.x[index])[1 if s.batched[index] else 0:]
        if not s.batched[j]:
            return s.x[j] if self.shape(s.x[j]) == () else self.repeat(s.x[j], False, self.shape(s.x[j]))
        if self.shape(s.x[j]) == (self.k,) and shape != () and size == 1:
            return self.repeat(s.x[j], True, shape)
        return s.x[j]

    def one_lane(self, Site s, int j, int64_t lane):
        """Operand j in one lane."""
        if not s.batched[j]:
            return s.x[j]
        shape = self.shape(s.x[j])[1:]
        cdef int64_t n = math.prod(shape)
        view = T.Map.view(n * self.k, shape, lane * n, structural_rules.c_strides(shape))
        return self.emit("move", (s.x[j],), aval_id(self.dtype(s.x[j]), shape), view)


def batch(Tape tape, int64_t k, batched=None, bint decisions=False):
    """A tape for k lanes at once: values that differ from lane to lane have a leading axis of length k.

    Parameters
    ----------
    tape : Tape
    k : int
        Number of lanes, at least 1.
    batched : sequence of bool, optional
        Which inputs have the leading axis; by default the real ones.
    decisions : bool, optional
        The tape's one output is then: k booleans, in which lanes all guards hold.

    Returns
    -------
    Tape
        Every output has the leading axis.  Guards must hold in every lane, if not `decisions`.
    """
    cdef Lanes b
    cdef uint32_t i
    if k < 1:
        raise ShapeError(f"batch: {k} lanes; there must be one at least")
    if batched is None:
        batched = [is_real(AVALS[tape.aval[<uint32_t>at]].dtype) for at in tape.inputs]
    if len(batched) != len(tape.inputs):
        raise ShapeError(f"batch: {len(batched)} flags for {len(tape.inputs)} inputs")
    b = Lanes(tape)
    b.k = k
    for n, at in enumerate(tape.inputs):
        i = at
        b.bat[i] = bool(batched[n])
        b.map[i] = b.target.emit_input(b.aval(i) if b.bat[i] else tape.aval[i], not tape.inactive_input[<Py_ssize_t>n])
    for i in range(1, tape.n):
        if i == tape.boundary:
            b.target.boundary = b.target.n
        batch_instruction(b, i, decisions)
    b.copy_locations()
    b.target.derived["looped"] = tuple(sorted(b.looped))
    if decisions:
        b.target.outputs.append(all_held(b))
        return b.target.finish()
    for at in tape.outputs:
        i = at
        b.target.outputs.append(b.map[i] if b.bat[i] else b.repeat(b.map[i], False, aval_shape(tape.aval[i])))
    return b.target.finish()


cdef int batch_instruction(Lanes b, uint32_t i, bint decisions) except -1:
    cdef Tape s = b.source
    cdef const uint32_t *ids = NULL
    cdef uint32_t j, m
    cdef bint any_lane = False
    cdef Site site
    if b.map[i]:
        return 0
    m = s.operands(i, &ids)
    for j in range(m):
        any_lane = any_lane or b.bat[ids[j]]
    if not any_lane and not (decisions and s.op[i] == FA_GUARD):
        b.copy(i)
        return 0
    b.bat[i] = any_lane
    if s.op[i] == FA_GUARD:
        return batch_guard(b, i, decisions)
    if s.op[i] >= FA_ELEMENTWISE:
        b.map[i] = batch_elementwise(b, i)
        return 0
    site = b.site_of_lanes(i)
    b.map[i] = structural_rules.batch(b, site)
    return 0


cdef uint32_t batch_elementwise(Lanes b, uint32_t i) except 0:
    cdef Tape s = b.source
    cdef const uint32_t *ids = NULL
    cdef uint32_t[3] x
    cdef uint32_t j, m = s.operands(i, &ids)
    cdef int nd = AVALS[s.aval[i]].nd, have
    cdef tuple shape = aval_shape(s.aval[i])
    for j in range(m):
        x[j] = b.map[ids[j]]
        have = AVALS[s.aval[ids[j]]].nd
        if nd and b.bat[ids[j]] and have == 0:
            x[j] = b.repeat(x[j], True, shape)
        elif have and not b.bat[ids[j]]:
            x[j] = b.repeat(x[j], False, aval_shape(s.aval[ids[j]]))
    if FORMS[s.op[i]] == FA_FORM_NARY:
        return b.target.push_nary(s.op[i], b.aval(i), x, m, 0)
    return b.target.push(s.op[i], b.aval(i), x[0], x[1] if m > 1 else 0)


cdef int batch_guard(Lanes b, uint32_t i, bint decisions) except -1:
    """The recorded outcome must hold in every lane, bit for bit (of zero the sign, too; a NaN is a NaN)."""
    cdef Tape s = b.source
    cdef uint32_t x = s.arg[2 * <size_t>i], g = s.arg[2 * <size_t>i + 1], same
    kind, location = s.guard_info[g]
    dtype = AVALS[s.aval[x]].dtype
    value = T.number_of_bits(s.guards[g].expected, dtype)
    x = b.map[x]
    if value != value:
        same = b.elementwise_("isnan", x)
    else:
        same = b.elementwise_("equal", x, b.const(value, dtype))
        if value == 0 and is_real(dtype):
            sign = b.elementwise_("copysign", b.const(1.0, dtype), x)
            sign = b.elementwise_("equal", sign, b.const(math.copysign(1.0, value), dtype))
            same = b.elementwise_("logical_and", same, sign)
    b.map[i] = same
    if decisions:
        b.held.append(same if b.bat[i] else b.repeat(same, False, ()))
        return 0
    b.map[i] = b.emit("all", (same,), FA_BOOL, T.Axis(1, b.k, 1))
    b.target.emit_guard(b.map[i], 1, kind, location)
    return 0


cdef uint32_t all_held(Lanes b) except 0:
    """k booleans: where all guards hold."""
    if not b.held:
        return b.const(np.ones(b.k, bool), FA_BOOL)
    found = b.held[0]
    for same in b.held[1:]:
        found = b.elementwise_("logical_and", found, same)
    return found
