"""scipy_fourier.py - scipy.fft while something is recorded.

Owns: which function of theirs is which of fourier.py, and the cosine and sine transforms, which SciPy runs.
scipy.fft asks a backend what a function does (its own protocol, uarray); while something is recorded SciPy's own
backend asks here first, so that functions that were imported by name record as well.  A backend that the user has put
in its place is left alone: it gets traced arrays and fails loudly.
Must not know: when something is recorded (interception.py calls `install` and `restore`).
"""
from __future__ import annotations

import sys
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad import fourier
from fastad._state import wrapped_within
from fastad.complex_values import make
from fastad.fourier import Linear, along, floats, length, operand, place, resized, swapped
from fastad.operands import refusal, run_plain

# ---- cosine and sine transforms --------------------------------------------------------------------------------------

PARTNER = {1: 1, 2: 3, 3: 2, 4: 4}       # type of the transpose, and of the inverse


class Trigonometric(Linear):
    """A cosine or sine transform along an axis, of n points after cutting or filling up, or its transpose.

    Orthogonalised transforms are multiples of orthogonal matrices, of which types 1 and 4 are symmetric and types 2 and
    3 each other's transpose.  Without it the first element (of the sine transforms the last one; of type 1 both ends)
    has another weight.  Source: the definitions in the documentation of scipy.fft.dct and dst.
    """

    def __init__(self, function: str, shape: tuple[int, ...], axis: int, n: int, kind: int, norm: str,
                 orthogonal: bool, transpose: bool, single: bool = False) -> None:
        self.key = (function, shape, axis, n, kind, norm, orthogonal, transpose, single)
        self.single = single
        self.function, self.shape, self.axis, self.n, self.kind = function, shape, axis, n, kind
        self.norm, self.orthogonal, self.transpose = norm, orthogonal, transpose
        self.shape_in = resized(shape, axis, n) if transpose else shape
        self.shape_out = shape if transpose else resized(shape, axis, n)

    def run_map(self, x: Any, out: Any) -> None:
        import scipy.fft
        function = getattr(scipy.fft, self.function)
        if not self.transpose:
            out[...] = function(x, self.kind, self.n, self.axis, self.norm, orthogonalize=self.orthogonal)
            return
        effective = PARTNER[self.kind] if self.function[0] == "i" else self.kind
        before, after = ({}, {}) if self.orthogonal else self.weights(effective)
        w = np.array(x)
        scale(w, self.axis, before)
        y = function(w, PARTNER[self.kind], self.n, self.axis, self.norm, orthogonalize=self.orthogonal)
        scale(y, self.axis, after)
        place(y, out, self.axis)

    def weights(self, kind: int) -> tuple[dict[int, float], dict[int, float]]:
        """{position: factor} before and after the partner, which make it the transpose of type `kind`."""
        cosine = self.function.endswith("dct")
        if kind == 1 and cosine:
            return {0: 2.0, -1: 2.0}, {0: 0.5, -1: 0.5}
        end = 0 if cosine else -1
        return ({end: 2.0}, {}) if kind == 2 else ({}, {end: 0.5}) if kind == 3 else ({}, {})

    def transposed(self) -> Linear:
        return Trigonometric(self.function, self.shape, self.axis, self.n, self.kind, self.norm, self.orthogonal,
                             not self.transpose, self.single)

    def batched(self, k: int) -> Linear:
        return Trigonometric(self.function, (k, *self.shape), self.axis + 1, self.n, self.kind, self.norm,
                             self.orthogonal, self.transpose, self.single)


def scale(x: Any, axis: int, factors: dict[int, float]) -> None:
    for k, factor in factors.items():
        x[(slice(None),) * axis + (k,)] *= factor


def _trigonometric(function: str) -> Any:
    def record(x: Any, type: int = 2, n: Any = None, axis: Any = -1, norm: Any = None, overwrite_x: bool = False,
               workers: Any = None, orthogonalize: Any = None) -> Any:
        x = operand(x)
        if T.complex_among(x):
            return make(*[record(part, type, n, axis, norm, False, None, orthogonalize) for part in (x.re, x.im)])
        axis = along(x, axis)
        n = length(n, x.shape[axis])
        if type not in PARTNER:
            raise ValueError("unknown DCT/DST type")
        if type == 1 and function.endswith("dct") and n < 2:
            raise ValueError("DCT-I is not defined for size < 2")
        fourier.scale_of(norm, False)
        orthogonal = norm == "ortho" if orthogonalize is None else bool(orthogonalize)
        x = floats(x)
        return Trigonometric(function, x.shape, axis, n, type, norm or "backward", orthogonal, False,
                             fourier.is_single(x)).record(x)
    return record


def _several(one: Any) -> Any:
    def record(x: Any, type: int = 2, s: Any = None, axes: Any = None, norm: Any = None, overwrite_x: bool = False,
               workers: Any = None, *, orthogonalize: Any = None) -> Any:
        x = operand(x)
        axes = (axes,) if isinstance(axes, int) else axes
        s, axes = fourier.lengths(x, (s,) if isinstance(s, int) else s, axes)
        for n, axis in zip(s, axes, strict=True):
            x = one(x, type, n, axis, norm, orthogonalize=orthogonalize)
        return x
    return record


# ---- scipy.fft -------------------------------------------------------------------------------------------------------

def _like_numpy(function: Any, default: Any) -> Any:
    """A function of numpy.fft with SciPy's further arguments; `default`: of its axis or axes."""
    def record(x: Any, n: Any = None, axis: Any = default, norm: Any = None, overwrite_x: bool = False,
               workers: Any = None, *, plan: Any = None, **kwargs: Any) -> Any:
        if plan is not None:
            raise NotImplementedError("Passing a precomputed plan is not yet supported by scipy.fft functions")
        axis, n = kwargs.pop("axes", axis), kwargs.pop("s", n)
        if kwargs:
            raise TypeError(f"unexpected arguments {', '.join(kwargs)}")
        if default is None or isinstance(default, tuple):
            axis = (axis,) if isinstance(axis, int) else axis
            n = (n,) if isinstance(n, int) else n
        y = function(x, n, axis, norm)   # SciPy's results are in C order, whatever the argument's
        return y if T.concrete(y).flags.c_contiguous else y.copy("C")
    return record


def hfftn(x: Any, s: Any = None, axes: Any = None, norm: Any = None) -> Any:
    """The transform of a Hermitian spectrum in several dimensions, which is real."""
    return fourier.irfftn(np.conjugate(operand(x)), s, axes, swapped(norm))


def ihfftn(x: Any, s: Any = None, axes: Any = None, norm: Any = None) -> Any:
    """Its inverse."""
    return np.conjugate(fourier.rfftn(operand(x), s, axes, swapped(norm)))


OURS: dict[str, Any] = {
    **{name: _like_numpy(f, -1) for name, f in fourier.ONE_AXIS.items()},
    **{name: _like_numpy(f, (-2, -1) if name[-1] == "2" else None) for name, f in fourier.SEVERAL.items()},
    "hfftn": _like_numpy(hfftn, None), "ihfftn": _like_numpy(ihfftn, None), "hfft2": _like_numpy(hfftn, (-2, -1)),
    "ihfft2": _like_numpy(ihfftn, (-2, -1)),
}
for _name in ("dct", "idct", "dst", "idst"):
    OURS[_name] = _trigonometric(_name)
    OURS[f"{_name}n"] = _several(OURS[_name])

_own: list[Any] = []                     # SciPy's backend, its function, ours


def install() -> None:
    """Let SciPy's backend ask us first, where scipy.fft is there."""
    module = sys.modules.get("scipy.fft._backend")
    if module is None:
        return
    if not _own:
        backend = module._ScipyBackend
        original = backend.__ua_function__

        def function(method: Any, args: Any, kwargs: Any) -> Any:
            found = 0 if T.current_tape() is None else wrapped_within([*args, *kwargs.values()])
            if found == 2:
                ours = OURS.get(method.__name__)
                if ours is None:
                    raise refusal(f"scipy.fft.{method.__name__}", "this transform is not recorded; wrap it with "
                                  "ad.primitive")
                return ours(*args, **kwargs)
            if found == 1:
                return run_plain(lambda *a, **k: original(method, a, k), args, kwargs)
            return original(method, args, kwargs)
        _own[:] = backend, vars(backend)["__ua_function__"], staticmethod(function)
    _own[0].__ua_function__ = _own[2]


def restore() -> None:
    """Give SciPy's backend its own function back."""
    if _own and vars(_own[0])["__ua_function__"] is _own[2]:
        _own[0].__ua_function__ = _own[1]
