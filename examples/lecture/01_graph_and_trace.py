"""Lesson 1: a program is a graph, and running it leaves a trace.

Every program, however long, computes with elementary operations: +, *, sin, square ...  Each takes values that are
there and makes a new one.  Written down in the order in which they happen, with a name for each new value, they are the
*evaluation trace*; drawn with an arrow from each value to those computed from it, the *computational graph*.  fastad
keeps the trace on a *tape*: `record` runs the function once and notes what it does to its arguments.

The function of this course is y = x1**2 + x2 at (2, 3).  Its two derivatives can be had in one's head: 2 x1 = 4, and 1.

    python 01_graph_and_trace.py [--output DIR]        next: 02_forward_mode.py
"""
import numpy as np
from lesson import pictures, save, section

import fastad as ad


def f(x1, x2):
    return x1**2 + x2


def longer(x):
    """The trace keeps what happened: each turn of the loop, and of the branch only the side that was taken."""
    y = x
    for _ in range(2):
        y = np.sin(y) + x
    return y if y > 0 else -y


def main():
    folder = pictures(__doc__)
    tape = ad.record(f, 2.0, 3.0)

    section("The evaluation trace of y = x1**2 + x2")
    print(tape)
    print("v1, v2 are the intermediate values; each is defined once, from values above it.")

    section("The tape is a program: it runs at any other point")
    print("tape(2, 3) =", tape(2.0, 3.0))
    print("tape(5, 1) =", tape(5.0, 1.0))

    section("Forward: values and tangents, from the first row to the last")
    print(tape.trace(2.0, 3.0, mode="forward"))

    section("Reverse: values first, then adjoints from the last row to the first")
    print(tape.trace(2.0, 3.0, mode="reverse"))
    print("Lessons 2 and 3 do both by hand.")

    section("Loops and branches are gone; the assertion remembers which way it went")
    print(ad.record(longer, 1.0))

    if folder is not None:
        save(ad.plot.graph(tape, 2.0, 3.0, title="y = x1**2 + x2"), folder, "graph.png")
        save(ad.plot.graph(tape, 2.0, 3.0, adjoints=True, title="the same, with adjoints and partial derivatives"),
             folder, "graph_adjoints.png")


if __name__ == "__main__":
    main()
