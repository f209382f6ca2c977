"""Complex arrays: values against NumPy at two points, branch cuts, derivatives, views, writes.

Derivatives are compared with central differences of plain NumPy code by `check_derivatives` (Taylor slopes of first and
second order), and with the analytic derivative where there is one.
"""

import cProfile
import operator

import numpy as np
import pytest

import fastad as ad

RNG = np.random.default_rng(5)
POINTS = [np.array([0.7, -1.3, 0.4, 2.1, -0.6, 1.5]), np.array([-0.9, 0.8, 1.7, -0.3, 0.5, -2.2])]


def halves(x):
    return x[:3] + 1j * x[3:]


def agree(f, points=POINTS, rtol=2e-15):
    """The tape gives at both points what plain f gives, in value, dtype and shape."""
    tape = ad.record(f, points[0])
    for x in points:
        got, want = tape(x), f(x)
        assert np.shape(got) == np.shape(want) and np.asarray(got).dtype == np.asarray(want).dtype
        got, want = (np.asarray(y) + 0.0 for y in (got, want))
        scale = np.maximum(np.abs(want), 1e-3 * np.max(np.abs(want), initial=0.0)) + 1e-300
        assert np.all((np.abs(got - want) <= rtol * scale) | (np.isnan(got) & np.isnan(want))), (got, want)
    return tape


def total(z):
    """A real number that depends on all parts of z in a different way."""
    w = np.arange(1.0, z.size + 1).reshape(z.shape)
    return np.sum(w * z.real**2) + np.sum(np.sin(w) * z.imag) + np.sum(z.real * z.imag)


UNARY = [
    "negative",
    "positive",
    "conjugate",
    "absolute",
    "square",
    "sqrt",
    "exp",
    "exp2",
    "expm1",
    "log",
    "log2",
    "log10",
    "log1p",
    "sin",
    "cos",
    "tan",
    "sinh",
    "cosh",
    "tanh",
    "arcsin",
    "arccos",
    "arctan",
    "arcsinh",
    "arccosh",
    "arctanh",
    "reciprocal",
    "sign",
    "rint",
    "isfinite",
    "isnan",
    "isinf",
    "logical_not",
    "angle",
    "real",
    "imag",
]


@pytest.mark.parametrize("name", UNARY)
def test_function_of_one_operand(name):
    func = getattr(np, name)
    agree(lambda x: func(halves(x)) + 0.0, rtol=3e-15)
    agree(lambda x: func((halves(x))[1]) + 0.0, rtol=3e-15)


@pytest.mark.parametrize("name", [n for n in UNARY if n not in ("rint", "isfinite", "isnan", "isinf", "logical_not")])
def test_derivatives_of_one_operand(name):
    func = getattr(np, name)
    f = (
        (lambda x: np.sum(np.arange(1, 4) * func(halves(x))))
        if name in ("absolute", "angle", "real", "imag")
        else (lambda x: total(func(halves(x))))
    )
    report = ad.check_derivatives(f, POINTS[0])
    report.raise_if_failed()


HOLOMORPHIC = {
    "exp": np.exp,
    "log": lambda z: 1 / z,
    "sqrt": lambda z: 0.5 / np.sqrt(z),
    "sin": np.cos,
    "cos": lambda z: -np.sin(z),
    "tan": lambda z: 1 / np.cos(z) ** 2,
    "tanh": lambda z: 1 / np.cosh(z) ** 2,
    "arcsin": lambda z: 1 / np.sqrt(1 - z * z),
    "arccos": lambda z: -1 / np.sqrt(1 - z * z),
    "arctan": lambda z: 1 / (1 + z * z),
    "reciprocal": lambda z: -1 / z**2,
    "arcsinh": lambda z: 1 / np.sqrt(1 + z * z),
    "arctanh": lambda z: 1 / (1 - z * z),
    "square": lambda z: 2 * z,
    "arccosh": lambda z: 1 / (np.sqrt(z - 1) * np.sqrt(z + 1)),
    "log1p": lambda z: 1 / (1 + z),
}


@pytest.mark.parametrize("name", HOLOMORPHIC)
def test_derivative_is_the_complex_one(name):
    func, z = (
        getattr(np, name),
        np.array([0.3 + 0.2j, -0.6 + 0.8j, 1.4 - 0.7j, -2.0 + 1e-3j, 2.5 - 1e-9j, 0.5j, -3 + 0j]),
    )
    x, y = z.real.copy(), z.imag.copy()
    for along, factor in ((0, 1.0), (1, 1j)):
        v = [np.zeros(7), np.zeros(7)]
        v[along] += 1.0
        (_, _), (re, im) = ad.jvp(
            lambda a, b: (lambda w: (w.real + 0.0, w.imag + 0.0))(func(a + 1j * b)), (x, y), tuple(v)
        )
        want = HOLOMORPHIC[name](z) * factor
        np.testing.assert_allclose(re + 1j * im, want, rtol=2e-12, atol=1e-13 * np.abs(want).max())


CUTS = [complex(a, b) for a in (-2.0, -1.0, -0.5, -0.0, 0.0, 0.5, 1.0, 2.0) for b in (0.0, -0.0)]
CUTS += [complex(a, b) for a in (0.0, -0.0) for b in (-2.0, -1.0, -0.5, 0.5, 1.0, 2.0)]


@pytest.mark.parametrize(
    "name",
    [
        "sqrt",
        "log",
        "log2",
        "log10",
        "log1p",
        "arcsin",
        "arccos",
        "arctan",
        "arcsinh",
        "arccosh",
        "arctanh",
        "exp",
        "angle",
        "absolute",
        "sin",
        "tan",
        "tanh",
    ],
)
def test_branch_cuts(name):
    """On a cut the sign of a zero decides on the side, as with NumPy."""
    func, z = getattr(np, name), np.array(CUTS)
    singular = {"log": [0], "log2": [0], "log10": [0], "log1p": [-1], "arctanh": [1, -1], "arctan": [1j, -1j]}.get(
        name, []
    )
    z = z[~np.isin(z, singular)]

    def f(x, y):
        w = np.empty(len(x), complex)
        w.real, w.imag = x, y
        return func(w) * 1.0

    tape = ad.record(f, z.real.copy() + 0.1, z.imag.copy() + 0.1)
    with np.errstate(all="ignore"):
        got, want = tape(z.real.copy(), z.imag.copy()), func(z)
    np.testing.assert_allclose(got, want, rtol=4e-16, atol=3e-16)
    if np.iscomplexobj(want):  # the side of the cut
        assert np.array_equal(np.signbit(got.imag)[np.abs(want.imag) > 0], np.signbit(want.imag)[np.abs(want.imag) > 0])


BINARY = ["add", "subtract", "multiply", "divide", "power", "equal", "not_equal", "logical_and"]


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("kinds", ["cc", "cr", "rc", "cs", "sc", "cp", "pc", "ck", "kc"])
def test_function_of_two_operands(name, kinds):
    func = getattr(np, name)
    k = np.array([0.5 - 0.25j, -1.0 + 2.0j, 1.5 + 0.0j])

    def f(x):
        z = halves(x)
        operand = {"c": [z, z[::-1] * 1j], "r": [abs(x[:3])] * 2, "s": [abs(x[4])] * 2, "p": [2 - 1j] * 2, "k": [k] * 2}
        return func(operand[kinds[0]][0], operand[kinds[1]][1]) * 1.0

    agree(f, rtol=2e-14 if name == "power" else 4e-15)
    if name in BINARY[:5]:
        ad.check_derivatives(lambda x: total(f(x)), POINTS[1]).raise_if_failed()


@pytest.mark.parametrize("n", [-3, -1, 0, 1, 2, 3, 7, 0.5, 1.5, 2 + 1j, np.float64(2.0), np.int64(4)])
def test_constant_powers(n):
    agree(lambda x: halves(x) ** n, rtol=2e-14)
    ad.check_derivatives(lambda x: total(halves(x) ** n * (1 + x[0])), POINTS[0]).raise_if_failed()


@pytest.mark.parametrize("exponent", [1j, 0.5 + 0j, 2 + 1j, np.array([1j, 2.0, 0.5])])
def test_negative_real_bases(exponent):
    """A real base is a complex number with imaginary part +0: its angle is pi."""
    agree(lambda x: x[:3] ** exponent, rtol=2e-14)
    ad.check_derivatives(lambda x: total(x[:3] ** exponent), POINTS[0]).raise_if_failed()


def test_signs_of_zeros_as_numpy():
    """sqrt(-x) of a complex array: the products and sums of its zero imaginary part have NumPy's signs."""
    cases = [
        lambda x: np.sqrt(x.astype(complex) * -1.0),
        lambda x: np.sqrt(-(x + 0j)),
        lambda x: np.sqrt((x + 0j) * -2.0),
        lambda x: np.sqrt(np.conj(-x + 0j)),
        lambda x: np.log((x - 3.0 * x) + 0j),
        lambda x: np.sqrt((-x + 0j) / 2.0),
        lambda x: np.sqrt(-x - 0j),
        lambda x: np.sqrt(0 - (x + 0j)),
        lambda x: np.sqrt(2.0 * np.conj(-x + 0j)),
        lambda x: np.sqrt(np.conj(-x + 0j) + 0.0),
        lambda x: np.sqrt(np.conj(-x + 0j) - 0.0),
    ]
    for f in cases:
        agree(f, [np.array([1.0, 2.0]), np.array([3.0, 0.5])], rtol=3e-16)


def test_kinks():
    """abs and the angle have derivative 0 at 0; an untaken branch is no business of the derivative."""
    np.testing.assert_array_equal(ad.grad(lambda x: np.abs(x[0] + 1j * x[1]))(np.zeros(2)), 0)
    np.testing.assert_array_equal(ad.grad(lambda x: np.angle(x[0] + 1j * x[1]))(np.zeros(2)), 0)
    with np.errstate(divide="ignore"):
        g = ad.grad(lambda x: np.sum(np.abs(np.where(x > 0, np.log(x + 0j), 1j * x))))(np.array([0.0, 2.0]))
    assert np.isfinite(g).all()


def test_division_does_not_overflow():
    agree(lambda x: (x[0] * 1e300 + 1e300j * x[1]) / (2e300 + x[2] * 1e300j), rtol=4e-16)
    agree(lambda x: (1 + 1j) / (x[0] * 1e-300 + 1e-300j * x[1]), rtol=4e-16)


# ---- arrays ----------------------------------------------------------------------------------------------------------


def matrix(x):
    z = np.zeros((2, 3), complex)
    z[0] = halves(x)
    z[1] = np.exp(1j * x[:3]) * x[3:]
    return z


FUNCTIONS = {
    "sum": lambda z: z.sum(),
    "sum0": lambda z: z.sum(axis=0, keepdims=True),
    "mean": lambda z: z.mean(axis=1),
    "sum initial": lambda z: np.sum(z, initial=2 + 1j),
    "prod": lambda z: np.prod(z),
    "prod1": lambda z: z.prod(axis=1),
    "cumsum": lambda z: z.cumsum(),
    "cumprod": lambda z: np.cumprod(z, axis=1),
    "var": lambda z: z.var(axis=0),
    "std": lambda z: np.std(z, ddof=1),
    "diff": lambda z: np.diff(z, axis=1),
    "prepend": lambda z: np.diff(z, prepend=1j),
    "dot": lambda z: z @ z.T,
    "dotr": lambda z: z @ np.arange(3.0),
    "rdot": lambda z: np.ones((2, 2)) @ z,
    "dotc": lambda z: np.dot(z, np.array([1j, 2.0, 1 - 1j])),
    "inner": lambda z: np.inner(z, z),
    "kron": lambda z: np.kron(z, z[:, :2]),
    "outer": lambda z: np.outer(z[0], z[1].conj()),
    "vdot": lambda z: np.vdot(z[0], z[1]),
    "vecdot": lambda z: np.vecdot(z, z[::-1]),
    "tensordot": lambda z: np.tensordot(z, z, axes=([0], [0])),
    "einsum": lambda z: np.einsum("ij,kj->ik", z, z.conj()),
    "einsum3": lambda z: np.einsum("i,ij,j->", z[:, 0], z, z[1]),
    "einsum4": lambda z: np.einsum("ij,kj,kl,l->li", z, z.conj(), z, z[1]),
    "einsum of diagonals": lambda z: np.einsum("ii,i,ji->ji", z[:, :2], z[0, :2], z[:, 1:], optimize=True),
    "einsum, one stretched": lambda z: np.einsum("ij,jk,kl", z[:, :1] / 9, z.T / 9, z),
    "trace": lambda z: np.trace(z),
    "T": lambda z: z.T.copy(),
    "ravel": lambda z: np.ravel(z.T),
    "reshape": lambda z: z.reshape(3, 2),
    "concat": lambda z: np.concatenate([z, z.real, np.ones((1, 3))]),
    "stack": lambda z: np.stack([z, 1j * z], axis=-1),
    "hstack": lambda z: np.hstack([z[0], z[1].imag, 2.0]),
    "block": lambda z: np.block([[z, z], [z.conj(), np.zeros((2, 3))]]),
    "where": lambda z: np.where(z.real > 0, z, 1j),
    "flip": lambda z: np.flip(z),
    "roll": lambda z: np.roll(z, 1, 1),
    "tile": lambda z: np.tile(z, 2),
    "pad": lambda z: np.pad(z, 1),
    "pad edge": lambda z: np.pad(z, 1, mode="edge"),
    "pad constant": lambda z: np.pad(z, 1, constant_values=2.0),
    "repeat": lambda z: z.repeat(2, axis=0),
    "diag": lambda z: np.diag(z[0]),
    "tril": lambda z: np.tril(z),
    "take": lambda z: np.take(z, [0, 2, 2], axis=1),
    "fancy": lambda z: z[:, [2, 0]],
    "mask": lambda z: z[z.real > -100],
    "newaxis": lambda z: z[:, None, ::-1],
    "swap": lambda z: z.swapaxes(0, 1),
    "convolve": lambda z: np.convolve(z[0], z[1]),
    "convolve real": lambda z: np.convolve(z[0], [1.0, 2.0], "same"),
    "correlate": lambda z: np.correlate(z[0], z[1], "full"),
    "cross": lambda z: np.cross(z[0], z[1]),
    "polyval": lambda z: np.polyval(z[0], z[1]),
    "interp": lambda z: np.interp([0.5, 1.2], [0.0, 1.0, 2.0], z[0]),
    "trapezoid": lambda z: np.trapezoid(z, dx=0.5),
    "gradient": lambda z: np.gradient(z[0]),
    "norm": lambda z: np.linalg.norm(z),
    "norm axis": lambda z: np.linalg.norm(z, axis=1),
    "round": lambda z: np.round(z, 1),
    "average": lambda z: np.average(z, axis=0, weights=[1.0, 2.0]),
    "cov": lambda z: np.cov(z),
    "vander": lambda z: np.vander(z[0], 3),
    "isclose": lambda z: np.isclose(z, z + 1e-12),
    "any": lambda z: z.any(),
    "nan_to_num": lambda z: np.nan_to_num(z),
    "select": lambda z: np.select([z.real > 1, z.imag > 0], [z, 1j], 0.5),
    "meshgrid": lambda z: np.meshgrid(z[0], z[1])[0],
    "append": lambda z: np.append(z, 1j),
    "insert": lambda z: np.insert(z[0], 1, 2j),
    "flat": lambda z: z.flat[3],
    "tolist": lambda z: np.array(z.tolist()),
    "item": lambda z: z[1, 2].item() * 1.0,
    "full": lambda z: np.full(2, z[0, 1]),
    "full_like": lambda z: np.full_like(z, z[1, 1]),
    "array": lambda z: np.array([z[0, 0], 1.0, 2j]),
    "nested": lambda z: np.array([[z[0, 0], z[0, 1].real], [1, 1j]]),
    "astype": lambda z: z.real.astype(complex) * 1j,
    "asarray": lambda z: np.asarray(z.real, dtype=complex) + 1j,
    "accumulate": lambda z: np.add.accumulate(z, axis=1),
    "reduce": lambda z: np.multiply.reduce(z, axis=1),
    "outer ufunc": lambda z: np.subtract.outer(z[0], z[1]),
    "matrix_power": lambda z: np.linalg.matrix_power(z[:, :2], 3),
    "real_if_close": lambda z: np.real_if_close(z + 0j),
    "iscomplex": lambda z: np.iscomplex(z),
    "0d": lambda z: np.array(z[0, 0]) * 2,
    "view": lambda z: np.array(z).view(float),
    "expand": lambda z: np.expand_dims(z, 1),
    "broadcast": lambda z: np.broadcast_to(z[0], (4, 3)) * 1.0,
    "split": lambda z: np.split(z, 3, axis=1)[1],
    "moveaxis": lambda z: np.moveaxis(z, 0, 1),
    "delete": lambda z: np.delete(z, 1, axis=1),
    "compress": lambda z: np.compress([True, False, True], z, axis=1),
    "linspace": lambda z: np.linspace(0, 1, 3) * z,
    "cos arg": lambda z: np.cos(z.real) * np.exp(-1j * np.pi * z.imag),
    "rot90": lambda z: np.rot90(z),
    "diagonal": lambda z: z.diagonal(1),
    "apply": lambda z: np.apply_along_axis(np.sum, 1, z),
    "unwrap": lambda z: np.unwrap(np.angle(z)),
    "vsum": lambda z: sum(z),
    "divmod": lambda z: z.real // 0.5 + 1j * (z.imag % 0.5),
    "fftshift": lambda z: np.fft.fftshift(z, axes=1),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_array_function(name):
    function = FUNCTIONS[name]
    agree(lambda x: function(matrix(x)), rtol=1e-14)
    if name not in ("round", "isclose", "any", "iscomplex", "divmod"):

        def f(x):
            y = function(matrix(x))
            return total(y) if np.iscomplexobj(y) and np.ndim(y) else np.sum(np.cos(y.real) + y.imag**2)

        ad.check_derivatives(f, POINTS[0]).raise_if_failed()


def test_views_and_writes():
    def f(x):
        z = np.zeros((3, 4), dtype=np.complex128)
        z.real[0] = x[:4]
        z.imag[1, ::2] = x[2:4]
        z[:, 1] += 1j * x[:3]
        v = z.T[1:, ::-1]
        v[0] *= 2 - 1j
        v[..., 1] = v[..., 0] + x[0]
        z.flat[5] = x[5] * 1j
        w = z.reshape(-1)[3:9]
        w[::2] -= w[1::2].conj()
        z[[0, 2], [1, 3]] = x[4]
        z[z.real > 1.0] = 2j - 1
        z.ravel()[0] += 7j
        np.add.at(z, ([0, 0], [1, 1]), 1j * x[1])
        z.view(float)[2, -1] = x[0]
        z[2] = [x[0], 1j, x[1] * 1j, 2.0]
        np.copyto(z[1:2], x[0], where=np.array([True, False, True, False]))
        y = z.copy()
        y.imag *= x[3]
        y.fill(x[2] + 1j) if y.shape == (0,) else None
        return z + y

    agree(f)
    ad.check_derivatives(lambda x: total(f(x)), POINTS[0]).raise_if_failed()


def test_writes_into_computed_arrays():
    def f(x):
        z = x[:3] * np.exp(1j * x[3:])  # parts apart in memory
        v = z[1:]
        v[0] = 1j * z[0]
        z.real[2] = x[0]
        z.imag += 1.0
        u = z[None].T
        u[0, 0] = 5.0
        return np.concatenate([z, v, u.ravel()])

    agree(f)


# ---- errors ----------------------------------------------------------------------------------------------------------


def test_complex_into_real_is_numpys_warning_or_error():
    x = np.array([1.0, 2.0])

    def assign(x):
        y = np.zeros(2)
        y[:] = x * (1 + 2j)
        return y.sum()

    with pytest.warns(np.exceptions.ComplexWarning):
        tape = ad.record(assign, x)
    np.testing.assert_array_equal(tape.gradient(x), [1.0, 1.0])

    def element(x):
        y = np.zeros(2)
        y[0] = 1j
        return y.sum() + x.sum()

    with pytest.raises(TypeError):
        ad.record(element, x)

    def inplace(x):
        y = x * 1.0
        y += 1j * x
        return y.sum()

    with pytest.raises(TypeError, match="Cannot cast"):
        ad.record(inplace, x)
    with pytest.warns(np.exceptions.ComplexWarning):
        ad.record(lambda x: (x * 1j).astype(float).sum() + x.sum(), x)


@pytest.mark.parametrize(
    "function, words",
    [
        (lambda z: np.sort(z), "real part first"),
        (lambda z: z.max(), "real part first"),
        (lambda z: z < 1, "real part first"),
        (lambda z: np.linalg.svd(z), "not recorded|later release"),
        (lambda z: z.astype(np.clongdouble), "complex128 and complex64"),
        (lambda z: z.tobytes(), "not recorded"),
        (lambda z: complex(z[0]), "float|plain"),
        (lambda z: (z * z).view(float), "side by side"),
        (lambda z: np.maximum(z, 0), "real part first"),
        (lambda z: np.floor(z), "not supported|no loop"),
    ],
)
def test_what_is_refused(function, words):
    with pytest.raises((ad.AdError, TypeError), match=words):
        ad.record(lambda x: function(x[:2] + 1j * x[2:4]), POINTS[0])


def test_complex_result_for_grad():
    with pytest.raises(ad.DerivativeError, match="complex"):
        ad.grad(lambda x: np.sum(x * 1j))(np.ones(2))


def test_captured_complex_arrays_are_read_again():
    h = np.array([1 + 1j, 2 - 1j])

    def f(x):
        return np.sum(np.abs(h * x) ** 2)

    g = ad.grad(f)
    np.testing.assert_allclose(g(np.ones(2)), [4, 10])
    h *= 2
    np.testing.assert_allclose(g(np.ones(2)), [16, 40])
    h.imag[:] = 0
    np.testing.assert_allclose(g(np.ones(2)), [8, 32])
    tape = ad.record(f, np.ones(2))
    h[0] = 3j
    np.testing.assert_allclose(tape(np.ones(2)), 9 + 16)


def test_einsum_of_many_complex_operands_is_a_few_products_not_a_power_of_two():
    z = np.arange(6.0).reshape(2, 3)
    tape = ad.record(lambda x: np.abs(np.einsum("ij,kj,kl,ml->im", *[x * (1 + 1j)] * 4)).sum(), z)
    assert str(tape).count("matmul") <= 12


@pytest.mark.parametrize("operation, most", [(operator.mul, 45), (operator.add, 45), (operator.truediv, 60)])
def test_an_operation_on_complex_arrays_is_recorded_by_few_calls_of_python(operation, most):
    """Spectral time loops are recorded at the pace of Python: 84 calls for a product were 25 us."""
    profile = cProfile.Profile()

    def f(x):
        z, w = x * (1 + 2j), x * (2 - 1j)
        y = operation(z, w)
        profile.enable()
        for _ in range(100):
            y = operation(z, w)
        profile.disable()
        return np.abs(y).sum()
    ad.record(f, np.linspace(0.1, 1.0, 40))
    assert sum(entry.callcount for entry in profile.getstats()) < 100 * most


@pytest.mark.parametrize("divisor", [2.0, -2, 0.0, -0.0, np.inf, np.nan, 1e-320])
def test_division_by_a_number_of_pythons_has_numpys_bits(divisor):
    z = np.array([1.0 - 2.0j, 0.0 - 0.0j, -3e-310 + 1e300j, np.inf + 1.0j])
    with np.errstate(all="ignore"):
        got, want = ad.record(lambda z: z / divisor, z)(z), z / divisor
    np.testing.assert_array_equal(got.view(float), want.view(float))
    np.testing.assert_array_equal(np.signbit(got.view(float)), np.signbit(want.view(float)))


@pytest.mark.parametrize("key", [None, (None,), ..., (...,), (..., None), (None, None), (None, ..., None), ()])
def test_new_axes_of_a_complex_number(key):
    """NumPy makes an array of it; all but `...` and `()` were an IndexError."""
    def f(x):
        y = np.sum(x * (2 + 1j))[key]
        assert np.shape(y) == np.shape(np.complex128(1.0)[key])
        return np.sum(np.abs(y) ** 2)
    np.testing.assert_allclose(ad.value_and_grad(f)(np.ones(2))[1], [20.0, 20.0])
