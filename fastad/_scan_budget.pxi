"""_scan_budget.pxi - a time loop of which not everything is kept that its adjoint reads (included in _scan.pyx).

Owns: the walk through a schedule of checkpoints.py: the first run, which leaves states and tapes of some steps in a
room at the end of its result, and the way back, which runs steps again from there, and uses the room again and again.
Must not know: which schedule is best (checkpoints.py), what the bodies compute (scan_rules.py, scan_checkpoints.py),
how what finds no room goes to a disk (_spool.pyx).
A step of the schedule is a group of `group` steps of the loop; the tapes of its steps lie one behind the other, in the
order in which the loop goes through memory.  Loops over numbers run in pieces here, too.
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
    plan : Plan
    unit, group : int
        Bytes of a unit of the room; steps of the loop in a step of the schedule.
    room : int
        Bytes, a multiple of a cache line.
    chain : DiskChain, optional
        What has plans with a disk; then its plan at the time of a sweep counts, and the room ends with its buffers.
    number : int, optional
        Of this loop among those that have leases in common.
    """
    cdef readonly Scan value, taping, advance, taping_again, back
    cdef readonly tuple kept
    cdef readonly object chain
    cdef readonly int64_t room, group
    cdef list walkers                    # those that no thread is using
    cdef Plan plan
    cdef int64_t unit, record_bytes, number
    cdef int64_t buffer, nbuffers        # for transfers: bytes of one, how many there are
    cdef int64_t[:, ::1] places          # of kept carries: (carry, bytes)

    def __init__(self, Scan value, Scan taping, Scan advance, Scan taping_again, Scan back, kept, int64_t record,
                 Plan plan, int64_t unit, int64_t group, int64_t room, chain=None, int64_t number=0):
        self.value, self.taping, self.advance, self.taping_again, self.back = value, taping, advance, taping_again, back
        self.kept, self.plan, self.unit, self.group, self.room = tuple(kept), plan, unit, group, room
        self.chain, self.number, self.walkers, self.record_bytes = chain, number, [], 8 * record
        if chain is not None:
            self.buffer, self.nbuffers = chain.buffer, chain.buffers
        self.places = np.array([(k, 8 * at) for k, at in self.kept], dtype=np.int64).reshape(-1, 2)
        self.agree()

    cdef int agree(self) except -1:
        """A carry that only changes its name does so in every body, or in none: how long its memory is read."""
        cdef int k
        scans = (self.value, self.taping, self.advance, self.taping_again)
        for one in (*scans, self.back):
            if (<Scan>one).program is None:
                (<Scan>one).prepare()
        for k in range(self.value.ncarry):
            if len({(<Scan>one).outs[k].renamed for one in scans}) > 1:
                for one in scans:
                    (<Scan>one).outs[k].renamed = -1
        return 0

    def bodies(self):
        """The different ones."""
        return list({id(s): s for s in (self.value, self.taping, self.advance, self.taping_again, self.back)}.values())

    cdef size_t arena_bytes(self) except? 0:
        return max([(<Scan>s).program.nbytes for s in self.bodies()])

    cdef Walker walker(self):
        cdef Scan scan
        for one in self.bodies():
            scan = one
            if scan.piece is None:
                scan.program.works(scan.length)
            else:
                scan.piece.program.works(scan.length // scan.piece.b.steps)
        return <Walker>self.walkers.pop() if self.walkers else Walker(self)

    @property
    def schedule(self):
        """That of the next sweep."""
        return (self.plan if self.chain is None else self.chain.plan).schedule

    cdef int sweep(self, int part, Walker w, Scan value, Scan taping, ProgramFrame on_value, ProgramFrame on_taping,
                   const char *const *x, char *out, char *room, fa_env *env) except -1:
        """The first run or the way back; its status."""
        cdef Plan plan = self.plan
        cdef Lease lease = None
        cdef int status
        w.spool.count = env.where = env.flags = 0
        if self.chain is not None:
            lease = lease_of_this_thread()
            plan = lease.plans[self.number]
            w.ns[0] = w.ns[1] = w.steps[0] = w.steps[1] = 0
            lease.begin(&w.spool, plan, part, self.number, room + self.room - self.buffer * self.nbuffers, self.buffer,
                        self.nbuffers)
        cdef int64_t begin = plan.first if part == WAY_BACK else 0
        cdef int64_t end = plan.first if part == FIRST_RUN else plan.actions.shape[0]
        with nogil:
            status = self.go(plan, lease, begin, end, value, taping, on_value, on_taping, w, x, out, room, env)
        if lease is not None:
            lease.end(&w.spool, self.number, w.ns, w.steps, status == FA_OK)
        return status

    cdef int go(self, Plan plan, Lease lease, int64_t begin, int64_t end, Scan value, Scan taping,
                ProgramFrame on_value, ProgramFrame on_taping, Walker w, const char *const *x, char *out, char *room,
                fa_env *env) noexcept nogil:
        """Actions [begin, end), with these bodies."""
        cdef int64_t a, start = 0
        cdef int status, flags = 0
        cdef char *place
        for a in range(begin, end):
            place = room + plan.actions[a, 3] * self.unit
            if plan.places[a] >= 0:
                status = turn(&w.spool, lease)
                if status != FA_OK:
                    return status
                place = fa_spool_buffer(&w.spool)
            elif plan.actions[a, 0] == RESTORE and plan.actions[a, 3] < 0:
                place = NULL
            if w.spool.count:
                start = fa_now()
            status = self.act(&plan.actions[a, 0], place, value, taping, on_value, on_taping, w, x, out, env)
            if status != FA_OK:
                return status
            flags |= env.flags
            if w.spool.count:
                w.note(&plan.actions[a, 0], fa_now() - start)
            if plan.places[a] >= 0:
                fa_spool_pass(&w.spool)
        env.flags = flags
        return finished_all(&w.spool, lease) if w.spool.count else FA_OK

    cdef int act(self, const int64_t *action, char *place, Scan value, Scan taping, ProgramFrame on_value,
                 ProgramFrame on_taping, Walker w, const char *const *x, char *out, fa_env *env) noexcept nogil:
        """One action, with what it saves, restores, tapes or reverses at `place`."""
        cdef int64_t s, n = self.value.length, first = action[1] * self.group
        cdef int64_t last = min(action[2] * self.group, n)
        cdef int status = FA_OK, flags = 0
        cdef char *record
        cdef char *records               # where the records of this group count from, as slices do
        env.flags = 0
        w.running = ADVANCE
        if action[0] == SAVE or action[0] == RESTORE:
            self.copy_state(action[0] == SAVE, w, action[1], place, x)
        elif action[0] == ADVANCE:
            if value.piece is not None:
                status = value.pieces(w.value_piece.v if value is self.value else w.advance_piece.v, w.state,
                                      &first, last, x, out, NULL, env)
                flags = env.flags
            for s in range(first, last):
                if status != FA_OK:
                    return status
                status = value.one_step(on_value.v, w.state, s, True, x, out, NULL, env)
                flags |= env.flags
        elif action[0] == TAPE:
            w.running = TAPE
            records = place - self.value.slot(last - 1 if self.value.reverse else first) * self.record_bytes
            if taping.piece is not None:
                status = taping.pieces(w.taping_piece.v if taping is self.taping else w.again_piece.v, w.state,
                                       &first, last, x, out, records, env)
                flags = env.flags
            for s in range(first, last):
                if status != FA_OK:
                    return status
                record = records + self.value.slot(s) * self.record_bytes
                self.keep_carries(w, record)
                status = taping.one_step(on_taping.v, w.state, s, True, x, out, record, env)
                flags |= env.flags
        else:
            w.running = REVERSE
            w.back_x[1] = place - self.value.slot(last - 1 if self.value.reverse else first) * self.record_bytes
            first, last = n - last, n - first
            if self.back.piece is not None:
                status = self.back.pieces(w.back.piece.v, w.back, &first, last, w.back_x, w.back_out, NULL, env)
                flags = env.flags
            for s in range(first, last):
                if status != FA_OK:
                    return status
                status = self.back.one_step(w.back.f.v, w.back, s, True, w.back_x, w.back_out, NULL, env)
                flags |= env.flags
        env.flags = flags
        return status

    cdef void keep_carries(self, Walker w, char *record) noexcept nogil:
        cdef int64_t j, k
        for j in range(self.places.shape[0]):
            k = self.places[j, 0]
            memcpy(record + self.places[j, 1], w.state.now[k], self.value.outs[k].nbytes)

    cdef void copy_state(self, bint save, Walker w, int64_t i, char *there, const char *const *x) noexcept nogil:
        """To and from `there`; NULL: the state before the first step."""
        cdef int k
        if there == NULL:
            self.value.begin(w.state, x, NULL)
            return
        for k in range(self.value.ncarry):
            if save:
                memcpy(there, w.state.now[k], self.value.outs[k].nbytes)
            else:
                w.state.now[k] = self.advance.place(w.state, k, i * self.group, NULL)
                memcpy(w.state.now[k], there, self.value.outs[k].nbytes)
            there += 8 if self.value.outs[k].scalar else self.value.outs[k].buffer


cdef ProgramFrame piece_frame(Scan scan):
    return None if scan.piece is None else scan.piece.program.frame()


cdef class Walker:
    """Memory of one walk: where the state is, and a frame for each body; one arena serves all, a step at a time."""
    cdef ScanFrame state, back
    cdef ProgramFrame value, taping, advance, taping_again
    cdef ProgramFrame value_piece, taping_piece, advance_piece, again_piece
    cdef char *arena
    cdef size_t arena_bytes
    cdef const char **back_x             # operands of the adjoint
    cdef char *back_out
    cdef int running                     # the kind of body that has failed, if one has
    cdef fa_spool spool
    cdef int64_t[2] ns                   # of steps forwards and back, where there is a disk
    cdef int64_t[2] steps

    def __init__(self, Walk walk):
        self.arena_bytes = walk.arena_bytes()
        self.arena = <char *>fa_arena_new(self.arena_bytes)
        self.back_x = <const char **>calloc(len(walk.back.avals) + 1, sizeof(char *))
        if self.arena == NULL or self.back_x == NULL:
            raise MemoryError("fastad: no memory for a loop")
        self.value, self.taping = walk.value.program.frame_on(self.arena), walk.taping.program.frame_on(self.arena)
        self.advance, self.taping_again = self.value, self.taping
        if walk.advance is not walk.value:
            self.advance = walk.advance.program.frame_on(self.arena)
        if walk.taping_again is not walk.taping:
            self.taping_again = walk.taping_again.program.frame_on(self.arena)
        self.state = walk.value.new_frame(self.value)
        self.value_piece = self.advance_piece = self.state.piece
        self.taping_piece = self.again_piece = piece_frame(walk.taping)
        if walk.advance is not walk.value:
            self.advance_piece = piece_frame(walk.advance)
        if walk.taping_again is not walk.taping:
            self.again_piece = piece_frame(walk.taping_again)
        self.back = walk.back.new_frame(walk.back.program.frame_on(self.arena))

    cdef void note(self, const int64_t *action, int64_t ns) noexcept nogil:
        """Add up the time of steps."""
        cdef int back = action[0] == REVERSE
        if back or action[0] == TAPE or action[0] == ADVANCE:
            self.ns[back] += ns
            self.steps[back] += action[2] - action[1]

    def __dealloc__(self):
        fa_arena_free(self.arena, self.arena_bytes)
        free(self.back_x)


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
        cdef Walk walk = self.walk
        cdef Scan s
        cdef int64_t total = walk.arena_bytes()
        for one in walk.bodies():
            s = one
            total += s.working_bytes()[0] - s.program.nbytes
        return total, walk.value.room_bytes + walk.back.room_bytes


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


cdef int checkpointed_value(void *self, int n, const char *const *x, char *out) except -1 with gil:
    cdef Walk walk = (<CheckpointedScan>self).walk
    cdef Walker w = walk.walker()
    cdef fa_env env
    cdef int status
    walk.value.begin(w.state, x, out)
    status = walk.sweep(FIRST_RUN, w, walk.value, walk.taping, w.value, w.taping, x, out, out + 8 * walk.value.total,
                        &env)
    finished(walk.taping if w.running == TAPE else walk.value, status, &env)
    walk.walkers.append(w)               # (given up after an error: one of Python's may be on its way)
    return 0


cdef int checkpointed_adjoint(void *self, int n, const char *const *x, char *out) except -1 with gil:
    cdef Walk walk = (<CheckpointedAdjoint>self).walk
    cdef Walker w = walk.walker()
    cdef fa_env env
    cdef int status
    memcpy(w.back_x, x, n * sizeof(char *))
    w.back_out = out
    walk.back.begin(w.back, w.back_x, out)
    status = walk.sweep(WAY_BACK, w, walk.advance, walk.taping_again, w.advance, w.taping_again, x + WITH_W_AND_KEPT,
                        NULL, <char *>x[1] + 8 * walk.value.total, &env)
    finished(walk.taping_again if w.running == TAPE else walk.back if w.running == REVERSE else walk.advance, status,
             &env)
    walk.walkers.append(w)
    return 0


cdef int finished(Scan body, int status, fa_env *env) except -1:
    if status != FA_OK:
        env.where = body.program.where[env.where]
        body.program.tape.raise_status(status, env)
        return -1
    raise_flags(env.flags)               # the sweep around reports them
    return 0
