"""complex64: pairs of float32, with NumPy's dtypes, half the memory of complex128, and the derivatives of complex128.

Owns: dtype and value of every function in the tables of test_complex.py, promotion (NEP 50), transforms, files, memory.
Next: test_complex.py (the formulas, in complex128), test_float32.py (real arrays).
"""
import cmath
import functools
import itertools
import pickle

import numpy as np
import pytest
import scipy.fft
import scipy.signal

import fastad as ad
from tests.test_complex import BINARY, FUNCTIONS, POINTS, UNARY, matrix
from tests.test_complex_fuzz import program

F32, C64 = np.float32, np.complex64
SINGLE = [x.astype(F32) for x in POINTS]
RNG = np.random.default_rng(64)


def halves(x):
    return x[:3] + 1j * x[3:]


def alike(got, want, rtol=1e-5):
    """The dtype and shape exactly, values to a tolerance of the largest one."""
    assert np.asarray(got).dtype == np.asarray(want).dtype, (np.asarray(got).dtype, np.asarray(want).dtype)
    assert np.shape(got) == np.shape(want)
    got, want = np.asarray(got) + 0.0, np.asarray(want) + 0.0
    scale = np.maximum(np.abs(want), 0.1 * np.max(np.abs(want), initial=0.0)) + 1e-30
    assert np.all((np.abs(got - want) <= rtol * scale) | (np.isnan(got) & np.isnan(want))), (got, want)


def agree(f, points=SINGLE, rtol=1e-5):
    """Recorded at one point, and run at it and at another; the compiled tape too."""
    tape = ad.record(f, points[0])
    for x in (*points, points[0]):
        alike(tape(x), f(x), rtol)
        tape.compile()
    return tape


def total(z):
    """A real number that depends on all parts of z, in their dtype."""
    w = np.arange(1, z.size + 1).reshape(z.shape).astype(F32)
    return np.sum(w * z.real**2) + np.sum(np.sin(w) * z.imag) + np.sum(z.real * z.imag)


def gradients_agree(f, x, tolerance=1e-4):
    """The gradient by a float32 or complex64 argument against that by one of twice the size."""
    wide = x.astype(np.result_type(x.dtype, np.float64))
    got, want = ad.grad(f)(x), ad.grad(f)(wide)
    assert got.dtype == x.dtype and want.dtype == wide.dtype
    assert np.max(np.abs(got - want)) <= tolerance * max(np.max(np.abs(want)), 1e-3), (got, want)


# ---- functions -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", UNARY)
def test_function_of_one_operand(name):
    func = getattr(np, name)
    agree(lambda x: func(halves(x)) * 1)
    agree(lambda x: func(halves(x)[1]) * 1)
    if name not in ("rint", "isfinite", "isnan", "isinf", "logical_not"):
        gradients_agree(lambda x: total(func(halves(x))), SINGLE[0])


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("kinds", ["cc", "cr", "rc", "cs", "sc", "cp", "pc", "ck", "kc"])
def test_function_of_two_operands(name, kinds):
    func = getattr(np, name)
    k = np.array([0.5 - 0.25j, -1.0 + 2.0j, 1.5 + 0.0j], C64)

    def f(x):
        z = halves(x)
        operand = {"c": [z, z[::-1] * 1j], "r": [abs(x[:3])] * 2, "s": [abs(x[4])] * 2, "p": [2 - 1j] * 2, "k": [k] * 2}
        return func(operand[kinds[0]][0], operand[kinds[1]][1]) * 1

    agree(f)
    if name in BINARY[:5]:
        gradients_agree(lambda x: total(f(x)), SINGLE[1])


@pytest.mark.parametrize("n", [-3, -1, 0, 1, 2, 3, 7, 0.5, 1.5, 2 + 1j, F32(2.0), np.float64(2.0), np.int64(4),
                               C64(1j)])
def test_constant_powers(n):
    agree(lambda x: halves(x) ** n, rtol=3e-5)
    gradients_agree(lambda x: total(halves(x) ** n * (1 + x[0])), SINGLE[0])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_array_function(name):
    function = FUNCTIONS[name]
    if name == "view":
        def function(z):
            return np.array(z).view(F32)

    def f(x):
        return function(matrix(x).astype(C64))

    def g(z):
        return function(z[:1] * np.array([[1.0], [1j]], C64) + z)
    agree(f, rtol=2e-4 if name in ("var", "std", "cov") else 2e-5)
    z = matrix(SINGLE[0]).astype(C64)
    agree(g, [z, matrix(SINGLE[1]).astype(C64)], rtol=2e-4)
    if name not in ("round", "isclose", "any", "iscomplex", "divmod", "view"):
        gradients_agree(lambda x: np.sum(np.cos(g(x)).real), z, 1e-3)


# ---- promotion -------------------------------------------------------------------------------------------------------

KINDS = {
    "bool": np.array([True, False, True]), "int16": np.array([1, 2, 3], np.int16), "int64": np.array([1, 2, 3]),
    "float32": np.array([0.5, 1.5, 2.5], F32), "float64": np.array([0.25, 1.25, 2.0]),
    "complex64": np.array([1 + 1j, 2.0, 1j], C64), "complex128": np.array([1 + 2j, 1.0, 3j]),
    "np.float32": F32(1.5), "np.float64": np.float64(1.5), "np.int64": np.int64(2), "np.bool": np.bool_(True),
    "np.complex64": C64(1 + 2j), "np.complex128": np.complex128(2 - 1j), "True": True, "int": 2, "float": 1.5,
    "complex": 1.5 - 1j,
}
HALF = ("bool", "np.bool", "True", "int16")      # exp of them is float16 or float32, which NumPy alone gives
OPERATIONS = {
    "+": lambda a, b: a + b, "-": lambda a, b: np.subtract(a, b, dtype=None), "*": lambda a, b: a * b,
    "/": lambda a, b: a / b, "**": lambda a, b: a ** b, "float_power": np.float_power, "==": lambda a, b: a == b,
    "where": lambda a, b: np.where(np.array([True, False, True]), a, b),
    "concatenate": lambda a, b: np.concatenate([np.ravel(a), np.ravel(b)]),
    "stack": lambda a, b: np.stack(np.broadcast_arrays(a, b)),
    "array": lambda a, b: np.array([np.ravel(a)[0], np.ravel(b)[0]]),
    "list": lambda a, b: np.array([a, b]) if np.ndim(a) == np.ndim(b) else a * b,
    "dot": lambda a, b: np.dot(a, b), "outer": lambda a, b: np.outer(a, b), "append": lambda a, b: np.append(a, b),
    "einsum": lambda a, b: np.einsum("i,i", a, b) if np.ndim(a) and np.ndim(b) else a + b,
    "convolve": lambda a, b: np.convolve(np.ravel(a), np.ravel(b)),
    "exp": lambda a, b: np.exp(a) * np.exp(b), "sum": lambda a, b: np.sum(a) * np.sum(b),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_promotion_is_numpys(name):
    """Each kind with each, one of them complex, on either side; the other one captured, or an argument too."""
    for first, second in itertools.product(("float32", "complex64", "complex128", "np.complex64", "np.complex128",
                                            "complex", "float", "float64"), KINDS):
        a, b = KINDS[first], KINDS[second]
        if not (np.iscomplexobj(a) or np.iscomplexobj(b)) or (name == "exp" and second in HALF):
            continue
        for swap, both in itertools.product((False, True), (False, True)):
            if both and second == "int16":       # which as an argument is an int64
                continue
            def f(a, b=b, swap=swap):
                return OPERATIONS[name](b, a) if swap else OPERATIONS[name](a, b)
            case = (first, second, swap, both)
            with np.errstate(all="ignore"):      # divisions by False
                want = f(a, b)
                got = ad.record(f, a, b)(a, b) if both else ad.record(lambda a: f(a), a)(a)
            assert np.asarray(got).dtype == np.asarray(want).dtype, (case, np.asarray(got).dtype)
            finite = np.isfinite(want)
            got, want = np.where(finite, got, 0), np.where(finite, want, 0)
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6, err_msg=str(case))


def test_attributes():
    def f(z):
        w = np.exp(z)
        assert w.dtype == C64 and w.itemsize == 8 and w.nbytes == 8 * w.size and isinstance(w[0], C64)
        assert w.real.dtype == w.imag.dtype == np.abs(w).dtype == np.angle(w).dtype == F32
        assert w.sum().dtype == w[0].dtype == np.zeros_like(w).dtype == np.full_like(w, 1j).dtype == C64
        assert w.astype(complex).dtype == np.sum(w, dtype=complex).dtype == complex
        assert np.add(w, 1j, dtype=complex).dtype == complex
        assert np.linalg.norm(w).dtype == np.var(w).dtype == F32 and w.mean().dtype == C64
        assert (w * w.real.astype(float)).dtype == complex and (w[0] + 1j).dtype == C64
        assert (w + 1).imag.dtype == (w[0] * 0 + 1j).imag.dtype == F32
        return w
    agree(f, [KINDS["complex64"], 2 * KINDS["complex64"]])


def test_arrays_made_inside_and_captured():
    h = np.array([1 + 1j, 2 - 1j, 0.5], C64)

    def f(x):
        z = np.zeros((2, 3), np.complex64)
        z[0] = x * h
        z.imag[1] = x
        z[1, ::2] *= 2 - 1j
        z += np.array([1j, 2, 3])
        y = np.empty(3, C64)
        y[:] = z[0] * np.float64(2)
        np.multiply(y, 1j, out=y)
        return np.concatenate([z.ravel(), y, z.T[1], np.ones(1, C64), h])
    x = SINGLE[0][:3]
    tape = agree(f, [x, 2 * x])
    h *= 2j                              # read again
    alike(tape(x), f(x))
    gradients_agree(lambda x: total(f(x)), x)


def test_what_is_refused():
    z = KINDS["complex64"]
    for f in (lambda z: np.sort(z), lambda z: z.astype(np.clongdouble), lambda z: z * np.ones(3, np.clongdouble),
              lambda z: z.view(np.complex128), lambda z: (z * z).view(F32), lambda z: np.sum(z, dtype=np.clongdouble),
              lambda z: np.linalg.eigh(np.outer(z, z.conj()))):
        with pytest.raises((ad.AdError, TypeError)):
            ad.record(f, z)


PYTHON = {
    "z*x": lambda c, t, x: (c * t) * x, "abs": lambda c, t, x: abs(c) * x, "power": lambda c, t, x: (c**2 + t**1j) * x,
    "divide": lambda c, t, x: (c / (1 + c) + 1j / t) * x, "conj": lambda c, t, x: (-c).conjugate() * x,
    "exp": lambda c, t, x: np.exp(c) * x, "multiply": lambda c, t, x: np.multiply(c, t) * x,
    "np.abs": lambda c, t, x: np.abs(c * 1j) * x, "cmath": lambda c, t, x: cmath.exp(1j * t) * x,
    "cmath64": lambda c, t, x: cmath.sqrt(x[0] * 1j) + 0j, "polar": lambda c, t, x: cmath.polar(c)[1] * x,
    "rect": lambda c, t, x: cmath.rect(t, 0.5) * x, "item": lambda c, t, x: (x[:1] * 1j).item() * x,
    "list": lambda c, t, x: (x * 1j).tolist()[1] * x, "real": lambda c, t, x: c.real * x + (c + 1j).imag,
    "array": lambda c, t, x: np.array([c, t]) * x[0], "asarray": lambda c, t, x: np.asarray(c) * x,
    "np.complex128": lambda c, t, x: np.complex128(1j) * t * x,
    "prod": lambda c, t, x: np.prod(x * 1j, dtype=complex), "var": lambda c, t, x: np.var(x * 1j, dtype=complex),
    "cumprod": lambda c, t, x: np.cumprod(x * 1j, dtype=complex),
    "asarray64": lambda c, t, x: np.asarray(x, np.complex64) * c, "ones": lambda c, t, x: np.full(3, x[0] * c),
    "eye": lambda c, t, x: np.eye(3, dtype=np.complex64) @ x, "stop": lambda c, t, x: ad.stop_gradient(x * c),
}


@pytest.mark.parametrize("name", PYTHON)
def test_numbers_of_python_are_weak(name):
    """Traced or not: they take the precision of what they meet, and results of NumPy's functions on them do not."""
    f, x = PYTHON[name], np.array([0.5, 1.5, 2.5], F32)
    args = [(1 + 2j, 0.7), (np.complex128(1 + 2j), 0.7), (C64(1 + 2j), F32(0.7)), (1 - 1j, np.float64(1.5))]
    for c, t in args:
        alike(ad.record(f, c, t, x)(c, t, x), f(c, t, x))


@pytest.mark.filterwarnings("ignore")
def test_random_programs():
    """Those of test_complex_fuzz.py in single precision: views and writes, and the dtype of every array."""
    compared = 0
    for seed in range(300, 380):
        rng = np.random.default_rng(seed)
        text = program(rng)[1].replace("np.concatenate([a, b, r, m.ravel()])", "a, b, r, m.ravel()")
        for old, new in ((", complex", ", np.complex64"), ("(complex)", "(np.complex64)"), ("(float)", "(np.float32)")):
            text = text.replace(old, new)
        names = {"np": np}
        exec(compile(text, "<program>", "exec"), names)
        x, y = (rng.normal(size=6).astype(F32) for _ in range(2))
        with np.errstate(all="ignore"):
            try:
                want = [names["f"](x), names["f"](y)]
                if not all(np.isfinite(a).all() for arrays in want for a in arrays):
                    continue
                tape = ad.record(names["f"], x)
                got = [tape(x), tape(y)]
            except (ValueError, TypeError, ad.TapeDivergence, ad.DerivativeError):
                continue
            except ad.UnsupportedError as error:
                assert "side by side" in str(error) or "read as float32" in str(error), text
                continue
        for a, b in zip(itertools.chain(*got), itertools.chain(*want), strict=True):
            assert a.dtype == b.dtype, text
            assert np.max(np.abs(a - b), initial=0) <= 1e-3 * max(np.max(np.abs(b), initial=0), 1e-3), text
        compared += 1
    assert compared > 40


# ---- transforms ------------------------------------------------------------------------------------------------------

def draw(shape, is_complex):
    z = RNG.normal(size=shape).astype(F32)
    return (z + 1j * RNG.normal(size=shape)).astype(C64) if is_complex else z


ONE = ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"]
SEVERAL = ["fft2", "ifft2", "rfft2", "irfft2", "fftn", "ifftn", "rfftn", "irfftn"]


@pytest.mark.parametrize("name", ONE + SEVERAL)
@pytest.mark.parametrize("module", [np.fft, scipy.fft], ids=["numpy", "scipy"])
def test_transforms(module, name):
    """float32 in, complex64 out, and back; the adjoint passes the dot test."""
    transform = getattr(module, name)
    for is_complex, norm in itertools.product((False, True), (None, "ortho", "forward")):
        if is_complex and (name.startswith("r") or name == "ihfft"):
            continue                     # they take real input
        x, v, f = draw((4, 6), is_complex), draw((4, 6), is_complex), functools.partial(transform, norm=norm)
        alike(ad.record(f, x)(v), f(v))
        y, y_dot = ad.jvp(f, (x,), (v,))
        alike(y_dot, f(v))
        w = draw(y.shape, np.iscomplexobj(y))
        (x_bar,) = ad.vjp(f, x)[1](w)
        assert x_bar.dtype == x.dtype
        np.testing.assert_allclose(np.sum(w * y_dot).real, np.sum(x_bar * v).real, rtol=1e-4, atol=1e-4 * abs(w).sum())
        if name in ONE:
            for n in (3, 9):
                alike(ad.record(transform, x, n)(v, n), transform(v, n))


@pytest.mark.parametrize("name", ["dct", "idct", "dst", "idst", "dctn", "idstn"])
def test_cosine_and_sine_transforms(name):
    transform = getattr(scipy.fft, name)
    for kind, is_complex in itertools.product((1, 2, 3, 4), (False, True)):
        x, v = draw(6, is_complex), draw(6, is_complex)
        f = functools.partial(transform, type=kind)
        alike(ad.record(f, x)(v), f(v))
        gradients_agree(lambda x, f=f: np.sum(np.abs(f(x)) ** 2), x)


@pytest.mark.parametrize("name", ["convolve", "correlate", "fftconvolve"])
def test_convolutions(name):
    function = getattr(scipy.signal, name)
    for a, b in itertools.product((draw(40, False), draw(40, True)), (draw(36, False), draw(36, True))):
        agree(lambda a, b=b: function(a, b, "same"), [a, a[::-1].copy()])


def test_long_products_second_order_batches_and_files(tmp_path):
    """The product of spectra in one pass over their pairs."""
    n = 600
    x, h, k = draw(n, False), draw(n, False), draw(n, True)

    def f(x, h):
        X, H = np.fft.fft(x), np.fft.fft(h)
        return np.sum(np.abs(np.fft.ifft(X * H * k)[::7]) ** 2) + np.sum((X * X).imag[3:9])
    gradient = ad.grad(f, argnums=(0, 1))(x, h)
    wide = ad.grad(f, argnums=(0, 1))(x.astype(float), h.astype(float))
    for got, want in zip(gradient, wide, strict=True):
        assert got.dtype == F32
        assert np.max(np.abs(got - want)) <= 1e-4 * np.max(np.abs(want))
    product = ad.hvp(lambda x: f(x, h))(x, h)
    exact = ad.hvp(lambda x: f(x, h.astype(float)))(x.astype(float), h.astype(float))
    assert product.dtype == F32
    assert np.max(np.abs(product - exact)) <= 1e-3 * np.max(np.abs(exact))

    def g(z, x):
        return np.fft.ifft(np.fft.fft(z) * k * np.fft.fft(x)), np.fft.irfft(z[:5]), scipy.fft.dct(x, 2), np.fft.rfft(x)
    tape = ad.record(g, k, x)
    tape.save(tmp_path / "tape")
    for other in (ad.Tape.load(tmp_path / "tape"), pickle.loads(pickle.dumps(tape)), tape.__copy__()):
        for got, want in zip(other(1j * k, h), g(1j * k, h), strict=True):
            alike(got, want, 1e-4)
    tape.vjp_tape().save(tmp_path / "adjoint")
    ad.Tape.load(tmp_path / "adjoint")
    y = ad.record(lambda x: np.abs(np.fft.fft(x) * k) ** 2, x).batch(2)(np.stack([x, h]))
    alike(y, np.abs(np.fft.fft(np.stack([x, h])) * k) ** 2, 1e-4)


# ---- arguments, directions, memory -----------------------------------------------------------------------------------

def test_arguments_and_directions():
    z, v = KINDS["complex64"], KINDS["complex64"][::-1] * 1j

    def f(z):
        return np.sum(np.abs(np.exp(1j * z) * z) ** 2)
    gradients_agree(f, z)
    value, gradient = ad.value_and_grad(f)(z)
    assert value.dtype == F32 and gradient.dtype == C64
    one = ad.grad(lambda z: abs(z * z) ** 2)(C64(1 + 1j))
    assert type(one) is np.complex64
    np.testing.assert_allclose(one, ad.grad(lambda z: abs(z * z) ** 2)(1 + 1j), rtol=1e-6)
    y, y_dot = ad.jvp(np.exp, (z,), (v,))
    assert y.dtype == y_dot.dtype == C64
    np.testing.assert_allclose(y_dot, np.exp(z) * v, rtol=1e-5)
    jacobian = ad.jacobian(lambda x: np.exp(1j * x))(SINGLE[0])
    assert jacobian.dtype == C64
    np.testing.assert_allclose(jacobian, np.diag(1j * np.exp(1j * SINGLE[0])), atol=1e-6)
    g = ad.grad(f)
    assert g(z).dtype == C64 and g(z.astype(complex)).dtype == complex and g(z).dtype == C64


def test_directions_and_seeds_of_twice_the_size():
    """They are converted to the type of what they belong to; arguments are not: the function would not be the same."""
    z, v = KINDS["complex64"], KINDS["complex128"]
    y, y_dot = ad.jvp(np.exp, (z,), (v,))
    assert y_dot.dtype == C64
    np.testing.assert_allclose(y_dot, np.exp(z) * v, rtol=1e-5)
    for w in (v, list(v)):
        (z_bar,) = ad.vjp(np.exp, z)[1](w)
        assert z_bar.dtype == C64
        np.testing.assert_allclose(z_bar, np.exp(z) * v, rtol=1e-5)
    tape = ad.record(np.exp, z)
    with pytest.raises(ad.AdError, match="complex64"):
        tape(v)
    alike(ad.record(np.exp, v)(z), np.exp(z.astype(complex)))


def test_half_the_memory():
    """The same tape of complex64 needs half the arena."""
    def f(z):
        for _ in range(4):
            z = np.fft.ifft(np.fft.fft(z) * z) + np.exp(1j * z.real)
        return np.sum(np.abs(z) ** 2)
    z = draw(4096, True) / 100
    sizes = []
    for x in (z, z.astype(complex)):
        sizes.append(ad.record(f, x).stats().arena_bytes)
    assert 0.45 < sizes[0] / sizes[1] < 0.6, sizes
