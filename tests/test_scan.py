"""`scan`: the loop that is stored once means what the Python loop means, in value and in every derivative.

The witness is the same body in a Python loop, recorded step by step.
"""
import numpy as np
import pytest

import fastad as ad
from fastad import trees


def loop(step, state, xs=None, length=None, reverse=False):
    """What scan means, as a Python loop over plain or traced values."""
    leaves, tree = trees.flatten(xs)
    n = length if not leaves else len(leaves[0])
    ys = [None] * n
    for t in reversed(range(n)) if reverse else range(n):
        state, ys[t] = step(state, trees.unflatten(tree, [x[t] for x in leaves]))
    leaves = [trees.flatten(y)[0] for y in ys]
    return state, trees.unflatten(trees.flatten(ys[0])[1], [np.stack(column) for column in zip(*leaves, strict=True)])


# ---- random bodies ---------------------------------------------------------------------------------------------------

UNARY = (np.sin, np.tanh, lambda v: v * v, lambda v: np.exp(-v * v), lambda v: np.abs(v), lambda v: 0.5 * v,
         lambda v: v[::-1] if np.ndim(v) else v, lambda v: np.where(v > 0.1, v, 0.3 * v), lambda v: np.cumsum(v) / 3,
         lambda v: np.roll(v, 1) if np.ndim(v) else v, lambda v: np.sort(v) if np.ndim(v) else v)
BINARY = (np.add, np.subtract, np.multiply, np.maximum, np.hypot, lambda u, v: u / (2.0 + v * v))


def random_body(seed):
    """(f of a scan function, point): a random loop over a vector, a matrix, a number and a counter."""
    rng = np.random.default_rng(seed)
    plan = [(rng.integers(2), rng.integers(len(UNARY)), rng.integers(len(BINARY)), *rng.integers(0, 100, 2))
            for _ in range(rng.integers(2, 8))]
    keep = rng.integers(0, 100, 3)
    n, length, reverse = 4, int(rng.integers(1, 6)), bool(rng.integers(2))
    table, forcing = rng.normal(size=(length, n)), rng.normal(size=(length,))
    weights = rng.normal(size=(3, 4))

    def f(run, p):
        gain = p[4:]

        def step(state, x):
            u, m, s, count = state
            row, drive, extra = x
            pool = [u, s, row * gain, drive, np.take(np.asarray(weights), count % 3, axis=0), m[0], m @ u, extra * 2.0]
            for binary, i, j, a, b in plan:
                v = pool[a % len(pool)]
                pool.append(BINARY[j](v, pool[b % len(pool)]) if binary else UNARY[i](np.atleast_1d(v)))
            vectors = [v for v in pool if np.shape(v) == (n,)]
            u2 = np.tanh(vectors[keep[0] % len(vectors)])
            m2 = m.copy()
            m2[1:] = m[:-1]
            m2[0] = vectors[keep[1] % len(vectors)] * 0.5
            s2 = np.sin(np.sum(pool[keep[2] % len(pool)]) + s)
            return (u2, m2, s2, count + 1), {"u": u, "s": s2, "count": count, "up": s2 > 0}
        start = (p[:4], np.outer(p[:4], p[4:]), p[0] * 2.0, 0)
        (u, m, s, count), ys = run(step, start, (table, forcing, np.outer(np.arange(1.0, length + 1), p[:4])),
                                   reverse=reverse)
        return (np.sum(u * gain) + np.sum(m * m) + s + np.sum(np.where(ys["up"], ys["s"], -ys["s"]))
                + np.sum(ys["u"][:, 1] * ys["count"]) + count)
    return f, rng.normal(size=8)


@pytest.mark.parametrize("seed", range(40))
def test_random_bodies_agree_with_the_python_loop(seed):
    f, p = random_body(seed)
    for point in (p, p + 0.3):
        want, slope = ad.value_and_grad(lambda q: f(loop, q))(point)
        assert f(ad.scan, point) == pytest.approx(f(loop, point), rel=1e-13)      # plain values
        got, gradient = ad.value_and_grad(lambda q: f(ad.scan, q))(point)
        assert got == pytest.approx(want, rel=1e-13)
        np.testing.assert_allclose(gradient, slope, rtol=1e-10, atol=1e-12)
    tape = ad.record(lambda q: f(ad.scan, q), p)
    for point in (p + 0.1, p - 0.2):                                              # replayed elsewhere; both tiers
        want, slope = ad.value_and_grad(lambda q: f(loop, q))(point)
        zero = tape(point)
        np.testing.assert_allclose(tape.gradient(point), slope, rtol=1e-10, atol=1e-12)
        tape.compile()
        assert tape(point) == zero == pytest.approx(want, rel=1e-13)
        np.testing.assert_allclose(tape.gradient(point), slope, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("seed", range(0, 40, 4))
def test_second_derivatives_and_tangents_of_random_bodies(seed):
    f, p = random_body(seed)
    v = np.linspace(-1.0, 1.0, 8)

    def scanned(q):
        return f(ad.scan, q)

    def looped(q):
        return f(loop, q)
    np.testing.assert_allclose(ad.jvp(scanned, (p,), (v,))[1], ad.jvp(looped, (p,), (v,))[1], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(ad.hessian(scanned)(p), ad.hessian(looped)(p), rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(ad.hvp(scanned)(p, v), ad.hvp(looped)(p, v), rtol=1e-8, atol=1e-9)
    inner = ad.grad(scanned)                                      # reverse over reverse
    np.testing.assert_allclose(ad.grad(lambda q: np.sum(inner(q) * v))(p), ad.hvp(looped)(p, v), rtol=1e-8, atol=1e-9)


# ---- meaning ---------------------------------------------------------------------------------------------------------

def lotka_volterra(run):
    def f(p):
        def step(state, _):
            x, y, loss = state
            dx, dy = p[0] * x - p[1] * x * y, p[2] * x * y - p[3] * y
            x, y = x + 0.01 * dx, y + 0.01 * dy
            return (x, y, loss + x * x), None
        return run(step, (p[4], p[5], 0.0), length=300)[0][2]
    return f


def test_a_loop_of_numbers():
    p = np.array([1.1, 0.4, 0.1, 0.4, 10.0, 5.0])
    want = ad.grad(lotka_volterra(loop))(p)
    np.testing.assert_allclose(ad.grad(lotka_volterra(ad.scan))(p), want, rtol=1e-12)
    assert ad.check_derivatives(lotka_volterra(ad.scan), p)
    tape = ad.record(lotka_volterra(ad.scan), p)
    assert len(tape) < 20                                         # whatever the length


def wave(run, n=24, steps=40):
    pulse = np.exp(-np.linspace(-3.0, 3.0, steps)**2)

    def f(speed):
        c2 = 0.1 * speed**2

        def step(state, w):
            u0, u1 = state
            lap = u1[:-2, 1:-1] + u1[2:, 1:-1] + u1[1:-1, :-2] + u1[1:-1, 2:] - 4 * u1[1:-1, 1:-1]
            u2 = np.zeros((n, n))
            u2[1:-1, 1:-1] = 2 * u1[1:-1, 1:-1] - u0[1:-1, 1:-1] + c2[1:-1, 1:-1] * lap
            u2[3, n // 2] += w
            return (u1, u2), u2[3]
        traces = run(step, (np.zeros((n, n)), np.zeros((n, n))), pulse)[1]
        return np.sum(traces**2)
    return f


def test_a_wave_in_place_stores_one_field_a_step():
    rng = np.random.default_rng(0)
    speed = 1.0 + 0.1 * rng.random((24, 24))
    np.testing.assert_allclose(ad.grad(wave(ad.scan))(speed), ad.grad(wave(loop))(speed), rtol=1e-10, atol=1e-13)
    tape = ad.record(wave(ad.scan), speed)
    tape.compile()
    stored = tape.derived["gradient program"].stats()["arena_bytes"]
    assert stored < 40 * 24 * 24 * 8 * 1.5 + 30 * 24 * 24 * 8     # the state has two fields; the adjoint reads one


def test_nested_loops():
    def f(run):
        def outer(s, row):
            def inner(v, x):
                return v * np.cos(x * s), v
            v, path = run(inner, s, row)
            return v + np.sum(path), v
        return lambda q: run(outer, q[0], np.outer(q, q))[0]
    q = np.array([0.7, -0.4, 1.1])
    np.testing.assert_allclose(ad.grad(f(ad.scan))(q), ad.grad(f(loop))(q), rtol=1e-12)
    np.testing.assert_allclose(ad.hessian(f(ad.scan))(q), ad.hessian(f(loop))(q), rtol=1e-10)


def test_what_the_body_captures_is_read_again():
    table = np.array([1.0, 2.0])

    def f(x):
        return ad.scan(lambda s, row: (s * x + np.sum(table), None), 0.0, length=3)[0]
    g = ad.value_and_grad(f)
    assert g(2.0)[0] == 21.0
    table[0] = 4.0
    assert g(2.0)[0] == 42.0


def test_the_gradient_goes_to_state_slices_and_surroundings():
    def f(start, xs, gain):
        def step(s, x):
            return s * gain + x["a"] * x["b"], s
        end, path = ad.scan(step, start, xs)
        return np.sum(end) + np.sum(path**2)

    def g(start, xs, gain):
        def step(s, x):
            return s * gain + x["a"] * x["b"], s
        end, path = loop(step, start, xs)
        return np.sum(end) + np.sum(path**2)
    rng = np.random.default_rng(1)
    args = rng.normal(size=2), {"a": rng.normal(size=(4, 2)), "b": rng.normal(size=4)}, rng.normal(size=2)
    got, want = (ad.grad(h, argnums=(0, 1, 2))(*args) for h in (f, g))
    for a, b in zip(trees.flatten(got)[0], trees.flatten(want)[0], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_a_jacobian_of_stacked_results():
    def f(run):
        return lambda q: run(lambda s, x: (np.sin(s + x), s * s), q, np.arange(3.0))[1]
    q = np.array([0.1, 0.2])
    for mode in ("forward", "reverse", "auto"):
        np.testing.assert_allclose(ad.jacobian(f(ad.scan), mode=mode)(q), ad.jacobian(f(loop))(q), rtol=1e-12)


def test_define_by_run():
    x = ad.variable(2.0)
    y = ad.scan(lambda s, _: (s * x, None), 1.0, length=3)[0]
    y.backward()
    assert x.grad == 12.0


def test_integers_and_bools_of_the_state():
    def f(x):
        def step(state, _):
            count, flag, s = state
            return (count + 2, s > 1.0, s * x), (count, flag)
        (count, flag, s), (counts, flags) = ad.scan(step, (1, False, 1.0), length=4)
        assert counts.dtype == np.int64 and flags.dtype == bool
        assert ad.peek(count) == 9 and ad.peek(counts).tolist() == [1, 3, 5, 7]
        return s + counts[2] * np.sum(flags)
    assert ad.grad(f)(1.5) == pytest.approx(4 * 1.5**3)
    assert f(1.5) == pytest.approx(1.5**4 + 5 * 2)
    assert ad.record(f, 1.5)(1.2) == pytest.approx(1.2**4 + 5 * 2)


def test_an_integer_that_float64_does_not_hold():
    def f(x):
        return x * ad.scan(lambda s, _: (s * 3 + 1, None), np.int64(2**50), length=4)[0]
    with pytest.raises(ad.UnsupportedError, match="float64 holds exactly"):
        ad.grad(f)(1.0)


def test_no_step():
    def f(x):
        s, ys = ad.scan(lambda s, v: (s * v, np.stack([s, s])), x, np.zeros(0))
        assert ys.shape == (0, 2)
        return s
    assert ad.grad(f)(3.0) == 1.0
    assert f(3.0) == 3.0


def test_the_state_must_keep_its_form():
    def run(step, state):
        def f(x):
            return ad.scan(step, state, length=2)[0] * x
        for g in (f, ad.grad(f)):
            with pytest.raises(ad.ShapeError) as error:
                g(1.0)
        return str(error.value)
    assert "shape (3,) before the step and (2,) after" in run(lambda s, _: (s[1:], None), np.zeros(3))
    assert "dtype int64 before the step and float64 after" in run(lambda s, _: (s * 0.5, None), np.arange(3))
    assert "structure" in run(lambda s, _: ((s, s), None), 1.0)
    assert "(new state, y)" in run(lambda s, _: s, 1.0)
    with pytest.raises(ad.ShapeError, match="give xs or length"):
        ad.scan(lambda s, _: (s, None), 1.0)
    with pytest.raises(ad.ShapeError, match=r"\[2, 3\]; they must agree"):
        ad.scan(lambda s, _: (s, None), 1.0, np.zeros(3), length=2)
    with pytest.raises(ad.UnsupportedError, match="complex|str"):
        ad.scan(lambda s, _: (s, None), "text", length=2)


def test_a_branch_that_flips_within_the_loop_is_refused():
    def f(x):
        return ad.scan(lambda s, _: (s * 2 if s < 3 else s + 1, None), x, length=4)[0]
    assert f(1.0) == 6.0
    with pytest.raises(ad.UnsupportedError, match=r"another way in a later step.*np\.where"):
        ad.grad(f)(1.0)


def test_an_array_indexed_by_a_counter():
    weights = np.arange(3.0)

    def f(x, row):
        def step(state, _):
            count, s = state
            return (count + 1, s * x + row(count)), None
        return ad.scan(step, (0, 1.0), length=3)[0][1]
    assert ad.grad(f)(2.0, lambda k: np.take(np.asarray(weights), k, axis=0)) == 3 * 2.0**2 + 1.0
    with pytest.raises(ad.UnsupportedError, match=r"np\.take\(np\.asarray\(array\), k, axis=0\)"):
        ad.grad(f)(2.0, lambda k: weights[k])


def test_a_branch_that_flips_between_calls_records_again():
    def f(x):
        return ad.scan(lambda s, _: (s * x if x > 0 else s - x, None), x, length=3)[0]
    g = ad.grad(f)
    assert g(2.0) == 4 * 2.0**3 and g(-2.0) == -2.0
    assert g.stats().recordings == 2


def test_floating_point_warnings_come_out():
    tape = ad.record(lambda x: ad.scan(lambda s, v: (s / v, None), x, np.array([1.0, 2.0]))[0], 1.0)
    assert tape(4.0) == 2.0

    def f(x, xs):
        return ad.scan(lambda s, v: (s / v, None), x, xs)[0]
    tape = ad.record(f, 1.0, np.array([1.0, 2.0]))
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        assert tape(4.0, np.array([0.0, 2.0])) == np.inf


def test_an_index_out_of_bounds_in_a_later_step():
    table = np.arange(3.0)
    with pytest.raises((IndexError, ad.AdError)):
        ad.grad(lambda x: ad.scan(lambda s, k: (s * x + table[k], None), x, np.array([0, 1, 5]))[0])(1.0)


def test_primitives_in_the_body():
    cube = ad.primitive(lambda v: v**3, vjp=lambda w, y, v: (3 * w * v**2,))
    g = ad.grad(lambda x: ad.scan(lambda s, _: (cube(s) * x, None), x, length=2)[0])
    assert g(1.1) == pytest.approx(13 * 1.1**12)                  # ((x^4)^3) x
    broken = ad.primitive(lambda v: v + 1 // int(v < 2), vjp=lambda w, y, v: (w,))
    with pytest.raises(ZeroDivisionError):
        ad.grad(lambda x: ad.scan(lambda s, _: (broken(s) + x, None), x, length=4)[0])(1.0)


def test_threads_share_a_tape():
    from concurrent.futures import ThreadPoolExecutor
    tape = ad.record(wave(ad.scan), np.ones((24, 24)))
    tape.compile()
    points = [np.full((24, 24), 1.0 + 0.01 * k) for k in range(16)]
    want = [tape.gradient(x) for x in points]
    with ThreadPoolExecutor(4) as pool:
        for a, b in zip(pool.map(tape.gradient, points), want, strict=True):
            np.testing.assert_array_equal(a, b)


# ---- loops and branches that depend on values -----------------------------------------------------------------------

def newton(run, a):
    """sqrt(a) by a while loop; `run` has the meaning of while_loop."""
    return run(lambda s: abs(s[0] * s[0] - a) > 1e-12 * a, lambda s: (0.5 * (s[0] + a / s[0]), s[1] + 1), (a, 0))


def python_while(cond, body, state):
    while cond(state):
        state = body(state)
    return state


@pytest.mark.parametrize("a", [1.0, 2.0, 9.0, 1e4])
def test_a_while_loop_of_as_many_steps_as_it_takes(a):
    root, steps = newton(ad.while_loop, a)
    want, count = newton(python_while, a)
    assert (root, steps) == (want, count)
    f = ad.value_and_grad(lambda a: newton(ad.while_loop, a)[0])
    g = ad.value_and_grad(lambda a: newton(python_while, a)[0])
    np.testing.assert_allclose(f(a), g(a), rtol=1e-13)
    np.testing.assert_allclose(f(1.1 * a), g(1.1 * a), rtol=1e-13)     # perhaps another number of steps
    h = ad.hessian(lambda a: newton(ad.while_loop, a)[0])
    assert h(a) == pytest.approx(ad.hessian(lambda a: newton(python_while, a)[0])(a), rel=1e-10)


def test_the_number_of_steps_is_a_guard():
    tape = ad.record(lambda a: newton(ad.while_loop, a)[0], 2.0)
    assert len(tape) < 30 and tape(2.001) == pytest.approx(np.sqrt(2.001))
    with pytest.raises(ad.TapeDivergence):
        tape(1e6)
    g = ad.grad(lambda a: newton(ad.while_loop, a)[0])
    for a in (2.0, 1e6, 2.0, 1e6):
        assert g(a) == pytest.approx(0.5 / np.sqrt(a), rel=1e-9)
    assert g.stats().recordings == 2


def test_a_while_loop_closes_over_traced_values_and_arrays():
    table = np.array([1.0, 0.5])

    def f(run):
        return lambda x: np.sum(run(lambda v: np.sum(v * v) > 0.1, lambda v: v * x * table, np.array([3.0, 4.0]) * x))
    x = np.array([0.4, 0.9])
    np.testing.assert_allclose(ad.grad(f(ad.while_loop))(x), ad.grad(f(python_while))(x), rtol=1e-12)


def test_cond_selects():
    def f(x):
        return ad.cond(x > 0, lambda v: np.log(v) * 2.0, lambda v: v * v, x)
    g = ad.value_and_grad(f)
    with np.errstate(all="ignore"):
        assert g(2.0) == (np.log(2.0) * 2, 1.0) and g(-3.0) == (9.0, -6.0) and g(0.0) == (0.0, 0.0)
    assert g.stats().recordings == 1
    assert f(2.0) == np.log(2.0) * 2                              # plain: one side only

    def collatz(x):                                               # a branch that flips within a scan
        def step(s, _):
            return ad.cond(s > 3.0, lambda s: s * 0.5, lambda s: s * s * 1.2, s), None
        return ad.scan(step, x, length=8)[0]

    def plain(x):
        for _ in range(8):
            x = x * 0.5 if x > 3.0 else x * x * 1.2
        return x
    assert ad.grad(collatz)(2.5) == pytest.approx(ad.grad(plain)(2.5), rel=1e-12)
    with pytest.raises(ad.ShapeError, match="one bool"):
        ad.grad(lambda x: np.sum(ad.cond(x > 0, lambda: x, lambda: x)))(np.ones(2))
    with pytest.raises(ad.ShapeError, match="shapes"):
        ad.grad(lambda x: np.sum(ad.cond(x[0] > 0, lambda: x, lambda: x[0])))(np.ones(2))


@pytest.mark.parametrize("shape", [(60,), (6, 12), (3, 4)])
@pytest.mark.parametrize("back", [(), (slice(None, None, -1),)])
def test_a_kept_state_that_takes_another_name_is_not_written_over(shape, back):
    """b is kept for the adjoint, and its array is then a, into which the next step writes: which was kept."""
    inner = tuple(slice(1, -1) for _ in shape)

    def f(p, scan, steps):
        def step(s, _):
            a, b = s
            a[inner] += b[inner] * 0.3
            return (b, a[back]), np.sum(b * b)
        state, ys = scan(step, (p * 0.5, p * 0.6), None, steps)
        return sum(np.sum(u * u) for u in state) + np.sum(np.sin(ys))

    def loop(step, state, _, steps):
        ys = []
        for _ in range(steps):
            state, y = step(tuple(u.copy() for u in state), None)
            ys.append(y)
        return state, np.array(ys)
    p = np.random.default_rng(1).normal(size=shape)
    for steps in (1, 2, 3, 7):
        want = ad.grad(f)(p, loop, steps)
        np.testing.assert_allclose(ad.grad(f)(p, ad.scan, steps), want, rtol=1e-12, atol=1e-13)
        whole = ad.grad(f, memory="1GB")(p, ad.scan, steps)
        np.testing.assert_allclose(whole, want, rtol=1e-12, atol=1e-13)
        for memory in (4000, 8000, 16000):
            try:
                assert np.array_equal(ad.grad(f, memory=memory)(p, ad.scan, steps), whole)
            except ad.BudgetError:
                pass
