"""A run of `minimize` that can be killed and continued: its evaluations are logged, and given back in the same order.

Optimisers are deterministic: one that is given the same answers asks the same questions.  So the run begins again from
x0, is answered from the log as long as there are records, and goes on where it was broken off, to the same bits.  That
needs nothing of SciPy's private state (of which L-BFGS-B alone has a dozen arrays that differ between versions), holds
for every method, and costs a write of 16 bytes for each unknown and evaluation, where that state would be 25 numbers
for each unknown at every iteration.
Owns: which run a file belongs to, the questions and their answers, whether a callback was called already.
Must not know: the file's format (evaluation_log.py), what an evaluation is (objective.py).
"""
from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import scipy
from scipy.optimize import OptimizeResult

from fastad.errors import CheckpointError
from fastad.optimize.evaluation_log import EvaluationLog, Record, fingerprint, read_head, read_record
from fastad.optimize.pieces import Given, Recorded

__all__ = ["Journal", "read_checkpoint"]

# Options that only say when a run ends, or what it prints: a run may go on with others.
STOPPING = {"maxiter", "maxfun", "maxfev", "ftol", "gtol", "xtol", "tol", "fatol", "xatol", "disp", "iprint",
            "return_all", "verbose"}
CLOSE = 1e-9                                 # relative: what two processors may make of one function
EMPTY = np.zeros(0)


def described(x: Any) -> str:
    """An option as text; arrays by their fingerprint."""
    if isinstance(x, np.ndarray):
        return f"array of shape {x.shape}, {fingerprint(x).hex()}"
    return repr(x) if isinstance(x, (bool, int, float, str, type(None), list, tuple)) else type(x).__name__


def head_of(call: Any, options: dict[str, Any] | None) -> dict[str, Any]:
    """What a run is about: a file of another one is refused."""
    box, layout = call.box, call.layout
    return {
        "method": call.name, "unknowns": layout.total, "free": layout.size, "x0": fingerprint(layout.start).hex(),
        "bounds": None if box is None else fingerprint(box.low, box.high).hex(),
        "constraints": len(call.constraints or ()),
        "derivatives": [call.guard.pieces.differentiable, isinstance(call.guard.pieces, Recorded)],
        "options": {k: described(v) for k, v in sorted((options or {}).items()) if k not in STOPPING},
        "function": getattr(call.guard.f, "__qualname__", type(call.guard.f).__name__),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    return {"SciPy": scipy.__version__, "NumPy": np.__version__}


DIFFERENCES = {
    "unknowns": "x0 had {old} numbers, and has {new}", "free": "{old} unknowns were free, and {new} are",
    "x0": "x0 has other values", "bounds": "the bounds are others", "method": "the method was {old!r}, and is {new!r}",
    "constraints": "there were {old} constraints, and are {new}", "derivatives": "the derivatives come from elsewhere",
}


def refuse_other(path: str, old: dict[str, Any], new: dict[str, Any]) -> None:
    """CheckpointError where the file is of another problem."""
    found = [text.format(old=old.get(key), new=new[key]) for key, text in DIFFERENCES.items()
             if old.get(key) != new[key]]
    for key in sorted({*old.get("options", {}), *new["options"]}):
        a, b = old.get("options", {}).get(key, "not given"), new["options"].get(key, "not given")
        if a != b:
            found.append(f"option {key} was {a}, and is {b}")
    if found:
        raise CheckpointError(f"{path} is of another problem (it is of {old.get('function')}): {'; '.join(found[:4])}")


class Journal:
    """The log of one call of `minimize`, entered as a context around it.

    Parameters
    ----------
    call : Minimisation
    path : str or path-like
    resume : bool
    options : dict or None
        Of the user.
    """

    def __init__(self, call: Any, path: Any, resume: bool, options: dict[str, Any] | None):
        if not isinstance(path, (str, os.PathLike)) or not os.fspath(path):
            raise TypeError(f"checkpoint={path!r}: the name of a file is meant")
        self.path = os.fspath(path)
        if call.own:
            raise ValueError("checkpoint= is for SciPy's methods, named by a string")
        self.call, self.before = call, call.guard.pieces
        new = head_of(call, options)
        self.log = EvaluationLog(path, new, resume)
        self.over = self.aside = False
        try:
            refuse_other(self.path, self.log.head, new)
        except BaseException:
            self.log.close()
            raise
        self.first = True

    def __enter__(self) -> Journal:
        guard, call = self.call.guard, self.call
        recorded = isinstance(self.before, Recorded)
        guard.pieces = (LoggedTape if recorded else Logged)(self.before, self, guard.eager)
        if recorded:                         # bits must not hang on when compiling happens to pay
            self.before.objective.function.steady = True
            self.before.objective.function.together |= guard.eager
        for name, kind in (("true_hvp", "product"), ("true_hessian", "hessian")):
            inner = getattr(guard, name)
            if inner is not None:
                setattr(guard, name, self.logged(kind, inner))
        call.journal = self
        return self

    def __exit__(self, *error: Any) -> None:
        self.log.close()
        if isinstance(self.before, Recorded):
            self.before.objective.function.steady = False

    def finish(self) -> None:
        """The optimiser has returned: what is asked from here on is no part of the run."""
        self.call.guard.pieces.verify_last()
        self.over = True
        self.log.close()

    # -- questions

    def replay(self, kind: str, question: bytes) -> Record | None:
        """The answer in the log; None if there is none yet."""
        if self.over:
            return None
        while (record := self.log.peek()) is not None and (record.kind, record.question) != (kind, question):
            if self.aside:
                return None
            if record.kind not in ("callback", "gradient"):
                break
            self.log.read()                  # of a callback that is not there any more, or a gradient for one
        if record is None or (record.kind, record.question) == (kind, question):
            return self.log.read()
        raise CheckpointError(
            f"{self.path}: evaluation {self.log.count + 1} of the optimiser is another one ({kind}) than in the run "
            f"that wrote it ({record.kind}). Then: {self.log.head.get('versions')}, now: {versions()}; if these are "
            "the same, the problem, the machine or the number of threads of BLAS is another one. "
            f"optimize.read_checkpoint({self.path!r}).x is its best point, from which a new run can begin.")

    def note(self, kind: str, question: bytes, x: np.ndarray, answer: np.ndarray) -> None:
        """Log an answer that was computed."""
        if not self.over and not self.log.replaying:
            self.log.append(kind, question, np.ascontiguousarray(x, np.float64),
                            np.ascontiguousarray(answer, np.float64))

    def logged(self, kind: str, inner: Callable[..., Any]) -> Callable[..., Any]:
        """A Hessian or its product, from the log or computed; what is no plain matrix is computed anew each time."""
        def answer(z: Any, *p: Any) -> Any:
            z = np.array(z, dtype=np.float64)
            question = fingerprint(z, *(np.array(v, dtype=np.float64) for v in p))
            record = None if self.over else self.after_callbacks()
            if record is not None and (record.kind, record.question) == (kind, question):
                self.log.read()
                return record.answer.reshape(z.shape if p else z.shape * 2).copy()
            found = inner(z, *p)
            if type(found) is np.ndarray:
                self.replay(kind, question)      # (there is none, or the run is another one)
                self.note(kind, question, EMPTY, found)
            return found
        return answer

    def check(self, record: Record, answer: np.ndarray, where: str) -> None:
        """The first and the last answer are computed again: data or a function that have changed would go unnoticed.

        At the start alone a penalty on the distance from it is zero, whatever its weight.
        """
        self.first = False
        if np.array_equal(record.answer, answer, equal_nan=True):
            return
        scale = np.abs(record.answer[1:]).max(initial=0.0) if record.kind == "both" else 0.0
        near = np.abs(record.answer - answer) <= CLOSE * np.maximum(np.abs(record.answer), scale)
        if not near.all():
            raise CheckpointError(f"{self.path} is of another problem (it is of {self.log.head.get('function')}): at "
                                  f"its {where} the function was {record.answer[0]!r}, and is {answer[0]!r}"
                                  + ("" if record.answer[0] != answer[0] else ", with another gradient"))
        warnings.warn(f"{self.path}: at its {where} the function differs in the last bits from what it was (another "
                      "processor?): the run goes on, but not as if it had not been interrupted", RuntimeWarning,
                      stacklevel=2)

    # -- callbacks

    def after_callbacks(self) -> Record | None:
        """The next record that is an answer."""
        while (record := self.log.peek()) is not None and record.kind == "callback":
            self.log.read()
        return record

    @contextmanager
    def for_callback(self) -> Iterator[None]:
        """What is asked here is asked for the callback, which the run before may not have had."""
        self.aside = True
        try:
            yield
        finally:
            self.aside = False

    def was_called(self) -> float | None:
        """Seconds after which the callback that is due was called in a run before; None if it was not."""
        record = None if self.over else self.log.peek()
        if record is None or record.kind != "callback":
            return None
        self.log.read()
        return record.seconds

    def note_call(self) -> None:
        """The callback has returned."""
        self.note("callback", bytes(16), EMPTY, EMPTY)


class Logged:
    """Value and gradient from the log as long as it has them, then from what is under it; remembers one point."""

    def __init__(self, inner: Recorded | Given, journal: Journal, eager: bool):
        self.inner, self.journal, self.eager = inner, journal, eager
        self.differentiable = inner.differentiable
        self.raw: Any = None                 # bytes of the point: the same object as long as it stays
        self.known: dict[str, Any] = {}
        self.computed = False                # the value here, by what is under the log
        self.last: Any = None                # kind, point and record of the last answer from the log, to be verified

    def at(self, z: Any) -> np.ndarray:
        z = np.array(z, dtype=np.float64)
        raw = z.tobytes()
        if raw != self.raw:
            self.raw, self.known, self.computed = raw, {}, False
        return z

    def ask(self, kind: str, z: np.ndarray) -> None:
        """Value and gradient together ("both"), or one of them."""
        journal, question = self.journal, fingerprint(z)
        record = journal.replay(kind, question)
        if record is None:
            self.verify_last()
            answer = self.compute(kind, z)
            x = EMPTY if kind == "gradient" else journal.call.layout.expand(z)
            journal.note(kind, question, x, answer)
        else:
            answer = record.answer
            self.last = kind, z, record
            if journal.first:
                journal.check(record, self.compute(kind, z), "start")
                self.last = None
        if kind != "gradient":
            self.known["value"] = float(answer[0])
        if kind != "value":
            self.known["gradient"] = answer[kind == "both":]

    def verify_last(self) -> None:
        """Before the first answer that is new, and where there was none."""
        if self.last is None or self.journal.over or self.journal.aside:
            return
        kind, z, record = self.last
        self.last, self.computed = None, False
        self.journal.check(record, self.compute(kind, z), "last evaluation")
        self.computed = False

    def compute(self, kind: str, z: np.ndarray) -> np.ndarray:
        self.journal.first = False
        if kind == "both":
            value, gradient, _ = self.inner.look(z)          # type: ignore[union-attr]
            return np.concatenate(([value], gradient))
        if kind == "value" or not self.computed:             # a gradient follows the value at its point, as always
            value = self.inner.value(z)
            self.computed = True
        return np.array([value]) if kind == "value" else np.array(self.inner.gradient(z))

    def value(self, z: Any) -> float:
        z = self.at(z)
        if "value" not in self.known:
            self.ask("both" if self.eager else "value", z)
        found: float = self.known["value"]
        return found

    def gradient(self, z: Any) -> np.ndarray:
        z = self.at(z)
        if "gradient" not in self.known:
            self.ask("both" if self.eager else "gradient", z)
        found: np.ndarray = self.known["gradient"]
        return found.copy()

    def look(self, z: Any) -> tuple[float, np.ndarray, Any]:
        """Value, gradient (no copy) and key."""
        z = self.at(z)
        if "gradient" not in self.known:
            self.ask("both", z)
        return self.known["value"], self.known["gradient"], self.raw

    def key(self) -> Any:
        return self.raw

    def whole_gradient(self, z: Any) -> np.ndarray:
        """By all variables, also those that are fixed; asked for when the run is over."""
        return self.inner.whole_gradient(z)

    def plain(self, z: np.ndarray) -> float:
        return self.inner.plain(z)


class LoggedTape(Logged, Recorded):
    """The same over an Objective."""

    def __init__(self, inner: Recorded, journal: Journal, eager: bool):
        Logged.__init__(self, inner, journal, eager)
        self.objective = inner.objective


def read_checkpoint(path: Any) -> OptimizeResult:
    """What a checkpoint of `minimize` holds: the best point so far, and the course of the run.

    Parameters
    ----------
    path : str or path-like
        A file of ``optimize.minimize(..., checkpoint=path)``; also while that runs.

    Returns
    -------
    scipy.optimize.OptimizeResult
        ``x``: the point with the least value, raveled as ``result.raveled`` is (1-D, float64), fixed variables
        included; ``fun``; ``nfev``, the number of values; ``fun_history`` and ``seconds``, arrays with one number
        for each of them; ``method``, ``function``, ``versions``.  x and fun are None before the first value.

    Raises
    ------
    CheckpointError
        The file is none, or damaged.
    OSError
        It cannot be read.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from fastad import optimize
    >>> path = os.path.join(tempfile.mkdtemp(), "run.checkpoint")
    >>> fit = optimize.minimize(lambda x: np.sum((x - 1.0)**4), np.zeros(3), method="L-BFGS-B", checkpoint=path)
    >>> found = optimize.read_checkpoint(path)
    >>> bool(found.fun == fit.fun), found.nfev == fit.nfev, found.method
    (True, True, 'l-bfgs-b')
    """
    path = os.fspath(path)
    best: Record | None = None
    values: list[float] = []
    seconds: list[float] = []
    with open(path, "rb") as file:
        head, start = read_head(file, path)
        while (record := read_record(file, start, len(values), path)) is not None:
            start = file.tell()
            if record.kind in ("value", "both"):
                values.append(float(record.answer[0]))
                seconds.append(record.seconds)
                if np.isfinite(values[-1]) and (best is None or values[-1] <= best.answer[0]):
                    best = record
    return OptimizeResult(x=None if best is None else best.x.copy(), fun=None if best is None else best.answer[0],
                          nfev=len(values), fun_history=np.array(values), seconds=np.array(seconds),
                          **{key: head.get(key) for key in ("method", "function", "versions")})
