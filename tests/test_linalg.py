"""numpy.linalg in full: every form of each function, stacks, tiers, files, failures, degenerate spectra, empty arrays.

Owns: what NumPy means there, and the derivatives by the checks of `check_derivatives`.
Next: test_linalg_accuracy.py (80 digits), test_linalg_scipy.py (scipy.linalg's names).
"""
import pickle

import numpy as np
import pytest

import fastad as ad
from fastad import _tape as T

LA = np.linalg
rng = np.random.default_rng(5)
N = 5
A = rng.normal(size=(N, N))
S = A @ A.T + np.eye(N)
W = rng.normal(size=(N, N))
b = rng.normal(size=N)


def sin(x):
    return np.sin(x) * np.cos(np.arange(np.size(x))).reshape(np.shape(x))


def spectrum(r):
    """What does not depend on the signs of vectors, of (w, v) or (u, s, vt)."""
    if len(r) == 2:
        return (sin(r[0])).sum() + (r[1]**2 * W).sum()
    return sum([(v**2 * W[:v.shape[-2], :v.shape[-1]]).sum() for v in (r[0], r[2])]) + sin(r[1]).sum()


def projector(q):
    """Of the columns beyond the third, whose basis LAPACK chooses as it likes."""
    return (q[:, 3:] @ q[:, 3:].T * W).sum()


def pair(x):
    return np.stack([x, x @ x + np.eye(N)])


FORMS = {
    "solve": lambda x: sin(LA.solve(x, W[:, :3])).sum(),
    "solve for a vector": lambda x: sin(LA.solve(x, x[0])).sum(),
    "solve, transposed": lambda x: sin(LA.solve(x.T, x[:3].T + W[:, :3])).sum(),
    "solve with a constant matrix": lambda x: sin(LA.solve(W, x)).sum() + sin(LA.solve(W, x[1])).sum(),
    "solve with a stack": lambda x: sin(LA.solve(pair(x), W[:, :2])).sum() + sin(LA.solve(pair(x), b)).sum(),
    "solve a stack": lambda x: sin(LA.solve(x, pair(W + x))).sum(),
    "solve of lists": lambda x: sin(LA.solve([[x[0, 0], 1], [2, x[1, 1]]], [1, x[2, 2]])).sum(),
    "solve of integers": lambda x: sin(LA.solve((x > 0) + 4 * np.eye(N, dtype=int), x[0])).sum(),
    "inv": lambda x: sin(LA.inv(x)).sum(),
    "inv of a stack": lambda x: sin(LA.inv(pair(x)[:, None])).sum(),
    "det": lambda x: np.sin(LA.det(x)),
    "det of a stack": lambda x: sin(LA.det(pair(x))).sum(),
    "slogdet": lambda x: (lambda r: r[0] * r[1] + r.logabsdet**2)(LA.slogdet(x)),
    "cholesky": lambda x: sin(LA.cholesky(x @ x.T + S)).sum(),
    "cholesky upper": lambda x: sin(LA.cholesky(x @ x.T + S, upper=True)).sum(),
    "cholesky of a triangle": lambda x: sin(LA.cholesky(np.tril(x) * 0.1 + S + np.triu(W, 1))).sum(),
    "cholesky of a stack": lambda x: sin(LA.cholesky(np.stack([x @ x.T + S, S + x**2 * np.eye(N)]))).sum(),
    "eigh": lambda x: spectrum(LA.eigh(x + x.T)),
    "eigh of a triangle": lambda x: spectrum(LA.eigh(x)) + spectrum(LA.eigh(x, "U")),
    "eigh of a stack": lambda x: spectrum(LA.eigh(pair(x + x.T))),
    "eigvalsh": lambda x: sin(LA.eigvalsh(x)).sum() + sin(LA.eigvalsh(x, UPLO="u")).sum(),
    "svd": lambda x: spectrum(LA.svd(x)),
    "svd, thin": lambda x: spectrum(LA.svd(x[:, :3], full_matrices=False)) + spectrum(LA.svd(x[:3], False)),
    "svd, full": lambda x: projector(LA.svd(x[:, :3])[0]) + projector(LA.svd(x[:3])[2].T) + LA.svd(x[:3]).S[1],
    "svd of a stack": lambda x: spectrum(LA.svd(pair(x))),
    "svd, hermitian": lambda x: spectrum(LA.svd(x + x.T, hermitian=True)) + sin(
        LA.svd(x + x.T, hermitian=True, compute_uv=False)).sum(),
    "svdvals": lambda x: sin(LA.svdvals(x)).sum() + sin(LA.svd(x[:3], compute_uv=False)).sum(),
    "qr": lambda x: (lambda r: (r[0]**2 * W).sum() + (r[1]**2 * W).sum())(LA.qr(x)),
    "qr, tall": lambda x: (lambda r: (r.Q**2 * W[:, :3]).sum() + (r.R**2).sum())(LA.qr(x[:, :3])),
    "qr, wide": lambda x: (lambda r: (r[0]**2 * W[:3, :3]).sum() + (r[1]**2 * W[:3]).sum())(LA.qr(x[:3])),
    "qr, complete": lambda x: (lambda r: projector(r[0]) + sin(r[1]**2).sum())(LA.qr(x[:, :3], mode="complete")),
    "qr, r": lambda x: sin(LA.qr(pair(x)[..., :4], mode="r")**2).sum(),
    "pinv": lambda x: sin(LA.pinv(x[:, :3])).sum() + sin(LA.pinv(x[:3])).sum(),
    "pinv of rank 2": lambda x: sin(LA.pinv(x[:, :2] @ x[:2], rtol=1e-10)).sum(),
    "pinv, hermitian": lambda x: sin(LA.pinv(x, hermitian=True)).sum(),
    "lstsq": lambda x: (lambda r: sin(r[0]).sum() + r[1].sum() + sin(r[3]).sum() + r[2])(LA.lstsq(x[:, :3], W)),
    "lstsq, one vector": lambda x: (lambda r: sin(r[0]).sum() + r[1][0])(LA.lstsq(x[:, :3], x[:, 3])),
    "lstsq, wide": lambda x: sin(LA.lstsq(x[:3], b[:3])[0]).sum(),
    "lstsq of rank 2": lambda x: sin(LA.lstsq(x[:, :2] @ x[:2], b, rcond=1e-10)[0]).sum(),
    "lstsq with a constant matrix": lambda x: sin(LA.lstsq(W[:, :2], x)[0]).sum(),
    "cond": lambda x: LA.cond(x) + LA.cond(x, -2) + LA.cond(x, 1) + LA.cond(x, "fro") + LA.cond(pair(x)).sum(),
    "norms": lambda x: LA.norm(x, "nuc") + LA.norm(x, 2) * LA.norm(x, -2) + LA.norm(x, 2, axis=(1, 0)) + sum(
        LA.norm(x, o) for o in (1, -1, np.inf, -np.inf, "fro", None)),
    "norms of a stack": lambda x: sin(LA.norm(pair(x), "nuc", axis=(0, 2), keepdims=True)).sum() + sin(
        LA.matrix_norm(pair(x), ord=2)).sum() + sin(LA.norm(pair(x), 3, axis=1)).sum(),
    "matrix_power": lambda x: sin(LA.matrix_power(x, -2)).sum() + sin(LA.matrix_power(pair(x), 3)).sum(),
    "matrix_rank": lambda x: LA.matrix_rank(x) * x[0, 0] + (LA.matrix_rank(pair(x)) * x[0, :2]).sum(),
    "multi_dot": lambda x: sin(LA.multi_dot([x[0], x, W, x[1]])),
    "tensorsolve": lambda x: sin(LA.tensorsolve(x[:4, :4].reshape(2, 2, 4), x[0, :4].reshape(2, 2))).sum(),
    "tensorsolve, axes": lambda x: sin(LA.tensorsolve(x[:4, :4].reshape(2, 4, 2), b[:4], axes=(0, 2))).sum(),
    "tensorinv": lambda x: sin(LA.tensorinv(x[:4, :4].reshape(2, 2, 4))).sum(),
    "polyfit": lambda x: sin(np.polyfit(x[0], x[1:3].T, 2)).sum() + sin(np.polyfit(x[0], x[1], 1, w=b**2)).sum(),
    "polyfit, covariance": lambda x: sin(np.polyfit(x[0], x[1], 1, cov=True)[1]).sum(),
    "poly and polydiv": lambda x: sin(np.poly(x[0])).sum() + sum(sin(v).sum() for v in np.polydiv(x[0], x[1, :3])),
    "products": lambda x: sin(LA.vecdot(x, W)).sum() + sin(LA.cross(x[:, :3], x[:, 1:4])).sum() + sin(
        LA.outer(x[0], b)).sum() + LA.trace(x) + sin(LA.diagonal(x)).sum() + LA.vector_norm(x) + sin(
        LA.matrix_transpose(x)).sum() + sin(LA.vecdot(x, W, axis=0)).sum() + LA.matrix_norm(x) + LA.tensordot(x, x),
}


@pytest.mark.parametrize("name", FORMS)
def test_forms(name):
    """Value as NumPy's at two points, derivatives of two orders, tiers and file in the same bits, lanes alike."""
    f = FORMS[name]
    tape = ad.record(f, A)
    for x in (A, A + 0.01 * W):
        np.testing.assert_allclose(tape(x), f(x), rtol=1e-9, atol=1e-11)
    ad.check_derivatives(f, A, directions=1).raise_if_failed()
    value, gradient = tape(A), tape.gradient(A)
    again = pickle.loads(pickle.dumps(tape))
    assert again(A) == value and np.array_equal(again.gradient(A), gradient)
    tape.compile()
    assert tape(A) == value
    np.testing.assert_allclose(tape.gradient(A), gradient, rtol=1e-9, atol=1e-9 * abs(gradient).max())


@pytest.mark.parametrize("name", [name for name in FORMS if "lstsq" not in name])
def test_lanes(name):
    """A batch of points, and a batch of tangents and of seeds at one point, give what the points give one by one."""
    f = FORMS[name]
    tape = ad.record(f, A)
    points = np.stack([A, A + 0.01 * W, A - 0.01 * W])
    np.testing.assert_allclose(tape.batch(3)(points), [f(x) for x in points], rtol=1e-9, atol=1e-11)
    gradient = tape.vjp_tape().batch(3)(points, np.ones(3))[-1]
    np.testing.assert_allclose(gradient, [tape.gradient(x) for x in points], rtol=1e-8,
                               atol=1e-8 * abs(gradient).max())


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_jacobians_share_the_factors(mode):
    """One matrix, many right-hand sides: the factors are computed once, and not for each lane."""
    def f(x):
        return LA.solve(S, x) + LA.solve(S, 2 * x)
    want = 3 * LA.inv(S)
    np.testing.assert_allclose(ad.jacobian(f, mode=mode)(b), want, rtol=1e-12, atol=1e-13)


def test_one_factorization_serves_all():
    tape = ad.record(lambda x: LA.solve(x, b).sum() + LA.det(x) + LA.inv(x).sum() + LA.slogdet(x)[1], S)
    tape.compile()
    assert str(tape.derived["gradient program"].tape).count("= lu(") == 1


# ---- the triangle that is not read -----------------------------------------------------------------------------------

@pytest.mark.parametrize("f, lower", [
    (lambda x: LA.cholesky(x).sum(), True), (lambda x: LA.cholesky(x, upper=True).sum(), False),
    (lambda x: LA.eigvalsh(x).prod(), True), (lambda x: LA.eigh(x, "U")[0].prod(), False)])
def test_only_one_triangle_has_a_derivative(f, lower):
    gradient = ad.grad(f)(S)
    assert np.array_equal(gradient, np.tril(gradient) if lower else np.triu(gradient))
    h = 1e-6 * W
    assert np.sum(gradient * h) == pytest.approx((f(S + h) - f(S - h)) / 2, rel=1e-7)


# ---- failures --------------------------------------------------------------------------------------------------------

FAILING = {
    "cholesky": (lambda x: LA.cholesky(x).sum(), -S), "inv": (lambda x: LA.inv(x).sum(), 0 * S),
    "solve": (lambda x: LA.solve(x, b).sum(), np.ones((N, N))),
    "svd": (lambda x: LA.svd(x)[1].sum(), np.full((N, N), np.nan)),
    "pinv": (lambda x: LA.pinv(x).sum(), np.full((N, N), np.nan)),
    "lstsq": (lambda x: LA.lstsq(x, b)[0].sum(), np.full((N, N), np.nan)),
    "one of a stack": (lambda x: LA.inv(np.stack([x + S, x])).sum(), 0 * S),
}


@pytest.mark.parametrize("name", FAILING)
def test_errors_are_numpys(name):
    """The same text at the same call while recording; at a replay a LinAlgError that names the line."""
    f, bad = FAILING[name]
    with pytest.raises(LA.LinAlgError) as theirs:
        f(bad)
    text = str(theirs.value)
    with pytest.raises(LA.LinAlgError) as ours:
        ad.record(f, bad)
    assert str(ours.value) == text
    tape = ad.record(f, S)
    for sweep in (tape, tape.gradient, tape.forward):
        with pytest.raises(LA.LinAlgError, match=f"{text} .*test_linalg.py:"):
            sweep(bad)
    tape.compile()
    with pytest.raises(LA.LinAlgError, match=f"{text} .*test_linalg.py:"):
        tape(bad)
    assert tape(S) == pytest.approx(f(S), rel=1e-13)     # LAPACK of SciPy, which may be another build than NumPy's
    g = ad.grad(f)
    g(S)
    with pytest.raises(LA.LinAlgError, match=f"^{text}$"):      # f itself runs, and says it
        g(bad)


@pytest.mark.parametrize("name, f", [
    ("cholesky", lambda x: LA.cholesky(x).sum()),
    ("solve", lambda x: LA.solve(x - S + np.diag([1, 1, 1, 1, 0]), b)[0])])
def test_an_error_that_is_caught_is_a_decision(name, f):
    good, bad = (S, -S) if name == "cholesky" else (S + np.eye(N), S)

    def g(x):
        try:
            return f(x)
        except LA.LinAlgError:
            return 7 * x.sum()
    for first, then in ((good, bad), (bad, good)):
        h = ad.value_and_grad(g)
        for x in (first, then, first):
            value, gradient = h(x)
            assert value == pytest.approx(g(x))
            assert (np.ptp(gradient) == 0) == (x is bad)


def test_a_failure_that_was_caught_in_the_sweeps():
    def f(x):
        try:
            return LA.cholesky(x).sum()
        except LA.LinAlgError:
            return (x**2).sum()
    tape = ad.record(f, -S)
    tape.forward(-S)
    np.testing.assert_allclose(tape.tangent(W), -2 * np.sum(S * W))
    np.testing.assert_allclose(tape.reverse(1.0), -2 * S)
    assert pickle.loads(pickle.dumps(tape))(-S) == f(-S)
    with pytest.raises(ad.TapeDivergence):
        tape(S)


def test_a_factor_that_nobody_uses_is_still_a_test():
    """Is the matrix positive definite?  The factor is thrown away."""
    def f(x):
        LA.cholesky(x)
        return x.sum()
    tape = ad.record(f, S).compile()
    with pytest.raises(LA.LinAlgError):
        tape(-S)


def test_a_value_without_derivative():
    """slogdet of a singular matrix is (0, -inf); its derivative is NumPy's error."""
    tape = ad.record(lambda x: LA.slogdet(x)[1], np.eye(3))
    assert tape(np.zeros((3, 3))) == -np.inf
    for verb in (ad.grad(lambda x: LA.slogdet(x)[1]), tape.gradient):
        with pytest.raises(LA.LinAlgError, match=r"Singular matrix .*test_linalg.py:"):
            verb(np.zeros((3, 3)))


@pytest.mark.parametrize("shape", [(3,), (2, 3), ()])
@pytest.mark.parametrize("f", [LA.inv, LA.det, LA.cholesky, LA.slogdet, LA.eigvalsh, LA.eigh, LA.svd, LA.qr, LA.pinv,
                               LA.cond, LA.matrix_rank, lambda x: LA.solve(x, x), lambda x: LA.lstsq(x, np.ones(7)),
                               lambda x: LA.solve(np.eye(4), x), lambda x: LA.norm(x, "nuc", axis=(0, 0)),
                               lambda x: LA.norm(x, 7, axis=(0, 1)), lambda x: LA.qr(x, "what"),
                               lambda x: LA.eigh(x, "X")])
def test_bad_shapes_and_modes(f, shape):
    """NumPy's type and text, or NumPy's result."""
    x = np.ones(shape)
    try:
        f(x)
    except Exception as error:
        with pytest.raises(type(error)) as ours:
            ad.grad(lambda x: f(x))(x)
        assert str(ours.value) == str(error)


@pytest.mark.parametrize("f, why", [
    (LA.eigvals, "complex"), (LA.eig, "complex"), (lambda x: np.roots(x[0]), "eigenvalues"), (np.poly, "complex"),
    (lambda x: LA.qr(x, "raw"), "reflectors")])
def test_refusals(f, why):
    with pytest.raises(ad.UnsupportedError, match=why):
        ad.grad(f)(S)


# ---- singular and degenerate -----------------------------------------------------------------------------------------

def test_det_of_singular_matrices():
    """The cofactors, whatever the rank."""
    singular = np.diag([1.0, 2.0, 0.0, 3.0])
    np.testing.assert_allclose(ad.grad(LA.det)(singular), np.diag([0, 0, 6.0, 0]), atol=1e-15)
    np.testing.assert_allclose(ad.grad(LA.det)(np.arange(9.0).reshape(3, 3)),
                               [[-3, 6, -3], [6, -12, 6], [-3, 6, -3]], rtol=1e-13)
    np.testing.assert_allclose(ad.grad(LA.det)(np.ones((3, 3))), 0, atol=1e-15)
    assert ad.grad(LA.det)(np.zeros((1, 1))) == 1


def test_repeated_eigenvalues():
    """Symmetric functions of the eigenvalues are differentiable; the vectors' derivative counts as 0, not as NaN."""
    for x in (np.eye(3), np.diag([2.0, 2.0, 5.0]), np.zeros((3, 3))):
        np.testing.assert_allclose(ad.grad(lambda x: (LA.eigvalsh(x)**2).sum())(x), 2 * x, atol=1e-14)
        assert np.isfinite(ad.hessian(lambda x: (LA.eigvalsh(x)**2).sum())(x)).all()
        assert np.isfinite(ad.grad(lambda x: LA.eigh(x)[1][0, 0])(x)).all()
        assert np.isfinite(ad.grad(lambda x: (LA.svd(x)[0] * LA.svd(x)[2]).sum())(x)).all()
    np.testing.assert_allclose(ad.grad(lambda x: (LA.svdvals(x)**2).sum())(np.eye(3)), 2 * np.eye(3))


def test_repeated_to_rounding():
    """A rotation of a repeated eigenvalue splits it by rounding: no garbage of size 1/rounding."""
    q = LA.qr(W)[0]
    x = q * [1.0, 1.0, 1.0, 2.0, 3.0] @ q.T
    gradient = ad.grad(lambda x: (LA.eigh(x)[1]**2 * W).sum())(x)
    assert abs(gradient).max() < 1e3


# ---- empty arrays ----------------------------------------------------------------------------------------------------

EMPTY = {"inv": LA.inv, "det": LA.det, "cholesky": LA.cholesky, "eigvalsh": LA.eigvalsh, "pinv": LA.pinv,
         "svdvals": LA.svdvals, "q": lambda x: LA.qr(x)[0], "r": lambda x: LA.qr(x, "complete")[1],
         "slogdet": lambda x: LA.slogdet(x)[1], "u": lambda x: LA.svd(x)[0], "vt": lambda x: LA.svd(x, False)[2],
         "solve": lambda x: LA.solve(x, x)}


@pytest.mark.parametrize("shape", [(0, 0), (0, 3, 3), (2, 0, 0), (0, 3), (3, 0), (2, 3, 0)])
@pytest.mark.parametrize("name", EMPTY)
def test_empty(name, shape):
    f, x = EMPTY[name], np.zeros(shape)
    try:
        want = f(x)
    except LA.LinAlgError as error:
        with pytest.raises(LA.LinAlgError, match=str(error)):
            ad.grad(f)(x)
        return
    (_, got), _ = ad.value_and_grad(lambda a, x: (a + f(x).sum(), f(x)), has_aux=True)(1.0, x)
    assert np.shape(got) == np.shape(want) and np.array_equal(got, want)


# ---- files that lie --------------------------------------------------------------------------------------------------

def test_pivots_from_anywhere():
    """Factors with row numbers outside of the matrix end in an error, not in other memory."""
    factors = np.concatenate([np.eye(2).ravel(), np.array([10**9, -7], np.int32).view(float), [0.0]]).view(np.int64)
    tape = T.Tape()
    x = [tape.emit_input(T.aval(0, (2, 2))), tape.emit_input(T.aval(0, (2, 1))), tape.emit_const(factors)]
    tape.set_outputs([tape.emit("lapack", x, T.aval(0, (2, 1)), T.Lapack("lusolve", 1, 0, 2, 1))])
    with pytest.raises(LA.LinAlgError):
        tape.finish().sweep([np.eye(2), np.ones((2, 1))])


def test_listing():
    text = str(ad.record(lambda x: LA.solve(x, b).sum() + LA.cholesky(x).sum(), S))
    assert "= lu(x)" in text and "= lusolve(x, c0, v1)" in text and "= chol(x)" in text
    assert "factor" not in str(ad.debug_nonfinite(lambda x: LA.slogdet(x)[1], S))
    assert "logdet" in str(ad.debug_nonfinite(lambda x: LA.slogdet(x)[1], 0 * S))


@pytest.mark.parametrize("shape", [(), (0,), (3,), (0, 3), (3, 0), (0, 2, 2), (2, 2, 0)])
@pytest.mark.parametrize("order", [None, 0, 1, -1, 2, -2, 3, np.inf, -np.inf, "fro", "nuc"])
def test_norms_are_numpys_for_every_shape(shape, order):
    """The value, or an error where NumPy has one (or, recorded, a refusal)."""
    x = np.arange(1.0, 1 + np.prod(shape, dtype=int)).reshape(shape) if shape else np.float64(2.5)
    for f in (lambda v: LA.norm(v, order), lambda v: LA.vector_norm(v, ord=order),
              lambda v: LA.matrix_norm(v, ord=order), lambda v: LA.norm(v, order, axis=0, keepdims=True)):
        kept = []

        def recorded(v, f=f, kept=kept):
            kept.append(ad.peek(f(v)))
            return np.sum(v)
        try:
            with np.errstate(all="ignore"):
                want = f(x)
        except (ValueError, TypeError, np.linalg.LinAlgError, ZeroDivisionError):
            with pytest.raises((ValueError, TypeError, np.linalg.LinAlgError, ZeroDivisionError)):
                ad.record(recorded, x)
            continue
        try:
            with np.errstate(all="ignore"):
                ad.record(recorded, x)
        except ad.UnsupportedError:
            continue
        assert np.shape(kept[0]) == np.shape(want)
        np.testing.assert_allclose(kept[0], want, rtol=1e-13)
