"""verbs.py - what each verb computes from a tape: at plain values by sweeps, inside another recording by instructions.

Owns: Gradient, Jacobian and so on: subclasses of Function with `check`, `replay` and `nest`.
Must not know: when a tape is recorded (function.py), how arguments are packed (recording.py).
Next: derivatives.py (the public names), tapes.py (derivative tapes).
"""
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad import complex_verbs, tapes, trees
from fastad._dispatch import GRADIENT, VALUE_AND_GRADIENT, Point
from fastad.complex_values import whole
from fastad.errors import DerivativeError, ShapeError
from fastad.function import Function
from fastad.memory import WithinMemory
from fastad.recording import matched
from fastad.results import short
from fastad.unit_vectors import MOST_LANES, Lanes, block, lane_sweeps, need_memory, size_of, unit_sweeps

# ---- what was returned -----------------------------------------------------------------------------------------------

def result_tree(function, tape):
    """Structure of the result proper; with has_aux the function returns a pair (result, aux)."""
    tree = tape.signature.out_tree
    if not function.has_aux:
        return tree
    if tree[0] != "tuple" or len(tree[1]) != 2:
        raise DerivativeError(f"{function.verb} of {function.name} with has_aux=True: it must return a pair "
                              f"(result, aux), and returned {trees.describe(tree)}")
    return tree[1][0]


def need_number(function, tape):
    """The result proper is one real number."""
    tree, signature = result_tree(function, tape), tape.signature
    if tree == trees.LEAF and 0 in signature.complex_out:
        complex_verbs.refuse_result(function, signature)
    if tree == trees.LEAF and 0 not in signature.kept:
        dtype, shape = tapes.output_avals(tape)[0]
        if dtype in T.REAL and shape == ():
            return
        if not shape:
            raise DerivativeError(f"{function.verb} of {function.name} ({signature.location}): it must return one "
                                  f"real number, and returned a number of dtype {T.DTYPE_NAMES[dtype]}, which has no "
                                  "derivative. Return the real number from which it was made.")
        what = f"an array of shape {shape}"
    else:
        what = short(signature.kept[0]) if tree == trees.LEAF else f"a container {trees.describe(tree)}"
    raise DerivativeError(f"{function.verb} of {function.name} ({signature.location}): it must return one real "
                          f"number, and returned {what}. Use ad.jacobian (all derivatives) or ad.vjp (a weighted sum "
                          "of them) for several numbers, or return their sum.")


def need_floats(function, tape):
    """Every leaf of the result proper is an output of real numbers; returns their (shape) list."""
    n, signature = trees.count(result_tree(function, tape)), tape.signature
    shapes = []
    for k, (dtype, shape) in zip(range(n), tapes.output_avals(tape), strict=False):
        if k in signature.kept:
            break
        if dtype not in T.REAL:
            raise DerivativeError(f"{function.verb} of {function.name} ({signature.location}): result {k} has dtype "
                                  f"{T.DTYPE_NAMES[dtype]}, which has no derivative; return it as aux (has_aux=True)")
        shapes.append(shape)
    if len(shapes) < n:
        raise DerivativeError(f"{function.verb} of {function.name} ({signature.location}): result {len(shapes)} is "
                              f"{short(signature.kept[len(shapes)])}, which does not depend on the arguments; return "
                              "arrays computed from them, or return it as aux (has_aux=True)")
    return shapes


def chosen(signature, adjoints, argnums):
    """Adjoints of the active inputs in the structure of the arguments in argnums."""
    if signature.lone_in:
        return adjoints[0] if isinstance(argnums, int) else (adjoints[0],)
    args = trees.unflatten(signature.tree, signature.spread(adjoints))[0]
    return args[argnums] if isinstance(argnums, int) else tuple([args[k] for k in argnums])


def wanted(tape, adjoints):
    """Of the adjoints of all active inputs of a nested tape, those that the inner verb differentiates."""
    explicit = tape.signature.active + [False] * len(tape.lifted_from)
    pairs = [w for a, w in zip(tape.input_active, explicit, strict=True) if a]
    return [x for x, w in zip(adjoints, pairs, strict=True) if w]


# ---- gradients -------------------------------------------------------------------------------------------------------

class Gradient(WithinMemory):
    """x -> gradient."""

    verb = "grad"
    shared_mode = GRADIENT
    saves_memory = programs_in_numbers = True

    def check(self, tape):
        need_number(self, tape)

    def replay(self, entry, values, extra):
        tape = entry.tape
        self.keep_within(entry)
        if entry.program is not None:
            n = len(tape.outputs)
            out = entry.program.run(values)
            return self.pack(tape.signature, out[:n], out[n:])
        seeds = [1.0] + [0.0] * (len(tape.outputs) - 1)
        return self.pack(tape.signature, *entry.swept.sweep_gradient(values, seeds))

    def compile(self, entry):
        entry.program = self.gradient_program(entry.tape)

    def outputs(self, entry, values):
        """By the program where there is one: it has its memory, and the same bits."""
        if entry.program is None:
            return super().outputs(entry, values)
        return entry.program.run(values)[:len(entry.tape.outputs)]

    def nest(self, parent, tape, ids, values, extra):
        self.need_no_budget()
        n = len(tape.outputs)
        out = tapes.inlined(parent, tapes.gradient_tape(tape), ids, values)
        return self.pack(tape.signature, out[:n], wanted(tape, out[n:]))

    def pack(self, signature, outputs, adjoints):
        gradient = chosen(signature, adjoints, self.argnums)
        return (gradient, signature.pack_outputs(outputs)[1]) if self.has_aux else gradient


class ValueAndGradient(Gradient):
    """x -> (value, gradient)."""

    verb = "value_and_grad"
    shared_mode = VALUE_AND_GRADIENT

    def pack(self, signature, outputs, adjoints):
        return signature.pack_outputs(outputs), chosen(signature, adjoints, self.argnums)


# ---- forward mode ----------------------------------------------------------------------------------------------------

def directions(function, tape, values, extra):
    """One direction an input (None: it does not move), checked against the inputs."""
    found = tape.signature.tangents(extra)
    for k, (x, v) in enumerate(zip(values, found, strict=False)):
        if v is None:
            continue
        need_real(v, f"{function.verb} of {function.name}: tangent {k}")
        if np.shape(v) != np.shape(x):
            raise ShapeError(f"{function.verb} of {function.name}: tangent {k} has shape {np.shape(v)}, its primal "
                             f"{np.shape(x)}")
    return found


def need_real(x, what):
    """A tangent or an adjoint is made of real numbers."""
    if not T.is_wrapped(x) and np.asarray(x).dtype.kind not in "fiub":
        raise ShapeError(f"{what} is {short(x)}; real numbers are wanted")


def unmoved(primals, tangents):
    """Leaves of the primals in whose place there is None."""
    leaves = list[Any]()
    for k, (x, v) in enumerate(zip(primals, tangents, strict=True)):
        tree = trees.flatten(x)[1]
        leaves += [v] if tree == trees.LEAF else matched(tree, v, f"jvp: tangent {k}", "its primal")
    return tuple([k for k, v in enumerate(leaves) if v is None])


class Tangent(Function):
    """primals, tangents -> value, directional derivative."""

    verb = "jvp"

    @classmethod
    def at(cls, f, primals, tangents, audit):
        if not isinstance(primals, (tuple, list)) or not isinstance(tangents, (tuple, list)):
            raise TypeError("jvp: primals and tangents are tuples, one entry an argument of f")
        if len(primals) != len(tangents):
            raise ShapeError(f"jvp: {len(primals)} primals and {len(tangents)} tangents")
        primals, tangents = tuple(primals), tuple(tangents)
        moved = tuple([k for k, v in enumerate(tangents) if v is not None])
        return cls(f, moved, audit, unmoved(primals, tangents)).call(primals, {}, tangents)

    def __init__(self, f, moved, audit, still):
        super().__init__(f, moved, False, audit, still)
        self.still = still

    def check(self, tape):
        """Any result will do: what is no real number has the tangent None."""

    def replay(self, entry, values, extra):
        tape = entry.tape
        found = [v if v is None or isinstance(v, np.ndarray) else float(v)
                 for v in directions(self, tape, values, extra)]
        y = tape.sweep(values)
        return self.pack(tape, y, tape.sweep_tangent(found))

    def nest(self, parent, tape, ids, values, extra):
        found = directions(self, tape, values, extra)
        out = written_along(parent, tapes.jvp_tape(tape), tape, ids, values, found)
        n = len(tape.outputs)
        y_dot = iter(out[n:])
        return self.pack(tape, out[:n], [next(y_dot) if dtype in T.REAL else None
                                         for dtype, _ in tapes.output_avals(tape)])

    def pack(self, tape, outputs, tangents):
        signature = tape.signature
        tangents = [v if dtype in T.REAL else None
                    for v, (dtype, _) in zip(tangents, tapes.output_avals(tape), strict=True)]
        kept = dict.fromkeys(signature.kept)
        leaves = iter(tangents)
        all_leaves = [kept[k] if k in kept else whole(next(leaves), signature.complex_out[k])
                      if k in signature.complex_out else next(leaves) for k in range(trees.count(signature.out_tree))]
        return signature.pack_outputs(outputs), trees.unflatten(signature.out_tree, all_leaves)


def written_along(parent, tangent_tape, tape, ids, values, directions):
    """Write a tangent tape into a recording, along one direction an explicit input; lifted ones do not move."""
    directions = directions + [None] * len(tape.lifted_from)
    seeds = [tapes.in_dtype(np.zeros(shape)[()] if v is None else v, dtype) for v, a, (dtype, shape)
             in zip(directions, tape.input_active, tapes.input_avals(tape), strict=True) if a]
    return tapes.inlined(parent, tangent_tape, ids + [T.id_in(parent, v) for v in seeds],
                         values + [np.array(T.concrete(v)) for v in seeds])


# ---- reverse mode ----------------------------------------------------------------------------------------------------

class Pullback(Function):
    """primals -> value, pullback."""

    verb = "vjp"
    programs_in_numbers = True           # (within a memory budget)

    @classmethod
    def at(cls, f, primals, kwargs, has_aux, audit):
        return cls(f, None, has_aux, audit).call(primals, kwargs, ())

    def check(self, tape):
        need_floats(self, tape)

    def replay(self, entry, values, extra):
        tape = entry.tape
        point = Point(entry.swept, list(values))
        outputs = tape.signature.pack_outputs(point.outputs())

        def pullback(w):
            """Adjoints of the arguments for an adjoint w of the result."""
            return self.spread(tape, point.reverse(self.seeds(tape, w)))

        return self.answer(outputs, pullback)

    def answer(self, outputs, pullback):
        """(y, pullback), or (y, pullback, aux): the order of jax.vjp."""
        return (outputs[0], pullback, outputs[1]) if self.has_aux else (outputs, pullback)

    def seeds(self, tape, w):
        """One seed an output, in the shape of the result; aux gets zeros."""
        tree, avals = result_tree(self, tape), tapes.output_avals(tape)
        if tree == trees.LEAF and isinstance(w, (list, tuple)):
            w = np.asarray(w, dtype=np.complex128 if 0 in tape.signature.complex_out else np.float64)
        leaves = matched(tree, w, f"pullback of {self.name}: the adjoint", "the result")
        leaves = [tape.signature.seed(k, x) for k, x in enumerate(leaves)]
        leaves = [np.zeros(shape) if x is None else x for x, (_, shape) in zip(leaves, avals, strict=False)]
        for k, (x, (_, shape)) in enumerate(zip(leaves, avals, strict=False)):
            need_real(x, f"pullback of {self.name}: adjoint {k}")
            if np.shape(x) != shape:
                raise ShapeError(f"pullback of {self.name}: adjoint {k} has shape {np.shape(x)}, the result {shape}")
        leaves += [np.zeros(shape)[()] for _, shape in avals[len(leaves):]]
        return [tapes.in_dtype(x, dtype if dtype in T.REAL else 0) for x, (dtype, _) in zip(leaves, avals, strict=True)]

    def spread(self, tape, adjoints):
        return trees.unflatten(tape.signature.tree, tape.signature.spread(adjoints))[0]

    def nest(self, parent, tape, ids, values, extra):
        outputs = tape.signature.pack_outputs(tapes.inlined(parent, tape, ids, values))

        def pullback(w):
            floats = [k for k, (dtype, _) in enumerate(tapes.output_avals(tape)) if dtype in T.REAL]
            seeds = [self.seeds(tape, w)[k] for k in floats]
            current = T.current_tape() or parent
            for x in traced:             # the recording may have ended; nothing is written into a finished tape
                T.value_id(x)
            here = ids if current is parent else [T.id_in(current, x) for x in traced]
            out = tapes.inlined(current, tapes.vjp_tape(tape), here + [T.id_in(current, w) for w in seeds],
                                values + [np.array(T.concrete(w)) for w in seeds])
            return self.spread(tape, wanted(tape, out[len(tape.outputs):]))

        traced = [T.wrap_value(parent, i, np.array(x)) for i, x in zip(ids, values, strict=True)]
        return self.answer(outputs, pullback)


# ---- matrices --------------------------------------------------------------------------------------------------------

def input_shapes(tape):
    """Shapes of the differentiated inputs."""
    return [shape for (_, shape), a in zip(tapes.input_avals(tape), tape.signature.active, strict=False) if a]


class Jacobian(Function):
    """x -> all first derivatives."""

    verb = "jacobian"
    patience = 4
    gain = 0.8                           # many unit vectors in one sweep
    programs_in_numbers = True

    def __init__(self, f, argnums=0, has_aux=False, audit=True, mode="auto", *options):
        super().__init__(f, argnums, has_aux, audit, mode, *options)     # a compiled matrix is swept in one direction
        self.direction = mode

    def __reduce__(self):
        return type(self), (*super().__reduce__()[1], self.direction)

    def check(self, tape):
        need_floats(self, tape)
        complex_verbs.refuse_both(self, tape.signature, trees.count(result_tree(self, tape)))

    def forwards(self, ins, outs):
        if self.direction == "auto":
            return sum(map(size_of, ins)) <= sum(map(size_of, outs))
        return self.direction == "forward"

    def shapes(self, tape):
        """Shapes of the differentiated inputs and of the results."""
        ins, outs = input_shapes(tape), need_floats(self, tape)
        need_memory(self, sum(map(size_of, outs)), sum(map(size_of, ins)), "ad.jvp or ad.vjp")
        return ins, outs

    def replay(self, entry, values, extra):
        tape = entry.tape
        ins, outs = self.shapes(tape)
        active, n = tape.signature.active, len(outs)
        rest = [shape for dtype, shape in tapes.output_avals(tape)[n:] if dtype in T.REAL]
        if entry.program is not None:
            return self.replay_compiled(entry, values, ins, outs, rest)
        swept = entry.swept
        y = swept.sweep(values)
        if self.forwards(ins, outs):
            def sweep(units):
                units = iter(units)
                return swept.sweep_tangent([next(units) if a else None for a in active])[:n]
        else:
            rest = [np.zeros(shape) for _, shape in tapes.output_avals(tape)[n:]]

            def sweep(units):
                return swept.sweep_reverse(units + rest)
        return self.pack(tape, y, self.blocks(ins, outs, sweep))

    def replay_compiled(self, entry, values, ins, outs, rest):
        tape, lanes = entry.tape, entry.program
        m, n, y = len(tape.outputs), len(outs), list[Any]()

        def sweep(units):
            if not forwards:
                units = units + [np.zeros((lanes.lanes, *shape)) for shape in rest]
            found = lanes.run(values + units)
            y[:] = y or [x[0] for x in found[:m]]
            return found[m:m + n] if forwards else found[m:]
        forwards = self.forwards(ins, outs)
        blocks = self.blocks(ins, outs, sweep, lanes.sweeps)
        return self.pack(tape, y or tape.sweep(values), blocks)

    def compile(self, entry):
        tape, (ins, outs) = entry.tape, self.shapes(entry.tape)
        forwards = self.forwards(ins, outs)
        derived = tapes.jvp_tape(tape) if forwards else tapes.vjp_tape(tape)
        entry.program = Lanes(derived, len(tape.inputs), sum(map(size_of, ins if forwards else outs)))

    def blocks(self, ins, outs, sweep, sweeps=unit_sweeps):
        """blocks[result][input] of shape out + in."""
        if self.forwards(ins, outs):
            by_input = [block(c, s, outs, False) for c, s in zip(sweeps(ins, sweep), ins, strict=True)]
            return [[b[k] for b in by_input] for k in range(len(outs))]
        return [block(c, s, ins, True) for c, s in zip(sweeps(outs, sweep), outs, strict=True)]

    def pack(self, tape, outputs, blocks):
        signature, outs = tape.signature, need_floats(self, tape)
        blocks = complex_verbs.joined(signature, blocks, outs)
        leaves = [chosen(signature, row, self.argnums) for row in blocks]
        jacobian = trees.unflatten(result_tree(self, tape), leaves)
        return (jacobian, signature.pack_outputs(outputs)[1]) if self.has_aux else jacobian

    def nest(self, parent, tape, ids, values, extra):
        ins, outs = self.shapes(tape)
        n, y = len(tape.outputs), list[Any]()
        declared = tape.signature.active + [False] * len(tape.lifted_from)
        of_seeds = tapes.differentiated(tape) if self.forwards(ins, outs) else tapes.real_outputs(tape)

        lanes = lanes_of(ins if self.forwards(ins, outs) else outs)
        derived = tapes.jvp_tape(tape) if self.forwards(ins, outs) else tapes.vjp_tape(tape)
        derived = tapes.transform().batch(derived, lanes, [False] * len(ids) + [True] * len(of_seeds))

        def written(seeds):
            seeds = [tapes.in_dtype(np.array(s), dtype) for s, (dtype, _) in zip(seeds, of_seeds, strict=True)]
            out = tapes.inlined(parent, derived, ids + [T.id_in(parent, s) for s in map(constant, seeds)],
                                values + seeds)
            y[:] = y or [x[0] for x in out[:n]]
            return out[n:]

        if self.forwards(ins, outs):
            def sweep(units):
                units = iter(units)
                seeds = [next(units) if w else np.zeros((lanes, *shape)) for w, a, (_, shape)
                         in zip(declared, tape.input_active, tapes.input_avals(tape), strict=True) if a]
                return written(seeds)[:len(outs)]
        else:
            rest = [np.zeros((lanes, *shape)) for dtype, shape in tapes.output_avals(tape)[len(outs):]
                    if dtype in T.REAL]

            def sweep(units):
                return wanted(tape, written(units + rest))
        blocks = self.blocks(ins, outs, sweep, lambda shapes, sweep: lane_sweeps(shapes, lanes, sweep))
        return self.pack(tape, y or tapes.inlined(parent, tape, ids, values), blocks)


def lanes_of(shapes):
    """Unit vectors of arrays of these shapes that are written into a recording at once."""
    return min(MOST_LANES, max(1, sum(map(size_of, shapes))))


def constant(x):
    """A seed as what the recording takes for a constant rather than for the user's memory."""
    return T.make_plain(x) if x.ndim else float(x) if x.dtype == np.float64 else x[()]


class Hessian(Function):
    """x -> all second derivatives: tangent sweeps over the gradient's tape."""

    verb = "hessian"
    patience = 4
    gain = 0.8                           # many unit vectors in one sweep
    programs_in_numbers = True

    def check(self, tape):
        need_number(self, tape)
        complex_verbs.refuse_arguments(self, tape.signature)
        n = sum(map(size_of, input_shapes(tape)))
        need_memory(self, n, n, "ad.hvp")

    def replay(self, entry, values, extra):
        tape = entry.tape
        derived = tapes.gradient_tape(tape)
        active, n = tape.signature.active, len(tape.outputs)
        if entry.program is not None:
            def lane_sweep(units):
                return entry.program.run(values + units)[-len(units):]
            return self.pack(tape, lane_sweep, entry.program.sweeps)
        derived.sweep(values)

        def sweep(units):
            units = iter(units)
            return derived.sweep_tangent([next(units) if a else None for a in active])[n:]
        return self.pack(tape, sweep)

    def compile(self, entry):
        tape = entry.tape
        derived = tapes.jvp_tape(tapes.gradient_tape(tape))
        entry.program = Lanes(derived, len(tape.inputs), sum(map(size_of, input_shapes(tape))))

    def pack(self, tape, sweep, sweeps=unit_sweeps):
        signature, ins = tape.signature, input_shapes(tape)
        by_column = [block(c, s, ins, False) for c, s in zip(sweeps(ins, sweep), ins, strict=True)]
        rows = [chosen(signature, [b[k] for b in by_column], self.argnums) for k in range(len(ins))]
        return chosen(signature, rows, self.argnums)

    def nest(self, parent, tape, ids, values, extra):
        derived, lanes = tapes.jvp_tape(tapes.gradient_tape(tape)), lanes_of(input_shapes(tape))
        moved = [False] * len(ids) + [True] * (len(derived.inputs) - len(ids))
        derived = tapes.transform().batch(derived, lanes, moved)
        declared = tape.signature.active + [False] * len(tape.lifted_from)
        skip = len(tape.outputs) + sum(tape.input_active) + len(tapes.real_outputs(tape))

        def sweep(units):
            units = iter(units)
            seeds = [tapes.in_dtype(np.array(next(units) if w else np.zeros((lanes, *shape))), dtype)
                     for w, a, (dtype, shape)
                     in zip(declared, tape.input_active, tapes.input_avals(tape), strict=True) if a]
            out = tapes.inlined(parent, derived, ids + [T.id_in(parent, constant(s)) for s in seeds], values + seeds)
            return wanted(tape, out[skip:])
        return self.pack(tape, sweep, lambda shapes, sweep: lane_sweeps(shapes, lanes, sweep))


class HessianProduct(Function):
    """x, v -> Hessian times v, from one tangent sweep over the gradient's tape."""

    verb = "hvp"

    def __call__(self, x, v, *args, **kwargs):
        return self.call_into(self.taken_out(kwargs), (x, *args), kwargs, (v, *[None] * len(args)))

    def check(self, tape):
        need_number(self, tape)
        complex_verbs.refuse_arguments(self, tape.signature)

    def replay(self, entry, values, extra):
        tape = entry.tape
        tangents = directions(self, tape, values, extra)
        if entry.program is not None:
            moved = [np.zeros(np.shape(x)) if v is None else v
                     for x, v, a in zip(values, tangents, tape.signature.active, strict=True) if a]
            return chosen(tape.signature, entry.program.run(values + moved)[-len(moved):], 0)
        derived = tapes.gradient_tape(tape)
        derived.sweep(values)
        return chosen(tape.signature, derived.sweep_tangent(tangents)[len(tape.outputs):], 0)

    def compile(self, entry):
        entry.program = tapes.hessian_product_program(entry.tape)

    def nest(self, parent, tape, ids, values, extra):
        found = directions(self, tape, values, extra)
        out = written_along(parent, tapes.jvp_tape(tapes.gradient_tape(tape)), tape, ids, values, found)
        skip = len(tape.outputs) + sum(tape.input_active) + len(tapes.real_outputs(tape))
        return chosen(tape.signature, wanted(tape, out[skip:]), 0)
