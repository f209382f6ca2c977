"""Lotka-Volterra by Runge-Kutta, 1000 steps in Python scalars: the gradient of six parameters.

Stresses scalar code unrolled by a Python loop, 50,000 operations with a long dependence: the program on which array
systems spend seconds.  Recording, the first gradient, and the steady one, against each peer in its best form.
"""
from functools import partial
from time import perf_counter

import numpy as np

import fastad as ad
from benchmarks import c_code, peers
from benchmarks.harness import twin
from benchmarks.programs import LV_POINT, complex_step, lotka_volterra, lotka_volterra_vector


def run(bench):
    """Levels: recording 8 ms, first gradient (record and tier 0) 12 ms, steady 0.35 ms, and with a state vector at most
    1.2 x that with numbers; ratios to the peers."""
    steps = bench.size(1000, 10)
    f = partial(lotka_volterra, steps=steps)
    bench.about(f"Lotka-Volterra, {steps} Runge-Kutta steps")
    want = complex_step(f, LV_POINT.tolist())
    g = ad.grad(f)
    bench.row("until the first gradient, cold", bench.clock(lambda: g(LV_POINT)), who="fastad", kind="first")
    for point in (LV_POINT, 1.02 * LV_POINT):
        bench.verify("ad.grad", g(point), complex_step(f, point.tolist()))
    tape, plain = first_gradient(bench, f, steps)
    steady_gradients(bench, tape, plain, want)
    state_vector(bench, steps, tape, want)
    makers = {name: partial(recipe, LV_POINT, steps) for name, recipe in PEERS.items()}
    makers["c"] = c_code.gradient("lotka_volterra", LV_POINT, steps, 0.01)
    # autograd takes seconds for each: one is enough.
    peers.compare(bench, makers, want, lambda: g(LV_POINT), bench.best, timers={"autograd": peers.once},
                  limits={"casadi": 0.4, "jax": 0.12, "aadc": 3.0})


def first_gradient(bench, f, steps):
    """The rows with the levels; returns the tape and plain Python's time for f."""
    p = LV_POINT
    plain_f, values = partial(twin(lotka_volterra), steps=steps), p.tolist()
    record, first, plain = bench.best(lambda: ad.record(f, p), lambda: ad.record(f, p).gradient(p),
                                      lambda: plain_f(values), seconds=0.5)
    bench.size_of(ad.record(f, p))
    bench.row("plain f(p) in Python", plain, who="numpy", kind="value")
    bench.row("record", record, level=8e-3, ratio=record / plain, to="plain f(p)", who="fastad", kind="record")
    bench.row("first gradient: record, then tier 0", first, level=12e-3, ratio=first / plain, to="plain f(p)")
    return ad.record(f, p), plain


def steady_gradients(bench, tape, plain, want):
    """Gradients by the tape's own sweeps, then by its compiled program, which must agree."""
    p = LV_POINT

    def sweeps():
        tape.forward(p)
        return tape.reverse(1.0)

    bench.verify("tier 0", sweeps(), want)
    time = bench.best(sweeps)
    bench.row("gradient, tier 0, steady", time, ratio=time / plain, to="plain f(p)")
    with bench.part("Lotka-Volterra, compiled"):
        start = perf_counter()
        tape.compile()
        bench.row("tape.compile()", perf_counter() - start)
        bench.verify("compiled", tape.gradient(p), want)
        time = bench.best(lambda: tape.gradient(p))
        bench.row("gradient, compiled, steady", time, level=0.35e-3, ratio=time / plain, to="plain f(p)", who="fastad",
                  kind="gradient")


def state_vector(bench, steps, numbers, want):
    """The same with a state vector: in compiled tapes it is two numbers."""
    p = LV_POINT
    f = partial(lotka_volterra_vector, steps=steps)
    tape = ad.record(f, p)
    bench.row("record, a state vector", bench.best(lambda: ad.record(f, p), seconds=0.5))
    start = perf_counter()
    tape.compile()
    bench.row("tape.compile(), a state vector", perf_counter() - start)
    bench.verify("a state vector", tape.gradient(p), want)
    vector, number = bench.best(lambda: tape.gradient(p), lambda: numbers.gradient(p))
    bench.row("gradient, compiled, a state vector", vector, level=1.2 * number, ratio=vector / number, to="numbers",
              who="fastad", kind="vector")


def by_autograd(p, steps):
    import autograd
    gradient = autograd.grad(partial(lotka_volterra, steps=steps))
    return lambda: gradient(p)


def by_jax(p, steps, h=0.01, wrap=lambda gradient: gradient):
    """The time loop as `lax.scan`, which is what JAX asks for: unrolled it would compile for minutes."""
    jax = peers.x64_jax()

    def loss(p):
        a, b, c, d = p[0], p[1], p[2], p[3]

        def rate(x, y):
            return (a - b * y) * x, (d * x - c) * y

        def step(state, _):
            x, y = state
            k1, l1 = rate(x, y)
            k2, l2 = rate(x + 0.5 * h * k1, y + 0.5 * h * l1)
            k3, l3 = rate(x + 0.5 * h * k2, y + 0.5 * h * l2)
            k4, l4 = rate(x + h * k3, y + h * l3)
            return (x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4), y + h / 6 * (l1 + 2 * l2 + 2 * l3 + l4)), None

        (x, y), _ = jax.lax.scan(step, (p[4], p[5]), None, length=steps)
        return x * x + y

    gradient = jax.jit(wrap(jax.grad(loss)))
    return lambda: np.asarray(gradient(p))


def by_casadi(p, steps):
    import casadi
    symbol = casadi.SX.sym("p", 6)
    value = lotka_volterra(casadi.vertsplit(symbol), steps)
    function = casadi.Function("g", [symbol], [casadi.gradient(value, symbol)])
    return lambda: np.asarray(function(p)).ravel()


def by_aadc(p, steps):
    import aadc
    with aadc.record_kernel() as kernel:
        traced = [aadc.idouble(value) for value in p]
        inputs = [value.mark_as_input() for value in traced]
        output = lotka_volterra(traced, steps).mark_as_output()
    kernel.compile("scalar")
    return peers.aadc_replay(kernel, inputs, output, p)


PEERS = {"autograd": by_autograd, "jax": by_jax, "casadi": by_casadi, "aadc": by_aadc}
