"""SciPy's functions that are Python code, called by unmodified code: recorded as SciPy computes, or refused by name.

Owns: what is asked of each call of tests/scipy_cases.py, and of the doors themselves.
Next: fastad/scipy_doors.py, tests/test_scipy_stats.py (every family).
"""
import itertools
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import scipy.integrate
import scipy.interpolate
import scipy.ndimage
import scipy.optimize
import scipy.spatial
import scipy.stats
from fuzz_scipy import judge
from scipy_cases import IMAGE, RECORDED, REFUSED, T4, X4

import fastad as ad
from fastad import scipy_doors

ROOT = Path(__file__).resolve().parent.parent


def differences(f, x):
    """Central differences of fourth order."""
    columns = []
    for i in range(len(x)):
        h = np.zeros(len(x))
        h[i] = 2e-4 * abs(x[i])
        columns.append((8 * (f(x + h) - f(x - h)) - (f(x + 2 * h) - f(x - 2 * h))) / (12 * h[i]))
    return np.array(columns).T


@pytest.mark.parametrize("name", RECORDED)
def test_a_call_is_recorded(name):
    f, x = RECORDED[name]

    def flat(x):
        return np.ravel(f(x))
    tape = ad.record(f, x)
    for at in (x, x * 1.01, x[::-1] * 0.99 if name.startswith("lfilter") else x * 0.98):
        want = f(at)
        got = tape(at)
        assert np.shape(got) == np.shape(want)
        np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-12)
        J = ad.jacobian(flat, mode="reverse")(at)
        D = differences(flat, at)
        np.testing.assert_allclose(J, D, rtol=1e-6, atol=1e-7 * (1 + np.max(np.abs(D))))
        np.testing.assert_allclose(ad.jacobian(flat, mode="forward")(at), J, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.filterwarnings("ignore")
def test_a_call_is_refused(name):
    f, says = REFUSED[name]
    try:
        before = float(f(X4))
    except Exception as error:           # a case must work in SciPy
        pytest.fail(f"{name}: {error}")
    with pytest.raises((ad.AdError, TypeError), match=says) as caught:
        ad.grad(lambda x: f(x))(X4)
    assert "scipy_cases.py:" in str(caught.value)
    assert float(f(X4)) == before


def test_every_listed_function_has_a_case():
    page = (ROOT / "docs" / "scipy.md").read_text().partition("## scipy.integrate")[2].partition("## Refused")[0]
    cases = "".join([(ROOT / "tests" / name).read_text() for name in ("scipy_cases.py", "test_scipy_sparse.py")])
    names = re.findall(r"^\* `(\w+(?:\.\w+)?)", page, re.MULTILINE)
    assert len(names) > 40
    assert not [name for name in names if name.split(".")[-1] not in cases.replace("sqeuclidean(", "")]


# ---- boundaries ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("mode", ["reflect", "mirror", "nearest", "wrap", "constant", "grid-wrap", "grid-constant",
                                  "grid-mirror"])
def test_boundaries(mode):
    """Filters of all sizes and origins, and coordinates far outside, as SciPy, where the tape was not recorded too."""
    nd = scipy.ndimage
    x = IMAGE
    for size in (1, 2, 3, 4, 5):
        weights = np.linspace(-1.0, 2.0, size)
        for origin in range(-(size // 2), (size - 1) // 2 + 1):
            for filtered in (nd.correlate1d, nd.convolve1d):
                def f(a, filtered=filtered, weights=weights, origin=origin):
                    return filtered(a, weights, axis=0, mode=mode, cval=0.7, origin=origin)
                np.testing.assert_allclose(ad.record(f, x[::-1])(x), f(x), rtol=1e-13, atol=1e-14)
            for filtered in (nd.correlate, nd.convolve):
                def f(a, filtered=filtered, weights=weights, origin=origin):
                    return filtered(a, np.outer(weights, [1.0, 3.0]), mode=mode, cval=0.7, origin=(origin, -1))
                np.testing.assert_allclose(ad.record(f, x[::-1])(x), f(x), rtol=1e-13, atol=1e-14)
    at = np.concatenate([np.linspace(-13.2, 14.1, 60), [-0.3, -0.5, -1.0, 0.0, 3.0, 3.2, 4.0, 4.5, 5.0]])
    other = np.cos(at) * 3
    for order in (0, 1):
        def f(a, x, y, order=order):
            return nd.map_coordinates(a, [x, y], order=order, mode=mode, cval=0.7)
        tape = ad.record(f, x[::-1], at[::-1] * 0.5, other[::-1])
        np.testing.assert_allclose(tape(x, at, other), f(x, at, other), rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(tape(x, other, at), f(x, other, at), rtol=1e-11, atol=1e-12)
        J = ad.jacobian(lambda a, order=order: f(a, at, other, order))(x)
        np.testing.assert_allclose(np.tensordot(J, x, 2) + f(0 * x, at, other), f(x, at, other), rtol=1e-11, atol=1e-12)


# ---- the doors -------------------------------------------------------------------------------------------------------

def codes():
    return [(f, f.__code__) for f in (scipy.stats.norm.logpdf.__func__, scipy.ndimage.sobel,
                                      scipy.interpolate.CubicSpline.__init__, scipy.special.logsumexp)]


def test_scipy_is_as_before_a_recording():
    before = codes()
    ad.grad(lambda x: scipy.stats.norm.logpdf(x[0], x[1]))(X4)
    with pytest.raises(IndexError):
        ad.grad(lambda x: scipy.stats.norm.logpdf(x[0], x[7]))(X4)
    assert codes() == before


def test_other_threads_have_scipy_itself():
    """A call in another thread, or of plain numbers, while a function is recorded is SciPy's."""
    seen = []

    def elsewhere():
        seen.append(scipy.stats.norm.logpdf(0.3, 1.0))
        seen.append(scipy.ndimage.gaussian_filter(IMAGE, 1.0))

    def f(x):
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        seen.append(scipy.stats.norm.logpdf(0.3, 1.0))
        assert type(scipy.ndimage.gaussian_filter(IMAGE, 1.0)) is np.ndarray
        return x[0] * 2.0
    ad.grad(f)(X4)
    assert seen[0] == seen[2] == scipy.stats.norm.logpdf(0.3, 1.0) and type(seen[1]) is np.ndarray


def test_wrong_calls_are_scipys_errors():
    for f, kind in ((lambda x: scipy.stats.norm.logpdf(x, 1, 2, 3), TypeError),
                    (lambda x: scipy.stats.gamma.logpdf(x), TypeError),
                    (lambda x: scipy.ndimage.convolve1d(x, np.ones(3), origin=7), ValueError),
                    (lambda x: scipy.ndimage.map_coordinates(x, x[:2], order=1), RuntimeError),
                    (lambda x: scipy.interpolate.CubicSpline(T4, x[:3])(0.1), ValueError),
                    (lambda x: scipy.interpolate.interp1d(T4, T4)(x + 9.0), ValueError),
                    (lambda x: scipy.interpolate.PPoly(x, T4)(0.1), ValueError),
                    (lambda x: scipy.ndimage.gaussian_filter(x, 1.0, mode="nowhere"), RuntimeError)):
        with pytest.raises(kind):
            f(X4)
        with pytest.raises(kind) as caught:
            ad.record(f, X4)
        assert not isinstance(caught.value, ad.UnsupportedError)


def test_an_object_with_traced_data_ends_with_its_recording():
    kept = []

    def f(x):
        kept.append(scipy.interpolate.CubicSpline(T4, x))
        return kept[-1](0.4)
    ad.grad(f)(X4)
    with pytest.raises((ad.AdError, TypeError, AttributeError)):
        kept[0](0.4) + 1.0


def test_captured_tables_are_followed():
    table = np.array([0.0, 1.0, 4.0, 9.0])
    g = ad.grad(lambda x: scipy.interpolate.interp1d(T4, table)(x[0]) + scipy.ndimage.correlate1d(table, x[:3])[1])
    for _ in range(3):
        for step in (1.0, 3.0):
            table[1] = step
            want = differences(lambda x: np.array([scipy.interpolate.interp1d(T4, table)(x[0])
                                                   + scipy.ndimage.correlate1d(table, x[:3])[1]]), X4)[0]
            np.testing.assert_allclose(g(X4), want, rtol=1e-7, atol=1e-8)


LATE = """
import sys
import numpy as np, fastad as ad
assert not [m for m in sys.modules if m.startswith(("scipy.stats", "scipy.ndimage", "scipy.interpolate"))]
import scipy
def f(x):
    return scipy.stats.norm.logpdf(x[0], x[1]) + scipy.ndimage.correlate1d(x, x[:3])[0]
print(ad.grad(f)(np.array([0.4, 1.3, 0.8, 2.1])))
def h(x):
    from scipy.signal import lfilter
    return lfilter([1.0], [1.0, 0.5], x).sum()
try:
    print(ad.grad(h)(np.array([0.4, 1.3])))
except ad.TracerError as error:
    assert "while it was being recorded" in str(error), error
    print(ad.grad(h)(np.array([0.4, 1.3])))
"""


def test_modules_that_are_first_used_inside():
    done = subprocess.run([sys.executable, "-W", "error", "-c", LATE], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_doors_lead_to_functions_that_exist():
    """A rule whose name SciPy does not have is dead; a few are of newer or older versions."""
    ad.grad(lambda x: x[0])(X4)
    missing = [(module, name) for module, rules in scipy_doors.RULES.items() for name in rules
               if module in scipy_doors._looked_at and (module, name) not in scipy_doors._originals]
    assert len(missing) <= 3, missing


@pytest.mark.parametrize("start", range(0, 160, 40))
def test_random_calls(start):
    assert sum(judge(seed) for seed in range(start, start + 40)) > 20


def test_solvers_work_where_nothing_is_differentiated():
    """By captured numbers, and by an input that is not differentiated, whose value is then watched."""
    optimize, integrate = scipy.optimize, scipy.integrate

    def f(x, t):
        root = optimize.brentq(lambda y: y * y - t, 0.0, 3.0)
        area = integrate.quad(np.sin, 0.0, 1.0)[0]
        best = optimize.minimize(lambda y: (y[0] - 1.0)**2, [0.0]).x[0]
        path = integrate.solve_ivp(lambda s, y: -y, (0, 1), [1.0], rtol=1e-10, atol=1e-12).y[0, -1]
        return x[0] * root + x[1] * area + x[2] * best + x[3] * path
    g = ad.grad(f)
    for t in (2.0, 2.0, 4.0):
        np.testing.assert_allclose(g(X4, t), [t**0.5, 1 - np.cos(1.0), 1.0, np.exp(-1.0)], rtol=1e-6)
    with pytest.raises(ad.UnsupportedError, match="Newton's iteration"):
        ad.grad(f, argnums=1)(X4, 2.0)


def test_filters_of_single_precision():
    x = np.linspace(0.5, 2.0, 40).astype(np.float32)**2
    b, a = (v.astype(np.float32) for v in scipy.signal.butter(2, 0.3))
    sos = scipy.signal.butter(2, 0.3, output="sos").astype(np.float32)
    for f in (lambda x: scipy.signal.lfilter(b, a, x), lambda x: scipy.signal.lfilter(b, a, x, zi=x[:2])[1],
              lambda x: scipy.signal.filtfilt(b, a, x), lambda x: scipy.signal.sosfiltfilt(sos, x),
              lambda x: scipy.signal.sosfilt(sos.astype(float), x), lambda x: scipy.signal.hilbert(x),
              lambda x: scipy.signal.detrend(x), lambda x: scipy.signal.decimate(x, 2, n=2)):
        y = ad.record(f, x)(x)
        assert y.dtype == f(x).dtype
        np.testing.assert_allclose(y, f(x), rtol=1e-4, atol=1e-4)


def test_interp1d_of_a_table_is_numpys_interp_as_it_is_in_scipy():
    x = np.linspace(0.0, 1.0, 30)
    table = scipy.interpolate.interp1d(x, np.sin(30 * x))
    at = np.random.default_rng(0).random(200)
    ours, numpys = ad.record(table, at), ad.record(lambda at: np.interp(at, x, np.sin(30 * x)), at)
    assert str(ours).count("\n") <= str(numpys).count("\n") + 10
    assert np.array_equal(ours(at), table(at))


def test_a_spline_at_a_number_is_few_operations_of_any_order():
    spline = scipy.interpolate.CubicSpline(np.linspace(0.0, 1.0, 9), np.sin(np.arange(9.0)))
    at = np.array([-0.1, 0.3, np.nan, 1.2])
    for order in range(6):
        np.testing.assert_allclose(ad.record(lambda x, order=order: spline(x, order), at)(at), spline(at, order), 1e-13)
    listing = str(ad.record(lambda x: spline(x[0]), np.array([0.3])))
    assert listing.count("\n") <= 30 and "assert" not in listing


@pytest.mark.parametrize("angle", [0, 90, 180, -90, 45.0])
def test_a_rotated_image_has_scipys_edges(angle):
    """Its coordinates are those of SciPy to the last bit, which decides whether an edge is inside."""
    for mode, reshape in itertools.product(("constant", "grid-constant", "reflect"), (True, False)):
        def f(x, mode=mode, reshape=reshape):
            return scipy.ndimage.rotate(x, angle, reshape=reshape, order=1, mode=mode, cval=9.0)
        np.testing.assert_allclose(ad.record(f, IMAGE)(IMAGE), f(IMAGE), rtol=1e-13, atol=1e-13)


INTO_INTEGERS = {
    "map_coordinates": lambda image, x, **kwargs: scipy.ndimage.map_coordinates(image, x.reshape(2, 2), order=1,
                                                                                **kwargs),
    "gaussian_filter": lambda image, x, **kwargs: scipy.ndimage.gaussian_filter(image, x[0], **kwargs),
    "convolve": lambda image, x, **kwargs: scipy.ndimage.convolve(image, x.reshape(2, 2), **kwargs),
    "shift": lambda image, x, **kwargs: scipy.ndimage.shift(image, x[:2], order=1, **kwargs),
}


@pytest.mark.parametrize("name", INTO_INTEGERS)
def test_results_that_scipy_rounds_to_the_dtype_of_the_image_are_loud(name):
    """They were recorded in float64 and not rounded: other numbers than those of f, in silence."""
    f, x = INTO_INTEGERS[name], np.array([0.3, 0.7, 1.2, 0.9])
    whole = (9 * IMAGE).astype(np.uint8)
    with pytest.raises(ad.UnsupportedError, match="output=float"):
        ad.record(lambda x: f(whole, x), x)
    tape = ad.record(lambda x: f(whole, x, output=float), x)
    np.testing.assert_allclose(tape(x), f(whole, x, output=float), rtol=1e-12)
    single = ad.record(lambda x: f(IMAGE.astype(np.float32), x), x)(x)
    assert single.dtype == f(IMAGE.astype(np.float32), x).dtype == np.float32


@pytest.mark.parametrize("metric", ["euclidean", "sqeuclidean", "cityblock"])
def test_distances_of_single_precision_are_computed_in_double_as_by_scipy(metric):
    x = (IMAGE + 100.0).astype(np.float32)
    distance = scipy.spatial.distance
    for f in (lambda x: distance.cdist(x, x[:2], metric), lambda x: distance.pdist(x, metric)):
        got, want = ad.record(f, x)(x), f(x)
        assert got.dtype == want.dtype == np.float64
        np.testing.assert_allclose(got, want, rtol=1e-13)
