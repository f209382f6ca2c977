"""_exports.pxi - what the other compiled modules borrow from the heart (included in _tape.pyx).

Owns: nothing of its own: pointers to the table's loops and templates, doors to the kernels.  Each extension is loaded
by itself, so a C symbol of this one is out of their reach; a pointer or function that _tape.pxd names is not.
Next: _transform.pyx, _passes.pyx, _program.pyx.
"""

cdef fa_prim *PRIMS = fa_prims
cdef uint8_t *FORMS = FORM


cdef fa_cell scalar_kernel(uint16_t op, int din, const fa_cell *x) noexcept nogil:
    """One elementwise primitive on cells: what every sweep computes."""
    return fa_scalar(op, din, x)


cdef int run_code(fa_code *c, uint32_t boundary, fa_cell *v, fa_env *env) noexcept nogil:
    """Forward sweep in two parts.  Only instructions before `boundary` report floating-point exceptions: the partials
    behind it are masked, so what they raise is of no one's concern (0: there is no boundary)."""
    cdef int status, flags
    cdef uint32_t n = c.n
    if boundary == 0 or boundary >= n:
        return fa_forward(c, v, env)
    c.n = boundary
    status = fa_forward(c, v, env)
    flags = env.flags
    if status == FA_OK:
        c.begin = boundary
        c.n = n
        status = fa_forward(c, v, env)
    env.flags = flags
    return status


cdef int run_flat(fa_code *c, uint32_t boundary, fa_cell *v, fa_env *env) noexcept nogil:
    """`run_code` with this module's matrix product."""
    env.dgemm = dgemm
    env.flags = env.has_foreign = 0
    return run_code(c, boundary, v, env)


def templates_ready():
    """Have the partial derivatives of the table's rows been recorded?"""
    return fa_prims[FA_ADD].partial[0].out == FA_TSLOT_CONST     # d(a + b)/da = 1, a constant
