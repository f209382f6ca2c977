"""How one instruction of a tape reads: `exp(v1)`, `v3[1:-1]`, `sum(v2, axis=0)`, `write(v2, [1:-1], v1)`.

Owns: the text of attributes; maps read as slices, transposes and broadcasts where they are such.
Must not know: names of values, tapes (listing.py).
"""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastad import _tape as T

Shape = tuple[int, ...]
MANY = 8                                     # operands or positions that are written out


def number(value: Any) -> str:
    """A constant: a number, a short array, or the ends of a long one."""
    if isinstance(value, np.ndarray) and value.ndim:
        texts = [repr(x) for x in value.flat[:MANY].tolist()]
        if value.size > MANY:
            texts = [*texts[:2], "...", repr(value.flat[-1].item())]
        return f"[{', '.join(texts)}]" + (f" as {value.shape}" if value.ndim > 1 or value.size > MANY else "")
    return repr(value.item() if isinstance(value, (np.generic, np.ndarray)) else value)


def shape_text(dtype: int, shape: Shape) -> str:
    """'[4, 3]', 'int64', 'bool[4]'; nothing for a float64 number."""
    return ("" if dtype == 0 else T.DTYPE_NAMES[dtype]) + (f"[{', '.join(map(str, shape))}]" if shape else "")


def expression(op: str, names: Sequence[str], shapes: Sequence[Shape], result: tuple[int, Shape], attr: Any) -> str:
    """The right side of an instruction."""
    write = WRITERS.get(op)
    if write is None:
        return f"{op}({', '.join(names)})"
    return write(op, names, shapes, result, attr)


# ---- regions of arrays -----------------------------------------------------------------------------------------------

def c_strides(shape: Shape) -> Shape:
    return tuple([math.prod(shape[k + 1:]) for k in range(len(shape))])


def region(shape: Shape, extents: Shape, offset: int, strides: Shape) -> str | None:
    """The key `1:-1, 2` with which an array of `shape` gives the view (extents, offset, strides); None: no such key."""
    if 0 in extents or 0 in shape:
        return None
    unit = c_strides(shape)
    start = [int(k) for k in np.unravel_index(offset, shape)] if shape else []
    keys, d = [], 0
    for extent, stride in zip(extents, strides, strict=True):
        while d < len(shape) and not fits(shape[d], unit[d], start[d], extent, stride):
            keys.append(str(start[d]))
            d += 1
        if d == len(shape):
            return None
        keys.append(slice_text(shape[d], start[d], extent, stride // unit[d] if extent > 1 else 1))
        d += 1
    keys += [str(k) for k in start[d:]]
    while len(keys) > 1 and keys[-1] == ":":
        keys.pop()
    return ", ".join(keys)


def fits(length: int, unit: int, start: int, extent: int, stride: int) -> bool:
    """Can this dimension of the source be the one of the view?"""
    if extent == 1:
        return abs(stride) < unit * length or length == 1
    step, rest = divmod(stride, unit)
    return rest == 0 and step != 0 and 0 <= start + step * (extent - 1) < length


def slice_text(length: int, start: int, extent: int, step: int) -> str:
    last = start + step * (extent - 1)
    if step > 0:
        stop = "" if last + step >= length else str(last + 1 - length if length - last - 1 < last + 1 else last + 1)
        return f"{start or ''}:{stop}{'' if step == 1 else f':{step}'}"
    stop = "" if last + step < 0 else str(last - 1)
    return f"{'' if start == length - 1 else start}:{stop}:{step}"


def positions_text(positions: Any) -> str:
    if len(positions) <= MANY:
        return "[" + ", ".join([str(int(k)) for k in positions]) + "]"
    return f"[{int(positions[0])}, {int(positions[1])}, ... {len(positions)} positions ..., {int(positions[-1])}]"


def side_text(m: Any, shape: Shape, destination: bool) -> str:
    """One side of a map as a key: a slice, or positions in the flattened array."""
    _, _, pieces, src, dst, *_ = m.fields()
    if pieces is None:
        table = dst if destination else src
        return "[:]" if table is None else positions_text(table)
    texts = []
    for extents, soff, sstr, doff, dstr in pieces:
        key = region(shape, extents, doff if destination else soff, dstr if destination else sstr)
        texts.append(f"[{key}]" if key is not None else
                     f"[{doff if destination else soff} + {list(extents)} by {list(dstr if destination else sstr)}]")
    return " ".join(texts)


# ---- movers ----------------------------------------------------------------------------------------------------------

def filled(m: Any, text: str) -> str:
    fill, covers = m.fields()[-2], m.fields()[5]
    return text if covers else f"{text}, fill={number(fill)}"


def move_text(op: str, names: Sequence[str], shapes: Sequence[Shape], result: tuple[int, Shape], attr: Any) -> str:
    """`x[1:-1]`, `x.T`, `broadcast_to(x, shape)`, `x.flat[[0, 2]]`, or `move(x, ...)` in general."""
    name, shape, (_, out) = names[0], shapes[0], result
    _, ndst, pieces, src, dst, covers, *_ = attr.fields()
    if pieces is None and dst is None and covers:
        return f"{name}.flat[{positions_text(src)}]"
    if pieces is not None and len(pieces) == 1:
        extents, soff, sstr, doff, dstr = pieces[0]
        if doff == 0 and extents == out and dstr == c_strides(out):
            text = view_text(name, shape, extents, soff, sstr)
            if text is not None:
                return text
    return filled(attr, f"move({name}, {side_text(attr, shape, False)} -> {side_text(attr, out, True)}") + ")"


def view_text(name: str, shape: Shape, extents: Shape, offset: int, strides: Shape) -> str | None:
    """The strided view of an array as NumPy code, if a short one gives it."""
    unit = c_strides(shape)
    if offset == 0 and sorted(zip(strides, extents, strict=True)) == sorted(zip(unit, shape, strict=True)) \
            and strides != unit and len(set(unit)) == len(unit):
        axes = [unit.index(s) for s in strides]
        return f"{name}.T" if axes == list(range(len(shape)))[::-1] else f"transpose({name}, {tuple(axes)})"
    if offset == 0 and len(shape) <= len(extents):
        lead = len(extents) - len(shape)
        wanted = (0,) * lead + tuple([0 if n == 1 else s for n, s in zip(shape, unit, strict=True)])
        same = all(n in (1, m) for n, m in zip(shape, extents[lead:], strict=True))
        steps = zip(strides, wanted, extents, strict=True)
        if same and extents != shape and all(s == w or n == 1 for s, w, n in steps):
            return f"broadcast_to({name}, {extents})"
    key = region(shape, extents, offset, strides)
    return None if key is None else f"{name}[{key}]"


def write_text(op: str, names: Sequence[str], shapes: Sequence[Shape], result: tuple[int, Shape], attr: Any) -> str:
    """`write(old, [1:-1], value)`, `erase(x, [1:-1])`."""
    return f"{op}({', '.join([names[0], side_text(attr, result[1], True), *names[1:]])})"


def assemble_text(op: str, names: Sequence[str], shapes: Sequence[Shape], result: tuple[int, Shape], attr: Any) -> str:
    maps, accumulate, covers, fill, _ = attr.fields()
    sign = "+=" if accumulate else "="
    parts = [f"{side_text(m, result[1], True)} {sign} {part_text(name, shape, m)}"
             for name, shape, m in zip(names[:MANY], shapes, maps, strict=False)]
    if len(maps) > MANY:
        parts.append(f"... {len(maps)} in all")
    if not covers or accumulate:
        parts.append(f"fill={number(fill)}")
    return f"assemble({', '.join(parts)})"


def part_text(name: str, shape: Shape, m: Any) -> str:
    key = side_text(m, shape, False)
    return name if key == "[:]" else f"{name}{key}"


def stack_text(op: str, names: Sequence[str], shapes: Sequence[Shape], result: tuple[int, Shape], attr: Any) -> str:
    _, positions, has_base, accumulate = attr.fields()
    scalars = list(names[has_base:])
    if positions is not None:
        sign = "+=" if accumulate else "="
        scalars = [f"[{int(k)}] {sign} {name}" for k, name in zip(positions, scalars, strict=True)]
    if len(scalars) > MANY:
        scalars = [*scalars[:3], f"... {len(scalars)} in all ...", scalars[-1]]
    return f"stack({', '.join([*names[:has_base], *scalars])})"


# ---- the rest --------------------------------------------------------------------------------------------------------

def axis_text(op: str, names: Sequence[str], shapes: Sequence[Shape], result: tuple[int, Shape], attr: Any) -> str:
    """`sum(x)`, `sum(x, axis=0)`; NumPy's names max and min."""
    outer, n, inner, reverse = attr.fields()
    shape = shapes[0]
    axis = [k for k in range(len(shape)) if (math.prod(shape[:k]), shape[k]) == (outer, n)]
    where = ""
    if len(shape) > 1 and not (outer == inner == 1 and n == math.prod(shape)):
        where = f", axis={axis[0]}" if axis else f", as=({outer}, {n}, {inner})"
    name = {"maxr": "max", "minr": "min"}.get(op, op)
    return f"{name}({names[0]}{where}{', reverse' if reverse else ''})"


def matmul_text(op: str, names: Sequence[str], shapes: Sequence[Shape], result: tuple[int, Shape], attr: Any) -> str:
    batch, m, k, n, _, _, ta, tb = attr.fields()
    a, b = (name + (".T" if flag else "") for name, flag in zip(names, (ta, tb), strict=True))
    plain = len(shapes[0]) <= 2 and len(shapes[1]) <= 2
    return f"matmul({a}, {b}{'' if plain else f', as=({batch}, {m}, {k}, {n})'})"


def spmm_text(op: str, names: Sequence[str], shapes: Sequence[Shape], result: tuple[int, Shape], attr: Any) -> str:
    nrow, ncol, _, _, indices, transpose = attr.fields()
    return f"csr({nrow}x{ncol}, {len(indices)} entries {names[0]}){'.T' if transpose else ''} @ {names[1]}"


def lapack_text(op: str, names: Sequence[str], shapes: Sequence[Shape], result: tuple[int, Shape], attr: Any) -> str:
    """`chol(A)`, `trisolve(L, b, trans, upper)`; A beside its own factors stands for them.  Of a band: `below=1`."""
    form = [name for name, bit in T.LAPACK_FORMS.items() if attr.form & bit]
    if attr.name in T.LAPACK_BANDED:
        form.append(f"below={attr.form // T.LAPACK_BAND}")
    return f"{attr.name}({', '.join([*names, *form])})"


def call_text(op: str, names: Sequence[str], shapes: Sequence[Shape], result: tuple[int, Shape], attr: Any) -> str:
    return f"{getattr(attr, 'name', 'call')}({', '.join(names)})"


Writer = Callable[[str, Sequence[str], Sequence[Shape], tuple[int, Shape], Any], str]
WRITERS: dict[str, Writer] = {
    "reshape": lambda op, names, shapes, result, attr: f"reshape({names[0]}, {result[1]})",
    "stop": lambda op, names, shapes, result, attr: f"stop_gradient({names[0]})",
    "cast": lambda op, names, shapes, result, attr: f"{T.DTYPE_NAMES[result[0]]}({names[0]})",
    "move": move_text, "write": write_text, "erase": write_text, "assemble": assemble_text, "stack": stack_text,
    "take": lambda op, names, shapes, result, attr: f"{names[0]}.flat[{names[1]}]",
    "wrap": lambda op, names, shapes, result, attr: f"wrap({names[0]}, {attr.fields()[0]})",
    "lastwriter": lambda op, names, shapes, result, attr: f"lastwriter({names[0]}, {attr.fields()[0]})",
    "searchsorted": lambda op, names, shapes, result, attr:
        f"searchsorted({names[0]}, {names[1]}, '{'right' if attr.fields()[0] else 'left'}')",
    "matmul": matmul_text, "spmm": spmm_text, "call": call_text, "lapack": lapack_text,
    **dict.fromkeys(("sum", "maxr", "minr", "any", "all", "argmax", "argmin", "cumsum", "argsort"), axis_text),
}
