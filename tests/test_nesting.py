"""Derivatives of derivatives: every verb inside every other, closures over traced values, to the third order.

Owns: nesting.  Must not know: how derivative tapes are written.  Next: fastad/verbs.py (`nest`), test_verbs.py.
"""
import itertools

import numpy as np
import pytest

import fastad as ad


def f(x):
    y = np.zeros(3)
    y[0] = x[0] ** 2 * x[1]
    y[1:] = np.sin(x) * x[1]
    return y[0] * y[2] + np.exp(y[1])


INNER = {
    "value": f,
    "grad": lambda x: ad.grad(f)(x) @ x,
    "value_and_grad": lambda x: ad.value_and_grad(f)(x)[0] * ad.value_and_grad(f)(x)[1][1],
    "jvp": lambda x: ad.jvp(f, (x,), (x**2,))[1],
    "vjp": lambda x: (ad.vjp(lambda z: z * f(z), x)[1](x)[0] * x).sum(),
    "jacobian": lambda x: (ad.jacobian(lambda z: np.sin(z) * z[0])(x) @ x)[1],
    "jacobian forward": lambda x: (ad.jacobian(lambda z: np.sin(z) * z[0], mode="forward")(x) @ x)[0],
    "jacobian reverse": lambda x: (ad.jacobian(lambda z: np.sin(z) * z[0], mode="reverse")(x) @ x)[0],
    "hessian": lambda x: (ad.hessian(f)(x) @ x)[0],
    "hvp": lambda x: ad.hvp(f)(x, x)[1],
}
OUTER = ["grad", "jvp", "vjp", "jacobian", "hvp"]


def differences(f, x):
    h = 1e-4
    d = [(f(x + h * k * e) - f(x - h * k * e)) / (2 * h * k) for e in np.eye(len(x)) for k in (1, 2)]
    return np.array([(4 * a - b) / 3 for a, b in zip(d[::2], d[1::2], strict=True)])


@pytest.mark.parametrize(("inner", "outer"), list(itertools.product(INNER, OUTER)))
def test_every_verb_inside_every_other(inner, outer):
    x, v, h = np.array([0.7, 0.4]), np.array([0.3, -1.1]), INNER[inner]
    if outer == "hvp":
        want = differences(lambda z: ad.grad(h)(z) @ v, x)
        got = ad.hvp(h)(x, v)
    else:
        want = differences(h, x)
        got = {"grad": lambda: ad.grad(h)(x), "vjp": lambda: ad.vjp(h, x)[1](1.0)[0],
               "jacobian": lambda: ad.jacobian(h)(x),
               "jvp": lambda: np.array([ad.jvp(h, (x,), (e,))[1] for e in np.eye(2)])}[outer]()
    assert np.allclose(got, want, rtol=1e-7, atol=1e-8)


def test_orders_of_a_power():
    g, x = (lambda x: x**5), 1.3
    for n, factor in zip(range(1, 5), (5, 20, 60, 120), strict=True):
        g = ad.grad(g)
        assert np.isclose(g(x), factor * x ** (5 - n), rtol=1e-13)


def test_inner_functions_close_over_outer_values():
    def outer(a):
        return a * ad.grad(lambda b: a * b**3)(2.0)
    assert np.isclose(ad.grad(outer)(3.0), 2 * 3 * 12)

    def twice(a):
        return ad.grad(lambda b: ad.grad(lambda c: a**2 * b**2 * c**2)(a))(a)     # 4 a**4
    assert np.isclose(ad.grad(twice)(3.0), 16 * 27)

    def arrays(a):
        w = np.zeros(2)
        w[:] = a
        w[0] = w[0] ** 2
        return ad.grad(lambda b: (w * b**2).sum())(w).sum()                       # 2 (a0**4 + a1**2)
    a = np.array([1.5, -2.0])
    assert np.allclose(ad.grad(arrays)(a), [8 * a[0] ** 3, 4 * a[1]])


def test_the_outer_array_is_changed_after_the_inner_one_read_it():
    def h(a):
        w = np.zeros(2)
        w[:] = a
        g = ad.grad(lambda b: (w * b**2).sum())(w)                                # 2 a**2
        w[0] = 7.0
        return (g * w).sum()                                                      # 14 a0**2 + 2 a1**3
    a = np.array([1.5, -2.0])
    assert np.allclose(ad.grad(h)(a), [28 * a[0], 6 * a[1] ** 2])


def test_branches_inside_are_guards_outside():
    def inner(x):
        return x**2 if x > 1 else x**3
    g = ad.grad(ad.grad(inner))
    assert [g(2.0), g(0.5), g(3.0), g(0.25)] == [2.0, 3.0, 2.0, 1.5]
    assert g.stats().recordings == 2


def test_nested_calls_without_traced_arguments_are_plain():
    def h(x):
        y = np.array([1.0, 2.0])
        slope = ad.grad(lambda z: (z**2).sum())(ad.peek(y))
        assert type(slope) is np.ndarray
        return (x * slope).sum()
    assert np.array_equal(ad.grad(h)(np.ones(2)), [2.0, 4.0])


def test_a_pullback_made_outside_is_used_inside():
    x = np.array([0.3, 0.8])
    _, pullback = ad.vjp(lambda z: np.sin(z), x)
    assert np.allclose(pullback(np.ones(2))[0], np.cos(x))
    with pytest.raises(ad.TracerError):
        ad.grad(lambda w: pullback(w)[0].sum())(np.ones(2))     # its sweep is over: a clear error, no wrong number


def test_aux_and_trees_inside():
    def h(x):
        g, aux = ad.grad(lambda p: (p["a"] * p["b"].sum(), p["a"] ** 2), has_aux=True)({"a": x[0], "b": x})
        return g["b"].sum() + aux * g["a"]
    x = np.array([0.5, 2.0])                                    # 2 a + a**2 (a + b)
    assert np.allclose(ad.grad(h)(x), [2 + 3 * 0.25 + 2 * 0.5 * 2.0, 0.25])


def test_a_pullback_that_outlives_its_recording_says_so():
    def f(x):
        return x**2, ad.vjp(lambda y: y**3, x)[1]
    _, pullback = ad.grad(f, has_aux=True)(2.0)
    with pytest.raises(ad.EscapedTracerError, match="recording had ended"):
        pullback(1.0)
