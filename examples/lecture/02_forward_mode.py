"""Lesson 2: forward mode.  Derivatives travel with the values, one direction at a time.

Beside every value v of the trace a *tangent* v' is computed: how fast v changes when the inputs move in a chosen
direction, the *seed*.  The chain rule goes through the trace in the order in which it was evaluated:

    v1 = x1**2      v1' = 2 x1 * x1'
    v2 = v1 + x2    v2' = v1' + x2'

Seed (1, 0) gives dy/dx1, seed (0, 1) gives dy/dx2: one pass for each input, however many results there are.  Any other
seed gives the derivative in that direction, again in one pass.

    python 02_forward_mode.py        next: 03_reverse_mode.py
"""
import numpy as np
from lesson import pictures, section

import fastad as ad


def f(x1, x2):
    return x1**2 + x2


def by_hand(x1, x2, dx1, dx2):
    """Value and tangent of each step."""
    v1, dv1 = x1**2, 2 * x1 * dx1
    v2, dv2 = v1 + x2, dv1 + dx2
    return v2, dv2


def polar(q):
    """Two inputs, three results."""
    return np.array([q[0] * np.cos(q[1]), q[0] * np.sin(q[1]), q[0]])


def main():
    pictures(__doc__)
    section("One pass for each input")
    for name, seed in (("x1", (1.0, 0.0)), ("x2", (0.0, 1.0))):
        y, tangent = ad.jvp(f, (2.0, 3.0), seed)
        print(f"seed {seed}:  y = {y:g}   dy/d{name} = {tangent:g}   by hand {by_hand(2.0, 3.0, *seed)[1]:g}")

    section("Any direction costs one pass too")
    _, tangent = ad.jvp(f, (2.0, 3.0), (0.6, 0.8))
    print(f"seed (0.6, 0.8): {tangent:g} = 0.6 * 4 + 0.8 * 1")

    section("The same on the tape: forward evaluates, tangent sweeps at that point")
    tape = ad.record(f, 2.0, 3.0)
    print("forward(2, 3) =", tape.forward(2.0, 3.0))
    print("tangent(1, 0) =", tape.tangent(1.0, 0.0))
    print("tangent(0, 1) =", tape.tangent(0.0, 1.0))
    print(tape.trace(2.0, 3.0, mode="forward"))

    section("A Jacobian is its columns: two passes for two inputs, all three results in each")
    q = np.array([2.0, np.pi / 6])
    columns = [ad.jvp(polar, (q,), (seed,))[1] for seed in np.eye(2)]
    print(np.stack(columns, axis=1).round(4))
    print("ad.jacobian agrees:", np.array_equal(np.stack(columns, axis=1), ad.jacobian(polar, mode="forward")(q)))


if __name__ == "__main__":
    main()
