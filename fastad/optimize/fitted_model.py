"""FittedModel: a model y = f(x, a, b, ...) and its Jacobian by the parameters, for the length of one fit.

Owns: its recording with the parameters as numbers, and replays by bare sweeps.  Nothing but the fit runs f meanwhile, so
what f has captured is not compared at each evaluation; one audit at the solution runs plain f instead.
Must not know: data, weights, solvers.  Next: curve_fitting.py (who fits), residuals.py (vectors of unknowns).
"""
from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from fastad import tapes
from fastad.errors import TapeDivergence
from fastad.function import Function, TapeCache
from fastad.recording import Arguments
from fastad.verbs import need_floats

__all__ = ["FittedModel"]


class Recording(Function):
    """Makes the tapes, and finds another one when a branch goes another way."""

    verb = "curve_fit"

    def __init__(self, f: Callable[..., Any], parameters: int):
        super().__init__(f, tuple(range(parameters)))
        self.cache = TapeCache()             # no other fit of the same f moves the point of these tapes

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
        units = np.eye(parameters).tolist()
        self.units = [[1.0 if e else None for e in unit] for unit in units]
        self.key: bytes | None = None
        self.sweeps = 0

    def at(self, p: np.ndarray) -> Any:
        """The tape whose point is p, and its outputs."""
        key = p.tobytes()
        if key != self.key:
            self.key = None
            self.outputs = self.swept(p.tolist())
            self.key = key
        return self.function.hot.tape  # type: ignore[union-attr]

    def swept(self, values: list[float]) -> list[Any]:
        self.sweeps += 1
        entry = self.function.hot
        if entry is None:
            return self.function.call(tuple(values), {}, ())  # type: ignore[no-any-return]
        try:
            return entry.tape.sweep(values)
        except TapeDivergence as divergence:
            return self.function.slow(tuple(values), {}, entry, divergence)  # type: ignore[no-any-return]

    def value(self, p: np.ndarray) -> np.ndarray:
        """What f returns at p, as an array."""
        return self.packed(self.at(p), self.outputs)

    def jacobian(self, p: np.ndarray) -> list[np.ndarray]:
        """The derivative of the value by each parameter, in the value's shape."""
        tape = self.at(p)
        return [self.packed(tape, tape.sweep_tangent(unit)) for unit in self.units]

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
        return np.asarray(outputs[0] if tape.signature.lone_out else tape.signature.pack_outputs(outputs))

    def audit(self, p: np.ndarray) -> None:
        """Run plain f at p: StaleTapeError where its tape says something else."""
        entry = self.function.hot
        arguments = Arguments(tuple(p.tolist()), {}, self.function.argnums, f"curve_fit of {self.function.name}")
        self.function.audits += 1
        self.function.compare(entry, arguments)
        self.key = None                      # the audit has swept, too
