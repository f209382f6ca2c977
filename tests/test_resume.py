"""`minimize(..., checkpoint=..., resume=True)`: a run that was broken off goes on to the same bits, whatever broke it.

Owns: interruptions (Ctrl-C, kill -9, anywhere in the file), callbacks of a run that goes on, files that are damaged or
of another problem.  The witness is the same run, not interrupted.
"""
import io
import os
import random
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
import scipy.optimize

from fastad import optimize
from fastad.errors import CheckpointError, NonFiniteError
from fastad.optimize import evaluation_log
from fastad.optimize.evaluation_log import EvaluationLog

METHODS = ["Nelder-Mead", "Powell", "CG", "BFGS", "Newton-CG", "L-BFGS-B", "TNC", "COBYLA", "SLSQP", "trust-constr",
           "trust-ncg", "trust-krylov", "trust-exact"]
X0 = np.array([-1.2, 1.0, 0.7, -0.3])


def valley(x):
    return np.sum(10.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def domain(x):
    """Not defined for x <= 0: line searches step out of it, and stand-ins answer."""
    return np.sum(20.0 * x - np.log(x)) + (x[0] - x[1]) ** 2


def same(a, b):
    """Two results in all their bits."""
    assert np.asarray(a.x).tobytes() == np.asarray(b.x).tobytes() and a.message == b.message
    for name in ("fun", "jac", "nit", "nfev", "njev", "nhev", "success", "status", "stand_ins"):
        assert (name in a) == (name in b)
        if name in a and not isinstance(a[name], list):
            assert np.asarray(a[name]).tobytes() == np.asarray(b[name]).tobytes(), name


def few(method):
    """An option for not too many iterations."""
    return {"maxfun" if method == "TNC" else "maxiter": 150 if method in ("COBYLA", "TNC") else 30}


class Interrupted(Exception):
    """Stands for Ctrl-C."""


def interrupted_after(n):
    def callback(intermediate_result):
        callback.left -= 1
        if callback.left < 0:
            raise Interrupted
    callback.left = n
    return callback


# ---- interruptions ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("method", METHODS)
def test_every_method_goes_on_to_the_same_bits(method, tmp_path):
    """Cut off anywhere, also within a record: as a killed process leaves the file."""
    path = tmp_path / "run.npz"
    whole = optimize.minimize(valley, X0, method=method, options=few(method), checkpoint=path)
    size = path.stat().st_size
    draw = random.Random(method)
    for end in sorted({size, *(draw.randrange(600, size) for _ in range(3))}, reverse=True):
        os.truncate(path, end)
        same(optimize.minimize(valley, X0, method=method, options=few(method), checkpoint=path, resume=True), whole)
        assert path.stat().st_size == size


@pytest.mark.parametrize("n", [0, 1, 5])
def test_exceptions_from_callbacks_leave_what_was_done(n, tmp_path):
    path = tmp_path / "run.npz"
    whole = optimize.minimize(valley, X0, method="L-BFGS-B", checkpoint=tmp_path / "whole")
    for k in (n, n + 3):
        with pytest.raises(Interrupted):
            optimize.minimize(valley, X0, method="L-BFGS-B", checkpoint=path, resume=True,
                              callback=interrupted_after(k))
    same(optimize.minimize(valley, X0, method="L-BFGS-B", checkpoint=path, resume=True), whole)


SCRIPT = """
    import signal, sys, time
    signal.signal(signal.SIGINT, signal.default_int_handler)     # a job in the background inherits that it is ignored
    import numpy as np
    import fastad as ad
    from fastad import optimize

    def waited(x):
        time.sleep(0.004)
        return x

    slow = ad.primitive(waited, vjp=lambda w, y, x: (w,))
    bounds = [(-2.0, 0.9)] + [(None, None)] * 19

    def f(x):
        y = slow(x)
        return np.sum(100.0 * (y[1:] - y[:-1] ** 2) ** 2 + (1.0 - y[:-1]) ** 2)

    print("begins", flush=True)
    fit = optimize.minimize(f, np.full(20, -1.2), method="L-BFGS-B", bounds=bounds, checkpoint=sys.argv[1], resume=True,
                            options={"maxiter": 60})
    print(fit.x.tobytes().hex(), fit.jac.tobytes().hex(), fit.fun.hex(), fit.nit, fit.nfev)
"""


def begun(script, path, root):
    return subprocess.Popen([sys.executable, script, path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env={**os.environ, "PYTHONPATH": str(root)})


def grown(path, beyond, process):
    """Wait until the file has grown."""
    while process.poll() is None and not (os.path.exists(path) and os.path.getsize(path) > beyond):
        time.sleep(0.002)
    return os.path.getsize(path)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["kill", "ctrl-c"])
def test_a_process_that_is_killed_goes_on_to_the_same_bits(how, tmp_path, root):
    script = tmp_path / "run.py"
    script.write_text(textwrap.dedent(SCRIPT))
    reference = begun(script, tmp_path / "whole.npz", root)
    size, killed = 0, 0
    for _ in range(2):
        process = begun(script, tmp_path / "run.npz", root)
        size = grown(tmp_path / "run.npz", size + 3000, process)
        process.send_signal(how)
        process.communicate(timeout=60)
        killed += process.returncode != 0
    assert killed == 2
    wanted = reference.communicate(timeout=60)[0]
    got, errors = begun(script, tmp_path / "run.npz", root).communicate(timeout=60)
    assert got == wanted and "begins" in got and len(got) > 500, errors


def test_a_run_that_has_ended_goes_on_with_other_limits(tmp_path):
    path = tmp_path / "run.npz"
    whole = optimize.minimize(valley, X0, method="L-BFGS-B", checkpoint=tmp_path / "whole", tol=1e-12)
    first = optimize.minimize(valley, X0, method="L-BFGS-B", checkpoint=path, options={"maxiter": 4})
    assert first.nit == 4 and "ITERATIONS" in first.message
    same(optimize.minimize(valley, X0, method="L-BFGS-B", checkpoint=path, resume=True, options={"maxiter": 4}), first)
    same(optimize.minimize(valley, X0, method="L-BFGS-B", checkpoint=path, resume=True, tol=1e-12), whole)


def test_nothing_is_evaluated_twice(tmp_path):
    path, calls = tmp_path / "run.npz", []

    def fun(x):
        calls.append(x.copy())
        return scipy.optimize.rosen(x), scipy.optimize.rosen_der(x)
    whole = optimize.minimize(fun, X0, jac=True, method="L-BFGS-B", checkpoint=path)
    n = len(calls)
    os.truncate(path, path.stat().st_size - 500)
    same(optimize.minimize(fun, X0, jac=True, method="L-BFGS-B", checkpoint=path, resume=True), whole)
    assert len(calls) - n <= 5               # x0, which is compared, and what was cut off


def quadratic_with_jac(x):
    return float(x @ x), 2.0 * x


HESSIANS = {"jac": scipy.optimize.rosen_der, "hess": scipy.optimize.rosen_hess}
FORMS = {
    "bounds": lambda **k: optimize.minimize(valley, X0, bounds=[(-2, -0.5), (None, None), (0.7, 0.7), (-3, 3)], **k),
    "tree": lambda **k: optimize.minimize(lambda m: (m["a"] - 1) ** 4 + np.sum((m["b"] * m["a"] - 2) ** 2),
                                          {"a": 0.3, "b": np.zeros((2, 2), np.float32)}, **k),
    "given": lambda **k: optimize.minimize(quadratic_with_jac, X0, jac=True, method="CG", **k),
    "given Hessian": lambda **k: optimize.minimize(scipy.optimize.rosen, X0, method="Newton-CG", **HESSIANS, **k),
    "differences": lambda **k: optimize.minimize(scipy.optimize.rosen, X0, jac="2-point", method="BFGS", **k),
    "stand-ins": lambda **k: optimize.minimize(domain, np.array([9.0, 0.01]), method="L-BFGS-B", **k),
    "stand-ins of SLSQP": lambda **k: optimize.minimize(domain, np.array([9.0, 0.01]), method="SLSQP", **k),
    "Objective": lambda **k: optimize.minimize(optimize.Objective(valley), X0, method="BFGS", **k),
    "constraint": lambda **k: optimize.minimize(valley, X0, constraints={"type": "ineq", "fun": lambda x: 2 - x @ x},
                                                **k),
    "least": lambda **k: optimize.minimize(lambda x, t: np.sum(np.exp(-x[0] * t) - x[1]) ** 2, X0[1:3],
                                           args=(np.linspace(0, 1, 5),), method="trust-ncg", **k),
}


@pytest.mark.parametrize("form", FORMS)
def test_all_forms_of_problems(form, tmp_path):
    path, run = tmp_path / "run.npz", FORMS[form]
    whole = run(checkpoint=path)
    size = path.stat().st_size
    for part in (0.9, 0.5, 0.35):
        os.truncate(path, int(part * size))
        again = run(checkpoint=path, resume=True)
        if form == "tree":
            assert np.array_equal(again.raveled, whole.raveled) and again.fun == whole.fun
        else:
            same(again, whole)
    if form.startswith("stand-ins"):
        assert whole.stand_ins > 0 and again.stand_ins == whole.stand_ins


# ---- callbacks -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("method", ["L-BFGS-B", "SLSQP", "TNC", "trust-constr", "Nelder-Mead"])
def test_progress_has_the_whole_history_and_shows_what_is_new(method, tmp_path):
    def run(path, progress, **more):
        return optimize.minimize(valley, X0, method=method, callback=progress, checkpoint=path, options=few(method),
                                 **more)
    whole = optimize.Progress(display="none")
    run(tmp_path / "whole", whole)
    first = optimize.Progress(display="none")
    stop = interrupted_after(7)

    def both(intermediate_result):
        first(intermediate_result)
        stop(intermediate_result)
    with pytest.raises(Interrupted):
        run(tmp_path / "run", both)
    text = io.StringIO()
    second = optimize.Progress(display="lines", every=1, file=text)
    run(tmp_path / "run", second, resume=True)
    for name in ("iteration", "misfit", "gradient_norm", "evaluations"):
        np.testing.assert_array_equal(getattr(second.history, name), getattr(whole.history, name), name)
    assert np.all(np.diff(second.history.seconds) >= 0.0)
    shown = [int(line.split()[0]) for line in text.getvalue().splitlines() if line.split()[0].isdigit()]
    assert shown == list(range(8, len(whole.history) + 1))   # the eighth call was broken off: it is made again


@pytest.mark.parametrize("method", ["L-BFGS-B", "SLSQP", "trust-ncg", "Newton-CG", "TNC"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_callback_may_come_and_go(method, when, tmp_path):
    """Without it in the run before, it is called for all iterations."""
    path, seen = tmp_path / "run", []
    whole = optimize.minimize(valley, X0, method=method, options=few(method), checkpoint=tmp_path / "whole")
    callback = {"callback": lambda xk: seen.append(xk)}
    before, after = (callback, {}) if when == "before" else ({}, callback)
    optimize.minimize(valley, X0, method=method, options=few(method), checkpoint=path, **before)
    calls = len(seen)
    os.truncate(path, int(0.6 * path.stat().st_size))
    same(optimize.minimize(valley, X0, method=method, options=few(method), checkpoint=path, resume=True, **after),
         whole)
    assert len(seen) == calls if when == "before" else len(seen) >= (whole.nit if "nit" in whole else 1) - 1


def test_stop_iteration_is_where_a_run_can_go_on(tmp_path):
    path = tmp_path / "run"

    def stop(intermediate_result):
        if intermediate_result.nit == 3:
            raise StopIteration
    stopped = optimize.minimize(valley, X0, method="L-BFGS-B", checkpoint=path, callback=stop)
    assert stopped.status == 99 and not stopped.success
    seen = []
    whole = optimize.minimize(valley, X0, method="L-BFGS-B", checkpoint=tmp_path / "whole")
    same(optimize.minimize(valley, X0, method="L-BFGS-B", checkpoint=path, resume=True,
                           callback=lambda intermediate_result: seen.append(intermediate_result.nit)), whole)
    assert seen == list(range(3, whole.nit + 1))


# ---- files -----------------------------------------------------------------------------------------------------------

@pytest.fixture
def run(tmp_path):
    path = tmp_path / "run.npz"
    return path, optimize.minimize(valley, X0, method="L-BFGS-B", checkpoint=path)


def resumed(path, f=valley, x0=X0, **more):
    return optimize.minimize(f, x0, checkpoint=path, resume=True, **{"method": "L-BFGS-B", **more})


@pytest.mark.parametrize(("change", "match"), [
    ({"x0": X0[:3]}, "x0 had 4 numbers, and has 3"), ({"x0": X0 + 1e-15}, "x0 has other values"),
    ({"bounds": [(0, 9)] * 4}, "the bounds are others"), ({"method": "BFGS"}, "method was 'l-bfgs-b', and is 'bfgs'"),
    ({"options": {"maxcor": 5}}, "option maxcor was not given, and is 5"),
    ({"jac": lambda x: 0 * x}, "derivatives come from elsewhere"),
    ({"f": lambda x: valley(x) + 1e-6}, r"of valley.*at its start the function was .*, and is"),
    ({"f": lambda x: valley(x) + 1e-3 * (x[0] - X0[0])}, "with another gradient"),
    ({"f": lambda x: valley(x) + 1e-2 * np.sum((x - X0)**2)}, "at its last evaluation the function was"),
])
def test_another_problem_is_refused(run, change, match):
    path, whole = run
    data = path.read_bytes()
    with pytest.raises(CheckpointError, match=match):
        resumed(path, **change)
    assert path.read_bytes() == data
    same(resumed(path), whole)


@pytest.mark.parametrize("method", ["L-BFGS-B", "BFGS", "Newton-CG", "Nelder-Mead", "trust-exact"])
def test_a_weight_that_makes_no_difference_at_the_start_is_noticed(method, tmp_path):
    """A penalty on the distance from x0, as inversions have it: its value and its gradient are zero there."""
    def penalised(weight):
        return lambda x: valley(x) + weight * np.sum((x - X0)**2)
    path = tmp_path / "run"
    for steps in (6, 12):
        optimize.minimize(penalised(1e-2), X0, method=method, options={"maxiter": steps}, checkpoint=path, resume=True)
        for longer in (steps, 30):
            with pytest.raises(CheckpointError, match="of another problem.*last evaluation"):
                optimize.minimize(penalised(1e-3), X0, method=method, options={"maxiter": longer}, checkpoint=path,
                                  resume=True)


def test_damage_is_named_and_never_a_wrong_result(run):
    path, whole = run
    data = path.read_bytes()
    draw = random.Random(3)
    for _ in range(150):
        changed = bytearray(data)
        changed[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        path.write_bytes(changed)
        with pytest.raises(CheckpointError, match="damaged|format"):
            resumed(path)
    path.write_bytes(data[:900] + bytes(len(data) - 900))     # a disk that lost power
    with pytest.raises(CheckpointError, match=r"damaged after [1-9]\d? evaluations.*os.truncate\(") as caught:
        resumed(path)
    exec(str(caught.value).partition("cut off the rest: ")[2], {"os": os})
    same(resumed(path), whole)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"\x89FASTRUN", b"x" * 500])
def test_files_that_are_no_checkpoints(data, tmp_path):
    (tmp_path / "other").write_bytes(data)
    with pytest.raises(CheckpointError, match="no checkpoint of optimize.minimize"):
        resumed(tmp_path / "other")
    assert (tmp_path / "other").read_bytes() == data


def test_a_run_is_not_overwritten(run):
    path, _ = run
    with pytest.raises(CheckpointError, match="exists: resume=True continues"):
        optimize.minimize(valley, X0, method="L-BFGS-B", checkpoint=path)
    with pytest.raises(ValueError, match="checkpoint="):
        optimize.minimize(valley, X0, resume=True)
    with pytest.raises(ValueError, match="methods, named"):
        optimize.minimize(valley, X0, method=lambda *args, **kwargs: None, checkpoint=path)
    with pytest.raises(FileNotFoundError, match="no directory for the checkpoint folder: .*no'"):
        optimize.minimize(valley, X0, checkpoint=path.parent / "no" / "folder")
    for name in (5, "", True):
        with pytest.raises(TypeError, match=f"checkpoint={name!r}: the name of a file"):
            optimize.minimize(valley, X0, checkpoint=name)
    for resume in (False, True):
        with pytest.raises(CheckpointError, match="is a directory"):
            optimize.minimize(valley, X0, checkpoint=path.parent, resume=resume)


def test_one_run_at_a_time(run):
    path, _ = run
    with pytest.raises(CheckpointError, match="being written by another run"):
        resumed(path, callback=lambda xk: resumed(path), options={"maxiter": 1000, "ftol": 0.0, "gtol": 0.0})
    code = f"import fcntl; fcntl.lockf(open({str(path)!r}, 'r+b'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    seen = []
    resumed(path, options={"maxiter": 1000, "ftol": 0.0, "gtol": 0.0}, callback=lambda xk: seen or seen.append(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr))
    assert "BlockingIOError" in seen[0]
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).returncode == 0


def test_a_newer_format_says_so(run):
    path, _ = run
    data = bytearray(path.read_bytes())
    data[8] = evaluation_log.VERSION + 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="update fastad"):
        resumed(path)


def test_an_optimiser_that_asks_something_else_is_named_with_its_version(run, tmp_path):
    """As another version of SciPy might; the best point is still there."""
    path, whole = run
    log = EvaluationLog(path, {}, True)
    other = EvaluationLog(tmp_path / "other", {**log.head, "versions": {"SciPy": "0.7"}}, False)
    assert other.peek() is None
    while (record := log.read()) is not None:
        question = record.question if other.count != 5 else bytes(16)
        other.append(record.kind, question, record.x, record.answer)
    other.close()
    log.close()
    with pytest.raises(CheckpointError, match=f"evaluation 6 .*'SciPy': '0.7'.*'SciPy': '{scipy.__version__}'"):
        resumed(tmp_path / "other")
    assert optimize.read_checkpoint(tmp_path / "other").x.tobytes() == whole.x.tobytes()


def test_what_a_checkpoint_holds(run, tmp_path):
    path, whole = run
    found = optimize.read_checkpoint(path)
    assert found.fun == whole.fun and found.nfev == whole.nfev == len(found.fun_history) == len(found.seconds)
    assert found.x.tobytes() == whole.x.tobytes() and found.fun_history.min() == whole.fun
    assert found.method == "l-bfgs-b" and found.function == "valley"
    fit = FORMS["tree"](checkpoint=tmp_path / "tree")
    np.testing.assert_array_equal(optimize.read_checkpoint(tmp_path / "tree").x, fit.raveled)
    fit = FORMS["bounds"](checkpoint=tmp_path / "bounds")
    np.testing.assert_array_equal(optimize.read_checkpoint(tmp_path / "bounds").x, fit.x)
    with pytest.raises(CheckpointError, match="no checkpoint"):
        optimize.read_checkpoint(__file__)


def test_a_start_outside_of_the_domain_leaves_an_empty_run(tmp_path):
    for _ in range(2):
        with pytest.raises(NonFiniteError, match="start"):
            resumed(tmp_path / "run", domain, np.array([-1.0, 1.0]))
    assert optimize.read_checkpoint(tmp_path / "run").x is None
