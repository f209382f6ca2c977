"""The gradient of a misfit of prefix sums, n=10^6.

Stresses running sums and their adjoint, which runs backwards: each is one chain of additions.
"""
import numpy as np

from benchmarks.cases.arrays import array_case
from benchmarks.programs import prefix_sums, prefix_sums_gradient

THREADS = True


def run(bench):
    n = bench.size(1_000_000, 10)
    array_case(bench, "prefix_sums", f"prefix sums, n={n:,}", (prefix_sums, prefix_sums_gradient),
               np.linspace(-1.0, 1.0, n), unrolled=False, work=(np.empty(n),))
