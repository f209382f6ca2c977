"""lane_programs.py - a tape compiled for many lanes: how many at once, within what memory, on which threads.

Owns: the number of lanes of a sweep (it follows from the tape, the number of lanes and `memory` alone, so that no bit
depends on threads), the programs, lanes that are cut into chunks, chunks in threads.
Must not know: the user's arguments, which tape serves which lane (batching.py).
"""
from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from time import perf_counter
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad import tapes
from fastad.errors import BudgetError

__all__ = ["LanePrograms", "in_chunks", "in_threads"]

MOST_LANES = 512                         # of a sweep: a block of a fused loop
MOST_NUMBERS = 16384                     # of an average instruction's result
MOST_OF_ONE = 2**21                      # of the largest result: its indices, where it is gathered, take 16 bytes each
MOST_BYTES = 2**26                       # of a sweep of one thread, where the user says nothing
WORTH_A_THREAD = 2e-4                    # seconds


class LanePrograms:
    """Programs of one tape for many lanes.

    Parameters
    ----------
    tape : Tape
        Of one lane.
    memory : int or None
        Bytes that a sweep may take.

    Attributes
    ----------
    most : int
        Lanes at once, at most.
    """

    KEPT = 16                            # for calls with other numbers of lanes

    def __init__(self, tape: Any, memory: int | None) -> None:
        self.tape, self.memory = tapes.in_numbers(tape), memory  # (elements of all lanes are slices, numbers vectors)
        self.programs: dict[Any, LaneProgram] = {}
        self.grown = False                   # since it was weighed?
        self.lock = threading.RLock()
        sizes = [math.prod(T.aval_of(self.tape.instruction(i)[2])[1]) for i in range(1, len(self.tape) + 1)]
        self.most = int(max(1, min(MOST_LANES, MOST_NUMBERS * len(sizes) / max(1, sum(sizes)),
                                   MOST_OF_ONE / max(1, *sizes))))

    @property
    def nbytes(self) -> int:
        return sum([p.nbytes for p in list(self.programs.values())])

    def program(self, own: Sequence[bool], n: int, decisions: bool = False) -> LaneProgram:
        """The program for n lanes, with which they are computed chunk by chunk."""
        return T.exclusive(self.lock, self._program, (tuple(own), self.lanes_for(n), decisions))

    def _program(self, key: tuple[tuple[bool, ...], int, bool]) -> LaneProgram:
        own, lanes, decisions = key
        found = self.programs.pop(key, None)
        if found is None:
            found, self.grown = LaneProgram(self.tape, lanes, own, self.memory, decisions), True
        self.programs[key] = found
        while len(self.programs) > self.KEPT:
            del self.programs[next(iter(self.programs))]
        return found

    def lanes_for(self, n: int) -> int:
        """Lanes of one sweep, when there are n: chunks of nearly equal length, no more than the tape can bear."""
        return min(rounded_up(-(-n // -(-n // self.most))), self.most)


def rounded_up(n: int) -> int:
    """The next number with four binary digits, so that few programs serve all numbers of lanes."""
    step = 1 << max(0, n.bit_length() - 4)
    return -(-n // step) * step


class LaneProgram:
    """A compiled tape of `lanes` lanes."""

    def __init__(self, tape: Any, lanes: int, own: Sequence[bool], memory: int | None, decisions: bool) -> None:
        bound = MOST_BYTES if memory is None else memory
        while True:
            batched = tapes.transform().batch(tape, lanes, list(own), decisions)
            if len(batched) > 8 * len(tape) + 4096 and lanes > 1:        # what runs lane after lane is written out
                lanes = max(1, lanes // 4)
                continue
            self.program = tapes.program(batched)
            need = self.program.working_bytes()
            if need <= bound or lanes == 1:
                break
            lanes = max(1, min(lanes - 1, int(lanes * bound / need)))
        if memory is not None and need > memory:
            name = getattr(tape.signature, "name", None) or "this function"
            raise BudgetError(f"batch of {name}: memory={memory} is too small: one lane at a time takes {need} bytes",
                              need)
        self.lanes, self.need, self.looped = lanes, need, batched.derived["looped"]

    @property
    def nbytes(self) -> int:
        return int(self.program.nbytes)


def in_chunks(lanes: np.ndarray, length: int) -> Iterator[tuple[Any, Any, int]]:
    """(lanes to be computed, lanes that are meant, their number) of each chunk: slices where they stand side by side.

    A chunk that is too short is filled up with its last lane.
    """
    for start in range(0, len(lanes), length):
        part = lanes[start:start + length]
        m = len(part)
        first, last = int(part[0]), int(part[-1])
        place = slice(first, last + 1) if last - first == m - 1 else part
        if m < length:
            yield np.concatenate([part, np.full(length - m, last)]), place, m
        else:
            yield place, place, m


# ---- threads ---------------------------------------------------------------------------------------------------------

pools: dict[tuple[int, int], futures.ThreadPoolExecutor] = {}        # (process, threads): none outlives a fork


def in_threads(task: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    """[task(item) for item in items], in several threads where that is worth it: each then sweeps by itself."""
    start = perf_counter()
    results = [task(item) for item in items[:1]]
    rest = items[1:]
    n = min(T.get_num_threads(), len(rest))
    if n < 2 or (perf_counter() - start) * len(rest) < WORTH_A_THREAD or is_alone():
        return results + [task(item) for item in rest]
    pool = pools.get((os.getpid(), n))
    if pool is None:
        pool = pools[os.getpid(), n] = futures.ThreadPoolExecutor(n, "fastad-batch")
    pending = [pool.submit(alone, task, item) for item in rest]
    try:
        return results + [future.result() for future in pending]
    finally:
        for future in pending:               # after an error or Ctrl-C
            future.cancel()
        futures.wait(pending)


def is_alone() -> bool:
    """Is this a thread that was told to sweep by itself?  The pool that it belongs to must not wait for itself."""
    before = T.work_alone(True)
    T.work_alone(before)
    return bool(before)


def alone(task: Callable[[Any], Any], item: Any) -> Any:
    before = T.work_alone(True)
    try:
        return task(item)
    finally:
        T.work_alone(before)
