"""_factors.pxi - triangular factors of a Jacobian, its columns scaled to length one (included in _fit.pyx).

Owns: that units of parameters do not matter: a column in units of 1e9 and one in 1e-9 weigh the same; and that a tall
matrix is factored block by block, in cache and in this thread.
Must not know: what is fitted.  Next: _fit.pyx (who steps by them), optimize/fit_statistics.py (the covariance).
"""
from scipy.linalg.cython_blas cimport dtrsv
from scipy.linalg.cython_lapack cimport dgeqrf, dtrtri

cdef double EPSILON = np.finfo(float).eps
# Elements of a block.  It stays in cache, and below the size from which OpenBLAS wakes its threads, which takes
# milliseconds: 10000 rows of 6 took 8 ms at once and take 0.08 ms so.
cdef Py_ssize_t BLOCK = 4096
cdef double DONE = 1e-10                 # of the residuals' length: what is left to do, in units of the noise
cdef double ROUNDING = 4 * EPSILON       # of the data's length


cdef double dot(const double *a, const double *b, Py_ssize_t n) noexcept nogil:
    """In four sums, which a compiler may compute side by side."""
    cdef double s0 = 0.0, s1 = 0.0, s2 = 0.0, s3 = 0.0
    cdef Py_ssize_t k = 0
    while k + 4 <= n:
        s0 += a[k] * b[k]
        s1 += a[k + 1] * b[k + 1]
        s2 += a[k + 2] * b[k + 2]
        s3 += a[k + 3] * b[k + 3]
        k += 4
    while k < n:
        s0 += a[k] * b[k]
        k += 1
    return (s0 + s1) + (s2 + s3)


cdef double norm(const double *a, Py_ssize_t n) noexcept nogil:
    """Euclidean length, also where squares overflow or vanish; inf or NaN if an element is."""
    cdef double square = dot(a, a, n), largest = 0.0
    cdef Py_ssize_t k
    if 1e-200 < square < 1e200:
        return sqrt(square)
    for k in range(n):
        if not fabs(a[k]) <= largest:
            largest = fabs(a[k])
            if not isfinite(largest):
                return largest
    if largest == 0.0:
        return 0.0
    square = 0.0
    for k in range(n):
        square += (a[k] / largest) * (a[k] / largest)
    return largest * sqrt(square)


cdef int triangularise(double *a, Py_ssize_t rows, Py_ssize_t columns, double *spare) noexcept nogil:
    """R of a column-major matrix, in place; what is below it is of no use.  `spare` holds 33 numbers a column."""
    cdef int m = <int>rows, n = <int>columns, lwork = 32 * n, info = 0
    dgeqrf(&m, &n, a, &m, spare, spare + n, &lwork, &info)
    return info


cdef int solve_triangle(char transposed, const double *triangle, Py_ssize_t ld, Py_ssize_t n, double *x) noexcept nogil:
    """x becomes inv(R) x (b'N') or inv(R') x (b'T')."""
    cdef char upper = b'U', no = b'N'
    cdef int n_ = <int>n, ld_ = <int>ld, one = 1
    dtrsv(&upper, &transposed, &no, &n_, <double *>triangle, &ld_, x, &one)
    return 0


cdef Py_ssize_t block_rows(Py_ssize_t columns) noexcept nogil:
    return max(BLOCK // columns, 3 * columns)


cdef class ScaledQR:
    """J / length = QR, and Q'r.

    Parameters
    ----------
    jacobian : ndarray, shape (m, n)
    residuals : ndarray, shape (m,)

    Attributes
    ----------
    length : ndarray, shape (n,)
        Of the columns; 1 for a column of zeros, which stays one.
    triangle : ndarray, shape (min(m, n), n)
        R.
    projected : ndarray, shape (min(m, n),)
        Q'r: what of the residuals the columns can still explain.
    finite : bool
        Are all derivatives and residuals?  If not, R and Q'r are zeros.
    """
    cdef readonly cnp.ndarray length
    cdef cnp.ndarray corner              # [R, Q'r; 0, the length of what is left], column-major, n + 1 of each
    cdef double *lengths
    cdef double *r
    cdef Py_ssize_t m, n
    cdef readonly bint finite

    def __init__(self, jacobian, residuals):
        cdef cnp.ndarray j = np.asfortranarray(jacobian, dtype=np.float64)
        cdef cnp.ndarray v = np.ascontiguousarray(residuals, dtype=np.float64)
        if j.ndim != 2 or v.shape[0] != j.shape[0]:
            raise ValueError(f"ScaledQR: a Jacobian of shape {jacobian.shape} and {residuals.shape} residuals")
        self.reserve(j.shape[0], j.shape[1])
        self.factor(<const double *>cnp.PyArray_DATA(j), <const double *>cnp.PyArray_DATA(v), NULL)

    cdef int reserve(self, Py_ssize_t m, Py_ssize_t n) except -1:
        self.m, self.n = m, n
        self.length = np.empty(n)
        self.corner = np.zeros((n + 1, n + 1), order="F")
        self.lengths = <double *>cnp.PyArray_DATA(self.length)
        self.r = <double *>cnp.PyArray_DATA(self.corner)
        return 0

    @staticmethod
    cdef Py_ssize_t scratch(Py_ssize_t m, Py_ssize_t n) noexcept:
        """How many numbers `factor` needs beside."""
        return (min(m, block_rows(n + 1)) + n + 1) * (n + 1) + 33 * (n + 1)

    cdef int factor(self, const double *jacobian, const double *residuals, double *scratch) except -1:
        """Factor anew: a column-major Jacobian of the same shape."""
        cdef cnp.ndarray own
        cdef Py_ssize_t j, n = self.n, at = 0, step = block_rows(n + 1)
        if scratch == NULL:
            own = np.empty(ScaledQR.scratch(self.m, n))
            scratch = <double *>cnp.PyArray_DATA(own)
        self.finite = isfinite(norm(residuals, self.m))
        for j in range(n):
            self.lengths[j] = norm(jacobian + j * self.m, self.m)
            self.finite &= isfinite(self.lengths[j])
            if self.lengths[j] == 0.0:
                self.lengths[j] = 1.0
        memset(self.r, 0, (n + 1) * (n + 1) * sizeof(double))
        while self.finite and at < self.m:
            self.append(jacobian, residuals, at, min(self.m, at + step), scratch)
            at += step
        return 0

    cdef int append(self, const double *jacobian, const double *residuals, Py_ssize_t begin, Py_ssize_t end,
                    double *scratch) except -1:
        """R of [R; rows begin .. end], with the residuals as one more column."""
        cdef Py_ssize_t i, j, columns = self.n + 1, top = columns if begin else 0, rows = top + end - begin
        cdef double *block = scratch
        cdef const double *source
        cdef double *to
        for j in range(columns):
            to = block + j * rows
            memcpy(to, self.r + j * columns, top * sizeof(double))
            source = residuals if j == self.n else jacobian + j * self.m
            if j == self.n:
                memcpy(to + top, source + begin, (end - begin) * sizeof(double))
                continue
            for i in range(begin, end):
                to[top + i - begin] = source[i] / self.lengths[j]
        if triangularise(block, rows, columns, block + rows * columns):
            raise ValueError("LAPACK's dgeqrf failed")
        for j in range(columns):
            memcpy(self.r + j * columns, block + j * rows, min(j + 1, rows) * sizeof(double))
        return 0

    @property
    def triangle(self):
        return self.corner[:min(self.m, self.n), :self.n]

    @property
    def projected(self):
        return self.corner[:min(self.m, self.n), self.n]

    cdef double offset(self) noexcept:
        """Length of the residuals' projection on the columns."""
        return norm(self.r + self.n * (self.n + 1), min(self.m, self.n))

    cpdef bint regular(self):
        """May one solve with R?"""
        cdef double least = INFINITY, most = 0.0, x
        cdef Py_ssize_t k
        for k in range(self.n):
            x = fabs(self.r[k * (self.n + 2)])
            least = min(least, x)
            most = max(most, x)
        return self.finite and self.m >= self.n and (self.n == 0 or least > self.n * EPSILON * most)

    cpdef bint orthogonal(self, double residuals, double data):
        """Are the residuals orthogonal to the Jacobian, or what is left of them rounding of the data?

        Parameters
        ----------
        residuals, data : float
            Their lengths.
        """
        return residuals <= ROUNDING * data or \
            self.finite and self.offset() <= max(DONE * residuals, ROUNDING * data)

    def inverse(self):
        """Of R, square and of full rank."""
        cdef cnp.ndarray found = np.array(self.triangle, order="F")
        cdef char upper = b'U', no = b'N'
        cdef int n = <int>self.n, info = 0
        dtrtri(&upper, &no, &n, <double *>cnp.PyArray_DATA(found), &n, &info)
        if info:
            raise ValueError("ScaledQR.inverse: the Jacobian is rank deficient")
        return found
