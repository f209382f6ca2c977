"""_small.pxi - which arrays of a few elements become numbers (included in _passes.pyx).

Owns: which instructions can work element by element, which arrays are split together, and what that is worth.
A step over an array costs ten times the arithmetic on three numbers, and numbers run in packed code (_machine.pxi);
so a state vector costs what the same numbers with names of their own cost.  Arrays that the same instructions join are
split together or not at all.  Left alone are extrema (at ties, two by two, they have other derivatives), products that
BLAS computes, float32 and integers.
Must not know: loops (small_loops.py says what of a loop's state is split), derivative rules.
Next: _small_parts.pxi (the numbers), _passes.pyx.
"""

cdef enum: MOST = 16                     # elements of an array that may be split

# About nanoseconds: of an array step in a loop of many, of one on its own, of stacking numbers; and of a number in
# packed code that stays in the cache, or streams through it, of one that a library function gives (alone, in an array),
# of one that is not packed, of one that is put into an array, or taken out.
LEAST = 5.0
cdef double STEP = 17.0, ALONE = 40.0, STACKING = 15.0
cdef double NUMBER = 0.8, STREAMED = 1.2, CALLED = 6.0, IN_ARRAY = 1.0, UNPACKED = 26.0, PUT = 1.2, TAKEN = 1.3
cdef enum: LONG = 4096                   # instructions that do not stay in the cache, once they are numbers

# Logic on truth values is a choice between them, which is packed.
cdef enum: AND = 1, OR, XOR, NOT
cdef uint8_t[512] LOGIC                  # by opcode (FA_MAX_OPCODES)
memset(LOGIC, 0, sizeof(LOGIC))
LOGIC[<int>T.OPCODES["logical_and"]] = LOGIC[<int>T.OPCODES["bitwise_and"]] = AND
LOGIC[<int>T.OPCODES["logical_or"]] = LOGIC[<int>T.OPCODES["bitwise_or"]] = OR
LOGIC[<int>T.OPCODES["logical_xor"]] = LOGIC[<int>T.OPCODES["bitwise_xor"]] = XOR
LOGIC[<int>T.OPCODES["logical_not"]] = LOGIC[<int>T.OPCODES["invert"]] = NOT


cdef bint is_small(uint32_t aval) noexcept:
    """May an array of this kind be split?"""
    return aval >= FA_NAVAL_SCALAR and AVALS[aval].nd > 0 and 0 < AVALS[aval].size <= MOST \
        and (AVALS[aval].dtype == FA_F64 or AVALS[aval].dtype == FA_BOOL)


cdef bint has_small(Tape tape) noexcept:
    """Is there an instruction that makes a small array?"""
    cdef uint32_t i
    for i in range(1, tape.n):
        if tape.aval[i] >= FA_NAVAL_SCALAR and tape.op[i] > FA_CAPTURE and is_small(tape.aval[i]):
            return True
    return False


cdef class Small(Pass):
    """Which arrays of a tape become numbers."""
    cdef uint32_t *group                 # of each small array: one that is split with it, at last itself; else 0
    cdef double *gain                    # of each group; as the next one, nothing where `group` is 0
    cdef uint8_t *whole                  # somebody needs the array
    cdef double least                    # what splitting a group must be worth
    cdef double number                   # NUMBER or STREAMED

    def __cinit__(self, Tape source, Tape target=None, *rest):
        self.number = NUMBER if source.n < LONG else STREAMED
        self.group = <uint32_t *>calloc(source.n, sizeof(uint32_t))
        self.gain = <double *>malloc(source.n * sizeof(double))
        self.whole = <uint8_t *>malloc(source.n)
        if self.group == NULL or self.gain == NULL or self.whole == NULL:
            raise MemoryError(f"fastad: no memory to simplify a tape of {source.n} instructions")

    def __dealloc__(self):
        free(self.group)
        free(self.gain)
        free(self.whole)

    # -- which arrays
    cdef bint plan(self, bint open_ends) except -1:
        """Find the groups, and what splitting each is worth; does it pay anywhere?

        open_ends: the tape may get and give numbers in place of its inputs and outputs."""
        cdef Tape s = self.source
        cdef const uint32_t *ids = NULL
        cdef uint32_t i, k, m
        cdef bint pays = False
        for i in range(1, s.n):
            if s.aval[i] >= FA_NAVAL_SCALAR and is_small(s.aval[i]):
                self.group[i] = i
                self.gain[i] = self.whole[i] = 0
        for i in range(1, s.n):
            if s.op[i] >= FA_ELEMENTWISE and s.aval[i] < FA_NAVAL_SCALAR:
                continue                 # numbers of numbers
            m = operands_of(s, i, &ids)
            if self.by_elements(i, ids, m):
                self.join(i, ids, m)
                continue
            if self.group[i] and s.op[i] != FA_CONST and not (open_ends and s.op[i] == FA_INPUT):
                self.gain[self.root(i)] -= AVALS[s.aval[i]].size * self.taken_out(i)
            for k in range(m):
                self.need(ids[k])
        for at in s.outputs:
            if not open_ends:
                self.need(<uint32_t>at)
        for i in range(1, s.n):
            if s.aval[i] >= FA_NAVAL_SCALAR:     # (of numbers nothing was written: their memory is not touched)
                pays = pays or (self.group[i] == i and self.gain[i] > self.least)
        return pays

    cdef double taken_out(self, uint32_t i) noexcept:
        """Cost of an element of an array that is there."""
        return UNPACKED if AVALS[self.source.aval[i]].dtype == FA_BOOL else TAKEN

    cdef int need(self, uint32_t x) except -1:
        """Somebody reads the array x as it is."""
        cdef const uint32_t *ids = NULL
        cdef uint32_t m = operands_of(self.source, x, &ids)
        if self.group[x] and not self.whole[x]:
            self.whole[x] = True
            if self.by_elements(x, ids, m) and not self.spreads(x, ids):         # (else it is there anyhow)
                self.gain[self.root(x)] -= STACKING + PUT * AVALS[self.source.aval[x]].size
        return 0

    cdef bint spreads(self, uint32_t i, const uint32_t *ids) noexcept:
        """Is it an array of one number?  It costs as little as a constant, into which other passes may turn it."""
        return self.source.op[i] == FA_MOVE and AVALS[self.source.aval[ids[0]]].nd == 0

    cdef uint32_t root(self, uint32_t x) noexcept:
        while self.group[x] != x:
            self.group[x] = self.group[self.group[x]]
            x = self.group[x]
        return x

    cdef bint splits(self, uint32_t x) noexcept:
        """Is the source's value x an array that becomes numbers?"""
        return self.group[x] != 0 and self.gain[self.root(x)] > self.least

    cdef int join(self, uint32_t i, const uint32_t *ids, uint32_t m) except -1:
        """One group of instruction i and its small operands, and what splitting i is worth."""
        cdef uint32_t k, a, b = self.root(i) if self.group[i] else 0
        cdef double worth = self.worth(i, ids, m)
        for k in range(m):
            if self.group[ids[k]] == 0:
                continue
            a = self.root(ids[k])
            if b and a != b:             # the older one is the root: paths stay short
                a, b = min(a, b), max(a, b)
                self.group[b] = a
                self.gain[a] += self.gain[b]
            b = a
        if b:
            self.gain[b] += worth
        return 0

    cdef double worth(self, uint32_t i, const uint32_t *ids, uint32_t m) noexcept:
        """Nanoseconds that instruction i takes longer on arrays than on numbers."""
        cdef Tape s = self.source
        cdef int op = s.op[i]
        cdef uint32_t k
        cdef int64_t n = AVALS[s.aval[i]].size
        cdef const fa_matmul *p
        if op == FA_ELEMENT:
            return TAKEN
        if op == FA_RESHAPE:
            return 2.0
        if op == FA_STOP:
            return 2.0 - UNPACKED * n
        if op == FA_SUM or op == FA_CUMSUM:
            return STEP - self.number * AVALS[s.aval[ids[0]]].size
        if op == FA_STACK:
            return STACKING + PUT * m
        if op == FA_ERASE:
            return ALONE
        if op == FA_MATMUL:
            p = <const fa_matmul *>self.attr_of(i)
            return 2.0 * ALONE - self.number * p.batch * p.m * p.n * p.k
        if op == FA_MOVE or op == FA_WRITE or op == FA_ASSEMBLE:
            if self.spreads(i, ids):
                return 0.0
            for k in range(m):
                if AVALS[s.aval[ids[k]]].size > MOST:
                    return ALONE - 2 * TAKEN * n
            return ALONE
        if op == FA_CAST:
            return 0.0 if s.op[ids[0]] == FA_CONST else STEP - self.number * n
        if op == FA_WHERE or self.logic(op, ids):
            return STEP - self.number * n
        if AVALS[s.aval[ids[0]]].dtype != FA_F64 or m > 2 or (op >= FA_OWN_END and AVALS[s.aval[i]].dtype != FA_F64):
            return STEP + IN_ARRAY * n - UNPACKED * n
        return STEP - self.number * n if op < FA_OWN_END else STEP + IN_ARRAY * n - CALLED * n

    cdef int logic(self, int op, const uint32_t *ids) noexcept:
        """AND, OR, ... of truth values; else 0."""
        return LOGIC[op] if AVALS[self.source.aval[ids[0]]].dtype == FA_BOOL else 0

    # -- which instructions
    cdef bint by_elements(self, uint32_t i, const uint32_t *ids, uint32_t m) except -1:
        """Can instruction i work element by element on arrays that are split?"""
        cdef Tape s = self.source
        cdef int op = s.op[i]
        cdef bint small = self.group[i] != 0
        cdef const fa_stack *st
        if not small and s.aval[i] >= FA_NAVAL_SCALAR:
            return False
        if op >= FA_ELEMENTWISE:
            return small and self.alike(ids, m)
        if op == FA_ELEMENT:
            return self.group[ids[0]] != 0
        if op == FA_RESHAPE or op == FA_STOP:
            return self.alike(ids, m) and (small or self.group[ids[0]] != 0)
        if op == FA_CAST:
            return small and (s.op[ids[0]] == FA_CONST or self.alike(ids, m)) and self.converts(i, ids[0])
        if op == FA_SUM:
            return self.group[ids[0]] != 0 and AVALS[s.aval[ids[0]]].dtype == FA_F64 \
                and AVALS[s.aval[i]].size > 0
        if op == FA_CUMSUM or op == FA_ERASE:
            return small and self.group[ids[0]] != 0 and AVALS[s.aval[ids[0]]].dtype == AVALS[s.aval[i]].dtype
        if op == FA_MOVE:
            return (<const fa_map *>self.attr_of(i)).dst_injective and self.reachable(ids[0]) \
                and (small or self.group[ids[0]] != 0)
        if op == FA_WRITE:
            return small and self.group[ids[0]] != 0 and self.reachable(ids[1])
        if op == FA_ASSEMBLE:
            return small and self.assembles(i, ids, m)
        if op == FA_MATMUL:
            return self.group[ids[0]] != 0 and self.group[ids[1]] != 0 and self.multiplies(i)
        if op == FA_STACK:
            st = <const fa_stack *>self.attr_of(i)
            return small and (not st.has_base or self.group[ids[0]] != 0) \
                and (not st.accumulate or AVALS[s.aval[i]].dtype == FA_F64)
        return False

    cdef bint multiplies(self, uint32_t i) noexcept:
        """Is this product one of the small ones, whose order of summation is ours?  What counts as zero in an adjoint
        that became primal code is the kernel's to say."""
        cdef const fa_matmul *p = <const fa_matmul *>self.attr_of(i)
        return AVALS[self.source.aval[i]].dtype == FA_F64 and p.k > 0 \
            and (p.m == 1 or p.n == 1 or p.k == 1 or p.m * p.n * p.k <= FA_SMALL_GEMM) \
            and (not p.adjoint or (self.source.boundary > 0 and i >= self.source.boundary))

    cdef const void *attr_of(self, uint32_t i) noexcept:
        return self.source.attrs[self.source.arg[2 * <size_t>i + 1]]

    cdef bint alike(self, const uint32_t *ids, uint32_t m) noexcept:
        """Is each operand a number, or small?"""
        cdef uint32_t k
        for k in range(m):
            if self.group[ids[k]] == 0 and AVALS[self.source.aval[ids[k]]].nd:
                return False
        return True

    cdef bint reachable(self, uint32_t x) noexcept:
        """Can the elements of x be had as numbers?  Those of a large array one by one, in packed code."""
        cdef const fa_aval *av = &AVALS[self.source.aval[x]]
        return av.nd == 0 or self.group[x] != 0 or (av.dtype == FA_F64 and av.size > MOST)

    cdef bint assembles(self, uint32_t i, const uint32_t *ids, uint32_t m) noexcept:
        cdef const fa_assemble *a = <const fa_assemble *>self.attr_of(i)
        cdef uint32_t k
        if a.accumulate and AVALS[self.source.aval[i]].dtype != FA_F64:
            return False
        for k in range(m):
            if not a.maps[k].dst_injective or not self.reachable(ids[k]):
                return False
        return True

    cdef bint converts(self, uint32_t i, uint32_t x) noexcept:
        """Is there a packed instruction for this conversion, or nothing to do?"""
        cdef int din = AVALS[self.source.aval[x]].dtype, dout = AVALS[self.source.aval[i]].dtype
        return AVALS[self.source.aval[x]].nd != 0 and (din == dout or self.source.op[x] == FA_CONST
                                                       or din == FA_BOOL or din == FA_F64)
