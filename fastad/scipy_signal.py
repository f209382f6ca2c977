"""scipy_signal.py - scipy.signal: lfilter.

Owns: the recursive filter; with coefficients that have derivatives a loop over samples, as it is in SciPy's C code.
Next: scipy_filters.py (fixed coefficients, filtfilt, sosfilt), scipy_convolution.py (convolve, correlate and
fftconvolve), scipy_doors.py, scipy_ndimage.py (filters of images).
"""
from __future__ import annotations

from typing import Any

import numpy as np

from fastad import _tape as T
from fastad import scipy_filters
from fastad.operands import asarray
from fastad.scipy_doors import floats, plain, records


@records("scipy.signal", "lfilter")
def lfilter(b: Any, a: Any, x: Any, axis: Any = -1, zi: Any = None) -> Any:
    """y[n] = (sum b[k] x[n-k] - sum a[k] y[n-k]) / a[0], in the transposed direct form II."""
    plain("scipy.signal", "lfilter", b, a, x, axis, zi)
    if scipy_filters.fixed(b, a) and not any(T.complex_among(v) for v in (b, a, x, zi)):
        single = scipy_filters.single(b, a, x, zi)
        b, a = scipy_filters.normed(floats(b), floats(a))
        x = floats(x)
        if zi is None:
            return single(scipy_filters.filtered(b, a, x, axis))
        y, z = scipy_filters.with_state(b, a, x, axis % x.ndim, floats(zi))
        return single(y), single(z)
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
