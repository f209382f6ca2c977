"""_spool.pyx - one sweep's use of a temporary file: which transfers, in which order, and what they took.

Owns: `Plan`, a schedule with its transfers; `Lease`, what one sweep has; waiting for the thread that transfers.
Must not know: where files are and how many there are (disk.py), which schedule is best (disk_checkpoints.py).
A loop's steps and its way back are two instructions of one program: what they have in common is the lease of the
thread that sweeps, which `leased` sets.
Next: _kernels/spool.h, _scan_budget.pxi and _segments.pyx (who walk).
"""
from cpython.exc cimport PyErr_CheckSignals, PyErr_SetObject
from libc.errno cimport EIO
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free

import os

import numpy as np

from fastad.errors import InternalError

__all__ = ["Lease", "Plan", "leased"]

cdef extern from *:
    """static __thread PyObject *fa_lease;"""
    ctypedef struct PyObject
    PyObject *fa_lease

cdef extern from "_kernels/spool.h" nogil:
    int FA_SPOOL_SHORT
    int fa_spool_begin(fa_spool *s)
    int fa_spool_next(fa_spool *s)
    int fa_spool_all(fa_spool *s)
    void fa_spool_end(fa_spool *s)

cdef enum: OK = 0, FOREIGN = 3           # FA_OK, FA_EFOREIGN of layout.h
cdef enum: ADVANCE, SAVE, RESTORE, TAPE, REVERSE             # as in checkpoints.py


cdef class Plan:
    """A schedule, as the walks through it want it.

    Parameters
    ----------
    schedule : Schedule
    states, tapes : ndarray of int64
        Bytes of the state before each step, and of its tape.
    base : int
        Where the file has room for them.
    """

    def __init__(self, schedule, states=None, tapes=None, int64_t base=0):
        cdef int64_t k, n = 0, at
        self.schedule = schedule
        self.actions, self.first = schedule.actions.copy(), schedule.first
        places = schedule.places
        self.places = np.full(len(schedule.actions), -1) if places is None else places.copy()
        self.transfers = <fa_transfer *>calloc(len(schedule.actions) + 1, sizeof(fa_transfer))
        if self.transfers == NULL:
            raise MemoryError("fastad: no memory for a schedule")
        for k in range(self.actions.shape[0]):
            if k == self.first:
                self.nfirst = n
            at = self.places[k]
            if at >= 0:
                what, i = self.actions[k, 0], self.actions[k, 1]
                self.transfers[n] = fa_transfer(what == SAVE or what == TAPE, base + at,
                                                (states if what == SAVE or what == RESTORE else tapes)[i])
                n += 1
        self.ntransfers = n

    def __dealloc__(self):
        free(self.transfers)


cdef class Lease:
    """What one sweep has.

    Parameters
    ----------
    file
        With `fd`, its descriptor, and `directory`.
    plans : tuple of Plan
        Of each loop.

    Attributes
    ----------
    results : list
        For each loop: of the first run and of the way back, (ns of steps, steps, bytes, ns of transfers), both of the
        ways forwards and back; what was not done is 0.
    """

    def __init__(self, file, plans):
        self.file, self.plans = file, tuple(plans)
        self.results = [np.zeros((2, 4), dtype=np.int64) for _ in self.plans]

    cdef int begin(self, fa_spool *s, Plan plan, int part, int64_t number, char *buffers, int64_t size,
                   int64_t count) except -1:
        """Begin with the transfers of a part of a plan."""
        cdef int error
        s.fd = self.file.fd
        s.transfers = plan.transfers + (plan.nfirst if part == WAY_BACK else 0)
        s.count = (plan.nfirst if part == FIRST_RUN else plan.ntransfers) - (plan.nfirst if part == WAY_BACK else 0)
        s.buffers, s.size, s.nbuffers = buffers, size, count
        if part != WAY_BACK:
            self.results[number][...] = 0
        error = fa_spool_begin(s)
        if error:
            raise OSError(error, f"fastad: no thread to write and read {self.file.directory}: {os.strerror(error)}")
        return 0

    cdef int end(self, fa_spool *s, int64_t number, const int64_t *ns, const int64_t *steps, bint whole) except -1:
        """End the thread; what was measured counts if all was done.  ns, steps: forwards and back."""
        cdef int64_t k
        with nogil:
            fa_spool_end(s)
        if whole:
            found = self.results[number]
            for k in range(2):
                found[k, 0] += ns[k]
                found[k, 1] += steps[k]
                found[k, 2] += s.bytes[1 - k]
                found[k, 3] += s.ns[1 - k]
        return 0


def leased(lease):
    """Make this the lease of this thread; the one before it, or None.  The caller keeps both alive."""
    global fa_lease
    cdef PyObject *before = fa_lease
    fa_lease = NULL if lease is None else <PyObject *>lease
    return None if before == NULL else <object>before


cdef Lease lease_of_this_thread():
    if fa_lease == NULL:
        raise InternalError("a loop that keeps steps on a disk was run by itself")
    return <Lease?><object>fa_lease


cdef int turn(fa_spool *s, Lease lease) noexcept nogil:
    """Wait until the buffer of the next transfer is the sweep's.  FA_OK, or FA_EFOREIGN with an error that is set."""
    cdef int state = fa_spool_next(s)
    while state == FA_SPOOL_LATER:
        if signalled():
            return FOREIGN
        state = fa_spool_next(s)
    return OK if state == FA_SPOOL_READY else failed(s, lease)


cdef int finished_all(fa_spool *s, Lease lease) noexcept nogil:
    """Wait until everything has been written and read."""
    cdef int state = fa_spool_all(s)
    while state == FA_SPOOL_LATER:
        if signalled():
            return FOREIGN
        state = fa_spool_all(s)
    return OK if state == FA_SPOOL_READY else failed(s, lease)


cdef bint signalled() noexcept with gil:
    return PyErr_CheckSignals() != 0


cdef int failed(fa_spool *s, Lease lease) noexcept with gil:
    """Set the error of the transfer that failed."""
    cdef const fa_transfer *t = s.transfers + s.done
    what = "writing" if t.write else "reading"
    why = "the file is shorter than that" if s.error == FA_SPOOL_SHORT else os.strerror(s.error)
    lease.file.broken = True
    PyErr_SetObject(OSError, (EIO if s.error == FA_SPOOL_SHORT else s.error,
                              f"fastad: {what} {t.bytes} bytes at byte {t.offset} of a temporary file with steps of a "
                              f"time loop: {why}", lease.file.directory))
    return FOREIGN
