"""Lesson 5: four ways to a derivative: by hand, symbolic, numerical, automatic.

The function is the logistic map, y = 4 y (1 - y), applied n times to x (the example of Baydin et al. 2018, Automatic
differentiation in machine learning: a survey, JMLR 18).

* By hand: exact and fast, and a program of its own that has to be kept right.
* Symbolic: a formula in, a formula out.  Every shared part is written out again: *expression swell*.
* Numerical: (f(x + h) - f(x)) / h.  A large h errs by truncation, a small one by rounding: a V with a lowest point that
  is only half of the digits deep (a third are lost with central differences).  And one evaluation for each input.
* Automatic: the chain rule on numbers, step by step.  Exact to rounding, and as long as the program itself.

    python 05_four_ways.py [--output DIR]        needs: pip install 'fastad[lecture]'        next: 06_backward.py
"""
import numpy as np
from lesson import QUICK, pictures, save, section

import fastad as ad

X = 0.2


def f(x, n=4):
    y = x
    for _ in range(n):
        y = 4.0 * y * (1.0 - y)
    return y


def by_hand(x, n=4):
    """The chain rule, worked out on paper: dy/dx = product of 4 (1 - 2 y) over the iterates."""
    y, dy = x, 1.0
    for _ in range(n):
        y, dy = 4.0 * y * (1.0 - y), dy * 4.0 * (1.0 - 2.0 * y)
    return dy


def forward_difference(f, x, h):
    return (f(x + h) - f(x)) / h


def central_difference(f, x, h):
    return (f(x + h) - f(x - h)) / (2.0 * h)


def swell(sympy, most):
    """Operations in the formula, in that of its derivative, and on the tape, against the number of iterations."""
    x = sympy.Symbol("x")
    print(f"{'iterations':>10} {'formula':>9} {'its derivative':>15} {'expanded':>9} {'tape':>6} {'with gradient':>14}")
    rows = []
    for n in range(1, most + 1):
        y = f(x, n)
        formula, derivative = sympy.count_ops(y), sympy.count_ops(sympy.diff(y, x))
        expanded = sympy.count_ops(sympy.expand(sympy.diff(y, x)))
        tape = ad.record(lambda x, n=n: f(x, n), X)
        gradient = steps(tape.vjp_tape())
        rows.append((n, formula, derivative, expanded, steps(tape), gradient))
        print(f"{n:>10} {formula:>9} {derivative:>15} {expanded:>9} {steps(tape):>6} {gradient:>14}")
    return np.array(rows)


def steps(tape):
    """Operations of a tape: its lines that compute something."""
    return sum(" = " in line and "= input" not in line for line in tape.listing(limit=None).splitlines())


def main():
    folder = pictures(__doc__)
    try:
        import sympy
    except ImportError:
        raise SystemExit("this lesson needs SymPy: pip install 'fastad[lecture]'") from None

    section(f"The derivative of four iterations at x = {X}")
    x = sympy.Symbol("x")
    exact = float(sympy.diff(f(x), x).subs(x, sympy.Rational(1, 5)).evalf(30))
    results = {
        "by hand": by_hand(X),
        "symbolic (SymPy)": float(sympy.lambdify(x, sympy.diff(f(x), x))(X)),
        "forward difference, h = 1e-8": forward_difference(f, X, 1e-8),
        "central difference, h = 6e-6": central_difference(f, X, 6e-6),
        "automatic, forward mode": ad.jvp(f, (X,), (1.0,))[1],
        "automatic, reverse mode": ad.grad(f)(X),
    }
    for name, value in results.items():
        print(f"{name:<30} {value:+.15f}   relative error {abs(value / exact - 1):.1e}")

    section("Symbolic: operations double and more with each iteration; a tape has the same few more")
    rows = swell(sympy, 5 if QUICK else 7)

    section("Numerical: the error against the step size")
    h = 10.0 ** np.arange(-15.0, 0.0)
    errors = {name: np.array([abs(rule(f, X, step) / exact - 1) for step in h])
              for name, rule in (("forward", forward_difference), ("central", central_difference))}
    print(f"{'step':>8} {'forward':>9} {'central':>9}")
    for k in range(h.size - 1, -1, -1):
        print(f"{h[k]:>8.0e} {errors['forward'][k]:>9.1e} {errors['central'][k]:>9.1e}")
    for name, found in errors.items():
        print(f"{name} differences: best at h = {h[np.argmin(found)]:.0e}, error {np.min(found):.0e}")
    automatic = abs(results["automatic, reverse mode"] / exact - 1)
    print(f"automatic: no step, error {automatic:.0e}")

    if folder is not None:
        draw(folder, rows, h, errors, automatic)


def draw(folder, rows, h, errors, automatic):
    from matplotlib import pyplot as plt
    _, ax = plt.subplots(figsize=(6.0, 4.0), layout="constrained")
    ax.loglog(h, np.maximum(errors["forward"], 1e-17), "o-", color="#D55E00", label="forward differences")
    ax.loglog(h, np.maximum(errors["central"], 1e-17), "s-", color="#0072B2", label="central differences")
    ax.axhline(max(automatic, 1e-16), color="black", ls="--", label="automatic")
    ax.annotate("rounding", (3e-14, 2e-1), color="#6E6E6E", ha="center")
    ax.annotate("truncation", (4e-3, 3e-7), color="#6E6E6E", ha="center")
    ax.set(xlabel="step size h", ylabel="relative error of the derivative", ylim=(1e-17, 1e2))
    finish(ax, folder, "step_size.png")

    _, ax = plt.subplots(figsize=(6.0, 4.0), layout="constrained")
    curves = ((2, "o-", "#D55E00", "symbolic derivative"), (3, "s-", "#E69F00", "symbolic, expanded"),
              (5, "d-", "#0072B2", "tape of function and derivative"), (4, "^-", "black", "tape of the function"))
    for column, style, colour, name in curves:
        ax.semilogy(rows[:, 0], rows[:, column], style, color=colour, label=name)
    ax.set(xlabel="iterations of the logistic map", ylabel="operations")
    finish(ax, folder, "expression_swell.png")


def finish(ax, folder, name):
    ax.grid(alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False)
    save(ax, folder, name)


if __name__ == "__main__":
    main()
