"""Models that call SciPy where it is handy: tables, splines, filters, integrals of samples, distances.

Owns: how interpolators, filters and quadrature are used inside of forward models.  Must not know: fastad.
Next: inference.py (scipy.stats), tests/scipy_cases.py (the calls one by one).
"""
import numpy as np
from scipy import integrate, interpolate, ndimage, signal
from scipy.integrate import cumulative_trapezoid, simpson, trapezoid
from scipy.interpolate import CubicSpline, PchipInterpolator, RegularGridInterpolator, interp1d
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial.distance import cdist, pdist, squareform
from scipy.special import ellipe, ellipk, j0, j1, jv

from tests.models import model

Z = np.linspace(0.0, 2.0, 9)
DEPTH = np.array([0.0, 10.0, 25.0, 45.0, 80.0])
V5 = np.array([1.5, 1.9, 2.4, 3.1, 3.8])
GRID = np.add.outer(np.linspace(1.0, 2.0, 6), np.sin(np.linspace(0.0, 2.0, 5)))
IMAGE = np.random.default_rng(3).uniform(0.5, 1.5, (6, 7))


@model(V5, analytic=False)
def vertical_time_spline(v):
    """Velocity knots, a cubic spline between them, the two-way time by Simpson; Sheriff & Geldart (1995), ch. 4."""
    fine = np.linspace(DEPTH[0], DEPTH[-1], 41)
    return 2 * simpson(1.0 / CubicSpline(DEPTH, v, bc_type="natural")(fine), x=fine)


@model(V5, analytic=False)
def rms_velocity_running(v):
    """Dix (1955) forward: running integrals of velocity over time."""
    t = cumulative_trapezoid(1 / v, DEPTH, initial=0)
    numerator = cumulative_trapezoid(v**2, t, initial=0.0)
    return np.sqrt(numerator[1:] / t[1:])


@model(V5, analytic=False)
def ray_through_slowness_table(v):
    """Traveltime along a straight ray through a table on a grid, by RegularGridInterpolator."""
    slowness = RegularGridInterpolator((DEPTH, np.array([0.0, 50.0, 100.0])), np.outer(1 / v, [1.0, 1.1, 0.9]))
    s = np.linspace(0, 1, 21)
    return trapezoid(slowness(np.column_stack([70 * s, 10 + 80 * s])), dx=float(np.hypot(70, 80)) / 20)


@model(np.array([0.3, 1.1, 0.7, 0.2]), analytic=False)
def image_warp(p):
    """Registration: a rotated and shifted image resampled linearly; Modersitzki (2004)."""
    yy, xx = np.mgrid[0:6, 0:7].astype(float)
    c, s = np.cos(0.1 * p[0]), np.sin(0.1 * p[0])
    at = np.array([c * yy - s * xx + p[1], s * yy + c * xx + 0.31 * p[2]])
    return np.sum((map_coordinates(IMAGE, at, order=1, mode="nearest") - IMAGE)**2) + p[3]


@model(IMAGE, analytic=False)
def blur_and_downsample(image):
    """An imaging operator: optics blur, pixels average; Hansen, Nagy & O'Leary (2006)."""
    blurred = gaussian_filter(image, sigma=0.8, mode="reflect")
    return blurred[:, :6].reshape(3, 2, 3, 2).mean(axis=(1, 3))


@model(IMAGE, analytic=False, smooth=False)
def edge_energy(image):
    """Sobel gradients and a Laplacian as a smoothness penalty; Gonzalez & Woods (2008)."""
    gx, gy = ndimage.sobel(image, axis=0), ndimage.sobel(image, axis=1)
    return np.sum(np.sqrt(gx**2 + gy**2 + 1e-2)) + 0.1 * np.sum(ndimage.laplace(image)**2)


@model(np.array([0.9, 0.35, 0.2]), analytic=False)
def attenuated_trace(p):
    """A wavelet through an autoregressive medium, scipy.signal.lfilter with traced coefficients; Robinson (1967)."""
    t = np.arange(24) * 0.1
    wavelet = (1 - 2 * (p[0] * (t - 0.5))**2) * np.exp(-(p[0] * (t - 0.5))**2)
    return signal.lfilter([1.0], [1.0, -p[1], p[2] * p[1]], wavelet)


@model(np.array([1.0, 0.7, -0.4, 0.2, 0.5]), analytic=False)
def seismogram_convolved(r):
    """Reflectivity convolved with a wavelet, mode='same', then squared differences; Sheriff & Geldart (1995)."""
    w = np.array([-0.2, 0.5, 1.0, 0.5, -0.2])
    trace = signal.convolve(np.repeat(r, 3), w, mode="same")
    return 0.5 * np.sum((trace - 0.1)**2)


@model(np.array([0.4, 1.2, 0.9, 1.7, 0.3, 1.1]), analytic=False)
def kriging_variogram(p):
    """Exponential covariances of distances, summed against weights; Chiles & Delfiner (2012)."""
    xy = p.reshape(3, 2)
    c = np.exp(-cdist(xy, IMAGE[:4, :2]) / 0.7) + 0.2 * np.exp(-cdist(xy, IMAGE[:4, :2], metric="sqeuclidean"))
    return c @ np.array([0.3, -0.2, 0.5, 0.1])


@model(np.array([0.4, 1.2, 0.9, 1.7, 0.3, 1.1]), analytic=False)
def stress_of_a_map(p):
    """Kruskal's stress of a map of points against given distances; Kruskal (1964)."""
    d = pdist(p.reshape(3, 2))
    wanted = np.array([1.0, 1.5, 0.7])
    return np.sqrt(np.sum((d - wanted)**2) / np.sum(d**2)) + squareform(d).max() * 0.0


@model(np.array([0.5, 0.8, 1.3]), analytic=False)
def circular_loop_field(p):
    """Axial and radial field of a current loop by elliptic integrals; Smythe (1950), 7.10."""
    a, r, z = p
    m = 4 * a * r / ((a + r)**2 + z**2)
    k, e = ellipk(m), ellipe(m)
    common = 1 / np.sqrt((a + r)**2 + z**2)
    bz = common * (k + (a**2 - r**2 - z**2) / ((a - r)**2 + z**2) * e)
    br = z / r * common * (-k + (a**2 + r**2 + z**2) / ((a - r)**2 + z**2) * e)
    return np.array([bz, br])


@model(np.array([2.3, 0.4, 1.1]), analytic=False)
def airy_pattern_obstructed(p):
    """Diffraction of an annular aperture; Born & Wolf (1999), 8.6."""
    q, eps, amplitude = p
    x = q * np.array([0.5, 1.0, 1.7])
    bracket = 2 * j1(x) / x - eps**2 * 2 * j1(eps * x) / (eps * x)
    return amplitude * (bracket / (1 - eps**2))**2


@model(np.array([0.6, 0.9, 1.4]), analytic=False)
def hankel_transform_by_quadrature(p):
    """A potential over a half-space as an integral of J0, Gauss-Legendre by fixed_quad; Ward & Hohmann (1988)."""
    thick, contrast, r = p

    def kernel(k):
        return np.exp(-k * thick) / (1 + contrast * np.exp(-2 * k)) * j0(k * r)
    value, _ = integrate.fixed_quad(kernel, 0.0, 6.0, n=12)
    return value


@model(np.array([0.7, 1.2]), analytic=False)
def fm_sidebands(p):
    """Jacobi-Anger: amplitudes of a frequency modulated tone; Chowning (1973)."""
    return sum(jv(n, p[0]) * np.cos((3 + n) * p[1]) for n in range(-3, 4))


@model(np.array([0.4, 0.9, 1.3, 1.8, 0.8, 0.3, 0.5, 0.9, 1.1]), analytic=False)
def monotone_isotherm(y):
    """Concentrations through a shape-preserving curve, and the area under it."""
    curve = PchipInterpolator(Z, np.cumsum(y))
    return np.append(curve(np.array([0.13, 0.6, 1.9])), curve.integrate(0.0, 2.0))


@model(np.array([12.0, 31.0, 60.0]), analytic=False)
def table_built_once(x):
    """A table outside, made into an interpolator when the module is imported."""
    return SOUND(x) * ATTENUATION(x)


SOUND = interp1d(DEPTH, 1500.0 + 0.5 * DEPTH - 8 * np.sin(DEPTH / 20), kind="cubic")
ATTENUATION = CubicSpline(DEPTH, np.exp(-DEPTH / 40))


@model(np.array([12.0, 31.0, 60.0]), analytic=False)
def bicubic_lookup(x):
    """An equation of state as a bicubic table, evaluated along a path."""
    table = interpolate.RectBivariateSpline(np.linspace(0, 100, 6), np.linspace(0, 2, 5), GRID)
    return table.ev(x, 0.01 * x + 0.3)


@model(np.array([1.1, 0.7, 1.6, 1.2]), analytic=False)
def bspline_log_permeability(c):
    """A field in B-splines, coefficients to be estimated; de Boor (1978)."""
    knots = np.concatenate([np.zeros(4), np.ones(4)])
    field = interpolate.BSpline(knots, c, 3)
    return np.exp(field(np.linspace(0, 1, 6))) + field(np.linspace(0.1, 0.9, 6), 1)


class Sounding:
    """An instrument with a cache of its weights and a state that counts the calls."""

    def __init__(self, x):
        self.x = np.asarray(x)
        self._weights = None
        self.calls = 0

    @property
    def weights(self):
        if self._weights is None:
            self._weights = np.exp(-self.x) / np.exp(-self.x).sum()
        return self._weights

    def __call__(self, profile):
        self.calls += 1
        layered = np.interp(self.x, DEPTH / 40, profile)
        return self.weights @ ndimage.uniform_filter1d(layered, 3, mode="nearest")


INSTRUMENT = Sounding(np.linspace(0.0, 2.0, 15))


@model(V5, analytic=False)
def instrument_with_cache(v):
    """A method of an object made at import, with weights computed at the first call."""
    return INSTRUMENT(v) + Sounding([0.1, 0.4, 0.9])(v**2)
