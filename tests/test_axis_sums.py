"""Sums along an axis that end a fused loop: the bits of the sum alone, whatever computes what is summed.

Owns: the proof of _kernels/axis.h in programs, of which sums a loop takes.
Must not know: the order of summation (kernels/test_fused.h is the same in C, under the sanitizers).
Next: test_fusion.py (loops in general).
"""
import numpy as np
import pytest
from test_program import bits

import fastad as ad
from fastad import _tape as T
from fastad import tapes
from fastad._passes import optimise
from fastad._program import Program
from fastad._transform import jvp, vjp

SHAPES = [(3, 4), (40, 7), (2, 600), (600, 2), (70, 80), (9, 1300), (300, 130), (4, 5, 6), (3, 70, 65), (2, 3, 700),
          (1, 900)]


def statistics(axis, keep):
    def function(a, b):
        mean = a.mean(axis=axis, keepdims=True)
        product = (a * b).sum(axis=axis, keepdims=keep)
        centred = a - mean
        return product, (centred / np.sqrt(a.var(axis=axis, keepdims=True) + 0.1) * b).sum(), \
            np.maximum(a, b).sum(axis=axis), np.abs(centred).sum(axis=0), product.sum()
    return function


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_sums_along_an_axis_have_the_bits_of_single_instructions(shape, dtype):
    rng = np.random.default_rng(sum(shape))
    x = [rng.normal(size=shape).astype(dtype) for _ in range(2)]
    special = rng.choice([np.nan, -np.nan, np.inf, -0.0], shape).astype(dtype)
    wild = [np.where(rng.random(shape) < 0.01, special, v) for v in x]
    before = ad.get_num_threads()
    try:
        for axis in range(len(shape)):
            t = ad.record(statistics(axis, axis % 2 == 0), *x)
            out = t.sweep(x)
            adjoint, tangent = vjp(t), jvp(t)
            cases = [(t, t, []), (adjoint, optimise(adjoint), [np.ones_like(y) for y in out]),
                     (tangent, optimise(tangent), [np.ones_like(a) for a in x])]
            for tape, optimised, seeds in cases:
                program, plain = Program(tape), Program(tape, optimise=False)
                for at, threads in ((x, 1), (x, 3), (wild, 2)):
                    ad.set_num_threads(threads)
                    with np.errstate(all="ignore"):
                        args = [*at, *seeds]
                        if at is x:
                            assert bits(program.run(args)) == bits(optimised.sweep(args)), axis
                            assert bits(plain.run(args)) == bits(tape.sweep(args)), axis
                        elif tape is t:
                            got, want = program.run(args), t.sweep(args)
                            assert bits(got[:1] + got[2:4]) == bits(want[:1] + want[2:4]), axis
    finally:
        ad.set_num_threads(before)


def loops_and_instructions(function, *x):
    program = Program(ad.record(function, *x))
    return program.fused_loops, len(program)


def test_what_is_summed_is_never_written():
    a, b = np.ones((300, 400)), np.ones((300, 400))
    for axis in (0, 1):
        assert loops_and_instructions(lambda a, b, axis=axis: np.sqrt(a * b).sum(axis=axis), a, b) == (1, 1)
        program = Program(ad.record(lambda a, b, axis=axis: np.sqrt(a * b).sum(axis=axis), a, b))
        assert program.stats()["arena_bytes"] < a.nbytes / 5


def test_four_sums_along_one_axis_are_one_loop_and_others_are_their_own():
    a = np.ones((300, 400))
    assert loops_and_instructions(lambda a: [(a * k).sum(axis=0) for k in range(2, 6)], a)[0] == 1
    assert loops_and_instructions(lambda a: [(a * k).sum(axis=0) for k in range(2, 7)], a)[0] == 2
    assert loops_and_instructions(lambda a: ((a * 2.0).sum(axis=0), (a * 3.0).sum(axis=1)), a)[0] == 2
    assert loops_and_instructions(lambda a: ((a * 2.0).sum(axis=0), (a * 3.0).sum()), a)[0] == 2


def test_few_long_rows_stay_shared_by_threads():
    """Two rows are two units: four threads would find no work, so the product is a loop of its own."""
    a = np.ones((2, 40000))
    assert loops_and_instructions(lambda a: (a * a).sum(axis=1), a) == (1, 2)
    assert loops_and_instructions(lambda a: (a * a).sum(axis=1), np.ones((8, 10000))) == (1, 1)


@pytest.mark.parametrize("shape", [(6, 7), (30, 400), (400, 130), (9, 700)])
def test_one_number_summed_along_an_axis(shape):
    """A number that fills an array is read as that number by all but such sums."""
    t = T.Tape()
    s, a = t.emit_input(T.aval(0, ()), True), t.emit_input(T.aval(0, shape), True)
    n, m = shape
    y = t.emit("move", (s,), T.aval(0, shape), T.Map.view(1, shape, 0, (0, 0)))
    product = t.emit("multiply", (y, a), T.aval(0, shape))
    t.set_outputs([t.emit("sum", (y,), T.aval(0, (m,)), T.Axis(1, n, m)),
                   t.emit("sum", (product,), T.aval(0, (m,)), T.Axis(1, n, m))])
    t = t.finish()
    x = [0.7, np.linspace(0.0, 1.0, n * m).reshape(shape)]
    for optimised in (False, True):
        assert bits(Program(t, optimise=optimised).run(x)) == bits(t.sweep(x))


def test_gradient_of_a_softmax():
    rng = np.random.default_rng(5)
    x = [rng.normal(size=(60, 50)), rng.normal(size=(60, 50))]

    def function(a, b):
        e = np.exp(a - a.max(axis=1, keepdims=True))
        return (e / e.sum(axis=1, keepdims=True) * b).sum()
    e = np.exp(x[0] - x[0].max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    program = Program(tapes.gradient_tape(ad.record(function, *x)))
    np.testing.assert_allclose(program.run(x)[1], p * (x[1] - (p * x[1]).sum(axis=1, keepdims=True)), atol=1e-15)
