"""checking.py - NumPy is asked first: unusual arguments of a recorded function never change its meaning in silence.

Owns: `checked`, which runs NumPy itself on the present values, so that NumPy's own error is raised where there is one,
and compares what was recorded with what NumPy gives, in kind, shape, dtype, memory order and value; and `usual`, which
says for which calls that is not needed because their tests cover every case.
Must not know: what any function does.
Next: numpy_api.py, methods.py, ufuncs.py (who call it).
"""
from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad.errors import AdError
from fastad.movers import relayout
from fastad.operands import Array, bare, deliver, is_array, lifted, refusal, rewrapped

AXES = frozenset(("axis", "keepdims", "side"))            # (side is that of np.searchsorted)
# Functions with a keyword by which they write into their operand.
WRITING = frozenset(("nan_to_num", "median", "percentile", "quantile", "nanmedian", "nanpercentile", "nanquantile"))
RTOL = {"d": 1e-9, "f": 1e-4}            # rounding of another order of summation is far below


def usual(args: Any, kwargs: Any, data: int = 1) -> bool:
    """Is this an ordinary call: data, then at most an axis, and those of AXES as the only keywords?"""
    n = len(args)
    if n > data + 1 or (kwargs and not kwargs.keys() <= AXES) or not n:
        return False
    x = args[0]
    if type(x) is Array and (x.size == 0 or not in_order(T.concrete(x))):
        return False                     # (the memory order of the result is NumPy's to say)
    axis = args[data] if n > data else kwargs.get("axis")
    return axis is None or (type(axis) is int and type(x) in (Array, list, tuple))


def in_order(c: Any) -> bool:
    """Does each axis take larger steps through memory than the next?"""
    if c.flags.c_contiguous:
        return True
    steps = [abs(s) for s, n in zip(c.strides, c.shape, strict=True) if n > 1]
    return all(a >= b for a, b in itertools.pairwise(steps))


def checked(func: Any, implementation: Any, args: Any, kwargs: Any, what: str) -> Any:
    """What `implementation` records, made sure of by `func`, NumPy's own, on copies of the present values."""
    seen: list[Any] = []
    values = bare(tuple(args), seen)
    if func.__name__ in WRITING and is_array(values[0]):
        values = (values[0].copy("K"), *values[1:])
    named = {k: bare(v, seen) for k, v in kwargs.items()}
    out = named.get("out")
    if isinstance(out, tuple):
        named["out"] = tuple([o if o is None else np.array(o) for o in out])
    elif out is not None and out is not Ellipsis:
        named["out"] = np.array(out)
    with np.errstate(all="ignore"):
        want = func(*values, **named)
    try:
        return agreed(implementation(*args, **kwargs), want, what, out is None, rounding(seen))
    except (AdError, TypeError, ValueError, IndexError) as e:
        if empty((*args, *kwargs.values())):
            return deliver(None if out is None else kwargs["out"], rewrapped(want, seen), what)
        if isinstance(e, AdError):
            raise
        raise refusal(what, f"NumPy takes these arguments, but they are not recorded ({e})") from None


def empty(args: Any) -> bool:
    """Is every traced value among args an array without elements?  Then the result depends on nothing."""
    for x in args:
        if (empty(x) is False if type(x) in (list, tuple) else T.is_traced(x) and (type(x) is not Array or x.size > 0)):
            return False
    return True


def rounding(operands: Any) -> float:
    """What another order of summation may change: terms of sums of squares and products, each with its rounding."""
    most, n = 0.0, 1
    for x in operands:
        c = T.concrete(x)
        if c.dtype.kind == "f" and c.size:
            with np.errstate(all="ignore"):
                most = max(most, float(np.abs(c).max(initial=0.0, where=np.isfinite(c))))
            n = max(n, c.size)
    return 1e-14 * n * most * max(1.0, most)


def agreed(got: Any, want: Any, what: str, fresh: bool, error: float) -> Any:
    """The recorded result, if it is NumPy's within `error`; in NumPy's memory order if it is new memory."""
    if isinstance(want, (tuple, list)):
        if not isinstance(got, (tuple, list)) or len(got) != len(want):
            raise refusal(what, "NumPy's result has another structure with these arguments, which are not recorded")
        parts = [agreed(g, w, what, fresh, error) for g, w in zip(got, want, strict=True)]
        return got if all(p is g for p, g in zip(parts, got, strict=True)) else type(want)(parts) \
            if type(want) in (tuple, list) else type(want)(*parts)
    if want is None or isinstance(want, str):
        return got
    here = T.concrete(got)
    if is_array(want) and not is_array(here):
        got = lifted(got) if T.is_traced(got) else T.wrap(np.asarray(here))
        here = T.concrete(got)
    elif is_array(here) and not is_array(want):
        got = got[()]
        here = T.concrete(got)
    x, y = np.asarray(here), np.asarray(want)
    if x.shape != y.shape or x.dtype != y.dtype:
        raise refusal(what, f"NumPy's result is {y.dtype}{list(y.shape)} with these arguments; what can be recorded "
                      f"is {x.dtype}{list(x.shape)}. Use float64, int64 or bool, or write it out")
    if not same(x, y, error):
        raise refusal(what, "NumPy's result with these arguments differs from what can be recorded; write it out with "
                      "other functions")
    return relayout(got, want) if fresh and type(got) is Array and is_array(want) else got


def same(x: Any, y: Any, error: float = 0.0) -> bool:
    """Are all numbers equal but for rounding?"""
    if np.array_equal(x, y) or x.dtype.kind != "f":
        return bool(np.array_equal(x, y))
    with np.errstate(all="ignore"):
        scale = np.abs(y[np.isfinite(y)]).max(initial=0.0)
        rtol = RTOL.get(x.dtype.char, 1e-4)
        error *= rtol / RTOL["d"]
        return bool(np.allclose(x, y, rtol=rtol, atol=rtol * scale + error, equal_nan=True))
