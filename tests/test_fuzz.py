"""CI's share of the fuzzing, and tests of the fuzzer: that it covers, and that it can fail.

Owns: the counts that CI runs. Must not know: fastad's inside.
The checker runs here against stand-ins made of plain NumPy and the oracle, each wrong in one way.
Next: tests/fuzz.py (`python -m tests.fuzz --count 100000 --jobs 2` is the long run).
"""

import collections
import importlib.util
import types
import zlib

import numpy as np
import pytest

from tests import fuzz, fuzz_forms, fuzz_functions, reference
from tests.fuzz_programs import Program
from tests.fuzz_statements import STATEMENTS

needs_fastad = pytest.mark.skipif(
    importlib.util.find_spec("fastad._tape") is None, reason="fastad._tape is not built: run `make build`"
)


@needs_fastad
@pytest.mark.parametrize("start", range(0, 300, 100))
def test_programs_agree(start):
    import fastad

    summary = fuzz.Summary(show=1)
    for seed in range(start, start + 100):
        summary.add(fuzz.check(seed, fastad))
    assert not summary.failed, dict(summary.kinds)
    assert summary.skipped() <= 0.05
    assert summary.unstable() <= 0.01
    assert summary.counts["replayed at x1"] > 30  # a tape that always diverges would agree with everything


# -- the generator


def test_a_seed_means_one_program():
    for seed in (0, 7, 12345):
        a, b = Program(seed), Program(seed)
        assert a.source == b.source
        assert a(*a.args0) == b(*b.args0)
        assert a(*a.args1) == b(*b.args1)
    assert len({Program(seed).source for seed in range(40)}) == 40


def test_programs_are_valid_and_cover_every_statement():
    features, values = collections.Counter(), []
    for seed in range(1500):
        p = Program(seed)
        features.update(p.features.keys())
        values += [p(*p.args0), p(*p.args1)]
        assert p.features["result"] >= 1
        assert len(p.statements) >= 5
    assert np.isfinite(values).all()
    assert np.abs(values).max() < 1e4
    assert np.std(values) > 1
    for feature, *_ in STATEMENTS:
        assert features[feature] >= 15, feature


def test_programs_can_be_differentiated():
    good = total = judged = points = 0
    for seed in range(150):
        p = Program(seed, fuzz_functions.FEATURES)       # the oracle models few of these
        for args in (p.args0, p.args1):
            truth = fuzz.Truth(p, args)
            d, error = fuzz.differences(truth.plain, args)
            smooth = error <= 1e-5 * (1 + np.abs(d).max())
            total, good, points = total + d.size, good + smooth.sum(), points + 1
            g, tolerance = truth.gradient()
            if truth.source == "oracle":
                judged += 1
                assert (np.abs(g - d)[smooth] <= (1e-6 * (1 + np.abs(d).max()) + 10 * error)[smooth]).all(), seed
    assert good > 0.95 * total
    assert judged > 0.85 * points  # the oracle carries nearly all of the load


def test_excluded_statements_do_not_occur():
    assert all("python.tolist" not in Program(s, exclude=["python.tolist"]).features for s in range(100))


# -- the checker, against stand-ins


class TapeDivergence(Exception):
    pass


class StandInTape:
    """A tape in behaviour only: NumPy for values, the oracle for derivatives, and one chosen fault."""

    def __init__(self, f, args, fault):
        self.f, self.fault, self.point, self.args = f, fault, args, args
        self.tier, self.calls = 0, 0
        self.oracle = types.FunctionType(f.__code__, {**f.__globals__, **reference.namespace()})
        self.oracle.__globals__["np"].__dict__.update(empty=reference.namespace()["np"].zeros)

    def __call__(self, *args):
        self.calls += 1
        if self.fault == "diverges" and any((np.asarray(a) != b).any() for a, b in zip(args, self.args, strict=True)):
            raise TapeDivergence
        y = float(self.f(*fuzz.copies(args)))
        if self.fault == "writes":
            args[0][...] = 0
        if self.fault == "stale" and self.calls == 1:
            self.first = y
        return {
            "value": y * (1 + 1e-9),
            "jitter": np.nextafter(y, np.inf) if self.calls % 2 else y,
            "stale": getattr(self, "first", y),
            "compiled": np.nextafter(y, np.inf) if self.tier else y,
        }.get(self.fault, y)

    def forward(self, *args):
        self.point = args
        return self(*args)

    def gradient(self, *args):
        g = truth_gradient(self.f, self.oracle, args)
        if self.fault == "gradient":
            g[0].flat[0] *= 1.001
        if self.fault == "compiled gradient" and self.tier:
            g[0].flat[0] += 1e-6
        return g if len(g) > 1 else g[0]

    def reverse(self, bar):
        g = self.gradient(*self.point)
        return tuple(bar * p for p in g) if isinstance(g, tuple) else bar * g

    def tangent(self, *seeds):
        g = self.gradient(*self.point)
        g = g if isinstance(g, tuple) else (g,)
        return sum((p * s).sum() for p, s in zip(g, seeds, strict=True)) * (1.001 if self.fault == "tangent" else 1)

    def compile(self):
        self.tier = 1

    def batch(self, k):
        wrong = 1e-3 if self.fault == "batch" else 0.0
        return lambda *stacks: np.array([self(*[s[j] for s in stacks]) + wrong for j in range(k)])

    def save(self, path):
        with open(path, "w") as file:
            file.write("x")
        StandInTape.saved = self


def truth_gradient(f, oracle, args):
    try:
        return tuple(np.array(g) for g in reference.grad(oracle, *fuzz.copies(args)))
    except Exception:
        flat, _ = fuzz.differences(lambda a: float(f(*fuzz.copies(a))), args)
        return tuple(p.reshape(np.shape(a)) for p, a in zip(np.split(flat, [np.size(args[0])]), args, strict=False))


def stand_in(fault=None):
    def record(f, *args):
        return StandInTape(f, args, fault)

    def grad(f, argnums=0):
        frozen = StandInTape(f, (), fault)
        names = dict(f.__globals__, C0=f.__globals__["C0"].copy())

        def g(*args):
            if fault == "captured":
                tape = StandInTape(types.FunctionType(f.__code__, names), args, fault)
            else:
                tape = StandInTape(f, args, fault) if fault != "first gradient" else frozen
            out = tape.gradient(*args)
            if fault == "first gradient":  # what was computed once is given for ever
                frozen.kept = getattr(frozen, "kept", out)
                return frozen.kept
            return out

        return g

    def hvp(f):
        oracle = StandInTape(f, (), None).oracle

        def product(x, v):
            return reference.hvp(oracle, x, v) * (1.001 if fault == "hvp" else 1)

        return product

    def load(path):
        tape = StandInTape.saved
        return StandInTape(tape.f, tape.args, "value") if fault == "load" else tape

    def batch(f):
        def lanes(*stacks):
            order = [0, 0, 2] if fault == "lanes" else [0, 1, 2]     # a lane by the decisions of another
            every = [f(*[s[j].copy() if s[j].ndim else float(s[j]) for s in stacks]) for j in order]
            return tuple(zip(*every, strict=True)) if isinstance(every[0], tuple) else every

        return lanes

    return types.SimpleNamespace(record=record, grad=grad, hvp=hvp, batch=batch, TapeDivergence=TapeDivergence,
                                 Tape=types.SimpleNamespace(load=load))


SEEDS = range(20)


def kinds_found(fault, seeds=SEEDS):
    ad = stand_in(fault)
    summary = fuzz.Summary(show=0)
    for seed in seeds:
        summary.add(fuzz.check(seed, ad,
            exclude=fuzz_forms.FEATURES + fuzz_functions.FEATURES))       # of which the oracle models few
    return summary


def test_a_right_tape_passes():
    summary = kinds_found(None)
    # second derivatives of the few programs that the oracle refuses have no stand-in
    others = {k: v for k, v in summary.kinds.items() if k != "second raised TypeError"}
    assert not others
    assert summary.skipped() < 0.05
    assert summary.counts["replayed at x1"] == len(SEEDS)


@pytest.mark.parametrize(
    ("fault", "kind", "seeds"),
    [
        ("value", "value at the recording point", SEEDS),
        ("jitter", "repetition", SEEDS),
        ("writes", "replay wrote into its argument", SEEDS),
        ("stale", "value at the other point", SEEDS),
        ("gradient", "gradient at the recording point", SEEDS),
        ("first gradient", "gradient at the other point", SEEDS),
        ("tangent", "tangent against reverse", SEEDS),
        ("compiled", "tier 1 value bits", SEEDS),
        ("compiled gradient", "tier 1 gradient", SEEDS),
        ("hvp", "hvp", range(0, 100, 5)),
        ("load", "loaded tape", range(0, 100, 10)),
        ("batch", "batch against loop", range(1, 101, 10)),
        ("lanes", "value in a batch", range(4, 104, 5)),
        ("captured", "gradient after captured state changed", range(2, 202, 10)),
    ],
)
def test_a_fault_is_found(fault, kind, seeds):
    # not in every program: two arguments have no hvp here, some gradients are zero, few use what is captured
    least = {"hvp": 0.4, "captured": 0.1, "gradient": 0.7, "first gradient": 0.7}.get(fault, 0.8)
    assert len(kinds_found(fault, seeds).kinds[kind]) >= least * len(seeds)


def test_divergence_is_no_failure_but_counted():
    summary = kinds_found("diverges")
    assert "value at the other point" not in summary.kinds
    assert summary.counts["diverged at x1"] == len(SEEDS)


def test_a_dying_or_hanging_worker_costs_one_program(tmp_path, monkeypatch):
    (tmp_path / "deadly.py").write_text(
        "import os, time\n"
        "class TapeDivergence(Exception): pass\n"
        "class DerivativeError(Exception): pass\n"
        "def record(f, *args):\n"
        "    if f.__code__.co_filename == '<fuzz program 3>':\n"
        "        os._exit(9)\n"
        "    if f.__code__.co_filename == '<fuzz program 5>':\n"
        "        time.sleep(60)\n"
        "    raise ValueError('not now')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(fuzz, "SECONDS", 1)
    monkeypatch.setenv("FASTAD_FUZZ_SECONDS", "1")  # for workers that import anew instead of forking
    outcomes = {o.seed: o for o in fuzz.run_many(range(30), "deadly", jobs=2, only=("replay",))}
    assert sorted(outcomes) == list(range(30))
    assert [kind for kind, _ in outcomes[3].failures] == ["crash"]
    assert [kind for kind, _ in outcomes[5].failures] == ["hang"]
    assert [kind for kind, _ in outcomes[7].failures] == ["replay raised ValueError"]
    assert "return out" in outcomes[3].source


def test_minimise_keeps_the_failure_and_drops_the_rest():
    def mistaken(f, *args):
        tape = StandInTape(f, args, None)
        names = dict(f.__globals__)
        names["np"] = types.SimpleNamespace(**{**vars(np), "tanh": lambda a: np.tanh(a) * 1.001})
        tape.f = types.FunctionType(f.__code__, names)
        return tape

    ad = stand_in()
    ad.record = mistaken
    seed = next(s for s in range(200) if "np.tanh" in Program(s).source and fuzz.check(s, ad).failures)
    program = Program(seed)
    small = fuzz.minimise(program, ad, fuzz.check(seed, ad).failures[0])
    assert "np.tanh" in small.source
    assert len(small.statements) < len(program.statements)
    assert zlib.crc32(program.source.encode()) == zlib.crc32(Program(seed).source.encode())


def test_a_decision_within_rounding_is_skipped_not_failed():
    program = Program(1)
    program.source = "def f(x):\n    return 1.0 if x[2] >= 0.41 else 5.0\n"
    program.parameters = ["x"]
    program.args0 = program.args1 = (np.array([0.1, 0.7, 0.41]),)
    truth = fuzz.Truth(program, program.args0)
    checker = fuzz.Check(program, stand_in())
    checker.value("value", 5.0, truth, 1e-11)
    assert checker.counts["skipped: decision within rounding"] == 1
    away = fuzz.Truth(program, (np.array([0.1, 0.7, 0.42]),))
    with pytest.raises(fuzz.Mismatch, match="NumPy gives 1.0"):
        checker.value("value", 5.0, away, 1e-11)
