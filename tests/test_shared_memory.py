"""Memory that is seen twice: by views that overlap, in another dtype, by code that the recorder does not see.

Owns: programs beside plain NumPy and central differences, what is refused since it would not be noticed later.
Must not know: ordinary views (test_indexing.py).
Next: fastad/_writing.pxi (`check_given`), _storage.pxi (`last_written`), methods.py (`view`).
"""
import numpy as np
import pytest
import scipy.sparse as sp

import fastad as ad

windows = np.lib.stride_tricks.sliding_window_view


def judged(f, x, v):
    """Value, replay and derivatives in both tiers are those of plain f."""
    tape = ad.record(f, x)
    for _ in range(2):
        for point in x, 1.25 * x:
            np.testing.assert_allclose(tape(point), f(point), rtol=1e-14)
            slope = (f(point + 1e-6 * v) - f(point - 1e-6 * v)) / 2e-6
            np.testing.assert_allclose(np.sum(tape.gradient(point) * v), slope, rtol=1e-7)
            np.testing.assert_allclose(ad.jvp(f, (point,), (v,))[1], slope, rtol=1e-7)
        tape.compile()
    shifted = ad.grad(f)
    curvature = np.sum((shifted(x + 1e-6 * v) - shifted(x - 1e-6 * v)) * v) / 2e-6
    np.testing.assert_allclose(np.sum(ad.hvp(f)(x, v) * v), curvature, rtol=1e-6, atol=1e-6)


# ---- views that overlap ----------------------------------------------------------------------------------------------

def windows_of_a_plain_array(x):
    u = np.zeros(5)
    v = windows(u, 2, writeable=True)
    v[...] = x[:4, :2]
    v[1:] += x[1:4, 1:3] * u[0]
    return np.sum(u ** 2 * np.arange(5.0))


def windows_of_two_axes(x):
    u = 0.5 * x
    v = windows(u, (2, 2), writeable=True)
    v *= x[0, 0]
    v[1, :, 0] = x[2:, :2].sum()
    return np.sum(u ** 2 * x)


def rows_on_top_of_each_other(x):
    u = np.zeros(4)
    v = np.lib.stride_tricks.as_strided(u, (3, 4), (0, 8))
    v[...] = x[:3] * x[1:]
    w = np.lib.stride_tricks.as_strided(u, (2, 3), (8, 8))
    total = np.sum(w * x[:2, :3])
    w[:, 1] = x[0, :2]
    w[...] = np.where(w > 1.0, 0.5 * w, w)
    u[2] *= 3.0
    return total + np.sum(u * u) + np.sum(w * x[2:, 1:])


def diagonals_in_steps(x):
    def step(u, k):
        np.lib.stride_tricks.as_strided(u, (3, 3), (8, 8))[...] = np.sin(k * u[1:4, None] * x[:3, :3])
        return u, u[2]
    u, ys = ad.scan(step, np.ones(5), np.arange(1.0, 4.0))
    return np.sum(u ** 2) + np.sum(ys)


@pytest.mark.parametrize("f", [windows_of_a_plain_array, windows_of_two_axes, rows_on_top_of_each_other,
                               diagonals_in_steps])
def test_the_last_write_into_an_overlapping_view_counts(f):
    rng = np.random.default_rng(4)
    judged(f, rng.uniform(0.5, 1.5, (4, 4)), rng.normal(size=(4, 4)))


# ---- other code ------------------------------------------------------------------------------------------------------

def sparse_before(x):
    u = np.zeros(4)
    matrix = sp.csr_array((u, np.arange(4), np.arange(5)))
    u[:] = x
    return np.sum(matrix @ np.ones(4)) + u[0]


def iterator_before(x):
    u = np.zeros(4)
    rest = np.nditer(u[1:])
    u[:] = x
    return sum(float(v) for v in rest) + u[0]


@pytest.mark.parametrize("f", [sparse_before, iterator_before])
def test_an_array_that_other_code_has_takes_nothing_traced(f):
    def loop(x):
        return np.sum(ad.scan(lambda s, k: (s, f(x)), 0.0, length=2)[1])
    for g in ad.grad(f), ad.grad(loop):
        with pytest.raises(ad.TracerError, match=r"other code still has.*\.copy\(\)"):
            g(np.ones(4))


def test_an_array_that_other_code_had_may_be_written():
    def f(x):
        u = np.zeros(4)
        total = sum(float(v) for v in np.nditer(u)) + np.sum(sp.csr_array(u[None]).sum()) + float(str(u)[1])
        matrix = sp.csr_array((u.copy(), np.arange(4), np.arange(5)))
        for _ in range(40):
            total += sp.csr_array(u[None]).nnz
        u[:] = x
        return np.sum(u) + total + np.sum(matrix @ np.ones(4))
    value, gradient = ad.value_and_grad(f)(np.ones(4))
    assert value == 4.0 and gradient.tolist() == [1.0] * 4


# ---- another dtype ---------------------------------------------------------------------------------------------------

def viewed_before(x):
    u = np.zeros(4)
    z, v = u.view(complex), u.view()
    u[:] = x
    v[1] *= 2.0
    return np.sum(abs(z) ** 2) + u[1]


def viewed_after(x):
    u = 1.5 * x
    z = u.view(np.complex128)
    z[1] *= 2j
    v = u.view(np.ndarray)
    v[0] = 3.0
    return np.sum(z.real * z.imag) + v @ u


def viewed_in_steps(x):
    def step(u, k):
        u.view(complex)[...] *= 0.5j
        return u + x * k, abs(u.reshape(2, 2).view(complex)).sum()
    u, ys = ad.scan(step, x, np.arange(3.0))
    return np.sum(u * u) + np.sum(ys)


@pytest.mark.parametrize("f", [viewed_before, viewed_after, viewed_in_steps])
def test_floats_seen_as_complex_numbers(f):
    x, v = np.array([0.4, 0.7, 1.1, 0.3]), np.array([1.0, -2.0, 0.5, 0.7])
    value, gradient = ad.value_and_grad(f)(x)
    np.testing.assert_allclose(value, f(x), rtol=1e-14)
    np.testing.assert_allclose(gradient @ v, (f(x + 1e-6 * v) - f(x - 1e-6 * v)) / 2e-6, rtol=1e-8)


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.float32])
def test_what_is_seen_in_another_dtype_takes_nothing_traced(dtype):
    def f(x):
        u = np.ones(4)
        seen = u.view(dtype)
        u[:2] = 3.0                      # (plain numbers may be written)
        if x[0] > 0:
            u[:] = x
        return np.sum(x) * seen[3]
    assert ad.record(f, -np.ones(4))(-np.ones(4)) == f(-np.ones(4))
    with pytest.raises(ad.TracerError, match="another dtype.*copy"):
        ad.grad(f)(np.ones(4))
    with pytest.raises(ad.UnsupportedError, match="astype"):
        ad.grad(lambda x: np.sum(x.view(dtype)))(np.ones(4))
