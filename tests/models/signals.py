"""Signals: filters, transforms written out, resampling, spectra, trackers.

Owns: time series.  Must not know: fastad.  Next: statistics.py.
"""
import numpy as np

from tests.models import model

SIGNAL = np.sin(np.arange(12) * 0.9) + 0.3 * np.cos(np.arange(12) * 2.1)


@model(np.array([0.5, 0.3, 0.2]), SIGNAL)
def fir_loops(h, x):
    y = np.zeros(len(x))
    for n in range(len(x)):
        for k in range(len(h)):
            if n - k >= 0:
                y[n] += h[k] * x[n - k]
    return y


@model(np.array([0.5, 0.3, 0.2]), SIGNAL)
def fir_convolve(h, x):
    return np.convolve(x, h)[:len(x)] - np.convolve(x[::-1], h, "valid").mean()


@model(np.array([0.2, 0.4, 0.2, -0.5, 0.3]), SIGNAL)
def biquad_direct_form(c, x):
    b0, b1, b2, a1, a2 = c
    x1 = x2 = y1 = y2 = 0.0
    out = []
    for xn in x:
        yn = b0 * xn + b1 * x1 + b2 * x2 - a1 * y1 - a2 * y2
        x2, x1, y2, y1 = x1, xn, y1, yn
        out.append(yn)
    return np.array(out)


@model(SIGNAL.copy())
def dft_power(x):
    """A discrete Fourier transform by sines and cosines: matrices of constants."""
    n = len(x)
    k = np.arange(n // 2)[:, None]
    angle = 2 * np.pi * k * np.arange(n) / n
    re, im = np.cos(angle) @ x, -np.sin(angle) @ x
    return np.log(re**2 + im**2 + 1e-3)


@model(SIGNAL.copy())
def haar_wavelet(x):
    """A transform in place on halves: slices with steps."""
    data = x.copy()
    n = 12
    while n % 2 == 0:
        half = n // 2
        a = (data[0:n:2] + data[1:n:2]) / np.sqrt(2)
        d = (data[0:n:2] - data[1:n:2]) / np.sqrt(2)
        data[:half] = a
        data[half:n] = d
        n = half
    return data


@model(SIGNAL[:8].copy(), 3)
def moving_average_cumsum(x, w):
    c = np.cumsum(np.insert(x, 0, 0.0))
    return (c[w:] - c[:-w]) / w


@model(np.array([0.4, 1.3, 2.6, 3.1]), SIGNAL[:5].copy(), smooth=False, analytic=False)
def warp_interp(places, samples):
    return np.interp(places, np.arange(5.0), samples)


@model(np.array([0.1, 0.5, 0.2]), SIGNAL[:6].copy())
def kalman_2x2(p, z):
    """Constant velocity tracker; matrices 2 by 2 with explicit inverse, likelihood of the innovations."""
    q, r, v0 = p
    dt = 1.0
    F = np.array([[1, dt], [0, 1]])
    H = np.array([[1.0, 0.0], [0.2, 1.0]])
    Q = q * np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]])
    R = r * np.eye(2)
    x = np.array([0.0, v0])
    P = np.eye(2)
    ll = 0.0
    for zk in z:
        x = F @ x
        P = F @ P @ F.T + Q
        y = np.array([zk, 0.3 * zk]) - H @ x
        S = H @ P @ H.T + R
        det = S[0, 0] * S[1, 1] - S[0, 1] * S[1, 0]
        Sinv = np.array([[S[1, 1], -S[0, 1]], [-S[1, 0], S[0, 0]]]) / det
        K = P @ H.T @ Sinv
        x = x + K @ y
        P = (np.eye(2) - K @ H) @ P
        ll -= 0.5 * (np.log(det) + y @ Sinv @ y)
    return ll


@model(np.array([0.6, -0.3, 0.1]), SIGNAL)
def autoregressive_residuals(phi, x):
    p = len(phi)
    lagged = np.column_stack([x[p - k - 1:len(x) - k - 1] for k in range(p)])
    return x[p:] - lagged @ phi


@model(np.array([2.0, 0.5, 1.0]), np.linspace(0, 1, 8))
def chirp_phase_unwrap(p, t):
    """Phases by arctan2, unwrapped by a loop that adds whole turns of constants."""
    phase = 2 * np.pi * (p[0] * t + 0.5 * p[1] * t**2) + p[2]
    wrapped = np.arctan2(np.sin(phase), np.cos(phase))
    steps = np.diff(wrapped)
    steps = steps - 2 * np.pi * np.round(steps / (2 * np.pi))
    return wrapped[0] + np.concatenate(([0.0], np.cumsum(steps)))


@model(SIGNAL[:7].copy(), smooth=False, analytic=False)
def envelope_peak_detector(x):
    """Rises at once, falls slowly: a running maximum with decay."""
    env = np.zeros_like(x)
    level = 0.0
    for i in range(len(x)):
        level = np.maximum(np.abs(x[i]), 0.8 * level)
        env[i] = level
    return env


@model(np.array([0.8, 0.5, 0.3, 0.1]))
def levinson_durbin(r):
    """Reflection coefficients from autocorrelations: a triangle of updates in place."""
    order = len(r) - 1
    a = np.zeros(order + 1)
    a[0] = 1.0
    e = r[0]
    ks = []
    for m in range(1, order + 1):
        acc = r[m]
        for j in range(1, m):
            acc += a[j] * r[m - j]
        k = -acc / e
        new = a.copy()
        for j in range(1, m):
            new[j] = a[j] + k * a[m - j]
        new[m] = k
        a = new
        e *= 1 - k**2
        ks.append(k)
    return np.append(np.array(ks), e)


@model(np.array([0.1, 0.2, 0.05]), SIGNAL, 1.0)
def lms_adaptive(w0, x, desired):
    w = w0.copy()
    errors = np.zeros(len(x) - 2)
    for n in range(2, len(x)):
        u = x[n - 2:n + 1][::-1]
        e = desired * x[n] * 0.5 - np.dot(w, u)
        w += 0.1 * e * u
        errors[n - 2] = e
    return np.sum(errors**2)


@model(SIGNAL[:6].copy(), SIGNAL[4:9].copy())
def soft_dtw(a, b):
    """Dynamic time warping with a soft minimum: a table filled cell by cell."""
    n, m = len(a), len(b)
    D = np.full((n + 1, m + 1), 50.0)
    D[0, 0] = 0.0
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            options = np.array([D[i - 1, j], D[i, j - 1], D[i - 1, j - 1]])
            D[i, j] = (a[i - 1] - b[j - 1])**2 - 0.5 * np.log(np.exp(-options / 0.5).sum())
    return D[n, m]


@model(SIGNAL.copy(), analytic=False)
def fft_power(x):
    return np.abs(np.fft.rfft(x))**2


@model(np.array([0.4, 1.3, 0.8]), analytic=False)
def complex_impedance(x):
    """A resistor and a coil beside a capacitor, at three frequencies."""
    w = np.array([0.5, 1.0, 2.0])
    z = x[0] + 1j * w * x[1]
    return abs(z / (1 + 1j * w * x[2] * z))
