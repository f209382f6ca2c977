"""scan_checkpoints.py - time loops of which not every step is kept: how much room each one gets, and what lies there.

Owns: the bodies that run again on the way back, the record of a step, the share of a budget that each loop gets.
Must not know: how a schedule is found (checkpoints.py), how it is walked (_scan_budget.pxi), programs (memory.py).
Next: scan_rules.py (what is kept of a step), checkpoints.py.
"""
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastad import _tape as T
from fastad import checkpoints
from fastad._scan import CheckpointedScan, Scan, Walk
from fastad._spool import Plan
from fastad._transform import between
from fastad.disk import DiskChain
from fastad.scan_rules import KEPT, adjoint_of

__all__ = ["Rooms"]

LINE = 8                                 # float64 numbers in a cache line


class Chain(NamedTuple):
    """A loop whose steps need not all be kept; sizes in bytes."""

    value: Any               # Scans: see Walk
    taping: Any
    advance: Any
    taping_again: Any
    back: Any
    kept: tuple[tuple[int, int], ...]
    snapshot: int
    record: int

    def stored(self) -> int:
        """Bytes of all records."""
        return self.record * int(self.value.length)

    def least(self) -> int:
        """Bytes of the smallest room."""
        return checkpoints.least_room(self.value.length, self.snapshot, self.record)

    def attr(self, room: int) -> Any:
        """The instruction that keeps what fits in a room of so many bytes."""
        units, schedule = checkpoints.in_room(int(self.value.length), room, self.snapshot, self.record)
        return self.walked(Plan(schedule), units, units.unit * units.room)

    def attr_on_disk(self, room: int, spool: Any, most: int | None) -> Any:
        """The same, with so many bytes of a disk."""
        chain = DiskChain(int(self.value.length), room, self.snapshot, self.record, most)
        return self.walked(chain.plan, chain.units, chain.room, chain, spool.add(chain))

    def walked(self, plan: Any, units: Any, room: int, *disk: Any) -> Any:
        return CheckpointedScan(Walk(self.value, self.taping, self.advance, self.taping_again, self.back, self.kept,
                                     self.record // 8, plan, units.unit, units.group, room, *disk))


class Rooms:
    """How much each time loop of a tape may keep.

    Parameters
    ----------
    extra : float, optional
        Bytes for all of them beyond the smallest rooms.
    total : int, optional
        Bytes that they would keep in all, as a run with `extra` 0 has found: the shares are in proportion.
    spool : Spool, optional
        Files, of which they get their shares, too.
    """

    def __init__(self, extra: float = 0.0, total: int = 0, spool: Any = None) -> None:
        self.extra, self.total, self.spool = extra, total, spool
        self.made: list[tuple[Chain, Any]] = []

    def for_adjoint(self, scan: Any, active: tuple[bool, ...]) -> Any:
        """The loop that keeps what its adjoint reads, or some of it; None where there is nothing to keep."""
        chain = chain_of(scan, active)
        if chain is None:
            return scan.for_adjoint(active)
        share = self.extra * chain.stored() / self.total if self.total else 0.0
        room = max(chain.least(), min(chain.stored(), chain.least() + int(share)) // 64 * 64)
        if self.spool is None:
            attr = chain.attr(room)
        else:
            most = self.spool.place.most
            attr = chain.attr_on_disk(room, self.spool, None if most is None else most * chain.stored() // self.total)
        self.made.append((chain, attr))
        return attr


def chain_of(scan: Any, active: tuple[bool, ...]) -> Chain | None:
    """The parts of a loop that can do with less; None where its adjoint reads nothing, or this is no loop of f's."""
    found = scan.derived.get(("chain", active), False)
    if found is False:
        found = scan.derived["chain", active] = made_chain(scan, active)
    return found


def made_chain(scan: Any, active: tuple[bool, ...]) -> Chain | None:
    rule = adjoint_of(scan, active, fewest=True)
    holder, nc = rule.holder, scan.ncarry
    if rule.scan is None or holder is scan or scan.records:
        return None
    body, inner = holder.body, range(nc + scan.nstack, len(holder.body.outputs))
    found = [(body.outputs[k], k, holder.kept[k][0]) for k in holder.kept]
    found += [(body.outputs[k], k, holder.stacked[scan.nstack + j][0]) for j, k in enumerate(inner)]
    found.sort(key=lambda value: is_number(body, value[0]))              # arrays first: they begin with a cache line
    at, kept, recorded, places = 0, [], {}, {}
    for i, k, offset in found:
        places[offset] = at
        if k < nc:
            kept.append((k, at))
        else:
            recorded[k] = at
        at += padded(body, i)
    if not is_number(body, found[0][0]):
        at = -(-at // LINE) * LINE

    together = [at for _, at in kept] + list(recorded.values()) == list(range(at))   # numbers, and carries first
    span = checkpoints.grouped(int(scan.length))[0]

    def loop(tape: Any, into_record: dict[int, int]) -> Any:
        made = Scan(scan.name, tape, nc, scan.nslice, scan.length, scan.reverse, scan.sources, scan.avals)
        made.recorded.update(into_record)
        if into_record or tape is body:
            made.record_together([k for k, _ in kept] if together else (), list(into_record) if together else (), span)
        return made
    taping = loop(body, recorded)
    advance, taping_again = scan, taping
    if scan.nstack:
        carries = list(body.outputs[:nc])
        advance = loop(between(body, body.inputs, carries), {})
        taping_again = loop(between(body, body.inputs, carries + [body.outputs[k] for k in inner]),
                            {nc + j: recorded[k] for j, k in enumerate(inner)})
    old = rule.scan
    sources = [(KEPT, places[offset], at) if operand == KEPT else (operand, offset, stride)
               for operand, offset, stride in old.sources]
    back = Scan(old.name, old.body, old.ncarry, old.nslice, old.length, old.reverse, sources, old.avals)
    back.record_together((), (), span)
    snapshot = sum(padded(scan.body, i) for i in scan.body.outputs[:nc])
    return Chain(scan, taping, advance, taping_again, back, tuple(kept), 8 * snapshot, 8 * at)


def is_number(tape: Any, i: int) -> bool:
    return bool(T.aval_of(tape.instruction(i)[2])[1] == ())


def padded(tape: Any, i: int) -> int:
    """Room for a value, in numbers: an array has whole cache lines, and never touches its neighbour."""
    size = int(np.prod(T.aval_of(tape.instruction(i)[2])[1], dtype=np.int64))
    return 1 if is_number(tape, i) else (size + LINE) // LINE * LINE
