"""A short list of good models by machine size, for people who do not know what to search for.

Data, with the date it was written, in `suggestions.json`. Nothing here asks the network.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from chatapp.gguf.fit import Machine, rough_fit

_FILE = Path(__file__).with_name("suggestions.json")
_SHARE = 0.6  # of the free memory: the rest is for the context, and for other programs
_CPU_BYTES = (
    3_000_000_000  # a core complex reads some 20 GB/s: larger files give few tokens a second
)


class Suggestion(msgspec.Struct, frozen=True):
    """One model to try."""

    repo: str
    size_bytes: int
    licence: str
    about: str


class _List(msgspec.Struct):
    models: list[Suggestion]


def read_suggestions() -> list[Suggestion]:
    """All of them, smallest first."""
    return msgspec.json.decode(_FILE.read_bytes(), type=_List).models


def suggest(machine: Machine | None, count: int = 3) -> list[Suggestion]:
    """The best that this machine runs well, then smaller ones."""
    known = read_suggestions()
    if machine is None:
        return known[:count][::-1]
    room = machine.gpu_bytes
    if not machine.gpus:
        room = min(int(machine.free_bytes * _SHARE), _CPU_BYTES)
    fitting = [
        one
        for one in known
        if one.size_bytes <= room and rough_fit(one.size_bytes, machine) in ("GPU", "CPU")
    ]
    return (fitting or known[:1])[-count:][::-1]
