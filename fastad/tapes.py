"""tapes.py - derivative tapes made from a recorded one, kept beside it: tangent, adjoint, gradient with its seed fixed.

Owns: which derivative tape serves which verb, how its inputs and outputs are packed, how one is written into a
recording.  Must not know: caches, arguments of verbs.
Next: _transform.pyx (what the transformations do), derivatives.py (who calls this).
"""
import operator

import numpy as np

from fastad import _tape as T
from fastad import trees
from fastad.errors import TapeDivergence, UnstableDecisionError
from fastad.recording import DERIVATIVE, Signature

__all__ = ["gradient_tape", "inlined", "jvp_tape", "vjp_tape"]

LEAF = trees.LEAF


def transform():
    from fastad import _transform
    return _transform


def kept(tape, name, make):
    """The derived tape `name` of `tape`, made at the first need."""
    found = tape.derived.get(name)
    if found is None:
        found = tape.derived[name] = make(tape)
    return found


def output_avals(tape):
    """[(dtype code, shape)] of the outputs."""
    return [T.aval_of(tape.instruction(i)[2]) for i in tape.outputs]


def input_avals(tape):
    return [T.aval_of(tape.instruction(i)[2]) for i in tape.inputs]


def differentiated(tape):
    """(dtype code, shape) of the inputs that have an adjoint."""
    return [aval for aval, active in zip(input_avals(tape), tape.input_active, strict=True) if active]


def real_outputs(tape):
    """(dtype code, shape) of the outputs that get a seed."""
    return [(dtype, shape) for dtype, shape in output_avals(tape) if dtype in T.REAL]


def jvp_tape(tape):
    """(inputs, directions of the active ones) -> (outputs, tangents of the real ones)."""
    return kept(tape, "jvp", lambda t: named(transform().jvp(t), t, "tangent"))


def vjp_tape(tape):
    """(inputs, seeds of the real outputs) -> (outputs, adjoints of the active inputs)."""
    return kept(tape, "vjp", lambda t: named(transform().vjp(t), t, "adjoint"))


def gradient_tape(tape):
    """inputs -> (outputs, adjoints of the active inputs), for seed 1 of the first output and 0 of the others."""
    return kept(tape, "gradient", lambda t: named(transform().vjp(t, outputs=[0], seed=1.0), t, "gradient"))


def with_seed(tape, adjoint, rest=0.0):
    """The adjoint tape with its seeds made constants (1, rest ...), so that what is multiplied with 0 or 1 vanishes."""
    seeds = {len(tape.inputs) + k: rest for k in range(len(real_outputs(tape)))}
    if output_avals(tape)[0][0] in T.REAL:
        seeds[len(tape.inputs)] = 1.0
    return named(transform().fix(adjoint, seeds), tape, "gradient")


def named(derived, tape, kind):
    """Give a derivative tape a signature: flat lists, called after its function."""
    signature = tape.signature
    name = f"{kind} of {signature.name}" if signature is not None else kind
    n, m = len(derived.inputs), len(derived.outputs)
    derived.signature = Signature(name, getattr(signature, "location", "?"),
                                  ("tuple", (("tuple", (LEAF,) * n), ("dict", (), ()))), list(range(n)), {},
                                  derived.input_active, ("tuple", (LEAF,) * m), {})
    derived.signature.derived_from = signature
    return derived


def batch_tape(tape, k):
    """The tape at k points at once, called as the tape itself with one more axis in front."""
    found = transform().batch(tape, operator.index(k))
    found.signature = tape.signature
    return found


def in_dtype(x, dtype):
    """A direction or seed, traced or not, in the dtype (its code) of the value to which it belongs."""
    if T.is_wrapped(x):
        return T.astype(x, T.DTYPES[dtype])
    if isinstance(x, np.ndarray):
        return x.astype(T.DTYPES[dtype], copy=False)
    return float(x) if dtype == 0 else T.DTYPES[dtype].type(x)


def inlined(parent, tape, ids, values):
    """Write a tape into the open recording `parent` at the values `ids`; the traced results.

    values : list
        What `ids` stand for at present.
    """
    return written(parent, tape, ids, swept(tape, values))


def swept(tape, values):
    """The results of a tape where it was recorded."""
    try:
        return tape.sweep(values)
    except TapeDivergence as error:
        raise UnstableDecisionError(
            f"{error.kind} at {error.location} went the other way at the very point at which it was recorded: the "
            "decision lies within rounding. Compare with a tolerance there.") from error


def written(parent, tape, ids, results):
    """Write a tape into the open recording `parent` at the values `ids`; its results, traced."""
    out = transform().inline(parent, tape, ids, parent.derived.pop(DERIVATIVE, False))
    return [T.wrap_value(parent, i, value) for i, value in zip(out, results, strict=True)]


def program(tape):
    """A compiled tape."""
    from fastad._program import Program
    return Program(tape)


def in_numbers(tape):
    """The tape with arrays of a few elements as numbers, if that pays, for those who compile its derivatives: the
    adjoints of numbers are written as fast as they are copied, those of arrays by rules in Python."""
    from fastad._passes import split
    made = split(tape)
    if made is not tape:
        made.signature = tape.signature
    return made


def value_and_gradient_program(tape):
    """`gradient_tape`, compiled."""
    numbers = in_numbers(tape)
    return program(gradient_tape(tape) if numbers is tape else transform().vjp(numbers, outputs=[0], seed=1.0))


def hessian_product_program(tape):
    """(inputs, directions of the active ones) -> the tangent of `gradient_tape`, compiled."""
    numbers = in_numbers(tape)
    if numbers is tape:
        return program(jvp_tape(gradient_tape(tape)))
    return program(transform().jvp(transform().vjp(numbers, outputs=[0], seed=1.0)))


def gradient_program(tape):
    """The gradient of the sum of all results, compiled; no tape is kept that is not run."""
    from fastad._passes import optimise
    from fastad._program import Program
    gradient = transform().vjp(in_numbers(tape), seed=1.0)
    before = len(gradient), gradient.arena_bytes
    gradient = optimise(gradient)
    return Program(gradient, False, before=before)


def compiled(tape):
    """Tier 1 for a tape's value and gradient, now; returns the tape."""
    if tape.program is None:
        tape.program = program(tape)
        if any(tape.input_active) and "gradient program" not in tape.derived:
            tape.derived["gradient program"] = gradient_program(tape)
    return tape


T.register(jvp_tape=jvp_tape, vjp_tape=vjp_tape, batch=batch_tape, compile=compiled,
           save="fastad.serialize:save", load="fastad.serialize:load", reduce="fastad.serialize:reduce",
           copy="fastad.serialize:copy", into="fastad.results:written_into",
           lapack_jvp="fastad.linear_rules:tangent_tape", lapack_vjp="fastad.linear_rules:adjoint_tape",
           listing="fastad.listing:listing", stats="fastad.listing:stats", trace="fastad.trace:trace")
