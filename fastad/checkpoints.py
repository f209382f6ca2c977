"""checkpoints.py - which states and which tapes of a chain of steps are kept when there is no room for all of them.

Owns: the number of steps that must be executed, the order of actions. Pure: numbers in, numbers out.
Must not know: what a step is, where its state lies, tapes and programs.
A chain of n steps is reversed from its last step to its first. To reverse a step, its tape is needed (what its adjoint
reads): a run of the step from the state before it writes one. States ("snapshots") and tapes lie in one room, which
is used as a stack, since what belongs to later steps is given back first. The state before the first step is there
anyhow.
Sources: Griewank and Walther, Algorithm 799: revolve, ACM TOMS 26 (2000), for states alone; for states or tapes
Pringle et al., Providing the ARCHER community with adjoint modelling tools (2016), and Maddison, Step-based
checkpointing with high-level algorithmic differentiation, J. Comput. Sci. 82 (2024).
Next: _scan_budget.pxi (who walks a schedule).
"""
from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

__all__ = ["ADVANCE", "RESTORE", "REVERSE", "SAVE", "TAPE", "Schedule", "Table", "Units", "binomial_steps", "in_room",
           "in_units", "reversed_within", "schedule", "steps_needed", "table"]

ADVANCE, SAVE, RESTORE, TAPE, REVERSE = range(5)
MOST_STEPS = 512                         # of a chain: longer loops are chains of groups of steps
MOST_UNITS = 256                         # in which a room is measured
LINE = 64                                # bytes of a cache line: units and rooms are whole ones


def binomial_steps(n: int, snapshots: int) -> int:
    """Steps executed to reverse n steps with so many snapshots beside the first state, by the closed form.

    Of each step the run that writes its tape is counted, too; one tape at a time is there.

    Parameters
    ----------
    n : int
    snapshots : int

    Returns
    -------
    int

    Examples
    --------
    >>> binomial_steps(10, 3)
    24
    """
    if n < 2:
        return n
    if snapshots == 0:
        return n * (n + 1) // 2
    repeats = 1
    while math.comb(snapshots + 1 + repeats, repeats) < n:
        repeats += 1
    return n + repeats * n - math.comb(snapshots + 1 + repeats, repeats - 1)


# ---- how many steps --------------------------------------------------------------------------------------------------

class Table(NamedTuple):
    """Least numbers of steps: `loose[m, u]` to reverse m steps in u units of room from a state that is at hand, and is
    lost when it is advanced; `held[m]` in all of the room from one that can be had again (the first one of all)."""

    loose: np.ndarray
    held: np.ndarray
    snapshot: int
    tape: int
    mixed: bool


def table(n: int, room: int, snapshot: int, tape: int, mixed: bool = True) -> Table:
    """By dynamic programming over the length of the chain."""
    loose, held = np.full((n + 1, room + 1), np.inf), np.full(n + 1, np.inf)
    loose[0] = held[0] = 0
    found = Table(loose, held, snapshot, tape, mixed)
    for m in range(1, n + 1):
        if mixed or m == 1:
            loose[m, tape:] = 1 + loose[m - 1, :room + 1 - tape]
        if m > 1:
            first = np.arange(1, m)
            if room >= snapshot:
                saved = first[:, None] + loose[m - first, :room + 1 - snapshot] + loose[first, snapshot:]
                loose[m, snapshot:] = np.minimum(loose[m, snapshot:], saved.min(0))
            held[m] = min(loose[m, room], (first + loose[m - first, room] + held[first]).min())
        else:
            held[m] = loose[m, room]
    return found


def steps_needed(n: int, room: int, snapshot: int = 1, tape: int = 1, mixed: bool = True) -> float:
    """The fewest steps with which a chain of n steps can be reversed; inf where the room does not suffice.

    Parameters
    ----------
    n : int
    room, snapshot, tape : int
        Units: how many there are, how many a state and the tape of a step take.
    mixed : bool, optional
        May tapes of several steps be kept?  False: states alone, and the tape of the step that is being reversed.

    Examples
    --------
    >>> steps_needed(10, 4), steps_needed(10, 4, mixed=False), steps_needed(10, 10)
    (17.0, 24.0, 10.0)
    """
    return float(table(n, room, snapshot, tape, mixed).held[n])


# ---- in which order --------------------------------------------------------------------------------------------------

class Schedule(NamedTuple):
    """What is to be done, in its order.

    Attributes
    ----------
    actions : ndarray of int64, shape (m, 4)
        Rows (what, i, j, at).  ADVANCE: from the state before step i to that before step j.  SAVE, RESTORE: the state
        before step i, to and from unit `at` of the room; -1: the state before the first step.  TAPE: run step i, and
        write its tape at `at`.  REVERSE: step i, from the tape at `at`.
    steps : int
        Executed in all, once and again.
    first : int
        Actions before the first REVERSE: those of the first run.
    places : ndarray of int64, shape (m,), or None
        Where on a disk an action has its state or its tape: the first byte; -1: nowhere.  None: there is no disk.
    disk : int
        Bytes there.
    """

    actions: np.ndarray
    steps: int
    first: int
    places: np.ndarray | None = None
    disk: int = 0


def schedule(n: int, room: int, snapshot: int = 1, tape: int = 1, mixed: bool = True) -> Schedule | None:
    """The order of actions with the fewest steps; None where the room does not suffice.

    Parameters
    ----------
    n : int
        Steps, at least 1.
    room, snapshot, tape, mixed
        As for `steps_needed`.

    Examples
    --------
    >>> schedule(2, 2, mixed=False).actions.tolist()      # no room for a second tape: the first step runs twice
    [[0, 0, 1, -1], [3, 1, 2, 0], [4, 1, 2, 0], [2, 0, 0, -1], [3, 0, 1, 0], [4, 0, 1, 0]]
    """
    costs = table(n, room, snapshot, tape, mixed)
    if not np.isfinite(costs.held[n]):
        return None
    array = np.array(carried_out(costs, room, Chain(0, n, 0, True)), dtype=np.int64).reshape(-1, 4)
    return Schedule(array, int(costs.held[n]), int(np.flatnonzero(array[:, 0] == REVERSE)[0]))


Action = tuple[int, int, int, int]


def reversed_within(costs: Table, room: int, start: int, n: int) -> list[Action]:
    """How to reverse n steps in all of the room, from the state before step `start`, which is at hand."""
    return carried_out(costs, room, Chain(start, n, 0, False))


class Chain(NamedTuple):
    """Steps that are to be reversed: so many from `start` on, whose first state is at hand, in the room from `at` on;
    `held`: this state can be had again."""

    start: int
    n: int
    at: int
    held: bool


def carried_out(costs: Table, room: int, whole: Chain) -> list[Action]:
    """All actions that reverse a chain."""
    actions: list[Action] = []
    tasks: list[Action | Chain] = [whole]                    # a stack: recursion would be as deep as the chain is long
    while tasks:
        task = tasks.pop()
        if isinstance(task, Chain):
            tasks += reversed(parts(costs, room, task))
        else:
            actions.append(task)
    return actions


def parts(costs: Table, room: int, whole: Chain) -> list[Action | Chain]:
    """How to reverse a chain: actions, and shorter chains."""
    start, n, at, held = whole
    if n == 0:
        return []
    left = room - at                     # (all of it, where the first state can be had again)
    here = costs.held if held else costs.loose[:, left]
    if (costs.mixed or n == 1) and left >= costs.tape and 1 + costs.loose[n - 1, left - costs.tape] == here[n]:
        return [(TAPE, start, start + 1, at), Chain(start + 1, n - 1, at + costs.tape, False),
                (REVERSE, start, start + 1, at)]
    rest = left if held else left - costs.snapshot
    if rest >= 0:
        first = np.arange(1, n)
        steps = first + costs.loose[n - first, rest] + here[first]
        i = int(first[np.argmin(steps)])
        if steps[i - 1] == here[n]:
            save = [] if held else [(SAVE, start, start, at)]
            return [*save, (ADVANCE, start, start + i, -1), Chain(start + i, n - i, at + left - rest, False),
                    (RESTORE, start, start, -1 if held else at), Chain(start, i, at, held)]
    return [Chain(start, n, at, False)]                      # a state that can be had again, and need not be


# ---- bytes -----------------------------------------------------------------------------------------------------------

class Units(NamedTuple):
    """A chain in whole units: groups of `group` steps are one step of the schedule."""

    unit: int                # bytes
    room: int
    snapshot: int
    tape: int
    group: int
    n: int


def grouped(n: int) -> tuple[int, int]:
    """(steps in a group, groups) for a loop of n steps."""
    group = -(-n // MOST_STEPS)
    return group, -(-n // group)


def least_room(n: int, snapshot: int, tape: int) -> int:
    """Bytes with which n steps can be reversed at all: the tape of one group (the first state is there)."""
    return -(-tape * grouped(n)[0] // LINE) * LINE


def in_units(n: int, room: int, snapshot: int, tape: int) -> Units | None:
    """Bytes measured in units that waste little; None where not even one group of steps can be reversed.

    Parameters
    ----------
    n : int
        Steps.
    room, snapshot, tape : int
        Bytes: what there is, what a state takes, what the tape of a step takes (both positive).

    Examples
    --------
    >>> in_units(1000, 8000, 1600, 800)
    Units(unit=1600, room=5, snapshot=1, tape=1, group=2, n=500)
    """
    group, groups = grouped(n)
    whole = tape * group
    if room < whole:
        return None
    best: tuple[float, Units] | None = None
    for size in {whole, snapshot}:
        for parts in range(1, 17):
            unit = -(-max(-(-size // parts), -(-room // MOST_UNITS)) // LINE) * LINE
            units = Units(unit, room // unit, -(-snapshot // unit), -(-whole // unit), group, groups)
            waste = max(units.snapshot * unit / snapshot, units.tape * unit / whole) * room / max(1, units.room * unit)
            if units.room >= units.tape and (best is None or waste < best[0] - 1e-3):
                best = waste, units
    if best is None:                     # room for one tape, and not in round numbers
        return Units(room, 1, 2, 1, group, groups)
    return best[1]


def in_room(n: int, room: int, snapshot: int, tape: int) -> tuple[Units, Schedule]:
    """The chain in a room of so many bytes, no fewer than `least_room`."""
    units = in_units(n, room, snapshot, tape)
    plan = None if units is None else schedule(units.n, units.room, units.snapshot, units.tape)
    assert units is not None and plan is not None
    return units, plan
