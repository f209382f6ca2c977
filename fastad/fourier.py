"""fourier.py - Fourier transforms: linear maps that we or NumPy's pocketfft run, and numpy.fft made of them.

Owns: three maps along one axis, with padding and truncation - complex to complex, real to half a spectrum, half a
spectrum to real - and their transposes, which are of the same kinds: so tangents, adjoints and batches of every order
are again transforms.  Complex arrays are pairs of float64, or of float32 (`single`), which stay so (complex_values.py).
Must not know: SciPy's names (scipy_fourier.py).
Next: _call.pxi (Library, the attribute that runs a map), complex_products.py (the product of spectra),
_kernels/fourier.h (our own transforms: `by_us` says which).

The adjoint of the real-to-half transform R is w -> Re(sum_k w_k exp(2 pi i j k / n)) over the half spectrum only, which
is the inverse transform with the inner coefficients counted once and not twice; `once` and `twice` below say which.
"""
from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad.complex_functions import COMPLEX, deliver
from fastad.complex_values import as_complexes, as_floats, from_pairs, lifted, to_pairs
from fastad.movers import relayout, settled
from fastad.operands import FLOAT, RECORDED, SINGLE, asarray, is_array

# scale -> norm= of the transforms in the one direction and in the other
FORWARD: dict[str, Any] = {"1": "backward", "1/n": "forward", "1/sqrt(n)": "ortho"}
INVERSE: dict[str, Any] = {"1": "forward", "1/n": "backward", "1/sqrt(n)": "ortho"}
FACTOR: dict[str, Any] = {"1": lambda n: 1.0, "1/n": lambda n: 1.0 / n, "1/sqrt(n)": lambda n: 1.0 / np.sqrt(n)}
BLOCK = 2**14                            # numbers at a time, where several loops follow each other
ROWS_FROM = 2**10                        # points of a transform that is ours, alone
MANY_FROM, MANY_TO, LEAST = 8, 2**13, 2**12      # and among others; points of all of them together
np_fft, np_ifft, np_rfft, np_irfft = np.fft.fft, np.fft.ifft, np.fft.rfft, np.fft.irfft


# ---- linear maps -----------------------------------------------------------------------------------------------------

class Linear:
    """A real-linear map of one array: what Library asks of a rule.

    A subclass gives `key` (a tuple of names and numbers that make it), `run_map`, `transposed` and `batched`, and the
    shapes of operand and result, pairs of complex numbers included.
    """

    key: tuple[Any, ...]
    single: bool                         # float32 to float32
    shape_in: tuple[int, ...]
    shape_out: tuple[int, ...]

    @property
    def name(self) -> str:
        """What listings call it."""
        return str(self.key[0])

    def run_map(self, x: Any, out: Any) -> None:
        raise NotImplementedError

    def transposed(self) -> Linear:
        """The adjoint map."""
        raise NotImplementedError

    def batched(self, k: int) -> Linear:
        """The same for k operands, stacked along a new first axis."""
        raise NotImplementedError

    # -- in sweeps

    def run(self, xs: Any, out: Any) -> None:
        self.run_map(xs[0].reshape(self.shape_in), out.reshape(self.shape_out))

    def run_tangent(self, tangents: Any, xs: Any, out: Any) -> None:
        if tangents[0] is None:
            out[...] = 0.0
        else:
            self.run(tangents, out)

    def adjoint(self, k: int, w: Any, xs: Any) -> Any:
        back = self.transposed()
        bar = np.empty(back.shape_out, w.dtype)
        back.run([w], bar)
        return bar.reshape(xs[0].shape)

    # -- in recordings and derivative tapes

    def record(self, x: Any) -> Any:
        """Apply it to a traced array of this shape."""
        code = SINGLE if self.single else FLOAT
        aval_in, aval = T.aval(code, self.shape_in), T.aval(code, self.shape_out)
        return T.structural("call", (x,), T.Library(self, [aval_in], aval), self.shape_out, code, (code,),
                            T.tape_of(x) or T.current_tape())

    def emit(self, b: Any, x: int, aval: int) -> int:
        return b.emit("call", (x,), aval, T.Library(self, [b.aval_of(x)], aval))

    def emit_tangent(self, b: Any, s: Any) -> int:
        return self.emit(b, s.dx[0], s.aval)

    def emit_adjoint(self, r: Any, s: Any) -> None:
        if s.active[0]:
            r.give(0, self.transposed().emit(r.b, s.w, r.b.aval_of(s.x[0])))

    def emit_batch(self, b: Any, s: Any) -> int:
        dtype, shape = T.aval_of(s.aval)
        return self.batched(s.k).emit(b, s.x[0], T.aval(dtype, (s.k, *shape)))


def by_us(shape: tuple[int, ...], axis: int, n: int, single: bool) -> str:
    """How a transform along an axis is ours: "rows", one after the other, "many" at once, or "" where it is NumPy's.

    Ours are lengths without a prime factor beyond 11; where only a few short ones are wanted NumPy is as fast.
    """
    outer, inner = math.prod(shape[:axis]), math.prod(shape[axis + 1:])
    if single or n < MANY_FROM or not T.fourier_has(n):
        return ""
    if inner == 1 and n >= ROWS_FROM:
        return "rows"
    lanes = outer >= 16 if inner == 1 else inner >= 8
    return "many" if lanes and n <= MANY_TO and n * outer * inner >= LEAST else ""


def resized(shape: tuple[int, ...], axis: int, n: int) -> tuple[int, ...]:
    return (*shape[:axis], n, *shape[axis + 1:])


def place(y: Any, out: Any, axis: int) -> None:
    """out = y, cut or filled up with zeros along an axis."""
    n = min(y.shape[axis], out.shape[axis])
    at = (slice(None),) * axis
    out[(*at, slice(n))] = y[(*at, slice(n))]
    out[(*at, slice(n, None))] = 0.0


class Transform(Linear):
    """A Fourier transform of n points along an axis of `shape`, times a factor."""

    shape: tuple[int, ...]
    axis: int
    n: int
    scale: str
    pocket: Any                          # NumPy's loop for it, or None

    def run(self, xs: Any, out: Any) -> None:
        if self.pocket is None:
            super().run(xs, out)
        else:
            self.pocket.run(xs[0], out)

    def pocket_of(self, whole: bool, half: int = 0, ends: float = 0.0) -> Any:
        """NumPy's loop where it is NumPy's turn, and all points are there; else None.  half, ends: PocketTransform."""
        if not whole or self.single or by_us(self.shape, self.axis, self.n, False):
            return None
        outer, inner = math.prod(self.shape[:self.axis]), math.prod(self.shape[self.axis + 1:])
        found = T.PocketTransform(self.name, self.n, outer, inner, FACTOR[self.scale](self.n), half, ends)
        return found if found.known else None

    def run_ours(self, x: Any, out: Any, twice: float = 1.0) -> bool:
        """Run it by our own transform, if it is one of ours; `twice`: a factor of the inner coefficients of a half."""
        how = by_us(self.shape, self.axis, self.n, self.single)
        if how == "rows":                # (column vectors, too: behind the axis there are only lengths of 1)
            x, out = (a.reshape(*a.shape[:self.axis + 1], *a.shape[len(self.shape):]) for a in (x, out))
        if how:
            T.fourier_run(self.name, x, out, self.axis, self.n, FACTOR[self.scale](self.n), twice, how == "many")
        return bool(how)


class ComplexTransform(Transform):
    """Pairs to pairs along an axis: of `shape` cut or filled up to n, transformed, cut or filled up to m."""

    def __init__(self, shape: tuple[int, ...], axis: int, n: int, m: int, forward: bool, scale: str,
                 single: bool = False) -> None:
        self.key = ("fft" if forward else "ifft", shape, axis, n, m, forward, scale, single)
        self.shape, self.axis, self.n, self.m, self.forward, self.scale = shape, axis, n, m, forward, scale
        self.single = single
        self.shape_in, self.shape_out = (*shape, 2), (*resized(shape, axis, m), 2)
        self.pocket = self.pocket_of(shape[axis] == n == m)

    def run_map(self, x: Any, out: Any) -> None:
        if self.run_ours(x, out):
            return
        transform, norm = (np_fft, FORWARD) if self.forward else (np_ifft, INVERSE)
        x, out = as_complexes(x), as_complexes(out)
        if self.m == self.n:
            transform(x, self.n, self.axis, norm[self.scale], out=out)
        else:
            place(transform(x, self.n, self.axis, norm[self.scale]), out, self.axis)

    def transposed(self) -> Linear:
        return ComplexTransform(resized(self.shape, self.axis, self.m), self.axis, self.n, self.shape[self.axis],
                                not self.forward, self.scale, self.single)

    def batched(self, k: int) -> Linear:
        return ComplexTransform((k, *self.shape), self.axis + 1, self.n, self.m, self.forward, self.scale, self.single)


class RealToHalf(Transform):
    """Reals of `shape`, cut or filled up to n along an axis, to the first m coefficients.

    `twice`: the inner ones, which stand for two coefficients each, are doubled.
    """

    def __init__(self, shape: tuple[int, ...], axis: int, n: int, m: int, twice: bool, scale: str,
                 single: bool = False) -> None:
        self.key = ("rfft", shape, axis, n, m, twice, scale, single)
        self.shape, self.axis, self.n, self.m, self.twice, self.scale = shape, axis, n, m, twice, scale
        self.single = single
        self.shape_in, self.shape_out = shape, (*resized(shape, axis, m), 2)
        self.pocket = self.pocket_of(shape[axis] == n and m == n // 2 + 1, int(twice))

    def run_map(self, x: Any, out: Any) -> None:
        if self.run_ours(x, out, 2.0 if self.twice else 1.0):
            return
        out = as_complexes(out)
        if self.m == self.n // 2 + 1:
            y = np_rfft(x, self.n, self.axis, FORWARD[self.scale], out=out)
        else:
            y = np_rfft(x, self.n, self.axis, FORWARD[self.scale])
        if self.twice:
            y.view(y.real.dtype)[...] *= 2.0
            for k in ends(self.n):
                y[(slice(None),) * self.axis + (k,)] *= 0.5
        if y is not out:
            place(y, out, self.axis)

    def transposed(self) -> Linear:
        return HalfToReal(resized(self.shape, self.axis, self.m), self.axis, self.n, self.shape[self.axis],
                          self.twice, self.scale, self.single)

    def batched(self, k: int) -> Linear:
        return RealToHalf((k, *self.shape), self.axis + 1, self.n, self.m, self.twice, self.scale, self.single)


class HalfToReal(Transform):
    """Pairs of `shape`, half a spectrum of length n along an axis, to the first m reals.

    A spectrum that is too short is filled up with zeros, one that is too long is cut.  `twice`: the inner coefficients
    count twice, as those of an inverse transform do.
    """

    def __init__(self, shape: tuple[int, ...], axis: int, n: int, m: int, twice: bool, scale: str,
                 single: bool = False) -> None:
        self.key = ("irfft", shape, axis, n, m, twice, scale, single)
        self.shape, self.axis, self.n, self.m, self.twice, self.scale = shape, axis, n, m, twice, scale
        self.single = single
        self.shape_in, self.shape_out = (*shape, 2), resized(shape, axis, m)
        self.pocket = self.pocket_of(shape[axis] == n // 2 + 1 and m == n, 0 if twice else 2, self.ends_factor())

    def run_map(self, x: Any, out: Any) -> None:
        if self.run_ours(x, out, 1.0 if self.twice else 0.5):
            return
        z = as_complexes(x)
        y = np_irfft(z, self.n, self.axis, INVERSE[self.scale], **({"out": out} if self.m == self.n else {}))
        if not self.twice:
            self.halve(z, y, out)
        elif y is not out:
            place(y, out, self.axis)

    def ends_factor(self) -> float:
        return 0.5 * {"1": 1.0, "1/n": 1.0 / self.n, "1/sqrt(n)": float(self.n) ** -0.5}[self.scale]

    def halve(self, z: Any, y: Any, out: Any) -> None:
        """out = half of y, and half of the two coefficients at the ends of the spectrum, which y has once."""
        factor = self.ends_factor()
        at, m = (slice(None),) * self.axis, min(self.n, self.m)
        first = factor * z.real[(*at, slice(1))]
        middle = self.n // 2 if self.n % 2 == 0 else z.shape[self.axis]      # (of odd lengths there is none)
        last = factor * z.real[(*at, slice(middle, middle + 1))]
        step = max(2, BLOCK // max(1, out.size // self.m) // 2 * 2)
        for start in range(0, m, step):  # block by block, so that memory is read and written once
            part = out[(*at, slice(start, min(start + step, m)))]
            np.multiply(y[(*at, slice(start, min(start + step, m)))], 0.5, out=part)
            if last.shape[self.axis]:
                part[(*at, slice(None, None, 2))] += first + last
                part[(*at, slice(1, None, 2))] += first - last
            else:
                part += first
        out[(*at, slice(m, None))] = 0.0

    def transposed(self) -> Linear:
        return RealToHalf(resized(self.shape, self.axis, self.m), self.axis, self.n, self.shape[self.axis],
                          self.twice, self.scale, self.single)

    def batched(self, k: int) -> Linear:
        return HalfToReal((k, *self.shape), self.axis + 1, self.n, self.m, self.twice, self.scale, self.single)


def ends(n: int) -> tuple[int, ...]:
    """The coefficients of half a spectrum that stand for themselves alone."""
    return (0, n // 2) if n % 2 == 0 else (0,)


# ---- numpy.fft, one axis ---------------------------------------------------------------------------------------------

def scale_of(norm: Any, inverse: bool) -> str:
    """The factor of a transform by its norm=."""
    norms = {None: "1/n" if inverse else "1", "backward": "1/n" if inverse else "1", "ortho": "1/sqrt(n)",
             "forward": "1" if inverse else "1/n"}
    if norm not in norms:
        raise ValueError(f'Invalid norm value {norm}; should be "backward", "ortho" or "forward".')
    return norms[norm]


def swapped(norm: Any) -> Any:
    """The norm of the inverse transform: what hfft and ihfft give to the transforms that they are made of."""
    return {None: "forward", "backward": "forward", "forward": "backward"}.get(norm, norm)


def operand(a: Any) -> Any:
    """An argument as an array; of a number NumPy's own error follows."""
    a = asarray(a)
    return lifted(a) if isinstance(a, T.Complex) and not is_array(a) else a


def along(a: Any, axis: Any) -> int:
    return int(np.lib.array_utils.normalize_axis_index(operator.index(axis), a.ndim))


def length(n: Any, default: int) -> int:
    n = default if n is None else operator.index(n)
    if n < 1:
        raise ValueError(f"Invalid number of FFT data points ({n}) specified.")
    return n


def floats(x: Any) -> Any:
    """A real operand as float64; float32 stays."""
    return x if x.dtype in (np.float64, np.float32) else x.astype(np.float64)


def paired(a: Any) -> Any:
    """An operand as pairs."""
    return to_pairs(a if T.complex_among(a) else floats(a))


def is_single(x: Any) -> bool:
    return bool(x.dtype == np.float32)


def complex_transform(a: Any, n: Any, axis: Any, norm: Any, inverse: bool) -> Any:
    a = operand(a)
    axis = along(a, axis)
    n = length(n, a.shape[axis])
    pairs = paired(a)
    y = ComplexTransform(a.shape, axis, n, n, not inverse, scale_of(norm, inverse), is_single(pairs)).record(pairs)
    return from_pairs(in_order_of(a, y, axis, n, True))


KEEPS_ORDER = bool(np_rfft(np.ones((2, 2), order="F")).flags.f_contiguous)       # of its argument, in memory


def in_order_of(a: Any, y: Any, axis: int, n: int, is_complex: bool) -> Any:
    """A result in the memory order in which NumPy gives it: that of its argument."""
    c = T.concrete(a)
    if not KEEPS_ORDER or c.ndim < 2 or c.flags.c_contiguous:
        return y
    like = np.empty_like(c, dtype=np.complex128 if is_complex else np.float64, shape=resized(c.shape, axis, n))
    return relayout(y, as_floats(like) if is_complex else like)


def fft(a: Any, n: Any = None, axis: Any = -1, norm: Any = None, out: Any = None) -> Any:
    """np.fft.fft."""
    return deliver(out, complex_transform(a, n, axis, norm, False), "fft")


def ifft(a: Any, n: Any = None, axis: Any = -1, norm: Any = None, out: Any = None) -> Any:
    """np.fft.ifft."""
    return deliver(out, complex_transform(a, n, axis, norm, True), "ifft")


def rfft(a: Any, n: Any = None, axis: Any = -1, norm: Any = None, out: Any = None) -> Any:
    """np.fft.rfft."""
    a = operand(a)
    if T.complex_among(a):
        raise TypeError("ufunc 'rfft_n_even' did not contain a loop with signature matching complex types: rfft takes "
                        "real input; use fft")
    axis = along(a, axis)
    n = length(n, a.shape[axis])
    x = floats(a)
    y = RealToHalf(a.shape, axis, n, n // 2 + 1, False, scale_of(norm, False), is_single(x)).record(x)
    return deliver(out, from_pairs(in_order_of(a, y, axis, n // 2 + 1, True)), "rfft")


def irfft(a: Any, n: Any = None, axis: Any = -1, norm: Any = None, out: Any = None) -> Any:
    """np.fft.irfft."""
    a = operand(a)
    axis = along(a, axis)
    n = length(n, 2 * (a.shape[axis] - 1))
    pairs = paired(a)
    y = HalfToReal(a.shape, axis, n, n, True, scale_of(norm, True), is_single(pairs)).record(pairs)
    return deliver(out, in_order_of(a, y, axis, n, False), "irfft")


def hfft(a: Any, n: Any = None, axis: Any = -1, norm: Any = None, out: Any = None) -> Any:
    """np.fft.hfft."""
    a = operand(a)
    n = length(n, 2 * (a.shape[along(a, axis)] - 1))
    return deliver(out, irfft(np.conjugate(a), n, axis, swapped(norm)), "hfft")


def ihfft(a: Any, n: Any = None, axis: Any = -1, norm: Any = None, out: Any = None) -> Any:
    """np.fft.ihfft."""
    return deliver(out, np.conjugate(rfft(a, n, axis, swapped(norm))), "ihfft")


# ---- numpy.fft, several axes -----------------------------------------------------------------------------------------

def lengths(a: Any, s: Any, axes: Any, inverse_real: bool = False) -> tuple[list[Any], list[int]]:
    """(lengths, axes) as NumPy takes them: without axes the last ones, as many as there are lengths."""
    if axes is None:
        axes = list(range(a.ndim)) if s is None else list(range(-len(s), 0))
    else:
        axes = [operator.index(k) for k in axes]
    s = [None] * len(axes) if s is None else list(s)
    if len(s) != len(axes):
        raise ValueError("Shape and axes have different lengths.")
    s = [a.shape[axis] if n is None or n == -1 else n for n, axis in zip(s, axes, strict=True)] \
        if not inverse_real else [(a.shape[axis] if k + 1 < len(axes) else None) if n is None or n == -1 else n
                                  for k, (n, axis) in enumerate(zip(s, axes, strict=True))]
    return s, axes


def over_axes(transform: Any, a: Any, s: list[Any], axes: list[int], norm: Any) -> Any:
    """One axis after the other, the last first, as NumPy does."""
    for n, axis in reversed(list(zip(s, axes, strict=True))):
        a = transform(a, n, axis, norm)
    return a


def fftn(a: Any, s: Any = None, axes: Any = None, norm: Any = None, out: Any = None) -> Any:
    """np.fft.fftn."""
    a = operand(a)
    return deliver(out, over_axes(fft, a, *lengths(a, s, axes), norm), "fftn")


def ifftn(a: Any, s: Any = None, axes: Any = None, norm: Any = None, out: Any = None) -> Any:
    """np.fft.ifftn."""
    a = operand(a)
    return deliver(out, over_axes(ifft, a, *lengths(a, s, axes), norm), "ifftn")


def rfftn(a: Any, s: Any = None, axes: Any = None, norm: Any = None, out: Any = None) -> Any:
    """np.fft.rfftn: the last axis first, then the others in their order."""
    a = operand(a)
    s, axes = lengths(a, s, axes)
    y = rfft(a, s[-1], axes[-1], norm)
    for n, axis in zip(s[-2::-1], axes[-2::-1], strict=True):
        y = fft(y, n, axis, norm)
    return deliver(out, y, "rfftn")


def irfftn(a: Any, s: Any = None, axes: Any = None, norm: Any = None, out: Any = None) -> Any:
    """np.fft.irfftn."""
    a = operand(a)
    s, axes = lengths(a, s, axes, inverse_real=True)
    for n, axis in zip(s[:-1], axes[:-1], strict=True):
        a = ifft(a, n, axis, norm)
    return deliver(out, irfft(a, s[-1], axes[-1], norm), "irfftn")


def _in_two(transform: Any) -> Any:
    def record(a: Any, s: Any = None, axes: Any = (-2, -1), norm: Any = None, out: Any = None) -> Any:
        return transform(a, s, axes, norm, out)
    return record


ONE_AXIS = {"fft": fft, "ifft": ifft, "rfft": rfft, "irfft": irfft, "hfft": hfft, "ihfft": ihfft}
SEVERAL = {"fftn": fftn, "ifftn": ifftn, "rfftn": rfftn, "irfftn": irfftn,
           "fft2": _in_two(fftn), "ifft2": _in_two(ifftn), "rfft2": _in_two(rfftn), "irfft2": _in_two(irfftn)}
OTHERS = ("fftshift", "ifftshift", "fftfreq", "rfftfreq")
for _name, _implementation in (ONE_AXIS | SEVERAL).items():
    RECORDED[getattr(np.fft, _name)] = COMPLEX[getattr(np.fft, _name)] = _implementation


# ---- shifts ----------------------------------------------------------------------------------------------------------

def _shift(name: str) -> Any:
    def record(x: Any, axes: Any = None) -> Any:
        x, axes = operand(x), settled(axes)
        axes = tuple(range(x.ndim)) if axes is None else (axes,) if np.ndim(axes) == 0 else tuple(axes)
        half = [x.shape[k] // 2 if name == "fftshift" else -(x.shape[k] // 2) for k in axes]
        return np.roll(x, half, axes)
    return record


for _name in ("fftshift", "ifftshift"):
    RECORDED[getattr(np.fft, _name)] = COMPLEX[getattr(np.fft, _name)] = _shift(_name)
