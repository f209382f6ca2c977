"""The gradient of squared imbalances on an unstructured mesh: 200,000 edges between 100,000 cells.

Stresses gathers and scatters by index: the fluxes of both cells of an edge, and their adjoints, which are each other.
"""
from functools import partial
from types import SimpleNamespace

from benchmarks.cases.arrays import model_case, torch_names
from benchmarks.models import Mesh, imbalance, imbalance_gradient, mesh

THREADS = True


def run(bench):
    cells, edges = bench.size((100_000, 200_000), (8, 15))
    u, links = mesh(cells, edges)
    model_case(bench, f"mesh of {edges:,} edges", u, partial(imbalance, mesh=links),
               partial(imbalance_gradient, mesh=links), lambda u, xp: imbalance(u, links, names_of(xp)),
               lambda torch: by_torch(torch, links), skip=("autograd",))


def names_of(jnp):
    """In JAX sums by index are written as additions."""
    return SimpleNamespace(sqrt=jnp.sqrt, sum=jnp.sum, bincount=lambda i, x, n: jnp.zeros(n).at[i].add(x))


def by_torch(torch, links):
    tensors = Mesh(*(torch.from_numpy(a) for a in vars(links).values()))
    names = torch_names(torch)
    names.bincount = lambda i, x, n: torch.zeros(n, dtype=torch.float64).index_add(0, i, x)
    return lambda u: imbalance(u, tensors, names)
