"""Forward models that were not written for fastad, held to plain NumPy.

Owns: what is asked of each model in tests/models (values at three points, derivatives against the complex step or
differences, forward against reverse, second derivatives, the number of recordings) and what an error has to say.
Next: tests/models/__init__.py (the register), tests/complex_numpy.py (the complex step through unmodified code).
"""
import warnings
import zlib

import numpy as np
import pytest

import fastad as ad
from fastad.trees import flatten, unflatten
from tests.complex_numpy import complex_step
from tests.models import load

MODELS, REFUSED = load()
every_model = pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)


# ---- points and results as vectors -----------------------------------------------------------------------------------

def moved(model, rng, size):
    """The arguments, every float in them changed by at most `size` of itself."""
    leaves, tree = flatten(model.args)
    new = []
    for k, x in enumerate(leaves):
        is_float = isinstance(x, float) or (isinstance(x, np.ndarray) and x.dtype == float)
        if is_float and k not in model.fixed:
            x = x * (1 + size * rng.uniform(-1, 1, np.shape(x)))
            x = x if isinstance(x, np.ndarray) else float(x)
        new.append(x)
    return unflatten(tree, new)


def vector(result):
    return np.concatenate([np.ravel(x) for x in flatten(result)[0]] or [np.zeros(0)])


def along(model, args):
    """The plain function of a flat first argument, and that argument."""
    leaves, tree = flatten(args[0])
    shapes = [np.shape(x) for x in leaves]
    ends = np.cumsum([0] + [int(np.prod(s)) for s in shapes])

    def f(flat):
        parts = [flat[a:b].reshape(s)[()] for a, b, s in zip(ends[:-1], ends[1:], shapes, strict=True)]
        return vector(model.function(unflatten(tree, parts), *args[1:], **model.kwargs))

    return f, vector(args[0]).astype(float)


def matrix(jacobian, outputs):
    """A Jacobian (a tree of arrays, results before arguments) as one matrix."""
    return np.hstack([np.reshape(part, (outputs, -1)) for part in flatten(jacobian)[0]])


def differences(f, x):
    """Central differences of fourth order; the models keep away from kinks by more than the step."""
    columns = []
    for i in range(len(x)):
        h = np.zeros(len(x))
        h[i] = 2e-4 * (abs(x[i]) or 0.05)
        columns.append((8 * (f(x + h) - f(x - h)) - (f(x + 2 * h) - f(x - 2 * h))) / (12 * h[i]))
    return np.array(columns).T


def close(a, b, rtol):
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    assert a.shape == b.shape
    np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * max(1e-30, np.max(np.abs(b), initial=0.0)))


def rng_of(model):
    return np.random.default_rng(zlib.crc32(model.name.encode()))


# ---- every model -----------------------------------------------------------------------------------------------------

@every_model
def test_values(model):
    """Replays at other points are what NumPy computes there; an explicit tape may refuse, a verb records again."""
    rng = rng_of(model)
    tape = ad.record(model.function, *model.args, **model.kwargs)
    points = [model.args] + [moved(model, rng, model.spread) for _ in range(2)]
    for k, args in enumerate(points):
        expected = model.function(*args, **model.kwargs)
        try:
            found = tape(*args, **model.kwargs)
        except ad.TapeDivergence as error:
            assert model.branches and k > 0 and model.function.__module__.split(".")[-1] in error.location
            found = ad.record(model.function, *args, **model.kwargs)(*args, **model.kwargs)
        assert np.shape(found) == np.shape(expected)
        close(vector(found), vector(expected), 1e-12)


@every_model
def test_derivatives(model):
    """Reverse equals forward, and both equal the complex step (or differences) of the plain code."""
    rng = rng_of(model)
    reverse = ad.jacobian(model.function, mode="reverse")
    forward = ad.jacobian(model.function, mode="forward")
    for args in (model.args, moved(model, rng, model.spread)):
        f, x = along(model, args)
        outputs = len(f(x))
        J = matrix(reverse(*args, **model.kwargs), outputs)
        close(J, matrix(forward(*args, **model.kwargs), outputs), 1e-10)
        if model.analytic:
            close(J, complex_step(f, x), 1e-9)
        else:
            close(J, differences(f, x), 2e-6)


@pytest.mark.parametrize("model", [m for m in MODELS if m.smooth], ids=lambda m: m.name)
def test_hessian_products(model):
    """Forward over reverse equals differences of gradients, of a weighted sum of the results."""
    rng = rng_of(model)
    weights = rng.uniform(0.5, 1.5, len(vector(model.function(*model.args, **model.kwargs))))

    def scalar(tree, *rest):
        return np.sum(weights * np.ravel(model.function(tree, *rest, **model.kwargs)))

    leaves, tree = flatten(model.args[0])
    direction = [np.asarray(x) * rng.uniform(-1, 1, np.shape(x)) for x in leaves]
    product = ad.hvp(scalar)(model.args[0], unflatten(tree, [d[()] for d in direction]), *model.args[1:])
    gradient = ad.grad(scalar)

    def at(t):
        shifted = [(x + t * d)[()] for x, d in zip(leaves, direction, strict=True)]
        return vector(gradient(unflatten(tree, shifted), *model.args[1:]))

    h = 1e-4
    expected = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)
    scale = np.max(np.abs(at(0.0))) + np.max(np.abs(expected))
    np.testing.assert_allclose(vector(product), expected, rtol=1e-5, atol=1e-6 * scale)


@every_model
def test_recordings(model):
    """Twenty steps with other data: one recording, except where Python itself decides."""
    rng = rng_of(model)
    f = ad.jacobian(model.function, mode="reverse")
    f.clear()                            # callables of one function share its tapes
    for _ in range(20):
        f(*moved(model, rng, model.spread), **model.kwargs)
    stats = f.stats()
    assert stats.recordings == 1 or model.branches, (stats, ad.explain(f))
    assert stats.recordings + stats.replays == 20


def test_modes_of_a_jacobian_are_compiled_apart():
    """A square Jacobian in both modes of one function, beyond the calls after which it is compiled."""
    def f(x):
        return np.array([x[0]**2 * x[1], 3 * x[0]])

    exact = np.array([[6.0, 1.0], [3.0, 0.0]])
    for mode in ("forward", "reverse") * 2:
        jacobian = ad.jacobian(f, mode=mode)
        for _ in range(10):
            close(jacobian(np.array([1.0, 3.0])), exact, 1e-12)


def test_how_many_record(capsys):
    """Of all programs here, those that are refused among them: how many record, and none of them wrongly."""
    right, wrong = [], []
    for case in [*MODELS, *REFUSED]:
        kwargs = getattr(case, "kwargs", {})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found = ad.record(case.function, *case.args, **kwargs)(*case.args, **kwargs)
            except (ad.AdError, TypeError):
                continue                 # what it says is asked below
            expected = vector(case.function(*case.args, **kwargs))
        same = np.allclose(vector(found), expected, rtol=1e-12, atol=1e-12 * np.max(np.abs(expected)))
        (right if same else wrong).append(case.name)
    total = len(MODELS) + len(REFUSED)
    with capsys.disabled():
        print(f" recorded {len(right)} of {total} programs ({100 * len(right) / total:.1f} %), {len(wrong)} wrong; "
              f"{len(REFUSED)} are there to be refused")
    assert not wrong and len({m.name for m in MODELS}) == len(MODELS)
    assert {m.name for m in MODELS} <= set(right) and len(MODELS) >= 320


def test_the_table_of_programs_is_not_made_of_one_field():
    fields = {m.function.__module__ for m in MODELS}
    assert len(fields) >= 24


# ---- what cannot be recorded -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("case", REFUSED, ids=lambda c: c.name)
def test_refusals_are_loud(case):
    """It works in NumPy; recording it is an error at that line with a remedy; NumPy is as before."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert np.isfinite(case.function(*case.args))
        with pytest.raises((ad.AdError, TypeError), match=case.says) as error:
            ad.grad(case.function)(*case.args)
        assert "refusals.py:" in str(error.value) or not isinstance(error.value, ad.AdError)
        assert np.isfinite(case.function(*case.args))
