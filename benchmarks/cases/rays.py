"""The gradient of travel times along 2000 straight rays of 500 samples, by slowness at 200 nodes and by their ends.

Stresses interpolation between nodes at 10^6 places that depend on the unknowns, too: searches, gathers, scatters.
"""
from functools import partial

from benchmarks.cases.arrays import model_case, torch_names
from benchmarks.models import Rays, rays, travel_times, travel_times_gradient

THREADS = True


def run(bench):
    nodes, count, samples = bench.size((200, 2000, 500), (7, 4, 5))
    p, ways = rays(nodes, count, samples)
    model_case(bench, f"ray integral, {count} x {samples} samples", p, partial(travel_times, rays=ways),
               partial(travel_times_gradient, rays=ways), lambda p, xp: travel_times(p, ways, xp),
               lambda torch: by_torch(torch, ways), skip=("autograd",))


def by_torch(torch, ways):
    """Its interpolation is written out there: a search, and two gathers."""
    tensors, names = Rays(*(torch.from_numpy(a) for a in vars(ways).values())), torch_names(torch)

    def interp(z, x, y):
        cell = torch.clamp(torch.searchsorted(x, z.detach().contiguous(), right=True) - 1, 0, len(x) - 2)
        part = (z - x[cell]) / (x[cell + 1] - x[cell])
        return y[cell] + part * (y[cell + 1] - y[cell])

    names.interp = interp
    return lambda p: travel_times(p, tensors, names)
