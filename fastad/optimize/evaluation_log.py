"""The file behind `minimize(..., checkpoint=...)`: every evaluation of a run, in the order in which it was asked for.

Owns: the format, how a run is begun, read back and continued on disk.
A head (magic, version, checksum, what the run is about in JSON) is written to a temporary file, synced and renamed;
records are appended, each with its checksum.  A process that is killed leaves at worst the beginning of one more record
at the end, which is cut off when the run goes on; anything else that does not fit is damage.
Must not know: optimisers, what the questions mean (resuming.py).
"""
from __future__ import annotations

import errno
import hashlib
import json
import os
import struct
import tempfile
import time
import zlib
from typing import Any, NamedTuple

import numpy as np

from fastad.errors import CheckpointError

try:
    import fcntl
except ImportError:                          # Windows
    fcntl = None                             # type: ignore[assignment]

__all__ = ["EvaluationLog", "Record", "fingerprint"]

MAGIC = b"\x89FASTRUN"
VERSION = 1
HEAD = struct.Struct("<8sIIQ")               # magic, version, crc32 of the JSON, its length
RECORD = struct.Struct("<4sIQQd16sI")        # mark, kind, lengths of x and answer, seconds, question, crc32 of the data
CHECK = struct.Struct("<I")                  # crc32 of these
MARK = b"rec\n"
KINDS = ("value", "gradient", "both", "product", "hessian", "callback")
in_use: set[tuple[int, int]] = set()         # files of runs of this process
SYNC = 2.0                                   # seconds after which what was written is forced to the disk


def fingerprint(*arrays: Any) -> bytes:
    """Sixteen bytes that tell one question from another."""
    found = hashlib.blake2b(digest_size=16)
    for x in arrays:
        found.update(np.ascontiguousarray(x).view(np.uint8).data)
    return found.digest()


class Record(NamedTuple):
    """One answer: what was asked (kind and fingerprint), where (x, where it is stored), what it was, and when."""

    kind: str
    question: bytes
    x: np.ndarray
    answer: np.ndarray
    seconds: float


class EvaluationLog:
    """A run on disk: `read` gives what there is; then `append` goes on.

    Parameters
    ----------
    path : str or path-like
    head : dict
        What the run is about, of a new file.
    resume : bool
        Continue the run of a file that exists.

    Attributes
    ----------
    head : dict
        Of the file.
    replaying : bool
        There may be records that were not read yet.
    count : int
        Evaluations so far.
    """

    def __init__(self, path: Any, head: dict[str, Any], resume: bool):
        self.path = os.fspath(path)
        self.count, self.elapsed, self.began = 0, 0.0, time.perf_counter()
        self.ahead: Record | None = None
        if os.path.isdir(self.path):
            raise CheckpointError(f"{self.path} is a directory; checkpoint= is the name of a file")
        exists = os.path.exists(self.path)
        if exists and not resume:
            raise CheckpointError(f"{self.path} exists: resume=True continues its run; delete it to begin a new one")
        if not exists:
            create(self.path, head)
        self.file = open(self.path, "r+b")
        try:
            self.head, self.end = read_head(self.file, self.path)
            self.claim()
        except BaseException:
            self.file.close()
            raise
        self.replaying = True
        self.synced = time.perf_counter()

    def claim(self) -> None:
        """One run at a time.  (A lock of this process: workers that it has forked do not keep it when it is killed.)"""
        status = os.fstat(self.file.fileno())
        self.name = status.st_dev, status.st_ino
        try:
            if self.name in in_use:
                raise BlockingIOError
            if fcntl is not None:
                fcntl.lockf(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            raise CheckpointError(f"{self.path} is being written by another run, which goes on") from None
        except OSError:                      # a file system that knows no locks
            pass
        in_use.add(self.name)

    # -- reading

    def peek(self) -> Record | None:
        """The next record; None at the end, where the file is then ready for more."""
        if self.ahead is None and self.replaying:
            self.ahead = read_record(self.file, self.end, self.count, self.path)
            if self.ahead is None:
                self.replaying = False
                self.file.truncate(self.end)
                self.file.seek(self.end)
                self.began = time.perf_counter()
        return self.ahead

    def read(self) -> Record | None:
        """The next record, passed over."""
        record = self.peek()
        if record is not None:
            self.ahead = None
            self.end = self.file.tell()
            self.elapsed = record.seconds
            self.count += record.kind != "callback"
        return record

    # -- writing

    def seconds(self) -> float:
        """Of all runs so far."""
        return self.elapsed if self.replaying else self.elapsed + time.perf_counter() - self.began

    def append(self, kind: str, question: bytes, x: np.ndarray, answer: np.ndarray) -> None:
        """One more answer; it is in the hands of the system when this returns, so that a killed process has left it."""
        checksum = zlib.crc32(answer.data, zlib.crc32(x.data))
        head = RECORD.pack(MARK, KINDS.index(kind), x.nbytes, answer.nbytes, self.seconds(), question, checksum)
        for part in (head, CHECK.pack(zlib.crc32(head)), x.data, answer.data):
            self.file.write(part)
        self.file.flush()
        self.count += kind != "callback"
        if time.perf_counter() - self.synced > SYNC:
            self.sync()

    def sync(self) -> None:
        os.fsync(self.file.fileno())
        self.synced = time.perf_counter()

    def close(self) -> None:
        """Nothing is read or written any more."""
        if not self.file.closed:
            self.replaying = False
            in_use.discard(self.name)
            try:
                self.file.flush()
                self.sync()
            finally:
                self.file.close()


def create(path: str, head: dict[str, Any]) -> None:
    """A file with nothing but its head appears as a whole, or not at all."""
    text = json.dumps(head).encode()
    folder, name = os.path.split(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise FileNotFoundError(errno.ENOENT, f"no directory for the checkpoint {name}", folder)
    handle, draft = tempfile.mkstemp(prefix=f".{name}.", dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(HEAD.pack(MAGIC, VERSION, zlib.crc32(text), len(text)) + text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise
    if hasattr(os, "O_DIRECTORY"):           # the name, too, is on the disk
        handle = os.open(folder, os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def read_head(file: Any, path: str) -> tuple[dict[str, Any], int]:
    """(what the run is about, where its records begin)"""
    head = file.read(HEAD.size)
    if not head.startswith(MAGIC) or len(head) < HEAD.size:
        raise CheckpointError(f"{path} is no checkpoint of optimize.minimize, or its beginning is damaged")
    _, version, checksum, length = HEAD.unpack(head)
    if version != VERSION:
        raise CheckpointError(f"{path} has format {version}; this fastad reads {VERSION}"
                              + (": update fastad" if version > VERSION else ""))
    text = file.read(length) if length < 1 << 30 else b""
    if len(text) != length or zlib.crc32(text) != checksum:
        raise CheckpointError(f"{path} is damaged: its head does not fit its checksum")
    found: dict[str, Any] = json.loads(text)
    return found, HEAD.size + length


def read_record(file: Any, start: int, number: int, path: str) -> Record | None:
    """The record at `start`; None where the file ends before it does, as one that was being written does."""
    file.seek(start)
    head = file.read(RECORD.size + CHECK.size)
    if len(head) < RECORD.size + CHECK.size:
        return None
    mark, kind, nx, na, seconds, question, checksum = RECORD.unpack_from(head)
    whole = (zlib.crc32(head[:RECORD.size]),) == CHECK.unpack_from(head, RECORD.size) and mark == MARK
    body = file.read(nx + na) if whole else b""
    if whole and len(body) < nx + na:
        return None
    if not whole or zlib.crc32(body) != checksum or kind >= len(KINDS) or nx % 8 or na % 8:
        raise CheckpointError(f"{path} is damaged after {number} evaluations: a checksum is wrong. To go on from "
                              f"there, cut off the rest: os.truncate({path!r}, {start})")
    x, answer = np.frombuffer(body, np.float64, nx // 8), np.frombuffer(body, np.float64, na // 8, nx)
    return Record(KINDS[kind], question, x, answer, seconds)
