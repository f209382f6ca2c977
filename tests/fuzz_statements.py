"""The vocabulary of the fuzzer: one function per kind of NumPy statement.

Owns: STATEMENTS, a table of functions from a Scope to a line (or block) of source text.
Must not know: fastad, and how a program is put together. A statement may turn out invalid: the
builder executes it and drops it. To add a kind, write one function; its name is counted, and
tests/test_fuzz.py demands that it occurs. Next: tests/fuzz_programs.py, which calls these.
"""

from tests.fuzz_scope import BINARY, MATH, SCALAR, UNARY, Nothing, expression, scalar_expression

STATEMENTS = []  # (feature, weight, mutates, function)


def statement(feature, weight=1.0, mutates=False):
    def register(fn):
        STATEMENTS.append((feature, weight, mutates, fn))
        return fn

    return register


@statement("elementwise.unary", 4)
def _(s):
    return f"{s.fresh()} = {s.pick(*UNARY).format(s.array())}"


@statement("elementwise.binary", 4)
def _(s):
    a = s.array()
    b = s.partner(a)
    return f"{s.fresh()} = {s.pick(*BINARY).format(*((a, b) if s.chance(0.8) else (b, a)))}"


@statement("scalar.expression", 3)
def _(s):
    return f"{s.fresh()} = {s.pick(*SCALAR).format(s.scalar(), s.scalar(), s.const())}"


@statement("scalar.math", 2)
def _(s):
    return f"{s.fresh()} = {s.pick(*MATH).format(s.scalar(), s.scalar())}"


@statement("scalar.times_array", 1.5)
def _(s):
    return f"{s.fresh()} = {s.scalar()} * {s.array()} {s.pick('+', '-')} {s.pick(s.const(), s.scalar(), '1', 'SCALE')}"


@statement("view.slice", 3)
def _(s):
    a = s.array()
    return f"{s.fresh()} = {a}[{s.key(a)}]"


@statement("view.transpose", 1.5)
def _(s):
    a = s.array()
    n = len(s.shape(a))
    if n == 1:
        return f"{s.fresh()} = {a}[None].T"
    order = list(range(n))
    s.rng.shuffle(order)
    i, j = s.place(n), s.place(n)
    return f"{s.fresh()} = " + s.pick(
        f"{a}.T",
        f"np.transpose({a}, {tuple(order)})",
        f"{a}.transpose({', '.join(map(str, order))})",
        f"{a}.swapaxes({i}, {j})",
        f"np.swapaxes({a}, {i}, {j})",
        f"np.moveaxis({a}, {i}, {j})",
    )


@statement("view.reshape", 2)
def _(s):
    a = s.array()
    size = s.values[a].size
    rows = s.pick(*[d for d in range(1, size + 1) if size % d == 0])
    return f"{s.fresh()} = " + s.pick(
        f"{a}.reshape({rows}, -1)", f"{a}.reshape(-1)", f"{a}.ravel()", f"np.ravel({a})", f"{a}.flatten()",
        f"np.reshape({a}, ({rows}, {size // rows}))", f"{a}.T.reshape({rows}, -1)", f"np.ravel({a}.T)",
    )  # fmt: skip


@statement("view.flip", 1)
def _(s):
    a = s.array()
    options = [f"np.flip({a})", f"np.flip({a}, {s.axis(a, 0)})", f"{a}[::-1]"]
    if len(s.shape(a)) >= 2:
        options += [f"np.fliplr({a})", f"np.flipud({a})", f"np.rot90({a})"]
    return f"{s.fresh()} = {s.pick(*options)}"


@statement("view.newaxis", 1)
def _(s):
    a = s.array()
    if len(s.shape(a)) > 2:
        raise Nothing
    return f"{s.fresh()} = " + s.pick(
        f"np.expand_dims({a}, {s.axis(a, 0)})",
        f"np.squeeze({a}[None])",
        f"{a}[..., None]",
        f"np.atleast_2d({a})",
        f"np.broadcast_to({a}, (2,) + {a}.shape) * 1.0",
    )


@statement("view.diagonal", 1)
def _(s):
    a = s.array(2)
    return f"{s.fresh()} = " + s.pick(f"np.diagonal({a})", f"np.diag({a})", f"{a}.diagonal(1)", f"np.trace({a})")


@statement("view.zero_d", 0.7, mutates=True)
def _(s):
    a, v = s.target(1), s.fresh()
    head = f"{v} = {a}[{s.place(s.shape(a)[0])}, ...]"
    return head if s.chance(0.5) else f"{head}\n{v}[...] = {scalar_expression(s)}"


@statement("write.element", 2, mutates=True)
def _(s):
    a = s.target()
    return f"{s.element(a)} {s.pick('=', '=', '=', '+=', '*=', '-=')} {scalar_expression(s)}"


@statement("write.slice", 2.5, mutates=True)
def _(s):
    a = s.target()
    key = s.key(a)
    value = s.pick(f"{a}[{key}]", s.same(a) + f"[{key}]", s.scalar(), s.const(), f"{a}[{key}][::-1]")
    if s.chance(0.4):
        value = s.pick(*UNARY).format(value)
    return f"{a}[{key}] {s.pick('=', '=', '+=', '-=', '*=')} {value}"


@statement("write.overlap", 2, mutates=True)
def _(s):
    a = s.target(least=2)
    op, pair = s.pick("=", "=", "+=", "-="), s.pick(("1:", ":-1"), (":-1", "1:"), ("::-1", ":"), (":", "::-1"))
    return f"{a}[{pair[0]}] {op} {s.pick('', '0.5 * ')}{a}[{pair[1]}]"


@statement("write.through_view", 2, mutates=True)
def _(s):
    a, v = s.target(), s.fresh()
    view = s.pick(f"{a}[{s.key(a, False)}]", f"{a}.T", f"{a}.reshape(-1)", f"{a}.ravel()", f"{a}[::-1]")
    write = s.pick(
        f"{v} *= {s.const()}", f"{v} += {s.scalar()}", f"{v}[0] = {s.scalar()}", f"{v}[...] = {s.const()}",
        f"{v}[-1] *= {s.scalar()}", f"{v} -= 0.3 * {v}", f"{v}[0] += {s.const()}",
    )  # fmt: skip
    return f"{v} = {view}\n{write}"


@statement("write.augmented", 2, mutates=True)
def _(s):
    a = s.target()
    return f"{a} {s.pick('+=', '*=', '-=', '/=')} " + s.pick(
        s.const(0.4, 1.2), f"(2.0 + np.cos({s.same(a)}))", f"0.5 * {s.same(a)}", s.const(-1.2, -0.4), f"{a}[::-1]"
    )


@statement("write.augmented_transposed", 0.6, mutates=True)
def _(s):
    a = s.target(2)
    if len(set(s.shape(a))) > 1:
        raise Nothing
    return f"{a} {s.pick('+=', '*=')} {a}.T"


@statement("write.out", 0.8, mutates=True)
def _(s):
    a = s.target()
    b = s.same(a)
    return s.pick(f"np.sin({b}, out={a})", f"np.add({b}, {s.partner(a)}, out={a})", f"np.multiply({a}, 0.5, out={a})")


@statement("write.copyto", 0.5, mutates=True)
def _(s):
    a = s.target()
    return s.pick(f"{a}.fill({s.pick(s.const(), s.scalar())})", f"np.copyto({a}, {s.partner(a)})")


@statement("fill.loop", 2.5, mutates=True)
def _(s):
    y, a = s.fresh(), s.array(1)
    n = s.shape(a)[0]
    made = s.pick(f"np.zeros({n})", f"np.empty({n})", f"np.ones({n})", f"np.zeros_like({a})", f"np.empty_like({a})",
                  f"np.full({n}, {s.const()})", f"np.zeros(len({a}))", f"np.zeros(({a}.shape[0],))")  # fmt: skip
    body = s.pick(
        f"0.5 * {y}[i - 1] + np.sin({a}[i])",
        f"{y}[i - 1] * math.cos({a}[i]) + {s.scalar()}",
        f"{a}[i] - {y}[i - 1] ** 2 * 0.1",
        f"math.tanh({y}[i - 1] + {a}[{n - 1} - i])",
        f"max({y}[i - 1], {a}[i])",
    )
    return f"{y} = {made}\n{y}[0] = {s.scalar()}\nfor i in range(1, {n}):\n    {y}[i] = {body}"


@statement("fill.matrix", 2, mutates=True)
def _(s):
    y, a = s.fresh(), s.array(1)
    n = s.shape(a)[0]
    if n > 5:
        raise Nothing
    m = s.pick(2, 3)
    made = f"{y} = np.{s.pick('zeros', 'ones')}(({n}, {m}))\n"
    return made + s.pick(
        f"for i in range({n}):\n    for j in range({m}):\n        {y}[i, j] = {a}[i] * {s.scalar()} + j",
        f"for i in range({n}):\n    {y}[i] = {a}[i] * np.arange({m})",
        f"for j in range({m}):\n    {y}[:, j] = {a} ** (j + 1) * 0.5",
        f"{y}[:, 0] = {a}\n{y}[:, 1:] = {y}[:, :-1] * {s.scalar()}",
        f"{y}[0] = {s.scalar()}\n{y}[:, -1] += {a}",
        f"for i, row in enumerate({y}):\n    row[0] = {a}[i]\n    row[1:] *= {s.scalar()}",
    )


@statement("fill.created_view", 1.2, mutates=True)
def _(s):
    y, v, a = s.fresh(), s.fresh(), s.array(1)
    n = s.shape(a)[0]
    part = s.pick("::2", "1::2", f":{n}", f"{n}:", f"-1:{n - 1}:-1")
    return f"{y} = np.zeros({2 * n})\n{v} = {y}[{part}]\n" + s.pick(
        f"{v}[:] = {a}", f"{y}[:{n}] = {a}\n{v}[0] = {s.const()}", f"{v} += {a}\n{y}[-1] = {s.scalar()}"
    )


@statement("fill.integers", 0.7, mutates=True)
def _(s):
    k, a = s.fresh(), s.array(1)
    return s.pick(
        f"{k} = np.zeros(3, dtype=int)\n{k}[0] = np.argmax({a})\n{k}[1] = {s.place(3) % 3}",
        f"{k} = np.zeros(2, dtype=bool)\n{k}[1] = {s.scalar()} > {s.const()}",
        f"{k} = np.zeros(2, dtype=int)\n{k}[1] = 3.0 * {s.scalar()}",
    )


@statement("create.plain", 0.8)
def _(s):
    a = s.array()
    n = s.shape(a)[-1]
    return f"{s.fresh()} = " + s.pick(
        f"np.linspace(0.0, 1.0, {n})", f"np.arange({n}) * 0.5", f"np.eye({n})", f"2 * np.ones({a}.shape)",
        "np.arange(3)",
        f"np.ones_like({a}) * {s.scalar()}", f"np.full({a}.shape, {s.scalar()})", f"np.array([0.3, -0.7, {s.const()}])",
    )  # fmt: skip


@statement("mask.assign", 2, mutates=True)
def _(s):
    a = s.target()
    m, b = s.mask(a), s.same(a)
    return s.pick(
        f"{a}[{m}] = {s.scalar()}",
        f"{a}[{m}] = {s.const()}",
        f"{a}[{m}] *= {s.const()}",
        f"{a}[{m}] += {s.scalar()}",
        f"m = {m}\n{a}[m] = {b}[m] * 2",
        f"m = {m}\n{a}[m] -= 0.5 * {b}[m]",
    )


@statement("mask.where", 2)
def _(s):
    a = s.array()
    return f"{s.fresh()} = np.where({s.mask(a)}, {expression(s, a)}, {s.partner(a)})"


@statement("mask.read", 1)
def _(s):
    a = s.traced()  # as in fancy.read: of a captured array it would leak
    read = f"{a}[{s.mask(a)}]"
    return f"{s.fresh()} = " + s.pick(read, f"{read}.sum()", f"np.sum({read} ** 2)", f"{read}.mean()")


@statement("mask.value", 1)
def _(s):
    a = s.array()
    return f"{s.fresh()} = " + s.pick(f"({s.mask(a)})", f"({a} > {s.const()}) * 2.0", f"({a} > 0).sum()",
                                      f"np.any({a} > 1.0)", f"({a} > -1.0).all() * {s.scalar()}")  # fmt: skip


@statement("mask.select_row", 0.5, mutates=True)
def _(s):
    a = s.target(2)
    return f"{a}[{a}[:, 0] > {s.const(-0.5, 0.5)}] {s.pick('=', '*=', '+=')} {s.pick(s.const(), s.scalar())}"


@statement("fancy.read", 1.5)
def _(s):
    a = s.array()
    a = a if s.rank[a] else s.traced()  # traced integers in a plain array of the user's leak: guarded, and plain
    index = s.index(s.shape(a)[0])
    if len(s.shape(a)) == 2 and s.chance(0.5):
        return f"{s.fresh()} = {a}[{s.pick(':', '::-1', '0')}, {s.index(s.shape(a)[1])}]"
    return f"{s.fresh()} = " + s.pick(f"{a}[{index}]", f"np.take({a}, {index}, axis=0)", f"{a}[{index}] * 0.5")


@statement("fancy.write", 1.5, mutates=True)
def _(s):
    a = s.target()
    options = [f"{a}[i] = {s.scalar()}", f"{a}[i] += {s.scalar()}", f"{a}[i] *= {s.const()}",
               f"{a}[i] = {a}[i][::-1] * 0.7", f"{a}[i] += np.sin({a}[i])"]  # fmt: skip
    if s.values[a].flags.writeable:      # NumPy's add.at writes into read-only arrays (a diagonal); we refuse
        options.append(f"np.add.at({a}, i, {s.scalar()})")
    return f"i = {s.index(s.shape(a)[0])}\n" + s.pick(*options)


@statement("fancy.pairs", 0.6, mutates=True)
def _(s):
    a = s.target(2)
    n, m = s.shape(a)
    at = f"{a}[{[s.place(n) for _ in range(3)]}, {[s.place(m) for _ in range(3)]}]"
    return s.pick(f"{s.fresh()} = {at}", f"{at} = {s.scalar()}", f"{at} += {s.scalar()}")


@statement("integer.array", 1.5)
def _(s):
    a = s.array(1)
    n = s.shape(a)[0]
    return f"{s.fresh()} = " + s.pick(
        f"np.argsort({a}, kind='stable')", f"({a} * 3).astype(int)", f"np.floor({a} * 2).astype(int) % {n}",
        f"np.searchsorted(np.sort({a}), {s.array()})", f"np.searchsorted(GRID, {a})", f"{a}.astype(int) // 2 + 1",
        f"np.argmax({a}) + np.arange(2)", f"np.argsort(-{a}, kind='stable')[::-1]",
        f"np.argsort({a}, kind='stable') * 2 % 5 - 1",
    )  # fmt: skip


@statement("integer.scalar", 1)
def _(s):
    a, k = s.traced(1), s.fresh()
    return f"{k} = " + s.pick(
        f"np.argmax({a})", f"{a}.argmin()", f"int({s.scalar()} * 3)", f"np.searchsorted(GRID, {s.scalar()})",
        f"int(np.floor({s.scalar()}))", f"{s.shape(a)[0]} // 2", f"np.argsort({a}, kind='stable')[0]",
        f"({a} > 0).sum() % 3",
    ) + f"\n{s.fresh()} = {a}[{k} % {s.shape(a)[0]}] * {s.pick('1', k)}"  # fmt: skip


@statement("integer.index_write", 0.7, mutates=True)
def _(s):
    a, b = s.target(1), s.array(1)
    at = s.pick(f"np.argmax({a})", f"np.argmin({a})", f"np.argmax({b}) % {s.shape(a)[0]}")
    return f"{a}[{at}] {s.pick('=', '+=', '*=')} {scalar_expression(s)}"


@statement("integer.arithmetic", 0.7)
def _(s):
    k = s.one(s.ints + s.int_scalars)
    return f"{s.fresh()} = " + s.pick(f"{k} * 0.5 + {s.scalar()}", f"({k} // 2) % 3 + {k}", f"-{k} + 1", f"{k} / 2",
                                      f"{k} ** 2 * 0.1", f"np.maximum({k}, 1) - 2",
                                      f"({k} > 1) * {s.scalar()}")  # fmt: skip


@statement("branch.if", 2)
def _(s):
    a, v = s.traced(), s.fresh()
    u, w = s.scalar(), s.scalar()
    test = s.pick(f"{u} > {w}", f"{u} < {s.const()}", f"{s.const(-1.0, 0)} < {u} < {s.const(0, 1.0)}",
                  f"np.any({a} > {s.const(0.3, 1.5)})", f"{u} > 0 and {w} > 0", f"not {u} > {w}",
                  f"{a}.sum() > {w}", f"({a} > 0).all()")  # fmt: skip
    return f"if {test}:\n    {v} = {expression(s, a)}\nelse:\n    {v} = {expression(s, a)}"


@statement("branch.if_write", 1, mutates=True)
def _(s):
    a = s.target()
    return f"if {s.scalar()} > {s.scalar()}:\n    {s.element(a)} = {scalar_expression(s)}"


@statement("branch.while", 1)
def _(s):
    a, v = s.traced(), s.fresh()
    return f"{v} = {a}\nk = 0\nwhile abs({v}).sum() > {s.const(0.5, 2.0)} and k < 4:\n    {v} = {v} * 0.5\n    k += 1"


@statement("branch.early_return", 0.25)
def _(s):
    if s.count < 5:
        raise Nothing
    return f"if {s.scalar()} > {s.const(0.2, 1.5)}:\n    return {s.traced()}.sum() * {s.scalar()}"


REDUCE = ("sum", "mean", "max", "min", "prod")


@statement("reduce.axis", 3)
def _(s):
    a = s.array()
    name, axis = s.pick(*REDUCE), s.axis(a)
    keep = ", keepdims=True" if s.chance(0.3) else ""
    arg = f"axis={axis}{keep}" if axis != "None" or keep else ""
    call = f"{a}.{name}({arg})" if s.chance(0.5) else f"np.{name}({a}{', ' if arg else ''}{arg})"
    return f"{s.fresh()} = " + s.pick(call, call, call, f"{a} - {call}" if keep else call)


@statement("reduce.expression", 1)
def _(s):
    a = s.array()
    return f"{s.fresh()} = np.{s.pick(*REDUCE)}({expression(s, a)}, axis={s.axis(a)})"


@statement("linalg.dot", 2)
def _(s):
    a = s.array()
    b = s.same(a)
    if len(s.shape(a)) == 1:
        # the method of a plain ndarray converts its argument before anyone is asked: refused, loudly
        method = f"{a}.dot({b})" if s.rank[a] else f"np.dot({a}, {b})"
        return f"{s.fresh()} = " + s.pick(
            f"np.dot({a}, {b})", f"{a} @ {b}", method, f"np.outer({a}, {s.array(1)})", f"np.inner({a}, {b})",
            f"np.vdot({a}, {b})",
        )  # fmt: skip
    if len(s.shape(a)) > 2:
        return f"{s.fresh()} = {a} @ np.swapaxes({b}, -1, -2)"
    rows = [n for n in s.vectors if s.shape(n)[0] == s.shape(a)[1]]
    options = [f"{a} @ {b}.T", f"np.dot({a}.T, {b})", f"np.matmul({a}, {b}.T)"]
    if rows:
        r = s.one(rows)
        options += [f"{a} @ {r}", f"np.dot({a}, {r})", f"{r} @ {a}.T"]
    return f"{s.fresh()} = {s.pick(*options)}"


@statement("linalg.einsum", 1)
def _(s):
    a = s.array()
    b, n = s.same(a), len(s.shape(a))
    if n == 1:
        return f"{s.fresh()} = " + s.pick(f"np.einsum('i,i->', {a}, {b})", f"np.einsum('i,j->ij', {a}, {s.array(1)})",
                                          f"np.einsum('i->', {a})")  # fmt: skip
    if n == 2:
        return f"{s.fresh()} = " + s.pick(f"np.einsum('ij,ij->', {a}, {b})", f"np.einsum('ij->ji', {a})",
                                          f"np.einsum('ij,kj->ik', {a}, {b})", f"np.einsum('ij->j', {a})")  # fmt: skip
    return f"{s.fresh()} = np.einsum('ijk,ijk->{s.pick('i', 'kj', '')}', {a}, {b})"


@statement("order.cumsum", 1)
def _(s):
    a = s.array()
    return f"{s.fresh()} = " + s.pick(f"np.cumsum({a})", f"np.cumsum({a}, axis={s.axis(a, 0)})", f"{a}.cumsum()")


@statement("order.diff", 1)
def _(s):
    a = s.array(least=2)
    return f"{s.fresh()} = " + s.pick(f"np.diff({a}, axis=0)", f"np.diff({a}, axis=0)", f"{a}[1:] - {a}[:-1]")


@statement("order.sort", 1.2)
def _(s):
    a = s.array()
    options = [f"np.sort({a})", f"np.sort({a}, axis={s.axis(a, 0)})", f"np.sort({a})[::-1]", f"np.sort({a}, axis=None)"]
    return f"{s.fresh()} = {s.pick(*options)}"


@statement("order.sort_in_place", 0.4, mutates=True)
def _(s):
    return f"{s.target()}.sort()"


@statement("order.median", 0.8)
def _(s):
    a = s.array()
    return f"{s.fresh()} = np.median({a}, axis={s.axis(a)})"


@statement("interp", 1.2)
def _(s):
    a, t = s.array(), s.array(1)
    n = s.shape(t)[0]
    return f"{s.fresh()} = " + s.pick(
        f"np.interp({a}, GRID, np.sin(GRID))",
        f"np.interp({a}, np.linspace(-2.0, 2.0, {n}), {t})",
        f"np.interp({s.scalar()}, np.linspace(-1.5, 1.5, {n}), {t})",
        f"np.interp({a}, np.cumsum({t} ** 2 + 0.1) - 1.0, {s.same(t)})",
        f"np.interp({s.const()}, np.linspace(-1.5, 1.5, {n}), {t})",
    )


@statement("join.concatenate", 1.5)
def _(s):
    a = s.array()
    b = s.same(a)
    return f"{s.fresh()} = " + s.pick(
        f"np.concatenate([{a}, {b}])", f"np.concatenate(({a}, {b}), axis={s.axis(a, 0)})", f"np.stack([{a}, {b}])",
        f"np.stack([{a}, {b}], axis=-1)", f"np.hstack([{a}, {b}])", f"np.vstack([{a}, {b}])",
        f"np.concatenate([{a}[:1], {b}, {a}[1:]])", f"np.append({a}, {s.scalar()})",
    )  # fmt: skip


@statement("join.pad", 1)
def _(s):
    a = s.array()
    return f"{s.fresh()} = " + s.pick(
        f"np.pad({a}, 1)", f"np.pad({a}, (1, 0), mode='edge')", f"np.pad({a}, 1, constant_values={s.const()})",
        f"np.pad({a}, (0, 2), mode='constant')", f"np.pad({a}, 1, mode='edge')",
    )  # fmt: skip


@statement("join.roll", 1)
def _(s):
    a = s.array()
    shift = s.pick(1, -1, 2)
    return f"{s.fresh()} = " + s.pick(f"np.roll({a}, {shift})", f"np.roll({a}, {shift}, axis={s.axis(a, 0)})")


@statement("join.repeat", 0.8)
def _(s):
    a = s.array()
    along = f"np.repeat({a}, 2, axis={s.axis(a, 0)})"
    return f"{s.fresh()} = " + s.pick(f"np.tile({a}, 2)", f"np.repeat({a}, 2)", along)


@statement("broadcast.newaxis", 1.2)
def _(s):
    a, b = s.array(1), s.array(1)
    return f"{s.fresh()} = {a}[:, {s.pick('None', 'np.newaxis')}] {s.pick('+', '-', '*')} {b}{s.pick('', '[None, :]')}"


@statement("python.array_of_scalars", 1.5)
def _(s):
    parts = [s.pick(s.scalar(), scalar_expression(s), s.const()) for _ in range(s.pick(2, 3))]
    return f"{s.fresh()} = np.{s.pick('array', 'array', 'asarray', 'stack')}([{', '.join(parts)}])"


@statement("python.array_of_rows", 0.8)
def _(s):
    a = s.array(1)
    return f"{s.fresh()} = np.array([{a}, {s.same(a)}, {a} * {s.scalar()}])"


@statement("python.comprehension", 1.5)
def _(s):
    a = s.array(1)
    b = s.same(a)
    return f"{s.fresh()} = " + s.pick(
        f"sum([u * u for u in {a}])", f"np.array([np.sin(u) for u in {a}])", f"sum(u * w for u, w in zip({a}, {b}))",
        f"np.array([u * i for i, u in enumerate({a})])", f"sum(u for u in {a} if u > 0)",
        f"np.array([math.tanh(u) + {s.scalar()} for u in {a}])", f"max({a}) - min({b})",
    )  # fmt: skip


@statement("python.iterate", 1)
def _(s):
    a, v = s.array(), s.fresh()
    return f"{v} = {s.pick('0.0', '0', s.scalar())}\nfor row in {a}:\n    {v} = {v} + np.sum(row * {s.scalar()})"


@statement("python.append", 0.8)
def _(s):
    a, v = s.array(1), s.fresh()
    grow = f"items.append(0.5 * items[-1] + u * {s.scalar()})"
    return f"items = [{s.scalar()}]\nfor u in {a}:\n    {grow}\n{v} = np.array(items)"


@statement("python.function", 1)
def _(s):
    g, u, v = s.fresh(), s.fresh(), s.fresh()
    form = s.pick(f"{g} = lambda p, q: (p * q, p - q)", f"def {g}(p, q=0.5):\n    return p + q, np.sin(p) * SCALE")
    return f"{form}\n{u}, {v} = {g}({s.scalar()}, {s.pick(s.scalar(), s.array())})"


@statement("python.unpack", 0.5)
def _(s):
    vectors = [n for n in s.vectors if s.shape(n)[0] in (2, 3)]
    a = s.one(vectors)
    names = [s.fresh() for _ in range(s.shape(a)[0])]
    return f"{', '.join(names)} = {a}"


@statement("python.tolist", 0.3)
def _(s):
    return f"{s.fresh()} = sum(u * {s.scalar()} for u in {s.array(1)}.tolist())"


@statement("python.accumulate", 0.8)
def _(s):
    v, a = s.fresh(), s.array(1)
    return f"{v} = {s.scalar()}\nfor i in range(len({a})):\n    {v} {s.pick('+=', '-=')} {a}[i] * {a}[-1 - i]"


@statement("copy", 1)
def _(s):
    a = s.traced()
    return f"{s.fresh()} = " + s.pick(f"{a}.copy()", f"{a}.astype(float)", f"np.array({a})", f"np.copy({a})", f"{a}[:]",
                                      f"np.ascontiguousarray({a}.T)", f"np.asarray({a})")  # fmt: skip


@statement("rebind", 1)
def _(s):
    a = s.target()
    return f"{a} = {expression(s, a)}"


@statement("captured", 1.5)
def _(s):
    return f"{s.fresh()} = " + s.pick(
        "C0 * 2 + SCALE", "C0[::-1] * C0", "C1.sum(axis=0)", "C1.T", f"C0 * {s.scalar()}", f"np.sin(C1) * {s.scalar()}",
        f"{s.array()} * SCALE", "float(C0[0]) + SCALE", "C1[0] - C0", f"C0 @ C0 * {s.array()}",
        f"C1 @ C0 + {s.scalar()}",
    )  # fmt: skip
