"""How the gradients of Rosenbrock's function and of the transcendental sum grow with n, from 10 to 10^6 or 10^7.

Stresses what each size is made of: the call where arrays are small, kernels where they fit the caches, memory beyond.
"""
import numpy as np

import fastad as ad
from benchmarks import c_code, peers
from benchmarks.programs import rosenbrock, rosenbrock_gradient, transcendental, transcendental_gradient

SIZES = [10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000]
PROGRAMS = {"rosenbrock": (rosenbrock, rosenbrock_gradient, lambda n: 1.0 + 0.3 * np.sin(np.arange(n))),
            "transcendental": (transcendental, transcendental_gradient, lambda n: np.linspace(-2.0, 2.0, n))}
SHOWN = ("c", "jax", "torch")           # torch.compile would compile for minutes: its figures at 10^6 are other rows


def run(bench):
    """For information: the picture of docs/performance.md."""
    for name, (f, by_hand, points) in PROGRAMS.items():
        for n in bench.size(SIZES, [10]):
            bench.about(f"growth of {name}, n={n}")
            with bench.part(f"{name}, n={n}"):
                one_size(bench, name, f, by_hand, points(n))


def one_size(bench, name, f, by_hand, x):
    """NumPy by hand, fastad and the peers take turns."""
    want, g, large = by_hand(x), ad.grad(f), x.size > 30_000
    makers = peers.recipes(f, x, c=c_code.gradient(name, x, threads=bench.threads if large else 1))
    gradients = {"numpy": lambda: by_hand(x), "fastad": lambda: g(x)}
    for peer in SHOWN:
        if peer in bench.peers:
            with bench.part(f"{name}, n={x.size}, by {peer}"):
                peers.warm_up(peer)
                gradients[peer] = makers[peer]()
    for who, gradient in gradients.items():
        bench.verify(f"{name}, n={x.size}, by {who}", gradient(), want, rtol=1e-8)
    times = (bench.typical if large else bench.call_time)(*gradients.values(), seconds=0.1)
    ours = dict(zip(gradients, times, strict=True))["fastad"]
    for who, time in zip(gradients, times, strict=True):
        bench.row(f"{name}, n={x.size:.0e}: {who}".replace("e+0", "e"), time, who=who, kind="growth",
                  **({} if who == "fastad" else {"ratio": ours / time, "to": who}))
