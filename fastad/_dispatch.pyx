# cython: language_level=3
"""_dispatch.pyx - the short way from a call of `ad.grad(f)` to a sweep and back.

Owns: Dispatcher, the compiled half of the cached callables: it takes a call whose arguments fit the tape of the last
one straight to that tape, and leaves everything else to `slow` (function.py); Entry, one cached tape; Point, a forward
sweep with memory of its own, which no other sweep disturbs (the pullback of ad.vjp).
Must not know: how tapes are recorded or chosen, trees.  Next: function.py, derivatives.py.
"""
from cpython.float cimport PyFloat_Check
from libc.string cimport memcpy
from libc.stdint cimport uint32_t
cimport numpy as cnp

from fastad._tape cimport AVALS, FA_CAPTURE, FA_F32, FA_F64, Frame, Tape, fa_aval, fa_itemsize

import threading

import numpy as np

from fastad._tape import current_tape
from fastad.errors import TapeDivergence

cnp.import_array()

cdef object ndarray_type = np.ndarray
cdef Py_ssize_t clock = 0                # counts replays of all tapes: the order in which they were last used
cdef object float32_type = np.float32
cdef int[4] NPY_TYPE                      # by dtype code
NPY_TYPE[0] = cnp.NPY_DOUBLE
NPY_TYPE[1] = np.dtype(np.int64).num
NPY_TYPE[2] = cnp.NPY_BOOL
NPY_TYPE[3] = cnp.NPY_FLOAT

PYTHON, GRADIENT, VALUE_AND_GRADIENT = range(3)
cdef enum: WITH_PYTHON, WITH_GRADIENT, WITH_VALUE


cdef class Entry:
    """One cached tape of a function.

    Attributes
    ----------
    calls : int
        Calls that it has answered; the recording is the first.
    nbytes : int
        Of the tape and the memory of its sweeps.
    swept : Tape
        What runs as long as there is no program: the tape, or the same in numbers (tapes.in_numbers), as programs have
        it, so that derivatives keep their bits when there is one.
    """
    cdef readonly Tape tape
    cdef public Tape swept
    cdef readonly object function, key, watch
    cdef object changed                  # watch.changed, or None
    cdef public Py_ssize_t calls, used, nbytes
    cdef public object program           # of the gradient tape, when it is compiled
    cdef public Py_ssize_t compile_at    # the call at which compiling may pay; 0: never
    cdef readonly bint short             # the arguments are the inputs and one number, one gradient come out

    def __init__(self, Tape tape, function, key, watch, bint lone):
        self.tape = self.swept = tape
        self.function = function
        self.key = key
        self.watch = watch
        self.changed = None if watch is None else watch.changed
        self.calls = 1
        self.compile_at = 0
        self.short = lone and tape.flat and tape.lone_out
        self.touch()
        self.weigh()

    cpdef touch(self):
        """Note that it was used."""
        global clock
        clock += 1
        self.used = clock

    def weigh(self):
        """Bytes of the tape, of its derivative tapes, and of one thread's memory for their sweeps or the program's."""
        cdef Tape t
        cdef Py_ssize_t total = 0 if self.program is None else self.program.nbytes
        for x in [self.tape, *self.tape.derived.values(), *([] if self.swept is self.tape else [self.swept])]:
            if isinstance(x, Tape):
                t = <Tape>x
                total += t.nbytes + 1024
                if t.frames is not None or t is self.swept and self.program is None:
                    total += 2 * (t.layout().nbytes + 8 * <Py_ssize_t>t.n)
            elif type(x) is ndarray_type:
                total += cnp.PyArray_NBYTES(<cnp.ndarray>x)
        self.nbytes = total
        return total

    def why_changed(self, f):
        """What f depends on and has changed since the recording, as text; None: nothing."""
        return None if self.changed is None else self.changed(innermost(f))

    cdef bint accepts(self, tuple args) except -1:
        """Are these the plain arrays and floats that the tape takes, with nothing to convert?"""
        cdef Tape t = self.tape
        cdef Py_ssize_t k
        if not t.flat or len(args) != len(t.inputs) or (t.kinds is not None and not t.serves(list(args))):
            return False
        for k in range(len(args)):
            if not fits(args[k], &AVALS[t.aval[<uint32_t>t.inputs[k]]]):
                return False
        return True


cpdef object innermost(object f):
    """The function of which f is a verb, or a verb of a verb: it is what is watched."""
    while isinstance(f, Dispatcher):
        f = (<Dispatcher>f).f
    return f


cdef bint fits(object x, const fa_aval *av) noexcept:
    cdef cnp.ndarray a
    cdef int d
    if av.nd == 0:
        return av.dtype == FA_F64 and PyFloat_Check(x) or av.dtype == FA_F32 and type(x) is float32_type
    if type(x) is not ndarray_type:
        return False
    a = <cnp.ndarray>x
    if cnp.PyArray_TYPE(a) != NPY_TYPE[av.dtype] or cnp.PyArray_NDIM(a) != av.nd:
        return False
    if av.nd > 1 and not cnp.PyArray_IS_C_CONTIGUOUS(a):
        return False                     # its order in memory is a part of the key
    for d in range(av.nd):
        if cnp.PyArray_DIM(a, d) != av.shape[d]:
            return False
    return True


cdef class Dispatcher:
    """A callable that answers by its last tape when it can; subclasses say what else happens (function.Function)."""
    cdef public Entry hot
    cdef public object f, watched        # what is called; innermost(f)
    cdef public bint audit
    cdef public int mode
    cdef public Py_ssize_t replays

    def __call__(self, *args, **kwargs):
        if "out" in kwargs:
            return self.call_into(self.taken_out(kwargs), args, kwargs)
        return self.dispatch(args, kwargs, None)

    cpdef object dispatch(self, tuple args, dict kwargs, object out):
        """Answer a call; a gradient that is one array may be written into `out` on the way (or is not)."""
        cdef Entry e = self.hot
        cdef Py_ssize_t next_call
        if e is not None and not kwargs and e.accepts(args) and current_tape() is None:
            next_call = e.calls + 1
            if not (self.audit and next_call & (next_call - 1) == 0) and \
                    next_call != e.compile_at and (e.changed is None or e.changed(self.watched) is None):
                try:
                    result = self.answer(e, args, out)
                except TapeDivergence as error:
                    return self.slow(args, kwargs, e, error)
                e.calls = next_call
                e.touch()
                self.replays += 1
                return result
        return self.slow(args, kwargs)

    cdef object answer(self, Entry e, tuple args, object out):
        cdef Tape t = e.swept
        cdef Frame f
        cdef list found
        if not e.short or self.mode == WITH_PYTHON:
            return self.replay(e, list(args), ())
        if e.program is not None:
            if out is not None and e.program.takes(1, out):
                found = e.program.run(list(args), [None, out])
            else:
                found = e.program.run(list(args))
            return found[1] if self.mode == WITH_GRADIENT else (found[0], found[1])
        f = t.frame()
        t.run_forward(f, list(args))
        f.valid = False
        t.run_reverse(f, [1.0])
        found = t.read_inputs(f.a)
        if self.mode == WITH_GRADIENT:
            return found[0]
        return t.read_outputs(f.v)[0], found[0]


cdef class Point:
    """A forward sweep with memory of its own: reverse and tangent sweeps at this point, any number of them."""
    cdef readonly Tape tape
    cdef Frame f
    cdef list kept
    cdef object lock

    def __init__(self, Tape tape, list values):
        self.tape = tape
        self.lock = threading.Lock()
        self.f = Frame(tape)
        tape.run_forward(self.f, values)
        self.keep_captures()

    cdef int keep_captures(self) except -1:
        """Copy the arrays that are bound by reference: the user may change them before the next reverse sweep."""
        cdef Tape t = self.tape
        cdef uint32_t i, j
        cdef const fa_aval *av
        cdef cnp.ndarray copy
        cdef void *old
        self.kept = []
        if not t.captures:
            return 0
        for i in range(1, t.n):
            av = &AVALS[t.aval[i]]
            if t.op[i] == FA_CAPTURE and av.nd:
                copy = np.empty(av.size * fa_itemsize[av.dtype], dtype=np.uint8)
                old = self.f.v[i].p
                memcpy(cnp.PyArray_DATA(copy), old, av.size * fa_itemsize[av.dtype])
                for j in range(i, t.n):          # reshapes share the memory
                    if AVALS[t.aval[j]].nd and self.f.v[j].p == old:
                        self.f.v[j].p = cnp.PyArray_DATA(copy)
                self.kept.append(copy)
        return 0

    def outputs(self):
        """Fresh copies of the tape's outputs."""
        return self.tape.read_outputs(self.f.v)

    def reverse(self, list seeds):
        """Adjoints of the active inputs."""
        with self.lock:
            self.tape.run_reverse(self.f, seeds)
            return self.tape.read_inputs(self.f.a)

    def tangent(self, list tangents):
        """Tangents of the outputs."""
        with self.lock:
            return self.tape.tangent_outputs(self.f, tangents)
