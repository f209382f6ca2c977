"""Progress: the one callback for users; shows how an optimisation goes, and keeps its history.

Owns: what is read from whatever an optimiser hands to its callback (`State`), the history, and its two displays: a bar
of tqdm, lines of text.
Must not know: how the optimiser works, tapes.  Next: drivers.py (who calls it), plot.convergence (draws the history).
"""
from __future__ import annotations

import inspect
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastad import trees

__all__ = ["History", "Progress"]

DISPLAYS = ("auto", "bar", "lines", "none")
NAN = float("nan")


@dataclass(frozen=True)
class History:
    """What was seen of a run: arrays of one length, NaN where the optimiser did not say.

    Attributes
    ----------
    iteration : ndarray of int64
    misfit : ndarray
        Value of the function that is minimised; half the sum of squares for residuals.
    gradient_norm : ndarray
        Largest absolute component of the gradient.
    evaluations : ndarray
        Of the function, since the start.
    seconds : ndarray
        Since the Progress was made, or since the last `restart`.
    """

    iteration: np.ndarray
    misfit: np.ndarray
    gradient_norm: np.ndarray
    evaluations: np.ndarray
    seconds: np.ndarray

    def __len__(self) -> int:
        return len(self.iteration)


class Progress:
    """Show the progress of an optimisation, and keep its history: ``callback=optimize.Progress()``.

    Parameters
    ----------
    maximum : int, optional
        Iterations at most (``options={"maxiter": ...}``); with it the time left at most is shown.
    objective : Objective or Residuals, optional
        Asked for the misfit, the gradient and the evaluations that the optimiser does not tell its callback.  Both
        remember their last point, so this costs little where the optimiser has been there.
    label : str, optional
        Stands in front.
    display : {"auto", "bar", "lines", "none"}, optional
        A bar of tqdm, lines of text, or nothing but the history.  "auto" is the bar where tqdm is installed and
        the output is a terminal, else lines.
    every : int, optional
        A line every so many iterations.  Without it the first ten, then every tenth up to 100, every hundredth up to
        1000 and so on, and one whenever ten seconds have passed without.  Who gives it gets lines.
    file : text stream, optional
        Where it is written; standard error for the bar, standard output for lines.

    Attributes
    ----------
    history : History
        Arrays iteration, misfit, gradient_norm, evaluations, seconds; `fastad.plot.convergence` draws them.

    Raises
    ------
    ValueError
        A display that there is not, or a maximum or `every` below one.
    ImportError
        ``display="bar"`` without tqdm (``pip install 'fastad[progress]'``).

    Notes
    -----
    It may be given to every method of `minimize`, `least_squares`, `root` and to SciPy's global optimisers: it takes
    an OptimizeResult with whatever it holds, or the bare x, and never stops them.  An iteration is a call of the
    callback; most methods do not call it for the start.  The gradient norm is the largest absolute component, which is
    what `gtol` of most methods limits.  Loops of your own call `update`.

    As a context manager it finishes its bar or shows its last line when the run is over::

        with optimize.Progress(maximum=200) as progress:
            optimize.minimize(f, x0, callback=progress, options={"maxiter": 200})

    Examples
    --------
    >>> import numpy as np
    >>> from fastad import optimize
    >>> progress = optimize.Progress(display="none")
    >>> fit = optimize.minimize(lambda x: np.sum((x - 1.0)**4), np.zeros(2), callback=progress, method="BFGS")
    >>> progress.history.iteration[:3]
    array([1, 2, 3])
    >>> bool(progress.history.misfit[-1] < progress.history.misfit[0])
    True
    """

    def __init__(self, maximum: int | None = None, *, objective: Any = None, label: str = "", display: str = "auto",
                 every: int | None = None, file: Any = None):
        if display not in DISPLAYS:
            raise ValueError(f"Progress: display={display!r}; it is one of {', '.join(map(repr, DISPLAYS))}")
        for name, value in (("maximum", maximum), ("every", every)):
            if value is not None and not value >= 1:
                raise ValueError(f"Progress: {name}={value!r}; it is a whole number of iterations, at least one")
        self.maximum = None if maximum is None else int(maximum)
        self.objective = objective
        self.view = chosen_view(display, label, self.maximum, every, file)
        # SciPy looks at the parameters: by this one name it hands over all that it knows.  Those that do not look
        # (TNC, root, dual_annealing) give x and perhaps more, which __call__ takes as well.
        self.__signature__ = inspect.Signature(
            [inspect.Parameter("intermediate_result", inspect.Parameter.POSITIONAL_OR_KEYWORD)])
        self.restart()

    def restart(self) -> None:
        """Forget the history; the clock starts anew."""
        self.rows: list[tuple[int, float, float, float, float]] = []
        self.before = counted(self.objective)
        self.began = time.perf_counter()

    def __call__(self, intermediate_result: Any, *more: Any) -> None:
        """What the optimiser calls: with an OptimizeResult, or with x and perhaps more."""
        state = State(intermediate_result, more, self.objective)
        evaluations = number(state.known.get("nfev", counted(self.objective) - self.before))
        self.update(state.misfit(), state.gradient_norm(), evaluations)

    def update(self, misfit: float = NAN, gradient_norm: float = NAN, evaluations: float = NAN) -> None:
        """Note one iteration: for loops of your own.

        Parameters
        ----------
        misfit, gradient_norm, evaluations : float, optional
            NaN where not known.
        """
        row = (len(self.rows) + 1, float(misfit), float(gradient_norm), float(evaluations),
               time.perf_counter() - self.began)
        self.rows.append(row)
        self.view.show(row)

    def replayed(self, intermediate_result: Any, seconds: float) -> None:
        """Note an iteration of a run that goes on (``resume=True``): into the history, not to the display.

        Parameters
        ----------
        intermediate_result : OptimizeResult
        seconds : float
            When it was, since the run began; the clock goes on from there.
        """
        state = State(intermediate_result, (), None)
        self.rows.append((len(self.rows) + 1, state.misfit(), state.gradient_norm(),
                          number(state.known.get("nfev", NAN)), float(seconds)))
        self.began = time.perf_counter() - seconds

    @property
    def history(self) -> History:
        """What has been seen so far."""
        columns = list(zip(*self.rows, strict=True)) or [()] * 5
        return History(np.array(columns[0], np.int64), *[np.array(c, np.float64) for c in columns[1:]])

    def close(self) -> None:
        """The run is over: the last line is shown if it was not, the bar stays as it is."""
        self.view.close()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Progress: {len(self.rows)} iterations>"


# ---- what an optimiser tells -----------------------------------------------------------------------------------------

class State:
    """What a callback was given: an OptimizeResult (any mapping), or x with a value, residuals or a result after it."""

    def __init__(self, first: Any, more: tuple[Any, ...], objective: Any):
        self.known: dict[str, Any] = {}
        self.objective = objective
        for extra in more:
            if isinstance(extra, Mapping):
                self.known.update(extra)
            elif "fun" not in self.known and np.asarray(extra).dtype.kind in "fiu":
                self.known["fun"] = extra    # root: residuals; dual_annealing, basinhopping: the value
        if isinstance(first, Mapping):
            self.known.update(first)
        else:
            self.known["x"] = first

    def misfit(self) -> float:
        """The value; half the sum of squares of residuals."""
        if "cost" in self.known:             # least_squares, where a robust loss is in it
            return number(self.known["cost"])
        found = self.known.get("fun")
        if found is None:
            found = self.ask("value")
        return NAN if found is None else half_squares(found)

    def gradient_norm(self) -> float:
        """The largest absolute component of the gradient."""
        if "gradient_norm" in self.known:
            return number(self.known["gradient_norm"])
        gradient: Any = self.known.get("grad")
        residuals: Any = self.known.get("fun")
        if gradient is None and "constr" not in self.known:      # there `jac` is of the constraints
            gradient = self.known.get("jac")
            if np.ndim(residuals) == 1 and getattr(gradient, "ndim", 0) == 2:
                gradient = gradient.T @ np.asarray(residuals)    # of residuals
        if gradient is None:
            gradient = self.asked_gradient()
        return number(self.known.get("optimality", NAN)) if gradient is None else largest(gradient)

    def asked_gradient(self) -> Any:
        """The gradient from the objective: its own, or J^T r of Residuals."""
        if hasattr(self.objective, "gradient"):
            return self.ask("gradient")
        jacobian = self.ask("jacobian")
        return jacobian.T @ np.ravel(self.ask("value")) if isinstance(jacobian, np.ndarray) else None

    def ask(self, question: str) -> Any:
        """What the objective answers at x; None without an objective or an x."""
        method = getattr(self.objective, question, None)
        return None if method is None or "x" not in self.known else method(self.known["x"])


def counted(objective: Any) -> float:
    """How often an Objective or Residuals was evaluated."""
    return number(getattr(getattr(objective, "sweeps", None), "forward", NAN))


def number(value: Any) -> float:
    """One number of whatever holds one; NaN for anything else."""
    array = np.asarray(value)
    return float(array.reshape(())) if array.size == 1 and array.dtype.kind in "fiub" else NAN


def largest(gradient: Any) -> float:
    """The largest absolute number in an array or a tree of them, but for NaN, which fixed variables have."""
    leaves = [np.ravel(x) for x in trees.flatten(gradient)[0] if np.asarray(x).dtype.kind in "fiu"]
    sizes = np.abs(np.concatenate(leaves)) if leaves else np.empty(0)
    return float(np.max(sizes[~np.isnan(sizes)], initial=0.0)) if sizes.size else NAN


def half_squares(value: Any) -> float:
    array = np.asarray(value)
    if array.ndim == 0 or array.dtype.kind not in "fiu":
        return number(value)
    return 0.5 * float(np.sum(np.square(array, dtype=np.float64)))


# ---- displays --------------------------------------------------------------------------------------------------------

def chosen_view(display: str, label: str, maximum: int | None, every: int | None, file: Any) -> Any:
    """The display that was asked for, or the one that suits the output."""
    if display == "none":
        return Nothing()
    stream = sys.stderr if file is None else file
    terminal = stream is not None and stream.isatty() and every is None
    if display == "lines" or display == "auto" and not terminal:
        return Lines(label, maximum, every, file)
    try:
        from tqdm.auto import tqdm
    except ImportError as error:
        if display == "auto":
            return Lines(label, maximum, every, file)
        raise ImportError("Progress: display='bar' needs tqdm, which is not installed "
                          "(pip install 'fastad[progress]'); display='lines' needs nothing") from error
    return Bar(tqdm, label, maximum, stream)


class Nothing:
    """No display: the history alone."""

    def show(self, row: tuple[int, float, float, float, float]) -> None:
        pass

    def close(self) -> None:
        pass


class Bar:
    """A bar of tqdm, which knows how to show time and time left; it appears with the first iteration."""

    def __init__(self, tqdm: Any, label: str, maximum: int | None, stream: Any):
        self.make = lambda initial: tqdm(total=maximum, desc=label or None, file=stream, unit="it",
                                         dynamic_ncols=True, initial=initial)
        self.bar: Any = None

    def show(self, row: tuple[int, float, float, float, float]) -> None:
        if self.bar is None:                 # (iterations before those of a run that goes on count as done)
            self.bar = self.make(row[0] - 1)
        iteration, misfit, gradient_norm, evaluations, _ = row
        parts = [f"misfit {misfit:.6g}", "" if np.isnan(gradient_norm) else f"|gradient| {gradient_norm:.1e}",
                 "" if np.isnan(evaluations) else f"{evaluations:.0f} evaluations"]
        self.bar.set_postfix_str(", ".join([p for p in parts if p]), refresh=False)
        self.bar.update()

    def close(self) -> None:
        if self.bar is not None:
            self.bar.refresh()
            self.bar.close()
            self.bar = None


class Lines:
    """Lines of text under a heading; which ones: see Progress."""

    QUIET = 10.0                             # seconds without a line after which the next iteration has one

    def __init__(self, label: str, maximum: int | None, every: int | None, file: Any):
        self.label, self.maximum, self.every, self.file = label, maximum, every, file
        self.last: tuple[int, float, float, float, float] | None = None      # what was not shown yet
        self.shown = 0.0
        self.headed = False

    def show(self, row: tuple[int, float, float, float, float]) -> None:
        iteration, seconds = row[0], row[4]
        if iteration == 1 or not self.headed:
            self.headed, self.shown = True, seconds if iteration > 1 else 0.0
            self.write(self.heading())
        if self.due(iteration) or seconds - self.shown >= self.QUIET:
            self.write(self.line(row))
            self.shown, self.last = seconds, None
        else:
            self.last = row

    def due(self, iteration: int) -> bool:
        if self.every is not None:
            return iteration == 1 or iteration % self.every == 0
        return iteration % max(1, 10 ** (len(str(iteration)) - 1)) == 0 or iteration == self.maximum

    def heading(self) -> str:
        left = "" if self.maximum is None else "   left at most"
        return f"{self.front()}iteration          misfit   |gradient|   evaluations      time{left}"

    def line(self, row: tuple[int, float, float, float, float]) -> str:
        iteration, misfit, gradient_norm, evaluations, seconds = row
        gradient = "-" if np.isnan(gradient_norm) else f"{gradient_norm:.3e}"
        counted = "-" if np.isnan(evaluations) else f"{evaluations:.0f}"
        value = "-" if np.isnan(misfit) else f"{misfit:.8g}"
        left = ""
        if self.maximum is not None:
            left = f"   {duration(seconds / iteration * max(0, self.maximum - iteration)):>12s}"
        spent = duration(seconds)
        return f"{self.front()}{iteration:>9d} {value:>15s} {gradient:>12s} {counted:>13s} {spent:>9s}{left}"

    def front(self) -> str:
        return f"{self.label}  " if self.label else ""

    def write(self, text: str) -> None:
        print(text, file=sys.stdout if self.file is None else self.file, flush=True)

    def close(self) -> None:
        if self.last is not None:
            self.write(self.line(self.last))
            self.last = None


def duration(seconds: float) -> str:
    """'0.05 s', '12.3 s', '4:05 min', '2:03:04 h'."""
    if seconds < 100.0:
        return f"{seconds:.2f} s" if seconds < 10.0 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d} h" if hours else f"{minutes}:{rest:02d} min"
