"""scan_lanes.py - a time loop for many lanes is one time loop, whose body takes a step in all of them.

Owns: the body's sources and the places of results when operands and results have a leading axis.
Must not know: how a body is recorded (loops.py), how it is run (_scan.pyx), derivatives (scan_rules.py).
Outside, what belongs to a lane lies together; inside, what belongs to a step does: operands and results are moved.
Next: _scan.pyx (`Scan`), _batch.pxi (the body), structural_rules.py (what b and s are).
"""
from __future__ import annotations

import math
from typing import Any

from fastad import _tape as T
from fastad import _transform
from fastad._scan import Scan
from fastad.errors import InternalError
from fastad.structural_rules import c_strides

__all__ = ["emit_batch"]


def emit_batch(b: Any, s: Any) -> int:
    """Write a loop for s.k lanes."""
    scan, k = s.attr, s.k
    if type(scan) is not Scan:
        raise InternalError(f"{scan.name}: a loop within a memory budget is batched before it is cut")
    flags = in_lanes(scan, s.batched)
    operands, sources = [], []
    for j, (own, i) in enumerate(zip(flags, scan.body.inputs, strict=True)):
        operand, offset, stride = scan.sources[j]
        shape = T.aval_of(scan.body.instruction(i)[2])[1]
        if operand < 0:
            sources.append((-1, 0, 0))
            continue
        sources.append((len(operands), 0, k * math.prod(shape) if stride else 0) if own else
                       (len(operands), offset, stride))
        operands.append(laid_out(b, s, j, operand, offset, stride, shape) if own else s.x[operand])
    made = loop_of_lanes(scan, k, flags, sources, [b.aval_of(x) for x in operands])
    y = b.emit("call", operands, made.aval(), made)
    return b.emit("move", (y,), T.aval(T.aval_of(s.aval)[0], (k, scan.total)), lane_by_lane(scan, made, k))


def in_lanes(scan: Any, batched: tuple[bool, ...]) -> list[bool]:
    """Which inputs of the body differ from lane to lane: the state, and what is read of operands that do."""
    return [j < scan.ncarry or batched[operand] for j, (operand, _, _) in enumerate(scan.sources)]


def loop_of_lanes(scan: Any, k: int, flags: list[bool], sources: list[tuple[int, int, int]], avals: list[int]) -> Any:
    key = ("lanes", k, tuple(flags), tuple(sources), tuple(avals))
    found = scan.derived.get(key)
    if found is None:
        body = _transform.batch(scan.body, k, flags)
        found = scan.derived[key] = Scan(scan.name, body, scan.ncarry, scan.nslice, scan.length, scan.reverse, sources,
                                         avals, scan.records)
    return found


def laid_out(b: Any, s: Any, j: int, operand: int, offset: int, stride: int, shape: tuple[int, ...]) -> int:
    """What input j of the body reads of an operand, step after step and there lane after lane."""
    scan, k, x = s.attr, s.k, s.x[operand]
    size = b.size(x)
    lane = size // k if s.batched[operand] else 0
    slices = stride > 0
    whole = (scan.length, k, *shape) if slices else (k, *shape)
    strides = ((stride,) if slices else ()) + (lane, *c_strides(shape))
    return b.emit("move", (x,), T.aval(b.dtype(x), whole), T.Map.view(size, whole, offset, strides))


def lane_by_lane(scan: Any, made: Any, k: int) -> Any:
    """The map from the result for many lanes to the results of each."""
    pieces, covered = [], 0

    def part(source: int, step: int, target: int, stride: int, shape: tuple[int, ...], times: int) -> int:
        own = c_strides(shape)
        pieces.append(((times, k, *shape), source, (step, math.prod(shape), *own), target,
                       (stride, scan.total, *own)))
        return times * k * math.prod(shape)
    for (source, _), (target, shape) in zip(made.final, scan.final, strict=True):
        covered += part(source, 0, target, 0, shape, 1)
    for (source, _, step), (target, shape, stride) in zip(made.stacked, scan.stacked, strict=True):
        covered += part(source, step, target, stride, shape, scan.length)
    for j in scan.kept:
        (source, step), (target, stride) = made.kept[j], scan.kept[j]
        covered += part(source, step, target, stride, scan.final[j][1], scan.length)
    return T.Map(made.total, k * scan.total, tuple(pieces), None, None, covered == k * scan.total, True, True)
