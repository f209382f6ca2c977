"""What a well-formed tape is: every id, shape, dtype, range and claim of its instructions is recomputed and compared.

Owns: Image (a tape as plain data, free of this process's numbers) and `check`, which refuses an image that a sweep
could not run safely.  Files are checked before they become tapes; transformations by their tests (`verify`).
Must not know: bytes and files (serialize.py).  What each primitive asks of its operands: verify_rules.py.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad.errors import TapeFileError
from fastad.verify_rules import MAX_SIZE, RULES, Aval, Fault, call, check_attr, elementwise, need

LEAF, UNARY, BINARY, NARY = range(4)
LEAVES = ("nop", "input", "const", "capture")
ROW_OF = {row.name: row for row in T.ROWS.values()}


@dataclass
class Image:
    """A tape as plain data: names instead of opcodes, its own table of abstract values.

    Attributes
    ----------
    names : list of str
        The primitives that occur; `op` holds indices into it.
    avals : list of tuple
        (dtype code, weak, shape); `aval` holds indices into it.
    op, aval, arg, pool, cells, expected : ndarray
        The columns of _kernels/layout.h; `cells` are the bits of constants, `expected` those of guards.
    guard_info : list of tuple
        (kind, 'file:line') by guard.
    const_arrays, captures, attrs : list
    locations : dict
        instruction -> 'file:line'.
    inputs, outputs : list of int
    active : list of bool
        By input: may derivatives be asked for?
    boundary : int
        From here on instructions are derivative code; 0: none is.
    ignored : list of str
        Floating-point errors that the recorded function ignored (np.errstate): of "divide", "over", "invalid", "under".
    """

    names: list[str]
    op: np.ndarray
    avals: list[tuple[int, bool, tuple[int, ...]]]
    aval: np.ndarray
    arg: np.ndarray
    pool: np.ndarray
    cells: np.ndarray
    expected: np.ndarray
    guard_info: list[tuple[str, str]] = field(default_factory=list)
    const_arrays: list[np.ndarray] = field(default_factory=list)
    captures: list[np.ndarray] = field(default_factory=list)
    attrs: list[Any] = field(default_factory=list)
    locations: dict[int, str] = field(default_factory=dict)
    inputs: list[int] = field(default_factory=list)
    active: list[bool] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    boundary: int = 0
    ignored: list[str] = field(default_factory=list)

    @staticmethod
    def of(tape: Any) -> Image:
        """The image of a finished tape; arrays are copied, captured ones are not."""
        parts = T.tape_parts(tape)
        codes, parts["op"] = np.unique(parts["op"], return_inverse=True)
        ids, parts["aval"] = np.unique(parts["aval"], return_inverse=True)
        avals = []
        for k in ids.tolist():
            dtype, shape = T.aval_of(k)
            avals.append((dtype, len(T.DTYPES) <= k < 2 * len(T.DTYPES), shape))
        return Image(names=[T.OPNAMES[code] for code in codes.tolist()], avals=avals, **parts)

    def tape(self) -> Any:
        """The tape of which this is the image; `check` must have passed."""
        codes = np.array([T.OPCODES[name] for name in self.names], dtype=np.uint16)
        for name in self.names:
            if name in ROW_OF:
                T.ensure_row(name)
        ids = np.array([T.aval(dtype, shape, weak) for dtype, weak, shape in self.avals], dtype=np.uint32)
        parts = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in ("names", "avals")}
        parts["op"], parts["aval"] = codes[self.op], ids[self.aval]
        return T.tape_from_parts(parts)


def verify(tape: Any) -> None:
    """Raise TapeFileError, naming the instruction, unless `tape` is well formed.

    Every operand is defined before it is used, shapes and dtypes follow from the operands by the primitive's rule,
    maps stay within both sides and keep what they claim.  For tests of transformations, and for debugging them.
    """
    check(Image.of(tape), calls=True)


def check(image: Image, calls: bool = False) -> None:
    """Raise TapeFileError unless the image is that of a tape which any sweep can run; `calls`: foreign code allowed."""
    try:
        avals = check_avals(image.avals)
        check_columns(image)
        for attr in image.attrs:
            check_attr(attr, calls)
        check_leaves(image, avals)
        check_interface(image)
        Instructions(image, avals, calls).check()
    except Fault as fault:
        raise TapeFileError(f"damaged tape: {fault}") from None


# ---- tables and columns ----------------------------------------------------------------------------------------------

def check_avals(given: list[tuple[int, bool, tuple[int, ...]]]) -> list[Aval]:
    need(len(given) <= 1 << 17, "too many shapes")
    avals = []
    for dtype, weak, shape in given:
        size = 1
        for extent in shape:
            need(0 <= extent, f"negative extent in shape {shape}")
            size *= max(extent, 1)
            need(size <= MAX_SIZE, f"shape {shape} is larger than any memory")
        need(dtype in range(len(T.DTYPES)) and len(shape) <= 64 and not (weak and shape), "unknown kind of value")
        avals.append(Aval(dtype, shape, 0 if 0 in shape else size))
    return avals


def check_columns(image: Image) -> None:
    n = len(image.op)
    need(n >= 1 and len(image.aval) == n and image.arg.shape == (n, 2), "columns of different lengths")
    need(len(image.expected) == len(image.guard_info), "guards and their descriptions differ in number")
    need(int(image.op.max()) < len(image.names), "primitive out of the table")
    need(int(image.aval.max()) < len(image.avals), "kind of value out of the table")
    for name in image.names:
        need(name in T.OPCODES, f"unknown primitive {name!r}")
    need(image.names[image.op[0]] == "nop" and len(set(image.names)) == len(image.names), "table of primitives")
    need(not image.attrs or image.attrs[0] is None, "attribute 0 must be none")
    need(None not in image.attrs[1:], "attribute missing")


def check_leaves(image: Image, avals: list[Aval]) -> None:
    """Inputs, constants and captured arrays: each index within its table, each array as its instruction says."""
    for k, name in enumerate(image.names):
        at = np.flatnonzero(image.op == k)
        first = image.arg[at, 0]
        if name == "nop":
            need(len(at) == 1, "nop in the middle")
        elif name == "input":
            need(image.inputs == at.tolist() and first.tolist() == list(range(len(at))), "inputs are out of order")
        elif name == "const":
            ranks = np.array([len(a.shape) for a in avals])[image.aval[at]]
            need(not np.any(first[ranks == 0] >= len(image.cells)), "constant out of the table")
            for i, index in zip(at[ranks > 0].tolist(), first[ranks > 0].tolist(), strict=True):
                check_array(image.const_arrays, index, avals[image.aval[i]], f"constant {i}", exact=True)
        elif name == "capture":
            for i, index in zip(at.tolist(), first.tolist(), strict=True):
                check_array(image.captures, index, avals[image.aval[i]], f"captured array {i}", exact=False)
    if "input" not in image.names:
        need(not image.inputs, "inputs are out of order")


def check_array(table: list[np.ndarray], index: int, want: Aval, what: str, exact: bool) -> None:
    need(index < len(table), f"{what} is out of the table")
    array = table[index]
    need(array.shape == want.shape, f"{what} has shape {array.shape}, not {want.shape}")
    if exact:
        need(array.dtype == T.DTYPES[want.dtype] and array.flags.c_contiguous and array.flags.aligned,
             f"{what} has dtype {array.dtype}, or is not contiguous")


def check_interface(image: Image) -> None:
    n = len(image.op)
    need(len(image.active) == len(image.inputs), "inputs and their active flags differ in number")
    need(0 <= image.boundary <= n, f"boundary {image.boundary} of {n} instructions")
    need({*image.ignored} <= {"divide", "over", "under", "invalid"}, f"ignored floating-point errors {image.ignored}")
    for i in image.outputs:
        need(0 < i < n, f"output {i} of {n} values")
        need(image.names[image.op[i]] != "guard", f"output {i} is a guard")
    for i in image.locations:
        need(0 < i < n, f"location of instruction {i} of {n}")


# ---- instructions ----------------------------------------------------------------------------------------------------

def form_of(name: str) -> int:
    """How `arg` is to be read: LEAF, UNARY, BINARY or NARY."""
    return T.STRUCTURAL[name][1] if name in T.STRUCTURAL else min(ROW_OF[name].arity, NARY)


class Instructions:
    """The instructions of an image, checked kind by kind; equal cases are checked once."""

    def __init__(self, image: Image, avals: list[Aval], calls: bool):
        self.image, self.avals, self.calls = image, avals, calls
        self.seen: set[Any] = set()

    def check(self) -> None:
        sizes = np.array([a.size for a in self.avals])
        need(float(sizes[self.image.aval].sum(dtype=np.float64)) < 2.0**57, "more values than any memory holds")
        for k, name in enumerate(self.image.names):
            if name in LEAVES:
                continue
            at = np.flatnonzero(self.image.op == k)
            if form_of(name) == NARY:
                self.check_nary(name, at)
            else:
                self.check_fixed(name, at, sizes)

    def check_fixed(self, name: str, at: np.ndarray, sizes: np.ndarray) -> None:
        """One or two operands: columns at a time, the rule once for each combination of abstract values."""
        image = self.image
        a, b = image.arg[at, 0], image.arg[at, 1]
        self.defined(name, at, a)
        columns = [image.aval[at], image.aval[a]]
        if form_of(name) == BINARY:
            self.defined(name, at, b)
            columns.append(image.aval[b])
        elif name == "element":
            outside = np.flatnonzero(b >= sizes[image.aval[a]])
            need(not len(outside), f"instruction {at[outside[:1]]} (element) is out of bounds")
        elif name == "guard":
            need(not np.any(b >= len(image.expected)), "guard out of the table")
        elif name in T.STRUCTURAL:
            need(not np.any(b >= max(1, len(image.attrs))), f"attribute of {name} out of the table")
            columns.append(b)
        key = np.zeros(len(at), dtype=np.int64)
        for column in columns:               # number the combinations, one column after the other
            key = np.unique(key * (int(column.max()) + 1) + column, return_inverse=True)[1]
        for first in np.unique(key, return_index=True)[1].tolist():
            avals = [int(c[first]) for c in columns[:3 if form_of(name) == BINARY else 2]]
            attr = int(b[first]) if name in T.STRUCTURAL and len(columns) == 3 and form_of(name) == UNARY else 0
            self.rule(name, int(at[first]), avals[0], tuple(avals[1:]), attr)

    def check_nary(self, name: str, at: np.ndarray) -> None:
        pool, aval = self.image.pool, self.image.aval
        for i, start, attr in zip(at.tolist(), *self.image.arg[at].T.tolist(), strict=True):
            need(start < len(pool), f"instruction {i} ({name}): operands out of the table")
            count = int(pool[start])
            ids = pool[start + 1:start + 1 + count]
            need(len(ids) == count, f"instruction {i} ({name}): operands out of the table")
            need(not count or (ids.min() > 0 and ids.max() < i), f"instruction {i} ({name}) uses a later value")
            need(attr < max(1, len(self.image.attrs)), f"attribute of instruction {i} ({name}) out of the table")
            key = (name, int(aval[i]), attr, aval[ids].tobytes())
            if key not in self.seen:
                self.seen.add(key)
                self.rule(name, i, int(aval[i]), tuple(aval[ids].tolist()), attr)

    def defined(self, name: str, at: np.ndarray, operand: np.ndarray) -> None:
        bad = np.flatnonzero((operand == 0) | (operand >= at))
        need(not len(bad), f"instruction {at[bad[:1]]} ({name}) uses a value that is not defined before it")

    def rule(self, name: str, i: int, out: int, operands: tuple[int, ...], attr: int) -> None:
        y, xs = self.avals[out], [self.avals[a] for a in operands]
        try:
            if name in ROW_OF:
                elementwise(ROW_OF[name], y, xs)
            elif name == "call":
                call(y, xs, self.image.attrs[attr], self.calls)
            else:
                RULES[name](y, xs, self.image.attrs[attr] if self.image.attrs else None)
        except Fault as fault:
            where = self.image.locations.get(i)
            raise Fault(f"instruction {i} ({name}{f', {where}' if where else ''}): {fault}") from None
