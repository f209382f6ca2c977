"""Signatures of tapes as JSON: how arguments and results are packed, without a class or function of anybody's.

Owns: the JSON form of a Signature and of tree structures (a named tuple becomes a tuple, an ordered or default
dict a dict), and its checks.
Must not know: bytes (serialize.py), instructions.  Next: recording.py (Signature), trees.py.
"""
from __future__ import annotations

from typing import Any

from fastad import trees
from fastad.errors import TapeFileError, UnsupportedError

DEEPEST = 100                                # containers within containers, in a file


def to_json(signature: Any) -> Any:
    """What `from_json` needs; None for a tape of flat lists."""
    if signature is None:
        return None
    return {"name": signature.name, "location": signature.location,
            "parameters": signature.input_names() if signature.derived_from else list(signature.parameters),
            "tree": tree_to_json(signature.tree),
            "positions": list(signature.positions), "active": [bool(a) for a in signature.active],
            "statics": leaves_to_json(signature.statics, signature.name, "argument"),
            "out_tree": tree_to_json(signature.out_tree),
            "kept": leaves_to_json(signature.kept, signature.name, "result"),
            "complex": [[[k, number] for k, number in sorted(leaves.items())]
                        for leaves in (signature.complex_in, signature.complex_out)]}


def from_json(data: Any, inputs: int, outputs: int) -> Any:
    """The Signature of a tape with so many inputs and outputs; raises TapeFileError where it does not fit."""
    if data is None:
        return None
    from fastad.recording import Signature
    tree, out_tree = tree_from_json(data["tree"]), tree_from_json(data["out_tree"])
    statics, kept = leaves_from_json(data["statics"]), leaves_from_json(data["kept"])
    positions, active = list(data["positions"]), list(data["active"])
    need(all(type(text) is str for text in (data["name"], data["location"])), "names")
    need(tree[0] == "tuple" and len(tree[1]) == 2 and tree[1][0][0] == "tuple" and tree[1][1][0] == "dict"
         and all(type(key) is str for key in tree[1][1][1]), "arguments")
    need(all(type(k) is int for k in positions) and all(type(a) is bool for a in active), "positions of inputs")
    need(sorted([*positions, *statics]) == list(range(trees.count(tree))), "leaves of the arguments")
    need(len(positions) == len(active) == inputs, "number of inputs")
    n = trees.count(out_tree)
    need(all(k < n for k in kept) and n - len(kept) == outputs, "leaves of the result")
    parameters = data.get("parameters", [])  # files written before there were any
    need(type(parameters) is list and all(type(text) is str and text.isprintable() for text in parameters),
         "names of parameters")
    signature = Signature(data["name"], data["location"], tree, positions, statics, active, out_tree, kept, parameters)
    complexes = data.get("complex", [[], []])        # likewise
    for leaves, known in zip(complexes, (positions, set(range(n)) - set(kept)), strict=True):
        need(all(type(k) is int and k in known and type(number) is bool for k, number in leaves), "complex leaves")
    signature.set_complex(*map(dict, complexes))
    return signature


def need(holds: Any, what: str) -> None:
    if not holds:
        raise TapeFileError(f"damaged tape: its signature does not fit: {what}")


# ---- structures ------------------------------------------------------------------------------------------------------

def tree_to_json(tree: Any) -> Any:
    if tree == trees.LEAF:
        return tree
    kind, children = tree[0], [tree_to_json(child) for child in trees.children(tree)]
    if kind == "none":
        return ["none"]
    if kind not in ("dict", "mapping"):
        return [kind if isinstance(kind, str) else "tuple", children]
    for key in tree[-2]:
        if type(key) not in (str, int):
            raise UnsupportedError(f"a tape whose arguments or results have the dict key {key!r} cannot be saved; "
                                   "keys that are str or int can")
    return ["dict", list(tree[-2]), children]


def tree_from_json(data: Any, depth: int = 0) -> Any:
    need(depth < DEEPEST, "structure")
    if data == trees.LEAF:
        return trees.LEAF
    need(type(data) is list and data, "structure")
    kind = data[0]
    if kind == "none":
        need(len(data) == 1, "structure")
        return ("none",)
    need(kind in ("tuple", "list", "dict") and len(data) == (3 if kind == "dict" else 2), "structure")
    need(type(data[-1]) is list, "structure")
    children = tuple([tree_from_json(child, depth + 1) for child in data[-1]])
    if kind != "dict":
        return kind, children
    keys = tuple(data[1])
    need(all(type(key) in (str, int) for key in keys) and len(set(keys)) == len(children) == len(keys), "dict keys")
    return kind, keys, children


# ---- leaves that are not on the tape ---------------------------------------------------------------------------------

def leaves_to_json(leaves: dict[int, Any], name: str, what: str) -> list[Any]:
    out = []
    for k, value in leaves.items():
        if type(value) is float:
            out.append([k, "float", value.hex()])
        elif value is None or type(value) in (bool, int, str):
            out.append([k, type(value).__name__, value])
        else:
            raise UnsupportedError(
                f"the tape of {name} cannot be saved: leaf {k} of its {what} is a {type(value).__name__} that is part "
                "of the recording; numbers, strings and None can be written. Bind it (functools.partial, a lambda) and "
                "record again.")
    return out


def leaves_from_json(data: Any) -> dict[int, Any]:
    leaves = {}
    for k, kind, value in data:
        if kind == "float":
            value = float.fromhex(value)
        need(type(k) is int and k >= 0 and type(value).__name__ == kind and kind in
             ("float", "bool", "int", "str", "NoneType"), "static values")
        leaves[k] = value
    return leaves
