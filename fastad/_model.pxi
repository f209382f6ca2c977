"""_model.pxi - residuals and Jacobian of a recorded model, written where a solver wants them (included in _fit.pyx).

Owns: `Sweeps`: sweeps of the model's tapes without a Python object an evaluation, for the models that nearly all fits
have: numbers in, one float64 array in the shape of the data out, weighted by standard deviations.
Must not know: how tapes are made and found (optimize/fitted_model.py; asked when a branch goes another way).
"""

OWNER = "the fit at whose point this tape is"    # tapes are shared by fits of the same f, and fits may be nested
REACH = "what depends on each input"


def columns(Tape tape):
    """Derivatives of the only result by each input, all of them numbers, at this thread's last forward point.

    Returns
    -------
    ndarray, shape (n, *shape of the result)
    """
    cdef const fa_aval *av = &AVALS[tape.aval[<Py_ssize_t>tape.outputs[0]]]
    cdef cnp.ndarray found = np.empty((len(tape.inputs), *[av.shape[d] for d in range(av.nd)]))
    columns_at(tape, tape.swept("tangent"), av.size, <double *>cnp.PyArray_DATA(found))
    return found


cdef int columns_at(Tape tape, Frame f, Py_ssize_t m, double *to) except -1:
    """One tangent sweep an input, each over nothing but what depends on that input."""
    cdef Py_ssize_t i = tape.outputs[0], k, n = len(tape.inputs)
    cdef const fa_aval *av = &AVALS[tape.aval[i]]
    cdef cnp.ndarray reach = reach_of(tape)
    cdef uint8_t *active
    cdef list unit = [None] * n
    f.ensure_tangents()
    active = f.active
    try:
        for k in range(n):
            f.active = <uint8_t *>cnp.PyArray_DATA(reach) + k * <Py_ssize_t>tape.n
            if f.active[i]:
                unit[k] = 1.0
                tape.run_tangent(f, unit)
                unit[k] = None
                memcpy(to + k * m, fa_data(&f.t[i], av), m * sizeof(double))
            else:
                memset(to + k * m, 0, m * sizeof(double))
    finally:
        f.active = active
    return 0


cdef cnp.ndarray reach_of(Tape tape):
    """For each input: which active values depend on it, shape (inputs, values)."""
    cdef const uint32_t *ids = NULL
    cdef uint8_t *depends
    cdef uint32_t i, j, count
    cdef Py_ssize_t k, n = len(tape.inputs)
    cdef cnp.ndarray found = tape.derived.get(REACH)
    if found is not None:
        return found
    tape.is_active(tape.n - 1)
    found = np.zeros((n, tape.n), dtype=np.uint8)
    for k in range(n):
        depends = <uint8_t *>cnp.PyArray_DATA(found) + k * <Py_ssize_t>tape.n
        depends[<Py_ssize_t>tape.inputs[k]] = 1
        for i in range(1, tape.n):
            if not tape.act[i] or depends[i]:
                continue
            count = tape.operands(i, &ids)
            for j in range(count):
                if depends[ids[j]]:
                    depends[i] = 1
                    break
    tape.derived[REACH] = found
    return found


cdef class Sweeps:
    """(f(x, *p) - y) * weights and its Jacobian, by sweeps of a FittedModel's tapes.

    Parameters
    ----------
    model : FittedModel
        It has been evaluated, so there is a tape.
    n : int
        Its parameters.
    y : ndarray
        The data, in C order.
    weights : ndarray or None
        One number, or as many as data.
    """
    cdef object model, token
    cdef Tape tape, checked
    cdef bint usable
    cdef cnp.ndarray y, weights
    cdef const double *data
    cdef const double *weight
    cdef bint single
    cdef Py_ssize_t m, n

    def __init__(self, model, Py_ssize_t n, y, weights):
        self.model, self.token = model, object()
        self.y = np.ascontiguousarray(y, dtype=np.float64)
        self.data = <const double *>cnp.PyArray_DATA(self.y)
        self.m, self.n = self.y.size, n
        if weights is not None:
            self.weights = np.ascontiguousarray(weights, dtype=np.float64)
            self.weight = <const double *>cnp.PyArray_DATA(self.weights)
            self.single = self.weights.size == 1

    cdef bint fits(self) except -1:
        """Is the tape's result one float64 array like the data?"""
        cdef Tape tape = <Tape?>self.model.tape
        cdef const fa_aval *av
        cdef int d
        self.tape = tape
        if tape is not self.checked:
            self.checked = tape
            self.usable = False
            if tape.lone_out and len(tape.outputs) == 1 and len(tape.inputs) == self.n:
                av = &AVALS[tape.aval[<Py_ssize_t>tape.outputs[0]]]
                self.usable = av.dtype == FA_F64 and av.nd == self.y.ndim and av.nd > 0
                for d in range(av.nd if self.usable else 0):
                    self.usable &= av.shape[d] == self.y.shape[d]
        return self.usable

    cdef bint sweep(self, cnp.ndarray x) except -1:
        """Forward sweep at x."""
        if not self.fits():
            return False
        try:
            self.tape.run_forward(self.tape.frame(), x.tolist())
        except TapeDivergence as divergence:
            self.model.diverged(x, divergence)
            if not self.fits():
                return False
        self.tape.derived[OWNER] = self.token
        return True

    cdef int weigh(self, double *to) noexcept:
        cdef Py_ssize_t k
        if self.weight != NULL:
            for k in range(self.m):
                to[k] *= self.weight[0 if self.single else k]
        return 0

    cdef bint residuals(self, cnp.ndarray x, double *to) except -1:
        """Residuals at x; False: not by this way."""
        cdef const double *value
        cdef Frame f
        cdef Py_ssize_t k
        if not self.sweep(x):
            return False
        f = self.tape.frame()
        value = <const double *>f.v[<Py_ssize_t>self.tape.outputs[0]].p
        for k in range(self.m):
            to[k] = value[k] - self.data[k]
        self.weigh(to)
        return True

    cdef bint jacobian(self, cnp.ndarray x, double *to) except -1:
        """Columns of the Jacobian, one after the other; False: not by this way."""
        cdef Py_ssize_t k
        if not self.fits():
            return False
        if self.tape.derived.get(OWNER) is not self.token and not self.sweep(x):
            return False                 # somebody else's sweep has moved the point
        columns_at(self.tape, self.tape.frame(), self.m, to)
        for k in range(self.n if self.weight != NULL else 0):
            self.weigh(to + k * self.m)
        return True
