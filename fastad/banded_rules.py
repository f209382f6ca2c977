"""banded_rules.py - the derivatives of systems of equations with band matrices, in time and memory of the band.

Owns: that of A X = B with A stored by its diagonals, the adjoint of A is the band of an outer product and never a full
matrix; the rules of that product and of the product A X, so that derivatives of any order exist.
Must not know: how LAPACK stores a band (_banded.pxi), SciPy's arguments (scipy_banded.py).
Conventions: what of the storage lies outside of the matrix has derivative 0.  Of a symmetric matrix one half is stored,
and is all that moves.
Source: M. Giles, Collected matrix derivative results for forward and reverse mode AD (2008), 2.3.1.
Next: linear_rules.py (full matrices; who asks), matrix_expressions.py (the algebra).
"""
from __future__ import annotations

from typing import Any

from fastad import _tape as T
from fastad.matrix_expressions import Matrix, lapack

FORM = T.LAPACK_FORMS
TRANS, ROWS = FORM["trans"], FORM["rows"]
OF_COLUMNS = ("trisystem", "tripos", "bandsolve", "bandpos", "bandmul")  # each right-hand side is a case of its own


def lying(c: Any, x: Matrix) -> Matrix:
    """Vectors beside the matrix in the shape in which this call has them in memory."""
    return x.shaped(c.k, c.n) if c.form & ROWS else x.shaped(c.n, c.k)


def apply(c: Any, name: str, *operands: Matrix, form: int = 0) -> Matrix:
    """A routine that gives vectors, of the same sizes as this call's."""
    return lying(c, lapack(name, operands, c.m, c.n, c.k, c.form ^ form))


def outer(c: Any, v: Matrix, w: Matrix, batch: int) -> Matrix:
    """The band of v w^T (TRANS: of w v^T), summed over what shares one matrix."""
    v, w = (w, v) if c.form & TRANS else (v, w)
    k, form, many = c.k, c.form & ~TRANS, max(v.batch, w.batch)
    if batch == 1 < v.batch == w.batch and (k == 1 or form & ROWS):      # one product over the whole batch
        k, form = many * k, form | ROWS
        v, w = (Matrix(c.b, x.id, 1, k, c.n) for x in (v, w))
    return lapack("bandouter", (v, w), c.m, c.n, k, form).shaped(c.m, c.n).summed(batch)


# ---- systems of equations --------------------------------------------------------------------------------------------

def solve(c: Any) -> Matrix:
    """A X = B: A dX = dB - dA X."""
    rhs = c.dx[1]
    if c.dx[0] is not None:
        less = apply(c, "bandmul", c.dx[0], lying(c, c.y))
        rhs = -less if rhs is None else rhs - less
    return apply(c, c.attr.name, c.x[0], rhs, *c.x[2:])


def solve_adjoint(c: Any) -> tuple[Matrix, ...]:
    """The adjoint of B is S = A^-T W, that of A the band of -S X^T."""
    s = apply(c, c.attr.name, c.x[0], lying(c, c.w), *c.x[2:], form=TRANS)
    bars = []
    if c.moves(0):
        bars.append(-outer(c, s, lying(c, c.y), c.x[0].batch))
    if c.moves(1):
        bars.append(s.summed(c.x[1].batch))
    return tuple(bars)


# ---- products --------------------------------------------------------------------------------------------------------

def total(first: Any, second: Any) -> Any:
    """The sum of what is not None."""
    return second if first is None else first if second is None else first + second


def product(c: Any) -> Matrix:
    """A X."""
    of_a = None if c.dx[0] is None else apply(c, "bandmul", c.dx[0], c.x[1])
    return total(of_a, None if c.dx[1] is None else apply(c, "bandmul", c.x[0], c.dx[1]))


def product_adjoint(c: Any) -> tuple[Matrix, ...]:
    w, bars = lying(c, c.w), []
    if c.moves(0):
        bars.append(outer(c, w, c.x[1], c.x[0].batch))
    if c.moves(1):
        bars.append(apply(c, "bandmul", c.x[0], w, form=TRANS).summed(c.x[1].batch))
    return tuple(bars)


def band(c: Any) -> Matrix:
    """The band of V W^T."""
    of_v = None if c.dx[0] is None else lapack("bandouter", (c.dx[0], c.x[1]), c.m, c.n, c.k, c.form)
    return total(of_v, None if c.dx[1] is None else lapack("bandouter", (c.x[0], c.dx[1]), c.m, c.n, c.k, c.form))


def band_adjoint(c: Any) -> tuple[Matrix, ...]:
    """The adjoint of V is G W, that of W is G^T V."""
    g, bars = c.w.shaped(c.m, c.n), []
    if c.moves(0):
        bars.append(apply(c, "bandmul", g, c.x[1]).summed(c.x[0].batch))
    if c.moves(1):
        bars.append(apply(c, "bandmul", g, c.x[0], form=TRANS).summed(c.x[1].batch))
    return tuple(bars)


SYSTEMS = ("trisystem", "tripos", "bandsolve", "bandpos")
TANGENTS: dict[str, Any] = {**dict.fromkeys(SYSTEMS, solve), "bandmul": product, "bandouter": band}
ADJOINTS: dict[str, Any] = {**dict.fromkeys(SYSTEMS, solve_adjoint), "bandmul": product_adjoint,
                            "bandouter": band_adjoint}
