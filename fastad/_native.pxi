"""_native.pxi - a loop over numbers as machine code of LLVM's, where llvmlite is at hand (included in _scan.pyx).

Owns: when a loop asks for it: after it has run so long that compiling would have paid; its pointers and its state.
Must not know: the compiler (llvm_code.py), what the code does (llvm_loops.py).
Against packed code (_kernels/machine_code.h) it wins a fifth: the state, and what does not change, stay in registers
from step to step.  Where that is not to be had (other processors, bodies with whole numbers and bools) it wins more
than half.
The code computes the bits of the virtual machine and raises its flags, so a loop may change over between two calls, or
in between.
Next: llvm_code.py, _kernels/native.h.
"""
cdef enum: NEVER, WHEN_IT_PAYS, ALWAYS
cdef enum: UNDECIDED, IN_WORK, DECIDED

cdef double FIRST_LOOK = 0.002           # seconds that a loop runs before anyone asks what compiling takes
cdef int64_t SLICE = 1 << 22             # instructions between two questions


cdef int mode_of(setting) except -1:
    if setting not in ("", "0", "1", "always"):
        raise ValueError(f"FASTAD_JIT={setting}: 0 (never), 1 (when it pays) or always")
    return NEVER if setting == "0" else ALWAYS if setting == "always" else WHEN_IT_PAYS


cdef int MODE = mode_of(os.environ.get("FASTAD_JIT", ""))


def native_mode(setting=None):
    """How loops are compiled: "0" never, "1" when it pays, "always" at once.  With an argument: from now on so.

    Loops that have been decided on stay as they are.
    """
    global MODE
    if setting is not None:
        MODE = mode_of(setting)
    return ("0", "1", "always")[MODE]


def native_loops(tapes):
    """Seconds that each loop of these tapes took to compile, of those that are machine code."""
    cdef dict seen = {}
    cdef list left = list(tapes)
    while left:
        for attr in left.pop().attr_list:
            if type(attr) is Scan and id(attr) not in seen:
                seen[id(attr)] = attr.native_seconds()
                left.append(attr.body)
                if (<Scan>attr).program is not None:
                    left.append((<Scan>attr).program.tape)
                left.extend([program.tape for program in attr.derived.values() if isinstance(program, Program)])
    return [seconds for seconds in seen.values() if seconds is not None]


@cython.final
cdef class Native:
    """Machine code of a loop, and where it reads and writes."""
    cdef object code                     # keeps the code in memory
    cdef fa_native_fn fn
    cdef int64_t work                    # instructions of a step
    cdef int nbases
    cdef base_place *bases

    def __init__(self, code, plan):
        cdef int k
        self.code = code
        self.fn = <fa_native_fn><size_t>code.address
        self.work = plan.work
        self.nbases = <int>len(plan.bases)
        self.bases = <base_place *>calloc(self.nbases + 1, sizeof(base_place))
        if self.bases == NULL:
            raise MemoryError("fastad: no memory to prepare a scan")
        for k in range(self.nbases):
            self.bases[k] = base_place(plan.bases[k].operand, plan.bases[k].offset, plan.bases[k].stride)

    def __dealloc__(self):
        free(self.bases)

    cdef int run(self, Scan scan, ScanFrame frame, int64_t begin, int64_t end, const char *const *x, char *out,
                 fa_env *env) noexcept nogil:
        """Steps [begin, end)."""
        cdef int64_t place = scan.slot(begin)
        cdef base_place *b
        cdef int k, status
        cdef char *to
        for k in range(self.nbases):
            b = &self.bases[k]
            frame.bases[k] = (out if b.operand < 0 else <char *>x[b.operand]) + b.offset + place * b.stride
        for k in range(scan.ncarry):
            memcpy(&frame.state[k], frame.now[k], 8)
        status = run_native(self.fn, self.work, frame.state, frame.bases, end - begin, env)
        for k in range(scan.ncarry):
            to = scan.place(frame, k, end, out)
            memcpy(to, &frame.state[k], 8)
            frame.now[k] = to
        return status


cdef int ask(Scan scan) except -1:
    """Has the loop run long enough to be compiled?  Then it is."""
    from fastad import llvm_code, llvm_loops
    cdef double price
    if MODE == NEVER:
        return 0
    why = None if llvm_code.available() else "llvmlite is not there, or has failed"
    if why is None:
        why = llvm_loops.why_not(scan.program.tape)
    if why is None:
        price = llvm_code.price(len(scan.program.tape)) / share_saved(scan)
        if MODE != ALWAYS and scan.spent < price:
            scan.next_look = price
            return 0
        scan.decision = IN_WORK          # (other threads go on without)
        try:
            make_native(scan)
        finally:
            scan.decision = DECIDED
        return 0
    scan.decision, scan.why_not = DECIDED, why
    return 0


cdef double share_saved(Scan scan) except -1:
    """Of the time that the loop takes: less where the processor runs packed code already (_kernels/machine_code.h), and
    nothing of what elementary functions take."""
    from fastad import llvm_loops
    packed_code = scan.piece is not None and scan.piece.program.machine_code != NULL
    return (0.2 if packed_code else 0.6) * llvm_loops.share_of_arithmetic(scan.program.tape)


cdef int make_native(Scan scan) except -1:
    from fastad import llvm_code, llvm_loops
    plan = llvm_loops.write(scan, scan.program.tape)
    code = llvm_code.compile_text(plan.text, "fastad_loop")
    if code is None:
        scan.why_not = llvm_code.broken
    else:
        scan.native = Native(code, plan)
    return 0


cdef int equip(ScanFrame frame, Scan scan) except -1:
    """The frame runs machine code from now on."""
    frame.state = <double *>calloc(scan.ncarry + 1, sizeof(double))
    frame.bases = <char **>calloc(scan.native.nbases + 1, sizeof(char *))
    if frame.state == NULL or frame.bases == NULL:
        raise MemoryError("fastad: no memory for the state of a scan")
    frame.native = scan.native
    return 0


cdef double now() noexcept nogil:
    cdef timespec t
    clock_gettime(CLOCK_MONOTONIC, &t)
    return <double>t.tv_sec + 1e-9 * <double>t.tv_nsec


cdef int run_and_decide(Scan scan, ScanFrame frame, const char *const *x, char *out, fa_env *env) except -1:
    """The whole loop.  As long as it is not decided how it runs, some steps at a time, and the time is taken."""
    cdef int64_t at = 0, end
    cdef int status = FA_OK, flags = 0
    cdef double begun
    with nogil:
        scan.begin(frame, x, out)
    while at < scan.length and status == FA_OK:
        end = scan.length
        if scan.decision == UNDECIDED and MODE != NEVER:
            end = min(end, at + 1 + SLICE // (1 + <int64_t>scan.program.count))
            if MODE == ALWAYS or scan.spent >= scan.next_look:
                ask(scan)
        if frame.native is None and scan.native is not None:
            equip(frame, scan)
        with nogil:
            begun = now()
            status = scan.steps(frame, at, end, x, out, env)
            flags |= env.flags
            at = end
            begun = now() - begun
        scan.spent += begun
    env.flags = flags
    return status
