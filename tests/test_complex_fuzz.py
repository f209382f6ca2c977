"""Random programs of complex arrays against NumPy: values at the recorded point and at another one.

Next: test_complex.py (one function at a time), fuzz.py (programs of real arrays).
"""
import numpy as np
import pytest

import fastad as ad

STATEMENTS = [
    "a[{i}] = b[{j}] * {c}",
    "a += b",
    "a -= {c}",
    "b = a.conj()",
    "b = a[::-1]",
    "a = b.copy()",
    "r = a.real",
    "r = a.imag",
    "r[...] = r * 0.5 + x[{i}]",
    "a.real = r",
    "a.imag[{i}:] = r[{i}:]",
    "b = a * r",
    "b[1:] = a[:-1]",
    "a[:2], b[:2] = b[1:3] + 1j, a[1:3]",
    "a = np.exp(0.1j * r)",
    "a[r > 0.2] = {c}",
    "b = a[[2, 0, 3, 1]]",
    "b = a.reshape(2, 2).T.ravel()",
    "a.reshape(2, 2)[0] = b[:2]",
    "b[{i}] += x[{j}]",
    "a = np.where(r > 0, a, b)",
    "r = np.abs(a)",
    "b = np.roll(a, {i})",
    "a /= 1 + abs(b)",
    "a = np.array([b[{i}], x[{j}], 1j, 2.0])",
    "b = a.view()",
    "b = np.fft.fft(a) / 2",
    "r = np.fft.irfft(a[:3], 4)",
    "a[{i}] *= b[{j}] / (1 + abs(a[{i}]))",
    "b = a[:]",
    "a = np.zeros(4, complex)",
    "b = np.concatenate([a[2:], r[:2]])",
    "a[::2] = b[::-2]",
    "r = r + b.real * x[{i}]",
    "m = a.reshape(2,2)",
    "m = np.outer(a[:2], b[2:].conj())",
    "m = m.T",
    "m = m @ m / 3",
    "m[{p}] = a[{i}]",
    "m[:, {p}] += b[:2]",
    "a = m.ravel()",
    "a = m.flatten()",
    "a = m.T.reshape(-1)",
    "a = m.ravel('F')",
    "a = m.ravel('K')",
    "m = np.zeros((2, 2), complex, order='F')",
    "m = np.asfortranarray(m)",
    "m = np.ascontiguousarray(m.T)",
    "m += m.T",
    "m = m.conj().T",
    "v = m[{p}]; v *= {c}",
    "v = m[:, {p}]; v[...] = x[{i}]",
    "m.real[{p}, {q}] = x[{j}]",
    "m.imag *= r[:2]",
    "m = np.stack([a[:2], b[1:3]], axis=1)",
    "m = np.fft.fft2(m)/2",
    "m = np.fft.ifft(m, axis=0)",
    "b[:2] = m.sum(axis=0)",
    "r[:2] = np.abs(m).max(axis=1)",
    "m = np.swapaxes(m, 0, 1).copy('K')",
    "a = np.append(m[0], m[1].real)",
    "m = np.einsum('ij,kj->ik', m, m.conj())/4",
    "b = np.kron(m[0], m[1])",
    "m = m - np.eye(2) * x[{i}]",
    "a[1:3] = m.diagonal()",
    "m.flat[{i}] = {c}",
    "a.flat = b",
    "m = np.block([[a[:1], b[:1]], [a[2:3], b[3:]]])",
    "m[m.real > 0] = {c}",
    "m[np.array([0, 1]), np.array([1, 0])] = b[:2]",
    "a = np.take(a, [3, 1, 0, 2])",
    "np.add.at(a, [0, 1, 0], {c})",
    "a = np.cumsum(b)/2",
    "a = np.tanh(b)",
    "b = np.sqrt(a)",
    "b = a**2",
    "b = a.astype(complex)",
    "b = +a",
    "v = a[1:]; w = a[:-1]; v[...] = w",
    "v = m.T; m[0, 1] = v[0, 1] + {c}",
    "b = np.array(m).view(float)[:, ::2].ravel() * 1j",
    "m = np.broadcast_to(a[:2], (2, 2)).copy()",
    "a = np.repeat(b[:2], 2)",
    "m = np.tile(a[:2], (2, 1))",
    "r = (a * b.conj()).imag",
    "r[:2] = np.angle(m[0] + 3)",
    "z = np.zeros((2, 2)); z[0] = r[:2]; m = z + 1j * z.T",
    "a = np.where(np.array([True, False, True, True]), b, {c})",
    "m = np.triu(m)",
    "b = np.full(4, m[0, {q}])",
    "b = np.full_like(a, {c})",
    "a, b = b, a",
    "b = a.squeeze()[None][0]",
    "a = np.fft.ifft(np.fft.fft(a) * np.fft.fft(b))/3",
    "a = np.convolve(a, b, 'same')/3",
    "m = np.moveaxis(m[None], 0, 2)[..., 0]",
    "r = np.fft.fftshift(a).real * 1.0",
    "m = np.array(m, order='F')",
    "m = np.require(m, complex, 'C')",
    "a = np.array([u for u in b])",
    "a[{i}:{i}+1].imag = {k}",
    "m.T[0] = m.T[1]",
    "b = np.hstack([m[0], m[:, 1]])",
    "b = np.array(a * 2).view(float)[:4] * 1j",
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("block", range(6))
def test_random_programs(block):
    """Random statements on complex arrays of one and two dimensions, views and real arrays: NumPy's values twice.

    The memory order decides which reshapes are views, so a wrong one shows as a write that went elsewhere.
    """
    compared = 0
    for seed in range(20 * block, 20 * block + 20):
        rng = np.random.default_rng(seed)
        f, text = program(rng)
        points = [rng.normal(size=6), rng.normal(size=6)]
        with np.errstate(all="ignore"):
            try:
                want = [f(x) for x in points]
            except (ValueError, TypeError):      # no program: broadcasting, contiguity
                continue
            if not np.isfinite(want).all():
                continue
            try:
                tape = ad.record(f, points[0])
                got = [tape(x) for x in points]
            except (ad.TapeDivergence, ad.DerivativeError):      # a mask selects as many only there; nothing depends
                continue
            except ad.UnsupportedError as error:
                assert "side by side" in str(error), text
                continue
        for ours, theirs in zip(got, want, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9 * np.abs(theirs).max(), err_msg=text)
        compared += 1
    assert compared > 10


def program(rng):
    """A function of a vector of six numbers, and its text."""
    lines = ["a = np.zeros(4, complex)", "a[:] = x[:4] + 1j", "b = x[1:5] * (1 - 2j)", "r = x[:4] * 1.0",
             "m = np.zeros((2, 2), complex)"]
    for _ in range(int(rng.integers(3, 14))):
        i, j = rng.integers(0, 4, 2)
        p, q = rng.integers(0, 2, 2)
        c = ["2.0", "1j", "(0.5-1j)", f"x[{j}]", f"(1j*x[{j}])", "r[0]", "a[1]"][rng.integers(7)]
        lines.append(STATEMENTS[rng.integers(len(STATEMENTS))].format(i=i, j=j, c=c, p=p, q=q, k=rng.integers(5)))
    text = "\n    ".join(["def f(x):", *lines, "return np.concatenate([a, b, r, m.ravel()])"])
    names = {"np": np}
    exec(compile(text, "<program>", "exec"), names)
    return names["f"], text
