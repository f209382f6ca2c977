"""Random NumPy programs, recorded: tapes of derivatives, optimised, compiled and batched, against tier 0.

Owns: the meeting of the fuzzer's programs with the transformations; it sees what real recordings look like.
Must not know: how programs are made (fuzz_programs.py).  Next: test_transform.py, test_program.py.
"""
import numpy as np
import pytest

import fastad as ad
from fastad._program import Program
from fastad._transform import batch, jvp, vjp
from fastad.errors import TapeDivergence
from tests.fuzz import copies
from tests.fuzz_programs import Program as RandomFunction


def bits(values):
    return [np.asarray(v).tobytes() for v in values]


def all_close(got, wanted, tolerance=1e-8):
    for a, b in zip(got, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * (1 + np.abs(b).max(initial=0)))


def drawn(rng, values):
    return [np.asarray(rng.normal(size=np.shape(v)))[()] for v in values]


def outcome(run, x):
    """The bits of the results, or the class of the error."""
    try:
        return bits(run(x))
    except (TapeDivergence, IndexError) as error:
        return type(error)


@pytest.mark.parametrize("first", range(0, 60, 15))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_recorded_programs(first):
    for seed in range(first, first + 15):
        function, rng = RandomFunction(seed), np.random.default_rng(seed)
        with np.errstate(all="ignore"):
            try:
                tape = ad.record(function.f, *copies(function.args0))
            except ad.DerivativeError:   # a program that returns early, and a constant
                continue
            judge(tape, *([np.asarray(a)[()] for a in copies(args)] for args in (function.args0, function.args1)), rng)


def judge(tape, x, elsewhere, rng):
    active, out = tape.active(), tape.sweep(x)
    n, w = len(out), drawn(rng, out)
    gradient = tape.sweep_gradient(x, w)[1]
    dx = [d if active[i] else 0 * d for d, i in zip(drawn(rng, x), tape.inputs, strict=True)]
    tape.sweep(x)
    tangents = tape.sweep_tangent(dx)
    dx = [d for d, i in zip(dx, tape.inputs, strict=True) if active[i]]

    adjoint, compiled = vjp(tape), Program(tape)
    all_close(adjoint.sweep(x + w)[n:], gradient)
    all_close(jvp(tape).sweep(x + dx)[n:], tangents)
    assert bits(compiled.run(x)) == bits(out)
    assert outcome(compiled.run, elsewhere) == outcome(tape.sweep, elsewhere)
    got = Program(adjoint).run(x + w)
    assert bits(got[:n]) == bits(out)
    all_close(got[n:], gradient)

    still = [0 * np.asarray(v) for v in w]
    second = jvp(adjoint).sweep(x + w + dx + still)[len(adjoint.outputs) + n:]
    all_close(second, vjp(adjoint).sweep(x + w + still + dx)[len(adjoint.outputs):][:len(dx)], 1e-6)
    lanes = [np.stack([a, a]) if np.asarray(a).dtype == float else a for a in x + w]
    for both, one in zip(batch(adjoint, 2).sweep(lanes), adjoint.sweep(x + w), strict=True):
        all_close(both, [one, one])
