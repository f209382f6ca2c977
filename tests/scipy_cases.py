"""Calls of SciPy as users write them: what is recorded, and what is refused with the remedy.

Owns: RECORDED (name -> function and the array at which it is tested), REFUSED (name -> function, what the error says).
Must not know: fastad.  Next: tests/test_scipy_doors.py, which judges them; scipy_doors.py.
"""
import math

import numpy as np
from scipy import integrate, interpolate, ndimage, optimize, signal, spatial, stats
from scipy.integrate import cumulative_trapezoid, simpson
from scipy.interpolate import CubicSpline, RegularGridInterpolator, interp1d
from scipy.spatial.distance import cdist, pdist, squareform
from scipy.stats import norm

RNG = np.random.default_rng(1)
X4 = np.array([0.4, 1.3, 0.8, 2.1])
X5 = np.array([0.4, 1.3, 0.8, 2.1, 1.7])
X6 = np.array([0.4, 1.3, 0.8, 2.03, 1.7, 0.9])
X9 = RNG.uniform(0.5, 2.0, 9)
X12 = RNG.uniform(0.5, 2.0, 12)
X20 = RNG.uniform(0.5, 2.0, 20)
T4, T5, T6, T9 = (np.array([0.0, 0.3, 0.7, 1.2, 1.5, 2.1, 2.2, 3.0, 3.5])[:n] for n in (4, 5, 6, 9))
AT = np.array([0.1, 0.3, 0.55, 1.0])
IMAGE = RNG.uniform(0.5, 2.0, (5, 4))
W = np.array([0.3, -1.0, 0.5, 0.2])
COVARIANCE = np.eye(4) + np.outer(W, W)
DATA = np.array([0.2, 1.7, 0.9, 2.4, 0.5])
B4, A4 = np.array([0.4, 0.1, 0.0, 0.2]), np.array([2.0, -0.6, 0.3])
SOS = signal.butter(3, 0.4, output="sos")

RECORDED = {
    # integrals of samples
    "trapezoid": (lambda x: integrate.trapezoid(x, T5) + integrate.trapezoid(x, dx=0.1), X5),
    "trapezoid by abscissae": (lambda x: integrate.trapezoid(np.sin(x), np.cumsum(x)), X5),
    "trapezoid of rows": (lambda x: integrate.trapezoid(x.reshape(2, 3), T4[:3], axis=1), X6),
    "simpson, odd": (lambda x: simpson(x, x=T5) + simpson(x, dx=0.3), X5),
    "simpson, even": (lambda x: simpson(x, x=T6) + simpson(x), X6),
    "simpson of two": (lambda x: simpson(x[:2]) + simpson(x[:3], x=T4[:3]), X6),
    "simpson by abscissae": (lambda x: simpson(np.sin(x), x=np.cumsum(x)), X6),
    "simpson of columns": (lambda x: simpson(x.reshape(4, 3), x=T4, axis=0), X12),
    "cumulative_trapezoid": (lambda x: cumulative_trapezoid(x, T5, initial=0) * x, X5),
    "cumulative_trapezoid of columns": (lambda x: cumulative_trapezoid(x.reshape(3, 2), axis=0, dx=0.2), X6),
    "cumulative_simpson": (lambda x: integrate.cumulative_simpson(x, x=T6, initial=0.0) + x, X6),
    "cumulative_simpson, equal": (lambda x: integrate.cumulative_simpson(x, dx=0.2), X5),
    "cumulative_simpson by abscissae": (lambda x: integrate.cumulative_simpson(x * x, x=np.cumsum(x)), X6),
    "romb": (lambda x: integrate.romb(x, dx=0.25), X5),
    "fixed_quad": (lambda x: integrate.fixed_quad(lambda t: np.exp(-x[0] * t) * t, 0.0, x[1], n=7)[0], X4),
    # filters
    "correlate1d": (lambda x: ndimage.correlate1d(x, W[:3], mode="nearest"), X6),
    "correlate1d, even": (lambda x: ndimage.correlate1d(x, W, mode="mirror", origin=1), X6),
    "convolve1d": (lambda x: ndimage.convolve1d(x.reshape(4, 3), W, axis=0, mode="wrap", origin=-1), X12),
    "convolve1d by weights": (lambda x: ndimage.convolve1d(DATA, x, mode="constant", cval=2.0), X4),
    "correlate": (lambda x: ndimage.correlate(x.reshape(4, 3), np.outer(W, W[:3]), mode="reflect"), X12),
    "convolve": (lambda x: ndimage.convolve(x.reshape(4, 5), np.outer(W[:3], W), mode="constant", cval=0.5), X20),
    "convolve by weights": (lambda x: ndimage.convolve(IMAGE, x.reshape(2, 3), origin=(0, 1)), X6),
    "gaussian_filter": (lambda x: ndimage.gaussian_filter(x.reshape(4, 5), 1.0), X20),
    "gaussian_filter, two sigmas": (lambda x: ndimage.gaussian_filter(x.reshape(4, 5), (0.7, 1.2), mode="nearest"),
                                    X20),
    "gaussian_filter by sigma": (lambda x: ndimage.gaussian_filter(IMAGE, x[0]), np.array([1.03])),
    "gaussian_filter1d": (lambda x: ndimage.gaussian_filter1d(x, 1.3, order=2, mode="wrap"), X9),
    "gaussian_filter1d, first": (lambda x: ndimage.gaussian_filter1d(x, 0.9, order=1, truncate=3.0), X9),
    "uniform_filter": (lambda x: ndimage.uniform_filter(x.reshape(4, 3), size=(2, 3), mode="mirror"), X12),
    "uniform_filter1d": (lambda x: ndimage.uniform_filter1d(x, 4, mode="nearest"), X9),
    "laplace": (lambda x: ndimage.laplace(x.reshape(4, 3)), X12),
    "sobel": (lambda x: np.hypot(ndimage.sobel(x.reshape(4, 3), 0), ndimage.sobel(x.reshape(4, 3), 1)), X12),
    "prewitt": (lambda x: ndimage.prewitt(x.reshape(4, 3), axis=0, mode="nearest"), X12),
    "gaussian_laplace": (lambda x: ndimage.gaussian_laplace(x.reshape(4, 3), 0.8), X12),
    "gaussian_gradient_magnitude": (lambda x: ndimage.gaussian_gradient_magnitude(x.reshape(4, 3), 0.8), X12),
    "output=": (lambda x: filtered_into(x), X6),
    "lfilter": (lambda x: signal.lfilter([0.2, 0.3], [1.0, -0.5, 0.1], x), X9),
    "lfilter by coefficients": (lambda x: signal.lfilter(x[:2], np.array([2.0, x[2] * 0.1]), DATA), X4),
    "lfilter by coefficients in lists": (lambda x: signal.lfilter([x[0], 0.2], [1.0, x[1] * 0.1], DATA * x[2]), X4),
    "lfilter of rows": (lambda x: signal.lfilter([0.5], [1.0, -0.5], x.reshape(3, 4), axis=0), X12),
    "lfilter with a state": (lambda x: np.concatenate(signal.lfilter([1.0, 0.2], [1.0, -0.5], x, zi=x[:1])), X5),
    "convolve2d": (lambda x: signal.convolve2d(x.reshape(4, 5), IMAGE[:3, :3], "same", "symm"), X20),
    "convolve2d by weights": (lambda x: signal.convolve2d(IMAGE, x.reshape(2, 3), fillvalue=0.5), X6),
    "convolve2d by many weights": (lambda x: signal.convolve2d(np.tile(x.reshape(4, 5), (3, 3)), np.ones((9, 8)),
                                                               "valid"), X20),
    "correlate2d": (lambda x: signal.correlate2d(x.reshape(4, 5), IMAGE[:2, :4], mode="same", boundary="wrap"), X20),
    "correlate2d, the smaller one first": (lambda x: signal.correlate2d(x.reshape(2, 3), IMAGE, "valid"), X6),
    "lfilter of few": (lambda x: np.concatenate(signal.lfilter(B4, A4, x, zi=x[0] * np.array([0.3, -0.2, 1]))), X4[:2]),
    "lfilter of rows with a state": (lambda x: signal.lfilter(B4, A4, x.reshape(3, 4), axis=0, zi=x[:3, None] + 0.5)[0],
                                     X12),
    "filtfilt": (lambda x: signal.filtfilt(B4, A4, np.tile(x, 2)), X12),
    "filtfilt of columns": (lambda x: signal.filtfilt([0.3, 0.2], [2.0, -0.5], x.reshape(10, 2), axis=0,
                                                      padtype="even"), X20),
    "filtfilt, constant": (lambda x: signal.filtfilt([0.3, 0.2], 1.0, x, padtype="constant", padlen=3), X9),
    "filtfilt without padding": (lambda x: signal.filtfilt([0.3, 0.2], [1.0, -0.5], x, padtype=None), X9),
    "sosfilt": (lambda x: signal.sosfilt(SOS, x.reshape(2, 10)), X20),
    "sosfilt with a state": (lambda x: np.concatenate([np.ravel(y) for y in signal.sosfilt(
        SOS, x, zi=np.reshape(x[:4], (2, 2)))]), X9),
    "sosfiltfilt": (lambda x: signal.sosfiltfilt(SOS, x), X20),
    "sosfiltfilt of columns": (lambda x: signal.sosfiltfilt(SOS[:1], x.reshape(10, 2), axis=0, padlen=4), X20),
    "decimate": (lambda x: signal.decimate(np.tile(x, 2), 3, n=2), X20),
    "decimate with delay": (lambda x: signal.decimate(x.reshape(10, 2), 2, axis=0, zero_phase=False), X20),
    "hilbert": (lambda x: np.abs(signal.hilbert(x.reshape(4, 5), axis=0)), X20),
    "hilbert of 9": (lambda x: np.angle(signal.hilbert(x)) + signal.hilbert(x, 16).imag[:9], X9),
    "detrend": (lambda x: signal.detrend(x.reshape(4, 5), axis=0) + signal.detrend(x, type="constant")[0], X20),
    "detrend with breaks": (lambda x: signal.detrend(x, bp=[4, 6]), X9),
    "signal.convolve": (lambda x: signal.convolve(x, W, mode="same") + signal.convolve(DATA, x[:3], "full")[:5], X5),
    "signal.fftconvolve": (lambda x: signal.fftconvolve(x, W, mode="same") + signal.oaconvolve(DATA, x[:3])[:5], X5),
    "signal.convolve of images": (lambda x: signal.convolve(x.reshape(4, 3), IMAGE[:2, :2], mode="same"), X12),
    "signal.correlate": (lambda x: signal.correlate(x, W) * 0.5, X5),
    "signal.correlate, valid": (lambda x: signal.correlate(x, DATA[:3], mode="valid") + x[0], X5),
    # interpolation
    "map_coordinates by image": (lambda x: ndimage.map_coordinates(x.reshape(4, 3), [[0.3, 1.7, 2.5], [1.2, 0.4, 1.9]],
                                                                   order=1), X12),
    "map_coordinates by position": (lambda x: ndimage.map_coordinates(IMAGE, x.reshape(2, 3), order=1), X6),
    "map_coordinates, nearest": (lambda x: ndimage.map_coordinates(x.reshape(4, 3), [[0.3, 1.7], [1.2, 0.4]], order=0),
                                 X12),
    "affine_transform": (lambda x: ndimage.affine_transform(IMAGE, x.reshape(2, 3), output_shape=(3, 5), order=1,
                                                            mode="nearest"), X6),
    "affine_transform by the diagonal": (lambda x: ndimage.affine_transform(IMAGE, x[:2], 0.87 * x[2:], order=1), X4),
    "shift": (lambda x: ndimage.shift(x.reshape(4, 3), (0.3, -1.2), order=1, cval=0.5), X12),
    "shift by position": (lambda x: ndimage.shift(IMAGE, x[:2] / 3, order=1, mode="mirror"), X4),
    "rotate": (lambda x: ndimage.rotate(x.reshape(4, 3), 90 * round(x[0]) + 31, order=1), X12),
    "rotate by the angle": (lambda x: ndimage.rotate(IMAGE, 30 * x[0], reshape=False, order=1, mode="wrap"), X4),
    "CubicSpline by values": (lambda x: CubicSpline(T6, x)(AT) * x[0], X6),
    "CubicSpline, natural": (lambda x: CubicSpline(T6, x, bc_type="natural")(AT, 1), X6),
    "CubicSpline, clamped": (lambda x: CubicSpline(T6, x.reshape(2, 6), axis=1, bc_type="clamped")(AT), X12),
    "CubicSpline, periodic": (lambda x: CubicSpline(T6, np.append(x, x[0]), bc_type="periodic")(AT - 2.0), X5),
    "CubicSpline, ends": (lambda x: CubicSpline(T6, x, bc_type=((1, 0.5), (2, -1.0)))(AT), X6),
    "CubicSpline by position": (lambda x: CubicSpline(T6, DATA[[0, 1, 2, 3, 4, 0]])(x), X5),
    "CubicSpline by both": (lambda x: CubicSpline(T5, x)(x[:3], 2) + CubicSpline(T5, x).integrate(0.2, x[1]), X5),
    "CubicSpline outside": (lambda x: CubicSpline(T6, x)(np.array([-0.2, 2.5])), X6),
    "CubicSpline, derivative": (lambda x: CubicSpline(T6, DATA[[0, 1, 2, 3, 4, 0]]).derivative()(x), X5),
    "CubicHermiteSpline": (lambda x: interpolate.CubicHermiteSpline(np.cumsum(x[:3]), x[3:6], x[:3])(x[:1] + 0.3), X6),
    "PchipInterpolator": (lambda x: interpolate.PchipInterpolator(T6, x)(AT), X6),
    "PchipInterpolator by knots": (lambda x: interpolate.PchipInterpolator(np.cumsum(x), np.sin(3 * x))(x[1:3]), X6),
    "PchipInterpolator of rows": (lambda x: interpolate.PchipInterpolator(T4, x.reshape(3, 4), axis=1)(AT), X12),
    "PPoly": (lambda x: interpolate.PPoly(x.reshape(3, 2), [0.0, 1.0, 2.0])(AT), X6),
    "interp1d": (lambda x: interp1d(T6, x)(AT), X6),
    "interp1d by all": (lambda x: interp1d(np.cumsum(x), x * x)(x[1:3]), X6),
    "interp1d by position": (lambda x: interp1d(T9, np.sin(T9))(x), X6),
    "interp1d, extrapolating": (lambda x: interp1d(T6, x, fill_value="extrapolate")(np.array([-0.3, 1.0, 3.0])), X6),
    "interp1d, filling": (lambda x: interp1d(T6, x, bounds_error=False, fill_value=(0.5, 2.0))([-0.3, 1.0, 3.0]), X6),
    "interp1d, unsorted": (lambda x: interp1d(T6[::-1], x)(AT), X6),
    "interp1d, cubic": (lambda x: interp1d(T6, x, kind="cubic")(AT), X6),
    "interp1d, quadratic at": (lambda x: interp1d(T9, np.sin(T9), kind="quadratic")(x), X6),
    "interp1d, nearest": (lambda x: interp1d(T6, x, kind="nearest")(AT) + interp1d(T6, x, kind="previous")(AT)
                          + interp1d(T6, x, kind="next")(AT), X6),
    "interp1d of rows": (lambda x: interp1d(T4, x.reshape(3, 4))(AT), X12),
    "make_interp_spline": (lambda x: interpolate.make_interp_spline(T9, x, k=3)(AT), X9),
    "make_interp_spline, order 5": (lambda x: interpolate.make_interp_spline(T9, x, k=5)(AT, 2), X9),
    "BSpline by coefficients": (lambda x: interpolate.BSpline(np.r_[0, 0, 0, 1, 2, 2, 2.0], x, 2)(AT), X4),
    "BSpline by position": (lambda x: interpolate.BSpline(np.r_[0, 0, 0, 1, 2, 2, 2.0], W, 2)(x[:3]), X4),
    "BSpline by knots": (lambda x: interpolate.BSpline(np.cumsum(x), W, 2)(np.array([2.6, 3.2, 4.4])), X9[:7]),
    "splev and splrep": (lambda x: interpolate.splev(AT, interpolate.splrep(T6, x)), X6),
    "splev by position": (lambda x: interpolate.splev(x, interpolate.splrep(T9, np.sin(T9)), der=1), X6),
    "UnivariateSpline": (lambda x: interpolate.InterpolatedUnivariateSpline(T9, np.sin(T9), k=3)(x), X6),
    "RectBivariateSpline.ev": (lambda x: interpolate.RectBivariateSpline(T5, T4, IMAGE, ky=2).ev(x[:3] / 2, x[3:] / 3),
                               X6),
    "RegularGridInterpolator": (lambda x: RegularGridInterpolator((T4, T5), x.reshape(4, 5))([[0.2, 0.5], [1.1, 1.4]]),
                                X20),
    "RegularGridInterpolator by position": (lambda x: RegularGridInterpolator((T5, T4), IMAGE)(x.reshape(3, 2) / 2),
                                            X6),
    "RegularGridInterpolator in 3-D": (lambda x: RegularGridInterpolator(
        (T4, T4[:2], T5[::-1]), RNG_TABLE, bounds_error=False, fill_value=None)((x[0], x[1] / 3, x[2:4])), X4),
    "interpn": (lambda x: interpolate.interpn((T5, T4), IMAGE, x.reshape(3, 2) / 2), X6),
    # distances
    "cdist": (lambda x: cdist(x.reshape(3, 2), IMAGE[:, :2]), X6),
    "cdist with itself": (lambda x: np.exp(-cdist(x.reshape(3, 2), x.reshape(3, 2), "sqeuclidean")), X6),
    "cdist, zeros": (lambda x: cdist(x.reshape(3, 2), x.reshape(3, 2)), X6),
    "pdist": (lambda x: pdist(x.reshape(3, 2), "cityblock") + pdist(x.reshape(3, 2), "chebyshev"), X6),
    "squareform": (lambda x: squareform(pdist(x.reshape(3, 2)))**2, X6),
    "squareform of a matrix": (lambda x: squareform(np.outer(x, x) * (1 - np.eye(4)), checks=False), X4),
    "distances of two": (lambda x: spatial.distance.euclidean(x[:2], x[2:]) + spatial.distance.cityblock(x[:2], x[2:]),
                         X4),
    # distributions, as likelihoods are written
    "norm.logpdf": (lambda x: norm.logpdf(DATA, x[0], x[1]).sum(), X4),
    "norm.logpdf, keywords": (lambda x: stats.norm.logpdf(DATA, loc=x[0], scale=x[1] * DATA), X4),
    "frozen": (lambda x: stats.norm(x[0], x[1]).logpdf(DATA) + stats.gamma(2.5, scale=x[2]).logpdf(DATA), X4),
    "mixture": (lambda x: np.log(0.3 * norm.pdf(DATA, x[0], 1.0) + 0.7 * norm.pdf(DATA, x[1], 0.5)), X4),
    "regression": (lambda x: -stats.t.logpdf(DATA - x[0] * T5, df=x[1], scale=x[2]).sum(), X4),
    "priors": (lambda x: stats.beta.logpdf(x[0], 2.0, 3.0) + stats.gamma.logpdf(x[1], a=2.0)
               + stats.invgamma.logpdf(x[2], 3.0) + stats.halfnorm.logpdf(x[3], scale=2.0)
               + stats.uniform.logpdf(x[0], 0, 1), X4),
    "counts": (lambda x: stats.poisson.logpmf([0, 3, 2], x[:3]) + stats.binom.logpmf([1, 2, 3], 5, x[0]), X4),
    "truncnorm": (lambda x: stats.truncnorm.logpdf(DATA, -x[0] / x[1], np.inf, loc=x[0], scale=x[1]), X4),
    "multivariate_normal": (lambda x: stats.multivariate_normal.logpdf(x, mean=x[::-1] * 0.1, cov=COVARIANCE)
                            + stats.multivariate_normal.pdf(x[:2].reshape(2, 1) * [1.0, 2.0], [0.3, 0.1], 0.7)[1], X4),
    "multivariate_normal, frozen": (lambda x: stats.multivariate_normal(x, COVARIANCE).logpdf(DATA[:4])
                                    + stats.multivariate_normal([0.1, 0.2], [1.0, 2.0]).pdf(x.reshape(2, 2)), X4),
    "reparametrised sample": (lambda x: norm.rvs(x[0], x[1], size=3, random_state=1)**2, X4),
    "quantile transform": (lambda x: stats.gamma.ppf(norm.cdf(x), 2.0), X4),
    "censoring": (lambda x: np.where(DATA > 1.0, stats.weibull_min.logsf(DATA, x[0], scale=x[1]),
                                     stats.weibull_min.logpdf(DATA, x[0], scale=x[1])), X4),
}
RNG_TABLE = RNG.uniform(0.5, 2.0, (4, 2, 5))


def filtered_into(x):
    out = np.zeros(6)
    ndimage.gaussian_filter1d(x, 0.7, output=out)
    return out * x


REFUSED = {
    "quad": (lambda x: integrate.quad(lambda t: math.exp(-x[0] * t), 0, 1)[0], "fixed_quad"),
    "quad with limits": (lambda x: integrate.quad(np.sin, 0, x[0])[0], "fixed_quad"),
    "dblquad": (lambda x: integrate.dblquad(lambda t, s: x[0] * t * s, 0, 1, 0, 1)[0], "fixed_quad"),
    "solve_ivp": (lambda x: integrate.solve_ivp(lambda t, y: -x[0] * y, (0, 1), [1.0]).y[0, -1], "Runge-Kutta"),
    "odeint": (lambda x: integrate.odeint(lambda y, t: -x[0] * y, x[1], [0, 1])[-1, 0], "Runge-Kutta"),
    "brentq": (lambda x: optimize.brentq(lambda y: y * y - x[0], 0, 2), "Newton's iteration"),
    "root": (lambda x: optimize.root(lambda y: y * y - x[0], [1.0]).x[0], "Newton's iteration"),
    "fsolve": (lambda x: optimize.fsolve(lambda y: y * y - x[0], 1.0)[0], "ad.primitive"),
    "minimize": (lambda x: optimize.minimize(lambda y: (y[0] - x[0])**2, [0.0]).x[0], "ad.primitive"),
    "curve_fit": (lambda x: optimize.curve_fit(lambda t, a: a * t, T4, x)[0][0], "ad.primitive"),
    "map_coordinates, cubic": (lambda x: ndimage.map_coordinates(x, [[0.5]])[0], "order=1"),
    "zoom": (lambda x: ndimage.zoom(x, 2).sum(), "map_coordinates"),
    "median_filter": (lambda x: ndimage.median_filter(x, 3).sum(), "np.median"),
    "maximum_filter": (lambda x: ndimage.maximum_filter(x, 3).sum(), "sliding_window_view"),
    "CubicSpline by knots": (lambda x: CubicSpline(np.cumsum(x), x)(1.5), "no derivative by its knots"),
    "UnivariateSpline of traced": (lambda x: interpolate.UnivariateSpline(T4, x)(0.5), "make_interp_spline"),
    "griddata": (lambda x: interpolate.griddata(np.eye(4)[:, :2] + 0.1, x, [[0.4, 0.3]])[0], "RegularGridInterpolator"),
    "RBFInterpolator": (lambda x: interpolate.RBFInterpolator(T4[:, None], x)([[0.5]])[0], "ad.primitive"),
    "splrep, smoothing": (lambda x: interpolate.splev(0.5, interpolate.splrep(T4, x, s=1.0)), "s=0"),
    "filtfilt, Gustafsson's": (lambda x: signal.filtfilt([1.0], [1.0, -0.2], x, method="gust").sum(), "pad"),
    "filtfilt by coefficients": (lambda x: signal.filtfilt(x[:1], [1.0, -0.2], np.tile(x, 3)).sum(), "coefficients"),
    "filtfilt of complex numbers": (lambda x: signal.filtfilt([1], [1, -0.2], np.tile(x, 3) * 1j).imag.sum(), "real"),
    "savgol_filter": (lambda x: signal.savgol_filter(x, 3, 1).sum(), "lfilter"),
    "cdist, cosine": (lambda x: cdist(x.reshape(2, 2), x.reshape(2, 2), "cosine").sum(), "sqeuclidean"),
    "gamma.cdf by shape": (lambda x: stats.gamma.cdf(1.0, x[0]), "no derivative|not recorded|closed form"),
    "multivariate_normal by cov": (lambda x: stats.multivariate_normal.logpdf(DATA[:2], cov=np.diag(x[:2])),
                                   "np.linalg.cholesky"),
    "vonmises.ppf": (lambda x: stats.vonmises.ppf(0.3, x[0]), "no formula"),
    "landau": (lambda x: stats.landau.logpdf(x[0]), "compiled code"),
    "gaussian_kde": (lambda x: stats.gaussian_kde(x)(0.5)[0], "np.mean"),
    "pearsonr": (lambda x: stats.pearsonr(x, T4)[0], "np.mean"),
    "zscore": (lambda x: stats.zscore(x)[0], "np.mean"),
}
