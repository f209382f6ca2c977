"""The certified answers of NIST's 27 nonlinear regressions, from both starts, through curve_fit and least_squares.

Owns: the level: all 54 runs to 6 digits, and to 8 where doubles can.  Must not know: the models (nist.py).
Next: docs/nist.md (the table), benchmarks/cases/nist.py (the time).
"""
import warnings

import numpy as np
import pytest

from fastad import optimize
from tests import nist

RUNS = [pytest.param(case, start, id=f"{case.name}-{k}") for case, k, start in nist.runs()]


@pytest.fixture(autouse=True)
def trial_points_overflow():
    """A solver's trial step may lead to where exp overflows; the step is refused, and NumPy's warning is right."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        yield


def test_all_sets_are_there():
    assert len(nist.SETS) == 27 and len(nist.runs()) == 54
    assert sum(case.parameters.size for case in nist.SETS.values()) == 120


@pytest.mark.parametrize("case", nist.SETS.values(), ids=list(nist.SETS))
def test_models_are_nists(case):
    """At the certified parameters the residuals have the certified sum of squares."""
    rss = np.sum((case.f(case.x, *case.parameters) - case.y)**2)
    assert rss < 1e-20 if case.name == "Lanczos1" else rss == pytest.approx(case.rss, rel=1e-8)
    assert case.dof == case.y.size - case.parameters.size


@pytest.mark.parametrize("case, start", RUNS)
@pytest.mark.parametrize("method", ["lm", "trf"])
def test_certified(case, start, method):
    fit = optimize.curve_fit(case.f, case.x, case.y, start, method=method)
    assert nist.digits(fit.x, case.parameters) >= 8
    assert fit.dof == case.dof
    if case.name == "Lanczos1":              # its residuals, 1e-13, are below what its data, near 1, resolve
        assert fit.chi2 < 1e-20
    else:
        assert nist.digits(fit.stderr, case.deviations) >= 8
        assert nist.digits([fit.chi2], [case.rss]) >= 8


@pytest.mark.parametrize("case, start", [run for run in RUNS if not run.id.startswith("Lanczos1")])
def test_certified_by_least_squares_and_statistics(case, start):
    """The general solver with tolerances of its own stops where the sum of squares does: 5 digits and more."""
    found = optimize.least_squares(lambda b: case.f(case.x, *b) - case.y, start, x_scale="jac", xtol=1e-15, ftol=1e-15,
                                   gtol=1e-15, max_nfev=5000)
    assert nist.digits(found.x, case.parameters) >= 5
    assert nist.digits(optimize.statistics(found).stderr, case.deviations) >= 5


def test_digits_counts():
    assert nist.digits([1.0, 2.0], [1.0, 2.0]) == 11.0
    assert nist.digits([1.0, 2.002], [1.0, 2.0]) == pytest.approx(3.0)
    assert nist.digits([np.nan], [1.0]) == 0.0 and nist.digits([5.0], [1.0]) == 0.0


def test_the_page_is_what_the_command_writes(root):
    """Digits depend on the machine in their last places; problems, starts and the words do not."""
    def skeleton(text):
        return [[c.strip() for c in line.split("|")[1:4]] if line.startswith("|") else line[:20]
                for line in text.splitlines()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")      # SciPy's covariances are its own business
        assert skeleton((root / "docs" / "nist.md").read_text()) == skeleton(nist.table())
