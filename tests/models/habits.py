"""More habits: what the Python of scientists looks like around the formula.

Owns: programs whose interest is the language: conversions, exceptions, comprehensions, buffers, classes, printing.
Must not know: fastad.  Next: styles.py (the first such collection), refusals.py.
"""
import itertools
import math
from collections import OrderedDict, defaultdict
from contextlib import suppress
from functools import cached_property, partial, reduce, wraps
from types import SimpleNamespace

import numpy as np

from tests.models import model

X4 = np.array([0.4, 1.3, 0.8, 2.1])
X6 = np.array([0.4, 1.3, 0.8, 2.1, 1.7, 0.9])
TABLE = np.linspace(1.0, 2.0, 12).reshape(3, 4)


@model(X4)
def fill_diagonal_of_fresh_zeros(x):
    """Writers into arrays that were just made: fill_diagonal, put, place, copyto, putmask, put_along_axis."""
    a = np.zeros((4, 4))
    np.fill_diagonal(a, x)
    b = np.zeros(6)
    np.put(b, [1, 3], x[:2])
    np.place(b, b == 0, x[2:])
    c = np.ones((2, 4))
    np.copyto(c[1], x**2)
    np.putmask(c, c > 3, x[0])
    np.put_along_axis(c, np.array([[1], [2]]), x[3], axis=1)
    d = np.full((3, 3), 2.0)
    np.fill_diagonal(d[:2, :2], x[1])
    return np.concatenate([a.ravel(), b, c.ravel(), d.ravel()])


@model(X4)
def index_builders(x):
    """np.ix_, np.r_, np.c_, mgrid, tril_indices, diag_indices, unravel_index, meshgrid of integers."""
    m = np.outer(x, x[::-1])
    part = m[np.ix_([0, 2], [1, 3])]
    m[np.diag_indices(4)] *= 2.0
    low = m[np.tril_indices(4, -1)]
    at = np.unravel_index([5, 7], m.shape)
    return np.concatenate([part.ravel(), low, m[at], np.r_[x[:2], 0.5, x[-1:]], np.c_[x, x**2].sum(axis=0)])


@model(X4)
def einsum_and_friends(x):
    """Contractions in five spellings."""
    a = np.multiply.outer(x, TABLE)
    return np.stack([np.einsum("ijk,k->ij", a, x).sum(), np.tensordot(a, x, axes=([2], [0])).sum(),
                     np.einsum("ijk->", a), np.inner(a[0], x).sum(), np.vdot(TABLE[0], x), np.trace(np.outer(x, x))])


@model(X4, smooth=False, analytic=False)
def piecewise_select_heaviside(x):
    """np.piecewise with callables, np.select with a default, np.heaviside, np.digitize, np.choose."""
    y = np.piecewise(x, [x < 0.6, (x >= 0.6) & (x < 1.5)], [lambda v: v**2, lambda v: 2 * v, np.sqrt])
    z = np.select([x > 2, x > 1], [x**3, np.exp(x)], default=-x)
    return y + z + np.heaviside(x - 0.5, 0.5) * x + np.choose(np.digitize(x, [0.5, 1.0]), [x, 2 * x, 3 * x])


@model(X4)
def conversions_and_copies(x):
    """asarray, array(copy), ascontiguousarray, atleast_2d, squeeze, copy(), astype, ravel, item assignment."""
    a = np.asarray(x, dtype=float)
    b = np.array(a, copy=True, ndmin=2)
    c = np.ascontiguousarray(b.T).squeeze()
    c[0] = c[1] * np.float64(2)
    d = np.atleast_2d(c).repeat(2, axis=0).astype(np.float64).copy()
    d[1, 1:3] += 1.5
    return d.ravel(order="F")


@model(X4)
def linspace_with_computed_ends(x):
    """Grids whose ends are parameters, and logspace, geomspace, arange of a computed step."""
    grid = np.linspace(x[0], x[3], 5)
    return np.hstack([grid, np.geomspace(x[0], x[1], 3), np.logspace(x[0], x[1], 3), x[2] * np.arange(4)])


@model(X4)
def errstate_and_nan_to_num(x):
    """Division by zero tolerated and cleaned up, as data pipelines do."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = x / np.array([1.0, 0.0, 2.0, 0.0])
        ratio[~np.isfinite(ratio)] = 0.0
        log = np.nan_to_num(np.log(np.array([0.0, x[0], x[1], 1.0])), neginf=-5.0)
    return ratio + log


@model(X4, branches=True, analytic=False)
def exceptions_as_control_flow(x):
    """try/except around a domain error, suppress, else and finally, a retry."""
    total, tries = 0.0, 0
    for shift in (3.0, 1.0, 0.0):
        try:
            tries += 1
            total = math.sqrt(x[0] - shift)
        except ValueError:
            continue
        else:
            break
    with suppress(ZeroDivisionError, IndexError):
        total = total + x[9]
    return total * tries + math.log(x[1])


@model(X4, analytic=False)
def printing_and_asserting(x):
    """Formatted prints into a list, asserts on shapes and finiteness, repr and str of numbers."""
    lines = []
    for i, v in enumerate(x, start=1):
        assert np.isfinite(v) and v > 0, f"bad value {v}"
        lines.append(f"{i:3d} {float(np.round(0.5, 1)):8.3f} {v!s:>10.6}")
    assert x.shape == (4,) and len(lines) == len(x)
    return np.sum(x**2) / x.size


@model(X4)
def comprehensions_everywhere(x):
    """List, dict, set and generator expressions, nested, with conditions on indices."""
    squares = [v * v for v in x]
    named = {f"p{i}": v for i, v in enumerate(squares) if i % 2 == 0}
    table = [[a + b for b in x] for a in squares]
    size = {len(row) for row in table}
    return np.array(table) * sum(named.values()) + max(size) + sum(v for row in table for v in row[1:])


@model(X4, smooth=False, analytic=False)
def builtins_on_numbers(x):
    """sum, min, max with key and default, sorted, abs, pow, divmod, round of integers, any and all."""
    values = list(x)
    low, high = min(values), max(values, key=lambda v: v)
    q, r = divmod(high, 0.75)
    order = sorted(values, key=lambda v: -v)
    assert any(v > 2 for v in values) and all(values)
    return np.array([sum(values, start=0.5), low, abs(low - high), pow(high, 3), r + 0 * q, order[1],
                     min((v for v in values if v > 1), default=0.0)])


@model(X6)
def zip_enumerate_reversed(x):
    """Parallel iteration, reversed, pairwise by slices, chunks, accumulate, starmap, product."""
    total = 0.0
    for i, (a, b) in enumerate(zip(x[:-1], x[1:], strict=True)):
        total += (i + 1) * a * b
    for v in reversed(list(x)):
        total = 0.5 * total + v
    chunks = [x[i:i + 2] for i in range(0, len(x), 2)]
    running = list(itertools.accumulate(x, lambda s, v: s * 0.9 + v))
    cross = list(itertools.starmap(lambda a, b: a - b, itertools.product(x[:2], x[2:4])))
    return np.array([total, *running, *cross, *(c.prod() for c in chunks)])


class Material:
    """Operators, cached properties, slots, classmethods."""

    def __init__(self, stiffness, density):
        self.stiffness, self.density = stiffness, density

    @classmethod
    def mixed(cls, a, b, share):
        return cls(share * a.stiffness + (1 - share) * b.stiffness, share * a.density + (1 - share) * b.density)

    @cached_property
    def speed(self):
        return np.sqrt(self.stiffness / self.density)

    def __add__(self, other):
        return Material(self.stiffness + other.stiffness, self.density + other.density)

    def __mul__(self, factor):
        return Material(self.stiffness * factor, self.density)

    __rmul__ = __mul__


@model(X4)
def operators_of_a_class(x):
    """Objects that combine."""
    a, b = Material(x[0], x[1]), Material(x[2], x[3])
    return (2.0 * a + b).speed + Material.mixed(a, b, 0.3).speed + a.speed * a.speed


class Memory:
    """A state that is updated in place at each call."""

    def __init__(self, size):
        self.buffer = np.zeros(size)
        self.position = 0

    def push(self, value):
        self.buffer[self.position % self.buffer.size] = value
        self.position += 1
        return self.buffer.mean()


@model(X6)
def ring_buffer_object(x):
    """A moving average with a ring buffer in an object made inside."""
    memory = Memory(3)
    return np.array([memory.push(v) for v in x])


def logged(function):
    """A decorator that counts."""
    @wraps(function)
    def inner(*args, **kwargs):
        inner.count += 1
        return function(*args, **kwargs)
    inner.count = 0
    return inner


@logged
def polynomial(x, *coefficients, power=1):
    return sum(c * x**(k + power) for k, c in enumerate(coefficients))


@model(X4)
def decorated_with_star_args(x):
    """*args, **kwargs, a decorated function, partial and reduce."""
    f = partial(polynomial, power=2)
    options = {"power": 1}
    return f(x[0], *x[1:]) + polynomial(x[1], *[1.0, x[2]], **options) + reduce(lambda a, b: a * 0.5 + b, x)


@model(X4)
def dictionaries_of_arrays(x):
    """defaultdict, OrderedDict, SimpleNamespace, update, pop, setdefault, items."""
    groups = defaultdict(list)
    for i, v in enumerate(x):
        groups["even" if i % 2 == 0 else "odd"].append(v)
    state = OrderedDict(a=x[0], b=np.array([x[1], 1.0]))
    state.update(c=state.pop("a") * 2)
    state.setdefault("d", x[3])
    ns = SimpleNamespace(**state)
    ns.b = ns.b * ns.c
    return np.array([sum(v) for v in groups.values()] + [ns.d]) * ns.b.sum()


@model(X4)
def recursion_with_lists(x):
    """A mergesort-like sum, a binary tree as nested tuples, mutual recursion."""
    def total(v):
        if len(v) == 1:
            return v[0]
        half = len(v) // 2
        return np.hypot(total(v[:half]), total(v[half:]))

    def depth(tree):
        return tree if not isinstance(tree, tuple) else 1.5 * depth(tree[0]) + np.tanh(depth(tree[1]))
    return total(x) + depth(((x[0], x[1]), (x[2], (x[3], 0.5))))


@model(X4, branches=True)
def while_with_break(x):
    """A continued loop with break, continue and else; the residual decides."""
    y, n = x[0], 0
    while True:
        n += 1
        new = 0.5 * (y + x[1] / y)
        if abs(new - y) < 1e-12:
            break
        y = new
        if n > 60:
            raise RuntimeError("no convergence")
    return y * x[2]


@model(X6)
def inplace_on_slices(x):
    """Augmented assignment on slices, strides, reversed views, rows and transposes."""
    a = np.zeros((2, 6))
    a[0] += x
    a[1, ::2] -= x[:3]
    a[:, 1:] *= 1.5
    a[:, ::-1][:, :2] /= 2.0
    a.T[3] **= 2
    row = a[0]
    row[1:] += row[:-1]
    a[1] += row.cumsum()
    return a


@model(X4)
def preallocated_outs(x):
    """out= buffers in rotation, ufunc methods, where=."""
    work, other = np.empty(4), np.empty((4, 4))
    np.multiply(x, 2.0, out=work)
    np.exp(work, out=work, where=np.array([True, False, True, False]))
    np.multiply.outer(work, x, out=other)
    np.add.accumulate(other, axis=1, out=other)
    return np.add.reduce(other, axis=0) + np.subtract.outer(x, x)[1]


@model(X4)
def object_array_of_numbers(x):
    """np.empty(n, dtype=object) filled with numbers and with arrays of several lengths."""
    parts = np.empty(3, dtype=object)
    parts[0] = x[:2]
    parts[1] = x[1] * 2.0
    parts[2] = [x[2], x[3]]
    return parts[0].sum() * parts[1] + sum(parts[2])


@model(X4, analytic=False)
def object_arrays_by_dtype(x):
    """dtype=object asked for by name: numbers, matrices, mixed with text, made into floats again."""
    a = np.array([x[0], 2, x[1]**2], dtype=object)
    m = np.array([[x[0], 1.0], [0.5, x[3]]], dtype=object)
    mixed = np.array([x[0], "name", None], dtype=object)
    filled = np.empty((2, 2), dtype=object)
    for i, j in np.ndindex(2, 2):
        filled[i, j] = x[i] * x[j + 2]
    floats = np.array(filled, dtype=float) + np.asarray(filled, float).T
    ragged = np.array([x[:2], x], dtype=object)
    return (m @ a[:2]).sum() * mixed[0] + a.mean() + np.sum(filled * 2) * floats[0] + ragged[1].sum() + np.mean(filled)


@model(X4)
def string_keys_and_dispatch(x):
    """Functions in a dict, chosen by name, getattr of numpy."""
    laws = {"log": np.log, "root": lambda v: v**0.5, "tanh": getattr(np, "tan" + "h")}
    return sum(laws[name](v) for name, v in zip(("log", "root", "tanh", "log"), x, strict=True))


@model(X4)
def nested_functions_nonlocal(x):
    """A closure that accumulates by nonlocal, default arguments, a lambda in a loop."""
    total = 0.0

    def add(v, weight=2.0):
        nonlocal total
        total = total + weight * v
        return total
    fs = [lambda v, k=k: v**k for k in range(1, 4)]
    for f, v in zip(fs, x, strict=False):
        add(f(v))
    return add(x[3], weight=0.5)


def characteristics(x):
    """A generator with state, send and a final value."""
    level = x[0]
    for v in x[1:]:
        push = yield level
        level = level * 0.5 + v + (push or 0.0)
    return level


@model(X4)
def generators_with_send(x):
    """yield, send, and the value of StopIteration."""
    g = characteristics(x)
    values = [next(g), g.send(x[1]), g.send(None)]
    try:
        g.send(1.0)
    except StopIteration as stop:
        values.append(stop.value)
    return np.array(values)


@model(X4, analytic=False)
def vectorize_with_signature_free_function(x):
    """np.vectorize of a function with a branch on its second, constant argument; frompyfunc's cousin."""
    @np.vectorize
    def f(a, k):
        return a**2 if k % 2 else math.exp(-a)
    return f(x, np.arange(4))


@model(X4)
def stack_of_unpacked(x):
    """Star unpacking, swaps, chained comparison on sizes, walrus, matrix from rows."""
    first, *middle, last = x
    first, last = last, first
    if (n := len(middle)) == 2 and 0 < n < 3:
        middle = middle[::-1]
    return np.array([[first, *middle], [*middle, last]]) @ np.array([1.0, -2.0, 0.5])


@model(X4, smooth=False, analytic=False)
def statistics_by_hand(x):
    """Medians, quantiles, histograms with weights, clipping to percentiles, a z-score."""
    low, high = np.percentile(x, [10, 90])
    clipped = np.clip(x, low, high)
    z = (clipped - np.median(clipped)) / np.std(clipped, ddof=1)
    counts, _ = np.histogram([0.2, 1.2, 1.4, 2.2], bins=3, range=(0, 3), weights=x)
    return np.concatenate([z, counts, [np.ptp(x), np.average(x, weights=[1, 2, 3, 4])]])
