"""Ctrl-C while a sweep runs ends it between two of its steps; afterwards everything is as before.

Owns: the proof of _kernels/poll.h.  Next: test_bad_input.py (Ctrl-C while recording), test_threads.py.
"""
import signal
import threading
import time

import numpy as np
import pytest

import fastad as ad

N = 600_000


class Interrupt(BaseException):
    """What Ctrl-C raises, but not taken for one by pytest."""


@pytest.fixture
def soon():
    """Call it: a signal whose handler raises arrives after so many seconds."""
    def interrupt(*_):
        raise Interrupt
    before = signal.signal(signal.SIGALRM, interrupt)
    yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def many_arrays(x):
    """Steps that no loop fuses."""
    y = x
    for _ in range(20):
        y = np.cumsum(np.sin(y)) * 1e-3
    return (y * y).sum()


def long_scan(x):
    def step(state, _):
        a, b = state
        return (a + 1e-7 * b, b - 1e-7 * a), None
    return ad.scan(step, (x[0], x[1]), length=400_000_000)[0][0]


def time_of(f, *args):
    start = time.perf_counter()
    f(*args)
    return time.perf_counter() - start


@pytest.mark.parametrize("sweep", ["value", "forward", "reverse", "tangent", "gradient", "compiled gradient"])
def test_a_sweep_ends_between_two_steps(sweep, soon):
    x = np.linspace(0.1, 1.0, N)
    tape = ad.record(many_arrays, x)
    tape.forward(x)
    if sweep.startswith("compiled"):
        tape.compile()
    call = {"value": lambda: tape(x), "forward": lambda: tape.forward(x), "reverse": lambda: tape.reverse(1.0),
            "tangent": lambda: tape.tangent(x)}.get(sweep, lambda: tape.gradient(x))
    want = call()
    whole = time_of(call)
    start = time.perf_counter()
    with pytest.raises(Interrupt):       # of one sweep, which does not come to its end
        soon(0.3 * whole)
        call()
    assert time.perf_counter() - start < 0.9 * whole + 0.05
    again = call()
    assert again is None or np.array_equal(again, want)


@pytest.mark.parametrize("compiled", [False, True])
def test_a_scan_ends_between_two_steps(compiled, soon):
    tape = ad.record(long_scan, np.array([1.0, 2.0]))
    if compiled:
        tape.compile()
    with pytest.raises(Interrupt):       # of one sweep, which would take a second
        soon(0.1)
        tape(np.array([1.0, 2.0]))


def test_other_threads_go_on(soon):
    """Signals are the main thread's: a sweep in another one is not ended by its looking for them."""
    x, results = np.linspace(0.1, 1.0, N), []
    tape = ad.record(many_arrays, x)
    tape.compile()
    want = tape(x)

    def work():
        results.extend([tape(x) for _ in range(3)])
    thread = threading.Thread(target=work)
    thread.start()
    with pytest.raises(Interrupt):
        soon(0.2)
        while True:
            time.sleep(0.05)
    thread.join()
    assert results == [want] * 3


def test_a_handler_may_sweep_the_same_tape():
    x, inner = np.linspace(0.1, 1.0, N), []
    tape = ad.record(many_arrays, x)
    tape.compile()
    want = tape(x)
    before = signal.signal(signal.SIGALRM, lambda *_: inner.append(tape(x)))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.5 * time_of(tape, x))
        while not inner:
            assert tape(x) == want
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert inner == [want] and tape(x) == want
