"""How time is taken, answers are verified and rows are printed.

Owns: the rules of a fair figure: an answer is verified before it is timed, things that are compared take turns in one
process, the least time counts for what fits the caches and the median for what does not.
Must not know: fastad, the peers, the cases.
Next: cases/ (what is measured), programs.py (the functions that are differentiated).
"""
import ctypes
import gc
import os
import platform
import statistics
import traceback
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from types import FunctionType

import numpy as np

from benchmarks.conditions import Conditions

ROOT = Path(__file__).resolve().parent.parent


class WrongAnswer(Exception):
    """What was to be timed computes something else."""


@dataclass
class Row:
    """One printed line.  Times are in seconds; ``unit`` is "s", "B" or "" (a plain count).

    ``level`` bounds the value, ``limit`` the ratio (one of them at most).  ``problem``, ``who`` and ``kind`` place the
    figure in docs/performance.md: what is computed, by which system, and "gradient", "first", "memory", ...
    """

    case: str
    what: str
    value: float
    unit: str
    level: float | None = None
    ratio: float | None = None
    to: str = ""
    limit: float | None = None
    problem: str = ""
    who: str = ""
    kind: str = ""
    threads: int = 1
    cpu: str = ""

    @property
    def state(self):
        """"ok" or "MISSED" (a NaN misses), "" where nothing was asked."""
        if self.limit is not None:
            return "ok" if self.ratio <= self.limit else "MISSED"
        if self.level is not None:
            return "ok" if self.value <= self.level else "MISSED"
        return ""

    @property
    def bound(self):
        """What was asked, as text: of the ratio where that is limited, else of the value."""
        if self.limit is not None:
            return f"<= {self.limit:g} x"
        return "" if self.level is None else "<= " + quantity(self.level, self.unit)

    @property
    def judged(self):
        """What is held against the bound, as text."""
        return f"{self.ratio:.3g} x {self.to}" if self.limit is not None else quantity(self.value, self.unit)

    def __str__(self):
        level = self.bound
        ratio = "" if self.ratio is None else f"{self.ratio:.3g} x {self.to}"
        value = quantity(self.value, self.unit)
        return f"{self.case:15} {self.what:50} {value:>9} {level:>11}  {self.state:6}  {ratio}".rstrip()


def quantity(value, unit):
    """``2.35e-3, "s"`` -> ``2.35 ms``; three digits, in the unit that a reader would choose."""
    if unit == "B":
        for factor, name in ((1e9, "GB"), (1e6, "MB")):
            if value >= factor:
                return f"{value / factor:.3g} {name}"
    if unit != "s":
        return f"{value:.4g} {unit}".rstrip()
    for factor, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if abs(value) >= factor:
            return f"{value / factor:.3g} {name}"
    return f"{value * 1e9:.3g} ns"


class Bench:
    """What a case is given: sizes, clocks, the peers that are there, and where its rows go."""

    def __init__(self, quick=False, peers=(), show=print, tracebacks=False, conditions=None):
        self.quick = quick
        self.conditions = conditions or Conditions()
        self.tracebacks = tracebacks
        self.peers = tuple(peers)
        self.rows = []
        self.verified = 0
        self.failures = []
        self._show = show
        self._case = self._problem = ""

    def start(self, case):
        self._case, self._problem = case, ""
        gc.collect()
        gc.freeze()                 # modules imported by earlier cases are no garbage to look through

    def about(self, problem):
        """What the next rows compute, as a heading of docs/performance.md; "" for what stays out of its tables."""
        self._problem = problem

    @property
    def threads(self):
        """How many threads fastad and the peers have."""
        return self.conditions.threads

    def size(self, full, quick):
        """The problem size: the smallest that still has every part when the run is quick."""
        return quick if self.quick else full

    def row(self, what, value, unit="s", level=None, ratio=None, to="", limit=None, who="", kind=""):
        """Print and keep one figure."""
        if self.quick:
            level = limit = None            # levels are stated for the full sizes
        row = Row(self._case, what, float(value), unit, level, ratio, to, limit, self._problem, who, kind,
                  self.conditions.threads, self.conditions.cpu)
        self.rows.append(row)
        self._show(str(row))
        return row

    def size_of(self, tape):
        """The rows of what a tape takes: itself, and the arrays of a sweep over it (a program needs less)."""
        self.row("bytes per instruction of the tape", tape.nbytes / len(tape), "B")
        self.row("arrays of a sweep over the tape", tape.arena_bytes, "B")

    def cost(self, gradient, value, of, most=3.0):
        """The row of a gradient's cost in values; theory and most levels say at most three."""
        self.row(f"gradient in units of {of}", gradient / value, "", level=most)

    def note(self, text):
        """A line of text below the last row."""
        self._show("\n".join(f"{'':15}   {line}" for line in text.splitlines()))

    def verify(self, what, got, want, rtol=1e-9, atol=0.0):
        """Raise `WrongAnswer` unless `got` is `want`, relative to the largest entry of `want`."""
        got, want = np.asarray(got, dtype=float), np.asarray(want, dtype=float)
        if got.shape != want.shape:
            raise WrongAnswer(f"{what}: shape {got.shape} instead of {want.shape}")
        scale = np.max(np.abs(want), initial=0.0)
        error = np.max(np.abs(got - want), initial=0.0)
        if not error <= rtol * scale + atol:                    # a NaN fails, too
            raise WrongAnswer(f"{what}: off by {error:.2e} where the values reach {scale:.2e}")
        self.verified += 1

    @contextmanager
    def part(self, name):
        """What is inside may fail without taking the rest of the run with it; the failure is printed and kept."""
        try:
            yield
        except WrongAnswer as error:
            self.failures.append(name)
            self._show(f"  WRONG ANSWER in {name}: {error}")
        except Exception as error:          # whatever a case or a peer does, the others are still wanted
            self.failures.append(name)
            self._show(f"  {name} BROKE: {type(error).__name__}: {error} (--traceback shows where)")
            if self.tracebacks:
                self._show(traceback.format_exc())

    def best(self, *actions, seconds=0.3, at_least=5, number=1, statistic=min):
        """Least time of one call of each action (or its median: `statistic`).

        The actions take turns, so that a slow spell of the machine strikes all of them.  An action may return a time
        that it measured itself, inside, as `Seconds`; otherwise the whole call counts.  `number` calls make a sample.
        """
        if self.quick:
            seconds, at_least, number = 0.0, 1, min(number, 10)
        times: list[list[float]] = [[] for _ in actions]
        end = perf_counter() + seconds * len(actions)
        while len(times[0]) < at_least or perf_counter() < end:
            for action, samples in zip(actions, times, strict=True):
                samples.append(sample(action, number))
        values = [statistic(samples) for samples in times]
        return values[0] if len(actions) == 1 else values

    @staticmethod
    def clock(action):
        """Call once and return the `Seconds` that it took: for an action whose preparation is not to be counted."""
        start = perf_counter()
        action()
        return Seconds(perf_counter() - start)

    def typical(self, *actions, seconds=0.5):
        """Median time of one call of each action, in turns: for arrays beyond the caches.

        There the least time is the lucky one, with warm pages and a quiet neighbour; it can be a tenth of the usual.
        """
        return self.best(*actions, seconds=seconds, statistic=statistics.median)

    def call_time(self, *actions, seconds=0.2):
        """Least time of one call of each (fast, side-effect free) action: many calls in each sample."""
        once = max(sample(action, 3) for action in actions)
        return self.best(*actions, seconds=seconds, number=max(1, min(20_000, int(1e-3 / once))))

    def against(self, peer, gradient, ours, timer, limit=None, what="gradient"):
        """The row of a peer's steady gradient, timed in turns with ours; `limit` is the most that the ratio may be."""
        with self.part(f"{self._case}, {peer}"):
            theirs, mine = timer(gradient, ours)
            self.row(f"{peer}: {what}, steady", theirs, ratio=mine / theirs, to=peer, limit=limit, who=peer,
                     kind="gradient")

    def summary(self):
        levels = [row for row in self.rows if row.state]
        missed = [row for row in levels if row.state != "ok"]
        met = len(levels) - len(missed)
        lines = ["", f"{self.verified} answers verified; {len(levels)} levels: {met} ok, {len(missed)} missed"]
        lines += [f"  missed: {row.problem or row.case}: {row.what}: {row.judged}, level {row.bound}" for row in missed]
        if self.failures:
            lines.append(f"WRONG OR BROKEN: {', '.join(self.failures)}")
        if missed and load() > 1.5:
            lines.append(f"the machine is busy (load {load():.1f}): run the missed cases again before believing them")
        if self.quick:
            lines.append("--quick: the sizes are too small for the levels, which are not judged")
        return "\n".join(lines)


def sample(action, number):
    """Mean time of `number` calls; what an action returns as a float is its own measurement."""
    start = perf_counter()
    own = action()
    for _ in range(number - 1):
        own = action()
    elapsed = (perf_counter() - start) / number
    return own if type(own) is Seconds else elapsed


class Seconds(float):
    """A time that an action measured itself, for `Bench.best`."""


def twin(function):
    """The same function with a code object of its own.

    CPython specialises bytecode for the types that it meets: one loop run on floats and on traced scalars in turns
    would be slower on both than either alone.
    """
    code = function.__code__.replace(co_name=function.__name__ + "_twin")
    copy = FunctionType(code, function.__globals__, code.co_name, function.__defaults__, function.__closure__)
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


def peak_memory(action):
    """Call `action`; returns its result and the most bytes that the process had beyond what it had before.

    NaN where the system does not say.  What was freed before is given back first, so that using it again counts.
    """
    gc.collect()
    give_back_freed_memory()
    try:
        Path("/proc/self/clear_refs").write_text("5")           # the peak starts again from here
        before = resident("VmRSS")
    except OSError:
        return action(), float("nan")
    result = action()
    return result, max(0.0, resident("VmHWM") - before)


def give_back_freed_memory():
    """The C library keeps what was freed for the next malloc; glibc returns it to the system when asked."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def resident(which):
    """Bytes of memory of this process, as Linux counts them: VmRSS now, VmHWM at the peak."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(which):
            return 1024.0 * int(line.split()[1])
    raise OSError(f"/proc/self/status has no {which}")


def describe_machine(present, missing, conditions):
    """The head of the output: what the figures belong to."""
    versions = f"Python {platform.python_version()}, NumPy {np.__version__}"
    lines = [f"{versions}, {processor()}, {os.cpu_count()} cores; load {load():.1f}",
             f"fastad, NumPy's BLAS and the peers: {conditions}",
             f"peers: {', '.join(present) or 'none'}" + (f"; missing: {', '.join(missing)}" if missing else "")]
    flags = build_flags()
    if flags:
        lines.append(f"NOTE: fastad was built with {flags}; these are not the figures of a release build")
    lines.append(f"{'case':15} {'what':50} {'measured':>9} {'level':>11}  {'':6}  ratio")
    return "\n".join(lines)


def processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def load():
    """Runnable processes beside us: figures taken on a busy machine are to be read with care."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")


def build_flags():
    """The optimisation level or debug switch of the last build in this checkout, where it is not the release's."""
    record = ROOT / "build" / "settings.txt"
    text = record.read_text() if record.exists() else ""
    return " ".join(flag for flag in ("-O0", "-O1", "-Og", "-O2") if f"'{flag}'" in text)
