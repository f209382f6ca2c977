"""The house rules that a reader relies on: imports go down only, SciPy stays in its rooms, files stay small.

Owns: the order of the layers.  Must not know: what is in the files beyond their import lines and their length.
Next: setup.py (what is compiled), README.md (what it is all for).

New module?  Add its name to LAYERS, as low as its imports allow.  Nothing else here needs to change.
"""
import ast
import re
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "fastad"

# From the bottom up.  A module may import from its own layer and from those above it in this list.
# Names are modules relative to fastad, as shell patterns; a .pxi or .pxd counts as the module that includes it.
LAYERS = [
    ("errors",     ["errors", "sizes"]),
    ("tape",       ["rows", "primitives", "primitives_special", "special_partials", "_tape", "verify", "verify_rules",
                     "verify_loops"]),
    ("transforms", ["checkpoints", "disk_checkpoints", "_spool", "disk",
                     "structural_rules", "matrix_expressions", "banded_rules", "linear_rules", "_transform", "_passes",
                     "_program", "llvm_numbers", "llvm_loops", "llvm_code", "_scan", "scan_rules", "scan_bursts",
                     "scan_lanes", "scan_checkpoints", "small_loops", "_segments", "segments"]),
    ("recording",  ["operands", "movers", "checking", "padding", "partitions", "quantiles", "intercepted", "coverage",
                    "rearranging", "reductions", "selection", "sorting", "counting", "products",
                    "factorizations", "least_squares", "complex_values", "complex_conversion", "complex_products",
                    "complex_bands", "complex_rows", "complex_functions", "complex_matrices", "complex_methods",
                    "fourier", "norms", "einsum", "objects", "ufuncs", "methods", "composites", "pythonic", "numpy_api",
                    "interception", "math_names", "cmath_names", "scipy_*", "sparse_products", "state", "_state"]),
    ("verbs",      ["trees", "results", "recording", "audits", "explain", "_dispatch", "function", "tapes", "verbs",
                    "complex_verbs", "library_rules", "derivatives", "control", "branches", "loop_values", "loops",
                    "eager", "linalg", "sparsity",
                    "serialize", "signature_json", "listing", "listing_text", "trace", "testing", "taylor", "nonfinite",
                    "operators", "gradients", "sum_over", "source_tasks", "executors", "memory", "memory_verbs",
                    "batching", "lanes", "lane_programs", "lane_results", "unit_vectors"]),
    ("uses",       ["_fit", "optimize", "optimize.*", "inverse", "inverse.*", "plot", "plot.*"]),
    ("names",      ["__init__"]),
]

# (importer, imported): why this one import may go up.  A call-back registered from above is nearly always better.
UPWARD = {
}

# Modules that may import SciPy at the Python level.  (cimport of its BLAS and LAPACK is free: it costs no import time.)
SCIPY_ROOMS = ["optimize", "optimize.*", "linalg", "sparsity", "operators", "plot.layering", "*scipy*"]

# Installed by an extra, so imported only inside the function that needs them.  Everything else is NumPy or the
# standard library.
OPTIONAL = {"matplotlib", "tqdm", "dask", "distributed", "mpi4py", "llvmlite"}

MAX_LINES = 600
# path: (limit, why).  Raising a limit is a reviewed line; splitting by noun is the other choice.
LONGER = {
    "fastad/_tape.pyx": (1200, "the heart: record, read back and sweep share one struct and must inline"),
}

# The C library, POSIX and the compiler's intrinsics: what the kernels may know.
C_HEADERS = ["assert.h", "complex.h", "errno.h", "fenv.h", "float.h", "inttypes.h", "limits.h", "math.h", "pthread.h",
             "sched.h", "signal.h", "std*.h", "string.h", "sys/*.h", "time.h", "unistd.h", "*intrin.h", "cpuid.h"]


# ---- reading files ---------------------------------------------------------------------------------------------------

def module_name(path, package=PACKAGE):
    """``fastad/optimize/minimize.py`` -> ``optimize.minimize``; a package's __init__ is the package itself."""
    parts = path.relative_to(package).with_suffix("").parts
    return ".".join(parts[:-1]) if len(parts) > 1 and parts[-1] == "__init__" else ".".join(parts)


def absolute(name, dots, path, package):
    """The dotted name behind ``from <dots><name> import``, written in ``path``."""
    if not dots:
        return name
    parts = [package.name, *path.relative_to(package).parent.parts]
    base = parts[:len(parts) - (dots - 1)]
    return ".".join(base + ([name] if name else []))


def python_imports(path, package=PACKAGE):
    """Yield (dotted name, at module level?) for each import statement.  ``from a import b`` yields a.b."""
    tree = ast.parse(path.read_text(), str(path))
    inner = {id(node) for scope in ast.walk(tree) if isinstance(scope, (ast.FunctionDef, ast.AsyncFunctionDef))
             for node in ast.walk(scope)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = absolute(node.module or "", node.level, path, package)
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            yield name, id(node) not in inner


CYTHON_IMPORT = re.compile(r"^[ \t]*(?:from[ \t]+(?P<dots>\.*)(?P<base>[\w.]*)[ \t]+)?"
                           r"(?P<verb>c?import)[ \t]+(?P<names>\([^)]*\)|[^\n(]+)", re.MULTILINE)


def without_strings_and_comments(text):
    text = re.sub(r'("""|\'\'\')(?:.|\n)*?\1', "", text)
    return re.sub(r"#[^\n]*", "", text)


def cython_imports(path, package=PACKAGE):
    """Yield (dotted name, cimport?) for each import or cimport line of a .pyx, .pxd or .pxi."""
    for found in CYTHON_IMPORT.finditer(without_strings_and_comments(path.read_text())):
        names = [part.split()[0] for part in found["names"].strip("() \t\n").split(",") if part.strip()]
        base = absolute(found["base"] or "", len(found["dots"] or ""), path, package)
        for name in names:
            yield (f"{base}.{name}" if base else name), found["verb"] == "cimport"


def cython_includes(path):
    """The .pxi names of ``include "x.pxi"`` lines."""
    text = without_strings_and_comments(path.read_text())
    return re.findall(r"^[ \t]*include[ \t]+[\"']([^\"']+)[\"']", text, re.MULTILINE)


def cython_files(package=PACKAGE):
    """{file: module}: a .pxi belongs to the module that includes it, directly or through another .pxi."""
    owner = {path: module_name(path, package) for suffix in ("*.pyx", "*.pxd") for path in package.rglob(suffix)}
    queue = list(owner)
    while queue:
        path = queue.pop()
        for name in cython_includes(path):
            included = path.parent / name
            if included.exists() and included not in owner:
                owner[included] = owner[path]
                queue.append(included)
    return owner


def all_imports(package=PACKAGE):
    """Yield (file, importing module, imported dotted name, at run time by Python?, at module level?)."""
    for path in sorted(package.rglob("*.py")):
        for name, top in python_imports(path, package):
            yield path, module_name(path, package), name, True, top
    for path, module in sorted(cython_files(package).items()):
        for name, cimported in cython_imports(path, package):
            yield path, module, name, not cimported, True


# ---- judging them ----------------------------------------------------------------------------------------------------

def matches(module, patterns):
    return any(fnmatchcase(module, pattern) for pattern in patterns)


def layer_of(module):
    """Position in LAYERS, or None for an unknown module."""
    return next((i for i, (_, patterns) in enumerate(LAYERS) if matches(module, patterns)), None)


def inside(name, package=PACKAGE):
    """The module of fastad that the dotted name means: ``fastad.errors.ShapeError`` -> ``errors``; None if foreign."""
    parts = name.split(".")
    if parts[0] != package.name:
        return None
    known = {module_name(path, package) for suffix in (".py", ".pyx", ".pxd") for path in package.rglob(f"*{suffix}")}
    longest_first = [".".join(parts[1:end]) for end in range(len(parts), 1, -1)]
    # A module may be named before it is written; what is neither a file nor in LAYERS is a name of the package itself.
    return next((module for module in longest_first if module in known),
                next((module for module in longest_first if layer_of(module) is not None), "__init__"))


def upward_imports(package=PACKAGE):
    """Messages for imports that go up.  Unknown modules are another test's business."""
    wrong = []
    for path, module, name, _, _ in all_imports(package):
        target = inside(name, package)
        if target is None or target == module or (module, target) in UPWARD:
            continue
        here, there = layer_of(module), layer_of(target)
        if here is not None and there is not None and there > here:
            wrong.append(f"{path.name}: {module} is in layer {LAYERS[here][0]}, below {LAYERS[there][0]} with {target}")
    return wrong


def scipy_imports(package=PACKAGE):
    return [f"{path.name} imports {name}" for path, module, name, at_run_time, _ in all_imports(package)
            if at_run_time and name.split(".")[0] == "scipy" and not matches(module, SCIPY_ROOMS)]


def foreign_imports(package=PACKAGE):
    """What is neither NumPy, SciPy, Cython's, the standard library's, nor an optional package inside a function."""
    free = {package.name, "numpy", "scipy", "cython", "libc", "cpython", "posix", "libcpp", *sys.stdlib_module_names}
    return [f"{path.name} imports {name}" for path, _, name, _, top in all_imports(package)
            if name.split(".")[0] not in free and (top or name.split(".")[0] not in OPTIONAL)]


INCLUDE = re.compile(r"^[ \t]*#[ \t]*include[ \t]+([<\"])([^>\"]+)[>\"]", re.MULTILINE)


def kernel_includes(directory):
    """Messages for #include lines of _kernels that reach Python, NumPy, or a file outside the directory."""
    wrong = []
    for path in sorted(directory.glob("*")):
        for quote, name in INCLUDE.findall(path.read_text()):
            beside = quote == '"' and "/" not in name and (directory / name).exists()
            if not beside and not matches(name, C_HEADERS):
                wrong.append(f"_kernels/{path.name} includes {name}")
    return wrong


def sized_files():
    kinds = [("fastad", ("*.py", "*.pyx", "*.pxd", "*.pxi", "*.pyi", "*.h", "*.def")),
             ("tests", ("*.py", "*.c", "*.h")), ("benchmarks", ("*.py",)), ("examples", ("*.py",))]
    return sorted(path for directory, patterns in kinds for pattern in patterns
                  for path in (ROOT / directory).rglob(pattern))


# ---- the rules -------------------------------------------------------------------------------------------------------

def test_every_module_has_a_layer():
    modules = {module_name(path) for suffix in ("*.py", "*.pyx", "*.pxd") for path in PACKAGE.rglob(suffix)}
    unknown = sorted(module for module in modules if layer_of(module) is None)
    order = " < ".join(name for name, _ in LAYERS)
    assert not unknown, (f"no layer for {unknown}: add each to LAYERS in tests/test_architecture.py, in the lowest "
                         f"layer that is not below anything it imports (from the bottom: {order})")


def test_includes_and_pxi_files_match():
    missing = [f"{path.name} includes {name}" for path in cython_files() for name in cython_includes(path)
               if not (path.parent / name).exists()]
    assert not missing, f"included, but not there: {missing}"
    orphans = sorted(path.name for path in PACKAGE.rglob("*.pxi") if path not in cython_files())
    assert not orphans, f"no .pyx includes {orphans}: include it, or delete it"


def test_imports_go_down_only():
    assert not upward_imports()


def test_exceptions_are_used_and_give_a_reason():
    pairs = {(module, inside(name)) for _, module, name, _, _ in all_imports()}
    stale = [pair for pair, why in UPWARD.items() if pair not in pairs or len(why) < 20]
    assert not stale, f"remove from UPWARD, or say why: {stale}"
    short = [name for name, (limit, why) in LONGER.items() if limit <= MAX_LINES or len(why) < 20]
    assert not short, f"remove from LONGER, or say why: {short}"


def test_only_its_rooms_import_scipy():
    assert not scipy_imports()


def test_optional_packages_are_imported_where_used_and_nothing_else_is():
    assert not foreign_imports()


def test_kernels_know_no_python():
    assert (PACKAGE / "_kernels").is_dir()
    assert not kernel_includes(PACKAGE / "_kernels")


@pytest.mark.parametrize("path", sized_files(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_file_is_one_noun(path):
    name = path.relative_to(ROOT).as_posix()
    limit, _ = LONGER.get(name, (MAX_LINES, ""))
    lines = len(path.read_text().splitlines())
    assert lines <= limit, f"{name} has {lines} lines, limit {limit}: split it by noun, or give a reason in LONGER"


# ---- the checker is checked ------------------------------------------------------------------------------------------

@pytest.fixture
def house(tmp_path):
    """A small package with one fault of each kind."""
    package = tmp_path / "fastad"
    files = {
        "__init__.py": "from .derivatives import grad\n",
        "errors.py": "",
        "derivatives.py": "from . import errors, _tape\n",
        # Upward, although inside a function.
        "numpy_api.py": "def late():\n    from fastad.derivatives import grad\n",
        "_tape.pyx": '"""from fastad.plot import x"""\ninclude "_scalar.pxi"\nimport numpy as np\n'
                     "cimport numpy as cnp\nfrom scipy.linalg.cython_blas cimport ddot\n"
                     "from .errors import (\n    ShapeError,\n)\n",
        # SciPy at the Python level, and upward to a module.
        "_scalar.pxi": "from scipy import special\nfrom fastad._program cimport run  # comment\n",
        "_program.pyx": "from fastad._tape cimport Tape\n",
        # Foreign; and an optional package, in order and out of order.
        "plot.py": "import requests\n\ndef draw():\n    import matplotlib.pyplot as plt\n",
        "testing.py": "import matplotlib\n",
        "optimize/__init__.py": "from .. import derivatives\nimport scipy.optimize\n",
        "_kernels/good.h": "#include <stdint.h>\n#include <immintrin.h>\n#include \"sweep.h\"\n",
        "_kernels/sweep.h": "  # include <Python.h>\n#include \"../outside.h\"\n",
    }
    for name, text in files.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    return package


def test_checker_finds_upward_imports(house):
    found = upward_imports(house)
    assert [message.split(":")[0] for message in found] == ["numpy_api.py", "_scalar.pxi"], found


def test_checker_finds_scipy_and_foreign_imports(house):
    assert scipy_imports(house) == ["_scalar.pxi imports scipy.special"]
    assert foreign_imports(house) == ["plot.py imports requests", "testing.py imports matplotlib"]


def test_checker_finds_python_in_kernels(house):
    assert kernel_includes(house / "_kernels") == ["_kernels/sweep.h includes Python.h",
                                                   "_kernels/sweep.h includes ../outside.h"]
