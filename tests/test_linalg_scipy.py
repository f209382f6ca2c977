"""scipy.linalg in unmodified code: its functions record under whatever name they were imported, or say why not.

Owns: SciPy's arguments and results.  Next: test_banded.py (band storage), test_linalg.py (the routines),
test_linalg_accuracy.py (80 digits).
"""
import numpy as np
import pytest
import scipy.linalg as sl
from scipy.linalg import cho_factor, cho_solve, solve_triangular

import fastad as ad
from fastad import scipy_doors, scipy_linalg_names  # noqa: F401  (registers the rules)

rng = np.random.default_rng(3)
N = 5
A = rng.normal(size=(N, N))
S = (A @ A.T + np.eye(N)) / 5
W = rng.normal(size=(N, N))
b = rng.normal(size=N)


def sin(x):
    return np.sin(x) * np.cos(np.arange(np.size(x))).reshape(np.shape(x))


def spectrum(r):
    return sin(r[0]).sum() + (r[1]**2 * W).sum()


def triangles(x):
    return sum(sin(solve_triangular(x, c, trans=t, lower=low, unit_diagonal=unit)).sum()
               for t in (0, 1, "T") for low in (False, True) for unit in (False, True) for c in (b, x[0], x.T))


CASES = {
    "cholesky": lambda x: sin(sl.cholesky(x + x.T, lower=True)).sum() + sin(sl.cholesky(x)).sum(),
    "cho_solve": lambda x: sin(cho_solve(cho_factor(x), b)).sum() + sin(cho_solve(cho_factor(x, lower=True), W)).sum(),
    "cho_solve of constant factors": lambda x: sin(cho_solve(cho_factor(S), x)).sum(),
    "solve_triangular": triangles,
    "solve_triangular, transposed": lambda x: triangles(x.T),
    "solve": lambda x: sum(sin(sl.solve(x + x.T, b, assume_a=kind)).sum() for kind in (
        None, "gen", "pos", "sym", "positive definite", "symmetric", "upper triangular", "lower triangular", "banded")),
    "solve, lower and transposed": lambda x: sin(sl.solve(x + W * 0.1, W, transposed=True)).sum() + sin(
        sl.solve(x + W * 0.01, b, lower=True, assume_a="sym")).sum(),
    "lu_solve": lambda x: (lambda f: sin(sl.lu_solve(f, b)).sum() + sin(sl.lu_solve(f, W, trans=1)).sum())(
        sl.lu_factor(x + W * 0.1)),
    "lu_solve of constant factors": lambda x: sin(sl.lu_solve(sl.lu_factor(W), x)).sum() + sin(
        sl.lu_solve(sl.lu_factor(W), x[0], 1)).sum(),
    "inv and det": lambda x: sin(sl.inv(x)).sum() + sl.det(x) + sin(sl.det(np.stack([x, W]))).sum(),
    "eigh": lambda x: spectrum(sl.eigh(x + x.T)) + spectrum(sl.eigh(x, lower=False)),
    "eigvalsh": lambda x: sin(sl.eigvalsh(x)).sum() + sl.eigh(x, subset_by_index=[1, 2], eigvals_only=True)[0],
    "eigh of a pair": lambda x: spectrum(sl.eigh(W + W.T, x + x.T)) + spectrum(sl.eigh(W + W.T, x, lower=False)),
    "svd": lambda x: sl.svd(x)[1][0] + sin(sl.svdvals(x)).sum() + sin(sl.svd(x[:3], full_matrices=False)[2]**2).sum(),
    "qr": lambda x: sin(sl.qr(x[:, :3])[0][:, :3]**2).sum() + sin(sl.qr(x, mode="r")[0]**2).sum() + sin(
        sl.qr(x[:, :3], mode="economic")[1]**2).sum(),
    "lstsq": lambda x: sin(sl.lstsq(x[:, :3], b)[0]).sum() + sl.lstsq(x[:, :3], b)[1] + sl.lstsq(x[:, :3], W)[1].sum(),
    "pinv and norm": lambda x: sin(sl.pinv(x[:, :3])).sum() + sl.norm(x) + sl.norm(x, 2) + sl.pinv(
        x[:, :3], return_rank=True)[1],
    "expm": lambda x: sin(sl.expm(x)).sum() + sin(sl.expm(np.stack([x / 50, x.T]))).sum() + np.log(
        np.trace(sl.expm(9 * x))),
    "builders": lambda x: sin(sl.block_diag(x, x[0], 2.0, W)).sum() + sin(sl.toeplitz(x[0])).sum() + sin(
        sl.toeplitz(x[0], x[1, :3])).sum() + sin(sl.hankel(x[0], x[1])).sum() + sin(sl.hankel(x[0])).sum() + sin(
        sl.circulant(x[0])).sum(),
}


@pytest.mark.parametrize("name", CASES)
def test_recorded(name):
    f = CASES[name]
    tape = ad.record(f, S)
    for x in (S, S * 1.01 + np.eye(N) / 50):
        np.testing.assert_allclose(tape(x), f(x), rtol=1e-9)
    ad.check_derivatives(f, S, directions=1).raise_if_failed()


def test_every_name_is_accounted_for():
    """What takes a matrix and is not recorded is refused by name."""
    functions = {name for name in sl.__all__ if type(getattr(sl, name)).__name__ == "function"}
    constant = {"bandwidth", "cdf2rdf", "clarkson_woodruff_transform", "dft", "diagsvd", "fiedler", "fiedler_companion",
                "find_best_blas_type", "get_blas_funcs", "get_lapack_funcs", "hadamard", "helmert", "hilbert",
                "invhilbert", "invpascal", "ishermitian", "issymmetric", "leslie", "matrix_balance", "pascal",
                "qr_delete", "qr_insert", "qr_update", "rsf2csf", "solve_lyapunov"}
    assert functions - constant <= set(scipy_doors.RULES["scipy.linalg"])


@pytest.mark.parametrize("f, says", [
    (sl.sqrtm, "complex"), (sl.eigvals, "complex"), (lambda x: sl.lu_factor(x)[0] + 1, "lu_solve alone"),
    (lambda x: sl.lu(x)[2], "svd, qr"), (lambda x: sl.cholesky_banded(x[:3]), "band storage"),
    (lambda x: sl.qr(x, pivoting=True)[0], "pivoting"), (lambda x: sl.eigh(x, x, type=2)[0], "types 2 and 3"),
    (lambda x: sl.pinv(x, atol=0.1), "atol"), (lambda x: sl.toeplitz(x), "stacks")])
def test_refused(f, says):
    with pytest.raises(ad.UnsupportedError, match=f"test_linalg_scipy.py:.*{says}"):
        ad.grad(lambda x: f(x))(S)


@pytest.mark.parametrize("f", [
    lambda x: sl.cholesky(x).sum(), lambda x: sl.solve(x, b).sum(), lambda x: sl.expm(x[:2]).sum(),
    lambda x: sl.inv(x).sum(), lambda x: sl.solve_triangular(x, b).sum(), lambda x: sl.svdvals(x).sum()])
def test_errors_are_of_scipys_kind(f):
    for bad in (np.full((N, N), np.nan), -S * np.diag([1, 1, 1, 1, 0]), S[:, :3]):
        try:
            f(bad)
        except Exception as error:
            with pytest.raises(type(error)):
                ad.record(f, bad)


def test_not_finite_at_a_replay():
    g = ad.grad(lambda x: sl.cholesky(x).sum())
    g(S)
    with pytest.raises(ValueError, match="infs or NaNs"):
        g(np.full((N, N), np.nan))
    tape = ad.record(lambda x: sl.cholesky(x, check_finite=False).sum(), S)
    assert np.isnan(tape(np.full((N, N), np.nan)))


def test_scipy_is_as_before():
    """Outside of a recording, and inside of one on plain arrays, SciPy itself computes."""
    before = sl.cholesky(S, lower=True)

    def f(x):
        return (sl.cholesky(S, lower=True) * x).sum()
    np.testing.assert_array_equal(ad.grad(f)(A), before)
    assert "scipy" in sl.cholesky.__code__.co_filename


def test_log_likelihood():
    """A Gaussian process in the textbook's words: the gradient is that of the formula with traces."""
    t = np.linspace(0.0, 4.0, 30)
    y = np.sin(t)
    squares = (t[:, None] - t)**2

    def kernel(p):
        return np.exp(p[0] - squares * np.exp(-2 * p[1])) + np.exp(p[2]) * np.eye(len(t))

    def f(p):
        c = cho_factor(kernel(p), lower=True)
        return 0.5 * y @ cho_solve(c, y) + np.log(np.diag(c[0])).sum()
    p = np.array([0.1, -0.2, -2.0])
    inverse = np.linalg.inv(kernel(p))
    alpha = inverse @ y
    parts = [kernel(p) - np.exp(p[2]) * np.eye(30), 2 * squares * np.exp(-2 * p[1]) * (
        kernel(p) - np.exp(p[2]) * np.eye(30)), np.exp(p[2]) * np.eye(30)]
    want = [0.5 * np.trace(inverse @ k) - 0.5 * alpha @ k @ alpha for k in parts]
    np.testing.assert_allclose(ad.grad(f)(p), want, rtol=1e-9)
    ad.check_derivatives(f, p).raise_if_failed()
