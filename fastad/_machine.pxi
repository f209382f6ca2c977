"""_machine.pxi - long runs of float64 scalars packed into one instruction of a program.

Owns: which instructions form a run, which two or three of them become one, the words.
Must not know: where values lie (the plan has said it: cells), what a code computes (_kernels/machine.h).
An instruction that is put together with its only user runs later than where it stood: nothing in between may write the
cells that it reads.  Next: _kernels/machine_loop.h.
"""
cdef extern from "_kernels/layout.h" nogil:
    enum: FA_M_END, FA_M_ADD, FA_M_STRONGZERO, FA_M_ZEROPRODUCT, FA_M_WHERE, FA_M_COMPARE, FA_M_LOOP, FA_M_ELEMENT
    enum: FA_M_PAIRS, FA_M_TWOS

cdef enum: SHORTEST_RUN = 8
cdef enum: FARTHEST = 12                 # instructions between one and its user
cdef enum: INNER_ADD, INNER_SUBTRACT, INNER_MULTIPLY, INNER_STRONGZERO, NO_INNER     # in the order of the codes
cdef enum: UNJOINED, PART, WHOLE
cdef enum: NARROW = 65536                # cells that a word of 16 bits can name


@cython.final
cdef class Packer:
    """Replaces runs in the arrays of a program, in place."""
    cdef Program p
    cdef Tape t
    cdef uint8_t *uses                   # of each value of the tape: 0, 1, 2 for more
    cdef uint32_t *at                    # of each value: its instruction in the program + 1
    cdef uint8_t *state                  # of each instruction of the program: alone, part of a later one, with parts
    cdef uint8_t *parts                  # of each: how far before it its two parts stand, or 0
    cdef void *words                     # of the run that is being packed
    cdef uint32_t nwords
    cdef bint wide

    def __cinit__(self, Program p):
        cdef const uint32_t *ids = NULL
        cdef uint32_t i, k, m
        self.p, self.t = p, p.tape
        self.wide = p.ncells > NARROW
        self.uses = <uint8_t *>calloc(self.t.n, 1)
        self.at = <uint32_t *>calloc(self.t.n, sizeof(uint32_t))
        self.state = <uint8_t *>calloc(p.n + 1, 1)
        self.parts = <uint8_t *>calloc(2 * (<size_t>p.n + 1), 1)
        if self.uses == NULL or self.at == NULL or self.state == NULL or self.parts == NULL:
            raise MemoryError("fastad: no memory to compile a tape")
        for i in range(1, self.t.n):
            m = self.t.operands(i, &ids)
            for k in range(m):
                self.uses[ids[k]] = min(2, self.uses[ids[k]] + 1)
        for i in self.t.outputs:
            self.uses[i] = 2
        for k in range(p.n):
            self.at[p.where[k]] = k + 1

    def __dealloc__(self):
        free(self.uses)
        free(self.at)
        free(self.state)
        free(self.parts)
        free(self.words)

    cdef int run(self) except -1:
        """Pack what can be packed; the rest moves together."""
        cdef Program p = self.p
        cdef uint32_t k = 0, end, n = 0, limit, boundary = p.boundary
        while k < p.n:
            if k == boundary:
                p.boundary = n
            limit = boundary if k < boundary else p.n
            end = k
            while end < limit and self.packs(end):
                end += 1
            if end - k >= SHORTEST_RUN:
                self.pack(k, end)
                self.put(n, FA_RUN, FA_AVAL_I64, p.nruns - 1, 0, 0, p.where[k])
                k = end
            else:
                end = max(end, k + 1)
                while k < end:
                    self.put(n, p.op[k], p.aval[k], p.arg[2 * <size_t>k], p.arg[2 * <size_t>k + 1], p.dst[k],
                             p.where[k])
                    k += 1
                    n += 1
                continue
            n += 1
        if boundary == p.n:
            p.boundary = n
        p.n = n
        return 0

    cdef int put(self, uint32_t n, uint16_t op, uint32_t aval, uint32_t a, uint32_t b, uint32_t dst,
                 uint32_t where) except -1:
        cdef Program p = self.p
        p.op[n], p.aval[n], p.dst[n], p.where[n] = op, aval, dst, where
        p.arg[2 * <size_t>n] = a
        p.arg[2 * <size_t>n + 1] = b
        return 0

    # -- single instructions
    cdef bint packs(self, uint32_t k) noexcept:
        """Float64 scalars alone; comparisons of two such."""
        cdef Program p = self.p
        cdef int op = p.op[k]
        cdef uint32_t a = p.arg[2 * <size_t>k]
        if op == FA_ELEMENT:
            return is_f64(p.aval[k]) and AVALS[p.cell_aval[a]].nd > 0
        if op < FA_ELEMENTWISE:
            return False
        if FA_EQUAL <= op <= FA_GREATER_EQUAL:
            return AVALS[p.aval[k]].nd == 0 and is_f64(p.cell_aval[a])
        if op >= FA_OWN_END and (PRIMS[op].arity > 2 or not is_f64(p.cell_aval[a])):
            return False
        return is_f64(p.aval[k])

    cdef int inner(self, uint32_t k) noexcept:
        cdef int op = self.p.op[k]
        if op == FA_ADD:
            return INNER_ADD
        if op == FA_SUBTRACT:
            return INNER_SUBTRACT
        if op == FA_MULTIPLY:
            return INNER_MULTIPLY
        return INNER_STRONGZERO if op == FA_STRONGZERO else NO_INNER

    cdef uint8_t part(self, uint32_t k, int operand, uint32_t begin, bint product) noexcept:
        """How far before k the instruction stands, since `begin`, that gives this operand to it alone; 0: nowhere."""
        cdef Program p = self.p
        cdef uint32_t x = self.t.arg[2 * <size_t>p.where[k] + operand], j, m, a, b
        if self.uses[x] != 1 or self.at[x] <= begin or self.at[x] > k:
            return 0
        j = self.at[x] - 1
        if self.inner(j) == NO_INNER or self.state[j] != UNJOINED or k - j > FARTHEST \
                or (product and self.inner(j) < INNER_MULTIPLY):
            return 0
        a = p.arg[2 * <size_t>j]
        b = p.arg[2 * <size_t>j + 1]
        for m in range(j + 1, k):
            if p.dst[m] == a or p.dst[m] == b:
                return 0
        return <uint8_t>(k - j)

    # -- a run
    cdef int pack(self, uint32_t begin, uint32_t end) except -1:
        cdef uint32_t k
        self.nwords = 0
        self.words = malloc((5 * <size_t>(end - begin) + 1) * (4 if self.wide else 2))
        if self.words == NULL:
            raise MemoryError("fastad: no memory to compile a tape")
        for k in range(begin, end):
            self.join(k, begin)
        for k in range(begin, end):
            if self.state[k] == WHOLE:
                self.emit_joined(k)
            elif self.state[k] == UNJOINED:
                self.emit(k)
        self.word(FA_M_END)
        return self.keep()

    cdef void join(self, uint32_t k, uint32_t begin) noexcept:
        """Take the parts that instruction k can have: two products, or one instruction."""
        cdef int op = self.p.op[k]
        cdef uint8_t *parts = &self.parts[2 * <size_t>k]
        cdef int j
        if self.inner(k) == NO_INNER:
            return
        if op == FA_ADD or op == FA_SUBTRACT:
            parts[0], parts[1] = self.part(k, 0, begin, True), self.part(k, 1, begin, True)
        if op > FA_SUBTRACT or parts[0] == 0 or parts[1] == 0:
            parts[0], parts[1] = 0, self.part(k, 1, begin, False)
            if parts[1] == 0:
                parts[0] = self.part(k, 0, begin, False)
        for j in range(2):
            if parts[j]:
                self.state[k - parts[j]] = PART
                self.state[k] = WHOLE

    cdef void emit_joined(self, uint32_t k) noexcept:
        cdef Program p = self.p
        cdef uint32_t one = k - self.parts[2 * <size_t>k], other = k - self.parts[2 * <size_t>k + 1]
        cdef int side = 0 if one < k else 1
        if one < k and other < k:
            self.word(FA_M_TWOS + 4 * (self.inner(one) == INNER_STRONGZERO)
                      + 2 * (self.inner(other) == INNER_STRONGZERO) + (p.op[k] == FA_SUBTRACT))
            self.word(p.dst[k])
            self.operands(one)
            self.operands(other)
            return
        one = other if side else one
        self.word(FA_M_PAIRS + 8 * self.inner(one) + 2 * self.inner(k) + side)       # outer kinds, each from both sides
        self.word(p.dst[k])
        self.operands(one)
        self.word(p.arg[2 * <size_t>k + 1 - side])

    cdef void operands(self, uint32_t k) noexcept:
        self.word(self.p.arg[2 * <size_t>k])
        self.word(self.p.arg[2 * <size_t>k + 1])

    cdef void emit(self, uint32_t k) noexcept:
        cdef Program p = self.p
        cdef int op = p.op[k]
        cdef uint32_t a = p.arg[2 * <size_t>k], b = p.arg[2 * <size_t>k + 1]
        if op == FA_WHERE:
            self.head(FA_M_WHERE, p.dst[k], p.pool[a + 1])
            self.word(p.pool[a + 2])
            self.word(p.pool[a + 3])
        elif op == FA_ELEMENT:
            self.head(FA_M_ELEMENT, p.dst[k], a)
            self.word(b & 0xffff)
            self.word(b >> 16)
        elif op >= FA_OWN_END or FA_EQUAL <= op <= FA_GREATER_EQUAL:
            self.head(FA_M_LOOP if op >= FA_OWN_END else FA_M_COMPARE, op, p.dst[k])
            self.word(a)
            self.word(b if PRIMS[op].arity == 2 else a)
        else:
            self.head(FA_M_STRONGZERO if op == FA_STRONGZERO else FA_M_ZEROPRODUCT if op == FA_ZEROPRODUCT
                      else FA_M_ADD + op - FA_ADD, p.dst[k], a)
            if PRIMS[op].arity == 2:
                self.word(b)

    cdef void head(self, uint32_t code, uint32_t one, uint32_t other) noexcept:
        self.word(code)
        self.word(one)
        self.word(other)

    cdef void word(self, uint32_t w) noexcept:
        if self.wide:
            (<uint32_t *>self.words)[self.nwords] = w
        else:
            (<uint16_t *>self.words)[self.nwords] = <uint16_t>w
        self.nwords += 1

    cdef int keep(self) except -1:
        """The words as a new run of the program."""
        cdef Program p = self.p
        cdef fa_run *runs = <fa_run *>realloc(p.runs, (p.nruns + 1) * sizeof(fa_run))
        cdef void *words = realloc(self.words, <size_t>self.nwords * (4 if self.wide else 2))
        if words != NULL:                # smaller than it was
            self.words = words
        if runs == NULL:
            raise MemoryError("fastad: no memory to compile a tape")
        p.runs = runs
        p.runs[p.nruns] = fa_run(self.words, self.wide)
        p.nruns += 1
        self.words = NULL
        return 0
