"""From SciPy's result on the vector to the user's: all variables again, in the tree of x0, and honest about success.

Owns: which fields of a result have which axes, what is said when the end is outside of the domain or a line search
failed.
Must not know: how SciPy was called.  Next: layout.py, domain.py, linesearch.py.
"""
from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult
from scipy.sparse.linalg import LinearOperator

from fastad.optimize.domain import Guard
from fastad.optimize.layout import Layout
from fastad.optimize.linesearch import agreement, failed
from fastad.optimize.pieces import Recorded

__all__ = ["Embedded", "all_fixed", "judged", "restored"]

VECTORS = ("jac", "grad", "lagrangian_grad")     # fields of minimize with one number for each unknown


class Embedded(LinearOperator):
    """An operator on what moves as one on all variables; zero for what is fixed."""

    def __init__(self, inner: Any, layout: Layout):
        self.inner, self.layout = inner, layout
        super().__init__(np.float64, (layout.total, layout.total))

    def _matvec(self, x: Any) -> Any:
        return self.layout.expand(self.inner.matvec(self.layout.shrink(np.ravel(x))), 0.0)

    def _adjoint(self) -> Any:
        return Embedded(self.inner.H, self.layout)

    def todense(self) -> np.ndarray:
        """As SciPy's own hess_inv of L-BFGS-B."""
        return np.asarray(self @ np.eye(self.layout.total))


def judged(result: OptimizeResult, guard: Guard) -> OptimizeResult:
    """Success is taken back at a point outside of the domain, whose place takes the best finite one."""
    result["stand_ins"] = guard.stand_ins
    z = np.array(result.x, dtype=np.float64)
    if guard.is_outside(z):
        best = guard.best
        ended = f"it ended where the objective is not finite.{guard.where(z) or guard.place()}"
        if best is not None:
            result["x"], result["fun"] = best.z.copy(), best.value
            if isinstance(result.get("jac"), np.ndarray) and guard.pieces.differentiable:
                result["jac"] = guard.pieces.gradient(best.z)
            ended += " x is the best finite point."
        result["message"] = f"{result.get('message', '')} NOT A SUCCESS: {ended}"
        if result.get("success", False):
            result["success"], result["status"] = False, -1
    elif failed(bool(result.get("success", True)), str(result.get("message", ""))) and guard.pieces.differentiable:
        g = guard.gradient(z)
        d = guard.good.z - z if guard.good is not None and np.any(guard.good.z != z) else -g
        said = agreement(guard.pieces.plain, z, g, d)
        if guard.stand_ins:
            said += f"; {guard.stand_ins} of the points tried were outside of the domain.{guard.place()}"
        result["message"] = f"{result['message']} ({said})"
    settle(result, guard)
    return result


def settle(result: OptimizeResult, guard: Guard) -> None:
    """Value and gradient belong to x, where they are ours to have: nearly always they are known there.

    SciPy's Newton-CG and SLSQP may return the gradient of the point before, and L-BFGS-B, when its line search fails,
    the value of another one.
    """
    if not isinstance(guard.pieces, Recorded):
        return
    z = np.array(result["x"], dtype=np.float64)
    if "fun" in result:
        result["fun"] = guard.pieces.value(z)
    for name in ("jac", "grad"):
        if isinstance(result.get(name), np.ndarray) and result[name].shape == z.shape:
            result[name] = guard.pieces.gradient(z)


def restored(result: OptimizeResult, layout: Layout, gradient: Any = None, low: Any = -np.inf,
             high: Any = np.inf) -> OptimizeResult:
    """The same result with all variables, in the tree of x0.

    Parameters
    ----------
    gradient : ndarray or None
        Of all variables at the result, where some are fixed.
    """
    z = np.array(result["x"], dtype=np.float64)
    if not layout.flat:
        result["raveled"] = layout.expand(z).copy()
    result["x"] = layout.restored(z, low, high)
    for name in VECTORS:
        if isinstance(result.get(name), np.ndarray) and result[name].shape == (layout.size,):
            base = gradient if gradient is not None and name != "lagrangian_grad" else np.nan
            result[name] = layout.in_tree(layout.expand(result[name], base))
    if layout.free is None:
        return result
    if "hess_inv" in result:
        result["hess_inv"] = embedded(result["hess_inv"], layout)
    if "final_simplex" in result:
        simplex, values = result["final_simplex"]
        result["final_simplex"] = (layout.expand(simplex), values)
    if isinstance(result.get("jac"), list):  # of trust-constr: one matrix for each constraint
        result["jac"] = [wide(matrix, layout) for matrix in result["jac"]]
    if "allvecs" in result:
        result["allvecs"] = [layout.expand(np.asarray(x)) for x in result["allvecs"]]
    return result


def embedded(matrix: Any, layout: Layout) -> Any:
    """Rows and columns of zeros for what is fixed: an inverse Hessian is a covariance, and that does not vary."""
    if isinstance(matrix, LinearOperator):
        return Embedded(matrix, layout)
    dense = np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix)
    if dense.shape != (layout.size, layout.size):
        return matrix
    full = np.zeros((layout.total, layout.total))
    assert layout.free is not None
    full[np.ix_(layout.free, layout.free)] = dense
    return full


def wide(matrix: Any, layout: Layout) -> Any:
    """The Jacobian of a constraint with columns of NaN (SciPy never asked) for what is fixed."""
    dense = np.atleast_2d(matrix.toarray() if hasattr(matrix, "toarray") else matrix)
    return layout.expand(dense, np.nan) if dense.shape[-1] == layout.size else matrix


def all_fixed(guard: Guard, violated: float) -> OptimizeResult:
    """The result where bounds leave nothing to move."""
    z = np.zeros(0)
    value = guard.value(z)
    return OptimizeResult(x=z, fun=value, success=bool(violated <= 1e-8), status=0 if violated <= 1e-8 else 2,
                          message="All variables are fixed by their bounds."
                          + ("" if violated <= 1e-8 else f" A constraint is violated by {violated:.3g}."),
                          nfev=1, nit=0, stand_ins=0)
