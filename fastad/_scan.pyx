"""_scan.pyx - a time loop as one instruction: its body is a program that runs n times, without the GIL.

Owns: `Scan`, the attribute of such an instruction (body, where its inputs come from, where its results go), and the
executor: which memory each step reads and writes.
Must not know: how a body is recorded (loops.py), its derivatives (scan_rules.py): those are scans again.
Every value that leaves or crosses a step is float64.  All results are parts of one vector (`Scan.final`, `stacked`,
`kept`), so that the instruction has one result.
A step writes its results where they will stay: the state of step t + 1 into its place in the record of states where
one is kept, else into one of three buffers; a state that is not kept may be overwritten while it is used up.  A state
that only changes its name (u0, u1 = u1, u2) moves by pointer, and its memory is read for one step more: hence three.
A loop over numbers alone runs several steps at once (_burst.pxi); the few that are left over run as all others do.
Next: loops.py, scan_rules.py, _program.pyx (the body), _call.pxi (other instructions with code of their own).
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec
cimport cython
cimport numpy as cnp

import os

import numpy as np

from fastad import _tape as T
from fastad._program cimport Program, ProgramFrame
from fastad._tape cimport (
    AVALS, Attr, Tape, aval_id, aval_shape, fa_aval, fa_burst, fa_call, fa_cell, fa_code, fa_column, fa_env,
    fa_itemsize, fa_native_fn, fa_stream, foreign_fn, foreign_jvp, foreign_vjp, raise_flags,
    run_bursts, run_flat, run_native, FA_CAPTURE, FA_F64, FA_OK, FA_RUN,
)
from fastad._spool cimport (
    Lease, Plan, fa_now, fa_spool, fa_spool_buffer, fa_spool_pass, finished_all, lease_of_this_thread, turn, FIRST_RUN,
    WAY_BACK,
)
from fastad._transform cimport Copier
from fastad.errors import InternalError

cnp.import_array()

__all__ = ["CheckpointedAdjoint", "CheckpointedScan", "Scan", "Walk", "active_values", "native_loops",
           "native_mode", "without_captures"]

cdef enum: MANY = 1 << 17                # numbers that a cache does not keep from one sweep to the next
cdef enum: LINE = 8                      # float64 numbers in a cache line

cdef extern from "_kernels/arena.h":
    void *fa_arena_new(size_t bytes) nogil
    void fa_arena_free(void *p, size_t bytes) nogil

# An input of the body: its cell, and where step t reads it
ctypedef struct source:
    uint32_t cell
    int operand                          # -1: zeros (of a carry)
    int64_t offset, stride               # bytes; stride 0: the same at every step
    int64_t nbytes
    uint8_t dtype
    uint8_t scalar

# A result of the body: its cell, and where step t writes it
ctypedef struct target:
    uint32_t cell
    int64_t offset                       # of the final state, or of the first of the stacked ones: bytes
    int64_t kept                         # of the first of the kept states, -1: none
    int64_t nbytes, stride
    int64_t room                         # of its buffers in the frame, and of one of them
    int64_t buffer
    uint8_t scalar
    uint8_t direct                       # the body's program may write it anywhere
    uint8_t recorded                     # it belongs to the record of a step, and `offset` counts from there
    int renamed                          # the carry whose present state this one will be, -1: none
    int turns                            # buffers that its states take in turn

# Where a pointer of machine code begins
ctypedef struct base_place:
    int operand                          # -1: the result
    int64_t offset, stride               # bytes

# A cell of the program whose memory is that of a result, or of a carry
ctypedef struct outside:
    int k
    uint32_t cell


@cython.final
cdef class ScanFrame:
    """Memory of one run: the body's frame, three buffers a carry, where each carry is at present."""
    cdef ProgramFrame f
    cdef ProgramFrame piece              # of the loop in pieces, if it is run so
    cdef char *room
    cdef size_t room_bytes
    cdef char **now
    cdef char **then
    cdef Native native                   # machine code of the loop, if it is run so, its state and its pointers
    cdef double *state
    cdef char **bases

    def __dealloc__(self):
        fa_arena_free(self.room, self.room_bytes)
        free(self.state)
        free(self.bases)
        free(self.now)
        free(self.then)


cdef int64_t lines(int64_t size) noexcept:
    """Room for an array of float64 that does not touch its neighbour, in numbers."""
    return (size + LINE) // LINE * LINE


@cython.final
cdef class Scan(Attr):
    """A body that runs `length` times.

    Parameters
    ----------
    name : str
    body : Tape
        Inputs: the carries, the slices, the fixed ones.  Outputs: the carries of the next step, the stacked ones.
        Carries and outputs are float64.
    ncarry, nslice : int
    length : int
        At least 1.
    reverse : bool
        From the last slice to the first.
    sources : sequence of (int, int, int)
        For each input of the body: operand (-1: zeros), offset and stride in numbers (carries and fixed ones: 0).
    avals : sequence of int
        Abstract values of the operands.
    records : sequence of (sequence of int, int)
        What is part of the result behind all else, for adjoints to read: carries whose state at the beginning of each
        step is kept, and how many of the outputs belong to the same record, the last ones of the body.  Without the
        records, or without the last of them, the result is the first part of this one.
    """
    cdef fa_call c
    cdef readonly str name
    cdef readonly Tape body
    cdef readonly int ncarry, nslice, nstack, late       # late: outputs that belong to records
    cdef readonly int64_t length, total
    cdef readonly bint reverse
    cdef readonly tuple sources, avals, records
    cdef readonly tuple final            # places in the result: (offset, shape) a carry
    cdef readonly tuple stacked          # (offset, shape, numbers from step to step) an output
    cdef readonly tuple numbers          # (offset, carries, outputs) of each record: its numbers lie side by side
    cdef readonly dict kept              # kept carry -> (offset, stride)
    cdef readonly dict derived           # what scan_rules.py has made from this one
    cdef readonly dict recorded          # output -> its place in the record of a step, which the caller hands in
    cdef Program program
    cdef Piece piece
    cdef Native native
    cdef int decision                    # between the machine and machine code
    cdef double spent, next_look         # seconds that it has run undecided, and after which someone is asked
    cdef readonly str why_not            # it is no machine code
    cdef source *ins
    cdef target *outs
    cdef outside *direct
    cdef outside *on_carries
    cdef int ndirect, nover
    cdef list frames
    cdef int64_t room_bytes
    cdef int ninputs

    def __init__(self, str name, Tape body, int ncarry, int nslice, int64_t length, bint reverse, sources, avals,
                 records=()):
        self.kind = "scan"
        self.name, self.body, self.ncarry, self.nslice = name, body, ncarry, nslice
        self.length, self.reverse = length, reverse
        self.sources, self.avals = tuple(sources), tuple(avals)
        self.records = tuple([(tuple(kept), late) for kept, late in records])
        self.late = sum([late for _, late in self.records])
        self.derived, self.frames, self.kept, self.recorded = {}, [], {}, {}
        self.nstack = len(body.outputs) - ncarry
        if len(self.sources) != len(body.inputs) or length < 1:
            raise InternalError(f"scan of {length} steps: {len(self.sources)} sources, {len(body.inputs)} inputs")
        self.lay_out([aval_shape(body.aval[<uint32_t>i]) for i in body.outputs],
                     [AVALS[body.aval[<uint32_t>i]].size for i in body.outputs])
        self.c.self = <void *>self
        self.c.fn = <foreign_fn>scan_value
        self.c.jvp = <foreign_jvp>scan_tangent
        self.c.vjp = <foreign_vjp>scan_adjoint
        self.ptr = &self.c
        self.key = ("call", id(self))

    cdef int lay_out(self, list shapes, list sizes) except -1:
        """The places of the results: what is stacked lies as NumPy stacks it, but for the numbers of a record."""
        cdef int64_t at = 0, k
        cdef list final = [], stacked = [], numbers = []
        for k in range(len(shapes) - self.late):
            (final.append((at, shapes[k])) if k < self.ncarry else stacked.append((at, shapes[k], sizes[k])))
            at += lines(sizes[k] if k < self.ncarry else sizes[k] * self.length)
        k = len(shapes) - self.late
        for kept, late in self.records:
            beside = [j for j in (*kept, *range(k, k + late)) if not shapes[j]]
            side = {j: (at + n, len(beside)) for n, j in enumerate(beside)}
            numbers.append((at, tuple([j for j in kept if j in side]),
                            tuple([j for j in range(k, k + late) if j in side])))
            at += lines(len(beside) * self.length) if beside else 0
            for j in kept:
                self.kept[j] = side.get(j, (at, lines(sizes[j])))
                at += 0 if j in side else lines(lines(sizes[j]) * self.length)
            for j in range(k, k + late):
                offset, stride = side.get(j, (at, sizes[j]))
                stacked.append((offset, shapes[j], stride))
                at += 0 if j in side else lines(sizes[j] * self.length)
            k += late
        self.final, self.stacked, self.numbers, self.total = tuple(final), tuple(stacked), tuple(numbers), at
        return 0

    def __dealloc__(self):
        free(self.ins)
        free(self.outs)
        free(self.direct)
        free(self.on_carries)

    def fields(self):
        return (self.name, self.length)

    @property
    def nbytes(self):
        """About the memory of this attribute: its body's."""
        return 1000 + self.body.nbytes

    def emit_tangent(self, b, site):
        """Write the tangent of this instruction into a derivative tape."""
        from fastad import scan_rules
        return scan_rules.emit_tangent(b, site)

    def emit_adjoint(self, r, site):
        """Write the adjoint of this instruction into a derivative tape."""
        from fastad import scan_rules
        return scan_rules.emit_adjoint(r, site)

    def emit_batch(self, b, site):
        """Write this instruction for many lanes."""
        from fastad import scan_lanes
        return scan_lanes.emit_batch(b, site)

    def for_adjoint(self, active):
        """The scan that keeps what the adjoint of this one needs."""
        from fastad import scan_rules
        return scan_rules.for_adjoint(self, active)

    def aval(self):
        """Abstract value of the result."""
        return aval_id(FA_F64, (self.total,))

    def derivative(self, str mode, active):
        """Program of the tangent ("jvp") or adjoint ("vjp") of this instruction alone.

        It computes the instruction again: floating-point errors of that are the forward sweep's, which has reported
        them, or not, as the function around says.
        """
        from fastad import _transform
        found = self.derived.get((mode, active))
        if found is None:
            tape = Tape()
            ids = [tape.emit_input(aval, moves) for aval, moves in zip(self.avals, active, strict=True)]
            tape.set_outputs([tape.emit("call", ids, self.aval(), self)])
            tape.finish()
            made = getattr(_transform, mode)(tape)
            made.set_outputs(made.outputs[1:])
            made.ignored = frozenset(("divide", "over", "invalid", "under"))
            found = self.derived[mode, active] = Program(made)
        return found

    def working_bytes(self):
        """Memory of one run beside operands and result: (that of the body's program, that of the state)."""
        if self.program is None:
            self.prepare()
        return self.program.working_bytes() + (0 if self.piece is None else self.piece.program.working_bytes()), \
            self.room_bytes

    def steps_at_once(self):
        """Steps that are one straight piece of packed code; 0 where this is no loop over numbers alone."""
        if self.program is None:
            self.prepare()
        return 0 if self.piece is None else self.piece.b.steps

    def record_together(self, carries, outputs, int64_t span):
        """Before it is run: these numbers, carries before a step and outputs, are the record of a step that the caller
        hands in, in this order, and some `span` steps run at a time."""
        self.numbers = ((0, tuple(carries), tuple(outputs)),) if carries or outputs else ()
        self.derived["span"] = span

    def native_seconds(self):
        """Seconds that it took to compile the loop to machine code; None: it is not compiled."""
        return None if self.native is None else self.native.code.seconds

    # -- made ready
    cdef int prepare(self) except -1:
        """The program of the body, and for each of its inputs and outputs where a step finds it."""
        given = [k for k in range(self.ncarry) if k not in self.kept and k not in self.recorded]
        cdef Program p = Program(self.body, True, given, far=self.far())
        cdef Tape t = p.tape
        cdef uint32_t i
        cdef const fa_aval *av
        cdef dict inputs = {t.inputs[k]: k for k in range(self.ncarry)}
        cdef set direct = {k for k, _ in p.external}, overwritten = {k for k, _ in p.on_inputs}
        cdef int k
        self.ins = <source *>calloc(len(t.inputs) + 1, sizeof(source))
        self.outs = <target *>calloc(len(t.outputs) + 1, sizeof(target))
        self.direct = <outside *>calloc(len(p.external) + 1, sizeof(outside))
        self.on_carries = <outside *>calloc(len(p.on_inputs) + 1, sizeof(outside))
        if self.ins == NULL or self.outs == NULL or self.direct == NULL or self.on_carries == NULL:
            raise MemoryError("fastad: no memory to prepare a scan")
        self.nover = <int>len(p.on_inputs)
        for k in range(self.nover):
            self.on_carries[k] = outside(p.on_inputs[k][0], p.on_inputs[k][1])
        self.ndirect = <int>len(p.external)
        for k in range(self.ndirect):
            self.direct[k] = outside(p.external[k][0], p.external[k][1])
        for k in range(len(t.inputs)):
            i = t.inputs[k]
            av = &AVALS[t.aval[i]]
            operand, offset, stride = self.sources[k]
            item = fa_itemsize[av.dtype]
            self.ins[k] = source(p.cell[i], operand, offset * item, stride * item, av.size * item, av.dtype, av.nd == 0)
        for k in range(len(t.outputs)):
            i = t.outputs[k]
            av = &AVALS[t.aval[i]]
            at = (self.final[k] if k < self.ncarry else self.stacked[k - self.ncarry])[0]
            kept, stride = self.kept.get(k, (-1, 0)) if k < self.ncarry else (-1, self.stacked[k - self.ncarry][2])
            if k in self.recorded:
                at, stride = self.recorded[k], 0
            self.outs[k] = target(p.cell[i], 8 * at, -1 if kept < 0 else 8 * kept, 8 * av.size, 8 * stride,
                                  self.room_bytes, 8 * lines(av.size), av.nd == 0, k in direct, k in self.recorded,
                                  self.renaming(k, i, inputs, direct, overwritten), 2)
            self.room_bytes += 3 * self.outs[k].buffer if k < self.ncarry else 0
        for k in range(self.ncarry):     # what changes its name is read for one step more
            if self.outs[k].renamed >= 0:
                self.outs[k].turns = self.outs[self.outs[k].renamed].turns = 3
        for k in given:                  # written over the present state, element by element
            if p.cell[t.inputs[k]] == p.cell[t.outputs[k]]:
                self.outs[k].renamed = k
        self.ninputs = len(t.inputs)
        self.program = p
        self.piece = piece_of(self) if not self.recorded or self.numbers else None
        self.next_look = FIRST_LOOK
        if self.recorded or not all([self.outs[k].scalar for k in range(len(t.outputs))]):
            self.decision, self.why_not = DECIDED, "its results are not numbers alone"
        return 0

    cdef list far(self):
        """Inputs, and ~outputs, of the body that are one of many in a record too large for a cache."""
        strides = [stride for _, _, stride in self.sources]
        out = [self.kept.get(k, (0, 0))[1] for k in range(self.ncarry)] + [stride for _, _, stride in self.stacked]
        return [k for k, stride in enumerate(strides) if stride * self.length > MANY] \
            + [~k for k, stride in enumerate(out) if stride * self.length > MANY]

    cdef int renaming(self, int k, uint32_t i, dict inputs, set direct, set overwritten) except -2:
        """The carry whose array becomes that of carry k.  One that is renamed itself would be overwritten too early;
        one that is kept must not become the memory of a carry on top of which the body writes."""
        j = inputs.get(i, -1)
        if k >= self.ncarry or j < 0 or self.ins[k].scalar or k in self.kept or j not in direct:
            return -1
        if k in overwritten and (j in self.kept or j in self.recorded):
            return -1
        return j

    cdef ScanFrame frame(self):
        if self.program is None:
            self.prepare()
        if self.piece is None:
            self.program.works(self.length)
        else:
            self.piece.program.works(self.length // self.piece.b.steps)
        return <ScanFrame>self.frames.pop() if self.frames else self.new_frame(self.program.frame())

    cdef ScanFrame new_frame(self, ProgramFrame f):
        cdef ScanFrame frame = ScanFrame()
        frame.f = f
        if self.piece is not None:
            frame.piece = self.piece.program.frame()
        frame.room = <char *>fa_arena_new(self.room_bytes + 64)      # states begin with a cache line
        frame.room_bytes = self.room_bytes + 64
        frame.now = <char **>calloc(self.ncarry + 1, sizeof(char *))
        frame.then = <char **>calloc(self.ncarry + 1, sizeof(char *))
        if frame.room == NULL or frame.now == NULL or frame.then == NULL:
            raise MemoryError("fastad: no memory for the state of a scan")
        return frame

    # -- the loop
    cdef char *place(self, ScanFrame frame, int k, int64_t step, char *out) noexcept nogil:
        """Where the state of carry k at the beginning of step `step` is written (`length`: after the last)."""
        cdef target *to = &self.outs[k]
        if step == self.length:
            return out + to.offset
        if to.kept >= 0:
            return out + to.kept + self.slot(step) * to.stride
        return frame.room + to.room + (step % to.turns) * to.buffer

    cdef int64_t slot(self, int64_t step) noexcept nogil:
        return self.length - 1 - step if self.reverse else step

    cdef int steps(self, ScanFrame frame, int64_t begin, int64_t end, const char *const *x, char *out,
                   fa_env *env) noexcept nogil:
        """Steps [begin, end) from the state that is at hand."""
        cdef int64_t step
        cdef int status = FA_OK, flags = 0
        if frame.native is not None:
            return frame.native.run(self, frame, begin, end, x, out, env)
        if self.piece is not None:
            status = self.pieces(frame.piece.v, frame, &begin, end, x, out, out, env)
            flags = env.flags
        for step in range(begin, end):
            if status != FA_OK:
                return status
            status = self.one_step(frame.f.v, frame, step, step == begin, x, out, NULL, env)
            flags |= env.flags
        env.flags = flags
        return status

    cdef int pieces(self, fa_cell *v, ScanFrame frame, int64_t *begin, int64_t end, const char *const *x, char *out,
                    char *kept, fa_env *env) noexcept nogil:
        """As many steps as make whole pieces; `begin` is where the rest begins.  kept: where records count from."""
        cdef const fa_burst *b = &self.piece.b
        cdef int64_t runs = (end - begin[0]) // b.steps, place
        cdef int k, first = self.ncarry + self.nslice, status
        cdef char *to
        env.flags = env.where = 0
        if runs == 0:
            return FA_OK
        for k in range(self.ncarry):
            memcpy(&v[b.state[k]], frame.now[k], 8)
        for k in range(first, self.ninputs):
            self.set_input(k, &v[self.piece.fixed[k - first]], x[self.ins[k].operand] + self.ins[k].offset)
        place = self.slot(begin[0] + b.steps - 1) if self.reverse else begin[0]
        status = run_bursts(b, v, place, runs, x, out, kept, env)
        begin[0] += runs * b.steps
        for k in range(self.ncarry):
            to = self.place(frame, k, begin[0], out)
            memcpy(to, &v[b.state[k]], 8)
            frame.now[k] = to
        return status

    cdef void set_input(self, int k, fa_cell *cell, const char *at) noexcept nogil:
        if not self.ins[k].scalar:
            cell.p = <void *>at
        elif self.ins[k].dtype == FA_F64:
            memcpy(cell, at, 8)
        else:
            cell.i = 0
            memcpy(cell, at, self.ins[k].nbytes)

    cdef void begin(self, ScanFrame frame, const char *const *x, char *out) noexcept nogil:
        """The state before the first step."""
        cdef int k
        cdef char *to
        for k in range(self.ncarry):
            to = self.place(frame, k, 0, out)
            if self.ins[k].operand < 0:
                memset(to, 0, self.ins[k].nbytes)
            else:
                memcpy(to, x[self.ins[k].operand] + self.ins[k].offset, self.ins[k].nbytes)
            frame.now[k] = to

    cdef int one_step(self, fa_cell *v, ScanFrame frame, int64_t step, bint anew, const char *const *x, char *out,
                      char *record, fa_env *env) noexcept nogil:
        """Step `step`.  anew: `v` has not been used with these operands, so that fixed inputs are to be set, too."""
        cdef fa_code code = self.program.code
        cdef int64_t t = self.slot(step)
        cdef int k, n = self.ncarry + self.nstack
        cdef int status
        cdef char *at
        cdef source *s
        for k in range(self.ninputs if anew else self.ncarry + self.nslice):
            s = &self.ins[k]
            at = frame.now[k] if k < self.ncarry else <char *>x[s.operand] + s.offset + t * s.stride
            self.set_input(k, &v[s.cell], at)
        for k in range(self.nover):
            v[self.on_carries[k].cell].p = frame.now[self.on_carries[k].k]
        for k in range(self.ncarry):
            frame.then[k] = self.place(frame, k, step + 1, out)
        for k in range(self.ndirect):
            v[self.direct[k].cell].p = self.destination(frame, self.direct[k].k, t, out, record)
        status = run_flat(&code, self.program.boundary, v, env)
        if status != FA_OK:
            return status
        for k in range(n):
            self.settle(frame, k, step, v, self.destination(frame, k, t, out, record))
        for k in range(self.ncarry):
            frame.now[k] = frame.then[k]
        return FA_OK

    cdef char *destination(self, ScanFrame frame, int k, int64_t t, char *out, char *record) noexcept nogil:
        if self.outs[k].recorded:
            return record + self.outs[k].offset
        return frame.then[k] if k < self.ncarry else out + self.outs[k].offset + t * self.outs[k].stride

    cdef void settle(self, ScanFrame frame, int k, int64_t step, fa_cell *v, char *at) noexcept nogil:
        """Bring a result that the program did not write there to its place."""
        cdef target *to = &self.outs[k]
        if to.scalar:
            memcpy(at, &v[to.cell], 8)
        elif to.renamed >= 0 and step + 1 < self.length:
            frame.then[k] = frame.now[to.renamed]
        elif not to.direct:
            memcpy(at, v[to.cell].p, to.nbytes)


include "_burst.pxi"
include "_native.pxi"
include "_scan_budget.pxi"


# ---- what the sweeps call -------------------------------------------------------------------------------------------
cdef int scan_value(void *self, int n, const char *const *x, char *out) except -1 with gil:
    cdef Scan scan = <Scan>self
    cdef ScanFrame frame = scan.frame()
    cdef fa_env env
    cdef int status = run_and_decide(scan, frame, x, out, &env)
    if status != FA_OK:                  # the frame is given up: an error of Python's may be on its way already
        env.where = scan.program.where[env.where]
        scan.program.tape.raise_status(status, &env)
        return -1
    raise_flags(env.flags)               # the sweep around reports them
    scan.frames.append(frame)
    return 0


cdef int scan_tangent(void *self, int n, const char *const *x, const char *y, const char *const *tin,
                      char *tout) except -1 with gil:
    """Tier 0: by the tangent tape of this one instruction, compiled."""
    cdef Scan scan = <Scan>self
    cdef int k
    active = tuple([tin[k] != NULL for k in range(n)])
    values = [array_at(x[k], scan.avals[k]) for k in range(n)]
    values += [array_at(tin[k], scan.avals[k]) for k in range(n) if tin[k] != NULL]
    array_at(tout, scan.aval())[...] = scan.derivative("jvp", active).run(values)[0]
    return 0


cdef int scan_adjoint(void *self, int n, const char *const *x, const char *y, const char *w,
                      char *const *adj) except -1 with gil:
    """Tier 0: by the adjoint tape of this one instruction, compiled."""
    cdef Scan scan = <Scan>self
    cdef int k
    active = tuple([adj[k] != NULL for k in range(n)])
    values = [array_at(x[k], scan.avals[k]) for k in range(n)] + [array_at(w, scan.aval())]
    bars = iter(scan.derivative("vjp", active).run(values))
    for k in range(n):
        if adj[k] != NULL:
            array = array_at(adj[k], scan.avals[k])
            array += next(bars)
    return 0


cdef object array_at(const char *data, uint32_t aval):
    """The memory of a value as an ndarray."""
    cdef const fa_aval *av = &AVALS[aval]
    cdef cnp.npy_intp[64] dims
    cdef int d
    for d in range(av.nd):
        dims[d] = av.shape[d]
    return cnp.PyArray_SimpleNewFromData(av.nd, dims, T.DTYPES[av.dtype].num, <void *>data)


# ---- tapes as bodies ------------------------------------------------------------------------------------------------
def without_captures(Tape tape):
    """(the tape with inputs, the last ones, in place of captured arrays; these arrays)."""
    cdef Copier c = Copier(tape)
    cdef uint32_t i
    cdef list arrays = []
    c.copy_inputs()
    for at in tape.capture_ids:
        i = at
        if tape.op[i] == FA_CAPTURE:
            arrays.append(tape.captures[tape.arg[2 * <size_t>i]])
            c.map[i] = c.target.emit_input(tape.aval[i], False)
    for i in range(1, tape.n):
        c.copy(i)
    c.copy_outputs()
    c.copy_locations()
    return c.target.finish(), arrays


def active_values(Tape tape, ids):
    """Which of these values depend on an active input?"""
    return [bool(tape.is_active(<uint32_t>i)) for i in ids]
