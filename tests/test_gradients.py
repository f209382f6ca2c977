"""`ad.audit`: a right gradient passes, a wrong one fails and is shown where.

Owns: the comparison of a user's gradient with ours.  Next: fastad/gradients.py, test_testing.py (check_derivatives).
"""
import numpy as np
import pytest
import scipy.optimize

import fastad as ad

X = np.tile([1.3, 0.7, 0.8, 1.9, 1.2], 2)


def rosenbrock(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def wrong_in(k, factor):
    def gradient(x):
        g = scipy.optimize.rosen_der(x)
        g[k] *= factor
        return g
    return gradient


def test_right_gradients_pass():
    report = ad.audit(rosenbrock, scipy.optimize.rosen_der, X)
    assert report and report.raise_if_failed() is report and report.error < 1e-12 and not report.worst
    assert "passed, 10 entries" in str(report)
    assert ad.audit(rosenbrock, scipy.optimize.rosen_der(X), list(X))
    assert ad.audit(lambda x, a: a * x[0] ** 2, lambda x, a: 2.0 * a * x, [3.0], 5.0)


@pytest.mark.parametrize("factor", [1.001, 1.0 + 1e-5, -1.0, np.nan, np.inf])
def test_one_wrong_entry_is_found_and_named(factor):
    report = ad.audit(rosenbrock, wrong_in(7, factor), X)
    assert not report and report.wrong == 1 and report.worst[0].where == "[7]"
    exact = scipy.optimize.rosen_der(X)[7]
    assert report.worst[0].ours == pytest.approx(exact)
    assert report.worst[0].differences == pytest.approx(exact, rel=1e-6)
    with pytest.raises(ad.DerivativeError, match=r"FAILED, 1 of 10 entries(.|\n)*\[7\]"):
        report.raise_if_failed()


def test_a_small_entry_counts():
    scale = np.array([1.0, 1e-6])
    assert not ad.audit(lambda x: np.sum(scale * x**2), lambda x: np.array([2.0 * x[0], 0.0]), np.ones(2))


def test_finite_differences_pass_at_their_own_tolerance():
    def differences(x):
        return scipy.optimize.approx_fprime(x, rosenbrock)
    assert not ad.audit(rosenbrock, differences, X, rtol=1e-10) and ad.audit(rosenbrock, differences, X, rtol=1e-4)


def test_hints():
    assert "theirs is 2 x ours" in str(ad.audit(rosenbrock, lambda x: 2.0 * scipy.optimize.rosen_der(x), X))
    weights = np.arange(6.0).reshape(2, 3)
    report = ad.audit(lambda x: np.sum(weights * x), weights.T.copy(), np.ones((2, 3)))
    assert report.hint == "theirs is ours transposed" and report.worst[0].where.startswith("[")


def test_trees():
    x = {"a": np.ones((2, 2)), "b": 3.0}

    def f(m):
        return np.sum(m["a"] ** 2) * m["b"]

    def gradient(m):
        return {"a": 2.0 * m["a"] * m["b"], "b": np.sum(m["a"] ** 2) + 1.0}
    report = ad.audit(f, gradient, x)
    assert [e.where for e in report.worst] == ["['b']"] and report.worst[0].differences == pytest.approx(4.0)
    assert ad.audit(f, lambda m: np.array([6.0, 6.0, 6.0, 6.0, 4.0]), x)
    with pytest.raises(ad.ShapeError, match="4 entries, x 5"):
        ad.audit(f, np.ones(4), x)


def test_their_gradient_may_overwrite_what_it_is_given():
    def careless(x):
        x *= 2.0
        return x
    point = np.array([1.0, 2.0])
    assert ad.audit(lambda x: np.sum(x**2), careless, point)
    np.testing.assert_array_equal(point, [1.0, 2.0])


def test_a_function_that_has_no_gradient():
    with pytest.raises(ad.DerivativeError):
        ad.audit(lambda x: x, lambda x: x, X)
