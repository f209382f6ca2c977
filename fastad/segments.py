"""segments.py - where the gradient of a long program is cut, and what crosses the cuts.

Owns: the choice of cuts in the primal order (where few bytes are alive: between the steps of a time loop, without any
annotation), the segment to which each derivative instruction belongs, the values that are handed on, where they lie.
Must not know: how segments are run (_segments.pyx), which schedule is best (checkpoints.py), budgets (memory.py).
What is alive at a cut is the state before a segment.  The reverse part of a segment reads its record: values of the
segment itself or of its state.  A state that is saved holds only what the records of later segments ask for.  What
lives through many segments, results, and what code of the user's has returned are stored once (`lasting`).
Derivative code stands in the order of the way back, so that its segments follow from what it reads.
Next: _segments.pyx, memory.py.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad import checkpoints
from fastad._segments import Segments, part
from fastad._spool import Plan
from fastad.disk import DiskChain, Spool

__all__ = ["TOGETHER", "Cut", "Parts"]

LEAVES = ("input", "const", "capture")
CHECKS = ("guard", "wrap")
FIRST, FIRST_TAPE, AGAIN, AGAIN_TAPE, BACK, KINDS = range(6)
LEAF, STORE, RECORD = range(3)
LINE = 64
MOST_BYTES = 48                          # different heights at which the live set is tried to be cut
TOGETHER = (1, 2, 3, 4, 6, 8, 12, 16)    # segments that may become one
A_RUN = 0.5                              # of the time of a short segment: to hand over its state, whatever its length
WORTH = 1.05                             # longer segments are longer compiled: they must be faster by that
Address = tuple[int, int]


class Columns:
    """The instructions of a gradient tape, read once."""

    def __init__(self, tape: Any) -> None:
        self.tape, self.n, self.boundary = tape, len(tape) + 1, int(tape.boundary)
        found = [("nop", (), 0, None), *(tape.instruction(i) for i in range(1, self.n))]
        self.op = [x[0] for x in found]
        self.operands = [x[1] for x in found]
        self.aval = [x[2] for x in found]
        self.attr = [x[3] for x in found]
        sizes = {a: nbytes(a) for a in set(self.aval)}
        self.bytes = [0, *(sizes[a] for a in self.aval[1:])]
        self.leaf = [op in LEAVES or op == "nop" for op in self.op]
        self.last = list(range(self.n))      # the last primal instruction that reads a value
        for i in range(1, self.boundary):
            for x in self.operands[i]:
                self.last[x] = i
        self.read = {x for i in range(self.boundary, self.n) for x in self.operands[i]
                     if x < self.boundary and not self.leaf[x]}

    def place(self, i: int) -> str:
        """The line of f that belongs to value i, or to the nearest before it, else after it, that has a line."""
        nearest = (*range(i, 0, -1), *range(i + 1, self.boundary))
        return next((found for found in map(self.tape.location, nearest) if found), "?")

    def checks(self, i: int) -> bool:
        """Does instruction i find out whether the tape still holds?"""
        return self.op[i] in CHECKS or (self.op[i] == "lapack" and self.attr[i].key[1] == "chol")


def nbytes(aval: int) -> int:
    """Room for a value: an array has whole cache lines, and never touches its neighbour."""
    dtype, shape = T.aval_of(aval)
    if shape == ():
        return 8
    return (int(np.prod(shape, dtype=np.int64)) * np.dtype(T.DTYPES[dtype]).itemsize + LINE) // LINE * LINE


# ---- where to cut ----------------------------------------------------------------------------------------------------

def alive(c: Columns, span: int) -> np.ndarray:
    """Bytes alive before each primal instruction, what lives longer than `span` instructions left aside."""
    change = np.zeros(c.boundary + 1)
    for x in range(1, c.boundary):
        if not c.leaf[x] and 0 < c.last[x] - x <= span:
            change[x + 1] += c.bytes[x]
            change[c.last[x] + 1] -= c.bytes[x]
    return np.cumsum(change)[:c.boundary]


def places(c: Columns) -> list[int]:
    """Instructions before which the primal order is cut."""
    span = c.boundary // 8
    height = alive(c, span)
    first = next((i for i in range(1, c.boundary) if not c.leaf[i]), c.boundary)
    kept = np.zeros(c.boundary + 1)
    for x in c.read:
        kept[x] += c.bytes[x] if c.last[x] - x <= span else 0
    total = np.cumsum(kept)
    apart = -(-c.boundary // (checkpoints.MOST_STEPS - 1))
    best: tuple[float, list[int]] = (np.inf, [])
    heights = np.unique(height[first + 1:][height[first + 1:] <= np.median(height[first + 1:])])
    for bound in heights[np.unique(np.linspace(0, len(heights) - 1, MOST_BYTES).astype(int))] if len(heights) else ():
        low = np.flatnonzero(height <= bound)
        found = thinned(low[low > first].tolist(), total, apart, 0.0)
        most = largest(found, total)
        found = thinned(found, total, apart, 0.5 * most)     # a cut must be worth its while
        need = bound + 8 * largest(found, total)
        if found and need < best[0]:
            best = need, found
    return best[1]


def smallest_live_set(c: Columns) -> tuple[float, str]:
    """(bytes alive where fewest are while the first half of what derivative code reads is there, the line whose value
    is the largest among them): why a program cannot be cut."""
    height = alive(c, c.boundary)
    kept = np.zeros(c.boundary)
    for x in c.read:
        kept[x] += c.bytes[x]
    total = np.cumsum(kept)
    inner = np.flatnonzero((total > 0.25 * total[-1]) & (total < 0.75 * total[-1]))
    if len(inner) == 0:
        inner = np.arange(1, c.boundary)
    at = int(inner[np.argmin(height[inner])])
    living = [x for x in range(1, at) if not c.leaf[x] and c.last[x] >= at]
    place = c.place(max(living, key=lambda x: c.bytes[x])) if living else "?"
    return float(height[at]), place


def thinned(found: list[int], total: np.ndarray, apart: int, least: float) -> list[int]:
    """Of these cuts those that are so many instructions and recorded bytes apart."""
    kept, last = [], 0
    for i in found:
        if i - last >= apart and total[i - 1] - total[max(0, last - 1)] >= least:
            kept.append(i)
            last = i
    return kept


def largest(found: list[int], total: np.ndarray) -> float:
    """Recorded bytes of the largest segment."""
    ends = [1, *found, len(total) - 1]
    return float(max([total[b - 1] - total[a - 1] for a, b in zip(ends, ends[1:], strict=False)]))


# ---- what crosses ----------------------------------------------------------------------------------------------------

class Cut:
    """A gradient tape in segments.

    Parameters
    ----------
    tape : Tape
        A gradient; derivative code begins at its boundary.
    quiet : bool
        Do floating-point exceptions in derivative code say nothing?
    cuts : list of int, optional
        Instructions before which it is cut, ascending.
    """

    def __init__(self, tape: Any, quiet: bool = True, cuts: list[int] | None = None) -> None:
        self.c = c = Columns(tape)
        self.quiet = quiet
        if cuts is None:
            self.divide_best(places(c))
        else:
            self.divide(cuts)
        self.find_adjoints()
        self.place()

    def divide(self, cuts: list[int]) -> float:
        """What must be kept for segments that end there; about how many bytes that makes."""
        c = self.c
        self.cuts, self.m = cuts, len(cuts) + 1
        self.segment = np.searchsorted(np.array(cuts, dtype=np.int64), np.arange(c.boundary), "right").tolist()
        self.staged()
        self.find_lasting()
        self.find_records()
        self.find_states()
        states, records = ([sum([c.bytes[x] for x in values]) for values in sets]
                           for sets in (self.needed, self.records))
        return 4.0 * max(states) + 2.0 * max(records[:-1], default=0) + records[-1]

    def divide_best(self, cuts: list[int]) -> None:
        """The last segment never runs again: what is done once, after the time loop, belongs into it."""
        sizes = {k: self.divide(cuts[:len(cuts) - k]) for k in (0, 1, 2, 3, 5, 8) if 4 * k <= len(cuts)}
        self.divide(cuts[:len(cuts) - min(sizes, key=lambda k: (sizes[k], k))])

    def crossing(self, x: int) -> int:
        """How many cuts the primal value x lives across."""
        return int(self.segment[self.c.last[x]] - self.segment[x])

    def staged(self) -> None:
        """The segment of each derivative instruction: the last one in which what it reads is at hand."""
        c = self.c
        self.most = max(4, self.m // 8)
        self.results = [x for x in c.tape.outputs if not c.leaf[x]]
        self.lasting = {x for x in self.results if x < c.boundary}
        self.lasting |= {x for x in range(1, c.boundary) if not c.leaf[x]
                         and (self.crossing(x) > self.most or (c.op[x] == "call" and type(c.attr[x]) is T.Call))}
        stage, self.stage = self.m - 1, [0] * c.n
        for i in range(c.boundary, c.n):
            for x in c.operands[i]:
                if x < c.boundary and not c.leaf[x] and x not in self.lasting:
                    stage = min(stage, self.segment[c.last[x]])
            self.stage[i] = stage

    def find_lasting(self) -> None:
        """Derivative values that are results or live through many segments, too; and how far the others live."""
        c = self.c
        self.until = {}                      # derivative value, or primal one that is read later: its last stage
        for i in range(c.boundary, c.n):
            for x in c.operands[i]:
                if not c.leaf[x] and (x >= c.boundary or self.stage[i] < self.segment[x]):
                    self.until[x] = self.stage[i]
        self.lasting |= {x for x in self.results if x >= c.boundary}
        self.lasting |= {x for x, stage in self.until.items() if self.born(x) - stage > self.most}

    def born(self, x: int) -> int:
        """The stage of the way back from which on x is at hand."""
        return int(self.segment[x] if x < self.c.boundary else self.stage[x])

    def find_records(self) -> None:
        """What the reverse part of each segment reads of it."""
        c = self.c
        self.records: list[set[int]] = [set() for _ in range(self.m)]
        for i in range(c.boundary, c.n):
            for x in c.operands[i]:
                if x < c.boundary and not c.leaf[x] and x not in self.lasting:
                    self.records[max(self.stage[i], self.segment[x])].add(x)

    def find_states(self) -> None:
        """What is alive before each segment; what of it the records of this and later ones ask for."""
        c = self.c
        self.states: list[set[int]] = [set() for _ in range(self.m + 1)]
        for x in range(1, c.boundary):
            if not c.leaf[x] and x not in self.lasting:
                for j in range(self.segment[x] + 1, self.segment[c.last[x]] + 1):
                    self.states[j].add(x)
        self.needed: list[set[int]] = [set() for _ in range(self.m + 1)]
        for j in range(self.m - 2, -1, -1):
            self.needed[j] = self.collected(j, self.records[j] | self.needed[j + 1], False)[1]
            assert self.needed[j] <= self.states[j]

    def collected(self, j: int, wanted: Iterable[int], checks: bool) -> tuple[list[int], set[int]]:
        """(instructions of segment j that compute these, what they need from before it)."""
        c = self.c
        begin, end = ([1, *self.cuts, c.boundary][j + k] for k in (0, 1))
        need: set[int] = set()
        before: set[int] = set()
        todo = set(wanted)
        if checks:
            todo |= {i for i in range(begin, end) if c.checks(i)}
        for x in todo:
            (need if self.inside(x, j, checks) else before).add(x)
        for i in range(end - 1, begin - 1, -1):
            if i in need:
                for x in c.operands[i]:
                    (need if self.inside(x, j, checks) else before).add(x)
        return sorted(need), {x for x in before if not c.leaf[x] and x not in self.lasting}

    def inside(self, x: int, j: int, first: bool) -> bool:
        """Is x computed in segment j?  What lasts is, the first time."""
        return not self.c.leaf[x] and self.segment[x] == j and (first or x not in self.lasting)

    def find_adjoints(self) -> None:
        """What the reverse part of segment j leaves to those of the segments before it."""
        self.adjoints: list[set[int]] = [set() for _ in range(self.m + 1)]
        for x, stage in self.until.items():
            if x not in self.lasting:
                for j in range(stage + 1, self.born(x) + 1):
                    self.adjoints[j].add(x)

    # -- where it lies
    def place(self) -> None:
        c, m = self.c, self.m
        self.lasting_first: list[list[int]] = [[] for _ in range(m)]
        self.lasting_back: list[list[int]] = [[] for _ in range(m)]
        for x in sorted(self.lasting):
            (self.lasting_first if x < c.boundary else self.lasting_back)[self.born(x)].append(x)
        self.of_stage: list[list[int]] = [[] for _ in range(m)]
        for i in range(c.boundary, c.n):
            if not c.leaf[i]:
                self.of_stage[self.stage[i]].append(i)
        self.leaf_index = {x: k for k, x in enumerate(x for x in range(1, c.n) if c.leaf[x])}
        self.at_lasting, end = packed(c, self.lasting, 0)
        self.at_state: list[dict[int, int]] = []
        self.state_bytes, sizes = [], [0]
        for j in range(m + 1):
            offsets, needed = packed(c, self.needed[j], 0)
            rest, size = packed(c, self.states[j] - self.needed[j], needed)
            self.at_state.append(offsets | rest)
            self.state_bytes.append(needed)
            sizes.append(size)
        self.blocks = [end, end + max(sizes)]
        end += 2 * max(sizes)
        adjoints = [packed(c, x, 0) for x in self.adjoints]
        self.at_adjoint = [offsets for offsets, _ in adjoints]
        size = max(size for _, size in adjoints)
        self.back_blocks = [end, end + size]
        records = [packed(c, x, 0) for x in self.records]
        self.at_record = [offsets for offsets, _ in records]
        self.tail = end + 2 * size
        self.room = self.tail + records[-1][1]
        self.snapshot = max([LINE, *self.state_bytes[1:m - 1]])
        self.record_bytes = [size for _, size in records]
        self.record = max([LINE, *self.record_bytes[:-1]])

    def least(self) -> int:
        """Bytes of the smallest room."""
        return checkpoints.least_room(self.m - 1, self.snapshot, self.record)

    # -- longer segments
    def expected(self, group: int, room: int) -> float:
        """Time, in that of a short segment, where `group` neighbours are one segment, with a room of so many bytes:
        each run of a segment costs some time beside its steps, but long ones need more room, so that more runs."""
        units = checkpoints.in_units(-(-(self.m - 1) // group), room, self.snapshot, group * self.record)
        if units is None:
            return np.inf
        runs = checkpoints.steps_needed(units.n, units.room, units.snapshot, units.tape)
        return (runs + units.n) * (group + A_RUN)

    def together(self, room: int) -> int:
        """How many neighbours are best one segment."""
        costs = {group: self.expected(group, room) for group in TOGETHER if group == 1 or 2 * group < self.m}
        return min(group for group in costs if costs[group] <= WORTH * min(costs.values()))

    def joined(self, group: int) -> Cut:
        """The same in segments of so many of these; the last one stays as it is."""
        return Cut(self.c.tape, self.quiet, self.cuts[::-group][::-1])

    # -- programs
    def instructions(self, j: int, kind: int, wanted: Iterable[int]) -> list[int]:
        """Those of a part of segment j."""
        if kind != BACK:
            return self.collected(j, wanted, kind in (FIRST, FIRST_TAPE))[0]
        need, c = set(wanted), self.c
        found = []
        for i in reversed(self.of_stage[j]):
            if i in need:
                found.append(i)
                need.update(c.operands[i])
        return found[::-1]

    def program(self, room: int, parts: Parts, place: Any = None) -> Any:
        """The executor, with a room of so many bytes for states and records, and a place on a disk for more of them."""
        spool, buffers = None, (0, 0, 0)
        if place is not None:
            spool, chain = Spool(place), self.disk_chain(room, place)
            spool.add(chain)
            units, plan = chain.units, chain.plan
            buffers = self.room + units.unit * units.room, chain.buffer, chain.buffers
            room = chain.room
        else:
            units, schedule = checkpoints.in_room(self.m - 1, room, self.snapshot, self.record)
            plan, room = Plan(schedule), units.unit * units.room
        states = [(self.blocks[j % 2], self.state_bytes[j]) for j in range(self.m)]
        return Segments(self.c.tape, parts.tapes, integers(parts.units).reshape(self.m, KINDS, 5),
                        integers(parts.ports).reshape(-1, 2), integers(parts.copies).reshape(-1, 5),
                        list(self.leaf_index), [self.result(x) for x in self.c.tape.outputs], plan, units.unit,
                        self.room, self.tail, self.room + room, integers(states), spool, buffers)

    def disk_chain(self, room: int, place: Any) -> DiskChain:
        """All segments but the last as a chain some steps of which go to a disk."""
        return DiskChain(self.m - 1, room, self.snapshot, self.record, place.most, integers(self.state_bytes[:self.m]),
                         integers(self.record_bytes[:self.m]))

    def result(self, x: int) -> Address:
        return (LEAF, self.leaf_index[x]) if self.c.leaf[x] else (STORE, self.at_lasting[x])

    def source(self, x: int, j: int, kind: int) -> Address:
        """Where a part of segment j finds value x."""
        if self.c.leaf[x]:
            return LEAF, self.leaf_index[x]
        if x in self.lasting:
            return STORE, self.at_lasting[x]
        if kind != BACK:
            return STORE, self.blocks[j % 2] + self.at_state[j][x]
        if x in self.at_record[j]:
            return RECORD, self.at_record[j][x]
        return STORE, self.back_blocks[(j + 1) % 2] + self.at_adjoint[j + 1][x]

    def wanted(self, j: int, kind: int) -> dict[int, list[Address]]:
        """Value -> where a part of segment j leaves it."""
        found: dict[int, list[Address]] = {}

        def leave(values: Iterable[int], at: Callable[[int], Address]) -> None:
            for x in sorted(values):
                found.setdefault(x, []).append(at(x))
        if kind == BACK:
            leave(self.lasting_back[j], lambda x: (STORE, self.at_lasting[x]))
            leave(self.adjoints[j], lambda x: (STORE, self.back_blocks[j % 2] + self.at_adjoint[j][x]))
            return found
        if kind in (FIRST, FIRST_TAPE):
            leave(self.lasting_first[j], lambda x: (STORE, self.at_lasting[x]))
        following = self.states if kind in (FIRST, FIRST_TAPE) else self.needed
        leave(following[j + 1], lambda x: (STORE, self.blocks[(j + 1) % 2] + self.at_state[j + 1][x]))
        if kind in (FIRST_TAPE, AGAIN_TAPE):
            leave(self.records[j], lambda x: (RECORD, self.at_record[j][x]))
        return found


class Parts:
    """The parts of all segments, and the different tapes among them."""

    def __init__(self, cut: Cut) -> None:
        self.cut, self.c = cut, cut.c
        self.tapes: list[Any] = []
        self.index: dict[Any, int] = {}
        self.units: list[tuple[int, ...]] = []
        self.ports: list[Address] = []
        self.copies: list[tuple[int, ...]] = []
        for j in range(cut.m):
            for kind in range(KINDS):
                self.add(j, kind)

    def add(self, j: int, kind: int) -> None:
        wanted = self.cut.wanted(j, kind)
        ids = self.cut.instructions(j, kind, wanted)
        here = set(ids)
        inputs = list(dict.fromkeys(x for i in ids for x in self.c.operands[i] if x not in here))
        outputs = [x for x in wanted if x in here]
        first_in = len(self.ports)
        self.ports += [self.cut.source(x, j, kind) for x in inputs]
        first_out = len(self.ports)
        self.ports += [wanted[x][0] for x in outputs]
        first_copy = len(self.copies)
        for x, places in wanted.items():
            begin = places[0] if x in here else self.cut.source(x, j, kind)
            self.copies += [(*begin, *place, exact(self.c, x)) for place in places if place != begin]
        number = self.number(ids, inputs, outputs, kind == BACK) if ids else -1
        self.units.append((number, first_in, first_out, first_copy, len(self.copies)))

    def number(self, ids: list[int], inputs: list[int], outputs: list[int], back: bool) -> int:
        """Which of the tapes this part is; equal ones are one."""
        c = self.c
        local = {x: k for k, x in enumerate([*inputs, *ids])}
        key = (back, tuple([c.aval[x] for x in inputs]), tuple([local[x] for x in outputs]),
               tuple([(c.op[i], c.aval[i], tuple([local[x] for x in c.operands[i]]), c.attr[i]) for i in ids]))
        found = self.index.get(key)
        if found is None:
            found = self.index[key] = len(self.tapes)
            self.tapes.append(part(c.tape, ids, inputs, outputs, back and self.cut.quiet))
        return found


def exact(c: Columns, x: int) -> int:
    """Bytes of a value: those of an array, and the 8 of a number."""
    dtype, shape = T.aval_of(c.aval[x])
    return 8 if shape == () else int(np.prod(shape, dtype=np.int64)) * np.dtype(T.DTYPES[dtype]).itemsize


def integers(values: Any) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def packed(c: Columns, values: Iterable[int], start: int) -> tuple[dict[int, int], int]:
    """(value -> place from `start` on, the end): arrays first, then numbers."""
    found = {}
    for x in sorted(values, key=lambda x: (c.bytes[x] == 8, x)):
        found[x] = start
        start += c.bytes[x]
    return found, -(-start // LINE) * LINE
