"""Costs that grow with the size: memory of sweeps, and that nothing is quadratic in the length of a tape.

Owns: the growth of time and bytes from one size to another, with a wide margin.  Never a level: those are in
benchmarks/.
"""
import gc
from time import process_time, sleep

import numpy as np
import pytest

import fastad as ad


@pytest.fixture(autouse=True)
def only_own_garbage():
    """What other tests of this process have left behind is not walked through while something is timed."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def test_adjoints_take_memory_for_what_is_active_alone():
    data = np.linspace(1.0, 2.0, 500)

    def f(x, mask):
        z = np.where(mask > 0, np.arange(500.0), 2.0)           # does not depend on x
        w = np.concatenate([z, z])[:500]
        w[3:40] = x[3:40]                                       # ... and is overwritten in part: shared memory
        return (w * data * x).sum()

    x, mask = np.linspace(0.5, 1.5, 500), np.linspace(-1.0, 1.0, 500)
    tape = ad.record(f, x, mask, argnums=0)
    y = tape.forward(x, mask)
    gradient = tape.reverse(1.0)
    gradient = gradient[0] if isinstance(gradient, tuple) else gradient
    again = tape.reverse(1.0)
    np.testing.assert_array_equal(gradient, again[0] if isinstance(again, tuple) else again)
    w = np.where(mask > 0, np.arange(500.0), 2.0)
    want = w * data
    want[3:40] = 2 * x[3:40] * data[3:40]
    np.testing.assert_allclose(gradient, want, rtol=1e-12)
    assert y == pytest.approx(f(x, mask))
    direction = np.cos(x)
    assert tape.tangent(direction, None) == pytest.approx(want @ direction)
    inactive = [i for i in range(1, len(tape) + 1) if not tape.active()[i]]
    assert inactive
    for i in inactive:                                          # zeros, not memory that is not there
        assert not np.any(tape.adjoint_at_point(i)) and not np.any(tape.tangent_at_point(i))


def scalars(n):
    x = np.array([1.1])
    return (lambda x: chain(x, n)), x


def chain(x, n):
    a = x[0]
    for _ in range(n // 4):
        a = a * 1.0000001 + 0.5 - a / 3.0
    return a


def filled(n):
    def f(x):
        y = np.zeros(n)
        for i in range(n):
            y[i] = x[i % 10] * 2.0
        return y.sum()
    return f, np.linspace(1.0, 2.0, 10)


def trajectory(n):
    def f(x):
        rows = np.zeros((n, 2))
        rows[0] = x
        for i in range(n - 1):
            rows[i + 1] = rows[i] * 0.999
        return rows.sum()
    return f, np.array([1.0, 2.0])


def slices(n):
    def f(x):
        y = 0.0
        for i in range(n):
            y = y + x[i:i + 3].sum()
        return y
    return f, np.linspace(1.0, 2.0, 20_000)


def captured(n):
    w = np.linspace(0.999, 1.0, 10)

    def f(x):
        for _ in range(n):
            x = x * w
        return x.sum()
    return f, np.ones(10)


def captured_rows(n):
    w = np.full((n, 5), 0.5)

    def f(x):
        y = x * 1.0
        for i in range(n):
            y = y * w[i]
        return y.sum()
    return f, np.ones(5)


def branches(n):
    def f(x):
        a = x[0]
        for _ in range(n):
            if a > 0.5:
                a = a * 0.9999999
        return a
    return f, np.array([1.1])


def least(action, times=3):
    best = np.inf
    for _ in range(times):
        start = process_time()
        action()
        best = min(best, process_time() - start)
    return best


@pytest.mark.parametrize("program, n", [(scalars, 10_000), (filled, 3_000), (trajectory, 200), (slices, 400),
                                        (captured, 1_000), (captured_rows, 400), (branches, 2_000)])
def test_every_stage_is_linear_in_the_length(program, n, tmp_path):
    factor = 16                             # linear: 16 times; quadratic: 256

    def stages(size):
        gc.collect()
        f, x = program(size)
        times = {"record": least(lambda: ad.record(f, x))}
        tape = ad.record(f, x)
        times["gradient"] = least(lambda: (tape.forward(x), tape.reverse(1.0)))
        times["print"] = least(lambda: tape.listing(None), 2)
        times["save"] = least(lambda: tape.save(tmp_path / "tape"), 2)
        times["load"] = least(lambda: ad.Tape.load(tmp_path / "tape"), 2)
        times["adjoint tape"] = least(lambda: ad.record(f, x).vjp_tape(), 2) - times["record"]
        times["compile"] = least(lambda: ad.record(f, x).compile(), 2) - times["record"]
        return times

    small, large = stages(n), stages(factor * n)
    slow = {what: (small[what], large[what]) for what in small
            if large[what] > 5 * factor * max(small[what], 1e-3)}
    assert not slow


def test_a_number_that_is_added_to_a_history_of_fields_is_found_at_once():
    """As a source that acts on one point in every step: each step is stored in a row of one array."""
    def recording(n):
        def f(x):
            u = np.zeros((n + 1, 400))
            for t in range(n):
                u[t + 1, 1:] = u[t, 1:] * x
                u[t + 1, 7] += 1.0
            return u.sum()
        return least(lambda: ad.record(f, 0.9))
    small, large = recording(100), recording(1600)
    assert large < 5 * 16 * max(small, 1e-3)                    # quadratic: 256 times


def test_compiling_waits_until_the_calls_have_paid_for_it():
    chained = ad.grad(lambda x: chain(x, 40_000), audit=False)
    for _ in range(12):
        chained(np.array([1.1]))
    assert [e.program for e in chained.cache.all()] == [None]       # 60 ms, to save 0.1 ms a call

    arrays = ad.grad(lambda x: (np.exp(x) * x).sum(), audit=False)
    x = np.linspace(0.0, 1.0, 300_000)
    for _ in range(12):
        arrays(x)
    assert all(e.program is not None for e in arrays.cache.all())


def test_bytes_count_what_a_tape_holds():
    f, x = scalars(2_000)
    tape = ad.record(f, x)
    assert tape.nbytes <= 24 * len(tape)                            # a scalar instruction, all told
    f, x = branches(2_000)
    tape = ad.record(f, x)
    assert tape.nbytes <= 24 * len(tape)                            # its guards included
    f, x = slices(50)
    few = ad.record(f, x)
    f, x = slices(500)
    many = ad.record(f, x)
    assert many.nbytes - few.nbytes >= 450 * 500                    # each slice has a map of its own


def test_time_in_which_a_replay_waits_is_not_what_compiling_would_save():
    """As when other processes have the machine: a replay that was slow once is no reason to compile."""
    waiting = ad.primitive(lambda x: (sleep(0.05), 1.0 * x)[1], vjp=lambda w, y, x: (w,))
    g = ad.grad(lambda x: chain(waiting(x), 40_000), audit=False)
    for _ in range(9):
        g(np.array([1.1]))
    assert [e.program for e in g.cache.all()] == [None]
