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

from fastad import _tape as T
from fastad import tapes
from fastad._fit import COLUMNS, OWNER, Sweeps, agree
from fastad._passes import optimise
from fastad.audits import Audit
from fastad.errors import TapeDivergence
from fastad.function import Function
from fastad.recording import numbers
from fastad.verbs import need_floats

__all__ = ["FittedModel"]

# A tape for all columns takes some 1 us an instruction and a parameter to make, and saves about half of the sweeps, which
# take 0.02 us and 0.5 ns a datum each: so many Jacobians of a datum until it pays, and at once from 3200 data on.
WORTH = 80.0
WORK = "Jacobians by one sweep a column"


def columns_tape(tape: Any) -> Any:
    """parameters -> the tangents of the result along each, with what they share computed once.

    One tangent sweep a parameter does everything anew; most of a model depends on few of its parameters, and what is
    multiplied with a constant 0 or 1 vanishes.
    """
    tangent, transform = tapes.jvp_tape(tape), tapes.transform()
    target, n = T.Tape(), len(tape.inputs)
    ids = [target.emit_input(tape.instruction(i)[2], False) for i in tape.inputs]
    zero, one = target.emit_const(0.0), target.emit_const(1.0)
    found = [transform.inline(target, tangent, [*ids, *[one if i == k else zero for i in range(n)]]) for k in range(n)]
    target.set_outputs([outputs[1] for outputs in found])
    return optimise(target.finish())


@functools.lru_cache(64)
def unit_directions(n: int) -> list[list[float | None]]:
    """Tangents of n numbers, one of which moves."""
    return [[1.0 if i == k else None for i in range(n)] for k in range(n)]


class Recording(Function):
    """Makes the tapes, and finds another one when a branch goes another way."""

    verb = "curve_fit"

    def __init__(self, f: Callable[..., Any], parameters: int):
        super().__init__(f, tuple(range(parameters)))

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
        return Sweeps(self, y, weights)

    def value(self, p: np.ndarray) -> np.ndarray:
        """What f returns at p: an array, or a number."""
        tape = self.at(p)
        return self.outputs[0] if tape.signature.lone_out else self.packed(tape, self.outputs)

    def jacobian(self, p: np.ndarray) -> list[np.ndarray]:
        """The derivative of the value by each parameter, in the value's shape."""
        tape = self.at(p)
        if not tape.signature.lone_out:
            return [self.packed(tape, tape.sweep_tangent(unit)) for unit in self.units]
        columns = tape.derived.get(COLUMNS)
        if columns is None and not self.columns_pay(np.size(self.outputs[0])):
            return [tape.sweep_tangent(unit)[0] for unit in self.units]
        return (columns or self.columns()).sweep(p.tolist())

    def columns_pay(self, m: int) -> bool:
        """Note a Jacobian of m values; have there been so many that a tape for all columns at once pays?"""
        work = self.tape.derived[WORK] = self.tape.derived.get(WORK, 0.0) + 1 + m / 40
        return bool(work >= WORTH)

    def columns(self) -> Any:
        """Make this tape; it stays with the model's."""
        columns = self.tape.derived[COLUMNS] = columns_tape(self.tape)
        self.function.hot.weigh()  # type: ignore[union-attr]
        return columns

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
