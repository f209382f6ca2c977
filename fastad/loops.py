"""loops.py - loops and branches of the user's: `scan`, `while_loop`, `cond`.

Owns: what they mean on plain values, how a body is recorded once, how the result of a loop is taken apart.
Must not know: how the loop is run (_scan.pyx), its derivatives (scan_rules.py).
The body is recorded at the first step, in a recording inside the one that is open: what it uses of the values around
it becomes an input that stays the same, and so does every array that it captures.
Next: function.py (other nested recordings), recording.py.
"""
from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad import complex_values, small_loops, trees
from fastad._program import Program
from fastad._scan import Scan, without_captures
from fastad._transform import inline
from fastad.errors import InternalError, ShapeError, TapeDivergence, UnsupportedError
from fastad.function import enclosing
from fastad.operands import live
from fastad.recording import Arguments, name_of, record_call

__all__ = ["cond", "scan", "while_loop"]

Tree = Any
F64, I64, BOOL, F32 = 0, 1, 2, 3
KINDS = "fiub"                            # of dtype: what a loop can carry


def scan(step: Callable[[Tree, Tree], tuple[Tree, Tree]], state: Tree, xs: Tree = None, length: int | None = None,
         reverse: bool = False) -> tuple[Tree, Tree]:
    """A loop over time whose body is recorded once, with the meaning of jax.lax.scan.

    Parameters
    ----------
    step : callable
        ``step(state, x) -> (new state, y)``, plain NumPy.  The new state has the structure, shapes and dtypes of the
        old one; y is any tree of numbers and arrays, or None.
    state : tree
        Of numbers and arrays, real or complex: the state before the first step.
    xs : tree, optional
        Of arrays with a leading axis, over which the loop goes; x is one slice of each.  None: x is None.
    length : int, optional
        Number of steps; needed if there are no xs.
    reverse : bool, optional
        Go from the last slice to the first; ys then stand in the order of xs.

    Returns
    -------
    state : tree
        After the last step.
    ys : tree
        The y of all steps, each leaf stacked along a new first axis.

    Raises
    ------
    ShapeError
        The step changes the structure, a shape or a dtype of the state; slices of different lengths.
    UnsupportedError
        A branch in the body on traced values goes one way in the first step, another way later.

    Notes
    -----
    Outside a recording this is a Python loop.  Inside one, the tape holds a single instruction, whatever the length.
    The adjoint keeps of each step what makes the way back fast; with `memory=` in `grad` or `record` it keeps the
    fewest numbers from which the rest can be computed again, of so many steps as fit, and runs steps again: the same
    bits with any budget.  They are those of the loop in Python to rounding.
    Arrays of a few elements run as numbers inside: a state vector of three costs what three numbers do.
    A body is stored as it runs in the first step: a branch on traced values must go the same way in every step
    (`np.where` chooses element by element), and prints happen once.

    Examples
    --------
    >>> import numpy as np
    >>> import fastad as ad
    >>> def decayed(rate):
    ...     def step(u, dt):
    ...         u = u - dt * rate * u
    ...         return u, u
    ...     end, path = ad.scan(step, 1.0, np.full(3, 0.1))
    ...     return end
    >>> ad.value_and_grad(decayed)(2.0)
    (np.float64(0.512...), np.float64(-0.19...))
    """
    loop = Loop(step, state, xs, length, reverse)
    leaves = [*loop.state, *loop.xs]
    if T.current_tape() is None and not any(map(T.is_wrapped, leaves)):
        return loop.plainly()
    if loop.length == 0:
        return loop.empty()
    with enclosing(leaves) as parent:
        return loop.recorded(parent)


def while_loop(cond: Callable[[Tree], Any], body: Callable[[Tree], Tree], state: Tree) -> Tree:
    """``while cond(state): state = body(state)``, its body recorded once, with derivatives of every kind and order.

    Parameters
    ----------
    cond : callable
        ``cond(state)``: one bool.
    body : callable
        ``body(state) -> new state``, of the structure, shapes and dtypes of the old one.
    state : tree
        Of numbers and arrays.

    Returns
    -------
    tree
        The first state for which cond is false.

    Raises
    ------
    ShapeError, UnsupportedError
        As `scan`.

    Notes
    -----
    The number of steps is found anew at each recording, and is a guard: where it changes, `ad.grad` and friends record
    again (and keep both tapes), an explicit tape raises TapeDivergence.  The derivative is that of the loop with this
    number of steps.

    Examples
    --------
    >>> import fastad as ad
    >>> def root(a):                      # Newton's iteration for sqrt(a)
    ...     return ad.while_loop(lambda x: abs(x * x - a) > 1e-13 * a, lambda x: 0.5 * (x + a / x), a)
    >>> ad.value_and_grad(root)(2.0)
    (np.float64(1.41421356237...), np.float64(0.35355339059...))
    """
    def step(state: Tree, _: None) -> tuple[Tree, Any]:
        state = body(state)
        return state, cond(state)
    if not cond(state):                                  # (a guard, where it is traced)
        return state
    leaves = trees.flatten(state)[0]
    if T.current_tape() is None and not any(map(T.is_wrapped, leaves)):
        goes_on = True
        while goes_on:
            (state, goes_on) = step(state, None)
        return state
    with enclosing(leaves):
        n = Loop(step, state, None, 1, False).steps_until_false()
        state, goes_on = scan(step, state, length=n)
        if goes_on[-1] | np.any(~goes_on[:-1]):              # (a guard: this is the number of steps)
            raise InternalError(f"{T.here()}: while_loop of {name_of(body)}: {n} steps are not those of the loop")
    return state


def cond(pred: Any, true_fun: Callable[..., Tree], false_fun: Callable[..., Tree], *operands: Any) -> Tree:
    """``true_fun(*operands) if pred else false_fun(*operands)``, without a decision that a tape would have to hold.

    Parameters
    ----------
    pred : bool
        One bool, traced or plain.
    true_fun, false_fun : callable
        Return trees of one structure, with the same shapes.
    *operands
        Handed to both.

    Returns
    -------
    tree

    Raises
    ------
    ShapeError
        pred is no single bool; the results differ in structure or shape.

    Notes
    -----
    Where pred is traced, both sides are computed and `np.where` selects, values as well as derivatives: what the other
    side does (a division by zero) does not reach the result.  A plain `if` computes one side only; then the tape is
    recorded again where pred changes, and inside of a `scan` it may not change from step to step.

    Examples
    --------
    >>> import numpy as np
    >>> import fastad as ad
    >>> f = lambda x: ad.cond(x > 0.0, lambda x: x * x, lambda x: -x, x)
    >>> ad.grad(f)(3.0), ad.grad(f)(-3.0)
    (np.float64(6.0), np.float64(-1.0))
    """
    if np.ndim(pred) != 0:
        raise ShapeError(f"{T.here()}: cond: pred has shape {np.shape(pred)}; one bool is meant (np.where chooses "
                         "element by element)")
    if not T.is_traced(pred):
        return true_fun(*operands) if pred else false_fun(*operands)
    (yes, tree), (no, other) = (trees.flatten(f(*operands)) for f in (true_fun, false_fun))
    if tree != other or [np.shape(a) for a in yes] != [np.shape(b) for b in no]:
        raise ShapeError(f"{T.here()}: cond: {name_of(true_fun)} gives {trees.describe(tree)} of shapes "
                         f"{[np.shape(a) for a in yes]}, {name_of(false_fun)} {trees.describe(other)} of shapes "
                         f"{[np.shape(b) for b in no]}")
    return trees.unflatten(tree, [np.where(pred, a, b)[()] for a, b in zip(yes, no, strict=True)])


class Promotion(Exception):
    """A number of the state that the step makes a number of a wider type."""


class Loop:
    """One call of scan."""

    def __init__(self, step: Any, state: Tree, xs: Tree, length: int | None, reverse: bool) -> None:
        self.step, self.reverse = step, bool(reverse)
        self.name = f"scan of {name_of(step)}"
        leaves, self.tree = trees.flatten(state)
        self.state, self.pairs = self.split(leaves, "the state")
        self.loose = [isinstance(x, (int, float)) and not isinstance(x, np.generic)
                      for x, pair in zip(leaves, self.pairs, strict=True) for _ in range(1 + pair)]
        leaves, self.xtree = trees.flatten(xs)
        self.xs, self.xpairs = self.split(leaves, "xs")
        self.ypairs: list[bool] = []
        self.length = self.steps(length)

    def split(self, leaves: list[Any], what: str) -> tuple[list[Any], list[bool]]:
        """Leaves, two for each complex one: real and imaginary part; and which are complex."""
        pairs = [T.complex_among(x) for x in leaves]
        found = []
        for x, pair in zip(leaves, pairs, strict=True):
            if pair and hasattr(x, "dtype"):
                complex_values.base_of(x.dtype)          # (or a refusal)
            found += [self.checked(v, what) for v in (complex_values.parts(x) if pair else (x,))]
        return found, pairs

    def checked(self, x: Any, what: str) -> Any:
        """A leaf: traced, or an ndarray."""
        if T.is_wrapped(x):
            return x
        if isinstance(x, (bool, int, float, np.generic, np.ndarray)) and np.asarray(x).dtype.kind in KINDS:
            return np.asarray(x)
        raise UnsupportedError(f"{T.here()}: {self.name}: {what} holds a {type(x).__name__}"
                               f"{f' of dtype {x.dtype}' if isinstance(x, np.ndarray) else ''}; numbers and arrays of "
                               "numbers are meant")

    def steps(self, length: int | None) -> int:
        if any(np.ndim(x) == 0 for x in self.xs):
            raise ShapeError(f"{self.name}: a number in xs; the loop goes over the first axis of arrays")
        lengths = {int(np.shape(x)[0]) for x in self.xs}
        if length is not None:
            lengths.add(operator.index(length))
        if len(lengths) != 1:
            raise ShapeError(f"{self.name}: give xs or length" if not lengths else
                             f"{self.name}: the first axes of xs (and length) are {sorted(lengths)}; they must agree")
        n = lengths.pop()
        if n < 0:
            raise ShapeError(f"{self.name}: {n} steps")
        return n

    # -- on plain values
    def plainly(self) -> tuple[Tree, Tree]:
        if self.length == 0:
            return self.empty()
        try:
            return self.looped()
        except Promotion:
            return self.plainly()

    def looped(self) -> tuple[Tree, Tree]:
        old, ys = [x[()] for x in self.state], []
        for t in reversed(range(self.length)) if self.reverse else range(self.length):
            old, y, ytree = self.called(old, [x[t] for x in self.xs])
            ys.append(y)
        if self.reverse:
            ys.reverse()
        stacked = [np.stack([y[k] for y in ys]) for k in range(len(ys[0]))]
        return self.whole(old, stacked, ytree)

    def whole(self, state: list[Any], ys: list[Any], ytree: Any) -> tuple[Tree, Tree]:
        """The answer from its leaves."""
        return trees.unflatten(self.tree, joined(state, self.pairs)), trees.unflatten(ytree, joined(ys, self.ypairs))

    def empty(self) -> tuple[Tree, Tree]:
        """No step: the state as it came; ys of length zero in the shapes that a step on zeros gives."""
        zeros = [np.zeros(np.shape(x), x.dtype)[()] for x in self.state]
        with np.errstate(all="ignore"), T.Undisturbed():
            _, y, ytree = self.called(zeros, [np.zeros(np.shape(x)[1:], x.dtype)[()] for x in self.xs])
        ys = [np.zeros((0, *np.shape(v)), np.asarray(v).dtype) for v in y]
        return self.whole([x if T.is_wrapped(x) else x[()] for x in self.state], ys, ytree)

    def called(self, state: list[Any], x: list[Any]) -> tuple[list[Any], list[Any], Any]:
        """One step: leaves of the new state and of y, and the structure of y."""
        result = self.step(trees.unflatten(self.tree, joined(state, self.pairs)),
                           trees.unflatten(self.xtree, joined(x, self.xpairs)))
        if not isinstance(result, tuple) or len(result) != 2:
            raise ShapeError(f"{self.name}: a step returns (new state, y), y may be None; this one returned a "
                             f"{type(result).__name__}{f' of {len(result)}' if isinstance(result, tuple) else ''}")
        new, tree = trees.flatten(result[0])
        if tree != self.tree:
            raise ShapeError(f"{self.name}: the new state has structure {trees.describe(tree)}, the old one "
                             f"{trees.describe(self.tree)}")
        self.complex_as_before(new)
        new, _ = self.split(new, "the new state")
        for k, (v, old) in enumerate(zip(new, self.state, strict=True)):
            if np.shape(v) != np.shape(old):
                raise ShapeError(f"{self.name}: leaf {k} of the state has shape {np.shape(old)} before the step and "
                                 f"{np.shape(v)} after it")
            if T.recorded_dtype(v.dtype) != T.recorded_dtype(old.dtype):
                self.change_of_type(k, old.dtype, v.dtype)
        y, ytree = trees.flatten(result[1])
        y, self.ypairs = self.split(y, "y")
        return [v if T.is_wrapped(v) else v[()] for v in new], [v if T.is_wrapped(v) else v[()] for v in y], ytree

    def complex_as_before(self, new: list[Any]) -> None:
        """A leaf is complex before the step and after it, or never; a real number of Python's becomes complex."""
        for k, (v, before) in enumerate(zip(new, self.pairs, strict=True)):
            if T.complex_among(v) == before:
                continue
            at = k + sum(self.pairs[:k])
            if before or not self.loose[at]:
                real = self.state[at].dtype
                raise ShapeError(f"{self.name}: leaf {k} of the state is {'complex' if before else real} before the "
                                 f"step and {'real' if before else 'complex'} after it; begin with a "
                                 f"{'real' if before else 'complex'} state, or keep it as it is")
            self.pairs[k] = True
            self.state[at:at + 1] = [np.asarray(self.state[at], dtype=np.float64), np.zeros(())]
            self.loose[at:at + 1] = [False, False]
            raise Promotion

    def change_of_type(self, k: int, old: np.dtype, new: np.dtype) -> None:
        if new.kind == "f" and self.loose[k]:
            self.loose[k] = old.kind != "f"          # from a whole number to float64 or float32, and then no more
            self.state[k] = np.asarray(self.state[k], dtype=new)
            raise Promotion
        raise ShapeError(f"{self.name}: leaf {k} of the state has dtype {old} before the step and {new} after it; "
                         f"begin with a state of dtype {new}")

    # -- on traced values
    def recorded(self, parent: Any) -> tuple[Tree, Tree]:
        while True:
            try:
                tape, ytree = self.body()
                break
            except Promotion:
                continue
        around = [T.wrap_value(parent, i, value)
                  for i, value in zip(tape.lifted_from, tape.lifted_values, strict=True)]
        tape, captured = without_captures(tape)
        state = [as_float64(x) for x in self.state]
        operands = [*state, *map(without_float32, [*self.xs, *around, *captured])]
        dtypes = [T.aval_of(tape.instruction(i)[2])[0] for i in tape.outputs]
        sources = [(k, 0, int(np.prod(np.shape(x)[1:], dtype=np.int64)) if 0 <= k - len(state) < len(self.xs) else 0)
                   for k, x in enumerate(operands)]
        shapes = [T.aval_of(tape.instruction(i)[2])[1] for i in tape.outputs]
        body = small_loops.split(normalised(tape, len(state)), len(state), len(self.xs), sources)
        attr = Scan(self.name, body.tape, body.ncarry, body.nslice, self.length, self.reverse, body.sources,
                    [T.aval(T.recorded_dtype(x.dtype), np.shape(x)) for x in operands])
        try:
            y = T.structural("call", operands, attr, (attr.total,), F64, tape=parent)
        except TapeDivergence as error:
            raise UnsupportedError(f"{T.here()}: {self.name}: {error.kind} at {error.location} goes another way in a "
                                   f"later step than in the first, and a body is recorded once. {remedy(error.kind)}, "
                                   "or write the loop in Python") from error
        parts = [part(y, place, shape if k < len(state) else (self.length, *shape), dtype) for k, (place, shape, dtype)
                 in enumerate(zip(body.places(attr, len(state)), shapes, dtypes, strict=True))]
        return self.whole(parts[:len(state)], parts[len(state):], ytree)

    def steps_until_false(self) -> int:
        """How many steps there are until y, one bool, is false: by running the recorded body from here on."""
        while True:
            try:
                tape, _ = self.body()
                break
            except Promotion:
                continue
        n, m = 0, len(self.state)
        program, values = Program(tape), [np.array(T.concrete(x)) for x in self.state]
        while True:
            n += 1
            *values, goes_on = program.run([*values, *tape.lifted_values])
            if np.shape(goes_on) != () or len(values) != m:
                raise ShapeError(f"{self.name}: the condition of a while_loop is one bool")
            if not goes_on:
                return n

    def body(self) -> tuple[Any, Any]:
        """The tape of one step, recorded at the first one's values, and the structure of y."""
        first = self.length - 1 if self.reverse else 0
        state = [np.array(T.concrete(x)) for x in self.state]
        x = [np.array(T.concrete(v)[first]) for v in self.xs]
        ytree: list[Any] = []

        def one_step(*leaves: Any) -> list[Any]:
            new, y, structure = self.called(list(leaves[:len(state)]), list(leaves[len(state):]))
            ytree[:] = [structure]
            return [*map(on_tape, [*new, *y]), *leaves[:1]]  # (something traced, even where the results are constants)
        tape = record_call(one_step, Arguments((*state, *x), {}, None, self.name), enclosing=True)
        if state or x:
            tape.set_outputs(tape.outputs[:-1])
        return tape, ytree[0]


def joined(leaves: list[Any], pairs: list[bool]) -> list[Any]:
    """Leaves with complex ones in place of the pairs of their parts."""
    parts = iter(leaves)
    return [complex_of(next(parts), next(parts)) if pair else next(parts) for pair in pairs]


def complex_of(re: Any, im: Any) -> Any:
    if T.is_wrapped(re) or T.is_wrapped(im):
        return complex_values.make(re, im)
    z = np.empty(np.shape(re), complex_values.complex_dtype(complex_values.base(re, im)))
    z.real, z.imag = re, im
    return z[()]


def on_tape(x: Any) -> Any:
    """A result of a step as a value of the tape, also where it is a plain number."""
    if T.is_wrapped(x) or np.ndim(x):
        return x
    tape = T.current_tape()
    return T.wrap_value(tape, tape.emit_const(x, T.recorded_dtype(x.dtype)), np.array(x))


def remedy(kind: str) -> str:
    if "int()" in kind or "index" in kind or "foreign" in kind:
        return "Where an index changes from step to step, write np.take(np.asarray(array), k, axis=0)"
    return "Choose element by element with np.where"


def as_float64(x: Any) -> Any:
    return T.astype(x, np.float64) if T.is_wrapped(x) else x.astype(np.float64)


def without_float32(x: Any) -> Any:
    """An operand in float64 if it is float32, read again at every replay if it is the user's."""
    return x if x.dtype != np.float32 else as_float64(x if T.is_traced(x) else live(x))


def normalised(tape: Any, ncarry: int) -> Any:
    """The body with float64 in place of all else in its state and results, and of float32 among its inputs."""
    new = T.Tape()
    avals = [T.aval_of(tape.instruction(i)[2]) for i in tape.inputs]
    ids = [new.emit_input(T.aval(F64 if k < ncarry or dtype == F32 else dtype, shape), k < ncarry or dtype in T.REAL)
           for k, (dtype, shape) in enumerate(avals)]
    for k, (dtype, shape) in enumerate(avals):
        if dtype == F32 or (dtype != F64 and k < ncarry):
            ids[k] = new.emit("cast", (ids[k],), T.aval(dtype, shape))
    outputs = []
    for i in inline(new, tape, ids):
        dtype, shape = T.aval_of(new.instruction(i)[2])
        outputs.append(i if dtype == F64 else new.emit("cast", (i,), T.aval(F64, shape)))
        if dtype == I64:
            same = new.emit("equal", (new.emit("cast", (outputs[-1],), T.aval(I64, shape)), i), T.aval(BOOL, shape))
            if shape:
                same = new.emit("all", (same,), T.aval(BOOL, ()), T.Axis(1, int(np.prod(shape)), 1))
            new.emit_guard(same, 1, "an integer in a scan that float64 holds exactly", T.here())
    new.set_outputs(outputs)
    return new.finish()


def part(y: Any, place: Any, shape: tuple[int, ...], dtype: int) -> Any:
    """One leaf of the result, an array of its own."""
    if shape == ():
        leaf = y[place.offset]
    else:
        size = int(np.prod(shape, dtype=np.int64))
        leaf = T.structural("move", (y,), T.Map.view(y.size, shape, place.offset, place.strides), shape, F64) \
            if size else np.zeros(shape)
    return leaf if dtype == F64 else leaf.astype(T.DTYPES[dtype])
