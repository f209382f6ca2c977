"""The Jacobian of bundle adjustment (the size of ADBench's ba1: 31,843 observations): a 2 by 15 block for each.

Stresses many rows of short arrays and reverse sweeps.  The blocks are compressed by hand, one sweep for each of the two
residuals of all observations at once, here as in the peers; finding that is what sparse Jacobians are for, which fastad
has not got yet.
"""
from time import perf_counter

import numpy as np

import fastad as ad
from benchmarks import peers
from benchmarks.models import blocks_by_complex_step, observations, project

THREADS = True


def run(bench):
    """Level: no slower than JAX with the same compression."""
    camera, point, weight, feature = observations(bench.size(31_843, 5))
    x = np.vstack([camera, point, weight[None]])
    want = blocks_by_complex_step(camera, point, weight, feature).transpose(1, 0, 2)

    def residuals(x):
        return project(x[:11], x[11:14], x[14], feature)

    seeds = np.zeros((2, *feature.shape))
    seeds[0, 0] = seeds[1, 1] = 1.0
    bench.about(f"bundle adjustment, {x.shape[1]:,} observations, Jacobian")
    start = perf_counter()
    blocks = ours(residuals, x, seeds)
    bench.verify("blocks", blocks(), want)
    bench.row("until the first Jacobian, cold", perf_counter() - start, who="fastad", kind="first")
    value, time = bench.best(lambda: residuals(x), blocks, at_least=3)
    bench.row("residuals in NumPy", value, who="numpy", kind="value")
    bench.row("Jacobian, two reverse sweeps", time, ratio=time / value, to="residuals in NumPy", who="fastad",
              kind="gradient")
    makers = {"jax": lambda: by_jax(x, feature, seeds), "torch": lambda: by_torch(x, feature, seeds)}
    peers.compare(bench, makers, want, blocks, bench.best, limits={"jax": 1.0}, what="Jacobian")


def ours(residuals, x, seeds):
    """The compiled adjoint tape, once for each seed; shape (2, 15, m)."""
    adjoint = ad.record(residuals, x).vjp_tape().compile()
    return lambda: np.stack([adjoint(x, seed)[1] for seed in seeds])


def by_jax(x, feature, seeds):
    """One `vjp` of all observations: faster here than `vmap(jacrev)` of a single one, in either layout."""
    jax = peers.x64_jax()

    def rows(x):
        _, pullback = jax.vjp(lambda x: project(x[:11], x[11:14], x[14], feature, jax.numpy), x)
        return jax.numpy.stack([pullback(seed)[0] for seed in seeds])

    jacobian = jax.jit(rows)
    return lambda: np.asarray(jacobian(x))


def by_torch(x, feature, seeds):
    torch = peers.threaded_torch()
    names = type("names", (), {"sqrt": torch.sqrt, "cos": torch.cos, "sin": torch.sin, "sum": torch.sum,
                               "stack": torch.stack})
    data, directions = torch.from_numpy(feature), torch.from_numpy(seeds)

    def jacobian():
        leaf = torch.from_numpy(x).requires_grad_()
        y = project(leaf[:11], leaf[11:14], leaf[14], data, names)
        return np.stack([torch.autograd.grad(y, leaf, seed, retain_graph=True)[0].numpy() for seed in directions])
    return jacobian
