"""The gradient of sum(exp(-x^2) sin 3x + log1p(x^2) tanh x), n=10^6.

Stresses elementwise functions over arrays larger than the caches: kernels, and how often memory is crossed.
"""
import numpy as np

from benchmarks.cases.rosenbrock import array_case
from benchmarks.programs import transcendental, transcendental_gradient


def run(bench):
    """For information until the levels of the compiled programs are due."""
    n = bench.size(1_000_000, 10)
    array_case(bench, f"n={n}", transcendental, transcendental_gradient, np.linspace(-2.0, 2.0, n),
               skip=("casadi", "aadc") if n > 1000 else ())
