"""Objective: value, gradient, Hessian products and Hessian of a function at one point, from as few sweeps as possible.

Owns: which sweep answers which question, and the point at which they are (keyed by the bytes of x, one a thread).
A value is a forward sweep, its gradient the reverse sweep that belongs to it; a Hessian product is a tangent sweep over
the gradient's tape.  Results are always fresh C-contiguous float64 arrays: SciPy keeps and overwrites what it is given.
Must not know: SciPy.  Next: residuals.py (several numbers), drivers.py.
"""
from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from fastad import tapes
from fastad.function import Stats, TapeCache
from fastad.verbs import Gradient, Hessian, chosen

__all__ = ["Evaluation", "Objective", "Sweeps"]


class Sweeps:
    """How many sweeps were run: forward, reverse, tangent (over the gradient's tape: see `linearised`)."""

    def __init__(self) -> None:
        self.forward = self.reverse = self.tangent = self.linearised = 0

    def __repr__(self) -> str:
        return (f"Sweeps(forward={self.forward}, reverse={self.reverse}, linearised={self.linearised}, "
                f"tangent={self.tangent})")


class Evaluation(Gradient):
    """A function whose tape answers several questions; the caller says whether the last sweep was at the same point.

    Its tapes are its own: no other callable of the same code moves their point.
    """

    verb = "optimize"
    shared_mode = 0                          # of Dispatcher: always through `replay`

    def __init__(self, f: Callable[..., Any]):
        super().__init__(f)
        self.cache = TapeCache()
        self.sweeps = Sweeps()
        self.together = False                # are value and gradient asked for at once?

    def ask(self, question: str, args: tuple[Any, ...], kwargs: dict[str, Any], point: Point, v: Any = None) -> Any:
        """Answer `question` ("value", "gradient", "both", "product", "hessian") at a point."""
        return self.call(args, kwargs, (Question(question, point, v),))

    def replay(self, entry: Any, values: list[Any], extra: Any) -> Any:
        question = extra[0]
        if question.point.entry is not entry:
            question.point.forget()
            question.point.entry = entry
        return getattr(self, question.name)(entry, values, question.point, question.v)

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

    def compile(self, entry: Any) -> None:
        """Only value and gradient at once are compiled; alone they are sweeps."""
        if self.together:
            super().compile(entry)
        else:
            entry.compile_at = 2 * entry.calls

    def both(self, entry: Any, values: list[Any], point: Point, _: Any) -> tuple[float, np.ndarray]:
        self.together = True
        self.sweeps.forward += 1
        self.sweeps.reverse += 1
        if entry.program is not None:
            point.swept = False              # a program has memory of its own
            result, *adjoints = entry.program.run(values)
        else:
            point.swept = False
            (result,), adjoints = entry.tape.sweep_gradient(values, [1.0])
            point.swept = True
        return float(result), self.first(entry.tape, adjoints)

    def product(self, entry: Any, values: list[Any], point: Point, v: np.ndarray) -> np.ndarray:
        derived = self.linearised(entry, values, point)
        self.sweeps.tangent += 1
        directions = [v, *[None] * (len(values) - 1)]
        return self.first(entry.tape, derived.sweep_tangent(directions)[1:])

    def hessian(self, entry: Any, values: list[Any], point: Point, _: Any) -> np.ndarray:
        derived = self.linearised(entry, values, point)

        def sweep(units: list[Any]) -> list[Any]:
            self.sweeps.tangent += 1
            return list(derived.sweep_tangent([*units, *[None] * (len(values) - 1)])[1:])
        return np.ascontiguousarray(Hessian.pack(self, entry.tape, sweep))

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


class Question:
    """What is asked of an Evaluation, at which point; no container, so that Function hands it on as it is."""

    def __init__(self, name: str, point: Point, v: Any):
        self.name, self.point, self.v = name, point, v


class Point:
    """The last point: what is known there, and which sweeps stand there."""

    def __init__(self) -> None:
        self.key: Any = None
        self.entry: Any = None
        self.forget()

    def forget(self) -> None:
        """Nothing is known, no sweep stands."""
        self.known: dict[str, Any] = {}
        self.swept = self.linearised = False


class Objective:
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

    evaluation = Evaluation

    def __init__(self, f: Callable[..., Any], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None):
        self.f, self.args, self.kwargs = f, tuple(args), dict(kwargs or {})
        self.function = self.evaluation(f)
        self.points = threading.local()
        self.eager = False                   # a value is followed by its gradient: compute both at once

    def __call__(self, x: Any, *args: Any) -> Any:
        """The value."""
        return self.value(x, *args)

    def value(self, x: Any, *args: Any) -> Any:
        """The number f(x)."""
        return self.value_and_grad(x, *args)[0] if self.eager else self.ask("value", x, args)

    def gradient(self, x: Any, *args: Any) -> np.ndarray:
        """The gradient, in the shape of x."""
        x, point = self.at(x, args)
        if "value" in point.known or "gradient" in point.known:
            return self.ask("gradient", x, args)
        return self.value_and_grad(x, *args)[1]

    def value_and_grad(self, x: Any, *args: Any) -> tuple[float, np.ndarray]:
        """Value and gradient from one forward and one reverse sweep."""
        x, point = self.at(x, args)
        if "value" in point.known or "gradient" in point.known:
            return self.ask("value", x, args), self.ask("gradient", x, args)
        both = self.evaluate("both", x, args, point)
        point.known["value"], point.known["gradient"] = both
        return both[0], both[1].copy()

    def hvp(self, x: Any, v: Any, *args: Any) -> np.ndarray:
        """The Hessian times v."""
        x, point = self.at(x, args)
        v = np.array(v, dtype=np.float64, order="C").reshape(x.shape)
        return self.evaluate("product", x, args, point, v)

    def hessian(self, x: Any, *args: Any) -> np.ndarray:
        """The dense Hessian, of shape ``x.shape + x.shape``."""
        return self.ask("hessian", x, args)

    def restart(self) -> None:
        """Forget all tapes and points: the next call records."""
        self.function.clear()
        self.points = threading.local()

    def stats(self) -> Stats:
        """Recordings, replays and so on, as of `ad.grad(f)`."""
        return self.function.stats()

    @property
    def sweeps(self) -> Sweeps:
        """Counts of sweeps."""
        return self.function.sweeps

    # -- the point
    def ask(self, question: str, x: Any, args: tuple[Any, ...]) -> Any:
        """The answer, computed once a point; arrays are copies."""
        x, point = self.at(x, args)
        if question not in point.known:
            point.known[question] = self.evaluate(question, x, args, point)
        answer = point.known[question]
        return answer.copy() if isinstance(answer, np.ndarray) else answer

    def evaluate(self, question: str, x: np.ndarray, args: tuple[Any, ...], point: Point, v: Any = None) -> Any:
        return self.function.ask(question, (x, *(args or self.args)), self.kwargs, point, v)

    def at(self, x: Any, args: tuple[Any, ...]) -> tuple[np.ndarray, Point]:
        """x as a float64 array, and this thread's point, emptied if it was elsewhere or f has changed."""
        x = np.array(x, dtype=np.float64, order="C")
        point = getattr(self.points, "point", None)
        if point is None:
            point = self.points.point = Point()
        key = (x.shape, x.tobytes(), self.same(args or self.args))
        if key != point.key or point.entry is None or point.entry.why_changed(self.f) is not None:
            point.forget()
            point.key = key
        return x, point

    def same(self, args: tuple[Any, ...]) -> Any:
        """What tells whether further arguments are what they were."""
        return tuple([(a.shape, a.tobytes()) if isinstance(a, np.ndarray) else (id(a), repr(a)) for a in args])
