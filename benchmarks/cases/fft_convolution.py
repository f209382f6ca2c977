"""The gradient of a deconvolution misfit: a signal of 2**20 samples with a kernel of 2**12, and one of 2**20, by FFT.

Stresses the transforms of real arrays, their adjoints, and products of spectra that stay complex between them.
"""
import numpy as np

from benchmarks import peers
from benchmarks.cases.arrays import first_gradients

THREADS = True
PEERS = ("jax", "torch")                 # torch.compile does not take complex operators


def misfit(n, k, length, data):
    """f(x, xp): half the squared residual of x[:n] convolved with x[n:], by transforms of `length` points."""
    def f(x, xp=np):
        fft = xp.fft
        y = fft.irfft(fft.rfft(x[:n], length) * fft.rfft(x[n:], length), length)
        return 0.5 * xp.sum((y[:n + k - 1] - xp.asarray(data))**2)
    return f


def gradient_by_hand(n, k, length, data):
    """x -> gradient: the residual correlated with the one and the other."""
    def gradient(x):
        a, b = np.fft.rfft(x[:n], length), np.fft.rfft(x[n:], length)
        r = np.fft.irfft(a * b, length)[:n + k - 1] - data
        w = np.fft.rfft(r, length)
        return np.concatenate([np.fft.irfft(w * b.conj(), length)[:n], np.fft.irfft(w * a.conj(), length)[:k]])
    return gradient


def run(bench):
    """Level: no slower than JAX, for both lengths of the kernel."""
    from scipy.fft import next_fast_len
    n, short = bench.size((2**20, 2**12), (300, 20))
    for k in (short, n):
        rng = np.random.default_rng(0)
        x, length = rng.normal(size=n + k), next_fast_len(n + k - 1, True)
        data = rng.normal(size=n + k - 1)
        f, by_hand = misfit(n, k, length, data), gradient_by_hand(n, k, length, data)
        bench.about(f"FFT convolution, signal of {n}, kernel of {k}")
        g = first_gradients(bench, f, by_hand, x, large=True)
        value, hand, ours = bench.best(lambda f=f, x=x: f(x), lambda h=by_hand, x=x: h(x), lambda g=g, x=x: g(x))
        bench.row("f(x) in NumPy", value, who="numpy", kind="value")
        bench.row("gradient by hand in NumPy", hand, ratio=ours / hand, to="by hand", who="numpy", kind="gradient")
        bench.row("ad.grad(f)(x), steady", ours, ratio=ours / value, to="f(x) in NumPy", who="fastad", kind="gradient")
        bench.cost(ours, value, "f(x) in NumPy")
        recipes = peers.recipes(f, x)
        makers = {name: recipes[name] for name in PEERS}
        peers.compare(bench, makers, by_hand(x), lambda g=g, x=x: g(x), bench.best, {"jax": 1.0}, memory=True)
