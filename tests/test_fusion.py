"""Fused loops: the bits of single instructions, whatever is read, written, summed or given back on the way.

Owns: the proof of _fusion.pxi and of what the plan does with loops, at sizes around a block, through all reads.
Must not know: derivative rules.
Next: test_program.py (programs), kernels/test_fused.h (the reader under the sanitizers).
"""
import warnings

import numpy as np
import pytest
from test_program import bits, recorded

import fastad as ad
from fastad import _tape as T
from fastad import tapes
from fastad._passes import optimise
from fastad._program import Program
from fastad._transform import jvp, vjp

SIZES = (17, 23, 511, 512, 513, 1024, 1500)         # fewer elements are numbers (_small.pxi)
UNARY = (np.sin, np.exp, np.tanh, np.negative, np.square, np.abs, np.arctan, np.sqrt, np.floor)
BINARY = (np.add, np.subtract, np.multiply, np.divide, np.maximum, np.hypot, np.arctan2)


def random_function(seed, shape):
    """A function of an array of this shape and a number: slices, broadcasts, masks, joins, sums in random order."""
    def function(x, s):
        rng = np.random.default_rng(seed)
        live = [x, x * s]

        def pick(like=None):
            fitting = [a for a in live if like is None or a.shape == like.shape]
            return fitting[rng.integers(len(fitting))]
        for _ in range(rng.integers(4, 25)):
            a = pick()
            what = rng.integers(12)
            if what < 2:
                y = UNARY[rng.integers(len(UNARY))](a)
            elif what < 5:
                y = BINARY[rng.integers(len(BINARY))](a, pick(a) if rng.integers(4) else s)
            elif what == 5:
                y = np.where(a > pick(a), pick(a), s)
            elif what == 6 and a.shape[0] > 3:
                y = a[1:-1] - 2.0 * a[:-2] + a[2:]
            elif what == 7:
                y = np.roll(a, int(rng.integers(1, 4)), axis=int(rng.integers(a.ndim)))
            elif what == 8:
                y = a[::-1] * s if rng.integers(2) else a + a[:1]
            elif what == 9 and a.ndim == 2:
                y = a.T.reshape(a.shape) + a[:, :1]
            elif what == 10:
                y = a * (pick(a) * 0.5).sum() if rng.integers(2) else a - a.sum() / a.size
            else:
                y = np.concatenate([a[: a.shape[0] // 2], pick(a)[a.shape[0] // 2:] * 2.0])
            live.append(y)
        return sum([np.sin(a).sum() for a in live[-3:]]), live[-1]
    return function


def inputs(seed, shape):
    rng = np.random.default_rng(1000 + seed)
    return [rng.normal(size=shape), 0.3]


@pytest.mark.parametrize("first", range(0, 60, 20))
def test_loops_give_the_bits_of_single_instructions(first):
    loops = 0
    with np.errstate(all="ignore"):
        for seed in range(first, first + 20):
            n = SIZES[seed % len(SIZES)]
            shape = (n,) if seed % 3 else (max(2, n // 19), 19)
            x = inputs(seed, shape)
            t = recorded(random_function(seed, shape), *x)
            program = Program(t)
            loops += program.fused_loops
            x2 = [np.asarray(a) * 1.01 for a in x]
            for point in (x, x2, x):
                assert bits(program.run(point)) == bits(t.sweep(point)), seed
            out = t.sweep(x)
            for derived, seeds in ((vjp(t), [np.ones_like(y) for y in out]), (jvp(t), [np.ones_like(a) for a in x])):
                args = [*x, *seeds]
                once = Program(derived)
                assert bits(once.run(args)) == bits(optimise(derived).sweep(args)) == bits(once.run(args)), seed
                assert bits(once.run(args)[:2]) == bits(out), seed
                assert bits(Program(derived, optimise=False).run(args)) == bits(derived.sweep(args)), seed
    assert loops > 20


def rosenbrock(x):
    return (100.0 * (x[1:] - x[:-1]**2)**2 + (1.0 - x[:-1])**2).sum()


def test_a_gradient_runs_with_its_function():
    """One loop: neither the adjoints of a sum nor their assembly wait for it, and intermediate arrays vanish."""
    x = np.linspace(-1.0, 1.0, 3000)
    derived = tapes.gradient_tape(ad.record(rosenbrock, x))
    program = Program(derived)
    assert program.fused_loops == 1 and len(program) == 1
    assert program.stats()["arena_bytes"] < 3.2 * x.nbytes < program.stats()["arena_bytes_before"] / 5
    assert bits(program.run([x])) == bits(optimise(derived).sweep([x]))


def test_long_chains_are_cut_into_loops():
    def function(x):
        for _ in range(300):
            x = x + 0.01 * np.sin(x)
        return x
    x = np.linspace(0.0, 1.0, 700)
    t = recorded(function, x)
    program = Program(t)
    assert 10 <= program.fused_loops <= 20 and program.stats()["arena_bytes"] < 30 * x.nbytes
    assert bits(program.run([x])) == bits(t.sweep([x]))


# ---- floating-point errors ------------------------------------------------------------------------------------------

def test_only_primal_instructions_of_a_loop_warn():
    x = np.linspace(0.0, 1.0, 600)
    derived = vjp(recorded(lambda v: np.sqrt(v).sum(), x))     # 0.5 / 0 in the derivative, silenced by nothing
    program = Program(derived)
    assert program.fused_loops
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert program.run([x, 1.0])[1][0] == np.inf
        with pytest.raises(RuntimeWarning, match="invalid value"):
            program.run([x - 0.5, 1.0])
        program.run([x, 1.0])                                   # nothing is left behind


# ---- the caller's memory --------------------------------------------------------------------------------------------

def two_results(x, y):
    return x * y + 1.0, np.sin(x) - y


def test_inputs_are_read_in_place_and_never_written():
    t = recorded(two_results, np.ones(1000), np.ones(1000))
    program = Program(t)
    x, y = np.linspace(0.0, 1.0, 1000), np.linspace(2.0, 3.0, 1000)
    x.flags.writeable = y.flags.writeable = False
    kept = x.copy(), y.copy()
    first = program.run([x, y])
    assert bits([x, y]) == bits(kept) and bits(first) == bits(t.sweep([x, y]))
    for other in (x[::-1], np.asfortranarray(x), x.astype(">f8"), x.astype(np.float32), list(x), np.arange(1000)):
        assert bits(program.run([other, y])) == bits(t.sweep([other, y]))
    assert bits(program.run([x, y])) == bits(first)


def test_out_may_be_an_input():
    t = recorded(two_results, np.ones(1000), np.ones(1000))
    program = Program(t)
    x, y = np.linspace(0.0, 1.0, 1000), np.linspace(2.0, 3.0, 1000)
    want = bits(t.sweep([x, y]))
    whole = np.concatenate([x, y, x])
    a, b = whole[:1000], whole[1000:2000]
    assert bits(program.run([a, b], [whole[500:1500], whole[2000:]])) == want
    out = [np.empty(1000), np.empty(1000)]
    got = program.run([x, y], out)
    assert all(a is b for a, b in zip(got, out, strict=True)) and bits(out) == want


def test_results_that_share_memory_are_copies():
    def function(x):
        y = x * 2.0 + 1.0
        return y, y.reshape(20, 30), y, x, x.reshape(30, 20)
    x = np.linspace(0.0, 1.0, 600)
    t = recorded(function, x)
    got = Program(t).run([x])
    assert bits(got) == bits(t.sweep([x]))
    assert not any(np.shares_memory(a, b) for k, a in enumerate(got) for b in [*got[:k], x])


def test_captured_arrays_are_read_in_loops():
    a = np.linspace(1.0, 2.0, 600)
    t = recorded(lambda x: ((x - a) * (x + a)).sum(), np.ones(600))
    program, x = Program(t), np.linspace(0.0, 1.0, 600)
    assert program.fused_loops == 1
    for _ in range(2):
        assert bits(program.run([x])) == bits(t.sweep([x]))
        a *= 0.5


def test_integers_and_masks_run_in_loops():
    def function(x, k):
        mask = (k % 3 == 0) & (x > 0.2)
        j = np.where(mask, k * 2, k - 1)
        return np.where(mask, x, j * 0.5).sum() + (x * mask).sum(), j, mask
    x, k = np.linspace(0.0, 1.0, 1100), np.arange(1100)
    t = recorded(function, x, k)
    assert Program(t).fused_loops >= 1
    assert bits(Program(t).run([x, k])) == bits(t.sweep([x, k]))


def test_sums_end_in_the_same_order_everywhere():
    """By blocks, then like a binary counter: recorded, swept and in a loop."""
    for n in (1, 7, 8, 129, 512, 513, 1024, 1025, 5000, 12345):
        x = np.random.default_rng(n).normal(size=n)
        t = recorded(lambda v: ((v * 1.5).sum(), v.sum()), x)
        assert bits(Program(t).run([x])) == bits(t.sweep([x]))
        assert abs(float(t.sweep([x])[1]) - np.sum(x.astype(np.longdouble))) < 1e-13 * np.sum(np.abs(x))


def test_the_tape_counts_its_loops():
    tape = ad.record(rosenbrock, np.linspace(0.0, 1.0, 100))
    assert tape.stats().fused_loops == 0
    tape.compile()
    assert tape.stats().fused_loops == 1 and T.OPCODES["sum"] in tape.columns()[0]
