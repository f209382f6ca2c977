"""Pictures: `graph` of a tape, `convergence`, `data_fit`, `model` with uncertainty, `matrix`, `covariance`.

Owns: the public names.  matplotlib is imported when a picture is drawn; without it the error names ``fastad[plot]``.
Next: canvas.py (axes and colours), curves.py, images.py, graph.py (drawing) and layering.py (where its nodes go).
"""
from fastad.plot.curves import convergence, data_fit, model
from fastad.plot.graph import graph
from fastad.plot.images import covariance, matrix

__all__ = ["convergence", "covariance", "data_fit", "graph", "matrix", "model"]


def __dir__():
    """The public names."""
    return [*(name for name in globals() if name[:2] == "__"), *__all__]
