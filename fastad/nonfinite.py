"""`debug_nonfinite`: the first operation that made a NaN or an infinity, its operands, and where it stands.

Owns: the search, forward through values, else backward through adjoints, and through the steps of a `scan`.  Non-finite
values that do not reach a result (the untaken side of a `where`) are no finding.
Must not know: how sweeps are made visible (trace.py, Observed).
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad._scan import Scan
from fastad.listing import Names
from fastad.recording import name_of, record
from fastad.trace import Observed, input_values, text

__all__ = ["Finding", "debug_nonfinite"]

SOURCES = ("input", "const", "capture")


@dataclass(frozen=True)
class Finding:
    """What `debug_nonfinite` found; false if all is finite.

    Attributes
    ----------
    found : bool
    sweep : str
        "forward": a value is not finite; "reverse": the values are, an adjoint is not.
    operation : str
        ``"log(v3)"``; the name of an input where the arguments themselves are not finite.
    operands : dict
        Name -> value.
    result : number or ndarray
        The value of the operation.
    adjoint : number or ndarray or None
        In the reverse sweep: the adjoint that was not finite, of the first of `operands`.
    location : str or None
        ``'file:line'``.
    masked : int
        Values that are not finite, and do not reach a result.
    steps : tuple of (int, str or None)
        Inside a `scan`: the step, counted from 0 in the order of its slices, and the line of the scan; the outermost
        scan first.
    turn : tuple of (int, int)
        The operation is the first of these, of so many recorded on that line with the same name: the turn of a loop in
        Python.  (1, 1): the only one.
    sources : tuple of (int, str or None)
        Inside a `sum_over`: the number of the source, and the line of the sum.
    """

    name: str
    found: bool
    sweep: str = ""
    operation: str = ""
    operands: dict[str, Any] = field(default_factory=dict)
    result: Any = None
    adjoint: Any = None
    location: str | None = None
    masked: int = 0
    steps: tuple[tuple[int, str | None], ...] = ()
    turn: tuple[int, int] = (1, 1)
    sources: tuple[tuple[int, str | None], ...] = ()

    def __bool__(self) -> bool:
        return self.found

    def __str__(self) -> str:
        if not self.found:
            rest = f" ({self.masked} values on the way are not, and reach no result)" if self.masked else ""
            return f"{self.name}: all results and derivatives are finite{rest}"
        lines = [f"{self.name}: not finite in the {self.sweep} sweep, first at {self.location or 'an unknown line'}"]
        lines += [f"    in source {k} of the sum at {place or 'an unknown line'}" for k, place in self.sources]
        lines += [f"    in step {step} of the scan at {place or 'an unknown line'}" for step, place in self.steps]
        if self.turn[1] > 1:
            lines.append(f"    number {self.turn[0]} of {self.turn[1]} such operations of this line")
        lines.append(f"    {self.operation} = {text(self.result)}")
        lines += [f"    {name} = {text(value)}" for name, value in self.operands.items() if name != self.operation]
        if self.sweep == "reverse":
            lines.append(f"    adjoint of {next(iter(self.operands))} = {text(self.adjoint)}")
        return "\n".join(lines)


def debug_nonfinite(f: Callable[..., Any], *args: Any, **kwargs: Any) -> Finding:
    """Find the first operation that produced NaN or an infinity.

    Parameters
    ----------
    f : callable
        Plain NumPy code.
    *args, **kwargs
        The point; f is recorded there, with the line of every operation.

    Returns
    -------
    Finding
        False if values and derivatives are all finite; `str` tells what was found.

    Raises
    ------
    TracerError, UnsupportedError, DerivativeError
        f cannot be recorded, as with `record`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastad as ad
    >>> finding = ad.debug_nonfinite(lambda x: np.sum(np.log(x)), np.array([1.0, 0.0]))
    >>> bool(finding), finding.sweep
    (True, 'forward')
    >>> finding.result
    array([  0., -inf])
    """
    was = T.every_line(True)
    try:
        with np.errstate(all="ignore"):
            tape = record(f, *args, **kwargs)
    finally:
        T.every_line(was)
    search = Search(name_of(f), tape)
    with np.errstate(all="ignore"):
        return search.run(input_values(tape, args, kwargs))


def bad(x: Any) -> bool:
    return x is not None and np.asarray(x).dtype.kind == "f" and not bool(np.all(np.isfinite(x)))


class Search:
    """A tape that is looked through."""

    def __init__(self, name: str, tape: Any):
        self.name, self.tape = name, tape
        self.names, self.observed = Names(tape), Observed(tape)

    def operands(self, i: int) -> tuple[int, ...]:
        op, operands, _, _ = self.tape.instruction(i)
        return tuple(operands[:1]) if op == "element" else tuple(operands)

    def run(self, point: list[Any]) -> Finding:
        return self.forward(point) or self.reverse([1.0] * len(self.tape.outputs)) \
            or Finding(self.name, False, masked=self.masked)

    def forward(self, point: list[Any]) -> Finding | None:
        """What made a result not finite."""
        self.values = self.observed.forward(point)
        wrong = [i for i, x in self.values.items() if bad(x)]
        self.masked = len(wrong)
        reaching = self.reaching(set(wrong))
        if not reaching:
            return None
        i = min(reaching, key=lambda i: (self.tape.instruction(i)[0] == "const", i))
        attr = self.tape.instruction(i)[3]
        inside = Steps(self, i, attr).forward() if isinstance(attr, Scan) else self.source(i, attr, "forward")
        return inside or self.finding(i, "forward")

    def reverse(self, seeds: list[Any]) -> Finding | None:
        """What made the adjoint of an input not finite, at the last point."""
        adjoints = self.observed.adjoints(seeds)
        inputs = [i for i in self.tape.inputs if bad(adjoints[i])]
        first = max((i for i, x in adjoints.items() if bad(x)), default=None) if inputs else None
        if first is None:
            return None
        users = [i for i in self.values if first in self.operands(i)]
        blamed = [i for i in users if self.contributes(i, first, adjoints[i])]
        for i in [] if blamed else reversed(users):
            attr = self.tape.instruction(i)[3]
            inside = Steps(self, i, attr).reverse(adjoints[i]) if isinstance(attr, Scan) else \
                self.source(i, attr, "reverse")
            if inside:
                return inside
        return self.finding((blamed or users)[-1], "reverse", first, adjoints[first])

    def source(self, i: int, attr: Any, sweep: str) -> Finding | None:
        """What is found in the first source of a sum, if instruction i is one, in which there is something."""
        rule = getattr(attr, "rule", None)
        parts = getattr(getattr(rule, "owner", None), "parts", None)
        if rule is None or parts is None:
            return None
        for k, (f, args) in enumerate(parts(*rule.args([self.values[x] for x in self.operands(i)]))):
            found = debug_nonfinite(f, *args)
            if found and found.sweep == sweep:
                return replace(found, name=self.name, sources=((k, self.tape.location(i)), *found.sources))
        return None

    def reaching(self, wrong: set[int]) -> list[int]:
        """Those that make a result not finite, and are not made so by an operand."""
        seen, origins = set(), []
        stack = [i for i in self.tape.outputs if i in wrong]
        while stack:
            i = stack.pop()
            if i in seen:
                continue
            seen.add(i)
            before = [x for x in self.operands(i) if x in wrong]
            stack += before
            if not before:
                origins.append(i)
        return origins

    def finding(self, i: int, sweep: str, first: int | None = None, adjoint: Any = None) -> Finding:
        op = self.tape.instruction(i)[0]
        if op in SOURCES:
            text_ = self.names.name(i)
        elif op == "element":
            text_ = self.names.name(i)
        else:
            text_ = self.names.line(i).partition("  #")[0].partition(" = ")[2].rstrip()
        ids = list(dict.fromkeys(([] if first is None else [first]) + list(self.operands(i))))
        return Finding(self.name, True, sweep, text_, {self.names.name(x): self.values[x] for x in ids},
                       self.values[i], adjoint, self.tape.location(i), turn=self.turn(i))

    def turn(self, i: int) -> tuple[int, int]:
        """(which, of how many) instructions of this name and line is i?"""
        place, op = self.tape.location(i), self.tape.instruction(i)[0]
        if place is None or op in SOURCES:
            return 1, 1
        alike = [k for k in range(1, len(self.tape) + 1)
                 if self.tape.location(k) == place and self.tape.instruction(k)[0] == op]
        return alike.index(i) + 1, len(alike)

    def contributes(self, i: int, x: int, w: Any) -> bool:
        """Is adjoint times partial derivative not finite for operand x of the elementwise operation i?"""
        op, operands, _, _ = self.tape.instruction(i)
        row = T.ROWS.get(T.OPCODES[op])
        if row is None or row.partials is None or w is None:
            return False
        partials = row.partials(*[self.values[k] for k in operands], self.values[i])
        partials = partials if isinstance(partials, tuple) else (partials,)
        products = [np.where(w == 0, 0.0, w * p) for k, p in zip(operands, partials, strict=True) if k == x]
        return any(map(bad, products))


class Steps:
    """The steps of scan i of a tape that is looked through, one after the other."""

    def __init__(self, around: Search, i: int, scan: Scan):
        self.around, self.scan, self.place = around, scan, around.tape.location(i)
        operands = around.tape.instruction(i)[1]
        self.flat = [np.asarray(around.values[x]).ravel() for x in operands]
        self.avals = [T.aval_of(scan.body.instruction(i)[2]) for i in scan.body.inputs]

    def order(self) -> range:
        """Numbers of the slices, as they are taken."""
        n = self.scan.length
        return range(n - 1, -1, -1) if self.scan.reverse else range(n)

    def inputs(self, step: int, carries: list[Any]) -> list[Any]:
        """Values of the body's inputs; without carries, those of the first step."""
        values: list[Any] = []
        for (operand, offset, stride), (dtype, shape) in zip(self.scan.sources, self.avals, strict=True):
            if len(values) < len(carries):
                values.append(carries[len(values)])
                continue
            at, size = offset + stride * step, size_of(shape)
            x = np.zeros(size) if operand < 0 else self.flat[operand][at:at + size]
            values.append(x.reshape(shape).astype(T.DTYPES[dtype], copy=False)[()])
        return values

    def points(self) -> Any:
        """(step, values of the body's inputs) of every step, the first one first."""
        carries: list[Any] = []
        for step in self.order():
            values = self.inputs(step, carries)
            yield step, values
            carries = self.scan.body.sweep(values)[:self.scan.ncarry]

    def forward(self) -> Finding | None:
        """In the first step that makes something not finite of finite numbers, and hands it on."""
        search = Search(self.around.name, self.scan.body)
        for step, values in self.points():
            if any(map(bad, self.scan.body.sweep(values))):
                return self.named(search.forward(values), step)
        return None

    def reverse(self, w: Any) -> Finding | None:
        """In the last step through which adjoints become so; w: the adjoint of the scan."""
        scan, search = self.scan, Search(self.around.name, self.scan.body)
        w = np.asarray(w)
        later = [w[at:at + size_of(shape)].reshape(shape) for at, shape in scan.final]
        for step, values in reversed(list(self.points())):
            seeds = [*later, *[w[at + step * stride:][:size_of(shape)].reshape(shape)
                               for at, shape, stride in scan.stacked]]
            search.forward(values)
            found = search.reverse(seeds)
            if found:
                return self.named(found, step)
            adjoints = search.observed.adjoints(seeds)
            later = [np.zeros(np.shape(x)) if adjoints[i] is None else adjoints[i]
                     for i, x in zip(scan.body.inputs, values, strict=False)][:scan.ncarry]
        return None

    def named(self, finding: Finding | None, step: int) -> Finding | None:
        return finding and replace(finding, steps=((step, self.place), *finding.steps))


def size_of(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=np.int64))
