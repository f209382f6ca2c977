"""_small.pxi - arrays of a few elements become numbers (included in _passes.pyx).

Owns: the pass `split`: which arrays become numbers, and what each instruction on them is, element by element.
A step over an array costs ten times the arithmetic on three numbers, and numbers run in packed code (_machine.pxi);
so a state vector costs what the same numbers with names of their own cost.  Every value keeps its bits: the numbers are
those that the array's kernel computes, added up in its order.  Where something needs the array (a product, a sort, a
result) its numbers are stacked.
Arrays that the same instructions join are split together or not at all, by what that is worth.  Left alone are extrema
(at ties, two by two, they have other derivatives), products that BLAS computes, float32 and integers.
Must not know: loops (small_loops.py says what of a loop's state is split), derivative rules.
Next: _passes.pyx, small_loops.py.
"""

cdef enum: MOST = 16                     # elements of an array that may be split

# About nanoseconds: of an array step in a loop of many, of one on its own, of stacking numbers; and of a number in packed
# code that stays in the cache, or streams through it, of one that a library function gives (alone, in an array), of one
# that is not packed, of one that is put into an array, or taken out.
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


def split(Tape tape, bint every_line=False, double least=LEAST):
    """Numbers in place of arrays of a few elements, where that pays; the tape itself where it does not.

    Parameters
    ----------
    tape : Tape
    every_line : bool, optional
        Each of the numbers has the line of its array; else the first one does.
    least : float, optional
        Nanoseconds that splitting what belongs together must be worth; -inf: whatever can be split is.
    """
    cdef Small p
    if not has_small(tape):
        return tape
    p = Small(tape)
    p.every_line = every_line or tape.every_line
    p.least = least
    return p.run() if p.plan(False) else tape


def splits(Tape tape):
    """Which inputs and outputs of a tape would be numbers, if each element of a small one might be handed in or out by
    itself: (a list of bool, a list of bool)."""
    cdef Small p
    if has_small(tape):
        p = Small(tape)
        p.least = LEAST
        if p.plan(True):
            return [p.splits(<uint32_t>i) for i in tape.inputs], [p.splits(<uint32_t>i) for i in tape.outputs]
    return [False] * len(tape.inputs), [False] * len(tape.outputs)


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


@cython.final
cdef class Small(Pass):
    cdef uint32_t *group                 # of each small array: another one that is split with it, at last itself; else 0
    cdef double *gain                    # of each group
    cdef uint8_t *whole                  # somebody needs the array
    cdef uint32_t *first                 # of each array that has been split: where its parts begin, and 1; else 0
    cdef uint32_t *parts                 # values of the target
    cdef uint32_t nparts, cap_parts
    cdef int64_t[16] source_of           # of each element of a map's destination: the source's, or -1 (MOST)
    cdef dict stacks                     # number of scalars -> the attribute
    cdef bint every_line
    cdef double least                    # what splitting a group must be worth
    cdef double number                   # NUMBER or STREAMED

    def __cinit__(self, Tape source, Tape target=None, *rest):
        self.stacks = {}
        self.number = NUMBER if source.n < LONG else STREAMED
        self.group = <uint32_t *>calloc(source.n, sizeof(uint32_t))
        self.gain = <double *>calloc(source.n, sizeof(double))
        self.whole = <uint8_t *>calloc(source.n, 1)
        self.first = <uint32_t *>calloc(source.n, sizeof(uint32_t))
        if self.group == NULL or self.gain == NULL or self.whole == NULL or self.first == NULL:
            raise MemoryError(f"fastad: no memory to simplify a tape of {source.n} instructions")

    def __dealloc__(self):
        free(self.group)
        free(self.gain)
        free(self.whole)
        free(self.first)
        free(self.parts)

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

    # -- the walk
    cdef Tape run(self):
        cdef Tape s = self.source
        cdef uint32_t *begin = <uint32_t *>calloc(s.n + 1, sizeof(uint32_t))
        cdef uint32_t i, y
        if begin == NULL:
            raise MemoryError(f"fastad: no memory to simplify a tape of {s.n} instructions")
        try:
            self.copy_inputs()
            for i in range(1, s.n):
                if i == s.boundary:
                    self.target.boundary = self.target.n
                begin[i] = self.target.n
                self.step(i)
            if s.boundary and self.target.boundary == 0:
                self.target.boundary = self.target.n
            begin[s.n] = self.target.n
            self.copy_outputs()
            for at, place in s.locations.items():
                i = at
                if self.map[i]:
                    self.target.locations[self.map[i]] = place
                for y in range(begin[i], begin[i + 1] if self.every_line else min(begin[i] + 1, begin[i + 1])):
                    self.target.locations[y] = place
            return self.target.finish()
        finally:
            free(begin)

    cdef int step(self, uint32_t i) except -1:
        cdef Tape s = self.source
        cdef const uint32_t *ids = NULL
        cdef uint32_t m
        cdef int op = s.op[i]
        if op >= FA_ELEMENTWISE and s.aval[i] < FA_NAVAL_SCALAR:
            self.copy(i)                 # (most of them)
            return 0
        m = operands_of(s, i, &ids)
        if self.group[i] == 0:
            if op <= FA_STRUCTURAL_END and s.aval[i] < FA_NAVAL_SCALAR and m and self.splits(ids[0]) \
                    and self.by_elements(i, ids, m):
                self.map[i] = self.to_number(i, op, ids)
            else:
                self.copy(i)
            return 0
        if not self.splits(i):
            self.copy(i)
        elif op == FA_CONST:
            if self.whole[i]:
                self.copy(i)
            self.constants(i, i)
        elif self.by_elements(i, ids, m):
            self.elements(i, op, ids, m)
            if self.whole[i]:
                self.map[i] = self.stacked(i)
        else:
            self.copy(i)
            self.take_apart(i)
        return 0

    cdef uint32_t *room_for_parts(self, uint32_t i) except NULL:
        """Where the parts of array i are to be written."""
        cdef uint32_t n = <uint32_t>AVALS[self.source.aval[i]].size
        if self.nparts + n > self.cap_parts:
            self.cap_parts = max(256, 2 * (self.nparts + n))
            self.parts = <uint32_t *>realloc(self.parts, self.cap_parts * sizeof(uint32_t))
            if self.parts == NULL:
                raise MemoryError("fastad: no memory for the numbers of arrays")
        self.first[i] = self.nparts + 1
        self.nparts += n
        return self.parts + self.nparts - n

    cdef uint32_t part(self, uint32_t x, int64_t at) except 0:
        """Element `at` of the source's value x as a value of the target."""
        if AVALS[self.source.aval[x]].nd == 0:
            return self.map[x]
        if self.first[x]:
            return self.parts[self.first[x] - 1 + at]
        return append(self.target, FA_ELEMENT, AVALS[self.source.aval[x]].dtype, self.map[x], <uint32_t>at)

    cdef int take_apart(self, uint32_t i) except -1:
        """The parts of an array that is there."""
        cdef int64_t k, n = AVALS[self.source.aval[i]].size
        cdef int dtype = AVALS[self.source.aval[i]].dtype
        cdef uint32_t *y = self.room_for_parts(i)
        for k in range(n):
            y[k] = append(self.target, FA_ELEMENT, dtype, self.map[i], <uint32_t>k)
        return 0

    cdef int constants(self, uint32_t i, uint32_t x) except -1:
        """The parts of array i: the numbers of the constant x, converted."""
        cdef int dtype = AVALS[self.source.aval[i]].dtype
        cdef uint32_t *y = self.room_for_parts(i)
        cdef fa_cell c
        values = self.source.const_arrays[self.source.arg[2 * <size_t>x]].reshape(-1)
        for k, value in enumerate(values.astype(T.DTYPES[dtype])):
            c.i = 0
            if dtype == FA_F64:
                c.f = value
                y[<int>k] = self.target.const_f64(c.f)
            else:
                c.i = value
                y[<int>k] = self.target.const_cell(dtype, c)
        return 0

    cdef uint32_t stacked(self, uint32_t i) except 0:
        """The array of the parts of i."""
        cdef uint32_t n = <uint32_t>AVALS[self.source.aval[i]].size
        if n not in self.stacks:
            self.stacks[n] = self.target.attr_id(T.Stack(n))
        return self.target.push_nary(FA_STACK, self.source.aval[i], self.parts + self.first[i] - 1, n, self.stacks[n])

    cdef uint32_t zero(self, int dtype) except 0:
        return self.target.const_f64(0.0) if dtype == FA_F64 else self.truth(0)

    cdef uint32_t filling(self, int dtype, fa_cell c) except 0:
        return self.target.const_f64(c.f) if dtype == FA_F64 else self.target.const_cell(dtype, c)

    # -- a number of an array
    cdef uint32_t to_number(self, uint32_t i, int op, const uint32_t *ids) except 0:
        """Instruction i of rank 0, whose operand is split."""
        cdef uint32_t x = ids[0], y = 0
        if op == FA_ELEMENT:
            return self.part(x, self.source.arg[2 * <size_t>i + 1])
        if op == FA_SUM:
            return self.summed(self.parts + self.first[x] - 1, 1, AVALS[self.source.aval[x]].size)
        if op == FA_MATMUL:
            self.multiply(i, ids, &y)
            return y
        if op == FA_MOVE:
            self.read(<const fa_map *>self.attr_of(i))
            return self.part(x, self.source_of[0]) if self.source_of[0] >= 0 else \
                self.filling(AVALS[self.source.aval[i]].dtype, (<const fa_map *>self.attr_of(i)).fill)
        y = self.part(x, 0)
        return y if op == FA_RESHAPE else self.push(FA_STOP, self.source.aval[i], y, self.target.attr_id(None))

    cdef uint32_t sum_of_two(self, uint32_t a, uint32_t b) except 0:
        return append(self.target, FA_ADD, FA_F64, a, b)

    cdef uint32_t summed(self, const uint32_t *x, int64_t stride, int64_t n) except 0:
        """As sum_real.h adds up what lies in a row."""
        cdef uint32_t[8] r
        cdef uint32_t y = x[0]
        cdef int64_t j, k
        if n < 8:
            for j in range(1, n):
                y = self.sum_of_two(y, x[j * stride])
            return y
        for k in range(8):
            r[k] = x[k * stride]
        j = 8
        while j + 8 <= n:
            for k in range(8):
                r[k] = self.sum_of_two(r[k], x[(j + k) * stride])
            j += 8
        y = self.halves(r)
        while j < n:
            y = self.sum_of_two(y, x[j * stride])
            j += 1
        return y

    cdef uint32_t summed_rows(self, const uint32_t *x, int64_t stride, int64_t n) except 0:
        """As reduce_real.h adds up rows, in one of their columns."""
        cdef uint32_t y = x[0]
        cdef int64_t j
        if n > 8:
            y = self.summed_rows(x, stride, n // 2)
            return self.sum_of_two(y, self.summed_rows(x + n // 2 * stride, stride, n - n // 2))
        for j in range(1, n):
            y = self.sum_of_two(y, x[j * stride])
        return y

    # -- an array of numbers
    cdef int elements(self, uint32_t i, int op, const uint32_t *ids, uint32_t m) except -1:
        """The parts of array i, by its instruction element by element."""
        cdef uint32_t *y
        if op == FA_CAST and self.source.op[ids[0]] == FA_CONST:
            return self.constants(i, ids[0])
        y = self.room_for_parts(i)       # (nobody else gets room before i has its parts)
        if op >= FA_ELEMENTWISE:
            return self.elementwise(i, op, ids, m, y)
        if op == FA_MOVE or op == FA_ASSEMBLE:
            return self.moved(i, op, ids, m, y)
        if op == FA_STACK:
            return self.put(i, ids, m, y)
        if op == FA_SUM:
            return self.sums(i, ids[0], y)
        if op == FA_MATMUL:
            return self.multiply(i, ids, y)
        return self.one_by_one(i, op, ids, y)

    cdef int elementwise(self, uint32_t i, int op, const uint32_t *ids, uint32_t m, uint32_t *y) except -1:
        cdef int dtype = AVALS[self.source.aval[i]].dtype
        cdef int64_t k, n = AVALS[self.source.aval[i]].size
        cdef uint32_t[4] x
        cdef uint32_t j
        cdef int logic = self.logic(op, ids)
        for k in range(n):
            for j in range(m):
                x[j] = self.part(ids[j], k)
            if logic:
                y[k] = self.chosen(logic, x[0], x[1])
                continue
            y[k] = self.target.push_nary(op, dtype, x, m, 0) if FORMS[op] == FA_FORM_NARY else \
                append(self.target, op, dtype, x[0], x[1] if m > 1 else 0)
        return 0

    cdef uint32_t chosen(self, int logic, uint32_t a, uint32_t b) except 0:
        """Logic on two truth values."""
        if logic == AND:
            return self.where(FA_BOOL, a, b, a)
        if logic == OR:
            return self.where(FA_BOOL, a, a, b)
        if logic == XOR:
            return self.where(FA_BOOL, a, self.chosen(NOT, b, 0), b)
        return self.where(FA_BOOL, a, self.truth(0), self.truth(1))

    cdef uint32_t truth(self, int value) except 0:
        cdef fa_cell c
        c.i = value
        return self.target.const_cell(FA_BOOL, c)

    cdef uint32_t where(self, int dtype, uint32_t condition, uint32_t yes, uint32_t no) except 0:
        cdef uint32_t[3] ids
        ids[0], ids[1], ids[2] = condition, yes, no
        return self.target.push_nary(FA_WHERE, dtype, ids, 3, 0)

    cdef int one_by_one(self, uint32_t i, int op, const uint32_t *ids, uint32_t *y) except -1:
        """What gives each element one of its operand, or what is made of that."""
        cdef int64_t k, n = AVALS[self.source.aval[i]].size
        cdef int dtype = AVALS[self.source.aval[i]].dtype
        for k in range(n):
            y[k] = self.part(ids[0], k)
            if op == FA_CAST:
                y[k] = self.converted(y[k], AVALS[self.source.aval[ids[0]]].dtype, dtype)
            elif op == FA_STOP:
                y[k] = self.target.push(FA_STOP, dtype, y[k], self.target.attr_id(None))
        if op == FA_ERASE or op == FA_WRITE:
            self.read(<const fa_map *>self.attr_of(i))
            for k in range(n):
                if self.source_of[k] >= 0:
                    y[k] = self.zero(dtype) if op == FA_ERASE else self.part(ids[1], self.source_of[k])
        elif op == FA_CUMSUM:
            self.running(<const fa_axis *>self.attr_of(i), y)
        return 0

    cdef uint32_t converted(self, uint32_t x, int din, int dout) except 0:
        """A number of float64 or bool as the other: as packed code does it."""
        if din == dout:
            return x
        if dout == FA_BOOL:
            return append(self.target, FA_NOT_EQUAL, FA_BOOL, x, self.target.const_f64(0.0))
        return self.where(FA_F64, x, self.target.const_f64(1.0), self.target.const_f64(0.0))

    cdef int running(self, const fa_axis *a, uint32_t *y) except -1:
        """Cumulative sums in place."""
        cdef int64_t o, j, k, at, step = -a.inner if a.reverse else a.inner
        for o in range(a.outer):
            for j in range(a.inner):
                at = o * a.n * a.inner + j + ((a.n - 1) * a.inner if a.reverse else 0)
                for k in range(1, a.n):
                    y[at + step] = self.sum_of_two(y[at], y[at + step])
                    at += step
        return 0

    cdef int sums(self, uint32_t i, uint32_t x, uint32_t *y) except -1:
        cdef const fa_axis *a = <const fa_axis *>self.attr_of(i)
        cdef const uint32_t *from_ = self.parts + self.first[x] - 1
        cdef int64_t o, j
        for o in range(a.outer):
            for j in range(a.inner):
                y[o * a.inner + j] = self.summed(from_, 1, a.n) if a.inner == 1 else \
                    self.summed_rows(from_ + j, a.inner, a.n)
            from_ += a.n * a.inner
        return 0

    cdef int multiply(self, uint32_t i, const uint32_t *ids, uint32_t *y) except -1:
        """A batch of products as product_real.h computes them, on top of zero."""
        cdef const fa_matmul *p = <const fa_matmul *>self.attr_of(i)
        cdef const uint32_t *a = self.parts + self.first[ids[0]] - 1
        cdef const uint32_t *b = self.parts + self.first[ids[1]] - 1
        cdef int64_t ars = 1 if p.ta else p.k, acs = p.m if p.ta else 1
        cdef int64_t brs = 1 if p.tb else p.n, bcs = p.k if p.tb else 1
        cdef bint dots = (acs == 1 or p.m == 1) and (brs == 1 or p.n == 1)
        cdef int64_t t, row, column
        for t in range(p.batch):
            for row in range(p.m):
                for column in range(p.n):
                    y[(t * p.m + row) * p.n + column] = self.dot(
                        a + t * p.abatch + row * ars, acs, b + t * p.bbatch + column * bcs, brs, p.k, dots)
        return 0

    cdef uint32_t dot(self, const uint32_t *a, int64_t astep, const uint32_t *b, int64_t bstep, int64_t n,
                      bint pairwise) except 0:
        cdef uint32_t y = self.target.const_f64(0.0)
        cdef uint32_t[8] r
        cdef int64_t j, k = 0
        if pairwise and n >= 8:
            for j in range(8):
                r[j] = y
            while k + 8 <= n:
                for j in range(8):
                    r[j] = self.sum_of_two(r[j], self.product(a[(k + j) * astep], b[(k + j) * bstep]))
                k += 8
            y = self.halves(r)
        for j in range(k, n):
            y = self.sum_of_two(y, self.product(a[j * astep], b[j * bstep]))
        return y

    cdef uint32_t product(self, uint32_t a, uint32_t b) except 0:
        return append(self.target, FA_MULTIPLY, FA_F64, a, b)

    cdef uint32_t halves(self, uint32_t *r) except 0:
        """The sum of eight numbers."""
        cdef int j, n = 4
        while n:
            for j in range(n):
                r[j] = self.sum_of_two(r[2 * j], r[2 * j + 1])
            n //= 2
        return r[0]

    cdef int put(self, uint32_t i, const uint32_t *ids, uint32_t m, uint32_t *y) except -1:
        """STACK: numbers in their places, or added there."""
        cdef const fa_stack *st = <const fa_stack *>self.attr_of(i)
        cdef int dtype = AVALS[self.source.aval[i]].dtype
        cdef int64_t k, at, n = AVALS[self.source.aval[i]].size
        cdef uint32_t x
        for k in range(n):
            y[k] = self.part(ids[0], k) if st.has_base else 0
        for k in range(st.n):
            at = st.pos[k] if st.pos != NULL else k
            x = self.map[ids[k + st.has_base]]
            if st.accumulate:
                x = append(self.target, FA_ADD, dtype, y[at] if y[at] else self.zero(dtype), x)
            y[at] = x
        for k in range(n):
            if y[k] == 0:
                y[k] = self.zero(dtype)
        return 0

    cdef int moved(self, uint32_t i, int op, const uint32_t *ids, uint32_t m, uint32_t *y) except -1:
        """MOVE and ASSEMBLE: elements of operands, in their order, on top of the filling."""
        cdef const fa_assemble *a = <const fa_assemble *>self.attr_of(i)
        cdef int dtype = AVALS[self.source.aval[i]].dtype
        cdef int64_t k, n = AVALS[self.source.aval[i]].size
        cdef bint adds = op == FA_ASSEMBLE and a.accumulate
        cdef fa_cell fill = a.fill if op == FA_ASSEMBLE else (<const fa_map *>self.attr_of(i)).fill
        cdef uint32_t j, x
        for k in range(n):
            y[k] = 0
        for j in range(m):
            self.read(a.maps[j] if op == FA_ASSEMBLE else <const fa_map *>self.attr_of(i))
            for k in range(n):
                if self.source_of[k] < 0:
                    continue
                x = self.part(ids[j], self.source_of[k])
                if adds:
                    x = self.sum_of_two(y[k] if y[k] else self.filling(dtype, fill), x)
                y[k] = x
        for k in range(n):
            if y[k] == 0:
                y[k] = self.filling(dtype, fill)
        return 0

    cdef int read(self, const fa_map *m) except -1:
        """`source_of` for a map to a small array, or to a number."""
        cdef int64_t k, j, rest, count, soff, doff
        cdef const fa_piece *p
        cdef int q, d
        for k in range(m.ndst):
            self.source_of[k] = -1
        for k in range(m.ntable):
            self.source_of[m.dst[k] if m.dst != NULL else k] = m.src[k] if m.src != NULL else k
        for q in range(m.npieces):
            p = &m.pieces[q]
            count = 1
            for d in range(p.nd):
                count *= p.shape[d]
            for j in range(count):
                rest, soff, doff = j, p.soff, p.doff
                for d in range(p.nd - 1, -1, -1):
                    k = rest % p.shape[d]
                    soff += k * p.sstr[d]
                    doff += k * p.dstr[d]
                    rest //= p.shape[d]
                self.source_of[doff] = soff
        return 0
