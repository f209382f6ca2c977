"""The fuzzer: random NumPy programs against a tape, and a tape against itself.

Owns: check(seed, ad) and the command line `python -m tests.fuzz --start 0 --count 100000 --jobs 2`
(`--seed N --minimise` shrinks one failure, `--exclude feature` leaves statement kinds out).
Must not know: how fastad works; it uses the public names of `ad` only.
Truth: plain NumPy for values; for derivatives the oracle of tests/reference.py where it runs the
program, else differences with an error estimate. Every tolerance is widened by measured rounding
noise, and what cannot be judged is counted as skipped, never as passed.
Next: tests/fuzz_programs.py (the programs), tests/test_fuzz.py (what CI runs, and tests of the checker).
"""

import argparse
import collections
import concurrent.futures
import contextlib
import dataclasses
import os
import re
import signal
import sys
import tempfile
import time
import traceback
import warnings

import numpy as np

from tests import reference
from tests.fuzz_programs import Program

UNSTABLE = 1e-6  # a value that rounding moves by more than this judges nothing
SECONDS = float(os.environ.get("FASTAD_FUZZ_SECONDS", "30"))  # for all checks of one program
LANES_EVERY = 5  # programs
GROUPS = ("replay", "gradients", "sweeps", "compiled", "second", "saved", "batched", "lanes", "captured")


class Hang(BaseException):
    """Out of time; no Exception, so that nothing on the way takes it for an ordinary failure."""


class Mismatch(AssertionError):
    def __init__(self, kind, message):
        super().__init__(f"{kind}: {message}")
        self.kind = kind


@dataclasses.dataclass
class Outcome:
    """What one program showed: failures as (kind, message), and counts of what was and was not judged."""

    seed: int
    failures: list = dataclasses.field(default_factory=list)
    counts: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    features: tuple = ()
    source: str = ""


class Truth:
    """Value and gradient of a program at one point, with tolerances."""

    def __init__(self, program, args, **constants):
        self.args, self.f = args, program.bind(**constants)
        self.oracle = program.bind(**reference.namespace(), **constants)
        self.value = self.plain(args)
        self._noise = self._gradient = None
        self.sizes = [np.size(a) for a in args]

    def plain(self, args):
        with np.errstate(all="ignore"):
            return float(self.f(*copies(args)))

    def noise(self):
        """How far rounding of the input moves the value: large where a decision lies within rounding."""
        if self._noise is None:
            draw = np.random.default_rng(0)
            sizes = (1e-15, 4e-15, 2e-14) * 3
            moved = [[a * (1 + e * draw.uniform(-1, 1, np.shape(a))) for a in self.args] for e in sizes]
            self._noise = max(abs(self.plain(m) - self.value) for m in moved)
        return self._noise

    def gradient(self):
        """(flat gradient, flat tolerance); NaN where no derivative could be trusted."""
        if self._gradient is None:
            self._gradient = self._by_oracle() or self._by_differences()
        return self._gradient

    @property
    def source(self):
        return self._source

    def _by_oracle(self):
        try:
            value, grads = reference.value_and_grad(self.oracle, *copies(self.args))
            g = np.concatenate([np.ravel(g) for g in grads]).astype(float)
        except Exception:  # the oracle refuses what it does not model, each in its own way
            return None
        if not abs(float(value) - self.value) <= 1e-9 * (1 + abs(self.value)) or not np.isfinite(g).all():
            return None
        self._source = "oracle"
        return g, np.full(g.size, 1e-9 * (1 + np.abs(g).max()))

    def _by_differences(self):
        self._source = "differences"
        g, error = differences(self.plain, self.args)
        scale = 1 + np.nanmax(np.abs(g), initial=0.0)
        g[~(error <= 1e-5 * scale)] = np.nan
        return g, 1e-6 * scale + 10 * error

    def split(self, flat):
        parts = np.split(np.asarray(flat), np.cumsum(self.sizes)[:-1])
        return [p.reshape(np.shape(a)) for p, a in zip(parts, self.args, strict=True)]


def copies(args):
    return [np.copy(a) if isinstance(a, np.ndarray) else a for a in args]


def differences(f, args):
    """Central differences, extrapolated twice; (gradient, error estimate), both flat."""
    flat = np.concatenate([np.ravel(a) for a in args]).astype(float)
    shapes = [np.shape(a) for a in args]
    ends = np.cumsum([np.size(a) for a in args])[:-1]

    def at(i, h):
        moved = flat.copy()
        moved[i] += h
        parts = [p.reshape(s) if s else float(p[0]) for p, s in zip(np.split(moved, ends), shapes, strict=True)]
        return f(parts)

    pairs = [_one_difference(lambda h, i=i: at(i, h)) for i in range(flat.size)]
    return np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])


def _one_difference(f):
    best, error = np.nan, np.inf
    for step in (4e-3, 4e-4, 4e-5):
        d, size = [], 0.0
        for h in (step, step / 2, step / 4):
            up, down = f(h), f(-h)
            size = max(size, abs(up), abs(down))
            d.append((up - down) / (2 * h))
        once = [(4 * d[1] - d[0]) / 3, (4 * d[2] - d[1]) / 3]
        twice = (16 * once[1] - once[0]) / 15
        estimate = abs(twice - once[1]) + 1e-14 * (1 + size) / step
        if estimate < error:
            best, error = twice, estimate
        if error <= 1e-7 * (1 + abs(best)):
            break
    return best, error


class Check:
    """All checks of one program against `ad`."""

    def __init__(self, program, ad):
        self.program, self.ad, self.counts = program, ad, collections.Counter()
        self.at0, self.at1 = Truth(program, program.args0), Truth(program, program.args1)
        self.argnums = tuple(range(len(program.parameters)))
        self.direction = [
            np.round(np.random.default_rng(program.seed + 2).normal(size=np.shape(a)), 3) for a in program.args0
        ]
        self.diverged = False

    def run(self, only=()):
        """Failures as (kind, message): the first of each independent group of checks."""
        failures = []
        for name in only or GROUPS:
            group = getattr(self, name)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    group()
            except Mismatch as error:
                failures.append((error.kind, str(error)))
            except (KeyboardInterrupt, MemoryError):
                raise
            except self.ad.DerivativeError:
                if any(np.abs(t.gradient()[0]).max() > 0 for t in (self.at0, self.at1)):
                    raise
                self.counts["refused: depends on nothing"] += 1
                break
            except Exception as error:
                kind = f"{name} raised {type(error).__name__}"
                failures.append((kind, "".join(traceback.format_exception(error, limit=-6))))
        return failures

    # -- comparisons

    def value(self, kind, got, truth, tolerance):
        got = float(self.plain(got))
        gap = abs(got - truth.value)
        if gap <= tolerance * (1 + abs(truth.value)):
            return
        if truth.noise() > UNSTABLE:
            self.counts["skipped: decision within rounding"] += 1
        elif not gap <= 10 * truth.noise():
            raise Mismatch(kind, f"got {got!r}, NumPy gives {truth.value!r}; rounding moves it by {truth.noise():.1e}")

    def derivative(self, kind, got, truth):
        got = self.flat(got)
        want, tolerance = truth.gradient()
        if got.shape != want.shape:
            raise Mismatch(kind, f"{got.size} derivatives, expected {want.size}")
        judged = ~np.isnan(want)
        self.counts["coordinates"] += want.size
        self.counts[f"coordinates by {truth.source}"] += want.size
        self.counts["coordinates skipped"] += int((~judged).sum())
        wrong = judged & ~(np.abs(got - want) <= tolerance)
        if not wrong.any():
            return
        by_difference, error = differences(truth.plain, truth.args)
        if truth.noise() > UNSTABLE or not (error[wrong] <= 1e-4 * (1 + np.abs(by_difference[wrong]))).all():
            self.counts["coordinates skipped"] += int(wrong.sum())  # a kink within rounding or a step
            return
        if self.noisy_gradient(truth, got, want, tolerance):
            self.counts["coordinates within noise"] += int(wrong.sum())
            return
        message = f"got {got.tolist()}\n  {truth.source}: {want.tolist()}\n  differences: {by_difference.tolist()}"
        raise Mismatch(kind, f"{message}\n  +- {error.tolist()}; wrong at {np.flatnonzero(wrong).tolist()}")

    def noisy_gradient(self, truth, got, want, tolerance):
        """True where the oracle's own gradient moves as much under rounding of the input."""
        if truth.source != "oracle":
            return False
        draw, moved = np.random.default_rng(1), np.zeros(want.size)
        for e in (1e-15, 4e-15, 2e-14):
            args = [a * (1 + e * draw.uniform(-1, 1, np.shape(a))) for a in truth.args]
            try:
                grads = reference.grad(truth.oracle, *args)
            except Exception:
                return True
            moved = np.maximum(moved, np.abs(self.flat(grads) - want))
        return bool((np.abs(got - want) <= tolerance + 10 * moved).all())

    def same_bits(self, kind, got, want):
        got, want = self.flat(got), self.flat(want)
        if got.tobytes() != want.tobytes():
            raise Mismatch(kind, f"{got.tolist()} and {want.tolist()} are not the same bits")

    def near(self, kind, got, want, tolerance):
        got, want = self.flat(got), self.flat(want)
        scale = 1 + np.nanmax(np.abs(want), initial=0.0)
        if got.shape != want.shape or not np.allclose(got, want, rtol=0, atol=tolerance * scale, equal_nan=True):
            raise Mismatch(kind, f"{got.tolist()} against {want.tolist()}, tolerance {tolerance * scale:.1e}")

    @staticmethod
    def plain(y):
        return np.asarray(y, dtype=float).reshape(())[()]

    @staticmethod
    def flat(values):
        values = values if isinstance(values, (tuple, list)) else [values]
        return np.concatenate([np.asarray(v, dtype=float).ravel() for v in values])

    # -- groups of checks; each records for itself, so that one failure does not hide the next

    def record(self):
        return self.ad.record(self.program.bind(), *copies(self.at0.args))

    def replay(self):
        tape = self.record()
        args = copies(self.at0.args)
        first = tape(*args)
        self.value("value at the recording point", first, self.at0, 1e-11)
        self.same_bits("replay wrote into its argument", args, copies(self.at0.args))
        self.same_bits("repetition", tape(*args), first)
        try:
            again = tape(*copies(self.at1.args))
        except self.ad.TapeDivergence:
            self.diverged = True
            self.counts["diverged at x1"] += 1
        else:
            self.counts["replayed at x1"] += 1
            self.value("value at the other point", again, self.at1, 1e-10)
        self.same_bits("return to the recording point", tape(*args), first)

    def gradients(self):
        argnums = self.argnums if len(self.argnums) > 1 else 0
        g = self.ad.grad(self.program.bind(), argnums=argnums)
        first = g(*copies(self.at0.args))
        self.derivative("gradient at the recording point", first, self.at0)
        self.derivative("gradient at the other point", g(*copies(self.at1.args)), self.at1)
        self.near("gradient after returning", g(*copies(self.at0.args)), first, 1e-12)

    def sweeps(self):
        tape = self.record()
        y = tape.forward(*copies(self.at0.args))
        self.same_bits("forward against call", y, tape(*copies(self.at0.args)))
        bars = self.flat(tape.reverse(1.0))
        dot = tape.tangent(*self.direction)
        seed = self.flat(self.direction)
        scale = 1 + np.abs(bars) @ np.abs(seed)
        if not abs(float(self.plain(dot)) - bars @ seed) <= 1e-10 * scale:
            raise Mismatch("tangent against reverse", f"{float(self.plain(dot))!r} against {float(bars @ seed)!r}")
        self.derivative("reverse sweep", bars, self.at0)

    def compiled(self):
        interpreted, tape = self.record(), self.record()
        if not hasattr(tape, "compile"):
            self.counts["no compile"] += 1
            return
        tape.compile()
        args0, args1 = copies(self.at0.args), copies(self.at1.args)
        self.same_bits("tier 1 value bits", tape(*args0), interpreted(*args0))
        self.near("tier 1 gradient", tape.gradient(*args0), interpreted.gradient(*args0), 1e-12)
        if self.diverged:
            return
        self.same_bits("tier 1 value bits at x1", tape(*args1), interpreted(*args1))
        self.near("tier 1 gradient at x1", tape.gradient(*args1), interpreted.gradient(*args1), 1e-12)

    def second(self):
        if self.program.seed % 5 or len(self.argnums) > 1:
            return
        x, (v,) = self.at0.args[0], self.direction
        got = self.flat(self.ad.hvp(self.program.bind())(np.copy(x), v))
        try:
            want = reference.hvp(self.at0.oracle, np.copy(x), v).ravel().astype(float)
            tolerance = 1e-8 * (1 + np.abs(want).max())
            self.counts["hvp by oracle"] += 1
        except Exception:
            want, tolerance = self.second_by_differences(x, v)
            self.counts["hvp by differences"] += 1
        if (np.abs(got - want) <= tolerance).all():
            return
        by_difference, error = self.second_by_differences(x, v)
        if not (np.abs(got - by_difference) <= error).all():
            if not (error <= 1e-3 * (1 + np.abs(by_difference))).all():
                self.counts["hvp skipped"] += 1
                return
            message = f"got {got.tolist()}\n  want {want.tolist()}\n  differences {by_difference.tolist()}"
            raise Mismatch("hvp", f"{message}\n  +- {error.tolist()}")

    def second_by_differences(self, x, v):
        g = self.ad.grad(self.program.bind())
        d = [(self.flat(g(x + h * v)) - self.flat(g(x - h * v))) / (2 * h) for h in (2e-4, 1e-4, 5e-5)]
        once = [(4 * d[1] - d[0]) / 3, (4 * d[2] - d[1]) / 3]
        return once[1], 1e-6 * (1 + np.abs(once[1]).max()) + 10 * np.abs(once[1] - once[0])

    def saved(self):
        if self.program.seed % 10:
            return
        tape, args = self.record(), copies(self.at0.args)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "program.tape")
            tape.save(path)
            loaded = self.ad.Tape.load(path)
        self.same_bits("loaded tape", loaded(*args), tape(*args))
        self.same_bits("gradient of the loaded tape", loaded.gradient(*args), tape.gradient(*args))

    def batched(self):
        tape = self.record()
        if self.program.seed % 10 != 1 or not hasattr(tape, "batch"):
            return
        k = 3
        steps = [1e-9 * j for j in range(k)]
        rows = [[a + s for a in self.at0.args] for s in steps]
        try:
            want = [tape(*copies(r)) for r in rows]
        except self.ad.TapeDivergence:
            self.counts["batch skipped"] += 1
            return
        stacked = [np.stack([np.asarray(r[i]) for r in rows]) for i in range(len(self.argnums))]
        self.near("batch against loop", tape.batch(k)(*stacked), want, 1e-12)

    def lanes(self):
        """Both points at once by ad.batch: their decisions may differ, and each has a derivative of its own."""
        if self.program.seed % LANES_EVERY != LANES_EVERY - 1 or not hasattr(self.ad, "batch"):
            return
        points, argnums = (self.at0, self.at1, self.at0), self.argnums if len(self.argnums) > 1 else 0
        stacked = [np.stack([np.asarray(t.args[i]) for t in points]) for i in self.argnums]
        for y, truth in zip(self.ad.batch(self.program.bind())(*stacked), points, strict=True):
            self.value("value in a batch", y, truth, 1e-10)
        g = self.ad.batch(self.ad.grad(self.program.bind(), argnums=argnums))(*copies(stacked))
        for i, truth in enumerate(points):
            self.derivative("gradient in a batch", [x[i] for x in g] if isinstance(g, tuple) else g[i], truth)

    def captured(self):
        """Captured arrays and scalars change between two calls: the derivative must follow."""
        if self.program.seed % 10 != 2:
            return
        argnums = self.argnums if len(self.argnums) > 1 else 0
        f = self.program.bind()
        g = self.ad.grad(f, argnums=argnums)
        g(*copies(self.at0.args))
        f.__globals__["C0"] *= 1.01
        f.__globals__["C1"][...] += 0.003
        f.__globals__["SCALE"] *= 1.1
        names = {name: f.__globals__[name] for name in ("C0", "C1", "SCALE")}
        truth = Truth(self.program, self.at0.args, **names)
        self.derivative("gradient after captured state changed", g(*copies(self.at0.args)), truth)


@contextlib.contextmanager
def time_limit(seconds):
    def alarm(*_):
        raise Hang(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, alarm)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def check_program(program, ad, only=()):
    outcome = Outcome(program.seed, features=tuple(program.features), source=program.source)
    if any(np.ndim(program.bind()(*copies(args))) for args in (program.args0, program.args1)):
        outcome.counts["no program: a squeeze that depends on values"] += 1
        return outcome
    try:
        run = Check(program, ad)
        with time_limit(SECONDS):
            outcome.failures = run.run(only)
        outcome.counts = run.counts
    except Hang as error:
        outcome.failures = [("hang", str(error))]
    return outcome


def check(seed, ad, exclude=(), only=()):
    """Build program `seed` and run every check (or the groups `only`) of it against the module `ad`."""
    return check_program(Program(seed, exclude), ad, only)


def signature(failure):
    """What makes two failures the same: the kind, and for an exception its message less names and numbers."""
    kind, message = failure
    return kind, re.sub(r"v?\d+", "#", message.strip().splitlines()[-1])[:60] if " raised " in kind else ""


def minimise(program, ad, failure, only=()):
    """Delete statements as long as the same failure remains."""
    wanted, fewer = signature(failure), True
    while fewer:
        fewer = False
        for i in range(len(program.statements) - 1, -1, -1):
            smaller = program.without(i)
            try:
                values = smaller(*smaller.args0), smaller(*smaller.args1)
            except Exception:  # the rest needs this statement
                continue
            if np.isfinite(values).all() and wanted in map(signature, check_program(smaller, ad, only).failures):
                program, fewer = smaller, True
    return program


def _chunk(seeds, module, exclude, only):
    ad = __import__(module, fromlist=["grad"])
    return [check(seed, ad, exclude, only) for seed in seeds]


def _alone(seed, module, exclude, only):
    with concurrent.futures.ProcessPoolExecutor(1) as pool:
        try:
            return pool.submit(_chunk, [seed], module, exclude, only).result()[0]
        except concurrent.futures.process.BrokenProcessPool:
            program = Program(seed, exclude)
            return Outcome(seed, [("crash", "the interpreter died")], source=program.source)


def run_many(seeds, module="fastad", jobs=1, exclude=(), only=()):
    """Outcomes of many seeds; a dying worker costs only the guilty program."""
    seeds, size = list(seeds), 25
    chunks = [seeds[i : i + size] for i in range(0, len(seeds), size)]
    if jobs == 1:
        for chunk in chunks:
            yield from _chunk(chunk, module, exclude, only)
        return
    pool = concurrent.futures.ProcessPoolExecutor(jobs)
    for start in range(0, len(chunks), 8 * jobs):
        futures = {pool.submit(_chunk, c, module, exclude, only): c for c in chunks[start : start + 8 * jobs]}
        broken = []
        for future in concurrent.futures.as_completed(futures):
            try:
                yield from future.result()
            except concurrent.futures.process.BrokenProcessPool:
                broken.append(futures[future])
        if broken:
            pool.shutdown()
            pool = concurrent.futures.ProcessPoolExecutor(jobs)
            for seed in (s for c in broken for s in c):
                yield _alone(seed, module, exclude, only)
    pool.shutdown()


class Summary:
    """Counts over many outcomes, and what to print of them."""

    def __init__(self, show=3):
        self.show, self.programs, self.failed = show, 0, 0
        self.counts, self.features, self.suspects = (collections.Counter() for _ in range(3))
        self.kinds = collections.defaultdict(list)

    def add(self, outcome):
        self.programs += 1
        self.counts.update(outcome.counts)
        self.features.update(outcome.features)
        if not outcome.failures:
            return
        self.failed += 1
        self.suspects.update(outcome.features)
        for kind, message in outcome.failures:
            self.kinds[kind].append(outcome.seed)
            if len(self.kinds[kind]) <= self.show:
                numbered = "\n".join(f"{i + 1:4} {line}" for i, line in enumerate(outcome.source.splitlines()))
                print(f"\n== seed {outcome.seed}: {kind}\n{message}\n{numbered}", flush=True)

    def skipped(self):
        """Fraction of derivative coordinates that no method could judge."""
        return self.counts["coordinates skipped"] / max(1, self.counts["coordinates"])

    def unstable(self):
        """Fraction of programs with a decision that rounding changes."""
        return self.counts["skipped: decision within rounding"] / max(1, self.programs)

    def print(self, coverage):
        print(f"\n{self.programs} programs, {self.failed} failed")
        for kind, seeds in sorted(self.kinds.items(), key=lambda kv: -len(kv[1])):
            print(f"  {len(seeds):6}  {kind}   seeds {seeds[:6]}")
        for name, n in sorted(self.counts.items()):
            print(f"  {n:9}  {name}")
        print(f"  skipped: {self.skipped():.2%} of coordinates (limit 5 %)")
        print(f"  decisions within rounding: {self.unstable():.2%} of programs (limit 1 %)")
        rows = sorted(self.features, key=lambda f: -self.suspects[f] / self.features[f])
        if not coverage:
            rows = [f for f in rows if self.suspects[f]][:12]
        for f in rows:
            share = self.suspects[f] / self.features[f]
            print(f"  {self.features[f]:7} programs with {f:28} {share:7.2%} of them failed")


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.split("\n")[0])
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seed", type=int, help="one program only")
    parser.add_argument("--minimise", action="store_true", help="with --seed: delete statements while it still fails")
    parser.add_argument("--exclude", action="append", default=[], help="a statement kind to leave out (repeatable)")
    parser.add_argument("--only", action="append", default=[], choices=GROUPS, help="a group of checks (repeatable)")
    parser.add_argument("--show", type=int, default=3, help="how many failures of a kind to print")
    parser.add_argument("--coverage", action="store_true", help="print the count of every statement kind")
    parser.add_argument("--module", default="fastad", help="the module under test")
    a = parser.parse_args(argv)
    summary, begin = Summary(a.show), time.perf_counter()
    if a.seed is not None:
        return _one(a, summary)
    for outcome in run_many(range(a.start, a.start + a.count), a.module, a.jobs, a.exclude, a.only):
        summary.add(outcome)
        if summary.programs % 1000 == 0:
            seconds = time.perf_counter() - begin
            print(f"{summary.programs} programs, {summary.failed} failed, {seconds:.0f} s", file=sys.stderr, flush=True)
    summary.print(a.coverage)
    return int(bool(summary.failed) or summary.skipped() > 0.05 or summary.unstable() > 0.01)


def _one(a, summary):
    ad = __import__(a.module, fromlist=["grad"])
    program = Program(a.seed, a.exclude)
    outcome = check_program(program, ad, a.only)
    if a.minimise and outcome.failures:
        small = minimise(program, ad, outcome.failures[0], a.only)
        outcome = check_program(small, ad, a.only)
    summary.add(outcome)
    print(f"args0 = {program.args0!r}\nargs1 = {program.args1!r}\nconstants: {program.constants!r}")
    summary.print(False)
    return int(bool(outcome.failures))


if __name__ == "__main__":
    sys.exit(main())
