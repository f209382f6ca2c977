"""Residuals: several numbers and their dense Jacobian at one point, for least squares.

Owns: the Jacobian from the forward sweep of the value, by tangents or adjoints, whichever are fewer.
Must not know: SciPy.  Next: objective.py (one number), point.py (the point), drivers.py.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastad.optimize.point import Asked, Point, Pointwise
from fastad.verbs import Jacobian

__all__ = ["Residuals"]


class Evaluation(Asked, Jacobian):
    """A function that returns one array; its tape answers "value" and "jacobian"."""

    verb = "least_squares"

    def __init__(self, f: Callable[..., Any]):
        super().__init__(f)
        self.prepare()

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


class Residuals(Pointwise):
    """A vector of residuals as what `least_squares` wants: `value(x)` and `jacobian(x)`, fresh arrays at each call.

    Parameters
    ----------
    f, args, kwargs
        As for Objective; f returns an array (or a number: an array of one).

    Raises
    ------
    DerivativeError, TracerError, UnsupportedError, StaleTapeError
        When called, as `fastad.jacobian`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastad.optimize import Residuals
    >>> t = np.array([0.0, 1.0, 2.0])
    >>> r = Residuals(lambda p: p[0] + p[1] * t - 3.0)
    >>> r.value([1.0, 2.0])
    array([-2.,  0.,  2.])
    >>> r.jacobian([1.0, 2.0])
    array([[1., 0.],
           [1., 1.],
           [1., 2.]])
    """

    def __init__(self, f: Callable[..., Any], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None):
        super().__init__(f, args, kwargs, Evaluation(f))

    def __call__(self, x: Any, *args: Any) -> np.ndarray:
        """The residuals."""
        return self.value(x, *args)

    def value(self, x: Any, *args: Any) -> np.ndarray:
        """The residuals f(x)."""
        residuals: np.ndarray = self.ask("value", x, args)
        return residuals

    def jacobian(self, x: Any, *args: Any) -> np.ndarray:
        """All first derivatives, of shape (residuals, x.size)."""
        matrix: np.ndarray = self.ask("jacobian", x, args)
        return matrix
