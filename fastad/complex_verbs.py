"""complex_verbs.py - what verbs ask of complex arguments and results: which derivatives there are, and their form.

Owns: the errors where a derivative has no form, and the complex rows of a Jacobian.
Must not know: sweeps.  Next: verbs.py; recording.py (Signature: `complex_in`, `complex_out`), docs/complex.md.
"""
from fastad.errors import DerivativeError


def place(function, signature):
    return f"{function.verb} of {function.name} ({signature.location})"


def differentiated(signature):
    """Is a complex argument differentiated?"""
    return any(a and k in signature.complex_in for k, a in zip(signature.positions, signature.active, strict=True))


def refuse_result(function, signature):
    """A verb that needs a real number got a complex result."""
    what = "number" if signature.complex_out[0] else "array"
    raise DerivativeError(f"{place(function, signature)}: it must return one real number, and returned a complex "
                          f"{what}. Return its real part (z.real) or abs(z)**2; ad.jacobian has the derivatives of "
                          "complex results by real arguments, ad.vjp pulls a complex adjoint back.")


def refuse_arguments(function, signature):
    """Second derivatives by complex arguments have no form of their own."""
    if differentiated(signature):
        raise DerivativeError(f"{place(function, signature)}: second derivatives by a complex argument; pass its real "
                              "and its imaginary part as arguments")


def refuse_all(function, signature):
    """A verb of vectors of real numbers got complex arguments or results."""
    if signature.complex_in or signature.complex_out:
        what = "arguments" if signature.complex_in else "results"
        raise DerivativeError(f"{place(function, signature)}: it has complex {what}, and {function.verb} works on real "
                              "numbers. Give it the parts: np.concatenate((z.real, z.imag)).")


def refuse_both(function, signature, count):
    """The Jacobian of complex results (among the first `count` leaves) by complex arguments is no complex matrix."""
    if differentiated(signature) and any(k < count for k in signature.complex_out):
        raise DerivativeError(f"{place(function, signature)}: complex results by complex arguments have four real "
                              "derivatives each. Take z.real and z.imag as results, or pass the parts as arguments; "
                              "ad.jvp and ad.vjp take complex directions.")


def joined(signature, blocks, shapes):
    """Blocks [result][argument] of a Jacobian, complex where the result is: the pairs are the last of its axes."""
    def one(x, nd):
        at = (slice(None),) * (nd - 1)
        return x[(*at, 0)] + 1j * x[(*at, 1)]
    return [[one(x, len(shapes[m])) if m in signature.complex_out else x for x in row] for m, row in enumerate(blocks)]
