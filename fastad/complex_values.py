"""complex_values.py - what stands for complex numbers and complex arrays while a function is recorded.

Owns: ComplexNumber and ComplexArray, which hold two real values (`re`, `im`) that are traced as usual, so that
derivatives, views, writes and replays need nothing new; how they are made, read and written.
An array has its parts side by side in one array of pairs (np.zeros(n, complex), results of Fourier transforms: the
memory of complex128 or complex64 itself), or as two arrays of their own (results of arithmetic, which are
never put together unless somebody needs the pairs).  Views are views of the parts either way.
The dtype is that of the parts: of float32 ones complex64, else complex128.  A number whose parts are Python's is weak.
Must not know: arithmetic (complex_rows.py), NumPy's functions (complex_functions.py); both register in DOORS.
Next: complex_conversion.py (astype and asarray, lists).
"""
from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad.movers import relayout
from fastad.operands import FLOAT, SINGLE, Array, Scalar, asarray, cast_to, is_array, live, refusal, shape_of

COMPLEX128, COMPLEX64 = np.dtype(np.complex128), np.dtype(np.complex64)
DOORS: dict[str, Any] = {}               # "ufunc", "method": set by the modules above
MADE_OUTSIDE = "complex captures"        # in Tape.derived: id of a user's complex array -> (array, parts)


# ---- dtypes ----------------------------------------------------------------------------------------------------------

def base_of(dtype: Any) -> int:
    """Code of the dtype of the parts of a complex (or real) dtype: float32 or float64."""
    if dtype.kind == "c" and dtype.itemsize > 16:
        raise refusal(str(dtype), "complex128 and complex64 are recorded; convert it by astype(complex)")
    return SINGLE if dtype == COMPLEX64 or dtype == np.float32 else FLOAT


def base(re: Any, im: Any) -> int:
    """Code of the dtype of a complex value with these parts."""
    return SINGLE if T.promote(re, im) == SINGLE else FLOAT


def complex_dtype(code: int) -> Any:
    """The complex dtype with parts of the dtype of a code."""
    return COMPLEX64 if code == SINGLE else COMPLEX128


def weak(z: Any) -> bool:
    """Is z a complex number of Python's, traced or not, which takes the dtype of what it meets (NEP 50)?"""
    if type(z) is ComplexNumber:
        return bool(T.is_weak(z.re) and T.is_weak(z.im))
    return type(z) is complex


# ---- parts -----------------------------------------------------------------------------------------------------------

def parts(x: Any) -> tuple[Any, Any]:
    """(real part, imaginary part) of an operand; the imaginary part of a real one is None."""
    if isinstance(x, T.Complex):
        return x.re, x.im
    if type(x) is Array or type(x) is Scalar or not T.complex_among(x):
        return (asarray(x) if isinstance(x, (list, tuple)) else x), None
    if isinstance(x, (list, tuple)):
        return parts(asarray(x))
    if isinstance(x, np.ndarray):
        return outside(x)
    return x.real, x.imag                # (of a NumPy number NumPy numbers, of Python's floats, which are weak)


def outside(x: Any) -> tuple[Any, Any]:
    """Parts of an array of the user's, read again at every replay: the same two views for one array on one tape."""
    tape = T.current_tape()
    if tape is None:
        return x.real, x.imag
    known = tape.derived.setdefault(MADE_OUTSIDE, {})
    found = known.get(id(x))
    if found is None or found[1].shape != x.shape:
        floats = as_floats(x) if x.dtype in (COMPLEX128, COMPLEX64) else None
        found = known[id(x)] = x, x.real, x.imag, floats
    return found[1], found[2]


def pairs_of(z: Any) -> Any:
    """The pairs of an operand that lie in memory in C order; None where there are none."""
    if isinstance(z, T.Complex):
        return z.pairs if z.pairs is not None and T.concrete(z.pairs).flags.c_contiguous else None
    if type(z) is np.ndarray and z.dtype in (COMPLEX128, COMPLEX64) and z.flags.c_contiguous \
            and T.current_tape() is not None:
        outside(z)
        return T.current_tape().derived[MADE_OUTSIDE][id(z)][3]
    return None


def both(x: Any) -> tuple[Any, Any]:
    """The same with zeros for the imaginary part of a real operand, of the dtype that it has as a complex one."""
    re, im = parts(x)
    if im is None:
        re = np.bool_(re) if type(re) is bool else re
        dtype = np.result_type(re.dtype, np.float32) if hasattr(re, "dtype") and not T.is_weak(re) else None
        im = T.recordable(np.zeros(shape_of(re), dtype)) if is_array(re) else 0.0 if dtype is None else dtype.type(0)
    return re, im


def make(re: Any, im: Any, code: int | None = None) -> Any:
    """The complex value of two parts that nobody else writes into, broadcast to one shape, with parts of one dtype."""
    if code is None:
        code = base(re, im)
    if not is_array(re) and not is_array(im):
        if T.is_wrapped(re) or T.is_wrapped(im):
            plain = T.is_weak(re) and T.is_weak(im)
            return ComplexNumber(re, im) if plain else ComplexNumber(number(re, code), number(im, code))
        return complex_dtype(code).type(complex(re, im))
    shape, other = shape_of(re), shape_of(im)
    if shape != other:                   # (what NumPy says of equal ones takes a third of an operation)
        shape = np.broadcast_shapes(shape, other)
    return ComplexArray(own(re, shape, code), own(im, shape, code))


def number(x: Any, code: int) -> Any:
    """A part of a number, which is none of Python's: of the dtype of the other part."""
    return cast_to(x, code) if type(x) is Scalar else T.DTYPES[code].type(x)


def own(x: Any, shape: tuple[int, ...], code: int) -> Any:
    """A part as an array of this shape that can be written, of the dtype of the code, with memory of its own."""
    dtype = T.DTYPES[code]
    if type(x) is Array and x.shape == shape and x.dtype == dtype:
        return live(x) if not T.is_traced(x) and T.current_tape() is not None else x
    if not T.is_wrapped(x) and not is_array(x):
        return T.recordable(np.full(shape, x, dtype))
    x = live(asarray(x))
    x = x if x.dtype == dtype else x.astype(dtype)
    return x if x.shape == shape else np.broadcast_to(x, shape).copy()


def fresh(x: Any) -> Any:
    """A part with memory of its own and the value of x now, without an instruction."""
    if type(x) is not Array:
        return x
    tape = T.tape_of(x)
    if tape is None:
        return T.recordable(np.array(T.concrete(x)))
    c = T.concrete(x)
    return relayout(T.wrap_value(tape, T.id_in(tape, x), np.array(c, order="C")), c)


def combined(a: Any, b: Any) -> Any:
    """What a function gave for the real and for the imaginary part, as it gives it for a complex array."""
    if type(a) in (list, tuple):
        return type(a)([combined(x, y) for x, y in zip(a, b, strict=True)])
    return view_of(a, b)


def view_of(re: Any, im: Any) -> Any:
    """A complex value that shares its parts."""
    if is_array(re) and re.dtype == im.dtype:
        return ComplexArray(re, im)
    return make(re, im)


# ---- pairs -----------------------------------------------------------------------------------------------------------

def from_pairs(pairs: Any) -> ComplexArray:
    """The complex array over an array with a last axis of length 2, in whose memory parts lie side by side."""
    if pairs.size == 0 and T.is_traced(pairs):       # a view of nothing would no longer be traced
        return ComplexArray(*[T.structural("reshape", (pairs,), None, pairs.shape[:-1], 0) for _ in range(2)])
    z = ComplexArray(pairs[..., 0], pairs[..., 1])
    z.pairs = pairs
    return z


def as_floats(c: Any) -> Any:
    """The memory of a complex ndarray as its real dtype, with one more axis of length 2."""
    return c[..., None].view(c.real.dtype)


def as_complexes(floats: Any) -> Any:
    """The complex ndarray in the memory of such pairs."""
    return floats.view(COMPLEX64 if floats.dtype == np.float32 else COMPLEX128)[..., 0]


def pairs_view(pairs: Any, c: Any) -> ComplexArray:
    """The complex array whose concrete one is c, a view of the memory of `pairs`."""
    return from_pairs(T.view(pairs, as_floats(c)))


def recordable_complex(array: Any, captured: bool = False) -> Any:
    """A complex ndarray as a recordable one; `captured`: the user's own, bound by reference."""
    floats = as_floats(array)
    return from_pairs(T.make_plain(floats, captured) if captured else T.recordable(floats))


def to_pairs(z: Any) -> Any:
    """The parts of a complex value side by side in one traced or plain array, for library code."""
    re, im = both(z)
    if isinstance(z, T.Complex) and z.pairs is not None:
        return z.pairs
    shape = shape_of(re)
    return joined(re, im, shape)


def joined(re: Any, im: Any, shape: tuple[int, ...]) -> Any:
    """np.stack((re, im), -1), by one instruction."""
    tape = T.tape_of(re, im)
    if tape is None:
        return T.recordable(np.stack((np.asarray(T.concrete(re)), np.asarray(T.concrete(im))), axis=-1))
    code = base(re, im)
    if shape == ():
        return T.structural("stack", (re, im), T.Stack(2), (2,), code, (code, code), tape)
    n = int(np.prod(shape))
    if n == 0:
        return T.recordable(np.zeros((*shape, 2), T.DTYPES[code]))
    maps = [T.Map(n, 2 * n, (((n,), 0, (1,), k, (2,)),), None, None, False, True, True) for k in (0, 1)]
    attr = T.Assemble(maps, False, True, 0, code)
    return T.structural("assemble", [re, im], attr, (*shape, 2), code, (code, code), tape)


# ---- arguments and results of tapes ----------------------------------------------------------------------------------

def split(x: Any) -> Any:
    """A complex argument, direction or seed as the pairs that a tape takes: traced, or a plain array of its own."""
    if T.is_traced(x):
        return to_pairs(x)
    c = T.concrete(x)
    return as_floats(np.array(c, dtype=complex_dtype(base_of(np.asarray(c).dtype)), order="K"))


def result_pairs(x: Any) -> Any:
    """A complex result as pairs: those that are there, or made of what is computed or read again at each replay."""
    if T.is_wrapped(x):
        return to_pairs(x)
    return np.stack([T.structural("reshape", (part,), None, part.shape, 0, None, T.current_tape()) if part.ndim else
                     part[()] for part in outside(x)], axis=-1)


def split_conjugate(x: Any) -> Any:
    """The same of the conjugate: adjoints are pulled back as linear forms, in the convention of JAX."""
    return split(np.conjugate(x)) if np.shape(T.concrete(x)) or T.is_wrapped(x) else split(np.asarray(x).conj()[()])


def whole(pairs: Any, number: bool) -> Any:
    """The complex value of pairs that a tape gives or takes; `number`: no array, if it is of rank 0."""
    if T.is_wrapped(pairs):
        return ComplexNumber(pairs[0], pairs[1]) if number and pairs.ndim == 1 else from_pairs(pairs)
    c = as_complexes(np.ascontiguousarray(pairs))
    return c[()] if number else c


def whole_conjugate(pairs: Any, number: bool) -> Any:
    """The conjugate of that: the gradient by a complex argument is d/dx - i d/dy."""
    return np.conjugate(whole(pairs, number))


# ---- operators -------------------------------------------------------------------------------------------------------

class _Operators:
    """Python's operators, handed to the ufuncs."""

    __slots__ = ()
    __array_priority__ = 2e6

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return DOORS["ufunc"](ufunc, method, inputs, kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return DOORS["function"](func, types, args, kwargs)

    def __matmul__(self, other: Any) -> Any:
        return DOORS["matmul"](self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return DOORS["matmul"](other, self)

    def __neg__(self) -> Any:
        return DOORS["call"](np.negative, (self,))

    def __pos__(self) -> Any:
        return DOORS["call"](np.positive, (self,))

    def __abs__(self) -> Any:
        return DOORS["call"](np.absolute, (self,))

    def __eq__(self, other: Any) -> Any:
        return False if other is None else DOORS["call"](np.equal, (self, other))

    def __ne__(self, other: Any) -> Any:
        return True if other is None else DOORS["call"](np.not_equal, (self, other))

    @property
    def dtype(self) -> Any:
        return complex_dtype(base(self.re, self.im))

    @property
    def itemsize(self) -> int:
        return int(self.dtype.itemsize)

    @property
    def real(self) -> Any:
        return self.re

    @real.setter
    def real(self, value: Any) -> None:
        self.re[...] = value

    @property
    def imag(self) -> Any:
        return self.im

    @imag.setter
    def imag(self, value: Any) -> None:
        self.im[...] = value

    def conj(self) -> Any:
        return DOORS["call"](np.conjugate, (self,))

    conjugate = conj

    def __getattr__(self, name: str) -> Any:
        return DOORS["method"](self, name)


def _binary(ufunc: Any) -> tuple[Any, Any]:
    def forward(self: Any, other: Any) -> Any:
        return DOORS["call"](ufunc, (self, other))

    def backward(self: Any, other: Any) -> Any:
        return DOORS["call"](ufunc, (other, self))
    return forward, backward


_BINARY = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.true_divide, "pow": np.power,
           "floordiv": np.floor_divide, "mod": np.remainder}
for _name, _ufunc in _BINARY.items():
    _forward, _backward = _binary(_ufunc)
    setattr(_Operators, f"__{_name}__", _forward)
    setattr(_Operators, f"__r{_name}__", _backward)
for _name, _ufunc in {"lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal}.items():
    setattr(_Operators, f"__{_name}__", _binary(_ufunc)[0])


# ---- numbers ---------------------------------------------------------------------------------------------------------

class ComplexNumber(_Operators, T.Complex):
    """A complex number of which a part at least is traced: stands for a np.complex128 or np.complex64."""

    __slots__ = ()
    shape = ()
    strides = ()
    ndim = 0
    size = 1
    nbytes = property(lambda self: self.itemsize)

    def __init__(self, re: Any, im: Any) -> None:
        self.re, self.im, self.pairs = re, im, None

    __class__ = property(lambda self: self.dtype.type)

    def concrete(self) -> Any:
        """The present value."""
        return self.dtype.type(complex(float(T.concrete(self.re)), float(T.concrete(self.im))))

    def __complex__(self) -> complex:
        return complex(float(self.re), float(self.im))

    def __bool__(self) -> bool:
        return bool((self.re != 0) | (self.im != 0))

    def __float__(self) -> float:
        warnings.warn(DISCARDS, np.exceptions.ComplexWarning, stacklevel=2)
        return float(self.re)

    def __int__(self) -> int:
        warnings.warn(DISCARDS, np.exceptions.ComplexWarning, stacklevel=2)
        return int(self.re)

    def __hash__(self) -> int:
        hash((self.re, self.im))         # an error where a derivative depends on them, else a guard
        return hash(complex(self.concrete()))

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return foreign(self, dtype)

    def __getitem__(self, key: Any) -> Any:
        if key == ():
            return self
        if key is Ellipsis or key is None:
            return lifted(self)[key]
        if isinstance(key, tuple) and all(part is Ellipsis or part is None for part in key):
            return lifted(self)[key]
        raise IndexError("invalid index to scalar variable.")

    def __iter__(self) -> Any:
        raise TypeError(f"'numpy.{self.dtype}' object is not iterable")

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        return self

    def __repr__(self) -> str:
        return f"traced({self.concrete()!r})"

    def __str__(self) -> str:
        return str(self.concrete())

    def __format__(self, spec: str) -> str:
        return format(complex(self.concrete()), spec)


DISCARDS = "Casting complex values to real discards the imaginary part"


def lifted(z: Any) -> Any:
    """The 0-d array of a complex number."""
    return from_pairs(joined(z.re, z.im, ()))


def foreign(z: Any, dtype: Any) -> Any:
    """What foreign code gets of it: of an inactive value a read-only copy, guarded; else an error."""
    re, im = (np.asarray(x.__array__() if T.is_traced(x) else T.concrete(x)) for x in (z.re, z.im))
    out = np.empty(np.shape(re), z.dtype)
    out.real, out.imag = re, im
    if dtype is not None:
        out = out.astype(dtype)
    if T.is_traced(z):
        out.flags.writeable = False
    return out


# ---- arrays ----------------------------------------------------------------------------------------------------------

class ComplexArray(_Operators, T.Complex):
    """A complex array that is traced or may become so: stands for an ndarray."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, re: Any, im: Any) -> None:
        self.re, self.im, self.pairs = re, im, None

    __class__ = property(lambda self: np.ndarray)

    def concrete(self) -> Any:
        """The present value: a view of the pairs, or a copy of two separate parts."""
        if self.pairs is not None:
            return as_complexes(T.concrete(self.pairs))
        re = T.concrete(self.re)
        out = np.empty_like(re, dtype=self.dtype)
        out.real, out.imag = re, T.concrete(self.im)
        return out

    shape = property(lambda self: self.re.shape)
    ndim = property(lambda self: self.re.ndim)
    size = property(lambda self: self.re.size)
    nbytes = property(lambda self: self.itemsize * self.re.size)
    dtype = property(lambda self: COMPLEX64 if self.re.dtype == np.float32 else COMPLEX128)
    strides = property(lambda self: self.concrete().strides)
    flags = property(lambda self: self.concrete().flags if self.pairs is not None else self.re.flags)
    base = property(lambda self: None)
    T = property(lambda self: self.transpose())
    mT = property(lambda self: self.swapaxes(-1, -2))
    flat = property(lambda self: DOORS["flat"](self),
                    lambda self, value: DOORS["flat"](self).__setitem__(slice(None), value))

    def __len__(self) -> int:
        return len(self.re)

    def __iter__(self) -> Any:
        if self.ndim == 0:
            raise TypeError("iteration over a 0-d array")
        return iter([self[k] for k in range(len(self))])

    def __contains__(self, x: Any) -> bool:
        return bool(np.any(self == x))

    def __getitem__(self, key: Any) -> Any:
        for k in key if type(key) is tuple else (key,):
            T.pinned(k)
        plain = plain_key(key)
        if plain is not None:
            c = self.concrete()
            if self.pairs is not None:
                out = c[plain]
                if is_array(out) and T.is_view_of(self.pairs, out):
                    return pairs_view(self.pairs, out)
                if not T.is_traced(self):
                    return T.wrap(out)
        return combined(self.re[key], self.im[key])

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(value, (list, tuple)):
            value = asarray(value)
        for k in key if type(key) is tuple else (key,):
            T.pinned(k)
        re, im = parts(value)
        self.re[key] = re
        self.im[key] = 0.0 if im is None else im

    def __delitem__(self, key: Any) -> None:
        raise ValueError("cannot delete array elements")

    def __bool__(self) -> bool:
        return bool((self.re != 0) | (self.im != 0))

    def __complex__(self) -> complex:
        if self.ndim:
            raise TypeError("only 0-dimensional arrays can be converted to Python scalars")
        return complex(self[()])

    def __float__(self) -> float:
        return float(self.re) if self.ndim else float(self[()])

    def __int__(self) -> int:
        return int(self.re) if self.ndim else int(self[()])

    def __index__(self) -> int:
        raise TypeError("only integer scalar arrays can be converted to a scalar index")

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return foreign(self, dtype)

    def __copy__(self) -> Any:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> Any:
        return self.copy()

    def __reduce__(self) -> Any:
        return foreign(self, None).__reduce__()

    def __repr__(self) -> str:
        return f"traced({self.concrete()!r})" if T.is_traced(self) else repr(self.concrete())

    def __str__(self) -> str:
        return str(self.concrete())


def _inplace(ufunc: Any) -> Any:
    def change(self: Any, other: Any) -> Any:
        y = DOORS["call"](ufunc, (self, other))
        if shape_of(y) != self.shape:
            raise ValueError(f"non-broadcastable output operand with shape {self.shape} doesn't match the broadcast "
                             f"shape {shape_of(y)}")
        self[...] = y
        return self
    return change


for _name, _ufunc in _BINARY.items():
    setattr(ComplexArray, f"__i{_name}__", _inplace(_ufunc))


def plain_key(key: Any) -> Any:
    """The key with plain arrays in place of ours; None if something in it is traced."""
    if T.is_traced(key):
        return None
    if isinstance(key, (tuple, list)) and any(plain_key(k) is None and k is not None for k in key):
        return None
    if isinstance(key, tuple):
        return tuple([T.concrete(k) for k in key])
    return [T.concrete(k) for k in key] if isinstance(key, list) else T.concrete(key) if key is not None else (None,)
