"""Eight seismic shots summed by `ad.sum_over`: one thread, two threads, and a pool of two processes.

Stresses what sources share: processors, memory, and the tape that was recorded once.  The shots are those of the case
wave_inversion, each with a place of its own.
"""
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import numpy as np

import fastad as ad
from benchmarks.models import shot, wave_gradient

SHOTS = 8


def run(bench):
    """Level: two threads at least 1.8 times as fast as one."""
    n, steps = bench.size((200, 500), (12, 20))
    survey, c2 = shot(n, steps)
    places = [max(1, (k + 1) * n // (SHOTS + 1)) for k in range(SHOTS)]
    sources = [{"at": np.array([survey.source, place]), "data": (0.5 + 0.1 * k) * survey.data}
               for k, place in enumerate(places)]
    f = partial(misfit, wavelet=survey.wavelet, receivers=survey.receivers)
    bench.about(f"{SHOTS} acoustic shots, {n} x {n}, {steps} steps")
    total = ad.sum_over(sources, f)
    before = ad.get_num_threads()
    try:
        bench.verify("gradient of one shot", ad.sum_over([central(survey)], f).grad(c2), wave_gradient(c2, survey))
        want = sum(ad.grad(f)(c2, source) for source in sources)
        for threads in (1, 2):
            ad.set_num_threads(threads)
            bench.verify(f"gradient by {threads} threads", total.grad(c2), want)
        one, two = bench.best(partial(by_threads, total, c2, 1), partial(by_threads, total, c2, 2), at_least=4)
        ad.set_num_threads(1)
        with ProcessPoolExecutor(2, get_context("spawn")) as executor:
            processes = ad.sum_over(sources, f, executor)
            bench.verify("gradient by 2 processes", processes.grad(c2), want)
            pool = bench.best(partial(processes.grad, c2), at_least=2)
    finally:
        ad.set_num_threads(before)
        total.close()
    bench.row("value and gradient, one thread", one, who="fastad", kind="gradient")
    bench.row("value and gradient, two threads", two, ratio=two / one, to="one thread", limit=1 / 1.8)
    bench.row("value and gradient, two processes", pool, ratio=pool / one, to="one thread")
    assert total.stats().recordings == 1, "one tape serves all shots"


def by_threads(total, c2, n):
    ad.set_num_threads(n)
    return total.value_and_grad(c2)


def central(survey):
    return {"at": np.array([survey.source, survey.source]), "data": survey.data}


def misfit(c2, source, wavelet, receivers):
    """models.wave_misfit for a shot at any place."""
    old = now = np.zeros(c2.shape)
    total = 0.0
    for k in range(len(wavelet)):
        inner = now[1:-1, 1:-1]
        laplacian = now[2:, 1:-1] + now[:-2, 1:-1] + now[1:-1, 2:] + now[1:-1, :-2] - 4.0 * inner
        new = np.zeros(c2.shape)
        new[1:-1, 1:-1] = 2.0 * inner - old[1:-1, 1:-1] + c2[1:-1, 1:-1] * laplacian
        new[source["at"][0], source["at"][1]] += wavelet[k]
        old, now = now, new
        total = total + 0.5 * np.sum((now[receivers] - source["data"][k]) ** 2)
    return total
