"""COBYLA on Rosenbrock's function of 10 unknowns, which takes it minutes: `python -m benchmarks.cobyla`.

Owns: the one run that the case `bridge` leaves out.  Its exit status is 1 unless COBYLA calls it a success, and it is
one.
Next: cases/bridge.py (the function, the start, the other methods).
"""
import sys
import time
import warnings

import numpy as np

from benchmarks.cases.bridge import rosenbrock, start_of
from fastad import optimize

OPTIONS = {"tol": 1e-7, "maxiter": 200_000}     # at looser tolerances it ends far away, and calls that a success, too


def run(n=10):
    """(result, largest error of an unknown, seconds)."""
    begin = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")          # of derivatives that COBYLA does not use
        result = optimize.minimize(rosenbrock, start_of(n), method="COBYLA", options=OPTIONS)
    return result, float(np.max(np.abs(result.x - 1.0))), time.perf_counter() - begin


def main():
    result, error, seconds = run()
    print(f"COBYLA, Rosenbrock, n=10: success {result.success}, largest error {error:.1e} (level 1e-2), "
          f"{result.nfev} evaluations, {seconds:.0f} s")
    return 0 if result.success and error < 1e-2 else 1


if __name__ == "__main__":
    sys.exit(main())
