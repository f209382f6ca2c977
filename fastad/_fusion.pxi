"""_fusion.pxi - which array instructions run together as one loop, block by block (included in _program.pyx).

Owns: the grouping of instructions over one iteration space, the order in which a program runs them, the description of
a loop (fa_fused of layout.h): slots, block buffers, reads through maps.
An instruction joins a loop that began before it where everything that it reads is there in time: results of the loop
itself at the same place of the block; everything else, as a slice of an array, from what was finished before.  What has
effects of its own (guards, calls, checks of an index) stays where it is, in its order.
Must not know: derivative rules, how a loop is executed (_kernels/fused.h), where arrays lie (_memory_plan.pxi).
Next: _memory_plan.pxi.
"""

cdef enum: ALONE, ELEMENTWISE, READ, SUM, ALIAS              # what an instruction may be in a loop
cdef enum: MOST_MEMBERS = 64                                 # of a loop: with three operands each FA_FUSED_SLOTS slots
cdef enum: MOST_OPEN = 12                                    # loops of a size that may still be joined
cdef enum: LONG = 1 << 14                                    # elements of an instruction that is a loop by itself
cdef enum: WORTH_SHARING = 30_000_000                        # picoseconds: waking a thread takes some 5 microseconds
cdef enum: MOST_PARTS = 8                                    # pieces that one read looks through at each block


cdef uint8_t[512] FUSABLE                                    # rows whose loops run without the GIL and never fail


def _mark_fusable():
    for code, row in T.ROWS.items():
        FUSABLE[<int>code] = "f" not in row.foreign and not isinstance(row.ufunc, str)


_mark_fusable()


cdef class Fusion(Copier):
    """Orders the instructions of a tape so that those of a loop stand together."""
    cdef uint32_t *level                                     # place in the order of execution; 0: leaves
    cdef uint8_t *kind
    cdef uint32_t *members                                   # of a level: instructions that do something
    cdef uint8_t *sums
    cdef uint32_t levels
    cdef dict open
    cdef readonly list loops                                 # of the new tape: (first, end, end of the primal ones)

    def __cinit__(self, Tape source, Tape target=None, *rest):
        self.level = <uint32_t *>calloc(source.n, sizeof(uint32_t))
        self.kind = <uint8_t *>calloc(source.n, 1)
        self.members = <uint32_t *>calloc(source.n + 1, sizeof(uint32_t))
        self.sums = <uint8_t *>calloc(source.n + 1, 1)
        self.open = {}
        self.loops = []
        if self.level == NULL or self.kind == NULL or self.members == NULL or self.sums == NULL:
            raise MemoryError(f"fastad: no memory to compile a tape of {source.n} instructions")

    def __dealloc__(self):
        free(self.level)
        free(self.kind)
        free(self.members)
        free(self.sums)

    cdef Tape run(self):
        """The tape in its new order; the tape itself where no loop came together."""
        cdef uint32_t i
        cdef bint any_loop = False
        for i in range(1, self.source.n):
            if self.source.op[i] > FA_CAPTURE:
                self.kind[i] = self.kind_of(i)
                self.level[i] = self.place(i)
                any_loop |= self.members[self.level[i]] > 1 or self.long_enough(i)
        return self.reordered() if any_loop else self.source

    # -- what may be in a loop
    cdef int kind_of(self, uint32_t i) except -1:
        cdef Tape s = self.source
        cdef int op = s.op[i]
        cdef const uint32_t *ids = NULL
        cdef uint32_t m
        cdef const fa_aval *av = &AVALS[s.aval[i]]
        if op == FA_SUM:
            return SUM if self.sums_everything(i) else ALONE
        if av.nd == 0 or av.size < 2:
            return ALONE
        if op == FA_RESHAPE or op == FA_STOP:
            return ALIAS if self.kind[s.arg[2 * <size_t>i]] != ALONE else ALONE
        if op == FA_MOVE or op == FA_ASSEMBLE:
            return READ if self.readable(i) else ALONE
        if op == FA_CAST:
            return ELEMENTWISE
        if op < FA_ELEMENTWISE or not FUSABLE[op]:
            return ALONE
        m = s.operands(i, &ids)                              # NumPy's integer loops may set an error
        return ALONE if op >= FA_OWN_END and AVALS[s.aval[ids[m - 1]]].dtype == FA_I64 else ELEMENTWISE

    cdef bint long_enough(self, uint32_t i) noexcept:
        """Is this instruction a loop by itself, for the sake of several threads?"""
        cdef Tape s = self.source
        if self.kind[i] == SUM:
            return AVALS[s.aval[s.arg[2 * <size_t>i]]].size >= LONG
        return self.kind[i] == ELEMENTWISE and AVALS[s.aval[i]].size >= LONG

    cdef bint sums_everything(self, uint32_t i) noexcept:
        cdef Tape s = self.source
        cdef const fa_axis *axis = <const fa_axis *>s.attrs[s.arg[2 * <size_t>i + 1]]
        cdef const fa_aval *x = &AVALS[s.aval[s.arg[2 * <size_t>i]]]
        return AVALS[s.aval[i]].nd == 0 and x.nd and x.size > 1 and is_real(x.dtype) and axis.outer == 1 \
            and axis.inner == 1

    cdef bint readable(self, uint32_t i) except -1:
        """Are the maps of a move or an assembly a few regular pieces?"""
        cdef Tape s = self.source
        cdef const fa_assemble *a
        cdef int total = 0, k
        if s.op[i] == FA_MOVE:
            return self.regular(<const fa_map *>s.attrs[s.arg[2 * <size_t>i + 1]], &total)
        a = <const fa_assemble *>s.attrs[s.arg[2 * <size_t>i + 1]]
        if a.n == 0 or a.n > MOST_PARTS:
            return False
        for k in range(a.n):
            if not self.regular(a.maps[k], &total):
                return False
        return True

    cdef bint regular(self, const fa_map *m, int *total) noexcept:
        cdef fa_reader r
        cdef int k
        total[0] += m.npieces
        if m.ntable >= 0 or not m.dst_injective or total[0] > MOST_PARTS:
            return False
        for k in range(m.npieces):
            if fa_reader_of(&m.pieces[k], &r) == -2:
                return False
        return True

    # -- where it runs
    cdef uint32_t place(self, uint32_t i) except 0:
        """The level of instruction i: that of a loop which it joins, or a new one behind all others."""
        cdef Tape s = self.source
        cdef const uint32_t *ids = NULL
        cdef uint32_t k, x, m, level, earliest = 0
        cdef int kind = self.kind[i]
        if kind == ALONE:
            self.levels += 1
            self.members[self.levels] = 1
            return self.levels
        m = s.operands(i, &ids)
        if kind == ALIAS:
            return self.level[ids[0]]
        for k in range(m):
            x = ids[k]
            level = self.level[x]
            if level and (kind == READ or AVALS[s.aval[x]].nd == 0 or self.kind[x] == ALONE):
                level += 1
            earliest = max(earliest, level)
        return self.join(AVALS[s.aval[ids[0] if kind == SUM else i]].size, earliest, kind == SUM)

    cdef uint32_t join(self, int64_t size, uint32_t earliest, bint is_sum) except 0:
        cdef uint32_t level
        cdef list loops = <list>self.open.setdefault(size, [])
        for found in loops:
            level = found
            if level >= earliest and self.members[level] < MOST_MEMBERS and (
                    not is_sum or self.sums[level] < FA_FUSED_SUMS):
                self.members[level] += 1
                self.sums[level] += is_sum
                return level
        self.levels += 1
        self.members[self.levels] = 1
        self.sums[self.levels] = is_sum
        loops.append(self.levels)
        if len(loops) > MOST_OPEN:
            del loops[0]
        return self.levels

    cdef Tape reordered(self):
        """Leaves first, then level by level, each in the order of the tape."""
        cdef Tape s = self.source
        cdef uint32_t i, k, level, end, at, first, primal
        cdef uint32_t *start = <uint32_t *>calloc(self.levels + 2, sizeof(uint32_t))
        cdef uint32_t *order = <uint32_t *>calloc(s.n, sizeof(uint32_t))
        if start == NULL or order == NULL:
            free(start)
            free(order)
            raise MemoryError(f"fastad: no memory to compile a tape of {s.n} instructions")
        try:
            self.copy_inputs()
            for i in range(1, s.n):
                if s.op[i] <= FA_CAPTURE:
                    self.copy(i)
                else:
                    start[self.level[i] + 1] += 1
            for level in range(1, self.levels + 2):
                start[level] += start[level - 1]
            for i in range(1, s.n):
                if s.op[i] > FA_CAPTURE:
                    order[start[self.level[i]]] = i
                    start[self.level[i]] += 1
            at = 0
            for level in range(1, self.levels + 1):
                end = start[level]
                first = self.target.n
                primal = end
                for k in range(at, end):
                    i = order[k]
                    if s.boundary and i >= s.boundary:
                        if k == at and self.target.boundary == 0:
                            self.target.boundary = self.target.n
                        primal = min(primal, k)
                    self.copy(i)
                if self.members[level] > 1 or self.long_enough(order[at]):
                    self.loops.append((first, first + end - at, first + primal - at))
                at = end
        finally:
            free(start)
            free(order)
        if s.boundary and self.target.boundary == 0:
            self.target.boundary = self.target.n
        self.copy_outputs()
        self.copy_locations()
        return self.target.finish()


# ---- the description of a loop --------------------------------------------------------------------------------------
cdef class Loop:
    """Owns the memory of one fa_fused."""
    cdef fa_fused f
    cdef fa_finstr *instr
    cdef fa_slot *slots
    cdef fa_fread *reads
    cdef fa_part *parts
    cdef uint32_t *sums
    cdef uint32_t nreads, nparts, buffers

    def __cinit__(self, uint32_t members, uint32_t parts):
        self.instr = <fa_finstr *>calloc(members, sizeof(fa_finstr))
        self.slots = <fa_slot *>calloc(FA_FUSED_SLOTS, sizeof(fa_slot))
        self.reads = <fa_fread *>calloc(members, sizeof(fa_fread))
        self.parts = <fa_part *>calloc(parts + 1, sizeof(fa_part))
        self.sums = <uint32_t *>calloc(FA_FUSED_SUMS, sizeof(uint32_t))
        if self.instr == NULL or self.slots == NULL or self.reads == NULL or self.parts == NULL or self.sums == NULL:
            raise MemoryError("fastad: no memory to compile a loop")
        self.f.instr = self.instr
        self.f.slots = self.slots
        self.f.reads = self.reads
        self.f.sums = self.sums

    def __dealloc__(self):
        free(self.instr)
        free(self.slots)
        free(self.reads)
        free(self.parts)
        free(self.sums)

    cdef int trim(self) except -1:
        """A program may have thousands of loops."""
        cdef void *slots = realloc(self.slots, (self.f.nslots + 1) * sizeof(fa_slot))
        if slots != NULL:
            self.slots = <fa_slot *>slots
            self.f.slots = self.slots
        return 0

    cdef int slot(self, int kind, int dtype, uint32_t cell, int64_t at) except -1:
        cdef fa_slot *s = &self.slots[self.f.nslots]
        if self.f.nslots == FA_FUSED_SLOTS:
            raise InternalError("a fused loop has too many slots")
        s.kind = kind
        s.dtype = dtype
        s.cell = cell
        s.at = at
        self.f.nslots += 1
        return self.f.nslots - 1


cdef class LoopWriter:
    """Describes the instructions [first, end) of a tape as one loop; the plan has placed what leaves it."""
    cdef Program program
    cdef Tape t
    cdef Plan plan
    cdef Loop loop
    cdef uint32_t first, end
    cdef dict slots                                          # value -> slot
    cdef dict last                                           # slot of a buffer -> the instruction that reads it last
    cdef list free_buffers

    def __cinit__(self, Plan plan, uint32_t first, uint32_t end, uint32_t primal):
        self.plan = plan
        self.program = plan.program
        self.t = plan.t
        self.first = first
        self.end = end
        self.slots = {}
        self.free_buffers = []
        self.loop = Loop(end - first, self.pieces())
        self.loop.f.nprimal = primal

    cdef Loop run(self):
        """Values first get slots, then instructions; `nprimal` becomes the number of primal ones among them."""
        cdef uint32_t i, primal = self.loop.f.nprimal, n = 0
        cdef Tape t = self.t
        self.last = self.last_reads()
        for i in range(self.first, self.end):
            if i == primal:
                n = self.loop.f.n
            self.write(i)
        self.loop.f.nprimal = n if primal < self.end else self.loop.f.n
        i = t.arg[2 * <size_t>self.first] if t.op[self.first] == FA_SUM else self.first
        self.loop.f.size = AVALS[t.aval[i]].size
        self.loop.f.shared = self.loop.f.size * self.cost() > WORTH_SHARING
        self.loop.trim()
        return self.loop

    cdef int64_t cost(self) noexcept:
        """Of one element, in picoseconds: what the loops of this machine take, roughly."""
        cdef uint32_t k
        cdef int64_t total = 0
        for k in range(self.loop.f.n):
            total += 1500 if self.loop.instr[k].kind == FA_FUSED_ELEMENTWISE and self.loop.instr[k].op >= FA_OWN_END \
                else 120
        return total

    cdef uint32_t pieces(self) noexcept:
        """Of all maps in the loop."""
        cdef Tape t = self.t
        cdef const fa_assemble *a
        cdef uint32_t i, total = 0
        cdef int k
        for i in range(self.first, self.end):
            if t.op[i] == FA_MOVE:
                total += (<const fa_map *>t.attrs[t.arg[2 * <size_t>i + 1]]).npieces
            elif t.op[i] == FA_ASSEMBLE:
                a = <const fa_assemble *>t.attrs[t.arg[2 * <size_t>i + 1]]
                for k in range(a.n):
                    total += a.maps[k].npieces
        return total

    cdef dict last_reads(self):
        cdef const uint32_t *ids = NULL
        cdef uint32_t i, k, m
        cdef dict last = {}
        for i in range(self.first, self.end):
            m = self.t.operands(i, &ids)
            for k in range(m):
                last[self.plan.root[ids[k]]] = i
        return last

    cdef bint stays(self, uint32_t i) noexcept:
        """Is value i used up inside the loop?"""
        return self.plan.last[self.plan.root[i]] < self.end

    cdef int write(self, uint32_t i) except -1:
        cdef Tape t = self.t
        cdef int op = t.op[i]
        if op == FA_RESHAPE or op == FA_STOP:
            self.slots[i] = self.slots[t.arg[2 * <size_t>i]]
        elif op == FA_SUM:
            self.write_sum(i)
        elif op == FA_MOVE or op == FA_ASSEMBLE:
            if not (op == FA_MOVE and self.stays(i) and self.read_in_place(i)):
                self.write_read(i)
        else:
            self.write_elementwise(i)
        self.release_buffers(i)
        return 0

    # -- slots
    cdef int operand(self, uint32_t x) except -1:
        found = self.slots.get(x)
        if found is None:
            found = self.slots[x] = self.outside(x, 0)
        return found

    cdef int outside(self, uint32_t x, int64_t at) except -1:
        cdef const fa_aval *av = &AVALS[self.t.aval[x]]
        return self.loop.slot(FA_SLOT_ARRAY if av.nd else FA_SLOT_SCALAR, av.dtype, self.program.cell[x], at)

    cdef int result(self, uint32_t i) except -1:
        """The slot of a result: its place in memory if it leaves the loop, else a buffer."""
        cdef int dtype = AVALS[self.t.aval[i]].dtype
        if not self.stays(i):
            self.slots[i] = self.loop.slot(FA_SLOT_ARRAY, dtype, self.program.cell[i], 0)
        else:
            if not self.free_buffers:
                self.free_buffers.append(self.loop.buffers)
                self.loop.buffers += 1
            self.slots[i] = self.loop.slot(FA_SLOT_BUFFER, dtype, 0, self.free_buffers.pop())
        return self.slots[i]

    cdef int release_buffers(self, uint32_t i) except -1:
        """Buffers that are read here for the last time, or never."""
        cdef const uint32_t *ids = NULL
        cdef uint32_t k, r, m = self.t.operands(i, &ids)
        for k in range(m):
            self.release_buffer(self.plan.root[ids[k]], i)
        return self.release_buffer(self.plan.root[i], i)

    cdef int release_buffer(self, uint32_t r, uint32_t i) except -1:
        cdef const fa_slot *s
        if self.last.get(r, 0) > i or r < self.first or r not in self.slots:
            return 0
        s = &self.loop.slots[<int>self.slots[r]]
        if s.kind == FA_SLOT_BUFFER and self.last.get(r) != -1:
            self.last[r] = -1
            self.free_buffers.append(s.at)
        return 0

    # -- instructions
    cdef fa_finstr *instruction(self, int kind, uint32_t i) except NULL:
        cdef fa_finstr *f = &self.loop.instr[self.loop.f.n]
        self.loop.f.n += 1
        f.kind = kind
        f.op = self.t.op[i]
        f.dout = AVALS[self.t.aval[i]].dtype
        return f

    cdef int write_elementwise(self, uint32_t i) except -1:
        cdef const uint32_t *ids = NULL
        cdef uint32_t k, m = self.t.operands(i, &ids)
        cdef fa_finstr *f
        for k in range(m):
            self.operand(ids[k])
        f = self.instruction(FA_FUSED_ELEMENTWISE, i)
        f.arity = m
        f.din = AVALS[self.t.aval[ids[1 if f.op == FA_WHERE else 0]]].dtype
        for k in range(m):
            f.in_[k] = self.slots[ids[k]]
        f.out = self.result(i)
        return 0

    cdef int write_sum(self, uint32_t i) except -1:
        cdef int x = self.operand(self.t.arg[2 * <size_t>i])
        cdef fa_finstr *f = self.instruction(FA_FUSED_SUM, i)
        f.din = f.dout
        f.in_[0] = x
        f.out = self.loop.f.nsums                            # the plan gives it a cell
        self.loop.f.nsums += 1
        return 0

    cdef bint read_in_place(self, uint32_t i) except -1:
        """A slice without gaps is the array at another place; an array of one number is that number."""
        cdef Tape t = self.t
        cdef const fa_map *m = <const fa_map *>t.attrs[t.arg[2 * <size_t>i + 1]]
        cdef uint32_t x = t.arg[2 * <size_t>i]
        cdef fa_reader r
        if not m.covers or m.npieces != 1:
            return False
        if AVALS[t.aval[x]].nd == 0:
            self.slots[i] = self.operand(x)
            return True
        if fa_reader_of(&m.pieces[0], &r) < 0 or not fa_reader_contiguous(&r):
            return False
        self.slots[i] = self.outside(x, r.soff)
        return True

    cdef int write_read(self, uint32_t i) except -1:
        cdef Tape t = self.t
        cdef fa_fread *read = &self.loop.reads[self.loop.nreads]
        cdef const fa_map *m
        cdef const fa_assemble *a
        cdef const uint32_t *ids = NULL
        cdef int dtype = AVALS[t.aval[i]].dtype, copy = fa_do_copy[dtype], k
        cdef fa_finstr *f
        t.operands(i, &ids)
        read.parts = &self.loop.parts[self.loop.nparts]
        if t.op[i] == FA_MOVE:
            m = <const fa_map *>t.attrs[t.arg[2 * <size_t>i + 1]]
            read.fills = not m.covers
            read.fill = m.fill
            self.add_parts(read, m, ids[0], copy)
        else:
            a = <const fa_assemble *>t.attrs[t.arg[2 * <size_t>i + 1]]
            read.fills = a.accumulate or not a.covers
            read.fill = a.fill
            if a.accumulate:
                copy = fa_do_add[dtype]
            for k in range(a.n):
                self.add_parts(read, a.maps[k], ids[k], copy)
        f = self.instruction(FA_FUSED_READ, i)
        f.in_[0] = self.loop.nreads
        self.loop.nreads += 1
        f.out = self.result(i)
        return 0

    cdef int add_parts(self, fa_fread *read, const fa_map *m, uint32_t x, int what) except -1:
        cdef fa_part *part
        cdef int k
        for k in range(m.npieces):
            part = &self.loop.parts[self.loop.nparts]
            if fa_reader_of(&m.pieces[k], &part.reader) < 0:
                continue                                     # empty
            part.cell = self.program.cell[x]
            part.what = what
            self.loop.nparts += 1
            read.n += 1
        return 0
