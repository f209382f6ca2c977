"""derivatives.py - the verbs: grad, value_and_grad, jvp, vjp, jacobian, hessian, hvp.

Owns: what each verb computes from a tape, at plain values (sweeps) and inside another recording (derivative tapes,
written into it).  Must not know: when a tape is recorded (function.py), how arguments are packed (recording.py).
Next: tapes.py (derivative tapes with fixed seeds).
"""
import numpy as np

from fastad import trees
from fastad._dispatch import GRADIENT, VALUE_AND_GRADIENT
from fastad.errors import DerivativeError
from fastad.function import Function
from fastad.recording import short

__all__ = ["grad", "value_and_grad"]


class Gradient(Function):
    """x -> gradient."""

    verb = "grad"
    shared_mode = GRADIENT

    def check(self, tape):
        signature = tape.signature
        if self.has_aux:
            main, _ = aux_split(signature, self)
        else:
            main = signature.out_tree
        dtype, shape = output_aval(tape, 0) if main == trees.LEAF and 0 not in signature.kept else (None, None)
        if dtype == 0 and shape == ():
            return
        what = result_text(main, dtype, shape, signature)
        verb = "jacobian" if dtype == 0 or dtype is None else "a function of real values"
        raise DerivativeError(f"{self.verb} of {self.name}: it must return one float64 number, and returned {what}. "
                              f"Use ad.jacobian or ad.vjp for more than one number, or return a sum of what counts."
                              if verb == "jacobian" else
                              f"{self.verb} of {self.name}: it returned {what}, which has no derivative.")

    def sweep(self, entry, values):
        """(outputs, adjoints) of one forward and one reverse sweep."""
        tape = entry.tape
        return tape.sweep_gradient(values, [1.0] + [0.0] * (len(tape.outputs) - 1))

    def replay(self, entry, values, extra):
        return self.pack(entry.tape.signature, *self.sweep(entry, values))

    def pack(self, signature, outputs, adjoints):
        gradient = chosen(signature, adjoints, self.argnums)
        return (gradient, signature.pack_outputs(outputs)[1]) if self.has_aux else gradient


class ValueAndGradient(Gradient):
    """x -> (value, gradient)."""

    verb = "value_and_grad"
    shared_mode = VALUE_AND_GRADIENT

    def pack(self, signature, outputs, adjoints):
        return signature.pack_outputs(outputs), chosen(signature, adjoints, self.argnums)


def output_aval(tape, k):
    from fastad import _tape as T
    return T.aval_of(tape.instruction(tape.outputs[k])[2])


def result_text(tree, dtype, shape, signature):
    if dtype is None:
        return "a container" if tree != trees.LEAF else short(signature.kept[0])
    kind = ("float64", "int64", "bool")[dtype]
    return f"an array of shape {shape} ({kind})" if shape else f"a number of dtype {kind}"


def aux_split(signature, function):
    """Structures of (result, aux)."""
    tree = signature.out_tree
    if tree[0] != "tuple" or len(tree[1]) != 2:
        raise DerivativeError(f"{function.verb} of {function.name} with has_aux=True: it must return a pair "
                              f"(result, aux), and returned {trees.describe(tree)}")
    return tree[1]


def chosen(signature, adjoints, argnums):
    """The gradient in the structure of the arguments in argnums."""
    if signature.lone_in:
        return adjoints[0] if isinstance(argnums, int) else (adjoints[0],)
    args = trees.unflatten(signature.tree, signature.spread(adjoints))[0]
    return args[argnums] if isinstance(argnums, int) else tuple([args[k] for k in argnums])


def grad(f, argnums=0, has_aux=False, audit=True):
    """The gradient of a function that returns one number.

    Parameters
    ----------
    f : callable
        Plain NumPy code.
    argnums : int or tuple of int, optional
        With respect to which positional arguments.
    has_aux : bool, optional
        f returns (number, aux), and the result is (gradient, aux).
    audit : bool, optional
        Compare replays 2, 4, 8 ... of each tape with a run of plain f.

    Returns
    -------
    callable
        Takes the arguments of f; records at the first call and replays after; `stats()` tells.
    """
    return Gradient(f, argnums, has_aux, audit)


def value_and_grad(f, argnums=0, has_aux=False, audit=True):
    """The function and its gradient from one forward sweep; parameters as those of `grad`.

    Returns
    -------
    callable
        Takes the arguments of f, returns (value, gradient); ((value, aux), gradient) with has_aux.
    """
    return ValueAndGradient(f, argnums, has_aux, audit)
