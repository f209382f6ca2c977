"""NumPy's transforms without numpy.fft: its bits, in every direction, norm and axis; what happens without its loops.

Owns: the tests of _pocketfft.pxi.  Must not know: transforms of our own (test_long_transforms.py).
Next: test_fft.py (derivatives).
"""
import types

import numpy as np
import numpy.fft._pocketfft_umath as loops
import pytest

import fastad as ad
from fastad.fourier import ComplexTransform, HalfToReal, RealToHalf

LENGTHS = [1, 2, 3, 4, 5, 8, 12, 13, 31, 64, 97, 256, 1009]
SHAPES = [((), ()), ((3,), ()), ((), (2,)), ((2, 1), (3,))]


def transforms(n, before, after, scale):
    """One of each kind, along the middle of (before, n, after)."""
    axis, half = len(before), n // 2 + 1
    return [ComplexTransform((*before, n, *after), axis, n, n, True, scale),
            ComplexTransform((*before, n, *after), axis, n, n, False, scale),
            *[RealToHalf((*before, n, *after), axis, n, half, twice, scale) for twice in (False, True)],
            *[HalfToReal((*before, half, *after), axis, n, n, twice, scale) for twice in (False, True)]]


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("before, after", SHAPES)
@pytest.mark.parametrize("scale", ["1", "1/n", "1/sqrt(n)"])
def test_the_bits_are_those_of_numpy_fft(n, before, after, scale):
    rng = np.random.default_rng(n)
    for rule in transforms(n, before, after, scale):
        assert rule.pocket is not None
        x = rng.normal(size=rule.shape_in)
        got, want = np.full(rule.shape_out, np.nan), np.full(rule.shape_out, np.nan)
        rule.run([x], got)
        rule.run_map(x, want)            # by numpy.fft
        assert got.tobytes() == want.tobytes(), rule.key


@pytest.mark.parametrize("n", [7, 64])
def test_what_is_cut_or_filled_up_goes_through_numpy_fft(n):
    for rule in (ComplexTransform((n,), 0, n + 1, n + 1, True, "1"), RealToHalf((n,), 0, n, n // 2, False, "1"),
                 RealToHalf((n,), 0, n - 1, (n - 1) // 2 + 1, False, "1"), HalfToReal((n // 2,), 0, n, n, True, "1/n"),
                 HalfToReal((n // 2 + 1,), 0, n, n - 1, False, "1/n")):
        assert rule.pocket is None


def spectral(c):
    """A few steps of a pseudo-spectral model."""
    n = 48
    k = np.fft.rfftfreq(n) * n
    u = np.exp(-((np.arange(n) - 24.0) / 6.0) ** 2)
    for _ in range(4):
        u = np.fft.irfft(np.fft.rfft(u) * np.exp(-c[0] * k * k), n)
        u = u - c[1] * np.fft.ifft(1j * k[1] * np.fft.fft(u * u)).imag
    return np.sum(u * u)


def test_without_numpys_loops_the_answer_is_the_same(monkeypatch):
    c = np.array([0.01, 0.1])
    want = ad.value_and_grad(spectral)(c)
    other = types.SimpleNamespace(fft=np.add, ifft=None, irfft=loops.fft)     # none has the signature that is known
    monkeypatch.setattr(np.fft, "_pocketfft_umath", other)
    assert ComplexTransform((8,), 0, 8, 8, True, "1").pocket is None
    got = ad.value_and_grad(lambda c: spectral(c))(c)
    assert got[0] == want[0]
    np.testing.assert_array_equal(got[1], want[1])
    step = 1e-6
    for i in range(2):
        e = step * np.eye(2)[i]
        assert want[1][i] == pytest.approx((spectral(c + e) - spectral(c - e)) / (2 * step), rel=1e-6)


def test_arrays_that_do_not_fit_are_refused():
    run = ComplexTransform((8,), 0, 8, 8, True, "1").pocket.run
    run(np.zeros((8, 2)), np.zeros((8, 2)))
    for x, y in ((np.zeros((7, 2)), np.zeros((8, 2))), (np.zeros((8, 2)), np.zeros((9, 2))),
                 (np.zeros((8, 2), np.float32), np.zeros((8, 2))), (np.zeros((2, 8)).T, np.zeros((8, 2)))):
        with pytest.raises(ValueError, match="C order"):
            run(x, y)
