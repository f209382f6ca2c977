"""Each row of scipy.special against mpmath: first and second order, over its domain and at its ends.

Owns: what primitives_special.py promises: the relative error of its partials, the conventions, what is refused.
Must not know: how a call reaches a row (test_special.py).
Next: special_witness.py (the functions in mpmath, and the points).
"""
import inspect
import itertools
import re

import mpmath as mp
import numpy as np
import pytest
from special_witness import CASES, INVERSES

import fastad as ad
from fastad import _tape as T
from fastad import primitives as P
from fastad.primitives import BY_NAME
from fastad.special_partials import S

ROWS = [row for row in P.TABLE if isinstance(row.ufunc, str)]
DIFFERENTIABLE = [row for row in ROWS if len(row.refused) < row.arity]
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def operands(grids):
    """All combinations of the numbers, as one array for each operand."""
    return tuple(np.array(column) for column in zip(*itertools.product(*grids), strict=True))


def active(row):
    return tuple(k for k in range(row.arity) if k not in dict(row.refused))


def ours(row, xs):
    """Value, first and second partial derivatives, by tapes: {(k,) or (k, j): array}."""
    T.ensure_row(row.name)
    found = {}

    def f(*args):
        return np.sum(T.elementwise(row.name, *args))

    for k in active(row):
        g = ad.grad(f, argnums=k)
        found[k,] = g(*xs)
        for j in active(row):
            found[k, j] = ad.grad(lambda *args, g=g: np.sum(g(*args)), argnums=j)(*xs)
    return found


def exact(function, point, order):
    with mp.workdps(50):
        x = [mp.mpf(v) for v in point]
        d = mp.diff(function, x[0] if len(x) == 1 else tuple(x), order[0] if len(x) == 1 else order)
        return float(mp.re(d))


def check(row, key, xs, got, want, size):
    """The error is at most that of the row, relative to the derivative or to the terms that cancel in it."""
    rtol = row.relerr * (1 if len(key) == 1 else 100)
    excess = np.abs(got - want) - rtol * np.maximum(np.abs(want), size) - 1e-40
    k = np.argmax(np.where(np.isnan(excess), np.inf, excess))
    assert excess[k] <= 0, (f"{row.name}, derivative by {key}: at {[float(x[k]) for x in xs]} got {got[k]!r}, "
                            f"should be {want[k]!r}")


def sizes(row, xs, y, found):
    """Of the terms that cancel: of first derivatives what the row says, of second ones what first ones make likely."""
    scale = row.scale(*xs, y) if row.scale else 0.0
    scale = scale if isinstance(scale, tuple) else (scale,) * row.arity
    size = {}
    for key in found:
        if len(key) == 1:
            size[key] = scale[key[0]]
        else:
            first = np.maximum(np.abs(found[key[0],]), np.abs(found[key[1],]))
            near = [np.minimum(1.0, np.abs(np.where(xs[k] == 0, 1.0, xs[k]))) for k in key]
            size[key] = 1e-2 * np.maximum(first, scale[key[0]]) / near[1]
    return size


def judge(row, function, grids):
    xs = operands(grids)
    found = ours(row, xs)
    y = P.resolve(row)(*xs)
    size = sizes(row, xs, y, found)
    points = list(zip(*xs, strict=True))
    for key, got in found.items():
        order = tuple(key.count(k) for k in range(row.arity))
        if len(key) == 2 and key[0] > key[1]:
            check(row, key, xs, got, found[key[1], key[0]], size[key])
            continue
        want = np.array([exact(function, point, order) for point in points])
        check(row, key, xs, got, want, size[key])


@pytest.mark.parametrize("name", CASES)
def test_derivatives_against_mpmath(name):
    function, grids = CASES[name]
    judge(BY_NAME[name], function, grids)


@pytest.mark.parametrize("name", ["erf", "gammainc", "jv", "ellipk", "kl_div"])
def test_the_judge_finds_an_error_of_a_millionth(name, monkeypatch):
    function, grids = CASES[name]
    right = ours

    def wrong(row, xs):
        found = right(row, xs)
        key = next(iter(found))
        return found | {key: found[key] * (1 + 1e-6)}
    monkeypatch.setitem(globals(), "ours", wrong)
    with pytest.raises(AssertionError, match="should be"):
        judge(BY_NAME[name], function, grids)


INVERSE_POINTS = {
    "erfinv": [[-1 + 1e-12, -0.9, -1e-9, 0.0, 0.3, 0.999999]], "erfcinv": [[1e-300, 1e-9, 0.2, 1.0, 1.99]],
    "ndtri": [[1e-300, 1e-9, 0.2, 0.5, 0.9, 1 - 1e-12]], "ndtri_exp": [[-1e4, -300.0, -1.0, -1e-3]],
    "gammaincinv": [[0.4, 1.0, 30.0], [1e-3, 0.3, 0.9]], "gammainccinv": [[0.4, 1.0, 30.0], [1e-3, 0.3, 0.9]],
    "betaincinv": [[0.5, 4.0], [0.7, 9.0], [1e-3, 0.3, 0.9]], "betainccinv": [[0.5, 4.0], [0.7, 9.0], [1e-3, 0.3, 0.9]]}


@pytest.mark.parametrize("name", INVERSES)
def test_inverses_against_mpmath(name):
    """The inverse of F has derivatives 1/F' and -F''/F'**3 at F's argument, found by Newton's method."""
    row, (forward, arity) = BY_NAME[name], INVERSES[name]
    function, last = CASES[forward][0], arity - 1
    xs = operands(INVERSE_POINTS[name])
    found, y = ours(row, xs), P.resolve(row)(*xs)
    for k, point in enumerate(zip(*xs, strict=True)):
        with mp.workdps(40):
            p = [mp.mpf(float(v)) for v in point]
            section = lambda t, p=p: function(*p[:-1], t)  # noqa: E731
            t = mp.mpf(float(y[k]))
            for _ in range(3):
                t -= (section(t) - p[-1])/mp.diff(section, t)
            d1, d2 = mp.diff(section, t), mp.diff(section, t, 2)
            want, second = float(1/d1), float(-d2/d1**3)
        np.testing.assert_allclose(found[last,][k], want, rtol=5e-13, err_msg=f"{name} at {point}")
        np.testing.assert_allclose(found[last, last][k], second, rtol=1e-10, atol=1e-12*abs(want))


# ---- conventions, refusals -------------------------------------------------------------------------------------------

@pytest.mark.parametrize("row", [row for row in ROWS if row.kink_points], ids=lambda row: row.name)
def test_kinks_as_stated(row):
    assert row.kinks
    for point, want in row.kink_points:
        for k in active(row):
            def f(t, k=k, point=point):
                return T.elementwise(T.ensure_row(row.name), *point[:k], t, *point[k + 1:])
            np.testing.assert_allclose(ad.grad(f)(point[k]), want[k], rtol=1e-14, err_msg=f"{row.name} {point}")
            np.testing.assert_allclose(ad.jvp(f, (point[k],), (1.0,))[1], want[k], rtol=1e-14)


def test_every_row_is_judged():
    judged = set(CASES) | set(INVERSES)
    assert {row.name for row in DIFFERENTIABLE} == judged
    assert {row.name for row in ROWS} - judged == {"_riemann_zeta"}
    assert all(row.source for row in ROWS)


@pytest.mark.parametrize("row", [row for row in ROWS if row.refused], ids=lambda row: row.name)
def test_refused_operands_are_refused_when_active_and_only_then(row):
    xs = [0.5 * sum(intervals[len(intervals) // 2]) for intervals in row.domain.intervals]
    T.ensure_row(row.name)
    for k, why in row.refused:
        def f(*args):
            return T.elementwise(row.name, *args)
        with pytest.raises(ad.UnsupportedError, match=re.escape(why)) as caught:
            ad.grad(f, argnums=k)(*xs)
        assert __file__ in str(caught.value) and "stop_gradient" in str(caught.value)
        g = ad.grad(lambda *args, k=k, f=f: f(*[ad.stop_gradient(x) if j == k else x for j, x in enumerate(args)])
                    + args[k], argnums=k)
        assert g(*xs) == 1.0
    for k in active(row):
        assert np.isfinite(ad.grad(f, argnums=k)(*xs))


def test_partials_are_written_in_rows_only():
    """Every function that a partial calls is a row: what no row has, no tape could differentiate again."""
    for row in DIFFERENTIABLE:
        functions, seen = [row.partials], set()
        while functions:
            f = functions.pop()
            if f in seen:
                continue
            seen.add(f)
            for name in set(f.__code__.co_names) - {"np", "S"}:
                thing = f.__globals__.get(name)
                if inspect.isfunction(thing):
                    functions.append(thing)
                    continue
                ufuncs = [getattr(np, name, None), getattr(S, name, None) if thing is None else None]
                rows = [P.row_of_ufunc(u) or P.rows_of_results(u) for u in ufuncs if u is not None]
                assert any(rows) or isinstance(thing, (float, list)) or name.startswith("_spherical") \
                    or name == "where", f"{row.name} uses {name}"


def test_cross_derivatives_where_a_factor_is_zero():
    """A factor that is zero has a derivative all the same."""
    for name, b in (("xlogy", 2.0), ("xlog1py", 1.0)):
        f = lambda z, name=name: T.elementwise(T.ensure_row(name), z[0], z[1])  # noqa: E731
        np.testing.assert_array_equal(ad.hessian(f)(np.array([0.0, b])), [[0.0, 0.5], [0.5, 0.0]])
    for name in ("rel_entr", "kl_div"):
        f = lambda a, b, name=name: T.elementwise(T.ensure_row(name), a, b)  # noqa: E731
        assert ad.grad(ad.grad(f, argnums=1))(0.0, 2.0) == -0.5
    powm1 = lambda a, b: T.elementwise(T.ensure_row("powm1"), a, b)  # noqa: E731
    assert ad.grad(ad.grad(powm1, argnums=1))(0.5, 0.0) == 2.0
