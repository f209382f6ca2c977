"""_segments.pyx - a gradient cut into segments of the primal order, some of which run again on the way back.

Owns: parts of a tape as tapes of their own, and the executor: what each run of a part reads and writes, the walk
through a schedule of checkpoints.py.
Must not know: where a tape is cut and what crosses a cut (segments.py), derivative rules, what a budget is.
Each segment has up to five parts: FIRST (the primal instructions, their checks, what later segments need) and
FIRST_TAPE (with what its reverse part reads); AGAIN and AGAIN_TAPE, the same with no more than the reverse parts ask
for; BACK (derivative code).  Equal parts of different segments are one program: constants are among its inputs.
Next: segments.py, _program.pyx.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy
cimport numpy as cnp

import numpy as np

from fastad import _passes
from fastad import _tape as T
from fastad._program cimport Program, ProgramFrame
from fastad._spool cimport (
    Lease, Plan, fa_now, fa_spool, fa_spool_buffer, fa_spool_pass, finished_all, turn, WHOLE,
)
from fastad._tape cimport (
    AVALS, Tape, aval_shape, fa_aval, fa_cell, fa_code, fa_env, fa_itemsize, flags_to_report, report_flags, run_flat,
    FA_CAPTURE, FA_CONST, FA_INPUT, FA_OK,
)
from fastad._transform cimport Copier
from fastad.errors import ShapeError

cnp.import_array()

__all__ = ["Segments", "part"]

cdef extern from "_kernels/arena.h":
    void *fa_arena_new(size_t bytes) nogil
    void fa_arena_free(void *p, size_t bytes) nogil

cdef enum: FIRST, FIRST_TAPE, AGAIN, AGAIN_TAPE, BACK, KINDS
cdef enum: ADVANCE, SAVE, RESTORE, TAPE, REVERSE             # as in checkpoints.py
cdef enum: LEAF, STORE, RECORD                               # what an address counts from


def part(Tape tape, ids, inputs, outputs, bint derivative=False, active=()):
    """Some instructions of a tape as a tape; what they read from elsewhere is its input.

    Parameters
    ----------
    tape : Tape
    ids, inputs, outputs : sequence of int
        Values of the tape: the instructions in their order, what they read, what is wanted of them.
    derivative : bool, optional
        Is all of it derivative code?
    active : container of int, optional
        Inputs with derivatives.
    """
    cdef Copier c = Copier(tape)
    for at in inputs:
        c.map[<uint32_t>at] = c.target.emit_input(tape.aval[<uint32_t>at], at in active)
    if derivative:
        c.target.boundary = c.target.n
    for at in ids:
        c.copy(<uint32_t>at)
    c.target.set_outputs([c.map[<uint32_t>at] for at in outputs])
    c.copy_locations()
    return _passes.dead(_passes.cse(c.target.finish()))


# A value on its way in or out
ctypedef struct port:
    uint32_t cell
    uint8_t scalar
    uint8_t direct                       # of an output: the program may write it anywhere
    int64_t nbytes


# One program, and how values get in and out
ctypedef struct piece:
    fa_code code
    uint32_t boundary
    port *ins
    port *outs
    port *direct                         # `nbytes`: which output
    int nin, nout, ndirect


cdef class Piece:
    """Owns what a piece points to."""
    cdef Program program
    cdef piece p

    def __init__(self, Tape tape):
        cdef Program p = Program(tape, False)
        cdef int k
        self.program = p
        tape = p.tape
        self.p.code, self.p.boundary = p.code, p.boundary
        self.p.nin, self.p.nout, self.p.ndirect = <int>len(tape.inputs), <int>len(tape.outputs), <int>len(p.external)
        self.p.ins = <port *>calloc(self.p.nin + 1, sizeof(port))
        self.p.outs = <port *>calloc(self.p.nout + 1, sizeof(port))
        self.p.direct = <port *>calloc(self.p.ndirect + 1, sizeof(port))
        if self.p.ins == NULL or self.p.outs == NULL or self.p.direct == NULL:
            raise MemoryError("fastad: no memory to cut a tape")
        external = {k for k, _ in p.external}
        for k in range(self.p.nin):
            self.p.ins[k] = port_of(tape, p.cell[<uint32_t>tape.inputs[k]], tape.inputs[k], False)
        for k in range(self.p.nout):
            self.p.outs[k] = port_of(tape, p.cell[<uint32_t>tape.outputs[k]], tape.outputs[k], k in external)
        for k in range(self.p.ndirect):
            self.p.direct[k] = port(p.external[k][1], 0, 1, p.external[k][0])

    def __dealloc__(self):
        free(self.p.ins)
        free(self.p.outs)
        free(self.p.direct)


cdef void note(const int64_t *action, int64_t ns, int64_t *sums, int64_t *steps) noexcept nogil:
    """Add up the time of steps."""
    cdef int back = action[0] == REVERSE
    if back or action[0] == TAPE or action[0] == ADVANCE:
        sums[back] += ns
        steps[back] += action[2] - action[1]


cdef port port_of(Tape tape, uint32_t cell, uint32_t i, bint direct):
    cdef const fa_aval *av = &AVALS[tape.aval[i]]
    return port(cell, av.nd == 0, direct, av.size * fa_itemsize[av.dtype])


cdef class SegmentFrame:
    """Memory of one run."""
    cdef char *store
    cdef char *arena
    cdef size_t store_bytes, arena_bytes
    cdef const char **leaf
    cdef fa_cell **v
    cdef list frames, held
    cdef object cells

    def __dealloc__(self):
        fa_arena_free(self.store, self.store_bytes)
        fa_arena_free(self.arena, self.arena_bytes)
        free(self.leaf)
        free(self.v)


cdef class Segments:
    """A program of segments: called as a Program is.

    Parameters
    ----------
    tape : Tape
        The gradient; its outputs are handed out.
    tapes : list of Tape
        The different parts.
    units : ndarray of int64, shape (segments, KINDS, 5)
        For each part of a segment: which of `tapes` (-1: none), where its inputs, its outputs and its copies begin, and
        where these end.
    ports : ndarray of int64, shape (n, 2)
        Addresses of inputs and outputs: (LEAF, index), (STORE, byte), (RECORD, byte).
    copies : ndarray of int64, shape (n, 5)
        (from, to: addresses; bytes): after the program has run.
    leaves : sequence of int
        Inputs, constants and captured arrays of the tape: what LEAF addresses count.
    results : sequence of (int, int)
        Addresses of the outputs.
    plan : Plan
        Of all segments but the last, which is reversed at once, with its record at byte `tail` of the store.
    unit, room, tail, store : int
        Bytes: of a unit of the schedule's room; where it and the last record begin; of everything.
    states : ndarray of int64, shape (segments, 2)
        Byte of the state before each segment, and how many bytes of it are saved.
    spool : Spool, optional
        Files for one loop, this one, whose plan then counts.
    buffers : (int, int, int), optional
        For transfers to them: byte of the store, bytes of one, how many.
    """
    cdef readonly Tape tape
    cdef readonly object spool
    cdef readonly int64_t nbytes
    cdef public object report
    cdef list pieces, frames
    cdef piece **piece
    cdef tuple leaves, results
    cdef int64_t[:, :, ::1] units
    cdef int64_t[:, ::1] ports, copies, states
    cdef int64_t unit, room, tail, store
    cdef int64_t[3] buffers
    cdef Plan plan

    def __init__(self, Tape tape, tapes, units, ports, copies, leaves, results, Plan plan, int64_t unit, int64_t room,
                 int64_t tail, int64_t store, states, spool=None, buffers=(0, 0, 0)):
        self.tape, self.leaves, self.results, self.plan, self.spool = tape, tuple(leaves), tuple(results), plan, spool
        self.buffers = buffers
        cdef Py_ssize_t k
        self.pieces = [Piece(t) for t in tapes]
        self.piece = <piece **>calloc(len(self.pieces) + 1, sizeof(piece *))
        if self.piece == NULL:
            raise MemoryError("fastad: no memory to cut a tape")
        for k in range(len(self.pieces)):
            self.piece[k] = &(<Piece>self.pieces[k]).p
        self.frames = []
        self.units, self.ports, self.copies, self.states = units, ports, copies, states
        self.unit, self.room, self.tail, self.store = unit, room, tail, store
        self.nbytes = self.working_bytes()

    def __dealloc__(self):
        free(self.piece)

    @property
    def schedule(self):
        """That of the next sweep."""
        return (self.plan if self.spool is None else self.spool.chains[0].plan).schedule

    def working_bytes(self):
        """Memory of one sweep beside operands and results."""
        cdef list programs = [(<Piece>p).program for p in self.pieces]
        return self.store + max([p.nbytes for p in programs], default=0) + sum(
            [p.working_bytes() - p.nbytes for p in programs])

    def stats(self):
        """Sizes: segments, different parts, instructions in all of these, bytes."""
        return {"segments": self.units.shape[0], "parts": len(self.pieces),
                "instructions": sum([len((<Piece>p).program) for p in self.pieces]), "arena_bytes": self.nbytes}

    cdef SegmentFrame frame(self):
        cdef SegmentFrame f
        cdef ProgramFrame pf
        cdef Py_ssize_t k
        for p in self.pieces:
            (<Piece>p).program.works(self.units.shape[0] // len(self.pieces))
        if self.frames:
            return <SegmentFrame>self.frames.pop()
        f = SegmentFrame()
        f.store_bytes = self.store
        f.arena_bytes = max([(<Piece>p).program.nbytes for p in self.pieces], default=0)
        f.store, f.arena = <char *>fa_arena_new(f.store_bytes), <char *>fa_arena_new(f.arena_bytes)
        f.leaf = <const char **>calloc(len(self.leaves) + 1, sizeof(char *))
        f.v = <fa_cell **>calloc(len(self.pieces) + 1, sizeof(fa_cell *))
        if f.store == NULL or f.arena == NULL or f.leaf == NULL or f.v == NULL:
            raise MemoryError(f"fastad: no memory for a sweep ({self.nbytes / 1e6:.0f} MB)")
        f.frames = [(<Piece>p).program.frame_on(f.arena) for p in self.pieces]
        for k in range(len(self.pieces)):
            pf = f.frames[k]
            f.v[k] = pf.v
        return f

    def takes(self, Py_ssize_t k, out):
        """Does a sweep write result k into `out` itself?  It never does; who wants it there copies it."""
        return False

    def run(self, list values):
        """Forward and reverse sweep; fresh results."""
        cdef SegmentFrame f = self.frame()
        cdef int flags
        self.bind(f, values)
        if self.spool is None:
            flags = self.sweep(f, self.plan, None)
        else:
            lease, done = self.spool.take(), False
            try:
                flags = self.sweep(f, lease.plans[0], lease)
                done = True
            finally:
                self.spool.give(lease, done)
        if flags:
            report_flags(flags_to_report(self.tape, flags))
        results = [self.result(f, k) for k in range(len(self.results))]
        f.held = []
        self.frames.append(f)
        return results

    cdef int sweep(self, SegmentFrame f, Plan plan, Lease lease) except -1:
        """There and back; floating-point flags."""
        cdef fa_env env
        cdef fa_spool spool
        cdef int flags = 0, status
        cdef int64_t[2] failed
        cdef int64_t[2] ns
        cdef int64_t[2] steps
        failed[0] = failed[1] = ns[0] = ns[1] = steps[0] = steps[1] = 0
        spool.count = 0
        if lease is not None:
            lease.begin(&spool, plan, WHOLE, 0, f.store + self.buffers[0], self.buffers[1], self.buffers[2])
        env.where = 0
        with nogil:
            status = self.walk(f, plan, &spool, lease, &flags, failed, ns, steps, &env)
        if lease is not None:
            lease.end(&spool, 0, ns, steps, status == FA_OK)
        if status != FA_OK:              # the frame is given up: an error of Python's may be on its way already
            self.fail(status, failed[0], failed[1], &env)
        return flags

    cdef int fail(self, int status, int64_t kind, int64_t j, fa_env *env) except -1:
        cdef Program p = (<Piece>self.pieces[self.units[j, kind, 0]]).program
        env.where = p.where[env.where]
        p.tape.raise_status(status, env)
        return 0

    cdef int bind(self, SegmentFrame f, list values) except -1:
        """Pointers to inputs, constants and captured arrays: in place where their memory is as kernels want it."""
        cdef Tape t = self.tape
        cdef Py_ssize_t k
        cdef uint32_t i, a
        cdef cnp.ndarray array
        if len(values) != len(t.inputs):
            raise ShapeError(f"tape: got {len(values)} inputs, expected {len(t.inputs)}")
        f.held = []
        f.cells = np.zeros(len(self.leaves) + 1, dtype=np.int64)
        for k in range(len(self.leaves)):
            i = self.leaves[k]
            a = t.arg[2 * <size_t>i]
            if t.op[i] == FA_CONST and AVALS[t.aval[i]].nd == 0:
                memcpy(<char *>cnp.PyArray_DATA(f.cells) + 8 * k, &t.cells[a], 8)
                f.leaf[k] = <char *>cnp.PyArray_DATA(f.cells) + 8 * k
                continue
            value = values[a] if t.op[i] == FA_INPUT else t.captures[a] if t.op[i] == FA_CAPTURE else t.const_arrays[a]
            array = np.ascontiguousarray(value, dtype=T.DTYPES[AVALS[t.aval[i]].dtype])
            shape = aval_shape(t.aval[i])
            if np.shape(value) != shape:
                raise ShapeError(f"tape: input {k} has shape {np.shape(value)}, recorded was {shape}")
            if not cnp.PyArray_ISALIGNED(array):
                array = array.copy()
            if AVALS[t.aval[i]].nd:
                f.held.append(array)
                f.leaf[k] = <char *>cnp.PyArray_DATA(array)
            else:
                memcpy(<char *>cnp.PyArray_DATA(f.cells) + 8 * k, cnp.PyArray_DATA(array), cnp.PyArray_NBYTES(array))
                f.leaf[k] = <char *>cnp.PyArray_DATA(f.cells) + 8 * k
        return 0

    cdef object result(self, SegmentFrame f, Py_ssize_t k):
        cdef uint32_t i = self.tape.outputs[k]
        cdef int64_t base = self.results[k][0], offset = self.results[k][1]
        cdef const char *at = f.leaf[offset] if base == LEAF else f.store + offset
        cdef cnp.ndarray y = np.empty(aval_shape(self.tape.aval[i]), dtype=T.DTYPES[AVALS[self.tape.aval[i]].dtype])
        memcpy(cnp.PyArray_DATA(y), at, cnp.PyArray_NBYTES(y))
        return y[()]

    # -- the walk
    cdef int walk(self, SegmentFrame f, Plan plan, fa_spool *spool, Lease lease, int *flags, int64_t *failed,
                  int64_t *ns, int64_t *steps, fa_env *env) noexcept nogil:
        """All actions.  ns, steps: what they take forwards and back, where there is a disk."""
        cdef int64_t a, last = self.units.shape[0] - 1
        cdef int status = FA_OK
        cdef bint again = False, moves
        cdef int64_t start = 0
        cdef char *place
        if plan.actions.shape[0] == 0:
            return self.end(f, last, flags, failed, env)
        for a in range(plan.actions.shape[0]):
            if a == plan.first:
                again = True
                status = self.end(f, last, flags, failed, env)
                if status != FA_OK:
                    return status
            moves = plan.places[a] >= 0
            place = f.store + self.room + plan.actions[a, 3] * self.unit
            if moves:
                status = turn(spool, lease)
                if status != FA_OK:
                    return status
                place = fa_spool_buffer(spool)
            if spool.count:
                start = fa_now()
            status = self.act(f, &plan.actions[a, 0], again, moves, place, flags, failed, env)
            if status != FA_OK:
                return status
            if spool.count:
                note(&plan.actions[a, 0], fa_now() - start, ns, steps)
            if moves:
                fa_spool_pass(spool)
        return finished_all(spool, lease) if spool.count else FA_OK

    cdef int act(self, SegmentFrame f, const int64_t *action, bint again, bint moves, char *place, int *flags,
                 int64_t *failed, fa_env *env) noexcept nogil:
        """One action, with what it saves, restores, tapes or reverses at `place`."""
        cdef int64_t i = action[1], j
        cdef int status = FA_OK
        if action[0] == SAVE:
            memcpy(place, f.store + self.states[i, 0], self.states[i, 1])
        elif action[0] == RESTORE:
            if action[3] >= 0 or moves:
                memcpy(f.store + self.states[i, 0], place, self.states[i, 1])
        elif action[0] == ADVANCE:
            for j in range(i, action[2]):
                status = self.one(f, AGAIN if again else FIRST, j, NULL, flags, failed, env)
                if status != FA_OK:
                    return status
        elif action[0] == TAPE:
            return self.one(f, AGAIN_TAPE if again else FIRST_TAPE, i, place, flags, failed, env)
        else:
            return self.one(f, BACK, i, place, flags, failed, env)
        return status

    cdef int end(self, SegmentFrame f, int64_t last, int *flags, int64_t *failed, fa_env *env) noexcept nogil:
        """The last segment, there and back."""
        cdef int status = self.one(f, FIRST_TAPE, last, f.store + self.tail, flags, failed, env)
        return status if status != FA_OK else self.one(f, BACK, last, f.store + self.tail, flags, failed, env)

    cdef char *at(self, SegmentFrame f, int64_t base, int64_t offset, char *record) noexcept nogil:
        return <char *>f.leaf[offset] if base == LEAF else (f.store if base == STORE else record) + offset

    cdef int one(self, SegmentFrame f, int64_t kind, int64_t j, char *record, int *flags, int64_t *failed,
                 fa_env *env) noexcept nogil:
        """One part of a segment."""
        cdef int64_t k, n = self.units[j, kind, 0]
        cdef int64_t *c
        cdef int status
        if n >= 0:
            failed[0], failed[1] = kind, j
            status = self.run_piece(f, n, self.units[j, kind, 1], self.units[j, kind, 2], record, env)
            if status != FA_OK:
                return status
            flags[0] |= env.flags
        for k in range(self.units[j, kind, 3], self.units[j, kind, 4]):
            c = &self.copies[k, 0]
            memcpy(self.at(f, c[2], c[3], record), self.at(f, c[0], c[1], record), c[4])
        return FA_OK

    cdef int run_piece(self, SegmentFrame f, int64_t n, int64_t first_in, int64_t first_out, char *record,
                       fa_env *env) noexcept nogil:
        cdef piece *p = self.piece[n]
        cdef fa_code code = p.code
        cdef fa_cell *v = f.v[n]
        cdef int64_t *to
        cdef char *at
        cdef int k, status
        for k in range(p.nin):
            at = self.at(f, self.ports[first_in + k, 0], self.ports[first_in + k, 1], record)
            if p.ins[k].scalar:
                memcpy(&v[p.ins[k].cell], at, 8)
            else:
                v[p.ins[k].cell].p = at
        for k in range(p.ndirect):
            to = &self.ports[first_out + p.direct[k].nbytes, 0]
            v[p.direct[k].cell].p = self.at(f, to[0], to[1], record)
        status = run_flat(&code, p.boundary, v, env)
        if status != FA_OK:
            return status
        for k in range(p.nout):
            at = self.at(f, self.ports[first_out + k, 0], self.ports[first_out + k, 1], record)
            if p.outs[k].scalar:
                memcpy(at, &v[p.outs[k].cell], 8)
            elif not p.outs[k].direct:
                memcpy(at, v[p.outs[k].cell].p, p.outs[k].nbytes)
        return FA_OK
