"""Lesson 4: forward or reverse?  Count the passes: one for each input, or one for each result.

The Jacobian of a function from n inputs to m results takes n passes forward or m passes in reverse, and a pass costs a
few evaluations of the function in either mode.  So forward mode is for few inputs (a curve fit with five parameters and
a thousand data), reverse mode for few results (a misfit of a thousand parameters).  `mode="auto"` takes the fewer.

Reverse has another price: it needs the values of the forward run again, so all of them are kept in memory.

    python 04_forward_or_reverse.py [--output DIR]        next: 05_four_ways.py
"""
import numpy as np
from lesson import fastest, pictures, save, section

import fastad as ad

TOTAL = 512                                               # n + m stays near this
SIZES = [(2, 510), (32, 480), (128, 384), (256, 256), (384, 128), (480, 32), (510, 2)]


def make(n, m):
    """A smooth function of n inputs with m results, each of which depends on all inputs."""
    weights = np.random.default_rng(0).normal(size=(m, n)) / np.sqrt(n)

    def f(x):
        return np.tanh(weights @ np.sin(x))
    return f


def main():
    folder = pictures(__doc__)
    section("Time of a whole Jacobian, milliseconds")
    print(f"{'n inputs':>9} {'m results':>10} {'forward':>9} {'reverse':>9} {'auto':>9}   auto takes")
    rows = []
    for n, m in SIZES:
        f, x = make(n, m), np.linspace(-1.0, 1.0, n)
        modes = {mode: ad.jacobian(f, mode=mode) for mode in ("forward", "reverse", "auto")}
        np.testing.assert_allclose(modes["forward"](x), modes["reverse"](x), rtol=1e-12, atol=1e-14)
        times = {mode: 1e3 * fastest(jacobian, x) for mode, jacobian in modes.items()}
        taken = "forward, n passes" if n <= m else "reverse, m passes"
        rows.append((n, times["forward"], times["reverse"], times["auto"]))
        print(f"{n:>9} {m:>10} {times['forward']:>9.3f} {times['reverse']:>9.3f} {times['auto']:>9.3f}   {taken}")
    print("\nBoth modes give the same numbers; only the number of passes differs.")
    n, forward, reverse, _ = rows[-1]
    print(f"Two results of {n} inputs: reverse is {forward / reverse:.0f} times faster.")

    if folder is not None:
        from matplotlib import pyplot as plt
        n, forward, reverse, auto = np.array(rows).T
        _, ax = plt.subplots(figsize=(6.0, 3.8), layout="constrained")
        ax.plot(n, forward, "o-", color="#0072B2", label="forward: n passes")
        ax.plot(n, reverse, "s-", color="#D55E00", label="reverse: m passes")
        ax.plot(n, auto, "k:", lw=2.5, label='mode="auto"')
        ax.set(yscale="log", xlabel=f"inputs n  (results m = {TOTAL} - n)", ylabel="time of the Jacobian (ms)")
        ax.grid(alpha=0.25)
        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(frameon=False)
        save(ax, folder, "forward_or_reverse.png")


if __name__ == "__main__":
    main()
