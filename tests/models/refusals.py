"""Habits that cannot be recorded: each has to be a loud error that says what to do instead.

Owns: programs that must not give a number.  Must not know: fastad.  Next: tests/test_models.py.
"""
import io
import json
import math
import statistics
from functools import lru_cache

import numpy as np
from numpy import zeros
from scipy import integrate, interpolate, signal

from tests.models import refused

X4 = np.array([0.4, 1.3, 0.8, 2.1])


@refused(X4, says="np.zeros")
def imported_zeros(x):
    y = zeros(4)
    y[0] = x[0]
    return y.sum()


WORK = np.zeros(4)


@refused(X4, says="made outside")
def global_work_array(x):
    WORK[:] = x
    WORK[1:] += WORK[:-1]**2
    return WORK.sum()


@refused(X4, says="fixed_quad")
def scipy_quad(x):
    return integrate.quad(lambda t: math.exp(-x[0] * t), 0, 1)[0]


@refused(X4, says="Runge-Kutta")
def scipy_odeint(x):
    return integrate.solve_ivp(lambda t, y: -x[0] * y, (0, 1), [1.0]).y[0, -1]


@refused(X4, says="lfilter")
def scipy_filter(x):
    return signal.savgol_filter(x, 3, 1).sum()


@refused(X4, says="no derivative by its knots")
def spline_by_knots(x):
    return interpolate.CubicSpline(np.cumsum(x), x)(1.5)


@refused(X4, says="np.log\\(np.array\\(values\\)\\) for")
def ufunc_of_a_list(x):
    """np.sum, np.dot and the like take lists of traced numbers; ufuncs do not look into lists."""
    return np.log([x[0], x[1]]).sum()


@refused(X4, says="np.ndenumerate")
def nditer_loop(x):
    return sum(float(v) for v in np.nditer(x))


@refused(X4, says="np.log2")
def math_frexp(x):
    return math.frexp(x[0])[0]


@refused(X4, says="write `x \\* 1.0`")
def numpy_number_type(x):
    return np.float64(x[0]) * x[1]


@refused(X4, says="complex numbers")
def general_eigenvalues(x):
    return np.linalg.eigvals(np.outer(x, x) + np.eye(4)).real.sum()


@refused(X4, says="")
def json_round_trip(x):
    return json.loads(json.dumps(list(x)))[0]


@refused(X4, says="")
def text_round_trip(x):
    return np.loadtxt(io.StringIO(" ".join(f"{float(v):.17g}" for v in x))).sum()


@refused(X4, says="")
def standard_library_statistics(x):
    return statistics.stdev(x) * x[0]


@lru_cache
def cached(v):
    return v**2


@refused(X4, says="")
def cache_of_traced(x):
    return cached(x[0])


@refused(X4, says="")
def frombuffer_bytes(x):
    return np.frombuffer(x.tobytes()).sum()
