"""One form of callback for every method: what SciPy hands over, in the user's coordinates.

Owns: the intermediate result, which of the two forms a callback has, how StopIteration ends methods that know nothing
of it.
Must not know: the methods.  Next: domain.py (the points that are known), drivers.py.
"""
from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult

from fastad.optimize.domain import Guard, Seen
from fastad.optimize.layout import Layout

__all__ = ["Reporter", "called"]

STOPPED = "`callback` raised `StopIteration`."


def called(callback: Callable[..., Any], result: OptimizeResult, *more: Any) -> Any:
    """Call a callback as it wants to be: ``callback(intermediate_result=...)``, ``callback(xk)``, or with one more.

    As in SciPy, the name of its only parameter decides.
    """
    wanted = wants(callback)
    if wanted == "intermediate_result":
        return callback(intermediate_result=result)
    return callback(result.x, *(more if wanted == "two" else ()))


def wants(callback: Callable[..., Any]) -> str:
    try:
        parameters = inspect.signature(callback).parameters
    except (TypeError, ValueError):          # a callable in C that tells nothing
        return "one"
    if set(parameters) == {"intermediate_result"}:
        return "intermediate_result"
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [p for p in parameters.values() if p.kind in kinds and p.default is p.empty]
    return "two" if len(needed) > 1 else "one"


class Reporter:
    """What SciPy gets as callback of `minimize`.

    Attributes
    ----------
    last : OptimizeResult or None
        What the user was shown last.
    """

    def __init__(self, callback: Callable[..., Any], guard: Guard, layout: Layout, method: str, journal: Any = None):
        self.callback, self.guard, self.layout, self.method = callback, guard, layout, method
        self.journal = journal               # (resuming.py) knows for which iterations the callback was called already
        self.iterations = 0
        self.last: OptimizeResult | None = None
        self.z: np.ndarray | None = None
        self.pinned: Seen | None = None
        self.stop = False
        self.errstate = np.geterr()          # of the user; the bridge is silent about what the guard reports

    def __call__(self, intermediate_result: Any) -> Any:
        """SciPy gives an OptimizeResult where a method has one (the parameter's name asks for it), else the vector."""
        given = intermediate_result if isinstance(intermediate_result, OptimizeResult) else {"x": intermediate_result}
        z = self.z = np.array(given["x"], dtype=np.float64)
        self.iterations += 1
        seen = self.at(z)
        value = seen.value if seen is not None else float(given["fun"]) if "fun" in given else self.guard.value(z)
        with nullcontext() if self.journal is None else self.journal.for_callback():
            self.last = OptimizeResult({**given, **self.described(z, seen, value)})
        if self.journal is not None and self.replayed():
            return None
        try:
            with np.errstate(**self.errstate):
                stop = called(self.callback, self.last, self.last)
        except StopIteration:
            self.stop = True
            raise
        if self.journal is not None:
            self.journal.note_call()
        self.guard.after_callback()
        return stop if self.method == "trust-constr" else None

    def replayed(self) -> bool:
        """Was the callback called for this iteration before the run was broken off?  A `Progress` notes it."""
        seconds = self.journal.was_called()
        if seconds is None:
            return False
        note = getattr(self.callback, "replayed", None)
        if note is not None:
            note(self.last, seconds)
        return True

    def at(self, z: np.ndarray) -> Seen | None:
        """The point if it is known: also that of the last call, to which a method comes back after steps in vain."""
        seen = self.guard.recall(z)
        if seen is None and self.pinned is not None and np.array_equal(self.pinned.z, z):
            seen = self.pinned
        self.pinned = seen
        return seen

    def described(self, z: np.ndarray, seen: Seen | None, value: float) -> dict[str, Any]:
        layout, guard = self.layout, self.guard
        found = {"x": layout.restored(z), "fun": value, "nit": self.iterations, "nfev": guard.evaluations,
                 "stand_ins": guard.stand_ins}
        if seen is not None and seen.gradient is None and seen is guard.good and guard.pieces.differentiable:
            seen.gradient = guard.gradient(z)    # the method asks for it next, and finds it
        if seen is not None and seen.gradient is not None:
            found["grad_norm"] = float(np.linalg.norm(seen.gradient))
            found["jac"] = layout.in_tree(layout.expand(seen.gradient.copy(), math.nan))
        return found

    def stopped(self, result: OptimizeResult | None) -> OptimizeResult:
        """The result after StopIteration: the method's own, or where it has left none, of the point last shown."""
        if result is None:
            assert self.last is not None
            kept = {key: self.last[key] for key in ("fun", "nit", "nfev") if key in self.last}
            result = OptimizeResult(x=self.z, **kept)
        result.update(success=False, status=99, message=STOPPED)
        return result
