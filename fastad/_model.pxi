"""_model.pxi - residuals and Jacobian of a recorded model, written where a solver wants them (included in _fit.pyx).

Owns: `Sweeps`: sweeps of the model's tapes without a Python object an evaluation, for the models that nearly all fits
have: numbers in, one float64 array in the shape of the data out, weighted by standard deviations.
Must not know: how tapes are made and found (optimize/fitted_model.py; asked when a branch goes another way).
"""

OWNER = "the fit at whose point this tape is"    # tapes are shared by fits of the same f, and fits may be nested
COLUMNS = "all columns of the Jacobian"


cdef class Sweeps:
    """(f(x, *p) - y) * weights and its Jacobian, by sweeps of a FittedModel's tapes.

    Parameters
    ----------
    model : FittedModel
        It has been evaluated, so there is a tape.
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
    cdef list units

    def __init__(self, model, y, weights):
        self.model, self.token, self.units = model, object(), model.units
        self.y = np.ascontiguousarray(y, dtype=np.float64)
        self.data = <const double *>cnp.PyArray_DATA(self.y)
        self.m, self.n = self.y.size, len(self.units)
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
        if not self.fits():
            return False
        columns = self.tape.derived.get(COLUMNS)
        if columns is None and self.model.columns_pay(self.m):
            columns = self.model.columns()
        if columns is None:
            return self.tangents(x, to)
        return self.from_columns(<Tape?>columns, x, to)

    cdef bint from_columns(self, Tape columns, cnp.ndarray x, double *to) except -1:
        cdef Frame f = columns.frame()
        cdef Py_ssize_t i, k
        columns.run_forward(f, x.tolist())
        for k in range(self.n):
            i = columns.outputs[k]
            self.put(&f.v[i], &AVALS[columns.aval[i]], to + k * self.m)
        return True

    cdef bint tangents(self, cnp.ndarray x, double *to) except -1:
        """The same by one sweep a parameter, as long as there is no tape for all of them."""
        cdef Frame f
        cdef Py_ssize_t i, k
        if self.tape.derived.get(OWNER) is not self.token and not self.sweep(x):
            return False
        f = self.tape.frame()
        i = self.tape.outputs[0]
        for k in range(self.n):
            self.tape.run_tangent(f, self.units[k])
            if f.active[i]:
                self.put(&f.t[i], &AVALS[self.tape.aval[i]], to + k * self.m)
            else:
                memset(to + k * self.m, 0, self.m * sizeof(double))
        return True

    cdef int put(self, const fa_cell *cell, const fa_aval *av, double *to) noexcept:
        """A column, weighted; a number stands for a column of it."""
        cdef Py_ssize_t k
        if av.nd:
            memcpy(to, cell.p, self.m * sizeof(double))
        else:
            for k in range(self.m):
                to[k] = cell.f
        return self.weigh(to)
