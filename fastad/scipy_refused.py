"""scipy_refused.py - what of SciPy is not recorded, and what to write instead.

Owns: the messages.  Of functions that call the user's function (quad, solve_ivp, minimize ...), that function runs on
plain numbers; if one of its results was traced, the derivative would be lost, so the call is an error.
Next: scipy_doors.py, tests/test_scipy_refused.py.
"""
from __future__ import annotations

from typing import Any

from fastad import _tape as T
from fastad import scipy_doors
from fastad.operands import bare, refusal

ODE = ("its steps depend on values, so the recorded solution would not hold elsewhere; write the time steps as a loop "
       "(fourth-order Runge-Kutta takes four lines; ad.scan stores one step), or wrap the solver with ad.primitive")
ROOT = ("its iterations stop by tolerance; write Newton's iteration as a loop in NumPy, or wrap the solver with "
        "ad.primitive: the derivative of a root of F(y, p) = 0 is dy/dp = -(dF/dy)^-1 dF/dp")
MINIMUM = ("an optimum inside of a recorded function; write its iterations as a loop, or wrap it with ad.primitive: "
           "its derivative is that of the root of the gradient")
QUAD = ("its nodes depend on values; use scipy.integrate.fixed_quad(f, a, b, n=...), scipy.integrate.simpson of "
        "samples, or Gauss-Legendre nodes: t, w = np.polynomial.legendre.leggauss(n)")

# Functions that call the user's function.
CALLING = {
    "scipy.integrate": {**dict.fromkeys(("quad", "dblquad", "tplquad", "nquad", "quad_vec", "romberg"), QUAD),
                        **dict.fromkeys(("solve_ivp", "odeint", "solve_bvp"), ODE)},
    "scipy.optimize": {**dict.fromkeys(("brentq", "brenth", "bisect", "ridder", "toms748", "fsolve", "root",
                                        "root_scalar", "fixed_point"), ROOT),
                       **dict.fromkeys(("minimize", "minimize_scalar", "least_squares", "curve_fit", "fmin", "leastsq",
                                        "fminbound", "brent", "fmin_bfgs", "differential_evolution"), MINIMUM)},
}
# Functions of arrays: said where one of them cannot take a traced one (scipy_doors.remedies).
OF_ARRAYS = {
    "scipy.signal": {
        **dict.fromkeys(("savgol_filter", "resample", "resample_poly", "upfirdn"),
                        "recorded are lfilter, filtfilt, sosfilt, decimate, convolve and correlate; a filter without "
                        "recursion is scipy.signal.convolve(x, h, mode='same')"),
        "medfilt": "use np.median of np.lib.stride_tricks.sliding_window_view(np.pad(x, n // 2), n)"},
    "scipy.ndimage": {
        **dict.fromkeys(("zoom", "geometric_transform"),
                        "compute the coordinates and use scipy.ndimage.map_coordinates with order=1"),
        **dict.fromkeys(("spline_filter", "spline_filter1d"), "recorded are interpolations of order 0 and 1"),
        **dict.fromkeys(("median_filter", "maximum_filter", "minimum_filter", "percentile_filter", "rank_filter",
                         "generic_filter", "grey_dilation", "grey_erosion"),
                        "use np.median, np.max ... of np.lib.stride_tricks.sliding_window_view(np.pad(x, ...), shape)"),
        **dict.fromkeys(("sum", "sum_labels", "mean", "variance", "maximum", "minimum", "label", "center_of_mass"),
                        "use np.bincount(labels.ravel(), x.ravel()), or x[labels == k]")},
    "scipy.interpolate": {
        **dict.fromkeys(("griddata", "RBFInterpolator.__init__", "RBFInterpolator.__call__", "Rbf.__init__",
                         "LinearNDInterpolator.__call__", "CloughTocher2DInterpolator.__call__"),
                        "recorded are RegularGridInterpolator on grids, and CubicSpline, PchipInterpolator, interp1d "
                        "along one axis; for scattered points write the weights, or wrap it with ad.primitive"),
        **dict.fromkeys(("Akima1DInterpolator.__init__", "RectBivariateSpline.__init__",
                         "SmoothBivariateSpline.__init__", "make_lsq_spline", "make_smoothing_spline", "bisplev",
                         "bisplrep", "splprep", "splint"),
                        "recorded are CubicSpline, PchipInterpolator, interp1d, BSpline and make_interp_spline; "
                        "RectBivariateSpline of plain numbers at traced points")},
    "scipy.stats": {
        **dict.fromkeys(("zscore", "skew", "kurtosis", "pearsonr", "spearmanr", "linregress", "gmean", "hmean", "sem",
                         "iqr", "entropy", "describe", "rankdata", "trim_mean", "ttest_ind", "ks_2samp", "mode",
                         "gaussian_kde.__init__", "gaussian_kde.evaluate"),
                        "recorded are densities and distribution functions (docs/scipy.md); write statistics with "
                        "np.mean, np.var, np.sort ...")},
}


def active(x: Any) -> bool:
    """Does x, or something in it, depend on what is differentiated?"""
    if isinstance(x, (list, tuple)):
        return any(map(active, x))
    return T.is_traced(x) and T.is_active(x)


def _watched(function: Any, seen: list[bool]) -> Any:
    """The user's function, giving plain numbers; notes in `seen` that a derivative would be lost."""
    def watched(*args: Any, **kwargs: Any) -> Any:
        y = function(*args, **kwargs)
        if not active(y):
            return y
        seen.append(True)
        return bare(y, [])
    return watched


def _calling(module: str, name: str, remedy: str) -> None:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        if active([*args, *kwargs.values()]):
            raise refusal(f"{module}.{name}", remedy)
        seen: list[bool] = []
        args = tuple([_watched(x, seen) if callable(x) else x for x in args])
        kwargs = {k: _watched(x, seen) if callable(x) and not isinstance(x, type) else x for k, x in kwargs.items()}
        try:
            y = scipy_doors.original(module, name)(*args, **kwargs)
        except Exception as error:
            if seen:
                raise refusal(f"{module}.{name}", remedy) from error
            raise
        if seen:
            raise refusal(f"{module}.{name}", remedy)
        return y
    scipy_doors.records(module, name, applies=lambda args, kwargs: True)(refuse)


for _module, _names in CALLING.items():
    for _name, _remedy in _names.items():
        _calling(_module, _name, _remedy)
