"""What is written is run: README's code, every example, every docstring; and README's links lead somewhere.

Owns: the promise that documentation works.  Must not know: the numbers that the examples should print.
Next: README.md, examples/.
"""
import doctest
import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def public_modules():
    """Dotted names of fastad's Python modules and of its compiled ones."""
    paths = [path for suffix in ("*.py", "*.pyx") for path in (ROOT / "fastad").rglob(suffix)]
    names = (".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths)
    return sorted(name.removesuffix(".__init__") for name in names if not name.endswith(".__main__"))


def readme():
    return (ROOT / "README.md").read_text()


def test_readme_code_says_what_it_prints(tmp_path):
    """README's python blocks, in order, are one script, and each ``print(...)  # text`` line of it prints that text."""
    code = "\n".join(python_blocks(ROOT / "README.md"))
    expected = re.findall(r"^print\(.*\)\s+#\s*(.*?)\s*$", code, re.MULTILINE)
    assert expected, "no print(...)  # result line in README.md: show the reader a number"
    script = tmp_path / "readme.py"
    script.write_text(code)
    printed = run_script(script, tmp_path).splitlines()
    assert [line.split() for line in printed] == [line.split() for line in expected]    # whatever the column widths


def test_readme_links_lead_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", readme())
    broken = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert not broken, f"README.md points to files that are not there: {broken}"


def run(script, directory, package, *arguments):
    """Run a script in a directory, with the fastad that is in `package`."""
    environment = {**os.environ, "PYTHONPATH": str(package), "MPLBACKEND": "Agg", "FASTAD_EXAMPLE_QUICK": "1"}
    return subprocess.run([sys.executable, str(script), *arguments], cwd=directory, env=environment,
                          text=True, capture_output=True)


def run_script(script, directory, *arguments):
    """Run a script elsewhere with this fastad; return what it printed, and fail with all of it when it fails."""
    done = run(script, directory, ROOT, *arguments)
    assert done.returncode == 0, f"{script.name}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def python_blocks(path):
    return re.findall(r"^```python\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)


def test_a_primitive_is_added_as_the_manual_says(tmp_path):
    """docs/adding_a_primitive.md: its row, put into a copy of the package, is all that its program needs."""
    row, program = python_blocks(ROOT / "docs" / "adding_a_primitive.md")
    copy = shutil.copytree(ROOT / "fastad", tmp_path / "fastad", ignore=shutil.ignore_patterns("*.c", "__pycache__"))
    (tmp_path / "program.py").write_text(program)
    without = run(tmp_path / "program.py", tmp_path, tmp_path)
    assert without.returncode != 0 and "has no derivative rule" in without.stderr, without.stderr

    with (copy / "primitives_special.py").open("a") as table:
        table.write(f"\n{row}")
    with_row = run(tmp_path / "program.py", tmp_path, tmp_path)
    assert with_row.returncode == 0, with_row.stderr
    assert "pass" in with_row.stdout.lower(), with_row.stdout


def test_linear_algebra_runs(tmp_path):
    """docs/linear_algebra.md: its program, whose report passes."""
    (tmp_path / "program.py").write_text("\n".join(python_blocks(ROOT / "docs" / "linear_algebra.md")))
    done = run(tmp_path / "program.py", tmp_path, ROOT)
    assert done.returncode == 0 and "passed" in done.stdout, done.stdout + done.stderr


def test_there_are_examples():
    assert EXAMPLES, "examples/ is empty, so none was run"


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(example, tmp_path):
    """In quick mode, in an empty directory; one that takes --output leaves its picture there."""
    picture = tmp_path / "picture.png"
    draws = "--output" in example.read_text()
    printed = run_script(example, tmp_path, *(["--output", str(picture)] if draws else []))
    assert printed.strip(), f"{example.name} printed nothing"
    assert not draws or picture.stat().st_size > 5000


@pytest.mark.parametrize("name", public_modules())
def test_docstrings_run(name):
    user = {"__name__": "__main__"}          # an example is the user's code: what it calls is recorded as theirs is
    results = doctest.testmod(importlib.import_module(name), optionflags=OPTIONS, extraglobs=user)
    assert results.failed == 0, f"{name}: {results.failed} of {results.attempted} docstring examples fail (see above)"
