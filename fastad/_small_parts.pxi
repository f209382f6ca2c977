"""_small_parts.pxi - arrays of a few elements as numbers (included in _passes.pyx).

Owns: the pass `split`, and what each instruction on an array is, element by element.  Every value keeps its bits: the
numbers are those that the array's kernel computes, added up in its order.  Where something needs the array (a large
product, a sort, a result) its numbers are stacked; what made it otherwise is taken apart.
Must not know: what pays (_small.pxi), derivative rules.
Next: _small.pxi, small_loops.py (bodies of loops), _kernels/structural.h (what is done to arrays).
"""

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
    cdef Split p
    if not has_small(tape):
        return tape
    p = Split(tape)
    p.every_line = every_line or tape.every_line
    p.least = least
    return p.run() if p.plan(False) else tape


def splits(Tape tape):
    """Which inputs and outputs of a tape would be numbers, if each element of a small one might be handed in or out by
    itself: (a list of bool, a list of bool)."""
    cdef Split p
    if has_small(tape):
        p = Split(tape)
        p.least = LEAST
        if p.plan(True):
            return [p.splits(<uint32_t>i) for i in tape.inputs], [p.splits(<uint32_t>i) for i in tape.outputs]
    return [False] * len(tape.inputs), [False] * len(tape.outputs)


@cython.final
cdef class Split(Small):
    """Writes numbers in place of the arrays that `plan` has found."""
    cdef uint32_t *first                 # of each array that has been split: where its parts begin, and 1; else 0
    cdef uint32_t *parts                 # values of the target
    cdef uint32_t nparts, cap_parts
    cdef int64_t[16] source_of           # of each element of a map's destination: the source's, or -1 (MOST)
    cdef dict stacks                     # number of scalars -> the attribute
    cdef bint every_line

    def __cinit__(self, Tape source, Tape target=None, *rest):
        self.stacks = {}
        self.first = <uint32_t *>calloc(source.n, sizeof(uint32_t))
        if self.first == NULL:
            raise MemoryError(f"fastad: no memory to simplify a tape of {source.n} instructions")

    def __dealloc__(self):
        free(self.first)
        free(self.parts)

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
