"""Astronomy, orbits, optics: Kepler's equation, light curves, lenses, thin films, polarisation.

Owns: models of what is above the ground.  Must not know: fastad.  Next: optics.py, dynamics.py.
"""
import math
from collections.abc import Iterator

import numpy as np

from tests.models import model

PHASES = np.linspace(0.0, 2.0 * np.pi, 7)[:-1] + 0.1


@model(np.array([0.6, 0.2, 1.1, 0.4, 0.3]))
def radial_velocity(p):
    """Spectroscopic binary, eccentric anomaly by Newton for all times together; Murray & Correia (2010)."""
    amplitude, e, period, omega, t0 = p
    mean = 2 * np.pi * (PHASES / 6 - t0) / period
    anomaly = mean + e * np.sin(mean)
    for _ in range(8):
        anomaly -= (anomaly - e * np.sin(anomaly) - mean) / (1 - e * np.cos(anomaly))
    true = 2 * np.arctan2(np.sqrt(1 + e) * np.sin(anomaly / 2), np.sqrt(1 - e) * np.cos(anomaly / 2))
    return amplitude * (np.cos(true + omega) + e * np.cos(omega))


@model(np.array([1.0, 0.1, 0.2, -0.3, 0.9, 0.4]))
def state_to_elements(state):
    """Orbital elements of position and velocity, with np.cross and np.dot; Vallado (2013), algorithm 9."""
    r, v = state[:3], state[3:]
    h = np.cross(r, v)
    size_r, size_h = np.linalg.norm(r), np.linalg.norm(h)
    e = np.cross(v, h) - r / size_r
    energy = np.dot(v, v) / 2 - 1 / size_r
    node = np.cross([0.0, 0.0, 1.0], h)
    return np.array([-1 / (2 * energy), np.linalg.norm(e), np.arccos(h[2] / size_h), np.arctan2(node[1], node[0])])


@model(np.array([0.9, 0.3, 1.2]), branches=True, analytic=False)
def lambert_universal(p):
    """Time of flight by universal variables with Stumpff functions, if by the sign of alpha; Bate et al. (1971)."""
    def stumpff(z):
        if z > 1e-6:
            s = math.sqrt(z)
            return (1 - math.cos(s)) / z, (s - math.sin(s)) / s**3
        if z < -1e-6:
            s = math.sqrt(-z)
            return (1 - math.cosh(s)) / z, (math.sinh(s) - s) / s**3
        return 1 / 2, 1 / 6
    chi, alpha, r0 = p[0], p[1] - 0.5, p[2]
    out = []
    for a in (alpha, -alpha):
        c, s = stumpff(a * chi**2)
        out.append(chi**3 * s + r0 * chi * (1 - a * chi**2 * s) + 0.1 * chi**2 * c)
    return np.array(out)


@model(np.array([0.12, 0.3, 0.4, 0.25]), smooth=False)
def limb_darkened_transit(p):
    """Small-planet light curve with quadratic limb darkening; Mandel & Agol (2002), sec. 5, where() for the ingress."""
    ratio, impact, u1, u2 = p
    x = np.linspace(-1.3, 1.3, 9)
    z = np.sqrt(x**2 + impact**2)
    mu = np.sqrt(np.where(z < 1, 1 - z**2, 0.0))
    surface = 1 - u1 * (1 - mu) - u2 * (1 - mu)**2
    return 1 - np.where(z < 1, ratio**2 * surface / (1 - u1 / 3 - u2 / 6), 0.0)


@model(np.array([0.7, 0.2, 0.5, 1.3]))
def microlensing_binary_source(p):
    """Paczynski (1986): magnification of two sources with shared time scale, blended."""
    total = 0.0
    for u0, t0, weight in ((p[0], p[1], 0.7), (p[2], -0.4, 0.3)):
        u = np.hypot(u0, (PHASES - 3 - t0) / p[3])
        total = total + weight * (u**2 + 2) / (u * np.sqrt(u**2 + 4))
    return -2.5 * np.log10(total)


@model(np.array([0.3, 0.62, 70.0]), analytic=False)
def distance_modulus_simpson(p):
    """Supernova distances: an integral for each redshift, composite Simpson by slices; Hogg (1999)."""
    om, ol, h0 = p
    moduli = []
    for z in (0.1, 0.5, 1.0):
        grid = np.linspace(0, z, 21)
        f = 1 / np.sqrt(om * (1 + grid)**3 + (1 - om - ol) * (1 + grid)**2 + ol)
        integral = (grid[1] - grid[0]) / 3 * (f[0] + 4 * f[1:-1:2].sum() + 2 * f[2:-1:2].sum() + f[-1])
        root = np.sqrt(np.abs(1 - om - ol) + 1e-4)
        moduli.append(5 * np.log10((1 + z) * 299792.458 / h0 * np.sin(root * integral) / root) + 25)
    return np.array(moduli)


@model(np.array([1.5, 2.3, 0.4, 0.9]))
def fresnel_stokes(p):
    """Reflection of polarised light as a Mueller matrix on a Stokes vector; Born & Wolf (1999), 1.5; Collett (2005)."""
    n, angle = p[0], 0.4 * p[3]
    refracted = np.arcsin(np.sin(angle) / n)
    rs = -np.sin(angle - refracted) / np.sin(angle + refracted)
    rp = np.tan(angle - refracted) / np.tan(angle + refracted)
    mueller = np.zeros((4, 4))
    mueller[0, 0] = mueller[1, 1] = 0.5 * (rs**2 + rp**2)
    mueller[0, 1] = mueller[1, 0] = 0.5 * (rs**2 - rp**2)
    np.fill_diagonal(mueller[2:, 2:], rs * rp)
    return mueller @ np.array([1.0, 0.3, p[1] / 10, p[2]])


@model(np.array([1.38, 0.1, 2.3, 0.06]))
def quarter_wave_stack_2x2(p):
    """Reflectance of a stack by characteristic matrices in real pairs, matmul of a list; Macleod (2010), ch. 2."""
    def layer(n, d, k):
        delta = 2 * np.pi * n * d / k
        return np.array([[np.cos(delta), np.sin(delta) / n], [-n * np.sin(delta), np.cos(delta)]])   # i taken out
    out = np.zeros(3)
    for i, lam in enumerate((0.45, 0.55, 0.65)):
        m = np.eye(2)
        for n, d in ((p[0], p[1]), (p[2], p[3])) * 2:
            nxt = layer(n, d, lam)
            m = m @ nxt
        a, d = m[0, 0] + m[1, 1] * 1.5, m[0, 1] * 1.5 - m[1, 0]
        out[i] = 1 - 4 * 1.5 / (a**2 + d**2)
    return out


def noll(n: int) -> Iterator[tuple[int, int]]:
    """Radial and azimuthal orders."""
    for radial in range(n):
        for m in range(-radial, radial + 1, 2):
            yield radial, m


@model(np.array([0.3, -0.2, 0.1, 0.4, 0.05, -0.1]), analytic=False)
def wavefront_by_generator(a):
    """Zernike polynomials from factorials, modes from a generator, an RMS and a Strehl ratio; Noll (1976)."""
    y, x = np.mgrid[-1:1:7j, -1:1:7j]
    rho, theta = np.hypot(x, y), np.arctan2(y, x)
    inside = rho <= 1
    phase = np.zeros_like(rho)
    for weight, (n, m) in zip(a, noll(3), strict=True):
        radial = sum((-1)**k * math.factorial(n - k)
                     / (math.factorial(k) * math.factorial((n + abs(m)) // 2 - k)
                        * math.factorial((n - abs(m)) // 2 - k)) * rho**(n - 2 * k)
                     for k in range((n - abs(m)) // 2 + 1))
        phase += weight * radial * (np.cos(m * theta) if m >= 0 else np.sin(-m * theta))
    flat = phase[inside]
    return np.hstack([flat.std(), np.exp(-flat.var()), np.ptp(flat)])


@model(np.array([50.0, 30.0, 5.0, 1.52]))
def lens_system_recursion(p):
    """Paraxial marginal ray through surfaces by recursion; Kingslake & Johnson (2010)."""
    surfaces = [(p[0], p[2], p[3]), (-p[1], 2.0, 1.62), (-80.0, 0.0, 1.0)]

    def trace(height, angle, n, rest):
        if not rest:
            return height, angle
        radius, thickness, after = rest[0]
        angle = (n * angle - height * (after - n) / radius) / after
        return trace(height + thickness * angle, angle, after, rest[1:])
    height, angle = trace(1.0, 0.0, 1.0, surfaces)
    return -height / angle


@model(np.array([0.5, 1.2, 0.2, 0.9]))
def sersic_image(p):
    """A galaxy's surface brightness over pixels, two components, einsum for the sheared coordinates; Graham (2005)."""
    yx = np.stack(np.meshgrid(np.arange(-2, 3), np.arange(-2, 3), indexing="ij")).astype(float)
    shear = np.array([[1 + p[2], 0.1], [0.1, 1 - p[2]]])
    q = np.einsum("ij,jkl->ikl", shear, yx)
    r = np.sqrt(np.einsum("ikl,ikl->kl", q, q) + 0.01)
    n = 1 + p[0]
    b = 2 * n - 1 / 3 + 4 / (405 * n)
    return np.exp(-b * ((r / p[1])**(1 / n) - 1)) + p[3] * np.exp(-r**2)


@model(np.array([0.8, 0.3, 1.4]))
def chirp_inspiral(p):
    """Frequency sweep of a compact binary to first order; Peters (1964), with powers of three eighths."""
    mass, phase, tc = p
    t = np.linspace(0, 1, 6)
    tau = (tc - t) / (5 * mass)
    f = tau**(-3 / 8) / (8 * np.pi * mass)
    return f**(2 / 3) * np.cos(phase - 2 * tau**(5 / 8))
