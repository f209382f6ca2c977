"""The same waves written in other ways: what a geophysicist writes around a stencil must not decide how fast it is.

Stresses the passes that make one loop of a step: edges that are set, arrays that are copied, padded or rotated, a
Laplacian that is an array of its own, filters of SciPy, a history of all waves.
"""
from functools import partial

import numpy as np
from scipy import signal

import fastad as ad
from benchmarks import c_code
from benchmarks.cases.wave_inversion import of_c
from benchmarks.models import laplacian_of, shot, wave_gradient, wave_misfit

THREADS = True
WEIGHTS = np.array([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])


def inside(c2, old, now):
    return (2.0 * now - old + c2 * laplacian_of(now))[1:-1, 1:-1]


def whole_laplacian(c2, old, now, new):
    new = np.zeros_like(now)
    new[1:-1, 1:-1] = inside(c2, old, now)
    return new


def padded(c2, old, now, new):
    return np.pad(inside(c2, old, now), 1)


def in_place(c2, old, now, new):
    """Into the older wave; the edges are held, one by one."""
    inner = now[1:-1, 1:-1]
    laplacian = now[2:, 1:-1] + now[:-2, 1:-1] + now[1:-1, 2:] + now[1:-1, :-2] - 4.0 * inner
    old[1:-1, 1:-1] = 2.0 * inner - old[1:-1, 1:-1] + c2[1:-1, 1:-1] * laplacian
    old[0, :] = old[-1, :] = old[:, 0] = old[:, -1] = 0.0
    return old


def with_differences(c2, old, now, new):
    laplacian = np.diff(now, 2, axis=0)[:, 1:-1] + np.diff(now, 2, axis=1)[1:-1]
    new = np.zeros_like(now)
    new[1:-1, 1:-1] = (2.0 * now - old)[1:-1, 1:-1] + c2[1:-1, 1:-1] * laplacian
    return new


def with_weights(c2, old, now, new):
    new = 2.0 * now - old + c2 * signal.convolve2d(now, WEIGHTS, mode="same")
    new[0] = new[-1] = new[:, 0] = new[:, -1] = 0.0
    return new


def copied(c2, old, now, new):
    new[1:-1, 1:-1] = inside(c2, old, now)
    return new.copy()


def damped(c2, old, now, new):
    """In a sponge that damps nothing, so that the waves are the same."""
    ones = np.ones(now.shape)
    old = in_place(c2, old * ones, now, new)
    return old * ones


STEPS = {"a Laplacian of its own": whole_laplacian, "np.pad": padded, "into the older wave, edges held": in_place,
         "np.diff": with_differences, "scipy.signal.convolve2d": with_weights, "copies": copied, "a sponge": damped}


def misfit(c2, survey, step, at_once):
    """Records are rows of an array, whose misfit is taken at the end; or each step adds its own."""
    old, now, new = (np.zeros_like(c2) for _ in range(3))
    records, total = np.zeros_like(survey.data), 0.0
    for k, pulse in enumerate(survey.wavelet):
        old, now = now, step(c2, old, now, new)
        now[survey.source, survey.source] += pulse
        if at_once:
            records[k] = now[survey.receivers]
        else:
            total = total + 0.5 * np.sum((now[survey.receivers] - survey.data[k]) ** 2)
    return 0.5 * np.sum((records - survey.data) ** 2) if at_once else total


def run(bench):
    """Levels: what the usual spelling has beside C, for each of them."""
    n, steps = bench.size((200, 500), (12, 20))
    survey, c2 = shot(n, steps)
    want = wave_gradient(c2, survey)
    bench.about(f"acoustic waves, {n} x {n}, {steps} steps")
    usual = ad.grad(partial(wave_misfit, survey=survey), audit=False)
    bench.verify("gradient", usual(c2), want)
    hand = None
    if "c" in bench.peers:
        hand = c_code.gradient("wave_inversion", c2, *of_c(c2, survey), threads=bench.threads)()
        bench.verify("gradient by C", hand(), want)
    for name, step in STEPS.items():
        g = ad.grad(partial(misfit, survey=survey, step=step, at_once=name != "np.pad"), audit=False)
        for _ in range(2):
            got = g(c2)
        bench.verify(name, got, want)
        if hand is None:
            time = bench.best(partial(g, c2), at_least=2)
            bench.row(name, time, who="fastad", kind="gradient")
        else:
            time, by_hand = bench.best(partial(g, c2), hand, at_least=2)
            bench.row(name, time, level=2.5 * by_hand, ratio=time / by_hand, to="C", who="fastad", kind="gradient")
