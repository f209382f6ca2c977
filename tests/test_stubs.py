"""Stubs say what the compiled modules are: mypy.stubtest compares them, and the examples are checked against them.

Owns: the proof that .pyi files are true.  Must not know: what the modules do.
Next: pyproject.toml (mypy's settings), the .pyi beside each .pyx.
"""
import subprocess
import sys

import pytest


def mypy_module(root, module, *arguments):
    """Run ``python -m module arguments`` at the top of the checkout, where mypy finds fastad and its settings."""
    done = subprocess.run([sys.executable, "-m", module, *arguments], cwd=root, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode, done.stdout[-6000:]


@pytest.mark.slow
def test_stubs_are_true(root, need):
    need("mypy")
    modules = sorted(path.stem for path in (root / "fastad").glob("*.pyx"))
    assert modules, "no fastad/*.pyx: nothing to compare"
    without = [name for name in modules if not (root / "fastad" / f"{name}.pyi").exists()]
    assert not without, f"compiled modules without a stub: {without}"
    # With mypy's settings: without them its notes on functions that have no annotations count as failures.
    status, output = mypy_module(root, "mypy.stubtest", "--concise", "--mypy-config-file", "pyproject.toml",
                                 *(f"fastad.{name}" for name in modules))
    assert status == 0, output


@pytest.mark.slow
def test_stubtest_notices_a_lie(root, need, tmp_path):
    """A stub with a parameter that the module lacks must fail: shows that the comparison above compares."""
    need("mypy")
    (tmp_path / "spoken.py").write_text("def area(width, height): return width * height\n")
    (tmp_path / "spoken.pyi").write_text("def area(width: float, height: float, depth: float) -> float: ...\n")
    status, output = mypy_module(tmp_path, "mypy.stubtest", "--concise", "spoken")
    assert status != 0 and "depth" in output, output


@pytest.mark.slow
def test_examples_type_check(root, need):
    """stubtest cannot judge what a function returns; code that uses it can."""
    need("mypy")
    for folder in (root / "examples", root / "examples" / "lecture"):
        examples = sorted(str(path.relative_to(root)) for path in folder.glob("*.py"))
        assert examples, "no examples to check"
        status, output = mypy_module(root, "mypy", "--scripts-are-modules", *examples)
        assert status == 0, output
