"""Random stencils in time loops, for test_stencils.py: slices of fields, in several spellings, written into rows.

Owns: the programs.  Must not know: what is compared.
"""
import numpy as np

SHAPES = (5, 70), (4, 66), (7, 131), (3, 5, 68), (30, 64), (90,), (6, 40)
LARGE = (50, 70), (44, 166), (7, 1310), (23, 5, 68), (60, 64), (30000,), (12, 3, 4, 70)      # for several threads


def random_stencil(seed, shapes=SHAPES):
    """(f, arrays): steps that write slices of fields, in several spellings, with functions that are no chain's."""
    rng = np.random.default_rng(seed)
    shape = shapes[rng.integers(len(shapes))]
    dtype = np.float32 if rng.integers(4) == 0 else np.float64
    nd, steps = len(shape), int(rng.integers(1, 4))
    unary = (np.sin, np.tanh, np.exp, np.abs, np.sqrt, lambda v: 2.0 * v, lambda v: -4.0 * v, lambda v: v * v,
             np.arctan)
    binary = (np.add, np.subtract, np.multiply, np.hypot, np.maximum, lambda a, b: a / (2.0 + b * b),
              lambda a, b: np.where(a > b, a, 0.5 * b), lambda a, b: np.sin(a + b), lambda a, b: 2.0 * a - b)
    plan = [[(int(rng.integers(len(binary))), int(rng.integers(len(unary))), rng.integers(0, 3, (2, nd)),
              rng.integers(6), int(rng.integers(4)))
             for _ in range(rng.integers(1, 5))] for _ in range(steps)]

    def cut(u, shift):
        return u[tuple(slice(int(k), n - 2 + int(k)) for k, n in zip(shift, u.shape, strict=True))]

    def f(u, c):
        old = 0.5 * u
        total = 0.0
        for step in plan:
            new = np.zeros(u.shape) if step[0][3] % 2 else np.zeros_like(u)
            parts = []
            for b, a, shifts, _, kind in step:
                x, y = cut(u, shifts[0]), cut(c if kind == 1 else old, shifts[1])
                if a == 4:
                    x = np.abs(x) + 0.1
                parts.append(binary[b](unary[a](x), y if len(parts) % 2 or not parts else parts[-1]))
            kind = step[-1][4]
            inner = tuple(slice(1, -1) for _ in u.shape)
            if kind == 0:
                new[inner] = parts[0] + parts[-1]
            elif kind == 1:
                new[inner] += parts[-1]
                new[inner] *= 0.5
            elif kind == 2:
                new[inner] = parts[-1]
                total = total + np.sum(new ** 2)
            else:
                new[inner] = np.sin(parts[-1])
                new[tuple(0 for _ in u.shape)] += 0.3
            old, u = u, new
        return total + np.sum(u * u), u
    return f, [rng.normal(size=shape).astype(dtype), rng.uniform(0.1, 0.9, size=shape).astype(dtype)]
