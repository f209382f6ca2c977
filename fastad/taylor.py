"""Remainders of a Taylor expansion along a line, and what their rate says of the derivatives in it.

Owns: Line (values at x + h v), and `judge`: right, wrong, or a kink.
Must not know: where the derivatives came from (testing.py).
"""
from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

STEPS = 0.25 ** np.arange(1, 19)             # 0.25 ... 1.5e-11 of the point's own size
CLEAR = 50.0                                 # a remainder counts where it exceeds the rounding of the function so often
# A derivative whose remainder shows no rate (kinks, rounding) passes if it is right to so much.
TOLERANCE = {0: 1e-2, 1: 1e-5, 2: 1e-4}


class Line:
    """A function along x + h v, its terms of order 1, 2 ..., and its rounding.

    Attributes
    ----------
    terms : sequence of float
        Derivatives along v: first, second.
    noise : float
        What the function's value varies by when x moves by its last bits.
    """

    def __init__(self, value: Callable[[np.ndarray], float], x: np.ndarray, v: np.ndarray, terms: Sequence[float]):
        self.value, self.x, self.v, self.terms = value, x, v, terms
        self.base = value(x)
        self.up = np.array([value(x + h * v) for h in STEPS]) - self.base
        self.down = np.array([value(x - h * v) for h in STEPS]) - self.base
        tiny = 2.0**-51 * np.arange(1, 7)
        near = [np.abs([value(x + h * v) - self.base - h * terms[0] for h in side]) for side in (tiny, -tiny)]
        finite = [float(side.max()) for side in near if np.all(np.isfinite(side))]
        # the smaller of both sides: a jump at the point is not rounding
        self.noise = max(min(finite, default=0.0), 4.0 * float(np.spacing(abs(self.base))), 1e-300)

    def remainder(self, order: int, sign: float) -> np.ndarray:
        """|f(x + h v) - sum of the terms up to `order`|, for h > 0 or h < 0."""
        rest = self.up.copy() if sign > 0 else self.down.copy()
        factor = 1.0
        for k, term in enumerate(self.terms[:order], start=1):
            factor *= k
            rest = rest - (sign * STEPS) ** k * term / factor
        return np.abs(rest)


def judge(line: Line, order: int) -> tuple[bool, str, str]:
    """(passed, what was measured, note) for the remainder of an order."""
    inside = [sign for sign, side in ((1.0, line.up), (-1.0, line.down)) if np.any(np.isfinite(side))]
    if not inside:
        return False, "no finite neighbour", "the function is finite at this point only"
    verdicts = [one_sided(line, order, sign) for sign in inside]
    if all(v[0] for v in verdicts):
        note = "" if len(inside) == 2 else "at the border of the domain: steps to one side only"
        return (*min(verdicts, key=lambda v: v[2])[:2], note)
    if order == 1 and kink_at_point(line):
        low, high = sorted([one_sided_slope(line, 1.0), one_sided_slope(line, -1.0)])
        slack = 1e-4 * max(abs(low), abs(high))
        between = low - slack <= line.terms[0] <= high + slack
        return between, f"slopes {low:.4g}, {high:.4g}", "a kink at the point: " + (
            "the derivative lies between both slopes" if between else "the derivative is outside of both slopes")
    if order == 2 and kink_at_point(line):
        return True, "no rate", "a kink at the point: there is no second derivative to compare with"
    worst = min((v for v in verdicts if not v[0]), key=lambda v: v[2])
    return False, worst[1], f"rate {order + 1} expected: the derivative of order {order} is wrong" if order else \
        "rate 1 expected: the function jumps"


def one_sided(line: Line, order: int, sign: float) -> tuple[bool, str, float]:
    """(passed, text, rate) for steps to one side."""
    rest = line.remainder(order, sign)
    usable = np.isfinite(rest)
    clear = np.flatnonzero(usable & (rest > CLEAR * line.noise))
    if not len(clear):
        return True, "exact to rounding", float(order + 1)
    error = smallest_error(line, rest, usable, order)
    rate = rate_of(rest, clear)
    fast = rate is not None and (rate > order + 0.7 or (rate > order + 0.25 and steady(rest, clear)))
    passed = fast or vanishes(line, rest, clear, order) or error <= TOLERANCE[order]
    if rate is None and not passed and len(clear) <= 2:
        return True, "hidden by rounding", float(order + 1)
    shown = f"rate {rate:.2f}" if rate is not None else f"error {error:.1e}"
    return bool(passed), shown, rate if rate is not None else float(order + 1 if passed else 0)


def rate_of(rest: np.ndarray, clear: np.ndarray) -> float | None:
    """The rate at which the remainder falls over the smallest steps at which it is clear; None: too few."""
    rates = rates_of(rest, clear)
    return float(np.median(rates[-3:])) if rates else None


def rates_of(rest: np.ndarray, clear: np.ndarray) -> list[float]:
    """The rates between neighbouring steps, the smallest ones last."""
    pairs = [k for k in clear if k - 1 in clear]
    return [float(np.log(rest[k - 1] / rest[k]) / np.log(STEPS[k - 1] / STEPS[k])) for k in pairs]


def steady(rest: np.ndarray, clear: np.ndarray) -> bool:
    """Is it one power of h all the way, as beside x**1.5 at 0?  A wrong term makes the rate fall with h."""
    last = rates_of(rest, clear)[-4:]
    return len(last) == 4 and max(last) - min(last) < 0.1       # 4 steps: h falls by 256


def vanishes(line: Line, rest: np.ndarray, clear: np.ndarray, order: int) -> bool:
    """Does the remainder fall into the rounding faster than a wrong term would?  So it does nearer than a kink."""
    k = int(clear[-1])
    if k + 1 == len(STEPS) or not np.isfinite(rest[k + 1]):
        return False
    drop = np.log(rest[k] / max(rest[k + 1], line.noise)) / np.log(STEPS[k] / STEPS[k + 1])
    return bool(drop > order + 0.7)


def smallest_error(line: Line, rest: np.ndarray, usable: np.ndarray, order: int) -> float:
    """The relative error of the highest term that the remainder leaves possible, at the best step."""
    bound = (rest + line.noise)[usable]
    if order == 0:
        return float(np.min(bound) / (abs(line.base) + float(np.max(rest[usable]))))
    size = abs(line.terms[order - 1]) / (1.0 if order == 1 else 2.0)
    if size == 0:
        return float("inf")
    return float(np.min(bound / STEPS[usable] ** order) / size)


def one_sided_slope(line: Line, sign: float) -> float:
    """The slope that the function has to one side, at the smallest step that rounding allows."""
    rest = line.up if sign > 0 else line.down
    k = int(np.argmin(np.where(np.isfinite(rest), line.noise / STEPS + np.sqrt(STEPS) * 1e-3, np.inf)))
    return float(sign * rest[k] / STEPS[k])


def kink_at_point(line: Line) -> bool:
    """Do the slopes to both sides stay different however small the step?"""
    bend = np.abs(line.up + line.down)       # h**2 where the function is smooth, h at a kink
    clear = np.flatnonzero(np.isfinite(bend) & (bend > CLEAR * line.noise))
    rate = rate_of(bend, clear)
    return rate is not None and rate < 1.3 and len(clear) > 5
