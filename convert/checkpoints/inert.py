"""What stands in for the objects of a pickle: names and records that can do nothing.

It promises that a name is never looked up. Names that only an attack calls are refused outright,
although they would do nothing here: the user might open the file with torch.load next.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from convert.checkpoints.objects import mend_text
from convert.errors import CheckpointError

_HOSTILE_MODULES = frozenset(
    {"os", "posix", "nt", "subprocess", "sys", "shutil", "socket", "runpy", "importlib", "ctypes"}
    | {"pty", "code", "pdb", "webbrowser", "multiprocessing", "asyncio", "threading", "signal"}
    | {"_posixsubprocess", "commands", "popen2", "platform", "timeit", "cProfile", "profile", "bdb"}
    | {"pip", "venv", "ensurepip", "urllib", "http", "requests", "ftplib", "smtplib", "pydoc"}
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
        return mend_text(f"{self.module}.{self.name}")


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


def as_key(key: Any) -> Any:
    """`key` if hashing it is safe. Raises `TypeError`.

    A deeply nested tuple would overflow the C stack, a wide one take long, and integers beyond 64
    bits can all be given one hash.
    """
    parts, left = [key], 64
    while parts:
        left -= 1
        part = parts.pop()
        if isinstance(part, tuple) and len(part) + len(parts) <= left:
            parts.extend(part)
        elif isinstance(part, tuple):
            raise TypeError("a dictionary key that is nested too deeply")
        elif isinstance(part, int) and abs(part) >= 1 << 63:
            raise TypeError("a dictionary key beyond 64 bits")
        elif not (isinstance(part, str | bytes | int | float | Global | Stub) or part is None):
            raise TypeError(f"a dictionary key of type {type(part).__name__}")
    return key
