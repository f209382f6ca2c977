"""operands.py - what the arguments of NumPy functions are: traced, plain, lists of both; and where results go.

Owns: the registry of recorded functions, conversion of arguments (asarray of nested lists with traced numbers),
running plain NumPy where nothing is traced, writing results into `out=`.
Must not know: any single NumPy function's meaning (the rooms beside it have them).
Next: numpy_api.py (dispatch), movers.py (functions that only move elements).
"""
from __future__ import annotations

import functools
import math
import operator
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad.errors import UnsupportedError

Array, Scalar = T.Array, T.Scalar
Complex: Any = T.Complex                 # whose subclasses are arrays and numbers (complex_values.py)
RECORDED: dict[Any, Any] = {}            # NumPy function -> what records it
METHODS: dict[str, Any] = {}             # method of ndarray -> what records it, called with the array
DATA: dict[Any, int] = {}                # what records it -> number of leading arguments that are data (checking.py)
NOVALUE = np._NoValue
CODES = {dtype: code for code, dtype in enumerate(T.DTYPES)}
FLOAT, INT, BOOL, SINGLE = 0, 1, 2, 3    # codes of float64, int64, bool, float32
REAL = (FLOAT, SINGLE)
_real_ndarray = np.ndarray


def records(*functions: Any, method: str | None = None, data: int = 0) -> Any:
    """Register an implementation, called with wrapped arguments of which one at least is traced.

    `data`: how many leading arguments are data.  A call with more than these and an axis is compared with NumPy's own
    result while it is recorded (checking.py).  0: never: NumPy runs anyway, or the function writes, or its result is
    not unique (the signs of eigenvectors).
    """
    def register(implementation: Any) -> Any:
        DATA[implementation] = data
        for f in functions:
            RECORDED[f] = implementation
        if method is not None:
            METHODS[method] = implementation
        return implementation
    return register


def existing(*names: str) -> list[Any]:
    """Functions of NumPy by their names, those that this version has."""
    found = []
    for name in names:
        f: Any = np
        for part in name.split("."):
            f = getattr(f, part, None)
        if f is not None:
            found.append(f)
    return found


# ---- what is what ---------------------------------------------------------------------------------------------------

def is_array(x: Any) -> bool:
    """Is x an ndarray, ours or NumPy's?"""
    return isinstance(x, _real_ndarray)


def traced(args: Any) -> bool:
    """Is there a traced value among args, lists searched?  Raises where one has escaped its recording."""
    if T.tape_of(*args) is not None:
        return True
    for a in args:
        if (type(a) is list or type(a) is tuple) and traced(a):
            return True
    return False


def dtype_code(dtype: Any) -> int:
    """Code of the dtype as which values of `dtype` are recorded."""
    code = CODES.get(dtype)
    if code is not None:
        return code
    dtype = np.dtype(dtype)
    if dtype.kind == "f" and dtype.itemsize <= 8:
        return FLOAT
    if dtype.kind == "i" or (dtype.kind == "u" and dtype.itemsize < 8):
        return INT
    if dtype.kind == "b":
        return BOOL
    raise UnsupportedError(f"{T.here()}: dtype {dtype} is not recorded (float64, float32, int64 and bool are)")


def code_of(x: Any) -> int:
    """Dtype code of any operand."""
    code = T.kind_of(x)
    return code if code >= 0 else dtype_code(np.asarray(x).dtype)


def joint(*xs: Any) -> int:
    """Dtype code in which NumPy computes with these operands (NEP 50: Python's numbers are weak)."""
    code = T.promote(*xs)
    return code if code >= 0 else T.promote(*[x if T.kind_of(x) >= 0 else np.asarray(x) for x in xs])


def joint_array(*xs: Any) -> int:
    """Dtype code of an array that holds all of these: there Python's numbers are as good as NumPy's."""
    codes = set(map(code_of, xs))
    if SINGLE not in codes:
        return min(codes)
    return dtype_code(np.result_type(*[np.asarray(T.concrete(x)).dtype for x in xs]))


def inexact(x: Any) -> Any:
    """x as NumPy takes it where it wants real numbers: integers and booleans become float64."""
    return x if code_of(x) in REAL else cast_to(x, FLOAT)


def requested(dtype: Any, what: str) -> int:
    """Code of a dtype argument; others than the four are refused."""
    if isinstance(dtype, type) and issubclass(dtype, np.dtype):  # a class of np.dtypes
        dtype = dtype.type
    code = CODES.get(np.dtype(dtype))
    if code is None:
        raise refusal(what, f"dtype={np.dtype(dtype)} is not recorded; float64, float32, int64 and bool are")
    return code


def shape_of(x: Any) -> tuple[int, ...]:
    """Shape of any operand."""
    return x.shape if type(x) is Array or type(x) is Scalar or isinstance(x, Complex) else np.shape(x)


def axis_number(axis: Any, nd: int) -> int:
    """An axis counted from the front."""
    return int(np.lib.array_utils.normalize_axis_index(operator.index(axis), nd))


def contiguous(x: Any) -> bool:
    """Does x lie in memory in C order?"""
    c = T.concrete(x)
    return not isinstance(c, _real_ndarray) or c.flags.c_contiguous


def refusal(what: str, why: str) -> UnsupportedError:
    """The error for something that is not recorded: where, what, what to do instead."""
    return UnsupportedError(f"{T.here()}: {what}: {why}")


# ---- plain NumPy ----------------------------------------------------------------------------------------------------

def bare(x: Any, seen: list[Any]) -> Any:
    """x with concrete values in place of our wrappers; the wrappers are added to `seen`."""
    if type(x) is Array:
        seen.append(x)
        return T.concrete(x)
    if type(x) is Scalar:
        return T.concrete(x)
    if isinstance(x, Complex):
        seen.append(x)
        return T.concrete(x)
    if type(x) is tuple or type(x) is list:
        return type(x)([bare(y, seen) for y in x])
    if type(x) is Flat:
        return T.concrete(x.array).flat
    if isinstance(x, _real_ndarray):
        seen.append(x)
    return x


def rewrapped(out: Any, seen: list[Any]) -> Any:
    """Results of plain NumPy: the operand itself, a view of one, or new memory."""
    if type(out) is tuple or type(out) is list:
        return type(out)([rewrapped(y, seen) for y in out])
    if isinstance(out, tuple):           # a named tuple
        return type(out)(*[rewrapped(y, seen) for y in out])
    if isinstance(out, _real_ndarray):
        for a in seen:
            if isinstance(a, Complex):
                if a.pairs is not None and T.is_view_of(a.pairs, out):
                    return RECORDED["complex view"](a, out)
                continue
            if out is T.concrete(a):
                return a
            if type(a) is not Array:
                if out.size and np.may_share_memory(a, out):
                    return T.make_plain(out, captured=True) if T.current_tape() is not None else out
            elif T.is_view_of(a, out):
                return view_of(a, out)
        return T.wrap(out)
    return out


def view_of(a: Any, out: Any) -> Any:
    """The array whose concrete one is out, a view of the memory of a."""
    if out.dtype == a.dtype:
        return T.view(a, out)
    return RECORDED["pairs view"](a, out) if out.real.dtype == a.dtype else T.view_otherwise(a, out)


def run_plain(func: Any, args: Any, kwargs: Any) -> Any:
    """A function on arrays in which nothing is traced: NumPy does it."""
    seen: list[Any] = []
    args = bare(tuple(args), seen)
    kwargs = {k: bare(v, seen) for k, v in kwargs.items()}
    return rewrapped(func(*args, **kwargs), seen)


# ---- conversion -----------------------------------------------------------------------------------------------------

def asarray(x: Any, dtype: Any = None, order: Any = None, *, copy: Any = None) -> Any:
    """np.asarray for everything: traced arrays pass, numbers become 0-d arrays, nested lists are assembled."""
    if type(x) is Scalar:
        x = lifted(x)
    elif type(x) is Flat:
        x = x.copy()
    elif isinstance(x, Complex):
        return RECORDED["complex asarray"](x, dtype, order, copy)
    elif type(x) is not Array:
        if type(x) is _real_ndarray and dtype is None and order is None and not copy:
            return x
        if not isinstance(x, (list, tuple)) or not traced(x):
            return run_plain(np.asarray, (x,), {"dtype": dtype, "order": order, "copy": copy})
        if T.complex_among(*x):
            return asarray(RECORDED["complex nested"](x), dtype, order, copy=copy)
        x = from_nested(x)
    if dtype is not None and CODES.get(np.dtype(dtype)) != CODES.get(x.dtype):
        x = RECORDED["astype"](x, dtype)
        copy = None
    if order not in (None, "K", "A", "C", "F"):
        raise ValueError(f"order must be one of 'C', 'F', 'A', or 'K' (got {order!r})")
    if copy or (order not in (None, "K", "A") and not T.concrete(x).flags[f"{order}_CONTIGUOUS"]):
        x = RECORDED["copy"](x, order or "K")
    return x


def lifted(s: Any) -> Any:
    """The 0-d array of a traced number."""
    row = T.structural("reshape", (s,), None, (1,), code_of(s))
    return T.view(row, T.concrete(row).reshape(()))


_stack = functools.lru_cache(1024)(T.Stack)


def from_nested(rows: Any) -> Any:
    """The array of a nested list with traced numbers or arrays in it."""
    codes = set()
    for x in rows:
        kind = type(x)
        if kind is Scalar:
            codes.add(CODES[x.dtype])
        elif kind is float or kind is int:
            codes.add(FLOAT if kind is float else INT)
        else:
            break
    else:
        code = min(codes) if SINGLE not in codes else joint_array(*rows)
        return T.structural("stack", rows, _stack(len(rows)), (len(rows),), code, (code,) * len(rows))
    leaves: list[Any] = []
    nest = _nesting(rows, leaves)
    leaves = [x[()] if type(x) is Array and x.ndim == 0 else x for x in leaves]
    if all(not shape_of(x) for x in leaves):
        shape = np.shape(_nested(nest, list(range(len(leaves)))))
        if math.prod(shape) == len(leaves):
            code = joint_array(*leaves)
            return T.structural("stack", leaves, _stack(len(leaves)), shape, code, (code,) * len(leaves))
    return RECORDED["assemble"](lambda arrays: np.array(_nested(nest, arrays)), leaves, ("nested", _frozen(nest)))


def _nesting(rows: Any, leaves: list[Any]) -> Any:
    """The shape of a nested list, with numbers of leaves in it; fills `leaves`."""
    if isinstance(rows, (list, tuple)):
        return [_nesting(x, leaves) for x in rows]
    leaves.append(rows)
    return len(leaves) - 1


def _frozen(nest: Any) -> Any:
    """The shape of a nested list as a part of a key."""
    return tuple([_frozen(x) for x in nest]) if isinstance(nest, list) else nest


def _nested(nest: Any, values: list[Any]) -> Any:
    return [_nested(x, values) for x in nest] if isinstance(nest, list) else values[nest]


def cast_to(x: Any, code: int) -> Any:
    """x in the dtype of a code, traced or not."""
    if type(x) is Array or type(x) is Scalar:
        return x if CODES.get(x.dtype) == code else T.astype(x, T.DTYPES[code])
    return np.asarray(x).astype(T.DTYPES[code])[()]


def zeros_of(like: Any) -> Any:
    """A recordable array of zeros."""
    return T.wrap(np.zeros(like.shape, T.DTYPES[dtype_code(like.dtype)]))


def scalar_value(x: Any) -> Any:
    """The one number that an operand holds: what may be written into one element."""
    if not is_array(x) and not isinstance(x, (list, tuple)):
        return x
    x = asarray(x)
    if x.size != 1:
        raise ValueError("setting an array element with a sequence.")
    return x[(0,) * x.ndim]


def as_traced(x: Any, like: Any) -> Any:
    """x as an array on the tape of the traced values `like`, where an instruction needs a traced operand."""
    if T.is_traced(x):
        return x if type(x) is Array else lifted(x)
    x = np.asarray(T.concrete(x))
    code = dtype_code(x.dtype)
    if x.ndim == 0:
        return lifted(T.structural("reshape", (x,), None, (), code, None, T.tape_of(*like)))
    return T.structural("reshape", (x,), None, x.shape, code, None, T.tape_of(*like))


def live(x: Any, kinds: str = "fiub") -> Any:
    """A plain array as a traced value, wherever a formula would compute with it.

    Plain NumPy on an array of the user's would leave its present values on the tape; this way they are read again at
    every replay.
    """
    if isinstance(x, _real_ndarray) and x.dtype.kind in kinds and x.size and not T.is_traced(x):
        tape = T.current_tape()
        if tape is not None:
            y = T.structural("reshape", (x,), None, x.shape, dtype_code(x.dtype), None, tape)
            return y if x.ndim else lifted(y)
    if type(x) is list or type(x) is tuple:
        return type(x)([live(y, kinds) for y in x])
    return x


def live_copy(x: Any, out: Any) -> Any:
    """x, made live if `out`, which NumPy made of it, is a copy and not a view."""
    return x if T.is_traced(x) or not is_array(x) or np.may_share_memory(T.concrete(x), T.concrete(out)) else live(x)


# ---- out= -----------------------------------------------------------------------------------------------------------

def deliver(out: Any, value: Any, what: str, casting: Any = "unsafe") -> Any:
    """Write a result into `out` (None: there is none); returns what the function returns.

    Whether `out` fits is NumPy's to say: a call with out= is a checked one.
    """
    if isinstance(out, tuple):
        (out,) = out
    if out is None:
        return value
    if out is Ellipsis:                  # an array, even if it holds one number
        return value if is_array(value) else lifted(value)
    if isinstance(out, Complex):
        out[...] = value
        return out
    if type(out) is not Array:
        raise refusal(what, f"a traced result cannot be written into out=, a plain {type(out).__name__} that was made "
                      "outside the recorded function, or of such an array alone (z = z0.copy(), z = 2 * z0), or by a "
                      "name imported from NumPy. Write z = np.array(z0) for z0.copy(), np.array(2 * z0) for 2 * z0, "
                      "z = z + x for z += x, or make it inside of the function with np.zeros, called as np.zeros.")
    if not np.can_cast(T.DTYPES[code_of(value)], out.dtype, casting):
        raise TypeError(f"Cannot cast {what} output from {T.DTYPES[code_of(value)]!r} to {out.dtype!r} "
                        f"with casting rule {casting!r}")
    own = shape_of(value)
    if own != out.shape and np.broadcast_shapes(own, out.shape) != out.shape:
        raise ValueError(f"{what}: output array of shape {out.shape} does not fit the result's shape {own}")
    out[...] = value
    return out


class Flat:
    """x.flat of a traced array: an iterator; indexing works as on the ravelled array and writes through."""

    def __init__(self, array: Any) -> None:
        self.array = array
        self.index = 0

    @property
    def base(self) -> Any:
        """The array over which this iterates."""
        return self.array

    def copy(self) -> Any:
        """The elements as a new 1-D array."""
        return self.array.flatten()

    def __len__(self) -> int:
        return int(self.array.size)

    def __iter__(self) -> Flat:
        return self

    def __next__(self) -> Any:
        if self.index >= self.array.size:
            raise StopIteration
        self.index += 1
        return self[self.index - 1]

    def _key(self, key: Any) -> Any:
        positions = range(self.array.size)[key] if type(key) is int else np.arange(self.array.size)[key]
        return np.unravel_index(positions, self.array.shape)

    def __getitem__(self, key: Any) -> Any:
        if T.is_traced(key):
            return self.array.ravel()[key]
        if self.array.ndim == 0:
            return self.array.reshape(1)[key]
        found = self.array[self._key(key)]
        return found.copy() if isinstance(key, slice) else found

    def __setitem__(self, key: Any, value: Any) -> None:
        a = self.array
        if T.is_traced(key):
            if key.dtype == T.DTYPES[BOOL]:
                a[key.reshape(a.shape)] = value
            else:
                RECORDED["put"](a, key, value)
        elif a.ndim == 0:
            a.reshape(1)[key] = value
        else:
            where = self._key(key)
            count = np.size(where[0])
            if np.size(value) == 0:
                return                   # as NumPy
            if np.ndim(where[0]) and np.size(value) != count:
                value = np.resize(value, count)
            a[where] = value

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.asarray(self.copy(), dtype=dtype)

    def __eq__(self, other: Any) -> Any:
        return self.array.ravel() == other

    def __ne__(self, other: Any) -> Any:
        return self.array.ravel() != other

    __hash__ = None  # type: ignore[assignment]
