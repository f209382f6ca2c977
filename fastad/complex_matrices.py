"""complex_matrices.py - linear algebra of complex matrices by that of real ones of twice the size.

Owns: that A + iB acts on (x, y) as [[A, -B], [B, A]] does, which has the same inverse, the same eigenvalues (each
twice) and, with the parts of each element side by side, the same Cholesky factor; so derivatives of every order,
batches and stacks are those of real matrices.  Determinants of up to four rows by minors, without a division.
Must not know: routines (factorizations.py, least_squares.py), how a complex value is made (complex_values.py).
"""
from __future__ import annotations

from typing import Any

import numpy as np

from fastad import factorizations as fac
from fastad import least_squares
from fastad.complex_functions import records
from fastad.complex_values import combined, parts
from fastad.operands import NOVALUE, asarray, existing, live, refusal, shape_of

FEW = 4                                  # rows of a determinant that is written out
SlogdetResult = type(np.linalg.slogdet(np.eye(1)))


def halves(a: Any) -> tuple[Any, Any]:
    """(real part, imaginary part) as traced arrays; None: there is no imaginary part."""
    re, im = parts(asarray(a))
    return live(re), None if im is None else live(im)


def imaginary(re: Any, im: Any) -> Any:
    return np.zeros(shape_of(re), re.dtype) if im is None else im


def doubled(a: Any) -> Any:
    """[[re, -im], [im, re]]."""
    re, im = halves(a)
    im = imaginary(re, im)
    return np.concatenate((np.concatenate((re, -im), -1), np.concatenate((im, re), -1)), -2)


def square(a: Any) -> int:
    """Rows of a square matrix, or NumPy's error."""
    shape = shape_of(a)
    if len(shape) < 2 or shape[-1] != shape[-2]:
        np.linalg.inv(np.empty(shape))
    return shape[-1]


def stacked(b: Any, vector: bool) -> Any:
    """The real part above the imaginary one."""
    re, im = halves(b)
    return np.concatenate((re, imaginary(re, im)), 0 if vector else -2)


def above_below(x: Any, n: int, vector: bool = False) -> Any:
    """A complex value of what stands above and below."""
    return combined(x[..., :n], x[..., n:]) if vector else combined(x[..., :n, :], x[..., n:, :])


@records(np.linalg.solve)
def solve(a: Any, b: Any) -> Any:
    """Both parts of the unknowns at once; of a real matrix, two right-hand sides."""
    n, shape = square(a), shape_of(b)
    vector = len(shape) == 1
    if not shape or shape[0 if vector else -2] != n:
        return np.linalg.solve(np.empty(shape_of(a)), np.empty(shape))      # NumPy's own error
    if halves(a)[1] is None:
        re, im = halves(b)
        if vector:
            x = fac.solve(halves(a)[0], np.stack((re, imaginary(re, im)), -1))
            return combined(x[..., 0], x[..., 1])
        k = shape[-1]
        x = fac.solve(halves(a)[0], np.concatenate((re, imaginary(re, im)), -1))
        return combined(x[..., :k], x[..., k:])
    x = fac.solve(doubled(a), stacked(b, vector))
    return above_below(x, n, vector)


@records(np.linalg.inv)
def inv(a: Any) -> Any:
    """The solution for the unit matrix."""
    n = square(a)
    x = fac.solve(doubled(a), np.eye(2 * n, n, dtype=halves(a)[0].dtype))
    return above_below(x, n)


@records(np.linalg.det)
def det(a: Any) -> Any:
    """By minors."""
    n = square(a)
    if n > FEW:
        raise refusal("np.linalg.det", f"determinants of complex matrices are recorded up to {FEW} rows; "
                      "np.linalg.slogdet(a)[1] is the logarithm of the size of one")
    return minor(asarray(a), tuple(range(n)), tuple(range(n)))


def minor(a: Any, rows: tuple[int, ...], columns: tuple[int, ...]) -> Any:
    """The determinant of these rows and columns, expanded by its first two rows."""
    def at(i: int, j: int) -> Any:
        return a[..., rows[i], columns[j]]
    n = len(rows)
    if n < 2:
        return at(0, 0) if n else np.ones(shape_of(a)[:-2], a.dtype)
    total: Any = 0.0
    for j in range(n):
        for k in range(j + 1, n):
            pair = at(0, j) * at(1, k) - at(0, k) * at(1, j)
            rest = tuple([c for m, c in enumerate(columns) if m not in (j, k)])
            term = pair * minor(a, rows[2:], rest) if rest else pair
            total = term + total if (j + k) % 2 else total - term
    return total


@records(np.linalg.slogdet)
def slogdet(a: Any) -> Any:
    """The logarithm is half of that of the real matrix; the sign is a number on the unit circle."""
    n = square(a)
    log = 0.5 * fac.slogdet(doubled(a))[1]
    if n > FEW:
        return SlogdetResult(NoSign(), log)
    d = det(a)
    return SlogdetResult(d / np.abs(d), log)


class NoSign:
    """The sign of a determinant that is not recorded: an error where it is used."""

    __array_ufunc__ = None

    def refused(self, *args: Any) -> Any:
        raise refusal("np.linalg.slogdet", f"the sign of the determinant of a complex matrix is recorded up to {FEW} "
                      "rows, the logarithm of its size always")

    def __getattr__(self, name: str) -> Any:
        return self.refused()

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __pow__ = refused
    __lt__ = __gt__ = __bool__ = __complex__ = __float__ = __neg__ = __abs__ = refused


@records(np.linalg.cholesky)
def cholesky(a: Any, /, *, upper: bool = False) -> Any:
    """With the parts of each element in a block of 2 by 2, the factor is the real one."""
    n = square(a)
    re, im = halves(a)
    im = imaginary(re, im) * (1.0 - np.eye(n, dtype=re.dtype))          # as LAPACK, which does not read it
    rows = np.stack((np.stack((re, -im), -1), np.stack((im, re), -1)), -3)
    whole = np.reshape(rows, (*shape_of(re)[:-2], 2 * n, 2 * n))
    factor = fac.cholesky(whole, upper=upper)
    if upper:
        return combined(factor[..., 0::2, 0::2], -factor[..., 0::2, 1::2])
    return combined(factor[..., 0::2, 0::2], factor[..., 1::2, 0::2])


def of_pairs(s: Any) -> Any:
    """Values that come twice, once: as a function that does not tell the two apart."""
    return 0.5 * (s[..., 0::2] + s[..., 1::2])


@records(np.linalg.eigvalsh)
def eigvalsh(a: Any, UPLO: str = "L") -> Any:
    """Each is an eigenvalue of the real matrix twice."""
    n = square(a)
    re, im = halves(a)
    im = imaginary(re, im)
    below = np.tril(np.ones((n, n), re.dtype), -1)
    below = below if UPLO.upper() == "L" else below.T
    re = re * (below + np.eye(n, dtype=re.dtype)) + np.swapaxes(re * below, -1, -2)
    im = im * below
    return of_pairs(fac.eigvalsh(doubled(combined(re, im - np.swapaxes(im, -1, -2)))))


@records(*existing("linalg.svdvals"))
def svdvals(a: Any, /) -> Any:
    """The eigenvalues s and -s of [[0, A], [A^H, 0]]: those of the real matrix, twice each, have no second derivative
    one by one."""
    shape = shape_of(a)
    if len(shape) < 2:
        np.linalg.svdvals(np.empty(shape))                                  # NumPy's own error
    m, n = shape[-2:]
    re, im = halves(a)
    im = imaginary(re, im)
    above, beside = np.zeros((*shape[:-2], m, m), re.dtype), np.zeros((*shape[:-2], n, n), re.dtype)

    def framed(x: Any, y: Any) -> Any:
        return np.concatenate((np.concatenate((above, x), -1), np.concatenate((y, beside), -1)), -2)
    turned = np.swapaxes(re, -1, -2), np.swapaxes(im, -1, -2)
    w = of_pairs(fac.eigvalsh(doubled(combined(framed(re, turned[0]), framed(im, -turned[1])))))
    return w[..., ::-1][..., :min(m, n)]


@records(np.linalg.svd)
def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    """Of the values alone."""
    if compute_uv:
        raise refusal("np.linalg.svd", "singular vectors of complex matrices are not recorded; the values are, with "
                      "compute_uv=False")
    return svdvals(a)


@records(np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """Norms are made of absolute values, or of singular ones."""
    x = asarray(x)
    matrix = (axis is None and x.ndim == 2) or (isinstance(axis, tuple) and len(axis) == 2)
    if not matrix or ord not in (2, -2, "nuc"):
        return np.linalg.norm(np.abs(x), ord, axis, keepdims)
    axes = [k % x.ndim for k in (axis or (0, 1))]
    s = svdvals(np.moveaxis(x, axes, (-2, -1)))
    y = np.sum(s, -1) if ord == "nuc" else np.max(s, -1) if ord == 2 else np.min(s, -1)
    return np.expand_dims(y, tuple(axes)) if keepdims else y


@records(np.linalg.lstsq)
def lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    """Both parts of the unknowns at once: residuals and rank are the same sums."""
    m, n = shape_of(a)
    vector = len(shape_of(b)) == 1
    if rcond is None:
        rcond = np.finfo(halves(a)[0].dtype).eps * max(m, n)
    x, residuals, rank, _ = least_squares.lstsq(doubled(a), stacked(b, vector), rcond)
    return above_below(x, n, vector), residuals, np.int32(rank // 2), svdvals(a)


@records(np.linalg.pinv)
def pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = NOVALUE) -> Any:
    """The half of that of the real matrix."""
    m, n = shape_of(a)[-2:]
    if rtol is None:
        rtol = max(m, n) * np.finfo(halves(a)[0].dtype).eps
    return above_below(least_squares.pinv(doubled(a), rcond, rtol=rtol)[..., :m], n)


@records(np.linalg.matrix_power)
def matrix_power(a: Any, n: int) -> Any:
    """By squares."""
    square(a)
    if n == 0:
        return np.broadcast_to(np.eye(shape_of(a)[-1], dtype=a.dtype), shape_of(a)).copy()
    a, n = (a, n) if n > 0 else (inv(a), -n)
    y = None
    while n:
        y = a if n % 2 and y is None else y @ a if n % 2 else y
        n //= 2
        a = a @ a if n else a
    return y
