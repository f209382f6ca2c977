# cython: language_level=3
"""_fit.pyx - least squares of small models: the method of Levenberg and Marquardt, over the sweeps of a tape.

Owns: `Levenberg`, the solver; by inclusion `ScaledQR` (_factors.pxi) and `Sweeps` (_model.pxi: residuals and Jacobian
of a recorded model, written where the solver wants them).  It is compiled since a fit of a small model is hundreds of
evaluations of a microsecond each.
Must not know: who fits, what is said of it, statistics.  Next: optimize/curve_fitting.py, optimize/last_steps.py.
"""
from libc.float cimport DBL_MIN
from libc.math cimport INFINITY, fabs, isfinite, sqrt
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcpy, memset
cimport numpy as cnp

from fastad._tape cimport AVALS, FA_F64, Frame, Tape, fa_aval, fa_data

import numpy as np

from fastad.errors import ShapeError, TapeDivergence

cnp.import_array()

__all__ = ["Levenberg", "Place", "ScaledQR", "Sweeps", "agree", "columns", "inner"]

include "_factors.pxi"
include "_model.pxi"

# Status: MINPACK's numbers where they mean the same.
BROKEN, FLAT, STUCK, ORTHOGONAL, EXHAUSTED = 0, 1, 2, 4, 5
cdef int BROKEN_, FLAT_, STUCK_, ORTHOGONAL_, EXHAUSTED_
BROKEN_, FLAT_, STUCK_, ORTHOGONAL_, EXHAUSTED_ = BROKEN, FLAT, STUCK, ORTHOGONAL, EXHAUSTED

cdef double RISE = 1e-9                  # of the sum of squares, for rounding
cdef double FAST = 0.05                  # contraction that steps of Gauss and Newton are to reach near the end
# After so many steps a walk is a slow one, along a curved valley, and steps are bent.  From the first step on bending
# saves a few more steps, and leads astray where the start is poor: MGH09 of NIST's StRD ends at infinity.  Every step
# is bent then, at the price of one more evaluation: also the slight bends let the region grow (without those below 2 %
# Bennett5 takes 1194 evaluations instead of 134).
STRAIGHT = 10
cdef Py_ssize_t STRAIGHT_ = STRAIGHT
cdef double AHEAD = 0.1                  # share of the step over which its bend is measured
cdef double BEND = 0.75                  # of the step's length: at most so much is believed


def agree(cnp.ndarray x, cnp.ndarray y, double tolerance):
    """Do float64 arrays of the same shape differ by at most `tolerance` times the largest number of y?

    False for arrays of other types or strides, and for NaN: look closer.
    """
    cdef const double *a
    cdef const double *b
    cdef double difference = 0.0, largest = 0.0
    cdef Py_ssize_t k
    if cnp.PyArray_TYPE(x) != cnp.NPY_DOUBLE or cnp.PyArray_TYPE(y) != cnp.NPY_DOUBLE \
            or (<object>x).shape != (<object>y).shape \
            or not cnp.PyArray_IS_C_CONTIGUOUS(x) or not cnp.PyArray_IS_C_CONTIGUOUS(y):
        return False
    a, b = <const double *>cnp.PyArray_DATA(x), <const double *>cnp.PyArray_DATA(y)
    for k in range(cnp.PyArray_SIZE(x)):
        if not isfinite(a[k]) or not isfinite(b[k]):
            return False
        difference = max(difference, fabs(a[k] - b[k]))
        largest = max(largest, fabs(b[k]))
    return difference <= tolerance * largest


def inner(x, y):
    """Inner product of two vectors, in this thread: BLAS wakes its own for long ones, which takes milliseconds."""
    cdef cnp.ndarray a = np.ascontiguousarray(x, dtype=np.float64)
    cdef cnp.ndarray b = np.ascontiguousarray(y, dtype=np.float64)
    if a.ndim != 1 or b.ndim != 1 or a.shape[0] != b.shape[0]:
        raise ValueError(f"inner: arrays of shape {x.shape} and {y.shape}")
    return dot(<const double *>cnp.PyArray_DATA(a), <const double *>cnp.PyArray_DATA(b), a.shape[0])


cdef class Place:
    """A point with residuals, Jacobian and its factors."""
    cdef readonly cnp.ndarray x, residuals, jacobian
    cdef readonly ScaledQR factors
    cdef readonly double square
    cdef double *p
    cdef double *r
    cdef double *j

    def __cinit__(self, Py_ssize_t m, Py_ssize_t n):
        self.x, self.residuals, self.jacobian = np.empty(n), np.empty(m), np.empty((m, n), order="F")
        self.p = <double *>cnp.PyArray_DATA(self.x)
        self.r = <double *>cnp.PyArray_DATA(self.residuals)
        self.j = <double *>cnp.PyArray_DATA(self.jacobian)
        self.factors = ScaledQR.__new__(ScaledQR)
        self.factors.reserve(m, n)


cdef class Levenberg:
    """Least squares from a start, by damped steps of Gauss and Newton in a trust region.

    Parameters
    ----------
    problem : object
        With `residuals(x)` and `jacobian(x)`, used where there are no `sweeps`, and `size`, the length of the data.
    x : ndarray, shape (n,)
        The start.
    residuals : ndarray, shape (m,)
        There.
    sweeps : Sweeps or None
        The same as the problem's functions, faster.
    factor : float
        The first step is at most so many times the length of the start, in units of the Jacobian's columns.

    Attributes
    ----------
    place : Place
        Where it stands.
    nfev, njev : int
        Evaluations by `sweeps`, which the problem has not counted.
    arrived : bool
        The residuals are orthogonal to the Jacobian, or rounding of the data.

    Notes
    -----
    The trust region, its radius and the search for the damping are those of J. J. More, The Levenberg-Marquardt
    algorithm: implementation and theory, Lecture Notes in Mathematics 630 (1978), 105-116; with factors of a Jacobian
    whose columns have length one, so without pivoting.  Steps are bent by half of the geodesic acceleration of
    M. K. Transtrum & J. P. Sethna, Improvements to the Levenberg-Marquardt algorithm for nonlinear least-squares
    minimization, arXiv:1201.5885 (2012), when a walk is long: in a valley a straight step soon hits the wall.
    Where the sum of squares is flat to `tolerance`, the projection of the residuals on the Jacobian is what tells
    whether a step leads nearer.
    """
    cdef object problem
    cdef Sweeps sweeps
    cdef Place here, there
    cdef Py_ssize_t m, n, evaluations, steps
    cdef readonly Py_ssize_t nfev, njev
    cdef readonly bint arrived
    cdef cnp.ndarray memory
    cdef double *d                       # units of the step: the longest that the columns have been
    cdef double *y                       # the step in these units
    cdef double *w                       # n numbers
    cdef double *root                    # the triangle that made the step: of J, or of J and the damping
    cdef double *stack                   # 2 n by n + 1 numbers
    cdef double *ahead                   # m numbers
    cdef double *scratch
    cdef double radius, damping, size, factor

    def __init__(self, problem, cnp.ndarray x, cnp.ndarray residuals, Sweeps sweeps, double factor):
        cdef Py_ssize_t m = residuals.shape[0], n = x.shape[0]
        cdef Py_ssize_t spare = max(ScaledQR.scratch(m, n), 33 * (n + 1))
        self.problem, self.sweeps, self.size, self.factor = problem, sweeps, problem.size, factor
        self.m, self.n = m, n
        self.here, self.there = Place(m, n), Place(m, n)
        self.memory = np.zeros(3 * n + n * n + 2 * n * (n + 1) + m + spare)
        self.d = <double *>cnp.PyArray_DATA(self.memory)
        self.y = self.d + n
        self.w = self.y + n
        self.root = self.w + n
        self.stack = self.root + n * n
        self.ahead = self.stack + 2 * n * (n + 1)
        self.scratch = self.ahead + m
        self.here.x[:] = x
        self.here.residuals[:] = residuals
        self.here.square = dot(self.here.r, self.here.r, m)
        self.linearise(self.here)

    @property
    def place(self):
        return self.here

    # -- evaluations
    cdef int evaluate(self, cnp.ndarray x, double *r) except -1:
        """Residuals at x into r."""
        cdef cnp.ndarray found
        self.evaluations += 1
        if self.sweeps is not None and self.sweeps.residuals(x, r):
            self.nfev += 1
            return 0
        found = np.ascontiguousarray(self.problem.residuals(x.copy()), dtype=np.float64)
        if (<object>found).shape != (self.m,):
            raise ShapeError(f"curve_fit: the model returned {found.size} values, and {self.m} at its start")
        memcpy(r, cnp.PyArray_DATA(found), self.m * sizeof(double))
        return 0

    cdef int linearise(self, Place at) except -1:
        """Jacobian and factors at a place whose residuals were the last that were evaluated."""
        cdef cnp.ndarray found
        if self.sweeps is not None and self.sweeps.jacobian(at.x, at.j):
            self.njev += 1
        else:
            found = np.asfortranarray(self.problem.jacobian(at.x.copy()), dtype=np.float64)
            if (<object>found).shape != (self.m, self.n):
                raise ShapeError(f"curve_fit: the Jacobian has shape {(<object>found).shape}; {self.m} data and "
                                 f"{self.n} parameters want {(self.m, self.n)}")
            memcpy(at.j, cnp.PyArray_DATA(found), self.m * self.n * sizeof(double))
        return at.factors.factor(at.j, at.r, self.scratch)

    cdef bint is_end(self, Place at) noexcept:
        """Are the residuals orthogonal to the Jacobian, or what is left of them rounding of the data?"""
        return at.factors.orthogonal(sqrt(at.square), self.size)

    # -- one step
    cdef int fill_root(self, Place at) noexcept:
        """R in units of the step."""
        cdef Py_ssize_t i, j, n = self.n
        for j in range(n):
            for i in range(n):
                self.root[j * n + i] = at.factors.r[j * (n + 1) + i] * (at.factors.lengths[j] / self.d[j])
        return 0

    cdef bint solvable(self, Place at) noexcept:
        cdef Py_ssize_t k
        for k in range(self.n):
            if self.root[k * (self.n + 1)] == 0.0:
                return False
        return self.m >= self.n

    cdef double solve_root(self, Place at) noexcept:
        """y = - inv(R) Q'r, and its length."""
        cdef Py_ssize_t k, n = self.n
        for k in range(n):
            self.y[k] = -at.factors.r[n * (n + 1) + k]
        solve_triangle(b'N', self.root, n, n, self.y)
        return norm(self.y, n)

    cdef double solve_damped(self, Place at, double damping) noexcept:
        """The same with damping: y minimises |R y + Q'r|^2 + damping |y|^2, `root` becomes the triangle of that."""
        cdef Py_ssize_t j, n = self.n
        cdef double *a = self.stack
        memset(a, 0, 2 * n * (n + 1) * sizeof(double))
        self.fill_root(at)
        for j in range(n):
            memcpy(a + j * 2 * n, self.root + j * n, (j + 1) * sizeof(double))
            a[j * 2 * n + n + j] = sqrt(damping)
            a[n * 2 * n + j] = at.factors.r[n * (n + 1) + j]
        triangularise(a, 2 * n, n + 1, self.scratch)
        for j in range(n):
            memcpy(self.root + j * n, a + j * 2 * n, (j + 1) * sizeof(double))
            self.y[j] = -a[n * 2 * n + j]
        solve_triangle(b'N', self.root, n, n, self.y)
        return norm(self.y, n)

    cdef double slope(self, double length) noexcept:
        """Length of inv(R') y / |y|: how the step's length falls with damping."""
        cdef Py_ssize_t k
        for k in range(self.n):
            self.w[k] = self.y[k] / length
        solve_triangle(b'T', self.root, self.n, self.n, self.w)
        return norm(self.w, self.n)

    cdef double step(self, Place at) noexcept:
        """The step y within the trust region, to a tenth of its radius; returns its length and sets the damping."""
        cdef Py_ssize_t j, n = self.n
        cdef double low = 0.0, high, length = INFINITY, excess, before, s
        self.fill_root(at)
        if self.solvable(at):            # however badly: what is hardly determined moves as far as the region allows
            length = self.solve_root(at)
            if length <= 1.1 * self.radius:
                self.damping = 0.0
                return length
            if isfinite(length):
                s = self.slope(length)
                low = (length - self.radius) / self.radius / s / s
        for j in range(n):
            self.w[j] = dot(self.root + j * n, at.factors.r + n * (n + 1), j + 1)
        s = norm(self.w, n)
        high = s / self.radius
        if not high > 0.0:
            high = DBL_MIN / min(self.radius, 0.1)
        self.damping = min(max(self.damping, low), high)
        if self.damping == 0.0:
            self.damping = s / length if isfinite(length) else 1e-3 * high
        excess = 0.0
        for _ in range(10):
            self.damping = max(self.damping if self.damping > 0.0 else 1e-3 * high, DBL_MIN)
            before = excess
            length = self.solve_damped(at, self.damping)
            excess = length - self.radius
            if fabs(excess) <= 0.1 * self.radius or low == 0.0 and excess <= before < 0.0:
                break
            s = self.slope(length)
            if excess > 0.0:
                low = max(low, self.damping)
            else:
                high = min(high, self.damping)
            self.damping = max(low, self.damping + excess / self.radius / s / s)
        return length

    cdef int move(self, Place at, Place to, double share) noexcept:
        """to.x = x + share times the step."""
        cdef Py_ssize_t k
        for k in range(self.n):
            to.p[k] = at.p[k] + share * self.y[k] / self.d[k]
        return 0

    cdef int bend(self, Place at, Place to, double length) except -1:
        """Add half of the acceleration to the step, if it is short enough to be believed.

        The second derivative of the residuals along the step, by one more evaluation; the step that undoes it.
        """
        cdef Py_ssize_t j, k, n = self.n
        cdef double c
        self.move(at, to, AHEAD)
        self.evaluate(to.x, self.ahead)
        for k in range(self.m):
            self.ahead[k] = (self.ahead[k] - at.r[k]) / AHEAD
        for j in range(n):
            c = self.y[j] / self.d[j]
            for k in range(self.m):
                self.ahead[k] -= c * at.j[j * self.m + k]
        for j in range(n):
            self.w[j] = -2.0 / AHEAD * dot(at.j + j * self.m, self.ahead, self.m) / self.d[j]
        solve_triangle(b'T', self.root, n, n, self.w)
        solve_triangle(b'N', self.root, n, n, self.w)
        if 2.0 * norm(self.w, n) <= BEND * length:
            for k in range(n):
                self.y[k] += 0.5 * self.w[k]
        return 0

    # -- the walk
    cdef int grow_units(self, Place at) noexcept:
        """Units of the step grow with the columns of the Jacobian."""
        cdef Py_ssize_t k
        for k in range(self.n):
            self.d[k] = max(self.d[k], at.factors.lengths[k])
        return 0

    cdef double measured(self, Place at) noexcept:
        """Length of x in units of the step."""
        cdef Py_ssize_t k
        for k in range(self.n):
            self.w[k] = self.d[k] * at.p[k]
        return norm(self.w, self.n)

    cdef double linear_gain(self, Place at) noexcept:
        """|J p|^2: twice what a linear model says that the step gains, without damping."""
        cdef Py_ssize_t i, j, n = self.n
        cdef double c
        memset(self.w, 0, n * sizeof(double))
        for j in range(n):
            c = self.y[j] * (at.factors.lengths[j] / self.d[j])
            for i in range(j + 1):
                self.w[i] += c * at.factors.r[j * (n + 1) + i]
        c = norm(self.w, n)
        return c * c

    def solve(self, Py_ssize_t most, double tolerance):
        """Walk until there is nothing to gain.

        Parameters
        ----------
        most : int
            Evaluations, from now on.
        tolerance : float
            Relative changes of the sum of squares, or of x, below which it is flat.

        Returns
        -------
        int
            ORTHOGONAL; FLAT (the sum of squares no longer shows progress) or STUCK (the trust region has shrunk to
            nothing), where more digits may be had by second derivatives; EXHAUSTED; BROKEN: derivatives at the start
            are not finite.
        """
        cdef double length
        self.evaluations = self.steps = 0
        self.damping = 0.0
        self.arrived = self.is_end(self.here)
        if self.arrived:
            return ORTHOGONAL_
        if not self.here.factors.finite:
            return BROKEN_
        memset(self.d, 0, self.n * sizeof(double))
        self.grow_units(self.here)
        length = self.measured(self.here)
        self.radius = self.factor * length if length > 0.0 else self.factor
        while True:
            status = self.advance(most, tolerance)
            if status >= 0:
                self.arrived = self.is_end(self.here)
                return status
            self.grow_units(self.here)

    cdef int advance(self, Py_ssize_t most, double tolerance) except -2:
        """To the next place, by as many trials as it takes; -1, or the status with which the walk ends."""
        cdef Place here = self.here, there = self.there
        cdef double length, predicted, downhill, actual, ratio, gain, share, offset = here.factors.offset()
        cdef bint flat, better
        while True:
            length = self.step(here)
            if not isfinite(length):
                return STUCK_
            gain = self.linear_gain(here)
            if self.steps == 0 and self.evaluations == 0:
                self.radius = min(self.radius, length)
            predicted = (gain + 2.0 * self.damping * length * length) / here.square
            downhill = (gain + self.damping * length * length) / here.square
            if self.steps >= STRAIGHT_ and (self.damping > 0.0 or gain > 1e-6 * here.square):
                self.bend(here, there, length)
            self.move(here, there, 1.0)
            self.evaluate(there.x, there.r)
            there.square = dot(there.r, there.r, self.m)
            actual = 1.0 - there.square / here.square
            if not (isfinite(actual) and actual > -99.0):
                actual = -99.0           # so far that no model of the sum of squares can be made of it
            ratio = actual / predicted if predicted > 0.0 else 0.0
            flat = fabs(actual) <= tolerance and predicted <= tolerance and ratio <= 2.0
            better = ratio >= 1e-4 or flat and actual >= -RISE
            if better:
                self.linearise(there)
                better = there.factors.finite and not (flat and there.factors.offset() >= offset)
            if not ratio > 0.25:
                share = 0.5 if actual >= 0.0 else 0.5 * downhill / (downhill - 0.5 * actual)
                share = 0.1 if actual <= -99.0 or share < 0.1 else share
                self.radius = share * min(self.radius, 10.0 * length)
                self.damping /= share
            elif self.damping == 0.0 or ratio >= 0.75:
                self.radius = 2.0 * length
                self.damping *= 0.5
            if better:
                self.here, self.there = there, here
                self.steps += 1
                if self.is_end(there):
                    return ORTHOGONAL_
            if flat and not (better and there.factors.offset() <= FAST * offset):
                return FLAT_
            if not flat and self.radius <= tolerance * self.measured(self.here):
                return STUCK_
            if self.evaluations >= most:
                return EXHAUSTED_
            if better:
                return -1
