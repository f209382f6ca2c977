"""Builds the compiled modules: every fastad/_name.pyx becomes the extension fastad._name.

Owns: compiler flags, Cython directives, what a rebuild depends on.  Metadata and tool settings are in pyproject.toml.
Must not know: what the modules do, or their names.
Next: Makefile (when this runs), tests/test_package.py (that it works from a source archive).

Environment: FASTAD_DEBUG=1 builds the checking twin; FASTAD_SKIP_EXTENSIONS=1 installs metadata only (the Makefile
then compiles in place, so that an edit recompiles one module); CFLAGS with an -O level wins over ours.
"""
import os
from glob import glob
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
DEBUG = os.environ.get("FASTAD_DEBUG", "") not in ("", "0")
CFLAGS = os.environ.get("CFLAGS", "").split()

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": DEBUG,
    "initializedcheck": DEBUG,
    "wraparound": True,         # Python containers are indexed from the end in cold code; C arrays are not touched
    "cdivision": True,          # C semantics in both builds: a debug build must compute the same numbers
    "auto_pickle": False,       # a tape pickles through its own file format; stubtest wants no hidden methods
    "autotestdict": False,      # stubtest compares the module's names with its stub
}

# Self-equality in bits (DESIGN 5) rests on -ffp-contract=off.  Never -ffast-math, and never -march=native: a wheel
# must run on another machine, and wide SIMD is chosen at import instead.
FLAGS = ["-ffp-contract=off", "-fno-math-errno", "-fvisibility=hidden",
         "-Wall", "-Wno-unused-function", "-Werror=implicit-function-declaration"]
if not any(flag.startswith("-O") for flag in CFLAGS):
    FLAGS.append("-O1" if DEBUG else "-O3")
if not any(flag.startswith("-g") for flag in CFLAGS):
    FLAGS.append("-g" if DEBUG else "-g0")      # Python's own flags carry -g, which costs compile time and megabytes


def shared_sources():
    """Files that any extension may include.  Cython sees .pxd, .pxi and named headers; not headers in headers."""
    return sorted(path for pattern in ("*.pxi", "*.pxd", "_kernels/*") for path in glob(f"fastad/{pattern}"))


def extensions():
    """One Extension per fastad/*.pyx; none when only the metadata is installed."""
    if os.environ.get("FASTAD_SKIP_EXTENSIONS", "") not in ("", "0"):
        return []
    import numpy
    macros = [("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION"), ("NPY_TARGET_VERSION", "NPY_2_0_API_VERSION")]
    if DEBUG:
        macros.append(("FASTAD_DEBUG", "1"))
    return [Extension(f"fastad.{Path(source).stem}", [source],
                      depends=["setup.py", *shared_sources()],
                      include_dirs=["fastad", numpy.get_include()],
                      define_macros=macros,
                      undef_macros=["NDEBUG"] if DEBUG else [],
                      extra_compile_args=FLAGS,
                      libraries=["m"])
            for source in sorted(glob("fastad/*.pyx"))]


class BuildExt(build_ext):
    """Cythonize and compile on all cores, at most four; start afresh when flags or directives have changed."""

    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or min(4, os.cpu_count() or 1)

    def build_extensions(self):
        from Cython import __version__ as cython_version
        from Cython.Build import cythonize

        # File times cannot tell a debug .c from a release .c, so the settings of the last build are kept beside it.
        # Regenerating the .c makes every other build directory out of date too: one record is enough.
        record = ROOT / "build" / "settings.txt"
        settings = repr((cython_version, sorted(DIRECTIVES.items()), FLAGS, CFLAGS))
        if not record.exists() or record.read_text() != settings:
            self.force = True
        jobs = min(self.parallel, len(self.extensions))
        generated = cythonize([Extension(ext.name, ext.sources, depends=ext.depends, include_dirs=ext.include_dirs)
                               for ext in self.extensions],
                              compiler_directives=DIRECTIVES, annotate=DEBUG, force=self.force,
                              nthreads=jobs if jobs > 1 else 0)
        sources = {ext.name: ext.sources for ext in generated}
        for ext in self.extensions:         # in place: setuptools keeps notes on these very objects
            ext.sources = sources[ext.name]
        super().build_extensions()
        record.parent.mkdir(exist_ok=True)
        record.write_text(settings)


if __name__ == "__main__":      # Cython's worker processes may import this file
    os.chdir(ROOT)
    setup(ext_modules=extensions(), cmdclass={"build_ext": BuildExt})
