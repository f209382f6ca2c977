"""pythonic.py - functions that NumPy writes in Python over recorded functions: their own code runs on traced arrays.

Owns: the list of functions known to pass (each has a test), and how their code is made to run: NumPy's modules use
asarray, zeros and the like without asking anybody, so a copy of the function is made whose globals name ours; and the
loop over elements of np.vectorize, which in NumPy is one over objects.
Must not know: what the functions do.
"""
from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad.operands import asarray, existing, is_array, live, records, shape_of
from fastad.rearranging import array, atleast_1d, atleast_2d, atleast_3d, full

PYTHON_LEVEL = (
    np.average, np.gradient, np.polyval, np.trapezoid, np.cov, np.corrcoef, np.unwrap, np.ediff1d, np.vander,
    np.kron, np.i0, np.apply_along_axis, np.apply_over_axes, np.fill_diagonal,
    np.piecewise, np.polyadd, np.polysub, np.polyder, np.polyint, np.linalg.multi_dot,
    np.linalg.matrix_power, np.linalg.tensorsolve, np.linalg.tensorinv, np.polyfit, np.ix_,
    *existing("cumulative_sum", "cumulative_prod"),
    np.union1d, np.intersect1d, np.setdiff1d, np.setxor1d, np.unique_all, np.unique_counts, np.unique_inverse,
    np.unique_values, np.trim_zeros, *existing("in1d"), np.histogram2d, np.histogramdd, np.histogram_bin_edges,
    np.polydiv, np.poly,
)


def _plain(func: Any) -> Any:
    def create(*args: Any, **kwargs: Any) -> Any:
        return T.recordable(func(*args, **kwargs))
    return create


def _ascontiguous(x: Any, dtype: Any = None) -> Any:
    return np.ascontiguousarray(asarray(x, dtype))


def _broadcast(*args: Any) -> Any:
    """np.broadcast, of which only the shape is used."""
    return np.broadcast(*[np.broadcast_to(0.0, shape_of(x)) for x in args])


def _makearray(x: Any) -> Any:
    """numpy.linalg's own helper: an array, and what makes the result's kind of one."""
    return asarray(x), lambda y: y


class _Converter:
    """NumPy's own helper of Python-level functions: arguments as arrays, results in the kind of the arguments."""

    def __init__(self, *args: Any) -> None:
        self._arrays = tuple(asarray(x) for x in args)
        self.scalar_input = tuple(not is_array(x) for x in args)

    def __getitem__(self, k: Any) -> Any:
        return self._arrays[k]

    def as_arrays(self, *, subok: bool = True, pyscalars: str = "convert") -> Any:
        """The arguments as arrays."""
        return self._arrays

    def result_type(self, *extra: Any, **kwargs: Any) -> Any:
        """The dtype of them all together."""
        return np.result_type(*[x.dtype for x in self._arrays], *extra)

    def wrap(self, x: Any, /, to_scalar: Any = None) -> Any:
        """0-d arrays are numbers."""
        return x[()] if is_array(x) and x.ndim == 0 and to_scalar is not False else x


OURS: dict[str, Any] = {"broadcast": _broadcast, "_array_converter": _Converter, "_makearray": _makearray,
        "atleast_1d": atleast_1d, "atleast_2d": atleast_2d, "atleast_3d": atleast_3d,
        "asarray": asarray, "asanyarray": asarray, "array": array, "full": full, "ascontiguousarray": _ascontiguous,
        **{name: _plain(getattr(np, name)) for name in ("zeros", "ones", "empty", "eye", "identity", "arange")}}


class _Names:
    """A module of NumPy's, with our creating functions in it."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return OURS.get(name) or getattr(self._module, name)


_worlds: dict[int, dict[str, Any]] = {}


def world(globals_of: dict[str, Any]) -> dict[str, Any]:
    """The globals of a module of NumPy's, with our creating functions in it and in its private functions."""
    found = _worlds.get(id(globals_of))
    if found is not None:
        return found
    new = _worlds[id(globals_of)] = dict(globals_of)
    for name, value in globals_of.items():
        if name in OURS:
            new[name] = OURS[name]
        elif isinstance(value, types.ModuleType) and value.__name__ in (
                "numpy", "numpy._core", "numpy._core.numeric", "numpy._core.multiarray"):
            new[name] = _Names(value)
        elif isinstance(value, types.FunctionType) and value.__globals__ is globals_of:
            new[name] = rehoused(value, new)
    return new


def rehoused(func: Any, new: dict[str, Any]) -> Any:
    """A copy of a function with other globals."""
    copy = types.FunctionType(func.__code__, new, func.__name__, func.__defaults__, func.__closure__)
    copy.__kwdefaults__ = func.__kwdefaults__
    return copy


def _register(func: Any) -> None:
    implementation = func._implementation
    made: list[Any] = []
    masks = func in (np.i0, np.piecewise)

    writes = func is np.fill_diagonal    # into its first argument, of which a copy would take the writing

    def record(*args: Any, **kwargs: Any) -> Any:
        if masks and args and not shape_of(args[0]):     # (a mask of no axes is not recorded)
            args = (np.reshape(args[0], 1), *[[np.reshape(c, 1) for c in x] if k == 0 and isinstance(x, (list, tuple))
                                              else x for k, x in enumerate(args[1:])])
            return record(*args, **kwargs)[0]
        if not made:
            made.append(rehoused(implementation, world(implementation.__globals__)))
        args = tuple([x if writes and k == 0 else live(x, "f") for k, x in enumerate(args)])
        return made[0](*args, **{k: x if writes and k == "a" else live(x, "f") for k, x in kwargs.items()})
    record.__name__ = func.__name__
    records(func)(record)


for _f in PYTHON_LEVEL:
    if hasattr(_f, "_implementation"):
        _register(_f)


# ---- np.vectorize ----------------------------------------------------------------------------------------------------

def vectorized(original: Callable[..., Any]) -> Callable[..., Any]:
    """np.vectorize's inner step while recording: the function called element by element, traced numbers in and out."""
    @functools.wraps(original)
    def call(self: Any, func: Any, args: Any) -> Any:
        if T.current_tape() is None or self.signature is not None or not args:
            return original(self, func, args)
        shape = np.broadcast_shapes(*map(shape_of, args))
        columns = [_elements(x, shape) for x in args]
        rows = [func(*row) for row in zip(*columns, strict=True)]
        if not rows:
            return original(self, func, args)
        first = rows[0]
        if not isinstance(first, tuple):
            return _of_type(rows, self.otypes and self.otypes[0], shape)
        return tuple(_of_type(list(values), self.otypes and self.otypes[k], shape)
                     for k, values in enumerate(zip(*rows, strict=True)))
    return call


def _elements(x: Any, shape: tuple[int, ...]) -> Any:
    """The elements of x broadcast to a shape; of plain arrays Python's numbers, as NumPy hands them out here."""
    whole = np.broadcast_to(asarray(x), shape).ravel()
    return list(whole) if T.is_traced(whole) else np.asarray(T.concrete(whole)).tolist()


def _of_type(values: list[Any], char: Any, shape: tuple[int, ...]) -> Any:
    """NumPy's result: all in the declared type, or in the type of the first."""
    dtype = np.dtype(char) if char else np.result_type(asarray(values[0]).dtype)
    whole = asarray(values)
    whole = whole if T.is_wrapped(whole) else T.recordable(whole)
    return (whole if whole.dtype == dtype else whole.astype(dtype)).reshape(shape)
