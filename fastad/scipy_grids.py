"""scipy_grids.py - interpolation on rectangular grids: scipy.interpolate.RegularGridInterpolator, interpn.

Owns: methods "linear" and "nearest", by values, grid and points.  Next: scipy_interpolate.py.
"""
from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad._state import wrapped_within
from fastad.operands import asarray, bare, live, refusal
from fastad.scipy_doors import floats, original, records
from fastad.scipy_interpolate import MODULE, data, get, interval, put

NAME = "RegularGridInterpolator"


def _known(method: str) -> None:
    if method not in ("linear", "nearest"):
        raise refusal(f"scipy.interpolate.{NAME}", f"method={method!r}: recorded are 'linear' and 'nearest'; for "
                      "smooth interpolation use CubicSpline along one axis, or RectBivariateSpline(...).ev")


@records(MODULE, f"{NAME}.__init__")
def grid(self: Any, points: Any, values: Any, method: str = "linear", bounds_error: bool = True,
         fill_value: Any = np.nan, **more: Any) -> None:
    """By values and grid."""
    _known(method)
    if T.is_traced(fill_value):
        raise refusal(f"scipy.interpolate.{NAME}", "fill_value must be a plain number; use np.where on the result")
    original(MODULE, f"{NAME}.__init__")(self, bare(tuple(points), []), bare(values, []), method, bounds_error,
                                         fill_value, **more)
    points = [floats(p) for p in points]
    descending = [k for k, p in enumerate(points) if len(p) > 1 and T.concrete(p)[0] > T.concrete(p)[-1]]
    put(self, "grid", tuple([p[::-1] if k in descending else p for k, p in enumerate(points)]))
    put(self, "values", np.flip(floats(values), axis=tuple(descending)))


def _applies(args: Any, kwargs: Any) -> bool:
    return wrapped_within([*args[1:], *kwargs.values(), get(args[0], "values"), tuple(get(args[0], "grid"))]) == 2


@records(MODULE, f"{NAME}.__call__", applies=_applies)
def evaluate(self: Any, xi: Any, method: Any = None, *, nu: Any = None) -> Any:
    """By values, grid and points."""
    method = self.method if method is None else method
    _known(method)
    axes, values = [live(asarray(p)) for p in get(self, "grid")], data(self, "values")
    if isinstance(xi, tuple):
        xi = np.stack(np.broadcast_arrays(*[floats(x) for x in xi]), axis=-1)
    xi = floats(xi)
    if xi.ndim == 1:
        xi = xi.reshape((-1, 1) if len(axes) == 1 else (1, -1))
    if xi.shape[-1] != len(axes):
        raise ValueError(f"The requested sample points xi have dimension {xi.shape[-1]} but this {NAME} has dimension "
                         f"{len(axes)}")
    at = [xi[..., k] for k in range(len(axes))]
    outside: Any = False
    for p, x in zip(axes, at, strict=True):
        outside = outside | (x < p[0]) | (x > p[-1])
    if self.bounds_error and bool(np.any(outside)):
        raise ValueError("One of the requested xi is out of bounds")
    tail = (1,) * (values.ndim - len(axes))
    low = [interval(p, x) if len(p) > 1 else np.zeros(x.shape, dtype=int) for p, x in zip(axes, at, strict=True)]
    share = [(x - p[k]) / (p[k + 1] - p[k]) if len(p) > 1 else 0.0 * x
             for p, x, k in zip(axes, at, low, strict=True)]
    if method == "nearest":
        y = values[tuple([np.where(s <= 0.5, k, k + 1) for k, s in zip(low, share, strict=True)])]
    else:
        y = 0.0
        steps = [(0, 1) if len(p) > 1 else (0,) for p in axes]
        for corner in itertools.product(*steps):
            weight: Any = 1.0
            for one, s in zip(corner, share, strict=True):
                weight = weight * (s if one else 1 - s)
            y = y + weight.reshape(weight.shape + tail) * values[tuple([k + one for k, one in zip(low, corner,
                                                                                                strict=True)])]
    if not self.bounds_error and self.fill_value is not None:
        y = np.where(outside.reshape(outside.shape + tail), self.fill_value, y)
    return y


@records(MODULE, "interpn")
def interpn(points: Any, values: Any, xi: Any, method: str = "linear", bounds_error: bool = True,
            fill_value: Any = np.nan) -> Any:
    """By values, grid and points."""
    _known(method)
    from scipy.interpolate import RegularGridInterpolator
    made = RegularGridInterpolator.__new__(RegularGridInterpolator)
    grid(made, points, values, method, bounds_error, fill_value)
    return evaluate(made, xi)
