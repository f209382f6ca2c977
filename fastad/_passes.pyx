"""_passes.pyx - tape -> tape, the same values with fewer instructions.

Owns: the order of the passes, common subexpressions, dead code; by inclusion constant folding and simplification of
derivative code (_simplify.pxi), fewer moves (_moves.pxi), sums that are taken early (_sums.pxi), numbers in place of
small arrays (_small.pxi, _small_parts.pxi).  Each pass is one walk over the tape, in its order, and leaves its argument
as it is; folding, simplification and common subexpressions share one, in which each meets operands that all three have
been through.
Primal instructions (those before `Tape.boundary`) keep their bits: they are only folded by the kernel that would have
computed them, done number by number, merged with an equal one, or dropped.  Derivative code may also be simplified as
if it were algebra on finite numbers: x + 0, x * 1 and strong-zero products with a constant vanish there, constants and
signs come together.
Must not know: derivative rules, memory.
Next: _simplify.pxi, _program.pyx (which runs what is left), _transform.pyx (Copier).
"""
import math

from libc.math cimport fabs, frexp, isfinite
from libc.stdint cimport uint8_t, uint16_t, uint32_t, int64_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcmp, memset
cimport cython
import numpy as np

from fastad._tape cimport (
    AVALS, Attr, FA_ADD, FA_ASSEMBLE, FA_AVAL_WEAK_F32, FA_AVAL_WEAK_F64, FA_BOOL, FA_CALL, FA_CAPTURE, FA_CAST,
    FA_CONST, FA_CUMSUM, FA_DIVIDE, FA_ELEMENT, FA_ELEMENTWISE, FA_ERASE, FA_F64, FA_FORM_BINARY, FA_FORM_NARY,
    FA_GUARD, FA_INPUT, FA_LAPACK, FA_MATMUL, FA_MOVE, FA_MULTIPLY, FA_NAVAL_SCALAR, FA_NEGATIVE, FA_NOT_EQUAL,
    FA_OWN_END, FA_RESHAPE, FA_STACK, FA_STOP, FA_STRONGZERO, FA_STRUCTURAL_END, FA_SUBTRACT, FA_SUM, FA_WHERE,
    FA_WRAP, FA_WRITE, FA_ZEROPRODUCT, FORMS, PRIMS, Tape, append, aval_id, aval_shape, fa_assemble, fa_aval, fa_axis,
    fa_cell, fa_map, fa_matmul, fa_piece, fa_stack, is_identity, is_real, operands_of, pairs, scalar_kernel,
    without_shape,
)
from fastad._transform cimport Copier

from fastad import _tape as T

cdef extern from "Python.h":
    void *PyErr_Occurred()
    void PyErr_Clear()

cdef extern from "_kernels/layout.h" nogil:
    enum: FA_SMALL_GEMM

__all__ = ["compose", "cse", "dead", "early", "fold", "optimise", "simplify", "split", "splits"]


def optimise(Tape tape):
    """All passes, in the order in which each profits from those before it."""
    cdef Dead p = Dead(early(reduced(split(tape), True, True, True, True)))
    return compose(p.in_place() if p.numbers else p.run())           # (nobody else has this tape)


def fold(Tape tape):
    """Compute scalar instructions of constants, by the kernels of the sweep: the bits are the same."""
    return reduced(tape, True, False, False, False)


def simplify(Tape tape, bint derivative=True):
    """Drop what changes nothing.

    In derivative code (unless `derivative` is false) sums with 0, products with 1, strong-zero products with
    constants, arrays of one number, signs that constants, sums and differences can take over, products with two
    constants; everywhere reshapes to the same shape and moves of everything to its own place.
    """
    return reduced(tape, False, True, derivative, False)


def cse(Tape tape):
    """Compute what is computed twice once.  Calls of foreign code stay: nobody knows what else they do."""
    return reduced(tape, False, False, False, True)


cdef Tape reduced(Tape tape, bint folds, bint simplifies, bint algebra, bint shares):
    """One walk: constants are computed, what changes nothing is dropped, what is there already is not written again."""
    cdef Reduce p = Reduce(tape)
    p.folds, p.simplifies, p.algebra = folds, simplifies, algebra
    if shares:
        p.seen = Seen(p.target, tape.n)
    return p.run()


cdef bint has(Tape tape, uint16_t op) noexcept:
    """Is there an instruction of this kind?"""
    cdef const uint16_t *ops = tape.op
    cdef uint16_t found = 0
    cdef uint32_t i
    for i in range(1, tape.n):           # to the end: so it runs in vectors
        found |= ops[i] == op
    return found != 0


# ---- common subexpressions ------------------------------------------------------------------------------------------
cdef enum: BUCKET = 4
cdef enum: MOST_BUCKETS = 32768
cdef enum: PLACE = 0xffffff              # of an entry: the id's bits


@cython.final
cdef class Seen:
    """The instructions of a tape that were written lately: a hash table in buckets of four.

    The table is bounded, so that it stays in the cache: in a full bucket the oldest entry gives way, and what comes
    again more than some 10**5 instructions later may be computed again.  An entry is 24 bits of an id and 8 of the
    hash: the instruction itself, which is in the cache no more, is looked at only where these agree.
    """
    cdef Tape t
    cdef uint32_t *table
    cdef uint64_t mask                   # of buckets

    def __cinit__(self, Tape target, uint32_t n):
        cdef uint64_t buckets = 16
        while 2 * buckets < n and buckets < MOST_BUCKETS:
            buckets *= 2
        self.t = target
        self.mask = buckets - 1
        self.table = <uint32_t *>calloc(BUCKET * buckets, sizeof(uint32_t))
        if self.table == NULL:
            raise MemoryError(f"fastad: no memory to simplify a tape of {n} instructions")

    def __dealloc__(self):
        free(self.table)

    cdef inline uint32_t once(self, uint32_t y) noexcept:
        """y, the newest instruction; or an older one like it, and y is taken back."""
        cdef uint64_t h = self.hash(y)
        cdef uint32_t *bucket = &self.table[BUCKET * (h & self.mask)]
        cdef uint32_t k, found, entry = <uint32_t>(h >> 32) & ~PLACE | y & PLACE
        for k in range(BUCKET):
            if (bucket[k] ^ entry) > PLACE:
                continue
            found = y - (y - bucket[k] & PLACE)          # the last id with these bits; that of no entry is like none
            if found != y and self.equal(found, y):
                if self.t.op[y] != FA_CONST:             # (the tape remembers its constants)
                    self.t.n = y
                    if FORMS[self.t.op[y]] == FA_FORM_NARY:
                        self.t.npool = self.t.arg[2 * <size_t>y]
                return found
        for k in range(BUCKET - 1, 0, -1):
            bucket[k] = bucket[k - 1]
        bucket[0] = entry
        return y

    cdef inline uint64_t hash(self, uint32_t y) noexcept:
        """Of the instruction without its id."""
        cdef uint64_t h = (<uint64_t>self.t.op[y] << 32 | self.t.aval[y]) * <uint64_t>0x9E3779B97F4A7C15
        cdef uint32_t k, a = self.t.arg[2 * <size_t>y], b = self.t.arg[2 * <size_t>y + 1]
        if FORMS[self.t.op[y]] == FA_FORM_NARY:
            for k in range(a + 1, a + 1 + self.t.pool[a]):
                h = mixed(h, self.t.pool[k])
            return mixed(h, <uint64_t>self.t.pool[a] << 32 | b)
        return mixed(h, <uint64_t>self.t.cells[a].i if self.t.op[y] == FA_CONST else <uint64_t>a << 32 | b)

    cdef bint equal(self, uint32_t x, uint32_t y) noexcept:
        """Are both the same instruction?"""
        cdef Tape t = self.t
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


cdef inline uint64_t mixed(uint64_t h, uint64_t x) noexcept:
    h = (h ^ x) * <uint64_t>0xff51afd7ed558ccd
    return (h ^ h >> 32) * <uint64_t>0x9E3779B97F4A7C15 ^ h >> 32


# ---- walks ----------------------------------------------------------------------------------------------------------
cdef class Pass(Copier):
    """A copier that may write something else, or nothing, for an instruction."""
    cdef Seen seen                       # what was written lately and is not to be written again; or None

    cdef uint32_t push(self, int op, uint32_t aval, uint32_t a, uint32_t b) except 0:
        """Append to the target, or find what is there."""
        cdef uint32_t y = append(self.target, op, aval, a, b)
        return y if self.seen is None else self.seen.once(y)

    cdef uint32_t push_nary(self, int op, uint32_t aval, const uint32_t *ids, uint32_t m, uint32_t attr) except 0:
        cdef uint32_t y = self.target.push_nary(op, aval, ids, m, attr)
        return y if self.seen is None else self.seen.once(y)

    cdef uint32_t constant(self, int dtype, double x) except 0:
        """A real number of rank 0."""
        cdef uint32_t n = self.target.n, y = self.target.const_real(dtype, x)
        return y if self.seen is None or y < n else self.seen.once(y)

    cdef int step(self, uint32_t i) except -1:
        self.copy(i)
        return 0

    cdef Tape run(self):
        cdef Tape s = self.source
        self.copy_inputs()
        if s.boundary:
            self.steps(1, s.boundary)
            self.target.boundary = self.target.n
        self.steps(max(1, s.boundary), s.n)
        self.copy_outputs()
        self.copy_locations()
        return self.target.finish()

    cdef int steps(self, uint32_t begin, uint32_t end) except -1:
        cdef uint32_t i
        for i in range(begin, end):
            if self.map[i] == 0:
                self.step(i)
        return 0

    cdef bint number(self, uint32_t x, fa_cell *value) noexcept:
        """Is the target's value x a constant of rank 0?"""
        cdef Tape t = self.target
        if t.op[x] != FA_CONST or AVALS[t.aval[x]].nd:
            return False
        value[0] = t.cells[t.arg[2 * <size_t>x]]
        return True


cdef inline double real_of(fa_cell x, int dtype) noexcept:
    """The number in a cell of rank 0."""
    return x.f if dtype == FA_F64 else <double>x.s


include "_simplify.pxi"
include "_moves.pxi"
include "_slices.pxi"


@cython.final
cdef class Reduce(Simplify):
    """Folding, simplification and common subexpressions in one walk."""
    cdef bint folds, simplifies, algebra
    cdef dict arrays                     # (opcode, id of an ndarray) -> its CONST or CAPTURE
    cdef dict guards                     # (value, expected bits): guards that are there

    def __cinit__(self, Tape source, Tape target=None, *rest):
        self.arrays = {}
        self.guards = {}

    cdef int steps(self, uint32_t begin, uint32_t end) except -1:
        cdef uint32_t i
        for i in range(begin, end):      # as above, but this class is final: no call for each instruction
            if self.map[i] == 0:
                self.step(i)
        return 0

    cdef int step(self, uint32_t i) except -1:
        cdef int op = self.source.op[i]
        cdef bint algebra = self.algebra and self.source.boundary and i >= self.source.boundary
        cdef uint32_t n, y = 0
        if op >= FA_ELEMENTWISE and self.source.aval[i] < FA_NAVAL_SCALAR and FORMS[op] != FA_FORM_NARY:
            return self.step_scalar(i, op, algebra)
        if self.folds and self.source.aval[i] < FA_NAVAL_SCALAR:
            y = self.folded(i, op)
        if y == 0 and self.simplifies:
            y = self.simplified(i, op, algebra)
        if y == 0 and self.seen is not None and (op == FA_GUARD or op == FA_CAPTURE
                                                 or op == FA_CONST and AVALS[self.source.aval[i]].nd):
            y = self.shared(i, op)
        if y == 0:
            n = self.target.n
            y = self.copy(i)
            if self.seen is not None and y >= n and op != FA_CALL:
                y = self.seen.once(y)
        self.map[i] = y
        return 0

    cdef inline int step_scalar(self, uint32_t i, int op, bint algebra) except -1:
        """An elementwise instruction of rank 0 and of one or two operands: looked at only where these promise much."""
        cdef bint binary = FORMS[op] == FA_FORM_BINARY
        cdef uint32_t y = 0, a = self.map[self.source.arg[2 * <size_t>i]]
        cdef uint32_t b = self.map[self.source.arg[2 * <size_t>i + 1]] if binary else a
        cdef int left = self.target.op[a], right = self.target.op[b]
        if self.folds and left == FA_CONST and right == FA_CONST:
            y = self.folded(i, op)
        if y == 0 and algebra and (left == FA_CONST or right == FA_CONST or left == FA_NEGATIVE
                                   or right == FA_NEGATIVE):
            y = self.simplified(i, op, algebra)
        if y == 0:
            y = append(self.target, op, self.source.aval[i], a, b if binary else 0)
            if self.seen is not None:
                y = self.seen.once(y)
        self.map[i] = y
        return 0

    cdef uint32_t shared(self, uint32_t i, int op) except? 0:
        """The guard or the array that is there; else the new one, which is remembered."""
        cdef Tape s = self.source
        cdef uint32_t a = s.arg[2 * <size_t>i]
        if op == FA_GUARD:
            key = (self.map[a], s.guards[s.arg[2 * <size_t>i + 1]].expected)
            known = self.guards
        else:
            key = (op, id(s.captures[a] if op == FA_CAPTURE else s.const_arrays[a]))
            known = self.arrays
        found = known.get(key)
        if found is None:
            found = known[key] = self.copy(i)
        return found


include "_sums.pxi"
include "_small.pxi"
include "_small_parts.pxi"


# ---- dead code ------------------------------------------------------------------------------------------------------
def dead(Tape tape):
    """Drop what no output, no guard and no check of an index depends on.  Inputs stay."""
    return (<Dead>Dead(tape)).run()


cdef bint may_fail(Tape t, uint32_t i):
    """A Cholesky factorization of the program itself: that it succeeds is what the program may have wanted to know."""
    if t.op[i] != FA_LAPACK or 0 < t.boundary <= i:
        return False
    return (<Attr>t.attr_list[t.arg[2 * <size_t>i + 1]]).key[1] == "chol"


@cython.final
cdef class Dead(Pass):
    cdef uint8_t *used
    cdef bint numbers                    # is what is dead nothing but numbers, which leave no lists behind?

    def __cinit__(self, Tape source, Tape target=None, *rest):
        cdef const uint32_t *ids = NULL
        cdef uint32_t i, k, m
        cdef int op
        self.used = <uint8_t *>calloc(source.n, 1)
        if self.used == NULL:
            raise MemoryError(f"fastad: no memory to simplify a tape of {source.n} instructions")
        self.numbers = True
        for at in source.outputs:
            self.used[<uint32_t>at] = 1
        for i in range(source.n - 1, 0, -1):
            op = source.op[i]
            if self.used[i] or op == FA_GUARD or op == FA_WRAP or may_fail(source, i):
                self.used[i] = 1
                m = operands_of(source, i, &ids)
                for k in range(m):
                    self.used[ids[k]] = 1
            elif op == FA_INPUT:
                self.used[i] = 1
            elif op < FA_ELEMENTWISE and (op != FA_CONST or source.aval[i] >= FA_NAVAL_SCALAR):
                self.numbers = False

    def __dealloc__(self):
        free(self.used)

    cdef int step(self, uint32_t i) except -1:
        if self.used[i]:
            self.copy(i)
        return 0

    cdef Tape in_place(self):
        """The source itself, whose instructions close ranks."""
        cdef Tape t = self.source
        cdef uint32_t *map = self.map
        cdef uint32_t *x
        cdef uint32_t i, k, m, n = 1, boundary = 0
        for i in range(1, t.n):
            if i == t.boundary:
                boundary = n
            if not self.used[i]:
                continue
            map[i] = n
            m = operands_of(t, i, <const uint32_t **>&x)
            for k in range(m):
                x[k] = map[x[k]]
            t.op[n] = t.op[i]
            t.aval[n] = t.aval[i]
            t.arg[2 * <size_t>n] = t.arg[2 * <size_t>i]
            t.arg[2 * <size_t>n + 1] = t.arg[2 * <size_t>i + 1]
            n += 1
        if t.boundary:
            t.boundary = boundary if boundary else n
        t.n = n
        memset(t.const_id, 0, sizeof(t.const_id))
        t.locations = {map[<uint32_t>i]: place for i, place in t.locations.items() if map[<uint32_t>i]}
        for ids in (t.inputs, t.outputs, t.capture_ids):
            ids[:] = [map[<uint32_t>at] for at in ids]
        return t.finish()
