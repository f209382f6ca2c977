"""scan_rules.py - the tangent and the adjoint of a time loop are time loops.

Owns: which state is kept for the adjoint, the bodies of derivative loops, where their results go.
Must not know: how a body is recorded (loops.py), how it is run (_scan.pyx).
The adjoint runs from the last step to the first: its state is the adjoint of the state and the sum of what the fixed
inputs have got so far; each step computes the body once more, from the state that was kept, and goes back through it
(Griewank and Walther, Evaluating Derivatives, 2nd ed., ch. 12).  Whatever the adjoint of one step does not read is not
kept.
Next: _scan.pyx (`Scan`), _transform.pyx (tapes of one step), structural_rules.py (what r and s are).
"""
from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastad import _passes, _transform
from fastad import _tape as T
from fastad._scan import Scan, active_values
from fastad.structural_rules import c_strides

__all__ = ["emit_adjoint", "emit_tangent", "for_adjoint"]

F64 = 0
Shape = tuple[int, ...]


# ---- one step -------------------------------------------------------------------------------------------------------

def aval_of(tape: Any, i: int) -> int:
    return tape.instruction(i)[2]


def shape_of(tape: Any, i: int) -> Shape:
    return T.aval_of(aval_of(tape, i))[1]


def with_activity(body: Any, active: Sequence[bool]) -> Any:
    """The body, with just these inputs active."""
    tape = T.Tape()
    ids = [tape.emit_input(aval_of(body, i), flag) for i, flag in zip(body.inputs, active, strict=True)]
    tape.set_outputs(_transform.inline(tape, body, ids))
    return tape.finish()


def activity(scan: Any, active: Sequence[bool]) -> tuple[list[bool], Any]:
    """(which inputs of the body move when these operands do, the body with these active): a fixed point."""
    body, n = scan.body, scan.ncarry
    moves = [operand >= 0 and active[operand] and T.aval_of(aval_of(body, i))[0] == F64
             for i, (operand, _, _) in zip(body.inputs, scan.sources, strict=True)]
    while True:
        tape = with_activity(body, moves)
        reached = active_values(tape, tape.outputs[:n])
        if all(m or not r for m, r in zip(moves, reached, strict=False)):
            return moves, tape
        moves[:n] = [m or r for m, r in zip(moves, reached, strict=False)]


class Body:
    """A tape in the making whose inputs are carries, slices and fixed ones, in that order."""

    def __init__(self) -> None:
        self.tape = T.Tape()
        self.sources: list[tuple[int, int, int]] = []
        self.ncarry = self.nslice = 0

    def carry(self, aval: int, operand: int, offset: int = 0) -> int:
        self.ncarry += 1
        return self.input(aval, operand, offset, 0)

    def slice(self, aval: int, operand: int, offset: int, stride: int) -> int:
        self.nslice += 1
        return self.input(aval, operand, offset, stride)

    def input(self, aval: int, operand: int, offset: int, stride: int) -> int:
        self.sources.append((operand, offset, stride))
        return self.tape.emit_input(aval, True)

    def zeros(self, aval: int) -> int:
        return self.tape.emit_const(np.zeros(T.aval_of(aval)[1], T.DTYPES[T.aval_of(aval)[0]]), T.aval_of(aval)[0])

    def finished(self, name: str, outputs: Iterable[int], length: int, reverse: bool, avals: Sequence[int],
                 kept: Sequence[int] = ()) -> Any:
        self.tape.set_outputs(list(outputs))
        body = _passes.optimise(self.tape.finish())
        return Scan(name, body, self.ncarry, self.nslice, length, reverse, self.sources, avals, kept)


def kinds(scan: Any) -> tuple[range, range, range]:
    """Numbers of the body's inputs: carries, slices, fixed."""
    nc, ns, n = scan.ncarry, scan.nslice, len(scan.sources)
    return range(nc), range(nc, nc + ns), range(nc + ns, n)


# ---- parts of results -----------------------------------------------------------------------------------------------

class Part(NamedTuple):
    """Numbers of a vector: `count` arrays of this shape, the first at `offset`, one every `stride`."""

    offset: int
    shape: Shape
    count: int = 1
    stride: int = 0

    def piece(self) -> tuple[Shape, int, tuple[int, ...]]:
        """(shape, offset, strides) as in a map."""
        return (self.count, *self.shape), self.offset, (self.stride, *c_strides(self.shape))


def moved(nsrc: int, ndst: int, pairs: Sequence[tuple[Part, Part]]) -> Any:
    """The map that brings parts of one vector to places in another; the rest is 0."""
    pieces, covered = [], 0
    for source, target in pairs:
        shape, soff, sstr = source.piece()
        pieces.append((shape, soff, sstr, target.offset, target.piece()[2]))
        covered += math.prod(shape)
    return T.Map(nsrc, ndst, tuple(pieces), None, None, covered == ndst, True, True)


def final_part(scan: Any, k: int) -> Part:
    return Part(*scan.final[k])


def stacked_part(scan: Any, k: int) -> Part:
    offset, shape = scan.stacked[k]
    return Part(offset, shape, scan.length, math.prod(shape))


def kept_part(scan: Any, k: int) -> Part:
    offset, stride = scan.records[k]
    return Part(offset, scan.final[k][1], scan.length, stride)


# ---- tangent --------------------------------------------------------------------------------------------------------

class Tangent(NamedTuple):
    scan: Any                # its operands: those of the old one, the tangents of the active ones; None: zero
    result: Any              # the map from its result to the tangent of the old one's


def emit_tangent(b: Any, s: Any) -> int:
    """The tangent of a loop: the loop with tangents beside its state.  0 where nothing moves."""
    active = tuple(x != 0 for x in s.dx)
    found = s.attr.derived.get(("tangent", active))
    if found is None:
        found = s.attr.derived["tangent", active] = tangent_scan(s.attr, active)
    if found.scan is None:
        return 0
    y = b.emit("call", [*s.x, *(x for x in s.dx if x)], found.scan.aval(), found.scan)
    return b.emit("move", (y,), s.aval, found.result)


def tangent_scan(scan: Any, active: tuple[bool, ...]) -> Tangent:
    moves, step = activity(scan, active)
    if not any(active_values(step, step.outputs)):
        return Tangent(None, None)
    operand_of = dict(zip([k for k, a in enumerate(active) if a], range(len(active), 2 * len(active)), strict=False))
    avals = [*scan.avals, *(aval for aval, a in zip(scan.avals, active, strict=True) if a)]
    body, carries, slices, fixed = Body(), *kinds(scan)
    ids: dict[int, int] = {}
    tangents: dict[int, int] = {}
    for group, make in ((carries, body.carry), (slices, body.slice), (fixed, body.input)):
        for wanted, target in ((range(len(moves)), ids), ([k for k in group if moves[k]], tangents)):
            for k in group:
                if k in wanted:
                    operand, offset, stride = scan.sources[k]
                    if target is tangents:
                        operand = operand_of.get(operand, -1)
                    rest = (offset,) if group is carries else (offset, stride)
                    target[k] = make(aval_of(scan.body, scan.body.inputs[k]), operand, *rest)
    out = _transform.inline(body.tape, _transform.jvp(step), [*ids.values(), *(tangents[k] for k in sorted(tangents))])
    primal, dots = out[:len(step.outputs)], out[len(step.outputs):]
    moving = [k for k in carries if moves[k]]
    dotted = [k for k, a in enumerate(active_values(step, step.outputs)) if a and k >= scan.ncarry]
    outputs = [*primal[:scan.ncarry], *(dots[k] for k in moving), *(dots[k] for k in dotted)]
    kept = [k for k in scan.kept if moves[k]]
    new = {k: scan.ncarry + j for j, k in enumerate(moving)}
    made = body.finished(f"tangent of {scan.name}", outputs, scan.length, scan.reverse, avals, [new[k] for k in kept])
    pairs = [(final_part(made, new[k]), final_part(scan, k)) for k in moving]
    pairs += [(stacked_part(made, j), stacked_part(scan, k - scan.ncarry)) for j, k in enumerate(dotted)]
    pairs += [(kept_part(made, new[k]), kept_part(scan, k)) for k in kept]
    return Tangent(made, moved(made.total, scan.total, pairs))


# ---- adjoint --------------------------------------------------------------------------------------------------------

class Adjoint(NamedTuple):
    scan: Any                # its operands: the adjoint of the result, the holder's result, the operands; None: zero
    holder: Any              # the scan that keeps the states which this one reads
    gives: Sequence[tuple[int, Part, Part]]     # (operand, part of its result, part of the operand)


def for_adjoint(scan: Any, active: tuple[bool, ...]) -> Any:
    """The scan that keeps what its adjoint reads; None where it does already."""
    holder = adjoint_of(scan, active).holder
    return None if holder is scan else holder


def adjoint_of(scan: Any, active: tuple[bool, ...]) -> Adjoint:
    found = scan.derived.get(("adjoint", active))
    if found is None:
        found = scan.derived["adjoint", active] = adjoint_scan(scan, active)
    return found


def emit_adjoint(r: Any, s: Any) -> None:
    """Write the adjoint of a loop: the loop that goes back."""
    rule = adjoint_of(s.attr, s.active)
    if rule.scan is None:
        return
    b = r.b
    result = s.y if rule.holder is s.attr else b.target.instruction(s.y)[1][0]
    y = b.emit("call", [s.w, result, *s.x], rule.scan.aval(), rule.scan)
    for operand, source, target in rule.gives:
        size = b.size(s.x[operand])
        if b.shape(s.x[operand]) == ():
            r.give(operand, b.emit("element", (y, source.offset), F64_SCALAR))
            continue
        there = moved(rule.scan.total, size, [(source, target)])
        if math.prod(target.piece()[0]) == size:
            r.give(operand, b.emit("move", (y,), b.aval_of(s.x[operand]), there))
        else:
            r.give_moved(operand, y, there)


def adjoint_scan(scan: Any, active: tuple[bool, ...]) -> Adjoint:
    moves, step = activity(scan, active)
    carries, slices, fixed = kinds(scan)
    moving = [k for k in carries if moves[k]]
    if not any(active_values(step, step.outputs)):
        return Adjoint(None, scan, ())
    back, used = one_step_back(step)
    needs = [k for k in carries if used[k]]
    holder = scan if set(needs) <= set(scan.kept) else scan.with_kept(sorted({*scan.kept, *needs}))
    stacked = [k for k, a in enumerate(active_values(step, step.outputs)) if a and k >= scan.ncarry]
    avals = [scan.aval(), holder.aval(), *scan.avals]
    aval = [aval_of(step, i) for i in step.inputs]
    body, inputs, seeds = Body(), dict.fromkeys(range(len(aval)), 0), dict.fromkeys(range(len(step.outputs)), 0)
    for k in moving:
        seeds[k] = body.carry(aval[k], W, scan.final[k][0])
    sums = {k: body.carry(aval[k], NOTHING) for k in fixed if moves[k]}
    for k in needs:
        inputs[k] = body.slice(aval[k], KEPT, *holder.records[k])
    for k in slices:
        inputs[k] = body.slice(aval[k], *shifted(scan.sources[k])) if used[k] else 0
    for k in stacked:
        part = stacked_part(scan, k - scan.ncarry)
        seeds[k] = body.slice(aval_of(step, step.outputs[k]), W, part.offset, part.stride)
    of_kept = {k: body.slice(aval[k], W, *scan.records[k]) for k in scan.kept if moves[k]}
    for k in fixed:
        inputs[k] = body.input(aval[k], *shifted(scan.sources[k])) if used[k] else 0
    ids = [inputs[k] or body.zeros(aval[k]) for k in range(len(aval))]
    ids += [seeds[k] or body.zeros(aval_of(step, step.outputs[k])) for k in range(len(step.outputs))]
    adjoints = dict(zip([k for k, m in enumerate(moves) if m], _transform.inline(body.tape, back, ids), strict=True))
    for group in (sums, of_kept):
        for k, value in group.items():
            adjoints[k] = body.tape.emit("add", (value, adjoints[k]), aval[k])
    outputs = [adjoints[k] for k in (*moving, *sums)] + [adjoints[k] for k in slices if moves[k]]
    made = body.finished(f"adjoint of {scan.name}", outputs, scan.length, not scan.reverse, avals)
    return Adjoint(made, holder, gifts(scan, made, moves, active))


W, KEPT, OPERANDS, NOTHING = 0, 1, 2, -1             # operands of the loop that goes back
F64_SCALAR = T.aval(F64, ())


def shifted(source: tuple[int, int, int]) -> tuple[int, int, int]:
    operand, offset, stride = source
    return operand + OPERANDS, offset, stride


def one_step_back(step: Any) -> tuple[Any, list[bool]]:
    """(tape from inputs and seeds to the adjoints of the active inputs, which of the inputs it reads)."""
    tape = _transform.vjp(step)
    tape.set_outputs(tape.outputs[len(step.outputs):])
    tape = _passes.optimise(tape)
    read = set(tape.outputs)
    for i in range(1, len(tape)):
        read.update(tape.instruction(i)[1])
    return tape, [i in read for i in tape.inputs[:len(step.inputs)]]


def gifts(scan: Any, made: Any, moves: Sequence[bool], active: Sequence[bool]) -> list[tuple[int, Part, Part]]:
    """(operand, part of the result of the loop that goes back, part of the operand) for each adjoint."""
    carries, slices, fixed = kinds(scan)
    found, n = [], 0
    for k in (*carries, *fixed):
        operand, offset, _ = scan.sources[k]
        if moves[k]:
            source = final_part(made, n)
            n += 1
            if operand >= 0 and active[operand]:     # else: a state that moves, and did not when it began
                found.append((operand, source, Part(offset, source.shape)))
    for j, k in enumerate([k for k in slices if moves[k]]):
        operand, offset, stride = scan.sources[k]
        source = stacked_part(made, j)
        found.append((operand, source, Part(offset, source.shape, scan.length, stride)))
    return found
