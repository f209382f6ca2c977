"""Objective: value, gradient, Hessian products and Hessian of a function at one point, from as few sweeps as possible.

Owns: which sweep answers which question.  A value is a forward sweep, its gradient the reverse sweep that belongs to
it; a Hessian product is a tangent sweep over the gradient's tape.  Results are always fresh C-contiguous float64
arrays: SciPy keeps and overwrites what it is given.
Must not know: SciPy.  Next: point.py (the point), layout.py (trees), residuals.py (several numbers), drivers.py.
"""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fastad import tapes, trees
from fastad.memory import product_program
from fastad.optimize.layout import Layout
from fastad.optimize.point import Asked, Point, Pointwise
from fastad.verbs import Gradient

__all__ = ["Objective"]


class Evaluation(Asked, Gradient):
    """A function of one number; its tape answers "value", "gradient", "both", "product", "hessian"."""

    verb = "optimize"
    shared_mode = 0                          # of Dispatcher: always through `replay`

    def __init__(self, f: Callable[..., Any], layout: Layout | None = None, memory: Any = None, disk: Any = None):
        super().__init__(f, memory=memory, disk=disk)
        self.prepare(layout)
        self.together = False                # are value and gradient asked for at once?
        self.steady = False                  # (resuming.py) whether it is compiled must not depend on the clock

    def check(self, tape: Any) -> None:
        """One float64 number, or a plain NaN or infinity: that is how f says that x is outside of its domain."""
        if refusal(tape) is None:
            super().check(tape)

    def compile(self, entry: Any) -> None:
        """Only value and gradient at once are compiled; alone they are sweeps, unless those would take gigabytes."""
        if self.together or self.large(entry.tape):
            super().compile(entry)
        else:
            entry.compile_at = 2 * entry.calls

    def record(self, arguments: Any, event: Any) -> Any:
        """A steady one is compiled at once, or never: derivatives by programs and sweeps may differ in the sign of a
        zero, and where arrays are read at run-time indices in their last bits."""
        entry = super().record(arguments, event)
        if self.steady and entry.compile_at and self.together:
            self.translate(entry)
        elif self.steady:
            entry.compile_at = 0
        return entry

    def large(self, tape: Any) -> bool:
        """Does a sweep over the tape itself cost more memory than it is worth, or than there is?"""
        if self.memory is not None:
            return True
        found: bool = tapes.kept(tape, "large", self.first_sweep_costs_more)
        return found

    def value(self, entry: Any, values: list[Any], point: Point, _: Any) -> float:
        self.sweeps.forward += 1
        point.swept = False
        if entry.program is not None and self.large(entry.tape):
            return float(tapes.kept(entry.tape, "value program", tapes.program).run(values)[0])
        result = entry.swept.sweep(values)
        point.swept = True
        return float(result[0]) if result else refused(entry.tape)

    def gradient(self, entry: Any, values: list[Any], point: Point, _: Any) -> np.ndarray:
        """The reverse sweep of the forward sweep that is there; both if there is none."""
        if not point.swept:
            return self.both(entry, values, point, _)[1]
        self.sweeps.reverse += 1
        return self.gathered(entry.swept.sweep_reverse(seeds(entry.tape)))

    def whole(self, entry: Any, values: list[Any], point: Point, _: Any) -> np.ndarray:
        """The gradient by all numbers of the layout, also those that are fixed."""
        self.sweeps.reverse += 1
        if entry.program is not None and self.large(entry.tape):
            self.sweeps.forward += 1
            _, *adjoints = entry.program.run(values)
        else:
            if not point.swept:
                self.value(entry, values, point, None)
            adjoints = entry.swept.sweep_reverse(seeds(entry.tape))
        return np.ravel(adjoints[0]) if self.layout is None else self.layout.joined(adjoints)

    def both(self, entry: Any, values: list[Any], point: Point, _: Any) -> tuple[float, np.ndarray]:
        self.together = True
        self.sweeps.forward += 1
        self.sweeps.reverse += 1
        point.swept = False
        if entry.program is not None:        # a program has memory of its own
            result, *adjoints = entry.program.run(values)
            return float(result), self.gathered(adjoints)
        outputs, adjoints = entry.swept.sweep_gradient(values, seeds(entry.tape))
        point.swept = True
        return float(outputs[0]) if outputs else refused(entry.tape), self.gathered(adjoints)

    def product(self, entry: Any, values: list[Any], point: Point, v: np.ndarray) -> np.ndarray:
        if self.memory is not None:
            return self.product_within(entry, values, v)
        derived = self.linearised(entry, values, point)
        self.sweeps.tangent += 1
        tangents = derived.sweep_tangent(self.directions(v, values))
        return self.gathered(tangents[len(entry.tape.outputs):])

    def product_within(self, entry: Any, values: list[Any], v: np.ndarray) -> np.ndarray:
        """A program of its own, from the point on: what a linearisation would keep is more than there is room for."""
        program = tapes.kept(entry.tape, f"product within {self.memory}, {self.disk}",
                             lambda tape: product_program(tape, self.memory, self.disk))
        self.sweeps.forward += 1
        self.sweeps.reverse += 1
        moved = [np.zeros(np.shape(x)) if d is None else d for x, d, a
                 in zip(values, self.directions(v, values), entry.tape.signature.active, strict=True) if a]
        return self.gathered(program.run(values + moved)[1:])

    def hessian(self, entry: Any, values: list[Any], point: Point, _: Any) -> np.ndarray:
        if "hessian" not in point.known:
            point.known["hessian"] = self.columns(entry, values, point)
        found: np.ndarray = point.known["hessian"]
        return found

    def columns(self, entry: Any, values: list[Any], point: Point) -> np.ndarray:
        units = self.units(values)
        products = [self.product(entry, values, point, unit).ravel() for unit in units]
        return np.array(products).T.copy().reshape(units.shape[1:] * 2)

    def linearised(self, entry: Any, values: list[Any], point: Point) -> Any:
        """The gradient's tape, with its forward sweep at the point."""
        derived = tapes.gradient_tape(entry.tape)
        if not point.linearised:
            self.sweeps.linearised += 1
            derived.sweep(values)
            point.linearised = True
        return derived


def refusal(tape: Any) -> float | None:
    """The NaN or infinity that f returned as a plain number in this recording; None if it returned anything else."""
    found = tape.signature.kept.get(0)
    if tape.signature.out_tree != trees.LEAF or not isinstance(found, (float, np.floating)) or math.isfinite(found):
        return None
    return float(found)


def refused(tape: Any) -> float:
    """The same where there is one."""
    found = refusal(tape)
    assert found is not None
    return found


def seeds(tape: Any) -> list[float]:
    return [1.0] * len(tape.outputs)


class Objective(Pointwise):
    """A function as the pieces that optimisers want: value, gradient, Hessian products and Hessian at a vector x.

    Parameters
    ----------
    f : callable
        ``f(x, *args)`` returns one number.  It is recorded at the first call, again when a branch goes another way, and
        when something it depends on has changed.
    args : tuple, optional
        Further arguments of f, used where a call gives none.
    kwargs : dict, optional
        Keyword arguments of f.
    like : array_like or tree, optional
        A point of f.  With it x is a vector: the numbers of the tree, one leaf after the other, and f gets the tree.
        Without it x is an array of any shape, and f gets it as it is.
    memory : int or str, optional
        Bytes ("500MB") that a gradient or a Hessian product may take, as for `fastad.grad`; the Objective is then what
        `minimize` gets as fun.
    disk : str, path or tuple, optional
        With `memory`, as for `fastad.grad`: a directory, or ("/scratch", "20GB"), for what finds no room in memory.

    Attributes
    ----------
    x0 : ndarray or None
        With `like`: its numbers as a vector, where an optimiser starts.
    sweeps : Sweeps
        How many sweeps were run.

    Raises
    ------
    DerivativeError, TracerError, UnsupportedError, StaleTapeError
        When called, as `fastad.grad`.
    ShapeError
        x is no vector of that many numbers (with `like`).

    Notes
    -----
    The last point is remembered by the bytes of x: `value` then `gradient` are one forward and one reverse sweep.  The
    first Hessian product at a point linearises there (a forward sweep over the gradient's tape), each one then costs a
    tangent sweep; values elsewhere do not disturb that.  All arrays are fresh: keep them, overwrite them.

    Examples
    --------
    >>> import numpy as np
    >>> from fastad.optimize import Objective
    >>> p = Objective(lambda x: np.sum(x**2))
    >>> p.value([1.0, 2.0]), p.gradient([1.0, 2.0])
    (5.0, array([2., 4.]))
    >>> q = Objective(lambda m: m["a"] * np.sum(m["b"]), like={"a": 3.0, "b": np.ones(2)})
    >>> q.x0, q.gradient(q.x0)
    (array([3., 1., 1.]), array([2., 3., 3.]))
    >>> q.unravel(q.x0)
    {'a': 3.0, 'b': array([1., 1.])}
    """

    def __init__(self, f: Callable[..., Any], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None,
                 like: Any = None, memory: Any = None, disk: Any = None):
        layout = None if like is None else Layout(like, "like")
        self.build(f, args, kwargs, layout, memory, disk)

    def build(self, f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any] | None,
              layout: Layout | None, memory: Any = None, disk: Any = None) -> None:
        super().__init__(f, args, kwargs, Evaluation(f, layout, memory, disk), layout)
        self.memory, self.disk = memory, disk
        self.eager = False                   # a value is followed by its gradient: compute both at once

    @classmethod
    def over(cls, f: Callable[..., Any], args: tuple[Any, ...], layout: Layout, memory: Any = None,
             disk: Any = None) -> Objective:
        """The objective of a vector that a layout spreads (some variables may be fixed)."""
        made = cls.__new__(cls)
        made.build(f, args, None, layout, memory, disk)
        return made

    @property
    def x0(self) -> np.ndarray | None:
        return None if self.layout is None else self.layout.shrink(self.layout.start).copy()

    def unravel(self, x: Any) -> Any:
        """What f takes, from a vector: the tree of `like`."""
        x = np.array(x, dtype=np.float64)
        return x if self.layout is None else self.layout.restored(x)

    def __call__(self, x: Any, *args: Any) -> float:
        """The value."""
        return self.value(x, *args)

    def value(self, x: Any, *args: Any) -> float:
        """The number f(x)."""
        return float(self.look(x, args)["value"] if self.eager else self.ask("value", x, args))

    def gradient(self, x: Any, *args: Any) -> np.ndarray:
        """The gradient, in the shape of x."""
        return self.value_and_grad(x, *args)[1]

    def value_and_grad(self, x: Any, *args: Any) -> tuple[float, np.ndarray]:
        """Value and gradient from one forward and one reverse sweep."""
        known = self.look(x, args)
        return known["value"], known["gradient"].copy()

    def whole_gradient(self, x: Any) -> np.ndarray:
        """The gradient by all numbers of the layout, also those that are fixed."""
        x, point = self.at(x, ())
        found: np.ndarray = self.evaluate("whole", x, (), point)
        return found

    def look(self, x: Any, args: tuple[Any, ...]) -> dict[str, Any]:
        """What is known at x, value and gradient included."""
        x, point = self.at(x, args)
        if "value" in point.known and "gradient" not in point.known:
            gradient = self.evaluate("gradient", x, args, point)
            point.known["gradient"] = gradient
        if "value" not in point.known:       # (or gone: a new recording forgets)
            value, gradient = self.evaluate("both", x, args, point)
            known = point.known
            known["value"], known["gradient"] = value, gradient
        return point.known

    def hvp(self, x: Any, v: Any, *args: Any) -> np.ndarray:
        """The Hessian times v."""
        v = np.array(v, dtype=np.float64, order="C").reshape(np.shape(x))
        product: np.ndarray = self.ask_linear("product", x, args, v)
        return product

    def hessian(self, x: Any, *args: Any) -> np.ndarray:
        """The dense Hessian, of shape ``x.shape + x.shape``."""
        matrix: np.ndarray = self.ask_linear("hessian", x, args)
        return matrix.copy()
