# cython: language_level=3
"""_tape.pyx - the heart: a tape of operations in typed contiguous buffers.

Owns: abstract values, the instruction buffers, constants and captured arrays, guards, source locations, recording of
one instruction; by inclusion the attributes (_attrs.pxi), the memory and the sweeps of tier 0 (_frame.pxi), and the
traced scalars and arrays (_scalar.pxi, _array.pxi and their neighbours).  The C layout is _kernels/layout.h.
Must not know: SciPy, derivative rules (the rows of primitives.py have them), how users' arguments are packed.
Next: _transform.pyx (tape -> tape), _program.pyx (a compiled tape), derivatives.py (the verbs).
"""
cimport cython
from cpython.number cimport PyNumber_Index
from libc.math cimport NAN
from libc.stdlib cimport malloc, calloc, realloc, free
from libc.string cimport memcpy, memset, memcmp
from libc.stdint cimport uint8_t, uint16_t, uint32_t, int64_t, uint64_t
from cpython.object cimport PyObject
from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_Check, PyFloat_CheckExact
from cpython.long cimport PyLong_CheckExact, PyLong_AsDouble
from cpython.ref cimport Py_DECREF
cimport numpy as cnp

import dis
import math as math_module
import os
import sys
import threading
import types
import weakref
import numpy

from fastad.errors import (
    AdError, DerivativeError, EscapedTracerError, IndexDivergence, InternalError, LinAlgDivergence, ShapeError,
    TapeDivergence,
    TracerError, UnsupportedError,
)
from fastad import primitives

cnp.import_array()

# NumPy's and math's own functions, whatever interception.py puts in their place while a function is recorded: compiled
# code has no frame of its own by which it could tell us from the user.
np = types.SimpleNamespace(**vars(numpy))
math = types.SimpleNamespace(**vars(math_module))

cdef extern from "Python.h":
    Py_ssize_t Py_REFCNT(object x)
    void *PyThreadState_Get() nogil
    PyObject *PyErr_Occurred()
    void PyErr_Clear()
    int PyErr_CheckSignals()

cdef extern from "_kernels/layout.h":
    """
    fa_prim fa_prims[FA_MAX_OPCODES];
    static const char *const fa_own_names[] = FA_OWN_NAMES;
    """
    fa_prim[512] fa_prims
    const char *const fa_own_names[19]

cdef extern from "numpy/ufuncobject.h":
    ctypedef struct PyUFuncObject:
        int nin
        int nout
        int nargs
        fa_loopfn *functions
        void **data
        int ntypes
        char *types

cdef extern from "_kernels/scalar.h" nogil:
    double fa_scalar_f64(uint16_t op, double a, double b)
    fa_cell fa_scalar(uint16_t op, int din, const fa_cell *in_)

cdef extern from "_kernels/elementwise.h" nogil:
    void fa_elementwise(uint16_t op, int nin, const fa_aval *const *in_av, char *const *in_, const fa_aval *out_av,
                        char *out, fa_env *env)
    bint fa_is_arithmetic(uint16_t op, int din, int dout)
    void fa_arithmetic_rows(uint16_t op, const fa_aval *out, char *const *in_, const int64_t *const *strides, char *y)

cdef extern from "_kernels/structural.h" nogil:
    int fa_kernel(uint16_t op, const void *attr, int nin, const fa_aval *const *in_av, char *const *in_,
                  const fa_aval *out_av, char *out, fa_env *env)

cdef extern from "_kernels/sweep.h" nogil:
    int fa_forward(const fa_code *c, fa_cell *v, fa_env *env)
    int fa_tangent(const fa_code *c, const fa_cell *v, fa_cell *t, const uint8_t *active, fa_env *env)
    int fa_reverse(const fa_code *c, const fa_cell *v, fa_cell *adj, const uint8_t *active, fa_env *env)
    void fa_set_poll(int (*poll)() noexcept nogil)
    int fa_after_work(int64_t work)


# ---- abstract values -----------------------------------------------------------------------------------------------
# One table for the process.  It is reserved whole (pages are only touched as it fills), so it never moves.
cdef enum: MAX_AVALS = 1048576
cdef fa_aval *AVALS = <fa_aval *>calloc(MAX_AVALS, sizeof(fa_aval))
cdef uint32_t n_avals = 0
cdef dict aval_index = {}
cdef list aval_shapes = []
if AVALS == NULL:
    raise MemoryError("fastad: no memory for the table of abstract values")
DTYPES = (np.dtype(np.float64), np.dtype(np.int64), np.dtype(np.bool_), np.dtype(np.float32))     # by code
DTYPE_NAMES = ("float64", "int64", "bool", "float32")
REAL = frozenset({FA_F64, FA_F32})           # codes of the dtypes that have derivatives
cdef dict dtype_codes = {dtype: code for code, dtype in enumerate(DTYPES)}
cdef int[4] NPY_TYPE
NPY_TYPE[0] = cnp.NPY_DOUBLE
NPY_TYPE[1] = DTYPES[1].num
NPY_TYPE[2] = cnp.NPY_BOOL
NPY_TYPE[3] = cnp.NPY_FLOAT


cdef uint32_t new_aval(int dtype, int weak, tuple shape) except? 0xffffffff:
    global n_avals
    cdef int64_t *dims
    cdef int64_t size = 1
    cdef Py_ssize_t k
    if n_avals == MAX_AVALS:
        raise MemoryError("fastad: more than 2**20 different array shapes in one process")
    dims = <int64_t *>malloc(max(1, len(shape)) * sizeof(int64_t))
    for k in range(len(shape)):
        dims[k] = shape[k]
        size *= dims[k]
    cdef fa_aval *a = &AVALS[n_avals]
    a.dtype = dtype
    a.weak = weak
    a.nd = len(shape)
    a.size = size
    a.shape = dims
    aval_index[(dtype, weak, shape)] = n_avals
    aval_shapes.append(shape)
    n_avals += 1
    return n_avals - 1


def _intern_scalars():
    for weak in range(2):
        for dtype in range(FA_NDTYPE):
            new_aval(dtype, weak, ())


_intern_scalars()


cdef uint32_t aval_id(int dtype, tuple shape) except? 0xffffffff:
    """Interned id of (dtype, shape); results never carry the weak bit."""
    if not shape:
        return dtype
    found = aval_index.get((dtype, 0, shape))
    return new_aval(dtype, 0, shape) if found is None else <uint32_t>found


cdef tuple aval_shape(uint32_t a):
    return <tuple>aval_shapes[a]


def aval(dtype, shape, bint weak=False):
    """Interned id of an abstract value: `dtype` code (its place in DTYPES), shape tuple."""
    shape = tuple(map(int, shape))
    if weak and not shape:
        return FA_AVAL_WEAK_F64 + <int>dtype
    return aval_id(dtype, shape)


def aval_of(uint32_t a):
    """(dtype code, shape tuple) of an interned abstract value."""
    if a >= n_avals:
        raise InternalError(f"abstract value {a} does not exist")
    return AVALS[a].dtype, aval_shapes[a]


# ---- opcodes -------------------------------------------------------------------------------------------------------
# Structural primitives: name -> (opcode, form).  Elementwise ones are numbered from primitives.TABLE below.
STRUCTURAL = {
    "nop": (FA_NOP, FA_FORM_LEAF), "input": (FA_INPUT, FA_FORM_LEAF), "const": (FA_CONST, FA_FORM_LEAF),
    "capture": (FA_CAPTURE, FA_FORM_LEAF), "element": (FA_ELEMENT, FA_FORM_UNARY),
    "reshape": (FA_RESHAPE, FA_FORM_UNARY), "stop": (FA_STOP, FA_FORM_UNARY), "cast": (FA_CAST, FA_FORM_UNARY),
    "move": (FA_MOVE, FA_FORM_UNARY), "erase": (FA_ERASE, FA_FORM_UNARY), "write": (FA_WRITE, FA_FORM_NARY),
    "assemble": (FA_ASSEMBLE, FA_FORM_NARY), "stack": (FA_STACK, FA_FORM_NARY), "take": (FA_TAKE, FA_FORM_BINARY),
    "addat": (FA_ADDAT, FA_FORM_BINARY), "put": (FA_PUT, FA_FORM_NARY), "wrap": (FA_WRAP, FA_FORM_UNARY),
    "lastwriter": (FA_LASTWRITER, FA_FORM_UNARY), "flatnonzero": (FA_FLATNONZERO, FA_FORM_UNARY),
    "sum": (FA_SUM, FA_FORM_UNARY), "maxr": (FA_MAXR, FA_FORM_UNARY), "minr": (FA_MINR, FA_FORM_UNARY),
    "any": (FA_ANY, FA_FORM_UNARY), "all": (FA_ALL, FA_FORM_UNARY), "argmax": (FA_ARGMAX, FA_FORM_UNARY),
    "argmin": (FA_ARGMIN, FA_FORM_UNARY), "cumsum": (FA_CUMSUM, FA_FORM_UNARY),
    "argsort": (FA_ARGSORT, FA_FORM_UNARY), "searchsorted": (FA_SEARCHSORTED, FA_FORM_NARY),
    "matmul": (FA_MATMUL, FA_FORM_NARY), "spmm": (FA_SPMM, FA_FORM_NARY), "call": (FA_CALL, FA_FORM_NARY),
    "lapack": (FA_LAPACK, FA_FORM_NARY),
    "guard": (FA_GUARD, FA_FORM_UNARY),
}
OPCODES = {name: code for name, (code, _) in STRUCTURAL.items()}   # name -> opcode; files hold names, never numbers
OPNAMES = {code: name for name, code in OPCODES.items()}
ROWS = {}                                                           # elementwise opcode -> row of primitives.py
cdef uint8_t[512] FORM                                              # how arg is to be read
cdef uint8_t[512] ROW_FLOAT                                         # takes float64 only: ints and bools are cast
cdef uint8_t[512] ROW_BOOL                                          # the result is bool
cdef uint8_t[512] ROW_NARROW                                        # float64 inside, float32 for float32 operands
cdef uint8_t[512] ROW_INT                                           # takes int64
cdef uint8_t[512] ROW_BOOLIN                                        # takes bool
cdef uint8_t[512] REFUSED                                           # bit k: no derivative by operand k
memset(FORM, 0, sizeof(FORM))
memset(REFUSED, 0, sizeof(REFUSED))
memset(ROW_NARROW, 0, sizeof(ROW_NARROW))
for _name, (_code, _form) in STRUCTURAL.items():
    FORM[_code] = _form


include "_rows.pxi"
include "_places.pxi"


include "_attrs.pxi"


cdef object zero_tangent(uint32_t a):
    """Zeros of an abstract value, in float64 where that is no real number."""
    return np.zeros(aval_shape(a), DTYPES[AVALS[a].dtype] if is_real(AVALS[a].dtype) else np.float64)[()]


# ---- the tape ------------------------------------------------------------------------------------------------------
# An entry of the dict of locations: hash, id and place, an index, spare room, and the id as a Python object.
cdef enum: LOCATION_BYTES = 80


cdef class Tape:
    """A recorded program: instructions in static single assignment form in typed contiguous buffers.

    Made by `fastad.record`; every derivative of a tape is another tape.  Values are arrays of any rank of float64,
    float32, int64 or bool; instruction i defines value i.

    Called with the arguments of the function it replays.  `forward`, `tangent` and `reverse` are the classical sweeps,
    `jvp_tape`, `vjp_tape` and `batch` make other tapes; `print(tape)` shows the instructions, `stats` their number and
    size; `save` and `load` keep it in a file, which may come from an untrusted source.

    Raises
    ------
    TapeDivergence
        By a replay, where a recorded decision of the function would now go the other way.
    ShapeError
        By a replay, for arguments of other shapes or dtypes.

    Examples
    --------
    >>> import fastad as ad
    >>> tape = ad.record(lambda x, y: x**2 * y, 3.0, 2.0)
    >>> float(tape(1.0, 5.0))
    5.0
    >>> y = tape.forward(3.0, 2.0)
    >>> tape.reverse(1.0)
    (np.float64(12.0), np.float64(9.0))
    """

    def __cinit__(self):
        self.cap = 256
        self.n = 1                       # 0 is FA_NOP, "none"
        self.op = <uint16_t *>malloc(self.cap * sizeof(uint16_t))
        self.aval = <uint32_t *>malloc(self.cap * sizeof(uint32_t))
        self.arg = <uint32_t *>malloc(2 * self.cap * sizeof(uint32_t))
        self.op[0] = FA_NOP
        self.aval[0] = FA_AVAL_F64
        self.arg[0] = self.arg[1] = 0
        self.cap_pool = self.cap_cells = self.cap_attrs = self.cap_guards = 16
        self.pool = <uint32_t *>malloc(self.cap_pool * sizeof(uint32_t))
        self.cells = <fa_cell *>malloc(self.cap_cells * sizeof(fa_cell))
        self.attrs = <void **>malloc(self.cap_attrs * sizeof(void *))
        self.guards = <fa_guard *>malloc(self.cap_guards * sizeof(fa_guard))
        memset(self.const_id, 0, sizeof(self.const_id))
        self.const_arrays = []
        self.captures = []
        self.capture_ids = []
        self.attr_list = []
        self.attr_index = {}
        self.guard_info = []
        self.locations = {}
        self.inputs = []
        self.outputs = []
        self.lifted = {}
        self.lifted_from = []
        self.lifted_values = []
        self.capture_index = {}
        self.derived = {}
        self.ignored = frozenset()

    def __dealloc__(self):
        free(self.op)
        free(self.aval)
        free(self.arg)
        free(self.pool)
        free(self.cells)
        free(self.attrs)
        free(self.guards)
        free(self.act)
        free(self.inactive_input)
        free(self.shares)

    # -- writing instructions
    cdef int grow(self) except -1:
        if self.cap >= 0x7fffffff:
            raise MemoryError("fastad: a tape holds at most 2**31 instructions; use ad.scan for long loops")
        self.cap *= 2
        self.op = <uint16_t *>realloc(self.op, self.cap * sizeof(uint16_t))
        self.aval = <uint32_t *>realloc(self.aval, self.cap * sizeof(uint32_t))
        self.arg = <uint32_t *>realloc(self.arg, 2 * <size_t>self.cap * sizeof(uint32_t))
        if self.op == NULL or self.aval == NULL or self.arg == NULL:
            raise MemoryError(f"fastad: no memory for a tape of {self.cap} instructions")
        return 0

    cdef uint32_t push(self, int op, uint32_t aval, uint32_t a, uint32_t b) except 0:
        cdef uint32_t i = self.n
        if i == self.cap:
            self.grow()
        self.op[i] = op
        self.aval[i] = aval
        self.arg[2 * <size_t>i] = a
        self.arg[2 * <size_t>i + 1] = b
        self.n = i + 1
        if self.every_line:
            self.locate(i)
        return i

    cdef uint32_t push_nary(self, int op, uint32_t aval, const uint32_t *ids, uint32_t count, uint32_t attr) except 0:
        cdef uint32_t start = self.npool
        while self.npool + count + 1 > self.cap_pool:
            self.cap_pool *= 2
            self.pool = <uint32_t *>realloc(self.pool, self.cap_pool * sizeof(uint32_t))
            if self.pool == NULL:
                raise MemoryError("fastad: no memory for the operand pool of a tape")
        self.pool[start] = count
        memcpy(&self.pool[start + 1], ids, count * sizeof(uint32_t))
        self.npool += count + 1
        return self.push(op, aval, start, attr)

    cdef uint32_t attr_id(self, Attr attr) except? 0xffffffff:
        """Index of an attribute in this tape; equal ones are held once.  Index 0 is "none"."""
        if attr is None:
            if self.nattrs == 0:
                self.add_attr(None)
            return 0
        found = self.attr_index.get(attr)
        if found is not None:
            return <uint32_t>found
        if self.nattrs == 0:
            self.add_attr(None)
        return self.add_attr(attr)

    cdef uint32_t add_attr(self, Attr attr) except? 0xffffffff:
        cdef uint32_t k = self.nattrs
        if k == self.cap_attrs:
            self.cap_attrs *= 2
            self.attrs = <void **>realloc(self.attrs, self.cap_attrs * sizeof(void *))
        self.attrs[k] = NULL if attr is None else attr.ptr
        self.attr_list.append(attr)
        if attr is not None:
            self.attr_index[attr] = k
        self.nattrs += 1
        return k

    cdef uint32_t push_capture(self, object array) except 0:
        """An ndarray that is bound by reference at each sweep."""
        self.captures.append(array)
        cdef uint32_t i = self.push(FA_CAPTURE, aval_id(supported_dtype(array.dtype), array.shape),
                                    len(self.captures) - 1, 0)
        self.capture_ids.append(i)
        return i

    cdef uint32_t const_f64(self, double x) except 0:
        """A float64 constant; a small direct-mapped table keeps loops from repeating theirs."""
        cdef uint64_t bits
        cdef fa_cell c
        memcpy(&bits, &x, 8)
        cdef uint32_t slot = <uint32_t>((bits * <uint64_t>0x9E3779B97F4A7C15) >> 58)
        if self.const_id[slot] != 0 and self.const_bits[slot] == bits and self.aval[self.const_id[slot]] == FA_AVAL_F64:
            return self.const_id[slot]
        c.f = x
        cdef uint32_t i = self.const_cell(FA_F64, c)
        self.const_bits[slot] = bits
        self.const_id[slot] = i
        return i

    cdef uint32_t const_cell(self, int dtype, fa_cell x) except 0:
        if self.ncells == self.cap_cells:
            self.cap_cells *= 2
            self.cells = <fa_cell *>realloc(self.cells, self.cap_cells * sizeof(fa_cell))
        self.cells[self.ncells] = x
        self.ncells += 1
        return self.push(FA_CONST, dtype, self.ncells - 1, 0)

    cdef uint32_t const_real(self, int dtype, double x) except 0:
        """A real constant of rank 0."""
        cdef fa_cell c
        if dtype == FA_F64:
            return self.const_f64(x)
        c.i = 0
        c.s = <float>x
        return self.const_f32(c)

    cdef uint32_t const_f32(self, fa_cell c) except 0:
        """A float32 constant, held once as `const_f64` does it, in the same table."""
        cdef uint64_t bits = <uint64_t>c.i
        cdef uint32_t slot = <uint32_t>((bits * <uint64_t>0x9E3779B97F4A7C15) >> 58), i
        if self.const_id[slot] != 0 and self.const_bits[slot] == bits and self.aval[self.const_id[slot]] == FA_AVAL_F32:
            return self.const_id[slot]
        i = self.const_cell(FA_F32, c)
        self.const_bits[slot] = bits
        self.const_id[slot] = i
        return i

    cdef int locate(self, uint32_t i) except -1:
        self.locations[i] = user_location()
        return 0

    cdef int add_guard(self, uint32_t x, int64_t expected, str kind) except -1:
        if self.nguards == self.cap_guards:
            self.cap_guards *= 2
            self.guards = <fa_guard *>realloc(self.guards, self.cap_guards * sizeof(fa_guard))
        self.guards[self.nguards].expected = expected
        self.guard_info.append(once_guard(kind, user_location()))
        self.nguards += 1
        self.push(FA_GUARD, self.aval[x], x, self.nguards - 1)
        return 0

    # -- reading instructions
    cdef int form(self, uint32_t i) noexcept nogil:
        return FORM[self.op[i]]

    cdef uint32_t operands(self, uint32_t i, const uint32_t **ids) noexcept nogil:
        """Number of operands of instruction i; *ids points to them."""
        cdef int form = FORM[self.op[i]]
        if form == FA_FORM_LEAF:
            return 0
        if form == FA_FORM_NARY:
            ids[0] = &self.pool[self.arg[2 * <size_t>i] + 1]
            return self.pool[self.arg[2 * <size_t>i]]
        ids[0] = &self.arg[2 * <size_t>i]
        return 1 if form == FA_FORM_UNARY else 2

    cdef bint is_active(self, uint32_t i) except -1:
        """Does value i depend, differentiably, on an active input?  Computed as far as it is asked for."""
        cdef uint32_t k, m, j
        cdef const uint32_t *ids = NULL
        if self.nact <= i:
            self.act = <uint8_t *>realloc(self.act, self.cap)
            for k in range(self.nact, self.n):
                self.act[k] = 0
                if not is_real(AVALS[self.aval[k]].dtype) or self.op[k] == FA_STOP or self.op[k] == FA_GUARD:
                    continue
                if self.op[k] == FA_INPUT:
                    self.act[k] = not (self.inactive_input != NULL and
                                       self.inactive_input[self.arg[2 * <size_t>k]])
                    continue
                m = self.operands(k, &ids)
                for j in range(m):
                    if self.act[ids[j]]:
                        self.act[k] = 1
                        break
            self.nact = self.n
        return self.act[i]

    cdef fa_code code(self) noexcept:
        cdef fa_code c
        c.n = self.n
        c.op = self.op
        c.aval = self.aval
        c.arg = self.arg
        c.dst = NULL
        c.pool = self.pool
        c.cell_aval = self.aval
        c.avals = AVALS
        c.attrs = self.attrs
        c.guards = self.guards
        c.fused = NULL
        c.begin = 0
        return c

    # -- the same for Python: transformations, listings, files
    def __len__(self):
        return self.n - 1

    def serves(self, list values):
        """Do these values promote as those of the recording?  float32 * 2.0 is float32, * np.float64(2) is not."""
        return self.kinds is None or self.kinds == tuple([type(x) is float for x in values])

    @property
    def recording(self):
        """Is this tape still being recorded?"""
        return self.owner != NULL

    def emit(self, op, operands, uint32_t aval, Attr attr=None, location=None):
        """Append an instruction; returns its id.

        op : str or int, operands : sequence of ids, aval : interned abstract value, attr : Attr or None.
        ELEMENT takes its flat index as `attr`-less third operand: ``emit("element", (x, index), aval)``.
        """
        cdef int code = OPCODES[op] if isinstance(op, str) else op
        cdef uint32_t i, k = 0
        cdef uint32_t *ids
        cdef uint32_t m = len(operands)
        cdef int form = FORM[code]
        for x in operands[:1] if code == FA_ELEMENT else operands:
            if not 0 < x < self.n:
                raise InternalError(f"{op}: operand {x} of {self.n} values")
        if form == FA_FORM_UNARY and code >= FA_ELEMENTWISE:
            i = self.push(code, aval, operands[0], 0)
        elif code == FA_ELEMENT:
            i = self.push(code, aval, operands[0], operands[1])
        elif form == FA_FORM_UNARY:
            i = self.push(code, aval, operands[0], self.attr_id(attr))
        elif form == FA_FORM_BINARY:
            i = self.push(code, aval, operands[0], operands[1])
        elif form == FA_FORM_NARY:
            ids = <uint32_t *>malloc(max(1, m) * sizeof(uint32_t))
            try:
                for k in range(m):
                    ids[k] = operands[k]
                i = self.push_nary(code, aval, ids, m, self.attr_id(attr))
            finally:
                free(ids)
        else:
            raise InternalError(f"emit: {op} is a leaf")
        if location is not None:
            self.locations[i] = location
        return i

    def emit_input(self, uint32_t aval, bint active=True):
        """Append an input; returns its id."""
        cdef uint32_t k = len(self.inputs)
        cdef uint32_t i = self.push(FA_INPUT, aval, k, 0)
        self.inputs.append(i)
        self.narrow |= AVALS[aval].dtype == FA_F32
        self.inactive_input = <uint8_t *>realloc(self.inactive_input, k + 1)
        self.inactive_input[k] = not active
        return i

    def emit_const(self, value, dtype=None):
        """Append a constant (Python number or ndarray of a supported dtype); returns its id."""
        value = np.asarray(value, dtype=None if dtype is None else DTYPES[dtype])
        cdef int d = supported_dtype(value.dtype)
        if value.ndim == 0:
            if d == FA_F64:
                return self.const_f64(value)
            return self.const_cell(d, cell_of(value[()], d))
        value = np.array(value, dtype=DTYPES[d], order="C")
        value.flags.writeable = False
        self.const_arrays.append(value)
        return self.push(FA_CONST, aval_id(d, value.shape), len(self.const_arrays) - 1, 0)

    def emit_capture(self, array):
        """Append an ndarray that is bound by reference and read again at each replay; returns its id."""
        return capture(self, array)

    def emit_guard(self, uint32_t x, int64_t expected, kind, location):
        """Append a guard: value x must have these bits."""
        self.add_guard(x, expected, kind)
        self.guard_info[-1] = (kind, location)
        return self.n - 1

    def set_origin(self, location):
        """'file:line' of the recorded function, for the errors about values that escape from it."""
        self.recorder = location

    def set_outputs(self, ids):
        """Name the results of the tape."""
        self.outputs[:] = ids

    def instruction(self, uint32_t i):
        """(name, operand ids, aval id, attribute or index) of instruction i."""
        cdef const uint32_t *ids = NULL
        cdef uint32_t m, k
        if i >= self.n:
            raise IndexError(f"instruction {i} of a tape of {self.n}")
        m = self.operands(i, &ids)
        operands = tuple([ids[k] for k in range(m)])
        cdef int op = self.op[i]
        cdef uint32_t b = self.arg[2 * <size_t>i + 1]
        attr = None
        if op == FA_ELEMENT:
            attr = b
        elif op == FA_GUARD:
            attr = (self.guards[b].expected,) + self.guard_info[b]
        elif op == FA_INPUT:
            attr = self.arg[2 * <size_t>i]
        elif op == FA_CONST:
            attr = self.constant(i)
        elif op == FA_CAPTURE:
            attr = self.captures[self.arg[2 * <size_t>i]]
        elif op < FA_STRUCTURAL_END and FORM[op] != FA_FORM_BINARY:
            attr = self.attr_list[b] if self.nattrs else None
        return OPNAMES[op], operands, self.aval[i], attr

    def constant(self, uint32_t i):
        """Value of the constant instruction i: a Python number, or a read-only ndarray."""
        cdef uint32_t a = self.arg[2 * <size_t>i]
        if self.op[i] != FA_CONST:
            raise InternalError(f"instruction {i} is no constant")
        if AVALS[self.aval[i]].nd:
            return self.const_arrays[a]
        return number_of(self.cells[a], AVALS[self.aval[i]].dtype)

    def location(self, uint32_t i):
        """'file:line' where instruction i was recorded, or None."""
        found = self.locations.get(i)
        return None if found is None else format_location(found)

    @property
    def input_active(self):
        """For each input: does it have an adjoint (active, and of real numbers)?"""
        cdef Py_ssize_t k
        return [not self.inactive_input[k] and is_real(AVALS[self.aval[<uint32_t>self.inputs[k]]].dtype)
                for k in range(len(self.inputs))]

    def columns(self):
        """The instruction buffers as arrays (copies): op, aval, arg (n, 2), pool."""
        cdef cnp.npy_intp n = self.n
        return (np.asarray(<uint16_t[:n]>self.op).copy(), np.asarray(<uint32_t[:n]>self.aval).copy(),
                np.asarray(<uint32_t[:2 * n]>self.arg).copy().reshape(-1, 2),
                np.asarray(<uint32_t[:self.npool]>self.pool).copy() if self.npool else np.zeros(0, np.uint32))

    def active(self):
        """bool array: which values depend differentiably on the inputs."""
        cdef uint32_t i
        self.is_active(self.n - 1)
        return np.array([self.act[i] for i in range(self.n)], dtype=bool)

    def finish(self):
        """End the recording: give back spare room."""
        self.owner = NULL
        self.cap = self.n
        self.op = <uint16_t *>realloc(self.op, self.cap * sizeof(uint16_t))
        self.aval = <uint32_t *>realloc(self.aval, self.cap * sizeof(uint32_t))
        self.arg = <uint32_t *>realloc(self.arg, 2 * <size_t>self.cap * sizeof(uint32_t))
        return self

    @property
    def nbytes(self):
        """Bytes of the tape: instructions, operand pool, constants, guards, attributes, and the places of its lines.

        Captured arrays are the user's; places and maps that several tapes hold are counted in each.
        """
        return (self.n * 14 + self.npool * 4 + self.ncells * 8 + self.nguards * 16     # 8 a guard, 8 its place
                + sum([a.nbytes for a in self.const_arrays]) + sum([attr.nbytes for attr in self.attr_list if attr])
                + LOCATION_BYTES * len(self.locations))

    @property
    def arena_bytes(self):
        """Bytes of array memory of a sweep of tier 0."""
        return self.layout().nbytes

    # -- tier 0 sweeps
    cdef Layout layout(self):
        found = self.derived.get("layout")
        if found is None:
            found = self.derived["layout"] = Layout(self)
        return <Layout>found

    cdef Frame frame(self):
        """This thread's frame; while it is in use another one, which covers it (a tape that calls itself)."""
        if self.frames is None:
            self.frames = threading.local()
        cdef Frame f = getattr(self.frames, "frame", None)
        if f is None or f.busy:
            if self.owner != NULL:
                raise TracerError("the tape is still being recorded; sweep it after the function has returned")
            if f is not None:
                f.covered = True
            f = self.frames.frame = Frame(self)
        return f

    cdef int done(self, Frame f) except -1:
        """A sweep with frame f has ended; it is this thread's again if sweeps within it took its place."""
        f.busy = False
        if f.covered:
            f.covered = False
            self.frames.frame = f
        return 0

    cdef Frame passing_frame(self):
        """A frame for a replay that leaves this thread's forward point as it is."""
        cdef Frame f = self.frame()
        if not f.valid:
            return f
        f = getattr(self.frames, "passing", None)
        if f is None or f.busy:
            f = self.frames.passing = Frame(self)
        return f

    cdef Frame swept(self, str verb):
        """The frame with this thread's last forward point."""
        cdef Frame f = getattr(self.frames, "frame", None) if self.frames is not None else None
        if f is None or not f.valid:
            raise AdError(f"Tape.{verb}: no forward sweep in this thread yet. Call tape.forward(x) first.")
        return f

    cdef int run_forward(self, Frame f, list values) except -1:
        cdef fa_code c = self.code()
        cdef fa_env env
        cdef int status
        f.bind(values)
        matrix_products(&env)
        env.flags = env.has_foreign = 0
        f.busy = True                    # while a handler of floating-point errors runs, too: it may sweep this tape
        try:
            with nogil:
                status = run_code(&c, self.boundary, f.v, &env)
            if status == FA_OK and env.flags:
                report_flags(flags_to_report(self, env.flags))
        finally:
            self.done(f)
        if status != FA_OK:
            self.raise_status(status, &env)
        f.valid = True
        return 0

    cdef int raise_status(self, int status, fa_env *env) except -1:
        cdef uint32_t i = env.where
        if status == FA_EFOREIGN:
            if PyErr_Occurred() != NULL:
                return -1
            raise InternalError(f"foreign call in instruction {i} failed without an error")
        PyErr_Clear()                    # of a loop before the guard that failed: a new recording will meet it
        if status == FA_EGUARD:
            kind, location = self.guard_info[self.arg[2 * <size_t>i + 1]]
            raise TapeDivergence(
                f"the tape was recorded with another outcome of {kind} at {format_location(location)}. "
                "Record again at this point, or use ad.grad and friends, which do so by themselves.",
                format_location(location), kind)
        if status == FA_EINDEX:
            where = self.location(i) or "?"
            raise IndexDivergence(f"an index computed in the tape is out of bounds (recorded at {where})",
                                  where, "the bounds of an index")
        if status == FA_ELINALG:
            raise singular(self, i)
        if status == FA_ENOMEM:
            raise MemoryError(f"fastad: no memory for the workspace of an instruction recorded at {self.location(i)}")
        raise InternalError(f"sweep ended with status {status} at instruction {i}")

    cdef list run_values(self, list values):
        """Forward sweep; list of fresh outputs."""
        cdef Frame f = self.frame()
        self.run_forward(f, values)
        return self.read_outputs(f.v)

    cdef list read_outputs(self, fa_cell *cells):
        cdef list out = []
        for i in self.outputs:
            out.append(copy_out(&cells[<uint32_t>i], &AVALS[self.aval[<uint32_t>i]]))
        return out

    cdef list read_inputs(self, fa_cell *cells):
        """Adjoints of the active inputs."""
        cdef list out = []
        cdef Py_ssize_t k
        cdef uint32_t i
        for k in range(len(self.inputs)):
            i = <uint32_t>self.inputs[k]
            if is_real(AVALS[self.aval[i]].dtype) and not self.inactive_input[k]:
                out.append(copy_out(&cells[i], &AVALS[self.aval[i]]))
        return out

    cdef int seed(self, fa_cell *cells, uint32_t i, object w) except -1:
        """Add the seed w to the adjoint of output i."""
        cdef const fa_aval *av = &AVALS[self.aval[i]]
        cdef cnp.ndarray array
        cdef char *to
        cdef int64_t k
        if not is_real(av.dtype):
            return 0
        if av.nd == 0 and PyFloat_Check(w):
            if av.dtype == FA_F64:
                cells[i].f += PyFloat_AS_DOUBLE(w)
            else:
                cells[i].s += <float>PyFloat_AS_DOUBLE(w)
            return 0
        given = np.asarray(w)
        shape = aval_shape(self.aval[i])
        if given.dtype.kind not in "fiub" or (given.shape != shape and given.ndim):
            raise ShapeError(f"tape: a seed (the adjoint of a result) is {type(w).__name__} of shape {given.shape} and "
                             f"dtype {given.dtype}; the result is {DTYPE_NAMES[av.dtype]} of shape {shape}")
        array = np.ascontiguousarray(np.broadcast_to(given.astype(DTYPES[av.dtype]), shape))
        to = fa_data(&cells[i], av)
        for k in range(av.size):
            if av.dtype == FA_F64:
                (<double *>to)[k] += (<double *>cnp.PyArray_DATA(array))[k]
            else:
                (<float *>to)[k] += (<float *>cnp.PyArray_DATA(array))[k]
        return 0

    cdef int run_reverse(self, Frame f, list seeds) except -1:
        cdef fa_code c = self.code()
        cdef fa_env env
        cdef int status
        cdef Py_ssize_t k
        f.ensure_adjoints()
        for k in range(len(self.outputs)):
            if f.active[<uint32_t>self.outputs[k]]:
                self.seed(f.a, self.outputs[k], seeds[k])
        matrix_products(&env)
        env.flags = env.has_foreign = 0
        f.busy = True
        try:
            with nogil:
                status = fa_reverse(&c, f.v, f.a, f.active, &env)
        finally:
            self.done(f)
        if status != FA_OK:
            self.raise_status(status, &env)
        forget_foreign()
        return 0

    cdef int set_tangents(self, Frame f, list tangents) except -1:
        """Directions of the inputs; None, and what is no real number, does not move."""
        cdef Py_ssize_t k
        cdef uint32_t i
        cdef const fa_aval *av
        if len(tangents) != len(self.inputs):
            raise ShapeError(f"tape: got {len(tangents)} directions, expected {len(self.inputs)}")
        for k in range(len(tangents)):
            i = <uint32_t>self.inputs[k]
            av = &AVALS[self.aval[i]]
            if not f.active[i]:
                continue                 # no tangent of its own
            if tangents[k] is None:
                memset(fa_data(&f.t[i], av), 0, av.size * fa_itemsize[av.dtype])
            else:
                copy_in(&f.t[i], av, tangents[k], k)
        return 0

    cdef int run_tangent(self, Frame f, list tangents) except -1:
        cdef fa_code c = self.code()
        cdef fa_env env
        cdef int status
        f.ensure_tangents()
        self.set_tangents(f, tangents)
        matrix_products(&env)
        env.flags = env.has_foreign = 0
        f.busy = True
        try:
            with nogil:
                status = fa_tangent(&c, f.v, f.t, f.active, &env)
        finally:
            self.done(f)
        if status != FA_OK:
            self.raise_status(status, &env)
        forget_foreign()
        return 0

    # -- what the Python layer calls: flat lists in, flat lists out

    def sweep(self, list values):
        """Forward sweep at the input values; list of fresh outputs."""
        return self.run_values(values)

    def sweep_gradient(self, list values, list seeds):
        """Forward and reverse sweep in one: (outputs, adjoints of the active inputs)."""
        cdef Frame f = self.frame()
        self.run_forward(f, values)
        self.run_reverse(f, seeds)
        return self.read_outputs(f.v), self.read_inputs(f.a)

    def sweep_reverse(self, list seeds):
        """Reverse sweep at this thread's last forward point: adjoints of the active inputs."""
        cdef Frame f = self.swept("reverse")
        self.run_reverse(f, seeds)
        return self.read_inputs(f.a)

    def sweep_tangent(self, list tangents):
        """Tangent sweep at this thread's last forward point: tangents of the outputs."""
        return self.tangent_outputs(self.swept("tangent"), tangents)

    cdef list tangent_outputs(self, Frame f, list tangents):
        cdef list out = []
        self.run_tangent(f, tangents)
        for i in self.outputs:
            if f.active[<uint32_t>i]:
                out.append(copy_out(&f.t[<uint32_t>i], &AVALS[self.aval[<uint32_t>i]]))
            else:
                out.append(zero_tangent(self.aval[<uint32_t>i]))
        return out

    def value_at_point(self, uint32_t i):
        """Value i at this thread's last forward point (exact unless a later write took its memory)."""
        cdef Frame f = self.swept("value_at_point")
        return copy_out(&f.v[i], &AVALS[self.aval[i]])

    def adjoint_at_point(self, uint32_t i):
        """Adjoint of value i after this thread's last reverse sweep."""
        cdef Frame f = self.swept("adjoint_at_point")
        if f.a == NULL:
            raise AdError("Tape.adjoint_at_point: no reverse sweep in this thread yet")
        if not f.active[i]:
            return zero_tangent(self.aval[i])
        return copy_out(&f.a[i], &AVALS[self.aval[i]])

    def tangent_at_point(self, uint32_t i):
        """Tangent of value i after this thread's last tangent sweep."""
        cdef Frame f = self.swept("tangent_at_point")
        if f.t == NULL:
            raise AdError("Tape.tangent_at_point: no tangent sweep in this thread yet")
        if not f.active[i]:
            return zero_tangent(self.aval[i])
        return copy_out(&f.t[i], &AVALS[self.aval[i]])

    # -- what users call.  A flat row of numbers and arrays goes to the sweep with no Python function between; all else
    #    is packed by the signature (recording.py).  Cold verbs are doors: the modules above register what is behind.
    @property
    def signature(self):
        """How arguments and results are packed (recording.Signature); None: flat lists."""
        return self.signature_

    @signature.setter
    def signature(self, value):
        self.signature_ = value
        self.flat = value is None or value.flat
        self.lone_out = value.lone_out if value is not None else False
        self.lone_in = value.lone_in if value is not None else False

    cdef list values_of(self, tuple args, dict kwargs):
        """The inputs' values, in order."""
        cdef list values
        if self.flat and not kwargs and len(args) == len(self.inputs):
            values = list(args)
        elif self.signature_ is None:
            raise ShapeError(f"tape: got {len(args)} arguments, expected {len(self.inputs)}")
        else:
            values = self.signature_.values(args, kwargs)
        if self.narrow:
            self.check_narrow(values)
        return values

    cdef int check_narrow(self, list values) except -1:
        """The function itself would compute in float64 where a float64 came in place of a float32."""
        for k, (i, x) in enumerate(zip(self.inputs, values)):
            if AVALS[self.aval[<uint32_t>i]].dtype == FA_F32 and isinstance(x, (ndarray_type, generic_type)) \
                    and x.dtype.kind in "fiu" and not np.can_cast(x.dtype, np.float32):
                if self.signature_ is not None and self.signature_.positions[k] in self.signature_.complex_in:
                    raise ShapeError(f"tape: input {k} has dtype complex128, recorded with complex64; pass "
                                     "x.astype(np.complex64), or record again")
                raise ShapeError(f"tape: input {k} has dtype {x.dtype}, recorded with float32; pass "
                                 "x.astype(np.float32), or record again")
        return 0

    cdef object pack_outputs(self, list out):
        if self.lone_out:
            return out[0]
        if self.signature_ is None:
            return out[0] if len(out) == 1 else tuple(out)
        return self.signature_.pack_outputs(out)

    cdef object pack_gradients(self, list adjoints):
        if self.lone_in:
            return adjoints[0]
        if self.signature_ is None:
            return adjoints[0] if len(adjoints) == 1 else tuple(adjoints)
        return self.signature_.pack_gradients(adjoints)

    cdef list seeds_of(self, object w):
        """One seed an output; a number stands for itself in all of them."""
        if self.lone_out:
            return [w]
        if self.signature_ is None:
            return list(w) if isinstance(w, (tuple, list)) else [w] * len(self.outputs)
        return self.signature_.seeds(w)

    def __call__(self, *args, **kwargs):
        """Replay: the results at other values of the arguments.

        Raises
        ------
        TapeDivergence
            Where a recorded branch would now go the other way.

        Notes
        -----
        ``out=``, here as in `forward`, `gradient`, `reverse` and `tangent`: writeable arrays of the results' shapes and
        dtypes, in their structure, into which they are written; they are returned.  Where a sweep ends with an error,
        what is in them means nothing.  (A function that was recorded with a keyword `out` gets that itself.)
        """
        return replayed(self, args, kwargs)

    def forward(self, *args, **kwargs):
        """Forward sweep: the results; sets this thread's point for `reverse` and `tangent`."""
        cdef object out = take_out(self, kwargs)
        cdef list values = self.values_of(args, kwargs)
        cdef Frame f = self.frame()
        self.run_forward(f, values)
        return give(out, self.pack_outputs(self.read_outputs(f.v)))

    def reverse(self, w=1.0, *, out=None):
        """Reverse sweep at this thread's last `forward` point.

        Parameters
        ----------
        w : float, array or tree
            Seed: the adjoints of the results, in their structure; a number seeds every element.
        out : ndarray or tree, optional
            Where the gradient is written.

        Returns
        -------
        The gradient of the only argument, else a tuple, one entry an argument (None for what has no derivative).
        """
        cdef Frame f = self.swept("reverse")
        self.run_reverse(f, self.seeds_of(w))
        return give(out, self.pack_gradients(self.read_inputs(f.a)))

    def tangent(self, *v, out=None):
        """Tangent sweep at this thread's last `forward` point, along one direction an argument (None: not moved)."""
        cdef list tangents = list(v) if self.flat and len(v) == len(self.inputs) else None
        if tangents is None:
            if self.signature_ is None:
                raise ShapeError(f"Tape.tangent: got {len(v)} directions, expected {len(self.inputs)}")
            tangents = self.signature_.tangents(v)
        return give(out, self.pack_outputs(self.sweep_tangent(tangents)))

    def gradient(self, *args, **kwargs):
        """Gradient of the sum of all results: a forward and a reverse sweep with seed 1."""
        if self.signature_ is not None and self.signature_.complex_out:
            raise DerivativeError(f"{self!r} has complex results; use reverse with a complex seed, or return real ones")
        return gradient_of_sum(self, args, kwargs)

    # -- cold doors: what stands behind them is registered by the modules above
    def jvp_tape(self):
        """The tangent tape: (arguments, directions) -> (results, their tangents)."""
        return open_door("jvp_tape")(self)

    def vjp_tape(self):
        """The adjoint tape: (arguments, seeds) -> (results, adjoints of the arguments)."""
        return open_door("vjp_tape")(self)

    def batch(self, k):
        """The tape for k points at once: every real argument and every result has a leading axis of length k.

        Integers and booleans among the arguments are the same for all points.  Guards must hold at every point.
        """
        return open_door("batch")(self, k)

    def compile(self):
        """Compile the tape and its gradient now, instead of when it pays; returns the tape."""
        return open_door("compile")(self)

    def trace(self, *args, mode="forward", **kwargs):
        """The evaluation trace at a point: values and tangents ("forward") or adjoints ("reverse"), step by step."""
        return open_door("trace")(self, args, kwargs, mode)

    def stats(self):
        """Instructions, bytes, guards and the like, as an object that prints itself."""
        return open_door("stats")(self)

    def save(self, path):
        """Write the tape to a file; `Tape.load` reads it."""
        return open_door("save")(self, path)

    @staticmethod
    def load(path):
        """Read a tape that `save` has written; safe for files from untrusted sources."""
        return open_door("load")(path)

    def __reduce__(self):
        return open_door("reduce")(self)

    def __copy__(self):
        return open_door("copy")(self)

    def __deepcopy__(self, memo):
        return open_door("copy")(self, memo)

    def __str__(self):
        return open_door("listing")(self)

    def listing(self, limit=60):
        """The evaluation trace as text, a line an instruction; the middle of a long one is left out (None: nothing)."""
        return open_door("listing")(self, limit)

    def __repr__(self):
        cdef object name = getattr(self.signature_, "name", None)
        return f"<Tape{' of ' + name if name else ''}: {self.n - 1} instructions>"


include "_foreign.pxi"
include "_frame.pxi"
include "_recording.pxi"
include "_scalar.pxi"
include "_complex.pxi"
include "_operands.pxi"
include "_elementwise.pxi"
include "_overwritten.pxi"
include "_temporaries.pxi"
include "_storage.pxi"
include "_writing.pxi"
include "_array.pxi"
include "_indexing.pxi"
include "_structural.pxi"
include "_call.pxi"
include "_lapack.pxi"
include "_banded.pxi"
include "_factor.pxi"
include "_leaves.pxi"
include "_templates.pxi"
include "_fourier.pxi"
include "_pocketfft.pxi"
include "_exports.pxi"
include "_parts.pxi"
include "_calls.pxi"
include "_threads.pxi"
