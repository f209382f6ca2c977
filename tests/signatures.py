"""Every recorded function with every keyword of its NumPy signature, on many shapes: NumPy's result or a loud refusal.

Owns: `calls` (the expressions), `verdict` (what comes of one), and the command that runs all of them and counts:
    python -m tests.signatures
Must not know: how anything is recorded.  Next: test_signatures.py, which runs a part of them.
"""
import argparse
import collections
import inspect
import itertools
import random
import warnings

import numpy as np

import fastad as ad
from fastad import _tape as T

SHAPES = ["(5,)", "(2, 3)", "(3, 2).T", "(2, 2, 3)", "(2, 3, 2).T", "()", "(1,)", "(0,)", "(3, 0)", "(0, 2, 2)",
          "(4, 3)[::-1]"]

# Values of keywords, as expressions of x and y (traced, of one shape).
POOL = {
    "axis": ["None", "0", "-1", "1", "(0, 1)", "(-1,)", "()", "7"],
    "keepdims": ["True", "False"],
    "where": ["True", "False", "x > 0.4", "np.arange(x.shape[-1] if x.ndim else 1) % 2 == 0"],
    "initial": ["0.5", "np.sum(y)", "2"],
    "dtype": ["float", "int", "bool", "'f2'", "complex", "object", "'U3'"],
    "out": ["OUT", "INT OUT", "WRONG OUT"],
    "ddof": ["0", "1", "0.5", "9"],
    "correction": ["1", "0.5"],
    "mean": ["np.mean(x, keepdims=True)"],
    "order": ["'C'", "'F'", "'A'", "'K'", "'Q'"],
    "casting": ["'no'", "'safe'", "'same_kind'", "'unsafe'", "'foo'"],
    "subok": ["True", "False"],
    "copy": ["True", "False", "None"],
    "device": ["'cpu'", "'gpu'"],
    "offset": ["0", "1", "-1"],
    "axis1": ["0", "1", "-1"],
    "axis2": ["0", "1", "-1"],
    "mode": ["'raise'", "'wrap'", "'clip'", "'foo'"],
    "kind": ["'quicksort'", "'stable'", "'mergesort'", "'heapsort'", "'foo'"],
    "stable": ["True", "False", "None"],
    "k": ["0", "1", "-1"],
    "method": ["'linear'", "'lower'", "'higher'", "'midpoint'", "'nearest'", "'inverted_cdf'",
               "'averaged_inverted_cdf'", "'closest_observation'", "'interpolated_inverted_cdf'", "'hazen'",
               "'weibull'",
               "'median_unbiased'", "'normal_unbiased'", "'foo'"],
    "overwrite_input": ["True"],
    "weights": ["None", "np.abs(y) + 0.1", "np.arange(x.size).reshape(x.shape) + 1.0"],
    "returned": ["True"],
    "interpolation": ["None"],
    "nan": ["1.5"], "posinf": ["1.0"], "neginf": ["-1.0"],
    "deg": ["True"], "descending": ["True", "False"], "decimals": ["0", "2", "-1"],
    "tol": ["100"],
    "rtol": ["0.1"], "atol": ["0.2"], "equal_nan": ["True", "False"],
    "side": ["'left'", "'right'", "'foo'"], "sorter": ["None", "np.argsort(y)"],
    "right": ["True", "False"],
    "left": ["0.3", "y.sum()"], "period": ["1.5", "y.sum()"],
    "n": ["0", "1", "2", "-1"],
    "prepend": ["0.5", "x"], "append": ["0.5", "x"],
    "return_index": ["True"], "return_inverse": ["True"], "return_counts": ["True"], "sorted": ["True", "False"],
    "assume_unique": ["True", "False"], "invert": ["True"], "return_indices": ["True"],
    "bins": ["3", "[0.0, 0.5, 2.0]", "'auto'", "np.sort(y, axis=None)"],
    "range": ["(0.0, 1.0)", "(0.0, y.sum())"], "density": ["True", "False"],
    "minlength": ["0", "9"],
    "mode conv": ["'full'", "'same'", "'valid'", "'foo'"],
    "num": ["0", "1", "4"], "endpoint": ["True", "False"], "retstep": ["True"], "base": ["2.0", "np.abs(y) + 1"],
    "increasing": ["True"], "N": ["0", "3"],
    "rowvar": ["True", "False"], "bias": ["True", "False"], "fweights": ["None"], "aweights": ["None"],
    "discont": ["2.0"], "edge_order": ["1", "2"], "x": ["y"], "dx": ["0.5", "y.sum()"],
    "to_begin": ["1.0", "y"], "to_end": ["1.0", "y"],
    "sparse": ["True", "False"], "indexing": ["'xy'", "'ij'", "'foo'"],
    "axisa": ["0", "-1"], "axisb": ["0", "-1"], "axisc": ["0", "-1"],
    "axes": ["None", "1", "0"],
    "new_shape": ["(7,)", "()"], "default": ["0", "y", "1.5"],
    "ord": ["None", "1", "2", "np.inf", "-np.inf", "0", "'fro'", "3", "-1"],
    "writeable": ["True", "False"], "m": ["1", "3"], "wrap": ["True"], "ndmin": ["0", "3"],
    "a_min": ["0.3", "y", "None"], "a_max": ["0.6", "y", "None"], "min": ["0.3", "y", "None"],
    "max": ["0.6", "y", "None"], "trim": ["'fb'", "'f'", "'b'", "'foo'"], "include_initial": ["True", "False"],
    "signature": ["None", "'dd->d'"], "optimize": ["True", "False"], "newshape": ["None"], "shape": ["(2,)"],
    "like": ["None"], "ndmax": ["2"],
    "strict": ["True"],
}
INT = "np.arange(x.shape[0] if x.ndim else 1)[::-1] % 2"
MASK = "np.arange(x.size).reshape(x.shape) % 2 == 0"
# Function -> expressions of what comes before the keywords; own values of keywords; keywords that need others.
ONE = """all any amax amin argmax argmin argsort argwhere around atleast_1d atleast_2d atleast_3d average copy
corrcoef cov
count_nonzero cumprod cumsum diag diagflat diagonal diff ediff1d fix flatnonzero flip fliplr flipud gradient
histogram histogram_bin_edges i0 imag isneginf isposinf matrix_transpose max mean median min nan_to_num nanargmax
nanargmin nancumprod nancumsum nanmax nanmean nanmedian nanmin nanprod nanstd nansum nanvar nonzero prod ptp ravel real
real_if_close round sinc sort sort_complex squeeze std sum trace transpose trapezoid tril triu trim_zeros unique
unique_all unique_counts unique_inverse unique_values unwrap vander var rot90 cumulative_sum cumulative_prod unstack
angle meshgrid ascontiguousarray asfortranarray asarray array asanyarray isreal iscomplex
zeros_like ones_like empty_like concatenate stack hstack vstack dstack column_stack block""".split()
TWO = """allclose append array_equal array_equiv concat convolve correlate cross dot inner interp isclose isin kron
linspace
logspace geomspace outer polyadd polysub polyval searchsorted tensordot vdot where digitize union1d intersect1d
setdiff1d setxor1d in1d histogram2d broadcast_arrays lexsort meshgrid linalg.cross linalg.outer linalg.tensordot
polymul polydiv""".split()
BEFORE = {
    **{name: ["x"] for name in ONE}, **{name: ["x, y"] for name in TWO},
    "interp": ["x, np.sort(y), y", "x, np.arange(3.0), np.arange(3.0) * y.sum()"],
    "searchsorted": ["np.sort(y), x"], "digitize": ["x, np.sort(y)", "x, [0.0, 0.5]", "x, [0.5, 0.0]"],
    "concatenate": ["(x, y)", "(x, 2)", "x", "()"], "stack": ["(x, y)", "x", "()"], "hstack": ["(x, y)", "x"],
    "vstack": ["(x, y)", "x"], "dstack": ["(x, y)", "x"], "column_stack": ["(x, y)", "x"], "concat": ["[x, y]"],
    "block": ["[x, y]", "[[x, y], [y, x]]"], "lexsort": ["(x, y)", "x"], "histogramdd": ["(x, y)", "x"],
    "where": ["x > 0.4, x, y", "x > 0.4", "x, y, 1"], "average": ["x", "np.abs(x)"], "meshgrid": ["x, y", "x"],
    "array_split": ["x, 2", "x, [1, 3]", "x, 0"], "split": ["x, 1", "x, 2", "x, [1]"], "hsplit": ["x, 1", "x, [1]"],
    "vsplit": ["x, 1", "x, [1]"], "dsplit": ["x, 1", "x, [1]"],
    "broadcast_to": ["x, (2, *x.shape)", "x, ()", "x, (2, 5)"], "clip": ["x", "x, 0.3, 0.6", "x, y, None"],
    "compress": ["[True, False], x", "x.ravel() > 0.4, x", "x > 0.4, x"], "extract": [f"{MASK}, x", "x > 0.4, y"],
    "delete": ["x, 0", "x, [0, 1]", "x, slice(0, 2)", "x, -1", "x, []"], "insert": ["x, 0, 3.0", "x, [0, 1], y.sum()",
               "x, 1, y", "x, 0, 2"], "expand_dims": ["x, 0", "x, (0, -1)", "x, 9"],
    "moveaxis": ["x, 0, -1", "x, [0, 1], [1, 0]", "x, 5, 0"], "swapaxes": ["x, 0, -1", "x, 0, 5"],
    "rollaxis": ["x, 0", "x, -1", "x, 0, 1"], "roll": ["x, 1", "x, -2", "x, (1, 2)", "x, 0"],
    "repeat": ["x, 2", "x, 0", "x, [1, 2]", "x, -1"], "tile": ["x, 2", "x, (2, 1)", "x, ()", "x, 0"],
    "resize": ["x, (2, 4)", "x, 3", "x, (0,)", "x, ()"], "reshape": ["x, -1", "x, (3, 2)", "x, x.shape", "x, (1, -1)"],
    "full_like": ["x, 1.5", "x, y.sum()", "x, 2", "x, y"], "take": ["x, 0", "x, [1, 0]", "x, [[0, -1]]", "x, 9",
             "x, np.argsort(y, axis=None)", "x, []"], "take_along_axis": ["x, np.argsort(y, axis=-1)", "x, [0]",
             "x, np.zeros(x.shape, int)"],
    "choose": ["np.zeros(x.shape, int), [x, y]", "(x > 0.4).astype(int), [x, y]", "[1, 0], [x, y]", "[3, -1], [x, y]"],
    "select": ["[x > 0.4, y > 0.3], [x, y]", "[x > 0.4], [1]"], "bincount": ["np.argsort(x)", "(x > 0.4).astype(int)"],
    "percentile": ["x, 30", "x, [20, 80]", "x, [[20.0], [100.0]]", "x, 120"], "nanpercentile": ["x, 30", "x, [20, 80]"],
    "quantile": ["x, 0.3", "x, [0.2, 0.8]", "x, 0", "x, []"], "nanquantile": ["x, 0.3", "x, [0.2, 0.8]"],
    "apply_along_axis": ["np.sort, 0, x", "np.sum, -1, x"], "apply_over_axes": ["np.sum, x, [0]", "np.sum, x, [0, -1]"],
    "piecewise": ["x, [x > 0.4], [1.0, 2.0]", "x, [x > 0.4, x < 0.1], [lambda v: v**2, lambda v: -v, 0.0]"],
    "partition": ["x, 1", "x, [0, 1]", "x, -1", "x, 9"], "argpartition": ["x, 1", "x, [0, 1]", "x, -1"],
    "unravel_index": ["np.argmax(x), (3, 4)", "np.argsort(x), (3, 4)"],
    "ravel_multi_index": ["(np.argsort(x), np.argsort(y)), (3, 4)", "(np.argsort(x), np.argsort(y)), (9, 9)"],
    "polyder": ["x"], "polyint": ["x"], "astype": ["x, float", "x, int", "x, bool"], "ix_": ["x > 0.4", "[0, 1]"],
    "pad": ["x, 1", "x, (1, 2)", "x, 0", "x, -1"], "einsum": ["'i,i', x, y", "'...i->...', x", "'ij->ji', x"],
    "linspace": ["x, y", "x, 2", "0, 1"], "logspace": ["x, y"], "geomspace": ["np.abs(x) + 1, np.abs(y) + 1"],
    "fill_diagonal": [], "require": ["x"], "full": ["3, x", "x.shape, y.sum()"],
    "lib.stride_tricks.sliding_window_view": ["x, 2", "x, 1", "x, (1, 2)", "x, 9"],
    "linalg.matrix_power": ["x, 2"], "linalg.multi_dot": ["[x, x, x]"],
    "linalg.trace": ["x"], "linalg.diagonal": ["x"], "linalg.matrix_transpose": ["x"], "linalg.matmul": ["x, y"],
    "permute_dims": ["x", "x, (1, 0)"], "nan_to_num": ["x", "np.log(x - 0.3)"],
    "nanmedian": ["x", "np.where(x > 0.4, x, np.nan)"], "nanmean": ["x", "np.where(x > 0.4, x, np.nan)"],
    "nanvar": ["np.where(x > 0.4, x, np.nan)"], "nanstd": ["np.where(x > 0.4, x, np.nan)"],
    "nanmax": ["np.where(x > 0.4, x, np.nan)"], "nanargmax": ["x", "np.where(x > 0.4, x, np.nan)"],
    "nansum": ["np.where(x > 0.4, x, np.nan)", "x > 0.4"], "nancumsum": ["np.where(x > 0.4, x, np.nan)"],
    "sum": ["x", "x > 0.4", "np.argsort(x)"], "mean": ["x", "x > 0.4"], "prod": ["x", "x > 0.4"],
    "cumsum": ["x", "x > 0"],
    "max": ["x", "x > 0.4", "np.argsort(x)"], "var": ["x", "x > 0.4"], "ptp": ["x", "np.argsort(x)"],
}
OWN = {
    "pad": {"mode": ["'constant'", "'edge'", "'linear_ramp'", "'maximum'", "'mean'", "'median'", "'minimum'",
                     "'reflect'", "'symmetric'", "'wrap'", "'empty'", "'foo'",
                     "'linear_ramp', end_values=y.sum()", "'linear_ramp', end_values=(1, 2)",
                     "'maximum', stat_length=2", "'mean', stat_length=1", "'reflect', reflect_type='odd'",
                     "'symmetric', reflect_type='odd'", "'constant', constant_values=y.sum()",
                     "'constant', constant_values=(1, 2)", "lambda v, w, ax, kw: None"]},
    "convolve": {"mode": POOL["mode conv"]}, "correlate": {"mode": POOL["mode conv"]},
    "cov": {"ddof": ["0", "1"], "y": ["y"], "dtype": ["float"]}, "corrcoef": {"y": ["y"], "dtype": ["float"]},
    "interp": {"right": ["0.3", "y.sum()"]}, "trapezoid": {"x": ["y", "None"]},
    "gradient": {"varargs": [], "edge_order": ["1", "2", "3"]},
    "linalg.norm": {"x": []}, "transpose": {"axes": ["None", "(1, 0)", "(0, 5)"]},
    "rot90": {"k": ["0", "1", "2", "3", "-1"], "axes": ["(0, 1)", "(1, 0)", "(0, 0)"]},
    "linalg.cross": {"axis": ["0", "-1"]}, "permute_dims": {"axes": ["None"]},
    "astype": {"copy": ["True", "False"], "dtype": []}, "where": {"x": [], "y": []},
    "linspace": {"axis": ["0", "-1"], "dtype": ["float", "int", "'f2'"]},
    "polyint": {"k": ["None", "2.0"], "m": ["0", "1", "2"]},
    "polyder": {"m": ["0", "1", "2"]}, "cross": {"axis": ["None", "0", "-1"]},
    "meshgrid": {"copy": ["True", "False"]}, "partition": {"kind": ["'introselect'", "'foo'"]},
    "argpartition": {"kind": ["'introselect'", "'foo'"]}, "isin": {"kind": ["None", "'sort'", "'table'", "'foo'"]},
    "digitize": {"bins": []}, "round": {"a": []}, "histogram2d": {"bins": ["3", "[2, 3]", "[[0, 0.5, 1], [0, 1, 2]]"],
    "range": ["[[0, 1], [0, 2]]"]}, "histogramdd": {"bins": ["3"], "range": ["[[0, 1]]"]},
    "bincount": {"x": []}, "trim_zeros": {"filt": []}, "einsum": {"operands": []},
    "require": {"requirements": ["'C'", "'F'"]},
    "apply_along_axis": {"axis": []}, "clip": {"kwargs": []},
    "average": {"weights": POOL["weights"] + ["[1.0, 2.0, 3.0]"]},
    "count_nonzero": {}, "linalg.diagonal": {}, "vander": {"x": []}, "unravel_index": {"order": ["'C'", "'F'", "'Q'"]},
    "ravel_multi_index": {"order": ["'C'", "'F'"], "mode": ["'raise'", "'wrap'", "'clip'", "('clip', 'wrap')"]},
    "histogram": {"weights": POOL["weights"]}, "unwrap": {"period": ["3.0"]}, "reshape": {"newshape": []},
    "squeeze": {}, "linalg.matrix_norm": {"x": []}, "linalg.vector_norm": {"x": [], "axis": POOL["axis"]},
    "i0": {"x": []}, "sinc": {"x": []}, "fix": {"x": []}, "select": {}, "array": {"copy": ["True"]},
    "rollaxis": {"start": ["1"]}, "trim zeros": {},
}


def parameters(f):
    """Names of the keywords of a function that stand behind those of its data."""
    try:
        return list(inspect.signature(f).parameters.values())
    except ValueError:
        return []


def function(name):
    f = np
    for part in name.split("."):
        f = getattr(f, part, None)
    return f


def calls(names=None):
    """Expressions of x and y: (function, expression)."""
    for name, starts in BEFORE.items():
        f = function(name)
        if f is None or (names and name not in names):
            continue
        data = set()
        for start in starts:
            count = len(parameters(f)) and start and len(eval(f"_count({start})", {"_count": _Count, **NAMES}).args)
            keywords = {}
            for k, p in enumerate(parameters(f)):
                if k < count or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD, p.POSITIONAL_ONLY) or p.name in data:
                    continue
                values = OWN.get(name, {}).get(p.name)
                keywords[p.name] = POOL.get(p.name, []) if values is None else values
            if name == "clip":
                keywords |= {"min": POOL["min"], "max": POOL["max"]}
            yield name, f"np.{name}({start})"
            for key, values in keywords.items():
                for v in values:
                    yield name, f"np.{name}({start}, {key}={v})"
            axes = keywords.get("axis", ())
            for axis, (key, values) in itertools.product(axes, keywords.items()):
                if key != "axis":
                    for v in values:
                        yield name, f"np.{name}({start}, axis={axis}, {key}={v})"
            if "keepdims" in keywords and "where" in keywords:
                for axis, where in itertools.product(axes, keywords["where"]):
                    more = ", initial=0.5" if "initial" in keywords else ""
                    yield name, f"np.{name}({start}, axis={axis}, where={where}, keepdims=True{more})"


class _Count:
    def __init__(self, *args, **kwargs):
        self.args = args


X0 = np.array([0.9, 0.35])
NAMES = {"np": np, "x": X0, "y": X0 + 0.2}

UFUNCS = ["add", "multiply", "subtract", "divide", "maximum", "fmin", "logaddexp", "hypot", "power", "logical_or",
          "logical_and", "bitwise_or", "arctan2", "equal", "floor_divide", "heaviside"]


def ufunc_calls():
    """The same for ufuncs and their methods."""
    for name in UFUNCS:
        a, b = ("(x > 0.4)", "(y > 0.3)") if name == "bitwise_or" else ("x", "y")
        for extra in ("", ", where=x > 0.4, out=np.ones(x.shape)", ", where=x > 0.4", ", dtype=float", ", dtype=int",
                      ", order='F'", ", casting='no'", ", casting='unsafe'", ", subok=False", ", out=None",
                      ", out=(np.zeros(x.shape),)", ", out=np.zeros((2, *x.shape))", ", out=np.zeros(x.shape, int)",
                      ", out=...", ", signature='dd->d'", ", axis=0", ", keepdims=True",
                      ", where=False, out=np.ones(x.shape)",
                      ", dtype='f2'", ", dtype=object", ", dtype=complex", ", extra=1"):
            yield name, f"np.{name}({a}, {b}{extra})"
        for axis in ("", ", axis=0", ", axis=-1", ", axis=None", ", axis=1", ", axis=(0, 1)", ", axis=7", ", axis=()"):
            for extra in ("", ", keepdims=True", ", initial=0.5", ", initial=None", ", where=x > 0.4", ", dtype=int",
                ", dtype=float",
                          ", where=x > 0.4, initial=0.5", ", out=np.zeros(())", ", out=OUT"):
                yield name, f"np.{name}.reduce({a}{axis}{extra})"
        for axis in ("", ", axis=0", ", axis=-1", ", axis=1", ", axis=None", ", axis=7"):
            for extra in ("", ", dtype=float", ", dtype=int", ", out=np.zeros(x.shape)"):
                yield name, f"np.{name}.accumulate({a}{axis}{extra})"
            for k in ("[0, 1]", "[1, 0, 1]", "[]", "[9]", "np.array([0])", "[-1]"):
                yield name, f"np.{name}.reduceat({a}, {k}{axis})"
                yield name, f"np.{name}.reduceat({a}, {k}{axis}, dtype=float)"
        yield name, f"np.{name}.outer({a}, {b})"
        yield name, f"np.{name}.outer({a}, {b}, dtype=float)"
        yield name, f"np.{name}.outer({a}, 2.0)"
        for k in ("[0, 0]", "0", "(0,)", "[[0], [1]]", "x > 0.4", "slice(None)", "..."):
            yield name, f"(lambda z: (np.{name}.at(z, {k}, 0.5), z)[1])({a} * 1)"
    for name in ("sin", "negative", "isnan", "logical_not", "sign", "positive", "sqrt", "modf", "floor"):
        for extra in ("", ", where=x > 0.4, out=np.ones(x.shape)", ", dtype=float", ", dtype=int", ", order='F'",
                      ", out=np.zeros(x.shape)", ", out=np.zeros(x.shape, int)", ", out=...", ", casting='no'"):
            yield name, f"np.{name}(x{extra})"


METHODS = ["all", "any", "argmax", "argmin", "argsort", "cumprod", "cumsum", "diagonal", "flatten", "max", "mean",
    "min",
           "nonzero", "prod", "ravel", "round", "squeeze", "std", "sum", "trace", "transpose", "var", "copy", "clip"]


def method_calls():
    """The same for methods of arrays."""
    for name in METHODS:
        for _, call in calls([name]):
            start = f"np.{name}(x"
            if call.startswith((start + ")", start + ", ")):
                rest = call[len(start):].removeprefix(", ")
                yield name, f"x.{name}({rest}"
    for call in ("x.T", "x.mT", "x.item()", "x.item(0)", "x.tolist()", "x.real", "x.size", "x.nbytes", "x.flat[0]",
                 "x.astype(int)", "x.astype(float, copy=False)", "x.astype('f2')", "x.astype(object)", "x.astype('U5')",
                 "x.searchsorted(0.5)", "x.choose([x])", "x.swapaxes(0, -1)", "x.repeat(2)", "x.repeat(2, 0)",
                 "x.take([0])",
                 "x.compress([True])", "x.dot(x)", "x.dot(2.0)", "x.conj()", "x.reshape(-1)",
                 "x.reshape(-1, order='F')",
                 "(lambda z: (z.sort(), z)[1])(x * 1)", "(lambda z: (z.sort(axis=0), z)[1])(x * 1)",
                 "(lambda z: (z.fill(2.0), z)[1])(x * 1)", "(lambda z: (z.put([0], 2.0), z)[1])(x * 1)",
                 "(lambda z: (z.partition(1), z)[1])(x * 1)", "x.argpartition(0)", "x.view()", "x.tobytes()",
                 "x.byteswap()", "len(x)", "x.__len__()", "float(x)", "int(x)", "bool(x)",
                 "x.__index__()", "abs(x)", "-x", "+x", "~(x > 0.4)", "[*x.flat]", "x[...]", "x[None]", "x[()]",
                 "x[::-1]", "x[:0]", "x[x > 0.4]", "x[[0]]", "x[-1]", "x.itemsize", "x.ndim", "x.dtype.name"):
        yield "method", call


def all_calls():
    """Everything."""
    return itertools.chain(calls(), ufunc_calls(), method_calls())


# ---- judging ---------------------------------------------------------------------------------------------------------

def operand(shape, seed):
    """(x, y) of a shape, without ties."""
    rng = np.random.default_rng(seed)
    n = eval(shape[:shape.index(")") + 1])
    made = []
    for _ in range(2):
        v = rng.permutation(max(1, int(np.prod(n)))) / max(1.0, np.prod(n)) + rng.uniform(0.05, 0.07)
        made.append(v[:int(np.prod(n))].reshape(n)[()])
    return made


def compiled(call, out, shape):
    """The function of two arrays: x and y are views of them by what follows the shape; OUT is an array like `out`."""
    tail = shape[shape.index(")") + 1:]
    if "OUT" in call:
        if not isinstance(out, np.ndarray | np.generic):
            return None
        of = np.shape(out)
        call = call.replace("WRONG OUT", f"np.zeros({(*of, 2)})").replace("INT OUT", f"np.zeros({of}, int)")
        call = call.replace("OUT", f"np.zeros({of}, '{np.asarray(out).dtype.str}')")
    return eval(f"lambda x, y: (lambda x, y: {call})(x{tail}, y{tail})", {"np": np, "__name__": "user"})


def run(f, xs):
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return f(*[x.copy() for x in xs]), None
    except Exception as e:
        return None, e


def leaves(y):
    if isinstance(y, tuple | list):
        return [v for part in y for v in leaves(part)]
    return [y]


def memory_order(x):
    """What decides which reshapes of x are views, and in what order `order="K"` takes the elements."""
    return np.argsort(np.abs(x.strides), kind="stable").tolist(), x.flags.c_contiguous, x.flags.f_contiguous


def differs(got, want, elsewhere=False):
    """What is wrong with a result, or ''."""
    got, want = leaves(got), leaves(want)
    if len(got) != len(want):
        return f"{len(got)} results, NumPy {len(want)}"
    for a, b in zip(got, want, strict=True):
        if isinstance(b, str | bytes | type(None) | np.dtype):
            if a != b:
                return f"{a!r}, NumPy {b!r}"
            continue
        x, y = np.asarray(a), np.asarray(b)
        if x.shape != y.shape:
            return f"shape {x.shape}, NumPy {y.shape}"
        if x.dtype != y.dtype and not isinstance(b, int | float):
            return f"dtype {x.dtype}, NumPy {y.dtype}"
        if not elsewhere and y.ndim > 1 and y.size and min(y.shape) > 1 and memory_order(x) != memory_order(y):
            return f"strides {x.strides}, NumPy {y.strides}"
        if y.dtype.kind not in "fiubc":
            if x.tolist() != y.tolist():
                return f"value {x.tolist()}, NumPy {y.tolist()}"
        elif not np.allclose(x, y, rtol=1e-12, atol=1e-12, equal_nan=True):
            return f"value {x.tolist()}, NumPy {y.tolist()}"
    return ""


def verdict(call, shape):
    """('same' | 'error' | 'refused' | 'unfair' | 'FAULT ...', text) of one expression on operands of a shape."""
    xs, others = operand(shape, 1), operand(shape, 2)
    base = None
    if "OUT" in call:
        base, error = run(compiled(call[:call.rindex("out=")].rstrip(", ") + ")", None, shape), xs)
        if error is not None:
            return "unfair", str(error)
    f = compiled(call, base, shape)
    # NumPy does not hand out=... on; np.astype of a number is an error in old releases only.
    if f is None or "out=..." in call or (shape == "()" and (".copy(order" in call or "np.astype" in call)):
        return "unfair", "no result"
    want, error = run(f, xs)
    seen = []

    def program(x, y, one):
        result = f(x, y)
        seen[:] = [[T.concrete(v) if not isinstance(v, str | bytes | type(None)
            | np.dtype) else v for v in leaves(result)]]
        return (one, [v for v in leaves(result) if not isinstance(v, str | bytes | type(None) | np.dtype)])

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            tape = ad.record(program, *[x.copy() for x in xs], 1.0)
        except ad.UnsupportedError as e:
            return "refused", str(e)
        except Exception as e:
            if error is None:
                return "FAULT error", f"{type(e).__name__}: {e}"
            if isinstance(e, type(error)) or isinstance(error, type(e)):
                return "error", str(e)
            return "FAULT kind", f"{type(e).__name__}: {e}; NumPy {type(error).__name__}: {error}"
        if error is not None:
            return "FAULT accepted", f"NumPy {type(error).__name__}: {error}"
        # (np.empty is anything; the results of unravel_index lie side by side in NumPy's memory)
        what = differs(seen[0], want, "unravel_index" in call) if "empty" not in call else ""
        if what:
            return "FAULT value", what
        try:
            got = tape(*others, 1.0)[1]
        except ad.TapeDivergence:
            return "same", "guarded"
        except Exception as e:
            return "FAULT replay error", f"{type(e).__name__}: {e}"
        there, error = run(f, others)
        if error is not None:
            return "FAULT replay accepted", f"NumPy {error}"
        if "'f2'" in call:               # constants that are not float64 leave as float64
            return "same", ""
        there = [v for v in leaves(there) if not isinstance(v, str | bytes | type(None) | np.dtype)]
        what = differs(got, there, True) if "empty" not in call else ""
        return ("FAULT replay", what) if what else ("same", "")


def verdicts(part=1.0, names=(), seed=0):
    """(name, expression, shape, verdict, text) of a random part of all expressions and shapes."""
    rng = random.Random(seed)
    for name, call in all_calls():
        for shape in SHAPES:
            if (names and name not in names) or rng.random() > part or (name == "method" and shape == "()"):
                continue
            yield name, call, shape, *verdict(call, shape)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--names", nargs="*", help="functions (default: all)")
    parser.add_argument("--part", type=float, default=1.0, help="how much of it")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--refused", action="store_true", help="list refusals, too")
    args = parser.parse_args()
    counts, found = collections.Counter(), collections.defaultdict(list)
    for name, call, shape, kind, text in verdicts(args.part, args.names, args.seed):
        counts[kind] += 1
        if kind.startswith("FAULT") or (args.refused and kind == "refused"):
            found[name, kind].append((call, shape, text))
    for (name, kind), cases in sorted(found.items()):
        print(f"{kind} {name}: {len(cases)}")
        for call, shape, text in cases[:4]:
            print(f"    {call}   {shape}: {text[:200]}")
    print(dict(counts))


if __name__ == "__main__":
    main()
