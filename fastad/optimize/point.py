"""One point and what is known there: the ground that Objective and Residuals share.

Owns: the point (keyed by the bytes of x, one a thread), which sweeps stand there, their counts; Asked, by which one
cached function answers several questions from one tape.
Must not know: SciPy, what the questions are (objective.py, residuals.py).
"""
from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from fastad.function import Stats, TapeCache

__all__ = ["Asked", "Point", "Pointwise", "Sweeps"]


class Sweeps:
    """How many sweeps were run: forward, reverse, linearised (forward over the gradient's tape), tangent."""

    def __init__(self) -> None:
        self.forward = self.reverse = self.linearised = self.tangent = 0

    def __repr__(self) -> str:
        return (f"Sweeps(forward={self.forward}, reverse={self.reverse}, linearised={self.linearised}, "
                f"tangent={self.tangent})")


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


class Question:
    """What is asked, at which point; no container, so that Function hands it on as it is."""

    def __init__(self, name: str, point: Point, v: Any):
        self.name, self.point, self.v = name, point, v


class Asked:
    """Mixed into a Function: its tapes are its own, so no other callable of the same code moves their point.

    A subclass answers the question "name" by a method of that name: ``name(entry, values, point, v)``.
    """

    cache: Any
    call: Callable[..., Any]

    def prepare(self) -> None:
        """To be called when the Function is made."""
        self.cache = TapeCache()
        self.sweeps = Sweeps()

    def ask(self, question: str, args: tuple[Any, ...], kwargs: dict[str, Any], point: Point, v: Any = None) -> Any:
        """Answer a question at a point."""
        return self.call(args, kwargs, (Question(question, point, v),))

    def replay(self, entry: Any, values: list[Any], extra: Any) -> Any:
        question = extra[0]
        if question.point.entry is not entry:
            question.point.forget()
            question.point.entry = entry
        return getattr(self, question.name)(entry, values, question.point, question.v)


class Pointwise:
    """A function of one array that remembers what is known at the last point; see Objective and Residuals."""

    def __init__(self, f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any] | None, function: Any):
        self.f, self.args, self.kwargs, self.function = f, tuple(args), dict(kwargs or {}), function
        self.points = threading.local()

    def restart(self) -> None:
        """Forget all tapes and points: the next call records."""
        self.function.clear()
        self.points = threading.local()

    def stats(self) -> Stats:
        """Recordings, replays and so on, as of `ad.grad(f)`."""
        found: Stats = self.function.stats()
        return found

    @property
    def sweeps(self) -> Sweeps:
        """Counts of sweeps."""
        found: Sweeps = self.function.sweeps
        return found

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
