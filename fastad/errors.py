"""The errors that fastad raises: one class per cause.

Owns: the classes.  Must not know: anything else of fastad.
Every message says where (file:line of the user's code when it is known), what was got, what to do.
"""
from numpy.linalg import LinAlgError


class AdError(Exception):
    """Base class of all errors that fastad raises by itself."""


class InternalError(AdError):
    """A fault in fastad; please report it with the program that led to it."""


class TracerError(AdError, TypeError):
    """Traced values were used in a way that cannot be recorded."""


class EscapedTracerError(TracerError):
    """A traced value was used after its recording ended, in another recording, or in another thread."""


class UnsupportedError(AdError, TypeError):
    """A NumPy function, dtype or argument that fastad does not record."""


class ShapeError(AdError, ValueError):
    """An argument or a result has a shape or dtype that does not fit."""


class TapeDivergence(AdError):
    """A tape was replayed where a recorded decision of the program would now go the other way.

    Attributes
    ----------
    location : str
        ``file:line`` of the decision.
    kind : str
        What consumed the value: ``"bool()"``, ``"int()"``, a data-dependent length ...
    """

    def __init__(self, message, location=None, kind=None):
        super().__init__(message)
        self.location = location
        self.kind = kind

    def __reduce__(self):
        return type(self), (self.args[0], self.location, self.kind)


class IndexDivergence(TapeDivergence, IndexError):
    """An index computed in a tape is out of bounds: there f itself raises, or goes on after catching what it raises."""


class LinAlgDivergence(TapeDivergence, LinAlgError):
    """A matrix of a tape is singular, or its factorization fails: f itself raises there, or goes on after catching."""


class UnstableDecisionError(AdError):
    """A decision goes the other way at the very point at which it was recorded: it lies within rounding."""


class StaleTapeError(AdError):
    """The audit found that the function no longer returns what its tape computes."""


class TapeFileError(AdError, ValueError):
    """A tape file is damaged, truncated, or from a newer version."""


class DerivativeError(AdError, ValueError):
    """A derivative was asked for that the function does not have (no scalar result, nothing traced ...)."""


class BudgetError(AdError, MemoryError):
    """A gradient does not fit in the memory that it was given, however little of the way is kept.

    Attributes
    ----------
    smallest : int
        Bytes with which it does.
    """

    def __init__(self, message, smallest=None):
        super().__init__(message)
        self.smallest = smallest

    def __reduce__(self):
        return type(self), (self.args[0], self.smallest)


class NonFiniteError(AdError, ValueError):
    """A function or its derivative is NaN or infinite where an optimiser must start."""


class CheckpointError(AdError, ValueError):
    """A checkpoint of an optimisation is damaged, exists already, or belongs to another problem."""


class WorkerError(AdError, RuntimeError):
    """A worker to which a part of a sum was given died, or its executor was shut down: there is no sum."""
