"""Loops over numbers: steps that run as one straight piece of packed code, and what is kept of them.

The witness is the same body in a Python loop: values have its bits, derivatives agree to rounding.
"""
import numpy as np
import pytest

import fastad as ad
from fastad import tapes
from fastad._program import code_pays
from tests.test_scan import loop


@pytest.fixture(autouse=True)
def code_at_once():
    """Code of the processor from the first call on; elsewhere such short loops run as words."""
    before = code_pays(1)
    yield
    code_pays(before)


LENGTHS = (1, 2, 3, 7, 31, 64, 65, 200)


def pieces(f, x):
    """Steps at once of the loops of a gradient, in their order."""
    program = tapes.program(tapes.gradient_tape(ad.record(f, x)))
    return [attr.steps_at_once() for attr in program.tape.attr_list if hasattr(attr, "steps_at_once")]


def random_numbers(seed, length):
    """(f of a scan function, point): three numbers that mix, swap, stay; slices by number and by row.

    A bool among the results (every fourth) makes the body more than packed numbers.
    """
    rng = np.random.default_rng(seed)
    drive, rows = rng.normal(size=length), rng.normal(size=(length, 3))
    unary = (np.sin, np.tanh, lambda v: v * v, abs, lambda v: 1.0 / (2.0 + v * v), np.sqrt, lambda v: -v)
    plan = [(int(rng.integers(len(unary))), *rng.integers(0, 50, 2)) for _ in range(rng.integers(1, 9))]
    keep, reverse = rng.integers(0, 50, 4), bool(rng.integers(2))

    def f(run, p):
        def step(state, x):
            a, b, c, still = state
            w, row = x
            pool = [a, b, w * p[0], row[1], p[1] * c, row[2] * a]
            for k, i, j in plan:
                u, v = pool[i % len(pool)], pool[j % len(pool)]
                pool.append(unary[k](np.abs(u) + 0.1 if k == 5 else u) + 0.5 * v)
            new = np.where(pool[keep[0] % len(pool)] > 0.0, np.tanh(pool[keep[1] % len(pool)]), 0.3 * b)
            moved = (b, np.sin(pool[keep[2] % len(pool)]), new, still)
            last = pool[keep[3] % len(pool)]
            return moved, {"new": new, "old": a, "w": w, "one": 1.0, "u": new if seed % 4 else last > 0.2}
        (a, b, c, still), ys = run(step, (p[0], p[1] * 2.0, p[2], p[3]), (drive, rows), reverse=reverse)
        return (a * b + c * still + np.sum(ys["new"] * ys["old"]) + np.sum(ys["w"] * ys["new"]) + np.sum(ys["one"])
                + np.sum(np.where(ys["u"] > 0.2, ys["old"], 0.0)))
    return f, rng.normal(size=4)


def length_of(seed):
    return LENGTHS[seed % len(LENGTHS)]


@pytest.mark.parametrize("seed", range(20))
def test_random_bodies_of_numbers(seed):
    f, p = random_numbers(seed, length_of(seed))
    tape, unrolled = ad.record(lambda q: f(ad.scan, q), p), ad.record(lambda q: f(loop, q), p)
    assert length_of(seed) < 4 or pieces(lambda q: f(ad.scan, q), p)[0] > 0 or seed % 4 == 0
    for point in (p, p + 0.2):
        want, slope = unrolled(point), unrolled.gradient(point)
        assert f(ad.scan, point) == f(loop, point)
        for _ in range(2):                                   # both tiers
            assert tape(point) == pytest.approx(want, rel=1e-13)
            np.testing.assert_allclose(tape.gradient(point), slope, rtol=1e-9, atol=1e-11)
            tape.compile()
    v = np.linspace(-1.0, 1.0, 4)
    np.testing.assert_allclose(ad.jvp(lambda q: f(ad.scan, q), (p,), (v,))[1],
                               ad.jvp(lambda q: f(loop, q), (p,), (v,))[1], rtol=1e-9, atol=1e-11)
    if len(unrolled) < 1500:
        want = ad.hvp(lambda q: f(loop, q))(p, v)
        scale = 1e-9 * np.max(np.abs(want)) + 1e-12
        inner = ad.grad(lambda q: f(ad.scan, q))
        np.testing.assert_allclose(ad.hvp(lambda q: f(ad.scan, q))(p, v), want, rtol=1e-7, atol=scale)
        np.testing.assert_allclose(ad.grad(lambda q: np.sum(inner(q) * v))(p), want, rtol=1e-7, atol=scale)


def lorenz(run, length):
    def f(p):
        def step(state, _):
            x, y, z = state
            return (x + 0.01 * p[0] * (y - x), y + 0.01 * (x * (p[1] - z) - y), z + 0.01 * (x * y - p[2] * z)), (x, y)
        (x, y, z), (path, _) = run(step, (1.0, p[1] / 20.0, 20.0), length=length)
        return x * y + z + np.sum(path**2)
    return f


POINT = np.array([10.0, 28.0, 8.0 / 3.0])


@pytest.mark.parametrize("length", LENGTHS)
def test_values_have_the_bits_of_the_python_loop(length):
    tape = ad.record(lorenz(ad.scan, length), POINT).compile()
    for point in (POINT, POINT * 1.01):
        (x, y, z), (path, _) = loop(*body_of(point), length=length)
        assert tape(point) == x * y + z + ad.record(lambda v: np.sum(v**2), path)(path)
    np.testing.assert_allclose(tape.gradient(POINT), ad.grad(lorenz(loop, length))(POINT), rtol=1e-11)


def body_of(p):
    """The step of `lorenz` and its state, on plain numbers."""
    def step(state, _):
        x, y, z = state
        return (x + 0.01 * p[0] * (y - x), y + 0.01 * (x * (p[1] - z) - y), z + 0.01 * (x * y - p[2] * z)), (x, y)
    return step, (1.0, p[1] / 20.0, 20.0)


def test_a_gradient_of_numbers_runs_in_pieces_both_ways():
    """And keeps what makes the way back short: the products of a step are read, not computed again."""
    assert all(steps > 4 for steps in pieces(lorenz(ad.scan, 100), POINT))
    assert pieces(lorenz(ad.scan, 100), POINT) != []
    assert pieces(lambda x: ad.scan(lambda u, _: (np.tanh(u), None), x, length=100)[0].sum(), np.ones(3)) == [0, 0]


def test_a_swap_of_numbers_and_states_that_are_each_other():
    def f(p):
        def step(state, _):
            a, b, c, d = state
            return (b, a, d * p[0], c), (a, a, b)
        (a, b, c, d), (one, same, other) = ad.scan(step, (p[0], p[1], 1.0, p[1]), length=51)
        return a + 10.0 * b + c * d + np.sum(one * np.arange(51.0)) + np.sum(same * other)
    p = np.array([0.9, 1.1])
    odd = np.sum(np.arange(51.0) % 2 * np.arange(51.0))
    even = np.sum(np.arange(51.0)) - odd
    x, y = p
    cd = np.prod([x * y, *[x] * 50])
    assert f(p) == ad.record(f, p).compile()(p) == pytest.approx(y + 10.0 * x + cd + even * x + odd * y + 51 * x * y)
    assert ad.check_derivatives(f, p)


def test_two_loops_one_reads_what_the_other_has_stacked():
    """Slices with other strides, from the middle of an array, backwards."""
    def f(p):
        path = ad.scan(lambda s, _: (0.5 * s + p[0] * np.sin(s), s), p[1], length=90)[1]
        table = np.stack([path, path * p[0], path**2], axis=1)

        def step(state, row):
            return state * 0.9 + row[0] * row[2], state * row[1]
        end, ys = ad.scan(step, p[2], table[10:80], reverse=True)
        return end + np.sum(ys)
    p = np.array([0.7, 1.3, 0.2])
    assert ad.check_derivatives(f, p)
    assert ad.record(f, p).compile()(p) == pytest.approx(f(p), rel=1e-14)


def test_numbers_inside_of_numbers():
    def f(run):
        def of(p):
            def step(s, w):
                inner = run(lambda u, _: (u * p[0] + w, None), s, length=40)[0]
                return 0.5 * s + 1e-3 * inner, None
            return run(step, p[1], np.linspace(0.1, 0.2, 40))[0]
        return of
    p = np.array([0.9, 1.1])
    np.testing.assert_allclose(ad.grad(f(ad.scan))(p), ad.grad(f(loop))(p), rtol=1e-12)
    np.testing.assert_allclose(ad.hvp(f(ad.scan))(p, p), ad.hvp(f(loop))(p, p), rtol=1e-10)


def test_warnings_and_errors_of_later_steps_come_out():
    tape = ad.record(lambda x: ad.scan(lambda s, _: (s * s, None), x, length=60)[0], 0.5).compile()
    with pytest.warns(RuntimeWarning, match="overflow"):
        assert tape(3.0) == np.inf
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        tape(3.0)
    root = ad.record(lambda x: ad.scan(lambda s, _: (np.log(s), None), x, length=40)[0], 1e300)
    with pytest.warns(RuntimeWarning):
        assert np.isnan(root.compile()(2.0))


def test_long_bodies_and_a_counter_take_the_general_way():
    def many(state, _):
        for _ in range(700):
            state = state * 0.999 + 0.001
        return state, None
    assert ad.check_derivatives(lambda x: ad.scan(many, x, length=5)[0], 0.3)

    def counted(x):
        return ad.scan(lambda s, _: ((s[0] * 0.9, s[1] + 1), s[1] * s[0]), (x, 0), length=50)[1].sum()
    assert ad.check_derivatives(counted, 1.5)


def test_float32_numbers():
    x = np.float32(0.7)
    f = lambda x: ad.scan(lambda s, _: (np.sin(s) * np.float32(1.1), s), x, length=70)[1].sum()  # noqa: E731
    got = ad.grad(f)(x)
    assert got.dtype == np.float32
    wide = ad.grad(lambda x: loop(lambda s, _: (np.sin(s) * 1.1, s), x, length=70)[1].sum())(0.7)
    assert got == pytest.approx(wide, rel=1e-3)


def test_a_step_may_return_plain_numbers():
    def f(p):
        (s, fixed), (one, flag) = ad.scan(lambda s, w: ((s[0] * p + w, 2.5), (1.0, True)), (p, p), np.ones(20))
        return s + fixed + np.sum(one) + np.sum(flag)
    assert ad.record(f, 0.5)(0.75) == f(0.75)
    assert ad.check_derivatives(f, 0.5)
