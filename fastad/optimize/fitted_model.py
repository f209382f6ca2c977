"""FittedModel: a model y = f(x, a, b, ...) and its Jacobian by the parameters, for the length of one fit.

Owns: its recording with the parameters as numbers, and replays by bare sweeps.  What f has captured is compared at the
first evaluation, when a tape of an earlier fit may serve this one, and not at each: an audit at the solution runs plain
f instead.  xdata is captured, too: what f computes from it alone is not traced, so it may use any library.
Must not know: data, weights, solvers.  Next: curve_fitting.py (who fits), residuals.py (vectors of unknowns).
"""
from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from fastad import tapes
from fastad._fit import OWNER, Sweeps, agree, columns
from fastad.audits import Audit
from fastad.errors import TapeDivergence
from fastad.function import Function
from fastad.recording import numbers
from fastad.verbs import need_floats

__all__ = ["FittedModel"]


@functools.lru_cache(64)
def unit_directions(n: int) -> list[list[float | None]]:
    """Tangents of n numbers, one of which moves."""
    return [[1.0 if i == k else None for i in range(n)] for k in range(n)]


class Recording(Function):
    """Makes the tapes, and finds another one when a branch goes another way."""

    verb = "curve_fit"

    def __init__(self, f: Callable[..., Any], parameters: int):
        super().__init__(f, tuple(range(parameters)), audit=False)       # there is one at the solution

    def resemble(self, f: Any) -> None:
        """Nobody sees it."""

    def arguments(self, args: Any, kwargs: Any) -> Any:
        return numbers(args)

    def check(self, tape: Any) -> None:
        need_floats(self, tape)

    def replay(self, entry: Any, values: list[Any], extra: Any) -> Any:
        return entry.tape.sweep(values)


class FittedModel:
    """Values and Jacobian of ``f(xdata, *p)`` at p; both at the same p cost one forward sweep.

    Parameters
    ----------
    f : callable
        The model in plain NumPy.
    xdata : object
        Its first argument, as it is.
    parameters : int
        How many numbers follow.
    """

    def __init__(self, f: Callable[..., Any], xdata: Any, parameters: int):
        self.function = Recording(functools.partial(f, xdata), parameters)
        self.units = unit_directions(parameters)
        self.key: bytes | None = None
        self.tape: Any = None
        self.token = object()                # that the tape is where this fit left it

    def at(self, p: np.ndarray) -> Any:
        """The tape whose point is p; the outputs are there, too."""
        key, tape = p.tobytes(), self.tape
        if key == self.key and tape.derived.get(OWNER) is self.token:
            return tape
        self.key = None
        values = p.tolist()
        try:
            self.outputs = tape.sweep(values) if tape is not None else self.function.call(tuple(values), {}, ())
        except TapeDivergence as divergence:
            self.diverged(p, divergence)
            return self.tape
        self.arrived(key)
        return self.tape

    def diverged(self, p: np.ndarray, divergence: TapeDivergence) -> None:
        """A branch goes another way at p: the same by another tape."""
        self.outputs = self.function.slow(tuple(p.tolist()), {}, self.function.hot, divergence)
        self.arrived(p.tobytes())

    def arrived(self, key: bytes) -> None:
        """The tape that answered last is at this point."""
        self.tape = self.function.hot.tape  # type: ignore[union-attr]
        self.tape.derived[OWNER] = self.token
        self.key = key

    def sweeps(self, y: np.ndarray, weights: np.ndarray | None) -> Sweeps:
        """Weighted residuals and their Jacobian without a Python object an evaluation, for data y."""
        return Sweeps(self, len(self.units), y, weights)

    def value(self, p: np.ndarray) -> np.ndarray:
        """What f returns at p: an array, or a number."""
        tape = self.at(p)
        return self.outputs[0] if tape.signature.lone_out else self.packed(tape, self.outputs)

    def jacobian(self, p: np.ndarray) -> np.ndarray:
        """The derivative of the value by each parameter, shape (n, *shape of the value)."""
        tape = self.at(p)
        if not tape.signature.lone_out:
            return np.array([self.packed(tape, tape.sweep_tangent(unit)) for unit in self.units])
        return columns(tape)

    def curvature(self, p: np.ndarray, weights: np.ndarray) -> np.ndarray | None:
        """Sum of `weights` times the second derivatives of the value, shape (n, n); None for lists of numbers."""
        tape = self.at(p)
        if not tape.signature.lone_out:
            return None
        shape = np.shape(self.outputs[0])
        seed = np.asarray(np.sum(weights) if np.size(self.outputs[0]) != weights.size else weights).reshape(shape)
        adjoint, n = tapes.vjp_tape(tape), p.size
        adjoint.sweep([*p.tolist(), seed if shape else float(seed)])
        return np.array([adjoint.sweep_tangent([*unit, None])[1:1 + n] for unit in self.units], dtype=np.float64)

    def packed(self, tape: Any, outputs: list[Any]) -> np.ndarray:
        """One array of the outputs; a list of numbers is what NumPy makes of it."""
        return np.asarray(tape.signature.pack_outputs(outputs))

    def repeated(self, values: list[float]) -> bool:
        """Does plain f give what the tape gave, to rounding?  Where it does not, Audit looks why."""
        with np.errstate(all="ignore"):      # the sweep has warned
            try:
                return agree(np.asarray(self.function.f(*values)), np.asarray(self.outputs[0]), 1e-12)
            except Exception:                # Audit runs f again, and lets it out
                return False

    def audit(self, p: np.ndarray) -> None:
        """Run plain f at p: StaleTapeError where its tape says something else."""
        signature = self.at(p).signature
        self.function.audits += 1
        with self.function.own_changes():
            if self.repeated(p.tolist()):
                return
            Audit(self.function.f, signature.name, signature.location).check(
                tuple(p.tolist()), {}, signature.pack_outputs(self.outputs))
