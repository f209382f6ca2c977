"""Where an optimiser meets trouble: points outside of a function's domain, line searches that fail.

Owns: the guard and its words, for objectives, residuals and constraints.  Next: optimize/domain.py, linesearch.py;
test_optimize_traps.py (the stand-in, method by method).
"""
import math
import re

import numpy as np
import pytest

from fastad import optimize
from fastad.errors import NonFiniteError


def rosenbrock(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


# ---- outside of the domain -------------------------------------------------------------------------------------------

def test_a_start_that_is_not_finite():
    with pytest.raises(ValueError, match=r"x0\[1\] is nan, and 1 more"):
        optimize.minimize(rosenbrock, [1.0, np.nan, np.inf])
    with pytest.raises(ValueError, match=r"x0\['a'\]\[1, 0\] is inf"):
        optimize.minimize(lambda m: np.sum(m["a"]), {"a": np.array([[1.0, 2.0], [np.inf, 1.0]])})
    with pytest.raises(ValueError, match=r"x0\[1\] is nan"):
        optimize.least_squares(lambda x: x, [1.0, np.nan])


def negative_logarithm(x):
    y = x - 3.0
    return np.sum(np.log(y)) + np.sum(x)


@pytest.mark.parametrize("method", ["BFGS", "L-BFGS-B", "SLSQP", "Nelder-Mead", "trust-exact", "trust-constr"])
def test_a_function_that_is_not_finite_at_the_start_is_named_with_its_line(method):
    with pytest.raises(NonFiniteError, match=r"start x0.*log\(.*test_optimize_domain.py:\d+"):
        optimize.minimize(negative_logarithm, [1.0, 5.0], method=method)


@pytest.mark.parametrize("method", ["trf", "dogbox", "lm"])
def test_residuals_outside_of_their_domain(method):
    with pytest.raises(NonFiniteError, match=r"residual 0 of 2 is nan.*log\(.*test_optimize_domain.py:\d+"):
        optimize.least_squares(lambda x: np.log(x) + 1.0, [-1.0, 1.0], method=method)
    result = optimize.least_squares(lambda x: np.log(x) + 1.0, [6.0, 7.0], method=method)
    assert result.success and result.stand_ins > 0
    np.testing.assert_allclose(result.x, np.exp([-1.0, -1.0]), rtol=1e-6)
    with pytest.raises(NonFiniteError, match="Jacobian"):
        optimize.least_squares(lambda x: np.sqrt(x), [0.0, 1.0], method=method)


def test_a_hessian_alone_that_is_not_finite():
    """x**1.5 at 0: value and slope are 0, the curvature is infinite."""
    result = optimize.minimize(lambda x: np.sum(x**2 * 0.5) + x[0] ** 1.5, [0.0, 1.0], method="trust-exact")
    np.testing.assert_allclose(result.x, [0.0, 0.0], atol=1e-4)
    assert result.stand_ins > 0


@pytest.mark.parametrize("method", ["trf", "dogbox", "lm"])
def test_residuals_may_say_infinity_themselves(method):
    def f(x):
        if x[0] <= 0.0:
            return np.full(2, np.inf)
        return np.array([np.log(x[0]) + 1.0, x[1] - x[0]])
    result = optimize.least_squares(f, [6.0, 1.0], method=method)
    assert result.success and result.stand_ins > 0
    np.testing.assert_allclose(result.x, np.exp([-1.0, -1.0]), rtol=1e-6)


@pytest.mark.parametrize("method", ["SLSQP", "trust-constr"])
def test_a_constraint_that_is_not_finite_everywhere(method):
    c = {"type": "ineq", "fun": lambda x: 1.0 + np.log(x[0]) + x[1]}
    result = optimize.minimize(lambda x: (x[0] + 1.0) ** 2 + x[1] ** 2, [5.0, 5.0], method=method, constraints=c)
    assert result.success and 1.0 + np.log(result.x[0]) + result.x[1] >= -1e-6
    lost = optimize.minimize(lambda x: (x[0] + 9.0) ** 2, [5.0], method=method,
                             constraints={"type": "ineq", "fun": lambda x: np.log(x[0]) + x[0] * 0.0 + 100.0})
    assert not lost.success or np.isfinite(np.log(lost.x[0]))
    with pytest.raises(NonFiniteError, match=r"a constraint is not finite .*x0: constraint 0 .*log\(.*domain.py:"):
        optimize.minimize(lambda x: (x[0] + 9.0) ** 2, [-5.0, 1.0], method=method, constraints=c)


@pytest.mark.parametrize("method", ["L-BFGS-B", "BFGS", "trust-ncg", "SLSQP"])
def test_a_function_that_refuses_where_its_tape_has_nan(method):
    """math.log raises where NumPy and the tape give NaN: the audits, which run plain f, meet it on the way."""
    def f(x):
        return x[0] - math.log(x[0]) + (x[1] - x[0]) ** 2
    for start in ([9.0, -3.0], [40.0, 1.0], [90.0, -80.0]):
        result = optimize.minimize(f, start, method=method)
        assert result.success
        np.testing.assert_allclose(result.x, [1.0, 1.0], atol=1e-3)


# ---- line searches ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("method", ["BFGS", "L-BFGS-B", "CG", "Newton-CG"])
def test_a_failed_line_search_says_that_a_gradient_is_wrong(method):
    result = optimize.minimize(lambda x: np.sum((x - 1.0) ** 2), np.zeros(3), method=method,
                               jac=lambda x: -2.0 * (x - 1.0))
    assert not result.success
    found = re.search(r"the gradient says (\S+), differences of the function (\S+): they disagree by (\S+)\. ",
                      result.message)
    assert found, result.message
    assert float(found[1]) == pytest.approx(-float(found[2]), rel=1e-4)
    assert float(found[3]) == pytest.approx(2.0, rel=1e-3)


def test_a_failed_line_search_says_that_only_rounding_is_left():
    result = optimize.minimize(lambda x: 1e12 + np.sum((x - 1.0) ** 4), np.full(3, 1.3), method="BFGS",
                               options={"gtol": 1e-12})
    assert not result.success and "they agree" in result.message, result.message


def test_a_kink_at_the_solution():
    for method in ("BFGS", "L-BFGS-B", "CG", "Nelder-Mead"):
        result = optimize.minimize(lambda x: np.sum(np.abs(x - 1.0)), [3.0, -2.5], method=method)
        assert result.fun < 3.0
        if method == "Nelder-Mead":
            np.testing.assert_allclose(result.x, [1.0, 1.0], atol=1e-3)
        if not result.success and "search" in result.message:
            assert "agree" in result.message
