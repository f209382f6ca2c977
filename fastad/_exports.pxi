"""_exports.pxi - what the other compiled modules borrow from the heart (included in _tape.pyx).

Owns: nothing of its own: pointers to the table's loops and templates, doors to the kernels.  Each extension is loaded
by itself, so a C symbol of this one is out of their reach; a pointer or function that _tape.pxd names is not.
Next: _transform.pyx, _passes.pyx, _program.pyx.
"""

cdef extern from "_kernels/scalar.h" nogil:
    void fa_fpraise(int flags)

cdef extern from "_kernels/burst.h" nogil:
    int fa_run_bursts(const fa_burst *b, fa_cell *v, int64_t place, int64_t runs, const char *const *x, char *out,
                      char *kept, fa_env *env)

cdef extern from "_kernels/native.h" nogil:
    double fa_native_number(fa_env *env, uint32_t op, double a, double b)
    int64_t fa_native_cells(fa_env *env, uint32_t op, uint32_t din, int64_t a, int64_t b, int64_t c)
    int64_t fa_native_cast(uint32_t din, uint32_t dout, int64_t x)
    int fa_run_native(fa_native_fn fn, int64_t work, double *state, char **base, int64_t steps, fa_env *env)


cdef extern from "_kernels/machine_code.h" nogil:
    char *fa_code_make(fa_run *runs, uint32_t nruns, uint32_t ncells, size_t *nbytes)

cdef extern from "_kernels/chain_code.h" nogil:
    char *fa_chains_make(const fa_fused *const *fused, uint32_t n, int level, size_t *nbytes)
    void fa_code_free(char *code, size_t nbytes)


cdef fa_prim *PRIMS = fa_prims
cdef uint8_t *FORMS = FORM


cdef const fa_template *partial_of(int op, int dtype, int k) noexcept nogil:
    """The partial derivative of a row by operand k, in the dtype of the operands."""
    return &fa_prims[op].partial_f32[k] if dtype == FA_F32 else &fa_prims[op].partial[k]


cdef fa_cell scalar_kernel(uint16_t op, int din, const fa_cell *x) noexcept nogil:
    """One elementwise primitive on cells: what every sweep computes."""
    return fa_scalar(op, din, x)


cdef int run_code(fa_code *c, uint32_t boundary, fa_cell *v, fa_env *env) noexcept nogil:
    """Forward sweep in two parts.  Only instructions before `boundary` report floating-point exceptions and the errors
    of SciPy's loops: the partials behind it are masked, so what they raise is of no one's concern (0: there is no
    boundary)."""
    cdef int status, flags
    cdef uint32_t n = c.n
    if 0 < boundary < n:
        c.n = boundary
    status = fa_forward(c, v, env)
    if status == FA_OK and env.has_foreign and foreign_error():
        return FA_EFOREIGN
    if status == FA_OK and c.n < n:
        flags = env.flags
        env.has_foreign = 0
        c.begin = boundary
        c.n = n
        status = fa_forward(c, v, env)
        env.flags = flags
        if status == FA_OK and env.has_foreign:
            forget_foreign()
    return status


cdef int foreign_error() noexcept with gil:
    """Has a loop of NumPy's (integers to negative powers) or SciPy's set a Python error?"""
    return PyErr_Occurred() != NULL


cdef int look_for_signals() noexcept with gil:
    """Ctrl-C while a sweep runs: 1, with the error that the handler of the signal has raised."""
    return PyErr_Occurred() == NULL and PyErr_CheckSignals() != 0


fa_set_poll(look_for_signals)


cdef int forget_foreign() noexcept with gil:
    """Drop the error of a loop in derivative code."""
    if PyErr_Occurred() != NULL:
        PyErr_Clear()
    return 0


cdef int run_flat(fa_code *c, uint32_t boundary, fa_cell *v, fa_env *env) noexcept nogil:
    """`run_code` with this module's matrix product."""
    cdef int status
    matrix_products(env)
    env.flags = env.has_foreign = 0
    status = run_code(c, boundary, v, env)
    return status if status != FA_OK else fa_after_work(c.n)     # a step of a loop that has scalars alone


cdef void raise_flags(int flags) noexcept nogil:
    """The floating-point exceptions of a sweep within a sweep, for the one around to report."""
    fa_fpraise(flags)


cdef int run_bursts(const fa_burst *b, fa_cell *v, int64_t place, int64_t runs, const char *const *x, char *out,
                    char *kept, fa_env *env) noexcept nogil:
    """A loop over numbers; env.flags: its exceptions, too."""
    cdef int status
    env.has_foreign = 0
    status = fa_run_bursts(b, v, place, runs, x, out, kept, env)
    return FA_EFOREIGN if status == FA_OK and env.has_foreign and foreign_error() else status


cdef int run_native(fa_native_fn fn, int64_t work, double *state, char **base, int64_t steps,
                    fa_env *env) noexcept nogil:
    """The same as machine code."""
    cdef int status
    env.flags = env.where = env.has_foreign = 0
    status = fa_run_native(fn, work, state, base, steps, env)
    return FA_EFOREIGN if status == FA_OK and env.has_foreign and foreign_error() else status


def native_kernels():
    """Addresses of what machine code calls back: one of the table's loops on a number, any primitive, a conversion."""
    return <size_t>&fa_native_number, <size_t>&fa_native_cells, <size_t>&fa_native_cast


def templates_ready():
    """Have the partial derivatives of the table's rows been recorded?"""
    return fa_prims[FA_ADD].partial[0].out == FA_TSLOT_CONST     # d(a + b)/da = 1, a constant


cdef char *make_code(fa_run *runs, uint32_t nruns, uint32_t ncells, size_t *nbytes) noexcept nogil:
    """Code of the processor for packed scalars; NULL where there can be none, and the words run."""
    return fa_code_make(runs, nruns, ncells, nbytes) if fa_cpu_level() >= 3 else NULL


cdef char *make_chain_code(const fa_fused *const *fused, uint32_t n, size_t *nbytes) noexcept nogil:
    """The same for the chains of n loops, whose steps run where there is none."""
    return fa_chains_make(fused, n, fa_cpu_level(), nbytes)


cdef void free_code(char *code, size_t nbytes) noexcept nogil:
    fa_code_free(code, nbytes)
