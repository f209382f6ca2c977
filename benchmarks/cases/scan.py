"""Time loops stored once: the waves and the predators of two other cases, by `ad.scan` beside the unrolled loop.

Stresses what a step costs beyond its arithmetic: where the state lies, what is kept for the adjoint and computed again.
"""
from functools import partial

import numpy as np

import fastad as ad
from benchmarks import peers
from benchmarks.models import shot, wave_gradient, wave_misfit, waves_in_buffers
from benchmarks.programs import LV_POINT, complex_step, lotka_volterra
from fastad import _scan, llvm_code

THREADS = True


def run(bench):
    """Levels: numbers by scan at least as fast as unrolled; unrolled waves at most 1.3 x those by scan, in whatever
    buffers; within a tenth of the memory at most 2.2 x; 100,000 steps of Lorenz's equations by Runge and Kutta at most
    0.1 x JAX.  Without a level, for comparison: a gradient of waves in units of a value that keeps no wave (forwards
    that keep them, of which a gradient takes at most 3.5, are in wave_inversion); Euler's steps by numbers, of which
    JAX's compiler makes one loop, so that its tenth, some 5 cycles, is less than two operations that wait for each
    other take, and a step has four of them each way."""
    steps = bench.size(1000, 10)
    f = partial(lotka_volterra, steps=steps)
    want = complex_step(f, LV_POINT.tolist())
    bench.about(f"Lotka-Volterra, {steps} steps")
    scanned, unrolled = compare(bench, LV_POINT, want, partial(lotka_volterra_by_scan, steps=steps), f)
    bench.row("by scan", scanned, level=unrolled, ratio=scanned / unrolled, to="unrolled", who="fastad",
              kind="gradient")
    with_llvm(bench, partial(lotka_volterra_by_scan, steps=steps), LV_POINT, want, scanned)
    n, steps = bench.size((200, 500), (12, 20))
    survey, c2 = shot(n, steps)
    f = partial(wave_misfit, survey=survey)
    bench.about(f"acoustic waves, {n} x {n}, {steps} steps")
    scanned, unrolled, rotated = compare(bench, c2, wave_gradient(c2, survey), partial(waves_by_scan, survey=survey), f,
                                         partial(waves_in_buffers, survey=survey))
    bench.row("by scan", scanned, ratio=scanned / unrolled, to="unrolled", who="fastad", kind="gradient")
    for kind, time in ("unrolled", unrolled), ("unrolled, in buffers that rotate", rotated):
        bench.row(kind, time, level=1.3 * scanned, ratio=time / scanned, to="by scan", who="fastad", kind="gradient")
    for kind, model in (("by scan", partial(waves_by_scan, survey=survey)), ("unrolled", f)):
        within_a_tenth(bench, kind, model, c2)
    value = ad.record(partial(waves_by_scan, survey=survey), c2)
    value.compile()
    bench.row("gradient in units of its value, which keeps no wave", scanned / bench.best(lambda: value(c2)), "")
    steps = bench.size(100_000, 100)
    lorenz_equations(bench, steps, "Euler, numbers", euler, euler_by_scan, euler_by_jax)
    lorenz_equations(bench, steps, "Runge-Kutta, a state vector", runge_kutta, runge_kutta_by_scan, runge_kutta_by_jax,
                     {"jax": 0.1})


def lorenz_equations(bench, steps, what, plain, by_scan, by_jax, limits=None):
    bench.about(f"Lorenz's equations, {steps} steps ({what})")
    want = complex_step(partial(plain, steps=steps), LORENZ_POINT.tolist())
    gradient = ad.grad(partial(by_scan, steps=steps), audit=False)
    for _ in range(10):
        bench.verify("gradient", gradient(LORENZ_POINT), want)
    time = bench.best(lambda: gradient(LORENZ_POINT))
    bench.row("gradient by scan", time, who="fastad", kind="gradient")
    with_llvm(bench, partial(by_scan, steps=steps), LORENZ_POINT, want, time)
    makers = {"jax": partial(by_jax, LORENZ_POINT, steps)} if "jax" in bench.peers else {}
    peers.compare(bench, makers, want, lambda: gradient(LORENZ_POINT), partial(bench.best, at_least=3), limits)


def with_llvm(bench, f, x, want, default):
    """The same loop compiled by LLVM, where llvmlite is installed (`pip install 'fastad[jit]'`): the same bits."""
    if not llvm_code.available():
        return
    gradient, mode = ad.grad(f, audit=False), _scan.native_mode()
    bits = gradient(x).tobytes()
    _scan.native_mode("always")
    try:
        gradient.clear()                 # what is recorded anew is compiled anew
        for _ in range(10):
            bench.verify("gradient", gradient(x), want)
        made = gradient.stats().native
        if gradient(x).tobytes() != bits or made is None:
            raise AssertionError("by LLVM: other bits, or not compiled")
        time = bench.best(lambda: gradient(x), at_least=3)
        bench.row("gradient by scan, with LLVM", time, ratio=time / default, to="fastad", who="fastad_llvm",
                  kind="gradient")
        bench.row("compiled by LLVM in", made.seconds)
    finally:
        _scan.native_mode(mode)
        gradient.clear()


def within_a_tenth(bench, kind, f, x):
    """The same gradient, bit for bit, in a tenth of the memory (or in the least, if that is more)."""
    whole = ad.grad(f, audit=False, memory="1TB")
    want, peak = whole(x), whole.stats().memory.peak
    budget = peak // 10
    try:
        tight = ad.grad(f, audit=False, memory=budget)
        got = tight(x)
    except ad.BudgetError as error:
        budget = error.smallest
        tight = ad.grad(f, audit=False, memory=budget)
        got = tight(x)
    if got.tobytes() != want.tobytes():
        raise AssertionError(f"{kind}: the gradient within a budget has other bits")
    time, kept = bench.best(partial(tight, x), partial(whole, x), at_least=3)
    report = tight.stats().memory
    bench.row(f"{kind}, in {report.peak / peak:.2f} of its memory, {report.recomputed:.2f} runs of each step", time,
              level=2.2 * kept, ratio=time / kept, to="all kept", who="fastad", kind="bounded")
    bench.row(f"{kind}, the peak of its sweeps", report.peak, "B", level=budget, ratio=report.peak / peak,
              to="all kept")


def compare(bench, x, want, *functions):
    """Steady gradients of all, which must agree with the answer."""
    gradients = [ad.grad(f, audit=False) for f in functions]
    for g in gradients:
        for _ in range(10):
            got = g(x)
        bench.verify("gradient", got, want)
    return bench.best(*[partial(g, x) for g in gradients], at_least=3)


def lotka_volterra_by_scan(p, steps):
    """The step of programs.lotka_volterra."""
    def step(state, _):
        return lotka_volterra_step(p, *state), None
    x, y = ad.scan(step, (p[4], p[5]), length=steps)[0]
    return x * x + y


def lotka_volterra_step(p, x, y, h=0.01):
    a, b, c, d = p[0], p[1], p[2], p[3]
    k1, l1 = (a - b * y) * x, (d * x - c) * y
    u, v = x + 0.5 * h * k1, y + 0.5 * h * l1
    k2, l2 = (a - b * v) * u, (d * u - c) * v
    u, v = x + 0.5 * h * k2, y + 0.5 * h * l2
    k3, l3 = (a - b * v) * u, (d * u - c) * v
    u, v = x + h * k3, y + h * l3
    k4, l4 = (a - b * v) * u, (d * u - c) * v
    return x + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4), y + h / 6.0 * (l1 + 2.0 * l2 + 2.0 * l3 + l4)


def waves_by_scan(c2, survey):
    """The step of models.wave_misfit."""
    def step(state, given):
        (old, now), (pulse, record) = state, given
        inner = now[1:-1, 1:-1]
        laplacian = now[2:, 1:-1] + now[:-2, 1:-1] + now[1:-1, 2:] + now[1:-1, :-2] - 4.0 * inner
        new = np.zeros(c2.shape)
        new[1:-1, 1:-1] = 2.0 * inner - old[1:-1, 1:-1] + c2[1:-1, 1:-1] * laplacian
        new[survey.source, survey.source] += pulse
        return (now, new), 0.5 * np.sum((new[survey.receivers] - record) ** 2)
    zero = np.zeros(c2.shape)
    return np.sum(ad.scan(step, (zero, zero), (survey.wavelet, survey.data))[1])


LORENZ_POINT = np.array([10.0, 28.0, 8.0 / 3.0])


def euler_step(p, x, y, z, h=1e-5):
    """Three numbers, for so short a time that the chaos does not show."""
    return x + h * p[0] * (y - x), y + h * (x * (p[1] - z) - y), z + h * (x * y - p[2] * z)


def euler(p, steps):
    x, y, z = 1.0, 1.0, 20.0
    for _ in range(steps):
        x, y, z = euler_step(p, x, y, z)
    return x * x + y * y + z


def euler_by_scan(p, steps, scan=ad.scan):
    x, y, z = scan(lambda state, _: (euler_step(p, *state), None), (1.0, 1.0, 20.0), None, length=steps)[0]
    return x * x + y * y + z


def euler_by_jax(p, steps):
    return jitted_gradient(lambda jax, p: euler_by_scan(p, steps, jax.lax.scan), p)


def runge_kutta_step(rate, s, h=1e-5):
    k1 = rate(s)
    k2 = rate(s + 0.5 * h * k1)
    k3 = rate(s + 0.5 * h * k2)
    return s + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + rate(s + h * k3))


def runge_kutta_by_scan(p, steps, scan=ad.scan, xp=np):
    """As users write an equation: the state is a vector, and what drives it is put together by np.array."""
    def rate(s):
        x, y, z = s[0], s[1], s[2]
        return xp.array([p[0] * (y - x), x * (p[1] - z) - y, x * y - p[2] * z])
    s, _ = scan(lambda s, _: (runge_kutta_step(rate, s), None), xp.array([1.0, 1.0, 20.0]), None, length=steps)
    return s[0] * s[0] + s[1] * s[1] + s[2]


def runge_kutta(p, steps, h=1e-5):
    """The same by numbers: plain arrays of three take a minute."""
    def rate(x, y, z):
        return p[0] * (y - x), x * (p[1] - z) - y, x * y - p[2] * z

    def moved(s, step, k):
        return [a + step * b for a, b in zip(s, k, strict=True)]
    s = 1.0, 1.0, 20.0
    for _ in range(steps):
        k1 = rate(*s)
        k2 = rate(*moved(s, 0.5 * h, k1))
        k3 = rate(*moved(s, 0.5 * h, k2))
        k4 = rate(*moved(s, h, k3))
        s = moved(s, h / 6.0, [a + 2.0 * b + 2.0 * c + d for a, b, c, d in zip(k1, k2, k3, k4, strict=True)])
    return s[0] * s[0] + s[1] * s[1] + s[2]


def runge_kutta_by_jax(p, steps):
    return jitted_gradient(lambda jax, p: runge_kutta_by_scan(p, steps, jax.lax.scan, jax.numpy), p)


def jitted_gradient(f, p):
    jax = peers.x64_jax()
    gradient = jax.jit(jax.grad(partial(f, jax)))
    return lambda: np.asarray(gradient(p))
