"""The gradient of a network of two layers by all of its 101,770 weights: 784-128-10, a batch of 1000 images.

Stresses two large matrix products and their adjoints, with little between them.
"""
from functools import partial

from benchmarks.cases.arrays import model_case, torch_names
from benchmarks.models import Batch, batch, cross_entropy, cross_entropy_gradient

THREADS = True


def run(bench):
    """Level: no slower than JAX and PyTorch."""
    n, pixels, hidden, classes = bench.size((1000, 784, 128, 10), (5, 7, 4, 3))
    p, images = batch(n, pixels, hidden, classes)
    limits = {"jax": 1.0, "torch_compile": 1.0, "torch": 1.0}
    model_case(bench, f"network {pixels}-{hidden}-{classes}, batch of {n}", p,
               partial(cross_entropy, batch=images), partial(cross_entropy_gradient, batch=images),
               lambda p, xp: cross_entropy(p, images, xp), lambda torch: by_torch(torch, images), limits)


def by_torch(torch, images):
    tensors = Batch(torch.from_numpy(images.x), torch.from_numpy(images.labels), images.hidden)
    names = torch_names(torch)
    return lambda p: cross_entropy(p, tensors, names)
