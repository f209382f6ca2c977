"""Every kind of NumPy indexing, reading and writing: constant keys, traced integers, traced masks."""
import numpy as np
import pytest
from recorder import check_replay, record, zeros

import fastad as ad
from fastad import _tape as T
from fastad.errors import TapeDivergence, TracerError

X0 = np.random.default_rng(1).normal(size=(4, 5))
X1 = np.random.default_rng(2).normal(size=(4, 5))
MASK = np.array([True, False, True, True])
GRID = np.arange(20).reshape(4, 5) % 3 == 0

KEYS = [
    0, -1, (1, 2), (-1, -2), slice(None), slice(1, 3), slice(None, None, -1), slice(3, 0, -2), (slice(None), 1),
    (slice(1, None), slice(None, None, 2)), Ellipsis, (Ellipsis, 0), (0, Ellipsis), None, (None, 1),
    (slice(None), None),
    (1, None, 2), [0, 2], [0, 0, 3], ([0, 1], [1, 2]), ([[0, 1], [2, 3]], 1), (slice(None), [1, 1, 4]),
    (slice(1, 3), [0, 2]), ([0, 1], slice(None), None), (np.array([2, 0]),), np.array([-1, -2]), MASK, GRID,
    (MASK, 1), (MASK, slice(1, 3)), (slice(None), np.array([True, False, True, False, True])),
    (np.int64(1), np.int64(2)),
    (1, [0, 3]), ([0, 1], None, [2, 3]), (Ellipsis, None), (np.array(1), 2), True, (0, slice(0, 0)), [],
]


def ident(key):
    return str(key).replace("\n", "")


@pytest.mark.parametrize("key", KEYS, ids=ident)
def test_read(key):
    check_replay(lambda x: x[key] * 1.0, X0, X1)


@pytest.mark.parametrize("key", KEYS, ids=ident)
@pytest.mark.parametrize("value", ["number", "traced", "part", "read"])
def test_write(key, value):
    def f(x):
        y = x * 2.0
        if value == "number":
            y[key] = 7.5
        elif value == "traced":
            y[key] = x[3, 4] * 3.0
        elif value == "part":
            y[key] = y[key] * 2.0 + 1.0
        else:
            y[key] += x[0, 0]
        return [y, y[1:, ::2] * 1.0, y[2, 3] * 1.0]

    check_replay(f, X0, X1)


@pytest.mark.parametrize("key", KEYS, ids=ident)
def test_write_into_plain(key):
    def with_zeros(make):
        def f(x):
            y = make((4, 5))
            y[key] = x[key] * x[0, 0]
            return [y * 1.0, y.T[1] * 1.0]
        return f

    check_replay(with_zeros(zeros), X0, X1, plain=with_zeros(np.zeros))


@pytest.mark.parametrize("view", [lambda y: y.T, lambda y: y[::-1], lambda y: y[1:, 1:], lambda y: y.T[::2],
                                  lambda y: y[:, None], lambda y: y[2]])
def test_views_write_through(view):
    def f(x):
        y = x + 0.0
        v = view(y)
        v *= 3.0
        v[0] = v[-1] * 2.0
        y[0, 0] = 1.0
        return [y, v * 1.0]

    check_replay(f, X0, X1)


def test_overlapping_write_reads_before_it_writes():
    def f(x):
        y = x[0] * 1.0
        y[1:] = y[:-1]
        y[:-1] += y[1:]
        y[::-1] = y
        return y

    check_replay(f, X0, X1)


def test_element_written_is_the_element_read():
    """y[i] = s; y[i - 1] is the same SSA value: no instruction between."""
    def f(x):
        y = zeros(50)
        y[0] = x[0, 0]
        for i in range(1, 50):
            y[i] = y[i - 1] * 2.0
        return y[49] * 1.0

    tape, _ = record(f, X0)
    names = [tape.instruction(i)[0] for i in range(1, len(tape) + 1)]
    assert "stack" not in names
    assert names.count("multiply") == 50
    assert len(names) == 50 + 5          # the input, flat, and its element, the constants 2 and 1


def test_filling_is_linear():
    """n element writes and a use of the whole give one stack, not n array copies."""
    def f(x):
        y = zeros(1000)
        for i in range(1000):
            y[i] = x[0, 0] * float(i)
        return y * 2.0

    tape, _ = record(f, X0)
    names = [tape.instruction(i)[0] for i in range(1, len(tape) + 1)]
    assert names.count("stack") == 1
    assert "write" not in names


def test_in_place_update_of_a_slice_writes_once():
    """y[1:] += v calls __iadd__ on the view and then stores the view into itself."""
    def f(x):
        y = x * 2.0
        y[1:, ::2] += x[0, 0]
        return y

    tape = check_replay(f, X0, X1)
    assert [tape.instruction(i)[0] for i in range(1, len(tape) + 1)].count("write") == 1


def test_row_writes_share_memory():
    """Writing a trajectory row by row is linear: the sweep writes in place."""
    n = 300

    def f(x):
        y = zeros((n, 5))
        y[0] = x[0]
        for i in range(1, n):
            y[i] = y[i - 1] * 0.99
        return y[n - 1] * 1.0

    def plain(x):
        return x[0] * np.prod([1.0]) if n == 1 else _trajectory(x, n)

    tape = check_replay(f, X0, X1, plain=plain)
    assert tape.arena_bytes < 40 * n * 5 * 8     # not n copies of the (n, 5) array


def _trajectory(x, n):
    y = np.zeros((n, 5))
    y[0] = x[0]
    for i in range(1, n):
        y[i] = y[i - 1] * 0.99
    return y[n - 1] * 1.0


# ---- traced keys: recomputed at each replay, no guard ---------------------------------------------------------------
def order(x):
    """Traced integers: how many elements of row 0 are below each element."""
    return T.structural("argsort", (x[0] * 1.0,), T.Axis(1, 5, 1), (5,), 1) if T.is_traced(x) else np.argsort(x[0])


def at(x, k):
    i = order(x)
    return i[k]


DYNAMIC = [
    lambda x: x[0, at(x, 0)], lambda x: x[at(x, 1) - 5 + 1 - 1, 2] if False else x[1, at(x, 2)],
    lambda x: x[1][order(x)], lambda x: x[:, order(x)], lambda x: x[1:3, order(x)], lambda x: x[order(x) % 4],
    lambda x: x[order(x) % 4, order(x)], lambda x: x[[0, 1, 2, 3, 0], order(x)], lambda x: x[2, order(x) - 5],
    lambda x: x.T[order(x)], lambda x: x[None, 1, order(x)], lambda x: x[order(x)[:4] % 4, None, 1:3],
]


@pytest.mark.parametrize("k", range(len(DYNAMIC)))
def test_traced_integers_read(k):
    tape = check_replay(lambda x: DYNAMIC[k](x) * 1.0, X0, X1)
    assert tape.guard_info == []


def write_row(y, x):
    y[1, order(x)] = x[2]


def write_duplicates(y, x):
    y[order(x) % 2] = x[[0, 1, 2, 3, 0]]


def write_scalar(y, x):
    y[0, at(x, 3)] = x[1, 1] * 5.0


def write_add(y, x):
    y[order(x) % 4, order(x)] += x[3]


def write_mask(y, x):
    y[x > 0.2] = 1.5


def write_mask_traced(y, x):
    y[y < x[0, 0]] = x[1, 1]


@pytest.mark.parametrize("write", [write_row, write_duplicates, write_scalar, write_add, write_mask, write_mask_traced])
def test_traced_keys_write(write):
    def f(x):
        y = x * 2.0
        write(y, x)
        return [y, y[1] * 1.0]

    tape = check_replay(f, X0, X1)
    assert tape.guard_info == []


def test_mask_read_guards_its_count_only():
    def f(x):
        return x[x > 0] * 2.0

    x1 = X0[::-1].copy()                 # the same number of positive elements elsewhere
    tape = check_replay(f, X0, x1)
    assert len(tape.guard_info) == 1
    with pytest.raises(TapeDivergence, match="test_indexing.py"):
        tape.sweep([np.abs(X0)])


def test_traced_index_to_a_view_is_guarded():
    """x[i, 1:] is a view in NumPy: its place must be fixed, so that a write through it is a write to x."""
    def f(x):
        y = x * 1.0
        row = y[at(x, 0) % 4, 1:]
        row *= 2.0
        return y

    tape, concrete = record(f, X0)
    assert len(tape.guard_info) == 1
    assert np.array_equal(tape.sweep([X0])[0], concrete[0])


def test_out_of_bounds():
    with pytest.raises(IndexError):
        record(lambda x: x[4], X0)
    with pytest.raises(IndexError):
        record(lambda x: x[0, -6], X0)
    with pytest.raises(IndexError):
        record(lambda x: x[0][order(x) + 1], X0)


def test_traced_index_out_of_bounds_at_replay():
    def f(x):
        return x[0][T.astype(x[1, :2] * 1.0, int)]

    x0, x1 = np.abs(X0), np.abs(X0)
    x0[1], x1[1] = 1.0, 9.0
    tape, _ = record(f, x0)
    with pytest.raises(IndexError, match="out of bounds"):
        tape.sweep([x1])


def test_foreign_memory_is_refused():
    outside = np.zeros((4, 5))
    with pytest.raises(TracerError, match="test_indexing.py"):
        record(lambda x: outside.__setitem__(0, x[0]), X0)
    with pytest.raises(TracerError):
        record(lambda x: outside.__setitem__((0, 0), x[0, 0]), X0)
    captured = T.make_plain(outside, captured=True)
    with pytest.raises(TracerError, match="outside"):
        record(lambda x: captured.__setitem__(0, x[0]), X0)
    assert not outside.any()


def by_flags(p):
    """Bools that are traced numbers as indices: each is an axis of one element or of none."""
    s = np.outer(p, p)
    s[p[0] > 0.3] = p
    s[p[1] > 5.0] = 7.0
    s[p[0] > 0.3, 1] += 2.0 * p
    s[p[0] > 0.25] *= 1.5
    s[..., p[2] > 0.1] += 1.0
    y = np.array(p[0])
    y[y > 0.3] = p[1]
    return np.sum(s * s) + y + 2.0 * p[p[0] > 0.3].sum() + s[p[1] > 5.0].size


def by_flags_of_steps(p):
    def step(s, k):
        s[k == 2] = p
        s[k > 2] = 0.5
        return s * s, s
    return np.sum(ad.scan(step, p, np.arange(4))[1] ** 2)


@pytest.mark.parametrize("f", [by_flags, by_flags_of_steps])
def test_bools_as_indices(f):
    x, v, g = np.array([0.4, 0.7, 1.1]), np.array([1.0, -2.0, 0.5]), ad.value_and_grad(f)
    for point in x, 0.6 * x, 10.0 * x, x:
        value, gradient = g(point)
        assert value == f(point)
        slope = (f(point + 1e-6 * v) - f(point - 1e-6 * v)) / 2e-6
        np.testing.assert_allclose(gradient @ v, slope, rtol=1e-7)


def test_bools_as_indices_that_do_not_fit():
    for f in (lambda p: place(p * 1.0, p[0] > 0.0, np.ones(2)),
              lambda p: place(np.outer(p, p)[:1], p[0] > 0.0, np.ones((2, 3)))):
        for g in f, ad.grad(f):
            with pytest.raises(ValueError, match="broadcast"):
                g(np.ones(3))
    with pytest.raises(ad.UnsupportedError, match=r"np.where\(flag"):
        ad.grad(lambda p: np.sum(place(p * 1.0, (np.argmax(p), p[0] > 0.0), 2.0) * p))(np.ones(3))


def place(array, key, value):
    array[key] = value
    return array
