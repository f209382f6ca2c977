"""Random time loops over fields with edges, for test_slices.py: what geophysicists write around a stencil.

Owns: the programs (edges that are set, copied or damped, sources, receivers, histories, arrays padded).
Must not know: what is compared.
"""
import numpy as np

SHAPES = (66, 70), (64, 64), (70, 101), (40, 130)


def random_waves(seed):
    """f(c), a point: a few steps of random statements on buffers that rotate, or are new in each step."""
    rng = np.random.default_rng(seed)
    n, m = shape = SHAPES[rng.integers(len(SHAPES))]
    dtype = np.float32 if rng.integers(5) == 0 else np.float64
    steps, rotating, keeps = int(rng.integers(2, 6)), rng.integers(3) > 0, bool(rng.integers(2))
    fill = (0.0, 0.0, 0.0, -0.0, 1.5)[rng.integers(5)]
    sponge = np.exp(-0.2 * rng.random(shape)).astype(dtype)
    if rng.integers(8) == 0:
        sponge[0, 3] = -0.5
    rows, columns = rng.integers(0, n, 12), rng.integers(0, m, 12)
    if rng.integers(2):
        rows, columns = np.full(20, int(rng.integers(0, n))), np.arange(5, 25)
    kinds = rng.integers(0, 16, (steps, int(rng.integers(2, 7))))
    places, numbers = rng.integers(1, min(shape) - 2, (steps, 8, 4)), rng.random((steps, 8))
    if rng.integers(2):                                      # each step like the first one
        kinds[:], places[:] = kinds[0], places[0]
    inner = ((slice(1, -1),) * 2, (slice(2, -2), slice(1, -1)), (slice(3, -3),) * 2)[rng.integers(3)]

    def stencil(u, kind):
        def at(i, j):
            return u[inner[0].start + i:n + inner[0].stop + i, inner[1].start + j:m + inner[1].stop + j]
        return (at(1, 0) + at(-1, 0) + at(0, 1) + at(0, -1) - 4 * at(0, 0) if kind % 4 == 0
                else at(1, 0) - at(-1, 0) + 0.3 * at(0, 0) if kind % 4 == 1
                else 0.5 * (at(1, 0) + at(-1, 0)) - 0.25 * (at(0, 1) + at(0, -1)) if kind % 4 == 2
                else np.tanh(at(0, 1)) - at(0, 0))

    def at_edges(u, old, kind, number):
        if kind == 0:
            u[0, :] = 0.0
        elif kind == 1:
            u[:, -1] = number
        elif kind == 2:
            u[0, :] = u[1, :]
        elif kind == 3:
            u[:, -1] = old[:, -2] * number
        else:
            u[:, 0] = u[:, -1] = u[0] = u[-1] = 0.0

    def f(c):
        waves = [np.full(shape, fill, dtype) for _ in range(3)]
        waves[1] = waves[1] + 0.1 * c
        records = np.zeros((steps, len(rows)), dtype)
        history = np.zeros((steps + 2, *shape), dtype)
        misfit = 0.0
        for k in range(steps):
            u0, u1, u2 = waves
            if not rotating:
                u2 = np.full(shape, fill, dtype)
            u2[inner] = dtype(1.5) * u1[inner] - dtype(0.6) * u0[inner] + c[inner] * stencil(u1, int(places[k, 0, 0]))
            for q, kind in enumerate(kinds[k]):
                place, number = places[k, q % 8], dtype(numbers[k, q % 8])
                if kind < 5:
                    at_edges(u2, u1, kind, number)
                elif kind == 5:
                    u1 *= sponge
                    u2 *= sponge
                elif kind == 6:
                    u2[place[0], place[1]] += number
                elif kind == 7:
                    records[k] = u2[rows, columns]
                elif kind == 8:
                    u2[2:place[0] + 3, 3:place[1] + 4] += u1[:place[0] + 1, :place[1] + 1] * number
                elif kind == 9:
                    laplacian = np.zeros(shape, dtype)
                    laplacian[inner] = stencil(u2, int(kind + k))
                    u2 = u2 + c * laplacian
                elif kind == 10:
                    u2 = np.pad(u2[1:-1, 1:-1], 1)
                elif kind == 11 and keeps:
                    history[k + 1] = u2
                    u2 = u2 + number * history[k]
                elif kind == 12:
                    u2 = u2 - number * u2 * u2
                elif kind == 13:
                    misfit = misfit + np.sum((u2[rows, columns] - number) ** 2)
                elif kind == 14:
                    u2 = u2 * sponge
                elif kind == 15:
                    u2[place[0], :] = u2[place[0], :] * number + u1[place[1], :]
            waves = [u1, u2, u0]
        misfit = misfit + np.sum(records * records) + np.sum(waves[1][inner] ** 2)
        return misfit + (np.sum(history[:, 3:9, 4:50] ** 2) if keeps else 0.0)
    return f, (0.3 * rng.normal(size=shape)).astype(dtype)
