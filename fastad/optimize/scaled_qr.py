"""ScaledQR: the QR factors of a Jacobian whose columns are scaled to length one, with the residuals' projection.

Owns: that units of parameters do not matter: a column in units of 1e9 and one in 1e-9 weigh the same.
Must not know: what is fitted.  Next: fit_statistics.py (the covariance), last_steps.py (the last digits).
"""
from __future__ import annotations

import numpy as np
from scipy.linalg import lapack

__all__ = ["ScaledQR"]

EPS = float(np.finfo(float).eps)


class ScaledQR:
    """J / length = QR.

    Parameters
    ----------
    jacobian : ndarray, shape (m, n)
    residuals : ndarray, shape (m,)

    Attributes
    ----------
    length : ndarray, shape (n,)
        Of the columns; 1 for a column of zeros, which stays one.
    triangle : ndarray, shape (min(m, n), n)
        R.
    projected : ndarray, shape (min(m, n),)
        Q'r: what of the residuals the columns can still explain.
    finite : bool
    """

    def __init__(self, jacobian: np.ndarray, residuals: np.ndarray):
        m, n = jacobian.shape
        with np.errstate(all="ignore"):
            square = np.einsum("ij,ij->j", jacobian, jacobian)
            length = np.sqrt(square)
            if n and not (1e-200 < square.min() and square.max() < 1e200):      # squares that vanish or overflow
                largest = np.max(np.abs(jacobian), axis=0, initial=0.0)
                safe = np.where(largest > 0, largest, 1.0)
                length = safe * np.linalg.norm(jacobian / safe, axis=0)
                length[length == 0] = 1.0
            both = np.empty((m, n + 1), order="F")
            np.divide(jacobian, length, out=both[:, :n])
            both[:, n] = residuals
        self.length, self.finite = length, bool(np.isfinite(both).all())        # a length of inf makes NaN of its inf
        k = min(m, n)
        self.triangle, self.projected = np.zeros((k, n)), np.zeros(k)
        if self.finite and k:
            factors = lapack.dgeqrf(both, overwrite_a=True)[0][:k]
            self.triangle, self.projected = np.triu(factors[:, :n]), factors[:, n]

    def inverse(self) -> np.ndarray:
        """Of R, square and of full rank."""
        # LAPACK's dtrtrs with several right-hand sides wakes the threads of BLAS, for milliseconds.
        return np.asarray(lapack.dtrtri(self.triangle)[0])

    def regular(self) -> bool:
        """May one solve with R?"""
        n, diagonal = len(self.length), np.abs(self.triangle.diagonal())
        return self.finite and len(diagonal) == n and (n == 0 or bool(diagonal.min() > n * EPS * diagonal.max()))
