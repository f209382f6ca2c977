"""NIST's 27 nonlinear regressions, each from both starts: a whole fit of a small model, recording included.

Stresses what surrounds the sweeps when there are few of them: recording, checks, the solver's calls, statistics.
"""
import warnings

import numpy as np
import scipy.optimize

from fastad import function, optimize
from tests import nist

QUICK = ("Misra1a", "MGH09")


def fits(curve_fit, cases, **options):
    """Fit every case from its start; a fit that fails has taken its time, too."""
    found = []
    for case, _, start in cases:
        try:
            found.append(curve_fit(case.f, case.x, case.y, start, **options)[0])
        except RuntimeError:
            found.append(np.full(len(start), np.nan))
    return found


def digits(found, cases):
    return np.array([nist.digits(x, case.parameters) for x, (case, _, _) in zip(found, cases, strict=True)])


def run(bench):
    """`optimize.curve_fit` as it comes against SciPy's with differences: as it comes, and with the least tolerances."""
    cases = [run for run in nist.runs() if not bench.quick or run[0].name in QUICK]

    def ours():
        function.caches.clear()              # the models are recorded anew in each round
        return fits(optimize.curve_fit, cases)

    def theirs():
        return fits(scipy.optimize.curve_fit, cases, maxfev=20_000)

    def tightest():
        return fits(scipy.optimize.curve_fit, cases, maxfev=20_000, ftol=1e-15, xtol=1e-15)

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")      # trial points overflow
        found = digits(ours(), cases)
        bench.verify("digits of the certified parameters, 8 at least", np.minimum(found, 8.0), np.full(len(cases), 8.0))
        for peer, fit in (("SciPy", theirs), ("SciPy, tolerances 1e-15", tightest)):
            reached = digits(fit(), cases)
            bench.note(f"{peer}: {np.sum(reached >= 6)} of {len(cases)} fits to 6 digits, {np.sum(reached >= 8)} to 8; "
                       f"fastad: {np.sum(found >= 6)} and {np.sum(found >= 8)}")
        mine, default, tight = bench.best(ours, theirs, tightest, seconds=1.0)
    bench.row(f"{len(cases)} fits, recording included", mine)
    bench.row("the same by SciPy with differences", default, ratio=mine / default, to="SciPy")
    bench.row("the same by SciPy, tolerances 1e-15", tight, ratio=mine / tight, to="SciPy with them")
    bench.row("of SciPy's time with differences", mine / default, "", level=0.5)
