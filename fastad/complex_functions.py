"""complex_functions.py - NumPy's functions on complex arrays.

Owns: which function is recorded for complex arguments and how: most are linear, and are the function of the real part
and that of the imaginary part; products are four real ones; the rest is written out.  NumPy itself says what is a view.
Must not know: elementwise formulas (complex_rows.py), Fourier transforms (fourier.py).
Next: complex_methods.py (methods, and ufuncs with keywords), numpy_api.py (which calls this where an argument is
complex).
"""
from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad import einsum as einsums
from fastad import operands, pythonic
from fastad.complex_conversion import complex_cast, recast
from fastad.complex_rows import ORDERING, ROWS, worked
from fastad.complex_values import (
    COMPLEX64,
    COMPLEX128,
    ComplexArray,
    ComplexNumber,
    base_of,
    both,
    combined,
    lifted,
    make,
    pairs_view,
    parts,
)
from fastad.movers import relayout
from fastad.operands import NOVALUE, RECORDED, asarray, existing, is_array, refusal, shape_of

COMPLEX: dict[Any, Any] = {}             # NumPy function -> what records it where an argument is complex


def records(*functions: Any) -> Any:
    """Register an implementation for complex arguments."""
    def register(implementation: Any) -> Any:
        COMPLEX.update(dict.fromkeys(functions, implementation))
        return implementation
    return register


def call(func: Any, args: Any, kwargs: Any) -> Any:
    """A NumPy function with traced and complex arguments; NotImplemented if nothing is known of it."""
    implementation = COMPLEX.get(func)
    if implementation is not None:
        return implementation(*args, **kwargs)
    if func in pythonic.PYTHON_LEVEL:
        return RECORDED[func](*args, **kwargs)
    return NotImplemented


def deliver(out: Any, value: Any, what: str) -> Any:
    """Write a result into out=."""
    if isinstance(out, tuple):
        (out,) = out
    if out is None:
        return value
    if not T.is_wrapped(out):
        raise refusal(what, "a traced result cannot be written into out=, a plain array that was made outside the "
                      "recorded function, or of such an array alone (z = z0.copy()); write z = np.array(z0), or make "
                      "it inside with np.zeros(n, complex)")
    if not isinstance(out, T.Complex) and T.complex_among(value):
        raise TypeError(f"Cannot cast {what} output from {value.dtype!r} to {out.dtype!r} with casting rule "
                        "'same_kind'")
    if np.broadcast_shapes(shape_of(value), out.shape) != out.shape:
        raise ValueError(f"{what}: output array of shape {out.shape} does not fit the result's shape {shape_of(value)}")
    out[...] = value
    return out


def as_complex(x: Any) -> Any:
    """An operand as a complex array or number, traced or plain."""
    x = asarray(x) if isinstance(x, (list, tuple)) else x
    return x if isinstance(x, T.Complex) else make_from(x)


def in_dtype(x: Any, dtype: Any, what: str) -> Any:
    """A complex operand in the dtype that dtype= asks for."""
    if np.dtype(dtype) not in (COMPLEX128, COMPLEX64):
        raise refusal(what, f"dtype={np.dtype(dtype)} of a complex array is not recorded; complex128 and complex64 are")
    x = as_complex(x)
    return x if x.dtype == np.dtype(dtype) else complex_cast(x, np.dtype(dtype))


def make_from(x: Any) -> Any:
    re, im = both(x)
    return make(re, im)


def need_real(what: str, *args: Any) -> None:
    if T.complex_among(*args):
        raise refusal(what, "a complex argument in this place is not recorded; use its real and imaginary parts")


# ---- linear ----------------------------------------------------------------------------------------------------------

LINEAR = {"sum": ("axis", "dtype", "out", "keepdims", "initial", "where"), "mean": ("axis", "dtype", "out", "keepdims"),
          "cumsum": ("axis", "dtype", "out"), "diff": ("n", "axis", "prepend", "append"), "pad": ("pad_width", "mode"),
          "trace": ("offset", "axis1", "axis2", "dtype", "out"),
          "linalg.trace": ()}            # names of the further arguments
WITH_PARTS = ("initial", "prepend", "append", "constant_values", "end_values")


def linear(func: Any, names: tuple[str, ...]) -> Any:
    """A function that is linear in its first argument: of the real part, and of the imaginary part."""
    def record(x: Any, *args: Any, out: Any = None, dtype: Any = None, **kwargs: Any) -> Any:
        kwargs.update(zip(names, args, strict=False))
        out, dtype = kwargs.pop("out", out), kwargs.pop("dtype", dtype)
        if dtype is not None:
            x = in_dtype(x, dtype, func.__name__)
        need_real(func.__name__, *[v for name, v in kwargs.items() if name not in WITH_PARTS])
        known = {name: both(v) if name in WITH_PARTS and v is not NOVALUE else (v, v) for name, v in kwargs.items()}
        results = [func(part, **{name: v[k] for name, v in known.items()})
                   for k, part in enumerate(both(as_complex(x)))]
        return deliver(out, combined(*results), func.__name__)
    record.__name__ = func.__name__
    return record


def mover(func: Any) -> Any:
    """A function that only moves elements of its first argument: a view where NumPy gives one."""
    def record(x: Any, *args: Any, **kwargs: Any) -> Any:
        z = as_complex(x)
        z = lifted(z) if isinstance(z, ComplexNumber) or not is_array(z) else z
        need_real(func.__name__, args, list(kwargs.values()))
        if T.tape_of(*args, *kwargs.values()) is not None:
            return combined(func(z.re, *args, **kwargs), func(z.im, *args, **kwargs))
        out = func(z.concrete(), *args, **kwargs)
        if z.pairs is not None:
            several = list(out) if type(out) in (list, tuple) else [out]
            if all(is_array(o) and T.is_view_of(z.pairs, o) for o in several):
                views = [pairs_view(z.pairs, o) for o in several]
                return type(out)(views) if type(out) in (list, tuple) else views[0]
        found = combined(func(z.re, *args, **kwargs), func(z.im, *args, **kwargs))
        return found if z.pairs is None else ordered(found, out)     # (strided parts may be moved in another order)
    record.__name__ = func.__name__
    return record


def ordered(z: Any, like: Any) -> Any:
    """Computed arrays in the memory order of NumPy's result."""
    if type(z) in (list, tuple):
        return type(z)([ordered(x, y) for x, y in zip(z, like, strict=True)])
    if not is_array(z) or z.ndim < 2:
        return z
    like = np.empty_like(like, dtype=np.float64)
    return ComplexArray(relayout(z.re, like), relayout(z.im, like))


def of_list(func: Any) -> Any:
    """A function of a list of arrays that only moves elements."""
    def record(xs: Any, *args: Any, out: Any = None, **kwargs: Any) -> Any:
        like = func([T.concrete(x) for x in xs], *args, **kwargs)
        res, ims = zip(*map(both, xs), strict=True)
        found = combined(func(list(res), *args, **kwargs), func(list(ims), *args, **kwargs))
        return deliver(out, recast(ordered(found, like), base_of(like.dtype)), func.__name__)
    record.__name__ = func.__name__
    return record


MOVERS = (
    "reshape", "ravel", "transpose", "swapaxes", "moveaxis", "rollaxis", "squeeze", "expand_dims", "flip",
    "fliplr", "flipud", "rot90", "roll", "tile", "repeat", "tril", "triu", "diag", "diagonal", "diagflat",
    "broadcast_to", "atleast_1d", "atleast_2d", "atleast_3d", "split", "array_split", "hsplit", "vsplit",
    "dsplit", "matrix_transpose", "linalg.diagonal", "linalg.matrix_transpose", "permute_dims", "resize",
    "delete", "copy", "take", "take_along_axis", "unstack", "lib.stride_tricks.sliding_window_view",
    "lib.stride_tricks.as_strided",
)
for _f in existing(*MOVERS):
    COMPLEX[_f] = mover(_f)
for _name, _names in LINEAR.items():
    for _f in existing(_name):
        COMPLEX[_f] = linear(_f, _names)
for _f in existing("concatenate", "stack", "hstack", "vstack", "dstack", "column_stack"):
    COMPLEX[_f] = of_list(_f)


@records(np.extract, np.compress)
def extract(condition: Any, arr: Any, *args: Any, **kwargs: Any) -> Any:
    """The condition comes first."""
    return combined(*[np.compress(condition, x, *args, **kwargs) if kwargs or args else np.extract(condition, x)
                      for x in both(arr)])


@records(np.block)
def block(arrays: Any) -> Any:
    """Nested lists."""
    def part(x: Any, k: int) -> Any:
        return [part(y, k) for y in x] if isinstance(x, list) else both(x)[k]
    return combined(np.block(part(arrays, 0)), np.block(part(arrays, 1)))


@records(np.append)
def append(arr: Any, values: Any, axis: Any = None) -> Any:
    """Both may be complex."""
    (a, b), (c, d) = both(arr), both(values)
    return combined(np.append(a, c, axis), np.append(b, d, axis))


@records(np.insert)
def insert(arr: Any, obj: Any, values: Any, axis: Any = None) -> Any:
    """Both may be complex."""
    (a, b), (c, d) = both(arr), both(values)
    return combined(np.insert(a, obj, c, axis), np.insert(b, obj, d, axis))


@records(np.where)
def where(condition: Any, x: Any = NOVALUE, y: Any = NOVALUE) -> Any:
    """Selects, by the truth of the condition."""
    condition = np.not_equal(condition, 0) if T.complex_among(condition) else condition
    if x is NOVALUE:
        return np.where(condition)
    (a, b), (c, d) = both(x), both(y)
    return combined(np.where(condition, a, c), np.where(condition, b, d))


def _where(c: Any, x: Any, y: Any) -> Any:
    re, im = (np.where(c[0], 0.0 if a is None else a, 0.0 if b is None else b) for a, b in zip(x, y, strict=True))
    return make(re, im)


ROWS["where"] = _where


@records(np.select)
def select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    """The first choice whose condition holds."""
    pairs, (d, e) = [both(x) for x in choicelist], both(default)
    return combined(np.select(condlist, [a for a, _ in pairs], d), np.select(condlist, [b for _, b in pairs], e))


@records(np.full_like)
def full_like(a: Any, fill_value: Any, dtype: Any = None, order: Any = "K", subok: bool = True,
              shape: Any = None) -> Any:
    """An array of the kind of a, filled."""
    y = T.wrap(np.empty_like(T.concrete(a), dtype=dtype, order=order, shape=shape))
    y[...] = fill_value
    return y


@records(np.broadcast_arrays)
def broadcast_arrays(*args: Any, subok: bool = False) -> Any:
    """Real ones stay real."""
    shape = np.broadcast_shapes(*map(shape_of, args))
    return tuple(np.broadcast_to(x, shape) for x in args)


@records(np.meshgrid)
def meshgrid(*xi: Any, **kwargs: Any) -> Any:
    """Grids of each."""
    pairs = [both(x) for x in xi]
    grids = zip(np.meshgrid(*[a for a, _ in pairs], **kwargs), np.meshgrid(*[b for _, b in pairs], **kwargs),
                strict=True)
    return [combined(a, b) for a, b in grids]


@records(np.trapezoid)
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """Linear in y; the nodes are real."""
    need_real("np.trapezoid", x, dx)
    a, b = both(y)
    return combined(np.trapezoid(a, x, dx, axis), np.trapezoid(b, x, dx, axis))


@records(np.interp)
def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    """Linear in the table."""
    need_real("np.interp", x, xp)
    (a, b), ends = both(fp), [(None, None) if e is None else both(e) for e in (left, right)]
    return combined(*[np.interp(x, xp, f, ends[0][k], ends[1][k], period) for k, f in enumerate((a, b))])


# ---- products --------------------------------------------------------------------------------------------------------

def product_base(*xs: Any) -> int:
    """Code of the dtype of the parts of a product.  These functions make arrays of Python's numbers: none is weak."""
    return base_of(np.result_type(*[x.dtype if hasattr(x, "dtype") else np.asarray(T.concrete(x)).dtype for x in xs]))


def bilinear(func: Any, sign: tuple[int, int] = (1, 1)) -> Any:
    """A product of two arrays; sign -1: of that operand the conjugate is taken."""
    def record(x: Any, y: Any, *args: Any, out: Any = None, **kwargs: Any) -> Any:
        x, y = (asarray(v) if isinstance(v, (list, tuple)) else v for v in (x, y))
        (a, b), (c, d) = parts(x), parts(y)
        s, code = sign[0] * sign[1], product_base(x, y)

        def f(u: Any, v: Any) -> Any:
            return func(u, v, *args, **kwargs)
        if b is None and d is None:
            return deliver(out, f(a, c), func.__name__)
        a, b, c, d = (worked(part, code) for part in (a, b, c, d))
        if b is None:
            re, im = f(a, c), sign[1] * f(a, d)
        elif d is None:
            re, im = f(a, c), sign[0] * f(b, c)
        else:
            re, im = f(a, c) - s * f(b, d), sign[1] * f(a, d) + sign[0] * f(b, c)
        return deliver(out, recast(make(re, im), code), func.__name__)
    record.__name__ = func.__name__
    return record


for _f in existing("dot", "matmul", "inner", "outer", "tensordot", "kron", "convolve", "linalg.matmul",
                   "linalg.tensordot", "linalg.outer", "cross", "linalg.cross", "polymul"):
    COMPLEX[_f] = bilinear(_f)
for _f in existing("vdot", "vecdot", "linalg.vecdot"):
    COMPLEX[_f] = bilinear(_f, (-1, 1))
for _f in existing("correlate"):
    COMPLEX[_f] = bilinear(_f, (1, -1))
matmul = COMPLEX[np.matmul]


@records(np.einsum)
def einsum(subscripts: Any, *operands: Any, out: Any = None, **kwargs: Any) -> Any:
    """The sum over the choices of a part of each operand, times a power of i: 4 of two operands, 2**n of n."""
    if not isinstance(subscripts, str):
        raise refusal("np.einsum", "with complex operands give the subscripts as text")
    operands = tuple(map(asarray, operands))
    if len(operands) > 2 and "." not in subscripts and "dtype" not in kwargs and len({x.dtype for x in operands}) == 1:
        return deliver(out, by_pairs(subscripts, operands, **kwargs), "einsum")
    total: list[Any] = [None, None]
    for chosen in itertools.product((0, 1), repeat=len(operands)):
        terms = [parts(x)[k] for k, x in zip(chosen, operands, strict=True)]
        if any(t is None for t in terms):
            continue
        y, n = np.einsum(subscripts, *terms, **kwargs), sum(chosen)
        y = -y if n % 4 in (2, 3) else y
        total[n % 2] = y if total[n % 2] is None else total[n % 2] + y
    return deliver(out, recast(make(*total), product_base(*operands)), "einsum")


def by_pairs(subscripts: str, operands: Any, **kwargs: Any) -> Any:
    """np.einsum of many complex operands of one dtype: two after two, so that the choices do not multiply."""
    terms, result = einsums.parsed_text(subscripts, tuple([x.ndim for x in operands]))
    sizes: dict[str, int] = {}
    for term, x in zip(terms, operands, strict=True):
        sizes.update({i: n for i, n in zip(term, shape_of(x), strict=True) if sizes.get(i, 1) == 1})
    terms, xs = list(terms), list(operands)
    for i, j in einsums.path(tuple(map(tuple, terms)), tuple(result), tuple(sizes.items())):
        rest = [k for k in range(len(terms)) if k not in (i, j)]
        needed = set(result).union(*[terms[k] for k in rest])
        kept = [k for k in dict.fromkeys(terms[i] + terms[j]) if k in needed] if rest else result
        x = np.einsum(f"{''.join(terms[i])},{''.join(terms[j])}->{''.join(kept)}", xs[i], xs[j], **kwargs)
        terms, xs = [terms[k] for k in rest] + [kept], [xs[k] for k in rest] + [x]
    if len(result) < 2:
        return xs[0]
    like = np.einsum(subscripts, *[T.concrete(both(x)[0]) for x in operands], **kwargs)
    re, im = both(xs[0])
    return make(relayout(re, like), relayout(im, like), product_base(*operands))


# ---- the rest --------------------------------------------------------------------------------------------------------

@records(np.real)
def real(val: Any) -> Any:
    """A view of the real part."""
    return val.real


@records(np.imag)
def imag(val: Any) -> Any:
    """A view of the imaginary part."""
    return val.imag


@operands.records(np.angle)
@records(np.angle)
def angle(z: Any, deg: bool = False) -> Any:
    """Derivative 0 at 0."""
    re, im = both(z)
    y = np.arctan2(im, re)
    return y * (180.0 / np.pi) if deg else y


@records(np.iscomplex)
def iscomplex(x: Any) -> Any:
    """Is the imaginary part not zero?"""
    return np.not_equal(both(x)[1], 0)


@records(np.isreal)
def isreal(x: Any) -> Any:
    """Is the imaginary part zero?"""
    return np.equal(both(x)[1], 0)


@records(np.real_if_close)
def real_if_close(a: Any, tol: Any = 100) -> Any:
    """Whether it is close decides on the dtype, so it is guarded."""
    a = asarray(a)
    bound = tol * np.finfo(a.dtype).eps if tol > 1 else tol
    return a.real if bool(np.all(np.abs(a.imag) < bound)) else a


@records(np.prod)
def prod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = NOVALUE,
         initial: Any = NOVALUE, where: Any = True) -> Any:
    """Products in halves."""
    a = asarray(a) if dtype is None else in_dtype(a, dtype, "np.prod")
    if where is not True:
        a = np.where(where, a, 1.0)
    axes = range(a.ndim) if axis is None else np.lib.array_utils.normalize_axis_tuple(axis, a.ndim)
    rest = [k for k in range(a.ndim) if k not in axes]
    rows = a.transpose([*axes, *rest]).reshape((-1, *[a.shape[k] for k in rest]))
    while len(rows) > 1:
        half = len(rows) // 2
        y = rows[:half] * rows[half:2 * half]
        rows = y if len(rows) % 2 == 0 else np.concatenate((y, rows[2 * half:]))
    y = rows[0] if len(rows) else np.ones(rows.shape[1:], a.dtype)
    y = y if initial is NOVALUE else y * initial
    if keepdims is not NOVALUE and keepdims:
        y = np.reshape(y, [1 if k in axes else n for k, n in enumerate(a.shape)])
    return deliver(out, y, "prod")


@records(np.cumprod)
def cumprod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    """One after the other."""
    a = a if dtype is None else in_dtype(a, dtype, "np.cumprod")
    a = np.ravel(a) if axis is None else asarray(a)
    rows = np.moveaxis(a, 0 if axis is None else axis, 0)
    found = list(itertools.accumulate([rows[k] for k in range(len(rows))], lambda x, y: x * y))
    return deliver(out, np.stack(found, axis=0 if axis is None else axis) if found else a.copy(), "cumprod")


@records(np.var)
def var(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = NOVALUE,
        **kwargs: Any) -> Any:
    """That of the real part and that of the imaginary part; complex, as NumPy's, where a dtype is given."""
    a = a if dtype is None else in_dtype(a, dtype, "np.var")
    kwargs.update({} if keepdims is NOVALUE else {"keepdims": keepdims})
    re, im = both(a)
    y = np.var(re, axis, ddof=ddof, **kwargs) + np.var(im, axis, ddof=ddof, **kwargs)
    return deliver(out, y if dtype is None else complex_cast(y, np.dtype(dtype)), "var")


@records(np.std)
def std(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = NOVALUE,
        **kwargs: Any) -> Any:
    """The root of the variance."""
    return deliver(out, np.sqrt(var(a, axis, dtype, None, ddof, keepdims, **kwargs)), "std")


@records(*existing("linalg.vector_norm"))
def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    """Of the absolute values."""
    return np.linalg.vector_norm(np.abs(x), axis=axis, keepdims=keepdims, ord=ord)


@records(np.round, np.around)
def around(a: Any, decimals: Any = 0, out: Any = None) -> Any:
    """Both parts."""
    re, im = both(a)
    return deliver(out, make(np.round(re, decimals), np.round(im, decimals)), "round")


@records(np.nan_to_num)
def nan_to_num(x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    """Both parts."""
    if not copy:
        raise refusal("np.nan_to_num", "copy=False of a complex array")
    re, im = both(x)
    return make(*[np.nan_to_num(v, True, nan, posinf, neginf) for v in (re, im)])


@records(np.isclose)
def isclose(a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: bool = False) -> Any:
    """By absolute values."""
    close = (np.abs(a - b) <= atol + rtol * np.abs(b)) & np.isfinite(b) | np.equal(a, b)
    return close | (np.isnan(a) & np.isnan(b)) if equal_nan else close


@records(np.allclose)
def allclose(a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: bool = False) -> Any:
    """Are all close?"""
    return bool(np.all(isclose(a, b, rtol, atol, equal_nan)))


@records(np.array_equal)
def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> Any:
    """The same shape and elements."""
    return shape_of(a1) == shape_of(a2) and bool(np.all(np.equal(a1, a2)))


def of_truth(func: Any) -> Any:
    """A function that looks at nothing but which elements are zero."""
    def record(a: Any, *args: Any, **kwargs: Any) -> Any:
        return func(np.not_equal(a, 0), *args, **kwargs)
    return record


for _f in existing("any", "all", "nonzero", "count_nonzero", "flatnonzero", "argwhere"):
    COMPLEX[_f] = of_truth(_f)


@records(np.copyto)
def copyto(dst: Any, src: Any, casting: Any = "same_kind", where: Any = True) -> Any:
    """dst[where] = src."""
    if not isinstance(dst, T.Complex):
        raise TypeError("Cannot cast array data from dtype('complex128') to dtype('float64') according to the rule "
                        f"'{casting}'")
    re, im = both(src)
    np.copyto(dst.re, re, casting, where)
    np.copyto(dst.im, im, casting, where)


def putter(func: Any) -> Any:
    """A function that writes its last argument into the first one."""
    def record(a: Any, where: Any, values: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(a, T.Complex):
            raise refusal(f"np.{func.__name__}", "complex values for a real array; give their real part")
        re, im = both(values)
        func(a.re, where, re, *args, **kwargs)
        func(a.im, where, im, *args, **kwargs)
    return record


for _f in existing("put", "place", "putmask", "put_along_axis"):
    COMPLEX[_f] = putter(_f)

for _f in existing("sort", "argsort", "max", "min", "amax", "amin", "argmax", "argmin", "median", "ptp", "clip",
                   "partition", "argpartition", "percentile", "quantile", "searchsorted", "lexsort", "nanmax", "nanmin",
                   "sort_complex"):
    def _refuse(*args: Any, _name: str = _f.__name__, **kwargs: Any) -> Any:
        raise refusal(f"np.{_name}", ORDERING)
    COMPLEX[_f] = _refuse
