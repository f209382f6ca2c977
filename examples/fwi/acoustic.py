"""The forward model of invert.py: two-dimensional acoustic waves in plain NumPy, which knows nothing of fastad.

Constant density, second order in time, fourth in space, all shots at once along the first axis of the fields; a sponge
(C. Cerjan et al. 1985, Geophysics 50, 705-708) swallows what reaches the edges. tests/test_examples_fwi.py proves it
against the exact solution for a line source (P. M. Morse and H. Feshbach 1953, Methods of theoretical physics, 7.3).
"""

import numpy as np


def ricker(t, peak):
    """The Ricker wavelet of this peak frequency (Hz), delayed until it begins near zero."""
    arg = (np.pi * peak * (t - 1.2 / peak)) ** 2
    return (1.0 - 2.0 * arg) * np.exp(-arg)


class Survey:
    """Where the shots and receivers are, and how the waves are stepped.

    shots, receivers : columns of the section; both lie in row `row`.
    dx, dt : spacing (m) and time step (s); nt : steps; border : cells of sponge around the section.
    """

    def __init__(self, shots, receivers, row, dx, dt, nt, border=16):
        self.shots, self.receivers, self.row = np.asarray(shots), np.asarray(receivers), row
        self.dx, self.dt, self.nt, self.border = dx, dt, nt, border

    def sponge(self, shape):
        """What a field is multiplied by at each step."""
        outside = np.maximum(0, self.border - np.minimum(np.arange(shape[0])[:, None], np.arange(shape[0])[::-1, None]))
        beside = np.maximum(0, self.border - np.minimum(np.arange(shape[1]), np.arange(shape[1])[::-1]))
        return np.exp(-((0.18 / self.border * np.hypot(outside, beside)) ** 2) * 4.0)

    def traces(self, velocity, wavelet):
        """Pressure at the receivers: (steps, shots, receivers), for velocities (m/s) of the section."""
        b = self.border
        c = np.pad(velocity, b, mode="edge")
        courant = (c * self.dt / self.dx) ** 2
        taper = self.sponge(c.shape)
        shot, row = np.arange(self.shots.size), self.row + b
        u0 = np.zeros((self.shots.size, *c.shape))
        u1 = np.zeros_like(u0)
        record = np.zeros((self.nt, self.shots.size, self.receivers.size))
        for t in range(self.nt):
            u = u1[:, 2:-2, 2:-2]
            laplacian = (16.0 * (u1[:, 1:-3, 2:-2] + u1[:, 3:-1, 2:-2] + u1[:, 2:-2, 1:-3] + u1[:, 2:-2, 3:-1])
                         - (u1[:, :-4, 2:-2] + u1[:, 4:, 2:-2] + u1[:, 2:-2, :-4] + u1[:, 2:-2, 4:])
                         - 60.0 * u) / 12.0
            u2 = np.zeros_like(u1)
            u2[:, 2:-2, 2:-2] = 2.0 * u - u0[:, 2:-2, 2:-2] + courant[2:-2, 2:-2] * laplacian
            u2[shot, row, self.shots + b] += self.dt**2 * wavelet[t]
            u0, u1 = u1 * taper, u2 * taper
            record[t] = u1[:, row, self.receivers + b]
        return record
