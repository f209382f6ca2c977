"""recording.py - from a Python function and its arguments to a tape that knows how to pack them: `record`.

Owns: which arguments are inputs and which are static, the signature of a tape, the opening and closing of a recording.
An input is a float, a np.floating or an ndarray of float, int or bool; None is an empty tree; everything else (ints,
bools, strings, callables ...) is static.  float16 is computed in float64.
Must not know: derivatives, caches.  Next: trees.py (containers), results.py (what f may return), function.py (who keeps
tapes), _tape.pyx.
"""
import copy
import functools
import inspect
import operator
import re

import numpy as np

from fastad import _tape as T
from fastad import interception, numpy_api, trees  # noqa: F401  (numpy_api: see below)
from fastad.complex_conversion import weakened
from fastad.complex_values import split, split_conjugate, weak, whole, whole_conjugate
from fastad.errors import DerivativeError, ShapeError, UnsupportedError
from fastad.results import is_complex, outputs_of, short

__all__ = ["Signature", "record"]

DOUBTED = "doubted"                      # in Tape.derived: why the first sweep, too, is compared with the function

if not T.templates_ready():              # the table's partial derivatives are recorded through the functions of NumPy
    T.build_templates()


class Static:
    """A static argument as part of a key: compared by type and value, or by identity if it cannot be hashed."""

    __slots__ = ("key", "value")

    def __init__(self, value):
        self.value = value
        try:
            hash(value)
        except TypeError:
            self.key: tuple = ("id", id(value))  # self.value keeps the object alive, so that the id stays its own
        else:
            self.key = (type(value), value)

    def __eq__(self, other):
        if type(other) is not Static or self.key[0] is not other.key[0]:
            return False
        return self.key[1] == other.key[1] or self.value is other.value

    def __hash__(self):
        return hash(self.key)

    def __repr__(self):
        return f"static({self.value!r})"


def doubt(cause):
    """Code that is recorded has changed what no tape holds, and f may compute something else: `cause` says what."""
    for tape in T.recordings():
        tape.derived.setdefault(DOUBTED, cause)


# ---- names for messages ----------------------------------------------------------------------------------------------

def underlying(f):
    """The Python function that runs when f is called: f itself, or what a partial, method or object calls."""
    while True:
        if isinstance(f, functools.partial):
            f = f.func
        elif hasattr(f, "__func__"):
            f = f.__func__
        elif hasattr(f, "__code__") or isinstance(f, type):
            return f
        else:
            call = getattr(type(f), "__call__", None)    # noqa: B004  (its code is wanted, not whether it is there)
            return call if hasattr(call, "__code__") else f


def name_of(f):
    """Qualified name of a callable."""
    g = underlying(f)
    return getattr(g, "__qualname__", None) or type(f).__name__


def functions(what, **given):
    """A TypeError, naming the argument, unless all are callable."""
    for name, f in given.items():
        if not callable(f):
            raise TypeError(f"{T.here()}: {what}: {name} is a {type(f).__name__}; a function is meant")


def location_of(f):
    """'file:line' where a callable is defined; '?' for one without Python code."""
    code = getattr(underlying(f), "__code__", None)
    return "?" if code is None else f"{code.co_filename}:{code.co_firstlineno}"


def takes_keyword(f, name):
    """Would f be given a keyword argument of this name?"""
    try:
        parameters = inspect.signature(f).parameters
    except (TypeError, ValueError):      # of a callable in C that does not say
        return False
    return name in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def parameters_of(f):
    """Names of the positional parameters that a call of f fills, as far as its Python code tells; () if it does not."""
    skipped = 0
    while True:
        if isinstance(f, functools.partial):
            skipped += len(f.args)
            f = f.func
        elif hasattr(f, "__func__"):         # a bound method has its first argument
            skipped += getattr(f, "__self__", None) is not None
            f = f.__func__
        elif hasattr(f, "__code__"):
            return f.__code__.co_varnames[skipped:f.__code__.co_argcount]
        else:
            call = None if isinstance(f, type) else getattr(type(f), "__call__", None)     # noqa: B004
            if not hasattr(call, "__code__"):
                return ()
            skipped, f = skipped + 1, call


def checked_argnums(argnums):
    """argnums as an int, a tuple of ints, or None."""
    try:
        return argnums if argnums is None else operator.index(argnums)
    except TypeError:
        pass
    try:
        return tuple(map(operator.index, argnums))
    except TypeError:
        raise TypeError(f"argnums: {argnums!r} is neither an int nor a tuple of ints") from None


# ---- arguments -------------------------------------------------------------------------------------------------------

def input_value(x, wanted, where):
    """What goes into the tape for a leaf; None if it is static.

    wanted : bool
        The caller differentiates with respect to it: ints become float64, and what cannot is an error.
    where : callable
        Names the leaf in an error.
    """
    if type(x) is float:
        return x
    if T.is_wrapped(x):
        if wanted and T.is_traced(x) and x.dtype == np.int64:
            return T.astype(x, np.float64)
        return x
    if isinstance(x, np.ndarray):
        return array_input(x, wanted, where)
    if isinstance(x, np.floating):
        return x
    if isinstance(x, float):
        return float(x)                  # a subclass: the sweeps know numbers and arrays
    if wanted and isinstance(x, (int, np.integer)) and not isinstance(x, (bool, np.bool_)):
        return float(x)
    if wanted:
        raise DerivativeError(f"{where()} is {short(x)}; a derivative with respect to it does not exist. Pass numbers "
                              "or arrays there, or choose others with argnums.")
    return None


def array_input(x, wanted, where):
    kind = x.dtype.kind
    if type(x) is not np.ndarray and not isinstance(x, np.memmap):
        raise UnsupportedError(f"{where()} is a {type(x).__name__}, whose meaning is not that of an ndarray; pass "
                               "np.asarray(x)")
    if kind not in "fiub" and not wanted:
        return None
    if wanted and kind in "iu":
        return x.astype(np.float64)
    if wanted and kind != "f":
        raise DerivativeError(f"{where()} has dtype {x.dtype}; a derivative with respect to it does not exist")
    return x


def wanted_leaves(tree, nargs, argnums, name):
    """For each leaf of (args, kwargs): is it in argnums?  `argnums` None: all inputs are active, none is demanded."""
    sizes = [trees.count(child) for child in trees.children(trees.children(tree)[0])]
    total = trees.count(tree)
    if argnums is None:
        return None
    chosen = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    wanted = [False] * total
    for k in chosen:
        if not -nargs <= k < nargs:
            raise DerivativeError(f"{name}: argnums {k} of {nargs} positional arguments; pass what is differentiated "
                                  "by position, not by keyword")
        start = sum(sizes[:k % nargs])
        wanted[start:start + sizes[k % nargs]] = [True] * sizes[k % nargs]
    if len({k % nargs for k in chosen}) < len(chosen):
        raise DerivativeError(f"{name}: argnums {argnums} names an argument twice")
    return wanted


class Arguments:
    """The arguments of one call, sorted into inputs and statics.

    Attributes
    ----------
    values : list
        Of the inputs, in the order of the leaves.
    complexes : dict
        Leaf number -> value of the complex inputs, which `values` has as pairs of float64 or float32.
    key : tuple
        Equal for calls that one recording can serve: structure, shapes, dtypes, static values.
    """

    __slots__ = ("tree", "positions", "values", "statics", "wanted", "key", "nargs", "complexes")

    def __init__(self, args, kwargs, argnums, name, still=()):
        leaves, self.tree = trees.flatten((args, kwargs))
        self.nargs = len(args)
        wanted = wanted_leaves(self.tree, len(args), argnums, name)
        for k in still:                  # leaves within argnums that are not differentiated
            wanted[k] = False
        self.positions, self.values, self.statics, self.wanted, key = [], [], {}, [], [self.tree]
        self.complexes = {}
        for k, x in enumerate(leaves):
            chosen = wanted is not None and wanted[k]
            if is_complex(x):
                self.complexes[k] = x
                key.append(("complex", isinstance(x, np.ndarray), weak(x)))
                x = split(x)
            value = input_value(x, chosen, lambda k=k: f"{name}: {leaf_name(self.tree, k)}")
            if value is None:
                self.statics[k] = x
                key.append(Static(x))
            else:
                self.positions.append(k)
                self.values.append(value)
                self.wanted.append(wanted is None or chosen)
                order = axis_order(value)
                key.append(aval_key(value) if order is None else (aval_key(value), order))
        self.key = tuple(key)


@functools.lru_cache(64)
def _numbers(n):
    return Arguments((1.0,) * n, {}, tuple(range(n)), "")


def numbers(values):
    """The Arguments of a call with nothing but floats, all of them differentiated."""
    found = copy.copy(_numbers(len(values)))
    found.values = list(values)
    return found


def axis_order(value):
    """(axes from the slowest to the fastest in memory, are there no gaps?), as x.ravel("K") and x.ravel("A") ask.

    None for the usual order.
    """
    if type(value) is float or value.ndim < 2:
        return None
    x = T.concrete(value)
    if x.flags.c_contiguous or 0 in x.strides:
        return None
    order = sorted(range(x.ndim), key=lambda d: -abs(x.strides[d]))
    if order == list(range(x.ndim)):
        return None
    return tuple(order), x.transpose(order).flags.c_contiguous


def laid_out(x, order):
    """A traced input with its axes in this order in memory, as the caller's array has them."""
    if order is None:
        return x
    axes, dense = order
    x = x.transpose(axes)
    gaps = T.make_plain(np.empty((*x.shape, 1 if dense else 2)))[..., 0]
    gaps[...] = x
    return gaps.transpose(sorted(range(len(axes)), key=axes.__getitem__))


def aval_key(value):
    """What of an input is fixed in a recording: dtype and shape."""
    if type(value) is float:
        return 0
    dtype = value.dtype
    return T.aval(T.recorded_dtype(dtype), value.shape)


def leaf_name(tree, position):
    """'argument 1' or 'argument 1[0]' of leaf number `position` of (args, kwargs)."""
    args, kwargs = trees.children(tree)
    for k, child in enumerate(trees.children(args)):
        n = trees.count(child)
        if position < n:
            return f"argument {k}" + (f" (leaf {position})" if n > 1 else "")
        position -= n
    for key, child in zip(kwargs[1], trees.children(kwargs), strict=True):
        n = trees.count(child)
        if position < n:
            return f"argument {key!r}"
        position -= n
    return "an argument"


def matched(treedef, tree, what, whose):
    """Leaves of a tree of directions or seeds (None: of a part that has none), which must have this structure."""
    leaves = trees.flatten_as(treedef, tree)
    if leaves is None:
        raise ShapeError(f"{what} has structure {trees.describe(trees.flatten(tree)[1])}, {whose} "
                         f"{trees.describe(treedef)}")
    return leaves


# ---- signatures ------------------------------------------------------------------------------------------------------

FUNCTION, DERIVATIVE = "function", "derivative"      # in `derived` of an open recording: what is recorded; is it a
#                                          derivative, whose code begins where that of the tape written into it does?
RESERVED = re.compile(r"[vc]\d+")        # names of results and captured arrays in listings


class Signature:
    """How the arguments of a recorded function become the inputs of its tape, and the outputs its result.

    Attributes
    ----------
    name, location : str
        Of the function.
    tree, out_tree : treedef
        Structure of (args, kwargs) and of the result.
    positions : list of int
        Leaf number of each input; the other leaves are `statics` (leaf number -> value).
    active : list of bool
        Which inputs are differentiated (and are of real numbers, so that they have an adjoint).
    kept : dict
        Leaves of the result that are no outputs of the tape (leaf number -> value).
    parameters : tuple of str
        Names of the positional parameters, for listings; may be shorter than the arguments.
    complex_in, complex_out : dict
        Leaves of the arguments and of the result that are complex: leaf number -> is it a number?
    flat, lone_in, lone_out : bool
        The arguments are the inputs; there is one argument, one result: nothing to pack.
    """

    def __init__(self, name, location, tree, positions, statics, active, out_tree, kept, parameters=()):
        self.name, self.location, self.parameters = name, location, tuple(parameters)
        self.derived_from = None             # the signature of the tape of which this one's is a derivative
        self.tree, self.positions, self.statics, self.active = tree, positions, statics, active
        self.out_tree, self.kept = out_tree, kept
        args, kwargs = trees.children(tree)
        children = trees.children(args)
        self.flat = not statics and all(child == trees.LEAF for child in children) and not trees.children(kwargs)
        self.lone_in = self.flat and len(children) == 1 and active == [True]
        self.lone_out = out_tree == trees.LEAF and not kept
        self.complex_in, self.complex_out = {}, {}

    def set_complex(self, arguments, results):
        """Name the leaves that are complex (leaf number -> is it a number?), and are pairs of float64 on the tape."""
        self.complex_in, self.complex_out = arguments, results
        self.flat = self.flat and not arguments
        self.lone_in = self.lone_in and not arguments
        self.lone_out = self.lone_out and not results

    def __str__(self):
        return self.name

    def input_names(self):
        """What each input is called: ``x``, ``p['w']``, ``p[0]``; x0, x1 ... where the parameters are not known."""
        if self.derived_from is not None:    # a tape of derivatives: what comes last are directions or seeds
            names = self.derived_from.input_names()
            names += [f"d{k}" for k in range(len(self.positions) - len(names))]
            roots = []
        else:
            args, kwargs = trees.children(self.tree)
            count = len(trees.children(args))
            roots = [*self.parameters[:count], *[f"x{k}" for k in range(len(self.parameters), count)], *kwargs[1]]
            parts = [*trees.children(args), *trees.children(kwargs)]
            paths = [root + path for root, part in zip(roots, parts, strict=True) for path in trees.paths(part)]
            names = [paths[k] for k in self.positions]
        clash = len(set(names)) < len(names) or any(RESERVED.fullmatch(root) for root in roots)
        return [f"x{k}" for k in range(len(names))] if clash else names

    def keywords(self):
        """Names of the keyword arguments."""
        return trees.children(self.tree)[1][1]

    def with_structures(self, tree, out_tree):
        """The same for other classes of named tuples."""
        found = copy.copy(self)
        found.tree, found.out_tree = tree, out_tree
        return found

    def values(self, args, kwargs):
        """The inputs' values; the rest must be as it was recorded."""
        leaves, tree = trees.flatten((args, kwargs))
        if tree != self.tree and trees.plain(tree) != self.tree:     # a tape from a file knows no named tuples
            raise ShapeError(f"tape of {self.name}: got arguments of structure {trees.describe(tree)}, recorded with "
                             f"{trees.describe(self.tree)}")
        for k, value in self.statics.items():
            if Static(leaves[k]) != Static(value):
                raise ShapeError(f"tape of {self.name}: {leaf_name(tree, k)} is {short(leaves[k])}, and was recorded "
                                 f"as the static {short(value)}; record again")
        for k in self.positions:
            if is_complex(leaves[k]) and k not in self.complex_in:
                raise ShapeError(f"tape of {self.name}: {leaf_name(tree, k)} is complex, and was real when it was "
                                 "recorded; record again")
        for k in self.complex_in:
            if not T.is_wrapped(leaves[k]) and np.asarray(leaves[k]).dtype.kind not in "fiubc":
                raise ShapeError(f"tape of {self.name}: {leaf_name(tree, k)} is {short(leaves[k])}, and was complex "
                                 "when it was recorded")
        return [split(leaves[k]) if k in self.complex_in else leaves[k] for k in self.positions]

    def pack_outputs(self, outputs):
        """The result, from the values (or tangents) of the tape's outputs."""
        if not self.kept and not self.complex_out:
            return trees.unflatten(self.out_tree, outputs)
        outputs = iter(outputs)
        n = trees.count(self.out_tree)
        if self.complex_out:
            return trees.unflatten(self.out_tree, [
                self.kept[k] if k in self.kept else whole(next(outputs), self.complex_out[k]) if k in self.complex_out
                else next(outputs) for k in range(n)])
        return trees.unflatten(self.out_tree, [self.kept[k] if k in self.kept else next(outputs) for k in range(n)])

    def spread(self, adjoints):
        """Adjoints of the active float64 inputs by leaf of (args, kwargs); None elsewhere."""
        leaves = [None] * trees.count(self.tree)
        for k, x in zip(self.active_positions(), adjoints, strict=True):
            leaves[k] = whole_conjugate(x, self.complex_in[k]) if k in self.complex_in else x
        return leaves

    def active_positions(self):
        return [k for k, active in zip(self.positions, self.active, strict=True) if active]

    def pack_gradients(self, adjoints):
        """Gradient of the only argument, else one entry an argument."""
        args, kwargs = trees.unflatten(self.tree, self.spread(adjoints))
        if kwargs:
            return args, kwargs
        return args[0] if len(args) == 1 else args

    def seeds(self, w):
        """One seed an output, from a tree in the structure of the result (None: 0); a number seeds them all."""
        n = trees.count(self.out_tree)
        if isinstance(w, (int, float, np.integer, np.floating)) and not self.complex_out:
            return [float(w)] * (n - len(self.kept))
        if isinstance(w, (int, float, complex, np.number)):
            if not all(self.complex_out.values()):
                raise ShapeError(f"tape of {self.name}: the seed is one number, and there are complex arrays among the "
                                 "results; give one seed a result, of its shape")
            w = trees.unflatten(self.out_tree, [w] * n)
        leaves = matched(self.out_tree, w, f"tape of {self.name}: the seed", "the result")
        return [0.0 if leaves[k] is None else self.seed(k, leaves[k]) for k in range(n) if k not in self.kept]

    def seed(self, k, w):
        """The seed of leaf k of the result as the tape takes it: of a complex one the pairs of its conjugate."""
        return split_conjugate(w) if k in self.complex_out and w is not None else w

    def tangents(self, v):
        """One direction an input, from one an argument; None, for a part of an argument too, does not move."""
        args = trees.children(trees.children(self.tree)[0])
        if len(v) != len(args):
            raise ShapeError(f"tape of {self.name}: {len(v)} directions for {len(args)} arguments")
        leaves = []
        for k, (direction, child) in enumerate(zip(v, args, strict=True)):
            if child == trees.LEAF and isinstance(direction, (list, tuple)):
                direction = np.asarray(direction, dtype=np.float64)
            leaves += matched(child, direction, f"tape of {self.name}: direction {k}", "its argument")
        leaves += [None] * (trees.count(self.tree) - len(leaves))
        return [split(leaves[k]) if k in self.complex_in and leaves[k] is not None else leaves[k]
                for k in self.positions]


# ---- recording -------------------------------------------------------------------------------------------------------

def record_call(f, arguments, enclosing=False, as_floats=True):
    """Run f on traced inputs; returns the finished tape, with its signature.

    enclosing : bool
        Arguments may be traced in a recording around this one; inputs stay active where the outer ones are.
    as_floats : bool
        A branch that ends in a constant gives float64, whose derivative is zero; else what f gives.
    """
    tape, kept, out_tree, complex_out = T.recorded(interception.recording(), _run, f, arguments, enclosing, as_floats)
    name = name_of(f)
    active = [a and w for a, w in zip(tape.input_active, arguments.wanted, strict=False)]
    signature = Signature(name, location_of(f), arguments.tree, arguments.positions, arguments.statics,
                          active, out_tree, kept, parameters_of(f))
    signature.set_complex({k: not isinstance(x, np.ndarray) for k, x in arguments.complexes.items()}, complex_out)
    if any(axis_order(value) for value in arguments.values):
        signature.flat = False           # no short way: it does not look at the order in memory
    tape.signature = signature
    if tape.kinds_met:                   # a number met float32: Python's floats are weak there, NumPy's are not
        tape.kinds = tuple([type(value) is float for value in arguments.values])
    return tape


def _run(tape, f, arguments, enclosing, as_floats):
    """f on inputs of the open tape: (tape, leaves of the result that are not on it, its structure, complex outputs)."""
    leaves = [None] * trees.count(arguments.tree)
    for k, value in arguments.statics.items():
        leaves[k] = value
    tape.set_origin(location_of(f))
    for k, value, wanted in zip(arguments.positions, arguments.values, arguments.wanted, strict=True):
        active = wanted or (enclosing and T.is_active(value))
        leaves[k] = laid_out(T.make_input(tape, T.concrete(value), active, T.is_weak(value)), axis_order(value))
        if k in arguments.complexes:
            leaves[k] = whole(leaves[k], not isinstance(arguments.complexes[k], np.ndarray))
            if weak(arguments.complexes[k]):
                weakened(leaves[k])
    args, kwargs = trees.unflatten(arguments.tree, leaves)
    tape.derived[FUNCTION] = f           # which, if it is a verb, finds that it is all that is recorded
    try:
        result = interception.stand_in(f)(*args, **kwargs)
    except TypeError as error:
        if "fastad._tape." in str(error):
            error.add_note(FOREIGN)
        raise
    finally:
        tape.derived.pop(FUNCTION)
        tape.derived.pop(DERIVATIVE, None)
    del args, kwargs, leaves
    ids, kept, out_tree, complex_out = outputs_of(tape, result, f"{name_of(f)} ({location_of(f)})", as_floats)
    tape.set_outputs(ids)
    return tape, kept, out_tree, complex_out


# What compiled code says that was handed a traced value names our class, and nothing that helps.
FOREIGN = ("fastad: compiled code was handed a value that is being recorded, and takes only plain arrays and numbers. "
           "Write that step in NumPy; or make it a function with a derivative of its own by ad.primitive (for a "
           "factorisation `lu`, the adjoint of lu.solve(x) is lu.solve(w, 'T'); scipy.sparse.linalg.splu called inside "
           "of the function is recorded); or hand it ad.peek(x) if a constant is meant.")


def record(f, *args, argnums=None, memory=None, disk=None, **kwargs):
    """Record a function as a tape.

    Parameters
    ----------
    f : callable
        Plain NumPy code.
    *args, **kwargs
        The point: floats and arrays become inputs of the tape, everything else is static.
    argnums : int or tuple of int, optional
        The positional arguments that will be differentiated; by default all.  The others stay inputs, but derivatives
        do not pass through them, so Python may look at their values (`range(n)`, `float(dt)`).
    memory : int or str, optional
        Bytes ("500MB") that a sweep of `tape(x)` and `tape.gradient(x)` may take, as for `grad`; both are compiled at
        once, and `tape.stats().memory` reports.  `tape.forward` and `tape.reverse` keep every value whatever this is.
    disk : str, path or tuple, optional
        As for `grad`: a directory, or ("/scratch", "20GB"), for steps of `tape.gradient(x)` that find no room.

    Returns
    -------
    Tape
        Call it to replay; `forward`, `reverse` and `tangent` are its sweeps.  It raises TapeDivergence where a branch
        of f would now go the other way; `grad` and friends record again by themselves.

    Raises
    ------
    TracerError, UnsupportedError, DerivativeError
        f does something that cannot be recorded, or returns nothing that can; the message names the line.

    Examples
    --------
    >>> import numpy as np
    >>> import fastad as ad
    >>> tape = ad.record(lambda x: np.sum(x**2), np.array([1.0, 2.0]))
    >>> float(tape(np.array([3.0, 4.0]))), tape.gradient(np.array([3.0, 4.0]))
    (25.0, array([6., 8.]))
    """
    from fastad.memory import limit, place_of  # (they need what this file owns)
    place = place_of(disk, memory)
    tape = record_call(f, Arguments(args, kwargs, checked_argnums(argnums), name_of(f)))
    if memory is not None:
        limit(tape, memory, place)
    return tape
