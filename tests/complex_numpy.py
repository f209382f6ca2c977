"""The complex step through code that was written for real numbers.

Owns: a stand-in for the name `np` in the models' modules, under which arrays are complex and functions that are not
analytic (arctan2, norms, floor, variances ...) are continued from the real line.  Must not know: fastad.
"""
import contextlib
import sys
import types

import numpy as np

STEP = 1e-40
MAKING = ("zeros", "empty", "ones", "full", "eye", "zeros_like", "empty_like", "ones_like", "linspace")


def _made(name):
    original = getattr(np, name)

    def make(*args, **kwargs):
        out = original(*args, **kwargs)
        return out.astype(complex) if out.dtype.kind == "f" else out
    return make


def _converted(original):
    """np.asarray and its kin: a wish for floats is one for complex numbers."""
    def convert(*args, dtype=None, **kwargs):
        out = original(*args, dtype=complex if dtype in (float, np.float64) else dtype, **kwargs)
        return out.astype(complex) if out.dtype.kind == "f" else out
    return convert


def arctan2(y, x):
    y, x = np.asarray(y), np.asarray(x)
    slope = (x.real * y.imag - y.real * x.imag) / (x.real**2 + y.real**2)
    return np.arctan2(y.real, x.real) + 1j * slope


def norm(x, axis=None):
    return np.sqrt(np.sum(x * x, axis=axis))


def var(x, axis=None):
    return np.mean((x - np.mean(x, axis=axis, keepdims=True))**2, axis=axis)


def _real_first(function):
    return lambda x, *rest: function(np.real(x), *rest)


class _Linalg(types.SimpleNamespace):
    def __getattr__(self, name):
        return getattr(np.linalg, name)


class ComplexNumPy(types.ModuleType):
    """NumPy, continued into the complex plane."""

    def __init__(self):
        super().__init__("numpy")
        for name in MAKING:
            setattr(self, name, _made(name))
        for name in ("array", "asarray", "ascontiguousarray"):
            setattr(self, name, _converted(getattr(np, name)))
        for name in ("floor", "round", "searchsorted", "sign"):
            setattr(self, name, _real_first(getattr(np, name)))
        self.arctan2, self.var = arctan2, var
        self.vdot = lambda a, b: np.sum(np.ravel(a) * np.ravel(b))
        self.hypot = lambda a, b: np.sqrt(a * a + b * b)
        self.logaddexp = lambda a, b: np.log(np.exp(a) + np.exp(b))
        self.mod = lambda a, b: a - b * np.floor(np.real(a) / np.real(b))
        self.float64 = complex
        self.linalg = _Linalg(norm=norm)

    def __getattr__(self, name):
        return getattr(np, name)


@contextlib.contextmanager
def _continued():
    modules = [m for name, m in list(sys.modules.items()) if name.startswith("tests.models.")]
    stand_in = ComplexNumPy()
    for module in modules:
        module.np = stand_in
    try:
        yield
    finally:
        for module in modules:
            module.np = np


def complex_step(f, x):
    """The Jacobian of f at x, exact to rounding: imaginary parts, with a step far below it."""
    columns = []
    with _continued():
        for i in range(len(x)):
            z = x.astype(complex)
            z[i] += STEP * 1j
            columns.append(np.imag(f(z)) / STEP)
    return np.array(columns).T
