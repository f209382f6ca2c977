"""Full-waveform inversion: find the velocity under a line of shots from the waves that came back.

    python examples/fwi/invert.py [--model section.npy] [--spacing metres] [--small] [--output figure.png]

The observed data are computed from the true section (so this shows the method, not a survey), filtered to bands of
rising frequency, and inverted band after band by L-BFGS-B between bounds; the water is known. The forward model,
acoustic.py, is plain NumPy; fastad records it and hands SciPy the exact gradient. Read in this order: survey_for,
Bands, invert, main.
"""

import argparse
import os
import time

import numpy as np
from acoustic import Survey, ricker
from scipy.optimize import Bounds
from scipy.signal import butter, sosfiltfilt
from sections import FASTEST, SLOWEST, built_in, from_file, smoothed

from fastad import optimize

QUICK = os.environ.get("FASTAD_EXAMPLE_QUICK") == "1"
CELLS = 8.0                                          # in the shortest wave at the peak frequency of the source
BANDS = [0.6, 1.1, None]                             # upper limits, in peak frequencies


def survey_for(section, dx, shots, seconds):
    """A line of shots and receivers just below the surface; the time step is 0.9 of what is stable."""
    nz, nx = section.shape
    dt = 0.9 * dx / section.max() * np.sqrt(3.0 / 8.0)
    places = np.linspace(0.08 * nx, 0.92 * nx, shots).round().astype(int)
    return Survey(places, np.arange(2, nx - 2, 2), 1, dx, dt, int(seconds / dt))


class Bands:
    """The same experiment below rising frequencies: low ones find the large structures and do not skip a cycle."""

    def __init__(self, survey, truth, limits):
        peak = truth.min() / (CELLS * survey.dx)
        self.survey, self.limits = survey, [limit and limit * peak for limit in limits]
        self.wavelet = ricker(survey.dt * np.arange(survey.nt), peak)
        self.observed = survey.traces(truth, self.wavelet)

    def below(self, limit):
        """(wavelet, data) of one band."""
        if limit is None:
            return self.wavelet, self.observed
        sos = butter(4, limit, fs=1.0 / self.survey.dt, output="sos")
        return sosfiltfilt(sos, self.wavelet), sosfiltfilt(sos, self.observed, axis=0)


def misfit(slowness, survey, wavelet, observed):
    """Half the sum of squares of what the model does not explain, as a share of the data's; slowness in s/km."""
    residual = survey.traces(1e3 / slowness, wavelet) - observed
    return 0.5 * np.sum(residual**2) / np.sum(observed**2)


def invert(bands, start, water, iterations):
    """Band after band: (section, history of the runs, model errors are the caller's to take)."""
    low, high = np.full(start.shape, 1e3 / FASTEST), np.full(start.shape, 1e3 / SLOWEST)
    low[:water] = high[:water] = 1e3 / start[:water]                # known: SciPy never sees these variables
    slowness, stages = 1e3 / start, []
    with optimize.Progress(maximum=iterations * len(bands.limits), label="inversion") as progress:
        for limit in bands.limits:
            wavelet, observed = bands.below(limit)
            fit = optimize.minimize(misfit, slowness, args=(bands.survey, wavelet, observed), method="L-BFGS-B",
                                    bounds=Bounds(low.ravel(), high.ravel()), callback=progress,
                                    options={"maxiter": iterations, "maxcor": 10})
            slowness = fit.x
            stages.append((limit, 1e3 / slowness, fit))
    return stages, progress.history


def model_error(section, truth):
    """Root mean square of the relative error of the velocity."""
    return float(np.sqrt(np.mean((section / truth - 1.0) ** 2)))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help=".npy file of velocities in m/s; without it a section that is made here")
    parser.add_argument("--spacing", type=float, help="between its points, in metres (default 50; 40 for ours)")
    parser.add_argument("--small", action="store_true", help="a coarse section and few iterations: half a minute")
    parser.add_argument("--output", default="full_waveform_inversion.png", help="the figure")
    return parser.parse_args()


def main():
    args = arguments()
    if args.spacing is not None and not 0.0 < args.spacing < np.inf:
        raise SystemExit(f"--spacing {args.spacing:g}: metres between two points are meant")
    folder = os.path.dirname(os.path.abspath(args.output))
    if not os.access(folder, os.W_OK):       # now, not after minutes
        raise SystemExit(f"--output {args.output}: {folder} is no directory that can be written to")
    if os.path.splitext(args.output)[1].lower() not in ("", ".png", ".pdf", ".svg", ".jpg", ".jpeg"):
        raise SystemExit(f"--output {args.output}: a name that ends in .png, .pdf, .svg or .jpg is meant")
    small = args.small or QUICK
    if args.model:
        truth, dx = from_file(args.model), args.spacing or 50.0
        if small:
            truth, dx = np.ascontiguousarray(truth[::2, ::2]), 2.0 * dx
    else:
        truth, dx = (built_in(28, 72), args.spacing or 60.0) if small else (built_in(51, 151), args.spacing or 40.0)
    water = int(np.argmax(np.any(truth > 1505.0, axis=1)))
    start = smoothed(truth, water, cells=3.0 if small else 6.0)
    survey = survey_for(truth, dx, shots=4 if small else 8, seconds=1.8 * np.hypot(*truth.shape) * dx / truth.mean())
    iterations = 3 if QUICK else 10 if small else 25
    print(f"Full-waveform inversion: {truth.shape[0]} x {truth.shape[1]} points of {dx:.0f} m,\n    "
          f"{survey.shots.size} shots, {survey.receivers.size} receivers, {survey.nt} steps of "
          f"{1e3 * survey.dt:.1f} ms", flush=True)
    begin = time.perf_counter()
    bands = Bands(survey, truth, BANDS[:2] if QUICK else BANDS)
    print(f"    the observed data took {time.perf_counter() - begin:.1f} s in plain NumPy", flush=True)
    begin = time.perf_counter()
    stages, history = invert(bands, start, water, iterations)
    report(stages, start, truth, time.perf_counter() - begin)
    draw(args.output, bands, stages, start, truth, history, dx)


def report(stages, start, truth, seconds):
    """The misfit and the error of the model, band by band."""
    print("\n    band              misfit    evaluations    error of the velocity (rms, %)")
    print(f"    {'start':<14} {'':>9} {'':>14} {100 * model_error(start, truth):17.2f}")
    for limit, section, fit in stages:
        name = "all" if limit is None else f"below {limit:.1f} Hz"
        print(f"    {name:<14} {fit.fun:9.5f} {fit.nfev:14d} {100 * model_error(section, truth):17.2f}")
    print(f"    {sum(fit.nfev for _, _, fit in stages)} evaluations of misfit and gradient, "
          f"{start.size} unknowns, in {seconds:.1f} s")


def draw(path, bands, stages, start, truth, history, dx):
    """True, start and inverted section, a gather with what is left of it, and the course of the misfit."""
    try:
        import matplotlib
    except ImportError:
        print("no figure: matplotlib is not installed (pip install 'fastad[plot]')")
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from fastad import plot
    figure, axes = plt.subplots(2, 3, figsize=(15, 6.5), constrained_layout=True)
    extent = (0.0, truth.shape[1] * dx / 1e3, truth.shape[0] * dx / 1e3, 0.0)
    panels = (("true", truth), ("start", start), ("inverted", stages[-1][1]))
    for ax, (title, section) in zip(axes.flat, panels, strict=False):
        image = ax.imshow(section / 1e3, extent=extent, aspect="auto", vmin=truth.min() / 1e3, vmax=truth.max() / 1e3)
        ax.set(title=f"{title}: error {100 * model_error(section, truth):.2f} %", xlabel="distance (km)",
               ylabel="depth (km)")
    figure.colorbar(image, ax=axes[0], label="velocity (km/s)")
    survey, shot = bands.survey, bands.survey.shots.size // 2
    left = bands.observed - survey.traces(stages[-1][1], bands.wavelet)
    limit = np.percentile(np.abs(bands.observed[:, shot]), 98)
    for ax, title, gather in ((axes[1, 0], "a shot", bands.observed), (axes[1, 1], "what is left of it", left)):
        ax.imshow(gather[:, shot], aspect="auto", cmap="gray", vmin=-limit, vmax=limit,
                  extent=(0, survey.receivers.size, survey.nt * survey.dt, 0.0))
        ax.set(title=title, xlabel="receiver", ylabel="time (s)")
    plot.convergence(history, ax=axes[1, 2])
    figure.savefig(path, dpi=110)
    print(f"    figure: {path}")


if __name__ == "__main__":
    main()
