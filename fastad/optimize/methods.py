"""What each method of scipy.optimize.minimize takes, and which one fits when the user names none.

Owns: the tables.  Must not know: how derivatives are made.  Next: drivers.py, which reads them.
"""
from __future__ import annotations

from typing import Any

__all__ = ["BOUNDED", "CONSTRAINED", "DENSE", "LARGE", "METHODS", "TOGETHER", "chosen_method"]

# What each method takes, in lower case.  A LinearOperator as `hess` raises in all but Newton-CG and trust-constr, so
# products go in as `hessp`.
METHODS = {
    "nelder-mead": (), "powell": (), "cobyla": (), "cobyqa": (),
    "cg": ("jac",), "bfgs": ("jac",), "l-bfgs-b": ("jac",), "tnc": ("jac",), "slsqp": ("jac",),
    "newton-cg": ("jac", "hessp"), "trust-ncg": ("jac", "hessp"), "trust-krylov": ("jac", "hessp"),
    "trust-constr": ("jac", "hessp"), "dogleg": ("jac", "hess"), "trust-exact": ("jac", "hess"),
}
# Those that take a dense Hessian only, whatever SciPy's documentation says of operators and sparse matrices.
DENSE = ("trust-ncg", "trust-krylov", "trust-exact", "dogleg")
# Those that ask for the gradient wherever they have asked for the value: both at once run compiled.
TOGETHER = ("cg", "bfgs", "l-bfgs-b", "tnc")
BOUNDED = ("nelder-mead", "powell", "l-bfgs-b", "tnc", "slsqp", "cobyla", "cobyqa", "trust-constr")
# What of constraints each method takes.
CONSTRAINED: dict[str, tuple[str, ...]] = {
    "slsqp": ("jac",), "cobyla": (), "cobyqa": (), "trust-constr": ("jac", "hess")}
LARGE = 2000                                 # unknowns above which a dense n x n matrix is no default


def chosen_method(size: int, bounds: Any, constraints: Any, hess: Any, hessp: Any, jac: Any) -> str:
    """The method when the user names none.

    SciPy's own choice (SLSQP with constraints, L-BFGS-B with bounds, else BFGS), except that it is one that uses what
    is given and holds no dense n x n matrix for many unknowns.
    """
    second = hess is not None or hessp is not None
    if second and (constraints or bounds or isinstance(jac, str) or not (hess is None or callable(hess))):
        return "trust-constr"
    if constraints:
        return "SLSQP" if size <= LARGE else "trust-constr"
    if hess is not None:
        return "trust-exact" if size <= LARGE else "Newton-CG"
    if hessp is not None:
        return "trust-krylov"
    return "L-BFGS-B" if bounds or size > LARGE else "BFGS"
