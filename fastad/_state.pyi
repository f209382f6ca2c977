"""Stub of _state.pyx: watched objects, and whether they still look the same."""
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

IDENTITY: Final[int]
SCALAR: Final[int]
ARRAY: Final[int]
LIST: Final[int]
TUPLE: Final[int]
DICT: Final[int]
SET: Final[int]
FUNCTION: Final[int]
OBJECT: Final[int]
GLOBAL: Final[int]
CELL: Final[int]
DEFAULT: Final[int]
KWDEFAULT: Final[int]
MODULE: Final[int]
ATTRIBUTE: Final[int]
MEMBER: Final[int]
GETATTR: Final[int]
INDEX: Final[int]
KEY: Final[int]
MISSING: Final[Any]

def wrapped_within(x: Any) -> int: ...
def positions_of_samples(n: int) -> NDArray[np.int64]: ...

@disjoint_base
class Slot:
    def __init__(self, how: int, key: Any, node: Node, label: str) -> None: ...
    @property
    def how(self) -> int: ...
    @property
    def key(self) -> Any: ...
    @property
    def node(self) -> Node: ...
    @property
    def label(self) -> str: ...
    def value(self, owner: Any) -> Any: ...

@disjoint_base
class Node:
    def __init__(self, kind: int, obj: Any, remade: bool = False, bound: bool = False) -> None: ...
    @property
    def kind(self) -> int: ...
    @property
    def obj(self) -> Any: ...
    @property
    def remade(self) -> bool: ...
    @property
    def checked(self) -> bool: ...
    @property
    def slots(self) -> list[Slot]: ...
    @property
    def items(self) -> Any: ...
    @property
    def shape(self) -> tuple[int, ...] | None: ...
    def sampled(self) -> tuple[NDArray[np.int64], NDArray[Any]]: ...
    def same(self, current: Any) -> bool: ...
