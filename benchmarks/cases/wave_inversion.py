"""The gradient of a seismic misfit: acoustic waves, 200 by 200 cells, 500 steps in a NumPy loop, one shot.

Stresses an unrolled time loop over arrays that fit the second-level cache: stencils by slices, writes into a fresh
array at every step, and the memory that a tape of 500 steps keeps.
"""
import gc
import warnings
from functools import partial
from time import perf_counter

import numpy as np

import fastad as ad
from benchmarks import c_code, peers
from benchmarks.harness import peak_memory
from benchmarks.models import shot, wave_gradient, wave_misfit

THREADS = True


def run(bench):
    """Levels: 75 ms, 0.55 of deepwave and JAX, 2.5 of C, and a gradient of at most three runs of the model in NumPy,
    3.5 in C that keeps every wave; recording 0.3 s, and the first gradient 1.5 steady ones and 0.3 s; in float32 at
    most 0.65 of float64."""
    n, steps = bench.size((200, 500), (12, 20))
    survey, c2 = shot(n, steps)
    f, want = partial(wave_misfit, survey=survey), wave_gradient(c2, survey)
    bench.about(f"acoustic waves, {n} x {n}, {steps} steps")
    gradient, first = ours(bench, f, c2, want)
    value, hand, time = bench.best(lambda: f(c2), lambda: wave_gradient(c2, survey), gradient, at_least=3)
    bench.row("f(c2) in NumPy", value, who="numpy", kind="value")
    bench.row("gradient by hand in NumPy", hand, ratio=time / hand, to="by hand", who="numpy", kind="gradient")
    bench.row("ad.grad(f)(c2), steady", time, level=75e-3, ratio=time / value, to="f(c2) in NumPy",
              who="fastad", kind="gradient")
    bench.row("until the first gradient, cold", first, level=1.5 * time + 0.3, who="fastad", kind="first")
    bench.cost(time, value, "f(c2) in NumPy")
    in_float32(bench, c2, survey, want, gradient)
    if "c" in bench.peers:
        in_forwards(bench, c2, survey, f, gradient)
    makers = {"c": partial(by_c, c2, survey, bench.threads), "jax": partial(by_jax, c2, survey),
              "torch": partial(by_torch, c2, survey, False), "torch_compile": partial(by_torch, c2, survey, True),
              "deepwave": partial(by_deepwave, c2, survey)}
    limits = {"deepwave": 0.55, "jax": 0.55, "c": 2.5}
    peers.compare(bench, makers, want, gradient, partial(bench.best, at_least=2), limits, memory=True)
    gc.collect()


def ours(bench, f, c2, want):
    """Our steady gradient and the time of its first call, after its rows; the tape is dropped with the function."""
    g = ad.grad(f, audit=False)         # an audit runs the model once more, on calls 2, 4, 8, ...: not in this figure
    start = perf_counter()
    got, peak = peak_memory(lambda: g(c2))
    first = perf_counter() - start
    bench.verify("gradient", got, want)
    bench.row("memory until then", peak, "B", who="fastad", kind="memory")
    bench.size_of(ad.record(f, c2))
    record = bench.best(lambda: ad.record(f, c2), seconds=0.0, at_least=2)
    bench.row("record", record, level=0.3, who="fastad", kind="record")
    bench.verify("gradient again", g(c2), want)
    return (lambda: g(c2)), first


def in_float32(bench, c2, survey, want, gradient):
    """The same with half the bytes: data, unknowns and waves in float32.

    Ahead of the waves are numbers too small for float32's usual range, on which many processors are slow; NumPy has
    them, too, and so they are computed: on such processors their products by way of float64.
    """
    single, c2 = ad.grad(partial(wave_misfit, survey=survey.astype(np.float32)), audit=False), c2.astype(np.float32)
    for _ in range(4):
        got = single(c2)
    bench.verify("gradient in float32", got, want, rtol=1e-3)
    half, whole = bench.best(lambda: single(c2), gradient, at_least=4)
    bench.row("in float32", half, level=0.65 * whole, ratio=half / whole, to="float64", who="fastad", kind="float32")


def in_forwards(bench, c2, survey, f, gradient):
    """Our gradient in runs of the model that keep every wave for an adjoint, by C: our own value keeps nothing."""
    forward = c_code.function("wave_inversion", "wave_inversion_value", c2.size, c2, np.empty_like(c2),
                              *of_c(c2, survey), bench.threads, result=c_code.DOUBLE)
    bench.verify("misfit by C", forward(), f(c2))
    kept, time = bench.best(forward, gradient, at_least=3)
    bench.row("c: f(c2), every wave kept", kept, who="c", kind="value")
    bench.cost(time, kept, "C's f(c2), every wave kept", 3.5)


def of_c(c2, survey):
    """What the C code takes between the gradient and the number of threads."""
    n, steps = len(c2), len(survey.wavelet)
    return (n, steps, survey.source, survey.receivers, survey.wavelet, survey.data, np.zeros((steps + 2, n, n)),
            np.zeros((3, n, n)))


def by_c(c2, survey, threads):
    return c_code.gradient("wave_inversion", c2, *of_c(c2, survey), threads=threads)()


def by_jax(c2, survey):
    """The time loop as `lax.scan`."""
    jax = peers.x64_jax()
    jnp, at, row = jax.numpy, survey.source, survey.receivers

    def misfit(c2):
        def step(state, now_given):
            (old, now), (pulse, record) = state, now_given
            inner = now[1:-1, 1:-1]
            laplacian = now[2:, 1:-1] + now[:-2, 1:-1] + now[1:-1, 2:] + now[1:-1, :-2] - 4.0 * inner
            new = jnp.pad(2.0 * inner - old[1:-1, 1:-1] + c2[1:-1, 1:-1] * laplacian, 1)
            new = new.at[at, at].add(pulse)
            return (now, new), 0.5 * jnp.sum((new[row] - record) ** 2)

        zero = jnp.zeros(c2.shape)
        return jnp.sum(jax.lax.scan(step, (zero, zero), (survey.wavelet, survey.data))[1])

    gradient = jax.jit(jax.grad(misfit))
    return lambda: np.asarray(gradient(c2))


def by_torch(c2, survey, compiled):
    """The loop in Python; compiled, each step is one call of compiled code (the whole loop compiles for minutes)."""
    torch = peers.threaded_torch()
    at, row = survey.source, survey.receivers
    pulses = torch.zeros((len(survey.wavelet), *c2.shape), dtype=torch.float64)
    pulses[:, at, at] = torch.from_numpy(survey.wavelet)
    data = torch.from_numpy(survey.data)

    def step(c2, old, now, pulse):
        inner = now[1:-1, 1:-1]
        laplacian = now[2:, 1:-1] + now[:-2, 1:-1] + now[1:-1, 2:] + now[1:-1, :-2] - 4.0 * inner
        new = 2.0 * inner - old[1:-1, 1:-1] + c2[1:-1, 1:-1] * laplacian
        return torch.nn.functional.pad(new, (1, 1, 1, 1)) + pulse

    step = torch.compile(step) if compiled else step

    def gradient():
        leaf = torch.from_numpy(c2).requires_grad_()
        old = now = torch.zeros(c2.shape, dtype=torch.float64)
        misfit = 0.0
        for k in range(len(pulses)):
            old, now = now, step(leaf, old, now, pulses[k])
            misfit = misfit + 0.5 * torch.sum((now[row] - data[k]) ** 2)
        return torch.autograd.grad(misfit, leaf)[0].numpy()
    return gradient


def by_deepwave(c2, survey):
    """Compiled C by hand for this very problem, forwards and back.  The same numbers, not only the same physics: its
    grid is what is inside of our edges, which it surrounds by zeros (no absorbing layer, so none of its cost); a
    cell and a step are the units; its source grows with the square of the velocity, which is divided out; its records
    begin a step earlier; and a larger Courant number keeps it from halving the step."""
    import deepwave
    torch = peers.threaded_torch()
    at, row = survey.source - 1, survey.receivers - 1
    columns = torch.arange(len(c2) - 2)
    source, receivers = torch.tensor([[[at, at]]]), torch.stack([torch.full_like(columns, row), columns], 1)[None]
    pulses = torch.nn.functional.pad(torch.from_numpy(survey.wavelet), (0, 1))[None, None]
    data = torch.from_numpy(survey.data[:, 1:-1].T.copy())

    def gradient():
        leaf = torch.from_numpy(c2).requires_grad_()
        velocity = torch.sqrt(leaf[1:-1, 1:-1])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")         # few cells for a wavelength: so has ours
            records = deepwave.scalar(velocity, 1.0, 1.0, source_amplitudes=-pulses / velocity[at, at] ** 2,
                                      source_locations=source, receiver_locations=receivers, accuracy=2, pml_width=0,
                                      boundary="free", pml_freq=0.06, courant_number=0.7, check_output_finite=False)[-1]
        misfit = 0.5 * torch.sum((records[0, :, 1:] - data) ** 2)
        return torch.autograd.grad(misfit, leaf)[0].numpy()
    return gradient
