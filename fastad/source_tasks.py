"""source_tasks.py - some sources of a sum, computed by their tapes: here, or in a process that was sent these tapes.

Owns: a chunk of sources and the order in which it is summed up, what of it travels, what a worker keeps.
Must not know: where it runs (executors.py), which tape a source has (sum_over.py).
Whatever was sent is kept by the fingerprint of its bytes, and is not sent again; a worker that has not got it (another
one, or a new one in the place of one that died) says so.
"""
from __future__ import annotations

import hashlib
import os
import pickle
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastad import _tape as T
from fastad import serialize, tapes
from fastad.errors import TapeDivergence, UnsupportedError

__all__ = ["Chunk", "Diverged", "Missing", "Parcel", "compute", "program_for", "work"]

KEPT_BYTES = int(os.environ.get("FASTAD_WORKER_BYTES", 2**29))       # of what was sent to this process


class Chunk(NamedTuple):
    """Sources that are computed one after the other.

    Attributes
    ----------
    kind : {"value", "gradient", "product"}
    first : int
        Number of the first source.
    jobs : list of (Tape, list)
        Of each source its tape, and the values of the tape's inputs that come after the parameters.
    params, directions : list
        Of the parameters, leaf by leaf; directions of a product only.
    errstate : dict
        What NumPy does about floating-point errors.
    """

    kind: str
    first: int
    jobs: Sequence[tuple[Any, list[Any]]]
    params: list[Any]
    directions: list[Any]
    errstate: dict[str, Any]


class Diverged(NamedTuple):
    """A source whose tape does not hold here, instead of a sum."""

    source: int
    error: TapeDivergence


class Missing(NamedTuple):
    """The number of things that a worker has not got, instead of a sum."""

    things: int


# ---- sums ------------------------------------------------------------------------------------------------------------

PROGRAMS = {"value": tapes.program, "gradient": tapes.value_and_gradient_program,
            "product": tapes.hessian_product_program}


def program_for(kind: str, tape: Any) -> Any:
    """The compiled tape that answers a question: never its sweeps, whose derivatives may differ in the last bits."""
    return tapes.kept(tape, f"sum: {kind}", PROGRAMS[kind])


def compute(chunk: Chunk) -> tuple[float, list[np.ndarray]] | Diverged:
    """(sum of the values, sums of the gradients by leaf, or of Hessian products), from the first source to the last."""
    total, sums, n = 0.0, None, len(chunk.params)
    with np.errstate(**chunk.errstate):
        for k, (tape, values) in enumerate(chunk.jobs):
            try:
                y, *rest = program_for(chunk.kind, tape).run([*chunk.params, *values, *chunk.directions])
            except TapeDivergence as error:
                return Diverged(chunk.first + k, error)
            except Exception as error:
                error.add_note(f"(in source {chunk.first + k} of a sum_over)")
                raise
            total += float(y)
            rest = rest[-n:] if n and chunk.kind != "value" else []
            if sums is None:
                sums = [np.array(x, dtype=np.float64) for x in rest]
            else:
                for a, x in zip(sums, rest, strict=True):
                    a += x
    return total, sums or []


# ---- other processes -------------------------------------------------------------------------------------------------

class Parcel(NamedTuple):
    """A chunk on its way: tapes and sources by their fingerprints."""

    kind: str
    first: int
    jobs: list[tuple[bytes, bytes]]
    errstate: dict[str, Any]


class Packer:
    """Makes parcels; each tape is written once for each state of the arrays that it has captured."""

    def __init__(self) -> None:
        self.written: dict[int, tuple[Any, bytes, bytes, bytes]] = {}    # id of a tape -> (tape, captures, token, data)
        self.sent: set[bytes] = set()

    def parcel(self, chunk: Chunk, whole: bool = False) -> tuple[Parcel, dict[bytes, bytes]]:
        """A parcel, and the bytes of what was not sent in an evaluation before, or (`whole`) of all that is in it."""
        jobs, contents = [], {}
        for k, (tape, values) in enumerate(chunk.jobs):
            pair = []
            for token, data in (self.tape(tape, chunk.first + k), packed(values)):
                if whole or token not in self.sent:
                    contents[token] = data
                pair.append(token)
            jobs.append((pair[0], pair[1]))
        return Parcel(chunk.kind, chunk.first, jobs, chunk.errstate), contents

    def delivered(self, tokens: Iterable[bytes], sources: int) -> None:
        """An evaluation has ended: workers have got these.  What has changed since is forgotten now and then."""
        if len(self.sent) > 10 * sources + 1000 or len(self.written) > 10 * sources + 100:
            self.sent.clear()
            self.written.clear()
        self.sent.update(tokens)

    def tape(self, tape: Any, source: int) -> tuple[bytes, bytes]:
        captured = fingerprint(*[x.tobytes() for x in tape.captures])
        found = self.written.get(id(tape))
        if found is None or found[1] != captured:
            bare = serialize.copy(tape)
            bare.signature = None            # how arguments are packed is known here
            try:
                data = serialize.dumps(bare)
            except UnsupportedError as error:
                raise UnsupportedError(f"source {source} of a sum_over cannot be sent to another process: {error} Or "
                                       "sum in this process (executor=None).") from error
            found = self.written[id(tape)] = (tape, captured, fingerprint(data), data)
        return found[2], found[3]


def packed(values: list[Any]) -> tuple[bytes, bytes]:
    data = pickle.dumps(values, protocol=5)
    return fingerprint(data), data


def fingerprint(*parts: bytes) -> bytes:
    found = hashlib.blake2b(digest_size=16)
    for part in parts:
        found.update(part)
    return found.digest()


kept: OrderedDict[bytes, tuple[Any, int]] = OrderedDict()            # token -> (tape or values, bytes of the message)


def keep(contents: dict[bytes, bytes]) -> None:
    """Unpack what was sent; the least recently used goes when there is too much."""
    for token, data in contents.items():
        if token not in kept:
            kept[token] = (serialize.loads(data) if data.startswith(serialize.MAGIC) else pickle.loads(data), len(data))
    total = sum([size for _, size in list(kept.values())])
    for token in list(kept):
        if total <= KEPT_BYTES:
            break
        if token not in contents:
            total -= kept.pop(token, (None, 0))[1]


def work(parcel: Parcel, params: bytes, directions: bytes, tokens: list[bytes],
         contents: list[bytes]) -> tuple[float, list[np.ndarray]] | Diverged | Missing:
    """What a worker runs; parameters and directions are pickled lists, and `contents` is what `tokens` stand for."""
    keep(dict(zip(tokens, contents, strict=True)))
    found = {}
    for token in {t for pair in parcel.jobs for t in pair}:
        entry = kept.get(token)
        if entry is not None:
            found[token] = entry[0]
            try:
                kept.move_to_end(token)
            except KeyError:                 # another thread of this worker has just dropped it
                pass
    missing = {t for pair in parcel.jobs for t in pair} - found.keys()
    if missing:
        return Missing(len(missing))
    jobs = [(found[a], found[b]) for a, b in parcel.jobs]
    before = T.work_alone("FASTAD_NUM_THREADS" not in os.environ)    # there are as many workers as processors
    try:
        return compute(Chunk(parcel.kind, parcel.first, jobs, pickle.loads(params), pickle.loads(directions),
                             parcel.errstate))
    finally:
        T.work_alone(before)
