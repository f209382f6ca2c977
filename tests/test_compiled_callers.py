"""Compiled Python code that f calls: it sees NumPy as it is, whatever is recorded, and traced values are refused.

Such code has no frames, and casts what np.empty gives to an ndarray without a look: a stand-in would crash it.
"""
import numpy as np
import numpy.random.mtrand
import pytest
import scipy.interpolate
import scipy.spatial

import fastad as ad

X = np.array([1.0, 2.0, 3.0])
DRAWS = {
    "randint": lambda: np.random.RandomState(0).randint(0, 9, size=3),
    "integers": lambda: np.random.default_rng(0).integers(0, 9, size=3),
    "choice": lambda: np.random.RandomState(0).choice(np.arange(9), 3),
    "permutation": lambda: np.random.default_rng(0).permutation(3),
    "multivariate": lambda: np.random.default_rng(0).multivariate_normal(np.zeros(3), np.eye(3)),
    "KD tree": lambda: scipy.spatial.cKDTree(np.arange(8.0).reshape(4, 2)).query(np.ones((3, 2)))[0],
    "spline": lambda: scipy.interpolate.CubicSpline(np.arange(5.0), np.arange(5.0) ** 2)(np.array([0.5, 1.0, 2.0])),
}


@pytest.mark.parametrize("draw", DRAWS)
def test_compiled_code_gets_real_arrays(draw):
    g = ad.grad(lambda x: (x * DRAWS[draw]()).sum())
    assert np.allclose(g(X), DRAWS[draw]())


@pytest.mark.parametrize("draw", [lambda x: np.random.choice(x), lambda x: np.random.default_rng(0).choice(x, 2).sum(),
                                  lambda x: np.random.default_rng(0).permutation(x)[0]])
def test_traced_values_are_refused(draw):
    with pytest.raises(ad.TracerError, match="test_compiled_callers.py"):
        ad.grad(draw)(X)


def test_compiled_modules_are_as_before():
    zeros, seen = np.zeros, []

    def f(x):
        seen.append((numpy.random.mtrand.np.zeros, np.zeros))
        raise KeyError("stop")

    with pytest.raises(KeyError):
        ad.grad(f)(X)
    assert seen[0][0] is zeros and seen[0][1] is not zeros
    assert numpy.random.mtrand.np.zeros is zeros and np.zeros is zeros
