"""Stub of _spool.pyx: one sweep's use of a temporary file."""
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

from fastad.checkpoints import Schedule

__all__ = ["Lease", "Plan", "leased"]

@disjoint_base
class Plan:
    def __init__(self, schedule: Schedule, states: NDArray[np.int64] | None = None,
                 tapes: NDArray[np.int64] | None = None, base: int = 0) -> None: ...
    @property
    def schedule(self) -> Schedule: ...

@disjoint_base
class Lease:
    def __init__(self, file: Any, plans: Sequence[Plan]) -> None: ...
    @property
    def file(self) -> Any: ...
    @property
    def plans(self) -> tuple[Plan, ...]: ...
    @property
    def results(self) -> list[NDArray[np.int64]]: ...

def leased(lease: Lease | None) -> Lease | None: ...
