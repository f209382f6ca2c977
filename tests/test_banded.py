"""scipy.linalg.solve_banded and solveh_banded: SciPy's bits and errors, derivatives of the full matrix's system.

Witnesses: SciPy itself for values, np.linalg.solve of the matrix written out for derivatives; of complex systems,
differences of SciPy's.
Next: test_linalg_accuracy.py (80 digits), test_linalg_scipy.py (the other names of scipy.linalg).
"""
import itertools

import numpy as np
import pytest
import scipy.linalg as sl

import fastad as ad
from fastad import _tape as T
from fastad import verify_rules

rng = np.random.default_rng(11)
BANDS = [(0, 0), (1, 1), (1, 0), (0, 2), (2, 1), (1, 3), (4, 4), (6, 2)]      # the last two reach beyond 5 rows
SIZES = (1, 2, 5)
RIGHT = [(), (1,), (3,)]


def written_out(lower, upper, ab):
    """The full matrix, of NumPy's or of recorded numbers."""
    n = ab.shape[1]
    A = np.zeros((n, n))
    for i, j in itertools.product(range(n), range(n)):
        if -upper <= i - j <= lower:
            A[i, j] = ab[upper + i - j, j]
    return A


def symmetric(ab, lower):
    half = written_out(len(ab) - 1, 0, ab) if lower else written_out(0, len(ab) - 1, ab)
    return half + half.T - np.diag(np.diag(half))


def inside(lower, upper, n):
    """Which elements of the storage are elements of the matrix?"""
    i = np.arange(n) + np.arange(-upper, lower + 1)[:, None]
    return (0 <= i) & (i < n)


def general(lower, upper, n, right=()):
    ab = rng.normal(size=(lower + upper + 1, n))
    ab[upper] += 3.0 + lower + upper
    return ab, rng.normal(size=(n, *right))


def definite(diagonals, lower, n, right=()):
    ab = rng.normal(size=(diagonals, n))
    ab[0 if lower else -1] = rng.uniform(4.0, 5.0, n) + 4 * diagonals
    return ab, rng.normal(size=(n, *right))


def wavy(x):
    return np.sum(np.sin(x) * np.cos(1.0 + np.arange(np.size(x))).reshape(np.shape(x)))


# ---- values and derivatives ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("right", RIGHT)
@pytest.mark.parametrize("band", BANDS)
def test_bits_and_gradients(band, right, order):
    for n in SIZES:
        ab, b = general(*band, n, right)
        b = np.asarray(b, order=order)
        tape = ad.record(lambda ab, b: sl.solve_banded(band, ab, b), ab, b)
        for at in ((ab, b), (ab[:, ::-1] + 1.0, b * 3.0)):
            np.testing.assert_array_equal(tape(*at), sl.solve_banded(band, *at))
        got = ad.grad(lambda ab, b: wavy(sl.solve_banded(band, ab, b)), argnums=(0, 1))(ab, b)
        want = ad.grad(lambda ab, b: wavy(np.linalg.solve(written_out(*band, ab), b)), argnums=(0, 1))(ab, b)
        for g, w in zip(got, want, strict=True):
            np.testing.assert_allclose(g, w, rtol=1e-10, atol=1e-13)
        assert np.all(got[0][~inside(*band, n)] == 0)


@pytest.mark.parametrize("right", RIGHT)
@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("diagonals", [1, 2, 3, 6])
def test_bits_and_gradients_of_half_a_band(diagonals, lower, right):
    for n in SIZES[diagonals == 2:]:
        ab, b = definite(diagonals, lower, n, right)
        tape = ad.record(lambda ab, b: sl.solveh_banded(ab, b, lower=lower), ab, b)
        for at in ((ab, b), (ab[:, ::-1] * 1.5, b * 3.0)):
            np.testing.assert_array_equal(tape(*at), sl.solveh_banded(*at, lower=lower))
        got = ad.grad(lambda ab, b: wavy(sl.solveh_banded(ab, b, lower=lower)), argnums=(0, 1))(ab, b)
        want = ad.grad(lambda ab, b: wavy(np.linalg.solve(symmetric(ab, lower), b)), argnums=(0, 1))(ab, b)
        for g, w in zip(got, want, strict=True):
            np.testing.assert_allclose(g, w, rtol=1e-10, atol=1e-13)
        above = diagonals - 1
        assert np.all(got[0][~(inside(above, 0, n) if lower else inside(0, above, n))] == 0)


def system(name, right):
    """(f(ab, b), ab, b, the matrix written out) of one kind of system."""
    if name == "half, lower":
        ab, b = definite(3, True, 5, right)
        return lambda ab, b: sl.solveh_banded(ab, b, lower=True), ab, b, lambda ab: symmetric(ab, True)
    if name == "half, tridiagonal":
        ab, b = definite(2, False, 5, right)
        return sl.solveh_banded, ab, b, lambda ab: symmetric(ab, False)
    band = (1, 1) if name == "tridiagonal" else (2, 1)
    ab, b = general(*band, 5, right)
    return lambda ab, b: sl.solve_banded(band, ab, b), ab, b, lambda ab: written_out(*band, ab)


SYSTEMS = ("tridiagonal", "band", "half, tridiagonal", "half, lower")


@pytest.mark.parametrize("right", [(), (2,)])
@pytest.mark.parametrize("name", SYSTEMS)
def test_orders_and_modes(name, right):
    """First to third order; both operands, each alone; forward, reverse, batched and by the classical sweeps."""
    f, ab, b, full = system(name, right)

    def both(x):
        return f(ab + x[0] * ab**2 / 9, b * x[1] + x[2]**2)

    def witness(x):
        return np.linalg.solve(full(ab + x[0] * ab**2 / 9), b * x[1] + x[2]**2)
    x = np.array([0.3, 1.2, -0.4])
    ad.check_derivatives(lambda x: wavy(both(x)), x).raise_if_failed()
    ad.check_derivatives(lambda ab: wavy(f(ab, b)), ab, directions=1).raise_if_failed()
    ad.check_derivatives(lambda b: wavy(f(ab, b)), b, directions=1).raise_if_failed()
    want = ad.hessian(lambda x: wavy(witness(x)))(x)
    np.testing.assert_allclose(ad.hessian(lambda x: wavy(both(x)))(x), want, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(ad.hvp(lambda x: wavy(both(x)))(x, x), want @ x, rtol=1e-9, atol=1e-11)
    third, same = (ad.jacobian(ad.hessian(lambda x, g=g: wavy(g(x))))(x) for g in (both, witness))
    np.testing.assert_allclose(third, same, rtol=1e-8, atol=1e-9)
    for mode in ("forward", "reverse"):
        for argnum in (0, 1):
            got = ad.jacobian(f, argnums=argnum, mode=mode)(ab, b)
            same = ad.jacobian(lambda ab, b: np.linalg.solve(full(ab), b), argnums=argnum)(ab, b)
            np.testing.assert_allclose(got, same, rtol=1e-10, atol=1e-12)
    tape, w = ad.record(f, ab, b), np.cos(np.arange(b.size)).reshape(b.shape)
    tape.forward(ab, b)
    by_sweep, by_tape = tape.reverse(w), tape.vjp_tape()(ab, b, w)[1:]
    for got, same in zip(by_sweep, by_tape, strict=True):
        np.testing.assert_allclose(got, same, rtol=1e-12)
    np.testing.assert_allclose(np.sum(w * tape.tangent(ab, b)), np.sum(by_sweep[0] * ab) + np.sum(by_sweep[1] * b),
                               rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("right", [(), (2,)])
@pytest.mark.parametrize("name", SYSTEMS)
def test_batches(name, right):
    """A matrix that lanes share stays one, and its gradient is the sum."""
    f, ab, b, _ = system(name, right)
    lanes = rng.normal(size=(4, *b.shape))
    bands = ab * rng.uniform(1.0, 1.1, (4, 1, 1))
    for got, at in ((ad.record(f, ab, b).batch(4)(bands, lanes), zip(bands, lanes, strict=True)),
                    (ad.batch(lambda b: f(ab, b))(lanes), ((ab, x) for x in lanes)),
                    (ad.batch(lambda ab: f(ab, b))(bands), ((x, b) for x in bands))):
        np.testing.assert_allclose(got, [f(*x) for x in at], rtol=1e-13, atol=1e-15)
    got = ad.grad(lambda ab: wavy(ad.batch(lambda b: f(ab, b))(lanes)))(ab)
    want = ad.grad(lambda ab: wavy(np.stack([f(ab, x) for x in lanes])))(ab)
    np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", SYSTEMS)
def test_stacks(name):
    """SciPy's stacks of bands and right-hand sides, which broadcast."""
    f, ab, b, _ = system(name, (2,))
    bands, rights = np.stack([ab, ab * 1.1]), rng.normal(size=(3, 1, *b.shape))
    for at in ((bands, b[:, 0]), (bands, b), (ab, rights), (bands, rights)):
        tape = ad.record(f, *at)
        np.testing.assert_array_equal(tape(*at), f(*at))
    ad.check_derivatives(lambda ab: wavy(f(ab, rights)), bands, directions=1).raise_if_failed()
    ad.check_derivatives(lambda b: wavy(f(bands, b)), rights, directions=1).raise_if_failed()


@pytest.mark.parametrize("band", [(1, 1), (3, 2)])
def test_derivatives_take_the_memory_of_the_band(band):
    """20000 equations: one full matrix would be 3.2 GB."""
    lower, upper, n = *band, 20000
    ab, b = general(*band, n)
    ab[upper] += 10.0
    tape = ad.record(lambda ab, b: np.sum(sl.solve_banded(band, ab, b)**2), ab, b)
    assert tape.vjp_tape().stats().arena_bytes < 100 * n * 8
    g = tape.gradient(ab, b)[0]
    x = sl.solve_banded(band, ab, b)
    back = np.zeros_like(ab)                                 # the transposed matrix
    for d in range(-upper, lower + 1):
        back[lower - d, max(0, d):n + min(0, d)] = ab[upper + d, max(0, -d):n - max(0, d)]
    s = sl.solve_banded(band[::-1], back, 2 * x)
    np.testing.assert_allclose(g[upper], -s * x, rtol=1e-9)
    np.testing.assert_allclose(g[upper + 1, :-1], -s[1:] * x[:-1], rtol=1e-9)


# ---- loops -----------------------------------------------------------------------------------------------------------

def conduction(solve):
    """Heat in a rod by Crank-Nicolson, in a loop and by ad.scan: diffusivities -> temperatures at the end."""
    start, h = np.sin(np.linspace(0.0, 3.0, 12)), 0.1

    def matrices(p):
        flow = np.exp(p)
        ab = np.zeros((3, 12))
        ab[0, 1:] = ab[2, :-1] = -h * flow
        ab[1, :-1] = h * flow
        ab[1, 1:] += h * flow
        return ab

    def step(ab, T):
        right = T - ab[1] * T
        right[:-1] -= ab[0, 1:] * T[1:]
        right[1:] -= ab[2, :-1] * T[:-1]
        left = ab * 1.0
        left[1] += 1.0 + 0.01 * T**2                         # the matrix changes from step to step
        return solve(left, right)

    def unrolled(p, steps=30):
        ab, T = matrices(p), start * 1.0
        for _ in range(steps):
            T = step(ab, T)
        return wavy(T)

    def scanned(p, steps=30):
        ab = matrices(p)
        return wavy(ad.scan(lambda T, _: (step(ab, T), None), start, None, length=steps)[0])
    return unrolled, scanned


@pytest.mark.parametrize("solve", [
    lambda ab, b: sl.solve_banded((1, 1), ab, b), lambda ab, b: sl.solve_banded((2, 1), np.vstack([ab, 0 * b]), b),
    lambda ab, b: sl.solveh_banded(ab[:2], b),
    lambda ab, b: sl.solveh_banded(np.vstack([ab[1:], 0 * b]), b, lower=True),
], ids=["tridiagonal", "band", "half, tridiagonal", "half"])
def test_time_steps(solve):
    unrolled, scanned = conduction(solve)
    p = rng.normal(size=11) / 3
    want = ad.grad(unrolled)(p)
    full = conduction(lambda ab, b: np.linalg.solve(written_out(1, 1, ab), b))[0]
    np.testing.assert_allclose(want, ad.grad(full)(p), rtol=1e-9, atol=1e-13)
    ad.check_derivatives(scanned, p, directions=1).raise_if_failed()
    kept = ad.grad(scanned)(p)
    np.testing.assert_allclose(kept, want, rtol=1e-11, atol=1e-14)
    with pytest.raises(ad.BudgetError) as caught:
        ad.grad(scanned, memory=64)(p)
    for least in (caught.value.smallest, 2 * caught.value.smallest):
        np.testing.assert_array_equal(ad.grad(scanned, memory=least)(p), kept)
    np.testing.assert_allclose(ad.hvp(scanned)(p, p), ad.hvp(unrolled)(p, p), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", SYSTEMS)
def test_programs_and_files(name, tmp_path):
    """Tier 0, program, file: the same bits, of derivatives too."""
    f, ab, b, _ = system(name, (2,))
    tape = ad.record(f, ab, b)
    for t, at in ((tape, (ab, b)), (tape.vjp_tape(), (ab, b, b)), (tape.vjp_tape().jvp_tape(), (ab, b, b) * 2)):
        want = t.sweep(list(at))
        t.save(tmp_path / "t.tape")
        loaded = ad.Tape.load(tmp_path / "t.tape")
        t.compile()
        for other in (t.sweep(list(at)), loaded.sweep(list(at))):
            for x, y in zip(want, other, strict=True):
                np.testing.assert_array_equal(x, y)


def test_one_factorization_for_all_steps_with_one_matrix():
    ab, b = general(2, 1, 6)

    def f(b):
        for _ in range(4):
            b = sl.solve_banded((2, 1), ab, b)
        return b.sum()
    tape = ad.record(f, b)
    tape.compile()
    text = str(tape.derived["gradient program"].tape)
    assert text.count("bandlu(") == 1 and text.count("bandsolve(") == 8


# ---- what SciPy does not read ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("band", [(1, 1), (2, 1), (0, 3), (3, 0), (4, 4)])
def test_what_lies_outside_of_the_matrix_may_be_anything(band):
    ab, b = general(*band, 5)
    out = ~inside(*band, 5)

    def f(ab, b):
        return wavy(sl.solve_banded(band, ab, b, check_finite=False))
    clean, dirty = (np.where(out, garbage, ab) for garbage in (0.0, np.nan))
    want, got = ad.grad(f, argnums=(0, 1))(clean, b), ad.grad(f, argnums=(0, 1))(dirty, b)
    for x, y in zip(want, got, strict=True):
        np.testing.assert_array_equal(x, y)
    assert np.all(got[0][out] == 0)
    v = rng.normal(size=ab.shape)
    np.testing.assert_array_equal(ad.hvp(lambda ab: f(ab, b))(dirty, v), ad.hvp(lambda ab: f(ab, b))(clean, v))
    _, dot = ad.jvp(lambda ab: f(ab, b), (dirty,), (np.where(out, np.nan, v),))
    assert dot == ad.jvp(lambda ab: f(ab, b), (clean,), (v,))[1]
    with pytest.raises(ValueError, match="array must not contain infs or NaNs"):
        ad.grad(lambda ab: wavy(sl.solve_banded(band, ab, b)))(dirty)


def test_half_a_band_with_garbage():
    ab, b = definite(3, False, 5)
    ab[0, :2] = ab[1, 0] = np.nan
    g = ad.grad(lambda ab: wavy(sl.solveh_banded(ab, b, check_finite=False)))(ab)
    assert np.all(np.isfinite(g)) and np.all(g[~inside(0, 2, 5)] == 0) and np.all(g[inside(0, 2, 5)] != 0)


def test_an_untaken_branch_does_not_poison():
    """Its solution overflows; its adjoint is zero."""
    def f(x):
        with np.errstate(over="ignore"):
            huge = sl.solve_banded((1, 1), ab * x, b * 1e300, check_finite=False)
        return np.sum(np.where(x < 0, huge, x))
    ab, b = general(1, 1, 4)
    x = np.full(4, 1e-12)
    np.testing.assert_array_equal(ad.grad(f)(x), np.ones(4))


# ---- arguments and errors --------------------------------------------------------------------------------------------

def outcome(f, *args):
    """The value of f, or its error."""
    try:
        return f(*args)
    except Exception as error:
        return error


def same_outcome(f, *args):
    """Recorded or not, f gives the same array or the same error."""
    want = outcome(f, *args)
    got = outcome(lambda *args: ad.record(f, *args)(*args), *args)
    if isinstance(want, Exception):
        assert type(got) is type(want) and str(got) == str(want)
    else:
        assert got.dtype == want.dtype and np.array_equal(got, want)
    return want


AB, B = general(1, 1, 4)
POSITIVE = np.array([[9.0, 1.0, 1.0, 1.0], [5.0, 5.0, 5.0, 5.0]])
BAD = {
    "too few right-hand sides": (lambda ab, b: sl.solve_banded((1, 1), ab, b[:3]), "shapes of ab and b"),
    "too many diagonals": (lambda ab, b: sl.solve_banded((2, 1), ab, b), "l+u+1 (4) does not equal ab.shape[0] (3)"),
    "a negative number of diagonals": (lambda ab, b: sl.solve_banded((-1, 3), ab, b), "could not broadcast"),
    "one axis": (lambda ab, b: sl.solve_banded((1, 1), ab[0], b), "l+u+1 (3) does not equal"),
    "a number": (lambda ab, b: sl.solve_banded((1, 1), ab, b[0]), ""),
    "three numbers of diagonals": (lambda ab, b: sl.solve_banded((1, 1, 1), ab, b), "too many values"),
    "singular": (lambda ab, b: sl.solve_banded((1, 1), ab * 0, b), "singular matrix"),
    "singular band": (lambda ab, b: sl.solve_banded((2, 0), ab * 0, b), "singular matrix"),
    "not finite": (lambda ab, b: sl.solve_banded((1, 1), ab, b / 0.0), "array must not contain infs or NaNs"),
    "stacks that do not fit": (lambda ab, b: sl.solve_banded((1, 1), np.stack([ab, ab]), np.stack([[b]] * 3)), ""),
    "half, shapes": (lambda ab, b: sl.solveh_banded(ab, b[:3]), "shapes of ab and b"),
    "half, one equation in two rows": (lambda ab, b: sl.solveh_banded(ab[:2, :1], b[:1]), ""),
    "half, not positive": (lambda ab, b: sl.solveh_banded(ab * [[0, 0, 0, 0]] + [[0], [0], [-1]], b),
                           "1th leading minor not positive definite"),
    "half, not positive further down": (lambda ab, b: sl.solveh_banded(0 * ab[:2] + [[3, 3, 3, 3], [5, 5, 5, 1]], b),
                                        "4th leading minor not positive definite"),
}


@pytest.mark.filterwarnings("ignore:divide by zero")
@pytest.mark.parametrize("name", BAD)
def test_errors_are_scipys(name):
    f, says = BAD[name]
    error = same_outcome(f, AB, B)
    assert isinstance(error, Exception) and says in str(error)


@pytest.mark.filterwarnings("ignore:divide by zero")
@pytest.mark.parametrize("f", [
    lambda ab, b: sl.solve_banded((0, 0), ab[:1, :1] * 0, b[:1]),
    lambda ab, b: sl.solve_banded((2, 0), ab[:, :1], b[:1]), lambda ab, b: sl.solve_banded(np.array([1, 1]), ab, b),
    lambda ab, b: sl.solve_banded((1, 1), [[0, 1, 1], [4, 4, 4], [1, 1, 0]], b[:3]),
    lambda ab, b: sl.solve_banded((1, 1), [[0, b[0], 1], [4, 4, 4], [1, 1, 0]], [1, 2, 3]),
    lambda ab, b: sl.solve_banded(l_and_u=(1, 1), ab=ab * 1, b=b, overwrite_ab=True, check_finite=False),
    lambda ab, b: sl.solveh_banded(np.abs(ab[1:]) + [[9], [0]], b * 1, True, True, True, False)])
def test_arguments_are_scipys(f):
    assert not isinstance(same_outcome(f, AB, B), Exception)


def test_nothing_to_solve_for():
    for f in (lambda ab, b: sl.solve_banded((1, 1), ab[:, :0], b[:0]),
              lambda ab, b: sl.solveh_banded(ab, b[:, None][:, :0]),
              lambda ab, b: sl.solve_banded((1, 1), np.stack([ab, ab]), b[:, None][:, :0])):
        (_, got), _ = ad.value_and_grad(lambda b, f=f: (np.sum(f(AB, b)) + b[0], f(AB, b)), has_aux=True)(B)
        want = f(AB, B)
        assert got.shape == want.shape and got.dtype == want.dtype


def test_permission_to_overwrite_is_not_taken():
    ab, b = AB.copy(), B.copy()
    ad.grad(lambda x: np.sum(sl.solve_banded((1, 1), ab, b * x, overwrite_ab=True)
                             + sl.solve_banded((1, 1), ab * x[0], b, True, True)), audit=False)(np.ones(4))
    np.testing.assert_array_equal(ab, AB)
    np.testing.assert_array_equal(b, B)


def test_float32():
    """Computed in float64 and rounded; with float64 beside it float64, as in SciPy."""
    ab, b = AB.astype("f4"), B.astype("f4")
    for band, ab_ in (((1, 1), ab), ((2, 0), ab[::-1])):
        for at in ((ab_, b), (ab_, B), (ab_, b[:, None])):
            got = ad.record(lambda ab, b, band=band: sl.solve_banded(band, ab, b), *at)(*at)
            want = sl.solve_banded(band, *at)
            assert got.dtype == want.dtype
            np.testing.assert_allclose(got, want, rtol=2e-5)
        g = ad.grad(lambda ab, b, band=band: wavy(sl.solve_banded(band, ab, b)))(ab_, b)
        same = ad.grad(lambda ab, b, band=band: wavy(sl.solve_banded(band, ab, b)))(ab_.astype(float), B)
        assert g.dtype == np.float32
        np.testing.assert_allclose(g, same, rtol=1e-4, atol=1e-5)
    one = np.ones((1, 1), "f4") * 3
    for at in ((one, b[:1]), (one.astype(float), b[:1]), (one, B[:1])):
        got, want = ad.record(lambda ab, b: sl.solve_banded((0, 0), ab, b), *at)(*at), sl.solve_banded((0, 0), *at)
        assert got.dtype == want.dtype and np.array_equal(got, want)


@pytest.mark.parametrize("solve, fine, wrong", [
    (lambda ab, b: sl.solve_banded((1, 1), ab, b), AB, AB * 0),
    (lambda ab, b: sl.solve_banded((2, 0), ab, b), AB[::-1], AB * 0),
    (sl.solveh_banded, POSITIVE[::-1] + [[0], [9]], -POSITIVE),
    (lambda ab, b: sl.solveh_banded(ab, b, lower=True), np.vstack([POSITIVE, 0 * B]) + [[9], [0], [0]],
     -np.vstack([POSITIVE, POSITIVE[:1]]))])
def test_a_caught_failure_is_a_decision(solve, fine, wrong):
    def f(ab, b):
        try:
            return np.sum(solve(ab, b))
        except np.linalg.LinAlgError:
            return np.sum(3.0 * ab)
    g = ad.grad(f)
    for ab in (fine, wrong, fine, wrong):
        want = np.full(ab.shape, 3.0) if ab is wrong else ad.grad(lambda ab: np.sum(solve(ab, B)))(ab)
        np.testing.assert_allclose(g(ab, B), want, rtol=1e-12)
    tape = ad.record(solve, fine, B)
    with pytest.raises(np.linalg.LinAlgError, match="singular matrix|not positive definite.*test_banded.py"):
        tape(wrong, B)


def test_factors_from_anywhere():
    """Row numbers outside of the matrix end in an error, as does a band with fewer rows than its routine reads."""
    pivots = np.array([10**9, -7], np.int32).view(np.int64)
    factors = np.concatenate([np.ones(2 * 4).view(np.int64), pivots, [0, 0]])
    tape = T.Tape()
    x = [tape.emit_input(T.aval(0, (3, 2))), tape.emit_input(T.aval(0, (2,))), tape.emit_const(factors)]
    tape.set_outputs([tape.emit("lapack", x, T.aval(0, (2,)), T.Lapack("bandsolve", 1, 3, 2, 1, T.LAPACK_BAND))])
    with pytest.raises(np.linalg.LinAlgError):
        tape.finish().sweep([np.ones((3, 2)), np.ones(2)])
    for name, m, form in (("trisystem", 2, T.LAPACK_BAND), ("tripos", 2, 0), ("bandmul", 2, 2 * T.LAPACK_BAND),
                          ("bandsolve", 2, T.LAPACK_FORMS["symmetric"]), ("trifails", 3, 0), ("bandpos", 0, 256)):
        with pytest.raises(verify_rules.Fault, match="band|tridiagonal"):
            verify_rules.band(name, m, form)


# ---- complex numbers -------------------------------------------------------------------------------------------------

def complexes(*shape):
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


COMPLEX = {f"{band}": (lambda ab, b, band=band: sl.solve_banded(band, ab, b), sum(band) + 1, band[1])
           for band in ((0, 0), (1, 1), (2, 1), (0, 2), (6, 2))}
COMPLEX |= {f"half of {m}, {lower=}": (lambda ab, b, lower=lower: sl.solveh_banded(ab, b, lower=lower), m,
                                       0 if lower else m - 1) for m in (1, 2, 3, 6) for lower in (False, True)}


@pytest.mark.parametrize("which", ["both", "matrix", "right-hand side"])
@pytest.mark.parametrize("name", COMPLEX)
def test_complex_systems(name, which):
    """As real ones of twice the size: SciPy's values to rounding, and derivatives by both parts."""
    f, m, main = COMPLEX[name]
    for n, right in ((2, ()), (5, ()), (5, (3,))):
        ab, b = complexes(m, n), complexes(n, *right)
        ab[main] += 4.0 * m + 4.0
        ab, b = ab.real if which[0] == "r" else ab, b.real if which[0] == "m" else b
        got, want = ad.record(f, ab, b)(ab, b), f(ab, b)
        assert got.dtype == want.dtype
        np.testing.assert_allclose(got, want, rtol=1e-12)
        w, h = complexes(*want.shape), 1e-6
        for k, x in enumerate((ab, b)):
            v = complexes(*x.shape) if x.dtype.kind == "c" else rng.normal(size=x.shape)

            def along(t, k=k, v=v, ab=ab, b=b, w=w):
                return np.real(np.sum(w * (f(ab + t * v, b) if k == 0 else f(ab, b + t * v))**2))
            g = ad.grad(along)(0.0)
            np.testing.assert_allclose(g, (along(h) - along(-h)) / (2 * h), rtol=1e-6, atol=1e-8)
            whole = ad.grad(lambda *at, w=w: np.real(np.sum(w * f(*at)**2)), argnums=k)(ab, b)
            np.testing.assert_allclose(g, np.sum(np.real(whole * v)), rtol=1e-10, atol=1e-12)


def test_complex_arguments():
    ab, b = complexes(3, 4) + [[0], [9], [0]], complexes(4)
    for f in (lambda ab, b: sl.solve_banded((1, 1), np.stack([ab, ab + 1]), b),
              lambda ab, b: sl.solve_banded((0, 0), ab[:1, :1], b[:1])):
        np.testing.assert_allclose(ad.record(f, ab, b)(ab, b), f(ab, b), rtol=1e-12)
    for f in (lambda ab, b: sl.solve_banded((1, 1), ab * 0, b), lambda ab, b: sl.solve_banded((1, 2), ab, b),
              lambda ab, b: sl.solveh_banded(-ab[1:], b, lower=True), lambda ab, b: sl.solve_banded((1, 1), ab, b[:3]),
              lambda ab, b: sl.solve_banded((1, 1), ab, b * np.nan),
              lambda ab, b: sl.solve_banded((0, 0), ab[:1, :1], b[:1].real)):
        assert isinstance(same_outcome(f, ab, b), Exception)
    single, half = ab.astype("F"), b.astype("F")
    for at in ((single, half), (single, half.real), (single.real, half), (single, b), (ab.real, half)):
        got, want = ad.record(lambda ab, b: sl.solve_banded((1, 1), ab, b), *at)(*at), sl.solve_banded((1, 1), *at)
        assert got.dtype == want.dtype
        np.testing.assert_allclose(got, want, rtol=1e-4)


def test_a_captured_complex_band_is_read_again():
    ab, b = complexes(3, 4) + [[0], [9], [0]], complexes(4)
    tape = ad.record(lambda b: np.sum(np.abs(sl.solve_banded((1, 1), ab, b))), b)
    ab[1] *= 1.5
    assert tape(b) == pytest.approx(np.sum(np.abs(sl.solve_banded((1, 1), ab, b))), rel=1e-13)
    ab[1, 0] = np.nan
    with pytest.raises(ad.TapeDivergence):
        tape(b)


def test_complex_garbage_outside_of_the_matrix():
    ab, b = complexes(3, 4) + [[0], [9], [0]], complexes(4)
    ab[0, 0] = ab[2, 3] = complex(np.nan, np.inf)
    g = ad.grad(lambda ab: np.sum(np.abs(sl.solve_banded((1, 1), ab, b, check_finite=False))))(ab)
    assert np.all(np.isfinite(g)) and np.array_equal(g == 0, ~inside(1, 1, 4))
