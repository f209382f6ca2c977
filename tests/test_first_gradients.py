"""Bits of derivatives before and after compiling: sweeps over a tape itself, programs, programs within a budget.

Owns: that a gradient does not change its last bits from one call to the next.
Must not know: how sweeps and programs add up (_kernels/reverse_real.h, _reverse_mode.pxi).
"""
from functools import partial

import numpy as np
import pytest

import fastad as ad
from fastad import _tape as T
from fastad import tapes
from fastad._program import Program
from fastad._transform import vjp
from tests.random_tapes import random_tape
from tests.test_machine import bits


def small_models():
    """Loops over a few numbers in arrays, which programs hold as numbers, and over vectors with matrices."""
    rng = np.random.default_rng(3)
    matrices = {n: 0.3 * rng.standard_normal((n, n)) for n in (3, 8, 20)}

    def runge_kutta(p, n):
        def rate(s):
            return np.tanh(matrices[n] @ s) * p[1] - s * p[2]
        s, misfit = np.ones(n) * p[0], 0.0
        for t in range(30):
            k1 = rate(s)
            k2 = rate(s + 0.05 * k1)
            s = s + 0.05 * (k1 + 2.0 * k2)
            misfit = misfit + np.sum((s - 0.1 * t) ** 2)
        return misfit

    def lorenz(p):
        s, misfit = np.array([1.0, 1.0, 20.0]), 0.0
        for _ in range(50):
            ds = np.array([10 * p[0] * (s[1] - s[0]), s[0] * (30 * p[1] - s[2]) - s[1], s[0] * s[1] - 3 * p[2] * s[2]])
            s = s + 0.01 * ds
            misfit = misfit + s @ s
        return misfit

    def kalman(p):
        F, H = np.array([[1.0, 1.0], [0.0, 1.0]]), np.array([[1.0, 0.0]])
        x, P, likelihood = np.zeros(2), np.eye(2), 0.0
        for t in range(30):
            x, P = F @ x, F @ P @ F.T + p[0] * np.eye(2)
            y, S = np.sin(t) - (H @ x)[0], (H @ P @ H.T)[0, 0] + p[1]
            K = (P @ H.T)[:, 0] / S
            x, P = x + K * y, P - np.outer(K, H @ P)
            likelihood = likelihood + np.log(S) + y ** 2 / S
        return likelihood
    return [*(partial(runge_kutta, n=n) for n in (3, 8, 20)), lorenz, kalman]


@pytest.mark.parametrize("k", range(5))
def test_the_first_gradient_has_the_bits_of_those_within_a_budget(k):
    """It is a sweep over the tape itself; the later ones and those within budgets are programs."""
    f, p = small_models()[k], np.array([0.3, 0.7, 0.2])
    plain = ad.grad(f, audit=False)
    first = plain(p)
    assert plain.hot.program is None
    with pytest.raises(ad.BudgetError) as error:
        ad.grad(f, memory=1)(p)
    for memory in ("1TB", error.value.smallest):
        assert ad.grad(f, memory=memory)(p).tobytes() == first.tobytes()
    assert plain(p).tobytes() == first.tobytes()
    plain.translate(plain.hot)           # as after some hundred calls
    assert plain.hot.program is not None
    assert plain(p).tobytes() == first.tobytes()
    y, pullback = ad.vjp(f, p)
    within = ad.vjp(f, p, memory=error.value.smallest + 10_000)[1]
    assert pullback(1.0)[0].tobytes() == within(1.0)[0].tobytes() == first.tobytes()


@pytest.mark.parametrize("first", range(0, 200, 50))
def test_sweeps_over_random_tapes_have_the_bits_of_programs(first):
    """Up to the sign of a zero; but where an array is read at run-time indices twice, which are added up first."""
    for seed in range(first, first + 50):
        rng = np.random.default_rng(seed)
        tape, values = random_tape(rng, length=int(rng.integers(5, 60)))
        reads = [tape.instruction(i)[0] for i in range(1, len(tape) + 1)].count("take")
        if not any(tape.input_active) or not tapes.real_outputs(tape) or reads:
            continue
        with np.errstate(all="ignore"):
            seeds = [np.ones(shape) if dtype in T.REAL else None for dtype, shape in tapes.output_avals(tape)]
            got = tape.sweep_gradient(values, [1.0 if s is None or s.ndim == 0 else s for s in seeds])[1]
            want = Program(vjp(tape, seed=1.0)).run(values)[len(tape.outputs):]
        for a, b in zip(got, want, strict=True):
            assert bits([a + 0.0]) == bits([b + 0.0]), seed
