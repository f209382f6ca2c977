"""SciPy's optimisers with exact derivatives: `minimize`, `least_squares`, `root`, `curve_fit`, `Objective`.

`Progress` is a callback for all of them.

Owns: the public names.  Next: drivers.py (SciPy's signatures), objective.py and residuals.py (what SciPy is given),
progress.py (the callback).
"""
from fastad.optimize.curve_fitting import curve_fit
from fastad.optimize.drivers import least_squares, minimize, root
from fastad.optimize.fit_statistics import statistics
from fastad.optimize.objective import Objective
from fastad.optimize.progress import Progress
from fastad.optimize.residuals import Residuals
from fastad.optimize.resuming import read_checkpoint

__all__ = ["Objective", "Progress", "Residuals", "curve_fit", "least_squares", "minimize", "read_checkpoint", "root",
           "statistics"]


def __dir__():
    """The public names."""
    return [*(name for name in globals() if name[:2] == "__"), *__all__]
