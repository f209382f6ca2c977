"""Adjoints of time loops over fields with edges: what one slice reads is computed only there (_slices.pxi, _moves.pxi).

Owns: the same waves in many spellings, each a loop or two a step both ways; random ones, bit by bit.
Must not know: how loops run (test_stencils.py).
"""
import numpy as np
import pytest
from scipy import ndimage, signal

import fastad as ad
from fastad import _tape as T
from fastad._passes import optimise
from fastad._program import Program, share_from
from fastad._transform import vjp
from tests.random_waves import random_waves
from tests.test_machine import bits

N = 80
ROWS, COLUMNS = np.full(N - 20, 5), np.arange(10, N - 10)
SPONGE = np.linspace(0.9, 1.0, N)[:, None] * np.ones(N)


def laplacian(u):
    return u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2] - 4 * u[1:-1, 1:-1]


def in_buffers(c, u0, u1, u2, k):
    u2[1:-1, 1:-1] = 2 * u1[1:-1, 1:-1] - u0[1:-1, 1:-1] + c[1:-1, 1:-1] * laplacian(u1)
    u2[30, 30] += k
    return u1, u2, u0


def with_edges_held(c, u0, u1, u2, k):
    u1, u2, u0 = in_buffers(c, u0, u1, u2, k)
    u2[0, :] = u2[-1, :] = u2[:, 0] = u2[:, -1] = 0
    return u1, u2, u0


def in_a_sponge(c, u0, u1, u2, k):
    u1, u2, u0 = in_buffers(c, u0, u1, u2, k)
    u1 *= SPONGE
    u2 *= SPONGE
    return u1, u2, u0


def with_copies(c, u0, u1, u2, k):
    u2[1:-1, 1:-1] = 2 * u1[1:-1, 1:-1] - u0[1:-1, 1:-1] + c[1:-1, 1:-1] * laplacian(u1)
    u2[30, 30] += k
    return u1.copy(), u2.copy(), np.zeros((N, N))


def with_a_whole_laplacian(c, u0, u1, u2, k):
    lap = np.zeros_like(u1)
    lap[1:-1, 1:-1] = laplacian(u1)
    u2 = 2 * u1 - u0 + c * lap
    u2[30, 30] += k
    return u1, u2, u0


def padded(c, u0, u1, u2, k):
    u2 = 2 * u1 - u0 + c * np.pad(laplacian(u1), 1)
    u2[30, 30] += k
    return u1, u2, u0


def of_eighth_order(c, u0, u1, u2, k):
    weights = -205 / 72, 8 / 5, -1 / 5, 8 / 315, -1 / 560
    i = slice(4, -4)
    lap = 2 * weights[0] * u1[i, i]
    for j in range(1, 5):
        lap = lap + weights[j] * (u1[4 + j:N - 4 + j, i] + u1[4 - j:N - 4 - j, i]
                                  + u1[i, 4 + j:N - 4 + j] + u1[i, 4 - j:N - 4 - j])
    u2[i, i] = 2 * u1[i, i] - u0[i, i] + 0.5 * c[i, i] * lap
    u2[30, 30] += k
    return u1, u2, u0


WEIGHTS = np.array([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])
FILTERS = {"laplace": lambda u: ndimage.laplace(u, mode="constant"),
           "convolve": lambda u: ndimage.convolve(u, WEIGHTS, mode="constant"),
           "convolve2d": lambda u: signal.convolve2d(u, WEIGHTS, mode="same"),
           "diff": lambda u: np.pad(np.diff(u, 2, axis=0)[:, 1:-1] + np.diff(u, 2, axis=1)[1:-1], 1)}


def misfit_of(step, steps, rows=True):
    def f(c):
        u0, u1, u2 = (np.zeros((N, N)) for _ in range(3))
        records, misfit = np.zeros((steps, len(ROWS))), 0.0
        for k in range(steps):
            u0, u1, u2 = step(c, u0, u1, u2, 1.0 + k)
            records[k] = u1[ROWS, COLUMNS]
            if not rows:
                misfit = misfit + np.sum((u1[ROWS, COLUMNS] - 1.0) ** 2)
        return np.sum((records - 1.0) ** 2) if rows else misfit
    return f


def reverse_loops(step, rows):
    """What one more step adds to the gradient: loops, writes in place, arrays kept."""
    c = np.random.default_rng(0).uniform(0.1, 0.2, (N, N))
    counts = []
    for steps in (16, 8):
        program = Program(vjp(ad.record(misfit_of(step, steps, rows), c), seed=1.0))
        ops = [program.tape.instruction(i)[0] for i in range(program.tape.boundary, len(program.tape))]
        counts.append((program.fused_loops, ops.count("erase"), ops.count("write"), program.stats()["arena_bytes"]))
    loops, erase, write, nbytes = [(a - b) / 8 for a, b in zip(*counts, strict=True)]
    return loops, erase + write, nbytes / (8 * N * N)


@pytest.mark.parametrize("rows", [True, False])
@pytest.mark.parametrize("step, loops, arrays", [
    (in_buffers, 2, 1.0), (with_edges_held, 2, 1.0), (in_a_sponge, 3, 1.0), (with_copies, 2, 1.0),
    (with_a_whole_laplacian, 4, 1.0), (padded, 4, 1.0), (of_eighth_order, 2, 1.0)])
def test_a_step_of_any_spelling_is_a_loop_or_two_each_way(step, loops, arrays, rows):
    found, writes, kept = reverse_loops(step, rows)
    assert found <= loops + (not rows)                       # (the sum of squares of a step is a loop of its own)
    assert writes == 0                                       # nothing is changed in place, one part after the other
    assert kept <= 1.1 * arrays                              # what the adjoint needs, and nothing else for each step


def test_eighth_order_stores_one_array_for_all_weights():
    c = np.random.default_rng(0).uniform(0.1, 0.2, (N, N))
    counts = []
    for steps in (9, 8):
        tape = Program(vjp(ad.record(misfit_of(of_eighth_order, steps), c), seed=1.0)).tape
        moves = [tape.instruction(i)[3] for i in range(tape.boundary, len(tape)) if tape.instruction(i)[0] == "move"]
        counts.append(sum([m.sizes[1] > m.sizes[0] > N for m in moves]))
    assert counts[0] - counts[1] == 1


@pytest.mark.parametrize("name", FILTERS)
def test_filters_of_images_keep_every_bit(name):
    """Rows of several lengths: some are stored by a loop of their own, which nobody may read before it has run."""
    def step(c, u0, u1, u2, k):
        u2 = 2 * u1 - u0 + c * FILTERS[name](u1)
        u2[30, 30] += k
        return u1, u2, u0
    c = np.random.default_rng(0).uniform(0.1, 0.2, (N, N))
    adjoint = vjp(ad.record(misfit_of(step, 5), c), seed=1.0)
    assert bits(Program(adjoint).run([c])) == bits(adjoint.sweep([c]))


def same_everywhere(seed):
    f, c = random_waves(seed)
    tape = ad.record(f, c)
    single = np.finfo(c.dtype).eps > 1e-10
    out = tape.sweep([c])
    np.testing.assert_allclose(out[0], f(c), rtol=1e-4 if single else 1e-12)
    assert bits(out) == bits(Program(tape).run([c]))
    adjoint = vjp(tape)
    args = [c, np.ones_like(out[0])]
    g = Program(adjoint).run(args)
    assert bits(adjoint.sweep(args)) == bits(g)
    exact = ad.grad(f)(c)
    scale = np.abs(exact).max()
    np.testing.assert_allclose(exact, g[1], rtol=1e-3 if single else 1e-10, atol=(1e-4 if single else 1e-12) * scale)
    return f, c, exact


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("first", range(0, 60, 10))
def test_random_waves_keep_every_bit(first):
    for seed in range(first, first + 10):
        f, c, exact = same_everywhere(seed)
        if c.dtype == np.float64:
            step = 1e-6 * np.random.default_rng(seed).normal(size=c.shape)
            expected = f(c + step) - f(c - step)
            if np.isfinite(expected) and abs(f(c)) < 1e6:
                assert abs(2 * np.sum(exact * step) - expected) <= 1e-5 * abs(expected) + 1e-11 * (1 + abs(f(c)))


@pytest.mark.filterwarnings("ignore")
def test_random_waves_on_several_threads():
    usual, threads = share_from(0), ad.get_num_threads()
    ad.set_num_threads(3)
    try:
        for seed in range(60, 70):
            same_everywhere(seed)
    finally:
        share_from(usual)
        ad.set_num_threads(threads)


@pytest.mark.parametrize("seed", [116, 172, 184, 71, 72, 74])
def test_random_waves_within_a_budget(seed):
    """Slices and whole arrays are added up in one order, wherever the program is cut (the first three were not)."""
    f, c = random_waves(seed)
    with np.errstate(all="ignore"):
        assert bits([ad.grad(f, memory="2MB")(c)]) == bits([ad.grad(f)(c)])


def test_what_is_read_only_inside_is_computed_only_there():
    def f(x):
        u = np.zeros((80, 90))
        u[3:-3, 5:-5] = x
        return np.sum(np.exp(u) * np.sin(u))
    x = np.random.default_rng(0).normal(size=(74, 80))
    adjoint = vjp(ad.record(f, x), seed=1.0)
    assert bits(Program(adjoint).run([x])) == bits(adjoint.sweep([x]))
    small = optimise(adjoint)
    sizes = [np.prod(T.aval_of(small.instruction(i)[2])[1], dtype=int) for i in range(small.boundary, len(small) + 1)]
    assert sizes.count(74 * 80) >= 4 and 80 * 90 not in sizes


def test_primal_code_stays_whole_since_it_may_raise_a_flag():
    x = np.ones(5000)
    tape = ad.record(lambda v: np.sum((1.0 / v)[1:]), x)
    tape.compile()
    x[0] = 0.0
    with pytest.warns(RuntimeWarning, match="divide"):
        assert tape(x) == 4999.0


def of_a_stack(c):
    u = np.zeros(c.shape)
    u[...] = np.stack([c + 1.0, c * c])[1]
    return 2.0 * u[20:33, 1:5]


def of_rows_put_together(c):
    u = np.zeros(c.shape)
    u[:] = np.concatenate([c + 1.0, c * c])[len(c):]
    return 2.0 * u[20:33, 1:5]


@pytest.mark.parametrize("f", [of_a_stack, of_rows_put_together])
def test_a_slice_of_what_only_a_slice_is_read_of(f):
    """The second one was taken of the first one twice: elements from beyond the memory of the array."""
    c = np.random.default_rng(3).normal(size=(70, 9))
    tape = ad.record(f, c)
    for t in tape, optimise(tape):
        np.testing.assert_array_equal(Program(t).run([c])[0], f(c))
    weights = np.random.default_rng(4).normal(size=f(c).shape)
    g = Program(optimise(vjp(ad.record(lambda c: np.sum(f(c) * weights), c), seed=1.0))).run([c])[-1]
    wanted = np.zeros(c.shape)
    wanted[20:33, 1:5] = 4.0 * weights * c[20:33, 1:5]
    np.testing.assert_allclose(g, wanted, rtol=1e-14)
