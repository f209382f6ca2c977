"""Loops over numbers as machine code by LLVM: the bits, the flags and the manners of the virtual machine.

Owns: the proof of llvm_numbers.py, llvm_loops.py, llvm_code.py and _native.pxi.  Elsewhere tests run without LLVM
(conftest.py).  Next: test_scan_numbers.py (the same loops in the machine).
"""
import os
import pickle
import signal
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest

import fastad as ad
from fastad import _scan, _tape, llvm_code, tapes
from fastad.rows import SPECIAL_ROWS
from tests.test_scan import loop
from tests.test_scan_numbers import length_of, lorenz, random_numbers

POINT = np.array([10.0, 28.0, 8.0 / 3.0])
SPECIAL = np.array([0.0, -0.0, np.nan, -np.nan, np.inf, -np.inf, 5e-324, -5e-324, 1e-310, 2.3e-308, 1.7e308, -1.7e308,
                    1.0, -1.0, 0.5, -2.5, 3.0, 1e-8, -0.3, 1.0000000000000002, 710.0, -745.0])


@pytest.fixture
def native(need, monkeypatch):
    """Call it with "0", "1" or "always"; `made`: what has become machine code since."""
    need("llvmlite")
    before, compile_text = _scan.native_mode(), llvm_code.compile_text

    def switch(setting):
        switch.made = []
        _scan.native_mode(setting)

    def recorded(*args):
        switch.made.append(compile_text(*args))
        return switch.made[-1]
    monkeypatch.setattr(llvm_code, "compile_text", recorded)
    yield switch
    _scan.native_mode(before)


def compiled(tape):
    """Loops of the programs of a tape and of its gradient that are machine code, and those that are not."""
    programs = [tapes.program(tape), tape.derived.get("gradient program")]
    scans = [a for p in programs if p is not None for a in p.tape.attr_list if isinstance(a, _scan.Scan)]
    seconds = [s.native_seconds() for s in scans]
    return len([s for s in seconds if s is not None]), len([s for s in seconds if s is None])


def reasons(tape):
    """Why the loops of a tape are not compiled."""
    return [a.why_not for a in tape.attr_list if isinstance(a, _scan.Scan)]


def bits(x):
    """The bytes of an array; of NaN it is not said which (a sum of two NaN is either of them)."""
    x = np.array(x, dtype=np.float64)
    x[np.isnan(x)] = np.nan
    return x.tobytes()


def outcome(call):
    """(bits of all results, what NumPy would warn of)."""
    seen = set()
    with np.errstate(all="call"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "floating point number truncated")     # of SciPy's expn
        before = np.seterrcall(lambda kind, _: seen.add(kind))
        try:
            results = call()
        finally:
            np.seterrcall(before)
    return [bits(x) for x in results], seen


def both_ways(native, call):
    """The outcome without and with LLVM, which must be the same."""
    native("0")
    want = outcome(call)
    assert not native.made
    native("always")
    got = outcome(call)
    assert got == want
    assert native.made
    return want


def sweeps(f, *points):
    """Value, gradient, Hessian product and tangent of a fresh recording, compiled, at these points."""
    def call():
        tape = ad.record(f, points[0]).compile()
        jvp = tapes.program(tapes.jvp_tape(tape))
        results = []
        for p in points:
            v = np.linspace(-1.0, 1.0, p.size).reshape(p.shape)
            results += [tape(p), tape.gradient(p), *jvp.run([p, v])]
        return results
    return call


# ---- bits ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("seed", range(24))
def test_random_bodies(seed, native):
    f, p = random_numbers(seed, length_of(seed))
    both_ways(native, sweeps(lambda q: f(ad.scan, q), p, p + 0.2))


@pytest.mark.parametrize("seed", range(3))
def test_second_derivatives(seed, native):
    f, p = random_numbers(seed, 40)
    v = np.linspace(-1.0, 1.0, 4)
    both_ways(native, lambda: [ad.hvp(lambda q: f(ad.scan, q))(p, v), ad.hessian(lambda q: f(ad.scan, q))(p)])


def test_the_gradient_of_numbers_is_compiled_both_ways(native):
    native("always")
    tape = ad.record(lorenz(ad.scan, 500), POINT).compile()
    tape(POINT)
    want = ad.grad(lorenz(loop, 500))(POINT)
    np.testing.assert_allclose(tape.gradient(POINT), want, rtol=1e-11)
    assert compiled(tape) == (3, 0)      # the value; the value that keeps what its adjoint reads; the adjoint


def is_real(row):
    return "f" in row.dtypes and row.name != "where"


ROWS = [row for row in _tape.ROWS.values() if is_real(row)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_row_of_the_table(row, native):
    """Value, tangent and adjoint at special numbers, and what NumPy would warn of there."""
    rng, _ = np.random.default_rng(7), _tape.ensure_row(row.name)
    ordinary = [rng.uniform(*intervals[0], 6) for intervals in row.domain.intervals]
    special = SPECIAL[:3] if row in SPECIAL_ROWS else SPECIAL                    # (some of SciPy's take minutes)
    xs = np.stack([x.ravel() for x in np.meshgrid(*[np.append(special, x) for x in ordinary])])
    xs = np.concatenate([xs[:, rng.permutation(xs.shape[1])[:60]], ordinary], axis=1)
    weight = np.where(np.arange(xs.shape[1]) % 5, 0.7, 0.0)

    def path(x):
        def step(s, now):
            y = _tape.elementwise(row.name, *[ad.stop_gradient(now[k]) if k in dict(row.refused) else now[k]
                                              for k in range(row.arity)])
            return 0.5 * s + 1.0, np.where(y, 1.0, s) if row.result == "bool" else y
        return ad.scan(step, 0.3, x.T)[1]

    def call():
        tape = ad.record(path, xs).compile()
        total = ad.record(lambda x: np.sum(np.where(weight == 0.0, 0.0, path(x) * weight)), xs).compile()
        return [tape(xs), *tapes.program(tapes.jvp_tape(tape)).run([xs, np.ones_like(xs)]), total.gradient(xs)]
    both_ways(native, call)


def mixed(p, table, where):
    """Numbers and elements of rows; whole numbers and bools among the slices; ties, choices, casts."""
    def step(state, now):
        a, b, c = state
        row, k, flag, x = now
        new = np.where(flag, a * row[2] - b, np.maximum(a, x) + table[1] * p[0])
        small = np.minimum(new, np.where(k > 2, b, c))
        count = np.where(np.logical_and(flag, k % 2 == 0), k, -k) * 1.5 + row[0] / 3.0
        other = np.where(np.logical_or(np.isnan(new), x >= b), count, np.hypot(small, c))
        return (small * 0.5, a, np.sign(other) * np.sqrt(np.abs(other))), (new, c, np.float64(1.0), k * x)
    n = len(where)
    rows = p[2] * np.arange(3.0 * n).reshape(n, 3) / n
    slices = (rows, np.arange(n), where, np.linspace(-1, 1, n))
    state, ys = ad.scan(step, (p[0], 0.25, p[1]), slices, reverse=n % 2 == 0)
    return state[0] + 2.0 * state[1] - state[2] + sum(np.sum(y * y) for y in ys)


@pytest.mark.parametrize("n", [1, 2, 9, 64])
def test_elements_whole_numbers_bools_and_choices(n, native):
    where = np.random.default_rng(n).random(n) < 0.5
    points = np.array([[0.4, -1.2, 0.3], [2.0, 0.0, 1.0]])
    both_ways(native, sweeps(lambda p: mixed(p, np.array([1.0, -0.7]), where), *points))


def test_a_product_is_rounded_before_it_is_added(native):
    """Nothing is contracted, though the processor could."""
    rng = np.random.default_rng(0)
    a, b, c = rng.normal(size=(3, 300))

    def f(run, a):
        return run(lambda s, x: (x[0] * x[1] + x[2] - s * x[0], s * x[0] - x[1] * x[2]), 0.5,
                   np.stack([a, b, c], axis=1))[1]
    native("always")
    assert np.array_equal(ad.record(lambda a: f(ad.scan, a), a).compile()(a), f(loop, a))
    assert native.made


def test_what_does_not_change_is_computed_once_and_flags_are_raised(native):
    def f(p):
        return ad.scan(lambda s, _: (s * np.exp(p[0]) / p[1], s), 1.0, length=5)[0]
    for p in ([0.1, 2.0], [0.1, 0.0], [800.0, 1.0], [0.1, np.nan], [0.1, 1e-300]):
        both_ways(native, sweeps(f, np.array([1.0, 2.0]), np.array(p)))


@pytest.mark.parametrize("x", [1.0, 0.0, -1.0, np.inf, np.nan])
def test_branches_that_are_not_taken_are_silent_where_the_machine_is(x, native):
    """An infinite partial of an untaken branch meets a zero adjoint; a division by zero there is computed, and told."""
    def f(p):
        def step(s, _):
            safe = np.where(p[0] > 0.0, np.sqrt(np.abs(p[0])), 0.0)
            return s * 0.5 + np.where(p[0] > 0.0, p[0] * s, safe), np.where(p[0] > 0, 1.0 / p[0], s)
        end, ys = ad.scan(step, p[1], length=20)
        return end + np.sum(ys)
    both_ways(native, sweeps(f, np.array([1.0, 0.3]), np.array([x, 0.3])))


# ---- manners ---------------------------------------------------------------------------------------------------------

def drift(length):
    def f(x):
        def step(state, _):
            a, b = state
            return (a + 1e-7 * b, b - 1e-7 * a), None
        return ad.scan(step, (x[0], x[1]), length=length)[0][0]
    return f


class Interrupt(BaseException):
    """What Ctrl-C raises, but not taken for one by pytest."""


def test_ctrl_c_ends_a_loop(native):
    def handler(*_):
        raise Interrupt
    native("always")
    x, before = np.array([1.0, 2.0]), signal.signal(signal.SIGALRM, handler)
    tape = ad.record(drift(100_000_000), x).compile()        # (a fifth of a second)
    try:
        with pytest.raises(Interrupt):
            signal.setitimer(signal.ITIMER_REAL, 0.03)
            tape(x)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert native.made
    short = ad.record(drift(1000), x)
    assert ad.record(drift(1000), x)(x) == short(x)


def test_nothing_is_compiled_before_it_pays(native):
    """A loop is compiled when it has run so long that this pays, in the midst of a call if need be; the same bits."""
    want = ad.record(lorenz(ad.scan, 3000), POINT).gradient(POINT)
    native("1")
    g = ad.grad(lorenz(ad.scan, 3000), audit=False)
    g.clear()
    assert np.array_equal(g(POINT), want)
    assert not native.made
    assert g.stats().native is None
    for _ in range(3000):
        assert np.array_equal(g(POINT), want)
        if len(native.made) == 2:
            break
    assert g.stats().native.loops == len(native.made) == 2
    assert 0.0 < g.stats().native.seconds < 10.0
    assert "native=NativeLoops(loops=2" in repr(g.stats())
    one = ad.record(drift(60_000_000), np.ones(2))           # (which a recording runs, once)
    assert len(native.made) == 3
    native("0")
    assert one(np.ones(2)) == ad.record(drift(60_000_000), np.ones(2))(np.ones(2))


def test_stats_of_a_tape(native):
    native("always")
    tape = ad.record(lorenz(ad.scan, 50), POINT).compile()
    tape.gradient(POINT)
    stats = tape.stats()
    assert stats.compiled["native_loops"] == 1
    assert stats.compiled_gradient["native_loops"] == 2
    assert stats.compiled_gradient["native_seconds"] > 0.0
    assert "1 loops are machine code by LLVM" in str(stats)
    native("0")
    tape = ad.record(lorenz(ad.scan, 50), POINT).compile()
    assert tape.stats().compiled["native_loops"] == 0
    assert "LLVM" not in str(tape.stats())


def test_loops_with_the_same_step_are_compiled_once(native):
    native("always")
    tapes_of = [ad.record(lorenz(ad.scan, n), POINT) for n in (20, 50)]
    values = [tape(POINT) for tape in tapes_of]
    assert len(native.made) == len(values) == 2
    assert native.made[0] is native.made[1]


def test_llvm_that_fails_says_so_once_and_the_machine_goes_on(native, monkeypatch):
    def fails(text, name):
        raise OSError("no such library")
    monkeypatch.setattr(llvm_code, "made", fails)
    monkeypatch.setattr(llvm_code, "broken", "")
    monkeypatch.setattr(llvm_code, "known", {})
    want = lorenz(loop, 50)(POINT)
    native("always")
    with pytest.warns(llvm_code.LLVMWarning, match=r"OSError: no such library.*FASTAD_JIT=0"):
        tape = ad.record(lorenz(ad.scan, 50), POINT)
    assert tape(POINT) == pytest.approx(want, rel=1e-13)
    np.testing.assert_allclose(tape.gradient(POINT), ad.grad(lorenz(loop, 50))(POINT), rtol=1e-11)      # and no warning
    assert "no such library" in reasons(tape)[0]


def test_without_llvmlite_nothing_is_different(native, monkeypatch):
    monkeypatch.setattr(llvm_code, "available", lambda: False)
    native("always")
    tape = ad.record(lorenz(ad.scan, 50), POINT)
    assert tape(POINT) == pytest.approx(lorenz(loop, 50)(POINT), rel=1e-13)
    assert not native.made
    assert "llvmlite" in reasons(tape)[0]


def test_loops_of_arrays_are_none_of_its_business(native):
    native("always")
    tape = ad.record(lambda x: ad.scan(lambda u, _: (np.tanh(u), None), x, length=9)[0].sum(), np.ones(3))
    assert "not numbers" in reasons(tape)[0]
    assert not native.made


def python(script, **env):
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=120,
                          env={**os.environ, **env})
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


LORENZ = """
import os, sys, numpy as np, fastad as ad
def f(p):
    def step(state, _):
        x, y, z = state
        return (x + 1e-3 * p[0] * (y - x), y + 1e-3 * (x * (p[1] - z) - y), z + 1e-3 * (x * y - p[2] * z)), x
    (x, y, z), path = ad.scan(step, (1.0, 1.0, 20.0), length=500)
    return x * y + z + np.sum(path)
tape = ad.record(f, np.array([10.0, 28.0, 2.5])).compile()
point = np.array([9.0, 27.0, 2.6])
"""


def test_it_is_imported_where_it_is_used(native):
    said = python(LORENZ + "tape.gradient(point)\nprint('llvmlite' in sys.modules, 'fastad.llvm_code' in sys.modules)",
                  FASTAD_JIT="1")
    assert said == ["False", "False"]
    said = python(LORENZ + "[tape.gradient(point) for _ in range(2000)]\nprint('llvmlite' in sys.modules)",
                  FASTAD_JIT="0")
    assert said == ["False"]


def test_the_environment_says_when(native):
    said = python(LORENZ + "print(tape.gradient(point).tobytes().hex(), 'llvmlite' in sys.modules)",
                  FASTAD_JIT="always")
    native("0")
    assert said == python(LORENZ + "print(tape.gradient(point).tobytes().hex(), True)", FASTAD_JIT="0")
    done = subprocess.run([sys.executable, "-c", "import fastad"], env={**os.environ, "FASTAD_JIT": "yes"},
                          capture_output=True, text=True, timeout=60)
    assert "FASTAD_JIT=yes: 0 (never), 1 (when it pays) or always" in done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_runs_the_code_and_compiles_more(native):
    """Also where the parent is compiling in another thread at that moment."""
    said = python(LORENZ + """
import threading, time, warnings
warnings.simplefilter("ignore")          # of a fork beside threads
want = tape.gradient(point)
pids, stop = [], False
def compiles():
    k = 0
    while not stop:
        k += 1
        ad.record(lambda p: ad.scan(lambda s, _: (s * p[0] + 1.0 / k, None), 1.0, length=9)[0], point)
thread = threading.Thread(target=compiles)
thread.start()
for k in range(5):
    time.sleep(0.01)
    pid = os.fork()
    if pid == 0:
        good = np.array_equal(tape.gradient(point), want)
        h = ad.grad(lambda p: ad.scan(lambda s, _: (s * p[0] - 7.0 / (k + 1), None), 1.0, length=3)[0])
        os._exit(0 if good and np.isfinite(h(point)).all() else 1)
    pids.append(pid)
stop = True
thread.join()
print(*[os.waitpid(pid, 0)[1] for pid in pids])
""", FASTAD_JIT="always")
    assert said == ["0"] * 5


def test_threads(native):
    """Some of them run the loop while another one compiles it."""
    points = [POINT * (1.0 + 0.001 * k) for k in range(8)]
    want = [ad.record(lorenz(ad.scan, 4000), POINT).gradient(p) for p in points]
    native("always")
    tape, wrong = ad.record(lorenz(ad.scan, 4000), POINT).compile(), []

    def run(k):
        for _ in range(10):
            if not np.array_equal(tape.gradient(points[k]), want[k]):
                wrong.append(k)
    threads = [threading.Thread(target=run, args=(k,)) for k in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
    assert native.made


def test_tapes_travel(native, tmp_path):
    native("always")
    tape = ad.record(lorenz(ad.scan, 100), POINT).compile()
    want = tape.gradient(POINT)
    tape.save(tmp_path / "tape")
    for other in (pickle.loads(pickle.dumps(tape)), ad.Tape.load(tmp_path / "tape")):
        assert np.array_equal(other.gradient(POINT), want)


def test_within_a_budget(native):
    """Loops that keep a part of their steps run in the machine: the same bits."""
    f = lorenz(ad.scan, 3000)
    native("always")
    whole = ad.grad(f, audit=False)(POINT)
    tight = ad.grad(f, audit=False, memory="170kB")
    assert np.array_equal(tight(POINT), whole)
    assert tight.stats().memory.recomputed > 1.0
