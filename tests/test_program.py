"""Programs: the same bits as tier 0, in planned memory, from any number of threads, without allocations.

Owns: the proof of _program.pyx and its memory plan.  Must not know: derivative rules.
Next: random_tapes.py, test_passes.py.
"""
import ctypes
import gc
import threading
import tracemalloc

import numpy as np
import pytest
from random_tapes import normal_like, random_tape

import fastad as ad
from fastad import _tape as T
from fastad._passes import optimise
from fastad._program import Arena, Program
from fastad._transform import jvp, vjp
from fastad.errors import ShapeError, TapeDivergence


def bits(values):
    return [np.asarray(v).tobytes() for v in values]


def recorded(function, *values):
    t = T.open_recording()
    try:
        results = function(*[T.make_input(t, v) for v in values])
        results = results if isinstance(results, tuple) else (results,)
        t.set_outputs([T.id_in(t, r) for r in results])
    finally:
        T.close_recording(t)
    return t


def steps(x, n=40):
    for _ in range(n):
        x = x + 0.1 * np.sin(x) * x
    return (x * x).sum()


# ---- values ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("first", range(0, 120, 30))
def test_bits_of_tier_0(first):
    """Primal tapes: the same bits.  Derivative tapes: those of the optimised tape, and the primal bits."""
    with np.errstate(all="ignore"):
        for seed in range(first, first + 30):
            rng = np.random.default_rng(seed)
            t, x = random_tape(rng)
            out = t.sweep(x)
            program = Program(t)
            for _ in range(2):                              # what a sweep leaves behind must not matter
                assert bits(program.run(x)) == bits(out)
            x2 = [np.asarray(a) * 1.01 for a in x]
            assert bits(program.run(x2)) == bits(t.sweep(x2))
            assert bits(program.run(x)) == bits(out)
            v, args = vjp(t), x + normal_like(rng, out)
            assert bits(Program(v).run(args)) == bits(optimise(v).sweep(args))
            assert bits(Program(v).run(args)[:len(out)]) == bits(out)
            assert bits(Program(v, optimise=False).run(args)) == bits(v.sweep(args))


def test_second_order_programs():
    x, dx = np.linspace(0.1, 1.0, 7), np.linspace(1.0, 2.0, 7)
    h = jvp(vjp(recorded(steps, x)))
    args = [x, 1.0, dx, 0.0]
    assert bits(Program(h).run(args)) == bits(optimise(h).sweep(args))


def test_results_are_fresh():
    program = Program(recorded(lambda x: (x, x * 2.0, x.sum()), np.ones(3)))
    x = np.array([1.0, 2.0, 3.0])
    one = program.run([x])
    one[0][:] = one[1][:] = -1.0
    assert program.run([x])[1].tolist() == [2.0, 4.0, 6.0] and x.tolist() == [1.0, 2.0, 3.0]


def test_captured_arrays_are_read_again():
    a, column = np.array([1.0, 2.0]), np.arange(4.0).reshape(2, 2)
    turned = column.T[1]                                    # not contiguous: copied at each run
    program = Program(recorded(lambda x: (x * a).sum() + (x * turned).sum(), 1.0))
    assert program.run([1.0])[0] == 3.0 + 4.0
    a += 1.0
    column *= 2.0
    assert program.run([1.0])[0] == 5.0 + 8.0
    assert a.tolist() == [2.0, 3.0]


# ---- memory ---------------------------------------------------------------------------------------------------------

def test_memory_is_reused():
    x = np.ones(1000)
    program = Program(recorded(steps, x))
    s = program.stats()
    assert s["arena_bytes_before"] > 120 * 8000 and s["arena_bytes"] <= 4 * 8064 + 4160         # and a block
    assert s["instructions"] <= s["instructions_before"] and s["cells"] < 20


def test_writes_are_in_place():
    """Rows written one after the other, and the adjoint of that: one array of full size each, besides the results."""
    n = 200

    def function(x):
        u = T.make_plain(np.zeros((n, 50)))
        u[0] = x
        for i in range(1, n):
            u[i] = u[i - 1] * 0.9
        return u.sum()
    t = recorded(function, np.ones(50))
    full = n * 50 * 8
    assert Program(t).stats()["arena_bytes"] < 1.2 * full
    program = Program(vjp(t))
    assert program.stats()["arena_bytes"] < 2.5 * full
    np.testing.assert_allclose(program.run([np.ones(50), 1.0])[1], t.sweep_gradient([np.ones(50)], [1.0])[1][0])


def test_a_history_of_fields_is_one_array_and_its_adjoint_another():
    """Slices that a later loop reads, too, must not keep what they were cut out of: each step would copy it all."""
    n, m = 40, 64

    def function(c):
        u = np.zeros((n + 2, m, m))
        for t in range(n):
            old, now = u[t], u[t + 1]
            u[t + 2][1:-1, 1:-1] = 2 * now[1:-1, 1:-1] - old[1:-1, 1:-1] + c[1:-1, 1:-1] * (
                now[2:, 1:-1] + now[:-2, 1:-1] + now[1:-1, 2:] + now[1:-1, :-2] - 4 * now[1:-1, 1:-1])
            u[t + 2, 9, 9] += 1.0
        return np.sum(u[:, [2, 3, 3], [4, 5, 5]]**2)
    c = np.full((m, m), 0.1)
    tape = ad.record(function, c)
    want = tape.gradient(c)
    tape.compile()
    np.testing.assert_allclose(tape.gradient(c), want, rtol=1e-10, atol=1e-12 * np.abs(want).max())
    assert tape.derived["gradient program"].stats()["arena_bytes"] < 2.5 * (n + 2) * m * m * 8


def test_an_operand_that_is_needed_later_is_not_overwritten():
    aval = T.aval(0, (3,))
    t = T.Tape()
    x = t.emit_input(aval)
    a = t.emit("square", (x,), aval)
    part = t.emit_const(np.array([7.0]))
    y = t.emit("write", (a, part), aval, T.Map.table(1, 3, None, [1]))
    z = t.emit("add", (y, a), aval)                         # a again
    r = t.emit("reshape", (z,), T.aval(0, (3, 1)))
    w = t.emit("negative", (z,), aval)
    t.set_outputs([t.emit("add", (t.emit("reshape", (r,), aval), w), aval), y])
    got = Program(t.finish(), optimise=False).run([np.array([1.0, 2.0, 3.0])])
    assert got[0].tolist() == [0.0, 0.0, 0.0] and got[1].tolist() == [1.0, 7.0, 9.0]


def test_results_do_not_touch_operands():
    """NumPy 2.0's transcendental loops have another path, with other last bits, where a result touches an operand."""
    functions = np.sinh, np.tan, np.arcsin, np.cbrt, np.arctanh
    for n in (1, 2, 4, 8, 16, 32):
        x = np.linspace(0.05, 0.45, n)
        tape = recorded(lambda v: tuple(f(f(v)) for f in functions), x)
        assert bits(Program(tape).run([x])) == bits(tape.sweep([x])) == bits([f(f(x)) for f in functions])


def test_arena_merges_neighbours():
    arena = Arena()
    a, b, c = (arena.take(64) for _ in range(3))
    arena.give(64, a)
    arena.give(64, c)
    arena.give(64, b)
    assert arena.free == [(192, 0)]
    assert arena.take(256) == 0 and arena.size == 256       # the last block grows


def test_arena_never_gives_a_byte_twice(rng):
    arena, held = Arena(), {}
    for _ in range(3000):
        if held and rng.random() < 0.5:
            offset = list(held)[rng.integers(len(held))]
            arena.give(held.pop(offset), offset)
        else:
            size = 64 * int(rng.integers(1, 20))
            offset = arena.take(size)
            assert all(offset + size <= o or o + s <= offset for o, s in held.items())
            assert offset + size <= arena.size
            held[offset] = size
    for offset, size in held.items():
        arena.give(size, offset)
    assert arena.free == [(arena.size, 0)]


class Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")]


def bytes_in_use():
    """Bytes that malloc has handed out; None where the C library does not tell."""
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallinfo2"):
        return None
    libc.mallinfo2.restype = Mallinfo
    info = libc.mallinfo2()
    return info.uordblks + info.hblkhd


def test_a_thousand_sweeps_allocate_nothing():
    x = np.linspace(0.1, 1.0, 50)
    program = Program(vjp(recorded(steps, x)))
    values, out = [x, 1.0], [np.array(0.0), np.empty(50)]
    for _ in range(3):
        program.run(values, out)
    gc.collect()
    in_use = bytes_in_use()
    tracemalloc.start()
    try:
        program.run(values, out)
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        for _ in range(1000):
            program.run(values, out)
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert abs(after - before) < 500 and peak - before < 1000      # small objects of the loop itself; no array
    for _ in range(1000):
        program.run(values, out)
    if in_use is not None:
        assert abs(bytes_in_use() - in_use) < 4000
    assert program.stats()["frames"] == 1
    assert out[1].tobytes() == program.run(values)[1].tobytes()


def test_the_allocation_test_can_fail():
    """The same counters see 1,000 small arrays."""
    before, keep = bytes_in_use(), [np.empty(50) for _ in range(1000)]
    if before is not None:
        assert bytes_in_use() - before > 100_000
    assert len(keep) == 1000


def test_too_much_memory_is_refused_before_the_sweep(monkeypatch):
    aval = T.aval(0, (20_000_000,))
    t = T.Tape()
    x = t.emit_input(0)
    y = t.emit("move", (x,), aval, T.Map.view(1, (20_000_000,), 0, (0,)))
    z = t.emit("cumsum", (t.emit("cumsum", (y,), aval, T.Axis(1, 20_000_000, 1)),), aval, T.Axis(1, 20_000_000, 1))
    t.set_outputs([t.emit("sum", (z,), 0, T.Axis(1, 20_000_000, 1))])
    program = Program(t.finish())
    monkeypatch.setattr(T, "memory_available", lambda: 10**8)
    with pytest.raises(MemoryError, match="needs 0.32 GB"):
        program.run([1.0])
    assert program.stats()["frames"] == 0


def test_too_much_memory_for_adjoints_is_refused_before_the_sweep(monkeypatch):
    n = 34_000_000
    aval = T.aval(0, (n,))
    t = T.Tape()
    y = t.emit("move", (t.emit_input(0),), aval, T.Map.view(1, (n,), 0, (0,)))
    t.set_outputs([t.emit("sum", (y,), 0, T.Axis(1, n, 1))])
    t.finish()
    t.sweep([1.0])
    monkeypatch.setattr(T, "memory_available", lambda: 10**8)
    with pytest.raises(MemoryError, match="adjoints .* take 0.27 GB"):
        t.sweep_reverse([1.0])
    with pytest.raises(MemoryError, match="tangents .* take 0.27 GB"):
        t.sweep_tangent([1.0])


# ---- several users --------------------------------------------------------------------------------------------------

def test_threads_share_a_program():
    x = np.linspace(0.1, 1.0, 2000)
    program = Program(vjp(recorded(steps, x)))
    wanted = [bits(program.run([x * k, 1.0])) for k in range(1, 5)]
    wrong, gate = [], threading.Barrier(4)

    def work(k):
        gate.wait()
        for _ in range(30):
            if bits(program.run([x * (k + 1), 1.0])) != wanted[k]:
                wrong.append(k)
    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert 1 <= program.stats()["frames"] <= 4


def test_a_program_that_runs_itself():
    """A foreign call inside a sweep may run the same program: it gets memory of its own."""
    aval = T.aval(0, (2,))

    class Again:
        name = "again"

        def value(self, xs):
            x, = xs
            return program.run([x - 1.0])[0] if x[0] > 0 else np.zeros(2)
    t = T.Tape()
    x = t.emit_input(aval)
    called = t.emit("call", (x,), aval, T.Call(Again(), [aval], aval))
    t.set_outputs([t.emit("add", (called, x), aval)])
    program = Program(t.finish())
    assert program.run([np.array([3.0, 5.0])])[0].tolist() == [6.0, 14.0]
    assert program.stats()["frames"] == 4


# ---- errors ---------------------------------------------------------------------------------------------------------

def test_a_guard_that_fails_names_the_line():
    program = Program(recorded(lambda x: x * x if x > 1 else -x, 2.0))
    assert program.run([3.0]) == [9.0]
    with pytest.raises(TapeDivergence, match="test_program.py") as caught:
        program.run([0.5])
    assert caught.value.kind == "bool()"
    assert program.run([3.0]) == [9.0] and program.stats()["frames"] == 1


def test_an_index_out_of_bounds_names_the_line():
    program = Program(recorded(lambda x, i: x[i] * 2.0, np.ones(3), np.array([0, 1])))
    assert program.run([np.ones(3), np.array([-1, 2])])[0].tolist() == [2.0, 2.0]
    with pytest.raises(IndexError, match="test_program.py"):
        program.run([np.ones(3), np.array([0, 7])])


def test_flags_become_numpy_warnings_of_the_primal_code_only():
    program = Program(vjp(recorded(np.sqrt, np.array([0.0, 4.0]))))
    zero, w = np.array([0.0, 4.0]), np.array([0.0, 1.0])
    program.run([zero, w])                                  # 0.5 / 0, masked
    with pytest.warns(RuntimeWarning, match="invalid value"):
        program.run([np.array([-1.0, 4.0]), w])
    with np.errstate(all="raise"), pytest.raises(FloatingPointError):
        program.run([np.array([-1.0, 4.0]), w])


def test_inputs_and_out_are_checked():
    program = Program(recorded(lambda x: (x * 2.0, x.sum()), np.ones(3)))
    with pytest.raises(ShapeError, match="2 inputs, expected 1"):
        program.run([1.0, 2.0])
    with pytest.raises(ShapeError, match=r"shape \(2,\)"):
        program.run([np.ones(2)])
    with pytest.raises(ShapeError, match=r"1 arrays in `out` for 2"):
        program.run([np.ones(3)], [np.empty(3)])
    for wrong in (np.empty(2), np.empty(3, np.float32), np.empty(6)[::2], np.zeros(3)):
        if wrong.shape == (3,) and wrong.dtype == float and wrong.flags.c_contiguous:
            wrong.flags.writeable = False
        with pytest.raises(ShapeError, match=r"out\[0\]"):
            program.run([np.ones(3)], [wrong, np.array(0.0)])
    out = [np.empty(3), np.array(0.0)]
    found = program.run([np.ones(3)], out)
    assert found[0] is out[0] and found[1] is out[1] and out[0].tolist() == [2.0, 2.0, 2.0] and out[1] == 3.0
    found = program.run([np.ones(3)], [None, out[1]])
    assert found[1] is out[1] and found[0] is not out[0] and found[0].tolist() == [2.0, 2.0, 2.0]


def test_compiling_keeps_no_tape_that_is_not_run():
    """A derivative tape is three times as long as its tape: a million operations would hold 45 MB each."""
    t = ad.record(lambda x: x[0] * x[1] + np.sin(x[1]), np.array([0.3, 0.7])).compile()
    assert not [name for name, kept in t.derived.items() if isinstance(kept, T.Tape)]
    np.testing.assert_allclose(t.gradient(np.array([0.3, 0.7])), [0.7, 0.3 + np.cos(0.7)], rtol=1e-15)
    assert t.derived["gradient program"].stats()["instructions_before"] > len(t)
