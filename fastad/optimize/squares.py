"""One call of `least_squares` or `root`: from the user's arguments to SciPy's and back.

Owns: what happens outside of the domain of the residuals, callbacks where SciPy has none, fixed variables, clear words
for the restrictions of trf, dogbox and lm.
Must not know: tapes, sweeps (residuals.py).  Next: layout.py, bounds.py, callbacks.py.
"""
from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.optimize
from scipy.optimize import OptimizeResult

from fastad.errors import NonFiniteError
from fastad.optimize.bounds import Box, box_of_two
from fastad.optimize.callbacks import STOPPED, called
from fastad.optimize.domain import blame
from fastad.optimize.layout import Layout
from fastad.optimize.residuals import Residuals, joined

__all__ = ["RootFinding", "Squares"]

log = logging.getLogger("fastad.optimize")
Function = Callable[..., Any]


class System:
    """Residuals and Jacobian of the vector, guarded: what `least_squares` and `root` have in common.

    Attributes
    ----------
    stand_ins : int
        Points where the residuals were not finite.
    """

    def __init__(self, fun: Any, x0: Any, args: Any, kwargs: dict[str, Any] | None, jac: Any, fill: bool):
        self.layout = Layout(x0)
        self.args = args if isinstance(args, tuple) else (args,)
        self.kwargs = dict(kwargs or {})
        self.fun, self.jac, self.fill = fun, jac, fill
        self.stand_ins = self.evaluations = self.iterations = 0
        self.errstate = np.geterr()          # of the user, for callbacks: the bridge reports what is not finite
        self.good: tuple[np.ndarray, np.ndarray] | None = None
        self.callback: Function | None = None
        self.last: OptimizeResult | None = None

    def ready(self) -> None:
        """When the layout is settled: the source of values and Jacobians."""
        fun, layout = self.fun, self.layout
        self.residuals: Residuals | None = None
        if isinstance(fun, Residuals):
            self.f, self.args, self.kwargs = fun.plain(), fun.args, {}
            if self.fill and (layout.plain or (fun.layout is None and layout.free is None)):
                self.residuals = fun
                fun.restart()
                return
            if fun.layout is not None and layout.free is not None:
                raise ValueError("Residuals made with like= take a vector, and none of its variables can be fixed by "
                                 "bounds; pass the function itself and the tree as x0")
        else:
            self.f = fun
        if self.fill:
            self.residuals = Residuals.over(self.f, self.args, self.kwargs, layout)
            self.residuals.watch_args()

    # -- values

    def plain(self, z: Any) -> np.ndarray:
        """Residuals at the vector, from the tape or by f itself."""
        if self.residuals is not None:
            return self.residuals.value(z)
        found = self.f(self.layout.spread(np.array(z, dtype=np.float64)), *self.args, **self.kwargs)
        return joined(found[0] if self.jac is True else found)

    def at(self, z: np.ndarray) -> np.ndarray:
        """Residuals that may be known already."""
        known = self.good is not None and np.array_equal(self.good[0], z)
        return self.good[1].copy() if self.good is not None and known else self.plain(z)

    def value(self, z: Any) -> np.ndarray:
        """Residuals, and where they are not finite what makes the method take a shorter step."""
        self.evaluations += 1
        r = self.plain(z)
        if np.isfinite(r).all():
            self.good = (np.array(z, dtype=np.float64), r)
            return r.copy()
        if self.good is None:
            raise NonFiniteError(f"the residuals are not finite at the start x0: {self.what(r)}.{self.where(z)} Start "
                                 "inside of the domain, or keep x there by bounds.")
        self.stand_ins += 1
        if log.isEnabledFor(logging.INFO):   # (the place is found by recording f once more)
            log.info("%s: %s; a step is rejected (number %d).%s", getattr(self.f, "__qualname__", "residuals"),
                     self.what(r), self.stand_ins, self.where(z) if self.stand_ins == 1 else "")
        return self.rejecting(r)

    def rejecting(self, r: np.ndarray) -> np.ndarray:
        """What is answered instead; trf and dogbox reject a step to residuals that are not finite by themselves."""
        return r

    def worse(self) -> np.ndarray:
        """Finite residuals that no method takes for progress."""
        assert self.good is not None
        r = self.good[1]
        return 10.0 * np.abs(r) + 10.0 * (1.0 + float(np.max(np.abs(r), initial=0.0)))

    def what(self, r: np.ndarray) -> str:
        k = int(np.argmin(np.isfinite(r)))
        return f"residual {k} of {r.size} is {r[k]}"

    def where(self, z: Any) -> str:
        return blame(self.f, (self.layout.spread(np.array(z, dtype=np.float64)), *self.args), self.kwargs)

    # -- Jacobians

    def jacobian(self, z: Any) -> Any:
        matrix = self.residuals.jacobian(z) if self.residuals is not None else self.given(z)
        data = matrix.data if hasattr(matrix, "tocsr") else matrix
        if isinstance(data, np.ndarray) and not np.isfinite(data).all():
            raise NonFiniteError(f"the residuals are finite at x = {self.layout.spread(np.array(z))}, their Jacobian "
                                 f"is not.{self.where(z)} Keep x away from there by bounds.")
        return matrix

    def given(self, z: Any) -> Any:
        """The user's Jacobian, by what moves."""
        matrix = self.jac(self.layout.spread(np.array(z, dtype=np.float64)), *self.args, **self.kwargs)
        if self.layout.free is not None and hasattr(matrix, "matvec"):
            raise TypeError("jac returned a LinearOperator while some variables are fixed by their bounds; return a "
                            "matrix, or give the function without them")
        return self.layout.columns(matrix)

    # -- callbacks

    def report(self, z: Any) -> None:
        """Call the callback at an accepted point."""
        z = np.array(z, dtype=np.float64)
        if self.callback is None or (self.last is not None and np.array_equal(z, self.last["z"])):
            return
        first, r = self.last is None, self.at(z)
        self.iterations += not first
        self.last = OptimizeResult(z=z, nit=self.iterations, nfev=self.evaluations, stand_ins=self.stand_ins,
                                   **self.described(z, r))
        if not first:                        # (the start is no iteration)
            shown = OptimizeResult({k: v for k, v in self.last.items() if k != "z"})
            with np.errstate(**self.errstate):
                stop = called(self.callback, shown, r.copy())
            if self.residuals is not None:
                self.residuals.watch_args()
            if stop is True:
                raise StopIteration

    def described(self, z: np.ndarray, r: np.ndarray) -> dict[str, Any]:
        return {"x": self.layout.restored(z), "fun": r.copy()}


class Squares(System):
    """A call of `least_squares`."""

    def __init__(self, fun: Any, x0: Any, jac: Any, bounds: Any, method: str, args: Any, kwargs: dict[str, Any] | None,
                 options: dict[str, Any], callback: Function | None):
        super().__init__(fun, x0, args, kwargs, jac, jac is None)
        self.method, self.options = method, options
        self.matrix: Any = None              # the Jacobian that is just being handed over
        box = box_of_two(bounds, self.layout)
        self.box = box if box is not None else Box(-np.inf, np.inf, self.layout)
        self.layout.fix(self.box.fixed, self.box.low)
        self.ready()
        self.loss, self.f_scale = options.get("loss", "linear"), options.get("f_scale", 1.0)
        self.callback = callback if jac is None or callable(jac) else None
        self.scipy_callback = None if self.callback is not None else callback
        self.check()

    def check(self) -> None:
        """What SciPy says in fewer words, or later."""
        layout, box = self.layout, self.box
        outside = (layout.start < box.low) | (layout.start > box.high)
        if layout.free is not None:
            outside &= layout.free
        if outside.any():
            k = int(np.argmax(outside))
            raise ValueError(f"x0 is infeasible: x0{layout.label(k)} = {layout.start[k]} is outside of its bounds "
                             f"({box.low[k]}, {box.high[k]})"
                             + (f", and {int(outside.sum()) - 1} more" if outside.sum() > 1 else ""))
        if self.method == "lm" and box.binds(layout):
            raise ValueError("method 'lm' takes no bounds (variables fixed by equal bounds apart); use 'trf' or "
                             "'dogbox'")
        if self.method == "lm" and self.loss != "linear":
            raise ValueError("method 'lm' takes loss='linear' only; use 'trf' or 'dogbox'")
        if self.fill and self.options.get("jac_sparsity") is not None:
            raise ValueError("jac_sparsity groups finite differences, and the Jacobian is exact here: leave it out, or "
                             "ask for differences by jac='2-point'")
        if self.scipy_callback is not None and \
                "callback" not in inspect.signature(scipy.optimize.least_squares).parameters:
            raise ValueError("callback with a Jacobian by differences is SciPy's own, from 1.16 on; leave jac out")

    def rejecting(self, r: np.ndarray) -> np.ndarray:
        return self.worse() if self.method == "lm" else r

    def run(self) -> OptimizeResult:
        with np.errstate(all="ignore"):
            return self.solved()

    def solved(self) -> OptimizeResult:
        layout = self.layout
        if layout.size == 0:
            return self.finished(self.nothing_moves())
        jac = self.jacobian if self.fill or callable(self.jac) else self.jac
        options = {name: layout.shrink(np.asarray(x)) if layout.free is not None and np.shape(x) == (layout.total,)
                   else x for name, x in self.options.items()}
        options["jac_sparsity"] = layout.columns(options.get("jac_sparsity"))
        if self.scipy_callback is not None:
            options["callback"] = self.through_scipy
        low, high = layout.shrink(self.box.low), layout.shrink(self.box.high)
        bounds = (low, high) if self.box.binds(layout) else (-np.inf, np.inf)
        try:
            result = scipy.optimize.least_squares(self.value, layout.shrink(layout.start), jac, bounds, self.method,
                                                  **options)
        except StopIteration:
            if self.last is None:
                raise
            result = self.stopped()
        else:
            result = self.closing(result)
        return self.finished(result)

    def jacobian(self, z: Any) -> Any:
        """Methods ask for the Jacobian at the points that they have accepted: there the callback is called."""
        self.matrix = matrix = super().jacobian(z)
        self.report(z)
        self.matrix = None                   # (SciPy scales it in place)
        return matrix

    def closing(self, result: OptimizeResult) -> OptimizeResult:
        """The last accepted point, where lm has asked for no Jacobian any more, is an iteration, too."""
        try:
            self.report(result.x)
        except StopIteration:                # it is over anyhow
            pass
        return result

    def through_scipy(self, intermediate_result: Any) -> Any:
        """For Jacobians by differences: SciPy's own callback, from 1.16 on."""
        z = np.array(intermediate_result["x"], dtype=np.float64)
        shown = OptimizeResult({**intermediate_result, "x": self.layout.restored(z), "stand_ins": self.stand_ins})
        assert self.scipy_callback is not None
        with np.errstate(**self.errstate):
            return called(self.scipy_callback, shown, shown)

    def described(self, z: np.ndarray, r: np.ndarray) -> dict[str, Any]:
        cost, weights = self.robust(r)
        gradient = self.raw_jacobian(z).T @ (weights * r)
        return {**super().described(z, r), "cost": cost, "grad_norm": float(np.linalg.norm(gradient)),
                "grad": self.layout.in_tree(self.layout.expand(gradient, np.nan))}

    def raw_jacobian(self, z: np.ndarray) -> np.ndarray:
        matrix = self.matrix
        if matrix is None:
            matrix = self.residuals.jacobian(z) if self.residuals is not None else self.given(z)
        return matrix if hasattr(matrix, "T") and not isinstance(matrix, np.ndarray) else np.atleast_2d(matrix)

    def robust(self, r: np.ndarray) -> tuple[float, np.ndarray]:
        """Cost, and the factor of each residual in its gradient: rho' at (r / f_scale)**2, as SciPy defines it."""
        rho = loss_of(self.loss, (r / self.f_scale) ** 2)
        return 0.5 * self.f_scale**2 * float(np.sum(rho[0])), rho[1]

    def stopped(self) -> OptimizeResult:
        """What SciPy would return had it known of StopIteration."""
        assert self.last is not None
        z = self.last["z"]
        r = self.at(z)
        cost, weights = self.robust(r)
        jac = self.raw_jacobian(z)
        grad = jac.T @ (weights * r)
        return OptimizeResult(x=z, cost=cost, fun=r, jac=jac, grad=grad, optimality=float(np.max(np.abs(grad))),
                              active_mask=np.zeros(z.size, dtype=int), nfev=self.evaluations, njev=None, status=-2,
                              message=STOPPED, success=False)

    def nothing_moves(self) -> OptimizeResult:
        r = self.value(np.zeros(0))
        return OptimizeResult(x=np.zeros(0), cost=self.robust(r)[0], fun=r, jac=np.zeros((r.size, 0)), grad=np.zeros(0),
                              optimality=0.0, active_mask=np.zeros(0, dtype=int), nfev=1, njev=0, status=1,
                              message="All variables are fixed by their bounds.", success=True)

    def finished(self, result: OptimizeResult) -> OptimizeResult:
        """All variables again, in the tree of x0; success only at finite residuals."""
        layout, z = self.layout, np.array(result.x, dtype=np.float64)
        result["stand_ins"] = self.stand_ins
        r = self.at(z)
        if not np.isfinite(r).all():
            result["success"], result["status"] = False, -1
            result["message"] = f"{result.message} NOT A SUCCESS: {self.what(r)}.{self.where(z)}"
            result["fun"], result["cost"] = r, float("nan")
        if layout.free is not None:
            result["jac"], result["grad"] = self.whole(result, z, r)
            result["active_mask"] = layout.expand(result["active_mask"], -1.0).astype(int)
        if not layout.flat:
            result["raveled"] = layout.expand(z).copy()
            result["grad"] = layout.in_tree(np.asarray(result["grad"], dtype=np.float64))
        result["x"] = layout.restored(z, self.box.low, self.box.high)
        return result

    def whole(self, result: OptimizeResult, z: np.ndarray, r: np.ndarray) -> tuple[Any, np.ndarray]:
        """Jacobian and gradient by all variables; SciPy's Jacobian has its rows scaled by a robust loss."""
        if self.residuals is not None:
            matrix = Residuals.over(self.f, self.args, self.kwargs, Layout(self.layout.in_tree(
                self.layout.expand(z).copy()))).jacobian(self.layout.expand(z))
        elif callable(self.jac):
            matrix = np.atleast_2d(self.jac(self.layout.spread(z), *self.args, **self.kwargs))
        else:                                # by differences of what moves: nothing is known of the rest
            known = result.jac.toarray() if hasattr(result.jac, "toarray") else np.atleast_2d(result.jac)
            matrix = self.layout.expand(known, np.nan)
            return matrix, self.layout.expand(np.asarray(result.grad), np.nan)
        rho = loss_of(self.loss, (r / self.f_scale) ** 2)
        gradient = matrix.T @ (rho[1] * r)
        if self.loss != "linear":
            scale = np.maximum(rho[1] + 2.0 * rho[2] * (r / self.f_scale) ** 2, np.finfo(float).eps)
            matrix = matrix * np.sqrt(scale)[:, None]
        return matrix, gradient


def loss_of(loss: Any, s: np.ndarray) -> Any:
    """rho, rho', rho'' of SciPy's losses at squared residuals s."""
    if callable(loss):
        return loss(s)
    t = 1.0 + s
    one, zero = np.ones_like(s), np.zeros_like(s)
    if loss == "soft_l1":
        return 2.0 * (np.sqrt(t) - 1.0), t**-0.5, -0.5 * t**-1.5
    if loss == "huber":
        inner, root = s <= 1.0, np.sqrt(np.maximum(s, 1.0))
        first, second = 1.0 / root, -0.5 / root**3
        return np.where(inner, s, 2.0 * root - 1.0), np.where(inner, one, first), np.where(inner, zero, second)
    if loss == "cauchy":
        return np.log1p(s), 1.0 / t, -1.0 / t**2
    if loss == "arctan":
        return np.arctan(s), 1.0 / (1.0 + s**2), -2.0 * s / (1.0 + s**2) ** 2
    return s, one, zero


class RootFinding(System):
    """A call of `root`."""

    def __init__(self, fun: Any, x0: Any, args: Any, method: str, jac: Any, callback: Function | None):
        self.method, self.name = method, method.lower()
        takes = self.name in ("hybr", "lm")
        super().__init__(fun, x0, args, None, jac, jac is None and takes)
        self.ready()
        self.callback = callback if takes else None
        self.scipy_callback = None if takes or callback is None else self.through_scipy
        self.user_callback = callback
        self.least = np.inf

    def value(self, z: Any) -> np.ndarray:
        """Methods of MINPACK have no callback: it is called at each point that is better than all before."""
        r = super().value(z)
        norm = float(np.linalg.norm(r))
        if self.callback is not None and norm < self.least:
            self.least = norm
            self.report(z)
        return r

    def rejecting(self, r: np.ndarray) -> np.ndarray:
        return self.worse()

    def both(self, z: Any) -> tuple[np.ndarray, Any]:
        """For jac=True: fun returns the pair."""
        r = self.value(z)
        return r, self.f(self.layout.spread(np.array(z, dtype=np.float64)), *self.args)[1]

    def through_scipy(self, x: Any, f: Any) -> Any:
        z = np.array(x, dtype=np.float64)
        self.iterations += 1
        r = np.array(f, dtype=np.float64)
        shown = self.last = OptimizeResult(x=self.layout.restored(z), fun=r, nit=self.iterations,
                                           nfev=self.evaluations, stand_ins=self.stand_ins)
        self.stopped_at = z
        assert self.user_callback is not None
        with np.errstate(**self.errstate):
            return called(self.user_callback, shown, r.copy())

    def run(self, tol: Any, options: dict[str, Any] | None) -> OptimizeResult:
        with np.errstate(all="ignore"):
            return self.solved(tol, options)

    def solved(self, tol: Any, options: dict[str, Any] | None) -> OptimizeResult:
        layout = self.layout
        jac = self.jacobian if self.fill or callable(self.jac) else self.jac
        fun = self.both if self.jac is True else self.value
        try:
            result = scipy.optimize.root(fun, layout.start.copy(), (), self.method, jac, tol, self.scipy_callback,
                                         options)
        except StopIteration:
            if self.last is None:
                raise
            z = self.last.get("z", getattr(self, "stopped_at", None))
            result = OptimizeResult(x=z, fun=self.at(z), success=False, status=99, message=STOPPED,
                                    nfev=self.evaluations)
        return self.finished(result)

    def finished(self, result: OptimizeResult) -> OptimizeResult:
        z = np.array(result.x, dtype=np.float64).ravel()
        r = self.at(z)
        result["stand_ins"] = self.stand_ins
        result["fun"] = r
        if not np.isfinite(r).all():
            result["success"] = False
            result["message"] = f"{result.message} NOT A SUCCESS: {self.what(r)}.{self.where(z)}"
        if not self.layout.flat:
            result["raveled"] = z.copy()
        result["x"] = self.layout.restored(z)
        return result
