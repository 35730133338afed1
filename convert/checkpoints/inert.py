"""What stands in for the objects of a pickle: names and records that can do nothing.

It promises that a name is never looked up. Names that only an attack calls are refused outright,
although they would do nothing here: the user might open the file with torch.load next.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from convert.errors import CheckpointError

_HOSTILE_MODULES = frozenset(
    {"os", "posix", "nt", "subprocess", "sys", "shutil", "socket", "runpy", "importlib", "ctypes"}
    | {"pty", "code", "pdb", "webbrowser", "multiprocessing", "asyncio", "threading", "signal"}
)
_HOSTILE_BUILTINS = frozenset(
    {"eval", "exec", "compile", "open", "input", "breakpoint", "__import__"}
)


@dataclass(eq=False)
class Global:
    """A name the pickle refers to. It is never looked up."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False)
class Stub:
    """What would have been an object of some class: the class's name and what it was given."""

    kind: str
    args: tuple[Any, ...] = ()
    state: Any = None
    entries: dict[Any, Any] = field(default_factory=dict)
    elements: list[Any] = field(default_factory=list)


def refuse_hostile(function: Global, where: str) -> None:
    """Raise when `function` is one that only an attack calls from a checkpoint."""
    top = function.module.partition(".")[0]
    builtin = top in {"builtins", "__builtin__"} and function.name in _HOSTILE_BUILTINS
    if top in _HOSTILE_MODULES or builtin:
        raise CheckpointError(
            f"{where} would call {str(function)[:200]} when PyTorch loads it. Nothing was run.",
            "No training code writes this: do not open the file with torch.load.",
        )


def as_key(key: Any, depth: int = 0) -> Any:
    """`key` if hashing it is safe: a deeply nested tuple would overflow the C stack."""
    if isinstance(key, tuple):
        if depth > 3 or len(key) > 64:
            raise TypeError("a dictionary key that is nested too deeply")
        return tuple(as_key(part, depth + 1) for part in key)
    if isinstance(key, str | bytes | int | float | Global | Stub) or key is None:
        return key
    raise TypeError(f"a dictionary key of type {type(key).__name__}")
