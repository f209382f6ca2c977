"""library_rules.py - library routines of a tape by name: from the key of a rule to the rule, for files.

Owns: the table of the kinds of rules, and the checks of a key that comes from a file: nothing but names, whole numbers
and truth values, within bounds, of which a rule is made that computes its shapes itself.
Must not know: files (serialize.py), what the routines compute (fourier.py, complex_products.py, scipy_fourier.py).
"""
from __future__ import annotations

import math
from typing import Any

from fastad import _tape as T
from fastad.complex_products import Product
from fastad.fourier import FORWARD, ComplexTransform, HalfToReal, RealToHalf
from fastad.operands import FLOAT, SINGLE
from fastad.partitions import Order
from fastad.scipy_fourier import PARTNER, Trigonometric

MOST = 1 << 40                           # elements of an array, points of a transform
LINEAR: dict[str, Any] = {"fft": ComplexTransform, "ifft": ComplexTransform, "rfft": RealToHalf, "irfft": HalfToReal}
TRIGONOMETRIC = ("dct", "idct", "dst", "idst")
LENGTHS = {"product": 4, **dict.fromkeys(LINEAR, 8), **dict.fromkeys(TRIGONOMETRIC, 9), "partition": 7}


def saved(key: Any) -> bool:
    """Has a file a place for the routine with this key?"""
    return key[0] in LENGTHS


def key_to_json(key: Any) -> Any:
    """The key with lists for tuples."""
    return [list(x) if isinstance(x, tuple) else x for x in key]


def key_from_json(data: Any) -> tuple[Any, ...]:
    """A key that a rule can be made of; ValueError for any other."""
    if type(data) is not list or not data or type(data[0]) is not str:
        raise ValueError("the key of a library routine")
    key: tuple[Any, ...] = tuple([tuple(x) if type(x) is list else x for x in data])
    shape: Any = key[1] if len(key) > 1 else None
    if len(key) == LENGTHS.get(key[0], 0) - 1:       # files written before there was float32
        key = (*key, False)
    checked(type(shape) is tuple and all(whole(n, 0) for n in shape) and math.prod([max(n, 1) for n in shape]) <= MOST)
    if key[0] in LINEAR:
        checked([type(x) for x in key[2:]] == [int, int, int, bool, str, bool] and key[6] in FORWARD)
    elif key[0] in TRIGONOMETRIC:
        checked([type(x) for x in key[2:]] == [int, int, int, str, bool, bool, bool] and key[4] in PARTNER
                and key[5] in FORWARD.values())
    elif key[0] == "partition":
        check_partition(*key[1:])
        return key
    else:
        checked(key[0] == "product" and [type(x) for x in key[2:]] == [bool, bool])
        return key
    checked(0 <= key[2] < len(shape) and whole(key[3], 1) and (key[0] in TRIGONOMETRIC or whole(key[4], 1)))
    checked(shape[key[2]] >= 1)
    return key


def check_partition(shape: Any, code: Any, name: Any, kth: Any, axis: Any, kind: Any) -> None:
    checked(type(code) is int and 0 <= code < len(T.DTYPES) and name in ("partition", "argpartition"))
    checked(type(axis) is int and -len(shape) <= axis < len(shape) and kind == "introselect")
    checked(type(kth) is tuple and all(type(k) is int and -shape[axis] <= k < shape[axis] for k in kth))


def checked(holds: bool) -> None:
    if not holds:
        raise ValueError("the key of a library routine")


def whole(n: Any, least: int) -> bool:
    return type(n) is int and least <= n <= MOST


def attribute(key: tuple[Any, ...]) -> Any:
    """The attribute of a call of the routine with this key."""
    if key[0] == "product":
        aval = T.aval(SINGLE if key[-1] else FLOAT, (*key[1], 2))
        return T.Library(Product(*key[1:]), [aval, aval], aval)
    if key[0] == "partition":
        return T.Library(Order(*key[1:]), [T.aval(key[2], key[1])], T.aval(FLOAT, key[1]))
    if key[0] in TRIGONOMETRIC:
        rule: Any = Trigonometric(*key)
    elif key[0] in ("fft", "ifft"):
        checked(key[5] == (key[0] == "fft"))
        rule = LINEAR[key[0]](*key[1:])
    else:
        rule = LINEAR[key[0]](*key[1:])
    code = SINGLE if rule.single else FLOAT
    return T.Library(rule, [T.aval(code, rule.shape_in)], T.aval(code, rule.shape_out))
