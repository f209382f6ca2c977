"""_leaves.pxi - define-by-run: variables outside of any recorded function (included in _tape.pyx).

Owns: the tape that records while it is open without being the recording of a function, the binding of a variable to
the tape of the present pass, the reverse sweep over a tape that may go on.
A variable between two passes belongs to a closed tape; its first use binds it to the thread's tape of the next pass.
Must not know: gradients, how passes begin and end.  Next: eager.py.
"""

cdef Tape NOWHERE = Tape()               # closed: what a variable belongs to between passes


def open_eager():
    """A tape that records what is done with its variables in this thread; it is on no stack."""
    cdef Tape t = Tape()
    t.owner = PyThreadState_Get()
    t.eager = True
    return t


def make_leaf(value, leaf):
    """A variable with a present value, bound to no tape yet; `leaf.attach(x)` is called at its first use."""
    cdef Scalar x
    cdef Array a
    cdef fa_cell v
    value = np.asarray(value)
    if value.ndim == 0:
        v.f = value
        x = new_scalar(NOWHERE, 0, FA_F64, v)
        x.leaf = leaf
        return x
    a = new_array(None, None)
    a.leaf = leaf
    place_leaf(a, value)
    return a


cdef int place_leaf(Array a, value) except -1:
    """Give a variable memory of its own; it is read-only, since a write would make it a result."""
    cdef Storage s
    if a.s is not None:
        a.s.leaf = None                  # views of the old memory stay with the pass in which they were made
    a.c = np.array(value, dtype=np.float64, order="C")
    (<object>a.c).flags.writeable = False
    s = new_storage(a.c, FA_F64, TRACED)
    s.tape = NOWHERE
    s.leaf = a.leaf
    a.s = s
    a.read_id = 0
    return 0


def attach_leaf(Tape t, x):
    """Make a variable (or a view of one) an input of the open tape t; the present value of the variable."""
    cdef uint32_t i
    cdef Storage s
    if type(x) is Scalar:
        i = t.emit_input(FA_AVAL_F64)
        (<Scalar>x).tape = t
        (<Scalar>x).id = i
        return (<Scalar>x).v.f
    s = (<Array>x).s
    s.tape = t
    s.fresh = t.emit_input(aval_id(FA_F64, (<object>s.root).shape))
    s.ver = 0
    s.version += 1                       # what its views have read belongs to an earlier pass
    s.dirty = False
    if s.ids != NULL:
        memset(s.ids, 0, s.size * sizeof(uint32_t))
    return s.root


def detach_leaf(x):
    """Take a variable off its tape."""
    if type(x) is Scalar:
        (<Scalar>x).tape = NOWHERE
    else:
        (<Array>x).s.tape = NOWHERE


def real_value(str verb, value, tuple shape, bint or_number=False):
    """`value` as float64: real numbers of this shape (or one number)."""
    given = np.asarray(value)
    if given.dtype.kind not in "fiub":
        raise ShapeError(f"{verb}: got {type(value).__name__} of dtype {given.dtype}; real numbers are wanted")
    if given.shape != shape and (given.ndim or not or_number):
        raise ShapeError(f"{verb}: got a value of shape {given.shape} for a variable of shape {shape}")
    return given.astype(np.float64, copy=False)[()]


def assign_leaf(x, value):
    """Give a variable another value; what was computed from the old one keeps the old one."""
    value = real_value("assign", value, () if type(x) is Scalar else (<object>(<Array>x).c).shape)
    if type(x) is Scalar:
        (<Scalar>x).v.f = value
        (<Scalar>x).tape = NOWHERE
    else:
        place_leaf(<Array>x, value)


def leaf_of(x):
    """The record of a variable; None for any other value."""
    if type(x) is Scalar:
        return (<Scalar>x).leaf
    return (<Array>x).leaf if type(x) is Array else None


def home_of(x):
    """The tape to which a traced value belongs at present."""
    return (<Scalar>x).tape if type(x) is Scalar else (<Array>x).s.tape


def opened_here(Tape t):
    """Is the tape open, and this thread the one that records it?"""
    return t.owner == PyThreadState_Get()


def sweep_open(Tape t, list values, uint32_t output, seed):
    """Forward and reverse sweep over an open tape as it is now: adjoints of its inputs."""
    cdef void *owner = t.owner
    t.outputs[:] = [output]
    t.owner = NULL
    try:
        return t.sweep_gradient(values, [seed])[1]
    finally:
        t.owner = owner
        t.outputs.clear()
        t.frames = None                  # they are as long as the tape was
        t.derived.clear()


def close_eager(Tape t):
    """End a define-by-run tape."""
    t.owner = NULL
