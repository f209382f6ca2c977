"""interception.py - names of numpy, math, scipy.sparse that know traced values while a function is recorded.

Owns: which names are replaced, when (from the first open recording in the process to the end of the last one), and what
NumPy's creating and converting functions do for the user's code.  It is the only file that touches NumPy's names.
A replaced name asks one question first: does this thread record, and is the caller the user's code?  Else the original
runs, so NumPy, SciPy and other threads see nothing.
Must not know: how a NumPy function is recorded (numpy_api.py), what math means on traced numbers (math_names.py), what
the operators of sparse matrices do (sparse_products.py).
"""
import cmath
import functools
import linecache
import math
import operator
import re
import sys
import threading
from collections.abc import Callable
from importlib.machinery import ExtensionFileLoader
from types import BuiltinFunctionType, ModuleType
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad import cmath_names, fourier, math_names, numpy_api, pythonic, scipy_doors, scipy_fourier, sparse_products
from fastad._state import wrapped_within
from fastad.errors import AdError, UnsupportedError
from fastad.intercepted import CONVERTING, CREATING, CREATING_LIKE, DERIVING, IN_COMPILED_CODE, REFUSING
from fastad.operands import RECORDED

Scalar, Array = T.Scalar, T.Array
current_tape = T.current_tape
make_plain = T.make_plain
_getframe = sys._getframe
_ndarray = np.ndarray

# Python code in NumPy that makes its arrays by NumPy's public names: it is recorded as if it were the user's.
_LIKE_USERS = "numpy.polynomial."
_KINDS = ("divide", "over", "under", "invalid")

_libraries: dict[str, bool] = {}         # module name -> is it NumPy's, SciPy's or ours


def _is_library(name: str) -> bool:
    known = name.partition(".")[0] in ("numpy", "scipy", "fastad") and not name.startswith(_LIKE_USERS)
    _libraries[name] = known
    return known


def _outside(frame: Any) -> bool:
    """Is nothing recorded in this thread, or is the calling frame not the user's code?"""
    if current_tape() is None:
        return True
    name = frame.f_globals.get("__name__") or ""
    known = _libraries.get(name)
    return _is_library(name) if known is None else known


# ---- what is recordable ----------------------------------------------------------------------------------------------

def _recordable(result: Any) -> Any:
    """Arrays of new memory as recordable ones, through tuples and lists."""
    if type(result) is _ndarray:
        return make_plain(result)
    if type(result) is list or type(result) is tuple:
        return type(result)(map(_recordable, result))
    return result


def _adopted(result: Any, *args: Any) -> Any:
    """The same for results that may be an argument's memory: that is the user's own, and bound by reference."""
    if type(result) is _ndarray:
        owned = any(isinstance(a, _ndarray) and type(a) is not Array and np.may_share_memory(result, a) for a in args)
        return make_plain(result, captured=owned)
    if type(result) is list or type(result) is tuple:
        return type(result)(_adopted(r, *args) for r in result)
    return result


def _as_array(x: Any) -> Any:
    """A list, tuple or object array with traced values as one array; everything else as it is."""
    nested = isinstance(x, (list, tuple))
    return numpy_api.unboxed(x) if not nested else numpy_api.asarray(x) if wrapped_within(x) == 2 else x


def _as_numbers(x: Any) -> Any:
    """The same for arguments after the first, where traced integers may be a shape or axes."""
    a = _as_array(x)
    return a if a is not x and a.dtype.kind == "f" else x


# ---- creating --------------------------------------------------------------------------------------------------------

def _creating(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def create(*args: Any, **kwargs: Any) -> Any:
        if _outside(_getframe(1)):
            return original(*args, **kwargs)
        kwargs.pop("like", None)
        return _recordable(original(*args, **kwargs))
    return create


def _creating_like(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def create_like(a: Any, *args: Any, **kwargs: Any) -> Any:
        if _outside(_getframe(1)):
            return original(a, *args, **kwargs)
        return _recordable(original(T.concrete(a) if type(a) is Array else _as_array(a), *args, **kwargs))
    return create_like


def _full(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def full(shape: Any, fill_value: Any, dtype: Any = None, order: Any = "C", **kwargs: Any) -> Any:
        if _outside(_getframe(1)):
            return original(shape, fill_value, dtype, order, **kwargs)
        fill_value = _as_array(fill_value)
        if not T.is_wrapped(fill_value):
            return _recordable(original(shape, fill_value, dtype, order))
        dtype = fill_value.dtype if dtype is None else T.DTYPES[numpy_api.requested(dtype, "np.full")]
        kwargs.pop("like", None)
        y = make_plain(np_empty(shape, dtype, order, **kwargs))
        y[...] = fill_value
        return y
    return full


def _full_like(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def full_like(a: Any, fill_value: Any, *args: Any, **kwargs: Any) -> Any:
        if _outside(_getframe(1)):
            return original(a, fill_value, *args, **kwargs)
        fill_value = _as_array(fill_value)
        if not T.is_wrapped(fill_value):
            return _recordable(original(a, fill_value, *args, **kwargs))
        return numpy_api.full_like(a, fill_value, *args, **kwargs)
    return full_like


def _arange(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def arange(*args: Any, **kwargs: Any) -> Any:
        if _outside(_getframe(1)):
            return original(*args, **kwargs)
        kwargs.pop("like", None)
        if not any(map(T.is_traced, args)) and not any(map(T.is_traced, kwargs.values())):
            return _recordable(original(*args, **kwargs))
        return _traced_arange(original, *args, **kwargs)
    return arange


def _traced_arange(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """arange of traced bounds: the length is guarded, the values are start + i*step as in NumPy."""
    dtype = kwargs.pop("dtype", args[3] if len(args) > 3 else None)
    kwargs.pop("device", None)
    bounds = dict(zip(("start", "stop", "step"), args[:3], strict=False))
    bounds.update(kwargs)
    if bounds.get("stop") is None:
        bounds["stop"], bounds["start"] = bounds["start"], 0
    start, stop, step = bounds.get("start", 0), bounds["stop"], bounds.get("step", 1)
    start = 0 if start is None else start
    step = 1 if step is None else step
    if all(isinstance(b, int) or (type(b) is Scalar and b.dtype.kind in "ib") for b in (start, stop, step)):
        return _recordable(original(*map(operator.index, (start, stop, step)), dtype=dtype))
    count = max(0, int(np.ceil((stop - start) / step)))
    width = (start + step) - start       # NumPy's own step: the difference of its first two elements
    y = start + width * make_plain(original(count, dtype=T.DTYPES[T.kind_of(width)]))
    return y if dtype is None else y.astype(dtype)


def _fromiter(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def fromiter(iter: Any, dtype: Any, count: int = -1, **kwargs: Any) -> Any:
        if _outside(_getframe(1)):
            return original(iter, dtype, count, **kwargs)
        values: list[Any] = []
        for x in iter:
            if len(values) == count:
                break
            values.append(x)
        if wrapped_within(values) < 2:
            return _recordable(original(values, dtype, count))
        if len(values) < count:
            raise ValueError("iterator too short")
        if any(map(np.ndim, values)):
            raise ValueError("setting an array element with a sequence.")
        return _converted(np_array, values, dtype=dtype)
    return fromiter


def _fromfunction(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def fromfunction(function: Any, shape: Any, *, dtype: Any = float, **kwargs: Any) -> Any:
        if _outside(_getframe(1)):
            return original(function, shape, dtype=dtype, **kwargs)
        kwargs.pop("like", None)
        return function(*map(_recordable, np_indices(shape, dtype=dtype)), **kwargs)
    return fromfunction


def _ndenumerate(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original, updated=())
    def ndenumerate(arr: Any) -> Any:
        if _outside(_getframe(1)) or not wrapped_within(arr):
            return original(arr)
        a = numpy_api.asarray(arr)
        return ((index, a[index]) for index in np.ndindex(a.shape))
    return ndenumerate


def _refusing(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original, updated=())
    def refuse(*args: Any, **kwargs: Any) -> Any:
        if not _outside(_getframe(1)) and wrapped_within([*args, *kwargs.values()]) == 2:
            raise UnsupportedError(f"{T.here()}: np.{original.__name__}: {REFUSING[original.__name__]}")
        return original(*args, **kwargs)
    return refuse


def _as_strided(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def as_strided(x: Any, *args: Any, **kwargs: Any) -> Any:
        if _outside(_getframe(1)) or not wrapped_within(x):
            return original(x, *args, **kwargs)
        return numpy_api.strided(numpy_api.asarray(x), lambda c: original(c, *args, **kwargs))
    return as_strided


# ---- converting ------------------------------------------------------------------------------------------------------

def _deriving(original: Callable[..., Any]) -> Callable[..., Any]:
    """Functions that NumPy dispatches to us for traced arrays, but not for lists of traced numbers."""
    looks_inside = original in _TAKES_SEQUENCE
    @functools.wraps(original)
    def derive(*args: Any, **kwargs: Any) -> Any:
        if _outside(_getframe(1)):
            return original(*args, **kwargs)
        if args and looks_inside and isinstance(args[0], (list, tuple)):
            args = (type(args[0])(map(_as_array, args[0])), *args[1:])
        elif args and original is not np_block:  # that looks into its nested lists by itself
            args = (_as_array(args[0]), *map(_as_numbers, args[1:]))
        if kwargs:
            kwargs = {name: _as_numbers(x) for name, x in kwargs.items()}
            if original in RECORDED and not any(map(T.is_traced, args)) and any(map(T.is_traced, kwargs.values())):
                return numpy_api.function(original, (), args, kwargs)            # NumPy looks at arrays only
        result = original(*args, **kwargs)
        return result if type(result) is Array else _adopted(result, *args)
    return derive


def _converting(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def convert(*args: Any, **kwargs: Any) -> Any:
        if _outside(_getframe(1)):
            return original(*args, **kwargs)
        if not args:                     # the array by its keyword: `a` or, for np.array, `object`
            name = "object" if original is np_array else "a"
            args = (kwargs.pop(name),) if name in kwargs else ()
        kwargs.pop("like", None)
        return _converted(original, *args, **kwargs)
    return convert


def _converted(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    if not args:
        return original(**kwargs)        # NumPy's own error
    asks = args[1:] or kwargs or hasattr(type(args[0]), "traced_array")      # a dtype is asked for, most likely
    x = numpy_api.unboxed(args[0]) if asks else args[0]
    wrapped = wrapped_within(x)
    if wrapped == 0:
        result = original(*args, **kwargs)
        return _recordable(result) if isinstance(x, (list, tuple)) else _adopted(result, x)
    if wrapped == 1:
        array = type(x) is Array or isinstance(x, T.Complex)
        return numpy_api.run_plain(original, args, kwargs) if array else _recordable(original(*args, **kwargs))
    if (type(x) is list or type(x) is tuple) and len(args) == 1 and not kwargs:
        vector = _vector(x)
        if vector is not None:
            return vector
    return _traced_conversion(original, x, *args[1:], **kwargs)


_CODE_OF_TYPE = {float: 0, np.float64: 0, int: 1, np.int64: 1, bool: 2, np.bool_: 2, np.float32: 3}
_CODE_OF_DTYPE = {dtype: code for code, dtype in enumerate(T.DTYPES)}


def _vector(numbers: list[Any] | tuple[Any, ...]) -> Any:
    """The array of a list of numbers, filled element by element: no instruction until it is read as a whole."""
    codes = set()
    for x in numbers:
        of_x = _CODE_OF_DTYPE[x.dtype] if type(x) is Scalar else _CODE_OF_TYPE.get(type(x))
        if of_x is None:
            return None
        codes.add(of_x)
    y = make_plain(np_empty(len(numbers), np.result_type(*[T.DTYPES[code] for code in codes])))
    for k, x in enumerate(numbers):      # the traced ones first: then the others are known elements as well
        if type(x) is Scalar:
            y[k] = x
    for k, x in enumerate(numbers):
        if type(x) is not Scalar:
            y[k] = x
    return y


def _traced_conversion(original: Callable[..., Any], x: Any, *args: Any, **kwargs: Any) -> Any:
    """What `original` (np.array or one of its kin) makes of a traced value or of a list with traced values."""
    known = dict(zip(("dtype", "order") if original is not np_require else ("dtype", "requirements"), args,
                     strict=False))
    known.update(kwargs)
    dtype, order = known.get("dtype"), known.get("order")
    if dtype is not None and np.dtype(dtype) == object:
        return numpy_api.boxed(x)
    if known.get("device") is not None:
        np_asarray(0.0, device=known["device"])     # NumPy's own error
    copy = known.get("copy", True if original is np_array else None)
    a = numpy_api.asarray(x)
    if copy is False and type(x) is not Array:
        raise ValueError("Unable to avoid copy while creating an array as requested.")
    fresh = a is not x
    if dtype is not None and np.dtype(dtype) != a.dtype:
        if copy is False:
            raise ValueError("Unable to avoid copy while creating an array as requested.")
        a, fresh = numpy_api.astype(a, dtype), True
        a = a if type(a) is Array else numpy_api.asarray(a)
    if original is np_require:           # its letters and words for an order, and for memory of its own
        wanted = known.get("requirements") or ()
        wanted = {w[0].upper() if len(w) == 1 else w.upper() for w in ([wanted] if isinstance(wanted, str) else wanted)}
        order = "C" if wanted & {"C", "C_CONTIGUOUS", "CONTIGUOUS"} else "F" if wanted & {
            "F", "F_CONTIGUOUS", "FORTRAN"} else None
    if type(a) is Array or isinstance(a, T.Complex):
        a = _laid_out(original, a, order, bool(copy) and not fresh)
    if original is np_asarray_chkfinite and not bool(np.isfinite(a).all()):
        raise ValueError("array must not contain infs or NaNs")
    ndmin = max(known.get("ndmin", 0), original is np_ascontiguousarray or original is np_asfortranarray)
    return a[(None,) * (ndmin - a.ndim)] if ndmin > a.ndim else a


def _laid_out(original: Callable[..., Any], a: Any, order: Any, copy: bool) -> Any:
    """A traced array in the memory order that was asked for, which decides what a later reshape means."""
    if order not in (None, "C", "F", "A", "K"):
        raise ValueError(f"order must be one of 'C', 'F', 'A', or 'K' (got {order!r})")
    order = "C" if original is np_ascontiguousarray else "F" if original is np_asfortranarray else order
    flags = T.concrete(a).flags
    if (order == "C" and not flags.c_contiguous) or (order == "F" and not flags.f_contiguous):
        return a.copy(order)
    return a.copy(order or "K") if copy else a


class _Joiner:
    """np.r_ and np.c_: as NumPy's, for traced values too as long as the key has no string directive."""

    def __init__(self, original: Any, columns: bool) -> None:
        self.original, self.columns = original, columns

    def __len__(self) -> int:
        return 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.original, name)

    def __getitem__(self, key: Any) -> Any:
        items = key if isinstance(key, tuple) else (key,)
        if _outside(_getframe(1)) or not wrapped_within(list(items)):
            return self.original[key]
        if isinstance(items[0], str):
            raise UnsupportedError(f"{T.here()}: np.r_ and np.c_ with the directive {items[0]!r} and traced values; "
                                   "use np.concatenate or np.stack")
        return np_concatenate([self.part(x) for x in items], axis=-1 if self.columns else 0)

    def part(self, x: Any) -> Any:
        if isinstance(x, slice):
            return self.original[x]
        x = numpy_api.asarray(x)
        if self.columns:
            return x.reshape(-1, 1) if x.ndim < 2 else x
        return x.reshape(1) if x.ndim == 0 else x


# ---- floating-point errors -------------------------------------------------------------------------------------------

def _remember_ignored(settings: dict[str, Any], every: Any) -> None:
    """Note on the tape which floating-point errors the function itself ignores: no sweep warns of them."""
    kinds = {kind for kind in _KINDS if (settings.get(kind) or every) == "ignore"}
    for tape in T.recordings():
        tape.ignored |= kinds


def _errstate(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original, updated=())
    def errstate(**kwargs: Any) -> Any:
        if not _outside(_getframe(1)):
            _remember_ignored(kwargs, kwargs.get("all"))
            before: dict[str, Any] = dict(np.geterr())
            wanted = {kind: kwargs.get(kind) or kwargs.get("all") for kind in _KINDS}
            if any(w in ("raise", "call") and w != before[kind] for kind, w in wanted.items()):
                raise UnsupportedError(f"{T.here()}: np.errstate inside the function cannot make a tape raise in the "
                                       "middle; decide by np.isfinite, or put the derivative's call under np.errstate")
        return original(**kwargs)
    return errstate


def _seterr(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def seterr(all: Any = None, **kwargs: Any) -> Any:
        if not _outside(_getframe(1)):
            _remember_ignored(kwargs, all)
        return original(all, **kwargs)
    return seterr


# ---- the names -------------------------------------------------------------------------------------------------------

np_empty, np_empty_like, np_indices, np_array = np.empty, np.empty_like, np.indices, np.array
np_ascontiguousarray, np_asfortranarray = np.ascontiguousarray, np.asfortranarray
np_concatenate, np_block, np_asarray = np.concatenate, np.block, np.asarray
np_asarray_chkfinite, np_require = np.asarray_chkfinite, np.require
# Their first argument is a sequence of arrays: NumPy looks into it when it dispatches.
_TAKES_SEQUENCE = (np.concatenate, np.stack, np.hstack, np.vstack, np.dstack, np.column_stack)

_BUILDERS: dict[str, Callable[[Callable[..., Any]], Callable[..., Any]]] = {
    **dict.fromkeys(CREATING, _creating), **dict.fromkeys(CREATING_LIKE, _creating_like),
    **dict.fromkeys(DERIVING, _deriving), **dict.fromkeys(CONVERTING, _converting),
    "full": _full, "full_like": _full_like, "arange": _arange, "fromiter": _fromiter, "fromfunction": _fromfunction,
    "errstate": _errstate, "seterr": _seterr, "ndenumerate": _ndenumerate, **dict.fromkeys(REFUSING, _refusing),
}
_LINALG = dict.fromkeys((
    "norm", "vector_norm", "matrix_norm", "det", "slogdet", "inv", "solve", "cholesky", "eigh", "eigvalsh", "svd",
    "svdvals", "qr", "lstsq", "pinv", "matrix_rank", "cond", "matrix_power", "tensorsolve", "tensorinv"), _deriving)


def _known_numpy(module: Any) -> None:
    """Look whether this NumPy has the names that we replace, as functions of its own."""
    odd = [name for name in _BUILDERS if not callable(vars(module).get(name))]
    if odd:
        raise AdError(f"fastad does not know NumPy {module.__version__}: it has no function {', '.join(odd)}. "
                      "Install a NumPy 2 release that this version of fastad was tested with, or a newer fastad.")
    if module.zeros(1).__class__ is not module.ndarray or not callable(getattr(module.ndarray, "__array_ufunc__", 0)):
        raise AdError(f"fastad does not know this NumPy ({module.__version__}, {module.__file__}): np.zeros does not "
                      "give a np.ndarray. Import fastad before the package that replaces NumPy's functions.")


_known_numpy(np)
# numpy_api, imported above, has registered NumPy's functions as they are without us.
_originals: dict[str, dict[str, Any]] = {"numpy": {name: getattr(np, name) for name in _BUILDERS}}
_replacements: dict[str, dict[str, Any]] = {
    "numpy": {name: build(_originals["numpy"][name]) for name, build in _BUILDERS.items()},
    "math": math_names.replacements(), "cmath": cmath_names.replacements()}
_originals |= {m.__name__: {name: getattr(m, name) for name in _replacements[m.__name__]} for m in (math, cmath)}
_FOURIER = dict.fromkeys((*fourier.ONE_AXIS, *fourier.SEVERAL, *fourier.OTHERS), _deriving)
for _name, _module, _builds in (("numpy.linalg", np.linalg, _LINALG), ("numpy.fft", np.fft, _FOURIER)):
    _originals[_name] = {name: getattr(_module, name) for name in _builds}
    _replacements[_name] = {name: build(_originals[_name][name]) for name, build in _builds.items()}
_originals["numpy"].update(r_=np.r_, c_=np.c_)
_replacements["numpy"].update(r_=_Joiner(np.r_, False), c_=_Joiner(np.c_, True))
_originals["numpy.lib.stride_tricks"] = {"as_strided": np.lib.stride_tricks.as_strided}
_replacements["numpy.lib.stride_tricks"] = {"as_strided": _as_strided(np.lib.stride_tricks.as_strided)}
_modules = {"numpy": np, "numpy.linalg": np.linalg, "numpy.lib.stride_tricks": np.lib.stride_tricks,
            "numpy.fft": np.fft, "math": math, "cmath": cmath}
_stand_ins = {original: _replacements["math"][name] for name, original in _originals["math"].items()}
_lock = threading.Lock()
_open: set[int] = set()                  # ids of the contexts that are open in the process, all threads


# ---- compiled code ---------------------------------------------------------------------------------------------------

class _Untouched(ModuleType):
    """A module with the names that it has while nothing is recorded."""

    def __init__(self, module: ModuleType) -> None:
        super().__init__(module.__name__)
        vars(self).update(vars(module))
        self.__dict__["_module"] = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_module"], name)


_untouched = {id(module): _Untouched(module) for module in (np, math, cmath)}
_looked_at: set[str] = set()             # modules


def _shield_compiled() -> None:
    """Give compiled modules NumPy and math as they are without us, for good.

    Compiled code has no frame of its own by which `_outside` could tell it from the user, and it trusts what np.empty
    gives: the generators of numpy.random read the memory of the array that they have just made.
    """
    for name in sys.modules.keys() - _looked_at:
        module = sys.modules.get(name)
        _looked_at.add(name)
        if isinstance(getattr(getattr(module, "__spec__", None), "loader", None), ExtensionFileLoader):
            names = vars(module)
            names.update({key: _untouched[id(value)] for key, value in names.items()
                          if value is np or value is math or value is cmath})
    _looked_at.intersection_update(sys.modules)


_sparse: dict[tuple[type, str], tuple[Any, Any]] = {}            # methods of SciPy's sparse classes
_vectorized = {(np.vectorize, name): (f, pythonic.vectorized(f)) for name, f in vars(np.vectorize).items()
               if name == "_vectorize_call"}


def _install() -> None:
    if len(sys.modules) != len(_looked_at):
        _shield_compiled()
    if not _sparse:
        _sparse.update(sparse_products.replacements())
    for (cls, name), (_, ours) in (_sparse | _vectorized).items():
        setattr(cls, name, ours)
    for name, module in _modules.items():
        vars(module).update(_replacements[name])
    scipy_doors.install()
    scipy_fourier.install()


def _restore() -> None:
    scipy_doors.restore()
    scipy_fourier.restore()
    for (cls, name), (original, _) in (_sparse | _vectorized).items():
        setattr(cls, name, original)
    for name, module in _modules.items():
        names, ours, originals = vars(module), _replacements[name], _originals[name]
        if list(map(names.get, ours)) == list(ours.values()):
            names.update(originals)
            continue
        for key, original in originals.items():      # somebody else has replaced a name meanwhile: theirs stays
            if names.get(key) is ours[key]:
                names[key] = original


class recording:
    """Context in which NumPy's and math's names know traced values; several threads may be in one each.

    Both methods may be called again, or one without the other, after Ctrl-C has ended one half way.
    """

    __slots__ = ()

    def __enter__(self) -> None:
        T.exclusive(_lock, self._begin)

    def __exit__(self, *_: object) -> None:
        T.exclusive(_lock, self._end)

    def _begin(self) -> None:
        _open.add(id(self))
        if len(_open) == 1:
            _install()

    def _end(self) -> None:
        _open.discard(id(self))
        if not _open:
            _restore()


def stand_in(f: Any) -> Any:
    """What a function of `math` that is itself differentiated is called as: ad.grad(math.sin)."""
    return _stand_ins.get(f, f) if isinstance(f, BuiltinFunctionType) else f


# ---- names that were imported before ---------------------------------------------------------------------------------

def imported_by_name() -> str:
    """A sentence on NumPy's or math's functions that the running user code imported by name, or ''.

    Such names were bound before the recording and still mean the originals, which do not know traced values.
    """
    frame: Any = _getframe(1)
    inside = []                          # the frames of libraries
    while frame is not None and (_is_library(frame.f_globals.get("__name__") or "")):
        inside.append(frame)
        frame = frame.f_back
    if frame is None:
        return ""
    public = {id(f): module.replace("numpy", "np") + "." + name
              for module, functions in _originals.items() for name, f in functions.items()}
    found = []
    for name in frame.f_code.co_names + frame.f_code.co_freevars:
        value = frame.f_globals.get(name, frame.f_locals.get(name))
        if id(value) in public:
            found.append(f"`{name}` was imported by name{_import_line(frame, name)}: write {public[id(value)]}")
    for name, instead in (("dot", "for `a.dot(x)` write `a @ x`"), ("copy", "for `a.copy()` write `np.array(a)`")):
        if name in frame.f_code.co_names:
            found.append(f"the method {name} of an array from outside cannot be seen: {instead}")
    line = linecache.getline(frame.f_code.co_filename, frame.f_lineno, frame.f_globals)
    found += [said for pattern, said in IN_COMPILED_CODE.items() if re.search(pattern, line)]
    found += scipy_doors.remedies(inside[::-1])
    return f" Here {'; '.join(found)}." if found else ""


def _import_line(frame: Any, name: str) -> str:
    for number, line in enumerate(linecache.getlines(file := frame.f_code.co_filename, frame.f_globals), 1):
        if re.match(rf"\s*from\s+(numpy|c?math)\b.*\bimport\b.*(\b{re.escape(name)}\b|\*)", line):
            return f" in {file}:{number}"
    return f" in {file}"


T.set_error_hint(imported_by_name)
