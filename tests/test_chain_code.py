"""Chains of fused loops as code of the processor: the bits and flags of their steps, and when it is made.

Owns: the proof of `_code.pxi` for chains, of programs with such code beside programs without.
Must not know: single instructions (kernels/test_chain.h has each, under the sanitizers and at the end of a page).
Next: test_chains.py (steps against sweeps), test_machine_code.py (packed scalars), fastad/_kernels/chain_code.h.
"""
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastad as ad
from fastad._program import Program, code_pays
from fastad._transform import jvp, vjp
from tests.random_stencils import random_stencil
from tests.test_chains import points, random_function
from tests.test_machine_code import code_bytes, makes_code, where_forbidden

NEVER, AT_ONCE = 1 << 62, 1
NAN = np.uint64(0x7ff8123400000000).view(float)              # not the one that processors make
SHAPES = [(19,), (64,), (130,), (513,), (5, 200), (9, 131)]


@pytest.fixture(autouse=True)
def quiet():
    before = code_pays(NEVER)
    with np.errstate(all="ignore"):
        yield
    code_pays(before)


def raw(values):
    """All bits, of NaN too."""
    return [np.asarray(v).tobytes() for v in values]


def both_ways(tape, args):
    """What a tape's program gives by steps, and by code; bytes of the code."""
    code_pays(NEVER)
    want = raw(Program(tape).run(args))
    code_pays(AT_ONCE)
    program = Program(tape)
    got = raw(program.run(args))
    return want, got, code_bytes(program)


def compare(function, x, points):
    tape = ad.record(function, *x)
    ones = [np.ones_like(v) for v in tape.sweep(x) if v.dtype.kind == "f"]
    made = 0
    for derived, seeds in ((tape, []), (vjp(tape), ones), (jvp(tape), [np.ones_like(v) for v in x])):
        for at in points:
            want, got, size = both_ways(derived, [*at, *seeds])
            assert got == want
            made += size
    return made


def random_chains(seeds, shapes=SHAPES):
    made = 0
    for shape in shapes:
        for dtype in (np.float64, np.float32):
            for seed in seeds:
                x, wild = points(seed, shape, dtype)
                wild[0].reshape(-1)[::5] = NAN.astype(dtype)
                made += compare(random_function(seed), x, (x, [*wild, x[2]]))
    return made


def stencils(seeds):
    return sum([compare(*random_stencil(seed), [random_stencil(seed)[1]]) for seed in seeds])


def test_random_chains_keep_every_bit():
    assert (random_chains(range(100, 120)) > 0) == makes_code()


def test_random_stencils_keep_every_bit():
    assert (stencils(range(500, 560)) > 0) == makes_code()


OTHER_SETS = """
import numpy as np
from tests.test_chain_code import random_chains, stencils
np.seterr(all="ignore")
print(random_chains([200, 201, 202], [(19,), (513,), (5, 200)]) + stencils(range(600, 612)) > 0)
"""


@pytest.mark.parametrize("cpu, made", [("v2", False), ("v3", True)])
def test_other_instruction_sets(root, cpu, made):
    done = subprocess.run([sys.executable, "-c", OTHER_SETS], cwd=root, capture_output=True, text=True,
                          env={**os.environ, "FASTAD_CPU": cpu, "PYTHONPATH": str(root / "tests")})
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(made and makes_code())


RUNS_ON = """
import numpy as np
import fastad as ad
from fastad._program import Program
program = Program(ad.record(lambda x: x * x + 1.0, np.ones(1000)))
assert np.all(program.run([np.ones(1000)])[0] == 2.0) and program.stats()["code_bytes"] == 0
"""


def test_a_system_that_forbids_it(root):
    """The steps run on."""
    where_forbidden(root, RUNS_ON)


@pytest.mark.parametrize("n", [65, 79, 600])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_what_elements_do_not_raise_is_not_raised(n, dtype):
    """Of a range that ends within a vector; and what one element raises is."""
    code_pays(AT_ONCE)
    program = Program(ad.record(lambda x, y: (1.0 / x + np.sqrt(y)) * (y / x), *np.ones((2, n), dtype)))
    ones = np.ones(n, dtype)
    with np.errstate(all="raise"):
        program.run([ones, ones])
        for k in {0, n // 2, n - 1}:
            zero, minus = ones.copy(), ones.copy()
            zero[k], minus[k] = 0.0, -1.0
            with pytest.raises(FloatingPointError, match="divide by zero"):
                program.run([zero, ones])
            with pytest.raises(FloatingPointError, match="invalid"):
                program.run([ones, minus])
    assert (code_bytes(program) > 0) == makes_code()


def steps(n):
    """Two operations on n numbers, as a program."""
    return Program(ad.record(lambda x: x * x + 1.0, np.ones(n)))


def test_code_is_made_when_it_pays():
    code_pays(400)
    long, short = steps(1_000_000), steps(1000)
    long.run([np.ones(1_000_000)])
    assert (code_bytes(long) > 0) == makes_code()
    for _ in range(20):
        short.run([np.ones(1000)])
    assert code_bytes(short) == 0
    for _ in range(2000):
        short.run([np.ones(1000)])
    assert (code_bytes(short) > 0) == makes_code()


def test_loops_of_one_form_share_their_code():
    """A time loop needs no more of it than a step."""
    def march(u, n):
        for _ in range(n):
            new = np.zeros_like(u)
            new[1:-1, 1:-1] = u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2] - 3.5 * u[1:-1, 1:-1]
            u = new
        return (u * u).sum()
    code_pays(AT_ONCE)
    sizes = []
    for n in (10, 40):
        program = Program(vjp(ad.record(march, np.ones((20, 100)), n)))
        program.run([np.ones((20, 100)), 1.0])
        sizes.append(code_bytes(program))
        assert program.fused_loops >= n
    assert sizes[0] == sizes[1] and (sizes[0] > 0) == makes_code()


def test_threads_run_steps_while_code_is_made():
    code_pays(400)
    f = random_function(7)
    x, _ = points(7, (40, 300), np.float64)
    program = Program(vjp(ad.record(f, *x)))
    args = [*x, *[np.ones_like(v) for v in ad.record(f, *x).sweep(x) if v.dtype.kind == "f"]]
    code_pays(NEVER)
    want = raw(Program(program.tape, optimise=False).run(args))
    code_pays(400)

    def run(_):
        with np.errstate(all="ignore"):
            return raw(program.run(args)) == want
    assert code_bytes(program) == 0
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(run, range(100)))
    assert (code_bytes(program) > 0) == makes_code()
