"""``import fastad`` beyond NumPy and scipy.optimize: what every script pays before its first line.

Stresses work done at import: tables filled, templates recorded, self-tests, modules that could be loaded later.
"""
import os
import statistics
import subprocess
import sys

from benchmarks.harness import ROOT

SCRIPT = """
from time import perf_counter
start = perf_counter()
import numpy, scipy.optimize
between = perf_counter()
import fastad
print(between - start, perf_counter() - between)
"""


def import_times():
    """Seconds for NumPy and scipy.optimize, and for fastad after them, in a fresh interpreter."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True,
                          env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)})
    base, ours = map(float, done.stdout.split())
    return base, ours


def run(bench):
    import_times()                              # warm: bytecode written, files in the page cache
    times = [import_times() for _ in range(bench.size(9, 1))]
    base = statistics.median(t[0] for t in times)
    ours = statistics.median(t[1] for t in times)
    bench.row("import numpy, scipy.optimize (median)", base)
    bench.row("import fastad beyond these (median)", ours, level=60e-3, ratio=ours / base, to="NumPy + SciPy")
