"""`minimize`, `least_squares` and `root`: SciPy's own, with the derivatives that each method wants filled in.

Owns: the signatures and what they promise.
Must not know: how it is done.  Next: minimising.py, squares.py (one call of each), methods.py (the table of methods).
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.optimize

from fastad.optimize.minimising import Minimisation
from fastad.optimize.resuming import Journal
from fastad.optimize.squares import RootFinding, Squares

__all__ = ["least_squares", "minimize", "root"]


def minimize(fun: Callable[..., Any], x0: Any, args: Any = (), method: Any = None, jac: Any = None, hess: Any = None,
             hessp: Any = None, bounds: Any = None, constraints: Any = (), tol: float | None = None,
             callback: Any = None, options: dict[str, Any] | None = None, checkpoint: Any = None,
             resume: bool = False) -> scipy.optimize.OptimizeResult:
    """Minimise a function of any number of unknowns: `scipy.optimize.minimize` with exact derivatives.

    Parameters
    ----------
    fun : callable or Objective
        ``fun(x, *args)`` in plain NumPy, one number.  NaN or infinity means that x is outside of its domain.
    x0 : array_like or tree
        Start: a number, an array of any shape, a list of numbers, or a tree (dicts, named tuples, tuples and lists of
        arrays).  fun gets x in this structure.  Everything is computed in float64.
    jac, hess, hessp : optional
        Given ones are used (with a tree they get trees; gradients may be trees or raveled, matrices are of the raveled
        x); missing ones are filled in as
        the method wants them.  ``jac=True`` (fun returns value and gradient) leaves the first derivatives to the user,
        ``jac="2-point"`` to SciPy.  `fastad.audit` compares a gradient of your own with the exact one.
    method : str or callable, optional
        Without one: SLSQP with constraints, L-BFGS-B with bounds, else BFGS, as in SciPy; but above 2000 unknowns,
        where dense matrices are no default, trust-constr and L-BFGS-B; and methods that use hess or hessp if given.
        Without derivatives take COBYQA (SciPy 1.14) or Nelder-Mead rather than COBYLA, whose linear models creep in a
        curved valley: see the notes.
    bounds : optional
        Bounds, or one pair for each number of x0, as SciPy takes them; for a dict x0 also a dict of pairs ``(low,
        high)``, where a missing key is free.  What is fixed by ``low == high`` is taken out before SciPy sees it.
    constraints : optional
        As SciPy takes them; their functions get x as fun does.  Jacobians and Hessians of dicts and
        NonlinearConstraint are filled in unless given (SciPy's defaults ``jac="2-point"`` and ``hess=BFGS()`` count as
        not given).
    callback : callable, optional
        ``callback(intermediate_result)`` or ``callback(xk)``, for every method: x as fun gets it, and fun, jac,
        grad_norm (where the method has gradients), nit, nfev.  StopIteration ends every method.
    checkpoint : str or path-like, optional
        A file into which every evaluation is written as it is made; see the notes.
    resume : bool, optional
        Go on with the run in `checkpoint` if that file exists, else begin one.  Without it a file that exists is an
        error.
    args, tol, options
        As SciPy takes them.

    Returns
    -------
    scipy.optimize.OptimizeResult
        SciPy's own, with x and jac in the structure of x0.  float32 leaves of x are rounded to float32 (not beyond a
        bound); fun belongs to the float64 point, which is `raveled` where x0 was no vector.  `stand_ins` counts
        points outside of the domain of fun.  Of fixed variables, jac has the exact entries, hess_inv zeros.

    Raises
    ------
    TypeError
        x0 does not hold real numbers.
    ValueError
        x0 is empty or not finite; bounds do not fit x0.
    NonFiniteError
        fun is not finite at x0; names the operation and its line.
    CheckpointError
        The checkpoint exists (without `resume`), is damaged, is in use, or belongs to another problem.
    DerivativeError, TracerError, UnsupportedError, StaleTapeError
        fun or a constraint cannot be differentiated or recorded, as with `fastad.grad`.

    Notes
    -----
    fun is recorded afresh at the start; within the call it is replayed, and recorded again where a branch goes another
    way or something that it depends on changes.  Methods without derivatives call plain fun.

    Where fun or its gradient is not finite, the optimiser is given a convex stand-in that leads it back (each use is
    logged by the logger "fastad.optimize").  A result is never a success there: x is then the best finite point, and
    the message names the operation.  When a line search fails, the message says whether gradient and function agree
    along its direction.

    With a checkpoint, a run that ends by Ctrl-C, by a killed process (kill -9), by `maxiter` or by StopIteration goes
    on when it is called again with ``resume=True``: the method begins at x0 and is answered from the file until that
    ends, so that the result has the same bits as that of a run with a checkpoint that was not interrupted, whatever
    the method.  x0, bounds, method and options must be the same, but for those that say when to stop (``maxiter``,
    ``maxfun``, tolerances); the function is evaluated at x0 and at the last point of the file, and compared with it.
    A callback is not called again for iterations for which it was called before; a `Progress` takes them into its
    history.  The file, whatever its name, has a format of its own (16 bytes an unknown and evaluation;
    `read_checkpoint` reads it).  It holds evaluations, not SciPy's state: another version of SciPy goes on with it as
    long as it asks the same questions, and the error says so if it does not.

    COBYLA calls it a success that its trust region has shrunk to `tol`, whatever the distance that is left: of
    Rosenbrock's function of 2 unknowns it is 0.28 at SciPy 1.17's defaults.  Of 10 unknowns it needs
    ``options={"tol": 1e-7, "maxiter": 200_000}``: 90,000 evaluations, at a millisecond of SciPy's own each.  All other
    methods solve it.

    Examples
    --------
    >>> import numpy as np
    >>> from fastad import optimize
    >>> result = optimize.minimize(lambda x: np.sum((x - 1.0)**2 + (x - 1.0)**4), np.zeros(3))
    >>> result.success, result.x.round(6)
    (True, array([1., 1., 1.]))
    >>> result = optimize.minimize(lambda m: m["a"]**2 + np.sum((m["b"] - 2.0)**2), {"a": 1.0, "b": np.zeros(2)})
    >>> result.x["b"].round(6)
    array([2., 2.])
    """
    call = Minimisation(fun, x0, args, method, jac, hess, hessp, bounds, constraints)
    if checkpoint is None:
        if resume:
            raise ValueError("resume=True: of which run? Name its file by checkpoint=")
        return call.run(tol, callback, options)
    with Journal(call, checkpoint, resume, options):
        return call.run(tol, callback, options)


def least_squares(fun: Callable[..., Any], x0: Any, jac: Any = None, bounds: Any = (-np.inf, np.inf),
                  method: str = "trf", ftol: float | None = 1e-8, xtol: float | None = 1e-8,
                  gtol: float | None = 1e-8, x_scale: Any = None, loss: Any = "linear", f_scale: float = 1.0,
                  diff_step: Any = None, tr_solver: str | None = None, tr_options: dict[str, Any] | None = None,
                  jac_sparsity: Any = None, max_nfev: int | None = None, verbose: int = 0, args: Any = (),
                  kwargs: dict[str, Any] | None = None, callback: Any = None,
                  workers: Any = None) -> scipy.optimize.OptimizeResult:
    """Nonlinear least squares: `scipy.optimize.least_squares` with the exact Jacobian.

    Parameters
    ----------
    fun : callable or Residuals
        ``fun(x, *args, **kwargs)`` in plain NumPy, the residuals: an array, or a list of numbers and arrays.
    x0 : array_like or tree
        Start, as for `minimize`.
    jac : optional
        SciPy's ``"2-point"`` and so on, or a callable; without it the exact one.
    bounds : optional
        ``(low, high)`` or Bounds as SciPy takes them, each a number, an array or a tree like x0; for a dict x0 also a
        dict of pairs.  What is fixed by ``low == high`` is taken out before SciPy sees it, for lm too.
    callback : callable, optional
        As for `minimize`, at each accepted point, for every method; with cost, grad and grad_norm.  With Jacobians by
        differences it is SciPy's own (1.16 and newer).
    x_scale : optional
        As SciPy takes it; left to SciPy's default if None.
    workers : optional
        Handed to SciPy if given: it serves finite differences only.
    method, ftol, xtol, gtol, loss, f_scale, diff_step, tr_solver, tr_options, max_nfev, verbose, args, kwargs
        As SciPy takes them.
    jac_sparsity : optional
        For finite differences, ``jac="2-point"``, only.

    Returns
    -------
    scipy.optimize.OptimizeResult
        SciPy's own, with x (and grad) in the structure of x0.  jac stays a matrix: its columns are in the order of
        `raveled`, the numbers of x one leaf after the other.  `stand_ins` counts points where residuals were not
        finite.

    Raises
    ------
    TypeError
        x0 does not hold real numbers.
    ValueError
        x0 is empty, not finite or outside of its bounds; bounds do not fit x0; the method does not take what is given.
    NonFiniteError
        Residuals or Jacobian are not finite where the method must start or go on; names the operation and its line.
    DerivativeError, TracerError, UnsupportedError, StaleTapeError
        fun cannot be differentiated or recorded, as with `fastad.grad`.

    Notes
    -----
    fun is recorded afresh at the start; a Jacobian costs the sweeps of its columns or rows, whichever are fewer, at
    the forward sweep of its residuals.  A step to residuals that are not finite is rejected (by trf and dogbox
    themselves; lm is given large ones), and logged.

    Examples
    --------
    >>> import numpy as np
    >>> from fastad import optimize
    >>> t = np.linspace(0.0, 4.0, 40)
    >>> data = 3.0 * np.exp(-1.5 * t)
    >>> fit = optimize.least_squares(lambda p: p[0] * np.exp(-p[1] * t) - data, [1.0, 1.0])
    >>> fit.x.round(6)
    array([3. , 1.5])
    """
    options = {"ftol": ftol, "xtol": xtol, "gtol": gtol, "loss": loss, "f_scale": f_scale, "diff_step": diff_step,
               "tr_solver": tr_solver, "jac_sparsity": jac_sparsity, "max_nfev": max_nfev, "verbose": verbose}
    # Whose defaults differ between SciPy's versions, or which came with 1.16.
    late = {"x_scale": x_scale, "tr_options": tr_options, "workers": workers}
    options.update({name: x for name, x in late.items() if x is not None})
    return Squares(fun, x0, jac, bounds, method, args, kwargs, options, callback).run()


def root(fun: Callable[..., Any], x0: Any, args: Any = (), method: str = "hybr", jac: Any = None,
         tol: float | None = None, callback: Any = None,
         options: dict[str, Any] | None = None) -> scipy.optimize.OptimizeResult:
    """Solve as many equations as there are unknowns: `scipy.optimize.root` with the exact Jacobian.

    Parameters
    ----------
    fun : callable or Residuals
        ``fun(x, *args)`` in plain NumPy: what shall vanish.
    x0 : array_like or tree
        Start, as for `minimize`.
    jac : optional
        A callable, True (fun returns values and Jacobian), or False (finite differences); without it hybr and lm get
        the exact one.  The other methods take none, and call plain fun.
    callback : callable, optional
        As for `minimize`; also ``callback(x, f)``.  hybr and lm, which have none in SciPy, call it at each point that
        is better than all before.
    args, method, tol, options
        As SciPy takes them.

    Returns
    -------
    scipy.optimize.OptimizeResult
        SciPy's own, with x in the structure of x0.

    Raises
    ------
    TypeError, ValueError, NonFiniteError
        As for `least_squares`.
    DerivativeError, TracerError, UnsupportedError, StaleTapeError
        fun cannot be differentiated or recorded, as with `fastad.grad`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastad import optimize
    >>> def equations(x):
    ...     return np.array([x[0] + x[1] - 3.0, x[0] * x[1] - 2.0])
    >>> optimize.root(equations, [3.0, 0.0]).x.round(6)
    array([2., 1.])
    """
    return RootFinding(fun, x0, args, method, jac, callback).run(tol, options)
