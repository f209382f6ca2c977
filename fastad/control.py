"""control.py - what the user's code says to the recorder: stop_gradient, peek, and custom primitives.

Owns: `primitive` and how its rules serve value, tangent and adjoint, in sweeps and in derivative tapes.
Must not know: sweeps, callbacks from C (_call.pxi).  Next: _call.pxi, derivatives.py (derivatives of rules).
"""
import functools

import numpy as np

from fastad import _tape as T
from fastad import complex_values, trees
from fastad.errors import DerivativeError, ShapeError, UnsupportedError
from fastad.recording import name_of

__all__ = ["peek", "primitive", "stop_gradient"]

DERIVED_SWEEPS = 1000                    # at most so many calls of one rule to stand in for the other


def stop_gradient(x):
    """x as a constant: the same value, through which no derivative passes.

    Parameters
    ----------
    x : number, array or tree
        Plain values come back as they are.

    Returns
    -------
    number, array or tree
        The structure, shapes and dtypes of x.

    Examples
    --------
    >>> import fastad as ad
    >>> ad.grad(lambda x: x * ad.stop_gradient(x))(3.0)
    np.float64(3.0)
    """
    return trees.map_leaves(stopped, x)


def stopped(x):
    if not T.is_traced(x):
        return x
    if isinstance(x, T.Complex):
        return complex_values.make(stopped(x.re), stopped(x.im))
    return T.structural("stop", (x,), None, x.shape, T.kind_of(x))


def peek(x):
    """The present value as a plain number or array, for printing and for decisions that no guard shall hold.

    What is done with it is not recorded: a replay does not repeat it.

    Parameters
    ----------
    x : number, array or tree
        Plain values come back as they are.

    Returns
    -------
    number, ndarray or tree
        Copies, in the structure of x.

    Examples
    --------
    >>> import fastad as ad
    >>> def f(x):
    ...     print("x is", ad.peek(x))
    ...     return x**2
    >>> g = ad.grad(f)
    >>> g(3.0)
    x is 3.0
    np.float64(6.0)
    """
    return trees.map_leaves(peeked, x)


def peeked(x):
    if not T.is_wrapped(x):
        return x
    value = T.concrete(x)
    return value.copy() if isinstance(value, np.ndarray) else value


# ---- custom primitives -----------------------------------------------------------------------------------------------

def primitive(fn, vjp=None, jvp=None):
    """Make a function an operation of its own, with derivatives that you give.

    Parameters
    ----------
    fn : callable
        Takes plain numbers and arrays, also where the caller's are traced: it may call compiled code, solvers, tables.
        Returns a number, an array, or a tuple of them.  It runs while recording and at each replay.  Arguments that
        are no floats or arrays, and all keyword arguments, are handed to fn and to its rules unchanged.
    vjp : callable, optional
        ``vjp(w, y, *args)``: for the adjoint w of the result y = fn(*args), a tuple with one adjoint an argument
        (None: zero).
    jvp : callable, optional
        ``jvp(tangents, y, *args)``: for a tuple with one tangent an argument (zeros where it does not move), the
        tangent of y.

    Returns
    -------
    callable
        Called as fn.  On plain numbers it is fn.

    Raises
    ------
    DerivativeError, ShapeError
        When it is differentiated and there is no rule, or a rule returns what does not fit its operand.

    Notes
    -----
    With one rule only, the other mode is made from it by one call for each element, up to 1000.
    Second derivatives differentiate the rules themselves, which must then be plain NumPy code, or use primitives.

    Examples
    --------
    >>> import numpy as np, fastad as ad
    >>> cube = ad.primitive(lambda x: x**3, vjp=lambda w, y, x: (3 * w * x**2,))
    >>> ad.grad(lambda x: np.sin(cube(x)))(0.5)
    np.float64(0.7441...)
    """
    if vjp is None and jvp is None:
        raise DerivativeError(f"primitive {name_of(fn)}: give vjp, jvp, or both; for a constant use ad.stop_gradient")
    return Primitive(fn, vjp, jvp)


class Primitive:
    """A function with derivative rules of its own; call it like the function."""

    def __init__(self, fn, vjp, jvp):
        self.fn, self.vjp, self.jvp = fn, vjp, jvp
        self.parts = None                        # of a sum: (function, arguments) of its terms, for debug_nonfinite
        functools.update_wrapper(self, fn, updated=())
        del self.__dict__["__wrapped__"]         # nobody need watch what fn reads: it runs anew at each replay

    def __repr__(self):
        return f"<primitive {name_of(self.fn)}>"

    def __call__(self, *args, **kwargs):
        tape = T.tape_of(*args)
        if any(map(T.is_traced, trees.flatten(kwargs)[0])):
            raise UnsupportedError(f"{T.here()}: primitive {name_of(self.fn)}: a traced keyword argument; pass it by "
                                   "position")
        if any(map(T.is_traced, trees.flatten([x for x in args if not T.is_wrapped(x)])[0])):
            raise UnsupportedError(f"{T.here()}: primitive {name_of(self.fn)}: a list, tuple or dict of traced values, "
                                   "which its rules would not see; pass each as an argument, or np.stack them")
        if tape is None:
            return self.fn(*[T.concrete(x) for x in args], **kwargs)
        operands = [k for k, x in enumerate(args) if T.is_wrapped(x) or isinstance(x, float)
                    or (isinstance(x, (np.generic, np.ndarray)) and x.dtype.kind in "fiub")]
        rule = Rule(name_of(self.fn), self, args, kwargs, operands)
        return rule.record([args[k] for k in operands], tape)


class Rule:
    """One call of a primitive on a tape: its rules, with the arguments that are no operands bound.

    The result, or the tuple of results, is one float64 vector on the tape (an array keeps its shape).
    """

    def __init__(self, name, owner, args, kwargs, operands):
        self.name, self.owner, self.kwargs, self.operands = name, owner, kwargs, operands
        self.fixed = [None if k in operands else x for k, x in enumerate(args)]
        self.tree = self.first = self.single = None
        self.shapes: list = []

    def args(self, xs):
        args = list(self.fixed)
        for k, x in zip(self.operands, xs, strict=True):
            args[k] = x
        return args

    # -- recording

    def record(self, xs, tape):
        plain = [np.array(T.concrete(x))[()] for x in xs]
        with T.Undisturbed():
            self.first = self.value(plain)
        attr = T.Call(self, [aval_of(x) for x in plain], T.aval(0, np.shape(self.first)))
        y = T.structural("call", xs, attr, np.shape(self.first), 0, tape=tape)
        return self.unpacked(y)

    def unpacked(self, y):
        """The result as fn returns it, from the vector."""
        if self.tree == trees.LEAF:
            return self.in_single(y, 0)
        parts, start = [], 0
        for k, shape in enumerate(self.shapes):
            size = int(np.prod(shape, dtype=np.int64))
            parts.append(self.in_single(y[start] if shape == () else y[start:start + size].reshape(shape), k))
            start += size
        return trees.unflatten(self.tree, parts)

    def in_single(self, x, k):
        """Part k of the vector, in float32 where fn returned it so."""
        if not self.single or not self.single[k]:
            return x
        return T.astype(x, np.float32) if T.is_wrapped(x) else np.float32(x)

    def packed(self, y, what):
        """A result, tangent or adjoint of the result as one float64 array."""
        leaves, tree = trees.flatten(y)
        if self.tree is None:
            self.tree, self.shapes = tree, [np.shape(x) for x in leaves]
            self.single = [getattr(x, "dtype", None) == np.float32 for x in leaves]
        if tree != self.tree or [np.shape(x) for x in leaves] != self.shapes:
            raise ShapeError(f"primitive {self.name}: {what} has shapes {[np.shape(x) for x in leaves]}; the result "
                             f"that was recorded has {self.shapes}")
        for x in leaves:
            if not T.is_wrapped(x) and (not isinstance(x, (int, float, np.number, np.ndarray))
                                        or np.asarray(x).dtype.kind not in "fiub"):
                raise UnsupportedError(f"primitive {self.name}: {what} is a {type(x).__name__}; real numbers and "
                                       "arrays are recorded")
        if tree == trees.LEAF:
            return leaves[0] if T.is_wrapped(leaves[0]) else np.asarray(leaves[0], dtype=np.float64)
        return np.concatenate([np.reshape(x, (np.size(x),)) for x in leaves] or [np.zeros(0)]).astype(np.float64)

    # -- what the callbacks of a sweep ask for (plain values)

    def value(self, xs):
        if self.first is not None:       # the recorder ran fn already, to learn the shape
            y, self.first = self.first, None
            return y
        return self.packed(self.owner.fn(*self.args(xs), **self.kwargs), "the result")

    def tangent(self, tangents, y, xs):
        if not any(v is not None and np.any(v) for v in tangents):
            return np.zeros(np.shape(y))
        if self.owner.jvp is None:
            return self.tangent_by_adjoints(tangents, y, xs)
        moved = self.args([np.zeros(np.shape(x))[()] if v is None else v for v, x in zip(tangents, xs, strict=True)])
        moved = [None if k not in self.operands else v for k, v in enumerate(moved)]
        return self.packed(self.owner.jvp(tuple(moved), self.unpacked(y), *self.args(xs), **self.kwargs), "jvp")

    def adjoint(self, active, w, y, xs):
        if not np.any(w):                # strong zero: nothing asks for it, whatever the rule would give
            return [np.zeros(np.shape(x)) for x in xs]
        if self.owner.vjp is None:
            return self.adjoint_by_tangents(active, w, y, xs)
        bars = self.owner.vjp(self.unpacked(w), self.unpacked(y), *self.args(xs), **self.kwargs)
        if bars is None:
            raise ShapeError(f"primitive {self.name}: vjp returned None; return a tuple with an adjoint for each "
                             "argument, None in it where there is none")
        if not isinstance(bars, (tuple, list)):
            bars = (bars,)
        if len(bars) != len(self.fixed):
            raise ShapeError(f"primitive {self.name}: vjp gave {len(bars)} adjoints for {len(self.fixed)} arguments; "
                             "return a tuple, with None where there is none")
        bars = [bars[k] for k in self.operands]
        for k, (bar, x) in enumerate(zip(bars, xs, strict=True)):
            if bar is not None and not T.is_wrapped(bar) and np.asarray(bar).dtype.kind not in "fiub":
                raise UnsupportedError(f"primitive {self.name}: vjp gave an adjoint of dtype {np.asarray(bar).dtype} "
                                       f"for argument {self.operands[k]}; real numbers are wanted")
            if bar is not None and np.shape(bar) != np.shape(x):
                raise ShapeError(f"primitive {self.name}: vjp gave an adjoint of shape {np.shape(bar)} for argument "
                                 f"{self.operands[k]} of shape {np.shape(x)}")
        return [np.zeros(np.shape(x)) if bar is None else bar for bar, x in zip(bars, xs, strict=True)]

    def tangent_by_adjoints(self, tangents, y, xs):
        """y_dot by one adjoint for each element of the result."""
        moved = [k for k, v in enumerate(tangents) if v is not None]
        self.affordable(np.size(y), "jvp", "vjp")
        y_dot = []
        for unit in units(np.shape(y)):
            bars = self.adjoint(moved, unit, y, xs)
            y_dot.append(sum([np.sum(bars[k] * tangents[k]) for k in moved]))
        return shaped(y_dot, np.shape(y))

    def adjoint_by_tangents(self, active, w, y, xs):
        """Adjoints by one tangent for each element of the operands."""
        bars = [np.zeros(np.shape(x)) for x in xs]
        self.affordable(sum([bars[k].size for k in active]), "vjp", "jvp")
        for k in active:
            bar = []
            for unit in units(np.shape(xs[k])):
                tangents = [None] * len(xs)
                tangents[k] = unit
                bar.append(np.sum(w * self.tangent(tangents, y, xs)))
            bars[k] = shaped(bar, np.shape(xs[k]))
        return bars

    def affordable(self, n, missing, given):
        if n > DERIVED_SWEEPS:
            raise DerivativeError(f"primitive {self.name}: no {missing} was given, and to make it from {given} takes "
                                  f"{n} calls; give a {missing} rule")

    # -- derivative tapes: the rules become calls themselves, whose derivatives are taken when they are needed

    def emit_tangent(self, b, site):
        moved = [k for k, i in enumerate(site.dx) if i]
        n = len(moved)

        def tangent(*values):
            tangents = [None] * len(site.x)
            for k, v in zip(moved, values[:n], strict=True):
                tangents[k] = v
            return self.tangent(tangents, values[n], values[n + 1:])
        ids = [site.dx[k] for k in moved] + [site.y, *site.x]
        return self.emit(b, f"tangent of {self.name}", tangent, ids, site.aval)

    def emit_adjoint(self, r, site):
        active = [k for k, a in enumerate(site.active) if a]
        b = r.b
        shapes = [T.aval_of(b.aval_of(site.x[k]))[1] for k in active]
        sizes = [int(np.prod(shape, dtype=np.int64)) for shape in shapes]

        def adjoint(w, y, *xs):
            bars = self.adjoint(active, w, y, list(xs))
            return np.concatenate([np.reshape(bars[k], (size,)) for k, size in zip(active, sizes, strict=True)])
        total = sum(sizes)
        bars = self.emit(b, f"adjoint of {self.name}", adjoint, [site.w, site.y, *site.x], T.aval(0, (total,)))
        start = 0
        for k, shape, size in zip(active, shapes, sizes, strict=True):
            strides = tuple([int(np.prod(shape[d + 1:], dtype=np.int64)) for d in range(len(shape))])
            aval = T.aval(0, shape)
            r.give(k, b.emit("element", (bars, start), aval) if shape == () else
                   b.emit("move", (bars,), aval, T.Map.view(total, shape, start, strides)))
            start += size

    def emit(self, b, name, function, ids, aval):
        """A call of a rule as an instruction of a derivative tape."""
        rule = Rule(name, RecordedRules(name, function), (None,) * len(ids), {}, list(range(len(ids))))
        rule.tree, rule.shapes = trees.LEAF, [T.aval_of(aval)[1]]
        return b.emit("call", tuple(ids), aval, T.Call(rule, [b.aval_of(i) for i in ids], aval))

    def emit_batch(self, b, site):
        """The same for many lanes: one instruction, which runs the rule lane after lane."""
        dtype, shape = T.aval_of(site.aval)
        aval = T.aval(dtype, (site.k, *shape))
        rule = LaneAfterLane(self, site.batched, site.k, (site.k, *shape))
        b.looped.add(self.name)
        return b.emit("call", site.x, aval, T.Call(rule, [b.aval_of(i) for i in site.x], aval))


class LaneAfterLane(Rule):
    """One call of a primitive for many lanes: the rule of one lane in a loop.

    Operands and result of all lanes have a leading axis; those operands that are the same in all lanes have not.
    """

    def __init__(self, rule, batched, k, shape):
        super().__init__(rule.name, rule.owner, (None,) * len(batched), {}, list(range(len(batched))))
        self.rule, self.batched, self.k = rule, batched, k
        self.tree, self.shapes = trees.LEAF, [shape]

    def lane(self, xs, i):
        return [x[i] if own and x is not None else x for x, own in zip(xs, self.batched, strict=True)]

    def value(self, xs):
        return np.stack([self.rule.value(self.lane(xs, i)) for i in range(self.k)])

    def tangent(self, tangents, y, xs):
        return np.stack([self.rule.tangent(self.lane(tangents, i), y[i], self.lane(xs, i)) for i in range(self.k)])

    def adjoint(self, active, w, y, xs):
        every = [self.rule.adjoint(active, w[i], y[i], self.lane(xs, i)) for i in range(self.k)]
        bars = [np.zeros(np.shape(x)) for x in xs]
        for j in active:
            parts = [bar[j] for bar in every]
            bars[j] = np.stack(parts) if self.batched[j] else sum(parts[1:], parts[0])
        return bars


def units(shape):
    """The unit arrays of a shape (for (): the number 1)."""
    n = int(np.prod(shape, dtype=np.int64))
    for j in range(n):
        unit = np.zeros(n)
        unit[j] = 1.0
        yield unit.reshape(shape) if shape else 1.0


def shaped(numbers, shape):
    """Numbers, traced ones perhaps, as an array of this shape."""
    if shape == ():
        return numbers[0]
    return np.reshape(np.stack(numbers), shape) if numbers else np.zeros(shape)


class RecordedRules:
    """A rule as a function whose own derivatives are found by recording it."""

    def __init__(self, name, fn):
        self.name, self.fn = name, fn

    def vjp(self, w, y, *xs):
        from fastad import derivatives
        with naming(self.name):
            return derivatives.vjp(self.fn, *map(as_float, xs), audit=False)[1](w)

    def jvp(self, tangents, y, *xs):
        from fastad import derivatives
        with naming(self.name):
            return derivatives.jvp(self.fn, tuple(map(as_float, xs)), tangents, audit=False)[1]


class naming:
    """Says of an error that it comes from a rule that was differentiated for a derivative of higher order."""

    def __init__(self, name):
        self.name = name

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is not None and issubclass(kind, (TypeError, ValueError)) and "of higher order" not in str(error):
            raise UnsupportedError(f"a derivative of higher order needs the derivative of the {self.name}, whose rule "
                                   f"cannot be recorded: {error}") from error


def as_float(x):
    return x if isinstance(x, (np.ndarray, np.integer)) or T.is_wrapped(x) else float(x)


def aval_of(x):
    return T.aval(T.recorded_dtype(np.asarray(x).dtype), np.shape(x))
