"""scipy_banded.py - scipy.linalg.solve_banded and solveh_banded: matrices that are stored by their diagonals.

Owns: SciPy's arguments, defaults, errors and choice of the routine: values have SciPy's bits.
Must not know: the routines (_banded.pxi), their derivatives (banded_rules.py), how a call finds its way here
(scipy_doors.py).
"""
from __future__ import annotations

import operator
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad import factorizations as fac
from fastad import scipy_doors
from fastad.factorizations import FORM, LinAlgError, matrices
from fastad.operands import SINGLE, cast_to, code_of, refusal, shape_of
from fastad.scipy_linalg_names import checked

Shape = tuple[int, ...]
MOST = 2**21                             # diagonals: their number shares a word with the flags of a routine


def records(function: Any) -> Any:
    """Register what records the function of scipy.linalg of the same name."""
    return scipy_doors.records("scipy.linalg", function.__name__)(function)


@records
def solve_banded(l_and_u: Any, ab: Any, b: Any, overwrite_ab: bool = False, overwrite_b: bool = False,
                 check_finite: bool = True) -> Any:
    """Solve by the band of a matrix: by the LU factors of tridiagonal or of band matrices."""
    lower, upper = l_and_u
    lower, upper = operator.index(lower), operator.index(upper)
    ab, b = matrices(ab), matrices(b)
    shape = shape_of(ab)

    def scipys() -> Any:
        return scipy_doors.plain("scipy.linalg", "solve_banded", (lower, upper), ab, b, check_finite=check_finite)
    if not fitting(shape, shape_of(b)) or min(lower, upper) < 0 or lower + upper + 1 != shape[-2]:
        raise wrong("solve_banded", scipys)
    ab, b = checked(ab, check_finite), checked(b, check_finite)
    if empty(shape_of(b)):
        return nothing(ab, b)
    if shape[-1] == 1:
        return of_one(ab[..., upper, :], b)
    names = ("trisystem",) if lower == upper == 1 else ("bandsolve", "bandlu")
    return solution(ab, b, names, band_form(lower, shape[-2]), scipys)


@records
def solveh_banded(ab: Any, b: Any, overwrite_ab: bool = False, overwrite_b: bool = False, lower: bool = False,
                  check_finite: bool = True) -> Any:
    """Solve by half the band of a positive definite matrix: by its Cholesky or L D L^T factors."""
    ab, b = matrices(ab), matrices(b)
    shape = shape_of(ab)

    def scipys() -> Any:
        return scipy_doors.plain("scipy.linalg", "solveh_banded", ab, b, lower=lower, check_finite=check_finite)
    if not fitting(shape, shape_of(b)) or shape[-2] < 1:
        raise wrong("solveh_banded", scipys)
    ab, b = checked(ab, check_finite), checked(b, check_finite)
    if empty(shape_of(b)):
        return nothing(ab, b)
    if shape[-2:] == (2, 1):
        scipys()                         # SciPy 1.17 does not take one equation in two rows
    names = ("tripos",) if shape[-2] == 2 else ("bandpos", "bandchol")
    form = FORM["symmetric"] + band_form(shape[-2] - 1 if lower else 0, shape[-2])
    return solution(ab, b, names, form, scipys)


# ---- arguments -------------------------------------------------------------------------------------------------------

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
    return np.zeros(shape + shape_of(b)[-core(shape_of(b)):], np.float32 if fac.are_single(ab, b) else np.float64)


def of_one(diagonal: Any, b: Any) -> Any:
    """One equation is a quotient, in SciPy too, where a zero gives inf."""
    vector = len(shape_of(b)) == 1
    y = b / (diagonal if vector else diagonal[..., None])
    return cast_to(y, SINGLE) if code_of(b) == SINGLE else y


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
