"""test_scan_outside.py - what steps of loops and sides of a cond change outside of the recording.

Owns: arrays of the user's, iterators and counters: never silently those of one run.
Next: test_scan_arrays.py (arrays that the function makes), test_scan_meaning.py (chance).
"""
import collections
import itertools

import numpy as np
import pytest

import fastad as ad

X = np.array([0.5, 2.0, 3.0])
OUTSIDE = np.array([1.0, 2.0, 3.0])
COMPLEX = OUTSIDE + 1j


@pytest.fixture(autouse=True)
def as_it_was():
    yield
    OUTSIDE[:] = [1.0, 2.0, 3.0]


def read(p, a):
    def step(s, _):
        a[0] += 1.0
        return s * p + a, None
    return np.sum(ad.scan(step, p, length=3)[0])


def read_after(p, a):
    def step(s, _):
        a[1] *= 2.0
        return s * p, None
    return np.sum(ad.scan(step, p, length=3)[0]) + a[1] * p[0]


@pytest.mark.parametrize("f", [read, read_after])
def test_a_step_that_changes_an_array_of_the_users_is_refused(f):
    """Plain NumPy on a plain array is not on the tape: the loop had what one run of the step leaves."""
    mine = OUTSIDE.copy()
    with pytest.raises(ad.UnsupportedError, match=r"test_scan_outside.py:\d+: scan of .*step changes .*`a`.*np.array"):
        ad.grad(lambda p: f(p, mine))(X)
    made_inside = ad.value_and_grad(lambda p: f(p, np.array(OUTSIDE)))(X)
    assert made_inside[0] == pytest.approx(f(X, OUTSIDE.copy()), rel=1e-14)


def test_a_step_may_use_an_array_of_the_users_as_scratch():
    """What each run leaves is the same."""
    scratch = np.zeros(3)

    def f(p):
        def step(s, _):
            scratch[:] = OUTSIDE * 2
            return s * p + scratch, None
        return np.sum(ad.scan(step, p, length=3)[0])
    assert ad.value_and_grad(f)(X)[0] == pytest.approx(f(X), rel=1e-14)


@pytest.mark.parametrize("numbers", [lambda: iter([1.0, 2.0, 3.0, 4.0]), lambda: itertools.count(1),
                                     lambda: (float(k) for k in range(1, 9))])
def test_a_step_that_takes_from_an_iterator_is_refused(numbers):
    def f(p):
        left = numbers()
        return np.sum(ad.scan(lambda s, _: (s * p * next(left), None), p, length=3)[0])
    assert f(X) == pytest.approx(6 * np.sum(X**4))
    with pytest.raises(ad.UnsupportedError, match="`left`.*iterator"):
        ad.grad(f)(X)


def counted(p):
    total = 0.0

    def step(s, _):
        nonlocal total
        total += 1.0
        return s * p, None
    return np.sum(ad.scan(step, p, length=3)[0]) + total


def listed(p):
    seen = []

    def step(s, _):
        seen.append(1)
        return s * p, None
    return np.sum(ad.scan(step, p, length=3)[0]) + len(seen)


def hit(p):
    hits = 0

    def side(q):
        nonlocal hits
        hits += 1
        return q * 2
    return np.sum(ad.cond(p[0] > 1.0, side, lambda q: q * 3, p)) + hits


@pytest.mark.parametrize("f", [counted, listed, hit])
def test_what_is_counted_and_used_after_the_loop_is_found_at_the_first_call(f):
    with pytest.raises(ad.StaleTapeError, match="(step|side).*runs.*(total|seen|hits)"):
        ad.grad(f)(X)


def test_a_side_of_a_cond_that_changes_an_array_of_the_users_is_refused():
    def f(p):
        def side(q):
            OUTSIDE[0] = 5.0
            return q * 2
        return np.sum(ad.cond(p[0] > 1.0, side, lambda q: q * 3, p) * OUTSIDE)
    with pytest.raises(ad.TracerError, match="cond: .*side changes global `OUTSIDE`.*Return"):
        ad.grad(f)(X)


@pytest.mark.parametrize("x", [X, X[::-1]])
@pytest.mark.parametrize("traced", [True, False])
def test_operands_of_a_cond_that_are_the_users_are_copies(x, traced):
    """Both sides wrote into the caller's array, and each found what the other had left."""
    whole = np.array([1, 2, 3])

    def f(p):
        def one(q, z, k):
            q[0] *= 5.0
            z[0] = 3.0
            k[1] = 7
            return q * np.abs(z) * k * p

        def other(q, z, k):
            q[1] = p[2]
            k[:] += 1
            return q * k * p**2 + z.imag
        return np.sum(ad.cond(p[0] > 1.0 if traced else True, one, other, OUTSIDE, COMPLEX, whole) * OUTSIDE)
    g = ad.value_and_grad(f)
    for factor in (1.0, 2.0):                                # (and are read again)
        OUTSIDE[:] *= factor
        before = OUTSIDE.copy()
        value, bar = g(x)
        assert value == pytest.approx(f(x), rel=1e-14)
        np.testing.assert_allclose(bar, [(f(x + e) - f(x - e)) / 2e-6 for e in 1e-6 * np.eye(3)], rtol=1e-6)
        assert (before == OUTSIDE).all() and (whole == [1, 2, 3]).all() and COMPLEX[0] == 1 + 1j


@pytest.mark.parametrize("x", [X, X[::-1]])
@pytest.mark.parametrize("traced", [True, False])
def test_the_result_of_a_cond_is_a_new_array(x, traced):
    """On plain values it was what the side had returned, and changing it changed that."""
    def f(p):
        mine = p * 2
        r = ad.cond(p[0] > 1.0 if traced else p.size == 3, lambda: mine, lambda: mine[::-1])
        r += 1.0
        return np.sum(r * mine)
    assert ad.value_and_grad(f)(x)[0] == f(x) == np.sum((2 * (x if x[0] > 1 or not traced else x[::-1]) + 1) * 2 * x)


def test_a_step_that_writes_into_its_xs_is_refused():
    """On plain values later steps found what earlier ones had written, on a tape what there was before the loop."""
    def f(p, xs):
        rows = np.outer(p, p)

        def step(s, x):
            rows[1:] += s
            return s * x, None
        return np.sum(ad.scan(step, p, xs(rows))[0]) + np.sum(rows)
    for view in (lambda a: a, lambda a: a.T, lambda a: a[::-1]):
        with pytest.raises(ad.UnsupportedError, match=r"step writes into the array of which xs.* are slices.*copy"):
            ad.grad(lambda p, view=view: f(p, view))(X)
    value, _ = ad.value_and_grad(lambda p: f(p, np.copy))(X)
    assert value == pytest.approx(f(X, np.copy), rel=1e-14)


def test_a_single_step_that_has_to_be_recorded_twice_is_no_exception():
    """It is recorded again when it writes an array that the function has made; a loop of one step had both runs."""
    def twice(p):
        acc = np.zeros(3)

        def step(s, _):
            OUTSIDE[1] += 0.5
            acc[:] += p
            return s + acc, None
        return np.sum(ad.scan(step, p, length=1)[0] * OUTSIDE)

    def ahead(p):
        def body(w):
            OUTSIDE[1] += 0.5
            return w * 2
        return np.sum(ad.while_loop(lambda w: w[0] < 1.0, body, p) * OUTSIDE)

    def once(p):
        def step(s, _):
            OUTSIDE[1] += 0.5
            return s + p, None
        return np.sum(ad.scan(step, p, length=1)[0] * OUTSIDE)
    for f in (twice, ahead):
        with pytest.raises(ad.UnsupportedError, match="step changes global `OUTSIDE`|body changes global `OUTSIDE`"):
            ad.record(f, X)
    OUTSIDE[1] = 2.0
    tape = ad.record(once, X)
    assert OUTSIDE[1] == 2.5 and tape(X) == 2 * np.sum(X * OUTSIDE)


def drawing(p, rng):
    return lambda w: w[0] < 8.0, lambda w: w * 1.5 + rng.uniform()


def counting(p, rng):
    n = 0

    def body(w):
        nonlocal n
        n += 1
        return w * 1.5 + n
    return lambda w: w[0] < 8.0, body


def counting_in_the_condition(p, rng):
    n = 0

    def condition(w):
        nonlocal n
        n += 1
        return n < 4
    return condition, lambda w: w * 1.5


@pytest.mark.parametrize("loop, text", [(drawing, "`rng`.*random"), (counting, "`n`"),
                                        (counting_in_the_condition, "without end.*part of the state")])
def test_chance_and_counters_in_a_while_loop_are_refused(loop, text):
    """They were not looked for: a wrong number, or a loop without end."""
    def f(p):
        return np.sum(ad.while_loop(*loop(p, np.random.default_rng(0)), p))
    assert np.isfinite(f(X))
    with pytest.raises(ad.UnsupportedError, match=rf"test_scan_outside.py:\d+: while_loop of .*{text}"):
        ad.grad(f)(X)


def test_a_branch_of_a_while_loop_that_changes_says_what_one_of_a_scan_says():
    """It was TapeDivergence, with the advice to record again."""
    with pytest.raises(ad.UnsupportedError, match=r"while_loop of .*goes another way in a later step.*np.where"):
        ad.grad(lambda p: ad.while_loop(lambda s: s[0] < 3.0, lambda s: (s[0] + p[0], not s[1]), (p[1], True))[0])(X)


def test_a_step_that_fails_half_way_and_is_caught():
    """What it had written until then was gone."""
    def f(p, length):
        z = np.zeros(3)

        def step(s, _):
            z[0] += s[0]
            if length:
                raise ZeroDivisionError
            return s, None
        try:
            ad.scan(step, p, length=2)
        except ZeroDivisionError:
            pass
        return np.sum(p) * z[0]
    with pytest.raises(ad.StaleTapeError, match="step of scan of .* raised ZeroDivisionError.*forgotten"):
        ad.grad(lambda p: f(p, 1))(X)
    assert ad.value_and_grad(lambda p: f(p, 0))(X)[0] == f(X, 0)


def test_a_state_that_is_the_users_is_read_again_at_every_replay():
    """A tape kept the numbers with which it was recorded."""
    single, whole, alone = np.ones(3, np.float32), np.array([1, 2, 3]), np.array(2.0)
    z = OUTSIDE + 1j

    def f(p):
        def step(s, _):
            a, b, c, d, e, n = s
            return (a * p, b + 1, c, d * p, e * 0.5, n + 1.0), None
        a, b, c, d, e, n = ad.scan(step, (OUTSIDE, whole, alone, z, single, 4), length=2)[0]
        w = ad.while_loop(lambda w: w[0] < 100.0, lambda w: w * (2.0 + p), OUTSIDE)
        return np.sum(a * b) * c + np.sum(d.real * d.imag) + np.sum(e) * p[0] + n * np.sum(w)
    tape = ad.record(f, X)
    for _ in range(2):
        OUTSIDE[1:] *= 1.1
        whole += 1
        alone += 1.0
        z[:] *= 1.1j
        single[:] += 1
        assert tape(X) == pytest.approx(f(X), rel=1e-13)
        np.testing.assert_allclose(tape.gradient(X), ad.grad(f)(X), rtol=1e-12)


NOTED = np.ones(2)


def test_a_loop_of_no_steps_changes_nothing():
    """The step runs once on zeros, for the shapes of y: what it wrote then stayed, and traced y were refused."""
    def f(c, steps=0):
        history, log, known, seen, turns, n = np.ones(3), [], {}, set(), collections.deque(), 0

        def helper(u):
            history[1] += np.sum(u) * 0 + 7

        def step(u, x):
            nonlocal n
            n += 1
            helper(u)
            log.append(1)
            known["a"] = 2
            turns.append(1)
            seen.add(3)
            NOTED[0] = 5.0
            return u * c, (np.sum(u), u > 0, u * 2j, c, 3)
        end, ys = ad.scan(step, np.array([1.0, 2.0]), np.zeros((steps, 2)), reverse=True)
        assert n == len(log) == len(known) == len(seen) == len(turns) == 0 and NOTED[0] == 1.0
        assert [y.dtype for y in ys] == [float, bool, complex, float, int]
        assert [np.shape(y) for y in ys] == [(0,), (0, 2), (0, 2), (0,), (0,)]
        return np.sum(history * np.arange(3.0)) * c + np.sum(end)
    assert f(2.0) == 9.0
    assert ad.value_and_grad(f)(2.0) == (9.0, 3.0)


def test_a_loop_of_no_steps_keeps_its_types():
    """The first step would make a number a wider type: an exception of ours got out."""
    for step, state in ((lambda s, _: (s + 0.5, s), 3), (lambda s, _: (s + 1j, s), 3.0)):
        def f(c, step=step, state=state):
            end, ys = ad.scan(step, state, length=0)
            assert end == state and ys.shape == (0,)
            return c * np.real(end)
        assert f(2.0) == 6.0
        assert ad.value_and_grad(lambda c, f=f: f(c))(2.0) == (6.0, 3.0)
