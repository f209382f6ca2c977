"""Elementary functions of our own: 1 ulp from mpmath at most, the bits of every instruction set, NumPy's exceptions.

Owns: the proof of _kernels/mathematics.h and of the lanes, and of sine and cosine that one step of a loop computes.
Next: benchmarks/cases/ulp.py (which points, how an error is counted), test_fusion.py (loops).
"""
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
from test_kernels import SANITIZERS, build, fails_with

import fastad as ad
from fastad._program import Program
from fastad._tape import own_mathematics
from fastad.primitives import BY_NAME, TABLE
from fastad.tapes import gradient_tape

ulp = pytest.importorskip("benchmarks.cases.ulp", reason="the benchmarks belong to the checkout, not to the package",
                          exc_type=ModuleNotFoundError)
from benchmarks.conditions import Conditions, environment  # noqa: E402

NAMES = [row.name for row in TABLE if row.ulp]
LEVELS = ulp.levels("exp")
needs_fma = pytest.mark.skipif(not LEVELS, reason="this processor has no fused multiply-add, and NumPy's loops stay")
SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 5e-324, -5e-324, 1e-310, 0.5, -0.5, 2.0, -2.0, 3.0,
                    -3.0, 709.7, 709.8, -744.9, -745.2, -708.5, 1e300, -1e300, 2.5, -2.5, 1e-200, 2.0**-60, -2.0**-60])


def test_the_table_and_the_benchmark_name_the_same_functions():
    assert set(NAMES) == set(ulp.FUNCTIONS) >= {"sin", "cos", "exp", "expm1", "tanh", "log", "log1p"}


@needs_fma
@pytest.mark.parametrize("name", NAMES)
def test_errors_stay_below_one_ulp(name):
    operands = ulp.points(name, 600)
    rounded, rest = ulp.exact(name, operands)
    for level in LEVELS:
        error = ulp.errors(own_mathematics(name, level, *operands), rounded, rest)
        reduced = np.abs(operands[0]) < 2.0**19 if name in ("sin", "cos") else np.ones(error.size, bool)
        worst = np.argmax(np.where(reduced, error, -1.0))
        assert error[worst] <= BY_NAME[name].ulp == 1.0, [float(x[worst]) for x in operands]
        assert error.max() <= 8.0                            # the C library's own, and NumPy's


@needs_fma
def test_errors_are_counted():
    """The judge is tested: a number is half an ulp from between it and the next one, and a wrong zero is no zero."""
    half = np.spacing(1.0) / 2
    assert ulp.errors(np.array([1.0, 5e-324]), np.array([1.0, 0.0]), np.array([half, 0.0])).tolist() == [0.5, 1.0]
    wrong = [(-0.0, 0.0), (np.nan, 1.0), (1.0, np.nan), (np.inf, 1.0), (np.inf, -np.inf)]
    for got, want in wrong:
        assert ulp.errors(np.array([got]), np.array([want]), np.zeros(1)) == np.inf
    assert (ulp.errors(SPECIAL[:7], SPECIAL[:7], np.zeros(7)) == 0).all()


@needs_fma
@pytest.mark.parametrize("name", NAMES)
def test_special_values_and_flags_are_numpys(name):
    """Zeros with their signs, infinities, NaN; and for each operand the exceptions that NumPy reports."""
    arity = BY_NAME[name].arity
    operands = [x.ravel() for x in np.meshgrid(*[SPECIAL] * arity)]
    for at in zip(*operands, strict=True):
        at = [np.full(9, v) for v in at]
        with warnings.catch_warnings(record=True) as theirs, np.errstate(all="warn", under="ignore"):
            warnings.simplefilter("always")
            want = getattr(np, name)(*at)
        tape = ad.record(getattr(np, name), *[np.ones(9) for _ in at])
        for level in LEVELS:
            got = own_mathematics(name, level, *at)
            assert (np.isfinite(got) == np.isfinite(want)).all() and (np.isnan(got) == np.isnan(want)).all(), at
            assert (np.signbit(got) == np.signbit(want)).all() or np.isnan(want).all(), at
            np.testing.assert_allclose(got, want, rtol=9e-16, atol=1e-323)
        with warnings.catch_warnings(record=True) as ours, np.errstate(all="warn", under="ignore"):
            warnings.simplefilter("always")
            tape(*at)
        assert {str(w.message).partition(" enc")[0] for w in ours} == \
            {str(w.message).partition(" enc")[0] for w in theirs}, at


@needs_fma
@pytest.mark.parametrize("name", NAMES)
def test_the_bits_do_not_depend_on_neighbours_sizes_or_instruction_sets(name):
    operands = ulp.points(name, 150)
    whole = own_mathematics(name, LEVELS[0], *operands)
    for level in LEVELS:
        assert own_mathematics(name, level, *operands).tobytes() == whole.tobytes()
        for k in range(0, 400, 7):
            for n in (1, 2, 7, 8, 9):
                part = own_mathematics(name, level, *[x[k:k + n] for x in operands])
                assert part.tobytes() == whole[k:k + n].tobytes(), (k, n)


SWEPT = """
import hashlib, numpy as np, fastad as ad
x, said = np.linspace(-30.0, 30.0, 1003), []
for f in (np.sin, np.cos, np.exp, np.expm1, np.tanh, lambda v: np.log(v + 31), lambda v: np.log1p(v + 30.5)):
    array, number = ad.record(lambda v: f(v), x), ad.record(lambda v: f(v), 1.0)
    array.compile(), number.compile()
    whole = array(x)
    assert [number(float(v)) for v in x[:40]] == whole[:40].tolist(), f
    for part in (slice(3, 900), slice(0, 1000, 7), slice(None, None, -1)):
        assert (ad.record(lambda v: f(v[part]), x)(x) == whole[part]).all(), f
    said.append(whole.tobytes())
print(hashlib.sha256(b"".join(said)).hexdigest())
"""


def test_tapes_compute_the_same_whatever_the_form_of_their_operands():
    """Arrays, numbers, slices; at each level; with our loops alone the bits do not depend on the level."""
    said = [subprocess.run([sys.executable, "-c", SWEPT], env={**os.environ, "FASTAD_CPU": level}, timeout=60,
                           capture_output=True, text=True) for level in ("v2", "v3")]
    assert all(len(done.stdout) == 65 for done in said), [done.stderr for done in said]
    assert LEVELS == [] or said[0].stdout != said[1].stdout      # NumPy's loops and ours


@pytest.mark.skipif(LEVELS[-1:] != [4], reason="our loops are in use already")
def test_all_of_this_holds_where_our_loops_are_all_in_use(root):
    """With AVX-512 most of NumPy's loops are the faster ones, and stay."""
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", __file__, "-k",
                           "numpys or one_step or leave or forward"], env=environment(Conditions(1, "v3")), cwd=root,
                          timeout=120, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
    assert f"{len(NAMES) + 3} passed" in done.stdout


# ---- the kernels alone ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name, flags", [("sanitized", SANITIZERS), ("optimised", ["-O3"])])
def test_loops_agree_with_the_c_library(root, tmp_path, name, flags):
    assert "warning" not in build(root, tmp_path / name, flags, "test_mathematics.c")
    done = subprocess.run([tmp_path / name], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert int(done.stdout.split()[0]) > 50_000 or not LEVELS


@needs_fma
@pytest.mark.parametrize("header, right, wrong", [
    ("mathematics_loops.h", "special |= IS_SPECIAL(x[j]);", ""),
    ("exponential.h", "+ lost);", ");"),
    ("power.h", "fa_fma(y, low, fa_fma(y, high, -p))", "0.0"),
])
def test_a_wrong_lane_fails(root, tmp_path, header, right, wrong):
    """The tests are tested: one changed expression must be found."""
    fails_with(root, tmp_path, header, right, wrong, "test_mathematics.c")


# ---- sine and cosine at once ----------------------------------------------------------------------------------------

@needs_fma
def test_sine_and_cosine_of_a_value_are_one_step_of_a_loop():
    x = np.linspace(-9.0, 9.0, 1003)
    for f, pairs in ((lambda v: np.sum(np.sin(v)), 1), (lambda v: np.sum(v * np.cos(3.0 * v)), 1),
                     (lambda v: np.sum(np.exp(v)), 0), (lambda v: np.sum(np.sin(v) * np.cos(v + 1.0)), 2)):
        derived = gradient_tape(ad.record(f, x))
        program = Program(derived)
        assert program.twins == pairs
        assert [np.asarray(y).tobytes() for y in program.run([x])] == \
            [np.asarray(y).tobytes() for y in Program(derived, optimise=False).run([x])] == \
            [np.asarray(y).tobytes() for y in derived.sweep([x])]


@needs_fma
def test_both_leave_the_loop_and_either_may_come_first():
    x = np.linspace(-9.0, 9.0, 700)
    x[[5, 650]] = 1e9, 3e300                                 # which no lane can do
    for f in (lambda v: (np.sin(v), np.cos(v)), lambda v: (np.cos(v), np.sin(v)),
              lambda v: (np.cos(v * 1.0), np.cos(v * 1.0), np.sin(v * 1.0), v * 1.0)):
        tape = ad.record(f, x)
        program = Program(tape)
        assert program.twins == 1
        for got, want in zip(program.run([x]), tape.sweep([x]), strict=True):
            assert np.asarray(got).tobytes() == np.asarray(want).tobytes()


@needs_fma
def test_a_cosine_that_came_forward_does_not_hide_what_the_function_raises():
    x = np.linspace(-9.0, 9.0, 700)
    g = ad.value_and_grad(lambda v: np.sum(np.log(np.sin(v) + 2.0) * v))
    for _ in range(3):
        g(x)
    x[8] = np.inf
    with pytest.warns(RuntimeWarning, match="invalid value"):
        assert np.isnan(g(x)[0])


def test_nothing_but_the_tape_sees_them():
    """NumPy itself is as it was."""
    x = np.linspace(-10.0, 10.0, 101)
    before = np.sin(x), np.exp(x)
    ad.grad(lambda v: np.sum(np.sin(v) + np.exp(v)))(x)
    np.testing.assert_array_equal((np.sin(x), np.exp(x)), before)
