"""scipy_bsplines.py - B-splines of scipy.interpolate: BSpline, make_interp_spline, splev, RectBivariateSpline(...).ev.

Owns: de Boor's recursion, by coefficients, knots and points; interpolating splines by their values.
Next: scipy_interpolate.py (how objects get traced data).
"""
from __future__ import annotations

from typing import Any

import numpy as np

from fastad._state import wrapped_within
from fastad.operands import asarray, bare, live, refusal
from fastad.scipy_doors import floats, original, plain, records
from fastad.scipy_interpolate import MODULE, data, delivered, fixed, get, holds_traced, put, rows


def span(t: Any, k: int, n: int, x: Any) -> Any:
    """l with t[l] <= x < t[l+1], at least k and less than n: the last of the knots that x is right of."""
    return np.clip(np.searchsorted(t, x, side="right") - 1, k, n - 1)


def basis(t: Any, k: int, at: Any, x: Any) -> list[Any]:
    """The k + 1 B-splines of degree k that are not zero between t[at] and t[at + 1], at x: Cox & de Boor."""
    values: list[Any] = [1.0 + 0.0 * x]
    for r in range(1, k + 1):
        new: list[Any] = [0.0] * (r + 1)
        for j in range(r):
            left, right = t[at + j + 1 - r], t[at + j + 1]
            none = right == left         # knots that coincide
            share = np.where(none, 0.0, values[j] / np.where(none, 1.0, right - left))
            new[j] = new[j] + share * (right - x)
            new[j + 1] = new[j + 1] + share * (x - left)
        values = new
    return values


def combination(t: Any, c: Any, k: int, x: Any, nu: int) -> Any:
    """The nu-th derivative of the spline with coefficients c (rows) at the points x."""
    for _ in range(nu):                  # a spline of one degree less, of differences of the coefficients
        if k == 0:
            return np.zeros(x.shape + c.shape[1:])
        n = len(t) - k - 1
        widths = (t[k + 1:n + k] - t[1:n]).reshape((-1,) + (1,) * (c.ndim - 1))
        safe = np.where(widths == 0, 1.0, widths)
        c = np.where(widths == 0, 0.0, k * (c[1:n] - c[:n - 1]) / safe)
        t, k = t[1:-1], k - 1
    at = span(t, k, len(t) - k - 1, x)
    y: Any = 0.0
    for j, b in enumerate(basis(t, k, at, x)):
        y = y + b.reshape(x.shape + (1,) * (c.ndim - 1)) * c[at - k + j]
    return y


@records(MODULE, "BSpline.__init__")
def bspline(self: Any, t: Any, c: Any, k: int, extrapolate: Any = True, axis: int = 0) -> None:
    """By coefficients and knots."""
    original(MODULE, "BSpline.__init__")(self, bare(t, []), bare(c, []), k, extrapolate, axis)
    put(self, "c", rows(c, axis))
    put(self, "t", floats(t))


@records(MODULE, "BSpline.__call__", applies=holds_traced("c", "t"))
def evaluate(self: Any, x: Any, nu: int = 0, extrapolate: Any = None) -> Any:
    """By coefficients, knots and points."""
    extrapolate = self.extrapolate if extrapolate is None else extrapolate
    t, c, k = data(self, "t"), data(self, "c"), self.k
    at, n = floats(x), len(get(self, "t")) - self.k - 1
    if extrapolate == "periodic":
        at = t[k] + (at - t[k]) % (t[n] - t[k])
        extrapolate = False
    y = combination(t, c, k, at, nu)
    if not extrapolate:
        inside = ((at >= t[k]) & (at <= t[n])).reshape(at.shape + (1,) * (c.ndim - 1))
        y = np.where(inside, y, np.nan)
    return delivered(y, at.ndim, self.axis)


@records(MODULE, "BSpline.derivative", "BSpline.antiderivative", "BSpline.integrate", applies=holds_traced("c", "t"))
def derived(self: Any, *args: Any, **kwargs: Any) -> Any:
    """Refused: see the message."""
    raise refusal("scipy.interpolate.BSpline", "a spline with traced coefficients has no .derivative(), .integrate(): "
                  "call it with the order, spline(x, nu), or use CubicSpline")


@records(MODULE, "make_interp_spline")
def make_interp_spline(x: Any, y: Any, k: int = 3, t: Any = None, bc_type: Any = None, axis: int = 0,
                       check_finite: bool = True) -> Any:
    """By y, for knots that are fixed: the coefficients are linear in y."""
    x = fixed(x, "make_interp_spline")
    t = None if t is None else fixed(t, "make_interp_spline")
    if bc_type is not None and not isinstance(bc_type, str):
        raise refusal("scipy.interpolate.make_interp_spline", "bc_type is recorded as one of SciPy's words; "
                      "derivatives at the ends: CubicSpline(x, y, bc_type=((1, a), (1, b)))")
    made = plain(MODULE, "make_interp_spline", x, y, k, t, bc_type, axis, check_finite)
    y = rows(y, axis)
    unit = np.eye(len(x))
    if bc_type == "periodic":            # the last value is the first one
        unit[-1], y = unit[0], np.concatenate([y[:-1], y[:1]])
        unit[:, -1] = 0.0
    matrix = get(plain(MODULE, "make_interp_spline", x, unit, k, t, bc_type), "c")
    put(made, "c", (matrix @ y.reshape(len(x), -1)).reshape(matrix.shape[:1] + y.shape[1:]))
    return made


def _extended(t: Any, k: int, n: int, x: Any, y: Any, ext: int, name: str) -> Any:
    """FITPACK's ways outside of the knots: 0 extrapolates, 1 gives 0; 3, the value at the end, moves x before."""
    if ext == 1:
        return np.where((x >= t[k]) & (x <= t[n]), y, 0.0)
    if ext == 2 and bool(((x < t[k]) | (x > t[n])).any()):
        raise ValueError(f"scipy.interpolate.{name}: a point is outside of the knots (ext=2)")
    return y


@records(MODULE, "splev")
def splev(x: Any, tck: Any, der: int = 0, ext: int = 0) -> Any:
    """By points, coefficients and knots."""
    if not isinstance(tck, (list, tuple)):
        return tck(x, der, extrapolate=ext == 0)
    t, c, k = tck
    if isinstance(c, (list, tuple)) and c and np.ndim(c[0]):
        return [splev(x, (t, part, k), der, ext) for part in c]
    t, c, at = floats(t), floats(c), floats(x)
    n = len(t) - k - 1
    inside = np.clip(at, t[k], t[n]) if ext == 3 and not der else at         # FITPACK's derivatives extrapolate
    return _extended(t, k, n, at, combination(t, c, k, inside, der), ext, "splev")


@records(MODULE, "splrep")
def splrep(x: Any, y: Any, w: Any = None, xb: Any = None, xe: Any = None, k: int = 3, task: int = 0, s: Any = None,
           **more: Any) -> Any:
    """By y, for an interpolating spline (s=0) on knots that are fixed."""
    x = fixed(x, "splrep")
    if w is not None or s not in (None, 0, 0.0) or task != 0 or any(v is not None and v != 0 for v in more.values()):
        raise refusal("scipy.interpolate.splrep", "an interpolating spline, splrep(x, y, s=0), is recorded: it is "
                      "linear in y; fit smoothing splines by the coefficients of BSpline(t, c, k)")
    columns = [original(MODULE, "splrep")(x, unit, xb=xb, xe=xe, k=k, s=0) for unit in np.eye(len(x))]
    matrix = np.stack([c for _, c, _ in columns], axis=1)
    return columns[0][0], matrix @ asarray(y), k


@records(MODULE, "UnivariateSpline.__call__")
def univariate(self: Any, x: Any, nu: int = 0, ext: Any = None) -> Any:
    """By the points; the spline itself is of plain numbers."""
    ext = self.ext if ext is None else ext
    ext = {"extrapolate": 0, "zeros": 1, "raise": 2, "const": 3}.get(ext, ext)
    return splev(x, self._eval_args, nu, ext)


@records(MODULE, "UnivariateSpline.__init__", "InterpolatedUnivariateSpline.__init__", "LSQUnivariateSpline.__init__")
def univariate_of_traced(self: Any, *args: Any, **kwargs: Any) -> Any:
    """Refused: see the message."""
    raise refusal(f"scipy.interpolate.{type(self).__name__}", "its knots and coefficients come from compiled code: for "
                  "interpolation of traced values use CubicSpline or make_interp_spline(x, y, k)")


@records(MODULE, "RectBivariateSpline.ev")
def bivariate(self: Any, x: Any, y: Any, dx: int = 0, dy: int = 0, grid: Any = None) -> Any:
    """By the points; the spline itself is of plain numbers."""
    grid = False if grid is None else grid
    if dx or dy or wrapped_within(list(self.tck)) == 2:
        raise refusal("scipy.interpolate.RectBivariateSpline", "values at points are recorded, for derivatives dx=dy=0")
    (tx, ty, c), (kx, ky) = live(tuple(self.tck)), self.degrees
    nx, ny = len(tx) - kx - 1, len(ty) - ky - 1
    x, y = floats(x), floats(y)
    if grid:
        x, y = x.reshape(-1, 1), y.reshape(1, -1)
    x, y = np.clip(x, tx[kx], tx[nx]), np.clip(y, ty[ky], ty[ny])        # as FITPACK evaluates outside
    i, j = span(tx, kx, nx, x), span(ty, ky, ny, y)
    table = asarray(c).reshape(nx, ny)
    out: Any = 0.0
    for a, u in enumerate(basis(tx, kx, i, x)):
        for b, v in enumerate(basis(ty, ky, j, y)):
            out = out + u * v * table[i - kx + a, j - ky + b]
    return out


@records(MODULE, "RectBivariateSpline.__call__")
def bivariate_call(self: Any, x: Any, y: Any, dx: int = 0, dy: int = 0, grid: bool = True) -> Any:
    """By the points, on the grid of x and y unless grid=False; the spline itself is of plain numbers."""
    return bivariate(self, x, y, dx, dy, grid)
