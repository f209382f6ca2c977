"""Every row of the table in lanes: elementwise rows, structural rules, loops, custom primitives; against one lane each.

Owns: the proof of batch rules where test_transform.py does not reach: all rows, shared operands, calls.
Must not know: which lanes go together (test_batch.py).
"""
import itertools

import numpy as np
import pytest
from random_tapes import normal_like, opcodes, random_tape

import fastad as ad
from fastad import _tape as T
from fastad import primitives as P
from fastad import structural_rules, tapes
from fastad._program import Program
from fastad._transform import batch, vjp

K = 3
KINDS = {"f": 0, "i": 1, "b": 2}
rng = np.random.default_rng(11)


@pytest.fixture(autouse=True)
def quiet():
    """Operands may lie outside of a row's domain: NaNs are compared, too."""
    with np.errstate(all="ignore"):
        yield


def one_by_one(tape, values, flags):
    """The outputs of lane after lane, stacked."""
    rows = [tape.sweep([np.asarray(x[i])[()] if f else x for x, f in zip(values, flags, strict=True)])
            for i in range(K)]
    return [np.stack(parts) for parts in zip(*rows, strict=True)]


def same_bits(got, wanted):
    assert len(got) == len(wanted)
    for a, b in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype and np.array_equal(np.signbit(a), np.signbit(b)) if a.dtype.kind == "f" else True


# ---- elementwise -----------------------------------------------------------------------------------------------------

def operands(row, kind, shape, n):
    """n operands of a row, drawn from its domain."""
    found = []
    for k in range(n):
        low, high = row.domain.intervals[min(k, len(row.domain.intervals) - 1)][0]
        x = low + (high - low) * rng.uniform(0.1, 0.9, size=shape)
        x = np.ceil(x) if k == 0 and row.name in ("expn", "yn", "kn") else x             # orders are whole numbers
        found.append(x if kind == "f" else rng.integers(1, 4, size=shape) if kind == "i" else rng.random(shape) > 0.5)
    return found


@pytest.mark.parametrize("row", P.TABLE, ids=lambda row: row.name)
def test_elementwise(row):
    """Operands in lanes or shared, numbers or arrays: the bits of one lane, and its derivatives."""
    T.ensure_row(row.name)                                   # (recording it does so)
    for kind, shapes in itertools.product(row.dtypes, (((),) * 3, ((4,),) * 3, ((4,), (), (4,)), ((), (4,), ()))):
        code, shapes = KINDS[kind], shapes[:row.arity]
        first = "b" if row.rule == "select" else kind
        shape = max(shapes, key=len)
        for flags in itertools.product((True, False), repeat=row.arity):
            if not any(flags):
                continue
            tape, values = T.Tape(), []
            for k, (s, f) in enumerate(zip(shapes, flags, strict=True)):
                values.append(operands(row, first if k == 0 else kind, (K, *s) if f else s, row.arity)[k])
            ids = [tape.emit_input(T.aval(KINDS[first] if k == 0 else code, s), code == 0)
                   for k, s in enumerate(shapes)]
            result = T.aval(KINDS["b"] if row.result == "bool" else code, shape)
            tape.set_outputs([tape.emit(row.name, ids, result)])
            tape = tape.finish()
            values = [v if np.ndim(v) else v[()] for v in map(np.asarray, values)]
            wide = batch(tape, K, flags)
            wanted = one_by_one(tape, values, flags)
            same_bits(wide.sweep(values), wanted)
            same_bits(Program(wide).run(values), wanted)
            if row.differentiable and kind == "f" and shape and all(flags):
                w = rng.normal(size=(K, *shape))
                got = batch(vjp(tape), K, [*flags, True]).sweep([*values, w])
                for a, b in zip(got, one_by_one(vjp(tape), [*values, w], [*flags, True]), strict=True):
                    np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-300)


# ---- structural ------------------------------------------------------------------------------------------------------

def test_a_wrong_batch_rule_is_noticed(monkeypatch):
    """Each rule is judged: exchanged for one that lets lanes change places, the comparison with one lane fails."""
    draws = [np.random.default_rng(seed) for seed in range(150)]
    cases = [(r, *random_tape(r, 12)) for r in draws]

    missed = []

    def turned(b, s, rule):
        y = rule.batch(b, s)
        n = b.size(y) // s.k
        return b.emit("move", (y,), b.aval_of(y), T.Map.table(n * s.k, n * s.k, np.roll(np.arange(n * s.k), n)))
    for name, rule in structural_rules.RULES.items():
        if name in ("call", "lapack", "wrap", "flatnonzero", "any", "all"):          # below, and in test_linalg.py
            continue
        monkeypatch.setitem(structural_rules.RULES, name,
                            rule._replace(batch=lambda b, s, rule=rule: turned(b, s, rule)))
        found = False
        for draw, t, x in cases:
            if found or name not in opcodes(t):
                continue
            lanes = [np.stack([moved(draw, np.asarray(a), i) for i in range(K)]) for a in x]
            try:
                got = batch(t, K, [True] * len(x)).sweep(lanes)
            except Exception:                                # an index that another lane's would have been
                found = True
                continue
            wanted = one_by_one(t, lanes, [True] * len(x))
            found = any(not np.allclose(a, b, rtol=1e-9, atol=1e-9, equal_nan=True)
                        for a, b in zip(got, wanted, strict=True))
        missed += [] if found else [name]
        monkeypatch.setitem(structural_rules.RULES, name, rule)
    assert missed == []


def moved(draw, a, i):
    """An input of lane i: reals a bit elsewhere, whole numbers in other places."""
    return a + 2 * normal_like(draw, [a])[0] if a.dtype.kind == "f" else np.roll(a.ravel(), i).reshape(a.shape)


def test_indices_that_count_from_the_end():
    x, at = rng.normal(size=(K, 4)), np.array([[-1, 2], [0, -4], [3, -2]])
    f = lambda x, n: x[n] * 2  # noqa: E731
    np.testing.assert_array_equal(ad.batch(f)(x, at), 2 * np.take_along_axis(x, at % 4, axis=1))
    np.testing.assert_array_equal(ad.batch(ad.grad(lambda x, n: np.sum(f(x, n))))(x, at),
                                  [np.bincount(n % 4, [2, 2], 4) for n in at])


def test_masks_with_as_many_elements_in_each_lane():
    x = rng.normal(size=(K, 6))
    b = ad.batch(lambda x: (x[x > np.median(x)], np.flatnonzero(x < np.median(x))))
    large, at = b(x)
    np.testing.assert_array_equal(large, [v[v > np.median(v)] for v in x])
    np.testing.assert_array_equal(at, [np.flatnonzero(v < np.median(v)) for v in x])
    assert b.stats().recordings == 1
    y = x.reshape(K, 3, 2)
    for f in (np.any, np.all):
        np.testing.assert_array_equal(ad.batch(lambda v, f=f: f(v > 0, axis=0))(y), f(y > 0, axis=1))
        np.testing.assert_array_equal(ad.batch(lambda v, f=f: f(v > -0.5))(y), f(y > -0.5, axis=(1, 2)))


# ---- loops -----------------------------------------------------------------------------------------------------------

U = rng.normal(size=(6, 3))


def course(p, W, u):
    """Numbers, arrays and a counter in the state; results of each step; operands that stay."""
    def step(state, ui):
        x, y, v, n = state
        v = np.tanh(W @ v + ui * x)
        return (x + 0.1 * (p[0] - y) * x, y + 0.1 * x * p[1], v, n + 1), (x * y, v)
    (x, y, v, n), (ys, vs) = ad.scan(step, (p[2], p[3], np.zeros(3), 0), u)
    return np.sum(ys**2) + np.sum(vs * np.arange(3.0)) + x + v[0] * y + n


LANES = (rng.uniform(0.3, 0.9, (K, 4)), 0.3 * rng.normal(size=(K, 3, 3)), rng.normal(size=(K, 6, 3)))


@pytest.mark.parametrize("flags", [f for f in itertools.product((True, False), repeat=3) if any(f)])
def test_scans(flags):
    """A loop, its adjoint and the tangent of that, with lanes in any of the operands."""
    args = [x if f else x[0] for x, f in zip(LANES, flags, strict=True)]
    tape = ad.record(course, *[x[0] for x in LANES])
    same_bits(batch(tape, K, flags).sweep(args), one_by_one(tape, args, flags))
    gradient = tapes.gradient_tape(tape)
    second, directions = tapes.jvp_tape(gradient), [np.cos(x) for x in args]
    for t, values, own in ((gradient, args, flags), (second, args + directions, flags * 2)):
        for got in (batch(t, K, own).sweep(values), Program(batch(t, K, own)).run(values)):
            for a, b in zip(got, one_by_one(t, values, own), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
    # the other way round: the derivative of the loop of lanes
    bars = vjp(batch(tape, K, flags)).sweep([*args, np.ones(K)])[1:]
    for f, bar, each in zip(flags, bars, one_by_one(gradient, args, flags)[1:], strict=True):
        np.testing.assert_allclose(bar, each if f else each.sum(axis=0), rtol=1e-12, atol=1e-12)


def test_a_scan_of_lanes_is_one_instruction():
    tape = tapes.gradient_tape(ad.record(course, *[x[0] for x in LANES]))
    assert opcodes(batch(tape, 100, [True] * 3)).count("call") == opcodes(tape).count("call") == 2


@pytest.mark.parametrize("reverse", [False, True])
def test_scans_backwards_in_batches_of_batches(reverse):
    def f(x):
        return ad.scan(lambda s, v: (s * 0.5 + v, s * v), x[0], x, reverse=reverse)
    Y = rng.normal(size=(2, 3, 5))
    last, seen = ad.batch(ad.batch(f))(Y)
    for i, j in itertools.product(range(2), range(3)):
        np.testing.assert_array_equal(last[i, j], f(Y[i, j])[0])
        np.testing.assert_array_equal(seen[i, j], f(Y[i, j])[1])
    g = ad.grad(lambda x: np.sum(f(x)[1] * f(x)[0]))
    np.testing.assert_allclose(ad.batch(ad.batch(g))(Y), [[g(y) for y in z] for z in Y], rtol=1e-12)


def test_a_scan_whose_body_decides_otherwise_in_one_lane_is_refused_there_only():
    def f(x):
        return ad.scan(lambda s, v: (s + v if v > 0 else s - v, None), 0.0, x)[0]
    lanes = np.abs(rng.normal(size=(40, 3)))
    np.testing.assert_array_equal(ad.batch(f)(lanes), [f(x) for x in lanes])
    lanes[11] *= -1                                          # all steps the other way: a group of its own
    b = ad.batch(f)
    np.testing.assert_array_equal(b(lanes), [f(x) for x in lanes])
    assert b.stats().tapes == 2
    lanes[7, 1] *= -1                                        # within one lane: what a scan cannot do
    with pytest.raises(ad.UnsupportedError, match="in a later step"):
        b(lanes)


# ---- custom primitives, foreign calls --------------------------------------------------------------------------------

both = ad.primitive(lambda a, b, n=2: a**n * np.sum(b) + b, jvp=lambda v, y, a, b, n=2: (
    n * a**(n - 1) * v[0] * np.sum(b) + a**n * np.sum(v[1]) + v[1]),
    vjp=lambda w, y, a, b, n=2: (np.sum(n * a**(n - 1) * np.sum(b) * w), a**n * np.sum(w) + w))
reverse_only = ad.primitive(lambda a, b: a * b, vjp=lambda w, y, a, b: (np.sum(w * b), a * w))
PRIMITIVES = {"both": both, "cubes": lambda a, b: both(a, b, n=3), "reverse": reverse_only}


@pytest.mark.parametrize("name", PRIMITIVES)
def test_custom_primitives(name):
    f = PRIMITIVES[name]
    a, B = rng.normal(size=K) + 2, rng.normal(size=(K, 4))
    def number(x, y): return np.sum(f(np.sin(x), y)**2)
    for axes in ((0, 0), (0, None), (None, 0)):
        x, y = (v if axis == 0 else v[0] for v, axis in zip((a, B), axes, strict=True))
        pairs = [(a[i] if axes[0] == 0 else x, B[i] if axes[1] == 0 else y) for i in range(K)]
        b = ad.batch(f, axes)
        np.testing.assert_allclose(b(x, y), [f(*p) for p in pairs], rtol=1e-13)
        assert len(b.stats().looped) == 1
        for verb in (ad.grad, ad.hessian, lambda h, argnums: ad.jacobian(ad.grad(h, argnums), argnums)):
            got = ad.batch(verb(number, 1), axes)(x, y)
            np.testing.assert_allclose(got, [verb(number, 1)(*p) for p in pairs], rtol=1e-11)
        g = ad.grad(lambda u, v, axes=axes: np.sum(ad.batch(number, axes)(u, v)), (0, 1))(x, y)
        each = [ad.grad(number, (0, 1))(*p) for p in pairs]
        for j in range(2):
            wanted = np.stack([e[j] for e in each])
            np.testing.assert_allclose(g[j], wanted if axes[j] == 0 else wanted.sum(axis=0), rtol=1e-11)


def test_sums_over_sources():
    total = ad.sum_over([np.arange(3.0) + k for k in range(4)], lambda p, s: np.sum(np.sin(p * s)))
    P_ = rng.normal(size=(K, 3))
    np.testing.assert_allclose(ad.batch(lambda p: total(p) * 2)(P_), [2 * total(p) for p in P_], rtol=1e-13)
    np.testing.assert_allclose(ad.batch(ad.grad(total))(P_), [ad.grad(total)(p) for p in P_], rtol=1e-12)


def test_what_runs_lane_after_lane():
    x, knots = rng.normal(size=(K, 5)), np.sort(rng.normal(size=(K, 7)), axis=1)
    for f, name in ((lambda x, t: np.interp(x, t, np.cos(t)), "searchsorted"),
                    (lambda x, t: np.partition(x, 2) * t[0], "partition")):
        b = ad.batch(f)
        np.testing.assert_allclose(b(x, knots), [f(*p) for p in zip(x, knots, strict=True)], rtol=1e-15)
        assert name in b.stats().looped[0]
        def number(x, t, f=f): return np.sum(f(x, t)**2)
        for k in range(2):
            np.testing.assert_allclose(ad.batch(ad.grad(number, k))(x, knots),
                                       [ad.grad(number, k)(*p) for p in zip(x, knots, strict=True)], rtol=1e-12)


def test_sparse_matrices():
    import scipy.sparse
    S = scipy.sparse.random(6, 5, 0.5, random_state=1, format="csr")
    x = rng.normal(size=(K, 5))
    np.testing.assert_allclose(ad.batch(lambda v: S @ v)(x), x @ S.toarray().T, rtol=1e-13)
    f = lambda v: np.sum((S @ np.sin(v))**2)  # noqa: E731
    np.testing.assert_allclose(ad.batch(ad.grad(f))(x), [ad.grad(f)(v) for v in x], rtol=1e-12)


def test_decisions_by_lane():
    tape = ad.record(lambda x: x[0] if x[0] > 0 and x[1] < 2 else -x[1], np.array([1.0, 1.0]))
    found = batch(tape, 4, [True], decisions=True).sweep([np.array([[1, 1], [-1, 1], [1, 3], [2.0, 0]])])
    assert len(found) == 1 and found[0].tolist() == [True, False, False, True]
    free = batch(ad.record(np.sum, np.ones(2)), 4, [True], decisions=True)
    assert free.sweep([np.ones((4, 2))])[0].all()
