"""_fourier.pxi - Fourier transforms of our own (included in _tape.pyx).

Owns: the plans, one for each length, kept as long as all of them are small; the checks before memory is handed to C.
Must not know: norms, axes, derivatives (fourier.py).
Next: _kernels/fourier.h.
"""
cdef extern from "_kernels/fourier.h" nogil:
    ctypedef struct fa_fourier_plan:
        int64_t bytes
    int FA_FT_COMPLEX
    int FA_FT_TO_HALF
    int FA_FT_TO_REAL
    int fa_fourier_smooth(int64_t n)
    fa_fourier_plan *fa_fourier_plan_new(int64_t n, int is_real)
    void fa_fourier_plan_free(fa_fourier_plan *p)
    int fa_fourier_run(const fa_fourier_plan *p, int kind, int inverse, const double *x, int64_t nx, double *y,
                       int64_t ny, double scale, double inner, int level)

cdef dict FOURIER_KINDS = {"fft": FA_FT_COMPLEX, "ifft": FA_FT_COMPLEX, "rfft": FA_FT_TO_HALF, "irfft": FA_FT_TO_REAL}
cdef dict FOURIER_PLANS = {}                 # (length, of reals?) -> FourierPlan, the last used one at the end
cdef int64_t FOURIER_BYTES = 1 << 26         # of all plans but the newest


cdef class FourierPlan:
    """The roots of unity of one length."""
    cdef fa_fourier_plan *p

    def __cinit__(self, int64_t n, bint is_real):
        self.p = fa_fourier_plan_new(n, is_real)
        if self.p == NULL:
            raise MemoryError(f"no memory for the roots of a Fourier transform of {n} points")

    def __dealloc__(self):
        fa_fourier_plan_free(self.p)


cdef FourierPlan fourier_plan(int64_t n, bint is_real):
    cdef tuple key = (n, is_real)
    cdef FourierPlan plan = FOURIER_PLANS.pop(key, None)
    cdef FourierPlan other
    cdef int64_t total
    if plan is None:
        plan = FourierPlan(n, is_real)
        total = sum([(<FourierPlan>one).p.bytes for one in FOURIER_PLANS.values()])
        while FOURIER_PLANS and total > FOURIER_BYTES:
            other = FOURIER_PLANS.pop(next(iter(FOURIER_PLANS)))
            total -= other.p.bytes
    FOURIER_PLANS[key] = plan
    return plan


def fourier_has(int64_t n):
    """Are transforms of this length ours?"""
    return fa_fourier_smooth(n) != 0


def fourier_run(str name, x, y, int64_t n, double scale, double inner):
    """Transform the rows of x, of n points each, into the rows of y.

    Parameters
    ----------
    name : {"fft", "ifft", "rfft", "irfft"}
    x, y : ndarray of float64, in C order
        Complex rows are pairs.  Rows of x that are too short are filled up with zeros; of longer ones, and of results
        that have no room in y, the end is left out.  What y has room for beyond the results is set to zero.
    n : int
        A length that `fourier_has`.
    scale, inner : float
        A factor of the results, and of the coefficients of half a spectrum that stand for two.
    """
    cdef int kind = FOURIER_KINDS[name], inverse = name == "ifft", status = 0
    cdef int64_t nx, ny, rows = 1, k, last, width_x = 1 if kind == FA_FT_TO_HALF else 2
    cdef int64_t width_y = 1 if kind == FA_FT_TO_REAL else 2, most_x = n, most_y = n, left
    cdef FourierPlan plan
    cdef const double *from_
    cdef double *to
    cdef int level = fa_cpu_level()
    last = x.ndim - (1 if kind == FA_FT_TO_HALF else 2)
    if (x.dtype != np.float64 or y.dtype != np.float64 or not x.flags.c_contiguous or not y.flags.c_contiguous
            or last < 0 or y.ndim - (1 if kind == FA_FT_TO_REAL else 2) != last or x.shape[:last] != y.shape[:last]
            or not fa_fourier_smooth(n)):
        raise ValueError("fourier_run: rows of float64 in C order are meant")
    for k in range(last):
        rows *= x.shape[k]
    nx, ny = x.shape[last], y.shape[last]
    if kind == FA_FT_TO_HALF:
        most_y = n // 2 + 1
    elif kind == FA_FT_TO_REAL:
        most_x = n // 2 + 1
    plan = fourier_plan(n, kind != FA_FT_COMPLEX)
    from_, to = <const double *>cnp.PyArray_DATA(x), <double *>cnp.PyArray_DATA(y)
    left = max(ny - most_y, <int64_t>0)
    with nogil:
        for k in range(rows):
            status |= fa_fourier_run(plan.p, kind, inverse, from_ + k * nx * width_x, min(nx, most_x),
                                     to + k * ny * width_y, min(ny, most_y), scale, inner, level)
            memset(to + (k * ny + ny - left) * width_y, 0, <size_t>(left * width_y) * sizeof(double))
    if status:
        raise MemoryError(f"no memory for a Fourier transform of {n} points")
