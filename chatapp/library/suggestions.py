"""What to chat with, for people who do not know what to search for: models on this disk, a short
list of good ones by machine size, and one that needs no hub.

The list is data, with the date it was written, in `suggestions.json`. Nothing here asks the
network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from chatapp.errors import ModelError
from chatapp.gguf.fit import Machine, plan, rough_fit
from chatapp.library.headers import Headers
from chatapp.library.local import ModelFile, find_models
from chatapp.library.packages import SMOLLM2
from chatapp.paths import BUILTIN_MODEL, Paths

_FILE = Path(__file__).with_name("suggestions.json")
_SHARE = 0.6  # of the free memory: the rest is for the context, and for other programs
_LOOKED_AT = 60  # of the models on this disk, the largest, whose headers are read
_HERE = 3
_CPU_BYTES = (
    3_000_000_000  # a core complex reads some 20 GB/s: larger files give few tokens a second
)


class Suggestion(msgspec.Struct, frozen=True):
    """One model to try."""

    repo: str
    """A repository of the hub, or the name of a model that comes as a package."""
    size_bytes: int
    licence: str
    about: str


WITHOUT_HUB = Suggestion(SMOLLM2.name, SMOLLM2.size_bytes, SMOLLM2.licence, SMOLLM2.about)
"""Comes through pip or uv, where no hub can be reached."""


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


@dataclass(frozen=True, slots=True)
class Here:
    """A model on this machine."""

    file: ModelFile
    name: str
    mark: str
    """How it fits; empty: not known."""


def find_here(paths: Paths, folders: Sequence[str], machine: Machine | None) -> list[Here]:
    """Chat models on this machine that fit it, best first."""
    files = sorted(find_models(paths, folders), key=lambda file: -file.size_bytes)[:_LOOKED_AT]
    headers = Headers(paths.headers)
    ranked: list[tuple[bool, Here]] = []
    for file in files:
        if file.path == BUILTIN_MODEL:
            continue
        try:
            info = headers.read_model(file.path)
        except ModelError:  # the list of models says what is wrong with it
            continue
        fit = plan(info, machine) if machine is not None else None
        if info.use == "chat" and (fit is None or fit.verdict != "too large"):
            here = Here(file, info.name, fit.mark if fit else "")
            ranked.append((fit is None or fit.verdict != "GPU", here))
    headers.save()
    ranked.sort(key=lambda row: row[0])  # stable: the largest first among equals
    return [here for _, here in ranked[:_HERE]]
