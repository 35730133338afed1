"""Which checkpoint is meant when a folder, or one file of many, is given."""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path

from convert.checkpoints import folder
from convert.checkpoints.strangers import diagnose_folder
from convert.errors import UsageError

# What training scripts call their checkpoint, in order of preference.
_NAMES = (
    *("ckpt.pt", "checkpoint.pt", "model.pt", "best.pt", "final.pt", "last.pt"),
    *("ckpt.pth", "checkpoint.pth", "model.pth", "last.ckpt", "model.ckpt"),
    *("mp_rank_00_model_states.pt", "weights.pt", "weights.safetensors"),
)
_LOOSE = ("*.pt", "*.pth", "*.ckpt", "*.safetensors", "*.bin")
# A training run's other state, in files that look alike.
_NO_WEIGHTS = (
    *("optimizer*", "scheduler*", "scaler*", "rng_state*", "training_args*", "recipe_state*"),
    *("random_states*", "adapter_*", "*optim_states*", "trainer_state*", "events.*"),
)
_MAX_LISTED = 20_000  # names in a folder; more is no model's


def locate(source: Path) -> Path:
    """The checkpoint meant by `source`: itself, the file in the folder, or the folder of a shard.

    Raises `UsageError` naming what was seen where none is found, or several are.
    """
    try:
        if source.is_dir():
            return _locate_in(source)
        if not source.exists():
            raise UsageError(f"{source} does not exist.", "Give a checkpoint file or its folder.")
        if not source.is_file():
            raise UsageError(f"{source} is not a regular file.", "Give a checkpoint file.")
        return source.parent if folder.belongs(source) else source
    except OSError as error:
        raise UsageError(
            f"{source} cannot be read: {error.strerror or error}.", "Check its permissions."
        ) from error


def others_beside(source: Path, taken: Path) -> str:
    """A note on checkpoints in the folder `source` beside the one that is `taken`; "" for none."""
    try:
        if not source.is_dir() or source not in (taken, taken.parent):
            return ""
        with os.scandir(source) as entries:
            names = sorted(entry.name for entry in islice(entries, _MAX_LISTED))
    except OSError:
        return ""
    patterns = [pattern for pattern, *_ in folder.LAYOUTS] if taken == source else [taken.name]
    others = [
        name
        for name in _loose(source, names)
        if not any(fnmatchcase(name, pattern) for pattern in patterns)
    ]
    if not others:
        return ""
    more = f" and {len(others) - 4} more" if len(others) > 4 else ""
    what = "The folder's model" if taken == source else taken.name
    return (
        f"{what} is taken; also in {source.name}: {', '.join(others[:4])[:200]}{more}. "
        "Name the file to convert another."
    )


def _loose(source: Path, names: list[str]) -> list[str]:
    """Of `names` those of checkpoints."""
    return [
        name
        for name in names
        if any(fnmatchcase(name, pattern) for pattern in _LOOSE)
        and not any(fnmatchcase(name, pattern) for pattern in _NO_WEIGHTS)
        and (source / name).is_file()
    ]


def _locate_in(source: Path) -> Path:
    with os.scandir(source) as entries:
        names = sorted(entry.name for entry in islice(entries, _MAX_LISTED))
    if folder.recognise(source):
        return source
    if any(fnmatchcase(name, "mp_rank_01_*") for name in names):
        raise UsageError(
            f"{source} holds a model that DeepSpeed or Megatron split over several GPUs.",
            "Join its parts with the tool that split them.",
        )
    snapshots = source / "snapshots"  # the cache of huggingface_hub
    versions = [path for path in snapshots.iterdir() if path.is_dir()] if snapshots.is_dir() else []
    if len(versions) == 1 and folder.recognise(versions[0]):
        return versions[0]
    for name in _NAMES:
        if (source / name).is_file():
            return source / name
    loose = _loose(source, names)
    if len(loose) == 1:
        return source / loose[0]
    if len(loose) > 1:
        raise UsageError(
            f"{source} holds {len(loose)} checkpoints: {', '.join(loose[:6])[:300]}.",
            "Name the file to convert.",
        )
    looked = f"Hugging Face, litgpt, Meta and torchtune files, {', '.join(_NAMES[:3])} and others"
    raise diagnose_folder(source, names, looked)
