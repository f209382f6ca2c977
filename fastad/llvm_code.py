"""llvm_code.py - machine code by LLVM, where Python's package llvmlite is installed: `pip install 'fastad[jit]'`.

Owns: when compiling pays, the compiler, the code that has been made, what happens when LLVM fails.
Must not know: what is compiled (llvm_loops.py writes the text), who runs it (_native.pxi).
Nothing here is imported before a loop has run so long that compiling it may pay; llvmlite not before it does pay.
Next: llvm_loops.py.
"""
from __future__ import annotations

import importlib.util
import os
import sys
import threading
import time
import warnings
import weakref
from typing import Any

__all__ = ["LLVMWarning", "Code", "available", "compile_text", "price"]

# Measured on a 2-core Zen 4 machine with llvmlite 0.50 (LLVM 22): seconds for the import, for any function, for each
# instruction of a step.
IMPORT, EACH_FUNCTION, EACH_INSTRUCTION = 0.05, 0.004, 60e-6

lock = threading.RLock()                 # one compilation at a time; a fork waits for it
os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)
known: weakref.WeakValueDictionary[str, Code] = weakref.WeakValueDictionary()
broken = ""                              # why LLVM is not asked any more


class LLVMWarning(RuntimeWarning):
    """LLVM or llvmlite failed: everything runs, and goes on running, in fastad's own virtual machine."""


class Code:
    """A function in memory.

    Attributes
    ----------
    address : int
    seconds : float
        That it took to compile.
    """

    def __init__(self, address: int, seconds: float, engine: Any) -> None:
        self.address, self.seconds, self.engine = address, seconds, engine

    def __del__(self) -> None:
        if lock is not None:             # (the interpreter ends)
            with lock:                   # llvmlite has a lock of its own, which no fork may leave in a child
                self.engine.close()


def available() -> bool:
    """Is llvmlite installed, and has it not failed?"""
    return not broken and ("llvmlite" in sys.modules or importlib.util.find_spec("llvmlite") is not None)


def price(instructions: int) -> float:
    """About the seconds that it takes to compile a function of so many instructions."""
    return EACH_FUNCTION + EACH_INSTRUCTION * instructions + (0.0 if "llvmlite.binding" in sys.modules else IMPORT)


def compile_text(text: str, name: str) -> Code | None:
    """The function `name` of a module of LLVM's.

    Parameters
    ----------
    text : str
        The module, which is also the key of what is known.
    name : str

    Returns
    -------
    Code or None
        None where LLVM failed; a warning has said so, the first time.
    """
    global broken
    with lock:
        found = known.get(text)
        if found is None and not broken:
            try:
                found = known[text] = made(text, name)
            except Exception as error:
                broken = f"{type(error).__name__}: {error}"
                warnings.warn(f"fastad: LLVM failed and will not be used any more, computing goes on without it "
                              f"({broken}). FASTAD_JIT=0 switches it off.", LLVMWarning, stacklevel=2)
        return found


def made(text: str, name: str) -> Code:
    """The same, compiled."""
    begin = time.perf_counter()
    import llvmlite.binding as llvm
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    module = llvm.parse_assembly(text)
    module.verify()                      # (the compiler ends the process where something is wrong)
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=2, jit=True,
        codemodel="jitdefault")
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    address = engine.get_function_address(name)
    if not address:
        raise RuntimeError(f"LLVM made no function {name}")
    return Code(address, time.perf_counter() - begin, engine)
