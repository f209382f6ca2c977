"""float32: the type of the operands is the type of the results and of the derivatives, with half the memory.

Owns: the rows in float32, NumPy's promotion (NEP 50), structural functions and writes, both tiers, files, memory.
Must not know: kernels (tests/kernels has theirs).
Next: fastad/_elementwise.pxi (promotion), fastad/_kernels/reals.h (two types by one source), test_fuzz.py (programs).
"""
import itertools
import warnings

import numpy as np
import pytest

import fastad as ad
from fastad import _tape as T
from fastad.audits import Audit
from fastad.primitives import TABLE, resolve
from tests.test_primitives import samples

F32 = np.float32
SLOW = {"hyp1f1", "hyperu"}             # SciPy takes minutes over some of their samples
ROWS = [row for row in TABLE if "f" in row.dtypes and row.rule == "" and row.name not in SLOW]


def dtype_of(x):
    return np.asarray(x).dtype


def same(got, want, **tolerance):
    """The same dtype, shape and (to a tolerance in float32) values, leaf by leaf."""
    got, want = (x if isinstance(x, tuple) else (x,) for x in (got, want))
    assert len(got) == len(want)
    for g, w in zip(got, want, strict=True):
        assert dtype_of(g) == dtype_of(w), (dtype_of(g), dtype_of(w))
        assert np.shape(g) == np.shape(w)
        np.testing.assert_allclose(g, w, **({"rtol": 2e-6, "atol": 1e-6} | tolerance))


def both_tiers(f, *args):
    """(what f gives, what its tape gives) after tier 0 and tier 1 have agreed in all bits."""
    with np.errstate(all="ignore"):
        want = f(*[x.copy() if isinstance(x, np.ndarray) else x for x in args])
        tape = ad.record(f, *args)
        got = tape(*args)
        tape.compile()
        again = tape(*args)
    for x, y in zip(*(v if isinstance(v, tuple) else (v,) for v in (got, again)), strict=True):
        assert dtype_of(x) == dtype_of(y)
        assert bits(x) == bits(y)
    return want, got


def bits(x):
    """The bytes of an array, every NaN the same."""
    x = np.array(x)
    x[x != x] = 0 if x.dtype.kind != "f" else np.nan
    return x.tobytes()


# ---- rows ------------------------------------------------------------------------------------------------------------

WHOLE = {"expn", "yn", "kn"}             # their first operand is a whole number, or SciPy warns


def operands(row, n=48):
    xs = [np.ascontiguousarray(x, dtype=F32) for x in samples(row, n)]
    for k, kind in enumerate(row.signature.split("->")[0].ljust(row.arity)):
        if k < row.arity and (kind == "l" or (k == 0 and row.name in WHOLE)):
            xs[k] = np.rint(xs[k])
    return xs


def of_row(row):
    """The row on traced or plain operands; those by which it has no derivative are constants."""
    refused = {k for k, _ in row.refused}
    code = T.ensure_row(row.name)

    def f(*xs):
        xs = [ad.stop_gradient(x) if k in refused else x for k, x in enumerate(xs)]
        return T.elementwise(code, *xs) if any(map(T.is_wrapped, xs)) else resolve(row)(*xs)
    return f


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_rows_are_the_float32_loops(row):
    """dtype as NumPy or SciPy gives it; the bits where the loop is theirs, else the float64 loop rounded."""
    xs = operands(row)
    want = resolve(row)(*[x.astype(np.float64) for x in xs]) if row.signature else None
    plain, got = both_tiers(of_row(row), *xs)
    if row.signature:
        assert dtype_of(got) == F32
        np.testing.assert_allclose(got, want.astype(F32), rtol=2e-7)
    else:
        assert dtype_of(got) == dtype_of(plain)
        assert bits(got) == bits(plain)


@pytest.mark.parametrize("row", [r for r in ROWS if r.differentiable and r.partials is not None],
                         ids=lambda row: row.name)
def test_gradients_of_rows_are_float32_and_right(row):
    """Against those in float64, where float32 reaches."""
    f, xs = of_row(row), operands(row)
    argnums = tuple(range(row.arity))
    wide = [x.astype(np.float64) for x in xs]
    with np.errstate(all="ignore"):
        y = np.abs(f(*wide) if not row.signature else resolve(row)(*wide))
        want = ad.grad(lambda *xs: np.sum(f(*xs)), argnums, audit=False)(*wide)
        tape = ad.record(lambda *xs: np.sum(f(*xs)), *xs)
        got = [tape.gradient(*xs)]
        tape.compile()
        got.append(tape.gradient(*xs))
    fits = np.all([(abs(v) < 1e18) & ((abs(v) > 1e-18) | (v == 0)) for v in (y, *wide)], axis=0)
    assert fits.sum() > 8
    for found in got:
        found = found if isinstance(found, tuple) else (found,)
        for x, exact in zip(found, want, strict=True):
            assert x.dtype == F32
            near = fits & (np.abs(exact) < 1e18)
            x, exact = x[near], exact[near]
            error = np.abs(x - exact) / (np.abs(exact) + np.median(np.abs(exact)) + 1e-3)
            assert np.max(error) < 3e-3 and np.median(error) < 3e-6, (np.max(error), np.median(error))


# ---- promotion -------------------------------------------------------------------------------------------------------

KINDS = {"f32": lambda: np.array([0.5, 1.5, 2.5], F32), "f64": lambda: np.array([0.25, 1.25, 2.0]),
         "i64": lambda: np.array([1, 2, 3]), "bool": lambda: np.array([True, False, True]),
         "i16": lambda: np.array([1, 2, 3], np.int16), "f16": lambda: np.array([1, 2, 3], np.float16),
         "np.float32": lambda: F32(1.5), "np.float64": lambda: np.float64(1.5), "np.int64": lambda: np.int64(2),
         "float": lambda: 1.5, "int": lambda: 2, "True": lambda: True}
BINARY = [row for row in TABLE if row.arity == 2 and isinstance(row.ufunc, np.ufunc) and "f" in row.dtypes]


@pytest.mark.parametrize("row", BINARY, ids=lambda row: row.name)
def test_promotion_is_numpys(row):
    """A traced float32 array or number with any kind of operand, on either side, captured or passed."""
    for kind, first in itertools.product(KINDS, ("f32", "np.float32")):
        a, b = KINDS[first](), KINDS[kind]()
        for swap in (False, True):
            def f(x, b=b, swap=swap):
                return row.ufunc(b, x) if swap else row.ufunc(x, b)
            with np.errstate(all="ignore"):
                want, got = f(a), ad.record(f, a)(a)
            assert dtype_of(got) == dtype_of(want), (first, kind, swap)
            np.testing.assert_allclose(got, want, rtol=1e-6)


OPERATORS = {"+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": lambda a, b: a / b,
             "//": lambda a, b: a // b, "%": lambda a, b: a % b, "**": lambda a, b: a**b, "<": lambda a, b: a < b,
             "==": lambda a, b: a == b, "where": lambda a, b: np.where(a > 1, a, b),
             "max": lambda a, b: np.maximum(a, b), "stack": lambda a, b: np.concatenate([np.ravel(a), np.ravel(b)]),
             "list": lambda a, b: np.array([np.ravel(a)[0], np.ravel(b)[0]]),
             "pow2": lambda a, b: a**2 + b**0.5, "select": lambda a, b: np.select([a > 1], [a], b)}


@pytest.mark.parametrize("name", OPERATORS)
def test_promotion_of_operators(name):
    f = OPERATORS[name]
    for kind, first in itertools.product(KINDS, ("f32", "np.float32")):
        a, b = KINDS[first](), KINDS[kind]()
        if (name == "-" or name == "pow2") and kind in ("bool", "True"):
            continue                     # refused by NumPy; float16, which is recorded in float64
        with np.errstate(all="ignore"):
            for g in (f, lambda x, y: f(y, x)) if name != "select" else (f,):
                want, got = g(a, b), ad.record(lambda x, g=g, b=b: g(x, b), a)(a)
                assert dtype_of(got) == dtype_of(want), (first, kind)
                np.testing.assert_allclose(got, want, rtol=1e-6)
                if kind not in ("float", "int", "True", "i16", "f16"):
                    assert dtype_of(ad.record(g, a, b)(a, b)) == dtype_of(want), (first, kind)


# ---- structural functions --------------------------------------------------------------------------------------------

def filled(x):
    y = np.zeros(3, F32)
    y[0], y[1], y[2] = x[0, 0], 2 * x[0, 1], 1.0
    y[1:] += x[1, :2]
    return y


def wide_into_single(x):
    y = np.zeros_like(x)
    y[...] = np.sin(x.astype(np.float64))
    y += np.ones(4)
    y[0] = np.float64(0.1)
    return y


def masked(x):
    y = x.copy()
    y[x > 0.5] = -1
    y[np.array([0, 2]), 1] *= 2
    return y


def swapped(x):
    i = np.argsort(x[0])
    y = x[0].copy()
    y[i] = x[1]
    np.add.at(y, i[:2], x[2, :2])
    return y


FUNCTIONS = {
    "sum": lambda x: np.sum(x), "sum axis": lambda x: x.sum(0), "sum rows": lambda x: x.sum(1, keepdims=True),
    "sum f64": lambda x: x.sum(dtype=np.float64), "prod": lambda x: np.prod(x, axis=1), "mean": lambda x: x.mean(),
    "mean axis": lambda x: x.mean(0), "mean where": lambda x: np.mean(x, where=x > 0.2), "var": lambda x: x.var(),
    "var ddof": lambda x: np.var(x, axis=0, ddof=1), "std": lambda x: x.std(1), "max": lambda x: x.max(0),
    "min": lambda x: x.min(), "ptp": lambda x: np.ptp(x, axis=0), "argmax": lambda x: x.argmax(1),
    "any": lambda x: (x > 0.9).any(0), "cumsum": lambda x: np.cumsum(x, axis=1), "cumprod": lambda x: x.cumprod(),
    "sort": lambda x: np.sort(x, axis=1), "argsort": lambda x: np.argsort(x, axis=None),
    "median": lambda x: np.median(x),
    "percentile": lambda x: np.percentile(x, 30), "quantiles": lambda x: np.quantile(x, [0.1, 0.6], axis=0),
    "searchsorted": lambda x: np.searchsorted(np.sort(x[0]), x[1]),
    "interp": lambda x: np.interp(x[0], np.arange(3.0), x[1, :3]),
    "matmul": lambda x: x @ x.T, "matvec": lambda x: x @ x[0], "dot": lambda x: x[0] @ x[1],
    "matmul f64": lambda x: x @ np.ones((4, 2)), "einsum": lambda x: np.einsum("ij,kj->ik", x, x),
    "outer": lambda x: np.outer(x[0], x[1]), "tensordot": lambda x: np.tensordot(x, x, ([1], [1])),
    "slice": lambda x: x[1:, ::-1], "element": lambda x: x[1, 2], "take": lambda x: np.take(x, [3, 0, 3]),
    "fancy": lambda x: x[[0, 2], [1, 1]], "mask": lambda x: x[np.array([True, False, True])],
    "dynamic": lambda x: x.ravel()[np.argsort(x[0])], "transpose": lambda x: x.T, "reshape": lambda x: x.reshape(-1),
    "tile": lambda x: np.tile(x, 2), "roll": lambda x: np.roll(x, 1, axis=1), "pad": lambda x: np.pad(x, 1),
    "pad edge": lambda x: np.pad(x, 2, mode="edge"), "concatenate": lambda x: np.concatenate([x, 2 * x]),
    "concatenate f64": lambda x: np.concatenate([x[0], np.ones(2)]), "stack": lambda x: np.stack([x[0], x[1]], 1),
    "list": lambda x: np.array([x[0, 0], x[1, 1]]), "list f64": lambda x: np.array([x[0, 0], 1.0]),
    "diff": lambda x: np.diff(x), "gradient": lambda x: np.gradient(x[0]),
    "trapezoid": lambda x: np.trapezoid(x, dx=0.5),
    "convolve": lambda x: np.convolve(x[0], x[1]), "cross": lambda x: np.cross(x[0, :3], x[1, :3]),
    "norm": lambda x: np.linalg.norm(x), "norm 1": lambda x: np.linalg.norm(x, 1, axis=0), "filled": filled,
    "wide into single": wide_into_single, "masked": masked, "swapped": swapped, "clip": lambda x: np.clip(x, 0.2, 0.6),
    "round": lambda x: np.round(x, 1), "astype": lambda x: x.astype(np.float64),
    "back": lambda x: (x * 1.0).astype(F32),
    "to int": lambda x: (10 * x).astype(int), "from int": lambda x: (10 * x).astype(int).astype(F32),
    "comparison": lambda x: (x > 0.4) * 1.0, "linspace": lambda x: np.linspace(x[0, 0], x[0, 1], 5),
    "linspace f64": lambda x: np.linspace(x[0, 0], np.float64(2), 5), "arange": lambda x: np.arange(3) * x[0, 0],
    "nansum": lambda x: np.nansum(x), "nanmean": lambda x: np.nanmean(x, axis=0), "nanmax": lambda x: np.nanmax(x),
    "nanvar": lambda x: np.nanvar(x), "nan_to_num": lambda x: np.nan_to_num(x / 0), "bincount": lambda x: np.bincount(
        np.array([0, 1, 1, 2]), x[0]), "histogram": lambda x: np.histogram(x, 3)[1],
        "where": lambda x: np.where(x > 0.5, x, 0),
    "full": lambda x: np.full(3, x[0, 0]), "full_like": lambda x: np.full_like(x, x[0, 0]),
    "eye": lambda x: np.eye(3) * x[0, 0],
    "ones": lambda x: np.ones(2, F32) * x[0, :2], "average": lambda x: np.average(x, axis=0, weights=x[:, 0]),
    "real": lambda x: np.real(x), "imag": lambda x: np.imag(x) + x, "sign": lambda x: np.sign(x - 0.5),
    "divmod": lambda x:
        divmod(x, 0.3), "modf": lambda x: np.modf(3 * x), "ldexp": lambda x: np.ldexp(x, 3), "power": lambda x: x**3,
    "sqrt": lambda x: x**0.5, "hypot": lambda x: np.hypot(x, 1), "logaddexp": lambda x: np.logaddexp.reduce(x[0]),
    "accumulate": lambda x: np.maximum.accumulate(x, axis=1), "triu": lambda x: np.triu(x), "meshgrid": lambda x: tuple(
        np.meshgrid(x[0], x[1])), "polyval": lambda x: np.polyval(x[0], 0.3), "vander": lambda x: np.vander(x[0]),
    "cov": lambda x: np.cov(x), "unique": lambda x: np.unique(x), "insert": lambda x: np.insert(x[0], 1, 5.0),
    "append": lambda x: np.append(x, x[0]), "repeat": lambda x: np.repeat(x, 2),
    "choose": lambda x: np.choose([0, 1, 0, 1], x[:2]),
    "kron": lambda x: np.kron(x[0], x[1]), "trace": lambda x: np.trace(x), "diag": lambda x: np.diag(x[0]),
    "flat": lambda x: x.flat[3], "float": lambda x: float(ad.peek(x[0, 0])) * x,
    "isclose": lambda x: np.isclose(x, 0.5),
    "geomspace": lambda x: np.geomspace(x[0, 1], x[2, 3], 4), "logspace": lambda x: np.logspace(x[0, 1], x[0, 2], 3),
}
RELATIVE = {"geomspace": 1e-5, "nanvar": 1e-5, "cov": 1e-5}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_keep_the_dtype(name):
    """dtype and value are NumPy's at the point of the recording and at another one."""
    f = FUNCTIONS[name]
    points = [np.random.default_rng(k).uniform(0.1, 1, (3, 4)).astype(F32) for k in (1, 2)]
    with np.errstate(all="ignore"):
        want, got = both_tiers(f, points[0])
        same(got, want, rtol=RELATIVE.get(name, 2e-6))
        if name != "float":              # a plain number on purpose
            same(ad.record(f, points[0])(points[1]), f(points[1]), rtol=RELATIVE.get(name, 2e-6))


WITHOUT = ("argmax", "any", "argsort", "searchsorted", "to int", "comparison", "isclose", "eye", "from int")


@pytest.mark.parametrize("name", [n for n in FUNCTIONS if n not in WITHOUT])
def test_gradients_of_functions(name):
    """float32 gradients in both tiers; those of float64 to its precision, and products, forwards, as well."""
    f = FUNCTIONS[name]
    x = np.random.default_rng(1).uniform(0.1, 1, (3, 4)).astype(F32)
    v = np.random.default_rng(2).standard_normal((3, 4)).astype(F32)

    def g(x):
        y = f(x)
        return sum(np.sum(np.sin(z)) for z in (y if isinstance(y, tuple) else (y,)))

    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        want = ad.grad(g, audit=False)(x.astype(np.float64))
        tape = ad.record(g, x)
        first, dot = tape.gradient(x), (tape.forward(x), tape.tangent(v))[1]
        tape.compile()
        second = tape.gradient(x)
        hvp = ad.hvp(g, audit=False)(x, v)
    assert first.dtype == second.dtype == hvp.dtype == F32
    scale = np.max(np.abs(want)) + 0.1
    np.testing.assert_allclose(first, want, atol=2e-5 * scale, rtol=2e-5)
    np.testing.assert_allclose(second, want, atol=2e-5 * scale, rtol=2e-5)
    np.testing.assert_allclose(dot, np.sum(want * v), atol=1e-4 * scale, rtol=1e-4)


# ---- verbs, tapes, memory --------------------------------------------------------------------------------------------

X = np.linspace(0.1, 1, 6, dtype=F32)


def f_of(x):
    return np.sin(x[1:]) * x[:-1] + x[1:]**2


def g_of(x):
    return np.sum(f_of(x)**2)


@pytest.mark.parametrize("verb", ["grad", "jacobian", "reverse jacobian", "hessian", "hvp", "jvp", "vjp"])
def test_verbs_keep_the_dtype_and_agree_with_float64(verb):
    v, wide = np.linspace(-1, 1, 6).astype(F32), X.astype(np.float64)
    call = {"grad": lambda: ad.grad(g_of), "jacobian": lambda: ad.jacobian(f_of),
            "reverse jacobian": lambda: ad.jacobian(f_of, mode="reverse"), "hessian": lambda: ad.hessian(g_of),
            "hvp": lambda: (lambda h: lambda x: h(x, v.astype(x.dtype)))(ad.hvp(g_of)),
            "jvp": lambda: lambda x: ad.jvp(f_of, (x,), (v.astype(x.dtype),))[1],
            "vjp": lambda: lambda x: ad.vjp(f_of, x)[1](np.ones(5))[0]}[verb]()
    want = call(wide)
    for _ in range(9):                   # recorded, replayed, audited, compiled
        got = call(X)
        assert got.dtype == F32 and want.dtype == np.float64
        np.testing.assert_allclose(got, want, rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("inner", [
    lambda x: np.sum(ad.jacobian(f_of)(x)), lambda x: np.sum(ad.hessian(g_of)(x)),
    lambda x: np.sum(ad.jvp(f_of, (x,), (np.ones(6),))[1]), lambda x: np.sum(ad.vjp(f_of, x)[1](np.ones(5))[0]**2),
    lambda x: np.sum(ad.hvp(g_of)(x, np.ones(6)))])
def test_nested_verbs(inner):
    got = ad.grad(inner)(X)
    assert got.dtype == F32
    np.testing.assert_allclose(got, ad.grad(inner)(X.astype(float)), rtol=1e-4, atol=1e-4)


def test_numbers():
    value, gradient = ad.value_and_grad(lambda a: a * a * 2.0)(F32(3))
    assert (value, gradient) == (18, 12) and dtype_of(value) == dtype_of(gradient) == F32
    a, b = ad.grad(lambda a, b: np.sum(a * b), (0, 1))(X, np.ones(6))
    assert a.dtype == F32 and b.dtype == np.float64


def test_pythons_floats_are_weak_numpys_are_not():
    """An argument that is a Python float keeps float32, through arithmetic and math; np.float64 does not."""
    import math

    def f(c, x):
        return np.sum((2 * math.sin(c) + c**2 - 1) * x)
    for c in (0.5, np.float64(0.5)):
        value, gradient = ad.value_and_grad(lambda x, c=c: f(c, x))(X)
        assert dtype_of(value) == dtype_of(f(c, X)) and gradient.dtype == F32
    h = ad.value_and_grad(lambda c, x: np.sum(c * x))
    for _ in range(3):                   # one function, called with both: each by its own recording
        assert dtype_of(h(0.5, X)[0]) == F32 and dtype_of(h(np.float64(0.5), X)[0]) == np.float64
    assert h.stats().recordings == 2


def test_an_explicit_tape_takes_no_float64_for_float32():
    tape = ad.record(f_of, X)
    with pytest.raises(ad.ShapeError, match=r"float64, recorded with float32.*astype"):
        tape(X.astype(float))
    assert tape([0.1] * 6).dtype == F32
    assert tape.batch(3)(np.stack([X] * 3)).dtype == F32


def test_half_the_memory(tmp_path):
    def f(x):
        for _ in range(10):
            x = np.sin(x) * x
        return x
    n = 10000
    sizes = {t: ad.record(f, np.ones(n, t)).arena_bytes for t in (F32, np.float64)}
    assert sizes[F32] < 0.51 * sizes[np.float64]
    tape = ad.record(f, X)
    tape.save(tmp_path / "tape")
    again = ad.Tape.load(tmp_path / "tape")
    assert bits(again(X)) == bits(tape(X)) and again(X).dtype == F32
    assert "float32[6]" in str(again)


def test_captured_float32_is_read_in_place():
    weights = np.ones(6, F32)
    g = ad.grad(lambda x: np.sum(weights * x))
    np.testing.assert_array_equal(g(X), 1)
    weights[2] = 5
    assert g(X).dtype == F32 and g(X)[2] == 5
    y, pullback = ad.vjp(lambda x: weights * x, X)
    weights[:] = 0                       # the pullback belongs to the point at which it was made
    np.testing.assert_array_equal(pullback(np.ones(6))[0], [1, 1, 5, 1, 1, 1])


def test_sparse_products():
    sparse = pytest.importorskip("scipy.sparse")
    a = sparse.csr_array(np.arange(12.0).reshape(2, 6) % 5)
    for matrix, want in ((a.astype(F32), F32), (a, np.float64)):
        same(ad.record(lambda x, m=matrix: m @ x, X)(X), matrix @ X)
        assert dtype_of(matrix @ X) == want
        gradient = ad.grad(lambda x, m=matrix: np.sum((m @ x)**2))(X)
        assert gradient.dtype == F32
        np.testing.assert_allclose(gradient, 2 * a.T @ (a @ X), rtol=1e-5)


def test_primitives_and_constants():
    cube = ad.primitive(lambda x: x**3, vjp=lambda w, y, x: (w * 3 * x * x,))
    value, gradient = ad.value_and_grad(lambda x: np.sum(cube(x) * ad.stop_gradient(x)))(X)
    assert dtype_of(value) == gradient.dtype == F32
    np.testing.assert_allclose(gradient, 3 * X**3, rtol=1e-5)


LINALG = {
    "solve": lambda a, b: np.linalg.solve(a, b), "inv": lambda a, b: np.linalg.inv(a),
    "det": lambda a, b: np.linalg.det(a), "slogdet": lambda a, b: tuple(np.linalg.slogdet(a)),
    "cholesky": lambda a, b: np.linalg.cholesky(a), "eigvalsh": lambda a, b: np.linalg.eigvalsh(a),
    "eigh": lambda a, b: np.linalg.eigh(a).eigenvalues, "svd": lambda a, b: np.linalg.svd(a, compute_uv=False),
    "qr": lambda a, b: np.abs(np.linalg.qr(a).R), "pinv": lambda a, b: np.linalg.pinv(a),
    "lstsq": lambda a, b: np.linalg.lstsq(a[:, :2], b)[0], "cond": lambda a, b: np.linalg.cond(a),
    "named": lambda a, b: np.linalg.solve(b=b, a=a),
}


@pytest.mark.parametrize("name", LINALG)
def test_linalg_of_float32_alone_is_float32(name):
    f, draw = LINALG[name], np.random.default_rng(2)
    a = draw.normal(size=(3, 3)).astype(F32)
    a, b = a @ a.T + 2 * np.eye(3, dtype=F32), draw.normal(size=(3, 2)).astype(F32)
    same(ad.record(f, a, b)(a, b), f(a, b), rtol=2e-5)
    wide = f(a.astype(float), b)
    same(ad.record(f, a.astype(float), b)(a.astype(float), b), wide, rtol=1e-10)

    def total(a, b):
        found = f(a, b)
        return sum(np.sum(x) for x in found) if isinstance(found, tuple) else np.sum(found)
    got, want = ad.grad(total)(a, b), ad.grad(total)(a.astype(float), b.astype(float))
    assert got.dtype == F32
    np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-5)


def test_the_rank_of_float32_is_numpys():
    """Singular values of float32 that are rounding are none: NumPy's cutoff is that of their dtype."""
    a = np.random.default_rng(1).normal(size=(6, 3)).astype(F32)
    a[:, 2] = F32(0.3) * a[:, 0] + F32(0.7) * a[:, 1]
    assert np.linalg.matrix_rank(a) == 2
    assert ad.record(lambda a: np.linalg.matrix_rank(a) * a[0, 0], a)(a) == 2 * a[0, 0]
    want = np.linalg.pinv(a, rtol=None)
    same(ad.record(lambda a: np.linalg.pinv(a, rtol=None), a)(a), want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("subscripts", ["ij,kl->jl", "ij,k->k", "ij,ij->j"])
def test_einsum_sums_in_the_dtype_of_the_result(subscripts):
    """Of float32 beside float64 all sums are sums of float64, those of one operand alone, too."""
    draw = np.random.default_rng(7)
    a, b = draw.normal(size=(60, 4)).astype(F32), draw.normal(size=(60, 4))
    b = b[:, 0] if subscripts == "ij,k->k" else b
    got = ad.record(lambda a, b: np.einsum(subscripts, a, b), a, b)(a, b)
    np.testing.assert_allclose(got, np.einsum(subscripts, a.astype(float), b), rtol=1e-12, atol=1e-12)
    assert ad.grad(lambda a, b: np.einsum(subscripts, a, b).sum())(a, b).dtype == F32


def test_what_float32_cannot_hold_is_numpys_infinity():
    with np.errstate(over="ignore"):
        assert ad.record(lambda x: x * 1e30, X)(X * F32(1e20))[0] == np.inf
        assert ad.record(lambda x: x.astype(F32), X.astype(float))(np.full(6, 1e300))[0] == np.inf


def test_random_programs():
    """The fuzzer's share of CI."""
    from tests import fuzz_float32
    counts = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in range(25):
            found = fuzz_float32.check(seed, ad)
            assert not found.failures, (seed, found.failures[0])
            counts = {**counts, **{k: counts.get(k, 0) + n for k, n in found.counts.items()}}
    assert counts["float32"] >= 2 and counts["coordinates"] > 500


def test_scans_keep_float32():
    """State, slices, captured and enclosing arrays in float32: dtype and value as in the plain loop, gradients too."""
    table, wide = np.linspace(0, 1, 15, dtype=F32).reshape(5, 3), np.ones(3)

    def f(x, c, xs):
        def step(u, row):
            u = u + c * np.sin(u) * row + x[0]
            return u, np.sum(u * row)
        u, ys = ad.scan(step, x * F32(1), xs)
        return np.sum(u) + np.sum(ys)
    for point in (X[:3], X[3:]):
        tape = ad.record(f, X[:3], F32(0.5), table)
        want = f(point, F32(0.5), table)
        same(tape(point, F32(0.5), table), np.asarray(want)[()], rtol=1e-5)
    found = ad.grad(f, (0, 1, 2))(X[:3], F32(0.5), table)
    exact = ad.grad(f, (0, 1, 2))(X[:3].astype(float), 0.5, table.astype(float))
    for got, x in zip(found, exact, strict=True):
        assert dtype_of(got) == F32
        np.testing.assert_allclose(got, x, rtol=1e-4, atol=1e-5)
    captured = ad.grad(lambda x: np.sum(ad.scan(lambda u, row: (u * row + table[1], None), x, table)[0]))
    first = captured(X[:3])
    np.testing.assert_allclose(first, np.prod(table, axis=0), rtol=1e-5)
    table[2] += 1                        # read again at the next replay
    np.testing.assert_allclose(captured(X[:3]), np.prod(table, axis=0), rtol=1e-5)
    with pytest.raises(ad.ShapeError, match="float32 before the step and float64 after"):
        ad.record(lambda x: ad.scan(lambda u, _: (u * wide, None), x, length=3)[0], X[:3])


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
@pytest.mark.parametrize("f", [
    lambda x, c: x[0].item() + 1e-9, lambda x, c: x[0].item() * c, lambda x, c: x.tolist()[1] * c + 1e-9,
    lambda x, c: x.item(1) * c, lambda x, c: sum(x.tolist()) * 1.0, lambda x, c: np.array(x.tolist()),
    lambda x, c: np.argmax(x).item() * c, lambda x, c: np.sum(x).item() * np.float32(2)])
def test_item_and_tolist_give_numbers_of_pythons(f, dtype):
    """In double precision, and weak where they meet float32."""
    x, c = np.array([1, 2, 3], dtype), np.ones(2, np.float32)
    want = f(x, c)
    got = ad.record(lambda x, y: (f(x, c), np.sum(x) + np.sum(y)), x, np.ones(1))(x, np.ones(1))[0]
    assert np.asarray(got).dtype == np.asarray(want).dtype
    np.testing.assert_array_equal(got, want)


def test_audit_allows_float32_inside_its_rounding():
    """Sums of float32 in another order, though arguments and result are float64."""
    def f(x):
        u = x.astype(np.float32)
        return x[0] + 2.0 * np.sum(u * np.float32(1.1)) - np.sum(u) + np.sum(np.full(5000, 0.1, np.float32))

    def g(x):
        return np.sum(ad.scan(lambda s, _: (s + np.sum(x.astype(np.float32)).astype(float), None), 0.0, length=3)[0])
    x = np.random.default_rng(3).normal(size=5000) + 1.0
    for h in f, g:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Audit, "due", staticmethod(lambda calls: calls > 1))
            slope = ad.grad(h)
            for k in range(12):
                slope(x + k / 7)
    audit = Audit(f, "f", "model.py:1")
    with pytest.raises(ad.StaleTapeError, match="output is"):
        audit.check((x,), {}, np.float64(f(x) * 1.0001))
