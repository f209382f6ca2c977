"""_sums.pxi - sums over rows, taken before the matrix product that makes the rows (included in _passes.pyx).

Owns: the pass `early`.  What is broadcast over many rows gets an adjoint that is a sum over them; where a product
A B makes the rows, the sum over the rows of A, times B, is the same with as many operations less as there are rows, and
the product is never written.  Sums, negatives and strong-zero products with what is the same in all rows are passed on
the way.  In derivative code only: the sum is rounded in another order.
Must not know: which rule wrote the sum.  Next: _passes.pyx.
"""

cdef class Early(Pass):
    cdef uint32_t *uses
    cdef int64_t outer, rows, inner      # of the sum that is looked at
    cdef bint product                    # does a matrix product vanish?
    cdef dict sums                       # (the target's value, outer, rows, inner) -> its sum

    def __cinit__(self, Tape source, Tape target=None, *rest):
        cdef const uint32_t *ids = NULL
        cdef uint32_t i, k, m
        self.sums = {}
        self.uses = <uint32_t *>calloc(source.n, sizeof(uint32_t))
        if self.uses == NULL:
            raise MemoryError(f"fastad: no memory to simplify a tape of {source.n} instructions")
        for at in source.outputs:
            self.uses[<uint32_t>at] += 1
        for i in range(1, source.n):
            m = source.operands(i, &ids)
            for k in range(m):
                self.uses[ids[k]] += 1

    def __dealloc__(self):
        free(self.uses)

    cdef int step(self, uint32_t i) except -1:
        cdef Tape s = self.source
        cdef uint32_t x, y
        if s.op[i] == FA_MOVE and s.boundary and i >= s.boundary and self.sums_rows(i):
            x = s.arg[2 * <size_t>i]
            self.product = False
            if self.passable(x) and self.product:
                y = self.summed(x)
                self.map[i] = self.target.push(FA_RESHAPE, s.aval[i], y, self.target.attr_id(None))
                return 0
        self.copy(i)
        return 0

    cdef bint sums_rows(self, uint32_t i) noexcept:
        """Is this move a sum over the middle axis of (outer, rows, inner)?"""
        cdef Tape s = self.source
        cdef const fa_map *m = <const fa_map *>s.attrs[s.arg[2 * <size_t>i + 1]]
        cdef const fa_piece *p
        cdef int r
        if m.npieces != 1 or m.ntable >= 0 or m.fill.i != 0 or not is_real(AVALS[s.aval[i]].dtype):
            return False
        p = &m.pieces[0]
        r = p.nd - 2                     # the axis of the rows: the outermost is not there where it has length 1
        if r < 0 or r > 1 or p.soff or p.doff or p.sstr[r + 1] != 1 or p.sstr[r] != p.shape[r + 1] \
                or p.dstr[r] or p.dstr[r + 1] != 1:
            return False
        self.outer, self.rows, self.inner = p.shape[0] if r else 1, p.shape[r], p.shape[r + 1]
        if r and (p.sstr[0] != self.rows * self.inner or p.dstr[0] != self.inner):
            return False
        return m.nsrc == self.outer * self.rows * self.inner and m.ndst == self.outer * self.inner

    cdef bint passable(self, uint32_t x) except -1:
        """May the sum be taken of what x is made of, without an array more than there are?"""
        cdef Tape s = self.source
        cdef int op = s.op[x]
        cdef uint32_t a = s.arg[2 * <size_t>x], b = s.arg[2 * <size_t>x + 1]
        if self.uses[x] > 1:
            return True                  # it is written anyway
        if x < s.boundary:
            return False
        if op == FA_NEGATIVE or op == FA_RESHAPE:
            return self.passable(a)
        if op == FA_ADD or op == FA_SUBTRACT:
            return AVALS[s.aval[a]].nd != 0 and AVALS[s.aval[b]].nd != 0 and self.passable(a) and self.passable(b)
        if op == FA_STRONGZERO:
            return self.repeated(b) != 0 and AVALS[s.aval[a]].nd != 0 and self.passable(a)
        if op == FA_MATMUL and self.makes_rows(x):
            self.product = True
            return True
        return False

    cdef uint32_t repeated(self, uint32_t x) noexcept:
        """The value that is the same in all rows of x; 0 if there is none."""
        cdef Tape s = self.source
        cdef const fa_map *m
        cdef const fa_piece *p
        cdef int r
        if s.op[x] != FA_MOVE:
            return 0
        m = <const fa_map *>s.attrs[s.arg[2 * <size_t>x + 1]]
        if m.npieces != 1 or m.ntable >= 0 or m.nsrc != self.outer * self.inner \
                or m.ndst != self.outer * self.rows * self.inner:
            return 0
        p = &m.pieces[0]
        r = p.nd - 2
        if r < 0 or r > 1 or r == 0 and self.outer != 1 or p.soff or p.doff or p.shape[r] != self.rows \
                or p.shape[r + 1] != self.inner or p.sstr[r] or p.sstr[r + 1] != 1 or p.dstr[r] != self.inner \
                or p.dstr[r + 1] != 1:
            return 0
        if r and (p.shape[0] != self.outer or p.sstr[0] != self.inner or p.dstr[0] != self.rows * self.inner):
            return 0
        return s.arg[2 * <size_t>x]

    cdef bint makes_rows(self, uint32_t x) except -1:
        """Is x an adjoint product with `outer` times `rows` rows, whose first operand has its rows one by one?"""
        attr = <Attr>self.source.attr_list[self.source.arg[2 * <size_t>x + 1]]
        if attr.kind != "adjoint matmul":
            return False
        batch, m, k, n, abatch, _, ta, _ = attr.fields()
        if ta or k == 0 or n != self.inner:
            return False
        return m == self.outer * self.rows if batch == 1 else \
            batch == self.outer and m == self.rows and abatch == m * k

    cdef uint32_t summed(self, uint32_t x) except 0:
        """The target's sum of the source's value x, in the shape (outer, inner)."""
        cdef Tape s = self.source
        cdef Tape t = self.target
        cdef int op = s.op[x], dtype = AVALS[s.aval[x]].dtype
        cdef uint32_t a = s.arg[2 * <size_t>x], b = s.arg[2 * <size_t>x + 1], left, right
        cdef uint32_t aval = aval_id(dtype, (self.outer, self.inner))
        cdef uint32_t[2] ids
        if self.uses[x] > 1:
            return self.total(self.map[x], dtype, self.outer, self.rows, self.inner)
        if op == FA_RESHAPE:
            return self.summed(a)
        if op == FA_NEGATIVE:
            left = self.summed(a)
            return t.push(FA_NEGATIVE, aval, left, 0)
        if op == FA_MATMUL:
            attr = <Attr>s.attr_list[b]
            batch, _, k, n, _, bbatch, _, tb = attr.fields()
            self.mapped(x, &left)
            ids[1] = self.room[1]
            ids[0] = self.total(self.room[0], dtype, self.outer, self.rows, k)
            product = T.AdjointMatmul(batch, self.outer // batch, k, n, k, bbatch, False, tb)
            return t.push_nary(FA_MATMUL, aval, ids, 2, t.attr_id(product))
        left = self.summed(a)
        if op == FA_STRONGZERO:
            right = t.push(FA_RESHAPE, aval, self.map[self.repeated(b)], t.attr_id(None))
        else:
            right = self.summed(b)
        return t.push(op, aval, left, right)

    cdef uint32_t total(self, uint32_t y, int dtype, int64_t outer, int64_t rows, int64_t inner) except 0:
        """The sum over the rows of the target's value y."""
        key = (y, outer, rows, inner)
        if key not in self.sums:
            self.sums[key] = self.target.push(FA_SUM, aval_id(dtype, (outer, inner)), y,
                                              self.target.attr_id(T.Axis(outer, rows, inner)))
        return self.sums[key]


def early(Tape tape):
    """Take sums over the rows of a matrix product before it."""
    return (<Early>Early(tape)).run() if has(tape, FA_MATMUL) else tape
