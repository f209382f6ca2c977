"""scipy_multivariate.py - the multivariate normal distribution of scipy.stats.

Owns: `logpdf` and `pdf` by the points and by the mean, for a covariance that is constant: SciPy factorises it.
Next: scipy_stats.py (families of one variable), scipy_doors.py.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from fastad import _tape as T
from fastad.errors import TracerError
from fastad.operands import bare, refusal
from fastad.scipy_doors import floats, original, records

MODULE = "scipy.stats._multivariate"
LOG_2PI = float(np.log(2 * np.pi))


def _constant(cov: Any) -> Any:
    """The covariance as plain numbers, or SciPy's Covariance object."""
    if not isinstance(cov, (np.ndarray, list, tuple)) and not T.is_traced(cov):
        return cov
    try:
        return np.asarray(cov, dtype=np.float64)
    except TracerError as error:
        raise refusal("scipy.stats.multivariate_normal", "there is no derivative by the covariance here: with "
                      "L = np.linalg.cholesky(cov) and z the solution of L z = x - mean write -0.5*(z @ z + "
                      "n*log(2 pi)) - np.sum(np.log(np.diag(L)))") from error


def _density(x: Any, mean: Any, cov: Any, dim: int) -> Any:
    """SciPy's formula, of its own factor of the covariance."""
    if np.any(cov.rank < dim):
        raise refusal("scipy.stats.multivariate_normal", "a singular covariance; leave out the dependent variables")
    x = floats(x)
    x = x.reshape(1) if np.ndim(x) == 0 else x.reshape(-1, 1) if x.ndim == 1 and dim == 1 else x
    dev = (x if x.ndim > 1 else x[None, :]) - mean
    y = -0.5 * (dim * LOG_2PI + cov.log_pdet + np.sum(np.square(cov._whiten(dev)), axis=-1))
    y = np.squeeze(y)
    return y[()] if y.ndim == 0 else y


@records(MODULE, "multivariate_normal_gen.logpdf")
def logpdf(self: Any, x: Any, mean: Any = None, cov: Any = 1, allow_singular: bool = False) -> Any:
    """By points and mean."""
    dim, plain, known = self._process_parameters(bare(mean, []), _constant(cov), allow_singular)
    return _density(x, plain if mean is None else floats(mean), known, dim)


@records(MODULE, "multivariate_normal_gen.pdf")
def pdf(self: Any, x: Any, mean: Any = None, cov: Any = 1, allow_singular: bool = False) -> Any:
    """By points and mean."""
    return np.exp(logpdf(self, x, mean, cov, allow_singular))


@records(MODULE, "multivariate_normal_frozen.__init__")
def frozen(self: Any, mean: Any = None, cov: Any = 1, *args: Any, **kwargs: Any) -> None:
    """A distribution whose mean is traced."""
    original(MODULE, "multivariate_normal_frozen.__init__")(self, bare(mean, []), _constant(cov), *args, **kwargs)
    self.mean = floats(mean)


def _applies(args: Any, kwargs: Any) -> bool:
    return any(map(T.is_traced, (*args[1:], *kwargs.values(), args[0].mean)))


@records(MODULE, "multivariate_normal_frozen.logpdf", applies=_applies)
def frozen_logpdf(self: Any, x: Any) -> Any:
    """By points and mean."""
    return _density(x, self.mean, self.cov_object, self.dim)
