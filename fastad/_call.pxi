"""_call.pxi - instructions that run Python code: the attribute behind ad.primitive (included in _tape.pyx).

Owns: the C callbacks of fa_call, which take the GIL, turn memory into numbers and arrays, and hand them to `rule`.
Must not know: what the rule does.  Next: control.py (primitive and its rules), structural_rules.py (emit_*).
"""

cdef object value_at(const char *data, uint32_t aval):
    """A fresh Python value of an operand: a NumPy scalar, or a copy of an array."""
    cdef const fa_aval *av = &AVALS[aval]
    cdef cnp.ndarray a
    if av.nd == 0:
        return copy_out(<const fa_cell *>data, av)
    a = new_ndarray(aval)
    if av.size:
        memcpy(cnp.PyArray_DATA(a), data, av.size * fa_itemsize[av.dtype])
    return a


cdef list values_at(Call call, int n, const char *const *data):
    """Values of the operands; None where there is no memory (a tangent that is zero)."""
    cdef int k
    return [None if data[k] == NULL else value_at(data[k], <uint32_t>call.avals[k]) for k in range(n)]


cdef class Undisturbed:
    """Foreign code runs as if nothing were recorded in this thread."""
    cdef list stack, saved

    def __enter__(self):
        self.stack = recordings()
        self.saved = self.stack[:]
        self.stack.clear()

    def __exit__(self, *error):
        self.stack[:] = self.saved


cdef int put_value(char *out, uint32_t aval, object y, bint add) except -1:
    """Store a result, or add an adjoint, of exactly this shape."""
    cdef const fa_aval *av = &AVALS[aval]
    cdef cnp.ndarray a = np.ascontiguousarray(y, dtype=DTYPES[av.dtype])
    cdef const char *x = <const char *>cnp.PyArray_DATA(a)
    cdef int64_t k
    if np.shape(y) != aval_shape(aval):
        raise ShapeError(f"a primitive gave a result of shape {np.shape(y)}, expected {aval_shape(aval)}")
    if not add:
        memcpy(out, x, av.size * fa_itemsize[av.dtype])
        return 0
    for k in range(av.size):
        if av.dtype == FA_F64:
            (<double *>out)[k] += (<const double *>x)[k]
        else:
            (<float *>out)[k] += (<const float *>x)[k]
    return 0


cdef int call_value(void *self, int n, const char *const *x, char *out) except -1 with gil:
    cdef Call call = <Call>self
    with Undisturbed():
        y = call.rule.value(values_at(call, n, x))
    return put_value(out, call.aval, y, False)


cdef int call_tangent(void *self, int n, const char *const *x, const char *y, const char *const *tin,
                      char *tout) except -1 with gil:
    cdef Call call = <Call>self
    with Undisturbed():
        y_dot = call.rule.tangent(values_at(call, n, tin), value_at(y, call.aval), values_at(call, n, x))
    return put_value(tout, call.aval, y_dot, False)


cdef int call_adjoint(void *self, int n, const char *const *x, const char *y, const char *w,
                      char *const *adj) except -1 with gil:
    cdef Call call = <Call>self
    cdef int k
    cdef list active = [k for k in range(n) if adj[k] != NULL]
    with Undisturbed():
        bars = call.rule.adjoint(active, value_at(w, call.aval), value_at(y, call.aval), values_at(call, n, x))
    for k in active:
        put_value(adj[k], <uint32_t>call.avals[k], bars[k], True)
    return 0


cdef class Call(Attr):
    """A float64 result computed by Python code.

    Parameters
    ----------
    rule : object
        `value(xs)`, `tangent(tangents, y, xs)` (None: a tangent that is zero), `adjoint(active, w, y, xs)` (a list,
        read at the operands in `active`), and `emit_tangent`, `emit_adjoint` for derivative tapes.
    avals : sequence of int
        Abstract values of the operands.
    aval : int
        Of the result.
    """
    cdef fa_call c
    cdef readonly object rule
    cdef readonly list avals
    cdef uint32_t aval

    def __init__(self, rule, avals, uint32_t aval):
        self.kind = "call"
        self.rule = rule
        self.avals = list(avals)
        self.aval = aval
        self.c.self = <void *>self
        self.c.fn = <foreign_fn>call_value
        self.c.jvp = <foreign_jvp>call_tangent
        self.c.vjp = <foreign_vjp>call_adjoint
        self.ptr = &self.c
        self.key = ("call", id(self))    # never equal to another

    def fields(self):
        return (self.name,)

    @property
    def name(self):
        """Name of the primitive."""
        return self.rule.name

    def emit_tangent(self, b, site):
        """Write the tangent of this instruction into a derivative tape."""
        return self.rule.emit_tangent(b, site)

    def emit_adjoint(self, r, site):
        """Write the adjoint of this instruction into a derivative tape."""
        return self.rule.emit_adjoint(r, site)


# ---- library routines ------------------------------------------------------------------------------------------------

cdef cnp.ndarray memory_at(const char *data, uint32_t aval, bint writeable):
    """The memory of an operand or result as an ndarray: no copy."""
    cdef cnp.npy_intp[64] dims
    cdef const fa_aval *av = &AVALS[aval]
    cdef cnp.ndarray a
    cdef int d
    for d in range(av.nd):
        dims[d] = av.shape[d]
    a = cnp.PyArray_SimpleNewFromData(av.nd, dims, NPY_TYPE[av.dtype], <void *>data)
    if not writeable:
        cnp.PyArray_CLEARFLAGS(a, cnp.NPY_ARRAY_WRITEABLE)
    return a


cdef list memories(Call call, int n, const char *const *data):
    cdef int k
    return [None if data[k] == NULL else memory_at(data[k], <uint32_t>call.avals[k], False) for k in range(n)]


cdef int library_value(void *self, int n, const char *const *x, char *out) except -1 with gil:
    cdef Call call = <Call>self
    with Undisturbed():
        call.rule.run(memories(call, n, x), memory_at(out, call.aval, True))
    return 0


cdef int library_tangent(void *self, int n, const char *const *x, const char *y, const char *const *tin,
                         char *tout) except -1 with gil:
    cdef Call call = <Call>self
    with Undisturbed():
        call.rule.run_tangent(memories(call, n, tin), memories(call, n, x), memory_at(tout, call.aval, True))
    return 0


cdef int library_adjoint(void *self, int n, const char *const *x, const char *y, const char *w,
                         char *const *adj) except -1 with gil:
    cdef Call call = <Call>self
    cdef int k
    cdef cnp.ndarray bar
    with Undisturbed():
        for k in range(n):
            if adj[k] != NULL:
                bar = memory_at(adj[k], <uint32_t>call.avals[k], True)
                (<object>bar)[...] += call.rule.adjoint(k, memory_at(w, call.aval, False), memories(call, n, x))
    return 0


cdef class Library(Call):
    """A float64 array computed by a routine of NumPy's or SciPy's, in place and without copies.

    Parameters
    ----------
    rule : object
        `run(xs, out)`, `run_tangent(tangents, xs, out)` (None: a tangent that is zero), `adjoint(k, w, xs)`;
        `emit_tangent`, `emit_adjoint` and `emit_batch` for derivative tapes; `key`, equal for equal rules.
    avals, aval
        As for Call.
    """

    def __init__(self, rule, avals, uint32_t aval):
        Call.__init__(self, rule, avals, aval)
        self.kind = "library"
        self.c.fn = <foreign_fn>library_value
        self.c.jvp = <foreign_jvp>library_tangent
        self.c.vjp = <foreign_vjp>library_adjoint
        self.key = ("library", rule.key, tuple(self.avals), aval)

    def fields(self):
        return (self.rule.key, self.avals, self.aval)

    def emit_batch(self, b, site):
        """Write this instruction for many lanes."""
        return self.rule.emit_batch(b, site)
