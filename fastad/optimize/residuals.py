"""Residuals: several numbers and their dense Jacobian at one point, for least squares.

Owns: the Jacobian from the forward sweep of the value, by tangents or adjoints, whichever are fewer.
Must not know: SciPy.  Next: objective.py (one number; the point), drivers.py.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from fastad.optimize.objective import Evaluation, Objective, Point
from fastad.verbs import Jacobian, need_floats

__all__ = ["Residuals"]


class VectorEvaluation(Evaluation):
    """A function that returns one array; its tape answers "value" and "jacobian"."""

    direction = "auto"
    shapes, forwards, blocks = Jacobian.shapes, Jacobian.forwards, Jacobian.blocks

    def check(self, tape: Any) -> None:
        need_floats(self, tape)

    def value(self, entry: Any, values: list[Any], point: Point, _: Any) -> np.ndarray:
        self.sweeps.forward += 1
        point.swept = False
        result = np.atleast_1d(entry.tape.signature.pack_outputs(entry.tape.sweep(values)))
        point.swept = True
        return np.ascontiguousarray(result, dtype=np.float64)

    def jacobian(self, entry: Any, values: list[Any], point: Point, _: Any) -> np.ndarray:
        tape = entry.tape
        if not point.swept:
            self.value(entry, values, point, None)
        ins, outs = self.shapes(tape)
        rest: list[Any] = [None] * (len(values) - 1)

        def sweep(units: list[Any]) -> list[Any]:
            if self.forwards(ins, outs):
                self.sweeps.tangent += 1
                return list(tape.sweep_tangent([*units, *rest]))
            self.sweeps.reverse += 1
            return list(tape.sweep_reverse(units))
        rows = np.concatenate([row[0].reshape(-1, values[0].size) for row in self.blocks(ins, outs, sweep)])
        return np.ascontiguousarray(rows)


class Residuals(Objective):
    """A vector of residuals as what `least_squares` wants: `value(x)` and `jacobian(x)`, fresh arrays at each call.

    Parameters
    ----------
    f, args, kwargs
        As for Objective; f returns an array (or a number: an array of one).
    """

    evaluation = VectorEvaluation

    def jacobian(self, x: Any, *args: Any) -> np.ndarray:
        """All first derivatives, of shape (residuals, x.size)."""
        return self.ask("jacobian", x, args)

    def scalar_only(self, *args: Any) -> Any:
        """Residuals have a Jacobian; gradients and Hessians are an Objective's."""
        raise TypeError("residuals have a value and a Jacobian; gradient, hvp and hessian are those of an Objective "
                        "(minimize 0.5 * sum(r**2))")

    gradient = value_and_grad = hvp = hessian = scalar_only
