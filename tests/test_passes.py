"""The passes: each on a small tape with its listing before and after, all on random tapes.

Owns: the proof that passes keep values, and that primal values keep their bits.
Must not know: how a tape is compiled.  Next: random_tapes.py, test_program.py.
"""
import time

import numpy as np
import pytest
from random_tapes import normal_like, opcodes, random_tape

from fastad import _tape as T
from fastad import record, tapes
from fastad._passes import cse, dead, fold, optimise, simplify, split
from fastad._transform import jvp, vjp
from fastad.errors import TapeDivergence


@pytest.fixture(autouse=True)
def quiet():
    with np.errstate(all="ignore"):
        yield


def bits(values):
    return [np.asarray(v).tobytes() for v in values]


def listing(t):
    """One line an instruction: golden text for small tapes."""
    lines = []
    for i in range(1, len(t) + 1):
        name, operands, aval, extra = t.instruction(i)
        what = "" if extra is None or name == "input" else f" {extra if not isinstance(extra, np.ndarray) else '[]'}"
        mark = "  # derivative" if t.boundary and i >= t.boundary else ""
        lines.append(f"v{i} = {name}({', '.join(f'v{k}' for k in operands)}){what}{mark}")
    return lines + [f"return {', '.join(f'v{k}' for k in t.outputs)}"]


def tape(write, inputs=(0,), boundary=None):
    """A tape written by `write(emit, *input ids)`; `boundary` True: all of it is derivative code."""
    t = T.Tape()
    ids = [t.emit_input(a) for a in inputs]
    if boundary:
        t.boundary = len(t) + 1

    def emit(op, *operands, aval=0, attr=None):
        return t.emit(op, operands, aval, attr)
    t.set_outputs(write(emit, t, *ids))
    return t.finish()


# ---- golden listings ------------------------------------------------------------------------------------------------

def test_fold():
    def write(emit, t, x):
        two, three = t.emit_const(2.0), t.emit_const(3.0)
        six = emit("multiply", two, three)
        e = emit("exp", six)
        table = t.emit_const(np.array([5.0, 7.0]))
        seven = t.emit("element", (table, 1), 0)
        less = emit("less", two, three, aval=2)
        chosen = t.emit("where", (less, x, e), 0)
        return [emit("add", chosen, emit("add", e, seven))]
    t = tape(write)
    f = fold(t)
    assert bits(f.sweep([1.5])) == bits(t.sweep([1.5]))
    e = np.exp(6.0)
    assert listing(dead(f)) == ["v1 = input()", f"v2 = const() {float(e + 7.0)!r}", "v3 = add(v1, v2)", "return v3"]


def test_fold_leaves_what_raises_a_flag():
    def write(emit, t, x):
        return [emit("add", x, emit("log", t.emit_const(0.0))), emit("divide", t.emit_const(1.0), t.emit_const(0.0))]
    f = fold(tape(write))
    assert "log" in opcodes(f) and "divide" in opcodes(f)
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        f.sweep([1.0])


def simplifiable(emit, t, x):
    zero, one, minus = t.emit_const(0.0), t.emit_const(1.0), t.emit_const(-1.0)
    a = emit("strongzero", x, one)
    b = emit("strongzero", x, minus)
    c = emit("add", emit("multiply", a, zero), emit("add", b, zero))
    d = emit("negative", emit("negative", emit("divide", c, one)))
    return [emit("subtract", d, zero)]


def test_simplify_derivative_code():
    t = tape(simplifiable, boundary=True)
    assert listing(dead(simplify(t))) == [
        "v1 = input()", "v2 = negative(v1)  # derivative", "return v2"]


def test_simplify_leaves_primal_code_alone():
    """-0.0 + 0.0 is 0.0, and nan * 0.0 is nan."""
    t = tape(simplifiable)
    assert listing(simplify(t)) == listing(t)
    for x in (-0.0, np.nan, np.inf, 1.0):
        assert bits(simplify(t).sweep([x])) == bits(t.sweep([x]))


def test_simplify_drops_moves_that_move_nothing():
    shape, flat = T.aval(0, (2, 3)), T.aval(0, (6,))

    def write(emit, t, x):
        same = emit("move", x, aval=shape, attr=T.Map.view(6, (2, 3), 0, (3, 1)))
        back = emit("reshape", emit("reshape", same, aval=flat), aval=shape)
        turned = emit("move", back, aval=flat, attr=T.Map.view(6, (3, 2), 0, (1, 3)))
        return [emit("move", turned, aval=shape, attr=T.Map.view(6, (6,), 0, (1,)))]
    t = tape(write, [shape])
    s = dead(simplify(t))
    assert opcodes(s) == ["input", "move", "reshape"]
    x = np.arange(6.0).reshape(2, 3)
    assert bits(s.sweep([x])) == bits(t.sweep([x]))


def test_simplify_makes_no_arrays_of_one_number():
    shape = T.aval(0, (3,))
    fill = T.Map.view(1, (3,), 0, (0,))

    def write(emit, t, w, x):
        many = emit("move", w, aval=shape, attr=fill)
        more = emit("multiply", many, t.emit_const(5.0), aval=shape)
        return [emit("strongzero", many, x, aval=shape), emit("strongzero", more, x, aval=shape), more]
    t = tape(write, [0, shape], boundary=True)
    s = dead(simplify(t))
    assert [line.split("map")[0].rstrip() for line in listing(s)] == [
        "v1 = input()", "v2 = input()", "v3 = const() 5.0  # derivative", "v4 = multiply(v1, v3)  # derivative",
        "v5 = move(v4)", "v6 = strongzero(v1, v2)  # derivative", "v7 = strongzero(v4, v2)  # derivative",
        "return v6, v7, v5"]
    args = [2.0, np.array([1.0, 0.0, np.inf])]
    assert bits(s.sweep(args)) == bits(t.sweep(args))


def test_cse():
    def write(emit, t, x, y):
        a = emit("add", emit("multiply", x, y), t.emit_const(1.5))
        b = emit("add", emit("multiply", x, y), t.emit_const(1.5))
        c = emit("add", emit("multiply", y, x), t.emit_const(1.5))       # operands exchanged: not the same
        less = [emit("less", x, y, aval=2) for _ in range(2)]
        for k in less:
            t.emit_guard(k, 1, "bool()", "here:1")
        return [a, b, c]
    t = tape(write, (0, 0))
    c = cse(t)
    assert listing(dead(c)) == [
        "v1 = input()", "v2 = input()", "v3 = multiply(v1, v2)", "v4 = const() 1.5", "v5 = add(v3, v4)",
        "v6 = multiply(v2, v1)", "v7 = add(v6, v4)", "v8 = less(v1, v2)", "v9 = guard(v8) (1, 'bool()', 'here:1')",
        "return v5, v5, v7"]
    assert bits(c.sweep([2.0, 3.0])) == bits(t.sweep([2.0, 3.0]))
    with pytest.raises(TapeDivergence):
        c.sweep([3.0, 2.0])


def test_cse_compares_attributes_constants_and_shapes():
    shape = T.aval(0, (4,))

    def write(emit, t, x):
        first = [emit("move", x, aval=T.aval(0, (2,)), attr=T.Map.view(4, (2,), k, (1,))) for k in (0, 1, 0)]
        arrays = [t.emit_const(np.array([1.0, 2.0])) for _ in range(2)]
        zeros = [t.emit_const(0.0), t.emit_const(-0.0)]
        return first + [emit("multiply", a, z, aval=T.aval(0, (2,))) for a in arrays for z in zeros]
    t = tape(write, [shape])
    c = cse(t)
    assert len(set(c.outputs[:3])) == 2 and c.outputs[0] == c.outputs[2]
    assert bits(c.sweep([np.arange(4.0)])) == bits(t.sweep([np.arange(4.0)]))


def test_dead():
    def write(emit, t, x, y):
        emit("sin", emit("exp", y))
        used = emit("multiply", x, x)
        t.emit_guard(emit("less", y, t.emit_const(9.0), aval=2), 1, "bool()", "here:1")
        return [used]
    t = tape(write, (0, 0))
    assert listing(dead(t)) == [
        "v1 = input()", "v2 = input()", "v3 = multiply(v1, v1)", "v4 = const() 9.0", "v5 = less(v2, v4)",
        "v6 = guard(v5) (1, 'bool()', 'here:1')", "return v3"]


def test_dead_keeps_the_check_of_an_index():
    """x[i] out of bounds is an error even if nobody looks at the element."""
    def write(emit, t, x, i):
        emit("take", x, emit("wrap", i, aval=1, attr=T.Number(3)))
        return [x]
    t = dead(tape(write, (T.aval(0, (3,)), 1)))
    assert opcodes(t) == ["input", "input", "wrap"]
    with pytest.raises(IndexError):
        t.sweep([np.ones(3), np.int64(5)])


def test_a_pass_leaves_its_argument_alone():
    t = tape(simplifiable, boundary=True)
    before = listing(t)
    optimise(t)
    assert listing(t) == before


def test_locations_survive():
    t = T.Tape()
    x = t.emit_input(0)
    t.emit("sin", (x,), 0, location="a.py:1")
    y = t.emit("cos", (x,), 0, location="a.py:2")
    t.set_outputs([y])
    o = optimise(t.finish())
    assert [o.location(i) for i in range(1, len(o) + 1)] == [None, "a.py:2"]


# ---- random tapes ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("step", [fold, simplify, cse, dead, optimise])
def test_values_on_random_tapes(step):
    """Primal bits are kept, derivatives stay within rounding; twice is once."""
    for seed in range(60):
        rng = np.random.default_rng(seed)
        t, x = random_tape(rng)
        out = t.sweep(x)
        assert bits(step(t).sweep(x)) == bits(out)
        w, v = normal_like(rng, out), vjp(t)
        once = step(v)
        got = once.sweep(x + w)
        assert bits(got[:len(out)]) == bits(out)
        for a, b in zip(got, v.sweep(x + w), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
        if step is not optimise:         # (it makes several numbers of an array)
            assert len(dead(step(once))) <= len(dead(once)) <= len(v)


def numbers(rng, n):
    """A tape of numbers alone, half of which nobody wants: arithmetic on constants, choices, guards."""
    t = T.Tape()
    x = [t.emit_input(0) for _ in range(3)]
    x += [t.emit_const(c) for c in (0.0, 1.0, -1.0, 0.5)]
    for _ in range(n):
        a, b, c = (int(x[-1 - min(len(x) - 1, k)]) for k in rng.geometric(0.15, size=3))
        kind = rng.integers(8)
        if kind == 0:
            less = t.emit("less", (a, b), 2)
            x.append(t.emit("where", (less, a, c), 0, location="a.py:1"))
        elif kind == 1:
            t.emit_guard(t.emit("equal", (a, a), 2), 1, "bool()", "here:1")
        elif kind == 2:
            x.append(t.emit("negative", (a,), 0))
        else:
            x.append(t.emit(["add", "subtract", "multiply", "add", "maximum"][kind - 3], (a, b), 0, location="a.py:2"))
    t.set_outputs([x[-1], x[len(x) // 2]])
    return t.finish()


def test_numbers_close_ranks_in_place():
    """What is dead is dropped from the tape of the first walk itself where it is nothing but numbers."""
    for seed in range(60):
        rng = np.random.default_rng(seed)
        t = numbers(rng, int(rng.integers(5, 200)))
        v = vjp(t)
        for tape, args in ((t, [0.3, -1.2, 0.7]), (v, [0.3, -1.2, 0.7, 1.0, -0.5])):
            before = listing(tape)
            one, three = optimise(tape), dead(cse(simplify(fold(tape))))
            assert listing(tape) == before
            assert len(one) <= len(three)
            assert listing(dead(one)) == listing(one)
            assert bits(one.sweep(args)[:2]) == bits(tape.sweep(args)[:2])
            np.testing.assert_allclose(one.sweep(args), tape.sweep(args), rtol=1e-12, atol=1e-12)
            assert {one.location(i) for i in range(1, len(one) + 1)} <= {None, "a.py:1", "a.py:2"}
            assert one.boundary == 0 if tape is t else len(t.inputs) < one.boundary <= len(one) + 1


def test_passes_between_transformations():
    """An optimised derivative tape is transformed like any other."""
    for seed in range(40):
        rng = np.random.default_rng(seed)
        t, x = random_tape(rng, 9)
        v = vjp(t)
        o = optimise(v)
        args = x + normal_like(rng, t.sweep(x))
        args += normal_like(rng, [a for a, i in zip(args, v.inputs, strict=True) if v.active()[i]])
        for a, b in zip(jvp(o).sweep(args), jvp(v).sweep(args), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8)


def test_optimise_finds_what_there_is_to_find():
    """Stamped partials repeat: most of what a second derivative computes twice is computed once."""
    before = after = 0
    for seed in range(30):
        t, _ = random_tape(np.random.default_rng(seed))
        h = jvp(vjp(t))
        before, after = before + len(split(h)), after + len(optimise(h))
    assert after < 0.75 * before


def test_passes_are_linear():
    """Twenty times the length: a pass that looked back over the tape would take 400 times as long."""
    def long(n):
        t = T.Tape()
        x = y = t.emit_input(0)
        for k in range(n):
            y = t.emit("add", (t.emit("multiply", (y, t.emit_const(1.0 + k)), 0), x), 0)
        t.set_outputs([y])
        return vjp(t.finish())

    def seconds(t):
        best = np.inf
        for _ in range(3):
            start = time.process_time()
            optimise(t)
            best = min(best, time.process_time() - start)
        return best
    assert seconds(long(40000)) < 100 * seconds(long(2000))


def test_cse_finds_what_is_near_in_a_long_tape():
    """The table of seen instructions is bounded; what gives way is the oldest."""
    t = T.Tape()
    x = y = t.emit_input(0)
    n = 200_000
    for _ in range(n):
        twice = [t.emit("multiply", (x, y), 0) for _ in range(2)]
        y = t.emit("add", twice, 0)
    t.set_outputs([y])
    assert len(cse(t.finish())) == 2 * n + 1


# ---- sums over the rows of a product ---------------------------------------------------------------------------------

def products(t):
    """(batch, m, k, n) of each matrix product."""
    return [attr.fields()[:4] for name, _, _, attr in map(t.instruction, range(1, len(t) + 1)) if name == "matmul"]


CENTRED = {                                                     # f(centre, data, matrix)
    "rows": lambda c, x, a: np.sum(np.tanh((x - c) @ a)),
    "batch": lambda c, x, a: np.sum(np.tanh((x - c[:, None]) @ np.stack([a, 2 * a, a.T]))),
    "scaled": lambda c, x, a: np.sum(((x - c[:, None]) @ a + np.exp(c)[:, None] * (x - c[:, None])) ** 2),
}


@pytest.mark.parametrize("name", CENTRED)
def test_what_is_the_same_in_all_rows_gets_its_sum_before_the_product(name, rng):
    c = rng.normal(size=4 if name == "rows" else (3, 4))
    x, a = rng.normal(size=(50, 4)), rng.normal(size=(4, 4))
    t = record(lambda c: CENTRED[name](c, x, a), c)
    plain = dead(cse(simplify(fold(tapes.gradient_tape(t)))))
    early = optimise(plain)
    wide, left = ([p for p in products(t) if p[1] >= 50] for t in (plain, early))
    assert len(left) < len(wide) and len(products(early)) == len(products(plain))
    for at in (c, 0.3 * c):
        value, g = early.sweep([at])
        assert bits([value]) == bits(plain.sweep([at])[:1])
        np.testing.assert_allclose(g, plain.sweep([at])[1], rtol=1e-10, atol=1e-12)


def test_a_product_that_is_wanted_for_itself_stays(rng):
    """Its rows are an output, too: by the data, of which each row has its own adjoint."""
    c, x, a = rng.normal(size=4), rng.normal(size=(50, 4)), rng.normal(size=(4, 4))
    t = record(lambda c, x: np.sum(np.tanh((x - c) @ a)), c, x)
    early = optimise(tapes.gradient_tape(t))
    assert any(p[1] == 50 for p in products(early)[1:]) and not any(p[1] == 1 for p in products(early))
    _, by_c, by_x = early.sweep([c, x])
    np.testing.assert_allclose(by_c, -by_x.sum(axis=0), rtol=1e-10)


def test_a_gradient_knows_where_its_derivative_code_begins():
    """The seed, a constant 1, is the 1 of 1/x, too: the boundary was lost, and with it what simplify may do."""
    t = record(lambda x: np.sum(np.log(x)), np.arange(1.0, 4.0))
    assert tapes.vjp_tape(t).boundary > 0
    gradient = tapes.gradient_tape(t)
    assert 0 < gradient.boundary < len(gradient)
    assert "strongzero" not in opcodes(optimise(gradient))
    with np.errstate(all="raise"):                     # what only the derivative does is no exception of f
        h = record(lambda x: np.sum(np.sqrt(x)) + np.log(x[0]), np.arange(1.0, 4.0))
        assert tapes.program(tapes.gradient_tape(h)).run([np.array([1.0, 0.0, 4.0])])[1][1] in (0.0, np.inf)
