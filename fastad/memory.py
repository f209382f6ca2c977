"""memory.py - gradients within a number of bytes: what a program needs, and what is left out until it fits.

Owns: the meaning of `memory=`, the division of a budget among the time loops of a tape, what a program that keeps
less says of itself, and the errors when nothing fits.
Must not know: how loops are cut (scan_checkpoints.py), which schedule is best (checkpoints.py).
Counted is what a sweep of one thread allocates and keeps: the arena of the program, the programs and the states of
loops inside it. Not counted: arguments, captured arrays and results, which are the caller's, and the tape.
Next: tapes.py (gradient tapes), verbs.py (who asks for one).
"""
from __future__ import annotations

import re
from typing import Any

import numpy as np

from fastad import _passes, tapes
from fastad import _tape as T
from fastad._segments import part
from fastad.errors import BudgetError, UnsupportedError
from fastad.function import Function
from fastad.scan_checkpoints import Rooms
from fastad.segments import Columns, Cut, Parts, smallest_live_set

__all__ = ["Report", "WithinMemory", "along_program", "bytes_of", "gradient_program", "limit", "pullback_program"]

F64 = 0
UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
         "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}


def bytes_of(memory: Any) -> int | None:
    """A number of bytes from what the user gives as `memory`.

    Parameters
    ----------
    memory : int, str or None
        Bytes, or text like "500MB", "1.5 GiB"; None: no bound.

    Raises
    ------
    TypeError, ValueError
        It is neither, or no positive number of bytes.

    Examples
    --------
    >>> bytes_of("500MB"), bytes_of("1.5 GiB"), bytes_of(4096), bytes_of(None)
    (500000000, 1610612736, 4096, None)
    """
    if memory is None:
        return None
    if isinstance(memory, str):
        found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([A-Za-z]*)\s*", memory)
        if found is None or found[2].lower() not in UNITS:
            raise ValueError(f"memory={memory!r}: write a number of bytes, or text like '500MB', '2 GiB'")
        size = float(found[1]) * UNITS[found[2].lower()]
    elif isinstance(memory, (int, np.integer)) and not isinstance(memory, bool) \
            or isinstance(memory, (float, np.floating)) and float(memory).is_integer():       # 1e9
        size = int(memory)
    else:
        raise TypeError(f"memory={memory!r}: write a number of bytes, or text like '500MB', '2 GiB'")
    if size < 1:
        raise ValueError(f"memory={memory!r}: at least one byte is meant")
    return int(size)


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
    schedule : list of str
        A line for each loop that keeps less than everything.
    """

    __slots__ = ("memory", "peak", "recomputed", "schedule", "unchecked")

    def __init__(self, memory: int, peak: int, unchecked: int, loops: list[tuple[str, int, int, int]]) -> None:
        self.memory, self.peak, self.unchecked = memory, peak, unchecked
        steps, executed = sum([n for _, n, _, _ in loops]), sum([n for _, _, n, _ in loops])
        self.recomputed = executed / steps if steps else 1.0
        self.schedule = [f"{name}: {executed} steps executed for {n}, in room of {size(room)}"
                         for name, n, executed, room in loops]

    def __repr__(self) -> str:
        whole = (f"peak {size(self.peak)} of {size(self.memory)} ({size(self.unchecked)} if everything were kept), "
                 f"{self.recomputed:.2f} runs of each step")
        return "\n    ".join([whole, *self.schedule])


def size(n: float) -> str:
    """Bytes for people.

    Examples
    --------
    >>> size(512), size(16_700_000)
    ('512 B', '16.7 MB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if n < 1000:
            return f"{n:.3g} {unit}"
        n /= 1000
    return f"{n:.3g} TB"


def limit(tape: Any, memory: Any) -> None:
    """Compile a tape and its gradient, the latter within a budget."""
    size = bytes_of(memory)
    assert size is not None
    if any(tape.input_active) and tapes.real_outputs(tape):
        tape.derived["gradient program"] = gradient_program(tape, size, rest=1.0)
    tape.compile()


def gradient_program(tape: Any, memory: int, rest: float = 0.0) -> Any:
    """The compiled gradient of a tape, within a budget; its `report` says how.

    Parameters
    ----------
    tape : Tape
    memory : int
        Bytes.
    rest : float, optional
        Seed of the outputs other than the first, whose seed is 1.

    Raises
    ------
    BudgetError
        No way of keeping less suffices; the message has the smallest budget that works, and the line of f where most
        of the memory is.
    """
    def made(rooms: Any) -> Any:
        adjoint = tapes.transform().vjp(tape, rooms=rooms)
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
        program, fewest = in_segments(tape, rest, memory, unchecked)
        if program is None:
            fewest = min(least, fewest, unchecked)
            refuse(tape, memory, fewest, rest, 2 * fewest > unchecked)
        return program
    total = sum(chain.stored() for chain, _ in rooms.made)
    rooms = Rooms(memory - least, total)
    program = made(rooms)
    program.report = Report(memory, program.working_bytes(), unchecked, [
        (chain.value.name, chain.value.length, executed(attr.walk.schedule, int(chain.value.length), attr.walk.group),
         attr.walk.room) for chain, attr in rooms.made])
    return program


def product_program(tape: Any, memory: int | None) -> Any:
    """(inputs, directions) -> (the derivative along them, its gradient): a Hessian product within a budget.

    The tangent keeps nothing, so the gradient of the tangent is what can be cut: reverse over forward, where the
    product without a budget is forward over reverse.
    """
    tangent, n = tapes.jvp_tape(tape), len(tape.outputs)
    moves = [i for i, active in zip(tangent.inputs, tape.input_active, strict=False) if active]
    along = part(tangent, side_by_side(tangent), tangent.inputs, tangent.outputs[n:n + 1], active=moves)
    along.signature = tape.signature
    assert memory is not None
    return gradient_program(along, memory)


def pullback_program(tape: Any, memory: int | None) -> Any:
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
    return gradient_program(made, memory)


def along_program(tape: Any, memory: int | None) -> Any:
    """(inputs, directions) -> (outputs, their derivatives along these): nothing is kept, so nothing can be left out."""
    assert memory is not None
    tangent = tapes.jvp_tape(tape)
    program = tapes.program(part(tangent, side_by_side(tangent), tangent.inputs, tangent.outputs))
    least = program.working_bytes()
    if least > memory:
        name = getattr(tape.signature, "name", None) or "this function"
        raise BudgetError(f"{name}: memory={memory} ({size(memory)}) is too small for a sweep along a direction, which "
                          f"keeps nothing that could be computed again: the smallest that works is {least} "
                          f"({size(least)}).", least)
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
    gradient = tapes.transform().fix(adjoint, {len(tape.inputs) + k: seed for k, seed in enumerate(seeds)})
    algebra = tapes.with_seed(tape, adjoint, rest).boundary > 0
    return _passes.dead(_passes.simplify(_passes.fold(gradient), algebra)), algebra


def in_segments(tape: Any, rest: float, memory: int, unchecked: int) -> tuple[Any, int]:
    """(the gradient as segments within the budget or None, the smallest budget for it)."""
    cut = Cut(*cuttable(tape, rest))
    if cut.m < 2:
        return None, unchecked
    parts = Parts(cut)
    program = cut.program(cut.least(), parts)
    least = program.working_bytes()
    if least > memory:
        return None, least
    room = cut.least() + memory - least
    program = cut.program(room, parts)
    schedule = program.schedule
    name = getattr(tape.signature, "name", None) or "the tape"
    program.report = Report(memory, program.working_bytes(), unchecked, [
        (f"{name} in {cut.m} segments", cut.m, 1 + executed(schedule, cut.m - 1, 1), room)])
    return program, least


def executed(schedule: Any, n: int, group: int) -> int:
    """Steps of a loop that a schedule executes; the last group may be a short one."""
    total = 0
    for what, i, j, _ in schedule.actions.tolist():
        if what in (0, 3):                                   # ADVANCE, TAPE
            total += min(j * group, n) - min(i * group, n)
    return total


class WithinMemory(Function):
    """A verb whose sweeps may be given a number of bytes."""

    def __init__(self, f: Any, argnums: Any = 0, has_aux: bool = False, audit: bool = True,
                 memory: Any = None) -> None:
        memory = bytes_of(memory)
        super().__init__(f, argnums, has_aux, audit, *([] if memory is None else [memory]))
        self.memory = memory

    def __reduce__(self) -> Any:
        return type(self), (*super().__reduce__()[1], self.memory)

    def gradient_program(self, tape: Any) -> Any:
        """The compiled gradient; within the budget, if there is one."""
        if self.memory is None:
            return tapes.program(tapes.gradient_tape(tape))
        return gradient_program(tape, self.memory)

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


# ---- what cannot be done ---------------------------------------------------------------------------------------------

def refuse(tape: Any, memory: int, least: int, rest: float, uncut: bool) -> None:
    """BudgetError with the smallest budget that works and the line that holds the memory."""
    name = getattr(tape.signature, "name", None) or "this function"
    place, held = heaviest(tape)
    remedy = ""
    if uncut:
        alive, where = smallest_live_set(Columns(cuttable(tape, rest)[0]))
    if uncut and alive:
        remedy = (f" Cutting it into parts that are computed again saves little: on the way at least {size(alive)} are "
                  f"alive, the most of it of {where}.")
    raise BudgetError(f"{name}: memory={memory} ({size(memory)}) is too small for its gradient: the smallest that "
                      f"works is {least} ({size(least)}). Most of what is kept is of {place} ({size(held)}).{remedy}",
                      least)


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
