"""The lecture's tables: values, tangents and adjoints of a tape at a point, step by step; `tape.trace(x, mode=...)`.

Owns: Observed (a copy of a tape in which every value and every adjoint survives the sweeps) and the tables.
Must not know: how instructions read (listing.py).  debug_nonfinite (testing.py) looks through the same copy.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad.errors import AdError
from fastad.listing import Names, heading

__all__ = ["Observed", "Row", "Trace", "trace"]

MOST_SEEDS = 8                               # elements of inputs that have a column each


class Observed:
    """A copy of a tape whose sweeps can be looked into.

    A sweep lets a write take over the memory of what it overwrites, and a reverse sweep spends adjoints as it goes.
    Here each value is followed by a copy that its users read, and all copies are outputs: none of them is taken over.

    Attributes
    ----------
    ids : dict
        Value of the tape -> its copy here.
    """

    def __init__(self, tape: Any):
        self.tape = tape
        self.copy = T.Tape()
        self.ids: dict[int, int] = {}
        self.inputs = dict(zip(tape.inputs, range(len(tape.inputs)), strict=True))
        self.active = T.tape_parts(tape)["active"]
        for i in range(1, len(tape) + 1):
            self.add(i)
        self.copy.set_outputs(list(self.ids.values()))
        self.copy.finish()
        self.order = list(self.ids)

    def add(self, i: int) -> None:
        op, operands, aval, attr = self.tape.instruction(i)
        if op == "guard":
            x = self.copy_of(operands[0])
            self.copy.emit_guard(x, attr[0], attr[1], attr[2])
            return
        if op == "input":
            new = self.copy.emit_input(aval, self.active[self.inputs[i]])
        elif op == "const":
            new = self.copy.emit_const(attr, T.aval_of(aval)[0])
        elif op == "capture":
            new = self.copy.emit_capture(attr)
        elif op == "element":
            new = self.copy.emit(op, (self.copy_of(operands[0]), attr), aval, None, self.tape.location(i))
        else:
            new = self.copy.emit(op, [self.copy_of(x) for x in operands], aval, attr, self.tape.location(i))
        self.ids[i] = self.copy.emit("cast", (new,), aval)

    def copy_of(self, i: int) -> int:
        return self.ids[i]

    def forward(self, values: list[Any]) -> dict[int, Any]:
        """Forward sweep; every value by its id in the tape."""
        return dict(zip(self.order, self.copy.sweep(values), strict=True))

    def tangents(self, directions: list[Any]) -> dict[int, Any]:
        """Tangent sweep at the last forward point."""
        return dict(zip(self.order, self.copy.sweep_tangent(directions), strict=True))

    def adjoints(self, seeds: list[Any]) -> dict[int, Any]:
        """Reverse sweep at the last forward point, from one seed an output of the tape; None for inactive values."""
        full: dict[int, Any] = {}
        for i, seed in zip(self.tape.outputs, seeds, strict=True):
            full[i] = full[i] + np.asarray(seed) if i in full else seed
        self.copy.sweep_reverse([full.get(i, 0.0) for i in self.order])
        active = self.copy.active()
        return {i: self.copy.adjoint_at_point(k) if active[k] else None for i, k in self.ids.items()}


# ---- tables ----------------------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Row:
    """One step of a trace.

    Attributes
    ----------
    name, expression, place : str
        ``v1``, ``square(x0)``, ``'file:line'``.
    value : number or ndarray
    tangents : tuple
        One a seed (forward mode).
    adjoint : number, ndarray or None
        (reverse mode); None where no derivative passes through.
    partials : tuple of (name, number)
        (reverse mode, steps from numbers to a number); the derivative of the step by each operand, with which its
        adjoint is multiplied and added to the operand's.
    """

    name: str
    expression: str
    place: str | None
    value: Any
    tangents: tuple[Any, ...] = ()
    adjoint: Any = None
    partials: tuple[tuple[str, float], ...] = ()

    def handed_on(self) -> str:
        """What the step adds to the adjoints of its operands: ``x1 += 1 * 4``."""
        return ", ".join([f"{name} += {text(self.adjoint)} * {text(partial)}" for name, partial in self.partials])


@dataclass(frozen=True)
class Trace:
    """A table of the steps of a tape at a point; `str` draws it."""

    title: str
    mode: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    results: tuple[str, ...]

    def __str__(self) -> str:
        table = [("step", "", *self.columns)]
        for row in self.rows:
            derivatives = row.tangents if self.mode == "forward" else (row.adjoint,)
            table.append((row.name, row.expression, *[text(x) for x in (row.value, *derivatives)]))
        widths = [max(len(line[k]) for line in table) for k in range(len(table[0]))]
        lines = [self.title]
        for n, cells in enumerate(table):
            left = f"{cells[0]:<{widths[0]}}   {cells[1]:<{widths[1]}}"
            right = [f"{c:>{w}}" for c, w in zip(cells[2:], widths[2:], strict=True)]
            last = ["adds to adjoints" if n == 0 else self.rows[n - 1].handed_on()] * self.hands_on()
            lines.append("    " + "   ".join([left, *right, *last]).rstrip())
            if n == 0:
                lines.append("    " + "-" * (len(lines[-1]) - 4))
        if self.mode == "reverse":
            lines.append("    (read from the last row to the first: that is how adjoints are computed)")
        return "\n".join(lines)

    def hands_on(self) -> bool:
        """Is there a step whose partial derivatives are numbers?"""
        return any(row.partials for row in self.rows)


def text(x: Any, figures: int = 7) -> str:
    """A number in seven figures; a short array in four; the ends of a long one."""
    if x is None:
        return "."
    if np.ndim(x) == 0:
        return f"{x:.{figures}g}" if np.asarray(x).dtype.kind == "f" else str(x)
    flat = np.asarray(x).ravel()
    shown = flat if flat.size <= 4 else [*flat[:2], "...", flat[-1]]
    parts = [v if isinstance(v, str) else text(v, 4) for v in shown]
    return f"[{', '.join(parts)}]"


def trace(tape: Any, args: tuple[Any, ...], kwargs: dict[str, Any], mode: str = "forward") -> Trace:
    """What `Tape.trace` does: the table of a forward or reverse sweep at a point."""
    if mode not in ("forward", "reverse"):
        raise AdError(f"Tape.trace: mode {mode!r}; it is 'forward' or 'reverse'")
    observed = Observed(tape)
    names = Names(tape)
    point = input_values(tape, args, kwargs)
    values = observed.forward(point)
    seeds = seeds_of(tape, observed, names)
    tangents, adjoints, columns = [], {}, ["value"]
    if mode == "forward":
        if len(seeds) > MOST_SEEDS:
            raise AdError(f"Tape.trace: {len(seeds)} numbers to differentiate by; a table has at most {MOST_SEEDS} "
                          "tangent columns. Use mode='reverse', or record a smaller example.")
        for label, k, position in seeds:
            columns.append(f"d/d{label}")
            tangents.append(observed.tangents(unit(tape, k, position)))
    else:
        columns.append("adjoint")
        adjoints = observed.adjoints([1.0] * len(tape.outputs))
    rows = input_rows(seeds, tape, names, values, tangents, adjoints)
    shown = {i for i in tape.inputs if any(tape.inputs[k] == i for _, k, _ in seeds)}
    for i in names.lines.tolist():
        if i not in shown and names.op[i] != T.OPCODES["guard"]:
            rows.append(row_of(tape, names, i, values, tangents, adjoints))
    return Trace(heading(tape), mode, tuple(columns), tuple(rows), tuple([names.name(i) for i in tape.outputs]))


def input_values(tape: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
    if tape.signature is not None:
        return list(tape.signature.values(args, kwargs))
    return list(args)


def seeds_of(tape: Any, observed: Observed, names: Names) -> list[tuple[str, int, int]]:
    """(name, input, position) of each number by which the tape can be differentiated; long arrays stay whole rows."""
    seeds = []
    for k, i in enumerate(tape.inputs):
        dtype, shape = names.aval(i)
        if dtype in T.REAL and observed.active[k]:
            for position in range(int(np.prod(shape, dtype=int))):
                index = np.unravel_index(position, shape)
                label = f"[{', '.join([str(int(j)) for j in index])}]" if shape else ""
                seeds.append((names.name(i) + label, k, position))
    return seeds


def unit(tape: Any, k: int, position: int) -> list[Any]:
    """The direction that moves one number of input k."""
    out = []
    for j, i in enumerate(tape.inputs):
        dtype, shape = T.aval_of(tape.instruction(i)[2])
        direction = np.zeros(shape, T.DTYPES[dtype])
        if j == k:
            direction.flat[position] = 1.0
        out.append(direction)
    return out


def input_rows(seeds: list[tuple[str, int, int]], tape: Any, names: Names, values: dict[int, Any],
               tangents: list[dict[int, Any]], adjoints: dict[int, Any]) -> list[Row]:
    """A row for each number that is differentiated by, if there are few; else one for each input."""
    def at(x: Any, position: int) -> Any:
        return None if x is None else np.asarray(x).flat[position]
    if len(seeds) > MOST_SEEDS:
        return [Row(names.name(i), "input", None, values[i], (), adjoints.get(i))
                for k, i in enumerate(tape.inputs) if any(s[1] == k for s in seeds)]
    return [Row(label, "input", None, at(values[tape.inputs[k]], position),
                tuple([at(t[tape.inputs[k]], position) for t in tangents]),
                at(adjoints.get(tape.inputs[k]), position)) for label, k, position in seeds]


def row_of(tape: Any, names: Names, i: int, values: dict[int, Any], tangents: list[dict[int, Any]],
           adjoints: dict[int, Any]) -> Row:
    line = names.line(i).partition("  #")[0].rstrip()
    name, _, expression = line.partition(" = ")
    real = names.aval(i)[0] in T.REAL
    partials = [] if adjoints.get(i) is None else partials_of(tape, i, values)
    return Row(name, expression, tape.location(i), values[i], tuple([t[i] if real else None for t in tangents]),
               adjoints.get(i), tuple([(names.name(k), p) for k, p in partials if adjoints.get(k) is not None]))


def partials_of(tape: Any, i: int, values: dict[int, Any]) -> list[tuple[int, float]]:
    """(operand, derivative of step i by it) of a step from numbers to a number, swept alone; [] for any other."""
    op, operands, aval, attr = tape.instruction(i)
    if op in ("guard", "input", "const", "capture", "element") or not operands:
        return []
    avals = [tape.instruction(k)[2] for k in operands]
    kinds = {T.aval_of(a) for a in (aval, *avals)}
    if len(kinds) > 1 or T.aval_of(aval) not in [(dtype, ()) for dtype in T.REAL]:
        return []
    alone = T.Tape()
    alone.set_outputs([alone.emit(op, [alone.emit_input(a) for a in avals], aval, attr)])
    alone.finish()
    _, partials = alone.sweep_gradient([values[k] for k in operands], [1.0])
    return [(k, float(p)) for k, p in zip(operands, partials, strict=True)]
