"""Tangent, adjoint and batch as tapes, against tier 0's own sweeps in C, loops, differences and closed forms.

Owns: the proof of _transform.pyx and structural_rules.py.  Must not know: passes, programs.
Next: random_tapes.py (what is transformed), test_passes.py, test_program.py.
"""
import math

import numpy as np
import pytest
from random_tapes import normal_like, opcodes, random_tape

from fastad import _tape as T
from fastad import structural_rules
from fastad._passes import optimise
from fastad._transform import batch, fix, inline, jvp, vjp
from fastad.errors import InternalError, ShapeError, TapeDivergence, UnsupportedError

SEEDS = range(60)
BLOCKS = [range(start, start + 20) for start in range(0, 60, 20)]


def recorded(function, *values):
    """The tape of a function of numbers and arrays."""
    t = T.open_recording()
    try:
        results = function(*[T.make_input(t, v) for v in values])
        results = results if isinstance(results, tuple) else (results,)
        t.set_outputs([T.id_in(t, r) for r in results])
    finally:
        T.close_recording(t)
    return t


def bits(values):
    return [np.asarray(v).tobytes() for v in values]


def all_close(got, wanted, tolerance=1e-9):
    assert len(got) == len(wanted)
    for a, b in zip(got, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def active_only(tape, values):
    """What belongs to the active inputs."""
    active = tape.active()
    return [v for v, i in zip(values, tape.inputs, strict=True) if active[i]]


def cases(seeds, length=12):
    for seed in seeds:
        rng = np.random.default_rng(seed)
        yield rng, *random_tape(rng, length)


@pytest.fixture(autouse=True)
def quiet():
    """Random points may lie where a partial is not finite behind a mask."""
    with np.errstate(all="ignore"):
        yield


# ---- first order, on random tapes -----------------------------------------------------------------------------------

@pytest.mark.parametrize("seeds", BLOCKS)
def test_adjoint_tape_equals_the_reverse_sweep(seeds):
    for rng, t, x in cases(seeds):
        w = normal_like(rng, t.sweep(x))
        out, adjoints = t.sweep_gradient(x, w)
        got = vjp(t).sweep(x + w)
        assert bits(got[:len(out)]) == bits(out)
        all_close(got[len(out):], adjoints)


@pytest.mark.parametrize("seeds", BLOCKS)
def test_tangent_tape_equals_the_tangent_sweep(seeds):
    for rng, t, x in cases(seeds):
        active = t.active()
        dx = [d if active[i] else 0 * d for d, i in zip(normal_like(rng, x), t.inputs, strict=True)]
        out = t.sweep(x)
        got = jvp(t).sweep(x + active_only(t, dx))
        assert bits(got[:len(out)]) == bits(out)
        all_close(got[len(out):], t.sweep_tangent(dx))


def test_dot_product_of_tangent_and_adjoint():
    """w . (J dx) = (J^T w) . dx, with tapes only."""
    for rng, t, x in cases(SEEDS):
        n = len(t.outputs)
        w, dx = normal_like(rng, t.sweep(x)), active_only(t, normal_like(rng, x))
        forward, backward = jvp(t).sweep(x + dx)[n:], vjp(t).sweep(x + w)[n:]
        left = sum(np.vdot(a, b) for a, b in zip(w, forward, strict=True))
        right = sum(np.vdot(a, b) for a, b in zip(backward, dx, strict=True))
        assert left == pytest.approx(right, rel=1e-9, abs=1e-9)


def test_random_tapes_reach_every_rule():
    """The tests above and below would be silent about a primitive that no tape holds."""
    reached = set()
    for _, t, _ in cases(range(150)):
        reached.update(opcodes(t))
    assert not set(structural_rules.RULES) - reached - {"call", "lapack"}


class Scaled:
    """Stands for Reverse and gives 0.1 % too much."""

    def __init__(self, r):
        self.r, self.b = r, r.b

    def more(self, w):
        return self.b.product_(w, self.b.const(1.001))

    def give(self, k, w):
        self.r.give(k, self.more(w))

    def give_moved(self, k, source, m, now=False):
        self.r.give_moved(k, self.more(source), m, now)

    def give_taken(self, k, index, w):
        self.r.give_taken(k, index, self.more(w))


def tangent_is_right(rng, t, x):
    active = t.active()
    dx = [d if active[i] else 0 * d for d, i in zip(normal_like(rng, x), t.inputs, strict=True)]
    t.sweep(x)
    return t.sweep_tangent(dx), jvp(t).sweep(x + active_only(t, dx))[len(t.outputs):]


def adjoint_is_right(rng, t, x):
    w = normal_like(rng, t.sweep(x))
    return t.sweep_gradient(x, w)[1], vjp(t).sweep(x + w)[len(t.outputs):]


@pytest.mark.parametrize("which", ["tangent", "adjoint"])
def test_a_wrong_rule_is_noticed(which, monkeypatch):
    """Each rule is judged: exchanged for one that is off by 0.1 %, the comparison with the sweeps fails."""
    tapes = list(cases(range(150)))
    compare = tangent_is_right if which == "tangent" else adjoint_is_right
    for name, rule in structural_rules.RULES.items():
        if rule.tangent is None or name in ("call", "element", "lapack"):    # element: _transform.pyx; others: theirs
            continue
        if name == "reshape" and which == "adjoint":         # what is reshaped is given it at once (_reverse_mode.pxi)
            continue

        def tangent(b, s, rule=rule):
            return b.product_(rule.tangent(b, s), b.const(1.001))

        def adjoint(r, s, rule=rule):
            rule.adjoint(Scaled(r), s)
        monkeypatch.setitem(structural_rules.RULES, name, rule._replace(tangent=tangent, adjoint=adjoint))
        pairs = (compare(rng, t, x) for rng, t, x in tapes if name in opcodes(t))
        assert any(not np.allclose(a, b, rtol=1e-9, atol=1e-9) for got, wanted in pairs
                   for a, b in zip(got, wanted, strict=True)), name
        monkeypatch.setitem(structural_rules.RULES, name, rule)


# ---- second and third order -----------------------------------------------------------------------------------------

def test_second_order_three_ways():
    """jvp(vjp), vjp(vjp) and vjp(jvp) give the same Hessian-vector product."""
    for rng, t, x in cases(SEEDS, 9):
        n, v = len(t.outputs), vjp(t)
        w, dx = normal_like(rng, t.sweep(x)), active_only(t, normal_like(rng, x))
        still = [0 * np.asarray(a) for a in w]
        one = jvp(v).sweep(x + w + dx + still)[len(v.outputs) + n:]
        two = vjp(v).sweep(x + w + still + dx)[len(v.outputs):][:len(dx)]
        three = vjp(jvp(t)).sweep(x + dx + still + w)[2 * n:][:len(dx)]
        all_close(one, two, 1e-8)
        all_close(three, two, 1e-8)


SMOOTH = "divide where element same_data move erase write assemble stack gather scatter matmul spmm".split()


def test_second_order_against_differences_of_the_reverse_sweep():
    h, compared = 1e-6, 0
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        t, x = random_tape(rng, 9, SMOOTH)
        w, active = normal_like(rng, t.sweep(x)), t.active()
        dx = [d if active[i] else 0 * d for d, i in zip(normal_like(rng, x), t.inputs, strict=True)]
        g = [t.sweep_gradient([a + s * h * d for a, d in zip(x, dx, strict=True)], w)[1] for s in (1, -1, 0)]
        wanted = [(a - b) / (2 * h) for a, b in zip(g[0], g[1], strict=True)]
        if max(np.abs(a + b - 2 * c).max(initial=0) for a, b, c in zip(*g, strict=True)) > 1e-8:
            continue                                        # a branch or a sorting order changed in between
        v = vjp(t)
        still = [0 * np.asarray(a) for a in w]
        got = jvp(v).sweep(x + w + active_only(t, dx) + still)[len(v.outputs) + len(t.outputs):]
        all_close(got, wanted, 2e-5)
        compared += 1
    assert compared > 40


THIRD = [
    (lambda x: np.exp(2 * x), lambda x: 8 * math.exp(2 * x)),
    (lambda x: np.sin(x) * x, lambda x: -3 * math.sin(x) - x * math.cos(x)),
    (lambda x: np.log(x), lambda x: 2 / x**3),
    (lambda x: x**3.5, lambda x: 3.5 * 2.5 * 1.5 * x**0.5),
    (lambda x: 1 / x, lambda x: -6 / x**4),
    (lambda x: np.sqrt(x), lambda x: 3 / 8 * x**-2.5),
    (lambda x: np.arctan2(x, 2.0), lambda x: 2 * (6 * x * x - 8) / (x * x + 4)**3),
]


@pytest.mark.parametrize("function, third", THIRD)
@pytest.mark.parametrize("modes", [(jvp, jvp, jvp), (vjp, vjp, vjp), (jvp, vjp, jvp), (vjp, jvp, vjp)])
def test_third_order_on_scalars(function, third, modes):
    x = 0.7
    t = recorded(function, x)
    for mode in modes:                                      # keep the derivative with respect to x only
        t = first_derivative(mode, t)
    assert t.sweep([x])[0] == pytest.approx(third(x), rel=1e-11)


def first_derivative(mode, t):
    """The tape x -> t'(x) for a tape of one scalar."""
    d, out = mode(t), T.Tape()
    x, one = out.emit_input(0), out.emit_const(1.0)
    out.set_outputs(inline(out, d, [x, one])[1:])
    return out.finish()


# ---- strong zeros ---------------------------------------------------------------------------------------------------

UNTAKEN = [
    (lambda x: np.where(x > 0, x * x, np.sqrt(x)).sum(), [2.0, 3.0]),
    (lambda x: np.where(x >= 1, x, np.log(x - 2.0)).sum(), [2.0, 1.0]),
    (lambda x: np.where(x == 0, 0.0, np.sin(x) / x).sum(), [0.0, 1.0]),
    (lambda x: np.where(x < 5, x**2, np.exp(x * 1e3)).sum(), [1.0, 2.0]),
    (lambda x: np.where(x > 0, x, np.log(np.sqrt(x * 0.0) + 1.0)).sum(), [1.0, 2.0]),
    (lambda x: (np.where(x > 0, x, np.sqrt(np.log(x) * 0.0)) * x).sum(), [1.0, 2.0]),
]
SECOND = [[2.0, 2.0], [0.0, 0.0], [0.0, None], [2.0, 2.0], [0.0, 0.0], [2.0, 2.0]]


@pytest.mark.parametrize("case, second", list(zip(UNTAKEN, SECOND, strict=True)))
@pytest.mark.parametrize("mode", [jvp, vjp])
def test_what_is_not_chosen_does_not_poison(case, second, mode):
    """First and second derivatives stay finite, and are those of the branch that is taken."""
    function, x = case[0], np.array(case[1])
    t = recorded(function, x)
    gradient = vjp(t)
    g = gradient.sweep([x, 1.0])[1]
    assert np.isfinite(g).all()
    all_close([g], [t.sweep_gradient([x], [1.0])[1][0]])
    for k in range(len(x)):
        e = np.eye(len(x))[k]
        if mode is jvp:
            row = jvp(gradient).sweep([x, 1.0, e, 0.0])[3]
        else:
            row = vjp(gradient).sweep([x, 1.0, 0.0, e])[2]
        assert np.isfinite(row).all()
        if second[k] is not None:
            assert row[k] == pytest.approx(second[k], abs=1e-12)


def test_square_root_at_zero_with_a_zero_seed():
    t = recorded(lambda x: np.sqrt(x), np.array([0.0, 4.0]))
    np.testing.assert_array_equal(vjp(t).sweep([np.array([0.0, 4.0]), np.array([0.0, 1.0])])[1], [0.0, 0.25])
    np.testing.assert_array_equal(jvp(t).sweep([np.array([0.0, 4.0]), np.array([0.0, 1.0])])[1], [0.0, 0.25])


def test_derivative_code_raises_no_floating_point_flags():
    """0.5 / 0 is masked: nobody wants to hear of it.  What the primal code raises is still heard."""
    t = recorded(lambda x: np.sqrt(x), np.array([0.0, 4.0]))
    with np.errstate(all="raise"):
        vjp(t).sweep([np.array([0.0, 4.0]), np.array([0.0, 1.0])])
        with pytest.raises(FloatingPointError):
            vjp(t).sweep([np.array([-1.0, 4.0]), np.array([0.0, 1.0])])


# ---- what goes along ------------------------------------------------------------------------------------------------

def branching(x):
    return x * x if x > 1 else -x


@pytest.mark.parametrize("derived", [lambda t: vjp(t), lambda t: jvp(t), lambda t: jvp(vjp(t))])
def test_guards_pass_on(derived):
    d = derived(recorded(branching, 2.0))
    ones = [1.0] * (len(d.inputs) - 1)
    d.sweep([3.0] + ones)
    with pytest.raises(TapeDivergence, match="test_transform.py"):
        d.sweep([0.5] + ones)


def test_captured_arrays_are_shared():
    a = np.array([1.0, 2.0])
    t = recorded(lambda x: (x * a).sum(), 3.0)
    v = vjp(t)
    assert v.captures[0] is a and batch(v, 2).captures[0] is a
    assert v.sweep([3.0, 1.0])[1] == 3.0
    a *= 2
    assert v.sweep([3.0, 1.0])[1] == 6.0


def test_inactive_inputs_and_integers_have_no_tangents():
    t = T.open_recording()
    x, data, n = T.make_input(t, 2.0), T.make_input(t, np.array([1.0, 2.0]), active=False), T.make_input(t, 3)
    y = (x * data).sum() * n
    t.set_outputs([T.id_in(t, y), T.id_in(t, n), T.id_in(t, data)])
    T.close_recording(t)
    v, j = vjp(t), jvp(t)
    assert len(v.inputs) == 3 + 2 and len(v.outputs) == 3 + 1       # seeds: y and data; adjoint: x
    assert len(j.inputs) == 3 + 1 and len(j.outputs) == 3 + 2       # tangent of x; tangents of y and data
    data = np.array([1.0, 2.0])
    assert v.sweep([2.0, data, 3, 1.0, np.ones(2)])[3] == 9.0
    dy, ddata = j.sweep([2.0, data, 3, 1.0])[3:]
    assert dy == 9.0 and (ddata == 0).all()


def test_only_active_paths_are_stamped():
    t = T.open_recording()
    x, data = T.make_input(t, 2.0), T.make_input(t, np.ones(3), active=False)
    for _ in range(50):
        data = np.sin(data)
    t.set_outputs([T.id_in(t, (data * x).sum())])
    T.close_recording(t)
    assert len(vjp(t)) < len(t) + 12
    assert len(jvp(t)) < len(t) + 12


def test_a_tape_that_is_still_recorded_is_refused():
    t = T.open_recording()
    T.make_input(t, 1.0)
    try:
        with pytest.raises(InternalError, match="recording"):
            vjp(t)
    finally:
        T.close_recording(t)


def test_seeds_for_some_outputs_only():
    def function(x):
        return (x * x).sum(), np.exp(np.sin(x)), x[0]
    x, w = np.array([0.3, 0.7]), [2.0, np.array([3.0, 5.0]), 7.0]
    t = recorded(function, x)
    some, whole = vjp(t, [2, 0]), vjp(t)
    assert len(some.inputs) == 3 and len(some) < len(whole)
    wanted = whole.sweep([x, w[0], 0 * w[1], w[2]])
    all_close(some.sweep([x, w[2], w[0]]), wanted)


def test_fix_makes_inputs_constants():
    x = np.array([0.3, 0.7])
    t = recorded(lambda x: (np.exp(x), x.sum()), x)
    v = vjp(t)
    f = fix(v, {1: 1.0, 2: 0.0})
    assert len(f.inputs) == 1 and f.boundary and f.instruction(f.boundary - 1)[0] != "strongzero"
    all_close(f.sweep([x]), v.sweep([x, np.ones(2), 0.0]))
    all_close(fix(v, {1: np.array([1.0, 2.0]), 2: 3.0}).sweep([x]), v.sweep([x, np.array([1.0, 2.0]), 3.0]))
    with pytest.raises(ShapeError, match=r"\(3,\) for an input of shape \(2,\)"):
        fix(v, {1: np.ones(3)})


def test_seeds_of_one_and_zero_vanish():
    x = np.array([0.3, 0.7])
    v = vjp(recorded(lambda x: (np.exp(x), np.sin(x) * x), x))
    assert opcodes(optimise(fix(v, {1: 1.0, 2: 0.0}))).count("strongzero") == 0
    all_close(optimise(fix(v, {1: 1.0, 2: 0.0})).sweep([x])[2:], [np.exp(x)])


# ---- cost -----------------------------------------------------------------------------------------------------------

def element_reads(n):
    def function(x):
        total = 0.0
        for i in range(n):
            total = total + x[i] * x[i]
        return total
    return recorded(function, np.ones(n))


def row_writes(n):
    def function(x):
        u = T.make_plain(np.zeros((n, 4)))
        u[0] = x
        for i in range(1, n):
            u[i] = np.sin(u[i - 1])
        return (u * u).sum()
    return recorded(function, np.linspace(0.1, 1.0, 4))


def full_size(tape, n):
    """Instructions whose result has n elements or more."""
    sizes = [math.prod(T.aval_of(tape.instruction(i)[2])[1]) for i in range(1, len(tape) + 1)
             if tape.instruction(i)[0] not in ("erase", "write", "const", "reshape", "input")]
    return sum(s >= n for s in sizes)


@pytest.mark.parametrize("make, n, most", [(element_reads, 200, 2), (row_writes, 100, 12)])
def test_parts_of_an_array_make_no_full_arrays(make, n, most):
    """n reads of an n-array, n writes of rows: a fixed number of arrays of full size, besides writes in place."""
    t = make(n)
    v = vjp(t)
    assert full_size(v, n) <= most
    assert len(v) <= 10 * n + 10
    x = np.ones(n) if make is element_reads else np.linspace(0.1, 1.0, 4)
    all_close(v.sweep([x, 1.0])[1:], t.sweep_gradient([x], [1.0])[1])


def test_traced_positions_are_collected():
    """Gathers at traced positions make one scattered sum together."""
    n = 30

    def function(x):
        order, total = np.argsort(x), 0.0
        for i in range(n):
            total = total + x[order[i]] * (i + 1.0)
        return total
    x = np.random.default_rng(1).normal(size=n)
    t = recorded(function, x)
    v = vjp(t)
    assert opcodes(v).count("addat") == 1
    all_close(v.sweep([x, 1.0])[1:], t.sweep_gradient([x], [1.0])[1])


# ---- batch ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("seeds", BLOCKS)
@pytest.mark.parametrize("kind", ["primal", "adjoint", "tangent"])
def test_batch_equals_a_loop(seeds, kind):
    for rng, t, x in cases(seeds):
        n = len(t.outputs)
        if kind == "adjoint":
            x, t = x + normal_like(rng, t.sweep(x)), vjp(t)
        elif kind == "tangent":
            x, t = x + active_only(t, normal_like(rng, x)), jvp(t)
        k, flags = 3, (rng.random(len(x)) < 0.7).tolist()
        lanes = [np.stack([a + 1e-3 * rng.normal(size=np.shape(a)) for _ in range(k)]) if f else a
                 for a, f in zip(x, flags, strict=True)]
        got = batch(t, k, flags).sweep(lanes)
        wanted = [t.sweep([np.asarray(a[lane])[()] if f else a for a, f in zip(lanes, flags, strict=True)])
                  for lane in range(k)]
        assert len(got) == len(wanted[0]) >= n
        all_close(got, [np.stack(rows) for rows in zip(*wanted, strict=True)])


def test_batch_flags_the_float_inputs_by_default():
    t = T.open_recording()
    x, n = T.make_input(t, 2.0), T.make_input(t, 3)
    t.set_outputs([T.id_in(t, x * n), T.id_in(t, n)])
    T.close_recording(t)
    products, counts = batch(t, 2).sweep([np.array([2.0, 5.0]), 3])
    assert products.tolist() == [6.0, 15.0] and counts.tolist() == [3, 3]


def test_a_guard_holds_in_every_lane():
    b = batch(recorded(branching, 2.0), 3)
    assert b.sweep([np.array([2.0, 3.0, 4.0])])[0].tolist() == [4.0, 9.0, 16.0]
    with pytest.raises(TapeDivergence, match="test_transform.py"):
        b.sweep([np.array([2.0, 0.5, 4.0])])


def test_batch_refuses_what_does_not_fit():
    t = recorded(lambda x: x * x, 2.0)
    with pytest.raises(ShapeError, match="0 lanes"):
        batch(t, 0)
    with pytest.raises(ShapeError, match="2 flags for 1 inputs"):
        batch(t, 2, [True, False])


def test_batch_composes_with_derivatives():
    """Rows of a Hessian: lanes of jvp(vjp)."""
    x = np.array([0.3, 0.8, 1.2])
    t = recorded(lambda x: (np.exp(x[0] * x[1]) * x[2]**2).sum(), x)
    h = batch(jvp(vjp(t)), 3, [False, False, True, False])
    rows = h.sweep([x, 1.0, np.eye(3), 0.0])[3]
    a, b, c = x
    e = math.exp(a * b)
    wanted = e * np.array([[b * b * c * c, (1 + a * b) * c * c, 2 * b * c],
                           [(1 + a * b) * c * c, a * a * c * c, 2 * a * c], [2 * b * c, 2 * a * c, 2]])
    np.testing.assert_allclose(rows, wanted, rtol=1e-12)


# ---- inline ---------------------------------------------------------------------------------------------------------

def test_inline_into_an_open_recording():
    """Nesting: the derivative of a recorded function inside another recorded function."""
    inner = vjp(recorded(lambda x: np.sin(x) * x, 1.0))
    t = T.open_recording()
    x = T.make_input(t, 1.3)
    ids = inline(t, inner, [T.id_in(t, x), t.emit_const(1.0)])
    t.set_outputs(ids[1:])
    T.close_recording(t)
    wanted = math.cos(1.3) * 1.3 + math.sin(1.3)
    assert t.sweep([1.3])[0] == pytest.approx(wanted)
    assert vjp(t).sweep([1.3, 1.0])[1] == pytest.approx(2 * math.cos(1.3) - 1.3 * math.sin(1.3))


def test_inline_takes_guards_captures_and_locations_along():
    a = np.array([1.0, 2.0])
    inner = recorded(lambda x: (a * x).sum() if x > 0 else x, 1.0)
    t = T.Tape()
    x = t.emit_input(0)
    t.set_outputs(inline(t, inner, [x]))
    t.finish()
    assert t.captures[0] is a and t.sweep([2.0])[0] == 6.0
    with pytest.raises(TapeDivergence, match="test_transform.py"):
        t.sweep([-1.0])


def test_inline_of_random_tapes_keeps_bits():
    for _, t, x in cases(SEEDS):
        out = T.Tape()
        ids = [out.emit_input(t.instruction(i)[2]) for i in t.inputs]
        once = inline(out, t, ids)
        out.set_outputs(once + inline(out, t, ids))
        assert bits(out.finish().sweep(x)) == 2 * bits(t.sweep(x))


def test_inline_refuses_what_does_not_fit():
    inner, t = recorded(lambda x: x.sum(), np.ones(3)), T.Tape()
    x = t.emit_input(T.aval(0, (2,)))
    with pytest.raises(ShapeError, match="input 0"):
        inline(t, inner, [x])
    with pytest.raises(ShapeError, match="2 values for 1 inputs"):
        inline(t, inner, [x, x])


# ---- foreign calls --------------------------------------------------------------------------------------------------

class Sine:
    """A rule of a call, as control.py makes them; its derivative is written with instructions."""

    name = "sine"

    def value(self, xs):
        return np.sin(xs[0])

    def emit_tangent(self, b, s):
        return b.product_(s.dx[0], b.elementwise_("cos", s.x[0]))

    def emit_adjoint(self, r, s):
        r.give(0, r.b.product_(s.w, r.b.elementwise_("cos", s.x[0])))


def calling(rule):
    t = T.Tape()
    x = t.emit_input(T.aval(0, (2,)))
    aval = T.aval(0, (2,))
    t.set_outputs([t.emit("call", (x,), aval, T.Call(rule, [aval], aval))])
    return t.finish()


def test_a_call_brings_its_own_rules():
    t, x, w = calling(Sine()), np.array([0.3, 0.9]), np.array([1.0, 2.0])
    np.testing.assert_allclose(vjp(t).sweep([x, w])[1], w * np.cos(x))
    np.testing.assert_allclose(jvp(t).sweep([x, w])[1], w * np.cos(x))
    np.testing.assert_allclose(jvp(vjp(t)).sweep([x, w, np.ones(2), 0 * w])[3], -w * np.sin(x))
    lanes = np.stack([x, 2 * x, 3 * x])
    np.testing.assert_allclose(batch(t, 3).sweep([lanes])[0], np.sin(lanes))


def test_a_call_without_rules_is_refused():
    site = type("Site", (), {"name": "call", "attr": object()})
    for rule in (structural_rules.tangent, structural_rules.adjoint):
        with pytest.raises(UnsupportedError, match="ad.primitive"):
            rule(None, site)


@pytest.mark.parametrize("outputs", [None, [0]])
def test_a_constant_seed_is_an_input_that_is_fixed(outputs):
    for seed in range(30):
        t, x = random_tape(np.random.default_rng(seed))
        chosen = range(len(t.outputs)) if outputs is None else outputs
        seeds = sum(T.aval_of(t.instruction(t.outputs[k])[2])[0] in T.REAL for k in chosen)
        v = vjp(t, outputs)
        fixed = fix(v, {len(t.inputs) + k: 1.0 for k in range(seeds)})
        constant = vjp(t, outputs, seed=1.0)
        assert opcodes(constant) == opcodes(fixed) and constant.boundary == fixed.boundary
        with np.errstate(all="ignore"):
            for a, b in zip(constant.sweep(x), fixed.sweep(x), strict=True):
                np.testing.assert_array_equal(a, b)
