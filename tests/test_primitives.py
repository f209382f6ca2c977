"""Each row of THE table against an independent witness; no tape is needed.

Owns: partials and second derivatives against mpmath and complex step, kinks, loops, `math` twins, the manual.
Must not know: how the tape records, stores or stamps out a partial.
Next: fastad/primitives.py (the rows), test_special_rows.py (those of scipy.special), reference.py (whole programs
against a slow tape).
"""
import ast
import dataclasses
import inspect
import math
import re
import subprocess
import sys
from pathlib import Path

import mpmath as mp
import numpy as np
import pytest

from fastad import primitives as P
from fastad import primitives_special as special
from fastad.primitives import BY_NAME, TABLE, resolve, row_of_ufunc

KIND = {"f": np.float64, "i": np.int64, "b": np.bool_}
NUMPY = [row for row in TABLE if not isinstance(row.ufunc, str)]
ORDINARY = [row for row in NUMPY if row.partials is not None and not row.rule]
SMOOTH = [row for row in ORDINARY if row.differentiable]
NAMES = {"ids": lambda row: row.name}


def mp_copysign(a, b):
    return abs(a) if b >= 0 else -abs(a)


def mp_cbrt(x):
    return mp.sign(x)*mp.cbrt(abs(x))


def mp_trunc(x):
    return mp.sign(x)*mp.floor(abs(x))


def mp_logaddexp2(a, b):
    return mp.log(mp.mpf(2)**a + mp.mpf(2)**b)/mp.log(2)


WITNESS = {       # the same functions, written down a second time in another library
    "add": lambda a, b: a + b, "subtract": lambda a, b: a - b, "multiply": lambda a, b: a*b,
    "divide": lambda a, b: a/b, "power": mp.power, "float_power": mp.power,
    "floor_divide": lambda a, b: mp.floor(a/b), "remainder": lambda a, b: a - b*mp.floor(a/b),
    "fmod": lambda a, b: a - b*mp_trunc(a/b), "negative": lambda x: -x, "positive": lambda x: x,
    "absolute": abs, "fabs": abs, "sign": mp.sign, "copysign": mp_copysign,
    "heaviside": lambda a, b: mp.mpf(a > 0), "exp": mp.exp, "expm1": mp.expm1, "exp2": lambda x: mp.mpf(2)**x,
    "log": mp.log, "log1p": lambda x: mp.log(1 + x), "log2": lambda x: mp.log(x)/mp.log(2), "log10": mp.log10,
    "logaddexp": lambda a, b: mp.log(mp.exp(a) + mp.exp(b)), "logaddexp2": mp_logaddexp2,
    "sqrt": mp.sqrt, "cbrt": mp_cbrt, "square": lambda x: x*x, "reciprocal": lambda x: 1/x, "hypot": mp.hypot,
    "sin": mp.sin, "cos": mp.cos, "tan": mp.tan, "arcsin": mp.asin, "arccos": mp.acos, "arctan": mp.atan,
    "arctan2": mp.atan2, "sinh": mp.sinh, "cosh": mp.cosh, "tanh": mp.tanh, "arcsinh": mp.asinh,
    "arccosh": mp.acosh, "arctanh": mp.atanh, "deg2rad": mp.radians, "rad2deg": mp.degrees,
    "maximum": max, "minimum": min, "fmax": max, "fmin": min, "floor": mp.floor, "ceil": mp.ceil,
    "trunc": mp_trunc, "rint": lambda x: mp.floor(x + 0.5),
}


# ---- sampling and evaluation ----------------------------------------------------------------------------------------

def samples(row, n):
    """n points of the row's domain: as many in each interval, jittered, the operands shuffled against each other."""
    rng = np.random.default_rng(len(row.name) + 1)
    columns = []
    for intervals in row.domain.intervals:
        share = -(-n // len(intervals))
        parts = [lo + (hi - lo)*(np.arange(share) + rng.uniform(0.05, 0.95, share))/share for lo, hi in intervals]
        column = rng.permutation(np.concatenate(parts))
        assert column.size >= n and np.unique(column).size == column.size
        for lo, hi in intervals:
            inside = column[(column > lo) & (column < hi)]
            assert np.ptp(inside) > 0.85*(hi - lo), "the samples leave a part of the domain out"
        columns.append(column)
    m = min(c.size for c in columns)
    return tuple(c[:m] for c in columns)


def partials_of(row, xs, y):
    """The partials as a tuple of arrays."""
    with np.errstate(all="ignore"):
        p = row.partials(*xs, y)
    p = p if row.arity > 1 else (p,)
    assert isinstance(p, tuple) and len(p) == row.arity
    for v in p:
        assert isinstance(v, (int, float)) or (v.dtype == np.float64 and v.shape == np.shape(y)), row.name
    return tuple(np.broadcast_to(np.asarray(v, float), np.shape(y)) for v in p)


def derivative(row, point, order):
    with mp.workdps(40):
        return mp.diff(WITNESS[row.name], point if row.arity > 1 else point[0], order if row.arity > 1 else order[0])


def points(xs):
    """The sample points, one by one, as exact mpmath numbers."""
    return [[mp.mpf(float(v)) for v in point] for point in zip(*xs, strict=True)]


def exact(row, xs, order):
    return np.array([float(derivative(row, point, order)) for point in points(xs)])


def check(row, got, want, rtol, scale=1.0):
    """Relative, but for the absolute error that the row itself declares."""
    excess = np.abs(got - want) - (rtol*np.abs(want) + row.abserr*scale)
    k = np.argmax(np.where(np.isnan(excess), np.inf, excess))
    assert excess[k] <= 0, f"{row.name}: at sample {k} got {got[k]!r}, should be {want[k]!r}"


def check_partials(row, n=204):
    xs = samples(row, n)
    assert xs[0].size >= 200
    y = resolve(row)(*xs)
    for k, got in enumerate(partials_of(row, xs, y)):
        check(row, got, exact(row, xs, tuple(int(j == k) for j in range(row.arity))), 1e-12)


# ---- first derivatives ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("row", ORDINARY, **NAMES)
def test_value_is_what_the_witness_computes(row):
    xs = samples(row, 48)
    assert row.domain.contains(*xs).all()
    want = np.array([float(WITNESS[row.name](*point)) for point in points(xs)])
    np.testing.assert_allclose(resolve(row)(*xs), want, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("row", ORDINARY, **NAMES)
def test_partials_against_mpmath(row):
    check_partials(row)


@pytest.mark.parametrize("row", ORDINARY, **NAMES)
def test_checker_catches_a_tenth_of_a_percent(row):
    for k in range(row.arity):
        def wrong(*args, k=k):
            p = row.partials(*args)
            p = list(p) if row.arity > 1 else [p]
            p[k] = p[k]*1.001 if np.any(p[k]) else 0.001
            return tuple(p) if row.arity > 1 else p[0]
        with pytest.raises(AssertionError, match="should be"):
            check_partials(dataclasses.replace(row, partials=wrong), 200)


def has_complex_loop(row):
    return "D"*row.arity + "->D" in resolve(row).types


NOT_ANALYTIC = {"sign"}      # of complex numbers: x/abs(x)
COMPLEX_STEP = [row for row in ORDINARY if has_complex_loop(row) and row.name not in NOT_ANALYTIC]


@pytest.mark.parametrize("row", COMPLEX_STEP, **NAMES)
def test_partials_against_complex_step(row):
    xs, h = samples(row, 204), 1e-30
    for k, got in enumerate(partials_of(row, xs, resolve(row)(*xs))):
        step = [x + (1j*h if j == k else 0j) for j, x in enumerate(xs)]
        # 1e-11: NumPy's complex arccosh and its kin lose a few digits themselves
        check(row, got, resolve(row)(*step).imag/h, 1e-11)


def test_complex_step_has_rows_to_check():
    assert {"add", "divide", "power", "exp", "sin", "arctan", "tanh", "log", "sqrt"} <= {r.name for r in COMPLEX_STEP}


# ---- second derivatives: the partials, differentiated by the table itself -------------------------------------------

class Dual(np.lib.mixins.NDArrayOperatorsMixin):
    """A value and a tangent.  Knows nothing but the rows: what it cannot propagate, a tape could not either."""

    def __init__(self, v, d):
        self.v, self.d, self.used = v, d, None

    def __array_ufunc__(self, ufunc, method, *xs, **kwargs):
        row = row_of_ufunc(ufunc)
        assert row is not None and method == "__call__" and not kwargs, f"{ufunc} in a partial is no row"
        count(row)
        vs = [value(x) for x in xs]
        y = ufunc(*vs)
        if row.partials is None:
            return y
        p = partials_of(row, np.broadcast_arrays(*(np.asarray(v, float) for v in vs)), np.asarray(y))
        return Dual(y, sum(P.strongzero(tangent(x), pk) for x, pk in zip(xs, p, strict=True)))

    def __array_function__(self, func, types, args, kwargs):
        row = row_of_ufunc(func)
        assert row is not None and row.rule == "select" and not kwargs, f"{func} in a partial is no row"
        count(row)
        c, a, b = args
        return Dual(np.where(c, value(a), value(b)), np.where(c, tangent(a), tangent(b)))


trace: list[str] = []


def count(row):
    trace.append(row.name)


def value(x):
    return x.v if isinstance(x, Dual) else x


def tangent(x):
    return x.d if isinstance(x, Dual) else 0.0


def second(row, xs, k):
    """Derivative of every partial in direction k, and the primitives that the partials used."""
    unit = [np.ones_like(x) if j == k else np.zeros_like(x) for j, x in enumerate(xs)]
    y = resolve(row)(*xs)
    first = partials_of(row, xs, y)
    trace.clear()
    with np.errstate(all="ignore"):
        p = row.partials(*(Dual(x, e) for x, e in zip(xs, unit, strict=True)), Dual(y, first[k]))
    p = p if row.arity > 1 else (p,)
    return [np.broadcast_to(tangent(v), y.shape) for v in p], list(trace)


CANCELS = {"logaddexp": 1e-14, "logaddexp2": 1e-14}      # p*(1 - p), with the rounding of y <= 20 in p


@pytest.mark.parametrize("row", ORDINARY, **NAMES)
def test_second_derivatives(row):
    xs = samples(row, 48)
    for k in range(row.arity):
        got, used = second(row, xs, k)
        assert len(used) <= 20, f"{row.name}: a template of {len(used)} instructions"
        for j in range(row.arity):
            order = tuple(int(i == j) + int(i == k) for i in range(row.arity))
            floor = max(row.abserr, CANCELS.get(row.name, 1e-40))     # 1e-40: mpmath's own rounding of a zero
            check(dataclasses.replace(row, abserr=floor), got[j], exact(row, xs, order), 1e-11, scale=3)


def test_second_derivative_of_a_power_with_the_exponent_zero():
    """d/da d/db a**b = 1/a there: it was 1, and the Hessian not symmetric."""
    a, b = np.array([0.5, 3.0]), np.zeros(2)
    (da, _), _ = second(BY_NAME["power"], (a, b), 1)
    np.testing.assert_array_equal(da, 1/a)


def test_second_derivative_of_a_power_at_zero():
    got, _ = second(BY_NAME["power"], (np.zeros(3), np.array([1.0, 2.0, 3.0])), 0)
    np.testing.assert_array_equal(got[0], [0.0, 2.0, 0.0])


def test_second_derivatives_see_a_partial_that_is_right_in_value_only():
    """A partial may not hide its operands: 1/(1 + x**2) as a constant is caught at second order."""
    row = BY_NAME["arctan"]
    xs = samples(row, 48)
    blind = dataclasses.replace(row, partials=lambda x, y: 1/(1 + value(x)**2))
    got, _ = second(blind, xs, 0)
    with pytest.raises(AssertionError, match="should be"):
        check(row, got[0], exact(row, xs, (2,)), 1e-11)


# ---- kinks ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("row", [row for row in NUMPY if row.kink_points], **NAMES)
def test_kinks_as_stated(row):
    assert row.kinks
    for operands, want in row.kink_points:
        assert len(operands) == len(want) == row.arity
        xs = tuple(np.full(3, v) for v in operands)
        with np.errstate(all="ignore"):
            y = resolve(row)(*xs)
        for got, w in zip(partials_of(row, xs, y), want, strict=True):
            np.testing.assert_allclose(got, w, rtol=1e-15, err_msg=f"{row.name} at {operands}")


def test_kinks_are_points_and_points_are_stated():
    without = [r.name for r in TABLE if r.kinks and not r.kink_points and not r.rule]
    assert without == []
    kinky = {"absolute", "fabs", "sign", "maximum", "minimum", "fmax", "fmin", "power", "sqrt", "cbrt", "hypot",
             "arctan2", "floor", "ceil", "rint", "trunc", "remainder", "fmod", "copysign", "heaviside"}
    assert kinky <= {r.name for r in TABLE if r.kink_points}


def test_no_flag_is_raised_for_a_value_that_is_not_used():
    with np.errstate(all="raise"):
        for name, operands, y in [("power", (0.0, 0.0), 1.0), ("power", (0.0, 2.0), 0.0), ("hypot", (0.0, 0.0), 0.0),
                                  ("arctan2", (0.0, 0.0), 0.0), ("logaddexp", (-np.inf, -np.inf), -np.inf)]:
            BY_NAME[name].partials(*(np.array([v]) for v in operands), np.array([y]))


def test_partials_neither_overflow_nor_underflow_early():
    big, small = np.array([1e200]), np.array([1e-200])
    one = {"arcsinh": (big, 1e-200), "arccosh": (big, 1e-200)}
    for name, (x, want) in one.items():
        np.testing.assert_allclose(BY_NAME[name].partials(x, resolve(BY_NAME[name])(x)), want, rtol=1e-14)
    da, db = BY_NAME["arctan2"].partials(small, small, np.arctan2(small, small))
    np.testing.assert_allclose([da, db], [[5e199], [-5e199]], rtol=1e-14)
    a, b = np.array([800.0]), np.array([-800.0])
    assert BY_NAME["logaddexp"].partials(a, b, np.logaddexp(a, b)) == (1.0, 0.0)


def test_strongzero():
    w = np.array([0.0, -0.0, 0.0, 2.0, np.nan, 3.0])
    p = np.array([np.inf, np.nan, 5.0, 4.0, 1.0, np.inf])
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(P.strongzero(w, p), [0.0, 0.0, 0.0, 8.0, np.nan, np.inf])
    row = BY_NAME["strongzero"]
    assert row.own and row.rule == "bilinear" and row.partials(3.0, 4.0, 12.0) == (4.0, 3.0)


# ---- the file and NumPy ---------------------------------------------------------------------------------------------

def test_every_row_of_the_file_is_in_the_table():
    rows = [n for module in (P, special) for n in ast.parse(inspect.getsource(module)).body
            if isinstance(n, ast.Expr) and isinstance(n.value, ast.Call)
            and getattr(n.value.func, "id", "") in {"unary", "binary", "ternary", "one", "two", "three"}]
    assert len(rows) == len(TABLE) == len(BY_NAME) >= 70
    assert {r.name for r in ORDINARY} == set(WITNESS)


def test_rows_with_own_kernels_exist():
    header = (Path(P.__file__).parent / "_kernels" / "layout.h").read_text()
    names = re.findall(r'"(\w+)"', header[header.index("#define FA_OWN_NAMES"):].split("}")[0])
    assert "strongzero" in names and [n for n in names if n not in BY_NAME] == []
    assert {r.name for r in TABLE if r.own} == {"where", "strongzero", "zeroproduct"}


@pytest.mark.parametrize("row", [r for r in TABLE if not r.own], **NAMES)
def test_loops_are_those_that_numpy_has(row):
    ufunc = resolve(row)
    assert (ufunc.nin, ufunc.nout) == (row.arity, 1)
    assert ufunc.__name__ == row.name or row.name == f"special_{ufunc.__name__}"
    for kind, dtype in KIND.items():
        char = np.dtype(dtype).char
        result = {"same": char, "bool": "?"}[row.result]
        exists = any(t.startswith(char*row.arity + "->") for t in ufunc.types)
        assert exists == (kind in row.dtypes), f"{row.name}: {kind}"
        if exists:
            assert char*row.arity + "->" + result in ufunc.types
            with np.errstate(all="ignore"):
                got = ufunc(*(np.ones(3, dtype) for _ in range(row.arity)))
            assert got.dtype == np.dtype(result)


@pytest.mark.parametrize("row", [r for r in NUMPY if not r.own and "i" not in r.dtypes], **NAMES)
def test_integers_are_cast_to_float_where_there_is_no_loop(row):
    with np.errstate(all="ignore"):
        got = resolve(row)(*(np.ones(3, np.int64) for _ in range(row.arity)))
    assert got.dtype == (np.bool_ if row.result == "bool" else np.float64)


def test_columns_are_of_the_closed_lists():
    domains = {d.name: d for module in (P, special) for d in vars(module).values() if isinstance(d, P.Domain)}
    for row in TABLE:
        assert domains[row.domain.name] is row.domain
        assert len(row.domain.intervals) == row.arity
        assert set(row.dtypes) <= set("fib") and set(row.foreign) <= set(row.dtypes)
        assert row.result in {"same", "bool"} and row.rule in {"", "select", "bilinear"}
        assert row.partials is None or "f" in row.dtypes
        assert hash(row) == hash(BY_NAME[row.name])


def test_domains_say_no_outside():
    outside = {"REAL": (np.inf,), "NONZERO": (0.0,), "POSITIVE": (0.0,), "NONNEGATIVE": (-1.0,), "UNIT": (1.1,),
               "UNIT_OPEN": (1.0,), "GE_ONE": (0.9,), "GT_MINUS_ONE": (-1.0,), "INTEGER": (0.5,),
               "REAL_AB": (0.0, np.nan), "NONZERO_B": (1.0, 0.0), "POWER": (-1.0, 0.5), "INTEGER_AB": (1.0, 0.5),
               "SHIFT": (1, 64), "BRANCH": (2, 0.0, 0.0)}
    outside |= {"POSITIVE_X": (0.0,), "NOT_A_POLE": (-1.0,), "UNIT_INTERVAL": (1.0,), "BELOW_ONE": (1.0,),
                "BELOW_ZERO": (0.0,), "ABOVE_BRANCH": (-0.4,), "LOWER_BRANCH": (0.1,), "ABOVE_MINUS_ONE": (-1.0,),
                "ORDER_X": (0.5, 1.0), "ORDER_REAL_X": (0.5, -1.0), "POSITIVE_AB": (0.0, 1.0), "SHAPE_X": (0.0, 1.0),
                "SHAPE_P": (1.0, 1.0), "SHAPES_U": (1.0, 1.0, 1.5), "WEIGHT_X": (1.0, 0.0), "WEIGHT_1P": (1.0, -1.0),
                "POWER_X": (0.0, 1.0), "POWER_1P": (-1.0, 1.0), "INVERSE_POWER": (-2.0, 0.5), "AMPLITUDE": (1.0, 9.0),
                "ZERO_TWO": (2.0,),
                "ARGUMENT": (1.0, 1.0), "HURWITZ": (1.0, 1.0),
                "PARAMETERS_X": (1.0, 1.0, np.inf), "PARAMETER_X": (1.0, np.nan), "POSITIVE_3": (1.0, 0.0, 1.0)}
    domains = {d.name: d for module in (P, special) for d in vars(module).values() if isinstance(d, P.Domain)}
    assert set(outside) == set(domains)
    for name, point in outside.items():
        assert not domains[name].contains(*point), name


def test_differentiable_means_some_partial_is_not_zero():
    for row in ORDINARY:
        xs = samples(row, 48)
        y = resolve(row)(*xs)
        nonzero = any(np.any(p) for p in partials_of(row, xs, y)) or any(any(d) for _, d in row.kink_points)
        assert row.differentiable == nonzero, row.name
    assert not any(row.differentiable for row in TABLE if row.partials is None and not row.rule)


# ---- lookups and the manual -----------------------------------------------------------------------------------------

def test_ufuncs_find_their_rows():
    for row in TABLE:
        if row.signature:
            assert row in P.rows_of_results(resolve(row).ufunc) and row_of_ufunc(resolve(row).ufunc) is None
        else:
            assert row_of_ufunc(resolve(row)) is row
    assert row_of_ufunc(np.radians).name == "deg2rad" and row_of_ufunc(np.degrees).name == "rad2deg"
    assert row_of_ufunc(np.true_divide).name == "divide" and row_of_ufunc(np.abs).name == "absolute"
    assert row_of_ufunc(np.nextafter) is None and row_of_ufunc(np.matmul) is None
    x = np.linspace(-400, 400, 101)
    np.testing.assert_array_equal(np.radians(x), np.deg2rad(x))
    np.testing.assert_array_equal(np.degrees(x), np.rad2deg(x))


def test_scipy_is_not_imported_before_it_is_needed():
    program = """
import sys
from fastad.primitives import BY_NAME, resolve, row_of_ufunc
row = BY_NAME["exp1"]
assert not any(m == "scipy" or m.startswith("scipy.") for m in sys.modules)
impostor = type("f", (), {"__name__": "exp1"})()
assert row_of_ufunc(impostor) is None
import scipy.special
assert row_of_ufunc(impostor) is None
assert row_of_ufunc(scipy.special.exp1) is row          # the user's own import is enough
assert resolve(row) is scipy.special.exp1
"""
    # the file alone: what the package imports beside it is tested elsewhere
    load = ("import importlib.util, sys, types; sys.modules['fastad'] = m = types.ModuleType('fastad'); "
            f"m.__path__ = [{str(Path(P.__file__).parent)!r}]; "
            "s = importlib.util.spec_from_file_location("
            f"'fastad.primitives', {P.__file__!r}); "
            "m = importlib.util.module_from_spec(s); sys.modules[s.name] = m; s.loader.exec_module(m)")
    subprocess.run([sys.executable, "-c", load + program], check=True, timeout=60)


def test_math_twins_agree_with_math():
    twins = P.math_twins()
    assert {math.sin, math.fabs, math.pow, math.atan2, math.isnan, math.radians, math.fmod} <= set(twins)
    assert not {math.floor, math.ceil, math.trunc, math.remainder} & set(twins)
    for function, row in twins.items():
        xs = samples(row, 48)
        want = [function(*map(float, point)) for point in zip(*xs, strict=True)]
        np.testing.assert_allclose(resolve(row)(*xs), want, rtol=1e-13, atol=1e-300, err_msg=row.name)


def test_no_elementwise_function_of_math_is_forgotten():
    ours = {f.__name__ for f in P.math_twins()}
    others = {       # not elementwise, integers, several results, or not in NumPy
        "ceil", "floor", "trunc", "remainder", "comb", "perm", "factorial", "gcd", "lcm", "isqrt", "dist", "fsum",
        "prod", "sumprod", "isclose", "frexp", "modf", "ldexp", "nextafter", "ulp", "fma", "fmax", "fmin",
        "isnormal", "issubnormal", "signbit"}
    assert {n for n in vars(math) if callable(vars(math)[n]) and n[0] != "_"} - ours <= others


def test_manual_has_a_line_for_each_row():
    lines = P.manual().splitlines()
    assert len(lines) == len(TABLE) + 2
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 6 for line in lines)
    text = {row.name: P.derivative_text(row) for row in TABLE}
    assert text["sin"] == "cos(x)" and text["divide"] == "1 / b, -y / b" and text["floor"] == "0"
    assert text["power"] == "b * a**(b - 1), y * log(a)" and text["less"] == "none"
    assert text["copysign"] == "sign(a) * copysign(1.0, b), 0"


def test_partials_are_written_in_rows_only():
    """Every name that a partial mentions is a row or a float constant."""
    for row in SMOOTH:
        for name in set(row.partials.__code__.co_names) - {"np"}:
            thing = getattr(np, name, None) if hasattr(np, name) else vars(P)[name]
            assert isinstance(thing, float) or row_of_ufunc(thing) is not None, f"{row.name} uses {name}"


def test_foreign_loops_are_those_that_raise():
    import scipy.special

    assert {r.name: r.foreign for r in NUMPY if r.foreign} == {"power": "i"}
    assert all(r.foreign == "f" for r in TABLE if r not in NUMPY)
    with pytest.raises(ValueError, match="negative integer powers"):
        np.power(np.array([2]), np.array([-1]))
    with scipy.special.errstate(all="raise"), pytest.raises(scipy.special.SpecialFunctionError):
        resolve(BY_NAME["exp1"])(-1.0)
