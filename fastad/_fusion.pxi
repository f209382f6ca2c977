"""_fusion.pxi - which array instructions run together as one loop, block by block (included in _program.pyx).

Owns: the grouping of instructions over one iteration space, the order in which a program runs them.
An instruction joins a loop that began before it where everything that it reads is there in time: results of the loop
itself at the same place of the block; everything else, as a slice of an array, from what was finished before.  Sums, of
everything or along an axis, and sums of results shifted by a few elements (weaves) end a loop.  What one instruction
alone needs is read, and computed where it is cheap, in the loop of that instruction: less goes through memory.  What
has effects of its own (guards, calls, checks of an index) stays where it is, in its order.
Must not know: derivative rules, how a loop is executed (_kernels/fused.h), where arrays lie (_memory_plan.pxi).
Next: _chain_steps.pxi, _loop_writer.pxi (the description of a loop), _memory_plan.pxi.
"""

cdef enum: ALONE, ELEMENTWISE, READ, SUM, ALIAS, STORE, AXIS, WEAVE      # what an instruction may be in a loop
cdef enum: LEADS = WEAVE + 1, FOLLOWS                        # elementwise, with its twin behind it or before it
cdef enum: MOST_MEMBERS = FA_FUSED_MEMBERS                   # of a loop: with three operands each FA_FUSED_SLOTS slots
cdef enum: MOST_OPEN = 12                                    # loops of a size that may still be joined
cdef enum: LONG = 1 << 14                                    # elements of an instruction that is a loop by itself
cdef enum: FEW = 4                                           # reads that a loop does before all else
cdef enum: MOST_LEAVES = 3, MOST_WAITING = 8                 # arrays of which so many results wait for their reader
cdef enum: MOST_PARTS = 8                                    # pieces that one read looks through at each block


cdef uint8_t[512] FUSABLE                                    # rows whose loops run without the GIL and never fail


def _mark_fusable():
    for code, row in T.ROWS.items():
        FUSABLE[<int>code] = "f" not in row.foreign and not isinstance(row.ufunc, str)


_mark_fusable()


cdef tuple fused(Tape tape):
    """(the tape in the order in which it runs, its loops: first, end, end of the primal instructions, its weaves)."""
    cdef Fusion fusion
    cdef uint32_t i
    for i in range(1, tape.n):
        if tape.op[i] > FA_CAPTURE and not always_alone(tape, i) and begins(tape, i):
            fusion = Fusion(tape)
            return fusion.run(), fusion.loops, fusion.woven
    return tape, [], set()                      # numbers, and what stays alone


cdef bint begins(Tape t, uint32_t i) noexcept:
    """Is it of the kinds of instructions without which there is no loop?"""
    cdef int op = t.op[i]
    return op == FA_SUM or op == FA_MOVE or op == FA_ASSEMBLE or op == FA_CAST or op >= FA_ELEMENTWISE


cdef inline bint always_alone(Tape t, uint32_t i) noexcept:
    """Instructions whose results are numbers, but for sums of arrays."""
    return t.aval[i] < FA_NAVAL_SCALAR and t.op[i] != FA_SUM


cdef class Fusion(Copier):
    """Orders the instructions of a tape so that those of a loop stand together."""
    cdef uint32_t *level                                     # place in the order of execution; 0: leaves
    cdef uint8_t *kind
    cdef uint32_t *members                                   # of a level: instructions that do something
    cdef uint8_t *sums
    cdef uint32_t *overwriter                                # of a value: what is written on top of it; 0: nothing
    cdef uint8_t *uses                                       # of a value: 0, 1, 2 for more
    cdef uint32_t *last                                      # the instruction that uses it last
    cdef dict storer                                         # value -> the move that stores it by rows
    cdef dict fetched                                        # value -> that move, from where its last readers read it
    cdef uint32_t levels
    cdef dict open
    cdef dict stored                                         # level -> layouts of its stores
    cdef dict axes                                           # level -> the axis along which it sums, how often
    cdef dict nwoven                                         # level -> how many assemblies end in it
    cdef set woven                                           # these, of the new tape
    cdef readonly list loops                                 # of the new tape: (first, end, end of the primal ones)

    def __cinit__(self, Tape source, Tape target=None, *rest):
        self.level = <uint32_t *>calloc(source.n, sizeof(uint32_t))
        self.kind = <uint8_t *>calloc(source.n, 1)
        self.members = <uint32_t *>calloc(source.n + 1, sizeof(uint32_t))
        self.sums = <uint8_t *>calloc(source.n + 1, 1)
        self.overwriter = <uint32_t *>calloc(source.n + 1, sizeof(uint32_t))
        self.uses = <uint8_t *>calloc(source.n + 1, 1)
        self.last = <uint32_t *>calloc(source.n + 1, sizeof(uint32_t))
        self.storer = {}
        self.fetched = {}
        self.open = {}
        self.stored = {}
        self.axes = {}
        self.nwoven = {}
        self.woven = set()
        self.loops = []
        if self.level == NULL or self.kind == NULL or self.members == NULL or self.sums == NULL \
                or self.overwriter == NULL or self.uses == NULL or self.last == NULL:
            raise MemoryError(f"fastad: no memory to compile a tape of {source.n} instructions")

    def __dealloc__(self):
        free(self.level)
        free(self.kind)
        free(self.members)
        free(self.sums)
        free(self.overwriter)
        free(self.uses)
        free(self.last)

    cdef Tape run(self):
        """The tape in its new order; the tape itself where no loop came together."""
        cdef Tape s = self.source
        cdef const uint32_t *ids = NULL
        cdef uint32_t i, k, m
        cdef bint any_loop = False
        self.find_overwriters()
        for i in range(1, s.n):
            m = s.operands(i, &ids)
            for k in range(m):
                self.uses[ids[k]] += self.uses[ids[k]] < 2
                self.last[ids[k]] = i
        for at in s.outputs:
            self.uses[<uint32_t>at] = 2
            self.last[<uint32_t>at] = s.n
        for i in range(1, s.n):              # what an instruction may be depends on where those before it run
            if s.op[i] > FA_CAPTURE:
                if not always_alone(s, i):
                    self.kind[i] = self.kind_of(i)
                self.level[i] = self.place(i)
                self.read_late(i)
                self.compute_late(i)
                any_loop |= self.level[i] and (self.members[self.level[i]] > 1 or self.long_enough(i))
        return self.reordered() if any_loop else s

    cdef int find_overwriters(self) noexcept:
        cdef Tape s = self.source
        cdef const uint32_t *ids = NULL
        cdef uint32_t i, x
        cdef int op
        for i in range(1, s.n):
            op = s.op[i]
            if op == FA_WRITE or op == FA_ERASE or op == FA_PUT or (
                    op == FA_STACK and (<const fa_stack *>s.attrs[s.arg[2 * <size_t>i + 1]]).has_base):
                s.operands(i, &ids)
                x = self.memory_of(ids[0])
                if self.overwriter[x] == 0:
                    self.overwriter[x] = i

    cdef uint32_t memory_of(self, uint32_t x) noexcept:
        """The value of which x is a reshape."""
        while self.source.op[x] == FA_RESHAPE or self.source.op[x] == FA_STOP:
            x = self.source.arg[2 * <size_t>x]
        return x

    cdef bint is_there(self, uint32_t x, uint32_t level) noexcept:
        """Is what slice x is cut out of still unchanged in this loop, if writes on top of it are to be in place?

        Else the whole array would be copied, for the sake of a slice: a history of fields, once a step.
        """
        cdef const uint32_t *ids = NULL
        cdef uint32_t k, m = self.source.operands(x, &ids)
        for k in range(m):
            if not self.unwritten(ids[k], level):
                return False
        return True

    cdef bint unwritten(self, uint32_t x, uint32_t level) noexcept:
        cdef uint32_t w = self.overwriter[self.memory_of(x)]
        return w == 0 or self.level[w] == 0 or self.level[w] > level

    # -- what may be in a loop
    cdef int kind_of(self, uint32_t i) except -1:
        cdef Tape s = self.source
        cdef int op = s.op[i]
        cdef const uint32_t *ids = NULL
        cdef uint32_t m
        cdef const fa_aval *av = &AVALS[s.aval[i]]
        cdef fa_reader r
        cdef fa_weave w
        if op == FA_SUM:
            return SUM if self.sums_everything(i) else AXIS if self.sums_an_axis(i) else ALONE
        if av.nd == 0 or av.size < 2:
            return ALONE
        if op == FA_RESHAPE or op == FA_STOP:
            m = self.kind[s.arg[2 * <size_t>i]]
            return ALIAS if m == ELEMENTWISE or m == READ or m == ALIAS else ALONE
        if (op == FA_MOVE or op == FA_WRITE) and self.kind[moved_by(s, i)] == ELEMENTWISE and self.is_most(i) \
                and stores_rows(s, i, &r):
            return STORE if op == FA_MOVE or self.covers_most(i) else ALONE
        if op == FA_ASSEMBLE and self.computed_in_one_loop(i) and weaves(s, i, &w):
            return WEAVE
        if op == FA_MOVE or op == FA_ASSEMBLE:
            return READ if self.readable(i) else ALONE
        if op == FA_CAST:
            return ELEMENTWISE
        if op < FA_ELEMENTWISE or not FUSABLE[op]:
            return ALONE
        m = s.operands(i, &ids)                              # NumPy's integer loops may set an error
        return ALONE if op >= FA_OWN_END and AVALS[s.aval[ids[m - 1]]].dtype == FA_I64 else ELEMENTWISE

    cdef bint is_most(self, uint32_t i) noexcept:
        """Is what is moved or written by i most of its result?  Little is better read where it is needed."""
        return 2 * AVALS[self.source.aval[moved_by(self.source, i)]].size >= AVALS[self.source.aval[i]].size

    cdef bint covers_most(self, uint32_t i) noexcept:
        """Does write i leave little of the array below it, which is there before the loop begins?

        That little is copied into new memory, so that the loop need not look at who else reads the array.
        """
        cdef Tape s = self.source
        cdef const uint32_t *ids = NULL
        s.operands(i, &ids)
        return AVALS[s.aval[ids[0]]].nd and self.level[ids[0]] < self.level[ids[1]] \
            and AVALS[s.aval[ids[1]]].dtype == AVALS[s.aval[i]].dtype

    cdef bint computed_in_one_loop(self, uint32_t i) noexcept:
        """The operands of i, and nothing that they are made of has to be finished in between."""
        cdef Tape s = self.source
        cdef const uint32_t *ids = NULL
        cdef uint32_t k, m = s.operands(i, &ids)
        for k in range(m):
            if self.kind[ids[k]] != ELEMENTWISE or self.level[ids[k]] != self.level[ids[0]]:
                return False
        return m > 1 and self.nwoven.get(self.level[ids[0]], 0) < FA_FUSED_WEAVES \
            and self.level[ids[0]] not in self.axes and self.members[self.level[ids[0]]] < MOST_MEMBERS

    cdef bint long_enough(self, uint32_t i) noexcept:
        """Is this instruction a loop by itself, for the sake of several threads?"""
        cdef Tape s = self.source
        if self.kind[i] == SUM or self.kind[i] == AXIS:
            return AVALS[s.aval[s.arg[2 * <size_t>i]]].size >= LONG
        return (self.kind[i] == ELEMENTWISE or self.kind[i] == STORE
                or s.op[i] == FA_ASSEMBLE and self.kind[i] == READ) \
            and AVALS[s.aval[i]].size >= LONG

    cdef bint sums_everything(self, uint32_t i) noexcept:
        cdef Tape s = self.source
        cdef const fa_axis *axis = <const fa_axis *>s.attrs[s.arg[2 * <size_t>i + 1]]
        cdef const fa_aval *x = &AVALS[s.aval[s.arg[2 * <size_t>i]]]
        return AVALS[s.aval[i]].nd == 0 and x.nd and x.size > 1 and is_real(x.dtype) and axis.outer == 1 \
            and axis.inner == 1

    cdef bint sums_an_axis(self, uint32_t i) noexcept:
        """Not where the loop would be slower than its parts."""
        cdef Tape s = self.source
        cdef const fa_axis *axis = <const fa_axis *>s.attrs[s.arg[2 * <size_t>i + 1]]
        cdef const fa_aval *x = &AVALS[s.aval[s.arg[2 * <size_t>i]]]
        return AVALS[s.aval[i]].nd and x.nd and x.size > 1 and is_real(x.dtype) and axis.n > 1 \
            and fa_axis_fits(axis, x.size >= LONG)

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
    cdef uint32_t place(self, uint32_t i) except? 0:
        """The level of instruction i: that of a loop which it joins, or a new one behind all others."""
        cdef Tape s = self.source
        cdef const uint32_t *ids = NULL
        cdef uint32_t k, x, m, level, earliest = 0
        cdef int kind = self.kind[i]
        if kind == ALONE and self.is_view(i):
            return self.level[s.arg[2 * <size_t>i]]
        if kind == ALONE:
            self.levels += 1
            self.members[self.levels] = 1
            return self.levels
        m = s.operands(i, &ids)
        if kind == ALIAS:
            return self.level[ids[0]]
        if kind == WEAVE:
            level = self.level[ids[0]]
            self.nwoven[level] = self.nwoven.get(level, 0) + 1
            self.members[level] += 1
            return level
        for k in range(m):
            x = ids[k]
            level = self.level[x]
            if level and (kind == READ or AVALS[s.aval[x]].nd == 0 or self.kind[x] == ALONE or self.kind[x] == STORE
                          or self.kind[x] == AXIS or self.kind[x] == WEAVE):
                level += 1
            earliest = max(earliest, level)
        if kind == READ and 4 * AVALS[s.aval[ids[0]]].size <= AVALS[s.aval[i]].size:
            earliest = max(earliest, self.levels)            # a little among zeros: not before it is asked for
        if kind == STORE:
            return self.join_store(i, earliest)
        if kind == SUM or kind == AXIS:
            return self.join(AVALS[s.aval[ids[0]]].size, earliest, i)
        return self.join(AVALS[s.aval[i]].size, earliest, 0)

    cdef bint is_view(self, uint32_t i) noexcept:
        """Another shape of a leaf, or of what is alone: it is there as soon as they are, and no loop waits for it."""
        cdef int op = self.source.op[i]
        return (op == FA_RESHAPE or op == FA_STOP) and self.kind[self.source.arg[2 * <size_t>i]] == ALONE

    cdef uint32_t join_store(self, uint32_t i, uint32_t level) except 0:
        """The loop that computes what is stored, if its stores have rows like these; else one of its own, or none."""
        cdef fa_reader r
        stores_rows(self.source, i, &r)
        row = r.dim[r.nd - 1].n
        found = self.stored.setdefault(level, [])
        if self.members[level] == MOST_MEMBERS or len(found) == FA_MOST_LAYOUTS or found and found[0] != row:
            self.levels += 1
            level = self.levels
            self.stored[level] = found = []
            if self.source.op[i] == FA_WRITE:
                self.kind[i] = ALONE
        found.append(row)
        self.members[level] += 1
        return level

    cdef uint32_t join(self, int64_t size, uint32_t earliest, uint32_t total) except 0:
        """A loop over so many elements, from level `earliest` on; total: the sum that is to end in it (0: none)."""
        cdef uint32_t level
        cdef list loops = <list>self.open.setdefault(size, [])
        for found in loops:
            level = found
            if level >= earliest and self.members[level] < MOST_MEMBERS and (total == 0 or self.may_sum(level, total)):
                self.members[level] += 1
                self.note_sum(level, total)
                return level
        self.levels += 1
        self.members[self.levels] = 1
        self.note_sum(self.levels, total)
        loops.append(self.levels)
        if len(loops) > MOST_OPEN:
            del loops[0]
        return self.levels

    cdef int read_late(self, uint32_t i) except -1:
        """What only instruction i reads through a map is read in its loop: nothing is put together and kept."""
        cdef Tape s = self.source
        cdef const uint32_t *ids = NULL
        cdef uint32_t k, x, m, level = self.level[i]
        if self.kind[i] != ELEMENTWISE:
            return 0
        m = s.operands(i, &ids)
        for k in range(m):
            x = ids[k]
            if self.kind[x] == READ and self.level[x] < level and self.uses[x] == 1 \
                    and self.members[level] < MOST_MEMBERS and AVALS[s.aval[x]].size == AVALS[s.aval[i]].size \
                    and self.is_there(x, level):
                self.members[self.level[x]] -= 1
                self.members[level] += 1
                self.level[x] = level
        return 0

    cdef int compute_late(self, uint32_t i) except -1:
        """What only instruction i reads is computed in its loop, if what it is made of is in memory anyway, but for one
        array: nothing more is kept, and less is written."""
        cdef Tape s = self.source
        cdef const uint32_t *ids = NULL
        cdef uint32_t k, m
        cdef uint32_t[3] operands
        if self.kind[i] == STORE:
            self.storer[moved_by(s, i)] = i
        if self.kind[i] != ELEMENTWISE:
            return 0
        m = s.operands(i, &ids)
        for k in range(m):
            operands[k] = ids[k]
        for k in range(m):
            if self.level[operands[k]] < self.level[i] and self.may_wait(operands[k], i):
                self.wait(operands[k], i)
        return 0

    cdef bint may_wait(self, uint32_t x, uint32_t i) except -1:
        """Is x a cheap elementwise result that instruction i alone, or what it is for, reads?"""
        cdef Tape s = self.source
        return self.kind[x] == ELEMENTWISE and self.uses[x] == 1 and (x < s.boundary) == (i < s.boundary) \
            and AVALS[s.aval[x]].size == AVALS[s.aval[i]].size and chain_step(s, x) != FA_CHAIN_END

    cdef int wait(self, uint32_t x, uint32_t i) except -1:
        """Bring x, and what it alone is made of in its loop, to the loop of i, if that is better."""
        cdef Tape s = self.source
        cdef const uint32_t *ids = NULL
        cdef uint32_t k, m, y, at = 0, level = self.level[x], ends = 0
        cdef list tree = [x]
        cdef set leaves = set()
        while at < len(tree):
            m = s.operands(<uint32_t>tree[at], &ids)
            at += 1
            for k in range(m):
                y = ids[k]
                if self.level[y] == level and self.may_wait(y, i) and len(tree) < MOST_WAITING:
                    tree.append(y)
                elif AVALS[s.aval[y]].nd:
                    leaves.add(y)
        if len(leaves) > MOST_LEAVES or self.members[self.level[i]] + len(tree) + len(leaves) > MOST_MEMBERS:
            return 0
        for leaf in leaves:
            y = leaf
            if not self.unwritten(y, self.level[i]) or (self.kind[y] == READ and not self.is_there(y, self.level[i])):
                return 0
            if self.last[y] > i:             # in memory then, unless its readers wait as well
                continue
            if self.level[y] == level and self.is_stored(y, i) and self.last[<uint32_t>self.storer[y]] > i:
                continue
            ends += 1
            if self.level[y] == level or ends > 1 or self.kind[y] == READ or self.kind[y] == ALIAS:
                return 0
        for leaf in leaves:
            if self.last[<uint32_t>leaf] <= i and self.is_stored(leaf, i):
                self.fetched[leaf] = self.storer[leaf]
        for found in tree:
            self.level[<uint32_t>found] = self.level[i]
        self.members[level] -= len(tree)
        self.members[self.level[i]] += len(tree)
        return 0

    cdef bint is_stored(self, uint32_t x, uint32_t i) except -1:
        """Are the rows of x stored before the loop of instruction i begins?  They may have a loop of their own."""
        return x in self.storer and self.level[<uint32_t>self.storer[x]] < self.level[i]

    cdef tuple axis_of(self, uint32_t i):
        cdef const fa_axis *axis = <const fa_axis *>self.source.attrs[self.source.arg[2 * <size_t>i + 1]]
        return axis.outer, axis.n, axis.inner

    cdef bint may_sum(self, uint32_t level, uint32_t total) except -1:
        """Sums of everything, and weaves, need blocks in their order, sums along an axis others: no loop has both."""
        axis, n = self.axes.get(level, (None, 0))
        if self.kind[total] == SUM:
            return axis is None and self.sums[level] < FA_FUSED_SUMS
        if self.sums[level] or level in self.nwoven:
            return False
        return n == 0 or axis == self.axis_of(total) and n < FA_FUSED_AXES

    cdef int note_sum(self, uint32_t level, uint32_t total) except -1:
        if total and self.kind[total] == SUM:
            self.sums[level] += 1
        elif total:
            self.axes[level] = self.axis_of(total), self.axes.get(level, (None, 0))[1] + 1
        return 0

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
                if self.level[i] == 0:
                    self.copy(i)
                else:
                    start[self.level[i] + 1] += 1
            for level in range(1, self.levels + 2):
                start[level] += start[level - 1]
            for i in range(1, s.n):
                if self.level[i]:
                    order[start[self.level[i]]] = i
                    start[self.level[i]] += 1
            at = 0
            for level in range(1, self.levels + 1):
                end = start[level]
                self.pair(order, at, end)
                self.read_first(order, at, end)
                first = self.target.n
                primal = 0
                for k in range(at, end):
                    i = order[k]
                    if s.boundary and i >= s.boundary and primal == 0 and self.kind[i] != FOLLOWS:
                        primal = self.target.n
                        if k == at and self.target.boundary == 0:
                            self.target.boundary = primal
                    self.read_again(i, level)
                    self.copy(i)
                    if self.kind[i] == WEAVE:
                        self.woven.add(self.map[i])
                if end > at and (self.members[level] > 1 or self.long_enough(order[at])):
                    self.loops.append((first, self.target.n, primal if primal else self.target.n))
                at = end
        finally:
            free(start)
            free(order)
        if s.boundary and self.target.boundary == 0:
            self.target.boundary = self.target.n
        self.copy_outputs()
        self.copy_locations()
        return self.target.finish()


    cdef int read_first(self, uint32_t *order, uint32_t at, uint32_t end) except -1:
        """What is read through maps for one instruction comes before all others, if it is little: chains stay whole."""
        cdef Tape s = self.source
        cdef uint32_t k, i, front = at, moved = 0
        for k in range(at, end):
            i = order[k]
            if s.boundary and k > at and i >= s.boundary > order[k - 1]:
                front = k                    # (primal instructions stay in front of all others)
            if self.kind[i] == READ and self.uses[i] == 1 and not self.stays_in_place(i) and moved < FEW:
                memmove(&order[front + 1], &order[front], (k - front) * sizeof(uint32_t))
                order[front] = i
                front += 1
                moved += 1
        return 0

    cdef int pair(self, uint32_t *order, uint32_t at, uint32_t end) except -1:
        """Two functions of one value that one step computes (sine and cosine) stand side by side.

        The second one comes forward, from the derivative to the primal if need be: it raises what the first one raises.
        """
        cdef uint32_t k, j, i
        for k in range(at + 1, end):
            i = order[k]
            if not self.has_twin(i):
                continue
            for j in range(at, k):
                if self.has_twin(order[j]) and self.source.op[order[j]] == PRIMS[self.source.op[i]].twin \
                        and self.source.arg[2 * <size_t>order[j]] == self.source.arg[2 * <size_t>i]:
                    memmove(&order[j + 2], &order[j + 1], (k - j - 1) * sizeof(uint32_t))
                    self.kind[order[j]] = LEADS
                    self.kind[i] = FOLLOWS
                    order[j + 1] = i
                    break
        return 0

    cdef bint has_twin(self, uint32_t i) noexcept:
        """Might it have one?  None that has found its own."""
        cdef int op = self.source.op[i]
        return self.kind[i] == ELEMENTWISE and op >= FA_OWN_END and PRIMS[op].twin \
            and AVALS[self.source.aval[i]].dtype == FA_F64

    cdef int read_again(self, uint32_t i, uint32_t level) except -1:
        """Slices that another loop reads in place are read in place by this one, too: nobody writes a copy of them."""
        cdef Tape s = self.source
        cdef const uint32_t *ids = NULL
        cdef uint32_t k, x, y, m
        if self.members[level] < 2 or self.kind[i] != ELEMENTWISE or chain_step(s, i) == FA_CHAIN_END:
            return 0
        m = s.operands(i, &ids)
        for k in range(m):
            x = ids[k]
            if x in self.fetched and self.level[x] < level and self.level[<uint32_t>self.fetched[x]] < level:
                y = self.fetched.pop(x)
                self.map[x] = append(self.target, FA_MOVE, s.aval[x], self.map[y], self.target.attr_id(
                    <Attr>s.attr_list[s.arg[2 * <size_t>y + 1]].T))
            elif self.kind[x] == READ and self.level[x] < level and self.stays_in_place(x) and self.is_there(x, level) \
                    and not self.keeps(x, i):
                self.map[x] = 0
                self.copy(x)
                self.level[x] = level
        return 0

    cdef inline bint keeps(self, uint32_t x, uint32_t i) noexcept:
        """Would a large array be kept for instruction i alone, which reads a little of it, slice x?"""
        cdef Tape s = self.source
        cdef uint32_t whole = s.arg[2 * <size_t>x]
        return self.last[whole] < i and 2 * AVALS[s.aval[x]].size < AVALS[s.aval[whole]].size

    cdef bint stays_in_place(self, uint32_t i) noexcept:
        """Long rows of neighbours (LoopWriter.read_rows)."""
        cdef Tape s = self.source
        cdef const fa_aval *av = &AVALS[s.aval[i]]
        cdef const fa_map *m
        cdef fa_reader r
        if s.op[i] != FA_MOVE or AVALS[s.aval[s.arg[2 * <size_t>i]]].nd == 0 or not is_real(av.dtype):
            return False
        m = <const fa_map *>s.attrs[s.arg[2 * <size_t>i + 1]]
        if not m.covers or m.npieces != 1 or fa_reader_of(&m.pieces[0], &r) < 0:
            return False
        return fa_reader_has_runs(&r) and (r.nd == 0 or r.dim[r.nd - 1].n * fa_itemsize[av.dtype] >= FA_TILE_BYTES)
