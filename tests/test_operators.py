"""linear_operator: products with a Jacobian that is never formed, against the formed one, and in the solvers of others.

Owns: SciPy's lsmr, lsqr, cg, svds and least_squares with operators, PyLops where it is installed.
Must not know: sweeps.  Next: fastad/operators.py.
"""
import numpy as np
import pytest
from scipy.optimize import least_squares
from scipy.sparse import csr_array, diags_array
from scipy.sparse.linalg import LinearOperator, aslinearoperator, cg, lsmr, lsqr, svds

import fastad as ad
from fastad import optimize, verbs
from fastad.errors import DerivativeError, UnsupportedError

RNG = np.random.default_rng(11)
A, B = RNG.normal(size=(2, 90, 13))
X = RNG.normal(size=13)


def wavy(x):
    return A @ x + np.sin(B @ x)


def formed(x=X):
    """The same Jacobian by hand."""
    return A + np.cos(B @ x)[:, None] * B


@pytest.fixture
def operator():
    return ad.linear_operator(wavy, X)


def test_is_a_linear_operator_of_float64(operator):
    assert isinstance(operator, LinearOperator) and operator.shape == (90, 13) and operator.dtype == np.float64
    np.testing.assert_allclose(operator.value, wavy(X), rtol=1e-13)


@pytest.mark.parametrize("columns", [0, 1, 2, 3, 4, 13, 64, 65, 150])
def test_products_are_those_of_the_matrix(operator, columns):
    """One sweep a column, and many columns in a sweep; more than one sweep carries, too."""
    right, left = RNG.normal(size=(13, columns)), RNG.normal(size=(90, columns))
    np.testing.assert_allclose(operator @ right, formed() @ right, atol=1e-12)
    np.testing.assert_allclose(operator.rmatmat(left), formed().T @ left, atol=1e-12)
    np.testing.assert_allclose(operator.H @ left, formed().T @ left, atol=1e-12)
    for k in range(min(columns, 2)):
        np.testing.assert_allclose(operator.matvec(right[:, k]), formed() @ right[:, k], atol=1e-12)
        np.testing.assert_allclose(operator.rmatvec(left[:, k]), formed().T @ left[:, k], atol=1e-12)


def test_products_with_what_is_complex_sparse_or_a_column(operator):
    v = RNG.normal(size=13) + 1j * RNG.normal(size=13)
    np.testing.assert_allclose(operator @ v, formed() @ v, atol=1e-12)
    assert (operator @ np.ones((13, 1))).shape == (90, 1)
    np.testing.assert_allclose(operator.matmat(csr_array(np.eye(13))), formed(), atol=1e-12)
    np.testing.assert_allclose(operator @ np.ones(13, dtype=np.float32), formed().sum(axis=1), atol=1e-12)
    with pytest.raises(ValueError, match="(?i)dimension mismatch"):
        operator @ np.ones(12)


def test_stands_at_its_point():
    """Neither a later change of x or of captured arrays, nor another operator of the same f, moves it."""
    x, scale = X.copy(), np.ones(90)

    def f(x):
        return scale * wavy(x)
    first = ad.linear_operator(f, x)
    second = ad.linear_operator(f, 2 * x)
    eye, e = np.eye(13), np.ones(13)
    np.testing.assert_allclose(first @ eye, formed(), atol=1e-12)         # compiled now, with the captured array
    x[:] = 0.0
    scale[:] = 3.0
    for product in (first @ eye, np.array([first @ u for u in eye]).T, first.T.rmatmat(eye)):
        np.testing.assert_allclose(product, formed(), atol=1e-12)
    np.testing.assert_allclose(second @ e, formed(2 * X) @ e, atol=1e-12)
    np.testing.assert_allclose(ad.linear_operator(f, X) @ eye, 3.0 * formed(), atol=1e-11)
    results = first @ e, first @ e
    results[0][:] = 0.0                                                    # fresh arrays
    np.testing.assert_allclose(results[1], formed() @ e, atol=1e-12)


def test_products_cost_one_sweep_and_no_recording():
    calls = []

    def f(x):
        calls.append(1)
        return wavy(x)
    operator = ad.linear_operator(f, X)
    seen = len(calls)
    for _ in range(5):
        operator @ np.eye(13)
        operator.T @ np.ones(90)
    assert seen == 1 and len(calls) == seen


def test_trees_are_raveled_leaf_by_leaf():
    point = {"a": np.array([[1.0, 2.0], [3.0, 4.0]]), "b": [5.0, np.array([6.0, 7.0])]}

    def f(t):
        return {"u": t["a"] * t["b"][0], "v": np.sum(t["b"][1]**2)}
    operator = ad.linear_operator(f, point)
    want = np.zeros((5, 7))
    want[:4, :4], want[:4, 4], want[4, 5:] = 5.0 * np.eye(4), [1, 2, 3, 4], [12.0, 14.0]
    np.testing.assert_allclose(operator @ np.eye(7), want)
    np.testing.assert_allclose(operator.T @ np.eye(5), want.T)
    np.testing.assert_allclose(np.array([operator @ e for e in np.eye(7)]).T, want)
    assert float(operator.value["v"]) == 85.0


@pytest.mark.parametrize("x", [[1, 2, 3], (1.0, 2.0, 3.0), np.array([1, 2, 3]), np.array([1, 2, 3], dtype=np.float32)])
def test_points_of_any_real_kind(x):
    operator = ad.linear_operator(lambda x: np.array([x[0] * x[1], x[2]**2]), x)
    np.testing.assert_array_equal(operator @ np.eye(3), [[2, 1, 0], [0, 0, 6]])
    assert operator.dtype == np.float64


def test_numbers_in_and_out_further_arguments_and_layouts():
    assert (ad.linear_operator(np.sin, 0.0) @ np.ones(1)).tolist() == [1.0]
    operator = ad.linear_operator(lambda x, k, power=1: k * x**power, np.arange(6.0).reshape(2, 3).T, 2.0, power=2)
    np.testing.assert_array_equal(operator @ np.eye(6), np.diag(4 * np.arange(6.0).reshape(2, 3).T.ravel()))


@pytest.mark.parametrize("rows, columns", [(5, 90), (90, 5), (70, 70)])
def test_column_norms(rows, columns):
    matrix = np.random.default_rng(1).normal(size=(rows, columns))
    operator = ad.linear_operator(lambda x: matrix @ x**2, np.ones(columns))
    np.testing.assert_allclose(operator.column_norms(), 2 * np.linalg.norm(matrix, axis=0))


def test_lanes_are_kept_for_all_points():
    """A solver linearises at each point; what is compiled for many columns is compiled once."""
    made = []

    class Counted(verbs.Lanes):
        def __init__(self, *args):
            made.append(1)
            super().__init__(*args)

    def f(x):
        return np.cumsum(x**3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verbs, "Lanes", Counted)
        for k in range(6):
            point = np.linspace(1.0, 2.0 + k, 8)
            np.testing.assert_allclose(ad.linear_operator(f, point) @ np.eye(8), np.tri(8) * 3 * point**2)
    assert sum(made) == 1


# ---- what cannot be --------------------------------------------------------------------------------------------------

def test_refusals():
    with pytest.raises(DerivativeError, match="int64"):
        ad.linear_operator(lambda x: np.argsort(x), X)
    with pytest.raises(DerivativeError, match="does not depend"):
        ad.linear_operator(lambda x: np.ones(3), X)
    with pytest.raises(UnsupportedError, match=r"linear_operator of .* inside a recording"):
        ad.grad(lambda x: np.sum(ad.linear_operator(wavy, x) @ X))(X)


# ---- the solvers of others -------------------------------------------------------------------------------------------

def test_least_squares_by_krylov(operator):
    b = RNG.normal(size=90)
    want = np.linalg.lstsq(formed(), b, rcond=None)[0]
    for solver in (lsmr, lsqr):
        np.testing.assert_allclose(solver(operator, b, atol=1e-14, btol=1e-14)[0], want, rtol=1e-9)
    found, status = cg(operator.T @ operator, operator.T @ b, rtol=1e-13)
    assert status == 0
    np.testing.assert_allclose(found, want, rtol=1e-9)


@pytest.mark.parametrize("solver", ["arpack", "propack", "lobpcg"])
def test_singular_values(operator, solver):
    values = np.sort(svds(operator, k=2, solver=solver, tol=1e-4, maxiter=500)[1])[::-1]
    np.testing.assert_allclose(values, np.linalg.svd(formed())[1][:2], rtol=1e-4)


@pytest.mark.parametrize("method", ["trf", "dogbox"])
def test_scipy_least_squares_takes_operators(method):
    """trf asks for products with pairs of vectors, too; x_scale="jac" refuses operators, so scale by the norms."""
    truth = np.linspace(0.5, 1.5, 13)
    data = wavy(truth)

    def residuals(x):
        return wavy(x) - data
    shapes = []

    def jacobian(x):
        operator = ad.linear_operator(residuals, x)
        inner = operator._matmat
        operator._matmat = lambda matrix: (shapes.append(matrix.shape), inner(matrix))[1]
        return operator
    start = truth + 0.05
    options = {"jac": jacobian, "method": method, "tr_solver": "lsmr", "xtol": 1e-12, "ftol": 1e-12, "gtol": 1e-12}
    scale = 1.0 / ad.linear_operator(residuals, start).column_norms()
    for solve, x_scale in ((least_squares, 1.0), (least_squares, scale), (optimize.least_squares, scale)):
        found = solve(residuals, start, x_scale=x_scale, **options)
        np.testing.assert_allclose(found.x, truth, atol=1e-8)
        assert isinstance(found.jac, LinearOperator)
    assert (method == "dogbox") or (13, 2) in shapes
    with pytest.raises(ValueError, match="x_scale='jac'"):
        least_squares(residuals, start, x_scale="jac", **options)


def test_scipy_lm_refuses_operators():
    with pytest.raises(ValueError, match="lm"):
        least_squares(wavy, X, jac=lambda x: ad.linear_operator(wavy, x), method="lm")


def test_composes_with_scipys_operators(operator):
    weights = aslinearoperator(diags_array(np.arange(1.0, 91.0)))
    np.testing.assert_allclose((weights @ operator) @ np.eye(13), np.arange(1.0, 91.0)[:, None] * formed(), rtol=1e-12)
    stacked = operator.T @ operator + 0.5 * aslinearoperator(np.eye(13))
    np.testing.assert_allclose(stacked @ X, formed().T @ (formed() @ X) + 0.5 * X, rtol=1e-12)


def test_pylops_solves_a_regularised_problem(operator, need):
    need("pylops")
    import pylops
    wrapped = pylops.aslinearoperator(operator)
    assert pylops.utils.dottest(wrapped, 90, 13, rtol=1e-10, raiseerror=True)
    smooth = pylops.SecondDerivative(13, dtype="float64")
    b = RNG.normal(size=90)
    found = pylops.optimization.leastsquares.regularized_inversion(wrapped, b, [smooth], epsRs=[3.0], atol=1e-14,
                                                                  btol=1e-14, iter_lim=1000)[0]
    rough = 3.0 * (smooth @ np.eye(13))
    want = np.linalg.lstsq(np.vstack([formed(), rough]), np.concatenate([b, np.zeros(13)]), rcond=None)[0]
    np.testing.assert_allclose(found, want, rtol=1e-7, atol=1e-9)
    stack = pylops.VStack([wrapped, smooth])
    np.testing.assert_allclose(stack @ X, np.concatenate([formed() @ X, smooth @ X]), rtol=1e-12)
