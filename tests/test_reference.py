"""Tests of the oracle itself: against complex step, closed forms and NumPy's own semantics.

Owns: the trust that tests/fuzz.py puts into tests/reference.py. Must not know: fastad.
Next: tests/test_fuzz.py.
"""

import math

import numpy as np
import pytest

from tests import reference

POINT = {"arccosh": 1.7, "arctanh": 0.4, "arcsin": 0.4, "arccos": 0.4}
FLAT = {"sign", "floor", "ceil", "rint"}


def on_oracle(source, name="f", **constants):
    ns = {**reference.namespace(), **constants}
    exec(source, ns)
    return ns[name]


@pytest.mark.parametrize("name", sorted(reference.UNARY))
def test_unary_rows(name):
    x = POINT.get(name, 0.83)
    fn = getattr(np, name)
    value, (g,) = reference.value_and_grad(lambda t: getattr(np, name)(t), x)
    assert value == pytest.approx(fn(x), rel=1e-15)
    if name in FLAT:
        assert g == 0
    elif name in ("absolute", "cbrt"):
        assert g == pytest.approx((fn(x + 1e-6) - fn(x - 1e-6)) / 2e-6, rel=1e-8)
    else:
        assert g == pytest.approx(fn(x + 1e-30j).imag / 1e-30, rel=1e-14)


@pytest.mark.parametrize("name", sorted(reference.BINARY))
def test_binary_rows(name):
    fn, a, b, h = getattr(np, name), 1.37, 0.6, 1e-6
    value, (ga, gb) = reference.value_and_grad(lambda s, t: getattr(np, name)(s, t), a, b)
    assert value == pytest.approx(fn(a, b), rel=1e-15)
    assert ga == pytest.approx((fn(a + h, b) - fn(a - h, b)) / (2 * h), rel=1e-8, abs=1e-9)
    assert gb == pytest.approx((fn(a, b + h) - fn(a, b - h)) / (2 * h), rel=1e-8, abs=1e-9)


def test_kinks_are_those_of_the_table():
    assert reference.grad(abs, 0.0)[0] == 0
    assert [float(g) for g in reference.grad(lambda a, b: np.maximum(a, b), 2.0, 2.0)] == [0.5, 0.5]


def test_fill_branch_and_views():
    f = on_oracle(
        "def f(x):\n"
        "    y = np.zeros(3)\n"
        "    y[0] = x[0] ** 2 + x[1]\n"
        "    y[1] = np.sin(x[1]) if x[0] > 0 else x[1]\n"
        "    v = y[::-1]\n"
        "    v[0] = y[0] * y[1]\n"
        "    y[1:] = y[:-1]\n"
        "    return y.sum()\n"
    )
    x = np.array([0.7, 0.4])
    value, (g,) = reference.value_and_grad(f, x)
    y0 = 0.7**2 + 0.4
    assert value == pytest.approx(2 * y0 + math.sin(0.4), rel=1e-15)
    np.testing.assert_allclose(g, [2 * 2 * 0.7, 2 + math.cos(0.4)], rtol=1e-15)
    v = np.array([0.3, -1.1])
    assert reference.jvp(f, (x,), (v,))[1] == pytest.approx(g @ v, rel=1e-15)


def test_sort_where_mask_interp_einsum():
    source = (
        "def f(x):\n"
        "    y = np.sort(x) * W\n"
        "    y[y > 0.5] += np.max(x)\n"
        "    z = np.where(x > 0, np.exp(-x), x * x)\n"
        "    t = np.interp(x, np.linspace(-2.0, 2.0, 5), np.sin(z[[0, 1, 1, 2, 3]]))\n"
        "    return np.einsum('i,i->', y, z) + t.mean() + math.hypot(x[0], x[1])\n"
    )
    w = np.array([1.0, 0.2, -0.4, 0.9])
    x = np.array([0.31, -0.85, 1.42, 0.77])
    f, plain = on_oracle(source, W=w), {"np": np, "math": math, "W": w}
    exec(source, plain)
    value, (g,) = reference.value_and_grad(f, x)
    assert value == pytest.approx(plain["f"](x), rel=1e-14)
    h = 1e-6
    d = [(plain["f"](x + h * e) - plain["f"](x - h * e)) / (2 * h) for e in np.eye(4)]
    np.testing.assert_allclose(g, d, rtol=1e-7)


def test_hvp_is_exact_for_a_cubic():
    x, v = np.array([1.0, 2.0, -0.5]), np.array([0.2, -1.0, 3.0])
    hessian = np.diag(6 * x) + np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]])
    np.testing.assert_allclose(reference.hvp(lambda t: (t**3).sum() + t[0] * t[1], x, v), hessian @ v, rtol=1e-14)
    assert reference.Tape.depth == 0


def test_nested_tapes_do_not_mix():
    # d/dx (x * d/dy (x + y)) = 1, not 2: the classical perturbation confusion
    g = reference.grad(lambda x: x * reference._run(lambda y: x + y, [1.0])[0].nodes[1][0][1], 3.0)[0]
    assert g == 1.0

    def outer(x):
        tape, scalars, y = reference._run(lambda y: x * y * y, [2.0])
        return x * tape.reverse(y, scalars)[0]

    assert reference.grad(outer, 3.0)[0] == pytest.approx(2 * 3.0 * 4.0)


def test_a_leak_is_refused():
    with pytest.raises(reference.Unsupported):
        reference.grad(lambda x: float(x[0]), np.ones(2))
