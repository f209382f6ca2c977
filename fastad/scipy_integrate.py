"""scipy_integrate.py - integrals of samples: scipy.integrate.trapezoid, simpson and the like, and fixed_quad.

Owns: their formulas over recorded functions; by the ordinates, and by the abscissae where they are traced.
Must not know: integrals whose nodes depend on values (quad, solve_ivp: scipy_refused.py).  Next: scipy_doors.py.
"""
from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import roots_legendre

from fastad import _tape as T
from fastad.scipy_doors import floats, plain, records


def _last(y: Any, axis: Any) -> Any:
    """y as an array of floats with the axis of integration last."""
    return np.moveaxis(floats(y), axis, -1)


def _steps(y: Any, x: Any, dx: Any, axis: Any) -> Any:
    """Differences of the abscissae, that broadcast against differences of y along its last axis."""
    if x is None:
        return np.broadcast_to(dx, (y.shape[-1] - 1,)) if np.ndim(dx) == 0 else np.moveaxis(dx, axis, -1)
    x = floats(x)
    return np.diff(x if x.ndim == 1 else np.moveaxis(x, axis, -1), axis=-1)


def _checked(name: str, *args: Any, **kwargs: Any) -> None:
    """SciPy's own errors for what it does not take."""
    plain("scipy.integrate", name, *args, **kwargs)


@records("scipy.integrate", "trapezoid")
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: Any = -1) -> Any:
    """Composite trapezoidal rule."""
    return np.trapezoid(floats(y), x if x is None else floats(x), dx, axis)


@records("scipy.integrate", "cumulative_trapezoid")
def cumulative_trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: Any = -1, initial: Any = None) -> Any:
    """Running trapezoidal rule."""
    _checked("cumulative_trapezoid", y, x, dx, axis, initial)
    y = _last(y, axis)
    out = np.cumsum(_steps(y, x, dx, axis) * (y[..., 1:] + y[..., :-1]) / 2.0, axis=-1)
    return np.moveaxis(out if initial is None else _started(out, 0.0), -1, axis)


def _started(out: Any, first: Any) -> Any:
    head = np.broadcast_to(first, (*out.shape[:-1], 1)) * 1.0
    return np.concatenate([head, out], axis=-1)


def _ratio(a: Any, b: Any) -> Any:
    """a/b, and 0 where b is 0, as SciPy divides in Simpson's rule."""
    if T.is_traced(b):
        return np.where(b == 0, 0.0, a / np.where(b == 0, 1.0, b))
    return a * np.where(b == 0, 0.0, 1.0 / np.where(b == 0, 1.0, b))


def _pairs(y: Any, h: Any) -> Any:
    """Simpson's rule over an even number of steps."""
    h0, h1 = h[..., 0::2], h[..., 1::2]
    both, product, ratio = h0 + h1, h0 * h1, _ratio(h0, h1)
    terms = both / 6.0 * (y[..., :-2:2] * (2.0 - _ratio(1.0, ratio)) + y[..., 1:-1:2] * (both * _ratio(both, product))
                          + y[..., 2::2] * (2.0 - ratio))
    return np.sum(terms, axis=-1)


@records("scipy.integrate", "simpson")
def simpson(y: Any, x: Any = None, *, dx: Any = 1.0, axis: Any = -1) -> Any:
    """Simpson's rule; for an even number of points the last interval by Cartwright's correction."""
    _checked("simpson", y, x, dx=dx, axis=axis)
    y = _last(y, axis)
    h, n = _steps(y, x, dx, axis), y.shape[-1]
    if n % 2:
        return _pairs(y, h)
    if n == 2:
        return 0.5 * h[..., 0] * (y[..., 0] + y[..., 1])
    h0, h1 = h[..., -2], h[..., -1]
    alpha = _ratio(2 * h1**2 + 3 * h0 * h1, 6 * (h1 + h0))
    beta = _ratio(h1**2 + 3.0 * h0 * h1, 6 * h0)
    eta = _ratio(h1**3, 6 * h0 * (h0 + h1))
    return _pairs(y[..., :-1], h[..., :-1]) + (alpha * y[..., -1] + beta * y[..., -2] - eta * y[..., -3])


def _first_of_two(y: Any, h: Any) -> Any:
    """Integral over the first of each two neighbouring intervals, of the parabola through their three points."""
    h0, h1 = h[..., :-1], h[..., 1:]
    r, s = h0 / (h0 + h1), h0 / h1
    return h0 / 6 * ((3 - r) * y[..., :-2] + (3 + r * s + r) * y[..., 1:-1] - r * s * y[..., 2:])


@records("scipy.integrate", "cumulative_simpson")
def cumulative_simpson(y: Any, *, x: Any = None, dx: Any = 1.0, axis: Any = -1, initial: Any = None) -> Any:
    """Running Simpson's rule."""
    _checked("cumulative_simpson", y, x=x, dx=dx, axis=axis, initial=initial)
    y = _last(y, axis)
    h = np.broadcast_to(_steps(y, x, dx, axis), (*y.shape[:-1], y.shape[-1] - 1))
    if y.shape[-1] < 3:
        parts = h * (y[..., 1:] + y[..., :-1]) / 2.0
    else:
        forward = _first_of_two(y, h)
        backward = _first_of_two(y[..., ::-1], h[..., ::-1])[..., ::-1]
        n = h.shape[-1]
        parts = np.stack([forward[..., k] if k % 2 == 0 and k < n - 1 else backward[..., k - 1] for k in range(n)], -1)
    out = np.cumsum(parts, axis=-1)
    if initial is not None:
        initial = initial if np.ndim(initial) == 0 else np.moveaxis(initial, axis, -1)
        out = _started(out + initial, initial)
    return np.moveaxis(out, -1, axis)


@records("scipy.integrate", "romb")
def romb(y: Any, dx: Any = 1.0, axis: Any = -1, show: Any = False) -> Any:
    """Romberg integration of 2**k + 1 samples."""
    _checked("romb", y, dx, axis)
    y = _last(y, axis)
    step = y.shape[-1] - 1
    h = step * dx
    row = [(y[..., 0] + y[..., -1]) / 2.0 * h]
    while step > 1:
        new = [0.5 * (row[0] + h * np.sum(y[..., step // 2::step], axis=-1))]
        for j, old in enumerate(row, 1):
            new.append(new[-1] + (new[-1] - old) / (4**j - 1))
        row, step, h = new, step // 2, h / 2.0
    return row[-1]


@records("scipy.integrate", "fixed_quad")
def fixed_quad(func: Any, a: Any, b: Any, args: Any = (), n: int = 5) -> Any:
    """Gauss-Legendre by the limits and by the integrand's parameters."""
    t, w = roots_legendre(n)
    if np.isinf(a) or np.isinf(b):
        raise ValueError("Gaussian quadrature is only available for finite limits.")
    y = func((b - a) * (t + 1) / 2.0 + a, *args)
    return (b - a) / 2.0 * np.sum(w * y, axis=-1), None
