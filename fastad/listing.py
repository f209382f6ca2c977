"""The evaluation trace of a tape as text: `print(tape)`, `tape.listing()`, and `tape.stats()`.

Owns: the names of values (inputs as the function's parameters, c0 captured arrays, v1 ... results), a line an
instruction, the elision of long tapes.  Constants and elements of arrays stand where they are used.
Must not know: sweeps (trace.py has the tables).  How one instruction reads: listing_text.py.
"""
from __future__ import annotations

import os
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad.listing_text import expression, number, shape_text

__all__ = ["Names", "Stats", "listing", "stats"]

INLINE = ("const", "element")                # no line of their own


class Names:
    """What each value of a tape is called, and how each instruction reads."""

    def __init__(self, tape: Any):
        self.tape = tape
        self.op = tape.columns()[0]
        self.inputs = input_names(tape)
        numbered = ~np.isin(self.op, [T.OPCODES[name] for name in ("nop", "input", "capture", "guard", *INLINE)])
        self.number = np.cumsum(numbered)
        self.captures = {int(i): k for k, i in enumerate(np.flatnonzero(self.op == T.OPCODES["capture"]))}
        shown = ~np.isin(self.op, [T.OPCODES[name] for name in ("nop", *INLINE)])
        self.lines = np.flatnonzero(shown)   # the instructions that have a line

    def name(self, i: int) -> str:
        """x, c0, v1; the number itself for a constant; x[2] for an element."""
        op, operands, _, attr = self.tape.instruction(i)
        if op == "const":
            return number(attr)
        if op == "input":
            return self.inputs[attr]
        if op == "capture":
            return f"c{self.captures[i]}"
        if op == "element":
            _, shape = self.aval(operands[0])
            index = [str(k) for k in np.unravel_index(attr, shape)] if shape else ["()"]
            return f"{self.name(operands[0])}[{', '.join(map(str, index))}]"
        return f"v{self.number[i]}"

    def aval(self, i: int) -> tuple[int, tuple[int, ...]]:
        """(dtype code, shape) of value i."""
        return T.aval_of(self.tape.instruction(i)[2])

    def assertion(self, i: int) -> str:
        """What a guard asserts."""
        _, (x,), aval, (expected, _, _) = self.tape.instruction(i)
        dtype, _ = T.aval_of(aval)
        if dtype == 2:
            return f"assert {'' if expected else 'not '}{self.name(x)}"
        value = T.number_of_bits(expected, dtype) if dtype in T.REAL else expected
        return f"assert {self.name(x)} == {number(value)}"

    def line(self, i: int) -> str:
        """One instruction: what it is, then as a comment its shape and place."""
        op, operands, aval, attr = self.tape.instruction(i)
        if op == "guard":
            text, kind, place = self.assertion(i), attr[1], T.format_location(attr[2])
        else:
            shapes = [self.aval(x)[1] for x in operands]
            what = {"input": "input", "capture": "captured"}.get(op)
            what = what or expression(op, [self.name(x) for x in operands], shapes, T.aval_of(aval), attr)
            text, kind, place = f"{self.name(i)} = {what}", shape_text(*T.aval_of(aval)), self.tape.location(i)
        comment = "  ".join([part for part in (kind, short_place(place)) if part])
        return f"{text:<44s}  # {comment}" if comment else text


def input_names(tape: Any) -> list[str]:
    """What the inputs are called: as the parameters of the recorded function, where they are known."""
    if tape.signature is None:
        return [f"x{k}" for k in range(len(tape.inputs))]
    names: list[str] = tape.signature.input_names()
    return names


def short_place(place: str | None) -> str:
    """'model.py:12' of a 'file:line' with its folders."""
    return "" if place in (None, "?") else os.path.basename(str(place))


def listing(tape: Any, limit: int | None = 60) -> str:
    """The evaluation trace as text.

    Parameters
    ----------
    tape : Tape
    limit : int or None
        Lines; the middle of a longer tape is left out.  None: all of it.
    """
    if tape.recording:
        return f"{heading(tape)} (still being recorded)"
    names = Names(tape)
    ids = names.lines.tolist()
    if limit is None or len(ids) <= limit:
        lines = [names.line(i) for i in ids]
    else:
        head, tail = max(limit - limit // 3, 1), max(limit // 3, 1)
        lines = [names.line(i) for i in ids[:head]]
        lines.append(f"... {len(ids) - head - tail} lines more; tape.listing(limit=None) has them all ...")
        lines += [names.line(i) for i in ids[-tail:]]
    lines.append("return " + ", ".join([names.name(i) for i in tape.outputs]))
    return "\n".join([heading(tape), *["    " + line for line in lines]])


def heading(tape: Any) -> str:
    name = (getattr(tape.signature, "name", None) or "tape").rpartition("<locals>.")[2]
    place = short_place(getattr(tape.signature, "location", None))
    return f"{name}:" + (f"  # {place}" if place else "")


# ---- counts ----------------------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Stats:
    """What a tape is made of.

    Attributes
    ----------
    instructions, inputs, outputs, guards, captures, constants : int
        How many there are.
    bytes : int
        Of the instruction buffers, constants included.
    bytes_per_instruction : float
    arena_bytes : int
        What the arrays of one forward sweep take.
    fused_loops : int
        Loops that the compiled program of the tape runs over blocks; 0 without one.
    compiled, compiled_gradient : dict or None
        Of the program of the tape, and of that of its gradient: instructions and bytes of arrays before the passes and
        the plan (``instructions_before``, ``arena_bytes_before``) and after them (``instructions``, ``arena_bytes``),
        ``cells`` for numbers, fused ``loops``, ``runs`` of packed scalars; ``native_loops``, loops over numbers that
        LLVM has compiled (with `pip install 'fastad[jit]'`), and the ``native_seconds`` that it took.
        None: not compiled.
    memory : Report or None
        Of a tape that was recorded with `memory=`: schedule, recomputation and peak of its gradient.
    """

    instructions: int
    inputs: int
    outputs: int
    guards: int
    captures: int
    constants: int
    bytes: int
    bytes_per_instruction: float
    arena_bytes: int
    fused_loops: int
    compiled: dict[str, Any] | None = None
    compiled_gradient: dict[str, Any] | None = None
    memory: Any = None

    def __str__(self) -> str:
        rows = [(f.name.replace("_", " "), getattr(self, f.name)) for f in fields(self)]
        lines = [f"{name:<22s}{value:>14,.1f}" if isinstance(value, float) else f"{name:<22s}{value:>14,d}"
                 for name, value in rows if isinstance(value, (int, float))]
        lines += [f"{name}: {in_words(value)}" for name, value in rows if isinstance(value, dict)]
        return "\n".join(lines if self.memory is None else [*lines, f"gradient: {self.memory}"])


def in_words(program: dict[str, Any]) -> str:
    """What compiling has made of a tape."""
    native = "" if not program["native_loops"] else \
        f"; {program['native_loops']} loops are machine code by LLVM, made in {program['native_seconds']:.3f} s"
    return (f"{program['instructions_before']:,d} instructions became {program['instructions']:,d}, "
            f"{program['arena_bytes_before']:,d} bytes of arrays {program['arena_bytes']:,d}; "
            f"{program['cells']:,d} cells, {program['loops']} fused loops, {program['runs']} runs of scalars"
            + (f" ({program['code_bytes']:,d} bytes of the processor's code)" if program["code_bytes"] else "")
            + native)


def program_stats(program: Any) -> dict[str, Any] | None:
    """Counts of a compiled program; None for what is no such thing (segments within a budget)."""
    if not hasattr(program, "stats"):
        return None
    from fastad._scan import native_loops
    seconds = native_loops([program.tape])
    return {**program.stats(), "native_loops": len(seconds), "native_seconds": sum(seconds)}


def stats(tape: Any) -> Stats:
    """Counts of a finished tape."""
    op = tape.columns()[0]
    count = np.bincount(op, minlength=512)
    return Stats(
        instructions=len(tape), inputs=len(tape.inputs), outputs=len(tape.outputs),
        guards=int(count[T.OPCODES["guard"]]), captures=int(count[T.OPCODES["capture"]]),
        constants=int(count[T.OPCODES["const"]]), bytes=int(tape.nbytes),
        bytes_per_instruction=tape.nbytes / max(1, len(tape)), arena_bytes=int(T.arena_bytes(tape)),
        fused_loops=int(getattr(tape.program, "fused_loops", 0)),
        compiled=program_stats(tape.program), compiled_gradient=program_stats(tape.derived.get("gradient program")),
        memory=getattr(tape.derived.get("gradient program"), "report", None))
