"""Chains of comparisons, choices, masks, extrema, signs and roots: the bits, flags and warnings of single instructions.

Owns: the proof of what may be in a chain (_kernels/chain_plan.h), by programs against sweeps and against NumPy.
Must not know: how chains are executed (kernels/test_chain.h is the same in C, under the sanitizers).
Next: test_fusion.py (loops in general), test_rows.py (rows in place).
"""
import warnings

import numpy as np
import pytest
from test_program import bits

import fastad as ad
from fastad._passes import optimise
from fastad._program import Program
from fastad._transform import jvp, vjp

SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, -np.nan, 5e-324, -1e-310, 1e308, 1.0, -1.0]
REAL = (np.negative, np.square, np.abs, np.fabs, np.sign, np.sqrt, np.reciprocal)
PAIRS = (np.add, np.subtract, np.multiply, np.divide, np.maximum, np.minimum)
COMPARE = (np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal)
MASKS = (np.logical_and, np.logical_or, np.logical_xor, np.bitwise_and, np.bitwise_or, np.bitwise_xor)


def random_function(seed):
    """Real numbers and masks in random order; slices of both where the array has rows."""
    def function(x, y, s):
        rng = np.random.default_rng(seed)
        reals, masks = [x, y], [x > s]

        def pick(values):
            return values[rng.integers(max(0, len(values) - 4), len(values))]

        def real():
            return s if rng.integers(5) == 0 else pick(reals)
        for _ in range(rng.integers(5, 40)):
            what = rng.integers(7)
            if what == 0:
                masks.append(COMPARE[rng.integers(6)](pick(reals), real()))
            elif what == 1:
                masks.append(MASKS[rng.integers(6)](pick(masks), pick(masks)))
            elif what == 2:
                masks.append(~pick(masks) if rng.integers(2) else np.logical_not(pick(masks)))
            elif what == 3:
                reals.append(np.where(pick(masks), real(), pick(reals)))
            elif what == 4:
                reals.append(REAL[rng.integers(len(REAL))](pick(reals)))
            elif what == 5:
                reals.append(pick(masks) * pick(reals) if rng.integers(4) else np.clip(pick(reals), -0.5, s))
            else:
                reals.append(PAIRS[rng.integers(len(PAIRS))](pick(reals), real()))
        inner = np.where(masks[-1][..., 1:-1], reals[-1][..., 2:], reals[-2][..., :-2] * s)
        return np.abs(reals[-1]).sum(), reals[-1], masks[-1], inner, masks[-2]
    return function


def array_bits(values):
    """Bits of arrays; of scalars (sums, whose last addition is no chain's) all but which NaN it is."""
    return bits([np.where(np.isnan(v), np.nan, v) if np.ndim(v) == 0 else v for v in values])


def points(seed, shape, dtype):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(2, *shape)).astype(dtype)
    with np.errstate(all="ignore"):
        special = np.array(SPECIAL, dtype=dtype)
    y.reshape(-1)[::7] = x.reshape(-1)[::7]
    return [x, y, dtype(0.25)], [np.where(rng.random(shape) < 0.2, rng.choice(special, shape), v) for v in (x, y)]


@pytest.mark.parametrize("shape", [(19,), (130,), (513,), (1200,), (5, 200), (9, 131)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_chains_give_the_bits_of_single_instructions(shape, dtype):
    steps = 0
    with np.errstate(all="ignore"):
        for seed in range(6):
            x, wild = points(seed, shape, dtype)
            wild.append(x[2])
            t = ad.record(random_function(seed), *x)
            out = t.sweep(x)
            program = Program(t)
            steps += program.fused_loops
            for at in (x, wild):
                assert bits(program.run(at)) == bits(t.sweep(at)), seed
            seeds = [np.ones_like(v) for v in out if v.dtype == dtype]
            for derived, ones in ((vjp(t), seeds), (jvp(t), [np.ones_like(v) for v in x])):
                for at in (x, wild):
                    args = [*at, *ones]
                    assert array_bits(Program(derived).run(args)) == array_bits(optimise(derived).sweep(args)), seed
                    plain = Program(derived, optimise=False)
                    assert array_bits(plain.run(args)) == array_bits(derived.sweep(args)), seed
    assert steps >= 6


@pytest.mark.parametrize("ufunc", [*REAL, *PAIRS, *COMPARE], ids=lambda u: u.__name__)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_steps_are_numpys_with_every_pair_of_special_numbers(ufunc, dtype):
    """Signs of zeros, which NaN goes through, and which error NumPy reports; alone and beside a sum."""
    with np.errstate(all="ignore"):
        special = np.array(SPECIAL, dtype=dtype)
    a, b = (np.tile(v.ravel(), 3) for v in np.meshgrid(special, special))
    args = [a, b][:ufunc.nin]
    t = ad.record(lambda *x: (ufunc(*x), ufunc(*x) * x[0]), *[np.ones(a.size, dtype) for _ in args])
    program = Program(t)
    assert program.fused_loops == 1
    for k in range(9):                                       # every pair at different places of a tile
        at = [np.roll(v, k) for v in args]
        with np.errstate(all="ignore"):
            want, got = ufunc(*at), program.run(at)[0]
        if want.dtype == dtype and ufunc not in (np.maximum, np.minimum, np.sign):
            want, got = np.where(np.isnan(want), np.nan, want), np.where(np.isnan(got), np.nan, got)
        assert bits([got]) == bits([want])
    for pair in list(zip(*args, strict=True))[:len(SPECIAL) ** 2]:
        row = [np.full(a.size, v) for v in pair]
        with np.errstate(all="raise", under="ignore"):
            assert error_of(program.run, row) == error_of(lambda *x: ufunc(*x) * x[0], *row), pair


def error_of(run, *args):
    try:
        run(*args)
    except FloatingPointError as e:
        return str(e).split(" encountered")[0].split()[0]
    return None


def huber(x, d):
    r = x - d
    a = np.abs(r)
    return np.where(a <= 1.0, 0.5 * r * r, a - 0.5).sum()


def upwind(u, c):
    du = np.where(c[1:-1] > 0, u[1:-1] - u[:-2], u[2:] - u[1:-1])
    v = u[1:-1] - 0.1 * np.maximum(c[1:-1], 0.0) * du
    return np.sqrt(np.minimum(v * v + 1e-3, 4.0)).sum()


@pytest.mark.parametrize("model", [huber, upwind])
def test_a_model_with_masks_is_one_loop(model):
    rng = np.random.default_rng(0)
    x = [rng.normal(size=3000), rng.normal(size=3000)]
    g = ad.grad(model, argnums=(0, 1))
    got = g(*x)
    step = 1e-6
    for k in range(2):
        e = np.zeros(3000)
        e[1500] = step
        up, down = ([v + sign * e * (j == k) for j, v in enumerate(x)] for sign in (1, -1))
        assert got[k][1500] == pytest.approx((model(*up) - model(*down)) / (2 * step), rel=1e-5, abs=1e-8)
    tape = ad.record(model, *x)
    assert Program(tape).fused_loops == 1 and len(Program(tape)) == 1


def test_flags_of_derivative_code_stay_unheard_and_those_of_roots_are_heard():
    x = np.linspace(0.0, 1.0, 600)
    derived = vjp(ad.record(lambda v: np.where(v > 2.0, np.sqrt(v), 1.0).sum(), x))
    program = Program(derived)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(program.run([x, 1.0])[1], 0.0)      # 0.5 / 0 in a branch that is not taken
        with pytest.raises(RuntimeWarning, match="invalid value"):
            program.run([x - 0.5, 1.0])


def decay(x, y):
    """Products and quotients of what may be small; a product that overflows where x is large."""
    p = x * y
    return np.where(x != 0.0, p / (y + 2.0), x) * x, np.square(p) - 0.5 * x, 1.0 / (x + 1.5)


def scales(n):
    """From 1 to below float32's range and back to 1, then zeros."""
    x = 10.0 ** -np.abs(np.linspace(-50.0, 50.0, n))
    return np.concatenate([np.ones(n), x, np.ones(n), np.zeros(n)]).astype(np.float32)


@pytest.mark.parametrize("n", [300, 4000])
def test_numbers_below_the_usual_range_keep_their_bits(n):
    """Blocks behind such numbers run other steps, back and forth."""
    x = scales(n)
    y = np.random.default_rng(0).normal(size=x.size).astype(np.float32)
    tape = ad.record(decay, x, y)
    want = np.float32(x * y)
    assert np.any((np.abs(want) < np.finfo(np.float32).tiny) & (want != 0.0))
    for t, args in ((tape, [x, y]), (vjp(tape), [x, y, y, x, y]), (jvp(tape), [x, y, y, x])):
        program = Program(t)
        assert program.fused_loops
        for shift in (0, 7):
            at = [np.roll(v, shift) for v in args]
            assert bits(program.run(at)) == bits(t.sweep(at))


@pytest.mark.parametrize("place", [0, 5000, 9999])
def test_an_overflow_among_small_numbers_is_reported(place):
    x = np.full(10_000, 1e-39, np.float32)
    program = Program(ad.record(lambda v: v * v * v, x))
    with np.errstate(all="raise", under="ignore"):
        program.run([x])
        x[place] = 1e30
        with pytest.raises(FloatingPointError, match="overflow"):
            program.run([x])
        x[place] = np.inf
        program.run([x])
