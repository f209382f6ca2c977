"""Fourier transforms of NumPy and SciPy and convolutions: values, exact adjoints, second order.

A transform is a linear map: its tangent is the transform of the direction, and its adjoint must pass the dot test to
rounding; both are exact statements and need no differences.
"""

import itertools

import numpy as np
import pytest
import scipy.fft
import scipy.signal
from scipy.fft import rfft as imported_by_name

import fastad as ad

RNG = np.random.default_rng(7)
NORMS = [None, "backward", "ortho", "forward"]


def close(got, want, rtol=1e-13):
    assert np.shape(got) == np.shape(want) and np.asarray(got).dtype == np.asarray(want).dtype
    assert np.max(np.abs(got - want), initial=0.0) <= rtol * max(1.0, np.max(np.abs(want), initial=0.0))


def draw(shape, is_complex):
    z = RNG.normal(size=shape)
    return z + 1j * RNG.normal(size=shape) if is_complex else z


def check_linear(function, shape, is_complex=False, *args, **kwargs):
    """Value at another point, tangent, adjoint (in JAX's convention: a linear form, without conjugation)."""

    def f(x):
        return function(x, *args, **kwargs)

    x, v = draw(shape, is_complex), draw(shape, is_complex)
    tape = ad.record(f, x)
    close(tape(v), f(v))
    y, y_dot = ad.jvp(f, (x,), (v,))
    close(y, f(x))
    close(y_dot, f(v))
    w = draw(np.shape(y), np.iscomplexobj(y))
    (x_bar,) = ad.vjp(f, x)[1](w)
    assert np.shape(x_bar) == shape and np.iscomplexobj(x_bar) == is_complex
    assert abs(np.sum(w * y_dot).real - np.sum(x_bar * v).real) <= 1e-13 * max(1.0, np.abs(w).sum() * np.abs(v).max())
    return tape


@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"])
@pytest.mark.parametrize("module", [np.fft, scipy.fft], ids=["numpy", "scipy"])
def test_one_axis(module, name):
    transform = getattr(module, name)
    kinds = {"rfft": [False], "ihfft": [False]}.get(name, [False, True])
    for size, norm, is_complex in itertools.product((1, 2, 5, 6), NORMS, kinds):
        if size == 1 and name in ("irfft", "hfft"):
            continue
        check_linear(transform, (size,), is_complex, norm=norm)
    for n, norm, is_complex in itertools.product((1, 3, 4, 9, 10), (None, "ortho"), kinds):
        check_linear(transform, (6, 2), is_complex, n, 0, norm)
        check_linear(transform, (2, 5), is_complex, n=n, axis=1)


@pytest.mark.parametrize("name", ["fft2", "ifft2", "rfft2", "irfft2", "fftn", "ifftn", "rfftn", "irfftn"])
@pytest.mark.parametrize("module", [np.fft, scipy.fft], ids=["numpy", "scipy"])
def test_several_axes(module, name):
    transform = getattr(module, name)
    is_complex = not name.startswith("r")
    for norm in NORMS:
        check_linear(transform, (3, 4, 5), is_complex, norm=norm)
    check_linear(lambda x: transform(x, axes=(0, 1)), (4, 3, 2), is_complex)
    check_linear(lambda x: transform(x, s=(5, 3), axes=(-1, 0)), (4, 3, 2), is_complex)
    check_linear(lambda x: transform(x, (2, 6), axes=(1, 2)), (2, 3, 4), is_complex)


@pytest.mark.parametrize("name", ["hfft2", "ihfft2", "hfftn", "ihfftn"])
def test_hermitian_in_several_axes(name):
    transform = getattr(scipy.fft, name)
    for norm in NORMS:
        check_linear(transform, (3, 4), not name.startswith("ih"), norm=norm)


@pytest.mark.parametrize("name", ["dct", "idct", "dst", "idst"])
def test_cosine_and_sine_transforms(name):
    transform, several = getattr(scipy.fft, name), getattr(scipy.fft, name + "n")
    for kind, norm, orthogonalize in itertools.product((1, 2, 3, 4), (None, "ortho", "forward"), (None, True, False)):
        check_linear(transform, (5,), False, kind, norm=norm, orthogonalize=orthogonalize)
    for kind, n in itertools.product((1, 2, 3, 4), (3, 6)):
        check_linear(transform, (4, 2), False, kind, n, 0)
    check_linear(lambda x: several(x, 2, norm="ortho"), (3, 4))
    check_linear(lambda x: several(x, 3, s=(2, 5), axes=(1, 0)), (3, 4))
    check_linear(lambda x: transform(x), (4,), is_complex=True)


def test_derivatives_of_higher_order_and_batches():
    h = RNG.normal(size=4)

    def f(x):
        X = np.fft.rfft(x, 10)
        y = np.fft.irfft(X**2 * np.fft.rfft(h, 10), 10)
        c = scipy.fft.dct(x, 2)
        return np.sum(y**3) + np.sum(np.abs(np.fft.fft2(x.reshape(2, 4))) ** 4) * 1e-3 + np.sum(c**3) * 1e-2

    x = RNG.normal(size=8)
    ad.check_derivatives(f, x).raise_if_failed()
    hessian = ad.hessian(f)(x)
    product = np.stack([ad.hvp(f)(x, v) for v in np.eye(8)])
    np.testing.assert_allclose(hessian, product, rtol=1e-11)
    compiled = ad.hessian(f)
    for _ in range(12):  # many unit vectors in one sweep
        compiled(x)
    np.testing.assert_allclose(compiled(x), hessian, rtol=1e-12)
    tape = ad.record(f, x)
    several = RNG.normal(size=(3, 8))
    np.testing.assert_allclose(tape.batch(3)(several), [f(row) for row in several], rtol=1e-12)


def test_long_products_are_those_of_short_ones():
    """Above a length spectra are multiplied by NumPy's loop, with rules of its own."""
    n = 600
    x, h, k = RNG.normal(size=n), RNG.normal(size=n), draw(n, True)

    def f(x, h):
        X, H = np.fft.fft(x), np.fft.fft(h)
        return (
            np.sum(np.abs(np.fft.ifft(X * H * k)[::7]) ** 2) + np.sum((X * X).imag[3:9]) + np.sum((X * H).real[:4]) ** 2
        )

    report = ad.check_derivatives(lambda x: f(x, x[::-1]), x)
    report.raise_if_failed()
    gradient = ad.grad(f, argnums=(0, 1))(x, h)
    v = RNG.normal(size=(2, n))
    step = 1e-5
    slope = (f(x + step * v[0], h + step * v[1]) - f(x - step * v[0], h - step * v[1])) / (2 * step)
    np.testing.assert_allclose(np.sum(gradient * v), slope, rtol=1e-8)
    tape = ad.record(f, x, h)
    np.testing.assert_allclose(tape.batch(2)(np.stack([x, h]), np.stack([h, x])), [f(x, h), f(h, x)], rtol=1e-12)
    k *= 2.0  # read again
    np.testing.assert_allclose(tape(h, x), f(h, x), rtol=1e-12)


def test_shifts_frequencies_and_lists():
    check_linear(lambda x: np.fft.fftshift(np.fft.fft(x), axes=0), (4, 3))
    check_linear(lambda x: np.fft.ifftshift(x), (5,))
    check_linear(lambda x: scipy.fft.fftshift(x), (5,))
    check_linear(lambda x: np.fft.ifft(1j * 2 * np.pi * np.fft.fftfreq(6, 0.5) * np.fft.fft(x)).real, (6,))
    check_linear(lambda x: imported_by_name(x), (6,))
    check_linear(lambda x: np.fft.fft([x[0], x[1] * 2, 0.0]), (2,))
    check_linear(lambda x: np.fft.rfft(x, scipy.fft.next_fast_len(7)), (7,))
    g = ad.grad(lambda dt: np.sum(np.fft.rfftfreq(8, dt) ** 2))(0.5)
    np.testing.assert_allclose(g, -2 * np.sum(np.fft.rfftfreq(8, 1.0) ** 2) / 0.5**3)


def test_results_can_be_written():
    def f(x):
        y = np.fft.fft(x)
        y[0] = 0
        y[1:3] *= 2j
        y.real[3] += x[0]
        return np.fft.ifft(y)

    check_linear(f, (5,))
    plain = np.arange(4.0)

    def g(x):
        y = np.fft.fft(plain)
        y[1] = x[0]
        z = scipy.fft.rfft(np.zeros(4))
        return np.concatenate([y, z])

    tape = ad.record(g, np.ones(2))
    close(tape(np.full(2, 3.0)), g(np.full(2, 3.0)))


@pytest.mark.parametrize("name", ["convolve", "correlate", "fftconvolve", "oaconvolve"])
def test_scipy_convolutions(name):
    function = getattr(scipy.signal, name)
    a, b, c, d = RNG.normal(size=20), RNG.normal(size=7), RNG.normal(size=(6, 5)), RNG.normal(size=(3, 4))
    cases = [
        (a, b),
        (b, a),
        (c, d),
        (d, c),
        (a, b * 1j),
        (c * (1 + 1j), d * 1j),
        (RNG.normal(size=40), RNG.normal(size=36)),
    ]
    for mode, (p, q) in itertools.product(("full", "same", "valid"), cases):
        want = function(p, q, mode)
        for f in (lambda s, p, q, m: function(p * s, q, m), lambda s, p, q, m: function(p, q * s, m)):
            close(ad.record(f, 2.0, p, q, mode)(1.0, p, q, mode), want)
    check_linear(lambda x: function(x, b, "same"), (20,))
    check_linear(lambda x: function(b, x, "full"), (9,), is_complex=True)
    if name.endswith("tconvolve") or name == "oaconvolve":
        check_linear(lambda x: function(x, d[:, :1], axes=0), (6, 5))


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_numpy_convolutions(mode):
    b = draw(3, True)
    check_linear(lambda x: np.convolve(x, b, mode), (5,), is_complex=True)
    check_linear(lambda x: np.convolve(b, x, mode), (5,))
    check_linear(lambda x: np.correlate(x, b, mode), (5,), is_complex=True)
    check_linear(lambda x: np.correlate(b, x.real, mode), (5,))


def test_errors_are_numpys():
    x = np.ones(4)
    for f, error in (
        (lambda x: np.fft.fft(x, 0), ValueError),
        (lambda x: np.fft.fft(x, norm="odd"), ValueError),
        (lambda x: np.fft.rfft(x * 1j), TypeError),
        (lambda x: np.fft.fft(x, axis=2), IndexError),
        (lambda x: np.fft.fft2(x), IndexError),
        (lambda x: scipy.fft.dct(x, 5), ValueError),
    ):
        with pytest.raises(error):
            f(x)
        with pytest.raises(error):
            ad.record(f, x)
    with pytest.raises(ad.UnsupportedError, match="fht"):
        ad.record(lambda x: scipy.fft.fht(x, 0.1, 0.5), x)


def test_scipys_backend_is_its_own_again():
    import scipy.fft._backend as module

    before = vars(module._ScipyBackend)["__ua_function__"]
    ad.record(lambda x: scipy.fft.fft(x), np.ones(4))
    assert vars(module._ScipyBackend)["__ua_function__"] is before
    assert scipy.fft.fft(np.ones(4)).dtype == complex
