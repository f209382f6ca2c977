"""The yardsticks in C: what somebody would write by hand if speed were all that counted.

Owns: compiling benchmarks/c/name.c with the gcc of this machine when a case asks for it, and calling it by ctypes.
The code is fused loops and derivatives by hand, -O3 for this very processor; vector mathematics from the C library
(libmvec, up to 4 ulp).  FASTAD_CPU=v3 holds it to AVX2, as it does the peers.
Must not know: the cases.
Next: c/parallel.h (threads), conditions.py (the target).
"""
import atexit
import ctypes
import functools
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.conditions import compiler_target

SOURCES = Path(__file__).resolve().parent / "c"
# No builtins: gcc would join sin and cos of one argument into a call that has no vector version.
FLAGS = ["-std=gnu11", "-O3", "-fno-builtin", "-fno-math-errno", "-fno-trapping-math", "-fopenmp-simd", "-fPIC",
         "-shared", "-Wall"]
DOUBLE = ctypes.c_double
LIBRARIES = ["-pthread", "-lmvec", "-lm"]


def compiler():
    """The path of gcc on Linux on x86-64, whose C library has the vector functions (libmvec); None elsewhere."""
    return shutil.which("gcc") if (sys.platform, platform.machine()) == ("linux", "x86_64") else None


@functools.cache
def library(name):
    """c/name.c, compiled and loaded; compiled once in each process, so that it is this processor's."""
    directory = Path(tempfile.mkdtemp(prefix="fastad-benchmarks-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    built = directory / f"{name}.so"
    command = [compiler(), *FLAGS, *compiler_target(), str(SOURCES / f"{name}.c"), "-o", str(built), *LIBRARIES]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{name}.c does not compile: {' '.join(command)}\n{done.stderr[-2000:]}")
    return ctypes.CDLL(str(built))


def function(name, symbol, *arguments, result=None):
    """A C function bound to its arguments: ints, floats and contiguous float64 or int64 arrays.  Call it with nothing.

    The arrays are held and their addresses taken once, which is as little as a caller in C would have to do.
    """
    entry = getattr(library(name), symbol)
    entry.restype = result
    converted = [converted_argument(value) for value in arguments]
    held = arguments                                            # the arrays must outlive their addresses

    def call():
        return entry(*converted) if held is not None else None
    return call


def converted_argument(value):
    if isinstance(value, np.ndarray):
        if not value.flags.c_contiguous:
            raise ValueError("C code takes contiguous arrays")
        return ctypes.c_void_p(value.ctypes.data)
    return DOUBLE(value) if isinstance(value, float) else ctypes.c_long(value)


def gradient(name, x, *arguments, threads=1):
    """A maker for `peers.compare`: ``name_gradient(n, x, g, ..., threads)`` writes the gradient g."""
    def make():
        g = np.empty_like(x)
        call = function(name, f"{name}_gradient", x.size, x, g, *arguments, threads)

        def gradient():
            call()
            return g
        return gradient
    return make
