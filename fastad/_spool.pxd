"""_spool.pxd - temporary files and their threads, for the loops that use them.

Next: _spool.pyx.
"""
from libc.stdint cimport int64_t

cdef extern from "_kernels/spool.h" nogil:
    enum: FA_SPOOL_READY, FA_SPOOL_LATER, FA_SPOOL_FAILED
    ctypedef struct fa_transfer:
        int64_t write, offset, bytes
    ctypedef struct fa_spool:
        int fd, error, stop, running
        const fa_transfer *transfers
        int64_t count, done, passed
        char *buffers
        int64_t size, nbuffers
        int64_t[2] bytes
        int64_t[2] ns
    int64_t fa_now()
    char *fa_spool_buffer(const fa_spool *s)
    void fa_spool_pass(fa_spool *s)


cdef enum: WHOLE, FIRST_RUN, WAY_BACK     # parts of a plan


cdef class Plan:
    """A schedule, as the walks through it want it."""
    cdef readonly object schedule
    cdef int64_t[:, ::1] actions
    cdef int64_t[::1] places
    cdef int64_t first
    cdef fa_transfer *transfers
    cdef int64_t ntransfers, nfirst      # all of them; those of the first run


cdef class Lease:
    """What one sweep has: a file, and the plan of each of its loops."""
    cdef readonly object file, plans
    cdef readonly list results
    cdef int begin(self, fa_spool *s, Plan plan, int part, int64_t number, char *buffers, int64_t size,
                   int64_t count) except -1
    cdef int end(self, fa_spool *s, int64_t number, const int64_t *ns, const int64_t *steps, bint whole) except -1


cdef Lease lease_of_this_thread()
cdef int turn(fa_spool *s, Lease lease) noexcept nogil
cdef int finished_all(fa_spool *s, Lease lease) noexcept nogil
