"""Where two threads begin to win: ``python -m benchmarks.sharing``, on a quiet machine with two cores or more.

Owns: loops from 10² to 10⁶ elements, cheap and dear, on one thread and on two that are made to share them, beside what
fastad's cost model would do.  Must not know: the model (fastad/_loop_writer.pxi, `share_from`).
Next: harness.py (the other benchmarks).
"""
import argparse
import time

import numpy as np

import fastad as ad
from fastad._program import Program, share_from

LOOPS = {
    "cheap": lambda x: (x + 0.5) * x - 1.0,
    "roots": lambda x: np.sqrt(x * x + 1.0) / (x + 2.0),
    "dear": lambda x: np.tanh(x) * np.exp(-x),
}


def best(program: Program, x: list[np.ndarray], seconds: float) -> float:
    """Microseconds of one run: the least of many."""
    out = [np.empty_like(x[0])]
    program.run(x, out)
    least, end = np.inf, time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        program.run(x, out)
        least = min(least, time.perf_counter() - start)
    return 1e6 * least


def rows(sizes: list[int], seconds: float) -> list[tuple[str, int, float, float, bool]]:
    """Name, elements, microseconds on one thread and on two, does the model share it?"""
    found = []
    before = ad.get_num_threads()
    for name, function in LOOPS.items():
        for n in sizes:
            x = [np.linspace(0.1, 1.0, n)]
            tape = ad.record(function, *x)
            shares = Program(tape).stats()["shared_loops"] == 1
            usual = share_from(0)
            try:
                program = Program(tape)
                ad.set_num_threads(1)
                one = best(program, x, seconds)
                ad.set_num_threads(2)
                two = best(program, x, seconds)
            finally:
                share_from(usual)
                ad.set_num_threads(before)
            found.append((name, n, one, two, shares))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sharing", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two sizes, for a moment")
    quick = parser.parse_args().quick
    sizes = [100, 30_000] if quick else [100, 1000, 3000, 10_000, 20_000, 30_000, 50_000, 100_000, 300_000, 1_000_000]
    print("loop     elements   one thread   two threads   ratio   shared by the model")
    for name, n, one, two, shares in rows(sizes, 0.02 if quick else 0.5):
        print(f"{name:6} {n:10} {one:9.1f} us {two:10.1f} us {two / one:7.2f}   {'yes' if shares else 'no'}")


if __name__ == "__main__":
    main()
