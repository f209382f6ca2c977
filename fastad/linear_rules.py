"""linear_rules.py - the derivatives of the routines of dense linear algebra, in matrix algebra on those same routines.

Owns: for each routine its tangent; an adjoint of its own where a routine is linear in what moves, or a better way is
known (Cholesky); all other adjoints are the transposed tangents.  The rules are written once, into small tapes, which
are copied into derivative tapes, and run by the sweeps of tier 0.  Since they use nothing but routines that have
rules, derivatives of any order exist.
Must not know: NumPy's functions, the memory order of LAPACK.
Conventions: a triangle that is not read has derivative 0.  Where eigenvalues or singular values
coincide to rounding (their difference is at most 2**-52 times the sum of all their sizes), the derivative of their
vectors does not exist: 1/(w[i] - w[j]) counts as 0 there, and so does 1/s[i] where s[i] is 0 to rounding.
Sources: M. Giles, Collected matrix derivative results for forward and reverse mode AD (2008); J. Townsend,
Differentiating the singular value decomposition (2016); G. Golub & V. Pereyra, SIAM J. Numer. Anal. 10, 413 (1973);
I. Murray, arXiv:1602.07527 (2016).
Next: matrix_expressions.py (the algebra), banded_rules.py (band matrices), _lapack.pxi (the routines),
structural_rules.py (who asks).
"""
from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from fastad import _tape as T
from fastad import banded_rules
from fastad.matrix_expressions import F64, Matrix, identity, joined, lapack

__all__ = ["adjoint", "adjoint_tape", "batch", "tangent", "tangent_tape"]

FORM = T.LAPACK_FORMS
TRANS, ROWS, UPPER, UNIT, FULL = (FORM[name] for name in ("trans", "rows", "upper", "unit", "full"))
I64 = 1
Rule = Callable[[Any], Any]


class Call:
    """One call of a routine as its rule sees it: operands x, result y, tangents dx (None: does not move), adjoint w."""

    def __init__(self, attr: Any, tape: Any, mask: int, adjoint: bool) -> None:
        from fastad import _transform
        builder: Any = _transform.Builder
        self.b = builder(T.Tape(), tape)
        self.attr, self.form, self.mask = attr, attr.form, mask
        _, _, self.m, self.n, self.k, _, _ = attr.fields()
        shapes = attr.shapes()
        kinds = [I64 if kind in T.LAPACK_FACTORS else F64 for kind in T.LAPACK[attr.name][0]]
        self.x = tuple(self.input(shape, kind) for shape, kind in zip(shapes, kinds, strict=True))
        self.y = self.input(attr.result())
        self.w: Any = self.input(attr.result()) if adjoint else None
        self.dx: tuple[Any, ...] = tuple(None if adjoint or not mask >> j & 1 else self.input(shape, active=True)
                        for j, shape in enumerate(shapes))

    def input(self, shape: tuple[int, ...], dtype: int = F64, active: bool = False) -> Matrix:
        """An input of the small tape; a result is (batch, elements)."""
        value = self.b.target.emit_input(T.aval(dtype, shape), active)
        return Matrix(self.b, value, shape[0], *(shape[1:] if len(shape) == 3 else (1, shape[1])))

    def moves(self, j: int) -> bool:
        """Is operand j among those that move?"""
        return bool(self.mask >> j & 1)


# ---- linear in all that moves ----------------------------------------------------------------------------------------

def tri(c: Call) -> Matrix:
    return lapack("tri", c.dx, c.m, c.n, 0, c.form)


def tri_adjoint(c: Call) -> tuple[Matrix, ...]:
    return (lapack("tri", (c.w,), c.m, c.n, 0, c.form),)


def fold(c: Call) -> Matrix:
    return lapack("fold", c.dx, 0, c.n, 0, c.form)


def fold_adjoint(c: Call) -> tuple[Matrix, ...]:
    return (lapack("mirror", (c.w,), 0, c.n, 0, c.form),)


def mirror(c: Call) -> Matrix:
    return lapack("mirror", c.dx, 0, c.n, 0, c.form)


def mirror_adjoint(c: Call) -> tuple[Matrix, ...]:
    return (lapack("fold", (c.w,), 0, c.n, 0, c.form),)


# ---- systems of equations --------------------------------------------------------------------------------------------

def as_columns(c: Call, x: Matrix) -> Matrix:
    """Right-hand sides or solutions as (n, k), however they lie."""
    return x.shaped(c.k, c.n).T if c.form & ROWS else x.shaped(c.n, c.k)


def product(c: Call, p: Matrix, q: Matrix) -> Matrix:
    """p @ q, lying as the right-hand sides do."""
    return (q.T @ p.T).T if c.form & ROWS else p @ q


def solved(c: Call, rhs: Matrix, trans: bool = False) -> Matrix:
    """The same routine with the same matrix (`trans`: transposed) and other right-hand sides, lying alike."""
    lies = rhs.lying(bool(c.form & ROWS))
    lies = lies.T if c.form & ROWS else lies
    y = lapack(c.attr.name, (c.x[0], lies, *c.x[2:]), 0, c.n, c.k, c.form ^ TRANS if trans else c.form)
    return as_columns(c, y)


def as_lying(c: Call, x: Matrix) -> Matrix:
    """From columns back to how they lie."""
    return x.T if c.form & ROWS else x


def moving_matrix(c: Call, da: Matrix) -> Matrix:
    """The part of the tangent of A that the routine reads, transposed where the routine does."""
    if c.attr.name == "trisolve":
        da = da.tri(bool(c.form & UPPER), "none" if c.form & UNIT else "")
    return da.T if c.form & TRANS else da


def solve(c: Call) -> Matrix:
    """A X = B: A dX = dB - dA X."""
    rhs: Any = None if c.dx[1] is None else as_columns(c, c.dx[1])
    if c.dx[0] is not None:
        less = product(c, moving_matrix(c, c.dx[0]), as_columns(c, c.y))
        rhs = -less if rhs is None else rhs - less
    return as_lying(c, solved(c, rhs))


def solve_adjoint(c: Call) -> tuple[Matrix, ...]:
    """The adjoint of B is A^-T W, that of A less its product with X."""
    s = solved(c, as_columns(c, c.w), trans=True)
    bars = []
    if c.moves(0):
        x = as_columns(c, c.y)
        if c.x[0].batch == 1 < s.batch and c.k == 1:         # one product over the whole batch
            x, s_ = (Matrix(c.b, v.id, 1, v.batch, c.n).T for v in (x, s))
        else:
            s_ = s
        bar = -(x @ s_.T if c.form & TRANS else s_ @ x.T)
        if c.attr.name == "trisolve":
            bar = bar.tri(bool(c.form & UPPER), "none" if c.form & UNIT else "")
        bars.append(bar.summed(c.x[0].batch))
    if c.moves(1):
        bars.append(as_lying(c, s).summed(c.x[1].batch))
    return tuple(bars)


def inverse_transposed(c: Call, f: Matrix) -> Matrix:
    one = identity(c.b, c.n)
    return lapack("lusolve", (c.x[0], one, f), 0, c.n, c.n, TRANS).shaped(c.n, c.n)


def det(c: Call) -> Matrix:
    """Jacobi's formula; the cofactors of a singular matrix are finite."""
    cofactors = lapack("cofactor", c.x, 0, c.n, 0).shaped(c.n, c.n)
    return (cofactors * c.dx[0]).total()


def logdet(c: Call) -> Matrix:
    return (inverse_transposed(c, c.x[1]) * c.dx[0]).total()


def cofactor(c: Call) -> Matrix:
    """C = det A A^-T."""
    z, y, da = inverse_transposed(c, c.x[1]), c.y.shaped(c.n, c.n), c.dx[0]
    return z * (y * da).total().spread(c.n, c.n) - z @ (da.T @ y)


# ---- Cholesky --------------------------------------------------------------------------------------------------------

def triangular(l_: Matrix, rhs: Matrix, trans: bool = False) -> Matrix:
    """L^-1 rhs or L^-T rhs for a lower triangle."""
    rows = rhs.t
    form = TRANS * trans + ROWS * rows
    y = lapack("trisolve", (l_, rhs.T if rows else rhs), 0, rhs.rows, rhs.columns, form)
    return y.shaped(rhs.columns, rhs.rows).T if rows else y.shaped(rhs.rows, rhs.columns)


def sandwiched(l_: Matrix, s: Matrix, trans: bool = False) -> Matrix:
    """L^-1 S L^-T for a symmetric S; trans: L^-T S L^-1."""
    return triangular(l_, triangular(l_, s, trans).T, trans)


def chol(c: Call) -> Matrix:
    """dL = L Phi(L^-1 dA L^-T), where Phi takes the lower triangle with half the diagonal."""
    factor = c.y.shaped(c.n, c.n)
    return factor @ sandwiched(factor, c.dx[0].mirror()).tri(diagonal="half")


def chol_adjoint(c: Call) -> tuple[Matrix, ...]:
    return (lapack("cholrev", (c.y.shaped(c.n, c.n), c.w.shaped(c.n, c.n)), 0, c.n, 0),)


def cholrev(c: Call) -> Matrix:
    """Y = Phi(S), S = L^-T Q L^-1, Q the symmetric matrix with the lower triangle of L.T tril(W)."""
    factor, w = c.x
    s = c.y.shaped(c.n, c.n).tri(diagonal="double").mirror()
    d_factor, dw = (None if v is None else v.tri() for v in c.dx)
    dn: Any = None
    if d_factor is not None:
        dn = d_factor.T @ w.tri()
    if dw is not None:
        dn = factor.T @ dw if dn is None else dn + factor.T @ dw
    ds = sandwiched(factor, dn.mirror(), True)
    if d_factor is not None:
        k = triangular(factor, (s @ d_factor).T, True)       # the transposed of S dL L^-1
        ds = ds - (k + k.T)
    return ds.tri(diagonal="half")


# ---- spectra ---------------------------------------------------------------------------------------------------------

def eigh(c: Call) -> Matrix:
    """M = V.T dA V: dw is its diagonal, dV = V (M[i, j]/(w[j] - w[i]))."""
    n, upper = c.n, bool(c.form & UPPER)
    w, vt = c.y.part(0, 1, n), c.y.part(n, n, n)
    m = vt @ (c.dx[0].mirror(upper) @ vt.T)
    gaps = (w.down(n) - w.across(n)).reciprocal(w)
    return joined(m.diagonal(), (gaps * m).T @ vt)


def svd(c: Call) -> Matrix:
    """With P = U.T dA V: ds is its diagonal; dU and dV are rotations within the bases, and what leaves them."""
    m, n, k = c.m, c.n, min(c.m, c.n)
    full = bool(c.form & FULL)
    ku, kv = (m, n) if full else (k, k)
    s, ut, v = c.y.part(0, 1, k), c.y.part(k, ku, m), c.y.part(k + ku * m, n, kv)
    p = ut @ (c.dx[0] @ v)
    core = p.block(k, k)
    ps, sp = core * s.down(k), core * s.across(k)
    gaps = (s.down(k) - s.across(k)).reciprocal(s) * (s.down(k) + s.across(k)).reciprocal(s)
    inverse = s.reciprocal(s)
    du = turned(gaps * (ps + ps.T), p, inverse, ut.T, c.dx[0] @ v, full)
    dv = turned(gaps * (sp + sp.T), p.T, inverse, v, c.dx[0].T @ ut.T, full)
    return joined(p.diagonal(), du.T, dv)


def turned(rotation: Matrix, p: Matrix, inverse: Matrix, basis: Matrix, image: Matrix, full: bool) -> Matrix:
    """The tangent of one of the bases U, V of an SVD; image: dA times the other one."""
    size, k, columns = basis.rows, inverse.columns, basis.columns
    if size == k:
        return basis @ rotation
    if full:                             # the rest of the basis turns as little as it can
        out = p.block(size, k) * inverse.down(size)
        below = out - out.block(k, k).placed(size, k)
        whole = rotation.placed(size, size) + below.placed(size, size) - below.T.placed(size, size)
        return basis @ whole
    leaving = image.block(size, columns) - basis @ (basis.T @ image)
    return basis @ rotation + leaving * inverse.down(size)


# ---- least squares ---------------------------------------------------------------------------------------------------

def qr(c: Call) -> Matrix:
    """dQ = Q W + what leaves the basis, with W antisymmetric; dR = Q.T dA - W R."""
    m, n, k = c.m, c.n, min(c.m, c.n)
    columns = m if c.form & FULL else k
    q, r = c.y.part(0, columns, m).T, c.y.part(columns * m, columns, n)
    r1, da = r.block(k, k).lying(), c.dx[0]
    z = lapack("trisolve", (r1, da.block(m, k).lying().shaped(m, k)), 0, k, m, UPPER + TRANS + ROWS).shaped(m, k)
    inner = q.T @ z                      # (columns, k)
    low = inner.tri(diagonal="none")
    if columns > k:
        low = low.placed(columns, columns)
    turn = low - low.T
    dq = q @ turn
    if m > columns:
        dq = dq + (z - q @ inner)
    return joined(dq.T, (q.T @ da - turn @ r).tri(upper=True))


def pinv(c: Call) -> Matrix:
    """For constant rank: dP = -P dA P + P P.T dA.T (1 - A P) + (1 - P A) dA.T P.T P."""
    a, da, p = c.x[0], c.dx[0], c.y.shaped(c.n, c.m)
    dat_pt = da.T @ p.T
    left, right = p @ (p.T @ da.T), dat_pt @ p
    return left - (left @ a) @ p + right - p @ (a @ right) - p @ (da @ p)


def lstsq(c: Call) -> Matrix:
    """dX = P (dB - dA X) + P P.T dA.T R + (1 - P A) dA.T P.T X, with R = B - A X and the pseudo-inverse P."""
    a, rhs = c.x[0], c.x[1]
    x = c.y.shaped(c.n, c.k)
    p = lapack("pinv", (a, c.x[2]), c.m, c.n, 0).shaped(c.n, c.m)
    da = c.dx[0]
    dx: Any = None if c.dx[1] is None else p @ c.dx[1]
    if da is not None:
        inside = da.T @ (p.T @ x)
        more = p @ (p.T @ (da.T @ (rhs - a @ x))) + inside - p @ (a @ inside) - p @ (da @ x)
        dx = more if dx is None else dx + more
    return dx


TANGENTS: dict[str, Rule] = {
    "tri": tri, "fold": fold, "mirror": mirror, "lusolve": solve, "trisolve": solve, "det": det, "logdet": logdet,
    "cofactor": cofactor, "chol": chol, "cholrev": cholrev, "eigh": eigh, "svd": svd, "qr": qr, "pinv": pinv,
    "lstsq": lstsq, **banded_rules.TANGENTS,
}
ADJOINTS: dict[str, Rule] = {
    "tri": tri_adjoint, "fold": fold_adjoint, "mirror": mirror_adjoint, "lusolve": solve_adjoint,
    "trisolve": solve_adjoint, "chol": chol_adjoint, **banded_rules.ADJOINTS,
}


# ---- the small tapes -------------------------------------------------------------------------------------------------

@lru_cache(512)
def tangent_tape(attr: Any, mask: int) -> Any:
    """Operands, result, tangents of the operands in `mask` -> tangent of the result."""
    tape = T.Tape()
    call = Call(attr, tape, mask, adjoint=False)
    out = TANGENTS[attr.name](call).lying()
    tape.set_outputs([call.b.fit(out.id, T.aval(F64, attr.result()))])
    return tape.finish()


@lru_cache(512)
def adjoint_tape(attr: Any, mask: int) -> Any:
    """Operands, result, adjoint of the result -> adjoints of the operands in `mask`."""
    from fastad import _passes, _transform
    shapes = [shape for j, shape in enumerate(attr.shapes()) if mask >> j & 1]
    if attr.name in ADJOINTS:
        tape = T.Tape()
        call = Call(attr, tape, mask, adjoint=True)
        bars = ADJOINTS[attr.name](call)
        tape.set_outputs([call.b.fit(x.lying().id, T.aval(F64, shape)) for x, shape in zip(bars, shapes, strict=True)])
        return _passes.dead(tape.finish())
    both = _transform.vjp(tangent_tape(attr, mask))
    first = len(attr.shapes()) + 1       # the tangents, on which a linear rule's adjoint does not depend
    tape = _transform.fix(both, {first + j: 0.0 for j in range(len(shapes))})
    tape.set_outputs(tape.outputs[1:])
    return _passes.dead(tape)


# ---- what the transformations ask for --------------------------------------------------------------------------------

def operands(b: Any, s: Any) -> list[int]:
    """Operands and result as the small tapes of py take them."""
    shapes = s.attr.shapes()
    ids = [b.fit(x, T.aval(b.dtype(x), shape)) for x, shape in zip(s.x, shapes, strict=True)]
    return [*ids, b.fit(s.y, T.aval(F64, s.attr.result()))]


def tangent(b: Any, s: Any) -> int:
    moving = [(j, dx) for j, dx in enumerate(s.dx) if dx]
    ids = operands(b, s)
    ids += [b.fit(dx, T.aval(F64, s.attr.shapes()[j])) for j, dx in moving]
    tape = tangent_tape(s.attr, sum(1 << j for j, _ in moving))
    return b.inlined(tape, ids)[0]


def adjoint(r: Any, s: Any) -> None:
    ids = [*operands(r.b, s), r.b.fit(s.w, T.aval(F64, s.attr.result()))]
    tape = adjoint_tape(s.attr, sum(1 << j for j, active in enumerate(s.active) if active))
    bars = iter(r.b.inlined(tape, ids))
    for j, active in enumerate(s.active):
        if active:
            r.give(j, next(bars))


def batch(b: Any, s: Any) -> int:
    """A longer batch; operands that all lanes have in common stay one matrix, if there was one."""
    _, many, m, n, k, form, shared = s.attr.fields()
    dtype, shape = T.aval_of(s.aval)
    lanes = T.aval(dtype, (s.k, *shape))
    x, alike, shapes = list(s.x), 0, s.attr.shapes()
    if columns_batch(s.attr, s.batched):             # one matrix, a vector in each lane: rows of right-hand sides
        attr = T.Lapack(s.attr.name, 1, m, n, s.k * k, form | T.LAPACK_FORMS["rows"])
        return b.emit("lapack", x, lanes, attr)
    for j, own in enumerate(s.batched):
        once = bool(shared >> j & 1)
        if not own and (once or many == 1):
            alike |= 1 << j
        elif own and once:                           # shared within each lane
            size = shapes[j][1] * shapes[j][2]
            every = T.Map.view(s.k * size, (s.k, many, size), 0, (size, 0, 1))
            x[j] = b.emit("move", (x[j],), T.aval(b.dtype(x[j]), (s.k, many, size)), every)
        elif not own:
            x[j] = b.lanes(s, j)
    return b.emit("lapack", x, lanes, T.Lapack(s.attr.name, many * s.k, m, n, k, form, alike))


def columns_batch(attr: Any, batched: tuple[bool, ...]) -> bool:
    """Do lanes differ in one right-hand side only?"""
    _, batch, _, _, k, form, _ = attr.fields()
    one = k == 1 or form & T.LAPACK_FORMS["rows"]
    return attr.name in ("lusolve", "trisolve", *banded_rules.OF_COLUMNS) and batch == 1 and one and list(batched) == [
        False, True, False][:len(batched)]
