"""A gradient of one array, against a gradient by hand and every peer: what several cases have in common.

Owns: the rows of such a case.  Next: rosenbrock.py, transcendental.py, growth.py.
"""
from time import perf_counter

import fastad as ad
from benchmarks import c_code, peers
from benchmarks.harness import peak_memory


def array_case(bench, name, problem, programs, x, level=None, limits=None):
    """Value and gradient by hand, first gradient (cold, and once more), steady gradient, memory; then the peers.

    Parameters
    ----------
    name : str
        Of the C file with the same program.
    programs : tuple
        ``f(x, xp)`` and its gradient by hand.
    level : float, optional
        The most that our steady gradient may take, in seconds; `limits` are ratios to peers.
    """
    f, by_hand = programs
    bench.about(problem)
    want, large = by_hand(x), x.size > 1000
    g = first_gradients(bench, f, by_hand, x, large)
    timer = bench.typical if large else bench.call_time
    value, hand, ours = timer(lambda: f(x), lambda: by_hand(x), lambda: g(x))
    bench.row("f(x) in NumPy", value, who="numpy", kind="value")
    bench.row("gradient by hand in NumPy", hand, ratio=ours / hand, to="by hand", who="numpy", kind="gradient")
    bench.row("ad.grad(f)(x), steady", ours, level=level, ratio=ours / value, to="f(x) in NumPy", who="fastad",
              kind="gradient")
    bench.cost(ours, value, "f(x) in NumPy")
    makers = peers.recipes(f, x, skip=("casadi", "aadc") if large else (),      # these unroll arrays into scalars
                           c=c_code.gradient(name, x, threads=bench.threads if large else 1))
    peers.compare(bench, makers, want, lambda: g(x), timer, limits, memory=large)


def first_gradients(bench, f, by_hand, x, large):
    """Returns ad.grad(f), verified at two points, after the rows of what its first call takes: cold, then warm."""
    g = ad.grad(f)
    start = perf_counter()
    got, peak = peak_memory(lambda: g(x))
    cold = perf_counter() - start
    bench.verify("gradient", got, by_hand(x))
    bench.verify("gradient elsewhere", g(0.9 * x), by_hand(0.9 * x))
    bench.row("until the first gradient, cold", cold, who="fastad", kind="first")
    if large:
        bench.row("memory until then", peak, "B", who="fastad", kind="memory")
    bench.size_of(ad.record(f, x))
    bench.row("record", bench.best(lambda: ad.record(f, x), at_least=3), who="fastad", kind="record")
    again = bench.best(lambda: ad.record(f, x).gradient(x), at_least=3)
    bench.row("first gradient of a new tape (record, tier 0)", again, ratio=again / cold, to="cold")
    return g
