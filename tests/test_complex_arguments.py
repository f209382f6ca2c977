"""Complex arguments and results: the convention (JAX's), shapes and kinds of what comes back, nesting, files.

For a real f of z = x + iy the gradient is df/dx - i df/dy: the conjugate of the direction of steepest ascent.
"""

import pickle
import re

import numpy as np
import pytest
import scipy.fft

import fastad as ad

RNG = np.random.default_rng(3)
Z = RNG.normal(size=4) + 1j * RNG.normal(size=4)


def loss(z):
    w = np.exp(1j * z) * z[::-1] + z.conj() ** 2
    return np.sum(np.abs(w) ** 2) + w.real[0] * w.imag[1]


def by_parts(f, z):
    """The gradient in the convention, from derivatives by the real and the imaginary part."""
    dx, dy = ad.grad(lambda x, y: f(x + 1j * y), argnums=(0, 1))(z.real.copy(), z.imag.copy())
    return dx - 1j * dy


def test_gradient_convention():
    np.testing.assert_allclose(ad.grad(lambda z: abs(z) ** 2)(1 + 2j), 2 - 4j)
    np.testing.assert_allclose(ad.grad(lambda z: (z * z).real)(1 + 2j), 2 * (1 + 2j))  # of a holomorphic function z*z
    g = ad.grad(loss)
    for z in (Z, Z[::-1] * 0.5, Z + 1.0):
        got = g(z)
        assert got.dtype == complex and got.shape == z.shape
        np.testing.assert_allclose(got, by_parts(loss, z), rtol=1e-12)
    assert g.stats().recordings == 1
    value, gradient = ad.value_and_grad(loss)(Z)
    np.testing.assert_allclose(value, loss(Z))
    np.testing.assert_allclose(gradient, by_parts(loss, Z))


def test_kinds_and_structures():
    f = lambda a, b, t: np.sum(np.abs(a["z"] * b + t * a["x"]) ** 2)  # noqa: E731
    a, b = {"z": Z, "x": np.ones(4)}, 0.5 - 2j
    ga, gb = ad.grad(f, argnums=(0, 1))(a, b, 2.0)
    assert isinstance(gb, np.complex128) and ga["z"].dtype == complex and ga["x"].dtype == float
    zero_d = ad.grad(lambda z: np.abs(z) ** 2 * 1.0)(np.array(1 + 1j))
    assert zero_d.shape == () and zero_d == 2 - 2j
    fortran = np.asfortranarray(RNG.normal(size=(2, 3)) + 1j)
    h = lambda z: np.sum(z.ravel("K")[:4].real ** 2 * np.arange(4.0)) + z.reshape(-1)[1].imag  # noqa: E731
    tape = ad.record(h, fortran)
    np.testing.assert_allclose(tape(fortran * 2), h(fortran * 2))
    np.testing.assert_allclose(ad.grad(lambda z: np.sum(z.real**2))(Z.astype(np.complex64)), 2 * Z.real, rtol=1e-6)


def test_forward_and_reverse_agree():
    f = lambda z, x: (np.fft.fft(z * x) * z[0], np.sum(x * z.imag))  # noqa: E731
    x, v, u = RNG.normal(size=4), Z * 1j + 2, RNG.normal(size=4)
    (y, s), (yd, sd) = ad.jvp(f, (Z, x), (v, u))
    (y2, _), pullback = ad.vjp(f, Z, x)
    np.testing.assert_array_equal(y, y2)
    w, c = Z[::-1] + 3j, 0.7
    zb, xb = pullback((w, c))
    np.testing.assert_allclose(np.sum(w * yd).real + c * sd, np.sum(zb * v).real + np.sum(xb * u))
    tape = ad.record(f, Z, x)
    tape.forward(Z, x)
    got = tape.tangent(v, u)
    np.testing.assert_allclose(got[0], yd)
    rz, rx = tape.reverse((w, c))
    np.testing.assert_allclose(rz, zb)
    np.testing.assert_allclose(rx, xb)


def test_jacobians():
    f = lambda x: np.array([x[0] * np.exp(1j * x[1]), 1j * x[0] ** 2, x[1] + 0j])  # noqa: E731
    x = np.array([0.5, 2.0])
    want = np.array([[np.exp(2j), 0.5j * np.exp(2j)], [1j, 0], [0, 1]])
    for mode in ("forward", "reverse"):
        jacobian = ad.jacobian(f, mode=mode)
        for _ in range(8):
            np.testing.assert_allclose(jacobian(x), want, atol=1e-15)
    real = ad.jacobian(lambda z: np.array([abs(z[0]) ** 2, (z[0] * z[1]).imag]))(np.array([1 + 1j, 2j]))
    np.testing.assert_allclose(real, [[2 - 2j, 0], [2j * -1j, (1 + 1j) * -1j]])
    with pytest.raises(ad.DerivativeError, match="complex"):
        ad.jacobian(lambda z: z * z)(Z)
    for verb in (
        lambda: ad.hessian(lambda z: np.sum(np.abs(z) ** 2))(Z),
        lambda: ad.hvp(lambda z: np.sum(np.abs(z) ** 2))(Z, Z),
    ):
        with pytest.raises(ad.DerivativeError, match="imaginary part"):
            verb()


def test_complex_results_need_another_verb():
    for f in (lambda x: np.sum(x) * 1j, lambda x: x * 1j):
        with pytest.raises(ad.DerivativeError, match="complex.*real part"):
            ad.grad(f)(np.ones(2))
    with pytest.raises(ad.DerivativeError, match="complex results"):
        ad.record(lambda x: x * 1j, np.ones(2)).gradient(np.ones(2))


def test_kind_of_an_argument_changes():
    f = lambda x: np.sum(np.abs(x * (1 + 1j)) ** 2)  # noqa: E731
    g = ad.grad(f)
    pairs = np.ones((3, 2))
    assert g(np.ones(3) + 0j).dtype == complex
    assert g(pairs).dtype == float and g(np.ones(3)).dtype == float and g(np.ones(3) * 1j).dtype == complex
    tape = ad.record(f, np.ones(3))
    with pytest.raises(ad.AdError, match="complex"):
        tape(np.ones(3) * 1j)
    tape = ad.record(f, np.ones(3) * 1j)
    np.testing.assert_allclose(tape(np.ones(3)), f(np.ones(3)))  # a real argument is a complex one
    with pytest.raises(ad.AdError):
        tape(np.ones((3, 2)))


def test_nested():
    def outer(x):
        g = ad.grad(lambda z: np.sum(np.abs(z) ** 4))(x * np.exp(1j * x))
        return np.sum(g.real * x) + np.sum(g.imag**2)

    x = np.array([0.3, 1.2])
    z = lambda x: x * np.exp(1j * x)  # noqa: E731
    want = lambda x: np.sum(4 * x**2 * z(x).real * x) + np.sum((4 * x**2 * z(x).imag) ** 2)  # noqa: E731
    np.testing.assert_allclose(outer(x), want(x))
    np.testing.assert_allclose(ad.grad(outer)(x), ad.grad(want)(x))


def test_branches_are_guarded():
    def f(x):
        z = x[0] + 1j * x[1]
        return abs(z) ** 2 if z else x[0] * 3.0

    g = ad.grad(f)
    np.testing.assert_allclose(g(np.ones(2)), [2, 2])
    np.testing.assert_allclose(g(np.zeros(2)), [3, 0])
    assert g.stats().recordings == 2


def test_files(tmp_path):
    n = 700
    k = RNG.normal(size=n) + 1j

    def f(z, x):
        return (
            np.fft.ifft(np.fft.fft(z) * k * np.fft.fft(x)),
            np.fft.irfft(z[:5]),
            scipy.fft.dct(x, 2).sum(),
            np.fft.rfft(x, 6),
        )

    z, x = RNG.normal(size=n) + 1j, RNG.normal(size=n)
    tape = ad.record(f, z, x)
    tape.save(tmp_path / "tape")
    for other in (ad.Tape.load(tmp_path / "tape"), pickle.loads(pickle.dumps(tape)), tape.__copy__()):
        for got, want in zip(other(x + 2j, x), tape(x + 2j, x), strict=True):
            np.testing.assert_array_equal(got, want)
            assert np.asarray(got).dtype == np.asarray(want).dtype
    adjoint = tape.vjp_tape()
    adjoint.save(tmp_path / "adjoint")
    ad.Tape.load(tmp_path / "adjoint")


def test_scan():
    """Complex values inside of a step; states, slices and results (more of them: test_scan_complex.py)."""
    def inside(x):
        step = lambda s, _: (np.fft.irfft(np.fft.rfft(s) * x, 4), np.abs(s[0] * 1j))  # noqa: E731
        final, ys = ad.scan(step, np.arange(4.0), None, length=3)
        return final.sum() + ys.sum()

    def loop(x):
        s, total = np.arange(4.0), 0.0
        for _ in range(3):
            total = total + np.abs(s[0] * 1j)
            s = np.fft.irfft(np.fft.rfft(s) * x, 4)
        return s.sum() + total
    np.testing.assert_allclose(ad.grad(inside)(1.5), ad.grad(loop)(1.5))
    for f, want in [(lambda x: ad.scan(lambda s, _: (s * 1j, None), x * 1j, None, length=2)[0], -3j),
                    (lambda x: ad.scan(lambda s, _: (s, s * 1j), x, None, length=2)[1], [3j, 3j]),
                    (lambda x: ad.scan(lambda s, h: (s * abs(h), None), x, np.array([1j, 2]))[0], 6.0)]:
        np.testing.assert_array_equal(ad.record(f, 2.0)(3.0), want)
    with pytest.raises(ad.ShapeError, match="float64 before the step and complex after it; begin with a complex state"):
        ad.record(lambda x: ad.scan(lambda s, _: (s * 1j, None), x, None, length=2), 2.0)


def test_manual(root):
    """The code of docs/complex.md runs."""
    text = (root / "docs" / "complex.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 2
    exec(compile("\n".join(blocks), "complex.md", "exec"), {})


def test_hostile_keys():
    from fastad import library_rules

    good = ["fft", [4], 0, 4, 4, True, "1"]
    library_rules.attribute(library_rules.key_from_json(good))
    for k, bad in (
        (0, "exec"),
        (1, [-1]),
        (1, 3),
        (2, 1),
        (2, -1),
        (3, 0),
        (3, 2.0),
        (4, 0),
        (5, 1),
        (5, False),
        (6, "x"),
    ):
        with pytest.raises(ValueError):
            library_rules.attribute(library_rules.key_from_json([*good[:k], bad, *good[k + 1 :]]))
    for bad in ([], "fft", ["fft"], ["product", [2], 1], ["dct", [4], 0, 4, 5, "ortho", True, False], None):
        with pytest.raises(ValueError):
            library_rules.key_from_json(bad)
