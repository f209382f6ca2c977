"""_foreign.pxi - what the sweeps call outside our own kernels (included in _tape.pyx).

Owns: the matrix product of BLAS (through SciPy's Cython interface), custom primitives that run Python code, and the
translation of floating-point flags into NumPy's warnings.
"""
from scipy.linalg.cython_blas cimport dgemm as blas_dgemm, sgemm as blas_sgemm
import sys
import warnings

cdef extern from "<fenv.h>" nogil:
    int FE_DIVBYZERO
    int FE_OVERFLOW
    int FE_INVALID


ctypedef fused real:
    double
    float


cdef inline void gemm(int ta, int tb, int64_t m, int64_t n, int64_t k, const real *a, const real *b, real *c,
                      real beta) noexcept nogil:
    """Row-major c = op(a) op(b) + beta c: the column-major product of the transposes, operands exchanged."""
    cdef int m_ = <int>m
    cdef int n_ = <int>n
    cdef int k_ = <int>k
    cdef int lda = m_ if ta else k_
    cdef int ldb = k_ if tb else n_
    cdef real one = 1.0
    cdef char trans_a = b'T' if ta else b'N'
    cdef char trans_b = b'T' if tb else b'N'
    lda = max(lda, 1)
    ldb = max(ldb, 1)
    n_ = max(n_, 1)
    if real is double:
        blas_dgemm(&trans_b, &trans_a, &n_, &m_, &k_, &one, <double *>b, &ldb, <double *>a, &lda, &beta, c, &n_)
    else:
        blas_sgemm(&trans_b, &trans_a, &n_, &m_, &k_, &one, <float *>b, &ldb, <float *>a, &lda, &beta, c, &n_)


cdef void dgemm(int ta, int tb, int64_t m, int64_t n, int64_t k, const double *a, const double *b, double *c,
                double beta) noexcept nogil:
    gemm(ta, tb, m, n, k, a, b, c, beta)


cdef void sgemm(int ta, int tb, int64_t m, int64_t n, int64_t k, const float *a, const float *b, float *c,
                float beta) noexcept nogil:
    gemm(ta, tb, m, n, k, a, b, c, beta)


cdef int matrix_products(fa_env *env) noexcept nogil:
    """Give a sweep the matrix products of BLAS."""
    env.dgemm = dgemm
    env.sgemm = sgemm
    return 0


cdef int flags_to_report(Tape t, int flags) except -1:
    """Floating-point exceptions of a sweep without those that the recorded function itself ignored (np.errstate)."""
    if not flags & (FE_DIVBYZERO | FE_OVERFLOW | FE_INVALID):
        return 0
    if not t.ignored:
        return flags
    for bit, kind in ((FE_DIVBYZERO, "divide"), (FE_OVERFLOW, "over"), (FE_INVALID, "invalid")):
        if kind in t.ignored:
            flags &= ~<int>bit
    return flags


cdef int user_depth() except -1:
    """The stack level, as warnings.warn counts it, of the user's line that led here."""
    cdef int depth = 1
    frame = sys._getframe(0)
    while frame is not None and not is_user_code(frame.f_code):
        frame = frame.f_back
        depth += 1
    return depth


cdef int report_flags(int flags) except -1:
    """Do with the floating-point exceptions of a sweep what np.errstate says; a warning once a sweep."""
    cdef dict todo
    if not flags & (FE_DIVBYZERO | FE_OVERFLOW | FE_INVALID):
        return 0
    todo = np.geterr()
    for bit, kind, text in ((FE_DIVBYZERO, "divide", "divide by zero"), (FE_OVERFLOW, "over", "overflow"),
                            (FE_INVALID, "invalid", "invalid value")):
        if not flags & <int>bit or todo[kind] == "ignore":
            continue
        message = f"{text} encountered in a sweep of a fastad tape (ad.debug_nonfinite names the operation)"
        if todo[kind] == "raise":
            raise FloatingPointError(message)
        if todo[kind] == "call" and np.geterrcall() is not None:
            np.geterrcall()(text, flags)
        elif todo[kind] in ("warn", "print", "log"):
            warnings.warn(message, RuntimeWarning, stacklevel=user_depth())
    return 0


def report_exceptions(int flags):
    """Do with floating-point exceptions of several sweeps, collected, what np.errstate says."""
    report_flags(flags)
