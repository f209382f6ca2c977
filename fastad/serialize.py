"""Tapes as bytes: `save`, `load`, `dumps`, `loads`; pickling uses the same format.

Owns: the format.  A fixed head (magic, version, checksum, lengths), a JSON header with names and structure, then the
arrays, little-endian, each at a multiple of 8 bytes.  Nothing is compressed, so no array is larger than the file;
nothing is executed; what was read is checked by verify.py before it becomes a tape.
Must not know: what instructions mean (verify_rules.py, verify_loops.py).  The packing of arguments: signature_json.py.
"""
from __future__ import annotations

import json
import os
import struct
import tempfile
import zlib
from copy import deepcopy
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad import library_rules, signature_json, trees, verify, verify_loops
from fastad._scan import Scan
from fastad.errors import InternalError, TapeFileError, UnsupportedError

__all__ = ["VERSION", "dumps", "load", "loads", "save"]

MAGIC = b"\x89FASTAD\n"                      # a high bit and a newline: transfers that alter text alter these
VERSION = 3
# kinds of attributes and library routines that came with a later format; records: what a loop keeps for its adjoint
FIRST_WITH = {"scan": 2, "partition": 2, "records": 3}
DEEPEST = 50                                 # loops within loops
HEAD = struct.Struct("<8sIIQQ")              # magic, version, crc32 of the rest, bytes of header and of arrays
DTYPES = {"float64": "<f8", "float32": "<f4", "int64": "<i8", "bool": "|b1", "uint16": "<u2", "uint32": "<u4"}
COLUMNS = {"op": "uint16", "aval": "uint32", "arg": "uint32", "pool": "uint32", "cells": "int64", "expected": "int64"}

# The fields of each kind of attribute, a letter each: i int, b bool, a array of int64, A the same or None, p pieces or
# None, f number, M list of maps, s string.
FIELDS = {"number": "i", "axis": "iiib", "matmul": "iiiiiibb", "adjoint matmul": "iiiiiibb", "csr": "iiiaab",
          "map": "iipAAbbbfi", "assemble": "Mbbfi", "stack": "iAbb", "lapack": "siiiiii"}


def save(tape: Any, path: Any) -> None:
    """Write a tape to a file.

    Parameters
    ----------
    tape : Tape
        Captured arrays are stored with their present values.
    path : str or path-like
        A file that exists is replaced once the new one is complete.
    """
    data = dumps(tape)
    folder, name = os.path.split(os.path.abspath(os.fspath(path)))
    handle, draft = tempfile.mkstemp(prefix=f".{name}.", dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(draft, 0o666 & ~mask)
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise


def load(path: Any) -> Any:
    """Read a tape from a file; safe for files from untrusted sources.

    Raises
    ------
    TapeFileError
        The file is truncated, damaged, no tape at all, or of a newer version; the message says which.
    """
    with open(path, "rb") as file:
        data = file.read()
    try:
        return loads(data)
    except TapeFileError as error:
        raise TapeFileError(f"{os.fspath(path)}: {error}") from None


def reduce(tape: Any) -> tuple[Any, tuple[Any, ...]]:
    """What pickle needs: the same bytes as a file, and the classes of named tuples, which a file cannot hold."""
    signature, data = tape.signature, dumps(tape)
    structures = () if signature is None else (signature.tree, signature.out_tree)
    if all(trees.plain(tree) == tree for tree in structures):
        return loads, (data,)
    return restored, (data, *structures)


def restored(data: bytes, tree: Any, out_tree: Any) -> Any:
    """A pickled tape whose arguments or results are named tuples."""
    tape = loads(data)
    tape.signature = tape.signature.with_structures(tree, out_tree)
    return tape


def copy(tape: Any, memo: dict[int, Any] | None = None) -> Any:
    """A copy within this process: of everything, custom primitives too.

    Parameters
    ----------
    memo : dict, optional
        copy.deepcopy's: captured arrays are copied as well, together with whatever else refers to them.
    """
    if tape.recording:
        raise UnsupportedError("a tape that is still being recorded cannot be copied")
    image = verify.Image.of(tape)
    if memo is not None:
        image.captures = deepcopy(image.captures, memo)
    found = image.tape()
    found.signature = tape.signature
    return found


# ---- writing ---------------------------------------------------------------------------------------------------------

class Body:
    """The arrays of a file, each at a multiple of 8 bytes; `version`: the oldest format that has all that is in it."""

    def __init__(self) -> None:
        self.table: list[list[Any]] = []
        self.chunks: list[bytes] = []
        self.size = 0
        self.version = 1

    def add(self, array: np.ndarray, dtype: str) -> int:
        """Append an array; returns its number."""
        data = np.ascontiguousarray(array, dtype=DTYPES[dtype]).tobytes()
        self.table.append([dtype, list(np.shape(array)), self.size])
        data += bytes(-len(data) % 8)
        self.chunks.append(data)
        self.size += len(data)
        return len(self.table) - 1


def dumps(tape: Any) -> bytes:
    """The tape as bytes; equal tapes give equal bytes."""
    if tape.recording:
        raise UnsupportedError("a tape that is still being recorded cannot be saved")
    body = Body()
    header = tape_to_json(tape, body)
    header["signature"] = signature_json.to_json(tape.signature)
    header["arrays"] = body.table
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(HEAD.size + len(text)) % 8)
    rest = b"".join([text, *body.chunks])
    return HEAD.pack(MAGIC, body.version, zlib.crc32(rest), len(text), body.size) + rest


def tape_to_json(tape: Any, body: Body) -> dict[str, Any]:
    """The instructions of a tape, or of the body of a loop on it, whose arrays go into `body`."""
    image = verify.Image.of(tape)
    refuse_foreign(image, tape)
    return {
        "names": image.names,
        "avals": [aval_to_json(*aval) for aval in image.avals],
        "columns": {name: body.add(getattr(image, name), dtype) for name, dtype in COLUMNS.items()},
        "constants": [body.add(array, array.dtype.name) for array in image.const_arrays],
        "captures": [body.add(array, stored_dtype(array)) for array in image.captures],
        "attributes": [None if attr is None else attr_to_json(attr, body) for attr in image.attrs],
        "guards": [list(info) for info in image.guard_info],
        "places": places_to_json(image.locations, body),
        "inputs": image.inputs, "active": image.active, "outputs": image.outputs,
        "boundary": image.boundary, "ignored": image.ignored,
    }


def aval_to_json(dtype: int, weak: bool, shape: tuple[int, ...]) -> list[Any]:
    return [T.DTYPE_NAMES[dtype], bool(weak), list(shape)]


def refuse_foreign(image: verify.Image, tape: Any) -> None:
    """A custom primitive is Python code: it has no place in a file that is safe to read."""
    if "call" not in image.names:
        return
    calls = np.flatnonzero(image.op == image.names.index("call")).tolist()
    attrs = [image.attrs[image.arg[i, 1]] for i in calls]
    found = [(i, attr) for i, attr in zip(calls, attrs, strict=True) if attr.kind == "call"
             or (attr.kind == "library" and not library_rules.saved(attr.fields()[0]))]
    if not found:                        # Fourier transforms and the like, which are called by name
        return
    i, attr = found[0]
    if attr.kind == "library":
        raise UnsupportedError(f"the tape has a {attr.name.replace('_', ' ')} (recorded at {tape.location(i) or '?'}), "
                               "which files do not hold yet. Record the function again where the tape is needed.")
    name = getattr(attr, "name", None) or repr(attr)
    raise UnsupportedError(f"the tape calls the custom primitive {name} (recorded at {tape.location(i) or '?'}): "
                           "Python code cannot be saved. Record the function again where the tape is needed.")


def stored_dtype(array: np.ndarray) -> str:
    """The dtype as which the tape reads a captured array."""
    return T.DTYPE_NAMES[T.recorded_dtype(array.dtype)]


def places_to_json(locations: dict[int, str], body: Body) -> dict[str, Any]:
    texts = {text: k for k, text in enumerate(dict.fromkeys(locations.values()))}
    return {"texts": list(texts), "at": body.add(np.array(list(locations), dtype=np.int64), "int64"),
            "text": body.add(np.array([texts[text] for text in locations.values()], dtype=np.int64), "int64")}


def attr_to_json(attr: Any, body: Body) -> list[Any]:
    """[kind, field, ...]"""
    if attr.kind == "library":
        key = attr.fields()[0]
        body.version = max(body.version, FIRST_WITH.get(key[0], 1))
        return ["library", library_rules.key_to_json(key)]
    if attr.kind == "scan":
        body.version = max(body.version, FIRST_WITH["records" if attr.records else "scan"])
        return ["scan", scan_to_json(attr, body)]

    def one(letter: str, value: Any) -> Any:
        if letter in "aA":
            return None if value is None else body.add(value, "int64")
        if letter == "p":
            return None if value is None else [[list(p) if isinstance(p, tuple) else p for p in piece]
                                               for piece in value]
        if letter == "f":
            return float(value).hex() if isinstance(value, float) else int(value)
        if letter == "s":
            return value
        if letter == "M":
            return [attr_to_json(m, body) for m in value]
        return bool(value) if letter == "b" else int(value)
    return [attr.kind, *[one(*pair) for pair in zip(FIELDS[attr.kind], attr.fields(), strict=True)]]


def scan_to_json(scan: Any, body: Body) -> dict[str, Any]:
    """A loop: its body is a tape of its own in the same file."""
    return {"name": scan.name, "body": tape_to_json(scan.body, body), "ncarry": scan.ncarry, "nslice": scan.nslice,
            "length": scan.length, "reverse": bool(scan.reverse),
            "records": [[list(kept), late] for kept, late in scan.records],
            "sources": body.add(np.array(scan.sources, dtype=np.int64).reshape(-1, 3), "int64"),
            "operands": [aval_to_json(dtype, False, shape) for dtype, shape in map(T.aval_of, scan.avals)]}


# ---- reading ---------------------------------------------------------------------------------------------------------

def loads(data: bytes) -> Any:
    """The tape of which `dumps` gave these bytes; raises TapeFileError for any others."""
    text, body = open_container(bytes(data))
    try:
        header = json.loads(text)
        arrays = read_arrays(header, body)
        image = read_image(header, arrays)
        verify.check(image)
        signature = signature_json.from_json(header["signature"], len(image.inputs), len(image.outputs))
        tape = image.tape()
    except TapeFileError:
        raise
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, AttributeError, RecursionError, MemoryError,
            InternalError) as error:
        raise TapeFileError(f"damaged tape: {type(error).__name__}: {error}") from None
    tape.signature = signature
    return tape


def open_container(data: bytes) -> tuple[bytes, bytes]:
    """(header, arrays) of a file whose lengths and checksum are right."""
    if not data.startswith(MAGIC[:len(data)]):
        raise TapeFileError("this is not a fastad tape, or its beginning is damaged")
    if len(data) < HEAD.size:
        raise TapeFileError(f"truncated tape: {len(data)} bytes")
    _, version, checksum, header_size, body_size = HEAD.unpack_from(data)
    if version > VERSION:
        raise TapeFileError(f"the tape has format {version}, newer than {VERSION}, which this fastad reads: "
                            "update fastad")
    if version < 1:
        raise TapeFileError("damaged tape: format 0")
    size = HEAD.size + header_size + body_size
    if len(data) < size:
        raise TapeFileError(f"truncated tape: {len(data)} of {size} bytes")
    if len(data) > size:
        raise TapeFileError(f"damaged tape: {len(data) - size} bytes too many")
    if zlib.crc32(memoryview(data)[HEAD.size:]) != checksum:
        raise TapeFileError("damaged tape: the checksum is wrong")
    return data[HEAD.size:HEAD.size + header_size], data[HEAD.size + header_size:]


class Arrays:
    """The arrays of a file; each is copied out of it, once for each use."""

    def __init__(self, table: list[tuple[str, tuple[int, ...], int]], body: bytes):
        self.table, self.body = table, body
        self.depth = 0                       # of loops within loops, where the file is read

    def get(self, k: Any, *dtypes: str) -> np.ndarray:
        """Array number k, which must have one of these dtypes."""
        dtype, shape, offset = self.table[natural(k)]
        if dtype not in dtypes:
            raise ValueError(f"an array of {dtype} where {' or '.join(dtypes)} belongs")
        count = 1
        for extent in shape:
            count *= extent
        flat = np.frombuffer(self.body, DTYPES[dtype], count, offset)
        if dtype == "bool" and np.any(flat.view(np.uint8) > 1):
            raise ValueError("a bool that is neither true nor false")
        return flat.astype(np.dtype(dtype)).reshape(shape)


def read_arrays(header: Any, body: bytes) -> Arrays:
    table = []
    for dtype, shape, offset in header["arrays"]:
        nbytes = np.dtype(DTYPES[dtype]).itemsize
        extents = tuple([natural(extent) for extent in shape])
        for extent in extents:
            nbytes *= extent
        if natural(offset) % 8 or offset + nbytes > len(body):
            raise ValueError("an array outside of the file")
        table.append((dtype, extents, offset))
    return Arrays(table, body)


def natural(x: Any) -> int:
    """x, which must be a whole number >= 0 (True is none)."""
    if type(x) is not int or x < 0:
        raise ValueError(f"{x!r} where a whole number belongs")
    return x


def typed(x: Any, kind: type) -> Any:
    if type(x) is not kind:
        raise ValueError(f"{x!r} where a {kind.__name__} belongs")
    return x


def read_image(header: Any, arrays: Arrays) -> verify.Image:
    columns = {name: arrays.get(header["columns"][name], dtype) for name, dtype in COLUMNS.items()}
    for name in COLUMNS:
        if columns[name].ndim != (2 if name == "arg" else 1):
            raise ValueError(f"column {name} has {columns[name].ndim} dimensions")
    return verify.Image(
        names=[typed(name, str) for name in header["names"]],
        avals=[aval_from_json(*aval) for aval in header["avals"]],
        const_arrays=[arrays.get(k, *T.DTYPE_NAMES) for k in header["constants"]],
        captures=[arrays.get(k, *T.DTYPE_NAMES) for k in header["captures"]],
        attrs=[None if attr is None else attr_from_json(attr, arrays) for attr in header["attributes"]],
        guard_info=[(typed(kind, str), typed(place, str)) for kind, place in header["guards"]],
        locations=places_from_json(header["places"], arrays),
        inputs=[natural(i) for i in header["inputs"]], active=[typed(a, bool) for a in header["active"]],
        outputs=[natural(i) for i in header["outputs"]], boundary=natural(header["boundary"]),
        ignored=[typed(kind, str) for kind in header["ignored"]], **columns)


def aval_from_json(dtype: Any, weak: Any, shape: Any) -> tuple[int, bool, tuple[int, ...]]:
    return T.DTYPE_NAMES.index(dtype), typed(weak, bool), tuple([natural(n) for n in shape])


def places_from_json(places: Any, arrays: Arrays) -> dict[int, str]:
    texts = [typed(text, str) for text in places["texts"]]
    at, text = arrays.get(places["at"], "int64"), arrays.get(places["text"], "int64")
    if at.ndim != 1 or at.shape != text.shape or np.any(text < 0):
        raise ValueError("places of instructions")
    return {i: texts[k] for i, k in zip(at.tolist(), text.tolist(), strict=True)}


def attr_from_json(data: Any, arrays: Arrays) -> Any:
    kind = typed(data[0], str)
    if kind == "library":
        (key,) = data[1:]
        return library_rules.attribute(library_rules.key_from_json(key))
    if kind == "scan":
        (loop,) = data[1:]
        return scan_from_json(loop, arrays)
    return T.ATTR_KINDS[kind](*[read_field(letter, value, arrays)
                                for letter, value in zip(FIELDS[kind], data[1:], strict=True)])


def scan_from_json(data: Any, arrays: Arrays) -> Any:
    """A loop that stays within its operands and its result."""
    arrays.depth += 1
    if arrays.depth > DEEPEST:
        raise ValueError(f"more than {DEEPEST} loops within loops")
    image = read_image(data["body"], arrays)
    arrays.depth -= 1
    verify.check(image)
    table = arrays.get(data["sources"], "int64")
    if table.ndim != 2 or table.shape[1] != 3:
        raise ValueError("sources of a loop")
    try:
        operands = verify.check_avals([aval_from_json(*aval) for aval in data["operands"]])
        loop = verify_loops.Loop(image, natural(data["ncarry"]), natural(data["nslice"]), natural(data["length"]),
                                 [(a, b, c) for a, b, c in table.tolist()], operands, read_records(data))
        loop.check()
    except verify.Fault as fault:
        raise TapeFileError(f"damaged tape: {fault}") from None
    return Scan(typed(data["name"], str), image.tape(), loop.ncarry, loop.nslice, loop.length,
                typed(data["reverse"], bool), loop.sources, [T.aval(a.dtype, a.shape) for a in operands],
                loop.records)


def read_records(data: Any) -> list[tuple[list[int], int]]:
    """What a loop keeps; a file of format 2 has it in another order, which nobody reads any more."""
    if "records" not in data:
        if data["kept"] or data["late"]:
            raise TapeFileError("a derivative of a loop, written by an older fastad (format 2), whose results lie "
                                "elsewhere now: derive it from the tape of the function again")
        return []
    return [([natural(k) for k in kept], natural(late)) for kept, late in data["records"]]


def read_field(letter: str, value: Any, arrays: Arrays) -> Any:
    if letter in "Ap" and value is None:
        return None
    if letter in "aA":
        array = arrays.get(value, "int64")
        if array.ndim != 1:
            raise ValueError("an index table of several dimensions")
        return array
    if letter == "p":
        return tuple([read_piece(*piece) for piece in value])
    if letter == "f":
        return float.fromhex(value) if type(value) is str else typed(value, int)
    if letter == "M":
        maps = [attr_from_json(m, arrays) for m in value]
        if any(m.kind != "map" for m in maps):
            raise ValueError("an assembly of something else than maps")
        return maps
    return typed(value, {"i": int, "b": bool, "s": str}[letter])


def read_piece(shape: Any, soff: Any, sstr: Any, doff: Any, dstr: Any) -> tuple[Any, ...]:
    return (tuple([natural(n) for n in shape]), typed(soff, int), tuple([typed(s, int) for s in sstr]),
            typed(doff, int), tuple([typed(s, int) for s in dstr]))
