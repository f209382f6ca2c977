"""Dense linear algebra against 80-digit arithmetic: first and second derivatives at three sizes, one ill-conditioned.

Owns: the table of functions that are listed as recorded; a function without a row here is not listed.
Next: test_linalg.py (forms, stacks, failures), test_linalg_scipy.py (scipy.linalg's names).
"""
import zlib

import mpmath
import numpy as np
import pytest
import scipy.linalg

import fastad as ad

mp = mpmath.mp
LA = np.linalg
SIZES = {"2": (2, 10.0), "4": (4, 10.0), "6, ill-conditioned": (6, 1e5)}


def weights(*shape):
    """Fixed numbers of no particular kind."""
    return np.sin(1.0 + 1.7 * np.arange(int(np.prod(shape)))).reshape(shape)


def weighted(x):
    """A sum of NumPy's or mpmath's elements with these weights."""
    if isinstance(x, mpmath.matrix):
        w = weights(x.rows, x.cols)
        return mp.fsum(w[i, j] * x[i, j] for i in range(x.rows) for j in range(x.cols))
    return np.sum(weights(*np.shape(x)).reshape(np.shape(x)) * x)


def column(values):
    return mpmath.matrix([[v] for v in values])


def squared(x):
    """Elements squared: free of the signs that a factorization leaves open."""
    return x.apply(lambda v: v * v) if isinstance(x, mpmath.matrix) else x**2


def spd(x):
    eye = mp.eye(x.rows) if isinstance(x, mpmath.matrix) else np.eye(len(x))
    return x * x.T + eye / 8 if isinstance(x, mpmath.matrix) else x @ x.T + eye / 8


def tall(x):
    return x[:, :max(1, (x.cols if isinstance(x, mpmath.matrix) else x.shape[1]) - 2)]


def wide(x):
    return tall(x).T


def mp_eigh(x):
    """w as a column, vectors, in ascending order."""
    w, v = mp.eigsy(x)
    order = sorted(range(len(w)), key=lambda k: w[k])
    return column([w[k] for k in order]), mpmath.matrix([[v[i, k] for k in order] for i in range(x.rows)])


def mp_svd(x):
    u, s, v = mp.svd_r(x, full_matrices=False)
    return u, column(list(s)), v


def mp_pinv(x):
    return (x.T * x)**-1 * x.T if x.rows >= x.cols else x.T * (x * x.T)**-1


def mp_qr(x):
    return mp.qr(x, mode="skinny")


def stored(x, *rows, more=0):
    """Rows of x as the diagonals of a band, `more` added to the first of them."""
    if isinstance(x, mpmath.matrix):
        return mpmath.matrix([[x[r, j] + more * (k == 0) for j in range(x.cols)] for k, r in enumerate(rows)])
    return np.stack([x[r] + more * (k == 0) for k, r in enumerate(rows)])


def band_of(ab, lower):
    """The matrix that SciPy stores so, with so many diagonals below the main one."""
    m, n = (ab.rows, ab.cols) if isinstance(ab, mpmath.matrix) else ab.shape
    upper = m - 1 - lower
    rows = [[ab[upper + i - j, j] if -upper <= i - j <= lower else 0 for j in range(n)] for i in range(n)]
    return mpmath.matrix(rows) if isinstance(ab, mpmath.matrix) else np.array(rows)


def half_of(ab):
    """The symmetric matrix of which ab stores the lower half."""
    m = ab.rows if isinstance(ab, mpmath.matrix) else len(ab)
    low = band_of(ab, m - 1)
    size = low.rows if isinstance(low, mpmath.matrix) else len(low)
    rows = [[low[max(i, j), min(i, j)] for j in range(size)] for i in range(size)]
    return mpmath.matrix(rows) if isinstance(ab, mpmath.matrix) else np.array(rows)


def rhs(n, k):
    return weights(n, k) + 0.25


def mp_rhs(n, k):
    return mpmath.matrix(rhs(n, k).tolist())


def eigh_sum(w, v):
    return weighted(w) + weighted(squared(v))


def svd_sum(u, s, v):
    return weighted(squared(u)) + weighted(s) + weighted(squared(v))


def vandermonde(x, degree):
    return mpmath.matrix([[x[0, i]**(degree - j) for j in range(degree + 1)] for i in range(x.cols)])


# name: (NumPy, mpmath, what the condition number is of, its power in the error)
CASES = {
    "solve": (lambda x: weighted(LA.solve(x, rhs(len(x), 2))),
              lambda x: weighted(x**-1 * mp_rhs(x.rows, 2)), None, 1),
    "solve for a vector": (lambda x: weighted(LA.solve(x, x[0])[:, None]),
                           lambda x: weighted(x**-1 * x[0, :].T), None, 1),
    "inv": (lambda x: weighted(LA.inv(x)), lambda x: weighted(x**-1), None, 1),
    "det": (lambda x: LA.det(x), lambda x: mp.det(x), None, 1),
    "slogdet": (lambda x: LA.slogdet(x)[1], lambda x: mp.log(abs(mp.det(x))), None, 1),
    "cholesky": (lambda x: weighted(LA.cholesky(spd(x))), lambda x: weighted(mp.cholesky(spd(x))), spd, 1),
    "cholesky upper": (lambda x: weighted(LA.cholesky(spd(x), upper=True)),
                       lambda x: weighted(mp.cholesky(spd(x)).T), spd, 1),
    "eigvalsh": (lambda x: weighted(LA.eigvalsh(x + x.T)[:, None]), lambda x: weighted(mp_eigh(x + x.T)[0]), None, 1),
    "eigh": (lambda x: (lambda r: eigh_sum(r[0][:, None], r[1]))(LA.eigh(x + x.T, UPLO="U")),
             lambda x: eigh_sum(*mp_eigh(x + x.T)), None, 1),
    "svd": (lambda x: (lambda r: svd_sum(r[0], r[1][:, None], r[2]))(LA.svd(x)),
            lambda x: svd_sum(*mp_svd(x)), None, 1),
    "svd of a tall matrix": (lambda x: (lambda r: svd_sum(r[0], r[1][:, None], r[2]))(LA.svd(tall(x), False)),
                             lambda x: svd_sum(*mp_svd(tall(x))), None, 1),
    "svd of a wide matrix": (lambda x: (lambda r: svd_sum(r[0], r[1][:, None], r[2]))(LA.svd(wide(x), False)),
                             lambda x: svd_sum(*mp_svd(wide(x))), None, 1),
    "svdvals": (lambda x: weighted(LA.svdvals(x)[:, None]), lambda x: weighted(mp_svd(x)[1]), None, 1),
    "qr": (lambda x: (lambda r: weighted(squared(r[0])) + weighted(squared(r[1])))(LA.qr(x)),
           lambda x: (lambda r: weighted(squared(r[0])) + weighted(squared(r[1])))(mp_qr(x)), None, 1),
    "qr of a tall matrix": (lambda x: (lambda r: weighted(squared(r[0])) + weighted(squared(r[1])))(LA.qr(tall(x))),
                            lambda x: (lambda r: weighted(squared(r[0])) + weighted(squared(r[1])))(mp_qr(tall(x))),
                            None, 1),
    "lstsq": (lambda x: weighted(LA.lstsq(tall(x), rhs(len(x), 2))[0]),
              lambda x: weighted(mp_pinv(tall(x)) * mp_rhs(x.rows, 2)), None, 2),
    "lstsq, underdetermined": (lambda x: weighted(LA.lstsq(wide(x), rhs(wide(x).shape[0], 2))[0]),
                               lambda x: weighted(mp_pinv(wide(x)) * mp_rhs(wide(x).rows, 2)), None, 2),
    "pinv": (lambda x: weighted(LA.pinv(tall(x))), lambda x: weighted(mp_pinv(tall(x))), None, 2),
    "pinv of a wide matrix": (lambda x: weighted(LA.pinv(wide(x))), lambda x: weighted(mp_pinv(wide(x))), None, 2),
    "norm nuc": (lambda x: LA.norm(x, "nuc"), lambda x: mp.fsum(mp_svd(x)[1]), None, 1),
    "norm 2": (lambda x: LA.norm(x, 2), lambda x: mp_svd(x)[1][0], None, 1),
    "norm -2": (lambda x: LA.norm(x, -2), lambda x: mp_svd(x)[1][x.rows - 1], None, 1),
    "norm fro": (lambda x: LA.norm(x), lambda x: mp.sqrt(mp.fsum(v * v for v in x)), None, 1),
    "norm 1": (lambda x: LA.norm(x, 1),
               lambda x: max(mp.fsum(abs(x[i, j]) for i in range(x.rows)) for j in range(x.cols)), None, 1),
    "norm -inf": (lambda x: LA.norm(x, -np.inf),
                  lambda x: min(mp.fsum(abs(x[i, j]) for j in range(x.cols)) for i in range(x.rows)), None, 1),
    "cond": (lambda x: LA.cond(x), lambda x: mp_svd(x)[1][0] / mp_svd(x)[1][x.rows - 1], None, 1),
    "matrix_power": (lambda x: weighted(LA.matrix_power(x, -3)), lambda x: weighted(x**-3), None, 3),
    "multi_dot": (lambda x: weighted(LA.multi_dot([x, x.T, x])), lambda x: weighted(x * x.T * x), None, 1),
    "polyfit": (lambda x: weighted(np.polyfit(x[0], x[1], 1)[:, None]),
                lambda x: weighted(mp_pinv(vandermonde(x, 1)) * x[1, :].T),
                lambda x: np.vander(x[0], 2), 2),
    "poly": (lambda x: weighted(np.poly(x[0])[1:3, None]),
             lambda x: weighted(column([-mp.fsum(x[0, :]), mp.fsum(x[0, i] * x[0, j] for i in range(x.cols)
                                                                   for j in range(i))])), None, 0),
    "scipy cho_solve": (lambda x: weighted(scipy.linalg.cho_solve(scipy.linalg.cho_factor(spd(x)), rhs(len(x), 2))),
                        lambda x: weighted(spd(x)**-1 * mp_rhs(x.rows, 2)), spd, 1),
    "scipy solve_triangular": (
        lambda x: weighted(scipy.linalg.solve_triangular(x, rhs(len(x), 2), lower=True, trans=1)),
        lambda x: weighted(mpmath.matrix([[x[i, j] if j <= i else 0 for j in range(x.cols)]
                                          for i in range(x.rows)]).T**-1 * mp_rhs(x.rows, 2)), np.tril, 1),
    "scipy solve_banded": (lambda x: weighted(scipy.linalg.solve_banded((1, len(x) - 2), x, rhs(len(x), 2))),
                           lambda x: weighted(band_of(x, 1)**-1 * mp_rhs(x.rows, 2)), lambda x: band_of(x, 1), 1),
    "scipy solve_banded, tridiagonal": (
        lambda x: weighted(scipy.linalg.solve_banded((1, 1), stored(x, 0, 1, 0), rhs(len(x), 2))),
        lambda x: weighted(band_of(stored(x, 0, 1, 0), 1)**-1 * mp_rhs(x.rows, 2)),
        lambda x: band_of(stored(x, 0, 1, 0), 1), 1),
    "scipy solveh_banded": (
        lambda x: weighted(scipy.linalg.solveh_banded(stored(x, 0, 1, 0, more=6), rhs(len(x), 2), lower=True)),
        lambda x: weighted(half_of(stored(x, 0, 1, 0, more=6))**-1 * mp_rhs(x.rows, 2)),
        lambda x: half_of(stored(x, 0, 1, 0, more=6)), 1),
    "scipy solveh_banded, tridiagonal": (
        lambda x: weighted(scipy.linalg.solveh_banded(stored(x, 0, 1, more=6), rhs(len(x), 2), lower=True)),
        lambda x: weighted(half_of(stored(x, 0, 1, more=6))**-1 * mp_rhs(x.rows, 2)),
        lambda x: half_of(stored(x, 0, 1, more=6)), 1),
    "scipy expm": (lambda x: weighted(scipy.linalg.expm(x)), lambda x: weighted(mp.expm(x)), None, 0),
}


def matrix(n, condition, name):
    """With singular values from 1 down to 1/condition, and elements that depend on the name."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    u, v = (LA.qr(rng.normal(size=(n, n)))[0] for _ in range(2))
    return u * np.geomspace(1.0, 1 / condition, n) @ v


def exact(f, x, v):
    """First and second derivative along v, by differences of 80 digits."""
    with mp.workdps(80):
        h = mp.mpf(10)**-20
        x, v = mpmath.matrix(x.tolist()), mpmath.matrix(v.tolist())
        low, mid, high = f(x - h * v), f(x), f(x + h * v)
        return float((high - low) / (2 * h)), float((high - 2 * mid + low) / h**2)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", CASES)
def test_first_and_second_order(name, size):
    f, reference, of, power = CASES[name]
    x = matrix(*SIZES[size], name)
    v = np.random.default_rng(1).normal(size=x.shape)
    first, second = exact(reference, x, v)
    condition = LA.cond(x if of is None else of(x))
    error = 400 * 2.0**-52 * condition**power
    gradient = ad.grad(f)(x)
    product = ad.hvp(f)(x, v)
    assert np.sum(gradient * v) == pytest.approx(first, abs=error * LA.norm(gradient) * LA.norm(v))
    assert ad.jvp(f, (x,), (v,))[1] == pytest.approx(first, abs=error * LA.norm(gradient) * LA.norm(v))
    assert np.sum(product * v) == pytest.approx(second, abs=error * LA.norm(product) * LA.norm(v))
    tape = ad.record(f, x)
    tape.compile()
    np.testing.assert_allclose(tape.gradient(x), gradient, rtol=0, atol=error * LA.norm(gradient))
