"""From the Python call to the sweep and back, for a tape of a handful of operations.

Stresses everything around the sweep: checking and packing arguments, guards and captured state, fresh outputs.
"""
import numpy as np

import fastad as ad
from benchmarks import peers
from benchmarks.programs import DATA, SCALE, small, small_gradient, small_with_state


def summed(x, xp):
    return small(x)


def run(bench):
    """A gradient of three parameters by each door: ``ad.grad(f)``, ``tape.gradient``, ``tape``, the two sweeps."""
    x = np.array([0.7, 0.3, 0.5])
    want = small_gradient(x)
    bench.about("five operations on three scalars")
    g, vg, tape = ad.grad(small), ad.value_and_grad(small), ad.record(small, x)
    stateful = ad.grad(small_with_state)

    other = 1.1 * x

    def two_sweeps(x):
        tape.forward(x)
        return tape.reverse(1.0)

    def both(x):
        value, gradient = vg(x)
        return np.append(gradient, value)

    bench.verify("ad.value_and_grad", both(other), np.append(small_gradient(other), small(other)))
    for what, call in (("ad.grad", g), ("tape.gradient", tape.gradient), ("two sweeps", two_sweeps)):
        for point in (x, other):
            bench.verify(f"{what} of a small tape", call(point), small_gradient(point))
    bench.verify("captured state", stateful(other), SCALE * small_gradient(other) + [DATA[1], 0.0, 0.0])
    bench.verify("replay of a small tape", tape(other), small(other))
    plain = bench.call_time(lambda: small(x))
    bench.row("plain f(x) in Python", plain, who="numpy", kind="value")
    for what, call, level in (("ad.grad(f)(x)", g, 2e-6), ("tape.gradient(x)", tape.gradient, 2e-6),
                              ("tape(x)", tape, 2e-6), ("ad.value_and_grad(f)(x)", vg, None),
                              ("ad.grad(f)(x), f names a global number and array", stateful, None),
                              ("tape.forward(x); tape.reverse(1.0)", two_sweeps, None)):
        time = bench.call_time(lambda call=call: call(x))
        bench.row(what, time, level=level, ratio=time / plain, to="plain f(x)", who="fastad" if call is g else "",
                  kind="gradient" if call is g else "")
    peers.compare(bench, peers.recipes(summed, x), want, lambda: g(x), bench.call_time)
