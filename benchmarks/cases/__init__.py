"""The cases by name, in the order of a run.  Each module has ``run(bench)`` and says above it what it stresses.

A module with ``THREADS = True`` has peers that use several threads, and runs again with two of them.
Next: ../harness.py (what a case is given), ../programs.py and ../models.py (the functions), ../README.md (the table).
"""
from benchmarks.cases import (
    bridge,
    bundle_adjustment,
    calls,
    compiling,
    fft_convolution,
    gaussian_mixture,
    gaussian_process,
    growth,
    imports,
    lotka_volterra,
    machine,
    many_sources,
    mesh,
    network,
    nist,
    on_disk,
    parameter_vectors,
    prefix_sums,
    rays,
    recording,
    recordings,
    rosenbrock,
    scan,
    stencil,
    tier0,
    transcendental,
    ulp,
    wave_inversion,
    wave_spellings,
)

_IN_ORDER = (machine, imports, recording, calls, tier0, compiling, recordings, lotka_volterra, rosenbrock,
             transcendental, ulp, stencil, prefix_sums, fft_convolution, bridge, nist, network, mesh, rays,
             gaussian_mixture, gaussian_process, bundle_adjustment, wave_inversion, wave_spellings, many_sources, scan,
             on_disk, parameter_vectors, growth)
CASES = {module.__name__.rpartition(".")[2]: module for module in _IN_ORDER}


def uses_threads(name):
    """Whether a peer of this case is faster with more threads."""
    return getattr(CASES[name], "THREADS", False)
