"""The bridge to scipy.optimize: does every method solve, and what does an evaluation cost beyond its sweep?

Stresses what stands between SciPy and the tape: copying and comparing x, the guard against what is not finite, fresh
arrays; and the answers of all methods of `minimize`, on Rosenbrock's function and outside of a domain.
"""
import warnings
from time import perf_counter

import numpy as np
import scipy.optimize

from benchmarks.harness import Seconds
from fastad import optimize
from fastad.optimize.methods import METHODS
from fastad.optimize.minimising import Minimisation

WEIGHTS = np.array([1.0, 2.0, 0.5])
OPTIONS = {"tnc": {"maxfun": 3000}, "trust-constr": {"maxiter": 3000}, "slsqp": {"ftol": 1e-12},
           "nelder-mead": {"maxfev": 40000, "maxiter": 40000, "adaptive": True, "xatol": 1e-6, "fatol": 1e-10},
           "powell": {"xtol": 1e-8, "ftol": 1e-12}, "cobyla": {"maxiter": 3000},
           "cobyqa": {"maxfev": 20000}}
OUTSIDE = ([20.0, 0.01, 5.0], [1e-3, 1e-3, 1e-3], [50.0, 80.0, 30.0])


def rosenbrock(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def barrier(x):
    """Defined for x > 0; least at 1 / WEIGHTS."""
    return np.sum(WEIGHTS * x) - np.sum(np.log(x))


def solved(f, start, method, want):
    """Does the method end with success where it should?"""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            result = optimize.minimize(f, start, method=method, options=OPTIONS.get(method))
        except ValueError:                  # cobyqa came with SciPy 1.14
            return False
    return result.success and np.allclose(result.x, want, rtol=1e-2, atol=1e-2)


def start_of(n):
    """Within a tenth of 1.2 in every unknown."""
    return np.full(n, 1.2) * np.linspace(0.9, 1.1, n)


def methods(bench):
    known = [m for m in METHODS if m in {k.lower() for k in scipy.optimize._minimize.MINIMIZE_METHODS}]
    n = bench.size(10, 2)
    start = start_of(n)
    # COBYLA's linear models creep in a curved valley, in SciPy alone, too: `python -m benchmarks.cobyla` shows its run
    # of 90,000 evaluations, at a millisecond of SciPy's own each.
    able = [m for m in known if m != "cobyla"]
    failed = [m for m in able if not solved(rosenbrock, start, m, np.ones(n))]
    bench.row(f"of {len(able)} methods (not COBYLA) fail: Rosenbrock, n={n}", len(failed), "", level=0)
    starts = OUTSIDE[:bench.size(3, 1)]
    outside = [m for m in known for x in starts if not solved(barrier, x, m, 1.0 / WEIGHTS)]
    bench.row(f"of {len(known) * len(starts)} runs fail: log barrier, 3 starts", len(outside), "", level=0)
    if failed or outside:
        bench.note(f"failed: {', '.join(failed + outside)}")


def overhead(bench):
    """What SciPy calls (value, then gradient, each at a new x) less the sweep that answers it."""
    n = 100
    x = np.linspace(0.5, 1.5, n)
    points = [x + 1e-4 * k for k in range(200)]
    call = Minimisation(rosenbrock, x, (), "L-BFGS-B", None, None, None, None, ())
    guard = call.guard
    objective = guard.pieces.objective

    def asked(value, gradient):
        for z in points:
            value(z)
            gradient(z)

    for _ in range(bench.size(60, 2)):      # until it is compiled, and the audits are rare
        asked(guard.value, guard.gradient)
    bench.verify("gradient through the bridge", guard.gradient(points[7]), scipy.optimize.rosen_der(points[7]))
    bench.verify("value through the bridge", guard.value(points[7]), rosenbrock(points[7]))
    entry = objective.points.primal.entry

    def swept():
        for z in points:
            if entry.program is not None:
                entry.program.run([z])
            else:
                entry.tape.sweep_gradient([z], [1.0])

    alone = optimize.Objective(rosenbrock)
    for _ in range(bench.size(60, 2)):
        for z in points:
            alone.value_and_grad(z)

    def pair():
        for z in points:
            alone.value_and_grad(z)

    sweep, bridge, piece = bench.best(swept, lambda: asked(guard.value, guard.gradient), pair, seconds=1.0)
    sweep, bridge, piece = (t / len(points) for t in (sweep, bridge, piece))
    bench.row(f"one sweep, value and gradient, n={n}", sweep)
    bench.row("the bridge beyond it, an evaluation", bridge - sweep, level=5e-6, ratio=bridge / sweep, to="the sweep")
    bench.row("Objective.value_and_grad beyond it", piece - sweep, level=5e-6, ratio=piece / sweep, to="the sweep")


def whole(bench):
    """A whole minimisation, recording included, beside SciPy with the gradient written by hand."""
    n = bench.size(100, 4)
    start = np.tile([1.3, 0.7, 0.8, 1.9], n // 4)

    def ours():
        return optimize.minimize(rosenbrock, start, method="L-BFGS-B")

    def theirs():
        return scipy.optimize.minimize(rosenbrock, start, jac=scipy.optimize.rosen_der, method="L-BFGS-B")

    a, b = ours(), theirs()
    bench.verify("L-BFGS-B through the bridge", a.x, b.x, rtol=1e-3)
    per = []
    for run, result in ((ours, a), (theirs, b)):
        per.append(bench.best(lambda run=run, n=result.nfev: Seconds(timed(run) / n), seconds=0.5))
    bench.row(f"L-BFGS-B, n={n}, an evaluation, all told", per[0], ratio=per[0] / per[1], to="SciPy, gradient by hand")


def timed(run):
    start = perf_counter()
    run()
    return perf_counter() - start


def run(bench):
    methods(bench)
    overhead(bench)
    whole(bench)
