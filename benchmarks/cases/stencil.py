"""The gradient of squared residuals of a nonlinear Poisson equation on a grid of 1000 by 1000, by five points.

Stresses slices of two dimensions: their sum, and its adjoint, which a good program gathers in one pass.
"""
import numpy as np

from benchmarks.cases.arrays import array_case
from benchmarks.programs import bratu, bratu_gradient

THREADS = True


def run(bench):
    """Levels: half of JAX, two and a half of C by hand."""
    n = bench.size(1000, 6)
    x = np.linspace(0.0, 1.0, n)
    u = np.sin(np.pi * x[:, None]) * np.sin(3.0 * x) + 0.1 * x
    array_case(bench, "bratu", f"five-point residual, {n} x {n}", (bratu, bratu_gradient), u,
               limits={"jax": 0.5, "c": 2.5}, unrolled=False)
