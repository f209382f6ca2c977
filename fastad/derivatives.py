"""derivatives.py - the verbs: grad, value_and_grad, jvp, vjp, jacobian, hessian, hvp, batch.

Owns: the public functions and their documentation.  Must not know: how a verb is computed (verbs.py), when a tape is
recorded (function.py).
"""
from fastad import batching, memory_verbs, verbs
from fastad.errors import UnsupportedError

__all__ = ["batch", "grad", "hessian", "hvp", "jacobian", "jvp", "value_and_grad", "vjp"]


def grad(f, argnums=0, has_aux=False, audit=True, memory=None, disk=None):
    """The gradient of a function that returns one number.

    Parameters
    ----------
    f : callable
        Plain NumPy code.  Arguments that are floats or arrays are inputs, everything else is static.
    argnums : int or tuple of int, optional
        With respect to which positional arguments; ints and int arrays there are converted to float64.
    has_aux : bool, optional
        f returns (number, aux), and the result is (gradient, aux).  What of aux was computed from the arguments is
        computed anew; the rest is as it was when it was recorded.
    audit : bool, optional
        Compare replays 2, 4, 8 ... of each tape with a run of plain f.
    memory : int or str, optional
        Bytes, or text like "500MB": so much a sweep of one thread may allocate, beside arguments and results. Where
        keeping everything that the reverse part reads would take more, steps of time loops, those of `scan` and
        those of plain Python, are computed again, by the schedule with the fewest of them; the gradient has the same
        bits. (`primitive` inside a `scan` runs again, too, elsewhere once.) `stats().memory` reports.
    disk : str, path or tuple, optional
        With `memory`: a directory, or a directory and a bound, ("/scratch", "20GB"). Steps that find no room in memory
        go there, and are computed again only where that is quicker; see docs/memory.md.

    Returns
    -------
    callable
        Takes the arguments of f; the gradient has the structure of the argument.  It records at the first call, at
        new shapes, after changes of what f depends on, and when a branch goes another way; otherwise it replays.
        `stats()` tells how often.  Inside another recording nothing is kept.

        An array gives a fresh float64 array of its shape (of a complex one df/dx - i df/dy), a number a
        np.float64, a list, tuple or dict one of the same kind; several `argnums` give a tuple.  A float32
        argument has a float32 gradient: all is computed in the dtype in which NumPy would.

        ``g(x, out=a)`` writes the gradient into an array (or tree of arrays) like it, and returns that, unless f
        has an argument `out` itself; so do `value_and_grad`, `jacobian`, `hessian` and `hvp`.

    Raises
    ------
    DerivativeError
        f returns no single real number, or one that does not depend on the argument.
    TracerError, UnsupportedError
        f does something that cannot be recorded; the message names the line and what to write instead.
    StaleTapeError
        The audit found that f does not compute what its tape does.
    BudgetError
        `memory` does not suffice: names the smallest that does, and the line that holds most of it.  Or `disk` is bound
        to less than one step.
    OSError
        `disk`: there is no such directory, it is not writable, it is full (before the sweep), or what was written there
        cannot be read.

    Examples
    --------
    >>> import numpy as np
    >>> import fastad as ad
    >>> g = ad.grad(lambda x: np.sum(x**2))
    >>> g(np.array([2.0, 3.0]))
    array([4., 6.])
    >>> ad.grad(lambda x: x[0]**2 + x[1])([2.0, 3.0])
    [np.float64(4.0), np.float64(1.0)]
    """
    return verbs.Gradient(f, argnums, has_aux, audit, memory, disk)


def value_and_grad(f, argnums=0, has_aux=False, audit=True, memory=None, disk=None):
    """The function and its gradient from one forward sweep.

    Parameters
    ----------
    f, argnums, has_aux, audit, memory, disk
        As for `grad`.

    Returns
    -------
    callable
        Takes the arguments of f, returns (value, gradient): the value is a float, the gradient as `grad` gives it.
        ((value, aux), gradient) with has_aux.

    Raises
    ------
    DerivativeError, TracerError, UnsupportedError, StaleTapeError
        As `grad`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastad as ad
    >>> value, gradient = ad.value_and_grad(lambda x: np.sum(x**2))(np.array([2.0, 3.0]))
    >>> float(value), gradient
    (13.0, array([4., 6.]))
    """
    return verbs.ValueAndGradient(f, argnums, has_aux, audit, memory, disk)


def jvp(f, primals, tangents, audit=True):
    """Value and directional derivative: forward mode.

    Parameters
    ----------
    f : callable
        Plain NumPy code that returns a number, an array, or a tree of them.
    primals : tuple
        The positional arguments of f.
    tangents : tuple
        A direction for each, in its structure and shape; None where it, or a part of it, does not move.
    audit : bool, optional
        As for `grad`.

    Returns
    -------
    y, y_dot
        The result and its derivative in that direction, in the same structure and shape.  Results that are no
        float64 have the tangent None.

    Raises
    ------
    ShapeError
        A direction does not have the shape of its argument.
    TracerError, UnsupportedError, StaleTapeError
        As `grad`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastad as ad
    >>> y, y_dot = ad.jvp(lambda x: x**2, (np.array([1.0, 2.0]),), (np.array([1.0, 0.5]),))
    >>> y, y_dot
    (array([1., 4.]), array([2., 2.]))
    """
    return verbs.Tangent.at(f, primals, tangents, audit)


def vjp(f, *primals, has_aux=False, audit=True, memory=None, disk=None, **kwargs):
    """Value, and the function that pulls adjoints back: reverse mode.

    Parameters
    ----------
    f : callable
        Plain NumPy code that returns a number, an array, or a tree of them.
    *primals, **kwargs
        The point: the arguments of f.
    has_aux : bool, optional
        f returns (y, aux); aux, computed at this point, comes last.
    audit, memory, disk
        As for `grad`.  With `memory` the pullback keeps nothing of the forward sweep: each call runs it again, with the
        arguments as they were, and reports in its attribute `memory`.

    Returns
    -------
    y
        The result of f.
    pullback : callable
        `pullback(w)` with an adjoint in the structure of y (None for a part of it: zero) gives a tuple, one adjoint a
        positional argument (None for what has no derivative).  It keeps the forward sweep at this point for itself
        and may be called any number of times, also after the arguments have been changed.
    aux
        Only with has_aux.

    Raises
    ------
    ShapeError
        By `pullback`: w does not have the structure and shapes of y.
    TracerError, UnsupportedError, StaleTapeError
        As `grad`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastad as ad
    >>> y, pullback = ad.vjp(lambda x: x**2, np.array([1.0, 2.0]))
    >>> pullback(np.array([1.0, 10.0]))
    (array([ 2., 40.]),)
    """
    if memory is not None or disk is not None:
        return memory_verbs.PullbackWithin.within(memory, disk, f, primals, kwargs, has_aux, audit)
    return verbs.Pullback.at(f, primals, kwargs, has_aux, audit)


def jacobian(f, argnums=0, mode="auto", has_aux=False, sparse=False, audit=True, memory=None, disk=None):
    """All first derivatives, as arrays of shape ``y.shape + x.shape``.

    Parameters
    ----------
    f : callable
        Returns an array, a number, or a tree of them.
    argnums, has_aux, audit
        As for `grad`.
    mode : {"auto", "forward", "reverse"}, optional
        One tangent sweep for each input, or one reverse sweep for each output; "auto" takes the fewer.
    sparse : bool, optional
        Not yet available.
    memory, disk : optional
        As for `grad`; one sweep for each unit vector, where without `memory` a sweep carries many.

    Returns
    -------
    callable
        Takes the arguments of f; gives fresh float64 arrays.  Trees of results and of arguments give the tree of the
        results, with the tree of the arguments in place of each leaf.

    Raises
    ------
    ValueError
        The mode is none of the three.
    DerivativeError, TracerError, UnsupportedError, StaleTapeError
        As `grad`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastad as ad
    >>> ad.jacobian(lambda x: np.array([x[0] * x[1], x[1]**2, 3 * x[0]]))(np.array([2.0, 5.0]))
    array([[ 5.,  2.],
           [ 0., 10.],
           [ 3.,  0.]])
    """
    if mode not in ("auto", "forward", "reverse"):
        raise ValueError(f"jacobian: mode {mode!r} is none of 'auto', 'forward', 'reverse'")
    if sparse:
        raise UnsupportedError("jacobian(sparse=True) comes later; the dense one is there")
    if memory is not None or disk is not None:
        return memory_verbs.JacobianWithin(f, argnums, has_aux, audit, mode, memory, disk)
    return verbs.Jacobian(f, argnums, has_aux, audit, mode)


def hessian(f, argnums=0, sparse=False, audit=True, memory=None, disk=None):
    """All second derivatives of a function that returns one number: forward over reverse.

    Parameters
    ----------
    f, argnums, audit
        As for `grad`.
    sparse : bool, optional
        Not yet available.
    memory, disk : optional
        As for `hvp`: a product for each unit vector.

    Returns
    -------
    callable
        Takes the arguments of f; a float64 array of shape ``x.shape + x.shape``, for trees a tree of trees.

    Raises
    ------
    DerivativeError, TracerError, UnsupportedError, StaleTapeError
        As `grad`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastad as ad
    >>> ad.hessian(lambda x: x[0]**2 * x[1])(np.array([2.0, 5.0]))
    array([[10.,  4.],
           [ 4.,  0.]])
    """
    if sparse:
        raise UnsupportedError("hessian(sparse=True) comes later; the dense one is there")
    if memory is not None or disk is not None:
        return memory_verbs.HessianWithin(f, argnums, False, audit, memory, disk)
    return verbs.Hessian(f, argnums, False, audit)


def hvp(f, audit=True, memory=None, disk=None):
    """Products with the Hessian, without the Hessian: a few times the cost of f, whatever the size of x.

    Parameters
    ----------
    f, audit, memory, disk
        As for `grad`.  With `memory` the product is the gradient of the directional derivative (reverse over forward):
        the same numbers to rounding, and the same bits with any budget.

    Returns
    -------
    callable
        `hvp(f)(x, v, *args)`: the Hessian of f(x, *args) with respect to x, times v; in the structure and shape of x.

    Raises
    ------
    ShapeError
        v does not have the structure and shapes of x.
    DerivativeError, TracerError, UnsupportedError, StaleTapeError
        As `grad`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastad as ad
    >>> ad.hvp(lambda x: x[0]**2 * x[1])(np.array([2.0, 5.0]), np.array([1.0, 0.0]))
    array([10.,  4.])
    """
    if memory is not None or disk is not None:
        return memory_verbs.HessianProductWithin(f, 0, False, audit, memory, disk)
    return verbs.HessianProduct(f, 0, False, audit)


def batch(f, in_axes=0, out_axes=0, audit=True, memory=None):
    """f at many points at once: arguments that have lanes have one more axis, and so have results.

    ``ad.batch(ad.grad(f))(X)[i]`` is ``ad.grad(f)(X[i])``, for all rows of X in a few sweeps.

    Parameters
    ----------
    f : callable
        Plain NumPy code of one point, or a function that was made by another verb: `grad`, `value_and_grad`,
        `jacobian`, `hessian`, `hvp`, `batch`.
    in_axes : int, None, or a tuple or list of those, optional
        Along which axis the lanes of each positional argument lie; None: it is the same in all lanes.  One entry an
        argument; for a container an int or None for all of it, or a container of the same structure.  Of keyword
        arguments, arrays have their lanes along the first axis, and numbers are the same in all lanes, as is what is
        no number or array anywhere.
    out_axes : int or tree of int, optional
        Along which axis of the results lanes lie.
    audit : bool, optional
        On calls 2, 4, 8 ... of each tape, compare one of the lanes with a run of plain f, and so where a first call
        has several lanes: random numbers that f draws itself would be the same in all of them.
    memory : int or str, optional
        Bytes, or text like "500MB": so much a sweep of one thread may allocate, beside arguments and results; by
        default 64 MB.  Fewer lanes are swept at once then; results may differ by rounding where there are products
        of matrices.

    Returns
    -------
    callable
        Takes the arguments of f with lanes, returns f's results with lanes: arrays of the dtypes that f gives.
        `out=`, `stats()` and `explain` as for `grad`; `stats()` tells, too, how many lanes were swept at once, for how
        many f itself was called, and which operations run lane after lane.

    Raises
    ------
    ShapeError
        Lanes of arguments do not agree in number, there are none, or an argument has no such axis; results of
        different lanes have different shapes.
    BudgetError
        `memory` is too small for one lane.
    DerivativeError, TracerError, UnsupportedError, StaleTapeError, and errors of f
        As f raises them; they note the lane.

    Notes
    -----
    Lanes are cut into chunks, which run in several threads (`set_num_threads`), so that memory is needed for some
    chunks only.  Where Python decides on values (``if x[0] > 0``), lanes that decide alike are computed together; a
    lane with decisions that few others share is computed by f itself.  A NaN or an error of one lane does not reach
    another.  A floating-point warning comes once, not once a lane.

    Bits: they do not depend on the number of threads.  Elementwise code, moves, sorting, sums along an axis and scans
    give each lane the bits that a tape of one lane gives; products of matrices, which BLAS may compute for several
    lanes at once, and derivatives agree to rounding.

    Inside another recording (``ad.grad(lambda X: ad.batch(f)(X).sum())``) all lanes are one sweep.

    Examples
    --------
    >>> import numpy as np
    >>> import fastad as ad
    >>> def misfit(p, t, data):
    ...     return np.sum((p[0] * np.exp(-p[1] * t) - data)**2)
    >>> t = np.array([0.0, 1.0])
    >>> P = np.array([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]])          # three parameter vectors
    >>> ad.batch(misfit, in_axes=(0, None, None))(P, t, np.array([5.0, 4.0]))
    array([25., 13.,  5.])
    >>> ad.batch(ad.grad(misfit), in_axes=(0, None, None))(P, t, np.array([5.0, 4.0]))
    array([[-14.,   6.],
           [-10.,   8.],
           [ -6.,   6.]])
    """
    return batching.Batch(f, in_axes, out_axes, audit, memory)
