"""memory_verbs.py - pullbacks, Jacobians, Hessians and their products within a memory budget.

Owns: the verbs.  Must not know: how a program is made to fit (memory.py).
A pullback is the gradient of the weighted sum of the results, a Hessian product the gradient of a directional
derivative, and a matrix is one of these for each unit vector: whatever can be left out of a gradient, can be here.
Next: memory.py, verbs.py (the verbs without a budget).
"""
import numpy as np

from fastad import _tape as T
from fastad import tapes
from fastad.errors import StaleTapeError
from fastad.memory import WithinMemory, along_program, product_program, pullback_program, value_program
from fastad.verbs import Hessian, HessianProduct, Jacobian, Pullback, chosen, directions

__all__ = ["HessianProductWithin", "HessianWithin", "JacobianWithin", "PullbackWithin"]


class HessianProductWithin(WithinMemory, HessianProduct):
    """x, v -> Hessian times v, by the gradient of the tangent."""

    __call__ = HessianProduct.__call__

    def replay(self, entry, values, extra):
        self.keep_within(entry)
        tangents = directions(self, entry.tape, values, extra)
        moved = [np.zeros(np.shape(x)) if v is None else v
                 for x, v, a in zip(values, tangents, entry.tape.signature.active, strict=True) if a]
        return chosen(entry.tape.signature, entry.program.run(values + moved)[1:], 0)

    def compile(self, entry):
        entry.program = product_program(entry.tape, self.memory, self.disk)

    def nest(self, parent, tape, ids, values, extra):
        self.need_no_budget()


class HessianWithin(WithinMemory, Hessian):
    """x -> all second derivatives: a product for each unit vector."""

    def replay(self, entry, values, extra):
        self.keep_within(entry)
        return self.pack(entry.tape, lambda units: entry.program.run(values + units)[1:])

    def compile(self, entry):
        entry.program = product_program(entry.tape, self.memory, self.disk)

    def nest(self, parent, tape, ids, values, extra):
        self.need_no_budget()


class JacobianWithin(WithinMemory, Jacobian):
    """x -> all first derivatives, one sweep for each unit vector."""

    def __init__(self, f, argnums=0, has_aux=False, audit=True, mode="auto", memory=None, disk=None):
        super().__init__(f, argnums, has_aux, audit, memory, disk, mode)

    def replay(self, entry, values, extra):
        self.keep_within(entry)
        tape, (ins, outs) = entry.tape, self.shapes(entry.tape)
        forwards, m, n = self.forwards(ins, outs), len(tape.outputs), len(outs)
        rest = [np.zeros(shape) for dtype, shape in tapes.output_avals(tape)[n:] if dtype in T.REAL]

        def sweep(units):
            found = entry.program.run(values + units + ([] if forwards else rest))
            return found[m:m + n] if forwards else found[1 + m:]
        return self.pack(tape, value_program(tape).run(values), self.blocks(ins, outs, sweep))

    def compile(self, entry):
        forwards = self.forwards(*self.shapes(entry.tape))
        entry.program = (along_program if forwards else pullback_program)(entry.tape, self.memory, self.disk)

    def nest(self, parent, tape, ids, values, extra):
        self.need_no_budget()


class PullbackWithin(WithinMemory, Pullback):
    """primals -> value, pullback: each pullback runs forwards again, within its budget."""

    @classmethod
    def within(cls, memory, disk, f, primals, kwargs, has_aux, audit):
        """The answer of the verb."""
        return cls(f, None, has_aux, audit, memory, disk).call(primals, kwargs, ())

    def replay(self, entry, values, extra):
        self.keep_within(entry)
        values = [np.array(x) if isinstance(x, np.ndarray) else x for x in values]
        found = value_program(entry.tape).run(values)
        pullback = Again(self, entry.tape, entry.program, values, found)
        return self.answer(entry.tape.signature.pack_outputs(found), pullback)

    def compile(self, entry):
        entry.program = pullback_program(entry.tape, self.memory, self.disk)

    def nest(self, parent, tape, ids, values, extra):
        self.need_no_budget()


class Again:
    """The pullback at a point, by a program that runs forwards and back.

    Attributes
    ----------
    memory : Report
    """

    def __init__(self, verb, tape, program, values, outputs):
        self.verb, self.tape, self.program, self.values = verb, tape, program, values
        self.before = [np.array(y) for y in outputs] if tape.captures else []
        self.memory = program.report

    def __call__(self, w):
        verb, tape = self.verb, self.tape
        seeds = [seed for seed, (dtype, _) in zip(verb.seeds(tape, w), tapes.output_avals(tape), strict=True)
                 if dtype in T.REAL]
        out = self.program.run(self.values + seeds)[1:]
        if any(now.tobytes() != then.tobytes() for now, then in zip(out, self.before, strict=False)):
            raise StaleTapeError(f"pullback of {verb.name}: an array that it reads from outside has changed since vjp "
                                 "was called, and with memory= nothing is kept of the forward sweep: pass the array as "
                                 "an argument, or call vjp again")
        return verb.spread(tape, out[len(tape.outputs):])
