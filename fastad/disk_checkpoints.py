"""disk_checkpoints.py - which states and which tapes of a chain of steps go to a disk when memory has no room for them.

Owns: the schedule with two levels, memory and disk, for what transfers and steps cost; what they are found to cost.
Pure: numbers in, numbers out.
Must not know: files and threads (_spool.pyx), what a step is, where its state lies.
What is kept in memory is as in checkpoints.py.  On the way through the chain there is a third choice at each step: its
tape is written to the disk, and the next step is looked at with all of the memory still free; or the state before it
is, and some steps further on the chain goes on likewise (these steps run again later, from the state that is read
back, within the memory).  Where the disk has a bound, its bytes have a price on the first part of the way, so that
states are kept there and tapes on the rest of it; and if even that is too much, the chain is reversed in parts, the
last first, each of which has all of the disk.  Prices, and where they end, are tried.
A transfer runs in the shadow of the sweep: it costs what it takes longer than the step beside which it runs.
Source: Aupy, Herrmann, Hovland and Robert, Optimal multistage algorithm for adjoint computation, SIAM J. Sci. Comput.
38 (2016), for states alone and with transfers that nothing hides.
Next: checkpoints.py, disk.py (who asks).
"""
from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastad import checkpoints
from fastad.checkpoints import ADVANCE, RESTORE, REVERSE, SAVE, TAPE, Schedule, Units

__all__ = ["Costs", "Measured", "Sizes", "buffers", "expected", "schedule"]

PRICES = (1.0, 4.0, 16.0, 64.0)          # of the room of a tape, in steps, where there is not enough of it
HALVINGS = 5                             # of the chain, to find where the price begins
ASSUMED = 0.2                            # steps that the transfer of a tape costs, before anything has been measured
HANDOVER = 5e-6                          # seconds that a transfer costs at least
MOST_BUFFERS = 4
LINE = checkpoints.LINE


class Sizes(NamedTuple):
    """Bytes on the disk: of a state, of the tape of a step of the schedule, of all that may be there at a time."""

    state: int
    tape: int
    most: int


class Costs(NamedTuple):
    """Of transfers, in units of a step that is executed."""

    write_tape: float
    read_tape: float
    write_state: float
    read_state: float


def assumed(sizes: Sizes) -> Costs:
    """What is taken for granted at first: a disk whose cache is about as fast as the steps are."""
    state = ASSUMED * sizes.state / sizes.tape
    return Costs(ASSUMED / 2, ASSUMED / 2, state / 2, state / 2)


class Measured(NamedTuple):
    """Seconds: of a step forwards, of one backwards; for each byte that is written, and that is read."""

    forward: float
    back: float
    write: float
    read: float

    def least(self, other: Measured) -> Measured:
        """The smaller of each: what disturbs a measurement makes it larger."""
        return Measured(*np.minimum(self, other).tolist())

    def costs(self, sizes: Sizes, shadow: bool) -> Costs:
        """What transfers of these sizes cost; shadow: is there a processor for them beside that of the sweep?"""
        def cost(time: float, beside: float) -> float:
            return (max(0.0, time - (beside if shadow else 0.0)) + HANDOVER) / self.forward
        return Costs(cost(self.write * sizes.tape, self.forward), cost(self.read * sizes.tape, self.back),
                     cost(self.write * sizes.state, self.forward), cost(self.read * sizes.state, self.back))


def expected(plan: Schedule, costs: Costs) -> float:
    """What a schedule costs, in steps, beside its steps backwards."""
    assert plan.places is not None
    by_action = {TAPE: costs.write_tape, REVERSE: costs.read_tape, SAVE: costs.write_state, RESTORE: costs.read_state}
    what = plan.actions[plan.places >= 0, 0]
    return plan.steps + sum([cost * np.count_nonzero(what == action) for action, cost in by_action.items()])


def buffers(room: int, state: int, tape: int) -> tuple[int, int]:
    """(bytes of a buffer, how many of them) out of a room: several, if that leaves half of it; a state finds a place
    in one if it does in the room."""
    size = -(-max(tape, state) // LINE) * LINE
    if size > room:
        size = -(-tape // LINE) * LINE
    return size, max(1, min(MOST_BUFFERS, room // (2 * size)))


# ---- how many steps --------------------------------------------------------------------------------------------------

class Choices(NamedTuple):
    """Costs, in steps, to reverse m steps and how: `thence[m]` from a state that is lost when it is advanced, with all
    of the memory and the disk (how: MEMORY, ON_DISK: the tape of the first step; j: its state, and j steps on);
    `again[m]` from a state on the disk, within the memory alone (MEMORY or j steps on); `whole[m]` from the first state
    of all (MEMORY: as `thence`; or j steps on).  `used[m]`: bytes on the disk of `thence`."""

    thence: np.ndarray
    again: np.ndarray
    whole: np.ndarray
    how_thence: np.ndarray
    how_again: np.ndarray
    how_whole: np.ndarray
    used: np.ndarray


MEMORY, ON_DISK = 0, -1


def choices(n: int, loose: np.ndarray, sizes: Sizes, costs: Costs, states: bool, price: float, free: int) -> Choices:
    """By dynamic programming over the length of the chain; price: of the bytes of a tape, in steps, but in the last
    `free` steps of the way."""
    found = [np.zeros(n + 1) for _ in range(3)] + [np.zeros(n + 1, dtype=np.int64) for _ in range(4)]
    thence, again, whole, how_thence, how_again, how_whole, used = found
    dear = np.zeros(n + 1)               # `thence` with the price of its bytes
    tape = 1 + costs.write_tape + costs.read_tape
    state, dearer = costs.write_state + costs.read_state, sizes.state / sizes.tape
    for m in range(1, n + 1):
        first, paid = np.arange(1, m), price if m > free else 0.0
        options = [(loose[m], loose[m], MEMORY, 0),
                   (tape + paid + dear[m - 1], tape + thence[m - 1], ON_DISK, sizes.tape + used[m - 1])]
        again[m] = loose[m]
        if m > 1 and states:
            steps = first + loose[m - first] + costs.read_state + again[first]
            j = int(np.argmin(steps))
            if steps[j] < again[m]:
                again[m], how_again[m] = steps[j], j + 1
            steps = first + dear[m - first] + again[first]
            j = int(np.argmin(steps))
            options.append((state + dearer * paid + steps[j], state + j + 1 + thence[m - 1 - j] + again[j + 1], j + 1,
                            sizes.state + used[m - 1 - j]))
        dear[m], thence[m], how_thence[m], used[m] = min(options, key=lambda option: option[0])
        whole[m] = thence[m] if used[m] <= sizes.most else np.inf
        if m > 1:
            steps = np.where(used[m - first] <= sizes.most, first + thence[m - first] + whole[first], np.inf)
            j = int(np.argmin(steps))
            if steps[j] < whole[m]:
                whole[m], how_whole[m] = steps[j], j + 1
    return Choices(*found)


def best_choices(n: int, loose: np.ndarray, sizes: Sizes, costs: Costs, states: bool) -> Choices:
    """Those that cost least of what fits on the disk."""
    best = choices(n, loose, sizes, costs, states, 0.0, n)
    if best.used[n] <= sizes.most:
        return best
    for price in PRICES:
        free, high = 0, 0                # it fits where the price begins so late; and no longer there
        while True:
            found = choices(n, loose, sizes, costs, states, price, (free + high) // 2)
            best = min(best, found, key=lambda c: float(c.whole[n]))
            fits = found.used[n] <= sizes.most
            if not high and not fits:
                break
            free, high = ((free + high) // 2, high or n) if fits else (free, (free + high) // 2)
            if high - free <= max(1, n >> HALVINGS):
                break
    return best


# ---- in which order --------------------------------------------------------------------------------------------------

class Chain(NamedTuple):
    """Steps that are to be reversed: so many from `start` on; `place`: the first byte of the disk that is free, or that
    of their first state.  kind: a field of `Choices`."""

    kind: str
    start: int
    n: int
    place: int


Action = tuple[int, int, int, int, int]      # with the place on the disk, -1: none


def schedule(units: Units, sizes: Sizes, costs: Costs, buffer: int) -> Schedule | None:
    """The order of actions; None where neither memory nor disk suffices.

    Parameters
    ----------
    units : Units
        The chain, and the room in memory, which may be none (0 units).
    sizes : Sizes
    costs : Costs
    buffer : int
        Bytes that can be transferred at once: a larger state stays in memory.

    Examples
    --------
    >>> units = Units(64, 0, 1, 1, 1, 2)                       # two steps, and no room at all
    >>> plan = schedule(units, Sizes(64, 64, 128), Costs(0.1, 0.1, 0.1, 0.1), 64)
    >>> plan.actions.tolist(), plan.places.tolist()
    ([[3, 0, 1, -1], [3, 1, 2, -1], [4, 1, 2, -1], [4, 0, 1, -1]], [0, 64, 64, 0])
    """
    table = checkpoints.table(units.n, units.room, units.snapshot, units.tape)
    best = best_choices(units.n, table.loose[:, units.room], sizes, costs, sizes.state <= buffer)
    if not min(best.whole[-1], table.held[-1]) < np.inf:
        return None
    if table.held[-1] <= best.whole[-1]:
        within = checkpoints.schedule(units.n, units.room, units.snapshot, units.tape)
        assert within is not None
        return within._replace(places=np.full(len(within.actions), -1))
    actions: list[Action] = []
    tasks: list[Action | Chain] = [Chain("whole", 0, units.n, 0)]
    while tasks:
        task = tasks.pop()
        if not isinstance(task, Chain):
            actions.append(task)
        elif task.kind == "memory":
            actions += [(*action, -1) for action in checkpoints.reversed_within(table, units.room, task.start, task.n)]
        elif task.n:
            tasks += reversed(parts(best, task, sizes))
    rows = np.array(actions, dtype=np.int64).reshape(-1, 5)
    moves = rows[np.isin(rows[:, 0], (ADVANCE, TAPE))]
    used = rows[:, 4] + np.where(np.isin(rows[:, 0], (TAPE, REVERSE)), sizes.tape, sizes.state)
    return Schedule(rows[:, :4].copy(), int((moves[:, 2] - moves[:, 1]).sum()),
                    int(np.flatnonzero(rows[:, 0] == REVERSE)[0]), rows[:, 4].copy(),
                    int(used[rows[:, 4] >= 0].max(initial=0)))


def parts(found: Choices, whole: Chain, sizes: Sizes) -> list[Action | Chain]:
    """How to reverse a chain: actions, and shorter chains."""
    kind, start, n, place = whole
    how = int(getattr(found, f"how_{kind}")[n])
    onward = (ADVANCE, start, start + how, -1, -1)
    if kind == "whole":
        if how == MEMORY:
            return [Chain("thence", start, n, place)]
        return [onward, Chain("thence", how, n - how, place), (RESTORE, 0, 0, -1, -1), Chain("whole", 0, how, place)]
    if how == MEMORY:
        return [Chain("memory", start, n, place)]
    if kind == "again":
        return [onward, Chain("memory", start + how, n - how, place), (RESTORE, start, start, -1, place),
                Chain("again", start, how, place)]
    if how == ON_DISK:
        return [(TAPE, start, start + 1, -1, place), Chain("thence", start + 1, n - 1, place + sizes.tape),
                (REVERSE, start, start + 1, -1, place)]
    return [(SAVE, start, start, -1, place), onward, Chain("thence", start + how, n - how, place + sizes.state),
            (RESTORE, start, start, -1, place), Chain("again", start, how, place)]
