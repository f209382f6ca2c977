"""scipy_late.py - a module of SciPy that is first used inside of a recorded function.

Owns: the door of SciPy's own `__getattr__`, which imports `scipy.stats` and the like when they are first asked for.
Must not know: what the modules have in them.  Next: scipy_doors.py.
"""
from __future__ import annotations

from typing import Any

from fastad import scipy_doors


@scipy_doors.records("scipy", "__getattr__", applies=lambda args, kwargs: True)
def module(name: str) -> Any:
    """The module, its doors open."""
    found = scipy_doors.original("scipy", "__getattr__")(name)
    scipy_doors.install()
    return found
