"""The watch by itself: which names it finds, what counts as a change, what it says; and ad.explain.

Owns: state.py, _state.pyx, explain.py.  Next: test_state.py (the same through the verbs).
"""
import array
import collections
import functools
import time
import timeit
import types

import numpy as np
import pytest

import fastad as ad
from fastad import _state
from fastad.explain import explain
from fastad.state import Watch

lam = 1.0
weights = np.ones(3)
params = types.ModuleType("params")
params.lam = 1.0
table = {"a": 1.0, "nested": [1.0, {"b": 2.0}]}


def scaled(x):
    return lam * x**2


@pytest.fixture(autouse=True)
def fresh_globals():
    """Each test begins with the same globals, and leaves them so."""
    global lam
    lam = params.lam = 1.0


def test_texts():
    global lam
    watch = Watch(scaled)
    assert watch.changed() is None
    lam = 0.5
    assert watch.changed() == "global `lam` (test_watch.py): 1.0 -> 0.5"
    lam = float("1")                     # an equal number in another object
    assert watch.changed() is None
    lam = np.float64(1.0)
    assert watch.changed() is not None
    watch.refresh()
    assert watch.changed() is None


@pytest.mark.parametrize("old, new, same", [
    (float("nan"), float("nan"), True), (0.0, -0.0, False), (1, True, False), (1, 1.0, False), ("a", "b", False),
    ((1.0, (2.0,)), (1.0, (2.0,)), True), ((1.0, (2.0,)), (1.0, (3.0,)), False), ({1, 2}, {1, 2}, False),
    (frozenset({1}), frozenset({2}), False), (None, 0, False), (np.int64(3), np.int64(3), True)])
def test_values(old, new, same):
    def make(value):
        return lambda x: x * value
    watch = Watch(make(old))
    assert watch.changed() is None
    assert (watch.changed(make(new)) is None) == same


def test_made_anew_with_its_own_recursion():
    def make(k):
        def power(x, n):
            return k if n == 0 else x * power(x, n - 1)
        return power
    watch = Watch(make(2.0))
    assert watch.changed(make(2.0)) is None
    assert "`k`" in watch.changed(make(3.0))


def test_set_contents():
    members = {1, 2}
    watch = Watch(lambda x: x * len(members))
    members.add(3)
    assert "members" in watch.changed()


@pytest.mark.filterwarnings("ignore:Setting the shape:DeprecationWarning")
def test_array_replaced_reshaped_or_of_other_dtype():
    for change in (lambda a: a.__setitem__(3, 9), lambda a: setattr(a, "shape", (2, 4))):
        for dtype in (np.float64, np.float32, np.int8, np.complex128):
            a = np.zeros(8, dtype)
            watch = Watch(lambda x, a=a: x * a.sum())
            assert watch.changed() is None
            change(a)
            assert watch.changed() is not None


def test_properties_and_slots_and_static_methods():
    class Model:
        __slots__ = ("depth",)

        def __init__(self):
            self.depth = 2.0

        @property
        def area(self):
            return self.depth * lam

        @staticmethod
        def twice(x):
            return x * params.lam

        def __call__(self, x):
            return self.twice(x) * self.area
    global lam
    model = Model()
    watch = Watch(model)
    for change in (lambda: setattr(model, "depth", 3.0), lambda: setattr(params, "lam", 9.0)):
        assert watch.changed() is None
        change()
        assert watch.changed() is not None
        watch.refresh()
    lam = 4.0
    assert "lam" in watch.changed()


def test_wrappers_are_seen_through():
    @functools.wraps(scaled)
    def wrapper(*args):
        return scaled(*args)
    global lam
    watch = Watch(wrapper)
    lam = 2.0
    assert "lam" in watch.changed()


def test_libraries_are_not_searched():
    import scipy.optimize

    def f(x):
        return np.sin(x) + scipy.optimize.rosen(np.ones(2)) + time.perf_counter()
    watch = Watch(f)
    assert count_nodes(watch._root) < 30
    assert any("clock" in text for text in watch.suspects)


def count_nodes(node):
    return 1 + sum(count_nodes(slot.node) for slot in node.slots)


def test_cycles_and_depth_end():
    a = types.SimpleNamespace(value=1.0)
    a.me = a
    chain = a
    for _ in range(50):
        chain.next = types.SimpleNamespace(value=1.0, me=a)
        chain = chain.next
    watch = Watch(lambda x: x * a.me.next.value)
    assert watch.changed() is None
    a.next.value = 2.0
    assert "value" in watch.changed()


def test_objects_that_cannot_be_looked_at():
    class Proxy:
        @property
        def __class__(self):
            raise RuntimeError("not ready")

        def __getattr__(self, name):
            raise RuntimeError("not ready")
    proxy = Proxy()
    watch = Watch(lambda x: x * lam if proxy is None else x)
    assert watch.changed() is None
    proxy = Proxy()
    assert watch.changed() is not None


def test_objects_of_libraries():
    """Interpolators and polynomials hold arrays: all attributes are watched, since their code is not searched."""
    from scipy.interpolate import CubicSpline
    spline = CubicSpline(np.arange(4.0), np.arange(4.0)**2)
    polynomial = np.polynomial.Polynomial([1.0, 2.0])
    watch = Watch(lambda x: x * spline(1.5) * polynomial(2.0))
    assert watch.changed() is None
    spline.c[2, 1] += 1.0
    assert "`spline." in watch.changed()
    watch.refresh()
    polynomial.coef[0] = 5.0
    assert "polynomial" in watch.changed()


def test_long_containers():
    numbers = list(range(100000))
    arrays = [np.zeros(3) for _ in range(5000)]
    watch = Watch(lambda x: x * numbers[7] + arrays[0].sum())
    assert watch.changed() is None
    numbers[99999] = -1
    assert "numbers[99999]" in watch.changed()


def test_positions_of_samples():
    for n in (0, 1, 64, 65, 1000, 10**7):
        positions = _state.positions_of_samples(n)
        assert len(positions) == min(n, 64) == len(set(positions.tolist()))
        assert n == 0 or (positions.min() >= 0 and positions.max() < n)


def test_check_is_cheap():
    """Not a timed test of the machine: the check must stay within some dozens of dictionary lookups."""
    watch = Watch(lambda x: lam * weights.sum() * params.lam * table["a"] * x)
    # Side by side and the least of many: on a busy machine two loops that run one after the other compare its moods.
    rounds = [(timeit.timeit(watch.changed, number=1000), timeit.timeit(lambda: table["a"], number=1000))
              for _ in range(50)]
    check, lookup = map(min, zip(*rounds, strict=True))
    assert check < 40 * lookup


# ---- explain ---------------------------------------------------------------------------------------------------------

def test_explain():
    def g():
        pass
    g.events = []
    assert explain(g) == "g: not recorded yet"
    g.events = [{"kind": "first", "detail": ""},
                {"kind": "guard", "detail": "bool()", "location": f"{__file__}:1"},
                *[{"kind": "state", "detail": "global `lam` (model.py): 1.0 -> 0.5"}] * 3]
    text = explain(g)
    assert text.startswith("g: 5 recordings\n  1. the first call\n  2. a decision went the other way: bool()")
    assert "test_watch.py:1    \"\"\"The watch by itself" in text
    assert "  3-5. something that the function reads has changed: global `lam`" in text
    with pytest.raises(TypeError):
        explain(np.sin)


CONTAINERS = {
    "deque": (collections.deque([1.0, 2.0]), lambda x: x.__setitem__(0, 3.0)),
    "deque grows": (collections.deque([1.0]), lambda x: x.append(3.0)),
    "array.array": (array.array("d", [1.0, 2.0]), lambda x: x.__setitem__(1, 3.0)),
    "bytearray": (bytearray(8), lambda x: x.__setitem__(1, 3)),
    "memoryview": (memoryview(bytearray(8)), lambda x: x.__setitem__(1, 3)),
    "ChainMap": (collections.ChainMap({"a": 1.0}), lambda x: x.__setitem__("a", 3.0)),
    "one of 1000 elements": (np.ones((20, 50)), lambda x: x.__setitem__((7, 13), 3.0)),
    "short ints": (np.ones(900, np.int16), lambda x: x.__setitem__(123, 3)),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_containers(name):
    seen, change = CONTAINERS[name]
    watch = Watch(lambda x: x * len(seen))
    assert watch.changed() is None
    change(seen)
    assert watch.changed().startswith("closure variable `seen")
    watch.refresh()
    assert watch.changed() is None


def test_mapping_proxy():
    table, proxy = {"a": 1.0}, None
    proxy = types.MappingProxyType(table)
    watch = Watch(lambda x: x * proxy["a"])
    table["a"] = 2.0
    assert watch.changed() == "closure variable `proxy['a']` (test_watch.py): 1.0 -> 2.0"


# ---- long arrays: everything that a function has computed with, not a sample of it -----------------------------------

@pytest.mark.parametrize("n", [50, 1024, 1025, 40_000])
@pytest.mark.parametrize("layout", ["dense", "every other", "column", "float32", "integers"])
def test_one_element_of_a_long_array_counts(n, layout):
    """Plain NumPy has taken something from it, so that nothing on the tape reads it again."""
    rng = np.random.default_rng(n)
    whole = rng.uniform(1.0, 2.0, size=2 * n)
    data = {"dense": whole[:n], "every other": whole[::2], "column": whole.reshape(n, 2)[:, 1],
            "float32": whole[:n].astype(np.float32), "integers": np.arange(1, n + 1)}[layout]

    def f(x):
        return x * float(np.sum(np.log(data)))
    g = ad.grad(f, audit=False)
    for k in rng.integers(0, n, size=5):
        assert np.isclose(g(2.0), np.sum(np.log(data)), rtol=1e-6)
        data[k] += 3
    assert g.stats().recordings == 5


def test_every_byte_of_a_checksum_counts():
    for shape in ((3000,), (40, 50), (2, 30, 41), (1500, 1)):
        for a in (np.arange(np.prod(shape), dtype=float).reshape(shape), np.asfortranarray(np.ones(shape)),
                  np.ones((*shape, 2), np.float32)[..., 0], np.ones(shape, np.int8)):
            node, draw = _state.Node(_state.ARRAY, a), np.random.default_rng(0)
            assert node.checked and node.same(a)
            for at in draw.integers(0, a.size, size=40):
                index = np.unravel_index(at, a.shape)
                was = a[index]
                a[index] = was + 1
                assert not node.same(a)
                a[index] = was
            assert node.same(a)


def test_a_large_matrix_that_the_tape_reads_is_sampled():
    A = np.ones((400, 400))                  # 1.28 MB
    assert not _state.Node(_state.ARRAY, A, False, True).checked and _state.Node(_state.ARRAY, A).checked
    g = ad.grad(lambda x: np.sum(A @ x))
    x = np.ones(400)
    g(x)
    A[3, 7] = 5.0                            # read again, whether or not anyone has noticed
    assert g(x)[7] == 404.0
