"""sizes.py - numbers of bytes as people write and read them.

Owns: the units.  Must not know: what the bytes are for.
Next: memory.py, disk.py.
"""
from __future__ import annotations

import re
from typing import Any

import numpy as np

__all__ = ["bytes_of", "size"]

UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
         "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}


def bytes_of(given: Any, name: str = "memory") -> int | None:
    """A number of bytes from what the user gives as `memory`, or under another name.

    Parameters
    ----------
    given : int, str or None
        Bytes, or text like "500MB", "1.5 GiB"; None: no bound.
    name : str, optional
        For the error.

    Raises
    ------
    TypeError, ValueError
        It is neither, or no positive number of bytes.

    Examples
    --------
    >>> bytes_of("500MB"), bytes_of("1.5 GiB"), bytes_of(4096), bytes_of(None)
    (500000000, 1610612736, 4096, None)
    """
    if given is None:
        return None
    if isinstance(given, str):
        found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([A-Za-z]*)\s*", given)
        if found is None or found[2].lower() not in UNITS:
            raise ValueError(f"{name}={given!r}: write a number of bytes, or text like '500MB', '2 GiB'")
        count = float(found[1]) * UNITS[found[2].lower()]
    elif isinstance(given, (int, np.integer)) and not isinstance(given, bool) \
            or isinstance(given, (float, np.floating)) and float(given).is_integer():          # 1e9
        count = int(given)
    else:
        raise TypeError(f"{name}={given!r}: write a number of bytes, or text like '500MB', '2 GiB'")
    if count < 1:
        raise ValueError(f"{name}={given!r}: at least one byte is meant")
    return int(count)


def size(n: float) -> str:
    """Bytes for people.

    Examples
    --------
    >>> size(512), size(16_700_000)
    ('512 B', '16.7 MB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if n < 1000:
            return f"{n:.3g} {unit}"
        n /= 1000
    return f"{n:.3g} TB"
