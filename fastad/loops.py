"""loops.py - loops of the user's: `scan`, `while_loop`.

Owns: what they mean on plain values, how a body is recorded once, how the result of a loop is taken apart.
Must not know: how the loop is run (_scan.pyx), its derivatives (scan_rules.py).
The body is recorded at the first step, in a recording inside the one that is open: what it uses of the values around
it becomes an input that stays the same, and so does every array that it captures.
Next: loop_values.py (leaves), branches.py (`cond`), function.py (other nested recordings), recording.py.
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
from fastad.errors import EscapedTracerError, InternalError, ShapeError, TapeDivergence, UnsupportedError
from fastad.function import enclosing
from fastad.loop_values import (
    F64,
    as_float64,
    equal_bits,
    joined,
    normalised,
    number,
    on_tape,
    owned,
    part,
    paths,
    truth,
    widened,
    without_float32,
)
from fastad.recording import Arguments, doubt, functions, name_of, record_call
from fastad.state import AsBefore, Watch

__all__ = ["scan", "while_loop"]

Tree = Any
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
        The step changes the structure, a shape or a dtype of the state, or those of y; slices of different lengths.
    UnsupportedError
        A branch in the body on traced values goes one way in the first step, another way later; the step draws random
        numbers, takes from an iterator or counts its calls (draw the numbers of all steps before the loop, and give
        them as xs), writes into xs, or into an array from outside of the function that is recorded.

    Notes
    -----
    Outside a recording this is a Python loop.  Inside one, the tape holds a single instruction, whatever the length.
    The step may change its state and x in place: they are its own, and no array of the caller's is changed by that.
    It may write into arrays of the function around it (``image += u * v``, ``history[k] = u``), as in a Python loop;
    a history is quicker as y.
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
    functions("scan", step=step)
    loop = Loop(step, state, xs, length, reverse)
    leaves = [*loop.state, *loop.xs]
    if T.current_tape() is None and not any(map(T.is_wrapped, leaves)):
        return loop.plainly() if loop.length else loop.empty()
    with enclosing(leaves) as parent:
        return loop.recorded(parent) if loop.length else loop.empty()


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
        return state, truth(cond(state))
    functions("while_loop", cond=cond, body=body)
    goes_on = truth(cond(state))
    if np.shape(goes_on) != ():
        raise ShapeError(f"{T.here()}: while_loop of {name_of(body)}: its condition has shape {np.shape(goes_on)}; one "
                         "bool is meant (np.any or np.all of an array)")
    if not goes_on:                                      # (a guard, where it is traced)
        return state
    leaves = trees.flatten(state)[0]
    if T.current_tape() is None and not any(map(T.is_wrapped, leaves)):
        arrays = any(map(np.ndim, leaves))
        while goes_on:                                   # (as in `scan`: what the body changes in place is its own)
            state, goes_on = step(trees.map_leaves(owned, state) if arrays else state, None)
        return state
    loop = Loop(step, state, None, 2, False, f"while_loop of {name_of(body)}", body, (cond,))
    with enclosing(loop.state) as parent:
        n = loop.length = loop.steps_until_false()
        state, goes_on = loop.recorded(parent)
        if goes_on[-1] | np.any(~goes_on[:-1]):              # (a guard: this is the number of steps)
            raise InternalError(f"{T.here()}: while_loop of {name_of(body)}: {n} steps are not those of the loop")
    return state


class Promotion(Exception):
    """A number of the state that the step makes a number of a wider type."""


class Loop:
    """One call of scan."""

    def __init__(self, step: Any, state: Tree, xs: Tree, length: int | None, reverse: bool, name: str | None = None,
                 code: Any = None, more: tuple[Any, ...] = ()) -> None:
        self.step, self.reverse = step, bool(reverse)
        self.code, self.more = code or step, more        # (what the user wrote)
        self.name = name or f"scan of {name_of(step)}"
        leaves, self.tree = trees.flatten(state)
        self.state, self.pairs = self.split(leaves, "the state")
        self.loose = [isinstance(x, (int, float)) and not isinstance(x, np.generic)
                      for x, pair in zip(leaves, self.pairs, strict=True) for _ in range(1 + pair)]
        leaves, self.xtree = trees.flatten(xs)
        self.xs, self.xpairs = self.split(leaves, "xs")
        self.ytree, self.ypairs = trees.flatten(None)[1], list[bool]()       # (of y, when a step has run)
        self.widened = False                             # was a number of the state promoted, on plain values?
        self.own, self.held = (step, self.tree), list[Any]()                 # (before `hold`)
        self.runs, self.settled = 0, tuple[Any, ...]()         # of the step, to record it; its tape
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
            return np.asarray(x) if isinstance(x, np.ndarray) else number(x)
        raise UnsupportedError(f"{T.here()}: {self.name}: {what} holds a {type(x).__name__}"
                               f"{f' of dtype {x.dtype}' if isinstance(x, np.ndarray) else ''}; numbers and arrays of "
                               "numbers are meant, in tuples, lists, dicts and named tuples"
                               + ("; np.arange(n) makes an array of a range" if isinstance(x, range) else ""))

    def wrong(self, text: str) -> ShapeError:
        return ShapeError(f"{T.here()}: {self.name}: {text}")

    def steps(self, length: int | None) -> int:
        if any(np.ndim(x) == 0 for x in self.xs):
            raise self.wrong("a number in xs; the loop goes over the first axis of arrays (np.array makes one of a "
                             "list of numbers)")
        lengths = {int(np.shape(x)[0]) for x in self.xs}
        if length is not None:
            try:
                lengths.add(operator.index(length))
            except TypeError:
                raise TypeError(f"{T.here()}: {self.name}: length={length!r}; a whole number is meant") from None
        if len(lengths) != 1:
            found = [f"xs{path}: {np.shape(x)[0]}" for path, x in zip(paths(self.xtree, self.xpairs), self.xs,
                                                                      strict=True)]
            raise self.wrong("give xs or length" if not lengths else
                             f"the first axes of xs (and length) are {sorted(lengths)}; they must agree"
                             + (f" ({', '.join(dict.fromkeys(found))})" if len(found) > 1 else ""))
        n = lengths.pop()
        if n < 0:
            raise self.wrong(f"{n} steps")
        return n

    # -- on plain values
    def plainly(self) -> tuple[Tree, Tree]:
        """Each step has arrays of its own: what it changes is neither the caller's nor what is kept."""
        old, stacked, real = [owned(x) for x in self.state], None, list[bool]()
        for n in range(self.length):
            t = self.length - 1 - n if self.reverse else n
            result = self.run(old, [owned(x[t]) for x in self.xs])
            while True:                      # (once, whatever a promotion asks for: it may write around itself)
                try:
                    new, y, ytree = self.taken(result)
                    break
                except Promotion:
                    self.widened = True
            if n == 0 and any(map(T.is_wrapped, [*new, *y])):            # (the step reads a variable around it)
                with enclosing([*new, *y]) as parent:
                    return self.recorded(parent)
            old = [owned(v) for v in new]
            if n == 1 and self.widened:
                stacked = widened(stacked, real, self.ypairs, y)
            if stacked is None:
                self.ytree, real = ytree, self.ypairs
                stacked = [np.empty((self.length, *np.shape(v)), v.dtype) for v in y]
            if ytree != self.ytree:
                raise self.wrong(f"y has structure {trees.describe(ytree)} in step {n}, and "
                                 f"{trees.describe(self.ytree)} in the first one")
            self.keep(n, t, stacked, y)
        return self.whole(old, stacked or [], self.ytree)

    def keep(self, n: int, t: int, stacked: list[Any], y: list[Any]) -> None:
        """Copy y of step n to place t of those of all steps."""
        for k, (column, v) in enumerate(zip(stacked, y, strict=True)):
            if column.dtype != v.dtype or column.shape[1:] != np.shape(v):
                raise self.wrong(f"y{paths(self.ytree, self.ypairs)[k]} has shape {np.shape(v)} and dtype {v.dtype} in "
                                 f"step {n}, {column.shape[1:]} and {column.dtype} in the first one; the y of all "
                                 "steps are stacked")
            column[t] = v

    def one_bool(self, y: list[Any]) -> Any:
        if len(y) != 1 or np.shape(y[0]) != ():
            raise self.wrong("the condition is one bool (np.any or np.all of an array)")
        return y[0]

    def whole(self, state: list[Any], ys: list[Any], ytree: Any) -> tuple[Tree, Tree]:
        """The answer from its leaves."""
        return trees.unflatten(self.tree, joined(state, self.pairs)), trees.unflatten(ytree, joined(ys, self.ypairs))

    def empty(self) -> tuple[Tree, Tree]:
        """No step: the state as it came; ys of length zero in the shapes that a step on zeros gives, of which nothing
        is left else."""
        state = joined([x if T.is_wrapped(x) else x[()] for x in self.state], self.pairs)
        with np.errstate(all="ignore"), AsBefore(self.code, self.more):
            y, ytree = self.of_zeros()
        ys = [np.zeros((0, *shape), dtype) for shape, dtype in y]
        return trees.unflatten(self.tree, state), trees.unflatten(ytree, joined(ys, self.ypairs))

    def of_zeros(self) -> tuple[list[tuple[tuple[int, ...], Any]], Any]:
        """(shape and dtype of each leaf of y, its structure), by a step on zeros."""
        while True:
            try:
                if T.current_tape() is None:
                    n, leaves = len(self.state), [x[()] for x in self.at_first_step()]
                    _, y, ytree = self.called(leaves[:n], leaves[n:])
                    return [(np.shape(v), v.dtype) for v in y], ytree
                tape, ytree = self.body()
                y = [T.aval_of(tape.instruction(i)[2]) for i in tape.outputs[len(self.state):]]
                return [(shape, T.DTYPES[dtype]) for dtype, shape in y], ytree
            except Promotion:
                continue

    def called(self, state: list[Any], x: list[Any]) -> tuple[list[Any], list[Any], Any]:
        """One step: leaves of the new state and of y, and the structure of y."""
        return self.taken(self.run(state, x))

    def run(self, state: list[Any], x: list[Any]) -> Any:
        return self.step(trees.unflatten(self.tree, joined(state, self.pairs)),
                         trees.unflatten(self.xtree, joined(x, self.xpairs)))

    def taken(self, result: Any) -> tuple[list[Any], list[Any], Any]:
        """What a step has returned, as its leaves."""
        if not isinstance(result, tuple) or len(result) != 2:
            raise self.wrong("a step returns (new state, y), y may be None; this one returned a "
                             f"{type(result).__name__}{f' of {len(result)}' if isinstance(result, tuple) else ''}")
        new, tree = trees.flatten(result[0])
        if tree != self.tree:
            raise self.wrong(f"the new state has structure {trees.describe(tree)}, the old one "
                             f"{trees.describe(self.tree)}; it must keep its own")
        self.complex_as_before(new)
        new, _ = self.split(new, "the new state")
        for k, (v, old) in enumerate(zip(new, self.state, strict=True)):
            if np.shape(v) != np.shape(old):
                raise self.wrong(f"{self.leaf(k)} has shape {np.shape(old)} before the step and {np.shape(v)} after "
                                 "it; begin with an array of the final size, and write into it")
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
                raise self.wrong(f"{self.leaf(at)} is {'complex' if before else real} before the "
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
        raise self.wrong(f"{self.leaf(k)} has dtype {old} before the step and {new} after it; begin with a state of "
                         f"dtype {new}")

    def leaf(self, k: int) -> str:
        """What the user calls leaf number k of the state."""
        own = trees.paths(self.own[1])
        return "state" + paths(self.own[1], self.pairs[:len(own)])[k]

    # -- on traced values
    def recorded(self, parent: Any) -> tuple[Tree, Tree]:
        tape, ytree = self.settled or self.settled_body()
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
            raise self.another_way(error) from error
        parts = [part(y, place, shape if k < len(state) else (self.length, *shape), dtype) for k, (place, shape, dtype)
                 in enumerate(zip(body.places(attr, len(state)), shapes, dtypes, strict=True))]
        result, ys = self.whole(parts[:len(state)], parts[len(state):], ytree)
        if self.held:
            result, contents = result
            write(self.held, contents)
        return result, ys

    def another_way(self, error: TapeDivergence) -> UnsupportedError:
        return UnsupportedError(f"{T.here()}: {self.name}: {error.kind} at {error.location} goes another way in a "
                                f"later step than in the first, and a body is recorded once. {remedy(error.kind)}, or "
                                "write the loop in Python")

    def steps_until_false(self) -> int:
        """How many steps there are until y, one bool, is false: by running the recorded body from here on."""
        tape, _ = self.settled = self.settled_body()
        n, m = 0, len(self.state)
        program, values = Program(tape), [np.array(T.concrete(x)) for x in self.state]
        while True:
            n += 1
            try:
                found = program.run([*values, *tape.lifted_values])
            except TapeDivergence as error:
                raise self.another_way(error) from error
            values = found[:m]
            if not self.one_bool(found[m:]):
                return n
            if tape.instruction(tape.outputs[m])[0] == "const":
                raise UnsupportedError(f"{T.here()}: {self.name}: the condition is True whatever the state is, and is "
                                       "recorded once: a loop without end. Make its counter a part of the state")

    def settled_body(self) -> tuple[Any, Any]:
        """The body, for a state that keeps its types and has all that the step writes."""
        watch = Watch(self.code, self.more)
        while True:
            try:
                tape, ytree = self.body()
            except Promotion:
                continue
            found = [a for a in T.borrowed(tape) if not any(np.shares_memory(T.concrete(a), T.concrete(b))
                                                            for b in self.held)]
            if not found:
                if self.length > 1 or self.runs > 1:
                    self.refuse_chance(watch, tape)
                return tape, ytree
            self.hold(found)

    def hold(self, found: list[Any]) -> None:
        """Arrays from around the step, into which it writes, become a part of the state: each step finds them as the
        one before has left them, as in a loop of Python."""
        for path, x in zip(paths(self.xtree, self.xpairs), self.xs, strict=True):
            if any(np.shares_memory(T.concrete(x), T.concrete(a)) for a in found):
                raise UnsupportedError(f"{T.here()}: {self.name}: the step writes into the array of which xs{path} are "
                                       "slices; later steps would get what earlier ones have written. Give a copy "
                                       "(a.copy()), or carry the array in the state and take a[k] of it")
        state = trees.unflatten(self.tree, joined(self.state, self.pairs))
        if self.held:
            state = state[0]
        self.held += found
        self.step = Holding(self.own[0], self.held)
        leaves, self.tree = trees.flatten((state, [np.copy(a) for a in self.held]))
        self.state, self.pairs = self.split(leaves, "the state")
        self.loose += [False] * len(found)

    def refuse_chance(self, watch: Watch, tape: Any) -> None:
        """An error where a second run of the step, on the same values, gives others: one body is no loop then.

        Such steps draw random numbers, count, or change what is outside of the recording; they run again only if what
        their code names makes that possible.
        """
        changed = watch.changed()
        causes = [text for text in (changed,) if text] + watch.suspects
        if not causes:
            return
        if changed:
            watch = Watch(self.code, self.more)      # (what changes at each run, not the first time only)
        try:
            again, _ = self.body()
        except EscapedTracerError as error:
            raise UnsupportedError(f"{T.here()}: {self.name}: the step reads what an earlier run of it has put aside, "
                                   f"and a body is recorded once ({'; '.join(causes)}). Make that a part of the "
                                   "state") from error
        written = watch.written()
        if written:
            raise UnsupportedError(f"{T.here()}: {self.name}: the step changes {written}, an array from outside of the "
                                   "recording, in place, and a body is recorded once. Make it in the function that is "
                                   "recorded (np.zeros, np.array(a)), or a part of the state")
        one, other = ([np.asarray(v) for v in Program(t).run([*self.at_first_step(), *t.lifted_values])]
                      for t in (tape, again))
        if len(one) != len(other) or not all(map(equal_bits, one, other)):
            raise UnsupportedError(f"{T.here()}: {self.name}: two runs of the step on the same values differ, and a "
                                   f"body is recorded once ({'; '.join(causes)}). Draw random numbers of all steps "
                                   "before the loop, and give them as xs; make a counter a part of the state")
        if changed:
            doubt(f"the step of {self.name} at {T.here()} runs once while it is recorded, and changes {changed}. Make "
                  "that a part of the state")

    def at_first_step(self) -> list[Any]:
        """Plain values of the state and of the slices of xs with which the body is recorded."""
        if self.length == 0:
            return [np.zeros(np.shape(x)[k:], x.dtype) for k, xs in enumerate((self.state, self.xs)) for x in xs]
        first = self.length - 1 if self.reverse else 0
        return [*(np.array(T.concrete(x)) for x in self.state), *(np.array(T.concrete(v)[first]) for v in self.xs)]

    def body(self) -> tuple[Any, Any]:
        """The tape of one step, recorded at the first one's values, and the structure of y."""
        self.runs += 1
        values, one_step = self.at_first_step(), OneStep(self)
        try:
            tape = record_call(one_step, Arguments(tuple(values), {}, None, self.name), enclosing=True)
        except Promotion:
            raise
        except Exception as error:           # (if the user's code goes on)
            doubt(f"the step of {self.name} at {T.here()} raised {type(error).__name__}: what it had changed around it "
                  "until then is forgotten. Let it end, and say what was wrong by a part of the state")
            raise
        for _, where in T.owed(tape):
            raise UnsupportedError(f"{where}: {self.name}: the elements that a traced index has chosen are changed in "
                                   "place; to NumPy they are a view. Write into the array that they are of: a[k] += v")
        if values:
            tape.set_outputs(tape.outputs[:-1])
        return tape, one_step.ytree


class Holding:
    """A step whose state has the content of arrays from around it, too."""

    def __init__(self, step: Any, held: list[Any]) -> None:
        self.step, self.held = step, held

    def __call__(self, state: Tree, x: Tree) -> tuple[Tree, Tree]:
        own, contents = state
        write(self.held, contents)
        new, y = self.step(own, x)
        return (new, [np.copy(a) for a in self.held]), y


def write(arrays: list[Any], contents: list[Any]) -> None:
    for a, content in zip(arrays, contents, strict=True):
        a[...] = content


class OneStep:
    """A step as a function of leaves; errors about what it records name the user's function."""

    def __init__(self, loop: Loop) -> None:
        self.loop, self.ytree = loop, None
        self.__func__ = loop.code            # where recording.py looks for a name and a line

    def __call__(self, *leaves: Any) -> list[Any]:
        T.current_tape().body = True
        n = len(self.loop.state)
        new, y, self.ytree = self.loop.called(list(leaves[:n]), list(leaves[n:]))
        return [*map(on_tape, [*new, *y]), *leaves[:1]]      # (something traced, even where the results are constants)


def remedy(kind: str) -> str:
    if "int()" in kind or "index" in kind or "foreign" in kind:
        return "Where an index changes from step to step, write np.take(np.asarray(array), k, axis=0)"
    return "Choose element by element with np.where"
