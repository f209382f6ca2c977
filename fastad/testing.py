"""Is a derivative right? `check_derivatives`: Taylor remainders (judged by taylor.py), dot test, symmetry.

Owns: the report, the directions, which tests are run.  The function itself, run by plain NumPy, is the judge.
Must not know: tapes (it uses the verbs as a user does).  Next: nonfinite.py (debug_nonfinite).
"""
from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastad import trees
from fastad.derivatives import jvp, vjp
from fastad.errors import AdError, DerivativeError
from fastad.recording import name_of
from fastad.taylor import Line, judge

__all__ = ["Check", "Report", "check_derivatives"]

AGREE = 1e-9                                 # of two exact derivatives, relative to the terms that they sum up


@dataclass(frozen=True)
class Check:
    """One test along one direction.

    Attributes
    ----------
    test : str
        ``"Taylor, order 1"``, ``"adjoint dot test"`` ...
    direction : int
    passed : bool
    measured : str
        The rate of the remainder, or the relative difference.
    note : str
        What was seen if it is not plain: a kink, a difference at rounding level ...
    """

    test: str
    direction: int
    passed: bool
    measured: str
    note: str = ""


@dataclass(frozen=True)
class Report:
    """The result of `check_derivatives`; true if all tests passed."""

    name: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Did every test pass?"""
        return all(check.passed for check in self.checks)

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        lines = [f"derivatives of {self.name}: {'passed' if self.passed else 'FAILED'}"]
        for check in self.checks:
            verdict = "ok" if check.passed else "FAILED"
            lines.append(f"    {check.test:<28s} direction {check.direction}   {check.measured:<24s} {verdict:<6s}"
                         f"  {check.note}".rstrip())
        return "\n".join(lines)

    def raise_if_failed(self) -> Report:
        """Raise DerivativeError with the table unless all tests passed; returns the report."""
        if not self.passed:
            raise DerivativeError(str(self))
        return self


def check_derivatives(f: Callable[..., Any], *args: Any, argnums: int | Iterable[int] | None = None, order: int = 2,
                      directions: int = 3, seed: int = 0, **kwargs: Any) -> Report:
    """Compare the derivatives of a function with the function itself.

    Along random directions v, with a random weight w on the results: the remainders
    ``w.f(x + h v) - w.f(x)``, the same less ``h w.J v``, and less ``h**2/2 v.H v`` must vanish with h as h, h**2, h**3
    (f is run as plain NumPy, the derivatives come from reverse mode and forward over reverse); ``<w, J v>`` by forward
    mode must equal ``<J^T w, v>`` by reverse mode; ``<u, H v>`` must equal ``<v, H u>``.

    Parameters
    ----------
    f : callable
        Returns a number, an array or a tree of them; what of it is not float64 is left out.
    *args, **kwargs
        The point.
    argnums : int or tuple of int, optional
        Positional arguments to differentiate; by default all that are or contain floats.
    order : {1, 2}, optional
        1 leaves out the second derivatives.
    directions : int, optional
        Random directions per test.
    seed : int, optional
        Of the random numbers; fixed, so that the same call gives the same report.

    Returns
    -------
    Report
        True if all passed; `str` is a table, `raise_if_failed()` turns it into an error.

    Raises
    ------
    DerivativeError, TracerError, UnsupportedError
        f cannot be differentiated at all, as with `grad`.

    Notes
    -----
    A wrong derivative leaves a remainder that is proportional to h however small h is, equally for v and -v.  A kink
    beside the point disturbs only steps that reach over it, so the smallest steps decide.  A kink at the point itself
    shows as different slopes for v and -v: there the derivative must lie between them, and the note says so.

    Examples
    --------
    >>> import numpy as np
    >>> import fastad as ad
    >>> bool(ad.check_derivatives(lambda x: np.sum(np.sin(x) * x), np.array([0.3, 1.2])))
    True
    >>> wrong = ad.primitive(np.sin, vjp=lambda w, y, x: (1.001 * w * np.cos(x),))
    >>> bool(ad.check_derivatives(lambda x: np.sum(wrong(x)), np.array([0.3, 1.2])))
    False
    """
    with np.errstate(all="ignore"):
        return checked(Problem(f, args, kwargs, argnums, np.random.default_rng(seed)), order, directions)


def checked(problem: Problem, order: int, directions: int) -> Report:
    """All tests along all directions."""
    checks: list[Check] = []
    if not problem.finite():
        return Report(problem.name, (Check("value", 0, False, "not finite", "see ad.debug_nonfinite"),))
    for k in range(1, directions + 1):
        checks += guarded(first_order, problem, k)
        if order >= 2:
            checks += guarded(second_order, problem, k)
    return Report(problem.name, tuple(checks))


def guarded(tests: Callable[[Problem, int], list[Check]], problem: Problem, k: int) -> list[Check]:
    """The tests; an error of fastad is a test that failed."""
    try:
        return tests(problem, k)
    except AdError as error:
        return [Check(tests.__name__.replace("_", " "), k, False, type(error).__name__, str(error))]


# ---- the function as a map between vectors ---------------------------------------------------------------------------

class Problem:
    """f and its point, with all differentiated numbers as one vector.

    Attributes
    ----------
    x : ndarray
        The point.
    w : ndarray
        The weights of the results.
    """

    def __init__(self, f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any],
                 argnums: int | Iterable[int] | None, rng: np.random.Generator):
        self.f, self.kwargs, self.rng, self.name = f, kwargs, rng, name_of(f)
        if argnums is None:
            chosen = [k for k, arg in enumerate(args) if any(map(is_real, trees.flatten(arg)[0]))]
        else:
            chosen = [k % len(args) for k in ([argnums] if isinstance(argnums, int) else argnums)]
        if not chosen:
            raise DerivativeError(f"check_derivatives of {self.name}: no argument is or contains floats")
        self.argnums = tuple(chosen)
        self.args = tuple([trees.map_leaves(as_float, arg) if k in chosen else arg for k, arg in enumerate(args)])
        self.x = self.vector(self.args)
        results = self.floats(*self.args)
        if not results:
            raise DerivativeError(f"check_derivatives of {self.name}: it returned nothing that is float64")
        self.w = np.concatenate([np.ravel(y) for y in self.weights(results)])
        self.result = results

    def finite(self) -> bool:
        return all(bool(np.all(np.isfinite(y))) for y in self.result)

    def vector(self, args: tuple[Any, ...]) -> np.ndarray:
        """The differentiated numbers of arguments."""
        leaves = [x for k in self.argnums for x in trees.flatten(args[k])[0] if is_real(x)]
        return np.concatenate([np.ravel(x) for x in leaves]) if leaves else np.zeros(0)

    def arguments(self, x: np.ndarray) -> tuple[Any, ...]:
        """The arguments with other numbers."""
        return self.spread(x, lambda old, new: new, lambda old: old)

    def tangents(self, v: np.ndarray) -> tuple[Any, ...]:
        """A direction as what `jvp` takes."""
        moved = self.spread(v, lambda old, new: new, lambda old: None)
        return tuple([moved[k] if k in self.argnums else None for k in range(len(self.args))])

    def spread(self, x: np.ndarray, real: Callable[[Any, Any], Any], other: Callable[[Any], Any]) -> tuple[Any, ...]:
        at, out = 0, []
        for k, arg in enumerate(self.args):
            leaves, tree = trees.flatten(arg)
            new = []
            for leaf in leaves:
                if k in self.argnums and is_real(leaf):
                    n = np.size(leaf)
                    part = x[at:at + n].reshape(np.shape(leaf))
                    new.append(real(leaf, part if np.ndim(leaf) else float(part)))
                    at += n
                else:
                    new.append(other(leaf) if k in self.argnums else leaf)
            out.append(trees.unflatten(tree, new))
        return tuple(out)

    def floats(self, *args: Any) -> list[Any]:
        """The float64 results of f; a plain number among them becomes an array, which is recorded as a constant."""
        leaves, _ = trees.flatten(self.f(*args, **self.kwargs))
        return [np.asarray(y) if type(y) is float else y for y in leaves if is_real(y)]

    def weights(self, results: list[Any]) -> list[Any]:
        """Random weights in the shape of the results, 1 for a single number."""
        if len(results) == 1 and np.ndim(results[0]) == 0:
            return [1.0]
        return [self.rng.uniform(0.5, 1.5, np.shape(y)) * self.rng.choice([-1.0, 1.0], np.shape(y)) for y in results]

    def seeds(self) -> list[Any]:
        at, out = 0, []
        for y in self.result:
            part = self.w[at:at + np.size(y)].reshape(np.shape(y))
            out.append(part if np.ndim(y) else float(part))
            at += np.size(y)
        return out

    def direction(self) -> np.ndarray:
        """A random direction whose numbers are in proportion to those of the point."""
        size = np.where(self.x == 0, 1.0, np.abs(self.x))
        return self.rng.uniform(0.5, 1.5, self.x.size) * self.rng.choice([-1.0, 1.0], self.x.size) * size

    # -- the function and its derivatives
    def value(self, x: np.ndarray) -> float:
        """w.f(x) by plain NumPy; NaN where f refuses."""
        try:
            with np.errstate(all="ignore"):
                results = self.floats(*self.arguments(x))
        except (ArithmeticError, ValueError):
            return float("nan")
        return self.weighted(results)

    def weighted(self, results: list[Any]) -> Any:
        at, total = 0, 0.0
        for y in results:
            n = int(np.prod(np.shape(y), dtype=int))
            part = self.w[at:at + n].reshape(np.shape(y))
            total = total + (np.sum(part * y) if np.ndim(y) else float(part) * y)
            at += n
        return total

    def pushed(self, v: np.ndarray) -> np.ndarray:
        """J v by forward mode."""
        _, dots = jvp(self.floats, self.args, self.tangents(v))
        return np.concatenate([np.zeros(np.size(y)) if d is None else np.ravel(d)
                               for d, y in zip(dots, self.result, strict=True)])

    def pulled(self) -> np.ndarray:
        """J^T w by reverse mode."""
        _, pullback = vjp(self.floats, *self.args)
        return self.gathered(pullback(self.seeds()))

    def gathered(self, adjoints: Any) -> np.ndarray:
        parts = []
        for k in self.argnums:
            at = trees.flatten(self.args[k])[0]
            found = zero_filled(adjoints[k], self.args[k])
            parts += [np.ravel(g) for g, x in zip(found, at, strict=True) if is_real(x)]
        return np.concatenate(parts)

    def product(self, v: np.ndarray) -> np.ndarray:
        """H v of w.f by forward over reverse."""
        def weighted(*args: Any) -> Any:
            return self.weighted(self.floats(*args))

        def gradient(*args: Any) -> Any:     # by vjp: grad refuses an argument with a text or a flag in it
            return vjp(weighted, *args, audit=False)[1](1.0)
        _, dots = jvp(gradient, self.args, self.tangents(v), audit=False)
        return self.gathered(dots)


def is_real(x: Any) -> bool:
    """A number or array that a derivative can be taken of: float64, not an int, not a bool."""
    return isinstance(x, float) or (hasattr(x, "dtype") and np.dtype(x.dtype).kind == "f")


def as_float(x: Any) -> Any:
    """float64 copies of what is differentiated, in C order."""
    if not is_real(x):
        return x
    return np.array(x, dtype=np.float64, order="C") if np.ndim(x) else float(x)


def zero_filled(adjoint: Any, argument: Any) -> list[Any]:
    """The leaves of an adjoint in the structure of its argument; zeros where there is none."""
    leaves, tree = trees.flatten(argument)
    if adjoint is None:
        return [np.zeros(np.shape(x)) for x in leaves]
    if tree == trees.LEAF:
        return [adjoint]
    children = adjoint.values() if isinstance(adjoint, dict) else adjoint
    parts = argument.values() if isinstance(argument, dict) else argument
    return [leaf for a, x in zip(children, parts, strict=True) if x is not None for leaf in zero_filled(a, x)]


# ---- the tests -------------------------------------------------------------------------------------------------------

def first_order(problem: Problem, k: int) -> list[Check]:
    """Taylor remainders of orders 0 and 1, and the dot test."""
    v = problem.direction()
    g = problem.pulled()
    if not np.all(np.isfinite(g)):
        return [Check("gradient", k, False, "not finite", "see ad.debug_nonfinite")]
    line = Line(problem.value, problem.x, v, [float(g @ v)])
    checks = [Check(f"Taylor, order {p}", k, *judge(line, p)) for p in (0, 1)]
    pushed = problem.pushed(v)
    return [*checks, compared("adjoint dot test", k, problem.w * pushed, g * v)]


def second_order(problem: Problem, k: int) -> list[Check]:
    """Taylor remainder of order 2, of the gradient, and symmetry."""
    v, u = problem.direction(), problem.direction()
    g, hv, hu = problem.pulled(), problem.product(v), problem.product(u)
    if not np.all(np.isfinite(hv)) or not np.all(np.isfinite(hu)):
        return [Check("Hessian", k, False, "not finite", "order=1 leaves it out")]
    line = Line(problem.value, problem.x, v, [float(g @ v), float(v @ hv)])
    along = Line(lambda x: slope_at(problem, x, u), problem.x, v, [float(u @ hv)])
    return [Check("Taylor, order 2", k, *judge(line, 2)),
            Check("Taylor of the gradient", k, *judge(along, 1)),
            compared("symmetry of the Hessian", k, u * hv, v * hu)]


def slope_at(problem: Problem, x: np.ndarray, u: np.ndarray) -> float:
    """<gradient of w.f at x, u> by reverse mode."""
    moved = problem.arguments(x)
    try:
        with np.errstate(all="ignore"):
            _, pullback = vjp(problem.floats, *moved, audit=False)
            return float(problem.gathered(pullback(problem.seeds())) @ u)
    except (ArithmeticError, ValueError):
        return float("nan")


def compared(test: str, k: int, a: np.ndarray, b: np.ndarray) -> Check:
    """Two sums that must be equal."""
    scale = max(float(np.abs(a).sum()), float(np.abs(b).sum()))
    difference = abs(float(a.sum()) - float(b.sum()))
    relative = difference / scale if scale > 0 else difference
    return Check(test, k, bool(relative <= AGREE), f"difference {relative:.1e}",
                 "" if relative <= AGREE else f"{float(a.sum()):.10g} against {float(b.sum()):.10g}")
