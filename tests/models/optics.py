"""Light: interfaces, thin films, lenses, spectra, photometry.

Owns: optics, and astronomy as far as it is light.  Must not know: fastad.  Next: finance.py.
"""
import numpy as np

from tests.models import model

WAVELENGTHS = np.linspace(0.4, 0.8, 5)


@model(np.array([1.04, 0.23, 1.01, 0.006, 0.02, 103.0]), WAVELENGTHS)
def sellmeier(p, lam):
    n2 = 1
    for b, c in zip(p[:3], p[3:], strict=True):
        n2 = n2 + b * lam**2 / (lam**2 - c)
    return np.sqrt(n2)


@model(np.array([1.0, 1.5]), np.deg2rad([5.0, 30.0, 60.0]))
def fresnel(n, theta):
    ct = np.sqrt(1 - (n[0] / n[1] * np.sin(theta))**2)
    ci = np.cos(theta)
    rs = (n[0] * ci - n[1] * ct) / (n[0] * ci + n[1] * ct)
    rp = (n[0] * ct - n[1] * ci) / (n[0] * ct + n[1] * ci)
    return np.concatenate((rs**2, rp**2))


@model(np.array([1.38, 2.1, 0.1, 0.07]), WAVELENGTHS)
def thin_film_matrices(p, lam, ns=1.52):
    """Characteristic matrices [[a, i b], [i c, d]] of lossless layers, kept real."""
    R = np.zeros(lam.shape)
    for k, w in enumerate(lam):
        M = np.eye(2)
        for n, d in ((p[0], p[2]), (p[1], p[3])):
            delta = 2 * np.pi * n * d / w
            c, s = np.cos(delta), np.sin(delta)
            L = np.array([[c, s / n], [n * s, c]])
            M = np.array([[M[0, 0] * L[0, 0] - M[0, 1] * L[1, 0], M[0, 0] * L[0, 1] + M[0, 1] * L[1, 1]],
                          [M[1, 0] * L[0, 0] + M[1, 1] * L[1, 0], -M[1, 0] * L[0, 1] + M[1, 1] * L[1, 1]]])
        br, bi, cr, ci = M[0, 0], M[0, 1] * ns, M[1, 1] * ns, M[1, 0]
        R[k] = ((br - cr)**2 + (bi - ci)**2) / ((br + cr)**2 + (bi + ci)**2)
    return R


@model(np.array([50.0, -40.0, 6.0, 95.0]), 1.52)
def thick_lens_abcd(p, n):
    def refract(n1, n2, r):
        return np.array([[1, 0], [(n1 - n2) / (r * n2), n1 / n2]])

    def travel(d):
        return np.array([[1, d], [0, 1]])

    system = travel(p[3]) @ refract(n, 1.0, p[1]) @ travel(p[2]) @ refract(1.0, n, p[0])
    return system @ np.array([2.0, 0.01])


@model(np.array([0.02, 100.0, 0.5]))
def ray_trace_sphere(p):
    """A ray onto a spherical surface, refracted as a vector (Snell)."""
    slope, radius, height = p
    d = np.array([np.cos(slope), np.sin(slope)])
    o = np.array([-10.0, height * 10])
    c = np.array([radius, 0.0])
    oc = o - c
    b = np.sum(oc * d)
    t = -b - np.sqrt(b**2 - (oc @ oc - radius**2))
    hit = o + t * d
    normal = (hit - c) / radius
    eta = 1 / 1.5
    cosi = -np.dot(normal, d)
    out = eta * d + (eta * cosi - np.sqrt(1 - eta**2 * (1 - cosi**2))) * normal
    return np.array([hit[1], out[1] / out[0]])


@model(np.array([5800.0, 0.3, 1.0]), np.array([0.45, 0.6, 0.9, 2.2]))
def reddened_black_body(p, lam):
    x = 14387.77 / (lam * p[0])
    planck = lam**-5 / np.expm1(x)
    extinction = 10**(-0.4 * p[1] * (0.6 / lam)**1.3)
    flux = p[2] * planck * extinction
    return -2.5 * np.log10(flux / flux[0])


@model(np.array([0.1, 0.4, 0.02, 0.6]), np.linspace(-0.9, 1.1, 9), smooth=False, analytic=False)
def transit_light_curve(p, t):
    """A dark disc before a star with linear limb darkening, small-planet limit; masks for in and out."""
    depth, b, t0, u = p
    z = np.sqrt(b**2 + ((t - t0) * 1.7)**2)
    flux = np.ones_like(t)
    inside = z < 1
    mu = np.sqrt(1 - z[inside]**2)
    flux[inside] -= depth**2 * (1 - u * (1 - mu)) / (1 - u / 3)
    return flux


@model(np.array([1.0, 0.3, 0.9]), np.arange(5) * 1.0)
def moffat_psf(p, x):
    X, Y = np.meshgrid(x - 2, x - 2)
    r2 = (X - p[1])**2 + (Y + 0.2)**2
    beta = 2.5
    psf = (beta - 1) / (np.pi * p[2]**2) * (1 + r2 / p[2]**2)**-beta
    return p[0] * psf.sum(axis=0) + psf[::2, 1:].mean()


@model(np.array([0.7, 0.3, 70.0]), np.array([0.1, 0.5, 1.2]))
def luminosity_distance(p, z):
    """Supernova cosmology: a quadrature for each redshift, by Gauss-Legendre nodes."""
    nodes, weights = np.polynomial.legendre.leggauss(6)
    mu = []
    for zi in z:
        zq = 0.5 * zi * (nodes + 1)
        E = np.sqrt(p[1] * (1 + zq)**3 + p[0] + (1 - p[0] - p[1]) * (1 + zq)**2)
        integral = 0.5 * zi * np.sum(weights / E)
        mu.append(5 * np.log10((1 + zi) * 299792.458 / p[2] * integral) + 25)
    return np.array(mu)


@model(np.array([0.2, 0.5, 0.9, 0.4]))
def zernike_wavefront(c):
    r, th = np.meshgrid(np.array([0.3, 0.6, 0.9]), np.linspace(0, 2 * np.pi, 5)[:-1])
    basis = [r * np.cos(th), 2 * r**2 - 1, r**2 * np.sin(2 * th), 6 * r**4 - 6 * r**2 + 1]
    W = sum(ci * b for ci, b in zip(c, basis, strict=True))
    return np.sqrt(np.mean(W**2) - np.mean(W)**2) + np.var(W)
