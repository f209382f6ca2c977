"""`sum_over`: the sum over sources means what Python's loop means, and has the same bits wherever it is computed.

Owns: values and derivatives of sums, executors (threads, processes, Dask, one that is ill-natured), workers that die,
what is said where something cannot be computed or sent.
"""
import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent import futures
from multiprocessing import get_context

import numpy as np
import pytest

import fastad as ad
from fastad import _tape as T
from fastad import executors, optimize, source_tasks
from fastad.errors import (
    DerivativeError,
    StaleTapeError,
    TracerError,
    UnstableDecisionError,
    UnsupportedError,
    WorkerError,
)

TIMES = np.linspace(0.0, 2.0, 9)


def stations(n=8):
    return [{"t": TIMES + 0.1 * k, "data": np.exp(-0.5 * TIMES) + 0.02 * np.sin(9.0 * TIMES + k)} for k in range(n)]


def misfit(p, station):
    return np.sum((p[0] * np.exp(-p[1] * station["t"]) - station["data"]) ** 2)


def branching(p, station):
    """Which way it goes depends on the source, and on the point."""
    r = misfit(p, station)
    return np.sqrt(r) if r > 1.0 else r * (2.0 if station["t"][0] * p[1] > 0.25 else 1.0)


def stepped(p, station):
    """A loop whose length depends on the source."""
    u = ad.while_loop(lambda u: u > 0.1 + 0.02 * station["t"][0], lambda u: u * p[1] / (1.0 + p[1]), 1.0 + p[0])
    return u * u + ad.scan(lambda s, d: (s * 0.5 + d * p[0], None), p[1], station["data"])[0]


def python_sum(sources, f):
    return lambda p: sum(f(p, s) for s in sources)


P = np.array([1.4, 0.7])
FUNCTIONS = [misfit, branching, stepped]


def bits(result):
    value, gradient = result
    return np.float64(value).tobytes(), np.asarray(gradient).tobytes()


class Shuffled(futures.Executor):
    """Another process on a bad day: everything is pickled, done in any order, forgotten between tasks now and then."""

    def __init__(self, seed, forgetful=0.0):
        self.draw, self.forgetful, self.tasks = random.Random(seed), forgetful, 0
        self.pool = futures.ThreadPoolExecutor(3)

    def submit(self, f, *args):
        import pickle
        message, delay = pickle.dumps((f, args)), self.draw.random() * 0.003
        if self.draw.random() < self.forgetful:
            source_tasks.kept.clear()
        self.tasks += 1

        def late():
            time.sleep(delay)
            f, args = pickle.loads(message)
            return pickle.loads(pickle.dumps(f(*args)))
        return self.pool.submit(late)

    def shutdown(self, wait=True, **more):
        self.pool.shutdown(wait)


@pytest.fixture(autouse=True)
def threads():
    before = ad.get_num_threads()
    ad.set_num_threads(2)
    yield
    ad.set_num_threads(before)


@pytest.fixture(scope="module")
def processes():
    with futures.ProcessPoolExecutor(2, get_context("spawn")) as executor:
        yield executor


# ---- what it means ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("f", FUNCTIONS)
def test_value_and_derivatives_are_those_of_the_python_sum(f):
    sources = stations()
    total, plain = ad.sum_over(sources, f), python_sum(sources, f)
    v = np.array([0.3, -0.4])
    for p in (P, P + 0.6, P * 0.2, P):
        assert total(p) == pytest.approx(plain(p), rel=1e-13)
        want = ad.value_and_grad(plain)(p)
        for value, gradient in (total.value_and_grad(p), ad.value_and_grad(total)(p)):
            assert value == pytest.approx(want[0], rel=1e-13)
            np.testing.assert_allclose(gradient, want[1], rtol=1e-11)
        np.testing.assert_allclose(total.grad(p), ad.grad(total)(p), rtol=1e-15)
        np.testing.assert_allclose(ad.jvp(total, (p,), (v,))[1], want[1] @ v, rtol=1e-11)
        np.testing.assert_allclose(ad.hvp(total)(p, v), ad.hvp(plain)(p, v), rtol=1e-9)
    np.testing.assert_allclose(ad.hessian(total)(P), ad.hessian(plain)(P), rtol=1e-9)
    assert ad.check_derivatives(total, P)


def test_parameters_are_any_tree():
    sources = stations()

    def f(m, s):
        return np.sum((m["amp"] * np.exp(-m["rate"][0] * s["t"]) - s["data"] + m["shift"].mean()) ** 2)
    m = {"amp": 1.3, "rate": [0.7], "shift": np.full((2, 3), 0.1, np.float32)}
    total, plain = ad.sum_over(sources, f), python_sum(sources, f)
    value, gradient = total.value_and_grad(m)
    for got, want in ((gradient, ad.grad(plain)(m)), (ad.grad(total)(m), ad.grad(plain)(m))):
        assert type(got["amp"]) is np.float64 and got["shift"].dtype == np.float32
        np.testing.assert_allclose(got["amp"], want["amp"], rtol=1e-6)
        np.testing.assert_allclose(got["rate"][0], want["rate"][0], rtol=1e-6)
        np.testing.assert_allclose(got["shift"], want["shift"], rtol=1e-5)
    assert value == total(m) == pytest.approx(plain(m), rel=1e-6)
    assert ad.sum_over([1.0, 2.0], lambda x, s: x**2 * s).value_and_grad(3) == (27.0, 18.0)


def test_it_is_a_part_of_other_functions():
    sources = stations()
    total, plain = ad.sum_over(sources, misfit), python_sum(sources, misfit)

    def with_penalty(sum_of):
        return lambda q: 2.0 * sum_of(np.exp(q)) ** 0.5 + 0.1 * np.sum(q**2)
    q = np.log(P)
    for got, want in ((ad.grad(with_penalty(total))(q), ad.grad(with_penalty(plain))(q)),
                      (ad.hessian(with_penalty(total))(q), ad.hessian(with_penalty(plain))(q))):
        np.testing.assert_allclose(got, want, rtol=1e-9)
    tape = ad.record(with_penalty(total), q)
    np.testing.assert_allclose(tape.gradient(q + 0.1), ad.grad(with_penalty(plain))(q + 0.1), rtol=1e-10)
    x = ad.variable(1.4)
    total(np.stack([x, 0.7])).backward()
    assert x.grad == pytest.approx(ad.grad(plain)(P)[0])


@pytest.mark.parametrize("method", ["L-BFGS-B", "BFGS", "Newton-CG", "trust-exact", "SLSQP", "Nelder-Mead"])
def test_optimisers_take_it(method):
    sources = stations()
    total, plain = ad.sum_over(sources, misfit), python_sum(sources, misfit)
    fit, want = (optimize.minimize(f, P, method=method) for f in (total, plain))
    assert fit.success
    np.testing.assert_allclose(fit.x, want.x, rtol=2e-4)
    assert total.stats().recordings == 1


def test_an_evaluation_is_one_forward_and_one_reverse_sweep_of_each_source(monkeypatch):
    kinds = []
    monkeypatch.setattr(executors, "compute", lambda chunk: kinds.append(chunk.kind) or source_tasks.compute(chunk))
    total = ad.sum_over(stations(1), misfit)
    g = ad.value_and_grad(total, audit=False)
    for k in range(5):
        g(P + 0.1 * k)
    assert kinds == ["value", *["gradient"] * 5]  # the recording, and sweeps
    tape, kinds[:] = ad.record(total, P), []
    for k in range(5):
        tape(P + 0.1 * k)
    assert kinds.count("value") >= 3              # nobody asks for gradients here


def test_a_third_derivative_is_refused():
    total = ad.sum_over(stations(), misfit)
    with pytest.raises((DerivativeError, UnsupportedError), match="first and second derivatives"):
        ad.grad(lambda p: np.sum(ad.hessian(total)(p)))(P)


# ---- tapes -----------------------------------------------------------------------------------------------------------

def test_sources_of_equal_shapes_share_a_tape():
    sources = [{"at": np.array([k, 1]), "d": float(k)} for k in range(5)]

    def f(x, s):
        u = np.zeros((5, 3))
        u[s["at"][0], s["at"][1]] += x[0] * s["d"]           # positions as arrays are no decisions
        return np.sum(u * np.arange(15.0).reshape(5, 3)) ** 2
    total = ad.sum_over(sources, f)
    np.testing.assert_allclose(total.grad(P), ad.grad(python_sum(sources, f))(P))
    assert total.stats().recordings == 1
    static = ad.sum_over([(k, float(k)) for k in range(5)] * 2, lambda x, s: x[s[0] % 2] ** 2 * s[1])
    np.testing.assert_allclose(static.grad(P), 2 * P * [12.0, 8.0])
    static.grad(P)
    assert static.stats().recordings == 5


@pytest.mark.parametrize("kind", ["threads", "elsewhere"])
def test_what_changes_outside_is_seen(kind):
    scale, sources = np.array([1.0, 2.0]), stations(3)
    state = {"power": 2}

    def f(p, s):
        return np.sum(np.abs(p * scale - s["data"][:2]) ** state["power"])
    total = ad.sum_over(sources, f, None if kind == "threads" else Shuffled(1))
    for change in (lambda: None, lambda: scale.fill(0.5), lambda: state.update(power=4),
                   lambda: sources[1]["data"].fill(9.0), lambda: sources[2].update(data=np.ones(9))):
        change()
        for sum_of in (total.value_and_grad, ad.value_and_grad(total)):
            value, gradient = sum_of(P)
            want = ad.value_and_grad(python_sum(sources, f), audit=False)(P)
            assert value == pytest.approx(want[0]), change
            np.testing.assert_allclose(gradient, want[1])


def test_random_numbers_are_found_out():
    rng = np.random.default_rng(0)
    f = lambda p, s: misfit(p, s) * (1.0 + 0.1 * rng.random())      # noqa: E731
    with pytest.raises(StaleTapeError):
        ad.sum_over(stations(), f)(P)                # the second source would have the number of the first
    one = ad.sum_over(stations(1), f)
    with pytest.raises(StaleTapeError):
        for _ in range(4):
            one(P)


def test_decisions_within_rounding_are_named():
    def f(p, s):
        return p[0] if np.sum(p * s) > 0.3 else p[1]
    near = ad.sum_over([np.array([0.1, 0.2])] * 3, f)
    with contextlib.suppress(UnstableDecisionError):
        near(np.array([1.0, 1.0]))
    assert near(np.array([2.0, 1.0])) == 6.0 and near(np.array([0.5, 0.7])) == pytest.approx(2.1)


# ---- the same bits everywhere ----------------------------------------------------------------------------------------

@pytest.mark.parametrize(("f", "n"), [(misfit, 1), (misfit, 8), (branching, 8), (stepped, 8), (misfit, 300)])
def test_bits_do_not_depend_on_who_computes(f, n, processes):
    sources = stations(n)
    points = (P, P + 0.6, P * 0.2)
    ad.set_num_threads(1)
    want = [bits(ad.sum_over(sources, f).value_and_grad(p)) for p in points]
    product = ad.hvp(ad.sum_over(sources, f))(P, P).tobytes()
    with futures.ThreadPoolExecutor(3) as pool, Shuffled(n) as shuffled, Shuffled(n, 0.3) as forgetful:
        for k, executor in enumerate((None, None, pool, shuffled, forgetful, processes)):
            ad.set_num_threads(2 + k)
            total = ad.sum_over(sources, f, executor)
            assert [bits(total.value_and_grad(p)) for p in points] == want
            assert total(P).tobytes() == want[0][0]
            assert bits(ad.value_and_grad(total)(P)) == want[0]
            if executor is not processes:
                assert ad.hvp(total)(P, P).tobytes() == product


def test_an_optimisation_in_other_processes_ends_at_the_same_bits(processes, tmp_path):
    results = []
    for executor in (None, processes):
        total = ad.sum_over(stations(), misfit, executor)
        results.append(optimize.minimize(total, P, method="L-BFGS-B", checkpoint=tmp_path / str(executor is None)))
    assert results[0].x.tobytes() == results[1].x.tobytes() and results[0].nfev == results[1].nfev > 3


def test_workers_keep_what_they_were_sent():
    with Shuffled(0) as executor:
        total = ad.sum_over(stations(), misfit, executor)
        sizes = []
        submit = executor.submit
        executor.submit = lambda f, *args: sizes.append(sum(map(len, args[-1]))) or submit(f, *args)
        for _ in range(3):
            total(P)
        assert executor.tasks == 24 and all(sizes[:8]) and not any(sizes[8:])
        source_tasks.kept.clear()                 # new workers
        total(P)
        assert 32 < executor.tasks <= 48 and any(sizes[24:])


def test_workers_drop_what_is_too_much(monkeypatch):
    monkeypatch.setattr(source_tasks, "KEPT_BYTES", 5000)
    with Shuffled(0) as executor:
        total = ad.sum_over(stations(30), misfit, executor)
        want = ad.sum_over(stations(30), misfit)(P)
        assert total(P) == want == total(P)
        assert sum(size for _, size in source_tasks.kept.values()) <= 5000 + 8000
        monkeypatch.setattr(source_tasks, "KEPT_BYTES", 0)
        source_tasks.kept.clear()
        assert total(P) == want == total(P)


def test_what_has_changed_is_not_kept_for_ever():
    sources = stations(2)
    with Shuffled(0) as executor:
        total = ad.sum_over(sources, misfit, executor)
        for k in range(600):
            sources[0]["data"][0] = 1.0 + 1e-3 * k
            total(P)
        assert len(total.runner.packer.sent) < 1100
        assert total(P) == ad.sum_over(sources, misfit)(P)


def test_several_threads_may_ask():
    total = ad.sum_over(stations(), branching)
    points = [P + 0.01 * k for k in range(24)]
    want = [bits(total.value_and_grad(p)) for p in points]
    with futures.ThreadPoolExecutor(4) as pool:
        assert [bits(r) for r in pool.map(total.value_and_grad, points)] == want
        assert [bits(r) for r in pool.map(ad.value_and_grad(total), points)] == want


def test_a_thread_with_its_own_sources_takes_no_help_and_all_is_as_before_afterwards():
    seen = []
    chunk = source_tasks.Chunk("value", 0, [], [], [], {})

    class Looking:
        def __iter__(self):
            seen.append(T.work_alone(True))
            return iter(())
    assert executors.alone(chunk._replace(jobs=Looking())) == (0.0, [])
    assert seen == [True] and T.work_alone(False) is False


# ---- what goes wrong -------------------------------------------------------------------------------------------------

def failing(p, source):
    if source["t"][0] > 0.45:
        raise ZeroDivisionError("the fifth")
    return misfit(p, source)


def test_what_is_not_finite_is_found_in_its_source():
    def forward(m, s):
        return np.sum(np.log(m - 0.5 * s))

    def backward(m, s):
        return np.sum(ad.scan(lambda u, k: (u + np.where(k == 3, s, 0.0) * np.sqrt(u - u), None), m, np.arange(5))[0])
    x = np.array([1.0, 2.0, 3.0])
    for f, sweep, source in ((forward, "forward", 2), (backward, "reverse", 1)):
        total = ad.sum_over(np.arange(4.0), f)
        found = ad.debug_nonfinite(lambda m, total=total: 2.0 * total(m) + m[0], x)
        assert found.sweep == sweep and found.sources[0][0] == source, str(found)
        assert f"in source {source} of the sum at " in str(found) and found.location == ad.debug_nonfinite(
            f, x, float(source)).location
        assert [step for step, _ in found.steps] == ([3] if f is backward else [])
    assert not ad.debug_nonfinite(ad.sum_over(np.arange(4.0), lambda m, s: np.sum(m * s)), x)


def test_errors_note_the_source():
    sources = [{**s, "kind": k} for k, s in enumerate(stations())]
    with pytest.raises(ZeroDivisionError, match="the fifth") as caught:
        ad.sum_over(sources, failing)(P)
    assert caught.value.__notes__ == ["(in source 5 of a sum_over)"]
    with pytest.raises(DerivativeError, match="one real number, and returned an array") as caught:
        ad.sum_over(stations(), lambda p, s: p * 2)(P)
    assert "source 0" in caught.value.__notes__[0]
    singular = ad.sum_over([0.0, 1.0, 2.0], lambda p, s: np.linalg.inv(np.array([[p[0], s], [1.0, 1.0]]))[0, 0])
    with pytest.raises(np.linalg.LinAlgError):
        singular(np.array([1.0]))
    assert singular(np.array([3.0])) == pytest.approx(1 / 3 + 1 / 2 + 1)


def test_floating_point_errors_are_those_of_the_caller():
    total = ad.sum_over([1.0, 0.0, -1.0], lambda p, s: np.log(p[0] * s) * 2.0)
    with np.errstate(all="ignore"):
        assert np.isnan(total(P))
    with np.errstate(invalid="raise", divide="ignore"), pytest.raises(FloatingPointError):
        total(P)


@pytest.mark.parametrize(("arguments", "error", "match"), [
    (([], misfit), ValueError, "no sources"), (({"a": 1.0}, misfit), TypeError, "a dict"),
    (([1.0], 3.0), TypeError, "not callable"), (([1.0], misfit, 4), TypeError, "executor is a int"),
])
def test_bad_arguments(arguments, error, match):
    with pytest.raises(error, match=match):
        ad.sum_over(*arguments)


def test_complex_parameters_are_refused():
    with pytest.raises(UnsupportedError, match="complex parameters"):
        ad.sum_over([1.0], lambda z, s: np.real(z) * s)(1.0 + 2.0j)
    assert ad.sum_over([1.0 + 2.0j], lambda p, s: np.abs(p * s))(2.0) == pytest.approx(2 * 5**0.5)


def test_a_value_from_another_recording_is_refused():
    def outer(x):
        return ad.sum_over([1.0, 2.0], lambda p, s: p * s * x)(2.0)
    with pytest.raises(TracerError):
        ad.grad(outer)(3.0)


def test_what_cannot_be_sent_is_named_and_runs_here():
    cube = ad.primitive(lambda x: x**3, vjp=lambda w, y, x: (3.0 * w * x**2,))
    sources = stations()

    def f(p, s):
        return misfit(cube(p), s)
    with Shuffled(0) as executor, pytest.raises(
            UnsupportedError, match=r"source 0 of a sum_over cannot be sent .*custom primitive .*<lambda> "
            r"\(recorded at .*test_sum_over.py:\d+\).*executor=None"):
        ad.sum_over(sources, f, executor)(P)
    np.testing.assert_allclose(ad.sum_over(sources, f).grad(P), ad.grad(python_sum(sources, f))(P))


def test_what_is_no_number_need_not_be_pickled():
    """A lambda, and sources that hold a lock and a file: only tapes and arrays travel."""
    with Shuffled(0) as executor, open(__file__) as file:
        sources = [{**s, "lock": threading.Lock(), "file": file} for s in stations(2)]
        total = ad.sum_over(sources, lambda p, s: misfit(p, s), executor)
        assert total(P) == ad.sum_over(stations(2), misfit)(P)


def long_loop(p, s):
    return np.sum(ad.scan(lambda u, _: (np.sin(u * p[0]) + s * p[1], None), np.full(200, 0.3), length=8000)[0])


def test_a_process_that_dies_is_an_error_and_no_part_of_the_sum():
    with futures.ProcessPoolExecutor(2, get_context("spawn")) as executor:
        total = ad.sum_over(np.arange(30.0) / 30, long_loop, executor)
        pid = executor.submit(os.getpid).result()
        killer = threading.Timer(0.2, os.kill, (pid, signal.SIGKILL))
        killer.start()
        with pytest.raises(WorkerError, match="a worker died.*There is no sum"):
            total(P)
        killer.join()
        with pytest.raises(WorkerError):
            total(P)


class Failing(futures.Executor):
    """Nothing is ever computed, and the first of eight tasks fails."""

    def __init__(self, error):
        self.futures, self.error = [], error

    def submit(self, *args):
        self.futures.append(futures.Future())
        if len(self.futures) == 8:
            self.futures[0].set_exception(self.error)
        return self.futures[-1]


KilledWorker = type("KilledWorker", (Exception,), {"__module__": "distributed.scheduler"})


@pytest.mark.parametrize(("error", "raised"), [(KeyboardInterrupt(), KeyboardInterrupt), (KilledWorker("4 times"),
                         WorkerError), (MemoryError("there"), MemoryError), (futures.CancelledError(), WorkerError)])
def test_a_sum_that_fails_is_given_up_whole(error, raised):
    executor = Failing(error)
    total = ad.sum_over(stations(), misfit, executor)
    for f in (total, total.grad, ad.grad(total)):
        executor.futures.clear()
        with pytest.raises(raised, match=str(error) or None):
            f(P)
        assert all(f.cancelled() for f in executor.futures[1:])


def test_dask_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ImportError, match=r"pip install 'fastad\[dask\]'"):
        ad.sum_over([1.0], misfit, "tcp://127.0.0.1:8786")


def test_importing_fastad_does_not_import_dask():
    code = "import sys, fastad as ad; ad.sum_over([1.0], lambda p, s: p * s)(2.0); print('distributed' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


# ---- Dask ------------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def client():
    distributed = pytest.importorskip("distributed", reason="Dask is not installed (pip install 'fastad[dask]')")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1",
                                  silence_logs=50) as cluster, distributed.Client(cluster) as client:
        yield client


@pytest.mark.slow
def test_dask_gives_the_same_bits(client):
    for f in FUNCTIONS:
        want = bits(ad.sum_over(stations(), f).value_and_grad(P))
        total = ad.sum_over(stations(), f, client)
        assert bits(total.value_and_grad(P)) == want == bits(ad.value_and_grad(total)(P))
    with ad.sum_over(stations(), f, client.scheduler.address) as total:
        assert bits(total.value_and_grad(P)) == want
    large = np.linspace(0.0, 1.0, 2_000_000)      # through the workers, not through the scheduler
    sources = [1.0, 2.0]
    f = lambda p, s: np.sum(p[:1000] ** 2) * s  # noqa: E731
    assert bits(ad.sum_over(sources, f, client).value_and_grad(large)) == bits(ad.sum_over(sources, f)
                                                                                .value_and_grad(large))


@pytest.mark.slow
def test_a_dask_worker_that_dies_is_replaced_and_its_sources_computed_again(client):
    sources = np.arange(30.0) / 30
    total = ad.sum_over(sources, long_loop, client)
    pids = client.run(os.getpid)
    killed = []

    def kill():
        os.kill(next(iter(pids.values())), signal.SIGKILL)
        killed.append(not done)
    done: list[bool] = []
    killer = threading.Timer(0.15, kill)
    killer.start()
    got = bits(total.value_and_grad(P))
    done.append(True)
    killer.join()
    assert killed == [True], "the sum was there before the worker was killed"
    assert got == bits(ad.sum_over(sources, long_loop).value_and_grad(P))


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["processes", "dask"])
def test_the_example_runs(executor, tmp_path):
    pytest.importorskip("distributed")
    from tests.example_scripts import run
    done = run(["examples/fwi/many_shots.py"], "--executor", executor, "--checkpoint", str(tmp_path / "run.npz"))
    assert done.returncode == 0, done.stderr
    assert "tapes recorded: 1" in done.stdout
    again = run(["examples/fwi/many_shots.py"], "--checkpoint", str(tmp_path / "run.npz"))
    assert done.stdout.splitlines()[-1] == again.stdout.splitlines()[-1]
