"""`minimize` and `least_squares`: SciPy's own, with the derivatives that each method wants filled in.

Owns: which method gets what (the table METHODS), and what of a call is left as the user gave it.
Must not know: tapes, sweeps (objective.py, residuals.py).
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.optimize

from fastad.optimize.objective import Objective
from fastad.optimize.residuals import Residuals

__all__ = ["least_squares", "minimize"]

# What each method of scipy.optimize.minimize takes, in lower case.  A LinearOperator as `hess` raises in all but
# Newton-CG and trust-constr, so products go in as `hessp`.
METHODS = {
    "nelder-mead": (), "powell": (), "cobyla": (), "cobyqa": (),
    "cg": ("jac",), "bfgs": ("jac",), "l-bfgs-b": ("jac",), "tnc": ("jac",), "slsqp": ("jac",),
    "newton-cg": ("jac", "hessp"), "trust-ncg": ("jac", "hessp"), "trust-krylov": ("jac", "hessp"),
    "trust-constr": ("jac", "hessp"), "dogleg": ("jac", "hess"), "trust-exact": ("jac", "hess"),
}
# Those that ask for the gradient wherever they have asked for the value: both at once run compiled.
TOGETHER = ("cg", "bfgs", "l-bfgs-b", "tnc")
LARGE = 2000                                 # unknowns above which a dense n x n matrix is no default


def minimize(fun: Callable[..., Any], x0: Any, args: Any = (), method: Any = None, jac: Any = None, hess: Any = None,
             hessp: Any = None, bounds: Any = None, constraints: Any = (), tol: float | None = None,
             callback: Any = None, options: dict[str, Any] | None = None) -> scipy.optimize.OptimizeResult:
    """Minimise a function of one array: `scipy.optimize.minimize` with exact derivatives.

    Parameters
    ----------
    fun : callable or Objective
        ``fun(x, *args)`` in plain NumPy, one number.
    x0 : array_like
        Start; converted to float64.
    jac, hess, hessp : optional
        Given ones are used; missing ones are filled in as the method wants them.  ``jac=True`` (fun returns value and
        gradient) leaves everything to the user.
    method : str, optional
        SciPy's choice, except that more than 2000 unknowns without bounds get L-BFGS-B instead of BFGS, whose matrix
        is dense.
    args, bounds, constraints, tol, callback, options
        As SciPy takes them.  Bounds that are all infinite are left out.

    Returns
    -------
    scipy.optimize.OptimizeResult
        SciPy's own, untouched.

    Raises
    ------
    TypeError
        x0 does not hold real numbers.
    DerivativeError, TracerError, UnsupportedError, StaleTapeError
        fun cannot be differentiated or recorded, as with `fastad.grad`.

    Notes
    -----
    fun is recorded afresh at the start; within the call it is replayed, and recorded again where a branch goes another
    way or something that it depends on changes.  Methods without derivatives call plain fun.

    Examples
    --------
    >>> import numpy as np
    >>> from fastad import optimize
    >>> result = optimize.minimize(lambda x: np.sum((x - 1.0)**2 + (x - 1.0)**4), np.zeros(3))
    >>> result.success, result.x.round(6)
    (True, array([1., 1., 1.]))
    """
    start = started(x0)
    args = args if isinstance(args, tuple) else (args,)
    method = chosen_method(method, start.size, bounds, constraints)
    wants = METHODS.get(method.lower(), ()) if isinstance(method, str) else ("jac", "hessp")
    if jac is True or not wants:
        if isinstance(fun, Objective) and jac is not True:
            fun = fun.value
        return scipy.optimize.minimize(fun, start, args, method, jac, hess, hessp, finite(bounds), constraints, tol,
                                       callback, options)
    objective = fun if isinstance(fun, Objective) else Objective(fun, args)
    objective.restart()
    objective.eager = jac is None and isinstance(method, str) and method.lower() in TOGETHER
    second = hess is None and hessp is None
    if jac is None:
        jac = objective.gradient
        fun = objective.value
    else:
        fun = objective.f if isinstance(fun, Objective) else fun
    if second and "hessp" in wants:
        hessp = objective.hvp
    if second and "hess" in wants:
        hess = objective.hessian
    return scipy.optimize.minimize(fun, start, args, method, jac, hess, hessp, finite(bounds), constraints, tol,
                                   callback, options)


def least_squares(fun: Callable[..., Any], x0: Any, jac: Any = None, bounds: Any = (-np.inf, np.inf),
                  method: str = "trf", *, args: Any = (), kwargs: dict[str, Any] | None = None,
                  **options: Any) -> scipy.optimize.OptimizeResult:
    """Nonlinear least squares: `scipy.optimize.least_squares` with the exact Jacobian.

    Parameters
    ----------
    fun : callable or Residuals
        ``fun(x, *args, **kwargs)`` in plain NumPy, the residuals.
    x0 : array_like
        Start; converted to float64.
    jac : optional
        SciPy's ``"2-point"`` and so on, or a callable; without it the exact one.
    bounds, method, args, kwargs
        As SciPy takes them.
    **options
        All further ones of SciPy's: ftol, xtol, gtol, x_scale, loss, f_scale, tr_solver, max_nfev, verbose, callback.

    Returns
    -------
    scipy.optimize.OptimizeResult
        SciPy's own, untouched.

    Raises
    ------
    TypeError
        x0 does not hold real numbers.
    DerivativeError, TracerError, UnsupportedError, StaleTapeError
        fun cannot be differentiated or recorded, as with `fastad.grad`.

    Notes
    -----
    fun is recorded afresh at the start; a Jacobian costs the sweeps of its columns or rows, whichever are fewer, at
    the forward sweep of its residuals.

    Examples
    --------
    >>> import numpy as np
    >>> from fastad import optimize
    >>> t = np.linspace(0.0, 4.0, 40)
    >>> data = 3.0 * np.exp(-1.5 * t)
    >>> fit = optimize.least_squares(lambda p: p[0] * np.exp(-p[1] * t) - data, [1.0, 1.0])
    >>> fit.x.round(6)
    array([3. , 1.5])
    """
    start = started(x0)
    args = args if isinstance(args, tuple) else (args,)
    if jac is not None:
        fun = fun.f if isinstance(fun, Residuals) else fun
        return scipy.optimize.least_squares(fun, start, jac, bounds, method, args=args, kwargs=kwargs or {}, **options)
    residuals = fun if isinstance(fun, Residuals) else Residuals(fun, args, kwargs)
    residuals.restart()
    return scipy.optimize.least_squares(residuals.value, start, residuals.jacobian, bounds, method, **options)


# ---- arguments -------------------------------------------------------------------------------------------------------

def started(x0: Any) -> np.ndarray:
    """The start as a float64 array of one dimension at least, of its own memory."""
    start = np.asarray(x0)
    if start.dtype.kind not in "fiub":
        raise TypeError(f"x0 has dtype {start.dtype}; optimisation needs real numbers")
    return np.atleast_1d(np.array(start, dtype=np.float64, order="C"))


def chosen_method(method: Any, size: int, bounds: Any, constraints: Any) -> Any:
    """SciPy's default, but no dense matrix for many unknowns."""
    if method is not None:
        return method
    if np.size(constraints) or isinstance(constraints, dict):
        return "SLSQP"
    return "L-BFGS-B" if bounds is not None or size > LARGE else "BFGS"


def finite(bounds: Any) -> Any:
    """Bounds, or None where none of them binds: L-BFGS-B looks at each in a Python loop."""
    if bounds is None:
        return None
    if isinstance(bounds, scipy.optimize.Bounds):
        free = bool(np.all(np.isneginf(bounds.lb)) and np.all(np.isposinf(bounds.ub)))
    else:
        bounds = list(bounds)
        free = all((low is None or np.isneginf(low)) and (high is None or np.isposinf(high)) for low, high in bounds)
    return None if free else bounds
