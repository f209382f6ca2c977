"""Habits: what people do with NumPy that is neither a loop nor a formula.

Owns: programs whose interest is the way they are written (views, out=, generators, global tables, keyword options ...).
Must not know: fastad.  Next: refusals.py, the habits that are refused.
"""
import itertools
import operator
from collections import deque, namedtuple
from dataclasses import dataclass
from functools import reduce

import numpy as np

from tests.models import model

TABLE = np.array([1.0, 1.5, 2.5, 2.0, 0.5])
X4 = np.array([0.4, 1.3, 0.8, 2.1])


@model(X4)
def out_arguments(x):
    buffer = np.empty(4)
    np.multiply(x, x, out=buffer)
    np.sin(buffer, out=buffer)
    np.add(buffer, x, buffer)
    return buffer.sum()


@model(X4)
def views_write_through(x):
    a = np.zeros((2, 4))
    row, col = a[0], a[:, 1]
    row[:] = x
    col += 2.0
    a.T[2] = [x[3], x[0]]
    a.flat[7] = x[1]
    return a


@model(X4)
def reduce_and_generators(x):
    total = reduce(operator.mul, (1 + xi for xi in x))
    pairs = sum(a * b for a, b in itertools.combinations(x, 2))
    return total + pairs + sum(map(np.square, x))


@model(X4)
def deque_window(x):
    window = deque(maxlen=2)
    out = []
    for v in x:
        window.append(v)
        out.append(sum(window) / len(window))
    return np.array(out)


Point = namedtuple("Point", "x y")


@model(X4)
def named_tuples(x):
    a, b = Point(x[0], x[1]), Point(*x[2:])
    return np.hypot(a.x - b.x, a.y - b.y) + a._replace(x=3.0).x * b.y


@dataclass
class Layer:
    velocity: float
    thickness: float

    @property
    def time(self):
        return self.thickness / self.velocity


@model(X4)
def dataclass_layers(x):
    layers = [Layer(v, h) for v, h in zip(x[:2], x[2:], strict=True)]
    return sum(layer.time for layer in layers)


@model(X4, smooth=False, analytic=False)
def boolean_masks(x):
    y = x.copy()
    y[y > 1] = 1 + np.log(y[y > 1])
    y[x < 0.5] *= 3
    y[np.logical_and(x > 0.5, x < 1)] = 0.25
    return y


@model(X4, smooth=False, analytic=False)
def choose_select_piecewise(x):
    a = np.select([x < 0.5, x < 1.0, x < 2.0], [x**2, 2 * x, np.sqrt(x)], default=3.0)
    b = np.piecewise(x, [x < 1, x >= 1], [lambda t: t**3, lambda t: 1 + np.log(t)])
    return a + b


@model(X4, smooth=False, analytic=False)
def table_lookup(x):
    """A nearest and a linear table look-up with integer indices from floor."""
    i = np.clip(np.floor(x).astype(int), 0, len(TABLE) - 2)
    f = x - i
    return TABLE[i] * (1 - f) + TABLE[i + 1] * f


@model(X4, smooth=False, branches=True, analytic=False)
def int_of_traced(x):
    """The index by int(), one number after the other: Python decides."""
    out = 0.0
    for v in x:
        i = int(v)
        out += TABLE[i] + (v - i) * (TABLE[i + 1] - TABLE[i])
    return out


@model(X4)
def stack_and_split(x):
    a, b = np.split(np.stack([x, x**2, np.sqrt(x)], axis=1), 2)
    c = np.block([[a, b], [b, a]])
    return np.swapaxes(c, 0, 1)[1:4].T


@model(X4)
def flips_and_steps(x):
    y = np.tile(x, 3)[::2]
    y[1::2] = -y[-2::-2][:3]
    return np.repeat(y, 2)[3:-1] + np.flip(y)[0]


@model(X4)
def vectorised_function(x):
    return np.apply_along_axis(lambda row: row.sum() * row, 1, x.reshape(2, 2))


@model(X4)
def index_arithmetic(x):
    n = len(x)
    idx = (np.arange(n) + 1) % n
    y = x[idx] - x[idx[::-1]]
    y[[0, 2]] = y[[2, 0]]
    return np.take(y, [3, 0, 0]) * x[np.ix_([1, 2, 3])]


@model(X4)
def print_and_format(x):
    """Values are looked at on the way."""
    s = x.sum()
    text = f"{s:.3f} {x[0]!r:.3} {np.round(x, 2)}"
    assert len(text) > 5 and s == s
    return s * x.mean()


@model(X4, {"damping": 0.3, "names": ["a", "b"], "flags": (True, None)}, kwargs={"scale": 2.0, "mode": "sum"})
def options_dictionary(x, options, scale=1.0, mode="mean"):
    weight = options["damping"] * (2 if options["flags"][0] else 1)
    r = scale * weight * x**2
    return r.sum() if mode == "sum" else r.mean()


@model((np.array([0.4, 1.3]), {"b": 0.8, "c": [2.1, np.array([[1.0, 2.0]])]}))
def nested_parameters(tree):
    a, rest = tree
    b, (c, d) = rest["b"], rest["c"]
    return np.array([a @ a, b * c, (d * a).sum()])


@model(0.7, 2, 3.5)
def scalars_only(x, n, y):
    z = x
    for _ in range(n):
        z = z * y + x
    return z / (1 + z**2)


@model(X4, np.array([2, 0, 1, 3]), np.array([True, False, True, True]))
def integer_and_boolean_data(x, perm, keep):
    return np.cumsum(x[perm])[keep] * np.count_nonzero(keep)


@model(X4)
def accumulate_ufuncs(x):
    return np.multiply.accumulate(x) + np.add.reduce(x) - np.subtract.outer(x, x)[1]


@model(X4, smooth=False, analytic=False, branches=True)
def extremes(x):
    return np.array([max(x[0], x[1]), min(x), np.ptp(x), x.max() - x.argmax(), np.maximum.reduce(x), abs(x[0] - x[1])])


@model(X4)
def try_except(x):
    try:
        weights = TABLE["missing"]
    except IndexError:
        weights = TABLE[:4]
    return weights @ x**2


@model(X4, analytic=False)
def array_methods(x):
    m = x.reshape(2, -1)
    y = m.T.copy().ravel(order="F") + m.flatten().cumsum() + m.sum(0).repeat(2)
    return y.clip(0, 100).dot(x) + m.trace() + m.mean(axis=1).prod() + x.std()


@model(np.arange(1.0, 7.0).reshape(2, 3))
def loops_over_rows(m):
    norms = []
    for row in m:
        norms.append(sum(v**2 for v in row)**0.5)
    total = np.zeros(3)
    for (i, j), v in np.ndenumerate(m):
        total[j] += (i + 1) * v
    for i, j in np.ndindex(2, 3):
        total[j] -= 0.1 * m[i, j]**2
    return np.array(norms).sum() * total


@model(X4)
def enumerate_zip_slices(x):
    out = np.zeros_like(x)
    for i, (a, b) in enumerate(zip(x, x[::-1], strict=True)):
        out[i] = a * b if i % 2 else a - b
    out[:-1], out[-1] = out[1:].copy(), out[0]
    return out


def counter():
    """A closure over an array that it changes."""
    state = np.zeros(4)

    def add(v):
        state[:] = state * 0.5 + v
        return state

    return add


@model(X4)
def closure_state(x):
    add = counter()
    for k in range(3):
        add(x * k)
    return add(np.sin(x)).copy()


@model(X4)
def chained_inplace(x):
    y = x + 0
    y **= 2
    y += x
    y /= 1 + x.sum()
    y *= y
    y -= y.mean()
    y @= np.ones((4, 4)) + np.eye(4)
    return y


@model(X4)
def insert_delete_append(x):
    y = np.delete(np.insert(x, 2, x[0] * x[1]), 0)
    return np.append(y, [y[-1]**2, 1.0])


@model(X4, smooth=False, analytic=False)
def digitize_and_where(x):
    bins = np.digitize(x, [0.5, 1.0, 2.0])
    hits = np.bincount(bins, weights=x, minlength=5)
    i, = np.where(np.array([True, False, True, False]))
    return hits[:4] + x[i].sum() * np.heaviside(x - 1, 0.5)


@model(X4)
def nan_aware(x):
    y = np.array([x[0], np.nan, x[1] * x[2], np.nan, x[3]])
    return np.nansum(y**2) + np.nanmean(y) + np.sum(np.nan_to_num(y))


@model(X4)
def matrix_gymnastics(x):
    A = np.outer(x, x) + np.diag(x)
    B = np.kron(np.eye(2), x.reshape(2, 2))
    return np.trace(A @ B) + np.tensordot(A, B, 2) + np.linalg.multi_dot([x, A, B, x]) + np.vdot(A, B) + np.inner(x, x)


@model(X4)
def linear_solve(x):
    return np.linalg.solve(np.diag(x), np.ones(4)).sum()


@model(X4, analytic=False)
def log_determinant(x):
    return np.linalg.slogdet(np.outer(x, x) + np.eye(4))[1]


@model(X4, analytic=False)
def eigenvalues(x):
    return np.linalg.eigvalsh(np.outer(x, x) + np.eye(4))[-1]


@model(X4)
def float_conversions(x):
    """Casts that change nothing: astype, np.float64, asarray, atleast."""
    y = np.asarray(x, dtype=float).astype(np.float64)
    z = np.atleast_2d(np.float64(2.0) * y).squeeze()
    return np.ascontiguousarray(z[::-1]) * np.array(x, copy=True)


@np.vectorize
def branchy(v, threshold):
    """One number at a time, in Python."""
    if v < threshold:
        return v**2
    return 2 * threshold * v - threshold**2


@model(X4, np.array([[1.0], [0.6]]), branches=True, analytic=False)
def vectorize_decorator(x, thresholds):
    return branchy(x, thresholds).sum(axis=0)


@model(X4, analytic=False)
def vectorize_closure_two_results(x):
    """np.vectorize over plain places of a function that closes over traced values."""
    def at(t):
        return x[0] * np.sin(x[1] * t), x[2] + t

    a, b = np.vectorize(at)(np.linspace(0, 1, 5))
    return a * b + np.vectorize(lambda v, power: v**power, excluded=["power"], otypes=[float])(x[3], power=3)


@model(X4)
def lists_everywhere(x):
    """Lists of numbers where NumPy takes arrays, at any place among the arguments."""
    a = np.concatenate(([2 * x[0]], x, [x[1], 1.0]))
    b = np.vstack([[x[0], x[1]], [1.0, 2.0]]) @ np.stack([[x[2], 0.5], [x[3], x[3]]])
    c = np.interp(0.3, [0.0, 1.0], [x[0], x[1]]) + np.einsum("i,i", [1.0, 2.0], [x[0], x[1]])
    d = np.convolve([1.0, 2.0], [x[0], x[1]]) + np.where([True, False, True], [x[0], x[1], x[2]], 0.0)
    e = np.cross([1.0, 0, 0], [x[0], x[1], 2.0])
    return np.hstack([a[:3], b.ravel(), c, d, np.dot([1.0, 2.0], [x[0], x[3]]), e])
