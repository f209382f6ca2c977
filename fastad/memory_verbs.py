"""memory_verbs.py - Hessian products within a memory budget.

Owns: the verb.  Must not know: how a program is made to fit (memory.py).
Next: memory.py, verbs.py (the verb without a budget).
"""
import numpy as np

from fastad.memory import WithinMemory, product_program
from fastad.verbs import HessianProduct, chosen, directions

__all__ = ["HessianProductWithin"]


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
        entry.program = product_program(entry.tape, self.memory)

    def nest(self, parent, tape, ids, values, extra):
        self.need_no_budget()
