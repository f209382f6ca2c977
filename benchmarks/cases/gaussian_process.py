"""The gradient of a Gaussian process's log likelihood, n=2000, by three hyper-parameters, through a Cholesky factor.

Stresses LAPACK steps and their adjoints: a factorization, a triangular system, a log determinant; arrays of n x n.
"""
from functools import partial

import numpy as np
import scipy.linalg

from benchmarks import peers
from benchmarks.cases.arrays import first_gradients

THREADS = True


def data(n):
    """Noisy values of a sine at random times: (squared distances, values)."""
    rng = np.random.default_rng(0)
    t = np.sort(rng.uniform(0.0, n / 200, n))
    return (t[:, None] - t)**2, np.sin(t) + 0.1 * rng.normal(size=n)


def objective(p, squares, y):
    """Minus the log likelihood; p: logarithms of variance, length and noise."""
    K = np.exp(p[0]) * np.exp(-0.5 * squares / np.exp(2 * p[1])) + np.exp(p[2]) * np.eye(len(y))
    factor = np.linalg.cholesky(K)
    z = scipy.linalg.solve_triangular(factor, y, lower=True)
    return 0.5 * z @ z + np.sum(np.log(np.diag(factor)))


def by_hand(p, squares, y):
    """The formula with traces: tr((K^-1 - a a.T) dK/dp)/2."""
    smooth = np.exp(p[0]) * np.exp(-0.5 * squares / np.exp(2 * p[1]))
    factor = scipy.linalg.cho_factor(smooth + np.exp(p[2]) * np.eye(len(y)), lower=True)
    a, inverse = scipy.linalg.cho_solve(factor, y), scipy.linalg.cho_solve(factor, np.eye(len(y)))
    inverse -= np.outer(a, a)
    stretched = np.sum(inverse * smooth * squares) / np.exp(2 * p[1])
    return 0.5 * np.array([np.sum(inverse * smooth), stretched, np.exp(p[2]) * np.trace(inverse)])


def run(bench):
    """Level: 1.1 x JAX."""
    n = bench.size(2000, 30)
    squares, y = data(n)
    p = np.array([0.1, -0.2, -2.0])
    f, hand = partial(objective, squares=squares, y=y), partial(by_hand, squares=squares, y=y)
    bench.about(f"Gaussian process, n={n}")
    g = first_gradients(bench, f, hand, p, large=True)
    value, formula, ours = bench.best(lambda: f(p), lambda: hand(p), lambda: g(p))
    bench.row("f(p) in NumPy and SciPy", value, who="numpy", kind="value")
    bench.row("gradient by hand", formula, ratio=ours / formula, to="by hand", who="numpy", kind="gradient")
    bench.row("ad.grad(f)(p), steady", ours, ratio=ours / value, to="f(p)", who="fastad", kind="gradient")
    bench.cost(ours, value, "f(p)")
    makers = {name: partial(recipe, p, squares, y) for name, recipe in PEERS.items()}
    peers.compare(bench, makers, hand(p), lambda: g(p), bench.best, {"jax": 1.1, "torch": 1.1}, memory=True)


def by_jax(p, squares, y):
    jax = peers.x64_jax()
    jnp = jax.numpy

    def likelihood(p, squares, y):
        K = jnp.exp(p[0]) * jnp.exp(-0.5 * squares / jnp.exp(2 * p[1])) + jnp.exp(p[2]) * jnp.eye(len(y))
        factor = jnp.linalg.cholesky(K)
        z = jax.scipy.linalg.solve_triangular(factor, y, lower=True)
        return 0.5 * z @ z + jnp.sum(jnp.log(jnp.diag(factor)))

    gradient, constants = jax.jit(jax.grad(likelihood)), (jnp.asarray(squares), jnp.asarray(y))
    return lambda: np.asarray(gradient(p, *constants))


def by_torch(p, squares, y):
    torch = peers.threaded_torch()
    squares, y = torch.from_numpy(squares), torch.from_numpy(y)[:, None]
    eye = torch.eye(len(y), dtype=torch.float64)

    def gradient():
        leaf = torch.from_numpy(p).requires_grad_()
        K = torch.exp(leaf[0]) * torch.exp(-0.5 * squares / torch.exp(2 * leaf[1])) + torch.exp(leaf[2]) * eye
        factor = torch.linalg.cholesky(K)
        z = torch.linalg.solve_triangular(factor, y, upper=False)
        loss = 0.5 * torch.sum(z * z) + torch.sum(torch.log(torch.diagonal(factor)))
        return torch.autograd.grad(loss, leaf)[0].numpy()
    return gradient


PEERS = {"jax": by_jax, "torch": by_torch}
