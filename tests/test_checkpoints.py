"""Schedules of checkpoints.py: each step reversed once and in order, within the room, with the fewest steps possible.

The witness for the number of steps is a search over all that could be done, written without the recurrences.
"""
import math
from functools import lru_cache

import pytest

from fastad.checkpoints import (
    ADVANCE,
    RESTORE,
    REVERSE,
    SAVE,
    TAPE,
    binomial_steps,
    in_units,
    least_room,
    schedule,
    steps_needed,
    table,
)


def carried_out(plan, n, room, snapshot, tape):
    """Do what a schedule says; the steps executed. Fails where anything is read that is not there."""
    here, held, wanted, steps, peak = 0, {}, n - 1, 0, 0
    for what, i, j, at in plan.actions.tolist():
        if what == ADVANCE:
            assert here == i < j
            here, steps = j, steps + j - i
        elif what == SAVE:
            assert here == i and j == i
            held = put(held, at, snapshot, ("state", i), room)
        elif what == TAPE:
            assert here == i and j == i + 1
            held = put(held, at, tape, ("tape", i), room)
            here, steps = j, steps + 1
        elif what == RESTORE:
            assert at == -1 and i == 0 or held[at][1] == ("state", i)
            here = i
        else:
            assert what == REVERSE and i == wanted and held[at][1] == ("tape", i)
            wanted -= 1
        peak = max([peak, *(start + size for start, (size, _) in held.items())])
    assert wanted == -1 and peak <= room
    return steps


def put(held, at, size, what, room):
    """What is overwritten is gone; nothing is overwritten in part and read later."""
    assert at >= 0 and at + size <= room
    return {start: x for start, x in held.items() if start + x[0] <= at or start >= at + size} | {at: (size, what)}


@pytest.mark.parametrize("mixed", [True, False])
@pytest.mark.parametrize("sizes", [(1, 1), (2, 1), (1, 3), (3, 2)])
def test_a_schedule_reverses_every_step_once_and_in_order_within_the_room(mixed, sizes):
    for n in (1, 2, 3, 5, 7, 13, 31, 60):
        for room in range(13):
            plan = schedule(n, room, *sizes, mixed)
            if plan is None:
                assert room < sizes[1]
                continue
            assert carried_out(plan, n, room, *sizes) == plan.steps == steps_needed(n, room, *sizes, mixed)
            kinds = plan.actions[:plan.first + 1, 0].tolist()
            assert kinds[-1] == REVERSE and REVERSE not in kinds[:-1]


def fewest(n, room, snapshot, tape, mixed):
    """By search over configurations: which states and tapes are held, where the walk is.  For small n only."""
    frontier, seen = {(0, frozenset(), n)}, set()
    costs = {0: frontier}
    for steps in range(n * n + 1):
        todo = list(costs.get(steps, ()))
        while todo:
            here, held, left = todo.pop()
            if (here, held, left) in seen:
                continue
            seen.add((here, held, left))
            if left == 0:
                return steps
            for cost, then in moves(here, held, left, room, snapshot, tape, mixed):
                if cost == 0:
                    todo.append(then)
                else:
                    costs.setdefault(steps + 1, set()).add(then)
    return math.inf


def moves(here, held, left, room, snapshot, tape, mixed):
    used = sum([snapshot if kind == "state" else tape for kind, _ in held])
    for item in held:                                         # forget, or go back
        yield 0, (here, held - {item}, left)
        if item[0] == "state":
            yield 0, (item[1], held, left)
    yield 0, (0, held, left)
    if ("tape", left - 1) in held:
        yield 0, (here, held - {("tape", left - 1)}, left - 1)
    if here < left:
        yield 1, (here + 1, held, left)
        if used + snapshot <= room and here:
            yield 0, (here, held | {("state", here)}, left)
        if used + tape <= room and (mixed or here == left - 1):
            yield 1, (here + 1, held | {("tape", here)}, left)


@pytest.mark.parametrize("mixed", [True, False])
def test_no_search_finds_a_way_with_fewer_steps(mixed):
    for sizes, largest in (((1, 1), 7), ((2, 1), 6), ((1, 2), 6)):
        for n in range(1, largest):
            for room in range(1, 5):
                assert steps_needed(n, room, *sizes, mixed) == fewest(n, room, *sizes, mixed), (sizes, n, room)


def test_the_closed_form_of_revolve_for_all_n_up_to_60_and_12_snapshots():
    @lru_cache(None)
    def brute(n, s):                                          # Griewank and Walther's recurrence, over all positions
        if n < 2:
            return n
        if s == 0:
            return n * (n + 1) // 2
        return min(i + brute(n - i, s - 1) + brute(i, s) for i in range(1, n))
    for s in range(13):
        for n in range(1, 61):
            assert binomial_steps(n, s) == brute(n, s) == steps_needed(n, s + 1, mixed=False)


def test_mixed_schedules_for_all_n_up_to_60_and_12_units_are_the_published_optimum():
    @lru_cache(None)
    def published(n, s):                                      # Maddison (2024), with the working tape outside of s
        if n <= s + 1:
            return n
        if s == 1:
            return n * (n + 1) // 2 - 1
        return min([1 + published(n - 1, s - 1)] + [i + published(i, s) + published(n - i, s - 1) for i in range(2, n)])
    loose = table(60, 13, 1, 1).loose                         # there the first state takes a unit, too
    for s in range(1, 13):
        for n in range(2, 61):
            assert loose[n, s + 1] == published(n, s)


def test_the_published_figures_for_1000_steps():
    """spyro#390: 3.92 times as many steps with 10 snapshots, mixed, against 4.62 by revolve; 2.13 and 3.09 with 40."""
    assert steps_needed(1000, 10) == 3922
    assert binomial_steps(1000, 9) == 4636 == steps_needed(1000, 10, mixed=False)
    assert steps_needed(1000, 40) == 2142
    assert binomial_steps(1000, 39) == 3097
    assert carried_out(schedule(1000, 10), 1000, 10, 1, 1) == 3922


def test_units_hold_what_they_promise():
    for n in (1, 17, 512, 513, 100_000):
        for snapshot, tape in ((64, 64), (24, 24), (640_000, 320_000), (8, 5_000_000), (7_000_000, 640)):
            least = least_room(n, snapshot, tape)
            assert in_units(n, least - 64, snapshot, tape) is None
            for room in (least, 2 * least, least + 3 * snapshot, 40 * least + 64):
                units = in_units(n, room, snapshot, tape)
                assert units.unit * units.room <= room and units.unit * units.snapshot >= snapshot
                assert units.unit * units.tape >= tape * units.group and (units.n - 1) * units.group < n
                assert n <= units.n * units.group and units.n <= 512
                assert units.tape <= units.room
