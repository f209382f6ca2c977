"""numpy_cases.py - how one NumPy expression is judged: value, replay elsewhere, gradient, tangent.

Owns: `judge`, which the tables of test_numpy_api*.py call.  It opens recordings by itself: no verb is involved.
Must not know: which function is on trial.
"""
import contextlib

import numpy as np

from fastad import _tape as T
from fastad import interception

NUMPY = tuple(int(part) for part in np.__version__.split(".")[:2])
SINCE = {"unstack": (2, 1), "cumulative_sum": (2, 1), "cumulative_prod": (2, 1), "clip ufunc kw": (2, 1),
         "vecmat": (2, 2), "matvec": (2, 2), "pad dict": (2, 2)}


def supported(table):
    """The cases that this NumPy has: 2.0 is the oldest one that is supported."""
    return {name: f for name, f in table.items() if SINCE.get(name, (2, 0)) <= NUMPY}


def leaves(y):
    """The arrays and numbers in a result."""
    if isinstance(y, (tuple, list)):
        return [v for part in y for v in leaves(part)]
    return [y]


def record(f, *xs, intercepted=False):
    """(tape, results) of f recorded at xs, every one of them active; `intercepted`: NumPy's names are replaced."""
    t = T.open_recording()
    try:
        with interception.recording() if intercepted else contextlib.nullcontext():
            ys = f(*[T.make_input(t, x, True) for x in xs])
        ys = leaves(ys)
        T.check_captures(t)
        t.set_outputs([T.id_in(t, y) for y in ys])
        ys = [np.array(T.concrete(y)) if not isinstance(y, np.ndarray) else y for y in ys]
    finally:
        T.close_recording(t)
    return t, ys


def plain(f, xs):
    """What NumPy gives; f gets copies, since it may write into them."""
    return leaves(f(*[np.array(x)[()] for x in xs]))


def same(got, want, exact, what):
    want = np.asarray(want)
    got = np.asarray(got)
    assert got.shape == want.shape, f"{what}: shape {got.shape}, NumPy {want.shape}"
    assert got.dtype == want.dtype, f"{what}: dtype {got.dtype}, NumPy {want.dtype}"
    if exact or want.dtype.kind != "f":
        np.testing.assert_array_equal(got, want, what)
    else:
        np.testing.assert_allclose(got, want, rtol=1e-13, atol=1e-13, err_msg=what)


def slope(f, xs, vs, ws):
    """Derivative of sum(w * f) in direction v: the fourth-order central difference."""
    def value(h):
        ys = plain(f, [np.asarray(x) + h * np.asarray(v) for x, v in zip(xs, vs, strict=True)])
        return sum(float(np.sum(w * np.asarray(y, float))) for w, y in zip(ws, ys, strict=True) if w is not None)
    h = 2e-4
    return (8 * (value(h) - value(-h)) - (value(2 * h) - value(-2 * h))) / (12 * h)


def judge(f, first, second, *, exact=False, derivatives=True, layout=True, intercepted=False):
    """f recorded at `first` gives NumPy's values there and, replayed, at `second`; derivatives are right at both."""
    tape, recorded = record(f, *first, intercepted=intercepted)
    want = plain(f, first)
    assert len(recorded) == len(want)
    for k, (got, y) in enumerate(zip(recorded, want, strict=True)):
        same(T.concrete(got), y, exact, f"recorded {k}")
        if layout and isinstance(y, np.ndarray) and y.ndim > 1 and min(y.shape) > 1:
            c = T.concrete(got)
            assert (c.flags.c_contiguous, c.flags.f_contiguous) == (y.flags.c_contiguous, y.flags.f_contiguous), \
                f"memory layout: strides {c.strides}, NumPy {y.strides}"
    rng = np.random.default_rng(0)
    for where, xs in (("first", first), ("second", second)):
        values = [np.asarray(x, dtype=float) for x in xs]
        for k, (got, y) in enumerate(zip(tape.sweep(list(values)), plain(f, xs), strict=True)):
            same(got, y, exact, f"replay at {where}, output {k}")
        if not derivatives:
            continue
        ws = [rng.uniform(0.5, 1.5, np.shape(y)) if np.asarray(y).dtype == float else None for y in want]
        vs = [rng.uniform(-1, 1, np.shape(x)) for x in xs]
        _, adjoints = tape.sweep_gradient(list(values), [0.0 if w is None else w for w in ws])
        tangents = tape.sweep_tangent([np.asarray(v) for v in vs])
        by_adjoint = sum(float(np.sum(a * v)) for a, v in zip(adjoints, vs, strict=True))
        by_tangent = sum(float(np.sum(w * d)) for w, d in zip(ws, tangents, strict=True) if w is not None)
        scale = 1 + sum(float(np.sum(np.abs(a * v))) for a, v in zip(adjoints, vs, strict=True))
        assert abs(by_adjoint - by_tangent) <= 1e-11 * scale, f"dot test at {where}: {by_adjoint} {by_tangent}"
        by_difference = slope(f, xs, vs, ws)
        assert abs(by_adjoint - by_difference) <= 1e-7 * scale, \
            f"gradient at {where}: {by_adjoint}, by differences {by_difference}"
    return tape
