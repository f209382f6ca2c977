"""What every test file shares: paths, the skip-or-fail rule for tools, seeds, hypothesis profiles.

Owns: fixtures that know nothing of fastad.  Must not import fastad: a build that failed is one failed test, not none.
Next: reference.py (the slow, obvious tape), test_architecture.py (what the house rules are).
"""
import importlib.util
import os
from pathlib import Path

# Before NumPy is imported: BLAS equals itself in bits only at a fixed number of threads, and pytest-xdist already
# keeps every core busy.  Figures are drawn without a display.
for _name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "FASTAD_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("MPLBACKEND", "Agg")
# What is tested is the virtual machine, whether llvmlite is installed or not; test_native.py switches LLVM on itself,
# and FASTAD_JIT=always does for any test.
os.environ.setdefault("FASTAD_JIT", "0")

import hypothesis  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

IN_CI = os.environ.get("FASTAD_CI", "") not in ("", "0")

# Deadlines measure the machine, not the code.  CI draws the same examples each time, so that red means a change.
hypothesis.settings.register_profile("default", deadline=None, print_blob=True)
hypothesis.settings.register_profile("ci", deadline=None, print_blob=True, derandomize=True)
hypothesis.settings.load_profile("ci" if IN_CI else "default")


def pytest_collection_modifyitems(items):
    """Slow tests first: with several workers a slow test that starts last is waited for."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(scope="session")
def root():
    """The top of the checkout (or of an unpacked source archive)."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def need():
    """Call ``need("mypy")``: skips the test where the package is missing, and fails it in CI (FASTAD_CI=1)."""
    def check(package):
        if importlib.util.find_spec(package) is None:
            message = f"{package} is not installed; pip install -e '.[test,dev]'"
            if IN_CI:
                pytest.fail(f"{message} (FASTAD_CI=1 turns this skip into a failure)")
            pytest.skip(message)
    return check


@pytest.fixture
def rng(request):
    """A generator seeded by the test's own name: the same numbers in any order of tests and on any worker."""
    return np.random.default_rng(list(request.node.nodeid.encode()))


@pytest.fixture
def threads():
    """`ad.set_num_threads`; how many there were comes back."""
    import fastad as ad
    before = ad.get_num_threads()
    yield ad.set_num_threads
    ad.set_num_threads(before)


@pytest.fixture
def compiling_is_free(monkeypatch):
    """The policy compiles after its few calls of patience, whatever the times are."""
    from fastad import function
    monkeypatch.setattr(function, "COMPILE_ONCE", 0.0)
    monkeypatch.setattr(function, "COMPILE_EACH", 0.0)
    monkeypatch.setattr(function, "COMPILE_ARRAY", 0.0)
