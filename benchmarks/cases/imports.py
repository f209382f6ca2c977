"""``import fastad`` beyond NumPy and scipy.optimize: what every script pays before its first line.

Stresses work done at import: tables filled, templates recorded, self-tests, modules that could be loaded later.
"""
import os
import statistics
import subprocess
import sys
import tempfile

from benchmarks.harness import ROOT

SCRIPT = """
from time import perf_counter
start = perf_counter()
import numpy, scipy.optimize
between = perf_counter()
import fastad
print(between - start, perf_counter() - between)
"""


def import_times(cache):
    """Seconds for NumPy and scipy.optimize, and for fastad after them, in a fresh interpreter."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = cache
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, env=environment)
    base, ours = map(float, done.stdout.split())
    return base, ours


def run(bench):
    """Medians of warm imports: files in the page cache, bytecode written, as it is after an installation."""
    with tempfile.TemporaryDirectory() as cache:        # the checkout may be read-only, or bytecode switched off
        if not bench.quick:
            import_times(cache)
        times = [import_times(cache) for _ in range(bench.size(11, 1))]
    base = statistics.median(t[0] for t in times)
    ours = statistics.median(t[1] for t in times)
    bench.row("import numpy, scipy.optimize (median)", base)
    bench.row("import fastad beyond these (median)", ours, level=60e-3, ratio=ours / base, to="NumPy + SciPy")
