"""_program.pyx - a compiled tape: memory planned once, swept without the GIL and without allocations.

Owns: which instructions run as one loop, which cell and which bytes each value of an optimised tape uses, the rewritten
instructions, the frames in which threads run them.
Must not know: derivative rules, how users' arguments are packed, when compiling pays.
The kernels are those of tier 0, on contiguous memory that overlaps nothing: primal results are the same bits.
Next: _fusion.pxi (loops), _memory_plan.pxi (the plan), _machine.pxi (packed scalars), _kernels/forward.h (what runs),
_passes.pyx (what was left out before).
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, int64_t
from libc.stdlib cimport malloc, calloc, realloc, free
from libc.string cimport memcmp, memcpy, memmove, memset
cimport cython
cimport numpy as cnp

import math
import os

import numpy as np

from fastad import _passes
from fastad import _tape as T
from fastad._tape cimport (
    AVALS, Attr, FORMS, Tape, append, aval_id, aval_shape, copy_in, copy_out, fa_assemble, fa_aval, fa_axis,
    fa_cell, fa_code, fa_env, fa_do_add, fa_do_copy, fa_fused, fa_itemsize, fa_map, fa_piece, fa_stack,
    flags_to_report, is_identity, is_real, operands_of, report_flags, run_flat, FA_ASSEMBLE, FA_AVAL_F64,
    FA_AVAL_I64, FA_BOOL,
    FA_CAPTURE, FA_CAST, FA_CONST, FA_ELEMENTWISE, FA_ERASE, FA_F32, FA_FORM_BINARY, FA_FORM_NARY, FA_FUSED,
    FA_NAVAL_SCALAR, FA_GUARD, FA_I64, FA_INPUT, FA_MOVE, FA_NDTYPE, FA_OK, FA_OWN_END, FA_PUT, FA_RESHAPE,
    FA_STACK, FA_STOP, FA_SUM, FA_WHERE, FA_WRITE, PRIMS, fa_run, is_f64, FA_ADD, FA_SUBTRACT, FA_MULTIPLY,
    FA_STRONGZERO, FA_ZEROPRODUCT, FA_EQUAL, FA_F64, FA_GREATER_EQUAL, FA_ELEMENT, FA_RUN, free_code,
    make_chain_code, make_code,
)
from fastad._transform cimport Copier
from fastad.errors import InternalError, ShapeError

cnp.import_array()

__all__ = ["Program", "ProgramFrame", "code_pays", "share_from"]

cdef extern from "_kernels/arena.h":
    void *fa_arena_new(size_t bytes) nogil
    void fa_arena_free(void *p, size_t bytes) nogil

cdef extern from "_kernels/layout.h" nogil:
    enum: FA_FUSED_ELEMENTWISE, FA_FUSED_READ, FA_FUSED_SUM, FA_FUSED_STORE, FA_FUSED_TWINS, FA_FUSED_AXIS
    enum: FA_FUSED_CHAIN
    enum: FA_FUSED_WEAVE, FA_FUSED_WEAVES, FA_WEAVE_PARTS, FA_WEAVE_REACH
    enum: FA_SLOT_BUFFER, FA_SLOT_ARRAY, FA_SLOT_SCALAR, FA_SLOT_ROWS
    enum: FA_READ_PARTS, FA_FUSED_MEMBERS, FA_FUSED_SLOTS, FA_FUSED_SUMS, FA_FUSED_AXES, FA_BUFFER_BYTES
    enum: FA_MOST_STEPS, FA_TILE_BYTES, FA_BLOCK, FA_MOST_LAYOUTS, FA_CHAIN_END
    enum: FA_CHAIN_SIGN, FA_CHAIN_ABSOLUTE, FA_CHAIN_AND, FA_CHAIN_OR, FA_CHAIN_XOR, FA_CHAIN_NOT
    enum: FA_CHAIN_DIVIDE, FA_CHAIN_RECIPROCAL, FA_CHAIN_SQRT
    enum: FA_CHAIN_TWICE, FA_CHAIN_FOUR_TIMES, FA_CHAIN_MINUS_TWICE, FA_CHAIN_MINUS_FOUR_TIMES
    ctypedef struct fa_rows:
        int nd
        int64_t *n
        int64_t *s
    ctypedef struct fa_chainstep:
        uint16_t slot
    ctypedef struct fa_chaincode:
        const char *run
    ctypedef struct fa_finstr:
        uint16_t op
        uint8_t kind
        uint8_t arity
        uint8_t din
        uint8_t dout
        uint16_t[3] in_ "in"
        uint16_t out
        uint8_t step
    ctypedef struct fa_slot:
        uint8_t kind
        uint8_t dtype
        uint8_t layout
        uint32_t cell
        int64_t at
        uint8_t far
    ctypedef struct fa_rdim:
        int64_t n
        int64_t d
        int64_t s
    ctypedef struct fa_reader:
        int nd
        int64_t doff
        int64_t soff
        int64_t reach
        fa_rdim *dim
    ctypedef struct fa_gaps:
        uint32_t cell, base
        int dtype
        int64_t size
        fa_cell fill
        fa_reader reader
    ctypedef struct fa_part:
        uint32_t cell
        int what
        fa_reader reader
    ctypedef struct fa_fread:
        uint32_t n
        uint8_t fills
        uint8_t adds
        uint8_t runs
        fa_cell fill
        const fa_part *parts

    ctypedef struct fa_weave:
        uint32_t cell
        uint32_t n
        int dtype
        int64_t size
        int64_t first
        int64_t reach
        int64_t *shift
        uint16_t *slot

cdef extern from "_kernels/chain_plan.h" nogil:
    int fa_chain_code(uint16_t op)
    int fa_chain_step_for(int step, int din, int dout)
    int fa_chain_plan(fa_fused *f, fa_finstr *instr, fa_slot *slots, fa_chainstep *steps, uint16_t *spread)

cdef extern from "_kernels/axis_plan.h" nogil:
    int64_t fa_axis_block(const fa_axis *a)
    bint fa_axis_fits(const fa_axis *a, bint is_long)
    uint32_t fa_axis_levels(const fa_axis *a)

cdef extern from "_kernels/reader.h" nogil:
    int fa_reader_of(const fa_piece *piece, fa_reader *r)
    int fa_reader_contiguous(const fa_reader *r)
    int fa_reader_has_runs(const fa_reader *r)

cdef extern from "_kernels/patches.h" nogil:
    void fa_patches_find(fa_fused *f)

include "_arena.pxi"
include "_memory_plan.pxi"
include "_halo.pxi"
include "_chain_steps.pxi"
include "_fusion.pxi"
include "_loop_costs.pxi"
include "_loop_writer.pxi"
include "_machine.pxi"
include "_code.pxi"


cdef int[4] NPY
NPY[0] = cnp.NPY_DOUBLE
NPY[1] = T.DTYPES[1].num
NPY[2] = cnp.NPY_BOOL
NPY[3] = cnp.NPY_FLOAT


cdef class ProgramFrame:
    def __cinit__(self):
        self.keep = {}

    def __dealloc__(self):
        fa_arena_free(self.v, self.cell_bytes)
        fa_arena_free(self.arena, self.arena_bytes)

    cdef cnp.ndarray room(self, uint32_t i, const fa_aval *av):
        """Memory of the frame for a copy of input or capture i."""
        found = self.keep.get(i)
        if found is None:
            found = self.keep[i] = np.empty([av.shape[d] for d in range(av.nd)], dtype=T.DTYPES[av.dtype])
        return found


cdef cnp.ndarray new_array(const fa_aval *av):
    cdef cnp.npy_intp[64] dims
    cdef int d
    for d in range(av.nd):
        dims[d] = av.shape[d]
    return cnp.PyArray_EMPTY(av.nd, dims, NPY[av.dtype], 0)


cdef bint readable_as(cnp.ndarray array, const fa_aval *av) except -1:
    """Can kernels read the array where it is?"""
    cdef int d
    if array.dtype is not T.DTYPES[av.dtype] or cnp.PyArray_NDIM(array) != av.nd \
            or not cnp.PyArray_IS_C_CONTIGUOUS(array) or not cnp.PyArray_ISALIGNED(array):
        return False
    for d in range(av.nd):
        if cnp.PyArray_DIM(array, d) != av.shape[d]:
            return False
    return True


cdef class Program:
    """A tape made ready to be run many times.

    Parameters
    ----------
    tape : Tape
        Finished.  Guards, captured arrays and error messages stay what they are.
    optimise : bool, optional
        Run the passes first.
    given : sequence of int, optional
        Inputs whose memory a sweep may overwrite: for those who run the program from C (`on_inputs`).
    before : (int, int), optional
        Instructions, and bytes of arrays, of the tape that became this one.
    own : sequence of int or None, optional
        Inputs (their number) and outputs (~number; numbers that an instruction computes) whose cells are the first
        ones, from 1 on, in this order; None: a cell that nobody uses.
    far : sequence of int, optional
        Inputs, and ~outputs, that are in no cache: at each run they are elsewhere in a large memory.
    """

    def __cinit__(self, Tape tape, bint optimise=True, given=(), before=None, own=(), far=()):
        self.before = before or (len(tape), tape.layout().nbytes)
        cdef Plan plan
        cdef Packer packer
        cdef list loops
        self.tape, loops, self.woven = fused(with_halos(_passes.optimise(tape) if optimise else tape))
        self.loops = []
        self.frames = []
        self.external = []
        self.given = frozenset(given)
        self.own = list(own)
        self.far = list(far)
        self.on_inputs = []
        self.cell = <uint32_t *>calloc(self.tape.n, sizeof(uint32_t))
        if self.cell == NULL:
            raise MemoryError(f"fastad: no memory to compile a tape of {self.tape.n} instructions")
        self.new_cell(0, -1)             # cell 0: none
        plan = Plan(self)
        plan.run(loops)
        packer = Packer(self, plan)
        plan = None
        translate(self, loops, packer)
        self.describe()

    def __init__(self, Tape tape, bint optimise=True, given=(), before=None, own=(), far=()):
        pass

    def __dealloc__(self):
        cdef uint32_t k
        for k in range(self.nruns):
            free(<void *>self.runs[k].words)
        free(self.runs)
        free_code(self.machine_code, self.code_bytes)
        free_code(self.chain_code, self.chain_bytes)
        free(self.op)
        free(self.aval)
        free(self.arg)
        free(self.dst)
        free(self.pool)
        free(self.where)
        free(self.cell)
        free(self.cell_aval)
        free(self.cell_offset)
        free(self.fused)

    cdef uint32_t new_cell(self, uint32_t aval, int64_t offset) except 0:
        if self.ncells == self.cap_cells:
            self.cap_cells = max(64, 2 * self.cap_cells)
            self.cell_aval = <uint32_t *>realloc(self.cell_aval, self.cap_cells * sizeof(uint32_t))
            self.cell_offset = <int64_t *>realloc(self.cell_offset, self.cap_cells * sizeof(int64_t))
            if self.cell_aval == NULL or self.cell_offset == NULL:
                raise MemoryError("fastad: no memory to compile a tape")
        self.cell_aval[self.ncells] = aval
        self.cell_offset[self.ncells] = offset
        self.ncells += 1
        return self.ncells - 1 if self.ncells > 1 else 1

    cdef int reserve(self, uint32_t n) except -1:
        """Room for n instructions; what is there stays."""
        n += 1
        self.op = <uint16_t *>realloc(self.op, n * sizeof(uint16_t))
        self.aval = <uint32_t *>realloc(self.aval, n * sizeof(uint32_t))
        self.arg = <uint32_t *>realloc(self.arg, 2 * <size_t>n * sizeof(uint32_t))
        self.dst = <uint32_t *>realloc(self.dst, n * sizeof(uint32_t))
        self.where = <uint32_t *>realloc(self.where, n * sizeof(uint32_t))
        if self.pool == NULL:
            self.pool = <uint32_t *>malloc((self.tape.npool + 1) * sizeof(uint32_t))
        if self.op == NULL or self.aval == NULL or self.arg == NULL or self.dst == NULL or self.where == NULL \
                or self.pool == NULL:
            raise MemoryError("fastad: no memory to compile a tape")
        return 0

    cdef int put(self, int op, uint32_t aval, uint32_t a, uint32_t b, uint32_t dst, uint32_t where) except -1:
        cdef uint32_t n = self.n
        self.op[n], self.aval[n], self.dst[n], self.where[n] = op, aval, dst, where
        self.arg[2 * <size_t>n] = a
        self.arg[2 * <size_t>n + 1] = b
        self.n = n + 1
        return 0

    cdef int put_instruction(self, uint32_t i) except -1:
        cdef Tape t = self.tape
        cdef uint32_t k, a = t.arg[2 * <size_t>i], b = t.arg[2 * <size_t>i + 1]
        cdef int form = FORMS[t.op[i]]
        if form == FA_FORM_NARY:
            self.pool[a] = t.pool[a]
            for k in range(a + 1, a + 1 + t.pool[a]):
                self.pool[k] = self.cell[t.pool[k]]
        else:
            a = self.cell[a]
            if form == FA_FORM_BINARY:
                b = self.cell[b]
        return self.put(t.op[i], t.aval[i], a, b, self.cell[i], i)

    cdef int describe(self) except -1:
        """What the sweep reads."""
        cdef Tape t = self.tape
        cdef uint32_t k
        self.fused = <const fa_fused **>malloc((len(self.loops) + 1) * sizeof(fa_fused *))
        if self.fused == NULL:
            raise MemoryError("fastad: no memory to compile a tape")
        for k in range(len(self.loops)):
            self.fused[k] = &(<Loop>self.loops[k]).f
            self.chained += self.fused[k].size * self.fused[k].nsteps
        self.code.n = self.n
        self.code.op = self.op
        self.code.aval = self.aval
        self.code.arg = self.arg
        self.code.dst = self.dst
        self.code.pool = self.pool
        self.code.cell_aval = self.cell_aval
        self.code.avals = AVALS
        self.code.attrs = t.attrs
        self.code.guards = t.guards
        self.code.fused = self.fused
        self.code.runs = self.runs
        self.code.begin = 0
        return 0

    # -- frames
    cdef ProgramFrame frame(self):
        """A frame that nobody uses; a new one when all are in use (other threads, a program that calls itself)."""
        cdef ProgramFrame f
        cdef int64_t need = self.nbytes + 8 * <int64_t>self.ncells
        self.works(1)
        if self.frames:
            return <ProgramFrame>self.frames.pop()
        if need > (1 << 28) and need > T.memory_available():
            raise MemoryError(
                f"fastad: a sweep of this program of {self.count} instructions needs {need / 1e9:.2f} GB, more than is "
                "available. Record fewer steps at once, or smaller arrays.")
        f = ProgramFrame()
        f.cell_bytes = <size_t>self.ncells * sizeof(fa_cell)
        f.arena_bytes = self.nbytes
        f.v = <fa_cell *>fa_arena_new(f.cell_bytes)
        f.arena = <char *>fa_arena_new(f.arena_bytes)
        if f.v == NULL or f.arena == NULL:
            raise MemoryError(f"fastad: no memory for a sweep ({need / 1e6:.0f} MB)")
        self.fill_frame(f)
        self.frames_made += 1
        return f

    cdef int works(self, int64_t times) except -1:
        """It is about to run so many times: where that pays, it becomes code of the processor."""
        if self.worked >= 0:
            self.worked += times
            make_codes(self)
        return 0

    cdef ProgramFrame frame_on(self, char *arena):
        """A frame on memory of the caller's, which several programs may have that run one after the other."""
        cdef ProgramFrame f = ProgramFrame()
        f.cell_bytes = <size_t>self.ncells * sizeof(fa_cell)
        f.v = <fa_cell *>fa_arena_new(f.cell_bytes)
        if f.v == NULL:
            raise MemoryError("fastad: no memory for a sweep")
        f.arena = arena
        self.fill_frame(f)
        f.arena = NULL                   # (not ours to give back)
        return f

    cdef int fill_frame(self, ProgramFrame f) except -1:
        """Pointers into the arena, and the constants."""
        cdef Tape t = self.tape
        cdef uint32_t i, c
        for c in range(1, self.ncells):
            if self.cell_offset[c] >= 0:
                f.v[c].p = f.arena + self.cell_offset[c]
        for i in range(1, t.n):
            if t.op[i] == FA_CONST:
                if AVALS[t.aval[i]].nd == 0:
                    f.v[self.cell[i]] = t.cells[t.arg[2 * <size_t>i]]
                else:
                    f.v[self.cell[i]].p = cnp.PyArray_DATA(t.const_arrays[t.arg[2 * <size_t>i]])
        return 0

    cdef int bind(self, ProgramFrame f, list values) except -1:
        cdef Tape t = self.tape
        cdef Py_ssize_t k
        cdef uint32_t i
        if len(values) != len(t.inputs):
            raise ShapeError(f"tape: got {len(values)} inputs, expected {len(t.inputs)}")
        for k in range(len(values)):
            i = <uint32_t>t.inputs[k]
            self.bind_input(f, i, values[k], k)
        for k in range(len(t.capture_ids)):
            self.bind_capture(f, <uint32_t>t.capture_ids[k])
        return 0

    cdef int bind_input(self, ProgramFrame f, uint32_t i, object value, Py_ssize_t k) except -1:
        """Read an array where it is, or where it is copied in the form that the kernels want."""
        cdef const fa_aval *av = &AVALS[self.tape.aval[i]]
        cdef fa_cell *cell = &f.v[self.cell[i]]
        if av.nd:
            if type(value) is np.ndarray and readable_as(<cnp.ndarray>value, av):
                cell.p = cnp.PyArray_DATA(<cnp.ndarray>value)
                return 0
            cell.p = cnp.PyArray_DATA(<cnp.ndarray>f.room(i, av))
        return copy_in(cell, av, value, k)

    cdef int bind_capture(self, ProgramFrame f, uint32_t i) except -1:
        """Read a captured array where it is, or copy it where its memory is not as the kernels want it."""
        cdef Tape t = self.tape
        cdef const fa_aval *av = &AVALS[t.aval[i]]
        cdef cnp.ndarray array
        if t.op[i] != FA_CAPTURE:
            return 0
        array = <cnp.ndarray>t.captures[t.arg[2 * <size_t>i]]
        if cnp.PyArray_NDIM(array) != av.nd or cnp.PyArray_SIZE(array) != av.size:
            raise ShapeError(f"tape: a captured array had shape {aval_shape(t.aval[i])} when it was recorded and has "
                             f"{(<object>array).shape} now; record again")
        if av.nd and readable_as(array, av):
            f.v[self.cell[i]].p = cnp.PyArray_DATA(array)
            return 0
        if av.nd == 0:
            return copy_in(&f.v[self.cell[i]], av, np.asarray(array, dtype=T.DTYPES[av.dtype]), -1)
        fresh = f.room(i, av)
        fresh[...] = array
        f.v[self.cell[i]].p = cnp.PyArray_DATA(<cnp.ndarray>fresh)
        return 0

    # -- running
    cdef int sweep(self, ProgramFrame f) except -1:
        cdef fa_code c = self.code
        cdef fa_env env
        cdef int status
        with nogil:
            status = run_flat(&c, self.boundary, f.v, &env)
        if status != FA_OK:
            env.where = self.where[env.where]
            self.tape.raise_status(status, &env)
        if env.flags:
            report_flags(flags_to_report(self.tape, env.flags))
        return 0

    def run(self, list values, list out=None):
        """Forward sweep.

        Parameters
        ----------
        values : list
            One value for each input.
        out : list of ndarray or None, optional
            Arrays (of rank 0 for scalars) into which the results are written; they are returned.  None: a fresh one.

        Returns
        -------
        list
            Fresh arrays and NumPy scalars, or those of `out`.
        """
        cdef ProgramFrame f = self.frame()
        cdef list results
        if out is not None:
            self.check_out(out)
        try:
            self.bind(f, values)
            results = self.bind_results(f, values, out)
            self.sweep(f)
            self.read_results(f, results, out)
            return results
        finally:
            self.frames.append(f)

    cdef list bind_results(self, ProgramFrame f, list values, list out):
        """Arrays into which the sweep itself writes results: those of `out`, where it does not read in them."""
        cdef list results = [None] * len(self.tape.outputs)
        for k, cell in self.external:
            if results[k] is not None:
                pass
            elif out is not None and out[k] is not None and not self.reads_in(out[k], values):
                results[k] = out[k]
            else:
                results[k] = new_array(&AVALS[self.tape.aval[<uint32_t>self.tape.outputs[k]]])
            f.v[<uint32_t>cell].p = cnp.PyArray_DATA(<cnp.ndarray>results[k])
        return results

    cdef bint reads_in(self, array, list values) except -1:
        for x in (*values, *self.tape.captures):
            if np.may_share_memory(array, x):
                return True
        return False

    cdef int read_results(self, ProgramFrame f, list results, list out) except -1:
        """The results that lie elsewhere; with `out`, all of them there."""
        cdef Tape t = self.tape
        cdef const fa_aval *av
        cdef fa_cell *cell
        cdef uint32_t i
        cdef Py_ssize_t k
        for k in range(len(results)):
            i = <uint32_t>t.outputs[k]
            av = &AVALS[t.aval[i]]
            cell = &f.v[self.cell[i]]
            if out is None or out[k] is None:
                if results[k] is None:
                    results[k] = copy_out(cell, av)
            elif results[k] is not out[k]:
                memcpy(cnp.PyArray_DATA(<cnp.ndarray>out[k]), cell.p if av.nd else <void *>cell,
                       av.size * fa_itemsize[av.dtype])
                results[k] = out[k]
        return 0

    def takes(self, Py_ssize_t k, out):
        """Can result k be written into `out` itself?"""
        return type(out) is np.ndarray and readable_as(out, &AVALS[self.tape.aval[<uint32_t>self.tape.outputs[k]]]) \
            and cnp.PyArray_ISWRITEABLE(out)

    cdef int check_out(self, list out) except -1:
        cdef Py_ssize_t k
        if len(out) != len(self.tape.outputs):
            raise ShapeError(f"Program.run: {len(out)} arrays in `out` for {len(self.tape.outputs)} outputs")
        for k in range(len(out)):
            if out[k] is not None and not self.takes(k, out[k]):
                i = <uint32_t>self.tape.outputs[k]
                raise ShapeError(f"Program.run: out[{k}] must be a writeable C-contiguous "
                                 f"{T.DTYPES[AVALS[self.tape.aval[i]].dtype]} array of shape "
                                 f"{aval_shape(self.tape.aval[i])}")
        return 0

    def working_bytes(self):
        """Memory of one sweep beside operands and results, with that of the loops that are one instruction here."""
        return self.nbytes + 8 * <int64_t>self.ncells + sum(
            [sum(attr.working_bytes()) for attr in self.tape.attr_list if hasattr(attr, "working_bytes")])

    def stats(self):
        """Sizes in tier 0 and here: instructions, bytes of arrays; cells; frames made so far; fused loops, those of
        them that threads share, and those with patches; runs of scalars; bytes of the processor's code for these and
        loops (0: none yet)."""
        return {"instructions_before": self.before[0], "instructions": self.count,
                "arena_bytes_before": self.before[1], "arena_bytes": self.nbytes,
                "cells": self.ncells - 1, "frames": self.frames_made, "loops": len(self.loops),
                "shared_loops": sum([(<Loop>loop).f.shared for loop in self.loops]),
                "patched_loops": sum([(<Loop>loop).f.patched for loop in self.loops]), "runs": self.nruns,
                "code_bytes": (self.code_bytes if self.machine_code != NULL else 0)
                + (self.chain_bytes if self.chain_code != NULL else 0)}

    @property
    def fused_loops(self):
        """Number of loops in which several instructions run block by block."""
        return len(self.loops)

    @property
    def twins(self):
        """Number of pairs in its loops, sine and cosine of one value, of which one step gives both."""
        return sum([(<Loop?>loop).twins for loop in self.loops])

    def __len__(self):
        return self.count


cdef int translate(Program p, list loops, Packer packer) except -1:
    """The instructions with cells in place of ids, without leaves; loops and runs of scalars are one instruction."""
    cdef Tape t = p.tape
    cdef uint32_t i = 1, stop, loop, end, number = 0
    cdef object following = iter(loops)
    p.reserve(t.n)
    loop, end, _ = next(following, (t.n, 0, 0))
    while i < t.n:
        if i == t.boundary:
            p.boundary = p.n
        if i == loop:
            p.put(FA_FUSED, FA_AVAL_I64, number, 0, 0, i)
            if i < t.boundary < end:
                p.boundary = p.n
            i = end
            loop, end, _ = next(following, (t.n, 0, 0))
            number += 1
            p.count += 1
            continue
        stop = packer.stretch(i, t.boundary if i < t.boundary else t.n)
        if packer.count >= SHORTEST_RUN:
            packer.pack(i, stop)
            p.put(FA_RUN, FA_AVAL_I64, p.nruns - 1, 0, 0, packer.first)
            p.count += packer.count
        else:
            stop = max(stop, i + 1)
            for i in range(i, stop):
                if t.op[i] > FA_CAPTURE:
                    p.put_instruction(i)
                    p.count += 1
        i = stop
    p.reserve(p.n)
    return 0
