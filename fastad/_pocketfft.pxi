"""_pocketfft.pxi - NumPy's Fourier transforms, called where they are compiled (included in _tape.pyx).

Owns: the loops of NumPy's transforms, and what they are called with.
numpy.fft prepares a call in some microseconds, as much as a transform of 256 points takes.  Its loops are those of
generalized ufuncs of a module that is NumPy's own: where that module, or one of the loops, is another one than is known
here, `pocket_loop` says so, and numpy.fft is called.  The bits are the same either way.
Must not know: which transforms are wanted (fourier.py), transforms of our own (_fourier.pxi).
"""
ctypedef void (*gufunc_loop)(char **, cnp.npy_intp *, cnp.npy_intp *, void *) noexcept nogil

cdef enum: AS_IT_IS, DOUBLED, HALVED         # what becomes of the coefficients of half a spectrum that stand for two


cdef bint pocket_loop(str name, gufunc_loop *fn, void **data) except -1:
    """Find a transform's loop for float64; False: it is not there."""
    cdef PyUFuncObject *u
    cdef int k
    types = {"irfft": "Dd->d", "fft": "Dd->D", "ifft": "Dd->D"}.get(name, "dd->D")
    signature = "(m),()->(n)" if name in ("ifft", "irfft") else "(n),()->(m)"
    try:
        from numpy.fft import _pocketfft_umath as module
    except ImportError:
        return False
    ufunc = getattr(module, name, None)
    if not isinstance(ufunc, np.ufunc) or ufunc.signature != signature:
        return False
    u = <PyUFuncObject *><void *>ufunc
    for k in range(u.ntypes):
        if ufunc.types[k] == types:
            fn[0] = <gufunc_loop>u.functions[k]
            data[0] = u.data[k] if u.data != NULL else NULL
            return True
    return False


cdef int pass_on_error() except? -1:
    """Raise what a loop has left behind: it has no memory."""
    return -1 if PyErr_Occurred() != NULL else 0


@cython.final
cdef class PocketTransform:
    """A transform of n points along the middle axis of (outer, points, inner), by NumPy's loop.

    Parameters
    ----------
    name : {"fft", "ifft", "rfft", "irfft"}
    n, outer, inner : int
        All points are there: nothing is cut or filled up.
    scale : float
        A factor.
    half : {0, 1, 2}
        Of half a spectrum, the coefficients that stand for two are doubled in a result, or count half in an operand.
    ends : float
        With 2: the factor of the other coefficients in the result.
    """
    cdef gufunc_loop fn
    cdef void *data
    cdef cnp.npy_intp[3] dims
    cdef cnp.npy_intp[5] steps
    cdef int64_t n, outer, inner, nx, ny     # nx, ny: of numbers, a row's
    cdef int half
    cdef double scale, ends
    cdef readonly bint known

    def __init__(self, str name, int64_t n, int64_t outer, int64_t inner, double scale, int half=AS_IT_IS,
                 double ends=0.0):
        cdef int64_t points_x = n // 2 + 1 if name == "irfft" else n, points_y = n // 2 + 1 if name == "rfft" else n
        cdef int size_x = 8 if name == "rfft" else 16, size_y = 8 if name == "irfft" else 16
        self.n, self.outer, self.inner, self.scale, self.half, self.ends = n, outer, inner, scale, half, ends
        self.nx, self.ny = points_x * inner * size_x // 8, points_y * inner * size_y // 8
        self.dims[0], self.dims[1], self.dims[2] = inner, points_x, points_y
        self.steps[0], self.steps[1], self.steps[2] = size_x, 0, size_y
        self.steps[3], self.steps[4] = size_x * inner, size_y * inner
        self.known = n > 0 and pocket_loop(f"rfft_n_{'odd' if n % 2 else 'even'}" if name == "rfft" else name,
                                           &self.fn, &self.data)

    def run(self, cnp.ndarray x, cnp.ndarray y):
        """Transform x into y: arrays of float64 in C order, pairs for complex numbers."""
        cdef const double *from_
        cdef double *to
        cdef char *args[3]
        cdef int64_t k
        if not self.known or cnp.PyArray_SIZE(x) != self.outer * self.nx \
                or cnp.PyArray_SIZE(y) != self.outer * self.ny or cnp.PyArray_TYPE(x) != cnp.NPY_DOUBLE \
                or cnp.PyArray_TYPE(y) != cnp.NPY_DOUBLE or not cnp.PyArray_IS_C_CONTIGUOUS(x) \
                or not cnp.PyArray_IS_C_CONTIGUOUS(y):
            raise ValueError("PocketTransform: arrays of float64 in C order, of the sizes said, are meant")
        from_ = <const double *>cnp.PyArray_DATA(x)
        to = <double *>cnp.PyArray_DATA(y)
        with nogil:
            for k in range(self.outer):
                args[0] = <char *>(from_ + k * self.nx)
                args[1] = <char *>&self.scale
                args[2] = <char *>(to + k * self.ny)
                self.fn(args, self.dims, self.steps, self.data)
                if self.half == DOUBLED:
                    self.double_inner(to + k * self.ny)
                elif self.half == HALVED:
                    self.halve_inner(from_ + k * self.nx, to + k * self.ny)
        pass_on_error()

    cdef void double_inner(self, double *y) noexcept nogil:
        """All coefficients but the first, and the last of an even length."""
        cdef int64_t row = 2 * self.inner, k
        for k in range(row, (self.n + 1) // 2 * row):
            y[k] *= 2.0

    cdef void halve_inner(self, const double *z, double *y) noexcept nogil:
        """Half of the result, and half of the two ends of the spectrum, which it has once."""
        cdef int64_t inner = self.inner, k, j
        cdef const double *last = z + self.n * inner
        cdef double first
        for k in range(self.n):
            for j in range(inner):
                first = self.ends * z[2 * j]
                if self.n % 2 == 0:
                    first = first - self.ends * last[2 * j] if k % 2 else first + self.ends * last[2 * j]
                y[k * inner + j] = 0.5 * y[k * inner + j] + first
