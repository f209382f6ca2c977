"""results.py - what a recorded function may return: numbers, arrays and containers of them, from its arguments.

Owns: the outputs of a tape from a result, and why a result cannot be differentiated; results in the caller's arrays.
Must not know: arguments, signatures.  Next: recording.py.
"""
from collections import deque
from types import ModuleType

import numpy as np

from fastad import _tape as T
from fastad import trees
from fastad.complex_values import result_pairs
from fastad.errors import DerivativeError, ShapeError


def is_complex(x):
    """Is a leaf a complex number or array?"""
    return not isinstance(x, (list, tuple)) and T.complex_among(x)


def short(x):
    text = repr(x)
    return f"{type(x).__name__} {text if len(text) <= 40 else text[:37] + '...'}"


CONSTANTS = (int, float, complex, np.generic, np.ndarray)


def outputs_of(tape, result, name, as_floats=True):
    """(ids of the outputs, other leaves of the result, structure, which outputs are complex) of a function's result.

    as_floats: are constants of a branch made float64, to have a derivative, or left as they are?
    """
    leaves, out_tree = trees.flatten(result)
    ids, kept, complex_out, traced = [], {}, {}, False
    for k, x in enumerate(leaves):
        if is_complex(x) and (T.is_wrapped(x) or isinstance(x, np.ndarray)):
            traced = traced or T.is_traced(x)
            complex_out[k] = not isinstance(x, np.ndarray)
            ids.append(T.id_in(tape, result_pairs(x)))
        elif T.is_wrapped(x) or (isinstance(x, np.ndarray) and x.dtype.kind in "fiub"):
            traced = traced or T.is_traced(x)
            ids.append(T.id_in(tape, x))
        elif holds_traced(x):
            raise DerivativeError(f"{name} returned {short(x)}, a {type(x).__name__} that holds values computed from "
                                  "the arguments, and which cannot be taken apart. Return these values in tuples, "
                                  "lists, dicts or named tuples.")
        else:
            kept[k] = x
    if not traced and not (not as_floats and tape.guard_info and all(isinstance(x, CONSTANTS) for x in leaves)):
        # A branch on traced values may well end in `return 0.0`: that is a constant with derivative zero.
        if not tape.guard_info or not all(isinstance(x, (int, float, np.number, np.ndarray)) for x in leaves):
            raise DerivativeError(nothing_traced(name, result) + WHICH_VERB)
        if any(map(is_complex, leaves)):
            raise DerivativeError(nothing_traced(name, result) + WHICH_VERB)
        ids, kept = [T.id_in(tape, np.asarray(x, dtype=float)) for x in leaves], {}
    return ids, kept, out_tree, complex_out


def holds_traced(x, depth=3):
    """Are there traced values in the attributes or elements of an object?  They would be those of the recording."""
    if T.is_wrapped(x):
        return T.is_traced(x)
    if depth == 0 or isinstance(x, (str, bytes, int, float, np.ndarray, type, ModuleType)):
        return False
    parts = list((getattr(x, "__dict__", None) or {}).values())
    if isinstance(x, dict):
        parts += list(x.values())
    if isinstance(x, (list, tuple, set, frozenset, deque)):
        parts += list(x)
    parts += [getattr(x, name) for base in type(x).__mro__ for name in _slots(base) if hasattr(x, name)]
    return any(holds_traced(part, depth - 1) for part in parts[:1000])


def _slots(cls):
    slots = vars(cls).get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)


def written_into(out, result):
    """`out`, with the numbers of `result`: arrays of the same shapes and dtypes, in the same structure."""
    places, tree = trees.flatten(out)
    leaves, wanted = trees.flatten(result)
    if tree != wanted:
        raise ShapeError(f"out= has the structure {trees.describe(tree)}, the result {trees.describe(wanted)}")
    for place, x in zip(places, leaves, strict=True):
        check_place(place, x)
    if len(places) > 1:
        check_apart(places)
    for place, x in zip(places, leaves, strict=True):
        place[...] = x
    return out


def check_apart(places):
    """ValueError where two arrays of a tree have memory in common: one result would overwrite the other."""
    ends = sorted([(*np.lib.array_utils.byte_bounds(T.concrete(x)), k) for k, x in enumerate(places) if np.size(x)])
    for n, (_, end, j) in enumerate(ends):
        for start, _, k in ends[n + 1:]:
            if start >= end:
                break
            if np.shares_memory(T.concrete(places[j]), T.concrete(places[k])):
                raise ValueError(f"out=: arrays {min(j, k)} and {max(j, k)} of the tree share memory, and one result "
                                 "would overwrite the other; give each result an array of its own")


def check_place(place, x):
    """ShapeError or TypeError unless the result x can be written into `place`."""
    if not isinstance(x, (np.ndarray, np.generic, float)) or T.is_traced(x) and not T.is_wrapped(place):
        raise TypeError(f"out=: the result is {short(x)}, which no array can hold; leave out= away")
    if not isinstance(place, np.ndarray):
        raise TypeError(f"out= is {short(place)}; give a writeable array")
    dtype, shape = getattr(x, "dtype", np.dtype(np.float64)), np.shape(x)
    if place.shape != shape or place.dtype != dtype or not place.flags.writeable:
        kind = "" if place.flags.writeable else "read-only "
        raise ShapeError(f"out= is a {kind}{place.dtype} array of shape {place.shape}; the result needs a writeable "
                         f"one: np.empty({shape}, dtype=np.{dtype})")


WHICH_VERB = (" ad.grad takes functions that return one number, ad.jacobian and ad.vjp those that return arrays, "
              "containers or several numbers.")


def nothing_traced(name, result):
    """Why a result cannot be differentiated or replayed."""
    if result is None:
        return f"{name} returned None; return the result that is to be differentiated."
    if isinstance(result, (int, float, np.number, np.ndarray)):
        return (f"{name} returned {short(T.concrete(result))}, a plain value: on this path it does not depend on its "
                "arguments, or the dependence was lost (float(), .item(), ad.peek, or an argument that is a Python "
                "int). Pass floats or arrays as arguments and keep their values unconverted.")
    return (f"{name} returned {short(result)}, in which nothing depends on its arguments. Return numbers or arrays "
            "computed from the arguments, or containers of those.")
