"""What an optimiser asks of an objective of the vector, from whatever source the user chose: our tapes, or functions
of the user's own.

Owns: Recorded and Given, which look alike, and that both remember one point.
Must not know: SciPy, what is finite (domain.py).  Next: objective.py, layout.py, domain.py.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastad.optimize.layout import Layout
from fastad.optimize.objective import Objective

__all__ = ["Given", "Recorded"]


class Recorded:
    """All pieces from an Objective.

    Attributes
    ----------
    differentiable : bool
        Is there a gradient?
    """

    differentiable = True

    def __init__(self, objective: Objective):
        self.objective = objective

    def value(self, z: Any) -> float:
        return self.objective.value(z)

    def gradient(self, z: Any) -> np.ndarray:
        return self.objective.gradient(z)

    def look(self, z: Any) -> tuple[float, np.ndarray, Any]:
        """Value, gradient (no copy) and key."""
        known = self.objective.look(z, ())
        return known["value"], known["gradient"], self.objective.points.primal.raw

    def whole_gradient(self, z: Any) -> np.ndarray:
        """The gradient by all variables, also those that are fixed."""
        return self.objective.whole_gradient(z)

    def key(self) -> Any:
        """Of the last point, the bytes of z: the same object as long as that stays."""
        return self.objective.points.primal.raw

    def plain(self, z: np.ndarray) -> float:
        """f itself, run by NumPy."""
        tree = z if self.objective.layout is None else self.objective.layout.spread(z)
        return float(self.objective.f(tree, *self.objective.args, **self.objective.kwargs))


class Given:
    """Pieces that are functions of the user's, who sees the tree; what he does not give is not there.

    Parameters
    ----------
    fun : callable
        ``fun(x, *args)``; with `both` it returns the pair (value, gradient).
    jac, hess, hessp : callable or None
    dense : bool
        The method takes a dense Hessian only: an operator or a sparse matrix of the user's is made one.
    """

    def __init__(self, fun: Callable[..., Any], args: tuple[Any, ...], layout: Layout, jac: Any = None,
                 hess: Any = None, hessp: Any = None, both: bool = False, dense: bool = False):
        self.dense = dense
        self.fun, self.args, self.layout, self.both = fun, args, layout, both
        self.jac, self.hess, self.hess_product = jac, hess, hessp
        self.differentiable = jac is not None or both
        self.last: Any = None
        self.known: dict[str, Any] = {}

    def at(self, z: Any) -> np.ndarray:
        z = np.array(z, dtype=np.float64)
        key = z.tobytes()
        if self.last != key:
            self.last, self.known = key, {}
        return z

    def run(self, z: np.ndarray) -> None:
        """Value, and the gradient too where fun returns both."""
        found = self.fun(self.layout.spread(z), *self.args)
        if self.both:
            found, gradient = found
            self.known["gradient"] = self.shrunk(gradient, "the gradient")
        if np.ndim(found):
            if np.size(found) != 1:
                raise ValueError(f"the objective must return one number, and returned an array of {np.shape(found)}")
            found = np.asarray(found).item()
        self.known["value"] = float(found)

    def shrunk(self, gradient: Any, what: str) -> np.ndarray:
        return self.layout.shrink(self.layout.vector(gradient, what))

    def value(self, z: Any) -> float:
        z = self.at(z)
        if "value" not in self.known:
            self.run(z)
        return float(self.known["value"])

    def gradient(self, z: Any) -> np.ndarray:
        z = self.at(z)
        if "gradient" not in self.known:
            if self.both:
                self.run(z)
            else:
                self.known["gradient"] = self.shrunk(self.jac(self.layout.spread(z), *self.args), "jac(x)")
        found: np.ndarray = self.known["gradient"]
        return found.copy()

    def whole_gradient(self, z: Any) -> np.ndarray:
        tree = self.layout.spread(np.array(z, dtype=np.float64))
        found = self.fun(tree, *self.args)[1] if self.both else self.jac(tree, *self.args)
        return self.layout.vector(found, "the gradient")

    def hvp(self, z: Any, p: Any) -> np.ndarray:
        z = np.array(z, dtype=np.float64)
        v = np.array(p, dtype=np.float64)
        v = v if self.layout.plain else self.layout.in_tree(self.layout.expand(v, 0.0))
        return self.shrunk(self.hess_product(self.layout.spread(z), v, *self.args), "hessp(x, p)")

    def hessian(self, z: Any) -> Any:
        """As the user's function gives it; rows and columns of what moves where some variables are fixed."""
        matrix = self.hess(self.layout.spread(np.array(z, dtype=np.float64)), *self.args)
        if self.dense and hasattr(matrix, "matvec"):
            return np.asarray(matrix @ np.eye(self.layout.total))
        if self.dense and hasattr(matrix, "toarray"):
            return matrix.toarray()
        if self.layout.free is None:
            return matrix
        if hasattr(matrix, "matvec"):
            raise TypeError("hess returned a LinearOperator while some variables are fixed by their bounds; pass hessp")
        return self.layout.block(matrix)

    def key(self) -> Any:
        return self.last

    def plain(self, z: np.ndarray) -> float:
        found = self.fun(self.layout.spread(z), *self.args)
        return float(np.asarray(found[0] if self.both else found).item())
