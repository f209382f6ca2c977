"""Compiled Python code that f calls: it sees NumPy as it is, whatever is recorded, and traced values are refused.

Such code has no frames, and casts what np.empty gives to an ndarray without a look: a stand-in would crash it.
"""
import numpy as np
import numpy.random.mtrand
import pytest
import scipy.interpolate
import scipy.sparse
import scipy.sparse.linalg
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


@pytest.mark.parametrize("call", [scipy.sparse.linalg.splu(scipy.sparse.eye(3, format="csc")).solve,
                                  lambda x: np.frombuffer(memoryview(x))])
def test_what_compiled_code_says_of_a_traced_value_is_explained(call):
    """`argument 1 must be numpy.ndarray, not fastad._tape.Array` was all that one was told."""
    with pytest.raises(TypeError, match="fastad._tape") as caught:
        ad.grad(lambda x: call(x).sum())(X)
    assert "ad.primitive" in caught.value.__notes__[0]
    with pytest.raises(TypeError) as caught:                      # not of our making
        ad.grad(lambda x: len(3))(X)
    assert not hasattr(caught.value, "__notes__")


def test_a_factorisation_as_a_primitive():
    """What that note says."""
    matrix = scipy.sparse.csc_matrix(np.array([[4.0, 1.0, 0.0], [0.5, 3.0, 1.0], [0.0, 0.2, 5.0]]))
    lu = scipy.sparse.linalg.splu(matrix)
    solve = ad.primitive(lu.solve, vjp=lambda w, y, x: (lu.solve(w, "T"),), jvp=lambda v, y, x: lu.solve(v[0]))
    inverse = np.linalg.inv(matrix.toarray())
    np.testing.assert_allclose(ad.grad(lambda x: np.sum(solve(x**2) ** 2))(X), 4 * X * (inverse.T @ (inverse @ X**2)))


def test_compiled_modules_are_as_before():
    zeros, seen = np.zeros, []

    def f(x):
        seen.append((numpy.random.mtrand.np.zeros, np.zeros))
        raise KeyError("stop")

    with pytest.raises(KeyError):
        ad.grad(f)(X)
    assert seen[0][0] is zeros and seen[0][1] is not zeros
    assert numpy.random.mtrand.np.zeros is zeros and np.zeros is zeros
