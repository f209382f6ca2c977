"""The scripts in examples/, for their tests: imported without being run, or run as a user runs them.

Owns: where they are, where the reference data are, and the environment of a run.  Must not know: what they compute
(test_examples_science.py, test_examples_inversions.py).
"""
import importlib.util
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"


def load(name):
    """Import an example by its path, as a module that is not run."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", ROOT / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(code_or_script, *arguments):
    """Run quickly in a process of its own.  One thread for BLAS: two of them that share a busy core with other tests
    wait for each other, a hundred times longer than a small matrix takes."""
    environment = {**os.environ, "FASTAD_EXAMPLE_QUICK": "1", "PYTHONIOENCODING": "utf-8", "OPENBLAS_NUM_THREADS": "1",
                   "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    return subprocess.run([sys.executable, *code_or_script, *arguments], env=environment, capture_output=True,
                          text=True, timeout=300, check=False)
