"""scipy_interpolate.py - piecewise polynomials of scipy.interpolate: CubicSpline, PchipInterpolator, interp1d ...

Owns: their construction from traced values (SciPy's object, made of the present values, gets traced coefficients) and
their evaluation at traced points.  A spline that solves a linear system is linear in its values: the matrix comes from
SciPy, so there is no derivative by its knots, which is an error; the others have it.
Must not know: B-splines (scipy_bsplines.py), grids (scipy_grids.py).  Next: scipy_doors.py.
"""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad._state import wrapped_within
from fastad.errors import TracerError
from fastad.operands import asarray, bare, live, refusal
from fastad.scipy_doors import floats, original, records

MODULE = "scipy.interpolate"


# ---- what the objects hold -------------------------------------------------------------------------------------------
def data(self: Any, name: str) -> Any:
    """An array of the object's, read again at each replay."""
    return live(asarray(get(self, name)))


def _place(self: Any, name: str) -> tuple[Any, str]:
    """The object and the attribute in which SciPy keeps data: `_delegate_to.c` from 1.18 on, `_c` or `c` before."""
    holder = getattr(self, "_delegate_to", self)
    return holder, name if getattr(holder, "_" + name, None) is None else "_" + name


def get(self: Any, name: str) -> Any:
    """An attribute with data."""
    return getattr(*_place(self, name))


def put(self: Any, name: str, value: Any) -> None:
    """Give an object traced data."""
    setattr(*_place(self, name), value)


def holds_traced(*names: str) -> Any:
    """Whether a method is recorded: an argument is traced, or the object's data are."""
    def applies(args: Any, kwargs: Any) -> bool:
        return wrapped_within([*args[1:], *kwargs.values()]) == 2 or any(T.is_traced(get(args[0], n)) for n in names)
    return applies


def present(self: Any, name: str, *args: Any, **kwargs: Any) -> None:
    """SciPy's own constructor on the present values, with its errors."""
    original(MODULE, f"{name}.__init__")(self, *[bare(x, []) for x in args],
                                         **{key: bare(x, []) for key, x in kwargs.items()})


def fixed(x: Any, what: str) -> Any:
    """Knots as plain numbers; an error if they depend on what is differentiated."""
    try:
        return np.asarray(x, dtype=np.float64)
    except TracerError as error:
        raise refusal(f"scipy.interpolate.{what}", "there is no derivative by its knots x (by its values and by the "
                      "points of evaluation there is): use PchipInterpolator or np.interp, or ad.stop_gradient(x)"
                      ) from error


def rows(y: Any, axis: Any) -> Any:
    """Values with the axis of interpolation first."""
    return np.moveaxis(floats(y), axis, 0)


# ---- construction ----------------------------------------------------------------------------------------------------
def hermite(self: Any, x: Any, y: Any, slope: Any) -> None:
    """Coefficients of cubic polynomials from values and slopes at the knots (rows)."""
    h = np.diff(x).reshape((-1,) + (1,) * (y.ndim - 1))
    m = (y[1:] - y[:-1]) / h
    t = (slope[:-1] + slope[1:] - 2 * m) / h
    put(self, "c", np.stack([t / h, (m - slope[:-1]) / h - t, slope[:-1], y[:-1]]))
    put(self, "x", x)


@records(MODULE, "CubicSpline.__init__")
def cubic_spline(self: Any, x: Any, y: Any, axis: Any = 0, bc_type: Any = "not-a-knot",
                 extrapolate: Any = None) -> None:
    """By y, for knots that are fixed."""
    x = fixed(x, "CubicSpline")
    if wrapped_within([bc_type]) == 2 or (isinstance(bc_type, tuple) and any(np.ndim(end[1]) for end in bc_type
                                                                             if isinstance(end, tuple))):
        raise refusal("scipy.interpolate.CubicSpline", "derivatives at the ends (bc_type) must be plain numbers")
    present(self, "CubicSpline", x, y, axis, bc_type, extrapolate)
    y = rows(y, axis)
    n = len(x)
    if bc_type == "periodic":
        basis = np.vstack([np.eye(n - 1), np.eye(n - 1)[:1]])
        values = y[:-1]
        if not np.allclose(y[0], y[-1], rtol=1e-15, atol=1e-15):         # guarded, as SciPy looks at it
            raise ValueError("The first and last `y` point along axis must be identical within machine precision when "
                             "bc_type='periodic'.")
    else:
        basis, values = np.eye(n), y
    ends: Any = bc_type
    start: Any = 0.0
    if isinstance(bc_type, tuple) and any(isinstance(end, tuple) for end in bc_type):
        ends = tuple([(end[0], np.zeros(n)) if isinstance(end, tuple) else end for end in bc_type])
        start = original_spline(x, np.zeros(n), bc_type)(x, 1).reshape((n,) + (1,) * (y.ndim - 1))
    matrix = original_spline(x, basis, ends)(x, 1)
    slope = (matrix @ values.reshape(len(values), -1)).reshape(y.shape) + start
    hermite(self, x, y, slope)


def original_spline(x: Any, y: Any, bc_type: Any) -> Any:
    """SciPy's spline of plain values."""
    from scipy.interpolate import CubicSpline
    return CubicSpline(x, y, bc_type=bc_type)


@records(MODULE, "CubicHermiteSpline.__init__",
         applies=lambda args, kwargs: wrapped_within([*args, *kwargs.values()]) == 2)
def hermite_spline(self: Any, x: Any, y: Any, dydx: Any, axis: Any = 0, extrapolate: Any = None) -> None:
    """By values, slopes and knots."""
    present(self, "CubicHermiteSpline", x, y, dydx, axis, extrapolate)
    hermite(self, floats(x), rows(y, axis), rows(dydx, axis))


@records(MODULE, "PchipInterpolator.__init__")
def pchip(self: Any, x: Any, y: Any, axis: Any = 0, extrapolate: Any = None) -> None:
    """Fritsch & Butland's monotone slopes; by values and knots."""
    present(self, "PchipInterpolator", x, y, axis, extrapolate)
    x, y = floats(x), rows(y, axis)
    h = np.diff(x).reshape((-1,) + (1,) * (y.ndim - 1))
    m = (y[1:] - y[:-1]) / h
    if len(x) == 2:
        return hermite(self, x, y, np.concatenate([m, m]))
    flat = (np.sign(m[1:]) != np.sign(m[:-1])) | (m[1:] == 0) | (m[:-1] == 0)
    w1, w2 = 2 * h[1:] + h[:-1], h[1:] + 2 * h[:-1]
    one, two = np.where(flat, 1.0, m[:-1]), np.where(flat, 1.0, m[1:])
    inner = np.where(flat, 0.0, (w1 + w2) / (w1 / one + w2 / two))
    first, last = _end(h[0], h[1], m[0], m[1]), _end(h[-1], h[-2], m[-1], m[-2])
    return hermite(self, x, y, np.concatenate([first[None], inner, last[None]]))


def _end(h0: Any, h1: Any, m0: Any, m1: Any) -> Any:
    """One-sided slope of three points that keeps the shape."""
    d = ((2 * h0 + h1) * m0 - h0 * m1) / (h0 + h1)
    turned = np.sign(d) != np.sign(m0)
    steep = (np.sign(m0) != np.sign(m1)) & (np.abs(d) > 3.0 * np.abs(m0))
    return np.where(turned, 0.0, np.where(steep, 3.0 * m0, d))


@records(MODULE, "PPoly.__init__")
def ppoly(self: Any, c: Any, x: Any, extrapolate: Any = None, axis: Any = 0) -> None:
    """Coefficients and breakpoints as they are."""
    plain = [bare(v, []) for v in (c, x)]
    type(self).__init__(self, *plain, extrapolate, axis)
    c = floats(c)
    put(self, "c", np.moveaxis(np.moveaxis(c, axis + 1, 0), axis + 1, 0) if axis else c)
    put(self, "x", floats(x))


# ---- evaluation ------------------------------------------------------------------------------------------------------
def interval(x: Any, at: Any) -> Any:
    """Number of the interval of each point, those outside in the first or last."""
    return np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(x) - 2)


def delivered(y: Any, ndim: int, axis: int) -> Any:
    """Values at points of `ndim` dimensions, the axes of the points where the axis of interpolation was."""
    order = list(range(y.ndim))
    order = order[ndim:ndim + axis] + order[:ndim] + order[ndim + axis:]
    return y.transpose(order)


@records(MODULE, "PPoly.__call__", applies=holds_traced("c", "x"))
def evaluate(self: Any, x: Any, nu: int = 0, extrapolate: Any = None) -> Any:
    """By coefficients, breakpoints and points."""
    extrapolate = self.extrapolate if extrapolate is None else extrapolate
    knots, c = _increasing(self), data(self, "c")
    at = floats(x)
    if extrapolate == "periodic":
        at = knots[0] + (at - knots[0]) % (knots[-1] - knots[0])
        extrapolate = False
    degree = len(c) - 1
    if nu < 0 or type(self).__name__ == "BPoly":
        raise refusal(f"scipy.interpolate.{type(self).__name__}", "polynomials in the power basis are recorded, with "
                      "derivatives nu >= 0; antiderivatives by .antiderivative() or .integrate(a, b)")
    k = interval(knots, at)
    z = (at - knots[k]).reshape(at.shape + (1,) * (c.ndim - 2))
    here = np.take(c, k, axis=1)           # (c[:, k] with a number k would be a decision of Python's)
    y: Any = 0.0 * z if nu >= degree else None                 # NaN stays NaN
    for j in range(degree - nu + 1):
        factor = math.perm(degree - j, nu)                     # of the nu-th derivative of that power
        term = here[j] if factor == 1 else factor * here[j]
        y = term if y is None else y * z + term
    if nu > degree:
        y = y + np.zeros(c.shape[2:])
    if not extrapolate:
        inside = ((at >= knots[0]) & (at <= knots[-1])).reshape(z.shape)
        y = np.where(inside, y, np.nan)
    return delivered(y, at.ndim, self.axis)


def _increasing(self: Any) -> Any:
    x = data(self, "x")
    if T.concrete(x)[-1] < T.concrete(x)[0]:
        raise refusal("scipy.interpolate.PPoly", "breakpoints must increase")
    return x


@records(MODULE, "PPoly.derivative", "PPoly.antiderivative", applies=holds_traced("c", "x"))
def derived(self: Any, nu: int = 1) -> Any:
    """Refused: see the message."""
    raise refusal("scipy.interpolate.PPoly", f"a polynomial with traced coefficients has no .derivative() or "
                  f".antiderivative(): call it with the order, spline(x, {nu}), or use .integrate(a, b)")


@records(MODULE, "PPoly.integrate", applies=holds_traced("c", "x"))
def integrate(self: Any, a: Any, b: Any, extrapolate: Any = None) -> Any:
    """By coefficients, breakpoints and limits."""
    extrapolate = self.extrapolate if extrapolate is None else extrapolate
    if extrapolate == "periodic":
        raise refusal("scipy.interpolate.PPoly.integrate", "periodic extrapolation is not recorded")
    knots, c = _increasing(self), data(self, "c")
    h = np.diff(knots)
    tail = (1,) * (c.ndim - 2)

    def within(k: Any, z: Any) -> Any:
        z = np.reshape(z, np.shape(z) + tail)
        y: Any = 0.0
        for j in range(len(c)):
            y = y * z + c[j][k] / (len(c) - j)
        return y * z
    whole = within(np.arange(len(h)), h)
    before = np.concatenate([np.zeros((1, *whole.shape[1:])), np.cumsum(whole, axis=0)])

    def primitive(x: Any) -> Any:
        k = interval(knots, x)
        return before[k] + within(k, x - knots[k])
    y = primitive(floats(b)) - primitive(floats(a))
    if not extrapolate:
        y = np.where((np.minimum(a, b) >= knots[0]) & (np.maximum(a, b) <= knots[-1]), y, np.nan)
    return y


# ---- interp1d --------------------------------------------------------------------------------------------------------
@records(MODULE, "interp1d.__init__")
def interp1d(self: Any, x: Any, y: Any, kind: Any = "linear", axis: int = -1, copy: bool = True,
             bounds_error: Any = None, fill_value: Any = np.nan, assume_sorted: bool = False) -> None:
    """By y; by x for the linear kind."""
    if wrapped_within([fill_value]) == 2:
        raise refusal("scipy.interpolate.interp1d", "fill_value must be a plain number; use np.where on the result")
    present(self, "interp1d", x, y, kind, axis, True, bounds_error, fill_value, assume_sorted)
    x, y = floats(x), floats(y)
    if not assume_sorted:
        order = np.argsort(x, kind="stable")
        x, y = x[order], np.take(y, order, axis=axis)
    self.x, self.y = x, y
    self._y = np.moveaxis(y, axis, 0).reshape(len(x), -1)
    if isinstance(fill_value, str):      # "extrapolate", which for steps is the value at one end and NaN at the other
        if self._kind == "previous":
            self._fill_value_above = self._y[-1]
        elif self._kind == "next":
            self._fill_value_below = self._y[0]
    if self._kind == "spline":
        from scipy.interpolate import make_interp_spline
        k = self._spline.k
        self._spline = make_interp_spline(fixed(x, "interp1d of a spline kind"), self._y, k=k, check_finite=False)


@records(MODULE, "interp1d.__call__",
         applies=lambda args, kwargs: wrapped_within([*args[1:], *kwargs.values()]) == 2
         or any(T.is_traced(getattr(args[0], name, None)) for name in ("x", "y")))
def evaluate_1d(self: Any, x: Any) -> Any:
    """By table and points."""
    if not hasattr(self, "_kind"):
        raise refusal(f"scipy.interpolate.{type(self).__name__}", "its points of evaluation cannot be traced; use "
                      "CubicSpline, PchipInterpolator, interp1d or np.interp")
    at = floats(x)
    shape, at = at.shape, at.ravel()
    knots, table = live(asarray(self.x)), live(asarray(self._y))
    if self._kind == "spline":
        y = self._spline(at)
    elif self._call is type(self)._call_linear_np:             # SciPy does the same
        y = np.interp(at, knots, table[:, 0])[:, None]
    elif self._kind == "linear":
        high = np.clip(np.searchsorted(knots, at), 1, len(knots) - 1)
        low = high - 1
        slope = (table[high] - table[low]) / (knots[high] - knots[low])[:, None]
        y = slope * (at - knots[low])[:, None] + table[low]
    else:
        y = table[_nearest(self, knots, at)]
    if not self._extrapolate:
        below, above = at < knots[0], at > knots[-1]
        if not self.bounds_error:
            y = np.where(above[:, None], self._fill_value_above, np.where(below[:, None], self._fill_value_below, y))
        elif below.any() or above.any():
            raise ValueError("A value in x_new is outside of the interpolation range.")
    y = y.reshape(shape + self.y.shape[:self.axis] + self.y.shape[self.axis + 1:])
    return delivered(y, len(shape), self.axis)


def _nearest(self: Any, knots: Any, at: Any) -> Any:
    """Number of the value that a step function has."""
    if self._kind in ("nearest", "nearest-up"):
        half = (knots[1:] + knots[:-1]) / 2.0
        return np.searchsorted(half, at, side=self._side)
    if self._kind == "previous":
        return np.clip(np.searchsorted(knots, at, side="right") - 1, 0, len(knots) - 1)
    return np.clip(np.searchsorted(knots, at, side="left"), 0, len(knots) - 1)
