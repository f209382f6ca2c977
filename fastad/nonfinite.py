"""`debug_nonfinite`: the first operation that made a NaN or an infinity, its operands, and where it stands.

Owns: the search, forward through values, else backward through adjoints.  Non-finite values that do not reach a result
(the untaken side of a `where`) are no finding.
Must not know: how sweeps are made visible (trace.py, Observed).
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastad import _tape as T
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

    def __bool__(self) -> bool:
        return self.found

    def __str__(self) -> str:
        if not self.found:
            rest = f" ({self.masked} values on the way are not, and reach no result)" if self.masked else ""
            return f"{self.name}: all results and derivatives are finite{rest}"
        lines = [f"{self.name}: not finite in the {self.sweep} sweep, first at {self.location or 'an unknown line'}",
                 f"    {self.operation} = {text(self.result)}"]
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
        self.values = self.observed.forward(point)
        wrong = [i for i, x in self.values.items() if bad(x)]
        reaching = self.reaching(set(wrong))
        if reaching:
            return self.finding(min(reaching, key=lambda i: (self.tape.instruction(i)[0] == "const", i)), "forward")
        adjoints = self.observed.adjoints([1.0] * len(self.tape.outputs))
        inputs = [i for i in self.tape.inputs if bad(adjoints[i])]
        first = max((i for i, x in adjoints.items() if bad(x)), default=None) if inputs else None
        if first is not None:
            return self.backward(first, adjoints)
        return Finding(self.name, False, masked=len(wrong))

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
                       self.values[i], adjoint, self.tape.location(i))

    def backward(self, first: int, adjoints: dict[int, Any]) -> Finding:
        """The operation through which the adjoint of value `first` became what it is."""
        users = [i for i in self.values if first in self.operands(i)]
        blamed = [i for i in users if self.contributes(i, first, adjoints[i])]
        return self.finding((blamed or users)[-1], "reverse", first, adjoints[first])

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
