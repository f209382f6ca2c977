"""The gradient of a Gaussian mixture's log posterior (ADBench: d=64, k=25, n=1000): 53,625 parameters.

Stresses batched matrix products, reductions along axes, a broadcast of (k, n, d), a fancy write of triangles.
"""
from functools import partial

import numpy as np

from benchmarks import c_code, peers
from benchmarks.cases.arrays import first_gradients
from benchmarks.harness import ROOT
from benchmarks.models import lower_triangles, mixture_gradient, mixture_objective, read_mixture, synthetic_mixture

THREADS = True
INSTANCE = ROOT.parent / "shared" / "data" / "adbench" / "gmm" / "gmm_d64_K25.txt"


def run(bench):
    """Level: no slower than JAX."""
    found = INSTANCE.exists() and not bench.quick
    n, d, k = bench.size((1000, 64, 25), (7, 3, 2))
    p, mixture = read_mixture(INSTANCE) if found else synthetic_mixture(n, d, k)
    if not found:
        bench.note("synthetic samples: ADBench's own are not beside the checkout")
    f, by_hand = partial(mixture_objective, mixture=mixture), partial(mixture_gradient, mixture=mixture)
    bench.about(f"Gaussian mixture, d={d}, k={k}, n={n}")
    g = first_gradients(bench, f, by_hand, p, large=True)
    want = by_hand(p)
    value, hand, ours = bench.best(lambda: f(p), lambda: by_hand(p), lambda: g(p))
    bench.row("f(p) in NumPy", value, who="numpy", kind="value")
    bench.row("gradient by hand in NumPy", hand, ratio=ours / hand, to="by hand", who="numpy", kind="gradient")
    bench.row("ad.grad(f)(p), steady", ours, ratio=ours / value, to="f(p) in NumPy", who="fastad", kind="gradient")
    bench.cost(ours, value, "f(p) in NumPy")
    makers = {name: partial(recipe, p, mixture) for name, recipe in PEERS.items()}
    makers["c"] = partial(by_c, p, mixture, bench.threads)
    limits = {"jax": 1.0, "torch_compile": 1.0, "torch": 1.0}
    peers.compare(bench, makers, want, lambda: g(p), bench.best, limits, memory=True)


def by_c(p, mixture, threads):
    (n, d), k = mixture.x.shape, mixture.components
    return c_code.gradient("gaussian_mixture", p, mixture.x, n, d, k, float(mixture.gamma), mixture.m,
                           np.empty(n * k * (1 + 2 * d)), threads=threads)()


def by_jax(p, mixture):
    jax = peers.x64_jax()
    rows, columns = mixture.below()

    def lower(values, mixture):
        d = mixture.x.shape[1]
        return jax.numpy.zeros((mixture.components, d, d)).at[:, rows, columns].set(values)

    gradient = jax.jit(jax.grad(lambda p: mixture_objective(p, mixture, jax.numpy, lower)))
    return lambda: np.asarray(gradient(p))


def torch_objective(torch, mixture):
    """The same with torch's names; x becomes a tensor once."""
    rows, columns = (torch.from_numpy(index) for index in mixture.below())
    tensors = type(mixture)(torch.from_numpy(mixture.x), mixture.components, mixture.gamma, mixture.m)
    names = type("names", (), {"exp": torch.exp, "log": lambda x: torch.log(torch.as_tensor(x)),
                               "sum": torch.sum, "matmul": torch.matmul, "swapaxes": torch.swapaxes,
                               "max": torch.amax})

    def lower(values, mixture):
        d = mixture.x.shape[1]
        factors = torch.zeros((mixture.components, d, d), dtype=torch.float64)
        return torch.index_put(factors, (slice_of(torch, mixture), rows, columns), values)

    return lambda p: mixture_objective(p, tensors, names, lower)


def slice_of(torch, mixture):
    """All components, as the index that `index_put` takes."""
    return torch.arange(mixture.components)[:, None]


def by_torch(p, mixture):
    torch = peers.threaded_torch()
    objective = torch_objective(torch, mixture)

    def gradient():
        leaf = torch.from_numpy(p).requires_grad_()
        return torch.autograd.grad(objective(leaf), leaf)[0].numpy()
    return gradient


def by_torch_compiled(p, mixture):
    torch = peers.threaded_torch()
    torch.compiler.reset()
    gradient = torch.compile(torch.func.grad(torch_objective(torch, mixture)))
    return lambda: gradient(torch.from_numpy(p)).numpy()


def by_autograd(p, mixture):
    """No writes into arrays there: a product with a table of zeros and ones places the triangles."""
    import autograd
    import autograd.numpy as anp
    d = mixture.x.shape[1]
    table = np.zeros((d, d), dtype=int)
    rows, columns = mixture.below()
    table[rows, columns] = np.arange(rows.size)
    kept = lower_triangles(np.ones(rows.size), mixture)[0]
    gradient = autograd.grad(lambda p: mixture_objective(p, mixture, anp, lambda v, m: v[:, table] * kept))
    return lambda: gradient(p)


PEERS = {"jax": by_jax, "torch": by_torch, "torch_compile": by_torch_compiled, "autograd": by_autograd}
