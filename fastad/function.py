"""function.py - the callable behind every verb: records when it must, replays when it may.

Owns: the cache of tapes (by structure, shapes, static arguments, and decisions), its bounds, when a tape is recorded
again, and the counts of it all.  A verb is a subclass that says what one evaluation is (derivatives.py).
Must not know: what a verb computes.  Next: recording.py (one recording), verbs.py, state.py (watches).
"""
import functools
import os
import threading
from collections import OrderedDict, deque
from contextlib import contextmanager
from time import thread_time
from typing import NamedTuple

import numpy as np

from fastad import _tape as T
from fastad import tapes, trees
from fastad._dispatch import PYTHON, VALUE_AND_GRADIENT, Dispatcher, Entry, innermost
from fastad.audits import Audit
from fastad.complex_values import MADE_OUTSIDE
from fastad.errors import LinAlgDivergence, StaleTapeError, TapeDivergence, UnstableDecisionError, UnsupportedError
from fastad.recording import (
    DERIVATIVE,
    DOUBTED,
    FUNCTION,
    Arguments,
    Static,
    checked_argnums,
    name_of,
    record_call,
    takes_keyword,
    underlying,
)
from fastad.results import written_into
from fastad.state import Watch

__all__ = ["Function", "Stats"]

TAPES_PER_KEY = 8                        # how many branches of one function are kept for the same kind of arguments
CACHE_TAPES = 1024                       # in the process
CACHE_BYTES = int(os.environ.get("FASTAD_CACHE_BYTES", 512 * 2**20))
CACHED_FUNCTIONS = 256
COMPILE_ONCE, COMPILE_EACH = 1e-4, 3e-7      # seconds to compile a gradient: at all, and an instruction of the tape
COMPILE_ARRAY = 3e-6                         # an instruction on arrays
# Seconds for a byte of the values in a first sweep over a tape that does not fit into the caches: 4e-10 to compute with
# it, and as much for it and its adjoint as new memory that the system has to give (some systems take ten times that).
FIRST_SWEEP, LARGE = 8e-10, 2**20


def compiling(tape):
    """Seconds that it takes to compile a gradient, or what is like one, about."""
    arrays = T.array_values(tape)
    return COMPILE_ONCE + COMPILE_EACH * (len(tape) - arrays) + COMPILE_ARRAY * arrays


class Stats:
    """What a cached callable has done so far.

    Attributes
    ----------
    recordings : int
        Runs of the Python function that made a tape.
    replays : int
        Calls that were answered by a tape made before.
    audits : int
        Replays that were compared with a run of the plain function.
    guard_failures : int
        Replays given up because a recorded branch went the other way.
    tapes, bytes : int
        What is kept at present, for all kinds of arguments.
    memory : Report or None
        With `memory=`: schedule, recomputation and peak of the last gradient.
    native : NativeLoops or None
        Loops that LLVM has compiled (with `pip install 'fastad[jit]'`): how many, and the seconds that it took.
    """

    __slots__ = ("recordings", "replays", "audits", "guard_failures", "tapes", "bytes", "memory", "native")

    def __init__(self, **counts):
        for name, value in counts.items():
            setattr(self, name, value)

    def __repr__(self):
        names = [name for cls in reversed(type(self).__mro__) for name in getattr(cls, "__slots__", ())]
        known = {name: getattr(self, name) for name in names}
        return "Stats(" + ", ".join([f"{name}={x}" for name, x in known.items() if x is not None]) + ")"


class NativeLoops(NamedTuple):
    """Loops that are machine code, and the seconds that it took to make it."""

    loops: int
    seconds: float


def native_loops_of(entries):
    """Of the tapes of these entries and those that were derived from them; None where there are none."""
    from fastad._scan import native_loops
    found = [x for e in entries for x in (e.tape, e.program, *e.tape.derived.values())]
    tapes = [getattr(x, "tape", x) for x in found]
    seconds = native_loops([t for t in tapes if hasattr(t, "attr_list")])
    return NativeLoops(len(seconds), sum(seconds)) if seconds else None


# ---- the cache -------------------------------------------------------------------------------------------------------

class TapeCache:
    """Tapes of one piece of code under one verb: key of the arguments -> entries, the most recent first."""

    def __init__(self):
        self.entries = {}
        self.limit = TAPES_PER_KEY

    def find(self, key):
        return list(self.entries.get(key, ()))

    def all(self):
        return [e for found in list(self.entries.values()) for e in found]

    def add(self, entry):
        found = self.entries.setdefault(entry.key, [])
        found.insert(0, entry)
        for old in found[self.limit:]:
            self.remove(old)
        shrink(entry)

    def promote(self, entry):
        found = self.entries.get(entry.key, [])
        if found and found[0] is not entry and entry in found:
            found.remove(entry)
            found.insert(0, entry)

    def remove(self, entry):
        found = self.entries.get(entry.key, [])
        if entry in found:
            found.remove(entry)
        if not found:
            self.entries.pop(entry.key, None)

    def clear(self):
        self.entries.clear()


caches: OrderedDict = OrderedDict()      # (code, verb, options) -> TapeCache, the least recently used first
lock = threading.RLock()


def may_wrap(x):
    """Are these whole numbers that wrap around in NumPy and are recorded as int64, which does not?

    Most are indices; what is computed with them is compared with plain f in the first call, not the second.
    """
    return isinstance(x, np.ndarray) and x.dtype.kind in "iu" and x.dtype != np.int64


def cache_of(f, *options):
    """The cache that callables of the same code share: a lambda made anew at each call finds its tapes again."""
    while isinstance(f, Function):       # a verb of a verb: of the same code if that is
        f, options = f.f, (*f.options, *options)
    code = getattr(underlying(f), "__code__", None)
    if code is None:
        return TapeCache()
    return T.exclusive(lock, _cache_at, (code, *options))


def _cache_at(key):
    cache = caches[key] = caches.get(key) or TapeCache()
    caches.move_to_end(key)
    while len(caches) > CACHED_FUNCTIONS:
        caches.popitem(last=False)
    return cache


def shrink(newest):
    """Drop the least recently used tapes of the process until the rest is within bounds."""
    T.exclusive(lock, _shrink, newest)


def _shrink(newest):
    kept = sorted([(e.used, id(e), e, c) for c in list(caches.values()) for e in c.all()])
    total = sum([e.nbytes for _, _, e, _ in kept])
    count = len(kept)
    for _, _, e, cache in kept:
        if total <= CACHE_BYTES and count <= CACHE_TAPES:
            break
        if e is not newest:
            cache.remove(e)
            total -= e.nbytes
            count -= 1


# ---- the callable ----------------------------------------------------------------------------------------------------

class Function(Dispatcher):
    """A function with a cache of its tapes; a subclass is a verb.

    A subclass gives `verb` (for messages), `shared_mode` (Dispatcher's short way), `check`, `replay` and `nest`;
    `compile` too if there is something to compile.  `options`: whatever else tapes and programs of the verb depend on.
    """

    verb = "replay"
    shared_mode = PYTHON
    patience = 8                         # calls before compiling is thought of
    gain = 0.25                          # share of a replay's time that a program is expected to save
    saves_memory = False                 # does the program of this verb need much less memory than sweeps of the tape?
    programs_in_numbers = False          # are the derivatives in its programs those of arrays split into numbers?
    memory: int | None = None            # bytes that a sweep may take
    as_floats = True                     # are constants of a branch made float64?
    still: tuple = ()                    # leaves of the arguments in argnums that are not differentiated all the same

    def __init__(self, f, argnums=0, has_aux=False, audit=True, *options):
        if not callable(f):
            raise TypeError(f"{self.verb}: {f!r} is not callable")
        argnums = checked_argnums(argnums)
        self.f, self.argnums, self.has_aux, self.audit = f, argnums, has_aux, bool(audit)
        self.watched = innermost(f)
        self.name = name_of(f)
        self.mode = self.shared_mode
        self.options = (self.verb, argnums, has_aux, *options)
        self.cache = cache_of(f, *self.options)
        self.recordings = self.audits = self.guard_failures = 0
        self.events: deque = deque(maxlen=100)   # why it recorded, for ad.explain
        self.resemble(f)

    def __repr__(self):
        return f"<{self.verb} of {self.name}>"

    def resemble(self, f):
        """Have f's name and docstring."""
        functools.update_wrapper(self, f, assigned=("__name__", "__qualname__", "__doc__", "__module__"), updated=())

    def arguments(self, args, kwargs):
        """The arguments of a call, sorted."""
        return Arguments(args, kwargs, self.argnums, f"{self.verb} of {self.name}", self.still)

    def __reduce__(self):                # tapes stay behind: what is copied or unpickled records anew
        return type(self), (self.f, self.argnums, self.has_aux, self.audit)

    def check(self, tape):
        """May the verb be applied to what was recorded?  DerivativeError if not."""
        raise NotImplementedError

    def replay(self, entry, values, extra):
        """One evaluation at plain values, packed."""
        raise NotImplementedError

    def nest(self, parent, tape, ids, values, extra):
        """The same by instructions in the recording `parent`, where the inputs are `ids`."""
        raise NotImplementedError

    def slow(self, args, kwargs, failed=None, error=None):
        """Answer a call that the last tape (`failed`, if it was tried) does not."""
        return self.call(args, kwargs, (), failed, error)

    # -- results in the caller's arrays

    @functools.cached_property
    def passes_out(self):
        """Is `out` an argument of f itself?"""
        return takes_keyword(self.f, "out")

    def taken_out(self, kwargs):
        """The caller's arrays, out of the keywords; None: there are none."""
        return None if "out" not in kwargs or self.passes_out else kwargs.pop("out")

    def call_into(self, out, args, kwargs, extra=None):
        """Answer a call whose derivatives go into `out`, if it is there; `extra` as in `call`."""
        result = self.dispatch(args, kwargs, out) if extra is None else self.call(args, kwargs, extra)
        if out is None:
            return result
        if self.mode == VALUE_AND_GRADIENT:
            return result[0], written_into(out, result[1])
        if self.has_aux:
            return written_into(out, result[0]), result[1]
        return written_into(out, result)

    # -- calls

    def call(self, args, kwargs, extra, failed=None, error=None):
        """Answer a call; `extra` is what the verb takes beside the arguments of f (directions)."""
        arguments = self.arguments(args, kwargs)
        if T.current_tape() is not None or any(map(T.is_wrapped, arguments.values)) \
                or extra and any(map(T.is_wrapped, trees.flatten(extra)[0])):
            return self.call_nested(arguments, extra)
        reason = None if failed is None else self.guard_failed(error)
        for entry in self.cache.find(arguments.key):
            if entry is failed or not entry.tape.serves(arguments.values):
                continue
            changed = entry.why_changed(self.f)
            if changed is not None:
                reason = {"kind": "state", "detail": changed} if self.outdated(entry) else reason
                continue
            start = thread_time()        # of this thread: what it waits for others is not ours to save
            try:
                result = self.replay(entry, arguments.values, extra)
            except TapeDivergence as divergence:
                reason = self.guard_failed(divergence)
                continue
            self.answered(entry, arguments, thread_time() - start)
            return result
        entry = self.record(arguments, reason or self.why_new(arguments))
        try:
            result = self.replay(entry, arguments.values, extra)
        except TapeDivergence as divergence:
            self.cache.remove(entry)
            self.hot = None
            if isinstance(divergence, LinAlgDivergence):
                raise                    # f has a value here, and no derivative: NumPy's error, with the line
            raise UnstableDecisionError(
                f"{self.name}: {divergence.kind} at {divergence.location} went the other way in the sweep at the very "
                "point at which it was recorded: the decision lies within rounding. Compare with a tolerance there, "
                "or decide on ad.peek(x) if the branches agree.") from divergence
        if self.audit and (DOUBTED in entry.tape.derived or any(map(may_wrap, arguments.values))):
            self.audits += 1
            self.compare(entry, arguments)
        return result

    def guard_failed(self, divergence):
        """Count a replay that was given up; the event for `explain`."""
        self.guard_failures += 1
        return {"kind": "guard", "detail": divergence.kind, "location": divergence.location}

    def why_new(self, arguments):
        """The event for a first recording for arguments of this kind."""
        keys = list(self.cache.entries)
        if not keys or arguments.key in keys:    # those that fit are of other functions with the same code
            return {"kind": "first"}
        dynamic = [x for x in arguments.key if not isinstance(x, Static)]
        if any([x for x in key if not isinstance(x, Static)] == dynamic for key in keys):
            statics = ", ".join([repr(x.value) for x in arguments.key if isinstance(x, Static)])
            return {"kind": "static", "detail": statics}
        shapes = ", ".join([str(np.shape(x)) for x in arguments.values])
        return {"kind": "shape", "detail": f"inputs of shape {shapes}"}

    def outdated(self, entry):
        """Drop a tape whose function has changed; that of another closure over the same code may serve that one."""
        mine = self.recorded(entry)
        if mine:
            self.cache.remove(entry)
        if self.hot is entry:
            self.hot = None
        return mine

    def recorded(self, entry):
        """Is this a tape of this very function?  The cache has those of all closures over its code."""
        function = innermost(entry.function)
        return function is self.watched or function == self.watched

    def answered(self, entry, arguments, seconds):
        """Book-keeping of a replay; the audit is due at calls 2, 4, 8 ..."""
        entry.calls += 1
        entry.touch()
        self.replays += 1
        self.cache.promote(entry)
        self.hot = entry
        if entry.compile_at and entry.calls >= entry.compile_at:
            self.consider(entry, seconds)
        if self.audit and Audit.due(entry.calls):
            self.audits += 1
            self.compare(entry, arguments)

    def consider(self, entry, seconds):
        """Compile if as many calls as there were would have paid for it; else look again after more of them.

        Whoever stops calling just then has lost no more time than the sweeps took that he had made.
        """
        pays = compiling(entry.tape) / (self.gain * max(seconds, 1e-7))
        if entry.calls < pays:
            entry.compile_at = min(int(pays) + 1, 4 * entry.calls)   # (that one replay may have been a slow one)
            return
        self.translate(entry)

    @staticmethod
    def first_sweep_costs_more(tape):
        """Would a sweep over the tape alone, in new memory, take longer than compiling?

        The tape keeps every value and every adjoint, a program what it needs at a time: with large arrays the system
        would be asked for gigabytes, page by page, that nobody uses again once there is a program.
        """
        return tape.arena_bytes >= LARGE and compiling(tape) < FIRST_SWEEP * tape.arena_bytes

    def translate(self, entry):
        """Compile, once; what has no program goes on with sweeps over the tape."""
        entry.compile_at = 0
        try:
            self.compile(entry)
        except (UnsupportedError, MemoryError):      # the sweeps over the tape itself go on
            entry.program = None
        entry.weigh()

    def compare(self, entry, arguments):
        """Run plain f and compare: StaleTapeError if the tape no longer computes what f does."""
        signature = entry.tape.signature
        leaves = [None] * trees.count(arguments.tree)
        for k, value in [*zip(arguments.positions, arguments.values, strict=True), *arguments.statics.items(),
                         *arguments.complexes.items()]:
            leaves[k] = value
        args, kwargs = trees.unflatten(arguments.tree, leaves)
        with np.errstate(all="ignore"):  # the sweep that is audited has warned
            outputs = signature.pack_outputs(self.outputs(entry, arguments.values))
        with self.own_changes():
            try:
                Audit(self.f, signature.name, signature.location).check(args, kwargs, outputs,
                                                                        entry.tape.derived.get(DOUBTED))
            except StaleTapeError:
                self.outdated(entry)
                raise

    @contextmanager
    def own_changes(self):
        """While f runs: what it changes itself (a counter, a list of prints) makes no tape of it out of date.

        Nor does it a tape of another closure over the same code, if it changes only what they have in common; what
        another thread changes meanwhile in a closure of its own is not f's doing.
        """
        alive = [e for e in self.cache.all() if e.why_changed(e.function) is None]
        yield
        for e in alive:
            if e.why_changed(e.function) is not None and (self.recorded(e) or e.watch.changed_through(self.watched)):
                e.watch.refresh()

    def compile(self, entry):
        """Set entry.program to what the verb then runs; a verb without a program leaves it."""

    def outputs(self, entry, values):
        """The tape's outputs at a point, for the audit."""
        return entry.tape.sweep(values)

    def record(self, arguments, event):
        """A fresh tape for these arguments, into the cache."""
        self.events.append(event)
        self.recordings += 1
        with self.own_changes():
            tape = record_call(self.f, arguments, as_floats=self.as_floats)
        self.check(tape)
        bound = tape.captures + [found[0] for found in tape.derived.get(MADE_OUTSIDE, {}).values()]
        watch = Watch(self.watched, list(arguments.statics.values()), bound)
        entry = Entry(tape, self.f, arguments.key, watch, self.lone(tape))
        entry.compile_at = self.patience
        if self.memory is not None:
            entry.compile_at = 0
            self.compile(entry)          # or an error: what keeps everything is no way out
            entry.weigh()
        elif self.saves_memory and self.first_sweep_costs_more(tape):
            self.translate(entry)        # before the cache weighs it
        if self.programs_in_numbers and entry.program is None:
            entry.swept = tapes.in_numbers(tape)
            entry.weigh()
        self.cache.add(entry)
        self.hot = entry
        return entry

    def lone(self, tape):
        """Is the answer one number and one array, with nothing to pack?"""
        signature = tape.signature
        return (not self.has_aux and isinstance(self.argnums, int) and sum(signature.active) == 1
                and not signature.complex_in)

    # -- inside another recording

    def call_nested(self, arguments, extra):
        """Record the inner function, transform it, and write the result into the recording around.  Never cached."""
        with enclosing(arguments.values, trees.flatten(extra)[0]) as parent:
            parent.derived[DERIVATIVE] = parent.derived.get(FUNCTION) is self
            tape = record_call(self.f, arguments, enclosing=True)
            self.check(tape)
            values = [np.array(T.concrete(x)) for x in arguments.values] + tape.lifted_values
            if not tape.lifted_from and not tape.captures and not any(map(T.is_traced, arguments.values)) \
                    and not any(map(T.is_traced, trees.flatten(extra)[0])):
                return self.replay(Entry(tape, self.f, arguments.key, None, False), values, extra)
            ids = [T.id_in(parent, x) for x in arguments.values] + list(tape.lifted_from)
            return self.nest(parent, tape, ids, values, extra)

    def stats(self):
        """Counts of recordings, replays, audits, guard failures, and what is kept; see Stats."""
        entries = self.cache.all()
        return Stats(recordings=self.recordings, replays=self.replays, audits=self.audits,
                     guard_failures=self.guard_failures, tapes=len(entries), bytes=sum([e.nbytes for e in entries]),
                     memory=getattr(self.hot and self.hot.program, "report", None), native=native_loops_of(entries))

    def clear(self):
        """Forget all tapes of this code under this verb."""
        self.cache.clear()
        self.hot = None


class enclosing:
    """The recording to which a nested call belongs; variables' tapes stand on the stack while the call lasts."""

    def __init__(self, *groups):
        self.tape = T.current_tape()
        found = T.tape_of(*[x for group in groups for x in group if T.is_traced(x)])
        self.pushed = self.tape is None
        if self.pushed:
            self.tape = found

    def __enter__(self):
        if self.pushed:
            T.recordings().append(self.tape)     # never None: a nested call has a recording around, or variables
        return self.tape

    def __exit__(self, *error):
        if self.pushed:
            T.recordings().pop()
