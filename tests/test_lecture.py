"""The lecture: each lesson is run as a student runs it, and what it prints and draws is checked.

Owns: the numbers that a lesson must show.  Must not know: how they are computed.
Next: examples/lecture/README.md, test_docs.py (the other examples).
"""
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "examples" / "lecture"
LESSONS = sorted(path.stem for path in FOLDER.glob("[0-9]*.py"))
PICTURES = {"01_graph_and_trace": ["graph.png", "graph_adjoints.png"],
            "04_forward_or_reverse": ["forward_or_reverse.png"],
            "05_four_ways": ["expression_swell.png", "step_size.png"], "07_neural_network": ["training.png"]}


def run(lesson, directory, *arguments, code=None):
    """(what it printed, the finished process) of a lesson run elsewhere."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg", "FASTAD_EXAMPLE_QUICK": "1",
                   "PYTHONIOENCODING": "utf-8"}
    script = ["-c", code] if code else [str(FOLDER / f"{lesson}.py")]
    done = subprocess.run([sys.executable, *script, *arguments], cwd=directory, env=environment, text=True,
                          capture_output=True, encoding="utf-8", timeout=120)
    return done.stdout, done


@pytest.fixture(scope="module")
def lessons(tmp_path_factory):
    """What a lesson printed, run once: with --output where matplotlib is installed."""
    printed = {}

    def found(lesson):
        if lesson not in printed:
            directory = tmp_path_factory.mktemp(lesson)
            text, done = run(lesson, directory, "--output", str(directory / "pictures"))
            assert done.returncode == 0, f"{lesson}:\n{text[-3000:]}\n{done.stderr[-3000:]}"
            assert not done.stderr, f"{lesson} warns: {done.stderr[-2000:]}"
            printed[lesson] = text, directory
        return printed[lesson]
    return found


@pytest.mark.parametrize("lesson", LESSONS)
def test_lesson_runs(lesson, lessons, need):
    need("matplotlib")
    need("sympy")
    text, directory = lessons(lesson)
    assert 10 < len(text.splitlines()) <= 66, "a screen or two"
    assert sorted(path.name for path in directory.rglob("*.png")) == PICTURES.get(lesson, [])
    assert all(path.stat().st_size > 5000 for path in directory.rglob("*.png"))
    assert [path.name for path in directory.iterdir()] == ["pictures"], "written beside what was asked for"


@pytest.mark.parametrize("lesson", LESSONS)
def test_lesson_teaches(lesson):
    """Its first lines say what it is about and what comes next, and the index lists it."""
    text = (FOLDER / f"{lesson}.py").read_text()
    teaches = text.split('"""')[1]
    assert len(teaches.splitlines()) > 8 and f"python {lesson}.py" in teaches
    following = LESSONS[LESSONS.index(lesson) + 1:][:1] or ["README"]
    assert following[0] in teaches
    assert f"({lesson}.py)" in (FOLDER / "README.md").read_text()


def test_the_index_lists_what_is_there():
    assert sorted(re.findall(r"\(([0-9]\w+)\.py\)", (FOLDER / "README.md").read_text())) == LESSONS
    assert "(examples/lecture/README.md)" in (ROOT / "README.md").read_text()


def has(text, *parts):
    """The parts stand in the text in this order, whatever the spaces."""
    found = " ".join(text.split())
    place = 0
    for part in parts:
        place = found.find(part, place)
        assert place >= 0, f"{part!r} is not in:\n{text}"


def test_trace_and_graph(lessons):
    text, _ = lessons("01_graph_and_trace")
    has(text, "x1 = input x2 = input v1 = square(x1) v2 = add(v1, x2) return v2",
        "tape(2, 3) = 7.0", "tape(5, 1) = 26.0",
        "v1 square(x1) 4 4 0 v2 add(v1, x2) 7 4 1", "x1 input 2 4 x2 input 3 1",
        "v1 square(x1) 4 1 x1 += 1 * 4 v2 add(v1, x2) 7 1 v1 += 1 * 1, x2 += 1 * 1", "assert v5")


def test_forward_mode(lessons):
    text, _ = lessons("02_forward_mode")
    has(text, "seed (1.0, 0.0): y = 7 dy/dx1 = 4 by hand 4", "seed (0.0, 1.0): y = 7 dy/dx2 = 1 by hand 1",
        "seed (0.6, 0.8): 3.2", "tangent(1, 0) = 4.0", "[[ 0.866 -1. ] [ 0.5 1.7321] [ 1. 0. ]]", "agrees: True")


def test_reverse_mode(lessons):
    text, _ = lessons("03_reverse_mode")
    has(text, "by hand: y = 7, gradient = (4, 1)", "ad.grad: gradient = (4, 1)", "ad.vjp: y = 7, pullback(1) = (4, 1)",
        "x input 2 0.07700375", "sin(x) + x cos(x) = 0.07700375", "gradient in functions")


def test_forward_or_reverse(lessons):
    text, _ = lessons("04_forward_or_reverse")
    rows = re.findall(r"^ +(\d+) +(\d+) +([\d.]+) +([\d.]+) +([\d.]+) +(forward|reverse)", text, re.MULTILINE)
    assert len(rows) == 7
    for n, m, *_, taken in rows:
        assert taken == ("forward" if int(n) <= int(m) else "reverse")
    assert re.search(r"Two results of 510 inputs: reverse is \d+ times faster", text)


def test_four_ways(lessons, need):
    need("sympy")
    text, _ = lessons("05_four_ways")
    errors = dict(re.findall(r"^(\w.*?) +[+]15\.\d+ +relative error (\S+)", text, re.MULTILINE))
    exact = [name for name, error in errors.items() if float(error) < 1e-14]
    assert exact == ["by hand", "symbolic (SymPy)", "automatic, forward mode", "automatic, reverse mode"]
    rows = np.array(re.findall(r"^ +(\d+) +(\d+) +(\d+) +(\d+) +(\d+) +(\d+)$", text, re.MULTILINE), dtype=int)
    assert len(rows) == 5
    symbolic, tape, gradient = rows[:, 2], rows[:, 4], rows[:, 5]
    assert np.all(symbolic[1:] > 2 * symbolic[:-1])
    assert np.all(np.diff(tape) == 3) and np.all(np.diff(gradient) == np.diff(gradient)[0])
    steps = np.array(re.findall(r"^ +(1e-\d\d) +(\S+) +(\S+)$", text, re.MULTILINE), dtype=float)
    best = np.argmin(steps[:, 1:], axis=0)
    assert np.all((best > 0) & (best < len(steps) - 1)), "a V has its lowest point between the ends"
    assert 1e-10 < np.min(steps[:, 1]) < 1e-6 and 1e-13 < np.min(steps[:, 2]) < 1e-9


def test_backward(lessons):
    text, _ = lessons("06_backward")
    has(text, "y = 7.0 x1.grad = 4, x2.grad = 1", "after a second backward: x1.grad = 8", "x1.grad = 4",
        "doubled 5 times", "[32. 32.]", "slope 2.0000 offset 1.0000")


def test_neural_network(lessons):
    text, _ = lessons("07_neural_network")
    has(text, "layer 1, weights (4, 8)", "layer 2, bias (3,)", "Is it right? yes",
        "1 recording and 201 replays, for 67")
    losses = [float(x) for x in re.findall(r"^step +\d+ +loss (\S+)", text, re.MULTILINE)]
    assert len(losses) == 6 and losses == sorted(losses, reverse=True) and losses[-1] < 0.06
    right = int(re.search(r"right: (\d+) of 30", text)[1])
    assert right >= 28


def test_the_irises_are_fishers():
    """Means and variances of each species as they are published (R. A. Fisher 1936, table II, in cm)."""
    text = (FOLDER / "07_neural_network.py").read_text()
    tables = re.findall(r'"(\w+)": """([\d\s]+)"""', text)
    assert [name for name, _ in tables] == ["setosa", "versicolor", "virginica"]
    cm = {name: np.array([[int(code[k:k + 2]) for k in (0, 2, 4, 6)] for code in codes.split()]) / 10
          for name, codes in tables}
    assert all(values.shape == (50, 4) for values in cm.values())
    np.testing.assert_allclose(cm["setosa"].mean(axis=0), [5.006, 3.428, 1.462, 0.246], atol=1e-12)
    np.testing.assert_allclose(cm["versicolor"].mean(axis=0), [5.936, 2.770, 4.260, 1.326], atol=1e-12)
    np.testing.assert_allclose(cm["virginica"].mean(axis=0), [6.588, 2.974, 5.552, 2.026], atol=1e-12)


def test_a_lesson_without_its_package_says_what_to_install(tmp_path):
    hidden = (f"import sys, runpy; sys.modules['{{}}'] = None; sys.path.insert(0, {str(FOLDER)!r}); "
              f"runpy.run_path({str(FOLDER)!r} + '/{{}}.py', run_name='__main__')")
    _, done = run(None, tmp_path, code=hidden.format("sympy", "05_four_ways"))
    assert done.returncode != 0 and "fastad[lecture]" in done.stderr and "Traceback" not in done.stderr
    without = hidden.format("matplotlib", "01_graph_and_trace")
    _, done = run(None, tmp_path, "--output", str(tmp_path / "p"), code=without)
    assert done.returncode != 0 and "fastad[plot]" in done.stderr


def test_a_lesson_draws_nothing_unless_asked(tmp_path):
    text, done = run("01_graph_and_trace", tmp_path)
    assert done.returncode == 0 and "Picture" not in text and not list(tmp_path.iterdir())
