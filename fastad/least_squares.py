"""least_squares.py - what numpy.linalg and NumPy's polynomials make of factorizations: lstsq, pinv, rank, cond.

Owns: NumPy's cutoffs for small singular values; the rank, a whole number that Python gets and replays check.
Must not know: the routines (factorizations.py).  Derivatives hold the rank constant: where it changes there are none.
Next: norms.py (the norms of which `cond` is made), pythonic.py (polyfit: NumPy's own code on top of lstsq).
"""
from __future__ import annotations

from typing import Any

import numpy as np

from fastad import _tape as T
from fastad.factorizations import LinAlgError, are_single, call, inv, matrices, rounded, squares, svd
from fastad.norms import norm
from fastad.operands import NOVALUE, asarray, records, shape_of

EPS = float(np.finfo(np.float64).eps)
np_lstsq, np_pinv, np_cond = np.linalg.lstsq, np.linalg.pinv, np.linalg.cond


def eps_of(a: Any) -> float:
    """The precision of NumPy's singular values, on which its cutoffs depend."""
    return float(np.finfo(np.float32).eps) if are_single(a) else EPS


@records(np_lstsq)
@rounded(2)
def lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    """np.linalg.lstsq."""
    a, b = matrices(a), matrices(b)
    sa, sb = shape_of(a), shape_of(b)
    if len(sa) != 2 or len(sb) not in (1, 2) or sa[0] != sb[0]:
        return np_lstsq(np.empty(sa), np.empty(sb), rcond=None)          # NumPy's own error
    m, n = sa
    k = 1 if len(sb) == 1 else sb[1]
    rcond = EPS * max(m, n) if rcond is None else rcond              # (NumPy's, of float32 too)
    x = call("lstsq", (a, b, rcond), (m, n, k), 0, (n,) + sb[1:], (2, len(sb), 0))
    s = svd(a, compute_uv=False) if T.is_traced(a) else T.wrap(np_lstsq(T.concrete(a), np.zeros(m), rcond)[3])
    cutoff = EPS if not T.is_traced(rcond) and rcond < 0 else rcond
    rank = int(np.count_nonzero(s > cutoff * s[0])) if min(m, n) else 0
    if rank != n or m <= n:
        residuals: Any = T.wrap(np.zeros(0))
    else:
        residuals = np.sum(np.square(np.subtract(b, np.matmul(a, x)).reshape(m, k)), axis=0)
    return x, residuals, np.int32(rank), s


@records(np_pinv)
@rounded(1)
def pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = NOVALUE) -> Any:
    """np.linalg.pinv."""
    if rcond is not None and rtol is not NOVALUE:
        raise ValueError("`rtol` and `rcond` can't be both set.")
    a = matrices(a)
    shape = shape_of(a)
    if len(shape) < 2:
        return np_pinv(np.empty(shape))                                  # NumPy's own error
    m, n = shape[-2:]
    if rcond is None:
        rcond = 1e-15 if rtol is NOVALUE else eps_of(a) * max(m, n) if rtol is None else rtol
    if hermitian:
        a = call("mirror", (squares(a)[0],), (0, n, 0), 0, (n, n))
    rcond = asarray(rcond)
    return call("pinv", (a, rcond[()] if rcond.ndim == 0 else rcond), (m, n, 0), 0, (n, m), (2, 0))


@records(np.linalg.matrix_rank)
def matrix_rank(A: Any, tol: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Any:
    """np.linalg.matrix_rank: whole numbers, computed anew at each replay."""
    if rtol is not None and tol is not None:
        raise ValueError("`tol` and `rtol` can't be both set.")
    A = matrices(A)
    if len(shape_of(A)) < 2:
        return int(not np.all(A == 0))
    s = svd(A, compute_uv=False, hermitian=hermitian)
    if tol is None:
        rtol = eps_of(A) * max(shape_of(A)[-2:]) if rtol is None else asarray(rtol)[..., None]
        tol = s.max(axis=-1, keepdims=True, initial=0) * rtol
    else:
        tol = asarray(tol)[..., None]
    return np.count_nonzero(s > tol, axis=-1)


@records(np_cond)
@rounded(1)
def cond(x: Any, p: Any = None) -> Any:
    """np.linalg.cond; for the norms that need the inverse, a singular matrix is an error here."""
    x = matrices(x)
    shape = shape_of(x)
    if 0 in shape[-2:] or len(shape) < 2:
        np_cond(np.empty(shape))         # NumPy's own error
        raise LinAlgError("cond is not defined on empty arrays")
    if p is None or p in (2, -2):
        s = svd(x, compute_uv=False)
        one, other = (0, -1) if p != -2 else (-1, 0)
        y = s[..., one] / s[..., other]
        return np.where(np.isnan(y) & ~np.isnan(x).any(axis=(-2, -1)), np.inf, y)[()]
    return norm(x, p, axis=(-2, -1)) * norm(inv(squares(x)[0]), p, axis=(-2, -1))
