"""Adjoint matrix products whose operands hold subnormal numbers (_kernels/product_real.h).

Owns: that those count as zeros only where nothing can be seen of it, in adjoints only, and that this survives files.
Next: test_exactness.py (other promises of the last bit), benchmarks/cases/gaussian_mixture.py (why).
"""
import numpy as np
import pytest

import fastad as ad
from fastad import _tape as T
from fastad import tapes

N = 20                                              # m k n above 64: BLAS multiplies


def weighted(weights, a):
    """sum(weights * (a @ b)): the adjoint of the product is `weights`."""
    return lambda b: np.sum(weights * (a @ b))


@pytest.fixture
def operands(rng):
    return rng.normal(size=(N, N)), rng.normal(size=(N, N)), rng.normal(size=(N, N))


def compiled(f, x):
    tape = ad.record(f, x)
    return tapes.program(tapes.vjp_tape(tape)), tape


def test_beside_ordinary_numbers_they_change_nothing(operands):
    weights, a, b = operands
    weights[::3] *= 1e-310                          # whole rows: of the gradient by a, too
    got = ad.grad(weighted(weights, a))
    for _ in range(3):
        np.testing.assert_allclose(got(b), a.T @ weights, rtol=1e-13)
    by_a = ad.grad(lambda a: np.sum(weights * (a @ b)))(a)
    np.testing.assert_allclose(by_a, weights @ b.T, rtol=1e-12, atol=1e-306)


@pytest.mark.parametrize("scale", [1e-308, 1e-310, 5e-324])
def test_where_all_is_near_underflow_nothing_is_lost(operands, scale):
    weights, a, b = operands
    weights *= scale
    program, _ = compiled(weighted(weights, a), b)
    got = program.run([b, np.array(1.0)])[-1]
    np.testing.assert_allclose(got, a.T @ weights, rtol=1e-12, atol=N * 5e-324)
    assert np.any(got != 0.0) or scale == 5e-324


def test_one_lane_of_a_batch_may_be_near_underflow(rng):
    weights, a = rng.normal(size=(3, N, N)), rng.normal(size=(3, N, N))
    weights[1] *= 1e-309
    program, _ = compiled(weighted(weights, a), np.ones((3, N, N)))
    got = program.run([np.ones((3, N, N)), np.array(1.0)])[-1]
    want = a.transpose(0, 2, 1) @ weights
    np.testing.assert_allclose(got[1], want[1], rtol=1e-11, atol=N * 5e-324)
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-310)


def test_float32(rng):
    weights, a = (rng.normal(size=(N, N)).astype(np.float32) for _ in range(2))
    weights[::2] *= np.float32(1e-40)
    b = np.ones((N, N), np.float32)
    got = ad.grad(weighted(weights, a))(b)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, a.T @ weights, rtol=1e-5, atol=1e-6)
    weights *= np.float32(1e-40) / max(abs(weights).max(), np.float32(1e-40))
    np.testing.assert_allclose(ad.grad(weighted(weights, a))(b), a.T @ weights, rtol=0.01, atol=N * 1.5e-45)


def test_values_keep_their_bits(operands):
    """A product of the recorded function is NumPy's, subnormal or not, in a tape as in a program."""
    weights, a, b = operands
    a[::3] *= 1e-310
    tape = ad.record(lambda b: a @ b, b)
    assert np.array_equal(tape(b), tapes.program(tape).run([b])[0])
    np.testing.assert_allclose(tape(b), a @ b, rtol=1e-12, atol=N * 5e-324)
    assert np.any((tape(b) != 0.0) & (np.abs(tape(b)) < 2.3e-308))


def test_the_mode_of_the_processor_is_as_before(operands):
    weights, a, b = operands
    weights[::3] *= 1e-310
    program, _ = compiled(weighted(weights, a), b)
    program.run([b, np.array(1.0)])
    assert np.float64(1e-310) * np.float64(0.5) == 5e-311


def test_the_kind_of_product_survives_a_file_and_further_derivatives(operands, tmp_path):
    weights, a, b = operands
    tape = ad.record(weighted(weights, a), b)
    adjoint = tapes.vjp_tape(tape)
    adjoint.save(tmp_path / "tape")
    assert np.array_equal(ad.Tape.load(tmp_path / "tape")(b, 1.0)[1], adjoint(b, 1.0)[1])
    assert T.AdjointMatmul(1, 2, 3, 4, 6, 12) != T.Matmul(1, 2, 3, 4, 6, 12)

    def cubed(x):
        y = np.tanh(x @ a)
        return np.sum(y @ y.T * weights)

    H = ad.jacobian(ad.grad(cubed))(b)
    v = np.ones_like(b)
    np.testing.assert_allclose(np.tensordot(H, v, 2), ad.hvp(cubed)(b, v), rtol=1e-9, atol=1e-9)
