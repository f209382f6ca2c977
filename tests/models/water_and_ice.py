"""Hydrology, soils, glaciers, oceans, the atmosphere: bulk models with state, thresholds and tables.

Owns: models of water in all its places.  Must not know: fastad.  Next: groundwater.py, stencils.py.
"""
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tests.models import model

RAIN = np.array([0.0, 5.0, 12.0, 0.0, 0.0, 3.0, 20.0, 1.0, 0.0, 0.0, 7.0, 2.0])
EVAPORATION = np.array([1.0, 1.2, 0.8, 1.5, 2.0, 1.8, 0.9, 1.1, 1.6, 2.1, 1.3, 1.0])
TEMPERATURE = np.array([-5.0, -2.5, 0.5, 2.5, 4.0, -1.5, 1.5, 3.5, 6.0, 2.0, -3.0, 0.7])


class Reservoir:
    """A bucket with a state."""

    def __init__(self, capacity, storage=0.0):
        self.capacity, self.storage = capacity, storage

    def fill(self, amount):
        spill = max(self.storage + amount - self.capacity, 0.0)
        self.storage += amount - spill
        return spill

    def drain(self, rate):
        out = rate * self.storage
        self.storage -= out
        return out


@model(np.array([0.6, 0.3, 0.8, 0.2]), smooth=False)
def buckets_as_objects(p):
    """Two buckets in series with spill; Burnash's idea in its simplest form."""
    upper, lower = Reservoir(20 * p[0], 2.0), Reservoir(100.0)
    flow = []
    for rain, pet in zip(RAIN, EVAPORATION, strict=True):
        quick = upper.fill(rain)
        upper.storage = max(upper.storage - pet * p[2], 0.0)
        lower.fill(upper.drain(p[1]))
        flow.append(quick + lower.drain(0.3 * p[3]))
    return np.array(flow)


@model(np.array([1.2, 0.4, 0.9, 1.5]), branches=True)
def gr4j_production_store(p):
    """Production and routing stores of GR4J; Perrin, Michel & Andreassian (2003), if by net rainfall."""
    x1, x3 = 50 * p[0], 20 * p[2]
    s, r = 0.5 * x1, 0.4 * x3
    out = []
    for rain, pet in zip(RAIN, EVAPORATION, strict=True):
        if rain >= pet:
            net = np.tanh((rain - pet) / x1)
            gain = x1 * (1 - (s / x1)**2) * net / (1 + s / x1 * net)
            s, through = s + gain, rain - pet - gain
        else:
            net = np.tanh((pet - rain) / x1)
            s, through = s - s * (2 - s / x1) * net / (1 + (1 - s / x1) * net), 0.0
        perc = s * (1 - (1 + (4 / 9 * s / x1)**4)**-0.25)
        s -= perc
        exchange = p[1] * (r / x3)**3.5
        r = r + 0.9 * (perc + through) + exchange
        q = r * (1 - (1 + (r / x3)**4)**-0.25)
        r -= q
        out.append(q + 0.1 * (perc + through))
    return np.array(out)


@model(np.array([1.3, 0.2, 0.9]), smooth=False)
def snow_degree_day(p):
    """Degree-day melt with a threshold and a pack that cannot be negative; Hock (2003)."""
    pack, melt = 0.0, np.zeros_like(RAIN)
    for i in range(RAIN.size):
        snow_share = np.clip((p[1] + 1 - TEMPERATURE[i]) / 2, 0, 1)
        pack += RAIN[i] * snow_share
        melt[i] = min(pack, p[0] * max(TEMPERATURE[i] - p[1], 0))
        pack -= melt[i]
    return melt + p[2] * RAIN


@model(np.array([0.036, 1.56, 0.43, 0.078, 1.04]))
def van_genuchten_mualem_table(p):
    """Retention and conductivity, and Kirchhoff's potential of a column by trapezia; van Genuchten (1980)."""
    alpha, n, saturated, residual, ks = p
    m = 1 - 1 / n
    head = -np.logspace(0, 3, 8)
    se = (1 + (alpha * np.abs(head))**n)**-m
    k = ks * np.sqrt(se) * (1 - (1 - se**(1 / m))**m)**2
    theta = residual + (saturated - residual) * se
    flux_potential = np.cumsum(0.5 * (k[1:] + k[:-1]) * np.diff(head)[::1])
    return np.concatenate([theta, k, flux_potential])


@model(np.array([0.8, 1.1, 0.25]))
def richards_implicit_picard(p):
    """One implicit step of Richards' equation, linearised twice, Thomas' algorithm; Celia et al. (1990)."""
    ks, alpha, bottom = p
    n, dz, dt = 7, 0.1, 0.05
    h = np.linspace(-1.0, -bottom, n)
    old = h.copy()
    for _ in range(2):
        k = ks * np.exp(alpha * h)
        c = 0.1 * alpha * np.exp(alpha * h)
        face = 0.5 * (k[1:] + k[:-1]) / dz**2
        lower, upper = np.zeros(n), np.zeros(n)
        lower[1:-1], upper[1:-1] = -face[:-1], -face[1:]
        diagonal = np.ones(n)
        diagonal[1:-1] = c[1:-1] / dt + face[:-1] + face[1:]
        rhs = h.copy()
        rhs[0], rhs[-1] = -1.0, -bottom
        rhs[1:-1] = c[1:-1] / dt * old[1:-1] + (face[1:] - face[:-1]) * dz
        for i in range(1, n):
            w = lower[i] / diagonal[i - 1]
            diagonal[i] -= w * upper[i - 1]
            rhs[i] -= w * rhs[i - 1]
        h[-1] = rhs[-1] / diagonal[-1]
        for i in reversed(range(n - 1)):
            h[i] = (rhs[i] - upper[i] * h[i + 1]) / diagonal[i]
    return h


@model(np.array([1.0, 0.7, 0.4]))
def penman_monteith(p):
    """Reference evapotranspiration; Allen et al. (1998), FAO 56, eq. 6."""
    wind, humidity, radiation = 2 * p[0], p[1], 20 * p[2]
    t = np.array([12.0, 21.0, 28.0])
    saturation = 0.6108 * np.exp(17.27 * t / (t + 237.3))
    slope = 4098 * saturation / (t + 237.3)**2
    gamma = 0.0665
    deficit = saturation * (1 - humidity)
    return ((0.408 * slope * radiation + gamma * 900 / (t + 273) * wind * deficit)
            / (slope + gamma * (1 + 0.34 * wind)))


@model(np.array([1.1, 0.8, 0.5]))
def muskingum_cunge(p):
    """Flood routing, one reach after the other; Ponce (1989)."""
    k, x = 1.2 * p[0], 0.3 * p[1]
    flow = RAIN * p[2] + 1.0
    d = 2 * k * (1 - x) + 1.0
    c0, c1, c2 = (1 - 2 * k * x) / d, (1 + 2 * k * x) / d, (2 * k * (1 - x) - 1) / d
    for _ in range(3):
        routed = np.copy(flow)
        for i in range(1, len(flow)):
            routed[i] = c0 * flow[i] + c1 * flow[i - 1] + c2 * routed[i - 1]
        flow = routed
    return flow


@model(np.array([0.8, 2.5]), branches=True)
def manning_normal_depth(p):
    """Normal depth of a trapezoidal channel, a while loop to convergence; Chow (1959)."""
    q, n = 10 * p[0], 0.01 * p[1]
    y, step, count = 1.0, 1.0, 0
    while count < 50 and abs(step) > 1e-13:
        area, perimeter = (3 + 2 * y) * y, 3 + 2 * y * np.sqrt(5.0)
        f = area**(5 / 3) / perimeter**(2 / 3) * np.sqrt(0.001) / n - q
        df = (5 / 3 * (3 + 4 * y) * (area / perimeter)**(2 / 3)
              - 2 / 3 * 2 * np.sqrt(5.0) * (area / perimeter)**(5 / 3)) * np.sqrt(0.001) / n
        step = f / df
        y -= step
        count += 1
    return y


@model(np.array([0.9, 0.5, 1.3]))
def shallow_ice_profile(p):
    """Shallow-ice flow with a staggered diffusivity, explicit steps; Cuffey & Paterson (2010), Glen's n = 3."""
    rate, balance, width = p
    x = np.linspace(-1, 1, 11)
    h = np.maximum(0.0, 1 - (x / width)**2) ** 0.5
    for _ in range(5):
        slope = np.diff(h) / 0.2
        mid = 0.5 * (h[1:] + h[:-1])
        flux = -rate * mid**5 * slope**3
        h[1:-1] = np.maximum(h[1:-1] + 0.01 * (balance * (0.5 - x[1:-1]**2) - np.diff(flux) / 0.2), 0)
    return h.sum() * 0.2


@model(np.array([1.1, 0.7, 0.3]), smooth=False)
def positive_degree_days(p):
    """Calov & Greve (2005) replaced by daily sums, moving windows and masks."""
    t = TEMPERATURE * p[0] + p[1]
    smooth = sliding_window_view(t, 3).mean(axis=-1)
    warm = smooth > 0
    melt = np.zeros(smooth.shape)
    melt[warm] = smooth[warm] * p[2]
    melt[~warm] += 0.01
    return melt.cumsum()


@model(np.array([0.3, 0.8, 0.2]))
def two_stream_layers(p):
    """Two-stream albedo by adding layers from below; Liou (2002), sec. 6.4, and Coakley & Chylek (1975)."""
    albedo, transmitted = p[2], 1.0
    for tau in (p[0], 0.5 * p[0], p[1]):
        gamma = 0.15 * tau
        r, t = gamma / (1 + gamma), 1 / (1 + gamma) * np.exp(-0.05 * tau)
        transmitted = transmitted * t / (1 - r * albedo)
        albedo = r + t**2 * albedo / (1 - r * albedo)
    return np.array([albedo, transmitted])


@model(np.array([0.9, 1.4, 0.6]))
def schwarzschild_equation(p):
    """Upwelling radiance of a layered grey atmosphere with a Planck source; Petty (2006), ch. 8."""
    temperature = 288 - 60 * p[1] * np.linspace(0, 0.8, 9)
    tau = p[0] * np.exp(-np.linspace(0, 3, 9) * p[2])

    def planck(t, wavenumber=700.0):
        return 1.191e-5 * wavenumber**3 / np.expm1(1.4388 * wavenumber / t)
    source = planck(temperature)
    through = np.exp(-(tau[:-1] - tau[1:]))
    radiance = planck(temperature[0])
    for k, t in enumerate(through):
        radiance = radiance * t + 0.5 * (source[k] + source[k + 1]) * (1 - t)
    return radiance


@model(np.array([0.2, 1.3, 0.4]), branches=True)
def convective_adjustment(p):
    """Unstable neighbours are mixed until none is left; Manabe & Strickler (1964)."""
    t = np.array([p[1], p[0], 0.5, p[2], 0.1])
    for _ in range(20):
        unstable = [i for i in range(4) if t[i + 1] > t[i] + 1e-12]
        if not unstable:
            break
        i = unstable[0]
        t[i] = t[i + 1] = 0.5 * (t[i] + t[i + 1])
    return t


@model(np.array([1.1, 0.9, 0.4, 0.2]))
def seawater_polynomial(p):
    """A density polynomial by Horner in temperature and salinity, lists of coefficients; after Millero (1981)."""
    t, s = 10 * p[0], 35 * p[1]
    table = [[999.84, 6.79e-2, -9.09e-3, 1.0e-4], [0.824, -4.09e-3, 7.6e-5, -8.2e-7], [4.8e-4, p[2] * 1e-6, 0, 0]]
    rho = sum(np.polyval(row[::-1], t) * s**k for k, row in enumerate(table))
    return rho * (1 + p[3] * 4.5e-3)


@model(np.array([0.6, 0.8, 1.2]), smooth=False)
def kinematic_wave_upwind(p):
    """Overland flow by an upwind scheme with maximum(), storing every tenth step; Woolhiser & Liggett (1967)."""
    h, saved = np.zeros(10), []
    for step in range(40):
        q = p[0] * np.maximum(h, 0)**(5 / 3)
        h[0] += 0.1 * (p[1] - q[0])
        h[1:] += 0.1 * (p[1] - (q[1:] - q[:-1]) / p[2])
        if step % 10 == 9:
            saved.append(q[-1])
    return np.array(saved)
