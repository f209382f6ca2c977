"""derivatives.py - the verbs: grad, value_and_grad, jvp, vjp, jacobian, hessian, hvp.

Owns: the public functions and their documentation.  Must not know: how a verb is computed (verbs.py), when a tape is
recorded (function.py).
"""
from fastad import verbs
from fastad.errors import UnsupportedError

__all__ = ["grad", "hessian", "hvp", "jacobian", "jvp", "value_and_grad", "vjp"]


def grad(f, argnums=0, has_aux=False, audit=True):
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

    Returns
    -------
    callable
        Takes the arguments of f; the gradient has the structure of the argument.  It records at the first call, at
        new shapes, after changes of what f depends on, and when a branch goes another way; otherwise it replays.
        `stats()` tells how often.  Inside another recording nothing is kept.

    Examples
    --------
    >>> import fastad as ad
    >>> g = ad.grad(lambda x: x[0]**2 + x[1])
    >>> g([2.0, 3.0])
    [np.float64(4.0), np.float64(1.0)]
    """
    return verbs.Gradient(f, argnums, has_aux, audit)


def value_and_grad(f, argnums=0, has_aux=False, audit=True):
    """The function and its gradient from one forward sweep; parameters as those of `grad`.

    Returns
    -------
    callable
        Takes the arguments of f, returns (value, gradient); ((value, aux), gradient) with has_aux.
    """
    return verbs.ValueAndGradient(f, argnums, has_aux, audit)


def jvp(f, primals, tangents, audit=True):
    """Value and directional derivative: forward mode.

    Parameters
    ----------
    f : callable
    primals : tuple
        The positional arguments of f.
    tangents : tuple
        A direction for each, in its structure; None where it does not move.

    Returns
    -------
    y, y_dot
        Results that are no float64 have the tangent None.
    """
    return verbs.Tangent.at(f, primals, tangents, audit)


def vjp(f, *primals, has_aux=False, audit=True, **kwargs):
    """Value, and the function that pulls adjoints back: reverse mode.

    Returns
    -------
    y
        (y, aux) where has_aux.
    pullback : callable
        `pullback(w)` with an adjoint in the structure of y gives a tuple, one adjoint a positional argument (None for
        what has no derivative).  It keeps the forward sweep at this point for itself and may be called any number of
        times, also after the arguments have been changed.
    """
    return verbs.Pullback.at(f, primals, kwargs, has_aux, audit)


def jacobian(f, argnums=0, mode="auto", has_aux=False, sparse=False, audit=True):
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

    Returns
    -------
    callable
        Takes the arguments of f.  Trees of results and of arguments give the tree of the results, with the tree of
        the arguments in place of each leaf.
    """
    if mode not in ("auto", "forward", "reverse"):
        raise ValueError(f"jacobian: mode {mode!r} is none of 'auto', 'forward', 'reverse'")
    if sparse:
        raise UnsupportedError("jacobian(sparse=True) comes later; the dense one is there")
    return verbs.Jacobian(f, argnums, has_aux, audit, mode)


def hessian(f, argnums=0, sparse=False, audit=True):
    """All second derivatives of a function that returns one number: forward over reverse.

    Returns
    -------
    callable
        Takes the arguments of f; an array of shape ``x.shape + x.shape``, for trees a tree of trees.
    """
    if sparse:
        raise UnsupportedError("hessian(sparse=True) comes later; the dense one is there")
    return verbs.Hessian(f, argnums, False, audit)


def hvp(f, audit=True):
    """Products with the Hessian, without the Hessian.

    Returns
    -------
    callable
        `hvp(f)(x, v, *args)`: the Hessian of f(x, *args) with respect to x, times v; in the structure of x.
    """
    return verbs.HessianProduct(f, 0, False, audit)
