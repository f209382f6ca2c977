"""_passes.pyx - tape -> tape, the same values with fewer instructions.

Owns: constant folding, simplification of derivative code, common subexpressions, sums that are taken early (in
_sums.pxi), dead code, slices of assemblies (in _moves.pxi).  Each pass is one walk over the tape, in its order, and
leaves its argument as it is.
Primal instructions (those before `Tape.boundary`) keep their bits: they are only folded by the kernel that would have
computed them, merged with an equal one, or dropped.  Derivative code may also be simplified as if it were algebra on
finite numbers: x + 0, x * 1 and strong-zero products with a constant vanish there, constants and signs come together.
Must not know: derivative rules, memory.
Next: _moves.pxi (simplification of moves), _program.pyx (which runs what is left), _transform.pyx (Copier).
"""
import math

from libc.math cimport fabs, frexp, isfinite
from libc.stdint cimport uint8_t, uint32_t, int64_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp
from fastad._tape cimport (
    AVALS, Attr, FORMS, PRIMS, Tape, aval_id, fa_aval, fa_cell, fa_map, fa_piece, fa_stack, is_real, scalar_kernel,
    FA_ADD, FA_ASSEMBLE, FA_AVAL_WEAK_F32, FA_AVAL_WEAK_F64, FA_CALL, FA_CAPTURE, FA_CAST, FA_CONST, FA_DIVIDE,
    FA_ELEMENT, FA_ELEMENTWISE, FA_ERASE, FA_F64, FA_FORM_NARY, FA_GUARD, FA_LAPACK, FA_MATMUL, FA_MOVE,
    FA_MULTIPLY, FA_NEGATIVE, FA_OWN_END, FA_RESHAPE, FA_STACK, FA_STRONGZERO, FA_SUBTRACT, FA_SUM, FA_WHERE,
    FA_WRAP, FA_WRITE, FA_ZEROPRODUCT,
)
from fastad._transform cimport Copier

from fastad import _tape as T

cdef extern from "Python.h":
    void *PyErr_Occurred()
    void PyErr_Clear()

__all__ = ["compose", "cse", "dead", "early", "fold", "optimise", "simplify"]


def optimise(Tape tape):
    """All passes, in the order in which each profits from those before it."""
    return compose(dead(early(cse(simplify(fold(tape))))))


cdef class Pass(Copier):
    """A copier that may write something else, or nothing, for an instruction."""

    cdef int step(self, uint32_t i) except -1:
        self.copy(i)
        return 0

    cdef Tape run(self):
        cdef Tape s = self.source
        cdef uint32_t i
        self.copy_inputs()
        for i in range(1, s.n):
            if i == s.boundary:
                self.target.boundary = self.target.n
            if self.map[i] == 0:
                self.step(i)
        if s.boundary and self.target.boundary == 0:
            self.target.boundary = self.target.n
        self.copy_outputs()
        self.copy_locations()
        return self.target.finish()

    cdef bint number(self, uint32_t x, fa_cell *value) noexcept:
        """Is the target's value x a constant of rank 0?"""
        cdef Tape t = self.target
        if t.op[x] != FA_CONST or AVALS[t.aval[x]].nd:
            return False
        value[0] = t.cells[t.arg[2 * <size_t>x]]
        return True

    cdef uint32_t push_number(self, int dtype, fa_cell value) except 0:
        return self.target.const_f64(value.f) if dtype == FA_F64 else self.target.const_cell(dtype, value)


    cdef uint32_t computed(self, int op, int dout, uint32_t m, const uint32_t *x) except? 0:
        """What a primitive makes of constants of rank 0, as a constant; 0 where x are none, or nothing finite."""
        cdef fa_cell[3] v
        cdef fa_cell y
        cdef uint32_t k
        cdef int din = AVALS[self.target.aval[x[m - 1]]].dtype
        for k in range(m):
            if not self.number(x[k], &v[k]):
                return 0
        if op >= FA_OWN_END and (not is_real(din) or PRIMS[op].loop[din].fn == NULL):
            return 0
        y = scalar_kernel(op, din, v)
        if PRIMS[op].foreign and PyErr_Occurred() != NULL:
            PyErr_Clear()                # the sweep will meet it, and report it if it is the user's
            return 0
        if is_real(dout) and not isfinite(real_of(y, dout)):
            return 0
        return self.push_number(dout, y)


cdef inline double real_of(fa_cell x, int dtype) noexcept:
    """The number in a cell of rank 0."""
    return x.f if dtype == FA_F64 else <double>x.s


# ---- constant folding -----------------------------------------------------------------------------------------------
def fold(Tape tape):
    """Compute scalar instructions of constants, by the kernels of the sweep: the bits are the same."""
    return (<Fold>Fold(tape)).run()


cdef class Fold(Pass):
    cdef int step(self, uint32_t i) except -1:
        cdef Tape s = self.source
        cdef int op = s.op[i]
        if AVALS[s.aval[i]].nd == 0:
            if op >= FA_ELEMENTWISE and self.fold_elementwise(i, op):
                return 0
            if op == FA_ELEMENT and self.fold_element(i):
                return 0
            if op == FA_CAST and self.fold_cast(i):
                return 0
        self.copy(i)
        return 0

    cdef bint fold_elementwise(self, uint32_t i, int op) except -1:
        cdef uint32_t k, y, m = 0
        cdef uint32_t *x = self.mapped(i, &m)
        cdef fa_cell v
        if op == FA_WHERE and self.number(x[0], &v):
            k = 1 if v.i else 2
            if self.target.aval[x[k]] == self.source.aval[i]:
                self.map[i] = x[k]
                return True
        y = self.computed(op, AVALS[self.source.aval[i]].dtype, m, x)
        if y:
            self.map[i] = y
        return y != 0

    cdef bint fold_element(self, uint32_t i) except -1:
        cdef Tape s = self.source
        cdef uint32_t x = self.map[s.arg[2 * <size_t>i]]
        if self.target.op[x] != FA_CONST or AVALS[self.target.aval[x]].nd == 0:
            return False
        array = self.target.const_arrays[self.target.arg[2 * <size_t>x]]
        self.map[i] = self.target.emit_const(array.reshape(-1)[s.arg[2 * <size_t>i + 1]], AVALS[s.aval[i]].dtype)
        return True

    cdef bint fold_cast(self, uint32_t i) except -1:
        """To real numbers: exact or rounded to nearest, as C does it."""
        cdef fa_cell v, y
        cdef uint32_t x = self.map[self.source.arg[2 * <size_t>i]]
        cdef int din, dout = AVALS[self.source.aval[i]].dtype
        if not is_real(dout) or not self.number(x, &v):
            return False
        din = AVALS[self.target.aval[x]].dtype
        y.i = 0
        if dout == FA_F64:
            y.f = real_of(v, din) if is_real(din) else <double>v.i
        else:
            y.s = <float>real_of(v, din) if is_real(din) else <float>v.i
            if not isfinite(<double>y.s):                # too large for it: the sweep raises a flag
                return False
        self.map[i] = self.push_number(dout, y)
        return True


# ---- simplification of derivative code ------------------------------------------------------------------------------
def simplify(Tape tape, bint derivative=True):
    """Drop what changes nothing.

    In derivative code (unless `derivative` is false) sums with 0, products with 1, strong-zero products with constants,
    arrays of one number, signs that constants, sums and differences can take over, products with two constants;
    everywhere reshapes to the same shape and moves of everything to its own place.
    """
    cdef Simplify p = Simplify(tape)
    p.derivative = derivative
    return p.run()


cdef class Simplify(Pass):
    cdef bint derivative
    cdef dict filled                     # (map, fill, dtype) -> the map with that fill

    def __cinit__(self, Tape source, Tape target=None, *rest):
        self.filled = {}

    cdef int step(self, uint32_t i) except -1:
        cdef Tape s = self.source
        cdef int op = s.op[i]
        cdef uint32_t y = 0
        if op == FA_RESHAPE or op == FA_MOVE:
            y = self.unmoved(i, op)
        elif op == FA_WRITE:
            y = filled_write(self, i)
        elif op == FA_STACK and self.derivative and s.boundary and i >= s.boundary:
            y = put_back(self, i)
        elif self.derivative and s.boundary and i >= s.boundary and op >= FA_ELEMENTWISE \
                and is_real(AVALS[s.aval[i]].dtype):
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
        if y == 0:
            self.copy(i)
        else:
            self.map[i] = y
        return 0

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
        if not whole:
            y = self.computed(op, AVALS[self.source.aval[i]].dtype, m, scalar)
            if y:
                return t.push(FA_MOVE, self.source.aval[i], y, t.arg[2 * <size_t>filled + 1])
        y = self.source.aval[i] if whole else AVALS[self.source.aval[i]].dtype
        if FORMS[op] == FA_FORM_NARY:
            y = t.push_nary(op, y, scalar, m, 0)
        else:
            y = t.push(op, y, scalar[0], scalar[1] if m > 1 else 0)
        return y if whole else t.push(FA_MOVE, self.source.aval[i], y, t.arg[2 * <size_t>filled + 1])

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
        return t.push(FA_RESHAPE, self.source.aval[i], x, b)

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
        number = self.target.const_real(AVALS[self.source.aval[i]].dtype, c)
        return self.target.push(FA_MULTIPLY, self.source.aval[i], number, x)

    cdef uint32_t with_signs(self, uint32_t i, int op) except? 0:
        """What stands beside a negative operand takes over its sign: nothing is rounded differently."""
        cdef Tape t = self.target
        cdef uint32_t a = self.map[self.source.arg[2 * <size_t>i]], b = self.map[self.source.arg[2 * <size_t>i + 1]]
        cdef uint32_t aval = self.source.aval[i], na = self.negated_in(a), nb = self.negated_in(b), inner
        cdef double c = 0
        if op == FA_ADD and nb:
            return t.push(FA_SUBTRACT, aval, a, nb)
        if op == FA_ADD and na:
            return t.push(FA_SUBTRACT, aval, b, na)
        if op == FA_SUBTRACT and nb:
            return t.push(FA_ADD, aval, a, nb)
        if op == FA_STRONGZERO and na:
            inner = self.scaled(b, &c)
            if inner:
                b = t.push(FA_MULTIPLY, t.aval[b], t.const_real(AVALS[aval].dtype, -c), inner)
                return t.push(FA_STRONGZERO, aval, na, b)
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
        return self.target.const_real(av.dtype, 0.0) if av.nd == 0 else self.fits(x, i)

    cdef uint32_t negated(self, uint32_t x, uint32_t i) except? 0:
        return self.target.push(FA_NEGATIVE, self.source.aval[i], x, 0) if self.fits(x, i) else 0


cdef bint is_identity(Attr attr) except -1:
    """Does a map move everything to its own place?"""
    cdef fa_map *m = <fa_map *>attr.ptr
    cdef int64_t expected = 1
    cdef int d
    if m.nsrc != m.ndst or m.npieces != 1 or m.ntable >= 0 or m.pieces[0].soff or m.pieces[0].doff:
        return False
    for d in range(m.pieces[0].nd - 1, -1, -1):
        if m.pieces[0].shape[d] != 1 and (m.pieces[0].sstr[d] != expected or m.pieces[0].dstr[d] != expected):
            return False
        expected *= m.pieces[0].shape[d]
    return expected == m.ndst


include "_moves.pxi"


# ---- common subexpressions ------------------------------------------------------------------------------------------
def cse(Tape tape):
    """Compute what is computed twice once.  Calls of foreign code stay: nobody knows what else they do."""
    cdef Cse p = Cse(tape)
    return p.run()


cdef enum: BUCKET = 4
cdef enum: MAX_BUCKETS = 32768


cdef class Cse(Pass):
    """A hash table in buckets of four holds the target's ids; the instruction itself is the key.

    The table is bounded, so that it stays in the cache: in a full bucket the oldest entry gives way, and what comes
    again more than some 10**5 instructions later may be computed again.
    """
    cdef uint32_t *table
    cdef uint32_t mask
    cdef dict arrays                     # id of an ndarray -> its CONST or CAPTURE
    cdef dict guards                     # (value, expected bits): guards that are there

    def __cinit__(self, Tape source, Tape target=None, *rest):
        self.mask = 16                   # buckets
        while 2 * self.mask < source.n and self.mask < MAX_BUCKETS:
            self.mask *= 2
        self.table = <uint32_t *>calloc(<size_t>BUCKET * self.mask, sizeof(uint32_t))
        if self.table == NULL:
            raise MemoryError(f"fastad: no memory to simplify a tape of {source.n} instructions")
        self.mask -= 1
        self.arrays = {}
        self.guards = {}

    def __dealloc__(self):
        free(self.table)

    cdef int step(self, uint32_t i) except -1:
        cdef Tape s = self.source
        cdef Tape t = self.target
        cdef int op = s.op[i]
        cdef uint32_t a = s.arg[2 * <size_t>i], y, at, k, pool = t.npool, n = t.n, found
        if op == FA_CALL:
            self.copy(i)
            return 0
        if op == FA_GUARD:
            key = (self.map[a], s.guards[s.arg[2 * <size_t>i + 1]].expected)
            if key in self.guards:
                self.map[i] = self.guards[key]
            else:
                self.guards[key] = self.copy(i)
            return 0
        if op == FA_CAPTURE or (op == FA_CONST and AVALS[s.aval[i]].nd):
            array = s.captures[a] if op == FA_CAPTURE else s.const_arrays[a]
            y = self.arrays.get((op, id(array)), 0)
            self.map[i] = y if y else self.copy(i)
            self.arrays[op, id(array)] = self.map[i]
            return 0
        y = self.copy(i)
        if y < n:                        # a constant that was there
            return 0
        at = BUCKET * (self.hash(y) & self.mask)
        for k in range(BUCKET):
            found = self.table[at + k]
            if found == 0:
                break
            if self.equal(found, y):
                if op != FA_CONST:       # take back what has just been written (the tape remembers its constants)
                    t.n = n
                    t.npool = pool
                self.map[i] = found
                return 0
        for k in range(BUCKET - 1, 0, -1):
            self.table[at + k] = self.table[at + k - 1]
        self.table[at] = y
        return 0

    cdef uint32_t hash(self, uint32_t y) noexcept:
        cdef Tape t = self.target
        cdef uint64_t h = (<uint64_t>t.op[y] << 32 | t.aval[y]) * <uint64_t>0x9E3779B97F4A7C15
        cdef const uint32_t *ids = NULL
        cdef uint32_t k, m
        if t.op[y] == FA_CONST:
            h ^= <uint64_t>t.cells[t.arg[2 * <size_t>y]].i
        else:
            m = t.operands(y, &ids)
            for k in range(m):
                h = (h ^ ids[k]) * <uint64_t>0xff51afd7ed558ccd
                h ^= h >> 32
            h ^= t.arg[2 * <size_t>y + 1] if FORMS[t.op[y]] != FA_FORM_NARY or t.op[y] < FA_ELEMENTWISE else 0
        h *= <uint64_t>0x9E3779B97F4A7C15
        return <uint32_t>(h >> 32)

    cdef bint equal(self, uint32_t x, uint32_t y) noexcept:
        cdef Tape t = self.target
        cdef uint32_t *ax = &t.arg[2 * <size_t>x]
        cdef uint32_t *ay = &t.arg[2 * <size_t>y]
        if t.op[x] != t.op[y] or t.aval[x] != t.aval[y]:
            return False
        if t.op[x] == FA_CONST:
            return t.cells[ax[0]].i == t.cells[ay[0]].i
        if FORMS[t.op[x]] != FA_FORM_NARY:
            return ax[0] == ay[0] and ax[1] == ay[1]
        return (ax[1] == ay[1] and t.pool[ax[0]] == t.pool[ay[0]]
                and memcmp(&t.pool[ax[0]], &t.pool[ay[0]], (t.pool[ax[0]] + 1) * sizeof(uint32_t)) == 0)


include "_sums.pxi"


# ---- dead code ------------------------------------------------------------------------------------------------------
def dead(Tape tape):
    """Drop what no output, no guard and no check of an index depends on.  Inputs stay."""
    return (<Dead>Dead(tape)).run()


cdef bint may_fail(Tape t, uint32_t i):
    """A Cholesky factorization of the program itself: that it succeeds is what the program may have wanted to know."""
    if t.op[i] != FA_LAPACK or 0 < t.boundary <= i:
        return False
    return (<Attr>t.attr_list[t.arg[2 * <size_t>i + 1]]).key[1] == "chol"


cdef class Dead(Pass):
    cdef uint8_t *used

    def __cinit__(self, Tape source, Tape target=None, *rest):
        cdef const uint32_t *ids = NULL
        cdef uint32_t i, k, m
        self.used = <uint8_t *>calloc(source.n, 1)
        if self.used == NULL:
            raise MemoryError(f"fastad: no memory to simplify a tape of {source.n} instructions")
        for at in source.outputs:
            self.used[<uint32_t>at] = 1
        for i in range(source.n - 1, 0, -1):
            if self.used[i] or source.op[i] == FA_GUARD or source.op[i] == FA_WRAP or may_fail(source, i):
                self.used[i] = 1
                m = source.operands(i, &ids)
                for k in range(m):
                    self.used[ids[k]] = 1

    def __dealloc__(self):
        free(self.used)

    cdef int step(self, uint32_t i) except -1:
        if self.used[i]:
            self.copy(i)
        return 0
