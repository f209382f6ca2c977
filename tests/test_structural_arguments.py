"""Arguments that say where elements go (positions, counts, axes, widths) and are traced, or arrays of the user's.

Owns: that a tape holds only for the values with which it was recorded, in loops as well; `settled` in movers.py.
Must not know: traced positions that are computed anew (np.take, x[k]: test_indexing.py).
"""
import numpy as np
import pytest

import fastad as ad

X = np.array([0.4, 0.7, 1.1, 0.2, 0.9])          # the largest: 2
Y = np.array([0.4, 0.7, 0.1, 1.2, 0.9])          # 3
Z = np.array([0.3, 0.5, 1.2, 0.6, 1.0])          # 2 again
PLACES = np.array([1, 2])


def square(u):
    return np.outer(u, u)


BY_NUMBER = {
    "delete": lambda u, k: np.delete(u, k), "delete two": lambda u, k: np.delete(u, np.array([k, 0])),
    "delete a column": lambda u, k: np.delete(square(u), k, axis=1),
    "insert": lambda u, k: np.insert(u, k, 1.0), "insert two": lambda u, k: np.insert(u, np.array([k, 0]), [1.0, 2.0]),
    "insert a column": lambda u, k: np.insert(square(u), k, u, axis=1),
    "split": lambda u, k: np.array_split(u, np.array([k]))[0], "tile": lambda u, k: np.tile(u, k),
    "tile both": lambda u, k: np.tile(u, (k, 2)), "resize": lambda u, k: np.resize(u, k),
    "pad": lambda u, k: np.pad(u, k), "pad sides": lambda u, k: np.pad(u, (k, 1), mode="edge"),
    "repeat": lambda u, k: np.repeat(u, k),
    "roll": lambda u, k: np.roll(square(u), (k, 1), axis=(0, 1)), "diagonal": lambda u, k: np.diag(square(u), k),
    "append": lambda u, k: np.append(square(u), square(u), axis=k - 2),
    "stack": lambda u, k: np.stack([u, 2.0 * u], axis=k - 2), "histogram": lambda u, k: np.histogram(u, k)[0] * u[0],
    "bincount": lambda u, k: np.bincount([0, 1], minlength=k) * u[0],
    "weights": lambda u, k: np.bincount(np.array([0, 1]), weights=np.array([1.0, 2.0]), minlength=k) * u[0],
    "shift": lambda u, k: np.fft.fftshift(square(u), axes=k - 2),
}
BY_ARRAY = {
    "delete those above": lambda u, k: np.delete(u, u > 0.8),
    "delete the smallest": lambda u, k: np.delete(u, np.argsort(u)[:2]),
    "repeat by order": lambda u, k: np.repeat(u, np.argsort(u)),
}


def weighed(run):
    """A number that depends on where elements are."""
    def f(u):
        y = np.ravel(run(u, np.argmax(u)))
        return np.sum(y * np.arange(1.0, y.size + 1.0)) + u[0]
    return f


@pytest.mark.parametrize("name", [*BY_NUMBER, *BY_ARRAY])
def test_a_tape_is_of_the_places_with_which_it_was_recorded(name):
    f = weighed((BY_NUMBER | BY_ARRAY)[name])
    for start, other in (X, Y), (Y, X), (X, Y):                  # (a second recording finds maps that are kept)
        tape = ad.record(f, start)
        np.testing.assert_allclose(tape(start), f(start), rtol=1e-14)
        try:
            found = tape(other)
        except ad.TapeDivergence:
            found = f(other)
        np.testing.assert_allclose(found, f(other), rtol=1e-14)
    v, g = np.array([1.0, -2.0, 0.5, 0.7, -0.3]), ad.value_and_grad(f)
    for point in X, Y, Z:
        value, gradient = g(point)
        np.testing.assert_allclose(value, f(point), rtol=1e-14)
        np.testing.assert_allclose(gradient @ v, (f(point + 1e-6 * v) - f(point - 1e-6 * v)) / 2e-6, rtol=1e-6)


@pytest.mark.parametrize("name", ["insert", "delete", "roll", "tile both"])
def test_places_that_change_in_a_loop_are_refused(name):
    def f(u):
        return np.sum(ad.scan(lambda s, k: (s, np.ravel(BY_NUMBER[name](s, k + 0 * k))[:3]), u, np.arange(1, 4))[1])
    with pytest.raises(ad.UnsupportedError, match="goes another way in a later step"):
        ad.grad(f)(X)


@pytest.mark.parametrize("run", [
    lambda u: np.delete(u, PLACES), lambda u: np.insert(u, PLACES, 5.0), lambda u: np.repeat(u[:2], PLACES),
    lambda u: np.split(u, PLACES)[1], lambda u: np.tile(u, PLACES), lambda u: np.pad(u, PLACES),
    lambda u: np.take_along_axis(square(u), PLACES[:, None], 0), lambda u: np.roll(square(u), PLACES, (0, 1))])
def test_places_of_the_users_are_watched_by_tapes(run):
    def f(u):
        y = np.ravel(run(u))
        return np.sum(y * np.arange(y.size))
    tape, before = ad.record(f, X), PLACES.copy()
    assert tape(Y) == pytest.approx(f(Y), rel=1e-14)
    try:
        PLACES[:] = 0, 3
        with pytest.raises(ad.TapeDivergence, match="an index array"):
            tape(Y)
    finally:
        PLACES[:] = before


def test_axes_of_a_shift_may_be_numbers_of_numpy():
    f = ad.jacobian(lambda u: np.fft.fftshift(square(u), axes=np.int64(1)))
    np.testing.assert_array_equal(f(X), ad.jacobian(lambda u: np.roll(square(u), 2, axis=1))(X))
