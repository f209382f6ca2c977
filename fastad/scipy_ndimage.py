"""scipy_ndimage.py - linear filters and interpolation of images: scipy.ndimage.

Owns: filters as sums of shifted copies of the padded image, by image and weights; `map_coordinates` of order 0 and 1 by
image and coordinates, and what moves a whole image (affine_transform, shift, rotate).
Must not know: derivatives.  Next: scipy_doors.py, movers.py (np.pad).
"""
from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from scipy import special

from fastad import _tape as T
from fastad.operands import asarray, deliver, is_array, refusal
from fastad.scipy_doors import floats, plain, records

# SciPy's names of boundaries in np.pad's language.
PAD = {"reflect": "symmetric", "grid-mirror": "symmetric", "mirror": "reflect", "nearest": "edge", "wrap": "wrap",
       "grid-wrap": "wrap", "constant": "constant", "grid-constant": "constant"}


def _padded(x: Any, axis: int, left: int, right: int, mode: str, cval: Any) -> Any:
    widths = [(0, 0)] * x.ndim
    widths[axis] = (left, right)
    if PAD[mode] == "constant":
        return np.pad(x, widths, mode="constant", constant_values=cval)
    return np.pad(x, widths, mode=PAD[mode])


def _given(x: Any, output: Any, name: str, image: Any) -> Any:
    """A result where the caller wants it, of the dtype that SciPy gives it: that of the image."""
    own = asarray(image).dtype
    if output is None and own.kind in "iub":
        raise refusal(f"scipy.ndimage.{name}", f"SciPy rounds the result to the dtype of the image, {own}, which has "
                      "no derivative: give image.astype(float), or output=float")
    if output is None or (isinstance(output, (type, np.dtype, str)) and np.dtype(output) == np.float64):
        return x.astype(own) if output is None and own.kind == "f" and x.dtype != own else x
    if isinstance(output, (type, np.dtype, str)):
        raise refusal(f"scipy.ndimage.{name}", f"output={output!r}: results are recorded in float64")
    return deliver(output, x, f"scipy.ndimage.{name}")


def _each(value: Any, n: int) -> list[Any]:
    """A value for each axis."""
    return list(value) if isinstance(value, (list, tuple)) or np.ndim(value) else [value] * n


def _axes(axes: Any, nd: int) -> list[int]:
    axes = range(nd) if axes is None else axes if isinstance(axes, (list, tuple)) else (axes,)
    return [range(nd)[axis] for axis in axes]


# ---- sums of shifted copies ------------------------------------------------------------------------------------------
def along(x: Any, weights: Any, axis: int, mode: str, cval: Any, origin: int) -> Any:
    """Correlation with weights along an axis."""
    size = len(weights)
    left = size // 2 + origin
    axis = range(x.ndim)[axis]
    padded = _padded(x, axis, left, size - 1 - left, mode, cval)
    n, y = x.shape[axis], None
    at = [slice(None)] * x.ndim
    for k in range(size):
        at[axis] = slice(k, k + n)
        term = weights[k] * padded[tuple(at)]
        y = term if y is None else y + term
    return y


def turned(size: int, origin: int) -> int:
    """The origin of a correlation that is a convolution."""
    return -origin - (size % 2 == 0)


@records("scipy.ndimage", "correlate1d")
def correlate1d(input: Any, weights: Any, axis: Any = -1, output: Any = None, mode: str = "reflect", cval: Any = 0.0,
                origin: int = 0) -> Any:
    """Correlation along an axis."""
    plain("scipy.ndimage", "correlate1d", input, weights, axis, None, mode, cval, origin)
    y = along(floats(input), floats(weights), axis, mode, cval, origin)
    return _given(y, output, "correlate1d", input)


@records("scipy.ndimage", "convolve1d")
def convolve1d(input: Any, weights: Any, axis: Any = -1, output: Any = None, mode: str = "reflect", cval: Any = 0.0,
               origin: int = 0) -> Any:
    """Convolution along an axis."""
    plain("scipy.ndimage", "convolve1d", input, weights, axis, None, mode, cval, origin)
    weights = floats(weights)[::-1]
    y = along(floats(input), weights, axis, mode, cval, turned(len(weights), origin))
    return _given(y, output, "convolve1d", input)


def everywhere(x: Any, weights: Any, mode: Any, cval: Any, origins: list[int]) -> Any:
    """Correlation with weights of the image's rank."""
    padded = x
    modes = _each(mode, x.ndim)
    for axis, (size, origin) in enumerate(zip(weights.shape, origins, strict=True)):
        left = size // 2 + origin
        padded = _padded(padded, axis, left, size - 1 - left, modes[axis], cval)
    y: Any = None
    for place in np.ndindex(*weights.shape):
        at = tuple([slice(k, k + n) for k, n in zip(place, x.shape, strict=True)])
        term = weights[place] * padded[at]
        y = term if y is None else y + term
    return y


def _nd(name: str, convolving: bool) -> None:
    def filtered(input: Any, weights: Any, output: Any = None, mode: Any = "reflect", cval: Any = 0.0, origin: Any = 0,
                 *, axes: Any = None) -> Any:
        x, weights = floats(input), floats(weights)
        if axes is not None and sorted(_axes(axes, x.ndim)) != list(range(x.ndim)):
            raise refusal(f"scipy.ndimage.{name}", "axes= are not recorded; give weights of the image's rank")
        plain("scipy.ndimage", name, input, weights, None, mode, cval, origin)
        origins = _each(origin, x.ndim)
        if convolving:
            weights = np.flip(weights)
            origins = [turned(n, k) for n, k in zip(weights.shape, origins, strict=True)]
        return _given(everywhere(x, weights, mode, cval, origins), output, name, input)
    filtered.__name__ = name
    filtered.__doc__ = f"{'Convolution' if convolving else 'Correlation'} with weights of the image's rank."
    records("scipy.ndimage", name)(filtered)


_nd("correlate", False)
_nd("convolve", True)


# ---- Gaussians and boxes ---------------------------------------------------------------------------------------------
def gaussian(sigma: Any, order: int, truncate: float, radius: Any) -> Any:
    """Weights of a Gaussian or of its derivative: of it, Hermite's polynomial times it."""
    radius = int(truncate * float(T.concrete(sigma)) + 0.5) if radius is None and not T.is_traced(sigma) else radius
    radius = int(truncate * sigma + 0.5) if radius is None else radius           # traced: its radius is guarded
    x = np.arange(-radius, radius + 1)
    phi = np.exp(-0.5 / (sigma * sigma) * x**2)
    phi = phi / np.sum(phi)
    before: Any = 0.0
    q = 1.0 + 0.0 * x
    for k in range(order):               # d/dx of q*phi = (q' - q*x/sigma**2)*phi, by Hermite's recurrence
        before, q = q, -(x * q + k * before) / (sigma * sigma)
    return q * phi


def blurred(x: Any, axis: int, sigma: Any, order: int, mode: str, cval: Any, truncate: float, radius: Any) -> Any:
    """A Gaussian filter along an axis."""
    weights = gaussian(sigma, order, truncate, radius)[::-1]
    return along(x, weights, axis, mode, cval, 0)


@records("scipy.ndimage", "gaussian_filter1d")
def gaussian_filter1d(input: Any, sigma: Any, axis: Any = -1, order: int = 0, output: Any = None,
                      mode: str = "reflect", cval: Any = 0.0, truncate: float = 4.0, *, radius: Any = None) -> Any:
    """Gaussian filter along an axis; by image and sigma."""
    plain("scipy.ndimage", "gaussian_filter1d", input, sigma, axis, order, None, mode, cval, truncate, radius=radius)
    y = blurred(floats(input), axis, sigma, order, mode, cval, truncate, radius)
    return _given(y, output, "gaussian_filter1d", input)


@records("scipy.ndimage", "gaussian_filter")
def gaussian_filter(input: Any, sigma: Any, order: Any = 0, output: Any = None, mode: Any = "reflect", cval: Any = 0.0,
                    truncate: float = 4.0, *, radius: Any = None, axes: Any = None) -> Any:
    """Gaussian filter, one axis after the other; by image and sigma."""
    plain("scipy.ndimage", "gaussian_filter", input, sigma, order, None, mode, cval, truncate, radius=radius, axes=axes)
    x = floats(input)
    axes = _axes(axes, x.ndim)
    each = [_each(v, len(axes)) for v in (sigma, order, mode, radius)]
    for axis, s, o, m, r in zip(axes, *each, strict=True):
        if s > 1e-15:
            x = blurred(x, axis, s, o, m, cval, truncate, r)
    return _given(x, output, "gaussian_filter", input)


@records("scipy.ndimage", "uniform_filter1d")
def uniform_filter1d(input: Any, size: int, axis: Any = -1, output: Any = None, mode: str = "reflect", cval: Any = 0.0,
                     origin: int = 0) -> Any:
    """Running mean along an axis."""
    plain("scipy.ndimage", "uniform_filter1d", input, size, axis, None, mode, cval, origin)
    y = along(floats(input), [1.0] * size, axis, mode, cval, origin) / size
    return _given(y, output, "uniform_filter1d", input)


@records("scipy.ndimage", "uniform_filter")
def uniform_filter(input: Any, size: Any = 3, output: Any = None, mode: Any = "reflect", cval: Any = 0.0,
                   origin: Any = 0, *, axes: Any = None) -> Any:
    """Mean over a box."""
    plain("scipy.ndimage", "uniform_filter", input, size, None, mode, cval, origin, axes=axes)
    x = floats(input)
    axes = _axes(axes, x.ndim)
    for axis, s, m, o in zip(axes, *[_each(v, len(axes)) for v in (size, mode, origin)], strict=True):
        if s > 1:
            x = along(x, [1.0] * int(s), axis, m, cval, o) / int(s)
    return _given(x, output, "uniform_filter", input)


# ---- differences -----------------------------------------------------------------------------------------------------
def _second(name: str) -> None:
    def laplacian(input: Any, output: Any = None, mode: Any = "reflect", cval: Any = 0.0, *, axes: Any = None) -> Any:
        x = floats(input)
        axes = _axes(axes, x.ndim)
        parts = [along(x, [1.0, -2.0, 1.0], axis, m, cval, 0)
                 for axis, m in zip(axes, _each(mode, len(axes)), strict=True)]
        return _given(sum(parts), output, name, input)
    laplacian.__doc__ = "Sum of second differences."
    records("scipy.ndimage", name)(laplacian)


def _first(name: str, across: list[float]) -> None:
    def difference(input: Any, axis: Any = -1, output: Any = None, mode: Any = "reflect", cval: Any = 0.0) -> Any:
        plain("scipy.ndimage", name, input, axis, None, mode, cval)
        x = floats(input)
        axis, modes = range(x.ndim)[axis], _each(mode, x.ndim)
        y = along(x, [-1.0, 0.0, 1.0], axis, modes[axis], cval, 0)
        for other in range(x.ndim):
            if other != axis:
                y = along(y, across, other, modes[other], cval, 0)
        return _given(y, output, name, input)
    difference.__doc__ = "A difference along an axis, smoothed across."
    records("scipy.ndimage", name)(difference)


_second("laplace")
_first("sobel", [1.0, 2.0, 1.0])
_first("prewitt", [1.0, 1.0, 1.0])


def _of_gaussians(x: Any, sigma: Any, order: int, mode: Any, cval: Any, **kwargs: Any) -> list[Any]:
    """For each axis, the image under a Gaussian that is differentiated along it."""
    return [gaussian_filter(x, sigma, [order if j == axis else 0 for j in range(x.ndim)], None, mode, cval, **kwargs)
            for axis in range(x.ndim)]


@records("scipy.ndimage", "gaussian_laplace")
def gaussian_laplace(input: Any, sigma: Any, output: Any = None, mode: Any = "reflect", cval: Any = 0.0, *,
                     axes: Any = None, **kwargs: Any) -> Any:
    """Sum of second derivatives of the blurred image."""
    if axes is not None:
        raise refusal("scipy.ndimage.gaussian_laplace", "axes= are not recorded")
    return _given(sum(_of_gaussians(floats(input), sigma, 2, mode, cval, **kwargs)), output, "gaussian_laplace", input)


@records("scipy.ndimage", "gaussian_gradient_magnitude")
def gaussian_gradient_magnitude(input: Any, sigma: Any, output: Any = None, mode: Any = "reflect", cval: Any = 0.0, *,
                                axes: Any = None, **kwargs: Any) -> Any:
    """Length of the gradient of the blurred image."""
    if axes is not None:
        raise refusal("scipy.ndimage.gaussian_gradient_magnitude", "axes= are not recorded")
    parts = _of_gaussians(floats(input), sigma, 1, mode, cval, **kwargs)
    return _given(np.linalg.norm(np.stack(parts), axis=0), output, "gaussian_gradient_magnitude", input)


# ---- interpolation ---------------------------------------------------------------------------------------------------
def _index(i: Any, n: int, mode: str) -> Any:
    """Which element of an axis stands at the whole number i, outside of it too."""
    if mode in ("reflect", "grid-mirror"):
        i = i % (2 * n)
        return np.where(i >= n, 2 * n - 1 - i, i)
    if mode == "mirror":
        if n == 1:
            return i * 0
        i = i % (2 * n - 2)
        return np.where(i >= n, 2 * n - 2 - i, i)
    return i % n if mode == "grid-wrap" else np.clip(i, 0, n - 1)


def _position(x: Any, n: int, mode: str, order: int) -> Any:
    """The coordinate inside of an axis: for "wrap", which has the period n - 1; and where it is rounded afterwards."""
    if n > 1 and mode == "wrap":
        period = n - 1
        return np.where(x < 0, x + period * (np.trunc(-x / period) + 1),
                        np.where(x > period, x - period * np.trunc(x / period), x))
    if n > 1 and order == 0 and mode == "mirror":
        period = 2 * n - 2
        low = x + period * np.trunc(-x / period)
        high = x - period * np.trunc(x / period)
        return np.where(x < 0, np.where(low <= 1 - n, low + period, -low), np.where(high >= n, period - high, high))
    if order == 0 and mode in ("reflect", "grid-mirror"):
        period = 2 * n
        low = x + np.where(x < -period, period * np.trunc(-x / period), 0.0)
        high = x - period * np.trunc(x / period)
        return np.where(x < 0, np.where(low < -n, low + period, -low - 1), np.where(high >= n, period - high - 1, high))
    return x


def _low(order: int, name: str) -> None:
    if order not in (0, 1):
        raise refusal(f"scipy.ndimage.{name}", f"order={order}: recorded are order=1 and order=0; for a smooth "
                      "interpolation use scipy.interpolate.CubicSpline or RectBivariateSpline(...).ev")


@records("scipy.ndimage", "map_coordinates")
def map_coordinates(input: Any, coordinates: Any, output: Any = None, order: int = 3, mode: str = "constant",
                    cval: Any = 0.0, prefilter: bool = True) -> Any:
    """Linear (order 1) or nearest (order 0) interpolation; by image and coordinates."""
    _low(order, "map_coordinates")
    plain("scipy.ndimage", "map_coordinates", input, coordinates, None, order, mode, cval)
    return _given(between(floats(input), floats(coordinates), order, mode, cval), output, "map_coordinates", input)


def between(image: Any, at: Any, order: int, mode: str, cval: Any) -> Any:
    """Values of an image at coordinates: one array for each axis."""
    flat = image.ravel()
    strides = [math.prod(image.shape[k + 1:]) for k in range(image.ndim)]
    corners: list[list[Any]] = []        # for each axis (index, weight, is it inside?) of its neighbours
    outside: Any = False
    for k, n in enumerate(image.shape):
        x = _position(at[k], n, mode, order)
        low = np.floor(x + 0.5) if order == 0 else np.floor(x)
        share, low = x - low, low.astype(int)
        both = [(low, 1.0)] if order == 0 else [(low, 1.0 - share), (low + 1, share)]
        corners.append([(_index(i, n, mode) * strides[k], w, (i >= 0) & (i < n)) for i, w in both])
        if mode == "constant":
            outside = outside | (x < 0) | (x > n - 1)
    y: Any = None
    for corner in itertools.product(*corners):
        value = flat[sum([i for i, _, _ in corner])]
        if mode == "grid-constant":
            for _, _, ok in corner:
                value = np.where(ok, value, cval)
        for _, weight, _ in corner:
            value = value * weight
        y = value if y is None else y + value
    return y if outside is False else np.where(outside, cval, y)


def _along_row(row: Any, start: Any, at: Any) -> Any:
    """start + row @ at in the order in which SciPy adds up, which decides at the edges."""
    for k in range(len(row)):
        start = start + at[k] * row[k]
    return start


@records("scipy.ndimage", "affine_transform")
def affine_transform(input: Any, matrix: Any, offset: Any = 0.0, output_shape: Any = None, output: Any = None,
                     order: int = 3, mode: str = "constant", cval: Any = 0.0, prefilter: bool = True) -> Any:
    """Linear (order 1) or nearest (order 0) interpolation; by image, matrix and offset."""
    _low(order, "affine_transform")
    shape = output_shape if output_shape is not None else output.shape if is_array(output) else None
    want = plain("scipy.ndimage", "affine_transform", input, matrix, offset, shape, None, order, mode, cval)
    image, matrix = floats(input), asarray(matrix)
    n = image.ndim
    at: Any = np.indices(want.shape) * 1.0
    if matrix.shape[-1] == n + 1 and matrix.ndim == 2:
        matrix, offset = matrix[:n, :n], matrix[:n, n]
    offset = _each(offset, n)
    if matrix.ndim == 1:
        at = [(x + b / a) * a for x, a, b in zip(at, matrix, offset, strict=True)]
    else:
        at = [_along_row(row, start, at) for row, start in zip(matrix, offset, strict=True)]
    return _given(between(image, at, order, mode, cval), output, "affine_transform", input)


@records("scipy.ndimage", "shift")
def shift(input: Any, shift: Any, output: Any = None, order: int = 3, mode: str = "constant", cval: Any = 0.0,
          prefilter: bool = True) -> Any:
    """Linear (order 1) or nearest (order 0) interpolation; by image and shift."""
    _low(order, "shift")
    plain("scipy.ndimage", "shift", input, shift, None, order, mode, cval)
    image = floats(input)
    at = [x - by for x, by in zip(np.indices(image.shape) * 1.0, _each(shift, image.ndim), strict=True)]
    return _given(between(image, at, order, mode, cval), output, "shift", input)


@records("scipy.ndimage", "rotate")
def rotate(input: Any, angle: Any, axes: Any = (1, 0), reshape: bool = True, output: Any = None, order: int = 3,
           mode: str = "constant", cval: Any = 0.0, prefilter: bool = True) -> Any:
    """Linear (order 1) or nearest (order 0) interpolation; by image, and with reshape=False by the angle."""
    _low(order, "rotate")
    if reshape and T.is_traced(angle):
        raise refusal("scipy.ndimage.rotate", "the shape of the result depends on a traced angle: give reshape=False")
    want = plain("scipy.ndimage", "rotate", input, angle, axes, reshape, None, order, mode, cval)
    image = floats(input)
    plane = sorted(range(image.ndim)[int(axis)] for axis in axes)
    c, s = special.cosdg(angle), special.sindg(angle)
    turn = asarray([[c, s], [-s, c]])
    middle, own = ((np.array(shape)[plane] - 1) / 2 for shape in (want.shape, image.shape))
    offset = own - turn @ middle
    at = list(np.indices(want.shape) * 1.0)
    x, y = (at[axis] for axis in plane)
    for k, axis in enumerate(plane):
        at[axis] = offset[k] + x * turn[k, 0] + y * turn[k, 1]
    return _given(between(image, at, order, mode, cval), output, "rotate", input)
