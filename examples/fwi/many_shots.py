"""Full-waveform inversion shot by shot: the misfits of many shots are summed in threads, in processes, or on Dask.

    python examples/fwi/many_shots.py [--executor threads|processes|dask|tcp://scheduler:8786] [--workers 2]
                                      [--checkpoint run.npz]

invert.py steps all shots at once, in one array; here each is a source of `ad.sum_over`, with its own place and its own
records, and all of them share one tape. Whatever computes them, the inversion ends at the same bits, whose fingerprint
is printed. With a checkpoint, a run that was killed goes on when it is started again.
"""

import argparse
import contextlib
import hashlib
import os
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np
from acoustic import Survey, ricker
from scipy.optimize import Bounds
from sections import FASTEST, SLOWEST, built_in, smoothed

import fastad as ad
from fastad import optimize

QUICK = os.environ.get("FASTAD_EXAMPLE_QUICK") == "1"


class Experiment:
    """A line of shots over a section; `misfit` is what one of them adds."""

    def __init__(self, shape, dx, fastest, steps, peak):
        self.dx, self.dt, self.steps = dx, 0.9 * dx / fastest * np.sqrt(3.0 / 8.0), steps
        self.receivers = np.arange(2, shape[1] - 2, 2)
        self.wavelet = ricker(self.dt * np.arange(steps), peak)

    def traces(self, velocity, at):
        """What the receivers see of the shot in column `at` (an array of one whole number)."""
        return Survey(at, self.receivers, 1, self.dx, self.dt, self.steps).traces(velocity, self.wavelet)

    def misfit(self, slowness, shot):
        """Half the sum of squares of what is not explained, as a share of this shot's data; slowness in s/km."""
        residual = self.traces(1e3 / slowness, shot["at"]) - shot["observed"]
        return 0.5 * np.sum(residual**2) / np.sum(shot["observed"] ** 2)


@contextlib.contextmanager
def executor_for(name, workers):
    """What `ad.sum_over` takes."""
    if name == "threads":
        ad.set_num_threads(workers)
        yield None
    elif name == "processes":
        with ProcessPoolExecutor(workers) as pool:
            yield pool
    elif name == "dask":
        from distributed import Client, LocalCluster
        with LocalCluster(n_workers=workers, threads_per_worker=1, host="127.0.0.1", dashboard_address=None) as cluster:
            with Client(cluster) as client:
                yield client
    else:
        yield name                                       # the address of a scheduler


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--executor", default="threads", help="threads, processes, dask, or a scheduler's address")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--checkpoint", help="a file into which the run is written, and from which it goes on")
    args = parser.parse_args()
    if args.executor not in ("threads", "processes", "dask") and ":" not in args.executor:
        parser.error(f"--executor {args.executor}: threads, processes, dask, or an address (tcp://host:8786)")
    if args.workers < 1:
        parser.error(f"--workers {args.workers}: at least 1")
    truth, dx = (built_in(16, 30), 90.0) if QUICK else (built_in(28, 72), 60.0)
    experiment = Experiment(truth.shape, dx, truth.max(), 60 if QUICK else 350, truth.min() / (8.0 * dx))
    columns = np.linspace(3, truth.shape[1] - 4, 4 if QUICK else 12).round().astype(int)
    shots = [{"at": np.array([k]), "observed": experiment.traces(truth, np.array([k]))} for k in columns]
    water = int(np.argmax(np.any(truth > 1505.0, axis=1)))
    start = 1e3 / smoothed(truth, water, cells=3.0)
    low, high = np.full(start.shape, 1e3 / FASTEST), np.full(start.shape, 1e3 / SLOWEST)
    low[:water] = high[:water] = start[:water]           # the water is known
    with executor_for(args.executor, args.workers) as executor:
        total = ad.sum_over(shots, experiment.misfit, executor)
        begin = time.perf_counter()
        with optimize.Progress(maximum=3 if QUICK else 15, label=f"{len(shots)} shots") as progress:
            fit = optimize.minimize(total, start, method="L-BFGS-B", bounds=Bounds(low.ravel(), high.ravel()),
                                    callback=progress, options={"maxiter": 3 if QUICK else 15},
                                    checkpoint=args.checkpoint, resume=args.checkpoint is not None)
        seconds = time.perf_counter() - begin
    print(f"misfit {progress.history.misfit[0]:.5f} -> {fit.fun:.5f} in {fit.nfev} evaluations, {seconds:.1f} s; tapes "
          f"recorded: {total.stats().recordings}")
    before, after = (float(np.sqrt(np.mean((1e3 / s / truth - 1.0) ** 2))) for s in (start, fit.x))
    print(f"error of the velocity (rms): {100 * before:.2f} % -> {100 * after:.2f} %")
    print("fingerprint of the section:", hashlib.sha256(fit.x.tobytes()).hexdigest()[:16])


if __name__ == "__main__":
    main()
