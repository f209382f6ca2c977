"""The peers: which are installed, and how each is asked for a gradient.

Owns: everything that is said in a peer's own language, so that a case is told in plain NumPy.  Each recipe is what the
peer's documentation recommends for speed: jit and float64 in JAX, SX in CasADi, the compiled scalar workspace in aadc,
`torch.compile` around `torch.func.grad` (twice as fast as a compiled function whose backward is called).
Must not know: fastad.  Peers are imported where they are used, since most machines have none of them.
Next: c_code.py (the yardsticks in C), cases/lotka_volterra.py (what is particular to a time loop).
"""
import contextlib
import importlib.util
import os
import sys
import warnings
from time import perf_counter
from types import SimpleNamespace

import numpy as np

from benchmarks import c_code
from benchmarks.conditions import here
from benchmarks.harness import peak_memory, sample

NAMES = ["c", "jax", "torch_compile", "torch", "autograd", "casadi", "aadc", "deepwave"]
MODULES = {"torch_compile": "torch"}


def installed(wanted):
    """Those of the wanted peers that can be imported (C: for which there is gcc), in the order of `NAMES`."""
    def found(name):
        return c_code.compiler() if name == "c" else importlib.util.find_spec(MODULES.get(name, name))
    return [name for name in NAMES if name in wanted and found(name) is not None]


# Each takes f(x, xp), which computes with the namespace xp, and the point x; each returns gradient() -> ndarray.

def autograd_gradient(f, x):
    import autograd
    import autograd.numpy as anp
    gradient = autograd.grad(lambda x: f(x, anp))
    return lambda: gradient(x)


def jax_gradient(f, x):
    jax = x64_jax()
    gradient = jax.jit(jax.grad(lambda x: f(x, jax.numpy)))
    return lambda: np.asarray(gradient(x))


def torch_gradient(f, x):
    torch = threaded_torch()

    def gradient():
        leaf = torch.from_numpy(x).requires_grad_()
        return torch.autograd.grad(f(leaf, torch), leaf)[0].numpy()
    return gradient


def torch_compile_gradient(f, x):
    torch = threaded_torch()
    torch.compiler.reset()              # it would take a program of any n from the last size, as fast or not
    gradient = torch.compile(torch.func.grad(lambda x: f(x, torch)))
    return lambda: gradient(torch.from_numpy(x)).numpy()


def casadi_gradient(f, x):
    import casadi
    names = ("exp", "sin", "cos", "tanh", "log1p", "sqrt")
    xp = SimpleNamespace(sum=casadi.sum1, **{name: getattr(casadi, name) for name in names})
    symbol = casadi.SX.sym("x", x.size)
    function = casadi.Function("g", [symbol], [casadi.gradient(f(symbol, xp), symbol)])
    return lambda: np.asarray(function(x)).ravel()


def aadc_gradient(f, x):
    import aadc
    with aadc.record_kernel() as kernel:
        traced = aadc.array(x)
        inputs = np.asarray(traced.mark_as_input()).ravel()
        output = f(traced, np).mark_as_output()
    kernel.compile("scalar")
    return aadc_replay(kernel, inputs, output, x)


def aadc_replay(kernel, inputs, output, x):
    """The replay of a compiled kernel, one scenario at a time."""
    work = kernel.create_workspace(kind="scalar")

    def gradient():
        for handle, value in zip(inputs, x, strict=True):
            work.set_val(handle, value)
        work.forward()
        work.set_diff(output, 1.0)
        work.reverse()
        return np.array([work.diff(handle) for handle in inputs])
    return gradient


GRADIENTS = {"jax": jax_gradient, "torch_compile": torch_compile_gradient, "torch": torch_gradient,
             "autograd": autograd_gradient, "casadi": casadi_gradient, "aadc": aadc_gradient}


def recipes(f, x, skip=(), **special):
    """name: make() -> gradient() for every peer that takes ``f(x, xp)`` as it is; `special` adds or replaces."""
    general = {name: lambda make=make: make(f, x) for name, make in GRADIENTS.items() if name not in skip}
    return {**general, **special}


def compare(bench, makers, want, ours, timer, limits=None, timers=None, memory=False, what="gradient"):
    """Two rows for each peer in the run: until its first gradient, and the steady one as a ratio to ours.

    Parameters
    ----------
    makers : dict
        name: make() -> gradient() -> ndarray; see `recipes`.
    want : ndarray
        What a peer has to give before it is timed.
    ours : callable
        Our gradient at the same point, timed in turns with each peer's.
    timer : callable
        `Bench.best`, `typical` or `call_time`; `timers` names another for a peer.
    limits : dict, optional
        name: the most that our time may be, in units of the peer's.
    memory : bool, optional
        A third row: the memory until the first gradient is there.
    """
    for name in bench.peers:
        if name in makers:
            with bench.part(f"{what} by {name}"):
                gradient = prepare(bench, name, makers[name], want, memory, what)
                bench.against(name, gradient, ours, (timers or {}).get(name, timer), (limits or {}).get(name), what)


def prepare(bench, name, make, want, memory=False, what="gradient"):
    """A peer's gradient, ready and verified; prints how long that took."""
    warm_up(name)
    start = perf_counter()
    (gradient, got), peak = peak_memory(lambda: called_once(make))
    ready = perf_counter() - start
    bench.verify(f"{what} by {name}", got, want, rtol=1e-8)
    bench.row(f"{name}: until the first {what}", ready, who=name, kind="first")
    if memory and np.isfinite(peak):
        bench.row(f"{name}: memory until then", peak, "B", who=name, kind="memory")
    return gradient


def called_once(make):
    gradient = make()
    return gradient, gradient()


def warm_up(name):
    """Import the peer and let it start its engine: that is no part of preparing a function."""
    x = np.array([1.0, 2.0])
    if name in GRADIENTS:
        with silence():
            GRADIENTS[name](lambda x, xp: xp.sum(x * x), x)()


def once(*actions):
    """A timer for what takes seconds: one call of each."""
    return [sample(action, 1) for action in actions]


def threaded_torch():
    """PyTorch with the threads and vector length of this run."""
    import torch
    warnings.filterwarnings("ignore", "dynamo_pgo", UserWarning)        # that its cache is off is what we asked for
    torch.set_num_threads(here().threads)
    if here().cpu == "v3":
        import torch._inductor.config as inductor
        inductor.cpp.simdlen = 256
    return torch


def x64_jax():
    import jax
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_platforms", "cpu")
    return jax


@contextlib.contextmanager
def silence():
    """File descriptors 1 and 2 to nowhere: aadc writes its licence from C, into the middle of the table."""
    sys.stdout.flush()
    saved = [os.dup(1), os.dup(2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        yield
    finally:
        for descriptor, copy in enumerate(saved, start=1):
            os.dup2(copy, descriptor)
            os.close(copy)
        os.close(nowhere)
