"""_fourier.pxi - Fourier transforms of our own (included in _tape.pyx).

Owns: the plans, one for each length, kept as long as all of them are small; the checks before memory is handed to C.
Must not know: norms, axes, derivatives (fourier.py).
Next: _kernels/fourier.h; _pocketfft.pxi (NumPy's).
"""
cdef extern from "_kernels/fourier.h" nogil:
    ctypedef struct fa_fourier_plan:
        int64_t bytes
    int FA_FT_COMPLEX
    int FA_FT_TO_HALF
    int FA_FT_TO_REAL
    int fa_fourier_smooth(int64_t n)
    fa_fourier_plan *fa_fourier_plan_new(int64_t n, int is_real)
    fa_fourier_plan *fa_fourier_plan_short(int64_t n)
    void fa_fourier_plan_free(fa_fourier_plan *p)
    int fa_fourier_rows(const fa_fourier_plan *p, int kind, int inverse, const double *x, int64_t nx, int64_t step_x,
                        double *y, int64_t ny, int64_t step_y, int64_t rows, double scale, double twice, int level)
    int fa_fourier_many(const fa_fourier_plan *p, int kind, int inverse, const double *x, int64_t nx, double *y,
                        int64_t ny, int64_t outer, int64_t inner, double scale, double twice, int level)

cdef dict FOURIER_KINDS = {"fft": FA_FT_COMPLEX, "ifft": FA_FT_COMPLEX, "rfft": FA_FT_TO_HALF, "irfft": FA_FT_TO_REAL}
cdef dict FOURIER_PLANS = {}                 # (length, kind) -> FourierPlan, the last used one at the end
cdef int64_t FOURIER_BYTES = 1 << 26         # of all plans but the newest


cdef class FourierPlan:
    """The roots of unity of one length; kind: 0 for long rows of complex numbers, 1 of reals, 2 for many short ones."""
    cdef fa_fourier_plan *p

    def __cinit__(self, int64_t n, int kind):
        if not fa_fourier_smooth(n):
            raise ValueError(f"Fourier transforms of {n} points have no plan")
        self.p = fa_fourier_plan_short(n) if kind == 2 else fa_fourier_plan_new(n, kind)
        if self.p == NULL:
            raise MemoryError(f"no memory for the roots of a Fourier transform of {n} points")

    def __dealloc__(self):
        fa_fourier_plan_free(self.p)


cdef FourierPlan fourier_plan(int64_t n, int kind):
    cdef tuple key = (n, kind)
    cdef FourierPlan plan = FOURIER_PLANS.pop(key, None)
    cdef int64_t total
    if plan is None:
        plan = FourierPlan(n, kind)
        total = sum([(<FourierPlan>one).p.bytes for one in FOURIER_PLANS.values()])
        while FOURIER_PLANS and total > FOURIER_BYTES:
            total -= (<FourierPlan>FOURIER_PLANS.pop(next(iter(FOURIER_PLANS)))).p.bytes
    FOURIER_PLANS[key] = plan
    return plan


def fourier_has(int64_t n):
    """Can transforms of this length be ours?"""
    return fa_fourier_smooth(n) != 0


def fourier_run(str name, x, y, int axis, int64_t n, double scale, double twice, bint many):
    """Transform x along an axis, n points each, into y.

    Parameters
    ----------
    name : {"fft", "ifft", "rfft", "irfft"}
    x, y : ndarray of float64, in C order
        Complex numbers are pairs along a last axis.  Where x has too few points zeros follow; of too many, and of
        results that have no room in y, the end is left out.  What y has room for beyond the results is set to zero.
    axis : int
        Not negative.
    n : int
        A length that `fourier_has`.
    scale, twice : float
        A factor of the results, and of the coefficients of half a spectrum that stand for two.
    many : bool
        Eight at a time, along any axis; else one after the other, along the last one, each by all threads.
    """
    cdef int kind = FOURIER_KINDS[name], inverse = name == "ifft", status = 0, level = fa_cpu_level()
    cdef int pair_x = 1 if kind == FA_FT_TO_HALF else 2, pair_y = 1 if kind == FA_FT_TO_REAL else 2
    cdef int64_t most_x = n // 2 + 1 if kind == FA_FT_TO_REAL else n, most_y = n // 2 + 1 if pair_x == 1 else n
    cdef int64_t nx, ny, used_x, used_y, outer = 1, inner = 1, k, tail
    cdef FourierPlan plan
    cdef const double *from_
    cdef double *to
    cdef tuple shape_x = x.shape[:-1] if pair_x == 2 else x.shape, shape_y = y.shape[:-1] if pair_y == 2 else y.shape
    if (x.dtype != np.float64 or y.dtype != np.float64 or not x.flags.c_contiguous or not y.flags.c_contiguous
            or not 0 <= axis < len(shape_x) or shape_x[:axis] != shape_y[:axis]
            or shape_x[axis + 1:] != shape_y[axis + 1:] or len(shape_x) != len(shape_y)
            or (pair_x == 2 and x.shape[x.ndim - 1] != 2) or (pair_y == 2 and y.shape[y.ndim - 1] != 2)
            or not fa_fourier_smooth(n) or not (many or axis == len(shape_x) - 1)):
        raise ValueError("fourier_run: arrays of float64 in C order, equal but along the axis, are meant")
    for k in shape_x[:axis]:
        outer *= k
    for k in shape_x[axis + 1:]:
        inner *= k
    nx, ny = shape_x[axis], shape_y[axis]
    used_x, used_y = min(nx, most_x), min(ny, most_y)
    from_ = <const double *>cnp.PyArray_DATA(x)
    to = <double *>cnp.PyArray_DATA(y)
    if used_x == 0 or used_y == 0 or outer * inner == 0:
        y[...] = 0.0
        return
    plan = fourier_plan(n, 2 if many else kind != FA_FT_COMPLEX)
    tail = (ny - used_y) * inner * pair_y
    with nogil:
        for k in range(outer if tail else 0):
            memset(to + (k * ny + used_y) * inner * pair_y, 0, <size_t>tail * sizeof(double))
        if many:
            status = fa_fourier_many(plan.p, kind, inverse, from_, nx, to, ny, outer, inner, scale, twice, level)
        else:
            status = fa_fourier_rows(plan.p, kind, inverse, from_, used_x, nx * pair_x, to, used_y, ny * pair_y, outer,
                                     scale, twice, level)
    if status:
        raise MemoryError(f"no memory for a Fourier transform of {n} points")
