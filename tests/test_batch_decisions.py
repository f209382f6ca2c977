"""ad.batch where lanes decide differently, fail, or raise floating-point exceptions: each is what it is alone.

Owns: the proof of groups, of lanes that are computed alone, of errors and warnings.
Must not know: axes, verbs (test_batch.py).
"""
import warnings

import numpy as np
import pytest
from batch_cases import X, agree, branching, rng

import fastad as ad
from fastad.errors import ShapeError


def test_lanes_are_grouped_by_their_decisions():
    b, many = ad.batch(lambda x: branching(x)), rng.normal(size=(1500, 4))
    wanted = np.array([branching(x) for x in many])
    for _ in range(3):
        agree(b(many), wanted)
        many, wanted = many[::-1], wanted[::-1]
    assert (b.stats().recordings, b.stats().alone, b.stats().tapes) == (3, 0, 3)
    text = ad.explain(b)
    assert "a decision went the other way: bool()" in text and "if x[0] > 0:" in text
    gradients = np.stack([ad.grad(branching)(x) for x in many])
    agree(ad.batch(ad.grad(branching))(many), gradients)
    agree(ad.grad(lambda X: np.sum(ad.batch(branching)(X)))(many), gradients)
    agree(ad.grad(lambda X: np.sum(ad.batch(ad.batch(branching))(X)))(many.reshape(3, 500, 4)),
          gradients.reshape(3, 500, 4))


def test_a_gradient_through_groups_is_recorded_again_when_a_lane_changes_its_group():
    g = ad.grad(lambda X: np.sum(ad.batch(branching)(X)))
    for _ in range(3):
        agree(g(X), np.stack([ad.grad(branching)(x) for x in X]))
        X2 = X * np.array([-1.0, 1.0, 1.0, 1.0])
        agree(g(X2), np.stack([ad.grad(branching)(x) for x in X2]))
    assert g.stats().recordings == 2


def test_lanes_that_all_decide_differently_are_computed_one_at_a_time():
    def f(x):
        y = x
        for _ in range(int(np.floor(x * 1000))):
            y = y * 1.01
        return y
    x = rng.permutation(60) / 1000 + 0.0005
    b = ad.batch(f)
    assert np.array_equal(b(x), [f(v) for v in x])
    assert 0 < b.stats().recordings <= 10 and b.stats().alone >= 50
    agree(ad.batch(ad.grad(f))(x), np.array([ad.grad(f)(v) for v in x]))


@pytest.mark.parametrize("value", [0.0, -0.0, np.nan, 1.5])
def test_a_number_that_python_has_looked_at_is_compared_bit_by_bit(value):
    """1 / 0.0 and 1 / -0.0 are equal to nobody else's."""
    def f(x):
        return x + np.copysign(2.0, float(x)) if float(x) == float(x) else x * 0 + 7.0
    lanes = np.array([value, 0.0, -0.0, np.nan, 1.5, value])
    with np.errstate(all="ignore"):
        assert np.array_equal(ad.batch(f)(lanes), [f(v) for v in lanes], equal_nan=True)


def test_a_tape_for_another_number_that_all_lanes_share_costs_little():
    """Its decision is the same in all lanes: that none is served is known without trying each."""
    def f(x, n):
        return x * np.arange(4.0)[int(n)] if n > 0.5 else -x
    b, many = ad.batch(f, (0, None)), rng.normal(size=3000)
    for n in (1.0, 2.0, 0.0, 1.0):
        agree(b(many, n), f(many, n))
    assert (b.stats().recordings, b.stats().alone) == (3, 0) and b.stats().guard_failures < 100


@pytest.mark.parametrize("value", [1.5, 0.0, np.inf])
def test_guards_in_single_precision(value):
    lanes = np.array([value, -0.0, 0.0, 1.5, np.nan, value], dtype=np.float32)
    f = lambda x: x + np.float32(np.copysign(2.0, float(x)))  # noqa: E731
    assert np.array_equal(ad.batch(f)(lanes), [f(v) for v in lanes], equal_nan=True)
    assert ad.batch(f)(lanes).dtype == np.float32


def test_what_foreign_code_is_given_is_guarded():
    table = {1.0: 10.0, 2.0: 20.0}
    f = lambda x: x * table[float(x)]  # noqa: E731
    agree(ad.batch(f)(np.array([1.0, 2.0, 1.0])), np.array([10.0, 40.0, 10.0]))


def test_an_error_of_one_lane_is_that_of_the_function_and_names_the_lane():
    def f(x):
        if x[0] > 2:
            raise ValueError("too large")
        return np.linalg.solve(np.array([[x[0], 1.0], [1.0, x[1]]]), x[:2]).sum()
    lanes = np.ones((30, 2)) * [1.5, 0.5]
    lanes[17] = [1.0, 1.0]
    for compute in (ad.batch(f), lambda X: ad.grad(lambda X: np.sum(ad.batch(f)(X)))(X)):
        with pytest.raises(np.linalg.LinAlgError) as singular:
            compute(lanes)
    lanes[17] = [3.0, 1.0]
    with pytest.raises(ValueError, match="too large") as error:
        ad.batch(f)(lanes)
    assert error.value.__notes__ == ["(in lane 17 of a batch)"]
    with pytest.raises(np.linalg.LinAlgError) as singular:
        ad.batch(f)(np.ones((30, 2)))
    assert "lane 0" in str(singular.value.__notes__)
    with pytest.raises(IndexError):
        ad.batch(lambda x, n: x[n])(lanes, np.array([0] * 29 + [5]))


def test_shapes_that_depend_on_the_lane():
    with pytest.raises(ShapeError, match="which make no array"):
        ad.batch(lambda x: x[x > 0])(X)
    assert ad.batch(lambda x: np.sum(x[x > 0]))(X).shape == (13,)
    with pytest.raises(ShapeError, match="different structure"):
        ad.batch(lambda x: (x[0], x[1]) if x[0] > 0 else x)(X)
    b = ad.batch(lambda x: x if x[0] > 0 else x[:2])         # tapes of other lanes say nothing of these
    assert b(np.abs(X)).shape == (13, 4) and b(-np.abs(X)).shape == (13, 2) and b(np.abs(X)).shape == (13, 4)


# ---- floating-point exceptions ---------------------------------------------------------------------------------------

def test_a_nan_stays_in_its_lane_and_warns_once():
    lanes = np.abs(rng.normal(size=(3000, 4))) + 0.1
    lanes[[7, 2500]] = -1.0
    f = lambda x: np.sum(np.log(x))  # noqa: E731
    b = ad.batch(f)
    for _ in range(2):
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            y = b(lanes)
        assert np.flatnonzero(np.isnan(y)).tolist() == [7, 2500]
        assert [w.category for w in seen] == [RuntimeWarning] and "invalid value" in str(seen[0].message)
        assert seen[0].filename == __file__
    with np.errstate(all="raise"), pytest.raises(FloatingPointError):
        b(lanes)
    with np.errstate(all="ignore"):
        g = ad.batch(ad.grad(f))(lanes)
    assert np.isfinite(np.delete(g, [7, 2500], axis=0)).all()


def test_derivative_code_is_silent():
    agree(ad.batch(ad.grad(lambda x: np.sum(np.sqrt(x) * 0 + x)))(np.zeros((3, 2))), np.ones((3, 2)))
    agree(ad.batch(ad.hessian(lambda x: np.sum(np.where(x > 0, np.sqrt(x), x))))(np.zeros((3, 2))), np.zeros((3, 2, 2)))


def test_the_branch_that_a_lane_does_not_take_is_silent():
    f = lambda x: np.log(x) if x > 0 else x * 1.0  # noqa: E731
    lanes = np.array([1.0, -1.0, 2.0, 0.0] * 200)
    agree(ad.batch(f)(lanes), np.array([f(x) for x in lanes]))


