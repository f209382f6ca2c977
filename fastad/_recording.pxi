"""_recording.pxi - the stack of open recordings, and what happens to values that leave one (included in _tape.pyx).

Owns: who records in this thread, the check that a traced value is used where it may be, and leaks: what foreign code
gets of a traced value, with the guard that watches it.
Next: _scalar.pxi and _array.pxi (the traced values), interception.py (NumPy's names while a recording is open).
"""
cdef enum:
    PLAIN            # nothing traced in it: the concrete memory says all
    CAPTURED         # memory of the user's, from outside the recording
    TRACED

ctypedef const fa_aval *fa_aval_p
ctypedef char *charp
ctypedef const int64_t *int64_p

ctypedef struct operand:
    uint32_t id
    uint32_t aval
    char *data
    void *strided                        # the ndarray of which `data` is the first element, where it is not contiguous
    fa_cell cell

_local = threading.local()
cdef object local = _local


def recordings():
    """Stack of this thread's open recordings."""
    stack = getattr(local, "stack", None)
    if stack is None:
        stack = local.stack = []
    return stack


cdef Py_ssize_t careful = 0              # open recordings that have an outer one, and sealed ones, of all threads


cdef Tape current():
    cdef list stack = recordings()
    return <Tape>stack[-1] if stack else None


def current_tape():
    """The innermost open recording of this thread, or None."""
    return current()


def every_line(bint wanted):
    """Shall recordings that this thread opens from now on remember the line of every scalar too?  Returns what was."""
    was = getattr(local, "every_line", False)
    local.every_line = wanted
    return was


def open_recording():
    """Begin to record in this thread; returns the new tape."""
    global careful
    cdef Tape t = Tape()
    t.every_line = getattr(local, "every_line", False)
    t.parent = current()
    if t.parent is not None:
        t.sealed = t.parent.sealed
    t.owner = PyThreadState_Get()
    recordings().append(t)
    careful += t.parent is not None
    return t


def close_recording(Tape t):
    """End the innermost recording; t must be it."""
    global careful
    if recordings()[-1] is not t:
        raise InternalError("recordings were closed out of order")
    recordings().pop()
    careful -= t.parent is not None
    if t.borrowed is not None:
        give_back(t)
    return t.finish()


def exclusive(lock, f, *args):
    """f(*args) while `lock` is held.

    A `with` statement of Python code may leave its lock behind: Ctrl-C is noticed between its steps, and some compilers
    (3.13) leave a jump at the end of a loop out of what the statement guards.
    """
    lock.acquire()
    try:
        return f(*args)
    finally:
        lock.release()


def recorded(names, f, *args):
    """f(tape, *args) in an open recording and in `names`, a context in which NumPy's names know traced values.

    As `exclusive`, no `with` statement of Python code.  What Ctrl-C interrupts in the methods of `names` is done again:
    they may be called twice.
    """
    cdef Py_ssize_t depth = len(recordings())
    cdef Tape tape
    try:
        tape = open_recording()
        names.__enter__()
        result = f(tape, *args)
        check_captures(tape)
        return result
    finally:
        close_recordings(names, depth)


cdef int close_recordings(object names, Py_ssize_t depth) except -1:
    try:
        try:
            names.__exit__(None, None, None)
        except BaseException:
            names.__exit__(None, None, None)
            raise
    finally:
        while len(recordings()) > depth:
            close_recording(recordings()[-1])
    return 0


cdef int check_open(Tape t, object x) except -1:
    """x, of tape t, may be used here; a variable between two passes joins the next one, and is of its tape then."""
    if t.owner != PyThreadState_Get():
        leaf = (<Scalar>x).leaf if type(x) is Scalar else (<Array>x).s.leaf
        if leaf is not None:
            leaf.attach(x)
            return 0
        check_row(t)
        why = "from another thread" if t.owner != NULL else "after its recording had ended"
        born = format_location(t.recorder if t.recorder is not None else None)
        raise EscapedTracerError(
            f"{here()}: a traced value ({value_text(x)}) was used {why}. It was born in the recording of "
            f"{getattr(t, 'signature', None) or 'a function'}{'' if born == '?' else ' at ' + born}. Return what "
            "you need from the function, or keep ad.peek(value), a plain number.")
    return 0


cdef str value_text(object x):
    if type(x) is Scalar:
        return repr((<Scalar>x).number())
    c = (<Array>x).c
    return f"array of shape {(<object>c).shape}"


cdef object error_hint = None


def set_error_hint(function):
    """Let a function without arguments add a sentence to errors about leaking values (interception.py does)."""
    global error_hint
    error_hint = function


cdef object hint():
    return "" if error_hint is None else error_hint()


cdef object to_foreign(object x, concrete):
    """What foreign code gets of a traced value: a read-only copy of an inactive one, guarded; else an error."""
    cdef Tape t
    cdef uint32_t i
    check_open((<Scalar>x).tape if type(x) is Scalar else (<Array>x).s.tape, x)
    if type(x) is Scalar:
        t = (<Scalar>x).tape
        i = (<Scalar>x).id
    else:
        t = (<Array>x).s.tape
        i = read(t, <Array>x)
    if t.is_active(i):
        raise TracerError(
            f"{here()}: a traced {'number' if type(x) is Scalar else 'array'} was converted to a plain ndarray "
            "(stored into an array that was made outside, or by a function that the recorder does not see such as "
            "`from numpy import zeros`; handed to compiled code; or in a list given to a ufunc). Make the array inside "
            "the function with np.zeros, np.empty or np.array, called as np.name: np.log(np.array(values)) for "
            f"np.log(values); or use ad.primitive for foreign code.{hint()}")
    guard_array(t, i, concrete)
    out = np.array(concrete)
    out.flags.writeable = False
    return out


cdef int guard_array(Tape t, uint32_t i, concrete, str whose="an array given to foreign code") except -1:
    """Guard a value of which Python keeps something: all of its elements must stay as they are."""
    cdef uint32_t k
    cdef const fa_aval *av = &AVALS[t.aval[i]]
    if av.nd == 0:
        t.add_guard(i, cell_of(concrete[()], av.dtype).i, f"the value of {whose}")
        return 0
    cdef uint32_t mask = aval_id(FA_BOOL, aval_shape(t.aval[i]))
    cdef uint32_t[3] choice
    k = t.emit_const(np.ascontiguousarray(concrete, dtype=DTYPES[av.dtype]))
    k = t.push(FA_EQUAL, mask, i, k)
    if is_real(av.dtype) and np.isnan(concrete).any():
        choice[0] = t.emit_const(np.isnan(concrete))
        choice[1] = t.push(FA_NOT_EQUAL, mask, i, i)         # still NaN
        choice[2] = k
        k = t.push_nary(FA_WHERE, mask, choice, 3, t.attr_id(None))
    k = t.push(FA_ALL, FA_AVAL_BOOL, k, t.attr_id(Axis(1, av.size, 1)))
    t.add_guard(k, 1, f"the values of {whose}")
    return 0
