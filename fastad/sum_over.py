"""sum_over.py - the sum of one function over many sources (shots, stations, batches), with its gradient: `sum_over`.

Owns: `SumOver`; which tape serves which source, the order of the sum, how a traced call becomes one instruction whose
derivatives are sums again.
Must not know: where sources are computed (executors.py), what travels (source_tasks.py).
Sources are summed up in chunks whose bounds follow from their number alone, and chunks in their order: no bit depends
on who computed what, or when.
"""
from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad import executors, tapes, trees
from fastad.audits import Audit
from fastad.control import Primitive
from fastad.errors import (
    DerivativeError,
    InternalError,
    LinAlgDivergence,
    TapeDivergence,
    UnstableDecisionError,
    UnsupportedError,
)
from fastad.function import TapeCache
from fastad.recording import Arguments
from fastad.source_tasks import Chunk, Diverged, program_for
from fastad.verbs import Gradient

__all__ = ["SumOver", "sum_over"]

CHUNKS = 256                                 # at most so many for one sum


def sum_over(sources: Iterable[Any], f: Callable[[Any, Any], Any], executor: Any = None) -> SumOver:
    """The function ``params -> sum of f(params, source) over all sources``, computed in parallel, with derivatives.

    Parameters
    ----------
    sources : iterable
        Of trees of arrays and numbers (what one shot, station or experiment was, and what was measured).  Those of
        equal structure, shapes and dtypes share one tape; whole numbers, strings and other objects in them are static,
        and sources that differ in those have tapes of their own: give positions as arrays.
    f : callable
        ``f(params, source)``, plain NumPy: one real number.
    executor : optional
        Where it is computed.  None: threads of this process, as many as `set_num_threads` says.  Any executor of
        concurrent.futures, or of its form (processes, MPI).  A ``dask.distributed.Client``, or the address of its
        scheduler.

    Returns
    -------
    SumOver
        A function of params, any tree of real arrays: call it, differentiate it (`grad`, `value_and_grad`, `hvp`, also
        inside of other functions: ``lambda m: total(m) + penalty(m)``), minimise it (``optimize.minimize(total, x0)``).

    Raises
    ------
    TypeError, ValueError
        executor is none of these; there are no sources.
    ImportError
        The address of a scheduler, without Dask (``pip install 'fastad[dask]'``).
    DerivativeError, TracerError, StaleTapeError
        When it is called: as `fastad.grad` of f.  The error notes the number of the source.
    UnsupportedError
        When it is called: parameters are complex; f calls a custom primitive or another object that cannot be sent to
        a worker, which is named.
    WorkerError
        When it is called: a worker died.  Never is a part of the sum returned.

    Notes
    -----
    f runs in this process only, to be recorded; what is sent to workers is its tape, so that f may be a lambda, and
    workers need nothing but fastad.  They keep tapes and sources; a worker that is new is sent them again.  Arrays of
    sources and what f captures are looked at in each call.

    The sum has the same bits whatever the executor and the number of its workers, on one type of processor.  With
    several threads or workers each computes its sources by itself: let there be as many as processors, and BLAS with
    one thread each (OPENBLAS_NUM_THREADS=1).  Workers in other processes use one thread, or what FASTAD_NUM_THREADS
    says.  Gradients are computed together with values; Hessian products are recomputed at each direction.

    Examples
    --------
    >>> import numpy as np
    >>> import fastad as ad
    >>> from fastad import optimize
    >>> times = [np.linspace(0.0, k, 5) for k in range(1, 9)]
    >>> shots = [{"t": t, "data": 2.0 * np.exp(-0.5 * t)} for t in times]
    >>> def misfit(p, shot):
    ...     return np.sum((p[0] * np.exp(-p[1] * shot["t"]) - shot["data"])**2)
    >>> total = ad.sum_over(shots, misfit)
    >>> total(np.array([2.0, 0.5])).round(12)
    np.float64(0.0)
    >>> optimize.minimize(total, np.array([1.0, 1.0])).x.round(4)
    array([2. , 0.5])
    >>> total.stats().recordings              # one tape for eight shots
    1
    """
    return SumOver(sources, f, executor)


class SumOver:
    """A sum over sources as a function of the parameters; made by `sum_over`.

    Attributes
    ----------
    sources : tuple
    f : callable
    """

    def __init__(self, sources: Iterable[Any], f: Callable[[Any, Any], Any], executor: Any = None):
        if isinstance(sources, dict):
            raise TypeError("sum_over: sources is a dict; give a list of sources (its values?)")
        self.sources, self.f = tuple(sources), f
        if not self.sources:
            raise ValueError("sum_over: there are no sources")
        self.tapes = SourceTapes(f)
        self.runner = executors.runner_for(executor)
        self.rules: dict[Any, Rules] = {}
        self.lock = threading.RLock()        # one evaluation at a time: it has all threads
        self.last: list[Any] = []            # the tape of each source that served last
        self.calls = 0
        self.__name__ = f"sum of {self.tapes.name}"

    def __repr__(self) -> str:
        return f"<sum of {self.tapes.name} over {len(self.sources)} sources>"

    def __call__(self, params: Any) -> Any:
        """The sum."""
        leaves, tree = trees.flatten(params)
        if not any(map(T.is_wrapped, leaves)):
            return np.float64(self.evaluate("value", leaves, tree)[0])
        if tree not in self.rules:
            self.rules[tree] = Rules(self, tree)
        return self.rules[tree].recorded(leaves)

    def value_and_grad(self, params: Any) -> tuple[Any, Any]:
        """(the sum, its gradient in the structure of params), at plain numbers; in a recording use `value_and_grad`."""
        leaves, tree = trees.flatten(params)
        if any(map(T.is_wrapped, leaves)):
            raise UnsupportedError(f"{T.here()}: {self!r}: value_and_grad of traced values; write "
                                   "ad.value_and_grad(total)(params)")
        value, gradient = self.evaluate("gradient", leaves, tree)
        return np.float64(value), trees.unflatten(tree, [in_form(g, x) for g, x in zip(gradient, leaves, strict=True)])

    def grad(self, params: Any) -> Any:
        """The gradient alone."""
        return self.value_and_grad(params)[1]

    def close(self) -> None:
        """Give back threads, and the connection to a scheduler that was named by its address; also as a context.

        It happens by itself when the sum is not referred to any more.
        """
        self.runner.close()

    def __enter__(self) -> SumOver:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def stats(self) -> Any:
        """Recordings, replays and so on of the tapes of sources, as of ``ad.grad(f)``."""
        return self.tapes.stats()

    # -- one evaluation

    def evaluate(self, kind: str, leaves: list[Any], tree: Any, directions: tuple[Any, ...] = ()) -> tuple[Any, Any]:
        """(sum of values, sums of gradients or Hessian products by leaf) at plain numbers."""
        return T.exclusive(self.lock, self.evaluated, kind, trees.unflatten(tree, leaves), directions)

    def evaluated(self, kind: str, params: Any, directions: tuple[Any, ...]) -> tuple[Any, Any]:
        with T.Undisturbed():
            return Evaluation(self, kind, params, directions).total()


def in_form(gradient: np.ndarray, x: Any) -> Any:
    """A gradient in the dtype and shape of its parameter; a number for a number."""
    dtype = getattr(x, "dtype", None)
    found = gradient.astype(dtype) if dtype is not None and dtype.kind == "f" and dtype.itemsize == 4 else gradient
    return found[()] if np.ndim(x) == 0 else found


# ---- tapes -----------------------------------------------------------------------------------------------------------

class SourceTapes(Gradient):
    """f(params, source): its tapes, one for all sources of a kind."""

    verb = "sum_over"

    def __init__(self, f: Callable[..., Any]):
        super().__init__(f)
        self.cache = TapeCache()

    def suitable(self, arguments: Arguments, last: Any, changed: dict[int, Any]) -> Iterator[Any]:
        """Cached tapes for a source, that of the last time first; then new ones, and what has changed is dropped.

        Parameters
        ----------
        changed : dict
            What is known of entries in this evaluation: id -> what has changed.
        """
        event, tried = None, []
        for entry in [last, *self.cache.find(arguments.key)]:
            if entry is None or entry in tried or entry.key != arguments.key \
                    or not entry.tape.serves(arguments.values):
                continue
            if id(entry) not in changed:
                changed[id(entry)] = entry.why_changed(self.f)
            if changed[id(entry)] is not None:
                self.outdated(entry)
                event = {"kind": "state", "detail": changed[id(entry)]}
                continue
            tried.append(entry)
            self.replays += 1
            yield entry
            event = {"kind": "guard"}
        entry = self.record(arguments, event or self.why_new(arguments))
        changed[id(entry)] = None
        yield entry

    def outputs(self, entry: Any, values: list[Any]) -> Any:
        return program_for("value", entry.tape).run(values)


class Source:
    """A source in one evaluation: its arguments, and the tape that is tried."""

    def __init__(self, number: int, arguments: Arguments, entries: Iterator[Any]):
        self.number, self.arguments, self.entries = number, arguments, entries
        self.entry: Any = None
        self.advance(None)

    def advance(self, error: TapeDivergence | None) -> None:
        """The next tape."""
        try:
            self.entry = next(self.entries)
        except StopIteration:
            if error is None or isinstance(error, LinAlgDivergence):
                raise error or InternalError("a source without a tape") from None    # (no derivative here)
            raise UnstableDecisionError(
                f"source {self.number}: {error.kind} at {error.location} went the other way in the sweep at the very "
                "point at which it was recorded: the decision lies within rounding. Compare with a tolerance there, or "
                "decide on ad.peek(x) if the branches agree.") from error
        except Exception as error:
            error.add_note(f"(in source {self.number} of a sum_over)")
            raise


class Evaluation:
    """One evaluation of a sum: tapes are chosen here, by one thread; what they compute is summed up as it comes."""

    def __init__(self, owner: SumOver, kind: str, params: Any, directions: tuple[Any, ...]):
        self.owner, self.kind = owner, kind
        self.tapes: SourceTapes = owner.tapes
        changed: dict[int, Any] = {}
        self.sources: list[Source] = []
        for k, source in enumerate(owner.sources):
            arguments = self.tapes.arguments((params, source), {})
            last = owner.last[k] if k < len(owner.last) else None
            self.sources.append(Source(k, arguments, self.tapes.suitable(arguments, last, changed)))
        first = self.sources[0].arguments
        self.n = sum(first.wanted)
        if any(k < self.n for k in first.complexes):
            raise UnsupportedError(f"{owner!r}: complex parameters; give their real and imaginary parts")
        self.params = first.values[:self.n]
        self.directions = [tapes.in_dtype(v, T.recorded_dtype(np.asarray(x).dtype))
                           for v, x in zip(directions, self.params, strict=False)]
        self.size = -(-len(self.sources) // CHUNKS)
        self.errstate: dict[str, Any] = {**np.geterr()}

    def chunk(self, c: int) -> Chunk:
        """Chunk number c."""
        jobs = [(source.entry.tape, source.arguments.values[self.n:])
                for source in self.sources[c * self.size:(c + 1) * self.size]]
        return Chunk(self.kind, c * self.size, jobs, self.params, self.directions, self.errstate)

    def total(self) -> tuple[float, list[np.ndarray]]:
        """The sum, from the first chunk to the last."""
        value, sums, done = 0.0, None, 0
        waiting: dict[int, Any] = {}         # that came before their turn
        todo = list(range(-(-len(self.sources) // self.size)))
        while todo:
            again = []
            with contextlib.closing(self.owner.runner.run([self.chunk(c) for c in todo])) as answers:
                for k, answer in answers:
                    if isinstance(answer, Diverged):
                        self.tapes.guard_failures += 1
                        self.sources[answer.source].advance(answer.error)
                        again.append(todo[k])
                        continue
                    waiting[todo[k]] = answer
                    while done in waiting:
                        y, arrays = waiting.pop(done)
                        value, sums, done = value + y, added(sums, arrays), done + 1
            todo = sorted(again)
        self.owner.last = [source.entry for source in self.sources]
        self.owner.calls += 1
        if self.owner.calls == 1:
            self.audit(self.sharing())
        elif Audit.due(self.owner.calls):
            self.audit(self.sources[self.owner.calls.bit_length() * 7 % len(self.sources)])
        return value, sums or []

    def sharing(self) -> Source | None:
        """The first source with a tape that was recorded for another one: random numbers that f draws would show."""
        seen = set[int]()
        for source in self.sources:
            if id(source.entry) in seen:
                return source
            seen.add(id(source.entry))
        return None

    def audit(self, source: Source | None) -> None:
        """Compare a source with a run of plain f."""
        if source is not None:
            self.tapes.audits += 1
            self.tapes.compare(source.entry, source.arguments)


def added(sums: list[np.ndarray] | None, arrays: list[np.ndarray]) -> list[np.ndarray]:
    if sums is None:
        return arrays
    for a, x in zip(sums, arrays, strict=True):
        a += x
    return sums


# ---- as an instruction -----------------------------------------------------------------------------------------------

class Rules:
    """The sum as a primitive of the leaves of params, and its gradient as another one: both run in parallel.

    The gradient is computed together with the value, and kept for the reverse sweep that follows as a rule.
    """

    def __init__(self, owner: SumOver, tree: Any):
        self.owner, self.tree = owner, tree
        self.here = threading.local()        # of this thread: the last point and its gradient
        self.follows = True                  # does a reverse sweep follow a forward sweep?
        self.value = Primitive(named(self.forward, owner.__name__), self.adjoint, self.tangent)
        self.value.parts = self.parts        # (for `debug_nonfinite`)
        self.slopes = Primitive(named(self.gradient, f"gradient of the {owner.__name__}"), self.product,
                                lambda directions, y, *leaves: self.product(directions, y, *leaves))

    def parts(self, *leaves: Any) -> Iterator[tuple[Callable[..., Any], tuple[Any, ...]]]:
        """The terms of the sum: functions, and their arguments."""
        params = trees.unflatten(self.tree, list(leaves))
        return ((self.owner.f, (params, source)) for source in self.owner.sources)

    def recorded(self, leaves: list[Any]) -> Any:
        """The instruction: it needs the value alone, and a sweep computes that again, with the gradient."""
        self.here.recording = True
        try:
            return self.value(*leaves)
        finally:
            self.here.recording = False

    def forward(self, *leaves: Any) -> Any:
        if getattr(self.here, "recording", False):
            return np.float64(self.owner.evaluate("value", list(leaves), self.tree)[0])
        if getattr(self.here, "unused", False):
            self.follows = False
        self.here.key, self.here.unused = None, False
        if not self.follows:
            return np.float64(self.owner.evaluate("value", list(leaves), self.tree)[0])
        return np.float64(self.computed(leaves))

    def computed(self, leaves: tuple[Any, ...]) -> float:
        value, gradient = self.owner.evaluate("gradient", list(leaves), self.tree)
        self.here.key, self.here.unused = point_of(leaves), True
        self.here.gradient = tuple([in_form(g, x) for g, x in zip(gradient, leaves, strict=True)])
        return float(value)

    def gradient(self, *leaves: Any) -> tuple[Any, ...]:
        if getattr(self.here, "key", None) != point_of(leaves):
            self.follows = True
            self.computed(leaves)
        self.here.unused = False
        found: tuple[Any, ...] = self.here.gradient
        return found

    def tangent(self, tangents: tuple[Any, ...], y: Any, *leaves: Any) -> Any:
        terms = [np.sum(g * v) for g, v in zip(self.slopes(*leaves), tangents, strict=True) if v is not None]
        return sum(terms[1:], terms[0])

    def adjoint(self, w: Any, y: Any, *leaves: Any) -> tuple[Any, ...]:
        return tuple([w * g for g in self.slopes(*leaves)])

    def product(self, v: tuple[Any, ...], y: Any, *leaves: Any) -> tuple[Any, ...]:
        """The Hessian times v: the tangent of the gradient and, as the Hessian is symmetric, its adjoint, too."""
        if any(map(T.is_wrapped, (*leaves, *v))):
            raise DerivativeError(f"{T.here()}: {self.owner!r} has first and second derivatives; this is a third")
        v = tuple([np.zeros(np.shape(x)) if d is None else d for d, x in zip(v, leaves, strict=True)])
        found = self.owner.evaluate("product", list(leaves), self.tree, v)[1]
        return tuple([in_form(h, x) for h, x in zip(found, leaves, strict=True)])


def named(f: Callable[..., Any], name: str) -> Callable[..., Any]:
    @functools.wraps(f)
    def called(*args: Any) -> Any:
        return f(*args)
    called.__name__ = called.__qualname__ = name
    return called


def point_of(leaves: tuple[Any, ...]) -> list[Any]:
    return [(np.shape(x), np.asarray(x).tobytes()) for x in leaves]
