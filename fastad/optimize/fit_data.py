"""What curve_fit is given, checked: data without NaN, standard deviations or covariance, names of parameters, bounds.

Owns: `Data` (with the whitening of residuals), `parameter_names`, `limits`, and what is said of each fault.
Must not know: models, tapes, solvers.  Next: curve_fitting.py.
"""
from __future__ import annotations

import functools
import inspect
import math
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.linalg
import scipy.optimize

from fastad._fit import inner

__all__ = ["Data", "limits", "parameter_names"]


class Data:
    """Observations and how residuals are weighted.

    Parameters
    ----------
    xdata, ydata, sigma, check_finite, nan_policy
        As curve_fit takes them.
    """

    def __init__(self, xdata: Any, ydata: Any, sigma: Any, check_finite: bool | None, nan_policy: str | None):
        if nan_policy == "propagate":
            raise ValueError("`nan_policy='propagate'` is not supported by this function.")
        if nan_policy not in (None, "raise", "omit"):
            raise ValueError(f"nan_policy must be one of {{None, 'raise', 'omit'}}, and is {nan_policy!r}")
        checked = nan_policy is None if check_finite is None else bool(check_finite)
        self.y = real(ydata, "ydata")
        self.x = real(xdata, "xdata") if isinstance(xdata, (list, tuple, np.ndarray)) else xdata
        sigma = None if sigma is None else real(sigma, "sigma")
        if checked:
            finite(self.x, "xdata")
            finite(self.y, "ydata")
        elif nan_policy is not None:
            sigma = self.without_nan(sigma, nan_policy)
        if self.y.size == 0:
            raise ValueError("`ydata` must not be empty!")
        self.weights, self.factor = weighting(sigma, self.y)

    def without_nan(self, sigma: Any, policy: str) -> Any:
        """Leave out observations with NaN, of sigma too; returns what is left of sigma."""
        x = self.x if isinstance(self.x, np.ndarray) else np.zeros(self.y.shape)
        bad = np.isnan(x)
        bad = bad.any(axis=tuple(range(bad.ndim - 1))) if bad.ndim else bad
        bad = bad | np.isnan(self.y)
        if not bad.any():
            return sigma
        if policy == "raise":
            raise ValueError("The input contains nan values")
        size = self.y.size
        if isinstance(self.x, np.ndarray):
            self.x = self.x[..., ~bad]
        self.y = self.y[~bad]
        if sigma is not None and sigma.shape == (size,):
            return sigma[~bad]
        return sigma[~bad][:, ~bad] if sigma is not None and sigma.shape == (size, size) else sigma

    def whitened(self, v: np.ndarray) -> np.ndarray:
        """Residuals, or columns of the model's Jacobian, in units of the standard deviations; observations in front."""
        if self.factor is not None:
            return np.asarray(scipy.linalg.solve_triangular(self.factor, v, lower=True))
        if self.weights is None:
            return v
        return self.weights * v if v.ndim == 1 or self.weights.ndim == 0 else self.weights[:, None] * v

    def pulled_back(self, v: np.ndarray) -> np.ndarray:
        """The transpose of `whitened`, on a vector."""
        if self.factor is not None:
            return np.asarray(scipy.linalg.solve_triangular(self.factor, v, lower=True, trans="T"))
        return v if self.weights is None else self.weights * v

    def about_mean(self, shape: tuple[int, ...]) -> float:
        """Sum of squares of the whitened data about their weighted mean; `shape` is that of the model."""
        shape = shape if shape == self.y.shape else np.broadcast_shapes(shape, self.y.shape)
        if self.weights is None and self.factor is None:
            deviations: Any = (self.y - self.y.sum() / self.y.size).ravel() if shape == self.y.shape \
                else np.zeros(1)
            return inner(deviations, deviations)
        y = self.whitened(np.broadcast_to(self.y, shape).ravel())
        ones = self.whitened(np.ones(y.size))
        deviations = y - ones * (inner(ones, y) / inner(ones, ones))
        return inner(deviations, deviations)


def real(values: Any, name: str) -> np.ndarray:
    """A float64 array of real numbers; float32 fits lose their digits."""
    array = np.asarray(values)
    if array.dtype.kind == "c":
        raise TypeError(f"curve_fit: {name} is complex; fit the real and the imaginary part, one after the other in "
                        "one array")
    return array.astype(np.float64, copy=False)


def finite(array: Any, name: str) -> None:
    if isinstance(array, np.ndarray) and not np.isfinite(array).all():
        bad = np.argwhere(~np.isfinite(array))
        at = ", ".join(map(str, bad[0]))
        raise ValueError(f"curve_fit: {name} must not contain infs or NaNs: {len(bad)} do not pass, the first at "
                         f"[{at}]. nan_policy='omit' leaves out observations with NaN.")


def weighting(sigma: np.ndarray | None, y: np.ndarray) -> tuple[np.ndarray | None, np.ndarray | None]:
    """(weights, None) of standard deviations, (None, Cholesky factor) of a covariance."""
    if sigma is None:
        return None, None
    if sigma.size == 1 or sigma.shape in (y.shape, (y.size,)):
        bad = np.flatnonzero(~((sigma > 0) & np.isfinite(sigma)))
        if bad.size:
            raise ValueError(f"curve_fit: sigma must be positive and finite, and sigma[{bad[0]}] is "
                             f"{sigma.flat[bad[0]]:g} ({bad.size} such in all). It is a standard deviation: leave out "
                             "an observation that has none, rather than to give it 0 or inf.")
        return (1.0 / sigma).reshape(() if sigma.size == 1 else -1), None
    if sigma.shape != (y.size, y.size):
        raise ValueError(f"`sigma` has incorrect shape: {sigma.shape} for {y.size} observations; {(y.size,)} for "
                         f"standard deviations, {(y.size, y.size)} for a covariance")
    if not np.isfinite(sigma).all():
        raise ValueError("curve_fit: the covariance sigma has entries that are not finite")
    if not np.allclose(sigma, sigma.T, rtol=1e-8, atol=1e-12 * np.max(np.abs(sigma))):
        raise ValueError("curve_fit: the covariance sigma must be symmetric; only one triangle of it would be used")
    try:
        return None, scipy.linalg.cholesky(sigma, lower=True)
    except scipy.linalg.LinAlgError as error:
        raise ValueError("`sigma` must be positive definite.") from error


# ---- parameters ------------------------------------------------------------------------------------------------------

def parameter_names(f: Callable[..., Any], p0: np.ndarray | None) -> list[str]:
    """Names of the parameters: those of f after the first, as many as there are numbers in p0."""
    code: Any = getattr(f, "__code__", None)
    if type(f) is types.FunctionType and not code.co_flags & inspect.CO_VARARGS and not hasattr(f, "__wrapped__"):
        names = list(code.co_varnames[1:code.co_argcount])           # the usual, and inspect.signature is slow
        if names and (p0 is None or p0.size == len(names)):
            return names
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):          # a ufunc, compiled code
        parameters = []
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)][1:]
    rest = next((p.name for p in parameters[1:] if p.kind is p.VAR_POSITIONAL), "p")
    if p0 is None:
        if not names:
            raise ValueError("Unable to determine number of fit parameters: f(x, a, b, ...) names none; pass p0")
        return names
    return names[:p0.size] + [f"{rest}[{k}]" for k in range(p0.size - len(names))]


@functools.lru_cache(64)
def no_limits(n: int) -> tuple[np.ndarray, np.ndarray]:
    low, high = np.full(n, -np.inf), np.full(n, np.inf)
    low.flags.writeable = high.flags.writeable = False
    return low, high


def limits(bounds: Any, names: list[str]) -> tuple[np.ndarray, np.ndarray, bool]:
    """Lower and upper bounds as arrays, and whether any is finite."""
    n = len(names)
    if type(bounds) is tuple and [*map(type, bounds)] == [float, float] and bounds == (-np.inf, np.inf):
        return *no_limits(n), False
    try:
        low, high = (bounds.lb, bounds.ub) if isinstance(bounds, scipy.optimize.Bounds) else bounds
        low, high = (np.array(np.broadcast_to(np.asarray(b, dtype=np.float64), (n,))) for b in (low, high))
    except (TypeError, ValueError) as error:
        raise ValueError(f"curve_fit: bounds are a pair (lower, upper), each a number or one number for each of the "
                         f"{n} parameters ({', '.join(names)})") from error
    for k in np.flatnonzero(~(low < high)):
        raise ValueError(f"curve_fit: the lower bound {low[k]:g} of {names[k]} is not below the upper one {high[k]:g}; "
                         "for a parameter that is fixed, write a model without it")
    return low, high, bool((np.isfinite(low) | np.isfinite(high)).any())


def start(p0: np.ndarray | None, low: np.ndarray, high: np.ndarray, names: list[str]) -> np.ndarray:
    """p0 checked; without one SciPy's choice: 1, the middle of two bounds, or 1 away from one."""
    if p0 is None:
        with np.errstate(invalid="ignore"):
            inside = np.where(np.isfinite(low), low + 1.0, np.where(np.isfinite(high), high - 1.0, 1.0))
            return np.where(np.isfinite(low) & np.isfinite(high), 0.5 * (low + high), inside)
    if math.isfinite(inner(p0, p0)) and low is no_limits(p0.size)[0]:
        return p0                            # the usual
    for k in np.flatnonzero(~np.isfinite(p0)):
        raise ValueError(f"curve_fit: the start of {names[k]} is {p0[k]}")
    for k in np.flatnonzero((p0 < low) | (p0 > high)):
        raise ValueError(f"curve_fit: Initial guess is outside of provided bounds: {names[k]} starts at "
                         f"{p0[k]:g}, its bounds are {low[k]:g} .. {high[k]:g}")
    return p0
