"""The larger models, as a scientist would write them, and their gradients by hand.

Owns: waves on a grid, a Gaussian mixture, bundle adjustment, a network, a mesh, rays; plain NumPy and SciPy.
``xp`` is the array namespace.
Must not know: fastad or any peer; what stands here is what they are judged by.
Next: programs.py (the small ones), cases/ (what is measured with them).
"""
from dataclasses import dataclass

import numpy as np
from scipy.special import multigammaln

# ---- acoustic waves --------------------------------------------------------------------------------------------------


@dataclass
class Survey:
    """One shot: a source at (row, column) = (source, source), receivers along a whole row, what they recorded."""

    source: int
    receivers: int
    wavelet: np.ndarray
    data: np.ndarray

    def astype(self, dtype):
        return Survey(self.source, self.receivers, self.wavelet.astype(dtype), self.data.astype(dtype))


def shot(n, steps):
    """A survey on an n by n grid, and squared Courant numbers to start from; the truth has a lens that these miss."""
    t = np.arange(steps) - 40.0
    wavelet = (1.0 - 2.0 * (0.06 * np.pi * t) ** 2) * np.exp(-((0.06 * np.pi * t) ** 2))
    row, column = np.indices((n, n)) / n
    start = 0.1 + 0.1 * row
    lens = 0.05 * np.exp(-((row - 0.6) ** 2 + (column - 0.5) ** 2) / 0.02)
    survey = Survey(n // 2, 2, wavelet, np.zeros((steps, n)))
    survey.data = np.array([u[survey.receivers] for u in wavefields(start + lens, survey)[2:]])
    return survey, start


def wave_misfit(c2, survey):
    """Half the squared difference between waves and records; u_tt = c^2 (u_xx + u_yy), second order, fixed edges."""
    old, now = np.zeros_like(c2), np.zeros_like(c2)
    misfit = 0.0
    for k in range(len(survey.wavelet)):
        inner = now[1:-1, 1:-1]
        laplacian = now[2:, 1:-1] + now[:-2, 1:-1] + now[1:-1, 2:] + now[1:-1, :-2] - 4.0 * inner
        new = np.zeros_like(c2)
        new[1:-1, 1:-1] = 2.0 * inner - old[1:-1, 1:-1] + c2[1:-1, 1:-1] * laplacian
        new[survey.source, survey.source] += survey.wavelet[k]
        misfit = misfit + 0.5 * np.sum((new[survey.receivers] - survey.data[k]) ** 2)
        old, now = now, new
    return misfit


def waves_in_buffers(c2, survey):
    """The same in three buffers that rotate: no new array in any step."""
    u0, u1, u2 = np.zeros_like(c2), np.zeros_like(c2), np.zeros_like(c2)
    misfit = 0.0
    for pulse, record in zip(survey.wavelet, survey.data, strict=True):
        inner = u1[1:-1, 1:-1]
        laplacian = u1[2:, 1:-1] + u1[:-2, 1:-1] + u1[1:-1, 2:] + u1[1:-1, :-2] - 4.0 * inner
        u2[1:-1, 1:-1] = 2.0 * inner - u0[1:-1, 1:-1] + c2[1:-1, 1:-1] * laplacian
        u2[survey.source, survey.source] += pulse
        misfit = misfit + 0.5 * np.sum((u2[survey.receivers] - record) ** 2)
        u0, u1, u2 = u1, u2, u0
    return misfit


def laplacian_of(u):
    result = np.zeros_like(u)
    result[1:-1, 1:-1] = u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2] - 4.0 * u[1:-1, 1:-1]
    return result


def wavefields(c2, survey):
    """All waves, shape (steps + 2, n, n); the first two are zero."""
    u = np.zeros((len(survey.wavelet) + 2, *c2.shape))
    for k, pulse in enumerate(survey.wavelet):
        u[k + 2, 1:-1, 1:-1] = (2.0 * u[k + 1] - u[k] + c2 * laplacian_of(u[k + 1]))[1:-1, 1:-1]
        u[k + 2, survey.source, survey.source] += pulse
    return u


def wave_gradient(c2, survey):
    """By the adjoint wave equation, which is the same one backwards, with the residuals as sources."""
    u = wavefields(c2, survey)
    g, above, beyond = np.zeros_like(c2), np.zeros_like(c2), np.zeros_like(c2)
    for k in reversed(range(len(survey.wavelet))):
        here = 2.0 * above - beyond + laplacian_of(c2 * above)
        here[survey.receivers] += u[k + 2, survey.receivers] - survey.data[k]
        here[[0, -1]] = here[:, [0, -1]] = 0.0              # the edges do not move
        g += here * laplacian_of(u[k + 1])
        beyond, above = above, here
    return g


# ---- Gaussian mixture (the objective of ADBench) ---------------------------------------------------------------------

@dataclass
class Mixture:
    """Samples, shape (n, d), and the Wishart prior."""

    x: np.ndarray
    components: int
    gamma: float
    m: int

    def split(self, p):
        """From one vector: weights (k,), means (k, d), log diagonals (k, d) and what is below them (k, d(d-1)/2)."""
        k, d = self.components, self.x.shape[1]
        factors = p[k + k * d:].reshape(k, d * (d + 1) // 2)
        return p[:k], p[k:k + k * d].reshape(k, d), factors[:, :d], factors[:, d:]

    def below(self):
        """Rows and columns of a strictly lower triangle, column after column."""
        columns, rows = np.triu_indices(self.x.shape[1], 1)
        return rows, columns


def lower_triangles(values, mixture):
    """Shape (k, d, d), strictly lower; filled in place."""
    d = mixture.x.shape[1]
    factors = np.zeros((mixture.components, d, d))
    rows, columns = mixture.below()
    factors[:, rows, columns] = values
    return factors


def mixture_objective(p, mixture, xp=np, lower=lower_triangles):
    """Log posterior of a mixture whose inverse covariances are Q^T Q with Q = diag(exp(q)) + lower triangle."""
    alpha, mu, q, below = mixture.split(p)
    n, d = mixture.x.shape
    deviations = mixture.x - mu[:, None, :]                                     # (k, n, d)
    factors = lower(below, mixture)
    whitened = xp.exp(q)[:, None, :] * deviations + xp.matmul(deviations, xp.swapaxes(factors, 1, 2))
    logits = (alpha + xp.sum(q, 1))[:, None] - 0.5 * xp.sum(whitened * whitened, 2)
    top = xp.max(logits, 0)
    likelihood = xp.sum(top + xp.log(xp.sum(xp.exp(logits - top), 0)))
    prior = 0.5 * mixture.gamma ** 2 * (xp.sum(xp.exp(2.0 * q)) + xp.sum(below * below)) - mixture.m * xp.sum(q)
    return likelihood - n * xp.log(xp.sum(xp.exp(alpha))) + prior + mixture_constant(mixture)


def mixture_constant(mixture):
    n, d = mixture.x.shape
    freedom = d + mixture.m + 1
    wishart = freedom * d * np.log(mixture.gamma / np.sqrt(2.0)) - multigammaln(0.5 * freedom, d)
    return -0.5 * n * d * np.log(2.0 * np.pi) - mixture.components * wishart


def mixture_gradient(p, mixture):
    alpha, mu, q, below = mixture.split(p)
    n, d = mixture.x.shape
    deviations = mixture.x - mu[:, None, :]
    factors = lower_triangles(below, mixture)
    factors[:, range(d), range(d)] = np.exp(q)
    whitened = deviations @ factors.transpose(0, 2, 1)
    logits = (alpha + q.sum(1))[:, None] - 0.5 * np.sum(whitened ** 2, axis=2)
    weights = np.exp(logits - logits.max(0))
    weights /= weights.sum(0)
    pulled = weights[:, :, None] * whitened
    by_factor = -pulled.transpose(0, 2, 1) @ deviations
    by_mean = (pulled @ factors).sum(1)
    rows, columns = mixture.below()
    total = weights.sum(1)
    by_alpha = total - n * np.exp(alpha - alpha.max()) / np.exp(alpha - alpha.max()).sum()
    by_q = (np.einsum("kii->ki", by_factor) * np.exp(q) + total[:, None] + mixture.gamma ** 2 * np.exp(2.0 * q)
            - mixture.m)
    by_below = by_factor[:, rows, columns] + mixture.gamma ** 2 * below
    return np.concatenate([by_alpha, by_mean.ravel(), np.hstack([by_q, by_below]).ravel()])


def synthetic_mixture(n, d, k, seed=1):
    """Of ADBench's kind: uniform weights and factors, normal samples, gamma = 1, m = 0."""
    rng = np.random.default_rng(seed)
    parameters = np.concatenate([rng.normal(size=k), rng.random(k * d), rng.normal(size=k * d * (d + 1) // 2)])
    return parameters, Mixture(rng.normal(size=(n, d)), k, 1.0, 0)


def read_mixture(path):
    """An instance of ADBench; its format is in the README beside it."""
    numbers = np.array(path.read_text().split(), dtype=float)
    d, k, n = (int(number) for number in numbers[:3])
    size = k + k * d + k * d * (d + 1) // 2
    end = 3 + size + n * d
    return numbers[3:3 + size], Mixture(numbers[3 + size:end].reshape(n, d), k, numbers[end], int(numbers[end + 1]))


# ---- bundle adjustment (the residuals of ADBench) --------------------------------------------------------------------

def project(camera, point, weight, feature, xp=np):
    """Weighted reprojection errors, shape (2, m), of m observations: camera (11, m), point (3, m), weight (m,).

    A camera is a rotation vector, a centre, a focal length, a principal point and two radial distortions.
    """
    r, centre, focal, k1, k2 = camera[0:3], camera[3:6], camera[6], camera[9], camera[10]
    v = point - centre
    angle = xp.sqrt(xp.sum(r * r, 0))
    axis = r / angle
    along = xp.sum(axis * v, 0) * (1.0 - xp.cos(angle))
    cross = xp.stack([axis[1] * v[2] - axis[2] * v[1], axis[2] * v[0] - axis[0] * v[2],
                      axis[0] * v[1] - axis[1] * v[0]])
    y = v * xp.cos(angle) + cross * xp.sin(angle) + axis * along
    image = y[0:2] / y[2]
    square = xp.sum(image * image, 0)
    distorted = image * (1.0 + k1 * square + k2 * square * square)
    return weight * (focal * distorted + camera[7:9] - feature)


def observations(m, seed=1):
    """Cameras, points, weights and features of m observations, near the values of ADBench's instances."""
    rng = np.random.default_rng(seed)
    camera = np.array([-0.76, -1.11, -0.85, 34.6, 39.7, 53.9, 419.2, 5.9, -8.5, 0.088, 0.0027])
    point = np.array([7.2, 0.0, 3.0])
    return (camera[:, None] * (1.0 + 0.01 * rng.normal(size=(11, m))), point[:, None] + 0.1 * rng.normal(size=(3, m)),
            rng.random(m), rng.normal(size=(2, m)))


def blocks_by_complex_step(camera, point, weight, feature):
    """The 2 by 15 block of every observation, shape (15, 2, m), by complex steps of plain NumPy."""
    blocks = []
    for column in range(15):
        step = np.zeros((15, 1), dtype=complex)
        step[column] = 1e-30j
        blocks.append(project(camera + step[:11], point + step[11:14], weight + step[14], feature).imag / 1e-30)
    return np.array(blocks)


# ---- a network of two layers -----------------------------------------------------------------------------------------

@dataclass
class Batch:
    """Images x, shape (n, pixels), and which of the classes each is: a row of zeros and a one in `labels`."""

    x: np.ndarray
    labels: np.ndarray
    hidden: int

    def split(self, p):
        """From one vector: the matrices and shifts of both layers."""
        pixels, hidden, classes = self.x.shape[1], self.hidden, self.labels.shape[1]
        ends = np.cumsum([pixels * hidden, hidden, hidden * classes])
        return (p[:ends[0]].reshape(pixels, hidden), p[ends[0]:ends[1]], p[ends[1]:ends[2]].reshape(hidden, classes),
                p[ends[2]:])


def batch(n, pixels, hidden, classes, seed=1):
    """Weights to start from, and a batch of noise: what is in the images does not matter for the time."""
    rng = np.random.default_rng(seed)
    labels = np.eye(classes)[rng.integers(classes, size=n)]
    weights = [rng.normal(0.0, a ** -0.5, a * b) for a, b in ((pixels, hidden), (hidden, classes))]
    return np.concatenate([weights[0], np.zeros(hidden), weights[1], np.zeros(classes)]), Batch(
        rng.random((n, pixels)), labels, hidden)


def cross_entropy(p, batch, xp=np):
    """Mean of minus the logarithm of the probability that the network gives to the right class."""
    first, shift, second, offset = batch.split(p)
    logits = xp.tanh(batch.x @ first + shift) @ second + offset
    top = xp.max(logits, 1)[:, None]
    right = xp.sum((logits - top) * batch.labels, 1)
    return xp.mean(xp.log(xp.sum(xp.exp(logits - top), 1)) - right)


def cross_entropy_gradient(p, batch):
    first, shift, second, offset = batch.split(p)
    hidden = np.tanh(batch.x @ first + shift)
    logits = hidden @ second + offset
    by_logits = np.exp(logits - logits.max(axis=1, keepdims=True))
    by_logits = (by_logits / by_logits.sum(axis=1, keepdims=True) - batch.labels) / len(logits)
    by_hidden = (by_logits @ second.T) * (1.0 - hidden**2)
    return np.concatenate([(batch.x.T @ by_hidden).ravel(), by_hidden.sum(axis=0), (hidden.T @ by_logits).ravel(),
                           by_logits.sum(axis=0)])


# ---- flow on an unstructured mesh ------------------------------------------------------------------------------------

@dataclass
class Mesh:
    """Edges between cells `left` and `right`, what each lets through, and what leaves each cell."""

    left: np.ndarray
    right: np.ndarray
    conductance: np.ndarray
    source: np.ndarray


def mesh(cells, edges, seed=1):
    """Potentials to start from, and a mesh: most edges are between near cells, as a good numbering has it."""
    rng = np.random.default_rng(seed)
    left = rng.integers(cells, size=edges)
    right = (left + 1 + rng.geometric(0.02, size=edges)) % cells
    return rng.normal(size=cells), Mesh(left, right, np.exp(rng.normal(size=edges)), rng.normal(size=cells))


def imbalance(u, mesh, xp=np):
    """Squared sums of fluxes into cells, which grow faster than the difference between two cells."""
    difference = u[mesh.right] - u[mesh.left]
    flux = mesh.conductance * difference * xp.sqrt(1.0 + difference * difference)
    balance = xp.bincount(mesh.left, flux, len(u)) - xp.bincount(mesh.right, flux, len(u)) - mesh.source
    return xp.sum(balance * balance)


def imbalance_gradient(u, mesh):
    difference = u[mesh.right] - u[mesh.left]
    root = np.sqrt(1.0 + difference**2)
    flux, n = mesh.conductance * difference * root, len(u)
    balance = np.bincount(mesh.left, flux, n) - np.bincount(mesh.right, flux, n) - mesh.source
    back = 2.0 * (balance[mesh.left] - balance[mesh.right]) * mesh.conductance * (root + difference**2 / root)
    return np.bincount(mesh.right, back, n) - np.bincount(mesh.left, back, n)


# ---- rays through a layered medium -----------------------------------------------------------------------------------

@dataclass
class Rays:
    """Where slowness is given (`depth`, nodes), and the parts of the way (s, from 0 to 1) where rays are sampled."""

    depth: np.ndarray
    s: np.ndarray
    offset: np.ndarray

    def split(self, p):
        """Slowness at the nodes; how deep each ray ends."""
        return p[:len(self.depth)], p[len(self.depth):]


def rays(nodes, count, samples):
    """Slownesses and ends of the rays, and the rays."""
    depth = np.linspace(0.0, 1.0, nodes)
    ends = np.linspace(0.3, 0.97, count)
    return np.concatenate([1.0 / (1.0 + depth), ends]), Rays(depth, (np.arange(samples) + 0.5) / samples,
                                                             np.linspace(0.1, 0.9, count))


def travel_times(p, rays, xp=np):
    """Squared times along straight rays: slowness is interpolated at each sample, and where that is depends on p."""
    slowness, ends = rays.split(p)
    at = xp.interp(rays.s * ends[:, None], rays.depth, slowness)                # (rays, samples)
    times = xp.sqrt(ends * ends + rays.offset * rays.offset) * xp.mean(at, 1)
    return xp.sum(times * times)


def travel_times_gradient(p, rays):
    slowness, ends = rays.split(p)
    z = rays.s * ends[:, None]
    cell = np.searchsorted(rays.depth, z, side="right") - 1
    width = np.diff(rays.depth)[cell]
    part = (z - rays.depth[cell]) / width
    slope = np.diff(slowness)[cell] / width
    mean, length = np.mean(slowness[cell] + part * width * slope, axis=1), np.sqrt(ends**2 + rays.offset**2)
    by_mean = 2.0 * length**2 * mean
    by_ends = by_mean * np.mean(slope * rays.s, axis=1) + 2.0 * ends * mean**2
    by_at = np.broadcast_to((by_mean / rays.s.size)[:, None], z.shape)
    g = np.bincount(cell.ravel(), (by_at * (1.0 - part)).ravel(), slowness.size)
    return np.concatenate([g + np.bincount(cell.ravel() + 1, (by_at * part).ravel(), slowness.size), by_ends])
