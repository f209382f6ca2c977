"""Lesson 3: reverse mode.  All derivatives of one result in one pass.

The *adjoint* of a value v, written v_bar, is dy/dv: how much the result changes when v does.  It is known at the end,
y_bar = 1, and is handed back from each value to those from which it was computed, times the partial derivative:

    v2 = v1 + x2    v1_bar += v2_bar * 1     x2_bar += v2_bar * 1
    v1 = x1**2      x1_bar += v1_bar * 2 x1

"+=" because a value that is used twice is paid twice.  The trace is run forward first, since the partial derivatives
need its values, and then backward.  One pass gives dy/dx for every input x, be it two or two million; this is why
gradients of models with many parameters are possible at all, and what backpropagation is.

    python 03_reverse_mode.py        next: 04_forward_or_reverse.py
"""
import numpy as np
from lesson import QUICK, fastest, pictures, section

import fastad as ad


def f(x1, x2):
    return x1**2 + x2


def by_hand(x1, x2):
    """Values forward, adjoints backward."""
    v1 = x1**2
    v2 = v1 + x2
    v1_bar = v2_bar = x1_bar = x2_bar = 0.0
    v2_bar += 1.0
    v1_bar += v2_bar * 1.0
    x2_bar += v2_bar * 1.0
    x1_bar += v1_bar * 2.0 * x1
    return v2, (x1_bar, x2_bar)


def rosenbrock(x):
    return np.sum(100.0 * (x[1:] - x[:-1]**2)**2 + (1.0 - x[:-1])**2)


def main():
    pictures(__doc__)
    section("Both derivatives in one pass")
    y, gradient = by_hand(2.0, 3.0)
    print(f"by hand:      y = {y:g}, gradient = ({gradient[0]:g}, {gradient[1]:g})")
    g = ad.grad(f, argnums=(0, 1))(2.0, 3.0)
    print(f"ad.grad:      gradient = ({g[0]:g}, {g[1]:g})")
    y, pullback = ad.vjp(f, 2.0, 3.0)
    x1_bar, x2_bar = pullback(1.0)
    print(f"ad.vjp:       y = {y:g}, pullback(1) = ({x1_bar:g}, {x2_bar:g})")

    section("Step by step")
    tape = ad.record(f, 2.0, 3.0)
    print(tape.trace(2.0, 3.0, mode="reverse"))

    section("A value that is used twice is paid twice: y = x * sin(x)")
    print(ad.record(lambda x: x * np.sin(x), 2.0).trace(2.0, mode="reverse"))
    print(f"sin(x) + x cos(x) = {np.sin(2.0) + 2.0 * np.cos(2.0):.7g}")

    section("A gradient costs a few evaluations, however many inputs there are (Rosenbrock's function)")
    print(f"{'inputs':>9} {'function':>12} {'gradient':>12} {'gradient in functions':>24}")
    for n in (10, 1000, 10_000 if QUICK else 100_000):
        x = np.linspace(-1.0, 1.0, n)
        gradient = ad.value_and_grad(rosenbrock)
        plain, exact = fastest(rosenbrock, x), fastest(gradient, x)
        print(f"{n:>9} {1e6 * plain:>9.1f} µs {1e6 * exact:>9.1f} µs {exact / plain:>24.1f}")


if __name__ == "__main__":
    main()
