"""scipy_linalg_names.py - scipy.linalg's spellings of what is recorded under NumPy's names, and its matrix builders.

Owns: SciPy's arguments, defaults and results (which triangle, which mode, check_finite), expm, toeplitz and its kin,
and why the rest is refused.
Must not know: the routines (factorizations.py), how a call of SciPy's function finds its way here (scipy_doors.py).
Eigenvectors, singular vectors and the rows of R may differ in sign from SciPy's, which leaves the sign to chance.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad import complex_matrices, least_squares, norms, scipy_doors
from fastad import factorizations as fac
from fastad._state import wrapped_within
from fastad.complex_values import parts
from fastad.factorizations import FORM, matrices, swapped
from fastad.operands import asarray, live, refusal, shape_of


def records(function: Any) -> Any:
    """Register what records the function of scipy.linalg of the same name."""
    return scipy_doors.records("scipy.linalg", function.__name__, applies=wanted)(function)


def wanted(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Is anything traced among the arguments, or are there factors of a traced matrix?"""
    values = [*args, *kwargs.values()]
    return wrapped_within(values) == 2 or factored(values)


def checked(x: Any, check_finite: bool = True) -> Any:
    """An operand; SciPy's ValueError where it is not finite, at a replay too."""
    x = matrices(x)
    if check_finite and not bool(np.isfinite(x).all()):
        raise ValueError("array must not contain infs or NaNs")
    return x


def complexes(what: str, check_finite: bool, *operands: Any, assumed: Any = None) -> bool:
    """Is an operand complex?  Then all are looked through; a structure that is assumed is refused."""
    operands = tuple(map(asarray, operands))
    if not T.complex_among(*operands):
        return False
    if assumed not in (None, "gen", "general"):
        raise refusal(f"scipy.linalg.{what}", f"assume_a={assumed!r} of a complex matrix is not recorded; leave it out")
    for part in [part for x in operands for part in parts(x) if part is not None]:
        checked(live(part), check_finite)
    return True


def square(a: Any) -> tuple[Any, int]:
    """(a, its size), or SciPy's error."""
    shape = shape_of(a)
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise ValueError(f"Expected a square matrix, got shape {shape}")
    return a, shape[-1]


def fitting(b: Any, n: int) -> bool:
    """Is b one vector?  Raises where it does not go with n equations."""
    shape = shape_of(b)
    vector = len(shape) == 1
    if not shape or shape[0 if vector else -2] != n:
        raise ValueError(f"incompatible dimensions: {n} equations, and a right-hand side of shape {shape}")
    return vector


# ---- systems of equations --------------------------------------------------------------------------------------------

@records
def cholesky(a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """Factor of a positive definite matrix, from the triangle that `lower` names."""
    if complexes("cholesky", check_finite, a):
        return complex_matrices.cholesky(a, upper=not lower)
    a, _ = square(checked(a, check_finite))
    return fac.cholesky(a, upper=not lower)


@records
def cho_factor(a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """Cholesky factor for cho_solve; the other triangle is 0 here."""
    return cholesky(a, lower, check_finite=check_finite), lower


@records
def cho_solve(c_and_lower: Any, b: Any, overwrite_b: bool = False, check_finite: bool = True) -> Any:
    """Solve by a Cholesky factor."""
    c, lower = c_and_lower
    c, n = square(checked(c, check_finite))
    b = checked(b, check_finite)
    vector = fitting(b, n)
    return triangular(c, triangular(c, b, vector, lower, not lower), vector, lower, bool(lower))


def triangular(a: Any, b: Any, vector: bool, lower: Any, trans: bool, unit: bool = False) -> Any:
    """Solve by a triangle; a matrix that lies transposed in memory is read as it lies."""
    n = shape_of(a)[-1]
    a, flipped = fac.lying(a)
    upper = bool(lower) == flipped
    form = FORM["upper"] * upper + FORM["trans"] * (trans != flipped) + FORM["unit"] * unit
    return fac.triangular(a, b, n, vector, form)


@records
def solve_triangular(a: Any, b: Any, trans: Any = 0, lower: bool = False, unit_diagonal: bool = False,
                     overwrite_b: bool = False, check_finite: bool = True) -> Any:
    """Solve a triangular system of equations."""
    a, n = square(checked(a, check_finite))
    b = checked(b, check_finite)
    trans = {"N": 0, "T": 1, "C": 2}.get(trans, trans)
    return triangular(a, b, fitting(b, n), lower, trans in (1, 2), bool(unit_diagonal))


@records
def solve(a: Any, b: Any, lower: bool = False, overwrite_a: bool = False, overwrite_b: bool = False,
          check_finite: bool = True, assume_a: Any = None, transposed: bool = False) -> Any:
    """Solve a system of equations; by the Cholesky factor for assume_a='pos', by the LU factors of what it names."""
    if complexes("solve", check_finite, a, b, assumed=assume_a):
        if transposed:
            scipy_doors.plain("scipy.linalg", "solve", a, b, transposed=True)       # SciPy's own error
        return complex_matrices.solve(asarray(a), asarray(b))
    a, n = square(checked(a, check_finite))
    b = checked(b, check_finite)
    vector = fitting(b, n)
    kind = {None: "general", "gen": "general", "pos": "positive definite", "sym": "symmetric", "her": "symmetric",
            "hermitian": "symmetric"}.get(assume_a, assume_a)
    if kind == "positive definite":
        return cho_solve((fac.cholesky(a, upper=not lower), lower), b, check_finite=False)
    if kind in ("upper triangular", "lower triangular"):
        return triangular(a, b, vector, kind[0] == "l", transposed)
    if kind == "symmetric":
        a = mirrored(a, n, lower)
    elif kind not in ("general", "diagonal", "tridiagonal", "banded"):
        raise ValueError(f"{assume_a} is not a recognized matrix structure")
    return fac.solution(a, fac.lu(a, n), b, n, vector, FORM["trans"] * bool(transposed))


def mirrored(a: Any, n: int, lower: bool) -> Any:
    """The symmetric matrix of one triangle."""
    return fac.call("mirror", (a,), (0, n, 0), 0 if lower else FORM["upper"], (n, n))


class Factors:
    """What lu_factor gives: for lu_solve alone."""

    def __init__(self, a: Any, factors: Any) -> None:
        self.a, self.factors = a, factors

    def refused(self, *args: Any, **kwargs: Any) -> Any:
        """What everything else does."""
        raise refusal("scipy.linalg.lu_factor", "the factors of a traced matrix serve lu_solve alone; for their "
                      "elements there is no rule, for a determinant take np.linalg.slogdet")

    __getattr__ = refused


for _name in ("array", "array_ufunc", "len", "getitem", "iter", "add", "sub", "mul", "matmul", "neg", "radd", "rmul",
              "rmatmul"):
    setattr(Factors, f"__{_name}__", Factors.refused)


def factored(values: list[Any]) -> bool:
    """Are factors of a traced matrix among the arguments of a call?"""
    return any(type(x) is tuple and len(x) == 2 and isinstance(x[0], Factors) for x in values)


@records
def lu_factor(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """LU factors for lu_solve."""
    a, n = square(checked(a, check_finite))
    found = Factors(a, fac.lu(a, n))
    return found, found


@records
def lu_solve(lu_and_piv: Any, b: Any, trans: Any = 0, overwrite_b: bool = False, check_finite: bool = True) -> Any:
    """Solve by the factors of lu_factor."""
    found = lu_and_piv[0]
    b = checked(b, check_finite)
    if not isinstance(found, Factors):   # of a constant matrix, made outside
        lu, piv = np.asarray(found), np.asarray(lu_and_piv[1])
        order = np.arange(len(lu))
        for i, j in enumerate(piv):
            order[[i, j]] = order[[j, i]]
        low, back = np.tril(lu, -1) + np.eye(len(lu)), np.argsort(order)
        return solve((low @ np.triu(lu))[back], b, transposed=trans in (1, 2), check_finite=False)
    n = shape_of(found.a)[-1]
    return fac.solution(found.a, found.factors, b, n, fitting(b, n), FORM["trans"] * (trans in (1, 2)))


@records
def inv(a: Any, overwrite_a: bool = False, check_finite: bool = True, *, assume_a: Any = None,
        lower: bool = False) -> Any:
    """Inverse."""
    if complexes("inv", check_finite, a, assumed=assume_a):
        return complex_matrices.inv(a)
    a, n = square(checked(a, check_finite))
    if assume_a in ("pos", "positive definite", "sym", "symmetric", "her", "hermitian"):
        a = mirrored(a, n, lower)
    return fac.inv(a)


@records
def det(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """Determinant."""
    if complexes("det", check_finite, a):
        return complex_matrices.det(a)
    return fac.det(square(checked(a, check_finite))[0])


# ---- spectra ---------------------------------------------------------------------------------------------------------

@records
def eigh(a: Any, b: Any = None, *, lower: bool = True, eigvals_only: bool = False, overwrite_a: bool = False,
         overwrite_b: bool = False, type: int = 1, check_finite: bool = True, subset_by_index: Any = None,
         subset_by_value: Any = None, driver: Any = None) -> Any:
    """Eigenvalues and -vectors of a symmetric matrix, or of a pair of them: A v = w B v."""
    if subset_by_value is not None or type != 1:
        raise refusal("scipy.linalg.eigh", "subset_by_value and types 2 and 3 are not recorded; select afterwards")
    a, n = square(checked(a, check_finite))
    if b is not None:
        factor = fac.cholesky(square(checked(b, check_finite))[0], upper=not lower)
        factor = factor if lower else swapped(factor)
        a = mirrored(a, n, lower)
        half = triangular(factor, a, False, True, False)
        a = triangular(factor, swapped(half), False, True, False)
    w, v = fac.eigh(a, "L" if lower else "U")
    v = v if b is None else triangular(factor, v, False, True, True)
    if subset_by_index is not None:
        low, high = subset_by_index
        w, v = w[..., low:high + 1], v[..., low:high + 1]
    return w if eigvals_only else (w, v)


@records
def eigvalsh(a: Any, b: Any = None, **kwargs: Any) -> Any:
    """Eigenvalues of a symmetric matrix."""
    return eigh(a, b, eigvals_only=True, **kwargs)


@records
def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, overwrite_a: bool = False,
        check_finite: bool = True, lapack_driver: str = "gesdd") -> Any:
    """Singular value decomposition."""
    y = fac.svd(checked(a, check_finite), full_matrices, compute_uv)
    return tuple(y) if compute_uv else y


@records
def svdvals(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """Singular values."""
    if complexes("svdvals", check_finite, a):
        return complex_matrices.svdvals(a)
    return svd(a, compute_uv=False, check_finite=check_finite)


@records
def qr(a: Any, overwrite_a: bool = False, lwork: Any = None, mode: str = "full", pivoting: bool = False,
       check_finite: bool = True) -> Any:
    """QR decomposition; modes full, economic and r."""
    if pivoting or mode not in ("full", "economic", "r"):
        raise refusal("scipy.linalg.qr", "modes full, economic and r are recorded, without pivoting")
    a = checked(a, check_finite)
    q, r = fac.qr(a, "reduced" if mode == "economic" else "complete")
    return (r,) if mode == "r" else (q, r)


@records
def lstsq(a: Any, b: Any, cond: Any = None, overwrite_a: bool = False, overwrite_b: bool = False,
          check_finite: bool = True, lapack_driver: Any = None) -> Any:
    """Least squares; the shortest solution."""
    if complexes("lstsq", check_finite, a, b):
        x, residuals, rank, s = complex_matrices.lstsq(a, b, least_squares.EPS if cond is None else cond)
        return x, residuals[0] if len(shape_of(b)) == 1 and np.size(residuals) == 1 else residuals, rank, s
    a, b = checked(a, check_finite), checked(b, check_finite)
    x, residuals, rank, s = least_squares.lstsq(a, b, least_squares.EPS if cond is None else cond)
    if len(shape_of(b)) == 1 and np.size(residuals) == 1:
        residuals = residuals[0]
    return x, residuals, rank, s


@records
def pinv(a: Any, *, atol: Any = None, rtol: Any = None, return_rank: bool = False, check_finite: bool = True) -> Any:
    """Pseudo-inverse."""
    if atol:
        raise refusal("scipy.linalg.pinv", "atol is not recorded; use rtol, relative to the largest singular value")
    a = checked(a, check_finite)
    y = least_squares.pinv(a, rtol=rtol)
    return (y, int(least_squares.matrix_rank(a, rtol=rtol))) if return_rank else y


@records
def norm(a: Any, ord: Any = None, axis: Any = None, keepdims: bool = False, check_finite: bool = True) -> Any:
    """np.linalg.norm."""
    return norms.norm(checked(a, check_finite), ord, axis, keepdims)


# ---- the exponential of a matrix -------------------------------------------------------------------------------------
_THETA = 5.371920351148152               # N. Higham, SIAM J. Matrix Anal. Appl. 26, 1179 (2005), table 2.3
_PADE = (64764752532480000., 32382376266240000., 7771770303897600., 1187353796428800., 129060195264000.,
         10559470521600., 670442572800., 33522128640., 1323241920., 40840800., 960960., 16380., 182., 1.)


@records
def expm(A: Any) -> Any:
    """By scaling, the Pade approximant of order 13, and squaring (Higham 2005); the scaling is a guarded number."""
    if complexes("expm", False, A):
        n = complex_matrices.square(A)
        return complex_matrices.above_below(expm(complex_matrices.doubled(A))[..., :n], n)
    a, n = fac.squares(A)
    a = a * 1.0
    size = np.max(np.sum(np.abs(a), axis=-2), initial=0.0)
    size = np.where(np.isfinite(size), size, 0.0)
    squarings = int(np.ceil(np.log2(np.maximum(size / _THETA, 1.0))))
    a = a / 2.0**squarings
    one, c = np.eye(n), _PADE
    a2 = a @ a
    a4 = a2 @ a2
    a6 = a4 @ a2
    u = a @ (a6 @ (c[13] * a6 + c[11] * a4 + c[9] * a2) + c[7] * a6 + c[5] * a4 + c[3] * a2 + c[1] * one)
    v = a6 @ (c[12] * a6 + c[10] * a4 + c[8] * a2) + c[6] * a6 + c[4] * a4 + c[2] * a2 + c[0] * one
    y = fac.solve(v - u, v + u)
    for _ in range(squarings):
        y = y @ y
    return y


# ---- matrices of few numbers -----------------------------------------------------------------------------------------

@records
def block_diag(*arrs: Any) -> Any:
    """Blocks on the diagonal."""
    blocks = [np.atleast_2d(matrices(x)) for x in arrs]
    if any(x.ndim != 2 for x in blocks):
        raise refusal("scipy.linalg.block_diag", "stacks of blocks are not recorded; write them into np.zeros")
    y = T.wrap(np.zeros(tuple(sum(x.shape[d] for x in blocks) for d in (0, 1))))
    row = column = 0
    for x in blocks:
        y[row:row + x.shape[0], column:column + x.shape[1]] = x
        row, column = row + x.shape[0], column + x.shape[1]
    return y


def vector(x: Any, name: str) -> Any:
    """A 1-D operand."""
    x = asarray(x)
    if x.ndim != 1:
        raise refusal(f"scipy.linalg.{name}", "stacks are not recorded; pass one vector")
    return x


@records
def toeplitz(c: Any, r: Any = None) -> Any:
    """First column c, first row r."""
    c = vector(c, "toeplitz")
    r = c if r is None else vector(r, "toeplitz")
    numbers = np.concatenate((c[::-1], r[1:]))
    return numbers[len(c) - 1 - np.arange(len(c))[:, None] + np.arange(len(r))]


@records
def hankel(c: Any, r: Any = None) -> Any:
    """First column c, last row r (by default zeros)."""
    c = vector(c, "hankel")
    r = np.zeros(len(c)) if r is None else vector(r, "hankel")
    return np.concatenate((c, r[1:]))[np.arange(len(c))[:, None] + np.arange(len(r))]


@records
def circulant(c: Any) -> Any:
    """First column c, turned round."""
    c = vector(c, "circulant")
    at = np.arange(len(c))
    return c[(at[:, None] - at) % len(c)]


# ---- refused ---------------------------------------------------------------------------------------------------------
_COMPLEX = "its results may be complex numbers, which are not recorded yet; of a symmetric matrix take eigh"
_BANDS = "of band storage solve_banded and solveh_banded are recorded; write the matrix out for cholesky or eigh"
REFUSED = {
    **dict.fromkeys(("eig", "eigvals", "schur", "qz", "ordqz", "hessenberg", "sqrtm", "logm", "funm", "signm",
                     "fractional_matrix_power", "polar", "cosm", "sinm", "tanm", "coshm", "sinhm", "tanhm"), _COMPLEX),
    **dict.fromkeys(("cholesky_banded", "cho_solve_banded", "eig_banded",
                     "eigvals_banded", "eigh_tridiagonal", "eigvalsh_tridiagonal"), _BANDS),
    **dict.fromkeys(("solve_toeplitz", "solve_circulant", "matmul_toeplitz"),
                    "write the matrix out, scipy.linalg.toeplitz(c), and use solve or @"),
    **dict.fromkeys(("ldl", "lu", "cossin", "rq", "null_space", "orth", "subspace_angles", "orthogonal_procrustes",
                     "pinvh", "expm_frechet", "expm_cond", "qr_multiply", "solve_sylvester",
                     "solve_continuous_lyapunov", "solve_discrete_lyapunov", "solve_continuous_are",
                     "solve_discrete_are", "companion", "khatri_rao", "convolution_matrix"),
                    "not recorded; write it with svd, qr, eigh, solve or cholesky, or wrap it with ad.primitive"),
}


def _refusing(name: str, why: str) -> Callable[..., Any]:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise refusal(f"scipy.linalg.{name}", why)
    return refuse


for _name, _why in REFUSED.items():
    scipy_doors.records("scipy.linalg", _name)(_refusing(_name, _why))
