"""More of the fuzzer's vocabulary: statements whose kinds once found a fault.

Owns: functions that count and compare (unique, histogram, choose), ufunc methods, statements that NumPy refuses
and the program catches, None and integers that become floats.  It adds to fuzz_statements.STATEMENTS.
Must not know: fastad.  Next: tests/fuzz_statements.py (the rest, and how to write one).
"""

from tests.fuzz_scope import BINARY, Nothing, expression, scalar_expression
from tests.fuzz_statements import STATEMENTS, statement


@statement("error.caught", 1, mutates=True)
def _(s):
    """What does not fit is an error in NumPy, and must not become a number."""
    a, b, v = s.target(), s.array(), s.fresh()
    if s.shape(a) == s.shape(b):
        raise Nothing
    return f"try:\n    {v} = np.sum(" + s.pick(
        f"{a}[{s.mask(b)}].sum()", f"{a} + {b}", f"np.concatenate([{a}, {b}])", f"({a} @ {b}).sum()",
        f"{a}[:, {b} > 0].sum()", f"np.where({b} > 0, {a}, 0.5)", f"np.stack([{a}, {b}])",
        f"{a}[np.argsort({b}.ravel(), kind='stable')].sum()", f"np.take({a}, [{s.place(9)}])",
        f"{a}.reshape({b}.shape) * 2", f"np.compress({b} > 0, {a}).sum()", f"{a}[({b} > 0).sum()] * 1.0",
    ) + f")\nexcept (IndexError, ValueError):\n    {v} = {s.scalar()}"  # fmt: skip


@statement("error.caught_write", 0.7, mutates=True)
def _(s):
    a, b = s.target(), s.array()
    if s.shape(a) == s.shape(b):
        raise Nothing
    write = s.pick(f"{a}[{s.mask(b)}] = {s.scalar()}", f"{a}[:1] = {b}", f"{a} += {b}", f"{a}[{b} > 0] *= 2",
                   f"np.copyto({a}, {b})", f"{a}[...] = {b}")  # fmt: skip
    return f"try:\n    {write}\nexcept (IndexError, ValueError):\n    {a}[0] = {s.scalar()}"


@statement("error.math", 0.6)
def _(s):
    v, u = s.fresh(), f"{s.scalar()} * 0.93 + 0.137"         # seldom at the end of a domain: no slope there
    body = s.pick(f"math.sqrt({u})", f"math.log({u})", f"math.acos({u})", f"math.log1p({u} - 0.5)")
    return f"try:\n    {v} = {body}\nexcept ValueError:\n    {v} = {scalar_expression(s)}"


@statement("count.unique", 0.8)
def _(s):
    a, v = s.traced(), s.fresh()             # sums: the number of elements differs from point to point
    n = s.values[a].size
    return s.pick(
        f"{v} = np.unique({a}).sum()", f"{v} = (np.unique(np.floor({a} * 2)) * {s.scalar()}).sum()",
        f"u, {v} = np.unique(np.rint({a}), return_counts=True)\n{v} = ({v} * u).sum() * {s.scalar()}",
        f"u, k = np.unique(np.floor({a}), return_inverse=True)\n{v} = u[k] * {a}",
        f"u, k = np.unique({a}, return_index=True)\n{v} = ({a}.ravel()[k[::-1]] * np.arange({n})[:len(k)]).sum()",
    )  # fmt: skip


@statement("count.histogram", 0.8)
def _(s):
    a, v = s.traced(), s.fresh()
    b = s.same(a)
    return f"{v} = " + s.pick(
        f"np.histogram({a}, GRID)[0]", f"np.histogram({a}, GRID, weights={b})[0]",
        f"np.histogram({b}, 3, (-1.5, 1.7), weights={a})[0]", f"np.isin(np.floor({a}), [0.0, 1.0]) * {b}",
        f"np.bincount(np.digitize({a}.ravel(), GRID), weights={b}.ravel(), minlength=8)",
    )  # fmt: skip


@statement("count.choose", 0.6)
def _(s):
    a, v = s.traced(), s.fresh()
    b = s.same(a)
    return f"{v} = " + s.pick(
        f"np.choose(({a} > {s.const()}).astype(int), [{a}, {b}])", f"({a} > 0).astype(int).choose([{b}, {s.const()}])",
        f"np.choose(np.floor({a}).astype(int), [{a}, {b}, {expression(s, a)}], mode='{s.pick('clip', 'wrap')}')",
    )  # fmt: skip


@statement("count.lexsort", 0.4)
def _(s):
    a = s.traced(1)
    return f"{s.fresh()} = {a}[np.lexsort(({s.same(a)}, np.floor({a} * 2)))]"


@statement("ufunc.reduce", 0.8)
def _(s):
    a = s.traced()
    f, safe = s.pick(("logaddexp", a), ("hypot", a), ("subtract", a), ("fmax", a), ("divide", f"({a} ** 2 + 0.7)"))
    axis = s.axis(a, 0)
    return f"{s.fresh()} = " + s.pick(f"np.{f}.reduce({safe}, axis={axis})", f"np.{f}.accumulate({safe}, axis={axis})",
                                      f"np.add.reduceat({a}, [0, {s.place(2) % 2}], axis=0)")  # fmt: skip


@statement("ufunc.at", 0.7, mutates=True)
def _(s):
    a = s.target()
    if not s.values[a].flags.writeable:
        raise Nothing
    at = [s.place(s.shape(a)[0]) for _ in range(3)]
    return s.pick(f"np.multiply.at({a}, {at}, {s.const()})", f"np.maximum.at({a}, {at}, {s.scalar()})",
                  f"np.negative.at({a}, {at})", f"np.subtract.at({a}, {at}, {s.scalar()})")  # fmt: skip


@statement("poly", 0.6)
def _(s):
    c, x = s.traced(1), s.pick(s.scalar(), s.array())
    return f"{s.fresh()} = " + s.pick(
        f"np.polynomial.polynomial.polyval(np.tanh({x}), {c})", f"np.polynomial.chebyshev.chebval(np.tanh({x}), {c})",
        f"np.polynomial.Polynomial({c})(0.5 * np.tanh({x}))", f"np.polyval({c}, np.sin({x}))",
    )  # fmt: skip


@statement("write.numbers", 0.6, mutates=True)
def _(s):
    """Integers and booleans, plain and traced, into floats."""
    a, v = s.target(1), s.fresh()
    n = s.shape(a)[0]
    return s.pick(
        f"{a}[{a} < {s.const()}] = np.arange(({a} < {s.const()}).sum() * 0 + 1)", f"{a}[0] = np.argmax({a})",
        f"{a}[:] = np.argsort({a}, kind='stable')", f"{a}[::2] = {a}[::2] > 0",
        f"{v} = {a} * 1\n{v}[0] = None\n{v} = np.nan_to_num({v})", f"{a}[{a} > 0] = np.arange({n})[0]",
    )  # fmt: skip


@statement("python.list_argument", 0.8)
def _(s):
    f, u, w = s.pick("nanmax", "sort", "cumsum", "tril", "flipud", "nan_to_num", "ediff1d"), s.scalar(), s.scalar()
    return f"{s.fresh()} = np.{f}([{u}, {s.const()}, {s.pick(*BINARY).format(u, w)}])"


FEATURES = tuple([feature for feature, _, _, function in STATEMENTS if function.__module__ == __name__])
