"""Seismology: travel times, rays, surface waves and wavelets.

Owns: waves and the times they take.  Must not know: fastad.  Next: groundwater.py.
"""
import numpy as np

from tests.models import model


@model(np.array([1500.0, 2200.0, 3000.0, 20.0, 35.0]), np.array([10.0, 60.0, 150.0, 300.0]), smooth=False)
def refraction_first_arrivals(m, offsets):
    """The minimum over the direct wave and the head waves of flat layers."""
    v, h = m[:3], m[3:]
    times = np.zeros((3, len(offsets)))
    times[0] = offsets / v[0]
    for k in range(1, 3):
        delay = 0.0
        for j in range(k):
            delay = delay + 2 * h[j] * np.sqrt(1 / v[j]**2 - 1 / v[k]**2)
        times[k] = offsets / v[k] + delay
    return times.min(axis=0)


@model(np.array([1500.0, 2000.0, 2600.0, 100.0, 150.0, 220.0]), np.array([0.0, 300.0, 800.0]))
def dix_nmo(m, x):
    v, dz = np.split(m, 2)
    dt = 2 * dz / v
    t0 = np.cumsum(dt)
    vrms = np.sqrt(np.cumsum(v**2 * dt) / t0)
    return np.sqrt(t0[:, None]**2 + (x[None, :] / vrms[:, None])**2).ravel()


@model(np.array([2.0, 1.5, 6.0, 0.3]), np.array([[0.0, 0], [10, 2], [3, 9], [8, 11]]))
def hypocentre(p, stations, v=5.5):
    """Location residuals, with the mean of the times removed."""
    d = np.sqrt((stations[:, 0] - p[0])**2 + (stations[:, 1] - p[1])**2 + p[2]**2)
    t = p[3] + d / v
    observed = np.array([1.4, 2.1, 2.0, 2.6])
    return (t - t.mean()) - (observed - np.mean(observed))


@model(np.array([1.0, 0.9, 1.2, 1.1, 0.8, 1.3, 1.0, 0.7, 1.05]), 12)
def straight_ray_tomography(slowness, nsample):
    """Line integrals through a grid of cells: integer cells of constant sample points."""
    grid = slowness.reshape(3, 3)
    sources = [(0.1, 0.2), (0.3, 2.7), (1.6, 0.1)]
    receivers = [(2.9, 0.4), (2.8, 2.9)]
    data = []
    for (sx, sy) in sources:
        for (rx, ry) in receivers:
            length = np.hypot(rx - sx, ry - sy)
            t = 0.0
            for s in (np.arange(nsample) + 0.5) / nsample:
                i, j = int(sx + s * (rx - sx)), int(sy + s * (ry - sy))
                t += grid[i, j] * length / nsample
            data.append(t)
    return np.array(data)


@model(np.array([2.0, 2.4, 3.1, 3.3, 4.0]), np.array([0.0, 1.0, 2.0, 3.0, 4.5]), analytic=False, smooth=False)
def vertical_profile_interp(v, z):
    """Slowness integrated down a borehole, through np.interp and a running sum."""
    zz = np.linspace(0.0, 4.3, 23)
    s = 1 / np.interp(zz, z, v)
    t = np.concatenate(([0.0], np.cumsum(0.5 * (s[1:] + s[:-1]) * np.diff(zz))))
    return np.interp(np.array([0.37, 1.9, 3.3, 4.2]), zz, t)


@model(np.array([0.7, 1.1, 2.5]), smooth=False, analytic=False)
def ray_through_table(x):
    """A ray's depth through a table of velocities: the depth is interpolated at traced places."""
    zt = np.array([0.0, 1.0, 2.0, 3.0, 5.0])
    vt = np.array([1.5, 1.9, 2.2, 3.0, 3.4])
    p = 0.12 * x[0]
    z, t = x[1], 0.0
    for _ in range(5):
        v = np.interp(z, zt, vt)
        c = np.sqrt(1 - (p * v)**2)
        t += 0.1 / (v * c)
        z = z + 0.1 * x[2] * c
    return t + z


@model(np.array([3.0, 0.35, 2.7]), np.array([0.1, 0.3, 0.6]))
def zoeppritz_shuey(m, angles):
    dv, nu, rho = m
    vp1, vs1, rho1 = 2.5, 1.2, 2.4
    vs2 = dv * np.sqrt((1 - 2 * nu) / (2 * (1 - nu)))
    mean_vp, mean_vs, mean_rho = (vp1 + dv) / 2, (vs1 + vs2) / 2, (rho1 + rho) / 2
    R0 = 0.5 * ((dv - vp1) / mean_vp + (rho - rho1) / mean_rho)
    grad = 0.5 * (dv - vp1) / mean_vp - 2 * (mean_vs / mean_vp)**2 * ((rho - rho1) / mean_rho
                                                                        + 2 * (vs2 - vs1) / mean_vs)
    F = 0.5 * (dv - vp1) / mean_vp
    return R0 + grad * np.sin(angles)**2 + F * (np.tan(angles)**2 - np.sin(angles)**2)


@model(np.array([2.0, 0.1, 0.05, -0.3, 0.25]))
def convolution_model(m):
    """Reflectivity from impedance, convolved with a Ricker wavelet."""
    imp = np.exp(np.cumsum(m))
    r = np.zeros(12)
    r[2:2 + len(m) - 1] = (imp[1:] - imp[:-1]) / (imp[1:] + imp[:-1])
    t = np.arange(-4, 5) * 0.01
    a = (np.pi * 25 * t)**2
    wavelet = (1 - 2 * a) * np.exp(-a)
    return np.convolve(r, wavelet, mode="same")


@model(np.array([0.2, 0.4, 0.7]), np.array([5.0, 8.0, 15.0, 30.0]))
def rayleigh_depth_average(dv, periods):
    """Toy dispersion: velocities averaged over a third of the wavelength, solved by fixed-point iteration."""
    v = 2.0 + np.cumsum(dv)
    tops = np.array([0.0, 10.0, 30.0])
    c = np.full(periods.shape, 2.5)
    for _ in range(12):
        depth = c * periods / 3
        w = np.exp(-tops[:, None] / depth[None, :])
        w = w - np.vstack([w[1:], np.zeros(len(periods))])
        c = (0.92 * v[:, None] * w).sum(axis=0)
    return c


@model(np.array([1.6, 0.8, 3.2, 2.5]))
def love_waves_newton(m):
    """The phase velocity of Love waves in a layer over a half-space: Newton on the period equation, fixed count."""
    b1, h, b2, rho = m
    c = 0.4 * b1 + 0.6 * b2
    w = 4.0

    def period_equation(c):
        s1 = np.sqrt(c**2 / b1**2 - 1)
        s2 = np.sqrt(1 - c**2 / b2**2)
        return w * h / c * s1 - np.arctan(rho * b2**2 * s2 / (2.2 * b1**2 * s1))

    for _ in range(6):
        e = 1e-4
        slope = (period_equation(c + e) - period_equation(c - e)) / (2 * e)
        c = c - period_equation(c) / slope
    return c


@model(np.array([5.0, 0.6, 1.1, 0.02]), np.linspace(0, 1, 9))
def gabor_wavelet(p, t):
    f, t0, a, phase = p
    tau = t - t0
    return a * np.exp(-(np.pi * f * tau / 2)**2) * np.cos(2 * np.pi * f * tau + phase)


@model(1.3 + 0.1 * np.sin(np.arange(12.0)), smooth=False, branches=True)
def fast_sweeping_eikonal(slowness):
    """Godunov's update in sweeps over a small grid: min and if in scalar loops."""
    s = slowness.reshape(3, 4)
    T = np.full((3, 4), 100.0)
    T[0, 0] = 0.0
    h = 0.5
    for order in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        for i in range(3)[::order[0]]:
            for j in range(4)[::order[1]]:
                if i == 0 and j == 0:
                    continue
                a = min(T[i - 1, j] if i > 0 else 100.0, T[i + 1, j] if i < 2 else 100.0)
                b = min(T[i, j - 1] if j > 0 else 100.0, T[i, j + 1] if j < 3 else 100.0)
                f = s[i, j] * h
                if abs(a - b) >= f:
                    t = min(a, b) + f
                else:
                    t = 0.5 * (a + b + np.sqrt(2 * f * f - (a - b)**2))
                if t < T[i, j]:
                    T[i, j] = t
    return T[2, 1:] + T[1, 1:]
