"""_loop_writer.pxi - the description of a loop: fa_fused of layout.h (included in _program.pyx).

Owns: slots, block buffers, reads through maps, rows that are read and written in place.
Must not know: which instructions make a loop (_fusion.pxi), how it is executed (_kernels/fused.h), where arrays lie
(_memory_plan.pxi, which has placed what leaves it).
Next: _loop_costs.pxi, _kernels/chain_plan.h (cheap instructions put together), _kernels/layout.h.
"""

cdef int step_of_power(Tape t, uint32_t x) noexcept:
    """The step that multiplies by the number x, a constant; FA_CHAIN_END: there is none."""
    cdef const fa_cell *cell
    cdef double value
    if t.op[x] != FA_CONST or AVALS[t.aval[x]].nd:
        return FA_CHAIN_END
    cell = &t.cells[t.arg[2 * <size_t>x]]
    value = cell.f if AVALS[t.aval[x]].dtype == FA_F64 else cell.s if AVALS[t.aval[x]].dtype == FA_F32 else 0.0
    return FA_CHAIN_TWICE if value == 2.0 else FA_CHAIN_FOUR_TIMES if value == 4.0 \
        else FA_CHAIN_MINUS_TWICE if value == -2.0 else FA_CHAIN_MINUS_FOUR_TIMES if value == -4.0 else FA_CHAIN_END


cdef void *shrunk(void *memory, size_t nbytes) noexcept:
    """The same with no more than it needs."""
    cdef void *found = realloc(memory, nbytes)
    return memory if found == NULL else found


cdef class Loop:
    """Owns the memory of one fa_fused."""
    cdef fa_fused f
    cdef fa_finstr *instr
    cdef fa_slot *slots
    cdef fa_fread *reads
    cdef fa_part *parts
    cdef uint32_t *sums
    cdef fa_chainstep *steps
    cdef uint16_t *spread
    cdef fa_chaincode *code
    cdef fa_rows[FA_MOST_LAYOUTS] rows
    cdef fa_gaps[FA_MOST_LAYOUTS] gaps
    cdef fa_weave[FA_FUSED_WEAVES] weaves
    cdef uint32_t nreads, nparts
    cdef readonly uint32_t twins                             # pairs that one instruction computes

    def __cinit__(self, uint32_t members, uint32_t parts):
        self.instr = <fa_finstr *>calloc(members + 1, sizeof(fa_finstr))
        self.slots = <fa_slot *>calloc(FA_FUSED_SLOTS, sizeof(fa_slot))
        self.reads = <fa_fread *>calloc(members + 1, sizeof(fa_fread))
        self.parts = <fa_part *>calloc(parts + 1, sizeof(fa_part))
        self.sums = <uint32_t *>calloc(FA_FUSED_SUMS, sizeof(uint32_t))
        if self.instr == NULL or self.slots == NULL or self.reads == NULL or self.parts == NULL or self.sums == NULL:
            raise MemoryError("fastad: no memory to compile a loop")
        self.f.instr = self.instr
        self.f.slots = self.slots
        self.f.reads = self.reads
        self.f.sums = self.sums
        self.f.rows = self.rows
        self.f.gaps = self.gaps
        self.f.weaves = self.weaves

    def __dealloc__(self):
        free(self.instr)
        free(self.slots)
        free(self.reads)
        free(self.parts)
        free(self.sums)
        free(self.steps)
        free(self.spread)
        free(self.code)

    cdef int finish(self) except -1:
        """Chains in place of single instructions; no more memory than needed: programs may have thousands of loops."""
        cdef fa_chainstep[FA_MOST_STEPS] steps
        cdef uint16_t[FA_FUSED_SLOTS] spread
        cdef uint32_t k, part = 0
        if fa_chain_plan(&self.f, self.instr, self.slots, steps, spread) != 0:
            raise InternalError("a fused loop reads by rows what no chain reads")
        self.f.block = block_of(&self.f)
        self.steps = <fa_chainstep *>malloc((self.f.nsteps + 1) * sizeof(fa_chainstep))
        self.spread = <uint16_t *>malloc((self.f.nspread + 1) * sizeof(uint16_t))
        self.code = <fa_chaincode *>calloc(self.f.nchains + 1, sizeof(fa_chaincode))
        if self.steps == NULL or self.spread == NULL or self.code == NULL:
            raise MemoryError("fastad: no memory to compile a loop")
        memcpy(self.steps, steps, self.f.nsteps * sizeof(fa_chainstep))
        memcpy(self.spread, spread, self.f.nspread * sizeof(uint16_t))
        self.f.steps = self.steps
        self.f.spread = self.spread
        self.f.code = self.code
        self.f.instr = self.instr = <fa_finstr *>shrunk(self.instr, (self.f.n + 1) * sizeof(fa_finstr))
        self.f.slots = self.slots = <fa_slot *>shrunk(self.slots, (self.f.nslots + 1) * sizeof(fa_slot))
        self.f.reads = self.reads = <fa_fread *>shrunk(self.reads, (self.nreads + 1) * sizeof(fa_fread))
        self.parts = <fa_part *>shrunk(self.parts, (self.nparts + 1) * sizeof(fa_part))
        for k in range(self.nreads):
            self.reads[k].parts = &self.parts[part]
            part += self.reads[k].n
        fa_patches_find(&self.f)
        return 0

    cdef int64_t scratch_bytes(self) noexcept:
        """Block buffers, partial sums along the axis, tiles of scalars."""
        cdef int64_t buffers = self.f.nbuffers + self.f.naxes * fa_axis_levels(&self.f.axis)
        return buffers * FA_BUFFER_BYTES + self.f.nspread * <int64_t>FA_TILE_BYTES

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


# What the loop that is being written knows of a value.
ctypedef struct Inside:
    uint32_t loop                        # the loop that knows it; of another one: nothing
    int slot                             # -1: none yet
    uint32_t last                        # of a root: the instruction that reads it last, 0: none
    int store                            # of a move that stores rows: the slot of rows that it writes; -1: none
    uint32_t stored                      # the move that stores the value; 0: none
    uint8_t marks


cdef enum: WHOLE_BLOCKS = 1              # a root is read as blocks, not only by chains
cdef enum: SUMMED = 2                    # it is summed along an axis: scalars are not
cdef enum: RELEASED = 4                  # its buffer may be used again
cdef enum: STORES = 8                    # the move stores rows


cdef class LoopWriter:
    """Describes the instructions [first, end) of a tape as one loop; the plan has placed what leaves it."""
    cdef Program program
    cdef Tape t
    cdef Plan plan
    cdef Loop loop
    cdef uint32_t first, end, number
    cdef Inside *values
    cdef int[2][FA_FUSED_SLOTS] free_buffers                 # of numbers; of masks: a chain writes at another pace
    cdef int[2] nfree

    def __cinit__(self, Plan plan, uint32_t first, uint32_t end, uint32_t primal):
        self.plan = plan
        self.program = plan.program
        self.t = plan.t
        self.first = first
        self.end = end
        if plan.inside == NULL:
            plan.inside = <Inside *>calloc(self.t.n, sizeof(Inside))
            if plan.inside == NULL:
                raise MemoryError(f"fastad: no memory to compile a tape of {self.t.n} instructions")
        plan.number += 1
        self.values = plan.inside
        self.number = plan.number
        self.loop = Loop(end - first, self.pieces())
        self.loop.f.nprimal = primal

    cdef inline Inside *of(self, uint32_t x) noexcept:
        cdef Inside *v = &self.values[x]
        if v.loop != self.number:
            v[0] = Inside(self.number, -1, 0, -1, 0, 0)
        return v

    cdef Loop run(self):
        """Values first get slots, then instructions; `nprimal` becomes the number of primal ones among them."""
        cdef uint32_t i, primal = self.loop.f.nprimal, n = 0
        cdef Tape t = self.t
        self.find_last_reads()
        self.write_stores()
        for i in range(self.first, self.end):
            if i == primal:
                n = self.loop.f.n
            self.write(i)
        self.loop.f.nprimal = n if primal < self.end else self.loop.f.n
        i = self.first
        if t.op[i] == FA_SUM or self.of(i).marks & STORES:   # a weave is never the first
            i = t.arg[2 * <size_t>i]
        self.loop.f.size = AVALS[t.aval[i]].size
        self.loop.f.shared = self.loop.f.size * self.cost() >= worth_sharing
        self.fetch_once()
        self.loop.finish()
        return self.loop

    cdef int fetch_once(self) except -1:
        """Of the slices of one array only the last one brings it into the cache."""
        cdef fa_slot *s = self.loop.slots
        cdef uint32_t k, j, n = self.loop.f.nslots
        for k in range(n):
            for j in range(n if s[k].far else 0):
                if j != k and s[j].far and s[j].cell == s[k].cell \
                        and (s[j].at > s[k].at or s[j].at == s[k].at and j < k):
                    s[k].far = False
                    break
        return 0

    cdef int64_t cost(self) noexcept:
        """Of one element, in picoseconds."""
        cdef uint32_t k
        cdef int64_t total = 0
        for k in range(self.loop.f.n):
            total += step_cost(&self.loop.instr[k])
        for k in range(self.loop.f.nslots):
            total += slot_cost(self.loop.slots, k)
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

    cdef int find_last_reads(self) except -1:
        cdef const uint32_t *ids = NULL
        cdef uint32_t i, k, m
        cdef uint8_t marks
        for i in range(self.first, self.end):
            m = self.t.operands(i, &ids)
            marks = 0 if self.in_chain(i) else WHOLE_BLOCKS
            if self.t.op[i] == FA_SUM and AVALS[self.t.aval[i]].nd:
                marks |= SUMMED
            for k in range(m):
                self.of(self.plan.root[ids[k]]).last = i
                self.of(self.plan.root[ids[k]]).marks |= marks
        return 0

    cdef bint in_chain(self, uint32_t i) except -1:
        """May instruction i read slices where they are?  A reshape is not a reader."""
        cdef int op = self.t.op[i]
        return op == FA_RESHAPE or op == FA_STOP or op == FA_MOVE or op == FA_WRITE \
            or chain_step(self.t, i) != FA_CHAIN_END

    cdef bint stays(self, uint32_t i) noexcept:
        """Is value i used up inside the loop?"""
        return self.plan.last[self.plan.root[i]] < self.end

    cdef int write(self, uint32_t i) except -1:
        cdef Tape t = self.t
        cdef int op = t.op[i]
        if op == FA_RESHAPE or op == FA_STOP:
            self.of(i).slot = self.of(t.arg[2 * <size_t>i]).slot
        elif op == FA_SUM and AVALS[t.aval[i]].nd:
            self.write_axis(i)
        elif op == FA_SUM:
            self.write_sum(i)
        elif self.of(i).marks & STORES:
            self.write_store(i)
        elif op == FA_ASSEMBLE and i in self.program.woven:
            self.write_weave(i)
        elif op == FA_MOVE or op == FA_ASSEMBLE:
            if not (op == FA_MOVE and self.stays(i) and self.read_in_place(i)):
                self.write_read(i)
        else:
            self.write_elementwise(i)
        self.release_buffers(i)
        return 0

    # -- slots
    cdef int operand(self, uint32_t x) except -1:
        if self.of(x).slot < 0:
            self.of(x).slot = self.outside(x, 0)
        return self.of(x).slot

    cdef int outside(self, uint32_t x, int64_t at) except -1:
        cdef const fa_aval *av = &AVALS[self.t.aval[x]]
        cdef int slot = self.loop.slot(FA_SLOT_ARRAY if av.nd else FA_SLOT_SCALAR, av.dtype, self.program.cell[x], at)
        self.loop.slots[slot].far = av.nd and self.plan.comes_far(x)
        return slot

    cdef int result(self, uint32_t i) except -1:
        """The slot of a result: its place in memory if it leaves the loop, the rows where it is stored, or a buffer."""
        cdef int dtype = AVALS[self.t.aval[i]].dtype, mask = dtype == FA_BOOL
        cdef Inside *v = self.of(i)
        cdef Inside *store
        if v.stored and self.stays(i) and self.plan.root[i] == i and not v.marks & (WHOLE_BLOCKS | SUMMED) \
                and chain_step(self.t, i) != FA_CHAIN_END:   # others write whole blocks
            store = self.of(v.stored)
            v.slot, store.store = store.store, -1
        elif not self.stays(i):
            v.slot = self.loop.slot(FA_SLOT_ARRAY, dtype, self.program.cell[i], 0)
            self.loop.slots[v.slot].far = self.plan.goes_far(i)
        else:
            if self.nfree[mask] == 0:
                self.free_buffers[mask][0] = self.loop.f.nbuffers
                self.nfree[mask] = 1
                self.loop.f.nbuffers += 1
            self.nfree[mask] -= 1
            v.slot = self.loop.slot(FA_SLOT_BUFFER, dtype, 0, self.free_buffers[mask][self.nfree[mask]])
        return v.slot

    cdef int release_buffers(self, uint32_t i) except -1:
        """Buffers that are read here for the last time, or never."""
        cdef const uint32_t *ids = NULL
        cdef uint32_t k, r, m = self.t.operands(i, &ids)
        for k in range(m):
            self.release_buffer(self.plan.root[ids[k]], i)
        return self.release_buffer(self.plan.root[i], i)

    cdef int release_buffer(self, uint32_t r, uint32_t i) except -1:
        cdef const fa_slot *s
        cdef Inside *v = self.of(r)
        cdef int mask
        if v.last > i or r < self.first or v.slot < 0:
            return 0
        s = &self.loop.slots[v.slot]
        if s.kind == FA_SLOT_BUFFER and not v.marks & RELEASED:
            v.marks |= RELEASED
            v.last = 0
            mask = s.dtype == FA_BOOL
            self.free_buffers[mask][self.nfree[mask]] = s.at
            self.nfree[mask] += 1
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
        if self.follows(i):
            self.write_twin(i)
            return 0
        if self.t.op[i] == FA_MULTIPLY and self.write_power(i, ids):
            return 0
        for k in range(m):
            self.operand(ids[k])
        f = self.instruction(FA_FUSED_ELEMENTWISE, i)
        f.arity = m
        f.step = chain_step(self.t, i)
        f.din = AVALS[self.t.aval[ids[1 if f.op == FA_WHERE else 0]]].dtype
        for k in range(m):
            f.in_[k] = self.of(ids[k]).slot
        f.out = self.result(i)
        return 0

    cdef bint write_power(self, uint32_t i, const uint32_t *ids) except -1:
        """A product with 2, 4, -2 or -4 by sums, if it is one."""
        cdef uint32_t k
        cdef int step
        cdef fa_finstr *f
        if not is_real(AVALS[self.t.aval[i]].dtype):
            return False
        for k in range(2):
            step = step_of_power(self.t, ids[k])
            if step != FA_CHAIN_END and AVALS[self.t.aval[ids[1 - k]]].nd:
                self.operand(ids[1 - k])
                f = self.instruction(FA_FUSED_ELEMENTWISE, i)
                f.arity = 1
                f.step = step
                f.din = f.dout
                f.in_[0] = self.of(ids[1 - k]).slot
                f.out = self.result(i)
                return True
        return False

    cdef bint follows(self, uint32_t i) noexcept:
        """Does the last instruction give this one's result, too?"""
        cdef Tape t = self.t
        cdef const fa_finstr *f = &self.loop.instr[self.loop.f.n - 1]
        return i > self.first and self.loop.f.n and f.kind == FA_FUSED_ELEMENTWISE and t.op[i - 1] == f.op \
            and PRIMS[f.op].twin and t.op[i] == PRIMS[f.op].twin and t.arg[2 * <size_t>i] == t.arg[2 * <size_t>i - 2] \
            and f.din == FA_F64

    cdef int write_twin(self, uint32_t i) except -1:
        cdef fa_finstr *f = &self.loop.instr[self.loop.f.n - 1]
        self.loop.twins += 1
        f.kind = FA_FUSED_TWINS
        f.in_[1] = self.result(i)
        if PRIMS[f.op].both == NULL:                         # the loop of both is the other one's
            f.op = PRIMS[f.op].twin
            f.out, f.in_[1] = f.in_[1], f.out
        return 0

    cdef int write_sum(self, uint32_t i) except -1:
        cdef int x = self.operand(self.t.arg[2 * <size_t>i])
        cdef fa_finstr *f = self.instruction(FA_FUSED_SUM, i)
        f.din = f.dout
        f.in_[0] = x
        f.out = self.loop.f.nsums                            # the plan gives it a cell
        self.loop.f.nsums += 1
        return 0

    cdef int write_axis(self, uint32_t i) except -1:
        cdef uint32_t x = self.t.arg[2 * <size_t>i]
        cdef int y
        cdef fa_finstr *f
        if self.stays(i):                                    # nobody reads it
            return 0
        self.operand(x)
        y = self.loop.slot(FA_SLOT_ARRAY, AVALS[self.t.aval[i]].dtype, self.program.cell[i], 0)
        f = self.instruction(FA_FUSED_AXIS, i)
        f.din = f.dout
        f.in_[0] = self.of(x).slot
        f.in_[1] = self.loop.f.naxes
        f.out = y
        self.loop.f.axis = (<const fa_axis *>self.t.attrs[self.t.arg[2 * <size_t>i + 1]])[0]
        self.loop.f.naxes += 1
        return 0

    cdef int write_weave(self, uint32_t i) except -1:
        cdef fa_weave *w
        cdef fa_finstr *f
        cdef const uint32_t *ids = NULL
        cdef uint32_t k
        if self.stays(i):                                    # nobody reads it
            return 0
        if self.loop.f.nweaves == FA_FUSED_WEAVES:
            raise InternalError(f"a loop with more than {FA_FUSED_WEAVES} weaves")
        w = &self.loop.weaves[self.loop.f.nweaves]
        weaves(self.t, i, w)
        self.t.operands(i, &ids)
        for k in range(w.n):
            w.slot[k] = self.operand(ids[k])
        w.cell = self.program.cell[i]
        f = self.instruction(FA_FUSED_WEAVE, i)
        f.din = f.dout
        f.in_[0] = self.loop.f.nweaves
        self.loop.f.nweaves += 1
        return 0

    cdef int write_stores(self) except -1:
        """The arrays into which rows are stored; the layout of their rows is that of the loop."""
        cdef Tape t = self.t
        cdef fa_gaps *g
        cdef fa_reader r
        cdef uint32_t i, x
        cdef int d, slot
        for i in range(self.first, self.end):
            if t.op[i] != FA_MOVE and t.op[i] != FA_WRITE:
                continue
            x = moved_by(t, i)
            if x < self.first or not stores_rows(t, i, &r):
                continue
            self.of(i).marks |= STORES
            if self.stays(i):                                # nobody reads it
                continue
            g = &self.loop.gaps[self.loop.f.ngaps]
            self.loop.f.ngaps += 1
            g.cell = self.program.cell[i]
            g.dtype = AVALS[t.aval[i]].dtype
            g.size = AVALS[t.aval[i]].size
            g.fill = (<const fa_map *>t.attrs[t.arg[2 * <size_t>i + 1]]).fill
            g.base = self.program.cell[below(t, i)]
            g.reader = r
            for d in range(r.nd):                            # rows that are written lie as their destination does
                r.dim[d].s = r.dim[d].d
            self.loop.f.row = r.dim[r.nd - 1].n
            slot = self.loop.slot(FA_SLOT_ROWS, g.dtype, g.cell, r.doff)
            self.of(i).store = slot
            if self.of(x).stored == 0:
                self.of(x).stored = i
            self.loop.slots[slot].layout = self.layout(&r)
            self.loop.slots[slot].far = self.plan.goes_far(i)
        return 0

    cdef int write_store(self, uint32_t i) except -1:
        cdef fa_finstr *f
        cdef int x
        if self.of(i).store >= 0:
            x = self.operand(moved_by(self.t, i))
            f = self.instruction(FA_FUSED_STORE, i)
            f.arity = 1
            f.din = f.dout
            f.in_[0] = x
            f.out = self.of(i).store
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
            if self.of(self.plan.root[i]).marks & SUMMED:
                return False
            self.of(i).slot = self.operand(x)
            return True
        if fa_reader_of(&m.pieces[0], &r) < 0:
            return False
        if not fa_reader_contiguous(&r):
            return self.read_rows(i, x, &r)
        self.of(i).slot = self.outside(x, r.soff)
        return True

    cdef bint read_rows(self, uint32_t i, uint32_t x, const fa_reader *r) except -1:
        """A slice of long rows of neighbours stays where it is, as far as chains read it."""
        cdef int dtype = AVALS[self.t.aval[i]].dtype, layout, slot
        cdef int64_t row = r.dim[r.nd - 1].n
        cdef fa_finstr *f
        if not is_real(dtype) or not fa_reader_has_runs(r) or row * fa_itemsize[dtype] < FA_TILE_BYTES \
                or (self.loop.f.row and self.loop.f.row != row):
            return False
        layout = self.layout(r)
        if layout < 0:
            return False
        self.loop.f.row = row
        slot = self.loop.slot(FA_SLOT_ROWS, dtype, self.program.cell[x], r.soff)
        self.loop.slots[slot].layout = layout
        self.loop.slots[slot].far = self.plan.comes_far(x)
        self.of(i).slot = slot
        if self.of(self.plan.root[i]).marks & WHOLE_BLOCKS:  # a chain copies it into a buffer for the others
            f = self.instruction(FA_FUSED_STORE, i)
            f.arity, f.din, f.in_[0] = 1, f.dout, slot
            f.out = self.result(i)
        return True

    cdef int layout(self, const fa_reader *r) except -2:
        """Number of the layout of these rows; -1: there are too many of them."""
        cdef fa_rows rows
        cdef uint32_t k
        cdef int d
        memset(&rows, 0, sizeof(fa_rows))
        rows.nd = r.nd - 1
        for d in range(rows.nd):
            rows.n[d] = r.dim[d].n
            rows.s[d] = r.dim[d].s
        for k in range(self.loop.f.nrows):
            if memcmp(&self.loop.rows[k], &rows, sizeof(fa_rows)) == 0:
                return k
        if self.loop.f.nrows == FA_MOST_LAYOUTS:
            return -1
        self.loop.rows[self.loop.f.nrows] = rows
        self.loop.f.nrows += 1
        return self.loop.f.nrows - 1

    cdef int write_read(self, uint32_t i) except -1:
        cdef Tape t = self.t
        cdef fa_fread *read = &self.loop.reads[self.loop.nreads]
        cdef const fa_map *m
        cdef const fa_assemble *a = NULL
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
        read.adds = t.op[i] == FA_ASSEMBLE and a.accumulate
        read.runs = self.has_runs(read, dtype)
        f = self.instruction(FA_FUSED_READ, i)
        f.in_[0] = self.loop.nreads
        self.loop.nreads += 1
        f.out = self.result(i)
        return 0

    cdef bint has_runs(self, const fa_fread *read, int dtype) noexcept:
        """Is it better met run by run?  One piece that covers everything is not."""
        cdef uint32_t k
        if read.n > FA_READ_PARTS or (read.n == 1 and not read.fills) or (read.adds and not is_real(dtype)):
            return False
        for k in range(read.n):
            if not fa_reader_has_runs(&read.parts[k].reader):
                return False
        return True

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
