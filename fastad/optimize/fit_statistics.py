"""Statistics of a least-squares fit: what the Jacobian at the solution says of the parameters.

Owns: the covariance (by QR of the Jacobian with its columns scaled to length one, so that units do not matter), what is
not determined and by which parameters, intervals, goodness of fit; `statistics` for a result of `least_squares`.
Must not know: how the solution was found, tapes.  Next: fit_report.py (the text), curve_fitting.py.
"""
from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.special
from scipy.optimize import OptimizeWarning

from fastad import trees
from fastad._fit import ScaledQR, inner

__all__ = ["Statistics", "statistics"]

EPS = float(np.finfo(float).eps)
ILL = 1.0 / np.sqrt(EPS)                     # condition above which less than half of the digits are left
INVOLVED = 0.1                               # share of the largest component that makes a parameter part of a direction


class Linearised:
    """A Jacobian in the units of its own columns: condition, rank, null directions, inverse of the normal matrix.

    Attributes
    ----------
    inverse : ndarray, shape (n, n)
        The inverse of J'J; inf throughout if J is rank deficient.
    well : bool
        J is known to be well-conditioned.  Then nothing below is computed before somebody asks.
    condition : float
        Of J with its columns scaled to length one; inf if rank deficient.
    undetermined : list of ndarray, shape (n,)
        Directions in which the parameters may move without an effect on the residuals, to first order.
    broken : list of int
        Columns that are not finite; then nothing else is known.
    weakest : ndarray, shape (n,)
        The direction of the least effect, in the units of the parameters.
    shares : list of ndarray, and of the weakest the last
        The same directions in units in which each parameter alone has the same effect.
    """

    def __init__(self, factors: ScaledQR, m: int):
        self.length, self.triangle, self.finite = factors.length, factors.triangle, factors.finite
        self.m, self.n = m, len(factors.length)
        self.broken = [] if factors.finite else [*np.flatnonzero(~np.isfinite(factors.length))]
        self.undetermined: list[np.ndarray] = []
        self.well = False
        if factors.regular() and self.n:
            back = factors.inverse()
            # The columns of R have length one, so the roots of their and of its inverse's squares bound the condition:
            # nearly every fit is known to be well-conditioned without its singular values.
            self.well = float(np.linalg.norm(back)) * math.sqrt(self.n) < ILL
            if self.well:
                root = back / factors.length[:, None]
                self.inverse = root @ root.T
                return
        _, values, directions = self.singular
        rank = self.rank
        self.undetermined = [v / factors.length for v in directions[rank:]]
        if rank < self.n or not factors.finite:
            self.inverse = np.full((self.n, self.n), np.inf)
        else:
            root = directions.T / values / factors.length[:, None]
            self.inverse = root @ root.T

    @functools.cached_property
    def singular(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of the triangle; as many values as columns."""
        left, values, directions = np.linalg.svd(self.triangle)
        if values.size < self.n:
            values = np.concatenate([values, np.zeros(self.n - values.size)])
        return left, values, directions

    @property
    def rank(self) -> int:
        values = self.singular[1]
        if not self.finite or not self.n:
            return self.n
        return int(np.count_nonzero(values > max(self.m, self.n) * EPS * values[0]))

    @property
    def condition(self) -> float:
        if not self.finite:
            return np.inf
        if not self.n:
            return 1.0
        values = self.singular[1]
        return float(values[0] / values[-1]) if self.rank == self.n else np.inf

    @property
    def weakest(self) -> np.ndarray:
        return self.singular[2][-1] / self.length if self.n else np.zeros(0)

    @property
    def shares(self) -> list[np.ndarray]:
        directions = self.singular[2]
        return [*directions[self.rank:]] or [*directions[-1:]]


class Statistics:
    """What a least-squares fit says of its parameters.

    Parameters
    ----------
    x : ndarray, shape (n,)
        The solution.
    residuals : ndarray, shape (m,)
        There, divided by the standard deviations of the data if those are known.
    jacobian : ndarray, shape (m, n)
        Of these residuals.
    names : sequence of str, optional
        Of the parameters.
    absolute_sigma : bool, optional
        The residuals are in units of their true standard deviation; otherwise this unit is estimated from them.
    active : ndarray, shape (n,), optional
        -1 where a parameter is at its lower bound, 1 at the upper, 0 elsewhere.
    cost : float, optional
        Half the minimised sum, if that is not half the sum of squares: a robust loss.
    total : float, optional
        Sum of squares about the mean of the data, for R2.
    model : str, optional
        What was fitted, for the report.
    counts : str, optional
        How the solution was found, for the report.
    factors : ScaledQR, optional
        Of the Jacobian and the residuals, if they are there already.

    Attributes
    ----------
    covariance : ndarray, shape (n, n)
        Of the parameters.  inf where it cannot be estimated.
    stderr : ndarray, shape (n,)
        Standard errors: the roots of its diagonal.
    correlation : ndarray, shape (n, n)
        The covariance divided by the standard errors; NaN where they are not finite.
    observations, dof : int
        m, and m - n.
    chi2, reduced_chi2, residual_std : float
        Sum of squares of the residuals; divided by dof; the root of that.
    condition : float
        Condition number of the Jacobian with columns scaled to length one: digits lost are its logarithm.
    undetermined : list of str
        Combinations of parameters that the data say nothing about.
    robust : bool
        The residuals went through a robust loss.
    r_squared, aic, bic : float
        NaN where they are not defined.

    Notes
    -----
    Standard errors and intervals are those of the model linearised at the solution (Bates & Watts, Nonlinear Regression
    Analysis and Its Applications, 1988, chapter 2).  With sigma estimated, AIC is ``m log(chi2 / m) + 2 n``, with
    sigma known ``chi2 + 2 n``; BIC has ``n log(m)`` instead of ``2 n``.  With a robust loss the covariance is the
    inverse of the loss's Gauss-Newton Hessian times ``2 cost / (m - n)``, as in SciPy; AIC, BIC and R2 do not exist.
    """

    def __init__(self, x: np.ndarray, residuals: np.ndarray, jacobian: np.ndarray, names: Sequence[str] | None = None,
                 absolute_sigma: bool = False, active: np.ndarray | None = None, cost: float | None = None,
                 total: float = np.nan, model: str = "", counts: str = "", factors: ScaledQR | None = None):
        m, n = jacobian.shape
        self.x, self.names = x, list(names) if names is not None else [f"x[{k}]" for k in range(n)]
        self.observations, self.dof = m, m - n
        self.absolute_sigma, self.model, self.counts = bool(absolute_sigma), model, counts
        self.active = np.zeros(n, dtype=int) if active is None else np.asarray(active, dtype=int)
        self.chi2 = inner(residuals, residuals)
        self.robust = cost is not None and abs(2 * cost - self.chi2) > 1e-9 * self.chi2
        self.linearised = Linearised(factors or ScaledQR(jacobian, residuals), m)
        self.undetermined = [self.direction(v, s) for v, s in
                             zip(self.linearised.undetermined, self.linearised.shares, strict=False)] \
            if self.linearised.undetermined else []
        self.measure(m, n, 2 * float(cost) if self.robust else self.chi2, total)  # type: ignore[arg-type]

    def measure(self, m: int, n: int, objective: float, total: float) -> None:
        """Everything that is computed from the sum of squares."""
        self.reduced_chi2 = self.chi2 / self.dof if self.dof > 0 else np.inf
        self.residual_std = math.sqrt(self.reduced_chi2)
        if self.absolute_sigma or not self.linearised.well and np.isinf(self.condition):
            self.covariance = self.linearised.inverse
        elif self.dof > 0:
            self.covariance = self.linearised.inverse * (objective / self.dof)
        else:
            self.covariance = np.full((n, n), np.inf)
        self.stderr = np.sqrt(self.covariance.diagonal())
        self.r_squared = self.aic = self.bic = np.nan
        if not self.robust and m:
            fit = self.chi2 if self.absolute_sigma else m * math.log(self.chi2 / m) if self.chi2 > 0 else -math.inf
            self.aic, self.bic = fit + 2 * n, fit + n * math.log(m)
            if total > 0:
                self.r_squared = 1.0 - self.chi2 / total

    @property
    def condition(self) -> float:
        return self.linearised.condition

    @property
    def correlation(self) -> np.ndarray:
        with np.errstate(all="ignore"):
            matrix: np.ndarray = self.covariance / np.outer(self.stderr, self.stderr)
        finite = np.isfinite(self.stderr)
        matrix[np.diag(finite)] = 1.0
        return matrix

    def confidence_interval(self, level: float = 0.95) -> np.ndarray:
        """Lower and upper ends of the intervals that hold each parameter alone with probability `level`.

        Parameters
        ----------
        level : float, optional
            Between 0 and 1.

        Returns
        -------
        ndarray, shape (n, 2)
            By Student's t with `dof` degrees of freedom; by the normal distribution where sigma is known.
        """
        if not 0 < level < 1:
            raise ValueError(f"confidence_interval: level {level!r} is not between 0 and 1; 0.95 means 95 %")
        p = 0.5 + 0.5 * level
        if self.absolute_sigma:
            width = scipy.special.ndtri(p)
        else:
            width = scipy.special.stdtrit(self.dof, p) if self.dof > 0 else np.inf
        return self.x[:, None] + np.outer(self.stderr * width, [-1.0, 1.0])

    def direction(self, v: np.ndarray, shares: np.ndarray) -> str:
        """A direction in words: ``a, b by (1, -2)``; one that is a single parameter is its name."""
        chosen = np.flatnonzero(np.abs(shares) >= INVOLVED * np.max(np.abs(shares)))
        if len(chosen) == 1:
            return self.names[chosen[0]]
        names = ", ".join([self.names[k] for k in chosen])
        return f"{names} by ({', '.join([f'{v[k] / v[chosen[0]]:.3g}' for k in chosen])})"

    def doubts(self) -> str:
        """Why the covariance is not to be trusted; empty if it is."""
        n = len(self.x)
        if self.linearised.well and (self.dof > 0 or self.absolute_sigma):
            return ""
        if self.linearised.broken:
            which = ", ".join([self.names[k] for k in self.linearised.broken])
            return ("Covariance of the parameters could not be estimated: at the solution the derivatives of the "
                    f"residuals by {which} are not finite, so it may be no minimum either. ad.debug_nonfinite shows "
                    "the operation.")
        if self.undetermined:
            which = "; or ".join([f"moving {d} alone" if " by " not in d else f"moving {d} together"
                                  for d in self.undetermined])
            return (f"Covariance of the parameters could not be estimated: the data do not determine all {n} "
                    f"parameters. To first order, {which} changes no residual. Fix one of them, or write the model "
                    "with fewer parameters.")
        if self.dof <= 0 and not self.absolute_sigma:
            return (f"Covariance of the parameters could not be estimated: {self.observations} observations of {n} "
                    "parameters leave no degree of freedom from which to estimate the noise. With standard deviations "
                    "that are known, pass sigma and absolute_sigma=True.")
        if not self.linearised.well and self.condition > ILL:
            weakest = self.direction(self.linearised.weakest, self.linearised.shares[-1])
            return (f"The data hardly determine the parameters: moving {weakest} changes the residuals "
                    f"{self.condition:.1e} times less than other directions do (columns of the Jacobian scaled to "
                    f"length one). The covariance has about {16 - np.log10(self.condition):.0f} digits left; choose "
                    "other parameters, or fix one of them.")
        return ""

    def warn(self, stacklevel: int = 2) -> None:
        """An OptimizeWarning with the doubts, if there are any."""
        text = self.doubts()
        if text:
            warnings.warn(text, OptimizeWarning, stacklevel=stacklevel + 1)

    def report(self, level: float = 0.95, min_correlation: float = 0.1) -> str:
        """The fit as a text of a few lines.

        Parameters
        ----------
        level : float, optional
            Of the confidence intervals.
        min_correlation : float, optional
            Correlations below this in size are left out.

        Returns
        -------
        str
        """
        from fastad.optimize.fit_report import report
        return report(self, level, min_correlation)

    def __str__(self) -> str:
        return self.report()


def statistics(result: Any, names: Sequence[str] | None = None, absolute_sigma: bool = False) -> Statistics:
    """Standard errors, correlations, intervals and goodness of fit of a least-squares result.

    Parameters
    ----------
    result : scipy.optimize.OptimizeResult
        Of `least_squares`, ours or SciPy's: `x`, `fun`, `jac`, `cost` and `active_mask` are read.
    names : sequence of str, optional
        One a parameter; ``x[0]``, ``x[1]`` ... if left out.
    absolute_sigma : bool, optional
        The residuals were divided by the true standard deviations of the data: chi2 itself is meaningful, and the
        covariance is not scaled by it.

    Returns
    -------
    Statistics
        With `covariance`, `stderr`, `correlation`, `confidence_interval(level)`, `dof`, `chi2`, `reduced_chi2`, `aic`,
        `bic`, `condition`, `undetermined` and `report()`.

    Raises
    ------
    TypeError
        The result has no residuals or no Jacobian, as those of `minimize`.
    ValueError
        There are not as many names as parameters.

    Warns
    -----
    OptimizeWarning
        The data do not determine the parameters, or hardly do; the message names them.

    Notes
    -----
    With a robust loss, `result.jac` is SciPy's modified Jacobian, whose square is the Gauss-Newton Hessian of the loss;
    the covariance is its inverse times ``2 cost / (m - n)``.  That of a parameter at a bound assumes that it is not.

    Examples
    --------
    >>> import numpy as np
    >>> from fastad import optimize
    >>> t = np.arange(5.0)
    >>> data = np.array([2.9, 1.1, 0.4, 0.1, 0.1])
    >>> fit = optimize.least_squares(lambda p: p[0] * np.exp(-p[1] * t) - data, [1.0, 1.0])
    >>> s = optimize.statistics(fit, names=["amplitude", "rate"])
    >>> s.stderr.round(3), s.dof
    (array([0.04, 0.03]), 3)
    """
    if getattr(result, "fun", None) is None or getattr(result, "jac", None) is None or np.ndim(result.fun) == 0:
        raise TypeError("statistics: the result has no vector of residuals (fun) with its Jacobian (jac); pass what "
                        "least_squares returned")
    x = np.concatenate([np.ravel(leaf) for leaf in trees.flatten(result.x)[0]]).astype(np.float64)
    jacobian = dense(result.jac, x.size)
    if names is not None and len(names) != x.size:
        raise ValueError(f"statistics: {len(names)} names for {x.size} parameters")
    counts = f"{result.nfev} evaluations of the residuals, {result.njev} of the Jacobian" if result.get("nfev") else ""
    found = Statistics(x, np.ravel(result.fun), jacobian, names, absolute_sigma, result.get("active_mask"),
                       result.get("cost"), counts=counts)
    found.warn()
    return found


def dense(jacobian: Any, n: int) -> np.ndarray:
    """A Jacobian as an array, be it sparse or a LinearOperator."""
    if hasattr(jacobian, "toarray"):
        jacobian = jacobian.toarray()
    elif not isinstance(jacobian, np.ndarray):
        jacobian = jacobian @ np.eye(n)
    return np.asarray(jacobian, dtype=np.float64).reshape(-1, n)
