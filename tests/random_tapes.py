"""Random small tapes over all primitives, written instruction by instruction.

Owns: a generator of well-formed tapes whose values stay moderate and away from kinks, and inputs for them.
Must not know: transformations, passes, programs (their tests are the users).
Next: test_transform.py, test_passes.py, test_program.py.
"""
import math

import numpy as np

from fastad import _tape as T

F64, INT, BOOL = 0, 1, 2
SHAPES = [(), (), (), (3,), (4,), (2, 3), (6,), (3, 2), (1,)]
UNARY = ["sin", "cos", "tanh", "arctan", "square", "negative", "expm1", "absolute", "arcsinh", "positive", "cbrt"]
BINARY = ["add", "subtract", "multiply", "maximum", "minimum", "hypot", "arctan2", "fmax", "copysign", "strongzero",
          "zeroproduct"]


def size(shape):
    return math.prod(shape)


class Maker:
    """Writes one random tape: `values` lists (id, dtype, shape) of what there is to compute with."""

    def __init__(self, rng):
        self.rng, self.t, self.values = rng, T.Tape(), []

    # -- small helpers
    def new(self, op, ids, dtype, shape, attr=None):
        i = self.t.emit(op, ids, T.aval(dtype, shape), attr, location="random_tapes.py:1")
        self.values.append((i, dtype, tuple(shape)))
        return i

    def const(self, value, dtype):
        i = self.t.emit_const(value, dtype)
        self.values.append((i, dtype, np.shape(value)))
        return i

    def pick(self, dtype=F64, shape=None, nd=None):
        """A value of this dtype and shape; a constant where there is none yet."""
        found = [v for v in self.values if v[1] == dtype and (shape is None or v[2] == shape)
                 and (nd is None or (len(v[2]) > 0) == nd)]
        if found:
            return found[self.rng.integers(len(found))]
        if shape is None:
            shape = (3,) if nd or nd is None else ()
        if dtype == F64:
            i = self.const(self.rng.normal(size=shape), F64)
        else:
            i = self.const(self.rng.integers(0, 2 if dtype == BOOL else 3, size=shape), dtype)
        return i, dtype, shape

    def shape(self, nd=None):
        shapes = SHAPES if nd is None else [s for s in SHAPES if bool(s) == nd]
        return shapes[self.rng.integers(len(shapes))]

    def full_or_scalar(self, shape):
        return self.pick(shape=shape if not shape or self.rng.random() < 0.7 else ())[0]

    def tame(self, i, shape):
        """Keep values in (-2, 2), so that compositions stay differentiable in practice."""
        y = self.new("tanh", (self.new("multiply", (i, self.t.emit_const(0.5)), F64, shape),), F64, shape)
        return self.new("multiply", (y, self.t.emit_const(2.0)), F64, shape)

    def index(self, n, shape):
        """Traced indices below n: from argsort or argmax of floats, with repeats through remainder."""
        m = size(shape)
        x = self.pick(shape=shape)[0]
        i = self.new("argsort", (x,), INT, shape, T.Axis(1, m, 1)) if shape else \
            self.new("cast", (self.new("greater", (x, self.t.emit_const(0.1)), BOOL, ()),), INT, ())
        return self.new("remainder", (i, self.t.emit_const(n, INT)), INT, shape)

    # -- one method for each kind of instruction
    def unary(self):
        _, _, shape = x = self.pick()
        y = self.new(UNARY[self.rng.integers(len(UNARY))], x[:1], F64, shape)
        self.tame(y, shape)

    def binary(self):
        shape = self.shape()
        a, b = self.pick(shape=shape)[0], self.full_or_scalar(shape)
        if self.rng.random() < 0.5:
            a, b = b, a
        if all(self.t.instruction(x)[2] < 6 for x in (a, b)):
            shape = ()
        self.tame(self.new(BINARY[self.rng.integers(len(BINARY))], (a, b), F64, shape), shape)

    def divide(self):
        _, _, shape = b = self.pick()
        safe = self.new("add", (self.new("square", b[:1], F64, shape), self.t.emit_const(0.7)), F64, shape)
        kind = self.rng.integers(4)
        if kind == 0:
            self.new("divide", (self.full_or_scalar(shape), safe), F64, shape)
        elif kind == 1:
            self.new("sqrt", (safe,), F64, shape)
        elif kind == 2:
            self.new("log", (safe,), F64, shape)
        else:
            self.new("power", (safe, self.full_or_scalar(shape)), F64, shape)

    def where(self):
        shape = self.shape()
        a, b = self.pick(shape=shape)[0], self.full_or_scalar(shape)
        name = ["less", "greater_equal", "not_equal"][self.rng.integers(3)]
        c = self.new(name, (self.pick(shape=shape)[0], self.full_or_scalar(shape)), BOOL, shape)
        if self.rng.random() < 0.3:
            c = self.new("logical_not", (c,), BOOL, shape)
        self.new("where", (c, a, b), F64, shape)

    def element(self):
        x, _, shape = self.pick(nd=True)
        self.new("element", (x, int(self.rng.integers(size(shape)))), F64, ())

    def same_data(self):
        x, _, shape = self.pick(nd=True)
        name = ["reshape", "stop", "cast"][self.rng.integers(3)]
        self.new(name, (x,), F64, (size(shape),) if name == "reshape" else shape)

    def from_int(self):
        x, _, shape = self.pick(INT)
        self.new("cast", (x,), F64, shape)

    def a_map(self, nsrc, ndst, once=False):
        """A random map: affine pieces or table; `once`: no destination element is reached twice."""
        rng, kind = self.rng, self.rng.integers(3)
        if kind == 0 and nsrc >= 2 and ndst >= 2:
            n = int(rng.integers(1, min(nsrc, ndst) + 1))
            step = -1 if rng.random() < 0.5 else 1
            soff = int(rng.integers(nsrc - n + 1)) + (n - 1 if step < 0 else 0)
            doff = int(rng.integers(ndst - n + 1))
            return T.Map(nsrc, ndst, (((n,), soff, (step,), doff, (1,)),), None, None, n == ndst, True, True,
                         0.25)
        if kind == 1 and nsrc * 2 <= ndst:                      # a broadcast
            return T.Map(nsrc, ndst, (((2, nsrc), 0, (0, 1), 0, (nsrc, 1)),), None, None, 2 * nsrc == ndst,
                         False, True)
        n = int(rng.integers(1, ndst + 1))
        dst = rng.permutation(ndst)[:n] if once or rng.random() < 0.7 else rng.integers(0, ndst, size=n)
        return T.Map.table(nsrc, ndst, rng.integers(0, nsrc, size=n), dst)

    def move(self):
        x, _, shape = self.pick(nd=True if self.rng.random() < 0.8 else None)
        out = self.shape(nd=True)
        self.new("move", (x,), F64, out, self.a_map(size(shape), size(out)))

    def erase(self):
        x, _, shape = self.pick(nd=True)
        self.new("erase", (x,), F64, shape, self.a_map(size(shape), size(shape), once=True))

    def write(self):
        (x, _, shape), (v, _, vshape) = self.pick(nd=True), self.pick(nd=True)
        for _ in range(self.rng.integers(1, 4)):
            x = self.new("write", (x, v), F64, shape, self.a_map(size(vshape), size(shape), once=True))
            if self.rng.random() < 0.5:
                v, vshape = self.new("move", (x,), F64, (2,), T.Map.view(size(shape), (2,), 0, (0,))), (2,)
            elif self.rng.random() < 0.3:
                self.new("element", (x, 0), F64, ())

    def assemble(self):
        out = self.shape(nd=True)
        n = size(out)
        k, accumulate = int(self.rng.integers(1, 4)), bool(self.rng.random() < 0.5)
        xs = [self.pick() for _ in range(k)]
        if accumulate:
            maps = [self.a_map(size(x[2]), n).without_fill() for x in xs]
        else:                                                     # disjoint destinations
            order = np.array_split(self.rng.permutation(n), k)
            maps = [T.Map.table(size(x[2]), n, self.rng.integers(0, size(x[2]), size=len(d)), d)
                    for x, d in zip(xs, order, strict=True)]
        self.new("assemble", [x[0] for x in xs], F64, out, T.Assemble(maps, accumulate, not accumulate))

    def stack(self):
        shape = self.shape(nd=True)
        n = size(shape)
        accumulate, has_base = bool(self.rng.random() < 0.4), bool(self.rng.random() < 0.5)
        m = n if self.rng.random() < 0.4 else int(self.rng.integers(1, n + 2))
        at = None if m == n and self.rng.random() < 0.5 else self.rng.integers(0, n, size=m)
        xs = [self.pick(shape=())[0] for _ in range(m)]
        if has_base:
            xs.insert(0, self.pick(shape=shape)[0])
        self.new("stack", xs, F64, shape, T.Stack(m, at, has_base, accumulate))

    def gather(self):
        (x, _, shape), out = self.pick(nd=True), self.shape()
        self.new("take", (x, self.index(size(shape), out)), F64, out)
        if self.rng.random() < 0.5:
            self.new("take", (x, self.index(size(shape), ())), F64, ())

    def scatter(self):
        shape, at = self.shape(nd=True), self.shape(nd=True)
        index = self.index(size(shape), at)
        v = self.full_or_scalar(at)
        if self.rng.random() < 0.5:
            self.new("addat", (index, v), F64, shape)
        else:
            self.new("put", (self.pick(shape=shape)[0], index, v), F64, shape)

    def axis(self):
        x, _, shape = self.pick(nd=True)
        d = int(self.rng.integers(len(shape)))
        outer, n, inner = size(shape[:d]), shape[d], size(shape[d + 1:])
        name = ["sum", "maxr", "minr", "cumsum", "argmax", "argmin", "argsort"][self.rng.integers(7)]
        attr = T.Axis(outer, n, inner, name == "cumsum" and bool(self.rng.random() < 0.5))
        out = shape if name in ("cumsum", "argsort") else shape[:d] + shape[d + 1:]
        y = self.new(name, (x,), INT if name.startswith("arg") else F64, out, attr)
        if name.startswith("arg"):
            self.new("cast", (y,), F64, out)
        else:
            self.tame(y, out)

    def integers(self):
        """What computes integers and truth; `index` below is 0 in ceil(m / 3) places, at whatever point."""
        shape = self.shape(nd=True)
        m = size(shape)
        index = self.index(3, shape)
        kind = self.rng.integers(5)
        if kind == 0:
            negative = self.new("subtract", (index, self.t.emit_const(3, INT)), INT, shape)
            self.new("wrap", (negative,), INT, shape, T.Number(3))
        elif kind == 1:
            self.new("lastwriter", (index,), BOOL, shape, T.Number(3))
        elif kind == 2:
            grid = self.pick(shape=(4,))[0]
            grid = self.new("take", (grid, self.new("argsort", (grid,), INT, (4,), T.Axis(1, 4, 1))), F64, (4,))
            self.new("searchsorted", (grid, self.pick(shape=shape)[0]), INT, shape, T.Number(1))
        else:
            mask = self.new("equal", (index, self.t.emit_const(0, INT)), BOOL, shape)
            if kind == 3:
                self.new("flatnonzero", (mask,), INT, (-(-m // 3),))
            else:
                self.t.emit_guard(self.new("any", (mask,), BOOL, (), T.Axis(1, m, 1)), 1, "bool()", "here.py:1")
                every = self.new("all", (mask,), BOOL, (), T.Axis(1, m, 1))
                self.t.emit_guard(every, int(m == 1), "bool()", "here.py:2")
        _, dtype, shape = self.values[-1]
        self.new("cast", (self.values[-1][0],), F64, shape)

    def matmul(self):
        m, k, n, batch = (int(v) for v in self.rng.integers(1, 4, size=4))
        ta, tb, ashare, bshare = (bool(v) for v in self.rng.random(4) < 0.5)
        a, b = (1 if ashare else batch) * m * k, (1 if bshare else batch) * k * n
        x, y = self.vector(a), self.vector(b)
        attr = T.Matmul(batch, m, k, n, 0 if ashare else m * k, 0 if bshare else k * n, ta, tb)
        out = (batch, m, n)
        self.tame(self.new("matmul", (x, y), F64, out, attr), out)

    def vector(self, n):
        """n elements of what there is, with repeats."""
        x, _, shape = self.pick()
        return self.new("move", (x,), F64, (n,), T.Map.table(size(shape), n, self.rng.integers(0, size(shape), size=n)))

    def spmm(self):
        nrow, ncol, ncols = (int(v) for v in self.rng.integers(1, 4, size=3))
        dense = self.rng.random((nrow, ncol)) < 0.6
        dense[0, 0] = True
        indptr = np.concatenate([[0], np.cumsum(dense.sum(1))])
        transpose = bool(self.rng.random() < 0.5)
        attr = T.Csr(nrow, ncol, ncols, indptr, np.nonzero(dense)[1], transpose)
        rows, out = (nrow, ncol) if transpose else (ncol, nrow)
        y = self.new("spmm", (self.vector(int(dense.sum())), self.vector(rows * ncols)), F64, (out, ncols), attr)
        self.tame(y, (out, ncols))


KINDS = ("unary binary divide where element same_data from_int move erase write assemble stack gather scatter axis "
         "integers matmul spmm").split()


def random_tape(rng, length=12, kinds=KINDS, captured=True):
    """(tape, input values): a random tape that computes finite values at its inputs."""
    while True:
        m = Maker(rng)
        shapes = [(), (3,), (2, 3)] + [SHAPES[rng.integers(len(SHAPES))] for _ in range(rng.integers(0, 3))]
        values = [np.asarray(rng.normal(size=s))[()] for s in shapes]
        for s in shapes:
            m.values.append((m.t.emit_input(T.aval(F64, s), bool(rng.random() < 0.9) or not s), F64, s))
        if captured and rng.random() < 0.5:
            array = rng.normal(size=(2, 3))
            m.values.append((m.t.emit_capture(array), F64, (2, 3)))
        for _ in range(length):
            getattr(m, kinds[rng.integers(len(kinds))])()
        floats = [v for v in m.values if v[1] == F64]
        last = [floats[-1][0], *(floats[k][0] for k in rng.integers(0, len(floats), size=3))]
        m.t.set_outputs(last)
        t = m.t.finish()
        try:
            with np.errstate(all="ignore"):
                out = t.sweep(values)
        except Exception as error:
            if "another outcome" in str(error):
                continue
            raise
        if all(np.isfinite(o).all() and np.abs(o).max(initial=0) < 1e3 for o in out):
            return t, values


def normal_like(rng, values):
    """Random directions shaped like these values."""
    return [np.asarray(rng.normal(size=np.shape(v)))[()] for v in values]


def opcodes(tape):
    """The names of the instructions of a tape."""
    return [tape.instruction(i)[0] for i in range(1, len(tape) + 1)]
