"""rearranging.py - NumPy's functions that only move elements: shapes, axes, copies, repetition, joining, padding.

Owns: the list of them, and how the arguments of those with several arrays become an assembly.
Must not know: how a result becomes a view, a map or an assembly (movers.py).
"""
from __future__ import annotations

from typing import Any

import numpy as np

from fastad import _tape as T
from fastad.checking import checked
from fastad.movers import _mover, assemble, move, moved, mover, relayout, settled
from fastad.operands import (
    CODES,
    METHODS,
    RECORDED,
    Array,
    Complex,
    Scalar,
    asarray,
    cast_to,
    code_of,
    deliver,
    existing,
    live,
    records,
    refusal,
    requested,
    run_plain,
    shape_of,
    traced,
)

mover(np.ravel, np.transpose, np.swapaxes, np.moveaxis, np.rollaxis, np.squeeze, np.expand_dims,
      np.broadcast_to, np.flip, np.fliplr, np.flipud, np.rot90, np.roll, np.tile, np.repeat, np.diagonal,
      np.resize, np.delete, np.matrix_transpose, np.linalg.matrix_transpose, np.linalg.diagonal, *existing("unstack"),
      np.split, np.array_split, np.hsplit, np.vsplit, np.dsplit, np.lib.stride_tricks.sliding_window_view)


# ---- shapes and copies: the common ones, kept short -----------------------------------------------------------------

@records(np.reshape)
def reshape(a: Any, /, shape: Any, order: Any = "C", *, copy: Any = None) -> Any:
    """Another shape: a view where NumPy's is one."""
    if type(a) is not Array:
        a = asarray(a)
    if not T.is_traced(a):
        return rewrap(a, np.reshape(T.concrete(a), shape, order=order))
    c = T.concrete(a)
    if order == "C" and not copy and c.flags.c_contiguous:
        return T.view(a, c.reshape(shape))
    extra = {} if copy is None else {"copy": copy}
    return move(a, lambda x: np.reshape(x, shape, order=order, **extra))


def rewrap(a: Any, out: Any) -> Any:
    """The result of plain NumPy on one plain array."""
    if type(a) is Array and T.is_view_of(a, out):
        return T.view(a, out)
    return T.wrap(out)


def reshape_method(a: Any, *shape: Any, order: Any = "C", copy: Any = None) -> Any:
    """x.reshape(2, 3) or x.reshape((2, 3))."""
    return reshape(a, shape[0] if len(shape) == 1 else shape, order, copy=copy)


def strided(a: Any, run: Any) -> Any:
    """np.lib.stride_tricks.as_strided: a view inside the array's memory; its elements may overlap."""
    c = T.concrete(a)
    out = run(c)
    whole = c
    while isinstance(whole.base, np.ndarray):
        whole = whole.base
    inside, outside = np.lib.array_utils.byte_bounds(out), np.lib.array_utils.byte_bounds(whole)
    if out.dtype != c.dtype or (out.size and not (outside[0] <= inside[0] and inside[1] <= outside[1])):
        raise refusal("np.lib.stride_tricks.as_strided", "the view would reach beyond the memory of the array")
    if not out.size:
        return T.wrap(out.copy())
    return T.view(a, out)


def transpose_method(a: Any, *axes: Any) -> Any:
    """x.transpose(1, 0), x.transpose((1, 0)) or x.transpose()."""
    a = a if type(a) is Array else asarray(a)
    return T.view(a, T.concrete(a).transpose(*axes))


@records("copy", np.copy)
def copy(a: Any, order: Any = "K", subok: bool = False) -> Any:
    """New memory with the same values: no instruction."""
    a = asarray(a)
    c = T.concrete(a)
    new = c.copy(order=order)
    if not T.is_traced(a):
        return T.wrap(new)
    if new.flags.c_contiguous and new.ndim and new.size:
        tape = T.tape_of(a)
        return T.wrap_value(tape, T.id_in(tape, a), new)
    return moved(a, new, np.arange(1, a.size + 1).reshape(a.shape))


@records("astype", *existing("astype"))
def astype(a: Any, dtype: Any, order: Any = "K", casting: Any = "unsafe", subok: bool = True, copy: bool = True,
           device: Any = None) -> Any:
    """Conversion to float64, int64, bool or complex128."""
    if np.dtype(dtype).kind == "c":
        return RECORDED["complex cast"](a, np.dtype(dtype))
    code = requested(dtype, "astype")
    if not np.can_cast(a.dtype, T.DTYPES[code], casting):
        raise TypeError(f"Cannot cast array data from {a.dtype!r} to {T.DTYPES[code]!r} according to the rule "
                        f"{casting!r}")
    if device is not None:
        np.asarray(0.0, device=device)   # NumPy's own error
    if CODES[a.dtype] != code:
        y = cast_to(a, code)
        return relayout(y, T.concrete(a).astype(T.DTYPES[code], order)) if type(a) is Array and a.ndim > 1 else y
    if type(a) is Scalar or not copy:
        return a
    return RECORDED_COPY(a, order)


RECORDED_COPY = copy


@records(np.ascontiguousarray)
def ascontiguousarray(a: Any, dtype: Any = None) -> Any:
    """C order; a copy only where it is needed."""
    a = asarray(a, dtype)
    a = a.reshape(1) if a.ndim == 0 else a
    return a if T.concrete(a).flags.c_contiguous else copy(a, "C")


@records(np.asfortranarray)
def asfortranarray(a: Any, dtype: Any = None) -> Any:
    """Fortran order; a copy only where it is needed."""
    a = asarray(a, dtype)
    return a if T.concrete(a).flags.f_contiguous else copy(a, "F")


def array(x: Any, dtype: Any = None, *, copy: Any = True, order: Any = "K", subok: bool = False, ndmin: int = 0,
          ndmax: int = 0, like: Any = None) -> Any:
    """np.array for everything."""
    made = asarray(x, dtype, None if order == "K" else order)
    if copy and made is x and isinstance(made, Complex):
        made = made.copy(order)
    elif copy and made is x and type(made) is Array:
        made = RECORDED_COPY(made, order) if T.is_traced(made) else T.wrap(np.array(T.concrete(made), order=order))
    elif copy and made is x:
        made = T.wrap(np.array(made, order=order))
    return made.reshape((1,) * (ndmin - made.ndim) + made.shape) if made.ndim < ndmin else made


def full(shape: Any, fill_value: Any, dtype: Any = None, order: Any = "C", **kwargs: Any) -> Any:
    """np.full with a traced fill value."""
    value = fill_value if dtype is None else cast_to(fill_value, requested(dtype, "full"))
    return copy(np.broadcast_to(asarray(value), shape), order)


@records(np.full_like, data=2)
def full_like(a: Any, fill_value: Any, dtype: Any = None, order: Any = "K", subok: bool = True, shape: Any = None,
              **kwargs: Any) -> Any:
    """np.full_like with a traced fill value (or of a traced array)."""
    if kwargs.get("device") is not None:
        np.asarray(0.0, device=kwargs["device"])                 # NumPy's own error
    if dtype is not None and traced((fill_value,)):
        dtype = T.DTYPES[requested(dtype, "np.full_like")]
    made = T.recordable(np.empty_like(T.concrete(a), dtype=dtype, order=order, shape=shape))
    made[...] = fill_value
    return made


@records(np.atleast_1d)
def atleast_1d(*arrays: Any) -> Any:
    """Each with at least one axis."""
    return _each(np.atleast_1d, arrays)


@records(np.atleast_2d)
def atleast_2d(*arrays: Any) -> Any:
    """Each with at least two axes."""
    return _each(np.atleast_2d, arrays)


@records(np.atleast_3d)
def atleast_3d(*arrays: Any) -> Any:
    """Each with at least three axes."""
    return _each(np.atleast_3d, arrays)


def _each(func: Any, arrays: Any) -> Any:
    arrays = [asarray(a) if isinstance(a, (list, tuple)) else a for a in arrays]
    out = tuple([move(a, func) if T.is_traced(a) else run_plain(func, (a,), {}) for a in arrays])
    return out[0] if len(out) == 1 else out


@records(np.broadcast_arrays)
def broadcast_arrays(*arrays: Any, subok: bool = False) -> Any:
    """All at their common shape: repeating views."""
    arrays = tuple([asarray(a) for a in arrays])
    shape = np.broadcast_shapes(*[shape_of(a) for a in arrays])
    return tuple([np.broadcast_to(a, shape) for a in arrays])


# ---- several arrays -------------------------------------------------------------------------------------------------

def _join(func: Any, stacking: bool = False) -> None:
    def record(arrays: Any, *args: Any, out: Any = None, dtype: Any = None, casting: Any = "same_kind",
               **kwargs: Any) -> Any:
        if out is not None or dtype is not None or casting != "same_kind":
            kwargs |= {k: v for k, v in (("out", out), ("dtype", dtype)) if v is not None}
            return checked(func, joined, (arrays, *args), kwargs | {"casting": casting}, f"np.{func.__name__}")
        return joined(arrays, *args, **kwargs)

    def joined(arrays: Any, *args: Any, out: Any = None, dtype: Any = None, casting: Any = None, **kwargs: Any) -> Any:
        arrays = list(arrays)
        if stacking and not args and not kwargs and not any(map(shape_of, arrays)):
            y = asarray(arrays)
        elif args or kwargs:
            args, kwargs = settled(args), dict(zip(kwargs, map(settled, kwargs.values()), strict=True))
            key = (func, args, tuple(kwargs.items()))
            y = assemble(lambda values: func(values, *args, **kwargs), arrays, key)
        else:
            y = assemble(func, arrays, func)
        return deliver(out, y if dtype is None else cast_to(y, requested(dtype, func.__name__)), func.__name__)
    record.__name__ = func.__name__
    records(func)(record)


_join(np.stack, True)
for _f in (np.concatenate, np.vstack, np.hstack, np.dstack, np.column_stack):
    _join(_f)


@records(np.append)
def append(arr: Any, values: Any, axis: Any = None) -> Any:
    """The values behind the array."""
    axis = settled(axis)
    return assemble(lambda v: np.append(v[0], v[1], axis), [arr, values], (np.append, axis))


@records(np.insert)
def insert(arr: Any, obj: Any, values: Any, axis: Any = None) -> Any:
    """Values before the given positions."""
    values = cast_to(asarray(values), code_of(arr)) if code_of(values) != code_of(arr) else values
    obj, axis = settled(obj), settled(axis)
    return assemble(lambda v: np.insert(v[0], obj, v[1], axis), [arr, values])


@records(np.block)
def block(arrays: Any) -> Any:
    """Blocks of a matrix, from a nested list."""
    leaves: list[Any] = []

    def number(x: Any) -> Any:
        if isinstance(x, list):
            return [number(y) for y in x]
        leaves.append(x)
        return len(leaves) - 1

    def nested(nest: Any, values: Any) -> Any:
        return [nested(x, values) for x in nest] if isinstance(nest, list) else values[nest]

    nest = number(arrays)
    return assemble(lambda values: np.block(nested(nest, values)), leaves)


@records(np.meshgrid, data=99)
def meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> Any:
    """Coordinates of a grid."""
    if indexing not in ("xy", "ij"):
        raise ValueError("Valid values for `indexing` are 'xy' and 'ij'.")
    xi = tuple([live(asarray(x), "f").reshape(-1) for x in xi])
    nd = len(xi)
    out = [x.reshape((1,) * k + (-1,) + (1,) * (nd - k - 1)) for k, x in enumerate(xi)]
    if indexing == "xy" and nd > 1:
        out[0], out[1] = out[0].reshape((1, -1) + (1,) * (nd - 2)), out[1].reshape((-1, 1) + (1,) * (nd - 2))
    if not sparse:
        out = list(broadcast_arrays(*out))
    return tuple([array(x, order="C") for x in out] if copy else out)


# ---- fills ----------------------------------------------------------------------------------------------------------

@records(np.tril)
def tril(m: Any, k: int = 0) -> Any:
    """Lower triangle, zeros above."""
    return _filled(np.tril, m, k)


@records(np.triu)
def triu(m: Any, k: int = 0) -> Any:
    """Upper triangle, zeros below."""
    return _filled(np.triu, m, k)


@records(np.diag)
def diag(v: Any, k: int = 0) -> Any:
    """A diagonal (a read-only view), or a matrix with that diagonal."""
    return _filled(np.diag, v, k)


@records(np.diagflat)
def diagflat(v: Any, k: int = 0) -> Any:
    """A matrix with these elements on its diagonal."""
    return _filled(np.diagflat, v, k)


def _filled(func: Any, x: Any, k: Any) -> Any:
    k = settled(k)
    return move(asarray(x), lambda c: func(c, k), (func, k) if type(k) is int else None)


# ---- methods --------------------------------------------------------------------------------------------------------

def _method(name: str, func: Any) -> None:
    METHODS[name] = _mover(func)


METHODS["reshape"] = reshape_method
METHODS["transpose"] = transpose_method
METHODS["copy"] = lambda a, order="C": copy(a, order)
METHODS["astype"] = astype
_method("swapaxes", np.swapaxes)
_method("squeeze", np.squeeze)
_method("repeat", np.repeat)
_method("diagonal", np.diagonal)


def ravel_method(a: Any, order: Any = "C") -> Any:
    """x.ravel()."""
    a = a if type(a) is Array else asarray(a)
    c = T.concrete(a)
    if order == "C" and c.flags.c_contiguous:
        return T.view(a, c.ravel())
    return move(a, lambda x: x.ravel(order=order))


def flatten_method(a: Any, order: Any = "C") -> Any:
    """x.flatten(): always a copy."""
    y = ravel_method(a, order)
    return copy(y) if type(a) is not Array or T.is_view_of(a, T.concrete(y)) else y


METHODS["ravel"] = ravel_method
METHODS["flatten"] = flatten_method
