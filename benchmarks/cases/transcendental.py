"""The gradient of sum(exp(-x^2) sin 3x + log1p(x^2) tanh x), n=10^6.

Stresses elementwise functions over arrays larger than the caches: kernels, and how often memory is crossed.
"""
import numpy as np

from benchmarks.cases.arrays import array_case
from benchmarks.programs import transcendental, transcendental_gradient

THREADS = True


def run(bench):
    """Levels: 8 ms, seven tenths of torch.compile, a tenth of JAX."""
    n = bench.size(1_000_000, 10)
    array_case(bench, "transcendental", f"exp, sin, log1p, tanh, n={n:,}", (transcendental, transcendental_gradient),
               np.linspace(-2.0, 2.0, n), 8e-3, {"torch_compile": 0.7, "jax": 0.1})
