"""A gradient of one array, against a gradient by hand and every peer: what several cases have in common.

Owns: the rows of such a case.  Next: rosenbrock.py, transcendental.py, stencil.py (of one array alone), network.py,
mesh.py, rays.py (with data beside it), growth.py.
"""
from time import perf_counter
from types import SimpleNamespace

import fastad as ad
from benchmarks import c_code, peers
from benchmarks.harness import peak_memory


def array_case(bench, name, problem, programs, x, level=None, limits=None, unrolled=True, work=()):
    """Value and gradient by hand, first gradient (cold, and once more), steady gradient, memory; then the peers.

    Parameters
    ----------
    name : str
        Of the C file with the same program.
    programs : tuple
        ``f(x, xp)`` and its gradient by hand.
    level : float, optional
        The most that our steady gradient may take, in seconds; `limits` are ratios to peers.
    unrolled : bool, optional
        Are peers asked that make scalars of arrays, where x is small?
    work : tuple, optional
        Arrays that the C code is given to work with.
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
    makers = peers.recipes(f, x, skip=("casadi", "aadc") if large or not unrolled else (),
                           c=c_code.gradient(name, x, *work, threads=bench.threads if large else 1))
    peers.compare(bench, makers, want, lambda: g(x), timer, limits, memory=large)


def model_case(bench, problem, p, f, by_hand, with_names, for_torch, limits=None, skip=()):
    """The same rows for a model that has data beside its unknowns.

    Parameters
    ----------
    f, by_hand : callable
        Of p alone: the value, and its gradient.
    with_names : callable
        ``with_names(p, xp)``: f with the namespace of JAX or autograd.
    for_torch : callable
        ``for_torch(torch)`` -> f of a tensor.
    limits : dict, optional
        name of a peer: the most that our time may be, in units of the peer's.
    skip : tuple
        Peers that have not what it takes.
    """
    bench.about(problem)
    g = first_gradients(bench, f, by_hand, p, large=True)
    value, hand, ours = bench.typical(lambda: f(p), lambda: by_hand(p), lambda: g(p))
    bench.row("f(p) in NumPy", value, who="numpy", kind="value")
    bench.row("gradient by hand in NumPy", hand, ratio=ours / hand, to="by hand", who="numpy", kind="gradient")
    bench.row("ad.grad(f)(p), steady", ours, ratio=ours / value, to="f(p) in NumPy", who="fastad", kind="gradient")
    bench.cost(ours, value, "f(p) in NumPy")
    makers = {name: lambda make=peers.GRADIENTS[name]: make(with_names, p) for name in ("jax", "autograd")
              if name not in skip}
    makers |= {name: lambda make=peers.GRADIENTS[name]: make(lambda p, torch: for_torch(torch)(p), p)
               for name in ("torch", "torch_compile")}
    peers.compare(bench, makers, by_hand(p), lambda: g(p), bench.typical, limits, memory=True)


def torch_names(torch):
    """NumPy's names of functions that PyTorch has under other ones."""
    return SimpleNamespace(**{name: getattr(torch, name) for name in ("exp", "log", "sqrt", "sum", "mean", "tanh")},
                           max=torch.amax)


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
