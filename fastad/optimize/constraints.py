"""Constraints of scipy.optimize with their derivatives filled in, for the vector that SciPy moves.

Owns: dicts, NonlinearConstraint and LinearConstraint rewritten; the Jacobian, and the Hessian of v @ f as a
LinearOperator (trust-constr takes one, and holds no n x n matrix for it).  What the user gives is used as it is.
Must not know: the objective.  Next: residuals.py (the derivatives), layout.py (trees, fixed variables), drivers.py.
"""
from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.optimize
from scipy.sparse.linalg import LinearOperator

from fastad.errors import DerivativeError, NonFiniteError
from fastad.optimize.layout import Layout
from fastad.optimize.residuals import Residuals, joined
from fastad.recording import name_of

__all__ = ["differentiated", "listed", "rewritten", "violation"]

log = logging.getLogger("fastad.optimize")
LINEAR, NONLINEAR = scipy.optimize.LinearConstraint, scipy.optimize.NonlinearConstraint


def listed(constraints: Any) -> list[Any]:
    """The constraints as a list: SciPy takes one alone, too."""
    if constraints is None:
        return []
    if isinstance(constraints, (dict, LINEAR, NONLINEAR)):
        return [constraints]
    return list(constraints)


def rewritten(constraints: list[Any], layout: Layout, derivatives: tuple[str, ...]) -> list[Any]:
    """The same constraints on the vector.

    Parameters
    ----------
    derivatives : tuple of str
        What of "jac" and "hess" the method takes: what the user has not given is filled in.
    """
    out = []
    for k, c in enumerate(constraints):
        if isinstance(c, LINEAR):
            out.append(linear(c, layout))
        elif isinstance(c, NONLINEAR):
            out.append(nonlinear(c, layout, "jac" in derivatives, "hess" in derivatives, k))
        elif isinstance(c, dict) and "hess" in derivatives:
            out.append(nonlinear(as_object(c, layout, k), layout, True, True, k))
        elif isinstance(c, dict):
            out.append(from_dict(c, layout, bool(derivatives), k))
        else:
            raise TypeError(f"constraint {k} is a {type(c).__name__}; a dict, NonlinearConstraint or LinearConstraint "
                            "is wanted")
    return out


class Constrained:
    """The function of one constraint, of the vector; errors say which constraint it is.

    Where it is not finite, methods with derivatives get its linear continuation from the last finite point, beside the
    stand-in of the objective (domain.py), so that they come back or to an end; the end is no success there.
    """

    def __init__(self, f: Callable[..., Any], args: tuple[Any, ...], layout: Layout, recorded: bool, number: int):
        self.f, self.args, self.layout = f, args, layout
        self.residuals = Residuals.over(f, args, None, layout) if recorded else None
        self.name = f"constraint {number} ({name_of(f)})"
        self.good: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    def named(self, ask: Callable[..., Any], *what: Any) -> Any:
        try:
            return ask(*what)
        except DerivativeError as error:
            raise DerivativeError(f"{self.name}: {error}") from error

    def true_value(self, z: Any) -> np.ndarray:
        if self.residuals is not None:
            found: np.ndarray = self.named(self.residuals.value, z)
            return found
        return joined(self.f(self.layout.spread(np.array(z, dtype=np.float64)), *self.args))

    def value(self, z: Any) -> np.ndarray:
        y = self.true_value(z)
        if self.good is None or np.isfinite(y).all():
            return y
        where, value, slope = self.good
        log.info("%s: not finite at a step of %.3g from the last finite point; continued from there", self.name,
                 np.linalg.norm(z - where))
        return value + slope @ (np.asarray(z) - where)

    def jacobian(self, z: Any) -> np.ndarray:
        assert self.residuals is not None
        finite = np.isfinite(self.true_value(z)).all()
        matrix: np.ndarray | None = self.named(self.residuals.jacobian, z) if finite else None
        if matrix is not None and np.isfinite(matrix).all():
            self.good = np.array(z, dtype=np.float64), self.true_value(z), matrix.copy()
            return matrix
        if self.good is None:
            raise NonFiniteError(f"{self.name} or its Jacobian is not finite at the start x0: start inside of its "
                                 "domain")
        return self.good[2].copy()

    def curvature(self, z: Any, v: Any) -> LinearOperator:
        """The Hessian of v @ f at z."""
        z, v, residuals = np.array(z, dtype=np.float64), np.array(v, dtype=np.float64), self.residuals
        assert residuals is not None
        linear = not np.isfinite(self.true_value(z)).all()

        def product(p: Any) -> Any:
            return np.zeros(z.size) if linear else self.named(residuals.curvature, z, v, np.ravel(p))
        return LinearOperator((z.size, z.size), matvec=product, rmatvec=product, dtype=np.float64)

    def given_jacobian(self, jac: Callable[..., Any]) -> Callable[..., Any]:
        """The user's Jacobian, of all numbers of x0, as one of the vector."""
        if self.layout.plain:
            return lambda z: jac(z, *self.args)

        def shrunk(z: Any) -> Any:
            return self.layout.columns(jac(self.layout.spread(np.array(z, dtype=np.float64)), *self.args))
        return shrunk


def checked(c: dict[str, Any], k: int) -> str:
    kind = str(c.get("type")).lower()
    if not callable(c.get("fun")) or kind not in ("eq", "ineq"):
        raise ValueError(f"constraint {k}: a dict with the keys 'type' ('eq' or 'ineq') and 'fun' (a callable) is "
                         f"wanted; got {c}")
    return kind


def as_object(c: dict[str, Any], layout: Layout, k: int) -> Any:
    """A dict as the NonlinearConstraint that it stands for, which has a place for the Hessian."""
    upper = 0.0 if checked(c, k) == "eq" else np.inf
    args, fun, jac = c.get("args", ()), c["fun"], c.get("jac")
    args = args if isinstance(args, tuple) else (args,)
    return NONLINEAR(functools.partial(appended, fun, args) if args else fun, 0.0, upper,
                     functools.partial(appended, jac, args) if args and callable(jac) else "2-point" if jac is None
                     else jac)


def appended(f: Callable[..., Any], args: tuple[Any, ...], x: Any) -> Any:
    return f(x, *args)


def from_dict(c: dict[str, Any], layout: Layout, derivatives: bool, k: int) -> dict[str, Any]:
    checked(c, k)
    args, jac = c.get("args", ()), c.get("jac")
    f = Constrained(c["fun"], args if isinstance(args, tuple) else (args,), layout, derivatives and jac is None, k)
    out = {**c, "fun": f.value, "args": ()}
    if callable(jac):
        out["jac"] = f.given_jacobian(jac)
    elif derivatives and jac is None:
        out["jac"] = f.jacobian
    return out


def nonlinear(c: Any, layout: Layout, wants_jac: bool, wants_hess: bool, k: int) -> Any:
    """jac="2-point" and hess=BFGS() are SciPy's defaults: they mean that the user gave none."""
    fill_jac = wants_jac and isinstance(c.jac, str) and c.jac == "2-point" and c.finite_diff_rel_step is None
    fill_hess = wants_hess and isinstance(c.hess, scipy.optimize.BFGS)
    f = Constrained(c.fun, (), layout, fill_jac or fill_hess, k)
    jac = f.jacobian if fill_jac else f.given_jacobian(c.jac) if callable(c.jac) else c.jac
    hess: Any = f.curvature if fill_hess else c.hess
    if callable(c.hess) and not fill_hess and not layout.plain:
        hess = shrunk_hess(c.hess, layout)
    return NONLINEAR(f.value, c.lb, c.ub, jac, hess, c.keep_feasible, c.finite_diff_rel_step,
                     layout.columns(c.finite_diff_jac_sparsity))


def shrunk_hess(hess: Callable[..., Any], layout: Layout) -> Callable[..., Any]:
    def shrunk(z: Any, v: Any) -> Any:
        return layout.block(hess(layout.spread(np.array(z, dtype=np.float64)), v))
    return shrunk


def linear(c: Any, layout: Layout) -> Any:
    """A @ x within bounds: what is fixed goes to the bounds."""
    if layout.free is None:
        return c
    a = c.A if hasattr(c.A, "tocsc") else np.atleast_2d(c.A)
    there = a @ np.where(layout.free, 0.0, layout.base)
    return LINEAR(layout.columns(a), c.lb - there, c.ub - there, c.keep_feasible)


def differentiated(constraints: list[Any]) -> list[Constrained]:
    """Of rewritten constraints those that are recorded."""
    functions = [c["fun"] if isinstance(c, dict) else getattr(c, "fun", None) for c in constraints]
    owners = [getattr(f, "__self__", None) for f in functions]
    return [owner for owner in owners if isinstance(owner, Constrained) and owner.residuals is not None]


def true(f: Callable[..., Any]) -> Callable[..., Any]:
    """A constraint's function without its continuation."""
    owner = getattr(f, "__self__", None)
    return owner.true_value if isinstance(owner, Constrained) else f


def violation(constraints: list[Any], z: np.ndarray) -> float:
    """By how much rewritten constraints are violated at most; NaN where one is not finite."""
    worst = 0.0
    for c in constraints:
        if isinstance(c, dict):
            y = np.atleast_1d(true(c["fun"])(z))
            over = np.abs(y) if c["type"].lower() == "eq" else -y
        else:
            y = np.atleast_1d(c.A @ z if isinstance(c, LINEAR) else true(c.fun)(z))
            over = np.maximum(c.lb - y, y - c.ub)
        worst = max(worst, float(np.max(over, initial=0.0))) if np.isfinite(y).all() else float("nan")
    return worst
