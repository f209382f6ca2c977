"""memory.py - gradients within a number of bytes: what a program needs, and what is left out until it fits.

Owns: the meaning of `memory=`, the division of a budget among the time loops of a tape, what a program that keeps
less says of itself, and the errors when nothing fits.
Must not know: how loops are cut (scan_checkpoints.py), which schedule is best (checkpoints.py), files (disk.py).
Counted is what a sweep of one thread allocates and keeps: the arena of the program, the programs and the states of
loops inside it. Not counted: arguments, captured arrays and results, which are the caller's, and the tape; and what the
system keeps in memory of a file on a disk, which it can give up.
Next: tapes.py (gradient tapes), verbs.py (who asks for one).
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastad import _passes, tapes
from fastad import _tape as T
from fastad._segments import part
from fastad.disk import OnDisk, Spool, place_of
from fastad.errors import BudgetError, UnsupportedError
from fastad.function import Function
from fastad.scan_checkpoints import Rooms
from fastad.segments import TOGETHER, Columns, Cut, Parts, smallest_live_set
from fastad.sizes import bytes_of, size

__all__ = ["Report", "WithinMemory", "along_program", "bytes_of", "gradient_program", "limit", "place_of",
           "pullback_program"]

F64 = 0
SCARCE = 5.0                             # steps' time for each step, there and back: many run again and again


class Report:
    """What a program within a budget does.

    Attributes
    ----------
    memory : int
        The budget in bytes.
    peak : int
        Bytes that a sweep of one thread needs, arguments and results aside.
    unchecked : int
        Bytes that it would need if everything were kept.
    recomputed : float
        Steps executed forwards for each step of the loops; 1.0: none is computed again.
    disk : int
        Bytes of temporary files that one sweep uses, in the directory of `disk=`.
    schedule : list of str
        A line for each loop that keeps less than everything in memory.
    """

    __slots__ = ("disk", "memory", "peak", "recomputed", "schedule", "unchecked")

    def __init__(self, memory: int, peak: int, unchecked: int, loops: list[tuple[str, int, int, int]],
                 disk: int = 0) -> None:
        self.memory, self.peak, self.unchecked, self.disk = memory, peak, unchecked, disk
        steps, executed = sum([n for _, n, _, _ in loops]), sum([n for _, _, n, _ in loops])
        self.recomputed = executed / steps if steps else 1.0
        self.schedule = [f"{name}: {executed} steps executed for {n}, in room of {size(room)}"
                         for name, n, executed, room in loops]

    def __repr__(self) -> str:
        whole = (f"peak {size(self.peak)} of {size(self.memory)} ({size(self.unchecked)} if everything were kept), "
                 f"{self.recomputed:.2f} runs of each step{f', {size(self.disk)} on disk' if self.disk else ''}")
        return "\n    ".join([whole, *self.schedule])


def limit(tape: Any, memory: Any, place: Any = None) -> None:
    """Compile a tape and its gradient, the latter within a budget."""
    budget = bytes_of(memory)
    assert budget is not None
    if any(tape.input_active) and tapes.real_outputs(tape):
        tape.derived["gradient program"] = gradient_program(tape, budget, place, rest=1.0)
    tape.compile()


def gradient_program(tape: Any, memory: int, place: Any = None, rest: float = 0.0) -> Any:
    """The compiled gradient of a tape, within a budget; its `report` says how.

    Parameters
    ----------
    tape : Tape
    memory : int
        Bytes.
    place : Place, optional
        On a disk, for steps that find no room in memory.
    rest : float, optional
        Seed of the outputs other than the first, whose seed is 1.

    Raises
    ------
    BudgetError
        No way of keeping less suffices; the message has the smallest budget that works, and the line of f where most
        of the memory is.  Or the bound of the disk does not suffice for one step.
    """
    numbers = tapes.in_numbers(tape)

    def made(rooms: Any) -> Any:
        adjoint = tapes.transform().vjp(numbers, rooms=rooms)
        return tapes.program(tapes.with_seed(tape, adjoint, rest))
    whole = made(None)
    unchecked = whole.working_bytes()
    if unchecked <= memory:
        whole.report = Report(memory, unchecked, unchecked, [])
        return whole
    rooms = Rooms()
    program = made(rooms)
    least = program.working_bytes()
    if not rooms.made or least > memory:
        program, fewest = in_segments(numbers, rest, memory, unchecked, place)
        if program is None:
            fewest = min(least, fewest, unchecked)
            refuse(tape, memory, fewest, rest, 2 * fewest > unchecked)
        return program
    total = sum(chain.stored() for chain, _ in rooms.made)
    program, rooms, spool = in_rooms(made, memory, least, total, place)
    if spool is not None:
        need_step(tape, spool)
        program = OnDisk(program, spool)
    report(program, memory, unchecked, spool, lambda: [
        (chain.value.name, chain.value.length, executed(attr.walk.schedule, int(chain.value.length), attr.walk.group),
         attr.walk.room) for chain, attr in rooms.made])
    return program


def in_rooms(made: Callable[[Any], Any], memory: int, least: int, total: int, place: Any) -> tuple[Any, Rooms, Any]:
    """(the program whose loops share what there is beyond the least, their rooms, files)."""
    extra = memory - least
    while True:
        spool = None if place is None else Spool(place)
        rooms = Rooms(extra, total, spool)
        program = made(rooms)
        over = program.working_bytes() - memory
        if over <= 0 or extra == 0:
            return program, rooms, spool
        extra = max(0, extra - max(over, 64))                # (what is around larger rooms may lie less well)


def report(program: Any, memory: int, unchecked: int, spool: Any, loops: Callable[[], Any]) -> None:
    """Have a program say what it does; also after it has changed its plan."""
    peak = program.working_bytes()

    def say() -> None:
        program.report = Report(memory, peak, unchecked, loops(), 0 if spool is None else spool.on_disk())
    say()
    if spool is not None:
        spool.changed = say


def need_step(tape: Any, spool: Any) -> None:
    """BudgetError where the disk has a bound, and not one step finds room within it."""
    most, needed = spool.place.most, spool.needed()
    if most is not None and most < needed:
        raise BudgetError(f"{name_of(tape)}: disk={spool.place!r} ({size(most)}) is too small for the steps of its "
                          f"time loops: the smallest bound that is of use is {needed} ({size(needed)}).", needed)


def product_program(tape: Any, memory: int | None, place: Any = None) -> Any:
    """(inputs, directions) -> (the derivative along them, its gradient): a Hessian product within a budget.

    The tangent keeps nothing, so the gradient of the tangent is what can be cut: reverse over forward, where the
    product without a budget is forward over reverse.
    """
    tangent, n = tapes.jvp_tape(tape), len(tape.outputs)
    moves = [i for i, active in zip(tangent.inputs, tape.input_active, strict=False) if active]
    along = part(tangent, side_by_side(tangent), tangent.inputs, tangent.outputs[n:n + 1], active=moves)
    along.signature = tape.signature
    assert memory is not None
    return gradient_program(along, memory, place)


def pullback_program(tape: Any, memory: int | None, place: Any = None) -> Any:
    """(inputs, a weight for each real output) -> (their weighted sum, the outputs, its gradient): the adjoint of a tape
    within a budget."""
    assert memory is not None
    made, real = T.Tape(), [(k, *aval) for k, aval in enumerate(tapes.output_avals(tape)) if aval[0] in T.REAL]
    ids = [made.emit_input(T.aval(*aval), active)
           for aval, active in zip(tapes.input_avals(tape), tape.input_active, strict=True)]
    weights = [made.emit_input(T.aval(dtype, shape), False) for _, dtype, shape in real]
    outputs = tapes.transform().inline(made, tape, ids)
    total = made.emit_const(0.0, F64)
    for w, (k, dtype, shape) in zip(weights, real, strict=True):
        term = made.emit("strongzero", (w, outputs[k]), T.aval(dtype, shape))
        if shape:
            term = made.emit("sum", (term,), T.aval(dtype, ()), T.Axis(1, int(np.prod(shape, dtype=np.int64)), 1))
        if dtype != F64:
            term = made.emit("cast", (term,), T.aval(F64, ()))
        total = made.emit("add", (total, term), T.aval(F64, ()))
    made.set_outputs([total, *outputs])
    made.finish()
    made.signature = tape.signature
    return gradient_program(made, memory, place)


def along_program(tape: Any, memory: int | None, place: Any = None) -> Any:
    """(inputs, directions) -> (outputs, their derivatives along these): nothing is kept, so nothing can be left out
    or go to a disk."""
    assert memory is not None
    tangent = tapes.jvp_tape(tape)
    program = tapes.program(part(tangent, side_by_side(tangent), tangent.inputs, tangent.outputs))
    least = program.working_bytes()
    if least > memory:
        raise BudgetError(f"{name_of(tape)}: memory={memory} ({size(memory)}) is too small for a sweep along a "
                          f"direction, which keeps nothing that could be computed again: the smallest that works "
                          f"is {least} ({size(least)}).", least)
    program.report = Report(memory, least, least, [])
    return program


def value_program(tape: Any) -> Any:
    """The compiled tape: a sweep that keeps nothing."""
    return tapes.kept(tape, "program of the value", tapes.program)


def side_by_side(tape: Any) -> list[int]:
    """The instructions of a tangent tape in the order of time: each tangent behind the values that it is made of, and
    not behind those of all later steps."""
    when = [0] * (len(tape) + 1)
    leaves, rest = [], []
    for i in range(1, len(tape) + 1):
        name, operands, _, _ = tape.instruction(i)
        if name in ("const", "capture"):
            leaves.append(i)
        elif name != "input":
            when[i] = i if i < tape.boundary else max([when[x] for x in operands])
            rest.append(i)
    return [*leaves, *sorted(rest, key=lambda i: (when[i], i))]


def cuttable(tape: Any, rest: float) -> tuple[Any, bool]:
    """(the gradient tape, simplified as in the program that keeps everything, so that the bits are the same, but with
    nothing that is computed twice made one; was its derivative code simplified?)."""
    adjoint = tapes.transform().vjp(tape)
    seeds = [np.full(shape, rest if k else 1.0)[()] for k, (dtype, shape) in enumerate(tapes.output_avals(tape))
             if dtype in T.REAL]
    gradient = _passes.split(tapes.transform().fix(adjoint, {len(tape.inputs) + k: x for k, x in enumerate(seeds)}))
    algebra = tapes.with_seed(tape, adjoint, rest).boundary > 0
    return _passes.dead(_passes.simplify(_passes.fold(gradient), algebra)), algebra


def in_segments(tape: Any, rest: float, memory: int, unchecked: int, place: Any = None) -> tuple[Any, int]:
    """(the gradient as segments within the budget or None, the smallest budget for it)."""
    shortest = Cut(*cuttable(tape, rest))
    if shortest.m < 2:
        return None, unchecked
    bound = None if place is None else place.most
    join = bound is None or bound > 2 * max(TOGETHER) * shortest.record
    cut, parts, room = of_best_length(shortest, memory, join)
    least = memory - room + cut.least()
    if least > memory:
        return None, least
    program = cut.program(room, parts, place)
    if place is not None:
        need_step(tape, program.spool)
    report(program, memory, unchecked, program.spool, lambda: [
        (f"{name_of(tape)} in {cut.m} segments", cut.m, 1 + executed(program.schedule, cut.m - 1, 1), room)])
    return program, least


def of_best_length(shortest: Cut, memory: int, join: bool) -> tuple[Cut, Parts, int]:
    """(segments, what they consist of, bytes of room for their states and records): several short ones are one where
    they may and that is faster.  Programs of long ones leave less room, how much is known when they are there: where
    it is scarce, the short ones are tried, too.  What these need at least is the smallest budget that works."""
    group = shortest.together(memory - shortest.room) if join else 1
    if group > 1:
        long = with_room(shortest.joined(group), memory)
        time = shortest.expected(group, long[2])
        if time < SCARCE * (shortest.m + 1) and memory > 2 * (memory - long[2] + shortest.least()):
            return long
        short = with_room(shortest, memory)
        return short if short[2] < shortest.least() or shortest.expected(1, short[2]) <= time else long
    return with_room(shortest, memory)


def with_room(cut: Cut, memory: int) -> tuple[Cut, Parts, int]:
    """Segments, what they consist of, and the room that their programs leave."""
    parts = Parts(cut)
    return cut, parts, cut.least() + memory - cut.program(cut.least(), parts).working_bytes()


def executed(schedule: Any, n: int, group: int) -> int:
    """Steps of a loop that a schedule executes; the last group may be a short one."""
    total = 0
    for what, i, j, _ in schedule.actions.tolist():
        if what in (0, 3):                                   # ADVANCE, TAPE
            total += min(j * group, n) - min(i * group, n)
    return total


class WithinMemory(Function):
    """A verb whose sweeps may be given a number of bytes."""

    def __init__(self, f: Any, argnums: Any = 0, has_aux: bool = False, audit: bool = True, memory: Any = None,
                 disk: Any = None, *options: Any) -> None:
        self.disk = place_of(disk, memory)
        self.memory = memory = bytes_of(memory)
        budget = [] if memory is None else [memory] if self.disk is None else [memory, repr(self.disk)]
        super().__init__(f, argnums, has_aux, audit, *options, *budget)

    def __reduce__(self) -> Any:
        return type(self), (*super().__reduce__()[1], self.memory, self.disk and self.disk.given())

    def gradient_program(self, tape: Any) -> Any:
        """The compiled gradient; within the budget, if there is one."""
        if self.memory is None:
            return tapes.value_and_gradient_program(tape)
        return gradient_program(tape, self.memory, self.disk)

    def outputs(self, entry: Any, values: Any) -> Any:
        """For the audit: a sweep over the tape itself would keep everything."""
        return super().outputs(entry, values) if self.memory is None else value_program(entry.tape).run(values)

    def keep_within(self, entry: Any) -> None:
        """Have a program where there is a budget: sweeps over the tape would keep everything."""
        if self.memory is not None and entry.program is None:
            self.compile(entry)

    def need_no_budget(self) -> None:
        """UnsupportedError inside another recording, whose memory it is."""
        if self.memory is not None:
            raise UnsupportedError(f"{T.here()}: {self.verb} of {self.name} with memory= inside another recording: "
                                   "what is kept there is the outer one's. Give memory= to the outermost verb.")


def name_of(tape: Any) -> str:
    """Of the function that was recorded."""
    return getattr(tape.signature, "name", None) or "this function"


# ---- what cannot be done ---------------------------------------------------------------------------------------------

def refuse(tape: Any, memory: int, least: int, rest: float, uncut: bool) -> None:
    """BudgetError with the smallest budget that works and the line that holds the memory."""
    place, held = heaviest(tape)
    remedy = ""
    if uncut:
        alive, where = smallest_live_set(Columns(cuttable(tape, rest)[0]))
    if uncut and alive:
        remedy = (f" Cutting it into parts that are computed again saves little: on the way at least {size(alive)} are "
                  f"alive, the most of it of {where}.")
    raise BudgetError(f"{name_of(tape)}: memory={memory} ({size(memory)}) is too small for its gradient: the "
                      f"smallest that works is {least} ({size(least)}). Most of what is kept is of {place} "
                      f"({size(held)}).{remedy}", least)


def heaviest(tape: Any) -> tuple[str, float]:
    """(line of f whose values the reverse part keeps most bytes of, how many)."""
    g = _passes.optimise(tapes.transform().vjp(tape))
    held: dict[str, float] = {}
    place = getattr(tape.signature, "location", None) or "its first line"
    read: set[int] = set()
    for i in range(g.boundary, len(g) + 1):
        read |= set(g.instruction(i)[1])
    for i in range(1, g.boundary):
        name, _, aval, _ = g.instruction(i)
        place = g.location(i) or place
        dtype, shape = T.aval_of(aval)
        if i in read and name not in ("input", "capture", "const", "reshape"):
            held[place] = held.get(place, 0.0) + float(np.prod(shape)) * np.dtype(T.DTYPES[dtype]).itemsize
    if not held:
        return place, 0.0
    return max(held.items(), key=lambda item: item[1])
