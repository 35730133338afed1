"""The ways to hold a model that worked where a better one had failed, kept in a file.

A way is worth remembering as long as there is no more memory than when it was found: then the
better ones would fail again, at a second or more each. With more they are tried anew.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

import msgspec

from chatapp.engine.llama import devices
from chatapp.engine.protocol import LoadOptions
from chatapp.gguf.fit import KvType
from chatapp.gguf.replacing import write_whole
from chatapp.paths import find_paths, spell_path

_MOST = 200
_SLACK = 64 << 20
"""Free memory moves by this much by itself."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to hold a model."""

    gpu_layers: int
    n_ctx: int
    """0: as the options and the model say."""
    kv_type: KvType = "f16"


@dataclass(frozen=True, slots=True)
class Room:
    """How many bytes of memory are free now, on GPUs and for the processor."""

    gpu: int
    """On all GPUs together."""
    host: int

    def exceeds(self, other: Room, *, on_gpu: bool) -> bool:
        """Whether there is more than in `other`: on the GPU, or in main memory."""
        ours, theirs = (self.gpu, other.gpu) if on_gpu else (self.host, other.host)
        return ours > theirs + _SLACK


class _Found(msgspec.Struct, frozen=True):
    way: Way
    room: Room


def find_room() -> Room:
    """What is free now, before anything is loaded."""
    gpus = [device.free_bytes for device in devices.list_devices() if device.is_gpu]
    return Room(sum(gpus), devices.memory_bytes()[0])


def recall(path: Path, options: LoadOptions, best: Way, room: Room) -> Way | None:
    """The way that worked; None when `best` is worth a try, because there is more room."""
    found = _read().get(_key(path, options))
    if found is None or room.exceeds(found.room, on_gpu=found.way.gpu_layers < best.gpu_layers):
        return None
    return found.way


def remember(path: Path, options: LoadOptions, way: Way, room: Room) -> None:
    """Begin with `way` as long as there is no more than `room`. What cannot be written is not."""
    known = _read()
    key = _key(path, options)
    known.pop(key, None)
    known[key] = _Found(way, room)
    _write(dict(list(known.items())[-_MOST:]))


def forget(path: Path, options: LoadOptions) -> None:
    """The best way worked: nothing else is to be remembered."""
    known = _read()
    if known.pop(_key(path, options), None):
        _write(known)


def _key(path: Path, options: LoadOptions) -> str:
    status = path.stat()
    gpus = [device for device in devices.list_devices() if device.is_gpu]
    places = ",".join(f"{gpu.name}:{gpu.total_bytes}" for gpu in gpus)
    asked = f"{options.n_ctx}:{options.kv_type}:{options.gpu_layers}:{options.flash_attn}"
    return f"{spell_path(path.absolute())}:{status.st_size}:{status.st_mtime_ns}|{asked}|{places}"


def _read() -> dict[str, _Found]:
    try:
        return msgspec.json.decode(_file().read_bytes(), type=dict[str, _Found])
    except (OSError, msgspec.MsgspecError):
        return {}


def _write(known: dict[str, _Found]) -> None:
    target = _file()
    with contextlib.suppress(OSError):
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, msgspec.json.encode(known))


def _file() -> Path:
    return find_paths().state / "placing.json"
