"""Listings, counts and tables of tapes; golden listings of the programs.

Owns: tests/golden/*.txt.  A refactoring leaves them equal byte for byte; an optimisation shows its diff:
``FASTAD_UPDATE_GOLDEN=1 python -m pytest tests/test_listing.py`` writes them anew, and git shows what has changed.
Next: programs.py (what is listed), test_serialize.py.
"""
import functools
import os
import re
from pathlib import Path

import numpy as np
import pytest
from programs import PROGRAMS, stencil

import fastad as ad
from fastad import _tape as T
from fastad.errors import AdError
from fastad.listing_text import number, region
from fastad.recording import record

GOLDEN = Path(__file__).parent / "golden"
UPDATE = os.environ.get("FASTAD_UPDATE_GOLDEN", "") not in ("", "0")


def normalised(text):
    """Without line numbers, which any edit of programs.py would move."""
    return re.sub(r"(\w+\.py):\d+", r"\1", text) + "\n"


@pytest.mark.parametrize("name", PROGRAMS)
def test_golden(name):
    f, *point = PROGRAMS[name]
    text = normalised(record(f, *point).listing(limit=None))
    path = GOLDEN / f"{name}.txt"
    if UPDATE:
        GOLDEN.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text(), f"the tape of {name} has changed; see the head of test_listing.py"


def test_golden_files_are_all_of_programs():
    assert sorted(path.stem for path in GOLDEN.glob("*.txt")) == sorted(PROGRAMS)


def test_listing_reads_as_the_lecture_writes_it():
    tape = record(lambda x0, x1: x0**2 + x1, 2.0, 3.0)
    lines = [line.partition("#")[0].strip() for line in str(tape).splitlines()]
    assert lines[1:] == ["x0 = input", "x1 = input", "v1 = square(x0)", "v2 = add(v1, x1)", "return v2"]
    assert "\n" not in repr(tape) and "4 instructions" in repr(tape)


def test_listing_of_branches_names_source_lines():
    def f(x, n):
        total = np.zeros(2)
        total[int(x[0])] = x[1]
        return total.sum() if x[1] > 0 else x[0]
    text = record(f, np.array([1.0, 2.0]), 1).listing()
    line = f.__code__.co_firstlineno
    assert re.search(rf"assert v\d == 1 +# int\(\)  test_listing.py:{line + 2}", text)
    assert re.search(rf"assert v\d +# bool\(\)  test_listing.py:{line + 3}", text)


def test_long_tapes_are_elided_in_the_middle():
    def f(x):
        for _ in range(500):
            x = x * 1.5
        return x
    tape = record(f, 1.0)
    short, whole = str(tape).splitlines(), tape.listing(limit=None).splitlines()
    assert len(short) < 70 and len(whole) == 503
    assert any("lines more" in line for line in short)
    assert short[:10] == whole[:10] and short[-5:] == whole[-5:]


@pytest.mark.parametrize("key", [np.s_[:], np.s_[1:-1], np.s_[::2], np.s_[::-1], np.s_[3:1:-1], np.s_[-1:],
                                 np.s_[1, :], np.s_[:, 2], np.s_[1:, ::-2], np.s_[:, 1:2], np.s_[2:, 3],
                                 np.s_[1, 4, ...]])
def test_views_read_as_the_key_that_makes_them(key):
    """The text of a view is Python that gives the same view."""
    a = np.arange(20).reshape(4, 5) if isinstance(key, tuple) else np.arange(20)
    view = a[key]
    offset = (view.__array_interface__["data"][0] - a.__array_interface__["data"][0]) // 8
    text = region(a.shape, np.shape(view), offset, tuple([s // 8 for s in np.asarray(view).strides]))
    assert text is not None
    np.testing.assert_array_equal(eval(f"a[{text}]"), view)


def test_views_that_no_key_gives_are_not_written_as_one():
    a = np.arange(20).reshape(4, 5)
    for view in (a.T, np.lib.stride_tricks.sliding_window_view(np.arange(6), 3), np.broadcast_to(a[0], (3, 5))):
        shape = a.shape if view.ndim == 2 and view.shape != (4, 3) else (6,)
        assert region(shape, view.shape, 0, tuple([s // 8 for s in view.strides])) is None


def test_numbers_do_not_depend_on_print_options():
    with np.printoptions(precision=2):
        assert number(np.array([1 / 3, 2.0])) == "[0.3333333333333333, 2.0]"
    assert number(np.arange(100.0).reshape(10, 10)) == "[0.0, 1.0, ..., 99.0] as (10, 10)"
    assert number(np.float64(0.1)) == "0.1" and number(True) == "True"


# ---- tables ----------------------------------------------------------------------------------------------------------

def test_tables_of_the_lecture():
    """y = x0**2 + x1 at (2, 3), as on the slide."""
    tape = record(lambda x0, x1: x0**2 + x1, 2.0, 3.0)
    forward, reverse = tape.trace(2.0, 3.0), tape.trace(2.0, 3.0, mode="reverse")
    assert [(r.name, r.expression, float(r.value), tuple(map(float, r.tangents))) for r in forward.rows] == [
        ("x0", "input", 2.0, (1.0, 0.0)), ("x1", "input", 3.0, (0.0, 1.0)),
        ("v1", "square(x0)", 4.0, (4.0, 0.0)), ("v2", "add(v1, x1)", 7.0, (4.0, 1.0))]
    assert [(r.name, float(r.value), float(r.adjoint)) for r in reverse.rows] == [
        ("x0", 2.0, 4.0), ("x1", 3.0, 1.0), ("v1", 4.0, 1.0), ("v2", 7.0, 1.0)]
    assert forward.columns == ("value", "d/dx0", "d/dx1") and reverse.columns == ("value", "adjoint")
    assert forward.results == ("v2",)
    assert "d/dx1" in str(forward) and str(reverse).count("\n") == 7


def test_reverse_tables_say_what_each_step_adds():
    """y = x1**2 + x2: the chain rule in the order in which it is applied, last row first."""
    def f(x1, x2):
        return x1**2 + x2
    tape = record(f, 2.0, 3.0)
    assert [row.handed_on() for row in tape.trace(2.0, 3.0, mode="reverse").rows] == [
        "", "", "x1 += 1 * 4", "v1 += 1 * 1, x2 += 1 * 1"]
    assert "adds to adjoints" in str(tape.trace(2.0, 3.0, mode="reverse"))
    assert "adds to adjoints" not in str(tape.trace(2.0, 3.0))


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_the_steps_add_are_the_adjoints(name):
    """Where all users of a number are steps between numbers, its adjoint is the sum of what they add to it."""
    f, *point = PROGRAMS[name]
    tape = record(f, *point)
    table = tape.trace(*point, mode="reverse")
    rows = table.rows
    added = {}
    for row in rows:
        for operand, partial in row.partials:
            added[operand] = added.get(operand, 0.0) + partial * row.adjoint
    for row in rows:
        users = [r for r in rows if re.search(rf"(?<!\w){re.escape(row.name)}(?![\w\[])", r.expression)]
        seen = users and all(r.partials for r in users) and row.name not in table.results
        assert not seen or row.adjoint is None or added[row.name] == pytest.approx(float(row.adjoint), rel=1e-12)
        if name in ("lecture", "horner", "runge_kutta") and row.name not in table.results:
            assert seen, row


def test_inputs_are_called_as_the_parameters_are():
    class Model:
        def run(self, depth, p, *, scale):
            return p["a"] * depth * scale + p["b"][1]

        def __call__(self, q):
            return 2.0 * q
    p = {"a": 2.0, "b": [1.0, 3.0]}
    assert record(Model().run, 1.0, p, scale=2.0).signature.input_names() == [
        "depth", "p['a']", "p['b'][0]", "p['b'][1]", "scale"]
    assert record(Model(), 1.0).signature.input_names() == ["q"]
    assert record(functools.partial(Model.run, Model(), 1.0, scale=2.0), p).signature.input_names()[0] == "p['a']"
    assert record(np.square, 1.0).signature.input_names() == ["x0"]
    assert record(lambda *both: both[0] * both[1], 1.0, 2.0).signature.input_names() == ["x0", "x1"]
    # Names that stand for results and captured arrays in a listing are no names of inputs.
    assert record(lambda v1, x: v1 * x, 1.0, 2.0).signature.input_names() == ["x0", "x1"]
    # Captured arrays and defaults are no arguments; an argument by keyword keeps its name.
    assert record(lambda x, y=3.0: x * y, x=2.0).signature.input_names() == ["x"]


def test_derivative_tapes_keep_the_names():
    tape = record(lambda x, y: x * np.sin(y), 1.0, 2.0)
    text = tape.jvp_tape().listing()
    assert "x = input" in text and "y = input" in text and "d0 = input" in text and "d1 = input" in text
    from fastad import tapes
    assert "sin(y)" in tapes.gradient_tape(tape).listing()
    clash = record(lambda d0, y: d0 * y, 1.0, 2.0).jvp_tape()
    assert clash.signature.input_names() == ["x0", "x1", "x2", "x3"]


def test_tables_hold_every_value_and_adjoint_although_memory_is_shared():
    """Writes take over memory and reverse sweeps spend adjoints: the table must show what they were."""
    x = np.array([0.5, -1.25, 2.0, 0.75, -0.3])
    tape = record(stencil, x)
    names = [row.name for row in tape.trace(x).rows]
    first_write = next(row for row in tape.trace(x).rows if row.expression.startswith("write(x"))
    step = x.copy()
    step[1:-1] += 0.25 * (x[2:] - 2.0 * x[1:-1] + x[:-2])
    np.testing.assert_array_equal(first_write.value, step)
    reverse = {row.name: row for row in tape.trace(x, mode="reverse").rows}
    assert list(reverse) == names
    np.testing.assert_array_equal(reverse[names[-1]].adjoint, np.ones(5))
    np.testing.assert_allclose([reverse[f"x[{k}]"].adjoint for k in range(5)], tape.gradient(x))
    jacobian = np.array([[row.tangents[k] for k in range(5)] for row in tape.trace(x).rows
                         if row.name.startswith("x")])
    np.testing.assert_array_equal(jacobian, np.eye(5))


def test_every_row_of_the_tables_agrees_between_the_modes():
    """One input, one result: its adjoint is the result's tangent."""
    f, point = PROGRAMS["horner"]
    tape = record(f, point)
    forward, reverse = tape.trace(point), tape.trace(point, mode="reverse")
    slope = float(forward.rows[-1].tangents[0])
    assert float(reverse.rows[0].adjoint) == pytest.approx(slope, rel=1e-14)
    first = forward.rows[1]
    assert first.name == reverse.rows[1].name == "v1" and first.expression == "multiply(0.0, x)"
    np.testing.assert_allclose(tape.gradient(point), slope)


def test_tables_refuse_what_they_cannot_show():
    tape = record(np.sum, np.ones(20))
    with pytest.raises(AdError, match="reverse"):
        tape.trace(np.ones(20))
    assert len(tape.trace(np.ones(20), mode="reverse").rows) == 2
    with pytest.raises(AdError, match="'forward' or 'reverse'"):
        tape.trace(np.ones(20), mode="backward")


def test_stats_count():
    f, *point = PROGRAMS["branch"]
    tape = record(f, *point)
    stats = tape.stats()
    op = [tape.instruction(i)[0] for i in range(1, len(tape) + 1)]
    assert (stats.instructions, stats.inputs, stats.outputs) == (len(op), 1, 1)
    assert stats.guards == op.count("guard") == 1
    assert stats.constants == op.count("const")
    assert stats.bytes_per_instruction == tape.nbytes / len(tape) >= 14
    assert stats.arena_bytes >= 2 * 8 + 2 * 8
    assert "instructions" in str(stats) and repr(stats).startswith("Stats(instructions=11")


def test_stats_say_what_compiling_made_of_it():
    tape = record(lambda x: np.sum((x[1:] - x[:-1] ** 2) ** 2), np.ones(1000))
    assert tape.stats().compiled is None and tape.stats().compiled_gradient is None
    stats = tape.compile().stats()
    for made in (stats.compiled, stats.compiled_gradient):
        assert made["instructions"] < made["instructions_before"]
        assert made["arena_bytes"] < made["arena_bytes_before"] / 2
    before, after = (stats.compiled_gradient[key] for key in ("arena_bytes_before", "arena_bytes"))
    assert f"compiled gradient: {stats.compiled_gradient['instructions_before']} instructions" in str(stats)
    assert f"{before:,d} bytes of arrays {after:,d}" in str(stats)


def test_a_tape_that_is_being_recorded_can_be_printed():
    tape = T.open_recording()
    try:
        assert "still being recorded" in str(tape)
    finally:
        T.close_recording(tape)


@pytest.mark.parametrize("rules", [{"vjp": lambda w, y, a, b: (w * b, w * a)},
                                   {"jvp": lambda v, y, a, b: v[0] * b + a * v[1]}], ids=["vjp", "jvp"])
def test_partial_derivatives_of_ones_own_primitives(rules):
    """Also where only the forward rule is given, and where two operands are the same."""
    times = ad.primitive(lambda a, b: a * b, **rules)
    row = record(lambda x, z: times(x, z) + times(x, x), 2.0, 5.0).trace(2.0, 5.0, mode="reverse").rows[2]
    assert row.partials == (("x", 5.0), ("z", 2.0))
    rows = record(lambda x: times(x, x), 2.0).trace(2.0, mode="reverse").rows
    assert rows[1].partials == (("x", 2.0), ("x", 2.0)) and float(rows[0].adjoint) == 4.0
