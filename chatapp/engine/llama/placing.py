"""How a model is put into memory: planned from its header, and stepped down where memory fails.

Only a lack of memory is worth another try: a file that is broken is broken in any place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from chatapp.engine.llama import devices
from chatapp.engine.llama.remembered import Way, find_room, forget, recall, remember
from chatapp.engine.protocol import LoadOptions
from chatapp.errors import ModelError
from chatapp.gguf.fit import DEFAULT_N_CTX, SHORTEST_N_CTX, KvType, plan, read_machine
from chatapp.library.headers import Headers

_SHARES = (0.75, 0.5, 0.25, 0.0)


class NoRoomError(ModelError):
    """llama.cpp could not get the memory for a model; with less of it on the GPU it might."""


@dataclass(frozen=True, slots=True)
class Planned:
    """What the header promises, and what to try in turn."""

    way: Way
    ways: list[Way]
    """The same first, unless it is known to fail."""
    short_of: str = ""
    """Why the GPU does not take all layers; empty when it does, or was not asked to."""
    sampling: dict[str, bool | int | float | str] = field(default_factory=dict)
    """What the file recommends for sampling, unchecked."""
    name: str = ""
    """What the model is called; empty: its header cannot be read."""


def plan_ways(path: Path, options: LoadOptions) -> Planned:
    """How to hold the model in `path` on this machine. Raises `ModelError` when it is too large."""
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
    if total and fit.host_bytes > total:  # more than it wants to keep free: than there is
        raise ModelError(
            f"{path.name} is too large. {fit.reason}",
            "Choose a smaller model or quantisation, or a shorter context with --n-ctx.",
        )
    first = Way(fit.gpu_layers if has_gpu else 0, fit.n_ctx, fit.kv_type)
    ways = _step_down(first, options)
    known = recall(path, options, first, find_room())
    short_of = fit.reason if has_gpu and options.gpu_layers < 0 else ""
    return Planned(
        first,
        ways[ways.index(known) :] if known in ways else ways,
        short_of if first.gpu_layers < fit.n_layers else "",
        info.sampling,
        info.name,
    )


def _step_down(first: Way, options: LoadOptions) -> list[Way]:
    """`first`, and what is left of it where nobody asked for more: a usual context, fewer layers
    on the GPU, a short context."""
    ways = [first]
    if not options.n_ctx and first.n_ctx > DEFAULT_N_CTX:  # was chosen for there being room
        ways.append(replace(first, n_ctx=DEFAULT_N_CTX))
    if options.gpu_layers < 0:
        last = ways[-1]
        ways += [replace(last, gpu_layers=int(last.gpu_layers * share)) for share in _SHARES]
    if not options.n_ctx and first.n_ctx > SHORTEST_N_CTX:
        ways.append(replace(ways[-1], n_ctx=SHORTEST_N_CTX))
    return list(dict.fromkeys(ways))


def place(path: Path, options: LoadOptions, planned: Planned, load: Callable[[Way], None]) -> None:
    """`load` in the first planned way that there is memory for, which is remembered.

    What `load` raises is raised at once, or, for `NoRoomError`, when no way is left.
    """
    room = find_room()
    for way in planned.ways:
        try:
            load(way)
        except NoRoomError:
            if way == planned.ways[-1]:
                raise
        else:
            if way == planned.way:
                forget(path, options)
            elif way != planned.ways[0]:
                remember(path, options, way, room)
            return
