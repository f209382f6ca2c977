"""_transform.pxd - what the passes share with the transformations: copying instructions from tape to tape.

Next: _transform.pyx.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, int64_t
from fastad._tape cimport Tape, Attr, fa_template


cdef class Copier:
    """Copies instructions of `source` to `target`; map[i] is the target's id of the source's value i."""
    cdef readonly Tape source
    cdef readonly Tape target
    cdef uint32_t *map
    cdef uint32_t *attr_map
    cdef uint32_t *room
    cdef uint32_t cap_room
    cdef uint32_t *mapped(self, uint32_t i, uint32_t *count) except? NULL
    cdef uint32_t attr(self, uint32_t k) except? 0xffffffff
    cdef int copy_inputs(self) except -1
    cdef uint32_t copy(self, uint32_t i) except 0
    cdef uint32_t copy_leaf(self, uint32_t i) except 0
    cdef int copy_guard(self, uint32_t i) except -1
    cdef int copy_outputs(self) except -1
    cdef int copy_locations(self) except -1


cdef class Site:
    cdef readonly str name
    cdef readonly object attr
    cdef readonly uint32_t aval, y, w
    cdef readonly tuple x, dx, active, batched
    cdef readonly object k


cdef class Builder(Copier):
    """A copier that also writes derivative code; d[i]: tangent or adjoint of the source's value i, 0: zero.

    need[i]: forwards, whether an output depends on value i; in reverse, whether `parts` has something for it.
    """
    cdef uint32_t *d
    cdef uint8_t *need
    cdef dict parts
    cdef uint32_t here
    cdef bint adjoint_follows            # calls keep what their adjoint will need
    cdef object rooms                    # how much of it; None: everything
    cdef int copy_all(self) except -1
    cdef uint32_t copy_call(self, uint32_t i) except 0
    cdef bint constant(self, uint32_t x, double *value) noexcept
    cdef uint32_t elementwise(self, int op, int dtype, int m, const uint32_t *ids) except 0
    cdef uint32_t elementwise2(self, int op, uint32_t a, uint32_t b) except 0
    cdef uint32_t stamp(self, const fa_template *p, const uint32_t *x, int dtype) except 0
    cdef uint32_t template_constant(self, const fa_template *p, int at, int dtype) except 0
    cdef Site site(self, uint32_t i)
    cdef uint32_t product(self, uint32_t w, uint32_t p) except 0
    cdef uint32_t fitted(self, uint32_t x, uint32_t aval) except 0
    cdef uint32_t plus(self, uint32_t x, uint32_t y) except? 0
    cdef int slots(self, uint32_t i, uint32_t *x) except -1
