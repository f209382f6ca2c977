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
cdef enum: ONCE = 1, PART = 4, WHOLE = 8     # used once, and a part of a later one, or with parts of its own
cdef enum: NARROW = 65536                # cells that a word of 16 bits can name


@cython.final
cdef class Packer:
    """Writes the runs of a program, whose cells are planned."""
    cdef Program p
    cdef Tape t
    cdef const uint16_t *op              # of each value of the tape, as the three that follow: a local name for the
    cdef const uint32_t *aval            # tape would count references to it, in each call
    cdef const uint32_t *arg
    cdef const uint32_t *cell
    cdef uint8_t *uses                   # of each value: 0, 1, 2 for more; with PART or WHOLE
    cdef uint8_t *parts                  # of each: how far before it its two parts stand, or 0
    cdef void *words                     # of the run that is being packed
    cdef uint32_t nwords
    cdef uint32_t first, count           # of a stretch: its first instruction that packs, and how many do
    cdef bint wide

    def __cinit__(self, Program p, Plan plan):
        self.p, self.t, self.cell = p, p.tape, p.cell
        self.op, self.aval, self.arg = p.tape.op, p.tape.aval, p.tape.arg
        self.uses, plan.uses = plan.uses, NULL
        self.wide = p.ncells > NARROW
        self.parts = <uint8_t *>malloc(2 * <size_t>self.t.n)
        if self.parts == NULL:
            raise MemoryError("fastad: no memory to compile a tape")

    def __dealloc__(self):
        free(self.uses)
        free(self.parts)
        free(self.words)

    # -- which instructions
    cdef uint32_t stretch(self, uint32_t begin, uint32_t limit) noexcept:
        """The end of the instructions from `begin` on that pack; leaves among them do not matter."""
        cdef uint32_t i
        self.count = 0
        for i in range(begin, limit):
            if self.packs(i):
                if self.count == 0:
                    self.first = i
                self.count += 1
            elif self.op[i] > FA_CAPTURE:
                return i
        return limit

    cdef inline bint packs(self, uint32_t i) noexcept:
        """Float64 scalars alone; comparisons of two such, and choices between truth values."""
        cdef int op = self.op[i]
        cdef uint32_t a = self.arg[2 * <size_t>i]
        if op < FA_ELEMENTWISE:
            return op == FA_ELEMENT and is_f64(self.aval[i]) and AVALS[self.aval[a]].nd > 0
        if op == FA_WHERE:
            return self.aval[i] < FA_NAVAL_SCALAR and AVALS[self.aval[i]].dtype != FA_F32
        if FA_EQUAL <= op <= FA_GREATER_EQUAL:
            return AVALS[self.aval[i]].nd == 0 and is_f64(self.aval[a])
        if op >= FA_OWN_END and (PRIMS[op].arity > 2 or not is_f64(self.aval[a])):
            return False
        return is_f64(self.aval[i])

    cdef inline int inner(self, uint32_t i) noexcept:
        cdef int op = self.op[i]
        if op <= FA_MULTIPLY:
            return op - FA_ADD if op >= FA_ADD else NO_INNER             # in the order of the codes
        return INNER_STRONGZERO if op == FA_STRONGZERO else NO_INNER

    cdef inline uint8_t part(self, uint32_t i, int operand, uint32_t begin, bint product) noexcept:
        """How far before i the instruction stands, since `begin`, that gives this operand to it alone; 0: nowhere."""
        cdef uint32_t j = self.arg[2 * <size_t>i + operand], m, a, b
        cdef int inner
        if self.uses[j] != ONCE or j < begin or i - j > FARTHEST:
            return 0
        inner = self.inner(j)
        if inner == NO_INNER or (product and inner < INNER_MULTIPLY):
            return 0
        a = self.cell[self.arg[2 * <size_t>j]]
        b = self.cell[self.arg[2 * <size_t>j + 1]]
        for m in range(j + 1, i):
            if self.cell[m] == a or self.cell[m] == b:
                return 0
        return <uint8_t>(i - j)

    # -- a run
    cdef int pack(self, uint32_t begin, uint32_t end) except -1:
        """The words of the stretch that was looked at last, as a new run of the program."""
        cdef uint32_t i
        self.nwords = 0
        self.words = malloc((5 * <size_t>self.count + 1) * (4 if self.wide else 2))
        if self.words == NULL:
            raise MemoryError("fastad: no memory to compile a tape")
        for i in range(begin, end):
            if self.inner(i) != NO_INNER:
                self.join(i, begin)
            if i - begin >= FARTHEST:    # nobody takes what is farther away as a part
                self.emit(i - FARTHEST)
        for i in range(max(begin, end - min(end, FARTHEST)), end):
            self.emit(i)
        self.word(FA_M_END)
        return self.keep()

    cdef void join(self, uint32_t i, uint32_t begin) noexcept:
        """Take the parts that instruction i can have: two products, or one instruction."""
        cdef int op = self.op[i]
        cdef uint8_t *parts = &self.parts[2 * <size_t>i]
        cdef int j
        if op == FA_ADD or op == FA_SUBTRACT:
            parts[0], parts[1] = self.part(i, 0, begin, True), self.part(i, 1, begin, True)
        if op > FA_SUBTRACT or parts[0] == 0 or parts[1] == 0:
            parts[0], parts[1] = 0, self.part(i, 1, begin, False)
            if parts[1] == 0:
                parts[0] = self.part(i, 0, begin, False)
        for j in range(2):
            if parts[j]:
                self.uses[i - parts[j]] |= PART
                self.uses[i] |= WHOLE

    cdef void emit_joined(self, uint32_t k) noexcept:
        cdef uint32_t one = k - self.parts[2 * <size_t>k], other = k - self.parts[2 * <size_t>k + 1]
        cdef int side = 0 if one < k else 1
        if one < k and other < k:
            self.word(FA_M_TWOS + 4 * (self.inner(one) == INNER_STRONGZERO)
                      + 2 * (self.inner(other) == INNER_STRONGZERO) + (self.op[k] == FA_SUBTRACT))
            self.word(self.cell[k])
            self.operands(one)
            self.operands(other)
            return
        one = other if side else one
        self.word(FA_M_PAIRS + 8 * self.inner(one) + 2 * self.inner(k) + side)       # outer kinds, each from both sides
        self.word(self.cell[k])
        self.operands(one)
        self.word(self.cell[self.arg[2 * <size_t>k + 1 - side]])

    cdef inline void operands(self, uint32_t k) noexcept:
        self.word(self.cell[self.arg[2 * <size_t>k]])
        self.word(self.cell[self.arg[2 * <size_t>k + 1]])

    cdef void emit(self, uint32_t k) noexcept:
        if self.uses[k] & WHOLE:
            self.emit_joined(k)
        elif self.op[k] > FA_CAPTURE and not self.uses[k] & PART:
            self.emit_alone(k)

    cdef void emit_alone(self, uint32_t k) noexcept:
        cdef int op = self.op[k]
        cdef uint32_t a = self.arg[2 * <size_t>k], b = self.arg[2 * <size_t>k + 1]
        if op == FA_WHERE:
            self.head(FA_M_WHERE, self.cell[k], self.cell[self.t.pool[a + 1]])
            self.word(self.cell[self.t.pool[a + 2]])
            self.word(self.cell[self.t.pool[a + 3]])
        elif op == FA_ELEMENT:
            self.head(FA_M_ELEMENT, self.cell[k], self.cell[a])
            self.word(b & 0xffff)
            self.word(b >> 16)
        elif op >= FA_OWN_END or FA_EQUAL <= op <= FA_GREATER_EQUAL:
            self.head(FA_M_LOOP if op >= FA_OWN_END else FA_M_COMPARE, op, self.cell[k])
            self.word(self.cell[a])
            self.word(self.cell[b if PRIMS[op].arity == 2 else a])
        else:
            self.head(FA_M_STRONGZERO if op == FA_STRONGZERO else FA_M_ZEROPRODUCT if op == FA_ZEROPRODUCT
                      else FA_M_ADD + op - FA_ADD, self.cell[k], self.cell[a])
            if PRIMS[op].arity == 2:
                self.word(self.cell[b])

    cdef void head(self, uint32_t code, uint32_t one, uint32_t other) noexcept:
        self.word(code)
        self.word(one)
        self.word(other)

    cdef inline void word(self, uint32_t w) noexcept:
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
        p.runs[p.nruns] = fa_run(self.words, self.nwords, self.wide, NULL)
        p.nruns += 1
        self.words = NULL
        return 0
