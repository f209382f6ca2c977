"""Stub of _dispatch.pyx: from a call of a differentiated function to a sweep."""
from collections.abc import Callable
from typing import Any, Final

from typing_extensions import disjoint_base

from fastad._tape import Tape

PYTHON: Final[int]
GRADIENT: Final[int]
VALUE_AND_GRADIENT: Final[int]

@disjoint_base
class Entry:
    calls: int
    used: int
    nbytes: int
    program: Any
    compile_at: int
    def __init__(self, tape: Tape, function: Callable[..., Any], key: Any, watch: Any, lone: bool) -> None: ...
    @property
    def tape(self) -> Tape: ...
    @property
    def function(self) -> Callable[..., Any]: ...
    @property
    def key(self) -> Any: ...
    @property
    def watch(self) -> Any: ...
    @property
    def short(self) -> bool: ...
    def touch(self) -> Any: ...
    def weigh(self) -> int: ...
    def why_changed(self, f: Callable[..., Any]) -> str | None: ...

@disjoint_base
class Dispatcher:
    hot: Entry | None
    f: Any
    audit: bool
    mode: int
    replays: int
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...

@disjoint_base
class Point:
    @property
    def tape(self) -> Tape: ...
    def __init__(self, tape: Tape, values: list[Any]) -> None: ...
    def outputs(self) -> list[Any]: ...
    def reverse(self, seeds: list[Any]) -> list[Any]: ...
    def tangent(self, tangents: list[Any]) -> list[Any]: ...
