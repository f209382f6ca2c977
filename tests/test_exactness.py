"""Values and derivatives against independent answers, where that asks for more than one room of the house.

Owns: bits on arrays of awkward sizes and layouts, ints and bools beyond the table, second order of NumPy's functions,
what a tape keeps on its way through transformations, programs and files.
Next: test_primitives.py (rows), test_strong_zeros.py, numpy_cases.py (first order).
"""
import math
import pickle
import warnings

import numpy as np
import pytest

import fastad as ad
from fastad._program import Program
from fastad._transform import batch, fix, jvp, vjp

# ---- what goes along ------------------------------------------------------------------------------------------------

def quiet(x):
    with np.errstate(divide="ignore"):
        return np.log(x).sum()


@pytest.mark.parametrize("name", ["tape", "pickled", "tangent", "adjoint", "adjoint of tangent", "batch", "fixed"])
def test_what_the_function_ignores_is_ignored_in_all_its_tapes(name):
    x, one = np.array([0.0, 1.0]), np.float64(1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tape = ad.record(quiet, x)
        made, inputs = {
            "tape": lambda: (tape, [x]), "pickled": lambda: (pickle.loads(pickle.dumps(tape)), [x]),
            "tangent": lambda: (jvp(tape), [x, x]), "adjoint": lambda: (vjp(tape), [x, one]),
            "adjoint of tangent": lambda: (pickle.loads(pickle.dumps(vjp(jvp(tape)))), [x, x, one, one]),
            "batch": lambda: (batch(tape, 2), [np.stack([x, x])]), "fixed": lambda: (fix(vjp(tape), {1: 1.0}), [x]),
        }[name]()
        assert made.ignored == {"divide"}
        assert made.sweep(inputs)[0].min() == -np.inf
        assert Program(made).run(inputs)[0].min() == -np.inf
    with pytest.warns(RuntimeWarning, match="invalid value"):         # and nothing else is
        Program(made).run([-np.ones_like(inputs[0]), *inputs[1:]])


def test_a_scalar_result_of_an_array_operation_has_its_line():
    def f(x, i):
        return x[np.floor(i).astype(int)]
    tape = ad.record(f, np.arange(3.0), 1.0)
    run = Program(tape).run
    for sweep in (tape.sweep, run):
        with pytest.raises(IndexError, match=r"test_exactness\.py:\d+"):
            sweep([np.arange(3.0), 7.0])
    total = ad.record(lambda x: np.sum(x), np.ones(3))
    assert "test_exactness.py" in total.location(total.outputs[0])


# ---- slices: arithmetic on them is computed where they lie -----------------------------------------------------------

def sliced(x, kept):
    """Arithmetic on slices of all kinds of layout; what each result was while it was recorded is left in `kept`."""
    a, b = x[1:-1, 2:-1, 1:-1], x[::-1][1:-1, 1:-2, 2:]
    thin, spread, turned = x[:, :, 3:9], x[:, 1:, ::2], x.transpose(1, 0, 2)[2:, :, 1:]
    results = (a + b, a - b, 3.0 * a, b * a, 2.0 / a, a / b, -b, abs(a), a**2, np.sqrt(abs(b)), np.maximum(a, b),
               a * b[0], np.minimum(a, 0.5), a + np.abs(b), thin + 1.0, spread * 2.0, turned - 1.0,
               a > b, np.where(a < b, a, b))
    kept[:] = [np.array(ad.peek(r)) for r in results]
    return results


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("row", [12, 34, 35, 41, 66, 67, 99, 131])
def test_what_is_recorded_on_slices_is_what_numpy_and_a_replay_give(row, dtype, rng):
    x = rng.normal(size=(4, 6, row)).astype(dtype)
    x.flat[rng.integers(0, x.size, x.size // 9)] = rng.choice([np.nan, np.inf, -np.inf, 0.0, -0.0], x.size // 9)
    recorded, plain = [], []
    with np.errstate(all="ignore"):
        tape = ad.record(lambda x: sliced(x, recorded), x)
        sliced(x, plain)
        replayed, run = tape.sweep([x]), Program(tape).run([x])
    assert not {r.dtype for r in recorded} - {np.dtype(dtype), np.dtype(bool)}
    for r, p, again, compiled in zip(recorded, plain, replayed, run, strict=True):
        assert r.tobytes() == again.tobytes() == compiled.tobytes()
        np.testing.assert_array_equal(r, p)
        assert (np.signbit(r) == np.signbit(p))[~np.isnan(r)].all() if r.dtype != bool else True


# ---- matrices -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("shape", [(500, 3), (3, 500), (40, 40), (1, 7), (7, 1), (2, 0), (0, 2)])
def test_modes_of_one_function_do_not_share_programs(shape, rng):
    """The compiled tangent of a square Jacobian, used as its adjoint, would give the transpose."""
    A, x = rng.normal(size=shape), rng.normal(size=shape[1])

    def f(x):
        return np.tanh(A @ x) * np.sum(x * x)
    t = np.tanh(A @ x)
    want = (1 - t**2)[:, None] * A * np.sum(x * x) + np.outer(t, 2 * x)
    verbs = [ad.jacobian(f, mode=mode) for mode in ("forward", "reverse", "auto")]
    for _ in range(6):                                      # compiled after some calls
        for jacobian in verbs:
            np.testing.assert_allclose(jacobian(x), want, rtol=1e-11, atol=1e-12)


# ---- kinks of whole functions ---------------------------------------------------------------------------------------

NAN, INF = np.nan, np.inf
KINKS = {            # function, point, gradient
    "max ties": (np.max, [1.0, 1.0, 0.0], [0.5, 0.5, 0.0]), "min ties": (np.min, [1.0, 1.0], [0.5, 0.5]),
    "max along an axis": (lambda x: x.reshape(2, 2).max(axis=1).sum(), [1.0, 1.0, 2.0, 0.0], [0.5, 0.5, 1.0, 0.0]),
    "norm": (np.linalg.norm, [0.0, 0.0], [0.0, 0.0]), "norm 3": (lambda x: np.linalg.norm(x, 3), [0.0, 0.0], [0, 0]),
    "norm inf": (lambda x: np.linalg.norm(x, np.inf), [2.0, -2.0], [0.5, -0.5]),
    "std of a constant": (np.std, [2.0, 2.0], [0.0, 0.0]), "var of a constant": (np.var, [2.0, 2.0], [0.0, 0.0]),
    "std of rows": (lambda x: x.reshape(2, 2).std(axis=1).sum(), [2.0, 2.0, 1.0, 3.0], [0.0, 0.0, -0.5, 0.5]),
    "nanstd": (np.nanstd, [2.0, NAN, 2.0], [0.0, 0.0, 0.0]),
    "powers": (lambda x: (x ** np.array([0, 0.5, 1, 2, 3])).sum(), [0.0] * 5, [0.0, INF, 1.0, 0.0, 0.0]),
    "whole exponents": (lambda x: (x ** np.array([-1, -2, 3])).sum(), [-2.0] * 3, [-0.25, 0.25, 12.0]),
    "0**x": (lambda x: (0.0**x).sum(), [0.0, 1.0], [0.0, 0.0]),
    "clip": (lambda x: np.clip(x, 0, 1).sum(), [0.0, 1.0, 0.5, -1.0, 2.0], [0.5, 0.5, 1.0, 0.0, 0.0]),
    "sort": (lambda x: np.sort(x) @ np.array([1.0, 2, 3]), [1.0, 1.0, 0.0], [2.0, 3.0, 1.0]),
    "median odd": (np.median, [3.0, 1.0, 2.0], [0.0, 0.0, 1.0]),
    "median even": (np.median, [3.0, 1.0, 2.0, 4.0], [0.5, 0.0, 0.5, 0.0]),
    "prod with a zero": (np.prod, [0.0, 2.0, 3.0], [6.0, 0.0, 0.0]),
    "cumprod with a zero": (lambda x: np.cumprod(x).sum(), [0.0, 2.0, 3.0], [9.0, 0.0, 0.0]),
    "ptp": (np.ptp, [1.0, 2.0, 2.0], [-1.0, 0.5, 0.5]), "nanmax": (np.nanmax, [1.0, NAN, 1.0], [0.5, 0.0, 0.5]),
    "interp at knots": (lambda x: np.interp(x, [0.0, 1, 2], [0.0, 1, 5]).sum(), [0.0, 1.0, 0.5, -1.0, 3.0],
                        [1.0, 4.0, 1.0, 0.0, 0.0]),
    "sinc": (lambda x: np.sinc(x).sum(), [0.0, 1.0], [0.0, -1.0]), "x|x|": (lambda x: x[0] * abs(x[0]), [0.0], [0.0]),
}


@pytest.mark.parametrize("name", KINKS)
def test_kinks_of_whole_functions(name):
    f, x, want = KINKS[name]
    x = np.array(x)
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(ad.grad(f)(x), want, rtol=1e-12, atol=1e-13)
        adjoint = vjp(ad.record(f, x))
        np.testing.assert_allclose(Program(adjoint).run([x, 1.0])[1], want, rtol=1e-12, atol=1e-13)


def test_the_hessian_of_a_deviation_is_zero_where_it_vanishes():
    np.testing.assert_array_equal(ad.hessian(np.std)(np.array([2.0, 2.0])), np.zeros((2, 2)))


# ---- ints and bools -------------------------------------------------------------------------------------------------

WHOLE = np.array([7, -7, 0, 1, -1, 2**53 + 1, -2**53 - 1, 2**63 - 1, -2**63, 3, -3, 64, 2**62])
INTEGERS = {
    "//": lambda k: (k // 3, k // -3, k // -1), "%": lambda k: (k % 3, k % -3), "wraps": lambda k: (k * k, k + k, -k),
    "shifts": lambda k: (k << 3, k >> 2, k << 70, k >> 70), "divmod": lambda k: divmod(3, k), "~": lambda k: ~k,
    "bits": lambda k: (k & 12, k | 5, k ^ -1), "round trip": lambda k: k.astype(float).astype(int),
    "bools": lambda k: ((k > 0) + (k < 3), (k > 0) * (k < 3) * k, (k > 0) == (k < 3), ~(k > 0)),
    "true division": lambda k: k / 3, "power": lambda k: k**3, "chain": lambda k: (k > 0) & (k < 100),
    "sums": lambda k: (k.sum(), k.prod(), k.cumsum(), k.max(), k.argmin(), np.dot(k, k)),
    "nan_to_num": lambda k: (np.nan_to_num(k), np.nan_to_num(k > 0)), "weak": lambda k: (k + 1, k * 2.0, k + True),
}


@pytest.mark.parametrize("name", INTEGERS)
def test_integers_are_numpys_to_the_last_bit(name):
    f = INTEGERS[name]

    def traced(x, k):
        y = f(k + np.floor(x[0]).astype(int))
        return (*y, x) if isinstance(y, tuple) else (y, x)
    with np.errstate(all="ignore"):
        want = f(WHOLE.copy())
        tape = ad.record(traced, np.array([0.5]), WHOLE)
        for got in (tape.sweep([np.array([0.5]), WHOLE]), Program(tape).run([np.array([0.5]), WHOLE])):
            for a, b in zip(got, want if isinstance(want, tuple) else (want,), strict=False):
                assert a.dtype == b.dtype
                np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("wrong, error", [
    (lambda x: ~x[0], TypeError), (lambda x: ~x, TypeError), (lambda x: np.invert(x[0] * 2.0), TypeError),
    (lambda x: np.ldexp(x, x), TypeError), (lambda x: np.bincount(x), TypeError), (lambda x: x[0] << 1, TypeError)])
def test_what_floats_cannot_do_is_numpys_error(wrong, error):
    with pytest.raises(error):
        wrong(np.ones(2))
    with pytest.raises(error):
        ad.record(wrong, np.ones(2))


def test_fraction_of_an_infinity():
    x = np.array([np.inf, -np.inf, 1.5, -2.0])
    for got, want in zip(ad.record(np.modf, x).sweep([x]), np.modf(x), strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("name, base", [("logaddexp", math.e), ("logaddexp2", 2.0)])
def test_sums_of_exponentials_far_from_zero(name, base):
    """The result is rounded to the digits that a large operand leaves; the derivatives must not be."""
    f = getattr(np, name)
    for a, d in ((-1e8, 0.0), (1e8, 0.5), (3e15, -1.0), (-745.0, 2.0)):
        share = 1 / (1 + base**-d)
        assert np.allclose(ad.grad(f, (0, 1))(a + d, a), [share, 1 - share], rtol=1e-14)
        curvature = math.log(base) * share * (1 - share)
        H = ad.hessian(lambda x: f(x[0], x[1]))(np.array([a + d, a]))
        assert np.allclose(H, [[curvature, -curvature], [-curvature, curvature]], rtol=1e-13)


@pytest.mark.parametrize("p", [-1, 0, 0.5, 1, 2, 3, 2.0, np.float64(0.5), np.int64(2), True])
def test_constant_exponents_have_the_bits_of_numpy(p):
    """NumPy squares and takes roots where the exponent is a number, in ** and, since 2.3, in np.power."""
    x = np.concatenate([np.random.default_rng(3).uniform(1e-3, 50.0, 4000), [1e-20, 0.0, -0.0, np.inf, -np.inf, -4.0]])
    with np.errstate(all="ignore"):
        for f in (lambda x: np.power(x, p), lambda x: x**p, lambda x: np.power(x, p, out=np.empty(x.shape))):
            want, tape = f(x), ad.record(f, x)
            for got in (tape(x), tape.compile()(x)):
                assert np.array_equal(got, want, equal_nan=True) and np.array_equal(np.signbit(got), np.signbit(want))


def test_the_angle_of_nothing_has_no_derivatives_of_any_order():
    def f(x):
        return np.arctan2(x[0], x[1])
    x = np.zeros(2)
    assert np.array_equal(ad.grad(f)(x), [0.0, 0.0]) and np.array_equal(ad.hessian(f)(x), np.zeros((2, 2)))
    assert np.array_equal(ad.jacobian(ad.grad(f), mode="reverse")(x), np.zeros((2, 2)))
