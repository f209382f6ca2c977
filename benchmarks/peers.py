"""The peers: which are installed, and how each is asked for a gradient.

Owns: everything that is said in a peer's own language, so that a case is told in plain NumPy.  Each recipe is what the
peer's documentation recommends for speed: jit and float64 in JAX, SX in CasADi, the compiled scalar workspace in aadc.
Must not know: fastad.  Peers are imported where they are used, since most machines have none of them.
Next: cases/lotka_volterra.py (what is particular to a time loop).
"""
import contextlib
import importlib.util
import os
import sys
from time import perf_counter
from types import SimpleNamespace

import numpy as np

NAMES = ["autograd", "jax", "casadi", "aadc"]


def installed(wanted):
    """Those of the wanted peers that can be imported, in the order of `NAMES`."""
    return [name for name in NAMES if name in wanted and importlib.util.find_spec(name) is not None]


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


GRADIENTS = {"autograd": autograd_gradient, "jax": jax_gradient, "casadi": casadi_gradient, "aadc": aadc_gradient}


def compare(bench, f, x, want, ours, timer, skip=()):
    """Two rows for each peer in the run: until its first gradient, and the steady one as a ratio to ours.

    Parameters
    ----------
    f : callable
        ``f(x, xp)``, written with the namespace `xp`.
    ours : callable
        Our gradient at `x`, timed in turns with each peer's by `timer`.
    """
    for name in bench.peers:
        if name not in skip:
            with bench.part(f"gradient by {name}"):
                gradient = prepare(bench, name, lambda name=name: GRADIENTS[name](f, x), want)
                bench.against(name, gradient, ours, timer)


def prepare(bench, name, make, want, rtol=1e-9):
    """A peer's gradient, ready and verified; prints how long that took."""
    warm_up(name)
    start = perf_counter()
    gradient = make()
    got = gradient()
    ready = perf_counter() - start
    bench.verify(f"gradient by {name}", got, want, rtol=rtol)
    bench.row(f"{name}: until the first gradient", ready)
    return gradient


def warm_up(name):
    """Import the peer and let it start its engine: that is no part of preparing a function."""
    x = np.array([1.0, 2.0])
    with silence():
        GRADIENTS[name](lambda x, xp: xp.sum(x * x), x)()


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
