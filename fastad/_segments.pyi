"""Stub of _segments.pyx: a gradient cut into segments."""
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

from fastad._spool import Plan
from fastad._tape import Tape
from fastad.checkpoints import Schedule

__all__ = ["Segments", "part"]

def part(tape: Tape, ids: Sequence[int], inputs: Sequence[int], outputs: Sequence[int], derivative: bool = False,
         active: Sequence[int] = ()) -> Tape: ...

@disjoint_base
class Piece:
    def __init__(self, tape: Tape) -> None: ...

@disjoint_base
class SegmentFrame: ...

@disjoint_base
class Segments:
    report: Any
    def __init__(self, tape: Tape, tapes: Sequence[Tape], units: NDArray[np.int64], ports: NDArray[np.int64],
                 copies: NDArray[np.int64], leaves: Sequence[int], results: Sequence[tuple[int, int]],
                 plan: Plan, unit: int, room: int, tail: int, store: int, states: NDArray[np.int64],
                 spool: Any = None, buffers: tuple[int, int, int] = (0, 0, 0)) -> None: ...
    @property
    def tape(self) -> Tape: ...
    @property
    def spool(self) -> Any: ...
    @property
    def schedule(self) -> Schedule: ...
    @property
    def nbytes(self) -> int: ...
    def run(self, values: list[Any]) -> list[Any]: ...
    def takes(self, k: int, out: Any) -> bool: ...
    def working_bytes(self) -> int: ...
    def stats(self) -> dict[str, int]: ...
