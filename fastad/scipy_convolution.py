"""scipy_convolution.py - the convolutions of scipy.signal, real and complex, by spectra or by sums.

Owns: convolve, correlate, fftconvolve and oaconvolve (whose values are those of fftconvolve), convolve2d, correlate2d.
Must not know: how transforms are recorded (fourier.py), when something is recorded (scipy_doors.py).
"""
from __future__ import annotations

from typing import Any

import numpy as np

from fastad import _tape as T
from fastad import fourier
from fastad.complex_rows import living
from fastad.complex_values import make
from fastad.fourier import operand
from fastad.operands import asarray, live, shape_of
from fastad.scipy_doors import records


def transformed_axes(a: Any, b: Any, axes: Any) -> list[int]:
    """The axes along which two arrays are convolved: all, or those given, without those of length 1."""
    if axes is None:
        chosen = list(range(a.ndim))
    else:
        chosen = sorted(int(k) for k in np.lib.array_utils.normalize_axis_tuple(axes, a.ndim))
        if not chosen:
            raise ValueError("when provided, axes cannot be empty")
    for k in range(a.ndim):
        if k not in chosen and a.shape[k] != b.shape[k] and 1 not in (a.shape[k], b.shape[k]):
            raise ValueError(f"incompatible shapes for in1 and in2: {a.shape} and {b.shape}")
    return [k for k in chosen if a.shape[k] != 1 and b.shape[k] != 1]


def exchanged(a: Any, b: Any, mode: str, axes: list[int]) -> bool:
    """Is it the second array that is the larger one, for mode "valid"?"""
    if mode != "valid":
        return False
    larger = all(a.shape[k] >= b.shape[k] for k in axes)
    smaller = all(b.shape[k] >= a.shape[k] for k in axes)
    if not larger and not smaller:
        raise ValueError("For 'valid' mode, one must be at least as large as the other in every dimension")
    return not larger


def centred(y: Any, shape: Any) -> Any:
    """The middle of an array."""
    start = [(n - m) // 2 for n, m in zip(y.shape, shape, strict=True)]
    return y[tuple([slice(k, k + m) for k, m in zip(start, shape, strict=True)])]


def cut(full: Any, a: Any, b: Any, mode: str, axes: Any) -> Any:
    """The part of a full convolution that a mode means."""
    if mode == "full":
        return full
    if mode == "same":
        return centred(full, a.shape).copy()
    if mode == "valid":
        shape = [full.shape[k] if k not in axes else a.shape[k] - b.shape[k] + 1 for k in range(a.ndim)]
        return centred(full, shape).copy()
    raise ValueError("acceptable mode flags are 'valid', 'same', or 'full'")


def pair(a: Any, b: Any) -> tuple[Any, Any]:
    a, b = operand(a), operand(b)
    if a.ndim != b.ndim:
        raise ValueError("in1 and in2 should have the same dimensionality")
    return a, b


@records("scipy.signal", "fftconvolve", "oaconvolve")
def fftconvolve(in1: Any, in2: Any, mode: str = "full", axes: Any = None) -> Any:
    """Convolution by the product of spectra."""
    from scipy.fft import next_fast_len
    a, b = pair(in1, in2)
    if a.ndim == 0:
        return a * b
    if a.size == 0 or b.size == 0:
        return np.zeros(0)
    along = transformed_axes(a, b, axes)
    if exchanged(a, b, mode, along):
        a, b = b, a
    if not along:
        return cut(a * b, a, b, mode, ())
    real = not T.complex_among(a, b)
    full = [a.shape[k] + b.shape[k] - 1 for k in along]
    lengths = [next_fast_len(n, real) for n in full]
    forward, back = (fourier.rfftn, fourier.irfftn) if real else (fourier.fftn, fourier.ifftn)
    y = back(forward(scipy_live(a), lengths, along) * forward(scipy_live(b), lengths, along), lengths, along)
    at = [slice(None)] * y.ndim
    for k, n in zip(along, full, strict=True):
        at[k] = slice(n)
    return cut(y[tuple(at)], a, b, mode, along)


def scipy_live(x: Any) -> Any:
    """x as a traced value: an array of the user's is read again at every replay."""
    return x if T.is_traced(x) else make(*living(x)) if T.complex_among(x) else live(x)


@records("scipy.signal", "convolve")
def convolve(in1: Any, in2: Any, mode: str = "full", method: str = "auto") -> Any:
    """Convolution, by sums where one array is short and has one axis, else by spectra."""
    if method not in ("auto", "direct", "fft"):
        raise ValueError("Acceptable method flags are 'auto', 'direct', or 'fft'.")
    a, b = pair(in1, in2)
    if a.ndim == 1 and a.size and b.size and (method == "direct" or (method == "auto" and min(a.size, b.size) <= 32)):
        if exchanged(a, b, mode, [0]):
            a, b = b, a
        return cut(np.convolve(a, b), a, b, mode, [0])
    return fftconvolve(a, b, mode)


@records("scipy.signal", "correlate")
def correlate(in1: Any, in2: Any, mode: str = "full", method: str = "auto") -> Any:
    """Convolution with the conjugate of the other array, reversed."""
    b = asarray(in2)
    b = b[(slice(None, None, -1),) * b.ndim] if len(shape_of(b)) else b
    return convolve(in1, np.conjugate(b) if T.complex_among(b) else b, mode, method)


# ---- images with a boundary ------------------------------------------------------------------------------------------
BOUNDARIES = {"fill": "constant", "pad": "constant", "wrap": "wrap", "circular": "wrap", "symm": "symmetric",
              "symmetric": "symmetric"}
MOST_TERMS = 64                          # weights for which shifted copies are added up; more are a product of spectra


@records("scipy.signal", "convolve2d")
def convolve2d(in1: Any, in2: Any, mode: str = "full", boundary: str = "fill", fillvalue: Any = 0) -> Any:
    """Convolution of two images, with a boundary: by sums where one is small, else by spectra."""
    a, b = images(in1, in2, "convolve2d", boundary)
    if exchanged(a, b, mode, [0, 1]):
        a, b = b, a
    return swept(a, b, mode, boundary, fillvalue)


@records("scipy.signal", "correlate2d")
def correlate2d(in1: Any, in2: Any, mode: str = "full", boundary: str = "fill", fillvalue: Any = 0) -> Any:
    """Convolution with the conjugate of the other image, turned round."""
    a, b = images(in1, in2, "correlate2d", boundary)
    turned = exchanged(a, b, mode, [0, 1])
    if turned:
        a, b = b, a                      # SciPy conjugates the smaller one, then
    b = (np.conjugate(b) if T.complex_among(b) else b)[::-1, ::-1]
    y = swept(a, b, mode, boundary, fillvalue, [n // 2 for n in b.shape])
    return y[::-1, ::-1] if turned else y


def images(in1: Any, in2: Any, name: str, boundary: Any) -> tuple[Any, Any]:
    a, b = operand(in1), operand(in2)
    if a.ndim != 2 or b.ndim != 2:
        raise ValueError(f"{name} inputs must both be 2-D arrays")
    if boundary not in BOUNDARIES:
        raise ValueError("Acceptable boundary flags are 'fill', 'circular' (or 'wrap'), and 'symmetric' (or 'symm').")
    return a, b


def swept(a: Any, b: Any, mode: str, boundary: str, fillvalue: Any, middle: Any = None) -> Any:
    """The part of the convolution that a mode means, of image a continued over its boundary.

    middle : where "same" begins in the full one; SciPy's correlations by even numbers of weights begin one later.
    """
    starts = {"full": (0, 0), "same": middle or [(n - 1) // 2 for n in b.shape],
              "valid": (b.shape[0] - 1, b.shape[1] - 1)}
    if mode not in starts:
        raise ValueError("acceptable mode flags are 'valid', 'same', or 'full'")
    sizes = [n + k - 1 if mode == "full" else n if mode == "same" else n - k + 1
             for n, k in zip(a.shape, b.shape, strict=True)]
    widths = []
    for n, k, start, size in zip(a.shape, b.shape, starts[mode], sizes, strict=True):
        widths.append((k - 1 - start, size - n + start))
    if any(sum(width) for width in widths):
        more = {"constant_values": fillvalue} if BOUNDARIES[boundary] == "constant" else {}
        a = np.pad(a, widths, mode=BOUNDARIES[boundary], **more)
    if b.size > MOST_TERMS:
        return fftconvolve(a, b, "valid")
    y: Any = None
    for row, column in np.ndindex(*b.shape):
        at = slice(b.shape[0] - 1 - row, None if row == 0 else -row), \
            slice(b.shape[1] - 1 - column, None if column == 0 else -column)
        term = b[row, column] * a[at]
        y = term if y is None else y + term
    return y
