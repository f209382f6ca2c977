"""docs/performance.md: its tables from the rows of a run.  The sentences between the tables are written by people.

Owns: the tables between the marks ``<!-- table: name -->`` and ``<!-- end -->``.  A page without a mark, or with an
unknown one, is an error: a figure that nobody renews is worse than none.
Must not know: how anything was measured.
Next: pictures.py, __main__.py (``--write-docs``), ../docs/performance.md.
"""
import platform
import re
import textwrap
from importlib import metadata

import numpy as np

from benchmarks import pictures
from benchmarks.harness import build_flags, processor, quantity

NAMES = {"fastad": "fastad", "fastad_llvm": "fastad with LLVM", "numpy": "NumPy by hand", "c": "C by hand",
         "jax": "JAX", "torch_compile": "torch.compile", "torch": "PyTorch", "autograd": "autograd", "casadi": "CasADi",
         "aadc": "aadc", "deepwave": "deepwave"}
PACKAGES = ("jax", "torch", "autograd", "casadi", "aadc", "deepwave")


def write(rows, loads, directory):
    """Renew the tables of directory/performance.md and draw the pictures beside it."""
    page = directory / "performance.md"
    page.write_text(filled(page.read_text(), tables(rows, loads)))
    pictures.growth(rows, directory / "performance_growth.png")
    pictures.ratios(rows, directory / "performance_ratios.png")
    print(f"written: {page} and two pictures")


def filled(text, made):
    """The page with new tables between its marks."""
    marks = re.findall(r"<!-- table: (.+?) -->", text)
    if sorted(marks) != sorted(made):
        raise SystemExit(f"docs/performance.md has marks for {', '.join(marks)}; this run makes {', '.join(made)}")
    for name, table in made.items():
        pattern = rf"(<!-- table: {re.escape(name)} -->\n).*?(<!-- end -->)"
        text, changed = re.subn(pattern, lambda match, table=table: f"{match[1]}\n{table}\n\n{match[2]}", text,
                                flags=re.S)
        if changed != 1:
            raise SystemExit(f"docs/performance.md: the table {name!r} has no <!-- end -->")
    return text


def tables(rows, loads):
    """name of the mark: Markdown."""
    one, two, v3 = ([row for row in rows if (row.threads, row.cpu) == which] for which in ((1, ""), (2, ""), (1, "v3")))
    return {"machine": machine(loads), "one thread": by_problem(one, "gradient"),
            "two threads": by_problem(two, "gradient"), "AVX2": by_problem(v3, "gradient"),
            "first": by_problem(one, "first"), "memory": by_problem(one, "memory"), "growth": grown(one),
            "compiling": compiled(one), "levels": levels(rows)}


def machine(loads):
    """What the figures belong to, in two sentences."""
    versions = [f"{name} {metadata.version(name)}" for name in PACKAGES if found(name)]
    missing = [name for name in PACKAGES if not found(name)]
    text = (f"{processor()}, Python {platform.python_version()}, NumPy {np.__version__}; " + ", ".join(versions)
            + (f"; not installed, so not measured: {', '.join(missing)}" if missing else "") + ".  "
            + "Load of the machine before and after each run: "
            + "; ".join(f"{before:.1f}, {after:.1f}" for before, after in loads)
            + " (one is this benchmark itself).")
    text = "\n".join(textwrap.wrap(text, 120))
    return text + (f"\nNot a release build: {build_flags()}." if build_flags() else "")


def found(name):
    try:
        return bool(metadata.version(name))
    except metadata.PackageNotFoundError:
        return False


def by_problem(rows, kind):
    """A line for each problem, a column for each system; a peer's time with ours in its units."""
    chosen = [row for row in rows if row.kind == kind and row.problem]
    present = [who for who in NAMES if any(row.who == who for row in chosen)]
    lines = [[f"{'gradient' if kind == 'gradient' else kind} of", *(NAMES[who] for who in present)]]
    beside = {"gradient": ("plain f", "value"), "first": ("recording alone", "record")}.get(kind)
    if beside:
        lines[0].insert(1, beside[0])
    for problem in dict.fromkeys(row.problem for row in chosen):
        cells = {row.who: cell(row) for row in chosen if row.problem == problem}
        line = [problem.removesuffix(", Jacobian"), *(cells.get(who, "-") for who in present)]
        if beside:
            others = [row for row in rows if row.problem == problem and row.kind == beside[1]]
            line.insert(1, quantity(others[0].value, "s") if others else "-")
        lines.append(line)
    return markdown(lines)


def cell(row):
    text = quantity(row.value, row.unit)
    if row.kind == "gradient" and row.who != "fastad" and row.ratio is not None:
        text += f" ({row.ratio:.2g})"
    return f"**{text}**" if row.who == "fastad" else text


def grown(rows):
    """A line for each size, two columns of figures for each program."""
    chosen = [row for row in rows if row.kind == "growth"]
    present = [who for who in NAMES if any(row.who == who for row in chosen)]
    lines = [["", *(NAMES[who] for who in present)]]
    for problem in dict.fromkeys(row.problem for row in chosen):
        cells = {row.who: quantity(row.value, "s") for row in chosen if row.problem == problem}
        name, n = re.fullmatch(r"growth of (\w+), n=(\d+)", problem).groups()
        lines.append([f"{name}, n={int(n):,}", *(cells.get(who, "-") for who in present)])
    return markdown(lines)


def compiled(rows):
    chosen = [row for row in rows if row.kind in ("compile", "compile memory")]
    lines = [["tape of", "time for each operation", "peak memory for each"]]
    for problem in dict.fromkeys(row.problem for row in chosen):
        cells = {row.kind: quantity(row.value, row.unit) for row in chosen if row.problem == problem}
        lines.append([problem.removeprefix("compiling, "), cells["compile"], cells["compile memory"]])
    return markdown(lines)


def levels(rows):
    """Every level that was judged, those that were missed first."""
    judged = sorted((row for row in rows if row.state), key=lambda row: row.state)
    lines = [["", "measured", "level", "of", "threads of the peers"]]
    lines += [[row.state, row.judged, row.bound, f"{row.problem or row.case}: {row.what}",
               f"{row.threads}{', ' + row.cpu if row.cpu else ''}"] for row in judged]
    return markdown(lines)


def markdown(lines):
    """A table whose first line is its head."""
    text = ["| " + " | ".join(cells) + " |" for cells in lines]
    text.insert(1, "|" + "---|" * len(lines[0]))
    return "\n".join(text)
