"""small_loops.py - the body of a time loop on numbers, where its state, slices or results are arrays of a few elements.

Owns: which inputs and outputs of a body become numbers, where each is read, where the arrays lie in the loop's result.
Outside the loop the arrays stay arrays: operands are read element by element, results are put together where they are
used.
Must not know: how instructions are split (_small.pxi), how a body is recorded (loops.py), derivatives: those of a loop
on numbers are such loops.
Next: _small.pxi, _scan.pyx (`Scan`), scan_bursts.py (how numbers run).
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from fastad import _passes, _transform
from fastad import _tape as T
from fastad.structural_rules import c_strides

__all__ = ["Body", "Place", "split"]

F64 = 0
Shape = tuple[int, ...]


class Place(NamedTuple):
    """Where a result of a loop lies in the vector of all its results: numbers from one element to the next."""

    offset: int
    strides: Shape


class Body(NamedTuple):
    """A body, and what `Scan` is to know of it.

    Attributes
    ----------
    tape : Tape
    ncarry, nslice : int
    sources : list of (int, int, int)
        As `Scan.sources`.
    shapes : list of tuple of int or None
        Of each output that is as many outputs of the tape; None: it is one.
    """

    tape: Any
    ncarry: int
    nslice: int
    sources: list[tuple[int, int, int]]
    shapes: list[Shape | None]

    def places(self, scan: Any, carries: int) -> list[Place]:
        """Where the outputs of the body that was split lie in the result of its loop; the first `carries` are states,
        of which it has the last one, the others have an axis of steps in front."""
        found, at = [], 0
        steps: Shape
        for k, split_shape in enumerate(self.shapes):
            n = 1 if split_shape is None else math.prod(split_shape)
            if k < carries:
                offsets, steps = [offset for offset, _ in scan.final[at:at + n]], ()
                shape = scan.final[at][1]
            else:
                first = at - scan.ncarry
                offsets = [offset for offset, _, _ in scan.stacked[first:first + n]]
                shape, steps = scan.stacked[first][1], (scan.stacked[first][2],)
            apart = offsets[1] - offsets[0] if n > 1 else 1
            own = c_strides(shape if split_shape is None else split_shape)
            found.append(Place(offsets[0], (*steps, *(s if split_shape is None else s * apart for s in own))))
            at += n
        return found


def split(body: Any, ncarry: int, nslice: int, sources: Sequence[tuple[int, int, int]]) -> Body:
    """The body on numbers as far as that pays.

    Parameters
    ----------
    body : Tape
        Inputs: the carries, the slices, the fixed ones.  Outputs: the carries of the next step, the stacked ones.
    ncarry, nslice : int
    sources : sequence of (int, int, int)
        As `Scan.sources`.
    """
    ins, outs = _passes.splits(body)
    shapes = [shape_of(body, i) for i in body.outputs]
    ins = [flag and T.aval_of(aval_of(body, i))[0] == F64 for flag, i in zip(ins, body.inputs, strict=True)]
    for k in range(ncarry):
        ins[k] = outs[k] = ins[k] or outs[k]             # before a step and after it
    if not any(ins) and not any(outs):
        return Body(body, ncarry, nslice, list(sources), [None] * len(shapes))
    made, found = T.Tape(), []
    ids: list[list[int]] = []
    counts = [0, 0, 0]
    for k, (i, (operand, offset, stride)) in enumerate(zip(body.inputs, sources, strict=True)):
        aval, active = aval_of(body, i), body.input_active[k]
        n = math.prod(shape_of(body, i)) if ins[k] else 1
        ids.append([made.emit_input(T.aval(F64, ()) if ins[k] else aval, active) for _ in range(n)])
        found += [(operand, offset + j, stride) for j in range(n)]
        counts[0 if k < ncarry else 1 if k < ncarry + nslice else 2] += n
    arrays = [made.emit("stack", x, aval_of(body, i), T.Stack(len(x))) if flag else x[0]
              for x, flag, i in zip(ids, ins, body.inputs, strict=True)]
    results: list[int] = []
    for y, flag, shape in zip(_transform.inline(made, body, arrays), outs, shapes, strict=True):
        results += [made.emit("element", (y, j), T.aval(F64, ())) for j in range(math.prod(shape))] if flag else [y]
    made.set_outputs(results)
    tape = _passes.dead(_passes.split(made.finish(), True))
    return Body(tape, counts[0], counts[1], found,
                [shape if flag else None for flag, shape in zip(outs, shapes, strict=True)])


def aval_of(tape: Any, i: int) -> int:
    return int(tape.instruction(i)[2])


def shape_of(tape: Any, i: int) -> Shape:
    return tuple(T.aval_of(aval_of(tape, i))[1])
