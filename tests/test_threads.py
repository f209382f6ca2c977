"""Large loops on several threads: the same bits whatever their number, under Python threads, and after a fork."""
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastad as ad
from fastad._program import Program

N = 200_003                                          # no multiple of a block, nor of a chunk


@pytest.fixture(autouse=True)
def restored():
    before = ad.get_num_threads()
    yield
    ad.set_num_threads(before)


def rosenbrock(x):
    return np.sum(100.0 * (x[1:] - x[:-1]**2)**2 + (1.0 - x[:-1])**2)


def transcendental(x):
    return np.sum(np.exp(-x**2) * np.sin(3.0 * x)) + np.sum(np.log1p(x**2) * np.tanh(x))


def several_sums(x):
    y = np.where(x > 0, x, 0.1 * x)
    return np.sum(y) * np.sum(x * x) + np.sum(np.sqrt(np.abs(x) + 1.0)) / y.size


def plane(x):
    u = x[:200_000].reshape(400, 500)
    lap = u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:] - 4.0 * u[1:-1, 1:-1]
    return np.sum(lap**2)


@pytest.mark.parametrize("f", [rosenbrock, transcendental, several_sums, plane])
def test_bits_do_not_depend_on_the_number_of_threads(f):
    x = np.random.default_rng(0).normal(size=N)
    tape = ad.record(f, x)
    tiers = [float(tape(x))]
    tape.compile()
    ad.set_num_threads(1)
    value, gradient = tape(x), tape.gradient(x)
    assert tiers[0] == float(value)
    for threads in (2, 3, 7):
        ad.set_num_threads(threads)
        for _ in range(3):
            assert tape(x) == value
            np.testing.assert_array_equal(tape.gradient(x), gradient)


def test_python_threads_share_the_pool():
    ad.set_num_threads(3)
    tape = ad.record(transcendental, np.zeros(N))
    tape.compile()
    points = [np.random.default_rng(k).normal(size=N) for k in range(8)]
    want = [tape.gradient(x) for x in points]
    with ThreadPoolExecutor(4) as pool:
        for a, b in zip(pool.map(tape.gradient, points), want, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_sweeps_on():
    """The workers are not in the child; it starts its own."""
    script = (
        "import os, numpy as np, fastad as ad\n"
        "ad.set_num_threads(2)\n"
        "x = np.linspace(-1.0, 1.0, 300000)\n"
        "tape = ad.record(lambda x: np.sum(np.exp(x) * np.sin(x)), x)\n"
        "tape.compile()\n"
        "want = tape.gradient(x)\n"
        "pid = os.fork()\n"
        "same = all(np.array_equal(tape.gradient(x), want) for _ in range(20))\n"
        "if pid == 0: os._exit(0 if same else 1)\n"
        "print(same, os.waitpid(pid, 0)[1])\n")
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["True", "0"], done.stderr


def test_floating_point_warnings_come_from_every_thread():
    ad.set_num_threads(2)
    tape = ad.record(lambda x: np.sum(np.log(x) * 2.0), np.ones(N))
    tape.compile()
    x = np.ones(N)
    x[-1] = 0.0
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        assert tape(x) == -np.inf
    assert tape(np.ones(N)) == 0.0                   # no flag stays behind in a worker


@pytest.mark.parametrize("given, want", [("3", "3"), ("", None), ("none", "ValueError")])
def test_the_environment_names_a_number(given, want):
    done = subprocess.run([sys.executable, "-c", "import fastad as ad; print(ad.get_num_threads())"],
                          env={**os.environ, "FASTAD_NUM_THREADS": given}, capture_output=True, text=True, timeout=60)
    if want == "ValueError":
        assert "FASTAD_NUM_THREADS is 'none'" in done.stderr
    else:
        assert done.stdout.strip() == (want or str(min(64, len(os.sched_getaffinity(0)))))


def test_a_number_of_threads_that_is_none():
    with pytest.raises(ValueError, match="at least 1"):
        ad.set_num_threads(0)


# ---- the cost model --------------------------------------------------------------------------------------------------

def shares(function, n, dtype=np.float64):
    return Program(ad.record(function, np.linspace(0.1, 1.0, n, dtype=dtype))).stats()["shared_loops"]


@pytest.mark.parametrize("function", [lambda x: (x + 0.5) * x - 1.0, lambda x: np.sqrt(x) / (x + 2.0), np.tanh,
                                      lambda x: np.where(x > 0.5, x, 0.1).sum()])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_what_threads_share_is_monotone_in_the_size(function, dtype):
    chosen = [shares(function, n, dtype) for n in (10, 100, 1000, 3000, 10_000, 20_000, 60_000, 200_000, 1_000_000)]
    assert chosen == sorted(chosen) and chosen[0] == 0 and chosen[-1] == 1


def test_what_threads_share_is_monotone_in_the_work():
    """More instructions, or dearer ones, are shared at least as early."""
    def steps(k, one):
        def function(x):
            for _ in range(k):
                x = one(x)
            return x
        return function
    for n in (2000, 10_000, 40_000):
        for one in (lambda x: x * 1.5 + 0.1, np.sqrt, np.tanh):
            chosen = [shares(steps(k, one), n) for k in (1, 2, 5, 10, 20)]
            assert chosen == sorted(chosen)
        for k in (1, 5, 20):
            chosen = [shares(steps(k, one), n) for one in (lambda x: x * 1.5, np.sqrt, np.tanh)]
            assert chosen == sorted(chosen)
