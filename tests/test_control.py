"""stop_gradient, peek, and custom primitives with their rules.

Owns: control.py.  Must not know: callbacks from C.  Next: fastad/control.py, fastad/_call.pxi.
"""
import math
import threading

import numpy as np
import pytest

import fastad as ad

BOTH = {"vjp": lambda w, y, x: (3 * w * x**2,), "jvp": lambda t, y, x: 3 * t[0] * x**2}


def test_stop_gradient():
    x = np.array([1.0, 2.0])
    assert np.array_equal(ad.grad(lambda x: (ad.stop_gradient(x) * x).sum())(x), x)
    assert ad.stop_gradient(x) is x and ad.stop_gradient({"a": [1, "b"]}) == {"a": [1, "b"]}
    g = ad.grad(lambda x: x["a"] * ad.stop_gradient(x)["b"] + ad.stop_gradient(x["b"]))
    assert g({"a": 2.0, "b": 3.0}) == {"a": 3.0, "b": 0.0}
    assert np.array_equal(ad.hessian(lambda x: (ad.stop_gradient(x) * x**2).sum())(x), np.diag(2 * x))
    g = ad.grad(lambda x: x * np.sum(ad.stop_gradient(x) > 0))
    assert (g(2.0), g(-2.0)) == (1.0, 0.0) and g.stats().recordings == 1


def test_peek():
    seen = []

    def f(x):
        seen.append(ad.peek((x, x[0] * 2, "text")))
        return (x**2).sum()
    ad.grad(f)(np.array([1.0, 2.0]))
    x, number, text = seen[0]
    assert type(x) is np.ndarray and np.array_equal(x, [1.0, 2.0]) and number == 2.0 and text == "text"
    assert isinstance(number, float) and ad.peek(3) == 3
    x[:] = 9.0


@pytest.mark.parametrize("rules", [BOTH, {"vjp": BOTH["vjp"]}, {"jvp": BOTH["jvp"]}], ids=["both", "vjp", "jvp"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 2)])
def test_rules_serve_all_modes_and_orders(rules, shape, rng):
    cube = ad.primitive(lambda x: x**3, **rules)
    x, v = rng.uniform(0.5, 1.5, shape)[()], rng.normal(size=shape)[()]
    f, plain = (lambda x: np.sum(np.sin(cube(x)) * x)), (lambda x: np.sum(np.sin(x**3) * x))
    assert cube(2.0) == 8.0 and type(cube(np.ones(2))) is np.ndarray
    for verb in (ad.grad, ad.hessian, lambda f: ad.grad(lambda x: np.sum(ad.grad(f)(x) ** 2)), ad.jacobian):
        assert np.allclose(verb(f)(x), verb(plain)(x), rtol=1e-12, atol=1e-13)
    for got, want in ((ad.jvp(f, (x,), (v,)), ad.jvp(plain, (x,), (v,))), (ad.hvp(f)(x, v), ad.hvp(plain)(x, v))):
        assert np.allclose(got, want, rtol=1e-12, atol=1e-13)


def test_third_order():
    cube = ad.primitive(lambda x: x**3, vjp=BOTH["vjp"])
    g = h = None
    for f in (lambda x: np.exp(cube(x)), lambda x: np.exp(x**3)):
        g, h = ad.grad(ad.grad(ad.grad(f)))(0.7), g
    assert np.isclose(g, h, rtol=1e-11)


def test_several_arguments_and_results_and_statics():
    def fn(a, n, b, *, scale):
        return scale * a * b.sum(), {"power": b**n}

    def vjp(w, y, a, n, b, *, scale):
        w0, w1 = w[0], w[1]["power"]
        return scale * w0 * b.sum(), None, scale * w0 * a + w1 * n * b ** (n - 1)
    p = ad.primitive(fn, vjp=vjp)

    def f(a, b, call):
        u, v = call(a, 3, b, scale=2.0)
        return u * (v["power"] ** 2).sum()
    a, b = 1.5, np.array([1.0, 2.0, 0.5])
    for argnums in (0, 1, (0, 1)):
        for verb in (ad.grad, ad.hessian):
            got = verb(lambda a, b: f(a, b, p), argnums=argnums)(a, b)
            want = verb(lambda a, b: f(a, b, fn), argnums=argnums)(a, b)
            def flat(tree):
                return np.concatenate([np.ravel(x) for x in ad.trees.flatten(tree)[0]])
            assert np.allclose(flat(got), flat(want), rtol=1e-12)
    assert fn.__name__ == p.__name__


def test_foreign_code_gets_plain_arrays_and_runs_at_each_replay():
    seen = []

    def fn(x):
        seen.append(type(x))
        y = np.zeros(2)                  # a plain array even while f is recorded
        assert type(y) is np.ndarray
        y[:] = [math.sin(v) for v in x]
        x[:] = np.nan                    # its own copy
        return y
    p = ad.primitive(fn, vjp=lambda w, y, x: (w * np.cos(x),))
    g = ad.grad(lambda x: (p(x) * x).sum(), audit=False)
    x = np.array([0.3, 0.4])
    for k in range(3):
        assert np.allclose(g(x + k), np.cos(x + k) * (x + k) + np.sin(x + k), rtol=1e-14)
    assert set(seen) == {np.ndarray} and g.stats().recordings == 1
    assert len(seen) == 1 + 3            # the recording's own sweep needs no second call to learn the result's shape


def test_errors_come_through_unchanged():
    class Mine(Exception):
        pass

    def fail(*args):
        raise Mine("from the user")
    with pytest.raises(Mine):
        ad.grad(ad.primitive(fail, vjp=fail))(1.0)
    limit = [10]

    def fn(x):
        if x > limit[0]:
            raise Mine("too large")
        return x**2
    p = ad.primitive(fn, vjp=fail)
    tape = ad.record(lambda x: p(x) + x, 1.0)
    with pytest.raises(Mine, match="too large"):
        tape(11.0)
    assert tape(2.0) == 6.0
    with pytest.raises(Mine, match="from the user"):
        tape.gradient(1.0)
    assert tape(2.0) == 6.0


def test_wrong_rules_are_noticed():
    with pytest.raises(ad.DerivativeError, match="vjp, jvp"):
        ad.primitive(np.sin)
    cases = [(lambda w, y, x: (w, w), "2 adjoints for 1"), (lambda w, y, x: (np.ones(3),), r"shape \(3,\)")]
    for vjp, text in cases:
        with pytest.raises(ad.ShapeError, match=text):
            ad.grad(lambda x, vjp=vjp: ad.primitive(lambda z: z * 2.0, vjp=vjp)(x).sum())(np.ones(2))
    with pytest.raises(ad.ShapeError, match="jvp has shapes"):
        ad.jvp(ad.primitive(lambda z: z * 2.0, jvp=lambda t, y, x: 1.0), (np.ones(2),), (np.ones(2),))
    with pytest.raises(ad.UnsupportedError, match="str"):
        ad.grad(ad.primitive(lambda x: "text", vjp=lambda w, y, x: (w,)))(1.0)
    changing = iter([np.zeros(2), np.zeros(3)])
    with pytest.raises(ad.ShapeError):
        ad.grad(lambda x: ad.primitive(lambda z: next(changing), vjp=lambda w, y, z: (w[0],))(x).sum())(1.0)
    many = ad.primitive(lambda x: x * 2.0, jvp=lambda t, y, x: 2 * t[0])
    with pytest.raises(ad.DerivativeError, match="1001 calls"):
        ad.grad(lambda x: many(x).sum())(np.ones(1001))


def test_a_rule_that_cannot_be_recorded_fails_at_the_second_order_only():
    p = ad.primitive(lambda x: math.exp(x), vjp=lambda w, y, x: (w * float(np.frompyfunc(math.exp, 1, 1)(x)),))
    assert np.isclose(ad.grad(p)(1.0), np.e)
    with pytest.raises(ad.UnsupportedError, match="higher order.*cannot be recorded"):
        ad.hessian(p)(1.0)


def test_zero_adjoints_do_not_call_the_rule():
    def vjp(w, y, x):
        return (w / 0.0 * np.inf,)
    p = ad.primitive(lambda x: x * 2.0, vjp=vjp)
    assert ad.grad(lambda x: np.where(x > 0, x, p(x)))(2.0) == 1.0


def test_primitives_in_threads():
    p = ad.primitive(lambda x: x**3, vjp=BOTH["vjp"])
    g, failures = ad.grad(lambda x: p(x) * x), []

    def work(k):
        for j in range(100):
            x = 1.0 + k + 0.01 * j
            if not np.isclose(g(x), 4 * x**3, rtol=1e-13):
                failures.append(x)
    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures


def test_primitives_in_compiled_gradients_and_matrices(compiling_is_free):
    p = ad.primitive(lambda x: x**3, vjp=BOTH["vjp"])
    f = ad.grad(lambda x: (p(x) * x).sum())
    J, H = ad.jacobian(lambda x: p(x) * x[0]), ad.hessian(lambda x: (p(x) * x).sum())
    for k in range(20):
        x = np.array([1.0, 2.0]) + k
        assert np.allclose(f(x), 4 * x**3, rtol=1e-13)
        assert np.allclose(H(x), np.diag(12 * x**2), rtol=1e-12)
        assert np.allclose(J(x), np.diag(3 * x**2 * x[0]) + np.outer(x**3, [1.0, 0.0]), rtol=1e-13)
    assert f.hot.program is not None and J.hot.program is not None and H.hot.program is not None


def test_rules_that_return_no_adjoint_say_so():
    """A forgotten return, a complex number, a text: never a silent zero, never half of a number."""
    for wrong, match in ((None, "returned None"), (2j, "complex128"), ("text", "dtype <U")):
        for x in (2.0, np.ones(2)):
            if np.ndim(x) and isinstance(wrong, complex):
                wrong = np.full(2, wrong)
            p = ad.primitive(lambda x: 2.0 * x, vjp=lambda w, y, x, wrong=wrong: wrong)
            with pytest.raises(ad.AdError, match=match):
                ad.grad(lambda x, p=p: np.sum(p(x)))(x)


def test_traced_values_in_containers_do_not_bypass_the_rules():
    p = ad.primitive(lambda pair: pair[0] * pair[1], vjp=lambda w, y, pair: (None,))
    q = ad.primitive(lambda x, scale=None: x * scale[0], vjp=lambda w, y, x, scale=None: (w,))
    for f in (lambda x: p([x, x]), lambda x: p((2.0, x)), lambda x: q(2.0, scale=[x])):
        with pytest.raises(ad.UnsupportedError, match="primitive .*traced"):
            ad.grad(f)(2.0)


def test_arguments_that_are_no_real_numbers_are_handed_on():
    p = ad.primitive(lambda x, names, z: x * len(names) * abs(z[0]),
                     vjp=lambda w, y, x, names, z: (w * len(names), 0, 0))
    names, z = np.array(["a", "b"]), np.array([1j])
    assert ad.grad(lambda x: p(x, names, z))(3.0) == 2.0 and ad.grad(lambda x: p(x, np.str_("abc"), z))(3.0) == 3.0
