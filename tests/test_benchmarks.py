"""Every benchmark runs once at its smallest size, and its answers are right.  Nothing is timed here.

Owns: that the cases work, that a wrong answer stops a row, that README and table agree.  Must not judge speed: a test
that depends on the machine's mood is worse than none.
Next: benchmarks/harness.py (how time is taken), benchmarks/cases/.
"""
import re
import time

import numpy as np
import pytest

cases = pytest.importorskip("benchmarks.cases", reason="the benchmarks belong to the checkout, not to the package",
                            exc_type=ModuleNotFoundError)
from benchmarks import peers, programs  # noqa: E402
from benchmarks.__main__ import main  # noqa: E402
from benchmarks.harness import Bench, Row, Seconds, WrongAnswer, quantity, twin  # noqa: E402


def quick_bench():
    lines = []
    bench = Bench(quick=True, peers=peers.installed(peers.NAMES), show=lines.append, tracebacks=True)
    return bench, lines


@pytest.mark.parametrize("name", cases.CASES)
@pytest.mark.filterwarnings("default")          # the peers' own deprecations are not our errors
def test_case_runs_and_its_answers_are_verified(name):
    bench, lines = quick_bench()
    bench.start(name)
    cases.CASES[name].run(bench)
    assert not bench.failures, "\n".join(lines)
    assert bench.rows, "a case without a row measures nothing"
    assert all(np.isfinite(row.value) for row in bench.rows)
    assert bench.verified or name in ("machine", "imports"), "a case must verify its answer before it takes time"


# ---- the programs are judged by two independent means ----------------------------------------------------------------

@pytest.mark.parametrize("f, by_hand, n", [(programs.rosenbrock, programs.rosenbrock_gradient, 7),
                                           (programs.transcendental, programs.transcendental_gradient, 7),
                                           (programs.small, programs.small_gradient, 3)])
def test_gradients_by_hand_agree_with_differences(f, by_hand, n, rng):
    x = rng.normal(size=n)
    np.testing.assert_allclose(by_hand(x), programs.central_differences(f, x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("f, p", [(lambda p: programs.lotka_volterra(p, steps=20), programs.LV_POINT),
                                  (lambda p: programs.chain(p, 20), programs.CHAIN_POINT),
                                  (lambda p: programs.elementary_chain(p, 20), programs.CHAIN_POINT)])
def test_complex_steps_agree_with_differences(f, p):
    np.testing.assert_allclose(programs.complex_step(f, p.tolist()), programs.central_differences(f, p), rtol=1e-6)


@pytest.mark.parametrize("name", ["np.interp", "np.sort", "y[mask] = c", "np.where"])
def test_references_of_the_branching_models(name, rng):
    recordings = pytest.importorskip("benchmarks.cases.recordings")
    f, reference = recordings.MODELS[name]
    x = rng.normal(size=recordings.WEIGHTS.size)
    np.testing.assert_allclose(reference(x), programs.central_differences(f, x), rtol=1e-5, atol=1e-5)


# ---- the harness tells right from wrong ------------------------------------------------------------------------------

@pytest.mark.parametrize("got, want",
                         [([1.0, 2.001], [1.0, 2.0]), ([np.nan], [1.0]), ([1.0], [[1.0]]), ([1e-3], [0.0])])
def test_a_wrong_answer_is_refused(got, want):
    bench, _ = quick_bench()
    with pytest.raises(WrongAnswer):
        bench.verify("case", got, want)
    assert bench.verified == 0


def test_a_failing_part_is_reported_and_the_rest_goes_on():
    bench, lines = quick_bench()
    with bench.part("first"):
        bench.verify("its gradient", 1.0, 2.0)
    with bench.part("second"):
        raise KeyError("peer")
    with bench.part("third"):
        bench.row("row", 1.0)
    assert bench.failures == ["first", "second"]
    assert "WRONG ANSWER in first" in lines[0] and "second BROKE: KeyError" in lines[1]
    assert "WRONG OR BROKEN: first, second" in bench.summary()


def test_levels_are_judged():
    assert Row("c", "w", 1e-6, "s", level=2e-6).state == "ok"
    assert Row("c", "w", 3e-6, "s", level=2e-6).state == "MISSED"
    assert Row("c", "w", float("nan"), "s", level=2e-6).state == "MISSED"
    assert Row("c", "w", 3e-6, "s").state == ""
    bench = Bench(show=lambda line: None)
    bench.start("c")
    bench.row("slow", 3e-6, level=2e-6)
    bench.row("fine", 1e-6, level=2e-6)
    assert "2 levels: 1 ok, 1 missed" in bench.summary() and "missed: c: slow" in bench.summary()


def test_times_are_least_or_median_and_may_be_measured_inside():
    bench = Bench(show=lambda line: None)
    own = iter([Seconds(5.0), Seconds(3.0), Seconds(4.0)] * 1000)
    assert bench.best(lambda: next(own), seconds=0.0, at_least=3) == 3.0
    assert bench.best(lambda: 0.0, seconds=0.0, at_least=1) > 0.0       # a plain float is a result, not a time
    slept = bench.best(lambda: time.sleep(2e-3), seconds=0.0, at_least=1)
    assert slept >= 2e-3
    own = iter([Seconds(5.0), Seconds(3.0), Seconds(4.0)] * 1000)
    assert bench.best(lambda: next(own), seconds=0.0, at_least=3, statistic=lambda t: sorted(t)[len(t) // 2]) == 4.0


@pytest.mark.parametrize("value, unit, text",
                         [(2.35e-3, "s", "2.35 ms"), (8.5e-8, "s", "85 ns"), (-2e-8, "s", "-20 ns"),
                          (1.5, "s", "1.5 s"), (14.0, "B", "14 B"), (1, "", "1")])
def test_quantities_read_well(value, unit, text):
    assert quantity(value, unit) == text


def test_a_twin_computes_the_same_with_its_own_code():
    copy = twin(programs.lotka_volterra)
    assert copy.__code__ is not programs.lotka_volterra.__code__
    assert copy(programs.LV_POINT, steps=3) == programs.lotka_volterra(programs.LV_POINT, steps=3)


# ---- the command and the page ----------------------------------------------------------------------------------------

def test_the_command_names_missing_peers_and_unknown_cases(capsys, monkeypatch):
    monkeypatch.setattr(peers.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(peers.c_code, "compiler", lambda: None)
    assert main(["machine", "--quick", "--in-process"]) == 0
    assert "missing: c, jax, torch_compile, torch, autograd, casadi, aadc" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["no_such_case"])
    assert "there are machine" in capsys.readouterr().err


def test_every_case_is_described(root):
    page = (root / "benchmarks" / "README.md").read_text()
    assert re.findall(r"^\| `(\w+)` \|", page, flags=re.M) == list(cases.CASES)
    for name, module in cases.CASES.items():
        assert "Stresses" in module.__doc__, f"cases/{name}.py must say what it stresses"
