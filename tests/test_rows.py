"""Rows in place: slices that loops read and write where they are, sums of shifted arrays met run by run.

Owns: the proof of what _loop_writer.pxi does with long rows, of _moves.pxi, and of the boundary of gradient tapes.
Must not know: derivative rules.
Next: test_fusion.py (loops in general), kernels/test_chain.h (the same in C, under the sanitizers).
"""
import warnings

import numpy as np
import pytest
from test_program import bits

import fastad as ad
from fastad import _tape as T
from fastad import tapes
from fastad._passes import compose, cse, dead, optimise, simplify
from fastad._program import Program
from fastad._transform import jvp, vjp


def wave(u, c, steps):
    """A stencil in a time loop: a fresh array at every step, a source, a sum of a row."""
    old, total = u * 0.5, 0.0
    for k in range(steps):
        inner = u[1:-1, 1:-1]
        new = np.zeros(u.shape)
        new[1:-1, 1:-1] = (2.0 * inner - old[1:-1, 1:-1]
                           + c[1:-1, 1:-1] * (u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2] - 4.0 * inner))
        new[2, 3] += 0.1 * k
        total = total + np.sum(new[1] ** 2)
        old, u = u, new
    return total, u


def points(shape, dtype=np.float64):
    rng = np.random.default_rng(shape[-1])
    return [rng.normal(size=shape).astype(dtype), rng.uniform(0.1, 0.2, size=shape).astype(dtype)]


@pytest.mark.parametrize("shape", [(5, 66), (7, 70), (9, 131), (30, 200), (4, 700), (6, 30)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_rows_in_place_give_the_bits_of_single_instructions(shape, dtype):
    x = points(shape, dtype)
    t = ad.record(lambda u, c: wave(u, c, 3), *x)
    out = t.sweep(x)
    assert bits(Program(t).run(x)) == bits(out)
    for derived, seeds in ((vjp(t), [np.ones_like(y) for y in out]), (jvp(t), [np.ones_like(a) for a in x])):
        args = [*x, *seeds]
        for plain, program in ((derived, Program(derived, optimise=False)), (optimise(derived), Program(derived))):
            want = bits(plain.sweep(args))
            for threads in (1, 2, 3):
                before = ad.get_num_threads()
                ad.set_num_threads(threads)
                try:
                    assert bits(program.run(args)) == want
                finally:
                    ad.set_num_threads(before)


def test_three_dimensions_and_offsets():
    def function(a, b):
        y = np.full(a.shape, 2.0)
        y[1:-1, :, 2:-3] = a[1:-1, :, 2:-3] * b[2:, :, 2:-3] - a[:-2, :, 5:]
        z = np.zeros((a.shape[0], a.shape[1], a.shape[2] + 7))
        z[:, :, 4:-3] = y / 3.0 + a
        return z, y[::2], (y[0] * a[1]).sum()
    x = [np.random.default_rng(k).normal(size=(4, 3, 150)) for k in range(2)]
    t = ad.record(function, *x)
    program = Program(t)
    assert bits(program.run(x)) == bits(t.sweep(x)) == bits(program.run(x))
    assert program.fused_loops < 6


def test_a_written_array_that_nobody_reads():
    """Dead stores of programs that are not optimised."""
    def function(a):
        y = np.zeros((6, 100))
        y[1:-1, 1:-1] = a * 2.0
        return a * 2.0 + 1.0
    x = [np.random.default_rng(0).normal(size=(4, 98))]
    t = ad.record(function, *x)
    for optimised in (False, True):
        assert bits(Program(t, optimise=optimised).run(x)) == bits(t.sweep(x))


def test_a_reverse_step_is_one_loop():
    """The adjoint of a stencil is gathered where it is used: no array of adjoints is filled and added to."""
    x = points((40, 200))
    loops = []
    for steps in (4, 5):
        t = ad.record(lambda u, c, steps=steps: wave(u, c, steps)[0], *x)
        program = Program(tapes.gradient_tape(t))
        loops.append((program.fused_loops, len(program)))
        names = program.tape.columns()[0]
        assert T.OPCODES["write"] not in names and T.OPCODES["erase"] not in names
    assert loops[1][0] - loops[0][0] <= 3 and loops[1][1] - loops[0][1] <= 9


# ---- passes ---------------------------------------------------------------------------------------------------------

def gradient_of(f, *x):
    return tapes.gradient_tape(ad.record(f, *x))


def names_of(tape):
    return [tape.instruction(i)[0] for i in range(1, len(tape) + 1)]


def test_the_seed_does_not_hide_where_derivative_code_begins():
    """A function that holds the constant 1.0, which is the seed, too: derivatives raise no warnings."""
    x = np.array([0.0, 1.0, 4.0])
    tape = ad.record(lambda v: (1.0 - np.sqrt(v)).sum(), x)
    derived = tapes.gradient_tape(tape)
    assert 0 < derived.boundary < len(derived)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(derived.sweep([x])[1], [-np.inf, -0.5, -0.25])
        np.testing.assert_array_equal(Program(derived).run([x])[1], [-np.inf, -0.5, -0.25])


def test_signs_and_constants_of_derivative_code_are_put_together():
    x = np.linspace(0.5, 1.5, 40)
    o = optimise(gradient_of(lambda v: (100.0 * (v[1:] - v[:-1] ** 2) ** 2 + (1.0 - v[:-1]) ** 2).sum(), x))
    assert "negative" not in names_of(o) and names_of(o).count("multiply") <= 5
    a, b = x[:-1], x[1:]
    want = np.zeros(40)
    want[:-1] = -400.0 * a * (b - a * a) - 2.0 * (1.0 - a)
    want[1:] += 200.0 * (b - a * a)
    np.testing.assert_allclose(o.sweep([x])[1], want, rtol=1e-13)


def test_primal_signs_stay():
    t = ad.record(lambda v: (-v) + 2.0 * (-(3.0 * v)), np.ones(40))
    assert names_of(optimise(t)) == names_of(t)


def test_a_write_onto_zeros_is_a_move():
    def function(v):
        y = np.zeros((3, 6))
        y[1, 1:-1] = v
        return y
    t = ad.record(function, np.ones(4))
    o = optimise(t)
    assert "write" in names_of(t) and "write" not in names_of(o)
    assert bits(o.sweep([np.arange(4.0)])) == bits(t.sweep([np.arange(4.0)]))


def test_a_write_onto_minus_zeros_keeps_their_sign():
    def function(v):
        y = np.full(6, -0.0)
        y[1:-1] = v
        return y
    t = ad.record(function, np.ones(4))
    assert bits(optimise(t).sweep([np.zeros(4)])) == bits(t.sweep([np.zeros(4)]))


def test_elements_put_back_are_the_array():
    def function(v):
        y = v * 2.0
        y[1, 2] += 3.0
        y[0, 1] += v[1, 1]
        return (y * y).sum()
    x = np.random.default_rng(0).normal(size=(3, 4))
    derived = gradient_of(function, x)
    o = optimise(derived)
    assert "erase" in names_of(derived) and "erase" not in names_of(o)
    np.testing.assert_allclose(o.sweep([x])[1], derived.sweep([x])[1], rtol=1e-14)


def shifted(w, window):
    """The window of a sum of arrays that are put into larger ones."""
    y = np.zeros((6, 7))
    y[1:-1, 1:-1] += w[:4, :5]
    y[1:-1, :-2] += w[:4, :5]
    y[2, :] += w[0, :7]
    y[:, 3] += w[:6, 1]
    return y[window]


WINDOWS = [np.s_[1:-1, 1:-1], np.s_[2:3, :], np.s_[:, 3:], np.s_[::2, 1:-1], np.s_[0], np.s_[:]]


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_slices_of_assemblies_are_assemblies(window):
    """w gets its adjoint by way of `y`; composed or not, the additions are the same in the same order."""
    rng = np.random.default_rng(1)
    w = rng.normal(size=(6, 8))
    v = vjp(ad.record(lambda w: shifted(w, window), w))
    tape = dead(cse(simplify(v)))
    args = [w, rng.normal(size=shifted(w, window).shape)]
    once = compose(tape)
    assert bits(once.sweep(args)) == bits(tape.sweep(args))
    twice = vjp(once)                                # an assembly that is read by slices
    args += [np.ones_like(y) for y in once.sweep(args)]
    assert bits(compose(twice).sweep(args)) == bits(twice.sweep(args))


def test_compose_leaves_no_assembly_that_one_slice_reads():
    def function(u):
        y = u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2]
        z = np.zeros(u.shape)
        z[1:-1, 1:-1] = y
        return (z[2:, 1:-1] * z[1:-1, 2:]).sum()
    u = np.random.default_rng(2).normal(size=(8, 9))
    derived = gradient_of(function, u)
    o = optimise(derived)
    assert names_of(o).count("assemble") <= names_of(derived).count("assemble")
    np.testing.assert_allclose(o.sweep([u])[1], derived.sweep([u])[1], rtol=1e-13)
    assert bits(Program(derived).run([u])) == bits(o.sweep([u]))
