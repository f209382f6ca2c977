"""The last steps of a least-squares fit: from where the sum of squares stops to show progress to full precision.

Owns: `refined`.  Near a minimum the sum of squares is flat to rounding while the parameters are still off in half of
their digits; there the projection of the residuals onto the columns of the Jacobian is what tells how far it is.
Must not know: solvers, tapes.  Next: curve_fitting.py.
"""
from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["refined"]

STEPS = 12
DONE = 1e-11                                 # of the residuals' length: what is left to do, in units of the noise
FAST, SLOW = 0.05, 0.5                       # contraction that Gauss-Newton steps, and any steps, are to reach
RISE = 1e-9                                  # of the sum of squares, for rounding


class Local:
    """Residuals, Jacobian and its QR factors, columns scaled to length one, at a point."""

    def __init__(self, problem: Any, x: np.ndarray, residuals: np.ndarray):
        self.x, self.residuals = x, residuals
        self.jacobian = problem.jacobian(x)
        self.length = np.linalg.norm(self.jacobian, axis=0)
        self.regular = bool(np.all(self.length > 0) and np.all(np.isfinite(self.length)))
        if self.regular:
            q, self.triangle = np.linalg.qr(self.jacobian / self.length)
            self.projected = q.T @ residuals
            self.offset = float(np.linalg.norm(self.projected))
            diagonal = np.abs(np.diag(self.triangle))
            self.regular = diagonal.size == x.size and bool(diagonal.min() > x.size * np.finfo(float).eps)

    def step(self, problem: Any, newton: bool) -> np.ndarray | None:
        """To the minimum of the quadratic model; None if this is no minimum."""
        towards = self.projected
        if newton:
            curvature = problem.curvature(self.x, self.residuals)
            if curvature is None:
                return None
            # J'J + S = R'(1 + M)R: the part of second derivatives that Gauss-Newton leaves out, as R sees it.
            half = np.linalg.solve(self.triangle.T, curvature / np.outer(self.length, self.length))
            matrix = np.eye(len(self.x)) + np.linalg.solve(self.triangle.T, half.T)
            try:
                np.linalg.cholesky(matrix)
            except np.linalg.LinAlgError:
                return None
            towards = np.linalg.solve(matrix, towards)
        return np.asarray(-np.linalg.solve(self.triangle, towards) / self.length)


def refined(problem: Any, x: np.ndarray, residuals: np.ndarray, bounds: Any) -> tuple[Any, Any, Any]:
    """(x, residuals, jacobian) nearer to where the residuals are orthogonal to the Jacobian.

    Parameters
    ----------
    problem : object
        With `residuals(x)`, `jacobian(x)`, `curvature(x, residuals)`.
    bounds : pair of ndarray
        A step that leaves them is not taken.
    """
    here, newton = Local(problem, x, residuals), False
    for _ in range(STEPS):
        if not here.regular or here.offset <= DONE * np.linalg.norm(here.residuals):
            break
        there = taken(problem, here, newton, bounds)
        contraction = there.offset / here.offset if there is not None else np.inf
        if there is not None and contraction < 1.0:
            here = there
        if contraction > (SLOW if newton else FAST):
            if newton:
                break
            newton = True
    return here.x, here.residuals, here.jacobian


def taken(problem: Any, here: Local, newton: bool, bounds: Any) -> Local | None:
    """The point after a step; None if there is no step, or it is none towards the minimum."""
    step = here.step(problem, newton)
    if step is None:
        return None
    x = here.x + step
    if np.any(x < bounds[0]) or np.any(x > bounds[1]) or np.array_equal(x, here.x):
        return None
    residuals = problem.residuals(x)
    if not residuals @ residuals <= (1 + RISE) * (here.residuals @ here.residuals):     # NaN included
        return None
    there = Local(problem, x, residuals)
    return there if there.regular else None
