"""`curve_fit`: SciPy's signature, the exact Jacobian, a covariance that does not depend on units, and a report.

Owns: the weighted problem, which solver gets what, what is returned.
Must not know: sweeps (fitted_model.py), what is checked of the arguments (fit_data.py).
Next: last_steps.py (the digits that solvers leave), fit_statistics.py (what is said of the parameters).
"""
from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import scipy.optimize

from fastad import _tape as T
from fastad._fit import BROKEN, EXHAUSTED, FLAT, ORTHOGONAL, STUCK, Levenberg, Sweeps, inner
from fastad.errors import ShapeError, UnsupportedError
from fastad.optimize import fit_data
from fastad.optimize.fit_data import Data
from fastad.optimize.fit_statistics import Statistics, dense
from fastad.optimize.fitted_model import FittedModel
from fastad.optimize.last_steps import Local, refined
from fastad.recording import location_of, name_of

__all__ = ["curve_fit"]

COUNTS = {"max_nfev", "maxfev"}
TOLERANCES = {"ftol", "xtol", "gtol"}
SCHEMES = ("2-point", "3-point", "cs")
CONVERGED = (1, 2, 3, 4, 6, 7, 8)            # of MINPACK; 6, 7, 8: a tolerance is below what rounding lets one see
MESSAGES = {
    BROKEN: "Derivatives of the residuals at the start are not finite; ad.debug_nonfinite shows the operation.",
    FLAT: "The sum of squares no longer shows progress.",
    STUCK: "No step leads to a smaller sum of squares.",
    ORTHOGONAL: "The residuals are orthogonal to the Jacobian, or no more than rounding of the data.",
    EXHAUSTED: "Number of calls to function has reached maxfev = {}.",
}
# The first step is at most FACTOR times the length of the start, in units of the Jacobian's columns.  MINPACK's 100
# jumps over the minimum where the start is poor (BoxBOD and MGH17 of NIST's StRD); with 1 all 54 fits succeed, and of
# 324 from starts that were moved by factors of about 2, 243 instead of 237.
FACTOR = 1.0
# MINPACK's own tolerance is enough where the last steps find the solution from there.  Where they do not, a slow walk
# was taken for its end, and goes on.
DEFAULT, TIGHT = 1.49012e-8, 1e-13
# Evaluations a parameter; SciPy's 100 or 200 end a walk along a curved valley (Bennett5 of StRD: 758) before its end.
PATIENCE = 1000


class CurveFit(Statistics, tuple):
    """What `curve_fit` returns: unpacks as SciPy's tuple, and holds the statistics of the fit.

    Parameters
    ----------
    items : tuple
        (popt, pcov), or (popt, pcov, infodict, mesg, ier).
    statistics : Statistics
        Of the fit.
    **attributes
        Those of the following that it has not.

    Attributes
    ----------
    x, names, stderr, covariance, correlation, condition, ...
        Those of Statistics.
    fun, jac : ndarray
        Weighted residuals and their Jacobian at the solution.
    cost : float
        Half the minimised sum.
    best_fit : ndarray
        The model at the solution.
    nfev, njev, recordings : int
        Evaluations, and how often f was recorded.
    success, status, message, method
        As in SciPy's results.
    """

    def __new__(cls, items: Any, *state: Any, **attributes: Any) -> CurveFit:
        return tuple.__new__(cls, items)

    def __init__(self, items: Any, statistics: Statistics, **attributes: Any):
        self.__dict__ = vars(statistics) | attributes

    def __repr__(self) -> str:
        pairs = [f"{name}={value:.6g} +/- {error:.2g}"
                 for name, value, error in zip(self.names, self.x, self.stderr, strict=True)]
        return f"<curve_fit: {', '.join(pairs)}; {self.dof} degrees of freedom>"


def curve_fit(f: Callable[..., Any], xdata: Any, ydata: Any, p0: Any = None, sigma: Any = None,
              absolute_sigma: bool = False, check_finite: bool | None = None, bounds: Any = (-np.inf, np.inf),
              method: str | None = None, jac: Any = None, *, full_output: bool = False, nan_policy: str | None = None,
              **kwargs: Any) -> Any:
    """Fit a model to data by nonlinear least squares: `scipy.optimize.curve_fit` with the exact Jacobian.

    Parameters
    ----------
    f : callable
        ``f(xdata, a, b, ...)`` in plain NumPy: the model of ydata, with its parameters as numbers.
    xdata : array_like or object
        Handed to f; lists, tuples and arrays as a float64 array.
    ydata : array_like, shape (m,)
        The data.
    p0 : array_like, shape (n,), optional
        Start; ints and lists are fine.  Without it n is the number of arguments of f after the first, and the start
        is 1, the middle of two bounds, or 1 away from one.
    sigma : float or array_like, shape (m,) or (m, m), optional
        Standard deviations of ydata, or its covariance; in the units of ydata.
    absolute_sigma : bool, optional
        sigma is true; otherwise only its ratios count, and its size is estimated from the residuals.
    check_finite : bool, optional
        Refuse NaN and inf in the data; True, unless a nan_policy is given.
    bounds : pair of array_like, or Bounds, optional
        Lower and upper bounds, each a number or one a parameter.
    method : {"lm", "trf", "dogbox"}, optional
        Levenberg-Marquardt ("lm", the default without bounds) or those of `least_squares` ("trf", the default with
        them).
    jac : callable or str, optional
        ``jac(xdata, a, b, ...)`` of shape (m, n), dense or sparse, or "2-point", "3-point", "cs".  Without it: exact.
    full_output : bool, optional
        Return five items.
    nan_policy : {None, "raise", "omit"}, optional
        What to do with NaN in the data, if they are not checked.
    **kwargs
        Of `scipy.optimize.leastsq` for "lm", of `scipy.optimize.least_squares` for the others.  max_nfev and maxfev
        mean the same.  With any other option of leastsq (ftol, xtol, gtol, factor, diag ...) it is MINPACK that runs.

    Returns
    -------
    CurveFit
        Unpacks as ``popt, pcov``, with `full_output` as ``popt, pcov, infodict, mesg, ier``.  It also has `x`,
        `stderr`, `correlation`, `confidence_interval(level)`, `dof`, `chi2`, `reduced_chi2`, `condition` and others;
        ``print(result.report())`` shows them.

    Raises
    ------
    ValueError
        sigma, bounds, p0, or the data are not what is described above, or f is not finite at p0.
    RuntimeError
        The solver did not reach a solution; the message says how far it came.
    TypeError
        More parameters than data for "lm"; data that are no real numbers.
    ShapeError
        f returns an array that is not in the shape of ydata.
    DerivativeError, TracerError, UnsupportedError, StaleTapeError
        f cannot be differentiated or recorded, as with `fastad.grad`.

    Warns
    -----
    OptimizeWarning
        The data do not determine the parameters (then pcov is inf), or hardly do; the message names them.

    Notes
    -----
    The covariance is ``inv(J'J)``, times ``chi2 / (m - n)`` unless `absolute_sigma`, from a QR factorisation of the
    Jacobian at the solution with columns scaled to length one; so parameters may differ in size as they like.

    "lm" is the method of Levenberg and Marquardt in the form of J. J. More (Lecture Notes in Mathematics 630 (1978),
    105-116), as in MINPACK, on compiled sweeps; after ten steps they are bent by the geodesic acceleration of M. K.
    Transtrum & J. P. Sethna (arXiv:1201.5885, 2012), which follows a curved valley in a fraction of the steps.  It
    starts with steps of at most the length of p0 (``factor=1``), the others with ``x_scale="jac"``: both make a fit
    independent of the parameters' units.

    A sum of squares that no longer falls shows half of the digits.  Without tolerances of the user's the solution is
    refined by Gauss-Newton steps, and by Newton steps with exact second derivatives where those converge slowly, until
    the residuals are orthogonal to the Jacobian (the relative offset of Bates & Watts, Technometrics 23 (1981),
    179-183).  `ier` is then 4; 1 and 2 say that no step from popt leads to less.

    Examples
    --------
    >>> import numpy as np
    >>> from fastad import optimize
    >>> t = np.arange(6.0)
    >>> data = np.array([2.9, 1.2, 0.4, 0.1, 0.1, 0.0])
    >>> popt, pcov = optimize.curve_fit(lambda t, a, k: a * np.exp(-k * t), t, data)
    >>> popt.round(4)
    array([2.914, 0.941])
    >>> fit = optimize.curve_fit(lambda t, a, k: a * np.exp(-k * t), t, data)
    >>> fit.names, fit.stderr.round(4), fit.dof
    (['a', 'k'], array([0.0567, 0.0394]), 4)
    """
    if T.current_tape() is not None:
        raise UnsupportedError(f"curve_fit of {name_of(f)} is called while a function is recorded: a fit has no "
                               "derivative here. Fit before, and hand the result to that function as an argument.")
    if "args" in kwargs:
        raise ValueError("'args' is not a supported keyword argument.")
    p0 = None if p0 is None else fit_data.real(np.atleast_1d(p0).ravel(), "p0").copy()
    names = fit_data.parameter_names(f, p0)
    low, high, bounded = fit_data.limits(bounds, names)
    p0 = fit_data.start(p0, low, high, names)
    method = method or ("trf" if bounded else "lm")
    if method not in ("lm", "trf", "dogbox"):
        raise ValueError(f"curve_fit: method {method!r} is none of 'lm', 'trf', 'dogbox'")
    if method == "lm" and bounded:
        raise ValueError("Method 'lm' only works for unconstrained problems. Use 'trf' or 'dogbox' instead.")
    data = Data(xdata, ydata, sigma, check_finite, nan_policy)
    problem = (Problem if jac is None else Given)(f, data, p0.size, jac)
    problem.check_start(p0, names, method)
    found = (levenberg if method == "lm" else trust_region)(problem, p0, method, (low, high), kwargs)
    if not (found.success and np.isfinite(found.x).all() and np.isfinite(found.fun).all()):
        raise RuntimeError(f"Optimal parameters not found: {found.message} (chi2 {inner(found.fun, found.fun):.6g} at "
                           f"{', '.join([f'{n}={v:.6g}' for n, v in zip(names, found.x, strict=True)])})")
    return finished(problem, found, names, absolute_sigma, full_output, method)


# ---- the problem -----------------------------------------------------------------------------------------------------

class Problem:
    """Weighted residuals of a model that is recorded, their Jacobian and second derivatives."""

    def __init__(self, f: Callable[..., Any], data: Data, parameters: int, jac: Any):
        self.f, self.data, self.parameters, self.jac = f, data, parameters, jac
        self.nfev = self.njev = 0
        whitened = data.whitened(data.y.ravel())
        self.size = math.sqrt(inner(whitened, whitened))
        self.prepare()

    def prepare(self) -> None:
        self.model = FittedModel(self.f, self.data.x, self.parameters)

    def predicted(self, p: np.ndarray) -> np.ndarray:
        return self.model.value(p)

    def residuals(self, p: np.ndarray) -> np.ndarray:
        """(f(x, *p) - y) in units of sigma, in one dimension."""
        self.nfev += 1
        predicted, y = self.predicted(p), self.data.y
        if predicted.shape != y.shape:
            y = self.fitting(predicted)
        difference = predicted - y
        return self.data.whitened(difference if difference.ndim == 1 else difference.ravel())

    def fitting(self, predicted: np.ndarray) -> np.ndarray:
        """ydata, where the model's shape is another: a number is fitted to all data, one datum to all of the model."""
        y = self.data.y
        if y.size != 1 and predicted.size != 1:
            raise ShapeError(f"curve_fit of {name_of(self.f)} ({location_of(self.f)}): it returns shape "
                             f"{predicted.shape}, and ydata has shape {y.shape}; return one value for each datum")
        return y.reshape(()) if y.size == 1 else y

    def jacobian(self, p: np.ndarray) -> np.ndarray:
        """Derivatives of the residuals, shape (m, n)."""
        self.njev += 1
        columns = self.model.jacobian(p)
        if columns.shape[1:] != self.data.y.shape:
            columns = columns.reshape(p.size, -1)
            columns = np.broadcast_to(columns, (p.size, max(self.data.y.size, columns.shape[1])))
        return self.data.whitened(columns.reshape(p.size, -1).T)

    def sweeps(self) -> Sweeps | None:
        """The same from compiled code, where the model's values are in the shape of the data."""
        if self.data.factor is not None or self.first.size != self.data.y.size:
            return None
        return self.model.sweeps(self.data.y, self.data.weights)

    def curvature(self, p: np.ndarray, residuals: np.ndarray) -> np.ndarray | None:
        """Sum of the residuals times their second derivatives; None where there is none to be had."""
        return self.model.curvature(p, self.data.pulled_back(residuals))

    def verify(self, p: np.ndarray) -> None:
        """Plain f at the solution says the same."""
        self.model.audit(p)

    @property
    def recordings(self) -> int:
        return int(self.model.function.recordings)

    def check_start(self, p: np.ndarray, names: list[str], method: str) -> None:
        """Errors that are seen at the start."""
        residuals = self.first = self.residuals(p)
        if not math.isfinite(inner(residuals, residuals)) and not np.isfinite(residuals).all():
            bad = int(np.sum(~np.isfinite(residuals)))
            at = ", ".join([f"{n}={v:.6g}" for n, v in zip(names, p, strict=True)])
            raise ValueError(f"curve_fit: {bad} of {residuals.size} residuals are not finite at the start {at}; choose "
                             f"another p0. ad.debug_nonfinite shows the operation in {name_of(self.f)}.")
        if method == "lm" and len(names) > residuals.size:
            raise TypeError(f"The number of func parameters={len(names)} must not exceed the number of data "
                            f"points={residuals.size}")


class Given(Problem):
    """The same with the user's Jacobian, or a finite-difference scheme: f is never recorded."""

    def prepare(self) -> None:
        if not callable(self.jac) and self.jac not in SCHEMES:
            raise ValueError(f"curve_fit: jac {self.jac!r} is neither callable nor one of {', '.join(SCHEMES)}")

        self.known: dict[str, Any] = {}

    recordings = 0

    def once(self, name: str, f: Callable[..., Any], p: np.ndarray) -> Any:
        """What a function of the user's returns; solvers ask twice at the same point."""
        key, value = self.known.get(name, (None, None))
        if key != p.tobytes():
            value = f(self.data.x, *p)
            self.known[name] = p.tobytes(), value
        return value

    def predicted(self, p: np.ndarray) -> np.ndarray:
        return np.asarray(self.once("value", self.f, p))

    def jacobian(self, p: np.ndarray) -> np.ndarray:
        self.njev += 1
        matrix = self.once("jacobian", self.jac, p)
        matrix = np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix, dtype=np.float64)
        if matrix.ndim != 2 or matrix.shape[1] != p.size:
            raise ShapeError(f"curve_fit: jac returns shape {matrix.shape}; one row a datum and one column for each of "
                             f"the {p.size} parameters are wanted")
        return self.data.whitened(matrix.copy())             # a robust loss scales it in place

    def sweeps(self) -> None:
        return None

    def curvature(self, p: np.ndarray, residuals: np.ndarray) -> None:
        return None

    def verify(self, p: np.ndarray) -> None:
        """Nothing was recorded."""


# ---- solvers ---------------------------------------------------------------------------------------------------------

def levenberg(problem: Problem, p0: np.ndarray, method: str, bounds: Any, kwargs: dict[str, Any]) -> Any:
    """Our own Levenberg-Marquardt; MINPACK's where its options are given, least_squares' for its schemes."""
    most = kwargs.get("max_nfev") or kwargs.get("maxfev") or PATIENCE * (p0.size + 1)
    if problem.jac in SCHEMES:
        return trust_region(problem, p0, method, bounds, kwargs)
    if not set(kwargs) <= COUNTS:
        return minpack(problem, p0, most, {k: v for k, v in kwargs.items() if k not in COUNTS})

    def run(x: np.ndarray, residuals: np.ndarray, tolerance: float) -> tuple[Local, int]:
        walk = Levenberg(problem, x, residuals, problem.sweeps(), FACTOR)
        status = walk.solve(most - problem.nfev, tolerance)
        problem.nfev, problem.njev = problem.nfev + walk.nfev, problem.njev + walk.njev
        place = walk.place
        return Local(problem, place.x, place.residuals, place.jacobian, place.factors), status

    here, status = run(p0, problem.first, DEFAULT)
    if status in (FLAT, STUCK):
        here = refined(problem, here, bounds, newton=True)
        if here.regular and not here.arrived(problem):
            again, later = run(here.x, here.residuals, TIGHT)
            if later not in (EXHAUSTED, BROKEN):
                here, status = refined(problem, again, bounds, newton=True), later
    if here.arrived(problem):
        status = ORTHOGONAL
    return solved(problem, (here.x, {"fvec": here.residuals}, MESSAGES[status].format(most), status,
                            status in CONVERGED), here)


def minpack(problem: Problem, p0: np.ndarray, most: int, options: dict[str, Any]) -> Any:
    """MINPACK with options of its own."""
    if options.pop("col_deriv", False) and callable(problem.jac):    # the user's jac has a row for each parameter
        theirs = problem.jac
        problem.jac = lambda x, *p: np.transpose(theirs(x, *p))
    x, _, info, message, status = scipy.optimize.leastsq(
        problem.residuals, p0, Dfun=problem.jacobian, full_output=True, maxfev=max(1, most - problem.nfev),
        **{"factor": FACTOR, **options})
    answer = np.atleast_1d(x), info, " ".join(message.split()), status, status in CONVERGED
    here = None
    if answer[-1] and not TOLERANCES & set(options):
        here = refined(problem, Local(problem, answer[0], info["fvec"]), (-np.inf, np.inf))
    return solved(problem, answer, here)


def trust_region(problem: Problem, p0: np.ndarray, method: str, bounds: Any, kwargs: dict[str, Any]) -> Any:
    """trf and dogbox."""
    options = {"x_scale": "jac", **kwargs}
    options["max_nfev"] = options.pop("maxfev", None) or options.get("max_nfev") or PATIENCE * (p0.size + 1)
    scheme = problem.jac if problem.jac in SCHEMES else None
    r = scipy.optimize.least_squares(problem.residuals, p0, scheme or problem.jacobian, bounds, method, **options)
    linear = options.get("loss", "linear") == "linear" and scheme is None
    refine = linear and r.success and not TOLERANCES & set(kwargs) and not r.active_mask.any()
    here = refined(problem, Local(problem, r.x, r.fun), bounds) if refine else None
    found = solved(problem, (r.x, {"fvec": r.fun}, r.message, r.status, r.success), here)
    if not linear:                           # of the loss, or what differences gave
        vars(found).update(jac=dense(r.jac, p0.size), cost=r.cost, factors=None)
    found.active = r.active_mask
    return found


def solved(problem: Problem, answer: tuple[Any, ...], here: Local | None) -> Any:
    """A solver's answer (x, info, message, status, success), or the point to which it was refined."""
    x, info, message, status, success = answer
    if here is None and problem.jac not in SCHEMES and np.all(np.isfinite(x)):
        here = Local(problem, x, info["fvec"])
    residuals = info["fvec"] if here is None else here.residuals
    info.update(fvec=residuals, nfev=problem.nfev)
    return SimpleNamespace(x=x if here is None else here.x, fun=residuals, jac=None if here is None else here.jacobian,
                           cost=0.5 * inner(residuals, residuals), info=info, message=message, status=status,
                           success=success, active=None, factors=None if here is None else here.factors)


def factors_as_scipy(found: Any) -> dict[str, np.ndarray]:
    """The Jacobian's factors in leastsq's infodict: R, its transpose; no column has changed its place."""
    factors = found.factors
    triangle = np.zeros(found.jac.shape[::-1])
    triangle[:, :len(factors.triangle)] = (factors.triangle * factors.length).T
    return {"fjac": triangle, "ipvt": np.arange(1, len(found.x) + 1, dtype=np.int32), "qtf": factors.projected}


def finished(problem: Problem, found: Any, names: list[str], absolute_sigma: bool, full_output: bool,
             method: str) -> CurveFit:
    """The statistics, warnings, and the tuple."""
    problem.verify(found.x)
    predicted = np.asarray(problem.predicted(found.x))
    how = found.message.rstrip(".")
    counts = (f"by {method}: {how}\n{problem.nfev} evaluations of the model, {problem.njev} of its Jacobian, "
              f"{problem.recordings} recording{'s' * (problem.recordings != 1)}")
    statistics = Statistics(
        found.x, found.fun, found.jac, names, absolute_sigma, found.active, found.cost,
        problem.data.about_mean(predicted.shape),
        f"{name_of(problem.f)} ({location_of(problem.f)})", counts, found.factors)
    statistics.warn(stacklevel=3)
    items: tuple[Any, ...] = (found.x, statistics.covariance)
    if full_output:
        more = factors_as_scipy(found) if method == "lm" and found.factors is not None else {}
        items = (*items, found.info | more, found.message, found.status)
    return CurveFit(items, statistics,
                    fun=found.fun, jac=found.jac, cost=found.cost, best_fit=predicted, nfev=problem.nfev,
                    njev=problem.njev, recordings=problem.recordings, success=True, status=found.status,
                    message=found.message, method=method)
