"""How a model is put into memory: planned from its header, stepped down when it fails, remembered.

What did not work for a file, a context and these devices is not tried again: the next start begins
where the last one ended.
"""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import msgspec

from chatapp.engine.llama import devices
from chatapp.engine.protocol import LoadOptions
from chatapp.errors import ModelError
from chatapp.gguf.fit import DEFAULT_N_CTX, SHORTEST_N_CTX, KvType, plan, read_machine
from chatapp.library.headers import Headers
from chatapp.paths import find_paths

_SHARES = (0.75, 0.5, 0.25, 0.0)
_MOST_REMEMBERED = 200


@dataclass(frozen=True, slots=True)
class Way:
    """One way to hold a model."""

    gpu_layers: int
    n_ctx: int
    """0: as the options and the model say."""
    kv_type: KvType = "f16"


@dataclass(frozen=True, slots=True)
class Planned:
    """What the header promises, and what to try in turn."""

    way: Way
    ways: list[Way]
    """The same first, unless it is known to fail."""
    short_of: str = ""
    """Why the GPU does not take all layers; empty when it does, or was not asked to."""


def plan_ways(path: Path, options: LoadOptions) -> Planned:
    """How to hold the model in `path` on this machine."""
    found = devices.list_devices()
    has_gpu = any(device.is_gpu for device in found)
    available, total = devices.memory_bytes()
    machine = read_machine(
        {
            "devices": [asdict(device) for device in found],
            "gpu_offload": has_gpu,
            "memory_available_bytes": available,
            "memory_total_bytes": total,
        }
    )
    asked: KvType | None = options.kv_type if options.kv_type != "auto" else None
    if not options.flash_attn:  # llama.cpp keeps values in q8_0 with flash attention only
        asked = asked or "f16"
    try:
        info = Headers(None).read_model(path)
    except ModelError:  # llama.cpp will say what is wrong with it, or load it all the same
        way = Way(options.gpu_layers if has_gpu else 0, options.n_ctx, asked or "f16")
        return Planned(way, [way])
    fit = plan(
        info,
        machine,
        n_ctx=options.n_ctx,
        kv_type=asked,
        gpu_layers=options.gpu_layers,
    )
    first = Way(fit.gpu_layers if has_gpu else 0, fit.n_ctx, fit.kv_type)
    ways = [first]
    if not options.n_ctx and first.n_ctx > DEFAULT_N_CTX:  # was chosen for there being room
        ways.append(replace(first, n_ctx=DEFAULT_N_CTX))
    if options.gpu_layers < 0:
        last = ways[-1]
        ways += [replace(last, gpu_layers=int(last.gpu_layers * share)) for share in _SHARES]
    if not options.n_ctx and first.n_ctx > SHORTEST_N_CTX:
        ways.append(replace(ways[-1], n_ctx=SHORTEST_N_CTX))
    ways = list(dict.fromkeys(ways))
    known = _read_known().get(_key(path, options, found))
    short_of = fit.reason if has_gpu and options.gpu_layers < 0 else ""
    return Planned(
        first,
        ways[ways.index(known) :] if known in ways else ways,
        short_of if first.gpu_layers < fit.n_layers else "",
    )


def remember(path: Path, options: LoadOptions, way: Way) -> None:
    """Begin with `way` the next time. What cannot be written is tried anew then."""
    known = _read_known()
    key = _key(path, options, devices.list_devices())
    known.pop(key, None)
    known[key] = way
    kept = dict(list(known.items())[-_MOST_REMEMBERED:])
    target = _file()
    with contextlib.suppress(OSError):
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as stream:
            stream.write(msgspec.json.encode(kept))
        Path(stream.name).replace(target)


def _key(path: Path, options: LoadOptions, found: list[devices.Device]) -> str:
    status = path.stat()
    places = ",".join(f"{device.name}:{device.total_bytes}" for device in found if device.is_gpu)
    asked = f"{options.n_ctx}:{options.kv_type}:{options.gpu_layers}"
    return f"{path.absolute()}:{status.st_size}:{status.st_mtime_ns}|{asked}|{places}"


def _read_known() -> dict[str, Way]:
    try:
        return msgspec.json.decode(_file().read_bytes(), type=dict[str, Way])
    except (OSError, msgspec.MsgspecError):
        return {}


def _file() -> Path:
    return find_paths().state / "placing.json"
