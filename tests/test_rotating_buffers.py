"""Time loops in which a few buffers rotate: what a write leaves of what stood there (_overwritten.pxi).

Owns: random programs beside plain NumPy and complex steps, the form of the tape.
Must not know: how loops run (test_stencils.py).
"""
import re
from functools import partial

import numpy as np
import pytest

import fastad as ad
from fastad._passes import optimise
from fastad._program import Program, share_from
from fastad._transform import jvp, vjp
from tests.test_machine import bits


def rotating(c, steps=7, fresh=False):
    """Second order in time; edges at rest, a source that moves, receivers that are read twice."""
    u0, u1, u2 = (np.zeros_like(c) for _ in range(3))
    misfit = 0.0
    for k in range(steps):
        lap = u1[2:, 1:-1] + u1[:-2, 1:-1] + u1[1:-1, 2:] + u1[1:-1, :-2] - 4.0 * u1[1:-1, 1:-1]
        if fresh:
            u2 = np.zeros_like(c)
        u2[1:-1, 1:-1] = 2.0 * u1[1:-1, 1:-1] - u0[1:-1, 1:-1] + c[1:-1, 1:-1] * lap
        u2[1 + k % 3, 2] += 1.0 + c[2, 2]
        misfit = misfit + np.sum((u2[2, [1, 3, 3]] - 0.1) ** 2)
        u0, u1, u2 = u1, u2, u0
    return misfit + np.sum(u1 * u0)


def test_buffers_that_rotate_are_as_good_as_new_ones():
    c = np.random.default_rng(0).uniform(0.1, 0.3, (9, 80))
    tapes = [ad.record(partial(rotating, fresh=fresh), c) for fresh in (False, True)]
    rotated, fresh = [Program(vjp(tape, seed=1.0)) for tape in tapes]
    kept = [{k: v for k, v in p.stats().items() if not k.startswith("instructions")} for p in (rotated, fresh)]
    assert kept[0] == kept[1]                                # the same loops, and as much memory
    assert bits(rotated.run([c])) == bits(fresh.run([c]))
    assert tapes[0](c) == rotating(c)


SMALL = (7, 6), (12,), (4, 5, 6)
ROWS = (9, 80), (150,), (4, 5, 70), (60, 70), (5000,), (9, 131)      # long enough to be written by loops


def random_program(seed, shapes=SMALL):
    """f, a point, a direction: writes of many kinds into buffers, some filled with a number at first, some not."""
    rng = np.random.default_rng(seed)
    shape = shapes[rng.integers(len(shapes))]
    count = int(rng.integers(2, 5))
    fills = [(0.0, 2.5, -0.0, None)[rng.integers(4)] for _ in range(count)]

    def cut():
        """A region, of most of the array or of little."""
        most = rng.random() < 0.7
        return tuple(slice(int(rng.integers(2)), n - int(rng.integers(2))) if most
                     else slice(int(rng.integers(n - 1)), n, int(rng.integers(1, 3))) for n in shape)

    regions = [cut() for _ in range(3)]
    plan = [(int(rng.integers(9)), int(rng.integers(count)), int(rng.integers(count)), regions[rng.integers(3)],
             tuple(int(rng.integers(n)) for n in shape), float(rng.normal())) for _ in range(16)]

    def f(c):
        u = [c * 1.0 if fill is None else np.full(c.shape, fill, dtype=c.dtype) for fill in fills]
        total = 0.0
        for kind, a, b, region, point, number in plan:
            x, y = u[a], u[b]
            if kind < 3:
                x[region] = 0.5 * y[region] + number * c[region]
            elif kind == 3:
                x[region] += y[region] * c[region]
            elif kind == 4:
                x[point] += number * c[point]
            elif kind == 5:
                x[tuple([p, 0] for p in point)] = c[point] * number
            elif kind == 6:
                x[region] = number
            elif kind == 7:
                x[region][::-1][..., 0] = y[region][..., 0]
            else:
                total = total + np.sum(x[region] * x[region])
            u = u[1:] + u[:1]
        return total + sum([np.sum(x * (k + 1.0)) for k, x in enumerate(u)])
    return f, rng.uniform(0.5, 1.5, shape), rng.normal(size=shape)


@pytest.mark.parametrize("first", range(0, 200, 50))
def test_random_writes_into_buffers_that_rotate(first):
    for seed in range(first, first + 50):
        f, c, v = random_program(seed)
        tape = ad.record(f, c)
        assert bits([tape(c)]) == bits([f(c)]), seed
        assert bits([tape.compile()(c)]) == bits([f(c)]), seed
        slope = f(c + 1e-30j * v).imag / 1e-30
        gradient = ad.grad(f)(c)
        np.testing.assert_allclose(np.sum(gradient * v), slope, rtol=1e-11, atol=1e-11 * np.abs(slope), err_msg=seed)
        np.testing.assert_allclose(ad.jvp(f, (c,), (v,))[1], slope, rtol=1e-11, err_msg=seed)


def test_loops_that_write_on_top_of_other_arrays(request):
    """Rows in new memory, what is around them copied from the array below: bits of one instruction after the other."""
    usual, threads = share_from(0), ad.get_num_threads()
    request.addfinalizer(lambda: (share_from(usual), ad.set_num_threads(threads)))
    ad.set_num_threads(3)
    for seed in range(60):
        f, c, _ = random_program(seed, ROWS)
        c = c.astype(np.float32 if seed % 3 == 0 else np.float64)
        tape = ad.record(f, c)
        out = tape.sweep([c])
        assert bits(Program(tape).run([c])) == bits(out), seed
        for derived, one in ((vjp(tape), np.ones_like(out[0])), (jvp(tape), np.ones_like(c))):
            assert bits(Program(derived).run([c, one])) == bits(optimise(derived).sweep([c, one])), seed


def test_a_loop_writes_into_a_used_buffer():
    """Absorbing edges: nothing is computed first and copied then."""
    def f(c):
        u0, u1 = c * 0.5, c * 1.0
        for _ in range(3):
            u0[1:-1, 1:-1] = 2.0 * u1[1:-1, 1:-1] - u0[1:-1, 1:-1] + c[1:-1, 1:-1] * u1[2:, 1:-1]
            u0[0] = u1[1]
            u0, u1 = u1, u0
        return u0, u1
    c = np.random.default_rng(1).normal(size=(40, 90))
    program = Program(ad.record(f, c))
    assert program.stats()["loops"] == 3 + 1 and bits(program.run([c])) == bits(f(c))


def test_what_is_around_the_region_stays():
    """An edge that was written, a corner, a buffer that is no longer filled with one number."""
    def f(c):
        u, w = np.zeros((5, 6)), np.zeros((5, 6))
        for k in range(4):
            u[1:-1, 1:-1] = w[1:-1, 1:-1] + c
            u[0, 1:-1] = u[1, 1:-1] * (k + 1.0)
            if k == 2:
                u[-1, -1] = np.sum(c)
            u, w = w, u
        return u + 10.0 * w
    c = np.arange(12.0).reshape(3, 4)
    assert bits([ad.record(f, c)(c)]) == bits([f(c)])
    for k, column in enumerate(ad.jacobian(f)(c).reshape(30, 12).T):
        one = np.zeros((3, 4))
        one.flat[k] = 1.0
        np.testing.assert_allclose(column, (f(c + one) - f(c)).ravel())     # f is linear


def test_small_regions_are_written_where_they_are():
    """To fill a large array anew for each of them would cost more than the write."""
    def f(c):
        u = np.zeros(1000)
        for k in range(20):
            u[3:7] = c * (k + 1.0)
        return np.sum(u * u)
    tape = ad.record(f, np.ones(4))
    below = re.findall(r"write\((v\d+),", tape.listing(limit=None))
    assert len(below) == len(set(below)) == 20
    assert tape(np.ones(4)) == f(np.ones(4))


def test_a_sponge_that_keeps_zeros_no_more_is_noticed():
    """Edges at rest times a sponge are at rest, where it is finite and has no sign: a tape asks that at each sweep."""
    sponge = np.linspace(0.9, 1.0, 80) * np.ones((70, 1))

    def f(c):
        u0, u1, u2 = (np.zeros((70, 80)) for _ in range(3))
        for _ in range(6):
            u2[1:-1, 1:-1] = 2.0 * u1[1:-1, 1:-1] - u0[1:-1, 1:-1] + c[1:-1, 1:-1] * (u1[2:, 1:-1] - u1[1:-1, :-2])
            u2[30:40, 30] += 1.0
            u1 *= sponge
            u2 *= sponge
            u0, u1, u2 = u1, u2, u0
        return u1
    c = np.random.default_rng(0).uniform(0.1, 0.3, (70, 80))
    tape = ad.record(f, c)
    sponge *= 0.5
    assert bits([tape(c)]) == bits([f(c)])                   # another one of the same kind: no need to record again
    for number in (-0.5, np.inf):
        sponge[0, 3] = number
        with pytest.raises(ad.TapeDivergence, match="without a sign"):
            tape(c)
        with np.errstate(invalid="ignore"):
            assert bits([ad.record(f, c)(c)]) == bits([f(c)])
