"""loop_values.py - leaves of a loop's state, of its slices and results: in which types and parts a loop has them.

Owns: complex leaves as two, everything as float64 in a body, a result taken out of what the loop has computed.
Must not know: steps, what is recorded when (loops.py).
Next: loops.py.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from fastad import _tape as T
from fastad import complex_values, trees
from fastad._transform import inline
from fastad.operands import live

F64, I64, BOOL, F32 = 0, 1, 2, 3


def widened(columns: Any, real: list[bool], pairs: list[bool], y: list[Any]) -> list[Any]:
    """Columns for y that began as whole or real numbers, as a state did which later steps have made a wider type."""
    parts, found = iter(columns), list[Any]()
    for before, now in zip(real, pairs, strict=True):
        column = next(parts)
        found += [column, next(parts)] if before else [column, np.zeros_like(column)] if now else [column]
    return [a.astype(v.dtype) if np.can_cast(a.dtype, v.dtype) else a for a, v in zip(found, y, strict=False)]


def truth(x: Any) -> Any:
    """A condition as a bool: to Python a number that is not zero holds, too."""
    dtype = getattr(x, "dtype", None)
    return x if isinstance(x, bool) or dtype is None or dtype == np.bool_ else x != 0


def owned(x: Any) -> Any:
    """A plain value that shares memory with nothing else."""
    return x.copy() if isinstance(x, np.ndarray) and x.ndim else x[()] if isinstance(x, np.ndarray) else x


def equal_bits(a: Any, b: Any) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def paths(tree: Any, pairs: list[bool]) -> list[str]:
    """How the leaves are written, where complex ones are two."""
    return [path for path, pair in zip(trees.paths(tree), pairs, strict=True) for _ in range(1 + pair)]


def joined(leaves: list[Any], pairs: list[bool]) -> list[Any]:
    """Leaves with complex ones in place of the pairs of their parts."""
    parts = iter(leaves)
    return [complex_of(next(parts), next(parts)) if pair else next(parts) for pair in pairs]


def complex_of(re: Any, im: Any) -> Any:
    if T.is_wrapped(re) or T.is_wrapped(im):
        return complex_values.make(re, im)
    z = np.empty(np.shape(re), complex_values.complex_dtype(complex_values.base(re, im)))
    z.real, z.imag = re, im
    return z[()]


def on_tape(x: Any) -> Any:
    """A result of a step as a value of the tape, also where it is a plain number."""
    if T.is_wrapped(x) or np.ndim(x):
        return x
    tape = T.current_tape()
    return T.wrap_value(tape, tape.emit_const(x, T.recorded_dtype(x.dtype)), np.array(x))


def as_float64(x: Any) -> Any:
    """In float64, and an array of the user's as what is read again at every replay (what was a number is not)."""
    x = x if T.is_wrapped(x) or not (x.ndim or x.flags.writeable) else live(x)
    return T.astype(x, np.float64) if T.is_wrapped(x) else x.astype(np.float64)


def number(x: Any) -> Any:
    """A number as an array that nobody can change."""
    x = np.asarray(x)
    x.flags.writeable = False
    return x


def without_float32(x: Any) -> Any:
    """An operand in float64 if it is float32, read again at every replay if it is the user's."""
    return x if x.dtype != np.float32 else as_float64(x if T.is_traced(x) else live(x))


def normalised(tape: Any, ncarry: int) -> Any:
    """The body with float64 in place of all else in its state and results, and of float32 among its inputs."""
    new = T.Tape()
    avals = [T.aval_of(tape.instruction(i)[2]) for i in tape.inputs]
    ids = [new.emit_input(T.aval(F64 if k < ncarry or dtype == F32 else dtype, shape), k < ncarry or dtype in T.REAL)
           for k, (dtype, shape) in enumerate(avals)]
    for k, (dtype, shape) in enumerate(avals):
        if dtype == F32 or (dtype != F64 and k < ncarry):
            ids[k] = new.emit("cast", (ids[k],), T.aval(dtype, shape))
    outputs = []
    for i in inline(new, tape, ids):
        dtype, shape = T.aval_of(new.instruction(i)[2])
        outputs.append(i if dtype == F64 else new.emit("cast", (i,), T.aval(F64, shape)))
        if dtype == I64:
            same = new.emit("equal", (new.emit("cast", (outputs[-1],), T.aval(I64, shape)), i), T.aval(BOOL, shape))
            if shape:
                same = new.emit("all", (same,), T.aval(BOOL, ()), T.Axis(1, int(np.prod(shape)), 1))
            new.emit_guard(same, 1, "an integer in a scan that float64 holds exactly", T.here())
    new.set_outputs(outputs)
    return new.finish()


def part(y: Any, place: Any, shape: tuple[int, ...], dtype: int) -> Any:
    """One leaf of the result, an array of its own."""
    if shape == ():
        leaf = y[place.offset]
    else:
        size = int(np.prod(shape, dtype=np.int64))
        leaf = T.structural("move", (y,), T.Map.view(y.size, shape, place.offset, place.strides), shape, F64) \
            if size else np.zeros(shape)
    return leaf if dtype == F64 else leaf.astype(T.DTYPES[dtype])
