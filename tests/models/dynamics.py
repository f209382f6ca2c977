"""Mechanics and celestial mechanics: integrators in time, and equations solved by Newton.

Owns: trajectories.  Must not know: fastad.  Next: life.py.
"""
import math

import numpy as np

from tests.models import model


@model(np.array([1.1, 0.4, 0.4, 0.1, 10.0, 5.0]), 20)
def lotka_volterra_rk4(p, n):
    def rhs(x, y):
        return p[0] * x - p[1] * x * y, p[3] * x * y - p[2] * y

    x, y, h = p[4], p[5], 0.05
    for _ in range(n):
        k1x, k1y = rhs(x, y)
        k2x, k2y = rhs(x + h / 2 * k1x, y + h / 2 * k1y)
        k3x, k3y = rhs(x + h / 2 * k2x, y + h / 2 * k2y)
        k4x, k4y = rhs(x + h * k3x, y + h * k3y)
        x += h / 6 * (k1x + 2 * k2x + 2 * k3x + k4x)
        y += h / 6 * (k1y + 2 * k2y + 2 * k3y + k4y)
    return np.array([x, y])


@model(np.array([10.0, 28.0, 8 / 3]), 25)
def lorenz(p, steps, dt=0.01):
    states = np.empty((steps + 1, 3))
    states[0] = (0.5, 1.0, 1.05)
    for i in range(steps):
        x, y, z = states[i]
        states[i + 1] = states[i] + dt * np.array([p[0] * (y - x), x * (p[1] - z) - y, x * y - p[2] * z])
    return states[::5].ravel()


@model([1.2, 0.3], 9.81, 40)
def pendulum_verlet(p, g, n):
    length, theta = p
    omega = 0.0
    dt = 0.02
    acc = -g / length * np.sin(theta)
    energy = []
    for _ in range(n):
        theta = theta + omega * dt + 0.5 * acc * dt**2
        new = -g / length * np.sin(theta)
        omega = omega + 0.5 * (acc + new) * dt
        acc = new
        energy.append(0.5 * length**2 * omega**2 - g * length * np.cos(theta))
    return np.array(energy[-3:] + [theta])


@model(np.array([0.97, -0.24, 0.46, 0.43, -0.93, -0.86]))
def three_body_leapfrog(s):
    """The figure of eight: positions and velocities in (3, 2) arrays that are updated in place."""
    pos = np.array([[s[0], s[1]], [-s[0], -s[1]], [0.0, 0.0]])
    vel = np.array([[s[2], s[3]], [s[2], s[3]], [s[4], s[5]]])

    def acceleration(pos):
        a = np.zeros((3, 2))
        for i in range(3):
            for j in range(3):
                if i != j:
                    d = pos[j] - pos[i]
                    a[i] += d / (d[0]**2 + d[1]**2)**1.5
        return a

    a = acceleration(pos)
    for _ in range(6):
        vel += 0.5 * 0.02 * a
        pos += 0.02 * vel
        a = acceleration(pos)
        vel += 0.5 * 0.02 * a
    return pos.flatten()


@model(np.array([0.3, 1.4, 0.9]), np.array([0.1, 0.8, 2.5]), branches=True)
def kepler_while(p, t):
    """Radial velocities: Kepler's equation by Newton, until the step is small."""
    e, period, K = p[0], p[1], p[2]
    rv = []
    for ti in t:
        M = 2 * np.pi * ti / period
        E = M
        while True:
            dE = (E - e * np.sin(E) - M) / (1 - e * np.cos(E))
            E = E - dE
            if np.abs(dE) < 1e-11:
                break
        nu = 2 * np.arctan(np.sqrt((1 + e) / (1 - e)) * np.tan(E / 2))
        rv.append(K * (np.cos(nu + 0.4) + e * np.cos(0.4)))
    return np.array(rv)


@model(np.array([0.3, 1.4, 0.9]), np.linspace(0.1, 2.5, 6))
def kepler_vectorised(p, t):
    e = p[0]
    M = np.mod(2 * np.pi * t / p[1], 2 * np.pi)
    E = M + e * np.sin(M)
    for _ in range(8):
        E = E - (E - e * np.sin(E) - M) / (1 - e * np.cos(E))
    return p[2] * np.stack([np.cos(E) - e, np.sqrt(1 - e**2) * np.sin(E)])


@model(np.array([7.0, 0.1, 0.2, 0.05, 7.2, 0.9]), branches=True)
def orbital_elements(s, mu=398.6):
    r, v = s[:3], s[3:]
    h = np.cross(r, v)
    rn = np.linalg.norm(r)
    evec = np.cross(v, h) / mu - r / rn
    ecc = np.sqrt(np.dot(evec, evec))
    a = 1 / (2 / rn - np.dot(v, v) / mu)
    inc = np.arccos(h[2] / np.linalg.norm(h))
    nu = np.arccos(np.dot(evec, r) / (ecc * rn))
    if np.dot(r, v) < 0:
        nu = 2 * np.pi - nu
    return np.array([a, ecc, inc, nu])


@model(np.array([0.3, -0.5, 0.9]), np.array([[1.0, 2.0, 0.0], [0.4, -1.0, 2.0]]))
def rodrigues_rotation(w, points):
    theta = np.sqrt(w @ w)
    k = w / theta
    K = np.array([[0, -k[2], k[1]], [k[2], 0, -k[0]], [-k[1], k[0], 0]])
    R = np.eye(3) + np.sin(theta) * K + (1 - np.cos(theta)) * K @ K
    return points @ R.T


@model(np.array([30.0, 0.8, 0.02]), branches=True)
def projectile_until_ground(p):
    """Flight with drag until it falls below the ground; the last step is interpolated."""
    speed, angle, drag = p
    x, y = 0.0, 0.0
    vx, vy = speed * np.cos(angle), speed * np.sin(angle)
    dt = 0.1
    while y >= 0.0:
        xo, yo = x, y
        v = np.sqrt(vx**2 + vy**2)
        x, y = x + dt * vx, y + dt * vy
        vx, vy = vx - dt * drag * v * vx, vy - dt * (9.81 + drag * v * vy)
    return xo + (x - xo) * yo / (yo - y)


class SpringChain:
    """State in attributes, updated by methods."""

    def __init__(self, k, n):
        self.k, self.n = k, n
        self.x = np.zeros(n)
        self.v = np.zeros(n)
        self.x[0] = 1.0
        self.history = []

    def force(self):
        f = -0.1 * self.x
        stretch = self.x[1:] - self.x[:-1]
        f[:-1] += self.k * stretch
        f[1:] -= self.k * stretch
        return f

    def step(self, dt):
        self.v += dt * self.force()
        self.x += dt * self.v
        self.history.append(self.x[-1])


@model(np.array([1.0, 2.0, 1.5]), 10)
def spring_chain(k, steps):
    chain = SpringChain(k, len(k) + 1)
    for _ in range(steps):
        chain.step(0.2)
    return np.array(chain.history)


@model(np.array([0.05, 1.2]), 0.0, 1.0, 1e-4, branches=True, analytic=False)
def adaptive_heun(p, t, end, tol):
    """A step size that adapts itself: Python decides on the error."""
    y, h = p[1], 0.1
    while t < end - 1e-12:
        h = min(h, end - t)
        k1 = -2 * y + p[0] * math.sin(3 * t)
        k2 = -2 * (y + h * k1) + p[0] * math.sin(3 * (t + h))
        error = abs(h / 2 * (k2 - k1))
        if error < tol * 10:
            y = y + h / 2 * (k1 + k2)
            t = t + h
        h = 0.1 if error < tol else h / 2 if error > tol * 10 else h
    return y


@model(np.array([1.0, 0.3, 0.6, 0.2]))
def backward_euler_newton(p):
    """Van der Pol, implicit, with a hand-written 2 by 2 Newton in each step."""
    mu, x, v = p[0] * 3, p[1], p[2]
    h = 0.1 + 0.1 * p[3]
    for _ in range(5):
        xn, vn = x, v
        for _ in range(4):
            r1 = xn - x - h * vn
            r2 = vn - v - h * (mu * (1 - xn**2) * vn - xn)
            a, b = 1.0, -h
            c, d = h * (2 * mu * xn * vn + 1), 1 - h * mu * (1 - xn**2)
            det = a * d - b * c
            xn, vn = xn - (d * r1 - b * r2) / det, vn - (a * r2 - c * r1) / det
        x, v = xn, vn
    return np.hstack([x, v])


@model(np.array([1.0, 0.3, 0.6]))
def dormand_prince_tableau(p):
    A = [[], [1/5], [3/40, 9/40], [44/45, -56/15, 32/9], [19372/6561, -25360/2187, 64448/6561, -212/729]]
    B = np.array([35/384, 0, 500/1113, 125/192, -2187/6784])
    y = np.array([p[1], p[2]])
    for _ in range(3):
        k = []
        for row in A:
            yi = y + 0.1 * sum((a * kj for a, kj in zip(row, k, strict=True)), np.zeros(2))
            k.append(np.array([yi[1], -p[0] * np.sin(yi[0])]))
        y = y + 0.1 * B @ np.array(k)
    return y
