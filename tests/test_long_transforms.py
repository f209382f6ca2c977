"""Fourier transforms of our own: as exact as NumPy's, one set of bits, every cut and filling, what is not finite.

The reference is SciPy's transform in long double.  What is shorter than fourier.OWN_FROM is in tests/test_fft.py.
"""
import itertools
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
import scipy.fft
import scipy.signal

import fastad as ad
from fastad import _tape as T
from fastad import fourier
from tests.test_fft import check_linear

RNG = np.random.default_rng(11)
REFERENCE = {"fft": lambda x, n: scipy.fft.fft(x.astype(np.clongdouble)),
             "ifft": lambda x, n: scipy.fft.ifft(x.astype(np.clongdouble)),
             "rfft": lambda x, n: scipy.fft.rfft(x.astype(np.longdouble)),
             "irfft": lambda x, n: scipy.fft.irfft(x.astype(np.clongdouble), n)}
exact = pytest.mark.skipif(np.finfo(np.longdouble).eps > 1e-18, reason="long double is no better than double here")


def operand(name, n):
    x = RNG.normal(size=n)
    return np.fft.rfft(x) if name == "irfft" else x if name == "rfft" else x + 1j * RNG.normal(size=n)


def pairs(x):
    return np.ascontiguousarray(x).view(np.float64).reshape(*x.shape, 2) if np.iscomplexobj(x) else x


def ours(name, x, n, axis=0, many=False):
    """Our transform, of any length: alone, or among others."""
    shape = fourier.resized(x.shape, axis, n // 2 + 1 if name == "rfft" else n)
    y = np.full(shape if name == "irfft" else (*shape, 2), np.nan)
    T.fourier_run(name, pairs(x), y, axis, n, 1 / n if name[0] == "i" else 1.0, 1.0, many)
    return y if name == "irfft" else y[..., 0] + 1j * y[..., 1]


def distance(y, want):
    """Relative, in the Euclidean norm."""
    return float(np.linalg.norm((y - want).astype(np.clongdouble)) / max(np.linalg.norm(want), 1e-300))


@exact
@pytest.mark.parametrize("name", REFERENCE)
def test_errors_are_numpys(name):
    lengths = [n for n in range(1, 301) if T.fourier_has(n)]
    assert len(lengths) > 90
    errors = []
    for n in lengths + [343, 512, 1155, 4096, 6561, 7**5, 11**4, 15 * 1024, 2**16, 5**7, 110250, 2 * 3**11]:
        x = operand(name, n)
        want = REFERENCE[name](x, n)
        numpys = distance(getattr(np.fft, name)(x, n), want)
        for many in (False, True):
            errors.append([distance(ours(name, x, n, many=many), want), numpys])
            assert errors[-1][0] <= max(1.5 * numpys, 4e-16 if n < 100 else 0.0), (n, many)
    mean = np.exp(np.mean(np.log(np.maximum(errors, 1e-17)), 0))
    assert mean[0] <= 1.1 * mean[1], mean


@exact
@pytest.mark.parametrize("n", [1000, 1021, 1024, 1031, 1260, 2187, 2 * 1031, 15625, 17017])
def test_recorded_errors_are_numpys(n):
    """Primes, too, which are NumPy's."""
    for name in REFERENCE:
        x = operand(name, n)
        want, transform = REFERENCE[name](x, n), getattr(np.fft, name)
        got = ad.record(lambda x, f=transform: f(x, n), operand(name, n))(x)
        assert got.dtype == want.real.astype(float).dtype if name == "irfft" else got.dtype == complex
        assert distance(got, want) <= 1.5 * distance(transform(x, n), want)


def test_which_are_ours():
    rows = [n for n in range(1, 1300) if fourier.by_us((3, n), 1, n, False)]
    assert rows[:8] == [1024, 1029, 1050, 1056, 1078, 1080, 1089, 1100] and 1250 in rows
    many = [n for n in range(1, 1300) if fourier.by_us((2, n, 700), 1, n, False)]
    assert many[:12] == [8, 9, 10, 11, 12, 14, 15, 16, 18, 20, 21, 22]
    assert fourier.by_us((700, 8), 1, 8, False) == "many"
    few = [((1024, 2), 0, 1024), ((8192, 7), 0, 8192), ((32, 100), 0, 26), ((10, 100), 1, 100), ((16, 16), 0, 16)]
    assert not any(fourier.by_us(shape, axis, n, False) for shape, axis, n in few)
    assert not fourier.by_us((1024,), 0, 1024, True)                 # float32


@pytest.mark.parametrize("name", REFERENCE)
def test_among_others_along_any_axis(name):
    """Blocks of 8 and of 16, whole and not, beside NumPy's transforms."""
    for outer, inner, n in itertools.product((1, 3, 17), (1, 8, 9, 33), (8, 15, 22, 63)):
        size = n // 2 + 1 if name == "irfft" else n
        for given in (size, size - 3, size + 2):
            x = RNG.normal(size=(outer, given, inner))
            x = x if name == "rfft" else x + 1j * RNG.normal(size=x.shape)
            want = getattr(np.fft, name)(x, n, 1)
            np.testing.assert_allclose(ours(name, x, n, 1, True), want, atol=1e-13 * np.abs(want).max())


@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"])
def test_cut_filled_and_scaled(name):
    transform = getattr(np.fft, name)
    kinds = {"rfft": [False], "ihfft": [False]}.get(name, [False, True])
    for n, size, is_complex in itertools.product((1024, 1029, 1050), (3, 511, 700, 1024, 1300), kinds):
        norm = [None, "ortho", "forward"][(n + size) % 3]
        check_linear(transform, (size,), is_complex, n=n, norm=norm)
    check_linear(transform, (2, 3, 1100), kinds[-1], norm="ortho")
    check_linear(transform, (2, 3, 40), kinds[-1], n=1100)
    check_linear(transform, (1100, 2), kinds[-1], axis=0)
    none = np.zeros((0, 1200), complex if kinds[-1] else float)
    assert ad.record(lambda x: transform(x), none)(none).shape == transform(none).shape


def test_several_axes_and_scipy():
    for module, name in itertools.product((np.fft, scipy.fft), ("fft2", "ifft2", "rfft2", "irfft2", "rfftn", "irfftn")):
        transform = getattr(module, name)
        check_linear(transform, (3, 1152), not name.startswith("r"))
        check_linear(transform, (72, 64), not name.startswith("r"), norm="ortho")
        check_linear(lambda x, f=transform: f(x, axes=(1, 2)), (3, 66, 48), not name.startswith("r"))
        check_linear(lambda x, f=transform: f(x, (70, 61), axes=(0, 1)), (50, 50, 3), not name.startswith("r"))
    check_linear(lambda x: np.fft.rfft2(x, s=(1050, 4)), (5, 3))
    check_linear(lambda x: scipy.fft.irfftn(x, s=(4, 2000), axes=(1, 0)), (900, 3), True)
    check_linear(lambda x: np.fft.rfft(x, 90, axis=0), (70, 5, 20))
    for transform in (np.fft.fft, np.fft.ifft, np.fft.rfft, np.fft.irfft):           # column vectors
        is_complex = transform is not np.fft.rfft
        check_linear(lambda x, f=transform: f(x, 1029, axis=0), (1100, 1), is_complex)
        check_linear(lambda x, f=transform: f(x, 1100, axis=1), (2, 1029, 1, 1), is_complex)
    check_linear(lambda x: np.fft.irfft(x, 91, axis=1), (3, 30, 19), True)
    kernel = RNG.normal(size=(9, 8)) * 1j
    check_linear(lambda x: scipy.signal.fftconvolve(x, kernel), (60, 70))
    x = np.asfortranarray(RNG.normal(size=(70, 80)))                 # and the memory order of the results is NumPy's
    y = ad.record(lambda x: np.fft.fft2(x), x)(x)
    np.testing.assert_allclose(y, np.fft.fft2(x), atol=1e-11)


def test_second_order_and_batches():
    n = 1100
    h = RNG.normal(size=20)

    def f(x):
        y = np.fft.irfft(np.fft.rfft(x, n) * np.fft.rfft(h, n), n)[:60]
        return np.sum(y**3) + np.sum(np.abs(np.fft.fft(x, n)[::50]) ** 4) * 1e-3

    x = RNG.normal(size=41)
    ad.check_derivatives(f, x).raise_if_failed()
    v = RNG.normal(size=(3, 41))
    products = np.stack([ad.hvp(f)(x, w) for w in v], 1)
    np.testing.assert_allclose(ad.hessian(f)(x) @ v.T, products, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(ad.record(f, x).batch(3)(v), [f(w) for w in v], rtol=1e-12)


def test_bits_are_one(threads, tmp_path):
    """Recorded, replayed, compiled, from a file, gradients included; with 1, 2 and 7 threads."""
    n = 5040
    for name in REFERENCE:
        f, x = getattr(np.fft, name), operand(name, n)
        seen, results = [], []
        threads(1)
        tape = ad.record(lambda x, f=f, seen=seen: seen.append(ad.peek(y := f(x, n))) or y, x)
        tape.save(tmp_path / name)
        for k in (1, 2, 7):
            threads(k)
            results += [seen[0], tape(x), ad.record(lambda x, f=f: f(x, n), x)(x), ad.Tape.load(tmp_path / name)(x)]
        compiled = ad.record(lambda x, f=f: f(x, n), x)
        compiled.compile()
        results.append(compiled(x))
        assert len({np.asarray(y).tobytes() for y in results}) == 1, name

    long = ad.grad(lambda x: np.sum(np.fft.irfft(np.fft.rfft(x, 40000) ** 2, 40000)[:100] ** 2))
    wide = ad.grad(lambda x: np.sum(np.abs(np.fft.fft2(x.reshape(200, 210)))**4))
    for g in (long, wide):
        x = RNG.normal(size=42000)
        g(x)                                 # (recorded, then replayed)
        bits = set()
        for k in (1, 2, 7):
            threads(k)
            bits.add(g(x).tobytes())
        assert len(bits) == 1


@pytest.mark.parametrize("level", ["v2", "v3"])
def test_bits_of_every_instruction_set(level):
    """No multiplication is fused with an addition: an older processor gives the same."""
    program = """if True:
        import hashlib, numpy as np, fastad as ad
        x = np.random.default_rng(0).normal(size=5544)
        f = ad.record(lambda x: np.fft.irfft(np.fft.rfft(x)**2)[:40] + np.fft.rfft2(x.reshape(72, 77)).imag.sum(), x)
        print(hashlib.sha256(f(x[::-1]).tobytes()).hexdigest())
    """
    said = {subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True,
                           env={**os.environ, **cpu}).stdout for cpu in ({}, {"FASTAD_CPU": level})}
    assert len(said) == 1 and len(said.pop()) > 60


def test_threads_of_python_do_not_meet():
    xs = RNG.normal(size=(8, 30000))
    tape = ad.record(lambda x: np.fft.irfft(np.fft.rfft(x)), xs[0])
    want, got = [tape(x).tobytes() for x in xs], [None] * 8

    def work(k):
        for _ in range(3):
            got[k] = tape(xs[k]).tobytes()

    workers = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    assert got == want


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite(bad):
    for name, n in itertools.product(REFERENCE, (1024, 1050)):
        x = operand(name, n)
        transform = getattr(np.fft, name)
        tape = ad.record(lambda x, f=transform, n=n: f(x, n), x)
        x[17] = bad
        with np.errstate(all="ignore"):
            lost = ~np.isfinite(transform(x, n))             # (some zeros of NumPy's irfft are not multiplied)
            assert lost.mean() > 0.4 and not np.isfinite(tape(x))[lost].any()
        if np.isinf(bad):
            with pytest.warns(RuntimeWarning, match="invalid value"):
                tape(x)
    with np.errstate(all="raise"):
        ad.record(lambda x: np.fft.rfft(x), np.zeros(1024))(np.full(1024, 1e300))
        with pytest.raises(FloatingPointError, match="overflow|invalid"):
            ad.record(lambda x: np.fft.rfft(x), np.zeros(1024))(np.full(1024, 1e307))


def test_ends_of_half_a_spectrum_are_real():
    for n in (1024, 1029, 1050, 1056, 3 * 512):
        x = RNG.normal(size=n)
        y = ad.record(lambda x: np.fft.rfft(x), x)(x)
        assert y[0].imag == 0.0 and (n % 2 or y[-1].imag == 0.0)
        z = np.fft.rfft(x)
        w = z.copy()
        w[0] += 5j                           # NumPy's inverse does not look at it
        if n % 2 == 0:
            w[-1] -= 3j
        tape = ad.record(lambda z, n=n: np.fft.irfft(z, n), z)
        assert np.array_equal(tape(w), tape(z))


def test_errors():
    for x, y, axis, n, many in (
            (np.zeros(13), np.zeros((7, 2)), 0, 13, False),                             # no plan
            (np.zeros(8, np.float32), np.zeros((5, 2)), 0, 8, False), (np.zeros(8), np.zeros(5), 0, 8, False),
            (np.zeros((2, 8)), np.zeros((5, 2)), 0, 8, True), (np.zeros(16)[::2], np.zeros((5, 2)), 0, 8, False),
            (np.zeros(()), np.zeros((5, 2)), 0, 8, False), (np.zeros(8), np.zeros((5, 2)), 1, 8, False),
            (np.zeros((8, 3)), np.zeros((5, 3, 2)), 0, 8, False), (np.zeros((8, 3)), np.zeros((5, 4, 2)), 0, 8, True)):
        with pytest.raises(ValueError, match="arrays of float64"):
            T.fourier_run("rfft", x, y, axis, n, 1.0, 1.0, many)
    with pytest.raises(KeyError):
        T.fourier_run("dct", np.zeros(8), np.zeros(8), 0, 8, 1.0, 1.0, False)
    for f in (lambda x: np.fft.fft(x), lambda x: np.fft.irfft(x, norm="odd")):
        with pytest.raises(ValueError):
            f(np.zeros((2, 0)))
        with pytest.raises(ValueError):
            ad.record(f, np.zeros((2, 0)))
