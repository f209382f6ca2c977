"""What the lessons share: the option --output, where pictures go, how time is measured.  No lesson itself."""
import argparse
import os
import time
from pathlib import Path

QUICK = os.environ.get("FASTAD_EXAMPLE_QUICK") == "1"     # smaller measurements, for the tests


def pictures(lesson):
    """The folder for pictures that was asked for with --output, made if need be; None: no pictures."""
    parser = argparse.ArgumentParser(description=lesson.partition("\n")[0])
    parser.add_argument("--output", metavar="DIR", type=Path, help="draw the pictures of this lesson into DIR")
    folder = parser.parse_args().output
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def save(ax, folder, name):
    """Write the figure of these axes."""
    ax.figure.savefig(folder / name, dpi=130, bbox_inches="tight")
    print(f"\nPicture: {folder / name}")


def fastest(run, *arguments):
    """Seconds of the fastest of many runs: other work on the machine only ever adds time."""
    for _ in range(5):
        run(*arguments)                                   # recorded at the first call, then replayed
    times: list[float] = []
    end = time.perf_counter() + (0.02 if QUICK else 0.3)
    while len(times) < 10 or time.perf_counter() < end:
        start = time.perf_counter()
        run(*arguments)
        times.append(time.perf_counter() - start)
    return min(times)


def section(text):
    """A heading."""
    print(f"\n{text}\n{'=' * len(text)}")
