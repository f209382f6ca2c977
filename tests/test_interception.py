"""Unmodified code is recorded: np.zeros, np.array, math.sin and sparse products know traced values, and only then.

Owns: interception.py, math_names.py, sparse_products.py.  Must not know: derivatives beyond first order.
Functions below are run plainly and through their gradients, against complex-step-like central differences.
"""
import functools
import logging
import math
import subprocess
import sys
import threading
from math import sin as imported_sin

import numpy as np
import pytest
import scipy.spatial
from numpy import asarray as imported_asarray
from numpy import zeros as imported_zeros

import fastad as ad
from fastad import _tape as T
from fastad import interception, math_names

x3 = np.array([0.3, 0.7, 1.1])
outside = np.array([1.0, 2.0, 4.0])


def slope(f, x, h=1e-6):
    """Central differences of a scalar function of a number or an array."""
    x = np.asarray(x, dtype=float)
    g = np.empty_like(x)
    for k in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[k] += h
        down[k] -= h
        g[k] = (f(up if x.ndim else float(up)) - f(down if x.ndim else float(down))) / (2*h)
    return g


def agree(f, x, rtol=1e-7):
    """Recorded once at x, f has its own value and slope there and at another point."""
    g = ad.value_and_grad(f)
    for at in (x, np.asarray(x) * 1.001 if np.ndim(x) else x * 1.001):
        value, gradient = g(at)
        np.testing.assert_allclose(value, f(at), rtol=1e-13)
        np.testing.assert_allclose(gradient, slope(f, at), rtol=rtol, atol=1e-8)


class recorded:
    """A recording with an input, as a context: `with recorded(2.0) as x`."""

    def __init__(self, value, active=True):
        self.value, self.active = value, active

    def __enter__(self):
        self.tape = T.open_recording()
        self.names = interception.recording()
        self.names.__enter__()
        return T.make_input(self.tape, self.value, self.active)

    def __exit__(self, *error):
        self.names.__exit__(*error)
        T.close_recording(self.tape)


# ---- creating --------------------------------------------------------------------------------------------------------

CREATED = {
    "zeros": lambda: np.zeros(3), "zeros 2-d": lambda: np.zeros((2, 3))[0], "empty": lambda: np.empty(3),
    "ones": lambda: np.ones(shape=3), "full": lambda: np.full(3, 2.5), "eye": lambda: np.eye(3)[1],
    "identity": lambda: np.identity(3)[2], "arange": lambda: np.arange(3.0), "linspace": lambda: np.linspace(0, 1, 3),
    "logspace": lambda: np.logspace(0, 1, 3), "geomspace": lambda: np.geomspace(1, 9, 3),
    "array": lambda: np.array([1.0, 2.0, 3.0]), "array of array": lambda: np.array(outside),
    "asarray of list": lambda: np.asarray([1.0, 2.0, 3.0]), "copy": lambda: np.copy(outside),
    "zeros_like": lambda: np.zeros_like(outside), "empty_like": lambda: np.empty_like(outside),
    "ones_like": lambda: np.ones_like(outside), "full_like": lambda: np.full_like(outside, 3.0),
    "fromiter": lambda: np.fromiter((k for k in range(3)), float),
    "fromfunction": lambda: np.fromfunction(lambda i: i * 2.0, (3,)),
    "tri": lambda: np.tri(3)[0], "diag": lambda: np.diag([1.0, 2.0, 3.0])[1], "tile": lambda: np.tile([1.0], 3),
    "meshgrid": lambda: np.meshgrid([0.0, 1.0, 2.0], [1.0])[0][0], "repeat": lambda: np.repeat(2.0, 3),
    "concatenate": lambda: np.concatenate([[1.0], [2.0, 3.0]]), "vstack": lambda: np.vstack([outside, outside])[1],
}


@pytest.mark.parametrize("name", CREATED)
def test_created_arrays_take_traced_values(name):
    make = CREATED[name]

    def f(x):
        y = make()
        y[0] = x[0]**2
        y[1:] = x[1:] * x[0]
        return (y * np.array([1.0, 2.0, 3.0])).sum()
    agree(f, x3)


def test_created_arrays_keep_type_and_dtype():
    with recorded(2.0):
        for make, dtype in ((np.zeros(2, int), int), (np.ones(2, bool), bool), (np.arange(3), int)):
            assert type(make) is T.Array and make.dtype == dtype
        for make in (np.zeros(2, np.float16), np.array(["a"]), np.empty(2, object)):
            assert type(make) is np.ndarray
        z = np.zeros(2, complex)
        assert isinstance(z, np.ndarray) and isinstance(z, T.Complex) and z.dtype == complex


def test_full_of_traced_numbers():
    agree(lambda x: (np.full(3, x[1]) * x).sum() + np.full_like(outside, x[2]).prod(), x3)
    agree(lambda x: np.full((2, 3), x).sum(), x3)


def test_arange_of_traced_numbers():
    agree(lambda x: (np.arange(0.0, 5 * x, x)**2).sum(), 0.3)
    agree(lambda x: (np.arange(x, 4.0)**2).sum(), 0.3)
    with recorded(np.array([2, 7])) as n:
        y = np.arange(n[0], n[1])
        assert y.dtype == np.int64 and y.tolist() == [2, 3, 4, 5, 6]
        assert np.arange(n[1], dtype=float).dtype == np.float64


# ---- converting ------------------------------------------------------------------------------------------------------

CONVERTED = {
    "array": lambda x: np.array([x[0], x[1]**2, 3.0]),
    "array 2-d": lambda x: np.array([[x[0], 1.0], [x[1], x[2]]]).ravel()[:3],
    "array of arrays": lambda x: np.array([x, 2 * x])[1],
    "array dtype": lambda x: np.array([x[0], x[1], 1], dtype=float),
    "asarray": lambda x: np.asarray([x[0], x[1], x[2]]),
    "asarray of traced": lambda x: np.asarray(x, dtype=float),
    "asanyarray": lambda x: np.asanyarray(x), "ascontiguousarray": lambda x: np.ascontiguousarray(x[::-1]),
    "asfortranarray": lambda x: np.asfortranarray([x, x]).ravel("K")[:3], "copy": lambda x: np.array(x, copy=True),
    "chkfinite": lambda x: np.asarray_chkfinite(x), "atleast_1d": lambda x: np.atleast_1d([x[0], x[1], x[2]]),
    "fromiter": lambda x: np.fromiter((s**2 for s in x), float), "by keyword": lambda x: np.array(object=[*x]),
    "ndmin": lambda x: np.array([*x], ndmin=2)[0], "require": lambda x: np.require([*x], float, "C"),
    "vstack": lambda x: np.vstack([x[0], x[1], x[2]])[:, 0],
    "r_": lambda x: np.r_[0.0, x[:2]**2, x[2], 1:3, [x[0], 2.0]][1:4], "c_": lambda x: np.c_[x, outside, 2 * x][:, 2],
    "c_ of a number": lambda x: np.c_[x[0], 1.0, x[1]][0],
}


@pytest.mark.parametrize("name", CONVERTED)
def test_traced_values_become_arrays(name):
    agree(lambda x: (CONVERTED[name](x) * np.array([1.0, -2.0, 3.0])**2).sum(), x3)


@pytest.mark.parametrize("function", [np.sum, np.mean, np.prod, np.max, np.min, np.std, np.median])
def test_functions_of_lists_of_traced_numbers(function):
    name = function.__name__
    agree(lambda x: getattr(np, name)([x[0], x[1]**2, x[2]]), x3)


def test_linalg_of_lists():
    agree(lambda x: np.linalg.norm([x[0], x[1], 1.0]), x3)
    with recorded(x3) as x:
        assert np.shape([x[0], 1.0]) == (2,) and np.ndim([[x[0]]]) == 2
        assert np.r_[1.0, 2:4].tolist() == [1.0, 2.0, 3.0]
        with pytest.raises(ad.UnsupportedError, match="directive"):
            np.r_["r", x]


def test_conversion_copies_as_numpy_does():
    with recorded(x3) as x:
        assert np.asarray(x) is x
        y = np.array(x)
        y[0] = 9.0
        assert T.concrete(x)[0] == 0.3
        z = np.zeros(3)
        assert np.asarray(z) is z
        w = np.array(z)
        w[0] = x[0]
        assert T.concrete(z)[0] == 0.0
        with pytest.raises(ValueError, match="copy"):
            np.array([x[0]], copy=False)


def test_the_users_memory_stays_the_users():
    data = np.arange(3.0)
    with recorded(x3) as x:
        mine = np.asarray(data)
        mine[1] = 7.0                    # a plain write goes through, as in NumPy
        assert data[1] == 7.0
        with pytest.raises(ad.TracerError, match="outside"):
            mine[0] = x[0]
        assert data[0] == 0.0


def test_captured_array_takes_traced_integers():
    fp = np.array([1.0, 4.0, 9.0])

    def f(x):
        table = np.asarray(fp)
        return x * table[np.argmax(np.array([x, 1.0, 0.5]))]
    g = ad.grad(f)
    assert g(0.5) == 4.0
    assert g(2.0) == 1.0
    assert g.stats().recordings == 1     # the index is computed anew, no guard


# ---- math ------------------------------------------------------------------------------------------------------------

UNARY = sorted(f.__name__ for f, row in math_names.primitives.math_twins().items()
               if row.arity == 1 and row.result != "bool")


@pytest.mark.parametrize("name", UNARY)
def test_math_twins(name):
    x = 1.3 if name == "acosh" else 0.3
    agree(lambda x: getattr(math, name)(x) * 1.0, x)


MATH = {
    "atan2": lambda x: math.atan2(x[0], x[1]), "pow": lambda x: math.pow(x[0], x[1]), "hypot": lambda x: math.hypot(*x),
    "hypot 1": lambda x: math.hypot(-x[0]), "log base": lambda x: math.log(x[0], x[2]),
    "log constant base": lambda x: math.log(x[0], 10), "fsum": lambda x: math.fsum([x[0], 1e16, x[1], -1e16, 1]),
    "fsum of array": lambda x: math.fsum(x), "prod": lambda x: math.prod(x, start=2),
    "dist": lambda x: math.dist(x, [0.0, 1.0, 2.0]), "fmod": lambda x: math.fmod(x[2], x[0]),
    "remainder": lambda x: math.remainder(7 * x[2], x[0]), "copysign": lambda x: math.copysign(x[0], -x[1]),
    "modf": lambda x: 2 * math.modf(4 * x[2])[0] + math.modf(x[0])[1], "ldexp": lambda x: math.ldexp(x[0], 3),
    "floor": lambda x: math.floor(3 * x[2]) * x[0], "ceil": lambda x: math.ceil(3 * x[2]) * x[0],
    "trunc": lambda x: math.trunc(-3 * x[2]) * x[0], "round": lambda x: round(3 * x[2]) * x[0],
    "isclose": lambda x: x[0] if math.isclose(x[1], 0.7, rel_tol=0.1) else x[2],
    "isfinite": lambda x: x[0] if math.isfinite(x[1]) and not math.isnan(x[1]) else x[2],
    "factorial": lambda x: math.factorial(int(3 * x[2])) * x[0], "of 0-d": lambda x: math.sin(np.array(x[0])),
    "builtins": lambda x: abs(min(x[0], x[1])) + max(x[1], x[2])**2 + sum([x[0], x[1]]) + pow(x[0], 2)
    + divmod(x[2], x[0])[1] + round(x[2], 1) * x[0],
}


@pytest.mark.parametrize("name", MATH)
def test_math_functions(name):
    agree(MATH[name], x3, rtol=1e-6)


@pytest.mark.skipif(not hasattr(math, "sumprod"), reason="Python 3.12")
def test_sumprod():
    agree(lambda x: math.sumprod(x, x), x3)


@pytest.mark.parametrize("call, error", [
    (lambda x: math.log(-x), ValueError), (lambda x: math.sqrt(-x), ValueError),
    (lambda x: math.exp(1e4*x), OverflowError),
    (lambda x: math.acos(1 + x), ValueError), (lambda x: math.floor(x*np.inf), OverflowError),
    (lambda x: math.log(x, 1.0), ZeroDivisionError), (lambda x: math.sin(), TypeError),
    (lambda x: math.sin(x, x), TypeError), (lambda x: math.fmod(x, 0.0), ValueError),
    (lambda x: math.gamma(x - x), ValueError), (lambda x: math.frexp(x), ad.UnsupportedError),
    (lambda x: math.isclose(x, x, rel_tol=-1), ValueError), (lambda x: math.sin(np.array([x, x])), TypeError)])
def test_math_errors_are_pythons(call, error):
    with pytest.raises(error):
        ad.grad(call)(2.0)


@pytest.mark.parametrize("x", [-7.5, -2.5, -0.5, 0.0, 0.5, 1.5, 2.5, 3.7, 1e17, 9.42])
@pytest.mark.parametrize("y", [1.0, -2.0, 3.1, 0.1])
def test_remainder_rounds_to_even(x, y):
    with recorded(x) as t:
        assert T.concrete(math.remainder(t, y)) == math.remainder(x, y)
        assert T.concrete(math.modf(t)[0]) == math.modf(x)[0]


def test_fsum_is_nearly_exact():
    values = [1e100, 1.0, -1e100, 1e-30, 0.1] * 3
    with recorded(0.1) as x:
        assert T.concrete(math.fsum([1e16, x, -1e16])) == math.fsum([1e16, 0.1, -1e16])
    assert math.fsum(values) == math.fsum(tuple(values))


# ---- names imported before, and values that leak: loud ---------------------------------------------------------------

def line_of(text):
    with open(__file__) as file:
        return next(k for k, line in enumerate(file, 1) if line.startswith(text))


def test_names_imported_before_are_named():
    def fill(x):
        y = imported_zeros(2)
        y[0] = x
        return y.sum()
    with pytest.raises(ad.TracerError, match=rf"`imported_zeros` was imported by name in .*test_interception.py:"
                                             rf"{line_of('from numpy import zeros')}: write np.zeros"):
        ad.grad(fill)(1.0)
    with pytest.raises(ad.TracerError, match=rf"`imported_sin` .*:{line_of('from math import sin')}: write math.sin"):
        ad.grad(lambda x: imported_sin(x))(1.0)
    with pytest.raises(ad.TracerError, match="`imported_asarray` .*write np.asarray"):
        ad.grad(lambda x: imported_asarray(x).sum())(x3)


def test_method_dot_of_an_ndarray_names_the_remedy():
    with pytest.raises(ad.TracerError, match="write `a @ x`"):
        ad.grad(lambda x: outside.dot(x))(x3)


LOUD = {
    "store into an array made outside": lambda x: outside.__setitem__(0, x[0]),
    "add to an array made outside": lambda x: operator_iadd(outside, x),
    "slice of an array made outside": lambda x: outside.__setitem__(slice(0, 2), x[:2]),
    "ufunc out": lambda x: np.add(x, x, out=outside), "ufunc at": lambda x: np.add.at(outside, [0], x[0]),
    "float": lambda x: float(x[0]), "np.float64": lambda x: np.float64(x[0]),
    "float list": lambda x: [float(s) for s in x],
    "complex": lambda x: complex(x[0]),
    "struct": lambda x: np.ndarray.dot(outside, 1j * x),
    "hash": lambda x: {x[0]: 1}, "pickle": lambda x: __import__("pickle").dumps(x),
    "copyto": lambda x: np.copyto(outside, x), "memoryview": lambda x: memoryview(x),
    "nditer": lambda x: list(np.nditer(x)), "ufunc of a list": lambda x: np.log([x[0], 1.0]),
    "fill": lambda x: outside.fill(x[0]), "put": lambda x: np.put(outside, [0], x[:1]),
    "itemset by flat": lambda x: outside.flat.__setitem__(0, x[0]),
}


def operator_iadd(a, b):
    a += b
    return a


@pytest.mark.parametrize("name", LOUD)
def test_leaks_are_loud(name):
    """An error while recording, and the array that was made outside is as before."""
    before = outside.copy()
    with pytest.raises((ad.AdError, TypeError, ValueError)):
        ad.grad(lambda x: (LOUD[name](x), x.sum())[1])(x3)
    np.testing.assert_array_equal(outside, before)


WORKS = {
    "np.dot": lambda x: np.dot(outside, x), "@": lambda x: outside @ x,
    "*": lambda x: (outside * x).sum(), "np.float64 *": lambda x: (np.float64(3.0) * x[0]) + np.float64(2) ** x[1],
    "np.int64 *": lambda x: np.int64(3) * x[0] - np.int64(1) / x[1], "0-d ndarray": lambda x: np.array(2.0) * x[0],
    "ndarray * scalar": lambda x: (outside * x[0]).sum(), "scalar * list array": lambda x: (x[0] * outside).sum(),
    "out of a plain array": lambda x: np.add(x, x, out=np.zeros(3)).sum(), "bool": lambda x: x[0] * (x[0] > 0.1),
    "np.add.at": lambda x: at(np.zeros(3), x).sum(),
    "ndenumerate": lambda x: sum(i[0] * v for i, v in np.ndenumerate(x)),
    "vectorize": lambda x: np.vectorize(math.sin)(x) @ outside, "ndenumerate of a list": lambda x: sum(
        i[1] * v for i, v in np.ndenumerate([[x[0], x[1]], [1.0, x[2]]])),
    "vectorize of integers": lambda x: np.vectorize(lambda v: 1 if v > 0 else v)(np.outer(x, x))[0] @ x,
    "vectorize in the type of the first": lambda x: np.vectorize(lambda v: np.where(v > 5, v, 2 * v))(x).sum(),
    "block": lambda x: np.block([[x, x[0]], [x[1], outside]]).prod(axis=0).sum(),
    "concatenate of lists": lambda x: np.concatenate([[x[0], 1.0], x, (x[1], x[2] * x[0])]).prod(),
    "comparison chain": lambda x: x[0] if 0 < x[0] < x[1] < 5 else x[2],
    "+= on zeros": lambda x: operator_iadd(np.zeros(3), x).prod(), "linalg.norm": lambda x: np.linalg.norm(x - outside),
    "outside matrix": lambda x: (np.outer(outside, outside) @ x).sum(), "matrix.dot": lambda x: np.eye(3).dot(x)[1],
}


def at(y, x):
    np.add.at(y, [0, 0, 2], x)
    return y * y


@pytest.mark.parametrize("name", WORKS)
def test_mixtures_work(name):
    agree(WORKS[name], x3)


def test_inactive_values_may_leak_with_a_guard():
    def f(x, n):
        return x * float(n) + sum(math.sin(k) for k in range(int(n)))
    g = ad.grad(f)
    assert g(1.0, 3.0) == 3.0
    assert g(1.0, 4.0) == 4.0
    assert g.stats().recordings == 2


# ---- when, where, and what is left behind ----------------------------------------------------------------------------

def names():
    found = {("np", k): v for k, v in vars(np).items() if callable(v)}
    found |= {("math", k): v for k, v in vars(math).items() if callable(v)}
    import scipy.sparse
    return found | {k: v for k, v in vars(scipy.sparse.csr_array.__mro__[-2]).items() if callable(v)}


def test_names_are_restored():
    before = names()

    def deep(n):
        if n == 0:
            raise KeyboardInterrupt
        return deep(n - 1)
    for f in (lambda x: np.zeros(2).sum() + x, lambda x: 1 / 0, lambda x: deep(5), lambda x: deep(10**6)):
        try:
            ad.grad(f)(1.0)
        except (ZeroDivisionError, KeyboardInterrupt, RecursionError):
            pass
        assert names() == before
        assert T.current_tape() is None
    with recorded(1.0):
        assert names() != before
        with recorded(2.0):
            pass
        assert type(np.zeros(2)) is T.Array


def test_somebody_elses_patch_survives(monkeypatch):
    original = np.zeros
    with recorded(1.0):
        np.zeros = marker = lambda *args: None
    try:
        assert np.zeros is marker
    finally:
        np.zeros = original


def test_libraries_see_the_originals():
    """Code of NumPy, SciPy and ours gets real ndarrays while a function is recorded."""
    with recorded(1.0):
        for name, kind in (("numpy.linalg", np.ndarray), ("scipy.optimize", np.ndarray), ("fastad.x", np.ndarray),
                           ("model", T.Array), ("numpy_financial", T.Array)):
            space = {"__name__": name, "np": np}
            exec("def make():\n    return np.zeros(3), np.array([1.0]), np.full(2, 1.0), np.arange(3), np.copy([1.0])",
                 space)
            assert {type(a) for a in space["make"]()} == {kind}


def test_partial_and_map_call_from_user_code():
    with recorded(1.0):
        assert type(functools.partial(np.zeros, 3)()) is T.Array
        assert {type(a) for a in map(np.zeros, (1, 2))} == {T.Array}


def test_other_threads_see_plain_numpy():
    found = []
    with recorded(1.0):
        thread = threading.Thread(target=lambda: found.extend(
            [type(np.zeros(2)), type(np.array([1.0])), type(math.sin(1.0)), type(np.full(2, 3.0))]))
        thread.start()
        thread.join()
    assert found == [np.ndarray, np.ndarray, float, np.ndarray]


def test_threads_record_at_once():
    """Four threads, 30 recordings each, out of step: each sees its own, and at the end NumPy is as before."""
    before = names()
    failures = []

    def work(k):
        def f(x):
            y = np.zeros(3)
            for i in range(3):
                y[i] = math.sin(x[i] * k)
            return (y * np.array([y[0], 1.0, 2.0])).sum()
        try:
            for n in range(30):
                x = x3 + 0.01 * n
                got = ad.grad(lambda x: f(x))(x)
                expected = slope(f, x)
                np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-8)
        except BaseException as error:
            failures.append(error)
    threads = [threading.Thread(target=work, args=(k,)) for k in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert names() == before


def test_import_during_a_recording(tmp_path, monkeypatch):
    """A module that is imported while f is recorded keeps our names; they are the originals afterwards."""
    (tmp_path / "late_module.py").write_text("from numpy import zeros\nfrom math import sin\n"
                                             "def g(x):\n    y = zeros(2)\n    y[0] = sin(x)\n    return y.sum()\n")
    monkeypatch.syspath_prepend(tmp_path)

    def f(x):
        import late_module
        return late_module.g(x)
    np.testing.assert_allclose(ad.grad(f)(0.5), math.cos(0.5))
    import late_module
    assert type(late_module.zeros(2)) is np.ndarray
    assert late_module.g(0.5) == math.sin(0.5)


def test_unknown_numpy_is_refused():
    """The self-test of the import, with a NumPy that lacks a name, and one whose zeros are not NumPy's."""
    import types
    strange = types.ModuleType("numpy")
    vars(strange).update(vars(np))
    interception._known_numpy(strange)
    strange.zeros = lambda n: [0.0] * n
    with pytest.raises(ad.AdError, match=r"np.zeros does not give"):
        interception._known_numpy(strange)
    del strange.linspace
    with pytest.raises(ad.AdError, match=r"does not know NumPy .*linspace"):
        interception._known_numpy(strange)


def test_import_leaves_numpy_alone():
    code = ("import numpy as np, math; a = dict(vars(np)), dict(vars(math)); import fastad; "
            "assert all(vars(np)[k] is v for k, v in a[0].items()) and vars(math) == a[1]")
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# ---- floating-point errors -------------------------------------------------------------------------------------------

def test_kinds_that_f_ignores_are_silent_in_replays():
    def f(x):
        with np.errstate(divide="ignore"):
            return np.where(x > 1, np.log(np.abs(x - 1)), x).sum()
    g = ad.value_and_grad(f)
    with np.errstate(all="raise"):
        g(x3)
        g(np.array([1.0, 0.5, 2.0]))     # log(0), not taken

    def loud(x):
        return np.where(x > 1, np.log(np.abs(x - 1)), x).sum()
    g = ad.value_and_grad(loud)
    with np.errstate(all="raise"):
        g(x3)
        with pytest.raises(FloatingPointError):
            g(np.array([1.0, 0.5, 2.0]))


def test_seterr_in_f():
    def f(x):
        old = np.seterr(invalid="ignore", divide="ignore")
        y = np.where(x > 0, np.sqrt(x), 0 * x).sum()
        np.seterr(**old)
        return y
    g = ad.value_and_grad(f)
    with np.errstate(all="raise"):
        g(x3)
        g(-x3)
    assert np.geterr()["invalid"] == "warn"


# ---- compiled code ---------------------------------------------------------------------------------------------------

DRAWS = {
    "normal": lambda rng: rng.normal(size=3),
    "uniform of arrays": lambda rng: rng.uniform(np.zeros(3), 1.0),
    "integers": lambda rng: rng.integers(0, 5, 3),
    "choice": lambda rng: rng.choice(3, 2),
    "multivariate_normal": lambda rng: rng.multivariate_normal(np.zeros(2), np.eye(2)),
    "dirichlet": lambda rng: rng.dirichlet([1.0, 2.0]),
    "poisson": lambda rng: rng.poisson(3.0, 3),
    "RandomState": lambda rng: np.random.RandomState(int(rng.integers(9))).randn(3),
}


@pytest.mark.parametrize("name", DRAWS)
def test_compiled_code_sees_numpy_as_it_is(name):
    """Cython calls np.empty without a frame of its own and reads the result's memory: no stand-in may come back."""
    drawn = []

    def f(x):
        drawn.append(DRAWS[name](np.random.default_rng(0)))
        return np.sum(x) * np.sum(drawn[-1])

    g = ad.grad(f)(np.ones(2))
    assert type(drawn[0]) is np.ndarray
    np.testing.assert_array_equal(drawn[0], DRAWS[name](np.random.default_rng(0)))
    np.testing.assert_array_equal(g, np.full(2, np.sum(drawn[0])))


def test_text_made_by_percent_shows_numbers_and_decides_nothing():
    """print("misfit %g" % J) and log.info("%.3e", J) are as good as an f-string: no error, and no guard by %d."""
    said = []

    def f(x):
        y = (x**2).sum()
        text = "%(y).2f %%"
        text %= {"y": y}
        said.append("%g, %6.2f after %d (%d, %i) %s" % (y, x[0], 3, y, x[1], text))                # noqa: UP031
        record = logging.LogRecord("f", logging.INFO, "", 0, "J = %.1e", (y,), None)
        said.append(record.getMessage())
        return y * (7.0 % x[0])
    x = np.array([1.2, 2.3])
    tape = ad.record(f, x)
    assert said == ["6.73,   1.20 after 3 (6, 2) 6.73 %", "J = 6.7e+00"]
    assert "assert" not in str(tape) and tape(x) == f(x)
    for convert in (float, lambda v: np.array([0.0]).fill(v) or float(v)):
        with pytest.raises(ad.TracerError, match="float"):
            ad.record(lambda x, convert=convert: x[0] * convert(x[1]), x)


@pytest.mark.parametrize("f, says", [
    (lambda x: np.random.default_rng(1).normal(x[0], 0.1), "standard_normal"),
    (lambda x: np.random.default_rng(1).uniform(0.0, x[0], 3).sum(), "rng.random"),
    (lambda x: np.ma.array(x, mask=[True, False]).sum(), "np.where"),
    (lambda x: scipy.spatial.cKDTree(np.eye(2)).query(x)[0]**2, "neighbours"),
])
def test_an_error_in_compiled_code_says_what_to_write_instead(f, says):
    with pytest.raises(ad.TracerError, match=f"test_interception.*Here .*{says}"):
        ad.record(f, np.array([1.2, 2.3]))
