"""Models in several files: which files belong together, and whether all of them are there.

A shard's name comes from an index that somebody else wrote: it may not leave the folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from convert.checkpoints.checkpoint import Checkpoint
from convert.checkpoints.objects import load_object
from convert.checkpoints.tensor import Tensor
from convert.errors import CheckpointError

NUMBERED = re.compile(r"(.+)-(\d{1,5})-of-(\d{1,5})\.(safetensors|bin|pt|pth)")
_MAX_SHARDS = 10_000


def read_index(path: Path) -> list[Path]:
    """The shards that a `*.index.json` names. Raises `CheckpointError`."""
    weight_map = load_object(path).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{path.name} has no weight_map.", "Copy it from the original model.")
    names = sorted({name if isinstance(name, str) else "" for name in weight_map.values()})
    outside = [
        name
        for name in names
        if name in {"", ".", ".."} or re.search(r"[/\\\0]", name) or len(name) > 255
    ]
    if outside:
        raise CheckpointError(
            f"{path.name} names a file outside the folder: {outside[0][:80]!r}.",
            "Copy it from the original model.",
        )
    _check_presence([path.parent / name for name in names], len(names))
    return [path.parent / name for name in names]


def complete(files: Sequence[Path]) -> list[Path]:
    """`files`, after checking that none of model-00001-of-00003 and the like is missing.

    Raises `CheckpointError`, also where the files of two models are mixed.
    """
    sets = {
        (found[1], found[3], found[4]) for path in files if (found := NUMBERED.fullmatch(path.name))
    }
    if len(sets) > 1:
        raise CheckpointError(
            f"{files[0].parent.name} holds shards of {len(sets)} models: "
            f"{', '.join(path.name for path in files[:4])[:300]}.",
            "Keep the files of one model in the folder.",
        )
    for stem, total, ending in sets:
        if not 0 < int(total) <= _MAX_SHARDS:
            raise CheckpointError(
                f"{files[0].name} is one of an impossible number of shards.",
                "Download the whole model.",
            )
        there = {path.name for path in files}
        wanted = [
            f"{stem}-{number:0{len(total)}}-of-{total}.{ending}"
            for number in range(1, int(total) + 1)
        ]
        # some tools count from 0
        if f"{stem}-{0:0{len(total)}}-of-{total}.{ending}" in there:
            wanted = [f"{stem}-{0:0{len(total)}}-of-{total}.{ending}", *wanted[:-1]]
        _check_presence([files[0].parent / name for name in wanted], int(total))
    return list(files)


def _check_presence(files: Sequence[Path], total: int) -> None:
    missing = [path.name for path in files if not path.is_file()]
    if missing:
        raise CheckpointError(
            f"{len(missing)} of {total} shards are missing: {', '.join(missing[:4])[:300]}.",
            "Download the whole model.",
        )


def merge(parts: Iterable[Checkpoint]) -> dict[str, Tensor]:
    """The tensors of all `parts`. Raises `CheckpointError` when two have the same one."""
    tensors: dict[str, Tensor] = {}
    for part in parts:
        twice = tensors.keys() & part.tensors.keys()
        if twice:
            raise CheckpointError(
                f"{part.path.name} holds {min(twice)[:80]!r} again, which another shard has too.",
                "Keep the files of one model in the folder.",
            )
        tensors |= part.tensors
    return tensors
