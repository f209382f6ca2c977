"""factorizations.py - numpy.linalg's systems of equations and factorizations: solve, inv, det, cholesky, eigh, svd, qr.

Owns: how NumPy's arguments (stacks that broadcast, vectors, triangles) become calls of the routines of dense linear
algebra, and what a failure that the user's code may catch means for the tape.
Must not know: derivatives (linear_rules.py), products (products.py), norms (norms.py).
Next: _lapack.pxi (the routines), least_squares.py (what is made of these), scipy_linalg_names.py (SciPy).
"""
from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad.math_names import may_be_caught
from fastad.operands import FLOAT, INT, SINGLE, asarray, cast_to, code_of, records, refusal, shape_of

FORM = T.LAPACK_FORMS
LinAlgError = np.linalg.LinAlgError
attribute = functools.lru_cache(4096)(T.Lapack)
np_solve, np_inv, np_det, np_slogdet, np_cholesky = (getattr(np.linalg, name) for name in (
    "solve", "inv", "det", "slogdet", "cholesky"))
np_eigh, np_eigvalsh, np_svd, np_svdvals, np_qr = (getattr(np.linalg, name) for name in (
    "eigh", "eigvalsh", "svd", "svdvals", "qr"))
SlogdetResult, EighResult, SVDResult, QRResult = (type(f(np.eye(1))) for f in (np_slogdet, np_eigh, np_svd, np_qr))


# ---- calls of the routines -------------------------------------------------------------------------------------------

def call(name: str, operands: tuple[Any, ...], sizes: tuple[int, int, int], form: int = 0,
         tail: tuple[int, ...] | None = None, ranks: tuple[int, ...] = (2, 2, 2)) -> Any:
    """A routine on stacks of matrices that broadcast.

    sizes: m, n, k.  tail: shape of the result behind the axes of the stack (None: a vector of all its parts).
    ranks: how many axes of each operand belong to one matrix.
    """
    stacks = [shape_of(x)[:len(shape_of(x)) - rank] for x, rank in zip(operands, ranks, strict=False)]
    stack = np.broadcast_shapes(*stacks)
    batch, shared, xs = math.prod(stack), 0, []
    for j, (x, own, rank) in enumerate(zip(operands, stacks, ranks, strict=False)):
        if own != stack and math.prod(own) == 1:
            shared |= 1 << j
        elif own != stack:
            x = np.broadcast_to(x, stack + shape_of(x)[len(own):][:rank])
        xs.append(x)
    attr = attribute(name, batch, *sizes, form, shared)
    tail = (attr.result()[1],) if tail is None else tail
    want = [INT if code_of(x) == INT and kind in T.LAPACK_FACTORS else FLOAT
            for x, kind in zip(xs, T.LAPACK[name][0], strict=True)]
    tape = T.tape_of(*xs)
    return T.structural("lapack", xs, attr, stack + tail, INT if name in T.LAPACK_INTEGERS else FLOAT, want,
                        T.current_tape() if tape is None else tape)


def rounded(count: int) -> Any:
    """A decorator: of float32 alone NumPy's results are float32; here they are computed in float64 and rounded.

    count: how many arguments are matrices.
    """
    def decorate(implementation: Any) -> Any:
        names = implementation.__code__.co_varnames[:count]

        @functools.wraps(implementation)
        def of_any_dtype(*args: Any, **kwargs: Any) -> Any:
            result = implementation(*args, **kwargs)
            operands = [args[j] if j < len(args) else kwargs[name] for j, name in enumerate(names)]
            if not are_single(*operands):
                return result
            if not isinstance(result, tuple):
                return in_single(result)
            parts = map(in_single, result)
            return type(result)(*parts) if hasattr(result, "_fields") else tuple(parts)
        return of_any_dtype
    return decorate


def are_single(*operands: Any) -> bool:
    """Are all of these float32?"""
    return all(code_of(x) == SINGLE for x in operands)


def in_single(x: Any) -> Any:
    """float64 as float32; whole numbers as they are."""
    return cast_to(x, SINGLE) if code_of(x) == FLOAT else x


def matrices(x: Any) -> Any:
    """An operand as an array of real numbers."""
    x = asarray(x)
    code_of(x)                           # says which dtypes are recorded
    return x


def squares(a: Any) -> tuple[Any, int]:
    """(a stack of square matrices, their size), or NumPy's own error."""
    a = matrices(a)
    shape = shape_of(a)
    if len(shape) < 2 or shape[-1] != shape[-2]:
        np_det(np.empty(shape))          # NumPy's own error, the same for all
    return a, shape[-1]


def swapped(x: Any) -> Any:
    """The transposed matrices, as a view."""
    return np.swapaxes(x, -1, -2)


def lu(a: Any, n: int) -> Any:
    """The factors of a: of one matrix once, however often it is used (equal instructions are computed once)."""
    return call("lu", (a,), (0, n, 0))


def failed(failure: Any, error: LinAlgError) -> LinAlgError:
    """The error; where the user's code may catch it, failing is a decision that replays check."""
    if may_be_caught():
        bool(failure())
    return error


# ---- systems of equations --------------------------------------------------------------------------------------------

@records(np_solve)
@rounded(2)
def solve(a: Any, b: Any) -> Any:
    """np.linalg.solve: stacks of matrices; a right-hand side of one axis is one vector for all."""
    a, n = squares(a)
    b = matrices(b)
    shape = shape_of(b)
    vector = len(shape) == 1
    if not shape or shape[0 if vector else -2] != n:
        return np_solve(np.empty(shape_of(a)), np.empty(shape))          # NumPy's own error
    return solution(a, lu(a, n), b, n, vector)


def solution(a: Any, factors: Any, b: Any, n: int, vector: bool, form: int = 0) -> Any:
    """A^-1 b from the factors of A; a matrix b that lies transposed in memory is read as it lies."""
    try:
        if vector:
            return call("lusolve", (a, b, factors), (0, n, 1), form, (n,), (2, 1, 1))
        b, rows = lying(b)
        k = shape_of(b)[-2 if rows else -1]
        tail = (k, n) if rows else (n, k)
        y = call("lusolve", (a, b, factors), (0, n, k), form | FORM["rows"] * rows, tail, (2, 2, 1))
        return swapped(y) if rows else y
    except LinAlgError as error:
        raise failed(lambda: np.any(call("detsign", (factors,), (0, n, 0), 0, (), (1,)) == 0), error) from None


def lying(b: Any) -> tuple[Any, bool]:
    """(matrix in C order, is it b transposed?)."""
    if type(b) is T.Array and b.ndim == 2:
        c = T.concrete(b)
        if c.flags.f_contiguous and not c.flags.c_contiguous:
            return T.view(b, c.T), True
    return b, False


@records(np_inv)
@rounded(1)
def inv(a: Any) -> Any:
    """np.linalg.inv."""
    a, n = squares(a)
    return solution(a, lu(a, n), identity(n, a), n, False)


def identity(n: int, like: Any) -> Any:
    """The unit matrix, made by the tape of `like`."""
    place = T.Map(1, n * n, (((n,), 0, (0,), 0, (n + 1,)),), None, None, n == 1, n == 1, True)
    return T.structural("move", (1.0,), place, (n, n), FLOAT, (FLOAT,), T.tape_of(like) or T.current_tape())


@records(np_det)
@rounded(1)
def det(a: Any) -> Any:
    """np.linalg.det."""
    a, n = squares(a)
    return call("det", (a, lu(a, n)), (0, n, 0), 0, (), (2, 1))


@records(np_slogdet)
@rounded(1)
def slogdet(a: Any) -> Any:
    """np.linalg.slogdet; the sign has no derivative."""
    a, n = squares(a)
    factors = lu(a, n)
    sign = call("detsign", (factors,), (0, n, 0), 0, (), (1,))
    return SlogdetResult(sign, call("logdet", (a, factors), (0, n, 0), 0, (), (2, 1)))


@records(np_cholesky)
@rounded(1)
def cholesky(a: Any, /, *, upper: bool = False) -> Any:
    """np.linalg.cholesky: of the lower, or the upper triangle."""
    a, n = squares(a)
    a = swapped(a) if upper else a
    try:
        factor = call("chol", (a,), (0, n, 0), 0, (n, n))
    except LinAlgError as error:
        raise failed(lambda: np.any(call("posdef", (a,), (0, n, 0), 0, ()) == 0), error) from None
    return swapped(factor) if upper else factor


def triangular(a: Any, b: Any, n: int, vector: bool, form: int) -> Any:
    """op(A)^-1 b for a triangular matrix; what A transposed in memory means is for the caller to say in `form`."""
    if vector:
        return call("trisolve", (a, b), (0, n, 1), form, (n,), (2, 1))
    b, rows = lying(b)
    k = shape_of(b)[-2 if rows else -1]
    y = call("trisolve", (a, b), (0, n, k), form | FORM["rows"] * rows, (k, n) if rows else (n, k))
    return swapped(y) if rows else y


# ---- spectra ---------------------------------------------------------------------------------------------------------

@records(np_eigh)
@rounded(1)
def eigh(a: Any, UPLO: str = "L") -> Any:
    """np.linalg.eigh; of the triangle UPLO."""
    UPLO = UPLO.upper()
    if UPLO not in ("L", "U"):
        raise ValueError("UPLO argument must be 'L' or 'U'")
    a, n = squares(a)
    y = call("eigh", (a,), (0, n, 0), FORM["upper"] * (UPLO == "U"))
    return EighResult(y[..., :n], swapped(part(y, n, (n, n))))


@records(np_eigvalsh)
@rounded(1)
def eigvalsh(a: Any, UPLO: str = "L") -> Any:
    """np.linalg.eigvalsh."""
    return eigh(a, UPLO)[0]


def part(y: Any, start: int, shape: tuple[int, int]) -> Any:
    """A matrix from the vector of several results."""
    return y[..., start:start + shape[0] * shape[1]].reshape(shape_of(y)[:-1] + shape)


@records(np_svd)
@rounded(1)
def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    """np.linalg.svd."""
    if hermitian:
        return svd_of_symmetric(a, compute_uv)
    a = matrices(a)
    shape = shape_of(a)
    if len(shape) < 2:
        return np_svd(np.empty(shape))                                   # NumPy's own error
    m, n = shape[-2:]
    k = min(m, n)
    full = bool(full_matrices and compute_uv and m != n)
    y = call("svd", (a,), (m, n, 0), FORM["full"] * full)
    if not compute_uv:
        return y[..., :k]
    ku, kv = (m, n) if full else (k, k)
    return SVDResult(swapped(part(y, k, (ku, m))), y[..., :k], swapped(part(y, k + ku * m, (n, kv))))


def svd_of_symmetric(a: Any, compute_uv: bool) -> Any:
    """By eigenvalues, in descending order of their size."""
    w, v = eigh(a)
    size = np.abs(w)
    order = np.argsort(size, axis=-1)[..., ::-1]
    s = np.take_along_axis(size, order, axis=-1)
    if not compute_uv:
        return s
    sign = np.take_along_axis(np.where(w < 0, -1.0, 1.0), order, axis=-1)
    u = np.take_along_axis(v, order[..., None, :], axis=-1)
    return SVDResult(u, s, swapped(u * sign[..., None, :]))


@records(np_svdvals)
@rounded(1)
def svdvals(x: Any, /) -> Any:
    """np.linalg.svdvals."""
    return svd(x, compute_uv=False)


@records(np_qr)
@rounded(1)
def qr(a: Any, mode: str = "reduced") -> Any:
    """np.linalg.qr: modes reduced, complete and r."""
    if mode == "raw":
        raise refusal("np.linalg.qr", "mode='raw' gives LAPACK's reflectors, which have no derivative; use 'reduced'")
    a = matrices(a)
    shape = shape_of(a)
    if mode not in ("reduced", "complete", "r") or len(shape) < 2:
        return np_qr(np.empty(shape), mode)                              # NumPy's own error
    m, n = shape[-2:]
    full = mode == "complete" and m > n
    columns = m if full else min(m, n)
    y = call("qr", (a,), (m, n, 0), FORM["full"] * full)
    r = part(y, columns * m, (columns, n))
    return r if mode == "r" else QRResult(swapped(part(y, 0, (columns, m))), r)
