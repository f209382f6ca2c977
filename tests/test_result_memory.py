"""Whose memory a result is, and in which order: NumPy's answer decides which later writes go through.

Owns: views against copies, and memory order, for functions of one array.  Must not know: how results are recorded.
Next: test_numpy_parity.py (values), test_indexing.py (views that are written).
"""
import numpy as np
import pytest

import fastad as ad
from fastad import _tape as T

ARRAYS = {
    "vector": np.arange(3.0) + 1, "one": np.ones(1), "column": np.arange(3.0).reshape(3, 1) + 1,
    "row": np.arange(3.0).reshape(1, 3) + 1, "matrix": np.arange(6.0).reshape(2, 3) + 1,
    "turned": (np.arange(6.0).reshape(2, 3) + 1).T, "fortran": np.asfortranarray(np.arange(8.0).reshape(2, 2, 2)),
}
UFUNCS = (np.add, np.multiply, np.maximum, np.fmin, np.hypot, np.logaddexp, np.logical_and, np.subtract)
FUNCTIONS = {
    **{f"{u.__name__}.reduce({axis})": (lambda x, u=u, axis=axis: u.reduce(x, axis=axis))
       for u in UFUNCS for axis in (0, -1)},
    **{f"{u.__name__}.accumulate({axis})": (lambda x, u=u, axis=axis: u.accumulate(x, axis=axis))
       for u in UFUNCS for axis in (0, -1)},
    **{f"{name}({axis})": (lambda x, name=name, axis=axis: getattr(np, name)(x, axis=axis))
       for name in ("sum", "prod", "max", "mean", "cumsum", "cumprod", "median", "sort", "flip") for axis in (0, -1)},
    "interp": lambda x: np.interp(x, [0.0, 1.0], [0.0, 1.0]),
    "interp, one knot": lambda x: np.interp(x, [0.0], [1.0]),
    "ravel": np.ravel, "reshape": lambda x: np.reshape(x, -1), "flatten": lambda x: x.flatten(),
    "astype": lambda x: x.astype(float), "astype, no copy": lambda x: x.astype(float, copy=False),
    "require C": lambda x: np.require(x, float, "C"), "require F": lambda x: np.require(x, None, ["F_CONTIGUOUS"]),
    "concatenate": lambda x: np.concatenate([x]), "tile": lambda x: np.tile(x, 1), "pad": lambda x: np.pad(x, 0),
    "where": lambda x: np.where(True, x, 0.0), "clip": lambda x: np.clip(x, -9, 9), "+x": lambda x: +x,
    "x[:]": lambda x: x[:], "x[[0]]": lambda x: x[[0]], "x[mask]": lambda x: x[np.ones(x.shape, bool)],
    "squeeze": np.squeeze, "take": lambda x: np.take(x, [0], axis=0), "split": lambda x: np.split(x, 1)[0],
    "swapaxes": lambda x: np.swapaxes(x, 0, -1), "sum()": lambda x: np.sum(x, axis=()),
}


def facts(y, x):
    """(is it x's memory, shape, dtype, strides of the axes that are longer than 1); None for a number."""
    if not isinstance(y, np.ndarray):
        return None
    c, of = T.concrete(y), T.concrete(x)
    strides = tuple(s for s, n in zip(c.strides, c.shape, strict=True) if n > 1)
    return np.shares_memory(c, of), c.shape, c.dtype, strides


@pytest.mark.parametrize("name", FUNCTIONS)
def test_views_copies_and_memory_order_are_numpys(name):
    f, compared = FUNCTIONS[name], 0
    for label, x in ARRAYS.items():
        found = []

        def recorded(x, found=found):
            found.append(facts(f(x), x))
            return x.sum()
        ad.record(recorded, x)
        assert found == [facts(f(x), x)], label
        compared += found[0] is not None
    assert compared


def test_a_write_through_a_view_leaves_the_reduction_of_one_row_alone():
    def f(x):
        column = (x * 2.0)[:, None]
        smallest, one_knot = np.fmin.reduce(column, axis=1), np.interp(column.T, [0.0], [1.0])
        column[0] = 7.0
        one_knot.ravel()[0] = 5.0
        return smallest.sum() + column.sum() + one_knot.sum() * x[0]
    x = np.array([1.0, 2.0])
    assert ad.value_and_grad(f)(x)[0] == f(x)


def test_truth_values_accumulate_and_nothing_is_counted():
    def f(x):
        none = x[x > 9.0]
        return (np.logical_and.accumulate(x) * x).sum() + np.bincount(none.astype(int), none, 3).sum()
    x = np.array([2.0, 0.0, 3.0])
    assert ad.value_and_grad(f)(x)[0] == f(x) == 2.0


def test_empty_slices_have_numpys_strides():
    """np.concatenate takes its memory order from all operands, empty ones too."""
    def f(x):
        a = (x * 2.0)[np.newaxis, :, :, :1]
        joined = np.concatenate([a[:1], a, a[1:]])
        joined.reshape(-1)[-1] *= 3.0
        return (joined * np.arange(joined.size).reshape(joined.shape)).sum()
    for x in (np.arange(24.0).reshape(2, 3, 4), np.arange(24.0).reshape(4, 3, 2).T):
        assert ad.value_and_grad(f)(x)[0] == f(x)


@pytest.mark.parametrize("text", ["ij,kj->ik", "ij,ij->ji", "ik,jk->ji", "ij,k->kji", "ij,k->jki"])
@pytest.mark.parametrize("turned", [False, True])
def test_einsum_keeps_numpys_order(text, turned):
    """A product is written through a reshape only where NumPy's result allows that."""
    def f(x):
        a = x.T if turned else x
        y = np.einsum(text, a, a if len(text.partition(",")[2].partition("-")[0]) == 2 else a[0])
        y.reshape(-1)[0] = 7.0
        y.reshape(1, *y.shape)[0, -1] *= 2.0
        return (y * np.arange(y.size).reshape(y.shape)).sum()
    for x in (np.arange(4.0).reshape(2, 2) + 1, np.arange(9.0).reshape(3, 3)):
        assert np.isclose(ad.value_and_grad(f)(x)[0], f(x), rtol=1e-12)
