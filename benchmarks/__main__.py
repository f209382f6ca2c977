"""The command: ``python -m benchmarks [case ...] [--peers a,b] [--threads 1,2] [--quick] [--write-docs]``, and more.

Owns: the command line, the processes of a run (one for each number of threads), the exit status (1 when an answer was
wrong or a case broke; a missed level is printed, not punished: machines differ).  Must not know: what a case measures.
Next: conditions.py (what a process is told), harness.py, cases/__init__.py (the cases by name), report.py (the page).
"""
import argparse
import json
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from benchmarks import cases, conditions, peers, report
from benchmarks.harness import ROOT, Bench, Row, describe_machine, load


def parse(arguments):
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="fastad's levels and ratios to the installed peers, in one table.",
        epilog="FASTAD_CPU=v3 in the environment holds NumPy, the peers and the C code to AVX2.")
    parser.add_argument("cases", nargs="*", metavar="case", help=f"any of: {', '.join(cases.CASES)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="smallest sizes, few repeats: shows that everything runs")
    parser.add_argument("--peers", metavar="a,b", help=f"only these of {', '.join(peers.NAMES)}; '' for none")
    parser.add_argument("--threads", metavar="n,m", help="threads of the peers, one run for each (default: 1, and then "
                        "2 for the cases in which a peer uses them)")
    parser.add_argument("--write-docs", action="store_true", help="one thread, two, and AVX2; then write "
                        "docs/performance.md and its pictures")
    parser.add_argument("--rows", metavar="file", help="write the rows as JSON, too")
    parser.add_argument("--in-process", action="store_true", help="no child process, for a debugger or a profiler: "
                        "the threads and instruction sets are what they are")
    parser.add_argument("--traceback", action="store_true", help="where something broke, in full")
    parser.add_argument("--list", action="store_true", help="say what each case stresses, and stop")
    options = parser.parse_args(arguments)
    wanted = peers.NAMES if options.peers is None else [name for name in options.peers.split(",") if name]
    for given, known, what in ((options.cases, cases.CASES, "case"), (wanted, peers.NAMES, "peer")):
        for name in given:
            if name not in known:
                parser.error(f"no {what} {name!r}; there are {', '.join(known)}")
    if options.write_docs and (options.cases or options.threads or options.quick or options.in_process):
        parser.error("--write-docs writes the whole page: give it no cases, threads, --quick or --in-process")
    try:
        options.threads = options.threads and [int(n) for n in options.threads.split(",")]
        if options.threads and min(options.threads) < 1:
            raise ValueError
    except ValueError:
        parser.error("--threads takes positive numbers, such as 1,2")
    return options, wanted


def plan(options):
    """The runs: conditions and the cases under them."""
    names = options.cases or list(cases.CASES)
    threaded = [name for name in names if cases.uses_threads(name)]
    cpu = conditions.chosen_cpu()
    if options.threads:
        runs = [(conditions.Conditions(n, cpu), names) for n in options.threads]
    else:
        runs = [(conditions.Conditions(1, cpu), names), (conditions.Conditions(2, cpu), threaded)]
    if options.write_docs and not cpu:
        runs.append((conditions.Conditions(1, "v3"), threaded))
    return [run for run in runs if run[1]]


def run_children(options, wanted):
    """One process for each run; their rows, the loads around them, and whether all of them were right."""
    rows, loads, right = [], [], True
    for setting, names in plan(options):
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory) / "rows.json"
            command = [sys.executable, "-m", "benchmarks", *names, "--in-process", "--rows", str(file),
                       "--peers", ",".join(wanted)]
            command += [flag for flag, given in (("--quick", options.quick), ("--traceback", options.traceback))
                        if given]
            done = subprocess.run(command, cwd=ROOT, env=conditions.environment(setting))
            right = right and done.returncode == 0
            if file.exists():
                result = json.loads(file.read_text())
                rows += [Row(**row) for row in result["rows"]]
                loads += result["loads"]
            else:
                print(f"the run with {setting} ended without its rows (status {done.returncode})", flush=True)
    return rows, loads, right


def run_here(options, wanted):
    """The cases one after the other in this process; a case that fails does not take the others with it."""
    present, before = peers.installed(wanted), load()
    print(describe_machine(present, [name for name in wanted if name not in present], conditions.here()), flush=True)
    bench = Bench(options.quick, present, partial(print, flush=True), options.traceback, conditions.here())
    for name in options.cases or list(cases.CASES):
        with bench.part(name):
            bench.start(name)
            cases.CASES[name].run(bench)
    print(bench.summary(), flush=True)
    return bench.rows, [(before, load())], not bench.failures


def main(arguments=None):
    options, wanted = parse(arguments)
    if options.list:
        for name, module in cases.CASES.items():
            print(f"{name:16} {(module.__doc__ or '').splitlines()[0]}")
        return 0
    rows, loads, right = (run_here if options.in_process else run_children)(options, wanted)
    if options.rows:
        Path(options.rows).write_text(json.dumps({"loads": loads, "rows": [vars(row) for row in rows]}, indent=0))
    if options.write_docs:
        report.write(rows, loads, ROOT / "docs")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
