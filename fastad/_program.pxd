"""_program.pxd - a compiled tape, for those who want to run one from C.

Next: _program.pyx.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, int64_t
cimport numpy as cnp
from fastad._tape cimport Tape, fa_aval, fa_cell, fa_code, fa_fused, fa_run


cdef class ProgramFrame:
    """Memory of one sweep of one thread."""
    cdef fa_cell *v
    cdef size_t cell_bytes, arena_bytes
    cdef char *arena
    cdef dict keep                       # input or capture -> its copy, where it cannot be read in place
    cdef cnp.ndarray room(self, uint32_t i, const fa_aval *av)


cdef class Program:
    cdef readonly Tape tape              # optimised; it keeps attributes, guards and constants alive
    cdef fa_code code
    cdef uint16_t *op
    cdef uint32_t *aval
    cdef uint32_t *arg
    cdef uint32_t *dst
    cdef uint32_t *pool
    cdef uint32_t *where                 # instruction of the tape behind each instruction of the program
    cdef uint32_t n, boundary
    cdef uint32_t *cell                  # cell of each value of the tape
    cdef uint32_t *cell_aval
    cdef int64_t *cell_offset            # place in the arena; -1: no place of its own
    cdef uint32_t ncells, cap_cells
    cdef readonly int64_t nbytes         # of the arena
    cdef list loops                      # Loop objects, which own what `fused` points to
    cdef set woven                       # assemblies that a loop ends in (until the loops are written)
    cdef const fa_fused **fused
    cdef fa_run *runs                    # packed scalars, which the program owns
    cdef uint32_t nruns, count           # count: instructions before they were packed
    cdef char *machine_code              # of the runs, which the program owns; NULL: none (yet)
    cdef char *chain_code                # of the loops' chains
    cdef size_t code_bytes, chain_bytes
    cdef int64_t worked                  # sweeps; below 0: nothing more to be gained
    cdef int64_t chained                 # steps of chains in a sweep, each on each element; 0: none, or code
    cdef list frames                     # those that no thread is using
    cdef readonly int64_t frames_made
    cdef object before
    cdef public object report            # what a program within a memory budget says of itself
    cdef frozenset given                 # inputs whose memory may be overwritten
    cdef list own                        # inputs, and ~outputs, that have the first cells
    cdef list far                        # inputs, and ~outputs, that are in no cache
    cdef list on_inputs                  # (input, cell) of what is written on top of one
    cdef list external                   # (position, cell) of results that are written where the caller gets them
    cdef uint32_t new_cell(self, uint32_t aval, int64_t offset) except 0
    cdef int reserve(self, uint32_t n) except -1
    cdef int put(self, int op, uint32_t aval, uint32_t a, uint32_t b, uint32_t dst, uint32_t where) except -1
    cdef int put_instruction(self, uint32_t i) except -1
    cdef int describe(self) except -1
    cdef int fill_frame(self, ProgramFrame f) except -1
    cdef ProgramFrame frame(self)
    cdef int works(self, int64_t times) except -1
    cdef ProgramFrame frame_on(self, char *arena)
    cdef int bind(self, ProgramFrame f, list values) except -1
    cdef int bind_capture(self, ProgramFrame f, uint32_t i) except -1
    cdef int sweep(self, ProgramFrame f) except -1
    cdef int bind_input(self, ProgramFrame f, uint32_t i, object value, Py_ssize_t k) except -1
    cdef list bind_results(self, ProgramFrame f, list values, list out)
    cdef bint reads_in(self, array, list values) except -1
    cdef int read_results(self, ProgramFrame f, list results, list out) except -1
    cdef int check_out(self, list out) except -1
