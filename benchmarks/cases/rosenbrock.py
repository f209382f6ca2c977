"""The gradient of Rosenbrock's function: n=100 (the call counts) and n=10^6 (memory counts).

Stresses few operations on arrays: slices, squares, a sum; their adjoints write into overlapping slices.
"""
import numpy as np

import fastad as ad
from benchmarks import peers
from benchmarks.programs import rosenbrock, rosenbrock_gradient


def run(bench):
    """For information until the levels of the compiled programs are due."""
    for n in bench.size([100, 1_000_000], [10]):
        array_case(bench, f"n={n}", rosenbrock, rosenbrock_gradient, 1.0 + 0.3 * np.sin(np.arange(n)),
                   skip=("casadi", "aadc") if n > 1000 else ())


def array_case(bench, size, f, by_hand, x, skip=()):
    """First gradient, steady gradient, and the peers', each as a ratio; the gradient by hand in NumPy as control."""
    g, other = ad.grad(f), 0.9 * x
    want = by_hand(x)
    bench.verify(f"gradient, {size}", g(x), want)
    bench.verify(f"gradient elsewhere, {size}", g(other), by_hand(other))
    timer = bench.call_time if x.size <= 1000 else bench.typical
    first = bench.best(lambda: ad.record(f, x).gradient(x), at_least=3)
    hand, ours = timer(lambda: by_hand(x), lambda: g(x))
    bench.row(f"{size}: gradient by hand in NumPy", hand)
    bench.row(f"{size}: first gradient (record + tier 0)", first, ratio=first / hand, to="by hand")
    bench.row(f"{size}: ad.grad(f)(x), steady", ours, ratio=ours / hand, to="by hand")
    peers.compare(bench, f, x, want, lambda: g(x), timer, skip=skip)
