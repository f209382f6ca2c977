"""Schedules of disk_checkpoints.py: each step reversed once and in order, within the memory and the disk.

The witness carries them out; for short chains the number of steps is compared with what can be said without them.
"""
import math

import numpy as np
import pytest

from fastad import disk_checkpoints
from fastad.checkpoints import ADVANCE, RESTORE, REVERSE, SAVE, TAPE, Units, steps_needed
from fastad.disk import DiskChain
from fastad.disk_checkpoints import Costs, Measured, Sizes, buffers, expected, schedule
from tests.test_checkpoints import put


def carried_out(plan, units, sizes):
    """Do what a schedule says; the steps executed. Fails where anything is read that is not there."""
    here, held, disk, wanted, steps = 0, {}, {}, units.n - 1, 0
    for (what, i, j, at), place in zip(plan.actions.tolist(), plan.places.tolist(), strict=True):
        if what == ADVANCE:
            assert here == i < j
            here, steps = j, steps + j - i
        elif what in (SAVE, TAPE):
            assert here == i and j == i + (what == TAPE)
            if place >= 0:
                size = sizes.state if what == SAVE else sizes.tape
                disk = put(disk, place, size, (what, i), sizes.most)
            else:
                held = put(held, at, units.snapshot if what == SAVE else units.tape, (what, i), units.room)
            here, steps = j, steps + j - i
        elif what == RESTORE:
            assert (at, place, i) == (-1, -1, 0) or (disk[place] if place >= 0 else held[at])[1] == (SAVE, i)
            here = i
        else:
            assert what == REVERSE and i == wanted
            assert (disk[place] if place >= 0 else held[at])[1] == (TAPE, i)
            wanted -= 1
    assert wanted == -1
    return steps


@pytest.mark.parametrize("state, tape", [(64, 64), (192, 64), (64, 192)])
@pytest.mark.parametrize("most", [0, 64, 500, 3000, 10**9])
def test_a_schedule_reverses_every_step_once_and_in_order(state, tape, most):
    for n in (1, 2, 5, 13, 60):
        for room in (0, 1, 3, 10):
            units, sizes = Units(64, room, -(-state // 64), -(-tape // 64), 1, n), Sizes(state, tape, most)
            for cost in (0.01, 0.3, 3.0, 50.0):
                costs = Costs(cost, cost, cost, cost)
                plan = schedule(units, sizes, costs, 256)
                in_memory = steps_needed(n, room, units.snapshot, units.tape)
                if plan is None:
                    assert room < units.tape and most < tape
                    continue
                assert carried_out(plan, units, sizes) == plan.steps and plan.disk <= most
                assert expected(plan, costs) <= in_memory + 1e-9
                if most >= n * tape and cost < 0.1:
                    assert plan.steps == n               # nothing runs twice
                if cost == 50.0 and math.isfinite(in_memory) and n < 13:
                    assert plan.steps == in_memory and plan.disk == 0


def test_what_does_not_fit_into_a_buffer_stays_in_memory():
    units, sizes = Units(64, 8, 4, 1, 1, 40), Sizes(256, 64, 10**6)
    plan = schedule(units, sizes, Costs(0.5, 0.5, 0.0, 0.0), 64)
    assert not np.any((plan.places >= 0) & np.isin(plan.actions[:, 0], (SAVE, RESTORE)))
    assert carried_out(plan, units, sizes) == plan.steps
    assert buffers(64 * 8, 256, 64) == (256, 1) and buffers(128, 256, 64) == (64, 1) and buffers(6400, 64, 64)[1] == 4


def test_more_of_a_disk_means_fewer_steps():
    units, costs = Units(64, 3, 1, 1, 1, 100), Costs(0.05, 0.05, 0.05, 0.05)
    plans = [schedule(units, Sizes(64, 64, most), costs, 64) for most in (128, 640, 1600, 3200, 6400)]
    steps = [plan.steps for plan in plans]
    assert steps == sorted(steps, reverse=True) and steps[-1] == 100 and steps[0] < steps_needed(100, 3)
    assert steps[2] < 260 and steps[3] < 170             # (a quarter and a half of what would be wanted)


def test_what_a_transfer_costs_is_what_nothing_hides():
    sizes = Sizes(2000, 1000, 10**6)
    measured = Measured(1e-3, 2e-3, 1.5e-6, 1e-6)        # 1.5 ms for a tape to be written, beside a step of 1 ms
    overhead = disk_checkpoints.HANDOVER / 1e-3
    np.testing.assert_allclose(measured.costs(sizes, True), [0.5 + overhead, overhead, 2.0 + overhead, overhead])
    np.testing.assert_allclose(measured.costs(sizes, False), np.array([1.5, 1.0, 3.0, 2.0]) + overhead)
    assert measured.least(Measured(2e-3, 1e-3, 3e-6, 5e-7)) == Measured(1e-3, 1e-3, 1.5e-6, 5e-7)


def sweep(chain, forward, back, write, read):
    """Rows as of a lease's results, for seconds a step and a byte."""
    n = 10
    rows = [[forward * 1e9 * n, n, 1000, write * 1e12], [back * 1e9 * n, n, 1000, read * 1e12]]
    return chain.learn(*np.array(rows).astype(np.int64))


def test_a_plan_changes_when_transfers_turn_out_to_be_slow():
    chain = DiskChain(200, 20_000, 1000, 1000, None)
    before = chain.plan.schedule
    assert before.steps == 200 and before.disk > 150_000
    assert not sweep(chain, 1e-3, 2e-3, 1e-8, 1e-8) and not sweep(chain, 1e-3, 2e-3, 1e-8, 1e-8)
    assert chain.plan.schedule is before                 # fast ones change nothing
    slow = DiskChain(200, 20_000, 1000, 1000, None)
    assert not sweep(slow, 1e-5, 2e-5, 1e-6, 1e-6)       # one sweep may have been disturbed
    assert sweep(slow, 1e-5, 2e-5, 1e-6, 1e-6)
    after = slow.plan.schedule
    assert after.steps > 200 and after.disk < before.disk and slow.room == chain.room
    assert carried_out(after, slow.units, slow.sizes) == after.steps


def test_a_disk_with_room_for_nothing_leaves_the_memory_to_the_steps():
    chain = DiskChain(50, 1024, 1024, 1024, 100)
    assert chain.buffers == 0 and chain.plan.schedule.steps == steps_needed(50, 1)
