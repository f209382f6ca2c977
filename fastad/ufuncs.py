"""ufuncs.py - NumPy's ufuncs with all their keywords and methods (reduce, accumulate, outer, at, reduceat).

Owns: what `__array_ufunc__` does beyond the plain call of a row of the table, and ufuncs that are made of rows.
Must not know: rows (primitives.py), reductions (reductions.py).
"""
from __future__ import annotations

import functools
import itertools
import math
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad import primitives, products, reductions, scipy_names
from fastad.checking import RTOL, checked, same, usual
from fastad.operands import (
    BOOL,
    FLOAT,
    INT,
    NOVALUE,
    REAL,
    Array,
    asarray,
    bare,
    cast_to,
    code_of,
    deliver,
    existing,
    refusal,
    requested,
    run_plain,
    shape_of,
    traced,
)
from fastad.selection import clip

NO_RULE = ("this ufunc has no derivative rule here (fastad.primitives lists those that have); wrap it with "
           "ad.primitive, or use ad.peek(x) if a constant is meant")
OF_OBJECTS = "the ufuncs of np.frompyfunc give arrays of objects; use np.vectorize"
_clip = getattr(np, "_core").umath.clip  # noqa: B009 - the ufunc behind np.clip has no public name


def modf(x: Any) -> Any:
    """Fraction and whole part; of an infinity 0 and itself."""
    finite = np.where(np.isinf(x), 0.0, x)
    return finite - np.trunc(finite), np.trunc(x)


def ldexp(a: Any, n: Any) -> Any:
    """a * 2**n for integers n."""
    if code_of(n) in REAL:
        raise TypeError("ufunc 'ldexp' takes integer exponents; write a * np.exp2(n)")
    return a * cast_to(np.exp2(n), code_of(a) if code_of(a) in REAL else FLOAT)


COMPOSED: dict[Any, Any] = {
    np.matmul: products.matmul,
    np.conjugate: lambda x: np.positive(x),
    np.divmod: lambda a, b: (np.floor_divide(a, b), np.remainder(a, b)),
    np.modf: modf,
    np.ldexp: ldexp,
    _clip: clip,
    np.vecdot: lambda a, b: np.sum(np.multiply(a, b), axis=-1),
}
for _name, _composed in (("matvec", lambda a, v: products.matmul(a, v[..., None])[..., 0]),
                         ("vecmat", lambda v, a: products.matmul(v[..., None, :], a)[..., 0, :])):
    for _f in existing(_name):
        COMPOSED[_f] = _composed


def ufunc(func: Any, method: Any, inputs: Any, kwargs: Any) -> Any:
    """What `__array_ufunc__` of the traced scalar and array does."""
    if not traced(inputs) and not traced(tuple(kwargs.values())):
        return run_plain(getattr(func, method), inputs, kwargs)
    if method == "__call__":
        if not kwargs or kwargs.keys() <= PLAIN_KEYWORDS:
            return call(func, inputs, **kwargs)
        return checked(func, lambda *xs, **kw: call(func, xs, **kw), inputs, kwargs, func.__name__)
    implementation = METHOD[method]
    if method == "at" or (func in USUAL.get(method, ()) and usual(inputs, kwargs) and (
            method == "reduce" or (type(inputs[0]) is Array and None not in (*inputs[1:], kwargs.get("axis", 0))))):
        return implementation(func, *inputs, **kwargs)
    return checked(getattr(func, method), functools.partial(implementation, func), inputs, kwargs,
                   f"np.{func.__name__}.{method}")


PLAIN_KEYWORDS = frozenset(("out", "where", "subok"))


def call(func: Any, inputs: Any, out: Any = None, where: Any = True, dtype: Any = None, casting: Any = "same_kind",
         order: Any = "K", subok: bool = True, signature: Any = None, axis: Any = None, axes: Any = None,
         keepdims: Any = None) -> Any:
    """A ufunc on operands, with keywords."""
    name = func.__name__
    if signature is not None or axis is not None or axes is not None or keepdims is not None:
        raise refusal(name, "signature=, axis=, axes= and keepdims= are not recorded; move the axes first")
    if isinstance(out, tuple):
        out = out[0] if len(out) == 1 else out
    inputs = tuple([asarray(x) if isinstance(x, (list, tuple)) else x for x in inputs])
    if dtype is not None:
        inputs = tuple([cast_to(x, requested(dtype, name)) for x in inputs])
    y = evaluate(func, inputs)
    if where is not True:
        if out is None:
            raise refusal(name, "where= without out= leaves elements uninitialised; use np.where(mask, f(x), other)")
        fits = np.can_cast(y.dtype, out.dtype, "same_kind")
        y = T.elementwise("where", where, y, out if fits else cast_to(out, code_of(y)))
        y = y if code_of(y) == code_of(out) else y
    if isinstance(out, tuple):
        return tuple([deliver(o, v, f"ufunc '{name}'", casting) for o, v in zip(out, y, strict=True)])
    return deliver(out, y, f"ufunc '{name}'", casting)


def evaluate(func: Any, inputs: Any) -> Any:
    """A ufunc by its row, or composed of others, or refused."""
    code = T.row_code(func)
    if code is not None:
        y = T.called(code, *inputs)
        if y is NotImplemented:
            raise refusal(func.__name__, "an operand is neither a number nor an array of numbers: "
                          + ", ".join(type(x).__name__ for x in inputs))
        return y
    composed = COMPOSED.get(func)
    if composed is not None:
        return composed(*inputs)
    rows = primitives.rows_of_results(func)
    if rows:
        return scipy_names.of_rows(func, rows, inputs)
    raise refusal(getattr(func, "__name__", str(func)), OF_OBJECTS if any("O" in t for t in func.types) and len(
        func.types) == 1 else NO_RULE)


# ---- reduce, accumulate ---------------------------------------------------------------------------------------------

REDUCE = {np.add: reductions.total, np.multiply: reductions.product, np.maximum: reductions.largest,
          np.minimum: reductions.smallest, np.logical_and: reductions.every, np.logical_or: reductions.some}
ACCUMULATE = {np.add: reductions.running_sum, np.multiply: reductions.running_product}
PAIRWISE = (np.maximum, np.minimum, np.fmax, np.fmin, np.logical_and, np.logical_or, np.bitwise_and, np.bitwise_or)


def reduce(func: Any, a: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: bool = False,
           initial: Any = NOVALUE, where: Any = True) -> Any:
    """ufunc.reduce: by default along axis 0."""
    implementation = REDUCE.get(func)
    initial = NOVALUE if initial is None else initial
    if implementation is None:
        a = asarray(a) if dtype is None else cast_to(asarray(a), requested(dtype, func.__name__))
        return deliver(out, reduced(func, a, axis, keepdims, initial, where), func.__name__)
    truth = func in (np.logical_and, np.logical_or) and initial is not NOVALUE
    kwargs: dict[str, Any] = {} if initial is NOVALUE or truth else {"initial": initial}
    if where is not True:
        kwargs["where"] = where
    if dtype is not None and func in (np.add, np.multiply):
        kwargs["dtype"] = dtype
    if truth:
        return deliver(out, func(implementation(a, axis=axis, keepdims=keepdims, **kwargs), initial), func.__name__)
    return implementation(a, axis=axis, out=out, keepdims=keepdims, **kwargs)


def reduced(func: Any, a: Any, axis: Any, keepdims: Any, initial: Any, where: Any) -> Any:
    """A ufunc between all rows, one after the other; whether NumPy does so is compared afterwards (checking.py)."""
    axes = range(a.ndim) if axis is None or not a.ndim else np.lib.array_utils.normalize_axis_tuple(axis, a.ndim)
    rest = [k for k in range(a.ndim) if k not in axes]
    shape = tuple(a.shape[k] for k in rest)

    def rows_of(x: Any) -> Any:
        return list(x.transpose([*axes, *rest]).reshape((math.prod(a.shape[k] for k in axes), *shape)))

    rows = rows_of(a)
    start = func.identity if initial is NOVALUE else initial
    if start is not None:                # (of booleans: the identity -1 of bitwise_and is True)
        start = cast_to(start, code_of(a) if initial is NOVALUE else min(code_of(start), code_of(a)))
    y: Any
    if where is not True:
        y, masks = start, rows_of(np.broadcast_to(where, a.shape))
        for mask, row in zip(masks, rows, strict=True):
            y = T.elementwise("where", mask, evaluate(func, (y, row)), y)
    else:
        y = functools.reduce(lambda x, y: evaluate(func, (x, y)), rows if start is None else [start, *rows])
    if not rows:
        y = np.broadcast_to(y, shape)
    if len(rows) < 2 and isinstance(y, np.ndarray):
        y = np.copy(y)                   # the only row: a result of its own, not a view
    return np.reshape(y, tuple(1 if k in axes else n for k, n in enumerate(a.shape))) if keepdims else y


def accumulate(func: Any, a: Any, axis: Any = 0, dtype: Any = None, out: Any = None) -> Any:
    """ufunc.accumulate: by default along axis 0."""
    a = asarray(a)
    if func in ACCUMULATE:
        return ACCUMULATE[func](a, axis, dtype, out)
    axis = 0 if axis is None else axis
    if dtype is not None:
        a = cast_to(a, requested(dtype, func.__name__))
    if func not in PAIRWISE:
        rows = list(itertools.accumulate(np.moveaxis(a, axis, 0), lambda x, y: evaluate(func, (x, y))))
        return deliver(out, np.stack(rows, axis) if rows else a.copy(), func.__name__)
    truth = func in (np.logical_and, np.logical_or)      # the first element, too, is a truth value
    y = reductions.scan_halving(func, cast_to(a, BOOL) if truth else a, axis)
    return deliver(out, y if y is not a else a.copy(), func.__name__)


def reduceat(func: Any, a: Any, indices: Any, axis: Any = 0, dtype: Any = None, out: Any = None) -> Any:
    """ufunc.reduceat with constant indices: a reduction of each slice."""
    a = asarray(a)
    if dtype is not None:
        a = cast_to(a, requested(dtype, func.__name__))
    ends, axis = np.asarray(T.concrete(T.pinned(indices))), 0 if axis is None else axis
    if not ends.size:
        return deliver(out, np.take(a, [], axis=axis), func.__name__)
    parts = []
    for k, start in enumerate(ends):
        stop = ends[k + 1] if k + 1 < len(ends) else a.shape[axis]
        span = range(int(start), int(stop) if stop > start else int(start) + 1)
        parts.append(reduce(func, np.take(a, list(span), axis=axis), axis=axis))
    return deliver(out, np.stack(parts, axis=axis), func.__name__)


def outer(func: Any, a: Any, b: Any, **kwargs: Any) -> Any:
    """ufunc.outer: all pairs."""
    a, b = asarray(a), asarray(b)
    a = a.reshape(a.shape + (1,) * b.ndim)
    return call(func, (a, b), **kwargs)


def at(func: Any, a: Any, indices: Any, b: Any = None) -> Any:
    """ufunc.at: duplicates of an index act one after the other."""
    if type(a) is not Array:
        raise refusal(f"{func.__name__}.at", "the array must be made inside the recorded function")
    want = T.concrete(a).copy("K")
    with np.errstate(all="ignore"):
        error = rounding(want, bare(b, [])) if func in (np.add, np.subtract) and b is not None else 0.0
        func.at(want, bare_key(indices), *(() if b is None else (bare(b, []),)))
    act(func, a, indices, b)
    if not same(T.concrete(a), want, error):
        raise refusal(f"np.{func.__name__}.at", "NumPy's result differs from what can be recorded; write a loop")


def rounding(*terms: Any) -> float:
    """How far sums in another order may differ: the forces on a lattice cancel, their terms are large."""
    sizes = [np.abs(x[np.isfinite(x)]).max(initial=0.0) for x in map(np.asarray, terms)]
    return float(RTOL["d"] * max(sizes))


def act(func: Any, a: Any, indices: Any, b: Any) -> None:
    """a = func(a, b) at indices."""
    positions = np.arange(a.size).reshape(a.shape)
    if traced((indices,)):
        positions = T.wrap(positions)[indices]
        if func not in (np.add, np.subtract):
            raise refusal(f"{func.__name__}.at", "with traced indices only add.at and subtract.at are recorded; where "
                          "no index occurs twice, write a[indices] = f(a[indices], b)")
    else:
        indices = tuple(map(T.pinned, indices)) if isinstance(indices, tuple) else T.pinned(indices)
        positions = positions[bare_key(indices)]
        if func not in (np.add, np.subtract):
            return act_at(func, a, np.asarray(positions), b)
    b = asarray(b)
    b = np.broadcast_to(b if func is np.add else -b, shape_of(positions))
    a += added_at(positions, b, a)


def act_at(func: Any, a: Any, positions: Any, b: Any) -> None:
    """a = func(a, b) at constant flat positions, in rounds in which no position occurs twice."""
    b = None if b is None else np.broadcast_to(asarray(b), positions.shape).reshape(-1)
    flat = positions.reshape(-1)
    order = np.argsort(flat, kind="stable")
    first = np.searchsorted(flat[order], flat[order])
    turn = np.empty(flat.size, int)
    turn[order] = np.arange(flat.size) - first       # how often the position has occurred before
    for k in range(turn.max(initial=-1) + 1):
        (now,) = np.nonzero(turn == k)
        where = np.unravel_index(flat[now], a.shape)
        y = evaluate(func, (a[where],) if b is None else (a[where], b[now]))
        if not np.can_cast(T.DTYPES[code_of(y)], a.dtype, "same_kind"):
            raise TypeError(f"Cannot cast ufunc '{func.__name__}' output from {y.dtype!r} to {a.dtype!r} with casting "
                            "rule 'same_kind'")
        a[where] = y


def bare_key(key: Any) -> Any:
    """A key with ndarrays in place of plain wrappers."""
    return bare(key, [])


def added_at(positions: Any, values: Any, like: Any) -> Any:
    """An array like `like` with values added up at flat positions."""
    code = reductions.summed(code_of(values))
    shape = shape_of(like)
    tape = T.tape_of(positions, values, like)
    return T.structural("addat", (positions, values), None, shape, code, (INT, code), tape)


USUAL = {"reduce": REDUCE, "accumulate": {*ACCUMULATE, np.maximum, np.minimum}}
METHOD: dict[str, Any] = {"reduce": reduce, "accumulate": accumulate, "reduceat": reduceat, "outer": outer, "at": at}
