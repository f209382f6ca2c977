"""Velocity sections for invert.py: a file of the user's, or one that is made here.

A section is an array of velocities (m/s) with depth along the first axis, the surface at index 0.
"""

import numpy as np
from scipy.ndimage import gaussian_filter


def built_in(nz=34, nx=101):
    """Water over layers that dip and bend, cut by a normal fault, with a gas lens and a fast body: not a real place."""
    z, x = np.meshgrid(np.linspace(0.0, 1.0, nz), np.linspace(0.0, 1.0, nx), indexing="ij")
    depth = z - 0.06 * np.sin(2.0 * np.pi * x) * z - 0.10 * (x - 0.5) * z
    depth = depth + np.where(x > 0.55 + 0.18 * z, 0.07, 0.0)                          # the throw of the fault
    velocity = np.select([depth < edge for edge in (0.2, 0.33, 0.47, 0.62, 0.78)],
                         [1750.0, 2050.0, 2350.0, 2200.0, 2800.0], 3200.0)
    velocity = velocity + 300.0 * depth
    velocity = velocity - 350.0 * np.exp(-(((x - 0.30) / 0.09) ** 2 + ((z - 0.40) / 0.05) ** 2))
    velocity = velocity + 450.0 * np.exp(-(((x - 0.76) / 0.10) ** 2 + ((z - 0.60) / 0.08) ** 2))
    return np.where(z < 0.1, 1500.0, velocity)


SLOWEST, FASTEST, SMALLEST = 1400.0, 5500.0, 10      # m/s, between which is searched; points along an axis


def from_file(path):
    """A two-dimensional .npy file; the shorter axis is taken for depth."""
    try:
        section = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise SystemExit(f"{path}: no .npy file of numbers that can be read: {error}") from None
    if not isinstance(section, np.ndarray) or section.ndim != 2 or section.dtype.kind not in "fiu":
        what = f"{section.dtype} {section.shape}" if isinstance(section, np.ndarray) else "an archive of arrays"
        raise SystemExit(f"{path}: a two-dimensional array of velocities in m/s is meant, got {what}")
    if min(section.shape) < SMALLEST:
        raise SystemExit(f"{path}: a section of {section.shape[0]} x {section.shape[1]} points; at least {SMALLEST} x "
                         f"{SMALLEST} are meant")
    if not np.all(np.isfinite(section)):
        raise SystemExit(f"{path}: {np.sum(~np.isfinite(section))} velocities are not finite, the first at "
                         f"{tuple(map(int, np.argwhere(~np.isfinite(section))[0]))}")
    low, high = float(section.min()), float(section.max())
    if not SLOWEST <= low <= high <= FASTEST:
        hint = ": are they km/s? Multiply by 1000" if SLOWEST <= 1e3 * low and 1e3 * high <= FASTEST else ""
        raise SystemExit(f"{path}: velocities of {low:g} to {high:g} m/s; between {SLOWEST:g} and {FASTEST:g} is "
                         f"searched{hint}")
    return np.ascontiguousarray(section if section.shape[0] <= section.shape[1] else section.T, dtype=float)


def smoothed(section, water, cells=6.0):
    """What an inversion may begin with: the slowness, smoothed below the sea floor (row `water`)."""
    start = section.copy()
    start[water:] = 1.0 / gaussian_filter(1.0 / section[water:], cells, mode="nearest")
    return start
