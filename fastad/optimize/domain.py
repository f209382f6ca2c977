"""Guard: an objective that is finite wherever an optimiser looks, and knows where that was not true.

Owns: the convex stand-in outside of the domain, its count and log, the last points, the error for a start that is not
finite.  Outside, at x = x_g + d with x_g the last finite point, f_g and g_g value and gradient there, it is

    f_g + abs(g_g . d)    with the gradient    3 abs(g_g . d) d / |d|^2,

which a line search shortens and a trust region rejects, where +inf or NaN make several of SciPy's methods stop with
success (measured; see tests/test_optimize_traps.py).
The caller runs it all under np.errstate(all="ignore"): what is not finite is counted, logged and reported here.
Must not know: SciPy's methods, results (results.py).  Next: pieces.py (what is guarded), drivers.py.
"""
from __future__ import annotations

import logging
import math
from collections import deque
from math import isfinite
from typing import Any

import numpy as np

from fastad.errors import NonFiniteError
from fastad.nonfinite import debug_nonfinite
from fastad.optimize.layout import Layout
from fastad.optimize.pieces import Given, Recorded

__all__ = ["Guard", "Seen", "blame"]

log = logging.getLogger("fastad.optimize")
REMEMBERED = 4                               # points for callbacks: a trust region comes back after steps in vain


class Seen:
    """A finite point: vector, value, and what of its gradient was asked for.

    Parameters
    ----------
    key : bytes
        Of the vector.
    """

    __slots__ = ("key", "value", "gradient")

    def __init__(self, key: bytes, value: float, gradient: np.ndarray | None):
        self.key, self.value, self.gradient = key, value, gradient

    @property
    def z(self) -> np.ndarray:
        """The vector (read-only)."""
        return np.frombuffer(self.key, dtype=np.float64)


class StandIn:
    """What is answered at one point outside of the domain."""

    def __init__(self, z: np.ndarray, good: Seen, gradient: np.ndarray | None):
        self.z = z
        d = z - good.z
        square = float(d @ d)
        size = 1.0 + abs(good.value)
        if gradient is None:                 # a method without derivatives: a bowl around the last finite point
            slope = size * (1.0 + math.sqrt(square))
        else:                                # (never flat, also where the gradient is across or vanishes)
            slope = max(abs(float(gradient @ d)), 1e-3 * math.sqrt(float(gradient @ gradient) * square), 1e-10 * size)
        self.value = good.value + slope
        self.curvature = 3.0 * slope / square if square > 0 else 1.0
        self.gradient = self.curvature * d


class Guard:
    """Value, gradient, Hessian products and Hessian for an optimiser, finite everywhere.

    Parameters
    ----------
    pieces : Recorded or Given
    eager : bool
        Value and gradient come together (of Recorded only): a point whose gradient is not finite is outside, too.
    hvp, hessian : callable or None
        Second derivatives, if the method takes them.

    Attributes
    ----------
    stand_ins : int
        Points at which the stand-in answered.
    evaluations : int
        Points at which a value was asked for.
    best : Seen
        The finite point with the least value.
    """

    def __init__(self, pieces: Recorded | Given, layout: Layout, f: Any, args: tuple[Any, ...], eager: bool = False,
                 hvp: Any = None, hessian: Any = None):
        self.true_hvp, self.true_hessian = hvp, hessian
        self.pieces, self.layout, self.f, self.args, self.eager = pieces, layout, f, args, eager
        self.stand_ins = self.evaluations = 0
        self.good: Seen | None = None
        self.best: Seen | None = None
        self.bad: StandIn | None = None
        self.key: Any = None
        self.fresh: np.ndarray | None = None     # the gradient at `key`, unless the user's code has run since
        self.seen: deque[Seen] = deque(maxlen=REMEMBERED)
        self.first_bad: np.ndarray | None = None
        self.also: list[Any] = []            # constraints: what is outside of their domain is outside of ours

    # -- what the optimiser calls

    def value(self, z: Any) -> float:
        self.evaluations += 1
        if self.eager:
            return self.value_of_both(z)
        value, key = self.pieces.value(z), self.pieces.key()
        if not isfinite(value) or (self.also and self.culprit(z) is not None):
            return self.outside(z, value).value
        if key is not self.key:
            self.note(key, value, None)
        return value

    def culprit(self, z: Any) -> Any:
        """A constraint that is not finite there; what was computed is known when the method asks for it."""
        return next((c for c in self.also if not np.isfinite(c.true_value(z)).all()), None)

    def value_of_both(self, z: Any) -> float:
        """The value, where the gradient is asked for next."""
        assert isinstance(self.pieces, Recorded)
        value, gradient, key = self.pieces.look(z)
        # The square of a large gradient overflows before it does.
        if not (isfinite(value) and (isfinite(gradient.dot(gradient)) or np.isfinite(gradient).all())):
            self.fresh = None
            return self.outside(z, value).value
        if key is not self.key:
            self.note(key, value, gradient)
        self.fresh = gradient
        return value

    def note(self, key: Any, value: float, gradient: np.ndarray | None) -> None:
        """A finite point."""
        self.key, self.fresh = key, None
        self.good = seen = Seen(key, value, gradient)
        self.seen.append(seen)
        if self.best is None or value <= self.best.value:
            self.best = seen

    def gradient(self, z: Any) -> np.ndarray:
        if self.fresh is not None and z.tobytes() == self.key:
            return self.fresh.copy()         # SciPy overwrites what it is given
        if self.bad is not None and np.array_equal(self.bad.z, z):
            return self.bad.gradient.copy()
        gradient = self.pieces.gradient(z)
        if not np.isfinite(gradient).all():
            return self.outside(z, self.pieces.value(z)).gradient.copy()
        if self.key is self.pieces.key() and self.good is not None:
            self.good.gradient = gradient
        return gradient.copy()

    def hvp(self, z: Any, p: Any) -> np.ndarray:
        if self.bad is None or not np.array_equal(self.bad.z, z):
            product: np.ndarray = self.true_hvp(z, p)
            if np.isfinite(product).all():
                return product
        return self.curvature(z) * np.array(p, dtype=np.float64)

    def hessian(self, z: Any) -> Any:
        if self.bad is None or not np.array_equal(self.bad.z, z):
            matrix = self.true_hessian(z)
            data = matrix.data if hasattr(matrix, "tocsr") else matrix
            if not isinstance(data, np.ndarray) or np.isfinite(data).all():
                return matrix
        return self.curvature(z) * np.eye(np.size(z))

    def curvature(self, z: Any) -> float:
        """The stand-in for a Hessian that is not finite is a multiple of the unit matrix."""
        if (self.bad is None or not np.array_equal(self.bad.z, z)) and self.is_outside(z):
            self.outside(z, self.pieces.value(z))
        if self.bad is not None and np.array_equal(self.bad.z, z):
            return self.bad.curvature
        self.stand_ins += 1                  # value and gradient are finite here, only the Hessian is not
        log.info("%s: the Hessian is not finite at a point where value and gradient are (number %d)",
                 getattr(self.f, "__qualname__", "objective"), self.stand_ins)
        return 1.0 + float(np.linalg.norm(self.pieces.gradient(z))) / (1.0 + float(np.linalg.norm(z)))

    # -- outside of the domain

    def outside(self, z: Any, value: float) -> StandIn:
        """The stand-in at a point where value or gradient is not finite."""
        z = np.array(z, dtype=np.float64)
        constraint = self.culprit(z) if isfinite(value) else None
        what = f"{constraint.name} is not finite" if constraint is not None else \
            "its gradient is not finite" if isfinite(value) else f"its value is {value}"
        if self.good is None or (self.good is self.seen[0] and np.array_equal(self.good.z, z)):
            thing = "the objective" if constraint is None else "a constraint"
            raise NonFiniteError(f"{thing} is not finite at the start x0: {what}.{self.where(z)} Start inside of "
                                 "the domain, or keep x there by bounds.")
        if self.good.gradient is None and self.pieces.differentiable:
            self.good.gradient = self.pieces.gradient(self.good.z)
        gradient = self.good.gradient
        if gradient is not None and not np.isfinite(gradient).all():
            gradient = None
        self.bad = StandIn(z, self.good, gradient)
        self.stand_ins += 1
        if self.first_bad is None:
            self.first_bad = z
        if log.isEnabledFor(logging.INFO):
            log.info("%s: %s at a step of %.3g from the last finite point; stand-in %.6g (number %d).%s",
                     getattr(self.f, "__qualname__", "objective"), what, np.linalg.norm(z - self.good.z),
                     self.bad.value, self.stand_ins, self.place() if self.stand_ins == 1 else "")
        return self.bad

    def place(self) -> str:
        """`where` of the first point outside; f is recorded for that, so it is found only when somebody reads it."""
        return "" if self.first_bad is None else self.where(self.first_bad)

    def where(self, z: np.ndarray) -> str:
        """Which operation, on which line, as a sentence."""
        found = blame(self.f, (self.layout.spread(z), *self.args))
        constraint = None if found else self.culprit(z)
        return found if constraint is None else blame(constraint.f, (self.layout.spread(z), *constraint.args))

    def after_callback(self) -> None:
        """The user's code has run: it may have changed what the objective reads."""
        self.fresh = None
        if isinstance(self.pieces, Recorded):
            self.pieces.objective.watch_args()

    def is_outside(self, z: np.ndarray) -> bool:
        """Is the stand-in the answer here?"""
        if self.bad is not None and np.array_equal(self.bad.z, z):
            return True
        if not isfinite(self.pieces.value(z)) or self.culprit(z) is not None:
            return True
        return self.pieces.differentiable and not bool(np.isfinite(self.pieces.gradient(z)).all())

    def recall(self, z: np.ndarray) -> Seen | None:
        """The point if it is one of the last ones, or the best."""
        for seen in [*reversed(self.seen), self.best]:
            if seen is not None and np.array_equal(seen.z, z):
                return seen
        return None


def blame(f: Any, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None) -> str:
    """The first operation of f that is not finite at a point, as a sentence; empty if it cannot be found."""
    try:
        finding = debug_nonfinite(f, *args, **(kwargs or {}))
    except Exception:                        # f refuses to be recorded there, however: nothing to add to the message
        return ""
    if not finding:
        return ""
    values = ", ".join([f"{name} = {short(x)}" for name, x in finding.operands.items() if name != finding.operation])
    return (f" First in the {finding.sweep} sweep: {finding.operation}" + (f" with {values}" if values else "")
            + f" at {finding.location or 'an unknown line'}.")


def short(x: Any) -> str:
    text = np.array2string(np.asarray(x), precision=4, threshold=6, edgeitems=2)
    return " ".join(text.split())
