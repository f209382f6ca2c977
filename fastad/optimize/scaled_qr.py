"""ScaledQR: the QR factors of a Jacobian whose columns are scaled to length one, with the residuals' projection.

Owns: that units of parameters do not matter: a column in units of 1e9 and one in 1e-9 weigh the same.
Must not know: what is fitted.  Next: statistics.py (the covariance), last_steps.py (the last digits).
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
            self.length = np.where(length > 0, length, 1.0)
            both = np.empty((m, n + 1), order="F")
            np.divide(jacobian, self.length, out=both[:, :n])
            both[:, n] = residuals
            self.finite = bool(np.isfinite(length).all() and np.isfinite(both[:, n]).all())
        self.triangle, self.projected = np.zeros((min(m, n), n)), np.zeros(min(m, n))
        if self.finite and m and n:
            factors = np.triu(lapack.dgeqrf(both, overwrite_a=True)[0][:min(m, n)])
            self.triangle, self.projected = factors[:, :n], factors[:, n]

    def inverse(self) -> np.ndarray:
        """Of R, square and of full rank."""
        # LAPACK's dtrtrs with several right-hand sides wakes the threads of BLAS, for milliseconds.
        return np.asarray(lapack.dtrtri(self.triangle)[0])

    def regular(self) -> bool:
        """May one solve with R?"""
        diagonal = np.abs(np.diag(self.triangle))
        n = len(self.length)
        return self.finite and len(diagonal) == n and (n == 0 or bool(diagonal.min() > n * EPS * diagonal.max()))
