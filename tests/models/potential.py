"""Gravity, magnetics and deformation of the ground: closed forms of bodies.

Owns: static fields.  Must not know: fastad.  Next: electromagnetics.py.
"""
import numpy as np

from tests.models import model

G = 6.674e-11
STATIONS = np.linspace(-900.0, 1100.0, 8)


@model(np.array([120.0, 300.0, 80.0, 500.0]), STATIONS)
def buried_sphere(m, x):
    x0, z, r, drho = m
    mass = 4 / 3 * np.pi * r**3 * drho
    return G * mass * z / ((x - x0)**2 + z**2)**1.5 * 1e5


@model(np.array([120.0, 300.0, 80.0, 500.0]), STATIONS)
def horizontal_cylinder(m, x):
    g = np.zeros(len(x))
    for k in range(len(x)):
        dx = x[k] - m[0]
        g[k] = 2 * np.pi * G * m[3] * m[2]**2 * m[1] / (dx * dx + m[1] * m[1])
    g *= 1e5
    return g


@model(np.array([-200.0, 60.0, 250.0, 90.0, 310.0, 400.0, -150.0, 380.0]), STATIONS, 350.0)
def talwani_polygon(vertices, x, density):
    """2-D gravity of a polygon, line by line (Won and Bevis 1987), vertices x, z clockwise."""
    poly = vertices.reshape(-1, 2)
    n = len(poly)
    result = []
    for xs in x:
        total = 0.0
        for i in range(n):
            x1, z1 = poly[i][0] - xs, poly[i][1]
            x2, z2 = poly[(i + 1) % n][0] - xs, poly[(i + 1) % n][1]
            dx, dz = x2 - x1, z2 - z1
            r1sq, r2sq = x1**2 + z1**2, x2**2 + z2**2
            cross = x1 * z2 - x2 * z1
            lsq = dx**2 + dz**2
            t1 = np.arctan2(z1, x1)
            t2 = np.arctan2(z2, x2)
            total += cross / lsq * (dx * (t1 - t2) + 0.5 * dz * np.log(r2sq / r1sq))
        result.append(2 * G * density * total * 1e5)
    return np.array(result)


@model(np.array([-120.0, 160.0, -90.0, 140.0, 100.0, 350.0]), 300.0)
def gravity_prism(bounds, density):
    """Nagy's prism: eight corners, alternating signs."""
    g = 0.0
    for i in range(2):
        for j in range(2):
            for k in range(2):
                x, y, z = bounds[i], bounds[2 + j], bounds[4 + k]
                r = np.sqrt(x**2 + y**2 + z**2)
                s = (-1)**(i + j + k)
                g -= s * (x * np.log(y + r) + y * np.log(x + r) - z * np.arctan2(x * y, z * r))
    return G * density * g * 1e5


@model(np.array([50.0, 40.0, 200.0, 1.2e5, 0.9, 0.3]))
def magnetic_dipole(m, inclination=1.1, declination=0.1):
    X, Y = np.meshgrid(np.linspace(-300, 300, 4), np.linspace(-250, 250, 3))
    mom = m[3] * np.array([np.cos(m[4]) * np.cos(m[5]), np.cos(m[4]) * np.sin(m[5]), np.sin(m[4])])
    field = np.array([np.cos(inclination) * np.cos(declination), np.cos(inclination) * np.sin(declination),
                      np.sin(inclination)])
    rx, ry, rz = X - m[0], Y - m[1], -m[2]
    r2 = rx**2 + ry**2 + rz**2
    dot = mom[0] * rx + mom[1] * ry + mom[2] * rz
    B = np.empty((3,) + X.shape)
    for c, rc in enumerate((rx, ry, rz)):
        B[c] = 100 * (3 * dot * rc / r2**2.5 - mom[c] / r2**1.5)
    return np.tensordot(field, B, axes=1).ravel()


@model(np.array([30.0, 80.0, 0.6, 2.0, 200.0]), STATIONS / 10)
def magnetic_thin_sheet(p, x):
    x0, z, dip, k, amplitude = p
    u = (x - x0) / z
    return amplitude * k * (np.sin(dip) * u + np.cos(dip)) / (1 + u**2) / z


class Mogi:
    """A point source of pressure, for several stations."""

    def __init__(self, east, north, poisson=0.25):
        self.east = np.asarray(east)
        self.north = np.asarray(north)
        self.nu = poisson

    def distances(self, e0, n0, depth):
        self.de = self.east - e0
        self.dn = self.north - n0
        self.R3 = np.sqrt(self.de**2 + self.dn**2 + depth**2)**3

    def __call__(self, p):
        e0, n0, depth, dV = p
        self.distances(e0, n0, depth)
        c = (1 - self.nu) / np.pi * dV * 1e6
        return np.concatenate([c * self.de / self.R3, c * self.dn / self.R3, c * depth / self.R3])


@model(np.array([300.0, -400.0, 2500.0, 3.0]))
def mogi(p):
    source = Mogi([0.0, 1000.0, -2000.0, 3000.0], [500.0, -1500.0, 800.0, 2500.0])
    return source(p)


@model(np.array([5.0, 12.0, 1.4]), np.linspace(-40, 40, 7))
def buried_fault_2d(p, x):
    """Strike slip below a locking depth, and the step of a dipping edge."""
    slip, depth, dip = p
    xd = depth / np.tan(dip)
    return slip / np.pi * (np.arctan(x / depth) + 0.2 * depth * (x - xd) / ((x - xd)**2 + depth**2))


@model(np.array([200.0, 250.0, 310.0, 280.0, 190.0]), np.array([-2.0, -1.0, 0.0, 1.0, 2.0]) * 500)
def basin_depths(h, x):
    """A basin of vertical prisms with density that decays with depth: plates and kernels by broadcasting."""
    edges = np.linspace(-1250, 1250, len(h) + 1)
    left, right = edges[:-1], edges[1:]
    zq = 0.5 * h[None, :, None] * (1 + np.array([-0.7745966692414834, 0.0, 0.7745966692414834]))
    wq = np.array([5, 8, 5]) / 18
    xx = x[:, None, None]
    kernel = np.arctan((right[None, :, None] - xx) / zq) - np.arctan((left[None, :, None] - xx) / zq)
    rho = -500 * np.exp(-zq / 800.0)
    return 2 * G * 1e5 * np.sum(rho * kernel * wq * h[None, :, None], axis=(1, 2))


@model(np.array([0.1, 1.3, 0.4, -0.3, 0.7]))
def legendre_field(coefficients):
    """Zonal harmonics by the recurrence of Legendre polynomials."""
    theta = np.deg2rad(np.arange(10, 180, 35))
    c = np.cos(theta)
    P = [np.ones_like(c), c]
    for n in range(1, len(coefficients) - 1):
        P.append(((2 * n + 1) * c * P[n] - n * P[n - 1]) / (n + 1))
    field = 0
    for n, g in enumerate(coefficients):
        field = field + g * 1.02**(-n - 2) * P[n] * (n + 1)
    return field


@model(np.array([0.3, 0.5, 0.2, 0.9, 0.6, 0.1]))
def depth_weighted_tikhonov(m, beta=0.3):
    """phi_d + beta phi_m of a linear problem with depth weights and two difference operators."""
    grid = m.reshape(2, 3)
    J = np.cos(np.outer(np.arange(4) + 0.5, np.arange(6)) / 3)
    d = np.array([0.5, 0.1, -0.2, 0.9])
    r = (J @ m - d) / 0.05
    z = np.array([1.0, 2.5])
    w = z**-1.5
    phi_m = np.sum((w[:, None] * grid)**2) + np.sum(np.diff(grid, axis=0)**2) + np.sum(np.diff(grid, axis=1)**2)
    return 0.5 * r @ r + 0.5 * beta * phi_m
