"""Pullbacks, Jacobians and Hessians within a memory budget: the same bits with any budget, the numbers without one."""
import pickle

import numpy as np
import pytest

import fastad as ad
from tests.test_memory import diffusion, named, same, unrolled


def model(kind):
    """(f(x) of a few numbers from a long loop, x)"""
    if kind == "scan":
        f, p = diffusion(120, n=12)
        return f, p
    misfit, c = unrolled(40)
    shape = np.linspace(1.0, 1.1, c.size).reshape(c.shape)
    return lambda q: misfit(c + shape * (q[0] + q[1] ** 2))[0], np.array([0.01, 0.02])


def several(f):
    return lambda q: np.stack([f(q), f(q) * q[0], np.sum(q * q)])


KINDS = pytest.mark.parametrize("kind", ["scan", "unrolled"])


def least(call):
    with pytest.raises(ad.BudgetError) as caught:
        call(64)
    text = str(caught.value)
    assert f"the smallest that works is {caught.value.smallest} " in text
    return caught.value.smallest


@KINDS
@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_jacobians(kind, mode):
    f, p = model(kind)
    f = several(f)
    free = ad.jacobian(f, mode=mode, audit=False, memory="1GB")
    want = free(p)
    np.testing.assert_allclose(want, ad.jacobian(f, mode=mode)(p), rtol=1e-8, atol=1e-10 * np.abs(want).max())
    smallest = least(lambda n: ad.jacobian(f, mode=mode, memory=n)(p))
    tight = ad.jacobian(f, mode=mode, memory=smallest)
    for _ in range(3):                                   # audits, too
        same(tight(p), want)
    report = tight.stats().memory
    assert report.peak <= smallest
    assert (report.recomputed > 1.5 and smallest < 0.9 * free.stats().memory.peak) == (mode == "reverse")
    again = pickle.loads(pickle.dumps(ad.jacobian(several_numbers, mode=mode, memory=10**6)))
    assert (again.memory, again.direction) == (10**6, mode)


def several_numbers(x):
    return x * x


@KINDS
def test_hessians(kind):
    f, p = model(kind)
    free = ad.hessian(f, audit=False, memory="1GB")
    want = free(p)
    np.testing.assert_allclose(want, ad.hessian(f)(p), rtol=1e-8, atol=1e-10 * np.abs(want).max())
    smallest = least(lambda n: ad.hessian(f, memory=n)(p))
    tight = ad.hessian(f, memory=smallest)
    for _ in range(2):
        same(tight(p), want)
    assert tight.stats().memory.recomputed > 1.0
    np.testing.assert_array_equal(want[:, 0], ad.hvp(f, memory=smallest)(p, np.eye(p.size)[0]))


@KINDS
def test_pullbacks(kind):
    f, p = model(kind)

    def g(q, factor, n):
        return {"a": f(q) * factor, "b": np.outer(q, q), "c": [factor * q[0]]}, np.argmax(q) + n
    kwargs = {"has_aux": True}
    w = {"a": 2.0, "b": np.cos(np.outer(p, p)), "c": [None]}
    y, pullback, aux = ad.vjp(g, p, 1.5, 3, **kwargs)
    free_y, free, _ = ad.vjp(g, p, 1.5, 3, memory="1GB", **kwargs)
    smallest = least(lambda n: ad.vjp(g, p, 1.5, 3, memory=n, **kwargs))
    point = p.copy()
    tight_y, tight, tight_aux = ad.vjp(g, point, 1.5, 3, memory=smallest, **kwargs)
    point[:] = 7.0                                       # the point is that of vjp
    assert aux == tight_aux
    for name in ("a", "b"):
        same(tight_y[name], y[name])
        same(free_y[name], y[name])
    tight_y["b"][:] = 0.0                                # it is the caller's
    for weights in (w, {"a": None, "b": None, "c": [1.0]}, w):
        for got, same_bits, near in zip(tight(weights), free(weights), pullback(weights), strict=True):
            if near is None:
                assert got is None
                continue
            same(got, same_bits)
            np.testing.assert_allclose(got, near, rtol=1e-8, atol=1e-10 * np.abs(near).max())
    assert tight.memory.recomputed > 1.0
    assert tight.memory.peak <= smallest < free.memory.peak


def test_a_pullback_whose_surroundings_have_changed_says_so():
    table = np.linspace(0.0, 1.0, 50)

    def f(x):
        return ad.scan(lambda s, w: (s * x + w, None), x, table)[0]
    y, pullback = ad.vjp(f, 0.5, memory="1MB")
    assert pullback(1.0)[0] == pytest.approx(ad.grad(f)(0.5))
    table[20:] += 1.0
    with pytest.raises(ad.StaleTapeError, match="has changed since vjp was called"):
        pullback(1.0)
    assert ad.vjp(f, 0.5, memory="1MB")[1](1.0)[0] == pytest.approx(ad.grad(f)(0.5))


def test_float32_and_results_that_do_not_count():
    def f(x):
        y = ad.scan(lambda s, w: (np.tanh(s * w), s), x, np.linspace(0.5, 1.5, 30, dtype=np.float32))[1]
        return y[5:8], np.argmax(y), np.inf * x[0]
    x = np.array([0.3, -0.2], np.float32)
    with np.errstate(all="ignore"):
        (_, _, far), pullback = ad.vjp(lambda x: (f(x)[0], 1.0 * f(x)[1], f(x)[2]), x, memory="1MB")
        want = ad.vjp(lambda x: f(x)[0], x)[1](np.ones((3, 2), np.float32))[0]
    got = pullback((np.ones((3, 2), np.float32), None, None))[0]       # a weight of zero, and an infinite result
    assert got.dtype == np.float32
    assert far == np.inf
    np.testing.assert_allclose(got, want, rtol=1e-5)


def test_the_line_that_holds_the_memory_is_named():
    f, p = model("scan")
    with pytest.raises(ad.BudgetError) as caught:
        ad.hessian(f, memory=64)(p)
    named(caught)


@pytest.mark.parametrize("verb", [lambda f, q: ad.jacobian(f, memory="1GB")(q), lambda f, q: ad.vjp(f, q, memory="1GB"),
                                  lambda f, q: ad.hessian(lambda x: f(x)[0], memory="1GB")(q)])
def test_inside_another_recording_it_is_refused(verb):
    f, p = diffusion(20)
    with pytest.raises(ad.UnsupportedError, match="outermost verb"):
        ad.jacobian(lambda q: verb(several(f), q))(p)
