"""Objective: value, gradient, Hessian products and Hessian of a function at one point, from as few sweeps as possible.

Owns: which sweep answers which question.  A value is a forward sweep, its gradient the reverse sweep that belongs to
it; a Hessian product is a tangent sweep over the gradient's tape.  Results are always fresh C-contiguous float64
arrays: SciPy keeps and overwrites what it is given.
Must not know: SciPy.  Next: point.py (the point), residuals.py (several numbers), drivers.py.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastad import tapes
from fastad.optimize.point import Asked, Point, Pointwise
from fastad.verbs import Gradient, chosen

__all__ = ["Objective"]


class Evaluation(Asked, Gradient):
    """A function of one number; its tape answers "value", "gradient", "both", "product", "hessian"."""

    verb = "optimize"
    shared_mode = 0                          # of Dispatcher: always through `replay`

    def __init__(self, f: Callable[..., Any]):
        super().__init__(f)
        self.prepare()
        self.together = False                # are value and gradient asked for at once?

    def compile(self, entry: Any) -> None:
        """Only value and gradient at once are compiled; alone they are sweeps."""
        if self.together:
            super().compile(entry)
        else:
            entry.compile_at = 2 * entry.calls

    def value(self, entry: Any, values: list[Any], point: Point, _: Any) -> float:
        self.sweeps.forward += 1
        point.swept = False
        result = entry.tape.sweep(values)[0]
        point.swept = True
        return float(result)

    def gradient(self, entry: Any, values: list[Any], point: Point, _: Any) -> np.ndarray:
        """The reverse sweep of the forward sweep that is there; both if there is none."""
        if not point.swept:
            return self.both(entry, values, point, _)[1]
        self.sweeps.reverse += 1
        return self.first(entry.tape, entry.tape.sweep_reverse([1.0]))

    def both(self, entry: Any, values: list[Any], point: Point, _: Any) -> tuple[float, np.ndarray]:
        self.together = True
        self.sweeps.forward += 1
        self.sweeps.reverse += 1
        point.swept = False
        if entry.program is not None:        # a program has memory of its own
            result, *adjoints = entry.program.run(values)
        else:
            (result,), adjoints = entry.tape.sweep_gradient(values, [1.0])
            point.swept = True
        return float(result), self.first(entry.tape, adjoints)

    def product(self, entry: Any, values: list[Any], point: Point, v: np.ndarray) -> np.ndarray:
        derived = self.linearised(entry, values, point)
        self.sweeps.tangent += 1
        return self.first(entry.tape, derived.sweep_tangent([v, *[None] * (len(values) - 1)])[1:])

    def hessian(self, entry: Any, values: list[Any], point: Point, _: Any) -> np.ndarray:
        shape = values[0].shape
        units = np.eye(values[0].size).reshape((-1, *shape))
        columns = [self.product(entry, values, point, unit).ravel() for unit in units]
        return np.array(columns).T.copy().reshape(shape + shape)

    def linearised(self, entry: Any, values: list[Any], point: Point) -> Any:
        """The gradient's tape, with its forward sweep at the point."""
        derived = tapes.gradient_tape(entry.tape)
        if not point.linearised:
            self.sweeps.linearised += 1
            derived.sweep(values)
            point.linearised = True
        return derived

    def first(self, tape: Any, adjoints: list[Any]) -> np.ndarray:
        return np.ascontiguousarray(chosen(tape.signature, adjoints, 0), dtype=np.float64)


class Objective(Pointwise):
    """A function of one array as the pieces that optimisers want.

    Parameters
    ----------
    f : callable
        ``f(x, *args)`` returns one number.  It is recorded at the first call, again when a branch goes another way, and
        when something it depends on has changed.
    args : tuple, optional
        Further arguments of f, used where a call gives none.
    kwargs : dict, optional
        Keyword arguments of f.

    Raises
    ------
    DerivativeError, TracerError, UnsupportedError, StaleTapeError
        When called, as `fastad.grad`.

    Notes
    -----
    The last point is remembered by the bytes of x: `value` then `gradient` are one forward and one reverse sweep, a
    Hessian product costs one tangent sweep after the first.  All arrays are fresh: keep them, overwrite them.

    Examples
    --------
    >>> import numpy as np
    >>> from fastad.optimize import Objective
    >>> p = Objective(lambda x: np.sum(x**2))
    >>> p.value([1.0, 2.0]), p.gradient([1.0, 2.0])
    (5.0, array([2., 4.]))
    """

    def __init__(self, f: Callable[..., Any], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None):
        super().__init__(f, args, kwargs, Evaluation(f))
        self.eager = False                   # a value is followed by its gradient: compute both at once

    def __call__(self, x: Any, *args: Any) -> float:
        """The value."""
        return self.value(x, *args)

    def value(self, x: Any, *args: Any) -> float:
        """The number f(x)."""
        if self.eager:
            return self.value_and_grad(x, *args)[0]
        return float(self.ask("value", x, args))

    def gradient(self, x: Any, *args: Any) -> np.ndarray:
        """The gradient, in the shape of x."""
        return self.value_and_grad(x, *args)[1]

    def value_and_grad(self, x: Any, *args: Any) -> tuple[float, np.ndarray]:
        """Value and gradient from one forward and one reverse sweep."""
        x, point = self.at(x, args)
        if "value" in point.known:
            return point.known["value"], self.ask("gradient", x, args)
        value, gradient = self.evaluate("both", x, args, point)
        point.known.update(value=value, gradient=gradient)
        return value, gradient.copy()

    def hvp(self, x: Any, v: Any, *args: Any) -> np.ndarray:
        """The Hessian times v."""
        x, point = self.at(x, args)
        v = np.array(v, dtype=np.float64, order="C").reshape(x.shape)
        product: np.ndarray = self.evaluate("product", x, args, point, v)
        return product

    def hessian(self, x: Any, *args: Any) -> np.ndarray:
        """The dense Hessian, of shape ``x.shape + x.shape``."""
        matrix: np.ndarray = self.ask("hessian", x, args)
        return matrix
