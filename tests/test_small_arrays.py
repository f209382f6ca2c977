"""Arrays of a few elements run as numbers: in compiled tapes, and in the bodies of loops.

The witnesses: the same tape with its arrays left whole, for bits; the loop in Python, for values; complex steps and the
same body on numbers with names of their own, for derivatives.
"""
import warnings
from functools import partial

import numpy as np
import pytest

import fastad as ad
from fastad import _passes, small_loops, tapes
from fastad import _tape as T
from fastad._program import Program
from fastad._transform import jvp, vjp
from tests.random_tapes import normal_like, random_tape
from tests.test_scan import loop

ALL = -np.inf                            # split whatever can be split


def bits(values):
    return [np.asarray(v).tobytes() for v in values]


@pytest.fixture
def whole(monkeypatch):
    """A function that runs another one with arrays left whole."""
    def run(f, *args):
        with monkeypatch.context() as m:
            m.setattr(_passes, "split", lambda tape, *rest, **more: tape)
            m.setattr(_passes, "splits", lambda tape: ([False] * len(tape.inputs), [False] * len(tape.outputs)))
            return f(*args)
    return run


# ---- tapes -----------------------------------------------------------------------------------------------------------

def result(tape, values):
    try:
        return bits(tape.sweep(values))
    except ad.FastadError as error:
        return type(error)


@pytest.mark.parametrize("first", range(0, 120, 20))
def test_values_of_random_tapes_keep_their_bits(first):
    """Primal or derivative code: an instruction on arrays is the same one on their elements."""
    done = 0
    for seed in range(first, first + 20):
        rng = np.random.default_rng(seed)
        t, x = random_tape(rng, length=int(rng.integers(3, 30)))
        s, elsewhere = _passes.split(t, least=ALL), [np.asarray(1.01 * v)[()] for v in x]
        done += s is not t
        assert bits(s.sweep(x)) == bits(t.sweep(x)), seed
        for tape in (s, _passes.split(t)):
            assert result(tape, elsewhere) == result(t, elsewhere), seed
        w, dx = normal_like(rng, t.sweep(x)), normal_like(rng, [v for v, a in zip(x, t.input_active, strict=True) if a])
        for transform, more in ((vjp, w), (jvp, dx)):
            plain = transform(t)
            assert bits(_passes.split(plain, least=ALL).sweep(x + more)) == bits(plain.sweep(x + more)), seed
            for a, b in zip(transform(s).sweep(x + more), plain.sweep(x + more), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
    assert done == 20


def test_split_leaves_its_argument_alone_and_splits_no_more_the_second_time():
    for seed in range(20):
        t, x = random_tape(np.random.default_rng(seed), length=20)
        before, out = str(t), bits(t.sweep(x))
        once = _passes.split(t, least=ALL)
        assert str(t) == before and bits(t.sweep(x)) == out
        again = _passes.split(once, least=ALL)
        assert len(_passes.dead(_passes.cse(again))) <= len(_passes.dead(_passes.cse(once)))


SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, -np.nan, 5e-324, 1e308, 0.5, -3.7, 30.0, 1e5])


@pytest.mark.parametrize("row", [row for row in T.ROWS.values() if "f" in row.dtypes and not row.foreign],
                         ids=lambda row: row.name)
def test_rows_have_the_same_bits_on_numbers(row):
    """What NumPy's loop gives for a few elements side by side, it gives for each by itself: NaN and zeros included."""
    rng = np.random.default_rng(row.arity)
    dtype = 2 if row.result == "bool" else 0
    for n in (1, 3, 8, 16):
        for pool in (SPECIAL, rng.normal(size=50), 10.0 ** rng.uniform(-6, 6, 50), rng.uniform(-1, 1, 50)):
            t = T.Tape()
            ids = [t.emit_input(T.aval(2 if row.name == "where" and k == 0 else 0, (n,))) for k in range(row.arity)]
            t.set_outputs([t.emit(row.name, ids, T.aval(dtype, (n,)))])
            x = [rng.choice(pool, n) for _ in ids]
            if row.name == "where":
                x[0] = x[0] > 0.3
            s = _passes.split(t.finish(), least=ALL)
            with np.errstate(all="ignore"):
                assert bits(s.sweep(x)) == bits(t.sweep(x)), (n, x)


@pytest.mark.parametrize("shape", [*((n,) for n in range(1, 17)), (2, 3), (3, 2), (2, 8), (8, 2), (9, 1), (4, 4),
                                   (2, 2, 2)])
def test_sums_are_added_up_in_the_order_of_the_kernel(shape):
    rng = np.random.default_rng(len(shape))

    def f(x):
        y = x * 1.5
        return [np.sum(y), np.cumsum(y), *(np.sum(y, axis=k) for k in range(len(shape)))]
    tape = ad.record(f, np.ones(shape))
    for _ in range(20):
        x = rng.normal(size=shape) * 10.0 ** rng.integers(-8, 8, size=shape)
        s = _passes.split(tape, least=ALL)
        assert bits(s.sweep([x])) == bits(tape.sweep([x])) == bits(Program(tape).run([x]))


# ---- unrolled loops --------------------------------------------------------------------------------------------------

def lotka_volterra(p, steps, h=0.01):
    a, b, c, d = p[0], p[1], p[2], p[3]

    def rate(s):
        return np.array([(a - b * s[1]) * s[0], (d * s[0] - c) * s[1]])
    s = np.array([p[4], p[5]])
    for _ in range(steps):
        k1 = rate(s)
        k2 = rate(s + 0.5 * h * k1)
        k3 = rate(s + 0.5 * h * k2)
        s = s + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + rate(s + h * k3))
    return s[0] * s[0] + s[1]


def test_an_unrolled_state_vector_is_one_run_of_numbers(whole):
    p, f = np.array([1.1, 0.4, 0.4, 0.1, 10.0, 5.0]), partial(lotka_volterra, steps=30)
    tape, left = ad.record(f, p), whole(Program, ad.record(f, p))
    assert left.stats()["loops"] + left.stats()["runs"] > 30
    want = left.run([p])
    tape.compile()
    for program in (tape.program, tape.derived["gradient program"]):
        stats = program.stats()
        assert stats["loops"] == 0 and stats["runs"] <= 2 and stats["arena_bytes"] <= 64, stats
    assert bits(tape.program.run([p])) == bits(want) == bits(tape.sweep([p]))
    step = [f(p + 1e-200j * e).imag / 1e-200 for e in np.eye(6)]
    np.testing.assert_allclose(tape.gradient(p), step, rtol=1e-12)
    np.testing.assert_allclose(ad.hessian(f)(p), whole(ad.hessian(f), p), rtol=1e-9)


def random_program(seed):
    """(f of a loop function, point): a loop over a vector, a matrix, an array of one element, a number, whole numbers
    and truth values, with slices; analytic, but for what chooses."""
    rng = np.random.default_rng(seed)
    forcing, gates = rng.normal(size=(5, 3)), rng.normal(size=(5, 2, 2)) > 0
    weights, table = rng.normal(size=(2, 2)), rng.normal(size=3).astype(np.float32 if seed % 3 == 0 else float)
    moves = [lambda v: v[::-1], lambda v: np.roll(v, 1, axis=0), lambda v: v * 0.5, lambda v: np.sin(v),
             lambda v: v - np.sum(v, axis=0) / 4.0, lambda v: np.cumsum(v, axis=0) / 3.0, lambda v: np.exp(-v * v),
             lambda v: np.concatenate([v[1:], v[:1]]), lambda v: np.stack([v[k] for k in range(len(v))][::-1]),
             lambda v: np.where(gates[0].ravel()[:len(v)].reshape(-1, *[1] * (v.ndim - 1)), v, v * v),
             lambda v: v / (2.0 + v * v), lambda v: np.tanh(v) + np.mean(v)]
    plan = rng.integers(0, len(moves), size=(int(rng.integers(2, 6)), 2))
    mixed, reverse = rng.integers(0, 4, size=3), bool(rng.integers(2))

    def f(run, p):
        def step(state, x):
            v, m, one, number, count, odd = state["v"], state["m"], state["one"], *state["rest"]
            w, gate = x
            v = v + 0.1 * w * p[:3] + table
            for k, j in plan:
                v, m = 0.5 * v + 0.4 * moves[k](v), 0.5 * m + 0.3 * moves[j](m)
            if mixed[0] == 0:
                v[1] = one[0] * number
            elif mixed[0] == 1:
                m[0, :] += v[:2]
            m = np.where(gate, m, 0.5 * m.T) + 0.05 * weights * number
            if mixed[1] == 0:
                m = np.tanh(m @ weights) + 0.1 * v[:2] @ m
            one = 0.5 * one + 0.1 * v.sum() if mixed[1] == 1 else one * 0.9 + m[1, 1:] * 0.1
            number = 0.5 * number + 0.1 * (v[0] * m[0, 1] + one[0])
            count = count + np.array([1, 2])
            odd = ~odd & (np.arange(3) < 2)
            y = {"v": v, "m": m.ravel()[1:3], "n": number, "odd": odd, "count": count}
            if mixed[2] == 0:
                y["picked"] = np.where(odd, v, 0.0)
            return {"v": v, "m": m, "one": one, "rest": (number, count, odd)}, y
        start = {"v": p[:3] * p[3], "m": np.array([[p[0], p[1]], [1.0, p[3]]]), "one": p[3:4],
                 "rest": (p[2] + 1.0, np.array([0, 3]), np.array([True, False, True]))}
        end, ys = run(step, start, (forcing, gates), reverse=reverse)
        total = np.sum(ys["v"] ** 2) + np.sum(ys["m"] * ys["m"]) + ys["n"][2] + np.sum(ys["count"]) * p[0]
        return total + np.sum(end["m"]) * end["one"][0] + end["v"][2] + np.sum(ys.get("picked", 0.0))
    return f, np.array([0.6, -0.4, 0.8, 1.3])


def complex_step(f, p):
    return np.array([f(loop, p + 1e-200j * e).imag / 1e-200 for e in np.eye(len(p))])


@pytest.mark.parametrize("seed", range(16))
def test_random_programs(seed, whole):
    f, p = random_program(seed)
    directions = np.random.default_rng(seed).normal(size=4)
    for run in (ad.scan, loop):
        def g(q, run=run):
            return f(run, q)
        tape, left = ad.record(g, p), whole(ad.record, g, p)
        for point in (p, p * 1.1):
            value = f(loop, point)
            np.testing.assert_allclose(tape(point), value, rtol=1e-12)
            assert tape(point) == left(point) == Program(tape).run([point])[0] == whole(Program, left).run([point])[0]
            np.testing.assert_allclose(tape.gradient(point), complex_step(f, point), rtol=1e-9, atol=1e-10)
            np.testing.assert_allclose(tapes.value_and_gradient_program(tape).run([point])[1], complex_step(f, point),
                                       rtol=1e-9, atol=1e-10)
            np.testing.assert_allclose(ad.jvp(g, (point,), (directions,))[1], complex_step(f, point) @ directions,
                                       rtol=1e-9, atol=1e-10)
        second = ad.hvp(g)
        for _ in range(3):                               # both tiers
            np.testing.assert_allclose(second(p, directions), whole(ad.hvp(g), p, directions), rtol=1e-8, atol=1e-9)


# ---- loops -----------------------------------------------------------------------------------------------------------

def lorenz(run, p, steps=200, h=1e-3):
    def rate(s):
        return np.array([p[0] * (s[1] - s[0]), s[0] * (p[1] - s[2]) - s[1], s[0] * s[1] - p[2] * s[2]])

    def step(s, _):
        k1 = rate(s)
        k2 = rate(s + h / 2 * k1)
        k3 = rate(s + h / 2 * k2)
        s = s + h / 6 * (k1 + 2 * k2 + 2 * k3 + rate(s + h * k3))
        return s, s[:2]
    s, path = run(step, np.array([1.0, 1.0, p[1] - 8.0]), length=steps)
    return np.sum(s * s) + np.sum(path[:, 1])


POINT = np.array([10.0, 28.0, 8.0 / 3.0])


def pieces(program):
    """Steps at once of its loops."""
    return [attr.steps_at_once() for attr in program.tape.attr_list if hasattr(attr, "steps_at_once")]


def test_a_state_vector_runs_as_fast_as_numbers():
    """Every loop of the gradient, and of its tangent, is a loop over numbers alone."""
    tape = ad.record(lambda p: lorenz(ad.scan, p), POINT)
    there, back = pieces(tapes.value_and_gradient_program(tape))
    assert there > 1 and back > 1
    assert all(n > 1 for n in pieces(Program(tapes.jvp_tape(tapes.gradient_tape(tape)))))
    np.testing.assert_allclose(tape.gradient(POINT), [lorenz(loop, POINT + 1e-200j * e).imag / 1e-200
                                                      for e in np.eye(3)], rtol=1e-10)


def test_a_large_array_beside_a_small_one_stays_whole():
    """Of a body that mixes both, the small part may be numbers."""
    def f(p):
        def step(state, _):
            u, s = state
            s = np.array([s[0] + 0.1 * s[1], s[1] - 0.1 * s[0] * p[0]])
            return (0.9 * u + s[0], s), s
        (u, s), path = ad.scan(step, (np.zeros(100), p[:2]), length=20)
        return np.sum(u) + np.sum(s) + np.sum(path * path)
    tape = ad.record(f, np.array([0.5, 1.5]))
    scan = next(attr for attr in tape.attr_list if hasattr(attr, "steps_at_once"))
    shapes = [T.aval_of(scan.body.instruction(i)[2])[1] for i in scan.body.inputs[:scan.ncarry]]
    assert shapes == [(100,), (), ()] and scan.steps_at_once() == 0
    assert ad.check_derivatives(f, np.array([0.5, 1.5]))


def spinning(n, adjoint=False):
    """A loop whose state is multiplied by a matrix in each step, and its point."""
    matrix = 0.9 * np.eye(n) + 0.1 * np.eye(n, k=1) - 0.1 * np.eye(n, k=-1)

    def f(p):
        def step(s, _):
            s = (s @ matrix if adjoint else matrix @ s) / (1.0 + 0.01 * s @ s)
            return s, s[0]
        s, ys = ad.scan(step, p, length=12)
        return s @ s + np.sum(ys)
    return f, np.arange(1.0, n + 1.0)


@pytest.mark.parametrize("adjoint", [False, True])
@pytest.mark.parametrize("n", [3, 5])
def test_small_products_are_numbers_and_others_keep_their_arrays(n, adjoint, whole):
    f, p = spinning(n, adjoint)
    tape = ad.record(f, p)
    assert tape(p) == whole(ad.record, f, p)(p)
    scan = next(attr for attr in tape.attr_list if hasattr(attr, "steps_at_once"))
    assert (scan.steps_at_once() > 1) == (n == 3)            # a matrix of 25 is large
    assert ad.check_derivatives(f, p)


@pytest.mark.parametrize("a, b", [((3,), (3,)), ((2, 2), (2,)), ((3,), (3, 4)), ((3, 3), (3, 3)), ((4, 4), (4, 4)),
                                  ((1, 9), (9, 1)), ((10,), (10,)), ((2, 8), (8, 2)), ((8, 2), (2,)),
                                  ((2, 2, 3), (3, 2)), ((16,), (16, 1))])
def test_small_products_have_the_bits_of_the_kernel(a, b):
    rng = np.random.default_rng(a[-1])

    def f(x, y):
        return [(x + 1.0) @ (y + 1.0), (x.T * 2.0).T @ y, x @ np.asfortranarray(y)]
    tape = ad.record(f, np.ones(a), np.ones(b))
    for scale in (0, 8, 200):
        x, y = (rng.normal(size=s) * 10.0 ** rng.integers(-scale, scale + 1, size=s) for s in (a, b))
        for pair in ([x, y], [np.where(x > 0, x, -0.0), -np.abs(y)]):
            s = _passes.split(tape, least=ALL)
            with np.errstate(all="ignore"):
                assert bits(s.sweep(pair)) == bits(tape.sweep(pair)) == bits(Program(tape).run(pair))
    assert "matmul" not in str(s)


def test_while_loops_and_branches():
    def f(p):
        def body(s):
            return s - 0.3 * np.array([s[0] - p[0], s[1] - p[1] * s[0]])
        s = ad.while_loop(lambda s: np.sum(s * s) > 1.0, body, np.array([1.5, 2.0]))
        return ad.cond(s[0] > 0.0, lambda s: s * p[1], lambda s: s * s, s).sum()
    p = np.array([0.2, 0.7])
    assert ad.check_derivatives(f, p)
    np.testing.assert_allclose(ad.record(f, p)(p), f(p), rtol=1e-13)


@pytest.mark.parametrize("run, steps", [(ad.scan, 1), (ad.scan, 2), (ad.scan, 31), (ad.scan, 200), (loop, 1),
                                        (loop, 40)])
def test_gradients_within_a_budget_have_the_same_bits(run, steps):
    def f(p):
        return lorenz(run, p, steps)
    free = ad.grad(f, memory=10**9)(POINT)
    np.testing.assert_allclose(free, ad.grad(f)(POINT), rtol=1e-12)
    try:
        ad.grad(f, memory=1)(POINT)
    except ad.BudgetError as error:
        tight = error.smallest
    for budget in (tight, 2 * tight, 5 * tight):
        assert ad.grad(f, memory=budget)(POINT).tobytes() == free.tobytes()


def test_a_tape_is_saved_and_batched(tmp_path):
    def f(p):
        return lorenz(ad.scan, p, 10)
    tape = ad.record(f, POINT)
    tape.save(tmp_path / "tape")
    loaded = ad.Tape.load(tmp_path / "tape")
    assert loaded(POINT) == tape(POINT) and loaded.gradient(POINT).tobytes() == tape.gradient(POINT).tobytes()
    assert str(loaded) == str(tape)
    points = POINT * np.linspace(0.9, 1.1, 3)[:, None]
    np.testing.assert_allclose(tape.batch(3)(points), [f(q) for q in points], rtol=1e-12)


def test_a_nan_has_its_step_and_its_line():
    def f(p):
        def step(s, x):
            s = np.array([s[0] + 1.0, s[1] * p[0]])
            return s, np.sqrt(x - s)                             # the line
        return np.sum(ad.scan(step, np.array([0.0, 0.1]), np.full(9, 5.5))[1])
    finding = ad.debug_nonfinite(f, np.array([1.0]))
    assert finding and finding.steps[0][0] == 5
    assert finding.location.endswith(f":{f.__code__.co_firstlineno + 3}") and "sqrt" in finding.operation


def test_floating_point_warnings_are_those_of_the_arrays():
    def f(p):
        def step(s, _):
            return s - 1.0, 1.0 / s
        return np.sum(ad.scan(step, p, length=4)[1])
    tape = ad.record(f, np.array([0.5, 1.5, 2.5]))
    tape.compile()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tape(np.array([0.5, 1.5, 2.5]))
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        tape(np.array([1.0, 1.5, 2.5]))


def test_guards_see_the_same_numbers():
    """A branch on an element of a small array, in a compiled tape."""
    def f(x):
        y = x * x + 1.0
        for _ in range(4):
            y = np.array([y[0] * 0.5, y[1] + y[0]]) if y[0] < 3.0 else np.array([y[0] - 1.0, y[1]])
        return y.sum()
    g = ad.value_and_grad(f)
    for x in (np.array([0.1, 2.0]), np.array([1.9, 2.0]), np.array([3.0, -1.0])):
        for _ in range(3):
            assert g(x)[0] == pytest.approx(f(x), rel=1e-15)
    assert g.stats().recordings == 3


def test_a_loop_is_split_where_that_pays():
    """The parts that a body on numbers has: what each is, and where the arrays lie in its result."""
    def step(s, x):
        return s + x, s * 2.0
    tape = ad.record(lambda p: ad.scan(step, p, np.ones((5, 2, 2))), np.ones((2, 2)))
    scan = next(attr for attr in tape.attr_list if hasattr(attr, "steps_at_once"))
    assert (scan.ncarry, scan.nslice) == (4, 4)
    assert [source[1:] for source in scan.sources] == [(k, 0) for k in range(4)] + [(k, 4) for k in range(4)]
    body = small_loops.split(scan.body, 4, 4, scan.sources)
    assert body.tape is scan.body and body.shapes == [None] * 8
    end, path = tape(np.arange(4.0).reshape(2, 2))
    np.testing.assert_array_equal(end, np.arange(4.0).reshape(2, 2) + 5.0)
    np.testing.assert_array_equal(path[2], 2.0 * np.arange(4.0).reshape(2, 2) + 4.0)
