"""The command: ``python -m benchmarks [case ...] [--quick] [--peers a,b] [--list] [--traceback]``.

Owns: the command line, the order of the run, the exit status (1 when an answer was wrong or a case broke; a missed
level is printed, not punished: machines differ).  Must not know: what a case measures.
Next: harness.py, cases/__init__.py (the cases by name).
"""
import os

# Before NumPy is imported: one BLAS thread, so that small cases measure programs and not thread pools.
for _name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import argparse  # noqa: E402
import sys  # noqa: E402
from functools import partial  # noqa: E402

from benchmarks import cases, peers  # noqa: E402
from benchmarks.harness import Bench, describe_machine  # noqa: E402


def parse(arguments):
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="fastad's levels, in one table.")
    parser.add_argument("cases", nargs="*", metavar="case", help=f"any of: {', '.join(cases.CASES)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="smallest sizes, few repeats: shows that everything runs")
    parser.add_argument("--peers", metavar="a,b", help=f"only these of {', '.join(peers.NAMES)}; '' for none")
    parser.add_argument("--traceback", action="store_true", help="where something broke, in full")
    parser.add_argument("--list", action="store_true", help="say what each case stresses, and stop")
    options = parser.parse_args(arguments)
    wanted = peers.NAMES if options.peers is None else [name for name in options.peers.split(",") if name]
    for given, known, what in ((options.cases, cases.CASES, "case"), (wanted, peers.NAMES, "peer")):
        for name in given:
            if name not in known:
                parser.error(f"no {what} {name!r}; there are {', '.join(known)}")
    return options, wanted


def run(bench, names):
    """Run the cases one after the other; a case that fails does not take the others with it."""
    for name in names:
        with bench.part(name):
            bench.start(name)
            cases.CASES[name].run(bench)


def main(arguments=None):
    options, wanted = parse(arguments)
    if options.list:
        for name, module in cases.CASES.items():
            print(f"{name:16} {(module.__doc__ or '').splitlines()[0]}")
        return 0
    present = peers.installed(wanted)
    print(describe_machine(present, [name for name in wanted if name not in present]))
    bench = Bench(options.quick, present, partial(print, flush=True), options.traceback)
    run(bench, options.cases or list(cases.CASES))
    print(bench.summary())
    return 1 if bench.failures else 0


if __name__ == "__main__":
    sys.exit(main())
