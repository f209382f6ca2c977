"""unit_vectors.py - matrices of derivatives from sweeps along unit vectors, one at a time or many at once.

Owns: the unit vectors, how many of them are swept at once within what memory, how results become blocks of a matrix.
Must not know: which derivative is swept (verbs.py).
"""
import numpy as np

from fastad import _tape as T
from fastad import tapes


def size_of(shape):
    return int(np.prod(shape, dtype=np.int64))


def unit_sweeps(shapes, sweep):
    """For arrays of these shapes: what `sweep` gives for each unit vector.

    sweep : callable
        Takes one array a shape, returns a list of results.

    Returns
    -------
    list, one entry a shape: list, one entry a result: the results for its elements, stacked in front.
    """
    zeros = [np.zeros(shape) for shape in shapes]
    stacked = []
    for k, zero in enumerate(zeros):
        rows = []
        for j in range(zero.size):
            unit = np.zeros(zero.shape)
            unit.flat[j] = 1.0
            rows.append(sweep([*zeros[:k], unit, *zeros[k + 1:]]))
        stacked.append([np.stack(parts) for parts in zip(*rows, strict=True)])
    return stacked


def lane_sweeps(shapes, lanes, sweep):
    """The same, where `sweep` takes `lanes` unit vectors at once: arrays with one more axis in front."""
    sizes = [size_of(shape) for shape in shapes]
    total, chunks = sum(sizes), []
    for start in range(0, total, lanes):
        flat = np.zeros((lanes, total))
        n = min(lanes, total - start)
        flat[np.arange(n), np.arange(start, start + n)] = 1.0
        parts = np.split(flat, np.cumsum(sizes)[:-1], axis=1)
        found = sweep([np.ascontiguousarray(p).reshape(lanes, *shape) for p, shape in zip(parts, shapes, strict=True)])
        chunks.append([x[:n] for x in found])
    whole = [c[0] if len(chunks) == 1 else np.concatenate(c) for c in zip(*chunks, strict=True)]
    ends = np.cumsum(sizes)
    return [[x[end - size:end] for x in whole] for size, end in zip(sizes, ends, strict=True)]


def block(stacked, shape, shapes, in_front):
    """Blocks of a matrix: one for each result (of `shapes`), from what `unit_sweeps` gives for one array of `shape`.

    in_front : bool
        Do the axes of the array come first?
    """
    blocks = []
    for m, s in enumerate(shapes):
        if size_of(shape) == 0:
            blocks.append(np.zeros(shape + s if in_front else s + shape))
        elif shape == ():
            blocks.append(stacked[m][0])
        else:
            x = stacked[m] if in_front or s == () else np.moveaxis(stacked[m], 0, -1)
            x = np.reshape(x, shape + s if in_front else s + shape)
            blocks.append(x if T.is_wrapped(x) else np.ascontiguousarray(x))
    return blocks


MOST_LANES = 64                          # unit vectors that one sweep of a compiled matrix carries
MOST_BYTES = 256 * 2**20


class Lanes:
    """A derivative tape compiled for many unit vectors at once.

    Parameters
    ----------
    tape : Tape
        The first `fixed` inputs stay, the others are the unit vectors.
    total : int
        Unit vectors in all.
    """

    def __init__(self, tape, fixed, total):
        self.lanes = min(MOST_LANES, max(1, total))
        while True:
            batched = tapes.transform().batch(tape, self.lanes, [False] * fixed + [True] * (len(tape.inputs) - fixed))
            self.program = tapes.program(batched)
            if self.program.working_bytes() <= MOST_BYTES or self.lanes == 1:
                break
            self.lanes = max(1, self.lanes // 4)

    @property
    def nbytes(self):
        return self.program.nbytes

    def run(self, values):
        return self.program.run(values)

    def sweeps(self, shapes, sweep):
        return lane_sweeps(shapes, self.lanes, sweep)


def need_memory(function, rows, columns, instead):
    """MemoryError before the first sweep if a matrix, and the rows of which it is put together, do not fit."""
    need = 16 * rows * columns
    if need > 1 << 28 and need > T.memory_available():
        raise MemoryError(f"{function.verb} of {function.name}: {rows} x {columns} numbers take {need / 1e9:.1f} GB "
                          f"while they are put together, more than is available. Use {instead} for products with it.")
