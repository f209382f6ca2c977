"""batching.py - one function at many points: `Batch`, the verb behind ad.batch.

Owns: which tape serves which lane: lanes that decide alike share one, found by trying; a lane that no tape serves is
computed by itself.  Inside another recording lanes are written into it, group by group.
Must not know: which arguments have lanes (lanes.py), how many are swept at once (lane_programs.py), how derivatives are
made: a verb that is batched is recorded as any other function.
Next: derivatives.py (what the user reads), _batch.pxi (a tape of many lanes).
"""
from __future__ import annotations

from typing import Any

import numpy as np

from fastad import _tape as T
from fastad import tapes
from fastad.audits import Audit
from fastad.complex_values import result_pairs
from fastad.errors import TapeDivergence, UnsupportedError
from fastad.function import Function, Stats, enclosing
from fastad.lane_programs import LanePrograms, in_chunks, in_threads
from fastad.lane_results import LaneResults, arranged, packed
from fastad.lanes import LaneArguments, checked_axes
from fastad.operands import live
from fastad.recording import DERIVATIVE, FUNCTION, record_call
from fastad.results import is_complex
from fastad.sizes import bytes_of

__all__ = ["Batch", "BatchStats"]

TAPES = 64                               # kept for one kind of arguments: one for each way in which lanes decide
HOPELESS = 32                            # lanes in a row that a tape does not serve, one by one: then it serves none
FIRST, WORTH = 8, 4                      # free recordings of a call; lanes that each must have served beyond them


class BatchStats(Stats):
    """What a batched callable has done so far.

    Attributes
    ----------
    recordings, replays, audits, guard_failures, tapes, bytes
        As of `Stats`; replays counts tapes that answered calls, whatever the number of lanes.
    lanes : int
        Lanes that were computed.
    alone : int
        Those of them that no tape served, and for which the function itself was called.
    lanes_at_once : int
        Lanes of one sweep, in the last call.
    looped : tuple of str
        Operations that have no form for many lanes, and run lane after lane.
    """

    __slots__ = ("alone", "lanes", "lanes_at_once", "looped")


class Batch(Function):
    """stacked arguments -> stacked results."""

    verb = "batch"
    as_floats = False                    # lanes give what f gives

    def __init__(self, f: Any, in_axes: Any = 0, out_axes: Any = 0, audit: bool = True, memory: Any = None) -> None:
        memory = bytes_of(memory)
        self.in_axes, self.out_axes = checked_axes(in_axes, "in_axes"), checked_axes(out_axes, "out_axes")
        super().__init__(f, (), False, audit, repr((self.in_axes, self.out_axes)), memory)
        self.memory = memory
        self.cache.limit = TAPES
        self.lanes = self.alone = self.lanes_at_once = 0
        self.looped: set[str] = set()

    def __reduce__(self) -> Any:
        return type(self), (self.f, self.in_axes, self.out_axes, self.audit, self.memory)

    def check(self, tape: Any) -> None:
        """Any result will do."""

    def slow(self, args: Any, kwargs: Any, failed: Any = None, error: Any = None) -> Any:
        lanes = LaneArguments(args, kwargs, self.in_axes, f"{self.verb} of {self.name}")
        if T.current_tape() is not None or any(map(T.is_wrapped, lanes.leaves)):
            return self.recorded_lanes(lanes)
        return Evaluation(self, lanes).result()

    def record(self, arguments: Any, event: Any) -> Any:
        """A tape of one lane, and room for its programs."""
        entry = super().record(arguments, event)
        entry.compile_at = 0
        entry.program = LanePrograms(entry.tape, self.memory)
        self.hot = None                  # no short way: it would take one lane for the arguments of a call
        return entry

    def swept(self, program: Any) -> None:
        """Note how lanes are swept."""
        self.lanes_at_once = max(self.lanes_at_once, program.lanes)
        self.looped.update(program.looped)

    def served(self, entry: Any, lanes: LaneArguments, left: np.ndarray, rest: np.ndarray) -> None:
        """Book-keeping of a tape that has answered for `left` but `rest`; the audit looks at one of these lanes."""
        entry.calls += 1
        entry.touch()
        if entry.program.grown:
            entry.program.grown = False
            entry.weigh()
        self.replays += 1
        self.cache.promote(entry)
        if Audit.due(entry.calls):
            done = np.setdiff1d(left, rest, assume_unique=True) if len(rest) else left
            self.audit_lane(entry, lanes, int(done[entry.calls * 7919 % len(done)]))

    def audit_lane(self, entry: Any, lanes: LaneArguments, lane: int) -> None:
        """Compare with the function itself, unless the user does not want that."""
        if self.audit:
            self.audits += 1
            arguments = lanes.arguments(lane)
            arguments.values = [x[()] if isinstance(x, np.ndarray) else x for x in arguments.values]
            self.compare(entry, arguments)

    def stats(self) -> BatchStats:
        """What it has done so far; see BatchStats."""
        known = super().stats()
        return BatchStats(**{name: getattr(known, name) for name in Stats.__slots__}, lanes=self.lanes,
                          alone=self.alone, lanes_at_once=self.lanes_at_once, looped=tuple(sorted(self.looped)))

    # -- inside another recording
    def recorded_lanes(self, lanes: LaneArguments) -> Any:
        """Instructions for all lanes in the recording around, one group of lanes that decide alike after the other."""
        if self.memory is not None:
            raise UnsupportedError(f"{T.here()}: {self.verb} of {self.name} with memory= inside another recording: "
                                   "what is kept there is the outer one's. Give memory= to the outermost verb.")
        with enclosing(lanes.leaves) as parent:
            whole = parent.derived.get(FUNCTION) is self
            lanes.leaves = [readable(x) if own else x for x, own in zip(lanes.leaves, lanes.own, strict=True)]
            groups, left = [], np.arange(lanes.k)
            while len(left):
                group = Group(self, lanes, left)
                group.write(parent, whole)
                groups.append(group)
                left = np.setdiff1d(left, group.lanes, assume_unique=True)
            return joined(groups, self.out_axes, lanes)


def readable(x: Any) -> Any:
    """Lanes in a recording: what is the caller's memory is read again at each replay."""
    return x if T.is_wrapped(x) or is_complex(x) else live(x)


# ---- one call at plain values ----------------------------------------------------------------------------------------

class Evaluation:
    """One call of a batch."""

    def __init__(self, owner: Batch, lanes: LaneArguments) -> None:
        self.owner, self.lanes = owner, lanes
        self.results = LaneResults(lanes.k, lanes.name)
        self.flags = 0
        self.reason: Any = None              # why the last tape that was tried did not serve all
        self.owner.lanes_at_once = 0

    def result(self) -> Any:
        """All lanes, by tapes that there are and by new ones."""
        owner, lanes = self.owner, self.lanes
        left, arguments = np.arange(lanes.k), lanes.arguments(0)
        owner.lanes += lanes.k
        for entry in owner.cache.find(arguments.key):
            if not len(left):
                break
            if not entry.tape.serves(arguments.values):
                continue
            changed = entry.why_changed(owner.f)
            if changed is not None:
                if owner.outdated(entry):
                    self.reason = {"kind": "state", "detail": changed}
                continue
            rest = self.serve(entry, arguments, left)
            if len(rest) < len(left):
                owner.served(entry, lanes, left, rest)
            left = rest
        made = served = 0
        while len(left):
            if made >= FIRST and served < WORTH * made:
                for lane in left:
                    self.compute_alone(int(lane))
                break
            entry = self.record(int(left[0]), arguments)
            rest = self.serve(entry, arguments, left)
            if len(rest) and rest[0] == left[0]:         # not even where it was recorded: within rounding, or an error
                self.compute_alone(int(left[0]))
                rest = rest[1:]
            if made == 0 and len(rest) < len(left) - 1:  # a second lane is a second call: random numbers would show
                self.owner.audit_lane(entry, lanes, int(np.setdiff1d(left, rest, assume_unique=True)[-1]))
            made, served, left = made + 1, served + len(left) - len(rest), rest
        T.report_exceptions(self.flags)
        return self.results.packed(owner.out_axes)

    def record(self, lane: int, arguments: Any) -> Any:
        mine = self.lanes.arguments(lane)
        with noted(lane):
            return self.owner.record(mine, self.reason or self.owner.why_new(arguments))

    def compute_alone(self, lane: int) -> None:
        """The function itself, for one lane."""
        args, kwargs = self.lanes.lane(lane)
        self.owner.alone += 1
        with noted(lane):
            self.results.put_result(lane, self.owner.f(*args, **kwargs))

    def serve(self, entry: Any, arguments: Any, left: np.ndarray) -> np.ndarray:
        """Have a tape compute the lanes that it can; the others."""
        return Sweeps(self, entry, arguments).run(left)


class Sweeps:
    """What one tape computes in one call."""

    def __init__(self, call: Evaluation, entry: Any, arguments: Any) -> None:
        self.call, self.tape, self.programs = call, entry.tape, entry.program
        self.lanes, self.results = call.lanes, call.results
        self.arguments = arguments
        self.own = self.lanes.inputs_in_lanes(arguments)

    def run(self, left: np.ndarray) -> np.ndarray:
        """Chunk by chunk, as if all lanes decided alike; then those chunks again where they do not."""
        failed = self.sweep(left)
        if not len(failed):
            return failed
        holds = self.decisions(failed)
        unlike = failed[~holds]
        again = failed[holds]
        if len(again) and len(unlike):
            again = self.sweep(again)
        return np.sort(np.concatenate([unlike, self.one_by_one(again)]))

    def sweep(self, left: np.ndarray) -> np.ndarray:
        """Compute these lanes; those of chunks in which not all decide as recorded, or in which something failed."""
        program = self.programs.program(self.own, len(left))
        self.call.owner.swept(program)
        chunks, errors, room = list(in_chunks(left, program.lanes)), list[Any](), False

        def one(chunk: Any) -> Exception | None:
            """Compute a chunk, or say why not."""
            lanes, place, _ = chunk
            values = self.lanes.values(self.arguments, lanes)
            out = self.results.targets(self.tape, place) if room and lanes is place and type(place) is slice else None
            try:
                with np.errstate(all="call", call=self.heard):
                    outputs = program.program.run(values, out)
            except Exception as error:
                return error
            if not room:
                self.results.expect_tape(self.tape, int(left[0]))
            if out is None:
                self.results.put(self.tape, place, outputs)
            self.results.put_kept(self.tape, place)
            return None

        while len(errors) < len(chunks) and not room:        # a tape that serves no lane says nothing of results
            errors.append(one(chunks[len(errors)]))
            room = errors[-1] is None
        errors += in_threads(one, chunks[len(errors):])
        failed = [left[:0]]
        for (_, place, _), error in zip(chunks, errors, strict=True):
            if isinstance(error, MemoryError):
                raise error
            if error is not None:
                self.note(error)
                failed.append(np.arange(place.start, place.stop) if isinstance(place, slice) else place)
        return np.concatenate(failed)

    def heard(self, what: str, flags: int) -> None:
        """A floating-point exception in a sweep: said once, when all lanes are there."""
        self.call.flags |= flags

    def note(self, error: Exception) -> None:
        if isinstance(error, TapeDivergence):
            self.call.reason = {"kind": "guard", "detail": error.kind, "location": error.location}
            self.call.owner.guard_failures += 1

    def decisions(self, left: np.ndarray) -> np.ndarray:
        """In which lanes do all recorded decisions hold?  All of them where that cannot be said."""
        program = self.programs.program(self.own, len(left), decisions=True)
        found = np.ones(len(left), bool)

        def one(item: Any) -> None:
            start, (lanes, _, m) = item
            try:
                with np.errstate(all="ignore"):
                    held = program.program.run(self.lanes.values(self.arguments, lanes))[0]
                found[start:start + m] = held[:m]
            except Exception:            # beyond a decision that went the other way anything may happen
                pass
        in_threads(one, [(k * program.lanes, chunk) for k, chunk in enumerate(in_chunks(left, program.lanes))])
        return found

    def one_by_one(self, left: np.ndarray) -> np.ndarray:
        """Compute each lane by the tape of one lane; those that it does not serve."""
        rest: list[Any] = []
        for n, lane in enumerate(left):
            if len(rest) == n == HOPELESS:
                return left
            values = [x[0] if own else x for x, own in
                      zip(self.lanes.values(self.arguments, np.array([lane])), self.own, strict=True)]
            try:
                with np.errstate(all="call", call=self.heard):
                    outputs = self.tape.sweep(values)
            except Exception as error:
                self.note(error)
                rest.append(lane)
                continue
            self.results.expect_tape(self.tape, int(lane))
            self.results.put(self.tape, np.array([lane]), [np.asarray(y)[None] for y in outputs])
            self.results.put_kept(self.tape, np.array([lane]))
        return np.array(rest, dtype=left.dtype)


class noted:
    """An error says in which lane it was."""

    def __init__(self, lane: int) -> None:
        self.lane = lane

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if isinstance(error, Exception):
            error.add_note(f"(in lane {self.lane} of a batch)")


# ---- lanes in another recording --------------------------------------------------------------------------------------

class Group:
    """Lanes that decide as the first one of `left` does, as instructions of the recording `parent`."""

    def __init__(self, owner: Batch, lanes: LaneArguments, left: np.ndarray) -> None:
        self.all, lane = lanes, int(left[0])
        arguments = lanes.arguments(lane)
        with noted(lane):
            self.tape = record_call(owner.f, arguments, enclosing=True, as_floats=False)
        tape = self.tape
        own = lanes.inputs_in_lanes(arguments) + [False] * len(tape.lifted_from)
        values = [lanes.leaves[n] if of_lanes else x
                  for n, x, of_lanes in zip(arguments.positions, arguments.values, own, strict=False)]
        self.lanes = left[self.decisions(own, values, left)]
        self.own, self.values = own, values

    def write(self, parent: Any, whole: bool) -> None:
        """The instructions: of as many lanes as the tape serves.  whole: there is nothing else in the recording."""
        tape = self.tape
        while True:
            inputs = [self.selected(x) if own else x for x, own in zip(self.values, self.own, strict=False)]
            concrete = [np.array(T.concrete(x)) for x in inputs] + tape.lifted_values
            batched = tapes.transform().batch(tape, len(self.lanes), self.own)
            try:
                results = tapes.swept(batched, concrete)
                break
            except Exception:
                if len(self.lanes) == 1:
                    raise
                self.lanes = self.lanes[:len(self.lanes) // 2]           # one of them fails: which, its turn will tell
        ids = [T.id_in(parent, x) for x in inputs] + list(tape.lifted_from)
        parent.derived[DERIVATIVE] = whole and len(self.lanes) == self.all.k
        self.outputs = tapes.written(parent, batched, ids, results)

    def leaf(self, n: int) -> Any:
        """Leaf n of the result for our lanes."""
        signature = self.tape.signature
        if n in signature.kept:
            x = np.asarray(signature.kept[n])
            return T.make_plain(np.broadcast_to(x, (len(self.lanes), *x.shape)).copy())
        return packed(self.outputs[LaneResults.outputs(self.tape).index(n)], n in signature.complex_out)

    def selected(self, x: Any) -> Any:
        """Our lanes of an input."""
        if len(self.lanes) < self.all.k:
            x = x[self.lanes]
        return result_pairs(x) if is_complex(x) else x

    def decisions(self, own: list[bool], values: list[Any], left: np.ndarray) -> np.ndarray:
        """Which lanes have their decisions in common with the first."""
        if not self.tape.guard_info:
            return np.ones(len(left), bool)
        program = LanePrograms(self.tape, None).program(own, len(left), decisions=True)
        found = []
        for chunk, _, m in in_chunks(left, program.lanes):
            inputs = [LaneArguments.chunk(T.concrete(x), chunk) if of_lanes else np.array(T.concrete(x))
                      for x, of_lanes in zip(values, own, strict=False)] + self.tape.lifted_values
            try:
                with np.errstate(all="ignore"):
                    found.append(program.program.run(inputs)[0][:m])
            except Exception:            # beyond a decision that went the other way anything may happen
                found.append(np.zeros(m, bool))
        holds = np.concatenate(found)
        holds[0] = True                  # (it was recorded there: inlining it says so if it does not hold)
        return holds


def joined(groups: list[Group], out_axes: Any, lanes: LaneArguments) -> Any:
    """The result of all groups, lanes in their order."""
    order = np.argsort(np.concatenate([group.lanes for group in groups]))
    first = LaneResults(lanes.k, lanes.name)
    for group in groups:                     # (for its errors: results must have one structure and one shape)
        first.expect_tape(group.tape, int(group.lanes[0]))
    leaves = list[Any]()
    for n, known in enumerate(first.known):
        if not known:
            leaves.append(first.leaves[n])
            continue
        parts = [group.leaf(n) for group in groups]
        leaves.append(parts[0] if len(parts) == 1 else np.concatenate(parts)[order])
    return arranged(leaves, first.known, first.tree, out_axes, lanes.name)
