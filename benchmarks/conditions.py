"""Under which conditions a run takes place: how many threads, which instruction set; as the environment of a process.

Owns: the variables that NumPy, PyTorch, XLA and the C compiler obey.  They are read when a library is loaded, so each
pair of conditions is a process of its own.
Must not know: the cases, how time is taken.
Next: __main__.py (starts the processes), peers.py and c_code.py (ask for what cannot be said by a variable).
"""
import os
import platform
from dataclasses import dataclass

LEVELS = ("", "v3")         # "" is whatever the processor has


@dataclass(frozen=True)
class Conditions:
    """`threads` of every peer (fastad has one), and the instruction set: "" for the machine's own, "v3" for AVX2."""

    threads: int = 1
    cpu: str = ""

    def __str__(self):
        threads = f"{self.threads} thread" + "s" * (self.threads > 1)
        return threads + (f", {self.cpu} (AVX2)" if self.cpu else "")


def here():
    """The conditions of this process, as its parent set them; one thread where it has none."""
    return Conditions(int(os.environ.get("FASTAD_BENCH_THREADS", "1")), chosen_cpu())


def chosen_cpu():
    """What FASTAD_CPU asks for; a level that is not understood is refused rather than ignored."""
    cpu = os.environ.get("FASTAD_CPU", "")
    if cpu not in LEVELS:
        raise SystemExit(f"FASTAD_CPU={cpu!r} is not known here: leave it unset for what the processor has, or set v3 "
                         f"for AVX2 at most")
    return cpu


def environment(conditions):
    """The variables of a child process under these conditions."""
    threads = str(conditions.threads)
    changed = {
        "FASTAD_BENCH_THREADS": threads, "FASTAD_CPU": conditions.cpu, "FASTAD_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "OMP_NUM_THREADS": threads,
        "PJRT_NPROC": threads,                                  # the size of XLA's pool of threads on the CPU
        "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1",              # else the second run would not compile any more
    }
    if conditions.cpu == "v3":
        changed |= {"NPY_DISABLE_CPU_FEATURES": " ".join(numpy_features_above_v3()),
                    "ATEN_CPU_CAPABILITY": "avx2", "TORCHINDUCTOR_CPP_MARCH": "x86-64-v3",
                    "XLA_FLAGS": (os.environ.get("XLA_FLAGS", "") + " --xla_cpu_max_isa=AVX2").strip()}
    kept = {name: value for name, value in os.environ.items() if name != "NPY_DISABLE_CPU_FEATURES"}
    return {**kept, **changed}


def numpy_features_above_v3():
    """The names under which this NumPy dispatches to more than AVX2 (they differ between its versions)."""
    from numpy._core._multiarray_umath import __cpu_dispatch__
    return [name for name in __cpu_dispatch__ if name.startswith("AVX512") or name == "X86_V4"]


def compiler_target():
    """What gcc is told of the processor; by itself it would not use the whole width of AVX-512."""
    if chosen_cpu() == "v3":
        return ["-march=x86-64-v3"]
    return ["-march=native"] + ["-mprefer-vector-width=512"] * (platform.machine() == "x86_64")
