"""llvm_loops.py - a loop over numbers as a function of LLVM's: the steps within, the state in registers.

Owns: which loops can be written so, where each step reads and writes, what is computed before the first step.
Must not know: what a primitive becomes (llvm_numbers.py), how text becomes code and when (llvm_code.py).
The text says nothing of the number of steps, nor where arrays lie: loops with the same step have the same code.
Next: llvm_numbers.py, _native.pxi (who runs it).
"""
from __future__ import annotations

from typing import Any, NamedTuple

from fastad import _tape as T
from fastad.llvm_numbers import DECLARATIONS, F64, ITEM, Block, aval_of, literal, writable

__all__ = ["Base", "LoopText", "share_of_arithmetic", "why_not", "write"]

MOST_INSTRUCTIONS = 10_000               # of a step; LLVM's time is linear, but a bound is a bound
RESULT = -1


class Base(NamedTuple):
    """A pointer that a loop moves from step to step: an operand (-1: the result), bytes from there, bytes a step."""

    operand: int
    offset: int
    stride: int


class LoopText(NamedTuple):
    """The function `fastad_loop` as text, what its pointers are, how many instructions a step has."""

    text: str
    bases: list[Base]
    work: int


def why_not(tape: Any) -> str | None:
    """Why a loop with this body cannot be written; None: it can."""
    if tape.boundary:
        return "flags of a part of it are of no concern"
    if len(tape) > MOST_INSTRUCTIONS:
        return f"more than {MOST_INSTRUCTIONS} instructions"
    for i in tape.outputs:
        if aval_of(tape, i) != (F64, ()):
            return "results that are no numbers"
    return writable(tape)


def share_of_arithmetic(tape: Any) -> float:
    """Of the time of a step, about: a call of a kernel takes as long as ten operations."""
    names = [tape.instruction(i)[0] for i in range(1, len(tape) + 1)]
    calls = sum(T.OPCODES[name] > T.OPCODES["zeroproduct"] for name in names)
    return 1.0 - 10.0 * calls / (len(names) + 9.0 * calls + 1.0)


def write(scan: Any, tape: Any) -> LoopText:
    """The loop `scan`, whose body in its optimised form is `tape`."""
    return Writer(scan, tape).run()


class Writer:
    """Writes one loop."""

    def __init__(self, scan: Any, tape: Any) -> None:
        self.scan, self.tape = scan, tape
        self.bases: list[Base] = []
        self.before, self.step = Block("before"), Block("step")
        self.value: dict[int, str] = {}          # of numbers: what they are called; of arrays: the pointer
        self.moving: set[int] = set()            # values that differ from step to step

    def base(self, operand: int, offset: int, stride: int) -> tuple[int, int]:
        """(number of a pointer, bytes from it): one for all that lies in the same record."""
        for number, b in enumerate(self.bases):
            if (b.operand, b.stride) == (operand, stride) and 0 <= offset - b.offset < max(stride, 1):
                return number, offset - b.offset
        self.bases.append(Base(operand, offset, stride))
        return len(self.bases) - 1, 0

    def run(self) -> LoopText:
        tape, nc = self.tape, self.scan.ncarry
        outs = [(self.base(*place), value) for place, value in sorted(self.results())]
        ins = {k: self.base(*self.source(k)) for k in sorted(range(nc, len(tape.inputs)), key=self.source)}
        for k in range(nc):
            self.moving.add(tape.inputs[k])
            self.value[tape.inputs[k]] = f"%state{k}"
        for k, (number, offset) in ins.items():
            self.read(k, f"%base{number}", f"%at{number}", offset)
        for i in range(1, len(tape) + 1):
            self.instruction(i)
        for (number, offset), value in outs:
            self.step.store(self.value[value], f"%at{number}", offset)
        return LoopText(self.function(), self.bases, max(1, len(tape) - len(tape.inputs)))

    def source(self, k: int) -> tuple[int, int, int]:
        operand, offset, stride = self.scan.sources[k]
        item = ITEM[aval_of(self.tape, self.tape.inputs[k])[0]]
        return operand, item * offset, item * stride

    def results(self) -> list[tuple[tuple[int, int, int], int]]:
        """What each step writes, and where: the states that are kept, the results that are stacked."""
        scan, tape = self.scan, self.tape
        found = [((RESULT, 8 * offset, 8 * stride), tape.inputs[k]) for k, (offset, stride) in scan.kept.items()]
        for k, (offset, _, stride) in enumerate(scan.stacked):
            found.append(((RESULT, 8 * offset, 8 * stride), tape.outputs[scan.ncarry + k]))
        return found

    def read(self, k: int, base: str, at: str, offset: int) -> None:
        """An input that is no state: a slice, or the same at every step."""
        i = self.tape.inputs[k]
        dtype, shape = aval_of(self.tape, i)
        block, pointer = self.before, base
        if self.source(k)[2]:
            block, pointer = self.step, at
            self.moving.add(i)
        if not shape:
            self.value[i] = block.load(dtype, pointer, offset)
        else:
            self.value[i] = block.value(f"getelementptr i8, ptr {pointer}, i64 {offset}", "p")

    def instruction(self, i: int) -> None:
        tape = self.tape
        name, operands, _, attr = tape.instruction(i)
        dtype, shape = aval_of(tape, i)
        if name == "input":
            return
        if name == "const":
            if not shape:
                self.value[i] = literal(dtype, attr)
            return
        block = self.before
        if not self.moving.isdisjoint(operands):
            self.moving.add(i)
            block = self.step
        if name == "element":
            self.value[i] = self.element(block, operands[0], dtype, attr)
            return
        dtypes = [aval_of(tape, a)[0] for a in operands]
        din = dtypes[1:] if name == "where" else dtypes
        self.value[i] = block.instruction(name, din, dtype, [self.value[a] for a in operands])

    def element(self, block: Block, x: int, dtype: int, index: int) -> str:
        name, _, _, attr = self.tape.instruction(x)
        if not aval_of(self.tape, x)[1]:
            return self.value[x]
        if name == "const":
            return literal(dtype, attr.ravel()[index])
        return block.load(dtype, self.value[x], ITEM[dtype] * index)

    def function(self) -> str:
        """All of it."""
        nc, tape, step = self.scan.ncarry, self.tape, self.step
        head = "define void @fastad_loop(ptr noalias %state, ptr noalias %base, i64 %steps, ptr %env) #0 {"
        lines = [DECLARATIONS, head, "begin:"]
        for k in range(len(self.bases)):
            lines += [f"  %base{k}.at = getelementptr ptr, ptr %base, i64 {k}",
                      f"  %base{k} = load ptr, ptr %base{k}.at"]
        for k in range(nc):
            lines += [f"  %state{k}.at = getelementptr double, ptr %state, i64 {k}",
                      f"  %state{k}.first = load double, ptr %state{k}.at"]
        lines += ["  br label %before", *self.before.lines, "  br label %step", "step:"]
        for k in range(nc):
            lines.append(f"  %state{k} = phi double [ %state{k}.first, %{self.before.label} ], "
                         f"[ {self.value[tape.outputs[k]]}, %{step.label} ]")
        lines.append(f"  %left = phi i64 [ %steps, %{self.before.label} ], [ %left.next, %{step.label} ]")
        moved = [k for k, b in enumerate(self.bases) if b.stride]
        for k in moved:
            lines.append(f"  %at{k} = phi ptr [ %base{k}, %{self.before.label} ], [ %at{k}.next, %{step.label} ]")
        lines += step.lines[1:]
        sign = -1 if self.scan.reverse else 1
        lines += [f"  %at{k}.next = getelementptr i8, ptr %at{k}, i64 {sign * self.bases[k].stride}" for k in moved]
        lines += ["  %left.next = sub i64 %left, 1", "  %more = icmp ne i64 %left.next, 0",
                  "  br i1 %more, label %step, label %end", "end:"]
        lines += [f"  store double {self.value[tape.outputs[k]]}, ptr %state{k}.at" for k in range(nc)]
        lines += [f"  store ptr %at{k}.next, ptr %base{k}.at" for k in moved]
        return "\n".join([*lines, "  ret void", "}", ""])
