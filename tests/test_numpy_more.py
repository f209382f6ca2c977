"""More of NumPy on traced arrays, as tables: padding, quantiles, partitions, sets, histograms, ufunc methods, windows.

Owns: expressions with NumPy's value, another point, and a derivative.  Next: test_signatures.py (every keyword).
"""
import re

import numpy as np
import pytest
from numpy_cases import judge, record, supported

import fastad as ad
from fastad.errors import TapeDivergence, UnsupportedError

X = np.array([[0.9, 0.35, 1.7, -0.4], [0.2, 1.1, -0.6, 2.3], [0.75, -1.3, 0.05, 1.45]])
X2 = np.array([[-0.9, 0.65, 0.7, 1.4], [1.2, -0.1, 0.66, -2.3], [0.15, 1.35, 2.05, -1.45]])
W = np.linspace(0.5, 2.0, 12).reshape(3, 4)
GAPS = np.array([[True, False, True, True], [False, True, True, False], [True, True, False, True]])


def gappy(x):
    return np.where(GAPS, x, np.nan)


def changed(x, change):
    """A copy of x after a statement."""
    y = x * 1.0
    change(y)
    return y


PADDING = {
    "values": lambda x: np.pad(x, ((1, 2), (0, 1)), constant_values=((x[0, 0], 2.0), (3.0, x[1, 1]))),
    "edge": lambda x: np.pad(x, ((0, 2), (3, 0)), "edge"),
    "ramp": lambda x: np.pad(x, 2, "linear_ramp"),
    "ramp to traced": lambda x: np.pad(x, ((2, 1), (0, 3)), "linear_ramp", end_values=x[0, 1]),
    "ramp to pairs": lambda x: np.pad(x[0], (2, 3), "linear_ramp", end_values=(5.0, -4.0)),
    "maximum": lambda x: np.pad(x, 1, "maximum"),
    "maximum of some": lambda x: np.pad(x, ((1, 1), (2, 0)), "maximum", stat_length=2),
    "minimum": lambda x: np.pad(x, (1, 2), "minimum"),
    "mean": lambda x: np.pad(x, 2, "mean", stat_length=((1, 2), (3, 1))),
    "median": lambda x: np.pad(x, 1, "median"),
    "reflect": lambda x: np.pad(x, 5, "reflect"),
    "reflect odd": lambda x: np.pad(x, ((1, 2), (2, 3)), "reflect", reflect_type="odd"),
    "reflect odd wide": lambda x: np.pad(x, 7, "reflect", reflect_type="odd"),
    "symmetric": lambda x: np.pad(x, 6, "symmetric"),
    "symmetric odd": lambda x: np.pad(x, ((0, 2), (3, 1)), "symmetric", reflect_type="odd"),
    "symmetric odd wide": lambda x: np.pad(x[0], (6, 9), "symmetric", reflect_type="odd"),
    "wrap": lambda x: np.pad(x, 6, "wrap"),
    "function": lambda x: np.pad(x, 2, lambda v, width, axis, kw: v.__setitem__(slice(0, width[0]), kw["by"] * v[3]),
        by=2.0),
    "empty": lambda x: np.pad(x, 1, "empty")[1:-1, 1:-1],
}

QUANTILES = {
    **{f"quantile {m}": (lambda x, m=m: np.quantile(x, [0.0, 0.13, 0.5, 0.77, 1.0], axis=1, method=m)) for m in (
        "linear", "lower", "higher", "midpoint", "nearest", "inverted_cdf", "averaged_inverted_cdf",
        "closest_observation",
        "interpolated_inverted_cdf", "hazen", "weibull", "median_unbiased", "normal_unbiased")},
    **{f"nanquantile {m}": (lambda x, m=m: np.nanquantile(gappy(x), 0.4, axis=1, method=m)) for m in (
        "linear", "lower", "higher", "midpoint", "nearest", "inverted_cdf", "hazen", "weibull", "median_unbiased")},
    "traced q": lambda x: np.quantile(x, np.tanh(x[0, 0]) ** 2, axis=0),
    "traced percentile": lambda x: np.percentile(x, [30 + x[0, 0], 50], method="hazen"),
    "weights": lambda x: np.quantile(x, [0.2, 0.9], weights=W, method="inverted_cdf"),
    "weights along an axis": lambda x: np.quantile(x, 0.6, axis=1, weights=[1.0, 2.0, 0.0, 1.5], method="inverted_cdf"),
    "traced weights": lambda x: np.percentile(x, 37, axis=0, weights=np.abs(x) + 1, method="inverted_cdf"),
    "nanmedian": lambda x: np.nanmedian(gappy(x)),
    "nanmedian axis": lambda x: np.nanmedian(gappy(x), axis=0, keepdims=True),
    "nanpercentile": lambda x: np.nanpercentile(gappy(x), [10, 60.5], axis=1),
    "nanquantile without NaN": lambda x: np.nanquantile(x, 0.3, axis=(0, 1)),
    "median axes": lambda x: np.median(x.reshape(3, 2, 2), axis=(0, 2)),
    "keepdims": lambda x: np.quantile(x, [0.1, 0.2], axis=0, keepdims=True),
}

ORDER = supported({
    "partition": lambda x: np.partition(x.ravel(), 4),
    "partition several": lambda x: np.partition(x, [0, 2], axis=1),
    "partition columns": lambda x: np.partition(x, 1, axis=0),
    "partition None": lambda x: np.partition(x, 5, axis=None),
    "partition in place": lambda x: changed(x, lambda y: y.partition(2)),
    "argpartition": lambda x: np.take_along_axis(x, np.argpartition(x, 1, axis=1), 1),
    "argpartition method": lambda x: x.ravel()[x.ravel().argpartition(3)],
    "lexsort of rows": lambda x: np.take_along_axis(x, np.lexsort((x, np.floor(x)), axis=1), 1),
    "sort kinds": lambda x: np.sort(x, kind="heapsort") + np.sort(x, axis=0, kind="stable"),
    "searchsorted sorter": lambda x: np.searchsorted(x[0], x[1], sorter=np.argsort(x[0])) * x[1],
    "nanargmax": lambda x: np.nanargmax(gappy(x), axis=1) * x[:, 0],
    "argmax keepdims": lambda x: np.take_along_axis(x, np.argmax(x, axis=1, keepdims=True), 1),
    "argmax of transposed": lambda x: np.argmax(x.reshape(3, 2, 2).T, axis=0) * x.reshape(3, 2, 2)[:, :, 0].T,
    "interp left": lambda x: np.interp(x[0] * 2, x[1] * 0 + np.arange(4.0), x[2], left=x[0, 0], right=x[0, 1] ** 2),
    "interp period": lambda x: np.interp(x[0], np.arange(4.0) + 0.1 * np.sin(x[1]), x[2], period=5.0),
    "interp table": lambda x: np.interp([0.3, 1.7, 2.2], np.arange(4.0) + 0.1 * np.sin(x[1]), x[2]),
    "clip by traced": lambda x: np.clip(x, -0.3, x[0, 0] ** 2),
    "bincount": lambda x: np.bincount([0, 2, 2, 5], weights=x[0] * x[1], minlength=8),
    "add.at": lambda x: changed(x, lambda y: np.add.at(y, ([0, 0, 1], [1, 1, 2]), x[2, :3])),
    "add.at rows": lambda x: changed(x, lambda y: np.add.at(y, [0, 0], x[1:])),
    "subtract.at mask": lambda x: changed(x, lambda y: np.subtract.at(y, GAPS, 0.5 * x[0, 0])),
    "masked write": lambda x: changed(x, lambda y: y.__setitem__(y > 0.5, y[y > 0.5] ** 2)),
    "maximum at ties": lambda x: np.maximum(x, x * 1.0) + np.minimum(x, x),
})

SETS = supported({
    "unique rows": lambda x: np.unique(np.concatenate([x, x[:1]]), axis=0),
    "unique columns": lambda x: np.unique(x, axis=1, return_index=True, return_inverse=True, return_counts=True),
    "unique_all": lambda x: tuple(np.unique_all(np.stack([x[0], x[0], x[1]]))),
    "unique_counts": lambda x: tuple(np.unique_counts([x[0, 0], x[0, 0], x[1, 0]])),
    "unique_inverse": lambda x: tuple(np.unique_inverse(x)),
    "unique_values": lambda x: np.sort(np.unique_values(x)),
    "union1d": lambda x: np.union1d(x[0], x[1]),
    "intersect1d": lambda x: np.intersect1d(x[0], x[:, 0]),
    "intersect1d indices": lambda x: np.intersect1d(x[0], x[:, 0], return_indices=True),
    "setdiff1d": lambda x: np.setdiff1d(x[0], x[:, 0]),
    "setxor1d": lambda x: np.setxor1d(x[0], x[:, 0]),
    "trim_zeros": lambda x: np.trim_zeros(np.concatenate([[0.0], x[0], [0.0, 0.0]])),
    "trim_zeros front": lambda x: np.trim_zeros(np.concatenate([[0.0], x[0], [0.0]]), "f"),
})

HISTOGRAMS = {
    "histogram2d": lambda x: np.histogram2d(x[0], x[1], bins=[[-2.5, 0, 2.5], [-2.5, 0.5, 2.5]], weights=x[2])[0],
    "histogram2d range": lambda x: np.histogram2d(x[0], x[1], bins=3, range=[[-3, 3], [-3, 3]], weights=x[2] ** 2),
    "histogramdd": lambda x: np.histogramdd(x.T, bins=2, range=[(-3, 3)] * 3, weights=np.exp(x[0]))[0],
    "histogram density": lambda x: np.histogram(x[0], bins=[-3.0, 0, 1, 3], weights=x[1] ** 2 + 1, density=True)[0],
    "histogram_bin_edges": lambda x: np.histogram_bin_edges(x, 5),
    "histogram by a rule": lambda x: np.histogram(x, "sqrt"),
}

PYTHON = supported({
    "cov": lambda x: np.cov(x), "corrcoef": lambda x: np.corrcoef(x),
    "trapezoid": lambda x: np.trapezoid(x, dx=0.5, axis=0),
    "trapezoid x": lambda x: np.trapezoid(x[0], np.cumsum(np.exp(x[1]))),
    "gradient": lambda x: np.gradient(x, 0.5, np.array([0.0, 1, 3, 4]), edge_order=2),
    "polyval": lambda x: np.polyval(x[0], x),
    "vander": lambda x: np.vander(x[0], 3),
    "apply_along_axis": lambda x: np.apply_along_axis(lambda v: v[::-1] * v.sum(), 1, x),
    "apply_over_axes": lambda x: np.apply_over_axes(np.sum, x * x, [0, 1]),
    "piecewise": lambda x: np.piecewise(x, [x < 0, x > 1], [lambda v: v**2, lambda v: 2 * v, -1.0]),
    "piecewise of a number": lambda x: np.piecewise(x[0, 0], [x[0, 0] < 0], [lambda v: v**2, lambda v: 2 * v]),
    "select": lambda x: np.select([x < 0, x > 1], [x**2, 2 * x], default=x.sum()),
    "unwrap": lambda x: np.unwrap(x * 5, axis=0),
    "i0": lambda x: np.i0(x), "i0 of a number": lambda x: np.i0(x[0, 0]) * x,
    "ediff1d": lambda x: np.ediff1d(x, to_end=x[0]),
    "vectorize": lambda x: np.vectorize(lambda a, b: a * b if a > 0 else b)(x, x[0]),
    "average": lambda x: np.average(x, axis=0, weights=np.exp(x[:, 0]), returned=True),
    "kron": lambda x: np.kron(x[:2, :2], x),
    "polymul": lambda x: np.polymul(x[0], x[1]), "polydiv": lambda x: np.polydiv(x[0], x[1, :2]),
    "poly": lambda x: np.poly(x[0]),
    "polyder": lambda x: np.polyder(x[0], 2), "polyint": lambda x: np.polyint(x[0], 2, x[1, 0]),
    "polyadd": lambda x: np.polyadd(x[0], x[1, :2]), "polysub": lambda x: np.polysub(x[0], x[1, :2]),
    "fill_diagonal": lambda x: changed(x, lambda y: np.fill_diagonal(y, x[2, :3])),
    "cumulative_sum": lambda x: np.cumulative_sum(x, axis=1, include_initial=True),
})

METHODS = {
    "logaddexp.reduce": lambda x: np.logaddexp.reduce(x, axis=1, keepdims=True),
    "logaddexp.reduce where": lambda x: np.logaddexp.reduce(x, axis=None, where=GAPS),
    "hypot.reduce where": lambda x: np.hypot.reduce(x, axis=0, where=x > 0, initial=0.5),
    "maximum.reduceat": lambda x: np.maximum.reduceat(x, [0, 2, 1], axis=1),
    "multiply.reduceat of transposed": lambda x: np.multiply.reduceat(x.reshape(3, 2, 2).T, [0, 1]),
    "fmin.accumulate": lambda x: np.fmin.accumulate(gappy(x)[::2], axis=1),
    "hypot.reduce of one row": lambda x: np.hypot.reduce(x[:1], axis=0),
    "bitwise_and": lambda x: x[0] * np.bitwise_and.reduce(
        x > -1, axis=0),
    "divide.accumulate": lambda x: np.divide.accumulate(np.abs(x) + 1, axis=0),
    "power.outer": lambda x: np.power.outer(np.abs(x[0]) + 1, x[1]),
    "add.reduce dtype": lambda x: np.add.reduce(x > 0, axis=0, dtype=float) * x[0],
    "reduce of booleans": lambda x: np.bitwise_or.reduce(x > 1, axis=0) * x[0] + np.logical_xor.reduce(x > 1) * x[1],
    "cumprod of booleans": lambda x: np.cumprod(x > -5, axis=1) * x,
    "nansum where": lambda x: np.nansum(gappy(x), axis=0, where=x > 0),
    "nanmax initial": lambda x: np.nanmax(gappy(x), axis=0, initial=x[0, 0]),
    "var where": lambda x: np.var(x, axis=1, ddof=1, where=GAPS),
    "std correction": lambda x: np.std(x, axis=0, correction=0.5),
    "ptp out": lambda x: np.ptp(x, axis=0, out=np.zeros(4)),
    "sum into integers": lambda x: np.sum(x, axis=0, out=np.zeros(4, int)) * x[0],
}

WINDOWS = {
    "sliding windows": lambda x: np.lib.stride_tricks.sliding_window_view(x, (2, 3)).sum(axis=(2, 3)) ** 2,
    "as_strided": lambda x: np.lib.stride_tricks.as_strided(x * 2, (3, 3), (8, 16)) ** 2,
    "as_strided of a view": lambda x: np.lib.stride_tricks.as_strided(x.T[1:], (2, 2), (32, 8)) * x[0, 0],
    "ix_": lambda x: x[np.ix_([2, 0], [True, False, True, True])],
    "mgrid": lambda x: x * np.mgrid[0:3, 0:4][1],
    "s_": lambda x: x[np.s_[1:, ::2]],
    "ndindex": lambda x: sum(x[k] * (k[0] + 2) for k in np.ndindex(x.shape)),
    "ndenumerate": lambda x: sum(v * (k[0] - k[1]) for k, v in np.ndenumerate(x)),
    "shift in place": lambda x: (lambda y, z: (y.__ilshift__(1),
        z * x[0, :2])[1])(*(lambda y: (y, y[:2]))(np.argsort(x[0]))),
    "take of empty": lambda x: np.concatenate([np.take(x, [], axis=1), x], axis=1),
}
# How many elements a condition holds for is guarded.
COUNTED = {"masked write", "piecewise", "piecewise of a number", "vectorize"}
TABLES = {"padding": PADDING, "quantiles": QUANTILES, "order": ORDER, "sets": SETS, "histograms": HISTOGRAMS,
          "python": PYTHON, "methods": METHODS, "windows": WINDOWS}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("table", "name"), [(t, n) for t in TABLES for n in TABLES[t]])
def test_expression(table, name):
    judge(TABLES[table][name], [X], [X * 1.01 if name in COUNTED else X2], intercepted=True)


@pytest.mark.parametrize("f", [
    lambda x: np.quantile(x, 0.3), lambda x: np.partition(x.ravel(), 3)[2], lambda x: np.nanmedian(x),
    lambda x: np.histogram2d(x[0], x[1], 3, weights=x[2])[0].max(), lambda x: np.pad(x, 2, "maximum").sum(),
    lambda x: np.interp(x[0], np.sort(x[1]), x[2], left=x[0, 0]).sum()])
def test_no_other_order_is_a_reason_to_record_again(f):
    tape, _ = record(f, X, intercepted=True)
    assert not [k for k in range(1,
        len(tape)) if tape.instruction(k)[0] == "guard" and "edges" not in str(tape.instruction(k))
                ] or tape.sweep([X2])


@pytest.mark.parametrize("f", [
    lambda x: np.pad(W, 1, constant_values=x[0, 0]), lambda x: np.sum(W, axis=0, initial=x[0, 0]),
    lambda x: np.interp(np.array([-1.0, 0.5]), W[0], W[1], left=x[0, 0] ** 2),
    lambda x: np.max(W, axis=1, initial=x[1, 3]), lambda x: np.average(W, axis=0, weights=x[:, 0] ** 2)])
def test_traced_keywords_beside_plain_arrays(f):
    judge(f, [X], [X2], intercepted=True)


def test_sums_that_cancel_are_not_taken_for_other_functions():
    x = np.random.default_rng(0).normal(size=(30, 40))
    x -= x.mean()
    for f in (lambda x: np.sum(x, where=np.full(x.shape, True)), lambda x: x.T.sum(),
        lambda x: np.mean(x.T, dtype=float)):
        assert ad.record(f, x)(x) == pytest.approx(f(x), abs=1e-12)


def test_forces_that_cancel_are_added_up():
    """The atoms of a lattice: their forces are rounding, which another order of the sum has otherwise."""
    def forces(x):
        F = np.zeros(2)
        np.add.at(F, [0, 1], x[:1])
        np.subtract.at(F, [0, 0, 1, 1], x[[1, 2, 1, 2]])
        return F
    x = np.array([0.3, 0.1, 0.2])
    assert forces(x).tolist() != [0.3 - (0.1 + 0.2)] * 2 and np.max(np.abs(forces(x))) < 1e-15
    tape = ad.record(forces, x)
    np.testing.assert_allclose(tape(x), forces(x), atol=1e-15)
    np.testing.assert_allclose(tape(x[::-1]), forces(x[::-1]), rtol=1e-13)


def test_a_nested_list_of_arrays_is_looked_at_once(monkeypatch):
    """np.array([rho, u, p]) in each step of a loop: one map serves them all."""
    from fastad import movers
    looked = []
    monkeypatch.setattr(movers, "assembly", lambda *args, own=movers.assembly: looked.append(0) or own(*args))

    def f(x):
        for _ in range(20):
            x = np.array([x[1], [0.5 * x[0, 0], *x[0, 1:]]])
        return x
    x = np.arange(14.0).reshape(2, 7)
    np.testing.assert_array_equal(ad.record(f, x)(x + 1), f(x + 1))
    assert len(looked) <= 2

    def turned(x):                       # in memory the other way round, which decides what a reshape is
        for _ in range(20):
            x = np.concatenate((x.T, 2 * x.T), axis=1)[:, ::2].T
        y = np.concatenate((x.T, x.T))
        z = y.reshape(-1, order="A")
        z[1] = 100.0
        return y + z[3]
    looked.clear()
    np.testing.assert_array_equal(ad.record(turned, x)(x + 1), turned(x + 1))
    assert len(looked) <= 3


def test_the_number_of_elements_is_guarded():
    def f(x):
        return np.unique(np.floor(x), axis=0).sum() + np.intersect1d(x[0], [0.9, 0.35]).sum()
    tape, _ = record(f, X)
    with pytest.raises(TapeDivergence):
        tape.sweep([X2])


def test_nanargmax_of_a_line_without_numbers_is_numpys_error():
    def f(x):
        return np.nanargmax(np.where(x > 0, x, np.nan), axis=1) * x[:, 0]
    tape, _ = record(f, X)
    with pytest.raises(TapeDivergence):
        tape.sweep([-np.abs(X)])
    with pytest.raises(ValueError, match="All-NaN"):
        ad.record(f, -np.abs(X))


def test_median_pads_and_partitions_differentiate_twice():
    def f(x):
        return np.sum(np.pad(x, 1, "median") ** 3) + np.quantile(x, 0.4, method="hazen") ** 3 \
            + np.sum(np.partition(x.ravel(), 4)[:5] ** 3)
    assert ad.check_derivatives(f, X)


# ---- refusals --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("f", "why"), [
    (lambda x: np.quantile(x, x[0, 1] ** 2, method="lower"), "jumps where q moves"),
    (lambda x: np.cross(x[0, :2], x[1, :2]), "two components"),
    (lambda x: np.partition(x, np.argmax(x[0])), "kth must be a constant"),
    (lambda x: np.full((2, 2), x[0, 0], dtype="f2"), "float16"),
    (lambda x: np.sum(x, dtype=object), "object"), (lambda x: x.astype("U5"), "not recorded"),
    (lambda x: x.astype("M8[s]"), "not recorded"), (lambda x: x.astype([("a", float)]), "not recorded"),
    (lambda x: np.full(2, x[0, 0], dtype="S3"), "not recorded"),
    (lambda x: np.concatenate([x, x], dtype="f2"), "float16"),
    (lambda x: np.frompyfunc(lambda v: v, 1, 1)(x), "np.vectorize"), (lambda x: np.bmat([[x]]), "np.block"),
    (lambda x: np.lib.stride_tricks.as_strided(x, (4, 4), (32, 8)), "beyond the memory"),
    (lambda x: np.kaiser(4, x[0, 0]), "np.i0"), (lambda x: np.nditer(x), "ndenumerate"),
    (lambda x: np.add.reduce(x, axis=0, out=W[0]), "made outside"),
])
def test_refused(f, why):
    with pytest.raises(UnsupportedError, match=re.escape(why)):
        ad.record(f, X)


@pytest.mark.parametrize("f", [
    lambda x: np.argsort(x, axis=(0,)), lambda x: np.sum(x, out=np.zeros((2, 4))),
    lambda x: np.full(3, 2.0, device="gpu"),
    lambda x: np.maximum.accumulate(x, axis=None), lambda x: np.cumsum(x, axis=(0, 1)),
    lambda x: np.add(x, x, dtype=int),
    lambda x: np.mean(x, dtype="U3"), lambda x: np.lexsort(x, axis=None), lambda x: np.linalg.outer(x, x),
    lambda x: np.add(x, x, casting="foo"), lambda x: np.asarray(x, device="gpu"), lambda x: np.nanmean(x, dtype=int),
    lambda x: np.concatenate([x, x], dtype=int), lambda x: np.isin(x, x, kind="foo"),
    lambda x: np.stack([x, x], casting="no",
                                                                                                     dtype=int)])
def test_what_numpy_refuses_is_refused(f):
    """Each of these once went through, with a number that NumPy never gives."""
    with pytest.raises(Exception) as plain:
        f(X.copy())
    with pytest.raises((plain.type, *plain.type.__mro__[1:2])):
        ad.record(f, X.copy())
