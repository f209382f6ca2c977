"""Arrays of plain NumPy that a function makes anew in each step are held once (_temporaries.pxi).

Owns: which are, and that nobody notices.
Must not know: how captures are watched (test_watch.py).
"""
import numpy as np

import fastad as ad

N = 5000
SPONGE = np.linspace(0.0, 1.0, N)


def held(tape):
    """Different arrays that a tape captures."""
    return len({id(tape.instruction(i)[3]) for i in range(1, len(tape) + 1) if tape.instruction(i)[0] == "capture"})


def damped(u, steps=40):
    for k in range(steps):
        u = (1.0 - 0.1 * SPONGE) * u + (k % 2) * np.cos(SPONGE)
    return np.sum(u * u)


def test_equal_arrays_that_nobody_else_holds_are_one():
    u = np.random.default_rng(0).normal(size=N)
    tape = ad.record(damped, u)
    assert held(tape) <= 4                                   # the last of each may still be on its way
    np.testing.assert_allclose(tape(u), damped(u), rtol=1e-12)
    g, step = ad.grad(damped)(u), 1e-2 * np.cos(np.arange(N))
    np.testing.assert_allclose(damped(u + step) - damped(u - step), 2 * g @ step, rtol=1e-7)


def test_arrays_that_somebody_holds_stay_their_own():
    made = []

    def f(u):
        for _ in range(20):
            made.append(np.cos(SPONGE))
            u = made[-1] * u
        return np.sum(u)
    tape = ad.record(f, np.ones(N))
    assert held(tape) == 20
    first = tape(np.ones(N))
    made[3][:] *= 2.0                                        # each is bound by reference, as before
    assert tape(np.ones(N)) != first


def test_a_view_of_an_array_that_changes_is_not_taken_for_a_temporary():
    field = np.ones((40, N))

    def f(u):
        for k in range(40):
            u = field[k] * u
        return np.sum(u)
    tape = ad.record(f, np.ones(N))
    field[7] = 3.0
    assert tape(np.ones(N)) == 3.0 * N


def test_arrays_that_differ_stay_different():
    def f(u):
        for k in range(30):
            u = u + np.cos(SPONGE + k % 20 / 10.0)
        return np.sum(u * u)
    u = np.random.default_rng(0).normal(size=N)
    tape = ad.record(f, u)
    np.testing.assert_allclose(tape(u), f(u), rtol=1e-12)
    assert 20 <= held(tape) <= 30
