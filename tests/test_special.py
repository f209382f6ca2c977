"""Functions of scipy.special as users call them: bits, dtypes, out=, errors, threads, by any spelling.

Owns: the way from a call to a row, and SciPy's functions that are Python code.
Must not know: derivative formulas (test_special_rows.py).
Next: fastad/scipy_names.py, fastad/ufuncs.py.
"""
import math
import subprocess
import sys
import threading
from pathlib import Path

import mpmath as mp
import numpy as np
import pytest
import scipy.special
from scipy.special import lambertw, logsumexp, multigammaln, polygamma, softmax, spherical_jn
from special_witness import CASES, INVERSES
from test_special_rows import DIFFERENTIABLE, INVERSE_POINTS, active, operands

import fastad as ad
from fastad import _tape as T
from fastad import primitives as P
from fastad import scipy_names

IDS = {"ids": lambda row: row.name}


def points(row):
    """Operands of a row: some of those at which its derivatives are judged."""
    grids = CASES[row.name][1] if row.name in CASES else INVERSE_POINTS[row.name]
    return tuple(np.resize(x, 40) for x in operands(grids))


def call(row):
    T.ensure_row(row.name)
    return lambda *xs: T.elementwise(row.name, *xs)


# ---- bits ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("row", DIFFERENTIABLE, **IDS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_value_is_scipys_in_bits_in_every_tier(row):
    xs, f = points(row), call(row)
    want = P.resolve(row)(*xs)
    args = tuple(x for k, x in enumerate(xs) if k in active(row))

    def g(*given):
        rest = iter(given)
        return f(*[next(rest) if k in active(row) else xs[k] for k in range(row.arity)])
    tape = ad.record(g, *[x[::-1].copy() for x in args])
    np.testing.assert_array_equal(tape(*args), want)
    np.testing.assert_array_equal(tape.compile()(*args), want)
    scalar = ad.record(lambda *p: f(*[p[active(row).index(k)] if k in active(row) else float(xs[k][3])
                                      for k in range(row.arity)]), *[float(a[5]) for a in args])
    np.testing.assert_array_equal(scalar(*[float(a[3]) for a in args]), want[3])
    np.testing.assert_array_equal(scalar.compile()(*[float(a[3]) for a in args]), want[3])


@pytest.mark.parametrize("row", DIFFERENTIABLE, **IDS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_forward_reverse_batch_and_both_tiers_agree(row):
    xs, f = points(row), call(row)
    for k in active(row):
        def g(x, k=k):
            return f(*[x if j == k else xs[j] for j in range(row.arity)])
        x, v = xs[k], np.linspace(1.0, 2.0, 40)
        tape = ad.record(g, x)
        y = tape.forward(x)
        d = tape.tangent(v)
        (w,) = np.atleast_2d(tape.reverse(v))
        np.testing.assert_array_equal(d, w)
        np.testing.assert_allclose(tape.jvp_tape().compile()(x, v)[1], d, rtol=1e-13)
        np.testing.assert_allclose(tape.vjp_tape().compile()(x, v)[1], w, rtol=1e-13)
        lanes = np.stack([x, x[::-1], x[::2].repeat(2)])
        others = [np.broadcast_to(o, (3, 40)) for o in xs]
        want = P.resolve(row)(*[lanes if j == k else others[j] for j in range(row.arity)])
        np.testing.assert_array_equal(tape.batch(3)(lanes), want)
        assert y.shape == (40,)


# ---- what is passed and what comes back ------------------------------------------------------------------------------
X = [np.array([0.3, 1.7, 0.4, 0.9, 2.2])]
X2 = [np.array([1.3, 0.2, 0.8, 0.35, 1.9])]
S = scipy.special


def filled(x):
    y = np.zeros(x.shape)
    S.erf(x, out=y)
    S.expit(x[::2], out=y[::2])
    return y


CALLS = {
    "integer order": lambda x: S.jv(2, x) + S.kn(1, x) + S.expn(np.array([1, 2, 3, 0, 1]), x),
    "order and point broadcast": lambda x: S.iv(np.array([[0.0], [1.5]]), x),
    "scalars": lambda x: S.gamma(x[0]) * S.beta(x[1], 2) + S.betainc(1, 2.5, x[2] / 3),
    "three operands": lambda x: S.hyp1f1(1.0, 2.0, x) * S.betainc(x.size, np.array([1.0, 2, 3, 4, 5]), x / 5),
    "out=": filled,
    "captured array": lambda x: S.xlogy(np.arange(5), x) + S.erf(np.arange(5.0)),
    "several results": lambda x: S.sici(x)[1] * S.fresnel(x)[0] + S.airy(x[::-1])[3] + S.ellipj(x, 0.3)[2],
    "spherical": lambda x: spherical_jn(2, x - 1) + S.spherical_yn(1, x - 1) + S.spherical_in(1, x - 1)
    + S.spherical_kn([0, 1, 2, 3, 4], x) + spherical_jn(0, x, derivative=True),
    "spherical, derivatives": lambda x: S.spherical_yn(2, x, True) + S.spherical_in([0, 1, 2, 3, 4], x - 1, True)
    + S.spherical_kn(2, x - 1, derivative=True) + S.spherical_kn([0, 1, 2, 3, 4], x - 1),
    "zeta": lambda x: S.zeta(2.5, x) + S.zeta(3),
    "polygamma": lambda x: polygamma(1, x) + polygamma([0, 1, 2, 3, 0], x),
    "multigammaln": lambda x: multigammaln(x + 1, 3),
    "logsumexp": lambda x: logsumexp(x) * x + S.logsumexp([x[0], 0.0, x[1] * x[2]]),
    "logsumexp of rows": lambda x: logsumexp(np.outer(x, x), axis=1, keepdims=True),
    "logsumexp with weights": lambda x: logsumexp(x, b=np.array([0.0, 1, 2, -0.5, 1])),
    "logsumexp with traced weights": lambda x: logsumexp(x[::-1], b=x, axis=0),
    "logsumexp with signs": lambda x: np.stack(logsumexp(x, b=np.array([1.0, -3, 2, -4, 1]), return_sign=True)),
    "logsumexp of ties": lambda x: logsumexp(np.concatenate([x, x, x * x]), b=np.arange(15) + 1),
    "softmax": lambda x: softmax(x) + softmax(np.outer(x, x), axis=0)[1] + S.softmax(x[0]),
    "log_softmax": lambda x: S.log_softmax(x) * x + S.log_softmax(np.outer(x, x), axis=1)[2],
    "lambertw": lambda x: lambertw(x).real + S.lambertw(-x / 10, -1).real + np.real(lambertw(x[1])),
    "derivatives of Bessel functions": lambda x: S.jvp(1, x) + S.kvp(0, x, 2) + S.ivp(2, x),
    "sinc": lambda x: np.sinc(x) + np.sinc(x - x[2]) + S.sinc(x[0]),
    "softplus": lambda x: S.logsumexp(np.stack([x, 0 * x]), axis=0),
    "duplicates of NumPy's": lambda x: S.exp2(x) + S.log1p(x) + S.expm1(x) + S.cbrt(x) + S.exp10(x),
    "math": lambda x: math.erf(x[0]) + math.gamma(x[1]) * math.lgamma(x[2]) - math.erfc(x[3]),
    "branches": lambda x: np.where(x > 1, S.gammaln(x - 1), S.erfinv(x - 0.1 * x)),
}


@pytest.mark.parametrize("name", CALLS)
def test_calls(name):
    """Value, dtype and shape of a replay are SciPy's, at the point of the recording and at another one."""
    tape = ad.record(CALLS[name], X[0])
    for x in (X[0], X2[0]):
        got, want = tape(x), np.asarray(CALLS[name](x))
        assert got.dtype == want.dtype and np.shape(got) == np.shape(want)
        np.testing.assert_allclose(got, want, rtol=4e-15, atol=1e-15)


def test_where_keeps_what_is_in_out():
    """(SciPy's own masked loops corrupt memory before xsf's pull request 146, so they are no witness here.)"""
    def f(x):
        y = x * 10
        S.gammaln(x, out=y, where=x > 0.5)
        return y
    tape, x = ad.record(f, X[0]), X2[0]
    np.testing.assert_array_equal(tape(x), np.where(x > 0.5, S.gammaln(x), x * 10))
    np.testing.assert_allclose(np.diag(ad.jacobian(f)(x)), np.where(x > 0.5, S.psi(x), 10.0), rtol=1e-15)


@pytest.mark.parametrize("name", [name for name in CALLS if name != "branches"])
def test_derivatives_of_calls(name):
    report = ad.check_derivatives(lambda x: np.sum(CALLS[name](x)), X[0])
    report.raise_if_failed()


@pytest.mark.parametrize("value", [2, 2.0, np.int64(2), np.float64(2.0), np.array(2), np.array([2, 3]),
                                   np.array([[2.0, 3.0]])], ids=repr)
def test_kinds_of_operands(value):
    """dtype, shape and type of the result are those of SciPy, for a traced operand of each kind."""
    for f in (S.gammaln, S.expit, lambda x: S.jv(x, 1.5), lambda x: S.sici(x)[0], lambda x: S.betainc(2, 3, x / 4)):
        want = f(value)
        seen = []

        def g(t, f=f, seen=seen, want=want):
            zero = ad.stop_gradient(t * 0).astype(np.asarray(value).dtype)
            x = value + zero
            y = f(x)
            seen.append(y)
            assert y.dtype == np.float64 and np.shape(y) == np.shape(want)
            np.testing.assert_array_equal(ad.peek(y), want)
            return np.sum(y) + 0 * t
        ad.record(g, 0.0)
        assert len(seen) == 1


def test_nan_and_infinities_are_scipys():
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0])
    for row in DIFFERENTIABLE:
        if row.arity == 1 and not row.signature:
            tape = ad.record(call(row), np.full(5, 0.5))
            with np.errstate(all="ignore"):
                np.testing.assert_array_equal(tape(x), P.resolve(row)(x), err_msg=row.name)


# ---- strong zeros, errors, threads -----------------------------------------------------------------------------------

def test_a_branch_that_is_not_taken_does_not_poison():
    def f(x):
        y = S.gammaln(np.where(x > 0, x, 0.0)) + S.xlogy(x, x) + S.k0(x) + S.log_ndtr(x)
        return np.sum(np.where(x > 0, y, x**2))
    x = np.array([-1.0, 0.5, 2.0])
    with np.errstate(all="ignore"):
        g, h = ad.grad(f)(x), ad.hessian(f)(x)
    assert np.isfinite(g).all() and np.isfinite(h).all() and g[0] == -2.0


def test_an_error_that_scipy_raises_is_raised_at_the_call():
    g, tape = ad.grad(lambda x: S.gammaln(x) + S.exp1(x)), ad.record(lambda x: S.gammaln(x * x), 2.0)
    assert np.isfinite(g(2.0))
    program = tape.compile()
    with S.errstate(all="raise"):
        for f in (lambda: ad.grad(lambda x: S.gammaln(x) * x)(-1.0), lambda: g(-1.0), lambda: tape(0.0),
                  lambda: program(0.0), lambda: tape.forward(0.0),
                  lambda: ad.record(lambda x: S.gammaln(x), np.zeros(3))):
            with pytest.raises(S.SpecialFunctionError, match="gammaln|exp1|lgam"), np.errstate(all="ignore"):
                f()
        assert np.isfinite(g(2.0)) and np.isfinite(tape(2.0))
    assert np.isfinite(g(2.5))


def test_an_error_of_a_masked_partial_is_no_error():
    """A derivative that nobody sees may not raise: what the loops of partials report is dropped."""
    def f(x):
        return np.sum(np.where(x > 0, S.loggamma(x), 0.0))
    x = np.array([0.0, 1.5])
    with np.errstate(all="ignore"):
        tape = ad.record(f, np.array([1.0, 2.0]))
        tape.forward(x)
        with S.errstate(all="raise"):
            (g,) = np.atleast_2d(tape.reverse(1.0))
    np.testing.assert_allclose(g, [0.0, S.psi(1.5)])


def test_warnings_of_scipy_are_given():
    tape = ad.record(lambda x: S.gammaln(x), 2.0)
    with S.errstate(all="warn"), pytest.warns(S.SpecialFunctionWarning), np.errstate(all="ignore"):
        tape(0.0)


def test_threads():
    x = np.linspace(0.5, 3.0, 500)
    f = lambda x: np.sum(S.jv(1.5, x) * S.gammainc(2.0, x) + S.airy(x)[0])  # noqa: E731
    want, failures = ad.grad(f)(x), []

    def work(k):
        try:
            with S.errstate(all="raise" if k % 2 else "ignore"):
                g = ad.grad(lambda x: f(x) + 0 * k)
                for _ in range(20):
                    np.testing.assert_array_equal(g(x), want)
                    np.testing.assert_array_equal(softmax(x), plain)
        except BaseException as error:
            failures.append(error)
    plain = softmax(x)
    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures, failures[0]


# ---- refusals --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("f, match", [
    (lambda x: S.zeta(x), "Riemann"), (lambda x: S.jv(x, 1.0), "order"), (lambda x: S.gammainc(x, 1.0), "parameter"),
    (lambda x: lambertw(x) * 2, "real"), (lambda x: 2 * lambertw(x), "real"), (lambda x: float(lambertw(x)), "real"),
    (lambda x: lambertw(x, 1).real, "branches"), (lambda x: S.hyp2f1(1, 2, 3, x), "no derivative rule"),
    (lambda x: S.spherical_jn(x, 1.0), "spherical"),
    (lambda x: S.wofz(x), "no derivative rule")])
def test_refused(f, match):
    with pytest.raises((ad.UnsupportedError, TypeError), match=match) as caught:
        ad.grad(f)(0.4)
    assert Path(__file__).name in str(caught.value)


# ---- Python-level functions ------------------------------------------------------------------------------------------

def test_doors_are_closed_after_a_recording():
    before = logsumexp.__code__
    seen = []
    tape = ad.record(lambda x: (seen.append(logsumexp.__code__), logsumexp(x))[1], X[0])
    assert seen[0] is not before and logsumexp.__code__ is before
    with pytest.raises(ZeroDivisionError):
        ad.record(lambda x: logsumexp(x) / 0 if x.size == 1 else 1 // 0, X[0])
    assert logsumexp.__code__ is before
    assert tape(X2[0]) == pytest.approx(logsumexp(X2[0]), rel=1e-15)


def test_a_function_imported_by_name_is_recorded_once():
    g = ad.grad(lambda x: logsumexp(x) + polygamma(1, x).sum())
    for k in range(20):
        g(X[0] + 0.01 * k)
    assert g.stats().recordings == 1


@pytest.mark.parametrize("a, b", [([-np.inf, -np.inf], None), ([np.inf, 1.0], None), ([1e4, 1e4 - 1], None),
                                  ([-1e4, -2e4], None), ([1.0, 2.0], [0.0, 0.0]), ([1.0, 2.0], [1.0, -1.0]),
                                  ([np.nan, 1.0], None), ([0.0, -40.0], None), ([1.0, np.inf], [1.0, 0.0])])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_extremes_of_logsumexp(a, b):
    a, b = np.array(a), None if b is None else np.array(b)
    tape = ad.record(lambda x: logsumexp(x, b=b), np.array([0.3, 0.4]))
    np.testing.assert_allclose(tape(a), logsumexp(a, b=b), rtol=1e-15)
    if np.isfinite(tape(a)):
        g = tape.gradient(a)
        weights = np.ones(2) if b is None else b
        a = np.where(weights == 0, 0.0, a)
        want = [float(w * mp.exp(x) / sum(v * mp.exp(u) for u, v in zip(a, weights, strict=True)))
                for x, w in zip(a, weights, strict=True)]
        np.testing.assert_allclose(g, want, rtol=1e-14)


def test_derivatives_of_sinc_at_and_near_zero():
    third = ad.grad(ad.grad(ad.grad(np.sinc)))
    assert ad.grad(ad.grad(np.sinc))(0.0) == pytest.approx(-math.pi**2 / 3, rel=1e-15)
    assert ad.grad(np.sinc)(1e-6) == pytest.approx(-math.pi**2 / 3 * 1e-6, rel=1e-11)
    assert third(0.0) == 0.0 and third(1e-3) == pytest.approx(math.pi**4 / 5 * 1e-3, rel=1e-4)


def test_scipy_special_is_not_imported_by_fastad():
    program = ("import sys, fastad as ad, numpy as np; assert 'scipy.special' not in sys.modules; "
               "g = ad.grad(lambda x: np.exp(x).sum()); g(np.ones(3)); assert 'scipy.special' not in sys.modules; "
               "import math; g = ad.grad(lambda x: math.erf(x)); assert abs(g(0.0) - 2/math.pi**0.5) < 1e-15")
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_a_tape_with_special_functions_is_saved_and_loaded_in_a_fresh_process(tmp_path):
    tape = ad.record(lambda x: S.betainc(2.0, 3.0, x).sum() + S.airy(x)[1].sum() + logsumexp(x), np.array([0.2, 0.6]))
    tape.save(tmp_path / "special.tape")
    program = (f"import fastad as ad, numpy as np; t = ad.Tape.load({str(tmp_path / 'special.tape')!r}); "
               "print(repr(float(t(np.array([0.3, 0.7])))), *t.gradient(np.array([0.3, 0.7])).tolist())")
    got = subprocess.run([sys.executable, "-c", program], check=True, timeout=60, capture_output=True, text=True)
    x = np.array([0.3, 0.7])
    assert [float(v) for v in got.stdout.split()] == [float(tape(x)), *tape.gradient(x).tolist()]


def test_inverses_are_judged():
    assert set(INVERSES) == set(INVERSE_POINTS)


def test_the_manual_is_what_the_table_prints():
    page = Path(__file__).parent.parent / "docs" / "special_functions.md"
    assert page.read_text() == scipy_names.manual(), "run: python -m fastad.scipy_names > docs/special_functions.md"
    assert len(page.read_text().splitlines()) > len(DIFFERENTIABLE)
