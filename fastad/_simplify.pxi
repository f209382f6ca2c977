"""_simplify.pxi - constants that are computed, and what changes nothing (included in _passes.pyx).

Owns: constant folding; simplification of derivative code as if it were algebra on finite numbers: x + 0, x * 1 and
strong-zero products with a constant vanish, constants and signs come together.  Primal instructions are only folded,
by the kernel that would have computed them.
Must not know: what is looked for again, what is dead.
Next: _moves.pxi (moves, writes and assemblies), _slices.pxi, _passes.pyx.
"""

cdef class Fold(Pass):
    """Scalars of constants, by the kernels of the sweep."""

    cdef uint32_t folded(self, uint32_t i, int op) except? 0:
        """The constant in place of instruction i of rank 0; 0 where it is none."""
        if op >= FA_ELEMENTWISE:
            return self.fold_elementwise(i, op)
        if op == FA_ELEMENT:
            return self.fold_element(i)
        return self.fold_cast(i) if op == FA_CAST else 0

    cdef uint32_t fold_elementwise(self, uint32_t i, int op) except? 0:
        cdef uint32_t k, m = 0
        cdef uint32_t *x = self.mapped(i, &m)
        cdef fa_cell v
        if op == FA_WHERE and self.number(x[0], &v):
            k = 1 if v.i else 2
            if self.target.aval[x[k]] == self.source.aval[i]:
                return x[k]
        return self.computed(op, x, m, AVALS[self.source.aval[i]].dtype)

    cdef uint32_t fold_element(self, uint32_t i) except? 0:
        cdef Tape s = self.source
        cdef uint32_t n = self.target.n, y
        cdef uint32_t x = self.map[s.arg[2 * <size_t>i]]
        if self.target.op[x] != FA_CONST or AVALS[self.target.aval[x]].nd == 0:
            return 0
        array = self.target.const_arrays[self.target.arg[2 * <size_t>x]]
        y = self.target.emit_const(array.reshape(-1)[s.arg[2 * <size_t>i + 1]], AVALS[s.aval[i]].dtype)
        return y if self.seen is None or y < n else self.seen.once(y)

    cdef uint32_t fold_cast(self, uint32_t i) except? 0:
        """To real numbers: exact or rounded to nearest, as C does it."""
        cdef fa_cell v, y
        cdef uint32_t x = self.map[self.source.arg[2 * <size_t>i]]
        cdef int din, dout = AVALS[self.source.aval[i]].dtype
        if not is_real(dout) or not self.number(x, &v):
            return 0
        din = AVALS[self.target.aval[x]].dtype
        y.i = 0
        if dout == FA_F64:
            y.f = real_of(v, din) if is_real(din) else <double>v.i
        else:
            y.s = <float>real_of(v, din) if is_real(din) else <float>v.i
            if not isfinite(<double>y.s):                # too large for it: the sweep raises a flag
                return 0
        return self.push_number(dout, y)

    cdef uint32_t computed(self, int op, const uint32_t *x, uint32_t m, int dout) except? 0:
        """The elementwise instruction of rank 0 on the target's values x as a constant; 0 where it is none.

        What is not finite stays, since computing it raises a floating-point flag that the user is to see.
        """
        cdef fa_cell[3] v
        cdef fa_cell y
        cdef uint32_t k
        cdef int din = AVALS[self.target.aval[x[m - 1]]].dtype
        for k in range(m):
            if not self.number(x[k], &v[k]):
                return 0
        if (not is_real(din) and op >= FA_OWN_END) or (op >= FA_OWN_END and PRIMS[op].loop[din].fn == NULL):
            return 0
        y = scalar_kernel(op, din, v)
        if PRIMS[op].foreign and PyErr_Occurred() != NULL:
            PyErr_Clear()                # the sweep will meet it, and report it if it is the user's
            return 0
        if is_real(dout) and not isfinite(real_of(y, dout)):
            return 0
        return self.push_number(dout, y)

    cdef uint32_t push_number(self, int dtype, fa_cell value) except 0:
        cdef uint32_t n = self.target.n, y
        y = self.target.const_f64(value.f) if dtype == FA_F64 else self.target.const_cell(dtype, value)
        return y if self.seen is None or y < n else self.seen.once(y)


cdef class Simplify(Fold):
    """What changes nothing, or is the same as algebra on finite numbers."""
    cdef dict made                       # attributes that were made of others, and what was found out about them
    cdef dict erased                     # value of the target -> (what it was before erasures, first and last position)

    def __cinit__(self, Tape source, Tape target=None, *rest):
        self.made = {}
        self.erased = {}

    cdef uint32_t simplified(self, uint32_t i, int op, bint algebra) except? 0:
        """What may stand in place of instruction i; 0: nothing simpler."""
        cdef Tape s = self.source
        cdef uint32_t y = 0
        if op == FA_RESHAPE or op == FA_MOVE:
            y = self.unmoved(i, op)
            if y == 0 and op == FA_MOVE:
                y = before_erasures(self, i)
            return slice_of_slice(self, i) if y == 0 and op == FA_MOVE else y
        if op == FA_WRITE:
            y = filled_write(self, i)
            return y if y or not algebra else added_part(self, i)
        if op == FA_ASSEMBLE:
            return without_moves(self, i)
        if not algebra:
            return 0
        if op == FA_STACK:
            return put_back(self, i)
        if op == FA_ERASE and is_real(AVALS[s.aval[i]].dtype):
            return nothing_left(self, i)
        if op >= FA_ELEMENTWISE and is_real(AVALS[s.aval[i]].dtype):
            if op == FA_NEGATIVE:
                y = self.without_sign(i)
            elif op <= FA_DIVIDE or op == FA_STRONGZERO or op == FA_ZEROPRODUCT:
                y = self.with_constant(i, op)
                if y == 0:
                    y = self.with_signs(i, op)
            elif op == FA_WHERE:
                y = self.same_both_ways(i)
            if y == 0 and AVALS[s.aval[i]].nd:
                y = self.with_uniform(i, op)
        return y

    cdef uint32_t uniform(self, uint32_t x) noexcept:
        """The scalar that fills x: x itself if it is one; 0 if x is no such array."""
        cdef Tape t = self.target
        cdef fa_map *m
        if AVALS[t.aval[x]].nd == 0:
            return x
        if t.op[x] != FA_MOVE or AVALS[t.aval[t.arg[2 * <size_t>x]]].nd:
            return 0
        m = <fa_map *>t.attrs[t.arg[2 * <size_t>x + 1]]
        return t.arg[2 * <size_t>x] if m.covers and m.dst_injective else 0

    cdef uint32_t with_uniform(self, uint32_t i, int op) except? 0:
        """Elementwise primitives take scalars as they are: no array of one number is made for them."""
        cdef Tape t = self.target
        cdef uint32_t k, y, m = 0, filled = 0
        cdef uint32_t *x = self.mapped(i, &m)
        cdef uint32_t[3] scalar
        cdef bint whole = False
        for k in range(m):
            scalar[k] = self.uniform(x[k])
            if scalar[k] == 0:
                scalar[k] = x[k]
                whole = True
            elif scalar[k] != x[k]:
                filled = x[k]
        if filled == 0:
            return 0
        y = 0 if whole else self.computed(op, scalar, m, AVALS[self.source.aval[i]].dtype)
        if y:
            return self.push(FA_MOVE, self.source.aval[i], y, t.arg[2 * <size_t>filled + 1])
        y = self.source.aval[i] if whole else AVALS[self.source.aval[i]].dtype
        if FORMS[op] == FA_FORM_NARY:
            y = self.push_nary(op, y, scalar, m, 0)
        else:
            y = self.push(op, y, scalar[0], scalar[1] if m > 1 else 0)
        return y if whole else self.push(FA_MOVE, self.source.aval[i], y, t.arg[2 * <size_t>filled + 1])

    cdef uint32_t fits(self, uint32_t x, uint32_t i) noexcept:
        """x if it may stand for value i: the same dtype and shape; else 0."""
        cdef uint32_t a = self.target.aval[x], b = self.source.aval[i]
        if FA_AVAL_WEAK_F64 <= a <= FA_AVAL_WEAK_F32:
            a -= FA_AVAL_WEAK_F64
        if FA_AVAL_WEAK_F64 <= b <= FA_AVAL_WEAK_F32:
            b -= FA_AVAL_WEAK_F64
        return x if a == b else 0

    cdef uint32_t unmoved(self, uint32_t i, int op) except? 0:
        cdef Tape t = self.target
        cdef uint32_t x = self.map[self.source.arg[2 * <size_t>i]], b
        if op == FA_MOVE and not is_identity(<Attr>self.source.attr_list[self.source.arg[2 * <size_t>i + 1]]):
            return 0
        if self.fits(x, i):
            return x
        if t.op[x] == FA_RESHAPE:
            x = t.arg[2 * <size_t>x]
            if self.fits(x, i):
                return x
        elif op == FA_RESHAPE:
            return 0
        b = t.attr_id(None)
        return self.push(FA_RESHAPE, self.source.aval[i], x, b)

    cdef uint32_t without_sign(self, uint32_t i) except? 0:
        """-(-x) is x; -(c x) is (-c) x."""
        cdef uint32_t x = self.map[self.source.arg[2 * <size_t>i]], inner
        cdef double c = 0
        if self.target.op[x] == FA_NEGATIVE:
            return self.fits(self.target.arg[2 * <size_t>x], i)
        inner = self.scaled(x, &c)
        return self.times(i, -c, inner) if inner else 0

    cdef uint32_t negated_in(self, uint32_t x) noexcept:
        """v where the target's value x is -v; else 0."""
        return self.target.arg[2 * <size_t>x] if self.target.op[x] == FA_NEGATIVE else 0

    cdef uint32_t scaled(self, uint32_t x, double *c) noexcept:
        """v where the target's array x is v times a constant c; else 0."""
        cdef Tape t = self.target
        cdef uint32_t k, v
        cdef fa_cell number
        if t.op[x] != FA_MULTIPLY or AVALS[t.aval[x]].nd == 0:
            return 0
        for k in range(2):
            v = t.arg[2 * <size_t>x + 1 - k]
            if t.aval[v] == t.aval[x] and self.number(t.arg[2 * <size_t>x + k], &number):
                c[0] = real_of(number, AVALS[t.aval[x]].dtype)
                return v
        return 0

    cdef uint32_t times(self, uint32_t i, double c, uint32_t x) except? 0:
        """c times the target's value x in place of value i; 0 where x has another shape."""
        cdef uint32_t number
        if not self.fits(x, i):
            return 0
        number = self.constant(AVALS[self.source.aval[i]].dtype, c)
        return self.push(FA_MULTIPLY, self.source.aval[i], number, x)

    cdef uint32_t with_signs(self, uint32_t i, int op) except? 0:
        """What stands beside a negative operand takes over its sign: nothing is rounded differently."""
        cdef Tape t = self.target
        cdef uint32_t a = self.map[self.source.arg[2 * <size_t>i]], b = self.map[self.source.arg[2 * <size_t>i + 1]]
        cdef uint32_t aval = self.source.aval[i], na = self.negated_in(a), nb = self.negated_in(b), inner
        cdef double c = 0
        if op == FA_ADD and nb:
            return self.push(FA_SUBTRACT, aval, a, nb)
        if op == FA_ADD and na:
            return self.push(FA_SUBTRACT, aval, b, na)
        if op == FA_SUBTRACT and nb:
            return self.push(FA_ADD, aval, a, nb)
        if op == FA_STRONGZERO and na:
            inner = self.scaled(b, &c)
            if inner:
                b = self.push(FA_MULTIPLY, t.aval[b], self.constant(AVALS[aval].dtype, -c), inner)
                return self.push(FA_STRONGZERO, aval, na, b)
            if AVALS[aval].nd == 0:      # the sum that it goes into takes the sign over
                inner = self.push(FA_STRONGZERO, aval, na, b)
                return self.push(FA_NEGATIVE, aval, inner, 0)
        return 0

    cdef uint32_t product(self, uint32_t i, double c, uint32_t x) except? 0:
        """The constant c times x in place of value i, x being a product with a constant or negative itself."""
        cdef double inner = 0
        cdef uint32_t y = self.negated_in(x)
        cdef int e = 0
        if y:
            return self.times(i, -c, y)
        y = self.scaled(x, &inner)
        # only where the product of the constants is exact, and (but for overflow) theirs with the array rounded alike
        if y and fabs(frexp(inner, &e)) == 0.5 and fabs(inner) >= 1 and fabs(c) >= 1 and isfinite(c * inner):
            return self.times(i, c * inner, y)
        return 0

    cdef uint32_t same_both_ways(self, uint32_t i) except? 0:
        cdef uint32_t m = 0
        cdef uint32_t *x = self.mapped(i, &m)
        return self.fits(x[1], i) if x[1] == x[2] else 0

    cdef uint32_t with_constant(self, uint32_t i, int op) except? 0:
        """Binary instructions of which one operand is the constant 0, 1 or -1."""
        cdef uint32_t a = self.map[self.source.arg[2 * <size_t>i]], b = self.map[self.source.arg[2 * <size_t>i + 1]]
        cdef fa_cell v
        cdef double ca = 7, cb = 7       # any number without a rule
        cdef uint32_t y
        if self.filled_with(a, &v):
            ca = real_of(v, AVALS[self.target.aval[a]].dtype)
        if self.filled_with(b, &v):
            cb = real_of(v, AVALS[self.target.aval[b]].dtype)
        if op == FA_ADD:
            return self.fits(b, i) if ca == 0 else self.fits(a, i) if cb == 0 else 0
        if op == FA_SUBTRACT:
            return self.fits(a, i) if cb == 0 else self.negated(b, i) if ca == 0 else 0
        if op == FA_DIVIDE:
            return self.fits(a, i) if cb == 1 else self.negated(a, i) if cb == -1 else 0
        if ca == 0 or cb == 0:
            return self.zero(a if ca == 0 else b, i)
        if ca == 1 or cb == 1:
            return self.fits(b if ca == 1 else a, i)
        if ca == -1 or cb == -1:
            return self.negated(b if ca == -1 else a, i)
        if op == FA_MULTIPLY and self.is_real_number(a):
            return self.product(i, ca, b)
        if op == FA_MULTIPLY and self.is_real_number(b):
            return self.product(i, cb, a)
        if op == FA_STRONGZERO and self.filled_with(a, &v) and isfinite(ca) and AVALS[self.source.aval[i]].nd:
            y = self.product(i, ca, b)
            return y if y else self.times(i, ca, b)
        return 0

    cdef bint is_real_number(self, uint32_t x) noexcept:
        cdef fa_cell v
        return self.number(x, &v) and is_real(AVALS[self.target.aval[x]].dtype)

    cdef bint filled_with(self, uint32_t x, fa_cell *value) noexcept:
        """Is x a constant scalar, or an array filled with one?"""
        x = self.uniform(x)
        return x != 0 and self.number(x, value)

    cdef uint32_t zero(self, uint32_t x, uint32_t i) except? 0:
        """A zero in place of value i: x, which is zero, where it fits."""
        cdef const fa_aval *av = &AVALS[self.source.aval[i]]
        return self.constant(av.dtype, 0.0) if av.nd == 0 else self.fits(x, i)

    cdef uint32_t negated(self, uint32_t x, uint32_t i) except? 0:
        return self.push(FA_NEGATIVE, self.source.aval[i], x, 0) if self.fits(x, i) else 0
