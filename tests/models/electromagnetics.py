"""Resistivity, magnetotellurics and electromagnetic induction over layers.

Owns: recursions over layers, with digital filters and quadratures.  Must not know: fastad.  Next: waves.py.
"""
import numpy as np

from tests.models import model

MU0 = 4e-7 * np.pi
FREQ = np.logspace(-2, 2, 5)


@model(np.log([100.0, 10.0, 400.0, 500.0, 900.0]), FREQ)
def mt_real_recursion(m, freq):
    """The impedance recursion with real and imaginary parts by hand; returns log apparent resistivity and phase."""
    n = (len(m) + 1) // 2
    rho, thick = np.exp(m[:n]), np.exp(m[n:])
    out = np.zeros(2 * len(freq))
    for i in range(len(freq)):
        w = 2 * np.pi * freq[i]
        a = np.sqrt(0.5 * w * MU0 * rho[n - 1])
        zr, zi = a, a
        for j in range(n - 2, -1, -1):
            ar = np.sqrt(0.5 * w * MU0 * rho[j])
            k = np.sqrt(0.5 * w * MU0 / rho[j])
            e = np.exp(-2 * k * thick[j])
            er, ei = e * np.cos(2 * k * thick[j]), -e * np.sin(2 * k * thick[j])
            nr, ni = ar - zr, ar - zi
            dr, di = ar + zr, ar + zi
            den = dr * dr + di * di
            rr, ri = (nr * dr + ni * di) / den, (ni * dr - nr * di) / den
            pr, pi = rr * er - ri * ei, rr * ei + ri * er
            top_r, top_i = 1 - pr, -pi
            bot_r, bot_i = 1 + pr, pi
            den = bot_r**2 + bot_i**2
            qr, qi = (top_r * bot_r + top_i * bot_i) / den, (top_i * bot_r - top_r * bot_i) / den
            zr, zi = ar * qr - ar * qi, ar * qi + ar * qr
        out[i] = np.log((zr**2 + zi**2) / (w * MU0))
        out[len(freq) + i] = np.arctan2(zi, zr)
    return out


def resistivity_transform(lam, rho, h):
    T = rho[-1] * np.ones_like(lam)
    for i in reversed(range(len(h))):
        t = np.tanh(lam * h[i])
        T = (T + rho[i] * t) / (1 + T * t / rho[i])
    return T


@model(np.array([120.0, 30.0, 400.0, 4.0, 15.0]), np.array([2.0, 8.0, 30.0, 110.0]))
def schlumberger_quadrature(m, spacing):
    """A Hankel-like integral with an exponential window, by the trapezoidal rule in log wavenumber."""
    rho, h = m[:3], m[3:]
    u = np.linspace(-9, 3, 60)
    lam = np.exp(u)
    du = u[1] - u[0]
    data = np.empty(len(spacing))
    for i, s in enumerate(spacing):
        kernel = (resistivity_transform(lam, rho, h) - rho[0]) * (lam * s)**2 * np.exp(-lam * s)
        data[i] = rho[0] + np.sum(0.5 * (kernel[1:] + kernel[:-1])) * du
    return np.log10(data)


@model(np.array([80.0, 20.0, 6.0]), np.array([1.0, 5.0, 20.0]))
def wenner_images(m, a):
    """Two layers: the series of images, summed until it is small."""
    r1, r2, h = m
    k = (r2 - r1) / (r2 + r1)
    total = 0 * a
    n = 1
    kn = k
    while n < 60 and np.abs(0.6**n) > 1e-9:
        q = (2 * n * h / a)**2
        total = total + kn * (1 / np.sqrt(1 + q) - 1 / np.sqrt(4 + q))
        kn = kn * k
        n += 1
    return r1 * (1 + 4 * total)


@model(np.array([100.0, 20.0, 5.0, 60.0, 3.0]), np.array([2.0, 8.0, 30.0]))
def pekeris_elif(m, spacing, method="koefoed"):
    rho, h = [m[0], m[1], m[3]], [m[2], m[4]]
    values = []
    for s in spacing:
        lam = 1 / s
        if method == "pekeris":
            t = rho[-1]
        elif method == "koefoed":
            t = rho[-1]
            for i in (1, 0):
                p = (rho[i] - t) / (rho[i] + t)
                e = np.exp(-2 * lam * h[i])
                t = rho[i] * (1 - p * e) / (1 + p * e)
        values.append(t)
    return np.asarray(values)


@model(np.array([0.05, 0.2, 0.02]), np.array([1.0, 2.0]))
def low_induction_number(sigma, boundaries):
    """McNeill's cumulative responses of a layered earth, vertical and horizontal dipoles."""
    z = np.concatenate([[0.0], boundaries])
    rv = 1 / np.sqrt(4 * z**2 + 1)
    rh = np.sqrt(4 * z**2 + 1) - 2 * z
    out = []
    for r in (rv, rh):
        weights = r - np.append(r[1:], 0.0)
        out.append(np.sum(sigma * weights))
    return np.array(out)


@model(np.array([0.1, 0.5, 0.3, 0.7]), np.geomspace(0.01, 1e3, 6))
def cole_cole_parts(p, freq):
    """Real and imaginary part of Pelton's Cole-Cole model, in polar form."""
    rho0, m, logtau, c = p
    wt = (2 * np.pi * freq * 10**(3 * logtau - 2))**c
    a, b = 1 + wt * np.cos(c * np.pi / 2), wt * np.sin(c * np.pi / 2)
    den = a * a + b * b
    real = 100 * rho0 * (1 - m * (1 - a / den))
    imag = -100 * rho0 * m * b / den
    return np.vstack((real, imag)).T


@model(np.array([1.0, 0.2, 3.0]), 0.01)
def step_off_decay(p, t0):
    """Late-time decay of conductors, gated by the mean over windows of time."""
    edges = t0 * 2.0**np.arange(7)
    taus = 0.02 * np.cumsum(np.array([1.0, 2.0, 4.0]))
    windows = []
    for lo, hi in zip(edges[:-1], edges[1:], strict=True):
        v = 0.0
        for amp, tau in zip(p, taus, strict=True):
            v += amp * tau * (np.exp(-lo / tau) - np.exp(-hi / tau))
        windows.append(v / (hi - lo))
    return np.log(np.array(windows))


@model(np.log(np.array([50.0, 200.0, 20.0, 80.0, 30.0])))
def occam_1d(m, lagrange=0.7):
    """Roughness and misfit of a layered half-space, through local matrices."""
    D = np.eye(5) - np.eye(5, k=-1)
    D[0, 0] = 0
    h = np.full(4, 10.0)
    depth = np.r_[0, np.cumsum(h)]
    lam = 1 / np.array([5.0, 20.0, 60.0])
    rho = np.exp(m)
    response = resistivity_transform(lam, rho, h)
    misfit = (np.log(response) - np.log([60.0, 90.0, 50.0])) / 0.03
    return lagrange * np.linalg.norm(D @ m)**2 + np.sum(misfit**2) + 1e-3 * np.dot(depth, m**2)
