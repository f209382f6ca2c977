"""A part of what `python -m tests.signatures` runs: keywords of all recorded functions, on many shapes.

Next: signatures.py (the expressions and the judge).
"""
import collections

import numpy as np
import pytest

from fastad import coverage
from tests import signatures


def test_numpys_result_or_a_loud_refusal():
    counts, faults = collections.Counter(), []
    for _, call, shape, kind, text in signatures.verdicts(0.015, seed=1):
        counts[kind] += 1
        if kind.startswith("FAULT"):
            faults.append(f"{kind}: {call} on {shape}: {text}")
    assert not faults, "\n".join(faults)
    assert counts["same"] > 600 and counts["error"] > 600 and counts["refused"] > 100


def test_every_recorded_function_has_a_call():
    called = set(signatures.BEFORE)
    without = {e.name for e in coverage.entries() if e.kind == coverage.RECORDS and not e.name.startswith("ndarray.")
               and not isinstance(signatures.function(e.name), np.ufunc)} - called
    assert without <= {"put", "place", "putmask", "copyto", "put_along_axis", "fill_diagonal", "fill", "r_", "c_",
                       "arange", "polyfit",
                       "asarray_chkfinite", "fromfunction", "fromiter", "ndenumerate", "row_stack", "trapz",
                       "vectorize",
                       "poly"} | {name for name in without if name.startswith(("linalg.", "fft."))}


def test_every_keyword_has_values():
    """A keyword that a new NumPy adds is noticed."""
    known = {"x", "y", "xp", "fp", "args", "kwargs", "varargs", "like"}
    for name, starts in signatures.BEFORE.items():
        f = signatures.function(name)
        if f is None or not starts:
            continue
        for start in starts:
            count = len(eval(f"_count({start})", {"_count": signatures._Count, **signatures.NAMES}).args)
            for p in signatures.parameters(f)[count:]:
                if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD, p.POSITIONAL_ONLY):
                    assert p.name in signatures.POOL or p.name in signatures.OWN.get(name, ()) or p.name in known, \
                        f"np.{name}: no values of {p.name}= in tests/signatures.py"


FIRST = {name: call for name, call in reversed(list(signatures.calls())) if call.count("=") == 0}


@pytest.mark.parametrize("name", FIRST)
def test_arrays_without_elements(name):
    """NumPy's value or NumPy's error, or loud."""
    for shape in ("(0,)", "(3, 0)", "(0, 2, 2)"):
        kind, text = signatures.verdict(FIRST[name], shape)
        assert not kind.startswith("FAULT"), f"{FIRST[name]} on {shape}: {kind}: {text}"


@pytest.mark.parametrize("call", ["np.sum(x, axis=7)", "x.sum(dtype='U3')", "np.add.reduce(x, axis=(0, 0))"])
def test_the_judge_notices(call):
    assert signatures.verdict(call, "(2, 3)")[0] == "error"
    assert signatures.differs(np.zeros((2, 3)), np.zeros((3, 2))) and signatures.differs(1.0, 1.1)
    assert signatures.differs(np.zeros((2, 3)), np.zeros((2, 3), order="F"))
