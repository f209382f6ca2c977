"""scipy_filters.py - scipy.signal's recursive filters with fixed coefficients: lfilter, filtfilt, sosfilt, sosfiltfilt.

Owns: one linear map, the filter B/A from rest along an axis by SciPy's compiled code, whose adjoint is the same filter
backwards in time; states, padding and sections are written with it.  Coefficients are read again at each replay.
Must not know: coefficients with derivatives (scipy_signal.py has the loop over samples for those).
Source: A. V. Oppenheim and R. W. Schafer, Discrete-Time Signal Processing (2010), 6.3 (transposed direct form II).
"""
from __future__ import annotations

from typing import Any

import numpy as np

from fastad import _tape as T
from fastad.operands import asarray, refusal, shape_of
from fastad.scipy_doors import floats, plain, records


class Filter:
    """(b, a, x) -> x filtered along an axis; `back`: from the last sample to the first; `own`: each lane has its own
    coefficients."""

    name = "linear_filter"

    def __init__(self, orders: tuple[int, int], shape: tuple[int, ...], axis: int, back: bool,
                 own: bool = False) -> None:
        self.orders, self.shape, self.axis, self.back, self.own = orders, shape, axis, back, own
        self.key = ("linear_filter", orders, shape, axis, back, own)

    def one(self, b: Any, a: Any, x: Any, axis: int, back: bool) -> Any:
        from scipy.signal import lfilter
        y = lfilter(b, a, np.flip(x, axis) if back else x, axis=axis)
        return np.flip(y, axis) if back else y

    def put(self, b: Any, a: Any, x: Any, out: Any, back: bool) -> None:
        if not self.own:
            out[...] = self.one(b, a, x, self.axis, back)
            return
        for k in range(self.shape[0]):
            out[k] = self.one(b[k], a[k], x[k], self.axis - 1, back)

    # -- in sweeps

    def run(self, xs: Any, out: Any) -> None:
        self.put(*xs, out, self.back)

    def run_tangent(self, tangents: Any, xs: Any, out: Any) -> None:
        if tangents[2] is None:
            out[...] = 0.0
        else:
            self.put(xs[0], xs[1], tangents[2], out, self.back)

    def adjoint(self, k: int, w: Any, xs: Any) -> Any:
        if k < 2:
            return np.zeros(xs[k].shape)
        out = np.empty(self.shape)
        self.put(xs[0], xs[1], w, out, not self.back)
        return out

    # -- in recordings and derivative tapes

    def attribute(self) -> Any:
        lanes = self.shape[:1] * self.own
        avals = [T.aval(0, (*lanes, n)) for n in self.orders] + [T.aval(0, self.shape)]
        return T.Library(self, avals, avals[2])

    def record(self, b: Any, a: Any, x: Any) -> Any:
        return T.structural("call", (b, a, x), self.attribute(), self.shape, 0, (0, 0, 0))

    def emit(self, b: Any, s: Any, x: int, back: bool) -> int:
        rule = Filter(self.orders, self.shape, self.axis, back, self.own)
        return b.emit("call", (s.x[0], s.x[1], x), T.aval(0, self.shape), rule.attribute())

    def emit_tangent(self, b: Any, s: Any) -> int:
        return self.emit(b, s, s.dx[2], self.back) if s.dx[2] else 0

    def emit_adjoint(self, r: Any, s: Any) -> None:
        if s.active[2]:
            r.give(2, self.emit(r.b, s, s.w, not self.back))

    def emit_batch(self, b: Any, s: Any) -> int:
        own = bool(s.batched[0] or s.batched[1] or self.own)
        rule = Filter(self.orders, (s.k, *self.shape), self.axis + 1, self.back, own)
        if self.own:                     # a batch of a batch: one lane for each pair
            rule = Filter(self.orders, (s.k * self.shape[0], *self.shape[1:]), self.axis, self.back, True)
        avals = rule.attribute().avals
        operands = [b.fit(b.lanes(s, j) if own or j == 2 else s.x[j], avals[j]) for j in range(3)]
        return b.fit(b.emit("call", operands, avals[2], rule.attribute()), T.aval(0, (s.k, *self.shape)))


def single(*operands: Any) -> Any:
    """What rounds a result to float32, if all operands are float32, as SciPy's does."""
    if all(asarray(x).dtype == np.float32 for x in operands if x is not None):
        return lambda y: y.astype(np.float32)
    return lambda y: y


def fixed(*coefficients: Any) -> bool:
    """Have the coefficients no derivatives?  (Lists may hold traced numbers.)"""
    return not any(T.is_traced(x) and T.is_active(x) for x in map(asarray, coefficients))


def filtered(b: Any, a: Any, x: Any, axis: int) -> Any:
    """x filtered from rest; b, a: vectors with a[0] = 1."""
    if not fixed(b, a):
        raise refused("lfilter", "coefficients with derivatives go through the loop over samples of lfilter")
    axis %= len(shape_of(x))
    rule = Filter((shape_of(b)[0], shape_of(a)[0]), shape_of(x), axis, False)
    return rule.record(b, a, x)


def with_state(b: Any, a: Any, x: Any, axis: int, zi: Any) -> tuple[Any, Any]:
    """(y, final state) from a state: A y = B x + zi, and the state is what of this comes after the last sample."""
    n, order = shape_of(x)[axis], shape_of(zi)[axis]
    x, zi = np.moveaxis(x, axis, 0), np.moveaxis(zi, axis, 0)
    start = zi[:n] if order >= n else np.concatenate((zi, np.zeros((n - order, *shape_of(zi)[1:]))))
    start = np.broadcast_to(start, shape_of(x))
    y = filtered(b, a, x, 0) + filtered(np.ones(1), a, start, 0)
    rest = []
    for m in range(order):
        z: Any = zi[n + m] if n + m < order else 0.0
        for j in range(m + 1, order + 1):
            if n + m - j >= 0:
                z = z + (b[j] * x[n + m - j] if j < shape_of(b)[0] else 0.0)
                z = z - (a[j] * y[n + m - j] if j < shape_of(a)[0] else 0.0)
        rest.append(z + np.zeros(shape_of(x)[1:]))
    final = np.stack(rest) if rest else np.zeros((0, *shape_of(x)[1:]))
    return np.moveaxis(y, 0, axis), np.moveaxis(final, 0, axis)


def steady(b: Any, a: Any) -> Any:
    """The state of a filter that has filtered ones forever (SciPy's lfilter_zi); a[0] = 1."""
    n = max(shape_of(a)[0], shape_of(b)[0])
    b, a = (x if shape_of(x)[0] == n else np.concatenate((x, np.zeros(n - shape_of(x)[0]))) for x in (b, a))
    if n == 1:
        return np.zeros(0)
    less = np.zeros((n - 1, n - 1))
    less[:, 0] = a[1:]
    return np.linalg.solve(np.eye(n - 1) - np.eye(n - 1, k=1) + less, b[1:] - a[1:] * b[0])


def normed(b: Any, a: Any) -> tuple[Any, Any]:
    """Both by a[0]."""
    b, a = np.atleast_1d(b), np.atleast_1d(a)
    return b / a[0], a / a[0]


# ---- there and back --------------------------------------------------------------------------------------------------

def padded(x: Any, edge: int, kind: Any) -> Any:
    """The first axis continued at both ends."""
    if kind is None or edge == 0:
        return x
    before, after = (x[edge:0:-1], x[-2:-(edge + 2):-1])
    if kind == "odd":
        before, after = 2 * x[:1] - before, 2 * x[-1:] - after
    elif kind == "constant":
        before, after = (np.broadcast_to(end, shape_of(before)) for end in (x[:1], x[-1:]))
    return np.concatenate((before, x, after))


def there_and_back(pairs: Any, x: Any, axis: int, kind: Any, edge: int) -> Any:
    """Filters one after the other, forwards and then backwards, each from the state of its first sample."""
    x = padded(np.moveaxis(x, axis, 0), edge, kind)
    for _ in range(2):
        start, first = x, 1.0
        for b, a in pairs:
            zi = steady(b, a) * first
            zi = np.reshape(zi, (-1,) + (1,) * (len(shape_of(x)) - 1)) * start[:1]
            x, first = with_state(b, a, x, 0, zi)[0], first * np.sum(b) / np.sum(a)
        x = x[::-1]
    return np.moveaxis(x[edge:shape_of(x)[0] - edge], 0, axis)


@records("scipy.signal", "filtfilt")
def filtfilt(b: Any, a: Any, x: Any, axis: int = -1, padtype: Any = "odd", padlen: Any = None, method: str = "pad",
             irlen: Any = None) -> Any:
    """Forwards and backwards, by x (of real numbers), with padding; b and a have no derivatives here."""
    plain("scipy.signal", "filtfilt", b, a, x, axis, padtype, padlen, method, irlen)
    rounded = single(b, a, x)
    b, a, x = plainly("filtfilt", b, a, x)
    if method != "pad":
        raise refused("filtfilt", "method='pad' is recorded")
    b, a = normed(b, a)
    edge = 0 if padtype is None else 3 * max(shape_of(a)[0], shape_of(b)[0]) if padlen is None else padlen
    return rounded(there_and_back([(b, a)], x, axis, padtype, edge))


@records("scipy.signal", "sosfilt")
def sosfilt(sos: Any, x: Any, axis: int = -1, zi: Any = None) -> Any:
    """Section after section, by x and zi."""
    plain("scipy.signal", "sosfilt", sos, x, axis, zi)
    rounded = single(sos, x, zi)
    sos, x = plainly("sosfilt", sos, x)
    states = []
    for k in range(shape_of(sos)[0]):
        if zi is None:
            x = filtered(sos[k, :3], sos[k, 3:], x, axis)
        else:
            x, z = with_state(sos[k, :3], sos[k, 3:], x, axis % len(shape_of(x)), floats(zi)[k])
            states.append(z)
    return rounded(x) if zi is None else (rounded(x), rounded(np.stack(states)))


@records("scipy.signal", "sosfiltfilt")
def sosfiltfilt(sos: Any, x: Any, axis: int = -1, padtype: Any = "odd", padlen: Any = None) -> Any:
    """Section after section, forwards and backwards, by x."""
    plain("scipy.signal", "sosfiltfilt", sos, x, axis, padtype, padlen)
    rounded = single(sos, x)
    sos, x = plainly("sosfiltfilt", sos, x)
    now = np.asarray(T.concrete(sos))
    edge = 3 * (2 * len(now) + 1 - min((now[:, 2] == 0).sum(), (now[:, 5] == 0).sum())) if padlen is None else padlen
    edge = 0 if padtype is None else int(edge)
    pairs = [(sos[k, :3], sos[k, 3:]) for k in range(len(now))]
    return rounded(there_and_back(pairs, x, axis, padtype, edge))


@records("scipy.signal", "decimate")
def decimate(x: Any, q: int, n: Any = None, ftype: Any = "iir", axis: int = -1, zero_phase: bool = True) -> Any:
    """Every q-th sample of the filtered signal, by x; ftype='iir'."""
    plain("scipy.signal", "decimate", x, q, n, ftype, axis, zero_phase)
    if ftype != "iir":
        raise refused("decimate", "ftype='iir' is recorded")
    from scipy.signal import cheby1
    with T.Undisturbed():
        sos = cheby1(8 if n is None else n, 0.05, 0.8 / q, output="sos")
    y = sosfiltfilt(sos, x, axis) if zero_phase else sosfilt(sos, x, axis)
    y = np.moveaxis(np.moveaxis(y, axis, 0)[::q], 0, axis)
    return y.astype(np.float32) if asarray(x).dtype == np.float32 else y


@records("scipy.signal", "hilbert")
def hilbert(x: Any, N: Any = None, axis: int = -1) -> Any:
    """The analytic signal, by x: half of the spectrum, twice."""
    plain("scipy.signal", "hilbert", x, N, axis)
    x = np.moveaxis(floats(x), axis, -1)
    n = shape_of(x)[-1] if N is None else N
    twice = np.zeros(n, x.dtype)
    twice[0] = 1.0
    twice[1:(n + 1) // 2] = 2.0
    if n % 2 == 0:
        twice[n // 2] = 1.0
    return np.moveaxis(np.fft.ifft(np.fft.fft(x, n) * twice), -1, axis)


@records("scipy.signal", "detrend")
def detrend(data: Any, axis: int = -1, type: str = "linear", bp: Any = 0, overwrite_data: bool = False) -> Any:
    """Less the mean, or a line, by data."""
    plain("scipy.signal", "detrend", data, axis, type, bp)
    x = np.moveaxis(floats(data), axis, 0)
    if type in ("constant", "c"):
        return np.moveaxis(x - np.mean(x, axis=0), 0, axis)
    n = shape_of(x)[0]
    ends = np.unique(np.concatenate((np.atleast_1d(0), np.atleast_1d(T.concrete(asarray(bp))), np.atleast_1d(n))))
    pieces = []
    for start, end in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        line = np.stack((np.arange(1.0, end - start + 1) / (end - start), np.ones(end - start)), 1).astype(x.dtype)
        piece = np.reshape(x[start:end], (end - start, -1))
        piece = piece - line @ (np.linalg.pinv(line) @ piece)
        pieces.append(np.reshape(piece, (end - start, *shape_of(x)[1:])))
    return np.moveaxis(np.concatenate(pieces), 0, axis)


def plainly(name: str, *operands: Any) -> list[Any]:
    """Operands in float64; coefficients with derivatives are refused."""
    if any(T.complex_among(x) for x in operands):
        raise refused(name, "real signals and coefficients are recorded; filter .real and .imag")
    if not fixed(operands[0], operands[-2]):
        raise refused(name, "there is no derivative by the coefficients; scipy.signal.lfilter has one")
    return [floats(x) for x in operands]


def refused(name: str, remedy: str) -> Exception:
    return refusal(f"scipy.signal.{name}", remedy)
