"""What a time loop from a file must be, so that its executor stays within the operands and the result.

Owns: the checks of a loop's counts, of where the inputs of its body come from, and of the body's inputs and outputs.
The body itself is a tape, checked as any other (verify.py), before it gets here.
Must not know: files (serialize.py), how a loop runs (_scan.pyx, which relies on this).
"""
from __future__ import annotations

from dataclasses import dataclass

from fastad.verify import Image
from fastad.verify_rules import F64, MAX_SIZE, Aval, need

__all__ = ["Loop"]

LINE = 8                                 # numbers by which _scan.pyx rounds up the room of each part of the result


@dataclass
class Loop:
    """What `Scan` is made of; see there for the meaning.  `operands` are abstract values, `image` is the body."""

    image: Image
    ncarry: int
    nslice: int
    length: int
    sources: list[tuple[int, int, int]]
    operands: list[Aval]
    records: list[tuple[list[int], int]]

    def check(self) -> None:
        """Raise Fault unless the loop is one that can be run."""
        inputs, outputs = self.inner(self.image.inputs), self.inner(self.image.outputs)
        need(1 <= self.length <= MAX_SIZE, f"a loop of {self.length} steps")
        need("capture" not in self.image.names, "a loop whose body has captured arrays")
        need(len(inputs) == len(self.sources) >= self.ncarry + self.nslice, "inputs of the body of a loop")
        kept = [k for states, _ in self.records for k in states]
        need(sum(late for _, late in self.records) <= len(outputs) - self.ncarry, "results of the body of a loop")
        need(len({*kept}) == len(kept) and all(k < self.ncarry for k in kept), "kept states of a loop")
        need(all(y.dtype == F64 for y in outputs), "results of the body of a loop are float64")
        for x, y in zip(inputs[:self.ncarry], outputs, strict=False):
            need(x.dtype == F64 and x.shape == y.shape, "a state that changes from step to step")
        for k, (x, source) in enumerate(zip(inputs, self.sources, strict=True)):
            self.check_source(k, x, *source)
        total = sum((self.length + LINE) * (y.size + 2 * LINE) for y in (*outputs, *outputs[:self.ncarry]))
        need(total <= MAX_SIZE, "a loop whose result is larger than any memory")

    def inner(self, ids: list[int]) -> list[Aval]:
        """Abstract values of these values of the body."""
        found = []
        for i in ids:
            dtype, _, shape = self.image.avals[self.image.aval[i]]
            size = 1
            for extent in shape:
                size *= extent
            found.append(Aval(dtype, shape, size))
        return found

    def check_source(self, k: int, x: Aval, operand: int, offset: int, stride: int) -> None:
        """Input k of the body is read within its operand at every step."""
        sliced = self.ncarry <= k < self.ncarry + self.nslice
        need(offset >= 0 and stride >= 0 and (sliced or stride == 0), "where an input of a loop is read")
        if operand == -1 and k < self.ncarry:
            return                       # a state that begins with zeros
        need(0 <= operand < len(self.operands), "an operand that a loop has not")
        whole = self.operands[operand]
        need(whole.dtype == x.dtype, "an input of a loop and its operand differ in dtype")
        need(offset + (self.length - 1) * stride + x.size <= whole.size, "an input of a loop is read outside")
