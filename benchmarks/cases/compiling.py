"""tape.compile() of a time loop of scalars, from 10^3 to 10^6 operations: time and memory for each operation.

Stresses whatever in the transformation, the passes and the plan is not linear in the length of the tape.
"""
from functools import partial

import fastad as ad
from benchmarks.harness import peak_memory
from benchmarks.programs import CHAIN_POINT, chain, complex_step


def run(bench):
    """Levels at every size: 300 ns and, from 10^5 on, 250 bytes at the peak; below, pages are coarser than that."""
    for operations in bench.size([1_000, 10_000, 100_000, 1_000_000], [200]):
        f, name = partial(chain, rounds=operations // 10), f"{operations:.0e}".replace("e+0", "e")
        tape = ad.record(f, CHAIN_POINT)
        _, peak = peak_memory(tape.compile)
        bench.verify(f"compiled chain of {name}", tape.gradient(CHAIN_POINT), complex_step(f, CHAIN_POINT.tolist()),
                     rtol=1e-8)
        each = bench.best(lambda f=f: bench.clock(ad.record(f, CHAIN_POINT).compile), at_least=3) / len(tape)
        bench.about(f"compiling, {name} operations")
        bench.row(f"{name} operations: tape.compile(), each", each, level=300e-9, who="fastad", kind="compile")
        bench.row(f"{name} operations: peak memory, each", peak / len(tape), "B",
                  level=250 if operations >= 100_000 else None, who="fastad", kind="compile memory")
