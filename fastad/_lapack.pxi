"""_lapack.pxi - the routines of dense linear algebra on one matrix (included in _tape.pyx).

Owns: how the arrays of a tape, which lie in C order, are handed to BLAS and LAPACK, which read Fortran order.  What
Fortran reads in our memory is the transposed matrix: Cholesky factors, triangular solutions and products take that into
account and copy nothing; LU, QR, eigenvalues and SVD start from a transposed copy, so that pivots, signs and the
decision "singular" are those of NumPy, which calls the same routines.
Must not know: derivatives (linear_rules.py has them, on the same routines), shapes of more than one matrix.
Results of several parts are one vector: LU: L\\U, pivots; eigh: w, V.T; svd: s, U.T, V; qr: Q.T, R.
Next: _banded.pxi (band matrices), _factor.pxi (the table of these routines), factorizations.py (which function of
NumPy is made of which).
"""
from libc.math cimport exp, fabs, log
from scipy.linalg.cython_blas cimport dtrsm
from scipy.linalg.cython_lapack cimport dgelsd, dgeqrf, dgesdd, dgetrf, dgetrs, dorgqr, dpotrf, dsyevd

cdef extern from "_kernels/scratch.h" nogil:
    void *fa_workspace(size_t bytes)

# bits of `form`
cdef enum: TRANS = 1, ROWWISE = 2, UPPER = 4, UNIT = 8, FULL = 16, HALF = 32, NONE = 64, DOUBLE = 128
cdef enum: FAILED = 1, NO_MEMORY = 2
cdef enum: PANEL = 128                   # columns of a block; copies go by tiles of 32 (a range wants a literal)
cdef double ONE = 1.0


cdef void transpose(const double *x, int64_t m, int64_t n, double *y) noexcept nogil:
    """y (n, m) = x (m, n) transposed, tile by tile."""
    cdef int64_t i, j, i0, j0, i1, j1
    for i0 in range(0, m, 32):
        i1 = min(i0 + 32, m)
        for j0 in range(0, n, 32):
            j1 = min(j0 + 32, n)
            for j in range(j0, j1):
                for i in range(i0, i1):
                    y[j * m + i] = x[i * n + j]


cdef void submatrix_product(bint ta, bint tb, int m, int n, int k, double alpha, const double *a, int lda,
                            const double *b, int ldb, double beta, double *c, int ldc) noexcept nogil:
    """c (m, n) = alpha op(a) op(b) + beta c in C order, parts of larger matrices."""
    cdef char trans_a = b'T' if ta else b'N'
    cdef char trans_b = b'T' if tb else b'N'
    if m and n:
        blas_dgemm(&trans_b, &trans_a, &n, &m, &k, &alpha, <double *>b, &ldb, <double *>a, &lda, &beta, c, &ldc)


cdef void trsm(char side, bint upper, bint trans, bint unit, int m, int n, const double *a, int lda, double *b,
               int ldb) noexcept nogil:
    """Fortran's own view: b (m, n) = op(a)^-1 b, or b op(a)^-1 for side R."""
    cdef char uplo = b'U' if upper else b'L'
    cdef char op = b'T' if trans else b'N'
    cdef char diag = b'U' if unit else b'N'
    if m and n:
        dtrsm(&side, &uplo, &op, &diag, &m, &n, &ONE, <double *>a, &lda, b, &ldb)


# ---- triangles ------------------------------------------------------------------------------------------------------
cdef int tri_one(const fa_lapack *p, const double *const *x, double *y) noexcept nogil:
    """The lower (UPPER: upper) triangle of x (m, n), zeros elsewhere; the diagonal as it is, halved, doubled, or 0."""
    cdef int64_t i, j, m = p.m, n = p.n
    cdef double factor = 0.5 if p.form & HALF else 2.0 if p.form & DOUBLE else 0.0 if p.form & NONE else 1.0
    for i in range(m):
        j = min(i, n)
        if p.form & UPPER:
            memset(y + i * n, 0, j * 8)
            memcpy(y + i * n + j, x[0] + i * n + j, (n - j) * 8)
        else:
            memcpy(y + i * n, x[0] + i * n, j * 8)
            memset(y + i * n + j, 0, (n - j) * 8)
        if i < n:
            y[i * n + i] = factor * x[0][i * n + i] if factor else 0.0
    return 0


cdef int fold_one(const fa_lapack *p, const double *const *x, double *y) noexcept nogil:
    """The adjoint of `mirror`: what is above the diagonal is added to what is below (UPPER: the other way)."""
    cdef int64_t i, j, i0, j0, i1, j1, n = p.n
    cdef bint upper = (p.form & UPPER) != 0
    cdef const double *a = x[0]
    for i0 in range(0, n, 32):
        i1 = min(i0 + 32, n)
        for j0 in range(0, n, 32):
            j1 = min(j0 + 32, n)
            for i in range(i0, i1):
                for j in range(j0, j1):
                    if i == j:
                        y[i * n + j] = a[i * n + j]
                    else:
                        y[i * n + j] = a[i * n + j] + a[j * n + i] if (i < j) == upper else 0.0
    return 0


cdef int mirror_one(const fa_lapack *p, const double *const *x, double *y) noexcept nogil:
    """The symmetric matrix of which x is the lower (UPPER: upper) triangle."""
    cdef int64_t i, j, i0, j0, i1, j1, n = p.n
    cdef bint upper = (p.form & UPPER) != 0
    cdef const double *a = x[0]
    for i0 in range(0, n, 32):
        i1 = min(i0 + 32, n)
        for j0 in range(0, n, 32):
            j1 = min(j0 + 32, n)
            for i in range(i0, i1):
                for j in range(j0, j1):
                    y[i * n + j] = a[i * n + j] if i == j or (i < j) == upper else a[j * n + i]
    return 0


# ---- LU -------------------------------------------------------------------------------------------------------------
cdef int lu_one(const fa_lapack *p, const double *const *x, double *y) noexcept nogil:
    """L\\U of x in Fortran order, and the pivots; a zero on the diagonal is no failure yet."""
    cdef int n = <int>p.n, info = 0, ld = max(1, n)
    transpose(x[0], n, n, y)
    memset(y + p.n * n, 0, n * 8)
    if n:
        dgetrf(&n, &n, y, &ld, <int *>(y + p.n * n), &info)
    return 0


cdef bint lu_usable(const double *f, int64_t n) noexcept nogil:
    """No zero pivot, and row numbers within the matrix (those of a file might be anything)."""
    cdef const int *pivots = <const int *>(f + n * n)
    cdef int64_t i
    for i in range(n):
        if f[i * (n + 1)] == 0.0 or pivots[i] < 1 or pivots[i] > n:
            return False
    return True


cdef void swap_rows(double *y, int64_t n, int64_t k, const int *pivots, bint back) noexcept nogil:
    """Rows of y (n, k) in the order of the pivots, or back from it."""
    cdef int64_t step, i, j, other
    cdef double t
    for step in range(n):
        i = n - 1 - step if back else step
        other = pivots[i] - 1
        if other != i:
            for j in range(k):
                t = y[i * k + j]
                y[i * k + j] = y[other * k + j]
                y[other * k + j] = t


cdef int lu_solve(const double *f, int64_t size, int64_t columns, bint trans, bint rows, double *y) noexcept nogil:
    """y = A^-1 y or A^-T y; y is (n, k), or for `rows` (k, n): right-hand sides one after the other."""
    cdef int n = <int>size, k = <int>columns, ld = max(1, n), info = 0
    cdef char op = b'T' if trans else b'N'
    cdef int *pivots = <int *>(f + size * size)
    if not lu_usable(f, size):
        return FAILED
    if n == 0 or k == 0:
        return 0
    if rows or k == 1:
        dgetrs(&op, &n, &k, <double *>f, &ld, pivots, y, &ld, &info)
    elif trans:
        trsm(b'R', True, False, False, k, n, f, n, y, k)
        trsm(b'R', False, False, True, k, n, f, n, y, k)
        swap_rows(y, n, k, pivots, True)
    else:
        swap_rows(y, n, k, pivots, False)
        trsm(b'R', False, True, True, k, n, f, n, y, k)
        trsm(b'R', True, True, False, k, n, f, n, y, k)
    return 0


cdef int lusolve_one(const fa_lapack *p, const double *const *x, double *y) noexcept nogil:
    """A^-1 B (TRANS: A^-T B) by the factors x[2] of A; x[0], A itself, is there for its derivative."""
    memcpy(y, x[1], p.n * p.k * 8)
    return lu_solve(x[2], p.n, p.k, p.form & TRANS, p.form & ROWWISE, y)


cdef double lu_logdet(const double *f, int64_t n, double *sign) noexcept nogil:
    """log |det A| and the sign, 0 for a singular matrix."""
    cdef const int *pivots = <const int *>(f + n * n)
    cdef int64_t i
    cdef double total = 0.0, u
    sign[0] = 1.0
    for i in range(n):
        u = f[i * (n + 1)]
        if pivots[i] != i + 1:
            sign[0] = -sign[0]
        if u < 0:
            sign[0] = -sign[0]
        elif u == 0:
            sign[0] = 0.0
        total += log(fabs(u))
    return total


cdef int det_one(const fa_lapack *p, const double *const *x, double *y) noexcept nogil:
    """det A by the factors x[1], as NumPy: sign times exp of the logarithm."""
    cdef double sign
    cdef double logdet = lu_logdet(x[1], p.n, &sign)
    y[0] = sign * exp(logdet)
    return 0


cdef int logdet_one(const fa_lapack *p, const double *const *x, double *y) noexcept nogil:
    cdef double sign
    y[0] = lu_logdet(x[1], p.n, &sign)
    return 0


cdef int detsign_one(const fa_lapack *p, const double *const *x, double *y) noexcept nogil:
    lu_logdet(x[0], p.n, y)
    return 0


cdef int identity(int64_t n, double *y) noexcept nogil:
    cdef int64_t i
    memset(y, 0, n * n * 8)
    for i in range(n):
        y[i * (n + 1)] = 1.0
    return 0


cdef int cofactor_one(const fa_lapack *p, const double *const *x, double *y) noexcept nogil:
    """The matrix of cofactors of A, the derivative of det A: det A A^-T, of a singular matrix from its SVD."""
    cdef int64_t i, n = p.n
    cdef double sign, det
    if not lu_usable(x[1], n):
        return cofactor_of_singular(p.n, x[0], y)
    det = exp(lu_logdet(x[1], n, &sign))
    det *= sign
    identity(n, y)
    lu_solve(x[1], n, n, True, False, y)
    for i in range(n * n):
        y[i] *= det
    return 0


cdef int cofactor_of_singular(int64_t n, const double *a, double *y) noexcept nogil:
    """det(U V.T) U diag(products of the other singular values) V.T; scratch: the SVD, two copies for determinants."""
    cdef double *s = <double *>fa_workspace(svd_bytes(n, n) + (3 * n * n + 4 * n) * 8)
    cdef double *ut = s + n
    cdef double *v = ut + n * n
    cdef double *copy = v + n * n
    cdef double *others = copy + n * n + n
    cdef double *work = others + 2 * n
    cdef int64_t i, j
    cdef double sign, det
    if s == NULL:
        return NO_MEMORY
    if svd(n, n, a, False, s, ut, v, work):
        return FAILED
    det = orthogonal_det(n, ut, copy) * orthogonal_det(n, v, copy)
    for i in range(n):
        others[i] = det
        for j in range(n):
            if j != i:
                others[i] *= s[j]
    for i in range(n):                   # rows of ut are the left vectors
        for j in range(n):
            ut[i * n + j] *= others[i]
    submatrix_product(True, True, <int>n, <int>n, <int>n, 1.0, ut, <int>n, v, <int>n, 0.0, y, <int>n)
    return 0


cdef double orthogonal_det(int64_t size, const double *q, double *copy) noexcept nogil:
    cdef int n = <int>size, info = 0
    cdef double sign = 1.0
    memcpy(copy, q, size * size * 8)
    dgetrf(&n, &n, copy, &n, <int *>(copy + size * size), &info)
    lu_logdet(copy, size, &sign)
    return sign


# ---- triangular systems and Cholesky ---------------------------------------------------------------------------------
cdef int trisolve_one(const fa_lapack *p, const double *const *x, double *y) noexcept nogil:
    """op(A)^-1 B for a triangular A (n, n) in C order; B is (n, k), or for ROWWISE (k, n)."""
    cdef int n = <int>p.n, k = <int>p.k
    cdef bint upper = p.form & UPPER, trans = p.form & TRANS, unit = p.form & UNIT
    cdef int64_t i
    memcpy(y, x[1], p.n * p.k * 8)
    for i in range(0 if unit else p.n):
        if x[0][i * (p.n + 1)] == 0.0:
            return FAILED
    if p.form & ROWWISE or k == 1:
        trsm(b'L', not upper, not trans, unit, n, k, x[0], max(1, n), y, max(1, n))
    else:
        trsm(b'R', not upper, trans, unit, k, n, x[0], max(1, n), y, max(1, k))
    return 0


cdef int chol_one(const fa_lapack *p, const double *const *x, double *y) noexcept nogil:
    """Lower Cholesky factor; only the lower triangle of A is read."""
    cdef int64_t i
    cdef int n = <int>p.n, info = 0, ld = max(1, n)
    cdef char uplo = b'U'                # of what Fortran sees
    for i in range(p.n):
        memcpy(y + i * p.n, x[0] + i * p.n, (i + 1) * 8)
        memset(y + i * p.n + i + 1, 0, (p.n - i - 1) * 8)
    if n:
        dpotrf(&uplo, &n, y, &ld, &info)
    return FAILED if info else 0


cdef int posdef_one(const fa_lapack *p, const double *const *x, double *y) noexcept nogil:
    """1 where A has a Cholesky factor, else 0: the decision of a program that catches the failure."""
    cdef double *factor = <double *>fa_workspace(p.n * p.n * 8)
    if factor == NULL:
        return NO_MEMORY
    (<int64_t *>y)[0] = chol_one(p, x, factor) == 0
    return 0


cdef int cholrev_one(const fa_lapack *p, const double *const *x, double *y) noexcept nogil:
    """Adjoint of the matrix of which L = x[0] is the Cholesky factor, for the adjoint x[1] of L.

    By columns of blocks, from the last to the first: I. Murray, Differentiation of the Cholesky decomposition,
    arXiv:1602.07527, section 4 (2016).

    The result is that of the lower triangle of A, the only part that is read.
    """
    cdef int64_t n = p.n, i
    cdef int ld = <int>n, k, nb, rest, panel = PANEL if n > 2 * PANEL else max(8, min(<int>n, 48))
    cdef const double *factor = x[0]
    cdef const double *d
    cdef const double *c
    cdef double *cbar
    cdef double *dbar
    cdef double *work = <double *>fa_workspace(2 * panel * panel * 8)
    if work == NULL:
        return NO_MEMORY
    for i in range(n):
        memcpy(y + i * n, x[1] + i * n, (i + 1) * 8)
        memset(y + i * n + i + 1, 0, (n - i - 1) * 8)
    k = (ld + panel - 1) // panel * panel
    while k:
        k -= panel
        nb = min(panel, ld - k)
        rest = ld - k - nb
        d = factor + k * (n + 1)
        dbar = y + k * (n + 1)
        c = d + nb * n
        cbar = dbar + nb * n
        # C = B0 D^-T: its adjoint first, then those of the blocks to the left and of D
        trsm(b'L', True, False, False, nb, rest, d, ld, cbar, ld)
        submatrix_product(False, False, rest, k, nb, -1.0, cbar, ld, factor + k * n, ld, 1.0, y + (k + nb) * n, ld)
        submatrix_product(True, False, nb, nb, rest, 1.0, cbar, ld, c, ld, 0.0, work, nb)
        cholrev_block(nb, ld, d, dbar, work, work + panel * panel)
        submatrix_product(True, False, nb, k, rest, -1.0, cbar, ld, factor + (k + nb) * n, ld, 1.0, y + k * n, ld)
        add_mirrored(nb, ld, dbar, work)
        submatrix_product(False, False, nb, k, nb, -1.0, work, nb, factor + k * n, ld, 1.0, y + k * n, ld)
    return 0


cdef void cholrev_block(int nb, int ld, const double *d, double *dbar, const double *less, double *q) noexcept nogil:
    """dbar = adjoint of the lower block of which d is the factor, for the adjoint dbar - less of d:
    with N = d.T tril(dbar), S = d^-T (tril(N) + tril(N, -1).T) d^-1, tril(S) with half its diagonal."""
    cdef int64_t i, j
    for i in range(nb):
        for j in range(i + 1):
            dbar[i * ld + j] -= less[i * nb + j]
    submatrix_product(True, False, nb, nb, nb, 1.0, d, ld, dbar, ld, 0.0, q, nb)
    for i in range(nb):
        for j in range(i):
            q[j * nb + i] = q[i * nb + j]
    trsm(b'L', True, False, False, nb, nb, d, ld, q, nb)
    trsm(b'R', True, True, False, nb, nb, d, ld, q, nb)
    for i in range(nb):
        for j in range(i):
            dbar[i * ld + j] = q[i * nb + j]
        dbar[i * (ld + 1)] = 0.5 * q[i * (nb + 1)]


cdef void add_mirrored(int nb, int ld, const double *lower, double *y) noexcept nogil:
    """y (nb, nb) = lower + lower.T"""
    cdef int64_t i, j
    for i in range(nb):
        for j in range(i):
            y[i * nb + j] = y[j * nb + i] = lower[i * ld + j]
        y[i * (nb + 1)] = 2.0 * lower[i * (ld + 1)]


# ---- spectra --------------------------------------------------------------------------------------------------------
cdef int eigh_one(const fa_lapack *p, const double *const *x, double *y) noexcept nogil:
    """w in ascending order, then the eigenvectors, one after the other; UPPER: of the upper triangle."""
    cdef int n = <int>p.n, info = 0, lwork = <int>(1 + 6 * p.n + 2 * p.n * p.n), liwork = 3 + 5 * n
    cdef char job = b'V'
    cdef char uplo = b'U' if p.form & UPPER else b'L'
    cdef double *work = <double *>fa_workspace(lwork * <size_t>8 + liwork * <size_t>4)
    if work == NULL:
        return NO_MEMORY
    if n == 0:
        return 0
    transpose(x[0], n, n, y + n)
    dsyevd(&job, &uplo, &n, y + n, &n, y, work, &lwork, <int *>(work + lwork), &liwork, &info)
    return FAILED if info else 0


cdef size_t svd_bytes(int64_t m, int64_t n) noexcept nogil:
    """Scratch of `svd`: a copy of the matrix, LAPACK's workspace (its documented minimum, doubled for blocks)."""
    cdef int64_t k = min(m, n), large = max(m, n)
    return (m * n + 2 * (4 * k * k + 7 * k + 64 * (large + k)) + 8 * k + 64) * 8


cdef int svd(int64_t rows, int64_t columns, const double *a, bint full, double *s, double *ut, double *v,
             double *work) noexcept nogil:
    """s, U.T and V of a (m, n) in C order; work: svd_bytes."""
    cdef int m = <int>rows, n = <int>columns, k = min(m, n), info = 0
    cdef int ldvt = n if full else k
    cdef char job = b'A' if full else b'S'
    cdef int lwork = <int>(2 * (4 * k * <int64_t>k + 7 * k + 64 * (max(m, n) + k)))
    cdef double *copy = work
    work += rows * columns
    transpose(a, m, n, copy)
    dgesdd(&job, &m, &n, copy, &m, s, ut, &m, v, &ldvt, work, &lwork, <int *>(work + lwork), &info)
    return info != 0


cdef int svd_one(const fa_lapack *p, const double *const *x, double *y) noexcept nogil:
    cdef int64_t k = min(p.m, p.n), i, ku = p.m if p.form & FULL else k, kv = p.n if p.form & FULL else k
    cdef double *work
    if k == 0:
        memset(y, 0, p.out * 8)
        for i in range(ku):              # the bases of all, where there is nothing
            y[i * (p.m + 1)] = 1.0
        for i in range(kv):
            y[ku * p.m + i * (kv + 1)] = 1.0
        return 0
    work = <double *>fa_workspace(svd_bytes(p.m, p.n))
    if work == NULL:
        return NO_MEMORY
    return svd(p.m, p.n, x[0], p.form & FULL, y, y + k, y + k + ku * p.m, work)


cdef int pinv_one(const fa_lapack *p, const double *const *x, double *y) noexcept nogil:
    """Pseudo-inverse (n, m) of A (m, n) without singular values up to x[1] times the largest."""
    cdef int64_t m = p.m, n = p.n, k = min(m, n), i, j
    cdef double *s
    cdef double *ut
    cdef double *v
    cdef double cutoff
    memset(y, 0, p.out * 8)
    if k == 0:
        return 0
    s = <double *>fa_workspace(svd_bytes(m, n) + (k + k * m + k * n) * 8)
    if s == NULL:
        return NO_MEMORY
    ut = s + k
    v = ut + k * m
    if svd(m, n, x[0], False, s, ut, v, v + k * n):
        return FAILED
    cutoff = x[1][0] * s[0]
    for i in range(k):
        for j in range(m):
            ut[i * m + j] = ut[i * m + j] / s[i] if s[i] > cutoff else 0.0
    submatrix_product(False, False, <int>n, <int>m, <int>k, 1.0, v, <int>k, ut, <int>m, 0.0, y, <int>m)
    return 0


# ---- least squares --------------------------------------------------------------------------------------------------
cdef int qr_one(const fa_lapack *p, const double *const *x, double *y) noexcept nogil:
    """Q.T (FULL: all of it), then R."""
    cdef int m = <int>p.m, n = <int>p.n, k = min(m, n), info = 0, ld = max(1, m)
    cdef int columns = m if p.form & FULL else k, lwork = 64 * max(1, max(m, n))
    cdef int64_t i, j
    cdef size_t room = <size_t>m * max(n, columns) + k + lwork
    cdef double *a = <double *>fa_workspace(room * 8)
    cdef double *tau = a + <size_t>m * max(n, columns)
    cdef double *r = y + <int64_t>columns * m
    if a == NULL:
        return NO_MEMORY
    transpose(x[0], m, n, a)
    if k:
        dgeqrf(&m, &n, a, &ld, tau, tau + k, &lwork, &info)
    for i in range(columns):
        for j in range(n):
            r[i * n + j] = a[j * m + i] if j >= i else 0.0
    if columns:
        dorgqr(&m, &columns, &k, a, &ld, tau, tau + k, &lwork, &info)
        memcpy(y, a, columns * p.m * 8)
    return 0


cdef int lstsq_one(const fa_lapack *p, const double *const *x, double *y) noexcept nogil:
    """The shortest X (n, k) that minimises |A X - B|; singular values up to x[2] times the largest count as 0."""
    cdef int m = <int>p.m, n = <int>p.n, k = <int>p.k, low = min(m, n), ld = max(1, max(m, n)), info = 0, rank = 0
    cdef int lda = max(1, m), lwork = -1, levels = 26, liwork
    cdef int64_t i, j
    cdef double rcond = x[2][0], size = 0.0
    cdef double *a
    cdef double *b
    memset(y, 0, p.out * 8)
    if low == 0 or k == 0:
        return 0
    liwork = 3 * low * levels + 11 * low
    dgelsd(&m, &n, &k, NULL, &lda, NULL, &ld, NULL, &rcond, &rank, &size, &lwork, &liwork, &info)
    lwork = <int>size
    liwork = max(liwork, 3 * low * levels + 11 * low)
    a = <double *>fa_workspace((p.m * n + <size_t>ld * k + low + lwork) * 8 + liwork * <size_t>4)
    if a == NULL:
        return NO_MEMORY
    b = a + p.m * n
    transpose(x[0], m, n, a)
    for j in range(k):
        for i in range(m):
            b[j * ld + i] = x[1][i * k + j]
        for i in range(m, ld):
            b[j * ld + i] = 0.0
    dgelsd(&m, &n, &k, a, &lda, b, &ld, b + <size_t>ld * k, &rcond, &rank, b + <size_t>ld * k + low, &lwork,
           <int *>(b + <size_t>ld * k + low + lwork), &info)
    for j in range(k):
        for i in range(n):
            y[i * k + j] = b[j * ld + i]
    return FAILED if info else 0
