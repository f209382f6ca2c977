"""Solid earth: seismology, rock physics, geodesy, potential fields, induction, from textbooks' formulas.

Owns: models of waves, deformation and fields in and on the ground.  Must not know: fastad.
Next: waves.py, potential.py, electromagnetics.py (simpler ones).
"""
import math
from collections import namedtuple
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from tests.models import model

OFFSETS = np.linspace(0.2, 3.0, 6)


@model(np.array([2.0, 3.5, 1.2, 0.4]), analytic=False)
def ray_parameter_shooting(p):
    """Reflection time of a layered earth at an offset, the ray parameter by Newton; Aki & Richards (2002), ch. 9."""
    v, h = [p[0], p[1], p[0] + p[1]], [p[2], p[3], 0.5]
    ray = 0.05
    for _ in range(12):                  # x(ray) = offset, a fixed number of steps
        x, dx = 0.0, 0.0
        for vi, hi in zip(v, h, strict=True):
            c = 1 - (ray * vi)**2
            x += 2 * hi * ray * vi / c**0.5
            dx += 2 * hi * vi / c**1.5
        ray = ray - (x - 1.1) / dx
    return sum(2 * hi / (vi * math.sqrt(1 - (ray * vi)**2)) for vi, hi in zip(v, h, strict=True))


@model(np.array([3.0, 1.6, 2.3, 3.6, 2.0, 2.45]))
def zoeppritz_by_elimination(m):
    """P-P and P-SV reflection by the exact 4 x 4 system; Aki & Richards (2002), eq. 5.33, solved by hand."""
    vp1, vs1, rho1, vp2, vs2, rho2 = m
    p = np.sin(0.3) / vp1
    t1, t2, f1, f2 = (np.arcsin(p * v) for v in (vp1, vp2, vs1, vs2))
    sin, cos = np.sin, np.cos
    a = np.array([
        [-sin(t1), -cos(f1), sin(t2), cos(f2)],
        [cos(t1), -sin(f1), cos(t2), -sin(f2)],
        [sin(2 * t1), vp1 / vs1 * cos(2 * f1), rho2 * vs2**2 * vp1 / (rho1 * vs1**2 * vp2) * sin(2 * t2),
         rho2 * vs2 * vp1 / (rho1 * vs1**2) * cos(2 * f2)],
        [-cos(2 * f1), vs1 / vp1 * sin(2 * f1), rho2 * vp2 / (rho1 * vp1) * cos(2 * f2),
         -rho2 * vs2 / (rho1 * vp1) * sin(2 * f2)]])
    b = np.array([sin(t1), cos(t1), sin(2 * t1), cos(2 * f1)])
    for k in range(4):                   # Gauss elimination in place, no exchange of rows
        b[k] /= a[k, k]
        a[k] /= a[k, k].copy()
        for i in range(k + 1, 4):
            b[i] -= a[i, k] * b[k]
            a[i] -= a[i, k] * a[k]
    for k in (3, 2, 1, 0):
        b[k] -= a[k, k + 1:] @ b[k + 1:]
    return b[:2]


@model(np.array([3.0, 1.6, 2.3, 3.6, 2.0, 2.45]))
def avo_aki_richards(m):
    """Three-term reflectivity by angle; Aki & Richards (2002), eq. 5.44."""
    (vp1, vs1, r1), (vp2, vs2, r2) = m[:3], m[3:]
    vp, vs, rho = (vp1 + vp2) / 2, (vs1 + vs2) / 2, (r1 + r2) / 2
    angle = np.deg2rad(np.arange(0, 40, 10))
    gamma = (vs / vp * np.sin(angle))**2
    return (0.5 * (1 - 4 * gamma) * (r2 - r1) / rho + (vp2 - vp1) / vp / (2 * np.cos(angle)**2)
            - 4 * gamma * (vs2 - vs1) / vs)


Rock = namedtuple("Rock", "bulk shear density porosity")


@model(np.array([17.0, 14.0, 2.1, 0.22]), analytic=False)
def gassmann_substitution(x):
    """Velocities with gas in place of brine; Mavko, Mukerji & Dvorkin (2009), sec. 6.3."""
    rock = Rock(*x)
    mineral, brine, gas = 37.0, 2.5, 0.05

    def dry(r):
        a = r.bulk * (r.porosity * mineral / brine + 1 - r.porosity) - mineral
        return a / (r.porosity * mineral / brine + r.bulk / mineral - 1 - r.porosity)

    def wet(k_dry, fluid, phi):
        return k_dry + (1 - k_dry / mineral)**2 / (phi / fluid + (1 - phi) / mineral - k_dry / mineral**2)
    new = rock._replace(bulk=wet(dry(rock), gas, rock.porosity), density=rock.density - 0.8 * rock.porosity)
    return np.array([math.sqrt((r.bulk + 4 / 3 * r.shear) / r.density) for r in (rock, new)])


@model(np.array([0.15, 0.3, 2.2]))
def velocity_porosity_relations(x):
    """Wyllie, Gregory & Gardner (1956), Raymer, Hunt & Gardner (1980), Gardner (1974), Faust; one dict of results."""
    phi, clay, depth = x
    out = {}
    out["wyllie"] = 1 / (phi / 1.5 + (1 - phi) / 5.5)
    out["raymer"] = (1 - phi)**2 * 5.5 + phi * 1.5
    out["han"] = 5.59 - 6.93 * phi - 2.18 * clay
    out["gardner"] = 0.31 * (1000 * out["wyllie"])**0.25
    out["faust"] = 2.3 * (depth * 20.0)**(1 / 6)
    return np.array([out[k] for k in sorted(out)])


@model(np.array([1.2, 2.1, 0.5]), smooth=False, branches=True, analytic=False)
def love_wave_period_equation(x):
    """Phase velocity of the fundamental Love mode by bisection, then one Newton step; Aki & Richards (2002), 7.1."""
    b1, b2, h = x
    omega = 5.0

    def f(c):
        s = np.sqrt(c**2 / b1**2 - 1)
        q = np.sqrt(1 - c**2 / b2**2)
        return s * np.sin(omega * h / c * s) - 1.3 * q * np.cos(omega * h / c * s)
    low, high = b1 * (1 + 1e-9), b2 * (1 - 1e-9)
    while high - low > 1e-9:
        c = 0.5 * (low + high)
        if f(c) > 0:
            high = c
        else:
            low = c
    d = 1e-4
    return c - f(c) * 2 * d / (f(c + d) - f(c - d))


@model(np.array([5.0, 1.1, 0.4, 0.3, 0.6]))
def okada_point_shear(p):
    """Vertical and horizontal displacement at the surface of a point strike-slip source; Okada (1985), eq. 8 and 9."""
    x, y = np.meshgrid([-2.0, 0.7, 3.0], [-1.0, 1.5], indexing="ij")
    depth, moment, dip, x0, y0 = p
    x, y = x - x0, y - y0
    alpha = 0.5                          # mu/(lambda + mu)
    r = np.sqrt(x**2 + y**2 + depth**2)
    sd, cd = np.sin(dip), np.cos(dip)
    q, pp = y * sd - depth * cd, y * cd + depth * sd
    i1 = alpha * y * (1 / (r * (r + depth)**2) - x**2 * (3 * r + depth) / (r**3 * (r + depth)**3))
    i2 = alpha * x * (1 / (r * (r + depth)**2) - y**2 * (3 * r + depth) / (r**3 * (r + depth)**3))
    i4 = alpha * (-x * y * (2 * r + depth) / (r**3 * (r + depth)**2))
    ux = -moment / (2 * np.pi) * (3 * x**2 * q / r**5 + i1 * sd)
    uy = -moment / (2 * np.pi) * (3 * x * y * q / r**5 + i2 * sd)
    uz = -moment / (2 * np.pi) * (3 * x * depth * q / r**5 + i4 * sd)
    return np.stack([ux, uy, uz]) + 0.0 * pp


@dataclass(frozen=True)
class Source:
    """A pressure source."""

    east: float
    north: float
    depth: float
    volume: float = 1.0


@model(np.array([0.3, -0.4, 2.0, 0.7]))
def spherical_sources_superposed(p):
    """Mogi (1958), two sources of which the second is a modified copy of the first, projected to the line of sight."""
    first = Source(*p)
    sources = [first, replace(first, east=first.east + 1.5, volume=-0.4 * first.volume)]
    at = np.array([(0.0, 0.0), (1.0, 0.5), (-1.5, 2.0), (3.0, 1.0)])
    look = np.array([0.38, -0.1, 0.92])
    total = np.zeros((4, 3))
    for s in sources:
        for k, (e, n) in enumerate(at):
            r3 = ((e - s.east)**2 + (n - s.north)**2 + s.depth**2)**1.5
            total[k] += 0.75 / np.pi * s.volume * np.array([e - s.east, n - s.north, s.depth]) / r3
    return total @ look


@model(np.array([0.4, 0.2, 0.9, 1.6, 1.1]), analytic=False)
def rectangular_prism_gravity(p):
    """Gravity of a right rectangular prism by the sum over its corners; Nagy (1966), Blakely (1995), ch. 9."""
    (x1, y1), top, thick, rho = p[:2], p[2], p[3], p[4]
    out = []
    for px, py in [(0.0, 0.1), (1.0, -0.3), (2.5, 0.7)]:
        g = 0.0
        for i, x in enumerate((x1 - px - 0.4, x1 - px + 0.7)):
            for j, y in enumerate((y1 - py - 0.5, y1 - py + 0.6)):
                for k, z in enumerate((top, top + thick)):
                    r = math.sqrt(x * x + y * y + z * z)
                    sign = (-1)**(i + j + k)
                    g -= sign * (z * math.atan2(x * y, z * r) - x * math.log(r + y) - y * math.log(r + x))
        out.append(6.674 * rho * g)
    return np.asarray(out)


@model(np.array([1.2, 0.5, 0.9, 0.3]))
def magnetic_prism_reduced(p):
    """Vertical field of vertically magnetised prisms with infinite depth extent; Bhattacharyya (1964)."""
    x = np.linspace(-2, 2, 5)
    bounds = [(p[0] - 1, p[0] + p[1]), (-p[2], p[3])]
    total = np.zeros_like(x)
    for sx, a in zip((-1, 1), bounds[0], strict=True):
        for sy, b in zip((-1, 1), bounds[1], strict=True):
            r = np.sqrt((x - a)**2 + b**2 + 0.25)
            total += sx * sy * np.arctan2((x - a) * b, 0.5 * r)
    return total


class Complex:
    """Complex arithmetic on pairs, as in languages without it."""

    def __init__(self, re, im=0.0):
        self.re, self.im = re, im

    def __add__(self, other):
        return Complex(self.re + other.re, self.im + other.im)

    def __sub__(self, other):
        return Complex(self.re - other.re, self.im - other.im)

    def __mul__(self, other):
        return Complex(self.re * other.re - self.im * other.im, self.re * other.im + self.im * other.re)

    def __truediv__(self, other):
        d = other.re**2 + other.im**2
        return Complex((self.re * other.re + self.im * other.im) / d, (self.im * other.re - self.re * other.im) / d)

    def exp(self):
        return Complex(np.exp(self.re) * np.cos(self.im), np.exp(self.re) * np.sin(self.im))


@model(np.array([2.0, 1.0, 3.0, 0.3, 0.7]))
def magnetotelluric_pairs(m):
    """Impedance of a layered half-space by Wait's recursion; Ward & Hohmann (1988); log resistivities, thicknesses."""
    rho, thick = np.exp(m[:3]), 1000 * m[3:]
    out = []
    for period in (0.01, 0.1, 1.0):
        omega_mu = 2 * np.pi / period * 4e-7 * np.pi
        z = None
        for j in range(2, -1, -1):
            k = np.sqrt(omega_mu / (2 * rho[j]))
            own = Complex(rho[j] * k, rho[j] * k)
            if z is None:
                z = own
                continue
            decay = Complex(-2 * k * thick[j], -2 * k * thick[j]).exp()
            r = (own - z) / (own + z) * decay
            z = own * (Complex(1.0) - r) / (Complex(1.0) + r)
        out += [np.log((z.re**2 + z.im**2) / omega_mu), np.arctan2(z.im, z.re)]
    return np.array(out)


@model(np.array([1.0, 0.6, 0.25, 1.4]))
def receiver_function_delays(p):
    """Ps, PpPs and PsPs+PpSs delays and a stack over them; Zhu & Kanamori (2000)."""
    h, kappa, ray, vp = 30 * p[0], 1 + p[1], 0.2 * p[2], 6.0 * p[3] / 1.4
    eta_p, eta_s = np.sqrt(1 / vp**2 - ray**2), np.sqrt((kappa / vp)**2 - ray**2)
    delays = h * np.array([eta_s - eta_p, eta_s + eta_p, 2 * eta_s])
    trace = lambda t: np.exp(-((t - 4.0) / 3)**2) + 0.5 * np.exp(-((t - 14.0) / 4)**2)      # noqa: E731
    return np.append(delays, np.dot([0.7, 0.2, -0.1], trace(delays)))


def travel_time_table():
    """A table that a program makes once."""
    @cache
    def table(n):
        return np.array([math.hypot(k, 3.0) for k in range(n)])
    return table


TABLE = travel_time_table()


@model(np.array([0.7, 2.2, 1.4]), analytic=False)
def kirchhoff_stack(p):
    """Diffraction stack with weights from a cached table, fancy indices on a constant gather."""
    trace = np.add.outer(np.sin(np.arange(8)), np.cos(np.arange(12)))
    lag = TABLE(8)
    sample = p[0] * lag + p[1]
    low = np.floor(sample).astype(int)
    share = sample - low
    low = np.clip(low, 0, 10)
    rows = np.arange(8)
    return p[2] * np.sum((1 - share) * trace[rows, low] + share * trace[rows, low + 1])


@model(np.array([0.5, 1.5, 0.8]))
def flexure_of_a_plate(p):
    """Deflection under a line load; Turcotte & Schubert (2014), eq. 3.130, flexural parameter from rigidity."""
    rigidity, load, contrast = p
    alpha = (4 * rigidity / contrast)**0.25
    x = np.linspace(0, 5, 7) / alpha
    w0 = load * alpha**3 / (8 * rigidity)
    return w0 * np.exp(-x) * (np.cos(x) + np.sin(x))


@model(np.array([0.8, 1.2, 0.3]))
def fault_rate_and_state(p):
    """Ageing law and a spring slider, semi-implicit steps; Dieterich (1979), Ruina (1983)."""
    a, b, stiffness = 0.01 + 0.002 * p[0], 0.012 + 0.001 * p[1], 0.05 * p[2]
    velocity, state, stress = 1.0, 1.0, 0.6
    history = np.empty(30)
    for i in range(history.size):
        state += 0.05 * (1 - velocity * state)
        stress += stiffness * 0.05 * (1.2 - velocity)
        velocity = np.exp((stress - 0.6 - b * np.log(state)) / a * 0.1)
        history[i] = velocity
    return history[::5]
