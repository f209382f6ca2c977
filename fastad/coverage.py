"""coverage.py - every public name of NumPy in one class: recorded, constant, refused with a reason, or no function.

Owns: the classification, derived from what is registered wherever that says it, and declared here for the rest; and
the page docs/coverage.md:
    python -m fastad.coverage > docs/coverage.md
Must not know: how anything is recorded.
Next: numpy_api.py (RECORDED, CONSTANT, REFUSED), methods.py, intercepted.py (names replaced while recording).
"""
from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from fastad import _tape as T
from fastad import methods, numpy_api, primitives, ufuncs
from fastad.intercepted import REFUSING
from fastad.operands import METHODS, RECORDED

RECORDS, CONSTANT, REFUSED, OTHER = "recorded", "constant", "refused", "not a function"


class Entry(NamedTuple):
    """A name with its class and, where it is refused or no function, the reason or the kind."""

    name: str
    kind: str
    why: str


# ---- what no registry says ------------------------------------------------------------------------------------------

# Arguments are numbers of elements, dtypes, files, settings: the result holds no traced value.
PLAIN = frozenset("""
__array_namespace_info__ _get_promotion_state _no_nep50_warning _set_promotion_state bartlett base_repr binary_repr
blackman broadcast_shapes datetime_data diag_indices empty eye fft.fftfreq fft.rfftfreq format_float_positional
format_float_scientific frombuffer fromfile fromregex fromstring genfromtxt get_include get_printoptions getbufsize
geterr geterrcall hamming hanning identity index_exp indices info isdtype isfortran isscalar issubdtype iterable load
loadtxt mask_indices mgrid mintypecode ndindex ogrid ones printoptions promote_types s_ set_printoptions setbufsize
seterr seterrcall show_config show_runtime test tri tril_indices triu_indices typename zeros
""".split())
# What is traced in their arguments stays so by interception.py, or because they only call recorded functions.
ALSO_RECORDED = frozenset("""
arange array asanyarray asarray asarray_chkfinite fromfunction fromiter full require r_ c_ ndenumerate vectorize
row_stack trapz
""".split())
# Attributes of arrays that hold no traced value.
FIXED = frozenset("""
base dtype flags itemsize nbytes ndim setflags shape size strides __array_namespace__ __array_priority__ __class__
__class_getitem__ __copy__ __deepcopy__ __delattr__ __dir__ __doc__ __format__ __getattribute__ __hash__ __init__
__init_subclass__ __len__ __new__ __repr__ __setattr__ __sizeof__ __str__ __subclasshook__ _set_dtype _set_shape
""".split())
ATTRIBUTES = {
    "device": "the name is absent while recording, as in NumPy 1",
    "to_device": "the name is absent while recording, as in NumPy 1",
    **dict.fromkeys(("itemset", "newbyteorder", "ptp"), "gone from NumPy 2, which keeps the name to say so"),
    **dict.fromkeys(("__array_interface__", "__array_struct__", "__buffer__", "__dlpack__", "__dlpack_device__"),
                    "the memory of traced arrays is not handed out; use ad.peek(x) or ad.primitive"),
    **dict.fromkeys(("__getstate__", "__reduce__", "__reduce_ex__", "__setstate__"),
                    "a traced array cannot be pickled; use ad.peek(x)"),
    **dict.fromkeys(("__array_finalize__", "__array_wrap__"), "subclasses of ndarray are not recorded"),
}
# Names that not all supported releases have: (first release that has them, first that has not; None: none yet).
VERSIONS: dict[str, tuple[tuple[int, int], tuple[int, int] | None]] = {
    **dict.fromkeys(("cumulative_sum", "cumulative_prod", "unstack", "__array_namespace_info__"), ((2, 1), None)),
    **dict.fromkeys(("matvec", "vecmat"), ((2, 2), None)),
    **dict.fromkeys(("_get_promotion_state", "_no_nep50_warning", "_set_promotion_state"), ((2, 0), (2, 2))),
    **dict.fromkeys(("in1d", "trapz", "ndarray.itemset", "ndarray.newbyteorder", "ndarray.ptp"), ((2, 0), (2, 4))),
    "ndarray.tostring": ((2, 0), (2, 3)),
    "row_stack": ((2, 0), (2, 5)),
    **dict.fromkeys(("ndarray.__buffer__", "ndarray._set_dtype", "ndarray._set_shape"), ((2, 5), None)),
}


# ---- classification -------------------------------------------------------------------------------------------------

def names() -> Iterator[str]:
    """Public names of this NumPy: functions with the module's name in front, attributes with `ndarray.`."""
    for prefix, module in (("", np), ("linalg.", np.linalg), ("fft.", np.fft)):
        for name in sorted(set(module.__all__)):
            yield prefix + name
    for name in sorted(dir(np.ndarray)):
        yield "ndarray." + name


def classify(name: str) -> Entry:
    """The class of a public name of NumPy.

    Raises
    ------
    KeyError
        Nothing says what happens with it.
    """
    prefix, _, last = name.rpartition(".")
    if prefix == "ndarray":
        return Entry(name, *of_attribute(last))
    module: Any = {"": np, "linalg": np.linalg, "fft": np.fft}[prefix]
    return Entry(name, *of_object(name, getattr(module, last)))


def of_object(name: str, x: Any) -> tuple[str, str]:
    """(class, reason or kind) of a name of a module."""
    if name in ALSO_RECORDED:
        return RECORDS, ""
    if name in REFUSING:
        return REFUSED, REFUSING[name]
    if name == "frompyfunc":
        return REFUSED, ufuncs.OF_OBJECTS
    if name in PLAIN:
        return CONSTANT, ""
    if isinstance(x, types.ModuleType):
        return OTHER, "module"
    if isinstance(x, type):
        return OTHER, "class"
    if not callable(x):
        return OTHER, "constant"
    if isinstance(x, np.ufunc):
        known = T.row_code(x) is not None or x in ufuncs.COMPOSED or primitives.rows_of_results(x)
        return (RECORDS, "") if known else (REFUSED, ufuncs.NO_RULE)
    if x in RECORDED:
        return RECORDS, ""
    if x in numpy_api.CONSTANT:
        return CONSTANT, ""
    why = numpy_api.reason(x)
    if why is not None:
        return REFUSED, why
    raise KeyError(f"{name}: recorded, constant or refused? Say it in fastad/coverage.py or register it")


def of_attribute(name: str) -> tuple[str, str]:
    """(class, reason) of an attribute of ndarray."""
    if name in methods.REFUSED:
        return REFUSED, methods.REFUSED[name]
    if name in methods.FOREIGN:
        return REFUSED, methods.FOREIGN[name]
    if name in FIXED and name not in ATTRIBUTES:
        return CONSTANT, ""
    if name in METHODS or (name in vars(T.Array) and name not in ATTRIBUTES):
        return RECORDS, ""
    if name in ATTRIBUTES:
        return REFUSED, ATTRIBUTES[name]
    raise KeyError(f"ndarray.{name}: recorded, constant or refused? Say it in fastad/coverage.py or register it")


def entries() -> list[Entry]:
    """All names of this NumPy, classified."""
    return [classify(name) for name in names()]


# ---- the page -------------------------------------------------------------------------------------------------------

INTRODUCTION = f"""# What is recorded of NumPy

Each public name of `numpy`, `numpy.linalg` and `numpy.fft` and each attribute of arrays, as of NumPy {np.__version__}.
Printed by `python -m fastad.coverage`; a test compares it with NumPy, and calls what is listed.

* **Recorded**: values, derivatives, replay at another point, as NumPy computes them. A keyword that cannot be recorded
  is an error that names it: with unusual arguments NumPy itself runs on the present values, and what it gives is
  compared.
* **Constant**: the result depends on shapes, dtypes or settings alone, and is what NumPy gives.
* **Refused**: an error with file, line, the reason and what to do instead.

Random numbers (`numpy.random`) that f draws are constants of the recording, which the audit notices; their generators
are compiled code and take no traced parameters: write `loc + scale * draws`. `numpy.polynomial` is Python code over
recorded functions and runs. Masked arrays (`numpy.ma`), records, text and dates are refused.
"""


def page() -> str:
    """The text of docs/coverage.md."""
    parts = [INTRODUCTION]
    for prefix in ("", "linalg.", "fft.", "ndarray."):
        parts.append(f"## {f'numpy.{prefix}'.rstrip('.')}\n")
        own = [e for e in entries() if e.name.startswith(prefix) and ("." in e.name) == bool(prefix)]
        for heading, kind in (("Recorded", RECORDS), ("Constant", CONSTANT)):
            found = [f"`{e.name.removeprefix(prefix)}`" for e in own if e.kind == kind]
            parts.append(f"{heading} ({len(found)}): {' '.join(found)}\n" if found else f"{heading}: none\n")
        reasons: dict[str, list[str]] = {}
        for e in own:
            if e.kind == REFUSED:
                reasons.setdefault(e.why, []).append(f"`{e.name.removeprefix(prefix)}`")
        if reasons:
            parts.append(f"Refused ({sum(map(len, reasons.values()))}):\n")
            parts.append("\n".join(f"* {' '.join(found)}: {why}" for why, found in reasons.items()) + "\n")
        others = [f"`{e.name.removeprefix(prefix)}`" for e in own if e.kind == OTHER]
        if others:
            parts.append(f"No functions but classes, modules and constants ({len(others)}): {' '.join(others)}\n")
    return "\n".join(parts)


if __name__ == "__main__":
    print(page(), end="")
