"""scipy_banded.py - scipy.linalg.solve_banded and solveh_banded: matrices that are stored by their diagonals.

Owns: SciPy's arguments, defaults, errors and choice of the routine: values of real systems have SciPy's bits.
Must not know: the routines (_banded.pxi), their derivatives (banded_rules.py), how a call finds its way here
(scipy_doors.py).
Next: complex_bands.py (complex systems as real ones).
"""
from __future__ import annotations

import operator
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad import complex_bands, scipy_doors
from fastad import factorizations as fac
from fastad.complex_values import parts
from fastad.factorizations import FORM, LinAlgError
from fastad.operands import asarray, code_of, live, refusal, shape_of
from fastad.scipy_linalg_names import checked, records

Shape = tuple[int, ...]
MOST = 2**21                             # diagonals: their number shares a word with the flags of a routine


@records
def solve_banded(l_and_u: Any, ab: Any, b: Any, overwrite_ab: bool = False, overwrite_b: bool = False,
                 check_finite: bool = True) -> Any:
    """Solve by the band of a matrix: by the LU factors of tridiagonal or of band matrices."""
    lower, upper = l_and_u
    lower, upper = operator.index(lower), operator.index(upper)
    ab, b = numbers(ab), numbers(b)
    shape = shape_of(ab)

    def scipys() -> Any:
        return scipy_doors.plain("scipy.linalg", "solve_banded", (lower, upper), ab, b, check_finite=check_finite)
    if not fitting(shape, shape_of(b)) or min(lower, upper) < 0 or lower + upper + 1 != shape[-2]:
        raise wrong("solve_banded", scipys)
    ab, b = finite(ab, check_finite), finite(b, check_finite)
    if empty(shape_of(b)):
        return nothing(ab, b)
    if shape[-1] == 1:
        if T.complex_among(ab) and not T.complex_among(b):
            raise wrong("solve_banded", scipys)
        return of_one(ab[..., upper, :], b)
    if T.complex_among(ab, b):
        return complex_bands.solved(
            ab, b, lambda ab, b: general(ab, b, lower, upper, scipys),
            lambda re, im, b: general(complex_bands.whole_band(re, im), b, 2 * lower + 1, 2 * upper + 1, scipys))
    return general(ab, b, lower, upper, scipys)


def general(ab: Any, b: Any, lower: int, upper: int, scipys: Any) -> Any:
    """A real system."""
    names = ("trisystem",) if lower == upper == 1 else ("bandsolve", "bandlu")
    return solution(ab, b, names, band_form(lower, lower + upper + 1), scipys)


@records
def solveh_banded(ab: Any, b: Any, overwrite_ab: bool = False, overwrite_b: bool = False, lower: bool = False,
                  check_finite: bool = True) -> Any:
    """Solve by half the band of a positive definite matrix: by its Cholesky or L D L^T factors."""
    ab, b = numbers(ab), numbers(b)
    shape = shape_of(ab)

    def scipys() -> Any:
        return scipy_doors.plain("scipy.linalg", "solveh_banded", ab, b, lower=lower, check_finite=check_finite)
    if not fitting(shape, shape_of(b)) or shape[-2] < 1:
        raise wrong("solveh_banded", scipys)
    ab, b = finite(ab, check_finite), finite(b, check_finite)
    if empty(shape_of(b)):
        return nothing(ab, b)
    if shape[-2:] == (2, 1):
        scipys()                         # SciPy 1.17 does not take one equation in two rows
    if T.complex_among(ab, b):
        return complex_bands.solved(
            ab, b, lambda ab, b: definite(ab, b, lower, scipys),
            lambda re, im, b: definite(complex_bands.half_band(re, im, bool(lower)), b, lower, scipys))
    return definite(ab, b, lower, scipys)


def definite(ab: Any, b: Any, lower: Any, scipys: Any) -> Any:
    """A real system with a positive definite matrix."""
    diagonals = shape_of(ab)[-2]
    names = ("tripos",) if diagonals == 2 else ("bandpos", "bandchol")
    form = FORM["symmetric"] + band_form(diagonals - 1 if lower else 0, diagonals)
    return solution(ab, b, names, form, scipys)


# ---- arguments -------------------------------------------------------------------------------------------------------

def numbers(x: Any) -> Any:
    """An operand as an array of real or complex numbers."""
    x = asarray(x)
    for part in parts(x):
        if part is not None:
            code_of(part)                # says which dtypes are recorded
    return x


def finite(x: Any, check_finite: bool) -> Any:
    """The operand; SciPy's ValueError where it is not finite, at a replay too."""
    for part in parts(x):
        if part is not None:
            checked(live(part), check_finite)
    return x


def core(b: Shape) -> int:
    """How many axes of a right-hand side belong to one system."""
    return min(len(b), 2)


def fitting(ab: Shape, b: Shape) -> bool:
    """Do the shapes go together, as stacks of bands and of right-hand sides?"""
    if len(ab) < 2 or not b or ab[-1] != b[-core(b)]:
        return False
    try:
        stack = np.broadcast_shapes(ab[:-2], b[:-core(b)])
    except ValueError:
        return False
    return 0 not in stack


def wrong(name: str, scipys: Any) -> Exception:
    """SciPy's own error for what it does not take; ours, should it take it."""
    scipys()
    return refusal(f"scipy.linalg.{name}", "these shapes and diagonals are not recorded: pass ab of shape "
                   "(l + u + 1, n) and b of shape (n,) or (n, k)")


def empty(b: Shape) -> bool:
    """Is there nothing to solve for?"""
    return 0 in b


def nothing(ab: Any, b: Any) -> Any:
    """A solution without elements."""
    shape = np.broadcast_shapes(shape_of(ab)[:-2], shape_of(b)[:-core(shape_of(b))])
    single = fac.are_single(parts(ab)[0], parts(b)[0])
    kinds = (np.complex64, np.complex128) if T.complex_among(ab, b) else (np.float32, np.float64)
    return np.zeros(shape + shape_of(b)[-core(shape_of(b)):], kinds[not single])


def of_one(diagonal: Any, b: Any) -> Any:
    """One equation is a quotient, in SciPy too, where a zero gives inf."""
    vector = len(shape_of(b)) == 1
    y = b / (diagonal if vector else diagonal[..., None])
    return y.astype(b.dtype) if b.dtype.kind in "fc" and y.dtype != b.dtype else y


def band_form(lower: int, diagonals: int) -> int:
    """What a routine is told of a band."""
    if diagonals > MOST:
        raise refusal("scipy.linalg.solve_banded", f"{diagonals} diagonals are more than the {MOST} that are recorded")
    return T.LAPACK_BAND * lower


# ---- solutions -------------------------------------------------------------------------------------------------------

@fac.rounded(2)
def solution(ab: Any, b: Any, names: tuple[str, ...], form: int, scipys: Any) -> Any:
    """By the routine names[0], with factors by names[1]; a right-hand side that lies transposed is read as it lies."""
    m, n = shape_of(ab)[-2:]
    factors = tuple(fac.call(name, (ab,), (m, n, 0), form) for name in names[1:])
    try:
        if len(shape_of(b)) == 1:
            return fac.call(names[0], (ab, b, *factors), (m, n, 1), form, (n,), (2, 1, 1))
        b, rows = fac.lying(b)
        k = shape_of(b)[-2 if rows else -1]
        y = fac.call(names[0], (ab, b, *factors), (m, n, k), form | FORM["rows"] * rows, (k, n) if rows else (n, k),
                     (2, 2, 1))
        return fac.swapped(y) if rows else y
    except LinAlgError as error:
        def fails() -> Any:
            if factors:
                return np.any(factors[0][..., -1] != 0)
            return np.any(fac.call("trifails", (ab,), (m, n, 0), form, ()) != 0)
        raise fac.failed(fails, named(error, scipys)) from None


def named(error: LinAlgError, scipys: Any) -> LinAlgError:
    """SciPy's own words, which say where."""
    try:
        scipys()
    except LinAlgError as its:
        return its
    return error
