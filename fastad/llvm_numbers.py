"""llvm_numbers.py - arithmetic on numbers as LLVM's intermediate representation (text).

Owns: what each elementwise primitive on numbers becomes: the bits and the floating-point flags of the scalar machine.
Must not know: where operands come from and results go (llvm_loops.py), LLVM's Python package (llvm_code.py).
A real number is a `double`; anything else is an `i64`, as in a cell: whole numbers, bools as 0 or 1, the bits of a
float32.
Arithmetic is written by the intrinsics that may neither be left out, nor run where the program does not: an operation
raises a flag (and NumPy's warning) where it does in the machine.  So a strong-zero product is a branch, too; and of a
block without branches LLVM leaves every operation as it stands, in bits and number.
What is no plain arithmetic calls the kernels of the machine.
Next: llvm_loops.py; LLVM's language reference, "Constrained Floating-Point Intrinsics".
"""
from __future__ import annotations

import struct
from typing import Any

import numpy as np

from fastad import _tape as T

__all__ = ["DECLARATIONS", "Block", "NotNumbers", "writable"]

F64, I64, BOOL, F32 = range(4)
AS_WRITTEN = 'metadata !"round.tonearest", metadata !"fpexcept.strict"'
QUIET = 'metadata !"fpexcept.strict"'
ARITHMETIC = {"add": "fadd", "subtract": "fsub", "multiply": "fmul", "divide": "fdiv"}
COMPARISONS = {"equal": "oeq", "not_equal": "une", "less": "olt", "less_equal": "ole", "greater": "ogt",
               "greater_equal": "oge"}
LOADS = {F64: "double", I64: "i64", BOOL: "i8", F32: "i32"}
ITEM = {F64: 8, I64: 8, BOOL: 1, F32: 4}

DECLARATIONS = "\n".join([
    *[f"declare double @llvm.experimental.constrained.{name}.f64(double, double, metadata, metadata)"
      for name in ARITHMETIC.values()],
    "declare double @llvm.experimental.constrained.sqrt.f64(double, metadata, metadata)",
    "declare i1 @llvm.experimental.constrained.fcmp.f64(double, double, metadata, metadata)",
    "declare double @llvm.fabs.f64(double)",
    "attributes #0 = { nounwind strictfp }",
    "attributes #1 = { strictfp }",
    "!0 = !{}",
    '!1 = !{!"branch_weights", i32 4000, i32 1}', ""])


class NotNumbers(Exception):
    """An instruction that is no elementwise primitive on numbers; which, and why."""


def aval_of(tape: Any, i: int) -> tuple[int, tuple[int, ...]]:
    """(dtype, shape) of a value."""
    return T.aval_of(tape.instruction(i)[2])


def writable(tape: Any) -> str | None:
    """Why the tape cannot be written so; None: it can."""
    for i in range(1, len(tape) + 1):
        name, operands, aval, _ = tape.instruction(i)
        shape = T.aval_of(aval)[1]
        if name in ("input", "const"):
            continue
        if shape:
            return f"{name} of an array"
        if name == "element":
            if aval_of(tape, operands[0])[1] and tape.instruction(operands[0])[0] not in ("input", "const"):
                return "an element of an array that is computed"
        elif name not in ("reshape", "stop", "cast") and T.OPCODES[name] < T.OPCODES["add"]:
            return name
        elif any(aval_of(tape, a)[1] for a in operands):
            return f"{name} of an array"
    return None


class Block:
    """Straight code that is being written: its lines, and the block (a label) that it is in at present."""

    def __init__(self, label: str) -> None:
        self.label, self.lines = label, [f"{label}:"]
        self.named = 0

    def put(self, line: str) -> None:
        self.lines.append("  " + line)

    def name(self, what: str) -> str:
        """A name for a value of this block."""
        self.named += 1
        return f"%{self.label.split('.')[0]}.{what}{self.named}"

    def value(self, expression: str, what: str = "v") -> str:
        """The name of what the expression gives."""
        name = self.name(what)
        self.put(f"{name} = {expression}")
        return name

    def begin(self, label: str) -> None:
        self.lines.append(f"{label}:")
        self.label = label

    # -- memory
    def load(self, dtype: int, pointer: str, offset: int = 0) -> str:
        """A number of an operand: nobody writes there while the code runs."""
        if offset:
            pointer = self.value(f"getelementptr i8, ptr {pointer}, i64 {offset}", "p")
        got = self.value(f"load {LOADS[dtype]}, ptr {pointer}, !invariant.load !0")
        return got if dtype in (F64, I64) else self.value(f"zext {LOADS[dtype]} {got} to i64")

    def store(self, value: str, pointer: str, offset: int = 0) -> None:
        if offset:
            pointer = self.value(f"getelementptr i8, ptr {pointer}, i64 {offset}", "p")
        self.put(f"store double {value}, ptr {pointer}")

    # -- arithmetic
    def arithmetic(self, name: str, *operands: str) -> str:
        reals = ", ".join([f"double {x}" for x in operands])
        return self.value(f"call double @llvm.experimental.constrained.{name}.f64({reals}, {AS_WRITTEN}) #1")

    def compare(self, how: str, a: str, b: str) -> str:
        """An i1; NaN raises no flag."""
        return self.value("call i1 @llvm.experimental.constrained.fcmp.f64"
                          f'(double {a}, double {b}, metadata !"{how}", {QUIET}) #1', "c")

    def is_not_zero(self, x: str) -> str:
        bits = self.value(f"bitcast double {x} to i64", "i")
        return self.value(f"icmp ne i64 {self.value(f'shl i64 {bits}, 1', 'i')}, 0", "c")

    def masked_product(self, wanted: str, a: str, b: str) -> str:
        """a * b, or 0 where not `wanted`, which is rare."""
        before, inside, after = self.label, *[self.name(what)[1:] for what in ("product", "after")]
        self.put(f"br i1 {wanted}, label %{inside}, label %{after}, !prof !1")
        self.begin(inside)
        product = self.arithmetic("fmul", a, b)
        self.put(f"br label %{after}")
        self.begin(after)
        return self.value(f"phi double [ {product}, %{inside} ], [ 0.0, %{before} ]")

    def larger(self, how: str, a: str, b: str) -> str:
        """The first of two numbers where it is NaN or `how` holds, else the second."""
        first = self.value(f"or i1 {self.compare('uno', a, a)}, {self.compare(how, a, b)}", "c")
        return self.value(f"select i1 {first}, double {a}, double {b}")

    def real(self, name: str, x: list[str]) -> str | None:
        """One of the primitives with a kernel of our own, on float64; None: it is another one."""
        if name in ARITHMETIC:
            return self.arithmetic(ARITHMETIC[name], *x)
        if name == "square":
            return self.arithmetic("fmul", x[0], x[0])
        if name == "sqrt":
            return self.arithmetic("sqrt", x[0])
        if name == "reciprocal":
            return self.arithmetic("fdiv", "1.0", x[0])
        if name == "negative":
            return self.value(f"fneg double {x[0]}")
        if name == "absolute":
            return self.value(f"call double @llvm.fabs.f64(double {x[0]}) #1")
        if name in ("maximum", "minimum"):
            return self.larger("ogt" if name == "maximum" else "olt", *x)
        if name == "strongzero":
            return self.masked_product(self.is_not_zero(x[0]), *x)
        if name == "zeroproduct":
            both = self.value(f"and i1 {self.is_not_zero(x[0])}, {self.is_not_zero(x[1])}", "c")
            return self.masked_product(both, *x)
        if name in COMPARISONS:
            return self.value(f"zext i1 {self.compare(COMPARISONS[name], *x)} to i64")
        return None

    # -- instructions
    def as_cell(self, dtype: int, x: str) -> str:
        return self.value(f"bitcast double {x} to i64", "i") if dtype == F64 else x

    def of_cell(self, dtype: int, x: str) -> str:
        return self.value(f"bitcast i64 {x} to double") if dtype == F64 else x

    def instruction(self, name: str, dtypes: list[int], dout: int, x: list[str]) -> str:
        """An elementwise primitive (or a cast) on numbers."""
        if name in ("reshape", "stop"):
            return x[0]
        if name == "cast":
            return self.cast(dtypes[0], dout, x[0])
        if name == "where":
            kind = "double" if dout == F64 else "i64"
            chosen = self.value(f"icmp ne i64 {x[0]}, 0", "c")
            return self.value(f"select i1 {chosen}, {kind} {x[1]}, {kind} {x[2]}")
        own = self.real(name, x) if dtypes[0] == F64 else None
        return own or self.kernel(name, dtypes[0], dout, x)

    def cast(self, din: int, dout: int, x: str) -> str:
        if din == dout:
            return x
        _, _, cast = T.native_kernels()
        got = self.value(f"call i64 {pointer(cast)}(i32 {din}, i32 {dout}, i64 {self.as_cell(din, x)}) #0")
        return self.of_cell(dout, got)

    def kernel(self, name: str, din: int, dout: int, x: list[str]) -> str:
        """A call of the kernel that every sweep uses."""
        number, cells, _ = T.native_kernels()
        code = T.OPCODES[name]
        if din == dout == F64 and len(x) < 3:
            return self.value(f"call double {pointer(number)}(ptr %env, i32 {code}, double {x[0]}, double {x[-1]}) #0")
        bits = [self.as_cell(din, a) for a in x]
        a, b, c = [*bits, bits[0], bits[0]][:3]
        got = self.value(f"call i64 {pointer(cells)}(ptr %env, i32 {code}, i32 {din}, i64 {a}, i64 {b}, i64 {c}) #0")
        return self.of_cell(dout, got)


def pointer(address: int) -> str:
    return f"inttoptr (i64 {address} to ptr)"


def literal(dtype: int, value: Any) -> str:
    """A constant."""
    if dtype == F64:
        return "0x" + struct.pack(">d", value).hex().upper()
    if dtype == F32:
        return str(int(np.float32(value).view(np.uint32)))
    return str(int(value))
