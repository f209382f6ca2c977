"""Families of scipy.stats: every listed method against SciPy, in value and derivative; the others right or refused.

Owns: the points. SciPy gives the values; derivatives are held to differences of SciPy's own values.
Next: fastad/scipy_stats.py, fastad/scipy_manual.py (the list).
"""
import warnings
from pathlib import Path

import numpy as np
import pytest
import scipy.stats as st
from test_scipy_doors import differences

import fastad as ad
from fastad import scipy_manual
from fastad.scipy_manual import DISCRETE, FAMILIES

GROUPS = {"pdf": ("pdf", "logpdf"), "cdf": ("cdf", "sf", "logcdf", "logsf"), "ppf": ("ppf", "isf")}
SHAPES = {name: shapes for name, shapes in reversed(
    __import__("scipy.stats._distr_params", fromlist=["x"]).distcont) if isinstance(name, str)}
DISCRETE_SHAPES = {"bernoulli": (0.3,), "binom": (5, 0.4), "boltzmann": (1.4, 19), "dlaplace": (0.8,), "geom": (0.5,),
                   "planck": (0.51,), "poisson": (0.6,), "yulesimon": (11.0,), "betabinom": (5, 2.3, 0.63),
                   "betanbinom": (5, 9.3, 1.2), "logser": (0.6,), "nbinom": (0.4, 0.4)}
LOC, SCALE = 0.2, 1.3


def listed(table):
    return {name: groups for groups, names in table.items() for name in names.split()}


def quiet(f, *args):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return f(*args)


def points(family, method):
    shapes = SHAPES[family]
    q = np.array([0.2, 0.45, 0.7])
    if method in ("ppf", "isf"):
        return q
    return quiet(lambda: getattr(st, family).ppf(q, *shapes)) * SCALE + LOC


def as_function(family, method, moving):
    """The method at three points as a function of [x, shapes, loc, scale], the shapes fixed unless they are moving."""
    n = len(SHAPES[family])

    def f(p):
        shapes = p[3:3 + n] if moving else SHAPES[family]
        return getattr(getattr(st, family), method)(p[:3], *shapes, loc=p[-2], scale=p[-1])
    shapes = SHAPES[family] if moving else ()
    return f, np.concatenate([points(family, method), shapes, [LOC, SCALE]])


def judge(f, p):
    """Recorded at one point, replayed at another."""
    tape, at = ad.record(f, p), p * (1 + 1e-3 * np.cos(np.arange(len(p))))
    np.testing.assert_allclose(tape(at), quiet(f, at), rtol=2e-12, atol=1e-14)
    J, D = tape.vjp_tape()(at, np.ones(3))[1], quiet(differences, lambda x: np.sum(f(x)), at)
    np.testing.assert_allclose(J, D, rtol=2e-5, atol=1e-6 * np.max(np.abs(D)))


@pytest.mark.parametrize("family", listed(FAMILIES))
def test_a_listed_family(family):
    for group in listed(FAMILIES)[family].split():
        for method in GROUPS[group.rstrip("*")]:
            judge(*as_function(family, method, not group.endswith("*")))


@pytest.mark.parametrize("family", listed(FAMILIES))
def test_second_derivatives_of_a_family(family):
    """By everything, without a warning from a branch that is not taken."""
    f, p = as_function(family, "logpdf", True)
    v = np.cos(np.arange(len(p)))
    product, gradient = ad.hvp(lambda p: np.sum(f(p)))(p, v), ad.grad(lambda p: np.sum(f(p)))
    difference = (gradient(p + 1e-5 * v) - gradient(p - 1e-5 * v)) / 2e-5
    np.testing.assert_allclose(product, difference, rtol=1e-4, atol=1e-5 * np.max(np.abs(difference)))


@pytest.mark.parametrize("family", sorted(set(SHAPES) - set(listed(FAMILIES)) - {"levy_stable", "studentized_range"}))
@pytest.mark.filterwarnings("ignore")
def test_another_family_is_right_or_refused(family):
    for method in ("logpdf", "cdf", "ppf"):
        f, p = as_function(family, method, False)
        try:
            got = ad.jacobian(f)(p)
        except ad.AdError as error:
            assert "test_scipy_stats.py:" in str(error)
            continue
        np.testing.assert_allclose(got, differences(f, p), rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("family", listed(DISCRETE))
def test_a_discrete_family(family):
    shapes = DISCRETE_SHAPES[family]
    moving = [k for k, x in enumerate(shapes) if isinstance(x, float)]
    dist = getattr(st, family)
    k = np.array([dist.ppf(0.3, *shapes), dist.ppf(0.7, *shapes), -3.0, 1.5])
    for group in listed(DISCRETE)[family].split():
        for method in {"pdf": ("pmf", "logpmf")}.get(group) or GROUPS[group]:
            def f(p, method=method):
                new = list(shapes)
                for i, x in zip(moving, p, strict=True):
                    new[i] = x
                return getattr(dist, method)(k, *new)
            p = np.array([shapes[i] for i in moving])
            tape = ad.record(f, p)
            for at in (p, p * 0.98):
                want = quiet(f, at)
                np.testing.assert_allclose(tape(at), want, rtol=1e-11, atol=1e-15)
                finite = np.isfinite(want)

                def inside(p, f=f, finite=finite):
                    return f(p)[finite]
                np.testing.assert_allclose(ad.jacobian(inside)(at), quiet(differences, inside, at), rtol=2e-5,
                                           atol=1e-8)


SUPPORT = {
    "norm": (), "expon": (), "gamma": (2.5,), "beta": (2.0, 3.0), "uniform": (), "lognorm": (0.8,), "pareto": (2.6,),
    "weibull_min": (1.8,), "t": (4.0,), "laplace": (), "triang": (0.4,), "truncnorm": (-1.0, 2.0), "genpareto": (-0.3,),
    "powerlaw": (1.6,), "chi2": (3.0,),
}


@pytest.mark.parametrize("family", SUPPORT)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_outside_of_the_support_and_of_the_parameters(family):
    """Values as SciPy's: 0, 1, -inf, nan; recorded inside, replayed outside, and the reverse; derivatives are 0."""
    dist, shapes = getattr(st, family), SUPPORT[family]
    inside = dist.ppf(np.array([0.1, 0.5, 0.9]), *shapes) * SCALE + LOC
    wild = np.array([-50.0, -0.3, LOC, LOC + SCALE, 1e9, np.inf, -np.inf, np.nan, 0.9])
    for method in ("logpdf", "pdf", "cdf", "sf", "logsf"):
        def f(x, loc, scale, method=method):
            return getattr(dist, method)(x, *shapes, loc=loc, scale=scale)
        x = np.resize(inside, wild.shape)
        for first, then in ((x, wild), (wild, x)):
            tape = ad.record(f, first, LOC, SCALE)
            for at in (first, then):
                np.testing.assert_allclose(tape(at, LOC, SCALE), f(at, LOC, SCALE), rtol=1e-12)
                assert np.isnan(tape(at, LOC, -1.0)).all() and np.isnan(tape(at, LOC, 0.0)).all()
        far = -1e5                       # outside, or in the tail: no NaN from the formula that was not taken
        if np.isfinite(dist.support(*shapes)[0]):
            assert ad.grad(f)(far, LOC, SCALE) == 0.0
        for k in range(len(shapes)):
            def g(p, k=k, method=method):
                return getattr(dist, method)(0.9, *shapes[:k], p, *shapes[k + 1:], loc=LOC, scale=SCALE)
            for p in (-1.0, 0.0):
                if method in ("logpdf", "pdf"):
                    np.testing.assert_allclose(ad.record(g, shapes[k])(p), g(p), rtol=1e-12)


RATE = 2.0


class Ramp(st.rv_continuous):
    """A distribution of the user's, with a name that SciPy has too."""

    def _pdf(self, x, k):
        return (k + 1) * x**k * np.exp(0.0 * RATE * x)

    def _cdf(self, x, k):
        return x**(k + 1)


def test_a_distribution_of_the_users():
    """Its formulas are recorded as the user's code: what they read of the module is followed."""
    ramp = Ramp(a=0.0, b=1.0, name="t", shapes="k")
    p = np.array([0.3, 1.5, 0.1, 1.4])
    for method in ("logpdf", "pdf", "cdf", "logsf"):
        def f(p, method=method):
            return np.ravel(getattr(ramp, method)(p[0], p[1], loc=p[2], scale=p[3]))
        np.testing.assert_allclose(ad.jacobian(f)(p), differences(f, p), rtol=1e-8, atol=1e-10)
    with pytest.raises(ad.UnsupportedError, match="no formula for its ppf"):
        ad.grad(lambda q: ramp.ppf(q, 1.5))(0.3)


def test_shapes_of_results():
    """Numbers give numbers, arguments broadcast, lists are arrays."""
    for f, x in ((lambda x: st.norm.logpdf(x, 1.0), 0.3), (lambda x: st.norm.logpdf([1, 2], x), 0.3),
                 (lambda x: st.gamma.logpdf(2.0, x, scale=[[1.0], [2.0]]), np.array([1.0, 2.0, 3.0])),
                 (lambda x: st.norm.logpdf(x), np.zeros((0, 3))),
                 (lambda x: st.norm(x, 2).cdf(np.ones((2, 1))), 0.4)):
        got = ad.record(f, x)(x)
        assert np.shape(got) == np.shape(f(x)) and type(got) is type(f(x))
        np.testing.assert_allclose(got, f(x), rtol=1e-14)


def test_a_likelihood_follows_its_data():
    data = np.array([0.2, 1.7, 0.9])
    g = ad.grad(lambda p: -np.sum(st.norm.logpdf(data, p[0], p[1])))
    p = np.array([0.5, 1.2])
    g(p)
    data[0] = 5.0
    np.testing.assert_allclose(g(p), differences(lambda p: np.array([-np.sum(st.norm.logpdf(data, p[0], p[1]))]), p)[0],
                               rtol=1e-7)


def test_the_manual_is_what_the_rules_say():
    page = Path(__file__).resolve().parent.parent / "docs" / "scipy.md"
    assert page.read_text() == scipy_manual.manual(), "run: python -m fastad.scipy_manual > docs/scipy.md"
