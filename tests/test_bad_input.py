"""Bad input, row by row of the design's table: right, or an error that says what to do.

Next: test_stale_index.py and test_state.py (what changes behind a tape), test_compiled_callers.py, test_serialize.py.
"""
import collections
import copy
import os
import pickle
import signal
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastad as ad
from fastad import function, interception, scipy_doors

X = np.array([1.0, 2.0, 3.0])
ORIGINALS = np.zeros, np.array, np.errstate


def squares(x):
    return (x**2).sum()


@pytest.fixture(autouse=True)
def numpy_is_as_before():
    yield
    assert (np.zeros, np.array, np.errstate) == ORIGINALS
    assert not ad._tape.recordings()


# ---- what f returns --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("f", "text"), [
    (lambda x: None, "returned None"), (lambda x: "text", "str 'text'"), (lambda x: {"a": None}, "dict"),
    (lambda x: 3.0, "plain value"), (lambda x: x, r"array of shape \(3,\).*ad.jacobian"),
    (lambda x: [x[0]], "container"), (lambda x: x.argmax(), "int64, which has no derivative"),
    (lambda x: (x > 0).any(), "bool, which has no derivative"), (lambda x: (v for v in x), "generator"),
])
@pytest.mark.parametrize("verb", [ad.grad, ad.value_and_grad, ad.hessian])
def test_what_f_returns(f, text, verb):
    with pytest.raises(ad.DerivativeError, match=text) as caught:
        verb(f)(X)
    assert "test_bad_input.py:" in str(caught.value)
    assert "no derivative" in text or "ad.jacobian" in str(caught.value)


class Interrupt(BaseException):
    """What Ctrl-C raises, but not taken for one by pytest."""


LOCKS = [interception._lock, scipy_doors._lock, function.lock]


def other_thread_can_take(lock):
    """A lock that Ctrl-C left behind does not stop its own thread where it is reentrant, but all others, for good."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: lock.acquire(timeout=0.5) and not lock.release()).result()


def test_ctrl_c_at_any_moment():
    """Also while NumPy's names are being replaced or restored, before f runs, and while locks are held."""
    def interrupt(*_):
        raise Interrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    draw = np.random.default_rng(5)
    g, hits = ad.grad(lambda x: np.sin(x[:1] * np.ones(1)).sum()), 0
    g(X)                                 # what is imported in the first call is not what is interrupted here
    try:
        for _ in range(400):
            try:
                signal.setitimer(signal.ITIMER_REAL, draw.uniform(1e-4, 1.5e-3), 1.0)    # again if one was lost
                while True:
                    g.clear()
                    g(X)
            except Interrupt:
                signal.setitimer(signal.ITIMER_REAL, 0)
                hits += 1
            assert all(other_thread_can_take(lock) for lock in LOCKS)
            assert not ad._tape.recordings() and (np.zeros, np.array, np.errstate) == ORIGINALS
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert hits == 400


class Result:
    def __init__(self, value):
        self.value = value


@pytest.mark.parametrize("holder", [lambda v: collections.deque([v]), Result, lambda v: collections.Counter(a=v),
                                    lambda v: {"a": Result([v])}])
def test_no_traced_value_leaves_in_an_object(holder):
    """It would be that of the recording, at every replay."""
    with pytest.raises(ad.DerivativeError, match="holds values computed from the arguments"):
        ad.record(lambda x: (x[0], holder(x[1])), X)
    assert ad.record(lambda x: (x[0], Result(3.0)), X)(X)[1].value == 3.0


def test_dicts_of_collections():
    tape = ad.record(lambda x: collections.OrderedDict(b=x, a=x[0]), X)
    assert type(tape(X)) is collections.OrderedDict and list(tape(2 * X)) == ["b", "a"] and tape(2 * X)["a"] == 2.0
    gradient = ad.grad(lambda d: d["a"]**2 + d["missing"])(collections.defaultdict(float, a=3.0))
    assert gradient == {"a": 6.0} and gradient.default_factory is float


# ---- arguments at replay ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("x", "text"), [
    (np.ones(4), r"\(4,\).*\(3,\)"), (np.ones((3, 1)), r"\(3, 1\)"), (1j * X, "complex128.*float64"),
    (None, "NoneType"),
    ("abc", "str"), (np.ma.array(X, mask=[0, 1, 0]), "MaskedArray"), (np.array([1, "a", 3], object), "object"),
])
def test_arguments_at_replay(x, text):
    tape = ad.record(squares, X)
    with pytest.raises(ad.ShapeError, match=text):
        tape(x)
    assert tape(X) == 14.0


def test_a_refused_point_is_no_point():
    tape = ad.record(lambda x, y: (x * y).sum(), X, X)
    tape.forward(X, X)
    with pytest.raises(ad.ShapeError):
        tape.forward(2 * X, np.ones(4))
    with pytest.raises(ad.AdError, match="forward"):
        tape.reverse(1.0)


@pytest.mark.parametrize("w", ["a", None, np.ones(2), 1j])
def test_seeds(w):
    tape = ad.record(squares, X)
    tape.forward(X)
    with pytest.raises(ad.ShapeError, match="seed"):
        tape.reverse(w)


@pytest.mark.parametrize("w", [1j * X, np.array([1, 2, "a"], object), "a"])
def test_adjoints_of_a_pullback(w):
    _, pullback = ad.vjp(lambda x: 2 * x, X)
    with pytest.raises(ad.ShapeError):
        pullback(w)


@pytest.mark.parametrize(("argnums", "error"), [("a", TypeError), (1.5, TypeError), ((0, 0), ad.DerivativeError),
                                                (5, ad.DerivativeError)])
def test_argnums(argnums, error):
    with pytest.raises(error, match="argnums"):
        ad.grad(squares, argnums=argnums)(X)
    assert np.array_equal(ad.grad(squares, argnums=np.int64(0))(X), 2 * X)


def test_lists_are_directions():
    assert np.array_equal(ad.hvp(squares)(X, [1, 0, 0]), [2, 0, 0])


def layouts():
    a = np.arange(6.0).reshape(2, 3) + 1
    return {"C": a, "F": np.asfortranarray(a), "F reversed": np.asfortranarray(a)[:, ::-1], "strided": a[:, ::2],
            "permuted": np.arange(24.0).reshape(2, 3, 4).transpose(1, 2, 0), "read-only": np.broadcast_to(a[0], (2, 3)),
            "swapped": a.astype(">f8")}


@pytest.mark.parametrize("layout", layouts())
@pytest.mark.parametrize("order", ["C", "F", "A", "K"])
def test_memory_order_of_arguments(layout, order):
    """x.ravel("K") and x.flatten("A") look at the memory of the caller's array."""
    a = layouts()[layout]
    weights = np.arange(1.0, a.size + 1)

    def f(x):
        return (x.flatten(order) * weights).sum() + (np.ravel(x, order) * weights**2).sum()

    g = ad.value_and_grad(f)
    for x in (a, np.ascontiguousarray(a), a, a):         # one tape does not answer for another layout; audited at 2
        value, gradient = g(x)
        assert value == pytest.approx(f(x), rel=1e-14)
        assert np.vdot(gradient, x) == pytest.approx(f(x), rel=1e-14)    # f is linear
    assert ad.record(f, a)(a) == pytest.approx(f(a), rel=1e-14)


def test_arguments_written_in_place_are_copies():
    """NumPy's own call would write into the caller's array; a recorded function works on a copy of it."""
    def f(x):
        x *= 2
        x[0] = 7.0
        return (x**2).sum()

    x, g = X.copy(), ad.value_and_grad(f)
    for _ in range(5):
        value, gradient = g(x)
        assert value == 101.0 and np.array_equal(gradient, [0, 16, 24]) and np.array_equal(x, X)


# ---- warnings --------------------------------------------------------------------------------------------------------

def test_one_warning_a_sweep_on_the_line_that_calls():
    g = ad.grad(lambda x: np.log(x).sum())
    for _ in range(3):                   # recorded, audited, replayed
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            g(np.array([0.0, 1.0]))
        assert len(caught) == 1 and caught[0].filename == __file__


def test_errstate_around_the_call():
    with np.errstate(all="raise"), pytest.raises(FloatingPointError, match="debug_nonfinite"):
        ad.grad(lambda x: np.log(x).sum())(np.zeros(3))


# ---- escapes ---------------------------------------------------------------------------------------------------------

def test_writes_into_what_escaped():
    kept = []

    def f(x):
        y = x * 2
        kept.append(y)
        return y.sum()

    ad.grad(f)(X)
    for key in (0, slice(1, 3), [0, 1], X > 1):
        with pytest.raises(ad.EscapedTracerError, match=r"test_bad_input.py:\d+.*born in the recording of .*f at"):
            kept[0][key] = 1.0
    assert np.array_equal(ad.peek(kept[0]), 2 * X)


def test_writes_from_another_thread():
    errors = []

    def f(x):
        y = np.zeros(3)
        y[0] = x[0]

        def write():
            try:
                y[1] = 5.0
            except ad.EscapedTracerError as error:
                errors.append(str(error))

        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
        return y.sum()

    assert ad.value_and_grad(f)(X)[0] == 1.0
    assert "from another thread" in errors[0]


# ---- what a traced number is -----------------------------------------------------------------------------------------

def test_traced_numbers_are_of_numpys_classes():
    def f(x):
        n = np.argmax(x)
        ok = isinstance(x[0], float) and isinstance(x[0], np.floating) and isinstance(n, np.integer) \
            and isinstance(x[0] > 0, np.bool_) and not isinstance(n, float)
        match x[1]:
            case float():
                return x[0] if ok else x[1]
        return x[2]

    value, gradient = ad.value_and_grad(f)(X)
    assert value == f(X) == 1.0 and np.array_equal(gradient, [1, 0, 0])


# ---- copies ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("verb", [ad.grad, ad.value_and_grad, ad.jacobian, ad.hessian])
def test_copies_and_pickles(verb):
    g = verb(squares)
    expected = g(X)
    for other in (copy.copy(g), copy.deepcopy(g), pickle.loads(pickle.dumps(g))):
        assert np.array_equal(np.hstack(other(X)), np.hstack(expected))


def test_explain_does_not_blame_arguments_for_another_function():
    def made():
        scale = np.random.default_rng().random()
        return lambda x: scale * x.sum()

    ad.grad(made())(X)
    g = ad.grad(made())
    g(X)
    assert "the first call" in ad.explain(g)


@pytest.mark.parametrize("package", [np, ad])
def test_a_package_whose_name_begins_like_ours_is_user_code(package):
    """site-packages/numpy_models/f.py is no part of site-packages/numpy."""
    file = os.path.join(os.path.dirname(package.__file__) + "_models", "f.py")
    names = {"np": np}
    exec(compile("def f(x):\n    y = np.zeros(2)\n    y[0] = x\n    return float(y[0])\n", file, "exec"), names)
    with pytest.raises(ad.TracerError) as caught:
        ad.grad(names["f"])(2.0)
    assert str(caught.value).startswith(f"{file}:4")


@pytest.mark.parametrize("dtype", [np.uint8, np.int16])
def test_whole_numbers_that_wrap_around_are_found_in_the_first_call(dtype):
    def f(x, k):
        return np.sum(x * (k + k + k))
    small, large = np.array([1, 2], dtype), np.array([200 if dtype is np.uint8 else 20_000, 1], dtype)
    assert ad.grad(f)(np.ones(2), small).tolist() == [3.0, 6.0]
    with pytest.raises(ad.StaleTapeError, match="wrap around"):
        ad.grad(f)(np.ones(2), large)
    assert ad.grad(lambda x, i: np.sum(x[i] ** 2))(np.arange(3.0), np.array([2, 2], np.int32)).tolist() == [0, 0, 8.0]


class Remembers:
    """What is often written for scipy.optimize, which asks for the misfit and for its gradient at the same x."""

    def __init__(self, known):
        self.known, self.x, self.y = known, None, None

    def __call__(self, x):
        if self.x is None or not self.known(self.x, x):
            self.x, self.y = np.array(x), np.cumsum(x**2)
        return self.y.sum() + x @ x


@pytest.mark.parametrize("known", [
    np.array_equal, lambda kept, x: np.all(x == kept), lambda kept, x: (kept == x).all(),
    lambda kept, x: not np.any(x != kept), lambda kept, x: not (kept != x).any(), np.array_equiv])
@pytest.mark.parametrize("verb", [ad.grad, ad.value_and_grad, ad.jacobian, lambda f: lambda x: ad.record(f, x)])
def test_a_result_kept_for_the_same_x_does_not_lose_its_derivative_in_silence(verb, known):
    f = Remembers(known)
    f(X)
    with pytest.raises(ad.DerivativeError, match=r"test_bad_input.*kept for it.*self.x = None"):
        verb(f)(X)
    f.x = None
    if verb is ad.grad:
        np.testing.assert_array_equal(verb(f)(X), 2 * X * np.array([4.0, 3.0, 2.0]))


def test_equal_arrays_that_keep_nothing_are_no_error():
    fixed = np.array([1.0, 2.0, 3.0])

    def f(x):
        y = x * 1.0
        assert np.array_equal(x, y) and not np.array_equal(x, 2 * fixed) and np.array_equal(ad.peek(x), fixed)
        assert np.array_equal(fixed[:2], [1.0, 2.0]) and np.all(np.sign(x) == 1.0) and np.any(x == fixed)
        return (x * y).sum()
    np.testing.assert_array_equal(ad.grad(f)(X), 2 * X)
