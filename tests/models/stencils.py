"""Finite differences: slices, buffers in rotation, tridiagonal and relaxation solvers, images.

Owns: partial differential equations on small grids.  Must not know: fastad.  Next: dynamics.py.
"""
import numpy as np

from tests.models import model


@model(1.0 + 0.2 * np.cos(np.arange(10.0)), 12)
def heat_explicit(kappa, steps):
    u = np.zeros(10)
    u[4:6] = 1.0
    dt = 0.2
    for _ in range(steps):
        u[1:-1] += dt * kappa[1:-1] * (u[2:] - 2 * u[1:-1] + u[:-2])
    return u


@model(1.0 + 0.1 * np.sin(np.arange(12.0)), np.array([0.0, 0.4, 1.0, 0.3, -0.5, 0.0, 0.0, 0.0, 0.0, 0.0]))
def wave_1d_rotation(c, source):
    """Leapfrog with three buffers that change places; a trace is recorded at one point."""
    n = len(c)
    old, now, new = np.zeros(n), np.zeros(n), np.zeros(n)
    trace = []
    r2 = (0.5 * c)**2
    for f in source:
        new[1:-1] = 2 * now[1:-1] - old[1:-1] + r2[1:-1] * (now[2:] - 2 * now[1:-1] + now[:-2])
        new[3] += f
        trace.append(new[8])
        old, now, new = now, new, old
    return np.array(trace + [now[5]])


@model(1.0 + 0.1 * np.arange(20.0).reshape(4, 5) / 20, 6)
def acoustic_2d(v, nt):
    p0 = np.zeros_like(v)
    p1 = np.zeros_like(v)
    p1[1, 2] = 1.0
    record = np.zeros((nt, v.shape[1]))
    for it in range(nt):
        lap = np.zeros_like(v)
        lap[1:-1, 1:-1] = (p1[:-2, 1:-1] + p1[2:, 1:-1] + p1[1:-1, :-2] + p1[1:-1, 2:] - 4 * p1[1:-1, 1:-1])
        p2 = 2 * p1 - p0 + (0.4 * v)**2 * lap
        p2[:, 0] = 0
        p2[:, -1] *= 0.9
        p0, p1 = p1, p2
        record[it, :] = p1[2]
    return record


@model(np.array([0.5, 0.8, 1.2, 0.9, 0.7]))
def crank_nicolson(D):
    """Implicit diffusion: the Thomas algorithm in place, in each step."""
    n = D.size
    u = np.exp(-np.linspace(-1, 1, n)**2)
    for _ in range(3):
        a, b, c = -0.3 * D, 1 + 0.6 * D, -0.3 * D
        d = u + 0.3 * D * (np.roll(u, -1) - 2 * u + np.roll(u, 1))
        b = b.copy()
        for i in range(1, n):
            w = a[i] / b[i - 1]
            b[i] -= w * c[i - 1]
            d[i] -= w * d[i - 1]
        u = np.empty(n)
        u[-1] = d[-1] / b[-1]
        for i in reversed(range(n - 1)):
            u[i] = (d[i] - c[i] * u[i + 1]) / b[i]
    return u


@model(np.array([1.0, 2.0, 0.5, 1.5]), 25)
def gauss_seidel(rhs, sweeps):
    x = np.zeros(len(rhs))
    for _ in range(sweeps):
        for i in range(len(rhs)):
            s = 0.0
            if i > 0:
                s += x[i - 1]
            if i < len(rhs) - 1:
                s += x[i + 1]
            x[i] = (rhs[i] + s) / (2.5 + 0.1 * rhs[i])
    return x


@model(np.array([[1.0, 2.0, 0.5], [0.3, 1.2, 0.8], [2.0, 0.4, 1.1]]), 8, 0.9)
def jacobi_2d_red_black(k, sweeps, omega):
    u = np.zeros((5, 5))
    u[0, :] = 1.0
    for _ in range(sweeps):
        for colour in (0, 1):
            for i in range(1, 4):
                for j in range(1, 4):
                    if (i + j) % 2 == colour:
                        avg = 0.25 * (u[i-1, j] + u[i+1, j] + u[i, j-1] + u[i, j+1])
                        u[i, j] = (1 - omega) * u[i, j] + omega * (avg + 0.05 * k[i-1, j-1])
    return u[1:-1, 1:-1]


@model(np.array([0.1, 0.9, 1.4, 0.6, 0.2, -0.3]), 4, analytic=False, smooth=False)
def burgers_upwind(u0, steps):
    u = u0.copy()
    for _ in range(steps):
        flux_left = np.where(u > 0, u - np.roll(u, 1), np.roll(u, -1) - u)
        u = u - 0.2 * u * flux_left
    return u


@model(np.array([0.2, 1.1, 2.3, 1.9, 0.7, 0.1, 0.5]), smooth=False, analytic=False)
def minmod_advection(q):
    """A slope limiter: sign, minimum and abs over slices."""
    for _ in range(3):
        d = np.diff(q)
        a, b = d[:-1], d[1:]
        slope = 0.5 * (np.sign(a) + np.sign(b)) * np.minimum(np.abs(a), np.abs(b))
        face = q[1:-1] + 0.35 * slope
        q = q.copy()
        q[2:-1] -= 0.3 * (face[1:] - face[:-1])
    return q


@model(np.array([1.0, 1.3, 0.8, 0.6]), 0.05)
def shallow_water_lax(h0, dt):
    """Lax-Friedrichs for a system: rows of one array for depth and discharge, periodic."""
    U = np.vstack((h0, 0.1 * h0))
    for _ in range(4):
        F = np.empty_like(U)
        F[0] = U[1]
        F[1] = U[1]**2 / U[0] + 0.5 * 9.81 * U[0]**2
        left, right = np.roll(U, 1, axis=1), np.roll(U, -1, axis=1)
        Fl, Fr = np.roll(F, 1, axis=1), np.roll(F, -1, axis=1)
        U = 0.5 * (left + right) - 0.5 * dt * (Fr - Fl)
    return U.flatten()


@model(np.linspace(0.2, 0.9, 16).reshape(4, 4), 3)
def gray_scott(v, steps):
    def laplacian(z):
        return np.roll(z, 1, 0) + np.roll(z, -1, 0) + np.roll(z, 1, 1) + np.roll(z, -1, 1) - 4 * z

    u = np.ones_like(v)
    for _ in range(steps):
        uvv = u * v * v
        u = u + 0.1 * laplacian(u) - uvv + 0.04 * (1 - u)
        v = v + 0.05 * laplacian(v) + uvv - 0.1 * v
    return v.sum(axis=0) - u.mean(axis=1)


@model(np.linspace(0.1, 2.0, 20).reshape(4, 5), 0.3)
def total_variation(image, eps):
    dx = np.zeros(image.shape)
    dy = np.zeros(image.shape)
    dx[:, :-1] = image[:, 1:] - image[:, :-1]
    dy[:-1, :] = image[1:, :] - image[:-1, :]
    return np.sqrt(dx**2 + dy**2 + eps**2).sum()


@model(np.sin(np.arange(25.0) * 1.7).reshape(5, 5), smooth=False, analytic=False)
def median_filter(image):
    """A median of nine by sorting windows, in a loop over pixels."""
    rows, cols = image.shape
    out = np.zeros((rows - 2, cols - 2))
    for i in range(1, rows - 1):
        for j in range(1, cols - 1):
            window = image[i - 1:i + 2, j - 1:j + 2]
            out[i - 1, j - 1] = np.sort(window.ravel())[4]
    return out


@model(np.sin(np.arange(16.0)).reshape(4, 4))
def convolve_image(image):
    kernel = np.array([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16
    padded = np.pad(image, 1, mode="edge")
    out = np.zeros_like(image)
    for a in range(3):
        for b in range(3):
            out += kernel[a, b] * padded[a:a + image.shape[0], b:b + image.shape[1]]
    return out


@model(np.array([0.3, 0.6]), np.cos(np.arange(20.0)).reshape(4, 5))
def bilinear_warp(shift, image):
    """An image sampled at shifted places: floor, traced indices, clip."""
    ii, jj = np.meshgrid(np.arange(3), np.arange(4), indexing="ij")
    y, x = ii + shift[0], jj + shift[1]
    y0, x0 = np.floor(y).astype(int), np.floor(x).astype(int)
    fy, fx = y - y0, x - x0
    y1, x1 = np.minimum(y0 + 1, 3), np.minimum(x0 + 1, 4)
    return ((1 - fy) * (1 - fx) * image[y0, x0] + (1 - fy) * fx * image[y0, x1]
            + fy * (1 - fx) * image[y1, x0] + fy * fx * image[y1, x1]).sum(axis=1)


@model(np.array([1.0, 0.7, 0.4, 0.9, 0.6, 0.8]))
def finite_element_bar(E):
    """Element stiffness assembled by +=, Dirichlet ends removed, solved by a dense elimination."""
    n = len(E) + 1
    K = np.zeros((n, n))
    ke = np.array([[1.0, -1.0], [-1.0, 1.0]])
    for e in range(n - 1):
        K[e:e + 2, e:e + 2] += E[e] * ke
    A = K[1:, 1:].copy()
    b = np.linspace(0.1, 1.0, n - 1)
    m = n - 1
    for k in range(m - 1):
        for i in range(k + 1, m):
            factor = A[i, k] / A[k, k]
            A[i, k:] -= factor * A[k, k:]
            b[i] -= factor * b[k]
    u = np.zeros(m)
    for i in range(m - 1, -1, -1):
        u[i] = (b[i] - A[i, i + 1:] @ u[i + 1:]) / A[i, i]
    return u
