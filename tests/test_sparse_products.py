"""A constant sparse matrix times a traced array: every format, both sides, followed when its entries change.

Owns: sparse_products.py.  Must not know: the kernel (tests of the kernels have that).
"""
import numpy as np
import pytest
import scipy.sparse as sp

import fastad as ad

FORMATS = [fmt + kind for fmt in ("csr", "csc", "coo", "bsr", "dia", "dok", "lil") for kind in ("_array", "_matrix")]
dense = np.array([[1.0, 0, 2, 0], [0, 0, 3, 0], [0, 4, 0, 5], [0, 0, 0, 0], [6, 0, 0, 7]])
x4, y5 = np.array([1.0, -2.0, 0.5, 3.0]), np.array([1.0, 2.0, -1.0, 4.0, 0.5])
X42, Y25 = np.arange(8.0).reshape(4, 2) - 3, np.arange(10.0).reshape(2, 5) - 4


def dot(a, x):
    return a.dot(x) if sp.issparse(a) else a @ x


PRODUCTS = {
    "A @ x": (lambda a, x: a @ x, x4), "A @ X": (lambda a, x: a @ x, X42), "x @ A": (lambda a, x: x @ a, y5),
    "X @ A": (lambda a, x: x @ a, Y25), "A.T @ y": (lambda a, x: a.T @ x, y5), "A.dot(x)": (lambda a, x: dot(a, x), x4),
    "A.dot(X)": (lambda a, x: dot(a, x), X42), "A @ X.T": (lambda a, x: a @ x.T, X42.T.copy()),
    "A @ x[::-1]": (lambda a, x: a @ x[::-1], x4), "A @ plain": (lambda a, x: a @ np.ones(4) * x[0], x4),
}


@pytest.mark.parametrize("name", PRODUCTS)
@pytest.mark.parametrize("fmt", FORMATS)
def test_products(fmt, name):
    multiply, x = PRODUCTS[name]
    a = getattr(sp, fmt)(dense)
    value, gradient = ad.value_and_grad(lambda x: (multiply(a, x)**2).sum())(x)
    expected, exact = ad.value_and_grad(lambda x: (multiply(dense, x)**2).sum())(x)
    np.testing.assert_allclose(value, expected, rtol=1e-13)
    np.testing.assert_allclose(gradient, exact, rtol=1e-13)
    np.testing.assert_allclose(ad.record(lambda x: multiply(a, x), x)(2*x), multiply(dense, 2*x), rtol=1e-13)


@pytest.mark.parametrize("multiply, x", [(lambda a, x: a * x, x4), (lambda a, x: x * a, y5), (lambda a, x: a * x, X42)])
def test_star_is_the_product_of_a_spmatrix(multiply, x):
    a = sp.csr_matrix(dense)
    np.testing.assert_allclose(ad.grad(lambda x: (multiply(a, x)**2).sum())(x),
                               ad.grad(lambda x: ((a @ x if x.shape[0] == 4 else x @ a)**2).sum())(x))


def test_entries_are_followed():
    a = sp.csr_array(dense)
    tape = ad.record(lambda x: (a @ x).sum(), x4)
    g = ad.grad(lambda x: (a @ x).sum())
    g(x4)
    a.data[:] *= 3
    np.testing.assert_allclose(tape(x4), 3 * (dense @ x4).sum())
    np.testing.assert_allclose(g(x4), 3 * dense.sum(axis=0))


@pytest.mark.parametrize("fmt", ["csr_array", "coo_array", "dia_array"])
def test_changes_are_seen_by_the_verbs(fmt):
    a = getattr(sp, fmt)(dense)
    g = ad.grad(lambda x: (a @ x).sum())
    np.testing.assert_allclose(g(x4), dense.sum(axis=0))
    a.data[...] *= 2
    np.testing.assert_allclose(g(x4), 2 * dense.sum(axis=0))
    a = getattr(sp, fmt)(dense[::-1] + 1)
    np.testing.assert_allclose(g(x4), (dense + 1).sum(axis=0))


def test_the_pattern_may_change():
    a = sp.csr_array(dense)
    g = ad.grad(lambda x: (a @ x).sum() + (a @ x).sum())
    np.testing.assert_allclose(g(x4), 2 * dense.sum(axis=0))
    a.indices[:] = (a.indices + 1) % 4
    np.testing.assert_allclose(g(x4), 2 * np.roll(dense, 1, axis=1).sum(axis=0))


def test_one_pattern_is_held_once():
    a = sp.csr_array(dense[:4])
    tape = ad.record(lambda x: (a @ (a @ (a @ x))).sum(), x4)
    assert len(tape.captures) == 1
    assert sum(tape.instruction(i)[0] == "spmm" for i in range(1, len(tape))) == 3


def test_other_dtypes():
    whole = sp.csr_array(dense.astype(int))
    np.testing.assert_allclose(ad.grad(lambda x: (whole @ x).sum())(x4), dense.sum(axis=0))
    np.testing.assert_allclose(ad.grad(lambda x: (whole.astype(np.float32) @ x).sum())(x4), dense.sum(axis=0))

    def f(x, k):
        y = whole @ k
        assert y.dtype == np.int64
        return (y * 1.0).sum() * x
    np.testing.assert_allclose(ad.grad(f)(1.0, np.arange(4)), (dense @ np.arange(4)).sum())
    complexes = sp.coo_array(dense * (1 + 2j))
    np.testing.assert_allclose(ad.grad(lambda x: np.abs(complexes @ x).sum())(x4),
                               5**0.5 * np.sign(dense @ x4) @ dense, rtol=1e-12)


@pytest.mark.parametrize("operation", [
    lambda a, x: a * x, lambda a, x: x * a, lambda a, x: a * x[0], lambda a, x: x[0] * a, lambda a, x: a / x[0]])
def test_matrices_times_traced_numbers_have_traced_entries(operation):
    a, w = sp.csr_array(dense), np.cos(np.arange(dense.size)).reshape(dense.shape)
    tape = ad.record(lambda x: (operation(a, x).toarray() * w).sum(), x4)
    assert tape(x4 + 1) == pytest.approx((operation(dense, x4 + 1) * w).sum())


@pytest.mark.parametrize("operation", [
    lambda a, x: np.matmul(a, x), lambda a, x: a @ x[:2], lambda a, x: x @ a, lambda a, x: a + x])
def test_what_would_make_full_matrices_or_does_not_fit_is_loud(operation):
    a = sp.csr_array(dense)
    with pytest.raises((ad.AdError, ValueError, TypeError)):
        ad.grad(lambda x: operation(a, x).sum())(x4)


def test_scipy_is_as_before():
    before = {cls: dict(vars(cls)) for cls in sp.csr_matrix.__mro__}
    ad.grad(lambda x: (sp.csr_matrix(dense) @ x).sum())(x4)
    assert {cls: dict(vars(cls)) for cls in before} == before
