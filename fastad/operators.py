"""`linear_operator`: the Jacobian of a function at a point as a scipy LinearOperator that nobody ever forms.

Owns: the linearisation at one point, its products with vectors (one sweep) and with matrices (many vectors a sweep).
Must not know: when a tape is recorded (function.py), what solvers do with it.  SciPy is imported when one is made.
Next: verbs.py (Lanes, the batched derivative tapes), optimize/ (least squares with operators).
"""
import numpy as np

from fastad import complex_verbs, tapes, verbs
from fastad._dispatch import Point
from fastad.errors import UnsupportedError
from fastad.function import Function

__all__ = ["linear_operator"]

FEW = 4                                  # columns: compiling for less would not pay (trf's pairs of vectors, say)


def linear_operator(f, x, *args, **kwargs):
    """The Jacobian of f at x as a `scipy.sparse.linalg.LinearOperator`: products by sweeps, no matrix.

    Parameters
    ----------
    f : callable
        ``f(x, *args, **kwargs)`` in plain NumPy; returns an array, a number, or a tree of them: m numbers in all.
    x : array_like or tree
        The point, n numbers in all; ints and float32 are taken as float64.
    *args, **kwargs
        Further arguments of f, which are not differentiated.

    Returns
    -------
    LinearOperator, shape (m, n), dtype float64
        For arrays that are raveled in C order, trees leaf by leaf.  `matvec` is one tangent sweep, `rmatvec` one
        reverse sweep; `matmat` and `rmatmat` carry up to 64 columns in a sweep.  All are at the point x as it was:
        later changes of x, or of what f reads, do not matter.  Beside SciPy's methods it has

        value
            f(x), as f returns it.
        column_norms()
            The length of each column, shape (n,), for scaling: SciPy's `x_scale="jac"` refuses operators.

    Raises
    ------
    ValueError
        By its products: a vector of another length.
    DerivativeError, TracerError, UnsupportedError, StaleTapeError
        As `jacobian`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastad as ad
    >>> J = ad.linear_operator(lambda x: np.array([x[0] * x[1], x[1]**2, 3 * x[0]]), np.array([2.0, 5.0]))
    >>> J.shape, J @ np.array([1.0, 0.0]), J.T @ np.array([0.0, 1.0, 0.0])
    ((3, 2), array([5., 0., 3.]), array([ 0., 10.]))

    Least squares without a matrix:

    >>> from scipy.sparse.linalg import lsqr
    >>> lsqr(J, np.array([7.0, 10.0, 3.0]))[0].round(6)
    array([1., 1.])
    """
    return Linearisation(f).call((x, *args), kwargs, ())


class Linearisation(Function):
    """x -> the operator."""

    verb = "linear_operator"

    def check(self, tape):
        verbs.need_floats(self, tape)
        complex_verbs.refuse_all(self, tape.signature)

    def replay(self, entry, values, extra):
        return operator_at(Sweeps(self, entry.tape, list(values)))

    def nest(self, parent, tape, ids, values, extra):
        raise UnsupportedError(f"linear_operator of {self.name} inside a recording: SciPy's operators take plain "
                               "numbers. Use ad.jvp and ad.vjp, which can be recorded.")


class Sweeps:
    """Products with the Jacobian of a tape at a point that is its own.

    Attributes
    ----------
    m, n : int
        Numbers in the result and in the argument.
    value : tree
        The result.
    """

    def __init__(self, function, tape, values):
        self.tape, self.values = tape, [np.array(x) if isinstance(x, np.ndarray) else x for x in values]
        self.captured = [(x, x.copy()) for x in tape.captures if isinstance(x, np.ndarray)]
        self.point = Point(tape, self.values)
        self.ins, self.outs = verbs.input_shapes(tape), verbs.need_floats(function, tape)
        self.n, self.m = (sum(map(verbs.size_of, shapes)) for shapes in (self.ins, self.outs))
        self.value = tape.signature.pack_outputs(self.point.outputs())

    def forward(self, v):
        """J v."""
        parts = iter(split(v, self.ins))
        return joined(self.point.tangent([next(parts) if a else None for a in self.tape.signature.active]))

    def reverse(self, w):
        """J' w."""
        return joined(self.point.reverse(split(w, self.outs)))

    def forwards(self, matrix):
        """J V."""
        return self.many(matrix, "jvp", tapes.jvp_tape, self.ins, self.m, slice(len(self.outs), None))

    def reverses(self, matrix):
        """J' W."""
        return self.many(matrix, "vjp", tapes.vjp_tape, self.outs, self.n, slice(len(self.outs), None))

    def many(self, matrix, name, derived, shapes, rows, results):
        """Columns in groups of as many as one sweep carries; a few are swept one by one."""
        k = matrix.shape[1]
        result = np.empty((rows, k))
        if k < FEW or not self.standing():
            for j in range(k):
                result[:, j] = (self.forward if name == "jvp" else self.reverse)(matrix[:, j])
            return result
        lanes = self.batched(name, derived, k)
        for start in range(0, k, lanes.lanes):
            columns = np.zeros((lanes.lanes, len(matrix)))
            found = matrix[:, start:start + lanes.lanes].T
            columns[:len(found)] = found
            out = lanes.run(self.values + split(columns, shapes, (lanes.lanes,)))[results]
            result[:, start:start + len(found)] = np.concatenate(
                [np.reshape(y, (lanes.lanes, -1)) for y in out], axis=1)[:len(found)].T
        return result

    def standing(self):
        """Are the arrays that f has captured what they were?  Compiled tapes read them again, the point has copies."""
        return all(np.array_equal(x, copy, equal_nan=True) for x, copy in self.captured)

    def batched(self, name, derived, k):
        """The derivative tape compiled for many vectors at once; kept with the tape, for it serves all points."""
        kept, lanes = self.tape.derived, 1 << (min(k, verbs.MOST_LANES) - 1).bit_length()
        found = kept.get(f"{name} lanes", (0, None))
        if found[0] < lanes:
            found = kept[f"{name} lanes"] = lanes, verbs.Lanes(derived(self.tape), len(self.tape.inputs), lanes)
        return found[1]


def split(v, shapes, front=()):
    """A flat vector (the last axis) as arrays of these shapes."""
    ends = np.cumsum([verbs.size_of(s) for s in shapes])[:-1]
    parts = [np.ascontiguousarray(p, dtype=np.float64).reshape(front + s)
             for p, s in zip(np.split(v, ends, axis=-1), shapes, strict=True)]
    return [p if p.ndim else float(p) for p in parts]


def joined(parts):
    """One flat vector, always fresh."""
    return np.concatenate([np.ravel(p) for p in parts]) if len(parts) > 1 else np.array(np.ravel(parts[0]))


def operator_at(sweeps):
    """A LinearOperator: SciPy's class is imported, and ours made of it, when the first is asked for."""
    global Jacobian
    if Jacobian is None:
        Jacobian = operator_class()
    return Jacobian(sweeps)


Jacobian = None


def operator_class():
    from scipy.sparse.linalg import LinearOperator

    class JacobianOperator(LinearOperator):
        """The Jacobian of a function at a point; see fastad.linear_operator."""

        def __init__(self, sweeps):
            super().__init__(np.dtype(np.float64), (sweeps.m, sweeps.n))
            self.sweeps, self.value = sweeps, sweeps.value

        def _matvec(self, v):
            return both_parts(self.sweeps.forward, np.ravel(v))

        def _rmatvec(self, w):
            return both_parts(self.sweeps.reverse, np.ravel(w))

        def _matmat(self, matrix):
            return both_parts(self.sweeps.forwards, dense(matrix))

        def _rmatmat(self, matrix):
            return both_parts(self.sweeps.reverses, dense(matrix))

        def column_norms(self):
            """The length of each column of the Jacobian."""
            m, n = self.shape
            if n <= m:
                squares = [np.sum(self.sweeps.forwards(units(n, start))**2, axis=0)
                           for start in range(0, n, verbs.MOST_LANES)]
                return np.sqrt(np.concatenate(squares)) if squares else np.zeros(0)
            total = np.zeros(n)
            for start in range(0, m, verbs.MOST_LANES):
                total += np.sum(self.sweeps.reverses(units(m, start))**2, axis=1)
            return np.sqrt(total)

    return JacobianOperator


def both_parts(product, v):
    """A product with a real vector, or with the parts of a complex one: the Jacobian is real."""
    if np.iscomplexobj(v):
        return product(np.real(v)) + 1j * product(np.imag(v))
    return product(np.asarray(v, dtype=np.float64))


def dense(matrix):
    return matrix.toarray() if hasattr(matrix, "toarray") else np.asarray(matrix)


def units(size, start):
    """Unit vectors start, start + 1 ... as columns."""
    stop = min(size, start + verbs.MOST_LANES)
    matrix = np.zeros((size, stop - start))
    matrix[np.arange(start, stop), np.arange(stop - start)] = 1.0
    return matrix
