"""What is not chosen does not poison: invalid values in untaken branches, to second order, in every way to sweep.

Owns: where(c, right, f(invalid)) for many f; products of whole arrays; zero tangents of infinite adjoints.
Next: test_transform.py (a few by hand), primitives.py (strongzero, zeroproduct).
"""
import numpy as np
import pytest

import fastad as ad
from fastad._program import Program
from fastad._transform import batch, jvp, vjp

INF = np.inf
UNTAKEN = {          # a function, and points where it or its derivatives are not finite
    "log": (np.log, (0.0, -1.0, np.nan)), "sqrt": (np.sqrt, (0.0, -1.0)), "1/x": (lambda x: 1 / x, (0.0,)),
    "x/0": (lambda x: x / (0 * x), (1.0,)), "exp": (np.exp, (800.0,)), "arcsin": (np.arcsin, (1.0, 2.0)),
    "arctanh": (np.arctanh, (1.0,)), "arccosh": (np.arccosh, (1.0, 0.5)), "x**-1.5": (lambda x: x**-1.5, (0.0, -1.0)),
    "x**x": (lambda x: x**x, (0.0, -0.5)), "2**x": (lambda x: 2.0**x, (5000.0,)), "cbrt": (np.cbrt, (0.0,)),
    "hypot": (lambda x: np.hypot(x, 0 * x), (0.0, INF)), "arctan2": (lambda x: np.arctan2(x, x), (0.0, INF)),
    "square": (lambda x: x * x, (1e300,)), "x%0": (lambda x: x % (0 * x), (1.0,)),
    "logaddexp": (lambda x: np.logaddexp(x, 2 * x), (-INF, INF)), "inf-inf": (lambda x: x - x, (INF,)),
    "sqrt log": (lambda x: np.sqrt(np.log(x)), (1.0, 0.5, 0.0)), "1/sqrt": (lambda x: 1 / np.sqrt(x), (0.0,)),
    "x log x": (lambda x: x * np.log(x), (0.0,)), "exp 1/x": (lambda x: np.exp(1 / x), (0.0,)),
}


def forms(f):
    def holds(x):
        return np.logical_or(x == x, x != x)

    yield lambda x: np.where(holds(x), x**3, f(x)), lambda x: x**3
    yield lambda x: np.where(np.logical_not(holds(x)), f(x), x**3), lambda x: x**3
    yield lambda x: np.where(holds(x), np.where(holds(x), x**3, f(x)), f(f(x))), lambda x: x**3
    yield lambda x: np.sin(np.where(np.logical_not(holds(x)), f(x) * f(x), np.where(holds(x), x**3, 3 * f(x)))), \
        lambda x: np.sin(x**3)


def first(tape, x):
    """The derivative in every way there is."""
    v, j = vjp(tape), jvp(tape)
    tape.forward(x)
    yield "tangent", tape.tangent(1.0)
    yield "reverse", tape.gradient(x)
    for name, t in (("vjp", v), ("jvp", j)):
        yield name, t.sweep([x, np.float64(1)])[1]
        yield name + " program", Program(t).run([x, np.float64(1)])[1]
        lanes = [np.stack([x, x]), np.ones(2)]
        yield name + " batch", batch(t, 2, [True, True]).sweep(lanes)[1][1]


def second(tape, x):
    one, zero = np.float64(1), np.float64(0)
    v, j = vjp(tape), jvp(tape)
    ways = (("jvp vjp", jvp(v), [x, one, one, zero], 3), ("vjp vjp", vjp(v), [x, one, zero, one], 2),
            ("vjp jvp", vjp(j), [x, one, zero, one], 2), ("jvp jvp", jvp(j), [x, one, one, zero], 3))
    for name, t, inputs, k in ways:
        yield name, t.sweep(inputs)[k]
        yield name + " program", Program(t).run(inputs)[k]


@pytest.mark.parametrize("name", UNTAKEN)
def test_an_untaken_branch_is_silent(name):
    f, points = UNTAKEN[name]
    with np.errstate(all="ignore"):
        for h, plain in forms(f):
            for x in map(np.float64, points):
                tape, right = ad.record(h, x), ad.record(plain, x)
                want = right.gradient(x), jvp(vjp(right)).sweep([x, np.float64(1), np.float64(1), np.float64(0)])[3]
                for order, ways in enumerate((first(tape, x), second(tape, x))):
                    for way, got in ways:
                        np.testing.assert_allclose(got, want[order], rtol=1e-12, err_msg=f"{way} of {name} at {x}")


def test_a_zero_direction_of_an_infinite_adjoint():
    """Row 0 of the Hessian is infinite on the diagonal alone: zero times infinity is no business of column 1."""
    def f(x):
        return np.sum(np.sqrt(np.sin(x)))
    x, v = np.array([0.0, 1.0]), np.array([0.0, 1.0])
    with np.errstate(all="ignore"):
        hv = ad.hvp(f)(x, v)
        tape = vjp(ad.record(f, x))
        by_adjoint = vjp(tape).sweep([x, np.float64(1), np.float64(0), v])[2]
    curvature = -np.sqrt(np.sin(1)) / 2 - np.cos(1)**2 / (4 * np.sin(1)**1.5)
    np.testing.assert_allclose(hv, [0.0, curvature], rtol=1e-14)
    np.testing.assert_allclose(by_adjoint, [0.0, curvature], rtol=1e-14)
