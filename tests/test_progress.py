"""Progress: every optimiser of SciPy calls it, whatever it hands over; what it shows, and the history it keeps.

Owns: the callback as users see it.  Must not know: how fastad fills in derivatives (test_optimize.py).
"""
import io
import re
import subprocess
import sys

import numpy as np
import pytest
import scipy.optimize
from scipy.optimize import OptimizeResult

from fastad import optimize
from fastad.optimize import Progress
from fastad.optimize.progress import duration

MINIMIZERS = ["Nelder-Mead", "Powell", "CG", "BFGS", "Newton-CG", "L-BFGS-B", "TNC", "COBYLA", "SLSQP", "trust-constr",
              "dogleg", "trust-ncg", "trust-krylov", "trust-exact"]
X0 = np.array([0.8, 1.2, 0.9])


def bowl(x):
    return np.sum((x - 1.0)**2) + np.sum((x - 1.0)**4)


def silent(**options):
    return Progress(display="none", **options)


# ---- who calls it ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("method", MINIMIZERS)
def test_every_method_of_minimize_calls_it(method):
    progress, objective = silent(), optimize.Objective(bowl)
    asking = silent(objective=objective)
    for callback in (progress, asking):
        result = optimize.minimize(objective, X0, method=method, callback=callback)
        assert result.fun < 1e-4
    history = asking.history
    assert len(history) >= 1 and history.iteration.tolist() == list(range(1, len(history) + 1))
    assert np.all(np.isfinite(history.misfit)) and history.misfit[-1] <= history.misfit[0]
    assert history.misfit[-1] == pytest.approx(result.fun, abs=1e-3)
    assert np.all(np.isfinite(history.gradient_norm)) and np.all(history.evaluations >= 1)
    assert np.all(np.diff(history.seconds) >= 0.0)
    if method not in ("TNC", "COBYLA", "SLSQP"):         # these give the bare x in some versions of SciPy
        np.testing.assert_allclose(progress.history.misfit[-1], asking.history.misfit[-1], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("method", ["trf", "dogbox"])
def test_least_squares_calls_it(method):
    t = np.linspace(0.0, 4.0, 20)
    data = 3.0 * np.exp(-1.5 * t) + 0.01 * np.cos(9.0 * t)
    residuals = optimize.Residuals(lambda p: p[0] * np.exp(-p[1] * t) - data)
    progress = silent(objective=residuals)
    try:
        fit = optimize.least_squares(residuals, [1.0, 1.0], method=method, callback=progress)
    except TypeError as error:               # SciPy < 1.16 has no callback there
        pytest.skip(f"this SciPy: {error}")
    history = progress.history
    assert history.misfit[-1] == pytest.approx(fit.cost) and history.evaluations[-1] == fit.nfev
    assert history.gradient_norm[-1] == pytest.approx(fit.optimality, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("method", ["broyden1", "anderson", "krylov", "df-sane"])
def test_root_calls_it_with_x_and_residuals(method):
    progress = silent()
    solution = scipy.optimize.root(lambda x: x**3 - 1.0, np.array([2.0, 3.0]), method=method, callback=progress)
    assert solution.success and len(progress.history) >= 1
    assert progress.history.misfit[-1] < 1e-6 and np.all(np.isfinite(progress.history.misfit))


@pytest.mark.parametrize("run", [
    lambda f, callback: scipy.optimize.differential_evolution(f, [(-2, 2)] * 3, maxiter=5, rng=1, callback=callback),
    lambda f, callback: scipy.optimize.dual_annealing(f, [(-2, 2)] * 3, maxiter=5, rng=1, callback=callback),
    lambda f, callback: scipy.optimize.basinhopping(f, X0, niter=3, rng=1, callback=callback),
    lambda f, callback: scipy.optimize.shgo(scipy.optimize.rosen, [(-2, 2)] * 3, callback=callback),
], ids=["differential_evolution", "dual_annealing", "basinhopping", "shgo"])
def test_global_optimisers_call_it(run):
    if tuple(map(int, scipy.__version__.split(".")[:2])) < (1, 15):
        pytest.skip("SciPy before 1.15 has no rng=")
    progress = silent(objective=optimize.Objective(bowl))
    run(bowl, progress)
    assert len(progress.history) >= 1 and np.all(np.isfinite(progress.history.misfit))


def test_what_it_is_given_is_read_by_meaning():
    progress = silent()
    J, r = np.array([[1.0, 2.0], [0.0, 3.0]]), np.array([2.0, -1.0])
    progress(OptimizeResult(x=X0, fun=7.0, jac=np.array([1.0, -9.0]), nfev=4))
    progress(OptimizeResult(x=X0, fun=r, jac=J, nfev=5))                            # residuals
    progress(OptimizeResult(x=X0, fun=r, cost=1.25, grad=np.array([3.0]), nfev=6))  # with a robust loss
    progress(OptimizeResult(x=X0, fun=1.0, optimality=0.5, jac=[np.ones((1, 3))], constr=[X0]))     # trust-constr
    progress(X0)
    progress(X0, OptimizeResult(fun=3.0))
    progress(X0, 4.0, True)
    progress(OptimizeResult(x=X0, fun=np.array([5.0])))                             # one residual
    progress(OptimizeResult(x={"a": 1.0}, fun=1.0, jac={"a": 3.0, "b": [np.array([-4.0, np.nan])]}))
    progress(OptimizeResult(x=np.zeros(0), fun=1.0, jac=np.zeros(0)))
    history = progress.history
    np.testing.assert_array_equal(history.misfit, [7.0, 2.5, 1.25, 1.0, np.nan, 3.0, 4.0, 12.5, 1.0, 1.0])
    np.testing.assert_array_equal(history.gradient_norm,
                                  [9.0, np.max(np.abs(J.T @ r)), 3.0, 0.5, *[np.nan] * 4, 4.0, np.nan])
    np.testing.assert_array_equal(history.evaluations, [4, 5, 6, *[np.nan] * 7])


def test_evaluations_are_those_of_this_run():
    objective = optimize.Objective(bowl)
    counts = []
    for _ in range(2):
        progress = silent(objective=objective)
        optimize.minimize(objective, X0, method="BFGS", callback=progress)
        counts.append(progress.history.evaluations[-1])
    assert counts[0] == counts[1]


def test_loops_of_ones_own_and_restart():
    progress = silent()
    progress.update(2.0)
    progress.update(1.0, gradient_norm=0.1, evaluations=3)
    np.testing.assert_array_equal(progress.history.evaluations, [np.nan, 3.0])
    assert repr(progress) == "<Progress: 2 iterations>"
    progress.restart()
    assert len(progress.history) == 0 and progress.history.iteration.dtype == np.int64


# ---- what it shows ---------------------------------------------------------------------------------------------------

def shown(numbers, **options):
    stream = io.StringIO()
    with Progress(display="lines", file=stream, **options) as progress:
        for k in range(1, numbers + 1):
            progress.update(1.0 / k, 0.5 / k, 2 * k)
    return stream.getvalue().splitlines()


def test_lines():
    lines = shown(3)
    assert lines[0].split() == ["iteration", "misfit", "|gradient|", "evaluations", "time"]
    assert lines[2].split()[:4] == ["2", "0.5", "2.500e-01", "4"]
    assert re.fullmatch(r"0\.\d\d s", " ".join(lines[2].split()[4:]))
    assert len({len(line) for line in lines}) == 1, "columns stand under their headings"


def test_lines_thin_out_and_the_last_one_is_there():
    iterations = [int(line.split()[0]) for line in shown(345)[1:]]
    assert iterations == [*range(1, 11), *range(20, 101, 10), 200, 300, 345]
    assert [int(line.split()[0]) for line in shown(10, every=4)[1:]] == [1, 4, 8, 10]


def test_a_long_silence_is_broken(monkeypatch):
    clock = iter([0.0, 0.0, *np.arange(1.0, 60.0)])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    iterations = [int(line.split()[0]) for line in shown(40, every=1000)[1:]]
    assert iterations == [1, 11, 21, 31, 40]


def test_time_left_is_shown_where_the_maximum_is_known(monkeypatch):
    clock = iter([0.0, 100.0, 200.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    lines = shown(2, maximum=4, label="fit")
    assert lines[0].startswith("fit  iteration") and lines[0].endswith("left at most")
    assert lines[-1].split()[-4:] == ["3:20", "min", "3:20", "min"]


def test_unknown_numbers_are_dashes():
    stream = io.StringIO()
    Progress(display="lines", file=stream)(X0)
    assert stream.getvalue().splitlines()[1].split()[:4] == ["1", "-", "-", "-"]


@pytest.mark.parametrize("seconds, text", [(0.054, "0.05 s"), (12.34, "12.3 s"), (245.2, "4:05 min"),
                                           (7384.0, "2:03:04 h")])
def test_durations(seconds, text):
    assert duration(seconds) == text


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_bar_in_a_terminal_and_lines_elsewhere(need):
    need("tqdm")
    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        with Progress(4, file=stream, label="fit") as progress:
            optimize.minimize(bowl, X0, method="BFGS", callback=progress)
    assert "fit" in terminal.getvalue() and "misfit" in terminal.getvalue() and "/4 [" in terminal.getvalue()
    assert file.getvalue().splitlines()[0].startswith("fit  iteration")
    asked = Terminal()
    Progress(display="lines", file=asked).update(1.0)
    assert asked.getvalue().startswith("iteration")


def test_the_bar_on_request(need):
    need("tqdm")
    stream = io.StringIO()
    progress = Progress(display="bar", file=stream)
    progress.update(1.5, 0.25, 7)
    progress.close()
    progress.close()                         # twice is once
    assert "misfit 1.5, |gradient| 2.5e-01, 7 evaluations" in stream.getvalue()


def test_without_tqdm(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    terminal = Terminal()
    Progress(file=terminal).update(1.0)
    assert terminal.getvalue().startswith("iteration")
    with pytest.raises(ImportError, match=r"fastad\[progress\]"):
        Progress(display="bar")


def test_lines_go_where_print_goes(capsys):
    Progress(display="lines").update(1.0)
    assert capsys.readouterr().out.startswith("iteration")


@pytest.mark.parametrize("options, message", [({"display": "loud"}, "display='loud'"), ({"maximum": 0}, "maximum=0"),
                                              ({"every": 0}, "every=0"), ({"maximum": float("nan")}, "maximum=nan")])
def test_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Progress(**options)


def test_importing_it_imports_neither_tqdm_nor_matplotlib(root):
    code = ("import sys, fastad; from fastad import optimize; optimize.Progress(display='none').update(1.0); "
            "fastad.plot; print([m for m in ('tqdm', 'matplotlib', 'sympy') if m in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], cwd=root, text=True, capture_output=True, check=True)
    assert done.stdout.strip() == "[]"
