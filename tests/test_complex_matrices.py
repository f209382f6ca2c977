"""Linear algebra of complex matrices: NumPy's and SciPy's values, at another point too, and derivatives of two orders.

Owns: complex_matrices.py.  Next: test_linalg.py (real matrices), test_complex.py (elementwise).
"""
import numpy as np
import pytest
import scipy.linalg as sl

import fastad as ad
from fastad.errors import UnsupportedError

LA = np.linalg
X = np.random.default_rng(5).normal(size=(2, 4, 4)) + np.array([4.0, 0.0])[:, None, None] * np.eye(4)
X2 = np.random.default_rng(6).normal(size=(2, 4, 4)) + np.array([-3.0, 1.0])[:, None, None] * np.eye(4)
B = np.array([1.0, -2.0, 0.5, 3.0])
C = B + 1j * B[::-1]
BB = np.stack([C, 1j * B], 1)
A0 = X2[0] + 1j * X[1]


def z(x):
    return x[0] + 1j * x[1]


def definite(x):
    return z(x) @ z(x).conj().T + np.eye(4)


def hermitian(x):
    return z(x) + z(x).conj().T


CASES = {
    "solve": lambda x: LA.solve(z(x), C),
    "solve of columns": lambda x: LA.solve(z(x), BB),
    "solve, complex and real": lambda x: LA.solve(z(x), B),
    "solve, real and complex": lambda x: LA.solve(x[0], C) + LA.solve(x[0], BB)[:, 1] + LA.solve(x[0], 1j * x[1])[0],
    "solve of constants": lambda x: LA.solve(A0, x[0]),
    "solve of stacks": lambda x: LA.solve(np.stack([z(x), A0 @ z(x)]), np.stack([BB, 1j * BB])),
    "vector for stacks": lambda x: LA.solve(np.stack([z(x), A0 + z(x)]), C),
    "inv": lambda x: LA.inv(z(x)),
    "inv of stacks": lambda x: LA.inv(np.stack([z(x), 1j * z(x).T])),
    "det": lambda x: LA.det(z(x)) + LA.det(z(x)[:3, :3]) * LA.det(z(x)[:2, :2]) + LA.det(z(x)[:1, 1:2]),
    "det of stacks": lambda x: LA.det(np.stack([z(x), z(x).conj()])),
    "slogdet": lambda x: LA.slogdet(z(x))[0] + LA.slogdet(z(x)).logabsdet,
    "slogdet of many rows": lambda x: LA.slogdet(np.kron(np.eye(2), z(x)))[1],
    "cholesky": lambda x: LA.cholesky(definite(x)),
    "cholesky of stacks": lambda x: LA.cholesky(np.stack([definite(x), np.eye(4) + 0j])),
    "eigvalsh": lambda x: LA.eigvalsh(hermitian(x)),
    "eigvalsh of a triangle": lambda x: LA.eigvalsh(z(x), "U") + LA.eigvalsh(z(x)),
    "singular values": lambda x: LA.svd(z(x)[:, :3], compute_uv=False),
    "lstsq": lambda x: LA.lstsq(z(x)[:, :2], C, rcond=None)[0],
    "lstsq of columns": lambda x: LA.lstsq(z(x)[:, :3], BB, rcond=None)[0] @ C[:2] + sum(
        LA.lstsq(z(x)[:, :3], BB, rcond=None)[1]),
    "pinv": lambda x: LA.pinv(z(x)[:3]),
    "norms": lambda x: LA.norm(z(x)) + LA.norm(z(x), 2) + LA.norm(z(x), "nuc") + LA.norm(z(x), 1),
    "powers": lambda x: LA.matrix_power(z(x) / 4, 3) + LA.matrix_power(z(x), -2) + LA.matrix_power(z(x), 0),
    "scipy solve": lambda x: sl.solve(z(x), C) + sl.solve(x[0], BB)[:, 0],
    "scipy inv, det": lambda x: sl.inv(z(x)) * sl.det(z(x)),
    "scipy cholesky": lambda x: sl.cholesky(definite(x)) + sl.cholesky(definite(x), lower=True),
    "scipy expm": lambda x: sl.expm(1j * z(x) / 8) @ sl.expm(np.stack([z(x) / 9, z(x).T / 8]))[1],
    "scipy lstsq": lambda x: sl.lstsq(z(x)[:, :2], C)[0] * sl.svdvals(z(x))[0],
}


@pytest.mark.parametrize("f", CASES.values(), ids=CASES)
def test_values_and_derivatives(f):
    tape = ad.record(f, X)
    for x in (X, X2):
        np.testing.assert_allclose(tape(x), f(x), rtol=1e-10, atol=1e-11)
        assert np.shape(tape(x)) == np.shape(f(x)) and np.asarray(tape(x)).dtype == np.asarray(f(x)).dtype
    weight = np.cos(np.arange(np.size(f(X)))).reshape(np.shape(f(X)))
    scale = np.max(np.abs(f(X)))
    ad.check_derivatives(lambda x: np.sum(weight * np.abs(f(x) / scale - 0.3)**2), X).raise_if_failed()


def test_single_precision():
    x = X.astype(np.float32)

    def f(x):
        return LA.solve(x[0] + np.complex64(1j) * x[1], C.astype(np.complex64))
    assert f(x).dtype == ad.record(f, x)(x).dtype == np.complex64
    np.testing.assert_allclose(ad.record(f, x)(x), f(x), rtol=1e-4)


def test_batches_and_loops():
    def f(x):
        u = ad.scan(lambda u, _: (LA.solve(z(x), u), None), C, length=3)[0]
        return np.sum(np.abs(u)**2)
    many = np.stack([X, X2])
    np.testing.assert_allclose(ad.batch(ad.grad(f))(many), [ad.grad(f)(x) for x in many], rtol=1e-10)
    ad.check_derivatives(f, X).raise_if_failed()


def test_singular_matrices_are_numpys_errors():
    for f in (lambda x: LA.solve(np.outer(x, x + 1j), x), lambda x: LA.inv(np.outer(x, 1j * x)),
              lambda x: LA.cholesky(-np.outer(x, x) * (1 + 0j)), lambda x: LA.inv(np.ones((2, 3)) * x[0] * 1j)):
        with pytest.raises(LA.LinAlgError):
            ad.record(f, B)
    tape = ad.record(lambda x: LA.solve(np.diag(x) * 1j, C), B)
    with pytest.raises(LA.LinAlgError):
        tape(B * [1, 0, 1, 1])


def test_the_determinant_where_it_vanishes():
    """A secular function at its root: the derivative is the matrix of cofactors."""
    root = z(X)
    root[2] = root[0] + 1j * root[1]

    def f(x):
        return np.real(LA.det(root + z(x) - z(X)))
    assert abs(f(X)) < 1e-12 < np.max(np.abs(ad.grad(f)(X)))
    ad.check_derivatives(f, X).raise_if_failed()


@pytest.mark.parametrize("f, why", [
    (lambda x: LA.svd(z(x)), "compute_uv"), (lambda x: LA.eigh(hermitian(x)), "complex"),
    (lambda x: LA.det(np.kron(np.eye(2), z(x))), "slogdet"),
    (lambda x: LA.slogdet(np.kron(np.eye(2), z(x)))[0] * 2, "sign"),
    (lambda x: sl.solve(definite(x), C, assume_a="her"), "assume_a"), (lambda x: LA.qr(z(x)), "complex")])
def test_refused(f, why):
    with pytest.raises(UnsupportedError, match=why):
        ad.record(f, X)
