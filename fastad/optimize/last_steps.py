"""The last steps of a least-squares fit: from where the sum of squares stops to show progress to full precision.

Owns: `refined`.  Near a minimum the sum of squares is flat to rounding while the parameters are still off in half of
their digits; there the projection of the residuals onto the columns of the Jacobian is what tells how far it is.
Must not know: solvers, tapes.  Next: curve_fitting.py.
"""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastad._fit import ScaledQR

__all__ = ["refined"]

STEPS = 12
FAST, SLOW = 0.05, 0.5                       # contraction that Gauss-Newton steps, and any steps, are to reach
RISE = 1e-9                                  # of the sum of squares, for rounding


class Local:
    """Residuals, Jacobian and its factors at a point; what is not given is computed."""

    def __init__(self, problem: Any, x: np.ndarray, residuals: np.ndarray, jacobian: np.ndarray | None = None,
                 factors: ScaledQR | None = None):
        self.x, self.residuals = x, residuals
        self.jacobian = problem.jacobian(x) if jacobian is None else jacobian
        self.factors = ScaledQR(self.jacobian, residuals) if factors is None else factors
        self.regular = self.factors.regular()
        self.square = float(residuals @ residuals)

    @property
    def offset(self) -> float:
        return float(np.linalg.norm(self.factors.projected))

    def arrived(self, problem: Any) -> bool:
        """Are the residuals orthogonal to the Jacobian, or what is left of them rounding of the data?"""
        return self.factors.orthogonal(math.sqrt(self.square), problem.size)

    def step(self, problem: Any, newton: bool) -> np.ndarray | None:
        """To the minimum of the quadratic model; None if this is no minimum."""
        towards, back = self.factors.projected, self.factors.inverse()
        if newton:
            curvature = problem.curvature(self.x, self.residuals)
            if curvature is None or not np.all(np.isfinite(curvature)):
                return None
            # J'J + S = R'(1 + M)R: the part of second derivatives that Gauss-Newton leaves out, as R sees it.
            scaled = curvature / np.outer(self.factors.length, self.factors.length)
            matrix = np.eye(len(self.x)) + back.T @ scaled @ back
            try:
                np.linalg.cholesky(matrix)
            except np.linalg.LinAlgError:
                return None
            towards = np.linalg.solve(matrix, towards)
        return -(back @ towards) / self.factors.length


def refined(problem: Any, here: Local, bounds: Any) -> Local:
    """The point nearer to where the residuals are orthogonal to the Jacobian.

    Parameters
    ----------
    problem : object
        With `residuals(x)`, `jacobian(x)`, `curvature(x, residuals)`, and `size`, the length of the data.
    here : Local
        Where a solver has ended.
    bounds : pair of ndarray
        A step that leaves them is not taken.
    """
    newton = False
    for _ in range(STEPS):
        if not here.regular or here.arrived(problem):
            break
        there = taken(problem, here, newton, bounds)
        contraction = there.offset / here.offset if there is not None else np.inf
        if there is not None and contraction < 1.0:
            here = there
        if contraction > (SLOW if newton else FAST):
            if newton:
                break
            newton = True
    return here


def taken(problem: Any, here: Local, newton: bool, bounds: Any) -> Local | None:
    """The point after a step; None if there is no step, or it is none towards the minimum."""
    step = here.step(problem, newton)
    if step is None:
        return None
    x = here.x + step
    if np.any(x < bounds[0]) or np.any(x > bounds[1]) or np.array_equal(x, here.x):
        return None
    residuals = problem.residuals(x)
    if not residuals @ residuals <= (1 + RISE) * here.square:         # NaN included
        return None
    there = Local(problem, x, residuals)
    return there if there.regular else None
