"""Random calls of SciPy's functions: shapes, axes, modes, orders, points far outside.

Owns: GENERATORS (functions of a random generator that give a call and the array that it is recorded with) and `judge`.
`python -m tests.fuzz_scipy 0 3000` runs the seeds 0 ... 2999; tests/test_scipy_doors.py runs some of them.
Next: tests/scipy_cases.py (calls one by one), tests/fuzz.py (programs).
"""
import sys
import warnings

import numpy as np
from scipy import integrate, interpolate, linalg, ndimage, signal, stats
from scipy.spatial import distance

import fastad as ad

GENERATORS = []
MODES = ("reflect", "mirror", "nearest", "wrap", "constant")


def generator(function):
    GENERATORS.append(function)
    return function


class Choices:
    """Random choices, with an array's shape among them."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.ndim = int(self.rng.integers(1, 4))
        self.shape = tuple(self.rng.integers(1, 6, size=self.ndim))
        self.axis = int(self.rng.integers(-self.ndim, self.ndim))
        self.n = int(self.shape[self.axis])

    def pick(self, *options):
        return options[self.rng.integers(len(options))]

    def array(self, shape=None):
        return self.rng.uniform(0.5, 2.0, self.shape if shape is None else shape)

    def rising(self, n):
        return np.cumsum(self.rng.uniform(0.2, 1.0, n))

    def abscissae(self):
        return self.pick(None, self.rising(self.n), np.cumsum(self.array(), axis=self.axis))

    def points(self, x, *shapes):
        return self.rng.uniform(np.min(x) - 1, np.max(x) + 1, self.pick(*shapes))


@generator
def integral(c):
    x, f = c.abscissae(), c.pick(integrate.trapezoid, integrate.simpson)
    return lambda a: f(a, x=x, dx=0.3, axis=c.axis), c.array()


@generator
def band(c):
    n, lower, upper = (int(c.rng.integers(*most)) for most in ((1, 7), (0, 4), (0, 4)))
    right = c.rng.normal(size=(n, *c.pick((), (1,), (3,))))
    if c.pick(True, False):
        return lambda a: linalg.solve_banded((lower, upper), a, right * a[upper, 0]), diagonals(
            c, upper, (lower + upper + 1, n))
    low = c.pick(True, False) or n == 1
    return lambda a: linalg.solveh_banded(a, right, lower=low), diagonals(
        c, 0 if low else upper, (1 if n == 1 else upper + 1, n))


def diagonals(c, main, shape):
    """A band with a large main diagonal."""
    a = c.array(shape)
    a[main] += 2.0 * sum(shape)
    return a


@generator
def running_integral(c):
    x, first = c.pick(None, c.rising(c.n)), c.pick(None, 0)
    return lambda a: integrate.cumulative_trapezoid(a, x, axis=c.axis, initial=first), c.array()


@generator
def running_simpson(c):
    x, first = c.abscissae(), c.pick(None, 0.0, 0.7)
    return lambda a: integrate.cumulative_simpson(a, x=x, dx=0.4, axis=c.axis, initial=first), c.array()


@generator
def gaussian(c):
    mode, order, cut = c.pick(*MODES), c.pick(0, 1, 2), c.pick(2.0, 4.0)
    sigma = c.pick(0.6, 1.1, (1.0,) * c.ndim)
    return lambda a: ndimage.gaussian_filter(a, sigma, order=order, mode=mode, truncate=cut, cval=0.4), c.array()


@generator
def filtered(c):
    f, mode = c.pick(ndimage.convolve, ndimage.correlate), c.pick(*MODES)
    weights = c.rng.standard_normal(tuple(c.rng.integers(1, 4, size=c.ndim)))
    return lambda a: f(a, weights, mode=mode, cval=0.3), c.array()


@generator
def box(c):
    size, mode = c.pick(2, 3, 4), c.pick(*MODES)
    return lambda a: ndimage.uniform_filter(a, size, mode=mode, cval=1.0), c.array()


@generator
def differences(c):
    mode = c.pick(*MODES)
    f = c.pick(lambda a: ndimage.sobel(a, c.axis, mode=mode), lambda a: ndimage.prewitt(a, c.axis, mode=mode),
               lambda a: ndimage.laplace(a, mode=mode), lambda a: ndimage.gaussian_laplace(a, 0.8, mode=mode),
               lambda a: ndimage.gaussian_gradient_magnitude(a, 0.8, mode=mode))
    return f, c.array()


@generator
def coordinates(c):
    mode, order = c.pick(*MODES, "grid-wrap", "grid-constant"), c.pick(0, 1)
    at = c.rng.uniform(-8, 9, (c.ndim, *c.pick((3,), (2, 2))))
    return lambda a: ndimage.map_coordinates(a, at, order=order, mode=mode, cval=0.2), c.array()


@generator
def cubic(c):
    ends, nu, outside = c.pick("not-a-knot", "natural", "clamped"), c.pick(0, 0, 1, 2), c.pick(None, False, "periodic")
    x = c.rising(c.n)
    at = c.points(x, (3,), (2, 2), ())
    return lambda a: interpolate.CubicSpline(x, a, axis=c.axis, bc_type=ends, extrapolate=outside)(at, nu), c.array()


@generator
def cubic_periodic(c):
    x = c.rising(c.n + 1)
    at = c.points(x, (3,))

    def f(a):
        a = np.concatenate([a, np.take(a, [0], axis=c.axis)], axis=c.axis)
        return interpolate.CubicSpline(x, a, axis=c.axis, bc_type="periodic")(at)
    return f, c.array()


@generator
def monotone(c):
    x, outside = c.rising(c.n), c.pick(None, True, False)
    at = c.points(x, (4,))
    return lambda a: interpolate.PchipInterpolator(x, a, axis=c.axis, extrapolate=outside)(at), c.array()


@generator
def table(c):
    kind = c.pick("linear", "nearest", "nearest-up", "previous", "next", "zero", "slinear", "quadratic", "cubic")
    x, fill = c.rng.permutation(c.rising(c.n)), c.pick("extrapolate", np.nan, (0.1, 0.2))
    at = c.points(x, (3,), (2, 2), ())
    return lambda a: interpolate.interp1d(x, a, kind=kind, axis=c.axis, fill_value=fill, bounds_error=False)(at), \
        c.array()


@generator
def grid(c):
    axes = [c.rising(m)[::c.pick(1, 1, -1)] for m in c.shape]
    at = c.rng.uniform(0, 3, c.pick((4, c.ndim), (2, 2, c.ndim), (c.ndim,)))
    method, fill, tail = c.pick("linear", "nearest"), c.pick(None, np.nan, 0.5), c.pick((), (2,))
    return lambda a: interpolate.RegularGridInterpolator(axes, a, method=method, bounds_error=False,
                                                         fill_value=fill)(at), c.array((*c.shape, *tail))


@generator
def interpolating(c):
    x, k, nu = c.rising(8), c.pick(1, 2, 3, 5), c.pick(0, 1)
    at = c.rng.uniform(x[0], x[-1], 4)
    return lambda a: interpolate.make_interp_spline(x, a, k=k)(at, nu), c.array((8, *c.pick((), (2,))))


@generator
def bspline(c):
    (k, nu), outside = c.pick((0, 0), (1, 0), (2, 1), (3, 0), (3, 1)), c.pick(True, False, "periodic")
    knots = np.sort(c.rng.uniform(0, 3, 12))
    knots = c.pick(knots, np.round(knots))
    at = c.rng.uniform(-0.5, 3.5, 5)
    return lambda a: interpolate.BSpline(knots, a, k, extrapolate=outside)(at, nu), c.array(11 - k)


@generator
def fitpack(c):
    x = np.sort(c.rng.uniform(0, 5, 9))
    spline = interpolate.splrep(x, np.sin(x), k=c.pick(1, 2, 3, 4))
    der, ext = c.pick(0, 1), c.pick(0, 1, 3)
    return lambda a: interpolate.splev(a, spline, der=der, ext=ext), c.rng.uniform(-1, 6, c.shape)


@generator
def bivariate(c):
    spline = interpolate.RectBivariateSpline(np.arange(6.0), np.arange(5.0), c.array((6, 5)), kx=c.pick(1, 2, 3),
                                             ky=c.pick(1, 3))
    return lambda a: spline.ev(a, a[..., ::-1] * 0.8), c.rng.uniform(-1, 6, c.shape)


@generator
def distances(c):
    metric, other = c.pick("euclidean", "sqeuclidean", "cityblock", "chebyshev"), c.array((3, 2))
    f = c.pick(lambda a: distance.cdist(a, other, metric), lambda a: distance.squareform(distance.pdist(a, metric)))
    return f, c.array((int(c.rng.integers(2, 6)), 2))


@generator
def recursive(c):
    b, a0 = c.rng.standard_normal(c.pick(1, 2, 3)), np.r_[2.0, 0.3 * c.rng.standard_normal(c.pick(0, 1, 2))]
    return lambda a: signal.lfilter(b, a0, a, axis=c.axis), c.array()


@generator
def convolution(c):
    f, mode = c.pick(signal.convolve, signal.correlate), c.pick("full", "same", "valid")
    weights = c.rng.standard_normal(tuple(c.rng.integers(1, 4, size=c.ndim)))
    return lambda a: f(a, weights, mode=mode), c.array()


FAMILIES = {"norm": (), "gamma": (2.0,), "beta": (1.5, 2.5), "lognorm": (0.7,), "t": (4.0,), "weibull_min": (1.6,),
            "genpareto": (0.3,), "uniform": (), "triang": (0.3,), "cauchy": (), "laplace": (), "truncnorm": (-1.0, 2.0)}


@generator
def distribution(c):
    name, method = c.pick(*FAMILIES), c.pick("logpdf", "pdf", "cdf", "sf", "logsf")
    loc, scale = c.pick(0.0, c.rng.uniform(-1, 1, c.shape)), c.pick(1.0, c.array(c.shape[-1:]), -1.0)
    return lambda a: getattr(getattr(stats, name), method)(a, *FAMILIES[name], loc=loc, scale=scale), \
        c.rng.uniform(-2, 4, c.shape)


def judge(seed):
    """Run one call: False if SciPy does not take it; an AssertionError if it is recorded wrongly."""
    c = Choices(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            f, a = c.pick(*GENERATORS)(c)
            b = a * (1 + 0.02 * c.rng.uniform(-1, 1, a.shape))
            f(a * 0.99)
            want = f(b)
        except (ValueError, RuntimeError, TypeError, IndexError):
            return False
        if np.size(want) == 0 or a.shape[c.axis if a.ndim == c.ndim else 0] < 2:
            return False                 # an integral of one sample does not depend on it, which is an error of its own
        try:
            got = ad.record(f, a * 0.99)(b)
        except ad.TapeDivergence:
            got = ad.record(f, b)(b)
        assert np.shape(got) == np.shape(want), (np.shape(got), np.shape(want))
        np.testing.assert_allclose(got, want, rtol=1e-8, atol=1e-10)
        finite, weights = np.isfinite(want), c.rng.standard_normal(np.shape(want))
        v, size = c.rng.standard_normal(a.shape), 1e-4 * np.sum(np.abs(weights))

        def scalar(a):
            return np.sum(np.where(finite, weights * np.where(finite, f(a), 0.0), 0.0))

        def slope(h):
            return (scalar(b + h * v) - scalar(b - h * v)) / (2 * h)
        slopes = slope(1e-5), slope(3e-6)
        if abs(slopes[0] - slopes[1]) < 0.1 * (size + abs(slopes[0]) * 1e-4):            # no kink between
            try:
                assert abs(np.sum(ad.grad(scalar)(b) * v) - slopes[0]) <= size + 1e-4 * abs(slopes[0])
            except ad.DerivativeError:   # every element is a constant, outside of a support, say
                assert slopes[0] == 0
        return True


if __name__ == "__main__":
    start, count = map(int, sys.argv[1:])
    done = 0
    for seed in range(start, start + count):
        try:
            done += judge(seed)
        except Exception as error:
            print(f"seed {seed}: {type(error).__name__}: {error}")
    print(f"{done} calls")
