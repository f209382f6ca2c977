"""Lesson 6: define-by-run, as in PyTorch: variables, backward(), .grad.

So far a function was recorded and its tape used many times.  The other style has no function: a *variable* notes what
is computed from it while it is computed, `y.backward()` runs the reverse sweep from y, and each variable finds dy/dx
in its `.grad`.  What holds in PyTorch holds here: gradients add up until they are set to None, and backward ends the
pass unless it is told to keep it (`retain_graph=True`).

There is no tape to keep, so every pass may go another way: the loop below runs as often as the numbers of this pass
ask.  The price is that each pass is recorded anew.

    python 06_backward.py        next: 07_neural_network.py
"""
import numpy as np
from lesson import pictures, section

import fastad as ad


def main():
    pictures(__doc__)
    section("The example of the course")
    x1, x2 = ad.variable(2.0), ad.variable(3.0)
    y = x1**2 + x2
    print("y =", ad.peek(y))
    y.backward()
    print(f"x1.grad = {x1.grad:g}, x2.grad = {x2.grad:g}")

    section("Gradients accumulate: 4 + 4, until they are cleared")
    y = x1**2 + x2
    y.backward()
    print(f"after a second backward: x1.grad = {x1.grad:g}")
    x1.grad = x2.grad = None
    y = x1**2 + x2
    y.backward()
    print(f"after x1.grad = None:    x1.grad = {x1.grad:g}")

    section("Arrays, and a loop whose length depends on the values")
    x = ad.variable(np.array([3.0, 4.0]))
    y = x
    steps = 0
    while np.sqrt(np.sum(y**2)) < 100.0:                  # Python decides, with the values of this pass
        y = 2.0 * y
        steps += 1
    y.sum().backward()
    print(f"doubled {steps} times, so the gradient is 2**{steps}: {x.grad}")

    section("A descent: fit a line through three points")
    t, data = np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0, 5.0])
    slope, offset = ad.variable(0.0), ad.variable(0.0)
    for step in range(201):
        slope.grad = offset.grad = None
        loss = np.sum((slope * t + offset - data)**2)
        loss.backward()
        if step % 50 == 0:
            print(f"step {step:3d}   loss {ad.peek(loss):10.3e}   slope {ad.peek(slope):.4f}   offset "
                  f"{ad.peek(offset):.4f}")
        slope.assign(ad.peek(slope) - 0.1 * slope.grad)
        offset.assign(ad.peek(offset) - 0.1 * offset.grad)
    print("\nEach pass is recorded anew, which is what makes such loops free; for a model that is evaluated a thousand")
    print("times, ad.grad(f) records once and replays.  For large networks on a GPU, use PyTorch or JAX.")


if __name__ == "__main__":
    main()
