"""_scan_budget.pxi - a time loop of which not everything is kept that its adjoint reads (included in _scan.pyx).

Owns: the walk through a schedule of checkpoints.py: the first run, which leaves states and tapes of some steps in a room
at the end of its result, and the way back, which runs steps again from there, and uses the room again and again.
Must not know: which schedule is best (checkpoints.py), what the bodies compute (scan_rules.py, scan_checkpoints.py).
A step of the schedule is a group of `group` steps of the loop; the tapes of its steps lie one behind the other.
The bits are those of a loop that keeps everything: the same kernels run on the same numbers.
Next: scan_checkpoints.py.
"""

cdef enum: ADVANCE, SAVE, RESTORE, TAPE, REVERSE             # as in checkpoints.py
cdef enum: WITH_W_AND_KEPT = 2                               # operands of an adjoint that stand before the loop's own


cdef class Walk:
    """What the first run and the way back have in common.

    Parameters
    ----------
    value, taping : Scan
        The loop, and the loop whose steps also write what their adjoint reads into a record.
    advance, taping_again : Scan
        The same without what only the first run has to compute: stacked results, guards.
    back : Scan
        The adjoint; operand 1 is the record of its step.
    kept : sequence of (int, int)
        Carries whose state before a step is in its record, and where (in numbers).
    record : int
        Numbers that a record takes.
    schedule : Schedule
    unit, group : int
        Bytes of a unit of the room; steps of the loop in a step of the schedule.
    room : int
        Bytes, a multiple of a cache line.
    """
    cdef readonly Scan value, taping, advance, taping_again, back
    cdef readonly tuple kept
    cdef readonly object schedule
    cdef readonly int64_t room, group
    cdef int64_t[:, ::1] actions
    cdef int64_t unit, record_bytes, first
    cdef int64_t[:, ::1] places          # of kept carries: (carry, bytes)

    def __init__(self, Scan value, Scan taping, Scan advance, Scan taping_again, Scan back, kept, int64_t record,
                 schedule, int64_t unit, int64_t group, int64_t room):
        self.value, self.taping, self.advance, self.taping_again, self.back = value, taping, advance, taping_again, back
        self.kept, self.schedule, self.unit, self.group, self.room = tuple(kept), schedule, unit, group, room
        self.record_bytes, self.first, self.actions = 8 * record, schedule.first, schedule.actions.copy()
        self.places = np.array([(k, 8 * at) for k, at in self.kept], dtype=np.int64).reshape(-1, 2)
        self.agree()

    cdef int agree(self) except -1:
        """A carry that only changes its name does so in every body, or in none: how long its memory is read."""
        cdef int k
        scans = (self.value, self.taping, self.advance, self.taping_again)
        for one in scans:
            if (<Scan>one).program is None:
                (<Scan>one).prepare()
        for k in range(self.value.ncarry):
            if len({(<Scan>one).outs[k].renamed for one in scans}) > 1:
                for one in scans:
                    (<Scan>one).outs[k].renamed = -1
        return 0

    cdef int go(self, Scan value, Scan taping, int64_t begin, int64_t end, Walker w, const char *const *x, char *out,
                char *room, fa_env *env) noexcept nogil:
        """Actions [begin, end), with these bodies."""
        cdef int64_t a, s, n = value.length
        cdef int status = FA_OK, flags = 0
        cdef char *record
        for a in range(begin, end):
            w.running = ADVANCE
            if self.actions[a, 0] == SAVE or self.actions[a, 0] == RESTORE:
                self.copy_state(self.actions[a, 0] == SAVE, w, self.actions[a, 1], self.actions[a, 3], x, room)
            elif self.actions[a, 0] == ADVANCE:
                for s in range(self.actions[a, 1] * self.group, min(self.actions[a, 2] * self.group, n)):
                    status = value.one_step(w.advance.v, w.state, s, x, out, NULL, env)
                    if status != FA_OK:
                        return status
                    flags |= env.flags
            elif self.actions[a, 0] == TAPE:
                w.running = TAPE
                for s in range(self.actions[a, 1] * self.group, min(self.actions[a, 2] * self.group, n)):
                    record = self.record(room, a, s)
                    self.keep_carries(w, record)
                    status = taping.one_step(w.taping.v, w.state, s, x, out, record, env)
                    if status != FA_OK:
                        return status
                    flags |= env.flags
            else:
                w.running = REVERSE
                for s in range(min(self.actions[a, 2] * self.group, n) - 1, self.actions[a, 1] * self.group - 1, -1):
                    w.back_x[1] = self.record(room, a, s)
                    status = self.back.one_step(w.back.f.v, w.back, n - 1 - s, w.back_x, w.back_out, NULL, env)
                    if status != FA_OK:
                        return status
                    flags |= env.flags
        env.flags = flags
        return FA_OK

    cdef char *record(self, char *room, int64_t a, int64_t s) noexcept nogil:
        return room + self.actions[a, 3] * self.unit + (s - self.actions[a, 1] * self.group) * self.record_bytes

    cdef void keep_carries(self, Walker w, char *record) noexcept nogil:
        cdef int64_t j, k
        for j in range(self.places.shape[0]):
            k = self.places[j, 0]
            memcpy(record + self.places[j, 1], w.state.now[k], self.value.outs[k].nbytes)

    cdef void copy_state(self, bint save, Walker w, int64_t i, int64_t at, const char *const *x,
                         char *room) noexcept nogil:
        cdef int k
        cdef char *there = room + at * self.unit
        if at < 0:
            self.value.begin(w.state, x, NULL)
            return
        for k in range(self.value.ncarry):
            if save:
                memcpy(there, w.state.now[k], self.value.outs[k].nbytes)
            else:
                w.state.now[k] = self.advance.place(w.state, k, i * self.group, NULL)
                memcpy(w.state.now[k], there, self.value.outs[k].nbytes)
            there += 8 if self.value.outs[k].scalar else self.value.outs[k].buffer


cdef class Walker:
    """Memory of one walk."""
    cdef ScanFrame state, back
    cdef ProgramFrame advance, taping
    cdef const char **back_x
    cdef char *back_out
    cdef int running                     # the kind of body that has failed, if one has


cdef class CheckpointedScan(Attr):
    """A loop that keeps states and tapes of some of its steps for its adjoint, behind its own result."""
    cdef fa_call c
    cdef readonly Walk walk
    cdef readonly int64_t total

    def __init__(self, Walk walk):
        self.kind = "call"
        self.walk, self.total = walk, walk.value.total + walk.room // 8
        self.c.self = <void *>self
        self.c.fn = <foreign_fn>checkpointed_value
        self.ptr = &self.c
        self.key = ("call", id(self))

    def aval(self):
        """Abstract value of the result."""
        return aval_id(FA_F64, (self.total,))

    def fields(self):
        return (self.walk.value.name, self.walk.value.length)

    def working_bytes(self):
        """Memory of one run beside operands and result, with that of the way back: the bodies' programs, the states."""
        cdef Walk w = self.walk
        cdef list scans = list({id(s): s for s in (w.value, w.taping, w.advance, w.taping_again, w.back)}.values())
        return sum([s.working_bytes()[0] for s in scans]), w.value.working_bytes()[1] + w.back.working_bytes()[1]


cdef class CheckpointedAdjoint(Attr):
    """The adjoint of a loop that has kept some of its steps: operands are the adjoint of its result, its result, and
    its operands."""
    cdef fa_call c
    cdef readonly Walk walk

    def __init__(self, Walk walk):
        self.kind = "call"
        self.walk = walk
        self.c.self = <void *>self
        self.c.fn = <foreign_fn>checkpointed_adjoint
        self.ptr = &self.c
        self.key = ("call", id(self))

    def aval(self):
        """Abstract value of the result."""
        return self.walk.back.aval()

    def fields(self):
        return (self.walk.back.name, self.walk.back.length)


cdef ProgramFrame program_frame(Scan scan):
    if scan.program is None:
        scan.prepare()
    return scan.program.frame()


cdef int checkpointed_value(void *self, int n, const char *const *x, char *out) except -1 with gil:
    cdef Walk walk = (<CheckpointedScan>self).walk
    cdef Walker w = Walker()
    cdef fa_env env
    cdef int status
    w.state, w.taping = walk.value.frame(), program_frame(walk.taping)
    w.advance = w.state.f
    with nogil:
        walk.value.begin(w.state, x, out)
        status = walk.go(walk.value, walk.taping, 0, walk.first, w, x, out, out + 8 * walk.value.total, &env)
    walk.value.frames.append(w.state)
    walk.taping.program.frames.append(w.taping)
    return finished(walk.taping if w.running == TAPE else walk.value, status, &env)


cdef int checkpointed_adjoint(void *self, int n, const char *const *x, char *out) except -1 with gil:
    cdef Walk walk = (<CheckpointedAdjoint>self).walk
    cdef Walker w = Walker()
    cdef const char **back_x = <const char **>calloc(n, sizeof(char *))
    cdef fa_env env
    cdef int status
    if back_x == NULL:
        raise MemoryError("fastad: no memory for the operands of a loop")
    memcpy(back_x, x, n * sizeof(char *))
    w.back_x, w.back_out = back_x, out
    w.state, w.back = walk.value.frame(), walk.back.frame()
    w.taping = program_frame(walk.taping_again)
    w.advance = w.state.f if walk.advance is walk.value else program_frame(walk.advance)
    with nogil:
        walk.back.begin(w.back, back_x, out)
        status = walk.go(walk.advance, walk.taping_again, walk.first, walk.actions.shape[0], w, x + WITH_W_AND_KEPT, NULL,
                         <char *>x[1] + 8 * walk.value.total, &env)
    free(back_x)
    walk.value.frames.append(w.state)
    walk.back.frames.append(w.back)
    if walk.advance is not walk.value:
        walk.advance.program.frames.append(w.advance)
    walk.taping_again.program.frames.append(w.taping)
    return finished(walk.taping_again if w.running == TAPE else walk.back if w.running == REVERSE else walk.advance,
                    status, &env)


cdef int finished(Scan body, int status, fa_env *env) except -1:
    if status != FA_OK:
        env.where = body.program.where[env.where]
        body.program.tape.raise_status(status, env)
        return -1
    feraiseexcept(env.flags)             # the sweep around reports them
    return 0
