"""The Jacobian of bundle adjustment (the size of ADBench's ba1: 31,843 observations): a 2 by 15 block for each.

Stresses many rows of short arrays and forward sweeps.  The blocks are compressed by hand, 15 seeds for all observations
at once, here as in JAX; finding that is what sparse Jacobians are for, which fastad has not got yet.
"""
from time import perf_counter

import numpy as np

import fastad as ad
from benchmarks import peers
from benchmarks.models import blocks_by_complex_step, observations, project

THREADS = True


def run(bench):
    """Level: no slower than JAX, vmapped by hand."""
    camera, point, weight, feature = observations(bench.size(31_843, 5))
    x = np.vstack([camera, point, weight[None]])
    want = blocks_by_complex_step(camera, point, weight, feature)

    def residuals(x):
        return project(x[:11], x[11:14], x[14], feature)

    bench.about(f"bundle adjustment, {x.shape[1]:,} observations, Jacobian")
    start = perf_counter()
    blocks = ours(residuals, x)
    bench.verify("blocks", blocks(), want)
    bench.row("until the first Jacobian, cold", perf_counter() - start, who="fastad", kind="first")
    value, time = bench.best(lambda: residuals(x), blocks, at_least=3)
    bench.row("residuals in NumPy", value, who="numpy", kind="value")
    bench.row("15 tangent sweeps", time, ratio=time / value, to="residuals in NumPy", who="fastad", kind="gradient")
    makers = {"jax": lambda: by_jax(x, feature), "torch": lambda: by_torch(x, feature)}
    peers.compare(bench, makers, want, blocks, bench.best, limits={"jax": 1.0}, what="Jacobian")


def ours(residuals, x):
    tape = ad.record(residuals, x)
    seeds = np.zeros((15, *x.shape))
    for row, seed in enumerate(seeds):
        seed[row] = 1.0

    def blocks():
        tape.forward(x)
        return np.array([tape.tangent(seed) for seed in seeds])
    return blocks


def by_jax(x, feature):
    """`jacfwd` of one observation's two residuals, mapped over all."""
    jax = peers.x64_jax()

    def one(p, feature):
        return project(p[:11, None], p[11:14, None], p[14], feature[:, None], jax.numpy)[:, 0]

    jacobian = jax.jit(jax.vmap(jax.jacfwd(one), in_axes=(1, 1), out_axes=2))
    return lambda: np.asarray(jacobian(x, feature)).transpose(1, 0, 2)


def by_torch(x, feature):
    torch = peers.threaded_torch()
    names = type("names", (), {"sqrt": torch.sqrt, "cos": torch.cos, "sin": torch.sin, "sum": torch.sum,
                               "stack": torch.stack})
    data = torch.from_numpy(feature)

    def residuals(x):
        return project(x[:11], x[11:14], x[14], data, names)

    seeds = torch.eye(15, dtype=torch.float64)[:, :, None].expand(15, *x.shape)

    def jacobian():
        point = torch.from_numpy(x)
        columns = torch.func.vmap(lambda seed: torch.func.jvp(residuals, (point,), (seed,))[1])
        return columns(seeds).numpy()
    return jacobian
