"""disk.py - a place on a disk for steps of time loops that find no room in memory: its files, and who has which.

Owns: the meaning of `disk=`, temporary files (without a name, so that nothing remains of them whatever happens, and
with all of their bytes allotted before a sweep begins), the plan of each loop that uses them, and its change when
transfers are found to cost something else than was assumed.
Must not know: how a sweep waits for transfers (_spool.pyx), how schedules are found (disk_checkpoints.py), tapes.
Next: memory.py (who has a budget), _spool.pyx.
"""
from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np

from fastad import disk_checkpoints
from fastad._spool import Lease, Plan, leased
from fastad.checkpoints import Units, grouped, in_room, in_units
from fastad.disk_checkpoints import Costs, Measured, Sizes
from fastad.sizes import bytes_of, size

__all__ = ["DiskChain", "OnDisk", "Place", "Spool", "place_of"]

WORTH = 0.9                              # of the expected time: a new plan must cost less than that


class Place:
    """A directory, and the bytes that one sweep may have there (None: as many as there are)."""

    __slots__ = ("directory", "most")

    def __init__(self, directory: str, most: int | None) -> None:
        self.directory, self.most = directory, most

    def given(self) -> Any:
        """As the user writes it."""
        return self.directory if self.most is None else (self.directory, self.most)

    def __repr__(self) -> str:
        return repr(self.given())

    def open(self) -> File:
        """A new file without a name."""
        self.check()
        try:
            with tempfile.TemporaryFile(dir=self.directory, prefix="fastad-", buffering=0) as file:
                return File(os.dup(file.fileno()), self.directory)
        except OSError as error:
            raise type(error)(error.errno, f"disk={self!r}: no temporary file can be made there: {error.strerror}",
                              self.directory) from error

    def check(self) -> None:
        """OSError if no files can be made there."""
        if not os.path.exists(self.directory):
            raise FileNotFoundError(errno.ENOENT, f"disk={self!r}: there is no such directory; make it, or name "
                                    "another", self.directory)
        if not os.path.isdir(self.directory):
            raise NotADirectoryError(errno.ENOTDIR, f"disk={self!r}: this is no directory", self.directory)
        if not os.access(self.directory, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, f"disk={self!r}: this directory is not writable", self.directory)


def place_of(disk: Any, memory: Any) -> Place | None:
    """A place from what the user gives as `disk`, which goes with `memory`.

    Parameters
    ----------
    disk : str, path, (str or path, int or str) or None
        A directory that there is; with a bound: ``("/scratch", "20GB")``.
    memory : int, str or None
        Its own meaning is memory.py's; without it `disk` has none.

    Raises
    ------
    TypeError, ValueError
        It is none of these, or there is no `memory`.
    FileNotFoundError, NotADirectoryError, PermissionError
        No files can be made there.

    Examples
    --------
    >>> place_of((".", "20GB"), "1GB").most
    20000000000
    """
    if disk is None:
        return None
    if memory is None:
        raise ValueError(f"disk={disk!r}: what goes to a disk is what finds no room in memory; say how much of "
                         "that there is: memory=\"500MB\"")
    where, most = disk if isinstance(disk, tuple) and len(disk) == 2 else (disk, None)
    if not isinstance(where, (str, os.PathLike)) or isinstance(os.fspath(where), bytes):
        raise TypeError(f"disk={disk!r}: write a directory, or a directory and a number of bytes: ('/scratch', '20GB')")
    place = Place(os.path.abspath(where), bytes_of(most, "disk"))
    place.check()
    return place


# ---- files -----------------------------------------------------------------------------------------------------------

class File:
    """A temporary file, closed when nobody has it any more; of this process alone."""

    def __init__(self, fd: int, directory: str) -> None:
        self.fd, self.directory, self.pid, self.broken = fd, directory, os.getpid(), False
        self.allotted: dict[int, int] = {}       # from which byte on, how many

    def __del__(self, close: Callable[[int], None] = os.close) -> None:      # (at the end of Python there is no `os`)
        close(self.fd)

    def usable(self) -> bool:
        """After a fork two processes would write to one file."""
        return self.pid == os.getpid() and not self.broken

    def allot(self, parts: list[tuple[int, int]]) -> None:
        """Have the disk keep room for these (first byte, bytes), or OSError; before anything is computed."""
        wanted = [(at, n) for at, n in parts if n > self.allotted.get(at, 0)]
        need = sum([n - self.allotted.get(at, 0) for at, n in wanted])
        if need == 0:
            return
        found = os.statvfs(self.directory)
        free = found.f_bavail * found.f_frsize
        try:
            if need > free:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            for at, n in wanted:
                allotted(self.fd, at, n)
                self.allotted[at] = n
        except OSError as error:
            whole = size(sum([n for _, n in parts]))
            raise OSError(error.errno, f"a sweep needs {whole} on the disk (free: {size(free)}): {error.strerror}. "
                          f"Name another directory as disk=, or bound what is kept there: "
                          f"disk=({self.directory!r}, '{size(free / 2)}')", self.directory) from error


def allotted(fd: int, at: int, n: int) -> None:
    """Bytes of a file that the disk keeps room for, where the system can do that."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, at, n)
    elif os.fstat(fd).st_size < at + n:
        os.ftruncate(fd, at + n)


# ---- plans -----------------------------------------------------------------------------------------------------------

class DiskChain:
    """A chain of steps some of which are kept on a disk.

    Parameters
    ----------
    n, room, state, tape : int
        Steps; bytes of memory for it, of a state, of the tape of a step.
    most : int or None
        Bytes on the disk.
    states, tapes : ndarray of int64
        Bytes to be transferred of the state before each step of the schedule and of its tape; None: all of them.

    Attributes
    ----------
    plan : Plan
        For the next sweep.
    units : Units
    buffer, buffers : int
        Bytes of a buffer, and how many there are: behind the units of the room.
    """

    def __init__(self, n: int, room: int, state: int, tape: int, most: int | None, states: Any = None,
                 tapes: Any = None) -> None:
        self.base = 0
        group, steps = grouped(n)
        whole = tape * group
        self.buffer, self.buffers = disk_checkpoints.buffers(room, state, whole)
        left = room - self.buffer * self.buffers
        self.units = in_units(n, left, state, tape) or Units(disk_checkpoints.LINE, 0, 1, 1, group, steps)
        self.sizes = Sizes(state, whole, steps * whole if most is None else min(most, steps * whole))
        self.states = np.full(steps, state) if states is None else states
        self.tapes = np.full(steps, whole) if tapes is None else tapes
        self.sweeps = 0
        self.measured: Measured | None = None
        self.plan = self.planned(disk_checkpoints.assumed(self.sizes))
        if self.plan is None:                    # neither the bound of the disk nor what is left has room for one tape
            self.buffer = self.buffers = 0
            self.units, schedule = in_room(n, room, state, tape)
            self.plan = Plan(schedule)

    @property
    def room(self) -> int:
        """Bytes of memory, buffers included; these are the last ones."""
        return self.units.unit * self.units.room + self.buffer * self.buffers

    def planned(self, costs: Costs) -> Any:
        plan = disk_checkpoints.schedule(self.units, self.sizes, costs, self.buffer)
        return None if plan is None else Plan(plan, self.states, self.tapes, self.base)

    def move_to(self, base: int) -> None:
        """Use the file from that byte on."""
        self.base = base
        self.plan = Plan(self.plan.schedule, self.states, self.tapes, base)

    def learn(self, forward: Any, back: Any) -> bool:
        """What a sweep has taken: rows of a lease's results.  After some, plan again if that is worth it; is it?"""
        self.sweeps += 1
        if min(*forward, *back) <= 0:
            return False                         # nothing went to the disk
        found = Measured(*[1e-9 * float(a / b) for a, b in ((forward[0], forward[1]), (back[0], back[1]),
                                                            (forward[3], forward[2]), (back[3], back[2]))])
        self.measured = found if self.measured is None else found.least(self.measured)
        if self.sweeps < 2 or self.sweeps & (self.sweeps - 1):
            return False
        costs = self.measured.costs(self.sizes, processors() > 1)
        now = disk_checkpoints.expected(self.plan.schedule, costs)
        if now * WORTH < self.units.n:
            return False                         # as good as a run of each step
        plan = self.planned(costs)
        if disk_checkpoints.expected(plan.schedule, costs) >= WORTH * now:
            return False
        self.plan = plan
        return True


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Spool:
    """The files of a program: one for each thread that is sweeping."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.chains: list[DiskChain] = []
        self.idle: list[File] = []
        self.changed: Callable[[], None] = lambda: None      # called when there is a new plan

    def add(self, chain: DiskChain) -> int:
        """The number of a loop among those of the program."""
        chain.move_to(sum([c.sizes.most for c in self.chains]))
        self.chains.append(chain)
        return len(self.chains) - 1

    def on_disk(self) -> int:
        """Bytes there, of the next sweep."""
        return sum([int(chain.plan.schedule.disk) for chain in self.chains])

    def needed(self) -> int:
        """The smallest bound with which a loop can have a step there."""
        shares = sum([chain.units.n * chain.sizes.tape for chain in self.chains])
        return min([-(-shares // chain.units.n) for chain in self.chains])

    def take(self) -> Any:
        """What a sweep needs; OSError if there is no room for it."""
        plans = [chain.plan for chain in self.chains]
        file = self.file()
        file.allot([(chain.base, plan.schedule.disk) for chain, plan in zip(self.chains, plans, strict=True)])
        return Lease(file, plans)

    def file(self) -> File:
        while self.idle:
            try:
                file = self.idle.pop()
            except IndexError:                   # another thread was faster
                break
            if file.usable():
                return file
        return self.place.open()

    def give(self, lease: Any, done: bool) -> None:
        """The sweep has ended."""
        if done:
            changes = [chain.learn(*found) for chain, found in zip(self.chains, lease.results, strict=True)]
            if any(changes):
                self.changed()
        if not lease.file.broken:
            self.idle.append(lease.file)


class OnDisk:
    """A program some of whose loops keep steps on a disk: called as a Program is.

    Parameters
    ----------
    program : Program
    spool : Spool
    """

    def __init__(self, program: Any, spool: Spool) -> None:
        self.program, self.spool = program, spool
        self.report: Any = None

    def run(self, values: list[Any], out: Any = None) -> list[Any]:
        """Sweep, with a file of its own."""
        lease, done = self.spool.take(), False
        before = leased(lease)
        try:
            results: list[Any] = self.program.run(values, out)
            done = True
        finally:
            leased(before)
            self.spool.give(lease, done)
        return results

    def __getattr__(self, name: str) -> Any:
        return getattr(self.program, name)
