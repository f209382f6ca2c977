"""Adjoints of shifted slices, added up inside the loop that computes them.

Owns: the proof of _kernels/weave.h in programs, of which assemblies a loop takes.
Must not know: derivative rules.
Next: test_rows.py (sums of shifted arrays that other loops read), kernels/test_fused.h.
"""
import numpy as np
import pytest
from test_program import bits

import fastad as ad
from fastad import tapes
from fastad._passes import optimise
from fastad._program import Program


def rosenbrock(x):
    return (100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2).sum()


def bending(x):
    return ((x[2:] - 2.0 * x[1:-1] + x[:-2]) ** 2).sum()


def window(x):
    return np.sqrt(1.0 + (x[3:-5] * x[7:-1] - np.maximum(x[5:-3], 0.1)) ** 2).sum()


def steps(x):
    for _ in range(3):
        y = x.copy()
        y[1:-1] = x[1:-1] - 0.1 * np.where(x[1:-1] > 0, x[1:-1] - x[:-2], x[2:] - x[1:-1])
        x = y
    return (x * x).sum()


def two(x, y):
    return ((x[1:] - x[:-1]) * (y[1:] + y[:-1])).sum()


MODELS = [rosenbrock, bending, window, steps, two]
SIZES = [9, 10, 20, 33, 513, 514, 520, 1026, 4097, 5000]


def arguments(model, n, dtype=np.float64):
    rng = np.random.default_rng(n)
    return [rng.normal(size=n).astype(dtype) for _ in range(1 + (model is two))]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_woven_adjoints_have_the_bits_of_single_instructions(model, dtype):
    before = ad.get_num_threads()
    try:
        for n in [*SIZES, 16 * 4096 + 1, 16 * 4096 + 6, 16 * 4096 + 18]:
            x = arguments(model, n, dtype)
            derived = tapes.gradient_tape(ad.record(model, *x))
            program, plain = Program(derived), optimise(derived)
            for threads in (1, 2, 3):
                ad.set_num_threads(threads)
                assert bits(program.run(x)) == bits(plain.sweep(x)), (n, threads)
            if n < 100:
                assert bits(Program(derived, optimise=False).run(x)) == bits(derived.sweep(x))
            wild = [np.where(np.arange(n) % 7 == 3, dtype(np.inf), v) for v in x]
            with np.errstate(all="ignore"):
                got, want = program.run(wild), plain.sweep(wild)
            for a, b in zip(got, want, strict=True):
                np.testing.assert_array_equal(a, b)
    finally:
        ad.set_num_threads(before)


@pytest.mark.parametrize("model, loops", [(rosenbrock, 1), (bending, 1), (window, 1), (two, 1)])
def test_a_gradient_of_neighbours_is_one_loop_that_writes_its_result_alone(model, loops):
    x = arguments(model, 30000)
    program = Program(tapes.gradient_tape(ad.record(model, *x)))
    assert (program.fused_loops, len(program)) == (loops, loops)
    assert program.stats()["arena_bytes"] < x[0].nbytes / 3


def test_gaps_are_zero_and_a_woven_array_may_be_read_on():
    def function(x):
        y = x[2:-2]
        return ((y[1:] * y[:-1]).sum() * x[0]).sum()
    x = np.arange(1.0, 700.0)
    tape = ad.record(function, x)
    value, gradient = Program(tapes.gradient_tape(tape)).run([x])
    want = np.zeros_like(x)
    want[2:-3] += x[3:-2] * x[0]
    want[3:-2] += x[2:-3] * x[0]
    want[0] = value / x[0]
    np.testing.assert_allclose(gradient, want, rtol=1e-14)
    np.testing.assert_allclose(ad.hvp(bending)(x, np.ones_like(x)), np.zeros_like(x), atol=1e-12)
