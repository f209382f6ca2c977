"""Captured state is never stale: what a recorded function reads besides its arguments is followed, or it is an error.

Owns: the watch and the audit through the verbs.  Must not know: how derivatives are computed; each gradient here is
known in closed form.  Next: test_watch.py.
"""
import functools
import random
import types

import numpy as np
import pytest

import fastad as ad
from fastad.audits import Audit
from fastad.state import Watch

lam = 1.0
weights = np.ones(3)
params = types.ModuleType("params")
params.lam = 1.0
table = {"a": 1.0, "nested": [1.0, {"b": 2.0}]}
calls = 0
x3 = np.array([1.0, 2.0, 3.0])


def recordings(g):
    return g.stats().recordings


def check(g, x, expected, count=None):
    np.testing.assert_allclose(g(x), expected, rtol=1e-12)
    if count is not None:
        assert recordings(g) == count


@pytest.fixture(autouse=True)
def fresh_globals():
    """Each test begins with the same globals, and leaves them so."""
    global lam, weights, params, table, calls
    lam, weights, calls = 1.0, np.ones(3), 0
    params.lam = 1.0
    table = {"a": 1.0, "nested": [1.0, {"b": 2.0}]}


# ---- scalars: regularisation cooling ---------------------------------------------------------------------------------

def test_cooling_by_a_global():
    global lam
    g = ad.grad(lambda x: lam * (x**2).sum())
    for count in range(1, 5):
        for _ in range(3):
            check(g, x3, 2 * lam * x3, count)
        lam *= 0.5


def test_cooling_by_a_closure_variable():
    beta = 1.0

    def f(x):
        return beta * (x**2).sum()
    g = ad.grad(f)
    check(g, x3, 2 * x3, 1)
    beta = 0.25
    check(g, x3, 0.5 * x3, 2)
    check(g, x3, 0.5 * x3, 2)


class Inversion:
    scale = 1.0

    def __init__(self):
        self.beta = 1.0
        self.data = np.array([1.0, 0.0, -1.0])
        self.history = []

    def misfit(self, m):
        return self.beta * self.norm(m - self.data)

    def norm(self, r):
        return self.scale * (r**2).sum()

    def note(self):
        self.history.append(self.beta)


def test_attributes_of_self():
    inversion = Inversion()
    g = ad.grad(inversion.misfit)
    check(g, x3, 2 * (x3 - inversion.data), 1)
    inversion.beta = 0.5
    check(g, x3, x3 - inversion.data, 2)
    inversion.data = np.zeros(3)
    check(g, x3, x3, 3)
    inversion.data[1] = 5.0
    check(g, x3, x3 - [0, 5, 0])
    inversion.scale = 4.0
    check(g, x3, 4 * (x3 - [0, 5, 0]))
    before = recordings(g)
    inversion.note()                     # no code that misfit reaches names the history
    check(g, x3, 4 * (x3 - [0, 5, 0]), before)


def test_class_attribute():
    inversion = Inversion()
    g = ad.grad(inversion.misfit)
    check(g, x3, 2 * (x3 - inversion.data), 1)
    Inversion.scale = 3.0
    try:
        check(g, x3, 6 * (x3 - inversion.data), 2)
    finally:
        Inversion.scale = 1.0


def test_module_attribute():
    g = ad.grad(lambda x: params.lam * (x**2).sum())
    check(g, x3, 2 * x3, 1)
    params.lam = 3.0
    check(g, x3, 6 * x3, 2)
    params.unrelated = 1.0
    check(g, x3, 6 * x3, 2)


def test_defaults_and_keyword_defaults():
    def f(x, p=2.0, *, q=3.0):
        return p * q * (x**2).sum()
    g = ad.grad(f)
    check(g, x3, 12 * x3, 1)
    f.__defaults__ = (1.0,)
    check(g, x3, 6 * x3, 2)
    f.__kwdefaults__["q"] = 1.0
    check(g, x3, 2 * x3, 3)


def test_partial():
    def f(c, x, k):
        return c[0] * k["k"] * (x**2).sum()
    c, k = [1.0], {"k": 1.0}
    g = ad.grad(functools.partial(f, c, k=k))
    check(g, x3, 2 * x3, 1)
    c[0] = 2.0
    check(g, x3, 4 * x3, 2)
    k["k"] = 3.0
    check(g, x3, 12 * x3, 3)


def test_dict_and_nested_containers():
    g = ad.grad(lambda x: table["a"] * table["nested"][1]["b"] * (x**2).sum())
    check(g, x3, 4 * x3, 1)
    table["nested"][1]["b"] = 1.0
    check(g, x3, 2 * x3, 2)
    table["a"] = 5.0
    check(g, x3, 10 * x3, 3)


def helper(x):
    return inner_helper(x)


def inner_helper(x):
    return lam * x


def test_function_called_by_f_reads_a_global():
    global lam
    g = ad.grad(lambda x: helper(x**2).sum())
    check(g, x3, 2 * x3, 1)
    lam = 7.0
    check(g, x3, 14 * x3, 2)


def test_function_is_replaced(monkeypatch):
    g = ad.grad(lambda x: helper(x**2).sum())
    check(g, x3, 2 * x3, 1)
    monkeypatch.setitem(globals(), "inner_helper", lambda x: 3 * x)
    check(g, x3, 6 * x3, 2)


def test_list_of_callables():
    terms = [lambda x: (x**2).sum(), lambda x: x.sum()]
    g = ad.grad(lambda x: sum(term(x) for term in terms))
    check(g, x3, 2 * x3 + 1, 1)
    check(g, x3, 2 * x3 + 1, 1)
    terms[1] = lambda x: 2 * x.sum()
    check(g, x3, 2 * x3 + 2, 2)
    terms.append(lambda x: x[0])
    check(g, x3, 2 * x3 + [3, 2, 2], 3)


def test_static_argument_that_changes():
    model = types.SimpleNamespace(beta=1.0)
    g = ad.grad(lambda x, model: model.beta * (x**2).sum())
    np.testing.assert_allclose(g(x3, model), 2 * x3)
    model.beta = 2.0
    np.testing.assert_allclose(g(x3, model), 4 * x3)


def test_lambda_made_anew():
    g = None
    for _ in range(5):
        g = ad.grad(lambda x: 2.0 * (x**2).sum())
        check(g, x3, 4 * x3)
    assert recordings(g) == 0            # the tape of the first one answered


# ---- arrays ----------------------------------------------------------------------------------------------------------

def test_weights_used_with_traced_values_are_followed():
    g = ad.grad(lambda x: (weights * x**2).sum())
    check(g, x3, 2 * x3)
    weights[:] = [1.0, 2.0, 3.0]
    check(g, x3, 2 * weights * x3)
    tape = ad.record(lambda x: (weights * x**2).sum(), x3)
    weights[:] = 10.0                    # a tape has no watch: it reads the memory itself
    np.testing.assert_allclose(tape(x3), 10 * (x3**2).sum())


def test_weights_used_by_plain_numpy_are_recorded_again():
    g = ad.grad(lambda x: ((np.sqrt(weights) * x)**2).sum())
    check(g, x3, 2 * x3, 1)
    for k in range(1, 4):
        weights[:] = np.array([1.0, 2.0, 3.0])**k
        check(g, x3, 2 * weights * x3, k + 1)


def test_irls():
    """Least absolute deviations by reweighting: the weights follow, to the median."""
    data = np.array([1.0, 2.0, 10.0])
    w = np.ones(3)
    g = ad.grad(lambda m: (w * (m - data)**2).sum())
    m = 0.0
    for _ in range(100):
        m = m - g(m) / (2 * w.sum())
        w[:] = 1 / np.maximum(np.abs(m - data), 1e-6)
    assert abs(m - 2.0) < 1e-3


def test_large_matrix_is_read_in_place():
    """A matrix of 32 MB: a change anywhere is seen, and neither the tape nor the watch holds a copy."""
    import tracemalloc
    matrix = np.ones((2000, 2000))
    g = ad.grad(lambda x: (matrix @ x).sum())
    x = np.ones(2000)
    tracemalloc.start()
    check(g, x, np.full(2000, 2000.0))
    matrix[17, 1234] = 2.0               # in none of the samples: the tape reads the matrix itself
    expected = np.full(2000, 2000.0)
    expected[1234] += 1
    check(g, x, expected)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < matrix.nbytes / 4


def test_large_array_samples_see_a_change_of_one_column_or_row():
    for shape, part in (((1000, 64), np.s_[:, 7]), ((64, 1000), np.s_[7]), ((1 << 16,), np.s_[::17])):
        a = np.zeros(shape)

        def f(x, a=a):
            return x * np.sum(a)
        watch = Watch(f)
        a[part] = 1.0
        assert "element [" in watch.changed()


def test_what_an_array_of_a_subclass_says_of_its_elements():
    """The mask of a masked array, a unit: the elements stay as they are."""
    observed = np.ma.array([1.0, 2.0, 3.0], mask=[False, False, False])

    class Measured(np.ndarray):
        unit = 1.0
    measured = np.ones(3).view(Measured)
    measured.unit = 2.0
    g = ad.grad(lambda x: (observed.filled(0.0) * x).sum() + (np.asarray(measured) * measured.unit * x).sum())
    for k in range(8):
        check(g, x3, measured.unit + np.array([1.0, 2.0, 0.0 if k % 2 else 3.0]))
        observed.mask = [False, False, k % 2 == 0]
        measured.unit += 1.0 if k > 4 else 0.0
    matrix = np.ma.masked_less(np.arange(200.0), 3.0)        # a mask that is changed in place
    watch = Watch(lambda x: x * matrix.sum())
    assert watch.changed() is None
    matrix[7] = np.ma.masked
    matrix.mask[:] = True
    assert watch.changed()


def test_small_array_changed_by_f_after_use():
    buffer = np.zeros(3)

    def f(x):
        buffer[:] = [1.0, 2.0, 3.0]
        y = (buffer * x).sum()
        buffer[:] = 7.0
        return y + (buffer * x).sum()
    g = ad.grad(f)
    for _ in range(4):
        check(g, x3, [8.0, 9.0, 10.0], 1)


def test_large_array_changed_by_f_after_use():
    buffer = np.zeros(10000)

    def f(x):
        y = (buffer * x).sum()
        buffer[:] += 1.0
        return y + (buffer * x).sum()
    with pytest.raises(ad.TracerError, match="changed in place"):
        ad.grad(f)(np.ones(10000))


def test_temporaries_changed_between_uses():
    def f(x):
        w = np.arange(3.0)
        y = (w * x).sum()
        w += 1
        z = (w * x).sum()
        w[0] = 5.0
        return y + z + (w * x).sum()
    g = ad.grad(f)
    for _ in range(4):
        check(g, x3, [6.0, 5.0, 8.0], 1)


def test_array_made_at_the_first_call_and_kept():
    class Model:
        grid = None

        def misfit(self, m):
            if self.grid is None:
                self.grid = np.linspace(1.0, 2.0, 3)
            return (self.grid * m**2).sum()
    model = Model()
    g = ad.grad(model.misfit)
    for _ in range(4):
        check(g, x3, 2 * np.linspace(1.0, 2.0, 3) * x3, 1)
    model.grid[1] = 10.0                 # outside of any recording it is an array like any other
    check(g, x3, 2 * np.array([1.0, 10.0, 2.0]) * x3, 2)
    model.grid += 1.0
    check(g, x3, 2 * np.array([2.0, 11.0, 3.0]) * x3, 3)


class Term:
    gain = 1.0

    def __init__(self):
        self.weight = 1.0
        self.values = np.ones(3)

    def __call__(self, x):
        return self.weight * self.gain * (np.sqrt(self.values) * x**2).sum()


def test_random_changes_are_all_seen(rng, monkeypatch):
    """400 calls between which anything that f reads may change, or not: never a gradient of yesterday."""
    global lam, weights, table
    monkeypatch.setattr(Term, "gain", 1.0)
    term, big, factors = Term(), np.ones(300), [1.0, 2.0]
    table = {"a": 1.0, "w": np.ones(3)}

    def f(x):
        return lam * (weights * x**2).sum() + table["a"] * (np.sqrt(table["w"]) * x).sum() + term(x) \
            + np.sum(big) * x[1] + factors[1] * helper(x).sum()

    def exact(x):
        g = 2 * lam * weights * x + table["a"] * np.sqrt(table["w"]) + factors[1] * lam
        return g + 2 * term.weight * term.gain * np.sqrt(term.values) * x + np.sum(big) * np.array([0.0, 1.0, 0.0])

    changes = [
        lambda: globals().update(lam=rng.random()), lambda: weights.__setitem__(slice(None), rng.random(3)),
        lambda: globals().update(weights=rng.random(3)), lambda: table.update(a=rng.random()),
        lambda: table["w"].__setitem__(rng.integers(3), rng.random()),
        lambda: globals().update(table={"a": rng.random(), "w": rng.random(3)}),
        lambda: setattr(term, "weight", rng.random()), lambda: setattr(term, "values", rng.random(3)),
        lambda: setattr(Term, "gain", rng.random()), lambda: big.__setitem__(slice(None), rng.random()),
        lambda: factors.__setitem__(1, rng.random())]
    g = ad.grad(f, audit=False)
    for _ in range(400):
        for k in rng.integers(len(changes), size=rng.integers(3)):
            changes[k]()
        check(g, x3, exact(x3))
    assert recordings(g) < 400 and g.stats().replays > 50


# ---- what no watch can see -------------------------------------------------------------------------------------------

@pytest.mark.parametrize("draw", [
    lambda: np.random.default_rng(1).normal, lambda: random.Random(1).random, lambda: np.random.normal])
def test_random_numbers_in_f(draw):
    noise = draw()
    g = ad.grad(lambda x: noise() * (x**2).sum())
    g(x3)
    with pytest.raises(ad.StaleTapeError, match="two runs of the function at this point differ"):
        g(x3)


def test_random_generator_is_named():
    rng = np.random.default_rng(1)
    g = ad.grad(lambda x: rng.normal() * (x**2).sum())
    g(x3)
    with pytest.raises(ad.StaleTapeError, match=r"`rng` .*random numbers"):
        g(x3)


def test_counter_in_f_that_matters():
    def f(x):
        global calls
        calls += 1
        return calls * (x**2).sum()
    g = ad.grad(f)
    g(x3)
    with pytest.raises(ad.StaleTapeError, match="the function changes global `calls`"):
        g(x3)


def test_counter_in_f_that_does_not_matter():
    seen = []

    def f(x):
        global calls
        calls += 1
        seen.append(calls)
        return (x**2).sum()
    g = ad.grad(f)
    for _ in range(20):
        check(g, x3, 2 * x3, 1)
    assert g.stats().audits == 4
    assert calls == len(seen) == 1 + 4   # the recording, and the audits at calls 2, 4, 8 and 16


def test_cache_keyed_by_constants():
    @functools.lru_cache
    def factor(n):
        return n * 2.0
    g = ad.grad(lambda x: factor(3) * (x**2).sum())
    for _ in range(5):
        check(g, x3, 12 * x3, 1)


def test_cache_that_outlives_what_it_was_computed_from():
    """After lam changed, a cached value stays as it was, as in plain Python: fastad says what f says."""
    global lam

    @functools.lru_cache
    def factor():
        return 2.0 * lam
    g = ad.grad(lambda x: factor() * (x**2).sum())
    check(g, x3, 4 * x3, 1)
    lam = 5.0
    check(g, x3, 4 * x3, 2)
    factor.cache_clear()
    lam = 6.0
    check(g, x3, 24 * x3, 3)


def test_cache_keyed_by_traced_values():
    @functools.lru_cache
    def square(x):
        return x**2
    with pytest.raises(ad.TracerError, match="hash"):
        ad.grad(lambda x: square(x))(2.0)


def test_traced_values_kept_in_a_dict():
    kept = {}

    def f(x):
        if "y" not in kept:
            kept["y"] = x**2
        return kept["y"] * x
    g = ad.grad(f)
    np.testing.assert_allclose(g(2.0), 12.0)
    with pytest.raises(ad.AdError):      # the audit runs f, which meets the tracer that escaped
        g(2.0)


def test_audit_is_off_on_demand():
    rng = np.random.default_rng(1)
    g = ad.grad(lambda x: rng.normal() * (x**2).sum(), audit=False)
    first = g(x3)
    for _ in range(5):
        np.testing.assert_array_equal(g(x3), first)
    assert g.stats().audits == 0


def test_audit_accepts_rounding():
    """Cancellation leaves noise of another order in the plain function: no false alarm at the optimum."""
    data = np.linspace(0.1, 7.7, 1001)

    def f(x):
        return (np.sum(data * x) - np.dot(data, x)) + 0.0 * x[0]
    g = ad.grad(f)
    for _ in range(4):
        g(np.sqrt(data))


def by_identity(s):
    return s if (s > 0) is True else -s


def by_type(x):
    return x.sum() if type(x) is np.ndarray else -x.sum()


def by_the_error_of_float(s):
    try:
        return s / (s - s)
    except ZeroDivisionError:
        return s


@pytest.mark.parametrize(("f", "point"), [(by_identity, 0.5), (by_type, np.ones(3)), (by_the_error_of_float, 2.0)])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_audit_notices_what_cannot_be_stood_in_for(f, point):
    """Nothing has changed, a new tape would be the same: but plain f computes something else, not by rounding."""
    g = ad.value_and_grad(f)
    g(point)
    with pytest.raises(ad.StaleTapeError, match=r"while it is recorded.*isinstance"):
        g(point)


def test_audit_forgives_chaos():
    """The logistic map forgets its start after 60 steps: sums in another order are another number."""
    def f(x):
        y = x.sum() / x.size
        for _ in range(100):
            y = 3.99 * y * (1 - y)
        return y

    g = ad.value_and_grad(f)
    x = np.random.default_rng(1).uniform(0.1, 0.9, 1000)
    for k in range(9):
        g(x + 1e-3 * k)
    assert g.stats().audits == 3 and g.stats().recordings == 1


@pytest.mark.parametrize("dtype", [np.complex128, np.complex64])
def test_audit_allows_complex_results_the_rounding_of_real_ones(dtype):
    """A tape's exp and NumPy's differ in the last digit: sixteen audits of a function that is what it was."""
    def f(z):
        return z * z.conj() + np.exp(z), np.exp(z).sum()

    draw = np.random.default_rng(2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Audit, "due", staticmethod(lambda calls: calls > 1))
        for _ in range(17):
            z = (draw.normal(size=5) + 1j * draw.normal(size=5)).astype(dtype)
            ad.jvp(f, (z,), (z,))


def test_audit_forgives_chaos_of_complex_numbers():
    def f(z):
        y = z.sum() / z.size
        for _ in range(100):
            y = 3.99 * y * (1 - y)
        return y * 1j

    z = np.random.default_rng(1).uniform(0.1, 0.9, 1000) + 0j
    for k in range(9):
        ad.jvp(f, (z + 1e-3 * k,), (z,))


def test_audit_sees_a_complex_result_that_changed():
    audit = Audit(lambda z: z * 2, "f", "model.py:1")
    audit.check((1j,), {}, 2j + 1e-11)
    with pytest.raises(ad.StaleTapeError, match="output is 2j, on its tape"):
        audit.check((1j,), {}, 2j + 1e-8)


def test_audit_names_output_and_index():
    audit = Audit(lambda x: np.array([1.0, 2.0, 3.0]), "f", "model.py:1")
    audit.check((1.0,), {}, np.array([1.0, 2.0, 3.0 + 1e-10]))
    with pytest.raises(ad.StaleTapeError, match=r"f \(model.py:1\).*output\[1\] is 2.0, on its tape 2.1"):
        audit.check((1.0,), {}, np.array([1.0, 2.1, 3.0]))
    with pytest.raises(ad.StaleTapeError, match="shape"):
        audit.check((1.0,), {}, np.array([1.0, 2.0]))


def test_audit_leaves_arguments_alone():
    def f(x):
        x[0] = 0.0
        return (x**2).sum()
    g = ad.grad(f)
    x = np.array([1.0, 2.0])
    for _ in range(4):
        check(g, x, [0.0, 4.0])
    np.testing.assert_array_equal(x, [1.0, 2.0])


def test_audit_is_due_at_powers_of_two():
    assert [n for n in range(1, 40) if Audit.due(n)] == [2, 4, 8, 16, 32]


def test_audit_takes_numbers_as_the_recording_does():
    """1/x at 0.0 is inf in NumPy and on the tape; Python's own float would raise, at audits only."""
    with np.errstate(all="ignore"):
        for f, x in ((lambda x: 1 / x, 0.0), (lambda x: x**-1.5, 0.0), (lambda x: x % 0.0, 5.0),
                     (lambda x: 2.0**x, 5e3)):
            g = ad.value_and_grad(f)
            found = [g(x) for _ in range(5)]
            assert g.stats().audits == 2 and len({str(y) for y in found}) == 1
