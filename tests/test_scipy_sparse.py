"""scipy.sparse matrices with traced entries: how they are made, what is done with them, systems that are solved.

Owns: tables of expressions, each with SciPy's value at the point of recording and at another one, with derivatives of
first and second order; derivatives of higher order, batches, refusals.
Next: test_sparse_products.py (matrices of constants).
"""
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.sparse.linalg as spla

import fastad as ad
from fastad.errors import TapeDivergence, TapeFileError, UnsupportedError

N = 5
ROWS = np.array([0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 0, 1])
COLUMNS = np.array([0, 1, 1, 2, 2, 3, 3, 4, 4, 0, 0, 3])      # (0, 0) is there twice
X = np.array([3.1, -0.7, 2.6, 0.4, 3.3, -0.5, 2.8, 0.9, 3.7, -0.3, 0.6, 0.2])
X2 = np.array([2.1, 0.7, -2.6, 0.5, 2.9, 0.5, 3.8, -0.9, 2.7, 0.3, -0.4, 0.7])
B = np.array([1.0, -2.0, 0.5, 3.0, 1.5])
C = sp.csr_matrix((np.arange(1.0, 7.0), ([0, 1, 2, 3, 4, 4], [4, 1, 0, 3, 4, 2])), shape=(N, N))
D = np.arange(25.0).reshape(N, N) / 10
SELECT = np.array([0, 2, 3])


def csr(x, cls=sp.csr_matrix):
    return cls((x, (ROWS, COLUMNS)), shape=(N, N))


def arr(x):
    return sp.csr_array((x, (ROWS, COLUMNS)), shape=(N, N))


def full(a):
    return a.toarray()


def written(a, key, value):
    a[key] = value
    return full(a)


def with_diagonal(a, values, k=0):
    a.setdiag(values, k)
    return full(a)


MADE = {
    "csr": lambda x: full(csr(x)),
    "csc": lambda x: full(csr(x, sp.csc_matrix)),
    "coo": lambda x: full(csr(x, sp.coo_matrix)),
    "coo of a list": lambda x: full(sp.coo_matrix(([x[0], 2.0, x[1] * x[2]], ([0, 1, 1], [1, 0, 1])), shape=(2, 3))),
    "without a shape": lambda x: full(sp.csr_array((x, (ROWS, COLUMNS)))),
    "indptr": lambda x: full(sp.csr_matrix((x[:5], [0, 2, 1, 0, 2], [0, 2, 3, 5]), shape=(3, 3))),
    "indptr of columns": lambda x: full(sp.csc_array((x[:5], [0, 2, 1, 0, 2], [0, 2, 3, 5]))),
    "dia": lambda x: full(sp.dia_matrix((x[:10].reshape(2, 5), [0, -2]), shape=(4, 5))),
    "of another": lambda x: full(sp.csc_matrix(csr(x))),
    "int to float": lambda x: full(sp.csr_matrix((x[:2].astype(int) * x[0], ([0, 1], [1, 0])), shape=(2, 2))),
    "diags": lambda x: full(sp.diags([x[:5], x[5:9], x[:3]], [0, 1, -2])),
    "diags of one": lambda x: full(sp.diags(x[:4])),
    "diags repeated": lambda x: full(sp.diags([x[0], -2.0, 1.0], [-1, 0, 2], shape=(5, 4), format="csr")),
    "diags of all": lambda x: full(sp.diags([x[:5], x[:4]], [0, -1], shape=(5, 5), format="csc")),
    "diags_array": lambda x: full(sp.diags_array([x[:4], x[4:7]], offsets=[0, 1])),
    "spdiags": lambda x: full(sp.spdiags(x.reshape(2, 6), [0, 2], 5, 6)),
    "kron": lambda x: full(sp.kron(sp.diags(x[:2]), C)),
    "kron of arrays": lambda x: full(sp.kron(sp.csr_array(C), arr(x), format="csc")),
    "vstack": lambda x: full(sp.vstack([csr(x), C, csr(x**2)])),
    "hstack": lambda x: full(sp.hstack([C, csr(x)], format="csr")),
    "bmat": lambda x: full(sp.bmat([[csr(x), None], [C, sp.diags(x[:5])]])),
    "block_array": lambda x: full(sp.block_array([[arr(x), None], [None, sp.csr_array(C)]])),
    "lil": lambda x: full(sp.lil_matrix(csr(x))),
    "block_diag": lambda x: full(sp.block_diag([csr(x), C])),
    "tril": lambda x: full(sp.tril(csr(x), -1)) + full(sp.triu(csr(x))),
    "find": lambda x: sp.find(csr(x))[2],
}
DONE = {
    "times vector": lambda x: csr(x) @ B + csr(x).dot(B) + csr(x) * B,
    "times traced vector": lambda x: csr(x) @ x[:5],
    "times columns": lambda x: csr(x, sp.csc_matrix) @ D[:, :3],
    "from the right": lambda x: B @ csr(x),
    "columns from the right": lambda x: D[:2] @ csr(x),
    "traced from the right": lambda x: x[:5] @ csr(x),
    "coo times vector": lambda x: csr(x, sp.coo_matrix) @ B,
    "two": lambda x: full(csr(x) @ csr(x[::-1])),
    "two, of constants": lambda x: full(C @ csr(x) @ C.T) + full(csr(x) @ C),
    "two matrices by *": lambda x: full(csr(x) * C) + full(C * csr(x)),
    "two arrays by *": lambda x: full(arr(x) * sp.csr_array(C)) + full(sp.csr_array(C) * arr(x)),
    "sums": lambda x: full(csr(x) + C - csr(x).T + C) + full(C - csr(x)) + full(sum([csr(x), csr(x)])),
    "constants and a diagonal": lambda x: np.abs(full(C - sp.diags(1j * x[:5]))) + full((C + sp.diags(x[:5])) @ C),
    "numbers": lambda x: full(2.0 * csr(x) * x[0] / 3.0) + full(-csr(x) / x[1]),
    "a matrix of constants by numbers": lambda x: full(C * x[0]) + full(x[1] * C) + full(C / x[2]) - full(x[0] * C.T),
    "constants, entry by entry": lambda x: full(C.multiply(x[:5])) + full(C.multiply(csr(x))),
    "entry by entry": lambda x: full(csr(x).multiply(D)) + full(csr(x).multiply(B[:, None]) + arr(x).multiply(x[:5])),
    "entry by entry of a sparse one": lambda x: full(csr(x).multiply(C.T + csr(x))),
    "powers": lambda x: full(csr(x)**2) + full(arr(x)**2) + full(csr(x).power(3)),
    "functions": lambda x: full(abs(csr(x)).sqrt()) + full(csr(x).expm1().sin()),
    "transposed": lambda x: full(csr(x).T + csr(x).transpose()) + full(csr(x).T.T),
    "element": lambda x: csr(x)[0, 0] * csr(x)[1, 3] + csr(x)[4, 1],
    "row and column": lambda x: full(csr(x)[1]) @ full(csr(x)[:, 3]) + full(csr(x).getrow(0)) @ full(csr(x).getcol(1)),
    "block": lambda x: full(csr(x)[SELECT][:, SELECT]) + full(csr(x)[np.ix_(SELECT, SELECT)]),
    "slices": lambda x: full(csr(x, sp.csc_matrix)[1:, ::2]) + full(csr(x)[:4, B > 0][:, :3]),
    "points": lambda x: np.asarray(csr(x)[[0, 1, 4], [0, 3, 1]]).ravel(),
    "row sums of a matrix": lambda x: np.asarray(csr(x).sum(axis=1)).ravel() + np.asarray(csr(x).mean(0)).ravel(),
    "row sums as arrays": lambda x: csr(x).sum(axis=1).A1 + np.ravel(csr(x).mean(0)) + np.squeeze(csr(x).sum(1).A),
    "Laplacian": lambda x: full(sp.diags(np.array(csr(x).sum(axis=1)).flatten()) - csr(x)),
    "diagonal": lambda x: csr(x).diagonal() + csr(x, sp.coo_matrix).diagonal(),
    "upper diagonal": lambda x: csr(x).diagonal(1) * csr(x).trace(),
    "row sums": lambda x: np.asarray(arr(x).sum(axis=1)) + arr(x).mean(axis=0) * arr(x).sum(),
    "data": lambda x: csr(x).data * csr(x, sp.csc_matrix).data + csr(x).tocoo().data,
    "formats": lambda x: full(csr(x).tocsc().tocoo().tolil().tocsr().asformat("csc").copy()),
    "reshaped": lambda x: full(csr(x).reshape((1, 25))),
    "data changed in place": lambda x: changed_data(x),
    "row written": lambda x: written(csr(x), (0, slice(None)), 0.0),
    "elements written": lambda x: written(csr(x).tolil(), (1, 3), x[0] * x[1]),
    "block written": lambda x: written(csr(x), (slice(0, 2), slice(0, 2)), np.reshape(x[:4], (2, 2))),
    "diagonal written": lambda x: with_diagonal(csr(x), x[:5]**2) + with_diagonal(csr(x), 3.0, 1),
    "a number times in place": lambda x: in_place(csr(x), x[0]),
    "complex": lambda x: np.abs(full(csr(x * 1j + x**2) @ csr(x) + C)) + np.abs(csr((1 + 2j) * x) @ (B + 1j))[:, None],
    "complex conjugate": lambda x: (full(csr(x * 1j).conj() + csr(x * (2 - 1j)).getH()) * (1 + 1j)).real,
}
SOLVED = {
    "spsolve": lambda x: spla.spsolve(csr(x), B),
    "spsolve of csc, traced": lambda x: spla.spsolve(csr(x, sp.csc_matrix), x[:5]),
    "spsolve of columns": lambda x: spla.spsolve(csr(x), D[:, :2]),
    "spsolve of one column": lambda x: spla.spsolve(csr(x), D[:, :1]),
    "spsolve of constants": lambda x: spla.spsolve(C + 3 * sp.identity(N), x[:5]),
    "spsolve of whole numbers": lambda x: spla.spsolve(csr(x), np.arange(5)),
    "spsolve of a complex side": lambda x: np.abs(spla.spsolve(csr(x), B + 1j * x[:5])),
    "spsolve, complex": lambda x: np.abs(spla.spsolve(csr(x * (1 + 0.3j)) + 1j * C, B * (1 - 2j))),
    "spsolve, complex and real": lambda x: spla.spsolve(csr(x + 0.3j * x**2).tocsc(), x[3:8]).imag,
    "spsolve, permuted": lambda x: spla.spsolve(csr(x), B, permc_spec="MMD_AT_PLUS_A"),
    "splu": lambda x: factors_used(spla.splu(csr(x).tocsc())),
    "splu, complex": lambda x: np.abs(factors_used(spla.splu(csr(x * (1 + 0.2j)).tocsc()))),
    "splu of constants": lambda x: spla.splu((C + 3 * sp.identity(N)).tocsc()).solve(x[:5]),
    "factorized": lambda x: spla.factorized(csr(x).tocsc())(B),
    "triangular": lambda x: spla.spsolve_triangular(sp.tril(csr(x)).tocsr(), B),
    "upper triangle": lambda x: spla.spsolve_triangular(sp.triu(csr(x)).tocsr(), B, lower=False),
}


def changed_data(x):
    a = csr(x)
    a.data[2:4] *= x[0]
    a.data = a.data * 2.0
    return full(a)


def in_place(a, number):
    a *= number
    a /= 3.0
    a += C
    return full(a)


def factors_used(factors):
    b = np.array(B)
    for trans in "NTH":
        b = factors.solve(b, trans) if trans != "N" else factors.solve(b)
    return b


def filled(cls, x):
    a = cls((N, N))
    a[0, 0] = 2.0                                # a number before the first traced one
    for k, (i, j) in enumerate(zip(ROWS, COLUMNS, strict=True)):
        a[i, j] += x[k] * (1 + a[0, 0])
    a[-1, 0] = 3.0
    return full(a.tocsr() @ a)


def added_up(x):
    a = sp.dok_matrix((N, N))
    for i, j, v in zip([0, 1, 0, 1], [1, 1, 1, 2], x[:4], strict=True):
        a[i, j] = a[i, j] + v if (i, j) in a else 3 * v
    return full(a) * len(a)


def with_data(x, use):
    a = C.copy()
    a.data = a.data * x[:6]
    return use(a)


FILLED = {
    "lil": lambda x: filled(sp.lil_matrix, x),
    "lil array": lambda x: filled(sp.lil_array, x),
    "dok": lambda x: filled(sp.dok_matrix, x),
    "dok, whether there is a number": added_up,
    "dok of a diagonal": lambda x: full(sp.diags(x).todok()) + full(sp.dok_array(sp.diags_array(x))),
    "lil, then a row": lambda x: written(filled_row(x), (2, slice(None)), x[:5]),
    "constants written": lambda x: written(C.tocsc(), (1, 1), x[0]) + written(C.copy(), ([0, 1], [1, 1]), x[:2]),
    "data set": lambda x: with_data(x, lambda a: a @ B + B @ a + a.dot(x[:5])),
    "data set, then sums": lambda x: full(with_data(x, lambda a: a + C - a.T + C @ a + (C + a) * 2.0)),
    "data set, then solved": lambda x: with_data(x, lambda a: spla.spsolve(a + 3 * sp.identity(N), B)),
    "data set and solved": lambda x: spla.spsolve(with_data(x, lambda a: sp.csc_matrix(a) + sp.csc_matrix(a.T)
                                                            + 9 * sp.identity(N, format="csc")), B),
}


def filled_row(x):
    a = sp.lil_matrix((N, N))
    a[1, 2] = x[0]
    a[3, :] = x[:5]
    a[3, 1] = a[3, 0] * x[1]
    return a


def dense(y):
    return np.asarray(y.todense()) if sp.issparse(y) else np.asarray(y)


@pytest.mark.filterwarnings("ignore::scipy.sparse.SparseEfficiencyWarning")
@pytest.mark.parametrize("f", [*MADE.values(), *DONE.values(), *SOLVED.values(), *FILLED.values()],
                         ids=[*MADE, *DONE, *SOLVED, *(f"{name} filled" for name in FILLED)])
def test_values_and_derivatives(f):
    tape = ad.record(f, X)
    for x in (X, X2):
        np.testing.assert_allclose(dense(tape(x)), dense(f(x)), rtol=1e-11, atol=1e-12)
        assert np.shape(tape(x)) == np.shape(f(x)) and dense(tape(x)).dtype == dense(f(x)).dtype
    weight = np.cos(np.arange(np.size(f(X)))).reshape(np.shape(f(X)))
    ad.check_derivatives(lambda x: np.sum(weight * f(x)**2), X, directions=1).raise_if_failed()


def misfit(x):
    return np.sum(np.sin(spla.spsolve(csr(x), x[:5])))


def complex_misfit(x):
    return np.sum(np.abs(spla.spsolve(csr(x * (1 + 0.3j)), x[:5] - 1j))**2)


@pytest.mark.parametrize("f", [misfit, complex_misfit])
def test_derivatives_of_third_order(f):
    v = np.cos(np.arange(12.0))

    def second(x):
        return v @ ad.hvp(f)(x, v)
    h = 1e-5
    got = ad.grad(second)(X) @ v
    assert got == pytest.approx((second(X + h * v) - second(X - h * v)) / (2 * h), rel=1e-5)


@pytest.mark.parametrize("f", [misfit, complex_misfit])
def test_compiled_batches_and_forward_mode(f):
    tape = ad.record(f, X).compile()
    gradient = tape.gradient(X2)
    y, pullback = ad.vjp(f, X2)
    np.testing.assert_allclose(gradient, pullback(1.0)[0], rtol=1e-11)
    assert ad.jvp(f, (X2,), (X,))[1] == pytest.approx(gradient @ X, rel=1e-11)
    many = np.stack([X, X2, X + 0.1])
    np.testing.assert_allclose(ad.batch(ad.grad(f))(many), [ad.grad(f)(x) for x in many], rtol=1e-11)
    np.testing.assert_allclose(ad.batch(ad.hessian(f))(many)[1], ad.hessian(f)(X2), rtol=1e-9)


def test_a_jacobian_is_exact():
    def f(x):
        return spla.spsolve(csr(x), B)
    J = ad.jacobian(f)(X)
    inverse = np.linalg.inv(csr(X).toarray())
    want = -inverse[:, ROWS] * f(X)[COLUMNS]
    np.testing.assert_allclose(J, want, rtol=1e-12, atol=1e-14)


def implicit(x, loop):
    """Heat through a rod of ten conductances by implicit steps, one factorization for all."""
    k = np.exp(x)
    A = sp.diags([np.r_[k, 0.0] + np.r_[0.0, k] + 1.0, -k, -k], [0, 1, -1], format="csc")
    lu = spla.splu(A)
    u = np.sin(np.arange(13.0))
    if loop == "scan":
        return np.sum(ad.scan(lambda u, _: (lu.solve(u), None), u, length=20)[0]**2)
    for _ in range(20):
        u = lu.solve(u)
    return np.sum(u**2)


def test_time_steps_by_one_factorization(monkeypatch):
    made = []
    monkeypatch.setattr(spla, "splu", lambda *args, own=spla.splu, **kwargs: made.append(0) or own(*args, **kwargs))
    g = ad.grad(lambda x: implicit(x, "python"), audit=False)
    g(X)
    made.clear()
    want = g(X2)
    assert len(made) <= 1                        # of the matrix at this point, for all steps there and back
    np.testing.assert_allclose(ad.grad(lambda x: implicit(x, "scan"))(X2), want, rtol=1e-12)
    np.testing.assert_array_equal(ad.grad(lambda x: implicit(x, "scan"), memory="1MB")(X2),
                                  ad.grad(lambda x: implicit(x, "scan"), memory="1GB")(X2))
    ad.check_derivatives(lambda x: implicit(x, "python"), X).raise_if_failed()


def test_a_matrix_of_constants_is_read_again():
    constant = sp.csr_matrix(C)

    def f(x):
        return np.sum((csr(x) + constant) @ (constant @ csr(x) @ B))
    tape = ad.record(f, X)
    assert tape(X) == pytest.approx(f(X))
    constant.data[:] *= 2.0
    assert tape(X2) == pytest.approx(f(X2), rel=1e-12)


def test_singular_matrices():
    def f(x):
        return np.sum(spla.spsolve(sp.diags(x, format="csc"), np.ones(3)))
    tape = ad.record(f, np.ones(3))
    with pytest.warns(spla.MatrixRankWarning):
        assert np.isnan(tape([1.0, 0.0, 2.0]))
    assert tape([1.0, 2.0, 4.0]) == pytest.approx(1.75)
    with pytest.raises(RuntimeError, match="singular"):
        ad.grad(lambda x: np.sum(spla.splu(sp.diags(x, format="csc")).solve(np.ones(3))))(np.array([1.0, 0.0]))


def test_places_that_are_traced_are_guarded():
    def f(x, rows):
        return sp.csr_matrix((x[:2], (rows, np.argsort(x[:2]))), shape=(3, 2)) @ np.array([1.0, 10.0]) @ x[:3]
    g = ad.grad(f)
    for x, rows in ((X, [0, 1]), (X + 1, [0, 1]), (X2, [0, 1]), (-X, [0, 1]), (X, [2, 1])):
        rows = np.array(rows)
        h = 1e-6 * np.cos(np.arange(12.0))
        assert g(x, rows) @ h == pytest.approx((f(x + h, rows) - f(x - h, rows)) / 2, rel=1e-6)
    assert g.stats().recordings == 3
    with pytest.raises(TapeDivergence):
        ad.record(f, X, np.array([0, 1]))(X, np.array([2, 1]))


def rows_of(d):
    return sp.csr_matrix((d, [0, 2, 1], [0, 1, 2, 3]))


@pytest.mark.parametrize("make", [
    lambda d: sp.csr_matrix((d, (SELECT, SELECT))), lambda d: sp.coo_matrix((d, (SELECT, SELECT))),
    lambda d: sp.coo_matrix((d, (SELECT, SELECT)), copy=True), lambda d: sp.csc_matrix((d, [0, 2, 1], [0, 1, 2, 3])),
    lambda d: sp.csc_matrix((d, [0, 2, 1], [0, 1, 2, 3]), copy=True), lambda d: sp.diags(d).tocsr(),
    lambda d: rows_of(d).T, lambda d: sp.csr_matrix((d, [0, 1, 2], [0, 1, 2, 3])).tocsc(),
    lambda d: rows_of(d).tocoo(), lambda d: sp.csc_matrix((d, [0, 2, 1], [0, 1, 2, 3])).tocoo(),
    lambda d: rows_of(d).tocoo(copy=True), lambda d: sp.coo_matrix((d, (SELECT, SELECT))).tocsr(),
    lambda d: rows_of(d).copy(), lambda d: sp.csr_matrix(rows_of(d)), lambda d: rows_of(d).asformat("coo")])
def test_memory_is_shared_where_scipy_shares_it(make):
    def f(x):
        d = x[:3] * 1.0
        a = make(d)
        d[1] = 100.0
        before = full(a)
        a.data[0] = 50.0
        return before.sum() + 2 * full(a).sum() + 3 * d.sum()
    assert ad.record(f, X)(X2) == pytest.approx(f(X2), rel=1e-14)


def test_classes_are_scipys():
    def f(x):
        a, b = csr(x), arr(x)
        assert sp.issparse(a) and isinstance(a, sp.csr_matrix) and not isinstance(a, sp.csc_matrix)
        assert isinstance(b, sp.csr_array) and isinstance(b.T, sp.csc_array) and isinstance(b.tocoo(), sp.coo_array)
        assert a.format == "csr" and a.shape == (N, N) and a.nnz == 11 and a.dtype == float and len(a.indptr) == N + 1
        assert isinstance(sp.diags(x), sp.dia_matrix) and "traced" in repr(a)
        return a.sum()
    ad.record(f, X)
    assert type(csr(X)) is sp.csr_matrix and type(csr(X).T) is sp.csc_matrix


REFUSED = {
    "dense": (lambda x: sp.csr_matrix(np.outer(x, x)), "rows, columns and values"),
    "todense": (lambda x: csr(x).todense(), "toarray"),
    "plus dense": (lambda x: csr(x) + D, "toarray"),
    "cg": (lambda x: spla.cg(csr(x), B), "spsolve"),
    "gmres": (lambda x: spla.gmres(C, x[:5]), "spsolve"),
    "eigsh": (lambda x: spla.eigsh(csr(x)), "eigh"),
    "times matrix": (lambda x: csr(x).sum(axis=1).T, "np.asarray"),
    "max": (lambda x: csr(x).max(), "traced entries"),
    "comparison": (lambda x: csr(x) > 1.0, ".data"),
    "factors": (lambda x: spla.splu(csr(x).tocsc()).L, "solve"),
    "written outside": (lambda x: C.__setitem__((0, 0), x[0]), "inside"),
    "data of lil": (lambda x: csr(x).tolil().data, "tocsr"),
    "sparse side": (lambda x: spla.spsolve(csr(x), C), "toarray"),
    "options": (lambda x: spla.splu(csr(x).tocsc(), options={"Equil": False}), "options="),
    "one over": (lambda x: 1.0 / csr(x), "infinite"),
}


@pytest.mark.parametrize("f, why", REFUSED.values(), ids=REFUSED)
def test_refused(f, why):
    with pytest.raises(UnsupportedError, match=why):
        ad.record(f, X)


def test_operators_of_numpys_matrices_are_loud():
    for f in (lambda x: csr(x).sum(axis=1) * x[:5], lambda x: x[:5] * csr(x).sum(axis=0), lambda x: B + csr(x).sum(0)):
        with pytest.raises(TypeError):
            ad.record(f, X)


def test_shapes_that_do_not_fit_are_scipys_errors():
    for f in (lambda x: csr(x) @ x[:4], lambda x: csr(x) @ sp.diags(x), lambda x: csr(x) + sp.diags(x),
              lambda x: spla.spsolve(csr(x)[:4], B), lambda x: spla.spsolve(csr(x), B[:4]),
              lambda x: spla.splu(csr(x)[:4].tocsc()), lambda x: sp.csr_matrix((x, (ROWS, COLUMNS)), shape=(3, 3)),
              lambda x: sp.coo_matrix((x[1:], (ROWS, COLUMNS)))):
        with pytest.raises(ValueError) as ours:
            ad.record(f, X)
        with pytest.raises(ValueError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            f(X)
        assert str(ours.value)


def test_a_tape_with_a_sparse_system_says_that_no_file_holds_it(tmp_path):
    with pytest.raises((TapeFileError, UnsupportedError), match="sparse"):
        ad.record(misfit, X).save(tmp_path / "tape")
