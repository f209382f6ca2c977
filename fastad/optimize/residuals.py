"""Residuals: several numbers, their dense Jacobian and the curvature of a weighted sum of them, at one point.

Owns: the Jacobian from the forward sweep of the value, by tangents or adjoints, whichever are fewer; products with the
Hessian of ``w @ f`` (what constraints want) by tangents over the adjoint tape.
Must not know: SciPy.  Next: objective.py (one number), point.py (the point), drivers.py, constraints.py.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastad import complex_verbs, tapes, trees
from fastad.optimize.layout import Layout
from fastad.optimize.point import Asked, Point, Pointwise
from fastad.verbs import Jacobian

__all__ = ["Residuals"]


class Evaluation(Asked, Jacobian):
    """A function that returns one array; its tape answers "value", "jacobian" and "curvature"."""

    verb = "least_squares"

    def __init__(self, f: Callable[..., Any], layout: Layout | None = None):
        super().__init__(f)
        self.prepare(layout)

    def check(self, tape: Any) -> None:
        """float64 results, or plain ones with a NaN or infinity: so f says that x is outside of its domain."""
        complex_verbs.refuse_all(self, tape.signature)
        kept = tape.signature.kept
        if len(kept) < trees.count(tape.signature.out_tree) or all(map(finite, kept.values())):
            super().check(tape)

    def value(self, entry: Any, values: list[Any], point: Point, _: Any) -> np.ndarray:
        self.sweeps.forward += 1
        point.swept = False
        outputs = entry.tape.sweep(values)
        result = packed(entry.tape.signature, outputs)
        result = result if self.layout is None else result.ravel()       # (SciPy wants one dimension)
        point.swept = True
        return result

    def jacobian(self, entry: Any, values: list[Any], point: Point, _: Any) -> np.ndarray:
        if not point.swept and entry.program is None:
            self.value(entry, values, point, None)
        ins, outs = self.shapes(entry.tape)
        blocks = self.compiled(entry, values, ins, outs) if entry.program is not None else \
            self.blocks(ins, outs, self.one_by_one(entry.tape, values, ins, outs))
        rows = [[np.reshape(part, (size(out), size(shape))) for part, shape in zip(row, ins, strict=True)]
                for row, out in zip(blocks, outs, strict=True)]
        matrix = np.concatenate([np.concatenate(row, axis=1) if len(row) > 1 else row[0] for row in rows])
        return np.ascontiguousarray(matrix if self.layout is None else self.layout.shrink(matrix))

    def one_by_one(self, tape: Any, values: list[Any], ins: list[Any], outs: list[Any]) -> Callable[..., list[Any]]:
        """A sweep over the tape for each column or row, at the forward sweep that stands there."""
        rest: list[Any] = [None] * (len(values) - len(ins))

        def sweep(units: list[Any]) -> list[Any]:
            if self.forwards(ins, outs):
                self.sweeps.tangent += 1
                return list(tape.sweep_tangent([*units, *rest]))
            self.sweeps.reverse += 1
            return list(tape.sweep_reverse(units))
        return sweep

    def compiled(self, entry: Any, values: list[Any], ins: list[Any], outs: list[Any]) -> Any:
        """Many columns or rows in one run of a program, which brings its own forward sweep."""
        lanes, outputs = entry.program, len(entry.tape.outputs)

        def sweep(units: list[Any]) -> list[Any]:
            self.sweeps.linearised += 1
            return list(lanes.run(values + units)[outputs:])
        return self.blocks(ins, outs, sweep, lanes.sweeps)

    def curvature(self, entry: Any, values: list[Any], point: Point, v: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """The Hessian of w @ f times a direction, for (w, direction)."""
        w, direction = v
        derived, seeds = tapes.vjp_tape(entry.tape), self.seeded(entry.tape, w)
        if not point.linearised:
            self.sweeps.linearised += 1
            derived.sweep([*values, *seeds])
            point.linearised = True
        self.sweeps.tangent += 1
        moved = [*self.directions(direction, values), *[None] * len(seeds)]
        tangents = derived.sweep_tangent(moved)
        return self.gathered(list(tangents)[len(entry.tape.outputs):])

    def seeded(self, tape: Any, w: np.ndarray) -> list[Any]:
        """Weights of the residuals as seeds of the tape's outputs."""
        seeds, start = [], 0
        for _, shape in tapes.output_avals(tape):
            n = size(shape)
            seeds.append(w[start:start + n].reshape(shape).copy() if shape else float(w[start]))
            start += n
        return seeds


def size(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=int))


def finite(x: Any) -> bool:
    a = np.asarray(x)
    return a.dtype.kind != "f" or bool(np.isfinite(a).all())


def packed(signature: Any, outputs: list[Any]) -> np.ndarray:
    """Residuals from the tape's outputs: a list of numbers and arrays that f returned is one array, as for SciPy."""
    result = signature.pack_outputs(outputs)
    if signature.out_tree != trees.LEAF:
        result = np.concatenate([np.ravel(y) for y in trees.flatten(result)[0]])
    return np.ascontiguousarray(np.atleast_1d(result), dtype=np.float64)


def joined(result: Any) -> Any:
    """The same for what plain f returned."""
    if isinstance(result, (list, tuple, dict)):
        result = np.concatenate([np.ravel(y) for y in trees.flatten(result)[0]])
    return np.ravel(np.asarray(result, dtype=np.float64))


class Residuals(Pointwise):
    """A vector of residuals as what `least_squares` wants: `value(x)` and `jacobian(x)`, fresh arrays at each call.

    Parameters
    ----------
    f, args, kwargs, like
        As for Objective; f returns an array (or a number: an array of one; or a list of numbers).

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

    def __init__(self, f: Callable[..., Any], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None,
                 like: Any = None):
        self.build(f, args, kwargs, None if like is None else Layout(like, "like"))

    def build(self, f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any] | None,
              layout: Layout | None) -> None:
        super().__init__(f, args, kwargs, Evaluation(f, layout), layout)

    @classmethod
    def over(cls, f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any] | None,
             layout: Layout) -> Residuals:
        """The residuals of a vector that a layout spreads (some variables may be fixed)."""
        made = cls.__new__(cls)
        made.build(f, args, kwargs, layout)
        return made

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

    def curvature(self, x: Any, w: Any, v: Any, *args: Any) -> np.ndarray:
        """The Hessian of ``w @ f`` times v."""
        w = np.array(w, dtype=np.float64).ravel()
        v = np.array(v, dtype=np.float64, order="C").reshape(np.shape(x))
        product: np.ndarray = self.ask_linear("curvature", x, args, (w, v), w.tobytes())
        return product
