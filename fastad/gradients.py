"""`audit`: is a gradient that somebody wrote the gradient of the function?  Compared with ours, entry by entry.

Owns: the comparison, the report.  Differences of plain f say for the worst entries which of the two is right.
Must not know: tapes (it uses `grad` as a user does), optimisers.  Next: testing.py (is our own derivative right?).
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastad import trees
from fastad.derivatives import grad
from fastad.errors import DerivativeError, ShapeError
from fastad.recording import name_of

__all__ = ["Entry", "GradientAudit", "audit"]

SHOWN = 5                                    # worst entries in a report
SMALL = 1e-3                                 # an entry counts as large as this share of the largest one


@dataclass(frozen=True)
class Entry:
    """One entry of the gradient that differs.

    Attributes
    ----------
    where : str
        How it is written: ``[3]``, ``['a'][0, 1]``.
    theirs, ours : float
    differences : float
        Central differences of the plain function.
    """

    where: str
    theirs: float
    ours: float
    differences: float


@dataclass(frozen=True)
class GradientAudit:
    """The result of `audit`; true if the gradients agree.

    Attributes
    ----------
    name : str
        Of the function.
    passed : bool
    size : int
        Entries compared.
    wrong : int
        Entries that differ.
    error : float
        The largest difference, relative to the entry (or to a thousandth of the largest entry).
    worst : tuple of Entry
        At most five, the worst first.
    hint : str
        What the difference looks like: a common factor, a transposition.
    """

    name: str
    passed: bool
    size: int
    wrong: int
    error: float
    worst: tuple[Entry, ...]
    hint: str = ""

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        if self.passed:
            return f"gradient of {self.name}: passed, {self.size} entries agree to {self.error:.1e}"
        hint = f" ({self.hint})" if self.hint else ""
        wrong = f"{self.wrong} of {self.size} entries differ, by up to {self.error:.1e}{hint}"
        lines = [f"gradient of {self.name}: FAILED, {wrong}",
                 f"    {'entry':<16s}{'theirs':>16s}{'ours':>16s}{'differences of f':>20s}"]
        lines += [f"    {e.where or 'x':<16s}{e.theirs:>16.8g}{e.ours:>16.8g}{e.differences:>20.8g}"
                  for e in self.worst]
        return "\n".join(lines)

    def raise_if_failed(self) -> GradientAudit:
        """Raise DerivativeError with the table unless the gradients agree; returns the report."""
        if not self.passed:
            raise DerivativeError(str(self))
        return self


def audit(f: Callable[..., Any], their_gradient: Any, x: Any, *args: Any, rtol: float = 1e-6,
          **kwargs: Any) -> GradientAudit:
    """Compare a gradient of the user's own with the exact one.

    Parameters
    ----------
    f : callable
        ``f(x, *args, **kwargs)`` in plain NumPy, one number.
    their_gradient : callable or array_like or tree
        ``their_gradient(x, *args, **kwargs)``, or its value at x: in the structure of x, or its numbers as a vector.
    x : array_like or tree
        The point.
    rtol : float, optional
        Allowed difference of an entry, relative to the larger of both (and to a thousandth of the largest entry).
    *args, **kwargs
        Further arguments of f.

    Returns
    -------
    GradientAudit
        True if all entries agree; `str` is a table of the worst ones, `raise_if_failed()` turns it into an error.

    Raises
    ------
    ShapeError
        The gradients have not the same number of entries.
    DerivativeError, TracerError, UnsupportedError
        f cannot be differentiated, as with `grad`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastad as ad
    >>> def f(x):
    ...     return np.sum(x**3)
    >>> bool(ad.audit(f, lambda x: 3.0 * x**2, np.array([1.0, 2.0])))
    True
    >>> report = ad.audit(f, lambda x: 2.0 * x**2, np.array([1.0, 2.0]))
    >>> print(report)
    gradient of f: FAILED, 2 of 2 entries differ, by up to 3.3e-01 (theirs is 0.666667 x ours)
        entry                     theirs            ours    differences of f
        [0]                            2               3                   3
        [1]                            8              12                  12
    """
    if any(np.iscomplexobj(leaf) for leaf in trees.flatten(x)[0]):
        raise DerivativeError(f"audit of {name_of(f)}: x is complex; compare by its real and imaginary part")
    if trees.flatten(x)[1] != trees.LEAF and not isinstance(x, dict) and all(np.ndim(y) == 0 for y in x):
        x = np.asarray(x, dtype=np.float64)          # a list of numbers is a vector
    x = trees.map_leaves(lambda leaf: np.array(leaf, dtype=np.float64) if np.ndim(leaf) else float(leaf), x)
    shapes = [np.shape(leaf) for leaf in trees.flatten(x)[0]]
    with np.errstate(all="ignore"):
        ours = vector(grad(f, audit=False)(x, *args, **kwargs))
        copy = trees.map_leaves(lambda leaf: leaf.copy() if np.ndim(leaf) else leaf, x)
        theirs = vector(their_gradient(copy, *args, **kwargs) if callable(their_gradient) else their_gradient)
    if ours.shape != theirs.shape:
        raise ShapeError(f"audit of {name_of(f)}: their gradient has {theirs.size} entries, x {ours.size}")
    scale = np.maximum(np.maximum(np.abs(ours), np.abs(theirs)), SMALL * np.max(np.abs(ours), initial=0.0))
    with np.errstate(all="ignore"):
        error = np.where(scale == 0, 0.0, np.abs(theirs - ours) / scale)
    error[~np.isfinite(error)] = np.inf
    wrong = np.flatnonzero(~(error <= rtol))
    order = wrong[np.argsort(-error[wrong], kind="stable")][:SHOWN]
    labels = places(x)
    worst = tuple([Entry(labels(int(k)), float(theirs[k]), float(ours[k]), slope(f, x, int(k), args, kwargs))
                   for k in order])
    return GradientAudit(name_of(f), not wrong.size, ours.size, wrong.size, float(np.max(error, initial=0.0)), worst,
                         hint(theirs, ours, shapes) if wrong.size else "")


def vector(tree: Any) -> np.ndarray:
    leaves = trees.flatten(tree)[0]
    return np.concatenate([np.ravel(np.asarray(y, dtype=np.float64)) for y in leaves]) if leaves else np.zeros(0)


def places(x: Any) -> Callable[[int], str]:
    """How entry k is written."""
    leaves, tree = trees.flatten(x)
    names = [(path, np.shape(leaf)) for path, leaf in zip(trees.paths(tree), leaves, strict=True)]
    ends = np.cumsum([int(np.prod(shape, dtype=int)) for _, shape in names])

    def label(k: int) -> str:
        leaf = int(np.searchsorted(ends, k, side="right"))
        path, shape = names[leaf]
        k -= int(ends[leaf - 1]) if leaf else 0
        return path + (f"[{', '.join(map(str, map(int, np.unravel_index(k, shape))))}]" if shape else "")
    return label


def slope(f: Callable[..., Any], x: Any, k: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> float:
    """Central differences of plain f in entry k, by the step that balances truncation and rounding."""
    def moved(h: float) -> Any:
        flat, start, leaves = vector(x), 0, []
        flat[k] += h
        originals, tree = trees.flatten(x)
        for leaf in originals:
            n = int(np.size(leaf))
            leaves.append(flat[start:start + n].reshape(np.shape(leaf)) if np.ndim(leaf) else float(flat[start]))
            start += n
        return float(f(trees.unflatten(tree, leaves), *args, **kwargs))
    h = float(np.finfo(float).eps ** (1 / 3)) * max(1.0, abs(float(vector(x)[k])))
    try:
        with np.errstate(all="ignore"):
            return (moved(h) - moved(-h)) / (2.0 * h)
    except (ArithmeticError, ValueError):    # f refuses to be run there
        return float("nan")


def hint(theirs: np.ndarray, ours: np.ndarray, shapes: list[tuple[int, ...]]) -> str:
    """What the whole difference looks like, if it is something simple."""
    if not (np.isfinite(theirs).all() and np.isfinite(ours).all()) or not np.any(ours):
        return ""
    factor = float(theirs @ ours / (ours @ ours))
    close = 1e-6 * float(np.max(np.abs(ours)))
    if np.max(np.abs(theirs - factor * ours)) <= close * max(1.0, abs(factor)) and ours.size > 1 and factor:
        return f"theirs is {factor:.6g} x ours"
    if len(shapes) == 1 and len(shapes[0]) == 2 and ours.size == theirs.size:
        if np.max(np.abs(theirs.reshape(shapes[0][::-1]).T.ravel() - ours)) <= close:
            return "theirs is ours transposed"
    return ""
