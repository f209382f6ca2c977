"""scan_bursts.py - several steps of a loop over numbers written out as one straight piece of code.

Owns: which loops are run so, how many steps are one piece, and which cells what is read and kept of each step gets:
those of one step beside those of the next, as in memory, so that one copy moves them all.
Must not know: how the pieces are run (_burst.pxi, _kernels/burst.h), why something is kept (scan_rules.py).
Next: _burst.pxi.
"""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from fastad import _tape as T
from fastad._transform import inline

__all__ = ["Burst", "burst"]

F64 = 0
MOST_INSTRUCTIONS = 1600
MOST_STEPS = 32
LONGEST_BODY = 2000                      # beyond it the instructions take longer than anything around them
LINE = 8                                 # cells in a cache line
MOST_STATE = 64                          # numbers: FA_MOST_STATE


class Stream(NamedTuple):
    """Numbers (or the address of an array) of each step; offset and stride in numbers as in `Scan.sources`."""

    operand: int
    offset: int
    stride: int
    cell: int
    width: int               # numbers
    array: bool = False


class Column(NamedTuple):
    """One result of each step: values of the tape, in the order of memory."""

    values: list[int]
    offset: int
    stride: int


class Burst(NamedTuple):
    """Some steps of a loop as a tape; its inputs are the states, the fixed ones, the slices of each step.

    Attributes
    ----------
    tape : Tape
    steps : int
    own : list of int or None
        Inputs (their number) and outputs (~number) that have the cells 1, 2, ...; None: nobody.
    ins, kept : list of Stream
    next : list of int
        Outputs that are the state after the last step.
    outs : list of Column
        Of numbers of outputs.
    """

    tape: Any
    steps: int
    own: list[int | None]
    ins: list[Stream]
    kept: list[Stream]
    next: list[int]
    outs: list[Column]


def burst(scan: Any) -> Burst | None:
    """Several steps of the loop as one piece, or None where this is no loop over numbers."""
    body, nc = scan.body, scan.ncarry
    inputs, outputs = ([aval_of(body, i) for i in ids] for ids in (body.inputs, body.outputs))
    numbers = not any(shape for _, shape in [*inputs[:nc], *outputs])
    readable = all(dtype == F64 or shape for dtype, shape in inputs[nc:nc + scan.nslice])
    if not numbers or not readable or not 0 < nc <= MOST_STATE or body.boundary or len(body) > LONGEST_BODY:
        return None
    most = min(MOST_STEPS, scan.length // 2, max(1, MOST_INSTRUCTIONS // max(1, len(body))))
    if most < 1:
        return None
    # the steps that are left over run one by one
    span = scan.derived.get("span", scan.length)             # steps that run in a row
    most = min(most, span)
    return Writer(scan, min(range(most, most // 2, -1), key=lambda steps: span % steps)).run()


def aval_of(tape: Any, i: int) -> tuple[int, tuple[int, ...]]:
    """(dtype, shape) of a value."""
    return T.aval_of(tape.instruction(i)[2])


class Writer:
    """Writes the tape, and gives out the cells."""

    def __init__(self, scan: Any, steps: int) -> None:
        self.scan, self.steps = scan, steps
        self.tape = T.Tape()
        self.places = range(steps - 1, -1, -1) if scan.reverse else range(steps)     # steps by their place in memory
        self.own: list[int | None] = []
        self.outputs: list[int] = []
        self.named: dict[int, int] = {}          # value -> its output
        self.owned: set[int] = set()             # values that have a cell of `own`

    def input(self, k: int) -> int:
        body = self.scan.body
        return int(self.tape.emit_input(body.instruction(body.inputs[k])[2], True))

    def run(self) -> Burst:
        scan, nc = self.scan, self.scan.ncarry
        slices = range(nc, nc + scan.nslice)
        states = [[self.input(k) for k in range(nc)]]
        fixed = [self.input(k) for k in range(nc + scan.nslice, len(scan.sources))]
        first = len(self.tape.inputs)
        sliced = [[self.input(k) for k in slices] for _ in range(self.steps)]
        results = []
        for j in range(self.steps):
            out = inline(self.tape, scan.body, [*states[j], *sliced[j], *fixed])
            states.append(out[:nc])
            results.append(out)
        ins = [self.stream(group, first) for group in self.groups(slices)]
        kept = [self.record(offset, carries, late, states, results)
                for offset, carries, late in scan.numbers if carries or late]
        recorded = {k for _, _, late in scan.numbers for k in late}
        outs = [Column([self.output(results[j][k]) for j in self.places], *self.place(k))
                for k in range(nc, len(scan.body.outputs)) if k not in recorded]
        after = [self.output(i) for i in states[-1]]
        self.tape.set_outputs(self.outputs)
        return Burst(self.tape.finish(), self.steps, self.own, ins, kept, after, outs)

    def place(self, k: int) -> tuple[int, int]:
        offset, _, stride = self.scan.stacked[k - self.scan.ncarry]
        return offset, stride

    def output(self, value: int) -> int:
        """The number of the output that is this value."""
        if value not in self.named:
            self.named[value] = len(self.outputs)
            self.outputs.append(value)
        return self.named[value]

    def groups(self, slices: Iterable[int]) -> list[list[int]]:
        """Slices that lie side by side at each step, in this order; arrays alone."""
        found: list[list[int]] = []
        sources = self.scan.sources
        for k in sorted(slices, key=lambda k: (sources[k][0], sources[k][2], sources[k][1])):
            operand, offset, stride = sources[k]
            if found and not self.is_array(k) and sources[found[-1][-1]] == (operand, offset - 1, stride) and \
                    len(found[-1]) < stride and not self.is_array(found[-1][0]):
                found[-1].append(k)
            else:
                found.append([k])
        return found

    def is_array(self, k: int) -> bool:
        return aval_of(self.scan.body, self.scan.body.inputs[k])[1] != ()

    def new_line(self) -> int:
        """The next cell that begins a cache line: a vector that crosses two is stored slowly."""
        self.own += [None] * (-(len(self.own) + 1) % LINE)
        return len(self.own) + 1

    def stream(self, group: list[int], first: int) -> Stream:
        """Cells for these slices of all steps."""
        cell = self.new_line()
        self.own += [first + j * self.scan.nslice + k - self.scan.ncarry for j in self.places for k in group]
        operand, offset, stride = self.scan.sources[group[0]]
        return Stream(operand, offset, stride, cell, len(group), self.is_array(group[0]))

    def record(self, offset: int, kept: tuple[int, ...], late: tuple[int, ...], states: list[list[int]],
               results: list[list[int]]) -> Stream:
        """Cells for the record of all steps."""
        cell, count = self.new_line(), len(kept) + len(late)
        for j in self.places:
            self.own += [k if j == 0 else ~self.owner(states[j], k) for k in kept]
            self.own += [~self.owner(results[j], k) for k in late]
        return Stream(-1, offset, count, cell, count)

    def owner(self, values: list[int], k: int) -> int:
        """The output that has the cell of this value, a copy where it has another already, or is none's to give."""
        value = values[k]
        if value in self.owned or self.tape.instruction(value)[0] in ("input", "const", "capture"):
            value = self.tape.emit("multiply", (value, self.tape.emit_const(1.0, F64)), T.aval(F64, ()))
        self.owned.add(value)
        return self.output(value)
