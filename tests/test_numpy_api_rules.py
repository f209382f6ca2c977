"""What NumPy means around its functions: dtypes, out=, in-place methods, plain arrays, guards, refusals.

Owns: everything in the NumPy front end that is not one expression with one value (those are in test_numpy_api.py).
"""
import re

import numpy as np
import pytest
import scipy.special
from numpy_cases import judge, leaves, plain, record
from test_numpy_api import MOVERS, ORDER, PRODUCTS, REDUCTIONS, draws

import fastad
from fastad import _tape as T
from fastad import numpy_api
from fastad.errors import TapeDivergence, TracerError, UnsupportedError
from fastad.methods import ABSENT, FOREIGN, METHODS
from fastad.methods import REFUSED as REFUSED_METHODS

X = [np.array([0.3, 1.7, -0.4, 0.9, 0.2])]
X2 = [np.array([-1.3, 0.2, 0.8, 0.35, 1.9])]
M = np.arange(12.0).reshape(3, 4) / 10 + 0.1


@pytest.fixture
def tape():
    """An open recording."""
    t = T.open_recording()
    yield t
    T.close_recording(t)


@pytest.fixture
def x(tape):
    """An active input."""
    return T.make_input(tape, X[0], True)


# ---- statements: in-place functions and methods ---------------------------------------------------------------------

def made(x):
    """A recordable array of zeros, as interception makes of np.zeros."""
    return T.wrap(np.zeros(x.shape))


def out_of_ufunc(x):
    y = made(x)
    np.multiply(x, 2, out=y)
    np.add(y, x, out=y)
    return y


def out_of_ufunc_where(x):
    y = made(x)
    np.exp(x, out=y, where=x > 0)
    return y


def out_of_reduction(x):
    y = T.wrap(np.zeros(()))
    np.sum(x, out=y)
    return y * x


def out_of_view(x):
    y = T.wrap(np.zeros((2, x.size)))
    np.sin(x, out=y[1])
    np.cumsum(x, out=y[0, ::-1])
    return y


def out_of_concatenate(x):
    y = T.wrap(np.zeros(2 * x.size))
    np.concatenate([x, x * x], out=y)
    return y


def out_of_dot(x):
    y = T.wrap(np.zeros(x.size))
    np.matmul(np.outer(x, x), x, out=y)
    return y


def two_outputs(x):
    a, b = made(x), made(x)
    np.divmod(x, 0.7, out=(a, b))
    return a + b * x


def filled(x):
    y = made(x)
    y.fill(x[0])
    y[1:3].fill(2.0)
    return y * x


def sorted_in_place(x):
    y = x * 1.0
    y.sort()
    z = T.wrap(np.zeros((2, x.size)))
    z[0] = x
    z[1] = -x
    z.sort(axis=1)
    return y * z


def copied(x):
    y = made(x)
    np.copyto(y, x, where=x > 0.25)
    np.copyto(y[:1], 3.0)
    return y


def put_at(x):
    y = x * 1.0
    np.put(y, [0, -1], x[1:3])
    y.put([1], 7.0)
    return y


def put_at_traced(x):
    y = x * 1.0
    np.put(y, np.argmax(x), 0.5 * x[0])
    return y


def put_along(x):
    y = np.stack([x, x * x])
    np.put_along_axis(y, np.argmin(y, axis=1, keepdims=True), 9.0, axis=1)
    np.put_along_axis(y, np.array([[1], [0]]), x[:1], axis=1)
    return y


def mask_put(x):
    y = x * 1.0
    np.putmask(y, x > 0.25, x * x)
    return y


def placed(x):
    y = x * 1.0
    np.place(y, np.array([True, False, True, False, False]), [x[1], 5.0])
    return y


def add_at(x):
    y = x * 1.0
    np.add.at(y, [0, 0, 3], x[:3])
    np.subtract.at(y, 1, 0.5)
    return y


def add_at_traced(x):
    y = made(x)
    np.add.at(y, np.argsort(x)[:3], x[2:])
    np.add.at(y, np.minimum(np.argsort(x), 1), x)
    return y


def add_at_rows(x):
    y = T.wrap(np.zeros((2, x.size)))
    np.add.at(y, ([0, 1, 0], [2, 2, 2]), x[:3])
    np.add.at(y, 1, x)
    return y


def diagonal_filled(x):
    y = np.outer(x, x)
    np.fill_diagonal(y, x[0])
    return y


def through_flat(x):
    y = T.wrap(np.zeros((2, x.size)))
    y.flat[2:7] = x
    y.flat[0] = x[1]
    y.flat[[8, 9]] = x[:2]
    y.flat[np.argmax(x)] = 4.0 * x[0]
    y[:, 3:].flat = x[:3]
    y[:1, 4:].flat = 7.0
    return y


def numbers_in_place(x):
    y = np.nan_to_num(np.where(x > 5, np.nan, x), copy=False)
    y.setflags(write=True)
    y += 1
    return y


STATEMENTS = {f.__name__: f for f in (
    out_of_ufunc, out_of_ufunc_where, out_of_reduction, out_of_view, out_of_concatenate, out_of_dot, two_outputs,
    filled, sorted_in_place, copied, put_at, put_at_traced, put_along, mask_put, placed, add_at, add_at_traced,
    add_at_rows, diagonal_filled, through_flat, numbers_in_place)}


@pytest.mark.parametrize("name", STATEMENTS)
def test_statement(name):
    judge(STATEMENTS[name], X, X2, layout=False)


# ---- expressions with more than one kind of operand -----------------------------------------------------------------

MIXED = {
    "list of scalars": lambda x: numpy_api.array([x[0], x[1], 3.0]),
    "nested list": lambda x: numpy_api.array([[x[0], 1], [2.5, x[1]]]),
    "list of rows": lambda x: numpy_api.array([x, x * 2]),
    "list of rows and lists": lambda x: numpy_api.array([x[:2], [x[3], 1.0]]),
    "asarray of scalar": lambda x: numpy_api.asarray(x[0]) * x,
    "array ndmin": lambda x: numpy_api.array(x, ndmin=3),
    "array dtype": lambda x: numpy_api.array([x[0] > 0, x[1] > 0], dtype=float) * x[:2],
    "full": lambda x: numpy_api.full((2, 3), x[1]),
    "ufunc of a list": lambda x: np.add(x[:2], [x[2], 1.0]),
    "operator with a list": lambda x: x[:2] * [x[2], 2],
    "maximum of list": lambda x: np.maximum(x, [1, 0, 1, 0, 1]),
    "ufunc dtype": lambda x: np.add(x, 1, dtype=float),
    "bool and float": lambda x: (x > 0) * x + (x > 0.5),
    "bool sum": lambda x: (x > 0).sum() * x,
    "bool mean": lambda x: (x > 0).mean() * x,
    "bool arithmetic": lambda x: ((x > 0) + (x > 1)) * x,
    "int arithmetic": lambda x: (np.argsort(x) // 2 % 3) * x,
    "int to float": lambda x: np.sqrt(np.argsort(x)) * x,
    "floor to index": lambda x: (x * x)[np.floor(np.abs(x)).astype(int)],
    "int32 constant": lambda x: x * np.arange(5, dtype=np.int32),
    "float32 constant": lambda x: x * np.ones(5, np.float32),
    "modf": lambda x: np.modf(x),
    "divmod": lambda x: np.divmod(x, 0.7),
    "ldexp": lambda x: np.ldexp(x, 3),
    "conjugate": lambda x: np.conjugate(x) * x.conj(),
    "scalar methods": lambda x: x[0].sum() + x[1].mean() * x[2].reshape(1) + x[0].max() + x[3].ravel(),
    "scalar functions": lambda x: np.reshape(x[0], (1, 1)) + np.tile(x[1], 2) + np.broadcast_to(x[2], (2,)),
    "scalar round": lambda x: np.round(x[1]) * x[0] + x[1].round(1) * x[2] + round(x[1], 1),
    "clip of scalar": lambda x: np.clip(x[1], 0, 1) * x,
    "prod of scalar": lambda x: np.prod(x[1]) * np.max(x[2]) * x,
    "dot of scalars": lambda x: np.dot(x[1], x[2]) * x,
    "norm at zero": lambda x: np.linalg.norm(0 * x) + x,
    "matmul of masks": lambda x: (x > 0).astype(float) @ x,
    "where with a list": lambda x: np.where([True, False, True, False, True], x, 0),
    "where with scalars": lambda x: np.where(x[0] > 0, x[1], x[2]),
    "sum of 0-d array": lambda x: np.sum(numpy_api.asarray(x[0])) * x,
    "tolist": lambda x: sum(v * k for k, v in enumerate(x.tolist())),
    "iscomplexobj": lambda x: x * np.iscomplexobj(x) + np.isreal(x) * x,
    "zeros_like": lambda x: np.zeros_like(x) + np.ones_like(x) * x + np.shape(x)[0] + np.ndim(x) + np.size(x),
    "var by mean": lambda x: np.var(x, mean=np.mean(x, keepdims=True)),
    "median of ties": lambda x: np.median(np.round(x * 0)) + x,
    "ix_": lambda x: np.outer(x, x)[np.ix_([0, 1], [2, 4])],
    "unravel traced": lambda x: np.outer(x, x)[np.unravel_index(np.argmax(np.outer(x, -x)), (5, 5))] * x,
    "ravel_multi_index": lambda x: np.ravel_multi_index((np.argsort(x), np.argsort(-x)), (5, 5)) * x,
    "scipy ufunc": lambda x: scipy.special.exp1(np.abs(x)) + scipy.special.exp1(x[1] ** 2),
    "polynomial": lambda x: np.polynomial.polynomial.polyval(x, [1.0, 2.0, 3.0]),
    "unravelled": lambda x: np.outer(x, x)[np.unravel_index(7, (5, 5))] * x,
}


@pytest.mark.parametrize("name", MIXED)
def test_mixed(name):
    judge(MIXED[name], X, X2)


def test_views_write_through_and_copies_do_not():
    def f(x):
        y = x.reshape(1, 5) * 1.0
        for view in (y.ravel()[:1], y.T[1], np.squeeze(y)[2:3], y.flat):
            view[0] = 2 * x[3]
        for copy in (y.flatten(), np.copy(y)[0], np.roll(y, 1)[0]):
            copy[0] = 99.0
        return y
    judge(f, X, X2)


def test_diagonal_is_read_only(x):
    with pytest.raises(ValueError, match="read-only"):
        np.diagonal(np.outer(x, x))[0] = 1.0
    for value in (x, 2 * x):                             # x: what is there already, which is no excuse
        with pytest.raises(ValueError, match="read-only"):
            np.broadcast_to(x, (2, 5))[0] = value


def test_plain_arrays_are_left_to_numpy(tape):
    a = T.wrap(M.copy())
    b = a.reshape(4, 3)
    assert type(b) is T.Array and T.is_view_of(a, T.concrete(b))
    b.sort(axis=0)
    assert a.sum() == pytest.approx(M.sum()) and isinstance(a.sum(), float)
    np.add(a, 1, out=a)
    assert np.array_equal(T.concrete(a), T.concrete(b).reshape(3, 4))
    assert a.tolist() == T.concrete(a).tolist() and a.tobytes() == T.concrete(a).tobytes()
    assert not T.is_traced(np.concatenate([a, M]))
    assert len(tape) == 0, "plain NumPy leaves nothing on the tape"


def test_results_of_plain_numpy_become_traced_in_place(x):
    y = np.transpose(T.wrap(np.zeros((5, 2))))
    y[1] = x
    assert T.is_traced(y) and np.array_equal(T.concrete(y)[1], X[0])


# ---- guards ---------------------------------------------------------------------------------------------------------

def guards(tape):
    return [tape.instruction(i)[3][1] for i in range(1, len(tape)) if tape.instruction(i)[0] == "guard"]


NO_GUARDS = {
    "sort": lambda x: np.sort(x), "argsort": lambda x: x[np.argsort(x)], "median": lambda x: np.median(x),
    "interp": lambda x: np.interp(x, np.sort(x), x * x), "where": lambda x: np.where(x > 0, x, 0.0),
    "max": lambda x: x.max() + np.argmax(x), "searchsorted": lambda x: np.searchsorted(np.sort(x), x) * x,
    "isclose": lambda x: np.where(np.allclose(x, X[0]), x, 0), "nan": lambda x: np.nanmean(x),
    "clip": lambda x: np.clip(x, 0, 1), "count": lambda x: np.count_nonzero(x > 0) * x,
    "percentile": lambda x: np.percentile(x, [25, 75]), "interp period": lambda x: np.interp(x, x, x * x, period=1.3),
}


@pytest.mark.parametrize("name", NO_GUARDS)
def test_values_are_traced_not_guarded(name):
    tape, _ = record(NO_GUARDS[name], *X)
    assert guards(tape) == []


COUNTED = {
    "nonzero": lambda x: np.nonzero(x > 0)[0] * 1.0,
    "nonzero 2": lambda x: np.nonzero(np.outer(x, x) > 0)[1] * 1.0,
    "flatnonzero": lambda x: x[np.flatnonzero(x > 0)],
    "argwhere": lambda x: np.argwhere(x > 0) * 1.0,
    "where": lambda x: x[np.where(x > 0)],
    "mask": lambda x: x[x > 0],
    "extract": lambda x: np.extract(x > 0, x),
    "compress": lambda x: np.compress(x > 0, x),
    "compress method": lambda x: x.compress(x > 0),
}


@pytest.mark.parametrize("name", COUNTED)
def test_only_the_count_is_guarded(name):
    moved, other = np.array([1.3, -0.2, 0.8, 0.35, 1.9]), np.array([1.3, -0.2, -0.8, 0.35, 1.9])
    tape = judge(COUNTED[name], X, [moved])
    assert len(guards(tape)) == 1
    with pytest.raises(TapeDivergence):
        tape.sweep([other])


def test_bincount_of_traced_integers_guards_the_length():
    def f(x):
        return np.bincount(np.floor(np.abs(x)).astype(int), weights=x, minlength=1)
    tape = judge(f, X, X2)
    with pytest.raises(TapeDivergence):
        tape.sweep([X[0] * 4])


# ---- refusals -------------------------------------------------------------------------------------------------------

REFUSED = {
    "linalg": (lambda x: np.linalg.eigvals(np.outer(x, x)), "complex numbers"),
    "ufunc without a row": (lambda x: np.spacing(x), "ad.primitive"),
    "scipy ufunc": (lambda x: scipy.special.itstruve0(x), "ad.primitive"),
    "frexp": (lambda x: np.frexp(x), "ad.primitive"),
    "at": (lambda x: np.multiply.at(x * 1, np.argsort(x), 2.0), "add.at"),
    "where without out": (lambda x: np.exp(x, where=x > 0), "np.where"),
    "dtype": (lambda x: x.astype(np.float16), "float64, float32, int64 and bool"),
    "sum dtype": (lambda x: x.sum(dtype=np.float16), "float64, float32, int64 and bool"),
    "complex dtype": (lambda x: np.sum(x, dtype=complex), "float64, float32, int64 and bool"),
    "save": (lambda x: np.save("never.npy", x), "ad.peek"),
    "tobytes": (lambda x: x.tobytes(), "ad.peek"),
    "tofile": (lambda x: x.tofile("never.bin"), "ad.peek"),
    "view": (lambda x: x.view(np.int64), "astype"),
    "resize method": (lambda x: x.resize((2, 3)), "np.resize"),
    "out of outside": (lambda x: np.add(x, 1, out=np.zeros(5)), "z = z + x"),
    "copy of outside": (lambda x: X[0].copy().__iadd__(x), "z = np.array(z0) for z0.copy()"),
    "spacing keyword": (lambda x: np.vecdot(np.outer(x, x), x, axis=0), "axis="),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusal_says_where_what_and_what_else(name, x):
    f, remedy = REFUSED[name]
    with pytest.raises(UnsupportedError, match=re.escape(remedy)) as e:
        f(x)
    assert re.match(r".*test_numpy_api_rules\.py:\d+: ", str(e.value))


def test_in_place_operator_on_a_plain_ndarray_is_an_error(x):
    z = np.zeros(5)
    with pytest.raises(UnsupportedError, match="z = z"):
        z += x
    assert not z.any()


def test_numpys_own_errors(x):
    for f, error in [
        (lambda: np.reshape(x, (2, 3)), ValueError), (lambda: np.max(x[:0]), ValueError),
        (lambda: np.sum(x, axis=3), np.exceptions.AxisError), (lambda: x @ np.ones((4, 2)), ValueError),
        (lambda: np.concatenate([x, np.ones((2, 2))]), ValueError), (lambda: np.take(x, 7), IndexError),
        (lambda: np.take(x, np.argsort(x) + 3), IndexError),
        (lambda: np.einsum("ij,j", np.outer(x, x), x[:2]), ValueError),
        (lambda: np.tensordot(np.outer(x, x), x[:3], 1), ValueError), (lambda: x.item(), ValueError),
        (lambda: np.add(x, x, out=T.wrap(np.zeros(4))), ValueError), (lambda: np.nonzero(x[0]), ValueError),
        (lambda: np.add(x, x, out=T.wrap(np.zeros(5, int))), TypeError), (lambda: x.argmax(axis=2), ValueError),
    ]:
        with pytest.raises(error):
            f()


def test_absent_attributes_are_attribute_errors(x):
    for name in ("ctypes", "data", "__array_interface__", "__array_struct__", "__dlpack__", "no_such_name"):
        with pytest.raises(AttributeError):
            getattr(x, name)
        assert not hasattr(x[0], name)


def test_an_escaped_array_is_an_error():
    t = T.open_recording()
    y = T.make_input(t, X[0], True) * 2.0
    T.close_recording(t)
    for f in (np.sum, np.ravel, np.copy, np.sort, lambda v: v.sum(), lambda v: v.reshape(1, 5), lambda v: v @ v):
        with pytest.raises(TracerError):
            f(y)


def test_every_name_of_numpy_is_declared():
    """A NumPy that has new dispatched functions is noticed: each is recorded, constant, or refused for a reason."""
    from numpy._core import overrides
    unknown, undispatched = set(), {f.__name__ for f in numpy_api.UNDISPATCHED}
    for f in overrides.ARRAY_FUNCTIONS:
        if f.__module__.startswith(("numpy.fft", np.emath.sqrt.__module__,
                                    "numpy.polynomial")) \
                or f.__module__.startswith(numpy_api.FOREIGN):
            continue
        if f not in numpy_api.RECORDED and f not in numpy_api.CONSTANT and f not in numpy_api.REFUSED \
                and f.__name__ not in undispatched:
            unknown.add(f"{f.__module__}.{f.__name__}")
    assert unknown == set()


def test_plain_helper_sees_what_numpy_sees():
    assert plain(lambda v: v.sum(), X) == [X[0].sum()]


def test_a_mask_that_holds_nowhere():
    def f(x):
        y, z = x * 1.0, T.wrap(np.arange(5.0))
        y[x > 50] = z[x > 50] * 2
        y[np.flatnonzero(x > 50)] += x[x > 50]
        return y + z
    judge(f, X, X2)


OTHER = np.array([1.0, 2.0, 3.0])
GRID = np.arange(6.0).reshape(2, 3).T                # reshaping it copies
CAPTURED = {
    "cross": lambda x: np.cross(x, OTHER),
    "convolve": lambda x: np.convolve(x, OTHER),
    "convolve long": lambda x: np.convolve(x[:2], OTHER),
    "convolve captured": lambda x: np.convolve(x[:2], T.make_plain(OTHER, captured=True)),
    "average": lambda x: np.average(x, weights=OTHER),
    "einsum": lambda x: np.einsum("ij,jk->ik", x.reshape(1, 3), GRID),
    "einsum outer": lambda x: np.einsum("i,jk->i", x, GRID),
    "tensordot": lambda x: np.tensordot(x, GRID, ([0], [0])),
    "outer": lambda x: np.outer(x, GRID),
    "isclose": lambda x: np.where(np.isclose(x, OTHER), 1.0, x),
    "interp": lambda x: np.interp(x, OTHER, GRID[:, 0]),
    "linspace": lambda x: np.linspace(OTHER, x, 3),
    "cov": lambda x: np.cov(x, OTHER),
    "trapezoid": lambda x: np.trapezoid(x, OTHER),
    "meshgrid": lambda x: np.meshgrid(x, OTHER)[1] * x[0],
    "diff": lambda x: np.diff(OTHER, append=x),
    "matmul": lambda x: x @ GRID + GRID.T @ x,
    "concatenate": lambda x: np.concatenate([OTHER, x]),
}


@pytest.mark.parametrize("name", CAPTURED)
def test_captured_arrays_are_read_again_inside_formulas(name):
    """What NumPy would compute of the user's array alone is computed anew when the array changes in place."""
    f, x = CAPTURED[name], np.array([0.5, 1.5, 3.0])
    tape, _ = record(f, x)
    kept = OTHER.copy(), GRID.copy()
    try:
        OTHER[:] *= 1.25
        GRID[:] += 0.5
        np.testing.assert_allclose(tape.sweep([x])[0], f(x), rtol=1e-13)
    finally:
        OTHER[:], GRID[:] = kept


def test_every_attribute_of_ndarray_is_declared(x):
    for name in dir(np.ndarray):
        if name.startswith("_") or hasattr(type(x), name):
            continue
        assert name in METHODS or name in REFUSED_METHODS or name in ABSENT | FOREIGN.keys(), f"ndarray.{name}"


@pytest.mark.parametrize("table", [MOVERS, REDUCTIONS, PRODUCTS, ORDER, MIXED, NO_GUARDS])
def test_the_same_while_names_are_intercepted(table):
    """Under the public verb NumPy's names are replaced; the functions registered here must not notice."""
    here, there = (X[0], X2[0]) if table in (MIXED, NO_GUARDS) else (*draws(1), *draws(2))
    for name, f in table.items():
        tape = fastad.record(lambda x, f=f: tuple(leaves(f(x))), here.copy())
        for got, want in zip(tape(there.copy()), plain(f, [there]), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12, err_msg=name)
