"""_transform.pyx - tape -> tape: tangent, adjoint, batch, and one tape inside another.

Owns: copying instructions, stamping the table's templates, collecting adjoints.  Every result is a tape like any other,
so transformations compose: jvp(vjp(t)) is a Hessian-vector product.
Must not know: NumPy functions, how users' arguments are packed, how tapes are run.
In a derivative tape the primal instructions stand first, in their order; `Tape.boundary` is where derivative code
begins.  Next: structural_rules.py (one rule for each structural primitive), _passes.pyx, _program.pyx.
"""
from libc.math cimport isfinite
from libc.stdint cimport uint8_t, uint32_t, int64_t
from libc.stdlib cimport malloc, calloc, realloc, free
from fastad._tape cimport (
    AVALS, Attr, FORMS, PRIMS, Tape, append, aval_id, aval_shape, capture, fa_map, fa_template, is_real,
    operands_of, pairs, partial_of, without_shape,
    FA_ADD, FA_AVAL_F64, FA_AVAL_WEAK_F32, FA_AVAL_WEAK_F64, FA_BOOL, FA_CALL, FA_CAPTURE,
    FA_CAST, FA_CONST, FA_ELEMENT, FA_ELEMENTWISE, FA_F32, FA_F64, FA_FORM_BINARY, FA_FORM_NARY, FA_FORM_UNARY,
    FA_GUARD, FA_MULTIPLY, FA_NAVAL_SCALAR, FA_NEGATIVE, FA_NOP, FA_STRONGZERO, FA_STRUCTURAL_END,
    FA_TSLOT_CONST, FA_TSLOT_Y, FA_WHERE, FA_ZERO, FA_ZEROPRODUCT,
)
import math
import numpy as np

from fastad import _tape as T
from fastad import structural_rules
from fastad.errors import InternalError, ShapeError

__all__ = ["batch", "between", "fix", "inline", "jvp", "vjp"]


cdef inline uint32_t strong(uint32_t aval) noexcept:
    """The abstract value without its weak bit."""
    return aval - FA_AVAL_WEAK_F64 if FA_AVAL_WEAK_F64 <= aval <= FA_AVAL_WEAK_F32 else aval


cdef int ensure_templates() except -1:
    if not T.templates_ready():
        T.build_templates()
    return 0


# ---- copying --------------------------------------------------------------------------------------------------------
cdef int reserve(Tape t, size_t n) except -1:
    """Room for n instructions, which costs nothing until it is written to; `finish` gives back what is left."""
    n = min(n, <size_t>0x7fffffff)
    if n > t.cap:
        if t.n == 1:                     # (what was reserved before is not to be copied: that would cost something)
            free(t.op)
            free(t.aval)
            free(t.arg)
            t.op, t.aval, t.arg = NULL, NULL, NULL
        t.op = <uint16_t *>realloc(t.op, n * sizeof(uint16_t))
        t.aval = <uint32_t *>realloc(t.aval, n * sizeof(uint32_t))
        t.arg = <uint32_t *>realloc(t.arg, 2 * n * sizeof(uint32_t))
        if t.op == NULL or t.aval == NULL or t.arg == NULL:
            raise MemoryError(f"fastad: no memory for a tape of {n} instructions")
        if t.n == 1:
            t.op[0], t.aval[0], t.arg[0], t.arg[1] = FA_NOP, FA_AVAL_F64, 0, 0
        t.cap = <uint32_t>n
    return 0


cdef class Copier:
    def __cinit__(self, Tape source, Tape target=None, *rest):
        cdef uint32_t k
        if source.owner != NULL:
            raise InternalError("a tape is transformed after its recording has ended")
        self.source = source
        self.target = target
        if target is None:
            self.target = Tape()
            reserve(self.target, source.n)
        self.target.ignored |= source.ignored
        self.map = <uint32_t *>calloc(source.n, sizeof(uint32_t))
        self.attr_map = <uint32_t *>malloc((source.nattrs + 1) * sizeof(uint32_t))
        if self.map == NULL or self.attr_map == NULL:
            raise MemoryError(f"fastad: no memory to transform a tape of {source.n} instructions")
        for k in range(source.nattrs):
            self.attr_map[k] = 0xffffffff

    def __dealloc__(self):
        free(self.map)
        free(self.attr_map)
        free(self.room)

    cdef uint32_t attr(self, uint32_t k) except? 0xffffffff:
        """The target's index of the source's attribute k."""
        if k >= self.source.nattrs:
            return self.target.attr_id(None)
        if self.attr_map[k] == 0xffffffff:
            self.attr_map[k] = self.target.attr_id(<Attr>self.source.attr_list[k])
        return self.attr_map[k]

    cdef uint32_t *mapped(self, uint32_t i, uint32_t *count) except? NULL:
        """The target's ids of the operands of instruction i; valid until the next call."""
        cdef const uint32_t *ids = NULL
        cdef uint32_t k, m = self.source.operands(i, &ids)
        if m > self.cap_room or self.room == NULL:
            self.cap_room = max(16, 2 * m)
            self.room = <uint32_t *>realloc(self.room, self.cap_room * sizeof(uint32_t))
            if self.room == NULL:
                raise MemoryError("fastad: no memory for operands")
        for k in range(m):
            self.room[k] = self.map[ids[k]]
        count[0] = m
        return self.room

    cdef int copy_inputs(self) except -1:
        """All inputs, in their order, before anything else."""
        cdef uint32_t i
        cdef Py_ssize_t k
        for k in range(len(self.source.inputs)):
            i = <uint32_t>self.source.inputs[k]
            self.map[i] = self.target.emit_input(self.source.aval[i], not self.source.inactive_input[k])
        return 0

    cdef uint32_t copy(self, uint32_t i) except 0:
        """Copy instruction i unless that has been done; its id in the target."""
        cdef Tape s = self.source
        cdef Tape t = self.target
        cdef int op = s.op[i], form = FORMS[op]
        cdef uint32_t *ids
        cdef uint32_t m = 0, b = s.arg[2 * <size_t>i + 1]
        if self.map[i]:
            return self.map[i]
        if form == FA_FORM_BINARY:
            self.map[i] = append(t, op, s.aval[i], self.map[s.arg[2 * <size_t>i]], self.map[b])
        elif op == FA_GUARD:
            self.copy_guard(i)
        elif form == FA_FORM_UNARY:
            if op < FA_STRUCTURAL_END and op != FA_ELEMENT:
                b = self.attr(b)
            self.map[i] = append(t, op, s.aval[i], self.map[s.arg[2 * <size_t>i]], b)
        elif form == FA_FORM_NARY:
            ids = self.mapped(i, &m)
            self.map[i] = t.push_nary(op, s.aval[i], ids, m, self.attr(b) if op < FA_STRUCTURAL_END else 0)
        else:
            self.copy_leaf(i)
        return self.map[i]

    cdef uint32_t copy_leaf(self, uint32_t i) except 0:
        cdef Tape s = self.source
        cdef Tape t = self.target
        cdef uint32_t a = s.arg[2 * <size_t>i]
        cdef int op = s.op[i]
        if op == FA_CONST and AVALS[s.aval[i]].nd == 0:
            if AVALS[s.aval[i]].dtype == FA_F64:
                self.map[i] = t.const_f64(s.cells[a].f)
            elif AVALS[s.aval[i]].dtype == FA_F32:
                self.map[i] = t.const_f32(s.cells[a])
            else:
                self.map[i] = t.const_cell(AVALS[s.aval[i]].dtype, s.cells[a])
        elif op == FA_CONST:
            t.const_arrays.append(s.const_arrays[a])
            self.map[i] = t.push(FA_CONST, s.aval[i], len(t.const_arrays) - 1, 0)
        elif op == FA_CAPTURE:
            self.map[i] = capture(t, s.captures[a]) if t.owner != NULL else t.push_capture(s.captures[a])
        else:
            raise InternalError(f"input {i} of a tape is not bound")
        return self.map[i]

    cdef int copy_guard(self, uint32_t i) except -1:
        cdef Tape s = self.source
        cdef uint32_t b = s.arg[2 * <size_t>i + 1]
        kind, location = s.guard_info[b]
        self.target.add_guard(self.map[s.arg[2 * <size_t>i]], s.guards[b].expected, kind)
        self.target.guard_info[-1] = (kind, location)
        self.map[i] = self.target.n - 1
        return 0

    cdef int copy_outputs(self) except -1:
        self.target.outputs[:] = [self.map[<uint32_t>i] for i in self.source.outputs]
        return 0

    cdef int copy_locations(self) except -1:
        for i, place in self.source.locations.items():
            if self.map[<uint32_t>i]:
                self.target.locations[self.map[<uint32_t>i]] = place
        return 0


# ---- writing derivative code ----------------------------------------------------------------------------------------
cdef class Site:
    """One structural instruction, as its rule sees it.

    name, attr, aval : of the instruction; x, y : the target's ids of its operands and its result;
    dx : tangents of the operands (0: zero); w : adjoint of the result; active : which operands need one;
    batched, k : which operands have the leading axis, and its length.
    """


cdef class Builder(Copier):
    def __cinit__(self, Tape source, Tape target=None, *rest):
        self.d = <uint32_t *>calloc(source.n, sizeof(uint32_t))
        self.need = <uint8_t *>calloc(source.n, 1)
        self.parts = {}
        if self.d == NULL or self.need == NULL:
            raise MemoryError(f"fastad: no memory to differentiate a tape of {source.n} instructions")

    def __dealloc__(self):
        free(self.d)
        free(self.need)

    cdef int copy_all(self) except -1:
        """The primal part, and where it ends."""
        cdef uint32_t i
        for i in range(1, self.source.n):
            if i == self.source.boundary:
                self.target.boundary = self.target.n
            if self.adjoint_follows and self.source.op[i] == FA_CALL and self.map[i] == 0:
                self.copy_call(i)
            else:
                self.copy(i)
        if self.target.boundary == 0:
            self.target.boundary = self.target.n
        return self.copy_locations()

    cdef uint32_t copy_call(self, uint32_t i) except 0:
        """A call that can keep what its adjoint needs does so: more of a result, whose first part is the old one."""
        cdef Site s = self.site(i)
        keep = getattr(s.attr, "for_adjoint", None)
        attr = None
        if keep is not None:
            attr = keep(s.active) if self.rooms is None else self.rooms.for_adjoint(s.attr, s.active)
        if attr is None:
            return self.copy(i)
        self.map[i] = self.emit("move", (self.emit("call", s.x, attr.aval(), attr),), s.aval,
                                T.Map.view(attr.total, aval_shape(s.aval), 0, (1,)))
        return self.map[i]

    cdef bint constant(self, uint32_t x, double *value) noexcept:
        """Is x a constant real scalar?"""
        cdef Tape t = self.target
        if t.op[x] != FA_CONST or AVALS[t.aval[x]].nd or not is_real(AVALS[t.aval[x]].dtype):
            return False
        value[0] = t.cells[t.arg[2 * <size_t>x]].f if t.aval[x] == FA_AVAL_F64 else t.cells[t.arg[2 * <size_t>x]].s
        return True

    cdef uint32_t elementwise(self, int op, int dtype, int m, const uint32_t *ids) except 0:
        """An elementwise instruction (or CAST); the shape is that of an operand that has one."""
        cdef Tape t = self.target
        cdef uint32_t aval = dtype, a
        cdef int k, form = FORMS[op]
        for k in range(m):
            a = t.aval[ids[k]]
            if a >= FA_NAVAL_SCALAR:
                aval = a if AVALS[a].dtype == dtype else aval_id(dtype, aval_shape(a))
                break
        if form == FA_FORM_NARY:
            return t.push_nary(op, aval, ids, m, 0)
        return append(t, op, aval, ids[0], ids[1] if m > 1 else 0)

    cdef uint32_t elementwise2(self, int op, uint32_t a, uint32_t b) except 0:
        cdef uint32_t[2] ids
        ids[0] = a
        ids[1] = b
        return self.elementwise(op, AVALS[self.target.aval[a]].dtype, 2, ids)

    cdef uint32_t stamp(self, const fa_template *p, const uint32_t *x, int dtype) except 0:
        """Write a partial derivative in `dtype` out; x: ids of three operands and the result."""
        cdef uint32_t[128] slot
        cdef uint32_t[3] ids
        cdef int first = FA_TSLOT_CONST + p.nconst, i, j, m, op, at
        if p.out < FA_TSLOT_CONST:
            return x[p.out]
        if p.out < first:
            return self.template_constant(p, p.out, dtype)
        for i in range(first):
            slot[i] = x[i] if i < FA_TSLOT_CONST else 0
        for i in range(p.n):
            op = p.instr[i].op
            m = 3 if op == FA_WHERE else 1 if op == FA_CAST else PRIMS[op].arity
            for j in range(m):
                at = p.instr[i].in_[j]
                if slot[at] == 0:
                    slot[at] = self.template_constant(p, at, FA_BOOL if op == FA_WHERE and j == 0 else p.instr[i].din)
                ids[j] = slot[at]
            slot[first + i] = self.elementwise(op, p.instr[i].dout, m, ids)
        return slot[p.out]

    cdef uint32_t template_constant(self, const fa_template *p, int at, int dtype) except 0:
        if dtype == FA_F64:
            return self.target.const_f64(p.consts[at - FA_TSLOT_CONST].f)
        if dtype == FA_F32:
            return self.target.const_f32(p.consts[at - FA_TSLOT_CONST])
        return self.target.const_cell(dtype, p.consts[at - FA_TSLOT_CONST])

    cdef uint32_t product(self, uint32_t w, uint32_t p) except 0:
        """Adjoint or tangent w times partial p: a strong-zero multiply, or what is left of it for a constant."""
        cdef double c = 0
        if self.constant(p, &c):
            if c == 1.0:
                return w
            if c == -1.0:
                return self.elementwise(FA_NEGATIVE, AVALS[self.target.aval[w]].dtype, 1, &w)
            if isfinite(c):
                return self.elementwise2(FA_MULTIPLY, w, p)
        return self.elementwise2(FA_STRONGZERO, w, p)

    cdef uint32_t plus(self, uint32_t x, uint32_t y) except? 0:
        return y if x == 0 else x if y == 0 else self.elementwise2(FA_ADD, x, y)

    cdef uint32_t fitted(self, uint32_t x, uint32_t aval) except 0:
        """x with exactly this abstract value: converted, summed, repeated or reshaped."""
        cdef uint32_t have = self.target.aval[x]
        aval = strong(aval)
        if have == aval:
            return x
        if AVALS[have].dtype != AVALS[aval].dtype:
            have = aval_id(AVALS[aval].dtype, aval_shape(have))
            x = self.emit("cast", (x,), have)
            if have == aval:
                return x
        if AVALS[aval].nd == 0 and AVALS[have].size != 1:
            return self.emit("sum", (x,), aval, T.Axis(1, AVALS[have].size, 1))
        if AVALS[have].nd == 0:
            return self.emit("move", (x,), aval, repeated(aval_shape(aval)))
        return self.emit("reshape", (x,), aval)

    cdef int slots(self, uint32_t i, uint32_t *x) except -1:
        """What templates want: ids of the operands (repeated up to three) and of the result."""
        cdef const uint32_t *ids = NULL
        cdef uint32_t k, m = operands_of(self.source, i, &ids)
        for k in range(3):
            x[k] = self.map[ids[k if k < m else 0]]
        x[FA_TSLOT_Y] = self.map[i]
        return m

    cdef Site site(self, uint32_t i):
        cdef Site s = Site.__new__(Site)
        cdef const uint32_t *ids = NULL
        cdef uint32_t k, m = self.source.operands(i, &ids)
        s.name, _, _, s.attr = self.source.instruction(i)
        s.aval = self.source.aval[i]
        s.y = self.map[i]
        s.x = tuple([self.map[ids[k]] for k in range(m)])
        s.dx = tuple([self.d[ids[k]] for k in range(m)])
        s.active = tuple([ids[k] < self.source.nact and self.source.act[ids[k]] != 0 for k in range(m)])
        return s

    # -- for rules
    def emit(self, op, operands, uint32_t aval, Attr attr=None):
        """Append an instruction to the tape that is being written; its id."""
        return self.target.emit(op, operands, aval, attr)

    def elementwise_(self, str name, *operands):
        """An elementwise primitive of the table; ranks are as elementwise instructions take them."""
        cdef uint32_t[3] ids
        cdef int k, m = <int>len(operands), op = T.OPCODES[name]
        for k in range(m):
            ids[k] = operands[k]
        dtype = FA_BOOL if T.ROWS[op].result == "bool" else AVALS[self.target.aval[ids[m - 1]]].dtype
        return self.elementwise(op, dtype, m, ids)

    def product_(self, uint32_t w, uint32_t p):
        """Tangent or adjoint w times partial p."""
        return self.product(w, p)

    def plus_(self, uint32_t x, uint32_t y):
        """x + y, where 0 means nothing."""
        return self.plus(x, y)

    def aval_of(self, uint32_t x):
        """Abstract value of a value of the tape that is being written."""
        return strong(self.target.aval[x])

    def dtype(self, uint32_t x):
        """Dtype code of a value."""
        return AVALS[self.target.aval[x]].dtype

    def shape(self, uint32_t x):
        """Shape of a value."""
        return aval_shape(self.target.aval[x])

    def size(self, uint32_t x):
        """Number of elements of a value."""
        return AVALS[self.target.aval[x]].size

    def const(self, value, dtype=0):
        """A constant: a number, or an ndarray (which is shared, not copied)."""
        if np.ndim(value) == 0:
            return self.target.emit_const(value, dtype)
        array = np.ascontiguousarray(value, dtype=T.DTYPES[dtype])
        self.target.const_arrays.append(array)
        return self.target.push(FA_CONST, aval_id(dtype, (<object>array).shape), len(self.target.const_arrays) - 1, 0)

    def zeros(self, uint32_t aval):
        """A constant of zeros."""
        return self.const(np.zeros(aval_shape(aval), T.DTYPES[AVALS[aval].dtype]), AVALS[aval].dtype)

    def inlined(self, Tape tape, ids):
        """Copy the instructions of a finished tape to here; the values of its outputs."""
        return inline(self.target, tape, ids)

    def fit(self, uint32_t x, uint32_t aval):
        """x with exactly this abstract value: converted, summed, repeated or reshaped."""
        return self.fitted(x, aval)


def repeated(tuple shape):
    """The map that repeats one element."""
    return T.Map.view(1, shape, 0, (0,) * len(shape), math.prod(shape) <= 1)


include "_forward_mode.pxi"
include "_reverse_mode.pxi"
include "_batch.pxi"


# ---- one tape inside another ----------------------------------------------------------------------------------------
def inline(Tape target, Tape tape, ids, bint boundary=False):
    """Copy the instructions of a finished tape into another one.

    Parameters
    ----------
    target : Tape
        May still be recording.
    tape : Tape
        Its guards, captured arrays and locations go along.
    ids : sequence of int
        Values of `target` that take the place of the inputs of `tape`.
    boundary : bool, optional
        Let derivative code begin in `target` where it does here: it has nothing else to compute.

    Returns
    -------
    list of int
        Values of `target`: the outputs of `tape`.
    """
    cdef Copier c = Copier(tape, target)
    cdef uint32_t i, x
    if len(ids) != len(tape.inputs):
        raise ShapeError(f"inline: got {len(ids)} values for {len(tape.inputs)} inputs")
    for k, at in enumerate(tape.inputs):
        i = at
        x = ids[k]
        if not 0 < x < target.n or AVALS[target.aval[x]].dtype != AVALS[tape.aval[i]].dtype \
                or aval_shape(target.aval[x]) != aval_shape(tape.aval[i]):
            raise ShapeError(f"inline: value {x} does not fit input {k} of shape {aval_shape(tape.aval[i])}")
        c.map[i] = x
    for i in range(1, tape.n):
        if boundary and i == tape.boundary:
            target.boundary = target.n
        c.copy(i)
    c.copy_locations()
    return [c.map[<uint32_t>at] for at in tape.outputs]


def fix(Tape tape, values):
    """A tape with some of its inputs made constants: seeds of 1, data that stay.

    Parameters
    ----------
    tape : Tape
    values : dict
        Position among the inputs -> value; a number fills an array.

    Returns
    -------
    Tape
        Its inputs are those that are left, in their order; derivative code begins where it did.
    """
    cdef Copier c = Copier(tape)
    cdef Tape t = c.target
    cdef uint32_t i
    for k, at in enumerate(tape.inputs):
        i = at
        if k not in values:
            c.map[i] = t.emit_input(tape.aval[i], not tape.inactive_input[<Py_ssize_t>k])
    for k, value in sorted(values.items()):
        i = tape.inputs[k]
        c.map[i] = constant_input(t, strong(tape.aval[i]), value)
    for i in range(1, tape.n):
        if i == tape.boundary:
            t.boundary = t.n
        c.copy(i)
    if tape.boundary and t.boundary == 0:
        t.boundary = t.n
    c.copy_outputs()
    c.copy_locations()
    return t.finish()


cdef uint32_t constant_input(Tape t, uint32_t aval, value) except 0:
    cdef int dtype = AVALS[aval].dtype
    if np.ndim(value) or AVALS[aval].nd == 0:
        if np.shape(value) != aval_shape(aval):
            raise ShapeError(f"fix: a value of shape {np.shape(value)} for an input of shape {aval_shape(aval)}")
        return t.emit_const(value, dtype)
    return t.emit("move", (t.emit_const(value, dtype),), aval, repeated(aval_shape(aval)))


def between(Tape tape, inputs, outputs, bint guards=False):
    """The part of a tape that computes values from values; with its guards, if they are wanted.

    What is derivative code stays so.

    Parameters
    ----------
    tape : Tape
    inputs, outputs : sequence of int
        Values of the tape.
    guards : bool
    """
    cdef Copier c = Copier(tape)
    cdef uint8_t *wanted = <uint8_t *>calloc(tape.n, 1)
    cdef const uint32_t *ids = NULL
    cdef uint32_t i, k, m
    if wanted == NULL:
        raise MemoryError("fastad: no memory to cut a tape")
    try:
        for at in inputs:
            i = at
            c.map[i] = c.target.emit_input(tape.aval[i], is_real(AVALS[tape.aval[i]].dtype))
        for at in outputs:
            wanted[<uint32_t>at] = 1
        for i in range(tape.n - 1, 0, -1):
            if c.map[i] == 0 and (wanted[i] or (guards and tape.op[i] == FA_GUARD)):
                wanted[i] = 1
                m = tape.operands(i, &ids)
                for k in range(m):
                    wanted[ids[k]] = 1
        for i in range(1, tape.n):
            if wanted[i]:
                if tape.boundary and i >= tape.boundary and c.target.boundary == 0:
                    c.target.boundary = c.target.n
                c.copy(i)
        c.target.set_outputs([c.map[<uint32_t>at] for at in outputs])
        c.copy_locations()
        return c.target.finish()
    finally:
        free(wanted)
