"""The gradient of Rosenbrock's function: n=100 (the call counts) and n=10^6 (memory counts).

Stresses few operations on arrays: slices, squares, a sum; their adjoints write into overlapping slices.
"""
import numpy as np

from benchmarks.cases.arrays import array_case
from benchmarks.programs import rosenbrock, rosenbrock_gradient

THREADS = True


def run(bench):
    """Levels: 5 us and a ninth of JAX at n=100; 2.7 ms and half of JAX and of torch.compile at 10^6."""
    levels = {100: (5e-6, {"jax": 0.11}), 1_000_000: (2.7e-3, {"jax": 0.5, "torch_compile": 0.5})}
    for n in bench.size([100, 1_000_000], [10]):
        level, limits = levels.get(n, (None, None))
        array_case(bench, "rosenbrock", f"Rosenbrock, n={n:,}", (rosenbrock, rosenbrock_gradient),
                   1.0 + 0.3 * np.sin(np.arange(n)), level, limits)
