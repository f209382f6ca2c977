"""The checkers are checked: a rule that is wrong by 0.1 % must fail, right ones must pass, kinks are told apart.

Owns: wrong rules of every kind, and what debug_nonfinite finds.
Next: programs.py (the right ones), fastad/taylor.py (how a remainder is judged).
"""
import re

import numpy as np
import pytest
from programs import PROGRAMS

import fastad as ad
from fastad.errors import DerivativeError
from fastad.nonfinite import debug_nonfinite
from fastad.taylor import Line, judge
from fastad.testing import check_derivatives

POINT = np.array([0.5, -1.25, 2.0])


@pytest.mark.parametrize("name", PROGRAMS)
def test_right_derivatives_pass(name):
    f, *point = PROGRAMS[name]
    report = check_derivatives(f, *point)
    assert report, str(report)
    assert report.raise_if_failed() is report
    tests = {check.test for check in report.checks}
    assert tests == {"Taylor, order 0", "Taylor, order 1", "Taylor, order 2", "Taylor of the gradient",
                     "adjoint dot test", "symmetry of the Hessian"}


# ---- wrong by 0.1 % --------------------------------------------------------------------------------------------------

def wave(x):
    return np.sin(x) * x


def slope(x):
    return np.cos(x) * x + np.sin(x)


def bend(x):
    return 2.0 * np.cos(x) - np.sin(x) * x


def through(op):
    """A function that goes through a primitive, with more before and after it."""
    return lambda x: np.sum(np.exp(0.3 * op(1.0 + 0.5 * x)) * np.arange(1.0, 4.0))


def rules(vjp_error=1.0, jvp_error=1.0, second_error=1.0):
    """The primitive `wave` with rules that are wrong by a factor."""
    second = ad.primitive(slope, vjp=lambda w, y, x: (w * bend(x) * second_error,),
                          jvp=lambda t, y, x: t[0] * bend(x) * second_error)
    return ad.primitive(wave, vjp=lambda w, y, x: (w * second(x) * vjp_error,),
                        jvp=lambda t, y, x: t[0] * second(x) * jvp_error)


def failed(report):
    return {check.test for check in report.checks if not check.passed}


def test_right_rules_pass():
    report = check_derivatives(through(rules()), POINT)
    assert report, str(report)


@pytest.mark.parametrize("error", [1.001, 0.999])
def test_a_wrong_vjp_fails(error):
    report = check_derivatives(through(rules(vjp_error=error)), POINT)
    assert {"Taylor, order 1", "adjoint dot test"} <= failed(report)
    assert "Taylor, order 0" not in failed(report)


@pytest.mark.parametrize("error", [1.001, 0.999])
def test_a_wrong_jvp_fails(error):
    report = check_derivatives(through(rules(jvp_error=error)), POINT)
    assert "adjoint dot test" in failed(report)
    assert "Taylor, order 1" not in failed(report)


def test_both_wrong_alike_fail():
    report = check_derivatives(through(rules(vjp_error=1.001, jvp_error=1.001)), POINT, order=1)
    assert failed(report) == {"Taylor, order 1"}


@pytest.mark.parametrize("error", [1.001, 0.999])
def test_a_wrong_second_order_fails(error):
    report = check_derivatives(through(rules(second_error=error)), POINT)
    assert failed(report) >= {"Taylor, order 2", "Taylor of the gradient"}
    assert not failed(report) & {"Taylor, order 1", "adjoint dot test"}
    assert check_derivatives(through(rules(second_error=error)), POINT, order=1)


def test_a_hessian_that_is_not_symmetric_fails():
    """A gradient that is no gradient: its Jacobian is not symmetric."""
    bent = ad.primitive(lambda x: x[0] * x[1], vjp=lambda w, y, x: (w * np.stack([x[1] + 1e-3 * (x[1] - 2.0), x[0]]),))
    report = check_derivatives(lambda x: bent(x), np.array([1.0, 2.0]))
    assert "symmetry of the Hessian" in failed(report)


def test_one_wrong_entry_among_many_fails():
    def vjp(w, y, x):
        return (w * slope(x) * np.where(np.arange(x.size) == 57, 1.001, 1.0),)
    one = ad.primitive(wave, vjp=vjp)
    assert not check_derivatives(lambda x: one(x), np.linspace(0.1, 3.0, 100), order=1)


def test_a_constant_that_should_move_fails():
    assert not check_derivatives(lambda x: np.sum(x * ad.stop_gradient(x)), POINT, order=1)


def test_the_report_reads():
    report = check_derivatives(through(rules(vjp_error=1.001)), POINT)
    with pytest.raises(DerivativeError, match="FAILED") as caught:
        report.raise_if_failed()
    assert re.search(r"Taylor, order 1 +direction 1 +rate 1\.\d+ +FAILED +rate 2 expected", str(caught.value))
    assert not report.passed and not bool(report)


def test_the_same_call_gives_the_same_report():
    f, *point = PROGRAMS["special"]
    assert check_derivatives(f, *point) == check_derivatives(f, *point)
    assert check_derivatives(f, *point) != check_derivatives(f, *point, seed=1)


# ---- kinks and rounding ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("distance", [1e-2, 1e-4, 1e-6])
def test_a_kink_beside_the_point_is_no_error(distance):
    assert check_derivatives(lambda x: np.sum(np.abs(x - 1.0) * np.exp(x)), np.array([1.0 + distance, 0.5]))


def test_a_kink_at_the_point_is_named():
    report = check_derivatives(lambda x: np.sum(np.abs(x) * np.array([1.0, 3.0]) + x), np.array([0.0, 0.5]))
    assert report, str(report)
    assert any("kink at the point" in check.note for check in report.checks)


def test_a_wrong_derivative_at_a_kink_fails():
    wrong = ad.primitive(np.abs, vjp=lambda w, y, x: (1.5 * w,), jvp=lambda t, y, x: 1.5 * t[0])
    report = check_derivatives(lambda x: wrong(x), 0.0)
    assert not report
    assert any("outside of both slopes" in check.note for check in report.checks)


def test_a_jump_at_the_point_fails():
    report = check_derivatives(lambda x: np.where(x >= 1.0, x + 1.0, x), 1.0)
    assert "Taylor, order 0" in failed(report)


def test_badly_scaled_and_rounded_functions_pass():
    assert check_derivatives(lambda x: 1e8 + np.sum(np.sin(x)), POINT)
    assert check_derivatives(lambda x: np.sum(1e-12 * x**2), POINT)
    assert check_derivatives(lambda x: np.sum(x**3), np.array([1e-6, 1e6, 1.0]))
    assert check_derivatives(lambda x: np.sum(3.0 * x), POINT)


@pytest.mark.parametrize("exponent, derivative, passes", [(3, 3.0, True), (3, 3.003, False), (1, 1.0, True)])
def test_judge(exponent, derivative, passes):
    line = Line(lambda x: float(x[0] ** exponent), np.ones(1), np.ones(1), [derivative])
    assert judge(line, 1)[0] is passes


# ---- what may be asked -----------------------------------------------------------------------------------------------

def test_argnums_statics_and_integers():
    def f(x, n, y, k):
        return np.sum(x**n * y) * k.sum()
    assert check_derivatives(f, POINT, 2, 1.5, np.array([1, 2]))
    assert check_derivatives(f, POINT, 2, 1.5, np.array([1, 2]), argnums=2)
    assert check_derivatives(f, np.float32(POINT), 2, 1.5, np.array([1, 2]), argnums=0)


def test_results_that_are_no_floats_are_left_out():
    assert check_derivatives(lambda x: (np.argmax(x), x * 2.0, "name", x.max() > 1.0), POINT)
    with pytest.raises(DerivativeError, match="nothing that is float64"):
        check_derivatives(np.argmax, POINT)
    with pytest.raises(DerivativeError, match="no argument"):
        check_derivatives(lambda n: n, 3)


def test_trees_with_flags_and_constant_results():
    def f(p):
        return p["a"] ** 2 * p["n"] * p["w"].sum(), 3.0, p["a"] if p["kind"] == "slow" else 1
    assert check_derivatives(f, {"a": 2.0, "n": 3, "w": np.array([1, 2]), "kind": "slow", "none": None})
    assert check_derivatives(lambda x: (x**2, 3.0), POINT)


def test_a_derivative_that_is_not_finite_is_called_so():
    report = check_derivatives(lambda x: np.sum(np.sqrt(x)), np.array([0.0, 1.0]))
    assert not report and "not finite" in str(report) and "jumps" not in str(report)
    report = check_derivatives(lambda x: np.sum(x**1.5), np.array([0.0, 1.0]))
    assert failed(report) == {"Hessian"} and "order=1" in str(report)
    report = check_derivatives(lambda x: np.sum(x**2.5), np.array([0.0, 1.0]))
    assert report and "one side only" in str(report), str(report)


def test_points_that_are_not_finite_are_refused():
    report = check_derivatives(np.log, 0.0)
    assert not report and "debug_nonfinite" in str(report)


def test_points_at_the_border_of_the_domain():
    """Steps that leave the domain are not counted."""
    assert check_derivatives(lambda x: np.sum(np.log(x)), np.array([1e-3, 2.0]))


# ---- debug_nonfinite -------------------------------------------------------------------------------------------------

def line_of(f, offset):
    return f"test_testing.py:{f.__code__.co_firstlineno + offset}"


def test_the_first_operation_that_made_a_nan():
    def f(x):
        a = x[0] - 1.0
        b = np.log(a)
        return b * x[1] + np.sqrt(b)
    finding = debug_nonfinite(f, np.array([0.5, 2.0]))
    assert finding and finding.found and finding.sweep == "forward"
    assert finding.operation == "log(v1)" and finding.operands == {"v1": -0.5}
    assert finding.location.endswith(line_of(f, 2))
    assert np.isnan(finding.result) and "log(v1) = nan" in str(finding)


def test_an_array_operation_that_overflows():
    def f(x):
        y = x * 1000.0
        return np.sum(1.0 / np.exp(y))
    assert not debug_nonfinite(lambda x: np.sum(1.0 / (1.0 + np.exp(x))), np.array([1.0, 2.0]))
    finding = debug_nonfinite(f, np.array([-1.0, 0.5]))
    assert finding.sweep == "forward" and finding.operation == "divide(1.0, v2)"
    assert finding.operands["v2"][0] == 0.0 and finding.location.endswith(line_of(f, 2))


def test_the_operation_that_makes_the_gradient_infinite():
    singular = debug_nonfinite(lambda x: np.sum(np.sqrt(x) + x), np.array([0.0, 4.0]))
    assert singular.sweep == "reverse" and singular.operation == "sqrt(x)"
    np.testing.assert_array_equal(singular.adjoint, [np.inf, 1.25])


def test_masked_values_are_no_finding():
    finding = debug_nonfinite(lambda x: np.sum(np.where(x > 1.0, np.log(x - 1.0), x)), np.array([1.0, 2.0]))
    assert not finding and finding.masked == 1 and "reach no result" in str(finding)


def test_arguments_and_constants_that_are_not_finite():
    finding = debug_nonfinite(lambda x: np.sum(x * 2.0), np.array([1.0, np.nan]))
    assert finding.operation == "x" and finding.sweep == "forward"
    assert debug_nonfinite(lambda x: x * np.inf, 2.0).operation == "inf"
    assert not debug_nonfinite(lambda x: np.minimum(x, np.inf), 2.0)


def test_all_finite():
    finding = debug_nonfinite(lambda x: np.sum(np.exp(x)), POINT)
    assert not finding and str(finding).endswith("all results and derivatives are finite")


def test_the_step_of_a_scan():
    def step(u, k):
        u = u * 2.0
        y = np.sqrt(5.0 - u)
        return u, y

    def f(u):
        _, ys = ad.scan(step, u, np.arange(4))
        return np.sum(ys)
    finding = debug_nonfinite(f, 0.5)
    assert finding.operation == "sqrt(v2)" and finding.operands == {"v2": -3.0}
    assert finding.location.endswith(line_of(step, 2))
    (number, place), = finding.steps
    assert number == 3 and place.endswith(line_of(f, 1)) and "in step 3 of the scan at" in str(finding)
    assert not debug_nonfinite(f, 0.25)


def test_the_step_of_a_scan_within_a_scan():
    def f(u):
        return ad.scan(lambda c, k: (ad.scan(lambda d, j: (np.log(d - k * j), None), c + 4.0, np.arange(2.0))[0], None),
                       u, np.arange(5.0))[0]
    c = 3.0
    for k in range(5):                   # plain NumPy says where
        d = c + 4.0
        for j in range(2):
            if d - k * j < 0.0:
                break
            d = np.log(d - k * j)
        else:
            c = d
            continue
        break
    finding = debug_nonfinite(f, 3.0)
    assert [number for number, _ in finding.steps] == [k, j] and finding.result != finding.result


def test_the_step_of_a_scan_whose_adjoint_is_infinite():
    def step(state, k):
        x, a = state
        y = np.sqrt(x - k)
        return (x, a + y), None

    def f(x):
        return ad.scan(step, (x, 0.0), np.arange(4.0))[0][1]
    finding = debug_nonfinite(f, 3.0)
    assert finding.sweep == "reverse" and [number for number, _ in finding.steps] == [3]
    assert finding.location.endswith(line_of(step, 2)) and finding.adjoint == np.inf
    assert not debug_nonfinite(f, 3.5)


def test_the_step_of_a_loop_until():
    def f(x):
        return ad.while_loop(lambda s: s[1] < 5, lambda s: (np.sqrt(s[0] - 1.0), s[1] + 1), (x, 0))[0]
    assert [number for number, _ in debug_nonfinite(f, 20.0).steps] == [3]


def test_the_turn_of_a_python_loop():
    def f(u):
        total = 0.0
        for _ in range(4):
            u = u * 2.0
            total = total + np.sqrt(5.0 - u)
        return total
    finding = debug_nonfinite(f, 0.5)
    assert finding.turn == (4, 4) and "number 4 of 4 such operations of this line" in str(finding)
