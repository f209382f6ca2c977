"""_program.pyx - a compiled tape: memory planned once, swept without the GIL and without allocations.

Owns: which cell and which bytes each value of an optimised tape uses, the rewritten instructions, the frames in which
threads run them.
Must not know: derivative rules, how users' arguments are packed, when compiling pays.
The kernels are those of tier 0, on contiguous memory that overlaps nothing: primal results are the same bits.
Next: _memory_plan.pxi (the plan), _kernels/forward.h (what runs), _passes.pyx (what was left out before).
"""
from libc.stdint cimport uint16_t, uint32_t, int64_t
from libc.stdlib cimport malloc, calloc, realloc, free
from libc.string cimport memcpy
cimport numpy as cnp

from bisect import bisect_left, insort
import numpy as np

from fastad import _passes
from fastad import _tape as T
from fastad._tape cimport (
    AVALS, FORMS, Tape, aval_shape, copy_in, copy_out, fa_aval, fa_cell, fa_code, fa_env, fa_itemsize,
    flags_to_report, report_flags, run_flat, FA_CAPTURE, FA_CONST, FA_ELEMENTWISE, FA_ERASE, FA_FORM_BINARY,
    FA_FORM_NARY, FA_GUARD, FA_INPUT, FA_OK, FA_OWN_END, FA_PUT, FA_RESHAPE, FA_STACK, FA_STOP, FA_WRITE, fa_stack,
)
from fastad.errors import ShapeError

cnp.import_array()

__all__ = ["Program", "ProgramFrame"]

cdef extern from "_kernels/arena.h":
    void *fa_arena_new(size_t bytes) nogil
    void fa_arena_free(void *p, size_t bytes) nogil

include "_memory_plan.pxi"


cdef class ProgramFrame:
    def __cinit__(self):
        self.keep = []

    def __dealloc__(self):
        fa_arena_free(self.v, self.cell_bytes)
        fa_arena_free(self.arena, self.arena_bytes)


cdef class Program:
    """A tape made ready to be run many times.

    Parameters
    ----------
    tape : Tape
        Finished.  Guards, captured arrays and error messages stay what they are.
    optimise : bool, optional
        Run the passes first.
    """

    def __cinit__(self, Tape tape, bint optimise=True):
        self.before = (len(tape), tape.layout().nbytes)
        self.tape = _passes.optimise(tape) if optimise else tape
        self.frames = []
        self.array_captures = []
        self.other_captures = []
        self.cell = <uint32_t *>calloc(self.tape.n, sizeof(uint32_t))
        if self.cell == NULL:
            raise MemoryError(f"fastad: no memory to compile a tape of {self.tape.n} instructions")
        self.new_cell(0, -1)             # cell 0: none
        Plan(self).run()
        self.translate()

    def __init__(self, Tape tape, bint optimise=True):
        pass

    def __dealloc__(self):
        free(self.op)
        free(self.aval)
        free(self.arg)
        free(self.dst)
        free(self.pool)
        free(self.where)
        free(self.cell)
        free(self.cell_aval)
        free(self.cell_offset)

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

    cdef int translate(self) except -1:
        """The instructions with cells in place of ids, without leaves."""
        cdef Tape t = self.tape
        cdef uint32_t i, k, a, b, n = 0
        cdef int form
        self.op = <uint16_t *>malloc(t.n * sizeof(uint16_t))
        self.aval = <uint32_t *>malloc(t.n * sizeof(uint32_t))
        self.arg = <uint32_t *>malloc(2 * <size_t>t.n * sizeof(uint32_t))
        self.dst = <uint32_t *>malloc(t.n * sizeof(uint32_t))
        self.where = <uint32_t *>malloc(t.n * sizeof(uint32_t))
        self.pool = <uint32_t *>malloc((t.npool + 1) * sizeof(uint32_t))
        if self.op == NULL or self.aval == NULL or self.arg == NULL or self.dst == NULL or self.where == NULL \
                or self.pool == NULL:
            raise MemoryError("fastad: no memory to compile a tape")
        for i in range(1, t.n):
            if i == t.boundary:
                self.boundary = n
            if t.op[i] <= FA_CAPTURE:
                continue
            form = FORMS[t.op[i]]
            a = t.arg[2 * <size_t>i]
            b = t.arg[2 * <size_t>i + 1]
            if form == FA_FORM_NARY:
                self.pool[a] = t.pool[a]
                for k in range(a + 1, a + 1 + t.pool[a]):
                    self.pool[k] = self.cell[t.pool[k]]
            else:
                a = self.cell[a]
                if form == FA_FORM_BINARY:
                    b = self.cell[b]
            self.op[n] = t.op[i]
            self.aval[n] = t.aval[i]
            self.arg[2 * <size_t>n] = a
            self.arg[2 * <size_t>n + 1] = b
            self.dst[n] = self.cell[i]
            self.where[n] = i
            n += 1
        self.n = n
        return self.describe()

    cdef int describe(self) except -1:
        cdef Tape t = self.tape
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
        self.code.begin = 0
        return 0

    # -- frames
    cdef ProgramFrame frame(self):
        """A frame that nobody uses; a new one when all are in use (other threads, a program that calls itself)."""
        cdef ProgramFrame f
        cdef int64_t need = self.nbytes + 8 * <int64_t>self.ncells
        if self.frames:
            return <ProgramFrame>self.frames.pop()
        if need > (1 << 28) and need > T.memory_available():
            raise MemoryError(
                f"fastad: a sweep of this program of {self.n} instructions needs {need / 1e9:.2f} GB, more than is "
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
            copy_in(&f.v[self.cell[i]], &AVALS[t.aval[i]], values[k], k)
        for k in range(len(t.capture_ids)):
            self.bind_capture(f, <uint32_t>t.capture_ids[k])
        return 0

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
        if av.nd and array.dtype is T.DTYPES[av.dtype] and cnp.PyArray_IS_C_CONTIGUOUS(array) \
                and cnp.PyArray_ISALIGNED(array):
            f.v[self.cell[i]].p = cnp.PyArray_DATA(array)
            return 0
        if av.nd == 0:
            return copy_in(&f.v[self.cell[i]], av, np.asarray(array, dtype=T.DTYPES[av.dtype]), -1)
        if len(f.keep) == 0:
            f.keep.append({})
        (<dict>f.keep[0])[i] = fresh = np.ascontiguousarray(array, dtype=T.DTYPES[av.dtype])
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
        out : list of ndarray, optional
            Arrays (of rank 0 for scalars) into which the results are written; they are returned.

        Returns
        -------
        list
            Fresh arrays and NumPy scalars, or `out`.
        """
        cdef ProgramFrame f = self.frame()
        cdef Tape t = self.tape
        cdef list results
        try:
            self.bind(f, values)
            self.sweep(f)
            if out is not None:
                self.store(f, out)
                return out
            results = []
            for i in t.outputs:
                results.append(copy_out(&f.v[self.cell[<uint32_t>i]], &AVALS[t.aval[<uint32_t>i]]))
            return results
        finally:
            self.frames.append(f)

    cdef int store(self, ProgramFrame f, list out) except -1:
        cdef Tape t = self.tape
        cdef const fa_aval *av
        cdef cnp.ndarray array
        cdef uint32_t i
        cdef Py_ssize_t k
        if len(out) != len(t.outputs):
            raise ShapeError(f"Program.run: {len(out)} arrays in `out` for {len(t.outputs)} outputs")
        for k in range(len(out)):
            i = <uint32_t>t.outputs[k]
            av = &AVALS[t.aval[i]]
            array = <cnp.ndarray?>out[k]
            if array.dtype is not T.DTYPES[av.dtype] or (<object>array).shape != aval_shape(t.aval[i]) \
                    or not cnp.PyArray_IS_C_CONTIGUOUS(array) or not cnp.PyArray_ISWRITEABLE(array):
                raise ShapeError(f"Program.run: out[{k}] must be a writeable C-contiguous {T.DTYPES[av.dtype]} array "
                                 f"of shape {aval_shape(t.aval[i])}")
        for k in range(len(out)):
            i = <uint32_t>t.outputs[k]
            av = &AVALS[t.aval[i]]
            array = <cnp.ndarray>out[k]
            memcpy(cnp.PyArray_DATA(array), f.v[self.cell[i]].p if av.nd else <void *>&f.v[self.cell[i]],
                   av.size * fa_itemsize[av.dtype])
        return 0

    def stats(self):
        """Sizes in tier 0 and here: instructions, bytes of arrays; cells, and frames made so far (one a thread)."""
        return {"instructions_before": self.before[0], "instructions": self.n,
                "arena_bytes_before": self.before[1], "arena_bytes": self.nbytes,
                "cells": self.ncells - 1, "frames": self.frames_made}

    def __len__(self):
        return self.n
