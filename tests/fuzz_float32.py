"""The fuzzer's programs with float32 arrays: dtypes are NumPy's, values too to rounding, gradients those of float64.

Owns: check(seed, ad) and the command line `python -m tests.fuzz_float32 --start 0 --count 1000`.
Must not know: how fastad works.
Truth: plain NumPy on the same float32 arguments for dtype and value; the float64 gradient of the same program for
derivatives.  Arguments moved in their last bit of float32 say how far rounding alone moves both.
Next: tests/fuzz.py (the programs in float64), tests/fuzz_programs.py (what they are made of).
"""
import argparse
import collections
import sys

import numpy as np

from tests.fuzz_programs import Program

EPS = float(np.finfo(np.float32).eps)
NOISY = 1e-3                             # a program that rounding moves by more than this judges nothing


def single(args, shake=None):
    """Arrays as float32, moved by some last bits; Python's floats stay what they are."""
    def one(a):
        if not isinstance(a, np.ndarray):
            return a
        moved = a if shake is None else a * (1 + 4 * EPS * shake.uniform(-1, 1, a.shape))
        return moved.astype(np.float32)
    return [one(a) for a in args]


def plain(f, args):
    with np.errstate(all="ignore"):
        return f(*[np.copy(a) if isinstance(a, np.ndarray) else a for a in args])


def noise(f, args, like):
    """How far float32 rounding moves what f gives; infinite where a decision lies within it."""
    draw, moved = np.random.default_rng(0), 0.0
    for _ in range(6):
        y = np.asarray(plain(f, single(args, draw)), dtype=float)
        moved = max(moved, float(np.max(np.abs(y - like), initial=0.0)))
    return moved if np.isfinite(moved) else np.inf


class Check:
    def __init__(self, seed, ad):
        self.program, self.ad = Program(seed), ad
        constants = self.program.fresh_constants()
        if seed % 2:                     # captured arrays of the other type promote to float64
            constants = {k: np.asarray(v, np.float32) if isinstance(v, np.ndarray) and v.dtype == float else v
                         for k, v in constants.items()}
        self.constants, self.failures, self.counts = constants, [], collections.Counter()

    def function(self):
        return self.program.bind(**{k: np.copy(v) if isinstance(v, np.ndarray) else v for k, v in
                                    self.constants.items()})

    def run(self):
        args0, args1 = (single(a) for a in (self.program.args0, self.program.args1))
        want = plain(self.function(), args0)
        self.counts["programs"] += 1
        with np.errstate(all="ignore"):
            try:
                tape = self.ad.record(self.function(), *args0)
            except self.ad.DerivativeError:      # it has a path on which nothing depends on its arguments
                self.counts["constant"] += 1
                return self
            self.value(tape(*args0), want, self.program.args0)
            compiled = self.ad.record(self.function(), *args0)
            compiled.compile()
            for args in (args0, args1):
                try:
                    first = tape(*args)
                except self.ad.TapeDivergence:
                    self.counts["diverged"] += 1
                    continue
                if np.asarray(first).tobytes() != np.asarray(compiled(*args)).tobytes():
                    self.failures.append(("tier 1 bits", f"{first!r} and {compiled(*args)!r}"))
                self.gradients(tape, compiled, args)
        return self

    def value(self, got, want, args):
        if isinstance(want, np.generic) and np.asarray(got).dtype != want.dtype:
            self.failures.append(("dtype", f"{np.asarray(got).dtype}, NumPy gives {want.dtype}"))
        self.counts[str(np.asarray(got).dtype)] += 1
        near = 30 * EPS * (1 + abs(float(want)))
        if abs(float(got) - float(want)) <= near or (np.isnan(got) and np.isnan(want)):
            return
        tolerance = noise(self.function(), args, float(want))
        if tolerance > NOISY * (1 + abs(float(want))):
            self.counts["value within noise"] += 1
        elif not abs(float(got) - float(want)) <= near + 10 * tolerance:
            self.failures.append(("value", f"{got!r}, NumPy gives {want!r}, noise {tolerance:.1e}"))

    def gradients(self, tape, compiled, args):
        first, second = tape.gradient(*args), compiled.gradient(*args)
        first, second = (g if isinstance(g, tuple) else (g,) for g in (first, second))
        wide = [a.astype(np.float64) if isinstance(a, np.ndarray) else a for a in args]
        for x, g, h in zip(args, first, second, strict=True):
            if not np.asarray(g).dtype == np.asarray(h).dtype == np.asarray(x).dtype:
                self.failures.append(("dtype of gradient", f"{np.asarray(g).dtype}, {np.asarray(h).dtype}"))
        truth, spread = self.truth(wide)
        for g, h, want, moved in zip(first, second, truth, spread, strict=True):
            scale = 1 + np.max(np.abs(want), initial=0.0)
            for name, x in (("gradient", g), ("tier 1 gradient", h)):
                wrong = ~(np.abs(np.asarray(x, float) - want) <= 300 * EPS * scale + 30 * moved)
                self.counts["coordinates"] += wrong.size
                if not np.isfinite(scale) or np.max(moved, initial=0.0) > NOISY * scale:
                    self.counts["coordinates skipped"] += wrong.size
                elif wrong.any():
                    self.failures.append((name, f"{x!r}\n  float64: {want!r}\n  noise: {moved!r}"))

    def truth(self, wide):
        """The float64 gradients, and how far they move when the arguments move in float32's last bits."""
        def at(args):
            g = self.ad.grad(self.program.bind(), tuple(range(len(args))), audit=False)(*args)
            return [np.asarray(x, float) for x in g]
        draw, want = np.random.default_rng(1), at(wide)
        spread = [np.zeros(w.shape) for w in want]
        for _ in range(4):
            moved = [a * (1 + 4 * EPS * draw.uniform(-1, 1, np.shape(a))) for a in wide]
            found = at([m if np.ndim(m) else float(m) for m in moved])
            spread = [np.maximum(s, np.abs(f - w)) for s, f, w in zip(spread, found, want, strict=True)]
        return want, spread


def check(seed, ad):
    """Failures as (kind, message) and counts of one program."""
    return Check(seed, ad).run()


def main():
    import fastad
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz_float32", description=__doc__.split("\n")[0])
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--count", type=int, default=200)
    a = parser.parse_args()
    counts, failed = collections.Counter(), 0
    for seed in range(a.start, a.start + a.count):
        try:
            found = check(seed, fastad)
        except Exception as error:
            print(f"== seed {seed}: {type(error).__name__}: {error}")
            failed += 1
            continue
        counts.update(found.counts)
        for kind, message in found.failures[:1]:
            failed += 1
            print(f"== seed {seed}: {kind}: {message}\n{found.program.source}")
    print(f"{a.count} programs, {failed} failed; {dict(counts)}")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
