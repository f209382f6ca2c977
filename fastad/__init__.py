"""fastad: exact derivatives of plain NumPy code, by tapes.

`grad`, `value_and_grad`, `jacobian`, `hessian`, `hvp`, `jvp`, `vjp` take a function and give its derivatives; `record`
gives the tape itself, `variable` derivatives without a function; `optimize` is scipy.optimize with exact derivatives;
`plot` draws tapes, convergence, fits and models.

Owns: the public names, nothing else.  Next: derivatives.py (the verbs), recording.py (record), _tape.pyx (the heart).
"""
from fastad._tape import Tape, get_num_threads, set_num_threads
from fastad.branches import cond
from fastad.control import peek, primitive, stop_gradient
from fastad.derivatives import batch, grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp
from fastad.eager import variable
from fastad.errors import (
    AdError,
    BudgetError,
    CheckpointError,
    DerivativeError,
    EscapedTracerError,
    InternalError,
    NonFiniteError,
    ShapeError,
    StaleTapeError,
    TapeDivergence,
    TapeFileError,
    TracerError,
    UnstableDecisionError,
    UnsupportedError,
    WorkerError,
)
from fastad.explain import explain
from fastad.gradients import audit
from fastad.loops import scan, while_loop
from fastad.nonfinite import debug_nonfinite
from fastad.operators import linear_operator
from fastad.recording import record
from fastad.sum_over import sum_over
from fastad.testing import check_derivatives

__all__ = [
    "AdError", "BudgetError", "CheckpointError", "DerivativeError", "EscapedTracerError", "InternalError",
    "NonFiniteError", "ShapeError", "StaleTapeError", "Tape", "TapeDivergence", "TapeFileError", "TracerError",
    "UnstableDecisionError", "UnsupportedError", "WorkerError", "audit", "batch", "check_derivatives", "cond",
    "debug_nonfinite", "explain", "get_num_threads", "grad", "hessian", "hvp", "jacobian", "jvp", "linear_operator",
    "peek", "primitive", "record", "scan", "set_num_threads", "stop_gradient", "sum_over", "value_and_grad",
    "variable", "vjp", "while_loop",
]


def __getattr__(name):
    """`ad.optimize` imports SciPy's optimisers when it is first asked for, `ad.plot` its rooms."""
    if name in ("optimize", "plot"):
        import importlib
        return importlib.import_module(f"fastad.{name}")
    raise AttributeError(f"module 'fastad' has no attribute {name!r}")


def __dir__():
    """The public names: what a completion shows; the rooms of the house are imported by their own names."""
    return [*(name for name in globals() if name[:2] == "__"), *__all__, "optimize", "plot"]
