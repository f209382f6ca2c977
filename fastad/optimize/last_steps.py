"""The last steps of a least-squares fit: from where the sum of squares stops to show progress to full precision.

Owns: `refined`.  Near a minimum the sum of squares is flat to rounding while the parameters are still off in half of
their digits; there the projection of the residuals onto the columns of the Jacobian is what tells how far it is.
Must not know: solvers, tapes.  Next: curve_fitting.py.
"""
from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.linalg import lapack

from fastad._fit import ScaledQR, inner

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
        self.square = inner(residuals, residuals)

    @property
    def offset(self) -> float:
        return math.hypot(*self.factors.projected)

    def arrived(self, problem: Any) -> bool:
        """Are the residuals orthogonal to the Jacobian, or what is left of them rounding of the data?"""
        return self.factors.orthogonal(math.sqrt(self.square), problem.size)

    def step(self, curvature: np.ndarray | None) -> np.ndarray | None:
        """To the minimum of the quadratic model, of Gauss and Newton or with the curvature; None if it has none."""
        towards, back = self.factors.projected, self.factors.inverse()
        if curvature is not None:
            # J'J + S = R'(1 + M)R: the part of second derivatives that Gauss-Newton leaves out, as R sees it.
            root = back / self.factors.length[:, None]
            matrix = root.T @ curvature @ root
            matrix.flat[::len(matrix) + 1] += 1.0
            _, towards, info = lapack.dposv(matrix, towards)
            if info or not math.isfinite(math.hypot(*towards)):      # no minimum; derivatives that are not finite
                return None
        return -(back @ towards) / self.factors.length


def refined(problem: Any, here: Local, bounds: Any, newton: bool = False) -> Local:
    """The point nearer to where the residuals are orthogonal to the Jacobian.

    Parameters
    ----------
    problem : object
        With `residuals(x)`, `jacobian(x)`, `curvature(x, residuals)`, and `size`, the length of the data.
    here : Local
        Where a solver has ended.
    bounds : pair of ndarray
        A step that leaves them is not taken.
    newton : bool, optional
        Steps of Gauss and Newton are known to be slow here.
    """
    curvature, fresh = None, False
    for _ in range(STEPS):
        if not here.regular or here.arrived(problem):
            break
        if newton and curvature is None:
            curvature, fresh = problem.curvature(here.x, here.residuals), True       # None: go on without
        there = taken(problem, here, curvature, bounds)
        contraction = there.offset / here.offset if there is not None else np.inf
        if there is not None and contraction < 1.0:
            here = there
        if contraction > FAST:
            if newton and fresh and contraction > SLOW:
                break
            newton, curvature = True, None   # what one step has learned of it serves the next ones while it does
        fresh = False
    return here


def taken(problem: Any, here: Local, curvature: np.ndarray | None, bounds: Any) -> Local | None:
    """The point after a step; None if there is no step, or it is none towards the minimum."""
    step = here.step(curvature)
    if step is None:
        return None
    x = here.x + step
    if (x < bounds[0]).any() or (x > bounds[1]).any() or (x == here.x).all():
        return None
    residuals = problem.residuals(x)
    if not inner(residuals, residuals) <= (1 + RISE) * here.square:         # NaN included
        return None
    there = Local(problem, x, residuals)
    return there if there.regular else None
