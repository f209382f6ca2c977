"""complex_bands.py - band matrices of complex numbers as real ones of twice the size.

Owns: that a complex system is a real one, whose equations and unknowns are in the order Re, Im, Re, Im ..., so that its
matrix is a band again, with 2 l + 1 and 2 u + 1 diagonals; of a Hermitian matrix the real one is symmetric.
Must not know: how a real system is solved (scipy_banded.py).
Storage is SciPy's: ab[u + i - j, j] = A[i, j].
Next: complex_values.py (parts).
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastad.complex_values import parts, view_of
from fastad.operands import live, shape_of


def solved(ab: Any, b: Any, real: Callable[..., Any], doubled: Callable[..., Any]) -> Any:
    """The solution of a complex system.

    real(ab, b) solves with a real band, doubled(re, im, b) with that of twice the size; b is real.
    """
    (re, im), (b_re, b_im) = ([part if part is None else live(part) for part in parts(x)] for x in (ab, b))
    b_im = np.zeros_like(b_re) if b_im is None else b_im
    vector = len(shape_of(b_re)) == 1
    if im is None:                                           # both parts are right-hand sides of one matrix
        if vector:
            x = real(re, np.stack((b_re, b_im), -1))
            return view_of(x[..., 0], x[..., 1])
        x, k = real(re, np.concatenate((b_re, b_im), -1)), shape_of(b_re)[-1]
        return view_of(x[..., :k], x[..., k:])
    x = doubled(re, im, alternating(b_re, b_im, 0 if vector else -2))
    return view_of(x[..., 0::2], x[..., 1::2]) if vector else view_of(x[..., 0::2, :], x[..., 1::2, :])


def alternating(first: Any, second: Any, axis: int) -> Any:
    """Elements of the two in turn along an axis."""
    shape, axis = list(shape_of(first)), axis % len(shape_of(first))
    shape[axis] *= 2
    return np.stack((first, second), axis + 1).reshape(shape)


def rows_of(even: Any, odd: Any) -> Any:
    """Rows for elements in even columns and for those in odd ones."""
    return alternating(even, odd, -1)


def shifted(x: Any, down: int) -> Any:
    """A row of zeros above (down = 1), or below (0)."""
    zero = np.zeros((*shape_of(x)[:-2], 1, shape_of(x)[-1]), x.dtype)
    return np.concatenate((zero, x) if down else (x, zero), -2)


def whole_band(re: Any, im: Any) -> Any:
    """(l + u + 1, n) -> (2 l + 2 u + 3, 2 n): [[re, -im], [im, re]] for each element."""
    beside = rows_of(shifted(im, 1), -shifted(im, 0))        # one row more than
    same = shifted(rows_of(re, re), 0)
    return alternating(beside, same, -2)[..., :-1, :]


def half_band(re: Any, im: Any, lower: bool) -> Any:
    """The same of one half of a Hermitian matrix, (m, n) -> (2 m, 2 n); its diagonal counts as real."""
    same = rows_of(re, re)
    if lower:
        off = im[..., 1:, :]
        return alternating(same, rows_of(shifted(off, 1), -shifted(off, 0)), -2)
    off = im[..., :-1, :]
    return alternating(rows_of(shifted(off, 1), -shifted(off, 0)), same, -2)
