"""Why did a line search fail?  Whether gradient and function agree along its direction, in numbers.

Owns: which results are such failures, the comparison, the sentence.
Must not know: where the gradient came from.  Next: results.py, domain.py (the points).
"""
from __future__ import annotations

import math
import re
from collections.abc import Callable

import numpy as np

__all__ = ["agreement", "failed"]

FAILURE = re.compile(r"ABNORMAL|precision loss|directional derivative for line|linear search|line search",
                     re.IGNORECASE)


def failed(success: bool, message: str) -> bool:
    """Is this how a method says that its line search found no better point?"""
    return not success and FAILURE.search(message) is not None


def agreement(f: Callable[[np.ndarray], float], x: np.ndarray, gradient: np.ndarray, d: np.ndarray) -> str:
    """One sentence on the slope at x along d: what the gradient says, what differences of the function say.

    Parameters
    ----------
    f : callable
        The function itself, as plain NumPy runs it.
    x, gradient, d : ndarray
        The point, the gradient there, a direction of any length.
    """
    length = float(np.linalg.norm(d))
    if not length > 0:
        return "the gradient is zero"
    u = d / length
    slope = float(gradient @ u)
    measured, error, rounding = slope_of(f, x, u)
    if not math.isfinite(measured):
        return "the function is not finite beside the point along the search direction: ad.debug_nonfinite(f, x)"
    gap = abs(measured - slope)
    relative = gap / max(abs(slope), abs(measured), 1e-300)
    sentence = (f"along the last search direction the gradient says {slope:.6g}, "
                f"differences of the function {measured:.6g}")
    if gap <= max(10.0 * error, 1e-5 * max(abs(slope), abs(measured))):
        return (f"{sentence}: they agree to {relative:.1e}, as well as the function's rounding ({rounding:.1e}) lets "
                "differences tell. So no smaller value can be told apart there: the gradient's norm says how well x is "
                "converged; if that is not enough, scale the variables or subtract a constant from the objective")
    return (f"{sentence}: they disagree by {relative:.1e}. The function has a kink, a jump or noise there, or the "
            "gradient is wrong: ad.check_derivatives(f, x) tells which")


def slope_of(f: Callable[[np.ndarray], float], x: np.ndarray, u: np.ndarray) -> tuple[float, float, float]:
    """Slope by central differences of the step that gives the steadiest one, its error, the rounding of f."""
    size = max(1.0, float(np.linalg.norm(x)))
    steps = size * 0.25 ** np.arange(3, 22)
    with np.errstate(all="ignore"):
        slopes = np.array([(f(x + h * u) - f(x - h * u)) / (2.0 * h) for h in steps])
        base = f(x)
        tiny = size * 2.0**-52 * np.arange(1, 5)
        rounding = max([abs(f(x + h * u) - base) for h in tiny] + [float(np.spacing(abs(base)))])
        errors = np.abs(np.diff(slopes)) + rounding / steps[1:]
    usable = np.isfinite(errors)
    if not usable.any():
        return math.nan, math.nan, rounding
    best = int(np.argmin(np.where(usable, errors, np.inf)))
    return float(slopes[best + 1]), float(errors[best]), rounding
