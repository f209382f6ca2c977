"""What is batched in tests of ad.batch: functions of four numbers, points, and the comparison with a loop.

Owns: the functions, one for each kind of instruction that lanes may meet.  Must not know: ad.batch.
Next: test_batch.py, test_batch_decisions.py, test_batch_chunks.py.
"""
from collections import namedtuple

import numpy as np
import scipy.linalg

import fastad as ad

rng = np.random.default_rng(7)
X = rng.normal(size=(13, 4))
A = rng.normal(size=(4, 4)) + 4 * np.eye(4)
Pair = namedtuple("Pair", "a b")


def stacked(results):
    """The results of a loop, with one more axis in front."""
    if isinstance(results[0], tuple) and hasattr(results[0], "_fields"):
        return type(results[0])(*[stacked(parts) for parts in zip(*results, strict=True)])
    if isinstance(results[0], (tuple, list)):
        return type(results[0])([stacked(list(parts)) for parts in zip(*results, strict=True)])
    if isinstance(results[0], dict):
        return {key: stacked([r[key] for r in results]) for key in results[0]}
    return np.stack(results)


def agree(got, wanted, tolerance=1e-12):
    assert type(got) is type(wanted)
    if isinstance(got, dict):
        assert list(got) == list(wanted)
        got, wanted = list(got.values()), list(wanted.values())
    if isinstance(got, (tuple, list)):
        assert len(got) == len(wanted)
        for a, b in zip(got, wanted, strict=True):
            agree(a, b, tolerance)
        return
    assert got.dtype == wanted.dtype and got.shape == wanted.shape
    np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=tolerance)


def elementwise(x):
    y = np.exp(x) * np.sin(x[::-1]) + np.where(x > 0, x, x**2)
    y[1] = x[0] / (1 + x[2]**2)
    return y[:3] - y[1:]


def looped(x):
    y = np.zeros(4)
    for i in range(1, 4):
        y[i] = y[i - 1] * x[i] + np.tanh(x[i - 1])
    return y.sum()


def walk(x):
    def step(state, xi):
        position, speed = state
        speed = 0.9 * speed + xi * np.array([1.0, position[0]])
        return (position + speed, speed), position[0] * speed[1]
    (position, _), seen = ad.scan(step, (np.zeros(2), np.ones(2) * x[0]), x)
    return np.sum(position**2) + np.sum(seen * np.arange(4.0))


def newton(x):
    return ad.while_loop(lambda y: abs(y * y - abs(x[0]) - 1) > 1e-12, lambda y: 0.5 * (y + (abs(x[0]) + 1) / y), 1.0)


FUNCTIONS = {
    "elementwise": elementwise, "loop": looped, "scan": walk, "while": newton,
    "cond": lambda x: ad.cond(x[0] > x[1], lambda x: x * x, lambda x: -x, x).sum(),
    "gather": lambda x: x[np.argsort(x)] * x[np.argmax(x)],
    "sort": lambda x: np.sort(x) * np.arange(4.0) + np.cumsum(x),
    "interpolation": lambda x: np.interp(x, np.linspace(-2, 2, 9), np.cos(np.linspace(-2, 2, 9)) * x[0]),
    "median": lambda x: np.median(x) * np.max(x),
    "mask": lambda x: np.sum(x[x > -9.0]**2),
    "solve": lambda x: np.linalg.solve(A + np.outer(x, x), x),
    "cholesky": lambda x: np.linalg.cholesky(np.outer(x, x) + np.eye(4)).sum(axis=0),
    "solve_triangular": lambda x: scipy.linalg.solve_triangular(np.tril(A), x, lower=True),
    "solve_banded": lambda x: scipy.linalg.solve_banded((1, 2), A + np.outer([0, 0, 9, 0], x), x),
    "matmul": lambda x: (A @ x) @ (np.outer(x, x) @ A),
    "fft": lambda x: np.abs(np.fft.fft(x) * (1 + 2j))**2,
    "einsum": lambda x: np.einsum("i,ij,j->ij", x, A, x),
    "partition": lambda x: np.partition(x, 2) * x[0],
    "constant": lambda x: (x * 2, 3.0, np.arange(2)),
    "tree": lambda x: {"sum": x.sum(), "parts": [x[:2], Pair(x[2], x[3] > 0)]},
}
REAL = [name for name in FUNCTIONS if name not in ("constant", "tree")]


def number(name):
    return lambda x: np.sum(FUNCTIONS[name](x) * 1.5)


def branching(x):
    if x[0] > 0:
        return np.sum(x**2)
    if x[1] > 0:
        return np.log(x[1]) * x[2]
    return 0.0
