"""_banded.pxi - systems of equations whose matrix is stored by its diagonals (included in _tape.pyx).

Owns: LAPACK's routines for band matrices on SciPy's storage, ab[u + i - j, j] = A[i, j], which is (l + u + 1, n) in C
order; the product of such a matrix with vectors, and the band of an outer product, of which derivatives are made.
Symmetric matrices have one half of their band: l = 0 (upper form) or u = 0 (lower form).  What of `ab` lies outside of
the matrix is neither read by the products nor written but as 0.
Must not know: derivatives (banded_rules.py), SciPy's arguments (scipy_banded.py).
p.m is l + u + 1; p.form has l in units of BAND above its flags.  Factors end with LAPACK's `info`, so that a singular
matrix is an error of the solution and not of the factors.
Next: _lapack.pxi (full matrices), _factor.pxi (the table of the routines).
"""
from scipy.linalg.cython_lapack cimport dgbtrf, dgbtrs, dgtsv, dpbtrf, dpbtrs, dptsv

cdef enum: SYMMETRIC = 256, BAND = 512   # of `form`: one half of a band is stored; the unit of l


cdef int64_t lower_diagonals(const fa_lapack *p) noexcept nogil:
    return p.form // BAND


cdef int64_t band_factor_size(int64_t m, int64_t n, int64_t kl, bint symmetric) noexcept nogil:
    """Elements of a factor: L\\U with room for kl more diagonals, pivots, info; of a Cholesky factor: itself, info."""
    return m * n + 1 if symmetric else (m + kl + 1) * n + 1


# ---- right-hand sides one after the other, as LAPACK wants them ------------------------------------------------------
cdef bint in_columns(const fa_lapack *p) noexcept nogil:
    """Do they lie so already?"""
    return p.form & ROWWISE or p.k == 1


cdef void take_columns(const fa_lapack *p, const double *b, double *to) noexcept nogil:
    if in_columns(p):
        memcpy(to, b, p.n * p.k * 8)
    else:
        transpose(b, p.n, p.k, to)


cdef void give_columns(const fa_lapack *p, const double *found, double *y) noexcept nogil:
    if found != y:
        transpose(found, p.k, p.n, y)


# ---- one diagonal on either side -------------------------------------------------------------------------------------
cdef int tridiagonal(const fa_lapack *p, const double *ab, double *work, double *b) noexcept nogil:
    """b (k, n) becomes A^-1 b; work: 3 n.  SYMMETRIC: A is positive definite."""
    cdef int n = <int>p.n, k = <int>p.k, info = 0
    cdef int64_t off = p.n - 1, below = lower_diagonals(p)
    cdef double *d = work
    cdef double *lower = work + p.n
    cdef double *upper = lower + p.n
    if p.form & SYMMETRIC:
        memcpy(d, ab if below else ab + p.n, p.n * 8)
        memcpy(lower, ab + p.n if below else ab + 1, off * 8)
        dptsv(&n, &k, d, lower, b, &n, &info)
    else:
        memcpy(d, ab + p.n, p.n * 8)
        memcpy(upper, ab + 1, off * 8)
        memcpy(lower, ab + 2 * p.n, off * 8)
        if p.form & TRANS:
            dgtsv(&n, &k, upper, d, lower, b, &n, &info)
        else:
            dgtsv(&n, &k, lower, d, upper, b, &n, &info)
    return FAILED if info else 0


cdef int trisystem_one(const fa_lapack *p, const double *const *x, double *y) noexcept nogil:
    """A^-1 B (TRANS: A^-T B) of a tridiagonal matrix; B is (n, k), or for ROWWISE (k, n)."""
    cdef double *work
    cdef double *b = y
    cdef int status
    if p.n == 0 or p.k == 0:
        return 0
    work = <double *>fa_workspace((3 * p.n + (0 if in_columns(p) else p.n * p.k)) * 8)
    if work == NULL:
        return NO_MEMORY
    if not in_columns(p):
        b = work + 3 * p.n
    take_columns(p, x[1], b)
    status = tridiagonal(p, x[0], work, b)
    give_columns(p, b, y)
    return status


cdef int trifails_one(const fa_lapack *p, const double *const *x, double *y) noexcept nogil:
    """1 where trisystem or tripos fails, else 0: the decision of a program that catches the failure."""
    cdef fa_lapack one = p[0]
    cdef double *work = <double *>fa_workspace((4 * p.n + 1) * 8)
    if work == NULL:
        return NO_MEMORY
    one.k = 1
    memset(work + 3 * p.n, 0, p.n * 8)
    (<int64_t *>y)[0] = p.n and tridiagonal(&one, x[0], work, work + 3 * p.n) != 0
    return 0


# ---- bands of any width ----------------------------------------------------------------------------------------------
cdef int bandlu_one(const fa_lapack *p, const double *const *x, double *y) noexcept nogil:
    """L\\U of x in LAPACK's band storage, pivots, info."""
    cdef int n = <int>p.n, kl = <int>lower_diagonals(p), ku = <int>p.m - 1 - kl, ld = <int>p.m + kl, info = 0
    cdef int64_t i, j, size = p.n * ld
    memset(y + size, 0, (p.n + 1) * 8)
    if n:
        for j in range(p.n):
            memset(y + j * ld, 0, kl * 8)
            for i in range(p.m):
                y[j * ld + kl + i] = x[0][i * p.n + j]
        dgbtrf(&n, &n, &kl, &ku, y, &ld, <int *>(y + size), &info)
    (<int64_t *>y)[size + p.n] = info
    return 0


cdef bint bandlu_usable(const double *f, int64_t size, int64_t n) noexcept nogil:
    """No zero pivot, and row numbers within the matrix (those of a file might be anything)."""
    cdef const int *pivots = <const int *>(f + size)
    cdef int64_t i
    for i in range(n):
        if pivots[i] < 1 or pivots[i] > n:
            return False
    return (<const int64_t *>f)[size + n] == 0


cdef int bandsolve_one(const fa_lapack *p, const double *const *x, double *y) noexcept nogil:
    """A^-1 B (TRANS: A^-T B) by the factors x[2] of A; x[0], A itself, is there for its derivative."""
    cdef int n = <int>p.n, k = <int>p.k, kl = <int>lower_diagonals(p), ku = <int>p.m - 1 - kl, ld = <int>p.m + kl
    cdef int info = 0
    cdef char op = b'T' if p.form & TRANS else b'N'
    cdef double *b = y
    if not bandlu_usable(x[2], p.n * ld, p.n):
        return FAILED
    if n == 0 or k == 0:
        return 0
    if not in_columns(p):
        b = <double *>fa_workspace(p.n * p.k * 8)
        if b == NULL:
            return NO_MEMORY
    take_columns(p, x[1], b)
    dgbtrs(&op, &n, &kl, &ku, &k, <double *>x[2], &ld, <int *>(x[2] + p.n * ld), b, &n, &info)
    give_columns(p, b, y)
    return 0


cdef int bandchol_one(const fa_lapack *p, const double *const *x, double *y) noexcept nogil:
    """Cholesky factor of a positive definite band matrix in LAPACK's storage, info."""
    cdef int n = <int>p.n, above = <int>p.m - 1, ld = <int>p.m, info = 0
    cdef char uplo = b'L' if lower_diagonals(p) else b'U'
    if n:
        transpose(x[0], p.m, p.n, y)
        dpbtrf(&uplo, &n, &above, y, &ld, &info)
    (<int64_t *>y)[p.m * p.n] = info
    return 0


cdef int bandpos_one(const fa_lapack *p, const double *const *x, double *y) noexcept nogil:
    """A^-1 B by the Cholesky factor x[2] of A."""
    cdef int n = <int>p.n, k = <int>p.k, above = <int>p.m - 1, ld = <int>p.m, info = 0
    cdef char uplo = b'L' if lower_diagonals(p) else b'U'
    cdef double *b = y
    if (<const int64_t *>x[2])[p.m * p.n] != 0:
        return FAILED
    if n == 0 or k == 0:
        return 0
    if not in_columns(p):
        b = <double *>fa_workspace(p.n * p.k * 8)
        if b == NULL:
            return NO_MEMORY
    take_columns(p, x[1], b)
    dpbtrs(&uplo, &n, &above, &k, <double *>x[2], &ld, b, &n, &info)
    give_columns(p, b, y)
    return 0


# ---- products within the band ----------------------------------------------------------------------------------------
# They are of derivatives alone, so a zero silences a factor that is not finite.  Factors are masked, not the product:
# a compiler makes masks of this, and a branch of the other, three times as slow.
cdef inline double zero_product(double a, double b) noexcept nogil:
    return (a if b != 0.0 else 0.0) * (b if a != 0.0 else 0.0)


cdef void add_products(const fa_lapack *p, int64_t count, const double *a, const double *x, double *y) noexcept nogil:
    """y[j] += a[j] x[j] for the rows j < count of right-hand sides x, y (from their first row on)."""
    cdef int64_t c, j
    if in_columns(p):
        for c in range(p.k):
            for j in range(count):
                y[c * p.n + j] += zero_product(a[j], x[c * p.n + j])
    else:
        for j in range(count):
            for c in range(p.k):
                y[j * p.k + c] += zero_product(a[j], x[j * p.k + c])


cdef void add_dots(const fa_lapack *p, int64_t count, const double *v, const double *w, double *a) noexcept nogil:
    """a[j] += v[j] . w[j] for the rows j < count."""
    cdef int64_t c, j
    if in_columns(p):
        for c in range(p.k):
            for j in range(count):
                a[j] += zero_product(v[c * p.n + j], w[c * p.n + j])
    else:
        for j in range(count):
            for c in range(p.k):
                a[j] += zero_product(v[j * p.k + c], w[j * p.k + c])


cdef int bandmul_one(const fa_lapack *p, const double *const *x, double *y) noexcept nogil:
    """A X, or TRANS: A^T X; SYMMETRIC: of the matrix of which x[0] is one half."""
    cdef int64_t r, below, i0, j0, count, row = 1 if in_columns(p) else p.k
    cdef const double *a
    memset(y, 0, p.n * p.k * 8)
    for r in range(p.m):
        below = r - (p.m - 1 - lower_diagonals(p))           # i - j, the same along this row of ab
        i0, j0 = max(0, below), max(0, -below)
        count = p.n - i0 - j0
        a = x[0] + r * p.n + j0
        if p.form & SYMMETRIC or not p.form & TRANS:
            add_products(p, count, a, x[1] + j0 * row, y + i0 * row)
        if (p.form & SYMMETRIC and below) or (p.form & TRANS and not p.form & SYMMETRIC):
            add_products(p, count, a, x[1] + i0 * row, y + j0 * row)
    return 0


cdef int bandouter_one(const fa_lapack *p, const double *const *x, double *y) noexcept nogil:
    """The band of V W^T; SYMMETRIC: one half of the band of V W^T + W V^T, its diagonal once."""
    cdef int64_t r, below, i0, j0, count, row = 1 if in_columns(p) else p.k
    cdef double *a
    memset(y, 0, p.m * p.n * 8)
    for r in range(p.m):
        below = r - (p.m - 1 - lower_diagonals(p))
        i0, j0 = max(0, below), max(0, -below)
        count = p.n - i0 - j0
        a = y + r * p.n + j0
        add_dots(p, count, x[0] + i0 * row, x[1] + j0 * row, a)
        if p.form & SYMMETRIC and below:
            add_dots(p, count, x[1] + i0 * row, x[0] + j0 * row, a)
    return 0
