"""A slow, obvious tape: the oracle that fastad is tested against.

Owns: traced Python scalars, object arrays of them, and the verbs grad, jvp and hvp over both.
Must not know: fastad. It shares no code and no table with what it checks.
Every operation stores its local partials while it runs; reverse and forward are one loop each.
Values may be traced by an outer tape, so verbs nest. `namespace()` gives the `np` and `math` that
an unmodified program must be executed with. Next: tests/fuzz.py, which compares.
"""

import math
import types

import numpy as np


class Unsupported(TypeError):
    """The oracle does not model this; the caller falls back to differences."""


class Tape:
    """Nodes in order of execution; node i holds ((operand, partial), ...)."""

    depth = 0

    def __init__(self):
        Tape.depth += 1
        self.level, self.nodes = Tape.depth, []

    def close(self):
        Tape.depth -= 1

    def push(self, value, *edges):
        self.nodes.append(edges)
        return Scalar(self, len(self.nodes) - 1, value)

    def reverse(self, result, inputs):
        if not (isinstance(result, Scalar) and result.tape is self):
            return [0.0] * len(inputs)
        bars = [0.0] * len(self.nodes)
        bars[result.index] = 1.0
        for i in range(result.index, -1, -1):
            for operand, partial in self.nodes[i]:
                if not _is_zero(bars[i]):
                    bars[operand] = bars[operand] + bars[i] * partial
        return [bars[s.index] for s in inputs]

    def tangent(self, result, inputs, seeds):
        if not (isinstance(result, Scalar) and result.tape is self):
            return 0.0
        dots = [0.0] * len(self.nodes)
        for s, seed in zip(inputs, seeds, strict=True):
            dots[s.index] = seed
        for i, edges in enumerate(self.nodes):
            for operand, partial in edges:
                if not _is_zero(dots[operand]):
                    dots[i] = dots[i] + dots[operand] * partial
        return dots[result.index]


def _is_zero(v):
    return not isinstance(v, Scalar) and v == 0


def _sgn(x):
    return int(x > 0) - int(x < 0)


# name: (value, partial from x and y); the functions sin, cos ... below work on both kinds of number
UNARY = {
    "sin": (math.sin, lambda x, y: F.cos(x)),
    "cos": (math.cos, lambda x, y: -F.sin(x)),
    "tan": (math.tan, lambda x, y: 1 + y * y),
    "arcsin": (math.asin, lambda x, y: 1 / F.sqrt(1 - x * x)),
    "arccos": (math.acos, lambda x, y: -1 / F.sqrt(1 - x * x)),
    "arctan": (math.atan, lambda x, y: 1 / (1 + x * x)),
    "sinh": (math.sinh, lambda x, y: F.cosh(x)),
    "cosh": (math.cosh, lambda x, y: F.sinh(x)),
    "tanh": (math.tanh, lambda x, y: 1 - y * y),
    "arcsinh": (math.asinh, lambda x, y: 1 / F.sqrt(x * x + 1)),
    "arccosh": (math.acosh, lambda x, y: 1 / F.sqrt(x * x - 1)),
    "arctanh": (math.atanh, lambda x, y: 1 / (1 - x * x)),
    "exp": (math.exp, lambda x, y: y),
    "exp2": (math.exp2, lambda x, y: y * math.log(2)),
    "expm1": (math.expm1, lambda x, y: y + 1),
    "log": (math.log, lambda x, y: 1 / x),
    "log2": (math.log2, lambda x, y: 1 / (x * math.log(2))),
    "log10": (math.log10, lambda x, y: 1 / (x * math.log(10))),
    "log1p": (math.log1p, lambda x, y: 1 / (1 + x)),
    "sqrt": (math.sqrt, lambda x, y: 0.5 / y),
    "cbrt": (math.cbrt, lambda x, y: 1 / (3 * y * y)),
    "square": (lambda x: x * x, lambda x, y: 2 * x),
    "reciprocal": (lambda x: 1 / x, lambda x, y: -y * y),
    "absolute": (abs, lambda x, y: _sgn(x)),
    "sign": (_sgn, lambda x, y: 0),
    "floor": (lambda x: float(math.floor(x)), lambda x, y: 0),
    "ceil": (lambda x: float(math.ceil(x)), lambda x, y: 0),
    "rint": (lambda x: float(np.rint(x)), lambda x, y: 0),
    "negative": (lambda x: -x, lambda x, y: -1),
    "positive": (lambda x: x, lambda x, y: 1),
}


def _power_b(a, b, y):
    return y * F.log(a) if a > 0 else 0.0


def _tie(a, b):
    return 1.0 if a > b else 0.5 if a == b else 0.0


BINARY = {
    "add": (lambda a, b: a + b, lambda a, b, y: 1, lambda a, b, y: 1),
    "subtract": (lambda a, b: a - b, lambda a, b, y: 1, lambda a, b, y: -1),
    "multiply": (lambda a, b: a * b, lambda a, b, y: b, lambda a, b, y: a),
    "divide": (lambda a, b: a / b, lambda a, b, y: 1 / b, lambda a, b, y: -y / b),
    "power": (lambda a, b: a**b, lambda a, b, y: b * a ** (b - 1) if b != 0 else 0.0, _power_b),
    "floor_divide": (lambda a, b: a // b, lambda a, b, y: 0, lambda a, b, y: 0),
    "remainder": (lambda a, b: a % b, lambda a, b, y: 1, lambda a, b, y: -(a // b)),
    "arctan2": (math.atan2, lambda a, b, y: b / (a * a + b * b), lambda a, b, y: -a / (a * a + b * b)),
    "hypot": (math.hypot, lambda a, b, y: a / y, lambda a, b, y: b / y),
    "maximum": (max, lambda a, b, y: _tie(a, b), lambda a, b, y: _tie(b, a)),
    "minimum": (min, lambda a, b, y: _tie(b, a), lambda a, b, y: _tie(a, b)),
}
ALIAS = {"abs": "absolute", "fmax": "maximum", "fmin": "minimum", "true_divide": "divide", "mod": "remainder"}


def _value(s, level):
    return s.value if isinstance(s, Scalar) and s.tape.level == level else s


def apply(name, *args):
    """One operation on numbers and traced scalars: the innermost tape records, the others are values."""
    value, *partials = UNARY.get(name) or BINARY[name]
    if any(isinstance(s, np.ndarray) for s in args):
        raise Unsupported("an array inside an array")
    top = max((s.tape for s in args if isinstance(s, Scalar)), key=lambda t: t.level, default=None)
    if top is None:
        return value(*args)
    plain = [_value(s, top.level) for s in args]
    y = apply(name, *plain)
    edges = [
        (s.index, d(*plain, y)) for s, d in zip(args, partials, strict=True) if isinstance(s, Scalar) and s.tape is top
    ]
    return top.push(y, *edges)


F = types.SimpleNamespace(**{name: (lambda *a, _n=name: apply(_n, *a)) for name in (*UNARY, *BINARY)})


def _operator(name, swap=False):
    def method(self, other):
        if isinstance(other, np.ndarray):
            return getattr(np, name)(*((other, self) if swap else (self, other)))
        if not isinstance(other, (Scalar, int, float, np.number, np.bool_)):
            return NotImplemented
        return apply(name, other, self) if swap else apply(name, self, other)

    return method


def _comparison(test):
    def method(self, other):
        if isinstance(other, np.ndarray):
            return test(np.asarray(self, dtype=object), other)
        return bool(test(self.value, _value(other, self.tape.level)))

    return method


class Scalar:
    """A traced number: node `index` of `tape`, with its present value."""

    __slots__ = ("tape", "index", "value")
    __hash__ = None
    ndim, shape, size = 0, (), 1

    def __init__(self, tape, index, value):
        self.tape, self.index, self.value = tape, index, value

    __add__, __radd__ = _operator("add"), _operator("add", True)
    __sub__, __rsub__ = _operator("subtract"), _operator("subtract", True)
    __mul__, __rmul__ = _operator("multiply"), _operator("multiply", True)
    __truediv__, __rtruediv__ = _operator("divide"), _operator("divide", True)
    __pow__, __rpow__ = _operator("power"), _operator("power", True)
    __mod__, __rmod__ = _operator("remainder"), _operator("remainder", True)
    __floordiv__, __rfloordiv__ = _operator("floor_divide"), _operator("floor_divide", True)
    __lt__, __le__ = _comparison(lambda a, b: a < b), _comparison(lambda a, b: a <= b)
    __gt__, __ge__ = _comparison(lambda a, b: a > b), _comparison(lambda a, b: a >= b)
    __eq__, __ne__ = _comparison(lambda a, b: a == b), _comparison(lambda a, b: a != b)

    def __neg__(self):
        return apply("negative", self)

    def __pos__(self):
        return self

    def __abs__(self):
        return apply("absolute", self)

    def conjugate(self):
        return self

    def __bool__(self):
        return bool(self.value)

    def __int__(self):
        return int(self.value)

    def __floor__(self):
        return math.floor(self.value)

    def __float__(self):
        raise Unsupported("a traced scalar has no float()")

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        return _ufunc(ufunc, method, *inputs, **kwargs)

    def __repr__(self):
        return f"Scalar({self.value!r})"


class Array(np.ndarray):
    """Object array of traced scalars and numbers; NumPy does the indexing, the views and the loops."""

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        return _ufunc(ufunc, method, *inputs, **kwargs)

    def __array_function__(self, func, types_, args, kwargs):
        return _wrap(super().__array_function__(func, types_, args, kwargs))

    def astype(self, dtype, *args, **kwargs):
        if np.dtype(dtype).kind in "fO":
            return self.copy()
        kind = int if np.dtype(dtype).kind in "iu" else bool
        return np.array([kind(s) for s in self.ravel()], dtype=dtype).reshape(self.shape)


def _wrap(out):
    if isinstance(out, (tuple, list)):
        return type(out)(map(_wrap, out))
    if not isinstance(out, np.ndarray):
        return out
    return out.view(Array if out.dtype == object else np.ndarray)


def _objects(a):
    a = np.asarray(a, dtype=None if isinstance(a, np.ndarray) else object)
    return a.view(np.ndarray).astype(object, copy=False) if a.dtype.kind in "fO" else a.view(np.ndarray)


def _ufunc(ufunc, method, *inputs, out=None, **kwargs):
    name = ALIAS.get(ufunc.__name__, ufunc.__name__)
    arrays = [_objects(a) if isinstance(a, (Scalar, np.ndarray)) else a for a in inputs]
    if out is not None:
        kwargs["out"] = tuple(o.view(np.ndarray) for o in out)
    if method == "at" and inputs[0].dtype != object:
        raise Unsupported("ufunc.at with traced values into a plain array")
    if method == "reduce" and name in ("maximum", "minimum"):
        return _wrap(_reduce(name, arrays[0], **kwargs))
    if name in UNARY or (name in BINARY and method == "__call__"):
        ufunc = np.frompyfunc(lambda *a: apply(name, *a), len(inputs), 1)
    result = getattr(ufunc, method)(*arrays, **kwargs)
    return out[0] if out is not None else _wrap(result)


def _reduce(name, a, axis=0, keepdims=False, **kwargs):
    # frompyfunc promises no order, so NumPy reduces it over one axis only
    fn = np.frompyfunc(lambda p, q: apply(name, p, q), 2, 1)
    if axis is None or isinstance(axis, tuple):
        flat = fn.reduce(a.reshape(-1))
        return np.full((1,) * a.ndim, flat, dtype=object) if keepdims else flat
    return fn.reduce(a, axis=axis, keepdims=keepdims)


def _interp(x, xp, fp):
    def one(s):
        i = min(max(int(np.searchsorted(xp, s, side="right")) - 1, 0), len(xp) - 2)
        if s <= xp[0] or s >= xp[-1]:
            return fp[0] if s <= xp[0] else fp[-1]
        return fp[i] + (fp[i + 1] - fp[i]) / (xp[i + 1] - xp[i]) * (s - xp[i])

    x, xp, fp = (np.asarray(a) for a in (x, xp, fp))
    return _wrap(np.frompyfunc(one, 1, 1)(x))


class _Math(types.SimpleNamespace):
    def __getattr__(self, name):
        return getattr(math, name)


class _NumPy(types.SimpleNamespace):
    """The numpy module, but float arrays that it creates can hold traced scalars."""

    def __getattr__(self, name):
        fn = getattr(np, name)
        if not callable(fn) or isinstance(fn, (type, np.ufunc)):
            return fn
        return lambda *args, **kwargs: _wrap(fn(*args, **kwargs))  # np.stack of scalars makes a bare object array


def _creator(fn):
    def create(*args, **kwargs):
        if fn.__name__.endswith("_like") and isinstance(args[0], Array):
            kwargs.setdefault("dtype", float)
            args = (np.empty(args[0].shape), *args[1:])
        if fn is np.full and isinstance(args[1], Scalar):
            kwargs["dtype"] = object
        if kwargs.get("dtype") is float and fn in (np.array, np.asarray):
            del kwargs["dtype"]
        out = fn(*args, **kwargs)
        if out.ndim == 0 and fn is np.where:
            return out[()]
        return out.astype(object, copy=fn is not np.asarray).view(Array) if out.dtype.kind in "fO" else out

    return create


CREATORS = ("zeros ones empty full eye linspace arange array asarray zeros_like ones_like empty_like full_like where")
MATH = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "atan2": "arctan2", "fabs": "absolute", "pow": "power"}
MATH.update({n: n for n in "sin cos tan sinh cosh tanh exp log log2 log10 log1p expm1 sqrt cbrt hypot".split()})


def namespace():
    """The names `np` and `math` for executing a program on the oracle."""
    fake_math = _Math(**{name: getattr(F, row) for name, row in MATH.items()})
    fake = _NumPy(**{name: _creator(getattr(np, name)) for name in CREATORS.split()}, interp=_interp)
    return {"np": fake, "math": fake_math}


def _inputs(tape, arrays):
    traced = []
    for a in arrays:
        scalars = [tape.push(v) for v in np.asarray(a, dtype=object).ravel()]
        shaped = np.array([*scalars, None], dtype=object)[:-1].reshape(np.shape(a)).view(Array)
        traced.append((scalars, shaped if np.ndim(a) else scalars[0]))
    return [s for scalars, _ in traced for s in scalars], [shaped for _, shaped in traced]


def _run(f, args):
    tape = Tape()
    try:
        scalars, shaped = _inputs(tape, args)
        result = f(*shaped)
        return tape, scalars, result.item() if isinstance(result, np.ndarray) else result
    finally:
        tape.close()


def _bare(v):
    return v.value if isinstance(v, Scalar) else v


def _split(flat, args):
    ends = np.cumsum([np.size(a) for a in args])[:-1]
    parts = np.split(np.array(flat), ends)
    return tuple(p.reshape(np.shape(a)) for p, a in zip(parts, args, strict=True))


def value_and_grad(f, *args):
    """Value of scalar f(*args) and a tuple of gradients, one for each argument."""
    tape, scalars, result = _run(f, args)
    return _bare(result), _split(tape.reverse(result, scalars), args)


def grad(f, *args):
    """Gradients of scalar f, one for each argument, by a reverse sweep."""
    return value_and_grad(f, *args)[1]


def jvp(f, args, seeds):
    """(value, directional derivative) by a forward sweep."""
    tape, scalars, result = _run(f, args)
    flat = [v for s in seeds for v in np.asarray(s, dtype=float).ravel().tolist()]
    return _bare(result), tape.tangent(result, scalars, flat)


def hvp(f, x, v):
    """Hessian of f(x) times v: a forward sweep over a tape that recorded a reverse sweep."""
    outer = Tape()
    try:
        scalars, (shaped,) = _inputs(outer, [x])
        inner, inner_scalars, result = _run(f, [shaped])
        bars = inner.reverse(result, inner_scalars)
        seeds = np.asarray(v, dtype=float).ravel().tolist()
        return np.array([outer.tangent(b, scalars, seeds) for b in bars]).reshape(np.shape(x))
    finally:
        outer.close()
