"""_memory_plan.pxi - which cell and which bytes each value of a tape uses (included in _program.pyx).

Owns: liveness, reuse of scalar cells, the arena of arrays, what is computed in place.
Inputs are read where the caller has them, results are written where the caller gets them (`external`).
A caller may give the memory of an input away (`given`): what is written on top of it, is written there; and it may
want inputs and numbers among the results in the first cells, in its order (`own`).
An array's memory belongs to its root: reshapes share it; an instruction may take it over when its operand dies there
and its kernel allows that.  A kernel never sees a result that overlaps another operand.
In place are writes, and elementwise primitives with a kernel of our own: NumPy's transcendental loops choose another
code path, with other last bits, where operand and result are the same memory.
A loop is planned as one instruction: what leaves it gets memory, what is used up inside gets none, and nothing is given
back before its end, but that derivatives may be written over what is read there for the last time (`take_over`).
Next: _arena.pxi (free blocks), _fusion.pxi (what a loop is), _program.pyx.
"""

cdef enum: ALIGN = 64
cdef enum: RESTING = 12                  # cells that are not used again at once: _machine.pxi can join more
cdef enum: GIVEN = -2                    # an offset of GIVEN - k: the memory of input k, which its owner gives away


cdef inline int64_t room_for(const fa_aval *av) noexcept:
    """Bytes of an array and at least one more: NumPy 2.0 takes a result that touches an operand for an overlap."""
    return (av.size * fa_itemsize[av.dtype] + ALIGN) // ALIGN * ALIGN


cdef inline bint only_numbers(Tape t, uint32_t i) noexcept:
    """Are result and operands of rank 0?"""
    return t.aval[i] < FA_NAVAL_SCALAR and t.op[i] >= FA_ELEMENTWISE


cdef inline bint shares(Tape t, uint32_t i) noexcept:
    """Is the memory of array i that of its operand?"""
    return (t.op[i] == FA_RESHAPE or t.op[i] == FA_STOP) and AVALS[t.aval[t.arg[2 * <size_t>i]]].nd > 0


ctypedef struct Held:
    int64_t size, offset                 # of the memory of a root; size is 0: it has none in the arena


cdef enum: OUTSIDE = 1, IS_FAR = 2       # of a root: it has the memory of an output; it is somewhere else at each run
cdef enum: IN_LOOP = 4                   # of a write: a loop does it, in new memory


@cython.final
cdef class Plan:
    """Walks the tape and gives each value its cell."""
    cdef Program program
    cdef Tape t
    cdef uint32_t *last                  # instruction of the last use of a value, of a root for arrays
    cdef uint32_t *root                  # whose memory an array uses; its own id until it is taken over
    cdef uint32_t *cell                  # of each value; the program's
    cdef uint8_t *uses                   # of each value: 0, 1, 2 for more
    cdef uint32_t *free_cells[4]         # by dtype
    cdef uint32_t nfree[4]
    cdef uint32_t resting[4][12]         # freed lately, in a ring (RESTING)
    cdef uint32_t turn[4]
    cdef Arena arena
    cdef Held *place                     # of each root that is an array
    cdef dict cells                      # (aval, offset) -> cell
    cdef dict external                   # root -> the output whose memory it has: one of the caller's, nobody else's
    cdef uint8_t *marks                  # of a root: OUTSIDE, if it is in `external`, IS_FAR
    cdef dict own                        # value -> its cell, one of the first
    cdef bint owns
    cdef int64_t *written                # bytes of arrays that are computed before a value, and it itself (for loops)
    cdef int64_t present                 # `written` of the loop that is being planned
    cdef int64_t *touched                # `written` when the memory of a root was used last
    cdef Inside *inside               # what the loop that is being written knows of a value (_loop_writer.pxi)
    cdef uint32_t number                 # of that loop, from 1 on

    def __cinit__(self, Program program):
        cdef int d
        self.program = program
        self.t = program.tape
        self.cell = program.cell
        self.arena = Arena()
        self.cells = {}
        self.external = {}
        self.own = {}
        self.last = <uint32_t *>calloc(self.t.n, sizeof(uint32_t))
        self.root = <uint32_t *>malloc(self.t.n * sizeof(uint32_t))
        self.uses = <uint8_t *>calloc(self.t.n, 1)
        self.marks = <uint8_t *>calloc(self.t.n, 1)
        self.place = <Held *>malloc(self.t.n * sizeof(Held))
        for d in range(FA_NDTYPE):
            self.free_cells[d] = <uint32_t *>malloc(self.t.n * sizeof(uint32_t))
        if self.marks == NULL or self.place == NULL:
            raise MemoryError(f"fastad: no memory to compile a tape of {self.t.n} instructions")
        if self.last == NULL or self.root == NULL or self.uses == NULL or self.free_cells[FA_NDTYPE - 1] == NULL:
            raise MemoryError(f"fastad: no memory to compile a tape of {self.t.n} instructions")

    def __dealloc__(self):
        free(self.last)
        free(self.root)
        free(self.uses)
        free(self.marks)
        free(self.place)
        free(self.written)
        free(self.touched)
        free(self.inside)
        for d in range(FA_NDTYPE):
            free(self.free_cells[<int>d])

    def run(self, list loops):
        """Plan everything; the program's cells are set, its loops written."""
        cdef Tape t = self.t
        cdef uint32_t i = 1, first = t.n, end = 0, primal = 0
        cdef object following = iter(loops)
        self.mark_writes(loops)
        self.find_last_uses()
        self.count_bytes(loops)
        for k in self.program.far:
            i = t.inputs[k] if k >= 0 else self.root[<uint32_t>t.outputs[~k]]
            self.marks[i] |= IS_FAR
        for k in self.program.own:
            if k is None:
                self.program.new_cell(FA_AVAL_F64, -1)
                continue
            i = t.inputs[k] if k >= 0 else t.outputs[~k]
            self.own[i] = self.program.new_cell(t.aval[i] if AVALS[t.aval[i]].nd else AVALS[t.aval[i]].dtype, -1)
        self.owns = len(self.own) > 0
        for i in range(1, t.n):
            if t.op[i] <= FA_CAPTURE:
                self.plan_leaf(i)
        if loops:
            first, end, primal = next(following)
        i = 1
        while i < t.n:
            if i == first:
                self.plan_loop(first, end, primal)
                i = end
                first, end, primal = next(following, (t.n, 0, 0))
                continue
            if t.op[i] > FA_CAPTURE:
                if t.aval[i] < FA_NAVAL_SCALAR and t.op[i] != FA_GUARD:
                    self.plan_scalar(i)
                else:
                    self.plan(i)
            i += 1
        self.program.nbytes = self.arena.size

    cdef int mark_writes(self, list loops) except -1:
        cdef uint32_t i, first, end
        for first, end, _ in loops:
            for i in range(first, end):
                self.marks[i] |= IN_LOOP if self.t.op[i] == FA_WRITE else 0
        return 0

    cdef int find_last_uses(self) except -1:
        cdef Tape t = self.t
        cdef const uint32_t *ids = NULL
        cdef uint32_t i, k, m, r
        cdef bint numbers
        for i in range(1, t.n):
            self.root[i] = i if t.aval[i] < FA_NAVAL_SCALAR or not shares(t, i) else self.root[t.arg[2 * <size_t>i]]
            if t.aval[i] >= FA_NAVAL_SCALAR:
                self.place[i].size = 0
            m = operands_of(t, i, &ids)
            numbers = only_numbers(t, i)
            for k in range(m):
                self.uses[ids[k]] += self.uses[ids[k]] < 2
                self.last[ids[k] if numbers else self.root[ids[k]]] = i
        for at in t.outputs:
            r = self.root[<uint32_t>at]
            self.last[r] = t.n
            self.uses[<uint32_t>at] = 2
        return self.find_external()

    cdef int find_external(self) except -1:
        """Roots whose memory is that of one output alone; and those on top of which such a one is written."""
        cdef Tape t = self.t
        cdef uint32_t r, x
        cdef Py_ssize_t k
        for k in range(len(t.outputs)):
            r = self.root[<uint32_t>t.outputs[k]]
            if AVALS[t.aval[r]].nd and t.op[r] > FA_CAPTURE:
                self.external[r] = -1 if r in self.external else k
        self.external = {r: k for r, k in self.external.items() if k >= 0}
        for r, k in list(self.external.items()):
            x = self.base(r)
            while x and self.last[x] == r and x not in self.external and t.op[x] > FA_CAPTURE:
                self.external[x] = k
                r = x
                x = self.base(r)
        for r in self.external:
            self.marks[r] |= OUTSIDE
        return 0

    cdef uint32_t base(self, uint32_t i) except? 0:
        """The root on top of whose memory instruction i can write its result, if it dies there; 0: none."""
        cdef Tape t = self.t
        cdef const uint32_t *ids = NULL
        cdef int op = t.op[i]
        cdef uint32_t k, m = operands_of(t, i, &ids)
        if self.marks[i] & IN_LOOP or op != FA_WRITE and op != FA_ERASE and op != FA_PUT and not (
                op == FA_STACK and (<const fa_stack *>t.attrs[t.arg[2 * <size_t>i + 1]]).has_base):
            return 0
        for k in range(1, m):
            if AVALS[t.aval[ids[k]]].nd and self.root[ids[k]] == self.root[ids[0]]:
                return 0
        return self.root[ids[0]] if AVALS[t.aval[ids[0]]].nd else 0

    cdef int plan_leaf(self, uint32_t i) except -1:
        """Cells that keep their value: constants are loaded once, inputs and captures point to the user's memory."""
        cdef uint32_t a = self.t.aval[i]
        found = self.own.get(i) if self.owns else None
        self.cell[i] = found or self.program.new_cell(a if AVALS[a].nd else AVALS[a].dtype, -1)
        if AVALS[a].nd and self.t.op[i] == FA_INPUT and self.t.arg[2 * <size_t>i] in self.program.given:
            self.place[i] = Held(1, GIVEN - <int64_t>self.t.arg[2 * <size_t>i])
        return 0

    cdef inline int plan_scalar(self, uint32_t i) except -1:
        """The result may take the cell of an operand: kernels read before they write."""
        cdef const uint32_t *ids = NULL
        cdef uint32_t k, m
        if only_numbers(self.t, i):           # what follows is `release`, for millions
            m = operands_of(self.t, i, &ids)
            for k in range(m):
                if self.last[ids[k]] == i:
                    self.last[ids[k]] = 0
                    self.free_scalar(ids[k])
        else:
            self.release(i, 0)
        self.cell[i] = self.scalar_cell(i)
        if self.last[i] == 0:
            self.free_scalar(i)
        return 0

    cdef int plan(self, uint32_t i) except -1:
        """A guard, or what is an array."""
        cdef Tape t = self.t
        cdef uint32_t taken = 0
        if t.op[i] == FA_GUARD:
            self.release(i, 0)
        elif shares(t, i):
            self.share(i)
            self.release(i, 0)
        else:
            taken = self.operand_to_take(i)
            if self.marks[i] & OUTSIDE:
                self.own_memory(i)       # (on top of its base, perhaps: the same place outside)
                taken = 0
            elif taken:
                self.place[i] = self.place[taken]
                self.place[taken].size = 0
                self.cell[i] = self.cell_at(t.aval[i], self.place[i].offset)
            else:
                self.own_memory(i)
            self.release(i, taken)
            if self.last[i] == 0 and self.place[i].size:
                self.give_back(i)
        return 0

    cdef int give_back(self, uint32_t r) except -1:
        """The memory of a root is free again; that of an input is not the arena's."""
        cdef Held held = self.place[r]
        self.place[r].size = 0
        return self.arena.give(held.size, held.offset) if held.offset >= 0 else 0

    # -- loops
    cdef int plan_loop(self, uint32_t first, uint32_t end, uint32_t primal) except -1:
        cdef Tape t = self.t
        cdef uint32_t i
        cdef Loop loop
        cdef list sums = []
        cdef int64_t size, offset
        self.present = self.written[first]
        self.take_over(first, end, primal)
        for i in range(first, end):
            if t.op[i] != FA_SUM or AVALS[t.aval[i]].nd:
                self.plan_member(i, end)
        loop = LoopWriter(self, first, end, primal).run()
        size = loop.scratch_bytes()
        if size:
            offset = self.arena.take(size)
            loop.f.scratch = self.program.new_cell(t.aval[first], offset)
            self.arena.give(size, offset)
        self.release_loop(first, end)
        for i in range(first, end):      # written when everything has been read
            if t.op[i] == FA_SUM and AVALS[t.aval[i]].nd == 0:
                loop.sums[<int>len(sums)] = self.cell[i] = self.scalar_cell(i)
                sums.append(i)
        for i in sums:
            if self.last[i] == 0:
                self.free_scalar(i)
        self.program.loops.append(loop)
        return 0

    cdef int take_over(self, uint32_t first, uint32_t end, uint32_t primal) except -1:
        """A result may be written over an array whose elements the loop has read for the last time, each in its place.

        In derivative code only: elsewhere the ends of rows would be computed on copies (chain_plan.h).
        """
        cdef Tape t = self.t
        cdef const uint32_t *ids = NULL
        cdef uint32_t i, k, m, r
        cdef dict dying = {}                 # root -> the instruction that reads it last, 0: not by elements
        if primal >= end:
            return 0
        for i in range(first, end):
            m = operands_of(t, i, &ids)
            for k in range(m):
                r = self.root[ids[k]]
                if r >= first or self.last[r] >= end or t.aval[r] < FA_NAVAL_SCALAR or not self.place[r].size \
                        or self.is_far(r):
                    continue
                dying[r] = i if ids[k] == r and dying.get(r, 1) and self.by_elements(i) else 0
        for i in range(primal, end):
            if not dying:
                break
            if self.last[i] < end or self.root[i] != i or not self.by_elements(i):
                continue
            for r in list(dying):
                if 0 < dying[r] <= i and t.aval[r] == t.aval[i] and self.may_have(i, r):
                    self.place[i] = self.place[r]
                    self.place[r].size = 0
                    self.cell[i] = self.cell[r]
                    self.external.pop(i, None)
                    self.marks[i] &= ~OUTSIDE
                    del dying[r]
                    break
        return 0

    cdef bint may_have(self, uint32_t i, uint32_t r) except -1:
        """May result i have the memory of root r?  That of an input only where it is the input's next value."""
        if self.t.op[r] != FA_INPUT:
            return not self.marks[i] & OUTSIDE
        return self.t.arg[2 * <size_t>r] == self.external.get(i, -1)

    cdef bint by_elements(self, uint32_t i) except -1:
        """Is instruction i a step of a chain of numbers?"""
        cdef const fa_aval *av = &AVALS[self.t.aval[i]]
        return self.t.op[i] >= FA_ELEMENTWISE and is_real(av.dtype) and av.nd > 0 \
            and chain_step(self.t, i) != FA_CHAIN_END

    cdef int plan_member(self, uint32_t i, uint32_t end) except -1:
        """Memory for what is read after the loop; a reshape of it is the same memory."""
        if self.last[self.root[i]] < end or self.place[i].size:
            return 0
        if self.marks[self.root[i]] & OUTSIDE:
            self.outside(i, self.external[self.root[i]])
        elif shares(self.t, i):
            self.cell[i] = self.cell_at(self.t.aval[i], self.place[self.root[i]].offset)
        else:
            self.own_memory(i)
        return 0

    # -- what is in the cache: guessed, for what it is worth to bring it there in time
    cdef int count_bytes(self, list loops) except -1:
        """`written`, without what is used up inside a loop."""
        cdef Tape t = self.t
        cdef uint32_t i, first = t.n, end = 0
        cdef object following = iter(loops)
        if not loops:
            return 0
        self.written = <int64_t *>calloc(t.n + 1, sizeof(int64_t))
        self.touched = <int64_t *>calloc(t.n + 1, sizeof(int64_t))
        if self.written == NULL or self.touched == NULL:
            raise MemoryError(f"fastad: no memory to compile a tape of {t.n} instructions")
        first, end, _ = next(following)
        for i in range(1, t.n):
            if i == end:
                first, end, _ = next(following, (t.n, 0, 0))
            self.written[i] = self.written[i - 1]
            if AVALS[t.aval[i]].nd and t.op[i] > FA_CAPTURE and self.root[i] == i and not (
                    first <= i and self.last[i] < end):
                self.written[i] += AVALS[t.aval[i]].size * fa_itemsize[AVALS[t.aval[i]].dtype]
        return 0

    cdef bint is_far(self, uint32_t x) except -1:
        """Has so much been computed since array x was used that it is in the cache no more?"""
        cdef uint32_t r = self.root[x]
        if self.t.op[r] <= FA_CAPTURE:
            return self.marks[r] & IS_FAR != 0
        return self.present - max(self.written[r], self.touched[r]) > FAR \
            and is_real(AVALS[self.t.aval[x]].dtype)

    cdef bint comes_far(self, uint32_t x) except -1:
        """Is array x in the cache no more when it is read?  The beginning of a long one is not, even if that was used
        just now."""
        cdef const fa_aval *av = &AVALS[self.t.aval[self.root[x]]]
        return is_real(av.dtype) and av.size * fa_itemsize[av.dtype] > FAR or self.is_far(x)

    cdef bint goes_far(self, uint32_t i) except -1:
        """Is array i for later, so that its memory has probably not been used lately?"""
        cdef uint32_t last = self.last[self.root[i]]
        if last == self.t.n:
            return self.marks[self.root[i]] & IS_FAR != 0
        return self.written[last] - self.written[i] > FAR and is_real(AVALS[self.t.aval[i]].dtype)

    cdef int release_loop(self, uint32_t first, uint32_t end) except -1:
        """Free what is used for the last time in the loop."""
        cdef Tape t = self.t
        cdef const uint32_t *ids = NULL
        cdef uint32_t i, k, m, r
        for i in range(first, end):
            m = operands_of(t, i, &ids)
            for k in range(m):
                r = self.root[ids[k]]
                self.touched[r] = self.present
                if r >= first or not first <= self.last[r] < end:
                    continue
                if AVALS[t.aval[ids[k]]].nd == 0:
                    self.last[r] = 0
                    self.free_scalar(r)
                elif self.place[r].size:
                    self.give_back(r)
        return 0

    # -- scalars
    cdef inline uint32_t scalar_cell(self, uint32_t i) except 0:
        cdef uint32_t dtype = self.t.aval[i] % FA_NDTYPE
        if self.owns and i in self.own:  # (an output: it is never given back)
            return self.own[i]
        if self.nfree[dtype]:
            self.nfree[dtype] -= 1
            return self.free_cells[dtype][self.nfree[dtype]]
        return self.program.new_cell(dtype, -1)

    cdef inline int free_scalar(self, uint32_t x) except -1:
        cdef uint32_t dtype = self.t.aval[x] % FA_NDTYPE
        cdef uint32_t *rested
        if self.t.op[x] > FA_CAPTURE:
            rested = &self.resting[dtype][self.turn[dtype]]
            if rested[0]:
                self.free_cells[dtype][self.nfree[dtype]] = rested[0]
                self.nfree[dtype] += 1
            rested[0] = self.cell[x]
            self.turn[dtype] = (self.turn[dtype] + 1) % RESTING
        return 0

    cdef int release(self, uint32_t i, uint32_t taken) except -1:
        """Free what is used for the last time by instruction i, except the root whose memory it has taken over."""
        cdef Tape t = self.t
        cdef const uint32_t *ids = NULL
        cdef uint32_t k, r, m = operands_of(t, i, &ids)
        for k in range(m):
            r = self.root[ids[k]]
            if self.last[r] != i or r == taken:
                continue
            if AVALS[t.aval[ids[k]]].nd == 0:
                self.last[r] = 0         # an operand may come twice: it is freed once
                self.free_scalar(r)
            elif self.place[r].size:
                self.give_back(r)
        return 0

    # -- arrays
    cdef uint32_t cell_at(self, uint32_t aval, int64_t offset) except 0:
        found = self.cells.get((aval, offset))
        if found is None:
            found = self.cells[aval, offset] = self.program.new_cell(aval, offset)
            if offset < 0:
                self.program.on_inputs.append((GIVEN - offset, found))
        return found

    cdef int own_memory(self, uint32_t i) except -1:
        cdef int64_t size = room_for(&AVALS[self.t.aval[i]])
        if self.marks[i] & OUTSIDE:
            return self.outside(i, self.external[i])
        self.place[i] = Held(size, self.arena.take(size))
        self.cell[i] = self.cell_at(self.t.aval[i], self.place[i].offset)
        return 0

    cdef int outside(self, uint32_t i, Py_ssize_t k) except -1:
        """A cell of its own, for the memory of output k."""
        self.cell[i] = self.program.new_cell(self.t.aval[i], -1)
        self.program.external.append((k, self.cell[i]))
        return 0

    cdef int share(self, uint32_t i) except -1:
        """A reshape: the sweep copies the pointer, so what is outside the arena gets a cell of its own."""
        cdef const Held *held = &self.place[self.root[i]]
        self.cell[i] = self.cell_at(self.t.aval[i], held.offset) if held.size \
            else self.program.new_cell(self.t.aval[i], -1)
        return 0

    cdef bint dies(self, uint32_t i, uint32_t x) except -1:
        """Is instruction i the last to use the memory of x, and is it in the arena?"""
        return self.last[self.root[x]] == i and self.place[self.root[x]].size != 0

    cdef uint32_t operand_to_take(self, uint32_t i) except? 0:
        """The root whose memory the result may take over; 0: none."""
        cdef Tape t = self.t
        cdef const uint32_t *ids = NULL
        cdef uint32_t k, r, m = operands_of(t, i, &ids)
        cdef const fa_aval *y = &AVALS[t.aval[i]]
        cdef const fa_aval *x
        cdef int op = t.op[i]
        r = self.base(i)
        if r:
            return r if self.last[r] == i and self.place[r].size else 0
        if FA_ELEMENTWISE <= op < FA_OWN_END:
            for k in range(m):
                x = &AVALS[t.aval[ids[k]]]
                if x.nd and x.dtype == y.dtype and x.size == y.size and self.dies(i, ids[k]):
                    return self.root[ids[k]]
        return 0
