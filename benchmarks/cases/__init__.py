"""The cases by name, in the order of a run.  Each module has ``run(bench)`` and says above it what it stresses.

Next: ../harness.py (what a case is given), ../programs.py (the functions), ../README.md (the cases in a table).
"""
from benchmarks.cases import (
    bridge,
    calls,
    imports,
    lotka_volterra,
    machine,
    nist,
    recording,
    recordings,
    rosenbrock,
    tier0,
    transcendental,
)

_IN_ORDER = (machine, imports, recording, calls, tier0, recordings, lotka_volterra, rosenbrock, transcendental, bridge,
             nist)
CASES = {module.__name__.rpartition(".")[2]: module for module in _IN_ORDER}
