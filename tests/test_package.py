"""The source archive holds what a build and the tests need, builds elsewhere, and the result imports from there.

Owns: the packaging promise.  Must not know: what the modules compute.
Next: MANIFEST.in (what goes in), setup.py (how it is compiled).
"""
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

SOURCE_SUFFIXES = {".py", ".pyx", ".pxd", ".pxi", ".pyi", ".h", ".def"}
BINARY_SUFFIXES = {".pyc", ".o", ".so"}
NOT_SOURCE = shutil.ignore_patterns(".git", ".venv", "build", "dist", "*.egg-info", "__pycache__", ".*_cache",
                                    ".hypothesis")


def run(command, **options):
    """Run ``command``; on failure show its output, which is where a compiler says what is wrong."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout[-6000:]}"
    return done.stdout


def make_sdist(root, directory):
    """Build the source archive from a copy of the tree (setuptools writes beside setup.py); return it unpacked.

    The copy has the generated .c and .so of the tree, so leaving them out is the manifest's doing.
    """
    shutil.copytree(root, directory / "tree", ignore=NOT_SOURCE)
    code = f"from setuptools import build_meta; print(build_meta.build_sdist({str(directory)!r}))"
    run([sys.executable, "-W", "ignore", "-c", code], cwd=directory / "tree")
    [archive] = directory.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(directory / "unpacked", filter="data")
    [unpacked] = (directory / "unpacked").iterdir()
    return unpacked


def listing(directory):
    return {path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()}


def wanted_sources(root):
    """Every source of the package, and all of tests/, as the working tree has them now."""
    package = {path for path in (root / "fastad").rglob("*") if path.suffix in SOURCE_SUFFIXES}
    tests = {path for path in (root / "tests").rglob("*") if path.is_file() and path.suffix not in BINARY_SUFFIXES}
    return {path.relative_to(root).as_posix() for path in package | tests if "__pycache__" not in path.parts}


def test_sdist_holds_the_sources_and_nothing_generated(root, tmp_path):
    found = listing(make_sdist(root, tmp_path))
    named = {"LICENSE", "README.md", "pyproject.toml", "setup.py", "Makefile", "fastad/py.typed", "PKG-INFO"}
    missing = (wanted_sources(root) | named) - found
    assert not missing, f"add to MANIFEST.in: {sorted(missing)}"
    generated = [name for name in found if name.endswith((".so", ".pyc", ".o"))
                 or name.startswith("fastad/") and name.endswith((".c", ".html"))]
    assert not generated, f"exclude in MANIFEST.in: {sorted(generated)}"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_sdist_builds_and_imports(root, tmp_path, need):
    need("Cython")
    unpacked = make_sdist(root, tmp_path)
    modules = sorted(path.stem for path in (unpacked / "fastad").glob("*.pyx"))
    assert modules, "no fastad/*.pyx: there is nothing to compile, so this test shows nothing"
    built = tmp_path / "built"
    environment = {**os.environ, "CFLAGS": "-O0", "FASTAD_DEBUG": "0"}      # -O0: this asks whether, not how fast
    run([sys.executable, "-W", "ignore", "setup.py", "--quiet", "build", "--build-lib", built],
        cwd=unpacked, env=environment)

    package = listing(built)
    assert "fastad/py.typed" in package
    stubs = {f"fastad/{name}.pyi" for name in modules}
    assert stubs <= package, f"stubs missing from the built package: {sorted(stubs - package)}"
    assert not [name for name in package if name.endswith((".pyx", ".pxi", ".h", ".c"))]

    code = ("import importlib, json, fastad\n"
            f"names = ['fastad'] + ['fastad.' + name for name in {modules!r}]\n"
            "print(json.dumps([importlib.import_module(name).__file__ for name in names]))")
    output = run([sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(built)})
    files = json.loads(output.splitlines()[-1])
    assert all(Path(file).is_relative_to(built) for file in files), files
