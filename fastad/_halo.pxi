"""_halo.pxi - sums of shifted slices, the adjoints of stencils, as stencils (included in _program.pyx).

Owns: assemblies that add up slices of arrays, written as sums of slices of arrays with zeros around them.
Products of one array with several numbers are taken when it is read: one array is written, not one for each of them.
Where a part of the assembly does not reach, its array has a zero there: +0 changes no sum that began with one, so that
the bits are the same.  Whatever computes the array writes it with its halo, and what reads the sum can compute it in
its own loop, from rows where they lie (_loop_writer.pxi): nothing is put together run by run.
Must not know: derivative rules, which instructions make a loop (_fusion.pxi).
Next: _fusion.pxi.
"""

cdef enum: MOST_SUMMED = 64              # parts of an assembly that is rewritten
cdef enum: MOST_PLAIN = 1                # parts that are no whole shifted array, of an assembly


cdef Tape with_halos(Tape tape):
    """The tape with its assemblies rewritten where that is better; the tape itself where none is."""
    cdef Halos halos
    cdef uint32_t i
    for i in range(1, tape.n):
        if tape.op[i] == FA_ASSEMBLE:
            halos = Halos(tape)
            if not halos.any():
                return tape
            tape = halos.run()
            return _passes.dead(tape) if halos.scaled else tape
    return tape


cdef class Halos(Copier):
    cdef dict plans                      # (attribute, result, sizes of operands, which are the same) -> plan or None
    cdef dict padded                     # (array of the new tape, its halo) -> the array with it
    cdef bint scaled                     # has a product been taken out of what is read?
    cdef uint32_t[MOST_SUMMED] unscaled  # the operands of the assembly at hand without constant factors
    cdef uint32_t[MOST_SUMMED] factor    # these; 0: none
    cdef uint16_t[MOST_SUMMED] product   # and the instruction: multiply or strong-zero product

    def __cinit__(self, Tape source, Tape target=None, *rest):
        self.plans = {}
        self.padded = {}

    cdef uint32_t *factors(self, uint32_t i, uint32_t *count) except? NULL:
        """The operands of assembly i; those that are products of one array with several numbers: this array."""
        cdef Tape s = self.source
        cdef const uint32_t *ids = NULL
        cdef uint32_t *x
        cdef uint32_t k, j, m = s.operands(i, &ids)
        cdef bint several
        count[0] = m
        if m > MOST_SUMMED:
            return NULL
        x = self.unscaled
        for k in range(m):
            x[k] = ids[k]
            self.factor[k] = 0
            self.product[k] = s.op[ids[k]]
            if self.product[k] == FA_MULTIPLY or self.product[k] == FA_STRONGZERO:
                for j in range(2):
                    if self.is_factor(ids[k], j):
                        x[k], self.factor[k] = s.arg[2 * <size_t>ids[k] + 1 - j], s.arg[2 * <size_t>ids[k] + j]
        for k in range(m):
            if self.factor[k]:
                several = False
                for j in range(m):
                    several |= x[j] == x[k] and ids[j] != ids[k]
                if not several:
                    x[k], self.factor[k] = ids[k], 0
        return x

    cdef bint is_factor(self, uint32_t x, int j) noexcept:
        """Is operand j of product x a number that makes no NaN of the zeros around an array?"""
        cdef Tape s = self.source
        cdef uint32_t y = s.arg[2 * <size_t>x + j]
        cdef fa_cell *c
        cdef double value
        if AVALS[s.aval[y]].nd or AVALS[s.aval[s.arg[2 * <size_t>x + 1 - j]]].nd == 0:
            return False
        if s.op[x] == FA_STRONGZERO or s.op[y] != FA_CONST:
            return s.op[x] == FA_STRONGZERO and j == 1
        c = &s.cells[s.arg[2 * <size_t>y]]
        value = c.f if AVALS[s.aval[y]].dtype == FA_F64 else c.s
        return value - value == 0.0

    cdef object plan(self, uint32_t i):
        """(halos by operand, parts) of assembly i, or None."""
        cdef Tape s = self.source
        cdef uint32_t k, m = 0
        cdef uint32_t *ids = self.factors(i, &m)
        cdef dict number = {}
        if ids == NULL or not is_real(AVALS[s.aval[i]].dtype) or m < 2:
            return None
        key = (s.arg[2 * <size_t>i + 1], s.aval[i], tuple([AVALS[s.aval[ids[k]]].size for k in range(m)]),
               tuple([number.setdefault(ids[k], k) for k in range(m)]))
        if key not in self.plans:
            self.plans[key] = halo_plan(s.attr_list[key[0]], AVALS[s.aval[i]].size, fa_itemsize[AVALS[s.aval[i]].dtype],
                                        AVALS[s.aval[i]].dtype, key[2], key[3])
        found = self.plans[key]
        if found is not None:
            for k in found[0]:
                if s.op[ids[k]] < FA_ELEMENTWISE:            # it is there already, and would have to be copied
                    return None
        return found

    cdef bint any(self) except -1:
        cdef uint32_t i
        for i in range(1, self.source.n):
            if self.source.op[i] == FA_ASSEMBLE and self.plan(i) is not None:
                return True
        return False

    cdef Tape run(self):
        cdef Tape s = self.source
        cdef Tape t = self.target
        cdef uint32_t i
        self.copy_inputs()
        for i in range(1, s.n):
            if i == s.boundary:
                t.boundary = t.n
            plan = self.plan(i) if s.op[i] == FA_ASSEMBLE else None
            if plan is None:
                self.copy(i)
            else:
                self.write(i, plan)
        if s.boundary and t.boundary == 0:
            t.boundary = t.n
        self.copy_outputs()
        self.copy_locations()
        return t.finish()

    cdef int write(self, uint32_t i, plan) except -1:
        cdef Tape s = self.source
        cdef Tape t = self.target
        cdef uint32_t k, m = 0, part, y, aval = s.aval[i]
        cdef uint32_t *ids = self.factors(i, &m)
        halos, parts = plan
        y = t.const_real(AVALS[aval].dtype, 0.0)
        for k, read in parts:
            part = self.map[ids[k]]
            if k in halos and read is not None:
                part = self.with_halo(part, halos[k])
            if read is not None:
                part = append(t, FA_MOVE, aval, part, t.attr_id(<Attr>read))
            elif t.aval[part] != aval:
                part = append(t, FA_RESHAPE, aval, part, t.attr_id(None))
            if self.factor[k]:
                self.scaled = True
                part = append(t, self.product[k], aval, part, self.map[self.factor[k]])
            y = append(t, FA_ADD, aval, y, part)
        self.map[i] = y
        return 0

    cdef uint32_t with_halo(self, uint32_t x, halo) except 0:
        cdef Tape t = self.target
        found = self.padded.get((x, halo))
        if found is None:
            found = self.padded[x, halo] = append(t, FA_MOVE, aval_id(AVALS[t.aval[x]].dtype, (halo.sizes[1],)), x,
                                                  t.attr_id(<Attr>halo))
        return found


# ---- which assemblies, and how --------------------------------------------------------------------------------------
cdef object halo_plan(assembly, int64_t size, int item, int dtype, tuple sizes, tuple same):
    """({operand: the map that gives it a halo}, [(operand, the map that reads a part, None: all)]), or None.

    size : of the assembly; sizes : of its operands; same : the first operand that is the same array.
    """
    maps, accumulate, _, fill, _ = assembly.fields()
    if not accumulate or fill != 0 or str(fill) == "-0.0":
        return None
    if all([covers_alone(m) for m in maps]):
        return {}, [(k, None if is_identity(<Attr>m) else with_fill(m, dtype)) for k, m in enumerate(maps)]
    grid = widest([m.pieces[0] for m in maps if m.pieces is not None and len(m.pieces) == 1])
    if grid is None:
        return None
    extents = extents_of(size, grid)
    sources = {}                         # operand -> (strides, extents)
    for k, m in enumerate(maps):
        strides = strides_in(m, grid)
        if strides is not None and same[k] not in sources and extents_of(sizes[k], strides) is not None:
            sources[same[k]] = strides, extents_of(sizes[k], strides)
    if extents is None or extents[-1] * item < FA_TILE_BYTES:
        return None
    shifts = [shift_of(m, grid, extents, sources[same[k]]) if same[k] in sources else None
              for k, m in enumerate(maps)]
    whole = [k for k, m in enumerate(maps) if is_identity(<Attr>m) or (shifts[k] is not None and not any(shifts[k])
                                                              and sources[same[k]][1] == extents)]
    shifted = [k for k in range(len(maps)) if shifts[k] is not None and k not in whole]
    if len(shifted) < 2 * len({same[k] for k in shifted}) or not shifted \
            or len(maps) - len(shifted) - len(whole) > MOST_PLAIN:
        return None                      # (a halo that is read once costs more than it saves)
    halos, padded = {}, {}
    for k in shifted:
        strides, own = sources[same[k]]
        mine = [shifts[j] for j in shifted if same[j] == same[k]]
        low = [max(0, -min(column)) for column in zip(*mine, strict=True)]
        high = [max(0, n + max(column) - m) for column, n, m in zip(zip(*mine, strict=True), extents, own, strict=True)]
        if not any(low) and not any(high):                   # all that is read is there
            padded[k] = T.Map(sizes[k], size, ((tuple(extents), inner(shifts[k], strides), tuple(strides), 0,
                                                tuple(grid)),), None, None, True, True, True, 0, dtype)
            continue
        around = [a + n + b for a, n, b in zip(low, own, high, strict=True)]
        if own[-1] * item < FA_TILE_BYTES or math.prod(around) > 2 * size:
            return None
        wide = strides_of(around)
        halos[k] = T.Map(sizes[k], math.prod(around), ((tuple(own), 0, tuple(strides), inner(low, wide), tuple(wide)),),
                         None, None, False, True, True, 0, dtype)
        at = inner([a + b for a, b in zip(low, shifts[k], strict=True)], wide)
        padded[k] = T.Map(math.prod(around), size, ((tuple(extents), at, tuple(wide), 0, tuple(grid)),), None, None,
                          True, True, True, 0, dtype)
    plain = {k: with_fill(m, dtype) for k, m in enumerate(maps) if k not in padded and k not in whole}
    return halos, [(k, padded.get(k, plain.get(k))) for k in range(len(maps))]


cdef bint covers_alone(m) except -1:
    """Does one piece give the whole assembly its elements?"""
    return m.pieces is not None and len(m.pieces) == 1 and math.prod(m.pieces[0][0]) == m.sizes[1] \
        and m.fields()[7] and (<fa_map *>(<Attr>m).ptr).nsrc > 1


cdef object with_fill(m, int dtype):
    return T.Map(*m.fields()[:5], covers_alone(m), *m.fields()[6:8], 0, dtype)


cdef object widest(pieces):
    """The strides in the destination of the piece with most dimensions, at least two, rows of neighbours; or None."""
    best = []
    for piece in pieces:
        strides = sorted([d for n, d in zip(piece[0], piece[4], strict=True) if n > 1], reverse=True)
        if len(strides) > len(best):
            best = strides
    if len(best) < 2 or best[-1] != 1 or any([a <= b or a % b for a, b in zip(best, best[1:], strict=False)]):
        return None
    return best


cdef object strides_of(extents):
    out, n = [], 1
    for extent in reversed(extents):
        out.append(n)
        n *= extent
    return out[::-1]


cdef object inner(index, strides):
    return sum([a * b for a, b in zip(index, strides, strict=True)])


cdef object extents_of(int64_t size, strides):
    """Of an array with these strides; None where it is no box."""
    out, room = [], size
    for stride in strides:
        if room % stride:
            return None
        out.append(room // stride)
        room = stride
    return out


cdef object strides_in(m, grid):
    """The strides in the source of a map whose piece has all dimensions of a grid; else None."""
    if m.pieces is None or len(m.pieces) != 1:
        return None
    shape, _, sstr, _, dstr = m.pieces[0]
    found = {d: s for n, d, s in zip(shape, dstr, sstr, strict=True) if n > 1}
    if len(found) != len(grid) or set(found) != set(grid):
        return None
    strides = [found[d] for d in grid]
    if strides[-1] != 1 or any([a <= b or a % b for a, b in zip(strides, strides[1:], strict=False)]):
        return None
    return strides


cdef object shift_of(m, grid, extents, source):
    """By how much the index in the source exceeds that in the destination, where the map takes everything that is in
    reach; else None."""
    if m.pieces is None or len(m.pieces) != 1:
        return None
    strides, own = source
    shape, soff, sstr, doff, dstr = m.pieces[0]
    counts = [1] * len(grid)
    for n, d, s in zip(shape, dstr, sstr, strict=True):
        if n > 1:
            if d not in grid or strides[grid.index(d)] != s:
                return None
            counts[grid.index(d)] = n
    shift = []
    for k in range(len(grid)):
        to, doff = divmod(doff, grid[k])
        at, soff = divmod(soff, strides[k])
        low, high = max(0, to - at), min(extents[k], own[k] + to - at)
        if to != low or to + counts[k] != high:
            return None
        shift.append(at - to)
    return shift
