"""recorder.py - record and replay a function at the level of the heart, without the verbs.

Owns: the helper that the tests of the heart share.  Must not know: derivatives.py, interception.
"""
import numpy as np

from fastad import _tape as T


def record(f, *values):
    """The finished tape of f at `values` (numbers or ndarrays), and what f returned, as concrete values."""
    tape = T.open_recording()
    try:
        out = f(*[T.make_input(tape, v) for v in values])
        outs = out if isinstance(out, (list, tuple)) else [out]
        tape.set_outputs([T.id_in(tape, y) for y in outs])
        concrete = [np.array(T.concrete(y)) for y in outs]
        T.check_captures(tape)
    finally:
        T.close_recording(tape)
    return tape, concrete


def zeros(shape, dtype=float):
    """What np.zeros gives while a function is recorded through the verbs."""
    return T.make_plain(np.zeros(shape, dtype))


def check_replay(f, x0, x1, plain=None, exact=True):
    """f recorded at x0 and replayed at x0 and x1 must give what plain f gives; returns the tape."""
    plain = plain or f
    tape, concrete = record(f, x0)
    for x, recorded in ((x0, concrete), (x1, None)):
        want = plain(np.array(x, copy=True))
        wants = want if isinstance(want, (list, tuple)) else [want]
        got = tape.sweep([x])
        for k, (a, b) in enumerate(zip(got, wants, strict=True)):
            assert np.shape(a) == np.shape(b), (k, np.shape(a), np.shape(b))
            same(a, b, exact)
            if recorded is not None:
                same(recorded[k], b, exact)
                assert np.array_equal(recorded[k], a, equal_nan=True), "self-equality: recorder and replay differ"
    return tape


def same(a, b, exact=True):
    """Equal bits, or equal to rounding."""
    if exact:
        assert np.array_equal(a, b, equal_nan=np.asarray(b).dtype.kind == "f"), (a, b)
    else:
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-13)
