"""One call of `minimize`: from the user's arguments to SciPy's and back.

Owns: what each method is given: which pieces, which bounds, which options, which callback.
Must not know: tapes, sweeps (objective.py).  Next: methods.py (the table), domain.py (the guard), results.py.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.optimize

from fastad.optimize.bounds import box_of
from fastad.optimize.callbacks import Reporter
from fastad.optimize.constraints import differentiated, listed, rewritten, violation
from fastad.optimize.domain import Guard
from fastad.optimize.layout import Layout
from fastad.optimize.methods import BOUNDED, CONSTRAINED, DENSE, METHODS, TOGETHER, chosen_method
from fastad.optimize.objective import Objective
from fastad.optimize.pieces import Given, Recorded
from fastad.optimize.results import all_fixed, judged, restored

__all__ = ["Minimisation"]


class Minimisation:
    """What SciPy is called with, made once; `run` calls it.

    Attributes
    ----------
    wants : tuple of str
        What the method takes of "jac", "hess", "hessp".
    """

    def __init__(self, fun: Any, x0: Any, args: Any, method: Any, jac: Any, hess: Any, hessp: Any, bounds: Any,
                 constraints: Any):
        self.layout = Layout(x0)
        self.journal: Any = None             # (resuming.py) of a run with a checkpoint
        self.constraints = listed(constraints)
        self.box = box_of(bounds, self.layout)
        if method is None:
            method = chosen_method(self.layout.total, bounds is not None, bool(self.constraints), hess, hessp, jac)
        self.method, self.own = method, not isinstance(method, str)
        self.name = "" if self.own else method.lower()
        self.wants = ("jac", "hessp") if self.own else METHODS.get(self.name, ())
        if self.box is not None and self.name in BOUNDED:
            self.layout.fix(self.box.fixed, self.box.low)
        if isinstance(hess, str) or isinstance(hess, scipy.optimize.HessianUpdateStrategy):
            self.hess, hess = hess, None     # SciPy's own approximations
        else:
            self.hess = None
        args = args if isinstance(args, tuple) else (args,)
        self.guard = self.guarded(fun, args, jac, hess, hessp)
        self.jac = self.guard.gradient if self.guard.pieces.differentiable else jac
        if self.name in CONSTRAINED:
            self.constraints = rewritten(self.constraints, self.layout, CONSTRAINED[self.name])
            self.guard.also = differentiated(self.constraints)

    # -- the pieces

    def guarded(self, fun: Any, args: tuple[Any, ...], jac: Any, hess: Any, hessp: Any) -> Guard:
        """The objective from what the user gave and what is filled in."""
        layout = self.layout
        f, more = (fun.plain(), fun.args) if isinstance(fun, Objective) else (fun, args)
        fill = jac is None and bool(self.wants)
        second = hess is None and hessp is None and self.hess is None and jac is not True
        objective = self.objective(fun, args) if fill or (second and {"hess", "hessp"} & {*self.wants}) else None
        given = Given(f, more, layout, jac if callable(jac) else None, hess, hessp, jac is True, self.name in DENSE)
        pieces: Recorded | Given = Recorded(objective) if fill and objective is not None else given
        if objective is not None:
            objective.eager = fill and self.name in TOGETHER
            if not self.own:                 # (a method of the user's own may do anything between two questions)
                objective.watch_args()
        source = objective if second else None
        hvp = given.hvp if hessp is not None else source.hvp if source and "hessp" in self.wants else None
        hessian = given.hessian if hess is not None else source.hessian if source and "hess" in self.wants else None
        guard = Guard(pieces, layout, f, more, objective is not None and objective.eager, hvp, hessian)
        self.hvp = None if hvp is None else guard.hvp
        self.hessian = None if hessian is None else guard.hessian
        return guard

    def objective(self, fun: Any, args: tuple[Any, ...]) -> Objective:
        """The user's own Objective, or a new one."""
        if not isinstance(fun, Objective):
            return Objective.over(fun, args, self.layout)
        if self.layout.plain or (fun.layout is None and self.layout.free is None and not self.layout.flat):
            fun.restart()
            return fun
        if fun.layout is not None:
            raise ValueError("an Objective made with like= takes a vector, and none of its variables can be fixed by "
                             "bounds; pass the function itself and the tree as x0")
        return Objective.over(fun.plain(), fun.args, self.layout, fun.memory, fun.disk)

    # -- SciPy

    def run(self, tol: Any, callback: Callable[..., Any] | None, options: dict[str, Any] | None) -> Any:
        """SciPy's result, in the user's coordinates."""
        reporter = None if callback is None else Reporter(callback, self.guard, self.layout, self.name,
                                                             self.journal)
        with np.errstate(all="ignore"):      # (once: entering it costs as much as a small sweep)
            if self.layout.size == 0:
                return self.finished(all_fixed(self.guard, violation(self.constraints, np.zeros(0))))
            return self.finished(self.called(tol, callback if self.own else reporter, options))

    def called(self, tol: Any, callback: Any, options: dict[str, Any] | None) -> Any:
        """What SciPy returns, or what stands for it after StopIteration."""
        layout, guard = self.layout, self.guard
        bounds = None if self.box is None else self.box.for_scipy(layout)
        result = None
        try:
            result = scipy.optimize.minimize(
                guard.value, layout.shrink(layout.start), (), self.method, self.jac,
                self.hessian if self.hess is None else self.hess, self.hvp, bounds, self.constraints or (), tol,
                callback, self.options(options))
            if self.journal is not None:
                self.journal.finish()
        except StopIteration:                # from a callback, through a method that does not know of it
            if not isinstance(callback, Reporter) or not callback.stop:
                raise
        if isinstance(callback, Reporter) and callback.stop:
            result = callback.stopped(result)
        return result

    def finished(self, result: Any) -> Any:
        """Judged, and with all variables."""
        if self.own and np.shape(result.get("x")) != (self.layout.size,):
            return result                    # whatever a method of the user's own gives
        result = judged(result, self.guard)
        if self.name in CONSTRAINED and self.constraints:
            refuse_unknown(result, self.constraints)
        whole = None
        if self.layout.free is not None and self.guard.pieces.differentiable and ("jac" in result or "grad" in result):
            whole = self.guard.pieces.whole_gradient(np.array(result["x"], dtype=np.float64))
        box = self.box
        return restored(result, self.layout, whole, *((box.low, box.high) if box is not None else ()))

    def options(self, options: dict[str, Any] | None) -> dict[str, Any] | None:
        """Options with one number for each unknown, for those that move."""
        layout = self.layout
        if options is None or layout.free is None:
            return options
        found = {}
        for name, value in options.items():
            if np.shape(value) == (layout.total,):
                value = layout.shrink(np.asarray(value))
            elif name == "direc" and value is not None:
                value = np.asarray(value)[np.ix_(layout.free, layout.free)]
            elif name == "initial_simplex" and value is not None:
                raise ValueError("initial_simplex: some variables are fixed by their bounds; leave it out, or give "
                                 "the function without them")
            found[name] = value
        return found


def refuse_unknown(result: Any, constraints: list[Any]) -> None:
    """No success where a constraint is not finite."""
    if result.get("success", False) and np.isnan(violation(constraints, np.array(result["x"], dtype=np.float64))):
        result.update(success=False, status=-1, message=f"{result['message']} NOT A SUCCESS: a constraint is not "
                      "finite at x; see ad.debug_nonfinite")

