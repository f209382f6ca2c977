"""Packed runs of scalars: the bits, the floating-point flags and the order of what they were packed from; as words, and
as code of the processor.

Owns: the proof of _machine.pxi and _kernels/machine.h.  Must not know: memory plans (test_program.py).
Next: test_machine_code.py (when code is made), tests/kernels/test_machine.h (each code under the sanitizers).
"""
import math

import numpy as np
import pytest

import fastad as ad
from fastad import _tape as T
from fastad._passes import optimise
from fastad._program import Program, code_pays
from fastad._transform import jvp, vjp

WAYS = ["words", "code"]
UNARY = ["negative", "square", "sqrt", "reciprocal", "absolute", "sin", "exp", "tanh"]
BINARY = ["add", "subtract", "multiply", "strongzero"] * 4 + ["divide", "maximum", "minimum", "zeroproduct", "hypot"]
COMPARE = ["equal", "not_equal", "less", "less_equal", "greater", "greater_equal"]
SPECIAL = [0.0, -0.0, math.inf, -math.inf, math.nan, 5e-324, -2.2e-308, 1.7e308, 1.0, -1.0]
F64, BOOL = T.aval(0, ()), T.aval(2, ())


def scalar_tape(rng, n, near):
    """n random instructions of scalars; operands are among the last `near` values, most of which are used once."""
    t = T.Tape()
    array = t.emit_input(T.aval(0, (6,)), True)
    values, unused = [t.emit_input(F64, True) for _ in range(4)], []

    def operand():
        if unused and rng.random() < 0.7:
            return unused.pop(rng.integers(max(0, len(unused) - near), len(unused)))
        return values[rng.integers(max(0, len(values) - near), len(values))]

    for _ in range(n):
        kind = rng.random()
        if kind < 0.8:
            y = t.emit(BINARY[rng.integers(len(BINARY))], [operand(), operand()], F64)
        elif kind < 0.9:
            y = t.emit(UNARY[rng.integers(len(UNARY))], [operand()], F64)
        elif kind < 0.93:
            y = t.emit("element", [array, int(rng.integers(6))], F64)
        else:
            c = t.emit(COMPARE[rng.integers(len(COMPARE))], [operand(), operand()], BOOL)
            y = t.emit("where", [c, operand(), operand()], F64)
        values.append(y)
        unused.append(y)
    t.set_outputs(values[-3:] + values[:2] + unused[-5:])
    return t.finish()


def point(rng, special):
    values = [rng.normal(size=6), *rng.normal(size=4)]
    if special:
        values[0][rng.integers(6)] = SPECIAL[rng.integers(len(SPECIAL))]
        values[1 + rng.integers(4)] = SPECIAL[rng.integers(len(SPECIAL))]
    return [np.asarray(v) for v in values]


@pytest.fixture(params=WAYS, autouse=True)
def way(request):
    """Each test runs twice: code at once, and never."""
    before = code_pays(1 if request.param == "code" else 1 << 62)
    with np.errstate(all="ignore"):
        yield request.param
    code_pays(before)


def bits(values):
    """Bytes, with one pattern for all NaN: which of two NaN a sum hands on is the processor's choice."""
    return [np.where(np.isnan(v), math.nan, v).tobytes() for v in map(np.asarray, values)]


@pytest.mark.parametrize("first", range(0, 160, 40))
def test_bits(first):
    with np.errstate(all="ignore"):
        for seed in range(first, first + 40):
            rng = np.random.default_rng(seed)
            t = scalar_tape(rng, int(rng.integers(10, 400)), int(rng.integers(2, 40)))
            program = Program(t)
            assert program.stats()["runs"] == 1
            for special in (False, True, True):
                x = point(rng, special)
                assert bits(program.run(x)) == bits(t.sweep(x)), seed
            for derivative, extra in ((vjp(t), t.outputs), (jvp(t), range(5))):
                args = [*x, *[rng.normal() for _ in extra]] if len(extra) > 5 else \
                    [*x, rng.normal(size=6), *rng.normal(size=4)]
                assert bits(Program(derivative).run(args)) == bits(optimise(derivative).sweep(args)), seed


def test_more_cells_than_a_short_word_can_name():
    """70,000 numbers that are all alive at once."""
    t = T.Tape()
    x, y = t.emit_input(F64, True), t.emit_input(F64, True)
    values = [y]
    for _ in range(70_000):
        values.append(t.emit("multiply", [values[-1], x], F64))
    total = t.emit("add", [values.pop(), y], F64)
    while values:
        total = t.emit("add", [total, values.pop()], F64)
    t.set_outputs([total])
    program = Program(t.finish())
    assert program.stats()["cells"] > 65_536 and program.stats()["runs"] == 1
    for point in ([0.99995, 1.5], [1.00003, -2.0]):
        assert bits(program.run(point)) == bits(t.sweep(point))


def test_elements_beyond_a_short_word():
    t = T.Tape()
    x = t.emit_input(T.aval(0, (200_001,)), True)
    total = t.emit("element", [x, 0], F64)
    for k in [1, 65_535, 65_536, 65_537, 131_072, 200_000] * 3:
        total = t.emit("add", [total, t.emit("element", [x, k], F64)], F64)
    t.set_outputs([total])
    program = Program(t.finish())
    values = np.arange(200_001.0)
    assert program.stats()["runs"] == 1 and program.run([values]) == t.sweep([values]) == [3 * 527_681.0]


def test_a_part_does_not_move_past_a_write_to_what_it_reads():
    """Cells are used again: a product stays before the instruction that takes over one of its operands' cells."""
    for seed in range(300):
        rng = np.random.default_rng(seed)
        t = scalar_tape(rng, 60, 3)
        x = point(rng, False)
        with np.errstate(all="ignore"):
            assert bits(Program(t).run(x)) == bits(t.sweep(x)), seed


def long_chain(x):
    a, b = x[0], x[1]
    for _ in range(20):
        a, b = a * b + 1.0, b - 0.1 * a
    return a / (b - b) if x[2] > 0 else a * b


@pytest.mark.parametrize("kind, x", [("divide", [1.0, 2.0, 1.0]), ("over", [1e200, 1e200, 0.0]),
                                     ("invalid", [math.inf, 0.0, 0.0])])
def test_floating_point_errors(kind, x):
    """Flags of a packed run are reported as NumPy reports its own."""
    tape = ad.record(long_chain, np.array([1.0, 2.0, x[2]]))
    tape.compile()
    with np.errstate(all="ignore"):
        want = long_chain(np.array(x))
        assert bits([tape(np.array(x))]) == bits([want])
    with np.errstate(all="ignore", **{kind: "raise"}), pytest.raises(FloatingPointError, match=kind):
        tape(np.array(x))


def test_a_guard_ends_a_run():
    """What follows is packed again."""
    def f(x):
        y = x[0]
        for _ in range(10):
            y = y * x[1] + np.exp(-y)
        if y > 0:
            for _ in range(10):
                y = y - 0.1 * y * x[1]
        return y
    x = np.array([0.5, 0.3])
    tape = ad.record(f, x)
    tape.compile()
    assert tape(x) == f(x) and Program(tape).stats()["runs"] == 2
    with pytest.raises(ad.TapeDivergence):
        tape(np.array([-30.0, -3.0]))
