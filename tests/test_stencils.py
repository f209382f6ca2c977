"""Gradients of stencils as compiled programs: halos, what is computed late, what is written over.

Owns: that loops over slices give the derivatives of the tape's own sweep, the same bits on any number of threads and
within any memory, in few passes.
Next: _halo.pxi, _fusion.pxi; test_fusion.py (loops), test_weave.py (one dimension), kernels/test_chain.h (tiles).
"""
from functools import partial

import numpy as np
import pytest

import fastad as ad
from fastad import tapes
from fastad._passes import optimise
from fastad._program import Program, share_from
from fastad._transform import jvp, vjp
from tests.random_stencils import LARGE, random_stencil
from tests.test_machine import bits


def waves(c, steps=6):
    """Second order in time and space; a source, a row of receivers, edges at rest."""
    old, now = np.zeros_like(c), np.zeros_like(c)
    misfit = 0.0
    for k in range(steps):
        inner = now[1:-1, 1:-1]
        lap = now[2:, 1:-1] + now[:-2, 1:-1] + now[1:-1, 2:] + now[1:-1, :-2] - 4.0 * inner
        new = np.zeros_like(c)
        new[1:-1, 1:-1] = 2.0 * inner - old[1:-1, 1:-1] + c[1:-1, 1:-1] * lap
        new[c.shape[0] // 2, c.shape[1] // 2] += 1.0 + k
        misfit = misfit + np.sum(new[2] ** 2)
        old, now = now, new
    return misfit


def wide(c, steps=4):
    """Fourth order in space, in place."""
    u0, u1 = np.zeros_like(c), c * c
    i = slice(2, -2)
    for _ in range(steps):
        far = u1[4:, i] + u1[:-4, i] + u1[i, 4:] + u1[i, :-4]
        lap = u1[3:-1, i] + u1[1:-3, i] + u1[i, 3:-1] + u1[i, 1:-3] - 0.1 * far
        u0[i, i] = 2 * u1[i, i] - u0[i, i] + c[i, i] * lap
        u0, u1 = u1, u0
    return np.sum(u1 * u1)


def fluxes(c, steps=4):
    """Differences of differences, of three dimensions."""
    u = 1.0 + c
    for _ in range(steps):
        flux = c[1:, :, 1:-1] * (u[1:, :, 1:-1] - u[:-1, :, 1:-1])
        along = c[1:-1, :, 1:] * (u[1:-1, :, 1:] - u[1:-1, :, :-1])
        new = u * 1.0
        new[1:-1, :, 1:-1] = u[1:-1, :, 1:-1] + 0.1 * (flux[1:] - flux[:-1] + along[:, :, 1:] - along[:, :, :-1])
        u = new
    return np.sum(u * u)


CASES = [(waves, (9, 70)), (waves, (40, 200)), (waves, (7, 600)), (waves, (12, 12)), (wide, (30, 140)), (wide, (9, 68)),
         (fluxes, (5, 4, 90)), (fluxes, (6, 3, 8))]


@pytest.mark.parametrize("f, shape", CASES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_gradients_are_those_of_the_tape(f, shape, dtype, rng):
    c = (0.1 + 0.1 * rng.random(shape)).astype(dtype)
    tape = ad.record(f, c)
    value = tape.forward(c)
    want = tape.reverse(dtype(1.0))
    got = tapes.program(tapes.vjp_tape(tape)).run([c, dtype(1.0)])
    assert got[0] == value
    rtol, atol = (1e-10, 1e-12) if dtype is np.float64 else (2e-4, 1e-6)
    np.testing.assert_allclose(got[1], want, rtol=rtol, atol=atol * np.abs(want).max())


RECEIVERS = {
    "a row": (2,), "the first and the last row": ((0, -1),), "rows apart": (np.arange(1, 60, 9),),
    "a part of a row": (np.s_[5, 7:70],), "points": (np.array([3, 3, 3, 40, 55]), np.array([4, 9, 9, 0, 88])),
    "a block in the middle": (np.s_[20:30, 40:60],), "a column": (np.s_[:, 3],), "all": (np.s_[:],),
    "many rows": (np.arange(1, 60, 4),)}


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("where", RECEIVERS)
def test_what_receivers_send_back(where, dtype, count, rng, threads):
    """Between the rows that they are on, loops read nothing of it; where these are few."""
    def f(c):
        old, now, misfit = np.zeros_like(c), np.zeros_like(c), 0.0
        for k in range(5):
            inner = now[1:-1, 1:-1]
            new = np.zeros_like(c)
            new[1:-1, 1:-1] = 2.0 * inner - old[1:-1, 1:-1] + c[1:-1, 1:-1] * (
                now[2:, 1:-1] + now[:-2, 1:-1] + now[1:-1, 2:] + now[1:-1, :-2] - 4.0 * inner)
            new[30, 45] += 1.0 + k
            at = RECEIVERS[where]
            misfit = misfit + np.sum(new[at if len(at) > 1 else at[0]] ** 2)
            old, now = now, new
        return misfit
    threads(count)
    usual = share_from(0)
    try:
        c = (0.1 + 0.1 * rng.random((64, 200))).astype(dtype)
        adjoint = vjp(ad.record(f, c), seed=1.0)
        program = Program(adjoint)
        want = bits(adjoint.sweep([c]))
        for _ in range(12):                  # later ones run as code
            assert bits(program.run([c])) == want
        if where in ("a row", "a part of a row"):
            assert program.stats()["patched_loops"] > 0
    finally:
        share_from(usual)


def test_a_slice_keeps_no_wave(rng):
    """The row that receivers are on is kept for the way back, beside a Laplacian; not the wave of which it is a row."""
    c = 0.1 + 0.1 * rng.random((100, 200))
    tape = optimise(vjp(ad.record(partial(waves, steps=60), c), seed=1.0))
    program = Program(tape)
    assert bits(program.run([c])) == bits(tape.sweep([c]))
    assert program.stats()["arena_bytes"] < 68 * c.nbytes


@pytest.mark.parametrize("f, shape", [(partial(waves, steps=40), (40, 200)), (partial(wide, steps=40), (30, 300))])
def test_bits_do_not_depend_on_threads_or_memory(f, shape, rng):
    c = 0.1 + 0.1 * rng.random(shape)
    want = tapes.program(tapes.vjp_tape(ad.record(f, c))).run([c, 1.0])[1]
    before = ad.get_num_threads()
    try:
        for threads in (1, 2, 3):
            ad.set_num_threads(threads)
            program = Program(tapes.vjp_tape(ad.record(f, c)))
            assert program.run([c, 1.0])[1].tobytes() == want.tobytes()
    finally:
        ad.set_num_threads(before)
    whole = ad.grad(f, memory="1GB", audit=False)
    assert whole(c).tobytes() == want.tobytes()
    tight = ad.grad(f, memory=whole.stats().memory.peak * 2 // 3, audit=False)
    assert tight(c).tobytes() == want.tobytes()


def test_a_step_back_is_one_loop(rng):
    """Each step more is one loop forwards and one back, and one each for its row of receivers."""
    c = 0.1 + 0.1 * rng.random((40, 200))
    loops = [Program(tapes.vjp_tape(ad.record(lambda c, n=n: waves(c, n), c))).stats()["loops"] for n in (10, 11, 12)]
    assert loops[2] - loops[1] == loops[1] - loops[0] <= 4


def test_a_step_back_writes_over_its_operands(rng):
    """The adjoint of the field two steps on, and the gradient: 500 steps take no more arrays than what is kept."""
    c = 0.1 + 0.1 * rng.random((40, 200))
    room = [Program(tapes.vjp_tape(ad.record(lambda c, n=n: waves(c, n), c))).nbytes for n in (20, 21, 22)]
    one = 38 * 198 * 8
    assert room[2] - room[1] <= 1.1 * one + 2 * 1664


@pytest.mark.parametrize("factor", [2.0, 4.0, -2.0, -4.0])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_products_with_powers_of_two_keep_their_bits(factor, dtype, rng):
    """They are sums in a loop; NaN keeps its sign."""
    x = rng.normal(size=300).astype(dtype)
    x[:9] = [0.0, -0.0, np.inf, -np.inf, np.nan, np.finfo(dtype).tiny / 8, np.finfo(dtype).max / 3, 1.0, -np.nan]
    x[8] = np.copysign(dtype(np.nan), dtype(-1.0))

    def f(x):
        return factor * (x + dtype(0.0)), (x - dtype(0.0)) * factor
    tape = ad.record(f, x)
    with np.errstate(all="ignore"):
        for got, want in zip(tapes.program(tape).run([x]), f(x), strict=True):
            assert got.tobytes() == want.tobytes()


def same_bits_as_the_tape(f, x):
    """The program of f, and of its derivatives, beside one instruction after the other."""
    t = ad.record(f, *x)
    out = t.sweep(x)
    assert bits(Program(t).run(x)) == bits(out)
    for derived, seeds in ((vjp(t), out), (jvp(t), x)):
        args = [*x, *map(np.ones_like, seeds)]
        assert bits(Program(derived).run(args)) == bits(optimise(derived).sweep(args))


@pytest.mark.parametrize("first", range(0, 200, 50))
def test_random_stencils(first):
    """Rows that are stored by chains, by loops of NumPy's, by casts."""
    with np.errstate(all="ignore"):
        for seed in range(first, first + 50):
            same_bits_as_the_tape(*random_stencil(seed))


def test_random_stencils_on_several_threads():
    """Each thread writes rows, and what lies between them; in 1 to 4 dimensions."""
    usual, threads = share_from(0), ad.get_num_threads()
    ad.set_num_threads(3)
    try:
        with np.errstate(all="ignore"):
            for seed in range(30):
                same_bits_as_the_tape(*random_stencil(seed, LARGE))
    finally:
        share_from(usual)
        ad.set_num_threads(threads)


@pytest.mark.parametrize("seed", range(0, 60, 3))
def test_random_stencils_within_a_budget(seed):
    f, x = random_stencil(seed)

    def misfit(u, c):
        return f(u, c)[0]
    with np.errstate(all="ignore"):
        want = ad.grad(misfit, argnums=(0, 1), memory="1GB")
        gradient = bits(want(*x))
        try:
            tight = ad.grad(misfit, argnums=(0, 1), memory=want.stats().memory.peak // 2)
            got = tight(*x)
        except ad.BudgetError as error:
            tight = ad.grad(misfit, argnums=(0, 1), memory=error.smallest)
            got = tight(*x)
        plain = ad.record(misfit, *x).gradient(*x)
    assert bits(got) == gradient
    for a, b in zip(got, plain, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3 if a.dtype == np.float32 else 1e-8, atol=1e-4 * np.abs(b).max())
