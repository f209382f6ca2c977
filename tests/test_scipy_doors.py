"""SciPy's functions that are Python code, called by unmodified code: recorded as SciPy computes, or refused by name.

Owns: what is asked of each call of tests/scipy_cases.py, and of the doors themselves.
Next: fastad/scipy_doors.py, tests/test_scipy_stats.py (every family).
"""
import subprocess
import sys
import threading

import numpy as np
import pytest
import scipy.interpolate
import scipy.ndimage
import scipy.stats
from scipy_cases import IMAGE, REFUSED, RECORDED, T4, X4

import fastad as ad
from fastad import scipy_doors


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
