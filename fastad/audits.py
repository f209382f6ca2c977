"""audits.py - does a tape still compute what its function computes?  `Audit` runs the plain function to see.

Owns: when it is due (calls 2, 4, 8 ...), the comparison, and the search for a cause.
The watch of state.py sees what code can name; this sees everything else: random numbers, caches, counters, files.
Must not know: derivatives, the cache of tapes (function.py calls `due` and `check`).
"""
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad import interception, trees
from fastad.complex_conversion import weakened
from fastad.complex_values import split, weak, whole
from fastad.errors import StaleTapeError
from fastad.recording import axis_order, laid_out
from fastad.results import is_complex
from fastad.state import Watch

__all__ = ["Audit"]

RELATIVE = 1e-9
RELATIVE_SINGLE = 1e-4                   # where float32 was computed
SHAKES = 9                               # runs with other last digits, to see what rounding can do
SHAKEN = (1e-15, 1e-14, 1e-13)
SHAKEN_SINGLE = (6e-8, 6e-7, 6e-6)


def _number(x: Any) -> bool:
    return T.is_wrapped(x) or isinstance(x, (bool, int, float, complex, np.generic, np.ndarray))


def _numbers(tree: Any) -> list[Any]:
    """The numeric leaves of a result, as plain numbers and arrays."""
    return [np.asarray(T.concrete(x)) for x in trees.flatten(tree)[0] if _number(x)]


def _copied(tree: Any, number: Any = float) -> Any:
    """Arguments for a plain run: copies of arrays; Python's floats become `number`."""
    def one(x: Any) -> Any:
        return x.copy(order="K") if isinstance(x, np.ndarray) else number(x) if type(x) is float else x
    return trees.map_leaves(one, tree)


def disagreement(expected: np.ndarray, got: np.ndarray, single: bool = False) -> np.ndarray:
    """Where two arrays differ by more than 1e-9 (float32, or `single`: 1e-4) of the largest element; NaNs are equal."""
    if expected.dtype.kind not in "fc" and got.dtype.kind not in "fc":
        return np.asarray(expected != got)
    with np.errstate(all="ignore"):
        size = np.abs(np.concatenate([expected.ravel() * 1.0, got.ravel() * 1.0])).astype(np.float64)
        scale = np.max(size, initial=0.0, where=np.isfinite(size))
        relative = RELATIVE_SINGLE if single or {expected.dtype.char, got.dtype.char} & {*"fF"} else RELATIVE
        near = (np.abs(expected - got) <= relative * scale) | (expected == got)
    return np.asarray(~(near | (np.isnan(expected) & np.isnan(got))))


def first_difference(expected: list[Any], got: list[Any]) -> str | None:
    """Text of the first difference between what a function and what its tape returned; None if they agree."""
    if len(expected) != len(got):
        return f"it returns {len(expected)} numbers and arrays, its tape {len(got)}"
    for k, (a, b) in enumerate(zip(expected, got, strict=True)):
        where = f"output {k}" if len(got) > 1 else "output"
        if a.shape != b.shape:
            return f"{where} has shape {a.shape}, on its tape {b.shape}"
        wrong = disagreement(a, b)
        if wrong.any():
            at = tuple(map(int, np.argwhere(wrong)[0]))
            index = f"[{', '.join(map(str, at))}]" if at else ""
            return f"{where}{index} is {a[at].item()!r}, on its tape {b[at].item()!r}"
    return None


def has_float32(tape: Any) -> bool:
    """Is a float32 among the values of a tape, or in the loops on it?"""
    parts = T.tape_parts(tape)
    return any(T.DTYPES[T.aval_of(k)[0]] == np.float32 for k in np.unique(parts["aval"]).tolist()) or any(
        has_float32(attr.body) for attr in parts["attrs"] if isinstance(getattr(attr, "body", None), T.Tape))


class Audit:
    """Compares a cached tape with the plain function now and then.

    Parameters
    ----------
    f : callable
    name, location : str
        For messages.
    """

    __slots__ = ("f", "name", "location")

    def __init__(self, f: Any, name: str | None = None, location: str | None = None) -> None:
        self.f = f
        self.name = name or getattr(f, "__qualname__", type(f).__qualname__)
        code = getattr(f, "__code__", None)
        self.location = location or (f"{code.co_filename}:{code.co_firstlineno}" if code else "?")

    @staticmethod
    def due(calls: int) -> bool:
        """Is the `calls`-th call of a tape one to be audited?  The recording was call 1."""
        return calls >= 2 and calls & (calls - 1) == 0

    def check(self, args: Any, kwargs: Any, outputs: Any, doubted: str | None = None) -> None:
        """Raise StaleTapeError unless f(*args, **kwargs) agrees with what the tape gave.

        Parameters
        ----------
        args, kwargs
            The arguments of the call; f gets copies of their arrays.
        outputs : tree
            What the tape computed, packed as f returns it.
        doubted : str, optional
            What the recording has seen f change outside of it: the first cause to think of.
        """
        if any(map(T.is_wrapped, trees.flatten((args, kwargs))[0])):
            return                       # a call inside another recording
        got = _numbers(outputs)
        expected = self.plain(args, kwargs)
        found = first_difference(expected, got)
        if found is None:
            return
        watch = Watch(self.f, trees.flatten((args, kwargs))[0])
        again = self.plain(args, kwargs)
        changed = watch.changed()
        steady = first_difference(expected, again) is None
        recorded, single = self.recorded(args, kwargs) if steady and changed is None else (None, False)
        if recorded is not None and first_difference(recorded, got) is None:
            if self.by_rounding(args, kwargs, expected, got, single):
                return                   # the tape is what a new one would be: a decision within rounding, or chaos
            raise StaleTapeError(
                f"{self.name} ({self.location}) computes something else while it is recorded: {found}. "
                + (f"Likely cause: {doubted}." if doubted else "It asks for "
                "what the recorder cannot stand in for, such as `x is True`, `type(x) is np.ndarray`, errors of "
                "Python's float (1/0.0), whole numbers of few bits that wrap around (they are recorded as int64: pass "
                "k.astype(np.int64)), or whether it is recorded. Write `if x`, isinstance, np.where instead."))
        causes = ([] if steady else ["two runs of the function at this point differ"])
        causes += ([f"the function changes {changed}"] if changed else []) + watch.suspects
        raise StaleTapeError(
            f"{self.name} ({self.location}) no longer computes what its tape does: {found}. "
            + (f"Likely cause: {'; '.join(causes)}. " if causes else "Something that it reads has changed. ")
            + "Pass what changes as an argument (random numbers too), or use audit=False if this is meant.")

    def plain(self, args: Any, kwargs: Any) -> list[Any]:
        """Numbers that the function returns by itself; it warned already when it was recorded or replayed.

        Where Python's floats raise (1/0.0), NumPy's numbers tell what a tape gives: otherwise such a function would
        raise at audits only.
        """
        with np.errstate(all="ignore"):
            try:
                return _numbers(self.f(*_copied(tuple(args)), **_copied(dict(kwargs))))
            except (ZeroDivisionError, OverflowError):
                return _numbers(self.f(*_copied(tuple(args), np.float64), **_copied(dict(kwargs), np.float64)))

    def by_rounding(self, args: Any, kwargs: Any, expected: list[Any], got: list[Any], single: bool) -> bool:
        """Do changes of the arguments in their last digits move the result as far as it differs from the tape's?

        `single`: float32 is computed on the way, so that those are the last digits of float32.
        """
        moved = [np.zeros(e.shape) for e in expected]
        draw = np.random.default_rng(0)

        def shaken(x: Any) -> Any:
            if not is_complex(x) and (not self.is_input(x) or np.asarray(x).dtype.kind != "f"):
                return x
            dtype = np.asarray(x).dtype
            shake = draw.choice(SHAKEN_SINGLE if single or dtype.char in "fF" else SHAKEN)
            y = x * (1 + shake * draw.uniform(-1, 1, np.shape(x)))
            if is_complex(x):
                y = y + 1j * shake * y.real * draw.uniform(-1, 1, np.shape(x))
            if dtype.char in "fF":
                return np.asarray(y, dtype=dtype)[()]
            return type(x)(y) if type(x) in (float, complex) else y          # Python's numbers have rules of their own

        with np.errstate(all="ignore"):
            for _ in range(SHAKES):
                for k, y in enumerate(self.plain(*trees.map_leaves(shaken, (tuple(args), dict(kwargs))))):
                    if k >= len(moved) or y.shape != moved[k].shape:
                        return True      # another branch
                    unlike = np.isnan(y) != np.isnan(expected[k])
                    moved[k] = np.fmax(moved[k], np.where(unlike, np.inf, np.abs(y * 1.0 - expected[k])))
            return all(bool((~disagreement(e, g, single) | (np.abs(e * 1.0 - g) <= 1e3 * m) | np.isinf(m)).all())
                       for e, g, m in zip(expected, got, moved, strict=True))

    def recorded(self, args: Any, kwargs: Any) -> tuple[list[Any], bool]:
        """Numbers that a new recording computes, with the tape's own kernels; is float32 among what it computes?"""
        leaves, tree = trees.flatten((tuple(args), dict(kwargs)))

        def traced(tape: Any, x: Any) -> Any:
            if is_complex(x):
                pairs = split(x)
                z = whole(laid_out(T.make_input(tape, pairs, False), axis_order(pairs)), not isinstance(x, np.ndarray))
                return weakened(z) if weak(x) else z
            return laid_out(T.make_input(tape, x, False, T.is_weak(x)), axis_order(x)) if self.is_input(x) else x

        def run(tape: Any) -> tuple[list[Any], bool]:
            traced_args, traced_kwargs = trees.unflatten(tree, [traced(tape, x) for x in leaves])
            return _numbers(self.f(*traced_args, **traced_kwargs)), has_float32(tape)

        with np.errstate(all="ignore"):
            return T.recorded(interception.recording(), run)

    @staticmethod
    def is_input(x: Any) -> bool:
        return isinstance(x, (float, np.floating)) or (isinstance(x, np.ndarray) and x.dtype.kind in "fiub")
