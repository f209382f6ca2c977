"""The cached callables: when they record, when they replay, what they keep, and that they never answer for another.

Owns: counts of recordings, guards, bounds of the cache, threads.  Captured state and audits have tests of their own.
Must not know: what the verbs compute.  Next: fastad/function.py, fastad/_dispatch.pyx.
"""
import functools
import gc
import sys
import threading
import weakref

import numpy as np
import pytest

import fastad as ad
from fastad import function


def test_one_recording_serves_many_points(rng):
    g = ad.grad(lambda x: np.sort(x)[2:].sum() + np.interp(x, [0.0, 1.0], [0.0, 2.0]).sum())
    for _ in range(100):
        g(rng.normal(size=5))
    s = g.stats()
    assert (s.recordings, s.replays, s.tapes, s.guard_failures) == (1, 99, 1, 0)
    assert s.audits == 6 and s.bytes > 0 and "recordings=1" in repr(s)       # calls 2, 4, 8 ... 64


def test_branches_are_kept_side_by_side():
    ran = []

    def f(x):
        ran.append(1)
        return x**2 if x > 0 else -(x**3)
    g = ad.grad(f, audit=False)
    for x in (1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 4.0):
        assert g(x) == (2 * x if x > 0 else -3 * x**2)
    s = g.stats()
    assert (s.recordings, len(ran), s.tapes, s.replays) == (2, 2, 2, 5)
    assert s.guard_failures == 6
    assert "bool()" in ad.explain(g) and "x > 0" in ad.explain(g)


def test_no_more_than_eight_branches_are_kept():
    g = ad.grad(lambda x: x * int(ad.peek(0.0) + n(x)), audit=False)

    def n(x):
        return np.floor(ad.stop_gradient(x))
    for k in range(12):
        assert g(k + 0.5) == k
    assert g.stats().tapes == function.TAPES_PER_KEY and g.stats().recordings == 12
    g(11.5), g(4.5)
    assert g.stats().recordings == 12
    g(0.5)
    assert g.stats().recordings == 13


def test_kinds_of_arguments_have_tapes_of_their_own():
    g = ad.grad(lambda x, p=2: np.sum(x**p))
    for x in (1.0, np.ones(2), np.ones(3), np.ones((2, 1)), [1.0, 2.0], np.ones(2), 1.0):
        g(x) if not isinstance(x, list) else None
    assert g.stats().recordings == 4
    g(np.ones(2), 3)
    g(np.ones(2), p=3)
    g(np.ones(2), 3)
    assert g.stats().recordings == 6
    text = ad.explain(g)
    assert "first call" in text and "another shape" in text


def test_non_contiguous_and_converted_arguments():
    g = ad.grad(lambda x: (x**2).sum())
    x = np.arange(12.0).reshape(3, 4)
    for y in (x, x[:, ::-1], np.asfortranarray(x), x.T.copy().T, x.T.copy().T[::-1],
              x.astype(np.float32), x.astype(int)):
        assert np.array_equal(g(y), 2 * x if y is not None and np.array_equal(y, x) else 2 * y)
    # rows first, columns first with and without gaps: x.ravel("K") would differ; float32
    assert g.stats().recordings == 4


def test_lambdas_made_anew_share_their_tapes():
    ran = []

    def at(x, scale):
        def f(z):
            ran.append(1)
            return scale * (z**2).sum()
        return ad.grad(f, audit=False)(x)
    for k in range(10):
        assert np.array_equal(at(np.ones(2) * k, 3.0), 6.0 * np.ones(2) * k)
    assert len(ran) == 1
    assert np.array_equal(at(np.ones(2), 5.0), [10.0, 10.0])
    assert np.array_equal(at(np.ones(2), 3.0), [6.0, 6.0])
    assert len(ran) == 2
    A, ran = np.ones(2), []
    B = 2 * A
    for _ in range(5):
        for W in (A, B):
            assert np.array_equal(ad.grad(lambda z, W=W: (ran.append(0), (W * z).sum())[1], audit=False)(A), W)
    assert ran == [0, 0]


def test_functions_of_the_same_code_do_not_answer_for_each_other():
    def make(scale):
        return lambda x: scale * (x**2).sum()
    gs = [ad.grad(make(k)) for k in range(1, 5)]
    x = np.ones(2)
    for _ in range(3):
        for k, g in enumerate(gs, 1):
            assert np.array_equal(g(x), [2 * k, 2 * k])
    assert [g.stats().recordings for g in gs] == [1, 1, 1, 1]
    p = [ad.grad(functools.partial(lambda s, x: s * (x**2).sum(), k)) for k in (1.0, 2.0)]
    assert [q(x)[0] for q in p * 2] == [2.0, 4.0, 2.0, 4.0]


def test_methods_of_different_objects():
    class Model:
        def __init__(self, beta):
            self.beta = beta

        def value(self, x):
            return self.beta * (x**2).sum()
    a, b, x = Model(1.0), Model(3.0), np.ones(1)
    assert [ad.grad(m.value)(x)[0] for m in (a, b, a, b)] == [2.0, 6.0, 2.0, 6.0]
    g = ad.grad(a.value)
    g(x)
    a.beta = 5.0
    assert g(x)[0] == 10.0 and "beta" in ad.explain(g)


def test_a_decision_within_rounding_is_an_error_and_no_loop():
    draw = iter(range(1000))
    noisy = ad.primitive(lambda x: x + next(draw), vjp=lambda w, y, x: (w,))
    g = ad.grad(lambda x: x**2 if noisy(x) < 0.5 else x**3, audit=False)
    with pytest.raises(ad.UnstableDecisionError, match=r"test_cache.py:\d+"):
        g(0.0)
    assert g.stats().recordings == 1 and g.stats().tapes == 0


def test_the_cache_is_bounded_in_bytes_and_in_number(monkeypatch):
    monkeypatch.setattr(function, "CACHE_BYTES", 3_000_000)
    g = ad.grad(lambda x: (x**2).sum(), audit=False)
    for n in range(1000, 30000, 1000):
        g(np.ones(n))
    total = sum(e.nbytes for c in function.caches.values() for e in c.all())
    assert total <= 3_000_000 and 0 < g.stats().tapes < 29
    before = g.stats().recordings
    g(np.ones(29000))
    assert g.stats().recordings == before                    # the last one is kept
    g(np.ones(1000))
    assert g.stats().recordings == before + 1                # the first is not
    monkeypatch.setattr(function, "CACHE_TAPES", 5)
    g(np.ones(7))
    assert sum(len(c.all()) for c in function.caches.values()) <= 5
    g.clear()
    assert g.stats().tapes == 0 and np.array_equal(g(np.ones(2)), [2.0, 2.0])


def test_caches_of_forgotten_functions_are_dropped(monkeypatch):
    monkeypatch.setattr(function, "CACHED_FUNCTIONS", 4)
    f = eval("lambda x: x**2")
    ad.grad(f)(1.0)
    gone = weakref.ref(f)
    del f
    for k in range(6):
        ad.grad(eval(f"lambda x: x * {k}"))(1.0)
    gc.collect()
    assert gone() is None and len(function.caches) <= 4


def test_one_callable_in_four_threads():
    W = np.linspace(0.0, 1.0, 50)

    def f(x):
        y = np.zeros(50)
        for i in range(50):
            y[i] = W[i] * x[0] ** 2 if x[1] > 0 else x[0]
        return y.sum()
    g, failures = ad.grad(f), []

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(300):
            x = rng.normal(size=2)
            want = [2 * W.sum() * x[0], 0.0] if x[1] > 0 else [50.0, 0.0]
            if not np.allclose(g(x), want, rtol=1e-12):
                failures.append((x, want))
    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures
    assert g.stats().recordings <= 8


def test_a_function_may_use_its_own_derivative_while_it_is_swept():
    inner = ad.grad(lambda x: x**3)
    slope = ad.primitive(lambda x: inner(x), vjp=lambda w, y, x: (w * 6 * x,))
    g = ad.grad(lambda x: slope(x) * x)                      # 3 x**3
    assert [g(x) for x in (1.0, 2.0, 2.0)] == [9.0, 36.0, 36.0]


def test_it_is_compiled_when_it_has_been_used_often(compiling_is_free):
    g = ad.grad(lambda x: np.exp(-(x**2)).sum())
    x = np.linspace(0.0, 1.0, 20)
    first = g(x)
    for _ in range(12):
        assert np.array_equal(g(x), first) or np.allclose(g(x), first, rtol=1e-14)
    assert g.hot.program is not None and g.hot.program.frames_made >= 1


def test_compiling_is_tried_once(monkeypatch, compiling_is_free):
    from fastad import tapes
    tried = []

    def program(tape):
        tried.append(tape)
        raise ad.UnsupportedError("no program for this")
    monkeypatch.setattr(tapes, "program", program)
    g = ad.grad(lambda x: x[0] ** 2)
    for _ in range(20):
        assert g([3.0]) == [6.0]
    assert len(tried) == 1 and g.hot.program is None


# ---- large arrays: the program comes first, since sweeps over the tape would ask for memory that it does not need ----

def long_sum(x):
    y = x
    for _ in range(12):
        y = np.sin(y) * x + 0.1
    return np.sum(y)


def test_with_large_arrays_a_gradient_is_compiled_before_its_first_sweep(rng):
    small, large = ad.grad(long_sum), ad.grad(lambda x: long_sum(x))
    x = rng.normal(size=200_000)
    first = large(x)
    assert large.hot.program is not None and large.hot.calls == 1
    np.testing.assert_allclose(small(x[:500]), first[:500], rtol=1e-12)
    assert small.hot.program is None
    for _ in range(4):                                       # with audits on calls 2 and 4
        assert np.array_equal(large(x), first)
    assert large.audits == 2
    assert large.hot.weigh() < large.hot.tape.arena_bytes    # a sweep over the tape would have left its memory there


def test_a_long_loop_over_arrays_of_middle_size_is_compiled_before_its_first_sweep():
    """Each of its instructions costs more in a sweep over the tape, in memory of its own, than to compile."""
    def decayed(x):
        for _ in range(30):
            x = x + 0.1 * np.sin(x)
        return np.sum(x)
    g = ad.grad(decayed)
    g(np.linspace(0.0, 1.0, 2500))
    assert g.hot.program is not None


def test_a_gradient_compiled_at_once_still_notices_changes_and_branches(rng):
    x, calls = rng.normal(size=200_000), []

    def drifting(x):
        calls.append(0)
        return long_sum(x) * len(calls)
    g = ad.grad(drifting)
    g(x)
    with pytest.raises(ad.StaleTapeError):
        for _ in range(4):
            g(x)

    branching = ad.value_and_grad(lambda x: long_sum(x) if x[0] > 0 else -long_sum(x))
    above, below = np.abs(x), np.where(np.arange(x.size) == 0, -1.0, x)
    assert branching(above)[0] == pytest.approx(long_sum(above), rel=1e-12)
    assert branching(below)[0] == pytest.approx(-long_sum(below), rel=1e-12)
    assert branching.stats().recordings == 2


def test_without_a_program_large_arrays_are_swept_over_the_tape(monkeypatch, rng):
    from fastad import tapes

    def program(tape):
        raise ad.UnsupportedError("no program for this")
    x = rng.normal(size=200_000)
    want = ad.grad(lambda x: long_sum(x))(x)
    monkeypatch.setattr(tapes, "program", program)
    g = ad.grad(lambda x: long_sum(x))
    np.testing.assert_allclose(g(x), want, rtol=1e-12)
    assert g.hot.program is None


# ---- closures of one function share a cache --------------------------------------------------------------------------

def test_a_run_of_one_closure_does_not_bless_the_tapes_of_another():
    """Their code is the same, so is their cache; what the one changes makes the other's tape out of date."""
    def make(scale, meanwhile):
        def f(x):
            meanwhile()
            return x**2 * scale[0]
        return ad.grad(f, audit=False)
    mine, other = [1.0], [3.0]
    g, h = make(mine, lambda: None), make(other, lambda: mine.__setitem__(0, 5.0))
    assert g(2.0) == g(2.0) == 4.0 and h(2.0) == 12.0
    assert g(2.0) == 20.0


def test_closures_made_anew_in_many_threads():
    failures = []

    def work(k):
        for n in range(40):
            c = float(100 * k + n)
            found = ad.grad(lambda x: (x**2).sum() * c)(np.ones(2))     # noqa: B023  (called at once)
            if not np.array_equal(found, [2 * c, 2 * c]):
                failures.append((c, found))
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    finally:
        sys.setswitchinterval(interval)
    assert not failures


@pytest.mark.parametrize("order, slope", [
    (1, lambda f: ad.grad(f)),
    (1, lambda f: ad.jacobian(f, mode="forward")), (1, lambda f: ad.jacobian(f, mode="reverse")),
    (1, lambda f: lambda x: ad.jvp(f, (x,), (1.0,))[1]), (1, lambda f: lambda x: ad.vjp(f, x)[1](1.0)[0]),
    (2, lambda f: ad.hessian(f)), (2, lambda f: lambda x: ad.hvp(f)(x, 1.0))],
    ids=["grad", "forward", "reverse", "jvp", "vjp", "hessian", "hvp"])
def test_a_tape_that_is_swept_within_its_own_sweep(order, slope):
    """A primitive in f asks for a derivative of f at another point; the sweeps outside must not notice."""
    inner = {}

    def half(x):
        return float(x) if x < 0.1 else float(inner["slope"](float(x) / 2))
    p = ad.primitive(half, vjp=lambda w, y, x: (w * 7.0 * x,), jvp=lambda t, y, x: t[0] * 7.0 * x)

    def f(x):
        return np.sin(p(x)) * x + x**3
    inner["slope"] = slope(f)

    def want(x):                         # p' = 7 x
        y = x if x < 0.1 else want(x / 2)
        if order == 2:
            return 21 * x * np.cos(y) - 49 * x**3 * np.sin(y) + 6 * x
        return np.cos(y) * 7 * x**2 + np.sin(y) + 3 * x**2
    for x in (0.15, 1.0, 0.7, 1.0):
        assert np.isclose(inner["slope"](x), want(x), rtol=1e-12)
