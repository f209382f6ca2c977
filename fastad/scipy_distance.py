"""scipy_distance.py - distances between points: scipy.spatial.distance.cdist, pdist and those of two vectors.

Owns: the metrics.  At distance 0 a Euclidean distance has the derivative 0, as a norm.  Next: scipy_doors.py.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from fastad.operands import deliver, refusal
from fastad.scipy_doors import floats, plain, records

METRICS: dict[str, Any] = {
    "euclidean": lambda d: np.linalg.norm(d, axis=-1),
    "sqeuclidean": lambda d: np.sum(d * d, axis=-1),
    "cityblock": lambda d: np.sum(np.abs(d), axis=-1),
    "chebyshev": lambda d: np.max(np.abs(d), axis=-1),
}
ALIASES = {"euclid": "euclidean", "eu": "euclidean", "e": "euclidean", "sqe": "sqeuclidean", "sqeuclid": "sqeuclidean",
           "manhattan": "cityblock", "cb": "cityblock", "c": "cityblock", "ch": "chebyshev"}


def _metric(name: str, metric: Any, more: Any) -> Any:
    known = getattr(metric, "__name__", metric)
    known = ALIASES.get(known, known)
    if known not in METRICS or more:
        raise refusal(f"scipy.spatial.distance.{name}", f"metric {metric!r}{' with options' if more else ''}: recorded "
                      f"are {', '.join(METRICS)}; write others with np.sum(np.abs(a[:, None] - b) ..., axis=-1)")
    return METRICS[known]


def _double(x: Any) -> Any:
    """x in float64, in which cdist and pdist compute whatever they are given."""
    x = floats(x)
    return x if x.dtype == np.float64 else x.astype(np.float64)


@records("scipy.spatial.distance", "cdist")
def cdist(XA: Any, XB: Any, metric: Any = "euclidean", *, out: Any = None, **more: Any) -> Any:
    """Distances of all pairs of rows."""
    function = _metric("cdist", metric, more)
    plain("scipy.spatial.distance", "cdist", XA, XB)
    return deliver(out, function(_double(XA)[:, None, :] - _double(XB)[None, :, :]), "cdist")


@records("scipy.spatial.distance", "pdist")
def pdist(X: Any, metric: Any = "euclidean", *, out: Any = None, **more: Any) -> Any:
    """Distances of the rows, each pair once."""
    function = _metric("pdist", metric, more)
    plain("scipy.spatial.distance", "pdist", X)
    X = _double(X)
    i, j = np.triu_indices(X.shape[0], 1)
    return deliver(out, function(X[i] - X[j]), "pdist")


@records("scipy.spatial.distance", "squareform")
def squareform(X: Any, force: str = "no", checks: bool = True) -> Any:
    """The matrix of a vector of distances, or the reverse."""
    plain("scipy.spatial.distance", "squareform", X, force, checks)
    X = floats(X)
    if X.ndim == 1:
        n = round((1 + np.sqrt(1 + 8 * X.size)) / 2)
        y = np.concatenate([np.zeros(1), X])
        place = np.zeros((n, n), dtype=int)
        place[np.triu_indices(n, 1)] = 1 + np.arange(X.size)
        return y[place + place.T]
    return X[np.triu_indices(X.shape[0], 1)]


def _of_two(name: str) -> None:
    def distance(u: Any, v: Any, w: Any = None) -> Any:
        if w is not None:
            raise refusal(f"scipy.spatial.distance.{name}", "weights are not recorded; write the sum")
        plain("scipy.spatial.distance", name, u, v)
        return METRICS[name](floats(u) - floats(v))
    distance.__doc__ = "Distance of two vectors."
    records("scipy.spatial.distance", name)(distance)


for _name in METRICS:
    _of_two(_name)
