"""Code of the processor for packed scalars: when it is made, and that nothing but the time depends on it.

Owns: the proof of `Program.works`.  Must not know: bits of single instructions (test_machine.py, both ways).
Next: tests/kernels/test_machine.h (random code against its words), fastad/_kernels/machine_code.h.
"""
import os
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import fastad as ad
from fastad._program import Program, code_pays
from tests.test_machine import bits, point, scalar_tape


@pytest.fixture(autouse=True)
def quiet():
    before = code_pays(1)
    with np.errstate(all="ignore"):
        yield
    code_pays(before)


def code_bytes(program):
    return program.stats()["code_bytes"]


def makes_code():
    """May this process make code of the processor?"""
    if platform.machine() not in ("x86_64", "AMD64") or os.environ.get("FASTAD_CPU") == "v2":
        return False
    cpus = Path("/proc/cpuinfo")
    return not cpus.exists() or " avx " in cpus.read_text()


@pytest.mark.parametrize("pays, made", [(1, True), (2, False)])
def test_code_is_made(pays, made):
    code_pays(pays)
    program = Program(scalar_tape(np.random.default_rng(1), 300, 20))
    assert code_bytes(program) == 0
    program.run(point(np.random.default_rng(2), False))
    assert (code_bytes(program) > 1000) == (made and makes_code())


def test_code_is_made_when_it_pays():
    code_pays(50)
    program, x = Program(scalar_tape(np.random.default_rng(1), 300, 20)), point(np.random.default_rng(2), False)
    want = bits(program.run(x))
    for _ in range(48):
        program.run(x)
    assert code_bytes(program) == 0
    program.run(x)
    assert (code_bytes(program) > 0) == makes_code() and bits(program.run(x)) == want


@pytest.mark.parametrize("n, made", [(8_600, True), (20_000, False)])
def test_long_code_is_fetched_late(n, made):
    """What runs once a sweep stays words where its code would be larger than caches that others use as well."""
    t = scalar_tape(np.random.default_rng(3), n, 30)
    program, x = Program(t), point(np.random.default_rng(4), False)
    assert bits(program.run(x)) == bits(t.sweep(x)) and (code_bytes(program) > 0) == (made and makes_code())


def test_runs_with_arrays_between_them():
    """Many short runs share the memory of their code."""
    def f(x, a):
        for k in range(40):
            y = x[0]
            for _ in range(6):
                y = y * x[1] + x[2]
            a = np.cumsum(np.sin(a * y))
            x = x + a[k % 3:k % 3 + 3]
        return x[0] * x[1] + a.sum()
    tape = ad.record(f, np.array([0.1, 0.2, 0.3]), np.linspace(0.1, 0.5, 20))
    program = Program(tape)
    assert program.stats()["runs"] >= 40
    for seed in range(3):
        x = [np.random.default_rng(seed).normal(size=3), np.linspace(-0.1, 0.5, 20)]
        assert bits(program.run(x)) == bits(tape.sweep(x))
    assert (code_bytes(program) > 0) == makes_code()


def test_threads_run_words_while_code_is_made():
    code_pays(300)
    t = scalar_tape(np.random.default_rng(5), 400, 20)
    program, x = Program(t), point(np.random.default_rng(6), False)
    want = bits(t.sweep(x))

    def run(_):
        with np.errstate(all="ignore"):
            return bits(program.run(x)) == want
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(run, range(1200)))
    assert (code_bytes(program) > 0) == makes_code()


COMPILED = """
import numpy as np
import fastad as ad
def f(x):
    y = x[0]
    for _ in range(20):
        y = np.sin(y) * x[1] + y
    return y
x = np.array([0.3, 0.7])
tape = ad.record(f, x)
tape.compile()
"""

FORBIDDEN = """
import ctypes, sys
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):          # PR_SET_MDWE: no memory becomes executable any more
    sys.exit(77)
"""
RUNS_ON = COMPILED + """
assert tape(x) == f(x) and tape(x) == f(x)
assert tape.stats().compiled["code_bytes"] == 0, tape.stats()
"""


def where_forbidden(root, program):
    """Run a program where the system lets nobody make code."""
    done = subprocess.run([sys.executable, "-c", FORBIDDEN + program], cwd=root, capture_output=True, text=True,
                          env={**os.environ, "FASTAD_MACHINE_CODE": "1"})
    if done.returncode == 77:
        pytest.skip("this kernel has no PR_SET_MDWE (Linux 6.3)")
    assert done.returncode == 0, done.stderr


def test_a_system_that_forbids_it(root):
    """The words run on, to the same bits."""
    where_forbidden(root, RUNS_ON)


ASKED = COMPILED + """
for _ in range(1000):
    tape(x)
print(tape.stats().compiled["code_bytes"] > 0)
"""


@pytest.mark.parametrize("wish, made", [("0", False), ("1", True)])
def test_the_environment_decides(root, wish, made):
    done = subprocess.run([sys.executable, "-c", ASKED], cwd=root, capture_output=True, text=True, check=True,
                          env={**os.environ, "FASTAD_MACHINE_CODE": wish})
    assert done.stdout.strip() == str(made and makes_code())
