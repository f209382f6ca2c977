"""Waves whose steps find room in a tenth of the memory and in files: what transfers cost where the system's cache has
them (a directory of the system's for temporary files; whether there is a disk behind it, and how fast, is not asked).

Stresses how much of writing and reading is hidden beside the sweep.
"""
import tempfile
from functools import partial

import fastad as ad
from benchmarks.cases.scan import waves_by_scan
from benchmarks.models import shot, wave_gradient, wave_misfit


def run(bench):
    """Level: at most 1.3 x the gradient that keeps everything in memory."""
    n, steps = bench.size((200, 500), (12, 40))
    survey, c2 = shot(n, steps)
    bench.about(f"acoustic waves, {n} x {n}, {steps} steps")
    with tempfile.TemporaryDirectory() as folder:
        for kind, model in (("by scan", waves_by_scan), ("unrolled", wave_misfit)):
            on_disk(bench, kind, partial(model, survey=survey), c2, wave_gradient(c2, survey), folder)


def on_disk(bench, kind, f, x, answer, folder):
    """The same gradient, bit for bit, in a tenth of the memory (or in the least, if that is more)."""
    whole = ad.grad(f, audit=False, memory="1TB")
    want, peak = whole(x), whole.stats().memory.peak
    bench.verify(f"gradient {kind}", want, answer)
    budget = peak // 10
    try:
        tight = ad.grad(f, audit=False, memory=budget, disk=folder)
        got = tight(x)
    except ad.BudgetError as error:
        tight = ad.grad(f, audit=False, memory=error.smallest, disk=folder)
        got = tight(x)
    if got.tobytes() != want.tobytes():
        raise AssertionError(f"{kind}: the gradient with a disk has other bits")
    time, kept = bench.best(partial(tight, x), partial(whole, x), at_least=3)
    report = tight.stats().memory
    bench.row(f"{kind}, in {report.peak / peak:.2f} of its memory, {report.recomputed:.2f} runs of each step", time,
              level=1.3 * kept, ratio=time / kept, to="all in memory", who="fastad", kind="on disk")
    bench.row(f"{kind}, its files", report.disk, "B")
    tight.clear()
