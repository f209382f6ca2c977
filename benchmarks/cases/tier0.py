"""The tape's own sweeps over scalar instructions, and its size: long chains of operations on rank-0 values.

Stresses recording without end (growth of the buffers, page faults), the interpreter loops of the forward and reverse
sweep, in cache (10^4 operations) and out of it (10^6), and the bytes that an instruction takes.
"""
from functools import partial

import fastad as ad
from benchmarks.harness import twin
from benchmarks.programs import CHAIN_POINT, chain, complex_step, elementary_chain


def run(bench):
    """Levels at 10^6 operations of + - * /; the same with elementary functions, and in cache, for information."""
    for operations in bench.size([10_000, 1_000_000], [200]):
        sweeps(bench, "+ - * /", chain, operations, levels=True)
    sweeps(bench, "+ - * / sin sqrt", elementary_chain, bench.size(10_000, 200), levels=False)


def sweeps(bench, kind, program, operations, levels):
    """Rows for one chain: the sweeps for each instruction, its bytes, and the way from Python to the first gradient."""
    p, f = CHAIN_POINT, partial(program, rounds=operations // 10)
    name = f"{operations:.0e} {kind}".replace("e+0", "e")
    tape = ad.record(f, p)

    def forward_and_reverse(p):
        tape.forward(p)
        return tape.reverse(1.0)

    for point in (p, 1.01 * p):
        want = complex_step(f, point.tolist())
        bench.verify(f"chain of {name}, two sweeps", forward_and_reverse(point), want, rtol=1e-8)
        bench.verify(f"chain of {name}, tape.gradient", tape.gradient(point), want, rtol=1e-8)
    bench.verify("instructions", min(len(tape), operations), operations)
    both, alone = bench.best(lambda: forward_and_reverse(p), lambda: tape.forward(p), seconds=0.5)
    bench.row(f"{name}: forward + reverse, each", both / len(tape), level=15e-9 if levels else None)
    bench.row(f"{name}: forward alone, each", alone / len(tape))
    bench.row(f"{name}: bytes per instruction", tape.nbytes / len(tape), "B", level=24)
    if operations >= 1_000_000 or bench.quick:
        bench.note(str(tape.stats()))
    twin_f, values = partial(twin(program), rounds=operations // 10), p.tolist()
    record, first, plain = bench.best(lambda: ad.record(f, p), lambda: ad.record(f, p).gradient(p),
                                      lambda: twin_f(values), at_least=3)
    bench.row(f"{name}: record", record, ratio=record / plain, to="plain Python")
    bench.row(f"{name}: record + one gradient", first, level=0.15 if operations >= 1_000_000 else None,
              ratio=first / plain, to="plain Python")
