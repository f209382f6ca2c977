"""One point and what is known there: the ground that Objective and Residuals share.

Owns: the points (compared by the bytes of x; one for values, one for linearisations, of each thread), which sweeps
stand there, their counts; Asked, by which one cached function answers several questions from one tape.
Must not know: SciPy, what the questions are (objective.py, residuals.py).  Next: layout.py (what f gets for x).
"""
from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np

from fastad._tape import current_tape
from fastad.errors import AdError, ShapeError, TapeDivergence
from fastad.function import Stats, TapeCache
from fastad.optimize.layout import Layout
from fastad.recording import Arguments

__all__ = ["Asked", "Point", "Pointwise", "Sweeps"]


class Sweeps:
    """How many sweeps were run: forward, reverse, linearised (forward over the gradient's tape), tangent."""

    def __init__(self) -> None:
        self.forward = self.reverse = self.linearised = self.tangent = 0

    def __repr__(self) -> str:
        return (f"Sweeps(forward={self.forward}, reverse={self.reverse}, linearised={self.linearised}, "
                f"tangent={self.tangent})")


class Point:
    """The last point: what is known there, and which sweeps stand there.

    Attributes
    ----------
    raw : bytes or None
        Of x; the same object as long as the point stays.
    shape, rest
        Of x; of the further arguments, or whatever else a question depends on.
    entry, arguments
        The tape that answered last, and the arguments as that tape takes them: the short way for the next point.
    """

    __slots__ = ("raw", "shape", "rest", "entry", "arguments", "known", "swept", "linearised")

    def __init__(self) -> None:
        self.raw: bytes | None = None
        self.shape: Any = None
        self.rest: Any = None
        self.entry: Any = None
        self.arguments: Any = None
        self.forget()

    def forget(self) -> None:
        """Nothing is known, no sweep stands."""
        self.known: dict[str, Any] = {}
        self.swept = self.linearised = False


class Question:
    """What is asked, at which point; no container, so that Function hands it on as it is."""

    __slots__ = ("name", "point", "v")

    def __init__(self, name: str, point: Point, v: Any):
        self.name, self.point, self.v = name, point, v


class Asked:
    """Mixed into a Function: its tapes are its own, so no other callable of the same code moves their point.

    A subclass answers the question "name" by a method of that name: ``name(entry, values, point, v)``.
    """

    answered: Callable[..., None]
    argnums: Any
    cache: Any
    hot: Any
    replays: int
    call: Callable[..., Any]

    def prepare(self, layout: Layout | None) -> None:
        """To be called when the Function is made."""
        self.cache = TapeCache()
        self.sweeps = Sweeps()
        self.layout = layout

    def ask(self, question: str, args: tuple[Any, ...], kwargs: dict[str, Any], point: Point, v: Any = None) -> Any:
        """Answer a question at a point, by whatever tape serves."""
        extra = (Question(question, point, v),)
        before = point.entry
        answer = self.call(args, kwargs, extra)
        if point.arguments is None or point.entry is not before:
            point.arguments = Arguments(args, kwargs, self.argnums, "")
        return answer

    def ask_again(self, question: str, leaves: list[Any], args: tuple[Any, ...], kwargs: dict[str, Any],
                  point: Point, v: Any = None) -> Any:
        """The same by the tape that answered last, which is known to fit: only the leaves of x have other numbers."""
        entry, arguments = point.entry, point.arguments
        values = arguments.values
        values[:len(leaves)] = leaves
        start = perf_counter()
        try:
            answer = getattr(self, question)(entry, values, point, v)
        except TapeDivergence as divergence:
            answer = self.call(args, kwargs, (Question(question, point, v),), entry, divergence)
            if point.entry is not entry:
                point.arguments = Arguments(args, kwargs, self.argnums, "")
            return answer
        calls = entry.calls + 1
        if self.hot is entry and calls & (calls - 1) and not 0 < entry.compile_at <= calls:
            entry.calls = calls              # nothing is due: the short way through `answered`
            entry.touch()
            self.replays += 1
        else:
            self.answered(entry, arguments, perf_counter() - start)
        return answer

    def compare(self, entry: Any, arguments: Any) -> None:
        """An audit; outside of its domain plain f may raise (math.log of a negative number), where the tape has NaN."""
        try:
            super().compare(entry, arguments)            # type: ignore[misc]
        except (ArithmeticError, ValueError) as error:
            finite = all(bool(np.isfinite(y).all()) for y in entry.tape.sweep(arguments.values))
            if finite or isinstance(error, AdError):
                raise

    def replay(self, entry: Any, values: list[Any], extra: Any) -> Any:
        question = extra[0]
        if question.point.entry is not entry:
            question.point.forget()
            question.point.entry = entry
        return getattr(self, question.name)(entry, values, question.point, question.v)

    def gathered(self, adjoints: list[Any]) -> np.ndarray:
        """The adjoints of x's leaves as the caller's fresh array: a vector, or in the shape of x without a layout."""
        if self.layout is None or self.layout.plain:
            return adjoints[0] if type(adjoints[0]) is np.ndarray else np.asarray(adjoints[0], dtype=np.float64)
        return self.layout.gathered(adjoints)

    def directions(self, v: np.ndarray, values: list[Any]) -> list[Any]:
        """A direction of x as one of all inputs of the tape."""
        leaves = [v] if self.layout is None else self.layout.directions(v)
        return [*leaves, *[None] * (len(values) - len(leaves))]

    def units(self, values: list[Any]) -> np.ndarray:
        """The unit directions of x."""
        if self.layout is not None:
            return np.eye(self.layout.size)
        return np.eye(values[0].size).reshape((-1, *values[0].shape))


def unraveled(f: Callable[..., Any], layout: Layout, z: Any, *args: Any) -> Any:
    return f(layout.spread(np.array(z, dtype=np.float64)), *args)


class Pointwise:
    """A function of x that remembers what is known at the last point; see Objective and Residuals."""

    def __init__(self, f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any] | None, function: Any,
                 layout: Layout | None):
        self.f, self.args, self.kwargs, self.function = f, tuple(args), dict(kwargs or {}), function
        self.layout = layout
        self.points = threading.local()
        self.own_args: Any = None            # (once looked at) what tells whether `args` are what they were

    def plain(self) -> Callable[..., Any]:
        """The user's function of x and the further arguments, to be run by NumPy."""
        f = functools.partial(self.f, **self.kwargs) if self.kwargs else self.f
        return f if self.layout is None else functools.partial(unraveled, f, self.layout)

    def restart(self) -> None:
        """Forget all tapes and points: the next call records."""
        self.function.clear()
        self.own_args = None
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

    def ask_linear(self, question: str, x: Any, args: tuple[Any, ...], v: Any = None, key: Any = None) -> Any:
        """The answer to a question about second derivatives: their sweeps stand at a point of their own.

        A trust-region method that tries a step in vain comes back to the old point, where it finds its linearisation.
        """
        x, point = self.at(x, args, "linear", key)
        primal = getattr(self.points, "primal", None)
        audits = self.function.audits
        answer = self.evaluate(question, x, args, point, v)
        if primal is not None and (self.function.audits != audits or point.entry is not primal.entry):
            primal.swept = False             # the values' tape has been swept elsewhere
        return answer

    def evaluate(self, question: str, x: np.ndarray, args: tuple[Any, ...], point: Point, v: Any = None) -> Any:
        tree = x if self.layout is None else self.layout.spread(x)
        if args or point.entry is None or point.arguments is None or current_tape() is not None:
            point.arguments = None
            return self.function.ask(question, (tree, *(args or self.args)), self.kwargs, point, v)
        leaves = [x] if self.layout is None else self.layout.leaves_of(tree)
        return self.function.ask_again(question, leaves, (tree, *self.args), self.kwargs, point, v)

    def at(self, x: Any, args: tuple[Any, ...], which: str = "primal", more: Any = None) -> tuple[np.ndarray, Point]:
        """x as a float64 array, and this thread's point, emptied if it was elsewhere or f has changed."""
        x = np.array(x, dtype=np.float64, order="C")
        shape = x.shape
        if self.layout is not None and shape != self.layout.shape:
            raise ShapeError(f"x has shape {x.shape}; it is the vector of {self.layout.size} unknowns")
        try:
            point: Point = getattr(self.points, which)
        except AttributeError:               # the first question of this thread
            point = Point()
            setattr(self.points, which, point)
        raw = x.tobytes()
        rest = more if not (args or self.args) else (more, self.looked_at(args))
        if raw != point.raw or shape != point.shape or rest != point.rest:
            if shape != point.shape:
                point.arguments = None       # (the tape does not fit)
            point.forget()
            point.raw, point.shape, point.rest = raw, shape, rest
        if point.entry is None or point.entry.why_changed(self.f) is not None:
            point.forget()
            point.entry = point.arguments = None
        return x, point

    def looked_at(self, args: tuple[Any, ...]) -> Any:
        """What tells whether further arguments are what they were; `watch_args` says when own ones are looked at."""
        if args or self.own_args is None:
            return self.same(args or self.args)
        return self.own_args

    def watch_args(self) -> None:
        """Look at the own arguments now, and not at each question: nobody but a callback can change them meanwhile.

        They may be data of millions of numbers, and are compared by value.
        """
        if self.args:
            self.own_args = self.same(self.args)

    def same(self, args: tuple[Any, ...]) -> Any:
        return tuple([(a.shape, a.tobytes()) if isinstance(a, np.ndarray) else (id(a), repr(a)) for a in args])
