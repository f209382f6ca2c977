"""scipy_signal.py - filters of scipy.signal: lfilter, convolve, correlate, convolve2d.

Owns: their sums over recorded functions.  A recursive filter is a loop over samples, as it is in SciPy's C code.
Next: scipy_doors.py, scipy_ndimage.py (filters of images).
"""
from __future__ import annotations

from typing import Any

import numpy as np

from fastad.operands import asarray, refusal
from fastad.scipy_doors import floats, plain, records


@records("scipy.signal", "lfilter")
def lfilter(b: Any, a: Any, x: Any, axis: Any = -1, zi: Any = None) -> Any:
    """y[n] = (sum b[k] x[n-k] - sum a[k] y[n-k]) / a[0], in the transposed direct form II."""
    plain("scipy.signal", "lfilter", b, a, x, axis, zi)
    b, a, x = np.atleast_1d(floats(b)), np.atleast_1d(floats(a)), np.moveaxis(floats(x), axis, 0)
    b, a = b / a[0], a / a[0]
    order = max(len(a), len(b))
    b = [b[k] if k < len(b) else 0.0 for k in range(order)]
    a = [a[k] if k < len(a) else 0.0 for k in range(order)]
    if order == 1:
        y = np.moveaxis(b[0] * x, 0, axis)
        return y if zi is None else (y, zi)
    start = None if zi is None else np.moveaxis(asarray(zi), axis, 0)
    z = [0.0 if start is None else start[k] for k in range(order - 1)] + [0.0]
    rows = []
    for sample in x:
        y = b[0] * sample + z[0]
        z = [b[k] * sample + z[k] - a[k] * y for k in range(1, order)] + [0.0]
        rows.append(y)
    out = np.moveaxis(np.stack(rows), 0, axis)
    return out if zi is None else (out, np.moveaxis(np.stack(z[:-1]), 0, axis))


def _full(a: Any, b: Any) -> Any:
    """The whole convolution of two arrays of equal rank."""
    if a.ndim == 1:
        return np.convolve(a, b)
    big, small = (a, b) if a.size >= b.size else (b, a)
    big = np.pad(big, [(n - 1, n - 1) for n in small.shape])
    shape = [n - m + 1 for n, m in zip(big.shape, small.shape, strict=True)]
    y: Any = 0.0
    for place in np.ndindex(*small.shape):
        at = tuple([slice(m - 1 - k, m - 1 - k + n) for k, m, n in zip(place, small.shape, shape, strict=True)])
        y = y + small[place] * big[at]
    return y


def _convolved(in1: Any, in2: Any, mode: str) -> Any:
    if in1.ndim == 0:
        return in1 * in2
    full = _full(in1, in2)
    if mode == "full":
        return full
    shape = in1.shape if mode == "same" else [abs(n - m) + 1 for n, m in zip(in1.shape, in2.shape, strict=True)]
    start = [(f - n) // 2 for f, n in zip(full.shape, shape, strict=True)]
    return full[tuple([slice(k, k + n) for k, n in zip(start, shape, strict=True)])]


@records("scipy.signal", "convolve2d", "correlate2d")
def convolve2d(in1: Any, in2: Any, mode: str = "full", boundary: str = "fill", fillvalue: Any = 0) -> Any:
    """Refused: see the message."""
    raise refusal("scipy.signal.convolve2d, correlate2d", "use scipy.signal.convolve or correlate (boundary='fill'), "
                  "or scipy.ndimage.convolve with a mode")
