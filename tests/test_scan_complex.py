"""Loops with complex states, slices and results: what the Python loop gives, recorded or not, with its derivatives."""
import numpy as np
import pytest

import fastad as ad
from tests.test_scan import loop

DRIVE = np.exp(0.3j * np.arange(30.0)) * 0.1
CASES = [np.complex128(0.3 - 0.2j), np.array([0.3 - 0.2j, 1j, -0.5])]


def rotation(run, reverse=False):
    """Real and complex leaves, complex slices, complex and real results."""
    def f(p, z):
        def step(state, x):
            z, s, old = state
            new = z * np.exp(1j * p[0]) + x * p[1] + s * 0.01
            return (new, s * 0.9 + np.sum(np.abs(new)), z), {"z": new, "abs": np.abs(z), "still": 2.0 - 1.0j}
        (z, s, old), ys = run(step, (z, p[0] * 2.0, z * 0.5), DRIVE, reverse=reverse)
        return np.sum((z * np.conj(old)).real) + s + np.sum(np.abs(ys["z"]) ** 2 + ys["abs"]) + np.sum(ys["still"].imag)
    return f


@pytest.mark.parametrize("z", CASES, ids=["number", "array"])
@pytest.mark.parametrize("reverse", [False, True])
def test_complex_states_and_slices(z, reverse):
    f, g = rotation(ad.scan, reverse), rotation(loop, reverse)
    p = np.array([0.4, 0.7])
    assert f(p, z) == g(p, z)
    for argnums in (0, 1):
        want = ad.grad(g, argnums)(p, z)
        got = ad.grad(f, argnums)
        for point in (p, p * 1.1):
            np.testing.assert_allclose(got(point, z), ad.grad(g, argnums)(point, z), rtol=1e-11)
        assert np.asarray(want).dtype == np.asarray(got(p, z)).dtype
    assert ad.record(f, p, z)(p * 0.9, z * 2.0) == pytest.approx(g(p * 0.9, z * 2.0), rel=1e-13)


def test_results_outside_of_recordings_have_numpys_types():
    for z in (np.complex64(1j), np.complex128(1j), np.array([1j, 2.0], np.complex64)):
        (end, k), ys = ad.scan(lambda s, x: ((s[0] * x, s[1] + 1), s[0]), (z, 0), np.full(5, 0.5j).astype(np.complex64))
        (same, _), path = loop(lambda s, x: ((s[0] * x, s[1] + 1), s[0]), (z, 0), np.full(5, 0.5j).astype(np.complex64))
        assert k == 5
        np.testing.assert_array_equal(end, same)
        np.testing.assert_array_equal(ys, path)
        assert (end.dtype, ys.dtype) == (np.asarray(same).dtype, path.dtype)


def test_signed_zeros_and_infinite_parts_come_through():
    z = np.array([complex(-0.0, np.inf), complex(np.nan, -0.0)])
    end, ys = ad.scan(lambda s, _: (s, s), z, length=3)
    assert end.tobytes() == z.tobytes()
    assert ys.tobytes() == np.stack([z] * 3).tobytes()


def test_a_real_number_becomes_complex_and_no_step():
    f = lambda x: np.abs(ad.scan(lambda s, _: (s * 1j + x, None), 0.0, length=6)[0]) ** 2   # noqa: E731
    assert f(0.5) == pytest.approx(0.25 * abs(sum(1j**k for k in range(6))) ** 2)
    assert ad.grad(f)(0.5) == pytest.approx(abs(sum(1j**k for k in range(6))) ** 2)
    z, ys = ad.scan(lambda s, x: (s * x, s), np.ones(2, complex), np.zeros((0, 2), complex))
    assert (z.dtype, ys.dtype, ys.shape) == (complex, complex, (0, 2))


@pytest.mark.parametrize("run", [lambda f: f(1.0), lambda f: ad.grad(f)(1.0)], ids=["plain", "recorded"])
def test_a_state_that_is_complex_on_one_side_of_a_step_alone(run):
    with pytest.raises(ad.ShapeError, match=r"state\[1\] is complex before the step and real after"):
        run(lambda x: np.abs(ad.scan(lambda s, _: ((s[0], np.abs(s[1]) * x), None), (x, 1j), length=3)[0][1]))
    with pytest.raises(ad.ShapeError, match="state is float64 before the step and complex after"):
        run(lambda x: np.abs(ad.scan(lambda s, _: (s * 1j * x, None), np.ones(3), length=3)[0]).sum())


def test_a_complex_while_loop():
    def root(a):                                             # Newton's iteration for sqrt(a) off the real axis
        return ad.while_loop(lambda z: np.abs(z * z - a) > 1e-13, lambda z: 0.5 * (z + a / z), 1.0 + 0.5j * a)
    assert root(-4.0 + 1j) ** 2 == pytest.approx(-4.0 + 1j, rel=1e-12)
    f = lambda a: root(a).real                               # noqa: E731
    assert ad.grad(f)(3.0) == pytest.approx(0.5 / np.sqrt(3.0), rel=1e-9)


def test_within_a_budget():
    p, z = np.array([0.4, 0.7]), np.tile(CASES[1], 20)
    f = rotation(ad.scan)
    want = ad.grad(f)(p, z)
    with pytest.raises(ad.BudgetError) as caught:
        ad.grad(f, memory=64)(p, z)
    np.testing.assert_array_equal(ad.grad(f, memory=caught.value.smallest)(p, z), want)
