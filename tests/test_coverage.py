"""What docs/coverage.md says is true: every name of NumPy has one class, and what is in a class behaves so.

Owns: a call for each name that is constant or refused; recorded ones are called by tests/signatures.py.
Next: fastad/coverage.py (the classification).
"""
import functools
import warnings
from pathlib import Path

import numpy as np
import pytest
from numpy_cases import judge, supported

import fastad as ad
from fastad import _tape as T
from fastad import coverage
from tests import signatures

X = np.array([[0.9, 0.35, 1.7], [0.2, 1.1, 0.6]])
Y = np.array([[0.3, 0.8, 0.45], [1.3, 0.15, 0.7]])
NUMPY = tuple(int(part) for part in np.__version__.split(".")[:2])
PAGE = Path(__file__).parent.parent / "docs" / "coverage.md"


@functools.cache
def of_class(kind):
    return [e for e in coverage.entries() if e.kind == kind]


def test_every_name_of_numpy_is_in_one_class():
    entries = coverage.entries()                         # a KeyError names what is not classified
    assert len({e.name for e in entries}) == len(entries) == len(list(coverage.names()))
    assert {e.kind for e in entries} == {coverage.RECORDS, coverage.CONSTANT, coverage.REFUSED, coverage.OTHER}
    assert all(e.why for e in entries if e.kind in (coverage.REFUSED, coverage.OTHER))


def test_names_that_some_releases_lack_are_listed_with_their_releases():
    have = set(coverage.names())
    for name, (since, until) in coverage.VERSIONS.items():
        assert (name in have) == (since <= NUMPY and (until is None or NUMPY < until)), name
    declared = coverage.PLAIN | coverage.ALSO_RECORDED | {
        f"ndarray.{name}" for name in coverage.FIXED | coverage.ATTRIBUTES.keys()}
    assert declared - have <= coverage.VERSIONS.keys()


def test_no_name_is_declared_twice():
    assert not coverage.PLAIN & coverage.ALSO_RECORDED
    assert not coverage.FIXED & coverage.ATTRIBUTES.keys()


def test_the_page_is_what_the_command_prints():
    if f"NumPy {np.__version__}." not in PAGE.read_text():
        pytest.skip(f"docs/coverage.md is of another NumPy than {np.__version__}")
    assert PAGE.read_text() == coverage.page(), "run: python -m fastad.coverage > docs/coverage.md"


# ---- recorded --------------------------------------------------------------------------------------------------------

# Calls of what tests/signatures.py has no call of its own for.
CALLS = supported({
    "polyfit": "np.polyfit(x[:, 0], y[:, 0], 1)", "linalg.lstsq": "np.linalg.lstsq(x, y[:, 0])[:2]",
    "poly": "np.poly(x[0])", "take_along_axis": "np.take_along_axis(x, np.argsort(y, axis=-1), axis=-1)",
    "linalg.norm": "np.linalg.norm(x)", "linalg.vector_norm": "np.linalg.vector_norm(x, axis=0)",
    "linalg.matrix_norm": "np.linalg.matrix_norm(x)", "nan_to_num": "np.nan_to_num(np.where(x > 0.5, np.nan, x))",
    "histogramdd": "np.histogramdd(x.T, bins=2, range=[(0, 2)] * 2, weights=y[0])",
    "histogram2d": "np.histogram2d(x[0], x[1], bins=2, range=[(0, 2)] * 2, weights=y[0])",
    "r_": "np.r_[x[0], 1.0, y[1, 0]]", "c_": "np.c_[x[0], y[1]]",
    "ndenumerate": "sum([v * (k[1] + 1) for k, v in np.ndenumerate(x)])",
    "vectorize": "np.vectorize(lambda a, b: a * b)(x, y)",
    "row_stack": "np.vstack([x, y])", "fromfunction": "np.fromfunction(lambda i, j: x[0, 0] * i + j, (2, 3))",
    "fromiter": "np.fromiter((v * v for v in x.flat), float)", "arange": "np.arange(0.0, x[0, 0] * 0 + 2.5, 0.5)",
    "asarray_chkfinite": "np.asarray_chkfinite([x, y])", "trapz": "np.trapezoid(x)",
    "copyto": "(lambda z: (np.copyto(z, y), z)[1])(x * 1)", "put": "(lambda z: (np.put(z, [0, 3], y[0]), z)[1])(x * 1)",
    "place": "(lambda z: (np.place(z, z > 0.5, y[0]), z)[1])(x * 1)",
    "putmask": "(lambda z: (np.putmask(z, z > 0.5, y), z)[1])(x * 1)",
    "put_along_axis": "(lambda z: (np.put_along_axis(z, np.array([[0], [2]]), y[:, :1], 1), z)[1])(x * 1)",
    "fill_diagonal": "(lambda z: (np.fill_diagonal(z, y[0, 0]), z)[1])(x * 1)",
    "matmul": "x @ y.T", "vecdot": "np.vecdot(x, y)", "matvec": "np.matvec(x, y[0])", "vecmat": "np.vecmat(x[:, 0], y)",
    "ldexp": "np.ldexp(x, 2)", "divmod": "np.divmod(x, 0.4)", "modf": "np.modf(x)",
    **{name: f"np.{name}(x > 0.5, y > 0.5)" for name in ("bitwise_and", "bitwise_or", "bitwise_xor")},
    **{name: f"np.{name}(np.argsort(x), 1)" for name in ("left_shift", "right_shift", "bitwise_left_shift",
                                                          "bitwise_right_shift")},
    **{name: f"np.{name}(x > 0.5)" for name in ("invert", "bitwise_not", "bitwise_invert")},
    **{name: f"np.{name}(x / 2)" for name in ("arccos", "acos", "arcsin", "asin", "arctanh", "atanh")},
    **{name: f"np.{name}(x + 1)" for name in ("arccosh", "acosh")},
})
METHODS = {
    "__delitem__": "", "__complex__": "", "T": "x.T", "mT": "x.mT", "flat": "x.flat[2]", "real": "x.real",
    "imag": "x.imag",
    "argpartition": "x.ravel().argpartition(2)", "astype": "x.astype(int)", "byteswap": "",
    "clip": "x.clip(0.3, 0.7)", "choose": "(x > 0.5).astype(int).choose([x, y])",
    "compress": "x.compress([True, False], axis=0)", "dot": "x.dot(y.T)",
    "fill": "(lambda z: (z.fill(y[0, 0]), z)[1])(x * 1)", "item": "x.item(2)",
    "put": "(lambda z: (z.put([0], y[0, 0]), z)[1])(x * 1)",
    "partition": "(lambda z: (z.partition(1), z)[1])(x * 1)", "sort": "(lambda z: (z.sort(axis=0), z)[1])(x * 1)",
    "repeat": "x.repeat(2)", "reshape": "x.reshape(3, 2)", "searchsorted": "np.sort(y[0]).searchsorted(x)",
    "swapaxes": "x.swapaxes(0, 1)", "take": "x.take([2, 0])", "tolist": "x.tolist()",
    "__getitem__": "x[1]", "__setitem__": "(lambda z: (z.__setitem__(0, y[1]), z)[1])(x * 1)",
    "__iter__": "[row * 2 for row in x]", "__contains__": "x * (0.25 in x)", "__array__": "",
    "__array_ufunc__": "np.sin(x)",
    "__array_function__": "np.sum(x)", "__bool__": "x if x[0, 0] > 0 else y", "__int__": "x * int(np.argmax(x) * 0)",
    "__index__": "x[[0, 1][np.argmax(x[:, 0] * 0)]]", "__float__": "", "__abs__": "abs(x)", "__neg__": "-x",
    "__pos__": "+x",
    "__invert__": "~(x > 0.5)", "__matmul__": "x @ y.T", "__rmatmul__": "np.ones((2, 2)) @ x",
    "__imatmul__": "(lambda z: z.__imatmul__(y[:, :2]))(x[:, :2] * 1)", "__divmod__": "divmod(x, 0.4)",
    "__rdivmod__": "divmod(2.0, x)",
    **{f"__{r}{name}__": f"1 {op} np.argsort(x)" if r else f"np.argsort(x) {op} 1" for r in ("", "r") for name, op in
       (("and", "&"), ("or", "|"), ("xor", "^"), ("lshift", "<<"), ("rshift", ">>"))},
    **{f"__i{name}__": f"(lambda z: z.__i{name}__(1))(np.argsort(x))" for name in ("and", "or", "xor", "lshift",
        "rshift")},
    **{f"__{name}__": f"x {op} y" for name, op in (("add", "+"), ("sub", "-"), ("mul", "*"), ("truediv", "/"),
        ("pow", "**"),
       ("floordiv", "//"), ("mod", "%"), ("lt", "<"), ("le", "<="), ("gt", ">"), ("ge", ">="), ("eq", "=="),
       ("ne", "!="))},
    **{f"__r{name}__": f"2.0 {op} x" for name, op in (("add", "+"), ("sub", "-"), ("mul", "*"), ("truediv", "/"),
                                                     ("pow", "**"), ("floordiv", "//"), ("mod", "%"))},
    **{f"__i{name}__": f"(lambda z: z.__i{name}__(y))(x * 1)" for name in ("add", "sub", "mul", "truediv", "pow",
        "floordiv",
                                                                         "mod")},
}


@functools.cache
def calls_of(name):
    """Expressions that call a recorded name."""
    prefix, _, last = name.rpartition(".")
    if prefix == "ndarray":
        return [METHODS[last]] if last in METHODS else [f"x.{last}()"]
    if name in CALLS:
        return [CALLS[name]]
    f = signatures.function(name)
    if isinstance(f, np.ufunc):
        return [f"np.{name}({', '.join('xyz'[:f.nin])})"]
    found = [call for called, call in signatures.calls([name]) if call.count("=") == 0]
    if not found and prefix:
        square = "(x @ x.T + np.eye(len(x)))"
        found = [f"np.{name}(x)", f"np.{name}({square})", f"np.{name}({square}, y)", f"np.{name}({square}, y[:, 0])"]
    return found


@pytest.mark.filterwarnings("ignore:numpy.fix is deprecated:DeprecationWarning")          # NumPy 2.5
@pytest.mark.parametrize("name", [e.name for e in of_class(coverage.RECORDS)])
def test_recorded(name):
    """Value, dtype, shape at two points, and the derivative."""
    kept = []
    for call in calls_of(name):
        if not call:
            return                                       # what it does is told by the errors of the other rooms' tests
        f = eval(f"lambda x, y: {call}", {"np": np, "__name__": "user"})
        for shape in ("(2, 3)", "(3, 3)", "(5,)", "(2, 2, 2)"):
            if signatures.verdict(call, shape)[0] == "same":
                kept.append((f, shape))
        if kept:
            break
    if not kept and "." in name and not name.startswith("ndarray."):
        pytest.skip(f"np.{name} has its tests in the room that records it")
    assert kept, f"{name}: no call was recorded: {calls_of(name)}"
    f, shape = kept[0]
    if any(np.iscomplexobj(v) for v in signatures.leaves(f(*signatures.operand(shape, 1)))):
        return                                           # whose derivatives have tests of their own
    first, second = signatures.operand(shape, 1), signatures.operand(shape, 2)
    if name in ("geomspace", "empty_like"):
        return

    def sorted_out(x, y):
        out = f(x, y)
        return tuple(out) if isinstance(out, list) else out
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            judge(sorted_out, first, second, layout=False, intercepted=True)
        except ad.TapeDivergence:
            judge(sorted_out, first, first, layout=False, intercepted=True)


# ---- constant --------------------------------------------------------------------------------------------------------

PLAIN_CALLS = {
    "zeros": "np.zeros(3)", "ones": "np.ones(3)", "empty": "np.empty(0)", "eye": "np.eye(2)",
    "identity": "np.identity(2)",
    "tri": "np.tri(2)", "indices": "np.indices((2, 2))", "bartlett": "np.bartlett(4)", "blackman": "np.blackman(4)",
    "hamming": "np.hamming(4)", "hanning": "np.hanning(4)", "mgrid": "np.mgrid[0:2, 0:3]", "ogrid": "np.ogrid[0:2]",
    "s_": "np.s_[1:2]", "index_exp": "np.index_exp[1:2]", "broadcast_shapes": "np.broadcast_shapes(x.shape, (1, 3))",
    "isscalar": "np.isscalar(x)", "iterable": "np.iterable(x)", "isfortran": "np.isfortran(x)",
    "tril_indices": "np.tril_indices(3)", "triu_indices": "np.triu_indices(3)", "diag_indices": "np.diag_indices(2)",
    "mask_indices": "np.mask_indices(3, np.triu)", "base_repr": "np.base_repr(len(x))",
    "binary_repr": "np.binary_repr(len(x))",
    "issubdtype": "np.issubdtype(x.dtype, float)", "promote_types": "np.promote_types(x.dtype, int)",
    "isdtype": "np.isdtype(x.dtype, 'real floating')", "typename": "np.typename('d')",
    "mintypecode": "np.mintypecode('d')",
    "ndindex": "list(np.ndindex(x.shape))", "fft.fftfreq": "np.fft.fftfreq(4)", "fft.rfftfreq": "np.fft.rfftfreq(4)",
    "can_cast": "np.can_cast(x.dtype, int)", "min_scalar_type": "np.min_scalar_type(x)",
    "einsum_path": "np.einsum_path('ij,ij', x, x)",
    "shares_memory": "np.shares_memory(x, x)", "may_share_memory": "np.may_share_memory(x, x)",
    "tril_indices_from": "np.tril_indices_from(x)", "triu_indices_from": "np.triu_indices_from(x)",
    "diag_indices_from": "np.diag_indices_from(x[:, :2])",
}
# Files, settings and texts: no array is an argument.
NO_ARRAYS = frozenset("""
datetime_data format_float_positional format_float_scientific frombuffer fromfile fromregex fromstring genfromtxt
get_include get_printoptions getbufsize geterr geterrcall info load loadtxt printoptions set_printoptions setbufsize
seterr seterrcall show_config show_runtime test _get_promotion_state _no_nep50_warning _set_promotion_state
__array_namespace_info__
""".split())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", [e.name for e in of_class(coverage.CONSTANT) if e.name not in NO_ARRAYS])
def test_constant(name):
    """NumPy's value, in which nothing is traced."""
    prefix, _, last = name.rpartition(".")
    if prefix == "ndarray":
        assert last in coverage.FIXED
        return
    call = PLAIN_CALLS.get(name, f"np.{name}(x)")
    f = eval(f"lambda x: {call}", {"np": np, "__name__": "user"})
    seen = []

    def program(x):
        seen.append(f(x))
        return x
    ad.record(program, X)
    (got,), want = seen, f(X)
    assert not any(map(T.is_traced, signatures.leaves(got)))
    if isinstance(want, str) or "empty" in name or name in ("ndindex", "s_", "index_exp", "einsum_path"):
        assert str(got) == str(want) or "empty" in name or "repr" in name or "str" in name
        return
    for a, b in zip(signatures.leaves(got), signatures.leaves(want), strict=True):
        np.testing.assert_array_equal(np.asarray(T.concrete(a)), np.asarray(b))


# ---- refused ---------------------------------------------------------------------------------------------------------

REFUSED_CALLS = {
    "busday_count": "np.busday_count(x, x)", "busday_offset": "np.busday_offset(x, x)",
    "frompyfunc": "np.frompyfunc(lambda a: a, 1, 1)(x)", "ndarray.view": "x.view(int)", "save": "np.save('never', x)",
    "savetxt": "np.savetxt('never', x)", "savez": "np.savez('never', x)",
    "savez_compressed": "np.savez_compressed('never', x)",
    "einsum_path": "np.einsum_path('ij', x)", "bmat": "np.bmat([[x]])", "kaiser": "np.kaiser(3, x[0, 0])",
}


def refused_call(name):
    if name in REFUSED_CALLS:
        return REFUSED_CALLS[name]
    if name.startswith("ndarray."):
        return f"x.{name.removeprefix('ndarray.')}"
    f = signatures.function(name)
    needed = f.nin if isinstance(f, np.ufunc) else max(1, sum(
        p.default is p.empty and p.kind in (p.POSITIONAL_ONLY,
            p.POSITIONAL_OR_KEYWORD) for p in signatures.parameters(f)))
    return f"np.{name}({', '.join(['x'] * needed)})"


@pytest.mark.parametrize(("name", "why"), [(e.name, e.why) for e in of_class(coverage.REFUSED)])
def test_refused(name, why):
    """An error that gives the reason; attributes that other code asks for by hasattr are absent."""
    call = refused_call(name)
    f = eval(f"lambda x: {call}", {"np": np, "__name__": "user"})
    absent = name.startswith("ndarray.") and name.removeprefix("ndarray.") in coverage.ATTRIBUTES
    if absent and name.startswith("ndarray.__"):
        assert not hasattr(T.Array, name.removeprefix("ndarray.")) or hasattr(object, name.removeprefix("ndarray."))
        return
    with pytest.raises((ad.UnsupportedError, AttributeError)) as error:
        ad.record(f, X)
    assert absent or why[:60] in str(error.value)
