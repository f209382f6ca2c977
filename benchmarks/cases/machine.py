"""Control without fastad: how fast this machine runs plain Python, NumPy calls, loops in cache and memory.

Stresses nothing of ours.  When these figures move between two runs, so may all others: compare them first.
"""
import numpy as np

from benchmarks.programs import LV_POINT, lotka_volterra


def run(bench):
    p = LV_POINT.tolist()
    steps = bench.size(1000, 20)
    bench.row("plain Python, one float operator",
              bench.best(lambda: lotka_volterra(p, steps)) / (50 * steps))
    a, b = np.linspace(0.0, 1.0, 10), np.ones(10)
    bench.row("NumPy, a + b of 10 elements", bench.call_time(lambda: a + b))
    x = np.linspace(0.0, 1.0, bench.size(1_000_000, 1000))
    out = np.empty_like(x)
    bench.row(f"NumPy, exp of {x.size} elements", bench.best(lambda: np.exp(x, out=out)))
    bench.row(f"NumPy, add of {x.size} elements (memory)", bench.best(lambda: np.add(x, x, out=out)))
