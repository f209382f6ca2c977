"""Gradients at many parameter vectors at once by `ad.batch`: an ensemble of ODE fits, of curve fits, of regressions.

Stresses what lanes share: one recording, one program, chunks that stay in cache; beside a loop over `ad.grad`, and
JAX's `vmap` of its gradient.
"""
from functools import partial

import numpy as np

import fastad as ad
from benchmarks import peers
from benchmarks.cases.lotka_volterra import by_jax as lotka_volterra_by_jax
from benchmarks.programs import LV_POINT, complex_step, lotka_volterra

THREADS = True
LOOPED = 200                             # vectors of which the loop is timed


def run(bench):
    """Levels: no slower than `jax.jit(jax.vmap(jax.grad(f)))`; at most a third of a loop over `ad.grad`, and 0.6 of it
    for numbers only, whose loop is a program of the scalar machine."""
    rng = np.random.default_rng(4)
    steps, k = bench.size((100, 10_000), (5, 20))
    bench.about(f"Lotka-Volterra, {steps} steps, {k:,} parameter vectors")
    P = LV_POINT * rng.uniform(0.9, 1.1, (k, 6))
    f = partial(lotka_volterra, steps=steps)
    for j in range(0, k, -(-k // 4)):
        bench.verify("one gradient", ad.grad(f)(P[j]), complex_step(f, P[j].tolist()))
    compare(bench, f, P, np.stack([ad.grad(f, audit=False)(p) for p in P]),
            jax=lambda: lotka_volterra_of_lanes(P, steps), limit=0.6)
    k = bench.size(100_000, 30)
    bench.about(f"a decay of 50 data, {k:,} parameter vectors")
    t = np.linspace(0.0, 4.0, 50)
    data = 3.0 * np.exp(-1.5 * t) + 0.1
    P = np.array([3.0, 1.5, 0.1]) * rng.uniform(0.5, 1.5, (k, 3))
    compare(bench, lambda p: decay(p, t, data), P, decay_gradients(P, t, data),
            jax=lambda: by_vmap(lambda p, xp: decay(p, t, data, xp), P))
    k = bench.size(10_000, 30)
    bench.about(f"a logistic regression of 200 data, {k:,} parameter vectors")
    A = rng.normal(size=(200, 8))
    labels = np.sign(rng.normal(size=200))
    P = rng.normal(size=(k, 8))
    compare(bench, lambda p: logistic(p, A, labels), P, logistic_gradients(P, A, labels),
            jax=lambda: by_vmap(lambda p, xp: logistic(p, A, labels, xp), P))


def compare(bench, f, P, want, jax, limit=1 / 3):
    """The batch, a loop over some of the vectors, and the peer."""
    many = ad.batch(ad.grad(f), audit=False)
    bench.row("until the first gradients, cold", bench.clock(lambda: many(P)), who="fastad", kind="first")
    bench.verify("ad.batch(ad.grad(f))", many(P), want)
    assert many.stats().recordings == 1 and many.stats().alone == 0, "one tape serves all vectors"
    one, some = ad.grad(f, audit=False), P[:LOOPED]
    for _ in range(20):
        [one(p) for p in some]
    batch, loop = bench.best(lambda: many(P), lambda: [one(p) for p in some])
    loop *= len(P) / len(some)
    bench.row("all gradients", batch, ratio=batch / loop, to="a loop over ad.grad", limit=limit, who="fastad",
              kind="gradient")
    peers.compare(bench, {"jax": jax}, want, lambda: many(P), bench.best, limits={"jax": 1.0})


def decay(p, t, data, xp=np):
    return xp.sum((p[0] * xp.exp(-p[1] * t) + p[2] - data) ** 2)


def decay_gradients(P, t, data):
    e = np.exp(-P[:, 1:2] * t)
    r = 2.0 * (P[:, :1] * e + P[:, 2:] - data)
    return np.stack([np.sum(r * e, 1), np.sum(-r * P[:, :1] * e * t, 1), np.sum(r, 1)], axis=1)


def logistic(p, A, labels, xp=np):
    return xp.sum(xp.log1p(xp.exp(-labels * (A @ p)))) + 0.5 * xp.sum(p * p)


def logistic_gradients(P, A, labels):
    return (-labels / (1.0 + np.exp(labels * (P @ A.T)))) @ A + P


# ---- JAX -------------------------------------------------------------------------------------------------------------

def by_vmap(f, P):
    jax = peers.x64_jax()
    gradient = jax.jit(jax.vmap(jax.grad(lambda p: f(p, jax.numpy))))
    return lambda: np.asarray(gradient(P))


def lotka_volterra_of_lanes(P, steps):
    return lotka_volterra_by_jax(P, steps, wrap=peers.x64_jax().vmap)
