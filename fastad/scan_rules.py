"""scan_rules.py - the tangent and the adjoint of a time loop are time loops.

Owns: which state is kept for the adjoint, the bodies of derivative loops, where their results go.
Must not know: how a body is recorded (loops.py), how it is run (_scan.pyx).
The adjoint runs from the last step to the first: its state is the adjoint of the state and the sum of what the fixed
inputs have got so far (Griewank and Walther, Evaluating Derivatives, 2nd ed., ch. 12).  Of each step is kept what costs
least, in keeping it or in computing from it what else the adjoint reads: in time, or in bytes where memory is short.
Next: _scan.pyx (`Scan`), _transform.pyx (tapes of one step), structural_rules.py (what r and s are).
"""
from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastad import _passes, _transform
from fastad import _tape as T
from fastad._scan import CheckpointedAdjoint, CheckpointedScan, Scan, active_values
from fastad._transform import between
from fastad.structural_rules import c_strides

__all__ = ["emit_adjoint", "emit_tangent", "for_adjoint"]

F64 = 0
Shape = tuple[int, ...]


# ---- one step -------------------------------------------------------------------------------------------------------

def aval_of(tape: Any, i: int) -> int:
    return tape.instruction(i)[2]


def shape_of(tape: Any, i: int) -> Shape:
    return T.aval_of(aval_of(tape, i))[1]


def with_activity(body: Any, active: Sequence[bool], given_back: Sequence[int] = ()) -> Any:
    """The body, with just these inputs active, and some of them as further outputs."""
    tape = T.Tape()
    ids = [tape.emit_input(aval_of(body, i), flag) for i, flag in zip(body.inputs, active, strict=True)]
    tape.set_outputs([*_transform.inline(tape, body, ids), *(ids[k] for k in given_back)])
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
        if all(shape_of(body, i) == () for i in range(1, len(body) + 1) if i not in body.inputs):
            body.boundary = 0            # loops of numbers know no derivative code: _burst.pxi
        return Scan(name, body, self.ncarry, self.nslice, length, reverse, self.sources, avals,
                    [(kept, 0)] if kept else ())


def kinds(scan: Any) -> tuple[range, range, range]:
    """Numbers of the body's inputs: carries, slices, fixed."""
    nc, ns, n = scan.ncarry, scan.nslice, len(scan.sources)
    return range(nc), range(nc, nc + ns), range(nc + ns, n)


# ---- parts of results -----------------------------------------------------------------------------------------------

class Part(NamedTuple):
    """Numbers of a vector: `times` arrays of this shape, the first at `offset`, one every `stride`."""

    offset: int
    shape: Shape
    times: int = 1
    stride: int = 0

    def piece(self) -> tuple[Shape, int, tuple[int, ...]]:
        """(shape, offset, strides) as in a map."""
        return (self.times, *self.shape), self.offset, (self.stride, *c_strides(self.shape))


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
    offset, shape, stride = scan.stacked[k]
    return Part(offset, shape, scan.length, stride)


def kept_part(scan: Any, k: int) -> Part:
    offset, stride = scan.kept[k]
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


def adjoint_of(scan: Any, active: tuple[bool, ...], fewest: bool = False) -> Adjoint:
    """The adjoint; fewest: one that reads the fewest bytes of a step, where the usual one is the fastest."""
    found = scan.derived.get(("adjoint", active, fewest))
    if found is None:
        found = scan.derived["adjoint", active, fewest] = adjoint_scan(scan, active, fewest)
    return found


def emit_adjoint(r: Any, s: Any) -> None:
    """Write the adjoint of a loop: the loop that goes back."""
    rule = adjoint_of(s.attr, s.active)
    if rule.scan is None:
        return
    b = r.b
    result, back = s.y, rule.scan
    if rule.holder is not s.attr:
        result = b.target.instruction(s.y)[1][0]
        held = b.target.instruction(result)[3]
        back = CheckpointedAdjoint(held.walk) if isinstance(held, CheckpointedScan) else rule.scan
    y = b.emit("call", [s.w, result, *s.x], back.aval(), back)
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


def adjoint_scan(scan: Any, active: tuple[bool, ...], fewest: bool) -> Adjoint:
    moves, step = activity(scan, active)
    moving_outputs = active_values(step, step.outputs)
    if not any(moving_outputs):
        return Adjoint(None, scan, ())
    carries, slices, fixed = kinds(scan)
    summed = [k for k in (*fixed, *scan.kept) if moves[k]]   # what has come from later steps, or from outside, is there
    both = _passes.optimise(_transform.vjp(with_activity(scan.body, moves, summed)))     # a step and its adjoint
    n = len(step.outputs) + len(summed)
    results, adjoints = both.outputs[:len(step.outputs)], both.outputs[n:]
    inputs, seeds = both.inputs[:len(step.inputs)], both.inputs[len(step.inputs):]
    seed_of = dict(zip(summed, seeds[len(step.outputs):], strict=True))
    prices = Bytes(both) if fewest else Times(both, scan.length)
    stored = cheapest_cut(both, [inputs[k] for k in carries], seeds, prices)
    holder = holding(scan, both, inputs, results, stored)
    aval = [aval_of(both, i) for i in inputs]
    body = Body()
    new = {seeds[k]: body.carry(aval[k], W, scan.final[k][0]) for k in carries if moves[k]}
    new.update({seed_of[k]: body.carry(aval[k], NOTHING) for k in fixed if moves[k]})
    new.update(read_stored(body, both, scan, holder, inputs, stored))
    for k in slices:
        new[inputs[k]] = body.slice(aval[k], *shifted(scan.sources[k]))
    for k in range(scan.ncarry, len(step.outputs)):
        if moving_outputs[k]:
            part = stacked_part(scan, k - scan.ncarry)
            new[seeds[k]] = body.slice(aval_of(both, seeds[k]), W, part.offset, part.stride)
    new.update({seed_of[k]: body.slice(aval[k], W, *scan.kept[k]) for k in scan.kept if moves[k]})
    for k in fixed:
        new[inputs[k]] = body.input(aval[k], *shifted(scan.sources[k]))
    start = [*stored, *(inputs[k] for k in (*slices, *fixed)), *seeds]
    cut = _transform.inline(body.tape, between(both, start, adjoints),
                            [new[i] if i in new else body.zeros(aval_of(both, i)) for i in start], True)
    bars = dict(zip([k for k, m in enumerate(moves) if m], cut, strict=True))
    outputs = [bars[k] for k in (*carries, *fixed, *slices) if moves[k]]
    made = body.finished(f"adjoint of {scan.name}", outputs, scan.length, not scan.reverse,
                         [scan.aval(), holder.aval(), *scan.avals])
    return Adjoint(made, holder, gifts(scan, made, moves, active))


W, KEPT, OPERANDS, NOTHING = 0, 1, 2, -1             # operands of the loop that goes back
F64_SCALAR = T.aval(F64, ())


def shifted(source: tuple[int, int, int]) -> tuple[int, int, int]:
    operand, offset, stride = source
    return operand + OPERANDS, offset, stride


def holding(scan: Any, both: Any, inputs: Sequence[int], results: Sequence[int], stored: Sequence[int]) -> Any:
    """The scan that keeps these values of each step, too."""
    carries = {i: k for k, i in enumerate(inputs[:scan.ncarry])}
    kept = {carries[i] for i in stored if i in carries}
    inner = [i for i in stored if i not in carries]
    if kept <= set(scan.kept) and not inner:
        return scan
    body = between(both, inputs, [*results, *inner], guards=True) if inner else scan.body
    return Scan(scan.name, body, scan.ncarry, scan.nslice, scan.length, scan.reverse, scan.sources, scan.avals,
                (*scan.records, (sorted(kept - set(scan.kept)), len(inner))))


def read_stored(body: Body, both: Any, scan: Any, holder: Any, inputs: Sequence[int],
                stored: Sequence[int]) -> dict[int, int]:
    """Slices of the holder's result that hold the stored values of a step."""
    found, late = {}, scan.nstack
    for i in stored:
        if i in inputs[:scan.ncarry]:
            place = holder.kept[inputs.index(i)]
        else:
            place = (holder.stacked[late][0], holder.stacked[late][2])
            late += 1
        found[i] = body.slice(aval_of(both, i), KEPT, *place)
    return found


# ---- what is kept of a step -----------------------------------------------------------------------------------------

IN_PLACE = 0.75              # of the cost of another value: the state is written anyhow


class Bytes:
    """Costs of keeping the values of a step where memory is short."""

    def __init__(self, tape: Any) -> None:
        self.tape = tape

    def keep(self, i: int) -> float:
        """Of keeping a value; infinite where it cannot be: no float64, or derivative code (which may raise flags)."""
        dtype, shape = T.aval_of(aval_of(self.tape, i))
        return max(1, math.prod(shape)) if dtype == F64 and i < self.tape.boundary else math.inf

    def again(self, i: int) -> float:
        """Of computing a value again."""
        return 0.0


CHEAP = {"add", "subtract", "multiply", "negative", "square", "absolute", "maximum", "minimum", "where", "strongzero",
         "zeroproduct", "equal", "not_equal", "less", "less_equal", "greater", "greater_equal"}
ROOTS = {"divide", "reciprocal", "sqrt"}
MOVES = {"element", "reshape", "stop", "cast", "move", "erase", "write", "assemble", "stack"}
FEW_BYTES = 1 << 20          # what stays in a cache from the way there to the way back


class Times(Bytes):
    """About the nanoseconds that keeping a value and reading it again, or computing it again, takes."""

    def __init__(self, tape: Any, length: int) -> None:
        super().__init__(tape)
        self.length = length

    def keep(self, i: int) -> float:
        size = super().keep(i)
        if T.aval_of(aval_of(self.tape, i))[1] == ():
            return 0.4 * size
        return (0.25 if 8 * size * self.length < FEW_BYTES else 1.0) * size

    def again(self, i: int) -> float:
        name, operands, aval, _ = self.tape.instruction(i)
        shape = T.aval_of(aval)[1]
        size = max([math.prod(shape), *[math.prod(shape_of(self.tape, x)) for x in operands]])
        if name in CHEAP or name in MOVES:
            return 0.2 if shape == () else 0.1 * size
        if name in ROOTS:
            return 2.0 if shape == () else 0.4 * size
        if name == "sum":
            return 0.2 * size
        if T.OPCODES[name] >= T.OPCODES["add"]:
            return 12.0 if shape == () else 1.5 * size
        return 1e4 + 20.0 * size     # products, sorting, what the user has defined


def cheapest_cut(tape: Any, states: Sequence[int], seeds: Sequence[int], prices: Bytes) -> list[int]:
    """The values of a step whose keeping, with what has to be computed again from them, costs the adjoint least.

    A minimum cut between the states and what derivative code reads of the step: Ford and Fulkerson (1956); for tapes,
    He and Yu, Transcending runtime-memory tradeoffs in checkpointing (2023).  Behind the cut is what is computed
    again, which an edge from the source pays for.  Slices and fixed inputs are there anyhow.
    """
    operands = [(), *(tape.instruction(i)[1] for i in range(1, len(tape) + 1))]
    after = reached(operands, seeds)                         # derivative code
    from_state = reached(operands, states)
    read = {x for i, ids in enumerate(operands) if after[i] for x in ids if not after[x] and from_state[x]}
    keep = {i: prices.keep(i) * (IN_PLACE if i in states else 1.0) for i in range(1, len(operands)) if from_state[i]}
    again = {i: math.inf if i in states else prices.again(i) for i in keep}
    obvious = {i for i in read if keep[i] <= again[i]}       # nothing that they are made of need be there
    read -= obvious
    wanted = [i in read for i in range(len(operands))]
    for i in range(len(operands) - 1, 0, -1):
        if wanted[i] and i not in obvious:
            for x in operands[i]:
                wanted[x] = wanted[x] or from_state[x]
    flow = Flow(2 * len(operands))
    source, sink = 0, 1
    for i in keep:
        if not wanted[i] or i in obvious:
            continue
        enter, leave = 2 * i, 2 * i + 1
        flow.edge(enter, leave, keep[i])
        flow.edge(source, enter, again[i])
        if i in read:
            flow.edge(leave, sink, math.inf)
        for x in operands[i]:
            if wanted[x] and x not in obvious:
                flow.edge(2 * x + 1, enter, math.inf)
    before = flow.cut(source, sink)
    return sorted([*obvious, *(i for i in keep if wanted[i] and i not in obvious and 2 * i in before
                               and 2 * i + 1 not in before)])


def reached(operands: Sequence[Sequence[int]], start: Sequence[int]) -> list[bool]:
    """Which values depend on these?"""
    found = [False] * len(operands)
    for i in start:
        found[i] = True
    for i, ids in enumerate(operands):
        found[i] = found[i] or any(found[x] for x in ids)
    return found


class Flow:
    """A network with capacities; its maximum flow and minimum cut by shortest augmenting paths (Edmonds, Karp 1972)."""

    def __init__(self, n: int) -> None:
        self.left: list[dict[int, float]] = [{} for _ in range(n)]

    def edge(self, a: int, b: int, capacity: float) -> None:
        self.left[a][b] = self.left[a].get(b, 0.0) + capacity
        self.left[b].setdefault(a, 0.0)

    def cut(self, source: int, sink: int) -> dict[int, int]:
        """The nodes on the side of the source."""
        while True:
            came = self.search(source, sink)
            if sink not in came:
                return came
            path = [sink]
            while path[-1] != source:
                path.append(came[path[-1]])
            pairs = list(zip(path[1:], path[:-1], strict=True))
            amount = min(self.left[a][b] for a, b in pairs)
            for a, b in pairs:
                self.left[a][b] -= amount
                self.left[b][a] += amount

    def search(self, source: int, sink: int) -> dict[int, int]:
        came, queue = {source: source}, [source]
        for a in queue:
            for b, capacity in self.left[a].items():
                if capacity > 0 and b not in came:
                    came[b] = a
                    queue.append(b)
                    if b == sink:
                        return came
        return came


def gifts(scan: Any, made: Any, moves: Sequence[bool], active: Sequence[bool]) -> list[tuple[int, Part, Part]]:
    """(operand, part of the result of the loop that goes back, part of the operand) for each adjoint."""
    carries, slices, fixed = kinds(scan)
    found: list[tuple[int, Part, Part]] = []
    n = 0
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
