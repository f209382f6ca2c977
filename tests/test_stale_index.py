"""What else may change behind a tape: index arrays and masks of the user's, code replaced in place, overrides, imports.

Next: test_state.py (the other kinds of captured state), test_bad_input.py (the rows of bad input).
"""
import sys
import types

import numpy as np
import pytest

import fastad as ad

X = np.array([1.0, 2.0, 3.0])
N = 5000                                 # more than a watch samples


def scattered(x, k):
    y = np.zeros(N) + x[0]
    y[k] = x[1]
    return y.sum()


def put(x, k):
    y = np.zeros(N) + x[0]
    np.put(y, k, x[1] * np.ones(N))
    return y.sum()


USES = {"gather": lambda x, k: (x[k] ** 2).sum(), "take": lambda x, k: np.take(x, k).sum(),
        "with a slice": lambda x, k: (np.ones((3, 2)) * x[:, None])[k, :].sum(), "scatter": scattered, "put": put,
        "with a traced index": lambda x, k: np.outer(x, x)[k, np.argmax(x)].sum()}


@pytest.mark.parametrize("use", USES)
def test_an_index_array_that_changes_is_never_stale(use):
    k = np.arange(N, dtype=np.int32) % 3

    def f(x):
        return USES[use](x, k)

    g, tape = ad.value_and_grad(f), ad.record(f, X)
    g(X)
    k[4321] = (k[4321] + 1) % 3          # a place that no watch samples
    value, gradient = g(X)
    assert value == f(X) and g.stats().recordings == 2
    assert np.allclose(gradient, ad.value_and_grad(f, audit=False)(X)[1])
    with pytest.raises(ad.TapeDivergence, match=r"index array at .*test_stale_index.py:\d+"):
        tape(X)


@pytest.mark.parametrize("write", [False, True])
def test_a_mask_that_changes_is_never_stale(write):
    mask = np.ones(N, dtype=bool)

    def f(x):
        y = np.zeros(N) + x[0]
        if write:
            y[mask] = x[1]
            return y.sum()
        return y[mask].sum()

    g = ad.value_and_grad(f)
    g(X)
    mask[4321] = False
    assert g(X)[0] == f(X) and g.stats().recordings == 2


def test_an_index_array_is_guarded_once_and_temporaries_are_not():
    k = np.array([0, 2])

    def f(x):
        total = 0.0
        for _ in range(5):
            total = total + x[k].sum() + x[k - 1].sum()
        return total

    assert str(ad.record(f, X)).count("index array") == 1


def test_an_index_array_that_f_moves_on():
    start = np.zeros(N, dtype=np.int64)

    def f(x):
        k = start.copy()
        total = 0.0
        for _ in range(3):
            total = total + x[k].sum()
            k += 1
        return total

    assert ad.grad(f)(X) == pytest.approx(N)


def test_code_replaced_in_place():
    """A notebook's autoreload gives the old function objects new code."""
    def helper(y):
        return 2 * y

    def f(x):
        return helper(x.sum())

    g = ad.value_and_grad(f)
    assert g(X)[0] == 12
    helper.__code__ = (lambda y: 3 * y).__code__
    assert g(X)[0] == 18 and g.stats().recordings == 2


def test_method_of_a_base_class_is_overridden():
    class Base:
        def weight(self, y):
            return 2 * y

    class Model(Base):
        pass

    model = Model()
    g = ad.value_and_grad(lambda x: model.weight(x.sum()))
    assert g(X)[0] == 12
    Model.weight = lambda self, y: 3 * y
    assert g(X)[0] == 18 and g.stats().recordings == 2


def test_module_imported_inside_the_function(monkeypatch):
    settings = types.ModuleType("abuse_settings")
    settings.k = 1.0
    monkeypatch.setitem(sys.modules, "abuse_settings", settings)

    def named(x):
        from abuse_settings import k
        return k * x.sum()

    def whole(x):
        import abuse_settings
        return abuse_settings.k * x.sum()

    for f in (named, whole):
        g = ad.value_and_grad(f)
        g(X)
        settings.k += 1
        assert g(X)[0] == settings.k * 6 and g.stats().recordings == 2
